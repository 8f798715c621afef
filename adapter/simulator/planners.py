"""Three who plan together, each at its own machine, and a tale that they play over HTTP.

An actor knows only what it has been told and what it has found at /fhir. It polls, reads what it is about to
change, and changes that version; where somebody was quicker, it reads again and puts both together.
"""

import random
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, tzinfo
from typing import Any

from adapter.discharge.notices import Meeting, Notice, NoticeKind, Standing
from adapter.errors import NotFound
from adapter.fhir.asking import is_asked
from adapter.fhir.bundles import Bundle, Resource, Subject, instant_text
from adapter.fhir.negotiating import NEGOTIATION_SYSTEM, OTHER_DAY
from adapter.fhir.notices import message_bundle
from adapter.messaging.acknowledgement import Status
from adapter.messaging.envelope import Address
from adapter.phrases import technical
from adapter.simulator.clients import Answer, FhirClient
from adapter.simulator.joint_plans import (
    ELSEWHERE,
    MEETING_LASTS,
    Draft,
    Graph,
    Measure,
    Names,
    as_message,
    at_other_time,
    references,
    with_focus,
    with_measures,
)
from adapter.simulator.memory import verdict_in
from adapter.simulator.sip import (
    Ask,
    Begin,
    Deed,
    Edit,
    EditAtOnce,
    Negotiate,
    Propose,
    Receive,
    Role,
    Step,
    Tale,
    Tell,
)

K = NoticeKind

POLLED = ("CarePlan", "Task", "CareTeam", "Appointment", "EpisodeOfCare")
"""The types that an actor looks for news of."""

_NAMESPACE = uuid.UUID("7f3d1c52-9f0a-5e6b-8d53-2a1c60f4b9d7")
_OVERLAP = timedelta(seconds=5)  # what was taken first may be written later
_NAMES_THE_CONTACT = (K.FIXED_CONTACT_NAMED, K.COORDINATOR_NAMED)
_CONFLICT = 412
_TRIES = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Post:
    """What an actor has sent, and what the adapter said to it."""

    step: str
    by: str  # party ids
    to: tuple[str, ...]
    status: int
    receipted: bool = False  # what was changed at /fhir is answered with its new version instead
    code: str | None = None  # of an OperationOutcome

    @property
    def taken(self) -> bool:
        """Whether the adapter has taken responsibility."""
        return self.status == 200

    @property
    def refused(self) -> bool:
        """Whether the adapter will not take it, or has told of a newer version first."""
        return self.status >= 400

    @property
    def held(self) -> bool:
        """Whether the adapter keeps it back until a person has put something right."""
        return self.status == 202


