"""Who has read what, as AuditEvents (FHIR R4 auditevent.html; the restful-interaction codes).

Each look at a patient's data is one. It names the machine or the person that looked and the patient by
pseudonym; of a person also the role, the page, and where it was emergency access the reason (v3-ActReason
BTG, break the glass).
"""

from collections.abc import Mapping
from typing import Any

from adapter.fhir.bundles import Resource

_ACTION = {
    "read": "R",
    "vread": "R",
    "history": "R",
    "search": "E",
    "update": "U",
    "document": "E",
    "view": "R",
    "act": "U",
    "emergency": "E",
}
_SUBTYPE = {
    "read": "read",
    "vread": "vread",
    "history": "history-instance",
    "search": "search-type",
    "update": "update",
    "document": "operation",
}


def audit_event(row: Mapping[str, Any]) -> Resource:
    """One look-up: id, at, partner or person, what, type, fhir_id, patient, found, and of a person more."""
    person = row.get("person")
    entities: list[Resource] = []
    if row["patient"] is not None:
        entities.append({"what": {"reference": f"Patient/{row['patient']}"}, "role": _role("1", "Patient")})
    if row["fhir_id"] is not None and row["type"] != "Patient":
        what = {"reference": f"{row['type']}/{row['fhir_id']}"}
        entities.append({"what": what, "role": _role("4", "Domain Resource")})
    if row.get("page") is not None:
        entities.append({"name": row["page"], "role": _role("3", "Report")})
    made: Resource = {
        "resourceType": "AuditEvent",
        "id": str(row["id"]),
        "meta": {"versionId": "1", "lastUpdated": _instant(row["at"])},
        **(_BY_A_PERSON if person is not None else _by_a_machine(row)),
        "action": _ACTION[row["what"]],
        "recorded": _instant(row["at"]),
        "outcome": "0" if row["found"] else "4",
        "agent": [_person(row) if person is not None else _machine(row)],
        "source": {"observer": {"display": "discharge adapter"}},
    }
    if row.get("why") is not None:
        made["purposeOfEvent"] = [{"coding": [_BREAK_THE_GLASS], "text": row["why"]}]
    if entities:
        made["entity"] = entities
    return made


def _by_a_machine(row: Mapping[str, Any]) -> Resource:
    return {
        "type": {
            "system": "http://terminology.hl7.org/CodeSystem/audit-event-type",
            "code": "rest",
            "display": "RESTful Operation",
        },
        "subtype": [
            {"system": "http://hl7.org/fhir/restful-interaction", "code": _SUBTYPE[row["what"]]},
        ],
    }


_BY_A_PERSON: Resource = {
    "type": {
        "system": "http://dicom.nema.org/resources/ontology/DCM",
        "code": "110110",
        "display": "Patient Record",
    },
}
_BREAK_THE_GLASS = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason",
    "code": "BTG",
    "display": "break the glass",
}


def _machine(row: Mapping[str, Any]) -> Resource:
    return {"name": row["partner"] or "anonymous, in evaluation", "requestor": True}


def _person(row: Mapping[str, Any]) -> Resource:
    name = row["name"] or row["person"]
    agent: Resource = {
        "who": {"identifier": {"value": row["person"]}, "display": name},
        "name": name,
        "requestor": True,
    }
    if row["role"]:
        agent["role"] = [{"text": role} for role in row["role"].split(", ")]
    if row["why"] is not None:
        agent["purposeOfUse"] = [{"coding": [_BREAK_THE_GLASS]}]
    return agent


def _role(code: str, display: str) -> Resource:
    return {
        "system": "http://terminology.hl7.org/CodeSystem/object-role",
        "code": code,
        "display": display,
    }


def _instant(at: Any) -> str:
    return str(at.isoformat(timespec="milliseconds").replace("+00:00", "Z"))
