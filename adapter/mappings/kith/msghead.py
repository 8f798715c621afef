"""MsgHead 1.2, the envelope of every Norwegian message: read into our terms, and written.

Addresses are kept level by level beside the envelope, because a receipt mirrors them to the letter
(HIS 80415, N-04). Identity is normalised: HER-ids without dots, message ids in lower case.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo

from lxml import etree

from adapter.errors import CannotWrite, Refused
from adapter.fhir.bundles import CPR, Subject
from adapter.fhir.numbers import born_by_cpr
from adapter.mappings import Addressing
from adapter.mappings.kith.lists import FORMATS, MESSAGES, OID, PEOPLE, RECEIPTS
from adapter.mappings.kith.xml import Node, add, day, local_text, moment, new
from adapter.messaging.envelope import HER, LONGEST_ID, Address, Envelope
from adapter.phrases import Phrase, phrase

NAMESPACE = "http://www.kith.no/xmlstds/msghead/2006-05-24"
MH = f"{{{NAMESPACE}}}"
MIG_VERSION = "v1.2 2006-05-24"
MEDIA_TYPE = "application/xml"
NATIONAL = ("FNR", "DNR", "FHN", "DKF")
"""Types of list 8116 that say who a patient is."""
"""Of every KITH message, whatever its sender called it; the XML itself says in which encoding it is."""

MOST_RECEIVERS = 100

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_WORD = re.compile(r"[A-Z][A-Z0-9_]{0,39}")
_UNADDRESSED = {
    "Sender": "the sender has neither a HER-id nor an organisation number; add one to the region file",
    "Receiver": "the receiver has neither a HER-id nor an organisation number; add one to the region file",
}
_OLD_FORMATS = tuple(re.compile(pattern) for pattern in FORMATS["apprec-1-0"]["patterns"])


@dataclass(frozen=True, kw_only=True, slots=True)
class Ident:
    """One identifier as it was written."""

    id: str
    type: str | None
    name: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Level:
    """One level of an address: an organisation, a service within it, or a person."""

    person: bool
    name: str | None
    idents: tuple[Ident, ...]


Station = tuple[Level, ...]
"""The levels of one address, the organisation first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Original:
    """What a receipt repeats of the message it is for, to the letter."""

    apprec: str  # version of the receipt that its format expects
    type: str
    type_name: str | None
    issued: str  # GenDate
    message_id: str
    sender: Station
    receivers: tuple[Station, ...]  # parallel to Envelope.receivers


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """A message whose outside has been understood."""

    envelope: Envelope
    payload: Node | None
    losses: tuple[Phrase, ...]
    endless: bool  # an id in ConversationRef is, and has been left out of the envelope


# --- reading ----------------------------------------------------------------------------------------------


def read(root: Node, *, content: bytes, zone: tzinfo) -> Head:
    """The envelope. Raises Refused T02 where not even a receipt could be written for it."""
    info = root.one(MH + "MsgInfo")
    if info is None:
        raise Refused(phrase("MsgHead has no MsgInfo; send it with one"), code="T02")
    issued = info.text(MH + "GenDate")
    sent_at = moment(issued, zone)
    if issued is None or not isinstance(sent_at, datetime):
        reason = phrase("MsgInfo/GenDate is missing or is no date and time; send it with one")
        raise Refused(reason, code="T02")
    payload = _payload(root)
    losses: list[Phrase] = []
    sender = _station(info.one(MH + "Sender"))
    receivers = _receivers(info, losses)
    written_id = info.one(MH + "MsgId")
    letter = (written_id.element.text or "") if written_id is not None else ""
    info.ignore(MH + "MsgId")
    original = Original(
        apprec=apprec_version(payload.namespace if payload is not None else ""),
        type=info.code(MH + "Type") or "",
        type_name=info.display(MH + "Type"),
        issued=issued,
        message_id=letter,
        sender=sender,
        receivers=tuple(station for station, _ in receivers),
    )
    refers_to = normal_id(info.text(MH + "ConversationRef", MH + "RefToParent"))
    conversation = normal_id(info.text(MH + "ConversationRef", MH + "RefToConversation"))
    envelope = Envelope(
        dialect=RECEIPTS["version"][original.apprec]["dialect"],
        message_id=identity(letter, content),
        type=original.type if _WORD.fullmatch(original.type) else "UNKNOWN",
        sent_at=sent_at,
        sender=address(sender),
        receivers=tuple(address(station, copy=copy) for station, copy in receivers),
        content_type=MEDIA_TYPE,
        refers_to=refers_to if id_fits(refers_to) else None,
        conversation=conversation if id_fits(conversation) else None,
        production=_production(info, losses),
        opaque=original,
    )
    if info.text(MH + "MIGversion") != MIG_VERSION:
        losses.append(
            phrase(
                "MsgInfo/MIGversion is not {version}; the message was read as if it were",
                version=repr(MIG_VERSION),
            )
        )
    return Head(
        envelope=envelope,
        payload=payload,
        losses=tuple(losses),
        endless=not (id_fits(refers_to) and id_fits(conversation)),
    )


