"""The persons of a dialogue: RollerRelatertNotat (Dialogmelding 1.0 and 1.1) and what FHIR R4 has for them.

A health professional is a PractitionerRole with its Practitioner, any other person a RelatedPerson. The role
says where they stand in the Communication: a contact at the receiver's is a recipient, the first
professional beside those is the sender, everybody else is somebody whom it is about.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from lxml import etree

from adapter.fhir.bundles import Bundle, Resource, entry, follow, identifiers, pairs, reference
from adapter.mappings.kith.lists import DIALOGUE, OID, PEOPLE
from adapter.mappings.kith.msghead import id_fits, write_ident
from adapter.mappings.kith.values import is_address
from adapter.mappings.kith.xml import Node, add, day
from adapter.messaging.envelope import HER, LONGEST_ID
from adapter.phrases import Phrase, phrase

FK = "{http://www.kith.no/xmlstds/felleskomponent1}"
ROLE = f"urn:oid:{OID}{DIALOGUE['role']['list']}"
_PROFESSION = f"urn:oid:{OID}{DIALOGUE['profession']['list']}"
_SCHEMES = {"tel": "phone", "fax": "fax", "mailto": "email"}
_PLACE = (("StreetAdr", "line"), ("PostalCode", "postalCode"), ("City", "city"))

Found = tuple[Resource, list[Resource]]
"""The resource that a Communication refers to, and those that it needs."""


# --- codes, shared with the dialogue itself ----------------------------------------------------------------


def coding_of(node: Node | None) -> Resource | None:
    """The Coding of a CV or CS; None where it says nothing."""
    if node is None:
        return None
    node.read.add(node.element)
    told = {name: " ".join((node.element.get(name) or "").split()) for name in ("V", "S", "DN", "OT")}
    made: Resource = {"system": f"urn:oid:{told['S']}"} if told["S"] and told["V"] else {}
    if told["V"]:
        made["code"] = told["V"]
    if told["DN"] or told["OT"]:
        made["display"] = told["DN"] or told["OT"]
    return made or None


def add_coding(parent: etree._Element, tag: str, coding: Resource) -> None:
    """A CV; a system that is no object identifier is left out."""
    system = str(coding.get("system") or "")
    oid = system.removeprefix("urn:oid:") if system.startswith("urn:oid:") else None
    add(parent, tag, V=coding.get("code"), S=oid, DN=coding.get("display"))


def norwegian(concept: Resource | None) -> Resource | None:
    """The first Coding that a CV can hold: with a list by object identifier, or with none."""
    codings = (concept or {}).get("coding") or ()
    return next((c for c in codings if str(c.get("system") or "urn:oid:").startswith("urn:oid:")), None)


# --- reading ----------------------------------------------------------------------------------------------


def read(
    node: Node,
    ns: str,
    *,
    patient: Resource,
    author: Resource,
    new_id: Callable[[str], str],
    losses: list[Phrase],
) -> tuple[str, Found]:
    """Where somebody stands in the Communication (sender, recipient or about), and the resources."""
    unit = node.one(ns + "TilknyttetEnhet")
    inner = [n for n in (node, unit) if n is not None]
    professional = next((p for n in inner if (p := n.one(ns + "HealthcareProfessional")) is not None), None)
    person = next((p for n in inner if (p := n.one(ns + "Person")) is not None), None)
    roles = _roles(node, professional, ns, losses)
    if professional is None and person is not None:
        return "about", _related(person, ns, roles, patient, new_id, losses)
    known = {c.get("code") for c in roles}
    place = "recipient" if known & set(DIALOGUE["role"]["recipient"]) else "sender"
    made: Resource = {"resourceType": "PractitionerRole", "id": new_id("role")}
    if roles:
        made["code"] = [{"coding": [coding]} for coding in roles]
    others: list[Resource] = []
    office = _office(unit, ns, new_id("unit"), losses)
    if office is not None:
        others.append(office)
        made["organization"] = reference(office)
    elif place == "sender":
        made["organization"] = reference(author)
    if professional is not None and (practitioner := _practitioner(professional, ns, new_id, losses)):
        others.append(practitioner)
        made["practitioner"] = reference(practitioner)
        if telecom := practitioner.pop("telecom", None):
            made["telecom"] = telecom
    return place, (made, others)


def _roles(node: Node, professional: Node | None, ns: str, losses: list[Phrase]) -> list[Resource]:
    """The role in the note, then the one to the patient, which is told by its list (9034)."""
    in_note = coding_of(node.one(ns + "RolleNotat"))
    to_patient = coding_of(node.one(ns + "RoleToPatient"))
    if to_patient is None and professional is not None:
        to_patient = coding_of(professional.one(ns + "RoleToPatient"))
    if to_patient is not None and to_patient.setdefault("system", ROLE) != ROLE:
        losses.append(phrase("RollerRelatertNotat/RoleToPatient is not of list 9034"))
        to_patient = None
    return [coding for coding in (in_note, to_patient) if coding is not None]


def _office(unit: Node | None, ns: str, resource_id: str, losses: list[Phrase]) -> Resource | None:
    found = unit.one(ns + "Kontaktenhet") if unit is not None else None
    if found is None:
        return None
    made: Resource = {"resourceType": "Organization", "id": resource_id}
    known = _identifiers(found, "organisation", losses)
    if known:
        made["identifier"] = identifiers(known)
    for name, value in (("name", found.text(FK + "OrganisationName")), *_contact(found, FK)):
        if value:
            made[name] = value
    return made if "name" in made or known else None


def _practitioner(
    person: Node, ns: str, new_id: Callable[[str], str], losses: list[Phrase]
) -> Resource | None:
    made = _person(person, ns, losses)
    profession = coding_of(person.one(ns + "TypeHealthcareProfessional"))
    if profession is not None:
        made["qualification"] = [{"code": {"coding": [{"system": _PROFESSION} | profession]}}]
    return {"resourceType": "Practitioner", "id": new_id("practitioner")} | made if made else None


def _related(
    person: Node,
    ns: str,
    roles: list[Resource],
    patient: Resource,
    new_id: Callable[[str], str],
    losses: list[Phrase],
) -> Found:
    made: Resource = {
        "resourceType": "RelatedPerson",
        "id": new_id("person"),
        "patient": reference(patient),
    }
    if roles:
        made["relationship"] = [{"coding": [coding]} for coding in roles]
    return made | _person(person, ns, losses), []


def _person(node: Node, ns: str, losses: list[Phrase]) -> Resource:
    """What both kinds of person have: identifiers, name, birth date, sex, address, telephone."""
    given = [node.text(ns + "GivenName"), node.text(ns + "MiddleName")]
    name = {"family": node.text(ns + "FamilyName"), "given": [part for part in given if part]}
    born = day(node.text(ns + "DateOfBirth"))
    told = {
        "identifier": identifiers(_identifiers(node, "person", losses)),
        "name": [{key: value for key, value in name.items() if value}] if any(name.values()) else None,
        "birthDate": born.isoformat() if born else None,
        "gender": PEOPLE["sex"].get(node.code(ns + "Sex") or "", {}).get("gender"),
        **dict(_contact(node, ns)),
    }
    return {key: value for key, value in told.items() if value}


def _identifiers(node: Node, kind: str, losses: list[Phrase]) -> tuple[tuple[str, str], ...]:
    """Those of a known type; the element is of felleskomponent1 here, in either version."""
    found = []
    for ident in node.all(FK + "Ident") or node.all(_ns(node) + "Ident"):
        number, code = ident.text(FK + "Id"), ident.code(FK + "TypeId")
        known = PEOPLE[kind].get(code or "")
        if number and not id_fits(number):
            losses.append(
                phrase("RollerRelatertNotat: an Ident of more than {most} characters", most=LONGEST_ID)
            )
        elif known is None and number:
            losses.append(
                phrase("RollerRelatertNotat: an Ident that is of no type with an identifier system")
            )
        elif number:
            system = known["system"]
            found.append((system, number.replace(".", "") if system == HER else number))
    return tuple(found)


def _ns(node: Node) -> str:
    return f"{{{node.namespace}}}"


def _contact(node: Node, ns: str) -> Iterator[tuple[str, Any]]:
    """`address` and `telecom`; in felleskomponent1 throughout, below elements of the dialogue's own."""
    place = node.one(ns + "Address")
    if place is not None:
        told = {name: place.text(FK + tag) for tag, name in _PLACE}
        if any(told.values()):
            line = told.pop("line")
            made: Resource = {key: value for key, value in told.items() if value}
            yield "address", [({"line": [line]} if line else {}) | made]
    ways = [(w.code(FK + "TeleAddress") or "").partition(":") for w in node.all(ns + "TeleCom")]
    found = [
        {"system": _SCHEMES.get(scheme.lower(), "other"), "value": value}
        if value
        else {"system": "phone", "value": scheme}
        for scheme, _, value in ways
        if scheme or value
    ]
    if found:
        yield "telecom", found


