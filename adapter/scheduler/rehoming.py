"""Fold stays anew whose municipality is known by now to be none, while there is nothing more urgent to write.

There are some after an upgrade from before such a party was told apart, and after one's kind was corrected in
the region file.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from adapter.cases import Cases
from adapter.discharge.case import NO_MUNICIPALITY
from adapter.store import Store
from adapter.store import cases as rows

AT_ONCE = 20
"""Patients of one unit of work."""

_ROUNDS = 25  # units of work in one tick, between which others write


@dataclass(frozen=True, kw_only=True)
class Rehoming:
    """The job."""

    store: Store
    cases: Cases
    clock: Callable[[], datetime]

    def __call__(self) -> int:
        """Fold some anew, unless others wait; returns how many patients."""
        wrong = sorted(party for party, kind in self.cases.roles.items() if kind in NO_MUNICIPALITY)
        done, last = 0, ""
        for _ in range(_ROUNDS):
            if self.store.writer.busy:
                break
            with self.store.read() as tx:
                patients = rows.at_home_with(tx, wrong, after=last, limit=AT_ONCE)
            if not patients:
                break
            self._refold(patients)
            done, last = done + len(patients), patients[-1]
        return done

    def _refold(self, patients: Sequence[str]) -> None:
        def unit(tx: Connection) -> None:
            for patient in patients:
                self.cases.refold(tx, patient, self.clock())

        self.store.write(unit)
