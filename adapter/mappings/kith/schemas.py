"""KITH messages held against the official schemas: MsgHead, AppRec, Epikrise, PLO and Dialogmelding.

Which schema fits is its target namespace. Head and payload are held apart, each against its own: MsgHead
wants a schema for whatever stands in Content, and an operator need not have them all. A fault is told by
line, element names and kind, never by what an element holds: that may be health information or a number.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from lxml import etree

from adapter.errors import Refused
from adapter.mappings.checking import Fault
from adapter.mappings.kith.lists import FORMATS
from adapter.mappings.kith.msghead import either
from adapter.mappings.kith.xml import parse, root_name
from adapter.phrases import Phrase, phrase

STANDARDS: dict[str, list[str]] = FORMATS["standards"]
"""Every standard with the target namespaces of its schemas."""

NAMESPACES = frozenset(namespace for all_of_it in STANDARDS.values() for namespace in all_of_it)

HEAD = STANDARDS["MsgHead 1.2"][0]
"""Without its schema hardly anything would be checked."""

MOST_TOLD = 20
"""Faults of one message that are told: the message's author chooses how many there are."""

MOST_ELEMENTS = 10_000
"""Of a message that is held against a schema; one has some hundred. A fault costs a walk past siblings."""

Held = Callable[[str, etree._Element], "Sequence[etree._LogEntry] | None"]
"""Holds an element against the schema of a namespace: the errors, or None where there is no such schema."""

_ROOTS = ("MsgHead", "AppRec", "Message")
_LONGEST_NAME = 60
_STEP = re.compile(r"([^\[]+)(?:\[(\d+)\])?")
_ATTRIBUTE = re.compile(r"Element '[^']*', attribute '([^']*)'")
_REQUIRED = re.compile(r"The attribute '([^']*)' is required but missing")
_TYPE = re.compile(r"type '([^']*)'\.\s*$")  # the last one: what stands before may be the message's own text
_EXPECTED = re.compile(r"Expected is (?:one of )?\( (.*?) \)\.\s*$")

_NOT_LISTED = "SCHEMAV_CVC_ENUMERATION_VALID"

