"""One message server (NHN EDI 2.0, "MSH API v2"), asked one thing at a time; it always ends in a `Reply`.

Every request has `api-version`, `nhn-source-system`, our token and a proof made for it alone. A request that
is refused for want of a nonce or for a token taken back is made once more; nothing else is tried twice.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from time import monotonic
from typing import Any
from urllib.parse import urlencode

import orjson

from adapter.mappings.kith.message_server import fault
from adapter.messaging.delivery import Reply
from adapter.messaging.register import PLAN_ATTEMPT, Endpoint
from adapter.messaging.retry import TRANSIENT_4XX
from adapter.phrases import phrase, verbatim
from adapter.transport.edi_access import Access, NoAccess
from adapter.transport.wire import UNUSABLE, Wire, prepare

VERSION = "2"
JSON = "application/json"

LARGEST_ANSWER = 1024 * 1024
"""Bytes that are read of any answer but a document: a list of a hundred messages has 30 kB."""


class MessageServer:
    """The operations of one account."""

    def __init__(self, access: Access, *, monotonic: Callable[[], float] = monotonic) -> None:
        self.access = access
        self._wire = Wire()
        self._monotonic = monotonic

    @property
    def name(self) -> str:
        """As the settings call it."""
        return self.access.account.name

    def place(self) -> Endpoint:
        """The server as an endpoint, for those who look there without one of the region file's."""
        account = self.access.account
        return Endpoint(
            name=account.name,
            transport="edi",
            address=account.address,
            dialect="plo-1.6",
            timeout=account.timeout,
            trust=account.trust,
        )

    def call(
        self,
        method: str,
        path: str,
        endpoint: Endpoint,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        most: int = LARGEST_ANSWER,
        keep: int = 0,
        until: float | None = None,
    ) -> Reply:
        """One exchange. `error` tells what was asked and what the server said of it, never a body.

        `until`, on the monotonic clock: no request begins later.
        """
        url = self.access.account.address + path
        if query:
            url = f"{url}?{urlencode(query, doseq=True)}"
        content = orjson.dumps(body) if body is not None else None
        ends = self.deadline(endpoint) if until is None else until
        try:
            reply = self._once(method, url, endpoint, content, most, keep)
            if self.access.heard(reply) and self._monotonic() < ends:
                reply = self._once(method, url, endpoint, content, most, keep)
                self.access.heard(reply)
        except NoAccess as failure:
            return failure.reply
        return _told(reply, f"{method} {_shape(path)}")

    def deadline(self, endpoint: Endpoint) -> float:
        """Until when an attempt may begin another request."""
        return self._monotonic() + endpoint.timeout * (PLAN_ATTEMPT - 1)

    def expired(self, until: float) -> bool:
        """Whether it is too late for another request of the same attempt."""
        return self._monotonic() >= until

    def _once(
        self, method: str, url: str, endpoint: Endpoint, body: bytes | None, most: int, keep: int
    ) -> Reply:
        shown = self.access.headers(method, url)
        stated = (("api-version", VERSION), ("nhn-source-system", self.access.account.source))
        try:
            kind = JSON if body is not None else None
            request = prepare(method, url, None, JSON, kind, (*stated, *shown))
        except ValueError:
            return Reply(error=UNUSABLE)
        if body is None and method in ("PUT", "POST"):
            body = b""
        return self._wire.call(request, endpoint, most=most, keep=keep, body=body)


def parsed(reply: Reply) -> Any:
    """The body as JSON; None where it is none."""
    try:
        return orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        return None


def may_pass(reply: Reply) -> bool:
    """Whether there is no answer now, but another time there may be one."""
    if reply.taken and reply.error is None:
        return False
    lost = reply.status is None or reply.status < 300  # or cut short
    return lost or reply.status == 401 or (reply.status or 0) >= 500 or reply.status in TRANSIENT_4XX


def _told(reply: Reply, what: str) -> Reply:
    """The reply with a sentence on what went wrong; of an answer that went well the body is kept."""
    if reply.taken and reply.error is None:
        return reply
    words = fault(parsed(reply)) if reply.error is None else reply.error
    if words and reply.status is not None:
        status, why = str(reply.status), verbatim(words)
        said = phrase("{what}: HTTP {status}: {why}", what=what, status=status, why=why)
    else:
        said = phrase("{what}: {why}", what=what, why=reply.said)
    if reply.status in (401, 403):
        said = phrase(
            "{what}; correct which HER-ids this client may act for there, or its credentials", what=said
        )
    return replace(reply, error=said, body=b"" if not reply.taken else reply.body)


def _shape(path: str) -> str:
    """The operation without ids: `Messages/{id}/status`."""
    parts = path.strip("/").split("/")
    return "/".join("{id}" if len(part) == 36 or part.isdigit() else part for part in parts)
