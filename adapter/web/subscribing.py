"""`/fhir/Subscription`: partners say what they want to be told of, and ask where that stands.

HL7's Subscriptions R5 Backport 1.1.0 for R4: create, read, search, update, delete, `$status`, `$events`, in
JSON and XML. Every refusal is an OperationOutcome that names the element. A partner sees its own only.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, TypeVar
from urllib.parse import urlencode

import structlog
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from adapter.errors import NotFound, Refused, StoreError
from adapter.fhir.bundles import Resource
from adapter.fhir.subscriptions import LARGEST, outcome, resource_in, searchset, written
from adapter.fhir.wire import JSON, XML
from adapter.messaging.register import Partner
from adapter.messaging.subscribing import Content, State
from adapter.phrases import technical
from adapter.store import Store
from adapter.store.statements import Row
from adapter.subscribers import Subscribers
from adapter.web.signing_in import Doorkeeper, from_another_site

log = structlog.get_logger("subscriptions")

ADDRESS = "/fhir/Subscription"
PAGE = 20
LARGEST_PAGE = 100
LATEST = 2**53  # beyond any event's number

_STATUS = {
    "conflict": 412,
    "forbidden": 403,
    "login": 401,
    "not-found": 404,
    "security": 400,
    "structure": 400,
    "too-long": 413,
    "too-costly": 400,
}
"""What the code of a refusal is in HTTP; everything else is 422: understood, and not as it must be."""

_MEDIA = ("application/fhir+json", "application/fhir+xml", "application/json", "application/xml", "text/xml")
_FORMATS = {"json": JSON, "application/json": JSON, JSON: JSON, "xml": XML, "application/xml": XML}
_FORMATS |= {"text/xml": XML, XML: XML}

_ALWAYS = frozenset(("_format",))
_SEARCHED = _ALWAYS | {"_count", "_id", "_offset", "criteria", "status", "url"}
_OF_STATUSES = _ALWAYS | {"id", "status"}
_OF_EVENTS = _ALWAYS | {"content", "eventsSinceNumber", "eventsUntilNumber"}
"""What may be asked. The rest is refused: a filter dropped in silence shows more than was asked for."""

T = TypeVar("T")
Answering = Callable[[Request, Partner | None], Awaitable[Response]]


@dataclass(frozen=True, kw_only=True)
class Subscribing:
    """The routes over one store."""

    store: Store
    subscribers: Subscribers
    doorkeeper: Doorkeeper
    clock: Callable[[], datetime]
    nudge: Callable[[], None] = lambda: None  # there is something to deliver

    def routes(self) -> list[Route]:
        """Those with `$` first: no subscription is called like them."""
        one = f"{ADDRESS}/{{id}}"
        return [
            Route(f"{ADDRESS}/$status", self._let_in(self._statuses), methods=["GET", "POST"]),
            Route(ADDRESS, self._let_in(self._search), methods=["GET"]),
            Route(ADDRESS, self._let_in(self._create), methods=["POST"]),
            Route(f"{one}/$status", self._let_in(self._status), methods=["GET", "POST"]),
            Route(f"{one}/$events", self._let_in(self._events), methods=["GET", "POST"]),
            Route(one, self._let_in(self._read), methods=["GET"]),
            Route(one, self._let_in(self._update), methods=["PUT"]),
            Route(one, self._let_in(self._delete), methods=["DELETE"]),
            *(
                Route(path, self._let_in(_not_so), methods=["POST", "PUT", "PATCH", "DELETE"])
                for path in (ADDRESS, one, f"{ADDRESS}/$status", f"{one}/$status", f"{one}/$events")
            ),
        ]

    # --- at the door ---

    def _let_in(self, answering: Answering) -> Callable[[Request], Awaitable[Response]]:
        """Who is not signed in is sent away; whatever is refused is answered with an OperationOutcome."""

        async def answered(request: Request) -> Response:
            try:
                media = media_of(request)
                if from_another_site(request):
                    raise Refused(technical("nothing is taken from another site's pages"), code="forbidden")
                caller = self.doorkeeper.caller(request)
                if caller is None:
                    raise Refused(
                        technical("sign in with a bearer token or a client certificate"), code="login"
                    )
                if not caller.may("Subscription", _action(request)):
                    reason = "the scopes of this caller do not allow this with Subscription"
                    raise Refused(technical(reason), code="forbidden")
                if not _readable(request):
                    reason = f"send it as Content-Type {JSON} or {XML}"
                    return _refusal("not-supported", reason, request, status=415)
                return await answering(request, caller.partner)
            except Refused as refused:
                return _refusal(refused.code, refused.reason, request)
            except NotFound as missing:
                return _refusal("not-found", str(missing), request)
            except ClientDisconnect:
                return Response(status_code=400)
            except StoreError as error:
                body = outcome(f"not done, send it again: {error}", "transient", media=media)
                return Response(body, status_code=503, media_type=media, headers={"Retry-After": "5"})
            except Exception as error:  # noqa: BLE001  # its text may hold what was sent, and must not reach a log
                log.error("a request could not be answered", error=type(error).__name__)
                reason = "a fault of the adapter; nothing is done: tell its operators"
                return _refusal("exception", reason, request, status=500)

        answered.__name__ = answering.__name__
        return answered

    async def _write(self, unit: Callable[[Connection], T]) -> T:
        return await asyncio.wrap_future(self.store.submit(unit))

    async def _look(self, query: Callable[[Connection], T]) -> T:
        def looked() -> T:
            with self.store.read() as connection:
                return query(connection)

        return await run_in_threadpool(looked)

    # --- the resource ---

    async def _create(self, request: Request, partner: Partner | None) -> Response:
        resource = await _body(request, "Subscription")
        row = await self._write(lambda tx: self.subscribers.make(tx, resource, partner, self.clock()))
        self._told("created", row)
        return self._one(row, request, 201)

    async def _read(self, request: Request, partner: Partner | None) -> Response:
        name = request.path_params["id"]
        row = await self._look(lambda tx: self.subscribers.found(tx, name, partner))
        return self._one(row, request)

    async def _update(self, request: Request, partner: Partner | None) -> Response:
        resource, name = await _body(request, "Subscription"), request.path_params["id"]
        version = _version(request.headers.get("if-match"))
        row = await self._write(
            lambda tx: self.subscribers.change(tx, name, resource, partner, self.clock(), version=version)
        )
        self._told("changed", row)
        return self._one(row, request)

    async def _delete(self, request: Request, partner: Partner | None) -> Response:
        name = request.path_params["id"]
        await self._write(lambda tx: self.subscribers.remove(tx, name, partner, self.clock()))
        log.info("subscription", what="deleted", id=name, partner=partner.name if partner else None)
        return Response(status_code=204)

    async def _search(self, request: Request, partner: Partner | None) -> Response:
        rows = await self._look(lambda tx: self.subscribers.listed(tx, partner))
        asked = _known(_asked(request.query_params.multi_items()), _SEARCHED, "Subscription")
        found = [one for one in map(self.subscribers.read, rows) if _matches(one, asked)]
        count = min(_whole(asked, "_count", PAGE), LARGEST_PAGE)
        start = _whole(asked, "_offset", 0)
        links = _links(f"{self.subscribers.subscriptions.base}/Subscription", asked, start, count, len(found))
        return self._bundle(found[start : start + count], request, total=len(found), links=links)

    # --- operations ---

    async def _statuses(self, request: Request, partner: Partner | None) -> Response:
        asked = _known(await _parameters(request), _OF_STATUSES)
        rows = await self._look(lambda tx: self.subscribers.listed(tx, partner))
        ids, states = asked.get("id"), asked.get("status")
        if states is not None and not set(states) <= set(State):
            raise Refused(
                technical(f"Parameters.parameter: status must be of {', '.join(State)}"), code="code-invalid"
            )
        found = [
            self.subscribers.status(row)
            for row in rows
            if (ids is None or row["name"] in ids) and (states is None or row["status"] in states)
        ]
        return self._bundle(found, request, total=len(found), links={"self": self._self(request)})

    async def _status(self, request: Request, partner: Partner | None) -> Response:
        name = request.path_params["id"]
        row = await self._look(lambda tx: self.subscribers.found(tx, name, partner))
        links = {"self": self._self(request)}
        return self._bundle([self.subscribers.status(row)], request, total=1, links=links)

    async def _events(self, request: Request, partner: Partner | None) -> Response:
        asked, name = _known(await _parameters(request), _OF_EVENTS), request.path_params["id"]
        since = _whole(asked, "eventsSinceNumber", 1)
        until = _whole(asked, "eventsUntilNumber", LATEST)
        content = _content(asked)

        def query(tx: Connection) -> Resource:
            row = self.subscribers.found(tx, name, partner)
            return self.subscribers.events(
                tx, row, partner, self.clock(), since=since, until=until, content=content
            )

        return _answer(await self._look(query), request)

    # --- answers ---

    def _self(self, request: Request) -> str:
        path = request.url.path.removeprefix("/fhir")
        query = f"?{request.url.query}" if request.url.query else ""
        return f"{self.subscribers.subscriptions.base}{path}{query}"

    def _one(self, row: Row, request: Request, status: int = 200) -> Response:
        here = f"{self.subscribers.subscriptions.base}/Subscription/{row['name']}"
        headers = {
            "ETag": f'W/"{row["version"]}"',
            "Last-Modified": format_datetime(row["updated_at"].astimezone(UTC), usegmt=True),
        }
        if status == 201:
            headers["Location"] = here  # older versions are not kept
        if request.method != "GET" and "return=minimal" in request.headers.get("prefer", ""):
            return Response(status_code=status, headers=headers)
        return _answer(self.subscribers.read(row), request, status=status, headers=headers)

    def _bundle(
        self, found: list[Resource], request: Request, *, total: int, links: Mapping[str, str]
    ) -> Response:
        made = searchset(
            found,
            base=self.subscribers.subscriptions.base,
            total=total,
            links=links,
            bundle_id=self.subscribers.subscriptions.new_id(),
            at=self.clock(),
        )
        return _answer(made, request)

    def _told(self, what: str, row: Row) -> None:
        log.info(
            "subscription",
            what=what,
            id=row["name"],
            partner=row["partner"],
            topic=row["topic"],
            status=row["status"],
        )
        self.nudge()


# --- what is asked ----------------------------------------------------------------------------------------


def media_of(request: Request) -> str:
    """JSON or XML: by `_format`, else by what is accepted, else as it was sent."""
    asked = request.query_params.get("_format", "").partition(";")[0].strip().lower().replace(" ", "+")
    if asked in _FORMATS:
        return _FORMATS[asked]
    accepted = request.headers.get("accept", "").lower()
    if "xml" in accepted or "json" in accepted:
        return JSON if "json" in accepted else XML
    return XML if "xml" in request.headers.get("content-type", "").lower() else JSON


def _action(request: Request) -> str:
    """What is asked for, as scopes call it; looking at a status or at events is reading."""
    path = request.url.path
    if request.method == "POST" and path == ADDRESS:
        return "c"
    if request.method in ("GET", "HEAD", "POST"):
        return "s" if path == ADDRESS else "r"
    return "d" if request.method == "DELETE" else "u"


def _readable(request: Request) -> bool:
    """Whether what is sent, if anything is, says that it is something that we read."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    empty = "transfer-encoding" not in request.headers and request.headers.get("content-length", "0") == "0"
    return media in _MEDIA or empty or request.method in ("GET", "DELETE")


