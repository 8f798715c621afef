"""Each receiver's copy of a message: the bytes as they came, or the same content in its dialect.

Ids are mapped with it: whoever was sent a rewritten message knows it by another id than its sender does, and
what refers to it later must be written in the words of its reader.

What goes out in the name of a party of ours, or is rewritten, holds what its kind may carry and no more
(`fhir.allowing`); what is only relayed is never touched, nor what theirs have sent to ours as it came.
"""

import hashlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from sqlalchemy import Connection

from adapter.discharge.notices import Notice, NoticeKind, Standing
from adapter.errors import CannotWrite, Quarantined
from adapter.fhir.allowing import Shown, shown
from adapter.fhir.notices import standing_as
from adapter.fhir.polled import TYPES as POLLED
from adapter.mappings import Addressing, Reading, medcom
from adapter.mappings.checking import Checks
from adapter.mappings.known import named
from adapter.messaging.addressing import addressed
from adapter.messaging.envelope import Address, Envelope
from adapter.messaging.numbering import as_uuid
from adapter.messaging.register import Party, Side
from adapter.messaging.routing import Route
from adapter.phrases import Code, phrase
from adapter.store import cases as case_rows
from adapter.store import deliveries, messages

_ALIKE_FOR_ALL = ("EPIKRISE",)
"""Message types that name all receivers to each of them, and are never written here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Copy:
    """One receiver's copy, in the dialect that it reads."""

    route: Route
    dialect: str
    message_id: str
    content: bytes = field(repr=False)
    content_type: str
    refers_to: str | None  # the id under which this receiver knows the earlier message
    left_out: tuple[str, ...] = ()  # what the sender wrote and this receiver may not see: types and places


def copy_for(
    tx: Connection,
    route: Route,
    content: bytes,
    reading: Reading,
    notice: Notice | None,
    sender: Party,
    checks: Checks,
    *,
    patient: str | None = None,
) -> Copy:
    """The bytes as they came where the receiver reads, understands and may see them, else rewritten for it.

    `patient` is the pseudonym under which earlier messages about the stay are found.
    Raises Quarantined where there is no such form in its dialect, or what we write of it is not valid.
    """
    envelope, endpoint = reading.envelope, route.endpoint
    reads = endpoint.dialect if endpoint is not None else envelope.dialect
    known = known_as(tx, envelope, sender, route)
    may_see = _shown(reading, notice, route)
    withheld = bool(may_see.left_out) and envelope.dialect == "fhir" and sender.side is Side.OURS
    as_it_came = (
        reads == envelope.dialect
        and not withheld
        and (len(envelope.receivers) == 1 or envelope.type in _ALIKE_FOR_ALL)
        and known in (None, envelope.refers_to)
        and envelope.type not in POLLED
        and not _taken_by_another(tx, envelope, sender, route)
    )
    goes_on = route.refusal is None
    if route.relayed or as_it_came or (endpoint is None and not withheld) or not goes_on:
        return Copy(
            route=route,
            dialect=envelope.dialect,
            message_id=envelope.message_id,
            content=content,
            content_type=envelope.content_type,
            refers_to=known,
        )
    assert notice is not None
    if known is None and envelope.refers_to is not None and notice.standing is not Standing.NEW:
        known = derived_id(envelope.refers_to, sender.id, route.party.id)  # rewritten when it comes
    receiver = envelope.receivers[route.index]
    if reads != "fhir":
        receiver = _at_its_service(tx, envelope, notice, route, known)
    addressing = replace(
        _addressing(envelope, sender, route, receiver, known, reads),
        previous=answered_by(tx, route.party, known, reads)
        or previous_to(tx, route.party, sender, notice.kind, reads, patient=patient),
    )
    try:
        written = named(reads).write(may_see.bundle, dialect=reads, addressing=addressing)
        checks.outgoing(written.content)
    except CannotWrite as error:
        raise Quarantined(
            phrase(
                "{why} ({party} reads {dialect}); correct the endpoint's dialect, then release, "
                "or tell the receiver by telephone",
                why=error.said,
                party=route.party.id,
                dialect=reads,
            ),
            code="mapping",
        ) from error
    return Copy(
        route=route,
        dialect=reads,
        message_id=addressing.message_id,
        content=written.content,
        content_type=written.content_type,
        refers_to=known,
        left_out=may_see.left_out,
    )


