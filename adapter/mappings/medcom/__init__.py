"""Denmark's messages: MedCom's FHIR Bundles, HospitalNotification and Acknowledgement (standards 3.2).

They are told by the event code of their MessageHeader. Reading is a renaming, not a rewriting: the canonical
Bundle is MedCom's own with the event in our words, so that it can be written again as it came.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, tzinfo
from re import compile

from adapter.discharge.notices import NoticeKind
from adapter.errors import CannotWrite, Refused
from adapter.fhir import bundles, validation, wire
from adapter.fhir.bundles import Bundle, Resource
from adapter.fhir.notices import event_kind, notice_in
from adapter.mappings import Addressing, Head, Reading, Written
from adapter.mappings.foretelling import foretold
from adapter.mappings.medcom import (
    acknowledging,
    care_communication,
    conversing,
    enveloping,
    hospital_notification,
    notifying,
    profiles,
    sending,
    vans,
    words,
)
from adapter.mappings.medcom.header import bare, envelope_of, event_of, with_copies_marked
from adapter.messaging.acknowledgement import Verdict
from adapter.messaging.envelope import Envelope
from adapter.phrases import Code, phrase

__all__ = (
    "NAMES", "acknowledge", "envelope", "of_a_thread", "read", "recognises", "repeat", "told_together",
    "write",
)  # fmt: skip

NAMES = ("medcom", vans.NAME)

FOREIGN_EVENT = "unknown-event"
"""The envelope's type where the event is none of those that we know."""

_LOOK = 65536
_EVENT_SYSTEM = words.EVENT_CODES.encode()
_BUNDLE = compile(rb'"resourceType"\s*:\s*"Bundle"|<(?:[\w.-]+:)?Bundle\b')

_KNOWN = (words.HOSPITAL_NOTIFICATION, words.CARE_COMMUNICATION, words.ACKNOWLEDGEMENT)

_READ = (words.HOSPITAL_NOTIFICATION, words.CARE_COMMUNICATION)

_WRITERS: dict[NoticeKind, Callable[[Bundle, Addressing], Written]] = {
    **dict.fromkeys(notifying.TOLD, notifying.write),
    **dict.fromkeys(conversing.WRITTEN, conversing.write),
}
"""By kind of notice."""


def told_together(kind: NoticeKind) -> frozenset[NoticeKind]:
    """The kinds whose messages share one history with those of `kind`."""
    return notifying.TOLD if kind in notifying.TOLD else frozenset()


def of_a_thread(content: bytes) -> bool:
    """Whether a message that we have read or written is one of a thread, which its answer carries along."""
    message = enveloping.opened(content)
    head = bundles.header(wire.parse_again(message)) if message is not None else None
    return event_of(head or {}) == words.CARE_COMMUNICATION


def recognises(head: Head) -> bool:
    """A FHIR Bundle with an event of MedCom's, or a VANSEnvelope, by its first 64 kB."""
    content = head.content[:_LOOK]
    if vans.recognises(content):
        return True
    return _EVENT_SYSTEM in content and _BUNDLE.search(content) is not None


def read(content: bytes, *, content_type: str | None, zone: tzinfo) -> Reading:
    """A message or an acknowledgement. Refused where not even the outside is legible."""
    if vans.recognises(content):
        return enveloping.read(content, zone=zone, message=_read_message)
    return _read_message(content, content_type=content_type, zone=zone)


def _read_message(content: bytes, *, content_type: str | None, zone: tzinfo) -> Reading:
    media = wire.media_type(content)
    try:
        bundle = wire.parse(content, content_type)
    except Refused as problem:
        outside = wire.outside_of(content, content_type)
        if outside is None or not validation.legible(outside, any_id=True):
            raise
        return Reading(envelope=_envelope(outside, media), problem=problem)
    try:
        return _read(bare(bundle), media, zone)
    except Refused as problem:
        if not validation.legible(bundle, any_id=True):
            raise
        return Reading(envelope=_envelope(bundle, media), problem=_by_name(problem, bundle))


def _by_name(problem: Refused, bundle: Bundle) -> Refused:
    """The refusal under the name of the invariant that is broken, where the profiles have one for it."""
    if problem.code == "not-supported":
        return problem
    return profiles.refusal(profiles.broken(bundle)) or problem


def _read(bundle: Bundle, media: str, zone: tzinfo) -> Reading:
    validation.validate_of_another_standard(bundle, event_known=_event_known)
    outside = _envelope(bundle, media)
    event = event_of(bundles.header(bundle) or {})
    if event not in _READ:
        return Reading(envelope=outside, acknowledgement=acknowledging.acknowledgement_in(bundle))
    found = profiles.broken(bundle)
    refused = profiles.refusal(found)
    if refused is not None:
        raise refused
    whole = with_copies_marked(bundle)
    if event == words.CARE_COMMUNICATION:
        told = care_communication.canonical(whole, zone)
        return Reading(
            envelope=outside,
            bundle=told.bundle,
            in_words=told.in_words,
            said_by=told.said_by,
            losses=(*profiles.warnings(found), *told.losses),
        )
    made, losses = hospital_notification.canonical(whole, zone)
    held = foretold(notice_in(made, zone=zone), zone)
    return Reading(envelope=outside, bundle=made, losses=(*profiles.warnings(found), *losses), problem=held)


