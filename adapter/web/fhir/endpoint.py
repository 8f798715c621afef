"""The routes of `/fhir` for those who read: read, vread, history, search, batch, `metadata`.

A caller finds what lies on its own parties' shelves and nothing else: what it may not see is not there (404),
so that nobody learns of a patient by asking.
"""

import re
import traceback
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from time import monotonic
from typing import Any
from urllib.parse import parse_qsl, urlencode

import structlog
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from adapter.errors import MessageError, NotFound, Quarantined, StoreError
from adapter.fhir.bundles import Resource
from adapter.fhir.searching import Query, cursor, read_query
from adapter.fhir.serving import TYPES
from adapter.fhir.shape import resource_class
from adapter.fhir.subscriptions import resource_in
from adapter.fhir.wire import JSON, XML, loads, parse, parse_resource, to_json
from adapter.messaging.envelope import PERSON_SYSTEMS, masked
from adapter.messaging.register import Partner
from adapter.plans import Conflict, Plans
from adapter.readers import Page, Reader, patient_of
from adapter.shelves import Shelves
from adapter.store.resources import Eyes
from adapter.web.fhir.answers import (
    Turned,
    entry,
    failed,
    ignored,
    past,
    refusal,
    turned,
    versioned_headers,
    wanted,
    written,
)
from adapter.web.fhir.capability import UNVERSIONED, UPDATED, capability
from adapter.web.fhir.documents import discharge_document_of
from adapter.web.fhir.openapi import MOST_IN_HISTORY, openapi
from adapter.web.signing_in import Caller, Doorkeeper, from_another_site, insufficient_scope

log = structlog.get_logger("fhir")

MOST_IN_BATCH = 50
MOST_BYTES = 1024 * 1024
"""Bytes of a batch or of a search form; a resource that is updated may have as much."""

CATCH_UP_WITHIN = 5.0
"""Seconds that a reader waits until what has come in before can be read; after an upgrade it takes longer."""

