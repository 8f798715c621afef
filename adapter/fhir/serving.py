"""Resources as they are served at /fhir: under our ids, with the search parameters that they answer to.

A message names its parts for itself (`urn:uuid:…`); here each part gets the id under which it can be read
again, and every reference between them is led there. Parameters are those of FHIR R4 (search.html and each
resource's own page); what is not listed here is not searched by.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from adapter.fhir.bundles import Bundle, Resource

NOT_SERVED = frozenset(
    ("MessageHeader", "Bundle", "Parameters", "OperationOutcome", "Subscription", "Binary")
)


@dataclass(frozen=True, slots=True)
class Param:
    """A search parameter: `kind` is token, code (of a fixed set, without system), or reference."""

    kind: str
    path: str  # elements by dots; every item of a list is followed
    note: str = ""


_COMMON = {
    "identifier": Param("token", "identifier"),
    "status": Param("code", "status"),
    "category": Param("token", "category"),
    "code": Param("token", "code"),
    "encounter": Param("reference", "encounter"),
}

_OWN: dict[str, dict[str, Param]] = {
    "Patient": {},
    "Encounter": {
        "class": Param("token", "class"),
        "service-provider": Param("reference", "serviceProvider"),
        "episode-of-care": Param("reference", "episodeOfCare"),
    },
    "EpisodeOfCare": {"organization": Param("reference", "managingOrganization")},
    "CarePlan": {
        "intent": Param("code", "intent"),
        "care-team": Param("reference", "careTeam"),
        "goal": Param("reference", "goal"),
        "condition": Param("reference", "addresses"),
        "activity-reference": Param("reference", "activity.reference"),
        "supporting-info": Param("reference", "supportingInfo"),
    },
    "CareTeam": {"participant": Param("reference", "participant.member")},
    "Goal": {"lifecycle-status": Param("code", "lifecycleStatus")},
    "ServiceRequest": {
        "intent": Param("code", "intent"),
        "requester": Param("reference", "requester"),
        "performer": Param("reference", "performer"),
        "based-on": Param("reference", "basedOn"),
    },
    "Task": {
        "intent": Param("code", "intent"),
        "business-status": Param("token", "businessStatus"),
        "owner": Param("reference", "owner"),
        "requester": Param("reference", "requester"),
        "focus": Param("reference", "focus"),
        "based-on": Param("reference", "basedOn"),
    },
    "Communication": {
        "sender": Param("reference", "sender"),
        "recipient": Param("reference", "recipient"),
        "based-on": Param("reference", "basedOn"),
    },
    "Appointment": {
        "service-type": Param("token", "serviceType"),
        "actor": Param("reference", "participant.actor"),
        "based-on": Param("reference", "basedOn"),
    },
    "DocumentReference": {
        "type": Param("token", "type"),
        "author": Param("reference", "author"),
        "encounter": Param("reference", "context.encounter"),
    },
}

TYPES = tuple(_OWN)
"""The types that a client may count on; others are served where a plan holds them."""

_WITHOUT: dict[str, frozenset[str]] = {
    "Patient": frozenset(("status", "category", "code", "encounter")),
    "Encounter": frozenset(("category", "code", "encounter")),
    "EpisodeOfCare": frozenset(("category", "code", "encounter")),
    "CarePlan": frozenset(("code",)),
    "CareTeam": frozenset(("code",)),
    "Goal": frozenset(("status", "code", "encounter")),
    "Task": frozenset(("category",)),
    "Communication": frozenset(("code",)),
    "Appointment": frozenset(("category", "code", "encounter")),
    "DocumentReference": frozenset(("code",)),
}
"""What R4 does not define for a type."""

_SUBJECT = {
    "Task": "for",
    "Appointment": "participant.actor",
    "Consent": "patient",
    "RelatedPerson": "patient",
}


def params(kind: str) -> Mapping[str, Param]:
    """The parameters of a type by name, beside those of every type (`_id`, `_lastUpdated`, `patient`)."""
    without = _WITHOUT.get(kind, frozenset())
    return {n: p for n, p in _COMMON.items() if n not in without} | _OWN.get(kind, {})


def includes(kind: str) -> Mapping[str, Param]:
    """What `_include` can follow from a type: its reference parameters, and its patient."""
    found = {name: param for name, param in params(kind).items() if param.kind == "reference"}
    if kind == "Patient":
        return found
    return found | {"patient": Param("reference", _SUBJECT.get(kind, "subject"))}


def values(resource: Resource, path: str) -> Iterator[Any]:
    """What stands at a path, each item of a list by itself."""
    waiting: list[tuple[Any, list[str]]] = [(resource, path.split("."))]
    while waiting:
        item, rest = waiting.pop()
        if isinstance(item, list):
            waiting.extend((one, rest) for one in reversed(item))
        elif not rest:
            yield item
        elif isinstance(item, dict) and rest[0] in item:
            waiting.append((item[rest[0]], rest[1:]))


def references(resource: Resource, path: str) -> Iterator[str]:
    """The literal references at a path."""
    for found in values(resource, path):
        if isinstance(found, dict) and isinstance(found.get("reference"), str):
            yield found["reference"]


def tokens(resource: Resource) -> Iterator[tuple[str, str, str]]:
    """(parameter, system, value) for all that a resource is found by; system is empty where it has none.

    Identifiers are among them: those of persons must be hashed before they are stored.
    """
    for name, param in params(resource["resourceType"]).items():
        for found in values(resource, param.path):
            if param.kind == "code" and isinstance(found, str):
                yield name, "", found
            elif param.kind == "reference" and isinstance(found, dict):
                if isinstance(found.get("reference"), str):
                    yield name, "", found["reference"]
            elif param.kind == "token" and isinstance(found, dict):
                yield from ((name, *coded) for coded in _coded(found))


def _coded(found: Resource) -> Iterator[tuple[str, str]]:
    """System and code of an Identifier, a Coding, or each Coding of a CodeableConcept."""
    for one in found.get("coding") or (found,):
        value = one.get("code", one.get("value"))
        if isinstance(value, str):
            yield str(one.get("system") or ""), value


# --- under our ids ----------------------------------------------------------------------------------------


def led(bundle: Bundle, names: Mapping[int, str]) -> dict[str, str]:
    """Where each way of referring to an entry leads; `names` has `Type/id` by the entry's place."""
    ways: dict[str, str] = {}
    for place, item in enumerate(bundle.get("entry") or ()):
        name = names.get(place)
        if name is None:
            continue
        resource = item["resource"]
        if "id" in resource:
            ways[f"{resource['resourceType']}/{resource['id']}"] = name
        if isinstance(item.get("fullUrl"), str):
            ways[item["fullUrl"]] = name
    return ways


