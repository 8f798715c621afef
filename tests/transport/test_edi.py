"""The message server's REST interface: what leaves, what comes, what is remembered, what people are told."""

import base64
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from adapter.discharge.notices import NoticeKind
from adapter.errors import StoreError
from adapter.mappings.kith.message_server import unfit
from adapter.messaging.acknowledgement import Issue, Status
from adapter.messaging.register import Side
from adapter.simulator.message_server import Ordered, PretendServer
from adapter.store import tables
from adapter.transport import HEAD
from adapter.transport.edi_mailbox import EdiMailbox
from tests.conftest import StandingClock
from tests.message_servers import (
    CASE_WORK,
    NURSING,
    WARD,
    Exchange,
    at_the_server,
    exchange,
)
from tests.stage import SYNNOVE, receipt
from tests.test_inbox import forbid
from tests.transport.conftest import Notebook

K = NoticeKind
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
FNR = SYNNOVE.identifiers[0][1]


@pytest.fixture
def place(tmp_path: Path, clock: StandingClock) -> Iterator[Exchange]:
    with exchange(tmp_path, clock) as made:
        yield made


def only(found: Any) -> Any:
    (one,) = found
    return one


def alarms(place: Exchange, kind: str) -> list[str]:
    return [row["text"] for row in place.stage.rows(tables.alarm, kind=kind) if row["until"] is None]


def from_aardal(place: Exchange, kind: NoticeKind = K.REPORT_OF_ADMISSION, **more: Any) -> bytes:
    """A message of Årdal's to the hospital's ward."""
    said = {"sender": "aardal", "receivers": ("laerdal-sjukehus",), "hospital": None} | more
    return place.stage.plo(kind, **said)


# --- out --------------------------------------------------------------------------------------------------


def test_a_message_is_posted_as_the_interface_has_it_and_is_not_yet_delivered(place: Exchange) -> None:
    sent = place.send(K.ADMITTED)
    held = only(place.server.holds.values())
    assert (held.business.type, tuple(held.receivers)) == ("LOG_INNLAGT", (NURSING,))
    assert held.business.message_id == sent["message_id"]
    assert held.business.content.startswith(b"<?xml") and b"8143501" in held.business.content
    assert (sent["state"], sent["delivered_at"], sent["accepted_at"]) == ("sent", None, None)
    asked = only(place.server.requests("POST", "/Messages"))
    assert asked.headers["api-version"] == "2"
    assert asked.headers["nhn-source-system"].startswith("discharge-adapter")
    assert asked.headers["content-type"] == "application/json"
    assert asked.headers["authorization"].startswith("DPoP ")


def test_a_lost_answer_is_followed_by_the_same_bytes_under_the_same_id(
    place: Exchange, clock: StandingClock
) -> None:
    place.server.order(Ordered.LOST, "POST", "/Messages")
    first = place.send(K.ADMITTED)
    assert first["state"] == "waiting"
    clock.forward(minutes=1)
    assert place.stage.deliver() == ["sent"]
    one, two = place.server.holds.values()
    assert one.business.content == two.business.content
    assert place.stage.delivery()["state"] == "sent"


@pytest.mark.parametrize(
    ("kind", "state", "words"),
    [
        (Ordered.INVALID, "given-up", ("HTTP 400", "GenDate lies ahead", "error 1000", "request request-")),
        (
            Ordered.FORBIDDEN,
            "given-up",
            ("HTTP 403", "Not authorized for HerId(s): 1234", "request request-"),
        ),
        (Ordered.ERROR, "waiting", ("HTTP 500", "error 0", "request request-")),
        (Ordered.BUSY, "waiting", ("HTTP 503", "request request-")),
        (Ordered.RESET, "waiting", ("POST Messages", "connection")),
    ],
)
def test_each_error_is_told_with_its_code_and_request(
    place: Exchange, kind: Ordered, state: str, words: tuple[str, ...]
) -> None:
    place.server.order(kind, "POST", "/Messages")
    sent = place.send(K.ADMITTED)
    assert sent["state"] == state
    assert [word for word in words if word not in sent["error"]] == []
    assert FNR not in sent["error"] and "Fjellheim" not in sent["error"]
    assert len(alarms(place, "given-up")) == (state == "given-up")


def test_a_number_of_a_person_in_an_error_of_the_server_is_told_to_nobody(place: Exchange) -> None:
    place.server.more = {"error": f"Pasienten {FNR} er ukjent", "validationErrors": [f"{FNR[:6]} {FNR[6:]}"]}
    place.server.order(Ordered.INVALID, "POST", "/Messages")
    with capture_logs() as logs:
        sent = place.send(K.ADMITTED)
    assert "Pasienten * er ukjent; *" in sent["error"]
    assert FNR not in repr(logs) + repr(place.stage.rows(tables.alarm))


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b'<?xml version="1.0" encoding="UTF-8"?>' + b" " * (27 << 20), "35 MB"),
        ('<?xml version="1.0" encoding="ISO-8859-1"?><a>Årdal</a>'.encode("latin-1"), "UTF-8"),
    ],
)
def test_what_the_server_would_not_take_is_known_before_it_is_sent(content: bytes, word: str) -> None:
    assert word in (unfit(content) or "")


