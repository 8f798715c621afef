"""A store was put back from a backup: what the adapter does about the hours that it has lost.

Mailboxes are read again from the backup's moment, what was sent without a receipt is asked about again, and
what waited goes out again as the same bytes under the same ids. What others alone can do, as partners who
push over HTTP and must send again, one alarm asks of a person. It is done once, at the next start.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, tzinfo
from functools import partial, reduce
from typing import Protocol

import structlog
from sqlalchemy import Connection

from adapter.errors import AdapterError, MailboxError, NotFound
from adapter.inbox import Inbox
from adapter.messaging.delivery import DeliveryState, Trigger
from adapter.messaging.practices import Answer, practice
from adapter.messaging.register import EDI
from adapter.outbox import Outbox
from adapter.parcels import ALARM, SUBSCRIPTION
from adapter.phrases import Phrase, Value, dated, phrase
from adapter.store import Store, alarms, deliveries, messages, restored, subscriptions
from adapter.store.restored import Restored
from adapter.store.statements import Row

MARGIN = timedelta(minutes=15)
"""How far before the backup's moment files are taken again: other machines' clocks are not ours."""

AT_ONCE = 500
"""Deliveries in one unit of work, between which others write."""

_MOST_NAMED = 20
_UNKNOWN = "unknown-original"

log = structlog.get_logger("restoring")


def _answers_twice(dialect: str) -> bool:
    """Whether a receiver repeats its receipt when the message comes again; KITH wants no second one."""
    return practice(dialect).duplicates is not Answer.NOTHING


class Folder(Protocol):
    """A mailbox in which what was taken lies on, and can be taken again."""

    name: str

    def again(self, since: datetime) -> int:
        """Have what was taken since then taken again; returns how many. Raises MailboxError."""
        ...


@dataclass(frozen=True, kw_only=True)
class Done:
    """What was done, as the alarm tells it."""

    of: datetime
    taken_again: dict[str, int] = field(default_factory=dict)  # files by mailbox
    unread: tuple[Phrase, ...] = ()  # mailboxes of which nothing can be taken again, with the reason
    asked_again: int = 0  # deliveries that are sent again for their receipt
    going_out: int = 0  # deliveries that waited in the backup


@dataclass(frozen=True, kw_only=True)
class Restoring:
    """The station: what follows from a restore, over one store and its mailboxes."""

    store: Store
    outbox: Outbox
    folders: Sequence[Folder]
    message_servers: Sequence[str]  # whose mail is fetched: what is marked read is not listed there again
    partners: Sequence[str]  # who may push over HTTP
    clock: Callable[[], datetime]

    def __call__(self) -> Done | None:
        """Do it, where a store was put back since it was last done; None where it was not."""
        with self.store.read() as tx:
            told = restored.pending(tx)
        if told is None:
            return None
        done = self._folders(Done(of=told.of), told.of - MARGIN)
        done = replace(done, asked_again=self._ask_again(), going_out=self._waiting())
        first = self.store.write(lambda tx: self._settle(tx, told, done))
        if first:
            log.warning(
                "the store was restored",
                backup_of=told.of.isoformat(),
                taken_again=sum(done.taken_again.values()),
                asked_again=done.asked_again,
                going_out=done.going_out,
            )
        return done if first else None

    def _folders(self, done: Done, since: datetime) -> Done:
        counts: dict[str, int] = {}
        faults = []
        for folder in self.folders:
            try:
                counts[folder.name] = folder.again(since)
            except MailboxError as error:
                faults.append(error.said)
        return replace(done, taken_again={n: c for n, c in counts.items() if c}, unread=tuple(faults))

    def _ask_again(self) -> int:
        """Send again, as for a receipt that is missing, what its receiver would answer again."""
        with self.store.read() as tx:
            rows = deliveries.listed(tx, state=DeliveryState.SENT.value, awaiting=True, limit=None)
        ids = [row["id"] for row in rows if self._answers_again(row)][::-1]
        for start in range(0, len(ids), AT_ONCE):
            some = ids[start : start + AT_ONCE]
            self.store.write(partial(self._send_again, ids=some))
        return len(ids)

    def _answers_again(self, row: Row) -> bool:
        endpoint = self.outbox.endpoint(row["endpoint"] or "")
        return endpoint is not None and endpoint.transport != EDI and _answers_twice(row["dialect"])

    def _send_again(self, tx: Connection, ids: Sequence[int]) -> None:
        for one in ids:
            row = deliveries.get(tx, one)
            row = deliveries.alone(tx, row) if row is not None else None
            if row is not None and row["state"] == DeliveryState.SENT.value:  # no receipt has been quicker
                self.outbox.send_again(tx, row, self.clock())

    def _waiting(self) -> int:
        """What was due in the backup; it may have left since, and the ids say that it is the same."""
        with self.store.read() as tx:
            counted = deliveries.listed(tx, state=DeliveryState.WAITING.value, limit=None)
            counted += deliveries.listed(tx, state=DeliveryState.LEASED.value, limit=None)
        ours = (ALARM, SUBSCRIPTION)
        return sum(one["kind"] not in ours and one["trigger"] == Trigger.SCHEDULE.value for one in counted)

    def _settle(self, tx: Connection, told: Restored, done: Done) -> bool:
        if not restored.settle(tx, told):
            return False  # another process was quicker
        subscriptions.leap(tx)
        self.outbox.alarms.start(
            tx,
            kind="restored",
            subject=f"restore of {told.of.isoformat(timespec='seconds')}",
            text=words(
                told,
                done,
                message_servers=self.message_servers,
                partners=self.partners,
                zone=self.outbox.cases.agreement.zone,
            ),
            now=self.clock(),
        )
        return True


@dataclass(frozen=True, kw_only=True)
class Receipts:
    """Receipts that were taken again before the messages that they are for: they count once those are known.

    It looks while the alarm of a restore is on; afterwards a person can `release` them.
    """

    inbox: Inbox
    clock: Callable[[], datetime]

    def __call__(self) -> int:
        """Look at those that are held; returns how many have found their delivery."""
        with self.inbox.store.read() as tx:
            if not alarms.any_open(tx, "restored"):
                return 0
            held = messages.held_as(tx, _UNKNOWN)
        return sum(self._release(row) for row in held)

    def _release(self, row: int) -> bool:
        unit = partial(self.inbox.release, row=row, now=self.clock(), by=None)
        try:
            return self.inbox.store.write(unit).outcome == "accepted"
        except NotFound:
            return False  # somebody has been quicker, or it cannot be released any more
        except AdapterError as error:  # one that the store refuses must not hold up those behind it
            log.warning("receipt not taken", message=row, error=str(error))
            return False


def words(
    told: Restored, done: Done, *, message_servers: Sequence[str], partners: Sequence[str], zone: tzinfo
) -> Phrase:
    """What was done and what a person must ask of whom; names of the configuration, and of no person."""
    of = dated(told.of.astimezone(zone))
    files = [
        phrase("{files} of {mailbox}", files=count, mailbox=name)
        for name, count in sorted(done.taken_again.items())
    ]
    said = [
        phrase(
            "The store was put back as it was at {of} ({zone}); what came, left or was recorded since is "
            "missing until it comes again",
            of=of,
            zone=str(zone),
        ),
        phrase(
            "Taken again: {files}; FHIR servers are read on from there",
            files=reduce(_comma, files) if files else phrase("no files"),
        ),
        phrase(
            "{going_out} deliveries that waited then go out, some perhaps for the second time, under the "
            "same ids; {asked_again} are sent again for their receipt",
            going_out=done.going_out,
            asked_again=done.asked_again,
        ),
    ]
    if done.unread:
        said.append(phrase("Not taken again: {faults}", faults=done.unread))
    if partners:
        said.append(
            phrase(
                "Ask to send again what was sent over HTTP since {of}, receipts too: {partners}",
                of=of,
                partners=_some(partners),
            )
        )
    if message_servers:
        said.append(
            phrase(
                "Of {servers} what was fetched since {of} is marked read, and not listed again: ask its "
                "senders to send it again",
                servers=_some(message_servers),
                of=of,
            )
        )
    said.append(phrase("What people have recorded since then, they must record again; then close this"))
    return reduce(lambda first, second: phrase("{first}. {second}", first=first, second=second), said)


def _comma(first: Phrase, second: Phrase) -> Phrase:
    return phrase("{first}, {second}", first=first, second=second)


def _some(names: Sequence[str]) -> Value:
    few, more = sorted(names)[:_MOST_NAMED], len(names) - _MOST_NAMED
    return phrase("{names} and {more} more", names=few, more=more) if more > 0 else few
