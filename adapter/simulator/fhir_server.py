"""A partner's FHIR server on loopback: versions, ETags and conditional requests (FHIR R4 http.html).

It creates with `If-None-Exist`, updates with `If-Match` or by a search, reads with `If-None-Match`, takes a
transaction whole or not at all, and searches by `_id`, `identifier`, `_tag`, `_lastUpdated` with `_include`.
Faults are ordered one by one, and each strikes one request.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import orjson

from adapter.fhir.bundles import Bundle, Resource
from adapter.fhir.serving import includes, references
from adapter.simulator.http import Answer, Listener, Request

FHIR_JSON = "application/fhir+json"


class Ordered(StrEnum):
    """What a server does wrong when somebody has ordered it."""

    ERROR = "error"  # 500, nothing done
    BUSY = "busy"  # 503, nothing done
    RESET = "reset"  # the connection breaks, nothing done
    LOST = "lost"  # it is done, and the connection breaks before the answer
    SLOW = "slow"  # it is done, and the answer takes `slow` seconds
    STALE = "stale"  # 412, whatever version was said


@dataclass(kw_only=True)
class Fault:
    """One fault, for the first request of that method whose path begins so."""

    kind: Ordered
    method: str | None = None
    path: str = ""

    def strikes(self, method: str, path: str) -> bool:
        """Whether it is meant for that request."""
        return self.method in (None, method) and path.startswith(self.path)


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """One request, as it came."""

    method: str
    path: str  # below the base, with its query
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class _Failure(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(str(status))
        self.status = status


@dataclass(kw_only=True)
class _Done:
    status: int
    resource: Resource | None = None
    created: bool = False


class FhirServer:
    """An in-memory store behind real HTTP; `holds` has the versions of each resource, newest last."""

    def __init__(
        self,
        name: str,
        *,
        clock: Callable[[], datetime] = lambda: datetime.fromtimestamp(0, UTC),
        port: int = 0,
        transactions: bool = True,
        slow: float = 0.5,
    ) -> None:
        self.name = name
        self.port = port
        self.transactions = transactions
        self.slow = slow
        self.holds: dict[str, list[Resource]] = {}
        self.asked: list[Asked] = []
        self.faults: list[Fault] = []
        self.includes = True  # False: a search with `_include` is answered 400
        self.refuses: int | None = None  # a status for every request from now on
        self.lies: str | None = None  # another server's base, where Locations and links shall lead
        self.on_asked: Callable[[Asked], None] = lambda _: None  # in the server's own thread
        self._clock = clock
        self._numbers = 0
        self._listener = Listener(self.handle)

    @property
    def base(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.port}/fhir"

    async def start(self) -> None:
        """Listen; port 0 becomes a free one."""
        self.port = await self._listener.open(self.port)

    async def stop(self) -> None:
        """Listen no more."""
        self._listener.close()

    def order(self, kind: Ordered, method: str | None = None, path: str = "") -> None:
        """Let the next such request go wrong."""
        self.faults.append(Fault(kind=kind, method=method, path=path))

    # --- for those who look at it, or work on it themselves ---

    def newest(self, kind: str) -> list[Resource]:
        """The newest version of everything of a type."""
        found = (v[-1] for n, v in self.holds.items() if n.startswith(f"{kind}/"))
        return [one for one in found if not one.get("_deleted")]

    def one(self, kind: str) -> Resource:
        """The only resource of a type."""
        (found,) = self.newest(kind)
        return deepcopy(found)

    def put(self, resource: Resource) -> Resource:
        """Somebody at that place saves a resource, new or changed."""
        made = deepcopy(resource)
        made.setdefault("id", self._new_id(made["resourceType"]))
        return self._save(made)

    def delete(self, kind: str, id: str) -> None:
        """Somebody there deletes it."""
        self.holds[f"{kind}/{id}"].append({"resourceType": kind, "id": id, "_deleted": True})

    def requests(self, method: str, path: str = "") -> list[Asked]:
        """The requests of that method whose path begins so."""
        return [one for one in self.asked if one.method == method and one.path.startswith(path)]

    # --- HTTP ---

    def handle(self, request: Request) -> Answer:
        """The answer to one request."""
        parts = urlsplit(request.path)
        path = unquote(parts.path).removeprefix("/fhir").strip("/")
        query = f"?{parts.query}" if parts.query else ""
        told = Asked(method=request.method, path=path + query, headers=request.headers, body=request.body)
        self.asked.append(told)
        self.on_asked(told)
        if self.refuses is not None:
            return Answer(status=self.refuses)
        fault = next((f for f in self.faults if f.strikes(request.method, path)), None)
        if fault is not None:
            self.faults.remove(fault)
        match fault.kind if fault is not None else None:
            case Ordered.ERROR:
                return Answer(status=500)
            case Ordered.BUSY:
                return Answer(status=503)
            case Ordered.STALE:
                return Answer(status=412)
            case Ordered.RESET:
                return Answer(status=0, reset=True)
            case Ordered.LOST:
                self._answer(request, path, parts.query)
                return Answer(status=0, reset=True)
            case Ordered.SLOW:
                done = self._answer(request, path, parts.query)
                return Answer(
                    status=done.status,
                    body=done.body,
                    content_type=done.content_type,
                    wait=self.slow,
                    headers=done.headers,
                )
        return self._answer(request, path, parts.query)

    def _answer(self, request: Request, path: str, query: str) -> Answer:
        try:
            return self._routed(request, path, query)
        except _Failure as failure:
            outcome = {
                "resourceType": "OperationOutcome",
                "issue": [{"severity": "error", "code": "processing"}],
            }
            return Answer(status=failure.status, body=orjson.dumps(outcome), content_type=FHIR_JSON)
        except (ValueError, LookupError, TypeError):
            return Answer(status=400)

    def _routed(self, request: Request, path: str, query: str) -> Answer:
        method, terms = request.method, parse_qsl(query)
        words = path.split("/") if path else []
        if method == "GET" and words == ["metadata"]:
            return _json(200, self._capabilities())
        if method == "POST" and not words:
            return _json(200, self._transaction(orjson.loads(request.body)))
        if method == "POST" and words[1:] == ["_search"]:
            return _json(200, self._search(words[0], parse_qsl(request.body.decode())))
        if method == "GET" and len(words) == 1:
            return _json(200, self._search(words[0], terms))
        if method == "GET":
            return self._read(words[0], words[1], request.headers.get("if-none-match"))
        body = orjson.loads(request.body)
        if method == "POST":
            return self._said(self._create(body, request.headers.get("if-none-exist")))
        if method == "PUT" and len(words) == 2:
            return self._said(self._update(body, words[1], request.headers.get("if-match")))
        if method == "PUT":
            return self._said(self._update_where(body, terms, request.headers.get("if-match")))
        raise _Failure(405)

    def _said(self, done: _Done) -> Answer:
        assert done.resource is not None
        where = f"{self.lies or self.base}/{_version_path(done.resource)}"
        return _json(done.status, done.resource, ETag=_etag(done.resource), Location=where)

    def _capabilities(self) -> Resource:
        interactions = [{"code": "transaction"}] if self.transactions else []
        rest = {"mode": "server", "interaction": interactions}
        return {
            "resourceType": "CapabilityStatement",
            "status": "active",
            "kind": "instance",
            "fhirVersion": "4.0.1",
            "format": ["json"],
            "rest": [{key: value for key, value in rest.items() if value}],
        }

    # --- the interactions ---

    def _read(self, kind: str, id: str, known: str | None) -> Answer:
        versions = self.holds.get(f"{kind}/{id}")
        if versions is None:
            raise _Failure(404)
        if versions[-1].get("_deleted"):
            raise _Failure(410)
        if known == _etag(versions[-1]):
            return Answer(status=304, headers={"ETag": known})
        return _json(200, versions[-1], ETag=_etag(versions[-1]))

    def _create(self, body: Resource, criterion: str | None) -> _Done:
        found = list(self._matching(body["resourceType"], parse_qsl(criterion))) if criterion else []
        if len(found) > 1:
            raise _Failure(412)
        if found:
            return _Done(status=200, resource=found[0])
        made = body | {"id": self._new_id(body["resourceType"])}
        return _Done(status=201, resource=self._save(made), created=True)

    def _update(self, body: Resource, id: str, known: str | None) -> _Done:
        versions = self.holds.get(f"{body['resourceType']}/{id}")
        if versions is None:
            raise _Failure(404)
        if known is not None and known != _etag(versions[-1]):
            raise _Failure(412)
        if body.get("id") != id:
            raise _Failure(400)
        return _Done(status=200, resource=self._save(body))

    def _update_where(self, body: Resource, terms: list[tuple[str, str]], known: str | None) -> _Done:
        found = list(self._matching(body["resourceType"], terms))
        if len(found) > 1:
            raise _Failure(412)
        if not found:
            return self._create(body, None)
        return self._update(body | {"id": found[0]["id"]}, found[0]["id"], known)

    def _transaction(self, bundle: Bundle) -> Bundle:
        """Every entry or none; references to `urn:uuid:` lead to what was created or matched."""
        if not self.transactions or bundle.get("type") != "transaction":
            raise _Failure(405 if not self.transactions else 400)
        before, numbers = {name: list(found) for name, found in self.holds.items()}, self._numbers
        try:
            done = [self._entry(item) for item in bundle["entry"]]
            ways = {
                item["fullUrl"]: f"{one.resource['resourceType']}/{one.resource['id']}"
                for item, one in zip(bundle["entry"], done, strict=True)
                if "fullUrl" in item and one.resource is not None
            }
            for one in done:
                if one.resource is not None:
                    self._lead(one.resource, ways)
        except Exception:  # whatever it was, a transaction is all or nothing, and it goes on up
            self.holds, self._numbers = before, numbers
            raise
        return {
            "resourceType": "Bundle",
            "type": "transaction-response",
            "entry": [{"response": _response(one, self.lies)} for one in done],
        }

    def _entry(self, item: Resource) -> _Done:
        asked, body = item["request"], item.get("resource") or {}
        if asked["method"] == "POST":
            return self._create(body, asked.get("ifNoneExist"))
        kind, _, id = asked["url"].partition("/")
        if asked["method"] != "PUT" or kind != body["resourceType"]:
            raise _Failure(400)
        return self._update(body, id, asked.get("ifMatch"))

    def _lead(self, resource: Resource, ways: dict[str, str]) -> None:
        versions = self.holds[f"{resource['resourceType']}/{resource['id']}"]
        if versions[-1] is resource:
            versions[-1] = _led(resource, ways)

    # --- searching ---

    def _search(self, kind: str, terms: list[tuple[str, str]]) -> Bundle:
        if not self.includes and any(name == "_include" for name, _ in terms):
            raise _Failure(400)
        found = list(self._matching(kind, terms))
        found.sort(key=lambda one: str(one["meta"]["lastUpdated"]))
        entries = [self._listed(one, "match") for one in found]
        named = [self._included(one, path) for name, path in terms if name == "_include" for one in found]
        wanted = dict.fromkeys(target for several in named for target in several)
        entries += [self._listed(self.holds[t][-1], "include") for t in wanted if t in self.holds]
        return {"resourceType": "Bundle", "type": "searchset", "total": len(found), "entry": entries}

    def _listed(self, resource: Resource, mode: str) -> Resource:
        url = f"{self.base}/{resource['resourceType']}/{resource['id']}"
        return {"fullUrl": url, "resource": resource, "search": {"mode": mode}}

    def _included(self, resource: Resource, path: str) -> list[str]:
        kind, _, name = path.partition(":")
        params = dict(includes(kind))
        params["subject"] = params.get("patient", next(iter(params.values())))
        if kind != resource["resourceType"] or name not in params:
            return []
        return list(references(resource, params[name].path))

    def _matching(self, kind: str, terms: list[tuple[str, str]]) -> Iterator[Resource]:
        for resource in self.newest(kind):
            if all(_fits(resource, name, value) for name, value in terms):
                yield resource

    # --- storing ---

    def _new_id(self, kind: str) -> str:
        self._numbers += 1
        return f"{self.name}-{self._numbers}"

    def _save(self, resource: Resource) -> Resource:
        versions = self.holds.setdefault(f"{resource['resourceType']}/{resource['id']}", [])
        meta = dict(resource.get("meta") or {})
        at = self._clock().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        saved = resource | {"meta": meta | {"versionId": str(len(versions) + 1), "lastUpdated": at}}
        versions.append(saved)
        return saved


def _json(status: int, resource: Resource, **headers: str) -> Answer:
    return Answer(status=status, body=orjson.dumps(resource), content_type=FHIR_JSON, headers=headers)


def _etag(resource: Resource) -> str:
    return f'W/"{resource["meta"]["versionId"]}"'


def _version_path(resource: Resource) -> str:
    return f"{resource['resourceType']}/{resource['id']}/_history/{resource['meta']['versionId']}"


def _response(done: _Done, elsewhere: str | None) -> Resource:
    assert done.resource is not None
    where = _version_path(done.resource)
    return {
        "status": f"{done.status} {'Created' if done.created else 'OK'}",
        "location": f"{elsewhere}/{where}" if elsewhere is not None else where,
        "etag": _etag(done.resource),
        "lastModified": done.resource["meta"]["lastUpdated"],
    }


def _led(found: Any, ways: dict[str, str]) -> Any:
    if isinstance(found, dict):
        made = {key: _led(value, ways) for key, value in found.items()}
        target = made.get("reference")
        if isinstance(target, str) and target in ways:
            made["reference"] = ways[target]
        return made
    return [_led(item, ways) for item in found] if isinstance(found, list) else found


def _fits(resource: Resource, name: str, value: str) -> bool:
    if name == "_id":
        return resource["id"] in value.split(",")
    if name == "status" and "status" in resource:
        return resource["status"] in value.split(",")
    if name == "_lastUpdated":
        since = datetime.fromisoformat(value.removeprefix("ge"))
        return datetime.fromisoformat(resource["meta"]["lastUpdated"]) >= since
    if name == "_tag":
        return any(_is(tag, value, "code") for tag in resource["meta"].get("tag") or ())
    if name == "identifier":
        told = resource.get("identifier") or []
        return any(_is(one, value, "value") for one in (told if isinstance(told, list) else [told]))
    return True


def _is(found: Resource, token: str, key: str) -> bool:
    system, bar, value = token.rpartition("|")
    return (not bar or found.get("system") == system) and (not value or found.get(key) == value)
