"""Put on the shelves what has been taken, while there is nothing more urgent to write.

Readers do it themselves before they look; this spares them most of it.
"""

from dataclasses import dataclass

from adapter.shelves import Shelves

_ROUNDS = 40  # units of work in one tick, between which others write


@dataclass(frozen=True, kw_only=True)
class Shelving:
    """The job."""

    shelves: Shelves

    def __call__(self) -> int:
        """Shelve what waits, unless others wait; returns how many messages."""
        done = 0
        store = self.shelves.store
        for _ in range(_ROUNDS):
            if store.writer.busy or not self.shelves.waiting():
                break
            done += store.write(self.shelves.shelve)
        return done
