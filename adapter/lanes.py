"""What is taken back before it ever left is never sent, and what is newer goes in place of what still waits.

Only for what a party of ours has told, and only while nobody has tried to send it (process.md 6): once
attempted, also in vain, everything follows in order. What we relay is never superseded, dropped or reordered.
The log shows both sides: `cancelled`, with the delivery by which.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import Connection

from adapter.copies import Copy, anew, previous_to
from adapter.discharge.conversation import Key, key
from adapter.discharge.notices import Notice, NoticeKind, Standing, local_date
from adapter.discharge.superseding import (
    VERSIONED,
    cancelled,
    may_undo,
    of_readiness,
    thread,
    versions,
    withdrawn_since,
)
from adapter.errors import CannotWrite, MessageError
from adapter.mappings import Reading
from adapter.mappings.checking import Checks
from adapter.mappings.known import named
from adapter.messaging.delivery import DeliveryState
from adapter.messaging.envelope import Envelope
from adapter.messaging.register import Party, Side
from adapter.outbox import Outbox
from adapter.parcels import Parcel, enqueue
from adapter.phrases import Phrase, phrase
from adapter.store import cases as case_rows
from adapter.store import deliveries, messages
from adapter.store import lanes as rows
from adapter.store.statements import Row

_CANCELLED = DeliveryState.CANCELLED.value
_WAITING = DeliveryState.WAITING.value


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a notice stands in the lane of one receiver: after all else, in place of some, or nowhere."""

    copy: Copy
    notice: Notice  # what it is to this receiver: new where it corrects what that one has never had
    cancelled: Phrase | None = None  # why it is never sent
    by: int | None = None  # the delivery by which, where that is another
    undone: tuple[Row, ...] = ()  # the deliveries that it takes back, or that it replaces
    again: tuple[Row, ...] = ()  # what was cancelled for what this takes back, and must go after all
    remark: Phrase | None = None  # for the history


@dataclass(frozen=True, kw_only=True, slots=True)
class _Lane:
    """What one party has been told of a case by the sender of a notice, and all notices of the patient."""

    made: Sequence[Row]
    known: dict[Key, Notice]
    notice: Notice
    sender: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sender", self.notice.sender)

    def of(self, keys: Collection[Key]) -> list[Row]:
        return [row for row in self.made if (self.sender, row["told"]) in keys]

    def told(self, row: Row) -> Notice | None:
        return self.known.get((self.sender, row["told"]))

    @property
    def over(self) -> frozenset[Key]:
        return cancelled(self.known.values())


