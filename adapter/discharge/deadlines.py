"""What the law asks for, by when, and whether it was done: a pure reading of a case.

`deadlines` applies each rule of an agreement to each admission, readiness or discharge of the case, and to
each receiver that it concerns. A readiness begins with a ready notice and ends with its withdrawal; a notice
repeated meanwhile changes nothing. Everything is recomputed from the case, so a late or doubled fact does no
harm. Each deadline carries the sentences that say how it was counted and what became of it.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from adapter.discharge.agreement import Agreement
from adapter.discharge.case import Case
from adapter.discharge.conditions import opening
from adapter.discharge.counting import in_time, local
from adapter.discharge.lengths import Counted, about_the_figure, counted, whose
from adapter.discharge.notices import local_date
from adapter.discharge.occasions import Occasion, readinesses
from adapter.discharge.pathways import FOLLOW_UP, WATCH
from adapter.discharge.plan_tasks import BASIS, KIND, TaskDue, tasks_due
from adapter.discharge.reading import Reading, Start, readings
from adapter.discharge.readmission import watched_from
from adapter.discharge.rules import ACTORS, Placement, Replaced
from adapter.discharge.sentences import Say, Sentence, of_file
from adapter.discharge.wording import phrase_of
from adapter.phrases import phrase

REMIND_OF_TASK = timedelta(days=1)
"""How long before the time of a plan's task its party is reminded."""


class DeadlineState(StrEnum):
    """How a deadline stands at an instant."""

    OPEN = "open"
    MET = "met"
    MET_LATE = "met-late"
    MISSED = "missed"
    VOID = "void"


@dataclass(frozen=True, kw_only=True, slots=True)
class Deadline:
    """One thing that one actor must do, for one receiver where the law counts each by itself."""

    kind: str
    actor: str
    party: str | None  # the receiver that it concerns; None where that is nobody, or not known
    due_at: datetime  # with the local offset
    state: DeadlineState
    basis: str  # the paragraph
    confidence: str  # Q, S, K; or local: a figure of the parties
    since: datetime  # the instant that started it
    settled_at: datetime | None = None  # when it was met, or when what ended it came
    remind_at: datetime | None = None  # only while open
    opens_at: datetime | None = None  # what is done before does not count; None: from the start on
    placement: Placement | None = None  # the pathway or group that asks for it
    quiet: bool = False  # nobody is alarmed when it is missed
    about: str | None = None  # tells it from others of its kind for the same party: the plan and its task
    how: Callable[[], Sentence] = field(compare=False, repr=False)
    remarks: tuple[Sentence, ...] = ()  # why void, blocked, suspended or counted from elsewhere
    replaced: tuple[Replaced, ...] = ()  # what an agreement has put in place of the rule's own values

    @property
    def counted(self) -> Sentence:
        """How the law counts it."""
        return self.how()

    @property
    def reason(self) -> str:
        """The remarks as one phrase; empty where there are none."""
        told = [phrase_of(remark) for remark in self.remarks]
        if len(told) > 1:
            return phrase("{reasons}", reasons=told)
        return told[0] if told else ""


def deadlines(
    case: Case,
    agreement: Agreement,
    now: datetime,
    roles: Mapping[str, str] | None = None,
    kinds: Collection[str] | None = None,
) -> tuple[Deadline, ...]:
    """Every deadline of the case (of these kinds) as it stands at `now`, the earliest first.

    `roles` tells what the register knows of parties: hospital, municipality, open-care, gp. A party that it
    does not name is taken for what the rule expects. Municipal acute beds have none of these deadlines.
    """
    read = (r for r in readings(case, agreement, now, roles) if kinds is None or r.rule.kind in kinds)
    found = [d for reading in read for d in _deadlines(reading)]
    made = [d for d in found if not d.kind.startswith(FOLLOW_UP)]
    if len(made) < len(found):
        made += _strictest(d for d in found if d.kind.startswith(FOLLOW_UP))
    if kinds is None or WATCH in kinds:
        made += _watch(case, agreement, now, roles or {})
    if kinds is None or KIND in kinds:
        made += _plan_tasks(case, agreement, now, roles or {})
    return tuple(sorted(made, key=lambda d: (d.due_at, d.kind, d.party or "", d.since, d.about or "")))


