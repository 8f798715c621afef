"""A message comes in. Nothing is acknowledged before it is stored; start reading here.

`read` understands the bytes (pure, and the only validation there is); `accept` does the rest in one
transaction: known already? whose is it? fold it into the case, keep the bytes as they came, enqueue what must
go out, and say what the sender is told. A message is *refused* for good in the sender's own dialect, or
*quarantined* until our own data is right; either way it is kept with a reason that a person can act on.
"""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, tzinfo
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from adapter.answers import Answers
from adapter.cases import Cases, pseudonym
from adapter.copies import Copy, note_left_out
from adapter.discharge.case import Evidence, Fact, Step
from adapter.discharge.notices import Notice, NoticeKind, Standing
from adapter.duplicates import REUSED, Duplicates
from adapter.errors import (
    AdapterError,
    CannotWrite,
    MessageError,
    NotDecided,
    NotFound,
    Quarantined,
    Refused,
)
from adapter.fhir.bundles import Subject, checks, synthetic
from adapter.fhir.protecting import as_protected, protects
from adapter.fhir.subscriptions import CARE_PLAN_CHANGED
from adapter.incoming import BOARD, Incoming, Prepared, fault_of_ours, heard_from, understand
from adapter.judging import Judge
from adapter.lanes import Lanes
from adapter.mappings import Reading, kith
from adapter.mappings.checking import NO_CHECKS, Checks, few
from adapter.messaging.acknowledgement import Acknowledgement, Issue, Status
from adapter.messaging.addressing import unknown_service
from adapter.messaging.delivery import Leased
from adapter.messaging.envelope import Address, Envelope
from adapter.messaging.practices import Answer, practice
from adapter.messaging.register import Partner, Party, Register
from adapter.messaging.routing import NOT_RELEVANT, Route, only_relevant, refused_by_all, routes
from adapter.originals import Originals
from adapter.outbox import Outbox, Receipted, because
from adapter.parcels import Parcel, enqueue
from adapter.phrases import Code, Phrase, phrase, verbatim
from adapter.reissuing import Reissuing
from adapter.relay import pass_on, relays
from adapter.relevance import Relevance, Rosters, nobody
from adapter.shelves import Shelves
from adapter.store import Store, deliveries, erased, mailboxes, messages, protections
from adapter.store import cases as case_rows
from adapter.store.savepoint import savepoint
from adapter.store.statements import Row
from adapter.twins import first_of, settled