@dataclass(frozen=True, kw_only=True)
class Lanes:
    """The order of what ours tell others, and the exceptions from it."""

    outbox: Outbox
    checks: Checks

    def place(
        self,
        tx: Connection,
        copy: Copy,
        reading: Reading,
        notice: Notice,
        sender: Party,
        *,
        case_id: int,
        patient: str,
    ) -> Place:
        """Where a notice that has just become part of its case goes in the lane of one receiver.

        The rows on which that rests stay locked until the commit.
        """
        route, plain = copy.route, Place(copy=copy, notice=notice)
        sent_by_ours = sender.side is Side.OURS and not route.relayed and route.refusal is None
        if not sent_by_ours or route.receipted_on_storing or not may_undo(notice):
            return plain
        made = rows.told_to(tx, case_id, route.party.id, notice.sender)
        if not made:
            return plain
        facts = (fact for _, _, fact in case_rows.told(tx, patient))
        known = {key(fact): fact for fact in facts if isinstance(fact, Notice)}
        lane = _Lane(made=made, known=known, notice=notice)
        taken_back = self._taken_back(tx, lane, plain)
        if taken_back is not None:
            return self._with_what_returns(tx, lane, taken_back)
        if notice.standing is Standing.CANCELLATION:
            return self._with_what_returns(tx, lane, plain)
        if notice.standing is Standing.CORRECTION:
            plain = self._corrected(tx, lane, plain, reading, sender)
        return self._newer(tx, lane, plain, reading.envelope)

    # --- taking back ---

    def _taken_back(self, tx: Connection, lane: _Lane, plain: Place) -> Place | None:
        """Never sent, with what it takes back; None where some of that may have left, or there is nothing."""
        notice = lane.notice
        group: list[Row] = []
        if notice.standing is Standing.CANCELLATION:
            group = lane.of(thread(notice, lane.known.values()))
        elif notice.kind is NoticeKind.READINESS_WITHDRAWN:
            group = self._ready_until(lane)
        waiting = [row for row in group if row["state"] == _WAITING]
        untried = rows.untried(tx, [row["id"] for row in waiting])
        if not group or any(row["state"] != _CANCELLED and row["id"] not in untried for row in group):
            return None
        day = local_date(notice.occurred, self.outbox.cases.agreement.zone)
        parties = (notice.sender, plain.copy.route.party.id, notice.hospital)
        wanted = self.outbox.cases.agreement.trace_of_withdrawn(parties, day)
        if wanted is not None and waiting:
            trace = phrase("sent after what it takes back: {terms} wants the trace", terms=wanted)
            return replace(plain, remark=trace)
        why = phrase("it takes back what was never sent, so it is not sent either")
        return replace(plain, cancelled=why, undone=tuple(waiting))

    def _ready_until(self, lane: _Lane) -> list[Row]:
        """What a withdrawal takes back: the ready notices since the last one that has left, or will."""
        group: list[Row] = []
        over, zone = lane.over, self.outbox.cases.agreement.zone
        for earlier in of_readiness(lane.notice, lane.known.values(), zone):
            own = lane.of({key(earlier)})
            if earlier.kind is NoticeKind.READY_FOR_DISCHARGE:
                group += own
            elif key(earlier) not in over and any(row["state"] != _CANCELLED for row in own):
                group = []
        return group

    def _with_what_returns(self, tx: Connection, lane: _Lane, place: Place) -> Place:
        """What was cancelled for a notice stands again when that one is taken back itself: it must go."""
        if lane.notice.standing is not Standing.CANCELLATION:
            return place
        about = lane.of(thread(lane.notice, lane.known.values()))
        over = lane.over
        found = rows.cancelled_by(tx, [row["id"] for row in about])
        again = tuple(row for row in found if (row["sender"], row["told"]) not in over)
        return replace(place, again=again)

    # --- taking the place of another ---

    def _corrected(self, tx: Connection, lane: _Lane, plain: Place, reading: Reading, sender: Party) -> Place:
        """In place of what it corrects, as that was written, where the receiver has never had it."""
        group = lane.of(thread(lane.notice, lane.known.values()))
        free = rows.untried(tx, [row["id"] for row in group if row["state"] == _WAITING])
        if not group or not (free or all(row["state"] == _CANCELLED for row in group)):
            return plain
        if key(lane.notice) in lane.over:
            why = phrase("what it corrects has been cancelled before it was ever sent")
            return replace(plain, cancelled=why)
        withdrawn = None if free else self._withdrawn(tx, lane, group)
        if withdrawn is not None:
            why = phrase(
                "what it corrects was withdrawn by delivery {delivery} before it was ever sent",
                delivery=str(withdrawn),
            )
            return replace(plain, cancelled=why, by=withdrawn)
        undone = tuple(row for row in group if row["id"] in free)
        if any(rows.waited_for(tx, row["message_id"], row["party"], free) for row in undone):
            remark = phrase("goes after what it corrects, to which another message refers")
            return replace(plain, remark=remark)
        last = undone[-1] if undone else group[0]
        first = min(row["id"] for row in group)
        previous = previous_to(
            tx,
            plain.copy.route.party,
            sender,
            lane.notice.kind,
            plain.copy.dialect,
            case_id=last["case_id"],
            before=last["id"] if undone else first,
        )
        place = replace(plain, undone=undone)
        return self._in_place_of(lane, last, place, plain, reading, sender, previous)

    def _in_place_of(
        self,
        lane: _Lane,
        last: Row,
        place: Place,
        plain: Place,
        reading: Reading,
        sender: Party,
        previous: bytes | None,
    ) -> Place:
        before = lane.told(last)
        corrects = before is not None and before.standing is Standing.CORRECTION and last["refers_to"]
        standing = Standing.CORRECTION if corrects else Standing.NEW
        notice = replace(lane.notice, standing=standing, refers_to=last["refers_to"])
        try:
            copy = anew(
                place.copy,
                reading,
                notice,
                sender,
                self.checks,
                refers_to=last["refers_to"],
                previous=previous,
            )
        except (CannotWrite, MessageError) as error:
            remark = phrase(
                "goes after what it corrects, though that has not left: {why}"
                if place.undone  # else nothing is before it: the receiver must make of it what it can
                else "sent as a correction of what was never sent: {why}",
                why=error.said,
            )
            return replace(plain, remark=remark)
        return replace(place, copy=copy, notice=notice)

    def _withdrawn(self, tx: Connection, lane: _Lane, group: Sequence[Row]) -> int | None:
        """The withdrawal by which all of it was cancelled, where that still stands and comes after it."""
        zone = self.outbox.cases.agreement.zone
        for row in reversed(group):
            by = next((made for made in lane.made if made["id"] == row["superseded_by"]), None)
            told = lane.told(by) if by is not None else None
            if by is None or told is None or told.kind is not NoticeKind.READINESS_WITHDRAWN:
                continue
            if key(told) not in lane.over and withdrawn_since(lane.notice, told, zone):
                return int(by["id"])
        return None

    def _newer(self, tx: Connection, lane: _Lane, place: Place, envelope: Envelope) -> Place:
        """In place of every earlier version that still waits for the same service of the receiver."""
        if lane.notice.kind not in VERSIONED or place.cancelled is not None:
            return place
        known = lane.known.values()
        keys = versions(lane.notice, known, self.outbox.cases.agreement.zone)
        own = thread(lane.notice, known) if lane.notice.standing is not Standing.NEW else frozenset()
        older = [row for row in lane.of(keys - own) if row["state"] == _WAITING]
        if not older:
            return place
        here = self._services(envelope, place.copy.route.party)
        alike = [row for row in older if self._addressed(tx, row, place.copy.route.party) == here]
        free = rows.untried(tx, [row["id"] for row in alike])
        undone = [
            row
            for row in alike
            if row["id"] in free and not rows.waited_for(tx, row["message_id"], row["party"], free)
        ]
        return replace(place, undone=(*place.undone, *undone))

    def _services(self, envelope: Envelope, party: Party) -> frozenset[str]:
        """At which of a party's addresses a message is meant to be read."""
        day = envelope.sent_at.astimezone(self.outbox.cases.agreement.zone).date()
        found = ((address, self.outbox.register.resolve(address, day)) for address in envelope.receivers)
        return frozenset(address.token for address, there in found if there and there.id == party.id)

    def _addressed(self, tx: Connection, row: Row, party: Party) -> frozenset[str]:
        told = messages.get(tx, row["message_row"])
        content = messages.content(tx, told["payload"]) if told is not None else None
        if told is None or content is None:
            return frozenset()
        zone = self.outbox.cases.agreement.zone
        outside = named(told["dialect"]).envelope(content, content_type=told["content_type"], zone=zone)
        return self._services(outside, party)

    # --- what follows ---

    def settle(self, tx: Connection, place: Place, made: int, row: int, now: datetime) -> None:
        """Do what the place of the delivery `made` of message `row` asks for."""
        if place.remark is not None:
            self._note(tx, made, f"message {row}", place.remark, now)
        if place.cancelled is not None:
            deliveries.change(tx, made, superseded_by=place.by)
            never = phrase("never sent: {why}", why=place.cancelled)
            self._note(tx, made, f"delivery {made}", never, now)
        why = phrase(
            "taken back by delivery {delivery} before it was ever attempted"
            if place.cancelled is not None
            else "never attempted; delivery {delivery} goes in its place",
            delivery=str(made),
        )
        rows.cancel(tx, [one["id"] for one in place.undone], made, why)
        for one in place.undone:
            self.outbox.alarms.delivered(tx, f"delivery {one['id']}", now)
            deliveries.unpark(tx, one["message_id"], one["party"], now)
            never = phrase("never sent: {why}", why=why)
            self._note(tx, made, f"delivery {one['id']}", never, now)
        for one in place.again:
            self._send_after_all(tx, one, made, now)

    def _send_after_all(self, tx: Connection, old: Row, made: int, now: datetime) -> None:
        content = messages.content(tx, old["payload"])
        if content is None:
            gone = phrase("it should go after all, but its bytes are gone")
            self._note(tx, made, f"delivery {old['id']}", gone, now)
            return
        party = self.outbox.register.party(old["party"])
        endpoint = self.outbox.endpoint_for(party, old["kind"]) if party is not None else None
        fits = endpoint is not None and endpoint.dialect == old["dialect"]
        again = enqueue(
            tx,
            Parcel(
                kind=old["kind"],
                party=old["party"],
                endpoint=endpoint.name if endpoint is not None and fits else None,
                dialect=old["dialect"],
                message_id=old["message_id"],
                content=content,
                content_type=old["content_type"],
                kept=old["payload"],
                message_row=old["message_row"],
                case_id=old["case_id"],
                refers_to=old["refers_to"],
            ),
            now,
        )
        deliveries.change(tx, old["id"], superseded_by=again)
        self.outbox.telephoning.watch(tx, again, now)
        why = phrase(
            "sent after all as delivery {again}: delivery {delivery} takes back what it was cancelled for",
            again=str(again),
            delivery=str(made),
        )
        self._note(tx, made, f"delivery {old['id']}", why, now)

    def _note(self, tx: Connection, made: int, subject: str, what: Phrase, now: datetime) -> None:
        row = deliveries.get(tx, made)
        case_id = row["case_id"] if row is not None else None
        case_rows.note(tx, at=now, subject=subject, what=what, case_id=case_id)