async def _body(request: Request, expected: str) -> Resource:
    """The resource in a request; Refused where there is none that we read."""
    content = bytearray()
    async for piece in request.stream():
        content += piece
        if len(content) > LARGEST:
            raise Refused(
                technical(f"{expected} is over {LARGEST // 1024} kB, send a shorter one"), code="too-long"
            )
    return resource_in(bytes(content), request.headers.get("content-type", ""), expected)


async def _parameters(request: Request) -> dict[str, list[str]]:
    """What an operation is asked, from the address or from a Parameters resource."""
    asked = _asked(request.query_params.multi_items())
    if request.method == "GET" or request.headers.get("content-length", "0") == "0":
        return asked
    resource = await _body(request, "Parameters")
    for item in resource.get("parameter") or ():
        value = next((value for key, value in item.items() if key.startswith("value")), None)
        if value is not None:
            asked.setdefault(item["name"], []).append(str(value))
    return asked


def _asked(items: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Each parameter with its values, in the order of asking; those with commas apart."""
    found: dict[str, list[str]] = {}
    for name, value in items:
        found.setdefault(name, []).extend([value] if name == "criteria" else value.split(","))
    return found


def _known(
    asked: dict[str, list[str]], names: frozenset[str], where: str = "Parameters.parameter"
) -> dict[str, list[str]]:
    """What is asked, where all of it can be; Refused otherwise, by place and never by what was sent."""
    if asked.keys() <= names:
        return asked
    raise Refused(
        technical(f"{where}: a parameter is not known here; there are: {', '.join(sorted(names))}"),
        code="not-supported",
    )


def _whole(asked: Mapping[str, list[str]], name: str, usual: int) -> int:
    said = asked.get(name)
    if said is None:
        return usual
    if len(said) != 1 or not said[0].isascii() or not said[0].isdigit() or len(said[0]) > 15:
        raise Refused(technical(f"Parameters.parameter: {name} must be one whole number"), code="value")
    return int(said[0])


def _content(asked: Mapping[str, list[str]]) -> Content | None:
    said = asked.get("content")
    if said is None:
        return None
    if len(said) != 1 or said[0] not in set(Content):
        raise Refused(
            technical(f"Parameters.parameter: content must be one of {', '.join(Content)}"),
            code="code-invalid",
        )
    return Content(said[0])


def _version(said: str | None) -> str | None:
    return None if said is None else said.strip().removeprefix("W/").strip('"')


def _matches(resource: Resource, asked: Mapping[str, list[str]]) -> bool:
    known: Mapping[str, Any] = {
        "_id": resource["id"],
        "status": resource["status"],
        "criteria": resource["criteria"],
        "url": resource["channel"].get("endpoint"),
    }
    return all(known[name] in values for name, values in asked.items() if name in known)


def _links(
    address: str, asked: Mapping[str, list[str]], start: int, count: int, total: int
) -> dict[str, str]:
    """This page and its neighbours; the address says what was understood of the question."""
    kept = [(name, ",".join(values)) for name, values in asked.items() if name in ("_id", "status", "url")]
    kept += [("criteria", value) for value in asked.get("criteria", [])]

    def page(offset: int) -> str:
        return f"{address}?{urlencode([*kept, ('_count', count), ('_offset', offset)])}"

    links = {"self": page(start)}
    if count and start + count < total:
        links["next"] = page(start + count)
    if count and start > 0:
        links["previous"] = page(max(0, start - count))
    return links


async def _not_so(request: Request, partner: Partner | None) -> Response:
    answer = _refusal("not-supported", "there is no such interaction at this address", request, status=405)
    of_one = "id" in request.path_params and "$" not in request.url.path
    answer.headers["Allow"] = "DELETE, GET, PUT" if of_one else "GET, POST"
    return answer


def _refusal(code: str, reason: str, request: Request, *, status: int | None = None) -> Response:
    """An OperationOutcome: what is wrong, where, and what to do."""
    media = media_of(request)
    if status is None:
        status = _STATUS.get(code, 422)
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return Response(outcome(reason, code, media=media), status_code=status, media_type=media, headers=headers)


def _answer(
    resource: Resource, request: Request, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    media = media_of(request)
    return Response(written(resource, media), status_code=status, media_type=media, headers=headers)
