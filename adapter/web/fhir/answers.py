"""How `/fhir` answers: JSON or XML as the client asks, errors always as an OperationOutcome with a path."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from adapter.errors import MessageError
from adapter.fhir.bundles import Resource
from adapter.fhir.wire import JSON, XML, place_in, to_json
from adapter.fhir.xml_writing import resource_xml

STATUS_OF = {
    "forbidden": 403,
    "not-found": 404,
    "conflict": 409,
    "deleted": 410,
    "multiple-matches": 412,
    "too-costly": 400,
    "business-rule": 422,
    "invariant": 422,
    "not-supported": 400,
}
"""HTTP status by issue type; 400 for every other."""

HTTP_PLACES = {
    401: "http.authorization",
    403: "http.authorization",
    405: "http.method",
    406: "http.accept",
    408: "http.content-length",
    413: "http.content-length",
    415: "http.content-type",
}
"""What an answer of such a status is about, where it is about the request and not about what it holds."""

_A_PATH = re.compile(r"(Task|CarePlan|Bundle|[A-Z][A-Za-z]+[.\[]\S+)", re.ASCII)
_JSON_NAMES = ("json", "application/json", "application/fhir+json", "text/json")
_XML_NAMES = ("xml", "application/xml", "application/fhir+xml", "text/xml")


class Turned(Exception):
    """A request that is answered with an OperationOutcome."""

    def __init__(
        self,
        status: int,
        code: str,
        reason: str,
        *,
        path: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(reason)
        self.status, self.code, self.reason, self.path = status, code, reason, path
        self.headers = dict(headers or {})


def turned(problem: MessageError, *, path: str | None = None, status: int | None = None) -> Turned:
    """A refusal of the pure packages as an answer; its path is what its sentence begins with."""
    code = problem.code or "invalid"
    first = problem.reason.split(" ", 1)[0].rstrip(":,")
    found = path or (first if _A_PATH.fullmatch(first) else None)
    return Turned(status or STATUS_OF.get(code, 400), code, problem.reason, path=found)


def wanted(request: Request, pairs: Iterable[tuple[str, str]] = ()) -> str:
    """JSON or XML: `_format` of the URL or of a form, else `Accept`; Turned where neither will do."""
    asked = request.query_params.get("_format") or dict(pairs).get("_format")
    if asked is not None:
        name = asked.partition(";")[0].strip().lower().replace(" ", "+")
        if name in _JSON_NAMES:
            return JSON
        if name in _XML_NAMES:
            return XML
        raise Turned(406, "not-supported", "_format is json or xml", path="_format")
    return _accepted(request.headers.get("accept", "*/*"))


def _accepted(text: str) -> str:
    best, quality = None, 0.0
    for part in text.lower().split(","):
        name, _, rest = part.partition(";")
        kind = _kind(name.strip())
        weight = _weight(rest)
        if kind is not None and weight > quality:
            best, quality = kind, weight
    if best is None:
        raise Turned(406, "not-supported", f"ask for {JSON} or {XML}", path="http.accept")
    return best


def _kind(name: str) -> str | None:
    if name in _JSON_NAMES or name in ("*/*", "application/*", "", "text/html"):
        return JSON
    return XML if name in _XML_NAMES else None


def _weight(rest: str) -> float:
    for item in rest.split(";"):
        key, _, value = item.strip().partition("=")
        if key == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def outcome(found: Turned) -> Resource:
    """The OperationOutcome that says what is wrong, where, and what to do."""
    issue: Resource = {"severity": "error", "code": found.code, "diagnostics": found.reason}
    issue["expression"] = [
        found.path or HTTP_PLACES.get(found.status) or place_in(found.reason) or "http.path"
    ]
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def refusal(request: Request, found: Turned) -> Response:
    """The answer to a request that is turned away."""
    try:
        media = wanted(request)
    except Turned:
        media = JSON
    return written(outcome(found), media, status=found.status, headers=found.headers)


def written(
    resource: Resource, media: str, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A resource as the client asked for it. What is somebody's health is not kept by caches on the way."""
    body = resource_xml(resource) if media == XML else to_json(resource)
    all_headers = {"Cache-Control": "private, no-store", "Vary": "Accept", **(headers or {})}
    return Response(body, status_code=status, media_type=f"{media}; charset=utf-8", headers=all_headers)


def versioned_headers(resource: Resource, base: str | None = None) -> dict[str, str]:
    """ETag and Last-Modified; with `base` also where that version can be read again."""
    meta: dict[str, Any] = resource.get("meta") or {}
    headers = {}
    if "versionId" in meta:
        headers["ETag"] = f'W/"{meta["versionId"]}"'
    if "lastUpdated" in meta:
        headers["Last-Modified"] = http_date(datetime.fromisoformat(meta["lastUpdated"]))
    if base is not None and "versionId" in meta:
        name = f"{resource['resourceType']}/{resource['id']}"
        headers["Content-Location"] = f"{base}/{name}/_history/{meta['versionId']}"
    return headers


def http_date(at: datetime) -> str:
    """An instant as HTTP writes it (RFC 9110 5.6.7)."""
    return format_datetime(at.astimezone(UTC), usegmt=True)


# --- entries of Bundles -----------------------------------------------------------------------------------


def past(base: str, content: Resource, number: int) -> Resource:
    """A version as an entry of a history."""
    name = f"{content['resourceType']}/{content['id']}"
    method = "POST" if number == 1 else "PUT"
    return {
        "fullUrl": f"{base}/{name}",
        "resource": content,
        "request": {"method": method, "url": name if method == "PUT" else content["resourceType"]},
        "response": {
            "status": "201" if number == 1 else "200",
            "etag": f'W/"{number}"',
            "lastModified": content["meta"]["lastUpdated"],
        },
    }


def entry(base: str, content: Resource, mode: str) -> Resource:
    """A resource as an entry of a searchset; `mode` is match or include."""
    name = f"{content['resourceType']}/{content['id']}"
    return {"fullUrl": f"{base}/{name}", "resource": content, "search": {"mode": mode}}


def ignored(names: Sequence[str]) -> Resource:
    """The entry that says that parameters were left out."""
    reason = f"parameters that are not known here were left out: {len(names)}"
    issue = {"severity": "warning", "code": "not-supported", "diagnostics": reason}
    return {
        "resource": {"resourceType": "OperationOutcome", "issue": [issue]},
        "search": {"mode": "outcome"},
    }


def failed(found: Turned) -> Resource:
    """The entry of a batch-response for what was turned away."""
    return {"response": {"status": str(found.status), "outcome": outcome(found)}}
