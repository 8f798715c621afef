"""How far a rule counts: the instant it leads to, what holds that back, whose figure it is; all in words."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, time
from functools import partial
from typing import Any

from adapter.discharge.agreement import AVERAGE, OWN_TERMS
from adapter.discharge.case import Entry
from adapter.discharge.counting import Count, Ground, duration, is_after_cutoff
from adapter.discharge.notices import NoticeKind
from adapter.discharge.occasions import Occasion
from adapter.discharge.reading import Reading, Start, addressed
from adapter.discharge.rules import NONE, Floor, Placement, PlacementKind, Replaced
from adapter.discharge.sentences import Days, Say, Sentence, of_file, timed


@dataclass(frozen=True, slots=True)
class Counted:
    """Where a count leads: the last instant or the first one, and how it came to that."""

    due: datetime
    how: Callable[[], Sentence]  # in words, which most who count do not ask for
    remarks: tuple[Sentence, ...] = ()

    @property
    def said(self) -> Sentence:
        """The count in words."""
        return self.how()


@dataclass(frozen=True, slots=True)
class _Floored:
    """Before when a count cannot end, and why."""

    due: datetime
    said: Sentence


def counted(reading: Reading, occasion: Occasion, party: str | None, start: Start) -> Counted | None:
    """Where the count leads; None where it depends on something that is not known yet."""
    ground = reading.ground(occasion, party, start.at)
    count = reading.rule.count
    due = count.due(start.at, ground)
    if due is None:
        return None
    remarks = [start.remark] if start.remark is not None else []
    if count.rolls and due != replace(count, rolls=False).due(start.at, ground):
        remarks.append(Say.ROLLED.of())
    floors = [_floor(reading, floor, occasion, party, ground) for floor in reading.rule.floors]
    highest = max((f for f in floors if f is not None), key=lambda f: f.due, default=None)
    if highest is not None and highest.due > due:
        due = highest.due
        remarks.append(highest.said)
    return Counted(due, partial(_how, reading, start, count, due), tuple(remarks))


def _floor(
    reading: Reading, floor: Floor, occasion: Occasion, party: str | None, ground: Ground
) -> _Floored | None:
    """From the first such notice, or from the ready day that they name."""
    own = floor.notice is reading.rule.trigger.notice
    entries = occasion.entries if own else reading.case.of(floor.notice)
    told = [(at, e) for e in entries if addressed(e, party) and (at := reading.when(e, floor.time, party))]
    first = min((at for at, _ in told), default=None)
    at = _named_day(reading, told) if floor.from_ready_day else first
    due = floor.count.due(at, ground) if at is not None else None
    if at is None or due is None:
        return None
    if floor.from_ready_day:
        named = Say.NOTICE_READY_DAY.of(notice=floor.notice, day=reading.day(at))
        return _Floored(due, Say.FLOORED_BY_DAY.of(day=reading.day(due), start=named))
    start = timed(floor.time, floor.notice, reading.stamp(at))
    return _Floored(due, Say.FLOORED.of(day=reading.day(due), start=start))


def _named_day(reading: Reading, told: list[tuple[datetime, Entry]]) -> datetime | None:
    """The day named last; once it has begun, no notice names another one."""
    named: datetime | None = None
    for at, e in told:
        if e.notice.ready is None:
            continue
        if named is not None and at >= named:
            break
        named = max(at, reading.ready_day(e))
    return named


def about_the_figure(reading: Reading, start: Start) -> list[Sentence]:
    """Whose figure it is: the law's goes without saying."""
    rule = reading.rule
    made = [_replaced(r) for r in rule.replaced if r.key != "remind_before"]
    if rule.placement is not None:
        made.append(whose(rule.placement))
    if rule.own:
        made.append(Say.OWN_FIGURE.of(basis=of_file(start.basis)))
    elif rule.confidence == "local" and not made and start.remark is None:
        made.append(Say.LOCAL_FIGURE.of(length=rule.count.duration, basis=of_file(start.basis)))
    if rule.confidence == "K":
        made.append(Say.UNCERTAIN_FIGURE.of(basis=of_file(start.basis)))
    if rule.note is not None:
        made.append(of_file(rule.note))
    return made


def _replaced(replaced: Replaced) -> Sentence:
    """What an agreement has put in place of the rule's own value, or where the rule had none."""
    ours, agreement, raw = replaced.agreement == OWN_TERMS, replaced.agreement, replaced.key
    if raw == AVERAGE:
        return Say.AVERAGE_REPLACES.of(agreement=agreement, now=replaced.now)
    if replaced.now == NONE:
        says = Say.TAKEN_AWAY_LOCALLY if ours else Say.TAKEN_AWAY
        return says.of(agreement=agreement, key=raw, was=_readable(replaced.was))
    key, now = _NAMED[raw].of() if raw in _NAMED else raw, _readable(replaced.now)
    if replaced.was == NONE:
        return (Say.ADDED_LOCALLY if ours else Say.ADDED).of(agreement=agreement, key=key, now=now)
    says = Say.REPLACED_LOCALLY if ours else Say.REPLACED
    return says.of(agreement=agreement, key=key, now=now, was=_readable(replaced.was))


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


def whose(placement: Placement) -> Sentence:
    """Which pathway or group asks for it."""
    title, by = of_file(placement.title), of_file(placement.basis)
    if placement.kind is PlacementKind.GROUP:
        return Say.OF_GROUP.of(title=title)
    return Say.OF_PATHWAY.of(title=title, by=by)


def _how(reading: Reading, start: Start, count: Count, due: datetime) -> Sentence:
    """The count in words: from what, how far, to when, by which paragraph."""
    before, after = _HOW[count.way]
    says = after if is_after_cutoff(start.at, count, reading.zone) else before
    if count.way == "same_day" and count.duration:
        says = Say.SAME_DAY_LATER
    if count.way == "until_discharge" and reading.rule.trigger.notice is NoticeKind.DISCHARGED:
        says = Say.AT_DISCHARGE
    length = count.after_cutoff if is_after_cutoff(start.at, count, reading.zone) else count.duration
    number = length.days if length is not None else 0
    return says.of(
        start=start.said,
        due=reading.stamp(due),
        day=reading.day(due),
        basis=of_file(start.basis),
        length=count.duration,
        number=number,
        cutoff=count.cutoff,
    )


_HOW: Mapping[str, tuple[Say, Say]] = {
    "elapsed": (Say.ELAPSED, Say.ELAPSED),
    "same_day": (Say.SAME_DAY, Say.SAME_DAY),
    "calendar_days": (Say.DAYS, Say.DAYS),
    "calendar_days_with_cutoff": (Say.BEFORE_CUTOFF, Say.AFTER_CUTOFF),
    "days_with_cutoff": (Say.BEFORE_CUTOFF, Say.AFTER_CUTOFF),
    "working_days": (Say.WORKING_DAYS, Say.WORKING_DAYS),
    "working_days_with_cutoff": (Say.WORKING_BEFORE_CUTOFF, Say.WORKING_AFTER_CUTOFF),
    "by_clock": (Say.BY_CLOCK, Say.BY_CLOCK),
    "office_hours": (Say.OFFICE_HOURS, Say.OFFICE_HOURS),
    "until_discharge": (Say.UNTIL_DISCHARGE, Say.UNTIL_DISCHARGE),
    "named_day": (Say.NAMED_DAY, Say.NAMED_DAY),
}
"""How each way is said; where a cut-off matters, before it and after it."""
