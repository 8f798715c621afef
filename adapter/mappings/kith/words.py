"""The words of the dictionary `codes/record.toml`: what stands at a place in a FHIR resource, both ways.

A place is a path as `dosage[0].text`; `[+]` is one more for each element. Each way of translating (the third
column of the dictionary) is a pair of functions: one puts what an element says into the resource, one writes
it into the element.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from typing import Any

from lxml import etree

from adapter.fhir.bundles import Resource, entry, follow, reference
from adapter.mappings import Bundle
from adapter.mappings.kith import values
from adapter.mappings.kith.beings import read_being, say_profession, write_being
from adapter.mappings.kith.grammar import Grammar, Path
from adapter.mappings.kith.lists import OID, table
from adapter.mappings.kith.values import PLO_ELEMENTS
from adapter.mappings.kith.xml import Node
from adapter.phrases import Phrase, phrase

PART = {"system": PLO_ELEMENTS, "code": "part"}
"""The tag of what only tells more of another resource."""

_ATC = (f"urn:oid:{OID}7180", "http://www.whocc.no/atc")
_STEP = re.compile(r"(\w+)(?:\[(\d+|\+)\])?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Word:
    """One line of the dictionary."""

    element: Path
    place: str
    how: str
    argument: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """What a translation may look at besides element and resource, and where it puts parts of its own."""

    bundle: Bundle
    patient: Resource
    encounter: Resource
    grammar: Grammar
    zone: tzinfo
    new_id: Callable[[], str]
    losses: list[Phrase] = field(default_factory=list)

    def part(self, resource: Resource) -> Resource:
        """Add a resource to the Bundle; a Reference to it."""
        kind = resource["resourceType"]
        made = {"resourceType": kind, "id": self.new_id(), "meta": {"tag": [PART]}} | resource
        self.bundle["entry"].append(entry(made))
        return reference(made)

    @property
    def composition(self) -> Resource:
        """The Composition that tells the record."""
        found = (item["resource"] for item in self.bundle["entry"])
        return next(one for one in found if one["resourceType"] == "Composition")


# --- places -----------------------------------------------------------------------------------------------


def put(resource: Resource, place: str, value: Any) -> None:
    """Set what stands at `place`, and make what leads there."""
    at: Any = resource
    steps = [_step(step) for step in place.split(".")]
    for number, (name, index) in enumerate(steps):
        last = number == len(steps) - 1
        if index is None:
            if last:
                at[name] = value
            else:
                at = at.setdefault(name, {})
            continue
        found = at.setdefault(name, [])
        wanted = len(found) if index == "+" else int(index)
        while len(found) <= wanted:
            found.append({})
        if last:
            found[wanted] = value
        at = found[wanted]


def got(resource: Resource, place: str) -> Iterator[Any]:
    """What stands at `place`: one value, or with `[+]` several."""
    found: list[Any] = [resource]
    for step in place.split("."):
        name, index = _step(step)
        below = [one[name] for one in found if isinstance(one, dict) and name in one]
        if index is not None:
            lists = [one for one in below if isinstance(one, list)]
            below = [
                one for many in lists for one in (many if index == "+" else many[int(index) : int(index) + 1])
            ]
        found = below
    yield from (one for one in found if one not in ({}, [], None))


def _step(step: str) -> tuple[str, str | None]:
    parts = _STEP.fullmatch(step)
    assert parts is not None, step
    return parts[1], parts[2]


def nodes(parent: Node, path: Path) -> Iterator[Node]:
    """The elements at the end of a path of local names."""
    step, *rest = path
    for child in parent.children():
        if child.name == step:
            if rest:
                yield from nodes(child, tuple(rest))
            else:
                yield child


def below(parent: Node, g: Grammar) -> dict[Path, list[Node]]:
    """Every element below, by its path of local names, in one pass.

    Of what may stand there once only the first: a second one is left unread, so that it travels as words.
    """
    found: dict[Path, list[Node]] = {}
    waiting: list[tuple[Path, etree._Element]] = [((), parent.element)]
    for path, element in waiting:  # which grows meanwhile, so that what stands first is found first
        once: set[str] = set()
        for child in element.iterchildren(etree.Element):
            name = str(child.tag).rpartition("}")[2]
            known = g.child(g.class_of(element), name)
            if name in once and known is not None and not known.many:
                continue
            once.add(name)
            at = (*path, name)
            found.setdefault(at, []).append(Node(element=child, read=parent.read))
            if len(child):
                waiting.append((at, child))
    return found


def kind_at(g: Grammar, element: str, path: Path) -> str | None:
    """The type of the leaf at `path` below an element of that name; None where the version has none there."""
    at, kind = g.typed.get(element, element), None
    for step in path:
        child = g.child(at, step)
        if child is None:
            return None
        kind, at = child.type, g.typed.get(step, step)
    return kind


# --- ways -------------------------------------------------------------------------------------------------

Read = Callable[[Scene, Node, Resource, Word], None]
Write = Callable[[Scene, Resource, etree._Element, Word], None]


def _plain_read(scene: Scene, node: Node, resource: Resource, word: Word) -> None:
    value = values.read(node, _kind(scene, node), scene.zone)
    if value is not None:
        put(resource, word.place, value)


def _plain_write(scene: Scene, resource: Resource, element: etree._Element, word: Word) -> None:
    for value in got(resource, word.place):
        write_leaf(scene, element, word, value)


def write_leaf(scene: Scene, element: etree._Element, word: Word, value: Any) -> None:
    """A new leaf for a value, where the version has one and it does not stand yet."""
    g = scene.grammar
    kind = kind_at(g, g.class_of(element), word.element)
    if kind is None or (_stands(element, word.element) and "+" not in word.place):
        return
    made = g.place(element, word.element)
    if not values.write(made, kind, value):
        _take_back(made, element)


def _take_back(made: etree._Element, until: etree._Element) -> None:
    """Remove an element that could not be filled, and what was made only to hold it."""
    while made is not until:
        parent = made.getparent()
        assert parent is not None
        parent.remove(made)
        if len(parent) or parent.text:
            return
        made = parent


def _stands(element: etree._Element, path: Path) -> bool:
    return any(True for _ in nodes(Node(element=element), path))


def _kind(scene: Scene, node: Node) -> str:
    parent = node.element.getparent()
    assert parent is not None
    child = scene.grammar.child(scene.grammar.class_of(parent), node.name)
    return child.type if child is not None and child.type is not None else "string"


def _begun_write(scene: Scene, resource: Resource, element: etree._Element, word: Word) -> None:
    """When something began, whether the resource tells a period or only that instant."""
    for place in (word.place, "effectiveDateTime"):
        for value in got(resource, place):
            write_leaf(scene, element, word, value)


def _kin_read(scene: Scene, node: Node, resource: Resource, word: Word) -> None:
    coding = values.read(node, "CS", scene.zone)
    if coding is not None:
        put(resource, word.place, {"coding": [coding]})


def _kin_write(scene: Scene, resource: Resource, element: etree._Element, word: Word) -> None:
    """Of what the person is to the patient, that which is of this element's own list."""
    for one in got(resource, "relationship[+].coding[+]"):
        if one.get("system") == values.system_of(word.element[-1]):
            write_leaf(scene, element, word, one)


