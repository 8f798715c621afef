"""The record that a PLO report holds, read as resources in the sections of a Composition.

`codes/record.toml` is the dictionary. Each group of the report is a section of the Composition; each element
in the dictionary one resource that its section leads to, tagged with its path; each note a section of its
own. What has no place travels in the last section, in words that can be written back, and is listed.
"""

from datetime import datetime, timedelta

from adapter.errors import Refused
from adapter.fhir.bundles import Resource, entry, reference
from adapter.fhir.validation import MAX_ENTRIES
from adapter.mappings.kith import values
from adapter.mappings.kith.dictionary import HOLDERS, NOTE, Entry, entries
from adapter.mappings.kith.grammar import Path
from adapter.mappings.kith.leftovers import left_over, listed, narrative, section_of
from adapter.mappings.kith.lists import table
from adapter.mappings.kith.values import PLO_ELEMENTS
from adapter.mappings.kith.words import WAYS, Scene, below, settle_said
from adapter.mappings.kith.xml import OSLO, Node
from adapter.phrases import Phrase, phrase

LOINC = "http://loinc.org"
_WITHOUT_END = ("{*}Journaltekst", "{*}Notat", "{*}TidsfestetHendelse")

_NOT_A_GROUP = (
    "InformasjonOmForsendelsen",
    "TypeInnholdIMelding",
    "InnholdKonsultasjon",
    "OpplysningOpphold",
)
_SUBJECT = {
    "AllergyIntolerance": "patient",
    "RelatedPerson": "patient",
    "Appointment": "",
    "Organization": "",
}
_SUBJECT |= {"PractitionerRole": "", "Patient": ""}
_UNTOLD = ("Observation", "Flag", "AllergyIntolerance", "Goal", "ServiceRequest", "Condition")


def read(payload: Node, scene: Scene) -> list[Phrase]:
    """Put the record into the Bundle's Composition and beside it; returns what has no place in FHIR."""
    sections: dict[str, Resource] = {}
    if sum(1 for _ in payload.element.iter(*_WITHOUT_END)) > MAX_ENTRIES:
        raise Refused(
            phrase("the report holds more than {number} notes or events; split it", number=MAX_ENTRIES),
            code="T02",
        )
    for group in payload.children():
        if group.name not in _NOT_A_GROUP:
            section = sections.setdefault(group.name, _section(group.name))
            _read_below(group, (group.name,), section, scene)
    left = list(left_over(payload))
    told_of = [one for one in sections.values() if _filled(one)]
    if left:
        told_of.append(section_of(left))
    if told_of:
        scene.composition["section"] = told_of
    return [*scene.losses, *listed(left)]


def _read_below(node: Node, path: Path, section: Resource, scene: Scene) -> None:
    found = entries().get(path)
    if found is not None:
        _read_entry(node, found, section, scene)
        if path[-1] != "TilleggsopplysningPasient":
            return
    if path[-1] == NOTE:
        _read_note(node, path, section)
        return
    at = section
    if path[-1] in HOLDERS:
        at = _holder(node, path)
    for child in node.children():
        _read_below(child, (*path, child.name), at, scene)
    if at is not section and at.get("section"):
        if at.get("entry"):
            section.setdefault("entry", []).extend(at.pop("entry"))
        section.setdefault("section", []).append(at)
    elif at is not section and at.get("entry"):
        section.setdefault("entry", []).extend(at["entry"])


def _read_entry(node: Node, found: Entry, section: Resource, scene: Scene) -> None:
    if len(scene.bundle["entry"]) >= MAX_ENTRIES:
        raise Refused(
            phrase("the report tells more than {number} things; send it in parts", number=MAX_ENTRIES),
            code="T02",
        )
    made = told_by(node, found, scene)
    if made is None or found.resource == "Patient":
        return
    ordered = {"resourceType": made["resourceType"], "id": made.get("id") or scene.new_id()}
    ref = reference(ordered)
    scene.bundle["entry"].append(entry(ordered | made))
    section.setdefault("entry", []).append(ref)


def told_by(node: Node, found: Entry, scene: Scene) -> Resource | None:
    """The resource that an element tells; None where it says nothing that has a place there."""
    tag = {"system": PLO_ELEMENTS, "code": "/".join(found.path)}
    made: Resource = {"resourceType": found.resource, "meta": {"tag": [tag]}}
    if found.resource == "Patient":
        made = scene.patient
    there = below(node, scene.grammar)
    if found.needs is not None and not any(_is_time(one) for one in there.get((found.needs,), ())):
        return None
    for word in found.words:
        for leaf in there.get(word.element, ()):
            WAYS[word.how][0](scene, leaf, made, word)
    if found.resource != "Patient":
        if made.keys() <= {"resourceType", "meta"}:
            return None
        _complete(made, found, scene)
    return made


