"""Who has read what, as AuditEvents (FHIR R4 auditevent.html; the restful-interaction codes).

Each look at a patient's data is one. It names the machine that looked and the patient by pseudonym.
"""

from collections.abc import Mapping
from typing import Any

from adapter.fhir.bundles import Resource

_ACTION = {"read": "R", "vread": "R", "history": "R", "search": "E", "update": "U", "document": "E"}
_SUBTYPE = {
    "read": "read",
    "vread": "vread",
    "history": "history-instance",
    "search": "search-type",
    "update": "update",
    "document": "operation",
}


def audit_event(row: Mapping[str, Any]) -> Resource:
    """One look-up: id, at, partner, what, type, fhir_id, patient, found."""
    who = row["partner"] or "anonymous, in evaluation"
    entities: list[Resource] = []
    if row["patient"] is not None:
        entities.append({"what": {"reference": f"Patient/{row['patient']}"}, "role": _role("1", "Patient")})
    if row["fhir_id"] is not None and row["type"] != "Patient":
        what = {"reference": f"{row['type']}/{row['fhir_id']}"}
        entities.append({"what": what, "role": _role("4", "Domain Resource")})
    made: Resource = {
        "resourceType": "AuditEvent",
        "id": str(row["id"]),
        "meta": {"versionId": "1", "lastUpdated": _instant(row["at"])},
        "type": {
            "system": "http://terminology.hl7.org/CodeSystem/audit-event-type",
            "code": "rest",
            "display": "RESTful Operation",
        },
        "subtype": [
            {"system": "http://hl7.org/fhir/restful-interaction", "code": _SUBTYPE[row["what"]]},
        ],
        "action": _ACTION[row["what"]],
        "recorded": _instant(row["at"]),
        "outcome": "0" if row["found"] else "4",
        "agent": [{"name": who, "requestor": True}],
        "source": {"observer": {"display": "discharge adapter"}},
    }
    if entities:
        made["entity"] = entities
    return made


def _role(code: str, display: str) -> Resource:
    return {
        "system": "http://terminology.hl7.org/CodeSystem/object-role",
        "code": code,
        "display": display,
    }


def _instant(at: Any) -> str:
    return str(at.isoformat(timespec="milliseconds").replace("+00:00", "Z"))
