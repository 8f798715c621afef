"""The discharge summary (Epikrise 1.1 and 1.2), which has an envelope of its own and no MsgHead: read only.

Summary to referrer, GP and those who must follow up (helsepersonelloven 45 a). The record itself is
`epikrise_record`. Any other version is read only as far as a receipt needs it, and refused (T10).
"""

import re
import uuid
from datetime import date, datetime, tzinfo
from functools import partial

from adapter.discharge.notices import Moment, Notice, NoticeKind, Standing, instant
from adapter.errors import Refused
from adapter.fhir.bundles import Bundle, Subject, header, of_type
from adapter.mappings.kith import epikrise_record
from adapter.mappings.kith.apprec import read_station
from adapter.mappings.kith.epikrise_page import Page, code_of, many, number, one, said
from adapter.mappings.kith.lists import LOGISTICS, PEOPLE, RECEIPTS, table
from adapter.mappings.kith.msghead import (
    MEDIA_TYPE,
    Head,
    Original,
    Station,
    address,
    apprec_version,
    id_fits,
    identity,
    normal_id,
)
from adapter.mappings.kith.told import Told
from adapter.mappings.kith.xml import Node, day, moment
from adapter.messaging.envelope import Envelope
from adapter.phrases import Phrase, phrase

TYPE = epikrise_record.TYPE
NAMESPACE = re.compile(r"http://www\.kith\.no/xmlstds/epikrise(/\d{4}-\d\d-\d\d)?")

_IDS = uuid.UUID("b7f4a2de-2f0d-5a41-9a0c-6d2f1d7c5e38")
_NATIONAL = ("FNR", "DNR", "FHN")
_READ_AS_NEW = {
    "A": "ServRprt/ServType: that it is an addition to an earlier one; the message was read as a new one",
    "H": "ServRprt/ServType: that it is history; the message was read as a new one",
    "X": "ServRprt/ServType: that its status is 'other'; the message was read as a new one",
}
"""By code of list 7309: what a notice does not say."""


# --- the envelope -----------------------------------------------------------------------------------------


def read(root: Node, *, content: bytes, zone: tzinfo) -> Head:
    """The envelope. Raises Refused T02 where not even a receipt could be written for it."""
    ns = f"{{{root.namespace}}}"
    issued = root.code(ns + "GenDate")
    sent_at = moment(issued, zone)
    if issued is None or not isinstance(sent_at, datetime):
        raise Refused(phrase("the epikrise has no GenDate with date and time; send it with one"), code="T02")
    report = one(root, "ServRprt") or root
    losses: list[Phrase] = []
    sender = _station(one(report, "ServProvider"), losses)
    receivers = _receivers(report, losses)
    written_id = one(root, "MsgId")
    letter = (written_id.element.text or "") if written_id is not None else ""
    root.ignore(ns + "MsgId")
    summary = normal_id(said(Node(element=report.element), "ServProvId"))
    version = apprec_version(root.namespace)
    envelope = Envelope(
        dialect=RECEIPTS["version"][version]["dialect"],
        message_id=identity(letter, content),
        type=TYPE,
        sent_at=sent_at,
        sender=address(sender),
        receivers=tuple(address(station, copy=copy) for station, copy in receivers),
        content_type=MEDIA_TYPE,
        conversation=summary if id_fits(summary) else None,
        production=_production(root, losses),
        opaque=Original(
            apprec=version,
            type=root.code(ns + "Type") or TYPE,
            type_name=root.display(ns + "Type"),
            issued=issued,
            message_id=letter,
            sender=sender,
            receivers=tuple(station for station, _ in receivers),
        ),
    )
    root.ignore(ns + "MIGversion")
    return Head(envelope=envelope, payload=report, losses=tuple(dict.fromkeys(losses)), endless=False)


def _station(party: Node | None, losses: list[Phrase]) -> Station:
    """The address; how it is reached (ComMethod) says nothing to whom it has reached."""
    if party is None:
        return ()
    party.ignore(f"{{{party.namespace}}}ComMethod")
    found = read_station(party, f"{{{party.namespace}}}")
    for level in found:
        known = PEOPLE["person" if level.person else "organisation"]
        if any(ident.type not in known for ident in level.idents):
            losses.append(
                phrase(
                    "{element}: an identifier of a kind that has no system here",
                    element=f"ServRprt/{party.name}",
                )
            )
    return found


def _receivers(report: Node, losses: list[Phrase]) -> list[tuple[Station, bool]]:
    """The requester and the copy receivers with an address; the others had it on paper, from the sender."""
    named = [(node, False) for node in many(report, "Requester")[:1]]
    named += [(node, True) for node in many(report, "CopyDest")]
    reached = []
    for node, copy in named:
        if address(_station(Node(element=node.element), [])).identifiers:
            reached.append((node, copy))
        else:
            losses.append(
                phrase(
                    "{element} has no HER-id or organisation number and is left to the sender",
                    element=f"ServRprt/{node.name}",
                )
            )
    return [(_station(node, losses), copy) for node, copy in reached or named[:1]]


def _production(root: Node, losses: list[Phrase]) -> bool | None:
    status = one(root, "Status")
    if status is None:
        return None
    status.code()
    known: dict[str, bool] | None = table("epikrise")["status"].get(code_of(status))
    if known is None:
        losses.append(phrase("Message/Status is not a code of list 8323 that is known here"))
    return known["production"] if known else None


