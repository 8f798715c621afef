"""`/fhir/openapi.json`: the endpoint as OpenAPI 3.1, made from what its CapabilityStatement is made from.

For tools that know HTTP and not FHIR. What stands in bodies is FHIR R4; only its outermost shape is told.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from adapter.fhir.publishing import VERSION
from adapter.fhir.searching import MOST
from adapter.fhir.sections import LANGUAGES
from adapter.fhir.serving import TYPES, includes
from adapter.fhir.wire import JSON, XML
from adapter.messaging.subscribing import Content, State
from adapter.web.fhir.capability import UNVERSIONED, UPDATED, search_params
from adapter.web.fhir.documents import PROFILES
from adapter.web.smart.endpoint import JWT_BEARER

Node = dict[str, Any]

FORM = "application/x-www-form-urlencoded"
MOST_IN_HISTORY = 100
"""Versions that a history shows."""

_ID = r"^[A-Za-z0-9\-.]{1,64}$"
_VERSION = r"^[0-9]{1,9}$"
_TOKEN = r"^([A-Za-z0-9:/.\-]{0,60}\|)?[A-Za-z0-9.\-]{1,60}(,[A-Za-z0-9.\-]{1,60}){0,9}$"  # noqa: S105  # of FHIR
_REFERENCE = r"^([A-Z][A-Za-z]{1,40}/)?[A-Za-z0-9\-.]{1,64}$"
_PATIENT = r"^(Patient/)?[A-Za-z0-9\-.]{1,64}(,(Patient/)?[A-Za-z0-9\-.]{1,64}){0,9}$"
_IDS = r"^[A-Za-z0-9\-.]{1,64}(,[A-Za-z0-9\-.]{1,64}){0,9}$"
_ETAG = r'^(W/)?"[0-9]{1,9}"$'
_DATE = (
    r"^(eq|ge|gt|le|lt|sa|eb)?(19[5-9][0-9]|20[0-9][0-9]|21[0-8][0-9])"
    r"(-(0[1-9]|1[0-2])(-(0[1-9]|1[0-9]|2[0-8])(T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{3})?Z)?)?)?$"
)
_PATTERNS = {"token": _TOKEN, "reference": _REFERENCE, "date": _DATE}

_WHY = {
    200: "done",
    201: "made; Location says where it is",
    204: "gone",
    202: "kept, and held until our own data is right; the receipt follows",
    304: "it is still the version that If-None-Match names",
    400: "the request or its content is wrong; diagnostics say what, expression says where",
    401: "sign in",
    403: "not from another site's page, or not in this sender's name",
    404: "it is not there, or not for this caller",
    405: "this cannot be done here",
    406: f"neither {JSON} nor {XML} is accepted",
    408: "the body came too slowly; send it again",
    412: "somebody else has changed it meanwhile; read it, and make the change to that version",
    413: "too large",
    415: f"Content-Type is neither {JSON} nor {XML}",
    422: "understood, and not taken; diagnostics say why",
    428: "If-Match is missing",
    429: "too many at once; try again",
    503: "not now; try again",
}
_DOOR = (400, 401, 403, 406, 503)


def openapi(base: str) -> Node:
    """The document of the endpoint at `base`."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Discharge adapter: FHIR R4",
            "version": VERSION,
            "description": "Messages about discharge, and the plans and tasks that come of them. FHIR "
            f"clients are told the same by {base}/metadata; docs/fhir-endpoint.md says it in words.",
        },
        "servers": [{"url": base}],
        "security": [{"bearer": []}, {"certificate": []}, {"smart": []}],
        "paths": paths(),
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "certificate": {"type": "mutualTLS"},
                "smart": _smart(base),
            },
            "schemas": _schemas(),
        },
    }


def paths() -> dict[str, Node]:
    """What can be done, by path."""
    kinds = sorted((*TYPES, *UNVERSIONED))
    made: dict[str, Node] = {
        "/metadata": {"get": _open("metadata", "CapabilityStatement")},
        "/openapi.json": {"get": _document()},
        "/$process-message": {"post": _process_message()},
        "/": {"post": _batch()},
        "/EpisodeOfCare/{id}/$document": {
            "parameters": [_id()],
            "get": _discharge_document("get"),
            "post": _discharge_document("post"),
        },
    }
    for kind in kinds:
        made |= _of_type(kind)
    return made | signing_in() | subscriptions()


