"""What a partner's FHIR server has been asked for: a Task or a CarePlan, wrapped by us as a collection.

The first entry is the Task or CarePlan, the others what it refers to, of a CarePlan its whole graph. It is
read as the message that the partner might have sent: an answer, or a care plan. Nobody waits for a receipt.

A plan is addressed to nobody. It is for the organisations in its CareTeams; where these name none but the
author, for those who are asked or take part elsewhere. Whom the region file does not know is left out.
"""

import hashlib
from collections.abc import Iterator
from datetime import datetime, tzinfo
from typing import Any

from adapter.discharge.notices import NoticeKind
from adapter.errors import Refused
from adapter.fhir.bundles import (
    EVENT_SYSTEM,
    Bundle,
    Resource,
    address_of,
    endpoint_of,
    follow,
    moment,
    reference,
    resources,
    with_extension,
)
from adapter.fhir.notices import subject_in
from adapter.fhir.serving import values
from adapter.fhir.wire import to_json
from adapter.messaging.envelope import LONGEST_ID, Address, Envelope
from adapter.phrases import Phrase, phrase

TYPES = ("Task", "CarePlan")
_KINDS = {"Task": NoticeKind.ANSWER, "CarePlan": NoticeKind.CARE_PLAN}
_PATIENT = {"Task": "for", "CarePlan": "subject"}
_SENDER = {"Task": "owner", "CarePlan": "author"}
PARTS = (
    "CareTeam", "Goal", "ServiceRequest", "Task", "Appointment", "Condition", "Observation",
    "QuestionnaireResponse", "MedicationStatement", "MedicationRequest", "Medication", "DocumentReference",
    "PractitionerRole",
)  # fmt: skip
"""What makes a plan, beside the CarePlan itself."""

PARTIES = ("Organization", "Practitioner", "RelatedPerson", "Patient", "Location")
"""Who takes part in it."""

_IN_THE_TEAM = ("participant.member", "participant.onBehalfOf", "managingOrganization")
_ELSEWHERE = {
    "CarePlan": ("contributor",),
    "ServiceRequest": ("performer", "requester"),
    "Task": ("owner", "requester"),
    "Appointment": ("participant.actor",),
}
NO_ANSWER = ("draft", "requested", "ready", "cancelled", "failed", "entered-in-error")
"""Task.status that says nothing of whether the patient can be received."""


def message_of(bundle: Bundle, *, zone: tzinfo, content_type: str) -> tuple[Envelope, Bundle]:
    """The envelope, and the message Bundle that the collection amounts to; it never leaves as it is.

    The message id is `Type/id/_history/version`, so that each version is read once. Refused where there is
    no such id, no time, no sending Organization, no Patient, or a Task that nobody has answered yet.
    """
    focus: Resource = bundle["entry"][0]["resource"]
    kind = focus["resourceType"]
    if kind not in TYPES:
        raise Refused(
            phrase("the first resource of a collection must be a Task or a CarePlan"), code="not-supported"
        )
    if kind == "Task" and focus.get("status") in NO_ANSWER:
        raise Refused(phrase("Task.status is not that of an answer"), code="business-rule")
    sent_at, message_id = _version(bundle, focus, zone)
    sender = _party(bundle, focus.get(_SENDER[kind]), "sender")
    if sender is None:
        raise Refused(
            phrase(
                "{element} leads to no Organization with an identifier", element=f"{kind}.{_SENDER[kind]}"
            ),
            code="required",
        )
    if kind == "CarePlan":
        receivers = _taking_part(bundle, focus, sender)
    else:
        requester = _party(bundle, focus.get("requester"), "receiver")
        receivers = [requester] if requester is not None else []
    head = _header(focus, message_id, sender, receivers, sent_at)
    message = {
        "resourceType": "Bundle",
        "type": "message",
        "timestamp": sent_at.isoformat(),
        "entry": [
            {"fullUrl": f"urn:polled:{message_id}", "resource": head},
            bundle["entry"][0],
            *_others(bundle, focus),
            *(_entry(party) for party in (sender, *receivers)),
        ],
    }
    if kind == "CarePlan":
        message = _leading_out(message, bundle)
    if not subject_in(message).identified:
        raise Refused(
            phrase("{element} does not lead to an identified Patient", element=f"{kind}.{_PATIENT[kind]}"),
            code="required",
        )
    envelope = Envelope(
        dialect="fhir",
        message_id=message_id,
        type=kind,
        sent_at=sent_at,
        sender=address_of(sender),
        receivers=tuple(address_of(party) for party in receivers),
        content_type=content_type,
    )
    return envelope, message


def _version(bundle: Bundle, focus: Resource, zone: tzinfo) -> tuple[datetime, str]:
    meta = focus.get("meta") or {}
    sent_at = moment(meta.get("lastUpdated"), zone)
    if not isinstance(sent_at, datetime) or "id" not in focus:
        raise Refused(phrase("a polled resource needs an id and meta.lastUpdated"), code="required")
    version = meta.get("versionId") or meta["lastUpdated"]
    graph = graph_version(bundle)
    number = f"{version}.{graph}" if graph is not None else version
    return sent_at, f"{focus['resourceType']}/{focus['id']}/_history/{number}"


