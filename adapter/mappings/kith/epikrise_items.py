"""Clinical information of a discharge summary (InfItem of Epikrise 1.1 and 1.2) as FHIR resources.

`codes/epikrise.toml` says which kind of it (list 8233) is which resource. Formatted text is the narrative of
a section; what is coded is a resource that the section leads to.
"""

import re
from typing import Any

from adapter.fhir.bundles import Resource, reference
from adapter.mappings.kith import values
from adapter.mappings.kith.epikrise_page import (
    ATC,
    LOINC,
    Page,
    code_of,
    coded,
    coding_of,
    concept,
    formatted,
    many,
    one,
    period,
    said,
    when,
    words_of,
    write_down,
)
from adapter.mappings.kith.lists import table
from adapter.mappings.kith.xhtml import paragraphs
from adapter.mappings.kith.xml import Node

_CATEGORY = "http://terminology.hl7.org/CodeSystem/condition-category"
_ALLERGY = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"
_STOPPED = re.compile("sepon|avslutt|stopp|stans")
_DIAGNOSIS = {"coding": [{"system": _CATEGORY, "code": "encounter-diagnosis"}]}


def read_item(item: Node, page: Page) -> None:
    type_ = one(item, "Type")
    found = coding_of(type_) or {}
    code = found.get("code", "")
    section = page.section(key_of("item", found), title_of(found, "Klinisk opplysning"), *codings_of(found))
    for child in item.children():
        if child.name == "Observation":
            _read_observation(child, item, code, section, page)
        elif child.name == "Medication":
            _read_medication(child, item, section, page)
        elif child.name == "ResultItem":
            _read_result(child, item, section, page)
    if type_ is not None and not filled(section):
        item.read.discard(type_.element)  # nobody would see it


def filled(section: Resource) -> bool:
    """Whether a section holds anything, as R4 wants of each (cmp-1)."""
    return any(section.get(key) for key in ("text", "entry", "section"))


def key_of(kind: str, found: Resource) -> str:
    """What sets a section apart: the code, and the words beside it."""
    return f"{kind}/{found.get('code')}/{found.get('display')}"


def _read_observation(node: Node, item: Node, code: str, section: Resource, page: Page) -> None:
    """Words are the section's; a code, or a warning or diagnosis in words alone, is a resource."""
    div = formatted(one(node, "Description"))
    kind = table("epikrise")["resource"].get(code)
    told = coded(one(node, "CodedDescr"))
    if told is None and div is not None and kind in ("Condition", "Flag", "Procedure"):
        told = {"text": _plain(node)}
    comment = said(node, "Comment")
    write_down(section, div)
    if told is None:
        write_down(section, paragraphs([comment]) if comment else None)
        return
    kind = kind or "Observation"
    if kind == "Flag" and any(coding.get("system") == ATC for coding in told.get("coding", ())):
        kind = "AllergyIntolerance"
    made = about(page, kind, told) | _times(kind, item, page)
    if comment and kind != "Flag":
        made["note"] = [{"text": comment}]
    elif comment:
        write_down(section, paragraphs([comment]))
    ref = page.tell(section, made)
    if kind == "Condition":
        main = {"rank": 1} if code == table("epikrise")["said-by"]["main"] else {}
        page.encounter.setdefault("diagnosis", []).append({"condition": ref, **main})


def _plain(node: Node) -> str:
    """The words of a description in one line."""
    found = one(node, "Description")
    assert found is not None
    return " ".join(" ".join(str(text) for text in found.element.itertext()).split())[:1000]


def title_of(found: Resource, otherwise: str) -> str:
    """The title of a section: the code's own words."""
    return str(found.get("display") or found.get("code") or otherwise)


def codings_of(found: Resource) -> list[Resource]:
    """The kind of information, and the LOINC code for such a section where there is one."""
    loinc = table("epikrise")["loinc"].get(found.get("code", ""))
    return [*([found] if found else []), *([{"system": LOINC, "code": loinc}] if loinc else [])]


def about(page: Page, kind: str, told: Resource) -> Resource:
    """A resource of a kind with its code, and what R4 wants of every such resource."""
    patient, stay = reference(page.patient), reference(page.encounter)
    made: Resource = {"resourceType": kind, "code": told}
    if kind == "Condition":
        return made | {"category": [_DIAGNOSIS], "subject": patient, "encounter": stay}
    if kind == "AllergyIntolerance":
        active = {"coding": [{"system": _ALLERGY, "code": "active"}]}
        return made | {"clinicalStatus": active, "category": ["medication"], "patient": patient}
    status = {"Flag": "active", "Procedure": "completed", "Observation": "final"}[kind]
    return made | {"status": status, "subject": patient, "encounter": stay}


