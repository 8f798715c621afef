"""One HTTP exchange with a peer that may be slow, broken or hostile; it always ends in a `Reply`.

Nothing is tried twice (a retry inside an attempt would hide from the delivery log), no redirect is followed,
no cookie kept, and no proxy or netrc of the environment used. Connecting, sending and the whole answer get
at most the endpoint's timeout each, and no more of an answer is read than the caller wants.

requests makes the request, once for many messages, and checks its address and headers; httptools reads the
answer. Between them lies a plain socket: requests' and urllib3's own exchange costs twice the processor time
of all the rest of it.
"""

import http.client
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from email.utils import parsedate_to_datetime
from functools import lru_cache
from pathlib import Path
from re import ASCII, compile
from select import POLLIN, poll
from time import perf_counter
from urllib.parse import urlsplit

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from adapter.messaging.delivery import Reply
from adapter.messaging.register import Endpoint
from adapter.phrases import English, Phrase, phrase
from adapter.transport.dialling import dialled, said_of, secured

TOO_LONG = phrase("the answer is longer than we read")
COMPRESSED = phrase("the answer is compressed, which we did not ask for")
UNUSABLE = phrase("the endpoint's address or token cannot be used in a request; correct the endpoint")

_VALUE = compile(r"[!-~]+", ASCII)  # of a header
_FAULTS = (OSError, http.client.HTTPException, ValueError)
_MOST_LINES = 64  # connections that one thread keeps
_MOST_HEAD = 64 * 1024  # bytes of an answer that are not its body
_MOST_FRAME = 8  # more of them for each byte of body: chunks of a single byte need five
_PIECE = 64 * 1024  # bytes read at once
_TOGETHER = 64 * 1024  # bytes of a body that leave in one piece with the head


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """A request as it leaves, but for what differs from message to message."""

    method: str
    url: str = field(repr=False)
    host: str
    port: int
    tls: bool
    head: bytes = field(repr=False)  # the request line and the headers that stay the same


class _CannotConnect(Exception):
    """No connection came about; the cause says why."""


class _NotSecured(Exception):
    """A connection that could not be made a secure one."""


class _Unreadable(Exception):
    """A file that TLS needs."""


