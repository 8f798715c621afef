"""The words of a resource that no line of a plan shows: they are listed, never dropped.

Only words for people count: texts, named concepts, names behind references, amounts. Codes, identifiers,
addresses of machines and what is said elsewhere on the page do not.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from adapter.fhir.bundles import Resource
from adapter.fhir.codes import words
from adapter.fhir.plan import Amount
from adapter.fhir.plan_graph import Graph, amount, items, narrative_text, text_of

_EVERYWHERE = words(
    "resourceType id meta implicitRules language text contained identifier status intent subject patient for "
    "encounter note name telecom address active recorder asserter"
)
"""Elements that are shown, or that are no words for people, whatever the resource."""

_SHOWN: Mapping[str, frozenset[str]] = {
    "CarePlan": words(
        "title description category period created author contributor careTeam addresses goal activity"
    ),
    "CareTeam": words("participant category managingOrganization period"),
    "Goal": words("lifecycleStatus achievementStatus description target expressedBy addresses"),
    "Condition": words("code clinicalStatus verificationStatus category"),
    "ServiceRequest": words("code performer requester statusReason orderDetail basedOn"),
    "CommunicationRequest": words("payload requester statusReason basedOn sender"),
    "NutritionOrder": words("oralDiet orderer"),
    "Task": words(
        "description code focus basedOn owner requester statusReason output restriction executionPeriod "
        "businessStatus"
    ),
    "Appointment": words("description appointmentType participant basedOn"),
    "AllergyIntolerance": words("code clinicalStatus verificationStatus reaction"),
    "Flag": words("code"),
    "MedicationStatement": words(
        "medicationCodeableConcept medicationReference dosage reasonCode statusReason basedOn"
    ),
    "MedicationRequest": words(
        "medicationCodeableConcept medicationReference dosageInstruction reasonCode statusReason requester "
        "basedOn"
    ),
    "QuestionnaireResponse": words("item questionnaire author source basedOn"),
    "Observation": words("code category component interpretation dataAbsentReason basedOn"),
    "DocumentReference": words("content type category context author custodian"),
    "Encounter": words("class type serviceType episodeOfCare"),
    "Patient": words("birthDate gender contact managingOrganization link photo extension"),
}
"""By resource type: the elements that have a line of their own."""

_PREFIXES: Mapping[str, tuple[str, ...]] = {"Observation": ("value", "effective"), "NutritionOrder": ()}
_NO_LINE = words("Practitioner PractitionerRole Organization RelatedPerson Location")
"""Who somebody is: what the lines do not say of them is nobody's business here."""

_FREE = words(
    "text description title comment instruction patientInstruction summary conclusion valueString "
    "valueMarkdown contentString authorString onsetString abatementString occurrenceString "
    "preconditionDescription"
)
_QUANTITIES = frozenset(("value", "numerator", "low", "high"))


def left_over(graph: Graph, resource: Resource) -> str:
    """What `resource` says besides what its line shows; empty where that is nothing."""
    kind = text_of(resource.get("resourceType"))
    if kind in _NO_LINE:
        return ""
    shown = _EVERYWHERE | _SHOWN.get(kind, frozenset())
    if graph.protected and kind == "Encounter":
        shown |= {"hospitalization", "location"}
    rest = [
        said
        for element, value in resource.items()
        if element not in shown and not element.startswith(_PREFIXES.get(kind, ("/",)))
        for said in _gists(graph, resource, element, value)
    ]
    rest += _inner(graph, resource, kind)
    if (resource.get("text") or {}).get("status") in ("additional", "extensions"):
        rest.append(graph.clean(narrative_text(resource)))
    about = graph.gist(resource)
    return "; ".join(text for text in dict.fromkeys(rest) if text and text != about)


def _inner(graph: Graph, resource: Resource, kind: str) -> Iterator[str]:
    """Words inside elements that are shown only in part."""
    if kind == "CarePlan":
        for holder in (*items(resource.get("activity")), *items(resource.get("extension"))):
            yield from _gists(graph, resource, "extension", holder.get("extension"))
        for activity in items(resource.get("activity")):
            detail = activity.get("detail") or {}
            for element in ("reasonCode", "location", "productCodeableConcept", "quantity", "dailyAmount"):
                yield from _gists(graph, resource, element, detail.get(element))


def _gists(graph: Graph, within: Resource, element: str, value: Any) -> Iterator[str]:
    """The words in an element, whatever its type."""
    if isinstance(value, list):
        for item in value:
            yield from _gists(graph, within, element, item)
    elif isinstance(value, dict):
        yield from _of_object(graph, within, value)
    elif element in _FREE and isinstance(value, str):
        yield graph.clean(value)


def _of_object(graph: Graph, within: Resource, value: Resource) -> Iterator[str]:
    if "reference" in value and isinstance(value["reference"], str):
        yield graph.name(value, within)
    elif "coding" in value or ("display" in value and "code" in value):
        yield graph.concept(value)
    elif "div" in value:
        yield graph.clean(narrative_text({"text": value}))
    elif any(isinstance(value.get(part), int | float | Decimal | dict) for part in _QUANTITIES):
        yield _shown(amount(value))
    else:
        for element, inner in value.items():
            if element not in ("meta", "identifier", "url", "id"):
                yield from _gists(graph, within, element, inner)


def _shown(it: Amount) -> str:
    number = f"{it.value}–{it.until}" if it.until else it.value
    return f"{it.sign}{number} {it.unit}".strip()
