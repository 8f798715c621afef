"""The reports of PLO 1.5 and 1.6, and the record they hold: read into notice and Composition, and written.

Helseopplysninger (early notice and updates), Innleggelsesrapport, Utskrivningsrapport (root
TverrfagligEpikrise), Orientering om tjenestetilbud, Medisinske opplysninger and Helseopplysninger til lege
(HIS 80704, HIS 1143, HIS 1144). The record itself is `record`; the dictionary is codes/record.toml.
"""

import re
import uuid
from collections.abc import Iterator
from datetime import date, tzinfo
from functools import partial

from lxml import etree

from adapter.discharge.notices import Moment, Notice, NoticeKind, Standing, local_date
from adapter.errors import CannotWrite, Refused
from adapter.fhir.bundles import Bundle, Resource, entry, follow, header, of_type, reference
from adapter.fhir.notices import clinician_in, notice_in
from adapter.mappings.kith import attachments, heading, record, record_written, values
from adapter.mappings.kith.grammar import Grammar, grammar, root_name, root_namespaces
from adapter.mappings.kith.lists import LOGISTICS, MESSAGES, OID, table
from adapter.mappings.kith.msghead import type_named
from adapter.mappings.kith.told import Payload, Told
from adapter.mappings.kith.words import Scene, nodes
from adapter.mappings.kith.xml import OSLO, Node
from adapter.mappings.kith.xml import moment as plo_moment
from adapter.messaging.envelope import Address, Envelope
from adapter.phrases import Phrase, phrase

K = NoticeKind
MESSAGE: dict[str, dict[str, str]] = table("reports")["message"]
TYPES = tuple(MESSAGE)
KINDS = tuple(dict.fromkeys(K(one["kind"]) for one in MESSAGE.values() if "as" not in one))
TYPE_LIST = f"urn:oid:{OID}8279"
ADMITTED, READY, EXPECTED = "1", "3", "5"

_IDS = uuid.UUID("0c0d7a52-6a35-5f0f-8a55-7a0e51b0f1a6")
_CONTENT = ("TypeInnholdIMelding/TypeInnhold", "InnholdKonsultasjon/TypeInnholdKonsultasjon")


# --- reading ----------------------------------------------------------------------------------------------


def read(payload: Node | None, *, envelope: Envelope, zone: tzinfo) -> Told:
    """The notice in a report, and the record. Raises Refused T02 where type and payload do not fit."""
    losses: list[Phrase] = []
    root, g = _root(payload, envelope.type)
    po = f"{{{g.namespaces['po']}}}"
    kind = K(MESSAGE[envelope.type]["kind"])
    sending = root.one(po + "InformasjonOmForsendelsen")
    standing, reserved = heading.read_sending(sending, po, losses)
    events = [one for group in root.all(po + "OpplysningOpphold") for one in _events(group, po, zone)]
    at = {code: when for code, when in reversed(events) if code is not None}
    expected = at.get(EXPECTED) or at.get(READY) or _expected_in_words(root)
    times = [one.text(po + "TidspunktTime") for one in _appointments(root)]
    checks = [when for text in times if (when := plo_moment(text, zone)) is not None]
    notice = Notice(
        kind=kind,
        message_id=envelope.message_id,
        sent_at=envelope.sent_at,
        occurred=envelope.sent_at,
        sender=envelope.sender.token,
        receivers=tuple(receiver.token for receiver in envelope.receivers),
        hospital=_hospital(kind, envelope),
        admitted=at.get(ADMITTED),
        planned_discharge=local_date(expected, zone)
        if expected is not None and kind is K.CARE_NEEDS
        else None,
        standing=standing,
        refers_to=envelope.refers_to,
        reserved=reserved,
        follow_up=min((local_date(one, zone) for one in checks), default=None),
    )
    return Told(
        notice=notice,
        unit=heading.read_unit(root.one(po + "TilknyttetEnhet"), po, []),
        losses=tuple(losses),
        dress=partial(_dress, root=root, g=g, message_type=envelope.type, zone=zone),
    )


def _root(payload: Node | None, message_type: str) -> tuple[Node, Grammar]:
    """The payload, and the grammar of its version."""
    named = type_named(message_type)
    form = MESSAGE[message_type].get("as", message_type)
    expected = root_name(form)
    if payload is None:
        raise Refused(
            phrase("{type} has no payload; {element} is expected", type=named, element=expected), code="T02"
        )
    dialects = root_namespaces(form)
    if payload.name != expected or payload.namespace not in dialects:
        older, newer = dialects
        raise Refused(
            phrase(
                "{type} goes with {element} in {older} or {newer}; the payload is another",
                type=named,
                element=expected,
                older=older,
                newer=newer,
            ),
            code="T02",
        )
    return payload, grammar(dialects[payload.namespace])


