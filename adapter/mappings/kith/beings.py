"""People and organisations of felleskomponent1 as FHIR has them: names, identifiers, addresses, telephones.

Both ways. What has no place (nationality, a county, a second level of an organisation) is left unread, so
that it travels as words.
"""

from collections.abc import Mapping
from datetime import tzinfo
from typing import Any

from lxml import etree

from adapter.fhir.bundles import Resource
from adapter.mappings.kith import values
from adapter.mappings.kith.grammar import Grammar
from adapter.mappings.kith.lists import OID, PEOPLE
from adapter.mappings.kith.msghead import id_fits
from adapter.mappings.kith.xml import Node, add, say

_USES = {"HP": "home", "MC": "mobile", "WP": "work", "HV": "temp"}
"""List 9061, kinds of telephone; those that FHIR's ContactPoint.use has a word for."""

_TELEPHONES = {
    "home": "Hovedtelefon",
    "mobile": "Mobiltelefon",
    "work": "Arbeidsplass",
    "temp": "Ferietelefon",
}
_GENDERS = {entry["gender"]: (code, entry["name"]) for code, entry in PEOPLE["sex"].items()}
_PROFESSION = "TypeHealthcareProfessional"


# --- reading ----------------------------------------------------------------------------------------------


def read_being(node: Node, zone: tzinfo, *, organisation: bool = False) -> Resource:
    """What is told of a person or organisation, in elements that all of FHIR's people and parties share.

    An organisation's name is a string, a person's a HumanName.
    """
    ns = f"{{{_inner(node)}}}"
    made: Resource = {}
    idents = [found for one in node.all(ns + "Ident") if (found := _ident(one, ns))]
    if idents:
        made["identifier"] = idents
    made |= {"name": name} if organisation and (name := node.text(ns + "OrganisationName")) else {}
    if not organisation:
        made |= _person(node, ns, zone)
    telecoms = [found for one in node.all(ns + "TeleCom") if (found := _telecom(one, ns))]
    if telecoms:
        made["telecom"] = telecoms
    place = node.one(ns + "Address")
    if place is not None and (address := _address(place, ns)):
        made["address"] = [address]
    return made


def _inner(node: Node) -> str:
    """The namespace of the children: an element of PLO holds a type of felleskomponent1."""
    first = next(node.children(), None)
    return first.namespace if first is not None else node.namespace


def _person(node: Node, ns: str, zone: tzinfo) -> Resource:
    made: Resource = {}
    name: Resource = {}
    if family := node.text(ns + "FamilyName"):
        name["family"] = family
    given = [text for part in ("GivenName", "MiddleName") if (text := node.text(ns + part))]
    if given:
        name["given"] = given
    if name:
        made["name"] = [name]
    sex = node.one(ns + "Sex")
    if sex is not None and (known := PEOPLE["sex"].get(sex.element.get("V") or "")):
        sex.code()
        made["gender"] = known["gender"]
    born = node.one(ns + "DateOfBirth")
    if born is not None and (day := values.read(born, "date", zone)):
        made["birthDate"] = day
    return made


def _ident(node: Node, ns: str) -> Resource | None:
    there, kind = node.one(ns + "Id"), node.one(ns + "TypeId")
    value = (there.element.text or "").strip() if there is not None else ""
    if there is None or not value or not id_fits(value):
        return None  # unread, so that it is listed
    there.value()
    code = (kind.element.get("V") or "").strip() if kind is not None else ""
    if kind is not None:
        kind.code()
    known = PEOPLE["person"].get(code) or PEOPLE["organisation"].get(code)
    if known is not None:
        return {"system": known["system"], "value": value.replace(".", "") if code == "HER" else value}
    coding = values.read(kind, "CV", None) if kind is not None else None  # type: ignore[arg-type]  # no time
    return {"value": value, **({"type": {"coding": [coding]}} if coding else {})}


def _telecom(node: Node, ns: str) -> Resource | None:
    there, kind = node.one(ns + "TeleAddress"), node.one(ns + "TypeTelecom")
    address = (there.element.get("V") or "").strip() if there is not None else ""
    if there is None or not values.is_address(address):
        return None
    there.code()
    code = (kind.element.get("V") or "").strip() if kind is not None else ""
    scheme, _, rest = address.partition(":")
    system = {"tel": "phone", "mailto": "email", "fax": "fax"}.get(scheme)
    made = {"system": system or "other", "value": rest if system else address}
    if code in _USES:
        kind.code()  # type: ignore[union-attr]  # the code came from it
        made["use"] = _USES[code]
    return made


