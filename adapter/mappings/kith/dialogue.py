"""Dialogmelding 1.0 and 1.1: enquiry, reply, note, deviation and the municipality's answer, both ways.

Each Notat and each Foresporsel is a Communication; a note that quotes its question is in response to it. The
first one is in focus, what else the message holds is part of that (docs/norwegian-messages.md).
"""

import re
import uuid
from base64 import b64decode
from binascii import Error as NoBase64
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import Any

from lxml import etree

from adapter.discharge.notices import AnswerValue, Notice, NoticeKind, Standing
from adapter.errors import CannotWrite, Refused
from adapter.fhir import narratives
from adapter.fhir.bundles import (
    EVENT_SYSTEM,
    Bundle,
    Resource,
    entry,
    extension,
    follow,
    header,
    narrative,
    of_type,
    reference,
    resources,
    with_extension,
)
from adapter.fhir.notices import notice_in, plain_text
from adapter.mappings.kith import participants, sentences
from adapter.mappings.kith.lists import DIALOGUE, OID
from adapter.mappings.kith.msghead import type_named
from adapter.mappings.kith.participants import add_coding, coding_of, norwegian
from adapter.mappings.kith.told import Attachment, Payload, Told
from adapter.mappings.kith.xml import OSLO, Node, add, day, new
from adapter.messaging.envelope import Address, Envelope

K = NoticeKind
TYPES: dict[str, dict[str, str]] = DIALOGUE["read"]
KINDS = (K.ENQUIRY, K.REPLY, K.NOTE, K.DEVIATION, K.ANSWER)

_NAMESPACES = {entry["payload"]: dialect for dialect, entry in DIALOGUE["version"].items()}
_IDS = uuid.UUID("9a4f5a0e-3c1b-5d52-8f0e-5b1a2c6d7e90")
_BLOCKS = frozenset(("p", "div", "br", "li", "tr", "h1", "h2", "h3", "h4", "h5", "h6"))
_WRAPPERS = ("html", "body", "div")
_WRITTEN = frozenset(
    (
        "resourceType", "id", "meta", "text", "identifier", "partOf", "inResponseTo", "status", "category",
        "priority", "subject", "topic", "about", "encounter", "sent", "recipient", "sender", "reasonCode",
        "payload", "note", "extension",
    )
)  # fmt: skip
"""Elements of a Communication that have a place in a dialogue message, or repeat what its envelope says."""
_ELSEWHERE = frozenset(
    (
        "MessageHeader", "Patient", "Encounter", "Organization", "Practitioner", "PractitionerRole",
        "RelatedPerson", "Communication", "Task",
    )
)  # fmt: skip
"""Resources that a dialogue message holds, or that say no more than its envelope."""


# --- reading ----------------------------------------------------------------------------------------------


def read(payload: Node | None, *, envelope: Envelope, zone: tzinfo) -> Told:
    """The notice in a payload, and the words that dress its Bundle. Raises Refused T02 for another."""
    root, ns = _root(payload, envelope.type)
    losses: list[str] = []
    parts = [*root.all(ns + "Foresporsel"), *root.all(ns + "Notat")]
    kind = _kind(envelope, parts, losses)
    first = _first_words(parts, ns)
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
    if heard is not None:
        notice = replace(
            notice, kind=K.ANSWER, answer=heard.answer, receive_from=heard.receive_from, text=heard.rest
        )
    return Told(
        notice=notice,
        losses=tuple(losses),
        dress=lambda bundle: _dress(bundle, parts, ns, envelope.message_id),
    )


def _root(payload: Node | None, message_type: str) -> tuple[Node, str]:
    named = type_named(message_type)
    if payload is None:
        raise Refused(f"{named} has no payload; Dialogmelding is expected", code="T02")
    if payload.name != "Dialogmelding" or payload.namespace not in _NAMESPACES:
        raise Refused(
            f"{named} goes with Dialogmelding in {' or '.join(_NAMESPACES)}; the payload is another",
            code="T02",
        )
    return payload, f"{{{payload.namespace}}}"


def _kind(envelope: Envelope, parts: list[Node], losses: list[str]) -> NoticeKind:
    """By the type, where the payload holds what goes with it; else by what it holds, which is listed."""
    known = TYPES[envelope.type]
    held = {part.name for part in parts}
    if not held:
        losses.append("Dialogmelding holds neither Notat nor Foresporsel: there is nothing in it to read")
    elif known["holds"] and known["holds"] not in held:
        losses.append(
            f"{type_named(envelope.type)} goes with {known['holds']}, but the payload holds {held.pop()}; it"
            " was read as what it holds"
        )
    if "Foresporsel" in {part.name for part in parts}:
        return K.ENQUIRY
    if known["kind"] == "enquiry" or envelope.type == "DIALOG_HELSEFAGLIG":
        return K.REPLY if envelope.refers_to else K.NOTE
    return K(known["kind"])


