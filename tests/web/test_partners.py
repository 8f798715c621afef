"""`POST /fhir/$process-message` over real HTTP: answered after the commit, in the sender's own format."""

import hashlib
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import pytest
from lxml import etree
from sqlalchemy import text

from adapter.discharge.notices import NoticeKind
from adapter.errors import StoreError
from adapter.fhir import wire
from adapter.fhir.bundles import header
from adapter.incoming import HEAD_KEPT
from adapter.store import messages
from tests.conftest import StandingClock

from .conftest import TOKENS, site

ADDRESS = "/fhir/$process-message"
MOST = 200_000
FIXTURES = Path(__file__).parents[2] / "fixtures"
PLO = FIXTURES / "plo"
ADMITTED = FIXTURES / "fhir" / "admitted" / "message.json"


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    with site(tmp_path_factory.mktemp("door"), StandingClock(), max_message_bytes=MOST) as found:
        yield found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """An adapter for evaluation, where nobody must sign in."""
    with site(tmp_path_factory.mktemp("evaluation"), StandingClock(), evaluation=True) as found:
        found.stage.clock.forward(days=5000)
        yield found


def push(door, content, media="application/fhir+json", token=TOKENS["helse-foerde"], **headers):
    given = {"Content-Type": media} | ({"Authorization": f"Bearer {token}"} if token else {}) | headers
    return door.post(ADDRESS, data=content, headers=given)


def admission(door, **more):
    return door.stage.message(NoticeKind.ADMITTED, **more)


def rows(door):
    return door.look(lambda tx: list(tx.execute(text("SELECT * FROM message ORDER BY id")).mappings()))


def last(door):
    return messages_row(door, rows(door)[-1]["id"])


def messages_row(door, row_id):
    return door.look(messages.get, row_id)


def issue(answer):
    """The only issue of an OperationOutcome in either format."""
    if "xml" in answer.headers["content-type"]:
        root = etree.fromstring(answer.content)
        assert root.tag == "{http://hl7.org/fhir}OperationOutcome"
        return {etree.QName(child).localname: child.get("value") for child in root[0]}
    found = orjson.loads(answer.content)
    assert found["resourceType"] == "OperationOutcome"
    return found["issue"][0]


# --- taking -----------------------------------------------------------------------------------------------


def test_a_message_is_stored_before_it_is_answered_with_its_receipt(door):
    content = admission(door)
    answer = push(door, content)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/fhir+json"
    receipt = header(orjson.loads(answer.content))
    sent = header(orjson.loads(content))
    assert (receipt["response"]["identifier"], receipt["response"]["code"]) == (sent["id"], "ok")
    stored = last(door)
    assert (stored["message_id"], stored["outcome"], stored["channel"]) == (sent["id"], "accepted", "http")
    assert stored["partner"] == "helse-foerde"
    assert door.look(messages.content, stored["payload"]) == content
    assert door.look(messages.content, stored["acknowledgement"]) == answer.content


def test_xml_is_answered_in_xml(door):
    content = wire.to_xml(orjson.loads(admission(door)))
    answer = push(door, content, "application/fhir+xml")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/fhir+xml"
    assert wire.parse(answer.content)["resourceType"] == "Bundle"
    assert door.look(messages.content, last(door)["payload"]) == content


def test_nothing_is_answered_before_the_commit(door):
    content = admission(door)
    held, free = threading.Event(), threading.Event()

    def hold(_tx):
        held.set()
        free.wait(10)

    door.stage.built.store.submit(hold)
    assert held.wait(5)
    count = len(rows(door))
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(push, door, content)
        time.sleep(0.15)
        assert not answer.done()
        assert len(rows(door)) == count
        free.set()
        assert answer.result(timeout=5).status_code == 200
    assert len(rows(door)) == count + 1


