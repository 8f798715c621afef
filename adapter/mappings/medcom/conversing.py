"""CareCommunication 5.0 written: given back as it came, or made from a notice of another standard.

Made anew, a message begins a thread, or goes on with that of the message which it answers, and carries all of
it: every segment so far, without the files that were sent before (governance for CareCommunication, rule 6),
and the Provenance of each message. What a Danish receiver must know and no FHIR message of MedCom's says, as
that a patient is ready, stands in a fixed sentence (`sentences`).
"""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC
from typing import Any

from adapter.discharge.notices import Notice, NoticeKind, Standing
from adapter.errors import CannotWrite
from adapter.fhir import wire
from adapter.fhir.bundles import (
    CPR,
    Bundle,
    Resource,
    address_of,
    follow,
    header,
    identifiers,
    instant_text,
    of_type,
)
from adapter.fhir.notices import clinician_in, notice_in, subject_in
from adapter.fhir.parts import CLASS_SYSTEM
from adapter.fhir.references import led_to, names_of
from adapter.mappings import Addressing, Written
from adapter.mappings.medcom import profiles, sentences, words
from adapter.mappings.medcom.care_communication import (
    NEW,
    REPLY,
    communication_in,
    made_ids,
    segments,
    thread_in,
)
from adapter.mappings.medcom.care_communication_rules import AUTHOR, CONTACT, DATE, DEFINITION, IDENTIFIER
from adapter.mappings.medcom.findings import values
from adapter.mappings.medcom.giving_back import came_from_medcom, given_back, without_ours
from adapter.mappings.medcom.header import (
    SOR_ADDRESS,
    destination,
    endpoint_of,
    entry,
    event,
    event_of,
    generated,
    meta,
    organization,
    relative,
    sor_of,
)
from adapter.mappings.medcom.history import provenance
from adapter.mappings.medcom.words import code_system, table
from adapter.messaging.envelope import Address
from adapter.phrases import Code, Phrase, phrase

K = NoticeKind

WRITTEN = frozenset(
    (K.NOTE, K.ENQUIRY, K.REPLY, K.ANSWER, K.READY_FOR_DISCHARGE, K.READINESS_WITHDRAWN, K.PLANNED_DISCHARGE)
)
"""The kinds that are written as a CareCommunication."""

_NAMESPACE = uuid.UUID("8b7e4a90-2f1d-5c6b-a3e8-0d9c5f7b1e24")
_CATEGORIES = "medcom-careCommunication-categoryCodes"
_SOMEBODY = "Medarbejder"  # who writes where no message says it: an employee of the sender
_PEOPLE = ("Organization", "Practitioner", "PractitionerRole")
_PROFILES = {
    "Bundle": ("carecommunication", "medcom-careCommunication-message"),
    "MessageHeader": ("carecommunication", "medcom-careCommunication-messageHeader"),
    "Communication": ("carecommunication", "medcom-careCommunication-communication"),
    "Provenance": ("carecommunication", "medcom-careCommunication-provenance"),
}


def write(bundle: Bundle, addressing: Addressing) -> Written:
    """The notice as a CareCommunication; raises CannotWrite where it cannot be one, with what to do."""
    if came_from_medcom(bundle) and communication_in(bundle):
        made = _given_back(bundle, addressing)
        if profiles.refusal(profiles.broken(made)) is None:
            return Written(content=wire.to_json(made), content_type=wire.JSON, type=words.CARE_COMMUNICATION)
    losses: list[Phrase] = []
    made = _anew(bundle, addressing, losses)
    content = wire.to_json(made)
    return Written(
        content=content,
        content_type=wire.JSON,
        type=words.CARE_COMMUNICATION,
        losses=tuple(dict.fromkeys(losses)),
    )


# --- given back -------------------------------------------------------------------------------------------


