"""Peers on loopback that answer exactly what a test says, byte for byte."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from adapter.messaging.register import Endpoint
from adapter.transport import CURSOR, Mail, Outgoing

CERTIFICATE = Path(__file__).with_name("loopback.pem")


class Peer:
    """Answers every connection with `behave(connection, request)`; keeps the requests it has read."""

    def __init__(self, behave: Callable[[socket.socket, bytes], None], tls: ssl.SSLContext | None) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self._behave = behave
        self._tls = tls
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.scheme = "https" if tls else "http"
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self.connections += 1
                threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            connection.settimeout(2)
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection:
                while request := read_request(connection):
                    self.requests.append(request)
                    self._behave(connection, request)

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def read_request(connection: socket.socket) -> bytes:
    """One request with its body; empty where the other side has gone."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return b""
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    length = next((int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:")), 0)
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def answer(status: str = "200 OK", body: bytes = b"", *headers: str, length: int | None = None) -> bytes:
    """The bytes of an answer; `length` where it shall lie."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@pytest.fixture
def peer() -> Iterator[Callable[..., Peer]]:
    """Starts a peer that sends the given bytes, or behaves as the given function says."""
    started: list[Peer] = []

    def start(
        script: bytes | Callable[[socket.socket, bytes], None], tls: ssl.SSLContext | None = None
    ) -> Peer:
        def say(connection: socket.socket, request: bytes) -> None:
            assert isinstance(script, bytes)
            connection.sendall(script)

        started.append(Peer(say if isinstance(script, bytes) else script, tls))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def message() -> Outgoing:
    """A message to Årdal; what is in it does not matter to a transport."""
    return Outgoing(
        message_id="6f1c1d2e-0b7a-4c3e-9d55-3f0a5be0c811",
        content='{"resourceType":"Bundle","note":"Lærdal sjukehus"}'.encode(),
        content_type="application/fhir+json",
        delivery_id=17,
    )


def endpoint_at(address: str, **settings: object) -> Endpoint:
    """Årdal's endpoint; it is given 0.25 s where the test does not say otherwise."""
    given = {"name": "årdal", "transport": "fhir", "dialect": "fhir", "timeout": 0.25, **settings}
    return Endpoint(address=address, **given)  # type: ignore[arg-type]  # as each test gives them


class Notebook:
    """What a mailbox remembers, in memory; `accept` is what the inbox does with each mail."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.keys: set[str] = set()

    def get(self, key: str) -> str | None:
        return self.values.get(key)

    def put(self, key: str, value: str) -> None:
        self.values[key] = value

    def seen(self, key: str) -> bool:
        return key in self.keys

    def accept(self, mail: Mail) -> None:
        self.keys.add(mail.key)
        if mail.cursor is not None:
            self.put(CURSOR, mail.cursor)


@pytest.fixture
def memory() -> Notebook:
    return Notebook()
