"""The shape of a resource: what fhir.resources holds it to, and the four things that it lets through.

fhir.resources has R4B, which for our resources is R4 but for `valueMeta` in Task and Parameters. It reads
leniently: a JSON string in place of an object, "true" for true, an element under its Python name, empty
arrays and objects. So the model that it makes is held against what was written. No reason quotes a value.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from functools import cache
from re import ASCII, compile
from typing import Any

import orjson

from adapter.errors import Refused
from adapter.fhir.bundles import Resource
from adapter.fhir.codes import words
from adapter.phrases import Phrase, phrase

MAX_DEPTH = 50
"""Nesting of objects and arrays; R4 messages stay under 20."""

TOO_DEEP = phrase("the Bundle nests deeper than {number} levels", number=MAX_DEPTH)

_ID = compile(r"[A-Za-z0-9\-.]{1,64}", ASCII)
_ELEMENT = compile(r"[A-Za-z_]{1,60}", ASCII)
_INSTANT = compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", ASCII)
_NOT_R4 = words(
    "AdministrableProductDefinition Citation ClinicalUseDefinition EvidenceReport Ingredient "
    "ManufacturedItemDefinition MedicinalProductDefinition NutritionProduct PackagedProductDefinition "
    "RegulatedAuthorization SubscriptionStatus SubscriptionTopic SubstanceDefinition"
)
"""Resources that R4B has added to R4."""

BAD_INPUT = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    RecursionError,
)
"""What fhir.resources raises over bad input besides its ValidationError (itself a ValueError)."""


_NUMBERS = frozenset((bool, int, float, Decimal))


_RECURRING = frozenset(("Organization", "Practitioner", "PractitionerRole", "Location"))
_REMEMBERED = 4096
_right: dict[bytes, "Found"] = {}
_ALIKE = frozenset(("MessageHeader", "Bundle"))
_alike: dict[bytes, "Found"] = {}
_OWN = {"id": _ID, "identifier": _ID, "reference": compile(r"[!-~]+", ASCII), "timestamp": _INSTANT}
"""What tells one receipt of a partner from the next, and the form in which it is always right."""


class Found:
    """What the rules want to know of one resource, gathered on the same walk."""

    __slots__ = ("extensions", "narratives", "references")

    def __init__(self) -> None:
        self.references: list[str] = []
        self.narratives: list[str] = []
        self.extensions: list[Resource] = []


_FAULTS = {
    "unknown": "{element} has an element, or is of a type, that FHIR R4 does not have",
    "string": "{element} is a JSON string where FHIR R4 has none",
    "boolean": "{element} is a JSON boolean where FHIR R4 has none",
    "number": "{element} is a JSON number where FHIR R4 has none, or not a whole one",
    "null": "{element} is null; leave the element out instead",
    "object": "{element} is an empty object",
    "array": "{element} is an empty array",
    "untyped": "{element} is a resource that does not say of which type",
    "R4B": "{element} is of R4B, not of FHIR R4",
    "id": "{element} is not 1 to 64 of A-Z, a-z, 0-9, '-' and '.'",
}
"""What may be wrong on the way down."""


class _Fault(Exception):
    """A fault on the way down; the path is put together on the way up."""

    def __init__(self, fault: str, *path: str) -> None:
        super().__init__(fault)
        self.fault = fault
        self.path = list(path)

    def refusal(self, where: str) -> Refused:
        """The refusal of the element that lies on the path from `where`."""
        element = ".".join((where, *self.path))
        return Refused(phrase(_FAULTS[self.fault], element=element), code="structure")


def depth_fits(value: Any) -> bool:
    """Whether `value` nests no deeper than `MAX_DEPTH`; never recurses."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for parent in level
            for child in (parent.values() if type(parent) is dict else parent)
            if type(child) is dict or type(child) is list
        ]
        if not level:
            return True
    return False


