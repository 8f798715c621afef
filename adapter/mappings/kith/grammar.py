"""Which element stands where in the reports of PLO 1.5 and 1.6 (HIS 80704): the table `codes/grammar.toml`.

A writer puts elements where they belong without knowing the order of their siblings; `finished` orders them,
and says what the version has no place for. So the schemas are not needed to write what they accept.
"""

import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from lxml import etree

from adapter.mappings.kith.lists import table
from adapter.mappings.kith.xml import new

Path = tuple[str, ...]
"""Local names from below the payload's root down."""

DIALECTS = ("plo-1.5", "plo-1.6")
_PO = "http://www.kith.no/xmlstds/po/"
_PARTS = ("Person", "HealthcareProfessional", "Organisation", "Ident", "Address", "TeleCom")
_CHILD = re.compile(r"(?:(po|epj\d|fk1):)?(\w+)(?::(\w+))?([?*+]?)(@1\.6)?(!1\.5)?")
_IDS = uuid.UUID("f3c0a7a6-2f0f-5d4e-9f0a-5d2f0b7a1c44")


@dataclass(frozen=True, kw_only=True, slots=True)
class Child:
    """One kind of child that an element may have."""

    name: str
    namespace: str
    type: str | None  # of a leaf, or a part of felleskomponent1; None for an element of its own
    many: bool
    required: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Grammar:
    """The elements of one version, by local name; no two with the same one have different children."""

    dialect: str
    namespaces: Mapping[str, str]
    elements: Mapping[str, tuple[Child, ...]]
    typed: Mapping[str, str]  # elements whose children are those of a part of felleskomponent1

    def class_of(self, element: etree._Element) -> str:
        """The name under which the element's children are found: its own, or that of its type."""
        name = _local(element)
        return self.typed.get(name, name)

    def children(self, element: str) -> tuple[Child, ...]:
        """The children of an element in order; none for what is not in the table."""
        return self.elements.get(element, ())

    def child(self, element: str, name: str) -> Child | None:
        """The child of that name, if the version has it there."""
        return next((child for child in self.children(element) if child.name == name), None)

    def has(self, root: str, path: Path) -> bool:
        """Whether the version has a place at `path` below `root`."""
        at = root
        for step in path:
            child = self.child(at, step)
            if child is None:
                return False
            at = self.typed.get(step, step)
        return True

    def many(self, root: str, path: Path) -> bool:
        """Whether what stands at `path` may stand there more than once."""
        *above, last = path
        child = self.child(self.typed.get(above[-1], above[-1]) if above else root, last)
        return child is not None and child.many

    def required(self, element: str, path: Path) -> bool:
        """Whether what stands at `path` must stand there, if its parents do."""
        *above, last = path
        child = self.child(self.typed.get(above[-1], above[-1]) if above else element, last)
        return child is not None and child.required

    def place(self, parent: etree._Element, path: Path) -> etree._Element:
        """A new element at the end of `path`, in the last parent that can hold one more, or in a new one.

        The path must be in the grammar (`has`).
        """
        step, *rest = path
        standing = self._last(parent, step) if rest else None
        if standing is not None and self._room(standing, tuple(rest)):
            return self.place(standing, tuple(rest))
        made = self.add(parent, step)
        return self.place(made, tuple(rest)) if rest else made

    def _room(self, parent: etree._Element, path: Path) -> bool:
        """Whether one more element at the end of `path` can be put below `parent`."""
        step, *rest = path
        child = self.child(self.class_of(parent), step)
        if child is None:
            return False
        standing = None if child.many else self._last(parent, step)
        if standing is None:
            return not (self.class_of(parent) == "InfoKontrolltime" and len(parent))
        return bool(rest) and self._room(standing, tuple(rest))

    def _last(self, parent: etree._Element, name: str) -> etree._Element | None:
        """The last child of that name, found from behind, as there may be thousands."""
        child = self.child(self.class_of(parent), name)
        tag = f"{{{child.namespace}}}{name}" if child is not None else name
        return next(parent.iterchildren(tag, reversed=True), None)

    def add(self, parent: etree._Element, name: str) -> etree._Element:
        """One more child, in its own namespace; its place among its siblings comes with `finished`."""
        child = self.child(self.class_of(parent), name)
        assert child is not None, (parent.tag, name)
        return etree.SubElement(parent, f"{{{child.namespace}}}{name}")

    def finished(self, root: etree._Element, message_id: str) -> list[str]:
        """Order all children and give the components of the record their attributes.

        Returns the paths of required elements that are missing.
        """
        missing: list[str] = []
        self._finish(root, "", missing)
        for number, element in enumerate(_components(root)):
            basis, kind, category = table("grammar")["component"][_local(element)]
            m1 = self.namespaces["m1"]
            if f"{{{m1}}}informasjonskategori" not in element.attrib:
                element.set(f"{{{m1}}}informasjonskategori", category)
            element.set("komponentID", str(uuid.uuid5(_IDS, f"{message_id}/{number}")))
            element.set(f"{{{m1}}}komponenttype", kind)
            element.set(f"{{{m1}}}basiskomponenttype", basis)
        return missing

    def _finish(self, element: etree._Element, path: str, missing: list[str]) -> None:
        known = self.children(self.class_of(element))
        if not known:
            return
        order = {child.name: place for place, child in enumerate(known)}
        element[:] = sorted(element, key=lambda one: order[_local(one)])
        there = {_local(one) for one in element}
        missing += [f"{path}{child.name}" for child in known if child.required and child.name not in there]
        for one in element:
            self._finish(one, f"{path}{_local(one)}/", missing)

    def payload(self, message_type: str) -> etree._Element:
        """An empty root for that type of message."""
        found = table("grammar")["roots"][message_type]
        name, namespace = found["root"], f"{_PO}{found[self.dialect]}"
        prefixes: dict[str | None, str] = {k: v for k, v in self.namespaces.items() if k != "po"}
        return new(f"{{{namespace}}}{name}", {"p": namespace, None: self.namespaces["po"], **prefixes})


