"""What a search on a partner's FHIR server brought: its entries, as far as a mailbox needs them later on."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from re import fullmatch
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import orjson

from adapter.fhir import wire
from adapter.fhir.bundles import YEARS, Resource
from adapter.fhir.polled import graph_version
from adapter.phrases import Phrase, phrase

_ID = r"(?!\.+$)[A-Za-z0-9.-]{1,128}"  # longer than R4 allows, as servers in the field have longer ones


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """One entry of a search; a message Bundle has no content yet, as its bytes are fetched by themselves."""

    key: str
    id: str
    updated: datetime | None
    content: bytes | None = field(default=None, repr=False)
    fault: Phrase | None = None  # why it cannot be handed on
    of_plans: frozenset[str] = frozenset()  # of a Task: the ids of the plans that it is part of


@dataclass(kw_only=True, slots=True)
class Listing:
    """What a search brought, as far as it was read."""

    found: dict[str, Found] = field(default_factory=dict)  # by key
    ids: set[str] = field(default_factory=set)  # of all that it brought, new or not
    size: int = 0
    complete: bool = False
    sorted: bool = True
    latest: datetime | None = None
    faults: list[Phrase] = field(default_factory=list)
    refused: bool = False  # the server does not take the search

    def note(self, updated: datetime | None) -> None:
        """Watch the order: a cursor may pass only what surely lies before everything not yet read."""
        if updated is None:
            return
        self.sorted = self.sorted and (self.latest is None or self.latest <= updated)
        self.latest = max(self.latest or updated, updated)


def without_includes(url: str) -> str:
    """The search without what is asked for with it."""
    parts = urlsplit(url)
    kept = [(name, value) for name, value in parse_qsl(parts.query) if name != "_include"]
    return parts._replace(query=urlencode(kept)).geturl()


def found_in(kind: str, entry: Resource, together: list[Resource] | Phrase) -> Found:
    """The entry as far as it is needed later on, with what belongs to it or why that cannot be had."""
    resource = entry["resource"]
    meta = resource["meta"] if isinstance(resource.get("meta"), dict) else {}
    updated = parsed_instant(meta.get("lastUpdated"))
    identity = resource.get("id")
    if not isinstance(identity, str) or not fullmatch(_ID, identity):
        fault = phrase("a {kind} has no usable id", kind=kind)
        return Found(key=f"{kind}//", id="", updated=updated, fault=fault)
    if isinstance(together, Phrase):
        return Found(key=f"{kind}/{identity}/", id=identity, updated=updated, fault=together)
    collection = {"resourceType": "Bundle", "type": "collection", "entry": together}
    try:
        content = None if kind == "Bundle" else wire.to_json(collection)
    except orjson.JSONEncodeError:
        fault = phrase("{resource} is nested too deeply", resource=f"{kind}/{identity}")
        return Found(key=f"{kind}/{identity}/", id=identity, updated=updated, fault=fault)
    version = meta.get("versionId") or meta.get("lastUpdated")
    if not isinstance(version, str) or not fullmatch(r"[\w.:+-]{1,64}", version):
        version = sha256(content or b"").hexdigest()
    graph = graph_version(collection) if kind == "CarePlan" else None
    return Found(
        key=f"{kind}/{identity}/{version}{f'.{graph}' if graph is not None else ''}",
        id=identity,
        updated=updated,
        content=content,
        of_plans=_plans_of(resource) if kind == "Task" else frozenset(),
    )


def _plans_of(task: Resource) -> frozenset[str]:
    """The ids of the CarePlans that a Task is based on: it is part of them, and no answer by itself."""
    names = (t.split("/_history/", 1)[0].rsplit("/", 2) for t in _references({"on": task.get("basedOn")}))
    return frozenset(n[-1] for n in names if n[-2:-1] == ["CarePlan"] and fullmatch(_ID, n[-1]))


def together_with(entry: Resource, by_name: dict[str, Resource]) -> list[Resource]:
    """The resource of `entry` first, then those of its page that it refers to."""
    targets = (target.split("/_history/", 1)[0] for target in _references(entry["resource"]))
    others = {id(one): one for target in targets if (one := by_name.get(target)) is not None}
    others.pop(id(entry), None)
    return [{k: one[k] for k in ("fullUrl", "resource") if k in one} for one in (entry, *others.values())]


def names_of(entry: Resource) -> Iterator[str]:
    """What a reference to it may say."""
    kind, identity = entry["resource"].get("resourceType"), entry["resource"].get("id")
    if isinstance(url := entry.get("fullUrl"), str):
        yield url
    if isinstance(kind, str) and isinstance(identity, str):
        yield f"{kind}/{identity}"


def _references(resource: Resource) -> Iterator[str]:
    """Every literal reference in it; without recursion, as its depth is the partner's choice."""
    waiting: list[Any] = [resource]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            target = value.get("reference")
            if isinstance(target, str):
                yield target
            waiting.extend(reversed(value.values()))
        elif isinstance(value, list):
            waiting.extend(reversed(value))


def dicts(value: Any) -> list[Resource]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def parsed_instant(text: Any) -> datetime | None:
    """An instant; None for what is none, or of a year in which no server stood: no cursor may go there."""
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo and found.year in YEARS else None
    except (TypeError, ValueError, OverflowError):
        return None


def instant_text(moment: datetime) -> str:
    """In UTC with milliseconds, so that order of text is order of time."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
