"""A joint plan as its author writes it: the graph of resources, and the message that carries all of it.

Resources refer to each other by `Type/id`, as they are read at /fhir: `Patient/<pseudonym>` and
`Organization/<party id>` too. A later message holds the whole graph again, as read and changed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from adapter.discharge.notices import NoticeKind, PlanKind
from adapter.fhir.bundles import (
    CANONICAL,
    EVENT_SYSTEM,
    FOLLOW_UP_SYSTEM,
    PLAN_KIND_SYSTEM,
    TEAM_ROLE_SYSTEM,
    Bundle,
    Resource,
    header,
    instant_text,
    with_extension,
)

Graph = dict[str, Resource]
"""Resources by `Type/id`."""

MEETING_LASTS = timedelta(hours=1)
ELSEWHERE = ("Patient", "Encounter", "Organization")
"""What a plan refers to and does not hold."""

_BASE = f"{CANONICAL}/"


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """What one party is asked to do: a ServiceRequest, and the Task for it."""

    key: str
    what: str
    owner: str  # party id
    performer: str  # in which role, in words
    due: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanText:
    """What a plan says in words."""

    title: str
    goal: str
    condition: str
    function: str
    meeting: str  # what a party is asked to do with regard to the meeting
    attending: str  # in which role


@dataclass(frozen=True, kw_only=True, slots=True)
class Names:
    """The ids of one plan's parts: UUIDs by what each is."""

    ids: Mapping[str, str]

    def of(self, kind: str, key: str) -> str:
        """`Type/id`."""
        return f"{kind}/{self.ids[f'{kind}/{key}']}"


def begun(
    names: Names,
    *,
    kind: PlanKind,
    text: PlanText,
    patient: str,
    author: str,
    role: str,
    on: datetime,
    meeting: datetime,
    called: Iterable[str],
) -> Graph:
    """A draft: what it is about, who makes it, and the meeting to which each of `called` is asked to come.

    `patient` is `Patient/<pseudonym>`; `author` and `called` are party ids.
    """
    about = {"reference": patient}
    plan, team = names.of("CarePlan", "plan"), names.of("CareTeam", "team")
    asked = [names.of("Task", f"meeting/{party}") for party in called]
    appointment = names.of("Appointment", "meeting")
    goal, condition = names.of("Goal", "goal"), names.of("Condition", "condition")
    function = names.of("Observation", "function")
    graph: Graph = {
        plan: {
            "status": "draft",
            "intent": "plan",
            "category": [_coded(EVENT_SYSTEM, NoticeKind.CARE_PLAN), _coded(PLAN_KIND_SYSTEM, kind)],
            "title": text.title,
            "subject": about,
            "careTeam": [{"reference": team}],
            "goal": [{"reference": goal}],
            "addresses": [{"reference": condition}],
            "supportingInfo": [{"reference": function}],
            "activity": [{"reference": {"reference": name}} for name in (appointment, *asked)],
        },
        team: {
            "status": "active",
            "subject": about,
            "participant": [{"role": [_coded(TEAM_ROLE_SYSTEM, role)], "member": _party(author)}],
        },
        goal: {"lifecycleStatus": "proposed", "description": {"text": text.goal}, "subject": about},
        condition: {"code": {"text": text.condition}, "subject": about},
        function: {
            "status": "final",
            "code": {"text": "ADL"},
            "subject": about,
            "effectiveDateTime": instant_text(on),
            "valueString": text.function,
        },
        appointment: _appointment(about, author, asked, called, meeting),
    }
    for name, party in zip(asked, called, strict=True):
        graph[name] = _task(
            plan,
            about,
            author,
            party,
            text.meeting,
            text.attending,
            on,
            meeting + MEETING_LASTS,
            focus=appointment,
        )
    return {name: _named(name, found) for name, found in graph.items()}


def _appointment(
    about: Resource, author: str, asked: Iterable[str], called: Iterable[str], meeting: datetime
) -> Resource:
    who = [about, _party(author), *(_party(party) for party in called)]
    return {
        "status": "proposed",
        "serviceType": [_coded(EVENT_SYSTEM, NoticeKind.SIP_CALL)],
        "participant": [{"actor": one, "status": "needs-action"} for one in who],
    } | _times(meeting)


def _times(meeting: datetime) -> Resource:
    return {"start": instant_text(meeting), "end": instant_text(meeting + MEETING_LASTS)}


def _task(
    plan: str,
    about: Resource,
    author: str,
    owner: str,
    what: str,
    performer: str,
    on: datetime,
    due: datetime,
    *,
    focus: str,
) -> Resource:
    return {
        "status": "requested",
        "intent": "order",
        "code": {"text": what},
        "performerType": [{"text": performer}],
        "focus": {"reference": focus},
        "basedOn": [{"reference": plan}],
        "for": about,
        "authoredOn": instant_text(on),
        "requester": _party(author),
        "owner": _party(owner),
        "restriction": {"period": {"end": instant_text(due)}},
    }


