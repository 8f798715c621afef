"""The Norwegian KITH dialect: Pasientlogistikk 1.5 and 1.6 and Dialogmelding 1.0 and 1.1 in MsgHead 1.2,
Epikrise 1.1 and 1.2 (read only), and the AppRec for each.

The decisions, and what is lost on the way, are in docs/norwegian-messages.md.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, tzinfo

from adapter.discharge.notices import NoticeKind
from adapter.errors import CannotWrite, Quarantined, Refused
from adapter.fhir.bundles import Subject, header
from adapter.fhir.notices import event_kind, message_bundle, subject_in
from adapter.fhir.validation import MAX_ENTRIES
from adapter.mappings import Addressing, Bundle, Head, Reading, Written
from adapter.mappings.foretelling import foretold
from adapter.mappings.kith import (
    apprec,
    attachments,
    dialogue,
    dialogue_writing,
    epikrise,
    feedback,
    logistics,
    msghead,
    reports,
    xml,
)
from adapter.mappings.kith.told import Attachment, Payload, Told
from adapter.messaging.acknowledgement import Status, Verdict
from adapter.messaging.envelope import Envelope
from adapter.phrases import Code, Phrase, phrase, plural

NAMES = ("plo-1.5", "plo-1.6")

_HEAD = 2048
_PAYLOAD = re.compile(r"MsgHead/Document/RefDoc/Content/[^/]+/")
_READERS: dict[str, Callable[..., Told]] = {
    **dict.fromkeys(logistics.TYPES, logistics.read),
    **dict.fromkeys(reports.TYPES, reports.read),
    **dict.fromkeys(dialogue.TYPES, dialogue.read),
    feedback.TYPE: feedback.read,
}
"""By message type: `(payload, *, envelope, zone)`; raises Refused T02 where the two do not go together."""

_WRITERS: dict[NoticeKind, Callable[..., Payload]] = {
    **dict.fromkeys((NoticeKind(entry["kind"]) for entry in logistics.TYPES.values()), logistics.write),
    **dict.fromkeys(reports.KINDS, reports.write),
    **dict.fromkeys(dialogue_writing.KINDS, dialogue_writing.write),
}
"""By kind of notice: `(bundle, *, dialect, sender)`."""

_ROOTS = ("MsgHead", "AppRec")
_ROOT = re.compile(rb"<(?:[\w.-]+:)?(?:MsgHead|AppRec)[\s/>]")
_NAMESPACE = re.compile(rb"""["']http://www\.kith\.no/xmlstds/(?:msghead|apprec|epikrise)\b""")


def recognises(head: Head) -> bool:
    """Whether the first bytes are those of a MsgHead, an AppRec or an epikrise.

    One in a wrong namespace, with a DOCTYPE or in UTF-16 is claimed too, so that it is refused in words.
    """
    start = head.content[:_HEAD].lstrip(b"\xef\xbb\xbf\xff\xfe").replace(b"\0", b"").lstrip()
    if not start.startswith(b"<"):
        return False
    root = xml.root_name(start)
    if root in _ROOTS or (root == "Message" and _NAMESPACE.search(start)):
        return True
    hidden = not root  # behind a DOCTYPE, or behind a comment longer than what we may see
    return hidden and bool(_ROOT.search(start) or _NAMESPACE.search(start))


def read(content: bytes, *, content_type: str | None, zone: tzinfo) -> Reading:
    """A message or a receipt. Raises Refused where not even its envelope is legible (T01, T02, T10).

    `content_type` is what the sender calls it, and is not believed.
    """
    root = xml.parse(content)
    if root.name == "AppRec" and root.namespace in apprec.VERSIONS:
        return apprec.read(root, zone=zone)
    if _is_summary(root):
        return _reading(root, epikrise.read(root, content=content, zone=zone), zone)
    if root.name != "MsgHead" or root.namespace != msghead.NAMESPACE:
        reason = phrase(
            "the root is neither MsgHead in {namespace} nor AppRec in one of {namespaces}; correct its name"
            " or its namespace",
            namespace=msghead.NAMESPACE,
            namespaces=list(apprec.VERSIONS),
        )
        raise Refused(reason, code="T10")
    return _reading(root, msghead.read(root, content=content, zone=zone), zone)


def _is_summary(root: xml.Node) -> bool:
    return root.name == "Message" and bool(epikrise.NAMESPACE.fullmatch(root.namespace))


def _reading(root: xml.Node, head: msghead.Head, zone: tzinfo) -> Reading:
    try:
        bundle, in_words, losses, held = _bundles(root, head, zone)
    except Refused as problem:
        return Reading(envelope=head.envelope, problem=problem)
    return Reading(envelope=head.envelope, bundle=bundle, in_words=in_words, losses=losses, problem=held)


def envelope(content: bytes, *, content_type: str | None, zone: tzinfo) -> Envelope:
    """The outside of a message that has been read before."""
    return read(content, content_type=content_type, zone=zone).envelope


def _unread(message_type: str) -> Refused:
    named = msghead.type_named(message_type)
    reason = phrase("{named} is not read here; this address reads {types}", named=named, types=list(_READERS))
    return Refused(reason, code="T10")


