"""Dialogmelding 1.0 and 1.1, written: enquiry, reply, note, deviation and the municipality's answer.

From the Communication in focus and those that are part of it; an answer is its fixed sentence and the words
that follow it. What has no place is listed (docs/norwegian-messages.md).
"""

from base64 import b64decode
from binascii import Error as NoBase64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lxml import etree

from adapter.discharge.notices import AnswerValue, Notice, NoticeKind, Standing
from adapter.errors import CannotWrite
from adapter.fhir.bundles import (
    EVENT_SYSTEM,
    Bundle,
    Resource,
    extension,
    follow,
    header,
    narrative,
    resources,
)
from adapter.fhir.notices import notice_in, plain_text
from adapter.mappings.kith import participants, sentences, values
from adapter.mappings.kith.lists import DIALOGUE, OID
from adapter.mappings.kith.participants import add_coding, norwegian
from adapter.mappings.kith.told import Attachment, Payload
from adapter.mappings.kith.xml import OSLO, add, new
from adapter.messaging.envelope import Address
from adapter.phrases import Phrase, phrase

K = NoticeKind
KINDS = (K.ENQUIRY, K.REPLY, K.NOTE, K.DEVIATION, K.ANSWER)

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


def write(bundle: Bundle, *, dialect: str, sender: Address) -> Payload:
    """The payload that tells the notice. Raises CannotWrite where a dialogue message has no form for it."""
    notice = notice_in(bundle, zone=OSLO)
    if notice.standing is Standing.CANCELLATION:
        raise CannotWrite(
            phrase(
                "a dialogue message cannot be taken back by another; tell the receiver by telephone that it"
                " was wrong, or by a message of its own (deviation)"
            )
        )
    ns = f"{{{DIALOGUE['version'][dialect]['payload']}}}"
    losses = _without_place(notice, bundle)
    root = new(ns + "Dialogmelding", {None: ns[1:-1], "fk1": participants.FK[1:-1]})
    writer = _Writer(bundle=bundle, ns=ns, dialect=dialect, notice=notice, losses=losses, attachments=[])
    said = _communications(bundle)
    for number, communication in enumerate(said or [_without_communication(bundle, losses)]):
        writer.part(root, communication, first=number == 0)
    losses += _unsaid(bundle, said)
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


def _without_communication(bundle: Bundle, losses: list[Phrase]) -> Resource:
    """What an answer says beside its value: the remarks of its Task."""
    task = follow(bundle, ((header(bundle) or {}).get("focus") or [{}])[0]) or {}
    if task.get("resourceType") != "Task":
        return {}
    reason = (task.get("statusReason") or {}).get("text")
    losses.extend(
        _without_a_place(f"Task.{name}")
        for name in sorted(task.keys() & {"description", "output", "input", "restriction", "reasonCode"})
    )
    remarks = [reason, *(note.get("text") for note in task.get("note") or ())]
    return {"note": [{"text": text} for text in remarks if text]}


def _unsaid(bundle: Bundle, said: list[Resource]) -> list[Phrase]:
    """A Communication that is neither part of what is in focus nor its question is not written."""
    quoted = [follow(bundle, ref) for one in said for ref in one.get("inResponseTo") or ()]
    written = [id(one) for one in (*said, *quoted)]
    others = (one for one in resources(bundle) if one.get("resourceType") == "Communication")
    beside = any(id(one) not in written for one in others)
    return [phrase("a Communication that is not part of the one in focus")] if beside else []


