"""What became of messages that were posted to a message server: asked of it while their receipt is awaited.

`Acknowledged` says that the receiver's side holds it (delivered), an AppRecStatus is its receipt (accepted or
refused). The server itself sends again, at most five times and for 72 hours (rules.md 1.5), so nothing is
posted anew before; what it could not get through then, or has rejected, a person is told of. A receipt that
comes after that still counts (N-02), so such a delivery is asked about as long as any other.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from http import HTTPStatus

import structlog
from sqlalchemy import Connection

from adapter.inbox import Inbox
from adapter.mappings.kith.message_server import (
    Carried,
    ForReceiver,
    Told,
    standing,
    statuses,
    told,
)
from adapter.messaging.acknowledgement import Acknowledgement, Issue, Status
from adapter.messaging.delivery import DeliveryState, Reply
from adapter.messaging.envelope import Address
from adapter.messaging.register import Side
from adapter.phrases import Phrase, phrase
from adapter.store import Store, deliveries, messages, remembered
from adapter.store.statements import Row
from adapter.transport.edi import MESSAGES, WENT, Numbers
from adapter.transport.edi_client import MessageServer, may_pass, parsed

AT_ONCE = 50
"""Deliveries that are asked about in one look; the next goes on with the next ones."""

LONGEST = timedelta(hours=72)
"""For which the server tries to get a message through."""

ASKED_FOR = timedelta(days=10)
"""How long after it was first sent a message is asked about: its receipt may be late (N-02)."""

PATIENCE = timedelta(minutes=5)
"""For which a receipt's own document is waited for, where the mail is fetched: it says when it was given."""

SENT = DeliveryState.SENT.value
GIVEN_UP = DeliveryState.GIVEN_UP.value

_AWAY = 3  # answers in a row that fail until a look ends

log = structlog.get_logger("confirming")