def _substance_write(scene: Scene, resource: Resource, element: etree._Element, word: Word) -> None:
    """A medicine by its ATC code; another substance by any other."""
    for one in got(resource, word.place):
        if (one.get("system") in _ATC) == (word.argument == "drug"):
            write_leaf(scene, element, replace(word, place="code"), one)


def _has_read(scene: Scene, node: Node, resource: Resource, word: Word) -> None:
    true = values.read(node, "boolean", scene.zone)
    if true:
        resource.setdefault(word.place, []).append(word.argument)


def _has_write(scene: Scene, resource: Resource, element: etree._Element, word: Word) -> None:
    if word.place in resource:
        write_leaf(scene, element, word, word.argument in resource[word.place])


def _said_read(scene: Scene, node: Node, resource: Resource, word: Word) -> None:
    if values.read(node, "boolean", scene.zone):
        resource.setdefault("_said", {}).setdefault(word.place, []).append(node.name)


def _said_write(scene: Scene, resource: Resource, element: etree._Element, word: Word) -> None:
    there = got(resource, f"{word.place}[+].coding[+]")
    true = any(one.get("system") == PLO_ELEMENTS and one.get("code") == word.element[-1] for one in there)
    kind = scene.grammar.child(scene.grammar.class_of(element), word.element[-1])
    if true or (kind is not None and kind.required):
        write_leaf(scene, element, word, true)


