"""The people and parties of a discharge summary as FHIR has them: the patient, next of kin, health personnel.

Epikrise 1.1 and 1.2: Patient, PatientRelParty, PatientPrecaution, and every element that holds an HCP
(an institution with departments and persons, or a professional).
"""

from adapter.fhir.bundles import Resource, header, reference
from adapter.mappings.kith.epikrise_page import (
    Page,
    code_of,
    coding_of,
    concept,
    identifier,
    identifiers,
    many,
    number,
    one,
    period,
    said,
    whole,
    words_of,
)
from adapter.mappings.kith.lists import table
from adapter.mappings.kith.xml import Node

_SYSTEMS = {"tel": "phone", "callto": "phone", "mailto": "email", "fax": "fax"}


def read_patient(node: Node, page: Page) -> None:
    """What the summary tells of the patient beyond who it is."""
    patient = page.patient
    died = whole(one(node, "DateOfDeath"), page)
    if died is not None:
        patient["deceasedDateTime"] = died
    numbers = [
        *_further_numbers(node),
        *_numbers_of_others(node, page),
    ]
    if numbers:
        patient.setdefault("identifier", []).extend(numbers)
    place = one(node, "Address")
    if place is not None:
        _place(place, patient)
    for warning in many(node, "PatientPrecaution"):
        _read_precaution(warning, page)
    for relative in many(node, "PatientRelParty"):
        _read_relative(relative, page)
    for other in many(node, "PatRelHCP"):
        roles = read_provider(other, page)
        if roles and code_of(one(other, "Relation")) == table("epikrise")["said-by"]["gp"]:
            patient.setdefault("generalPractitioner", []).extend(reference(role) for role in roles)


def _further_numbers(node: Node) -> list[Resource]:
    """Numbers that do not say who it is to a receipt: those of a hospital, of another country."""
    pairs = [(one(node, "OffId"), one(node, "TypeOffId"))]
    pairs += [(one(other, "Id"), one(other, "Type")) for other in many(node, "AdditionalId")]
    unread = [
        (value, type_) for value, type_ in pairs if value is not None and value.element not in node.read
    ]
    return [made for value, type_ in unread if (made := identifier(value, type_, "person"))]


def _numbers_of_others(node: Node, page: Page) -> list[Resource]:
    """The number under which the sender, or the first receiver, knows the patient."""
    head = header(page.bundle) or {}
    receiver = next((one_of.get("receiver") for one_of in head.get("destination") or ()), None)
    found = []
    for name, assigner in (("IdByServProvider", head.get("sender")), ("IdByRequester", receiver)):
        if (value := number(node, name)) and assigner is not None:
            found.append({"value": value, "assigner": assigner})
    return found


def _place(node: Node, resource: Resource) -> None:
    """An Address: what it says beyond street, code and city, and its telephones."""
    address: Resource = next(iter(resource.get("address") or ()), {})
    for key, name in (("district", "CityDistr"), ("state", "County"), ("country", "Country")):
        word = words_of(concept(one(node, name)))
        if word:
            address[key] = word
    use = table("epikrise")["use"].get(code_of(one(node, "Type")))
    numbers = telecoms(node, use)
    if numbers:
        resource.setdefault("telecom", []).extend(numbers)
    if use and (numbers or address):
        node.code(f"{{{node.namespace}}}Type")
        if address and use in ("home", "work"):
            address.setdefault("use", use)
    if address:
        resource["address"] = [address]


def telecoms(node: Node, use: str | None) -> list[Resource]:
    """The telephones, and the like, of an Address."""
    found = []
    for one_of in many(node, "TeleAddress"):
        text = one_of.code()
        if text is None:
            continue
        scheme, _, rest = text.partition(":")
        system = _SYSTEMS.get(scheme.lower())
        made = {"system": system or "other", "value": rest if system and rest else text}
        found.append({**made, **({"use": use} if use else {})})
    return found


def address(node: Node, resource: Resource) -> None:
    """A whole Address, of somebody else than the patient."""
    made: Resource = {}
    if street := said(node, "StreetAdr"):
        made["line"] = [street]
    for key, name in (("postalCode", "PostalCode"), ("city", "City")):
        if text := said(node, name):
            made[key] = text
    if made:
        resource["address"] = [made]
    _place(node, resource)