def _of_type(kind: str) -> dict[str, Node]:
    one: Node = {"parameters": [_id()], "get": _read(kind)}
    if kind in UPDATED:
        one["put"] = _update(kind)
    made: dict[str, Node] = {
        f"/{kind}": {"get": _search(kind)},
        f"/{kind}/_search": {"post": _search_form(kind)},
        f"/{kind}/{{id}}": one,
    }
    if kind in UNVERSIONED:
        return made
    version = _parameter("version", "path", {"type": "string", "pattern": _VERSION}, required=True)
    return made | {
        f"/{kind}/{{id}}/_history": {"parameters": [_id()], "get": _history(kind)},
        f"/{kind}/{{id}}/_history/{{version}}": {"parameters": [_id(), version], "get": _vread(kind)},
    }


# --- signing in (SMART Backend Services) -------------------------------------------------------------------


def _smart(base: str) -> Node:
    scopes = {
        "system/*.cruds": "everything that the partner may do",
        "system/*.rs": "read and search",
        "system/Bundle.c": "send messages",
    }
    return {
        "type": "oauth2",
        "description": "SMART Backend Services: the client signs an assertion with its registered key.",
        "flows": {"clientCredentials": {"tokenUrl": f"{base}/token", "scopes": scopes}},
    }


def signing_in() -> dict[str, Node]:
    """Where a client learns how to sign in, and where it does."""
    return {
        "/.well-known/smart-configuration": {
            "get": {
                "operationId": "smart-configuration",
                "summary": "What a client must know to sign in",
                "security": [],
                "responses": {"200": _plain(200, _object("token_endpoint", "capabilities"))},
            }
        },
        "/token": {"post": _token()},
    }


def _token() -> Node:
    refusal = _object("error", "error_description")
    form = _object("grant_type", "client_assertion_type", "client_assertion")
    form["properties"] |= {
        "grant_type": {"const": "client_credentials"},
        "client_assertion_type": {"const": JWT_BEARER},
        "client_id": {"type": "string"},
        "scope": {"type": "string", "examples": ["system/Task.rs"]},
    }
    given = _object("access_token", "token_type", "scope")
    given["properties"]["expires_in"] = {"type": "integer"}
    refused = {str(status): _plain(status, refusal) for status in (400, 403, 405, 408, 413, 429, 503)}
    return {
        "operationId": "token",
        "summary": "Ask for an access token; refusals are those of RFC 6749 section 5.2",
        "security": [],
        "requestBody": {"required": True, "content": {FORM: {"schema": form}}},
        "responses": {"200": _plain(200, given), **refused},
    }


def _plain(status: int, schema: Node) -> Node:
    return {"description": _WHY[status], "content": {"application/json": {"schema": schema}}}


def _object(*required: str) -> Node:
    properties = {name: {"type": "array" if name == "capabilities" else "string"} for name in required}
    return {"type": "object", "properties": properties, "required": list(required)}


# --- subscriptions ----------------------------------------------------------------------------------------


def subscriptions() -> dict[str, Node]:
    """What can be done with a Subscription (HL7 Subscriptions R5 Backport for R4)."""
    one: Node = {"parameters": [_id()]}
    states = [
        _parameter("id", "query", {"type": "string", "pattern": _IDS}),
        _parameter("status", "query", {"enum": [state.value for state in State]}),
    ]
    return {
        "/Subscription": {"get": _subscribed(), "post": _subscribe()},
        "/Subscription/$status": _asked("subscriptions-status", "Where subscriptions stand", states),
        "/Subscription/{id}": one
        | {
            "get": _operation(
                "read-Subscription", "Read Subscription", "Subscription", [_format()], _OF_SUBSCRIPTION
            ),
            "put": _resubscribe(),
            "delete": _unsubscribe(),
        },
        "/Subscription/{id}/$status": one | _asked("subscription-status", "Where it stands", []),
        "/Subscription/{id}/$events": one | _asked("subscription-events", "What it has told", _events()),
    }


_OF_SUBSCRIPTION = (400, 401, 403, 404, 503)


def _subscribed() -> Node:
    number = {"type": "integer", "minimum": 0, "maximum": 999_999_999}
    known = [
        _format(),
        _parameter("_id", "query", {"type": "string", "pattern": _IDS}),
        _parameter("status", "query", {"type": "string", "enum": [state.value for state in State]}),
        _parameter("criteria", "query", {"type": "string"}),
        _parameter("url", "query", {"type": "string", "format": "uri"}),
        _parameter("_count", "query", number),
        _parameter("_offset", "query", number),
    ]
    refused = (400, 401, 403, 422, 503)
    return _operation("search-Subscription", "Search one's own subscriptions", "Bundle", known, refused)


def _subscribe() -> Node:
    refused = (400, 401, 403, 413, 415, 422, 503)
    made = _operation("create-Subscription", "Subscribe", None, [_format()], refused)
    made["responses"]["201"] = {"description": _WHY[201], "content": _contents(_ref("Subscription"))}
    return made | {"requestBody": _body(_ref("Subscription"))}


