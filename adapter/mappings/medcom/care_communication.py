"""CareCommunication 5.0: what people of different organisations write to each other about a patient.

A message carries its whole thread: a Communication with every segment so far, and a Provenance for each
message, which names the segments that it brought. A thread is known by Communication.identifier, its segments
by their own ids; a reply keeps the thread, a forwarding begins a new one (governance for CareCommunication).
The canonical Bundle is MedCom's own; its Communication says in words what this message brought.
"""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo

from adapter.discharge.answering import MAY_ANSWER, MAY_TELL_READINESS
from adapter.discharge.notices import Notice, NoticeKind
from adapter.errors import Refused
from adapter.fhir.bundles import (
    EVENT_SYSTEM,
    Bundle,
    Resource,
    address_of,
    entry,
    follow,
    header,
    instant_text,
    moment,
    narrative,
    of_type,
    reference,
    same_id,
    with_extension,
)
from adapter.fhir.notices import receivers_in
from adapter.fhir.parts import FOCUS, encounter_of, focus_of
from adapter.mappings.medcom import sentences
from adapter.mappings.medcom.care_communication_rules import DATE, IDENTIFIER
from adapter.mappings.medcom.findings import extensions, texts, values
from adapter.mappings.medcom.header import with_header
from adapter.mappings.medcom.history import Step, last_told, steps
from adapter.mappings.medcom.words import table
from adapter.messaging.envelope import LONGEST_ID
from adapter.phrases import Phrase, phrase

K = NoticeKind

NEW, REPLY, FORWARD = "new-message", "reply-message", "forward-message"

_IDS = uuid.UUID("5d2f8b1c-7e40-5a3f-9b6d-1c0e4f7a2d58")
_MADE = ("task", "encounter")
"""Roles of the resources that the canonical Bundle has beside MedCom's."""

