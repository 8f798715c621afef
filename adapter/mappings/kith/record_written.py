"""The record of a Composition, written as the elements of a PLO report: the way back of `record`.

What is tagged goes where it came from; what came from elsewhere goes where the dictionary has a place for its
type, and into a note where it has none. Every element is read again, and what it does not say is listed.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from lxml import etree

from adapter.fhir.bundles import Bundle, Resource, follow, header, moment, resources
from adapter.fhir.notices import plain_text
from adapter.fhir.telling import told
from adapter.mappings.kith import values
from adapter.mappings.kith.attachments import holds_file
from adapter.mappings.kith.dictionary import CATEGORIES, HOLDERS, NOTE, REST, Entry, entries, entry_of
from adapter.mappings.kith.grammar import Path
from adapter.mappings.kith.leftovers import bare
from adapter.mappings.kith.lists import table
from adapter.mappings.kith.record import told_by
from adapter.mappings.kith.values import PLO_ELEMENTS
from adapter.mappings.kith.words import PART, WAYS, Scene, kind_at, nodes
from adapter.mappings.kith.xml import OSLO, Node, new, say
from adapter.phrases import phrase

_PAST = ("MedisinskfagligeOpplysninger", "InfoTidligereSykdommer")
_KEEPS_ITS_STATUS = ("InfoTidligereSykdommer", "StatusHjelpemiddel")
_MARKED = re.compile(r"(?:\w+(?:\[\d+\])?)(?:/\w+(?:\[\d+\])?)*")
_MOST_ALIKE = 50  # elements made only so that one stands behind them
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT")
_NOT_SAID = frozenset(
    ("resourceType", "id", "meta", "reference", "system", "participant", "subject", "patient",
     "encounter", "context", "end", "use", "type")
)  # fmt: skip
_WORDS = frozenset(("text", "valueString", "comment", "description", "patientInstruction"))


def write(root: etree._Element, scene: Scene) -> None:
    """Write the Composition's sections and the record's resources below `root`, and list what is lost."""
    written: set[int] = set()
    composition = scene.composition
    for section in _sections(composition.get("section")):
        _write_section(root, section, scene, written)
    for resource in resources(scene.bundle):
        _write_untagged(root, resource, scene, written)


def write_rest(root: etree._Element, scene: Scene) -> None:
    """Write what has no place in FHIR, after everything else, which it belongs to."""
    for section in _sections(scene.composition.get("section")):
        if _code(section) == REST:
            _write_paragraphs(root, section, scene)


def _sections(found: Any) -> Iterator[Resource]:
    for section in found or ():
        yield section
        yield from _sections(section.get("section"))


def _code(section: Resource) -> str | None:
    codings = (section.get("code") or {}).get("coding") or ()
    return next((one.get("code") for one in codings if one.get("system") == PLO_ELEMENTS), None)


def _write_section(root: etree._Element, section: Resource, scene: Scene, written: set[int]) -> None:
    code = _code(section)
    path = tuple(code.split("/")) if code else ()
    if path and path[-1] == NOTE:
        return  # its holder has written it
    if path and path[-1] in HOLDERS:
        _write_holder(root, path, section, scene)
    elif not code and section.get("text"):
        write_text(root, section.get("title"), plain_text(section), scene)
    for ref in section.get("entry") or ():
        resource = follow(scene.bundle, ref)
        found = entry_of(resource) if resource is not None else None
        if resource is None or found is None or not scene.grammar.has(_root(root), found.path):
            continue
        if stands(resource) or found.path[-1] in _KEEPS_ITS_STATUS:
            _write_entry(root, resource, found, scene, written)


def _root(root: etree._Element) -> str:
    return str(etree.QName(root).localname)


def is_part(resource: Resource) -> bool:
    """Whether the resource only tells more of another one, and is written with it."""
    return PART in ((resource.get("meta") or {}).get("tag") or ())


def _write_holder(root: etree._Element, path: Path, section: Resource, scene: Scene) -> None:
    if not scene.grammar.has(_root(root), path):
        for note in section.get("section") or ():
            write_text(root, note.get("title"), plain_text(note), scene)
        return
    standing = None if scene.grammar.many(_root(root), path) else next(nodes(Node(element=root), path), None)
    holder = scene.grammar.place(root, path) if standing is None else standing.element
    if section.get("title") in CATEGORIES:
        holder.set(f"{{{scene.grammar.namespaces['m1']}}}informasjonskategori", section["title"])
    for note in section.get("section") or ():
        _write_note(holder, note, scene)


def _write_note(holder: etree._Element, note: Resource, scene: Scene) -> None:
    made = scene.grammar.add(holder, "Journaltekst")
    heading = (
        [one for one in note["code"]["coding"] if one.get("system") != PLO_ELEMENTS] if "code" in note else []
    )
    if heading:
        values.write(scene.grammar.add(made, "Overskriftskode"), "CV", heading[0])
    text, remark = _paragraphs(note)
    values.write(scene.grammar.add(made, "Notat"), "string", text or remark or note.get("title") or "-")
    if remark and text:
        values.write(scene.grammar.add(made, "Merknad"), "string", remark)


def _paragraphs(section: Resource) -> tuple[str, str]:
    """The words of a note, and its remark."""
    words: list[str] = []
    remarks: list[str] = []
    for title, text in _titled(section):
        (remarks if title == "Merknad" else words).append(text)
    return "\n".join(words), "\n".join(remarks)


def _titled(section: Resource) -> Iterator[tuple[str | None, str]]:
    """Each paragraph of a narrative, with its title."""
    div = (section.get("text") or {}).get("div")
    if not div:
        return
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        found = etree.fromstring(div, parser)
    except (etree.XMLSyntaxError, ValueError):
        return
    if (
        any(etree.QName(one).localname != "p" for one in found.iterchildren(etree.Element))
        or (found.text or "").strip()
    ):
        yield from ((None, line) for line in (plain_text(section) or "").splitlines())
        return
    for one in found.iterchildren(etree.Element):
        yield one.get("title"), " ".join("".join(map(str, one.itertext())).split())


def write_text(root: etree._Element, title: str | None, text: str | None, scene: Scene) -> None:
    """Words that have no element of their own, as a note where the message has notes."""
    if not text:
        return
    for path in (
        ("Sykepleierdokumentasjon", "InfoFraSykepleier", "Journaltekst"),
        ("MedisinskfagligeOpplysninger", "GenereltJournalnotat", "Journaltekst"),
    ):
        if scene.grammar.has(_root(root), path):
            made = scene.grammar.place(root, path)
            values.write(scene.grammar.add(made, "Notat"), "string", f"{title}: {text}" if title else text)
            return
    scene.losses.append(phrase("the words of a section"))  # its title is content too


def _write_check_up(root: etree._Element, resource: Resource, scene: Scene) -> bool:
    """A request for a follow-up on a day; the appointment that was made for that day says it already."""
    day = str(
        resource.get("occurrenceDateTime") or (resource.get("occurrencePeriod") or {}).get("start") or ""
    )
    if not day or resource.get("code"):
        return False
    booked = (one.get("start") for one in resources(scene.bundle) if one["resourceType"] == "Appointment")
    if any(str(start)[:10] == day[:10] for start in booked):
        return True
    for path, kind, value in (
        (("InfoKontrolltime", "InformasjonOmTime"), "InformasjonOmTime", day if len(day) > 10 else ""),
        (("InfoKontrolltime", "InformasjonOmTentativTime"), "InformasjonOmTentativTime", day),
    ):
        if value and scene.grammar.has(_root(root), path):
            made = scene.grammar.place(root, path)
            if kind == "InformasjonOmTime":
                values.write(scene.grammar.add(made, "BestiltKontrolltime"), "boolean", True)
                values.write(scene.grammar.add(made, "TidspunktTime"), "dateTime", value)
            else:
                values.write(scene.grammar.add(made, "TentativtTidspunktTime"), "string", value)
            return True
    write_text(root, "Kontroll", day, scene)
    return True


def stands(resource: Resource) -> bool:
    """Whether it tells of what is, so that an element of PLO, which knows nothing else, may say it."""
    if resource.get("doNotPerform"):
        return False
    for element, allowed in table("record")["stands"].get(resource["resourceType"], {}).items():
        said = resource.get(element)
        codes = [one.get("code") for one in said.get("coding") or ()] if isinstance(said, dict) else [said]
        if said is not None and not set(codes) & set(allowed):
            return False
    return True


def _is_past(resource: Resource) -> bool:
    """Whether a condition that does not stand was there once: it is neither refuted nor an error."""
    verified = [one.get("code") for one in (resource.get("verificationStatus") or {}).get("coding") or ()]
    return not set(verified) & {"refuted", "entered-in-error", "differential"}


def _is_error(resource: Resource) -> bool:
    statuses = [resource.get("status"), resource.get("lifecycleStatus")]
    verified = (resource.get("verificationStatus") or {}).get("coding") or ()
    return "entered-in-error" in [*statuses, *(one.get("code") for one in verified)]


def _focus(bundle: Bundle) -> Resource | None:
    return follow(bundle, next(iter((header(bundle) or {}).get("focus") or ()), None))


def _write_untagged(root: etree._Element, resource: Resource, scene: Scene, written: set[int]) -> None:
    """A resource that no section led to, or that came from elsewhere."""
    kind = resource["resourceType"]
    if id(resource) in written or kind in (
        "Patient",
        "MessageHeader",
        "Composition",
        "Encounter",
        "Practitioner",
    ):
        if kind == "Patient":
            _write_entry(root, resource, entries()[("TilleggsopplysningPasient",)], scene, written)
        return
    if is_part(resource) or holds_file(scene.bundle, resource):
        return
    if entry_of(resource) is None and kind in ("Organization", "PractitionerRole", "Provenance"):
        return  # parties and people, who are named in the envelope and by what leads to them
    if kind == "ServiceRequest" and _write_check_up(root, resource, scene):
        return
    fits = (
        e
        for e in entries().values()
        if e.untagged and e.resource == kind and scene.grammar.has(_root(root), e.path)
    )
    found = next(fits, None)
    if kind == "Condition" and found is not None and not stands(resource):
        past = entries()[_PAST]
        found = past if _is_past(resource) and scene.grammar.has(_root(root), past.path) else found
    if found is not None and (stands(resource) or found.path == _PAST):
        _write_entry(root, resource, found, scene, written)
        return
    if _is_error(resource):
        scene.losses.append(phrase("{resource}: it was entered in error", resource=str(kind)))
        return
    if resource is _focus(scene.bundle):
        return  # the message itself says that it is such a plan or list
    line = told(resource, lambda ref: follow(scene.bundle, ref), "nb")
    write_text(root, None, line, scene)
    scene.losses.append(phrase("{resource}: in words only", resource=str(kind)))


def _write_entry(
    root: etree._Element, resource: Resource, found: Entry, scene: Scene, written: set[int]
) -> None:
    written.add(id(resource))
    g = scene.grammar
    made = g.place(root, found.path)
    for word in found.words:
        if g.has(g.class_of(made), word.element):
            WAYS[word.how][1](scene, resource, made, word)
    _note_losses(root, made, resource, found, scene)
    while made is not root and not len(made) and not made.attrib:
        parent = made.getparent()
        assert parent is not None
        parent.remove(made)
        made = parent


def _note_losses(
    root: etree._Element, made: etree._Element, resource: Resource, found: Entry, scene: Scene
) -> None:
    """What the element does not say of the resource: what is not there when it is read again.

    Words among it go into a note, so that people read them.
    """
    if found.resource in ("Patient", "Organization", "PractitionerRole", "RelatedPerson"):
        return
    scratch = replace(scene, bundle={"entry": [], "timestamp": scene.bundle["timestamp"]}, encounter={})
    again = set(_leaves(told_by(Node(element=made), found, scratch) or {}))
    lost = [one for one in _leaves(resource) if one not in again]
    for place, value in dict.fromkeys((place, value) for place, value in lost):
        scene.losses.append(
            phrase(
                "{resource}: {element} has no place in {report}",
                resource=str(resource["resourceType"]),
                element=place,
                report=_root(root),
            )
        )
        if place in _WORDS:
            write_text(root, None, str(value), scene)


def _leaves(found: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every value with the name it stands under, but for what only leads elsewhere or says what it is."""
    if isinstance(found, dict):
        for name, below_it in found.items():
            narrative = name == "text" and isinstance(below_it, dict)
            if name not in _NOT_SAID and not narrative:
                yield from _leaves(below_it, name)
    elif isinstance(found, list):
        for one in found:
            yield from _leaves(one, key)
    else:
        instant = moment(found, OSLO) if isinstance(found, str) and _INSTANT.match(found) else found
        yield key, instant.astimezone(OSLO).isoformat() if isinstance(instant, datetime) else str(instant)


