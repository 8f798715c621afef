"""Tiny schemas of our own making, in the namespaces of the standards: they ask for little.

A patient must have a birth date and a sex of two; an organisation that a receipt names must have a name.
"""

from pathlib import Path

XS = 'xmlns:xs="http://www.w3.org/2001/XMLSchema"'
HEAD = "http://www.kith.no/xmlstds/msghead/2006-05-24"
LOGISTICS = "http://www.kith.no/xmlstds/po/Pasientlogistikk/2012-04-01"
APPREC = "http://www.kith.no/xmlstds/apprec/2012-02-15"

_SOME = '<xs:any namespace="##any" processContents="skip" minOccurs="0" maxOccurs="unbounded"/>'
_ANYTHING = (
    f'<xs:complexType mixed="true"><xs:sequence>{_SOME}</xs:sequence>'
    '<xs:anyAttribute processContents="skip"/></xs:complexType>'
)


def _schema(namespace: str, inside: str, also: str = "") -> str:
    return (
        f'<xs:schema {XS} targetNamespace="{namespace}" xmlns="{namespace}" elementFormDefault="qualified">'
        f'{also}<xs:complexType name="CS"><xs:attribute name="V" use="required"/><xs:attribute name="DN"/>'
        f'<xs:attribute name="S"/></xs:complexType>{inside}</xs:schema>'
    )


def _element(name: str, inside: str = _ANYTHING, *, least: int = 1, most: int | str = 1) -> str:
    return f'<xs:element name="{name}" minOccurs="{least}" maxOccurs="{most}">{inside}</xs:element>'


def _of(*elements: str) -> str:
    return f"<xs:complexType><xs:sequence>{''.join(elements)}</xs:sequence></xs:complexType>"


def _typed(name: str, kind: str, *, least: int = 1) -> str:
    return f'<xs:element name="{name}" type="{kind}" minOccurs="{least}"/>'


_PATIENT = _of(
    _typed("FamilyName", "xs:string"),
    _typed("GivenName", "xs:string"),
    _typed("DateOfBirth", "xs:date"),
    _typed("Sex", "Sex", least=0),
    *(_element(name, least=0, most="unbounded") for name in ("Ident", "Address")),
)
_INFO = _of(
    _typed("Type", "CS"),
    *(_element(name) for name in ("MIGversion", "GenDate", "MsgId")),
    *(_element(name, least=0) for name in ("ProcessingStatus", "ConversationRef")),
    _element("Sender"),
    _element("Receiver"),
    _element("OtherReceiver", least=0, most="unbounded"),
    _element("Patient", _PATIENT),
)
_SEX = (
    '<xs:complexType name="Sex"><xs:attribute name="V"><xs:simpleType><xs:restriction base="xs:string">'
    '<xs:enumeration value="1"/><xs:enumeration value="2"/></xs:restriction></xs:simpleType></xs:attribute>'
    '<xs:attribute name="DN"/></xs:complexType>'
)
_CONTENT = _of('<xs:any processContents="strict" minOccurs="0"/>')
_DOCUMENT = _of(
    _element("RefDoc", _of(_element("IssueDate"), _element("MsgType"), _element("Content", _CONTENT)))
)

MSGHEAD = _schema(
    HEAD,
    _SEX
    + '<xs:element name="MsgHead">'
    + _of(_element("MsgInfo", _INFO), _element("Document", _DOCUMENT, most="unbounded"))
    + "</xs:element>",
)

_EVENTS = ("MeldingInnlagtPasient", "MeldingUtskrivningsklarPasient", "AvmeldingUtskrivningsklarPasient")
PASIENTLOGISTIKK = _schema(
    LOGISTICS,
    '<xs:element name="Pasientlogistikk"><xs:complexType><xs:sequence>'
    '<xs:any namespace="##other" processContents="skip" minOccurs="0" maxOccurs="unbounded"/>'
    f"<xs:choice>{''.join(_element(event) for event in _EVENTS)}</xs:choice>"
    "</xs:sequence></xs:complexType></xs:element>",
)

_LEVELS = [
    _element(name, least=0, most="unbounded") for name in ("Id", "TypeId", "Dept", "AdditionalId", "HCPerson")
]
_INST = _element("Inst", _of(_typed("Name", "xs:string"), *_LEVELS))
_PARTY = _of(_element("Role"), _element("HCP", _of(_INST)))
APPREC_1_1 = _schema(
    APPREC,
    '<xs:element name="AppRec">'
    + _of(
        *(_element(name) for name in ("MsgType", "MIGversion", "GenDate", "Id")),
        _element("Sender", _PARTY),
        _element("Receiver", _PARTY),
        _element("Status"),
        _element("Error", least=0, most="unbounded"),
        _element("OriginalMsgId"),
    )
    + "</xs:element>",
)


def folder(at: Path, **more: str) -> Path:
    """A folder with the three, and others by name; a name given anew replaces one."""
    files = {"head": MSGHEAD, "logistics": PASIENTLOGISTIKK, "apprec": APPREC_1_1} | more
    at.mkdir(exist_ok=True)
    for name, text in files.items():
        (at / f"{name}.xsd").write_text(text, encoding="utf-8")
    return at
