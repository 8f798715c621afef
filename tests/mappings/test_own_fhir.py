"""Our own FHIR messages as a dialect: read, answered, written on to the next, and never beyond Refused."""

import os
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapter.discharge.notices import NoticeKind
from adapter.errors import CannotWrite, Refused
from adapter.fhir import wire
from adapter.fhir.bundles import header, of_type, resources
from adapter.fhir.notices import notice_in
from adapter.fhir.publishing import HOSPITAL, MUNICIPALITY, example, example_notice, example_receipt
from adapter.fhir.validation import validate
from adapter.mappings import Addressing, Head, medcom, own_fhir
from adapter.mappings.known import recognise
from adapter.messaging.acknowledgement import Issue, Status, Verdict
from adapter.messaging.envelope import HER, Address

EXAMPLES = Path(__file__).parents[2] / "fixtures" / "fhir"
AT = datetime(2014, 11, 6, 9, 40, tzinfo=UTC)
LUSTER = Address(identifiers=((HER, "8143553"),), name="Luster kommune")


def read(content):
    if isinstance(content, dict):
        content = orjson.dumps(content)
    return own_fhir.read(content, content_type=None, zone=UTC)


def message(kind=NoticeKind.READY_FOR_DISCHARGE):
    return deepcopy(example(kind))


def verdict(status=Status.ACCEPTED, **more):
    return Verdict(status=status, at=AT, id="0f9a1c4e-2c7b-4a57-9d0e-5b6f3f1f0a11", **more)


def addressing(sender=HOSPITAL, receiver=LUSTER, **more):
    return Addressing(
        message_id="11111111-1111-4111-8111-111111111111",
        transmission_id="22222222-2222-4222-8222-222222222222",
        sender=sender,
        receiver=receiver,
        **more,
    )


# --- recognising and reading ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["message.json", "message.xml"])
@pytest.mark.parametrize("kind", NoticeKind)
def test_every_published_example_reads_into_its_notice(kind, name):
    content = (EXAMPLES / kind.value / name).read_bytes()
    assert own_fhir.recognises(Head(content=content))
    reading = read(content)
    assert reading.problem is None
    assert notice_in(reading.bundle, zone=UTC) == example_notice(kind)
    assert reading.envelope.type == kind.value


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"MSH|^~\\&|",
        b'{"resourceType":"Patient"}',
        b"<MsgHead xmlns='http://www.kith.no/xmlstds/msghead/2006-05-24'/>",
        b"<Bundle xmlns='urn:other'/>",
        b"[]",
    ],
)
def test_other_content_is_not_recognised(content):
    assert not own_fhir.recognises(Head(content=content))


@pytest.mark.parametrize(
    "content",
    [
        b'{"resourceType" : "Bundle",',
        b'\xef\xbb\xbf{"type":"message","resourceType":"Bundle"}',
        b'<?xml version="1.0"?><f:Bundle xmlns:f="http://hl7.org/fhir">',
        b'<!DOCTYPE x><Bundle xmlns="http://hl7.org/fhir"/>',
    ],
)
def test_bad_bundles_are_recognised_so_that_they_are_refused_here(content):
    assert own_fhir.recognises(Head(content=content))
    with pytest.raises(Refused):
        read(content)


def test_the_envelope_says_who_to_whom_and_when():
    bundle = message()
    envelope = read(bundle).envelope
    assert (envelope.sender, envelope.receivers) == (HOSPITAL, (MUNICIPALITY,))
    assert envelope.message_id == header(bundle)["id"]
    assert envelope.transmission_id == bundle["id"]
    assert envelope.sent_at.isoformat() == bundle["timestamp"]
    assert (envelope.dialect, envelope.content_type) == ("fhir", "application/fhir+json")


def test_an_answer_refers_to_what_it_answers():
    assert read(message(NoticeKind.ANSWER)).envelope.refers_to == example_notice(NoticeKind.ANSWER).refers_to


