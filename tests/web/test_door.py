"""What a peer may do before it has signed in: bounded in bytes and time, over a real server on loopback."""

import resource
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from adapter.web import app

PEM = Path(__file__).parent.parent / "transport" / "loopback.pem"
CHUNKED = b"POST /whole HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
MIB = 1 << 20


async def whole(request: Request) -> Response:
    """Says how much came, and what the head said beside it."""
    try:
        body = await request.body()
    except ClientDisconnect:
        return Response(status_code=400)
    return PlainTextResponse(f"{len(body)} {request.headers.get('x-late')}")


async def early(_: Request) -> Response:
    """Answers without reading."""
    return PlainTextResponse("early")


async def long(_: Request) -> Response:
    """More than a socket holds."""
    return PlainTextResponse("x" * 32 * MIB)


@contextmanager
def listening(**more: Path) -> Iterator[int]:
    routes = [Route(f"/{f.__name__}", f, methods=["GET", "POST"]) for f in (whole, early, long)]
    server = app.server(Starlette(routes=routes), host="127.0.0.1", port=0, **more)
    thread = threading.Thread(target=app.serve, args=(server,), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(5)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with listening() as found:
        yield found


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every wait a tenth of a second or so."""
    for name in ("HEAD_WITHIN", "BODY_WITHIN", "LINGER"):
        monkeypatch.setattr(app, name, 0.15)


def reach(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=5)


def heard(peer: socket.socket) -> bytes:
    """Everything until the other side closes; fails where it does not."""
    found = b""
    try:
        while piece := peer.recv(MIB):
            found += piece
    except ConnectionResetError:
        pass
    return found


def ends(peer: socket.socket, ending: bytes) -> bool:
    """Whether the answer comes to this end."""
    found = b""
    while not found.endswith(ending) and (piece := peer.recv(4096)):
        found += piece
    return found.endswith(ending)


def poured(peer: socket.socket, piece: bytes, most: int) -> int:
    """How many bytes went before the other side would take no more."""
    gone = 0
    try:
        while gone < most:
            peer.sendall(piece)
            gone += len(piece)
    except OSError:
        pass
    return gone


def drip(peer: socket.socket, piece: Callable[[], bytes], *, within: float) -> bytes:
    """Send a little again and again until the other side closes; returns what it said."""
    until = time.monotonic() + within
    peer.settimeout(0.02)
    found = b""
    while time.monotonic() < until:
        try:
            peer.sendall(piece())
            got = peer.recv(4096)
        except TimeoutError:
            continue
        except OSError:
            return found
        if not got:
            return found
        found += got
    raise AssertionError(f"still open after {within} s, having said {found!r}")


# --- how much ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "endless",
    [b"X-Late: " + b"y" * 1000 + b"\r\n", b"y" * 1000],
    ids=["trailers without end", "a trailer without end"],
)
def test_trailers_are_cut_off_like_a_head(port: int, endless: bytes) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with reach(port) as peer:
        peer.sendall(CHUNKED + b"1\r\nx\r\n0\r\n" + (b"" if b":" in endless else b"X-Late: "))
        assert poured(peer, endless * 60, 64 * MIB) < 8 * MIB
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 * 1024  # KiB


def test_a_trailer_too_large_is_told_so(port: int) -> None:
    with reach(port) as peer:
        peer.sendall(CHUNKED + b"1\r\nx\r\n0\r\n")
        time.sleep(0.05)
        peer.sendall(b"X-Late: " + b"y" * app.LARGEST_HEAD)
        assert b" 431 " in heard(peer)


def test_a_chunk_extension_without_end_is_cut_off(port: int) -> None:
    with reach(port) as peer:
        peer.sendall(CHUNKED + b"1;")
        assert poured(peer, b"a" * 65536, 64 * MIB) < 8 * MIB


def test_a_trailer_says_nothing_in_the_name_of_the_head(port: int) -> None:
    with reach(port) as peer:
        peer.sendall(CHUNKED)
        time.sleep(0.05)
        peer.sendall(b"1\r\nx\r\n0\r\nX-Late: forged\r\nConnection: close\r\n\r\n")
        assert ends(peer, b"1 None")


def test_many_small_chunks_are_no_head(port: int) -> None:
    with reach(port) as peer:
        peer.sendall(CHUNKED + b"1\r\nx\r\n" * 50_000 + b"0\r\n\r\n")
        assert ends(peer, b"50000 None")


# --- how long ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["whole", "early"])
@pytest.mark.usefixtures("hasty")
def test_a_body_that_drips_is_cut_off_whether_it_is_read_or_answered_already(port: int, path: str) -> None:
    with reach(port) as peer:
        peer.sendall(f"POST /{path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000\r\n\r\nn".encode())
        said = drip(peer, lambda: b"a", within=2)
    assert (b" 408 " in said) == (path == "whole")
    assert said.endswith(b"early" if path == "early" else b"send it again\n")


@pytest.mark.usefixtures("hasty")
def test_trailers_that_drip_are_cut_off(port: int) -> None:
    with reach(port) as peer:
        peer.sendall(CHUNKED + b"1\r\nx\r\n0\r\n")
        assert b" 408 " in drip(peer, lambda: b"A: b\r\n", within=2)


@pytest.mark.usefixtures("hasty")
def test_empty_lines_between_two_requests_hold_no_connection(port: int) -> None:
    with reach(port) as peer:
        peer.sendall(b"GET /early HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert drip(peer, lambda: b"\r\n", within=2).count(b"HTTP/1.1") == 1


def test_a_large_body_has_the_time_that_its_bytes_give_it(
    port: int, monkeypatch: pytest.MonkeyPatch, hasty: None
) -> None:
    monkeypatch.setattr(app, "SLOWEST", 200_000)
    with reach(port) as peer:
        peer.sendall(b"POST /whole HTTP/1.1\r\nHost: localhost\r\nContent-Length: 400000\r\n\r\n")
        for _ in range(10):  # for half as long again as head and body have without it
            peer.sendall(b"a" * 40_000)
            time.sleep(0.045)
        assert ends(peer, b"400000 None")


def test_a_body_that_ends_after_its_answer_leaves_the_connection_for_the_next_request(port: int) -> None:
    with reach(port) as peer:
        for _ in range(2):
            peer.sendall(b"POST /early HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n")
            assert ends(peer, b"early")
            peer.sendall(b"a" * 100_000)


@pytest.mark.usefixtures("hasty")
def test_a_connection_left_after_an_early_answer_is_closed_in_the_end(port: int) -> None:
    with reach(port) as peer:
        peer.sendall(b"POST /early HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\na")
        assert ends(peer, b"early")
        peer.sendall(b"b")
        assert heard(peer) == b""


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("connection", [b"keep-alive", b"close"])
def test_who_does_not_read_its_answer_is_not_waited_for(port: int, connection: bytes) -> None:
    with reach(port) as peer:
        peer.sendall(b"GET /long HTTP/1.1\r\nHost: localhost\r\nConnection: " + connection + b"\r\n\r\n")
        time.sleep(1)
        assert len(heard(peer)) < 32 * MIB


def test_who_reads_slowly_but_steadily_gets_its_whole_answer(
    port: int, monkeypatch: pytest.MonkeyPatch, hasty: None
) -> None:
    monkeypatch.setattr(app, "SLOWEST", 100_000)
    with reach(port) as peer:
        peer.sendall(b"GET /long HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        got = 0
        while piece := peer.recv(MIB):
            got += len(piece)
            time.sleep(0.01)
    assert got > 32 * MIB


def test_over_tls_a_trailer_is_bounded_too() -> None:
    trust = ssl.create_default_context(cafile=str(PEM))
    trust.check_hostname = False
    with listening(certificate=PEM, key=PEM) as port, reach(port) as bare:
        peer = trust.wrap_socket(bare)
        peer.sendall(CHUNKED + b"1\r\nx\r\n0\r\nX-Late: ")
        assert poured(peer, b"y" * 65536, 64 * MIB) < 8 * MIB
