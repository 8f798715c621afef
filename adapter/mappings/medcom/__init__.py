"""Denmark's messages: MedCom's FHIR Bundles, HospitalNotification and Acknowledgement (standards 3.2).

They are told by the event code of their MessageHeader. Reading is a renaming, not a rewriting: the canonical
Bundle is MedCom's own with the event in our words, so that it can be written again as it came.
"""

from collections.abc import Callable
from datetime import tzinfo
from re import compile

from adapter.discharge.notices import NoticeKind
from adapter.errors import CannotWrite, Refused
from adapter.fhir import bundles, validation, wire
from adapter.fhir.bundles import Bundle, Resource
from adapter.fhir.notices import event_kind, notice_in
from adapter.mappings import Addressing, Head, Reading, Written
from adapter.mappings.foretelling import foretold
from adapter.mappings.medcom import acknowledging, hospital_notification, notifying, words
from adapter.mappings.medcom.header import bare, envelope_of, event_of, with_copies_marked
from adapter.mappings.medcom.sending import repeat
from adapter.messaging.acknowledgement import Verdict
from adapter.messaging.envelope import Envelope

__all__ = ("NAMES", "acknowledge", "envelope", "read", "recognises", "repeat", "told_together", "write")

NAMES = ("medcom",)

FOREIGN_EVENT = "unknown-event"
"""The envelope's type where the event is none of those that we know."""

_LOOK = 65536
_EVENT_SYSTEM = words.EVENT_CODES.encode()
_BUNDLE = compile(rb'"resourceType"\s*:\s*"Bundle"|<(?:[\w.-]+:)?Bundle\b')

_KNOWN = (words.HOSPITAL_NOTIFICATION, words.CARE_COMMUNICATION, words.ACKNOWLEDGEMENT)

_READERS: dict[str, Callable[[Bundle, tzinfo], tuple[Bundle, tuple[str, ...]]]] = {
    words.HOSPITAL_NOTIFICATION: hospital_notification.canonical,
}
"""By event: the Bundle in our own words, and sentences of what is odd in it or lost."""

_WRITERS: dict[NoticeKind, Callable[[Bundle, Addressing], Written]] = dict.fromkeys(
    notifying.TOLD, notifying.write
)
"""By kind of notice."""


def told_together(kind: NoticeKind) -> frozenset[NoticeKind]:
    """The kinds whose messages share one history with those of `kind`."""
    return notifying.TOLD if kind in notifying.TOLD else frozenset()


def recognises(head: Head) -> bool:
    """A FHIR Bundle with an event of MedCom's, by its first 64 kB."""
    content = head.content[:_LOOK]
    return _EVENT_SYSTEM in content and _BUNDLE.search(content) is not None


def read(content: bytes, *, content_type: str | None, zone: tzinfo) -> Reading:
    """A message or an acknowledgement. Refused where not even the outside is legible."""
    bundle, media = wire.parse(content, content_type), wire.media_type(content)
    try:
        return _read(bare(bundle), media, zone)
    except Refused as problem:
        if not validation.legible(bundle, any_id=True):
            raise
        return Reading(envelope=_envelope(bundle, media), problem=problem)


def _read(bundle: Bundle, media: str, zone: tzinfo) -> Reading:
    validation.validate_of_another_standard(bundle, event_known=_event_known)
    outside = _envelope(bundle, media)
    event = event_of(bundles.header(bundle) or {})
    reader = _READERS.get(event or "")
    if reader is None:
        return Reading(envelope=outside, acknowledgement=acknowledging.acknowledgement_in(bundle))
    made, losses = reader(with_copies_marked(bundle), zone)
    held = foretold(notice_in(made, zone=zone), zone)
    return Reading(envelope=outside, bundle=made, losses=losses, problem=held)


def _event_known(head: Resource) -> None:
    """An acknowledgement holds a response, and nothing else does: no two systems answer in turns."""
    event = event_of(head)
    if event not in _READERS and event != words.ACKNOWLEDGEMENT:
        known = ", ".join((*_READERS, words.ACKNOWLEDGEMENT))
        raise Refused(f"MessageHeader.eventCoding.code is none of {known}", code="not-supported")
    if (event == words.ACKNOWLEDGEMENT) != ("response" in head):
        raise Refused(
            f"MessageHeader.response belongs to {words.ACKNOWLEDGEMENT}, which must have it", code="invariant"
        )


def envelope(content: bytes, *, content_type: str | None, zone: tzinfo) -> Envelope:
    """The outside of a message that has been read before; nothing is validated a second time."""
    return _envelope(wire.parse(content, content_type), wire.media_type(content))


def _envelope(bundle: Bundle, media: str) -> Envelope:
    head = bundles.header(bundle) or {}
    told = hospital_notification.told_in(bundle) if event_of(head) == words.HOSPITAL_NOTIFICATION else None
    answered = (head.get("response") or {}).get("identifier") if "response" in head else None
    return envelope_of(
        bundle,
        media,
        message_type=told.short if told is not None else _type(head),
        refers_to=answered or (told.refers_to if told is not None else None),
        opaque=acknowledging.mirrored(bundle),
    )


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
        raise CannotWrite(f"a Bundle without MessageHeader, or another dialect than {NAMES[0]}")
    kind = event_kind(head)
    writer = _WRITERS.get(kind)
    if writer is None:
        raise CannotWrite(
            f"HospitalNotification has no word for {kind}; tell the receiver by telephone or on paper, "
            "and record that"
        )
    return writer(bundle, addressing)


def acknowledge(envelope: Envelope, verdict: Verdict) -> bytes | None:
    """The acknowledgement, in the format of the message; None where MedCom has no word, or wants none."""
    made = acknowledging.acknowledgement(envelope, verdict)
    return wire.write(made, envelope.content_type) if made is not None else None
