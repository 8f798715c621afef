"""What may leave: sharing a patient is not sharing the record (the kinds' lists, protected identity)."""

import json
from copy import deepcopy
from pathlib import Path

import pytest

from adapter.discharge.notices import NoticeKind
from adapter.fhir.allowing import RECEIVERS, allowed, left_out, rule_for, shown_resources
from adapter.fhir.bundles import EXTENSIONS, PERSONNUMMER, extension_url, header, of_type
from adapter.fhir.notices import notice_in
from adapter.fhir.parts import FOCUS
from adapter.fhir.shape import resource_class
from adapter.fhir.validation import validate
from tests.conftest import OSLO

K = NoticeKind
MEDCOM = "http://medcomfhir.dk/ig/hospitalnotification/StructureDefinition"
EXAMPLES = Path(__file__).parents[2] / "fixtures" / "fhir"
LOGISTICS = (
    K.ADMITTED,
    K.PLANNED_DISCHARGE,
    K.READY_FOR_DISCHARGE,
    K.READINESS_WITHDRAWN,
    K.DISCHARGED,
    K.LEAVE_STARTED,
    K.LEAVE_ENDED,
    K.DECEASED,
    K.TRANSFERRED,
    K.LEFT_AGAINST_ADVICE,
)
DIAGNOSIS = "Hoftebrudd S72.0"


def message(kind: NoticeKind) -> dict:
    return json.loads((EXAMPLES / kind.value / "message.json").read_text())


def add(bundle: dict, resource: dict) -> dict:
    """An entry of its own, about the message's patient."""
    made = {"id": f"{len(bundle['entry']):08d}-0000-4000-8000-000000000000"} | resource
    bundle["entry"].append({"fullUrl": f"urn:uuid:{made['id']}", "resource": made})
    return {"reference": f"urn:uuid:{made['id']}"}


def patient_of(bundle: dict) -> dict:
    return {"reference": f"urn:uuid:{of_type(bundle, 'Patient')['id']}"}


def with_health(kind: NoticeKind) -> dict:
    """The published example, with health information wherever a hospital's system might put it."""
    bundle = message(kind)
    about, stay = patient_of(bundle), of_type(bundle, "Encounter")
    doctor = add(bundle, {"resourceType": "Practitioner", "name": [{"family": "Onkolog"}]})
    condition = add(
        bundle,
        {"resourceType": "Condition", "subject": about, "code": {"text": DIAGNOSIS}, "asserter": doctor},
    )
    add(
        bundle,
        {"resourceType": "Observation", "status": "final", "code": {"text": DIAGNOSIS}, "subject": about},
    )
    add(
        bundle,
        {
            "resourceType": "MedicationStatement",
            "status": "active",
            "subject": about,
            "medicationCodeableConcept": {"text": DIAGNOSIS},
        },
    )
    add(
        bundle,
        {
            "resourceType": "Provenance",
            "target": [condition],
            "recorded": bundle["timestamp"],
            "agent": [{"who": about}],
        },
    )
    stay["diagnosis"] = [{"condition": condition}]
    stay["reasonCode"] = [{"text": DIAGNOSIS}]
    stay["reasonReference"] = [condition]
    stay["hospitalization"] = {
        "dietPreference": [{"text": DIAGNOSIS}],
        "dischargeDisposition": {
            "coding": [{"system": "urn:oid:2.16.578.1.12.4.1.1.8408", "code": "1"}],
            "text": DIAGNOSIS,
        },
    }
    stay["contained"] = [
        {"resourceType": "Condition", "id": "c", "subject": about, "code": {"text": DIAGNOSIS}},
        {"resourceType": "Location", "id": "bed", "name": "Rom 4"},
    ]
    stay["location"] = [{"location": {"reference": "#bed"}}]
    stay.setdefault("extension", []).append({"url": "https://example.org/dx", "valueString": DIAGNOSIS})
    stay["text"] = {
        "status": "additional",
        "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><p>{DIAGNOSIS}</p></div>',
    }
    of_type(bundle, "Patient")["extension"] = [{"url": "https://example.org/dx", "valueString": DIAGNOSIS}]
    validate(bundle)
    return bundle


# --- what is right goes untouched -------------------------------------------------------------------------


@pytest.mark.parametrize("receiver", RECEIVERS)
@pytest.mark.parametrize("kind", NoticeKind)
def test_every_published_example_goes_whole_to_everybody(kind, receiver):
    bundle = message(kind)
    assert allowed(bundle, kind, receiver_kind=receiver) is bundle
    assert left_out(bundle, kind, receiver_kind=receiver) == ()


