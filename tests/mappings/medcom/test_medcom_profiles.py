"""Each rule of MedCom's profiles is broken once in a message that was whole, and named; nothing else is."""

import copy
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.errors import Refused
from adapter.fhir import wire
from adapter.mappings import medcom
from adapter.mappings.medcom.findings import ERROR, WARNING, Broken
from adapter.mappings.medcom.profiles import broken, error_codes, issue_system, refusal, warnings
from adapter.messaging.acknowledgement import Issue, Status, Verdict
from adapter.messaging.register import Register
from adapter.web.words import LANGUAGES, Words

SAMPLES = os.environ.get("DISCHARGE_ADAPTER_SAMPLES")
COPENHAGEN = ZoneInfo("Europe/Copenhagen")
AT = datetime(2026, 2, 20, 11, 30, tzinfo=UTC)
OURS = Path(__file__).parents[3] / "fixtures" / "medcom"
LEAVE = OURS / "home-for-the-weekend" / "01-leave-started.json"
REFUSED = OURS / "home-for-the-weekend" / "02-refused.json"
REPLY = OURS / "medicine-asked-about" / "02-answered.json"
READY = OURS / "ready-and-answered" / "01-ready.json"
REFERRAL = OURS / "without-a-cpr-number" / "01-referral.json"
NOT_5 = "urn:uuid:fc60e762-b13b-4773-865e-67f3907bdc01"
OTHER = "5d0c7f10-0073-4e11-8c33-000000000000"
A_PATIENT = "Patient/7c1d3c56-1111-4c7e-8a51-0c2b7a9d1001"
TERMS = "http://medcomfhir.dk/ig/terminology/CodeSystem/"

Resource = dict[str, Any]
Harm = Callable[[Resource], object]


@cache
def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def bundle(path: Path) -> Resource:
    found: Resource = json.loads(_text(path))
    return found


def one(found: Resource, kind: str, at: int = 0) -> Resource:
    """The resource of that type in a Bundle."""
    every = [e["resource"] for e in found["entry"] if e["resource"]["resourceType"] == kind]
    resource: Resource = every[at]
    return resource


def without(kind: str) -> Harm:
    def harm(found: Resource) -> None:
        found["entry"] = [e for e in found["entry"] if e["resource"]["resourceType"] != kind]

    return harm


def doubled(kind: str) -> Harm:
    def harm(found: Resource) -> None:
        again = copy.deepcopy(next(e for e in found["entry"] if e["resource"]["resourceType"] == kind))
        found["entry"].append(again)

    return harm


def put(kind: str, path: str, value: Any) -> Harm:
    """Set an element of the first resource of that type; None takes it away."""

    def harm(found: Resource) -> None:
        here: Any = one(found, kind) if kind != "Bundle" else found
        *way, last = path.split(".")
        for name in way:
            here = here[int(name)] if name.isdigit() else here[name]
        key = int(last) if last.isdigit() else last
        if value is None:
            del here[key]
        else:
            here[key] = value

    return harm


CC = {"url": "x", "valueCoding": {"system": f"{TERMS}medcom-messaging-destinationUse", "code": "cc"}}
USE = "http://medcomfhir.dk/ig/messaging/StructureDefinition/medcom-messaging-destinationUseExtension"


def _copied(found: Resource) -> None:
    """A second destination, for a copy."""
    destinations = one(found, "MessageHeader")["destination"]
    destinations.append(copy.deepcopy(destinations[0]))
    destinations[1]["extension"] = [CC | {"url": USE}]


def _named_twice(found: Resource) -> None:
    one(found, "PractitionerRole")["code"][0]["coding"] = [{"system": "urn:x", "code": "nurse"}]


def _elsewhere(kind: str) -> Harm:
    """Somebody who belongs to the other organisation."""

    def harm(found: Resource) -> None:
        if kind == "CareTeam":
            one(found, "CareTeam")["managingOrganization"] = [one(found, "MessageHeader")["sender"]]
        else:
            receiver = one(found, "MessageHeader")["destination"][0]["receiver"]
            one(found, "PractitionerRole")["organization"] = receiver

    return harm


def _other(found: Resource) -> None:
    coding = one(found, "Communication")["category"][0]["coding"][0]
    coding["code"] = "other"
    one(found, "Communication").pop("topic", None)