def _given_back(bundle: Bundle, addressing: Addressing) -> Bundle:
    """MedCom's Bundle without what is ours in it, its answered message under the id that its reader knows."""
    head, talk = header(bundle) or {}, communication_in(bundle)
    ours = made_ids(str(head.get("id")))
    kept = []
    for item in bundle["entry"]:
        resource = item["resource"]
        if resource.get("id") in ours:
            continue
        if resource is head:
            resource = head | {"focus": [_led(bundle, talk)]}
        elif resource is talk:
            resource = talk | {"text": _shown(bundle)}
        elif resource["resourceType"] == "Encounter":
            resource = without_ours(resource)
        kept.append(item | {"resource": resource})
    made = given_back(
        bundle | {"entry": kept},
        words.CARE_COMMUNICATION,
        replace(addressing, previous=None),
        profiles=_PROFILES,
    )
    known = thread_in(bundle).refers_to
    if known is None or addressing.refers_to in (None, known):
        return made
    found: Bundle = _renamed(made, f"MessageHeader/{known}", f"MessageHeader/{addressing.refers_to}")
    return found


def _led(bundle: Bundle, resource: Resource) -> Resource:
    """The reference that led to it."""
    focus = (header(bundle) or {}).get("focus") or ()
    return next((ref for ref in focus if follow(bundle, ref) is resource), relative(resource))


def _shown(bundle: Bundle) -> Resource:
    """The narrative of the Communication: what is said in it, the oldest first."""
    return generated("\n".join(one.text for one in segments(bundle) if one.text) or "CareCommunication")


def _renamed(found: Any, old: str, new: str) -> Any:
    if isinstance(found, dict):
        return {
            key: new if key == "reference" and value == old else _renamed(value, old, new)
            for key, value in found.items()
        }
    if isinstance(found, list):
        return [_renamed(item, old, new) for item in found]
    return found


# --- made anew --------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class _Before:
    """The message that is answered, of which the new one carries everything."""

    bundle: Bundle = field(repr=False)
    talk: Resource = field(repr=False)
    message_id: str

    @property
    def people(self) -> list[Resource]:
        """The entries of those who have written, and of their organisations."""
        return [i for i in self.bundle["entry"] if i["resource"]["resourceType"] in _PEOPLE]

    @property
    def history(self) -> list[Resource]:
        return [i for i in self.bundle["entry"] if i["resource"]["resourceType"] == "Provenance"]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Author:
    """Who writes, in a role of the sender's, and where to call."""

    person: Resource
    role: Resource
    telephone: str


def _anew(bundle: Bundle, addressing: Addressing, losses: list[Phrase]) -> Bundle:
    notice = notice_in(bundle, zone=UTC)
    if notice.standing is Standing.CANCELLATION:
        raise CannotWrite(
            phrase(
                "a CareCommunication cannot be taken back by another; tell the receiver by telephone that it"
                " was wrong, or by a message of its own"
            )
        )

    def new_id(role: str) -> str:
        return str(uuid.uuid5(_NAMESPACE, f"{addressing.message_id}/{role}"))

    before = _before(addressing)
    people = before.people if before is not None else []
    sending = _party(people, addressing.sender, new_id("sender"))
    receiving = _party(people, addressing.receiver, new_id("receiver"))
    author = _author(bundle, addressing, sending, losses, new_id)
    patient = _patient(bundle, new_id("patient"))
    stay = _stay(notice, before, addressing, patient, new_id("encounter"))
    said = _said(bundle, notice, losses)
    own = [_segment(part, notice, author, sending, new_id(f"segment-{n}")) for n, part in enumerate(said)]
    talk = _communication(bundle, notice, before, patient, stay, own, new_id)
    head = _header(addressing, sending, receiving, talk)
    step = _provenance(head, notice, before, sending, own, new_id("provenance"))
    parts = [head, patient, talk, *([stay] if stay is not None else [])]
    parts += [author.person, author.role, *_unless_there((sending, receiving), people), step]
    entries = [entry(part) for part in parts[:-1]] + people
    entries += (before.history if before is not None else []) + [entry(parts[-1])]
    losses += _left_out(bundle, notice)
    return {
        "resourceType": "Bundle",
        "id": addressing.transmission_id,
        "meta": meta("carecommunication", "medcom-careCommunication-message"),
        "type": "message",
        "timestamp": instant_text(notice.sent_at),
        "entry": _needed(entries),
    }