# --- logistics --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("receiver", RECEIVERS)
@pytest.mark.parametrize("kind", LOGISTICS)
def test_no_health_information_goes_with_what_happens_to_the_stay(kind, receiver):
    bundle = with_health(kind)
    before = deepcopy(bundle)
    seen = allowed(bundle, kind, receiver_kind=receiver)
    assert bundle == before
    validate(seen)  # it is still a message, and no reference leads nowhere
    text = json.dumps(seen)
    assert DIAGNOSIS not in text
    kinds = {item["resource"]["resourceType"] for item in seen["entry"]}
    assert not kinds & {"Condition", "Observation", "MedicationStatement", "Provenance"}
    assert "Onkolog" not in text  # whom only the diagnosis led to
    stay = of_type(seen, "Encounter")
    assert not stay.keys() & {"diagnosis", "reasonCode", "reasonReference", "text"}
    assert [one["id"] for one in stay["contained"]] == ["bed"]


@pytest.mark.parametrize("kind", LOGISTICS)
def test_the_notice_says_the_same_as_before_but_for_its_words(kind):
    from dataclasses import replace

    bundle = with_health(kind)
    seen = allowed(bundle, kind, receiver_kind="municipality")
    assert notice_in(seen, zone=OSLO) == replace(notice_in(bundle, zone=OSLO), text=None)


def test_what_was_left_out_is_said_by_type_and_place_and_never_by_value():
    said = left_out(with_health(K.READY_FOR_DISCHARGE), K.READY_FOR_DISCHARGE, receiver_kind="municipality")
    assert {
        "Condition",
        "Observation",
        "MedicationStatement",
        "Encounter.diagnosis",
        "Encounter.reasonCode",
        "Encounter.reasonReference",
        "Encounter.text",
        "part of Encounter.hospitalization",
        "part of Encounter.contained",
        "part of Encounter.extension",
        "Patient.extension",
    } <= set(said)
    assert not any("S72" in sentence or "example.org" in sentence for sentence in said)


def test_a_follow_up_appointment_goes_by_its_day_without_what_it_is_for():
    bundle = message(K.DISCHARGED)
    add(
        bundle,
        {
            "resourceType": "ServiceRequest",
            "status": "active",
            "intent": "plan",
            "subject": patient_of(bundle),
            "occurrenceDateTime": "2014-11-20",
            "code": {"text": "Cellegift"},
            "reasonCode": [{"text": DIAGNOSIS}],
            "note": [{"text": DIAGNOSIS}],
        },
    )
    seen = allowed(bundle, K.DISCHARGED, receiver_kind="municipality")
    order = of_type(seen, "ServiceRequest")
    assert order.keys() == {"resourceType", "id", "status", "intent", "subject", "occurrenceDateTime"}
    assert notice_in(seen, zone=OSLO).follow_up == notice_in(bundle, zone=OSLO).follow_up


def test_a_message_whose_focus_may_not_go_is_about_the_stay():
    bundle = with_health(K.READY_FOR_DISCHARGE)
    condition = next(i for i in bundle["entry"] if i["resource"]["resourceType"] == "Condition")
    header(bundle)["focus"] = [{"reference": condition["fullUrl"]}]
    seen = allowed(bundle, K.READY_FOR_DISCHARGE, receiver_kind="municipality")
    validate(seen)
    assert header(seen)["focus"][0]["reference"].endswith(of_type(seen, "Encounter")["id"])


def test_what_national_profiles_add_to_a_party_is_no_reason_to_write_a_message_anew():
    bundle = message(K.READY_FOR_DISCHARGE)
    of_type(bundle, "Organization")["extension"] = [
        {"url": "http://hl7.dk/fhir/core/StructureDefinition/municipalityCodes", "valueString": "x"}
    ]
    assert allowed(bundle, K.READY_FOR_DISCHARGE, receiver_kind="municipality") is bundle


def test_a_gp_is_not_told_that_the_stay_is_psychiatric():
    bundle = message(K.READY_FOR_DISCHARGE)
    of_type(bundle, "Encounter")["extension"].append(
        {"url": extension_url("psychiatric"), "valueBoolean": True}
    )
    to = {r: notice_in(allowed(bundle, K.READY_FOR_DISCHARGE, receiver_kind=r), zone=OSLO) for r in RECEIVERS}
    assert [r for r in RECEIVERS if not to[r].psychiatric] == ["gp"]


# --- Sweden's four contents -------------------------------------------------------------------------------


