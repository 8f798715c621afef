"""What the published profiles of MedCom's messages demand, each rule under the name that it has there.

HospitalNotification 3.0.2, CareCommunication 5.0.2, Acknowledgement 2.0.3, Messaging 4.0.2, Core 4.0.0. Their
FHIRPath is partly broken: it asks entries for their type instead of their resources, and is then true of
every message, or compares lists of different length, and is then true of none. What is written here is what
the sentence beside it says; a comment tells where that is not what theirs does. The elements that profiles
require, and the values that they allow, are in codes/profiles.toml. Where an official example is off, it is a
warning (T6). Addresses of MedCom's are compared by their last part, as earlier versions had others before it.
"""

import re
import tomllib
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

from adapter.errors import Refused
from adapter.fhir.bundles import Bundle
from adapter.mappings.medcom import care_communication_rules
from adapter.mappings.medcom.findings import (
    ERROR,
    EVENTS,
    WARNING,
    Broken,
    Message,
    Placed,
    extensions,
    message,
    same_address,
    values,
)
from adapter.messaging.envelope import is_uuid
from adapter.phrases import Phrase, phrase

_TABLE: dict[str, Any] = tomllib.loads(
    files(__package__).joinpath("codes", "profiles.toml").read_text(encoding="utf-8")
)
SYSTEM: dict[str, str] = _TABLE["system"]

_REQUIRED = "MSG_RESOURCE_REQUIRED"
_DENMARK = ZoneInfo("Europe/Copenhagen")
_CPR = re.compile(r"(0[1-9]|[12]\d|3[01]|6[1-9]|[78]\d|9[01])(0[1-9]|1[0-2])\d{6}", re.ASCII)
"""A day and a month first; of test persons the day is 60 more, and what tries a system out must be taken."""

_MOST_SAID = 5  # invariants that a refusal names one by one

_HOSPITAL, _TALK, _RECEIPT = EVENTS


def broken(bundle: Bundle) -> tuple[Broken, ...]:
    """Every rule that the message breaks, those for which it is refused first; never raises."""
    looked_at = message(bundle)
    found = [*_needs(looked_at), *(one for rule in _RULES for one in rule(looked_at))]
    if looked_at.event == _HOSPITAL:
        found += (one for rule in _HOSPITAL_RULES for one in rule(looked_at))
    elif looked_at.event == _RECEIPT:
        found += (one for rule in _RECEIPT_RULES for one in rule(looked_at))
    elif looked_at.event == _TALK:
        found += care_communication_rules.broken(looked_at)
    return tuple(sorted(dict.fromkeys(found), key=lambda one: one.severity != ERROR))


def refusal(found: Iterable[Broken]) -> Refused | None:
    """The refusal of a message that breaks rules: each by its name, with the first code that fits (D-11)."""
    errors = [one for one in found if one.severity == ERROR]
    if not errors:
        return None
    said = [_told(one) for one in errors[:_MOST_SAID]]
    if len(errors) > _MOST_SAID:
        said.append(phrase("and {number} more", number=len(errors) - _MOST_SAID))
    own = next((one.code for one in errors if one.code in error_codes()), None)
    code = own or next((one.code for one in errors if one.code), "MSG_BAD_FORMAT")
    return Refused(phrase("{faults}", faults=said), code=code)


def warnings(found: Iterable[Broken]) -> tuple[Phrase, ...]:
    """What is off, and was taken, as sentences."""
    return tuple(_told(one) for one in found if one.severity == WARNING)


def _told(one: Broken) -> Phrase:
    return phrase("{rule}: {fault} ({path})", rule=one.name, fault=one.text, path=one.path)


@cache
def error_codes() -> frozenset[str]:
    """MedCom's own codes for what is wrong with a message (medcom-acknowledgement-error-codes)."""
    return frozenset(_TABLE["values"]["error-codes"]["codes"].split())


def codes_of(name: str) -> frozenset[str]:
    """The codes of one of the value sets of codes/profiles.toml."""
    return frozenset(_TABLE["values"][name]["codes"].split())


