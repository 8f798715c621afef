"""VANSEnvelope: the XML envelope in which MedCom's messages travel over the VANS network, opened and closed.

Sources: MedCom's governance of the network layer (030, 032) and "MedCom FHIR Messages And Network Envelopes":
Format HL7, Name with its postfix, Version, base64 in Message/Data, ServiceTag MCM:MIME, one message in each
envelope, a new EnvelopeIdentifier and SentDateTime for each sending; and the schema of version 1.0.4, as it
stands in a public test of another message. The document that all of them name, "Den gode VANSEnvelope", could
not be read whole, so these are not checked against it: whether another version of the schema is in use (any
is read; 1.0.4 is written), what TransformMessage is for (false is written), whether Identifier must differ
from MessageHeader.id (they are the same here), and Message/MetaInformation/Processing (ignored).

A VANS receipt (VANSEnvelope/Receipt) is read: positive, it says that the envelope has arrived, and no more;
negative, that the message will not. None is written: that is the work of the connection to the network. Its
table of duplicates has two rows changed round against FHIR's (T5): MessageHeader.id says what a duplicate is.
"""

import re
import tomllib
import uuid
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from functools import cache
from importlib.resources import files
from typing import Any

from lxml import etree

from adapter.errors import CannotWrite, Refused
from adapter.fhir.bundles import Bundle, Resource, follow, header
from adapter.mappings.medcom.findings import values
from adapter.messaging.acknowledgement import Acknowledgement, Issue, Status
from adapter.messaging.envelope import LONGEST_ID, Address, Envelope, is_uuid
from adapter.phrases import Phrase, phrase

NAME = "medcom-vans"
CONTENT_TYPE = "application/xml"
RECEIPT = "vans-receipt"
"""The envelope's type of a receipt of the network: never answered."""

_GLN = "https://www.gs1.org/gln"
_ROOT = re.compile(rb"<(?:[\w.-]+:)?VANSEnvelope[\s/>]")
_NAMESPACE = re.compile(r"urn:oio:medcom:vans-envelope:[\w.]{1,20}", re.ASCII)
_LOOK = 65536
_LONG_TEXTS = 5_000_000  # bytes: libxml2 lets a text be ten million letters long, and an attachment is longer
_MOST_ELEMENTS = 100
_LONGEST_NUMBER = 18
_OURS = uuid.UUID("c4c5f0de-6f9b-5f0f-8c1e-3d6f2b8a7e10")


