"""Message Bundles: the parts they are made of, and how to find them again.

A Bundle is parsed JSON. Its first entry is the MessageHeader; references lead by `fullUrl`, or relatively
as `Type/id` (both are in use, F-04). Resources carry FHIR R4 (4.0.1) content only.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from html import escape
from typing import Any
from urllib.parse import quote

from adapter.discharge import notices
from adapter.errors import Refused
from adapter.messaging.envelope import HER, LONGEST_ID, PERSON_SYSTEMS, Address, is_uuid
from adapter.phrases import phrase

Resource = dict[str, Any]
Bundle = dict[str, Any]

CANONICAL = "https://discharge-adapter.example/fhir"
"""Base of the project's own canonical addresses; the top-level domain is reserved and leads nowhere."""

EVENT_SYSTEM = f"{CANONICAL}/CodeSystem/discharge-events"
ANSWER_SYSTEM = f"{CANONICAL}/CodeSystem/answers"
FOLLOW_UP_SYSTEM = f"{CANONICAL}/CodeSystem/follow-ups"
PLACEMENT_SYSTEM = f"{CANONICAL}/CodeSystem/placements"
PLAN_KIND_SYSTEM = f"{CANONICAL}/CodeSystem/care-plan-kinds"
TEAM_ROLE_SYSTEM = f"{CANONICAL}/CodeSystem/care-team-roles"
DECLINER_SYSTEM = f"{CANONICAL}/CodeSystem/decliners"

YEARS = notices.YEARS
"""Outside of these a time is a slip of the pen, and arithmetic with zones becomes unsafe."""

RECEIPT_EVENT = "receipt"
"""The event of a Bundle that answers another; never answered itself."""

FNR, DNR, FHN, PERSONNUMMER, CPR, *_SWEDISH = PERSON_SYSTEMS
IN_SWEDEN = frozenset((PERSONNUMMER, *_SWEDISH))
"""Of those, Sweden's: personnummer and samordningsnummer, by address and by OID."""

HPR = "urn:oid:2.16.578.1.12.4.1.4.4"
SOR = "urn:oid:1.2.208.176.1.1"
"""Identifier system of Denmark's register of health organisations (SOR): of parties, and of their wards."""

LPR3 = "https://www.esundhed.dk/Registre/Landspatientregisteret"
"""Identifier system of Denmark's national patient register, for episodes of care."""

NATIONAL_IDENTIFIERS = PERSON_SYSTEMS
"""Identifier systems of persons: their values never reach a log, a metric, a URL or an error message."""


EXTENSION_BASE = f"{CANONICAL}/StructureDefinition/"
EXTENSIONS: dict[str, tuple[str, str]] = {
    "occurred": ("DateTime", "MessageHeader"),
    "standing": ("Code", "MessageHeader"),
    "refers-to": ("String", "MessageHeader"),
    "reserved": ("Boolean", "MessageHeader"),
    "notification": ("Boolean", "MessageHeader"),
    "report-wanted": ("Boolean", "MessageHeader"),
    "based-on": ("String", "MessageHeader"),
    "copy-receiver": ("Boolean", "MessageHeader.destination"),
    "ready-for-discharge": ("DateTime", "Encounter"),
    "estimate": ("Boolean", "Encounter"),
    "planned-discharge": ("Date", "Encounter"),
    "sip-needed": ("Boolean", "Encounter"),
    "psychiatric": ("Boolean", "Encounter"),
    "open-care-available": ("Boolean", "Encounter"),
    "asked-period": ("Period", "Communication"),
}
"""The project's own extensions: the type of the value, and the element that carries it."""


def synthetic(system: str, value: str) -> bool | None:
    """Whether a Norwegian number is marked as a test person's (month + 40, + 65 or + 80); None for others."""
    if system not in (FNR, DNR) or len(value) != 11 or not value.isdigit():
        return None
    return int(value[2:4]) > 12