class _Answer:
    """An answer as it comes in; httptools calls it with what it has read."""

    def __init__(self) -> None:
        self.status: int | None = None  # once the head is whole
        self.headers: dict[str, str] = {}  # by lower-case name; the first of each
        self.body = bytearray()
        self.whole = False
        self.stays = False  # the connection may be used again
        self._parser = HttpResponseParser(self)
        # Old peers end a line with LF alone or fold it (RFC 9112 2.2, 5.2), and both are harmless here.
        self._parser.set_dangerous_leniencies(lenient_headers=True, lenient_optional_cr_before_lf=True)

    def feed(self, piece: bytes) -> None:
        """More of it. Raises HTTPException where it is not proper HTTP."""
        try:
            self._parser.feed_data(piece)
        except (HttpParserError, HttpParserUpgrade) as fault:
            self.stays = False  # nothing was asked for beyond the answer
            if not self.whole:
                raise http.client.HTTPException("not proper HTTP") from fault

    def ended(self) -> None:
        """The peer has closed. Raises where it broke off: an answer without length ends like this."""
        self.stays = False
        if self.status is None:
            raise http.client.RemoteDisconnected("without an answer")
        if "content-length" in self.headers or "chunked" in self.headers.get("transfer-encoding", ""):
            raise http.client.IncompleteRead(b"")
        self.whole = True

    def on_message_begin(self) -> None:
        """Another answer after the whole one is none of ours."""
        self.stays = self.stays and not self.whole

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header of the head, or a trailer."""
        if not self.whole and self.status is None:
            self.headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1").strip())

    def on_headers_complete(self) -> None:
        """The head is whole; that of a provisional answer (1xx) is forgotten."""
        if self.whole:
            return
        status = self._parser.get_status_code()
        if status < 200:
            self.headers.clear()
        else:
            self.status = status
            self.stays = self._parser.should_keep_alive()

    def on_body(self, piece: bytes) -> None:
        """A part of the body."""
        if not self.whole:
            self.body += piece

    def on_message_complete(self) -> None:
        """The answer is whole, unless it was a provisional one."""
        self.whole = self.status is not None


class Wire:
    """The connections of a process, one per thread and peer, kept open between exchanges."""

    def __init__(self) -> None:
        self._local = threading.local()

    def call(
        self,
        request: Request,
        endpoint: Endpoint,
        *,
        most: int,
        keep: int = 0,
        body: bytes | None = None,
        id: str | None = None,
    ) -> Reply:
        """Send `request` with `body`, as number `id`, and read at most `most` bytes of the answer's body.

        Where `error` is set the body could not be read and is empty, except that `keep` bytes are kept of one
        that is TOO_LONG. A 2xx counts even then: its sender has said that it holds the message.
        """
        started = perf_counter()
        try:
            line = self._line(request, endpoint)
            _send(line, request, endpoint, body, id)
        except (*_FAULTS, _CannotConnect, _NotSecured, _Unreadable) as fault:
            self._hang_up(request, endpoint)
            return Reply(error=_words(fault, endpoint), ms=_since(started))
        answer = _Answer()
        error: Phrase | None = None
        try:
            _read(line, answer, endpoint, most)
        except _FAULTS as fault:
            error = _words(fault, endpoint)
        if error is not None or not answer.whole or not answer.stays:
            self._hang_up(request, endpoint)
        if answer.status is None:
            return Reply(error=error, ms=_since(started))
        found = bytes(answer.body)
        if answer.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
            found, error = b"", COMPRESSED
        elif error is not None:
            found = b""
        elif len(found) > most:
            found, error = found[:keep], TOO_LONG
        taken = 200 <= answer.status < 300
        return Reply(
            status=answer.status,
            taken=taken,
            delivered=taken,
            body=found,
            content_type=answer.headers.get("content-type"),
            retry_after=_retry_after(answer.headers.get("retry-after"), answer.headers.get("date")),
            max_age=_max_age(answer.headers.get("cache-control")),
            error=error,
            ms=_since(started),
            etag=answer.headers.get("etag"),
            location=answer.headers.get("location") or answer.headers.get("content-location"),
            nonce=answer.headers.get("dpop-nonce"),
        )

    def _lines(self) -> dict[object, socket.socket]:
        found: dict[object, socket.socket] | None = getattr(self._local, "lines", None)
        if found is None:
            found = self._local.lines = {}
        return found

    def _line(self, request: Request, endpoint: Endpoint) -> socket.socket:
        """The connection to that peer: the one kept, unless it has ended meanwhile or says something."""
        lines, key = self._lines(), _peer(request, endpoint)
        kept = lines.get(key)
        if kept is not None and not _stirs(kept):
            return kept
        if kept is not None or len(lines) == _MOST_LINES:
            lines.pop(key if kept is not None else next(iter(lines))).close()
        made = lines[key] = _connected(request, endpoint)
        return made

    def _hang_up(self, request: Request, endpoint: Endpoint) -> None:
        line = self._lines().pop(_peer(request, endpoint), None)
        if line is not None:
            line.close()


def prepare(
    method: str,
    address: str,
    token: str | None,
    accept: str,
    content_type: str | None = None,
    more: tuple[tuple[str, str], ...] = (),
) -> Request:
    """A request without body, ready for the wire; `more` are headers besides the usual ones.

    Raises ValueError where address or token cannot be used, for which `UNUSABLE` has the words.
    """
    headers = {"User-Agent": "discharge-adapter", "Accept": accept, "Accept-Encoding": "identity"}
    if content_type is not None:
        headers["Content-Type"] = content_type
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    headers |= dict(more)
    import requests  # 6 MiB, and only those who send need it

    made = requests.Request(method, address, headers=headers).prepare()
    parts = urlsplit(str(made.url))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("an address of another scheme, or without host")
    made.headers.pop("Content-Length", None)  # each body has its own
    said = [f"{method} {made.path_url} HTTP/1.1", f"Host: {parts.netloc.rpartition('@')[2]}"]
    said += [f"{name}: {value}" for name, value in made.headers.items()]
    tls = parts.scheme == "https"
    return Request(
        method=method,
        url=str(made.url),
        host=parts.hostname,
        port=parts.port or (443 if tls else 80),
        tls=tls,
        head="\r\n".join(said).encode("latin-1"),  # what a header can hold; found out here, not when sending
    )


prepared = lru_cache(maxsize=512)(prepare)
"""The same request each time, to send with many bodies: preparing one anew costs as much as sending it."""


# --- connections ------------------------------------------------------------------------------------------


def _peer(request: Request, endpoint: Endpoint) -> object:
    return request.host, request.port, request.tls, endpoint.trust, endpoint.client_certificate


def _stirs(line: socket.socket) -> bool:
    """Whether an idle connection has something to say: its end, or an answer that nobody has asked for."""
    waiting = poll()
    waiting.register(line, POLLIN)
    return bool(waiting.poll(0))


def _connected(request: Request, endpoint: Endpoint) -> socket.socket:
    context = _context(endpoint) if request.tls else None
    try:
        line = dialled(request.host, request.port, endpoint.timeout)
    except (OSError, ValueError) as fault:
        raise _CannotConnect from fault
    try:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return line if context is None else secured(line, context, request.host, endpoint.timeout)
    except TimeoutError as fault:
        line.close()
        raise _NotSecured from fault
    except BaseException:  # whatever it was, the socket is not left open, and it goes on up
        line.close()
        raise


def _context(endpoint: Endpoint) -> ssl.SSLContext:
    """TLS as the endpoint asks for it; made for each connection, so that a renewed file is found."""
    from requests.utils import DEFAULT_CA_BUNDLE_PATH

    trust = endpoint.trust or DEFAULT_CA_BUNDLE_PATH
    shown = endpoint.client_certificate
    try:
        if Path(trust).is_dir():
            context = ssl.create_default_context(capath=trust)
        else:
            context = ssl.create_default_context(cafile=trust)
        if shown is not None:
            context.load_cert_chain(*((shown,) if isinstance(shown, str) else shown))
    except OSError as fault:  # a file that is no certificate is one, too
        raise _Unreadable from fault
    return context


# --- the exchange -----------------------------------------------------------------------------------------


def _send(
    line: socket.socket, request: Request, endpoint: Endpoint, body: bytes | None, number: str | None
) -> None:
    if line.gettimeout() != endpoint.timeout:
        line.settimeout(endpoint.timeout)
    if number is not None and not _VALUE.fullmatch(number):
        raise ValueError("what no header can hold")
    more = "" if number is None else f"\r\nX-Request-Id: {number}"
    more += "" if body is None else f"\r\nContent-Length: {len(body)}"
    head = b"".join((request.head, more.encode("latin-1"), b"\r\n\r\n"))
    try:
        if body is not None and len(body) <= _TOGETHER:
            line.sendall(head + body)
        else:
            line.sendall(head)
            line.sendall(body or b"")
    except BrokenPipeError:
        pass  # it has heard enough; what it says about that may still be read


def _read(line: socket.socket, answer: _Answer, endpoint: Endpoint, most: int) -> None:
    """Read the answer until it is whole, longer than `most` bytes, or too late.

    A socket's own timeout is per piece, so each piece gets what is left. What is no body (a head, provisional
    answers, chunk extensions, trailers) has its bound too, or a peer could keep a processor busy with it.
    """
    until, come = perf_counter() + endpoint.timeout, 0
    while not answer.whole and len(answer.body) <= most:
        left = until - perf_counter()
        if left <= 0:
            raise TimeoutError("the answer takes too long")
        if come:  # the first has as long as the sending had
            line.settimeout(left)
        piece = line.recv(_PIECE)
        if not piece:
            answer.ended()
            return
        answer.feed(piece)
        come += len(piece)
        beside = come - len(answer.body)
        if not answer.whole and beside >= _MOST_HEAD + _MOST_FRAME * len(answer.body):
            raise http.client.HTTPException("more about the body than body")


def _since(started: float) -> float:
    return (perf_counter() - started) * 1000


def _retry_after(text: str | None, date: str | None) -> float | None:
    """Seconds to wait; a date is counted from the answer's own Date (RFC 9110 10.2.3), or else ignored."""
    text = (text or "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return float(text[:10])
    try:
        wait = parsedate_to_datetime(text) - parsedate_to_datetime(date or "")
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, wait.total_seconds())


