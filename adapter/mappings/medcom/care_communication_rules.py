"""The invariants of CareCommunication 5.0.2, each under its own name; 10 and 14 are in no published version.

As in `profiles`: the sentence of the invariant counts, and a comment tells where its FHIRPath does otherwise.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from adapter.fhir.bundles import Resource
from adapter.mappings.medcom.findings import ERROR, Broken, Message, Placed, extensions, values
from adapter.phrases import Phrase, phrase

CORE = "http://medcomfhir.dk/ig/core/StructureDefinition/"
DATE = f"{CORE}medcom-core-datetime-extension"
AUTHOR = f"{CORE}medcom-core-practitioner-extension"
CONTACT = f"{CORE}medcom-core-contact-extension"
IDENTIFIER = f"{CORE}medcom-core-identifier-extension"
SENDER = f"{CORE}medcom-core-sender-extension"

DEFINITION = (
    "http://medcomfhir.dk/ig/messagedefinitions/MessageDefinition/MedComCareCommunicationMessageDefinition|5."
)

_MINOR = re.compile(r"[0-9]{1,2}", re.ASCII)
_UUID_URN = re.compile(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_REQUIRED = "MSG_RESOURCE_REQUIRED"
_NOT_ALLOWED = "MSG_RESOURCE_NOT_ALLOWED"
_SEGMENT = {"date": DATE, "identifier": IDENTIFIER}
_WRITTEN = {"author": AUTHOR, "authorContact": CONTACT}


def broken(looked_at: Message) -> Iterator[Broken]:
    """Every invariant of a CareCommunication that the message breaks."""
    for rule in _RULES:
        yield from rule(looked_at)


def _header(looked_at: Message) -> Iterator[Broken]:
    # theirs asks for a meta.profile, which only says what a sender believes of its message
    name, here = "medcom-careCommunication-1", "Bundle.entry[0].resource"
    for reference in values(looked_at.head, "focus"):
        if looked_at.led_to(reference, "Communication") is None:
            text = phrase("MessageHeader.focus leads to no Communication of the Bundle")
            yield _error(name, text, f"{here}.focus", "MSG_NO_MATCH")
    uses = values(looked_at.head, "destination.extension.valueCoding.code")
    if "cc" in uses:
        text = phrase("there is a copy receiver; only a primary one may be")
        yield _error(name, text, f"{here}.destination", _NOT_ALLOWED)


def _definition(looked_at: Message) -> Iterator[Broken]:
    # in theirs the bar is not escaped, and means `or`: any address of the definition passes
    name, here = "medcom-carecommunication-definition-url", "Bundle.entry[0].resource.definition"
    found = looked_at.head.get("definition")
    if found is None:
        text = phrase(
            "MessageHeader.definition is missing; version 5 has {definition} and its minor version",
            definition=DEFINITION,
        )
        yield _error(name, text, here, "MSG_RECEIVER_UNABLE_TO_RECEIVE_MSG_TYPE")
    elif not isinstance(found, str) or not _is_version_5(found):
        text = phrase(
            "MessageHeader.definition is not {definition} and a minor version; this address reads version 5",
            definition=DEFINITION,
        )
        yield _error(name, text, here, "MSG_RECEIVER_UNABLE_TO_RECEIVE_MSG_TYPE")


def _is_version_5(definition: str) -> bool:
    return definition.startswith(DEFINITION) and bool(_MINOR.fullmatch(definition[len(DEFINITION) :]))


def _one_patient(looked_at: Message) -> Iterator[Broken]:
    # theirs asks whether entries are of type Patient, which none is
    count = sum(1 for _ in looked_at.every("Patient"))
    if count != 1:
        text = phrase("there are {number} Patient resources; there shall be exactly one", number=count)
        code = _REQUIRED if count == 0 else _NOT_ALLOWED
        yield _error("medcom-careCommunication-2", text, "Bundle.entry", code)


def _sources(looked_at: Message) -> Iterator[Broken]:
    """Every Provenance names the segments that its message brought."""
    # theirs asks for a meta.profile; this is what that profile demands beside the activity
    for placed in looked_at.every("Provenance"):
        entities = [e for e in values(placed.resource, "entity") if isinstance(e, dict)]
        sources = [e for e in entities if e.get("role") == "source"]
        if not any(values(e, "what.identifier.value") for e in sources):
            text = phrase("Provenance.entity names no message segment (role source, what.identifier)")
            yield _error("medcom-careCommunication-3", text, f"{placed.path}.entity", _REQUIRED)


def _named(looked_at: Message) -> Iterator[Broken]:
    # theirs is content with one Practitioner that has a name, and is false where there is none at all
    for placed in looked_at.every("PractitionerRole"):
        person = _person_of(looked_at, placed.resource)
        if person is not None and not _has_names(person):
            text = phrase("the Practitioner of a PractitionerRole has no given and family name")
            yield _error("medcom-careCommunication-4", text, f"{placed.path}.practitioner", _REQUIRED)


def _priority(looked_at: Message) -> Iterator[Broken]:
    # theirs lets every priority pass where one of several categories is another
    for placed in looked_at.every("Communication"):
        others = "regarding-referral" not in _categories(placed)
        if others and "priority" in placed.resource:
            text = phrase(
                "Communication.priority is there, and the category is another than regarding-referral"
            )
            yield _error("medcom-careCommunication-5", text, f"{placed.path}.priority", _NOT_ALLOWED)


def _topic(looked_at: Message) -> Iterator[Broken]:
    for placed in looked_at.every("Communication"):
        wanted = "other" in _categories(placed) or "topic" in placed.resource
        if wanted and not values(placed.resource, "topic.text"):
            text = phrase("Communication.topic has no text, and the category is other, or a topic is there")
            yield _error("medcom-careCommunication-6", text, f"{placed.path}.topic", _REQUIRED)


def _role(looked_at: Message) -> Iterator[Broken]:
    # theirs takes code.coding.code and code.text of all authors together
    for path, role in _authors(looked_at):
        said = [bool(values(role, "code.coding.code")), bool(values(role, "code.text"))]
        if said.count(True) != 1:
            text = phrase("the author of a segment has no role, or has it twice: a code or a text")
            yield _error("medcom-careCommunication-7", text, path, _REQUIRED)


def _author_named(looked_at: Message) -> Iterator[Broken]:
    # theirs resolves the values of all extensions, and is true where any of them has a name
    for path, role in _authors(looked_at):
        person = _person_of(looked_at, role)
        if person is None or not values(person, "name"):
            text = phrase("the author of a segment leads to no Practitioner with a name")
            yield _error("medcom-careCommunication-8", text, path, _REQUIRED)


def _episode(looked_at: Message) -> Iterator[Broken]:
    for placed in looked_at.every("Encounter"):
        if not values(placed.resource, "episodeOfCare.identifier"):
            text = phrase("an Encounter is there without episodeOfCare.identifier")
            yield _error("medcom-careCommunication-9", text, f"{placed.path}.episodeOfCare", _REQUIRED)


def _sender_belongs(looked_at: Message) -> Iterator[Broken]:
    # theirs looks at every extension, and is false where an author's contact is told
    for placed in looked_at.every("Communication"):
        told = [values(e, "valueReference") for e in extensions(placed.resource, SENDER)]
        people = [ref for refs in told for ref in refs]
        if people and not _of_party(looked_at, people, values(looked_at.head, "sender")):
            text = phrase("the sender in person belongs to another organisation than MessageHeader.sender")
            yield _error("medcom-careCommunication-11", text, f"{placed.path}.extension", "MSG_NO_MATCH")


def _recipient_belongs(looked_at: Message) -> Iterator[Broken]:
    for placed in looked_at.every("Communication"):
        people = values(placed.resource, "recipient")
        if people and not _of_party(looked_at, people, values(looked_at.head, "destination.receiver")):
            text = phrase(
                "the recipient belongs to another organisation than MessageHeader.destination.receiver"
            )
            yield _error("medcom-careCommunication-12", text, f"{placed.path}.recipient", "MSG_NO_MATCH")


def _role_of_somebody(looked_at: Message) -> Iterator[Broken]:
    # theirs is content with one PractitionerRole that leads to a Practitioner
    for placed in looked_at.every("PractitionerRole"):
        if _person_of(looked_at, placed.resource) is None:
            text = phrase("a PractitionerRole leads to no Practitioner of the Bundle")
            yield _error("medcom-careCommunication-13", text, f"{placed.path}.practitioner", _REQUIRED)


def _stay(looked_at: Message) -> Iterator[Broken]:
    # theirs compares Communication.encounter with itself
    there = next(looked_at.every("Encounter"), None) is not None
    for placed in looked_at.every("Communication"):
        led = [looked_at.led_to(ref, "Encounter") for ref in values(placed.resource, "encounter")]
        if there and None in (led or [None]):
            text = phrase("an Encounter is there, and Communication.encounter does not lead to it")
            yield _error("medcom-careCommunication-15", text, f"{placed.path}.encounter", _REQUIRED)
        elif led and not there:
            text = phrase("Communication.encounter is there, and no Encounter")
            yield _error("medcom-careCommunication-15", text, f"{placed.path}.encounter", _NOT_ALLOWED)


def _ids(looked_at: Message) -> Iterator[Broken]:
    """Threads and segments are known by UUIDs, of any version: the pattern asks for the shape alone."""
    for placed in looked_at.every("Communication"):
        found = [(f"{placed.path}.identifier", v) for v in values(placed.resource, "identifier.value")]
        for number, payload in _payloads(placed):
            for extension in extensions(payload, IDENTIFIER):
                path = f"{placed.path}.payload[{number}]"
                found += [(path, value) for value in values(extension, "valueIdentifier.value")]
        for path, value in found:
            if not isinstance(value, str) or not _UUID_URN.fullmatch(value):
                text = phrase("the id of a thread or segment is not urn:uuid: and a UUID")
                yield _error("medcom-uuidv4", text, path, "MSG_ID_INVALID")


def _segments(looked_at: Message) -> Iterator[Broken]:
    """Each segment has its time and its id once; one of words its author and whom to call as well."""
    for placed in looked_at.every("Communication"):
        for number, payload in _payloads(placed):
            wanted = _SEGMENT | (_WRITTEN if "contentString" in payload else {})
            path = f"{placed.path}.payload[{number}].extension"
            for name, url in wanted.items():
                if len(extensions(payload, url)) != 1:
                    text = phrase(
                        "Communication.payload has no {extension}, or more than one", extension=name
                    )
                    yield _error("medcom-careCommunication-communication", text, path, _REQUIRED)
            attachment = payload.get("contentAttachment")
            if isinstance(attachment, dict) and "title" not in attachment:
                element = "Communication.payload.contentAttachment.title"
                text = phrase("{element} is missing", element=element)
                yield _error("medcom-careCommunication-communication", text, path, _REQUIRED)


# --- what the rules ask -----------------------------------------------------------------------------------


def _payloads(placed: Placed) -> Iterator[tuple[int, Resource]]:
    for number, payload in enumerate(values(placed.resource, "payload")):
        if isinstance(payload, dict):
            yield number, payload


def _categories(placed: Placed) -> list[Any]:
    return values(placed.resource, "category.coding.code")


def _authors(looked_at: Message) -> Iterator[tuple[str, Resource]]:
    """The PractitionerRole of each segment that names its author."""
    for placed in looked_at.every("Communication"):
        for number, payload in _payloads(placed):
            for extension in extensions(payload, AUTHOR):
                role = looked_at.led_to(extension.get("valueReference"), "PractitionerRole")
                yield f"{placed.path}.payload[{number}]", role or {}


def _person_of(looked_at: Message, role: Resource) -> Resource | None:
    return looked_at.led_to(role.get("practitioner"), "Practitioner")


def _has_names(person: Resource) -> bool:
    return bool(values(person, "name.family") and values(person, "name.given"))


def _of_party(looked_at: Message, people: list[Any], parties: list[Any]) -> bool:
    """Whether somebody of `people` belongs to one of the organisations."""
    wanted = [looked_at.led_to(ref, "Organization") for ref in parties]
    for ref in people:
        person = looked_at.led_to(ref, "PractitionerRole", "CareTeam") or {}
        for element in ("organization", "managingOrganization"):
            for place in values(person, element):
                if (found := looked_at.led_to(place, "Organization")) is not None and found in wanted:
                    return True
    return False


def _error(name: str, text: Phrase, path: str, code: str) -> Broken:
    return Broken(name=name, severity=ERROR, text=text, path=path, code=code)


_RULES: tuple[Callable[[Message], Iterator[Broken]], ...] = (
    _header, _definition, _one_patient, _sources, _named, _priority, _topic, _role, _author_named, _episode,
    _sender_belongs, _recipient_belongs, _role_of_somebody, _stay, _ids, _segments,
)  # fmt: skip
