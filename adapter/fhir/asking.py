"""What is made of a notice or of the case for those who read at /fhir: a Task, an EpisodeOfCare.

A notice of readiness asks each municipality when it can receive the patient. That is a Task of code
`receive-patient` (CodeSystem/tasks): requested, until the municipality has answered. An admission may ask the
municipality's own system for its report of admission: a Task of code `report-of-admission`.
"""

from datetime import datetime

from adapter.discharge.case import Case, CaseState
from adapter.fhir.bundles import CANONICAL, Resource, instant_text

TASK_SYSTEM = f"{CANONICAL}/CodeSystem/tasks"
RECEIVE_PATIENT = "receive-patient"
REPORT_OF_ADMISSION = "report-of-admission"
_SHOWN = {RECEIVE_PATIENT: "Receive patient", REPORT_OF_ADMISSION: "Report of admission"}
CASE_SYSTEM = f"{CANONICAL}/case"
"""Identifier system of our own case numbers."""

_OF_THE_ANSWER = (
    "status", "statusReason", "businessStatus", "executionPeriod", "lastModified", "note", "output", "text"
)  # fmt: skip
_STATUS = (
    "CarePlan", "CareTeam", "ServiceRequest", "Task", "Appointment", "QuestionnaireResponse", "Observation",
    "MedicationStatement", "DocumentReference", "Communication", "NutritionOrder",
)  # fmt: skip
_SAYS_SO = dict.fromkeys(_STATUS, "status") | {"Goal": "lifecycleStatus"}
_EPISODE_STATUS = {
    CaseState.DISCHARGED: "finished",
    CaseState.DECEASED: "finished",
    CaseState.CLOSED: "finished",
    CaseState.CANCELLED: "entered-in-error",
    CaseState.ON_LEAVE: "onhold",
}


def asked(
    *,
    task_id: str,
    patient: str,
    encounter: str,
    requester: str,
    owner: str,
    authored: datetime,
    code: str = RECEIVE_PATIENT,
) -> Resource:
    """What a notice asks of a party: `requester` and `owner` are ids of parties."""
    return {
        "resourceType": "Task",
        "id": task_id,
        "status": "requested",
        "intent": "order",
        "code": {
            "coding": [{"system": TASK_SYSTEM, "code": code, "display": _SHOWN[code]}],
        },
        "focus": {"reference": f"Encounter/{encounter}"},
        "for": {"reference": f"Patient/{patient}"},
        "encounter": {"reference": f"Encounter/{encounter}"},
        "authoredOn": instant_text(authored),
        "lastModified": instant_text(authored),
        "requester": {"reference": f"Organization/{requester}"},
        "owner": {"reference": f"Organization/{owner}"},
    }


def answered(task: Resource, answer: Resource) -> Resource:
    """The question with what the municipality has said to it."""
    return task | {key: answer[key] for key in _OF_THE_ANSWER if key in answer}


def called_off(task: Resource, at: datetime) -> Resource:
    """The question, no longer asked: the patient is not ready after all."""
    return task | {"status": "cancelled", "lastModified": instant_text(at)}


def finished(task: Resource, status: str, at: datetime) -> Resource:
    """What was asked, done or not wanted any more."""
    return task | {"status": status, "lastModified": instant_text(at)}


def taken_back(part: Resource) -> Resource:
    """A part of a plan that should never have been told: entered in error, where its kind can say so."""
    said = _SAYS_SO.get(part["resourceType"])
    return part | {said: "entered-in-error"} if said is not None else part


def is_asked(task: Resource) -> bool:
    """Whether a Task is such a question."""
    codings = (task.get("code") or {}).get("coding") or ()
    return any(c.get("system") == TASK_SYSTEM and c.get("code") == RECEIVE_PATIENT for c in codings)


def is_of_the_adapter(task: Resource) -> bool:
    """Whether a Task is one that the adapter makes of a notice, and none of a plan."""
    codings = (task.get("code") or {}).get("coding") or ()
    return any(c.get("system") == TASK_SYSTEM for c in codings)


def episode(case_id: int, patient: str, case: Case) -> Resource:
    """A case as its reader knows it; `patient` is the pseudonym."""
    made: Resource = {
        "resourceType": "EpisodeOfCare",
        "id": f"case-{case_id}",
        "identifier": [{"system": CASE_SYSTEM, "value": str(case_id)}],
        "status": _EPISODE_STATUS.get(case.state, "active"),
        "patient": {"reference": f"Patient/{patient}"},
    }
    if case.hospital is not None:
        made["managingOrganization"] = {"reference": f"Organization/{case.hospital}"}
    period = {}
    if case.admitted_at is not None:
        period["start"] = instant_text(case.admitted_at)
    if case.discharged_at is not None:
        period["end"] = instant_text(case.discharged_at)
    if period:
        made["period"] = period
    return made