def _strictest(follow_ups: Iterable[Deadline]) -> Iterator[Deadline]:
    """Of the follow-ups of one kind, for one party and from one start, the one that is due first."""
    found: dict[tuple[str, str | None, datetime], list[Deadline]] = {}
    for d in follow_ups:
        found.setdefault((d.kind, d.party, d.since), []).append(d)
    for same in found.values():
        standing = [d for d in same if d.state is not DeadlineState.VOID] or same
        first = min(d.due_at for d in standing)
        strict = max(
            (d for d in standing if d.due_at == first), key=lambda d: (d.opens_at or d.since, d.basis)
        )
        looser = sorted((d for d in standing if d.due_at > first), key=lambda d: (d.due_at, d.basis))
        yield replace(strict, remarks=(*strict.remarks, *(_stricter_than(d) for d in looser)))


def _stricter_than(looser: Deadline) -> Sentence:
    if looser.placement is None:
        return Say.STRICTER_THAN_GENERAL.of(basis=of_file(looser.basis), due=looser.due_at)
    return Say.STRICTER.of(other=whose(looser.placement), due=looser.due_at)


def _watch(case: Case, terms: Agreement, now: datetime, roles: Mapping[str, str]) -> Iterator[Deadline]:
    """The watch for a readmission, from the discharge with which the case ended."""
    found = watched_from(case, terms, roles)
    if found is None:
        return
    discharge, rule = found
    reading = Reading(case, rule, terms, now.astimezone(UTC), roles, terms.zone, readinesses(case))
    occasion = Occasion((discharge,))
    start = reading.start(occasion, None)
    length = counted(reading, occasion, None, start) if start is not None else None
    if start is not None and length is not None:
        yield _deadline(reading, occasion, None, start, length)


def _plan_tasks(case: Case, terms: Agreement, now: datetime, roles: Mapping[str, str]) -> Iterator[Deadline]:
    """What the plans of the case ask for by a time; nothing of what is told after the rules have ended."""
    last = terms.country.valid_to
    for due in tasks_due(case):
        if last is None or local_date(due.since, terms.zone) <= last:
            yield _plan_task(due, case, now, roles)


def _plan_task(due: TaskDue, case: Case, now: datetime, roles: Mapping[str, str]) -> Deadline:
    state, at, remarks = _task_state(due, now)
    is_open = state is DeadlineState.OPEN
    return Deadline(
        kind=KIND,
        actor=_actor(due.owner, case, roles),
        party=due.owner,
        due_at=due.due_at,
        state=state,
        basis=BASIS,
        confidence="local",
        since=due.since,
        settled_at=local(at, case.zone) if at is not None else None,
        remind_at=local(max(due.since, due.due_at - REMIND_OF_TASK), case.zone) if is_open else None,
        about=due.about,
        how=lambda: due.counted,
        remarks=tuple(remarks),
    )


def _task_state(due: TaskDue, now: datetime) -> tuple[DeadlineState, datetime | None, list[Sentence]]:
    ended_at = due.ended[0] if due.ended is not None else None
    if due.done_at is not None and (ended_at is None or due.done_at <= ended_at):
        state = DeadlineState.MET if in_time(due.done_at, due.due_at) else DeadlineState.MET_LATE
        return state, due.done_at, due.in_words
    if ended_at is not None:
        return DeadlineState.VOID, ended_at, [*due.why_over, *due.in_words]
    state = DeadlineState.OPEN if in_time(now, due.due_at) else DeadlineState.MISSED
    return state, None, due.in_words


def _actor(owner: str, case: Case, roles: Mapping[str, str]) -> str:
    """The owner's role; one that nobody has registered is the hospital of the case, or the municipality."""
    role = roles.get(owner)
    if role in ACTORS:
        return role
    return "hospital" if owner == case.hospital else "municipality"


