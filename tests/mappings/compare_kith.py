"""Two KITH payloads, field by field: what one says and the other does not.

An element is flattened to (path, value) pairs. Left out is what says nothing: comments, prefixes,
`komponentID`, schema locations, white space round values, and how a time is spelt. What may
differ besides is named here, and nowhere else.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from lxml import etree

OSLO = ZoneInfo("Europe/Oslo")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?")
_DATE = re.compile(r"(\d{4}-\d\d-\d\d)(Z|[+-]\d\d:\d\d)")
_SAYS_NOTHING = ("komponentID", "schemaLocation", "type", "id")

_WRAPPERS = tuple(f"{{http://www.w3.org/1999/xhtml}}{name}" for name in ("html", "body", "div"))

_LISTS = "2.16.578.1.12.4.1.1."

UNORDERED = frozenset(("RollerRelatertNotat", "Ident", "TeleCom"))
"""Elements whose order among their like says nothing."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A field that only one of the two has (the other value is None), or that they have differently."""

    path: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        return f"{self.path}: {self.before!r} became {self.after!r}"


ACCEPTED: dict[str, Callable[[Difference], bool]] = {
    "a HER-id is written without dots": lambda d: (
        d.path.endswith("/Id") and (d.before or "").replace(".", "") == d.after
    ),
    "a code of a known list gets its name": lambda d: d.path.endswith("@DN") and d.before is None,
    "a part of the record says what kind of information it is": lambda d: (
        d.path.endswith("@informasjonskategori") and d.before is None
    ),
    "a no that may be left out is": lambda d: (
        d.before == "false"
        and d.after is None
        and d.path.endswith(
            ("/SkalIkkeTasSammenMedAnnetLegemiddel", "/SvarPaaForesporsel", "/ForbeholdOmVideresending")
        )
    ),
    "a person's HER-id is of the list of persons": lambda d: (
        d.path.endswith("/TypeId@S") and (d.before, d.after) == (f"{_LISTS}9051", f"{_LISTS}8116")
    ),
}
"""By name, what a round trip through FHIR may change without changing the meaning."""


def differences(
    before: etree._Element, after: etree._Element, *, accepted: tuple[str, ...] = tuple(ACCEPTED)
) -> list[Difference]:
    """What differs between two payload elements, but for the accepted differences of these names."""
    one, other = dict(flat(before)), dict(flat(after))
    found = (
        Difference(path=path, before=one.get(path), after=other.get(path))
        for path in dict.fromkeys((*one, *other))
        if one.get(path) != other.get(path)
    )
    return [d for d in found if not any(ACCEPTED[name](d) for name in accepted)]


def payload(content: bytes) -> etree._Element:
    """The payload element of a message: the first child of its first Content."""
    parser = etree.XMLParser(remove_comments=True, remove_pis=True)
    root = etree.fromstring(content, parser)
    found = root.find(".//{http://www.kith.no/xmlstds/msghead/2006-05-24}Content")
    assert found is not None and len(found)
    return found[0]


def flat(element: etree._Element, path: str = "") -> Iterator[tuple[str, str]]:
    """Every value below an element with its path; like siblings are numbered, where several."""
    here = f"{path}/{_name(element)}" if path else _name(element)
    if not path:
        yield f"{here}@namespace", str(etree.QName(element).namespace)
    yield from _own(element, here)
    children: dict[str, list[etree._Element]] = {}
    for child in _children(element):
        children.setdefault(_name(child), []).append(child)
    for name, found in children.items():
        ordered = sorted(found, key=lambda one: sorted(flat(one))) if name in UNORDERED else found
        for number, child in enumerate(ordered, start=1):
            numbered = f"[{number}]" if len(found) > 1 else ""
            yield from ((here + rest, value) for rest, value in _below(child, numbered))


def _children(element: etree._Element) -> Iterator[etree._Element]:
    """The child elements; what stands only round marked-up text (html, body, div) is looked through."""
    for child in element.iterchildren("{*}*"):
        if child.tag in _WRAPPERS:
            yield from _children(child)
        else:
            yield child


def _below(child: etree._Element, numbered: str) -> Iterator[tuple[str, str]]:
    name = _name(child)
    for path, value in flat(child):
        if not path.endswith("@namespace"):
            yield f"/{name}{numbered}{path[len(name) :]}", value


def _own(element: etree._Element, here: str) -> Iterator[tuple[str, str]]:
    pieces = (element.text, *(child.tail for child in element))
    text = " ".join(" ".join(piece.split()) for piece in pieces if piece and piece.strip())
    if text:
        yield here, _plain(text)
    for name, value in element.attrib.items():
        local = etree.QName(str(name)).localname
        if local not in _SAYS_NOTHING and str(value).strip():
            yield f"{here}@{local}", _plain(" ".join(str(value).split()))


def _name(element: etree._Element) -> str:
    return str(etree.QName(element).localname)


def _plain(value: str) -> str:
    """Times in Norwegian local time to the second, days without zone; everything else as it is."""
    if _TIME.fullmatch(value):
        at = datetime.fromisoformat(value)
        local = at.astimezone(OSLO) if at.tzinfo else at
        return local.replace(microsecond=0, tzinfo=None).isoformat()
    if found := _DATE.fullmatch(value):
        return found[1]
    return value
