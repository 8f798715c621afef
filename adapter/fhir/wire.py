"""Bytes to Bundles and back: FHIR JSON and FHIR XML (R4 json.html, xml.html), distrusting both.

Out of here comes parsed JSON, whichever came in. A document type, an entity, another encoding, a control
character, a member that comes twice, a number that nobody measures, and XML whose content would not arrive
whole are refused. Decimals stay as written: `72.50` is not `72.5` (R4 datatypes.html#decimal), so they are
`Decimal` here, never `float`. Reasons give a position, never content.
"""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from re import compile
from typing import Any

import orjson
from lxml import etree

from adapter.errors import Refused
from adapter.fhir.bundles import Bundle, Resource
from adapter.fhir.codes import ISSUE
from adapter.fhir.shape import BAD_INPUT, MAX_DEPTH, TOO_DEEP, elements, explained
from adapter.phrases import Phrase, phrase

JSON = "application/fhir+json"
XML = "application/fhir+xml"

MOST_PARTS = 100_000
"""Members and items of JSON, or elements of XML: a message has some hundred, and each costs about 10 µs."""

MOST_DIGITS = 40
"""Digits of a number as it is written; R4 asks for 18, and no measurement has more."""

_FARTHEST = 99  # power of ten of a number's last digit; 1E9999999999 is ten letters and a gigabyte of digits
_WHOLE = 18  # digits of an integer that every JSON library can hold