class Actor:
    """One party's machine."""

    def __init__(self, *, party: str, address: Address, client: FhirClient) -> None:
        self.party = party
        self.address = address
        self.client = client
        self.patient: str | None = None  # `Patient/<pseudonym>`
        self.desk: dict[str, Resource] = {}  # the newest that it has seen, by `Type/id`
        self.versions: dict[str, list[str]] = {}  # of each, in the order in which it saw them
        self._since: dict[str, datetime] = {}

    def poll(self, subject: Subject, kinds: tuple[str, ...] = POLLED) -> None:
        """Look for what is new about one patient."""
        if self.patient is None and not self._finds(subject):
            return
        for kind in kinds:
            said = {"patient": str(self.patient).partition("/")[2], "_sort": "_lastUpdated"}
            if kind in self._since:
                said["_lastUpdated"] = f"ge{instant_text(self._since[kind] - _OVERLAP)}"
            for found in self.client.search(kind, **said):
                self._put(found)

    def _finds(self, subject: Subject) -> bool:
        system, value = subject.identifiers[0]
        for found in self.client.search("Patient", identifier=f"{system}|{value}"):
            self.patient = f"Patient/{found['id']}"
        return self.patient is not None

    def _put(self, found: Resource) -> None:
        name, meta = f"{found['resourceType']}/{found['id']}", found["meta"]
        self.desk[name] = found
        seen = self.versions.setdefault(name, [])
        if meta["versionId"] not in seen:
            seen.append(meta["versionId"])
        at = datetime.fromisoformat(meta["lastUpdated"])
        kind = found["resourceType"]
        self._since[kind] = max(self._since.get(kind, at), at)

    def newest(self, name: str) -> Resource:
        """`Type/id` as it is now."""
        found = self.client.read(name, known=self.desk.get(name))
        if found is None:
            raise NotFound(
                technical(f"{self.party} does not find {name.partition('/')[0]} at /fhir any more")
            )
        self._put(found)
        return found

    def of(self, kind: str) -> list[Resource]:
        """Everything of a type that lies on its desk."""
        return [found for name, found in self.desk.items() if name.startswith(f"{kind}/")]

    def task(self, what: str) -> Resource:
        """The plan's Task that asks for this, as it is now."""
        for found in self.of("Task"):
            if (found.get("code") or {}).get("text") == what:
                return self.newest(f"Task/{found['id']}")
        raise NotFound(technical(f"{self.party} has no such Task at /fhir"))

    def question(self) -> Resource:
        """What the hospital asks it about a patient who is ready."""
        for found in self.of("Task"):
            if is_asked(found) and found["status"] == "requested":
                return self.newest(f"Task/{found['id']}")
        raise NotFound(technical(f"{self.party} has been asked nothing at /fhir"))

    def plan(self) -> Resource:
        """The joint plan, as it is now."""
        for found in self.of("CarePlan"):
            return self.newest(f"CarePlan/{found['id']}")
        raise NotFound(technical(f"{self.party} has no plan at /fhir"))

    def graph(self) -> Graph:
        """The plan with everything that it leads to, as it is now."""
        plan = self.plan()
        found: Graph = {f"CarePlan/{plan['id']}": plan}
        waiting = list(references(plan))
        while waiting:
            name = waiting.pop(0)
            if name in found or name.partition("/")[0] in ELSEWHERE:
                continue
            found[name] = self.newest(name)
            waiting += references(found[name])
        return found

    def parties(self, graph: Graph) -> dict[str, Resource]:
        """The Organizations that a plan refers to, by party id."""
        named = [n.partition("/") for found in graph.values() for n in references(found)]
        ids = dict.fromkeys(fhir_id for kind, _, fhir_id in named if kind == "Organization")
        found = {one: self.client.read(f"Organization/{one}") for one in ids}
        return {one: made for one, made in found.items() if made is not None}


