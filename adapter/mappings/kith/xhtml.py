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
_FORM = ("{http://www.w3.org/XML/1998/namespace}space", "{http://www.w3.org/2001/XMLSchema-instance}type")


def read(node: Node) -> str | None:
    """The `div` of a narrative, and all of it counts as read; None where there are no words."""
    if not "".join(str(text) for text in node.element.itertext()).strip():
        return None
    node.read.update(node.element.iter())
    div = etree.tostring(_div(node), encoding="unicode")
    try:
        check(div)
    except Refused:
        return paragraphs(words(node.element))
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


def _div(node: Node) -> etree._Element:
    """A div in XHTML, whatever namespace the sender forgot to name."""
    element = node.element
    only = list(element.iterchildren(etree.Element))
    bare = (element.text or "").strip() or any((child.tail or "").strip() for child in only)
    div = etree.Element(f"{XHTML}div", nsmap={None: XHTML[1:-1]})  # type: ignore[dict-item]  # as in xml.new
    source = only[0] if len(only) == 1 and not bare and _local(only[0]) == "div" else element
    if source is not element:
        _copy_attributes(source, div)
    _copy(source, div, (XHTML[1:-1], node.namespace, ""))
    return div


def _copy(source: etree._Element, target: etree._Element, known: tuple[str, ...]) -> None:
    target.text = source.text
    for child in source.iterchildren(etree.Element):
        namespace = etree.QName(child).namespace or ""
        tag = f"{XHTML}{_local(child)}" if namespace in known else str(child.tag)
        made = etree.SubElement(target, tag)
        _copy_attributes(child, made)
        _copy(child, made, known)
        made.tail = child.tail


def _copy_attributes(source: etree._Element, target: etree._Element) -> None:
    for name, value in source.attrib.items():
        if name not in _FORM:
            target.set(name, value)


def _local(element: etree._Element) -> str:
    return str(etree.QName(element).localname).lower()