def _hospital(kind: NoticeKind, envelope: Envelope) -> str | None:
    """Where the stay is: with the hospital that reports, or that a municipality reports to."""
    if kind in (K.CARE_NEEDS, K.DISCHARGE_REPORT):
        return envelope.sender.token
    if kind is K.REPORT_OF_ADMISSION and envelope.receivers:
        return envelope.receivers[0].token
    return None


def _events(group: Node, po: str, zone: tzinfo) -> Iterator[tuple[str | None, Moment]]:
    for node in group.all(po + "TidsfestetHendelse"):
        code, text = node.one(po + "Hendelsekode"), node.one(po + "TidspunktForHendelse")
        when = plo_moment(text.element.get("V"), zone) if text is not None else None
        if when is not None:
            yield (code.element.get("V") if code is not None else None), when


def _appointments(root: Node) -> Iterator[Node]:
    return nodes(root, ("InfoKontrolltime", "InformasjonOmTime"))


def _expected_in_words(root: Node) -> date | None:
    """The expected day where it stands in a note, as is the custom in 1.5."""
    pattern = table("reports")["expected"]["pattern"]
    for note in nodes(root, ("Sykepleierdokumentasjon", "InfoFraSykepleier", "Journaltekst", "Notat")):
        found = re.search(pattern, note.element.text or "")
        if found:
            day, month, year = (int(part) for part in found.groups())
            try:
                return date(year, month, day)
            except ValueError:
                return None
    return None


def _dress(bundle: Bundle, *, root: Node, g: Grammar, message_type: str, zone: tzinfo) -> list[Phrase]:
    """Add the record to the Bundle."""
    scene = _scene(bundle, g, zone)
    composition = _composition(scene, message_type)
    _read_content(root, composition, zone)
    _read_stay(root, composition, zone)
    losses = record.read(root, scene)
    _lead_to(bundle, composition)
    return losses


def _scene(bundle: Bundle, g: Grammar, zone: tzinfo) -> Scene:
    message_id = (header(bundle) or {}).get("id", "")
    numbers = iter(range(1_000_000))
    return Scene(
        bundle=bundle,
        patient=of_type(bundle, "Patient") or {},
        encounter=of_type(bundle, "Encounter") or {},
        grammar=g,
        zone=zone,
        new_id=lambda: str(uuid.uuid5(_IDS, f"{message_id}/{next(numbers)}")),
    )


def _composition(scene: Scene, message_type: str) -> Resource:
    """The Composition of the record: the one in focus, or one beside the plan or list that is in focus."""
    found = of_type(scene.bundle, "Composition")
    if found is None:
        head = header(scene.bundle) or {}
        found = {
            "resourceType": "Composition",
            "id": scene.new_id(),
            "status": "final",
            "type": {"coding": [{"system": TYPE_LIST, "code": message_type}]},
            "subject": reference(scene.patient),
            "encounter": reference(scene.encounter),
            "date": scene.bundle["timestamp"],
            "author": [head["sender"]],
            "title": MESSAGES[message_type],
        }
        scene.bundle["entry"].append(entry(found))
    found["category"] = [
        {"coding": [{"system": TYPE_LIST, "code": message_type, "display": MESSAGES[message_type]}]}
    ]
    found["title"] = MESSAGES[message_type]
    return found


def _read_content(root: Node, composition: Resource, zone: tzinfo) -> None:
    """What kind of content the sender says it is, beside the message type."""
    for path, kind in zip(_CONTENT, ("CV", "CS"), strict=True):
        for node in nodes(root, tuple(path.split("/"))):
            coding = values.read(node, kind, zone)
            if coding:
                composition["category"].append({"coding": [coding]})


def _read_stay(root: Node, composition: Resource, zone: tzinfo) -> None:
    """The events of the stay (OpplysningOpphold) as events of the Composition."""
    for node in nodes(root, ("OpplysningOpphold", "TidsfestetHendelse")):
        parts = {child.name: child for child in node.children()}
        concept: Resource = {}
        if "Hendelsekode" in parts and (coding := values.read(parts["Hendelsekode"], "CV", zone)):
            concept["coding"] = [coding]
        if "BeskrivelseAvHendelse" in parts and (text := parts["BeskrivelseAvHendelse"].value()):
            concept["text"] = text
        codes = [concept] if concept else []
        if "Anslag" in parts and values.read(parts["Anslag"], "boolean", zone):
            codes.append({"text": _ESTIMATE})
        when = (
            values.read(parts["TidspunktForHendelse"], "TS", zone)
            if "TidspunktForHendelse" in parts
            else None
        )
        if when is not None:
            composition.setdefault("event", []).append(
                {"code": codes or [{"text": "hendelse"}], "period": {"start": when}}
            )