def read_subject(report: Node) -> Subject:
    """The patient as the summary names the person; Name is `family, given`."""
    patient = one(report, "Patient")
    if patient is None:
        return Subject()
    family, _, given = (said(patient, "Name") or "").partition(",")
    place = tuple(said(patient, "Address", part) for part in ("StreetAdr", "PostalCode", "City"))
    return Subject(
        identifiers=tuple(_numbers(patient)),
        family=family.strip() or None,
        given=given.strip() or None,
        birth_date=_born(patient),
        gender=_gender(patient),
        address=(place[0], place[1], place[2]) if any(place) else None,
    )


def _numbers(patient: Node) -> list[tuple[str, str]]:
    """National numbers; those of a hospital or of another country identify nobody (E36)."""
    pairs = [(one(patient, "OffId"), one(patient, "TypeOffId"))]
    pairs += [(one(other, "Id"), one(other, "Type")) for other in many(patient, "AdditionalId")]
    found = []
    for value, type_ in pairs:
        if value is None or type_ is None or code_of(type_) not in _NATIONAL:
            continue
        if text := number(value):
            type_.code()
            found.append((PEOPLE["person"][code_of(type_)]["system"], re.sub(r"\s", "", text)))
    return list(dict.fromkeys(found))


def _born(patient: Node) -> date | None:
    """The day, where the message gives no less; a year or month alone identifies nobody."""
    found = one(patient, "DateOfBirth")
    born = day((_v(found) or "")[:10])
    if born is not None and found is not None:
        found.code()
    return born


def _gender(patient: Node) -> str | None:
    sex = one(patient, "Sex")
    found = PEOPLE["sex"].get(code_of(sex))
    if sex is None or found is None:
        return None
    sex.code()
    return str(found["gender"])


# --- the notice -------------------------------------------------------------------------------------------


def tell(report: Node, *, head: Head, zone: tzinfo) -> Told:
    """The notice, and the record. Raises Refused T02 or T10 where it is not one that we read."""
    if report.namespace not in table("epikrise")["version"]:
        raise Refused(
            phrase("this version of Epikrise is not read here; send it as version 1.1 or 1.2"), code="T10"
        )
    if report.name != "ServRprt":
        raise Refused(phrase("the epikrise has no ServRprt; send it with one"), code="T02")
    envelope = head.envelope
    losses: list[Phrase] = []
    notice = Notice(
        kind=NoticeKind.DISCHARGE_SUMMARY,
        message_id=envelope.message_id,
        sent_at=envelope.sent_at,
        occurred=_occurred(report, envelope.sent_at, zone),
        sender=envelope.sender.token,
        receivers=tuple(receiver.token for receiver in envelope.receivers),
        hospital=envelope.sender.token,
        admitted=_admitted(report, zone),
        standing=_standing(report, losses),
    )
    dress = partial(_dress, report=report, original=envelope.opaque, standing=notice.standing, zone=zone)
    return Told(notice=notice, losses=tuple(losses), dress=dress)


def _occurred(report: Node, sent_at: datetime, zone: tzinfo) -> Moment:
    """When it was approved, else issued; never after it was sent."""
    for name in ("ApprDate", "IssueDate"):
        found = moment(_v(one(report, name)), zone)
        if found is not None and instant(found, sent_at=sent_at, zone=zone) <= sent_at:
            return found
    return sent_at


def _admitted(report: Node, zone: tzinfo) -> Moment | None:
    """When the first stay began, which the record tells as well."""
    return moment(_v(one(report, "Event", "ReportedEvent", "StartDateTime")), zone)


def _v(node: Node | None) -> str | None:
    """A time as written, only looked at: the record reads it."""
    return (node.element.get("V") or "").strip() or None if node is not None else None


def _standing(report: Node, losses: list[Phrase]) -> Standing:
    """What the summary is to an earlier one (list 7309)."""
    code = report.code(f"{{{report.namespace}}}ServType") or ""
    entry = LOGISTICS["sending-status"].get(code)
    if entry is None:
        losses.append(
            phrase("ServRprt/ServType is missing or no code of list 7309; the message was read as a new one")
        )
    elif code in _READ_AS_NEW:
        losses.append(phrase(_READ_AS_NEW[code]))
    return Standing(entry["standing"]) if entry else Standing.NEW


def _dress(
    bundle: Bundle, *, report: Node, original: Original, standing: Standing, zone: tzinfo
) -> list[Phrase]:
    """Add the record to the Bundle, and the names of departments and persons that it is from and to."""
    head = header(bundle) or {}
    head["source"]["name"] = _named(original.sender) or head["source"]["name"]
    for made, station in zip(head["destination"], original.receivers, strict=True):
        made["name"] = _named(station) or made["name"]
    message_id = head.get("id", "")
    numbers = iter(range(1_000_000))
    composition = of_type(bundle, "Composition") or {}
    status = {Standing.CANCELLATION: "entered-in-error", Standing.CORRECTION: "amended"}
    composition["status"] = status.get(standing, "final")
    page = Page(
        bundle=bundle,
        patient=of_type(bundle, "Patient") or {},
        encounter=of_type(bundle, "Encounter") or {},
        composition=composition,
        standing=code_of(one(report, "ServType")),
        zone=zone,
        new_id=lambda: str(uuid.uuid5(_IDS, f"{message_id}/{next(numbers)}")),
    )
    return epikrise_record.read(report, page)


def _named(station: Station) -> str:
    """The names of an address, the person or department first."""
    names = (level.name for level in reversed(station) if level.name)
    return ", ".join(dict.fromkeys(names))
