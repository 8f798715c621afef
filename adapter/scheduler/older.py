"""After an upgrade: put right what processes of an older version have left out while they went on."""

from dataclasses import dataclass

import structlog

from adapter.store import Store, older

log = structlog.get_logger("upgrade")


@dataclass(frozen=True, kw_only=True)
class Older:
    """At the start of every process, and now and then: an older one may go on beside it for a while."""

    store: Store

    def __call__(self) -> older.Missed:
        """Put it right, where there is anything; returns what there was."""
        with self.store.read() as tx:
            if not older.missed(tx):
                return older.Missed()
        done = self.store.write(older.catch_up)
        if done.protected:
            log.warning("protected identities told to a process of an older version", count=done.protected)
        return done
