"""Pasientlogistikk 1.5 and 1.6: the five LOG_ messages, read into notices and written from them.

HIS 1149 says which events each must hold. These messages carry no health information: nothing free-texted
and no resource beyond the notice itself is ever written (docs/norwegian-messages.md has the decisions).
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any

from lxml import etree

from adapter.discharge.notices import Moment, Notice, NoticeKind, local_date
from adapter.errors import Refused
from adapter.fhir.bundles import (
    Bundle,
    of_type,
    resources,
)
from adapter.fhir.notices import clinician_in, notice_in
from adapter.mappings.kith import heading
from adapter.mappings.kith.heading import FK
from adapter.mappings.kith.lists import FORMATS, LOGISTICS, OID
from adapter.mappings.kith.msghead import either, type_named
from adapter.mappings.kith.told import Payload, Told
from adapter.mappings.kith.xml import OSLO, Node, add, local_text, moment, new
from adapter.messaging.envelope import Address, Envelope
from adapter.phrases import Phrase, phrase

K = NoticeKind
DISCHARGED_TO = f"urn:oid:{OID}8408"
DISPOSITION = "http://terminology.hl7.org/CodeSystem/discharge-disposition"
ADMITTED, DISCHARGED, READY, WITHDRAWN, EXPECTED, DIED = "1", "2", "3", "4", "5", "13"

_DEAD = re.compile(r"\b(død|døde|avdød)\b", re.IGNORECASE)
_NOT_DEAD = re.compile(r"\b(ikke|levende)\b", re.IGNORECASE)
_FORMATS: dict[str, dict[str, str]] = FORMATS["pasientlogistikk"]
TYPES: dict[str, dict[str, str]] = LOGISTICS["messages"]
_OWN_RESOURCES = {"MessageHeader", "Patient", "Encounter", "Organization", "Practitioner"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One TidsfestetHendelse."""

    code: str | None
    at: Moment | None  # None where the time is a year, a month or a time of day only
    estimate: bool
    texts: tuple[str, ...]


# --- reading ----------------------------------------------------------------------------------------------


def read(payload: Node | None, *, envelope: Envelope, zone: tzinfo) -> Told:
    """The notice in a payload. Raises Refused T02 for a payload that is wrong.

    Unknown code values are never a reason to refuse (N-06): they are read as far as possible and listed.
    """
    losses: list[Phrase] = []
    told, po = _message_element(payload, envelope.type)
    assert payload is not None
    events = _events(told, po, envelope.type, zone)
    main = _main_event(events, envelope.type, losses)
    state_dead, discharged_to = _discharged_to(told.one(po + "UtskrevetTil"), po, losses)
    kind = K.DECEASED if state_dead else K(TYPES[envelope.type]["kind"])
    standing, reserved = heading.read_sending(payload.one(po + "InformasjonOmForsendelsen"), po, losses)
    ready = _first(events, READY)
    if ready and kind in (K.READY_FOR_DISCHARGE, K.READINESS_WITHDRAWN):
        estimate = ready.estimate
    else:
        estimate = bool(main and main.estimate)
    expected = _first(events, EXPECTED)
    admitted = _first(events, ADMITTED)
    texts = tuple(text for event in events for text in event.texts)
    notice = Notice(
        kind=kind,
        message_id=envelope.message_id,
        sent_at=envelope.sent_at,
        occurred=occurred(kind, main.at if main else None, envelope.sent_at, zone),
        sender=envelope.sender.token,
        receivers=tuple(receiver.token for receiver in envelope.receivers),
        hospital=None if envelope.type == "LOG_DOD" else envelope.sender.token,
        admitted=admitted.at if admitted and kind is not K.ADMITTED else None,
        ready=ready.at if ready else None,
        estimate=estimate,
        planned_discharge=local_date(expected.at, zone) if expected and expected.at else None,
        standing=standing,
        refers_to=envelope.refers_to,
        reserved=reserved,
        text="\n".join(texts) or None,
    )
    return Told(
        notice=notice,
        responsible=heading.read_responsible(payload.one(po + "AnsvarForRapport"), po),
        unit=heading.read_unit(payload.one(po + "TilknyttetEnhet"), po, losses),
        discharged_to=discharged_to,
        losses=tuple(losses),
    )