HN, TALK = "medcom-hospitalNotification", "medcom-careCommunication"
HEADER, STAY, SAID = "medcom-messaging-messageHeader", f"{HN}-encounter", f"{TALK}-communication"
RECEIPT = "medcom-messaging-acknowledgementHeader"
UNREAD, VERSION = "MSG_RECEIVER_UNABLE_TO_RECEIVE_MSG_TYPE", "medcom-carecommunication-definition-url"
DEFINITION = (
    "http://medcomfhir.dk/ig/messagedefinitions/MessageDefinition/MedComCareCommunicationMessageDefinition"
)
REQUIRED, UNKNOWN = "MSG_RESOURCE_REQUIRED", "MSG_VALUESET_VALUE_UNKNOWN"

BROKEN: tuple[tuple[Path, Harm, str, str | None], ...] = (
    (LEAVE, without("Provenance"), "medcom-messaging-2", REQUIRED),
    (LEAVE, put("Provenance", "activity.coding.0.code", "start-leave"), f"{HN}-3", UNKNOWN),
    (LEAVE, put("Provenance", "activity.coding.0.code", "new-message"), f"{HN}-3", UNKNOWN),
    (LEAVE, put("Provenance", "activity", None), "medcom-messaging-provenance", REQUIRED),
    (LEAVE, put("Provenance", "occurredDateTime", None), "medcom-messaging-provenance", REQUIRED),
    (LEAVE, put("MessageHeader", "focus.0.reference", A_PATIENT), f"{HN}-1",
     "MSG_NO_MATCH"),
    (LEAVE, put("MessageHeader", "focus", None), f"{HN}-messageHeader", REQUIRED),
    (LEAVE, doubled("Patient"), f"{HN}-2", "MSG_RESOURCE_NOT_ALLOWED"),
    (LEAVE, without("Patient"), f"{HN}-2", REQUIRED),
    (LEAVE, put("Patient", "identifier.0.system", "urn:oid:1.2.208.176.1.6.1.1"), f"{HN}-4",
     "MSG_CodeSystem_VALUE_UNKNOWN"),
    (LEAVE, put("Patient", "identifier.0.value", "4011400000"), "cpr", "MSG_Datatype_Wrong"),
    (LEAVE, put("Patient", "name.0.use", "usual"), "medcom-core-patient", REQUIRED),
    (LEAVE, _copied, f"{HN}-5", "MSG_RESOURCE_NOT_ALLOWED"),
    (LEAVE, put("MessageHeader", "destination.0.extension", None), f"{HN}-5", REQUIRED),
    (LEAVE, put("MessageHeader", "destination.0.extension", None), HEADER, REQUIRED),
    (LEAVE, put("MessageHeader", "destination.0.receiver", None), HEADER,
     "MSG_Receiver_Identifier_MISSING"),
    (LEAVE, put("MessageHeader", "sender.reference", "Organization/nobody"), HEADER,
     "MSG_NO_MATCH"),
    (LEAVE, put("MessageHeader", "eventCoding.code", "bed-message"), HEADER, UNKNOWN),
    (LEAVE, put("MessageHeader", "eventCoding.system", "urn:x"), HEADER,
     "MSG_CodeSystem_VALUE_UNKNOWN"),
    (LEAVE, put("Organization", "identifier.0.system", "urn:x"), "medcom-messaging-organization", REQUIRED),
    (LEAVE, put("Bundle", "timestamp", None), "medcom-messaging-message", REQUIRED),
    (LEAVE, put("Encounter", "extension", None), f"{HN}-6", REQUIRED),
    (LEAVE, put("Encounter", "extension.0.url", "urn:x"), f"{HN}-6", REQUIRED),
    (LEAVE, put("Encounter", "class", None), STAY, REQUIRED),
    (LEAVE, put("Encounter", "class.code", None), STAY, REQUIRED),
    (LEAVE, put("Encounter", "class.code", "AMB"), STAY, UNKNOWN),
    (LEAVE, put("Encounter", "status", "planned"), STAY, UNKNOWN),
    (LEAVE, put("Encounter", "period", None), STAY, REQUIRED),
    (LEAVE, put("Encounter", "episodeOfCare", None), STAY, REQUIRED),
    (LEAVE, put("Encounter", "serviceProvider", None), STAY, REQUIRED),
    (LEAVE, put("Encounter", "diagnosis", [{"condition": {"reference": "Condition/x"}}]), STAY,
     "MSG_RESOURCE_NOT_ALLOWED"),
    (LEAVE, put("Encounter", "episodeOfCare.0.identifier.value", NOT_5),
     "uuidv5", "MSG_ID_INVALID"),
    (REFUSED, without("OperationOutcome"), "medcom-acknowledgement-1", REQUIRED),
    (REFUSED, put("MessageHeader", "response", None), "medcom-acknowledgement-2", REQUIRED),
    (REFUSED, _copied, "medcom-acknowledgement-2", "MSG_RESOURCE_NOT_ALLOWED"),
    (REFUSED, put("MessageHeader", "response.identifier", None), RECEIPT, REQUIRED),
    (REFUSED, put("MessageHeader", "response.code", "no"), RECEIPT, UNKNOWN),
    (REFUSED, put("Provenance", "activity.coding.0.code", "read"), "medcom-messaging-3", UNKNOWN),
    (REPLY, put("MessageHeader", "focus.0.reference", A_PATIENT), f"{TALK}-1",
     "MSG_NO_MATCH"),
    (REPLY, _copied, f"{TALK}-1", "MSG_RESOURCE_NOT_ALLOWED"),
    (REPLY, put("MessageHeader", "definition", None), VERSION,
     UNREAD),
    (REPLY, put("MessageHeader", "definition", f"{DEFINITION}|4.0"),
     VERSION, UNREAD),
    (REPLY, put("MessageHeader", "definition", "urn:x|5.0"), VERSION,
     UNREAD),
    (REPLY, doubled("Patient"), f"{TALK}-2", "MSG_RESOURCE_NOT_ALLOWED"),
    (REPLY, put("Provenance", "activity.coding.0.code", "admit-inpatient"), f"{TALK}-3", UNKNOWN),
    (REPLY, put("Provenance", "entity", None), f"{TALK}-3", REQUIRED),
    (REPLY, put("Practitioner", "name.0.given", None), f"{TALK}-4", REQUIRED),
    (REPLY, put("Communication", "priority", "asap"), f"{TALK}-5", "MSG_RESOURCE_NOT_ALLOWED"),
    (REPLY, _other, f"{TALK}-6", REQUIRED),
    (REPLY, put("Communication", "topic.text", None), f"{TALK}-6", REQUIRED),
    (REPLY, put("PractitionerRole", "code", None), f"{TALK}-7", REQUIRED),
    (REPLY, _named_twice, f"{TALK}-7", REQUIRED),
    (REPLY, put("Practitioner", "name", None), f"{TALK}-8", REQUIRED),
    (READY, put("Encounter", "episodeOfCare", None), f"{TALK}-9", REQUIRED),
    (REFERRAL, _elsewhere("PractitionerRole"), f"{TALK}-11", "MSG_NO_MATCH"),
    (REFERRAL, _elsewhere("CareTeam"), f"{TALK}-12", "MSG_NO_MATCH"),
    (REPLY, put("PractitionerRole", "practitioner", None), f"{TALK}-13", REQUIRED),
    (READY, without("Encounter"), f"{TALK}-15", "MSG_RESOURCE_NOT_ALLOWED"),
    (READY, put("Communication", "encounter", None), f"{TALK}-15", REQUIRED),
    (REPLY, put("Communication", "identifier.0.value", "thread-1"), "medcom-uuidv4", "MSG_ID_INVALID"),
    (REPLY, put("Communication", "payload.0.extension.1.valueIdentifier.value", "1"), "medcom-uuidv4",
     "MSG_ID_INVALID"),
    (REPLY, put("Communication", "identifier", None), SAID, REQUIRED),
    (REPLY, put("Communication", "category", None), SAID, REQUIRED),
    (REPLY, put("Communication", "category.0.coding.0.code", None), SAID, REQUIRED),
    (REPLY, put("Communication", "category.0.coding.0.code", "gossip"), SAID, UNKNOWN),
    (REPLY, put("Communication", "category.0.coding.0.system", "urn:x"), SAID,
     "MSG_CodeSystem_VALUE_UNKNOWN"),
    (REPLY, put("Communication", "status", "completed"), SAID, UNKNOWN),
    (REPLY, put("Communication", "subject", None), SAID, REQUIRED),
    (REPLY, put("Communication", "payload.0.extension.0.url", "urn:x"), SAID, REQUIRED),
    (REPLY, put("Communication", "payload.0.extension.2.url", "urn:x"), SAID, REQUIRED),
    (REPLY, put("Communication", "payload.2.contentAttachment.contentType", "text/html"), SAID,
     UNKNOWN),
    (REPLY, put("Communication", "payload.2.contentAttachment.title", None), SAID, REQUIRED),
    (REFERRAL, put("Communication", "priority", "stat"), SAID, UNKNOWN),
    (REFERRAL, put("CareTeam", "managingOrganization", None), "medcom-core-careteam", REQUIRED),
)  # fmt: skip
"""A whole message, what is done to it, the rule that it then breaks, and the code that goes back."""