def _before(addressing: Addressing) -> _Before | None:
    """The message that is answered, where it is known and is of a thread."""
    if addressing.previous is None or addressing.refers_to is None:
        return None
    bundle = wire.parse_again(addressing.previous)
    head, talk = header(bundle) or {}, communication_in(bundle)
    if event_of(head) != words.CARE_COMMUNICATION or not talk:
        return None
    return _Before(bundle=bundle, talk=talk, message_id=addressing.refers_to)


def _party(people: list[Resource], address: Address, resource_id: str) -> Resource:
    """The Organization at `address`: the one in the thread that is it, else a new one."""
    asked = set(address.identifiers)
    for item in people:
        resource: Resource = item["resource"]
        if resource["resourceType"] == "Organization" and asked & set(address_of(resource).identifiers):
            return resource
    return organization(address, resource_id)


def _unless_there(parties: tuple[Resource, ...], people: list[Resource]) -> list[Resource]:
    return [party for party in parties if all(item["resource"] is not party for item in people)]


def _author(
    bundle: Bundle, addressing: Addressing, sending: Resource, losses: list[Phrase], new_id: Any
) -> _Author:
    """Who answers for the message; each segment says it, with a role and a telephone (rules 7 and 8)."""
    telephone = _telephone(bundle) or addressing.telephone
    if not telephone:
        raise CannotWrite(
            phrase(
                "a CareCommunication says where to call, and {party} has no telephone; give it one in the"
                " region file (telephone)",
                party=addressing.sender.said,
            )
        )
    clinician = clinician_in(bundle)
    family, given = (clinician.family, clinician.given) if clinician is not None else (None, None)
    if not family:
        losses.append(phrase("who writes it: no name is told, so an employee of the sender stands for it"))
        family, given = addressing.sender.name or _SOMEBODY, _SOMEBODY
    person: Resource = {
        "resourceType": "Practitioner",
        "id": new_id("author"),
        "meta": meta("core", "medcom-core-practitioner"),
        "text": generated(f"{given or _SOMEBODY} {family}"),
        "name": [{"family": family, "given": [given or _SOMEBODY]}],
    }
    role: Resource = {
        "resourceType": "PractitionerRole",
        "id": new_id("role"),
        "meta": meta("core", "medcom-core-practitionerrole"),
        "text": generated(_SOMEBODY),
        "practitioner": relative(person),
        "organization": relative(sending),
        "code": [{"text": _role(bundle) or _SOMEBODY}],
    }
    return _Author(person=person, role=role, telephone=telephone)


def _telephone(bundle: Bundle) -> str | None:
    contact = ((header(bundle) or {}).get("source") or {}).get("contact") or {}
    found = contact.get("value") if contact.get("system", "phone") == "phone" else None
    return found if isinstance(found, str) else None


def _role(bundle: Bundle) -> str | None:
    """The profession of who answers for it, where the message has it in words."""
    found = follow(bundle, (header(bundle) or {}).get("responsible")) or {}
    told = [*values(found, "qualification.code.text"), *values(found, "qualification.code.coding.display")]
    return next((text for text in told if isinstance(text, str)), None)


def _patient(bundle: Bundle, resource_id: str) -> Resource:
    """Name and number, which may be a replacement one; nothing else of the person is written."""
    subject = subject_in(bundle)
    if not subject.identifiers or not subject.family:
        raise CannotWrite(
            phrase(
                "a CareCommunication names its patient with a family name and a number; tell the receiver by"
                " telephone, or add what is missing to the Patient"
            )
        )
    numbers = [(s, v.replace("-", "") if s == CPR else v) for s, v in subject.identifiers]
    name: Resource = {"use": "official", "family": subject.family}
    if subject.given:
        name["given"] = [subject.given]
    security = ((of_type(bundle, "Patient") or {}).get("meta") or {}).get("security")
    return {
        "resourceType": "Patient",
        "id": resource_id,
        "meta": meta("core", "medcom-core-patient") | ({"security": security} if security else {}),
        "text": generated(" ".join(filter(None, (subject.given, subject.family)))),
        "identifier": identifiers(tuple(numbers)),
        "name": [name],
    }