def checks(system: str, value: str) -> bool:
    """Whether the check digits of a fødselsnummer or D-nummer are right; true for every other identifier.

    By the rule of 2032 (Skatteetaten), under which the first check digit may leave a remainder of 0 to 3.
    """
    if system not in (FNR, DNR):
        return True
    if len(value) != 11 or not (value.isascii() and value.isdigit()):
        return False
    digits = [int(digit) for digit in value]
    first = sum(d * w for d, w in zip(digits, (3, 7, 6, 1, 8, 9, 4, 5, 2, 1), strict=False)) % 11
    second = sum(d * w for d, w in zip(digits, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1), strict=True)) % 11
    return first <= 3 and second == 0


def extension_url(name: str) -> str:
    """The canonical address of one of the project's own extensions."""
    return f"{EXTENSION_BASE}{name}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """The patient as the message identifies the person; used to find the pseudonym, then left behind."""

    identifiers: tuple[tuple[str, str], ...] = ()
    family: str | None = None
    given: str | None = None
    birth_date: date | None = None
    gender: str | None = None  # FHIR administrative-gender
    address: tuple[str | None, str | None, str | None] | None = None  # street, postal code, city
    deceased: bool = False

    @property
    def identified(self) -> bool:
        """Whether a receipt may say that we know who this is.

        Name with a national number, or name with birth date and sex (HIS 80415, N-05, otherwise E36).
        """
        named = bool(self.family or self.given)
        return named and (bool(self.identifiers) or (self.birth_date is not None and self.gender is not None))


@dataclass(frozen=True, kw_only=True, slots=True)
class Clinician:
    """The health professional who answers for the message."""

    identifiers: tuple[tuple[str, str], ...] = ()
    family: str | None = None
    given: str | None = None
    profession: str | None = None  # code of KITH list 9060, as SP for a nurse


@dataclass(frozen=True, kw_only=True, slots=True)
class Unit:
    """The ward or office that can be called about the message."""

    name: str
    phone: str | None = None
    local_id: str | None = None


def instant_text(moment: datetime | date) -> str:
    """A FHIR dateTime, with its offset, or a date."""
    return moment.isoformat()


def moment(text: Any, zone: tzinfo) -> notices.Moment | None:
    """A FHIR date, dateTime or instant; a time without offset is local. None where there is none."""
    if not isinstance(text, str) or not text:
        return None
    try:
        found = date.fromisoformat(text) if len(text) == 10 else datetime.fromisoformat(text)
    except ValueError:
        raise Refused(phrase("a date or time in the message cannot be read"), code="value") from None
    if found.year not in YEARS:
        raise Refused(
            phrase(
                "a date or time in the message is not in {first} to {last}",
                first=str(YEARS[0]),
                last=str(YEARS[-1]),
            ),
            code="value",
        )
    if not isinstance(found, datetime) or found.tzinfo:
        return found
    return found.replace(tzinfo=zone)


def coded(concepts: Any, system: str) -> str | None:
    """The first code of `system` in a list of CodeableConcepts; Refused where it is endless."""
    codings = (c for concept in concepts or () if concept for c in concept.get("coding") or ())
    found = next((c["code"] for c in codings if c.get("system") == system and c.get("code")), None)
    if found is not None and len(found) > LONGEST_ID:
        raise Refused(
            phrase("a code of {system} is longer than {number} characters", system=system, number=LONGEST_ID),
            code="value",
        )
    return found


def same_id(text: str) -> str:
    """A message id as an identity: a UUID in lower case (RFC 9562), any other as it is."""
    return text.lower() if is_uuid(text) else text


def entry(resource: Resource) -> Resource:
    """A Bundle entry whose fullUrl is the resource's id as a UUID URN."""
    return {"fullUrl": f"urn:uuid:{resource['id']}", "resource": resource}


def reference(resource: Resource) -> Resource:
    """A Reference to a resource in the same Bundle."""
    return {"reference": f"urn:uuid:{resource['id']}"}


