"""As much of HTTP/1.1 (RFC 9112) as a receiver and a sender on loopback need, and cheap.

Bodies come with Content-Length, or chunked from a server. One request at a time on a connection, which is
kept alive. Only for the pretend region: the adapter's own server and client are real ones.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from adapter.errors import ConfigurationError

_REASONS = {200: "OK", 202: "Accepted", 400: "Bad Request", 404: "Not Found", 411: "Length Required"}
_REASONS |= {405: "Method Not Allowed", 503: "Service Unavailable", 201: "Created", 304: "Not Modified"}
_REASONS |= {410: "Gone", 412: "Precondition Failed", 500: "Internal Server Error"}
_HARD_CLOSE = struct.pack("ii", 1, 0)  # linger for no time: the peer gets a reset instead of an end


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What a client asked; header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a server says: after a wait, or not at all where it breaks the connection instead."""

    status: int
    body: bytes = field(default=b"", repr=False)
    content_type: str | None = None
    retry_after: int | None = None  # seconds
    wait: float = 0.0  # seconds
    reset: bool = False
    headers: dict[str, str] = field(default_factory=dict)  # beside those that every answer has


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """What a client got; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes = field(repr=False)


class Listener:
    """A server on loopback whose whole mind is a function from Request to Answer."""

    def __init__(self, handle: Callable[[Request], Answer]) -> None:
        self._handle = handle
        self._connections: set[_ServerConnection] = set()
        self._server: asyncio.Server | None = None

    async def open(self, port: int) -> int:
        """Listen; the port, which is a free one where `port` is 0."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _ServerConnection(self._handle, self._connections), "127.0.0.1", port, backlog=256
        )
        return int(self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Listen no more, and end the connections that are open."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in list(self._connections):
            connection.close()


class _ServerConnection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, handle: Callable[[Request], Answer], connections: "set[_ServerConnection]") -> None:
        self._handle = handle
        self._connections = connections
        self._buffer = bytearray()
        self._busy = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's beginning."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio's end."""
        self._transport = None
        self._connections.discard(self)

    def close(self) -> None:
        """End the connection; an answer that still waits is not given."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """asyncio's bytes: answered as soon as they make a whole request."""
        self._buffer += data
        self._proceed()

    def _proceed(self) -> None:
        while not self._busy and self._transport is not None:
            request, used = _request(self._buffer)
            if used == 0:
                return
            del self._buffer[:used]
            answer = self._handle(request) if request is not None else Answer(status=411)
            if answer.wait > 0:
                self._busy = True
                asyncio.get_running_loop().call_later(answer.wait, self._late, answer)
            else:
                self._give(answer)

    def _late(self, answer: Answer) -> None:
        self._busy = False
        self._give(answer)
        self._proceed()

    def _give(self, answer: Answer) -> None:
        if self._transport is None:
            return
        if answer.reset:
            peer = self._transport.get_extra_info("socket")
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _HARD_CLOSE)
            self._transport.abort()
            return
        self._transport.write(_head(answer) + answer.body)
        if answer.status == 411:
            self._transport.close()


def _request(buffer: bytearray) -> tuple[Request | None, int]:
    """The first request in `buffer` and its length; length 0 while it is not whole, None if unreadable."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return None, 0
    first, headers = _headers(bytes(buffer[:end]))
    method, _, rest = first.partition(" ")
    size = headers.get("content-length", "0" if method in ("GET", "HEAD") else "")
    if not size.isdigit():
        return None, len(buffer)
    whole = end + 4 + int(size)
    if len(buffer) < whole:
        return None, 0
    path = rest.partition(" ")[0]
    return Request(method=method, path=path, headers=headers, body=bytes(buffer[end + 4 : whole])), whole


def _headers(block: bytes) -> tuple[str, dict[str, str]]:
    first, *lines = block.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return first, headers


def _head(answer: Answer) -> bytes:
    lines = [f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, '')}"]
    if answer.content_type:
        lines.append(f"Content-Type: {answer.content_type}")
    if answer.retry_after is not None:
        lines.append(f"Retry-After: {answer.retry_after}")
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    if answer.status == 304:  # has no body, and no length of one
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    lines.append(f"Content-Length: {len(answer.body)}\r\n\r\n")
    return "\r\n".join(lines).encode("latin-1")


# --- the sending side -------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Where a client sends to."""

    host: str
    port: int
    path: str

    @classmethod
    def of(cls, url: str) -> "Target":
        """The parts of a plain http URL; the pretend region speaks no TLS."""
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise ConfigurationError(f"{url}: the simulation sends to http://HOST:PORT/… only")
        return cls(host=parts.hostname, port=parts.port or 80, path=parts.path or "/")

    def request_head(self, token: str | None) -> bytes:
        """The request up to the length of its body, so that it is made once for many messages."""
        lines = [
            f"POST {self.path} HTTP/1.1",
            f"Host: {self.host}:{self.port}",
            "Content-Type: application/fhir+json",
            "Accept: application/fhir+json",
        ]
        if token:
            lines.append(f"Authorization: Bearer {token}")
        return ("\r\n".join(lines) + "\r\nContent-Length: ").encode("latin-1")


class Client:
    """One kept-alive connection; opened when needed, and anew after a fault."""

    def __init__(self, url: str, token: str | None = None, timeout: float = 30.0) -> None:
        self._target = Target.of(url)
        self._head = self._target.request_head(token)
        self._timeout = timeout
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, body: bytes) -> Response:
        """Send `body` and read the answer. Raises OSError (TimeoutError too) where there is none."""
        try:
            async with asyncio.timeout(self._timeout):
                if self._streams is None or self._streams[1].is_closing():
                    self._streams = await asyncio.open_connection(self._target.host, self._target.port)
                reader, writer = self._streams
                writer.write(self._head + str(len(body)).encode() + b"\r\n\r\n" + body)
                await writer.drain()
                return await self._answer(reader)
        except (OSError, EOFError, ValueError) as error:
            self.close()
            if isinstance(error, OSError):
                raise
            raise ConnectionResetError("the connection ended in the middle of an answer") from error
        except asyncio.CancelledError:
            self.close()
            raise

    async def _answer(self, reader: asyncio.StreamReader) -> Response:
        first, headers = _headers((await reader.readuntil(b"\r\n\r\n"))[:-4])
        status = int(first.split(" ", 2)[1])
        if "chunked" in headers.get("transfer-encoding", "").lower():
            body = await _chunks(reader)
        else:
            body = await reader.readexactly(int(headers.get("content-length", "0")))
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Response(status=status, headers=headers, body=body)

    def close(self) -> None:
        """End the connection; the next `post` opens another."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    parts = []
    while size := int((await reader.readline()).split(b";")[0], 16):
        parts.append(await reader.readexactly(size))
        await reader.readline()
    await reader.readline()
    return b"".join(parts)