EndPoint = tuple[str, str]
"""EndPointType (EAN, CVR, VANS) and number, as an envelope writes who sends and who shall have it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """What was in an envelope, and what stood on it."""

    message: bytes = field(repr=False)
    content_type: str  # by ServiceTag MCM:MIME; else by the look of the message
    envelope_id: str
    name: str  # as MCM:FDIS20#AdmissionInpatient
    version: str | None
    sender: EndPoint | None
    receiver: EndPoint | None
    losses: tuple[Phrase, ...] = ()


# --- opening ----------------------------------------------------------------------------------------------


def recognises(content: bytes) -> bool:
    """Whether it is a VANSEnvelope, by its first 64 kB; one behind a DOCTYPE too, so that it is refused."""
    start = content[:_LOOK].removeprefix(b"\xef\xbb\xbf").lstrip()
    return start.startswith(b"<") and _ROOT.search(start) is not None


def is_receipt(root: etree._Element) -> bool:
    """Whether the envelope holds a receipt of the network instead of a message."""
    return _child(root, "Receipt") is not None


def parse(content: bytes) -> etree._Element:
    """The envelope; raises Refused where it is no VANSEnvelope that can be read whole and safely."""
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content or b"\x00" in content:
        raise Refused(
            phrase(
                "the VANSEnvelope has a document type declaration, or is in UTF-16; send plain XML in UTF-8"
            ),
            code="security",
        )
    if content.count(b"<") > 2 * _MOST_ELEMENTS:
        raise Refused(
            phrase("the VANSEnvelope has more than {number} elements", number=_MOST_ELEMENTS),
            code="too-costly",
        )
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=len(content) > _LONG_TEXTS,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(content, parser)
    except (etree.XMLSyntaxError, ValueError, LookupError):
        raise Refused(phrase("the VANSEnvelope is not well-formed XML"), code="structure") from None
    name = etree.QName(root)
    if name.localname != "VANSEnvelope" or not _NAMESPACE.fullmatch(name.namespace or ""):
        raise Refused(
            phrase(
                "the root is not VANSEnvelope in {namespace}; correct its name or its namespace",
                namespace=str(_table()["namespace"]),
            ),
            code="structure",
        )
    return root


def opened(root: etree._Element) -> Opened:
    """The message in an envelope; raises Refused where there is none, or something else is in it."""
    message = _only(root, "Message", "VANSEnvelope")
    about = _only(message, "MetaInformation", "VANSEnvelope/Message")
    document = _only(about, "Document", "VANSEnvelope/Message/MetaInformation")
    _is_hl7(document)
    data = _data(message)
    if recognises(data):
        raise Refused(
            phrase("the VANSEnvelope holds another VANSEnvelope; send the message itself"), code="structure"
        )
    name, mime = _text(document, "Name") or "", _mime(about)
    told = _media(data)
    losses = [*_oddities(document, about, data)]
    if mime is not None and told is not None and mime != told:
        losses.append(
            phrase(
                "ServiceTag {tag} says {media}, and the message is {found}",
                tag=str(_table()["mime-tag"]),
                media=mime,
                found=told,
            )
        )
    return Opened(
        message=data,
        content_type=told or mime or _table()["mimes"][0],
        envelope_id=_text(root, "EnvelopeIdentifier") or "",
        name=name[:LONGEST_ID],
        version=_text(document, "Version"),
        sender=_ends(root, "SenderID"),
        receiver=_ends(root, "ReceiverID"),
        losses=tuple(losses),
    )


def misnamed(found: Opened, bundle: Bundle) -> list[Phrase]:
    """What stands on the envelope and is not what is in it: its Name, its Version."""
    wanted = _catalogue(bundle)
    if wanted is None:
        return []
    said = []
    prefix = f"{_table()['prefix']}{wanted['type']}"
    if found.name.partition("#")[0] != prefix:
        said.append(
            phrase(
                "the VANSEnvelope's Name is not {prefix} and a postfix, as the message in it has it",
                prefix=prefix,
            )
        )
    if found.version != wanted["version"]:
        said.append(
            phrase(
                "the VANSEnvelope's Version is not {version}, as of {type}",
                version=wanted["version"],
                type=wanted["type"],
            )
        )
    return said


def _is_hl7(document: etree._Element) -> None:
    if _text(document, "Format") != _table()["format"]:
        raise Refused(
            phrase(
                "VANSEnvelope/Message/MetaInformation/Document/Format is not {format}: only MedCom's FHIR"
                " messages are read here",
                format=str(_table()["format"]),
            ),
            code="not-supported",
        )


def _data(message: etree._Element) -> bytes:
    held = _only(message, "Data", "VANSEnvelope/Message")
    text = "".join((held.text or "").split())
    try:
        found = b64decode(text, validate=True) if not len(held) else b""
    except (NotBase64, ValueError):
        raise Refused(phrase("VANSEnvelope/Message/Data is not base64"), code="structure") from None
    if not found:
        raise Refused(phrase("VANSEnvelope/Message/Data is empty, or holds elements"), code="required")
    return found


def _oddities(document: etree._Element, about: etree._Element, data: bytes) -> Iterator[Phrase]:
    if _mime(about) is None:
        yield phrase(
            "the VANSEnvelope has no ServiceTag {tag} of {media}",
            tag=str(_table()["mime-tag"]),
            media=[*_table()["mimes"]],
        )
    size = _text(document, "SizeInBytes")
    if size != str(len(data)):
        yield phrase(
            "SizeInBytes of the VANSEnvelope is not the {number} bytes that Data holds", number=len(data)
        )


def _mime(about: etree._Element) -> str | None:
    transport = _child(about, "Transport")
    for tag in transport if transport is not None else ():
        if etree.QName(tag).localname == "ServiceTag" and tag.get("name") == _table()["mime-tag"]:
            text = (tag.text or "").strip()
            return text if text in _table()["mimes"] else None
    return None


def _media(data: bytes) -> str | None:
    """The format by its first letter; None for what is neither XML nor JSON."""
    start = data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    xml, json = _table()["mimes"]
    return {b"<": xml, b"{": json}.get(start)


# --- receipts of the network ------------------------------------------------------------------------------


def receipt(root: etree._Element, zone: tzinfo) -> tuple[Envelope, Acknowledgement]:
    """What a VANS receipt says of the message that we sent; raises Refused where it names none."""
    held = next(iter(_only(root, "Receipt", "VANSEnvelope")), None)
    kind = etree.QName(held).localname if held is not None else ""
    status = _RECEIPTS.get(kind)
    original = _child(held, "OriginalMessage") if held is not None else None
    told = (_text(original, "Identifier") if original is not None else None) or (
        _text(held, "OriginalEnvelopeIdentifier") if held is not None else None
    )
    if held is None or status is None or told is None or len(told) > LONGEST_ID:
        raise Refused(phrase("VANSEnvelope/Receipt names no message that it is for"), code="structure")
    at, giver = _sent_at(root, zone), _end_point(root, "SenderID")
    error = _child(held, "Error")
    issues = () if error is None else (_issue(error),)
    outside = Envelope(
        dialect=NAME,
        message_id=_own_id(root),
        type=RECEIPT,
        sent_at=at,
        sender=giver,
        receivers=(_end_point(root, "ReceiverID"),),
        content_type=CONTENT_TYPE,
        refers_to=told.lower(),
    )
    said = Acknowledgement(
        original_id=told.lower(), status=status, at=at, giver=giver, issues=issues, of_the_network=True
    )
    return outside, said


_RECEIPTS = {
    "PositiveMessage": Status.TAKEN_OVER,
    "NegativeMessage": Status.REFUSED,
    "NegativeVans": Status.REFUSED,
}


def _own_id(root: etree._Element) -> str:
    """The EnvelopeIdentifier; of a receipt without one, or with one too long to look up, what it says."""
    found = _text(root, "EnvelopeIdentifier")
    if found is not None and len(found) <= LONGEST_ID:
        return found
    return str(uuid.uuid5(_OURS, etree.tostring(root, method="c14n").decode()))


def _issue(error: etree._Element) -> Issue:
    return Issue(code=(_text(error, "Code") or "")[:20], text=(_text(error, "Description") or "")[:512])


def _sent_at(root: etree._Element, zone: tzinfo) -> datetime:
    try:
        found = datetime.fromisoformat(_text(root, "SentDateTime") or "")
    except ValueError:
        raise Refused(phrase("VANSEnvelope/SentDateTime is not a time"), code="value") from None
    return found if found.tzinfo else found.replace(tzinfo=zone)


def _end_point(root: etree._Element, tag: str) -> Address:
    """A location number is a GLN; who is known by another number only is nobody that we know."""
    kind, number = _ends(root, tag) or ("", "")
    return Address(identifiers=((_GLN, number),) if kind == "EAN" and number.isdigit() else ())


def _ends(root: etree._Element, tag: str) -> EndPoint | None:
    held = _child(root, tag)
    number = (held.text or "").strip() if held is not None else ""
    if held is None or not 0 < len(number) <= _LONGEST_NUMBER:
        return None
    return str(held.get("EndPointType"))[:_LONGEST_NUMBER], number


# --- closing ----------------------------------------------------------------------------------------------


def wrapped(
    message: bytes, bundle: Bundle, *, sender: EndPoint | None = None, receiver: EndPoint | None = None
) -> bytes:
    """The message in an envelope; `bundle` is the same parsed. Raises CannotWrite without location numbers.

    `sender` and `receiver` are those of an envelope that is mirrored; else the location numbers of the
    message's parties. Its EnvelopeIdentifier is derived from Bundle.id, which is new for each sending, as is
    its time.
    """
    head = header(bundle) or {}
    namespace = _table()["namespace"]
    root = etree.Element(f"{{{namespace}}}VANSEnvelope", nsmap={None: namespace})  # type: ignore[dict-item]  # the default namespace
    addressed = next((d.get("receiver") for d in head.get("destination") or ()), None)
    for tag, given, party in (
        ("SenderID", sender, head.get("sender")),
        ("ReceiverID", receiver, addressed),
    ):
        kind, number = given or ("EAN", _gln(bundle, party, tag))
        _add(root, tag, number, EndPointType=kind)
    _add(root, "EnvelopeIdentifier", str(uuid.uuid5(_OURS, str(bundle.get("id")))))
    _add(root, "SentDateTime", str(bundle.get("timestamp")))
    held = _add(root, "Message")
    about = _add(held, "MetaInformation")
    _add(about, "Identifier", _as_uuid(str(head.get("id"))))
    document = _add(about, "Document")
    name, version = named(bundle)
    size = str(len(message))
    for tag, text in (
        ("Format", _table()["format"]),
        ("Name", name),
        ("Version", version),
        ("SizeInBytes", size),
    ):
        _add(document, tag, text)
    transport = _add(about, "Transport")
    _add(transport, "Type", "reliable")
    _add(transport, "TransformMessage", "false")
    _add(transport, "ServiceTag", _media(message), name=_table()["mime-tag"])
    _add(held, "Data", b64encode(message).decode())
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True)


def named(bundle: Bundle) -> tuple[str, str]:
    """Name with its postfix, and Version, of a message (D-17); CannotWrite for one that has no line there."""
    wanted = _catalogue(bundle)
    if wanted is None:
        raise CannotWrite(phrase("a VANSEnvelope has no Name for a message of this event (codes/vans.toml)"))
    return f"{_table()['prefix']}{wanted['type']}#{_postfix(bundle)}", str(wanted["version"])


def _postfix(bundle: Bundle) -> str:
    """The statistical variant: what a notification tells, a conversation's category, a receipt's code."""
    head = header(bundle) or {}
    if "response" in head:
        return str((head.get("response") or {}).get("code"))
    focus = follow(bundle, next(iter(head.get("focus") or ()), None)) or {}
    if focus.get("resourceType") == "Communication":
        return str(next(iter(values(focus, "category.coding.code")), "other"))
    code = _activity(bundle, str(head.get("id")))
    return str(_table()["postfix"].get(code.removeprefix("revise-").removeprefix("cancel-"), code))


def _activity(bundle: Bundle, message_id: str) -> str:
    """The activity of the Provenance that is this message's own."""
    for resource in (e["resource"] for e in bundle["entry"]):
        targets = values(resource, "target.reference") if resource["resourceType"] == "Provenance" else []
        if any(str(target).endswith(message_id) for target in targets):
            return str(next(iter(values(resource, "activity.coding.code")), ""))
    return ""