_TURNING_AWAY = ("_elsewhere", "_not_so")  # routes that only say what else can be done
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY")
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)
_OF_THE_CALLER = (b"authorization", b"host", b"prefer", b"origin", b"sec-fetch-site")
"""Headers of a batch that hold for each of its requests; what is said of a version does not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """One request of somebody who has signed in, while the store is open."""

    request: Request
    tx: Connection
    reader: Reader
    media: str
    base: str
    caller: Caller


@dataclass(frozen=True, kw_only=True)
class FhirEndpoint:
    """The endpoint over one store's shelves."""

    shelves: Shelves
    plans: Plans
    doorkeeper: Doorkeeper
    clock: Callable[[], datetime]
    zone: tzinfo
    public_url: str | None  # where partners reach us; None: as a request was sent
    served: Callable[[str, int, float], None]  # told of every request: what, status, seconds

    def routes(self) -> list[Route]:
        """In the order in which they are tried."""
        return [
            Route("/fhir/metadata", self.metadata, methods=["GET"]),
            Route("/fhir/openapi.json", self.openapi, methods=["GET"]),
            Route("/fhir", self._timed("batch", self.batch), methods=["POST"]),
            Route("/fhir/", self._timed("batch", self.batch), methods=["POST"]),
            Route("/fhir/EpisodeOfCare/{id}/$document", self._told(self._document), methods=["GET", "POST"]),
            Route("/fhir/{kind}/_search", self._told(self._search), methods=["POST"]),
            Route("/fhir/{kind}/_search", self._elsewhere, methods=_METHODS),
            Route("/fhir/{kind}", self._told(self._search), methods=["GET"]),
            Route("/fhir/{kind}/{id}", self._told(self._read), methods=["GET"]),
            Route("/fhir/{kind}/{id}", self._timed("update", self.update), methods=["PUT"]),
            Route("/fhir/{kind}/{id}/_history", self._told(self._history), methods=["GET"]),
            Route("/fhir/{kind}/{id}/_history/{version}", self._told(self._vread), methods=["GET"]),
            Route("/fhir", self._elsewhere, methods=_METHODS),
            Route("/fhir/{rest:path}", self._elsewhere, methods=_METHODS),
        ]

    # --- the door ---

    async def metadata(self, request: Request) -> Response:
        """The CapabilityStatement; nobody needs to sign in for it."""
        try:
            return written(capability(self.base(request)), wanted(request))
        except Turned as found:
            return refusal(request, found)

    async def openapi(self, request: Request) -> Response:
        """The same as an OpenAPI document."""
        return Response(to_json(openapi(self.base(request))), media_type="application/json")

    async def _elsewhere(self, request: Request) -> Response:
        allowed = _allowed(request)
        if allowed:
            reason = "this cannot be done here; /fhir/metadata says what can"
            headers = {"Allow": ", ".join(allowed)}
            found = Turned(405, "not-supported", reason, path="http.method", headers=headers)
        else:
            found = Turned(404, "not-found", "there is no such type or operation; see /fhir/metadata")
        return refusal(request, found)

    def _told(self, act: Callable[[Reading, "Asked"], Response]) -> Callable[[Request], Any]:
        """A handler that signs the caller in, and answers whatever goes wrong with an OperationOutcome."""

        async def told(request: Request) -> Response:
            try:
                form = await _posted(request) if request.method == "POST" else ()
                asked = Asked(pairs=(*request.query_params.multi_items(), *form))
                media = wanted(request, asked.pairs)
                return await run_in_threadpool(self._in_store, request, act, asked, media)
            except Turned as found:
                return refusal(request, found)
            except MessageError as problem:
                return refusal(request, turned(problem))
            except StoreError as error:
                return refusal(request, _later(error))

        return self._timed(act.__name__.strip("_"), told)

    def _timed(
        self, what: str, act: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """The same, counted, and with its one line in the log: who has done what, never to whom."""

        async def answer(request: Request) -> Response:
            started = monotonic()
            try:
                response = await act(request)
            except ClientDisconnect:
                response = Response(status_code=400)
            except Exception as error:  # noqa: BLE001  # its text may hold a patient's data, and must not reach a log
                response = refusal(request, _fault(what, error))
            seconds = monotonic() - started
            partner = self._partner(request)
            self.served(what, response.status_code, seconds)
            log.info(
                "fhir",
                what=what,
                status=response.status_code,
                partner=partner.name if partner is not None else None,
                ms=round(seconds * 1000, 1),
            )
            return response

        return answer

    def _partner(self, request: Request) -> Partner | None:
        """Who has asked, for the log; nobody where the store cannot say."""
        try:
            return self.doorkeeper.partner(request)
        except StoreError:
            return None

    def _in_store(
        self, request: Request, act: Callable[[Reading, "Asked"], Response], asked: "Asked", media: str
    ) -> Response:
        caller = self.caller(request)
        kind = request.path_params.get("kind", "EpisodeOfCare")
        if not _is_type(kind):
            raise Turned(404, "not-found", "there is no such type in FHIR R4", path="http.path")
        _may(caller, kind, "s" if act == self._search else "r")
        if not self.shelves.catch_up(CATCH_UP_WITHIN):
            later = "what has come in is still being put in order; try again"
            raise Turned(503, "transient", later, headers={"Retry-After": "10"})
        if kind == "AuditEvent":
            self.shelves.store.write(lambda _: None)  # what was looked at before is written first
        with self.shelves.store.read() as tx:
            reader = self._reader(caller)
            base = self.base(request)
            at = Reading(request=request, tx=tx, reader=reader, media=media, base=base, caller=caller)
            return act(at, asked)

    def _reader(self, caller: Caller) -> Reader:
        partner = caller.partner
        if partner is None:
            return Reader(shelves=self.shelves, eyes=Eyes(parties=None), partner=None)
        eyes = Eyes(parties=partner.parties, roles=partner.roles)
        return Reader(shelves=self.shelves, eyes=eyes, partner=partner.name)

    def base(self, request: Request) -> str:
        """The address of the endpoint: as partners reach it, else as this request was sent."""
        return f"{self.public_url or str(request.base_url).rstrip('/')}/fhir"

    def caller(self, request: Request) -> Caller:
        """Who asks; Turned where nobody has signed in who must."""
        if from_another_site(request):
            raise Turned(403, "forbidden", "nothing is told to another site's pages")
        caller = self.doorkeeper.caller(request)
        if caller is None:
            reason = "sign in with a bearer token or a client certificate"
            headers = {"WWW-Authenticate": self.doorkeeper.challenge(request)}
            raise Turned(401, "login", reason, headers=headers)
        return caller

    def _looked(
        self, at: Reading, what: str, fhir_id: str | None, shown: Iterable[Resource], *, kind: str
    ) -> None:
        """Write down who has looked, beside the answer and not before it."""
        patients = {found for one in shown if (found := patient_of(one)) is not None}
        count = len(list(shown))
        now = self.clock()
        if kind in UNVERSIONED:
            return
        self.shelves.store.submit(lambda tx: at.reader.looked(tx, what, kind, fhir_id, patients, count, now))

    # --- one resource ---

    def _read(self, at: Reading, _asked: "Asked") -> Response:
        kind, fhir_id = _name(at.request)
        found = at.reader.read(at.tx, kind, fhir_id)
        self._looked(at, "read", fhir_id, [found] if found else [], kind=kind)
        if found is None:
            raise _not_there()
        headers = versioned_headers(found)
        if _unchanged(at.request, headers):
            return Response(status_code=304, headers=headers)
        return written(found, at.media, headers=headers)

    def _vread(self, at: Reading, _asked: "Asked") -> Response:
        kind, fhir_id = _name(at.request)
        text = at.request.path_params["version"]
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
        found = at.reader.vread(at.tx, kind, fhir_id, number)
        self._looked(at, "vread", fhir_id, [found] if found else [], kind=kind)
        if found is None:
            raise _not_there()
        return written(found, at.media, headers=versioned_headers(found))

    def _history(self, at: Reading, asked: "Asked") -> Response:
        kind, fhir_id = _name(at.request)
        limit = MOST_IN_HISTORY
        for name, value in asked.pairs:
            if name == "_count":
                if not re.fullmatch(r"[1-9]\d{0,8}", value, re.ASCII):
                    raise Turned(400, "value", "_count is no whole number from 1 on", path=f"{kind}._count")
                limit = min(int(value), MOST_IN_HISTORY)
        told = at.reader.history(at.tx, kind, fhir_id, limit)
        self._looked(at, "history", fhir_id, [one for one, _ in told], kind=kind)
        if not told:
            raise _not_there()
        entries = [past(at.base, content, version["number"]) for content, version in told]
        link = [{"relation": "self", "url": f"{at.base}/{kind}/{fhir_id}/_history"}]
        bundle = {"resourceType": "Bundle", "type": "history", "total": len(entries), "link": link}
        return written(bundle | {"entry": entries}, at.media)

    def _document(self, at: Reading, asked: "Asked") -> Response:
        """The case as a discharge document: what the caller may read of it, put together now."""
        fhir_id = at.request.path_params["id"]
        episode = at.reader.read(at.tx, "EpisodeOfCare", fhir_id) if _ID.fullmatch(fhir_id) else None
        if episode is None:
            self._looked(at, "document", fhir_id, [], kind="EpisodeOfCare")
            raise _not_there()
        made = discharge_document_of(
            at.reader,
            at.tx,
            episode,
            asked=dict(asked.pairs),
            may_read=lambda kind: at.caller.may(kind, "r"),
            now=self.clock(),
            document_id=self.plans.new_id(),
        )
        self._looked(at, "document", fhir_id, [episode], kind="EpisodeOfCare")
        return written(made, at.media)

    # --- a change ---

    async def update(self, request: Request) -> Response:
        """PUT of a Task or CarePlan, made to the version that `If-Match` names (http.html#concurrency)."""
        if request.path_params["kind"] not in UPDATED:
            return await self._elsewhere(request)
        try:
            media = wanted(request)
            caller = self.caller(request)
            number = _if_match(request)
            content_type = _resource_media(request)
            given = parse_resource(await limited(request), content_type)
            _same_as_url(request, given)
            _may(caller, given["resourceType"], "u")
            changed = await run_in_threadpool(self._changed, caller, given, number)
        except Turned as found:
            return refusal(request, found)
        except Conflict as problem:
            return refusal(request, turned(problem, status=412, path="http.if-match"))
        except Quarantined as problem:
            return refusal(request, turned(problem, status=422, path=request.path_params["kind"]))
        except MessageError as problem:
            return refusal(request, turned(problem))
        except NotFound:
            return refusal(request, _not_there())
        except StoreError as error:
            return refusal(request, _later(error))
        return written(changed, media, headers=versioned_headers(changed, self.base(request)))

    def _changed(self, caller: Caller, given: Resource, number: int) -> Resource:
        reader = self._reader(caller)
        now = self.clock()
        kind, fhir_id = given["resourceType"], given["id"]

        def unit(tx: Connection) -> Resource:
            changed = self.plans.update(tx, reader, given, number, now, partner=caller.partner)
            patient = patient_of(changed)
            reader.looked(tx, "update", kind, fhir_id, [patient] if patient else [], 1, now)
            return changed

        return self.shelves.store.write(unit)

    # --- a search ---

    def _search(self, at: Reading, asked: "Asked") -> Response:
        kind = at.request.path_params["kind"]
        lenient = "handling=lenient" in at.request.headers.get("prefer", "").lower()
        try:
            query = read_query(kind, asked.pairs, zone=self.zone, lenient=lenient)
        except MessageError as problem:
            path = f"{kind}.{problem.reason.split(' ', 1)[0].rstrip(':')}"
            raise turned(problem, path=path, status=400) from None
        page = at.reader.search(at.tx, query)
        self._looked(at, "search", None, (*page.matches, *page.included), kind=kind)
        return written(self._searchset(at, asked, query, page), at.media)

    def _searchset(self, at: Reading, asked: "Asked", query: Query, page: Page) -> Resource:
        known = page.patients
        said = [self._sayable(n, v, known) for n, v in asked.pairs if n not in (*query.ignored, "_cursor")]
        here = f"{at.base}/{query.kind}"
        link = [{"relation": "self", "url": _url(here, said)}]
        if page.after is not None:
            link.append({"relation": "next", "url": _url(here, [*said, ("_cursor", cursor(page.after))])})
        bundle: Resource = {"resourceType": "Bundle", "type": "searchset"}
        if page.total is not None:
            bundle["total"] = page.total
        bundle["link"] = link
        entries = [entry(at.base, one, "match") for one in page.matches]
        along = (one for one in page.included if at.caller.may(one["resourceType"], "r"))
        entries += [entry(at.base, one, "include") for one in along]
        if query.ignored:
            entries.append(ignored(query.ignored))
        return bundle | ({"entry": entries} if entries else {})

    def _sayable(self, name: str, value: str, known: Collection[str]) -> tuple[str, str]:
        """A parameter as it may stand in a link: a person's number only as its hash, or as the patient.

        Under which name somebody is `known` here is told to those only who have found something of theirs.
        """
        parts = value.split(",")
        if name in ("patient.identifier", "subject.identifier"):
            patients = {part: self.shelves.patient_at(*part.rpartition("|")[::2]) for part in parts}
            found = [one if one in known else self.shelves.hashed(part) for part, one in patients.items()]
            return "patient", ",".join(found)
        if name == "identifier":
            return name, ",".join(self._without_number(part) for part in parts)
        return name, value

    def _without_number(self, part: str) -> str:
        personal = part.rpartition("|")[0] in PERSON_SYSTEMS or masked(part) != part
        return self.shelves.hashed(part) if personal else part

    # --- many at once ---

    async def batch(self, request: Request) -> Response:
        """A Bundle of reads and searches, each answered by itself (FHIR R4 http.html#transaction)."""
        try:
            media = wanted(request)
            self.caller(request)
            bundle = parse(await limited(request), request.headers.get("content-type"))
            if bundle.get("type") != "batch":
                raise Turned(422, "not-supported", "Bundle.type is not batch", path="Bundle.type")
            entries = bundle.get("entry") or []
            if not isinstance(entries, list) or len(entries) > MOST_IN_BATCH:
                reason = f"Bundle.entry: at most {MOST_IN_BATCH} at once"
                raise Turned(422, "too-costly", reason, path="Bundle.entry")
            answers = [
                await run_in_threadpool(self._one_of_many, request, n, e) for n, e in enumerate(entries)
            ]
        except Turned as found:
            return refusal(request, found)
        except MessageError as problem:
            return refusal(request, turned(problem))
        except StoreError as error:
            return refusal(request, _later(error))
        made = {"resourceType": "Bundle", "type": "batch-response"}
        return written(made | ({"entry": answers} if answers else {}), media)

    def _one_of_many(self, request: Request, number: int, item: Any) -> Resource:
        try:
            response = self._answer_to(request, number, item)
        except Turned as found:
            return failed(found)
        except MessageError as problem:
            return failed(turned(problem))
        except StoreError as error:
            return failed(_later(error))
        except Exception as error:  # noqa: BLE001  # its text may hold a patient's data; the others are answered
            return failed(_fault("batch", error))
        return response

    def _answer_to(self, request: Request, number: int, item: Any) -> Resource:
        path = f"Bundle.entry[{number}].request"
        asked = item.get("request") if isinstance(item, dict) else None
        method, url = (asked.get("method"), asked.get("url")) if isinstance(asked, dict) else (None, None)
        if method != "GET" or not isinstance(url, str):
            raise Turned(405, "not-supported", "only GET can be done in a batch", path=f"{path}.method")
        target, _, query = url.removeprefix(f"{self.base(request)}/").lstrip("/").partition("?")
        parts = target.split("/")
        act, names = self._act_for(parts, path)
        scope = {
            **request.scope,
            "path_params": names,
            "query_string": b"",
            "method": "GET",
            "headers": [pair for pair in request.scope["headers"] if pair[0] in _OF_THE_CALLER],
        }
        inner = Request(scope)
        asking = Asked(pairs=tuple(parse_qsl(query, keep_blank_values=True)))
        response = self._in_store(inner, act, asking, JSON)
        body = parse_any(response.body)
        made: Resource = {"resource": body, "response": {"status": str(response.status_code)}}
        if "etag" in response.headers:
            made["response"]["etag"] = response.headers["etag"]
        return made

    def _act_for(
        self, parts: Sequence[str], path: str
    ) -> tuple[Callable[[Reading, "Asked"], Response], dict[str, str]]:
        match parts:
            case [kind]:
                return self._search, {"kind": kind}
            case [kind, fhir_id]:
                return self._read, {"kind": kind, "id": fhir_id}
            case [kind, fhir_id, "_history"]:
                return self._history, {"kind": kind, "id": fhir_id}
            case [kind, fhir_id, "_history", version]:
                return self._vread, {"kind": kind, "id": fhir_id, "version": version}
            case _:
                raise Turned(404, "not-found", "there is nothing at that URL", path=f"{path}.url")


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """The parameters of a request, from its URL and its form."""

    pairs: tuple[tuple[str, str], ...]


async def limited(request: Request) -> bytes:
    """The body, up to `MOST_BYTES`."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MOST_BYTES:
            raise Turned(413, "too-long", f"more than {MOST_BYTES} bytes; send less at once")
        chunks.append(chunk)
    return b"".join(chunks)


async def _posted(request: Request) -> tuple[tuple[str, str], ...]:
    """What is asked in the body: a form of a search, or the Parameters of an operation."""
    if not request.url.path.endswith("$document"):
        return await _form(request)
    body = await limited(request)
    if not body.strip():
        return ()
    given = resource_in(body, _resource_media(request), "Parameters")
    pairs = ((one["name"], _first_value(one)) for one in given.get("parameter") or ())
    return tuple((name, value) for name, value in pairs if value is not None)


def _first_value(parameter: Resource) -> str | None:
    return next((v for k, v in parameter.items() if k.startswith("value") and isinstance(v, str)), None)


async def _form(request: Request) -> tuple[tuple[str, str], ...]:
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/x-www-form-urlencoded":
        reason = "a search is posted as application/x-www-form-urlencoded"
        raise Turned(415, "not-supported", reason, path="http.content-type")
    try:
        text = (await limited(request)).decode()
    except UnicodeDecodeError:
        raise Turned(400, "structure", "the form is not in UTF-8") from None
    return tuple(parse_qsl(text, keep_blank_values=True))


def parse_any(body: Any) -> Resource:
    """A resource that we have just written ourselves."""
    return dict(loads(bytes(body)))


def _allowed(request: Request) -> list[str]:
    """The methods that there are for this path."""
    found: set[str] = set()
    for route in request.app.routes:
        matched = route.path_regex.match(request.url.path) if isinstance(route, Route) else None
        if matched is None or route.endpoint.__name__ in _TURNING_AWAY:
            continue
        kind = matched.groupdict().get("kind")
        if (kind is None or _is_type(kind)) and not matched.groupdict().get("id", "").startswith("_"):
            found |= (route.methods or set()) - ({"PUT"} if kind not in (None, *UPDATED) else set())
    return sorted(found)


def _is_type(name: str) -> bool:
    if name in TYPES or name in UNVERSIONED:
        return True
    try:
        resource_class(name, name)
    except MessageError:
        return False
    return True


def _name(request: Request) -> tuple[str, str]:
    fhir_id = request.path_params["id"]
    if not _ID.fullmatch(fhir_id):
        raise _not_there()
    return request.path_params["kind"], fhir_id


def _fault(what: str, error: Exception) -> Turned:
    """What is answered where we have failed; the log has the place, and never what was asked."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{place.filename}:{place.lineno}"
    log.error("a request could not be answered", what=what, error=type(error).__name__, at=where)
    return Turned(
        500, "exception", "a fault of the adapter; nothing is changed: tell the adapter's operators"
    )


def _later(error: StoreError) -> Turned:
    return Turned(503, "transient", f"try again: {error}", headers={"Retry-After": "5"})


def _not_there() -> Turned:
    reason = "there is no such resource, or it is not for this caller; search for what there is"
    return Turned(404, "not-found", reason, path="http.path")


def _may(caller: Caller, kind: str, action: str) -> None:
    if not caller.may(kind, action):
        reason = f"the scopes of this caller do not allow this with {kind}"
        raise Turned(403, "forbidden", reason, headers={"WWW-Authenticate": insufficient_scope(kind, action)})


def _if_match(request: Request) -> int:
    given = request.headers.get("if-match", "").strip()
    found = re.fullmatch(r'(?:W/)?"(\d{1,9})"', given, re.ASCII)
    if found is None:
        reason = 'send If-Match with the ETag of the version that you have changed, as W/"3"'
        status, code = (400, "value") if given else (428, "required")
        raise Turned(status, code, reason, path="http.if-match")
    return int(found[1])


def _resource_media(request: Request) -> str:
    given = request.headers.get("content-type", "")
    media = given.partition(";")[0].strip().lower()
    if media not in ("application/fhir+json", "application/json", "application/fhir+xml", "application/xml"):
        raise Turned(415, "not-supported", f"send it as {JSON} or {XML}", path="http.content-type")
    return given


def _same_as_url(request: Request, given: Resource) -> None:
    kind, fhir_id = _name(request)
    if given["resourceType"] != kind:
        raise Turned(400, "invalid", f"the resource is no {kind}", path=f"{kind}.resourceType")
    if given.get("id") != fhir_id:
        raise Turned(400, "invalid", "the id is not that of the URL", path=f"{kind}.id")


def _unchanged(request: Request, headers: dict[str, str]) -> bool:
    """Whether it is still the version that the client has; weak and strong tags are compared alike."""
    known = request.headers.get("if-none-match", "").split(",")
    return "ETag" in headers and headers["ETag"].removeprefix("W/") in [
        one.strip().removeprefix("W/") for one in known
    ]


def _url(here: str, pairs: Sequence[tuple[str, str]]) -> str:
    return f"{here}?{urlencode(pairs)}" if pairs else here
