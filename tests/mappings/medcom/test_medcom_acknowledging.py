"""Acknowledgements are read and given as MedCom wants them: D-01, D-06, D-07."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from adapter.errors import Refused
from adapter.fhir import wire
from adapter.mappings import medcom
from adapter.messaging.acknowledgement import Issue, Status, Verdict
from tests.mappings.medcom.compare import differences
from tests.mappings.medcom.samples import (
    ACKNOWLEDGEMENTS,
    NOTIFICATIONS,
    OFFICIAL,
    OFFICIAL_ACKNOWLEDGEMENTS,
    OFFICIAL_NOTIFICATIONS,
    bundle,
    envelope,
    fixture,
    named,
    only,
    read,
    resources,
)

NOW = datetime(2026, 3, 2, 8, 25, tzinfo=UTC)
RECEIPT = "6f0a7c1e-0d52-4a8b-9f35-2b7d1c9e4a60"


def verdict(status: Status, **other: Any) -> Verdict:
    return Verdict(**({"status": status, "at": NOW, "id": RECEIPT} | other))


def given(content: bytes, status: Status, **other: Any) -> dict[str, Any]:
    made = medcom.acknowledge(envelope(content), verdict(status, **other))
    assert made is not None
    return wire.parse(made)


# --- read -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["json", "xml"])
@pytest.mark.parametrize(
    ("name", "status", "issues"),
    [
        ("accepted", Status.ACCEPTED, ()),
        (
            "not-now",
            Status.NOT_NOW,
            (Issue(code="MSG_Mailbox_Out_Of_Operation", text="The mailbox is temporary out of operation"),),
        ),
        (
            "refused",
            Status.REFUSED,
            (Issue(code="MSG_VALUESET_VALUE_UNKNOWN", text="Encounter.class.code is none of the value set"),),
        ),
    ],
)
def test_it_says_what_has_become_of_which_message(
    name: str, status: Status, issues: tuple[Issue, ...], form: str
) -> None:
    said = read(fixture(f"acknowledged/{name}", form)).acknowledgement
    assert said is not None
    assert (said.status, said.issues) == (status, issues)
    assert said.original_id == envelope(fixture("home-after-a-fall/admitted")).message_id
    assert said.at == datetime.fromisoformat("2026-03-02T09:21+01:00")
    assert said.giver.token == "https://www.gs1.org/gln|5799990000218"


OFFICIALLY = {"a8c041b8": Status.ACCEPTED, "bc9535ef": Status.REFUSED, "c9c2b2f6": Status.NOT_NOW}


@pytest.mark.parametrize("path", OFFICIAL_ACKNOWLEDGEMENTS, ids=named)
def test_an_official_acknowledgement_says_its_word(path: Any) -> None:
    said = read(path.read_bytes()).acknowledgement
    assert said is not None and said.status is OFFICIALLY[path.name[7:15]]


def test_one_without_response_is_refused_and_not_answered() -> None:
    made = bundle("acknowledged/accepted")
    del only(made, "MessageHeader")["response"]
    reading = read(orjson.dumps(made))
    assert isinstance(reading.problem, Refused)
    assert medcom.acknowledge(reading.envelope, verdict(Status.REFUSED)) is None


@pytest.mark.parametrize("path", [*ACKNOWLEDGEMENTS, *OFFICIAL_ACKNOWLEDGEMENTS], ids=named)
@pytest.mark.parametrize("status", [Status.ACCEPTED, Status.REFUSED])
def test_an_acknowledgement_is_never_acknowledged(path: Any, status: Status) -> None:
    assert medcom.acknowledge(envelope(path.read_bytes()), verdict(status)) is None


# --- given ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [Status.ACCEPTED, Status.NOT_NOW, Status.REFUSED])
def test_each_of_the_three_words_is_read_back(status: Status) -> None:
    said = read(wire.to_json(given(fixture("home-after-a-fall/admitted"), status))).acknowledgement
    assert said is not None and said.status is status


@pytest.mark.parametrize("path", [*NOTIFICATIONS, *OFFICIAL_NOTIFICATIONS], ids=named)
def test_every_message_can_be_answered_in_its_own_format(path: Any) -> None:
    content = path.read_bytes()
    made = medcom.acknowledge(envelope(content), verdict(Status.REFUSED))
    assert made is not None and wire.media_type(made) == wire.media_type(content)
    said = read(made).acknowledgement
    assert said is not None
    assert (said.status, said.at, said.original_id) == (Status.REFUSED, NOW, envelope(content).message_id)
    assert said.giver.identifiers == envelope(content).receivers[0].identifiers


def test_it_has_exactly_two_provenances_the_answered_one_and_its_own() -> None:
    content = fixture("home-after-a-fall/discharged")
    made = given(content, Status.ACCEPTED)
    told, own = resources(made, "Provenance")
    original = f"MessageHeader/{envelope(content).message_id}"
    assert told["target"] == [{"reference": original}]
    assert told["activity"]["coding"][0]["code"] == "discharge-inpatient-home"
    assert told["occurredDateTime"] == "2026-03-11T13:00:02+01:00"
    assert own["target"] == [{"reference": f"MessageHeader/{only(made, 'MessageHeader')['id']}"}]
    assert own["activity"]["coding"][0]["code"] == "acknowledgement"
    assert own["entity"] == [{"role": "revision", "what": {"reference": original}}]
    assert own["occurredDateTime"] == own["recorded"] == made["timestamp"] == NOW.isoformat()


def test_it_goes_back_the_way_that_the_message_came() -> None:
    head = only(given(fixture("home-after-a-fall/admitted"), Status.ACCEPTED), "MessageHeader")
    [to] = head["destination"]
    assert to["endpoint"] == "https://sor2.sum.dsdn.dk/#id=990001000016001"
    assert to["extension"][0]["valueCoding"]["code"] == "primary"
    assert head["source"] == {"endpoint": "https://sor2.sum.dsdn.dk/#id=990002000016002"}


def test_ok_says_no_more() -> None:
    made = given(
        fixture("home-after-a-fall/admitted"),
        Status.ACCEPTED,
        issues=(Issue(code="informational", text="x"),),
    )
    assert not resources(made, "OperationOutcome")
    assert "details" not in only(made, "MessageHeader")["response"]


@pytest.mark.parametrize(
    ("code", "medcoms"),
    [
        ("E21", "MSG_Receiver_Identifier_UNKNOWN"),
        ("code-invalid", "MSG_VALUESET_VALUE_UNKNOWN"),
        ("not-supported", "MSG_RECEIVER_UNABLE_TO_RECEIVE_MSG_TYPE"),
        ("MSG_Element_To_Long", "MSG_Element_To_Long"),
    ],
)
def test_a_refusal_names_medcoms_code_and_says_why(code: str, medcoms: str) -> None:
    made = given(
        fixture("home-after-a-fall/admitted"),
        Status.REFUSED,
        issues=(Issue(code=code, text="for this reason"),),
    )
    [issue] = only(made, "OperationOutcome")["issue"]
    assert issue["details"]["coding"][0]["code"] == medcoms
    assert (issue["details"]["text"], issue["severity"]) == ("for this reason", "error")


def test_a_reason_without_a_code_of_medcoms_is_told_in_words() -> None:
    made = given(
        fixture("home-after-a-fall/admitted"), Status.REFUSED, issues=(Issue(code="duplicate", text="why"),)
    )
    [issue] = only(made, "OperationOutcome")["issue"]
    assert issue == {"severity": "error", "code": "duplicate", "details": {"text": "why"}}


def test_that_it_was_taken_over_has_no_word() -> None:
    assert (
        medcom.acknowledge(envelope(fixture("home-after-a-fall/admitted")), verdict(Status.TAKEN_OVER))
        is None
    )


def test_the_same_verdict_gives_the_same_bytes() -> None:
    outside = envelope(fixture("home-after-a-fall/admitted"))
    assert medcom.acknowledge(outside, verdict(Status.ACCEPTED)) == medcom.acknowledge(
        outside, verdict(Status.ACCEPTED)
    )


def test_a_receiver_that_is_not_in_the_message_answers_by_its_endpoint() -> None:
    made = bundle("home-after-a-fall/admitted")
    receiver = only(made, "MessageHeader")["destination"][0]["receiver"]["reference"].split("/")[1]
    made["entry"] = [item for item in made["entry"] if item["resource"]["id"] != receiver]
    reading = read(orjson.dumps(made))
    assert isinstance(reading.problem, Refused)
    answer = medcom.acknowledge(reading.envelope, verdict(Status.REFUSED))
    assert answer is not None
    said = read(answer).acknowledgement
    assert said is not None and said.giver.token == "urn:oid:1.2.208.176.1.1|990002000016002"


def test_nobody_answers_for_a_message_that_addresses_nobody() -> None:
    made = bundle("home-after-a-fall/admitted")
    del only(made, "MessageHeader")["destination"]
    reading = read(orjson.dumps(made))
    assert medcom.acknowledge(reading.envelope, verdict(Status.REFUSED)) is None


def test_a_message_that_was_refused_is_answered_too() -> None:
    made = bundle("home-after-a-fall/admitted")
    made["entry"] = [i for i in made["entry"] if i["resource"]["resourceType"] != "Provenance"]
    reading = read(orjson.dumps(made))
    answer = medcom.acknowledge(reading.envelope, verdict(Status.REFUSED))
    assert answer is not None
    assert len(resources(wire.parse(answer), "Provenance")) == 2


@pytest.mark.parametrize("path", OFFICIAL_ACKNOWLEDGEMENTS, ids=named)
def test_one_of_ours_has_every_element_of_an_official_one(path: Any) -> None:
    """Ids, times and parties are of another exchange; what is there and what is not must be the same."""
    official = wire.parse(path.read_bytes())
    said = read(path.read_bytes()).acknowledgement
    assert said is not None
    ours = given(fixture("home-after-a-fall/admitted"), said.status, issues=said.issues)
    kinds = [[item["resource"]["resourceType"] for item in made["entry"]] for made in (official, ours)]
    assert sorted(kinds[0]) == sorted(kinds[1])
    by_type = {kind: (resources(official, kind), resources(ours, kind)) for kind in kinds[0]}
    lacking = []
    for theirs, mine in by_type.values():
        for one, other in zip(theirs, mine, strict=True):
            found = differences(
                {"entry": [{"fullUrl": "x", "resource": one}]},
                {"entry": [{"fullUrl": "x", "resource": other}]},
            )
            lacking += [text for text in found if text.endswith((" is missing", " is new"))]
    assert [text for text in lacking if text != "OperationOutcome.issue[0].details.text is new"] == []


def test_there_are_official_examples_wherever_the_samples_are() -> None:
    assert not OFFICIAL or (len(OFFICIAL_NOTIFICATIONS), len(OFFICIAL_ACKNOWLEDGEMENTS)) == (24, 6)
