"""Heartbeats: a subscriber that has heard nothing for its period is told that all is well, and nothing new.

The same look ends subscriptions whose end has come.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from adapter.store import Store
from adapter.store import subscriptions as rows
from adapter.subscriptions import Subscriptions


@dataclass(frozen=True, kw_only=True)
class Heartbeats:
    """The clock of the subscriptions in one store."""

    store: Store
    subscriptions: Subscriptions
    clock: Callable[[], datetime]
    nudge: Callable[[], None] = lambda: None  # there is something to deliver

    def __call__(self) -> int:
        """Look at what is due now; returns how many subscriptions were looked at."""
        with self.store.read() as connection:
            if not rows.to_look_at(connection, self.clock(), 1):
                return 0
        looked = self.store.write(lambda tx: self.subscriptions.look(tx, self.clock()))
        self.nudge()
        return looked
