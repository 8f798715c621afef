"""The resources that a message is made of, written from a notice: Patient, Encounter, and what is in focus.

What the notice says goes where R4 has a place for it (Encounter.period, Patient.deceased, Task.status); the
rest are the project's own extensions, published under `definitions/`.
"""

from adapter.discharge.notices import AnswerValue, Notice, NoticeKind, Standing
from adapter.fhir.bundles import (
    ANSWER_SYSTEM,
    EVENT_SYSTEM,
    FOLLOW_UP_SYSTEM,
    PLACEMENT_SYSTEM,
    Clinician,
    Resource,
    Subject,
    identifiers,
    instant_text,
    reference,
    with_extension,
)
from adapter.fhir.planning import say_planning

K = NoticeKind

SIP_MEETING = "sip-meeting"
"""The follow-up for which a plan names the day: the meeting at which it is looked at again."""

CLASS_SYSTEM = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
PRIORITY_SYSTEM = "http://terminology.hl7.org/CodeSystem/v3-ActPriority"
_URGENCY = {
    **{(PRIORITY_SYSTEM, code): True for code in ("EM", "S", "UR")},
    **{(PRIORITY_SYSTEM, code): False for code in ("EL", "R")},
    **{(CLASS_SYSTEM, code): True for code in ("EMER", "ACUTE")},
    (CLASS_SYSTEM, "NONAC"): False,
}
"""Whether a stay with that priority, or of that class, began acutely; other codes do not say it."""
_DISPOSITION = "http://terminology.hl7.org/CodeSystem/discharge-disposition"
_MOVES = {
    *((_DISPOSITION, code) for code in ("other-hcf", "psy")),
    *(("urn:oid:2.16.578.1.12.4.1.1.8408", code) for code in ("3", "7", "8")),
}
"""Where the patient goes after a discharge that is a transfer; list 8408 is Norwegian."""

FOCUS: dict[NoticeKind, str] = {
    K.ADMITTED: "Encounter",
    K.NEED_IDENTIFIED: "Communication",
    K.NO_MUNICIPAL_NEED: "Communication",
    K.CARE_NEEDS: "Composition",
    K.REPORT_OF_ADMISSION: "Composition",
    K.PLANNED_DISCHARGE: "Encounter",
    K.READY_FOR_DISCHARGE: "Encounter",
    K.READINESS_WITHDRAWN: "Encounter",
    K.ANSWER: "Task",
    K.FIXED_CONTACT_NAMED: "CareTeam",
    K.OPEN_CARE_AVAILABILITY: "Communication",
    K.SIP_REQUESTED: "Communication",
    K.SIP_CALL: "Appointment",
    K.SIP_DECLINED: "Communication",
    K.CARE_PLAN: "CarePlan",
    K.CONSENT_GIVEN: "Consent",
    K.CONSENT_WITHDRAWN: "Consent",
    K.PLAN_NEED_REPORTED: "Communication",
    K.COORDINATOR_NAMED: "CareTeam",
    K.DISCHARGED: "Encounter",
    K.DISCHARGE_REPORT: "Composition",
    K.DISCHARGE_SUMMARY: "Composition",
    K.LEAVE_STARTED: "Encounter",
    K.LEAVE_ENDED: "Encounter",
    K.DECEASED: "Encounter",
    K.TRANSFERRED: "Encounter",
    K.RESPONSIBLE_MUNICIPALITY_CHANGED: "Communication",
    K.PROCESS_INTERRUPTED: "Communication",
    K.LEFT_AGAINST_ADVICE: "Encounter",
    K.ENQUIRY: "Communication",
    K.REPLY: "Communication",
    K.NOTE: "Communication",
    K.DEVIATION: "Communication",
    K.MISROUTED: "Communication",
    K.HEALTH_INFORMATION: "Composition",
    K.MEDICATION_LIST: "List",
    K.SERVICES_GRANTED: "CarePlan",
    K.SEEN: "Communication",
    K.OBJECTION: "Communication",
    K.FOLLOWED_UP: "Task",
    K.BEYOND_CONTROL: "Communication",
    K.PLACED: "CarePlan",
    K.CLOSED: "Communication",
}
"""The resource that a notice of each kind is about; every message carries the Encounter besides."""

ENDED = (K.DISCHARGED, K.DECEASED, K.LEFT_AGAINST_ADVICE)
TASK_STATUS = {
    AnswerValue.CAN_RECEIVE: "accepted",
    AnswerValue.CANNOT_RECEIVE: "rejected",
    AnswerValue.NOT_KNOWN: "on-hold",
    AnswerValue.UNCLASSIFIED: "received",
}
_LOINC = "http://loinc.org"
_COMPOSITION_TYPE = {
    K.CARE_NEEDS: ("57133-1", "Referral note"),
    K.REPORT_OF_ADMISSION: ("18761-7", "Transfer summary note"),
    K.DISCHARGE_REPORT: ("34745-0", "Nurse Discharge summary"),
    K.DISCHARGE_SUMMARY: ("18842-5", "Discharge summary"),
    K.HEALTH_INFORMATION: ("11503-0", "Medical records"),
}