def answered_by(tx: Connection, receiver: Party, known: str | None, dialect: str) -> bytes | None:
    """The message of a thread that is answered, which its reply carries along: theirs, or ours to them.

    `known` is the id under which the receiver knows it; None where the dialect carries no thread.
    """
    if known is None or dialect not in medcom.NAMES:
        return None
    told = messages.known(tx, receiver.id, known)
    row = messages.get(tx, told["id"]) if told is not None else deliveries.sent_as(tx, known, receiver.id)
    if row is None or row["dialect"] not in medcom.NAMES:
        return None
    content = messages.content(tx, row["payload"])
    return content if content is not None and medcom.of_a_thread(content) else None


def previous_to(
    tx: Connection,
    receiver: Party,
    sender: Party,
    kind: NoticeKind,
    dialect: str,
    *,
    patient: str | None = None,
    case_id: int | None = None,
    before: int | None = None,
) -> bytes | None:
    """The last message that the receiver was sent about the patient, on which one of that kind builds.

    None where the dialect builds on none. `before` is a delivery that does not count, nor what came after it.
    """
    together = medcom.told_together(kind) if dialect in medcom.NAMES else frozenset()
    cases = [case_id] if case_id is not None else case_rows.numbers_of(tx, patient) if patient else []
    if not together or not cases:
        return None
    told = deliveries.last_told(
        tx, receiver.id, sender.id, cases, kinds=sorted(together), dialects=medcom.NAMES, before=before
    )
    return messages.content(tx, told)


def anew(
    copy: Copy,
    reading: Reading,
    notice: Notice,
    sender: Party,
    checks: Checks,
    *,
    refers_to: str | None,
    previous: bytes | None = None,
) -> Copy:
    """The copy for a receiver that has never had what the message corrects: `notice` says what it is then.

    Raises CannotWrite where that cannot be written without loss.
    """
    envelope, route = reading.envelope, copy.route
    if reading.bundle is None or envelope.type in _ALIKE_FOR_ALL:
        raise CannotWrite(phrase("{type} is never written here", type=envelope.type))
    same = copy.dialect == envelope.dialect
    if same and reading.losses:
        raise CannotWrite(phrase("it holds what is only in the bytes as they came"))
    receiver = envelope.receivers[route.index]
    if copy.dialect != "fhir":
        receiver = addressed(
            route.party, receiver, notice.kind.value, psychiatric=notice.psychiatric, explicit=same
        )
    addressing = replace(
        _addressing(envelope, sender, route, receiver, refers_to, copy.dialect), previous=previous
    )
    may_see = _shown(reading, notice, route)
    bundle = standing_as(may_see.bundle, notice.standing)
    written = named(copy.dialect).write(bundle, dialect=copy.dialect, addressing=addressing)
    if same and written.losses:
        raise CannotWrite(phrase("written anew it would lose: {losses}", losses=written.losses))
    checks.outgoing(written.content)
    return replace(
        copy,
        message_id=addressing.message_id,
        content=written.content,
        content_type=written.content_type,
        refers_to=refers_to,
        left_out=may_see.left_out,
    )


def _shown(reading: Reading, notice: Notice | None, route: Route) -> Shown:
    """The message as this receiver may see it; untouched between two of theirs."""
    if reading.bundle is None or notice is None or route.relayed:
        return Shown(bundle=reading.bundle or {})
    return shown(reading.bundle, notice.kind, receiver_kind=route.party.kind)


def known_as(tx: Connection, envelope: Envelope, sender: Party, route: Route) -> str | None:
    """The id under which this receiver knows the earlier message that this one refers to.

    Either it was sent to it, as it came or rewritten, or it wrote it itself and the sender answers it.
    """
    if envelope.refers_to is None:
        return None
    party = route.party.id
    for candidate in (envelope.refers_to, derived_id(envelope.refers_to, sender.id, party)):
        sent = deliveries.sent_as(tx, candidate, party)
        if sent is not None:
            return deliveries.reissued_as(tx, sent) or candidate
    if messages.known(tx, party, envelope.refers_to) is not None:
        return envelope.refers_to
    return first_id(tx, envelope.refers_to, sender, of=party)


