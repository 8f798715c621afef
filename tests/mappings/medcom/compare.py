"""What differs between two MedCom Bundles, in every element that carries meaning.

Entries are told by their fullUrl, so their order says nothing. What may differ has its line in `ACCEPTED`,
with the reason; a narrative must still be there.
"""

from typing import Any

ACCEPTED = {
    "text": "generated narrative says what the elements say; it is written anew",
}


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Sentences of what is not alike; none where the two say the same."""
    found = list(
        _between(
            {k: v for k, v in one.items() if k != "entry"},
            {k: v for k, v in other.items() if k != "entry"},
            "Bundle",
        )
    )
    mine, theirs = _entries(one), _entries(other)
    found += [f"{url} is missing" for url in mine if url not in theirs]
    found += [f"{url} is new" for url in theirs if url not in mine]
    for url in mine.keys() & theirs.keys():
        found += _between(mine[url], theirs[url], mine[url]["resourceType"])
    return found


def _entries(bundle: dict[str, Any]) -> dict[str, Any]:
    return {item["fullUrl"]: item["resource"] for item in bundle["entry"]}


def _between(one: Any, other: Any, place: str) -> list[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        found = []
        for name in sorted({*one, *other}):
            if name == "text" and isinstance(one.get(name), dict) and "div" in one[name]:
                found += [] if isinstance(other.get(name), dict) else [f"{place}.text is missing"]
            elif name not in one or name not in other:
                found.append(f"{place}.{name} is {'missing' if name in one else 'new'}")
            else:
                found += _between(one[name], other[name], f"{place}.{name}")
        return found
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [
            d
            for n, (a, b) in enumerate(zip(one, other, strict=True))
            for d in _between(a, b, f"{place}[{n}]")
        ]
    return [] if one == other else [f"{place}: {one!r} became {other!r}"]