STORED_HERE = "stored for its board"
"""Where we know it from that a party whose board is its system has received: we have stored it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Acceptance:
    """What became of a message, and what its sender is told."""

    outcome: str  # accepted, duplicate, refused, quarantined, not-relevant
    reason: Phrase | None = None
    code: str | None = None
    case_id: int | None = None
    acknowledgement: bytes | None = field(default=None, repr=False)
    acknowledgement_type: str | None = None
    message_row: int | None = None
    sender: str | None = None
    type: str | None = None
    dialect: str | None = None
    warning: Phrase | None = None
    receipt: bool = False  # it was somebody's receipt, which is not answered itself
    first: str | None = None  # of a duplicate: what became of the message when it first came
    kept: bool = True  # False: nobody may keep what it says, in a mailbox neither


@dataclass(frozen=True, kw_only=True, slots=True)
class Recheck:
    """What releasing a held message would do now; without a problem it would be taken."""

    problem: Phrase | None = None
    sender: Address | None = None
    receivers: tuple[
        tuple[Address, str | None], ...
    ] = ()  # each with the party that the register knows by it
    to: tuple[str, ...] = ()  # the parties that would get it
    same_as: int | None = None  # the message that was taken meanwhile under its id; then it is only closed


@dataclass(frozen=True, kw_only=True)
class Inbox:
    """The door: one store, one register, one outbox."""

    store: Store
    cases: Cases
    outbox: Outbox
    register: Register
    shelves: Shelves
    zone: tzinfo
    pseudonym_key: bytes = field(repr=False)
    new_id: Callable[[], str]
    clock_tolerance: timedelta = timedelta(minutes=10)
    checks: Checks = NO_CHECKS
    rosters: Rosters = nobody

    def accept(self, incoming: Incoming, now: datetime) -> Acceptance:
        """Read and take a message; returns after the commit."""
        prepared = self.read(incoming)
        return self.store.write(lambda tx: self.take(tx, prepared, now))

    @property
    def _judge(self) -> Judge:
        return Judge(
            register=self.register,
            zone=self.zone,
            pseudonym_key=self.pseudonym_key,
            clock_tolerance=self.clock_tolerance,
            cases=self.cases,
            checks=self.checks,
        )

    @property
    def _answers(self) -> Answers:
        return Answers(
            outbox=self.outbox,
            register=self.register,
            zone=self.zone,
            key=self.pseudonym_key,
            checks=self.checks,
        )

    @property
    def _duplicates(self) -> Duplicates:
        return Duplicates(outbox=self.outbox, answers=self._answers, read=self.read)

    @property
    def _originals(self) -> Originals:
        return Originals(alarms=self.outbox.alarms, cases=self.cases)

    def read(self, incoming: Incoming) -> Prepared:
        """Recognise, read, validate. Never raises for anything that a message can contain."""
        return understand(incoming, self.zone, self.checks)

    @property
    def _relevance(self) -> Relevance:
        return Relevance(register=self.register, zone=self.zone, key=self.pseudonym_key, rosters=self.rosters)

    # --- taking: one transaction ---

    def take(self, tx: Connection, prepared: Prepared, now: datetime) -> Acceptance:
        """Store a message and everything that follows from it.

        Where we stumble over it ourselves, what we had begun is taken back and the message is held.
        Raises NotDecided where it cannot be said whether anybody may keep it: then nothing is stored.
        """
        prepared = self._relevance.weighed(tx, prepared, now)
        try:
            with savepoint(tx):
                done = self._take(tx, prepared, now)
        except (AdapterError, SQLAlchemyError):
            raise
        except Exception as fault:  # noqa: BLE001  # a fault of ours must not lose a message of theirs
            done = self._hold(tx, replace(prepared, reading=None), None, fault_of_ours(fault), now)
        return replace(done, kept=prepared.kept)

    def _take(self, tx: Connection, prepared: Prepared, now: datetime) -> Acceptance:
        incoming = prepared.incoming
        # what a folder has of a message that is not kept is deleted; should we die first, it comes again
        remembered = prepared.kept or incoming.cursor is not None
        if incoming.mailbox is not None and incoming.key is not None and remembered:
            mailboxes.taken(tx, incoming.mailbox, incoming.key, now, incoming.cursor)
        reading = prepared.reading
        if reading is None:
            return self._hold(tx, prepared, None, _problem(prepared), now)
        try:
            sender = self._judge.sender(reading.envelope, incoming, now)
        except MessageError as problem:
            held = messages.held_unread(tx, incoming.content)
            if held is not None:
                return _again_unread(tx, held, reading.envelope)
            return self._hold(tx, prepared, None, _of_what_is_left(prepared, problem), now)
        known = messages.known(tx, sender.id, reading.envelope.message_id)
        if not prepared.kept and known is None and not isinstance(prepared.problem, Refused):
            return self._not_relevant(tx, prepared, reading, sender, now)
        if known is not None:
            return self._known_already(tx, prepared, reading, known, sender, now)
        if reading.acknowledgement is not None and prepared.problem is None:
            return self._receipt_once(tx, prepared, reading, sender, now)
        try:
            prepared = heard_from(sender.kind, prepared, self.zone)
            reading = self._as_known(tx, prepared, prepared.reading or reading)
            copies = self._judge.copies(tx, prepared, reading, sender, now)
            self._answers.possible(reading.envelope, [copy.route for copy in copies], now)
            self._undoes_nothing(tx, prepared, reading, sender)
        except MessageError as problem:
            return self._relayed_or_held(tx, prepared, reading, sender, problem, now)
        first = self._first(tx, prepared, sender, now)
        if first is not None:
            return self._same_for_another(tx, prepared, reading, sender, copies, first, now)
        return self._accepted(tx, prepared, reading, sender, copies, now)

    def release(
        self, tx: Connection, row: int, now: datetime, *, by: str | None, why: str | None = None
    ) -> Acceptance:
        """Take a quarantined message after our own data has been corrected; never one that was refused."""
        held, incoming = self._held(tx, row)
        try:
            prepared = self._relevance.weighed(tx, self.read(incoming), now)
        except NotDecided as why_not:
            return _still_held(held, Quarantined(why_not.said, code="not-decided"))
        reading = prepared.reading
        if reading is None:
            return _still_held(held, _problem(prepared))
        try:
            sender, before = self._sent_before(tx, prepared, reading, incoming, row, now)
            if before is None and not prepared.kept:
                return self._not_relevant(tx, prepared, reading, sender, now, row=row, by=by)
            if before is not None:
                return self._came_meanwhile(tx, row, before, reading.envelope, now, by=by)
            if reading.acknowledgement is not None and prepared.problem is None:
                return self._receipt_released(tx, held, prepared, reading, sender, now, by=by)
            prepared, reading, copies = self._to_be_taken(tx, prepared, reading, sender, now)
        except MessageError as problem:
            return _still_held(held, problem)
        self.outbox.alarms.end(tx, "quarantined", f"message {row}", now)
        what = because(phrase("released from quarantine"), why)
        case_rows.note(tx, at=now, subject=f"message {row}", what=what, case_id=None, by=by)
        first = self._first(tx, prepared, sender, now)
        if first is not None:
            return self._same_for_another(tx, prepared, reading, sender, copies, first, now, row=row)
        return self._accepted(tx, prepared, reading, sender, copies, now, row=row)

    def recheck(self, tx: Connection, row: int, now: datetime) -> Recheck:
        """What releasing a quarantined message would do now; nothing is changed. NotFound as `release`."""
        held, incoming = self._held(tx, row)
        prepared = self.read(incoming)
        reading = prepared.reading
        if reading is None:
            return Recheck(problem=_problem(prepared).reason)
        receivers = tuple(
            (one, found.id if found is not None else None)
            for one in reading.envelope.receivers
            for found in [self.register.resolve(one, held["received_at"].astimezone(self.zone).date())]
        )
        known = Recheck(sender=reading.envelope.sender, receivers=receivers)
        try:
            prepared = self._relevance.weighed(tx, prepared, now)
        except NotDecided as why_not:
            return replace(known, problem=why_not.said)
        try:
            sender, before = self._sent_before(tx, prepared, reading, incoming, row, now)
            if before is not None:
                return replace(known, same_as=before["id"])
            answered_only = reading.acknowledgement is not None and prepared.problem is None
            if answered_only or not prepared.kept:
                return known
            _, _, copies = self._to_be_taken(tx, prepared, reading, sender, now)
        except MessageError as problem:
            return replace(known, problem=problem.reason)
        return replace(known, to=tuple(copy.route.party.id for copy in copies))

    def _held(self, tx: Connection, row: int) -> tuple[Row, Incoming]:
        """A message in quarantine, as it would come in now."""
        held = messages.get(tx, row)
        if held is None:
            raise NotFound(
                phrase(
                    "there is no message {message}; `discharge-adapter quarantine` lists what is held",
                    message=str(row),
                )
            )
        if held["outcome"] != "quarantined":
            raise NotFound(
                phrase(
                    "message {message} is {outcome}, not quarantined: what has been answered is final; "
                    "ask the sender to correct it and send it under a new id",
                    message=str(row),
                    outcome=_in_words(held["outcome"]),
                )
            )
        content = messages.content(tx, held["payload"])
        if content is None:
            raise NotFound(
                phrase(
                    "the bytes of message {message} are gone: retention has removed them", message=str(row)
                )
            )
        partner = self.register.speaker(held["partner"]) if held["partner"] is not None else None
        if held["partner"] is not None and partner is None:
            raise NotFound(
                phrase(
                    "message {message} came from the partner {partner}, which the region file no longer has",
                    message=str(row),
                    partner=held["partner"],
                )
            )
        incoming = Incoming(
            content=content, content_type=held["content_type"], channel="release", partner=partner
        )
        return held, incoming

    def _sent_before(
        self,
        tx: Connection,
        prepared: Prepared,
        reading: Reading,
        incoming: Incoming,
        row: int,
        now: datetime,
    ) -> tuple[Party, Row | None]:
        """Who sent a held message, and the one that was taken meanwhile under the same id."""
        sender = self._judge.sender(reading.envelope, incoming, now)
        before = messages.known(tx, sender.id, reading.envelope.message_id)
        if before is None or before["id"] == row:
            return sender, None
        if not self._duplicates.same(tx, before, prepared):
            raise _reused(before)
        return sender, before

    def _to_be_taken(
        self, tx: Connection, prepared: Prepared, reading: Reading, sender: Party, now: datetime
    ) -> tuple[Prepared, Reading, list[Copy]]:
        """A held message judged anew; raises what still stands in its way."""
        prepared = heard_from(sender.kind, prepared, self.zone)
        reading = self._as_known(tx, prepared, prepared.reading or reading)
        copies = self._judge.copies(tx, prepared, reading, sender, now)
        self._answers.possible(reading.envelope, [copy.route for copy in copies], now)
        self._undoes_nothing(tx, prepared, reading, sender)
        return prepared, reading, copies

    def _came_meanwhile(
        self,
        tx: Connection,
        row: int,
        before: Row,
        envelope: Envelope,
        now: datetime,
        *,
        by: str | None,
    ) -> Acceptance:
        """A held message whose like has been taken since: it is over, and there is no second receipt."""
        why = phrase(
            "the same as message {message}, which was {outcome}",
            message=str(before["id"]),
            outcome=_in_words(before["outcome"]),
        )
        messages.change(tx, row, outcome="released", reason=why)
        self.outbox.alarms.end(tx, "quarantined", f"message {row}", now)
        case_rows.note(tx, at=now, subject=f"message {row}", what=why, case_id=before["case_id"], by=by)
        return Acceptance(
            outcome="duplicate",
            reason=why,
            case_id=before["case_id"],
            message_row=row,
            type=envelope.type,
            dialect=envelope.dialect,
        )

    def reissue(
        self,
        tx: Connection,
        delivery_id: int,
        now: datetime,
        *,
        to: str | None,
        by: str | None,
        why: str | None = None,
    ) -> int:
        """Write the notice of a delivery anew, with new ids, for a corrected address; closes the old one."""
        reissuing = Reissuing(
            outbox=self.outbox,
            register=self.register,
            zone=self.zone,
            new_id=self.new_id,
            checks=self.checks,
            read=self.read,
            relevance=self._relevance,
            as_known=self._as_known,
        )
        return reissuing.reissue(tx, delivery_id, now, to=to, by=by, why=why)

    # --- relevant to anybody? ---

    def _not_relevant(
        self,
        tx: Connection,
        prepared: Prepared,
        reading: Reading,
        sender: Party,
        now: datetime,
        *,
        row: int | None = None,
        by: str | None = None,
    ) -> Acceptance:
        """Acknowledged, and forgotten: only that it came and its hash are stored (D-09).

        With `row` it had been held, and somebody has released it.
        """
        envelope = reading.envelope
        day = now.astimezone(self.zone).date()
        ways = routes(self.register, envelope, sender, day=day, reserved=False)
        ways = only_relevant(ways, prepared.not_for)
        try:
            self._judge.own_transmission(tx, envelope, sender)
            if (nobody := refused_by_all(ways)) is not None:
                raise Refused(verbatim(nobody.text), code=nobody.code)
        except Refused as problem:
            return self._hold(tx, prepared, sender, problem, now)
        reason = phrase(
            "the patient is none of {parties}'s own: nothing of what it says was stored",
            parties=sorted(prepared.not_for),
        )
        if row is None:
            said = {"outcome": NOT_RELEVANT, "reason": reason}
            row = messages.add(tx, _message_row(tx, prepared, sender, now) | said)
        else:
            self._forget_held(tx, row, prepared, sender, reason, now, by=by)
        answer, answer_type = self._answers.receipts(
            tx,
            envelope,
            ways,
            sender,
            row,
            now,
            awaited=prepared.incoming.awaited,
            board=prepared.incoming.channel == BOARD,
        )
        kept = messages.keep(tx, answer) if answer is not None else None
        messages.change(tx, row, acknowledgement=kept, acknowledgement_type=answer_type)
        return Acceptance(
            outcome=NOT_RELEVANT,
            reason=reason,
            acknowledgement=answer,
            acknowledgement_type=answer_type,
            message_row=row,
            sender=sender.id,
            type=envelope.type,
            dialect=envelope.dialect,
        )

    def _forget_held(
        self,
        tx: Connection,
        row: int,
        prepared: Prepared,
        sender: Party,
        reason: Phrase,
        now: datetime,
        *,
        by: str | None,
    ) -> None:
        """A held message of which it is known by now that nobody may keep it."""
        subject, digest = f"message {row}", hashlib.sha256(prepared.incoming.content).digest()
        messages.change(tx, row, outcome=NOT_RELEVANT, reason=reason, sender=sender.id, code=None)
        erased.content_of(tx, row, digest, now)
        self.outbox.alarms.end(tx, "quarantined", subject, now)
        case_rows.note(tx, at=now, subject=subject, what=reason, case_id=None, by=by)

    # --- known already? ---

    def _known_already(
        self, tx: Connection, prepared: Prepared, reading: Reading, known: Row, sender: Party, now: datetime
    ) -> Acceptance:
        """A message under a known id: the same once more, or another that must not be lost."""
        if prepared.kept and not self._duplicates.same(tx, known, prepared):
            if practice(reading.envelope.dialect).duplicates is not Answer.ANEW:
                return self._hold_reused(tx, prepared, known, now)
            self._keep_reused(tx, prepared, known, now)
        elif reading.acknowledgement is not None and practice(reading.envelope.dialect).newest_counts:
            self._claimed(tx, reading.acknowledgement, sender, known["id"], now, repeated=True)
        return self._again(tx, known, prepared, reading.envelope, sender, now)

    def _keep_reused(self, tx: Connection, prepared: Prepared, known: Row, now: datetime) -> None:
        """To its sender it is a duplicate all the same (T4); its bytes are kept, and a person is told."""
        before = self._duplicates.kept(tx, prepared)
        if before is not None:
            messages.came_again(tx, before)
            return
        reason = phrase(
            "it says something else than message {message} under the same id, and was answered as a "
            "duplicate of that; telephone the sender: it must send this under an id of its own",
            message=str(known["id"]),
        )
        told = {"outcome": "quarantined", "code": REUSED, "reason": reason}
        row = messages.add(tx, _message_row(tx, prepared, None, now) | told)
        subject = f"message {row}"
        text = phrase("held: {why}", why=reason)
        self.outbox.alarms.start(tx, kind="quarantined", subject=subject, text=text, now=now)

    def _hold_reused(self, tx: Connection, prepared: Prepared, known: Row, now: datetime) -> Acceptance:
        """Another message under a known id: taking it for a duplicate would lose it."""
        assert prepared.reading is not None
        held = messages.held_unread(tx, prepared.incoming.content)
        if held is not None:
            return _again_unread(tx, held, prepared.reading.envelope)
        return self._hold(tx, prepared, None, _reused(known), now)

    def _again(
        self, tx: Connection, known: Row, prepared: Prepared, envelope: Envelope, sender: Party, now: datetime
    ) -> Acceptance:
        """The answer to a message that has come before, which changes nothing."""
        messages.came_again(tx, known["id"])
        answer, answer_type = self._duplicates.answer(tx, known, prepared, sender, now)
        return Acceptance(
            outcome="duplicate",
            reason=_came_before(known["outcome"]),
            first=known["outcome"],
            case_id=known["case_id"],
            acknowledgement=answer,
            acknowledgement_type=answer_type,
            message_row=known["id"],
            sender=sender.id,
            type=envelope.type,
            dialect=envelope.dialect,
        )

    # --- said already, to another receiver of the same organisation? ---

    def _first(self, tx: Connection, prepared: Prepared, sender: Party, now: datetime) -> Row | None:
        return first_of(tx, prepared, sender, register=self.register, zone=self.zone, now=now)

    def _same_for_another(
        self,
        tx: Connection,
        prepared: Prepared,
        reading: Reading,
        sender: Party,
        copies: list[Copy],
        first: Row,
        now: datetime,
        *,
        row: int | None = None,
    ) -> Acceptance:
        """It is acknowledged for its own receivers, and changes nothing: no notice, no task, no deadline."""
        why = phrase(
            "the same as message {message}, for another receiver of the same organisation",
            message=str(first["id"]),
        )
        said = {"case_id": first["case_id"], "same_as": first["id"], "reason": why}
        if row is None:
            row = messages.add(tx, _message_row(tx, prepared, sender, now) | said | {"outcome": "accepted"})
        else:
            messages.change(tx, row, outcome="released", sender=sender.id, **said)
        case_rows.note(tx, at=now, subject=f"message {row}", what=why, case_id=first["case_id"])
        assert prepared.subject is not None
        patient = pseudonym(self.pseudonym_key, prepared.subject)
        second = (sender.id, reading.envelope.message_id)
        self._originals.same(tx, patient, second, first["message_id"], now)
        answer, answer_type = self._answers.receipts(
            tx,
            reading.envelope,
            [copy.route for copy in copies],
            sender,
            row,
            now,
            awaited=prepared.incoming.awaited,
            board=prepared.incoming.channel == BOARD,
            settled=settled(tx, first),
        )
        if answer is not None:
            kept = messages.keep(tx, answer)
            messages.change(tx, row, acknowledgement=kept, acknowledgement_type=answer_type)
        self._relay_twin(tx, prepared, reading, copies, first, row, now)
        return Acceptance(
            outcome="accepted",
            reason=why,
            case_id=first["case_id"],
            acknowledgement=answer,
            acknowledgement_type=answer_type,
            message_row=row,
            sender=sender.id,
            type=reading.envelope.type,
            dialect=reading.envelope.dialect,
        )

    def _relay_twin(
        self,
        tx: Connection,
        prepared: Prepared,
        reading: Reading,
        copies: list[Copy],
        first: Row,
        row: int,
        now: datetime,
    ) -> None:
        """What is only relayed goes on all the same: between two of theirs nothing is dropped by us."""
        assert prepared.notice is not None
        for copy in _one_a_party([copy for copy in copies if copy.route.relayed]):
            kept = messages.keep(tx, copy.content)
            self._forward(tx, reading.envelope, prepared.notice, copy, row, first["case_id"], kept, now)

    # --- accepting ---

    def _undoes_nothing(self, tx: Connection, prepared: Prepared, reading: Reading, sender: Party) -> None:
        """A plan that another party has changed meanwhile is not overwritten: a person puts both together."""
        if prepared.notice is None or prepared.subject is None or reading.bundle is None:
            return
        if prepared.notice.kind is not NoticeKind.CARE_PLAN:
            return
        patient = pseudonym(self.pseudonym_key, prepared.subject)
        case_rows.alone_with(tx, patient)
        why = self.shelves.overtaken(tx, reading.bundle, patient, sender.id)
        if why is not None:
            raise Quarantined(why, code="conflict")

    def _as_known(self, tx: Connection, prepared: Prepared, reading: Reading) -> Reading:
        """The message, marked where the patient is known to be protected and it does not say so itself."""
        if prepared.subject is None or reading.bundle is None:
            return reading
        if not protections.is_protected(tx, pseudonym(self.pseudonym_key, prepared.subject)):
            return reading
        return replace(reading, bundle=as_protected(reading.bundle))

    def _accepted(
        self,
        tx: Connection,
        prepared: Prepared,
        reading: Reading,
        sender: Party,
        copies: list[Copy],
        now: datetime,
        *,
        row: int | None = None,
    ) -> Acceptance:
        envelope = reading.envelope
        assert prepared.notice is not None and prepared.subject is not None
        routes = [copy.route for copy in copies]
        notice = self._judge.as_parties(
            tx, prepared.notice, sender, routes, now, conversation=envelope.conversation
        )
        values = _message_row(tx, prepared, sender, now)
        if row is None:
            row = messages.add(tx, values | {"outcome": "accepted", "reason": _not_valid(reading)})
        else:
            messages.change(
                tx,
                row,
                outcome="released",
                sender=sender.id,
                standing=prepared.notice.standing.value,
                likeness=values["likeness"],
            )
        learned: list[tuple[Fact, int | None]] = [(notice, row)]
        for copy in _one_a_party(copies):
            if copy.route.receipted_on_storing:
                learned += [(e, None) for e in _on_storing(notice, copy.route.party, now)]
        patient = pseudonym(self.pseudonym_key, prepared.subject)
        home = self.cases.learn(tx, patient, learned, now)
        case_id = home[(notice.sender, notice.message_id)]
        if reading.bundle is not None and protects(reading.bundle["entry"]):
            protections.tell(tx, patient, by=sender.id, message=row, at=now)
        self._originals.taken(tx, notice, home, row=row, case_id=case_id, patient=patient, now=now)
        lanes = Lanes(outbox=self.outbox, checks=self.checks)
        for copy in _one_a_party(copies):
            place = lanes.place(tx, copy, reading, notice, sender, case_id=case_id, patient=patient)
            kept = values["payload"] if place.copy.content is prepared.incoming.content else None
            made = self._forward(
                tx, envelope, place.notice, place.copy, row, case_id, kept, now, never=place.cancelled
            )
            if made is not None:
                lanes.settle(tx, place, made, row, now)
        answer, answer_type = self._answers.receipts(
            tx,
            envelope,
            routes,
            sender,
            row,
            now,
            awaited=prepared.incoming.awaited,
            board=prepared.incoming.channel == BOARD,
        )
        messages.change(
            tx,
            row,
            case_id=case_id,
            acknowledgement=messages.keep(tx, answer) if answer is not None else None,
            acknowledgement_type=answer_type,
        )
        if not notice.reserved:  # only the addressed receiver may have it, and it has been sent to that one
            self.outbox.subscriptions.told(tx, notice, case_id=case_id, patient=patient, now=now)
        if notice.kind is NoticeKind.CARE_PLAN and not notice.reserved:
            self._plan_changed(tx, row, case_id, patient, now)
        return Acceptance(
            outcome="accepted",
            case_id=case_id,
            acknowledgement=answer,
            acknowledgement_type=answer_type,
            message_row=row,
            sender=sender.id,
            type=envelope.type,
            dialect=envelope.dialect,
            warning=_all(
                _not_valid(reading),
                self._warning(tx, envelope, prepared.subject, row, now),
                self._unknown_services(tx, envelope, routes, row, case_id, now),
            ),
        )

    def _plan_changed(self, tx: Connection, row: int, case_id: int, patient: str, now: datetime) -> None:
        """Whoever takes part in a plan may have asked to be told of its changes."""
        for name, parties in self.shelves.plans_in(tx, row, patient).items():
            self.outbox.subscriptions.occurred(
                tx,
                topic=CARE_PLAN_CHANGED,
                case_id=case_id,
                patient=patient,
                focus=name,
                parties=parties,
                now=now,
            )

    def _warning(
        self, tx: Connection, envelope: Envelope, subject: Subject, row: int, now: datetime
    ) -> Phrase | None:
        """A number that is nobody's, or in evaluation mode a real person's; it is never repeated itself."""
        norwegian = envelope.dialect in kith.NAMES  # whose receipt has no word for it (N-05)
        if norwegian and not all(checks(system, value) for system, value in subject.identifiers):
            warning = phrase(
                "the patient's identity number fails its check digits; the message was taken, ask its sender "
                "by telephone whom it is about"
            )
            alarms = self.outbox.alarms
            alarms.start(tx, kind="identity-number", subject=f"message {row}", text=warning, now=now)
            return warning
        if not self.register.open or all(synthetic(s, v) is not False for s, v in subject.identifiers):
            return None
        warning = phrase(
            "the patient's identity number is not marked as synthetic (month + 40, + 65 or + 80); use test "
            "persons only, and remove this store if it was a real one"
        )
        self.outbox.alarms.start(tx, kind="not-synthetic", subject=f"message {row}", text=warning, now=now)
        return warning

    def _unknown_services(
        self,
        tx: Connection,
        envelope: Envelope,
        routes: Sequence[Route],
        row: int,
        case_id: int,
        now: datetime,
    ) -> Phrase | None:
        """A message to a service that nobody knows is its organisation's; somebody must be told (N-05)."""
        warnings = []
        for route in routes:
            stranger = unknown_service(route.party, envelope.receivers[route.index])
            if stranger is None or route.relayed or route.refusal is not None:
                continue
            text = phrase(
                "{party} has no service {service} in the region file, so the message was taken at "
                "the organisation; add the service, or tell the sender the right address",
                party=route.party.id,
                service=stranger,
            )
            subject = f"service {stranger} of {route.party.id}"
            self.outbox.alarms.start(tx, kind="unknown-service", subject=subject, text=text, now=now)
            case_rows.note(tx, at=now, subject=f"message {row}", what=text, case_id=case_id)
            warnings.append(text)
        return _all(*warnings)

    def _forward(
        self,
        tx: Connection,
        envelope: Envelope,
        notice: Notice,
        copy: Copy,
        row: int,
        case_id: int,
        kept: bytes | None,
        now: datetime,
        *,
        never: Phrase | None = None,
    ) -> int | None:
        """Enqueue one receiver's copy; `kept` is its hash where it is the bytes as they came.

        `never` is why it is only written into the log. None where there is nothing to enqueue.
        """
        route = copy.route
        if route.refusal is not None:
            what = phrase("not passed on to {party}: {why}", party=route.party.id, why=route.refusal.text)
            case_rows.note(tx, at=now, subject=f"message {row}", what=what, case_id=case_id)
            return None
        if route.endpoint is None and route.receipted_on_storing and not self.register.open:
            return None  # its board is its system: there is nowhere to send it on to
        due_at = self._due(tx, case_id, notice, route.party.id)
        made = enqueue(
            tx,
            Parcel(
                kind=notice.kind.value,
                party=route.party.id,
                endpoint=route.endpoint.name if route.endpoint else None,
                dialect=copy.dialect,
                message_id=copy.message_id,
                content=copy.content,
                content_type=copy.content_type,
                kept=kept,
                message_row=row,
                case_id=case_id,
                refers_to=copy.refers_to,
                hold_until=self._overtaking(notice, due_at, now),
                look_at=self.outbox.telephoning.first_look(notice.kind, due_at, now),
                cancelled=never,
            ),
            now,
        )
        if copy.left_out and never is None:
            note_left_out(tx, copy.left_out, notice.kind, route.party, row, case_id, now)
        return made

    def _due(self, tx: Connection, case_id: int, notice: Notice, receiver: str) -> datetime | None:
        """When the first deadline is due that this very notice would meet."""
        if notice.standing is Standing.CANCELLATION:
            return None
        return self.cases.due_for(tx, case_id, notice.kind, (notice.sender, receiver))

    def _overtaking(self, notice: Notice, due_at: datetime | None, now: datetime) -> datetime | None:
        """From when this may overtake an earlier message that is still backing off in its lane.

        A deadline that this very notice would meet gives it the right; what takes back or corrects an
        earlier message follows it in order, always.
        """
        if notice.standing is not Standing.NEW or notice.kind is NoticeKind.READINESS_WITHDRAWN:
            return None
        return max(now, due_at - self.outbox.lead_time) if due_at is not None else None

    # --- receipts that come back ---

    def _receipt_once(
        self, tx: Connection, prepared: Prepared, reading: Reading, giver: Party, now: datetime
    ) -> Acceptance:
        """A receipt in a Bundle whose id another message had is an error, where Bundles are told apart."""
        envelope = reading.envelope
        if practice(envelope.dialect).renews:
            try:
                self._judge.own_transmission(tx, envelope, giver)
            except Refused as problem:
                why = phrase("{why}; ask {party} which of the two holds", why=problem.reason, party=giver.id)
                return self._hold(tx, prepared, giver, Quarantined(why, code=problem.code), now)
        return self._receipt(tx, prepared, reading, giver, now)

    def _receipt(
        self, tx: Connection, prepared: Prepared, reading: Reading, giver: Party, now: datetime
    ) -> Acceptance:
        """Somebody's receipt for what we sent: never acknowledged itself, passed back to who waits for it."""
        said, envelope = reading.acknowledgement, reading.envelope
        assert said is not None
        values = _message_row(tx, prepared, giver, now)
        values |= {"outcome": "accepted", "reason": _not_valid(reading)}
        row = messages.add(tx, values)
        found = self._claimed(tx, said, giver, row, now)
        if found is None:
            problem = Quarantined(
                phrase(
                    "{party} gives a receipt for a message that we have not sent to it; compare the two logs",
                    party=giver.id,
                ),
                code="unknown-original",
            )
            messages.change(tx, row, outcome="quarantined", code=problem.code, reason=problem.reason)
            self._tell_of_quarantine(tx, row, problem.reason, now)
            return _outcome("quarantined", problem, row, envelope, giver.id)
        messages.change(tx, row, case_id=found.delivery["case_id"])
        return self._counted(tx, found, prepared, reading, giver, row, now)

    def _claimed(
        self,
        tx: Connection,
        said: Acknowledgement,
        giver: Party,
        row: int,
        now: datetime,
        *,
        repeated: bool = False,
    ) -> Receipted | None:
        """The delivery that a receipt is for, to whichever party its giver speaks for."""
        source = f"message {row}"
        givers = self.register.spoken_for(giver)
        claims = (
            self.outbox.receipt(tx, said, party, now, source=source, repeated=repeated) for party in givers
        )
        return next((claim for claim in claims if claim is not None), None)

    def _counted(
        self,
        tx: Connection,
        found: Receipted,
        prepared: Prepared,
        reading: Reading,
        giver: Party,
        row: int,
        now: datetime,
    ) -> Acceptance:
        """A receipt has found its delivery: it is passed back, where somebody waits for it."""
        said, envelope = reading.acknowledgement, reading.envelope
        assert said is not None
        of_one_more = not found.news and self._answers.relayed(found)
        if (found.news or of_one_more) and found.status in (Status.ACCEPTED, Status.REFUSED):
            self._answers.pass_back(
                tx, found, said.issues, prepared.incoming.content, envelope.content_type, now
            )
        return Acceptance(
            outcome="accepted",
            case_id=found.delivery["case_id"],
            message_row=row,
            sender=giver.id,
            type=envelope.type,
            dialect=envelope.dialect,
            warning=_not_valid(reading),
            receipt=True,
        )

    def _receipt_released(
        self,
        tx: Connection,
        held: Row,
        prepared: Prepared,
        reading: Reading,
        giver: Party,
        now: datetime,
        *,
        by: str | None,
    ) -> Acceptance:
        """A receipt that came before its message was known, which a restore had lost."""
        row, said = held["id"], reading.acknowledgement
        assert said is not None
        found = self._claimed(tx, said, giver, row, now)
        if found is None:
            why = phrase("a receipt for a message that we have not sent")
            return _still_held(held, Quarantined(why, code="unknown-original"))
        case_id = found.delivery["case_id"]
        messages.change(tx, row, outcome="released", sender=giver.id, case_id=case_id)
        self.outbox.alarms.end(tx, "quarantined", f"message {row}", now)
        what = phrase(
            "released from quarantine: the receipt of delivery {delivery}",
            delivery=str(found.delivery["id"]),
        )
        case_rows.note(tx, at=now, subject=f"message {row}", what=what, case_id=case_id, by=by)
        return self._counted(tx, found, prepared, reading, giver, row, now)

    def speaks_for(self, prepared: Prepared, leased: Leased) -> bool:
        """Whether the receipt in a response is given by the party that the message was sent to."""
        reading = prepared.reading
        if reading is None or reading.acknowledgement is None:
            return True
        must_be_named = practice(reading.envelope.dialect).named_giver
        if not reading.envelope.sender.identifiers:
            return not must_be_named  # it names nobody else
        named = self.register.known_at(
            reading.envelope.sender, leased.created_at.astimezone(self.zone).date()
        )
        unnamed = not named and not must_be_named
        return unnamed or any(leased.party in self.register.spoken_for(party) for party in named)

    def reply(self, tx: Connection, prepared: Prepared, leased: Leased, now: datetime) -> None:
        """A message that came back in the response to one of ours: a receipt, or the receiver's own message.

        Whoever answers at the endpoint speaks for the party that it was sent to, and for nobody else.
        """
        reading = prepared.reading
        if reading is None or prepared.problem is not None:
            return
        if reading.acknowledgement is None:
            speaker = Partner(name=leased.endpoint, parties=(leased.party,))
            with suppress(NotDecided):  # nothing is acknowledged, so whoever has said it keeps it
                self.take(tx, replace(prepared, incoming=replace(prepared.incoming, partner=speaker)), now)
            return
        said, envelope = reading.acknowledgement, reading.envelope
        known = messages.known(tx, leased.party, envelope.message_id)
        row = known["id"] if known is not None else None
        case_id = leased.case_id if said.original_id == leased.message_id else None
        if row is None:
            values = _message_row(tx, prepared, None, now) | {"case_id": case_id}
            values |= {"outcome": "accepted", "sender": leased.party, "reason": _not_valid(reading)}
            row = messages.add(tx, values)
        found = self.outbox.receipt(tx, said, leased.party, now, source=f"message {row}")
        if found is not None and known is None and found.delivery["case_id"] != case_id:
            messages.change(tx, row, case_id=found.delivery["case_id"])
        if found is not None and found.news and found.status in (Status.ACCEPTED, Status.REFUSED):
            self._answers.pass_back(
                tx, found, said.issues, prepared.incoming.content, envelope.content_type, now
            )

    def held_there(self, tx: Connection, leased: Leased, now: datetime) -> None:
        """The receiver's own system has taken it for good, as its server says: that is its receipt."""
        said = Acknowledgement(
            original_id=leased.message_id, status=Status.ACCEPTED, at=now, giver=Address(identifiers=())
        )
        found = self.outbox.receipt(tx, said, leased.party, now, source=f"delivery {leased.id}")
        if found is not None and found.news:
            self._answers.pass_back(tx, found, (), None, leased.content_type, now)

    def receipt_told(
        self, tx: Connection, row: Row, said: Acknowledgement, now: datetime, *, source: str
    ) -> None:
        """The receiver's receipt for a delivery as a message server tells of it, without the document."""
        found = self.outbox.receipt(tx, said, row["party"], now, source=source)
        if found is not None and found.news:
            self._answers.pass_back(tx, found, said.issues, None, row["content_type"], now)

    def odd_answer(self, tx: Connection, prepared: Prepared, leased: Leased, now: datetime) -> None:
        """Kept for a person: a 2xx with somebody else's receipt, or with what is no message at all."""
        sent = deliveries.get(tx, leased.id)
        if sent is None or not sent["expects_receipt"] or _is_operation_outcome(prepared.incoming.content):
            return  # nothing was awaited, or a FHIR server says that all is well
        other = prepared.reading is not None and prepared.reading.acknowledgement is not None
        why = phrase(
            "{endpoint} answered delivery {delivery} with a receipt for another message; its receipt is "
            "still awaited, ask its operator what stands at that address"
            if other
            else "{endpoint} answered delivery {delivery} with something that is no message; its receipt is "
            "still awaited, ask its operator what stands at that address",
            endpoint=leased.endpoint,
            delivery=str(leased.id),
        )
        problem = Quarantined(why, code="odd-answer")
        self._hold(tx, replace(prepared, reading=None), None, problem, now)

    # --- relaying, refusing and holding ---

    def _relayed_or_held(
        self,
        tx: Connection,
        prepared: Prepared,
        reading: Reading,
        sender: Party,
        problem: MessageError,
        now: datetime,
    ) -> Acceptance:
        """What we would not take ourselves still goes on between two that are not ours (process.md 1).

        Held, none of it goes on yet: the release sends it, where it can be released at all.
        """
        envelope = reading.envelope
        day = now.astimezone(self.zone).date()
        ways = relays(self.register, envelope, sender, day, read=prepared.problem is None)
        all_of_it = bool(ways) and len(ways) == len(envelope.receivers)
        if not all_of_it:
            held = self._hold(tx, prepared, sender, problem, now)
            row = held.message_row
        else:
            reason = phrase("passed on as it came, between two that are not ours: {why}", why=problem.reason)
            values = _message_row(tx, prepared, sender, now)
            row = messages.add(tx, values | {"outcome": "accepted", "reason": reason})
            held = replace(_outcome("accepted", problem, row, envelope, sender.id), reason=reason, code=None)
        if ways and row is not None and (all_of_it or isinstance(problem, Refused)):
            content = prepared.incoming.content
            kept = messages.keep(tx, content)
            pass_on(tx, self.outbox, envelope, ways, content=content, kept=kept, row=row, now=now)
        return held

    def _hold(
        self, tx: Connection, prepared: Prepared, sender: Party | None, problem: MessageError, now: datetime
    ) -> Acceptance:
        """Keep what cannot be taken, with its reason; a refusal is answered, a quarantine is not."""
        refused = isinstance(problem, Refused)
        outcome = "refused" if refused else "quarantined"
        values = _message_row(tx, prepared, sender, now)
        answers: list[tuple[str, bytes]] = []
        envelope = prepared.reading.envelope if prepared.reading else None
        if refused and envelope is not None and problem.code != "forbidden":
            issue = Issue(code=problem.code, text=problem.reason)
            try:
                answers = self._answers.refusals(envelope, issue, now)
            except CannotWrite as error:
                why = phrase(
                    "{why}; tell the sender by telephone, for {fault}", why=problem.reason, fault=error.said
                )
                problem = Refused(why, code=problem.code)
        answer = answers[0][1] if answers else None
        answer_type = envelope.content_type if envelope is not None and answers else None
        row = messages.add(
            tx,
            values
            | {
                "outcome": outcome,
                "code": problem.code,
                "reason": problem.reason,
                "acknowledgement": messages.keep(tx, answer) if answer is not None else None,
                "acknowledgement_type": answer_type,
            },
        )
        if not refused:
            self._tell_of_quarantine(tx, row, problem.reason, now)
        elif sender is not None and envelope is not None:
            for name, made in answers[1:] if prepared.incoming.awaited else answers:
                self._answers.send(tx, made, envelope, sender, row, name, now)
        held = _outcome(outcome, problem, row, envelope, sender.id if sender else None)
        return replace(held, acknowledgement=answer, acknowledgement_type=answer_type)

    def _tell_of_quarantine(self, tx: Connection, row: int, reason: Phrase, now: datetime) -> None:
        self.outbox.alarms.start(
            tx,
            kind="quarantined",
            subject=f"message {row}",
            text=phrase("held without receipt: {why}", why=reason),
            now=now,
        )