def patient_of(notice: Notice, subject: Subject, resource_id: str) -> Resource:
    """The patient, as far as the message says who it is."""
    patient: Resource = {"resourceType": "Patient", "id": resource_id}
    if subject.identifiers:
        patient["identifier"] = identifiers(subject.identifiers)
    name = {key: value for key, value in (("family", subject.family),) if value}
    if subject.given:
        name["given"] = [subject.given]  # type: ignore[assignment]  # HumanName.given is a list
    if name:
        patient["name"] = [name]
    if subject.gender:
        patient["gender"] = subject.gender
    if subject.birth_date:
        patient["birthDate"] = subject.birth_date.isoformat()
    if subject.address and any(subject.address):
        street, postal_code, city = subject.address
        place = {"line": [street] if street else None, "postalCode": postal_code, "city": city}
        patient["address"] = [{key: value for key, value in place.items() if value}]
    if notice.kind is K.DECEASED and notice.standing is not Standing.CANCELLATION:
        patient["deceasedDateTime"] = instant_text(notice.occurred)
    return patient


def acute_in(encounter: Resource) -> bool | None:
    """Whether the stay began acutely, by its priority, else by its class; None where neither says it."""
    said = [*((encounter.get("priority") or {}).get("coding") or ()), encounter.get("class") or {}]
    for coding in said:
        urgency = _URGENCY.get((coding.get("system"), coding.get("code")))
        if urgency is not None:
            return urgency
    return None


def moved_in(encounter: Resource) -> bool:
    """Whether the patient was discharged to another hospital, or to another unit of the same one."""
    disposition = (encounter.get("hospitalization") or {}).get("dischargeDisposition") or {}
    return any((c.get("system"), c.get("code")) in _MOVES for c in disposition.get("coding") or ())


def check_up_of(notice: Notice, patient: Resource, resource_id: str) -> Resource | None:
    """The appointment that the message itself makes for a follow-up, if it makes one."""
    if notice.follow_up is None:
        return None
    made: Resource = {
        "resourceType": "ServiceRequest",
        "id": resource_id,
        "status": "active",
        "intent": "plan",
        "subject": reference(patient),
        "occurrenceDateTime": notice.follow_up.isoformat(),
    }
    if notice.kind is K.CARE_PLAN:
        made["code"] = {"coding": [{"system": FOLLOW_UP_SYSTEM, "code": SIP_MEETING}]}
    return made


def practitioner_of(clinician: Clinician, resource_id: str) -> Resource:
    """The health professional who answers for the message."""
    made: Resource = {"resourceType": "Practitioner", "id": resource_id}
    if clinician.identifiers:
        made["identifier"] = identifiers(clinician.identifiers)
    name: Resource = {}
    if clinician.family:
        name["family"] = clinician.family
    if clinician.given:
        name["given"] = [clinician.given]
    if name:
        made["name"] = [name]
    if clinician.profession:
        made["qualification"] = [{"code": {"coding": [{"code": clinician.profession}]}}]
    return made


def encounter_of(
    notice: Notice,
    patient: Resource,
    provider: Resource | None,
    resource_id: str,
    discharged_to: tuple[str, str, str] | None,
) -> Resource:
    """The stay, with what is said about it."""
    made: Resource = {
        "resourceType": "Encounter",
        "id": resource_id,
        "status": _status(notice),
        "class": {"system": CLASS_SYSTEM, "code": "IMP"},
        "subject": reference(patient),
    }
    if notice.acute is not None:
        code, display = ("EM", "emergency") if notice.acute else ("EL", "elective")
        made["priority"] = {"coding": [{"system": PRIORITY_SYSTEM, "code": code, "display": display}]}
    if notice.encounter:
        made["identifier"] = [{"value": notice.encounter}]
    if notice.episode:
        made["episodeOfCare"] = [{"identifier": {"value": notice.episode}}]
    admitted = notice.occurred if notice.kind is K.ADMITTED else notice.admitted
    period = {}
    if admitted is not None:
        period["start"] = instant_text(admitted)
    if notice.kind in ENDED:
        period["end"] = instant_text(notice.occurred)
    if period:
        made["period"] = period
    if discharged_to is not None:
        system, code, display = discharged_to
        coding = {"system": system, "code": code, "display": display}
        made["hospitalization"] = {"dischargeDisposition": {"coding": [coding]}}
    if provider is not None:
        made["serviceProvider"] = reference(provider)
    _say_of_stay(made, notice)
    return made


