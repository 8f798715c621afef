"""A resource in one line of plain text, for the narrative of a document's section.

What it is, what was found or is to be taken, when, how it stands, and what somebody has noted: the words that
the resource itself has, not translated. Never an identifier, an address or a telephone number.
"""

from collections.abc import Callable, Iterator
from typing import Any

from adapter.fhir.bundles import Resource
from adapter.fhir.notices import plain_text

Lookup = Callable[[Resource], Resource | None]
"""The resource that a Reference leads to, if it is there."""

_NAMED = (
    "code", "medicationCodeableConcept", "medicationReference", "vaccineCode", "description", "title", "type",
    "serviceType", "appointmentType", "name", "device", "deviceName",
    "relationship", "category",
)  # fmt: skip
"""Where a resource says what it is, in this order."""

_LEADING = ("medicationReference", "device")

_TIMES = (
    "effectiveDateTime", "effectivePeriod", "effectiveInstant", "performedDateTime", "performedPeriod",
    "occurrenceDateTime", "occurrencePeriod", "onsetDateTime", "onsetPeriod", "onsetString", "start",
    "period", "executionPeriod", "whenHandedOver", "lastOccurrence", "timingDateTime", "authored", "date",
    "sent",
)  # fmt: skip
_STANDS = ("clinicalStatus", "lifecycleStatus", "status")
_UNSAID = frozenset(("final", "current", "active", "completed", "unknown"))


_YES_NO = {"en": ("yes", "no"), "nb": ("ja", "nei"), "nn": ("ja", "nei"), "sv": ("ja", "nej")}


def told(resource: Resource, lookup: Lookup, language: str = "en") -> str:
    """One line; what it is comes first, the rest apart by dashes. Its type, where it says nothing at all.

    `language` is that of the only words of ours: yes and no.
    """
    said = [_what(resource, lookup), *_found(resource, _YES_NO[language]), *_dosages(resource)]
    said += [*_times(resource), *_standing(resource), *_notes(resource), *_own_words(resource)]
    parts = dict.fromkeys(part for part in (" ".join(one.split()) for one in said) if part)
    return " – ".join(parts) or str(resource["resourceType"])


def text_of(concept: Any) -> str:
    """A CodeableConcept, a Coding, or a plain string as text: the text, else the displays, else the codes."""
    if isinstance(concept, str):
        return concept
    if isinstance(concept, list):
        return ", ".join(text for text in map(text_of, concept) if text)
    if not isinstance(concept, dict):
        return ""
    own = concept.get("text") or concept.get("display") or concept.get("name")
    if isinstance(own, str):
        return own
    coded = [c.get("display") or c.get("code") or "" for c in concept.get("coding") or ()]
    return next((text for text in coded if text), str(concept.get("code") or ""))


def _what(resource: Resource, lookup: Lookup) -> str:
    for name in _NAMED:
        found = resource.get(name)
        if found is None or (name == "name" and resource["resourceType"] in ("Patient", "RelatedPerson")):
            continue
        text = _led(found, resource, lookup) if name in _LEADING else text_of(found)
        if text:
            return text
    return ""


def _led(ref: Resource, resource: Resource, lookup: Lookup) -> str:
    inside = (one for one in resource.get("contained") or () if f"#{one.get('id')}" == ref.get("reference"))
    there = next(inside, None) or lookup(ref)
    said = there or {}
    return text_of(said.get("code")) or text_of(said.get("deviceName")) or str(ref.get("display") or "")


def _found(resource: Resource, yes_no: tuple[str, str]) -> Iterator[str]:
    """Values of an Observation and its components, reactions, answers, targets, conclusions."""
    yield _value(resource, yes_no)
    for part in resource.get("component") or ():
        yield f"{text_of(part.get('code'))}: {_value(part, yes_no)}"
    if resource["resourceType"] == "FamilyMemberHistory":
        yield from (text_of(one.get("code")) for one in resource.get("condition") or ())
    for reaction in resource.get("reaction") or ():
        yield text_of(reaction.get("manifestation"))
    yield from _answers(resource.get("item") or (), yes_no)
    for target in resource.get("target") or () if resource["resourceType"] == "Goal" else ():
        yield str(target.get("dueDate") or "")
    yield from (str(resource.get(name) or "") for name in ("conclusion", "summary"))
    stay = resource.get("hospitalization") or {}
    yield text_of(stay.get("dischargeDisposition"))
    yield text_of(resource.get("reasonCode")) if resource["resourceType"] == "Encounter" else ""
    for content in resource.get("content") or ():
        yield str((content.get("attachment") or {}).get("title") or "")


