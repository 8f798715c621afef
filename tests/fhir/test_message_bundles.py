"""Notices go into message Bundles and come back the same."""

from dataclasses import replace
from datetime import UTC, date, datetime
from uuid import uuid4

import pytest

from adapter.discharge.notices import AnswerValue, NoticeKind, Standing
from adapter.errors import Refused
from adapter.fhir.bundles import (
    HPR,
    PLACEMENT_SYSTEM,
    Bundle,
    Clinician,
    Resource,
    Subject,
    address_of,
    header,
    of_type,
)
from adapter.fhir.notices import clinician_in, event_kind, message_bundle, notice_in, receivers_in, subject_in
from adapter.fhir.publishing import HOSPITAL, MUNICIPALITY, PATIENT, example, example_notice
from adapter.fhir.validation import validate
from adapter.messaging.envelope import HER, Address


def told(notice, **more):
    return message_bundle(
        notice,
        subject=PATIENT,
        sender=HOSPITAL,
        receivers=more.pop("receivers", [MUNICIPALITY]),
        hospital=HOSPITAL,
        transmission_id="t-1",
        **more,
    )


@pytest.mark.parametrize("kind", NoticeKind)
def test_every_kind_reads_back_as_it_was_told(kind):
    assert notice_in(example(kind), zone=UTC) == example_notice(kind)


@pytest.mark.parametrize("answer", AnswerValue)
def test_every_answer_reads_back(answer):
    notice = replace(example_notice(NoticeKind.ANSWER), answer=answer, sender=HOSPITAL.token)
    assert notice_in(told(notice), zone=UTC).answer is answer


@pytest.mark.parametrize("standing", Standing)
def test_corrections_and_cancellations_name_what_they_refer_to(standing):
    notice = replace(
        example_notice(NoticeKind.DISCHARGED), standing=standing, refers_to="an-earlier-one", reserved=True
    )
    bundle = told(notice)
    validate(bundle)
    found = notice_in(bundle, zone=UTC)
    assert (found.standing, found.refers_to, found.reserved) == (standing, "an-earlier-one", True)


def test_a_day_without_time_stays_a_day():
    notice = replace(
        example_notice(NoticeKind.READY_FOR_DISCHARGE),
        occurred=date(2014, 11, 6),
        ready=date(2014, 11, 7),
        estimate=True,
    )
    found = notice_in(told(notice), zone=UTC)
    assert (found.occurred, found.ready, found.estimate) == (date(2014, 11, 6), date(2014, 11, 7), True)


def test_the_same_notice_gives_the_same_bundle():
    assert example(NoticeKind.ADMITTED) == example(NoticeKind.ADMITTED)


def test_patient_and_clinician_read_back():
    clinician = Clinician(identifiers=((HPR, "1234567"),), family="Dokken", given="Marit", profession="LE")
    bundle = told(example_notice(NoticeKind.READY_FOR_DISCHARGE), responsible=clinician)
    assert subject_in(bundle) == PATIENT
    assert clinician_in(bundle) == clinician


def test_copy_receivers_are_marked():
    copy = Address(identifiers=((HER, "8143550"),), name="Årdal kommune", copy=True)
    bundle = told(example_notice(NoticeKind.ADMITTED), receivers=[MUNICIPALITY, copy])
    assert receivers_in(bundle) == (MUNICIPALITY, copy)


def test_a_birth_year_alone_is_legal_and_identifies_nobody():
    bundle = example(NoticeKind.ADMITTED)
    patient = of_type(bundle, "Patient")
    patient["birthDate"] = "1952"
    del patient["identifier"]
    assert subject_in(bundle).birth_date is None
    assert not subject_in(bundle).identified


def test_a_null_that_holds_a_place_among_given_names_is_passed_over():
    bundle = example(NoticeKind.ADMITTED)
    of_type(bundle, "Patient")["name"][0]["given"] = [None, "Synnøve"]
    assert subject_in(bundle).given == "Synnøve"


def test_a_person_never_becomes_an_address():
    assert (
        address_of({"resourceType": "Patient", "identifier": [{"system": "s", "value": "v"}]}).identifiers
        == ()
    )


def test_a_subject_needs_a_name():
    assert not Subject(identifiers=PATIENT.identifiers).identified


def test_a_foreign_event_is_not_supported():
    with pytest.raises(Refused) as refusal:
        event_kind({"eventCoding": {"system": "http://medcom.example", "code": "admitted"}})
    assert refusal.value.code == "not-supported"


def test_an_unknown_standing_is_refused():
    bundle = example(NoticeKind.ADMITTED)
    url = header(bundle)["extension"][0]["url"].replace("occurred", "standing")
    header(bundle)["extension"].append({"url": url, "valueCode": "perhaps"})
    with pytest.raises(Refused):
        notice_in(bundle, zone=UTC)


def test_a_time_without_offset_is_the_hospitals():
    bundle = example(NoticeKind.ADMITTED)
    bundle["timestamp"] = "2014-11-03T10:00:00"
    assert notice_in(bundle, zone=UTC).sent_at == datetime(2014, 11, 3, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    "kind", [NoticeKind.DISCHARGE_REPORT, NoticeKind.DISCHARGE_SUMMARY, NoticeKind.CARE_PLAN]
)
def test_the_day_of_a_check_up_is_a_service_request_and_reads_back(kind):
    notice = replace(example_notice(kind), follow_up=date(2014, 11, 20))
    bundle = told(notice)
    validate(bundle)
    assert notice_in(bundle, zone=UTC).follow_up == date(2014, 11, 20)


