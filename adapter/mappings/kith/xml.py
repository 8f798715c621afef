"""Reading XML that anybody may have written, and building our own.

A `Node` remembers which of its parts have been read, so that what was left over can be named to people as
lost. Not well-formed input, any DOCTYPE and NUL bytes are refused (T01) before anything is looked at.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from lxml import etree

from adapter.discharge.notices import Moment
from adapter.errors import Refused
from adapter.phrases import Phrase, phrase

OSLO = ZoneInfo("Europe/Oslo")
"""Times that we write are Norwegian local times without offset, as in the standard's own examples."""

YEARS = range(1950, 2200)
"""Outside of these a time is a slip of the pen, and arithmetic with zones becomes unsafe."""

_DATE = re.compile(r"(\d{4}-\d\d-\d\d)(?:Z|[+-]\d\d:\d\d)?")
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)?")
_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ENCODING = re.compile(rb"""<\?xml[^>]*?encoding\s*=\s*["']([\w.-]+)""")
_ENCODINGS = (b"utf-8", b"iso-8859-1", b"us-ascii", b"windows-1252")
_SPACE = re.compile(rb"\s*")
_MAX_LEFT_OVER = 50
_LONGEST_PATH = 200  # characters
_LONG_TEXTS = 8_000_000  # bytes of a message, from which one text of it may be over libxml2's 10 million
_DEEPEST = 256
_MOST_TAGS = 200_000  # a message has some hundred


def parse(content: bytes) -> "Node":
    """The root of a document. Raises Refused T01 where it is no XML that may be read."""
    if b"\0" in content:
        reason = phrase("the message holds NUL bytes, so it is not well-formed XML in UTF-8 or ISO-8859-1")
        raise Refused(reason, code="T01")
    if _opens_with_doctype(content):
        raise _doctype()
    if content.count(b"<") > _MOST_TAGS:
        raise Refused(phrase("the message has too many elements to be read; send fewer"), code="T01")
    declared = _ENCODING.search(content[:200])
    if declared and declared[1].lower() not in _ENCODINGS:
        reason = phrase("the message is in an encoding that is not read; send it in UTF-8")
        raise Refused(reason, code="T01")
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=len(content) > _LONG_TEXTS,  # an attachment may be longer than libxml2 lets a text be
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(content, parser)
    except (etree.XMLSyntaxError, ValueError, LookupError) as error:
        reason = phrase("the message is not well-formed XML ({where})", where=_where(error))
        raise Refused(reason, code="T01") from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise _doctype()
    if len(content) > _LONG_TEXTS and _too_deep(root):
        raise Refused(phrase("the message is nested too deep to be read"), code="T01")
    return Node(element=root)


def _too_deep(root: etree._Element) -> bool:
    """Whether elements are nested deeper than libxml2 itself allows where no text is long."""
    depth = 0
    for event, _ in etree.iterwalk(root, events=("start", "end")):
        depth += 1 if event == "start" else -1
        if depth > _DEEPEST:
            return True
    return False


def root_name(content: bytes) -> str:
    """The local name of the first element, as far as these first bytes show it; empty where they do not."""
    found = re.match(rb"<(?:[\w.-]+:)?([\w.-]+)", content[_prolog(content) :])
    return found[1].decode("ascii", "replace") if found else ""


def _prolog(content: bytes) -> int:
    """Where the first element or DOCTYPE begins: after BOM, white space, declarations and comments."""
    at = 3 if content.startswith(b"\xef\xbb\xbf") else 0
    while True:
        at = _SPACE.match(content, at).end()  # type: ignore[union-attr]  # it matches nothing at least
        end = {b"<?": b"?>", b"<!": b"-->"}.get(content[at : at + 2])
        if end is None or (end == b"-->" and not content.startswith(b"<!--", at)):
            return at
        closed = content.find(end, at)
        if closed < 0:
            return len(content)
        at = closed + len(end)


def _opens_with_doctype(content: bytes) -> bool:
    at = _prolog(content)
    return content[at : at + 9].upper() == b"<!DOCTYPE"


def _doctype() -> Refused:
    reason = phrase("the message has a DOCTYPE, which no KITH message may have; send it without")
    return Refused(reason, code="T01")