# --- writing ----------------------------------------------------------------------------------------------


def write(
    parent: etree._Element,
    ns: str,
    dialect: str,
    bundle: Bundle,
    communication: Resource,
    losses: list[Phrase],
) -> int:
    """Every person that a Communication names, as RollerRelatertNotat; returns how many."""
    refs = [communication.get("sender"), *(communication.get("recipient") or ()), *_about(communication)]
    written = 0
    for ref in refs:
        found = follow(bundle, ref)
        kind = found.get("resourceType") if found is not None else None
        if found is None or kind in ("Organization", "Task", "Encounter", "Patient"):
            continue  # the parties, the stay and the patient stand in the envelope
        if kind not in ("PractitionerRole", "Practitioner", "RelatedPerson"):
            losses.append(
                phrase(
                    "Communication: {kind} is no person whom a dialogue message could name", kind=str(kind)
                )
            )
            continue
        _write_one(add(parent, ns + "RollerRelatertNotat"), ns, dialect, bundle, found, losses)
        written += 1
    return written


def _about(communication: Resource) -> list[Resource]:
    return list(communication.get("about") or ())


def _write_one(
    node: etree._Element, ns: str, dialect: str, bundle: Bundle, found: Resource, losses: list[Phrase]
) -> None:
    kind = found["resourceType"]
    person = follow(bundle, found.get("practitioner")) or {} if kind == "PractitionerRole" else found
    _write_roles(node, ns, found.get("relationship" if kind == "RelatedPerson" else "code"), losses)
    office = follow(bundle, found.get("organization")) if kind == "PractitionerRole" else None
    if office is not None and not _of_the_envelope(bundle, office):
        _write_office(node, ns, dialect, office, losses)
    if kind == "RelatedPerson":
        _write_person(add(node, ns + "Person"), ns, person, ("Given", "Family"), losses)
        return
    if not person and not found.get("telecom") and dialect != "plo-1.5":
        return
    made = add(node, ns + "HealthcareProfessional")
    profession = _profession(person)
    if profession:
        name = PEOPLE["profession"].get(profession["code"]) or profession.get("display")
        add(made, ns + "TypeHealthcareProfessional", V=profession["code"], DN=name)
    telecom = found.get("telecom") or person.get("telecom")
    _write_person(made, ns, person | ({"telecom": telecom} if telecom else {}), ("Family", "Given"), losses)