def _resubscribe() -> Node:
    match = _parameter("If-Match", "header", {"type": "string", "pattern": _ETAG})
    refused = (*_OF_SUBSCRIPTION, 412, 413, 415, 422)
    made = _operation("update-Subscription", "Change", "Subscription", [_format(), match], refused)
    return made | {"requestBody": _body(_ref("Subscription"))}


def _unsubscribe() -> Node:
    made = _operation("delete-Subscription", "Be told no more", None, [_format()], _OF_SUBSCRIPTION)
    made["responses"]["204"] = {"description": _WHY[204]}
    return made


def _events() -> list[Node]:
    number = {"type": "integer", "minimum": 1, "maximum": 999_999_999}
    return [
        _parameter("eventsSinceNumber", "query", number),
        _parameter("eventsUntilNumber", "query", number),
        _parameter("content", "query", {"enum": [content.value for content in Content]}),
    ]


def _asked(name: str, summary: str, known: list[Node]) -> Node:
    """An operation that may be asked either way: with parameters in the address, or with Parameters."""
    refused = (*_OF_SUBSCRIPTION, 422)
    got = _operation(name, summary, "Bundle", [_format(), *known], refused)
    posted = _operation(f"{name}-posted", summary, "Bundle", [_format(), *known], (*refused, 413, 415))
    return {"get": got, "post": posted | {"requestBody": _body(_ref("Parameters")) | {"required": False}}}


# --- operations -------------------------------------------------------------------------------------------


def _open(name: str, kind: str) -> Node:
    made = _operation(name, f"The {kind}", kind, [_format()], (400, 406))
    return made | {"security": []}


def _document() -> Node:
    content = {"application/json": {"schema": {"type": "object", "required": ["openapi", "paths"]}}}
    return {
        "operationId": "openapi",
        "summary": "This document",
        "security": [],
        "responses": {"200": {"description": _WHY[200], "content": content}},
    }


def _process_message() -> Node:
    refused = (400, 401, 403, 408, 413, 415, 422, 503)
    made = _operation("process-message", "Send a message Bundle", None, [], refused)
    answer = {JSON: {"schema": _ref("Answer")}, XML: {"schema": {}}, "application/xml": {"schema": {}}}
    for status in (200, 202):
        made["responses"][str(status)] = {"description": _WHY[status], "content": answer}
    for status in (400, 403, 413, 422):  # what is refused is answered with a receipt where it can be
        made["responses"][str(status)]["content"] = answer
    return made | {"requestBody": _body({"allOf": [_ref("Bundle"), _of_bundle("message")]})}


def _batch() -> Node:
    made = _operation("batch", "Reads and searches, many at once", "Bundle", [_format()], (*_DOOR, 413, 422))
    return made | {"requestBody": _body({"allOf": [_ref("Bundle"), _of_bundle("batch")]})}


def _discharge_document(method: str) -> Node:
    known = [
        _parameter("profile", "query", {"enum": list(PROFILES)}),
        _parameter("language", "query", {"enum": sorted(LANGUAGES)}),
    ]
    summary = "The stay in one document, of what the caller may read of it"
    refused = (*_DOOR, 404, *((408, 413, 415) if method == "post" else ()))
    made = _operation(f"document-{method}", summary, "Bundle", [_format(), *known], refused)
    if method == "post":
        made["requestBody"] = _body(_ref("Parameters")) | {"required": False}
    return made


def _search(kind: str) -> Node:
    prefer = _parameter("Prefer", "header", {"type": "string", "examples": ["handling=lenient"]})
    known = [_parameter(n, "query", s) for n, s in _searched(kind).items()]
    return _operation(f"search-{kind}", f"Search {kind}", "Bundle", [*known, prefer], (*_DOOR, 404))


def _search_form(kind: str) -> Node:
    made = _operation(
        f"search-form-{kind}", f"Search {kind}, keeping the terms out of the URL", "Bundle", [], ()
    )
    form = {"type": "object", "properties": _searched(kind), "additionalProperties": False}
    made["requestBody"] = {"required": True, "content": {FORM: {"schema": form}}}
    made["responses"] |= _refusals((*_DOOR, 404, 413, 415))
    return made


def _read(kind: str) -> Node:
    known = _parameter("If-None-Match", "header", {"type": "string", "examples": ['W/"1"']})
    made = _operation(f"read-{kind}", f"Read {kind}", kind, [_format(), known], (*_DOOR, 404))
    made["responses"]["304"] = {"description": _WHY[304]}
    return made


def _update(kind: str) -> Node:
    match = _parameter("If-Match", "header", {"type": "string", "pattern": _ETAG}, required=True)
    refused = (*_DOOR, 404, 412, 413, 415, 422, 428)
    made = _operation(f"update-{kind}", f"Change {kind}", kind, [_format(), match], refused)
    return made | {"requestBody": _body(_ref(kind))}


