"""Any resource as FHIR XML (R4 xml.html), to the letter: decimals as written, narrative as it came.

The order of elements is that of the definitions, which fhir.resources knows; the values are the JSON's own.
"""

from decimal import Decimal
from typing import Any

from lxml import etree

from adapter.fhir.bundles import Resource
from adapter.fhir.shape import elements, resource_class

_FHIR = "http://hl7.org/fhir"
_ATTRIBUTES = ("id", "url")


def resource_xml(resource: Resource) -> bytes:
    """The document; the resource must have its R4 shape."""
    root = _resource(resource, None)
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True)


def _resource(resource: Resource, parent: etree._Element | None) -> etree._Element:
    kind = resource["resourceType"]
    made = resource_class(kind, kind).model_validate(resource)
    tag = f"{{{_FHIR}}}{kind}"
    namespaces: Any = {None: _FHIR}
    element = etree.Element(tag, nsmap=namespaces) if parent is None else etree.SubElement(parent, tag)
    _fill(element, resource, made, is_resource=True)
    return element


def _fill(element: etree._Element, data: Resource, made: Any, *, is_resource: bool = False) -> None:
    model: Any = type(made)
    names = elements(model)
    extension = model.__name__ == "Extension"
    for name in model.elements_sequence():
        if (name == "id" and not is_resource) or (name == "url" and extension):
            if name in data:
                element.set(name, data[name])
            continue
        if name in data or f"_{name}" in data:
            _member(element, name, data.get(name), data.get(f"_{name}"), made.__dict__.get(names[name]))


def _member(element: etree._Element, name: str, value: Any, more: Any, made: Any) -> None:
    """One element, or one for each item of a list; `more` is what JSON keeps beside a primitive."""
    if not isinstance(value, list) and not isinstance(more, list):
        _one(element, name, value, more, made)
        return
    values = value or [None] * len(more)
    others = more or [None] * len(values)
    models = made if isinstance(made, list) else [None] * len(values)
    for one, other, model in zip(values, others, models, strict=False):
        _one(element, name, one, other, model)


def _one(element: etree._Element, name: str, value: Any, more: Any, made: Any) -> None:
    if name == "div":
        element.append(etree.fromstring(str(value), _parser()))
        return
    child = etree.SubElement(element, f"{{{_FHIR}}}{name}")
    if isinstance(value, dict) and "resourceType" in value:
        _resource(value, child)
    elif isinstance(value, dict):
        _fill(child, value, made)
    else:
        if value is not None:
            child.set("value", _text(value))
        if more is not None:
            _beside(child, more)


def _beside(element: etree._Element, more: Resource) -> None:
    """The id and the extensions of a primitive."""
    from fhir.resources.R4B.extension import Extension

    if "id" in more:
        element.set("id", more["id"])
    for item in more.get("extension") or ():
        child = etree.SubElement(element, f"{{{_FHIR}}}extension")
        _fill(child, item, Extension.model_validate(item))


def _parser() -> etree.XMLParser:
    return etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (str, int, Decimal)) else repr(value)