def _status(notice: Notice) -> str:
    if notice.standing is Standing.CANCELLATION and FOCUS[notice.kind] == "Encounter":
        return "entered-in-error"
    if notice.kind is K.LEAVE_STARTED:
        return "onleave"
    return "finished" if notice.kind in ENDED else "in-progress"


def _say_of_stay(made: Resource, notice: Notice) -> None:
    """What R4 has no place for in an Encounter."""
    if notice.ready is not None:
        with_extension(made, "ready-for-discharge", "DateTime", instant_text(notice.ready))
    if notice.estimate:
        with_extension(made, "estimate", "Boolean", True)
    if notice.planned_discharge is not None:
        with_extension(made, "planned-discharge", "Date", notice.planned_discharge.isoformat())
    if notice.sip_needed:
        with_extension(made, "sip-needed", "Boolean", True)
    if notice.psychiatric:
        with_extension(made, "psychiatric", "Boolean", True)
    if notice.open_care_available is not None:
        with_extension(made, "open-care-available", "Boolean", notice.open_care_available)


def focus_of(
    notice: Notice,
    patient: Resource,
    stay: Resource,
    author: Resource,
    resource_id: str,
    contact: Resource | None = None,
) -> Resource:
    """The resource in focus; the Encounter itself for everything that happens to the stay.

    `contact` is the organisation of the fixed care contact or coordinator whom the notice names.
    """
    if FOCUS[notice.kind] == "Encounter":
        return stay
    made = _focus(notice, patient, stay, author, resource_id)
    say_planning(made, notice, contact)
    return made


def _focus(notice: Notice, patient: Resource, stay: Resource, author: Resource, resource_id: str) -> Resource:
    kind = FOCUS[notice.kind]
    concept = {"coding": [{"system": EVENT_SYSTEM, "code": notice.kind.value}]}
    made: Resource = {"resourceType": kind, "id": resource_id}
    if kind == "Consent":
        return made | _consent(notice, reference(patient), concept)
    if kind == "Appointment":
        participant = {"actor": reference(patient), "required": "required", "status": "needs-action"}
        return made | {"status": "proposed", "serviceType": [concept], "participant": [participant]}
    if kind == "Task":
        return made | _task(notice, reference(patient), reference(stay), reference(author), concept)
    about = {"subject": reference(patient), "encounter": reference(stay)}
    return made | about | _content(notice, kind, reference(author), concept)


def _content(notice: Notice, kind: str, author: Resource, concept: Resource) -> Resource:
    """What sets the plain kinds apart: those with subject and encounter."""
    when = instant_text(notice.sent_at)
    if kind == "Communication":
        return {"status": "completed", "category": [concept], "sent": when, "sender": author}
    if kind == "Composition":
        code, display = _COMPOSITION_TYPE[notice.kind]
        coding = {"system": _LOINC, "code": code, "display": display}
        type_ = {"coding": [coding]}
        return {"status": "final", "type": type_, "date": when, "author": [author], "title": display}
    if kind == "CareTeam":
        return {"status": "active", "category": [concept]}
    if kind == "CarePlan":
        taken_back = notice.kind is K.PLACED and notice.standing is Standing.CANCELLATION
        status = "revoked" if taken_back else "active"
        return {"status": status, "intent": "plan", "category": [concept, *_placed(notice)]}
    return {"status": "current", "mode": "snapshot", "code": concept}  # List


def _placed(notice: Notice) -> list[Resource]:
    """The kind of plan that it is, in the region's own word."""
    if notice.placement is None:
        return []
    return [{"coding": [{"system": PLACEMENT_SYSTEM, "code": notice.placement}]}]


def _consent(notice: Notice, about: Resource, concept: Resource) -> Resource:
    scope = "http://terminology.hl7.org/CodeSystem/consentscope"
    policy = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
    return {
        "status": "active" if notice.kind is K.CONSENT_GIVEN else "inactive",
        "scope": {"coding": [{"system": scope, "code": "patient-privacy"}]},
        "category": [concept],
        "patient": about,
        "dateTime": instant_text(notice.sent_at),
        "policyRule": {"coding": [{"system": policy, "code": "OPTIN"}]},
    }


def _task(notice: Notice, about: Resource, stay: Resource, owner: Resource, concept: Resource) -> Resource:
    made: Resource = {
        "status": "completed",
        "intent": "order",
        "code": concept,
        "for": about,
        "encounter": stay,
        "owner": owner,
        "lastModified": instant_text(notice.sent_at),
    }
    if notice.fulfils is not None:
        made["code"] = {"coding": [*concept["coding"], {"system": FOLLOW_UP_SYSTEM, "code": notice.fulfils}]}
    if notice.answer is not None:
        made["status"] = TASK_STATUS[notice.answer]
        made["businessStatus"] = {"coding": [{"system": ANSWER_SYSTEM, "code": notice.answer.value}]}
    if notice.receive_from is not None:
        made["executionPeriod"] = {"start": notice.receive_from.isoformat()}
    return made