def test_a_repeated_message_gets_the_first_answer_again_byte_for_byte(door):
    content = admission(door)
    first = push(door, content)
    count = len(rows(door))
    for _ in range(2):
        again = push(door, content)
        assert (again.status_code, again.content, again.headers["content-type"]) == (
            first.status_code,
            first.content,
            first.headers["content-type"],
        )
    assert len(rows(door)) == count
    assert last(door)["duplicates"] == 2


def test_many_copies_at_once_are_taken_once(door):
    content = admission(door)
    count = len(rows(door))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: push(door, content), range(8)))
    assert {a.status_code for a in answers} == {200}
    assert len({a.content for a in answers}) == 1
    assert len(rows(door)) == count + 1


def test_a_refused_message_stays_refused_when_it_comes_again(door):
    content = admission(door).replace(b'"status":"in-progress"', b'"status":"nonsense"')
    first, again = push(door, content), push(door, content)
    assert first.status_code == again.status_code == 422
    assert first.content == again.content
    assert header(orjson.loads(first.content))["response"]["code"] == "fatal-error"


def test_a_kith_message_is_taken_and_never_receipted_twice(door):
    content = door.stage.plo(NoticeKind.ADMITTED, receivers=("sogndal",))
    first = push(door, content, "application/xml")
    assert first.status_code == 200
    again = push(door, content, "application/xml")
    assert again.status_code == 200
    assert issue(again)["severity"] == "information"
    assert b"AppRec" not in again.content


# --- who may speak ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["wrong", "", None, TOKENS["helse-foerde"][:-1]])
def test_an_unknown_machine_is_not_heard(door, token):
    count = len(rows(door))
    answer = push(door, admission(door), token=token)
    assert answer.status_code == 401
    shown = answer.headers["WWW-Authenticate"]
    assert shown == "Bearer" if not token else shown.startswith('Bearer error="invalid_token"')
    assert issue(answer)["code"] == "login"
    assert len(rows(door)) == count


def test_a_partner_may_not_send_for_another_party(door):
    answer = push(door, admission(door), token=TOKENS["luster-drift"])
    assert answer.status_code == 403
    assert issue(answer)["code"] == "forbidden"
    assert "luster-drift" in issue(answer)["diagnostics"]
    assert (last(door)["outcome"], last(door)["sender"]) == ("refused", None)


def test_a_partner_turned_away_does_not_spoil_the_id_for_its_owner(door):
    content = admission(door)
    assert push(door, content, token=TOKENS["luster-drift"]).status_code == 403
    assert push(door, content).status_code == 200


def test_without_partners_nobody_must_sign_in(tmp_path):
    with site(tmp_path, StandingClock(), evaluation=True) as found:
        content = (Path(__file__).parents[2] / "fixtures" / "fhir" / "admitted" / "message.json").read_bytes()
        found.stage.clock.forward(days=365)
        assert push(found, content, token=None).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://[evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": ""},
    ],
)
def test_a_page_of_another_site_cannot_have_a_browser_send_a_message(undisturbed, headers):
    count = len(rows(undisturbed))
    answer = push(undisturbed, ADMITTED.read_bytes(), token=None, **headers)
    assert answer.status_code == 403
    assert issue(answer)["code"] == "forbidden"
    assert len(rows(undisturbed)) == count


@pytest.mark.parametrize("headers", [{}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}])
def test_who_is_no_page_of_another_site_may_send(undisturbed, headers):
    assert push(undisturbed, ADMITTED.read_bytes(), token=None, **headers).status_code == 200
    headers["Origin"] = undisturbed.url
    assert push(undisturbed, ADMITTED.read_bytes(), token=None, **headers).status_code == 200


@pytest.mark.parametrize(
    "media",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/html",
     "application/octet-stream", "", "json", "text/plain;application/json"],
)  # fmt: skip
def test_what_is_said_to_be_neither_json_nor_xml_is_not_read(undisturbed, media):
    count = len(rows(undisturbed))
    answer = push(undisturbed, ADMITTED.read_bytes(), media, token=None)
    assert answer.status_code == 415
    assert "application/fhir+json" in issue(answer)["diagnostics"]
    assert "application/xml" in issue(answer)["diagnostics"]
    assert len(rows(undisturbed)) == count