def test_bad_content_in_a_legible_envelope_can_be_answered():
    bundle = message()
    of_type(bundle, "Patient")["active"] = "true"
    reading = read(bundle)
    assert isinstance(reading.problem, Refused)
    assert reading.bundle is None
    assert own_fhir.acknowledge(reading.envelope, verdict(Status.REFUSED)) is not None


def test_an_illegible_envelope_is_refused():
    bundle = message()
    del header(bundle)["sender"]
    with pytest.raises(Refused):
        read(bundle)


def test_a_foreign_event_is_answered_as_not_supported():
    bundle = message()
    header(bundle)["eventCoding"]["system"] = "http://medcomfhir.example/events"
    reading = read(bundle)
    assert reading.problem.code == "not-supported"
    assert reading.envelope.type == own_fhir.FOREIGN_EVENT
    assert own_fhir.acknowledge(reading.envelope, verdict(Status.REFUSED)) is not None


def test_a_foreign_receipt_is_refused_and_never_answered():
    bundle = deepcopy(example_receipt())
    header(bundle)["eventCoding"]["system"] = "http://medcomfhir.example/events"
    reading = read(bundle)
    assert reading.problem.code == "not-supported"
    assert own_fhir.acknowledge(reading.envelope, verdict(Status.REFUSED)) is None


@pytest.mark.parametrize("format_", [wire.to_json, wire.to_xml])
def test_capitals_make_no_second_message_and_no_second_receipt(format_):
    bundle = message(NoticeKind.ANSWER)
    told = read(format_(bundle))
    small, capital = header(bundle)["id"], header(bundle)["id"].upper()
    earlier = told.envelope.refers_to
    content = wire.to_json(bundle).decode().replace(small, capital).replace(earlier, earlier.upper())
    again = read(content.encode())
    assert again.envelope.message_id == told.envelope.message_id == small != capital
    assert again.envelope.refers_to == earlier
    found = notice_in(again.bundle, zone=UTC)
    assert (found.message_id, found.refers_to) == (small, earlier)
    receipt = own_fhir.acknowledge(again.envelope, verdict())
    assert capital.encode() in receipt  # for its sender, who may compare letters
    assert read(receipt).acknowledgement.original_id == small
    assert read(receipt).envelope.refers_to == small


def test_an_endless_reference_is_refused_and_in_no_envelope():
    bundle = message(NoticeKind.ANSWER)
    earlier = read(bundle).envelope.refers_to
    reading = read(orjson.dumps(bundle).replace(earlier.encode(), b"9" * 9000))
    assert reading.problem.code == "value"
    assert reading.envelope.refers_to is None


@pytest.mark.parametrize("number", ["72.50", "0.1234567890123456789"])
def test_a_measurement_is_written_on_as_it_was_written(number):
    bundle = message()
    observation = {"resourceType": "Observation", "id": "weight", "status": "final", "code": {"text": "x"}}
    observation["valueQuantity"] = {"value": 5}
    bundle["entry"].append({"fullUrl": "urn:uuid:weight", "resource": observation})
    told = wire.to_json(bundle).replace(b'"value":5}', b'"value":%s}' % number.encode())
    written = own_fhir.write(read(told).bundle, dialect="fhir", addressing=addressing())
    assert b'"value":%s}' % number.encode() in written.content


# --- receipts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("format_", [wire.to_json, wire.to_xml])
def test_our_receipt_reads_back_at_the_other_side(status, format_):
    envelope = read(format_(message())).envelope
    receipt = own_fhir.acknowledge(envelope, verdict(status, issues=(Issue(code="E10", text="Nei"),)))
    reading = read(receipt)
    assert reading.envelope.content_type == envelope.content_type
    found = reading.acknowledgement
    assert (found.original_id, found.status, found.at) == (envelope.message_id, status, AT)
    assert found.giver == MUNICIPALITY
    assert reading.envelope.receivers == (HOSPITAL,)
    assert Issue(code="E10", text="Nei") in found.issues


