"""Count anew what has changed of what is owed, while there is nothing more urgent to write.

What is asked for meanwhile is right without it, and slow where much waits.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from adapter.owing import Owing, Uncountable
from adapter.store import Store

log = structlog.get_logger("reckoning")

PUT_OFF = timedelta(hours=1)
"""How long it is until a patient whose cases could not be counted comes again."""

_ROUNDS = 50  # units of work in one tick, between which others write


@dataclass(frozen=True, kw_only=True)
class Reckoning:
    """The job."""

    store: Store
    owing: Owing
    clock: Callable[[], datetime]
    put_off: dict[str, datetime] = field(default_factory=dict)  # patients, and until when

    def __call__(self) -> int:
        """Count what waits, unless others wait; returns how many cases."""
        done = 0
        for _ in range(_ROUNDS):
            if self.store.writer.busy or not self._waits():
                break
            try:
                done += self.store.write(lambda tx: self.owing.reckon(tx, self.clock(), self._without()))
            except Uncountable as fault:  # one bad case must not stop the others
                self.put_off[fault.patient] = self.clock() + PUT_OFF
                error = type(fault.__cause__).__name__
                log.error("cases cannot be counted", cases=fault.case_ids, error=error)
        return done

    def _waits(self) -> bool:
        with self.store.read() as tx:
            return self.owing.behind(tx, self.clock(), self._without())

    def _without(self) -> frozenset[str]:
        return frozenset(patient for patient, until in self.put_off.items() if until > self.clock())
