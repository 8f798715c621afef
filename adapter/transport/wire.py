"""One HTTP exchange with a peer that may be slow, broken or hostile; it always ends in a `Reply`.

Nothing is tried twice (a retry inside an attempt would hide from the delivery log), no redirect is followed,
no cookie kept, and no proxy or netrc of the environment used. Connecting, sending and the whole answer get
at most the endpoint's timeout each, and no more of an answer is read than the caller wants.

requests' adapter is used without its Session, which reads the whole body of a redirect, without any limit,
even when told not to follow it.
"""

import http.client
import io
import logging
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from functools import lru_cache
from time import perf_counter
from typing import Any

import requests
import urllib3.exceptions
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from adapter.messaging.delivery import Reply
from adapter.messaging.register import Endpoint

TOO_LONG = "the answer is longer than we read"
COMPRESSED = "the answer is compressed, which we did not ask for"
UNUSABLE = "the endpoint's address or token cannot be used in a request; correct the endpoint"

_FAULTS = (OSError, http.client.HTTPException, urllib3.exceptions.HTTPError, ValueError)

# urllib3 warns of odd headers by quoting them and the URL, which may hold what no log may hold
logging.getLogger("urllib3").setLevel(logging.ERROR)


class _UntilDeadline(io.RawIOBase):
    """Reads a socket until an instant, however small the pieces; a socket's own timeout is per piece."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw = raw
        self._sock = sock
        allowed = sock.gettimeout()
        self._until = None if allowed is None else perf_counter() + allowed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._until is not None:
            left = self._until - perf_counter()
            if left <= 0:
                raise TimeoutError("the answer takes too long")
            self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    """An answer whose status line, headers and body share one deadline."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_UntilDeadline(self.fp.detach(), sock))


class _Plain(HTTPConnection):
    response_class = _Answer


class _Secure(HTTPSConnection):
    response_class = _Answer


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _Secure


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _PlainPool, "https": _SecurePool}


class Wire:
    """The connections of a process, one per thread and peer, kept open between exchanges."""

    def __init__(self) -> None:
        self._local = threading.local()

    def call(
        self, request: requests.PreparedRequest, endpoint: Endpoint, *, most: int, keep: int = 0
    ) -> Reply:
        """Send `request` and read at most `most` bytes of the answer's body.

        Where `error` is set the body could not be read and is empty, except that `keep` bytes are kept of one
        that is TOO_LONG. A 2xx counts even then: its sender has said that it holds the message.
        """
        started = perf_counter()
        try:
            response = self._adapter().send(
                request,
                stream=True,
                timeout=(endpoint.timeout, endpoint.timeout),
                verify=endpoint.trust or True,
                cert=endpoint.client_certificate,
            )
        except _FAULTS as fault:
            return Reply(error=_words(fault, endpoint), ms=_since(started))
        try:
            body, error = _body(response, most, keep)
        except _FAULTS as fault:
            body, error = b"", _words(fault, endpoint)
        finally:
            _release(response)
        taken = 200 <= response.status_code < 300
        return Reply(
            status=response.status_code,
            taken=taken,
            delivered=taken,
            body=body,
            content_type=response.headers.get("Content-Type"),
            retry_after=_retry_after(response.headers.get("Retry-After"), response.headers.get("Date")),
            error=error,
            ms=_since(started),
        )

    def _adapter(self) -> HTTPAdapter:
        found: HTTPAdapter | None = getattr(self._local, "adapter", None)
        if found is None:
            found = self._local.adapter = _Adapter(pool_connections=64, pool_maxsize=1)
        return found


def prepare(
    method: str, address: str, token: str | None, accept: str, content_type: str | None = None
) -> requests.PreparedRequest:
    """A request without body, ready for the wire.

    Raises ValueError where address or token cannot be used, for which `UNUSABLE` has the words.
    """
    headers = {"User-Agent": "discharge-adapter", "Accept": accept, "Accept-Encoding": "identity"}
    if content_type is not None:
        headers["Content-Type"] = content_type
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
        token.encode("latin-1")  # what a header can hold; found out here, not when sending
    return requests.Request(method, address, headers=headers).prepare()


prepared = lru_cache(maxsize=512)(prepare)
"""The same request each time, to copy and fill in: preparing one anew costs as much as sending it."""


def _body(response: requests.Response, most: int, keep: int) -> tuple[bytes, str | None]:
    """The body and what was wrong with it."""
    if response.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
        return b"", COMPRESSED
    raw = response.raw
    body = piece = raw.read(most + 1, decode_content=False)
    while piece and len(body) <= most and raw.length_remaining != 0:
        piece = raw.read(most + 1 - len(body), decode_content=False)
        body += piece
    return (body[:keep], TOO_LONG) if len(body) > most else (body, None)


def _release(response: requests.Response) -> None:
    """Give the connection back where the answer was read to its end, else close it."""
    if not response.raw.closed:
        response.raw.close()
    response.raw.release_conn()


def _since(started: float) -> float:
    return (perf_counter() - started) * 1000


def _retry_after(text: str | None, date: str | None) -> float | None:
    """Seconds to wait; a date is counted from the answer's own Date (RFC 9110 10.2.3), or else ignored."""
    text = (text or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:10])
    try:
        wait = parsedate_to_datetime(text) - parsedate_to_datetime(date or "")
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, wait.total_seconds())


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


def _words(fault: BaseException, endpoint: Endpoint) -> str:
    """What went wrong, for a person; never the URL, a body, or a library's own text, which holds both."""
    causes = list(_causes(fault))

    def among(*kinds: type[BaseException]) -> bool:
        return any(isinstance(cause, kinds) for cause in causes)

    seconds = f"{endpoint.timeout:g} s"
    told = (
        ((ssl.SSLCertVerificationError,), "the receiver's certificate is not trusted; correct `trust`"),
        ((ssl.SSLError,), "no secure connection could be agreed (TLS)"),
        ((socket.gaierror, UnicodeError), "the receiver's host name has no address"),
        ((ConnectionRefusedError,), "nobody listens at the receiver's address"),
        ((requests.ConnectTimeout,), f"no connection within {seconds}"),
        ((TimeoutError, urllib3.exceptions.ReadTimeoutError), f"no complete answer within {seconds}"),
        ((http.client.RemoteDisconnected,), "the receiver closed the connection without an answer"),
        ((ConnectionError,), "the connection was broken off"),
        ((http.client.IncompleteRead,), "the answer broke off before its end"),
        ((http.client.HTTPException, urllib3.exceptions.InvalidHeader), "the answer is not proper HTTP"),
        ((requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema), UNUSABLE),
    )
    for kinds, text in told:
        if among(*kinds):
            return text
    number = next((c.errno for c in causes if isinstance(c, OSError) and c.errno), None)
    if number is not None:
        return f"the exchange failed: {os.strerror(number)}"
    if any(type(cause) is OSError for cause in causes):
        return "a certificate or key file of the endpoint cannot be read; correct its path"
    return f"the exchange failed ({type(causes[-1]).__name__})"
