"""A partner's FHIR server, asked and told one thing at a time: read, find, put, with conditions and versions.

tenacity repeats a request whose fault may pass, as long as the attempt has time; what does not come about is
`Failed`, with the reply by which the attempt ends. Requests go to the endpoint's own base and nowhere else.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from re import fullmatch
from time import monotonic
from typing import Any

import orjson
from tenacity import Retrying, retry_if_result, stop_after_attempt

from adapter.errors import MessageError
from adapter.fhir.bundles import Resource
from adapter.fhir.pushing import criterion, etag_of, offers_transactions
from adapter.fhir.wire import loads, parse_resource
from adapter.messaging.delivery import Reply
from adapter.messaging.register import Endpoint
from adapter.messaging.retry import TRANSIENT_4XX
from adapter.phrases import phrase
from adapter.transport.retrying import as_asked, last
from adapter.transport.wire import TOO_LONG, UNUSABLE, Wire, prepare

JSON = "application/fhir+json"
FORM = "application/x-www-form-urlencoded"
LARGEST_PLAN = 8 * 1024 * 1024
"""Bytes that are put, or read of one answer, at most."""

ID = r"(?!\.+$)[A-Za-z0-9.-]{1,128}"
"""An id there; longer than R4 allows, as servers in the field have longer ones."""

_LONGEST_WAIT = 2.0  # seconds that a server may ask for within an attempt


class Failed(Exception):
    """A request that did not do what it was to do; `reply` says how the attempt ends."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.said)
        self.reply = reply


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What stands there under one of our names."""

    their_id: str
    etag: str | None
    content: Resource


@dataclass(frozen=True, kw_only=True)
class Server:
    """One FHIR server for one attempt or one look: its base, our credentials, the time that is left."""

    endpoint: Endpoint
    wire: Wire
    sleep: Callable[[float], None]
    until: float  # on the monotonic clock; no request begins later
    now: Callable[[], float] = monotonic

    @property
    def base(self) -> str:
        """Without a slash at its end."""
        return self.endpoint.address.rstrip("/")

    def call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        kind: str = JSON,
        ok: Sequence[int] = (),
        **conditions: str | None,
    ) -> Reply:
        """One exchange, repeated where the fault may pass; Failed unless it is a 2xx or one of `ok`.

        `conditions` are headers by name, as `if_match`; None leaves one out.
        """
        headers = tuple((n.replace("_", "-").title(), v) for n, v in conditions.items() if v is not None)
        url = f"{self.base}/{path}" if path else self.base
        content_type = kind if body is not None else None
        try:
            request = prepare(method, url, self.endpoint.token, JSON, content_type, headers)
        except ValueError:
            raise Failed(Reply(error=UNUSABLE)) from None
        retrying = Retrying(
            stop=stop_after_attempt(3),
            retry=retry_if_result(_passes),
            wait=as_asked(0.25),
            sleep=self.sleep,
            retry_error_callback=last,
        )
        reply: Reply = retrying(self._once, request, body)
        if (reply.taken and reply.error is None) or (reply.status in ok and reply.error is None):
            return reply
        raise Failed(_told(reply, method, path))

    def _once(self, request: Any, body: bytes | None) -> Reply:
        if self.now() >= self.until:
            late = phrase("it takes longer than one attempt may; it goes on with the next")
            return Reply(status=503, error=late)
        return self.wire.call(request, self.endpoint, most=LARGEST_PLAN, body=body)

    # --- FHIR ---

    def read(self, theirs: str, known: str | None) -> Found | None:
        """A resource by its name there; None where it is as it was at the ETag `known`. Failed 404, 410."""
        reply = self.call("GET", theirs, ok=(304,), if_none_match=known)
        if reply.status == 304 or (known is not None and reply.etag == known):
            return None
        found = self._found(reply, theirs.partition("/")[0])
        return None if known is not None and found.etag == known else found

    def find(self, name: str) -> Found | None:
        """A resource by our name for it. Failed where there are several."""
        kind = name.partition("/")[0]
        return self._only(self.call("GET", f"{kind}?{criterion(name)}"), kind)

    def master(self, kind: str, search: str) -> Found | None:
        """Somebody by an identifier of their own, which stands in the body only."""
        reply = self.call("POST", f"{kind}/_search", search.encode(), kind=FORM, ok=(400, 404, 405, 501))
        return self._only(reply, kind) if reply.taken else None

    def transactions(self) -> bool:
        """Whether the CapabilityStatement offers them; a server that has none offers none."""
        reply = self.call("GET", "metadata", ok=(404, 405, 406, 410, 501))
        return reply.taken and offers_transactions(parsed(reply))

    def _only(self, reply: Reply, kind: str) -> Found | None:
        found = parsed(reply)
        entries = found.get("entry") or () if isinstance(found, dict) else ()
        matches = [
            one["resource"]
            for one in entries
            if isinstance(one, dict)
            and isinstance(one.get("resource"), dict)
            and one["resource"].get("resourceType") == kind
            and (one.get("search") or {}).get("mode", "match") == "match"
        ]
        if len(matches) > 1:
            several = phrase("several {kind} resources there are the same one of ours", kind=kind)
            raise Failed(Reply(status=412, error=several))
        if not matches:
            return None
        return _checked(matches[0], kind, etag_of(matches[0]))

    def _found(self, reply: Reply, kind: str) -> Found:
        try:
            content = parse_resource(reply.body, reply.content_type)
        except MessageError as problem:
            unread = phrase("a {kind} there cannot be read: {why}", kind=kind, why=problem.reason)
            raise Failed(Reply(status=422, error=unread)) from None
        return _checked(content, kind, reply.etag or etag_of(content))


# --- answers ----------------------------------------------------------------------------------------------


def _passes(reply: Reply) -> bool:
    """Whether the fault may be over in a moment; who asks for more time gets it between attempts."""
    broken = reply.error is not None and reply.error != TOO_LONG
    transient = reply.status is None or reply.status >= 500 or reply.status in TRANSIENT_4XX
    return (broken or transient) and (reply.retry_after or 0) <= _LONGEST_WAIT


def _told(reply: Reply, method: str, path: str) -> Reply:
    """The reply with a sentence on what it was an answer to, without any query; never a body.

    A 2xx that broke off, or is too long, is no success here: what was put is not known, and is looked up.
    """
    place = path.partition("?")[0]
    if place:
        said = phrase("{method} {place}: {why}", method=method, place=place, why=reply.said)
    else:
        said = phrase("{method} the transaction: {why}", method=method, why=reply.said)
    if reply.status is not None and 300 <= reply.status < 400:
        said = phrase("{what}: a redirect, which is not followed; correct the endpoint's address", what=said)
    elif reply.status in (401, 403):
        said = phrase("{what}: the server does not let us in; correct the endpoint's credentials", what=said)
    lost = reply.error is not None and (reply.status is None or reply.status < 300)
    return Reply(
        status=None if lost else reply.status, error=said, retry_after=reply.retry_after, ms=reply.ms
    )


def parsed(reply: Reply) -> Any:
    """The body as JSON; None where it is none."""
    try:
        return loads(reply.body)
    except orjson.JSONDecodeError:
        return None


def _checked(content: Resource, kind: str, etag: str | None) -> Found:
    their_id = content.get("id")
    if content.get("resourceType") != kind or not isinstance(their_id, str) or not fullmatch(ID, their_id):
        other = phrase("the server answers with something else than a {kind}", kind=kind)
        raise Failed(Reply(status=422, error=other))
    return Found(their_id=their_id, etag=etag, content=content)