def _bundles(
    root: xml.Node, head: msghead.Head, zone: tzinfo
) -> tuple[Bundle, Bundle | None, tuple[Phrase, ...], Quarantined | None]:
    """The canonical Bundle of a legible message, that of its mere words, what is lost, and why it must wait.

    Raises Refused E10, E36, T02 or T10.
    """
    envelope = head.envelope
    msghead.check(head)
    told, subject = _told(root, head, zone)
    if not subject.identified:
        raise Refused(
            phrase(
                "the patient needs a name and a national number, or a name, birth date and sex (HIS 80415)"
            ),
            code="E36",
        )
    files = list(attachments.read(root)) if envelope.type not in logistics.TYPES else []  # no health there
    bundle, lost = _bundle(told, subject, envelope, files)
    in_words = None
    if told.in_words is not None:
        in_words, _ = _bundle(replace(told, notice=told.in_words), subject, envelope, files)
    losses = [*head.losses, *told.losses, *lost]
    for tags in (("MsgInfo", "Ack"), ("Document", "RefDoc", "MsgType"), ("Document", "RefDoc", "IssueDate")):
        root.ignore(*(msghead.MH + tag for tag in tags))
    return bundle, in_words, (*losses, *_left(root)), foretold(told.notice, zone)


def _left(root: xml.Node) -> Iterator[Phrase]:
    """What nobody has read."""
    paths, more = root.left_over()
    for path in paths:
        where = _PAYLOAD.sub("", path)
        yield phrase("{element} has no place in FHIR; it stays in the original", element=where)
    if more:
        yield plural(
            "{number} more element has no place in FHIR; it stays in the original",
            "{number} more elements have no place in FHIR; they stay in the original",
            more,
        )


def _bundle(
    told: Told, subject: Subject, envelope: Envelope, files: list[Attachment]
) -> tuple[Bundle, list[Phrase]]:
    """The Bundle of a notice with all that stands beside it, and what is lost of that."""
    bundle = message_bundle(
        told.notice,
        subject=subject,
        sender=envelope.sender,
        receivers=envelope.receivers,
        hospital=next(
            (a for a in (envelope.sender, *envelope.receivers) if a.token == told.notice.hospital), None
        ),
        transmission_id=envelope.message_id,
        responsible=told.responsible,
        unit=told.unit,
        discharged_to=told.discharged_to,
    )
    lost = list(told.dress(bundle)) if told.dress is not None else []
    if files:
        attachments.put(bundle, files)
    if len(bundle["entry"]) > MAX_ENTRIES:
        reason = phrase("the message tells more than {most} things; send it in parts", most=MAX_ENTRIES)
        raise Refused(reason, code="T02")
    return bundle, lost


def _told(root: xml.Node, head: msghead.Head, zone: tzinfo) -> tuple[Told, Subject]:
    """What the payload says, and of whom the envelope says it."""
    if _is_summary(root):
        assert head.payload is not None
        return epikrise.tell(head.payload, head=head, zone=zone), epikrise.read_subject(head.payload)
    if head.envelope.type not in _READERS:
        raise _unread(head.envelope.type)
    told = _READERS[head.envelope.type](head.payload, envelope=head.envelope, zone=zone)
    info = root.one(msghead.MH + "MsgInfo")
    assert info is not None
    return told, msghead.read_subject(info)


def write(bundle: Bundle, *, dialect: str, addressing: Addressing) -> Written:
    """The notice as a PLO message. Raises CannotWrite where PLO has no form for it, or its receiver none."""
    if dialect not in NAMES:
        reason = phrase(
            "{dialect} is not a dialect of PLO; the endpoint must name one of {names}",
            dialect=dialect,
            names=str(NAMES),
        )
        raise CannotWrite(reason)
    kind = event_kind(header(bundle) or {})
    if kind is NoticeKind.DISCHARGE_SUMMARY:
        reason = phrase(
            "an epikrise is read here and never written; have the hospital's own system send it to this"
            " receiver, or set the dialect of the receiver's endpoint to fhir"
        )
        raise CannotWrite(reason)
    if kind not in _WRITERS:
        reason = phrase(
            "PLO has no message for {kind}; give it to this receiver as a dialogue message, by telephone or"
            " on paper, and record that",
            kind=Code("notice", str(kind), str(kind)),
        )
        raise CannotWrite(reason)
    payload = _WRITERS[kind](bundle, dialect=dialect, sender=addressing.sender)
    losses = list(payload.losses)
    if payload.notice.refers_to and not addressing.refers_to:
        losses.append(phrase("the earlier message: the receiver knows it under no id of ours"))
    root = msghead.write(
        message_type=payload.message_type,
        sent_at=payload.notice.sent_at,
        subject=subject_in(bundle),
        addressing=addressing,
        payload=payload.element,
        losses=losses,
    )
    attachments.write(root, payload.attachments, xml.local_text(payload.notice.sent_at))
    return Written(
        content=xml.document(root),
        content_type=msghead.MEDIA_TYPE,
        type=payload.message_type,
        losses=tuple(losses),
    )


def acknowledge(envelope: Envelope, verdict: Verdict) -> bytes | None:
    """The AppRec for a message that was read, in the name of one of its receivers.

    None where the standard wants none: for a receipt, for a sender that cannot be made out (N-07), while
    nothing is decided, and when we only pass the message on.
    """
    original = envelope.opaque
    if not isinstance(original, msghead.Original) or not envelope.sender.identifiers:
        return None
    if verdict.status not in (Status.ACCEPTED, Status.REFUSED) or not envelope.receivers:
        return None
    return apprec.write(original, verdict, copy=envelope.receivers[verdict.receiver].copy)


def repeat(content: bytes, *, at: datetime, number: int) -> bytes:
    """What a resend looks like: the same bytes, so that the receiver knows its duplicate (N-08)."""
    return content