def _read_precaution(node: Node, page: Page) -> None:
    text = said(node, "Precaution")
    if text is None:
        return
    made: Resource = {
        "resourceType": "Flag",
        "status": "active",
        "code": {"text": text},
        "subject": reference(page.patient),
    }
    if during := period(node, page):
        made["period"] = during
    page.tell(page.section("precautions", "Advarsler"), made)


def _read_relative(node: Node, page: Page) -> None:
    relation = concept(one(node, "Relation"))
    made: Resource = {"resourceType": "RelatedPerson", "patient": reference(page.patient)}
    if relation:
        made["relationship"] = [relation]
    if name := said(node, "Name"):
        made["name"] = [{"text": name}]
    if official := number(node, "RelPartyOffId"):
        made["identifier"] = [{"value": official}]
    place = one(node, "Address")
    if place is not None:
        address(place, made)
    if len(made) > 2:
        page.tell(page.section("relatives", "Pårørende"), made)


# --- health personnel -------------------------------------------------------------------------------------


def read_provider(node: Node, page: Page) -> list[Resource]:
    """The PractitionerRoles of an element that holds an HCP, told in the section of health personnel."""
    hcp = one(node, "HCP")
    if hcp is None:
        return []
    organisation = _organisation(one(hcp, "Inst"), page)
    professional = one(hcp, "HCProf")
    people = [professional] if professional is not None else many(one(hcp, "Inst"), "HCPerson")
    made = [_practitioner(person, page) for person in people]
    told: list[Resource | None] = [practitioner for practitioner in made if practitioner is not None]
    if not told and organisation is not None:
        told = [None]
    shared = _role(node, hcp, organisation, page) if told else {}
    roles = []
    for practitioner in told:
        role: Resource = {"resourceType": "PractitionerRole", "id": page.new_id()}
        if practitioner is not None:
            role["practitioner"] = practitioner
        page.tell(page.section("personnel", "Helsepersonell"), role | shared)
        roles.append(role | shared)
    return roles


def _role(node: Node, hcp: Node, organisation: Resource | None, page: Page) -> Resource:
    """What is said of the part that somebody has, whoever it is."""
    made: Resource = {"organization": organisation} if organisation else {}
    codes = [
        concept(one(node, "Relation")),
        concept(one(node, "Role")),
        concept(one(hcp, "HCProf", "Position")),
    ]
    if any(codes):
        made["code"] = [code for code in codes if code]
    if specialty := concept(one(hcp, "MedSpecialty")):
        made["specialty"] = [specialty]
    if during := period(node, page):
        made["period"] = during
    place = one(hcp, "Address")
    if place is not None:
        use = table("epikrise")["use"].get(code_of(one(place, "Type")))
        if numbers := telecoms(place, use):
            made["telecom"] = numbers
            if use:
                place.code(f"{{{place.namespace}}}Type")
    return made


def _organisation(node: Node | None, page: Page) -> Resource | None:
    """A Reference to the institution, or to its innermost department."""
    if node is None:
        return None
    above: Resource | None = None
    for level in (node, *many(node, "Dept")):
        made: Resource = {"resourceType": "Organization"}
        if idents := identifiers(level, "organisation"):
            made["identifier"] = idents
        if name := said(level, "Name"):
            made["name"] = name
        if kind := concept(one(level, "Type")):
            made["type"] = [kind]
        if len(made) > 1:
            above = page.add(made | ({"partOf": above} if above else {}))
    return above


def _practitioner(node: Node, page: Page) -> Resource | None:
    """A Reference to a professional; None where the message says nothing of the person."""
    made: Resource = {"resourceType": "Practitioner"}
    if idents := identifiers(node, "person"):
        made["identifier"] = idents
    if name := said(node, "Name"):
        made["name"] = [{"text": name}]
    skills = [coding_of(one(node, "Type")), *(coding_of(skill) for skill in many(node, "Qual"))]
    if any(skills):
        made["qualification"] = [{"code": {"coding": [skill]}} for skill in skills if skill]
    return page.add(made) if len(made) > 1 else None