def _one_a_party(copies: Sequence[Copy]) -> list[Copy]:
    """The first copy of each party: an organisation gets a message once, however many of it are addressed."""
    return list({copy.route.party.id: copy for copy in reversed(copies)}.values())[::-1]


def _not_valid(reading: Reading) -> Phrase | None:
    """What a schema has against a message that was taken all the same."""
    if not reading.faults:
        return None
    return phrase("taken, though it is not valid against its schema: {faults}", faults=few(reading.faults))


def _all(*sentences: Phrase | None) -> Phrase | None:
    """What there is of them as one; None where there is nothing."""
    found = [sentence for sentence in sentences if sentence is not None]
    return phrase("{reasons}", reasons=found) if found else None


def _in_words(outcome: str) -> Code:
    return Code("outcome", outcome, outcome)


def _came_before(outcome: str) -> Phrase:
    return phrase("this message came before and was {outcome}", outcome=_in_words(outcome))


def _is_operation_outcome(content: bytes) -> bool:
    return b"OperationOutcome" in content[:200]


def _reused(known: Row) -> Quarantined:
    return Quarantined(
        phrase(
            "its id is that of message {message}, which says something else; telephone the sender: it must "
            "send this under an id of its own",
            message=str(known["id"]),
        ),
        code=REUSED,
    )