def found_in(found: Resource, severity: str) -> list[Broken]:
    return [each for each in broken(found) if each.severity == severity]


@pytest.mark.parametrize("path", sorted(OURS.glob("*/*.json")), ids=lambda path: path.stem)
def test_our_messages_keep_every_rule(path: Path) -> None:
    if path.parent.name in WHOLE:
        assert broken(bundle(path)) == ()


WHOLE = (
    "home-for-the-weekend", "medicine-asked-about", "ready-and-answered", "forwarded-to-the-trainers",
    "without-a-cpr-number",
)  # fmt: skip


@pytest.mark.parametrize(("path", "harm", "name", "code"), BROKEN)
def test_a_broken_rule_is_named_with_its_place_and_a_code(
    path: Path, harm: Harm, name: str, code: str | None
) -> None:
    harmed = bundle(path)
    harm(harmed)
    named = [each for each in broken(harmed) if each.name == name and each.code == code]
    assert named, [str(each) for each in broken(harmed)]
    assert named[0].severity == ERROR
    assert named[0].path.startswith("Bundle")
    refused = refusal(broken(harmed))
    assert refused is not None
    assert name in refused.reason
    assert issue_system(refused.code) is not None


def test_every_invariant_of_the_standard_is_broken_once() -> None:
    numbers = {f"{HN}-{n}" for n in range(1, 7)} | {"medcom-acknowledgement-1", "medcom-acknowledgement-2"}
    numbers |= {f"{TALK}-{n}" for n in range(1, 16)} - {f"{TALK}-10", f"{TALK}-14"}  # which are in no version
    numbers |= {"medcom-messaging-2", "medcom-messaging-3", "uuidv5", "medcom-uuidv4"}
    assert numbers <= {name for _, _, name, _ in BROKEN}


