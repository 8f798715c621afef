"""What differs between two versions: of a resource, leaf by leaf; of a plan, as people would tell it.

Items of a list are matched by what identifies them (id, reference, coding, …) where each item of both lists
has such a mark and no mark comes twice; else by their place. Versions and times of saving are no difference.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any

from adapter.fhir.bundles import Resource
from adapter.fhir.plan import Plan

_SAVING = ("versionId", "lastUpdated")


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One leaf that differs; None where that version has none. `path` is FHIRPath from the resource."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One change of a plan: what was added to or removed from a section, or a field that is another now.

    `section` and `field` are those of `plan.Plan` and its records; `about` is the line's own text.
    """

    section: str
    happened: str  # added, removed, changed
    about: str = ""
    field: str = ""
    before: Any = None
    after: Any = None


# --- resources --------------------------------------------------------------------------------------------


def differences(before: Resource, after: Resource) -> tuple[Difference, ...]:
    """Every leaf in which two versions of a resource differ, in the order of their paths."""
    kinds = {before.get("resourceType"), after.get("resourceType")}
    root = str(before.get("resourceType")) if len(kinds) == 1 else "Resource"
    return tuple(_compared(root, before, after))


def _compared(path: str, before: Any, after: Any) -> Iterator[Difference]:
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _objects(path, _saved_apart(before), _saved_apart(after))
    elif isinstance(before, list) and isinstance(after, list):
        yield from _lists(path, before, after)
    elif _branch(before) or _branch(after):
        yield from (Difference(path=at, before=leaf, after=None) for at, leaf in _leaves(path, before))
        yield from (Difference(path=at, before=None, after=leaf) for at, leaf in _leaves(path, after))
    elif not _alike(before, after):
        yield Difference(path=path, before=before, after=after)


def _branch(value: Any) -> bool:
    return isinstance(value, dict | list)


def _alike(before: Any, after: Any) -> bool:
    """Whether two leaves are written alike: 72.50 is not 72.5 (FHIR R4 decimal), and true is not 1."""
    if isinstance(before, Decimal | float | int) and isinstance(after, Decimal | float | int):
        return str(before) == str(after)
    return bool(before == after)


def _saved_apart(resource: Resource) -> Resource:
    """The same without the marks of saving."""
    meta = resource.get("meta")
    if "resourceType" not in resource or not isinstance(meta, dict):
        return resource
    rest = {key: value for key, value in meta.items() if key not in _SAVING}
    kept = {key: value for key, value in resource.items() if key != "meta"}
    return kept | ({"meta": rest} if rest else {})


def _objects(path: str, before: Resource, after: Resource) -> Iterator[Difference]:
    for key in sorted(before.keys() | after.keys()):
        yield from _compared(f"{path}.{key}", before.get(key), after.get(key))


def _lists(path: str, before: list[Any], after: list[Any]) -> Iterator[Difference]:
    marked = _marks(before, after)
    if marked is None:
        for place in range(max(len(before), len(after))):
            ends = (each[place] if place < len(each) else None for each in (before, after))
            yield from _compared(f"{path}[{place}]", *ends)
        return
    old, new = marked
    for mark in (*old, *(mark for mark in new if mark not in old)):
        yield from _compared(f"{path}.where({mark})", old.get(mark), new.get(mark))
    kept = [[mark for mark in one if mark in other] for one, other in ((old, new), (new, old))]
    if kept[0] != kept[1]:
        yield Difference(path=path, before=tuple(kept[0]), after=tuple(kept[1]))


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Every leaf of a branch, or the value itself."""
    if isinstance(value, dict) and value:
        for key in sorted(value):
            yield from _leaves(f"{path}.{key}", value[key])
    elif isinstance(value, list) and value:
        marked = _marks(value, value)
        steps = [f".where({mark})" for mark in marked[0]] if marked else [f"[{n}]" for n in range(len(value))]
        for step, item in zip(steps, value, strict=True):
            yield from _leaves(f"{path}{step}", item)
    elif value is not None:
        yield path, value


def _marks(before: list[Any], after: list[Any]) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Both lists by the first sort of mark that every item has and that is unique in each."""
    if not all(isinstance(item, dict) for item in (*before, *after)):
        return None
    for mark in _MARKS:
        old, new = ({mark(item): item for item in each} for each in (before, after))
        if "" not in old.keys() | new.keys() and (len(old), len(new)) == (len(before), len(after)):
            return old, new
    return None