def _without_a_place(element: str) -> Phrase:
    return phrase("{element}: a dialogue message has no place for it", element=element)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Writer:
    """Everything that the parts of a payload need of their message."""

    bundle: Bundle
    ns: str
    dialect: str
    notice: Notice
    losses: list[Phrase]
    attachments: list[Attachment]

    def part(self, root: etree._Element, communication: Resource, *, first: bool) -> None:
        """A Notat, or for an enquiry a Foresporsel."""
        if self.notice.kind is K.ENQUIRY:
            self._question(add(root, self.ns + "Foresporsel"), communication, first=first)
        else:
            self._note(add(root, self.ns + "Notat"), communication, first=first)
        unread = sorted(communication.keys() - _WRITTEN)
        self.losses.extend(_without_a_place(f"Communication.{name}") for name in unread)

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
            self.losses.append(
                phrase("the question: DIALOG_SVAR of 1.0 shall repeat it, and the message does not")
            )
        for name in ("priority", "reasonCode"):
            if told.get(name) not in (None, "routine"):
                self.losses.append(
                    phrase("{element}: a note has no place for it", element=f"Communication.{name}")
                )
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
        self._period(made, told)
        self._records(made, told, most=None if newer else 1)
        self._document(made, "DokIdForesp", told)
        if told.get("note"):
            self.losses.append(phrase("Communication.note: a question has no place for it"))
        self._people(made, told, first=first)

    def _period(self, made: etree._Element, told: Resource) -> None:
        period = extension(told, "asked-period") or {}
        for tag, name in (("FraDato", "start"), ("TilDato", "end")):
            day = values.norwegian_day(period.get(name))
            if day is not None:
                add(made, self.ns + tag, day)
            elif period.get(name):
                self.losses.append(
                    phrase("{element}: {place} holds a day only", element=f"asked-period.{name}", place=tag)
                )

    def _theme(self, made: etree._Element, tag: str, told: Resource, usual: list[str] | None) -> None:
        coding = norwegian(told.get("topic"))
        if coding is None and (told.get("topic") or {}).get("coding"):
            self.losses.append(
                phrase("Communication.topic: {place} holds codes of Norwegian lists only", place=tag)
            )
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
        else:
            self.losses.append(phrase("{element}: the message says nothing in words", element=tag))

    def _said(self, told: Resource, *, first: bool) -> str | None:
        """The answer in its fixed sentence and what was written after it; else the words of the part."""
        parts = told.get("payload") or ()
        self._attach(part["contentAttachment"] for part in parts if "contentAttachment" in part)
        if any("contentReference" in part for part in parts):
            self.losses.append(
                phrase("Communication.payload.contentReference: only text goes into a dialogue message")
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
                    phrase("an attachment that is not in the message itself: it cannot travel with it")
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
            self.losses.append(phrase("Communication.identifier: {place} holds one of them", place=tag))

    def _urgency(self, made: etree._Element, told: Resource) -> None:
        priority = told.get("priority")
        if priority in (None, "routine"):
            return
        table = DIALOGUE["urgency"]
        code = next((c for c, e in table.items() if e["priority"] == priority), None) or next(iter(table))
        if table[code]["priority"] != priority:
            self.losses.append(
                phrase(
                    "Communication.priority {priority}: written as {urgency}",
                    priority=str(priority),
                    urgency=str(table[code]["name"]),
                )
            )
        add(made, self.ns + "Hastegrad", V=code, DN=table[code]["name"])

    def _records(self, made: etree._Element, told: Resource, *, most: int | None) -> None:
        """Which parts of the record are asked for: the categories beside the kind of notice."""
        others = [c for c in told.get("category") or () if not _says_kind(c)]
        codings = [coding for coding in map(norwegian, others) if coding is not None]
        for coding in codings[:most]:
            add_coding(made, self.ns + "TypeJournalinfo", coding)
        if len(codings[:most]) < len(others):
            self.losses.append(
                phrase("Communication.category: TypeJournalinfo holds no more, or no such code")
            )

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


def _without_place(notice: Notice, bundle: Bundle) -> list[Phrase]:
    """What the notice or the Bundle says and a dialogue message has no place for."""
    corrects = notice.standing is Standing.CORRECTION
    reserved = "the patient's reservation against passing it on: tell the receiver in another way"
    said: dict[Phrase, Any] = {
        phrase("the identifier of the stay"): notice.encounter,
        phrase("the episode of care"): notice.episode,
        phrase("the time of admission"): notice.admitted,
        phrase("from when the patient is ready"): notice.ready,
        phrase("the planned date of discharge"): notice.planned_discharge,
        phrase("that it corrects an earlier message: the receiver gets another one"): corrects,
        phrase(reserved): notice.reserved,
        phrase("when it happened"): notice.occurred != notice.sent_at,
    }
    losses = [sentence for sentence, there in said.items() if there]
    others = {str(r.get("resourceType")) for r in resources(bundle)} - _ELSEWHERE
    return losses + [_without_a_place(name) for name in sorted(others)]
