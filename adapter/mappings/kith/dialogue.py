"""Dialogmelding 1.0 and 1.1, read: enquiry, reply, note, deviation and the municipality's answer.

Each Notat and each Foresporsel is a Communication; a note that quotes its question is in response to it. The
first one is in focus, what else the message holds is part of that (docs/norwegian-messages.md).
"""

import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import tzinfo

from lxml import etree

from adapter.discharge.notices import Notice, NoticeKind
from adapter.errors import Refused
from adapter.fhir.bundles import (
    EVENT_SYSTEM,
    Bundle,
    Resource,
    entry,
    follow,
    header,
    narrative,
    of_type,
    reference,
    with_extension,
)
from adapter.mappings.kith import participants, sentences, xhtml
from adapter.mappings.kith.lists import DIALOGUE
from adapter.mappings.kith.msghead import id_fits, type_named
from adapter.mappings.kith.participants import coding_of
from adapter.mappings.kith.told import Told
from adapter.mappings.kith.xml import Node, day
from adapter.messaging.envelope import LONGEST_ID, Envelope
from adapter.phrases import Phrase, phrase

K = NoticeKind
TYPES: dict[str, dict[str, str]] = DIALOGUE["read"]

_NAMESPACES = {entry["payload"]: dialect for dialect, entry in DIALOGUE["version"].items()}
_OLDER, _NEWER = _NAMESPACES
_IDS = uuid.UUID("9a4f5a0e-3c1b-5d52-8f0e-5b1a2c6d7e90")
_BLOCKS = frozenset(("p", "div", "br", "li", "tr", "h1", "h2", "h3", "h4", "h5", "h6"))


# --- reading ----------------------------------------------------------------------------------------------


def read(payload: Node | None, *, envelope: Envelope, zone: tzinfo) -> Told:
    """The notice in a payload, and the words that dress its Bundle. Raises Refused T02 for another."""
    root, ns = _root(payload, envelope.type)
    losses: list[Phrase] = []
    parts = [*root.all(ns + "Foresporsel"), *root.all(ns + "Notat")]
    kind = _kind(envelope, parts, losses)
    first = _words(parts[0], ns)[0] if parts else None
    heard = sentences.heard(first) if kind in (K.REPLY, K.NOTE) and first else None
    notice = Notice(
        kind=kind,
        message_id=envelope.message_id,
        sent_at=envelope.sent_at,
        occurred=envelope.sent_at,
        sender=envelope.sender.token,
        receivers=tuple(receiver.token for receiver in envelope.receivers),
        refers_to=envelope.refers_to,
        text=first,
    )
    words = notice
    if heard is not None:
        notice = replace(
            words, kind=K.ANSWER, answer=heard.answer, receive_from=heard.receive_from, text=heard.rest
        )
    return Told(
        notice=notice,
        in_words=words if heard is not None else None,
        losses=tuple(losses),
        dress=lambda bundle: _dress(bundle, parts, ns, envelope.message_id),
    )


def _root(payload: Node | None, message_type: str) -> tuple[Node, str]:
    named = type_named(message_type)
    if payload is None:
        raise Refused(
            phrase("{type} has no payload; Dialogmelding is expected", type=named),
            code="T02",
        )
    if payload.name != "Dialogmelding" or payload.namespace not in _NAMESPACES:
        raise Refused(
            phrase(
                "{type} goes with Dialogmelding in {older} or {newer}; the payload is another",
                type=named,
                older=_OLDER,
                newer=_NEWER,
            ),
            code="T02",
        )
    return payload, f"{{{payload.namespace}}}"


def _kind(envelope: Envelope, parts: list[Node], losses: list[Phrase]) -> NoticeKind:
    """By the type, where the payload holds what goes with it; else by what it holds, which is listed."""
    known = TYPES[envelope.type]
    held = {part.name for part in parts}
    if not held:
        losses.append(
            phrase("Dialogmelding holds neither Notat nor Foresporsel: there is nothing in it to read")
        )
    elif known["holds"] and known["holds"] not in held:
        losses.append(
            phrase(
                "{type} goes with {element}, but the payload holds {other}; it was read as what it holds",
                type=type_named(envelope.type),
                element=known["holds"],
                other=held.pop(),
            )
        )
    if "Foresporsel" in {part.name for part in parts}:
        return K.ENQUIRY
    if known["kind"] == "enquiry" or envelope.type == "DIALOG_HELSEFAGLIG":
        return K.REPLY if envelope.refers_to else K.NOTE
    return K(known["kind"])


def _words(part: Node, ns: str) -> tuple[str | None, str | None]:
    """The text of a note or question, and its XHTML where it is such and FHIR allows it."""
    node = part.one(ns + ("Sporsmal" if part.name == "Foresporsel" else "TekstNotatInnhold"))
    if node is None:
        return None, None
    node.read.add(node.element)
    if not len(node.element):
        return (node.element.text or "").strip() or None, None
    text = re.sub(r"[ \t]*\n\s*", "\n", "".join(_lines(node.element))).strip() or None
    return text, xhtml.marked_up(node.element)


def _lines(element: etree._Element) -> Iterator[str]:
    """The text of markup, a line for each block."""
    yield element.text or ""
    for child in element:
        block = etree.QName(child).localname in _BLOCKS
        yield "\n" if block else ""
        yield from _lines(child)
        yield ("\n" if block else "") + (child.tail or "")


