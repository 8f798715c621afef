"""What a list says of a resource: a patient's name, a stay's ward and bed.

It is kept beside the version that tells it, so that a list opens no message.
"""

from datetime import date
from typing import Any

from adapter.fhir.alphabet import sort_key
from adapter.fhir.bundles import Resource

_USED = ("official", "usual", None)


def in_lists(content: Resource, language: str) -> dict[str, Any]:
    """`label`, `sorted_as`, `sort_key` and `born`; nothing for what lists say nothing of.

    Names are sorted as those of that language are.
    """
    match content["resourceType"]:
        case "Patient":
            name = _name(content)
            return {
                "label": name,
                "sorted_as": name.casefold() if name else None,
                "sort_key": sort_key(name, language) if name else None,
                "born": _born(content),
            }
        case "Encounter":
            return {"label": _place(content)}
        case _:
            return {}


def _name(patient: Resource) -> str | None:
    """`Fjellheim, Synnøve`; None where none is told."""
    names = sorted(patient.get("name") or (), key=lambda one: _rank(one.get("use")))
    for one in names:
        parts = (one.get("family"), " ".join(one.get("given") or ()))
        said = ", ".join(part.strip() for part in parts if part and part.strip())
        if said or one.get("text"):
            return said or str(one["text"])
    return None


def _rank(use: Any) -> int:
    return _USED.index(use) if use in _USED else len(_USED)


def _born(patient: Resource) -> date | None:
    """Where the whole day is known."""
    try:
        return date.fromisoformat(str(patient.get("birthDate")))
    except ValueError:
        return None


def _place(encounter: Resource) -> str | None:
    """Ward and bed of the stay as it is now: `Medisinsk sengepost · 12`."""
    now = (one for one in encounter.get("location") or () if one.get("status", "active") == "active")
    said = [str(place["display"]) for one in now if (place := one.get("location") or {}).get("display")]
    return " · ".join(dict.fromkeys(said)) or None
