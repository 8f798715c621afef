"""The discharge document: what those who take over must know, as one Bundle of type document (R4).

One Composition serves both the European Hospital Discharge Report and PACIO's Transitions of Care: the report
fixes Composition.type (34105-7), PACIO the category (18761-7), and both let other sections stand beside their
own. So it has the union of their sections; what the two name by different codes stands under both. `profile`
leaves one of them out. No profile is claimed in `meta`: both want national profiles of every resource, which
what comes in need not have.

Nothing that is given is lost in silence: what fits no section is listed in the hospital course, and what may
not leave (`allowing`, the list of discharge-report) is named there by type and place.
"""

import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from adapter.discharge.notices import Moment, Notice, NoticeKind
from adapter.errors import Refused
from adapter.fhir.allowing import shown
from adapter.fhir.bundles import Bundle, Resource, instant_text, narrative
from adapter.fhir.notices import message_bundle, subject_in
from adapter.fhir.protecting import is_protected
from adapter.fhir.references import led_to
from adapter.fhir.sections import CARRIED, COURSE, LOINC, OF_A_PLAN, Profile, Section, sections, sections_of
from adapter.fhir.telling import told
from adapter.messaging.envelope import Address
from adapter.phrases import phrase

INFORMATION_RECIPIENT = "http://hl7.eu/fhir/StructureDefinition/information-recipient"
"""HL7 Europe's extension of Composition: for whom the report is written."""

URI_SYSTEM = "urn:ietf:rfc:3986"
_EMPTY = "http://terminology.hl7.org/CodeSystem/list-empty-reason"
_CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"

_TITLE = {
    "en": "Hospital discharge report",
    "nb": "Utskrivningsrapport",
    "nn": "Utskrivingsrapport",
    "sv": "Utskrivningsinformation",
}
_NOTHING = {
    "en": "Nothing is recorded here.",
    "nb": "Det er ikke registrert noe her.",
    "nn": "Det er ikkje registrert noko her.",
    "sv": "Inget är registrerat här.",
}
_LEFT_OUT = {
    "en": "Not shown to this receiver",
    "nb": "Vises ikke for denne mottakeren",
    "nn": "Blir ikkje vist for denne mottakaren",
    "sv": "Visas inte för denna mottagare",
}


@dataclass(frozen=True, kw_only=True)
class _Draft:
    """The resources of the document under their addresses, before they are placed."""

    entries: list[Resource]  # the Composition first
    left_out: tuple[str, ...]
    profile: Profile
    language: str

    @cached_property
    def by_url(self) -> dict[str, Resource]:
        """The resources by the address that references have."""
        return {item["fullUrl"]: item["resource"] for item in self.entries}

    def lookup(self, ref: Resource) -> Resource | None:
        """What a Reference leads to."""
        return self.by_url.get(str(ref.get("reference")))


def discharge_document(
    resources: Iterable[Resource],
    *,
    patient: Resource,
    encounter: Resource,
    author: Resource,
    custodian: Resource,
    recipients: Sequence[Resource] = (),
    now: datetime,
    document_id: str,
    profile: Profile = "both",
    receiver_kind: str = "municipality",
    language: str = "en",
) -> Bundle:
    """The document about one stay; the same arguments always give the same Bundle.

    `resources` may hold the others again. References lead by `Type/id` or `urn:uuid:id`; of two versions of a
    resource the one with the later meta.lastUpdated stays, else the one that comes later. A reference to what
    is not given keeps its identifier and its display, but leads nowhere any more; http(s) may lead out.
    `document_id` is a UUID, from which all new ids are derived; `now` is aware. `receiver_kind` is the kind
    of party that will read it, `language` one of `sections.LANGUAGES`, of titles and our own sentences.
    """
    if now.tzinfo is None:
        raise ValueError("the instant of a document must be timezone-aware")
    if any("id" not in one for one in (patient, encounter, author, custodian, *recipients)):
        raise ValueError("patient, encounter, author, custodian and recipients of a document need an id")
    people = (patient, encounter, author, custodian, *recipients)
    entries = _entries((*people, *resources), document_id)
    links = [{"reference": _url_of(one, entries)} for one in people]
    head = _composition(links, now=now, document_id=document_id, language=language)
    whole = {"entry": [{"fullUrl": f"urn:uuid:{head['id']}", "resource": head}, *entries]}
    seen = shown(whole, NoticeKind.DISCHARGE_REPORT, receiver_kind=receiver_kind)
    draft = _Draft(entries=seen.bundle["entry"], left_out=seen.left_out, profile=profile, language=language)
    first = draft.entries[0]["resource"] | {"section": _sections(draft)}
    bundle: Bundle = {
        "resourceType": "Bundle",
        "id": document_id,
        "identifier": {"system": URI_SYSTEM, "value": f"urn:uuid:{document_id}"},
        "type": "document",
        "timestamp": instant_text(now),
        "entry": [draft.entries[0] | {"resource": first}, *draft.entries[1:]],
    }
    hidden = [
        item["resource"] for item in draft.entries if _is(item, "Patient") and is_protected(item["resource"])
    ]
    if hidden:
        labels = (hidden[0].get("meta") or {}).get("security")
        bundle["meta"] = {"security": labels or [{"system": _CONFIDENTIALITY, "code": "R"}]}
    return bundle