def test_nothing_too_large_leaves(place: Exchange, message: Any) -> None:
    edi = place.stage.outbox.transports["edi"]
    endpoint = place.stage.built.register.endpoint("aardal")
    assert endpoint is not None
    large = replace(message, content=b'<?xml version="1.0"?>' + b" " * (27 << 20), party="aardal")
    reply = edi.send(large, endpoint)
    assert (reply.status, reply.taken) == (413, False)
    assert place.server.asked == []


def test_of_several_receivers_each_gets_it_once(tmp_path: Path, clock: StandingClock) -> None:
    def both(server: PretendServer) -> Any:
        known = at_the_server(server)
        register = known.register_
        parties = tuple(
            replace(p, endpoint="aardal", side=Side.THEIRS)
            if p.id in ("leikanger", "laerdal-sjukehus")
            else p
            for p in register.parties
        )
        return known.model_copy(update={"register_": replace(register, parties=parties)})

    with exchange(tmp_path, clock, of=both) as place:
        content = place.stage.plo(K.ADMITTED, receivers=("aardal",)).replace(
            b"<Patient>", COPY.encode() + b"<Patient>"
        )
        done = place.stage.receive(content, channel="http")
        assert done.outcome == "accepted", done.reason
        place.server.parties[8143561] = "aardal"
        place.stage.deliver()
        posted = [tuple(held.receivers) for held in place.server.holds.values()]
        assert sorted(posted) == [(NURSING,), (8143561,)]
        assert len({held.business.content for held in place.server.holds.values()}) == 1


COPY = """<OtherReceiver><RoleReceiver V="COP" DN="Kopimottaker"/><Organisation>
<OrganisationName>Leikanger kommune</OrganisationName><Ident><Id>8143560</Id><TypeId V="HER"/></Ident>
<Organisation><OrganisationName>Sjukepleieteneste</OrganisationName><Ident><Id>8143561</Id>
<TypeId V="HER"/></Ident></Organisation></Organisation></OtherReceiver>"""


# --- in ---------------------------------------------------------------------------------------------------


def test_mail_is_stored_receipted_in_json_and_marked_read(place: Exchange) -> None:
    number = orjson.loads(place.post(from_aardal(place)).body)
    assert place.poll() == 1
    assert place.server.unread(WARD) == []
    assert only(place.stage.rows(tables.message))["outcome"] == "accepted"
    assert place.stage.deliver() == ["sent"]
    asked = only(place.server.requests("POST", "/apprec/"))
    assert asked.path == f"/Messages/{number}/apprec/{WARD}"
    there = place.server.holds[number].receivers[WARD]
    assert (there.receipt, there.errors) == ("Ok", [])
    assert only(place.server.unread(NURSING)).business.of == place.server.holds[number].business.message_id


def test_a_refusal_goes_out_with_its_code_and_our_words(place: Exchange) -> None:
    content = re.sub(rb"<MsgId>[^<]+</MsgId>", b"<MsgId>17</MsgId>", from_aardal(place))
    number = orjson.loads(place.post(content).body)
    assert place.poll() == 1
    assert place.stage.deliver() == ["sent"]
    there = place.server.holds[number].receivers[WARD]
    assert (there.receipt, there.errors[0]["errorCode"]) == ("Rejected", "E10")
    assert "GUID" in there.errors[0]["details"]
    assert place.server.unread(WARD) == []  # it has been read, and refused


def test_a_receipt_is_given_once_even_if_its_answer_was_lost(place: Exchange, clock: StandingClock) -> None:
    place.post(from_aardal(place))
    place.poll()
    place.server.order(Ordered.LOST, "POST", "/apprec/")
    assert place.stage.deliver() == ["retry"]
    clock.forward(minutes=1)
    assert place.stage.deliver() == ["sent"]
    assert len(place.server.requests("POST", "/apprec/")) == 1
    assert len(place.server.unread(NURSING)) == 1


def test_a_receipt_for_what_did_not_come_from_there_is_a_person_s_affair(place: Exchange) -> None:
    done = place.stage.receive(from_aardal(place), channel="directory")
    assert done.outcome == "accepted"
    assert place.stage.deliver() == ["gave-up"]
    assert "did not come from the message server" in only(alarms(place, "given-up"))


