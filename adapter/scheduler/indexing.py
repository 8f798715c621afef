"""Write down by which words deliveries are found, while there is nothing more urgent to write.

The newest are found without it; this keeps them few.
"""

from dataclasses import dataclass

from adapter.store import Store, searching

_ROUNDS = 20  # units of work in one tick, between which others write


@dataclass(frozen=True, kw_only=True)
class Indexing:
    """The job."""

    store: Store

    def __call__(self) -> int:
        """Write down what waits, unless others wait; returns how many deliveries."""
        done = 0
        for _ in range(_ROUNDS):
            if self.store.writer.busy or not self._waits():
                break
            done += self.store.write(searching.index)
        return done

    def _waits(self) -> bool:
        with self.store.read() as tx:
            return searching.behind(tx)