def settle_said(resource: Resource) -> None:
    """Put what was only said to be true behind everything else in its list."""
    for place, names in resource.pop("_said", {}).items():
        for name in names:
            put(resource, f"{place}[+]", {"coding": [{"system": PLO_ELEMENTS, "code": name}]})


def _code_read(scene: Scene, node: Node, resource: Resource, word: Word) -> None:
    """By the code; one that is not known is what its words say, else what is safest, and is told of."""
    meanings = table("record")["map"][word.argument]
    code, words = (node.element.get("V") or "").strip(), (node.element.get("DN") or "").lower()
    if code in meanings["code"]:
        put(resource, word.place, meanings["code"][code][0])
    elif code or words:
        said = (value for value, pattern in meanings["words"].items() if re.search(pattern, words))
        put(resource, word.place, next(said, meanings["else"]))
        scene.losses.append(
            phrase("{element} is not a code that is known; its words decided", element=node.name)
        )


def _code_write(scene: Scene, resource: Resource, element: etree._Element, word: Word) -> None:
    for code, (value, name) in table("record")["map"][word.argument]["code"].items():
        if list(got(resource, word.place)) == [value]:
            write_leaf(scene, element, word, {"code": code, "display": name})


def _component_read(scene: Scene, node: Node, resource: Resource, word: Word) -> None:
    kind = _kind(scene, node)
    value = values.read(node, kind, scene.zone)
    if value is None:
        return
    made: Resource = {"code": {"coding": [{"system": PLO_ELEMENTS, "code": node.name}]}}
    made |= _as_value(kind, value)
    resource.setdefault("component", []).append(made)


def _as_value(kind: str, value: Any) -> Resource:
    if kind in ("CS", "CV"):
        return {"valueCodeableConcept": {"coding": [value]}}
    if kind in ("decimal", "double", "PQ"):
        return {"valueQuantity": value if isinstance(value, dict) else {"value": value}}
    names = {
        "boolean": "valueBoolean",
        "integer": "valueInteger",
        "date": "valueDateTime",
        "TS": "valueDateTime",
    }
    return {names.get(kind, "valueString"): value}


def _component_write(scene: Scene, resource: Resource, element: etree._Element, word: Word) -> None:
    for one in resource.get("component") or ():
        codes = [coding.get("code") for coding in got(one, "code.coding[+]")]
        if word.element[-1] not in codes:
            continue
        value = next((value for key, value in one.items() if key.startswith("value")), None)
        if isinstance(value, dict) and "coding" in value:
            value = next(iter(value["coding"]), None)
        if (
            isinstance(value, dict)
            and kind_at(scene.grammar, scene.grammar.class_of(element), word.element) != "PQ"
        ):
            value = value if "code" in value or "display" in value else value.get("value")
        write_leaf(scene, element, word, value)


def _condition_read(scene: Scene, node: Node, resource: Resource, word: Word) -> None:
    chronic = values.read(node, "boolean", scene.zone)
    if chronic is not None:
        system = "http://terminology.hl7.org/CodeSystem/condition-clinical"
        put(resource, word.place, {"system": system, "code": "active" if chronic else "inactive"})


def _condition_write(scene: Scene, resource: Resource, element: etree._Element, word: Word) -> None:
    codes = [one.get("code") for one in got(resource, word.place)]
    write_leaf(scene, element, word, bool({"active", "recurrence", "relapse"} & set(codes)))


def _main_read(scene: Scene, node: Node, resource: Resource, word: Word) -> None:
    """Which diagnosis is the main one is said by the stay: the first in rank (Encounter.diagnosis)."""
    main = values.read(node, "boolean", scene.zone)
    if main is not None:
        resource["id"] = resource.get("id") or scene.new_id()
        told: Resource = {"condition": reference(resource), **({"rank": 1} if main else {})}
        scene.encounter.setdefault("diagnosis", []).append(told)


def _main_write(scene: Scene, resource: Resource, element: etree._Element, word: Word) -> None:
    for one in scene.encounter.get("diagnosis") or ():
        if follow(scene.bundle, one.get("condition")) is resource:
            write_leaf(scene, element, word, one.get("rank") == 1)
            return


