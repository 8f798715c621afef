"""MedCom's Acknowledgement (2.0): read, and given for what was read.

`ok`, `transient-error` and `fatal-error` are the three words; that the adapter has merely taken a message
over has none, so nothing is said of it. An acknowledgement is never acknowledged (standards 5, D-01), goes to
the primary destination alone, and has exactly two Provenances: the answered message's, and its own (D-07).
"""

import uuid
from datetime import datetime
from re import compile
from typing import Any

from adapter.fhir.bundles import SOR, Bundle, Resource, address_of, follow, header, same_id
from adapter.fhir.codes import ISSUE
from adapter.mappings.medcom import profiles, words
from adapter.mappings.medcom.header import (
    SOR_ADDRESS,
    entry,
    event,
    generated,
    meta,
    relative,
)
from adapter.mappings.medcom.history import last_told, provenance
from adapter.messaging.acknowledgement import Acknowledgement, Issue, Status, Verdict
from adapter.messaging.envelope import Address, Envelope

_CODES = {Status.ACCEPTED: "ok", Status.NOT_NOW: "transient-error", Status.REFUSED: "fatal-error"}
_STATUSES = {code: status for status, code in _CODES.items()}
_NAMESPACE = uuid.UUID("0d7c1f5e-5c0b-5a0e-9a53-b2d1f54c6a11")
_NEW_MESSAGE = "new-message"
_CODE = compile(r"[a-z]{1,30}(-[a-z]{1,30}){0,5}")


def acknowledgement_in(bundle: Bundle) -> Acknowledgement:
    """What the acknowledgement says; `bundle` has passed the validation."""
    head = header(bundle) or {}
    response = head["response"]
    outcome = follow(bundle, response.get("details")) or {}
    return Acknowledgement(
        original_id=same_id(response["identifier"]),
        status=_STATUSES[response["code"]],
        at=datetime.fromisoformat(bundle["timestamp"]),
        giver=address_of(follow(bundle, head.get("sender"))),
        issues=tuple(_issue_in(item) for item in outcome.get("issue") or ()),
    )


def mirrored(bundle: Bundle) -> dict[str, Any]:
    """What an acknowledgement must repeat of the message that it answers: its own Provenance."""
    own = last_told(bundle)
    if own is None:
        return {}
    told: dict[str, Any] = {}
    if _CODE.fullmatch(own.activity):  # of a message that was refused, anything may stand there
        told["activity"] = own.activity
    if own.occurred is not None:
        told["occurred"] = own.occurred.isoformat()
    return told


def acknowledgement(envelope: Envelope, verdict: Verdict) -> Bundle | None:
    """The acknowledgement of a message that was read; None where there is none to give.

    Ids of its parts are derived from the verdict's, so that the same verdict always gives the same bytes.
    """
    mirror = envelope.opaque
    if envelope.type == words.ACKNOWLEDGEMENT or not isinstance(mirror, dict) or verdict.status not in _CODES:
        return None

    def new_id(role: str) -> str:
        return str(uuid.uuid5(_NAMESPACE, f"{verdict.id}/{role}"))

    here, giver = _giver(mirror, verdict.receiver)
    if giver is None:
        return None
    giving = _organization(giver, new_id("sender"))
    receiving = _organization(mirror["sender"], new_id("receiver"))
    head: Resource = {
        "resourceType": "MessageHeader",
        "id": _as_uuid(verdict.id),
        "meta": meta("acknowledgement", "medcom-messaging-acknowledgementHeader"),
        "text": generated(f"Acknowledgement: {_CODES[verdict.status]}"),
        "eventCoding": event(words.ACKNOWLEDGEMENT),
        "destination": [_destination(mirror.get("endpoint") or _endpoint(receiving), receiving)],
        "sender": relative(giving),
        "source": {"endpoint": here or _endpoint(giving)},
        "response": {"identifier": mirror["id"], "code": _CODES[verdict.status]},
    }
    parts = [head, *_provenances(envelope, verdict, head, giving, receiving, new_id), giving, receiving]
    if verdict.status is not Status.ACCEPTED:
        outcome = _outcome(verdict, new_id("outcome"))
        head["response"]["details"] = relative(outcome)
        parts.append(outcome)
    return {
        "resourceType": "Bundle",
        "id": new_id("transmission"),
        "meta": meta("acknowledgement", "medcom-messaging-acknowledgement"),
        "type": "message",
        "timestamp": verdict.at.isoformat(),
        "entry": [entry(part) for part in parts],
    }


