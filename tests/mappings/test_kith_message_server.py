"""What the message server says is read without trust; what is said to it is complete."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.errors import Refused
from adapter.mappings.kith.message_server import (
    Carried,
    ForReceiver,
    document,
    fault,
    guid,
    origin,
    receivers_in,
    standing,
    statuses,
    told,
    unread,
)
from adapter.mappings.kith.message_server import (
    given as receipt_given,
)
from adapter.messaging.acknowledgement import Status

NAMES = ("receiverHerId", "transportDeliveryState", "appRecStatus", "appRecErrorList", "errorCode", "details",
         "id", "businessDocument", "error", "validationErrors", "requestId", "description")  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
    | st.sampled_from(["Ok", "Rejected", "Acknowledged", "E10"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=15,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(answer=VALUES)
def test_nothing_that_json_can_hold_makes_us_stumble(answer: Any) -> None:
    assert all(one.her_id > 0 for one in (*statuses(answer), *told(answer)))
    said = fault(answer)
    assert said is None or (said.isprintable() and len(said) < 600)
    assert unread(answer, 1) is None or guid(unread(answer, 1).id)  # type: ignore[union-attr]  # it is there
    assert document(answer) != b""


@settings(max_examples=100, deadline=None)
@given(content=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_bytes_make_us_stumble(content: bytes) -> None:
    assert origin(content) is None
    assert receivers_in(content) == ()


def test_a_person_s_number_is_masked_and_a_request_s_is_not() -> None:
    request = "8805ba1c-4ace-4476-94c5-c87f53b697ca"
    said = fault({"error": "21843012660, 218430 12660 og 12", "errorCode": 7, "requestId": request})
    assert said == f"*, * og 12 (error 7, request {request})"
    assert fault({}) is None and fault([]) is None


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("fnr21843012660", "fnr*"),
        ("patient-21843012660", "patient-*"),
        ("_21843012660", "_*"),
        ("21843012660a", "*a"),
        ("21843012660-x", "*-x"),
        ("8805ba1c-4ace-4476-94c5-c87f53b697ca: 21843012660", "8805ba1c-4ace-4476-94c5-c87f53b697ca: *"),
        ("21843012660-8805ba1c-4ace-4476-94c5-c87f53b697ca", "*-8805ba1c-4ace-4476-94c5-c87f53b697ca"),
        ("12345678-1234-1234-1234-123456789012", "12345678-1234-1234-1234-123456789012"),
    ],
)
def test_a_person_s_number_is_masked_whatever_it_is_written_to(said: str, shown: str) -> None:
    assert fault({"error": said}) == shown


def test_of_several_entries_of_one_party_the_worst_counts() -> None:
    def one(her_id: int, carried: Carried, receipt: Status | None = None) -> ForReceiver:
        return ForReceiver(her_id=her_id, carried=carried, receipt=receipt)

    both = (
        one(1, Carried.ACKNOWLEDGED, Status.ACCEPTED),
        one(2, Carried.UNCONFIRMED),
        one(3, Carried.REJECTED),
    )
    assert standing(both, {1, 2}) == one(2, Carried.UNCONFIRMED)
    assert standing(both, {1}) == both[0]
    assert standing(both, {9}) is None
    assert standing(both[:1], {9}) == both[0]  # known there under a number of its own
    refused = (*both[:1], one(2, Carried.ACKNOWLEDGED, Status.REFUSED))
    assert standing(refused, {1, 2}) == one(1, Carried.ACKNOWLEDGED, Status.REFUSED)
    assert standing((), {1}) is None


PARTY = '<HCP><Inst><Name>a</Name><Id>{}</Id><TypeId V="HER"/></Inst></HCP>'
APPREC = (
    '<AppRec xmlns="http://www.kith.no/xmlstds/apprec/2012-02-15">'
    f"<Sender>{PARTY.format('81.435.00')}</Sender><Receiver>{PARTY.format('8143520')}</Receiver>"
    '<Status V="{}"/>{}<OriginalMsgId><Id>{}</Id></OriginalMsgId></AppRec>'
)


@pytest.mark.parametrize(
    ("status", "errors", "made"),
    [
        ("1", "", {"appRecStatus": "Ok", "appRecErrorList": []}),
        (
            "2",
            '<Error V="E21" DN="x" OT="Tenesta er nedlagd"/><Error V="E10"/>',
            {
                "appRecStatus": "Rejected",
                "appRecErrorList": [
                    {"errorCode": "E21", "details": "Tenesta er nedlagd"},
                    {"errorCode": "E10", "details": "Ugyldig meldingsidentifikator"},
                ],
            },
        ),
        (
            "2",
            "",
            {"appRecStatus": "Rejected", "appRecErrorList": [{"errorCode": "X99", "details": "Annen feil"}]},
        ),
        ("3", "", {"appRecStatus": "OkErrorInMessagePart", "appRecErrorList": []}),
    ],
)
def test_an_apprec_becomes_what_the_server_takes(status: str, errors: str, made: dict[str, Any]) -> None:
    found = receipt_given(APPREC.format(status, errors, "{A5E9665E-4982-4521-A50F-4B121FC25094}").encode())
    assert found.content == made
    assert (found.sender, found.receivers) == (8143500, (8143520,))
    assert found.original_id == "a5e9665e-4982-4521-a50f-4b121fc25094"
    assert orjson.loads(orjson.dumps(found.content)) == made


@pytest.mark.parametrize("content", [APPREC.format("9", "", "x"), APPREC.format("1", "", "")])
def test_an_apprec_that_is_not_whole_is_not_given(content: str) -> None:
    with pytest.raises(Refused):
        receipt_given(content.encode())
