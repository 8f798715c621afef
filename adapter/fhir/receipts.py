"""Receipts as message Bundles: MessageHeader.response, and an OperationOutcome unless all is plainly well.

R4 has three words (ok, transient-error, fatal-error). The fourth that the post knows, taken over by a
station on the way, is an ok whose OperationOutcome says so, and that the receiver's own receipt will follow.
"""

import uuid
from datetime import datetime
from typing import Any

from adapter.errors import Refused
from adapter.fhir.bundles import (
    CANONICAL,
    EVENT_SYSTEM,
    RECEIPT_EVENT,
    Bundle,
    Resource,
    address_of,
    endpoint_of,
    entry,
    follow,
    header,
    reference,
    same_id,
)
from adapter.fhir.codes import ISSUE
from adapter.fhir.wire import place_in
from adapter.messaging.acknowledgement import Acknowledgement, Issue, Status
from adapter.phrases import phrase

DETAIL_SYSTEM = f"{CANONICAL}/CodeSystem/receipt-details"
TAKEN_OVER = "taken-over"
TAKEN_OVER_TEXT = (
    "The message has been stored by a station on the way, which will deliver it. "
    "This is not the receiver's receipt: the receiver's own receipt will follow."
)

_CODES = {
    Status.ACCEPTED: "ok",
    Status.TAKEN_OVER: "ok",
    Status.NOT_NOW: "transient-error",
    Status.REFUSED: "fatal-error",
}
_STATUSES = {"ok": Status.ACCEPTED, "transient-error": Status.NOT_NOW, "fatal-error": Status.REFUSED}
_SEVERITIES = {Status.ACCEPTED: "warning", Status.TAKEN_OVER: "information"}
_NAMESPACE = uuid.UUID("8f0a3f0e-1c38-5d0c-9a35-3b7a6f2f9d41")


def receipt_bundle(
    *,
    receipt_id: str,
    original_id: str,
    status: Status,
    at: datetime,
    giver: Resource | None,
    receiver: Resource,
    endpoint: str | None = None,
    issues: tuple[Issue, ...] = (),
) -> Bundle:
    """The receipt that the Organization `giver` sends to the Organization `receiver`.

    `endpoint` is what the sender of the original gave as its own. Ids of the parts are derived from
    `receipt_id`, so that the same verdict always gives the same bytes.
    """

    def new_id(role: str) -> str:
        return str(uuid.uuid5(_NAMESPACE, f"{receipt_id}/{role}"))

    receiving = receiver | {"id": new_id("receiver")}
    to = address_of(receiver)
    response: Resource = {"identifier": original_id, "code": _CODES[status]}
    head: Resource = {
        "resourceType": "MessageHeader",
        "id": _as_uuid(receipt_id),
        "eventCoding": {"system": EVENT_SYSTEM, "code": RECEIPT_EVENT},
        "destination": [
            {
                "name": to.name or to.token,
                "endpoint": endpoint or endpoint_of(to),
                "receiver": reference(receiving),
            }
        ],
    }
    parts = [head, receiving]
    if giver is not None:
        giving = giver | {"id": new_id("sender")}
        head["sender"] = reference(giving)
        parts.append(giving)
    head["source"] = {"endpoint": endpoint_of(address_of(giver))}
    head["response"] = response
    head["definition"] = f"{CANONICAL}/MessageDefinition/{RECEIPT_EVENT}"
    outcome = _outcome(status, issues, new_id("outcome"))
    if outcome is not None:
        response["details"] = reference(outcome)
        parts.append(outcome)
    return {
        "resourceType": "Bundle",
        "id": new_id("transmission"),
        "type": "message",
        "timestamp": at.isoformat(),
        "entry": [entry(part) for part in parts],
    }


def receipt_in(bundle: Bundle) -> Acknowledgement:
    """What the receipt says; `bundle` has passed `validation`."""
    head = header(bundle) or {}
    response = head["response"]
    outcome = follow(bundle, response.get("details")) or {}
    issues = tuple(_issue(item) for item in outcome.get("issue") or ())
    status = _STATUSES[response["code"]]
    if status is Status.ACCEPTED and any(issue.code == TAKEN_OVER for issue in issues):
        status = Status.TAKEN_OVER
    at = datetime.fromisoformat(bundle["timestamp"])
    if at.tzinfo is None:
        raise Refused(phrase("Bundle.timestamp must be an instant with its offset"), code="required")
    return Acknowledgement(
        original_id=same_id(response["identifier"]),
        status=status,
        at=at,
        giver=address_of(follow(bundle, head.get("sender"))),
        issues=issues,
    )


def _as_uuid(receipt_id: str) -> str:
    try:
        return str(uuid.UUID(receipt_id))
    except ValueError:
        return str(uuid.uuid5(_NAMESPACE, receipt_id))


def _outcome(status: Status, issues: tuple[Issue, ...], resource_id: str) -> Resource | None:
    severity = _SEVERITIES.get(status, "error")
    found = [_issue_of(issue, severity) for issue in issues]
    if status is Status.TAKEN_OVER:
        coding = {"system": DETAIL_SYSTEM, "code": TAKEN_OVER}
        details = {"coding": [coding], "text": TAKEN_OVER_TEXT}
        found.insert(0, {"severity": "information", "code": "informational", "details": details})
    if not found and status is not Status.ACCEPTED:
        code = "transient" if status is Status.NOT_NOW else "processing"
        found.append({"severity": "error", "code": code})
    return {"resourceType": "OperationOutcome", "id": resource_id, "issue": found} if found else None


def _issue_of(issue: Issue, severity: str) -> Resource:
    """The standard's own code as issue type where it is one of FHIR's, else as a coding beside it."""
    details: Resource = {}
    code = issue.code if issue.code in ISSUE else "processing"
    if issue.code and code != issue.code:
        details["coding"] = [{"code": issue.code}]
    if issue.text:
        details["text"] = issue.text
    made: Resource = {"severity": severity, "code": code}
    if details:
        made["details"] = details
    place = place_in(issue.text) if issue.text else None
    return made | ({"expression": [place]} if place is not None else {})


def _issue(item: Resource) -> Issue:
    details: Resource = item.get("details") or {}
    coding: Any = next(iter(details.get("coding") or ()), {})
    text = details.get("text") or item.get("diagnostics") or coding.get("display") or ""
    return Issue(code=coding.get("code") or item["code"], text=text)