# --- addresses --------------------------------------------------------------------------------------------


def _entries(given: Iterable[Resource], document_id: str) -> list[Resource]:
    """Each resource once under an address of its own, with its references led to the others' addresses."""
    latest = _latest(given)
    shared = Counter(one["id"] for one in latest)
    space = uuid.UUID(document_id)
    urls: dict[str, str] = {}
    for one in latest:
        name = f"{one['resourceType']}/{one['id']}"
        own = one["id"] if _is_uuid(one["id"]) and shared[one["id"]] == 1 else uuid.uuid5(space, name)
        urls[name] = urls[f"urn:uuid:{one['id']}"] = f"urn:uuid:{own}"
    return [
        {"fullUrl": urls[f"{one['resourceType']}/{one['id']}"], "resource": _linked(one, urls)}
        for one in latest
    ]


def _url_of(resource: Resource, entries: Sequence[Resource]) -> str:
    """The address under which a resource that was given stands in the document."""
    wanted = (resource["resourceType"], resource["id"])
    return next(
        str(e["fullUrl"]) for e in entries if (e["resource"]["resourceType"], e["resource"]["id"]) == wanted
    )


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def _latest(given: Iterable[Resource]) -> list[Resource]:
    """Each resource once, in the order in which they first came; one without an id gets its number."""
    found: dict[tuple[str, str], Resource] = {}
    for number, resource in enumerate(given):
        own = resource.get("id") or f"unnamed-{number}"
        name = (resource["resourceType"], own)
        if name not in found or _stamp(resource) >= _stamp(found[name]):
            found[name] = resource if "id" in resource else resource | {"id": own}
    return list(found.values())


def _stamp(resource: Resource) -> str:
    return str((resource.get("meta") or {}).get("lastUpdated") or "")


def _linked(value: Any, urls: dict[str, str]) -> Any:
    """`value` with its references led to the entries of the document."""
    if isinstance(value, list):
        return [_linked(part, urls) for part in value]
    if not isinstance(value, dict):
        return value
    linked = {name: _linked(part, urls) for name, part in value.items()}
    target = value.get("reference")
    if not isinstance(target, str) or target.startswith(("#", "http://", "https://")):
        return linked
    there = urls.get(target.partition("/_history/")[0])
    if there is not None:
        return linked | {"reference": there}
    del linked["reference"]
    return linked or {"display": target.partition("/")[0] if "/" in target else "not in this document"}


# --- the Composition --------------------------------------------------------------------------------------


def _composition(links: Sequence[Resource], *, now: datetime, document_id: str, language: str) -> Resource:
    """All of it but the sections; `links` lead to patient, stay, author, custodian and recipients."""
    patient, encounter, author, custodian, *recipients = links
    own = str(uuid.uuid5(uuid.UUID(document_id), "Composition"))
    made: Resource = {
        "resourceType": "Composition",
        "id": own,
        "language": language,
        "identifier": {"system": URI_SYSTEM, "value": f"urn:uuid:{own}"},
        "status": "final",
        "type": _coded("34105-7", "Hospital Discharge summary"),
        "category": [_coded("18761-7", "Transfer summary note")],
        "subject": patient,
        "encounter": encounter,
        "date": instant_text(now),
        "author": [author],
        "title": _TITLE[language],
        "custodian": custodian,
    }
    if recipients:
        made["extension"] = [{"url": INFORMATION_RECIPIENT, "valueReference": one} for one in recipients]
    return made


def _coded(code: str, display: str, system: str = LOINC) -> Resource:
    return {"coding": [{"system": system, "code": code, "display": display}]}


def _sections(draft: _Draft) -> list[Resource]:
    placed = _placed(draft)
    return [
        _section(section, placed.get(section.key, []), draft)
        for section in sections(draft.profile)
        if placed.get(section.key)
        or section.required(draft.profile)
        or (section.key == COURSE and draft.left_out)
    ]