_ESTIMATE = "anslag"


def _lead_to(bundle: Bundle, composition: Resource) -> None:
    """The plan or list in focus leads to what it is made of, and the message to who answers for it."""
    head = header(bundle) or {}
    focus = follow(bundle, next(iter(head.get("focus") or ()), None)) or {}
    if focus.get("resourceType") == "CarePlan":
        services = _told(bundle, composition, "EksisterendeTjeneste")
        if services:
            focus["activity"] = [{"reference": one} for one in services]
    if focus.get("resourceType") == "List":
        medicines = _told(bundle, composition, "Legemiddelinfo")
        if medicines:
            focus["entry"] = [{"item": one} for one in medicines]
    for attester in composition.get("attester") or ():
        head.setdefault("responsible", attester["party"])
    for role in _told(bundle, composition, "AnsvarForRapport"):
        practitioner = (follow(bundle, role) or {}).get("practitioner")
        if practitioner:
            head.setdefault("responsible", practitioner)


def _told(bundle: Bundle, composition: Resource, group: str) -> list[Resource]:
    return [
        ref
        for section in composition.get("section") or ()
        if any(one.get("code") == group for one in section["code"]["coding"])
        for ref in section.get("entry") or ()
    ]


# --- writing ----------------------------------------------------------------------------------------------


def write(bundle: Bundle, *, dialect: str, sender: Address) -> Payload:
    """The report that tells the notice. Raises CannotWrite where nothing in it can stand in such a report."""
    notice = notice_in(bundle, zone=OSLO)
    message_type = _type_of(bundle, notice)
    g = grammar(dialect)
    po = f"{{{g.namespaces['po']}}}"
    if of_type(bundle, "Composition") is None:
        bundle = bundle | {"entry": [*bundle["entry"], {"resource": {"resourceType": "Composition"}}]}
    root = g.payload(message_type)
    heading.write_sending(root, po, notice)
    return _written(root, _scene(bundle, g, OSLO), notice, message_type, sender)


def _written(
    root: etree._Element, scene: Scene, notice: Notice, message_type: str, sender: Address
) -> Payload:
    g = scene.grammar
    po = f"{{{g.namespaces['po']}}}"
    record_written.write(root, scene)
    losses = scene.losses
    if not any(etree.QName(one).localname == "TilknyttetEnhet" for one in root):
        heading.write_unit(root, po, scene.bundle, sender, losses)
    if not any(etree.QName(one).localname == "AnsvarForRapport" for one in root):
        heading.write_responsible(root, po, clinician_in(scene.bundle), message_type, losses)
    _write_content(root, scene, notice, message_type)
    _write_stay(root, scene, notice, losses)
    _write_words(root, scene, notice)
    record_written.write_rest(root, scene)
    _write_what_is_due(root, g, notice)
    missing = g.finished(root, notice.message_id)
    if missing:
        raise CannotWrite(
            phrase(
                "{type} of {dialect} needs {elements}, and the notice does not say it; ask the sender to"
                " complete it, or tell the receiver by telephone",
                type=type_named(message_type),
                dialect=g.dialect,
                elements=missing[:5],
            )
        )
    return Payload(
        message_type=message_type,
        notice=notice,
        element=root,
        losses=tuple(dict.fromkeys(losses)),
        attachments=attachments.found(scene.bundle),
    )


def _type_of(bundle: Bundle, notice: Notice) -> str:
    """The message type: the one that the Composition names, else the first of that kind."""
    fits = [name for name, one in MESSAGE.items() if one["kind"] == notice.kind.value and "as" not in one]
    composition = of_type(bundle, "Composition") or {}
    said = (
        coding.get("code")
        for concept in composition.get("category") or ()
        for coding in concept.get("coding") or ()
        if coding.get("system") == TYPE_LIST
    )
    return next((str(code) for code in said if code in fits), fits[0])


