"""The address register's SOAP: GetCommunicationPartyDetails asked, and its answer read.

The service has two doors, both over https with HTTP authentication: SOAP 1.2 with WS-Addressing, and SOAP
1.1. An answer of either version is read, by the parser that reads messages: no DOCTYPE, no entities.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from lxml import etree

from adapter.errors import Refused
from adapter.mappings.kith.xml import OSLO, YEARS, Node, add, document, moment, new, parse
from adapter.messaging.communication_party import (
    CommunicationParty,
    ElectronicAddress,
    PartyKind,
    PostalAddress,
)
from adapter.messaging.envelope import masked
from adapter.phrases import English, Phrase, phrase, verbatim

PARTY_NS = "http://register.nhn.no/CommunicationParty"
COMMON_NS = "http://register.nhn.no/Common"
SOAP_11 = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP_12 = "http://www.w3.org/2003/05/soap-envelope"
ADDRESSING = "http://www.w3.org/2005/08/addressing"
INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"

OPERATION = "GetCommunicationPartyDetails"
ACTION = f"{PARTY_NS}/ICommunicationPartyService/{OPERATION}"
UNKNOWN = "InvalidHerIdSupplied"
"""The register's own code (GenericFault) for a HER-id that it does not know."""

_P, _C = f"{{{PARTY_NS}}}", f"{{{COMMON_NS}}}"
_LONGEST = 2000  # characters of a text that is kept
_LONGEST_FAULT = 200
_MOST_ADDRESSES = 50
_KINDS = {
    "Organization": PartyKind.ORGANISATION,
    "Service": PartyKind.SERVICE,
    "Person": PartyKind.PERSON,
    "OrganizationPerson": PartyKind.PERSON,
}


class Soap(StrEnum):
    """The version that a door of the register speaks."""

    V11 = "1.1"
    V12 = "1.2"


class Unreadable(Exception):
    """The answer is none of the register's; `said` is why, without any of it."""

    def __init__(self, said: Phrase | English) -> None:
        super().__init__(said)
        self.said = said


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """A SOAP Fault: the register's own code where it has given one, and its words, shortened."""

    code: str | None
    text: Phrase


# --- asking -----------------------------------------------------------------------------------------------


def content_type(soap: Soap) -> str:
    """What the request is sent as; SOAP 1.2 has the action here."""
    if soap is Soap.V11:
        return "text/xml; charset=utf-8"
    return f'application/soap+xml; charset=utf-8; action="{ACTION}"'


def headers(soap: Soap) -> tuple[tuple[str, str], ...]:
    """The HTTP headers besides: SOAP 1.1 has the action here."""
    return (("SOAPAction", f'"{ACTION}"'),) if soap is Soap.V11 else ()


def question(her_id: str, *, soap: Soap, to: str, message_id: str) -> bytes:
    """The request for one HER-id; `to` is the address that it is sent to, `message_id` a new UUID."""
    ns = SOAP_12 if soap is Soap.V12 else SOAP_11
    root = new(f"{{{ns}}}Envelope", {"s": ns})
    if soap is Soap.V12:
        _addressed(root, to, message_id)
    asked = etree.SubElement(add(root, f"{{{ns}}}Body"), f"{_P}{OPERATION}", nsmap={None: PARTY_NS})  # type: ignore[dict-item]  # the stubs know no None prefix
    add(asked, f"{_P}herId", her_id)
    return document(root)


def _addressed(root: etree._Element, to: str, message_id: str) -> None:
    """WS-Addressing 1.0, without which the register's SOAP 1.2 door does not open."""
    header = etree.SubElement(root, f"{{{SOAP_12}}}Header", nsmap={"a": ADDRESSING})
    must = {f"{{{SOAP_12}}}mustUnderstand": "1"}
    add(header, f"{{{ADDRESSING}}}Action", ACTION, **must)
    add(header, f"{{{ADDRESSING}}}MessageID", f"urn:uuid:{message_id}")
    reply_to = add(header, f"{{{ADDRESSING}}}ReplyTo")
    add(reply_to, f"{{{ADDRESSING}}}Address", f"{ADDRESSING}/anonymous")
    add(header, f"{{{ADDRESSING}}}To", to, **must)


# --- reading ----------------------------------------------------------------------------------------------


def answer(content: bytes, her_id: str) -> CommunicationParty | Fault | None:
    """What the register says of `her_id`; None where it knows none. Raises Unreadable."""
    body = _body(content)
    fault = body.one(f"{{{body.namespace}}}Fault")
    if fault is not None:
        told = _fault(fault)
        return None if told.code == UNKNOWN else told
    result = body.one(f"{_P}{OPERATION}Response", f"{_P}{OPERATION}Result")
    if result is None:
        raise Unreadable(phrase("it is SOAP, and no answer to the question"))
    if result.element.get(f"{{{INSTANCE}}}nil") in ("true", "1"):
        return None
    party = _party(result)
    if party.her_id != her_id:
        raise Unreadable(phrase("it is about another HER-id"))
    return party