def _times(kind: str, item: Node, page: Page) -> Resource:
    """When it was so, where the resource has a place for that; the rest of the item's times stay unread."""
    if kind in ("Condition", "AllergyIntolerance"):
        places = {"onsetDateTime": "StartDateTime", "recordedDate": "OrgDate"}
        return {key: found for key, name in places.items() if (found := when(one(item, name), page))}
    during = period(item, page)
    key = {"Flag": "period", "Procedure": "performedPeriod", "Observation": "effectivePeriod"}[kind]
    return {key: during} if during else {}


def _read_medication(node: Node, item: Node, section: Resource, page: Page) -> None:
    """A medicine in use: Medication with form and strength, and how it is taken, in the message's words."""
    drug = concept(one(node, "DrugId"))
    name = words_of(drug)
    medicine: Resource = {"resourceType": "Medication", "id": "medicine"}
    medicine["code"] = drug | {"text": name} if drug and name else {"text": "ukjent legemiddel"}
    if form := concept(one(node, "Form")):
        medicine["form"] = form
    dose = one(node, "UnitDose")
    strength = values.read(dose, "PQ", page.zone) if dose is not None else None
    if strength is not None:
        share = {"numerator": strength, "denominator": {"value": 1}}
        medicine["ingredient"] = [
            {"itemCodeableConcept": {"text": name or "ukjent legemiddel"}, "strength": share}
        ]
    made: Resource = {
        "resourceType": "MedicationStatement",
        "contained": [medicine],
        "status": "active",
        "medicationReference": {"reference": "#medicine"},
        "subject": reference(page.patient),
        "context": reference(page.encounter),
    }
    if use := concept(one(node, "Status")):
        made["category"] = use
        if _STOPPED.search(" ".join(str(c.get("display")) for c in use.get("coding") or ()).lower()):
            made["status"] = "stopped"
    if during := period(item, page):
        made["effectivePeriod"] = during
    if asserted := when(one(item, "OrgDate"), page):
        made["dateAsserted"] = asserted
    if comment := said(node, "Comment"):
        made["note"] = [{"text": comment}]
    if dosage := _dosage(node):
        made["dosage"] = [dosage]
    page.tell(section, made)


def _dosage(node: Node) -> Resource:
    made: Resource = {}
    if text := said(node, "DosageText"):
        made["text"] = text
    if schedule := concept(one(node, "DosageCoded")):
        made["timing"] = {"code": schedule}
    if route := concept(one(node, "RouteOfAdm")):
        made["route"] = route
    return made


# --- results ----------------------------------------------------------------------------------------------

_COMPARATORS = ("<", "<=", ">=", ">")


def _read_result(node: Node, item: Node, section: Resource, page: Page) -> None:
    """The result of an examination, as an Observation."""
    examined = concept(one(node, "ClinInv", "Id")) or {"text": "undersøkelse"}
    made = about(page, "Observation", examined) | _value(node, section, page)
    if at := when(one(node, "InvDate"), page):
        made["effectiveDateTime"] = at
    else:
        made |= _times("Observation", item, page)
    if comment := said(node, "Comment"):
        made["note"] = [{"text": comment}]
    if deviates := concept(one(node, "DevResultInd")):
        made["interpretation"] = [deviates]
    page.tell(section, made)


def _value(node: Node, section: Resource, page: Page) -> Resource:
    """The value of a result: a number, an interval, a day, a code, or formatted text for the section."""
    if (number := one(node, "NumResult")) is not None:
        return _number(number, page)
    if (interval := one(node, "Interval")) is not None:
        ends = {key: _quantity(one(interval, name), page) for key, name in (("low", "Low"), ("high", "High"))}
        return {"valueRange": told} if (told := {key: end for key, end in ends.items() if end}) else {}
    if at := when(one(node, "DateResult", "DateResultValue"), page):
        return {"valueDateTime": at}
    result = one(node, "TextResult", "Result")
    if result is None:
        return {}
    write_down(section, formatted(one(result, "TextResultValue")))
    codes = [found for code in many(result, "TextCode") if (found := concept(code))]
    if not codes:
        return {}
    codings = [coding for code in codes for coding in code.get("coding", ())]
    texts = "; ".join(text for code in codes if (text := words_of(code)))
    return {"valueCodeableConcept": {"coding": codings, "text": texts} if codings else {"text": texts}}


def _number(node: Node, page: Page) -> Resource:
    value = _quantity(one(node, "NumResultValue"), page)
    compared = one(node, "ArithmeticComp")
    if value and code_of(compared) in _COMPARATORS:
        value["comparator"] = code_of(compared)
        coding_of(compared)
    return {"valueQuantity": value} if value else {}


def _quantity(node: Node | None, page: Page) -> Any:
    return values.read(node, "PQ", page.zone) if node is not None else None
