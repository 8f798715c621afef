"""What the messages of the planning say, as others write it: plans, tasks, meetings, contacts, consent."""

from copy import deepcopy
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from adapter.discharge.notices import Decliner, Meeting, NoticeKind, Plan, PlanKind, PlanTask, Standing
from adapter.errors import Refused
from adapter.fhir.bundles import (
    DECLINER_SYSTEM,
    FNR,
    FOLLOW_UP_SYSTEM,
    PLAN_KIND_SYSTEM,
    TEAM_ROLE_SYSTEM,
    entry,
    of_type,
)
from adapter.fhir.notices import message_bundle, notice_in
from adapter.fhir.publishing import HOSPITAL, MUNICIPALITY, PATIENT, example, example_notice
from adapter.fhir.validation import validate

K = NoticeKind
ELSEWHERE = "urn:oid:1.2.752.29.4.19|SE0000000000-BVC"


def told(kind, **more):
    """Our own message of that kind, in the words of our notice."""
    notice = replace(example_notice(kind), sender=HOSPITAL.token, receivers=(MUNICIPALITY.token,), **more)
    bundle = message_bundle(
        notice,
        subject=PATIENT,
        sender=HOSPITAL,
        receivers=[MUNICIPALITY],
        hospital=HOSPITAL,
        transmission_id="t-1",
    )
    validate(bundle)
    return notice, bundle


def read(bundle):
    validate(bundle)
    return notice_in(bundle, zone=UTC)


def changed(kind, resource_type, **values):
    """The published example with something else in a resource; None takes an element away."""
    bundle = deepcopy(example(kind))
    resource = of_type(bundle, resource_type)
    for name, value in values.items():
        resource[name] = value
        if value is None:
            del resource[name]
    return bundle


def with_owner(owner, *parts):
    bundle = changed(K.CARE_PLAN, "Task", owner=owner)
    bundle["entry"] += [entry(part) for part in parts]
    return bundle


def task_of(bundle) -> PlanTask:
    (found,) = read(bundle).plan.tasks
    return found


# --- there and back ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*PlanKind, None])
@pytest.mark.parametrize("status", ["draft", "active", "on-hold", "revoked", "completed"])
def test_a_plan_reads_back_with_its_kind_its_status_and_its_tasks(kind, status):
    tasks = (
        PlanTask(id="urn:tasks|1", owner=HOSPITAL.token, due=date(2014, 11, 12), status="accepted", what="A"),
        PlanTask(id="2", owner=ELSEWHERE, due=datetime(2014, 11, 12, 9, tzinfo=UTC), status="completed"),
        PlanTask(id="3", owner=None, due=None, status="requested", what="B"),
    )
    meeting = Meeting(
        starts=datetime(2014, 11, 7, 12, tzinfo=UTC), ends=datetime(2014, 11, 7, 13, tzinfo=UTC)
    )
    notice, bundle = told(
        K.CARE_PLAN,
        plan=Plan(id="urn:plans|1", kind=kind, status=status, tasks=tasks),
        meeting=meeting,
        follow_up=date(2014, 12, 1),
    )
    assert read(bundle) == notice


@pytest.mark.parametrize("starts", [date(2014, 11, 7), datetime(2014, 11, 7, 12, tzinfo=UTC)])
def test_a_call_without_an_end_is_a_wish_for_a_time_and_reads_back(starts):
    notice, bundle = told(K.SIP_CALL, meeting=Meeting(starts=starts))
    assert "start" not in of_type(bundle, "Appointment")  # app-2: both, or neither
    assert read(bundle) == notice


@pytest.mark.parametrize("who", [*Decliner, None])
def test_who_declined_reads_back(who):
    notice, bundle = told(K.SIP_DECLINED, declined_by=who)
    assert read(bundle) == notice


@pytest.mark.parametrize("refused", [True, False])
def test_a_consent_refused_at_once_is_told_from_one_withdrawn_later(refused):
    notice, bundle = told(K.CONSENT_WITHDRAWN, refused=refused)
    assert of_type(bundle, "Consent")["status"] == ("rejected" if refused else "inactive")
    assert read(bundle) == notice