def renamed(resource: Resource, name: str, ways: Mapping[str, str]) -> Resource:
    """The resource under its name here (`Type/id`), with every reference led to where `ways` says."""
    made = _led(resource, ways)
    made["id"] = name.partition("/")[2]
    return {"resourceType": made.pop("resourceType"), "id": made.pop("id"), **made}


def _led(found: Any, ways: Mapping[str, str]) -> Any:
    if isinstance(found, dict):
        made = {key: _led(value, ways) for key, value in found.items()}
        target = made.get("reference")
        if isinstance(target, str):
            made["reference"] = _way(target, ways)
        return made
    if isinstance(found, list):
        return [_led(item, ways) for item in found]
    return found


def _way(target: str, ways: Mapping[str, str]) -> str:
    if target in ways:
        return ways[target]
    plain = target.partition("/_history/")[0]
    return ways.get(plain, target)


def same_content(one: Resource, other: Resource) -> bool:
    """Whether two say the same, whatever their `meta` says of versions."""
    return _bare(one) == _bare(other)


def _bare(resource: Resource) -> Resource:
    meta = {k: v for k, v in (resource.get("meta") or {}).items() if k not in ("versionId", "lastUpdated")}
    bare = {key: value for key, value in resource.items() if key != "meta"}
    return bare | ({"meta": meta} if meta else {})


def versioned(resource: Resource, number: int, at: str) -> Resource:
    """The resource with its version and time in `meta`, where clients look for them."""
    meta = {**(resource.get("meta") or {}), "versionId": str(number), "lastUpdated": at}
    return {
        "resourceType": resource["resourceType"],
        "id": resource["id"],
        "meta": meta,
        **{k: v for k, v in resource.items() if k not in ("resourceType", "id", "meta")},
    }


def organizations(resource: Resource, path: str) -> Iterable[str]:
    """The ids of the Organizations that a path leads to, once references have been led to ours."""
    for target in references(resource, path):
        kind, _, found = target.partition("/")
        if kind == "Organization" and found:
            yield found