def write_contact(parent: etree._Element, ns: str, clinician: Resource, losses: list[Phrase]) -> None:
    """The clinician who answers for the message, as the one whom the receiver may ask."""
    node = add(parent, ns + "RollerRelatertNotat")
    code, name = DIALOGUE["role"]["contact"]
    add_coding(node, ns + "RoleToPatient", {"system": ROLE, "code": code, "display": name})
    made = add(node, ns + "HealthcareProfessional")
    profession = _profession(clinician)
    if profession:
        name = PEOPLE["profession"].get(profession["code"])
        add(made, ns + "TypeHealthcareProfessional", V=profession["code"], DN=name)
    _write_person(made, ns, clinician, ("Family", "Given"), losses)


def _write_roles(node: etree._Element, ns: str, concepts: Any, losses: list[Phrase]) -> None:
    codings = [c for c in (norwegian(concept) for concept in concepts or ()) if c is not None]
    to_patient = [c for c in codings if c.get("system") == ROLE]
    in_note = [c for c in codings if c.get("system") != ROLE]
    if len(in_note) > 1 or len(to_patient) > 1 or len(codings) < len(concepts or ()):
        losses.append(
            phrase("a role of a person: RollerRelatertNotat has one in the note and one to the patient")
        )
    for tag, found in (("RolleNotat", in_note), ("RoleToPatient", to_patient)):
        for coding in found[:1]:
            add_coding(node, ns + tag, coding)