def _event_known(head: Resource) -> None:
    """An acknowledgement holds a response, and nothing else does: no two systems answer in turns."""
    event = event_of(head)
    if event not in (*_READ, words.ACKNOWLEDGEMENT):
        known = (*_READ, words.ACKNOWLEDGEMENT)
        raise Refused(
            phrase("MessageHeader.eventCoding.code is none of {codes}", codes=known), code="not-supported"
        )
    if (event == words.ACKNOWLEDGEMENT) != ("response" in head):
        raise Refused(
            phrase(
                "MessageHeader.response belongs to {event}, which must have it", event=words.ACKNOWLEDGEMENT
            ),
            code="invariant",
        )


def envelope(content: bytes, *, content_type: str | None, zone: tzinfo) -> Envelope:
    """The outside of a message that has been read before; nothing is validated a second time."""
    if vans.recognises(content):
        return enveloping.envelope(content, zone=zone, message=_outside)
    return _outside(content, content_type=content_type, zone=zone)


def _outside(content: bytes, *, content_type: str | None, zone: tzinfo) -> Envelope:
    return _envelope(wire.parse(content, content_type), wire.media_type(content))


def _envelope(bundle: Bundle, media: str) -> Envelope:
    head = bundles.header(bundle) or {}
    told = hospital_notification.told_in(bundle) if event_of(head) == words.HOSPITAL_NOTIFICATION else None
    answered = (head.get("response") or {}).get("identifier") if "response" in head else None
    if event_of(head) == words.CARE_COMMUNICATION:
        return _of_thread(bundle, media)
    return envelope_of(
        bundle,
        media,
        message_type=told.short if told is not None else _type(head),
        refers_to=answered or (told.refers_to if told is not None else None),
        opaque=acknowledging.mirrored(bundle),
    )


def _of_thread(bundle: Bundle, media: str) -> Envelope:
    """The outside of a CareCommunication: what it answers, and the message with which its thread began."""
    thread = care_communication.thread_in(bundle)
    outside = envelope_of(
        bundle,
        media,
        message_type=words.CARE_COMMUNICATION,
        refers_to=thread.refers_to,
        opaque=acknowledging.mirrored(bundle),
    )
    return replace(outside, conversation=thread.first)


def _type(head: Resource) -> str:
    """The event's code. Whatever holds a response is an acknowledgement: no two systems answer in turns."""
    if "response" in head:
        return words.ACKNOWLEDGEMENT
    event = event_of(head)
    return event if event in _KNOWN else FOREIGN_EVENT


def write(bundle: Bundle, *, dialect: str, addressing: Addressing) -> Written:
    """The notice as a MedCom message, as JSON; raises CannotWrite where MedCom has no form for it."""
    head = bundles.header(bundle)
    if dialect not in NAMES or head is None:
        raise CannotWrite(
            phrase("a Bundle without MessageHeader, or another dialect than {dialect}", dialect=NAMES[0])
        )
    kind = event_kind(head)
    writer = _WRITERS.get(kind)
    if writer is None:
        raise CannotWrite(
            phrase(
                "MedCom has no message for {notice}; tell the receiver by telephone or on paper, and record"
                " that",
                notice=Code("notice", kind.value, kind.value),
            )
        )
    written = writer(bundle, replace(addressing, previous=enveloping.opened(addressing.previous)))
    wrong = profiles.refusal(profiles.broken(wire.parse_again(written.content)))
    if wrong is not None:
        raise CannotWrite(
            phrase(
                "it would break MedCom's own rules: {faults}; correct that, or tell it by telephone",
                faults=wrong.reason,
            )
        )
    return enveloping.written(written) if dialect == vans.NAME else written


def acknowledge(envelope: Envelope, verdict: Verdict) -> bytes | None:
    """The acknowledgement, in the format of the message; None where MedCom has no word, or wants none.

    It is in a VANSEnvelope where the message came in one.
    """
    inside = enveloping.inside(envelope)
    made = acknowledging.acknowledgement(inside, verdict)
    if made is None:
        return None
    content = wire.write(made, inside.content_type)
    return enveloping.answer(content, envelope) if envelope.dialect == vans.NAME else content


def repeat(content: bytes, *, at: datetime, number: int) -> bytes:
    """The bytes of a new sending at `at`, the `number`-th; of what is in a VANSEnvelope in a new one."""
    if vans.recognises(content):
        return enveloping.repeat(content, at=at, number=number, message=sending.repeat)
    return sending.repeat(content, at=at, number=number)
