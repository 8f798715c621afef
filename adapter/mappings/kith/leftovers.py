"""What a message says and FHIR has no place for: kept as paragraphs in the last section of a Composition.

Each paragraph's title says where it stood and with which codes, so that it can be written back. Everything
kept so is listed as well.
"""

import re
from collections.abc import Iterable, Iterator
from html import escape

from lxml import etree

from adapter.fhir.bundles import Resource
from adapter.mappings.kith.dictionary import REST
from adapter.mappings.kith.values import PLO_ELEMENTS
from adapter.mappings.kith.xml import Node
from adapter.phrases import Phrase, phrase

QUIET = ("SkalIkkeTasSammenMedAnnetLegemiddel", "SvarPaaForesporsel")
"""What is not told where it is false: systems write it everywhere, and people would read of nothing else."""

YES_NO = {"true": "ja", "1": "ja", "false": "nei", "0": "nei"}
_LONGEST_PATH = 1000  # characters
_LONGEST_LISTED = 200
_MOST_LEFT = 200  # leaves that are kept in words; a message of people has some dozens


def narrative(paragraphs: Iterable[tuple[str | None, str]]) -> Resource:
    """Paragraphs, each with what it is in the original as its title, where that is not the text itself."""
    div = "".join(
        f"<p>{escape(text, quote=False)}</p>"
        if title is None
        else f'<p title="{escape(title)}">{escape(text, quote=False)}</p>'
        for title, text in paragraphs
    )
    return {"status": "additional", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{div or "<p/>"}</div>'}


def section_of(left: Iterable[tuple[str, etree._Element]]) -> Resource:
    """A section of paragraphs that say where each leaf stood: codes in the title, words in the text."""
    paragraphs = []
    for path, element in left:
        attributes = [(k, element.get(k)) for k in ("V", "S", "DN", "OT", "U") if element.get(k)]
        coded = "".join(f"|{key}={value}" for key, value in attributes)
        value = (
            (element.text or "").strip() or element.get("DN") or element.get("OT") or element.get("V") or ""
        )
        if element.get("U"):
            value = f"{value} {element.get('U')}"
        value = YES_NO.get(value, value) if not attributes else value
        label = re.sub(r"\[\d+\]", "", path.rsplit("/", 1)[-1])
        paragraphs.append((f"{path}{coded}", f"{label}: {' '.join(value.split())}"))
    code = {"coding": [{"system": PLO_ELEMENTS, "code": REST}]}
    return {"title": "Øvrige opplysninger", "code": code, "text": narrative(paragraphs)}


def listed(left: Iterable[tuple[str, etree._Element]]) -> list[Phrase]:
    """The sentences that name what is kept in words, each path once."""
    paths = dict.fromkeys(bare(path)[:_LONGEST_LISTED] for path, _ in left)
    return [phrase("{element} has no place in FHIR; it travels in words", element=path) for path in paths]


def bare(path: str) -> str:
    """A path without the numbers of repeated elements."""
    return re.sub(r"\[\d+\]", "", path)


def left_over(payload: Node) -> Iterator[tuple[str, etree._Element]]:
    """Leaves that say something and have not been read, with their paths."""
    number = 0
    steps: dict[etree._Element, dict[etree._Element, str]] = {}
    for element in payload.element.iter(etree.Element):
        if len(element) or element in payload.read or not _says(element):
            continue
        path = _path(element, payload.element, steps)
        number += 1
        if number > _MOST_LEFT:
            return
        payload.read.add(element)
        yield path, element


def _says(element: etree._Element) -> bool:
    text = (element.text or "").strip()
    if text == "false" and str(etree.QName(element).localname) in QUIET:
        return False
    return bool(text or any(element.get(name) for name in ("V", "DN", "OT")))


def _path(
    element: etree._Element, root: etree._Element, known: dict[etree._Element, dict[etree._Element, str]]
) -> str:
    """Where an element stands below the root; `known` keeps the steps below every parent once met."""
    steps = []
    while element is not root:
        parent = element.getparent()
        assert parent is not None
        if parent not in known:
            known[parent] = _steps(parent)
        steps.append(known[parent][element])
        element = parent
    return "/".join(reversed(steps))[:_LONGEST_PATH]


def _steps(parent: etree._Element) -> dict[etree._Element, str]:
    """The name of every child, numbered where several have it."""
    alike: dict[str, list[etree._Element]] = {}
    for child in parent.iterchildren(etree.Element):
        alike.setdefault(str(child.tag), []).append(child)
    return {
        child: f"{name}[{place}]" if len(children) > 1 else name
        for tag, children in alike.items()
        for name in (tag.rpartition("}")[2],)
        for place, child in enumerate(children, 1)
    }
