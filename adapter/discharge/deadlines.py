"""What the law asks for, by when, and whether it was done: a pure reading of a case.

`deadlines` applies each rule of an agreement to each admission, readiness or discharge of the case, and to
each receiver that it concerns. A readiness begins with a ready notice and ends with its withdrawal; a notice
repeated meanwhile changes nothing. Everything is recomputed from the case, so a late or doubled fact does no
harm. Each deadline carries the sentences that say how it was counted and what became of it.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time
from enum import StrEnum
from typing import Any

from adapter.discharge.agreement import AVERAGE, OWN_TERMS, Agreement
from adapter.discharge.case import Case
from adapter.discharge.conditions import opening
from adapter.discharge.counting import duration, in_time, local
from adapter.discharge.lengths import Counted, counted
from adapter.discharge.occasions import Occasion, readinesses
from adapter.discharge.pathways import FOLLOW_UP
from adapter.discharge.reading import Reading, Start, readings
from adapter.discharge.readmission import watched_from
from adapter.discharge.rules import Placement, PlacementKind, Replaced
from adapter.discharge.sentences import Days, Say, Sentence, of_file
from adapter.discharge.wording import said


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
    how: Callable[[], Sentence] = field(compare=False, repr=False)
    remarks: tuple[Sentence, ...] = ()  # why void, blocked, suspended or counted from elsewhere
    replaced: tuple[Replaced, ...] = ()  # what an agreement has put in place of the rule's own values

    @property
    def counted(self) -> Sentence:
        """How the law counts it."""
        return self.how()

    @property
    def reason(self) -> str:
        """The remarks in English."""
        return "; ".join(said(remark) for remark in self.remarks)


def deadlines(
    case: Case, agreement: Agreement, now: datetime, roles: Mapping[str, str] | None = None
) -> tuple[Deadline, ...]:
    """Every deadline of the case as it stands at `now`, the earliest first.

    `roles` tells what the register knows of parties: hospital, municipality, open-care, gp. A party that it
    does not name is taken for what the rule expects. Municipal acute beds have none of these deadlines.
    """
    found = [d for reading in readings(case, agreement, now, roles) for d in _deadlines(reading)]
    made = [d for d in found if not d.kind.startswith(FOLLOW_UP)]
    if len(made) < len(found):
        made += _strictest(d for d in found if d.kind.startswith(FOLLOW_UP))
    made += _watch(case, agreement, now, roles or {})
    return tuple(sorted(made, key=lambda d: (d.due_at, d.kind, d.party or "", d.since)))


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
    return Say.STRICTER.of(other=_whose(looser.placement), due=looser.due_at)


def _whose(placement: Placement) -> Sentence:
    title, by = of_file(placement.title), of_file(placement.basis)
    if placement.kind is PlacementKind.GROUP:
        return Say.OF_GROUP.of(title=title)
    return Say.OF_PATHWAY.of(title=title, by=by)


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
        *_about_the_figure(reading, start),
        *_about_the_window(reading, occasion, party, start, settled),
    ]
    if due > base:
        remarks = [Say.CONDITION_FROM.of(day=reading.day(base), until=reading.day(due))]
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


def _about_the_figure(reading: Reading, start: Start) -> list[Sentence]:
    """Whose figure it is: the law's goes without saying."""
    rule = reading.rule
    made = [_about_a_term(r) for r in rule.replaced if r.key != "remind_before"]
    if rule.placement is not None:
        made.append(_whose(rule.placement))
    if rule.own:
        made.append(Say.OWN_FIGURE.of(basis=of_file(start.basis)))
    elif rule.confidence == "local" and not made and start.remark is None:
        made.append(Say.LOCAL_FIGURE.of(length=rule.count.duration, basis=of_file(start.basis)))
    if rule.confidence == "K":
        made.append(Say.UNCERTAIN_FIGURE.of(basis=of_file(start.basis)))
    if rule.note is not None:
        made.append(of_file(rule.note))
    return made


def _about_a_term(replaced: Replaced) -> Sentence:
    """What an agreement has put in the place of the rule's own value."""
    if replaced.key == AVERAGE:
        return Say.AVERAGE_REPLACES.of(agreement=replaced.agreement, now=replaced.now)
    mine = replaced.agreement == OWN_TERMS
    key = _NAMED[replaced.key].of() if replaced.key in _NAMED else replaced.key
    now, was = _readable(replaced.now), _readable(replaced.was)
    if replaced.was == "-":
        return (Say.ADDED_LOCALLY if mine else Say.ADDED).of(agreement=replaced.agreement, key=key, now=now)
    says = Say.REPLACED_LOCALLY if mine else Say.REPLACED
    return says.of(agreement=replaced.agreement, key=key, now=now, was=was)


_NAMED = {
    "duration": Say.OF_DURATION,
    "cutoff": Say.OF_CUTOFF,
    "after_cutoff": Say.OF_AFTER_CUTOFF,
    "clock": Say.OF_CLOCK,
    "earliest": Say.OF_EARLIEST,
    "count": Say.OF_COUNT,
}


def _readable(text: str) -> Any:
    """A value as a file has it: days, a length, a clock time, or what it says."""
    if re.fullmatch(r"P\d+D", text):
        return Days(int(text[1:-1]))
    if re.fullmatch(r"P.*T.*", text):
        return duration(text)
    return time.fromisoformat(text) if re.fullmatch(r"\d\d:\d\d(:\d\d)?", text) else text


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