def _address(node: Node, ns: str) -> Resource:
    made: Resource = {}
    if street := node.text(ns + "StreetAdr"):
        made["line"] = [street]
    for tag, key in (("PostalCode", "postalCode"), ("City", "city")):
        if text := node.text(ns + tag):
            made[key] = text
    return made


# --- writing ----------------------------------------------------------------------------------------------


def write_being(element: etree._Element, resource: Mapping[str, Any], g: Grammar) -> None:
    """Fill an element that is a Person, HealthcareProfessional or Organisation of felleskomponent1."""
    kind = g.class_of(element)
    ns = f"{{{g.namespaces['fk1']}}}"
    if kind == "Organisation":
        add(element, ns + "OrganisationName", str(resource.get("name") or "ukjent"))
    else:
        _write_person(element, resource, ns)
    written = [_write_ident(element, ns, one, kind) for one in resource.get("identifier") or ()]
    if not any(written) and kind != "Person":
        _empty_ident(element, ns, kind)
    for one in resource.get("telecom") or ():
        _write_telecom(element, ns, one)
    place = resource.get("address") or ()
    if place:
        _write_address(element, ns, place[0] if isinstance(place, list) else place)


def _write_person(element: etree._Element, resource: Mapping[str, Any], ns: str) -> None:
    name: Resource = next(iter(resource.get("name") or ()), {})
    given = list(name.get("given") or ())
    parts = (("FamilyName", name.get("family")), ("GivenName", given[0] if given else None))
    for tag, text in (*parts, ("MiddleName", " ".join(given[1:]) or None)):
        if text:
            add(element, ns + tag, text)
    born = resource.get("birthDate")
    if isinstance(born, str) and len(born) == 10:
        add(element, ns + "DateOfBirth", born)
    if resource.get("gender") in _GENDERS:
        code, display = _GENDERS[resource["gender"]]
        add(element, ns + "Sex", V=code, DN=display)


def _write_ident(element: etree._Element, ns: str, ident: Resource, kind: str) -> bool:
    table, number = ("organisation", "9051") if kind == "Organisation" else ("person", "8116")
    known = {entry["system"]: (code, entry["name"]) for code, entry in PEOPLE[table].items()}
    coding: Resource = next(iter((ident.get("type") or {}).get("coding") or ()), {})
    code, name = known.get(str(ident.get("system")), (coding.get("code"), coding.get("display")))
    if not code or not ident.get("value"):
        return False
    made = add(element, ns + "Ident")
    add(made, ns + "Id", ident["value"])
    add(made, ns + "TypeId", V=code, DN=name, S=OID + number)
    return True


def _empty_ident(element: etree._Element, ns: str, kind: str) -> None:
    """The schema wants an identifier of everybody in an office; an empty one says that none is known."""
    code, number = ("ENH", "9051") if kind == "Organisation" else ("HPR", "8116")
    made = add(element, ns + "Ident")
    add(made, ns + "Id", "")
    add(
        made,
        ns + "TypeId",
        V=code,
        DN=PEOPLE["organisation" if number == "9051" else "person"][code]["name"],
        S=OID + number,
    )


def _write_telecom(element: etree._Element, ns: str, telecom: Resource) -> None:
    value = telecom.get("value")
    if not value:
        return
    scheme = {"phone": "tel:", "email": "mailto:", "fax": "fax:"}.get(str(telecom.get("system")), "")
    address = scheme + "".join(str(value).split())
    if not values.is_address(address):
        return
    made = add(element, ns + "TeleCom")
    code = next((c for c, use in _USES.items() if use == telecom.get("use")), None)
    if code:
        add(made, ns + "TypeTelecom", V=code, DN=_TELEPHONES[_USES[code]])
    add(made, ns + "TeleAddress", V=address)


def _write_address(element: etree._Element, ns: str, address: Resource) -> None:
    made = add(element, ns + "Address")
    for tag, text in (
        ("StreetAdr", ", ".join(address.get("line") or ()) or None),
        ("PostalCode", address.get("postalCode")),
        ("City", address.get("city")),
    ):
        if text:
            add(made, ns + tag, text)
    if not len(made):
        element.remove(made)


def say_profession(element: etree._Element, ns: str, practitioner: Mapping[str, Any]) -> None:
    """TypeHealthcareProfessional (list 9060), from the qualification that stands for it."""
    for one in practitioner.get("qualification") or ():
        for coding in (one.get("code") or {}).get("coding") or ():
            if coding.get("code"):
                name = coding.get("display") or PEOPLE["profession"].get(coding["code"])
                say(add(element, ns + _PROFESSION), None, V=coding["code"], DN=name)
                return
