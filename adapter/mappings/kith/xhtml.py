"""Formatted text of a message (a data type that holds any XML, XHTML as a rule) as a narrative of FHIR.

What FHIR allows in a narrative is kept, tables included. A text that holds anything else is kept as
paragraphs of plain words, so that nothing that loads or runs is passed on (`fhir.narratives`).
"""

from collections.abc import Iterator
from html import escape

from lxml import etree

from adapter.errors import Refused
from adapter.fhir.codes import words as words_in
from adapter.fhir.narratives import XHTML, check
from adapter.mappings.kith.xml import Node

_BLOCKS = words_in("address blockquote br div dd dl dt h1 h2 h3 h4 h5 h6 hr li ol p pre table tr ul")
_WRAPPERS = ("html", "body", "div")
_FORM = ("{http://www.w3.org/XML/1998/namespace}space", "{http://www.w3.org/2001/XMLSchema-instance}type")


def read(node: Node) -> str | None:
    """The `div` of a narrative, and all of it counts as read; None where there are no words."""
    if not "".join(str(text) for text in node.element.itertext()).strip():
        return None
    node.read.update(node.element.iter())
    return marked_up(node.element) or paragraphs(words(node.element))


def marked_up(element: etree._Element) -> str | None:
    """What an element holds as the `div` of a narrative; None where FHIR would not have it."""
    div = etree.tostring(_div(element), encoding="unicode")
    try:
        check(div)
    except Refused:
        return None
    return div


def paragraphs(lines: list[str]) -> str:
    """A `div` of plain words, one paragraph a line."""
    inside = "".join(f"<p>{escape(line, quote=False)}</p>" for line in lines)
    return f'<div xmlns="{XHTML[1:-1]}">{inside or "<p/>"}</div>'


def joined(divs: list[str]) -> str:
    """Several `div`s in one."""
    if len(divs) == 1:
        return divs[0]
    start = f'<div xmlns="{XHTML[1:-1]}">'
    return f"{start}{''.join(divs)}</div>"


def words(element: etree._Element) -> list[str]:
    """The text, one line a block, the cells of a table set apart."""
    text = "".join(_pieces(element))
    return [line for part in text.split("\0") if (line := " ".join(part.split()))]


def _pieces(element: etree._Element) -> Iterator[str]:
    yield element.text or ""
    for child in element.iterchildren(etree.Element):
        name = _local(child)
        end = "\0" if name in _BLOCKS else " " if name in ("td", "th") else ""
        yield end
        yield from _pieces(child)
        yield end
        yield child.tail or ""


def _div(element: etree._Element) -> etree._Element:
    """A div in XHTML, whatever namespace the sender forgot to name, without what only wraps it."""
    held = element
    while _wraps(held):
        held = held[0]
    div = etree.Element(f"{XHTML}div", nsmap={None: XHTML[1:-1]})  # type: ignore[dict-item]  # as in xml.new
    _copy(held, div, (XHTML[1:-1], etree.QName(element).namespace or "", ""))
    return div


def _wraps(element: etree._Element) -> bool:
    """Whether an element holds a wrapper and not a word beside it."""
    beside = [element.text, *(child.tail for child in element)]
    alone = len(element) == 1 and not any((text or "").strip() for text in beside)
    return alone and _local(element[0]) in _WRAPPERS


def _copy(source: etree._Element, target: etree._Element, known: tuple[str, ...]) -> None:
    target.text = source.text
    for child in source.iterchildren(etree.Element):
        namespace = etree.QName(child).namespace or ""
        tag = f"{XHTML}{_local(child)}" if namespace in known else str(child.tag)
        made = etree.SubElement(target, tag)
        for name, value in child.attrib.items():
            if name not in _FORM:
                made.set(name, value)
        _copy(child, made, known)
        made.tail = child.tail


def _local(element: etree._Element) -> str:
    return str(etree.QName(element).localname).lower()