@pytest.mark.parametrize("kind", [K.FIXED_CONTACT_NAMED, K.COORDINATOR_NAMED])
def test_a_contact_is_named_by_its_organisation(kind):
    notice, bundle = told(kind, contact=ELSEWHERE)
    assert read(bundle) == notice
    assert read(told(kind, contact=None)[1]).contact is None


# --- as others write it -----------------------------------------------------------------------------------


def test_a_task_is_due_by_its_restriction_else_by_its_execution_period():
    period = {"start": "2014-11-01", "end": "2014-11-20T10:00:00+01:00"}
    both = changed(K.CARE_PLAN, "Task", executionPeriod=period)
    assert task_of(both).due == date(2014, 11, 12)
    only = changed(K.CARE_PLAN, "Task", executionPeriod=period, restriction=None)
    assert task_of(only).due == datetime.fromisoformat(period["end"])
    assert task_of(changed(K.CARE_PLAN, "Task", restriction=None)).due is None


def test_a_plan_and_a_task_without_identifier_are_known_by_their_ids():
    bundle = changed(K.CARE_PLAN, "Task", identifier=None)
    del of_type(bundle, "CarePlan")["identifier"]
    found = read(bundle).plan
    assert found.id == of_type(bundle, "CarePlan")["id"]
    assert found.tasks[0].id == of_type(bundle, "Task")["id"]


@pytest.mark.parametrize(
    ("owner", "parts"),
    [
        ({"identifier": {"system": "urn:oid:1.2.752.29.4.19", "value": "SE0000000000-BVC"}}, []),
        (
            {"reference": "PractitionerRole/r"},
            [
                {
                    "resourceType": "PractitionerRole",
                    "id": "r",
                    "organization": {"reference": "Organization/o"},
                },
                {
                    "resourceType": "Organization",
                    "id": "o",
                    "identifier": [{"system": "urn:oid:1.2.752.29.4.19", "value": "SE0000000000-BVC"}],
                },
            ],
        ),
        (
            {"reference": "CareTeam/t"},
            [
                {
                    "resourceType": "CareTeam",
                    "id": "t",
                    "managingOrganization": [
                        {"identifier": {"system": "urn:oid:1.2.752.29.4.19", "value": "SE0000000000-BVC"}}
                    ],
                }
            ],
        ),
    ],
    ids=["by identifier", "through a role", "through a team"],
)
def test_the_owner_of_a_task_is_an_organisation_however_it_is_referred_to(owner, parts):
    assert task_of(with_owner(owner, *parts)).owner == ELSEWHERE


def test_a_task_that_names_no_organisation_is_its_plans_senders_and_the_patients_own_is_nobodys():
    doctor = {"resourceType": "Practitioner", "id": "d", "name": [{"family": "Dokken"}]}
    daughter = {"resourceType": "RelatedPerson", "id": "k", "patient": {"display": "mor"}}
    patient = {"reference": f"Patient/{of_type(example(K.CARE_PLAN), 'Patient')['id']}"}
    by_number = {"type": "Patient", "identifier": {"system": FNR, "value": "01815290042"}}
    assert task_of(with_owner({"reference": "Practitioner/d"}, doctor)).owner == MUNICIPALITY.token
    assert task_of(changed(K.CARE_PLAN, "Task", owner=None)).owner == MUNICIPALITY.token
    for of_the_patient in (with_owner({"reference": "RelatedPerson/k"}, daughter), with_owner(patient)):
        assert task_of(of_the_patient).owner is None
    assert task_of(with_owner(by_number)).owner is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Hjelp til morgonstell", "Hjelp til morgonstell"),
        ("Ringe Synnøve i morgon", "Samtale"),
        ("ringe fru FJELLHEIM", "Samtale"),
        ("Gjeld 010152 90042", "Samtale"),
        ("Gjeld 18 15 29 00 42 1", "Samtale"),
        ("x" * 300, "x" * 119 + "…"),
    ],
)
def test_what_a_task_is_about_holds_no_name_and_no_number_of_a_person(text, shown):
    code = {"text": text, "coding": [{"system": "urn:codes", "code": "1", "display": "Samtale"}]}
    assert task_of(changed(K.CARE_PLAN, "Task", code=code)).what == shown
    del code["coding"]
    only = task_of(changed(K.CARE_PLAN, "Task", code=code)).what
    assert only == (None if shown == "Samtale" else shown)