def _first_words(parts: list[Node], ns: str) -> str | None:
    return next((text for part in parts if (text := _words(part, ns)[0])), None)


def _words(part: Node, ns: str) -> tuple[str | None, str | None]:
    """The text of a note or question, and its XHTML where it is such and FHIR allows it."""
    node = part.one(ns + ("Sporsmal" if part.name == "Foresporsel" else "TekstNotatInnhold"))
    if node is None:
        return None, None
    node.read.add(node.element)
    if not len(node.element):
        return (node.element.text or "").strip() or None, None
    text = re.sub(r"[ \t]*\n\s*", "\n", "".join(_lines(node.element))).strip() or None
    return text, _xhtml(node.element)


def _lines(element: etree._Element) -> Iterator[str]:
    """The text of markup, a line for each block."""
    yield element.text or ""
    for child in element:
        block = etree.QName(child).localname in _BLOCKS
        yield "\n" if block else ""
        yield from _lines(child)
        yield ("\n" if block else "") + (child.tail or "")


def _xhtml(element: etree._Element) -> str | None:
    """What a text element holds as the div of a Narrative; None where FHIR would not have it."""
    held = element
    while len(held) == 1 and etree.QName(held[0]).localname in _WRAPPERS and not (held.text or "").strip():
        held = held[0]
    div = deepcopy(held)
    div.tail = None
    div.attrib.clear()
    for one in div.iter():
        one.tag = narratives.XHTML + etree.QName(one).localname
    div.tag = f"{narratives.XHTML}div"
    made = etree.tostring(_clean(div), encoding="unicode")
    try:
        narratives.check(made)
    except Refused:
        return None
    return made


def _clean(div: etree._Element) -> etree._Element:
    """The same without the prefixes that the message declared around it."""
    root = new(str(div.tag), {None: narratives.XHTML[1:-1]})
    root.text = div.text
    root.extend(list(div))
    etree.cleanup_namespaces(root)
    return root


# --- reading: into the Bundle -----------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class _Room:
    """The Bundle that is being dressed."""

    bundle: Bundle
    ns: str
    message_id: str
    losses: list[str]

    def new_id(self, role: str) -> str:
        return str(uuid.uuid5(_IDS, f"{self.message_id}/{role}"))

    def put(self, *made: Resource) -> None:
        self.bundle["entry"].extend(entry(resource) for resource in made)


def _dress(bundle: Bundle, parts: list[Node], ns: str, message_id: str) -> Iterable[str]:
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
    if document:
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


# --- writing ----------------------------------------------------------------------------------------------


def write(bundle: Bundle, *, dialect: str, sender: Address) -> Payload:
    """The payload that tells the notice. Raises CannotWrite where a dialogue message has no form for it."""
    notice = notice_in(bundle, zone=OSLO)
    if notice.standing is Standing.CANCELLATION:
        raise CannotWrite(
            "a dialogue message cannot be taken back by another; tell the receiver by telephone that it was"
            " wrong, or by a message of its own (deviation)"
        )
    ns = f"{{{DIALOGUE['version'][dialect]['payload']}}}"
    losses = _without_place(notice, bundle)
    root = new(ns + "Dialogmelding", {None: ns[1:-1], "fk1": participants.FK[1:-1]})
    writer = _Writer(bundle=bundle, ns=ns, dialect=dialect, notice=notice, losses=losses, attachments=[])
    for number, communication in enumerate(_communications(bundle) or [{}]):
        writer.part(root, communication, first=number == 0)
    return Payload(
        message_type=DIALOGUE["write"][dialect][notice.kind.value],
        notice=notice,
        element=root,
        losses=tuple(dict.fromkeys(losses)),
        attachments=tuple(writer.attachments),
    )


