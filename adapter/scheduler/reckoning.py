"""Count anew what has changed of what is owed, while there is nothing more urgent to write.

What is asked for meanwhile is right without it, and slow where much waits.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from adapter.owing import Owing
from adapter.store import Store

_ROUNDS = 50  # units of work in one tick, between which others write


@dataclass(frozen=True, kw_only=True)
class Reckoning:
    """The job."""

    store: Store
    owing: Owing
    clock: Callable[[], datetime]

    def __call__(self) -> int:
        """Count what waits, unless others wait; returns how many cases."""
        done = 0
        for _ in range(_ROUNDS):
            if self.store.writer.busy or not self._waits():
                break
            done += self.store.write(lambda tx: self.owing.reckon(tx, self.clock()))
        return done

    def _waits(self) -> bool:
        with self.store.read() as tx:
            return self.owing.behind(tx, self.clock())