@dataclass(kw_only=True)
class Confirming:
    """The looks at one message server."""

    server: MessageServer
    store: Store
    inbox: Inbox
    numbers: Numbers
    clock: Callable[[], datetime]
    fetches: bool  # whether receipts may come as documents in the mail
    most: int = AT_ONCE
    _after: str = field(default="", init=False)  # the note of the delivery that was asked about last
    _told: dict[int, datetime] = field(
        default_factory=dict, init=False
    )  # receipts, since when they are known
    _alarmed: bool = field(default=True, init=False)  # perhaps by the process before this one

    def __call__(self) -> int:
        """Ask about the next few; returns about how many. What cannot be asked raises an alarm."""
        posted, following = self._posted()
        faults: list[Phrase] = []
        for key, number, row in posted:
            fault = self._ask(row, number)
            faults += [fault] if fault is not None else []
            if len(faults) == _AWAY:
                following = key
                break
        self._after = following
        if posted:
            self._tell(list(dict.fromkeys(faults)))
        return len(posted)

    def _posted(self) -> tuple[list[tuple[str, str, Row]], str]:
        """The next few that are awaited, with the server's ids of them, and where to go on after them.

        What is settled is forgotten.
        """
        place = self.server.name
        with self.store.read() as tx:
            found = remembered.listed(tx, place, WENT, after=self._after, most=self.most)
            rows = [(key, id, deliveries.get(tx, int(key.removeprefix(WENT)))) for key, id in found]
        following = found[-1][0] if len(found) == self.most else ""  # from the beginning again
        settled = [key for key, _, row in rows if row is None or self._settled(row)]
        for key in settled:
            self._told.pop(int(key.removeprefix(WENT)), None)
        if settled:
            self.store.write(lambda tx: remembered.forget(tx, place, settled))
        awaited = [
            (key, id, row)
            for key, id, row in rows
            if row is not None and row["state"] in (SENT, GIVEN_UP) and key not in settled
        ]
        return awaited, following

    def _settled(self, row: Row) -> bool:
        if row["state"] in (DeliveryState.WAITING.value, DeliveryState.LEASED.value):
            return False  # it is being sent once more
        late = row["sent_at"] is not None and self.clock() - row["sent_at"] > ASKED_FOR
        return late or not _awaited(row) or not row["expects_receipt"]

    # --- one delivery ---

    def _ask(self, row: Row, number: str) -> Phrase | None:
        """Ask and record; a sentence where it cannot be asked."""
        place, path = self.server.place(), f"{MESSAGES}/{number}"
        reply = self.server.call("GET", f"{path}/status", place)
        if reply.status == HTTPStatus.NOT_FOUND and row["state"] == GIVEN_UP:
            return None  # it is not kept there for so long, and a person has been told already
        if not reply.taken or reply.error is not None:
            return phrase(
                "delivery {delivery} cannot be asked about: {fault}",
                delivery=str(row["id"]),
                fault=_fault(reply),
            )
        found = self._mine(row, statuses(parsed(reply)))
        if found is not None and found.receipt is not None and self._document_may_come(row):
            found = replace(found, carried=Carried.ACKNOWLEDGED, receipt=None)  # it has been there
        if found is None or not self._news(row, found):
            return None
        issues: tuple[Issue, ...] = ()
        if found.receipt is not None:
            said = self.server.call("GET", f"{path}/apprec", place)
            if may_pass(said):
                return phrase(
                    "the receipt for delivery {delivery} cannot be read: {fault}",
                    delivery=str(row["id"]),
                    fault=_fault(said),
                )
            issues = self._issues(row, told(parsed(said)))
        self.store.write(lambda tx: self._record(tx, row["id"], found, issues))
        return None

    def _document_may_come(self, row: Row) -> bool:
        first = self._told.setdefault(row["id"], self.clock())
        return self.fetches and self.clock() - first < PATIENCE

    def _news(self, row: Row, found: ForReceiver) -> bool:
        """Whether anything may follow from it; most looks find what the one before has found."""
        if found.receipt is not None:
            return True
        if found.carried is Carried.ACKNOWLEDGED:
            return row["delivered_at"] is None
        if row["state"] == GIVEN_UP:
            return False  # that it has not come through is known
        return found.carried is Carried.REJECTED or bool(self.clock() - row["sent_at"] > LONGEST)

    def _mine(self, row: Row, found: Sequence[ForReceiver]) -> ForReceiver | None:
        """How it stands with the party of the delivery."""
        for numbers in self.numbers(row["party"]):
            mine = standing([one for one in found if one.her_id in numbers], numbers)
            if mine is not None:
                return mine
        return standing(found, ())

    def _issues(self, row: Row, found: Sequence[Told]) -> tuple[Issue, ...]:
        numbers = frozenset[int]().union(*self.numbers(row["party"]))
        mine = [one for one in found if one.her_id in numbers] or (found if len(found) == 1 else [])
        return tuple(issue for one in mine for issue in one.issues)

    def _record(self, tx: Connection, number: int, found: ForReceiver, issues: tuple[Issue, ...]) -> None:
        """What follows from it, unless something was quicker."""
        now, outbox = self.clock(), self.inbox.outbox
        row = deliveries.get(tx, number)
        if row is None or not _awaited(row):
            return
        source = f"message server {self.server.name}"
        if found.carried is Carried.ACKNOWLEDGED:
            outbox.delivered(tx, number, now, source=source)
        if found.receipt is not None and not self._relayed(tx, row):
            self.inbox.receipt_told(tx, row, _said(row, found.receipt, issues, now), now, source=source)
        elif row["state"] == GIVEN_UP:
            return
        elif found.receipt is None and found.carried is Carried.REJECTED:
            why = phrase(
                "the message server could not deliver it to HER-id {her_id} (Rejected)",
                her_id=str(found.her_id),
            )
            outbox.not_carried(tx, number, why, now)
        elif found.carried is Carried.UNCONFIRMED and now - _posted_at(tx, row) > LONGEST:
            hours = int(LONGEST.total_seconds() // 3600)
            why = phrase(
                "no transport receipt from HER-id {her_id} within {hours} h (Unconfirmed)",
                her_id=str(found.her_id),
                hours=hours,
            )
            outbox.not_carried(tx, number, why, now)

    def _relayed(self, tx: Connection, row: Row) -> bool:
        """Between two of theirs only the receipt's own document goes back, unaltered, when it comes."""
        register = self.inbox.register
        first = messages.get(tx, row["message_row"]) if row["message_row"] is not None else None
        ends = (register.party(first["sender"] or "") if first else None, register.party(row["party"]))
        return all(party is not None and party.side is Side.THEIRS for party in ends)

    def _tell(self, faults: list[Phrase]) -> None:
        """An alarm while the server cannot be asked; a commit only where something has changed."""
        subject = f"message server {self.server.name}"
        alarms = self.inbox.outbox.alarms
        if faults:
            log.error("message server cannot be asked", server=self.server.name, error="; ".join(faults))
            text = phrase("what became of posted messages cannot be asked: {faults}", faults=faults)
            self.store.write(
                lambda tx: alarms.start(tx, kind="mailbox", subject=subject, text=text, now=self.clock())
            )
        elif self._alarmed:
            self.store.write(lambda tx: alarms.end(tx, "mailbox", subject, self.clock()))
        self._alarmed = bool(faults)


def _fault(reply: Reply) -> Phrase:
    """Why the server gave no answer that can be used."""
    return reply.error or phrase("HTTP {status}", status=str(reply.status))


def _awaited(row: Row) -> bool:
    """Whether a receipt may still come for what has been posted."""
    return row["state"] in (SENT, GIVEN_UP) and row["accepted_at"] is None


def _said(row: Row, status: Status, issues: tuple[Issue, ...], now: datetime) -> Acknowledgement:
    """The receipt; the server does not say when it was given, so it counts from when we know it."""
    return Acknowledgement(
        original_id=row["message_id"],
        status=status,
        at=now,
        giver=Address(identifiers=()),
        issues=issues,
    )


def _posted_at(tx: Connection, row: Row) -> datetime:
    """When it was last posted, by the schedule or by a person."""
    sent = [one["at"] for one in deliveries.attempts(tx, [row["id"]]) if one["outcome"] == "sent"]
    found: datetime = max(sent, default=row["sent_at"])
    return found