_BOM = b"\xef\xbb\xbf"
_FHIR = "{http://hl7.org/fhir}"
_DIV = "{http://www.w3.org/1999/xhtml}div"
_CONTROL = compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")
_CONTROL_ESCAPES = (b"\\u00", b"\\b", b"\\f")
_ENCODING = compile(rb"""^\s*<\?xml[^>]*?\sencoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_ENCODINGS = frozenset((b"utf-8", b"utf8", b"iso-8859-1", b"latin1", b"us-ascii", b"ascii"))
_FRACTION = compile(rb'":-?\d+[.e]')  # in JSON without white space; R4 has no list of decimals
_MAYBE_DECIMAL = compile(rb'":\s*-?\d+([.eE]|\d{17})')  # or an integer that orjson may not hold
_LETTER = compile(r"&#(\d{3,7});")
_DECLARATION = compile(rb"^\s*<\?xml[^>]*\?>")
_AROUND_JSON = (b'{"resourceType":"Bundle","type":"collection","entry":[{"resource":', b"}]}")
_AROUND_XML = (
    b'<Bundle xmlns="http://hl7.org/fhir"><type value="collection"/><entry><resource>',
    b"</resource></entry></Bundle>",
)
_PLACE = compile(r"\b[A-Z][A-Za-z]+(?:\.[a-z][A-Za-z]*|\[\d+\])+")
_OUTSIDE = (("MessageHeader", "Organization", "Provenance"), ("MessageHeader", "Organization"))
_POSITION = compile(r"line (\d+), column (\d+)")


def parse(content: bytes, content_type: str | None = None) -> Bundle:
    """The Bundle in `content`, whatever `content_type` calls it; Refused where it cannot be read whole."""
    start = content.removeprefix(_BOM).lstrip()[:1]
    if start == b"<":
        return _from_xml(content, content_type or "")
    if start in (b"{", b"["):
        return _from_json(content.removeprefix(_BOM))
    raise Refused(phrase("the content is neither JSON nor XML in UTF-8 or ISO-8859-1"), code="structure")


def parse_again(content: bytes, content_type: str | None = None) -> Bundle:
    """The Bundle in bytes that `parse` has taken before: what is wrong is not looked for a second time."""
    body = content.removeprefix(_BOM)
    if body[:1] != b"{" or _MAYBE_DECIMAL.search(body):
        return parse(content, content_type)
    found: Bundle = orjson.loads(body)
    return found


def outside_of(content: bytes, content_type: str | None = None) -> Bundle | None:
    """Of XML that cannot be read whole what stands on the outside: MessageHeader, parties and history.

    So that its refusal can be answered, as that of JSON is. None where that cannot be read either.
    """
    if media_type(content) != XML:
        return None
    for kept in _OUTSIDE:
        try:
            root = _tree(content, content_type or "")
            for item in root.findall(f"{_FHIR}entry"):
                if not any(item.find(f"{_FHIR}resource/{_FHIR}{kind}") is not None for kind in kept):
                    root.remove(item)
            return _from_xml(etree.tostring(root), "")
        except Refused:
            continue
    return None


def parse_resource(content: bytes, content_type: str | None = None) -> Resource:
    """The one resource in `content`, under the same distrust; UTF-8 only."""
    start = content.removeprefix(_BOM).lstrip()[:1]
    if start == b"<":
        body = _DECLARATION.sub(b"", content.removeprefix(_BOM), count=1)
        whole = _AROUND_XML[0] + body + _AROUND_XML[1]
        found = parse(whole, (content_type or "").partition(";")[0])
    else:
        found = parse(_AROUND_JSON[0] + content.removeprefix(_BOM) + _AROUND_JSON[1])
    entries = found.get("entry")
    one = isinstance(entries, list) and len(entries) == 1 and set(found) == {"resourceType", "type", "entry"}
    resource = entries[0].get("resource") if one and entries and isinstance(entries[0], dict) else None
    if not isinstance(resource, dict) or "resourceType" not in resource:
        raise Refused(phrase("the content is not one FHIR resource"), code="structure")
    return resource


def media_type(content: bytes) -> str:
    """`JSON` or `XML`, by the first character."""
    return XML if content.removeprefix(_BOM).lstrip().startswith(b"<") else JSON


def to_json(bundle: Bundle) -> bytes:
    """The Bundle as FHIR JSON; the same Bundle always gives the same bytes."""
    return orjson.dumps(bundle, default=_as_written)


def _as_written(value: Any) -> orjson.Fragment:
    if isinstance(value, Decimal):
        return orjson.Fragment(str(value))
    raise TypeError(f"{type(value).__name__} has no place in a Bundle")


def loads(content: bytes) -> Any:
    """Parsed JSON with its decimals as written; raises orjson.JSONDecodeError where it is none."""
    found = orjson.loads(content)
    try:
        return json.loads(content, parse_float=Decimal, parse_int=_integer)
    except RecursionError:  # too deep to be read whole by anybody, so that it will be refused
        return found


def to_xml(bundle: Bundle) -> bytes:
    """The Bundle as FHIR XML; it must have passed `validation`. For receipts: decimals would be rounded."""
    from fhir.resources.R4B.bundle import Bundle as Model

    made: str | bytes = Model.model_validate(bundle).model_dump_xml()
    return made.encode() if isinstance(made, str) else made


def write(bundle: Bundle, content_type: str) -> bytes:
    """The Bundle as XML where `content_type` says so, else as JSON."""
    return to_xml(bundle) if "xml" in content_type else to_json(bundle)


def place_in(reason: str) -> str | None:
    """The element that a refusal's sentence names, as `Bundle.entry[3].resource.status`; None if none."""
    found = _PLACE.search(reason)
    return found[0] if found is not None else None


def operation_outcome(
    reason: str,
    code: str,
    *,
    severity: str = "error",
    content_type: str = JSON,
    path: str | None = None,
) -> bytes:
    """An OperationOutcome, for an HTTP answer without a receipt; as XML where `content_type` says so.

    `path` is the place that it is about, an element or `http.` and the header; else it is that in `reason`.
    """
    issue: dict[str, str] = {"severity": severity, "code": code if code in ISSUE else "processing"}
    if reason:
        issue["diagnostics"] = _CONTROL.sub(" ", reason)
    issue["expression"] = path or place_in(reason) or "Bundle"
    if "xml" not in content_type:
        whole = issue | {"expression": [issue["expression"]]}
        return orjson.dumps({"resourceType": "OperationOutcome", "issue": [whole]})
    root = etree.Element(f"{_FHIR}OperationOutcome", nsmap={None: _FHIR[1:-1]})  # type: ignore[dict-item]  # the default namespace
    only = etree.SubElement(root, f"{_FHIR}issue")
    for name, value in issue.items():
        etree.SubElement(only, f"{_FHIR}{name}", value=value)
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True)


def _from_json(content: bytes) -> Bundle:
    if sum(content.count(sign) for sign in (b",", b"[", b"{")) > MOST_PARTS:
        raise _too_many()
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise Refused(
            phrase(
                "the content is not well-formed JSON in UTF-8, at line {line} column {column}",
                line=str(error.lineno),
                column=str(error.colno),
            ),
            code="structure",
        ) from None
    if any(escape in content for escape in _CONTROL_ESCAPES) and _has_control(found):
        raise Refused(phrase("a string has a control character"), code="structure")
    return _kept_whole(_bundle(found), content)