@dataclass
class Scene:
    """A tale with its actors and its patient; `play` plays it step by step.

    `pace` is told how long after the admission a step is, waits until then, and says what time it is.
    `speed` says how many seconds of the tale pass in one. `polling` decides who looks for news when.
    """

    tale: Tale
    actors: Mapping[Role, Actor]
    subject: Subject
    stay: str  # the hospital's id of it; ids of messages are derived from it
    pace: Callable[[timedelta], datetime]
    zone: tzinfo
    polling: random.Random
    speed: float = 1.0
    posts: list[Post] = field(default_factory=list)
    conflicts: int = 0
    _began: datetime | None = None
    _latest: dict[tuple[str, NoticeKind], str] = field(default_factory=dict)

    def play(self, after_each: Callable[[Step], None] = lambda _: None) -> None:
        """Every step in its order."""
        for step in self.tale.steps:
            self.perform(step)
            after_each(step)

    def perform(self, step: Step) -> None:
        """One step, at its time."""
        now = self.pace(step.after / self.speed)
        if self._began is None:
            self._began = now
        self._look_around()
        actor = self.actors[step.who]
        actor.poll(self.subject)
        self._do(step, actor, step.does, now)

    def _look_around(self) -> None:
        """Some of the actors look for news, in some order, at some types."""
        for actor in self.polling.sample(
            list(self.actors.values()), self.polling.randint(0, len(self.actors))
        ):
            actor.poll(self.subject, tuple(self.polling.sample(POLLED, self.polling.randint(1, len(POLLED)))))

    def moment(self, hours: float) -> datetime:
        """So many hours of the tale after the admission."""
        assert self._began is not None
        return self._began + timedelta(hours=hours) / self.speed

    def _do(self, step: Step, actor: Actor, deed: Deed, now: datetime) -> None:
        match deed:
            case Tell():
                self._tell(step, actor, deed, now)
            case Begin():
                self._begin(step, actor, deed, now)
            case Propose():
                self._propose(step, actor, deed, now)
            case Negotiate():
                self._negotiate(step, actor, deed)
            case Receive():
                on = {"start": self.moment(deed.on).astimezone(self.zone).date().isoformat()}
                answered = actor.question() | {"status": deed.status, "executionPeriod": on}
                self._change(step, actor, answered, to=(self.actors[Role.HOSPITAL].party,))
            case Edit():
                self._edit(step, actor, deed)
            case EditAtOnce():
                self._edit_at_once(step, actor, deed)

    # --- messages ---

    def _id(self, *about: str) -> str:
        return str(uuid.uuid5(_NAMESPACE, "/".join((self.stay, *about))))

    def message_id(self, step: Step) -> str:
        """Of the message by which a step is told."""
        return self._id("message", step.name)

    def _tell(self, step: Step, actor: Actor, deed: Tell, now: datetime) -> None:
        notice = self._notice(step, actor, deed.kind, deed.to, now)
        said: dict[str, Any] = dict(deed.said)
        if deed.kind is K.READY_FOR_DISCHARGE:
            said["ready"] = now
        if deed.kind in _NAMES_THE_CONTACT:
            said["contact"] = actor.address.token
        if deed.meeting is not None:
            starts = self.moment(deed.meeting)
            said["meeting"] = Meeting(starts=starts, ends=starts + MEETING_LASTS, status="booked")
        if deed.planned is not None:
            said["planned_discharge"] = self.moment(deed.planned).astimezone(self.zone).date()
        if deed.corrects:
            said |= {"standing": Standing.CORRECTION, "refers_to": self._latest[actor.party, deed.kind]}
        self._latest[actor.party, deed.kind] = notice.message_id
        message = self._message(replace(notice, **said), deed.to)
        if deed.kind is K.SIP_CALL:
            message = with_focus(message, self._id("call"))
        self._send(step, actor, deed.to, message)

    def _notice(
        self, step: Step, actor: Actor, kind: NoticeKind, to: tuple[Role, ...], now: datetime
    ) -> Notice:
        return Notice(
            kind=kind,
            message_id=self.message_id(step),
            sent_at=now,
            occurred=now,
            sender=actor.address.token,
            receivers=tuple(self.actors[role].address.token for role in to),
            hospital=self.actors[Role.HOSPITAL].address.token,
            encounter=self.stay,
            admitted=self._began,
        )

    def _message(self, notice: Notice, to: tuple[Role, ...]) -> Bundle:
        sender = next(a.address for a in self.actors.values() if a.address.token == notice.sender)
        return message_bundle(
            notice,
            subject=self.subject,
            sender=sender,
            receivers=[self.actors[role].address for role in to],
            hospital=self.actors[Role.HOSPITAL].address,
            transmission_id=str(uuid.uuid5(_NAMESPACE, notice.message_id)),
        )

    def _send(self, step: Step, actor: Actor, to: tuple[Role, ...], message: Bundle) -> None:
        answer = actor.client.tell(message)
        self._note(step, actor, tuple(self.actors[role].party for role in to), answer)

    def _note(self, step: Step, actor: Actor, to: tuple[str, ...], answer: Answer) -> None:
        _, verdict = verdict_in(answer.body)
        self.posts.append(
            Post(
                step=step.name,
                by=actor.party,
                to=to,
                status=answer.status,
                receipted=verdict is Status.ACCEPTED or ("meta" in answer.body and answer.status == 200),
                code=answer.code,
            )
        )

    # --- the plan ---

    @property
    def names(self) -> Names:
        """The ids of the plan's parts, as its author gives them."""
        keys = [
            "CarePlan/plan",
            "CareTeam/team",
            "Goal/goal",
            "Condition/condition",
            "Observation/function",
            "QuestionnaireResponse/function",
            "MedicationStatement/medication",
            "RelatedPerson/next-of-kin",
            "Appointment/meeting",
            "ServiceRequest/follow-up",
            *(f"Task/meeting/{actor.party}" for actor in self.actors.values()),
        ]
        for step in self.tale.steps:
            if isinstance(step.does, Propose):
                keys += [f"{kind}/{a.key}" for a in step.does.asks for kind in ("ServiceRequest", "Task")]
        return Names(ids={key: self._id("plan", key) for key in keys})

    def _begin(self, step: Step, actor: Actor, deed: Begin, now: datetime) -> None:
        if actor.patient is None:
            raise NotFound(technical(f"{actor.party} does not find the patient at /fhir"))
        draft = Draft(
            names=self.names,
            kind=self.tale.kind,
            text=self.tale.text,
            patient=actor.patient,
            author=actor.party,
            role=self.tale.leads_as,
            on=now,
            meeting=self.moment(deed.meeting),
            called=tuple(self.actors[role].party for role in deed.called),
        )
        self._share(step, actor, deed.to, draft.graph(), now, based_on=None)

    def _propose(self, step: Step, actor: Actor, deed: Propose, now: datetime) -> None:
        graph = actor.graph()
        plan = graph[self.names.of("CarePlan", "plan")]
        held = at_other_time(graph, self.names, self.moment(deed.meeting), status="fulfilled")
        whole = with_measures(
            held,
            self.names,
            [self._measure(ask) for ask in deed.asks],
            author=actor.party,
            on=now,
            follow_up=self.moment(deed.follow_up).astimezone(self.zone),
        )
        self._share(step, actor, deed.to, whole, now, based_on=int(plan["meta"]["versionId"]))

    def _measure(self, ask: Ask) -> Measure:
        return Measure(
            key=ask.key,
            what=ask.what,
            owner=self.actors[ask.owner].party,
            performer=ask.performer,
            due=self.moment(ask.due),
        )

    def _share(
        self,
        step: Step,
        actor: Actor,
        to: tuple[Role, ...],
        graph: Graph,
        now: datetime,
        *,
        based_on: int | None,
    ) -> None:
        message = self._message(self._notice(step, actor, K.CARE_PLAN, to, now), to)
        plan = self.names.of("CarePlan", "plan")
        self._send(step, actor, to, as_message(message, graph, plan, actor.parties(graph), based_on=based_on))

    def _negotiate(self, step: Step, actor: Actor, deed: Negotiate) -> None:
        task = actor.task(self._what(deed.task)) | {"status": deed.status}
        if deed.reason is not None:
            task |= {"statusReason": {"text": deed.reason}}
        if deed.due is not None:
            task |= {"restriction": {"period": {"end": instant_text(self.moment(deed.due))}}}
        if deed.other_day is not None:
            coding = {"system": NEGOTIATION_SYSTEM, "code": OTHER_DAY}
            task |= {
                "businessStatus": {"coding": [coding]},
                "executionPeriod": {"start": instant_text(self.moment(deed.other_day))},
            }
        self._change(step, actor, task)

    def _what(self, key: str) -> str:
        """By which words a Task of the plan is known to those who only read it."""
        asks = [a for s in self.tale.steps if isinstance(s.does, Propose) for a in s.does.asks]
        return next((a.what for a in asks if a.key == key), self.tale.text.meeting)

    def _edit(self, step: Step, actor: Actor, edit: Edit) -> None:
        self._change(step, actor, _edited(actor.plan(), edit, actor.party))

    def _edit_at_once(self, step: Step, actor: Actor, deed: EditAtOnce) -> None:
        other = self.actors[deed.other]
        other.poll(self.subject)
        read = [(actor, deed.own, actor.plan()), (other, deed.others, other.plan())]
        self.polling.shuffle(read)
        for who, edit, plan in read:
            self._change_of_one(step, who, edit, plan)

    def _change_of_one(self, step: Step, actor: Actor, edit: Edit, plan: Resource) -> None:
        for _ in range(_TRIES):
            self._change(step, actor, _edited(plan, edit, actor.party))
            if self.posts[-1].status != _CONFLICT:
                return
            self.conflicts += 1
            plan = actor.plan()

    def _change(self, step: Step, actor: Actor, changed: Resource, to: tuple[str, ...] | None = None) -> None:
        others = tuple(one.party for one in self.actors.values() if one is not actor)
        self._note(step, actor, others if to is None else to, actor.client.change(changed))


def _edited(plan: Resource, edit: Edit, party: str) -> Resource:
    said = {key: value for key, value in (("title", edit.title), ("status", edit.status)) if value}
    if edit.note is None:
        return plan | said
    note = {"authorReference": {"reference": f"Organization/{party}"}, "text": edit.note}
    return plan | said | {"note": [*(plan.get("note") or ()), note]}