def _placed(draft: _Draft) -> dict[str, list[str]]:
    """The addresses of each section's entries; what none leads to is added to the hospital course."""
    head, *rest = draft.entries
    diagnosed = set(led_to(e["resource"].get("diagnosis") for e in rest if _is(e, "Encounter")))
    planned = _reached((e["fullUrl"] for e in rest if _is(e, "CarePlan")), draft)
    carried = set(led_to(e["resource"] for e in rest))
    placed: dict[str, list[str]] = {}
    for item in rest:
        url, resource = item["fullUrl"], item["resource"]
        if resource["resourceType"] in OF_A_PLAN and url in planned:
            continue
        if resource["resourceType"] in CARRIED and url in carried:
            continue
        if resource["resourceType"] == "Encounter" and url != head["resource"]["encounter"]["reference"]:
            keys: tuple[str, ...] = (COURSE,)
        else:
            keys = sections_of(resource, profile=draft.profile, diagnosed=url in diagnosed)
        for key in keys:
            placed.setdefault(key, []).append(url)
    reached = _reached([*led_to([head["resource"]]), *(u for found in placed.values() for u in found)], draft)
    for item in rest:
        if item["fullUrl"] not in reached and not _is(item, "Provenance"):
            placed.setdefault(COURSE, []).append(item["fullUrl"])
            reached |= _reached([item["fullUrl"]], draft)
    return placed


def _is(item: Resource, kind: str) -> bool:
    return bool(item["resource"]["resourceType"] == kind)


def _reached(start: Iterable[str], draft: _Draft) -> set[str]:
    """Every address that can be come to from `start`, itself included."""
    reached: set[str] = set()
    waiting = list(start)
    while waiting:
        url = waiting.pop()
        if url not in reached and url in draft.by_url:
            reached.add(url)
            waiting.extend(led_to([draft.by_url[url]]))
    return reached


def _section(section: Section, urls: Sequence[str], draft: _Draft) -> Resource:
    lines = list(_lines(section, urls, draft))
    made: Resource = {
        "title": section.title[draft.language],
        "code": _coded(section.code, section.display, section.system),
        "text": narrative("\n".join(lines or [_NOTHING[draft.language]])) | {"status": "generated"},
    }
    if urls:
        return made | {"entry": [{"reference": url} for url in urls]}
    if lines:
        return made
    return made | {"emptyReason": _coded("unavailable", "Unavailable", _EMPTY)}


def _lines(section: Section, urls: Sequence[str], draft: _Draft) -> Iterator[str]:
    for url in urls:
        resource = draft.by_url[url]
        yield told(resource, draft.lookup, draft.language)
        if resource["resourceType"] == "CarePlan":
            yield from _of_plan(resource, draft)
    if section.key == COURSE and draft.left_out:
        yield f"{_LEFT_OUT[draft.language]}: {', '.join(draft.left_out)}"


def _of_plan(plan: Resource, draft: _Draft) -> Iterator[str]:
    """The team, goals, requests and tasks of a plan, which have no section of their own."""
    for url in dict.fromkeys(led_to([plan.get("careTeam"), plan.get("goal"), plan.get("activity")])):
        there = draft.by_url.get(url)
        if there is not None:
            yield f"• {told(there, draft.lookup, draft.language)}"
    for activity in plan.get("activity") or ():
        if "detail" in activity:
            detail = {"resourceType": "CarePlan"} | activity["detail"]
            yield f"• {told(detail, draft.lookup, draft.language)}"


# --- as a message -----------------------------------------------------------------------------------------


def message_of_document(
    document: Bundle,
    *,
    sender: Address,
    receivers: Sequence[Address],
    message_id: str,
    transmission_id: str,
    sent_at: datetime,
    occurred: Moment | None = None,
) -> Bundle:
    """The `discharge-report` message whose focus is the document's Composition, with every entry as it is.

    So a document of somebody else's making, as PACIO's, goes in and on like any other message. Refused where
    the Bundle is no document with a Composition first.
    """
    first: Resource = next(iter(document.get("entry") or ()), {})
    if document.get("type") != "document" or first.get("resource", {}).get("resourceType") != "Composition":
        raise Refused(
            phrase("the Bundle is no document with a Composition as its first entry"), code="invariant"
        )
    notice = Notice(
        kind=NoticeKind.DISCHARGE_REPORT,
        message_id=message_id,
        sent_at=sent_at,
        occurred=occurred or sent_at,
        sender=sender.token,
    )
    made = message_bundle(
        notice,
        subject=subject_in(document),
        sender=sender,
        receivers=receivers,
        transmission_id=transmission_id,
    )
    head = made["entry"][0]
    head = head | {"resource": head["resource"] | {"focus": [{"reference": first["fullUrl"]}]}}
    parties = [item for item in made["entry"] if _is(item, "Organization")]
    return made | {"entry": [head, *document["entry"], *parties]}
