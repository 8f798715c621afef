"""Give lists the names of patients from before the upgrade, while there is nothing more urgent to write."""

from dataclasses import dataclass

from adapter.shelves import Shelves
from adapter.store import unlisted

AT_ONCE = 50
"""Patients of one unit of work: each may open a message."""

_ROUNDS = 4  # units of work in one tick, between which others write


@dataclass(frozen=True, kw_only=True)
class Naming:
    """The job."""

    shelves: Shelves

    def __call__(self) -> int:
        """Name some, unless others wait; returns how many."""
        store, done = self.shelves.store, 0
        for _ in range(_ROUNDS):
            if store.writer.busy or not self._waits():
                break
            done += store.write(lambda tx: self.shelves.name_older(tx, AT_ONCE))
        return done

    def _waits(self) -> bool:
        with self.shelves.store.read() as tx:
            return unlisted.waiting(tx)