def _by(*steps: str) -> Callable[[Resource], str]:
    """A mark of one or two elements, each found along its own path, as `where()` takes it."""

    def mark(item: Resource) -> str:
        found = [(step, _at(item, step)) for step in steps]
        if not found[-1][1]:
            return ""
        return " and ".join(f"{step}='{_quoted(value)}'" for step, value in found if value)

    return mark


def _at(item: Any, path: str) -> str:
    for step in path.split("."):
        name, _, first = step.partition("[")
        item = item.get(name) if isinstance(item, dict) else None
        if first:
            item = item[0] if isinstance(item, list) and item else None
    return item if isinstance(item, str) else ""


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")


_MARKS: tuple[Callable[[Resource], str], ...] = (
    _by("resourceType", "id"),
    _by("id"),
    _by("fullUrl"),
    _by("linkId"),
    _by("reference"),
    _by("reference.reference"),
    _by("member.reference"),
    _by("actor.reference"),
    _by("system", "value"),
    _by("system", "code"),
    _by("coding[0].system", "coding[0].code"),
    _by("measure.coding[0].system", "measure.coding[0].code"),
    _by("url"),
)


# --- plans ------------------------------------------------------------------------------------------------

_SECTIONS = (
    *("participants", "goals", "problems", "actions", "meetings", "cautions", "medicines", "findings"),
    *("documents", "notes", "also"),
)
_LABELS = ("what", "name", "title", "text")


def plan_differences(before: Plan, after: Plan) -> tuple[Change, ...]:
    """What has changed from one version of a plan to the next, in the order of the page."""
    return (*_of_the_whole(before, after), *_of_the_lines(before, after))


def _of_the_whole(before: Plan, after: Plan) -> Iterator[Change]:
    for holder, old, new in (("plan", before, after), ("person", before.person, after.person)):
        for one in fields(old):
            values = getattr(old, one.name), getattr(new, one.name)
            if one.name not in (*_SECTIONS, "person") and values[0] != values[1]:
                yield _changed(holder, "", one.name, *values)


def _of_the_lines(before: Plan, after: Plan) -> Iterator[Change]:
    for section in _SECTIONS:
        pairs = _paired(getattr(before, section), getattr(after, section))
        for old, new in pairs:
            if old is None or new is None:
                line, happened = (new, "added") if old is None else (old, "removed")
                yield Change(section=section, happened=happened, about=_label(line))
            else:
                yield from _of_a_line(section, old, new)


def _of_a_line(section: str, old: Any, new: Any) -> Iterator[Change]:
    for one in fields(old):
        values = getattr(old, one.name), getattr(new, one.name)
        if one.name != "key" and values[0] != values[1]:
            yield _changed(section, _label(new), one.name, *values)


def _changed(section: str, about: str, field: str, before: Any, after: Any) -> Change:
    return Change(section=section, happened="changed", about=about, field=field, before=before, after=after)


def _paired(before: tuple[Any, ...], after: tuple[Any, ...]) -> list[tuple[Any, Any]]:
    """Lines that are one: equal ones, those of one key, those of one text; what is left has no other half."""
    left = list(after)
    halves: dict[int, Any] = {}
    for same in (_whole, _key, _label):
        for place, line in enumerate(before):
            if place not in halves:
                found = next((other for other in left if same(other) == same(line) != ""), None)
                if found is not None:
                    left.remove(found)
                    halves[place] = found
    pairs = [(line, halves.get(place)) for place, line in enumerate(before)]
    return pairs + [(None, line) for line in left]


def _whole(line: Any) -> Any:
    return line


def _key(line: Any) -> Any:
    return getattr(line, "key", "")


def _label(line: Any) -> str:
    return next((text for name in _LABELS if (text := getattr(line, name, ""))), "")