def _kept_whole(found: Bundle, content: bytes) -> Bundle:
    """`found` unless parsing has dropped a member or rounded a number: then refused, or parsed with care.

    Each member has its colon, and so does what is written anew, unless one was dropped. This costs a
    twentieth of looking at every member.
    """
    try:
        anew = orjson.dumps(found)
    except orjson.JSONEncodeError:  # deeper than orjson writes
        raise Refused(TOO_DEEP, code="too-costly") from None
    unsure = b"\\u003" in content or content.count(b":") != anew.count(b":")
    if not unsure and not _has_fraction(anew):
        return found
    return json.loads(content, parse_float=_decimal, parse_int=_bounded_integer, object_pairs_hook=_members)  # type: ignore[no-any-return]  # a Bundle


def _has_fraction(anew: bytes) -> bool:
    return _FRACTION.search(anew) is not None


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise Refused(phrase("an object has the same member twice; send each once"), code="structure")
    return members


def _integer(text: str) -> int | Decimal:
    return int(text) if len(text) <= _WHOLE else Decimal(text)


def _bounded_integer(text: str) -> int | Decimal:
    return int(text) if len(text) <= _WHOLE else _decimal(text)


def _decimal(text: str) -> Decimal:
    return _bounded(Decimal(text))


def _bounded(number: Decimal) -> Decimal:
    """The number, unless it has more digits or zeros than anybody measures."""
    long = len(str(number)) > MOST_DIGITS + 10  # sign, point, zeros, exponent
    _, digits, exponent = Decimal().as_tuple() if long else number.as_tuple()
    if long or len(digits) > MOST_DIGITS or not isinstance(exponent, int) or abs(exponent) > _FARTHEST:
        raise Refused(
            phrase(
                "a number has more than {number} digits or an exponent beyond {farthest}",
                number=MOST_DIGITS,
                farthest=_FARTHEST,
            ),
            code="value",
        )
    return number


def _too_many() -> Refused:
    return Refused(phrase("the message has more than 100,000 parts; send fewer"), code="too-costly")


def _bundle(found: Any) -> Bundle:
    if not isinstance(found, dict) or found.get("resourceType") != "Bundle":
        raise Refused(phrase("the content is not a FHIR Bundle"), code="structure")
    return found


def _has_control(value: Any) -> bool:
    """Whether any string or name in `value` has a character that XML and databases do not take."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting.extend(item)
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
        elif isinstance(item, str) and _CONTROL.search(item):
            return True
    return False


# --- XML --------------------------------------------------------------------------------------------------


def _from_xml(content: bytes, content_type: str) -> Bundle:
    from fhir.resources.R4B.bundle import Bundle as Model

    written = _values_written(_tree(content, content_type))
    try:
        model = Model.model_validate_xml(content, xmlparser=_parser(_charset(content, content_type)))
        for number in _decimals(model):
            _bounded(number)
        found = _bundle(orjson.loads(_LETTER.sub(_letter, model.model_dump_json())))
        _restore(found, model)
    except BAD_INPUT as error:
        raise Refused(_unread(error), code="structure") from None
    if _values_read(found) != written:
        raise Refused(
            phrase("an element of the XML repeats, or stands where FHIR R4 has none"), code="structure"
        )
    return found


def _unread(error: Exception) -> Phrase:
    """What is wrong with XML that no model can be made of, by the names of R4's elements."""
    kind = getattr(error, "title", None)
    if kind is None:
        return phrase("the XML is not a Bundle of FHIR R4 resources and elements")
    return explained(error, str(kind))


def _letter(found: re.Match[str]) -> str:
    """A letter that the model wrote as a number, as narrative may have any letter as it is."""
    number = int(found[1])
    return chr(number) if 0x7F < number < 0x110000 and not 0xD800 <= number < 0xE000 else found[0]


def _decimals(made: Any) -> Iterator[Decimal]:
    """Every decimal in a model."""
    waiting = [made]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Decimal):
            yield item
        elif isinstance(item, list):
            waiting.extend(item)
        elif hasattr(item, "model_fields_set"):
            waiting.extend(item.__dict__.values())