def _max_age(text: str | None) -> float | None:
    """Seconds for which an answer may be kept (RFC 9111 5.2.2), none of them where it may not be."""
    if not text:
        return None
    said = {word.strip().lower() for word in text.split(",")}
    if said & {"no-store", "no-cache"}:
        return 0.0
    ages = (word.removeprefix("max-age=").strip('"') for word in said if word.startswith("max-age="))
    return min((float(age[:10]) for age in ages if age.isascii() and age.isdigit()), default=None)


def _causes(fault: BaseException) -> Iterator[BaseException]:
    """The fault and everything that it wraps, by whichever means."""
    waiting, met = [fault], set()
    while waiting:
        one = waiting.pop(0)
        if id(one) in met:
            continue
        met.add(id(one))
        yield one
        inner = (*one.args, getattr(one, "reason", None), one.__cause__, one.__context__)
        waiting.extend(item for item in inner if isinstance(item, BaseException))


_TOLD: tuple[tuple[type[BaseException], Phrase], ...] = (
    (http.client.RemoteDisconnected, phrase("the receiver closed the connection without an answer")),
    (ConnectionError, phrase("the connection was broken off")),
    (http.client.IncompleteRead, phrase("the answer broke off before its end")),
    (http.client.HTTPException, phrase("the answer is not proper HTTP")),
)
"""What a fault of the exchange means; the first that fits counts."""


def _words(fault: BaseException, endpoint: Endpoint) -> Phrase:
    """What went wrong, for a person; never the URL, a body, or a library's own text, which holds both."""
    causes = list(_causes(fault))

    def among(*kinds: type[BaseException]) -> bool:
        return any(isinstance(cause, kinds) for cause in causes)

    if among(_Unreadable):
        return phrase("a certificate or key file of the endpoint cannot be read; correct its path")
    connecting = next((words for words in map(said_of, causes) if words is not None), None)
    if connecting is not None:
        return connecting
    if among(TimeoutError):
        if among(_NotSecured):
            missed = "no secure connection within {seconds} s; ask the receiver's operator"
        elif among(_CannotConnect):
            missed = "no connection within {seconds} s; ask the receiver's operator, or look at the firewall"
        else:
            missed = "no complete answer within {seconds} s"
        return phrase(missed, seconds=Decimal(f"{endpoint.timeout:g}"))
    told = next((said for kind, said in _TOLD if among(kind)), None)
    if told is not None:
        return told
    number = next((c.errno for c in causes if isinstance(c, OSError) and c.errno), None)
    if number is not None:
        return phrase("the exchange failed: {why}", why=English(os.strerror(number)))
    return phrase("the exchange failed ({fault})", fault=English(type(causes[-1]).__name__))
