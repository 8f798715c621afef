"""What a partner's FHIR server has been asked for: a Task or a CarePlan, wrapped by us as a collection.

The first entry is the Task or CarePlan, the others what it refers to. It is read as the message that the
partner might have sent: an answer, or a care plan. Nobody waits for a receipt of it.
"""

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
    with_extension,
)
from adapter.fhir.notices import subject_in
from adapter.messaging.envelope import LONGEST_ID, Address, Envelope

TYPES = ("Task", "CarePlan")
_KINDS = {"Task": NoticeKind.ANSWER, "CarePlan": NoticeKind.CARE_PLAN}
_PATIENT = {"Task": "for", "CarePlan": "subject"}
_SENDER = {"Task": "owner", "CarePlan": "author"}
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
        raise Refused("the first resource of a collection must be a Task or a CarePlan", code="not-supported")
    if kind == "Task" and focus.get("status") in NO_ANSWER:
        raise Refused("Task.status is not that of an answer", code="business-rule")
    sent_at, message_id = _version(focus, zone)
    sender = _party(bundle, focus.get(_SENDER[kind]), "sender")
    if sender is None:
        raise Refused(f"{kind}.{_SENDER[kind]} leads to no Organization with an identifier", code="required")
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
    if not subject_in(message).identified:
        raise Refused(f"{kind}.{_PATIENT[kind]} does not lead to an identified Patient", code="required")
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


def _version(focus: Resource, zone: tzinfo) -> tuple[datetime, str]:
    meta = focus.get("meta") or {}
    sent_at = moment(meta.get("lastUpdated"), zone)
    if not isinstance(sent_at, datetime) or "id" not in focus:
        raise Refused("a polled resource needs an id and meta.lastUpdated", code="required")
    version = meta.get("versionId") or meta["lastUpdated"]
    return sent_at, f"{focus['resourceType']}/{focus['id']}/_history/{version}"


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
        raise Refused(f"an identifier of the {role} is longer than {LONGEST_ID} characters", code="value")
    return found | {"id": f"polled-{role}"}


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
