"""PLO 2.0's own reply to a ready notice, TilbakemeldingUtskrivningsklarPasient: read, never written.

Its message type is of a draft of 2015 and stands in no production list. No list of event codes that we know
says what a municipality can do, so an answer is machine-read only where the words are our own fixed sentence.
"""

import re
from datetime import tzinfo

from adapter.discharge.notices import AnswerValue, Notice, NoticeKind, Standing
from adapter.errors import Refused
from adapter.mappings.kith import sentences
from adapter.mappings.kith.lists import DIALOGUE, LOGISTICS
from adapter.mappings.kith.msghead import type_named
from adapter.mappings.kith.told import Told
from adapter.mappings.kith.xml import Node, moment
from adapter.messaging.envelope import Envelope
from adapter.phrases import Phrase, phrase

TYPE: str = DIALOGUE["feedback"]["type"]
_ELEMENT: str = DIALOGUE["feedback"]["element"]
_P2 = f"{{{DIALOGUE['feedback']['payload']}}}"
_PO = f"{{{DIALOGUE['feedback']['components']}}}"


def read(payload: Node | None, *, envelope: Envelope, zone: tzinfo) -> Told:
    """The answer in a payload. Raises Refused T02 for another payload, or one without an event."""
    events = _events(payload)
    assert payload is not None
    losses: list[Phrase] = []
    said = [_said(event, zone) for event in events]
    heard = [found for words, _ in said for text in words if (found := sentences.heard(text)) is not None]
    words = "\n".join(line for texts, about in said for line in (*about, *texts)) or None
    answers = {(found.answer, found.receive_from) for found in heard}
    answer, receive_from = answers.pop() if len(answers) == 1 else (AnswerValue.UNCLASSIFIED, None)
    if answer is AnswerValue.UNCLASSIFIED:
        losses.append(
            phrase(
                "{element}: no code says what the municipality answers; a person classifies it",
                element=_ELEMENT,
            )
        )
    notice = Notice(
        kind=NoticeKind.ANSWER,
        message_id=envelope.message_id,
        sent_at=envelope.sent_at,
        occurred=envelope.sent_at,
        sender=envelope.sender.token,
        receivers=tuple(receiver.token for receiver in envelope.receivers),
        answer=answer,
        receive_from=receive_from,
        standing=_standing(payload, losses),
        refers_to=envelope.refers_to,
        text=words,
    )
    return Told(notice=notice, losses=tuple(losses))


def _events(payload: Node | None) -> list[Node]:
    named = type_named(TYPE)
    if payload is None or f"{{{payload.namespace}}}" != _P2 or payload.name != "Pasientlogistikk":
        reason = phrase(
            "{named} goes with Pasientlogistikk in {namespaces}; the payload is another",
            named=named,
            namespaces=_P2[1:-1],
        )
        raise Refused(reason, code="T02")
    told = payload.one(_P2 + _ELEMENT)
    events = told.all(_PO + "TidsfestetHendelse") if told is not None else []
    if not events:
        reason = phrase(
            "{named} goes with {element} and its TidsfestetHendelse; the payload has none",
            named=named,
            element=_ELEMENT,
        )
        raise Refused(reason, code="T02")
    return events


def _said(event: Node, zone: tzinfo) -> tuple[list[str], list[str]]:
    """The words of an event, and its code and time in words: a person must see all of it to classify it."""
    code, name = event.code(_PO + "Hendelsekode"), event.display(_PO + "Hendelsekode")
    written = event.text(_PO + "TidspunktForHendelse") or event.code(_PO + "TidspunktForHendelse")
    at = moment(written, zone)
    if at is None and not re.match(r"\d{4}|\d\d:", written or ""):
        reason = phrase("TidspunktForHendelse is missing or is no date or time; correct it")
        raise Refused(reason, code="T02")
    about = name or (f"Hendelse {code}" if code else "Hendelse uten kode")
    about += " (anslag)" if event.true(_PO + "Anslag") else ""
    found = (event.text(_PO + tag) for tag in ("BeskrivelseAvHendelse", "Merknad"))
    return [text for text in found if text], [f"{about}: {written}"]


def _standing(payload: Node, losses: list[Phrase]) -> Standing:
    sending = payload.one(_PO + "FellesAdministrativeOpplysninger", _PO + "InformasjonOmForsendelsen")
    code = sending.code(_PO + "Forsendelsesstatus") if sending is not None else None
    entry = LOGISTICS["sending-status"].get(code or "")
    if entry is None:
        losses.append(phrase("Forsendelsesstatus is no code of list 7309; the message was read as a new one"))
    return Standing(entry["standing"]) if entry else Standing.NEW