def _again_unread(tx: Connection, row: int, envelope: Envelope) -> Acceptance:
    messages.came_again(tx, row)
    return Acceptance(
        outcome="duplicate",
        reason=_came_before("quarantined"),
        first="quarantined",
        message_row=row,
        type=envelope.type,
        dialect=envelope.dialect,
    )


def _problem(prepared: Prepared) -> MessageError:
    return prepared.problem or Refused(phrase("the message could not be read"), code="structure")


def _on_storing(notice: Notice, party: Party, now: datetime) -> list[Evidence]:
    """For a party whose board is its system, our storing is its receiving."""
    return [
        Evidence(
            step=step,
            message_id=notice.message_id,
            sender=notice.sender,
            party=party.id,
            at=now,
            source=STORED_HERE,
        )
        for step in (Step.DELIVERED, Step.ACCEPTED)
    ]


def _message_row(tx: Connection, prepared: Prepared, sender: Party | None, now: datetime) -> dict[str, Any]:
    """The columns that every message has, whatever becomes of it."""
    incoming = prepared.incoming
    values: dict[str, Any] = {
        "received_at": now,
        "channel": incoming.channel,
        "partner": incoming.partner.name if incoming.partner else None,
        "content_type": incoming.content_type,
        "payload": _kept(tx, prepared),
        "kept": prepared.kept,
        "size": incoming.oversize or len(incoming.content),
        "sha256": bytes.fromhex(incoming.sha256) if incoming.sha256 else None,
    }
    if prepared.reading is not None:
        envelope = prepared.reading.envelope
        values |= {
            "likeness": prepared.likeness if prepared.kept else None,  # a hash of what it says
            "sender": sender.id if sender else None,
            "message_id": envelope.message_id,
            "transmission_id": envelope.transmission_id,
            "dialect": envelope.dialect,
            "type": envelope.type,
            "standing": prepared.notice.standing.value if prepared.notice is not None else None,
            "sent_at": envelope.sent_at,
            "content_type": envelope.content_type,
        }
    return values


def _kept(tx: Connection, prepared: Prepared) -> bytes:
    """The hash of the bytes, which are stored where anybody may keep them."""
    content = prepared.incoming.content
    return messages.keep(tx, content) if prepared.kept else hashlib.sha256(content).digest()


def _of_what_is_left(prepared: Prepared, problem: MessageError) -> MessageError:
    """What is not kept cannot be released: its sender must send it anew."""
    if prepared.kept or isinstance(problem, Refused):
        return problem
    why = phrase("{why}; nothing of it was kept: send it anew", why=problem.reason)
    return Refused(why, code=problem.code)


def _outcome(
    outcome: str, problem: MessageError, row: int, envelope: Envelope | None, sender: str | None
) -> Acceptance:
    return Acceptance(
        outcome=outcome,
        reason=problem.reason,
        code=problem.code,
        message_row=row,
        sender=sender,
        type=envelope.type if envelope else None,
        dialect=envelope.dialect if envelope else None,
    )


def _still_held(held: Row, problem: MessageError) -> Acceptance:
    return Acceptance(
        outcome="quarantined",
        reason=problem.reason,
        code=problem.code,
        message_row=held["id"],
        sender=held["sender"],
        type=held["type"],
        dialect=held["dialect"],
    )