def _year_read(scene: Scene, node: Node, resource: Resource, word: Word) -> None:
    value = values.read(node, "gYear", scene.zone)
    if value is not None:
        put(resource, word.place, value)


def _year_write(scene: Scene, resource: Resource, element: etree._Element, word: Word) -> None:
    for value in got(resource, word.place):
        if isinstance(value, str) and len(value) == 4:
            write_leaf(scene, element, word, value)


def _being_read(scene: Scene, node: Node, resource: Resource, word: Word) -> None:
    told = read_being(node, scene.zone, organisation=resource["resourceType"] == "Organization")
    resource |= {key: value for key, value in told.items() if key not in resource}


def _being_write(scene: Scene, resource: Resource, element: etree._Element, word: Word) -> None:
    write_being(scene.grammar.place(element, word.element), resource, scene.grammar)


def _professional_read(scene: Scene, node: Node, resource: Resource, word: Word) -> None:
    made: Resource = {"resourceType": "Practitioner", **read_being(node, scene.zone)}
    for one in node.children():
        if one.name == "TypeHealthcareProfessional" and (coding := values.read(one, "CS", scene.zone)):
            made["qualification"] = [{"code": {"coding": [coding]}}]
        if one.name == "RoleToPatient" and resource["resourceType"] == "PractitionerRole":
            role = values.read(one, "CV", scene.zone)
            resource |= {"code": [{"coding": [role]}]} if role else {}
    put(resource, word.place, scene.part(made))


def _professional_write(scene: Scene, resource: Resource, element: etree._Element, word: Word) -> None:
    for ref in got(resource, word.place):
        found = follow(scene.bundle, ref)
        if found is None:
            continue
        role = found if found["resourceType"] == "PractitionerRole" else resource
        if found["resourceType"] == "PractitionerRole":
            found = follow(scene.bundle, found.get("practitioner")) or {}
        made = scene.grammar.place(element, word.element)
        ns = f"{{{scene.grammar.namespaces['fk1']}}}"
        say_profession(made, ns, found)
        for coding in got(role, "code[0].coding[0]") if role["resourceType"] == "PractitionerRole" else ():
            values.write(etree.SubElement(made, ns + "RoleToPatient"), "CV", coding)
        write_being(made, found, scene.grammar)


def _attested_read(scene: Scene, node: Node, resource: Resource, word: Word) -> None:
    day = values.read(node, "date", scene.zone)
    if day is not None and "practitioner" in resource:
        told = {"mode": "professional", "time": day, "party": resource["practitioner"]}
        scene.composition.setdefault("attester", []).append(told)


def _attested_write(scene: Scene, resource: Resource, element: etree._Element, word: Word) -> None:
    for one in scene.composition.get("attester") or ():
        if one.get("party") == resource.get("practitioner") and one.get("time"):
            write_leaf(scene, element, word, one["time"])


def _person_read(scene: Scene, node: Node, resource: Resource, word: Word) -> None:
    coding = {"system": PLO_ELEMENTS, "code": node.name}
    made = {"resourceType": "RelatedPerson", "patient": reference(scene.patient)}
    told = read_being(node, scene.zone)
    put(resource, word.place, scene.part(made | {"relationship": [{"coding": [coding]}]} | told))


def _person_write(scene: Scene, resource: Resource, element: etree._Element, word: Word) -> None:
    for ref in got(resource, word.place):
        found = follow(scene.bundle, ref)
        if found is not None:
            write_being(scene.grammar.place(element, word.element), found, scene.grammar)


def _medicine_read(scene: Scene, node: Node, resource: Resource, word: Word) -> None:
    """A contained Medication: name, generic name, code, form and strength."""
    said = {one.name: one for one in node.children()}

    def value(name: str, kind: str) -> Any:
        return values.read(said[name], kind, scene.zone) if name in said else None

    name, generic = value("Navn", "string"), value("GeneriskNavn", "string")
    made: Resource = {"resourceType": "Medication", "id": "medicine"}
    coding = value("Atc", "CS")
    if coding:
        put(made, "code.coding[0]", coding | {"system": "http://www.whocc.no/atc"})
    if name or not coding:
        put(made, "code.text", name or "ukjent legemiddel")
    if form := value("Legemiddelform", "CS"):
        put(made, "form.coding[0]", form)
    strength = value("Styrke", "PQ")
    if strength or generic:
        put(made, "ingredient[0].itemCodeableConcept.text", generic or name or "ukjent")
    if strength:
        put(made, "ingredient[0].strength", {"numerator": strength, "denominator": {"value": 1}})
    resource["contained"] = [made]
    resource["medicationReference"] = {"reference": "#medicine"}