def check(resource: Resource, where: str) -> Found:
    """Hold one resource to its R4 shape; Refused names `where` and the element, never its content.

    The same organisations and professionals come in message after message, often under a new id: what has
    been found right about them is remembered by their content. Of a partner's headers, by what stays the
    same from one to the next.
    """
    content = _recurring(resource)
    if content is None:
        return _alike_or(resource, lambda: _checked(resource, where))
    found = _right.get(content)
    if found is None:
        found = _checked(resource, where)
        _remember(_right, content, found)
    return found


def _remember(known: dict[bytes, Found], content: bytes, found: Found) -> None:
    if len(known) >= _REMEMBERED:
        known.clear()
    known[content] = found


def _alike_or(resource: Resource, checked: Callable[[], Found]) -> Found:
    """What is known of another that differs in its ids, references and time alone; else as `checked`."""
    kind = resource.get("resourceType")
    if not isinstance(kind, str) or kind not in _ALIKE:
        return checked()
    references: list[str] = []
    outline = _outline(resource, references)
    if outline is None:
        return checked()
    known = _alike.get(outline)
    if known is None:
        known = checked()
        if not known.extensions and known.references == references:
            _remember(_alike, outline, known)
        return known
    found = Found()
    found.references, found.narratives = references, known.narratives
    return found


def _outline(resource: Resource, references: list[str]) -> bytes | None:
    """The resource without what is its own, which has its form; None where it has not."""
    try:
        return orjson.dumps(_less_own(resource, references))
    except (TypeError, ValueError, RecursionError):  # the model has better words for what is wrong
        return None


def _less_own(value: Any, references: list[str]) -> Any:
    if type(value) is list:
        return [_less_own(item, references) for item in value]
    if type(value) is not dict:
        return value
    made = {}
    for key, item in value.items():
        form = _OWN.get(key)
        if form is None or type(item) is not str:
            made[key] = _less_own(item, references)
            continue
        if form.fullmatch(item) is None:
            raise ValueError("another form")
        if key == "reference":
            references.append(item)
        elif key == "timestamp":
            datetime.fromisoformat(item)
        made[key] = ""
    return made


def forget() -> None:
    """Look at everything as closely as the first time."""
    _right.clear()
    _alike.clear()


