"""A described case, read from a scenario document, with its deadlines and payment and the basis of each.

This is what `discharge-adapter explain` prints. The document is the contract of docs/deadlines.md; a mistake
in it is a ConfigurationError that names the event and the key. The described case is one stay; events of
another stay of the same patient name it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from typing import Any, TypeVar

from adapter.discharge.agreement import Agreement, agreement, country, read_accord
from adapter.discharge.case import Evidence, Fact, Step
from adapter.discharge.explaining import explained, following
from adapter.discharge.notices import (
    YEARS,
    AnswerValue,
    Decliner,
    Meeting,
    Notice,
    NoticeKind,
    Plan,
    PlanKind,
    PlanTask,
    Standing,
    local_date,
)
from adapter.discharge.pathways import NOTHING, TABLES, read_own
from adapter.discharge.readmission import courses, links
from adapter.discharge.rulefile import Table
from adapter.discharge.rules import ROLES
from adapter.errors import ConfigurationError

Document = Mapping[str, Any]

Word = TypeVar("Word", bound=StrEnum)

_STEPS = {"delivered_at": Step.DELIVERED, "accepted_at": Step.ACCEPTED, "seen_at": Step.SEEN}
_TIMES = ("at", "sent_at", *_STEPS)
_PARTIES = ("sender", "by", "receiver")
_OF_KIND = {
    "acute": NoticeKind.ADMITTED,
    "report_wanted": NoticeKind.ADMITTED,
    "answer": NoticeKind.ANSWER,
    "receive_from": NoticeKind.ANSWER,
    "available": NoticeKind.OPEN_CARE_AVAILABILITY,
    "ready": NoticeKind.READY_FOR_DISCHARGE,
    "estimate": NoticeKind.READY_FOR_DISCHARGE,
    "sip_needed": NoticeKind.READY_FOR_DISCHARGE,
    "psychiatric": NoticeKind.READY_FOR_DISCHARGE,
    "fulfils": NoticeKind.FOLLOWED_UP,
    "placement": NoticeKind.PLACED,
    "off": NoticeKind.PLACED,
    "refused": NoticeKind.CONSENT_WITHDRAWN,
    "declined_by": NoticeKind.SIP_DECLINED,
    "meeting": NoticeKind.SIP_CALL,
    "plan": NoticeKind.CARE_PLAN,
}
_NAMES_A_DAY = (NoticeKind.DISCHARGE_REPORT, NoticeKind.DISCHARGE_SUMMARY, NoticeKind.CARE_PLAN)
_KEYS = ("kind", *_TIMES, *_PARTIES, *_OF_KIND, "planned_discharge", "follow_up", "stay")
_AGREEMENT = ("base", "terms", "accords", *TABLES)
_SENDERS = {
    NoticeKind.ANSWER: "municipality",
    NoticeKind.REPORT_OF_ADMISSION: "municipality",
    NoticeKind.SERVICES_GRANTED: "municipality",
    NoticeKind.SIP_REQUESTED: "municipality",
    NoticeKind.OPEN_CARE_AVAILABILITY: "open-care",
    NoticeKind.FIXED_CONTACT_NAMED: "open-care",
    NoticeKind.SIP_CALL: "fixed-care-contact",
    NoticeKind.BEYOND_CONTROL: "municipality",
}
"""Who sends a notice that names no sender; the hospital everything else."""


def explain(document: Document) -> dict[str, Any]:
    """The deadlines and the payment of the described case, ready to be printed as JSON.

    ConfigurationError where the document cannot be read: which event, which key, and what to write.
    """
    document = _object(document, "scenario")
    _known(document, ("title", "agreement", "now", "events"), "scenario")
    terms = _agreement(document)
    now = _instant(document, "now", "scenario")
    facts, roles = _facts(document, terms)
    _in_force(facts, terms)
    cases = courses(facts, terms, roles)
    if not cases:
        return explained(None, terms, now, roles)
    found, numbers = links(cases, terms, roles), range(1, len(cases) + 1)
    first, *later = [
        explained(case, terms, now, roles) | following(found, place, numbers, terms)
        for place, case in enumerate(cases)
    ]
    return first | {"later": [{"case": number, **told} for number, told in enumerate(later, start=2)]}


def _in_force(facts: Iterable[Fact], terms: Agreement) -> None:
    """A regime that has ended refuses what begins after its last day, and a case that lies after it."""
    country = terms.country
    if country.valid_to is None:
        return
    starting = {rule.trigger.notice for rule in country.rules}
    told = [(local_date(fact.occurred, terms.zone), fact) for fact in facts if isinstance(fact, Notice)]
    all_after = bool(told) and min(day for day, _ in told) > country.valid_to
    for day, fact in told:
        if day > country.valid_to and (all_after or fact.kind in starting):
            raise ConfigurationError(
                f"agreement {country.name!r}: {country.ended}; nothing can start after {country.valid_to},"
                f" and {fact.kind} is of {day}"
            )


# --- reading the document ---------------------------------------------------------------------------------


def _agreement(document: Document) -> Agreement:
    named = document.get("agreement")
    if isinstance(named, str):
        return agreement(named)
    if not isinstance(named, Mapping):
        raise ConfigurationError(
            'scenario: agreement: must be a name, like "sweden", or {"base": NAME, "terms": {…}}'
        )
    _known(named, _AGREEMENT, "scenario, agreement")
    base = named.get("base")
    if not isinstance(base, str):
        raise ConfigurationError('scenario, agreement: base: must be a name, like "sweden"')
    terms = _object(named.get("terms", {}), "scenario, agreement, terms")
    accords = named.get("accords", [])
    if not isinstance(accords, list):
        raise ConfigurationError("scenario, agreement: accords: must be a list")
    tables = (Table(one, f"scenario, agreement, accords[{n}]") for n, one in enumerate(accords))
    own = {key: named[key] for key in TABLES if key in named}
    follow_ups = read_own(Table(own, "scenario, agreement"), country(base)) if own else NOTHING
    return agreement(base, terms, [read_accord(table) for table in tables], follow_ups)


def _facts(document: Document, terms: Agreement) -> tuple[list[Fact], dict[str, str]]:
    events = document.get("events")
    if not isinstance(events, list):
        raise ConfigurationError("scenario: events: must be a list")
    described = [_Event(_object(e, f"events[{n}]"), n, f"events[{n}]") for n, e in enumerate(events)]
    roles: dict[str, str] = {}
    for event in described:
        roles |= event.roles()
    usual = {role: next((p for p, r in roles.items() if r == role), role) for role in ROLES}
    roles |= {party: role for role, party in usual.items()}
    facts = [fact for event in described for fact in event.facts(usual, terms)]
    return _taken_off(facts, described), roles


def _taken_off(facts: list[Fact], described: list["_Event"]) -> list[Fact]:
    """The facts, with every taking off tied to the placement that it takes back."""
    off = {f"event-{e.number:04d}": e.where for e in described if e.content.get("off")}
    made = list(facts)
    for number, fact in enumerate(facts):
        if not isinstance(fact, Notice) or fact.message_id not in off:
            continue
        before = [
            f
            for f in facts
            if isinstance(f, Notice)
            and f.placement == fact.placement
            and f.message_id not in off
            and (f.sent_at, f.message_id) < (fact.sent_at, fact.message_id)
        ]
        last = max(before, key=lambda f: (f.sent_at, f.message_id), default=None)
        if last is None:
            raise ConfigurationError(
                f"{off[fact.message_id]}: off: the case has not been placed on {fact.placement!r} before"
            )
        made[number] = replace(
            fact, sender=last.sender, standing=Standing.CANCELLATION, refers_to=last.message_id
        )
    return made


@dataclass(frozen=True, slots=True)
class _Event:
    """One event of a scenario, while it is read."""

    content: Document
    number: int
    where: str

    @property
    def kind(self) -> NoticeKind:
        return self._one_of("kind", NoticeKind)

    def roles(self) -> dict[str, str]:
        """The parties that the event names, each with its role."""
        named = [*self._named("sender"), *self._named("by"), *self._named("receiver"), *self._owners()]
        return dict(named)

    def _owners(self) -> Iterator[tuple[str, str]]:
        """The parties that own a task of the plan, where they can be read; `_task` says what cannot."""
        plan = self.content.get("plan")
        tasks = plan.get("tasks") if isinstance(plan, Mapping) else None
        for task in tasks if isinstance(tasks, list) else ():
            if isinstance(task, Mapping):
                yield from _Event(task, self.number, f"{self.where}, plan, tasks")._named("owner")

    def facts(self, usual: Mapping[str, str], terms: Agreement) -> list[Fact]:
        """The notice, and what is known of its way to each receiver; `usual` is who has a role if unsaid."""
        notice = self._notice(usual, terms)
        made: list[Fact] = [notice]
        for key, step in _STEPS.items():
            if self.content.get(key) is None:
                continue
            at = _instant(self.content, key, self.where)
            made.extend(
                Evidence(step=step, message_id=notice.message_id, sender=notice.sender, party=party, at=at)
                for party in notice.receivers
            )
        return made

    def _notice(self, usual: Mapping[str, str], terms: Agreement) -> Notice:
        kind, content = self.kind, self.content
        self._check_keys(kind)
        at = _instant(content, "at", self.where)
        senders = [party for party, _ in (*self._named("sender"), *self._named("by"))]
        sender = senders[0] if senders else usual[_SENDERS.get(kind, "hospital")]
        receivers = [party for party, _ in self._named("receiver")]
        if not receivers:
            receivers = [usual["municipality" if sender == usual["hospital"] else "hospital"]]
        return Notice(
            kind=kind,
            message_id=f"event-{self.number:04d}",  # events at one instant keep their order
            occurred=at,
            sent_at=at if content.get("sent_at") is None else _instant(content, "sent_at", self.where),
            sender=sender,
            receivers=tuple(receivers),
            hospital=self._hospital(sender, usual),
            encounter=self._stay(),
            ready=self._day("ready"),
            planned_discharge=self._day("planned_discharge"),
            receive_from=self._day("receive_from"),
            answer=self._one_of("answer", AnswerValue) if kind is NoticeKind.ANSWER else None,
            open_care_available=self._flag("available", required=kind is NoticeKind.OPEN_CARE_AVAILABILITY),
            estimate=bool(self._flag("estimate")),
            sip_needed=bool(self._flag("sip_needed")),
            psychiatric=bool(self._flag("psychiatric")),
            report_wanted=bool(self._flag("report_wanted")),
            follow_up=self._day("follow_up"),
            acute=self._flag("acute"),
            fulfils=self._fulfils(terms),
            placement=self._placement(at, terms) if kind is NoticeKind.PLACED else None,
            refused=bool(self._flag("refused")),
            declined_by=self._one_of("declined_by", Decliner) if "declined_by" in content else None,
            meeting=self._meeting(),
            plan=self._plan(sender),
        )

    def _meeting(self) -> Meeting | None:
        if self.content.get("meeting") is None:
            return None
        return Meeting(starts=_instant(self.content, "meeting", self.where))

    def _plan(self, sender: str) -> Plan | None:
        """The plan of a care plan, `{"kind", "status", "id", "tasks"}`; each may be left out."""
        if self.content.get("plan") is None:
            return None
        where = f"{self.where}, plan"
        told = _Event(_object(self.content["plan"], where), self.number, where)
        _known(told.content, ("id", "kind", "status", "tasks"), where)
        tasks = told.content.get("tasks", [])
        if not isinstance(tasks, list):
            raise ConfigurationError(f"{where}, tasks: must be a list")
        return Plan(
            id=told._text("id", "the described plan"),
            kind=told._one_of("kind", PlanKind) if "kind" in told.content else None,
            status=told._text("status", "active"),
            tasks=tuple(self._task(task, f"{where}, tasks[{n}]", sender) for n, task in enumerate(tasks)),
        )

    def _task(self, written: Any, where: str, sender: str) -> PlanTask:
        """`{"id", "owner", "due", "status", "what"}`; the owner is the plan's sender where none is named."""
        told = _Event(_object(written, where), self.number, where)
        _known(told.content, ("id", "owner", "due", "status", "what"), where)
        due = told.content.get("due")
        by_day = isinstance(due, str) and len(due) == 10
        owners = [party for party, _ in told._named("owner")]
        return PlanTask(
            id=told._text("id", None),
            owner=owners[0] if owners else sender,
            due=told._day("due") if by_day or due is None else _instant(told.content, "due", where),
            status=told._text("status", "requested"),
            what=told._text("what", "") or None,
        )

    def _text(self, key: str, usual: str | None) -> str:
        value = self.content.get(key, usual)
        if not isinstance(value, str):
            said = "is missing; write a text" if value is None else "must be text"
            raise ConfigurationError(f"{self.where}: {key}: {said}")
        return value

    def _stay(self) -> str:
        named = self.content.get("stay", "the described stay")
        if not isinstance(named, str) or not named:
            raise ConfigurationError(
                f"{self.where}: stay: must be text: the same for every event of that stay"
            )
        return named

    def _hospital(self, sender: str, usual: Mapping[str, str]) -> str:
        """The usual one, unless the event names a stay that another one tells of."""
        tells = "stay" in self.content and sender.partition(":")[0] == "hospital"
        return sender if tells else usual["hospital"]

    def _fulfils(self, terms: Agreement) -> str | None:
        value = self.content.get("fulfils")
        if value is not None and value not in terms.follow_up_kinds:
            known = ", ".join(terms.follow_up_kinds) or "none"
            raise ConfigurationError(f"{self.where}: fulfils: {value!r} is unknown; it may be: {known}")
        return value

    def _placement(self, at: datetime, terms: Agreement) -> str:
        name = self.content.get("placement")
        if not isinstance(name, str):
            raise ConfigurationError(f"{self.where}: placement: is missing; name a pathway or a group")
        if not self._flag("off"):
            try:
                terms.placement(name, local_date(at, terms.zone))
            except ConfigurationError as error:
                raise ConfigurationError(f"{self.where}: placement: {error}") from error
        return name

    def _check_keys(self, kind: NoticeKind) -> None:
        _known(self.content, _KEYS, self.where)
        for key, of_kind in _OF_KIND.items():
            if key in self.content and kind is not of_kind:
                raise ConfigurationError(f"{self.where}: {key}: belongs to {of_kind}, not to {kind}")
        if "follow_up" in self.content and kind not in _NAMES_A_DAY:
            named = ", ".join(_NAMES_A_DAY)
            raise ConfigurationError(f"{self.where}: follow_up: belongs to {named}, not to {kind}")
        if "sender" in self.content and "by" in self.content:
            raise ConfigurationError(f"{self.where}: by: says the same as sender; leave one out")

    def _named(self, key: str) -> list[tuple[str, str]]:
        """The parties under `key` as (party, role): a role, or role:name; receivers may be a list."""
        value = self.content.get(key)
        names = value if isinstance(value, list) and key == "receiver" else [value]
        made = []
        for name in names:
            if name is None:
                continue
            role = name.partition(":")[0] if isinstance(name, str) else None
            if role not in ROLES:
                raise ConfigurationError(
                    f"{self.where}: {key}: {name!r} is no party; write one of {', '.join(ROLES)},"
                    " or a role with a name, like municipality:Lærdal"
                )
            made.append((str(name), role))
        return made

    def _one_of(self, key: str, words: type[Word]) -> Word:
        value = self.content.get(key)
        try:
            return words(str(value))
        except ValueError as error:
            said = "is missing" if value is None else f"{value!r} is unknown"
            raise ConfigurationError(f"{self.where}: {key}: {said}; it may be: {', '.join(words)}") from error

    def _day(self, key: str) -> date | None:
        value = self.content.get(key)
        if value is None:
            return None
        try:
            made = date.fromisoformat(value)
        except (TypeError, ValueError) as error:
            raise ConfigurationError(
                f"{self.where}: {key}: {value!r} is no date; write 2024-03-04"
            ) from error
        _of_our_time(made, key, self.where)
        return made

    def _flag(self, key: str, *, required: bool = False) -> bool | None:
        value = self.content.get(key)
        if value is None and not required:
            return None
        if not isinstance(value, bool):
            raise ConfigurationError(f"{self.where}: {key}: must be true or false")
        return value


def _object(value: Any, where: str) -> Document:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{where}: must be a JSON object")
    return value


def _known(content: Document, keys: Iterable[str], where: str) -> None:
    allowed = tuple(keys)
    for key in content:
        if key not in allowed:
            raise ConfigurationError(f"{where}: {key}: is not known here; it may have: {', '.join(allowed)}")


def _instant(content: Document, key: str, where: str) -> datetime:
    value = content.get(key)
    if value is None:
        raise ConfigurationError(f"{where}: {key}: is missing; write 2024-03-01T10:00:00+01:00")
    try:
        made = datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"{where}: {key}: {value!r} is no time; write 2024-03-01T10:00:00+01:00"
        ) from error
    if made.tzinfo is None:
        raise ConfigurationError(f"{where}: {key}: {value!r} has no offset; write {value}+01:00, or Z")
    _of_our_time(made, key, where)
    return made


def _of_our_time(day: date, key: str, where: str) -> None:
    if day.year not in YEARS:
        raise ConfigurationError(f"{where}: {key}: the year {day.year} is not in {YEARS[0]} to {YEARS[-1]}")