def _history(kind: str) -> Node:
    count = _parameter(
        "_count",
        "query",
        {
            "type": "integer",
            "minimum": 1,
            "maximum": 999_999_999,
            "description": f"at most {MOST_IN_HISTORY}",
        },
    )
    return _operation(f"history-{kind}", f"Versions of {kind}", "Bundle", [_format(), count], (*_DOOR, 404))


def _vread(kind: str) -> Node:
    return _operation(f"vread-{kind}", f"Read one version of {kind}", kind, [_format()], (*_DOOR, 404))


def _operation(
    name: str, summary: str, answer: str | None, parameters: list[Node], refused: Iterable[int]
) -> Node:
    made: Node = {"operationId": name, "summary": summary, "responses": _refusals(refused)}
    if parameters:
        made["parameters"] = parameters
    if answer is not None:
        made["responses"]["200"] = {"description": _WHY[200], "content": _contents(_ref(answer))}
    return made


# --- parameters, bodies, answers --------------------------------------------------------------------------


def _searched(kind: str) -> dict[str, Node]:
    """Every parameter of a search with its schema."""
    made: dict[str, Node] = {}
    for known in search_params(kind):
        pattern = _PATTERNS[known["type"]]
        if known["name"] in ("_id", "patient"):
            pattern = _IDS if known["name"] == "_id" else _PATIENT
        made[known["name"]] = {"type": "string", "pattern": pattern}
    followed = [f"{kind}:{name}" for name in includes(kind)] if kind in TYPES else []
    made |= {
        "_count": {"type": "integer", "minimum": 0, "maximum": 999_999_999, "description": f"at most {MOST}"},
        "_sort": {"enum": ["_lastUpdated", "-_lastUpdated", "_id", "-_id"]},
        "_total": {"enum": ["none", "estimate", "accurate"]},
        "_summary": {"enum": ["count", "false"]},
        "_format": _format()["schema"],
    }
    if followed:
        made["_include"] = {"enum": [*followed, "*"]}
    return made


def _parameter(name: str, place: str, schema: Node, *, required: bool = False) -> Node:
    made: Node = {"name": name, "in": place, "schema": schema}
    return made | ({"required": True} if required else {})


def _id() -> Node:
    return _parameter("id", "path", {"type": "string", "pattern": _ID}, required=True)


def _format() -> Node:
    return _parameter("_format", "query", {"enum": ["json", "xml", JSON, XML]})


def _body(schema: Node) -> Node:
    return {"required": True, "content": {JSON: {"schema": schema}, XML: {"schema": {"type": "string"}}}}


def _contents(schema: Node) -> Node:
    return {JSON: {"schema": schema}, XML: {"schema": {}}}


def _refusals(statuses: Iterable[int]) -> dict[str, Node]:
    return {
        str(status): {"description": _WHY[status], "content": _contents(_ref("OperationOutcome"))}
        for status in sorted({*statuses, 405})
    }


def _ref(kind: str) -> Node:
    return {"$ref": f"#/components/schemas/{kind}"}


def _of_bundle(kind: str) -> Node:
    return {"type": "object", "properties": {"type": {"const": kind}}, "required": ["type"]}


def _schemas() -> Mapping[str, Node]:
    others = ("CapabilityStatement", "OperationOutcome", "Bundle", "Parameters", "Subscription")
    kinds = sorted((*TYPES, *UNVERSIONED, *others))
    made = {kind: _shape(kind) for kind in kinds}
    for kind in UPDATED:
        made[kind] = _shape(kind, status={"type": "string"}, intent={"type": "string"})
    made["Bundle"] = _shape("Bundle", type={"type": "string"}, entry=_list(minimum=1))
    made["OperationOutcome"] = _shape("OperationOutcome", issue=_list(minimum=1))
    made["Parameters"] = _shape("Parameters", parameter=_list(minimum=1))
    made["Subscription"] = _shape(
        "Subscription", status={"type": "string"}, criteria={"type": "string"}, channel={"type": "object"}
    )
    return made | {"Answer": {"anyOf": [_ref("Bundle"), _ref("OperationOutcome")]}}


def _shape(kind: str, **properties: Node) -> Node:
    known = {"resourceType": {"const": kind}, "id": {"type": "string", "pattern": _ID}, **properties}
    return {
        "type": "object",
        "properties": known,
        "required": ["resourceType"],
        "externalDocs": {"url": f"http://hl7.org/fhir/R4/{kind.lower()}.html"},
    }


def _list(*, minimum: int) -> Node:
    return {"type": "array", "items": {"type": "object"}, "minItems": minimum}
