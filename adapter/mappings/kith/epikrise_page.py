"""The page on which a discharge summary is written down as FHIR, and the leaves that all of its parts share.

Codes (CS, CV), concepts with their modifiers, periods and identifiers of Epikrise 1.1 and 1.2, as FHIR has
them. A leaf that FHIR cannot hold is left unread, so that it travels in words.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Any

from adapter.fhir.bundles import Bundle, Resource, entry, reference
from adapter.mappings.kith import values, xhtml
from adapter.mappings.kith.lists import OID, PEOPLE, table
from adapter.mappings.kith.msghead import id_fits
from adapter.mappings.kith.xml import Node

ATC = "http://www.whocc.no/atc"
LOINC = "http://loinc.org"

_LONGEST_CODE = 200  # characters


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """What a part of the summary may look at, and where it puts what it makes."""

    bundle: Bundle
    patient: Resource
    encounter: Resource
    composition: Resource
    standing: str  # of the summary, in list 7309
    zone: tzinfo
    new_id: Callable[[], str]
    sections: dict[str, Resource] = field(default_factory=dict)  # by what they are about, in order

    def add(self, resource: Resource) -> Resource:
        """Put a resource into the Bundle; a Reference to it."""
        made = {"resourceType": resource["resourceType"], "id": self.new_id()} | resource
        self.bundle["entry"].append(entry(made))
        return reference(made)

    def section(self, key: str, title: str, *codings: Resource) -> Resource:
        """The section of that key, which is made where it is not there yet."""
        made: Resource = {"title": title}
        if codings:
            made["code"] = {"coding": list(codings)}
        return self.sections.setdefault(key, made)

    def tell(self, section: Resource, resource: Resource) -> Resource:
        """Put a resource into the Bundle, and lead to it from a section; a Reference to it."""
        ref = self.add(resource)
        section.setdefault("entry", []).append(ref)
        return ref


def write_down(section: Resource, div: str | None) -> None:
    """The words of a section; one that has its own gets a section below for more."""
    if div is None:
        return
    text = {"status": "additional", "div": div}
    if "text" not in section:
        section["text"] = text
    else:
        section.setdefault("section", []).append({"title": section["title"], "text": text})


# --- finding ----------------------------------------------------------------------------------------------


def one(node: Node | None, *path: str) -> Node | None:
    """The first element at the end of a path of names in the message's own namespace."""
    return node.one(*(f"{{{node.namespace}}}{name}" for name in path)) if node is not None else None


def many(node: Node | None, name: str) -> list[Node]:
    """The children of that name in the message's own namespace."""
    return node.all(f"{{{node.namespace}}}{name}") if node is not None else []


def said(node: Node | None, *path: str) -> str | None:
    """The text at the end of a path; an element that holds none is left unread."""
    found = one(node, *path) if path else node
    return values.read(found, "string", None) if found is not None else None  # type: ignore[arg-type]  # no time


def number(node: Node | None, *path: str) -> str | None:
    """The same of an identifier, where it is no longer than any in use."""
    found = one(node, *path) if path else node
    return said(found) if found is not None and id_fits((found.element.text or "").strip()) else None


def code_of(node: Node | None) -> str:
    """The code of a CS or CV, only looked at; empty where there is none."""
    return " ".join((node.element.get("V") or "").split()) if node is not None else ""


# --- leaves -----------------------------------------------------------------------------------------------


def concept(node: Node | None) -> Resource | None:
    """A CS or CV as a CodeableConcept: the sender's own words (OT) beside the code, or a plain text alone."""
    if node is None or len(code_of(node)) > _LONGEST_CODE:
        return None
    text = node.element.get("OT") or node.element.text or ""
    made: Resource = {}
    if coding := _coding(node):
        made["coding"] = [coding]
    if text := " ".join(text.split()):
        made["text"] = text
    if not made:
        return None
    node.read.add(node.element)
    return made


def _coding(node: Node) -> Resource | None:
    code, display = code_of(node), " ".join((node.element.get("DN") or "").split())
    if not (code or display):
        return None
    number = "".join(c for c in node.element.get("S") or "" if c in "0123456789.")
    system = f"urn:oid:{number}" if number else _system(node)
    system = ATC if system == f"urn:oid:{OID}7180" else system
    code = code.replace(" ", "") if system == ATC else code  # the messages write C03C A01
    pairs = {"system": system, "code": code, "display": display}
    return {key: value for key, value in pairs.items() if value}