def occurred(kind: NoticeKind, at: Moment | None, sent_at: datetime, zone: tzinfo) -> Moment:
    """When it happened: the event's own time.

    A ready notice may announce a day to come; what has happened by then is the announcement, so it is
    ordered by its sending (process.md 15). The sending also stands in for a time that is missing.
    """
    if at is None:
        return sent_at
    if kind is K.READY_FOR_DISCHARGE and local_date(at, zone) > local_date(sent_at, zone):
        return sent_at
    return at


def _message_element(payload: Node | None, message_type: str) -> tuple[Node, str]:
    """The element that tells the event, and the namespace prefix of its components."""
    expected = TYPES[message_type]["element"]
    named = type_named(message_type)
    if payload is None:
        reason = phrase(
            "{named} has no payload; {expected} is expected in Pasientlogistikk",
            named=named,
            expected=expected,
        )
        raise Refused(reason, code="T02")
    known = [e["payload"] for e in _FORMATS.values()]
    entry = next((e for e in _FORMATS.values() if e["payload"] == payload.namespace), None)
    if entry is None or payload.name != "Pasientlogistikk":
        reason = phrase(
            "{named} goes with Pasientlogistikk in {namespaces}; the payload is another",
            named=named,
            namespaces=either(known),
        )
        raise Refused(reason, code="T02")
    found = payload.one(f"{{{entry['payload']}}}{expected}")
    if found is None:
        others = [t["element"] for t in TYPES.values()]
        there = next((n.name for n in payload.children() if n.name in others), None)
        reason = phrase(
            "{named} goes with {expected}, but the payload holds {there}",
            named=named,
            expected=expected,
            there=there or phrase("none of the five messages"),
        )
        raise Refused(reason, code="T02")
    return found, f"{{{entry['components']}}}"


def _events(told: Node, po: str, message_type: str, zone: tzinfo) -> list[Event]:
    nodes = told.all(po + "TidsfestetHendelse")
    if not nodes:
        reason = phrase(
            "{element} has no TidsfestetHendelse of its own version of PLO",
            element=TYPES[message_type]["element"],
        )
        raise Refused(reason, code="T02")
    return [_event(node, po, zone) for node in nodes]


def _event(node: Node, po: str, zone: tzinfo) -> Event:
    written = node.code(po + "TidspunktForHendelse")
    at = moment(written, zone)
    if at is None and not re.fullmatch(r"\d{4}(-\d\d)?|\d\d:\d\d:\d\d(\.\d+)?", written or ""):
        reason = phrase("TidspunktForHendelse is missing or is no date or time; correct it")
        raise Refused(reason, code="T02")
    texts = (node.text(po + "BeskrivelseAvHendelse"), node.text(po + "Merknad"))
    return Event(
        code=node.code(po + "Hendelsekode"),
        at=at,
        estimate=node.true(po + "Anslag"),
        texts=tuple(text for text in texts if text),
    )


def _first(events: list[Event], code: str) -> Event | None:
    return next((event for event in events if event.code == code), None)


def _main_event(events: list[Event], message_type: str, losses: list[Phrase]) -> Event | None:
    """The event that the message is about; a single one without a known code can be no other."""
    wanted = TYPES[message_type]["event"]
    codes = [event.code for event in events]
    if any(code is not None and code not in LOGISTICS["events"] for code in codes):
        losses.append(phrase("TidsfestetHendelse/Hendelsekode (list 9121) has a code that is not known"))
    if any(code in LOGISTICS["events"] and codes.count(code) > 1 for code in codes):
        losses.append(
            phrase(
                "TidsfestetHendelse/Hendelsekode (list 9121) comes twice with the same code; the first one"
                " counts"
            )
        )
    main = _first(events, wanted)
    if main is None and len(events) == 1 and codes[0] not in LOGISTICS["events"]:
        main = events[0]
    if main is None:
        losses.append(
            phrase(
                "no event {code} ({name}); the time of sending stands for it",
                code=wanted,
                name=LOGISTICS["events"][wanted],
            )
        )
    elif main.at is None:
        losses.append(phrase("TidspunktForHendelse is no date; the time of sending stands for it"))
    if any(event.at is None for event in events if event is not main):
        losses.append(phrase("TidspunktForHendelse of an event that the message is not about is no date"))
    if any(code is None for code in codes) and len(events) > 1:
        losses.append(
            phrase("TidsfestetHendelse/Hendelsekode (list 9121) is missing in one of several events")
        )
    used = {wanted, READY} if wanted in (READY, WITHDRAWN) else {wanted}
    if any(event.estimate and event.code not in used | {EXPECTED} for event in events if event is not main):
        losses.append(phrase("Anslag of an event that the message is not about"))
    return main