def _communications(bundle: Bundle) -> list[Resource]:
    """What the message says: the Communication in focus, and those that are part of what is in focus."""
    focus = follow(bundle, ((header(bundle) or {}).get("focus") or [{}])[0])
    return [
        one
        for one in resources(bundle)
        if one.get("resourceType") == "Communication"
        and (one is focus or any(follow(bundle, ref) is focus for ref in one.get("partOf") or () if focus))
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Writer:
    """Everything that the parts of a payload need of their message."""

    bundle: Bundle
    ns: str
    dialect: str
    notice: Notice
    losses: list[str]
    attachments: list[Attachment]

    def part(self, root: etree._Element, communication: Resource, *, first: bool) -> None:
        """A Notat, or for an enquiry a Foresporsel."""
        if self.notice.kind is K.ENQUIRY:
            self._question(add(root, self.ns + "Foresporsel"), communication, first=first)
        else:
            self._note(add(root, self.ns + "Notat"), communication, first=first)
        unread = sorted(communication.keys() - _WRITTEN)
        self.losses.extend(f"Communication.{name}: a dialogue message has no place for it" for name in unread)

    def _note(self, made: etree._Element, told: Resource, *, first: bool) -> None:
        self._theme(made, "TemaKodet", told, DIALOGUE["theme"][self.dialect].get(self.notice.kind.value))
        if subject := (told.get("topic") or {}).get("text"):
            add(made, self.ns + "Tema", subject)
        self._words(made, "TekstNotatInnhold", told, first=first, markup=True)
        remarks = [note["text"] for note in told.get("note") or () if note.get("text")]
        if remarks:
            add(made, self.ns + "Merknad", "\n".join(remarks))
        self._document(made, "DokIdNotat", told)
        if len(told.get("sent") or "") == 10:
            add(made, self.ns + "DatoNotat", told["sent"])
        question = self._question_of(told)
        if question is not None:
            self._question(add(made, self.ns + "Foresporsel"), question, first=False)
        elif self.notice.kind is K.REPLY and self.dialect == "plo-1.5":
            self.losses.append("the question: DIALOG_SVAR of 1.0 shall repeat it, and the message does not")
        for name in ("priority", "reasonCode"):
            if told.get(name) not in (None, "routine"):
                self.losses.append(f"Communication.{name}: a note has no place for it")
        self._people(made, told, first=first)

    def _question(self, made: etree._Element, told: Resource, *, first: bool) -> None:
        ns, newer = self.ns, self.dialect != "plo-1.5"
        self._theme(made, "TypeForesp", told, DIALOGUE["question"]["type"])
        subject = (told.get("topic") or {}).get("text")
        if subject and newer:
            add(made, ns + "EmneSporsmal", subject)
        self._words(made, "Sporsmal", told, first=first, markup=newer, before=None if newer else subject)
        reason: Resource = next(iter(told.get("reasonCode") or ()), {})
        purpose = norwegian(reason)
        if purpose:
            add_coding(made, ns + "Formål", purpose)
        if reason.get("text"):
            add(made, ns + "Begrunnelse", reason["text"])
        self._urgency(made, told)
        period = extension(told, "asked-period") or {}
        for tag, name in (("FraDato", "start"), ("TilDato", "end")):
            if period.get(name):
                add(made, ns + tag, period[name][:10])
        self._records(made, told, most=None if newer else 1)
        self._document(made, "DokIdForesp", told)
        for name in ("note",):
            if told.get(name):
                self.losses.append(f"Communication.{name}: a question has no place for it")
        self._people(made, told, first=first)

    def _theme(self, made: etree._Element, tag: str, told: Resource, usual: list[str] | None) -> None:
        coding = norwegian(told.get("topic"))
        if coding is None and (told.get("topic") or {}).get("coding"):
            self.losses.append(f"Communication.topic: {tag} holds codes of Norwegian lists only")
        if coding is None:
            number, code, name = usual or DIALOGUE["question"]["type"]
            list_ = {"system": f"urn:oid:{OID}{number}"} if code else {}
            coding = list_ | ({"code": code} if code else {}) | {"display": name}
        add_coding(made, self.ns + tag, coding)

    def _words(
        self,
        made: etree._Element,
        tag: str,
        told: Resource,
        *,
        first: bool,
        markup: bool,
        before: str | None = None,
    ) -> None:
        """The text; a text that is marked up keeps that, where its words are the same."""
        said = self._said(told, first=first)
        div = (told.get("text") or {}).get("div")
        rich = markup and before is None and not (first and self.notice.kind is K.ANSWER)
        if (
            rich
            and div
            and said
            and _squeezed(plain_text(told)) == _squeezed(said)
            and div != narrative(said)["div"]
        ):
            add(made, self.ns + tag).append(etree.fromstring(div))
            return
        text = "\n".join(part for part in (before, said) if part)
        if text:
            add(made, self.ns + tag, text)

    def _said(self, told: Resource, *, first: bool) -> str | None:
        """The answer in its fixed sentence and what was written after it; else the words of the part."""
        parts = told.get("payload") or ()
        self._attach(part["contentAttachment"] for part in parts if "contentAttachment" in part)
        if any("contentReference" in part for part in parts):
            self.losses.append(
                "Communication.payload.contentReference: only text goes into a dialogue message"
            )
        if first and self.notice.kind is K.ANSWER:
            answer = self.notice.answer or AnswerValue.UNCLASSIFIED
            sentence = sentences.sentence(answer, self.notice.receive_from)
            return "\n".join(part for part in (sentence, self.notice.text) if part) or None
        strings = [part["contentString"] for part in parts if part.get("contentString")]
        return "\n".join(strings) or plain_text(told)

    def _attach(self, attachments: Iterable[Resource]) -> None:
        for one in attachments:
            try:
                content = b64decode(one.get("data") or "", validate=True)
            except NoBase64:
                content = b""
            if not content:
                self.losses.append(
                    "an attachment that is not in the message itself: it cannot travel with it"
                )
                continue
            self.attachments.append(
                Attachment(
                    content=content,
                    media_type=one.get("contentType") or "application/octet-stream",
                    title=one.get("title"),
                    issued=one.get("creation"),
                )
            )

    def _document(self, made: etree._Element, tag: str, told: Resource) -> None:
        known = [one["value"] for one in told.get("identifier") or () if one.get("value")]
        if known:
            add(made, self.ns + tag, known[0])
        if len(known) > 1:
            self.losses.append(f"Communication.identifier: {tag} holds one of them")

    def _urgency(self, made: etree._Element, told: Resource) -> None:
        priority = told.get("priority")
        if priority in (None, "routine"):
            return
        table = DIALOGUE["urgency"]
        code = next((c for c, e in table.items() if e["priority"] == priority), None) or next(iter(table))
        if table[code]["priority"] != priority:
            self.losses.append(f"Communication.priority {priority}: written as {table[code]['name']}")
        add(made, self.ns + "Hastegrad", V=code, DN=table[code]["name"])

    def _records(self, made: etree._Element, told: Resource, *, most: int | None) -> None:
        """Which parts of the record are asked for: the categories beside the kind of notice."""
        others = [c for c in told.get("category") or () if not _says_kind(c)]
        codings = [coding for coding in map(norwegian, others) if coding is not None]
        for coding in codings[:most]:
            add_coding(made, self.ns + "TypeJournalinfo", coding)
        if len(codings[:most]) < len(others):
            self.losses.append("Communication.category: TypeJournalinfo holds no more, or no such code")

    def _question_of(self, told: Resource) -> Resource | None:
        found = (follow(self.bundle, ref) for ref in told.get("inResponseTo") or ())
        return next((one for one in found if one and one.get("resourceType") == "Communication"), None)

    def _people(self, made: etree._Element, told: Resource, *, first: bool) -> None:
        written = participants.write(made, self.ns, self.dialect, self.bundle, told, self.losses)
        clinician = follow(self.bundle, (header(self.bundle) or {}).get("responsible"))
        if first and not written and clinician is not None and clinician["resourceType"] == "Practitioner":
            participants.write_contact(made, self.ns, clinician, self.losses)


def _says_kind(category: Resource) -> bool:
    return any(coding.get("system") == EVENT_SYSTEM for coding in category.get("coding") or ())


def _squeezed(text: str | None) -> str:
    return "".join((text or "").split())


def _without_place(notice: Notice, bundle: Bundle) -> list[str]:
    """What the notice or the Bundle says and a dialogue message has no place for."""
    corrects = notice.standing is Standing.CORRECTION
    said: dict[str, Any] = {
        "the identifier of the stay": notice.encounter,
        "the episode of care": notice.episode,
        "the time of admission": notice.admitted,
        "from when the patient is ready": notice.ready,
        "the planned date of discharge": notice.planned_discharge,
        "that it corrects an earlier message: the receiver gets another one": corrects,
        "the patient's reservation against passing it on: tell the receiver in another way": notice.reserved,
        "when it happened": notice.occurred != notice.sent_at,
    }
    losses = [sentence for sentence, there in said.items() if there]
    others = {str(r.get("resourceType")) for r in resources(bundle)} - _ELSEWHERE
    return losses + [f"{name}: a dialogue message has no place for it" for name in sorted(others)]
