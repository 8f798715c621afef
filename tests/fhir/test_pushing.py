"""A plan in their words and back in ours: names, references, and whether two say the same."""

from decimal import Decimal

import pytest

from adapter.fhir.pushing import (
    RESOURCE_SYSTEM,
    Placed,
    criterion,
    digest,
    for_them,
    in_order,
    in_our_words,
    offers_transactions,
    search_of_master,
    transaction,
)

BASE = "https://luster.example/r4"
NAME = "Task/6f1c1d2e-0b7a-4c3e-9d55-3f0a5be0c811"
TASK = {
    "resourceType": "Task",
    "id": NAME.partition("/")[2],
    "meta": {"versionId": "3", "lastUpdated": "2014-03-03T10:00:00Z", "profile": ["urn:p"]},
    "identifier": [{"system": "urn:x", "value": "1"}],
    "basedOn": [{"reference": "CarePlan/plan"}],
    "focus": {"reference": "ServiceRequest/help"},
    "for": {"reference": "Patient/P5T7WV6TEFCUSC5FM", "display": "pasienten"},
    "input": [{"type": {"text": "mengd"}, "valueDecimal": Decimal("72.50")}],
}
WAYS = {"ServiceRequest/help": "ServiceRequest/41", "Patient/P5T7WV6TEFCUSC5FM": "Patient/7"}


def test_it_carries_our_name_and_neither_our_id_nor_our_version() -> None:
    made = for_them(TASK, NAME, WAYS)
    assert "id" not in made
    assert made["meta"] == {"profile": ["urn:p"]}
    assert made["identifier"] == [*TASK["identifier"], {"system": RESOURCE_SYSTEM, "value": NAME}]  # type: ignore[misc]


def test_references_lead_to_their_ids_or_say_our_name() -> None:
    made = for_them(TASK, NAME, WAYS)
    assert made["focus"] == {"reference": "ServiceRequest/41"}
    assert made["for"] == {"reference": "Patient/7", "display": "pasienten"}
    assert made["basedOn"] == [{"identifier": {"system": RESOURCE_SYSTEM, "value": "CarePlan/plan"}}]


@pytest.mark.parametrize("kind", ["QuestionnaireResponse", "Provenance"])
def test_where_r4_has_no_list_of_identifiers_our_name_is_a_tag(kind: str) -> None:
    made = for_them({"resourceType": kind, "id": "1"}, f"{kind}/1", {})
    assert "identifier" not in made
    assert made["meta"]["tag"] == [{"system": RESOURCE_SYSTEM, "code": f"{kind}/1"}]
    assert criterion(f"{kind}/1").startswith("_tag=")
    assert criterion(NAME).startswith("identifier=")


@pytest.mark.parametrize("absolute", [False, True])
def test_what_was_put_there_reads_back_as_what_it_was(absolute: bool) -> None:
    theirs = for_them(TASK, NAME, WAYS) | {"id": "99", "text": {"status": "generated", "div": "<div/>"}}
    theirs["meta"] = {"versionId": "8", "lastUpdated": "2014-03-04T10:00:00Z"}
    if absolute:
        theirs["focus"] = {"reference": f"{BASE}/ServiceRequest/41/_history/2"}
    back = {theirs: ours for ours, theirs in WAYS.items()}
    ours = in_our_words(theirs, NAME, back, BASE)
    assert ours["id"] == TASK["id"]
    assert ours["identifier"] == TASK["identifier"]
    assert digest(ours) == digest(TASK)


def test_a_change_is_one_and_an_order_of_members_is_none() -> None:
    assert digest(dict(reversed(TASK.items()))) == digest(TASK)
    assert digest(TASK | {"status": "accepted"}) != digest(TASK)


def test_the_patient_comes_first_and_the_plan_last() -> None:
    names = ["CarePlan/1", "Task/1", "NutritionOrder/1", "Goal/1", "Patient/1", "CareTeam/1", "Condition/1"]
    order = [name.partition("/")[0] for name in in_order(names)]
    assert (order[0], order[-2:]) == ("Patient", ["Task", "CarePlan"])
    assert order.index("Condition") < order.index("Goal")


def test_a_person_is_looked_for_by_a_national_number_and_by_nothing_else() -> None:
    fnr = "urn:oid:2.16.578.1.12.4.1.4.1"
    patient = {"resourceType": "Patient", "identifier": [{"system": "urn:local", "value": "1"}]}
    assert search_of_master(patient) is None
    patient["identifier"] = [*patient["identifier"], {"system": fnr, "value": "21843012660"}]  # type: ignore[misc]
    found = search_of_master(patient)
    assert found is not None
    assert found.endswith("%7C21843012660")


def test_a_transaction_creates_what_is_new_and_updates_what_it_knows() -> None:
    known = Placed(name=NAME, their_id="99", etag='W/"8"')
    new, update = transaction([(TASK, Placed(name=NAME)), (TASK, known)])["entry"]
    assert new["request"] == {"method": "POST", "url": "Task", "ifNoneExist": criterion(NAME)}
    assert update["request"] == {"method": "PUT", "url": "Task/99", "ifMatch": 'W/"8"'}
    assert update["resource"]["id"] == "99"


@pytest.mark.parametrize(
    ("said", "offered"),
    [
        ({"rest": [{"mode": "server", "interaction": [{"code": "transaction"}]}]}, True),
        ({"rest": [{"mode": "server", "interaction": [{"code": "batch"}]}]}, False),
        ({"rest": [{"mode": "server"}]}, False),
        ({}, False),
        ("nothing", False),
    ],
)
def test_transactions_are_offered_in_the_capability_statement(said: object, offered: bool) -> None:
    assert offers_transactions(said) is offered
