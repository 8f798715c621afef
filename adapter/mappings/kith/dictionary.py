"""The dictionary of the record, `codes/record.toml`: which element of a PLO report is which FHIR resource."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from adapter.fhir.bundles import Resource
from adapter.mappings.kith.grammar import Path
from adapter.mappings.kith.lists import table
from adapter.mappings.kith.values import PLO_ELEMENTS
from adapter.mappings.kith.words import Word

REST = "*"
"""The code of the section for what has no place of its own."""

HOLDERS: tuple[str, ...] = tuple(table("record")["texts"]["holders"])
NOTE: str = table("record")["texts"]["note"]
CATEGORIES = ("Cave/allergier", "Legemidler", "Andre notater", "Uspesifisert")
"""What a holder of notes may be said to be about (the record's meta schema)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One kind of element that becomes a resource."""

    path: Path
    resource: str
    fixed: Mapping[str, Any]
    words: tuple[Word, ...]
    untagged: bool
    needs: str | None


@cache
def entries() -> dict[Path, Entry]:
    """The dictionary, by path."""
    found = table("record")["entry"]
    lines = {one["path"]: one["words"] for one in found if "words" in one}
    made = [
        Entry(
            path=tuple(one["path"].split("/")),
            resource=one["resource"],
            fixed=one.get("fixed", {}),
            words=tuple(_words(lines[one.get("as", one["path"])])),
            untagged=one.get("untagged", False),
            needs=one.get("needs"),
        )
        for one in found
    ]
    return {one.path: one for one in made}


def _words(lines: str) -> Iterator[Word]:
    for line in lines.strip().splitlines():
        element, place, *how = (part.strip() for part in line.split("|"))
        way, _, argument = (how[0] if how else "").partition(" ")
        yield Word(element=tuple(element.split("/")), place=place, how=way, argument=argument)


def entry_of(resource: Resource) -> Entry | None:
    """The entry that a resource is tagged with."""
    tags = (resource.get("meta") or {}).get("tag") or ()
    codes = (one.get("code") for one in tags if one.get("system") == PLO_ELEMENTS)
    paths = (tuple(str(code).split("/")) for code in codes)
    return next((entries()[path] for path in paths if path in entries()), None)