def resources(bundle: Bundle) -> Iterator[Resource]:
    """The resources of the entries, in order."""
    for item in bundle.get("entry") or ():
        resource = item.get("resource")
        if isinstance(resource, dict):
            yield resource


def of_type(bundle: Bundle, resource_type: str) -> Resource | None:
    """The first resource of that type."""
    return next((r for r in resources(bundle) if r.get("resourceType") == resource_type), None)


def of_every_type(bundle: Bundle, resource_type: str) -> Iterator[Resource]:
    """Every resource of that type, in order."""
    return (r for r in resources(bundle) if r.get("resourceType") == resource_type)


def header(bundle: Bundle) -> Resource | None:
    """The MessageHeader, which a message Bundle has first (Bundle invariant bdl-12)."""
    first = next(resources(bundle), None)
    return first if first is not None and first.get("resourceType") == "MessageHeader" else None


def follow(bundle: Bundle, ref: Resource | None) -> Resource | None:
    """The resource that a Reference leads to inside the Bundle, by fullUrl or by relative type and id."""
    target = (ref or {}).get("reference")
    if not target:
        return None
    for item in bundle.get("entry") or ():
        resource = item.get("resource")
        if not isinstance(resource, dict):
            continue
        if item.get("fullUrl") == target:
            return resource
        if f"{resource.get('resourceType')}/{resource.get('id')}" == target:
            return resource
    return None


def extension(resource: Resource, name: str) -> Any:
    """The value of one of the project's own extensions, whatever its type; None where it is absent."""
    url = extension_url(name)
    for item in resource.get("extension") or ():
        if item.get("url") == url:
            return next((value for key, value in item.items() if key.startswith("value")), None)
    return None


def with_extension(resource: Resource, name: str, kind: str, value: Any) -> None:
    """Add one of the project's own extensions; `kind` is the FHIR type in camel case, as `DateTime`."""
    if value is not None:
        resource.setdefault("extension", []).append({"url": extension_url(name), f"value{kind}": value})


def identifiers(pairs: tuple[tuple[str, str], ...]) -> list[Resource]:
    """FHIR Identifiers of `(system, value)` pairs."""
    return [{"system": system, "value": value} for system, value in pairs]


def pairs(resource: Resource | None) -> tuple[tuple[str, str], ...]:
    """`(system, value)` of a resource's identifiers; HER-ids without dots, as every look-up expects them."""
    found = []
    for item in (resource or {}).get("identifier") or ():
        system, value = item.get("system"), item.get("value")
        if system and value:
            found.append((system, value.replace(".", "") if system == HER else value))
    return tuple(found)


def organization(address: Address, resource_id: str) -> Resource:
    """An Organization for a communication party."""
    made: Resource = {
        "resourceType": "Organization",
        "id": resource_id,
        "identifier": identifiers(address.identifiers),
    }
    if address.name:
        made["name"] = address.name
    return made


def address_of(resource: Resource | None, *, copy: bool = False) -> Address:
    """The communication party that an Organization stands for; no other resource is one.

    So the identifier of a person never becomes an address, which logs and lanes show.
    """
    if resource is not None and resource.get("resourceType") != "Organization":
        return Address(identifiers=(), copy=copy)
    return Address(identifiers=pairs(resource), name=(resource or {}).get("name"), copy=copy)


def endpoint_of(address: Address) -> str:
    """What stands for the technical address, which R4 requires and nobody may send to."""
    system, value = address.identifiers[0] if address.identifiers else ("urn:unknown", "unaddressed")
    return f"{system}#{quote(value)}"


def narrative(text: str) -> Resource:
    """A Narrative that holds plain text."""
    paragraphs = "".join(f"<p>{escape(line, quote=False)}</p>" for line in text.splitlines() if line.strip())
    return {
        "status": "additional",
        "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{paragraphs or "<p/>"}</div>',
    }