def identity(written: str, content: bytes) -> str:
    """A message's identity: its MsgId; its content where that is no GUID."""
    found = normal_id(written) or ""
    return found if _GUID.fullmatch(found) else f"sha256-{hashlib.sha256(content).hexdigest()[:32]}"


def check(head: Head) -> None:
    """What the standard wants of every message, and our own bounds. Raises Refused E10 or T02."""
    envelope = head.envelope
    if not _GUID.fullmatch(envelope.message_id):
        raise Refused(phrase("MsgId is missing or is no GUID; send it anew with one (N-05)"), code="E10")
    if not envelope.sender.identifiers:
        reason = phrase("the sender has no HER-id or organisation number; send it with one")
        raise Refused(reason, code="T02")
    if not envelope.receivers:
        raise Refused(phrase("the message has no receiver; send it with one"), code="T02")
    if len(envelope.receivers) > MOST_RECEIVERS:
        reason = phrase("the message has more than {most} receivers; send it in parts", most=MOST_RECEIVERS)
        raise Refused(reason, code="T02")
    if head.endless:
        raise too_long(phrase("an id in ConversationRef"))
    if not all(address.fits for address in (envelope.sender, *envelope.receivers)):
        raise too_long(phrase("an identifier of sender or receiver"))


def id_fits(text: str | None) -> bool:
    """Whether an id is no longer than any in use."""
    return text is None or len(text) <= LONGEST_ID


def too_long(what: str) -> Refused:
    """The refusal of an id that no database could look up."""
    reason = phrase("{what} is longer than {most} characters; correct it", what=what, most=LONGEST_ID)
    return Refused(reason, code="T02")


def normal_id(text: str | None) -> str | None:
    """A message id as an identity: lower case, with hyphens, without braces; other text is only lowered."""
    if text is None:
        return None
    bare = text.strip().strip("{}").lower()
    if re.fullmatch(r"[0-9a-f]{32}", bare):
        bare = "-".join((bare[:8], bare[8:12], bare[12:16], bare[16:20], bare[20:]))
    return bare or None


def apprec_version(payload_namespace: str) -> str:
    """Which version of the receipt a payload's sender expects (N-03)."""
    return "1.0" if any(pattern.match(payload_namespace) for pattern in _OLD_FORMATS) else "1.1"


def type_named(code: str) -> str:
    """A message type for an error text: with its name, and nothing that is no code."""
    if code in MESSAGES:
        return f"{code} ({MESSAGES[code]})"
    return code if _WORD.fullmatch(code) else phrase("an unknown type")


def either(names: Sequence[str]) -> str:
    """Names that all are right, for an error text."""
    *others, last = names
    return phrase("{some} or {last}", some=either(others), last=last) if others else last


def address(station: Station, *, copy: bool = False) -> Address:
    """An address in shared terms: identifiers from the most specific level up, the organisation's name."""
    found: list[tuple[str, str]] = []
    persons = 0
    for level in reversed(station):
        table = PEOPLE["person" if level.person else "organisation"]
        told = (i for i in level.idents if i.id)  # an empty one says nothing, and is no identifier in FHIR
        pairs = [_pair(table[i.type]["system"], i.id) for i in told if i.type in table]
        found += sorted(pairs, key=lambda pair: pair[0] != HER)
        persons += len(pairs) if level.person else 0
    name = next((level.name for level in station if level.name), None)
    return Address(identifiers=tuple(dict.fromkeys(found)), name=name, copy=copy, persons=persons)