def _answers(items: Any, yes_no: tuple[str, str]) -> Iterator[str]:
    for item in items:
        given = ", ".join(filter(None, (_value(one, yes_no) for one in item.get("answer") or ())))
        if given:
            yield f"{item.get('text') or item.get('linkId')}: {given}"
        yield from _answers(item.get("item") or (), yes_no)


def _value(part: Resource, yes_no: tuple[str, str]) -> str:
    for name, value in part.items():
        if not name.startswith("value"):
            continue
        if name == "valueQuantity":
            return _quantity(value)
        if isinstance(value, bool):
            return yes_no[0] if value else yes_no[1]
        if name in ("valueCodeableConcept", "valueCoding"):
            return text_of(value)
        if isinstance(value, dict):
            return _period(value)
        return str(value)
    return text_of(part.get("dataAbsentReason"))


def _quantity(value: Resource) -> str:
    unit = value.get("unit") or value.get("code") or ""
    return f"{value.get('comparator', '')}{value.get('value', '')} {unit}".strip()


def _dosages(resource: Resource) -> Iterator[str]:
    for name in ("dosage", "dosageInstruction"):
        found = resource.get(name)
        for dosage in found if isinstance(found, list) else [found] if found else []:
            yield str(dosage.get("text") or dosage.get("patientInstruction") or _dose(dosage))


def _dose(dosage: Resource) -> str:
    """`20 mg, 2 × / 1 d, oral` of a dosage that has no words of its own."""
    amounts = [_quantity(rate["doseQuantity"]) for rate in _rates(dosage)]
    timing = dosage.get("timing") or {}
    repeat = timing.get("repeat") or {}
    often = text_of(timing.get("code"))
    if not often and "frequency" in repeat:
        often = f"{repeat['frequency']} × / {repeat.get('period', 1)} {repeat.get('periodUnit', '')}".strip()
    return ", ".join(part for part in (*amounts, often, text_of(dosage.get("route"))) if part)


def _rates(dosage: Resource) -> Iterator[Resource]:
    return (rate for rate in dosage.get("doseAndRate") or () if "doseQuantity" in rate)


def _times(resource: Resource) -> Iterator[str]:
    for name in _TIMES:
        value = resource.get(name)
        if value is not None:
            yield _period(value) if isinstance(value, dict) else str(value)
            return


def _period(value: Resource) -> str:
    if "start" not in value and "end" not in value:
        return ""
    return f"{value.get('start', '')} / {value.get('end', '')}".removesuffix(" / ")


def _standing(resource: Resource) -> Iterator[str]:
    for name in _STANDS:
        said = text_of(resource.get(name))
        if said:
            yield "" if said in _UNSAID else said
            return


def _notes(resource: Resource) -> Iterator[str]:
    for note in resource.get("note") or ():
        yield str(note.get("text") or "")
    for name in ("patientInstruction", "comment"):
        yield str(resource.get(name) or "")
    for payload in resource.get("payload") or ():
        yield str(payload.get("contentString") or "")


def _own_words(resource: Resource) -> Iterator[str]:
    """What somebody has written, also in a report's sections; generated narrative repeats the elements."""
    report = resource["resourceType"] == "Composition"
    if report or (resource.get("text") or {}).get("status") == "additional":
        yield plain_text(resource) or ""
    yield from _of_sections((resource.get("section") or ()) if report else ())


def _of_sections(found: Any) -> Iterator[str]:
    for section in found:
        words = plain_text(section)
        yield f"{section.get('title') or text_of(section.get('code'))}: {words}" if words else ""
        yield from _of_sections(section.get("section") or ())