def test_nothing_is_given_while_it_cannot_be_known_whether_it_was(
    place: Exchange, clock: StandingClock
) -> None:
    place.post(from_aardal(place))
    place.poll()
    place.server.order(Ordered.ERROR, "GET", "/apprec")
    assert place.stage.deliver() == ["retry"]
    assert place.server.requests("POST", "/apprec/") == []
    clock.forward(minutes=1)
    assert place.stage.deliver() == ["sent"]


@pytest.mark.parametrize("written", ["{%s}", "%s "])
def test_a_receipt_finds_its_message_however_the_id_is_written(place: Exchange, written: str) -> None:
    content = from_aardal(place)
    number = re.search(rb"<MsgId>(.*?)</MsgId>", content)
    assert number is not None
    place.post(content.replace(number[1], (written % number[1].decode().upper()).encode()))
    assert place.poll() == 1
    assert place.stage.deliver() == ["sent"]
    assert len(place.server.unread(NURSING)) == 1


@pytest.mark.parametrize(
    ("status", "state"),
    [("Ok", "acknowledged"), ("OkErrorInMessagePart", "acknowledged"), ("Rejected", "refused")],
)
def test_their_receipt_reaches_our_delivery(place: Exchange, status: str, state: str) -> None:
    sent = place.send(K.ADMITTED)
    number = only(place.server.holds)
    errors = [{"errorCode": "E35", "details": "Ukjend hos oss"}] if status == "Rejected" else []
    body = {"appRecStatus": status, "appRecErrorList": errors}
    aardal = place.aardal
    assert aardal.call("POST", f"/Messages/{number}/apprec/{NURSING}", aardal.place(), body=body).taken
    assert place.poll() == 1
    after = place.stage.delivery()
    assert (after["id"], after["state"]) == (sent["id"], state)
    assert after["delivered_at"] is not None
    if state == "refused":
        assert "Ukjend hos oss" in only(alarms(place, "refused"))
    assert [row for row in place.stage.rows(tables.delivery) if row["kind"] == "receipt"] == []


def test_after_a_crash_between_storing_and_marking_the_mail_is_neither_lost_nor_doubled(
    place: Exchange, clock: StandingClock
) -> None:
    place.post(from_aardal(place))
    place.server.order(Ordered.ERROR, "PUT", "/read/")
    assert place.poll() == 1
    assert "cannot be marked as read: PUT Messages/{id}/read/{id}: HTTP 500" in only(alarms(place, "mailbox"))
    assert len(place.server.unread(WARD)) == 1
    assert place.poll() == 0  # another process, as far as the mailbox knows
    assert (place.server.unread(WARD), alarms(place, "mailbox")) == ([], [])
    assert len(place.stage.rows(tables.message)) == 1


def test_what_could_not_be_stored_is_not_marked_read(place: Exchange) -> None:
    place.post(from_aardal(place))
    round_ = place.round()
    forbid(place.stage, "message")
    with pytest.raises(StoreError):
        round_()
    place.stage.write(lambda tx: tx.execute(text("DROP TRIGGER no_message")))
    assert len(place.server.unread(WARD)) == 1
    assert place.poll() == 1
    assert len(place.stage.rows(tables.message)) == 1


def test_the_same_message_posted_twice_is_taken_once_and_has_one_receipt(place: Exchange) -> None:
    content = from_aardal(place)
    place.post(content)
    place.post(content)
    assert place.poll() == 2
    assert place.server.unread(WARD) == []
    assert place.stage.deliver() == ["sent"]
    assert len(place.server.requests("POST", "/apprec/")) == 1


def test_a_document_that_is_not_given_stops_no_other(place: Exchange) -> None:
    numbers = [orjson.loads(place.post(from_aardal(place)).body) for _ in range(5)]
    place.server.spoilt = set(numbers[:2])
    assert place.poll() == 3
    said = only(alarms(place, "mailbox"))
    assert said.count("cannot be fetched: GET Messages/{id}/business-document: HTTP 500") == 2
    assert {held.id for held in place.server.unread(WARD)} == place.server.spoilt
    place.server.spoilt = set()
    assert place.poll() == 2
    assert alarms(place, "mailbox") == []


def test_documents_that_break_the_connection_are_tried_last(place: Exchange) -> None:
    numbers = [orjson.loads(place.post(from_aardal(place)).body) for _ in range(4)]
    round_ = place.round()

    def break_three() -> None:
        place.server.faults.clear()
        for number in numbers[:3]:
            place.server.order(Ordered.RESET, "GET", f"{number}/business-document")

    break_three()
    assert round_() == 0  # three in a row: the server seems to be away
    break_three()
    assert round_() == 1
    assert len(place.server.unread(WARD)) == 3