def _where(error: Exception) -> Phrase:
    """Kind and place of a syntax error, without any of the text around it."""
    if not isinstance(error, etree.XMLSyntaxError):
        return phrase("unreadable encoding")
    log: Any = error.error_log  # the stubs know nothing of its entries
    kind = log.last_error.type_name if log.last_error is not None else phrase("syntax error")
    return phrase("{kind}, line {line}", kind=kind, line=str(error.lineno or 1))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Node:
    """An element, with the memory of what has been read of its document."""

    element: etree._Element
    read: set[etree._Element] = field(default_factory=set, repr=False)

    @property
    def name(self) -> str:
        """The local name."""
        return str(etree.QName(self.element).localname)

    @property
    def namespace(self) -> str:
        """The namespace; empty where there is none."""
        return str(etree.QName(self.element).namespace or "")

    def all(self, tag: str) -> list["Node"]:
        """The children with this tag, in `{namespace}name` form."""
        return [Node(element=child, read=self.read) for child in self.element.iterchildren(tag)]

    def one(self, *path: str) -> "Node | None":
        """The first element at the end of a path of child tags."""
        node: Node | None = self
        for tag in path:
            node = next(iter(node.all(tag)), None) if node is not None else None
        return node

    def children(self) -> Iterator["Node"]:
        """Every child element."""
        for child in self.element.iterchildren():
            if isinstance(child.tag, str):
                yield Node(element=child, read=self.read)

    def ignore(self, *path: str) -> None:
        """Count what stands at `path` as read: it says nothing beyond the form of the message."""
        parent = self.one(*path[:-1])
        self.read.update(node.element for node in (parent.all(path[-1]) if parent is not None else ()))

    def value(self) -> str | None:
        """The element's own text, trimmed; None where it is empty."""
        self.read.add(self.element)
        return (self.element.text or "").strip() or None

    def text(self, *path: str) -> str | None:
        """The text at the end of a path."""
        node = self.one(*path)
        return node.value() if node is not None else None

    def code(self, *path: str) -> str | None:
        """The attribute V at the end of a path (data types CS, CV, TS and URL)."""
        return self._attribute("V", *path)

    def display(self, *path: str) -> str | None:
        """The attribute DN at the end of a path: the code's own text."""
        return self._attribute("DN", *path)

    def true(self, *path: str) -> bool:
        """Whether the boolean at the end of a path is true; an absent one is not."""
        return self.text(*path) in ("true", "1")

    def _attribute(self, name: str, *path: str) -> str | None:
        node = self.one(*path)
        if node is None:
            return None
        self.read.add(node.element)
        return (node.element.get(name) or "").strip() or None

    def left_over(self) -> tuple[tuple[str, ...], int]:
        """Paths of what holds something and has not been read, the highest element only, each once.

        No more than people read, and no longer: the message's author chooses how many there are. How many
        there are besides, too.
        """
        paths: dict[str, None] = {}
        more = 0
        for path in _unread(self):
            if path in paths:
                continue
            if len(paths) < _MAX_LEFT_OVER:
                paths[path] = None
            else:
                more += 1
        return tuple(paths), more


def _unread(root: Node) -> Iterator[str]:
    """The path of every highest element that has not been read, in order."""
    touched = _ancestors(root.read)
    open_ones: list[tuple[Iterator[etree._Element], str]] = [(iter((root.element,)), "")]
    while open_ones:
        siblings, path = open_ones[-1]
        element = next(siblings, None)
        if element is None:
            open_ones.pop()
        elif element in root.read:
            continue
        elif element in touched:
            open_ones.append((element.iterchildren(), _step(path, element)))
        elif any(_filled(one) for one in element.iter()):
            yield _step(path, element)


def _ancestors(elements: set[etree._Element]) -> set[etree._Element]:
    """Everything that one of these stands in."""
    found: set[etree._Element] = set()
    for element in elements:
        for parent in element.iterancestors():
            if parent in found:
                break
            found.add(parent)
    return found


def _step(path: str, child: etree._Element) -> str:
    name = str(etree.QName(child).localname)[:60]
    return f"{path}/{name}"[:_LONGEST_PATH] if path else name


def _filled(element: etree._Element) -> bool:
    return bool((element.text or "").strip()) or any(element.get(a) for a in ("V", "DN", "OT"))


# --- times ------------------------------------------------------------------------------------------------


def moment(text: str | None, zone: tzinfo) -> Moment | None:
    """An xs:dateTime or xs:date; a time without offset is in `zone`. None where the text is neither."""
    try:
        if found := _DATE.fullmatch(text or ""):
            whole_day = date.fromisoformat(found[1])
            return whole_day if whole_day.year in YEARS else None
        if _DATE_TIME.fullmatch(text or ""):
            instant = datetime.fromisoformat(text or "")
            if instant.year in YEARS:
                return instant if instant.tzinfo else instant.replace(tzinfo=zone)
    except ValueError:
        pass
    return None


def day(text: str | None) -> date | None:
    """An xs:date of any century, as of birth."""
    found = _DATE.fullmatch(text or "")
    try:
        return date.fromisoformat(found[1]) if found else None
    except ValueError:
        return None


def local_text(when: Moment) -> str:
    """A Norwegian local time to the second, or a date.

    The hour that comes twice in autumn keeps its offset, or it could not be read back.
    """
    if not isinstance(when, datetime):
        return when.isoformat()
    local = when.astimezone(OSLO).replace(microsecond=0)
    twice = local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()
    return local.isoformat() if twice else local.replace(tzinfo=None).isoformat()


# --- writing ----------------------------------------------------------------------------------------------


def new(tag: str, namespaces: dict[str | None, str]) -> etree._Element:
    """The root of a new document, or of a part of one; the prefix None is the default namespace."""
    return etree.Element(tag, nsmap=namespaces)  # type: ignore[arg-type]  # the stubs know no None prefix


def add(
    parent: etree._Element, tag: str, text: str | None = None, **attributes: str | None
) -> etree._Element:
    """A new last child. Characters that XML cannot hold are left out; attributes that are None as well."""
    child = etree.SubElement(parent, tag)
    say(child, text, **attributes)
    return child


def say(element: etree._Element, text: str | None, **attributes: str | None) -> bool:
    """Fill an element, as `add` does; always true, as there is nothing that cannot be written."""
    if text is not None:
        element.text = _ILLEGAL.sub("", text)
    for name, value in attributes.items():
        if value is not None:
            element.set(name, _ILLEGAL.sub("", value))
    return True


def document(root: etree._Element) -> bytes:
    """The bytes of a finished document, in UTF-8."""
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)