def at_other_time(graph: Graph, names: Names, meeting: datetime, *, status: str = "booked") -> Graph:
    """The plan with its meeting at another time, or held (`fulfilled`)."""
    name = names.of("Appointment", "meeting")
    return graph | {name: graph[name] | _times(meeting) | {"status": status}}


def with_measures(
    graph: Graph, names: Names, measures: Iterable[Measure], *, author: str, on: datetime, follow_up: datetime
) -> Graph:
    """The plan with what each party is asked to do, and the day of the meeting that follows it up."""
    plan = names.of("CarePlan", "plan")
    about = graph[plan]["subject"]
    made: Graph = {}
    for one in measures:
        request, task = names.of("ServiceRequest", one.key), names.of("Task", one.key)
        made[request] = {
            "status": "active",
            "intent": "plan",
            "code": {"text": one.what},
            "subject": about,
            "basedOn": [{"reference": plan}],
            "performer": [_party(one.owner)],
            "occurrencePeriod": {"start": instant_text(on), "end": instant_text(one.due)},
        }
        made[task] = _task(
            plan, about, author, one.owner, one.what, one.performer, on, one.due, focus=request
        )
    made[names.of("ServiceRequest", "follow-up")] = {
        "status": "active",
        "intent": "plan",
        "code": _coded(FOLLOW_UP_SYSTEM, "sip-meeting"),
        "subject": about,
        "occurrenceDateTime": follow_up.date().isoformat(),
    }
    activities = [*graph[plan]["activity"], *({"reference": {"reference": name}} for name in made)]
    added = {name: _named(name, found) for name, found in made.items()}
    return graph | {plan: graph[plan] | {"activity": activities}} | added


def as_message(
    message: Bundle, graph: Graph, plan: str, parties: Mapping[str, Resource], *, based_on: int | None
) -> Bundle:
    """The message, which has a CarePlan of its own, with the graph in its place.

    `parties` are the Organizations that the graph refers to, by party id. `based_on` is the version of the
    plan that this one is made from; None for the first.
    """
    head = header(message)
    assert head is not None
    subject = next(i for i in message["entry"] if i["resource"]["resourceType"] == "Patient")
    ways = {str(graph[plan]["subject"]["reference"]): subject["fullUrl"]}
    head["focus"] = [{"reference": _BASE + plan}]
    if based_on is not None:
        with_extension(head, "based-on", "String", f"{plan}/_history/{based_on}")
    kept = [i for i in message["entry"] if i["resource"]["resourceType"] != "CarePlan"]
    named = graph | {f"Organization/{party}": found for party, found in parties.items()}
    added = [
        {"fullUrl": _BASE + name, "resource": _led(_unversioned(found), ways)}
        for name, found in named.items()
    ]
    return message | {"entry": [*kept, *added]}


def with_focus(message: Bundle, fhir_id: str) -> Bundle:
    """The message with this id on the resource in focus: a later message about it is its next version."""
    head = header(message)
    assert head is not None
    was, now = head["focus"][0]["reference"], f"urn:uuid:{fhir_id}"
    entries = [_led(item, {was: now}) for item in message["entry"]]
    focus = next(item for item in entries if item["fullUrl"] == was)
    focus |= {"fullUrl": now, "resource": focus["resource"] | {"id": fhir_id}}
    return message | {"entry": entries}


def references(found: Any) -> Iterable[str]:
    """Every `Type/id` that a resource refers to, in the order in which it does."""
    if isinstance(found, dict):
        if isinstance(found.get("reference"), str):
            yield found["reference"]
        for value in found.values():
            yield from references(value)
    elif isinstance(found, list):
        for item in found:
            yield from references(item)


def _led(found: Any, ways: Mapping[str, str]) -> Any:
    if isinstance(found, dict):
        made = {key: _led(value, ways) for key, value in found.items()}
        target = made.get("reference")
        return made | ({"reference": ways[target]} if isinstance(target, str) and target in ways else {})
    return [_led(item, ways) for item in found] if isinstance(found, list) else found


def _unversioned(resource: Resource) -> Resource:
    """Without what the adapter said of its version."""
    return {key: value for key, value in resource.items() if key != "meta"}


def _named(name: str, content: Resource) -> Resource:
    kind, _, fhir_id = name.partition("/")
    return {"resourceType": kind, "id": fhir_id, **content}


def _coded(system: str, code: str) -> Resource:
    return {"coding": [{"system": system, "code": str(code)}]}


def _party(party: str) -> Resource:
    return {"reference": f"Organization/{party}"}