def _medicine_write(scene: Scene, resource: Resource, element: etree._Element, word: Word) -> None:
    found = _medication(scene, resource)
    codings = list(got(found, "code.coding[+]"))
    unsaid = bool(codings) and all(one.get("system") == PLO_ELEMENTS for one in codings)
    if unsaid and not scene.grammar.required(scene.grammar.class_of(element), word.element):
        return
    name = next(got(found, "code.text"), None) or next(got(found, "code.coding[0].display"), None)
    generic = next(got(found, "ingredient[0].itemCodeableConcept.text"), None)
    atc = [one for one in got(found, "code.coding[+]") if one.get("system") == "http://www.whocc.no/atc"]
    told = {
        "Navn": name or (atc[0].get("code") if atc else None) or "ukjent legemiddel",
        "GeneriskNavn": generic if generic != name else None,
        "Atc": atc[0] | {"system": values.system_of("Atc")} if atc else None,
        "Legemiddelform": next(got(found, "form.coding[0]"), None),
        "Styrke": next(got(found, "ingredient[0].strength.numerator"), None),
    }
    for name_of, value in told.items():
        if value is not None:
            path = (*word.element, name_of)
            write_leaf(scene, element, Word(element=path, place=".", how="", argument=""), value)


def _medication(scene: Scene, resource: Resource) -> Resource:
    """The medicine as a Medication, wherever the resource keeps it."""
    concept = resource.get("medicationCodeableConcept")
    if concept is not None:
        return {"code": concept}
    ref = resource.get("medicationReference") or {}
    contained = (
        one for one in resource.get("contained") or () if f"#{one.get('id')}" == ref.get("reference")
    )
    found = next(contained, None) or follow(scene.bundle, ref)
    return found or {"code": {"text": ref.get("display")} if ref.get("display") else {}}


def _device_read(scene: Scene, node: Node, resource: Resource, word: Word) -> None:
    if "contained" not in resource:
        resource["contained"] = [{"resourceType": "Device", "id": "device"}]
        resource["device"] = {"reference": "#device"}
    _plain_read(scene, node, resource, word)
    for name in got(resource, "contained[0].deviceName[0]"):
        name["type"] = "user-friendly-name"


def _device_write(scene: Scene, resource: Resource, element: etree._Element, word: Word) -> None:
    ref = resource.get("device") or {}
    contained = (
        one for one in resource.get("contained") or () if f"#{one.get('id')}" == ref.get("reference")
    )
    found = (
        next(contained, None) or follow(scene.bundle, ref) or {"deviceName": [{"name": ref.get("display")}]}
    )
    _plain_write(scene, {"contained": [found]}, element, word)


def _booking_read(scene: Scene, node: Node, resource: Resource, word: Word) -> None:
    """Booked, which R4 says only of an appointment with a time (app-3); else waiting, or only proposed."""
    booked = values.read(node, "boolean", scene.zone)
    resource["status"] = "waitlist" if booked else "proposed"


def _booking_write(scene: Scene, resource: Resource, element: etree._Element, word: Word) -> None:
    write_leaf(scene, element, word, resource.get("status") in ("booked", "arrived", "fulfilled", "waitlist"))


WAYS: dict[str, tuple[Read, Write]] = {
    "": (_plain_read, _plain_write),
    "begun": (_plain_read, _begun_write),
    "kin": (_kin_read, _kin_write),
    "substance": (_plain_read, _substance_write),
    "has": (_has_read, _has_write),
    "said": (_said_read, _said_write),
    "code": (_code_read, _code_write),
    "component": (_component_read, _component_write),
    "condition": (_condition_read, _condition_write),
    "main": (_main_read, _main_write),
    "year": (_year_read, _year_write),
    "being": (_being_read, _being_write),
    "professional": (_professional_read, _professional_write),
    "attested": (_attested_read, _attested_write),
    "person": (_person_read, _person_write),
    "medicine": (_medicine_read, _medicine_write),
    "device": (_device_read, _device_write),
    "booking": (_booking_read, _booking_write),
}
"""The ways of the dictionary's third column."""