def issue_system(code: str) -> str | None:
    """The system of a code of `medcom-acknowledgement-issue-details`; None where it is none of them."""
    for name in ("error-codes", "hl7-error-codes"):
        if code in _TABLE["values"][name]["codes"].split():
            return str(_TABLE["values"][name]["system"])
    return None


# --- elements and values ----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class _Need:
    """A line of the table: how often an element stands in each resource of a type, and of which values."""

    profile: str
    of: str
    element: str
    events: frozenset[str]  # every one, where it is empty
    least: int
    most: int | None
    values: str | None
    severity: str


@cache
def _lines() -> tuple[_Need, ...]:
    return tuple(
        _Need(
            profile=line["profile"],
            of=line["of"],
            element=element,
            events=frozenset(line.get("in", ())),
            least=line.get("least", 1),
            most=line.get("most"),
            values=line.get("values"),
            severity=line.get("severity", ERROR),
        )
        for line in _TABLE["need"]
        for element in line.get("elements", line.get("element", "")).split()
    )


def _needs(looked_at: Message) -> Iterator[Broken]:
    for need in _lines():
        if not need.events or looked_at.event in need.events:
            for placed in looked_at.every(need.of):
                yield from _lacking(need, placed)


def _lacking(need: _Need, placed: Placed) -> Iterator[Broken]:
    found = values(placed.resource, need.element)
    name, where = f"{need.of}.{need.element}", f"{placed.path}.{need.element}"
    if len(found) < need.least:
        yield _of(need, phrase("{element} is missing", element=name), where, _REQUIRED)
    elif need.most == 0 and found:
        text = phrase("{element} must not be there", element=name)
        yield _of(need, text, where, "MSG_RESOURCE_NOT_ALLOWED")
    elif need.most is not None and len(found) > need.most:
        text = phrase(
            "{element} is there {number} times; {most} may be",
            element=name,
            number=len(found),
            most=need.most,
        )
        yield _of(need, text, where, "MSG_RESOURCE_NOT_ALLOWED")
    for value in found if need.values is not None else ():
        yield from _foreign(need, value, where)


def _foreign(need: _Need, value: Any, where: str) -> Iterator[Broken]:
    """A value that is not in the set which the profile binds it to."""
    named = _TABLE["values"][need.values]
    name = f"{need.of}.{need.element}"
    coded = "system" in named
    code = value.get("code") if coded and isinstance(value, dict) else value
    if coded and code is None:
        text = phrase("{element} is missing", element=f"{name}.code")
        yield _of(need, text, f"{where}.code", _REQUIRED)
    elif coded and isinstance(value, dict) and not same_address(value.get("system"), named["system"]):
        text = phrase("{element} is not of {system}", element=name, system=str(named["system"]))
        yield _of(need, text, f"{where}.system", "MSG_CodeSystem_VALUE_UNKNOWN")
    elif code not in named["codes"].split():
        text = phrase("{element} is none of {set} (codes/profiles.toml)", element=name, set=str(need.values))
        yield _of(need, text, where, "MSG_VALUESET_VALUE_UNKNOWN")


def _of(need: _Need, text: Phrase, path: str, code: str) -> Broken:
    return Broken(name=need.profile, severity=need.severity, text=text, path=path, code=code)


# --- every message ----------------------------------------------------------------------------------------


def _header_leads(looked_at: Message) -> Iterator[Broken]:
    """Sender, receivers and focus are in the Bundle, which holds all that it speaks of."""
    name = "medcom-messaging-messageHeader"
    led: list[tuple[str, Any]] = [("sender", ref) for ref in values(looked_at.head, "sender")]
    led += [("destination.receiver", one) for one in values(looked_at.head, "destination.receiver")]
    for element, reference in led:
        if looked_at.led_to(reference, "Organization") is None:
            text = phrase("MessageHeader.{element} leads to no Organization of the Bundle", element=element)
            yield _error(name, text, f"Bundle.entry[0].resource.{element}", "MSG_NO_MATCH")


