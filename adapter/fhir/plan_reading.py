"""Reads a plan for people out of FHIR: CarePlan and whatever it leads to (FHIR R4 careplan.html).

Nothing is dropped in silence. What has no line of its own is listed under `Plan.also`: resources that nothing
was read from, what is referred to but was not sent along, and words in elements that no line shows.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from adapter.fhir.bundles import EVENT_SYSTEM, Resource
from adapter.fhir.plan import (
    KIND_SYSTEM,
    ROLE_SYSTEM,
    Action,
    Goal,
    Meeting,
    Note,
    Other,
    Part,
    Participant,
    Person,
    Plan,
    PlanKind,
    Problem,
    Span,
    Target,
)
from adapter.fhir.plan_graph import (
    Graph,
    codes,
    entries_of,
    first_code,
    human_name,
    items,
    kind_of,
    narrative_text,
    occurrence,
    own_key,
    postal,
    span,
    taken_back,
    telephone,
    text_of,
    told,
)
from adapter.fhir.plan_health import MEDICINES, cautions, documents, findings, medicines
from adapter.fhir.plan_leftovers import left_over

_ENVELOPE = frozenset(("MessageHeader", "Provenance", "Bundle", "Organization", "OperationOutcome"))
"""What carries the plan rather than being of it; an Organization counts where something names it."""

_CONTACT_WORDS = ("fast vårdkontakt", "fixed care contact", "fast kontakt", "primary contact")
_COORDINATOR_WORDS = ("koordinator", "coordinator", "samordnare", "case manager")
_ROLES = {
    (ROLE_SYSTEM, "fixed-care-contact"): Part.CONTACT,
    (ROLE_SYSTEM, "coordinator"): Part.COORDINATOR,
    (EVENT_SYSTEM, "fixed-contact-named"): Part.CONTACT,
    (EVENT_SYSTEM, "coordinator-named"): Part.COORDINATOR,
}
_ELSEWHERE = ("Appointment", *MEDICINES)  # an activity of these types has its line in a section of its own


def plan_in(given: Resource | Sequence[Resource], plan: Resource, *, protected: bool = False) -> Plan:
    """The plan that `plan`, a CarePlan, makes with the resources around it.

    `given`: a Bundle, its entries, or resources as they are; with or without the CarePlan itself.
    `protected`: read it as that of somebody with protected identity, also where the Patient does not say so.
    """
    entries = tuple(entries_of(given))
    if not any(resource is plan for _, resource in entries):
        entries = (("", plan), *(e for e in entries if not _same(e[1], plan)))
    graph = Graph(entries=entries, patient=_patient(entries, plan), shielded=protected)
    graph.use(plan)
    return _read(graph, plan)


def _same(one: Resource, other: Resource) -> bool:
    return one.get("id") is not None and all(one.get(k) == other.get(k) for k in ("resourceType", "id"))


def _patient(entries: tuple[tuple[str, Resource], ...], plan: Resource) -> Resource | None:
    found = Graph(entries=entries, patient=None).follow(plan.get("subject"), plan)
    patients = [resource for _, resource in entries if resource.get("resourceType") == "Patient"]
    return found or (patients[0] if len(patients) == 1 else None)


def _read(graph: Graph, plan: Resource) -> Plan:
    person = _person(graph, plan)
    participants = tuple(_participants(graph, plan))
    problems = tuple(_problems(graph, plan))
    goals = tuple(_goals(graph, plan))
    actions = tuple(_actions(graph, plan))
    meetings = tuple(_meeting(graph, graph.use(it)) for it in graph.of_type("Appointment"))
    warned, taken, found = cautions(graph), medicines(graph), findings(graph)
    papers = documents(graph)
    notes = tuple(_notes(graph, plan))
    return Plan(
        kind=_kind(plan),
        title=graph.clean(plan.get("title")),
        status=text_of(plan.get("status")),
        description=graph.clean(plan.get("description")),
        period=span(graph, plan.get("period")),
        created=told(plan.get("created")),
        authors=_names(graph, plan, "author", "contributor"),
        person=person,
        participants=participants,
        goals=goals,
        problems=problems,
        actions=actions,
        meetings=meetings,
        documents=papers,
        notes=notes,
        also=tuple(dict.fromkeys(_also(graph, plan))),
        cautions=warned,
        medicines=taken,
        findings=found,
    )


def _kind(plan: Resource) -> PlanKind:
    for system, code in codes(plan.get("category")):
        if system == KIND_SYSTEM and code in tuple(PlanKind):
            return PlanKind(code)
    return PlanKind.OTHER


def _names(graph: Graph, holder: Resource, *elements: str) -> tuple[str, ...]:
    found = [graph.name(ref, holder) for element in elements for ref in items(holder.get(element))]
    return tuple(dict.fromkeys(name for name in found if name))


# --- people -----------------------------------------------------------------------------------------------


def _person(graph: Graph, plan: Resource) -> Person:
    patient = graph.patient
    if patient is None:
        return Person(name=graph.name(plan.get("subject"), plan), protected=graph.protected)
    graph.use(patient)
    open_ = not graph.protected
    return Person(
        name=graph.clean(human_name(patient.get("name"))),
        birth_date=told(patient.get("birthDate")),
        address=graph.clean(postal(patient.get("address"))) if open_ else "",
        telephone=graph.clean(telephone(patient)) if open_ else "",
        protected=graph.protected,
    )


def _participants(graph: Graph, plan: Resource) -> Iterator[Participant]:
    teams = [graph.follow(ref, plan) for ref in items(plan.get("careTeam"))]
    teams += [team for team in graph.of_type("CareTeam") if all(team is not known for known in teams)]
    for team in teams:
        if team is None or taken_back(team):
            continue
        graph.use(team)
        for member in items(team.get("participant")):
            made = _participant(graph, team, member)
            if made is not None:
                yield made
    yield from _contacts(graph)


def _participant(graph: Graph, team: Resource, member: Resource) -> Participant | None:
    ref = member.get("member") or member.get("onBehalfOf")
    found = graph.follow(ref, team)
    name = graph.name(ref, team)
    role = graph.concept(member.get("role"))
    if graph.hidden(ref, found) or not (name or role):
        return None
    by = graph.follow((found or {}).get("practitioner")) if found else None
    for resource in (found, by):
        if resource is not None:
            graph.use(resource)
    return Participant(
        key=own_key(found) if found else _key(ref) or name,
        name=name,
        part=_part(team, member, found, ref),
        role=role or graph.concept((found or {}).get("code") or (found or {}).get("relationship")),
        organisation=_organisation(graph, team, member, found),
        telephone=graph.clean(telephone(found or {}) or telephone(by or {})),
    )


def _organisation(graph: Graph, team: Resource, member: Resource, found: Resource | None) -> str:
    own = (found or {}).get("organization")
    named = graph.name(member.get("onBehalfOf"), team) or graph.name(own, found)
    if (found or {}).get("resourceType") in ("Organization", "RelatedPerson", "Patient"):
        return ""
    return named or (", ".join(_names(graph, team, "managingOrganization")))


def _part(team: Resource, member: Resource, found: Resource | None, ref: Any) -> Part:
    kind = (found or {}).get("resourceType") or kind_of(ref)
    if kind in ("Patient", "RelatedPerson"):
        return Part.PATIENT if kind == "Patient" else Part.KIN
    alone = len(items(team.get("participant"))) == 1
    for system, code in (*codes(member.get("role")), *(codes(team.get("category")) if alone else ())):
        if (system, code) in _ROLES:
            return _ROLES[system, code]
    said = " ".join(_words(member.get("role"))).lower()
    if any(word in said for word in _CONTACT_WORDS):
        return Part.CONTACT
    return Part.COORDINATOR if any(word in said for word in _COORDINATOR_WORDS) else Part.MEMBER


def _words(concepts: Any) -> Iterator[str]:
    for concept in items(concepts):
        yield text_of(concept.get("text"))
        yield from (text_of(coding.get("display")) for coding in items(concept.get("coding")))


def _contacts(graph: Graph) -> Iterator[Participant]:
    """Next of kin who are in no CareTeam: a RelatedPerson, or whom only the Patient names."""
    for kin in graph.of_type("RelatedPerson") if not graph.protected else ():
        if id(kin) not in graph.used:
            role, number = graph.concept(kin.get("relationship")), graph.clean(telephone(kin))
            name = graph.called(kin)
            yield Participant(key=own_key(kin), name=name, part=Part.KIN, role=role, telephone=number)
    for contact in items((graph.patient or {}).get("contact")) if not graph.protected else ():
        name = graph.clean(human_name(contact.get("name")))
        if name:
            role = graph.concept(contact.get("relationship"))
            number = graph.clean(telephone(contact))
            yield Participant(key=f"contact {name}", name=name, part=Part.KIN, role=role, telephone=number)


# --- what for ---------------------------------------------------------------------------------------------


def _problems(graph: Graph, plan: Resource) -> Iterator[Problem]:
    for ref in items(plan.get("addresses")):
        found = graph.follow(ref, plan)
        shown = graph.name(ref, plan)
        if found is None and shown:
            yield Problem(key=_key(ref) or shown, what=shown)
        elif found is not None and not taken_back(found):
            graph.use(found)
            yield Problem(
                key=own_key(found),
                what=graph.gist(found) or shown,
                status=first_code(found.get("clinicalStatus")),
                since=told(found.get("onsetDateTime")) or told(found.get("recordedDate")),
            )


def _goals(graph: Graph, plan: Resource) -> Iterator[Goal]:
    for ref in items(plan.get("goal")):
        found = graph.follow(ref, plan)
        shown = graph.name(ref, plan)
        if found is None and shown:
            yield Goal(key=_key(ref) or shown, what=shown)
        elif found is not None and not taken_back(found):
            graph.use(found)
            yield Goal(
                key=own_key(found),
                what=graph.concept(found.get("description")) or shown,
                status=text_of(found.get("lifecycleStatus")),
                achievement=first_code(found.get("achievementStatus")),
                targets=tuple(_targets(graph, found)),
                by=graph.name(found.get("expressedBy"), found),
            )


def _targets(graph: Graph, goal: Resource) -> Iterator[Target]:
    for target in items(goal.get("target")):
        wanted = graph.value(target, "detail")
        yield Target(
            measure=graph.concept(target.get("measure")),
            value=wanted[0] if wanted else None,
            due=told(target.get("dueDate")),
        )


# --- who does what ----------------------------------------------------------------------------------------


def _actions(graph: Graph, plan: Resource) -> Iterator[Action]:
    tasks = list(graph.of_type("Task"))
    taken: set[int] = set()
    for activity in items(plan.get("activity")):
        ref = activity.get("reference")
        found = graph.follow(ref, plan)
        outcomes = tuple(_outcomes(graph, plan, activity))
        if found is None:
            yield from _without_resource(graph, plan, activity, outcomes)
        elif not taken_back(found) and found.get("resourceType") not in _ELSEWHERE:
            own = [task for task in tasks if task is found or found in _bases(graph, task)]
            taken |= {id(task) for task in own}
            request = None if found.get("resourceType") == "Task" else found
            carried: list[Resource | None] = [*own] or [None]
            for task in carried:
                yield _action(graph, request, task, outcomes)
    for task in tasks:
        if id(task) not in taken:
            yield _action(graph, None, task, ())


def _bases(graph: Graph, task: Resource) -> list[Resource]:
    """What a Task carries out."""
    refs = [*items(task.get("focus")), *items(task.get("basedOn"))]
    return [found for found in (graph.follow(ref, task) for ref in refs) if found is not None]


def _without_resource(
    graph: Graph, plan: Resource, activity: Resource, outcomes: tuple[str, ...]
) -> Iterator[Action]:
    """An activity that is described in place, or whose resource was not sent along."""
    detail, ref = activity.get("detail"), activity.get("reference")
    if isinstance(detail, dict):
        when = occurrence(graph, detail, "scheduled")
        what = graph.clean(detail.get("description")) or graph.concept(detail.get("code"))
        yield Action(
            key=what,
            kind=text_of(detail.get("kind")),
            what=what,
            who=_names(graph, detail, "performer"),
            status=text_of(detail.get("status")),
            reason=graph.concept(detail.get("statusReason")),
            span=when,
            due=when.end,
            not_to_be_done=detail.get("doNotPerform") is True,
            outcomes=outcomes,
        )
    elif shown := graph.name(ref, plan):
        yield Action(key=_key(ref) or shown, kind=kind_of(ref), what=shown, outcomes=outcomes)


def _outcomes(graph: Graph, plan: Resource, activity: Resource) -> Iterator[str]:
    found = [graph.name(ref, plan) for ref in items(activity.get("outcomeReference"))]
    found += [graph.concept(concept) for concept in items(activity.get("outcomeCodeableConcept"))]
    yield from (text for text in found if text)


def _action(
    graph: Graph, request: Resource | None, task: Resource | None, outcomes: tuple[str, ...]
) -> Action:
    asked, done = request or {}, task or {}
    for resource in (request, task):
        if resource is not None:
            graph.use(resource)
    when = _when(graph, asked, done)
    limit = (done.get("restriction") or {}).get("period") or {}
    owners = _names(graph, done, "owner")
    return Action(
        key=own_key(task or request or {}),
        kind=text_of((request or done).get("resourceType")),
        what=_what(graph, asked, done),
        who=owners or _names(graph, asked, "performer", "sender"),
        asked_by=graph.name(done.get("requester"), done) or graph.name(asked.get("requester"), asked),
        status=text_of(done.get("status")) or text_of(asked.get("status")),
        reason=graph.concept(done.get("statusReason")) or graph.concept(asked.get("statusReason")),
        span=when,
        due=told(limit.get("end")) or when.end,
        not_to_be_done=asked.get("doNotPerform") is True,
        outcomes=(*outcomes, *_output(graph, done)),
    )


def _what(graph: Graph, asked: Resource, done: Resource) -> str:
    """What is to be done: the request's own words, then the Task's where they add to it."""
    words = [graph.gist(asked) if asked else "", graph.clean(done.get("description"))]
    words += [graph.concept(detail) for detail in items(asked.get("orderDetail"))]
    words += [text for text in (_payload(graph, asked), _diet(graph, asked)) if text]
    if not any(words):
        words = [graph.gist(done) or graph.name(done.get("focus"), done)]
    return ": ".join(dict.fromkeys(word for word in words if word))


def _payload(graph: Graph, asked: Resource) -> str:
    """What a CommunicationRequest is to tell."""
    found = []
    for part in items(asked.get("payload")):
        attached = part.get("contentAttachment") or {}
        found.append(graph.clean(part.get("contentString")) or graph.clean(attached.get("title")))
        found.append(graph.name(part.get("contentReference"), asked))
    return ", ".join(text for text in found if text)


def _diet(graph: Graph, asked: Resource) -> str:
    """What a NutritionOrder orders."""
    diet = asked.get("oralDiet") or {}
    said = [graph.concept(diet.get("type")), graph.clean(diet.get("instruction"))]
    return ", ".join(text for text in said if text)


def _when(graph: Graph, asked: Resource, done: Resource) -> Span:
    timing = items((asked.get("oralDiet") or {}).get("schedule"))
    planned = occurrence(graph, asked)
    if planned == Span() and timing:
        planned = span(graph, timing[0])
    return planned if planned != Span() else span(graph, done.get("executionPeriod"))


def _output(graph: Graph, task: Resource) -> Iterator[str]:
    for output in items(task.get("output")):
        said = [value for value in graph.value(output) if isinstance(value, str) and value]
        yield ": ".join(text for text in (graph.concept(output.get("type")), *said) if text)


def _meeting(graph: Graph, it: Resource) -> Meeting:
    people, places = [], []
    for participant in items(it.get("participant")):
        actor = participant.get("actor")
        found = graph.follow(actor, it)
        name = graph.name(actor, it) or (
            "" if graph.hidden(actor, found) else graph.concept(participant.get("type"))
        )
        if not name:
            continue
        if ((found or {}).get("resourceType") or kind_of(actor)) == "Location":
            places.append(name)
        else:
            people.append((name, text_of(participant.get("status"))))
    kind = [graph.clean(it.get("description")), graph.concept(it.get("appointmentType"))]
    return Meeting(
        key=own_key(it),
        what=next((text for text in kind if text), "") or graph.gist(it),
        status=text_of(it.get("status")),
        start=told(it.get("start")),
        end=told(it.get("end")),
        place=", ".join(places),
        people=tuple(people),
    )


# --- notes, and the rest ----------------------------------------------------------------------------------


def _notes(graph: Graph, plan: Resource) -> Iterator[Note]:
    yield from graph.notes(plan)
    for activity in items(plan.get("activity")):
        found = graph.follow(activity.get("reference"), plan)
        about = graph.gist(found) if found else graph.name(activity.get("reference"), plan)
        yield from graph.notes(activity, about, "progress")
        yield from graph.notes(activity.get("detail") or {}, about)
    for _, resource in graph.entries:
        if resource is not plan and id(resource) in graph.used and not taken_back(resource):
            yield from graph.notes(resource, graph.gist(resource))


def _also(graph: Graph, plan: Resource) -> Iterator[Other]:
    used = [resource for _, resource in graph.entries if id(resource) in graph.used]
    yield from _missing(graph, plan)
    for resource in used:
        if text := left_over(graph, resource):
            yield Other(kind=text_of(resource.get("resourceType")), about=graph.gist(resource), text=text)
    for resource in tuple(graph.unused()):
        kind = text_of(resource.get("resourceType"))
        if kind in _ENVELOPE or (graph.protected and kind in ("RelatedPerson", "Location")):
            continue
        if taken_back(resource):
            yield Other(kind=kind, why="entered-in-error")
            continue
        about, text = graph.called(resource), left_over(graph, resource)
        if not (about or text):
            text = graph.clean(narrative_text(resource))
        yield Other(kind=kind, about=about, text=text)


def _missing(graph: Graph, plan: Resource) -> Iterator[Other]:
    """What the plan refers to without a word, and that was not sent along."""
    refs = [
        ref
        for element in ("careTeam", "addresses", "goal", "supportingInfo")
        for ref in items(plan.get(element))
    ]
    refs += [activity["reference"] for activity in items(plan.get("activity")) if "reference" in activity]
    for ref in refs:
        if graph.follow(ref, plan) is None and not graph.name(ref, plan) and kind_of(ref):
            yield Other(kind=kind_of(ref), why="missing")


def _key(ref: Any) -> str:
    """What a Reference leads to, as `Type/id` or a URN."""
    target = text_of((ref or {}).get("reference")).split("/_history/", 1)[0]
    return target if target.startswith("urn:") else "/".join(target.split("/")[-2:])