def root_name(message_type: str) -> str:
    """The local name of the payload's root."""
    return str(table("grammar")["roots"][message_type]["root"])


def root_namespaces(message_type: str) -> dict[str, str]:
    """The dialect by the namespace of the payload's root."""
    found = table("grammar")["roots"][message_type]
    return {f"{_PO}{found[dialect]}": dialect for dialect in DIALECTS}


@cache
def grammar(dialect: str) -> Grammar:
    """The grammar of `plo-1.5` or `plo-1.6`."""
    found = table("grammar")
    namespaces = {
        name: uri[dialect] if isinstance(uri, dict) else uri for name, uri in found["namespaces"].items()
    }
    elements: dict[str, tuple[Child, ...]] = {}
    for section in ("po", "epj1", "epj2", "epj3", "fk1"):
        for name, line in found[section].items():
            elements[name] = tuple(_children(line, section, dialect, namespaces))
    for name, line in found["root"].items():
        elements[name] = tuple(_children(f"{found['head']['all']} {line}", "po", dialect, namespaces))
    every = (child for children in elements.values() for child in children)
    typed = {child.name: child.type for child in every if child.type in _PARTS}
    return Grammar(dialect=dialect, namespaces=namespaces, elements=elements, typed=typed)


def _children(line: str, own: str, dialect: str, namespaces: Mapping[str, str]) -> Iterator[Child]:
    for word in line.split():
        parts = _CHILD.fullmatch(word)
        assert parts is not None, word
        prefix, name, kind, often, later, stricter = parts.groups()
        if later and dialect == "plo-1.5":
            continue
        yield Child(
            name=name,
            namespace=namespaces[prefix or own],
            type=kind,
            many=often in ("*", "+"),
            required=often in ("", "+") or bool(stricter and dialect == "plo-1.5"),
        )


def _local(element: etree._Element) -> str:
    return str(etree.QName(element).localname)


def _components(root: etree._Element) -> Iterator[etree._Element]:
    known: dict[str, Any] = table("grammar")["component"]
    return (one for one in root.iter() if _local(one) in known)