def _one_primary(looked_at: Message) -> Iterator[Broken]:
    """Exactly one primary destination, and every destination says its use and has a receiver."""
    name, here = "medcom-messaging-messageHeader", "Bundle.entry[0].resource.destination"
    found = [d for d in values(looked_at.head, "destination") if isinstance(d, dict)]
    uses = [_uses(d) for d in found]
    if found and sum("primary" in use for use in uses) != 1:
        text = phrase("there is not exactly one destination with destinationUse `primary`")
        yield _error(name, text, here, "MSG_RESOURCE_REQUIRED")
    for number, destination in enumerate(found):
        if "receiver" not in destination:
            text = phrase("{element} is missing", element="MessageHeader.destination.receiver")
            yield _error(name, text, f"{here}[{number}]", "MSG_Receiver_Identifier_MISSING")
        if any(use not in ("primary", "cc") for use in uses[number]):
            text = phrase("the destinationUse is none of primary and cc")
            yield _error(name, text, f"{here}[{number}]", "MSG_VALUESET_VALUE_UNKNOWN")


def _parties_numbered(looked_at: Message) -> Iterator[Broken]:
    """Sender and receivers have a SOR number and a GLN (medcom-messaging-organization)."""
    for element in ("sender", "destination.receiver"):
        for reference in values(looked_at.head, element):
            party = looked_at.led_to(reference, "Organization")
            systems = values(party, "identifier.system")
            for number, system in (("SOR", SYSTEM["sor"]), ("GLN", SYSTEM["gln"])):
                if party is not None and system not in systems:
                    yield _error(
                        "medcom-messaging-organization",
                        phrase(
                            "the Organization of MessageHeader.{element} has no {identifier} ({system})",
                            element=element,
                            identifier=number,
                            system=system,
                        ),
                        f"Bundle.entry[0].resource.{element}",
                        "MSG_Receiver_Identifier_MISSING" if "receiver" in element else _REQUIRED,
                    )


def _has_provenance(looked_at: Message) -> Iterator[Broken]:
    if next(looked_at.every("Provenance"), None) is None:
        text = phrase("there is no Provenance in the message")
        yield _error("medcom-messaging-2", text, "Bundle.entry", _REQUIRED)


def _activities(looked_at: Message) -> Iterator[Broken]:
    """Every activity is one of MedCom's, or of the set that its kind of message narrows them to."""
    # medcom-messaging-3 and -hospitalNotification-3 look at entries, which are never of type Provenance
    name, allowed = {
        _HOSPITAL: ("medcom-hospitalNotification-3", "hospital-activities"),
        _TALK: ("medcom-careCommunication-3", "talk-activities"),
    }.get(looked_at.event, ("medcom-messaging-3", "activities"))
    need = _Need(
        profile=name,
        of="Provenance",
        element="activity.coding",
        events=frozenset(),
        least=0,
        most=None,
        values=allowed,
        severity=ERROR,
    )
    for placed in looked_at.every("Provenance"):
        yield from _lacking(need, placed)


def _patient(looked_at: Message) -> Iterator[Broken]:
    """The patient's official name; and each CPR number has the shape of one (dk-core `cpr`)."""
    for placed in looked_at.every("Patient"):
        names = [n for n in values(placed.resource, "name") if isinstance(n, dict)]
        if not any(n.get("use") == "official" and n.get("family") for n in names):
            text = phrase("Patient.name has no official one with a family name")
            yield _error("medcom-core-patient", text, f"{placed.path}.name", _REQUIRED)
        if not values(placed.resource, "identifier.value"):
            text = phrase("{element} is missing", element="Patient.identifier")
            yield _error("medcom-core-patient", text, f"{placed.path}.identifier", _REQUIRED)
        for number in values(placed.resource, "identifier"):
            if not isinstance(number, dict) or number.get("system") != SYSTEM["cpr"]:
                continue
            if not _CPR.fullmatch(str(number.get("value"))):
                text = phrase(
                    "Patient.identifier of the CPR register is not ten digits that begin with a day"
                )
                yield _error("cpr", text, f"{placed.path}.identifier", "MSG_Datatype_Wrong")