def swedish(kind: NoticeKind = K.ADMITTED) -> dict:
    bundle = message(kind)
    patient, stay = of_type(bundle, "Patient"), of_type(bundle, "Encounter")
    patient["identifier"] = [{"system": PERSONNUMMER, "value": "195201012384"}]
    patient["address"] = [{"line": ["Storgatan 1"], "postalCode": "90325", "city": "Umeå"}]
    patient["telecom"] = [{"system": "phone", "value": "0701740605"}]
    stay["priority"] = {"coding": [{"code": "EM"}]}
    stay["extension"] = [
        {"url": extension_url("planned-discharge"), "valueDate": "2014-11-10"},
        {"url": extension_url("sip-needed"), "valueBoolean": True},
    ]
    return bundle


def test_the_swedish_admission_notice_has_four_contents():
    """Lag 2017:612 2 kap. 2 §: name, personnummer, registered address, expected day of discharge."""
    seen = allowed(swedish(), K.ADMITTED, receiver_kind="municipality")
    validate(seen)
    patient, stay = of_type(seen, "Patient"), of_type(seen, "Encounter")
    assert patient.keys() == {"resourceType", "id", "identifier", "name", "address"}
    assert [one["url"] for one in stay["extension"]] == [extension_url("planned-discharge")]
    assert "priority" not in stay
    told = notice_in(seen, zone=OSLO)
    assert (told.planned_discharge.isoformat(), told.sip_needed) == ("2014-11-10", False)
    assert told.occurred == notice_in(swedish(), zone=OSLO).occurred


def test_other_notices_of_sweden_keep_what_logistics_may_carry():
    seen = allowed(swedish(K.READY_FOR_DISCHARGE), K.READY_FOR_DISCHARGE, receiver_kind="municipality")
    assert notice_in(seen, zone=OSLO).sip_needed
    assert "telecom" in of_type(seen, "Patient")


def test_a_protected_person_s_address_is_in_no_admission_notice():
    bundle = swedish()
    of_type(bundle, "Patient")["meta"] = {
        "security": [
            {"system": "http://hl7.se/fhir/ig/base/CodeSystem/SecurityLabel", "code": "sekretessmarkering"}
        ]
    }
    seen = allowed(bundle, K.ADMITTED, receiver_kind="municipality")
    validate(seen)
    assert "Storgatan" not in json.dumps(seen)
    assert "Patient.address (protected identity)" in left_out(
        bundle, K.ADMITTED, receiver_kind="municipality"
    )


# --- words and records ------------------------------------------------------------------------------------


def test_the_words_of_a_notice_about_the_process_go_and_a_record_does_not():
    bundle = with_health(K.OBJECTION)
    focus = of_type(bundle, "Communication")
    focus["text"] = {
        "status": "additional",
        "div": '<div xmlns="http://www.w3.org/1999/xhtml"><p>Vi er ikkje samde.</p></div>',
    }
    focus["note"] = [{"text": DIAGNOSIS}]
    seen = allowed(bundle, K.OBJECTION, receiver_kind="hospital")
    validate(seen)
    assert DIAGNOSIS not in json.dumps(seen)
    assert notice_in(seen, zone=OSLO).text == "Vi er ikkje samde."


@pytest.mark.parametrize("kind", [K.DISCHARGE_REPORT, K.CARE_PLAN, K.CARE_NEEDS, K.REPORT_OF_ADMISSION])
def test_a_report_and_a_plan_carry_the_record(kind):
    bundle = with_health(kind)
    assert allowed(bundle, kind, receiver_kind="municipality") is bundle


@pytest.mark.parametrize("kind", NoticeKind)
def test_bills_and_genes_go_nowhere(kind):
    bundle = message(kind)
    add(
        bundle,
        {
            "resourceType": "Coverage",
            "status": "active",
            "beneficiary": patient_of(bundle),
            "payor": [patient_of(bundle)],
        },
    )
    seen = allowed(bundle, kind, receiver_kind="municipality")
    assert of_type(seen, "Coverage") is None
    assert left_out(bundle, kind, receiver_kind="municipality") == ("Coverage",)


def test_nothing_of_a_plan_goes_with_a_call_to_sip():
    """Consent comes first (lag 2017:612 4 kap. 2 §)."""
    bundle = message(K.SIP_CALL)
    about = patient_of(bundle)
    goal = add(
        bundle,
        {
            "resourceType": "Goal",
            "lifecycleStatus": "active",
            "description": {"text": DIAGNOSIS},
            "subject": about,
        },
    )
    plan = add(
        bundle,
        {"resourceType": "CarePlan", "status": "active", "intent": "plan", "subject": about, "goal": [goal]},
    )
    of_type(bundle, "Appointment")["supportingInformation"] = [plan]
    seen = allowed(bundle, K.SIP_CALL, receiver_kind="municipality")
    validate(seen)
    assert of_type(seen, "CarePlan") is None and of_type(seen, "Goal") is None
    assert "supportingInformation" not in of_type(seen, "Appointment")