def test_a_refusal_names_a_code_of_medcom_where_one_fits() -> None:
    harmed = bundle(LEAVE)
    put("Encounter", "period", None)(harmed)
    put("Encounter", "class.code", "AMB")(harmed)
    refused = refusal(broken(harmed))
    assert refused is not None
    assert refused.code == "MSG_VALUESET_VALUE_UNKNOWN"
    assert refused.code in error_codes()
    assert "Encounter.period.start is missing" in refused.reason


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "en"])
def test_what_a_message_is_refused_for_is_told_in_the_readers_language(language: str) -> None:
    words = Words(language=language, zone=COPENHAGEN, now=AT, register=Register())
    for path, harm, _, _ in BROKEN:
        harmed = bundle(path)
        harm(harmed)
        refused = refusal(broken(harmed))
        assert refused is not None
        told = words.told(refused.said)
        assert told.unescape() != refused.reason
        assert "<" not in told, told  # no part of it is in another language


@pytest.mark.parametrize(
    ("harm", "kind", "code", "said"),
    (
        (put("Encounter", "class", None), "required", REQUIRED, STAY),
        (put("Encounter", "class.code", "AMB"), "code-invalid", UNKNOWN, STAY),
        (put("Encounter", "extension", None), "required", REQUIRED, f"{HN}-6"),
    ),
)  # fmt: skip
def test_a_negative_acknowledgement_names_the_invariant(harm: Harm, kind: str, code: str, said: str) -> None:
    """D-11: the sender learns what is wrong, by name, and with a code of its value set."""
    harmed = bundle(LEAVE)
    harm(harmed)
    found = medcom.read(json.dumps(harmed).encode(), content_type=None, zone=COPENHAGEN)
    assert isinstance(found.problem, Refused)
    issues = (Issue(code=found.problem.code, text=found.problem.reason),)
    verdict = Verdict(status=Status.REFUSED, at=AT, id="1c1f3f0e-0000-4000-8000-000000000001", issues=issues)
    answer = medcom.acknowledge(found.envelope, verdict)
    assert answer is not None
    assert [each for each in broken(json.loads(answer)) if each.severity == ERROR] == []
    issue = one(json.loads(answer), "OperationOutcome")["issue"][0]
    assert issue["code"] == kind
    assert issue["details"]["coding"][0]["code"] == code
    assert issue["details"]["text"].startswith(f"{said}: ")