def _deadlines(reading: Reading) -> Iterator[Deadline]:
    for occasion in reading.occasions():
        for party in reading.parties(occasion):
            begun = reading.begin(occasion, party)
            if begun is not None:
                as_agreed, start = begun
                length = counted(as_agreed, occasion, party, start)
                if length is not None:
                    yield _deadline(as_agreed, occasion, party, start, length)


def _deadline(
    reading: Reading, occasion: Occasion, party: str | None, start: Start, counted: Counted
) -> Deadline:
    base = counted.due
    due, missing = opening(reading, occasion, party, start, base)
    opens = reading.opens(start)
    settled = reading.settled(occasion, party, due, opens or start.at)
    ended = reading.ended(occasion, start, due)
    if settled is not None and not (settled <= reading.now or in_time(settled, due)):
        settled = None  # a day to receive on that has not come yet
    state, at = DeadlineState.OPEN, settled
    remarks = [
        *counted.remarks,
        *about_the_figure(reading, start),
        *_about_the_window(reading, occasion, party, start, settled),
    ]
    if due > base:
        remarks.insert(0, Say.CONDITION_FROM.of(day=reading.day(base), until=reading.day(due)))
    if settled is not None and (ended is None or settled <= ended.at):
        state = DeadlineState.MET if in_time(settled, due) else DeadlineState.MET_LATE
    elif ended is not None:
        state, at, remarks = DeadlineState.VOID, ended.at, [reading.why(ended, due)]
    elif missing:
        state, remarks = DeadlineState.VOID, list(missing)
    elif not in_time(reading.now, due):
        state, at, remarks = _after(reading, due, occasion, party, remarks)
    return Deadline(
        kind=reading.rule.kind,
        actor=reading.rule.actor,
        party=party,
        due_at=due,
        state=state,
        basis=start.basis,
        confidence=start.confidence,
        since=local(start.at, reading.zone),
        settled_at=local(at, reading.zone) if at is not None else None,
        remind_at=_remind_at(reading, opens or start.at, due) if state is DeadlineState.OPEN else None,
        opens_at=local(opens, reading.zone) if opens is not None else None,
        placement=reading.rule.placement,
        quiet=reading.rule.quiet,
        how=counted.how,
        remarks=tuple(remarks),
        replaced=reading.rule.replaced,
    )


def _after(
    reading: Reading, due: datetime, occasion: Occasion, party: str | None, remarks: list[Sentence]
) -> tuple[DeadlineState, datetime | None, list[Sentence]]:
    """The time is up and nothing has settled it."""
    if reading.rule.lapses:
        return DeadlineState.MET, due, [*remarks, Say.OVER.of(at=reading.stamp(due))]
    suspended = reading.suspended(occasion, party)
    if suspended is None:
        return DeadlineState.MISSED, None, remarks
    for ended in reading.endings(reading.rule.voided_by, occasion):  # nobody waits for a word any more
        return DeadlineState.VOID, ended.at, [reading.why(ended, due)]
    return DeadlineState.OPEN, None, [*remarks, suspended]


def _about_the_window(
    reading: Reading, occasion: Occasion, party: str | None, start: Start, settled: datetime | None
) -> list[Sentence]:
    """From when it counts, and what came before that in vain."""
    opens = reading.opens(start)
    if opens is None:
        return []
    made = [Say.NOT_BEFORE.of(at=reading.stamp(opens))]
    early = reading.too_early(occasion, party, start, opens) if settled is None else None
    if early is not None:
        told, at = early
        notice = told.notice.kind
        made.append(Say.TOO_EARLY.of(notice=notice, at=reading.stamp(at), opens=reading.stamp(opens)))
    return made


def _remind_at(reading: Reading, opens: datetime, due: datetime) -> datetime | None:
    if reading.rule.lapses or reading.rule.quiet:
        return None
    return local(max(opens, due.astimezone(UTC) - reading.rule.remind_before), reading.zone)