# --- resources without a message --------------------------------------------------------------------------


def test_resources_that_are_read_by_themselves_are_held_to_the_same_list():
    bundle = with_health(K.READY_FOR_DISCHARGE)
    alone = [item["resource"] for item in bundle["entry"][1:]]
    seen, said = shown_resources(alone, K.READY_FOR_DISCHARGE, receiver_kind="municipality")
    assert DIAGNOSIS not in json.dumps(seen)
    assert {"Condition", "Encounter.diagnosis"} <= set(said)
    assert {one["resourceType"] for one in seen} >= {"Patient", "Encounter", "Organization"}


def test_their_own_words_are_those_of_the_type_that_the_notice_is_about():
    bundle = message(K.ANSWER)
    bundle["entry"].append(
        {"resource": {"resourceType": "Goal", "text": {"status": "generated", "div": "x"}}}
    )
    alone = [item["resource"] for item in bundle["entry"][1:]]
    seen, said = shown_resources(alone, K.ANSWER, receiver_kind="hospital")
    assert said == ("Goal.text",)
    assert "text" in next(one for one in seen if one["resourceType"] == "Task")


@pytest.mark.parametrize("kind", NoticeKind)
def test_of_nothing_nothing_goes(kind):
    assert shown_resources([], kind, receiver_kind="gp") == ([], ())
    bill = {"resourceType": "Coverage", "id": "x"}
    assert shown_resources([bill], kind, receiver_kind="gp") == ([], ("Coverage",))


# --- the lists themselves ---------------------------------------------------------------------------------


@pytest.mark.parametrize("receiver", RECEIVERS)
@pytest.mark.parametrize("kind", NoticeKind)
def test_every_kind_has_a_list_of_what_r4_has_with_its_focus_in_it(kind, receiver):
    for swedish_ in (False, True):
        rule = rule_for(kind, receiver, swedish=swedish_)
        assert FOCUS[kind] in rule.types
        assert rule.narrative in ("none", "focus", "all")
        for name in rule.types:
            resource_class(name, name)
        for name, tree in rule.elements.items():
            from adapter.fhir.shape import elements

            assert tree.keys() <= elements(resource_class(name, name)).keys(), name


def test_the_page_tells_of_every_kind_in_the_row_of_its_list():
    page = (Path(__file__).parents[2] / "docs" / "what-may-leave.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    for kind in NoticeKind:
        (row,) = [r for r in rows if f"`{kind.value}`" in r.split("|")[1] and "personnummer" not in r]
        said = {"none": "none", "focus": "its own", "all": "all"}[rule_for(kind, "municipality").narrative]
        assert row.split("|")[3].strip() == said


def test_every_extension_of_the_stay_is_decided_upon():
    of_stay = {extension_url(name) for name, (_, where) in EXTENSIONS.items() if where == "Encounter"}
    of_medcom = {f"{MEDCOM}/medcom-hospitalnotifiation-leave-period-extension"}
    assert rule_for(K.READY_FOR_DISCHARGE, "municipality").extensions == of_stay | of_medcom


def test_the_period_of_a_leave_goes_and_no_other_extension_of_medcoms() -> None:
    told = [
        {"url": f"{MEDCOM}/{name}", "valuePeriod": {"start": "2026-03-06T15:00:00+01:00"}}
        for name in ("medcom-hospitalnotifiation-leave-period-extension", "medcom-another-extension")
    ]
    (kept,), _ = shown_resources(
        [{"resourceType": "Encounter", "extension": told}], K.LEAVE_STARTED, receiver_kind="municipality"
    )
    assert kept["extension"] == told[:1]


@pytest.mark.parametrize(
    "system",
    [
        "http://electronichealth.se/identifier/personnummer",
        "http://electronichealth.se/identifier/samordningsnummer",
        "urn:oid:1.2.752.129.2.1.3.1",
        "urn:oid:1.2.752.129.2.1.3.3",
    ],
)
def test_whoever_is_known_in_sweden_is_told_of_by_four_contents(system: str) -> None:
    """Lag 2017:612 2 kap. 2 §, for who has a samordningsnummer as for who has a personnummer."""
    bundle = message(NoticeKind.ADMITTED)
    patient = next(i["resource"] for i in bundle["entry"] if i["resource"]["resourceType"] == "Patient")
    patient["identifier"] = [{"system": system, "value": "197001029999"}]
    patient["telecom"] = [{"system": "phone", "value": "0950000000"}]
    told = allowed(bundle, NoticeKind.ADMITTED, receiver_kind="municipality")
    seen = next(i["resource"] for i in told["entry"] if i["resource"]["resourceType"] == "Patient")
    assert set(seen) <= {"resourceType", "id", "identifier", "name", "address"}