def _is_time(node: Node) -> bool:
    """Whether a time stands there that FHIR can hold, without reading it."""
    return values.read(Node(element=node.element), "TS", OSLO) is not None


def _complete(made: Resource, found: Entry, scene: Scene) -> None:
    """What every resource of the kind has, who it is about, and what R4 cannot do without."""
    settle_said(made)
    for key, value in found.fixed.items():
        made.setdefault(key, value)
    about = _SUBJECT.get(found.resource, "subject")
    if about:
        made[about] = reference(scene.patient)
    if found.resource in _UNTOLD and "code" not in made and "description" not in made:
        unsaid = {"coding": [{"system": PLO_ELEMENTS, "code": found.path[-1]}]}
        made["description" if found.resource == "Goal" else "code"] = unsaid
    if found.resource == "Goal" and "text" not in made["description"]:
        made["description"]["text"] = (
            next((c.get("display") for c in made["description"]["coding"]), None) or "mål"
        )
    if found.resource.startswith("Medication") and "medicationReference" not in made:
        unsaid = {"coding": [{"system": PLO_ELEMENTS, "code": "Forskrivningsinfo"}]}
        made["medicationCodeableConcept"] = unsaid | {"text": "ukjent legemiddel"}
    if found.resource == "DeviceUseStatement" and "device" not in made:
        made["device"] = {"display": "ukjent hjelpemiddel"}
    if found.resource == "Appointment":
        _complete_appointment(made, scene)
    if found.resource == "MedicationAdministration" and "end" not in made.get("effectivePeriod", {}):
        made["effectiveDateTime"] = made.pop("effectivePeriod", {})["start"]


def _complete_appointment(made: Resource, scene: Scene) -> None:
    made["participant"] = [{"actor": reference(scene.patient), "status": "needs-action"}]
    start = made.get("start")
    if start is None:
        return
    if len(start) < 10:  # a year or month alone, and R4 wants an instant
        del made["start"]
        made["comment"] = f"{made['comment']}; {start}" if "comment" in made else start
        scene.losses.append(phrase("the time of a check-up is a year or month alone; it travels in words"))
        return
    if len(start) == 10:
        start = made["start"] = (
            datetime.fromisoformat(f"{start}T00:00:00").replace(tzinfo=scene.zone).isoformat()
        )
    if made["status"] == "waitlist":
        made["status"] = "booked"
    length = timedelta(minutes=max(made.get("minutesDuration", 0), 0))
    made["end"] = (datetime.fromisoformat(start) + length).isoformat()


def _section(group: str) -> Resource:
    title, *loinc = table("record")["title"].get(group, [group])
    codings = [{"system": PLO_ELEMENTS, "code": group}, *({"system": LOINC, "code": code} for code in loinc)]
    return {"title": title, "code": {"coding": codings}}


def _holder(node: Node, path: Path) -> Resource:
    name = next((v for k, v in node.element.attrib.items() if str(k).endswith("}informasjonskategori")), None)
    return {
        "title": str(name or path[-1]),
        "code": {"coding": [{"system": PLO_ELEMENTS, "code": "/".join(path)}]},
    }


def _read_note(node: Node, path: Path, section: Resource) -> None:
    """A note: its heading is the section's code and title, its text the section's words."""
    parts = {child.name: child for child in node.children()}
    text = parts["Notat"].value() if "Notat" in parts else None
    remark = parts["Merknad"].value() if "Merknad" in parts else None
    heading = values.read(parts["Overskriftskode"], "CV", None) if "Overskriftskode" in parts else None  # type: ignore[arg-type]
    if text is None and remark is None:
        return
    codings = [heading] if heading else []
    made = {
        "title": (heading or {}).get("display") or "Notat",
        "code": {"coding": [*codings, {"system": PLO_ELEMENTS, "code": "/".join(path)}]},
        "text": narrative(
            [*((None, line) for line in _lines(text)), *(("Merknad", line) for line in _lines(remark))]
        ),
    }
    section.setdefault("section", []).append(made)


def _lines(text: str | None) -> list[str]:
    return [line.strip() for line in (text or "").splitlines() if line.strip()]


def _filled(section: Resource) -> bool:
    return any(section.get(key) for key in ("text", "entry", "section"))