def test_a_receipt_is_never_answered():
    reading = read(example_receipt())
    assert reading.acknowledgement.status is Status.ACCEPTED
    assert own_fhir.acknowledge(reading.envelope, verdict()) is None


def test_a_receipt_mirrors_the_addresses_as_they_were_written():
    bundle = message()
    for resource in resources(bundle):
        if resource.get("name") == "Lærdal sjukehus":
            resource["identifier"][0] |= {"value": "81.43.548", "use": "official"}
    receipt = orjson.loads(own_fhir.acknowledge(read(bundle).envelope, verdict()))
    identifiers = [r["identifier"] for r in resources(receipt) if r.get("name") == "Lærdal sjukehus"]
    assert identifiers == [[{"system": HER, "value": "81.43.548", "use": "official"}]]


def test_a_receipt_can_be_given_when_only_the_addresses_were_kept():
    envelope = replace(read(message()).envelope, opaque=None)
    assert read(own_fhir.acknowledge(envelope, verdict())).acknowledgement.giver == MUNICIPALITY


def test_the_same_verdict_gives_the_same_bytes():
    envelope = read(message()).envelope
    assert own_fhir.acknowledge(envelope, verdict()) == own_fhir.acknowledge(envelope, verdict())


def test_what_was_polled_is_not_answered():
    task = {
        "resourceType": "Task",
        "id": "t1",
        "meta": {"versionId": "3", "lastUpdated": "2014-11-06T12:00:00Z"},
        "status": "rejected",
        "intent": "order",
        "for": {"reference": "Patient/p1"},
        "owner": {"type": "Organization", "identifier": {"system": HER, "value": "8143549"}},
    }
    patient = deepcopy(of_type(message(), "Patient")) | {"id": "p1"}
    parts = [
        {"fullUrl": f"https://p.example/{r['resourceType']}/{r['id']}", "resource": r}
        for r in (task, patient)
    ]
    reading = read({"resourceType": "Bundle", "type": "collection", "entry": parts})
    assert notice_in(reading.bundle, zone=UTC).kind is NoticeKind.ANSWER
    assert own_fhir.acknowledge(reading.envelope, verdict()) is None


# --- writing on -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", NoticeKind)
def test_a_message_is_addressed_anew_and_says_the_same(kind):
    written = own_fhir.write(message(kind), dialect="fhir", addressing=addressing())
    found = notice_in(read(written.content).bundle, zone=UTC)
    assert written.type == kind.value
    assert found == replace(
        example_notice(kind),
        message_id="11111111-1111-4111-8111-111111111111",
        sender=HOSPITAL.token,
        receivers=(LUSTER.token,),
        refers_to=None,
    )


def test_the_hospital_stays_the_hospital_when_another_passes_it_on():
    written = own_fhir.write(message(), dialect="fhir", addressing=addressing(sender=MUNICIPALITY))
    reading = read(written.content)
    assert reading.envelope.sender == MUNICIPALITY
    assert notice_in(reading.bundle, zone=UTC).hospital == HOSPITAL.token


def test_the_old_receiver_leaves_no_trace():
    written = own_fhir.write(message(), dialect="fhir", addressing=addressing())
    assert b"8143549" not in written.content


def test_the_ward_to_call_is_kept_while_the_sender_stays():
    same = orjson.loads(own_fhir.write(message(), dialect="fhir", addressing=addressing()).content)
    other = orjson.loads(
        own_fhir.write(message(), dialect="fhir", addressing=addressing(sender=MUNICIPALITY)).content
    )
    assert header(same)["source"]["name"] == "Medisinsk avdeling"
    assert header(other)["source"]["name"] == "Lærdal kommune"


