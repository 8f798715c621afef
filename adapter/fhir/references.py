"""References within a Bundle: what leads where, and resources without the references that lead nowhere."""

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from adapter.fhir.bundles import Resource


def names_of(item: Resource) -> Iterator[str]:
    """The ways in which a Reference can lead to an entry: its fullUrl, then `Type/id`."""
    if "fullUrl" in item:
        yield item["fullUrl"]
    resource = item["resource"]
    if "id" in resource:
        yield f"{resource['resourceType']}/{resource['id']}"


def led_to(found: Iterable[Any]) -> Iterator[str]:
    """Every `reference` in `found`, at any depth, in the order in which they are written."""
    waiting = list(found)[::-1]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            if isinstance(item.get("reference"), str):
                yield item["reference"]
            waiting.extend(reversed(item.values()))
        elif isinstance(item, list):
            waiting.extend(reversed(item))


def without_references(value: Any, gone: Collection[str]) -> Any:
    """`value` without the References to `gone`, nor what held nothing else; itself where there are none."""
    if isinstance(value, dict):
        target = value.get("reference")  # CarePlan.activity.reference is itself a Reference
        if isinstance(target, str) and target in gone:
            return None
        return _kept(value, {name: without_references(part, gone) for name, part in value.items()})
    if isinstance(value, list):
        parts = [without_references(part, gone) for part in value]
        if all(a is b for a, b in zip(parts, value, strict=True)):
            return value
        return [part for part in parts if part is not None] or None
    return value


def _kept(before: Resource, after: Resource) -> Resource | None:
    if all(after[name] is before[name] for name in before):
        return before
    return {name: part for name, part in after.items() if part is not None} or None
