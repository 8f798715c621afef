"""A plan as it is put on another's FHIR server, and as it is read back: under their ids there, ours here.

Each resource carries our name for it as an identifier (a tag where R4 gives the type none), so that it is
created once however often it is tried (conditional create, FHIR R4 http.html#ccreate). What was put and what
is found there are compared in our own words: without ids, versions and what a server adds.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import orjson

from adapter.fhir.bundles import CANONICAL, NATIONAL_IDENTIFIERS, Bundle, Resource, pairs
from adapter.fhir.wire import to_json

RESOURCE_SYSTEM = f"{CANONICAL}/resource"
"""Identifier system of our names for resources; the value is `Type/id`."""

MASTERS = ("Patient", "Organization", "Practitioner")
"""Who is who: the server's own, found there or created once, and never changed by us afterwards."""

_FIRST = (
    *MASTERS, "PractitionerRole", "RelatedPerson", "Location", "Medication", "Device", "Encounter",
    "Condition", "AllergyIntolerance", "Questionnaire", "Observation", "QuestionnaireResponse",
    "MedicationStatement", "DocumentReference", "Consent", "CareTeam", "Goal", "MedicationRequest",
    "ServiceRequest", "Appointment", "Communication",
)  # fmt: skip
_LAST = ("Task", "CarePlan")
_WITHOUT_A_LIST = frozenset(
    ("QuestionnaireResponse", "Composition", "Bundle", "Provenance", "AuditEvent", "Binary", "Linkage")
)
"""Types whose identifier is one, or none: there our name is a tag."""

_OF_THE_SERVER = ("versionId", "lastUpdated", "source")


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """One version of a plan with its whole graph, for one party's server."""

    name: str  # CarePlan/id, ours
    number: int  # its version here
    by: str  # the party that wrote it
    party: str  # for whom it is
    graph: Mapping[str, Resource] = field(repr=False)  # by our names, with references between them
    overtaken: bool = False  # a later version stands there already


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched:
    """A plan that stands on a server, with all that was put there for it."""

    row: int  # by which the next look goes on
    name: str
    number: int  # the version here that was put there last
    placed: tuple["Placed", ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """What we know of one resource on a server; `hash` and `trying` are digests in our own words."""

    name: str
    their_id: str | None = None
    etag: str | None = None
    hash: bytes | None = None  # of what is there for certain
    trying: bytes | None = None  # of what was on its way when we last heard nothing

    @property
    def theirs(self) -> str | None:
        """Its name there, `Type/id`."""
        return f"{self.name.partition('/')[0]}/{self.their_id}" if self.their_id is not None else None


def in_order(names: Iterable[str]) -> list[str]:
    """Each after what it usually refers to: the Patient first, the CarePlan last."""

    def rank(name: str) -> int:
        kind = name.partition("/")[0]
        if kind in _LAST:
            return len(_FIRST) + 1 + _LAST.index(kind)
        return _FIRST.index(kind) if kind in _FIRST else len(_FIRST)

    return sorted(names, key=rank)


def criterion(name: str) -> str:
    """The search that finds a resource by our name for it, as a query; it holds no number of a person."""
    parameter = "_tag" if name.partition("/")[0] in _WITHOUT_A_LIST else "identifier"
    return urlencode({parameter: f"{RESOURCE_SYSTEM}|{name}"})


def search_of_master(resource: Resource) -> str | None:
    """The search that finds somebody by the first identifier of their own; None where there is none.

    It may hold the number of a person: it belongs into the body of a `_search`, never into a URL.
    """
    own = [pair for pair in pairs(resource) if pair[0] != RESOURCE_SYSTEM]
    if resource["resourceType"] == "Patient":
        own = [pair for pair in own if pair[0] in NATIONAL_IDENTIFIERS]
    return urlencode({"identifier": "|".join(own[0])}) if own else None


def for_them(resource: Resource, name: str, ways: Mapping[str, str]) -> Resource:
    """The resource as it is put there: with our name, without our id, references led by `ways`.

    What has no way yet, or stands nowhere there, is referred to by our name as an identifier.
    """
    made: Resource = {key: _for_them(value, ways) for key, value in resource.items() if key != "id"}
    meta = {k: v for k, v in (resource.get("meta") or {}).items() if k not in _OF_THE_SERVER}
    if name.partition("/")[0] in _WITHOUT_A_LIST:
        meta["tag"] = [*(meta.get("tag") or ()), {"system": RESOURCE_SYSTEM, "code": name}]
    else:
        own = {"system": RESOURCE_SYSTEM, "value": name}
        made["identifier"] = [*(resource.get("identifier") or ()), own]
    made.pop("meta", None)
    return made | ({"meta": meta} if meta else {})


def leads_nowhere(resource: Resource, ways: Mapping[str, str], graph: Iterable[str]) -> bool:
    """Whether it refers to something of the graph that has no way there yet."""
    missing = set(graph) - set(ways)
    return any(target in missing for target in targets(resource))


def _for_them(found: Any, ways: Mapping[str, str]) -> Any:
    if isinstance(found, list):
        return [_for_them(item, ways) for item in found]
    if not isinstance(found, dict):
        return found
    made = {key: _for_them(value, ways) for key, value in found.items()}
    target = made.get("reference")
    if not isinstance(target, str) or _leads_out(target):
        return made
    if target in ways:
        return made | {"reference": ways[target]}
    del made["reference"]
    return {"identifier": {"system": RESOURCE_SYSTEM, "value": target}, **made}


def _leads_out(target: str) -> bool:
    return target.startswith(("#", "urn:", "http://", "https://"))


def in_our_words(resource: Resource, name: str, ways: Mapping[str, str], base: str) -> Resource:
    """What stands there, under our name; `ways` has our names by theirs (`Type/id`), `base` is its URL."""
    made: Resource = _in_our_words(resource, ways, f"{base.rstrip('/')}/")
    meta = {k: v for k, v in (made.get("meta") or {}).items() if k not in _OF_THE_SERVER}
    tags = [tag for tag in meta.get("tag") or () if tag.get("system") != RESOURCE_SYSTEM]
    meta = {k: v for k, v in meta.items() if k != "tag"} | ({"tag": tags} if tags else {})
    rest = {k: v for k, v in made.items() if k not in ("resourceType", "id", "meta")}
    identifier = rest.get("identifier")
    if isinstance(identifier, list):
        own = [one for one in identifier if one.get("system") != RESOURCE_SYSTEM]
        rest = {k: v for k, v in rest.items() if k != "identifier"} | ({"identifier": own} if own else {})
    head = {"resourceType": made["resourceType"], "id": name.partition("/")[2]}
    return head | ({"meta": meta} if meta else {}) | rest


def _in_our_words(found: Any, ways: Mapping[str, str], base: str) -> Any:
    if isinstance(found, list):
        return [_in_our_words(item, ways, base) for item in found]
    if not isinstance(found, dict):
        return found
    made = {key: _in_our_words(value, ways, base) for key, value in found.items()}
    target, logical = made.get("reference"), made.get("identifier")
    if isinstance(target, str):
        plain = target.removeprefix(base).partition("/_history/")[0]
        return made | {"reference": ways[plain]} if plain in ways else made
    if isinstance(logical, dict) and logical.get("system") == RESOURCE_SYSTEM:
        rest = {key: value for key, value in made.items() if key != "identifier"}
        return {"reference": logical.get("value"), **rest}
    return made


def digest(resource: Resource) -> bytes:
    """SHA-256 of what a resource says in our words, whatever its id, its meta or a generated narrative."""
    said = {key: value for key, value in resource.items() if key not in ("id", "meta")}
    if (said.get("text") or {}).get("status") == "generated":
        del said["text"]
    plain = orjson.loads(to_json(said))
    return hashlib.sha256(orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)).digest()