_ASSIGNER = "valueIdentifier.assigner.reference"
_DISCHARGE = "discharge"
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """One payload of the Communication: words or an attachment, and when."""

    id: str | None  # urn:uuid:…, as it is written
    at: datetime | None
    payload: Resource = field(repr=False)

    @property
    def assigner(self) -> str | None:
        """The id of the organisation that wrote it, as the reference to it ends."""
        found = (v for e in extensions(self.payload, IDENTIFIER) for v in texts(e, _ASSIGNER))
        return next((ref.rsplit("/", 1)[-1] for ref in found), None)

    @property
    def text(self) -> str:
        said = self.payload.get("contentString")
        return said.strip() if isinstance(said, str) else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Thread:
    """Where a message stands in its thread, and what it brought."""

    activity: str
    id: str | None  # Communication.identifier, without urn:uuid:
    refers_to: str | None  # the message that it answers
    first: str | None  # the message with which the thread began; None where it is this one
    own: tuple[Segment, ...]
    earlier: tuple[Segment, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Canonical:
    """A CareCommunication in our own words; `in_words` and `said_by` as in `mappings.Reading`."""

    bundle: Bundle
    in_words: Bundle | None = None
    said_by: tuple[str, ...] = MAY_ANSWER
    losses: tuple[Phrase, ...] = ()


# --- the thread -------------------------------------------------------------------------------------------


def thread_in(bundle: Bundle) -> Thread:
    """The thread as the message tells it, however much of its history it carries; never raises."""
    history, own = steps(bundle), last_told(bundle)
    activity = own.activity if own is not None else NEW
    told = tuple(segments(bundle))
    brought = _brought(told, own)
    head = header(bundle) or {}
    thread = _short(next(iter(texts(communication_in(bundle), "identifier.value")), None))
    return Thread(
        activity=activity,
        id=thread,
        refers_to=_answered(own) if activity == REPLY else None,
        first=_first(history, own, same_id(str(head.get("id"))), thread),
        own=brought,
        earlier=tuple(one for one in told if one not in brought),
    )


def communication_in(bundle: Bundle) -> Resource:
    """The Communication that the message is about."""
    for ref in (header(bundle) or {}).get("focus") or ():
        found = follow(bundle, ref)
        if found is not None and found.get("resourceType") == "Communication":
            return found
    return of_type(bundle, "Communication") or {}


def segments(bundle: Bundle) -> Iterator[Segment]:
    """Every segment of the message."""
    return segments_of(communication_in(bundle))


def segments_of(talk: Resource) -> Iterator[Segment]:
    """Every segment of a Communication, by its own time; those of the same time as they stand."""
    found = [_segment(one) for one in values(talk, "payload") if isinstance(one, dict)]
    yield from sorted(found, key=lambda segment: segment.at or _NEVER)


def _segment(payload: Resource) -> Segment:
    def first(url: str, path: str) -> str | None:
        return next((value for e in extensions(payload, url) for value in texts(e, path)), None)

    return Segment(
        id=first(IDENTIFIER, "valueIdentifier.value"),
        at=_instant(first(DATE, "valueDateTime")),
        payload=payload,
    )


def _brought(told: Sequence[Segment], own: Step | None) -> tuple[Segment, ...]:
    """The segments that the message's own Provenance names; else the last ones in time.

    A new message has brought all that it holds, whatever is named.
    """
    if own is None or own.activity == NEW:
        return tuple(told)
    entities = values(own.resource, "entity")
    named = {v for e in entities if isinstance(e, dict) for v in texts(e, "what.identifier.value")}
    found = tuple(one for one in told if one.id is not None and one.id in named)
    if found:
        return found
    last = max((one.at or _NEVER for one in told), default=_NEVER)
    return tuple(one for one in told if (one.at or _NEVER) == last)


def _answered(own: Step | None) -> str | None:
    """The message that a reply answers: by its reference, or by an identifier, as a letter of before FHIR."""
    if own is None:
        return None
    if own.after is not None:
        return own.after if len(own.after) <= LONGEST_ID else None
    entities = [
        e for e in values(own.resource, "entity") if isinstance(e, dict) and e.get("role") != "source"
    ]
    found = next((v for e in entities for v in texts(e, "what.identifier.value")), None)
    return found if found is not None and len(found) <= LONGEST_ID else None


def _first(history: Sequence[Step], own: Step | None, message_id: str, thread: str | None) -> str | None:
    """The message with which the thread began: the last that was forwarded, else the first of all.

    Where the message does not carry it, the thread's own id stands for it, which all its messages share.
    """
    if own is not None and own.activity in (NEW, FORWARD):
        return None
    forwarded = [step for step in history if step.activity == FORWARD and step.message_id]
    begun = forwarded[-1:] or [step for step in history if step.activity == NEW and step.message_id]
    found = begun[0].message_id if begun else thread
    return found if found != message_id else None


# --- in our own words -------------------------------------------------------------------------------------


def canonical(bundle: Bundle, zone: tzinfo) -> Canonical:
    """The message in our own words; it has passed the validation and the profile's rules.

    Raises Refused where its time cannot be read.
    """
    thread = thread_in(bundle)
    text = _text(thread)
    words = _notice(bundle, thread, text, zone)
    plain = _made(bundle, words)
    found = sentences.heard(text) if text and _of_discharge(bundle) else None
    if found is None:
        return Canonical(bundle=plain)
    told = replace(words, kind=found.kind, text=found.rest)
    if found.kind is K.ANSWER:
        day = found.moment.date() if isinstance(found.moment, datetime) else found.moment
        heard = replace(told, answer=found.answer, receive_from=day)
        return Canonical(bundle=_made(bundle, heard), in_words=plain)
    if found.kind is K.PLANNED_DISCHARGE:
        day = found.moment.date() if isinstance(found.moment, datetime) else found.moment
        heard = replace(told, planned_discharge=day)
    else:
        estimate = found.value == sentences.ESTIMATE
        heard = replace(told, ready=found.moment, estimate=estimate)
    return Canonical(bundle=_made(bundle, heard), in_words=plain, said_by=MAY_TELL_READINESS)


def _of_discharge(bundle: Bundle) -> bool:
    return _DISCHARGE in values(communication_in(bundle), "category.coding.code")


def _text(thread: Thread) -> str | None:
    """What the message says: its own segments; a forwarding also those that its receiver has never had."""
    own = "\n".join(one.text for one in thread.own if one.text)
    if thread.activity != FORWARD:
        return own or None
    before = (f"{_signed(one)}\n{one.text}" for one in reversed(thread.earlier) if one.text)
    return "\n\n".join(part for part in (own, *before) if part) or None


def _signed(one: Segment) -> str:
    at = one.at.astimezone(sentences.DENMARK) if one.at is not None else None
    return f"{at:%d.%m.%Y kl. %H.%M}:" if at is not None else "…"


def _notice(bundle: Bundle, thread: Thread, text: str | None, zone: tzinfo) -> Notice:
    sent_at = moment(bundle.get("timestamp"), zone)
    if not isinstance(sent_at, datetime):
        raise Refused(phrase("Bundle.timestamp must be an instant with its offset"), code="required")
    head = header(bundle) or {}
    return Notice(
        kind=K(table("talk")["read"].get(thread.activity, K.NOTE.value)),
        message_id=same_id(str(head.get("id"))),
        sent_at=sent_at,
        occurred=sent_at,
        sender=address_of(follow(bundle, head.get("sender"))).token,
        receivers=tuple(address.token for address in receivers_in(bundle)),
        refers_to=thread.refers_to,
        text=text,
    )


def _made(bundle: Bundle, notice: Notice) -> Bundle:
    """MedCom's Bundle with our event, what it answers, and the words or the stay in focus."""
    head = header(bundle) or {}
    made: Resource = head | {
        "eventCoding": {"system": EVENT_SYSTEM, "code": notice.kind.value},
        "extension": list(head.get("extension") or ()),
    }
    with_extension(made, "occurred", "DateTime", instant_text(notice.occurred))
    with_extension(made, "refers-to", "String", notice.refers_to)
    talk = communication_in(bundle)
    kind = FOCUS[notice.kind]
    if kind == "Communication":
        worded = talk | {"text": narrative(notice.text)} if notice.text else talk
        return with_header(_with(bundle, talk, worded), made)
    whole, focus = _beside(bundle, notice, kind)
    if notice.text:
        focus["text"] = narrative(notice.text)
    whole["entry"][0]["resource"] = made | {"focus": [_led(whole, focus), *(head.get("focus") or ())]}
    return whole


def _beside(bundle: Bundle, notice: Notice, kind: str) -> tuple[Bundle, Resource]:
    """The Bundle with the Encounter or the Task that tells what was heard, and that resource."""
    head = header(bundle) or {}
    patient = of_type(bundle, "Patient") or {}
    sender = follow(bundle, head.get("sender")) or {}
    stay = of_type(bundle, "Encounter")
    told = encounter_of(notice, patient, sender, made_id(notice.message_id, "encounter"), None)
    if stay is not None:
        said = [*(stay.get("extension") or ()), *(told.get("extension") or ())]
        shown = stay | ({"extension": said} if said else {})
        whole = _with(bundle, stay, shown)
    else:
        shown = told
        whole = bundle | {"entry": [*(dict(item) for item in bundle["entry"]), entry(told)]}
    if kind == "Encounter":
        return whole, shown
    made = focus_of(notice, patient, shown, sender, made_id(notice.message_id, "task"))
    for element, target in (("for", patient), ("encounter", shown), ("owner", sender)):
        made[element] = _led(whole, target)
    whole["entry"].append(entry(made))
    return whole, made


def made_id(message_id: str, role: str) -> str:
    """The id of a resource that stands in the canonical Bundle beside MedCom's."""
    return str(uuid.uuid5(_IDS, f"{same_id(message_id)}/{role}"))


def made_ids(message_id: str) -> frozenset[str]:
    """The ids of all of them, which are not written back."""
    return frozenset(made_id(message_id, role) for role in _MADE)


def _with(bundle: Bundle, old: Resource, new: Resource) -> Bundle:
    entries = [
        item | {"resource": new if item["resource"] is old else item["resource"]} for item in bundle["entry"]
    ]
    return bundle | {"entry": entries}


def _led(bundle: Bundle, resource: Resource) -> Resource:
    """A Reference by the address at which the resource stands."""
    found = next((i["fullUrl"] for i in bundle["entry"] if i["resource"] is resource), None)
    return {"reference": found} if found is not None else reference(resource)


def _short(identifier: str | None) -> str | None:
    if identifier is None or len(identifier) > LONGEST_ID:
        return None
    return same_id(identifier.removeprefix("urn:uuid:"))


def _instant(text: str | None) -> datetime | None:
    try:
        found = datetime.fromisoformat(text) if text is not None else None
    except ValueError:
        return None
    return found if found is not None and found.tzinfo is not None else None
