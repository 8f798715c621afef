"""How the person of a plan is: cautions, medicines, function, documents.

R4's CarePlan has no element for most of them: they belong to the plan by lying beside it, and all are taken.
"""

from collections.abc import Iterator

from adapter.fhir.bundles import Resource
from adapter.fhir.plan import Amount, Caution, Document, Finding, Medicine, Span
from adapter.fhir.plan_graph import Graph, items, occurrence, own_key, span, text_of, told

MEDICINES = ("MedicationStatement", "MedicationRequest")


def cautions(graph: Graph) -> tuple[Caution, ...]:
    """Allergies and flags."""
    return tuple(_caution(graph, graph.use(it)) for it in graph.of_type("AllergyIntolerance", "Flag"))


def medicines(graph: Graph) -> tuple[Medicine, ...]:
    """What is taken, is to be taken, or has been stopped."""
    return tuple(_medicine(graph, graph.use(it)) for it in graph.of_type(*MEDICINES))


def documents(graph: Graph) -> tuple[Document, ...]:
    """What is kept as a document."""
    return tuple(_document(graph, graph.use(it)) for it in graph.of_type("DocumentReference"))


def findings(graph: Graph) -> tuple[Finding, ...]:
    """Each answer of each questionnaire, and each observation."""
    found: list[Finding] = []
    for it in graph.of_type("QuestionnaireResponse", "Observation"):
        answered = it.get("resourceType") == "QuestionnaireResponse"
        graph.use(it)
        found += _answers(graph, it, items(it.get("item"))) if answered else _observed(graph, it)
    return tuple(found)


def _caution(graph: Graph, it: Resource) -> Caution:
    felt = [graph.concept(one.get("manifestation")) for one in items(it.get("reaction"))]
    return Caution(key=own_key(it), what=graph.gist(it), reaction=", ".join(text for text in felt if text))


def _medicine(graph: Graph, it: Resource) -> Medicine:
    doses = items(it.get("dosage")) or items(it.get("dosageInstruction"))
    said = [_dose(graph, dose) for dose in doses]
    taken = span(graph, doses[0].get("timing")) if doses else Span()
    effective = occurrence(graph, it, "effective")
    asked = it.get("medicationReference")
    return Medicine(
        key=own_key(it),
        what=graph.concept(it.get("medicationCodeableConcept")) or graph.name(asked, it),
        dose="; ".join(text for text in said if text),
        span=Span(
            start=effective.start or taken.start,
            end=effective.end or taken.end,
            repeat=taken.repeat,
            text=taken.text,
        ),
        status="not-to-be-taken" if it.get("doNotPerform") is True else text_of(it.get("status")),
        reason=graph.concept(it.get("reasonCode")) or graph.concept(it.get("statusReason")),
    )


def _dose(graph: Graph, dose: Resource) -> str:
    """The dosage in its author's words; of one that has none, the amount and the way."""
    if text := graph.clean(dose.get("text")):
        return text
    given = [value for rate in items(dose.get("doseAndRate")) for value in graph.value(rate, "dose")]
    shown = [f"{one.value} {one.unit}".strip() for one in given if isinstance(one, Amount)]
    said = (*shown, graph.concept(dose.get("route")), graph.clean(dose.get("patientInstruction")))
    return ", ".join(text for text in said if text)


def _answers(graph: Graph, response: Resource, asked: list[Resource]) -> Iterator[Finding]:
    for item in asked:
        answers = items(item.get("answer"))
        said = tuple(value for answer in answers for value in graph.value(answer))
        if said:
            yield Finding(
                key=f"{own_key(response)}#{text_of(item.get('linkId'))}",
                what=graph.clean(item.get("text")) or text_of(item.get("linkId")),
                said=said,
                at=told(response.get("authored")),
            )
        yield from _answers(graph, response, items(item.get("item")))
        for answer in answers:
            yield from _answers(graph, response, items(answer.get("item")))


def _observed(graph: Graph, it: Resource) -> Iterator[Finding]:
    at = told(it.get("effectiveDateTime")) or told((it.get("effectivePeriod") or {}).get("end"))
    whole = graph.gist(it)
    comments = [graph.concept(it.get("interpretation")), graph.concept(it.get("dataAbsentReason"))]
    comment = ", ".join(text for text in comments if text)
    parts = items(it.get("component"))
    said = graph.value(it)
    if said or not parts:
        yield Finding(key=own_key(it), what=whole, said=said, at=at, comment=comment)
    for number, part in enumerate(parts):
        what = graph.concept(part.get("code"))
        yield Finding(key=f"{own_key(it)}#{number}", what=what, said=graph.value(part), at=at, comment=whole)


def _document(graph: Graph, it: Resource) -> Document:
    attached = [content.get("attachment") or {} for content in items(it.get("content"))]
    titles = [graph.clean(one.get("title")) for one in attached]
    return Document(
        key=own_key(it),
        title=next((t for t in titles if t), "") or graph.gist(it),
        at=told(it.get("date")) or next((told(one.get("creation")) for one in attached), None),
        status=text_of(it.get("status")),
    )