def _restore(found: Bundle, made: Any) -> None:
    """Put right what was written out of a model: decimals are rounded, and a narrative has a tail."""
    waiting: list[tuple[Any, Any]] = [(found, made)]
    while waiting:
        item, model = waiting.pop()
        if isinstance(item, list):
            waiting.extend(zip(item, model, strict=True))
        elif isinstance(item, dict):
            kind: Any = type(model)
            names = elements(kind)
            for key in item.keys() - {"resourceType"}:
                thing = model.__dict__[names[key]]
                if key == "div":
                    item[key] = str(item[key]).rstrip()  # the model keeps the white space that follows it
                elif isinstance(thing, Decimal):
                    item[key] = thing
                else:
                    waiting.append((item[key], thing))


def _parser(encoding: str | None) -> etree.XMLParser:
    return etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
        encoding=encoding,
    )


def _charset(content: bytes, content_type: str) -> str | None:
    """The encoding to read with, where the document does not declare one but its content type does."""
    latin = "charset=iso-8859-1" in content_type.lower().replace('"', "").replace(" ", "")
    return "iso-8859-1" if latin and _ENCODING.match(content) is None else None


def _tree(content: bytes, content_type: str) -> etree._Element:
    if content.count(b"<") > 2 * MOST_PARTS:  # a tag to open and one to close
        raise _too_many()
    if b"\x00" in content:
        raise Refused(phrase("the XML has NUL bytes, or is in UTF-16; send UTF-8"), code="structure")
    declared = _ENCODING.match(content.removeprefix(_BOM))
    if declared is not None and declared.group(1).lower() not in _ENCODINGS:
        raise Refused(phrase("the XML is in another encoding than UTF-8 or ISO-8859-1"), code="structure")
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise Refused(phrase("the XML has a document type declaration; FHIR has none"), code="security")
    try:
        root = etree.fromstring(content, _parser(_charset(content, content_type)))
    except etree.XMLSyntaxError as error:
        raise Refused(_not_well_formed(error), code="structure") from None
    if root.tag != f"{_FHIR}Bundle":
        raise Refused(phrase("the content is not a FHIR Bundle"), code="structure")
    return root


def _not_well_formed(error: etree.XMLSyntaxError) -> Phrase:
    found = _POSITION.search(str(error))
    if found is None:
        return phrase("the content is not well-formed XML")
    line, column = found.groups()
    return phrase(
        "the content is not well-formed XML, at line {line}, column {column}", line=line, column=column
    )


def _values_written(root: etree._Element) -> int:
    """How many values the document holds; Refused where one stands in no place that FHIR has for it."""
    count = 0
    waiting = [(root, 1)]
    while waiting:
        element, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise Refused(TOO_DEEP, code="too-costly")
        if element.tag == _DIV:
            count += 1
            continue
        _check_element(element)
        count += sum(1 for name in element.attrib if name in ("value", "url"))
        if "id" in element.attrib and str(element.tag).lower().endswith("extension"):
            count += 1
        waiting.extend((child, depth + 1) for child in element)
    return count


def _check_element(element: etree._Element) -> None:
    line = str(element.sourceline)
    if not str(element.tag).startswith(_FHIR):
        raise Refused(
            phrase("an element is not in FHIR's namespace, at line {line}", line=line), code="structure"
        )
    if any(name not in ("value", "url", "id") for name in element.attrib):
        raise Refused(
            phrase("an element has an attribute that FHIR has not, at line {line}", line=line),
            code="structure",
        )
    if any((text or "").strip() for text in (element.text, *(child.tail for child in element))):
        raise Refused(phrase("text stands beside the elements, at line {line}", line=line), code="structure")
    if "value" not in element.attrib and len(element) == 0:
        raise Refused(phrase("an element is empty, at line {line}", line=line), code="structure")
    if element.tag in (f"{_FHIR}resource", f"{_FHIR}contained") and len(element) != 1:
        raise Refused(
            phrase("there is not exactly one resource, at line {line}", line=line), code="structure"
        )


def _values_read(found: Bundle) -> int:
    count = 0
    waiting: list[Any] = [found]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            count -= "resourceType" in item
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
        elif item is not None:
            count += 1
    return count