def _write_content(root: etree._Element, scene: Scene, notice: Notice, message_type: str) -> None:
    """TypeInnholdIMelding or InnholdKonsultasjon: as the Composition has it, else by the notice."""
    g, name = scene.grammar, etree.QName(root).localname
    said = [
        coding
        for concept in scene.composition.get("category") or ()
        for coding in concept.get("coding") or ()
        if coding.get("system") != TYPE_LIST
    ]
    default = table("reports")["content"].get(message_type, {})
    one = default.get("update" if notice.standing is not Standing.NEW else "new") or default.get("new")
    if one and not said:
        said = [{"system": f"urn:oid:{OID}{one['list']}", "code": one["code"], "display": one["display"]}]
    for path in _CONTENT:
        steps = tuple(path.split("/"))
        kind = "CV" if steps[0] == "TypeInnholdIMelding" else "CS"
        if said and g.has(name, steps) and not list(nodes(Node(element=root), steps)):
            values.write(g.place(root, steps), kind, said[0])


def _write_stay(root: etree._Element, scene: Scene, notice: Notice, losses: list[Phrase]) -> None:
    """The events of the stay; where the version has none, the expected day goes into a note."""
    g, name = scene.grammar, etree.QName(root).localname
    if not g.has(name, ("OpplysningOpphold",)):
        _write_expected_in_words(root, scene, notice)
        return
    events = list(_stay_of(scene.composition, notice))
    due = g.child(name, "OpplysningOpphold")
    if not events and due is not None and due.required:
        losses.append(
            phrase("the schema wants an event of the stay, and none is told; one that says so was written")
        )
        events = [(None, table("reports")["expected"]["unknown"], notice.sent_at.isoformat(), True)]
    for code, text, when, estimate in events:
        made = g.place(root, ("OpplysningOpphold", "TidsfestetHendelse"))
        if code:
            values.write(g.add(made, "Hendelsekode"), "CV", code)
        if text:
            values.write(g.add(made, "BeskrivelseAvHendelse"), "string", text)
        values.write(g.add(made, "TidspunktForHendelse"), "TS", when)
        values.write(g.add(made, "Anslag"), "boolean", estimate)


def _stay_of(
    composition: Resource, notice: Notice
) -> Iterator[tuple[Resource | None, str | None, str, bool]]:
    told = composition.get("event") or ()
    for event in told:
        codes = event.get("code") or ()
        coding = next((c for one in codes for c in one.get("coding") or ()), None)
        texts = [one["text"] for one in codes if one.get("text") and one["text"] != _ESTIMATE]
        estimate = any(one.get("text") == _ESTIMATE for one in codes)
        when = (event.get("period") or {}).get("start")
        if when:
            yield coding, texts[0] if texts else None, when, estimate
    if told:
        return
    if notice.admitted is not None:
        yield _event(ADMITTED), None, _fhir(notice.admitted), False
    if notice.planned_discharge is not None:
        yield _event(READY), None, notice.planned_discharge.isoformat(), True


def _event(code: str) -> Resource:
    return {"system": f"urn:oid:{OID}9121", "code": code, "display": LOGISTICS["events"][code]}


def _fhir(when: Moment) -> str:
    return when.isoformat()


def _write_expected_in_words(root: etree._Element, scene: Scene, notice: Notice) -> None:
    if notice.kind is not K.CARE_NEEDS or notice.planned_discharge is None:
        return
    if _expected_in_words(Node(element=root)) is None:
        sentence = table("reports")["expected"]["sentence"]
        text = sentence.format(day=notice.planned_discharge.strftime("%d.%m.%Y"))
        path = ("Sykepleierdokumentasjon", "InfoFraSykepleier", "Journaltekst")
        values.write(scene.grammar.add(scene.grammar.place(root, path), "Notat"), "string", text)


def _write_words(root: etree._Element, scene: Scene, notice: Notice) -> None:
    """What the notice says in words, where nothing has said it yet."""
    if notice.text:
        record_written.write_text(root, None, notice.text, scene)


def _write_what_is_due(root: etree._Element, g: Grammar, notice: Notice) -> None:
    """What the schema wants and stands for no: nothing was applied for."""
    name = etree.QName(root).localname
    for child in g.children(name):
        there = any(etree.QName(one).localname == child.name for one in root)
        if child.name == "OpplysningerTilSoknad" and child.required and not there:
            values.write(g.place(root, ("OpplysningerTilSoknad", "EgensoknadSendt")), "boolean", False)
    for one in root.iter(f"{{{g.namespaces['po']}}}MedisinskDiagnose"):
        main = g.child("MedisinskDiagnose", "Hoveddiagnose")
        if main is not None and main.required and not any("Hoveddiagnose" in str(c.tag) for c in one):
            values.write(g.add(one, "Hoveddiagnose"), "boolean", False)
