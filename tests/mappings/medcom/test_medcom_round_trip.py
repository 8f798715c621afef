"""What came is given back: every element that carries meaning, through what may leave, in both formats."""

from typing import Any

import pytest

from adapter.discharge.notices import NoticeKind
from adapter.fhir import wire
from adapter.fhir.allowing import shown
from adapter.fhir.notices import event_kind
from adapter.mappings import medcom
from adapter.messaging.envelope import Address
from tests.mappings.medcom.compare import ACCEPTED, differences
from tests.mappings.medcom.samples import (
    NOTIFICATIONS,
    OFFICIAL_NOTIFICATIONS,
    as_addressed,
    envelope,
    fixture,
    named,
    only,
    read,
    resources,
)

NEW = {
    "message_id": "11111111-1111-4111-8111-111111111111",
    "transmission_id": "22222222-2222-4222-8222-222222222222",
}
OTHER = Address(
    identifiers=(
        ("https://www.gs1.org/gln", "5799990000317"),
        ("urn:oid:1.2.208.176.1.1", "990003000016003"),
    ),
    name="Fjordby Kommune, Sygeplejen",
)


def given_back(content: bytes, **other: Any) -> dict[str, Any]:
    reading = read(content)
    assert reading.bundle is not None
    may_leave = shown(
        reading.bundle, event_kind(only(reading.bundle, "MessageHeader")), receiver_kind="municipality"
    )
    assert may_leave.left_out == ()
    addressing = as_addressed(reading.envelope, **other)
    return wire.parse(medcom.write(may_leave.bundle, dialect="medcom", addressing=addressing).content)


@pytest.mark.parametrize("path", [*NOTIFICATIONS, *OFFICIAL_NOTIFICATIONS], ids=named)
def test_it_is_given_back_as_it_came(path: Any) -> None:
    content = path.read_bytes()
    assert differences(wire.parse(content), given_back(content)) == []


def test_what_may_differ_is_named_with_its_reason() -> None:
    assert ACCEPTED == {"text": "generated narrative says what the elements say; it is written anew"}


def test_the_comparison_sees_what_is_lost_changed_or_added() -> None:
    one, other = (wire.parse(fixture("home-after-a-fall/leave-ended")) for _ in range(2))
    del only(other, "Encounter")["extension"]
    only(other, "Patient")["deceasedBoolean"] = True
    only(other, "MessageHeader")["source"]["endpoint"] = "https://sor2.sum.dsdn.dk/#id=1"
    other["entry"].pop()
    found = differences(one, other)
    assert "Encounter.extension is missing" in found and "Patient.deceasedBoolean is new" in found
    assert any(text.startswith("MessageHeader.source.endpoint: ") for text in found)
    assert any(text.endswith(" is missing") and "Provenance" in text for text in found)


@pytest.mark.parametrize("path", NOTIFICATIONS, ids=named)
def test_under_another_id_its_own_provenance_follows(path: Any) -> None:
    content = path.read_bytes()
    made = given_back(content, **NEW)
    targets = [one["target"][0]["reference"] for one in resources(made, "Provenance")]
    assert targets.count(f"MessageHeader/{NEW['message_id']}") == (0 if "odd" in str(path) else 1)
    assert made["id"] == NEW["transmission_id"]
    assert made["entry"][0]["fullUrl"].endswith(NEW["message_id"])
    again = read(wire.to_json(made))
    assert again.problem is None and again.envelope.type == envelope(content).type


def test_to_another_receiver_the_old_one_is_gone() -> None:
    made = given_back(fixture("home-after-a-fall/admitted"), **NEW, receiver=OTHER)
    head = only(made, "MessageHeader")
    assert [d["endpoint"] for d in head["destination"]] == ["https://sor2.sum.dsdn.dk/#id=990003000016003"]
    names = {one["name"] for one in resources(made, "Organization")}
    assert names == {"Klitby Sygehus, Medicinsk Afdeling", "Fjordby Kommune, Sygeplejen"}
    assert read(wire.to_json(made)).envelope.receivers == (OTHER,)


def test_the_history_is_that_which_the_receiver_was_told_last() -> None:
    previous = given_back(fixture("home-after-a-fall/admission-corrected"), **NEW)
    ids = {"message_id": "33333333-3333-4333-8333-333333333333", "transmission_id": "4"}
    made = given_back(fixture("home-after-a-fall/leave-started"), **ids, previous=wire.to_json(previous))
    told = {one["target"][0]["reference"].split("/")[1]: one for one in resources(made, "Provenance")}
    before = {one["target"][0]["reference"].split("/")[1] for one in resources(previous, "Provenance")}
    assert set(told) == {*before, ids["message_id"]}
    own = told[ids["message_id"]]
    assert [e["what"]["reference"] for e in own["entity"]] == [f"MessageHeader/{NEW['message_id']}"]
    assert len({e["fullUrl"] for e in made["entry"]}) == len(made["entry"])
    assert read(wire.to_json(made)).problem is None


def test_every_resource_has_a_narrative_and_a_profile() -> None:
    made = given_back(fixture("acute-and-home-again/admitted"), **NEW, receiver=OTHER)
    assert all(item["resource"].get("text") and item["resource"].get("meta") for item in made["entry"])


def test_nothing_of_ours_is_left_in_it() -> None:
    made = given_back(fixture("home-after-a-fall/discharge-cancelled"))
    assert b"discharge-adapter.example" not in wire.to_json(made)
    assert NoticeKind.DISCHARGED.value not in only(made, "MessageHeader")["eventCoding"]["code"]