def _stay(
    notice: Notice, before: _Before | None, addressing: Addressing, patient: Resource, resource_id: str
) -> Resource | None:
    """The stay by the ids of its episode (D-12): those that the thread has, else the notice's own."""
    known = of_type(before.bundle, "Encounter") if before is not None else None
    episodes = (known or {}).get("episodeOfCare")
    if not episodes and notice.episode is None:
        return None
    system = f"{SOR_ADDRESS}{sor_of(addressing.sender)}"
    return {
        "resourceType": "Encounter",
        "id": resource_id,
        "meta": meta("core", "medcom-core-encounter"),
        "text": generated("Encounter"),
        "status": (known or {}).get("status", "in-progress"),
        "class": (known or {}).get("class", {"system": CLASS_SYSTEM, "code": "IMP"}),
        "subject": relative(patient),
        "episodeOfCare": episodes or [{"identifier": {"system": system, "value": notice.episode}}],
    }


# --- what is said -----------------------------------------------------------------------------------------


def _said(bundle: Bundle, notice: Notice, losses: list[Phrase]) -> list[Resource]:
    """The new segments, without what every segment has: the words first, then files that may be sent."""
    sentence = sentences.sentence(notice) if notice.kind not in (K.NOTE, K.ENQUIRY, K.REPLY) else None
    text = "\n".join(part for part in (sentence, notice.text) if part) or _words(bundle)
    if not text:
        raise CannotWrite(
            phrase(
                "{notice} says nothing in words, and a CareCommunication is words; tell the receiver by"
                " telephone",
                notice=Code("notice", notice.kind.value, notice.kind.value),
            )
        )
    return [{"contentString": text}, *_files(bundle, losses)]


def _words(bundle: Bundle) -> str:
    said = values(communication_in(bundle), "payload.contentString")
    return "\n".join(text for text in said if isinstance(text, str))


def _files(bundle: Bundle, losses: list[Phrase]) -> Iterator[Resource]:
    for found in values(communication_in(bundle), "payload.contentAttachment"):
        attachment = found if isinstance(found, dict) else {}
        if attachment.get("contentType") not in profiles.codes_of("mime-types") or not attachment.get("data"):
            losses.append(
                phrase("a file: CareCommunication takes PDF and pictures, and only in the message itself")
            )
            continue
        kept = {key: attachment[key] for key in ("contentType", "data", "creation") if key in attachment}
        yield {"contentAttachment": kept | {"title": attachment.get("title") or "Bilag"}}


def _segment(said: Resource, notice: Notice, author: _Author, sending: Resource, segment_id: str) -> Resource:
    assigned = {"value": f"urn:uuid:{segment_id}", "assigner": relative(sending)}
    told = (
        {"url": DATE, "valueDateTime": instant_text(notice.sent_at)},
        {"url": IDENTIFIER, "valueIdentifier": assigned},
        {"url": AUTHOR, "valueReference": relative(author.role)},
        {"url": CONTACT, "valueContactPoint": {"system": "phone", "value": author.telephone}},
    )
    return {"extension": list(told), **said}


def _communication(
    bundle: Bundle,
    notice: Notice,
    before: _Before | None,
    patient: Resource,
    stay: Resource | None,
    own: list[Resource],
    new_id: Any,
) -> Resource:
    earlier = [_without_data(p) for p in before.talk.get("payload") or ()] if before is not None else []
    thread = {"value": f"urn:uuid:{new_id('thread')}"}
    made: Resource = {
        "resourceType": "Communication",
        "id": new_id("communication"),
        "meta": meta("carecommunication", "medcom-careCommunication-communication"),
        "text": generated("\n".join(p["contentString"] for p in (*earlier, *own) if "contentString" in p)),
        "identifier": before.talk["identifier"] if before is not None else [thread],
        "status": "unknown",
        "category": before.talk["category"] if before is not None else [_category(bundle, notice)],
    }
    topic = before.talk.get("topic") if before is not None else _topic(bundle)
    if before is not None and "priority" in before.talk:
        made["priority"] = before.talk["priority"]
    made["subject"] = relative(patient)
    if topic:
        made["topic"] = topic
    if stay is not None:
        made["encounter"] = relative(stay)
    return made | {"payload": [*earlier, *own]}