def _body(content: bytes) -> Node:
    try:
        root = parse(content)
    except Refused as error:
        raise Unreadable(English(error.reason.replace("the message", "it", 1))) from None
    body = root.one(f"{{{root.namespace}}}Body")
    if root.name != "Envelope" or root.namespace not in (SOAP_11, SOAP_12) or body is None:
        raise Unreadable(phrase("it is no SOAP envelope"))
    return body


def _fault(fault: Node) -> Fault:
    """Version 1.2 has Code, Reason and Detail, version 1.1 faultcode, faultstring and detail."""
    s = f"{{{fault.namespace}}}"
    detail = fault.one(f"{s}Detail") or fault.one("detail")
    told = detail.one(f"{_C}GenericFault") if detail is not None else None
    code = told.text(f"{_C}ErrorCode") if told is not None else None
    words = told.text(f"{_C}Message") if told is not None else None
    outer = fault.text(f"{s}Reason", f"{s}Text") or fault.text("faultstring")
    kind = (
        fault.text(f"{s}Code", f"{s}Subcode", f"{s}Value")
        or fault.text(f"{s}Code", f"{s}Value")
        or fault.text("faultcode")
    )
    said = ": ".join(filter(None, (code or kind, words or outer)))
    theirs = masked(_shown(said))[:_LONGEST_FAULT]
    return Fault(code=code, text=verbatim(theirs) if said else phrase("without words"))


def _party(result: Node) -> CommunicationParty:
    number = _number(result, "HerId")
    if number is None:
        raise Unreadable(phrase("it names no HER-id"))
    valid = result.one(f"{_P}Valid")
    return CommunicationParty(
        her_id=number,
        kind=_kind(result),
        name=_text(result, "Name"),
        display_name=_text(result, "DisplayName"),
        active=result.true(f"{_P}Active"),
        receives=result.true(f"{_P}IsValidCommunicationParty"),
        valid_from=_bound(valid, "From"),
        valid_to=_bound(valid, "To"),
        parent_her_id=_number(result, "ParentHerId"),
        parent_name=_text(result, "ParentName"),
        parent_organisation_number=_number(result, "ParentOrganizationNumber"),
        organisation_number=_number(result, "OrganizationNumber"),
        municipality=_common(result.one(f"{_P}Municipality"), "CodeValue"),
        electronic=tuple(_electronic(result)),
        postal=tuple(_postal(result)),
    )


def _kind(result: Node) -> PartyKind:
    """The element Type, else the type of the answer itself."""
    derived = (result.element.get(f"{{{INSTANCE}}}type") or "").rpartition(":")[2]
    said = _text(result, "Type") or derived
    return _KINDS.get(said, PartyKind.OTHER)


def _electronic(result: Node) -> Iterator[ElectronicAddress]:
    listed = result.one(f"{_P}ElectronicAddresses")
    for one in (listed.all(f"{_C}ElectronicAddress") if listed is not None else ())[:_MOST_ADDRESSES]:
        kind, address = _address_kind(one), _common(one, "Address")
        if kind and address:
            yield ElectronicAddress(kind=kind, address=address, inherited=one.true(f"{_C}Inherited"))


def _postal(result: Node) -> Iterator[PostalAddress]:
    listed = result.one(f"{_P}PhysicalAddresses")
    for one in (listed.all(f"{_C}PhysicalAddress") if listed is not None else ())[:_MOST_ADDRESSES]:
        if kind := _address_kind(one):
            yield PostalAddress(
                kind=kind,
                street=_common(one, "StreetAddress"),
                postbox=_common(one, "Postbox"),
                postal_code=_common(one, "PostalCode"),
                city=_common(one, "City"),
                country=_common(one.one(f"{_C}Country"), "CodeValue"),
                inherited=one.true(f"{_C}Inherited"),
            )


def _address_kind(one: Node) -> str | None:
    return _common(one, "TypeCodeValue") or _common(one.one(f"{_C}Type"), "CodeValue")


def _text(node: Node, name: str) -> str | None:
    found = node.text(f"{_P}{name}")
    return _shown(found)[:_LONGEST] or None if found else None


def _common(node: Node | None, name: str) -> str | None:
    found = node.text(f"{_C}{name}") if node is not None else None
    return _shown(found)[:_LONGEST] or None if found else None


def _shown(text: str) -> str:
    """A text on one line, without what would steer a terminal or turn the direction of writing."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())


def _number(result: Node, name: str) -> str | None:
    """A number of the register; it writes -1 where there is none. Raises Unreadable."""
    found = result.text(f"{_P}{name}")
    if found in (None, "-1", "0"):
        return None
    if not re.fullmatch(r"\d{1,10}", found, re.ASCII):
        raise Unreadable(phrase("{element} is no number", element=name))
    return found


def _bound(valid: Node | None, name: str) -> datetime | None:
    """An end of the validity; the years 1 and 9999 stand for none. Raises Unreadable."""
    found = valid.text(f"{_C}{name}") if valid is not None else None
    year = re.match(r"\d{4}(?=-)", found or "")
    if found is None or (year is not None and int(year[0]) not in YEARS):
        return None
    read = moment(found, OSLO)
    if not isinstance(read, datetime):
        raise Unreadable(phrase("{element} is no time", element=f"Valid/{name}"))
    return read.astimezone(UTC)