def _discharged_to(
    node: Node | None, po: str, losses: list[Phrase]
) -> tuple[bool, tuple[str, str, str] | None]:
    """Whether the patient died (list 8431), and where the patient goes (list 8408).

    An unknown state is no death, unless its own text plainly says so: a death that is none would stop the
    care of a living person.
    """
    if node is None:
        return False, None
    state, said = node.code(po + "Uttilstand"), node.display(po + "Uttilstand") or ""
    dead = bool(_DEAD.search(said)) and not _NOT_DEAD.search(said)
    if state in LOGISTICS["discharge-state"]:
        dead = LOGISTICS["discharge-state"][state]["dead"]
    elif state or said:
        losses.append(phrase("UtskrevetTil/Uttilstand is not a code of list 8431; its text decided"))
    if dead:
        losses.append(phrase("UtskrevetTil/Uttilstand: nothing but the death itself is kept"))
    code, name = node.code(po + "UtTil"), node.display(po + "UtTil")
    if code is None:
        if name:
            losses.append(phrase("UtskrevetTil/UtTil has no code of list 8408"))
        return dead, None
    return dead, (DISCHARGED_TO, code, name or LOGISTICS["discharged-to"].get(code, code))


# --- writing ----------------------------------------------------------------------------------------------


def write(bundle: Bundle, *, dialect: str, sender: Address) -> Payload:
    """The payload that tells the notice. Raises CannotWrite where Pasientlogistikk has no form for it."""
    notice = notice_in(bundle, zone=OSLO)
    message_type = _type_of(notice)
    entry, losses = _FORMATS[dialect], _without_place(notice, bundle)
    p1, po = f"{{{entry['payload']}}}", f"{{{entry['components']}}}"
    root = new(p1 + "Pasientlogistikk", {"p1": p1[1:-1], None: po[1:-1], "fk1": FK[1:-1]})
    heading.write_sending(root, po, notice)
    heading.write_unit(root, po, bundle, sender, losses)
    heading.write_responsible(root, po, clinician_in(bundle), message_type, losses)
    told = add(root, p1 + TYPES[message_type]["element"])
    if message_type == "LOG_UTSKREVET":
        _write_discharged_to(told, po, bundle, notice, losses)
    for code, at, estimate in _events_of(notice, message_type, dialect, losses):
        event = add(told, po + "TidsfestetHendelse")
        add(event, po + "Hendelsekode", V=code, DN=LOGISTICS["events"][code], S=OID + "9121")
        add(event, po + "TidspunktForHendelse", V=local_text(at))
        add(event, po + "Anslag", "true" if estimate else "false")
    return Payload(message_type=message_type, notice=notice, element=root, losses=tuple(losses))


def _type_of(notice: Notice) -> str:
    """The message type of a notice; a death in hospital is a discharge (process.md 9)."""
    if notice.kind is K.DECEASED:
        return "LOG_UTSKREVET" if notice.hospital else "LOG_DOD"
    return next(name for name, entry in TYPES.items() if entry["kind"] == notice.kind.value)


def _events_of(
    notice: Notice, message_type: str, dialect: str, losses: list[Phrase]
) -> list[tuple[str, Moment, bool]]:
    """The events that HIS 1149 asks for: code, time, whether it is an estimate."""
    main = TYPES[message_type]["event"]
    events: list[tuple[str, Moment, bool]] = []
    several = main in (READY, WITHDRAWN)
    if several and notice.admitted is not None:
        events.append((ADMITTED, notice.admitted, False))
    elif main == READY:
        losses.append(
            phrase(
                "{type} shall hold event 1 (admitted), and the notice does not say when", type=message_type
            )
        )
    elif main not in (ADMITTED, WITHDRAWN) and notice.admitted is not None:
        losses.append(phrase("the time of admission has no place in {type}", type=message_type))
    if several:
        events += _ready_events(notice, main, losses)
    else:
        events.append((main, notice.occurred, notice.estimate))
    if main == ADMITTED and not isinstance(notice.occurred, datetime):
        losses.append(phrase("LOG_INNLAGT shall hold the time of day, and the notice gives the date only"))
    if main == WITHDRAWN:
        events.append((WITHDRAWN, notice.occurred, notice.estimate and notice.ready is None))
    if notice.planned_discharge is not None:
        if several and dialect != "plo-1.5":
            events.append((EXPECTED, notice.planned_discharge, True))
        else:
            losses.append(
                phrase(
                    "the planned date of discharge has no place in {type} of {dialect}",
                    type=message_type,
                    dialect=dialect,
                )
            )
    return events