def _recurring(resource: Resource) -> bytes | None:
    """The content without its id, of a resource that others are likely to repeat; None of any other."""
    kind, own = resource.get("resourceType"), resource.get("id")
    if not isinstance(kind, str) or kind not in _RECURRING or not isinstance(own, str):
        return None
    if _ID.fullmatch(own) is None:
        return None
    try:
        return orjson.dumps({**resource, "id": ""}, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # a decimal, say: no reason to fail, only not to remember
        return None


def _checked(resource: Resource, where: str) -> Found:
    found = Found()
    made = _made(resource_class(resource.get("resourceType"), where), resource, where)
    try:
        _compare(resource, made, found)
    except _Fault as fault:
        raise fault.refusal(where) from None
    return found


def check_part(part: Resource, module: str, name: str, where: str) -> Found:
    """The same for something that is no resource of its own, or not whole: a Bundle less its entries."""
    if part.get("resourceType") != name:
        return _checked_part(part, module, name, where)
    return _alike_or(part, lambda: _checked_part(part, module, name, where))


def _checked_part(part: Resource, module: str, name: str, where: str) -> Found:
    found = Found()
    made = _made(_class_in(module, name), part, where)
    try:
        _compare(part, made, found)
    except _Fault as fault:
        raise fault.refusal(where) from None
    return found


def resource_class(name: Any, where: str) -> Any:
    """The class of that resource type, imported when first met; Refused where R4 has none of that name."""
    found = _resource_class(name)
    if found is None:
        element = f"{where}.resourceType"
        raise Refused(phrase("{element} is not a resource of FHIR R4", element=element), code="structure")
    return found


@cache
def _class_in(module: str, name: str) -> Any:
    from importlib import import_module

    return getattr(import_module(f"fhir.resources.R4B.{module}"), name)


def _resource_class(name: Any) -> Any:
    if not isinstance(name, str):
        return None
    found = _known.get(name)
    if found is None and name not in _NOT_R4 and _ELEMENT.fullmatch(name):
        from fhir.resources.R4B import get_fhir_model_class

        try:
            found = get_fhir_model_class(name)
        except BAD_INPUT:
            return None
        if not found.has_resource_base() or name in ("Resource", "DomainResource"):
            return None
        _known[name] = found
    return found


_known: dict[str, Any] = {}


def _made(model: Any, data: Resource, where: str) -> Any:
    try:
        return model.model_validate(data)
    except BAD_INPUT as error:
        raise Refused(explained(error, where), code="structure") from None


def explained(error: Exception, where: str) -> Phrase:
    """What the first fault is, and in which element of R4 on the path from `where`."""
    errors = getattr(error, "errors", None)
    if errors is None:
        return phrase("{element} holds something that is no resource or element of FHIR R4", element=where)
    first = errors(include_url=False, include_context=False, include_input=False)[0]
    loc = list(first["loc"])
    if first["type"] == "extra_forbidden":
        there = _path(where, loc[:-1])
        return phrase("{element} has an element that FHIR R4 does not have there", element=there)
    if first["type"].endswith("missing"):
        return phrase("{element} is required", element=_path(where, loc))
    return phrase("{element} does not have the form that FHIR R4 gives it", element=_path(where, loc))


def _path(where: str, loc: Iterable[Any]) -> str:
    steps = (f"[{part}]" if isinstance(part, int) else part for part in loc if _is_step(part))
    return ".".join((where, *steps))


def _is_step(part: Any) -> bool:
    return isinstance(part, int) or bool(_ELEMENT.fullmatch(part))


@cache
def elements(model: Any) -> dict[str, str]:
    """Field name by element name; what is left out here (`fhir_comments`) is no element of R4."""
    return {
        field.alias or name: name
        for name, field in model.model_fields.items()
        if name not in ("fhir_comments", "resource_type")
    }


def _compare(data: Resource, made: Any, found: Found) -> None:
    """Hold what was written against the model made of it: element names, JSON types, nothing empty."""
    model: Any = type(made)
    names = elements(model)
    fields = made.__dict__
    for key, value in data.items():
        name = names.get(key)
        if name is None:
            if key == "resourceType" and _resource_class(value) is model:
                continue
            raise _Fault("unknown")
        try:
            _compare_value(value, fields[name], found)
        except _Fault as fault:
            fault.path.insert(0, key)
            raise
    _gather(data, model, found)


def _compare_value(value: Any, made: Any, found: Found) -> None:
    kind = type(value)
    if kind is str:
        if hasattr(made, "model_fields_set") or type(made) in _NUMBERS:
            raise _Fault("string")
    elif kind is dict:
        if not value:
            raise _Fault("object")
        _compare(value, made, found)
    elif kind is list:
        if not value:
            raise _Fault("array")
        _compare_items(value, made, found)
    elif kind is bool:
        if made is not value:
            raise _Fault("boolean")
    elif value is None:
        raise _Fault("null")
    elif type(made) not in _NUMBERS or type(made) is bool or (kind is not int and type(made) is int):
        raise _Fault("number")


def _compare_items(items: list[Any], made: list[Any], found: Found) -> None:
    for number, (item, thing) in enumerate(zip(items, made, strict=True)):
        if item is None:
            continue  # a place held for the `_element` beside it (json.html#primitive)
        try:
            _compare_value(item, thing, found)
        except _Fault as fault:
            fault.path.insert(0, f"[{number}]")
            raise


def _gather(data: Resource, model: Any, found: Found) -> None:
    kind = model.__resource_type__
    if kind == "Reference":
        if "reference" in data:
            found.references.append(data["reference"])
    elif kind == "Extension":
        found.extensions.append(data)
    elif kind == "Narrative":
        if "div" in data:
            found.narratives.append(data["div"])
    elif kind == "Resource":
        raise _Fault("untyped")
    elif "valueMeta" in data:
        raise _Fault("R4B", "valueMeta")
    elif "resourceType" in data and "id" in data and not _ID.fullmatch(data["id"]):
        raise _Fault("id", "id")


def contained_ids(resource: Resource) -> Iterator[str]:
    """The ids that `#id` may lead to."""
    for part in resource.get("contained") or ():
        if "id" in part:
            yield part["id"]