def _lpr3(looked_at: Message) -> Iterator[Broken]:
    """An episode of the national patient register is known by a UUID of version 5."""
    # official examples write it as urn:uuid:…, which theirs demands; a bare one names the same episode
    for placed in looked_at.every("Encounter"):
        for found in values(placed.resource, "episodeOfCare.identifier"):
            if not isinstance(found, dict) or found.get("system") != SYSTEM["lpr3"]:
                continue
            text = str(found.get("value")).removeprefix("urn:uuid:")
            if not is_uuid(text) or uuid.UUID(text).version != 5:
                said = phrase("the episodeOfCare of the national patient register is not a UUID of version 5")
                yield _error("uuidv5", said, f"{placed.path}.episodeOfCare", "MSG_ID_INVALID")


def _ids(looked_at: Message) -> Iterator[Broken]:
    """The Bundle and the MessageHeader have a UUID: some of the official examples have none (T6)."""
    for name, resource in (("Bundle.id", looked_at.bundle), ("MessageHeader.id", looked_at.head)):
        found = resource.get("id")
        if isinstance(found, str) and not is_uuid(found):
            path = name if name == "Bundle.id" else "Bundle.entry[0].resource.id"
            yield _warning("medcom-uuidv4", phrase("{element} is not a UUID", element=name), path)


def _zone(looked_at: Message) -> Iterator[Broken]:
    """A time at summer's offset in winter is another hour than it looks like (T6); it counts as written."""
    text = looked_at.bundle.get("timestamp")
    try:
        at = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        at = None
    offset = at.utcoffset() if at is not None else None
    if at is not None and offset and not _written_in(at):
        said = phrase(
            "Bundle.timestamp has an offset that Denmark does not have on that day; it counts as written"
        )
        yield _warning("medcom-messaging-message", said, "Bundle.timestamp")


def _written_in(at: datetime) -> bool:
    try:
        return at.utcoffset() == at.astimezone(_DENMARK).utcoffset()
    except OverflowError:
        return True


def _newest_provenance(looked_at: Message) -> Iterator[Broken]:
    """One Provenance has this MessageHeader as its target (T6: not in every official example)."""
    own = looked_at.head.get("id")
    led = [
        str(ref) for one in looked_at.every("Provenance") for ref in values(one.resource, "target.reference")
    ]
    if isinstance(own, str) and led and not any(ref.rsplit("/", 1)[-1].endswith(own) for ref in led):
        text = phrase("no Provenance has this MessageHeader as its target")
        yield _warning("medcom-messaging-provenance", text, "Bundle.entry")


# --- HospitalNotification ---------------------------------------------------------------------------------


def _no_copies(looked_at: Message, name: str) -> Iterator[Broken]:
    """A profile that narrows `destination:cc` to none."""
    for number, destination in enumerate(values(looked_at.head, "destination")):
        if isinstance(destination, dict) and "cc" in _uses(destination):
            here = f"Bundle.entry[0].resource.destination[{number}]"
            text = phrase("there is a copy receiver; only a primary one may be")
            yield _error(name, text, here, "MSG_RESOURCE_NOT_ALLOWED")


def _notification_header(looked_at: Message) -> Iterator[Broken]:
    # theirs asks entries for their type, and conformsTo an address that the profile no longer has
    name = "medcom-hospitalNotification-1"
    for reference in values(looked_at.head, "focus"):
        if looked_at.led_to(reference, "Encounter") is None:
            text = phrase("MessageHeader.focus leads to no Encounter of the Bundle")
            yield _error(name, text, "Bundle.entry[0].resource.focus", "MSG_NO_MATCH")


def _one_patient(looked_at: Message, name: str = "medcom-hospitalNotification-2") -> Iterator[Broken]:
    # theirs asks whether entries are of type Patient, which none is
    count = sum(1 for _ in looked_at.every("Patient"))
    if count != 1:
        text = phrase("there are {number} Patient resources; there shall be exactly one", number=count)
        yield _error(name, text, "Bundle.entry", _REQUIRED if count == 0 else "MSG_RESOURCE_NOT_ALLOWED")


