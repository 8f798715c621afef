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
    question: str  # of a form about function, and the answer
    answer: str
    medication: str
    next_of_kin: tuple[str, str]  # name, relation
    meeting: str  # what a party is asked to do with regard to the meeting
    attending: str  # in which role


@dataclass(frozen=True, kw_only=True, slots=True)
class Names:
    """The ids of one plan's parts: UUIDs by what each is."""

    ids: Mapping[str, str]

    def of(self, kind: str, key: str) -> str:
        """`Type/id`."""
        return f"{kind}/{self.ids[f'{kind}/{key}']}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """What the first version of a plan is made from.

    `patient` is `Patient/<pseudonym>`; `author` and `called` are party ids; `role` is the author's, a code of
    CodeSystem/care-team-roles. Each of `called` is asked to come to the meeting.
    """

    names: Names
    kind: PlanKind
    text: PlanText
    patient: str
    author: str
    role: str
    on: datetime
    meeting: datetime
    called: tuple[str, ...]

    @property
    def about(self) -> Resource:
        """The patient, as the parts of the plan refer to it."""
        return {"reference": self.patient}

    def graph(self) -> Graph:
        """All of its parts."""
        parts = self._who() | self._why() | self._known() | self._meeting()
        whole = {self.names.of("CarePlan", "plan"): self._plan()} | parts
        return {name: _named(name, found) for name, found in whole.items()}

    def _plan(self) -> Resource:
        meeting = [{"reference": {"reference": name}} for name in self._meeting()]
        return {
            "status": "draft",
            "intent": "plan",
            "category": [_coded(EVENT_SYSTEM, NoticeKind.CARE_PLAN), _coded(PLAN_KIND_SYSTEM, self.kind)],
            "title": self.text.title,
            "subject": self.about,
            "careTeam": [{"reference": self.names.of("CareTeam", "team")}],
            "goal": [{"reference": self.names.of("Goal", "goal")}],
            "addresses": [{"reference": self.names.of("Condition", "condition")}],
            "supportingInfo": [{"reference": name} for name in self._known()],
            "activity": meeting,
        }

    def _who(self) -> Graph:
        kin, (name, relation) = self.names.of("RelatedPerson", "next-of-kin"), self.text.next_of_kin
        leads = {"role": [_coded(TEAM_ROLE_SYSTEM, self.role)], "member": _party(self.author)}
        near = {"role": [{"text": relation}], "member": {"reference": kin}}
        return {
            self.names.of("CareTeam", "team"): {
                "status": "active", "subject": self.about, "participant": [leads, near],
            },
            kin: {"patient": self.about, "relationship": [{"text": relation}], "name": [{"text": name}]},
        }  # fmt: skip

    def _why(self) -> Graph:
        goal = {"lifecycleStatus": "proposed", "description": {"text": self.text.goal}}
        return {
            self.names.of("Goal", "goal"): goal | {"subject": self.about},
            self.names.of("Condition", "condition"): {
                "code": {"text": self.text.condition}, "subject": self.about,
            },
        }  # fmt: skip

    def _known(self) -> Graph:
        """The patient's functioning and medication when the planning begins."""
        on, text = instant_text(self.on), self.text
        item = {"linkId": "1", "text": text.question, "answer": [{"valueString": text.answer}]}
        return {
            self.names.of("Observation", "function"): {
                "status": "final", "code": {"text": "ADL"}, "subject": self.about,
                "effectiveDateTime": on, "valueString": text.function,
            },
            self.names.of("QuestionnaireResponse", "function"): {
                "status": "completed", "subject": self.about, "authored": on, "item": [item],
            },
            self.names.of("MedicationStatement", "medication"): {
                "status": "active", "medicationCodeableConcept": {"text": text.medication},
                "subject": self.about, "dateAsserted": on,
            },
        }  # fmt: skip

    def _meeting(self) -> Graph:
        appointment, plan = self.names.of("Appointment", "meeting"), self.names.of("CarePlan", "plan")
        who = [self.about, *(_party(party) for party in (self.author, *self.called))]
        made: Graph = {
            appointment: {
                "status": "proposed",
                "serviceType": [_coded(EVENT_SYSTEM, NoticeKind.SIP_CALL)],
                "participant": [{"actor": one, "status": "needs-action"} for one in who],
            }
            | _times(self.meeting)
        }
        for party in self.called:
            measure = Measure(
                key=f"meeting/{party}",
                what=self.text.meeting,
                owner=party,
                performer=self.text.attending,
                due=self.meeting + MEETING_LASTS,
            )
            made[self.names.of("Task", measure.key)] = _task(
                measure, plan, self.about, self.author, self.on, focus=appointment
            )
        return made


def _times(meeting: datetime) -> Resource:
    return {"start": instant_text(meeting), "end": instant_text(meeting + MEETING_LASTS)}


def _task(measure: Measure, plan: str, about: Resource, author: str, on: datetime, *, focus: str) -> Resource:
    return {
        "status": "requested",
        "intent": "order",
        "code": {"text": measure.what},
        "performerType": [{"text": measure.performer}],
        "focus": {"reference": focus},
        "basedOn": [{"reference": plan}],
        "for": about,
        "authoredOn": instant_text(on),
        "requester": _party(author),
        "owner": _party(measure.owner),
        "restriction": {"period": {"end": instant_text(measure.due)}},
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
        request = names.of("ServiceRequest", one.key)
        made[request] = _request(one, plan, about, on)
        made[names.of("Task", one.key)] = _task(one, plan, about, author, on, focus=request)
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


def _request(measure: Measure, plan: str, about: Resource, on: datetime) -> Resource:
    return {
        "status": "active",
        "intent": "plan",
        "code": {"text": measure.what},
        "subject": about,
        "basedOn": [{"reference": plan}],
        "performer": [_party(measure.owner)],
        "occurrencePeriod": {"start": instant_text(on), "end": instant_text(measure.due)},
    }


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