@pytest.mark.parametrize(
    "media",
    ["application/fhir+json; fhirVersion=4.0", "application/json", "text/json", "Application/FHIR+JSON",
     "application/xml; charset=utf-8", "text/xml", "application/fhir+xml"],
)  # fmt: skip
def test_json_and_xml_are_read_under_any_of_their_names(undisturbed, media):
    if "xml" in media:
        plo = (PLO / "home-with-help" / "admitted.plo-1.6.xml").read_bytes()
        assert push(undisturbed, plo, media, token=None).status_code == 200
    else:
        assert push(undisturbed, ADMITTED.read_bytes(), media, token=None).status_code == 200


# --- what is not taken ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "media"),
    [
        (b"", "application/fhir+json"),
        (b'{"resourceType": "Bundle", ', "application/fhir+json"),
        (b"\x00\x00\x00", "application/fhir+json"),
        (b'{"resourceType": "Patient"}', "application/fhir+json"),
        (b"<Bundle xmlns='http://hl7.org/fhir'><id value='a'></Bundle>", "application/fhir+xml"),
        (b"<MsgHead xmlns='http://www.kith.no/xmlstds/msghead/2006-05-24'><MsgInfo>", "text/xml"),
        (b"<!DOCTYPE a><Bundle xmlns='http://hl7.org/fhir'/>", "application/fhir+xml"),
    ],
)
def test_what_is_not_legible_is_kept_and_answered_with_what_is_wrong(door, content, media):
    answer = push(door, content, media)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == f"application/fhir+{'xml' if 'xml' in media else 'json'}"
    assert issue(answer)["severity"] == "error"
    assert len(issue(answer)["diagnostics"]) > 20
    stored = last(door)
    assert stored["outcome"] == "refused"
    assert door.look(messages.content, stored["payload"]) == content


def test_the_answer_is_in_the_format_that_the_sender_accepts(door):
    xml = push(door, b"{", Accept="application/fhir+xml")
    assert issue(xml)["code"] == "structure" and xml.content.startswith(b"<?xml")
    json = push(door, b"<", "application/fhir+xml", Accept="application/fhir+json")
    assert issue(json)["code"] == "structure" and json.content.startswith(b"{")


def test_a_message_that_is_held_is_answered_202_and_has_no_receipt_yet(door):
    content = admission(door, at=door.stage.clock() + timedelta(hours=2))
    for _ in range(2):  # coming again makes it no more accepted
        answer = push(door, content)
        assert answer.status_code == 202
        assert issue(answer)["code"] == "incomplete"
        assert issue(answer)["severity"] == "warning"
    assert (last(door)["outcome"], last(door)["acknowledgement"]) == ("quarantined", None)


def test_a_bundle_id_used_for_another_message_is_no_duplicate(door):
    one = "0c7a1f0e-7a3d-4a55-b1ce-54d1f6f5a001"
    assert push(door, admission(door, transmission_id=one)).status_code == 200
    answer = push(door, admission(door, transmission_id=one))
    assert answer.status_code == 422  # a 409 could be taken for success
    assert header(orjson.loads(answer.content))["response"]["code"] == "fatal-error"


# --- too large --------------------------------------------------------------------------------------------


def test_a_message_declared_too_large_is_refused_with_its_head_kept(door):
    content = admission(door) + b" " * MOST
    answer = push(door, content)
    assert answer.status_code == 413
    assert issue(answer)["code"] == "too-long"
    stored = last(door)
    assert (stored["outcome"], stored["size"]) == ("refused", len(content))
    assert door.look(messages.content, stored["payload"]) == content[:HEAD_KEPT]
    assert stored["payload"] == hashlib.sha256(content[:HEAD_KEPT]).digest()