def _system(node: Node) -> str:
    """The list of an element whose message does not name it, as far as it is known for certain."""
    parent = node.element.getparent()
    above = str(parent.tag).rpartition("}")[2] if parent is not None else ""
    known: dict[str, str] = table("epikrise")["list"]
    number = known.get(f"{above}/{node.name}") or known.get(node.name)
    return f"urn:oid:{OID}{number}" if number else f"{values.LISTS}/{node.name}"


def coding_of(node: Node | None) -> Resource | None:
    """The coding of a CS or CV, where that is all that it says."""
    if node is None or node.element.get("OT") or len(code_of(node)) > _LONGEST_CODE:
        return None
    found = _coding(node)
    if found is not None:
        node.read.add(node.element)
    return found


def coded(node: Node | None) -> Resource | None:
    """A Concept with its Modifiers (as the other code of a diagnosis with two) as one CodeableConcept."""
    if node is None:
        return None
    made = concept(one(node, "Concept")) or {}
    told = (
        [made["text"]] if "text" in made else [c["display"] for c in made.get("coding", ()) if "display" in c]
    )
    for modifier in many(node, "Modifier"):
        name = coding_of(one(modifier, "Name")) or {}
        for value in many(modifier, "Value"):
            found = concept(value) or {}
            made.setdefault("coding", []).extend(found.get("coding", ()))
            word = found.get("text") or next((c.get("display") for c in found.get("coding", ())), None)
            told.append(": ".join(part for part in (name.get("display") or name.get("code"), word) if part))
        made["text"] = "; ".join(part for part in told if part)
    return {key: value for key, value in made.items() if value} or None


def words_of(concept: Resource | None) -> str | None:
    """A concept as people say it."""
    if not concept:
        return None
    first: Resource = next(iter(concept.get("coding") or ()), {})
    return concept.get("text") or first.get("display") or first.get("code")


def when(node: Node | None, page: Page) -> Any:
    """A TS: a date, a date and time with offset, or a year or month alone."""
    return values.read(node, "TS", page.zone) if node is not None else None


def whole(node: Node | None, page: Page) -> Any:
    """The same, where it is no less than a day; else it is left unread."""
    peeked = values.read(Node(element=node.element), "TS", page.zone) if node is not None else None
    return when(node, page) if isinstance(peeked, str) and len(peeked) >= 10 else None


def period(node: Node | None, page: Page) -> Resource:
    """StartDateTime and EndDateTime below an element; an end before the start is left unread."""
    made = {}
    if (start := when(one(node, "StartDateTime"), page)) is not None:
        made["start"] = start
    end = one(node, "EndDateTime")
    ahead = values.read(Node(element=end.element), "TS", page.zone) if end is not None else None
    if ahead is not None and (start is None or in_order(start, ahead)):
        made["end"] = when(end, page)
    return made


def in_order(earlier: str, later: str) -> bool:
    """Whether the second is not before the first, to the precision of the coarser."""
    if len(earlier) > 10 and len(later) > 10:
        return datetime.fromisoformat(earlier) <= datetime.fromisoformat(later)
    shared = min(len(earlier), len(later), 10)
    return earlier[:shared] <= later[:shared]


def identifiers(node: Node, kind: str) -> list[Resource]:
    """Id with TypeId, and each AdditionalId; `kind` is "organisation" (list 9051) or "person" (list 8116)."""
    pairs = [(one(node, "Id"), one(node, "TypeId"))]
    pairs += [(one(other, "Id"), one(other, "Type")) for other in many(node, "AdditionalId")]
    return [made for value, type_ in pairs if (made := identifier(value, type_, kind))]


def identifier(value: Node | None, type_: Node | None, kind: str) -> Resource | None:
    """An identifier, in its own system where that is known, else with the type that the message gives it."""
    text = number(value)
    if text is None:
        return None
    found = PEOPLE[kind].get(code_of(type_))
    if found is None:
        named = concept(type_)
        return {**({"type": named} if named else {}), "value": text}
    assert type_ is not None
    type_.code()
    bare = "".join(text.split())
    return {"system": found["system"], "value": bare.replace(".", "") if code_of(type_) == "HER" else bare}


def formatted(node: Node | None) -> str | None:
    """Formatted text as the `div` of a narrative."""
    return xhtml.read(node) if node is not None else None