def first_id(tx: Connection, known_as: str | None, party: Party, *, of: str | None = None) -> str | None:
    """The id that a message had from its own sender, which `party` was sent under the id `known_as`."""
    sent = deliveries.sent_as(tx, known_as, party.id) if known_as is not None else None
    told = messages.get(tx, sent["message_row"]) if sent is not None and sent["message_row"] else None
    if told is None or (of is not None and told["sender"] != of):
        return None
    return str(told["message_id"])


def _taken_by_another(tx: Connection, envelope: Envelope, sender: Party, route: Route) -> bool:
    """Whether this receiver knows the id from somebody else: ids are unique for their sender only."""
    sent = deliveries.sent_as(tx, envelope.message_id, route.party.id)
    told = messages.get(tx, sent["message_row"]) if sent is not None and sent["message_row"] else None
    return told is not None and told["sender"] != sender.id


def _at_its_service(
    tx: Connection, envelope: Envelope, notice: Notice, route: Route, known: str | None
) -> Address:
    """Where the receiver reads it: an answer at the address that wrote, else by the kind (N-16)."""
    written = envelope.receivers[route.index]
    asked = messages.known(tx, route.party.id, known) if known is not None else None
    row = messages.get(tx, asked["id"]) if asked is not None else None
    content = messages.content(tx, row["payload"]) if row is not None else None
    if row is not None and content is not None:
        outside = named(row["dialect"]).envelope(content, content_type=row["content_type"], zone=UTC)
        return replace(outside.sender, copy=written.copy)
    return addressed(
        route.party,
        written,
        notice.kind.value,
        psychiatric=notice.psychiatric,
        explicit=envelope.dialect != "fhir",
    )


def as_registered(address: Address, party: Party, *, said_in: str, reads: str) -> Address:
    """The address with what the region file knows of its party, where MedCom meets another standard.

    Each addresses by identifiers of its own: GLN and SOR there, HER-ids here.
    """
    if reads == "fhir" or (said_in in medcom.NAMES) == (reads in medcom.NAMES):
        return address
    more = tuple(pair for pair in party.identifiers if pair not in address.identifiers)
    return replace(address, identifiers=(*address.identifiers, *more))


def _addressing(
    envelope: Envelope, sender: Party, route: Route, receiver: Address, refers_to: str | None, reads: str
) -> Addressing:
    """New numbers for a rewritten message, the same whenever the same message is rewritten."""
    mine, party = sender.id, route.party.id
    conversation = derived_id(envelope.conversation, mine, party) if envelope.conversation else None
    if envelope.conversation is not None and envelope.conversation == envelope.refers_to:
        conversation = refers_to or conversation
    return Addressing(
        message_id=derived_id(envelope.message_id, mine, party),
        transmission_id=derived_id(envelope.message_id, mine, party, "transmission"),
        sender=as_registered(envelope.sender, sender, said_in=envelope.dialect, reads=reads),
        receiver=as_registered(receiver, route.party, said_in=envelope.dialect, reads=reads),
        refers_to=refers_to,
        conversation=conversation,
        telephone=sender.telephone,
        production=bool(envelope.production),
    )


def derived_id(message_id: str, *about: str) -> str:
    """A UUID that is always the same for the same message and purpose."""
    return as_uuid(hashlib.sha256("/".join((message_id, *about)).encode()).digest())


def note_left_out(
    tx: Connection,
    left_out: tuple[str, ...],
    kind: NoticeKind,
    party: Party,
    row: int,
    case_id: int,
    now: datetime,
) -> None:
    """A message that its receiver gets in part says so in the case's history."""
    what = phrase(
        "sent to {party} without {parts}: not allowed in {notice} to a {kind}",
        party=party.id,
        parts=left_out,
        notice=Code("notice", kind.value, kind.value),
        kind=Code("party-kind", party.kind, party.kind),
    )
    case_rows.note(tx, at=now, subject=f"message {row}", what=what, case_id=case_id)