def _without_data(payload: Resource) -> Resource:
    """An earlier segment; of a file that has been sent its id, time and title go along (rule 6)."""
    attachment = payload.get("contentAttachment")
    if not isinstance(attachment, dict) or "data" not in attachment:
        return payload
    kept = {key: value for key, value in attachment.items() if key != "data"}
    return payload | {"contentAttachment": kept}


def _category(bundle: Bundle, notice: Notice) -> Resource:
    """MedCom's category, where the message has one already; else that of the kind."""
    system = code_system(_CATEGORIES)
    for coding in values(communication_in(bundle), "category.coding"):
        if isinstance(coding, dict) and words.is_of(coding.get("system"), _CATEGORIES):
            return {"coding": [{"system": system, "code": coding.get("code")}]}
    return {"coding": [{"system": system, "code": table("talk")["category"][notice.kind.value]}]}


def _topic(bundle: Bundle) -> Resource | None:
    found = next(iter(values(communication_in(bundle), "topic.text")), None)
    return {"text": found} if isinstance(found, str) else None


def _header(addressing: Addressing, sending: Resource, receiving: Resource, talk: Resource) -> Resource:
    return {
        "resourceType": "MessageHeader",
        "id": addressing.message_id,
        "meta": meta("carecommunication", "medcom-careCommunication-messageHeader"),
        "text": generated("CareCommunication"),
        "eventCoding": event(words.CARE_COMMUNICATION),
        "destination": [destination(addressing.receiver, receiving)],
        "sender": relative(sending),
        "source": {"endpoint": endpoint_of(addressing.sender)},
        "focus": [relative(talk)],
        "definition": f"{DEFINITION}0",
    }


def _provenance(
    head: Resource,
    notice: Notice,
    before: _Before | None,
    sending: Resource,
    own: list[Resource],
    resource_id: str,
) -> Resource:
    """The message's own step: a reply to the message that it answers, with the segments that it brings."""
    made = provenance(
        head,
        REPLY if before is not None else NEW,
        at=notice.sent_at,
        agent=sending,
        after=before.message_id if before is not None else None,
        resource_id=resource_id,
    )
    ids = [v for segment in own for v in values(segment, "extension.valueIdentifier.value")]
    brought = [{"role": "source", "what": {"identifier": {"value": value}}} for value in ids]
    return made | {
        "meta": meta("carecommunication", "medcom-careCommunication-provenance"),
        "entity": [*brought, *made.get("entity", ())],
    }


def _needed(entries: list[Resource]) -> list[Resource]:
    """All but the people and organisations of the thread to whom nothing leads any more."""
    while True:
        led = frozenset(led_to(item["resource"] for item in entries))
        kept = [
            item
            for item in entries
            if item["resource"]["resourceType"] not in _PEOPLE or led & frozenset(names_of(item))
        ]
        if len(kept) == len(entries):
            return kept
        entries = kept


def _left_out(bundle: Bundle, notice: Notice) -> list[Phrase]:
    """What the notice says beside, for which a CareCommunication has no place."""
    corrects = notice.standing is Standing.CORRECTION
    reserved = "the patient's reservation against passing it on: tell the receiver in another way"
    told = {
        phrase("that it corrects an earlier message: the receiver gets another one"): corrects,
        phrase("when the patient was admitted"): notice.admitted is not None,
        phrase(reserved): notice.reserved,
        phrase("that a SIP is needed"): notice.sip_needed,
        phrase("where the patient goes"): "hospitalization" in (of_type(bundle, "Encounter") or {}),
        phrase("that it is a question"): notice.kind is K.ENQUIRY,
    }
    return [what for what, is_told in told.items() if is_told]