# --- reading: into the Bundle -----------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class _Room:
    """The Bundle that is being dressed."""

    bundle: Bundle
    ns: str
    message_id: str
    losses: list[Phrase]

    def new_id(self, role: str) -> str:
        return str(uuid.uuid5(_IDS, f"{self.message_id}/{role}"))

    def put(self, *made: Resource) -> None:
        self.bundle["entry"].extend(entry(resource) for resource in made)


def _dress(bundle: Bundle, parts: list[Node], ns: str, message_id: str) -> Iterable[Phrase]:
    """Put every note and question of the message into its Bundle."""
    room = _Room(bundle=bundle, ns=ns, message_id=message_id, losses=[])
    head = header(bundle) or {}
    focus = follow(bundle, (head.get("focus") or [{}])[0]) or {}
    for number, part in enumerate(parts):
        if number == 0 and focus.get("resourceType") == "Communication":
            _fill(focus, part, room, str(number))
            continue
        beside = _communication(room, f"part-{number}", part.name)
        beside["partOf"] = [reference(focus)]
        room.put(beside)
        _fill(beside, part, room, str(number))
    return room.losses


def _communication(room: _Room, role: str, name: str) -> Resource:
    """A Communication beside the one in focus."""
    head = header(room.bundle) or {}
    kind = K.ENQUIRY if name == "Foresporsel" else K(head["eventCoding"]["code"])
    made: Resource = {
        "resourceType": "Communication",
        "id": room.new_id(role),
        "status": "completed",
        "category": [{"coding": [{"system": EVENT_SYSTEM, "code": kind.value}]}],
        "subject": reference(of_type(room.bundle, "Patient") or {}),
        "encounter": reference(of_type(room.bundle, "Encounter") or {}),
    }
    if name != "Foresporsel" or role.startswith("part-"):
        made |= {"sent": room.bundle["timestamp"], "sender": head["sender"]}
    return made


def _fill(made: Resource, part: Node, room: _Room, role: str) -> None:
    """What a Notat or a Foresporsel says, into its Communication."""
    ns, question = room.ns, part.name == "Foresporsel"
    text, div = _words(part, ns)
    if text:
        made["payload"] = [{"contentString": text}]
        made["text"] = {"status": "additional", "div": div} if div else narrative(text)
    theme = coding_of(part.one(ns + ("TypeForesp" if question else "TemaKodet")))
    subject = part.text(ns + ("EmneSporsmal" if question else "Tema"))
    topic: Resource = ({"coding": [theme]} if theme else {}) | ({"text": subject} if subject else {})
    if topic:
        made["topic"] = topic
    document = part.text(ns + ("DokIdForesp" if question else "DokIdNotat"))
    if not id_fits(document):
        room.losses.append(phrase("the document's id is longer than {number} characters", number=LONGEST_ID))
    elif document:
        made["identifier"] = [{"value": document}]
    if question:
        _fill_question(made, part, ns)
    else:
        _fill_note(made, part, room, role)
    _fill_people(made, part, room, role)


def _fill_question(made: Resource, part: Node, ns: str) -> None:
    purpose, why = coding_of(part.one(ns + "Formål")), part.text(ns + "Begrunnelse")
    reason: Resource = ({"coding": [purpose]} if purpose else {}) | ({"text": why} if why else {})
    if reason:
        made["reasonCode"] = [reason]
    urgency = part.one(ns + "Hastegrad")
    known = DIALOGUE["urgency"].get((urgency.element.get("V") or "").strip()) if urgency is not None else None
    if known is not None:
        part.code(ns + "Hastegrad")
        made["priority"] = known["priority"]
    period = {name: day(part.text(ns + tag)) for tag, name in (("FraDato", "start"), ("TilDato", "end"))}
    told = {name: at.isoformat() for name, at in period.items() if at is not None}
    if told:
        with_extension(made, "asked-period", "Period", told)
    records = [coding for node in part.all(ns + "TypeJournalinfo") if (coding := coding_of(node)) is not None]
    made["category"] += [{"coding": [coding]} for coding in records]


def _fill_note(made: Resource, part: Node, room: _Room, role: str) -> None:
    ns = room.ns
    remark, written = part.text(ns + "Merknad"), day(part.text(ns + "DatoNotat"))
    if remark:
        made["note"] = [{"text": remark}]
    if written is not None:
        made["sent"] = written.isoformat()
    quoted = part.one(ns + "Foresporsel")
    if quoted is not None:
        question = _communication(room, f"question-{role}", "Foresporsel")
        room.put(question)
        _fill(question, quoted, room, f"{role}-question")
        made["inResponseTo"] = [reference(question)]


def _fill_people(made: Resource, part: Node, room: _Room, role: str) -> None:
    patient = of_type(room.bundle, "Patient") or {}
    author = follow(room.bundle, (header(room.bundle) or {}).get("sender")) or {}
    has_sender = False
    for number, node in enumerate(part.all(room.ns + "RollerRelatertNotat")):
        place, found = participants.read(
            node,
            room.ns,
            patient=patient,
            author=author,
            new_id=_numbered(room, f"{role}-{number}"),
            losses=room.losses,
        )
        room.put(found[0], *found[1])
        if place == "sender" and not has_sender:
            has_sender, made["sender"] = True, reference(found[0])
        else:
            made.setdefault("about" if place == "sender" else place, []).append(reference(found[0]))


def _numbered(room: _Room, of: str) -> Callable[[str], str]:
    return lambda name: room.new_id(f"{name}-{of}")