def graph_version(bundle: Bundle) -> str | None:
    """Twelve letters that change with any part of a plan; None of what has no parts.

    A Goal or Task may change while the CarePlan, and its version, stay as they are.
    """
    parts = [
        item["resource"] for item in bundle["entry"][1:] if item["resource"].get("resourceType") in PARTS
    ]
    if bundle["entry"][0]["resource"].get("resourceType") != "CarePlan" or not parts:
        return None
    said = sorted(f"{one['resourceType']}/{one.get('id')}/{_part_version(one)}" for one in parts)
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:12]


def _part_version(part: Resource) -> str:
    meta = part.get("meta") or {}
    told = meta.get("versionId") or meta.get("lastUpdated")
    return str(told) if told else hashlib.sha256(to_json(part)).hexdigest()


def _taking_part(bundle: Bundle, focus: Resource, sender: Resource) -> list[Resource]:
    """The Organizations for whom a plan is, each once, without its author."""
    team = [(one, path) for one in _of_type(bundle, "CareTeam") for path in _IN_THE_TEAM]
    elsewhere = [
        (one, path) for kind in _ELSEWHERE for one in _of_type(bundle, kind) for path in _ELSEWHERE[kind]
    ]
    return _organizations(bundle, team, sender) or _organizations(bundle, elsewhere, sender)


def _of_type(bundle: Bundle, kind: str) -> Iterator[Resource]:
    return (item["resource"] for item in bundle["entry"] if item["resource"]["resourceType"] == kind)


def _organizations(bundle: Bundle, places: list[tuple[Resource, str]], sender: Resource) -> list[Resource]:
    found: dict[str, Resource] = {}
    mine = address_of(sender).token
    for resource, path in places:
        for ref in values(resource, path):
            number = len(found)
            party = _party(bundle, ref, f"receiver-{number}") if isinstance(ref, dict) else None
            if party is not None and party.get("resourceType") == "Organization":
                found.setdefault(address_of(party).token, party)
    return [party for token, party in found.items() if token != mine]


def _leading_out(message: Bundle, bundle: Bundle) -> Bundle:
    """References to what stayed on the server say where it is, for those who read the message elsewhere."""
    focus = bundle["entry"][0]
    name = f"{focus['resource']['resourceType']}/{focus['resource']['id']}"
    url = str(focus.get("fullUrl", ""))
    base = url.removesuffix(name)
    if base == url or not base.startswith(("http://", "https://")):
        return message
    here = {item["fullUrl"] for item in message["entry"] if "fullUrl" in item}
    here |= {f"{r['resourceType']}/{r['id']}" for r in resources(message) if "id" in r}
    return {**message, "entry": [_led_out(item, here, base) for item in message["entry"]]}


def _led_out(found: Any, here: set[str], base: str) -> Any:
    if isinstance(found, list):
        return [_led_out(item, here, base) for item in found]
    if not isinstance(found, dict):
        return found
    made = {key: _led_out(value, here, base) for key, value in found.items()}
    target = made.get("reference")
    if not isinstance(target, str) or target in here or target.startswith(("#", "urn:")):
        return made
    plain = target.removeprefix(base).partition("/_history/")[0]
    if plain in here:
        return made | {"reference": plain}
    return made if target.startswith(("http://", "https://")) else made | {"reference": f"{base}{target}"}


def _party(bundle: Bundle, ref: Resource | None, role: str) -> Resource | None:
    """The Organization behind a Reference, or one made of the identifier that stands in its place."""
    found = follow(bundle, ref)
    if found is None and ref is not None and ref.get("identifier"):
        found = {"resourceType": "Organization", "identifier": [ref["identifier"]]}
        if ref.get("display") and ref.get("type", "Organization") == "Organization":
            found["name"] = ref["display"]
        if ref.get("type", "Organization") != "Organization":
            return None
    if found is None or not address_of(found).identifiers:
        return None
    if not address_of(found).fits:
        raise Refused(_too_long(role), code="value")
    return found | {"id": f"polled-{role}"}


def _too_long(role: str) -> Phrase:
    if role == "sender":
        return phrase("an identifier of the sender is longer than {number} characters", number=LONGEST_ID)
    return phrase("an identifier of a receiver is longer than {number} characters", number=LONGEST_ID)


def _entry(party: Resource) -> Resource:
    return {"fullUrl": f"urn:uuid:{party['id']}", "resource": party}


def _header(
    focus: Resource, message_id: str, sender: Resource, receivers: list[Resource], sent_at: datetime
) -> Resource:
    kind = focus["resourceType"]
    address: Address = address_of(sender)
    head: Resource = {
        "resourceType": "MessageHeader",
        "id": message_id,
        "eventCoding": {"system": EVENT_SYSTEM, "code": _KINDS[kind].value},
        "destination": [
            {"endpoint": endpoint_of(address_of(party)), "receiver": reference(party)} for party in receivers
        ],
        "sender": reference(sender),
        "source": {"name": address.name or address.token, "endpoint": endpoint_of(address)},
        "focus": [{"reference": f"{kind}/{focus['id']}"}],
    }
    occurred = focus.get("lastModified") if kind == "Task" else None
    with_extension(head, "occurred", "DateTime", occurred or sent_at.isoformat())
    return head


def _others(bundle: Bundle, focus: Resource) -> list[Resource]:
    """What was fetched along, without any Patient or Encounter but those that the resource is about."""
    about: list[Any] = [
        follow(bundle, focus.get(_PATIENT[focus["resourceType"]])),
        follow(bundle, focus.get("encounter")),
    ]
    return [
        item
        for item in bundle["entry"][1:]
        if item["resource"]["resourceType"] not in ("Patient", "Encounter")
        or any(item["resource"] is one for one in about)
    ]
