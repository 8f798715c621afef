"""A receiver that behaves badly: its message ends as retry, as sent and awaiting a receipt, or as an alarm.

Never is one lost, never is there an exception, and never more memory or time than a receipt may need.
"""

import os
import socket
import struct
import threading
import time
import tracemalloc
from collections.abc import Callable
from gzip import compress
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from adapter.discharge.notices import NoticeKind
from adapter.store import tables
from tests.conftest import StandingClock
from tests.stage import TORBJORN, Stage, receipt
from tests.transport.conftest import Peer, answer

pytestmark = pytest.mark.postgres_in_soak

Behaviour = Callable[[socket.socket, bytes], None]
PEERS = Callable[[Behaviour], Peer]
JSON = "Content-Type: application/fhir+json"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: application/fhir+json\r\n\r\n"
HTML = b"<!DOCTYPE html><html><head><title>Bad gateway</title></head><body>Fjellheim</body></html>"
WITHIN = 0.3  # seconds that the receiver is given


def body_of(request: bytes) -> bytes:
    return request.partition(b"\r\n\r\n")[2]


def reset(connection: socket.socket) -> None:
    """The far end pulls the plug: RST instead of a goodbye."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def then_reset(said: bytes) -> Behaviour:
    def behave(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(said)
        time.sleep(0.05)  # else the reset may overtake what was said
        reset(connection)

    return behave


def says(said: bytes) -> Behaviour:
    def behave(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(said)
        connection.close()

    return behave


def pours(head: bytes, piece: bytes, *, pause: float = 0.0, times: int = 3000) -> Behaviour:
    def behave(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(head)
        for _ in range(times):
            connection.sendall(piece)
            time.sleep(pause)

    return behave


def silent(_connection: socket.socket, _request: bytes) -> None:
    time.sleep(2 * WITHIN)


RETRIED: dict[str, tuple[Behaviour, str]] = {
    "reset before the answer": (then_reset(b""), "broken off"),
    "reset in the head": (then_reset(b"HTTP/1.1 200 OK\r\nContent-"), "broken off"),
    "closed without an answer": (says(b""), "without an answer"),
    "closed in the head": (says(b"HTTP/1.1 200 OK\r\nContent-Le"), "without an answer"),
    "silent": (silent, "no complete answer within"),
    "endless headers": (pours(b"HTTP/1.1 200 OK\r\n", b"X-More: y\r\n" * 5000), "not proper HTTP"),
    "one endless header": (pours(b"HTTP/1.1 200 OK\r\nX: ", b"y" * 65536), "not proper HTTP"),
    "headers in drops": (pours(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", pause=0.05, times=20), "within"),
    "provisional answers without end": (pours(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 2000), "not proper"),
    "another protocol": (says(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"), "not proper HTTP"),
    "no HTTP": (says(b"220 mail.example ESMTP\r\n"), "not proper HTTP"),
    "503 of a proxy": (says(answer("503 No", HTML, "Content-Type: text/html")), "HTTP 503"),
    "500 and a reset": (then_reset(b"HTTP/1.1 500 No\r\nContent-Length: 900\r\n\r\nhalf"), "broken off"),
}
"""What cannot be taken for a yes; and words of the reason that a person reads."""

SENT: dict[str, Behaviour] = {
    "reset after the head": then_reset(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n"),
    "reset in the body": then_reset(b'HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{"resourceType":"Bu'),
    "closed in the body": says(answer("200 OK", b'{"resourceType":"Bun', JSON, length=900)),
    "empty": says(answer("200 OK", b"")),
    "204": says(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "202 without length": says(b"HTTP/1.1 202 Accepted\r\n\r\n"),
    "a body in drops": pours(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n", b"{", pause=0.05, times=20),
    "100 MB": pours(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n", b"x" * 65536, times=1600),
    "a gzip bomb": says(answer("200 OK", compress(b"0" * 50_000_000), JSON, "Content-Encoding: gzip")),
    "a chunk that lies": says(CHUNKED + b"ffff\r\nshort"),
    "no chunks at all": says(CHUNKED + b"{}\r\nrubbish\r\n"),
    "a chunk size without end": pours(CHUNKED, b"0" * 65536),
    "extensions without end": pours(CHUNKED + b"1;", b"a" * 65536),
}
"""The head said 2xx: the receiver says that it holds the message. Its receipt is awaited and missed."""

RUBBISH: dict[str, bytes] = {
    "a page of a proxy": answer("200 OK", HTML, "Content-Type: text/html"),
    "half a Bundle": answer("200 OK", b'{"resourceType":"Bundle","type":"mess', JSON),
    "half an AppRec": answer("200 OK", b"<AppRec xmlns='http://www.kith.no/xmlstds/apprec/2004-11-21'><MsgT"),
    "the wrong charset": answer("200 OK", '{"resourceType":"Bundle","id":"Årdal"}'.encode("utf-16"), JSON),
    "zeros": answer("200 OK", b"\x00" * 4096, JSON),
    "deep": answer("200 OK", b"[" * 100_000, JSON),
    "an entity bomb": answer(
        "200 OK", b'<!DOCTYPE a [<!ENTITY b "bb">]><a>&b;</a>', "Content-Type: text/xml"
    ),
}
"""A 2xx with what is no receipt: sent, its receipt awaited, and the rubbish held for a person to see."""


def sends(play: Stage) -> tuple[list[str], list[dict[str, object]]]:
    """One message of Synnøve to Vik, tried once: the outcomes, and the errors of the log."""
    play.receive(play.message(NoticeKind.ADMITTED, receivers=("vik",)))
    with capture_logs() as logs:
        outcomes = play.deliver()
    return outcomes, [dict(line) for line in logs if line["log_level"] == "error"]


def at(receiver: Peer) -> dict[str, object]:
    return {"address": f"{receiver.url}/fhir/$process-message", "timeout": WITHIN}


def once(behave: Behaviour, clock: StandingClock) -> Behaviour:
    """Badly the first time; from then on with a receipt."""
    turns = iter([behave])

    def turn(connection: socket.socket, request: bytes) -> None:
        now = next(turns, None)
        if now is None:
            receipts(connection, request, clock)
        else:
            now(connection, request)

    return turn


def receipts(connection: socket.socket, request: bytes, clock: StandingClock) -> None:
    connection.sendall(answer("200 OK", receipt(body_of(request), at=clock()), JSON))


@pytest.mark.parametrize("fault", RETRIED)
def test_what_is_no_yes_is_tried_again_and_arrives_the_same(at_peers, peer: PEERS, clock, fault: str) -> None:
    behave, said = RETRIED[fault]
    receiver = peer(once(behave, clock))
    play = at_peers(vik=at(receiver))
    started = time.perf_counter()
    outcomes, errors = sends(play)
    assert (outcomes, errors) == (["retry"], [])
    assert time.perf_counter() - started < WITHIN + 2
    row = play.delivery()
    assert (row["state"], row["attempts"], row["sent_at"]) == ("waiting", 1, None)
    assert said in row["error"]
    assert "Fjellheim" not in row["error"]
    clock.forward(seconds=5)
    assert play.deliver() == ["sent"]
    assert play.delivery()["state"] == "acknowledged"
    assert len({body_of(request) for request in receiver.requests}) == 1


@pytest.mark.parametrize("fault", SENT)
def test_a_2xx_that_breaks_off_is_sent_and_its_receipt_awaited(
    at_peers, peer: PEERS, clock, fault: str
) -> None:
    receiver = peer(once(SENT[fault], clock))
    play = at_peers(vik=at(receiver))
    started = time.perf_counter()
    outcomes, errors = sends(play)
    assert (outcomes, errors) == (["sent"], [])
    assert time.perf_counter() - started < WITHIN + 2
    row = play.delivery()
    assert (row["state"], row["accepted_at"]) == ("sent", None)
    assert play.rows(tables.fact, kind="accepted") == []
    missed_and_sent_again(play, clock)
    assert play.delivery()["state"] == "acknowledged"
    assert len({body_of(request) for request in receiver.requests}) == 1


def missed_and_sent_again(play: Stage, clock: StandingClock) -> None:
    """Half an hour later the receipt is missed, people are told, and the message goes once more by itself."""
    clock.forward(minutes=31)
    assert play.write(lambda tx: play.outbox.missing_receipts(tx, clock())) == 1
    assert [row["until"] for row in play.rows(tables.alarm, kind="receipt-missing")] == [None]
    assert play.deliver() == ["sent"]
    assert [row["until"] for row in play.rows(tables.alarm, kind="receipt-missing")] == [clock()]


@pytest.mark.parametrize("fault", RUBBISH)
def test_rubbish_after_a_2xx_is_no_receipt_and_a_person_sees_it(
    at_peers, peer: PEERS, clock, fault: str
) -> None:
    receiver = peer(once(says(RUBBISH[fault]), clock))
    play = at_peers(vik=at(receiver))
    outcomes, errors = sends(play)
    assert (outcomes, errors) == (["sent"], [])
    assert (play.delivery()["state"], play.delivery()["accepted_at"]) == ("sent", None)
    (held,) = play.rows(tables.message, outcome="quarantined")
    assert held["code"] == "odd-answer"
    (alarm,) = play.rows(tables.alarm, kind="quarantined")
    assert "Fjellheim" not in alarm["text"]
    missed_and_sent_again(play, clock)
    assert play.delivery()["state"] == "acknowledged"


def test_the_receipt_of_another_message_is_not_taken_for_this_one(at_peers, peer: PEERS, clock) -> None:
    """A cache, or a mix-up at the far end: Torbjørn's receipt says nothing of Synnøve's message."""
    others: list[bytes] = []

    def mixed_up(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(answer("200 OK", others[0], JSON))

    play = at_peers(vik=at(peer(mixed_up)))
    never_sent = play.message(NoticeKind.ADMITTED, receivers=("vik",), subject=TORBJORN)
    others.append(receipt(never_sent, at=clock()))
    assert sends(play) == (["sent"], [])
    assert (play.delivery()["state"], play.delivery()["accepted_at"]) == ("sent", None)
    assert [row["code"] for row in play.rows(tables.message, outcome="quarantined")] == ["odd-answer"]


def test_a_whole_receipt_counts_even_where_the_connection_is_reset_right_after(
    at_peers, peer: PEERS, clock
) -> None:
    def behave(connection: socket.socket, request: bytes) -> None:
        receipts(connection, request, clock)
        time.sleep(0.05)
        reset(connection)

    play = at_peers(vik=at(peer(behave)))
    assert sends(play) == (["sent"], [])
    assert play.delivery()["state"] == "acknowledged"
    assert len(play.rows(tables.attempt)) == len(play.rows(tables.fact, kind="accepted")) == 1


@pytest.mark.parametrize(
    ("status", "what"),
    [("304 Not Modified", "redirect"), ("300 Choices", "redirect"), ("418 Teapot", "will not take")],
)
def test_a_no_for_good_goes_to_a_person_at_once(at_peers, peer: PEERS, status: str, what: str) -> None:
    play = at_peers(vik=at(peer(says(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()))))
    assert sends(play) == (["gave-up"], [])
    (alarm,) = play.rows(tables.alarm, kind="given-up")
    assert what in alarm["text"]
    assert play.delivery()["state"] == "given-up"


def test_one_that_closes_before_the_message_is_through_has_not_taken_it(at_peers, clock) -> None:
    """It reads the head, and is gone in the middle of a message of a few megabytes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        play = at_peers(vik={"address": f"http://127.0.0.1:{server.getsockname()[1]}/", "timeout": WITHIN})
        play.receive(play.message(NoticeKind.ADMITTED, receivers=("vik",), text="a " * 100_000))

        def behave() -> None:
            connection, _ = server.accept()
            connection.recv(200)
            reset(connection)

        threading.Thread(target=behave, daemon=True).start()
        assert play.deliver() == ["retry"]
    assert "broken off" in play.delivery()["error"]


def test_a_hundred_megabytes_and_a_bomb_take_no_more_memory_than_a_receipt_may(at_peers, peer: PEERS) -> None:
    for fault in ("100 MB", "a gzip bomb"):
        play = at_peers(vik=at(peer(SENT[fault])))
        play.receive(play.message(NoticeKind.ADMITTED, receivers=("vik",)))
        tracemalloc.start()
        play.deliver()
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert most < 12_000_000, f"{fault}: {most} bytes"


def test_a_folder_that_fills_up_keeps_no_half_file(at_peers, clock, tmp_path: Path, monkeypatch) -> None:
    """The partner's share is full: the message waits, and nothing half-written is under its final name."""

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "share" / "out").mkdir(parents=True)
    play = at_peers(aardal={"address": str(tmp_path / "share")})
    play.receive(play.message(NoticeKind.ADMITTED, receivers=("aardal",)))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert play.deliver() == ["retry"]
    assert "is full" in play.delivery()["error"]
    assert list((tmp_path / "share" / "out").iterdir()) == []
    clock.forward(seconds=5)
    assert play.deliver() == ["sent"]
    assert len(list((tmp_path / "share" / "out").iterdir())) == 1