def test_references_to_the_header_follow_it():
    bundle = message()
    provenance = {
        "resourceType": "Provenance",
        "target": [{"reference": bundle["entry"][0]["fullUrl"]}],
        "recorded": "2014-11-06T10:32:00+01:00",
        "agent": [{"who": header(bundle)["sender"]}],
    }
    bundle["entry"].append(
        {"fullUrl": "urn:uuid:00000000-0000-4000-8000-000000000009", "resource": provenance}
    )
    validate(bundle)
    written = own_fhir.write(bundle, dialect="fhir", addressing=addressing(refers_to="earlier"))
    reading = read(written.content)
    assert reading.problem is None
    assert reading.envelope.refers_to == "earlier"


def test_a_plan_s_activities_are_addressed_anew_with_it():
    """CarePlan.activity.reference is a Reference within an element of that name."""
    bundle = message(NoticeKind.CARE_PLAN)
    plan = of_type(bundle, "CarePlan")
    task = {
        "resourceType": "Task",
        "id": "t1",
        "status": "requested",
        "intent": "order",
        "for": plan["subject"],
    }
    bundle["entry"].append({"fullUrl": "https://example.org/fhir/Task/t1", "resource": task})
    plan["activity"] = [{"reference": {"reference": "Task/t1"}}]
    written = own_fhir.write(bundle, dialect="fhir", addressing=addressing())
    again = read(written.content)
    assert again.problem is None
    assert of_type(again.bundle, "CarePlan")["activity"] == plan["activity"]


def test_the_same_input_gives_the_same_bytes_and_leaves_it_alone():
    bundle = message()
    before = deepcopy(bundle)
    one = own_fhir.write(bundle, dialect="fhir", addressing=addressing())
    assert one == own_fhir.write(bundle, dialect="fhir", addressing=addressing())
    assert bundle == before


def test_a_repeat_is_the_same_bytes():
    assert own_fhir.repeat(b"content", at=datetime(2014, 3, 3, tzinfo=UTC), number=3) == b"content"


def test_nobody_can_be_written_to_without_an_identifier():
    with pytest.raises(CannotWrite):
        own_fhir.write(message(), dialect="fhir", addressing=addressing(receiver=Address(identifiers=())))
    with pytest.raises(CannotWrite):
        own_fhir.write({"resourceType": "Bundle"}, dialect="fhir", addressing=addressing())


# --- hostile messages -------------------------------------------------------------------------------------


def nodes(value, path=()):
    yield path
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, child in children:
        yield from nodes(child, (*path, key))


PATHS = {kind: list(nodes(example(kind)))[1:] for kind in (NoticeKind.ANSWER, NoticeKind.DECEASED)}
JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8"), max_size=8),
    st.sampled_from(
        [
            "",
            "\x00",
            "2014",
            "2014-11",
            "9999-12-31T23:59:59+14:00",
            "0001-01-01T00:00:00+14:00",
            "Patient/1",
            "#",
        ]
    ),
    st.sampled_from(['{"reference": "x"}', "<div>", "message", "urn:uuid:1", "x" * 70, "true", "Extension"]),
    st.just([]),
    st.just({}),
    st.just([None]),
    st.just([[]]),
    st.just([{}]),
    st.just({"resourceType": "Bundle"}),
    st.just({"resourceType": ["Patient"]}),
    st.just({"reference": {"reference": "x"}}),
    st.just(
        [
            {
                "url": "https://discharge-adapter.example/fhir/StructureDefinition/occurred",
                "valueDateTime": "2014",
            }
        ]
    ),
)


def put(bundle, path, value):
    *way, last = path
    for key in way:
        try:
            bundle = bundle[key]
        except (KeyError, IndexError, TypeError):
            return
    try:
        if value is ...:
            del bundle[last]
        else:
            bundle[last] = deepcopy(value)
    except (KeyError, IndexError, TypeError):
        return