def test_a_measure_that_a_plan_asks_for_is_no_follow_up_of_the_plan():
    bundle = changed(K.CARE_PLAN, "Task")
    asked = {
        "resourceType": "ServiceRequest",
        "status": "active",
        "intent": "plan",
        "subject": {"reference": f"Patient/{of_type(bundle, 'Patient')['id']}"},
    }
    nursing = {"coding": [{"system": "http://snomed.info/sct", "code": "385767005"}]}
    meeting = {"coding": [{"system": FOLLOW_UP_SYSTEM, "code": "sip-meeting"}]}
    bundle["entry"].append(
        entry(asked | {"id": "a", "code": nursing, "occurrenceDateTime": "2014-11-08"})
        | {"fullUrl": "urn:uuid:a1"}
    )
    assert read(bundle).follow_up is None
    bundle["entry"].append(
        entry(asked | {"id": "b", "code": meeting, "occurrenceDateTime": "2014-12-08"})
        | {"fullUrl": "urn:uuid:b1"}
    )
    assert read(bundle).follow_up == date(2014, 12, 8)


def test_a_contact_that_is_a_person_is_told_by_the_organisation_behind_and_never_by_name():
    bundle = changed(
        K.FIXED_CONTACT_NAMED,
        "CareTeam",
        participant=[
            {"member": {"reference": "Organization/other"}},
            {
                "role": [{"coding": [{"system": TEAM_ROLE_SYSTEM, "code": "fixed-care-contact"}]}],
                "member": {"reference": "Practitioner/p"},
                "onBehalfOf": {"reference": "Organization/o"},
            },
        ],
    )
    for made in (
        {"resourceType": "Practitioner", "id": "p", "name": [{"family": "Lind", "given": ["Karin"]}]},
        {
            "resourceType": "Organization",
            "id": "o",
            "identifier": [{"system": "urn:oid:1.2.752.29.4.19", "value": "SE0000000000-BVC"}],
        },
        {"resourceType": "Organization", "id": "other", "identifier": [{"system": "s", "value": "v"}]},
    ):
        bundle["entry"].append(entry(made))
    found = read(bundle)
    assert found.contact == ELSEWHERE
    assert "Lind" not in repr(found)


def test_a_meeting_of_a_plan_that_is_called_off_is_none_and_one_that_was_held_says_so():
    meeting = Meeting(
        starts=datetime(2014, 11, 7, 12, tzinfo=UTC), ends=datetime(2014, 11, 7, 13, tzinfo=UTC)
    )
    _, bundle = told(K.CARE_PLAN, meeting=meeting)
    of_type(bundle, "Appointment")["status"] = "fulfilled"
    assert read(bundle).meeting.status == "fulfilled"
    of_type(bundle, "Appointment")["status"] = "cancelled"
    assert read(bundle).meeting is None


# --- what contradicts itself is refused -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "resource_type", "values", "code"),
    [
        (K.CONSENT_GIVEN, "Consent", {"status": "inactive"}, "invariant"),
        (K.CONSENT_GIVEN, "Consent", {"status": "rejected"}, "invariant"),
        (K.SIP_CALL, "Appointment", {"status": "cancelled"}, "invariant"),
        (
            K.CARE_PLAN,
            "CarePlan",
            {"category": [{"coding": [{"system": PLAN_KIND_SYSTEM, "code": "wish-list"}]}]},
            "code-invalid",
        ),
        (
            K.SIP_DECLINED,
            "Communication",
            {"reasonCode": [{"coding": [{"system": DECLINER_SYSTEM, "code": "weather"}]}]},
            "code-invalid",
        ),
        (K.CARE_PLAN, "Task", {"identifier": [{"value": "x" * 201}]}, "value"),
    ],
)
def test_what_denies_its_own_event_or_is_of_no_code_is_refused(kind, resource_type, values, code):
    with pytest.raises(Refused) as refusal:
        read(changed(kind, resource_type, **values))
    assert refusal.value.code == code
    assert "x" * 201 not in refusal.value.reason


def test_a_consent_that_was_told_by_mistake_is_taken_back():
    _, bundle = told(K.CONSENT_GIVEN, standing=Standing.CANCELLATION, refers_to="an-earlier-one")
    of_type(bundle, "Consent")["status"] = "entered-in-error"
    assert read(bundle).standing is Standing.CANCELLATION