def _ready_events(notice: Notice, main: str, losses: list[Phrase]) -> list[tuple[str, Moment, bool]]:
    """Event 3; an expected day is always written as a date (HIS 1149)."""
    ready = notice.ready if notice.ready is not None or main == WITHDRAWN else notice.occurred
    if ready is None:
        return []
    if notice.estimate and isinstance(ready, datetime):
        losses.append(phrase("the time of day of an expected readiness: it is written as a date"))
        ready = local_date(ready, OSLO)
    if main == READY and not _same(occurred(notice.kind, ready, notice.sent_at, OSLO), notice.occurred):
        losses.append(phrase("when the readiness was decided: event 3 says from when the patient is ready"))
    return [(READY, ready, notice.estimate)]


def _same(one: Moment, other: Moment) -> bool:
    """Whether two moments are written alike."""
    if isinstance(one, datetime) and isinstance(other, datetime):
        return abs(one - other) < timedelta(seconds=1)
    return local_date(one, OSLO) == local_date(other, OSLO)


def _write_discharged_to(
    told: etree._Element, po: str, bundle: Bundle, notice: Notice, losses: list[Phrase]
) -> None:
    to = add(told, po + "UtskrevetTil")
    state = "2" if notice.kind is K.DECEASED else "1"
    add(to, po + "Uttilstand", V=state, DN=LOGISTICS["discharge-state"][state]["name"], S=OID + "8431")
    code, name = _place(bundle)
    if code is None:
        code, name = "98", LOGISTICS["discharged-to"]["98"]
        losses.append(
            phrase("LOG_UTSKREVET must say where the patient goes (list 8408); 98, unknown, was written")
        )
    add(to, po + "UtTil", V=code, DN=name, S=OID + "8408")


def _place(bundle: Bundle) -> tuple[str | None, str | None]:
    """The code of list 8408 for where the patient goes, with its name."""
    stay = of_type(bundle, "Encounter") or {}
    disposition = (stay.get("hospitalization") or {}).get("dischargeDisposition") or {}
    for coding in disposition.get("coding") or ():
        code = coding.get("code")
        if coding.get("system") == DISPOSITION:
            code = LOGISTICS["disposition"].get(code)
        elif coding.get("system") != DISCHARGED_TO:
            continue
        if code:
            return str(code), LOGISTICS["discharged-to"].get(code) or coding.get("display")
    return None, None


def _without_place(notice: Notice, bundle: Bundle) -> list[Phrase]:
    """What the notice or the Bundle says and Pasientlogistikk has no place for, or must not carry."""
    said: dict[Phrase, Any] = {
        phrase("the identifier of the stay"): notice.encounter,
        phrase("the episode of care"): notice.episode,
        phrase("the need for a SIP"): notice.sip_needed,
        phrase("that the stay is psychiatric"): notice.psychiatric,
        phrase("whether the admission was acute"): notice.acute is not None,
        phrase("whether open care is available"): notice.open_care_available is not None,
        phrase("the free text: Pasientlogistikk holds no health information"): notice.text,
    }
    losses = [sentence for sentence, there in said.items() if there]
    if notice.kind not in (K.READY_FOR_DISCHARGE, K.READINESS_WITHDRAWN) and notice.ready is not None:
        losses.append(phrase("from when the patient was ready"))
    others = {str(r.get("resourceType")) for r in resources(bundle)} - _OWN_RESOURCES
    losses += [
        phrase("{resource}: Pasientlogistikk holds no health information", resource=name)
        for name in sorted(others)
    ]
    return losses