def only_refused_or_read(content):
    """Whatever comes in, a Reading or Refused comes out, and what was taken can be used."""
    try:
        reading = own_fhir.read(content, content_type=None, zone=UTC)
    except Refused as refusal:
        assert "Fjellheim" not in refusal.reason
        return
    own_fhir.acknowledge(reading.envelope, verdict(Status.REFUSED))
    assert reading.envelope.sender.identifiers
    if reading.bundle is not None:
        try:
            notice_in(reading.bundle, zone=UTC)
        except Refused:
            return
        own_fhir.write(reading.bundle, dialect="fhir", addressing=addressing())


def test_xml_that_cannot_be_read_whole_is_refused_by_what_is_wrong_and_answered():
    content = wire.write(message(), wire.XML)
    start, end = content.index(b"<class>"), content.index(b"</class>") + len(b"</class>")
    reading = read(content[:start] + content[end:])
    assert (reading.bundle, str(reading.problem)) == (None, "Encounter.class is required")
    assert reading.envelope == read(content).envelope
    answer = own_fhir.acknowledge(reading.envelope, verdict(Status.REFUSED))
    assert b"fatal-error" in (answer or b"")


def test_xml_whose_sender_cannot_be_read_is_not_answered():
    content = wire.write(message(), wire.XML).replace(b"<Organization>", b"<Organization><no/>")
    with pytest.raises(Refused):
        read(content)


@settings(max_examples=250, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    kind=st.sampled_from(sorted(PATHS)),
    changes=st.lists(
        st.tuples(st.integers(0, 10_000), st.one_of(st.just(...), JUNK)), min_size=1, max_size=3
    ),
)
def test_a_mutilated_message_is_read_or_refused(kind, changes):
    bundle = message(kind)
    for number, value in changes:
        put(bundle, PATHS[kind][number % len(PATHS[kind])], value)
    only_refused_or_read(orjson.dumps(bundle, option=orjson.OPT_NON_STR_KEYS))


XML = (EXAMPLES / "ready-for-discharge" / "message.xml").read_bytes()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, len(XML)), st.integers(0, 200), st.binary(max_size=6))
def test_mutilated_xml_is_read_or_refused(at, dropped, added):
    only_refused_or_read(XML[:at] + added + XML[at + dropped :])


@pytest.mark.parametrize("path", PATHS[NoticeKind.ANSWER], ids=lambda path: ".".join(map(str, path)))
def test_no_single_loss_is_more_than_a_refusal(path):
    bundle = message(NoticeKind.ANSWER)
    put(bundle, path, ...)
    only_refused_or_read(orjson.dumps(bundle))


@pytest.mark.parametrize(
    "content",
    [
        b'{"resourceType":"Bundle","entry":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        b'{"resourceType":"Bundle","type":"message","entry":['
        + b'{"resource":' * 500
        + b"1"
        + b"}" * 500
        + b"]}",
        b'{"resourceType":"Bundle","total":' + b"9" * 5_000 + b"}",
        b'{"resourceType":"Bundle","id":"\\u0000"}',
        b'{"resourceType":"Bundle","id":"\\udfff"}',
        b'{"resourceType":"Bundle"}\x00',
    ],
)
def test_hostile_json_is_refused(content):
    with pytest.raises(Refused):
        read(content)


SAMPLES = os.environ.get("DISCHARGE_ADAPTER_SAMPLES")

if SAMPLES:

    @pytest.mark.parametrize(
        "path", sorted(Path(SAMPLES).glob("denmark/*/Bundle-*.*")), ids=lambda path: path.name
    )
    def test_a_danish_message_is_none_of_our_own(path):
        content = path.read_bytes()
        if recognise(Head(content=content)) is not medcom:
            raise AssertionError("not recognised as MedCom's")
        try:
            problem = own_fhir.read(content, content_type=None, zone=UTC).problem
        except Refused as refusal:
            problem = refusal
        assert isinstance(problem, Refused)