def _write_paragraphs(root: etree._Element, section: Resource, scene: Scene) -> None:
    for title, text in _titled(section):
        path, *attributes = (title or "").split("|")
        if not _MARKED.fullmatch(path):
            write_text(root, None, text, scene)
            continue
        if not _write_back(
            root, path, dict(one.split("=", 1) for one in attributes if "=" in one), text, scene
        ):
            write_text(root, None, text, scene)


def _write_back(root: etree._Element, path: str, attributes: dict[str, str], text: str, scene: Scene) -> bool:
    """One leaf where it stood; False where there is no such place, or it cannot stand there."""
    g, at = scene.grammar, root
    kind = kind_at(g, _root(root), tuple(bare(path).split("/")))
    said = text.partition(": ")[2]
    said = {"ja": "true", "nei": "false"}.get(said, said) if kind == "boolean" else said
    if kind is None or not _fits(kind, attributes, said):
        return False
    for step in path.split("/"):
        name, _, number = step.rstrip("]").partition("[")
        standing = [one for one in at if etree.QName(one).localname == name]
        wanted = int(number) if number else 1
        child = g.child(g.class_of(at), name)
        if len(standing) < wanted and standing and child is not None and not child.many:
            return False
        while len(standing) < min(wanted, _MOST_ALIKE):
            standing.append(g.add(at, name))
        at = standing[wanted - 1] if wanted <= len(standing) else standing[-1]
    if at.attrib or at.text:
        return False  # nothing that stands is written over
    return say(at, None if attributes else said, **attributes)


_ATTRIBUTES = {
    "CS": {"V", "DN"},
    "CV": {"V", "S", "DN", "OT"},
    "PQ": {"V", "U"},
    "TS": {"V"},
    "URL": {"V"},
}


def _fits(kind: str, attributes: dict[str, str], said: str) -> bool:
    """Whether a leaf of that type can say it: it has those attributes, and what it says can be read."""
    if attributes.keys() - _ATTRIBUTES.get(kind, set()):
        return False
    if kind == "URL":
        return values.is_address(attributes.get("V", ""))
    if kind in ("CS", "CV"):
        return bool(attributes)
    leaf = new("leaf", {})
    say(leaf, None if attributes else said, **attributes)
    return values.read(Node(element=leaf), kind, OSLO) is not None