def test_a_message_that_grows_too_large_on_the_way_is_refused_too(door):
    content = admission(door) + b" " * (3 * MOST)
    answer = push(door, (content[at : at + 10_000] for at in range(0, len(content), 10_000)))
    assert answer.status_code == 413
    stored = last(door)
    assert MOST < stored["size"] <= len(content)
    assert door.look(messages.content, stored["payload"]) == content[:HEAD_KEPT]


def test_a_declared_size_is_answered_before_the_rest_has_come(door):
    place = urlsplit(door.url)
    with socket.create_connection((place.hostname, place.port), timeout=5) as wire_:
        head = (
            f"POST {ADDRESS} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Bearer {TOKENS['helse-foerde']}\r\n"
            "Content-Type: application/fhir+json\r\nContent-Length: 104857600\r\n\r\n"
        )
        wire_.sendall(head.encode() + b"x" * (HEAD_KEPT + 1))
        assert wire_.recv(4096).startswith(b"HTTP/1.1 413")
    assert last(door)["size"] == 104857600


def test_a_message_at_the_limit_is_taken(door):
    content = admission(door)
    assert push(door, content + b" " * (MOST - len(content))).status_code == 200


def test_a_sender_that_hangs_up_half_way_leaves_nothing_behind(door):
    count = len(rows(door))
    place = urlsplit(door.url)
    with socket.create_connection((place.hostname, place.port), timeout=5) as wire_:
        head = (
            f"POST {ADDRESS} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Bearer {TOKENS['helse-foerde']}\r\n"
            "Content-Length: 1000\r\n\r\n{"
        )
        wire_.sendall(head.encode())
    assert push(door, admission(door)).status_code == 200
    assert len(rows(door)) == count + 1


# --- when the store fails ---------------------------------------------------------------------------------


def test_what_cannot_be_stored_is_not_acknowledged(tmp_path):
    with site(tmp_path, StandingClock()) as found:
        found.stage.built.store.writer.close()
        answer = push(found, admission(found))
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "5"
        assert issue(answer)["code"] == "transient"


def test_a_store_that_refuses_is_told_and_the_message_may_come_again(tmp_path):
    with site(tmp_path, StandingClock()) as found:
        engine = found.stage.built.store.engine.execution_options(writes=True)
        content = admission(found)
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE fact RENAME TO gone"))
        answer = push(found, content)
        assert answer.status_code == 503
        assert "Fjellheim" not in answer.text
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE gone RENAME TO fact"))
        assert push(found, content).status_code == 200
        assert len(rows(found)) == 1


def test_a_fault_of_ours_is_an_outcome_and_no_traceback_with_the_message(tmp_path, capfd, monkeypatch):
    with site(tmp_path, StandingClock()) as found:

        def fail(_unit):
            raise ValueError("Synnøve Fjellheim")

        monkeypatch.setattr(found.stage.built.store, "submit", fail)
        answer = push(found, admission(found))
        monkeypatch.undo()
        assert answer.status_code == 500
        assert issue(answer)["code"] == "exception"
        assert "Fjellheim" not in answer.text + capfd.readouterr().err


def test_health_tells_of_a_store_that_has_gone(tmp_path, monkeypatch):
    with site(tmp_path, StandingClock()) as found:
        assert found.get("/healthz").text == "alive\n"
        assert found.get("/readyz").status_code == 200

        def gone(**_):
            raise StoreError("the store cannot be read: disk I/O error")

        monkeypatch.setattr(found.stage.built.store, "ready", gone)
        assert found.get("/readyz").status_code == 503


def test_metrics_count_what_came_without_naming_anybody(door):
    push(door, admission(door))
    found = door.get("/metrics").text
    assert 'discharge_messages_total{dialect="fhir",outcome="accepted"}' in found
    assert "Fjellheim" not in found and "21843012660" not in found


def test_only_post_is_answered_there(door):
    assert door.get(ADDRESS).status_code == 405