def _catalogue(bundle: Bundle) -> dict[str, str] | None:
    event = next(iter(values(header(bundle) or {}, "eventCoding.code")), None)
    found: dict[str, str] | None = _table()["message"].get(event)
    return found


def _gln(bundle: Bundle, reference: Resource | None, tag: str) -> str:
    for identifier in (follow(bundle, reference) or {}).get("identifier") or ():
        if identifier.get("system") == _GLN and identifier.get("value"):
            return str(identifier["value"])
    raise CannotWrite(
        phrase(
            "VANSEnvelope/{element} needs the location number (GLN) of its party; give it one in the region"
            " file",
            element=tag,
        )
    )


def _as_uuid(message_id: str) -> str:
    return message_id if is_uuid(message_id) else str(uuid.uuid5(_OURS, message_id))


# --- parts ------------------------------------------------------------------------------------------------


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(files(__package__).joinpath("codes", "vans.toml").read_text(encoding="utf-8"))


def _child(parent: etree._Element, tag: str) -> etree._Element | None:
    return next((e for e in parent if etree.QName(e).localname == tag), None)


def _only(parent: etree._Element, tag: str, where: str) -> etree._Element:
    """The one child of that name; Refused where there is none, or a second one."""
    found = [e for e in parent if etree.QName(e).localname == tag]
    if len(found) != 1:
        raise Refused(
            phrase(
                "{element} has {number} elements {part}; it has one",
                element=where,
                number=len(found),
                part=tag,
            ),
            code="required",
        )
    return found[0]


def _text(parent: etree._Element, tag: str) -> str | None:
    held = _child(parent, tag)
    return (held.text or "").strip() or None if held is not None else None


def _add(parent: etree._Element, tag: str, text: str | None = None, **attributes: str) -> etree._Element:
    made = etree.SubElement(parent, f"{{{_table()['namespace']}}}{tag}", attributes)
    made.text = text
    return made