def targets(found: Any) -> Iterator[str]:
    """Every literal reference; without recursion, as its depth is somebody else's choice."""
    waiting = [found]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if isinstance(value.get("reference"), str):
                yield value["reference"]
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def transaction(entries: Iterable[tuple[Resource, Placed]]) -> Bundle:
    """One Bundle that creates and updates all of it, or nothing (R4 http.html#transaction)."""
    return {"resourceType": "Bundle", "type": "transaction", "entry": [_entry(*one) for one in entries]}


def _entry(resource: Resource, placed: Placed) -> Resource:
    if placed.theirs is None:
        kind = resource["resourceType"]
        request = {"method": "POST", "url": kind, "ifNoneExist": criterion(placed.name)}
        return {"fullUrl": urn(placed.name), "resource": resource, "request": request}
    request = {"method": "PUT", "url": placed.theirs}
    if placed.etag is not None:
        request["ifMatch"] = placed.etag
    return {"resource": resource | {"id": placed.their_id}, "request": request}


def urn(name: str) -> str:
    """What stands for a resource within a transaction, until it has an id there."""
    raw = hashlib.sha256(name.encode()).hexdigest()
    return f"urn:uuid:{raw[:8]}-{raw[8:12]}-8{raw[13:16]}-8{raw[17:20]}-{raw[20:32]}"


def etag_of(resource: Resource) -> str | None:
    """The ETag that R4 makes of a version, for servers that send none (http.html#versioning)."""
    meta = resource.get("meta")
    version = meta.get("versionId") if isinstance(meta, dict) else None
    return f'W/"{version}"' if isinstance(version, str) else None


def offers_transactions(capabilities: Any) -> bool:
    """Whether a CapabilityStatement offers them."""
    if not isinstance(capabilities, dict):
        return False
    rest = [one for one in capabilities.get("rest") or () if isinstance(one, dict)]
    offered = [i for one in rest for i in one.get("interaction") or () if isinstance(i, dict)]
    return any(one.get("code") in ("transaction",) for one in offered)
