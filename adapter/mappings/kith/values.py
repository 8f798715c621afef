"""One leaf of a PLO record and its value in FHIR, by the leaf's type in the grammar: both ways, no guesses.

A value that FHIR cannot hold as it stands is left unread, so that it travels as words instead.
"""

import re
from datetime import datetime, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any

from lxml import etree

from adapter.fhir.bundles import CANONICAL, Resource
from adapter.fhir.bundles import moment as fhir_moment
from adapter.mappings.kith.lists import OID, table
from adapter.mappings.kith.xml import OSLO, Node, local_text, moment, say

LISTS = f"{CANONICAL}/CodeSystem/plo-lists"
"""Codes whose list the messages do not name, and we do not know for certain: by the element's name."""

PLO_ELEMENTS = f"{CANONICAL}/CodeSystem/plo-elements"
"""Names of elements of PLO, where FHIR has no code of its own for what they say."""

_PARTIAL = re.compile(r"\d{4}(-\d\d)?")
_NUMBER = re.compile(r"-?\d{1,12}(\.\d{1,9})?")
_URI = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)?[^\s:<>\"{}|\\^`%#]+")


def read(node: Node, kind: str, zone: tzinfo) -> Any:
    """The leaf's value, which is read then; None where it is empty, no leaf, or not what its type says."""
    found = _READ[kind](node, zone) if kind in _READ else None
    if found is not None:
        node.read.add(node.element)
    return found


def write(element: etree._Element, kind: str, value: Any) -> bool:
    """Put a value of FHIR into a leaf of that type; False where it is none that fits there."""
    made: bool = _WRITE[kind](element, value)
    return made


# --- reading ----------------------------------------------------------------------------------------------


def _text(node: Node, zone: tzinfo) -> str | None:
    return (node.element.text or "").strip() or None


def _boolean(node: Node, zone: tzinfo) -> bool | None:
    return {"true": True, "1": True, "false": False, "0": False}.get((node.element.text or "").strip())


def _number(node: Node, zone: tzinfo) -> int | float | None:
    return _numeral((node.element.text or "").strip())


def _numeral(text: str) -> int | float | None:
    if not _NUMBER.fullmatch(text):
        return None
    value = Decimal(text)
    return int(value) if value == value.to_integral_value() else float(value)


def _integer(node: Node, zone: tzinfo) -> int | None:
    found = _number(node, zone)
    return found if isinstance(found, int) and abs(found) < 2**31 else None


def _coding(node: Node, zone: tzinfo) -> Resource | None:
    """CS and CV; the words beside a code (OT) have no place in a Coding, so such a one is left."""
    element = node.element
    code, display = _attribute(element, "V"), _attribute(element, "DN")
    if element.get("OT") or not (code or display) or re.search(r"\s", code or ""):
        return None
    named = re.sub(r"[^0-9.]", "", element.get("S") or "")
    made = {"system": f"urn:oid:{named}" if named else system_of(node.name), "code": code, "display": display}
    return {key: value for key, value in made.items() if value}


def is_address(text: str) -> bool:
    """Whether it is a URI, as a telephone number is in these messages, or a bare one without scheme."""
    return _URI.fullmatch(text) is not None


def system_of(element: str) -> str:
    """The code system of an element whose messages do not name it."""
    number = table("record")["list"].get(element)
    return f"urn:oid:{OID}{number}" if number else f"{LISTS}/{element}"


def _attribute(element: etree._Element, name: str) -> str | None:
    return (element.get(name) or "").strip() or None


def _time(node: Node, zone: tzinfo) -> str | None:
    text = (node.element.get("V") or node.element.text or "").strip()
    if _PARTIAL.fullmatch(text):
        return text if moment(f"{text}-01-01"[:10], zone) is not None else None
    found = moment(text, zone)
    return found.isoformat() if found is not None else None


def _date(node: Node, zone: tzinfo) -> str | None:
    found = moment((node.element.text or "").strip(), zone)
    return found.isoformat() if found is not None and not isinstance(found, datetime) else None


def _quantity(node: Node, zone: tzinfo) -> Resource | None:
    value, unit = _numeral(_attribute(node.element, "V") or ""), _attribute(node.element, "U")
    return {"value": value, **({"unit": unit} if unit else {})} if value is not None else None


