"""What a hostile sender, network or disk may do: slow, huge, broken or poisoned, it harms nobody else."""

import asyncio
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
import requests
from sqlalchemy import Connection
from starlette.applications import Starlette
from starlette.requests import Request

from adapter.errors import Refused, StoreError
from adapter.fhir import wire
from adapter.fhir.bundles import moment
from adapter.mappings.kith import xml
from adapter.messaging.envelope import HER, Address
from adapter.messaging.register import Register
from adapter.simulator.moulds import Moulds
from adapter.store import Store
from adapter.store.migrations import migrate
from adapter.store.tables import Instant
from adapter.web import app, partners
from adapter.web.signing_in import Doorkeeper
from tests.rig import SENDER, TOKEN, Rig, rig

NUMBER = "13816298765"  # synthetic: month + 80
SIGNED_IN = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/fhir+json"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(f"sqlite:///{tmp_path}/store.db")
    migrate(made)
    yield made
    made.close()


# --- the store --------------------------------------------------------------------------------------------


def test_a_unit_that_nobody_waits_for_any_more_does_not_stop_the_writer(store: Store) -> None:
    gate = threading.Event()
    store.submit(lambda _: gate.wait(5))
    given_up: Future[int] = store.submit(lambda _: 2)
    assert given_up.cancel()
    gate.set()
    assert store.submit(lambda _: 3).result(timeout=5) == 3
    with pytest.raises(CancelledError):
        given_up.result(timeout=5)


def test_a_transaction_that_the_database_has_taken_back_itself_fails_its_units_and_no_later_one(
    store: Store,
) -> None:
    def full(tx: Connection) -> None:  # as SQLite does when its disk is full
        driver = tx.connection.dbapi_connection
        assert driver is not None
        driver.cursor().execute("ROLLBACK")
        raise RuntimeError

    with pytest.raises(StoreError, match="could not commit"):
        store.submit(full).result(timeout=5)
    assert store.submit(lambda _: 3).result(timeout=5) == 3


def test_an_instant_beyond_the_calendar_can_still_be_read_and_shown() -> None:
    column, west = Instant(), datetime.fromisoformat("9999-12-31T23:59:59-14:00")
    stored = column.process_bind_param(west, None)  # type: ignore[arg-type]  # it is the same in all of them
    read = column.process_result_value(stored, None)  # type: ignore[arg-type]
    assert read is not None
    assert read.astimezone(UTC) + timedelta(hours=14)


# --- what a message holds ---------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59Z", "1500-01-01"])
def test_times_at_the_ends_of_the_calendar_are_refused(text: str) -> None:
    with pytest.raises(Refused, match="1950 to 2199"):
        moment(text, UTC)


@pytest.mark.parametrize(
    ("read", "content"),
    [
        (wire.parse, b'{"resourceType":"Bundle","entry":[' + b'{"a":1},' * 100_000 + b"{}]}"),
        (wire.parse, b'<Bundle xmlns="http://hl7.org/fhir">' + b"<a/>" * 200_001 + b"</Bundle>"),
        (xml.parse, b"<MsgHead>" + b"<a/>" * 200_001 + b"</MsgHead>"),
    ],
    ids=["json", "xml", "kith"],
)
def test_a_message_of_countless_parts_is_refused_before_it_is_parsed(read: Any, content: bytes) -> None:
    with pytest.raises(Refused, match=r"more than|too many"):
        read(content)


def test_an_address_is_said_without_what_may_be_a_persons_number() -> None:
    for system, value in ((HER, NUMBER), ("urn:x", f"a {NUMBER} b"), (f"urn:x:{NUMBER}", "1")):
        assert NUMBER not in Address(identifiers=((system, value),)).said
    assert len(Address(identifiers=(("urn:x", "9" * 1_000_000),)).said) < 100
    assert "\x1b" not in Address(identifiers=(("urn:x", "\x1b[31m"),)).said
    for known in (
        ("urn:oid:1.2.752.29.4.19", "SE2321000016-1003"),
        ("https://www.gs1.org/gln", "5790000123456"),
    ):
        assert known[1] in Address(identifiers=(known,)).said


# --- the network ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rig(tmp_path_factory.mktemp("hostile"), names=("laerdal",)) as made:
        made.start()
        yield made


def test_a_head_without_end_is_cut_off(running: Rig) -> None:
    with socket.create_connection(("127.0.0.1", running.port), timeout=5) as peer:
        peer.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 200_000)
        assert b" 431 " in peer.recv(200)


def test_a_head_that_does_not_come_to_its_end_in_time_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "HEAD_WITHIN", 0.1)
    server = app.server(Starlette(), host="127.0.0.1", port=0)
    thread = threading.Thread(target=app.serve, args=(server,), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=3) as peer:
            peer.sendall(b"GET / HTTP/1.1\r\nHost: ")
            assert peer.recv(100) == b""
        with socket.create_connection(("127.0.0.1", port), timeout=3) as peer:
            for _ in range(3):  # kept alive for longer than a head may take
                peer.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                answer = b""
                while not answer.endswith(b"Not Found"):
                    answer += peer.recv(1000) or b"(cut off) Not Found"
                assert b" 404 " in answer
                time.sleep(0.15)
    finally:
        server.should_exit = True
        thread.join(5)


def test_a_body_that_does_not_come_to_its_end_in_time_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partners, "BODY_WITHIN", 0.05)

    async def never() -> dict[str, Any]:
        await asyncio.sleep(60)
        return {}

    door = partners.ProcessMessage(
        inbox=None,  # type: ignore[arg-type]  # it does not come that far
        doorkeeper=Doorkeeper(register=Register()),
        clock=lambda: datetime.now(UTC),  # noqa: TID251
        most=1000,
        accepted=lambda *_: None,
    )
    media = [(b"content-type", b"application/xml")]
    request = Request({"type": "http", "method": "POST", "headers": media, "path": "/"}, never)
    assert asyncio.run(asyncio.wait_for(door.post(request), 5)).status_code == 408


def test_one_patient_without_end_is_held_and_others_go_on(running: Rig) -> None:
    moulds = Moulds(SENDER, running.receiver_addresses, at=datetime.now(UTC).replace(microsecond=0))  # noqa: TID251
    first = orjson.loads(moulds.content(0))
    statuses = []
    with requests.Session() as session:
        for n in range(203):
            bundle = orjson.dumps(first).replace(
                first["id"].encode(), f"00000000-0000-4000-8000-{n:012}".encode()
            )
            bundle = bundle.replace(moulds.message_id(0).encode(), moulds.message_id(100_000 + n).encode())
            statuses.append(session.post(running.url, bundle, headers=SIGNED_IN, timeout=20).status_code)
        other = session.post(running.url, moulds.content(1), headers=SIGNED_IN, timeout=20)
    assert statuses == [200] * 200 + [202] * 3
    assert other.status_code == 200


@pytest.mark.slow
def test_it_stops_within_seconds_though_a_sender_never_ends_its_message(tmp_path: Path) -> None:
    with rig(tmp_path, names=("laerdal",)) as made:
        made.start()
        with socket.create_connection(("127.0.0.1", made.port), timeout=5) as peer:
            peer.sendall(
                b"POST /fhir/$process-message HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                b"Authorization: Bearer " + TOKEN.encode() + b"\r\nContent-Length: 1000\r\n\r\nabc"
            )
            time.sleep(0.3)
            assert made.adapter is not None
            made.adapter.send_signal(signal.SIGTERM)
            assert made.adapter.wait(timeout=8) == 0
        assert "Traceback" not in made.log()
