"""A Task or CarePlan that was polled reads as the message that the partner might have sent."""

from copy import deepcopy
from datetime import UTC, date, datetime

import pytest

from adapter.discharge.notices import AnswerValue, NoticeKind
from adapter.errors import Refused
from adapter.fhir.bundles import of_type
from adapter.fhir.notices import notice_in, subject_in
from adapter.fhir.polled import NO_ANSWER, message_of
from adapter.fhir.publishing import HOSPITAL, MUNICIPALITY, PATIENT, example
from adapter.messaging.envelope import HER

CHANGED = datetime(2014, 11, 6, 12, 0, tzinfo=UTC)


def entry(resource):
    url = f"https://laerdal.example/fhir/{resource['resourceType']}/{resource['id']}"
    return {"fullUrl": url, "resource": resource}


def party(resource_id, address):
    system, value = address.identifiers[0]
    return {
        "resourceType": "Organization",
        "id": resource_id,
        "identifier": [{"system": system, "value": value}],
        "name": address.name,
    }


def collection(focus, *others):
    return {"resourceType": "Bundle", "type": "collection", "entry": [entry(r) for r in (focus, *others)]}


def patient(resource_id="p1"):
    return deepcopy(of_type(example(NoticeKind.ADMITTED), "Patient")) | {"id": resource_id}


def task(**more):
    return {
        "resourceType": "Task",
        "id": "t1",
        "meta": {"versionId": "3", "lastUpdated": CHANGED.isoformat()},
        "status": "accepted",
        "intent": "order",
        "for": {"reference": "Patient/p1"},
        "owner": {"reference": "Organization/o1"},
        "requester": {"reference": "Organization/o2"},
        "executionPeriod": {"start": "2014-11-10"},
    } | more


def read(focus, *others):
    parts = others or (patient(), party("o1", MUNICIPALITY), party("o2", HOSPITAL))
    return message_of(collection(focus, *parts), zone=UTC, content_type="application/fhir+json")


def test_a_task_is_the_owners_answer_to_the_requester():
    envelope, message = read(task())
    notice = notice_in(message, zone=UTC)
    assert notice.kind is NoticeKind.ANSWER
    assert (notice.answer, notice.receive_from) == (AnswerValue.CAN_RECEIVE, date(2014, 11, 10))
    assert (envelope.sender, envelope.receivers) == (MUNICIPALITY, (HOSPITAL,))
    assert (envelope.type, envelope.sent_at) == ("Task", CHANGED)
    assert notice.message_id == envelope.message_id == "Task/t1/_history/3"
    assert subject_in(message) == PATIENT


def test_each_version_is_a_message_of_its_own():
    other, _ = read(task(meta={"lastUpdated": CHANGED.isoformat()}))
    assert other.message_id == f"Task/t1/_history/{CHANGED.isoformat()}"


def test_a_care_plan_is_its_authors():
    plan = {
        "resourceType": "CarePlan",
        "id": "c1",
        "meta": {"versionId": "1", "lastUpdated": CHANGED.isoformat()},
        "status": "active",
        "intent": "plan",
        "subject": {"reference": "Patient/p1"},
        "author": {"reference": "Organization/o1"},
    }
    envelope, message = read(plan)
    assert notice_in(message, zone=UTC).kind is NoticeKind.CARE_PLAN
    assert (envelope.sender, envelope.receivers) == (MUNICIPALITY, ())


def test_a_party_may_be_named_by_identifier_alone():
    owner = {
        "type": "Organization",
        "identifier": {"system": HER, "value": "8143549"},
        "display": "Lærdal kommune",
    }
    envelope, _ = read(task(owner=owner), patient(), party("o2", HOSPITAL))
    assert envelope.sender == MUNICIPALITY


def test_a_person_who_owns_the_task_is_no_party():
    owner = {"type": "Practitioner", "identifier": {"system": "urn:x", "value": "1"}}
    with pytest.raises(Refused):
        read(task(owner=owner), patient())


def test_the_patient_is_the_one_whom_the_task_is_for():
    other = patient("p0") | {"name": [{"family": "Vik-Hansen", "given": ["Torbjørn"]}]}
    _, message = read(task(), other, patient(), party("o1", MUNICIPALITY))
    assert subject_in(message) == PATIENT


@pytest.mark.parametrize("status", NO_ANSWER)
def test_a_task_that_nobody_has_answered_is_refused(status):
    with pytest.raises(Refused) as refusal:
        read(task(status=status))
    assert refusal.value.code == "business-rule"


@pytest.mark.parametrize("element", ["id", "meta", "owner", "for"])
def test_a_task_that_lacks_what_identifies_it_is_refused(element):
    focus = task()
    del focus[element]
    focus_id = focus.setdefault("id", "t1")
    bundle = collection(focus, patient(), party("o1", MUNICIPALITY))
    if element == "id":
        assert focus_id
        del focus["id"]
    with pytest.raises(Refused) as refusal:
        message_of(bundle, zone=UTC, content_type="application/fhir+json")
    assert refusal.value.code == "required"


def test_another_resource_is_not_supported():
    with pytest.raises(Refused) as refusal:
        read(patient())
    assert refusal.value.code == "not-supported"


def test_an_endless_identifier_of_the_owner_is_refused():
    endless = {"identifier": {"system": HER, "value": "9" * 9000}}
    with pytest.raises(Refused, match="longer than 200"):
        message_of(collection(task(owner=endless), patient()), zone=UTC, content_type="-")
