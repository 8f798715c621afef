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
    cases,
    deliveries,
    messages,
    resources,
    retention,
    tables,
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
    keep_log: timedelta = timedelta(days=3 * 365 + 1)
    keep_ledger: timedelta = timedelta(days=10 * 365 + 3)

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
        """Apply retention: each kind of record for itself, in small steps; how many rows of each went."""
        now = self.clock()
        gone = {
            "payloads": self._prune_payloads(now - self.keep_payloads, now),
            "attempts": self._run(retention.attempts(now - self.keep_attempts)),
            "accesses": self._prune_accesses(now - self.keep_accesses),
            "log": self._prune_log(now - self.keep_log, now),
            "ledger": self._prune_ledger(now - self.keep_ledger, now),
        }
        for rule, steps in retention.passing(now - self.keep_seen, now - ON_ITS_WAY).items():
            gone[rule] = sum(map(self._run, steps))
        if any(gone.values()):
            log.info("pruned", **gone)
            self.store.give_back()
        self.store.shorten()
        return gone

    def _run(self, step: retention.Step) -> int:
        """Units of work of a bounded number of rows, until none is left that may go."""
        gone = 0
        while True:
            with self.store.read() as connection:
                keys = step.find(connection)
            took = self.store.write(partial(step.take, keys=keys)) if keys else 0
            gone += took
            if took == 0 or len(keys) < retention.AT_ONCE:
                return gone

    def _prune_accesses(self, before: datetime) -> int:
        """In small units, as for payloads."""
        gone = 0
        while some := self.store.write(lambda tx: resources.prune_accesses(tx, before, PRUNED_AT_ONCE)):
            gone += some
        return gone

    def _prune_payloads(self, before: datetime, now: datetime) -> int:
        """In small units, so that nobody who wants to store a message waits long."""
        gone = 0
        while True:
            with self.store.read() as connection:
                digests = messages.needless(connection, before, PRUNED_AT_ONCE)
            if not digests:
                return gone
            gone += self.store.write(partial(messages.prune, digests=digests, before=before, now=now))

    def _prune_log(self, before: datetime, now: datetime) -> int:
        """Deliveries, then what lies on shelves, then the messages that nothing is left of."""
        gone = 0
        for some in retention.pieces(self.store.read, tables.delivery, "created_at", before):
            gone += sum(map(self._run, retention.deliveries(before, some)))
        for some in retention.pieces(self.store.read, tables.resource_version, "at", before):
            while took := sum(map(self._run, retention.versions(before, some))):
                gone += took
        for some in retention.pieces(self.store.read, tables.message, "received_at", before):
            gone += self._run(retention.messages(before, some, now))
        gone += sum(map(self._run, retention.bulks(before)))
        return gone + self._run(retention.put_elsewhere()) + self._run(retention.alarms(before))

    def _prune_ledger(self, before: datetime, now: datetime) -> int:
        """Patients of whom nothing has been heard since; then months, and the journal's oldest entries."""
        with self.store.read() as connection:
            since = retention.first_month(connection, before)
            moved = since > retention.kept_from(connection)
        if moved:
            self.store.write(partial(retention.answer_from, month=since))
        gone, after = 0, ""
        while True:
            with self.store.read() as connection:
                patients = retention.patients(connection, before, after)
                over = [one for one in patients if retention.is_over(connection, one, before)]
            if not patients:
                break
            after = patients[-1]
            for patient in over:
                gone += sum(map(self._run, retention.beside(patient)))
            gone += self._prune_facts(over, before)
        return gone + sum(map(self._run, retention.ledger(before, since))) + self._cut(before, now)

    def _prune_facts(self, patients: list[str], before: datetime) -> int:
        """As many patients at once as have few enough rows, at least one."""
        gone, waiting = 0, patients
        while waiting:
            took, together = self.store.write(partial(_facts_of_some, patients=waiting, before=before))
            gone += took
            waiting = waiting[together:]
        return gone

    def _cut(self, before: datetime, now: datetime) -> int:
        gone = 0
        while True:
            with self.store.read() as connection:
                if not retention.can_be_cut(connection, before):
                    return gone
            took = self.store.write(partial(retention.cut, before=before, now=now))
            gone += took
            if took < retention.AT_ONCE:
                return gone


def _facts_of_some(tx: Connection, patients: list[str], before: datetime) -> tuple[int, int]:
    """Remove the facts of the first patients that fit into one unit; rows removed, patients done."""
    chosen: list[str] = []
    rows = 0
    for patient in patients:
        rows += retention.weight(tx, patient)
        if chosen and rows > retention.AT_ONCE:
            break
        chosen.append(patient)
    for patient in sorted(chosen):
        cases.alone_with(tx, patient)
    over = [patient for patient in chosen if retention.is_over(tx, patient, before)]
    return retention.facts(tx, over) if over else 0, len(chosen)