_READ: dict[str, Any] = {
    "string": _text,
    "ST": _text,
    "boolean": _boolean,
    "decimal": _number,
    "double": _number,
    "integer": _integer,
    "CS": _coding,
    "CV": _coding,
    "TS": _time,
    "dateTime": _time,
    "date": _date,
    "gYear": lambda node, zone: text if _PARTIAL.fullmatch(text := _text(node, zone) or "") else None,
    "PQ": _quantity,
}


# --- writing ----------------------------------------------------------------------------------------------


def _put_text(element: etree._Element, value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and say(element, value)


def _put_boolean(element: etree._Element, value: Any) -> bool:
    return isinstance(value, bool) and say(element, "true" if value else "false")


def _put_number(element: etree._Element, value: Any) -> bool:
    try:
        return not isinstance(value, bool) and say(element, f"{Decimal(str(value)).normalize():f}")
    except InvalidOperation:
        return False


def _put_integer(element: etree._Element, value: Any) -> bool:
    return isinstance(value, int) and _put_number(element, value)


def _put_cs(element: etree._Element, value: Any) -> bool:
    """Only a code of the element's own list: the message does not name it, so another would be misread."""
    own = system_of(str(etree.QName(element).localname))
    return (
        isinstance(value, dict)
        and value.get("system", own) == own
        and _put_coding(element, value, named=False)
    )


def _put_cv(element: etree._Element, value: Any) -> bool:
    return _put_coding(element, value, named=True)


def _put_coding(element: etree._Element, value: Any, *, named: bool) -> bool:
    if not isinstance(value, dict) or not (value.get("code") or value.get("display")):
        return False
    system = str(value.get("system") or "")
    if system == PLO_ELEMENTS:
        return False  # it stands for what nobody has said
    pairs = {"V": value.get("code"), "DN": value.get("display")}
    if named and system.startswith("urn:oid:"):
        pairs["S"] = system.removeprefix("urn:oid:")
    return say(element, None, **{key: text for key, text in pairs.items() if isinstance(text, str)})


def _put_ts(element: etree._Element, value: Any) -> bool:
    written = _written(value)
    return written is not None and say(element, None, V=written)


def _put_date_time(element: etree._Element, value: Any) -> bool:
    written = _written(value)
    return (
        written is not None
        and len(written) >= 10
        and say(element, (written + "T00:00:00")[:19] if len(written) == 10 else written)
    )


def _put_date(element: etree._Element, value: Any) -> bool:
    written = norwegian_day(value)
    return written is not None and say(element, written)


def norwegian_day(value: Any) -> str | None:
    """The day in Norway of a FHIR date or dateTime, `YYYY-MM-DD`; None of a year or a month alone.

    Raises Refused where it is a text that is neither.
    """
    written = _written(value)
    return written[:10] if written is not None and len(written) >= 10 else None


def _written(value: Any) -> str | None:
    """A FHIR date or dateTime as local text; a year or month alone stays one."""
    if not isinstance(value, str):
        return None
    if _PARTIAL.fullmatch(value):
        return value
    found = fhir_moment(value, OSLO)
    return local_text(found) if found is not None else None


def _put_year(element: etree._Element, value: Any) -> bool:
    return isinstance(value, str) and bool(re.match(r"\d{4}", value)) and say(element, value[:4])


def _put_quantity(element: etree._Element, value: Any) -> bool:
    if not isinstance(value, dict) or isinstance(value.get("value"), (bool, type(None))):
        return False
    unit = value.get("unit") or value.get("code")
    return say(
        element, None, V=f"{Decimal(str(value['value'])).normalize():f}", **({"U": unit} if unit else {})
    )


_WRITE: dict[str, Any] = {
    "string": _put_text,
    "ST": _put_text,
    "boolean": _put_boolean,
    "decimal": _put_number,
    "double": _put_number,
    "integer": _put_integer,
    "CS": _put_cs,
    "CV": _put_cv,
    "TS": _put_ts,
    "dateTime": _put_date_time,
    "date": _put_date,
    "gYear": _put_year,
    "PQ": _put_quantity,
}