def _of_the_envelope(bundle: Bundle, office: Resource) -> bool:
    """Whether it is the sender or a receiver of the message, which need not be said twice."""
    head = bundle["entry"][0]["resource"]
    refs = [head.get("sender"), *(d.get("receiver") for d in head.get("destination") or ())]
    return any(follow(bundle, ref) is office for ref in refs)


def _write_office(
    node: etree._Element, ns: str, dialect: str, office: Resource, losses: list[Phrase]
) -> None:
    types = {entry_["system"]: code for code, entry_ in PEOPLE["organisation"].items()}
    known = [(types[system], value) for system, value in pairs(office) if system in types]
    if dialect == "plo-1.5" or not known:
        losses.append(phrase("the organisation of a person: it needs Dialogmelding 1.1, and an identifier"))
        return
    made = add(add(node, ns + "TilknyttetEnhet"), ns + "Kontaktenhet")
    add(made, FK + "OrganisationName", office.get("name") or "")
    for code, value in known:
        write_ident(made, FK, "organisation", code, value)
    _write_contact(made, FK, office)


def _profession(person: Resource) -> Resource | None:
    """The category of health personnel: of list 9060, or without a list as other dialects write it."""
    for qualification in person.get("qualification") or ():
        for coding in (qualification.get("code") or {}).get("coding") or ():
            if coding.get("code") and coding.get("system", _PROFESSION) == _PROFESSION:
                return dict(coding)
    return None


def _write_person(
    made: etree._Element, ns: str, person: Resource, order: tuple[str, str], losses: list[Phrase]
) -> None:
    """Names in the order of the schema, which differs for the two kinds of person."""
    name: Resource = next(iter(person.get("name") or ()), {})
    given = [part for part in name.get("given") or () if part]
    told = {"Family": name.get("family") or name.get("text"), "Given": given[0] if given else None}
    for tag, text in (
        (order[0], told[order[0]]),
        ("Middle", " ".join(given[1:])),
        (order[1], told[order[1]]),
    ):
        if text:
            add(made, ns + f"{tag}Name", text)
    if person.get("birthDate"):
        add(made, ns + "DateOfBirth", person["birthDate"])
    sex = next((c for c, e in PEOPLE["sex"].items() if e["gender"] == person.get("gender")), None)
    if sex is not None:
        add(made, ns + "Sex", V=sex, DN=PEOPLE["sex"][sex]["name"])
    types = {entry_["system"]: code for code, entry_ in PEOPLE["person"].items()}
    for system, value in pairs(person):
        if system in types:
            ident = add(made, ns + "Ident")
            code = types[system]
            add(ident, FK + "Id", value)
            add(ident, FK + "TypeId", V=code, DN=PEOPLE["person"][code]["name"], S=OID + "8116")
        else:
            losses.append(phrase("an identifier of a person: it is of no type of list 8116"))
    _write_contact(made, ns, person)


def _write_contact(made: etree._Element, ns: str, person: Resource) -> None:
    place: Resource = next(iter(person.get("address") or ()), {})
    if place:
        told = add(made, ns + "Address")
        lines = ", ".join(line for line in place.get("line") or () if line)
        for (tag, name), text in zip(_PLACE, (lines, None, None), strict=True):
            if text or place.get(name):
                add(told, FK + tag, text or place[name])
    schemes = {system: scheme for scheme, system in _SCHEMES.items()}
    for way in person.get("telecom") or ():
        if way.get("value"):
            scheme = schemes.get(way.get("system", "phone"), "tel")
            number = re.sub(r"\s", "", way["value"])
            if is_address(f"{scheme}:{number}"):
                add(add(made, ns + "TeleCom"), FK + "TeleAddress", V=f"{scheme}:{number}")


def entries(found: Found) -> list[Resource]:
    """The Bundle entries of somebody."""
    return [entry(resource) for resource in (found[0], *found[1])]