def read_subject(info: Node) -> Subject:
    """The patient as the envelope names the person."""
    patient = info.one(MH + "Patient")
    if patient is None:
        return Subject()
    table = PEOPLE["person"]
    numbers = []
    for node in patient.all(MH + "Ident"):
        kind = node.one(MH + "TypeId")
        key = (kind.element.get("V") or "").strip() if kind is not None else ""
        number = node.text(MH + "Id")
        if key in NATIONAL and number and id_fits(number):  # an endless one identifies nobody
            node.code(MH + "TypeId")
            numbers.append(_pair(table[key]["system"], number))
    given = [patient.text(MH + "GivenName"), patient.text(MH + "MiddleName")]
    place = tuple(patient.text(MH + "Address", MH + part) for part in ("StreetAdr", "PostalCode", "City"))
    return Subject(
        identifiers=tuple(numbers),
        family=patient.text(MH + "FamilyName"),
        given=" ".join(part for part in given if part) or None,
        birth_date=day(patient.text(MH + "DateOfBirth")),
        gender=PEOPLE["sex"].get(patient.code(MH + "Sex") or "", {}).get("gender"),
        address=(place[0], place[1], place[2]) if any(place) else None,
    )


def read_idents(node: Node, ns: str) -> tuple[Ident, ...]:
    """The identifiers of an organisation or person, as written."""
    return tuple(
        Ident(
            id=ident.text(ns + "Id") or "",
            type=ident.code(ns + "TypeId"),
            name=ident.display(ns + "TypeId"),
        )
        for ident in node.all(ns + "Ident")
    )


def person_name(node: Node, ns: str) -> str | None:
    """Given, middle and family name in one."""
    parts = (node.text(ns + part) for part in ("GivenName", "MiddleName", "FamilyName"))
    return " ".join(part for part in parts if part) or None


def _pair(system: str, value: str) -> tuple[str, str]:
    bare = re.sub(r"\s", "", value)
    return system, bare.replace(".", "") if system == HER else bare


def _payload(root: Node) -> Node | None:
    """The first child of the first Content; attachments come after it."""
    for part in root.all(MH + "Document"):
        content = part.one(MH + "RefDoc", MH + "Content")
        found = next(content.children(), None) if content is not None else None
        if found is not None:
            return found
    return None


def _station(party: Node | None) -> Station:
    levels: list[Level] = []
    persons: list[Level] = []
    node = party
    while node is not None:
        for person in node.all(MH + "HealthcareProfessional"):
            persons.append(Level(person=True, name=person_name(person, MH), idents=read_idents(person, MH)))
        node = node.one(MH + "Organisation")
        if node is not None:
            name = node.text(MH + "OrganisationName")
            levels.append(Level(person=False, name=name, idents=read_idents(node, MH)))
    return (*levels, *persons)


def _receivers(info: Node, losses: list[Phrase]) -> list[tuple[Station, bool]]:
    found = [(_station(node), False) for node in info.all(MH + "Receiver")[:1]]
    for node in info.all(MH + "OtherReceiver"):
        station = _station(node)
        if not station:
            losses.append(phrase("MsgInfo/OtherReceiver is a private person and is left to the sender"))
            continue
        if node.code(MH + "RoleReceiver") != "COP":
            losses.append(
                phrase("MsgInfo/OtherReceiver/RoleReceiver is not COP; it was read as a copy receiver")
            )
        found.append((station, True))
    return found


def _production(info: Node, losses: list[Phrase]) -> bool | None:
    code = info.code(MH + "ProcessingStatus")
    known = PEOPLE["processing-status"].get(code or "")
    if code is not None and known is None:
        losses.append(phrase("MsgInfo/ProcessingStatus is not a code of list 8101"))
    return known["production"] if known else None


# --- writing ----------------------------------------------------------------------------------------------