def test_a_page_full_of_what_cannot_be_had_does_not_hide_what_is_newer(
    place: Exchange, clock: StandingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapter.transport.edi_mailbox.PAGE", 3)
    numbers = [orjson.loads(place.post(from_aardal(place, at=clock())).body) for _ in range(3)]
    place.server.spoilt = set(numbers)
    clock.forward(minutes=1)
    place.post(from_aardal(place, at=clock()))
    assert place.poll() == 1
    assert {held.id for held in place.server.unread(WARD)} == set(numbers)


def test_more_than_a_page_is_fetched_at_once(place: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapter.transport.edi_mailbox.PAGE", 2)
    for _ in range(5):
        place.post(from_aardal(place))
    assert place.poll() == 5
    assert place.server.unread(WARD) == []


def test_a_her_id_that_is_not_ours_to_read_does_not_stop_the_others(place: Exchange) -> None:
    place.post(from_aardal(place))
    round_ = place.round()
    inner = round_.mailbox
    assert isinstance(inner, EdiMailbox)
    inner._her_ids = (CASE_WORK, WARD)  # as an operator may write it
    assert round_() == 1
    assert f"the list of HER-id {CASE_WORK} cannot be read" in only(alarms(place, "mailbox"))
    assert "Not authorized for HerId(s)" in only(alarms(place, "mailbox"))


def test_what_is_no_document_is_held_with_a_reason(place: Exchange, clock: StandingClock) -> None:
    place.post(from_aardal(place))
    place.server.more = {"businessDocument": "$$$"}
    assert place.poll() == 1
    held = only(place.stage.rows(tables.message))
    assert held["outcome"] == "refused" and "neither a KITH message" in held["reason"]
    assert place.server.unread(WARD) == []


def test_properties_that_nobody_has_told_us_of_change_nothing(place: Exchange) -> None:
    place.server.more = {"unknownProperty": {"nested": [1, None]}, "another": "value"}
    place.post(from_aardal(place))
    assert place.poll() == 1
    assert place.stage.deliver() == ["sent"]
    place.send(K.ADMITTED)
    assert place.confirm() == 1
    assert place.stage.delivery(2)["delivered_at"] is not None


def test_no_token_and_no_number_of_a_person_stands_in_any_address(place: Exchange) -> None:
    place.post(from_aardal(place))
    with capture_logs() as logs:
        place.poll()
        place.stage.deliver()
        place.send(K.ADMITTED)
        place.confirm()
    token = place.server.asked[-1].headers["authorization"].split()[1]
    texts = repr(logs) + "".join(one.path for one in place.server.asked)
    assert token not in texts and FNR not in texts
    assert all(GUID.search(one.path) or "?" in one.path or one.path in PLAIN for one in place.server.asked)


PLAIN = ("/Messages", "/connect/token")


def test_both_sides_agree_on_what_a_receipt_is(place: Exchange, clock: StandingClock) -> None:
    """An AppRec that the inbox makes becomes JSON, and the server's document of it is read as the same."""
    from adapter.mappings import kith
    from adapter.mappings.kith.message_server import given

    issue = Issue(code="E36", text="Namnet manglar")
    made = given(receipt(from_aardal(place), Status.REFUSED, at=clock(), issues=(issue,)))
    assert made.sender == WARD and made.receivers[0] == NURSING
    assert made.content == {
        "appRecStatus": "Rejected",
        "appRecErrorList": [{"errorCode": "E36", "details": "Namnet manglar"}],
    }
    number = orjson.loads(place.post(from_aardal(place)).body)
    place.server.give(number, WARD, "Rejected", *made.content["appRecErrorList"])
    back = only(place.server.unread(NURSING)).business.content
    said = kith.read(back, content_type=None, zone=clock().tzinfo).acknowledgement
    assert said is not None and (said.status, said.issues[0].code) == (Status.REFUSED, "E36")
    assert said.issues[0].text.endswith("Namnet manglar")
    assert base64.b64encode(back)


@pytest.mark.parametrize("padding", [0, 100_000])
def test_a_document_over_the_limit_is_refused_by_its_head(place: Exchange, padding: int) -> None:
    content = from_aardal(place) + b"<!--" + b"x" * padding + b"-->"
    place.post(content)
    box = EdiMailbox(place.stage.built.message_servers[0], (WARD,), Notebook(), largest=100)
    mail = only(box.poll(Notebook()))
    assert mail.oversize is not None
    assert mail.oversize.size == (None if padding else len(content))  # no more is read than is kept
    assert len(mail.content) <= HEAD
    assert replace(place.round(), mailbox=box)() == 1
    row = only(place.stage.rows(tables.message))
    assert (row["outcome"], row["code"]) == ("refused", "too-long")
    assert place.server.unread(WARD) == []
