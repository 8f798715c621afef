"""Go on with what somebody does with many deliveries at once, a few a unit of work."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from adapter.bulks import Bulks
from adapter.store import bulks as rows

_ROUNDS = 25  # units of work in one tick, between which others write


@dataclass(frozen=True, kw_only=True)
class Many:
    """The job."""

    bulks: Bulks
    clock: Callable[[], datetime]
    nudge: Callable[[], object]

    def __call__(self) -> int:
        """Do the next ones; returns how many."""
        store, done = self.bulks.inbox.store, 0
        for _ in range(_ROUNDS):
            with store.read() as tx:
                number = rows.running(tx)
            if number is None:
                break
            done += store.write(lambda tx, number=number: self.bulks.go_on(tx, number, self.clock()))  # type: ignore[misc]
        if done:
            self.nudge()
        return done