def test_a_refusal_tells_no_value_of_the_message() -> None:
    harmed = bundle(LEAVE)
    put("Patient", "identifier.0.value", "10114000001")(harmed)
    put("Encounter", "class.code", "0101909995")(harmed)
    refused = refusal(broken(harmed))
    assert refused is not None
    assert "1011400000" not in refused.reason
    assert "0101909995" not in refused.reason


@pytest.mark.parametrize(
    ("path", "harm", "name"),
    (
        (LEAVE, put("Bundle", "id", "m908i967-9ie3-9023-b9ec-98108695f01d"), "medcom-uuidv4"),
        (LEAVE, put("MessageHeader", "id", "g1affa53-c157-4080-abb0-8e681524f969"), "medcom-uuidv4"),
        (LEAVE, put("Bundle", "timestamp", "2026-02-20T12:01:00+02:00"), "medcom-messaging-message"),
        (
            REFUSED,
            put("MessageHeader", "id", "5d0c7f10-0073-4e11-8c33-000000000000"),
            "medcom-messaging-provenance",
        ),
        (REFUSED, put("MessageHeader", "response.details", None), "medcom-acknowledgement-1"),
        (REFUSED, doubled("Provenance"), "medcom-messaging-acknowledgement"),
        (REPLY, put("PractitionerRole", "organization", None), "medcom-core-practitionerrole"),
    ),
)
def test_what_official_examples_do_is_said_and_taken(path: Path, harm: Harm, name: str) -> None:
    harmed = bundle(path)
    harm(harmed)
    assert refusal(broken(harmed)) is None
    assert [each.name for each in found_in(harmed, WARNING)].count(name) == 1
    assert any(said.startswith(name) for said in warnings(broken(harmed)))


def test_unknown_extra_data_is_no_fault_of_a_care_communication() -> None:
    found = bundle(REPLY)
    one(found, "Communication")["extension"] = [{"url": "urn:of-another-vendor", "valueString": "x"}]
    found["entry"].append(
        {"fullUrl": "https://fjordby.example/fhir/Basic/x", "resource": {"resourceType": "Basic", "id": "x"}}
    )
    assert broken(found) == ()


@settings(max_examples=100, derandomize=True, deadline=None)
@given(st.data())
def test_whatever_json_a_message_is_made_of_it_is_judged(data: st.DataObject) -> None:
    """An element of any message becomes another thing of JSON: the rules say what is wrong."""
    found = bundle(data.draw(st.sampled_from((LEAVE, REFUSED, REPLY, READY, REFERRAL))))
    odd: st.SearchStrategy[Any] = st.sampled_from(
        (None, True, 0, "", "x", [], {}, [[]], [None], [{}], {"reference": 1})
    )
    here: Any = found
    while isinstance(here, (dict, list)) and here:
        key = data.draw(st.sampled_from(sorted(here) if isinstance(here, dict) else range(len(here))))
        if not isinstance(here[key], (dict, list)) or data.draw(st.integers(0, 3)) == 0:
            here[key] = data.draw(odd)
            break
        here = here[key]
    broken(found)


if SAMPLES:
    OFFICIAL = sorted((Path(SAMPLES) / "denmark").glob("*/Bundle-*.*"))

    def test_there_are_official_examples() -> None:
        assert len(OFFICIAL) == 50

    @pytest.mark.parametrize("path", OFFICIAL, ids=lambda path: path.name)
    def test_every_official_example_passes_without_an_error(path: Path) -> None:
        found = wire.parse(path.read_bytes())
        assert found_in(found, ERROR) == []


def test_the_number_of_a_test_person_is_one() -> None:
    found = bundle(LEAVE)
    put("Patient", "identifier.0.value", "6511400000")(found)
    assert "cpr" not in {each.name for each in broken(found)}
