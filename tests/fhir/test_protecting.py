"""Protected identity: how it is marked in the Nordic countries, and what then leaves no house."""

import json
from copy import deepcopy

import pytest

from adapter.discharge.notices import NoticeKind
from adapter.fhir.allowing import allowed, left_out
from adapter.fhir.bundles import of_type
from adapter.fhir.protecting import is_protected, without_protected
from adapter.fhir.shape import check
from adapter.fhir.validation import validate
from tests.fhir.test_allowing import add, message, patient_of

LABELS = [
    ("http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "R"),
    ("http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "V"),
    ("http://hl7.org/fhir/v3/Confidentiality", "R"),
    ("http://hl7.se/fhir/ig/base/CodeSystem/SecurityLabel", "sekretessmarkering"),
    ("http://hl7.se/fhir/ig/base/CodeSystem/SecurityLabel", "skyddadFolkbokforing"),
    ("http://terminology.hl7.org/CodeSystem/v3-ActCode", "DEMO"),
    ("https://hl7.fi/fhir/finnish-base-profiles/CodeSystem/fi-base-security-label-cs", "turvakielto"),
]
DANISH = "http://ehealth.sundhed.dk/fhir/StructureDefinition/ehealth-nameandaddressprotection"


@pytest.mark.parametrize(("system", "code"), LABELS)
def test_a_person_is_protected_by_label(system, code):
    label = {"system": system, "code": code}
    assert is_protected({"resourceType": "Patient", "meta": {"security": [{"code": "N"}, label]}})


def test_a_person_is_protected_by_denmark_s_extension():
    period = {"url": DANISH, "valuePeriod": {"start": "2014-01-01"}}
    assert is_protected({"resourceType": "Patient", "extension": [period]})


@pytest.mark.parametrize(
    "patient",
    [
        {"resourceType": "Patient"},
        {"resourceType": "Patient", "meta": {}},
        {"resourceType": "Patient", "meta": {"security": [{"system": LABELS[0][0], "code": "N"}]}},
        {"resourceType": "Patient", "meta": {"security": [{"system": "urn:other", "code": "R"}]}},
        {"resourceType": "Patient", "meta": {"security": [{"system": LABELS[5][0], "code": "PSY"}]}},
    ],
)
def test_others_are_not(patient):
    assert not is_protected(patient)


SECRET = "Løyndvegen"


def hidden_plan() -> dict:
    """A care plan of a protected person that says everywhere where she is to be found."""
    bundle = message(NoticeKind.CARE_PLAN)
    patient, stay = of_type(bundle, "Patient"), of_type(bundle, "Encounter")
    about = patient_of(bundle)
    where = {"line": [SECRET]}
    phone = {"system": "phone", "value": SECRET}
    patient["meta"] = {"security": [{"system": LABELS[0][0], "code": "V"}]}
    patient |= {
        "address": [where],
        "telecom": [phone],
        "extension": [{"url": "urn:x", "valueString": SECRET}],
    }
    patient["contact"] = [{"name": {"text": SECRET}, "telecom": [phone]}]
    patient["text"] = {
        "status": "generated",
        "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{SECRET}</div>',
    }
    home = add(
        bundle,
        {"resourceType": "Organization", "name": "Bukomplekset", "telecom": [phone], "address": [where]},
    )
    room = add(
        bundle, {"resourceType": "Location", "name": SECRET, "address": where, "managingOrganization": home}
    )
    kin = add(
        bundle,
        {"resourceType": "RelatedPerson", "patient": about, "name": [{"text": SECRET}], "telecom": [phone]},
    )
    stay["hospitalization"] = {
        "destination": room | {"display": SECRET},
        "dischargeDisposition": {"text": SECRET, "coding": [{"code": "home"}]},
    }
    stay["location"] = [{"location": room}]
    add(
        bundle,
        {
            "resourceType": "CareTeam",
            "subject": about,
            "telecom": [phone],
            "participant": [{"member": kin | {"display": SECRET}}, {"member": about}],
        },
    )
    add(
        bundle,
        {
            "resourceType": "Appointment",
            "status": "booked",
            "participant": [{"actor": room, "status": "accepted"}, {"actor": about, "status": "accepted"}],
        },
    )
    add(
        bundle,
        {
            "resourceType": "ServiceRequest",
            "status": "active",
            "intent": "order",
            "subject": about,
            "code": {"text": "Sårstell"},
            "locationReference": [room | {"display": SECRET}],
        },
    )
    of_type(bundle, "CarePlan")["activity"] = [{"reference": {"reference": bundle["entry"][-1]["fullUrl"]}}]
    validate(bundle)
    return bundle


@pytest.mark.parametrize("receiver", ["hospital", "municipality", "open-care", "gp"])
def test_nothing_tells_where_a_protected_person_is_to_be_found(receiver):
    bundle = hidden_plan()
    before = deepcopy(bundle)
    seen = allowed(bundle, NoticeKind.CARE_PLAN, receiver_kind=receiver)
    assert bundle == before
    validate(seen)
    assert SECRET not in json.dumps(seen, ensure_ascii=False)
    team, meeting = of_type(seen, "CareTeam"), of_type(seen, "Appointment")
    assert len(team["participant"]) == len(meeting["participant"]) == 1
    assert of_type(seen, "RelatedPerson") is None  # nothing leads there any more
    assert "Bukomplekset" not in json.dumps(seen)


def test_what_is_to_be_done_for_a_protected_person_stays():
    seen = allowed(hidden_plan(), NoticeKind.CARE_PLAN, receiver_kind="municipality")
    assert of_type(seen, "ServiceRequest")["code"] == {"text": "Sårstell"}
    assert of_type(seen, "Patient")["name"] == of_type(hidden_plan(), "Patient")["name"]
    assert is_protected(of_type(seen, "Patient"))  # whoever reads it must know
    assert of_type(seen, "Encounter")["hospitalization"] == {
        "dischargeDisposition": {"coding": [{"code": "home"}]}
    }


def test_what_was_left_out_says_why():
    said = left_out(hidden_plan(), NoticeKind.CARE_PLAN, receiver_kind="municipality")
    assert {"Patient.address (protected identity)", "RelatedPerson.name (protected identity)"} <= set(said)
    assert not any(SECRET in sentence for sentence in said)


def test_of_one_who_is_not_protected_all_of_it_goes():
    bundle = hidden_plan()
    del of_type(bundle, "Patient")["meta"]
    assert allowed(bundle, NoticeKind.CARE_PLAN, receiver_kind="municipality") is bundle


def test_parties_that_are_not_the_receiving_place_keep_their_telephone():
    bundle = hidden_plan()
    ward = next(i["resource"] for i in bundle["entry"] if i["resource"]["resourceType"] == "Organization")
    ward["telecom"] = [{"system": "phone", "value": "57 00 00 00"}]
    seen = allowed(bundle, NoticeKind.CARE_PLAN, receiver_kind="municipality")
    assert "57 00 00 00" in json.dumps(seen)


def test_a_single_resource_is_freed_of_it_and_stays_valid():
    for item in hidden_plan()["entry"]:
        freed = without_protected(item["resource"])
        check(freed, freed["resourceType"])
        if freed["resourceType"] in ("Patient", "RelatedPerson", "Organization", "Location"):
            assert SECRET not in json.dumps(freed, ensure_ascii=False)


def test_an_appointment_of_places_only_keeps_a_participant():
    """R4: an Appointment has at least one, with an actor or a type (app-1)."""
    alone = {
        "resourceType": "Appointment",
        "status": "booked",
        "participant": [{"actor": {"reference": "Location/x"}, "status": "accepted"}],
    }
    freed = without_protected(alone)
    check(freed, "Appointment")
    assert freed["participant"] == [{"type": [{"text": "withheld"}], "status": "accepted"}]