def _giver(mirror: Resource, receiver: int) -> tuple[str | None, Resource | None]:
    """The endpoint and the party in whose name it is given: as addressed, else by the SOR-ID of the endpoint.

    No party where the message addresses none that could be named: then nobody can answer.
    """
    if not 0 <= receiver < len(mirror["receivers"]):
        return None, None
    here, party = mirror["endpoints"][receiver], mirror["receivers"][receiver]
    if address_of(party).identifiers:
        return here, party
    if isinstance(here, str) and here.startswith(SOR_ADDRESS) and here != SOR_ADDRESS:
        return here, {"identifier": [{"system": SOR, "value": here.removeprefix(SOR_ADDRESS)}]}
    return here, None


def _provenances(
    envelope: Envelope, verdict: Verdict, head: Resource, giving: Resource, receiving: Resource, new_id: Any
) -> list[Resource]:
    mirror = envelope.opaque
    told = provenance(
        {"resourceType": "MessageHeader", "id": mirror["id"]},
        mirror.get("activity") or _NEW_MESSAGE,
        at=envelope.sent_at,
        agent=receiving,
        after=None,
        resource_id=new_id("told"),
    )
    told["occurredDateTime"] = mirror.get("occurred") or told["occurredDateTime"]
    answered = provenance(
        head,
        "acknowledgement",
        at=verdict.at,
        agent=giving,
        after=mirror["id"],
        resource_id=new_id("answered"),
    )
    return [told, answered]


def _outcome(verdict: Verdict, resource_id: str) -> Resource:
    default = "transient" if verdict.status is Status.NOT_NOW else "processing"
    issues = verdict.issues or (Issue(code=default, text=""),)
    return {
        "resourceType": "OperationOutcome",
        "id": resource_id,
        "meta": meta("acknowledgement", "medcom-acknowledgement-operationoutcome"),
        "text": generated(f"{len(issues)} error" + "s" * (len(issues) > 1)),
        "issue": [_issue(issue, default) for issue in issues],
    }


def _issue(issue: Issue, default: str) -> Resource:
    """The reason in FHIR's code, in MedCom's or else HL7's where they have one, and in words."""
    table = words.table("errors")
    details: Resource = {}
    code = table["of"].get(issue.code, issue.code)
    system = profiles.issue_system(code)
    if system is not None:
        details["coding"] = [{"system": system, "code": code}]
    if issue.text:
        details["text"] = issue.text
    kind = table["type"].get(issue.code, issue.code)
    made: Resource = {"severity": "error", "code": kind if kind in ISSUE else default}
    return made | ({"details": details} if details else {})


def _issue_in(item: Resource) -> Issue:
    details: Resource = item.get("details") or {}
    coding: Resource = next(iter(details.get("coding") or ()), {})
    code = coding.get("code") or item["code"]
    known = words.table("errors")["error"].get(code, "")
    text = details.get("text") or item.get("diagnostics") or coding.get("display") or known
    return Issue(code=code, text=text)


def _organization(party: Resource, resource_id: str) -> Resource:
    """The party as the message wrote it, so that the receipt mirrors it to the letter."""
    first: Resource = {
        "resourceType": "Organization",
        "id": resource_id,
        "meta": meta("messaging", "medcom-messaging-organization"),
        "text": generated(party.get("name") or "Organization"),
    }
    return first | {key: party[key] for key in ("identifier", "name") if key in party}


def _destination(endpoint: str, receiver: Resource) -> Resource:
    coding = {"system": words.code_system(words.DESTINATION_USE), "code": words.PRIMARY}
    url = words.extension_address(words.DESTINATION_USE_EXTENSION)
    use = {"url": url, "valueCoding": coding}
    return {"extension": [use], "endpoint": endpoint, "receiver": relative(receiver)}


def _endpoint(party: Resource) -> str:
    address: Address = address_of(party)
    sor = next((value for system, value in address.identifiers if system == SOR), None)
    return f"{SOR_ADDRESS}{sor}" if sor else f"urn:unknown#{address.token}"


def _as_uuid(receipt_id: str) -> str:
    try:
        return str(uuid.UUID(receipt_id))
    except ValueError:
        return str(uuid.uuid5(_NAMESPACE, receipt_id))