def _official_cpr(looked_at: Message) -> Iterator[Broken]:
    # theirs is false as soon as the patient has a second identifier, a local one say
    for placed in looked_at.every("Patient"):
        if SYSTEM["cpr"] not in values(placed.resource, "identifier.system"):
            text = phrase("Patient.identifier has no official CPR number ({system})", system=SYSTEM["cpr"])
            path = f"{placed.path}.identifier"
            yield _error("medcom-hospitalNotification-4", text, path, "MSG_CodeSystem_VALUE_UNKNOWN")


def _primary_only(looked_at: Message) -> Iterator[Broken]:
    # theirs compares the code of every extension of every destination
    yield from _no_copies(looked_at, "medcom-hospitalNotification-5")
    if not any("primary" in _uses(d) for d in values(looked_at.head, "destination")):
        text = phrase("MessageHeader.destination is not said to be primary")
        yield _error("medcom-hospitalNotification-5", text, "Bundle.entry[0].resource.destination", _REQUIRED)


def _leave_begins(looked_at: Message) -> Iterator[Broken]:
    # theirs takes the start of any extension for it
    for placed in looked_at.every("Encounter"):
        leaves = extensions(placed.resource, SYSTEM["leave"])
        on_leave = placed.resource.get("status") == "onleave"
        if on_leave and not any(values(leave, "valuePeriod.start") for leave in leaves):
            text = phrase("Encounter.status is onleave, and no leave period with its start is there")
            yield _error("medcom-hospitalNotification-6", text, f"{placed.path}.extension", _REQUIRED)


# --- Acknowledgement --------------------------------------------------------------------------------------


def _reasons_given(looked_at: Message) -> Iterator[Broken]:
    # theirs wants one in the Bundle; the sentence says that response.details leads to it
    codes = values(looked_at.head, "response.code")
    if not codes or "ok" in codes:
        return
    if next(looked_at.every("OperationOutcome"), None) is None:
        text = phrase("the message was not taken, and no OperationOutcome says why")
        yield _error("medcom-acknowledgement-1", text, "Bundle.entry[0].resource.response", _REQUIRED)
    elif not values(looked_at.head, "response.details.reference"):
        text = phrase("MessageHeader.response.details does not lead to the OperationOutcome")
        yield _warning("medcom-acknowledgement-1", text, "Bundle.entry[0].resource.response")


def _receipt_header(looked_at: Message) -> Iterator[Broken]:
    yield from _no_copies(looked_at, "medcom-acknowledgement-2")
    if not values(looked_at.head, "response"):
        text = phrase("{element} is missing", element="MessageHeader.response")
        yield _error("medcom-acknowledgement-2", text, "Bundle.entry[0].resource.response", _REQUIRED)


def _two_provenances(looked_at: Message) -> Iterator[Broken]:
    """That of the message which it answers, and its own (D-07)."""
    count = sum(1 for _ in looked_at.every("Provenance"))
    if count not in (0, 2):
        text = phrase(
            "there are {number} Provenance resources in the acknowledgement; there shall be two",
            number=count,
        )
        yield _warning("medcom-messaging-acknowledgement", text, "Bundle.entry")


# --- how it is said ---------------------------------------------------------------------------------------

_USE = f"{SYSTEM['messaging']}medcom-messaging-destinationUseExtension"


def _uses(destination: Any) -> list[Any]:
    return [
        code for extension in extensions(destination, _USE) for code in values(extension, "valueCoding.code")
    ]


def _error(name: str, text: Phrase, path: str, code: str) -> Broken:
    return Broken(name=name, severity=ERROR, text=text, path=path, code=code)


def _warning(name: str, text: Phrase, path: str) -> Broken:
    return Broken(name=name, severity=WARNING, text=text, path=path)


_Rule = Callable[[Message], Iterator[Broken]]
_RULES: tuple[_Rule, ...] = (
    _header_leads, _one_primary, _parties_numbered, _has_provenance, _activities, _patient, _lpr3, _ids,
    _zone, _newest_provenance,
)  # fmt: skip
_HOSPITAL_RULES: tuple[_Rule, ...] = (
    _notification_header, _one_patient, _official_cpr, _primary_only, _leave_begins,
)  # fmt: skip
_RECEIPT_RULES: tuple[_Rule, ...] = (_reasons_given, _receipt_header, _two_provenances)