def test_of_several_check_ups_the_first_that_still_stands_counts():
    bundle = told(replace(example_notice(NoticeKind.DISCHARGE_REPORT), follow_up=date(2014, 11, 20)))
    request = next(e for e in bundle["entry"] if e["resource"]["resourceType"] == "ServiceRequest")
    for number, (status, day) in enumerate(
        [("revoked", "2014-11-10"), ("active", "2014-11-14T09:00:00+01:00")]
    ):
        other = {**request["resource"], "id": f"r{number}", "status": status, "occurrenceDateTime": day}
        bundle["entry"].append({"fullUrl": f"urn:uuid:r{number}", "resource": other})
    assert notice_in(bundle, zone=UTC).follow_up == date(2014, 11, 14)


ACT = "http://terminology.hl7.org/CodeSystem/v3-Act"


@pytest.mark.parametrize("acute", [True, False, None])
def test_whether_the_admission_was_acute_reads_back(acute):
    bundle = told(replace(example_notice(NoticeKind.ADMITTED), acute=acute))
    assert notice_in(bundle, zone=UTC).acute is acute
    assert ("priority" in of_type(bundle, "Encounter")) is (acute is not None)


@pytest.mark.parametrize(
    ("class_", "priority", "acute"),
    [
        ("EMER", None, True),
        ("ACUTE", None, True),
        ("NONAC", None, False),
        ("IMP", None, None),
        ("IMP", "UR", True),
        ("IMP", "R", False),
        ("IMP", "PRN", None),
        ("EMER", "EL", False),  # the priority says it in so many words
        ("EMER", "PRN", True),
    ],
)
def test_a_partner_may_say_it_by_priority_or_by_class(class_, priority, acute):
    bundle = example(NoticeKind.ADMITTED)
    encounter = of_type(bundle, "Encounter")
    encounter["class"] = {"system": f"{ACT}Code", "code": class_}
    if priority:
        encounter["priority"] = {"coding": [{"system": f"{ACT}Priority", "code": priority}]}
    assert notice_in(bundle, zone=UTC).acute is acute


def test_a_code_of_another_system_says_nothing_of_it():
    bundle = example(NoticeKind.ADMITTED)
    encounter = of_type(bundle, "Encounter")
    encounter["priority"] = {"coding": [{"system": "urn:example:priority", "code": "EM"}]}
    assert notice_in(bundle, zone=UTC).acute is None


@pytest.mark.parametrize(
    ("system", "code", "moved"),
    [
        ("urn:oid:2.16.578.1.12.4.1.1.8408", "1", False),
        ("urn:oid:2.16.578.1.12.4.1.1.8408", "3", True),
        ("urn:oid:2.16.578.1.12.4.1.1.8408", "7", True),
        ("urn:oid:2.16.578.1.12.4.1.1.8408", "11", False),
        ("urn:example:where", "3", False),
        ("http://terminology.hl7.org/CodeSystem/discharge-disposition", "home", False),
        ("http://terminology.hl7.org/CodeSystem/discharge-disposition", "other-hcf", True),
    ],
)
def test_a_discharge_says_whether_it_is_a_move_to_another_hospital_or_unit(system, code, moved):
    bundle = told(example_notice(NoticeKind.DISCHARGED), discharged_to=(system, code, "a place"))
    assert notice_in(bundle, zone=UTC).moved is moved


def test_a_follow_up_names_its_kind_beside_the_event():
    notice = replace(example_notice(NoticeKind.FOLLOWED_UP), fulfils="gp-visit")
    bundle = told(notice)
    task = next(e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Task")
    assert [c["code"] for c in task["code"]["coding"]] == ["followed-up", "gp-visit"]
    assert notice_in(bundle, zone=UTC).fulfils == "gp-visit"
    unsaid = told(replace(notice, fulfils=None))
    assert notice_in(unsaid, zone=UTC).fulfils is None


def plan_of(bundle: Bundle) -> Resource:
    return next(e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "CarePlan")


def test_a_placement_is_the_category_of_a_plan_and_its_cancellation_revokes_it():
    notice = example_notice(NoticeKind.PLACED)
    bundle = told(notice)
    assert plan_of(bundle)["status"] == "active"
    assert notice_in(bundle, zone=UTC).placement == "hip-fracture"
    off = replace(
        notice, message_id=str(uuid4()), standing=Standing.CANCELLATION, refers_to=notice.message_id
    )
    bundle = told(off)
    assert plan_of(bundle)["status"] == "revoked"
    read = notice_in(bundle, zone=UTC)
    assert (read.placement, read.standing, read.refers_to) == (
        "hip-fracture",
        Standing.CANCELLATION,
        notice.message_id,
    )


def test_a_placement_that_names_nothing_is_refused():
    bundle = told(example_notice(NoticeKind.PLACED))
    plan_of(bundle)["category"].pop()
    with pytest.raises(Refused, match=r"CarePlan\.category names nothing of .*/CodeSystem/placements"):
        notice_in(bundle, zone=UTC)


def test_another_plan_is_no_placement():
    bundle = told(example_notice(NoticeKind.CARE_PLAN))
    plan_of(bundle)["category"].append({"coding": [{"system": PLACEMENT_SYSTEM, "code": "hip-fracture"}]})
    assert notice_in(bundle, zone=UTC).placement is None