_WORDS = {
    "SCHEMAV_CVC_ELT_1": "the schema knows no such element here",
    "SCHEMAV_CVC_ELT_3_1": "may not be marked as empty",
    "SCHEMAV_CVC_ELT_5_2_2_2_2": "is not the only text that the schema allows",
    "SCHEMAV_CVC_COMPLEX_TYPE_2_1": "must be empty",
    "SCHEMAV_CVC_COMPLEX_TYPE_2_2": "holds an element, and only text is allowed",
    "SCHEMAV_CVC_COMPLEX_TYPE_2_3": "holds text between its elements",
    "SCHEMAV_CVC_COMPLEX_TYPE_3_2_1": "is an attribute that is not allowed here",
    "SCHEMAV_CVC_COMPLEX_TYPE_3_2_2": "is an attribute that is not allowed here",
    "SCHEMAV_CVC_TYPE_3_1_1": "has an attribute, and none is allowed",
    "SCHEMAV_CVC_TYPE_3_1_2": "holds an element, and only text is allowed",
    "SCHEMAV_CVC_LENGTH_VALID": "has the wrong length",
    "SCHEMAV_CVC_MINLENGTH_VALID": "is too short",
    "SCHEMAV_CVC_MAXLENGTH_VALID": "is too long",
    "SCHEMAV_CVC_PATTERN_VALID": "is not of the form that the schema asks for",
    "SCHEMAV_CVC_MININCLUSIVE_VALID": "is too small",
    "SCHEMAV_CVC_MINEXCLUSIVE_VALID": "is too small",
    "SCHEMAV_CVC_MAXINCLUSIVE_VALID": "is too large",
    "SCHEMAV_CVC_MAXEXCLUSIVE_VALID": "is too large",
    "SCHEMAV_CVC_TOTALDIGITS_VALID": "has too many digits",
    "SCHEMAV_CVC_FRACTIONDIGITS_VALID": "has too many decimals",
    _NOT_LISTED: "is none of the values that the schema lists",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Schemas:
    """The schemas that there are; `held` compiles, holds and answers for one namespace."""

    held: Held

    def faults(self, content: bytes) -> tuple[Fault, ...]:
        """What is wrong with a message, in the order of its lines; nothing for what is no KITH message.

        Bytes that are not well-formed have no faults here: they are refused before (T01).
        """
        if root_name(content) not in _ROOTS:
            return ()
        try:
            root = parse(content).element
        except Refused:
            return ()
        if sum(1 for _ in islice(root.iter(), MOST_ELEMENTS + 1)) > MOST_ELEMENTS:
            what = phrase(
                "has more than {most} elements, too many to be held against a schema", most=MOST_ELEMENTS
            )
            return (Fault(line=1, path=_local(str(root.tag)), what=what),)
        found = [fault for part in _parts(root) for fault in self._of(part)]
        grave = [fault for fault in found if not fault.only_a_code]
        return tuple(sorted((grave or found)[:MOST_TOLD], key=lambda fault: fault.line))

    def _of(self, part: etree._Element) -> list[Fault]:
        """The first faults of a part that a message may be refused for, and the first of the others."""
        namespace = etree.QName(part).namespace or ""
        entries = self.held(namespace, part) if namespace in NAMESPACES else None
        once: dict[tuple[str | None, str], etree._LogEntry] = {}  # one fault has two errors, often
        for entry in entries or ():
            once.setdefault((entry.path, _about(entry.message)), entry)
        grave = [entry for entry in once.values() if entry.type_name != _NOT_LISTED]
        others = [entry for entry in once.values() if entry.type_name == _NOT_LISTED]
        return [_fault(entry, part) for some in (grave, others) for entry in some[:MOST_TOLD]]


def _parts(root: etree._Element) -> Iterator[etree._Element]:
    """Each payload where it stands, then the head without them."""
    namespace = etree.QName(root).namespace or ""
    contents = [
        content
        for document in root.iter(f"{{{namespace}}}RefDoc")
        for content in document.iterchildren(f"{{{namespace}}}Content")
    ]
    payloads = [payload for content in contents for payload in content.iterchildren(etree.Element)]
    yield from payloads
    for payload in payloads:
        parent = payload.getparent()
        assert parent is not None
        parent.remove(payload)
    yield root


def _fault(entry: etree._LogEntry, part: etree._Element) -> Fault:
    attribute = _about(entry.message)
    path = _path(entry.path or "", part) + (f"/@{attribute}" if attribute else "")
    return Fault(
        line=entry.line,
        path=path,
        what=_what(entry.type_name, entry.message),
        only_a_code=entry.type_name == _NOT_LISTED,
    )


def _what(kind: str, message: str) -> Phrase:
    """The kind of an error in words; of its message nothing but the schema's own names."""
    if kind == "SCHEMAV_ELEMENT_CONTENT":
        expected = _EXPECTED.search(message)
        names = either([_local(name) for name in expected[1].split(", ")]) if expected else ""
        return _out_of_place(names, missing="Missing child element" in message)
    if kind == "SCHEMAV_CVC_COMPLEX_TYPE_4":
        required = _REQUIRED.search(message)
        if required is None:
            return phrase("an attribute is missing")
        return phrase("the attribute {name} is missing", name=_local(required[1]))
    if kind.startswith(("SCHEMAV_CVC_DATATYPE", "SCHEMAV_CVC_SIMPLE", "SCHEMAV_CVC_FACET")):
        named = _TYPE.search(message)
        if named is None:
            return phrase("is not of the type that the schema asks for")
        return phrase("is no {type}", type=_local(named[1]))
    if kind in _WORDS:
        return phrase(_WORDS[kind])
    return phrase("is not as the schema has it ({kind})", kind=kind.removeprefix("SCHEMAV_").lower())


def _out_of_place(names: str, *, missing: bool) -> Phrase:
    """Of an element where another is expected, or that lacks one; `names` may be empty."""
    if missing and names:
        return phrase("an element is missing in it: {names}", names=names)
    if missing:
        return phrase("an element is missing in it")
    return (
        phrase("stands where {names} is expected", names=names) if names else phrase("is not expected here")
    )


def _about(message: str) -> str:
    """The attribute that an error is about; empty where it is about the element."""
    named = _ATTRIBUTE.match(message)
    return _local(named[1]) if named else ""


def _local(name: str) -> str:
    return name.rpartition("}")[2].rpartition(":")[2][:_LONGEST_NAME]


def _path(path: str, part: etree._Element) -> str:
    """Element names down to where an error's path leads; `/*/x:b[2]` has prefixes and counts."""
    node, names = part, [_local(str(part.tag))]
    for step in path.split("/")[2:]:
        found = _STEP.fullmatch(step)
        if found is None:
            break
        alike = [child for child in node.iterchildren(etree.Element) if _written(child, found[1])]
        at = int(found[2] or 1) - 1
        if at >= len(alike):
            break
        node = alike[at]
        names.append(_local(str(node.tag)))
    return "/".join(names)


def _written(child: etree._Element, name: str) -> bool:
    """Whether that step of a path may be this child: `*` is any, else prefix and name as they are written."""
    local = etree.QName(child).localname
    return name in ("*", f"{child.prefix}:{local}" if child.prefix else local)