def write(
    *,
    message_type: str,
    sent_at: datetime,
    subject: Subject,
    addressing: Addressing,
    payload: etree._Element,
    losses: list[Phrase],
) -> etree._Element:
    """A MsgHead round `payload`. Raises CannotWrite where the receiver would have to refuse it."""
    if not _GUID.fullmatch(normal_id(addressing.message_id) or ""):
        raise CannotWrite(phrase("a KITH message needs a GUID as its message id; give it a new one"))
    root = new(MH + "MsgHead", {None: NAMESPACE})
    info = add(root, MH + "MsgInfo")
    add(info, MH + "Type", V=message_type, DN=MESSAGES[message_type])
    add(info, MH + "MIGversion", MIG_VERSION)
    add(info, MH + "GenDate", local_text(sent_at))
    add(info, MH + "MsgId", addressing.message_id)
    status = "P" if addressing.production else "D"
    add(info, MH + "ProcessingStatus", V=status, DN=PEOPLE["processing-status"][status]["name"])
    if addressing.refers_to:
        reference = add(info, MH + "ConversationRef")
        add(reference, MH + "RefToParent", addressing.refers_to)
        add(reference, MH + "RefToConversation", addressing.conversation or addressing.refers_to)
    _write_party(info, "Sender", addressing.sender)
    _write_party(info, "Receiver", addressing.receiver)
    _write_patient(info, subject, losses)
    reference = add(add(root, MH + "Document"), MH + "RefDoc")
    add(reference, MH + "IssueDate", V=local_text(sent_at))
    add(reference, MH + "MsgType", V="XML", DN="XML-instans")
    add(reference, MH + "Content").append(payload)
    return root


def organisation_idents(address: Address) -> list[tuple[str, list[tuple[str, str]]]]:
    """The `(type, id)` pairs of each level, the organisation first: every HER-id opens a level of its own."""
    types = {entry["system"]: code for code, entry in PEOPLE["organisation"].items()}
    levels: list[list[tuple[str, str]]] = []
    for system, value in address.identifiers:
        if system in types:
            if not levels or system == HER:
                levels.append([])
            levels[-1].append((types[system], value))
    return [
        (address.name or f"{PEOPLE['organisation'][level[0][0]]['name']} {level[0][1]}", level)
        for level in reversed(levels)
    ]


def write_ident(parent: etree._Element, ns: str, kind: str, code: str, value: str) -> None:
    """An Ident; `kind` is "organisation" (list 9051) or "person" (list 8116)."""
    ident = add(parent, ns + "Ident")
    add(ident, ns + "Id", value)
    number = "9051" if kind == "organisation" else "8116"
    add(ident, ns + "TypeId", V=code, DN=PEOPLE[kind][code]["name"], S=OID + number)


def _write_party(info: etree._Element, role: str, party: Address) -> None:
    levels: Sequence[tuple[str, list[tuple[str, str]]]] = organisation_idents(party)
    if not levels:
        raise CannotWrite(phrase(_UNADDRESSED[role]))
    parent = add(info, MH + role)
    for name, idents in levels:
        parent = add(parent, MH + "Organisation")
        add(parent, MH + "OrganisationName", name)
        for code, value in idents:
            write_ident(parent, MH, "organisation", code, value)


def _write_patient(info: etree._Element, subject: Subject, losses: list[Phrase]) -> None:
    types = {PEOPLE["person"][code]["system"]: code for code in NATIONAL}
    numbers = tuple(pair for pair in subject.identifiers if pair[0] in types)
    if len(numbers) < len(subject.identifiers):
        losses.append(
            phrase("Patient.identifier: only Norwegian and Danish national numbers have a place in MsgHead")
        )
    known_sexes = {entry["gender"]: code for code, entry in PEOPLE["sex"].items()}
    gender = subject.gender if subject.gender in known_sexes else None
    danish = next((number for system, number in numbers if system == CPR), None)
    if danish is not None and (subject.birth_date is None or gender is None):
        told = born_by_cpr(danish)
        subject = replace(subject, birth_date=subject.birth_date or (told[0] if told else None))
        gender = gender or (told[1] if told else None)
    known_here = tuple(pair for pair in numbers if pair[0] != CPR)  # a Danish one is no identification there
    if not replace(subject, identifiers=known_here, gender=gender).identified:
        reason = phrase(
            "the receiver must refuse a patient known by less than name and national number, or name, birth"
            " date and sex (E36); ask the sender to complete it"
        )
        raise CannotWrite(reason)
    patient = add(info, MH + "Patient")
    for tag, text in (("FamilyName", subject.family), ("GivenName", subject.given)):
        if text:
            add(patient, MH + tag, text)
    if subject.birth_date:
        add(patient, MH + "DateOfBirth", subject.birth_date.isoformat())
    if gender:
        code = known_sexes[gender]
        add(patient, MH + "Sex", V=code, DN=PEOPLE["sex"][code]["name"])
    for system, number in numbers:
        write_ident(patient, MH, "person", types[system], number)
    if subject.address and any(subject.address):
        place = add(patient, MH + "Address")
        for tag, text in zip(("StreetAdr", "PostalCode", "City"), subject.address, strict=True):
            if text:
                add(place, MH + tag, text)
