"""Free leases whose holder has died, look for receipts that do not come, forget what retention says."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import structlog
from sqlalchemy import Connection

from adapter.outbox import Outbox
from adapter.store import (
    Store,
    access,
    address_register,
    deliveries,
    mailboxes,
    messages,
    remembered,
    resources,
    subscriptions,
)

PRUNED_AT_ONCE = 500

ON_ITS_WAY = timedelta(minutes=1)
"""For which used assertions are kept beyond their end: what was checked before it may be stored after it."""

log = structlog.get_logger("housekeeping")


@dataclass(frozen=True, kw_only=True)
class Housekeeping:
    """The jobs that keep the delivery log true and small."""

    store: Store
    outbox: Outbox
    clock: Callable[[], datetime]
    keep_payloads: timedelta
    keep_attempts: timedelta
    keep_seen: timedelta
    keep_accesses: timedelta

    def free_leases(self) -> int:
        """What a dead worker held is due again."""
        freed = self.store.write(lambda tx: deliveries.free_leases(tx, self.clock()))
        if freed:
            log.warning("leases freed", count=freed)
        return freed

    def missing_receipts(self) -> int:
        """Alarm and resend for receipts that are overdue."""
        with self.store.read() as connection:
            if not deliveries.receipts_missing(connection, self.clock(), limit=1):
                return 0
        return self.store.write(lambda tx: self.outbox.missing_receipts(tx, self.clock()))

    def give_up_late(self) -> int:
        """Give up what has waited too long for an endpoint that rests."""
        with self.store.read() as connection:
            paused = deliveries.paused(connection)
            if not self.outbox.resting.late(connection, paused, self.clock(), 1):
                return 0
        return self.store.write(lambda tx: self.outbox.give_up_late(tx, self.clock()))

    def prune(self) -> dict[str, int]:
        """Apply retention: payloads, attempts, mailbox memory, expired access, look-ups; each for itself."""
        now = self.clock()
        gone = {
            "payloads": self._prune_payloads(now - self.keep_payloads),
            "attempts": self.store.write(lambda tx: deliveries.prune_attempts(tx, now - self.keep_attempts)),
            "seen": self.store.write(partial(_prune_seen, before=now - self.keep_seen)),
            "access": self.store.write(lambda tx: access.prune(tx, now - ON_ITS_WAY)),
            "accesses": self._prune_accesses(now - self.keep_accesses),
        }
        if any(gone.values()):
            log.info("pruned", **gone)
        return gone

    def _prune_accesses(self, before: datetime) -> int:
        """In small units, as for payloads."""
        gone = 0
        while some := self.store.write(lambda tx: resources.prune_accesses(tx, before, PRUNED_AT_ONCE)):
            gone += some
        return gone

    def _prune_payloads(self, before: datetime) -> int:
        """In small units, so that nobody who wants to store a message waits long."""
        gone = 0
        while True:
            with self.store.read() as connection:
                digests = messages.needless(connection, before, PRUNED_AT_ONCE)
            if not digests:
                break
            gone += self.store.write(partial(messages.prune, digests=digests, before=before))
        if gone:
            self.store.give_back()
        return gone


def _prune_seen(tx: Connection, before: datetime) -> int:
    """What mailboxes, transports and the address register's memory hold, and the events of subscriptions."""
    ours = mailboxes.prune(tx, before) + remembered.prune(tx, before)
    return ours + subscriptions.prune(tx, before) + address_register.prune(tx, before)
