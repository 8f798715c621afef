"""A partner's own way of making FHIR receipts: cheap, and none of the adapter's own writer in it.

A message Bundle whose MessageHeader.response names the message that it answers (FHIR R4, messaging 2.4.3).
"""

import uuid
from datetime import datetime

import orjson

from adapter.fhir.bundles import EVENT_SYSTEM, RECEIPT_EVENT, Bundle, Resource, follow
from adapter.messaging.acknowledgement import Status

CODES = {Status.ACCEPTED: "ok", Status.REFUSED: "fatal-error", Status.NOT_NOW: "transient-error"}
_NAMESPACE = uuid.UUID("b0c5c9b8-0d3f-5a0e-8a53-2f1d4a6c7e90")


def receipt(name: str, bundle: Bundle, status: Status, at: datetime) -> bytes:
    """The receipt for `bundle`: a message that answers it, from its first receiver back to its sender.

    The same arguments give the same bytes.
    """
    head: Resource = bundle["entry"][0]["resource"]
    made_id = str(uuid.uuid5(_NAMESPACE, f"{name}/{head['id']}/{status}"))
    to: Resource = next(iter(head.get("destination") or ()), {})
    giver, asker = follow(bundle, to.get("receiver")), follow(bundle, head.get("sender"))
    source: Resource = head.get("source") or {}
    answer: Resource = {
        "resourceType": "MessageHeader",
        "id": made_id,
        "eventCoding": {"system": EVENT_SYSTEM, "code": RECEIPT_EVENT},
        "source": {"name": to.get("name", name), "endpoint": to.get("endpoint", "urn:unknown")},
        "destination": [
            {"name": source.get("name", "sender"), "endpoint": source.get("endpoint", "urn:unknown")}
        ],
        "response": {"identifier": head["id"], "code": CODES[status]},
    }
    entries = [{"fullUrl": f"urn:uuid:{made_id}", "resource": answer}]
    if giver is not None:
        answer["sender"] = to["receiver"]
        entries.append({"fullUrl": to["receiver"]["reference"], "resource": giver})
    if asker is not None:
        answer["destination"][0]["receiver"] = head["sender"]
        entries.append({"fullUrl": head["sender"]["reference"], "resource": asker})
    if status is not Status.ACCEPTED:
        issue_id = str(uuid.uuid5(_NAMESPACE, f"{made_id}/outcome"))
        answer["response"]["details"] = {"reference": f"urn:uuid:{issue_id}"}
        issue = _issue(status) | {"id": issue_id}
        entries.append({"fullUrl": f"urn:uuid:{issue_id}", "resource": issue})
    return orjson.dumps(
        {
            "resourceType": "Bundle",
            "id": str(uuid.uuid5(_NAMESPACE, f"{made_id}/bundle")),
            "type": "message",
            "timestamp": at,
            "entry": entries,
        }
    )


def _issue(status: Status) -> Resource:
    code, text = (
        ("business-rule", "The receiver will not take this message.")
        if status is Status.REFUSED
        else ("transient", "The receiver cannot take this message now.")
    )
    return {
        "resourceType": "OperationOutcome",
        "issue": [{"severity": "error", "code": code, "diagnostics": text}],
    }


def outcome(text: str) -> bytes:
    """An OperationOutcome for what is no message at all."""
    issue = {"severity": "fatal", "code": "structure", "diagnostics": text}
    return orjson.dumps({"resourceType": "OperationOutcome", "issue": [issue]})
