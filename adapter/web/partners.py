"""`POST /fhir/$process-message`: partners push messages here, and are answered after the commit.

A receipt answers in the sender's own format, an OperationOutcome in the one that it asks for. 200 = taken,
202 = held in quarantine, no receipt yet; 4xx = refused for good; 413 = too large, read no further; 415 = not
read, for it is neither JSON nor XML; 503 = not stored, send it again. What came before is answered as it was.
The sender needs the scope system/Bundle.c, for a message is a Bundle that is created here.
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from adapter.errors import NotDecided, StoreError
from adapter.fhir.wire import JSON, XML, operation_outcome
from adapter.inbox import Acceptance, Inbox
from adapter.incoming import HEAD_KEPT, Incoming, Prepared
from adapter.messaging.routing import NOT_RELEVANT
from adapter.messaging.scopes import PROCESS_MESSAGE
from adapter.web.fhir.answers import HTTP_PLACES
from adapter.web.signing_in import Caller, Doorkeeper, from_another_site, insufficient_scope

log = structlog.get_logger("partners")

ADDRESS = "/fhir/$process-message"

BODY_WITHIN = 900.0
"""Seconds for the whole of a message to come; how slowly it may do so is bounded in `app`."""

STATUS = {"accepted": 200, "released": 200, "quarantined": 202, "refused": 422}
_BY_CODE = {"forbidden": 403, "too-long": 413}
# nothing that a page of another site may send unasked, as forms and plain text are
_A_MESSAGE = re.compile(r"(application|text)/([\w.-]+\+)?(json|xml)")
_LARGE = 64 * 1024  # bytes that take long enough to read that others must not wait for it


@dataclass(frozen=True, kw_only=True)
class ProcessMessage:
    """The endpoint over one inbox."""

    inbox: Inbox
    doorkeeper: Doorkeeper
    clock: Callable[[], datetime]
    most: int  # bytes
    accepted: Callable[[Acceptance, float], None]  # told of every message taken, with the seconds it took

    def routes(self) -> list[Route]:
        """The endpoint, and what other methods are told there."""
        return [
            Route(ADDRESS, self.post, methods=["POST"]),
            Route(ADDRESS, _not_so, methods=["GET", "PUT", "PATCH", "DELETE"]),
        ]

    async def post(self, request: Request) -> Response:
        """Take one message."""
        started = asyncio.get_running_loop().time()
        try:
            caller = self.doorkeeper.caller(request)
        except StoreError as error:
            return _try_again(f"who you are cannot be looked up, send it again: {error}", request)
        turned_away = self._turned_away(request, caller)
        if turned_away is not None:
            return turned_away
        try:
            async with asyncio.timeout(BODY_WITHIN):
                content, whole = await self._body(request)
        except ClientDisconnect:
            return Response(status_code=400)
        except asyncio.CancelledError:  # we are told to stop, and nothing is stored: the sender keeps it
            return Response(status_code=503)
        except TimeoutError:
            answer = _outcome(408, "timeout", "the message took too long to come; send it again", request)
            answer.headers["Connection"] = "close"
            return answer
        incoming = Incoming(
            content=content,
            content_type=request.headers.get("content-type"),
            channel="http",
            partner=caller.partner if caller is not None else None,
            oversize=whole,
        )
        try:
            prepared = await self._read(incoming)
            future = self.inbox.store.submit(lambda tx: self.inbox.take(tx, prepared, self.clock()))
            done = await asyncio.wrap_future(future)
        except (StoreError, NotDecided) as error:
            # Not stored, so not acknowledged: the sender keeps it and tries again.
            return _try_again(f"not stored, send it again: {error}", request)
        except Exception as error:  # noqa: BLE001  # its text may hold a patient's data, and must not reach a log
            log.error("a message could not be taken", error=type(error).__name__)
            reason = "a fault of the adapter; it is not stored: keep it, and tell the adapter's operators"
            return _outcome(500, "exception", reason, request)
        self.accepted(done, asyncio.get_running_loop().time() - started)
        return _answer(done, request)

    def _turned_away(self, request: Request, caller: Caller | None) -> Response | None:
        """The answer to what is not read at all."""
        if from_another_site(request):
            return _outcome(403, "forbidden", "messages are not taken from another site's pages", request)
        if caller is None:
            answer = _outcome(401, "login", "sign in with a bearer token or a client certificate", request)
            answer.headers["WWW-Authenticate"] = self.doorkeeper.challenge(request)
            return answer
        if not caller.may(*PROCESS_MESSAGE):
            needed = "your scopes do not let you send messages; ask for system/Bundle.c"
            answer = _outcome(403, "forbidden", needed, request)
            answer.headers["WWW-Authenticate"] = insufficient_scope(*PROCESS_MESSAGE)
            return answer
        media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if not _A_MESSAGE.fullmatch(media):
            reason = f"send it as Content-Type {JSON} or {XML}, or application/xml for KITH and VANSEnvelopes"
            return _outcome(415, "not-supported", reason, request)
        return None

    async def _read(self, incoming: Incoming) -> Prepared:
        if len(incoming.content) > _LARGE:
            return await run_in_threadpool(self.inbox.read, incoming)
        return self.inbox.read(incoming)

    async def _body(self, request: Request) -> tuple[bytes, int | None]:
        """The body, or its head and its declared size if it is over the limit; never more than the limit."""
        declared = request.headers.get("content-length", "")
        too_large = int(declared) if declared.isdigit() and int(declared) > self.most else None
        chunks: list[bytes] = []
        size = 0
        async for chunk in request.stream():
            chunks.append(chunk)
            size += len(chunk)
            if too_large is not None and size >= HEAD_KEPT:
                break
            if size > self.most:
                too_large = size
                break
        body = b"".join(chunks)
        return (body[:HEAD_KEPT], too_large) if too_large is not None else (body, None)


async def _not_so(request: Request) -> Response:
    answer = _outcome(405, "not-supported", "messages are pushed here with POST", request)
    answer.headers["Allow"] = "POST"
    return answer


def _answer(done: Acceptance, request: Request) -> Response:
    again = done.outcome == "duplicate"
    status = STATUS.get((done.first if again else done.outcome) or "", 200)
    if done.outcome == "refused":
        status = _BY_CODE.get(done.code or "", status if done.dialect is not None else 400)
    if done.acknowledgement is not None:
        return Response(done.acknowledgement, status_code=status, media_type=done.acknowledgement_type)
    if done.outcome == "accepted" and done.receipt:
        return Response(status_code=200)  # a receipt is not receipted
    if done.outcome == NOT_RELEVANT:  # in a dialect that has no word for it
        return _outcome(200, "informational", done.reason or "", request, severity="information")
    if done.outcome == "accepted":
        words = "stored, and passed on; the receiver's own receipt will follow as a message"
        return _outcome(200, "informational", done.reason or words, request, severity="information")
    if status == 202:
        return _outcome(status, "incomplete", done.reason or "", request, severity="warning")
    if again:
        severity = "information" if status == 200 else "error"
        return _outcome(status, "duplicate", done.reason or "", request, severity=severity)
    return _outcome(status, done.code or "processing", done.reason or "", request)


def _try_again(reason: str, request: Request) -> Response:
    answer = _outcome(503, "transient", reason, request)
    answer.headers["Retry-After"] = "5"
    return answer


def _outcome(status: int, code: str, reason: str, request: Request, *, severity: str = "error") -> Response:
    """An OperationOutcome: what is wrong and what to do."""
    media = _format(request)
    path = HTTP_PLACES.get(status)
    body = operation_outcome(reason, code, severity=severity, content_type=media, path=path)
    return Response(body, status_code=status, media_type=media)


def _format(request: Request) -> str:
    """XML or JSON: what the sender accepts, else what it has sent."""
    accepted = request.headers.get("accept", "").lower()
    if "xml" in accepted or "json" in accepted:
        return JSON if "json" in accepted else XML
    return XML if "xml" in request.headers.get("content-type", "").lower() else JSON
