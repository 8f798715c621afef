"""Which days a municipality is charged for, and why, or why none.

A day is charged when it begins no earlier than the payment start and with every condition fulfilled, and
ends before the day on which the municipality can receive, the notice is withdrawn, or the stay ends. Sweden
only: act 2017:612 chapter 5.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from adapter.discharge.agreement import Agreement
from adapter.discharge.case import Case
from adapter.discharge.counting import first_second
from adapter.discharge.deadlines import Occasion, Reading, Start, readings
from adapter.discharge.notices import NoticeKind, local_date

_ENDS = (
    NoticeKind.READINESS_WITHDRAWN,
    NoticeKind.DISCHARGED,
    NoticeKind.LEFT_AGAINST_ADVICE,
    NoticeKind.DECEASED,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Liability:
    """The days that one readiness is charged for; `reason` says why, or why none."""

    party: str | None
    basis: str
    liable_from: date | None  # the first chargeable day, which may lie ahead
    days: tuple[date, ...]
    reason: str


def liabilities(
    case: Case, agreement: Agreement, now: datetime, roles: Mapping[str, str] | None = None
) -> tuple[Liability, ...]:
    """The charged days of each readiness up to the day of `now`, where the agreement has a payment start."""
    return tuple(
        _liability(reading, occasion, party, start)
        for reading in readings(case, agreement, now, roles)
        if reading.rule.kind == "payment-start"
        for occasion in reading.occasions()
        for party in reading.parties(occasion)
        if (start := reading.start(occasion, party)) is not None
    )


def _liability(reading: Reading, occasion: Occasion, party: str | None, start: Start) -> Liability:
    base = reading.rule.count.due(start.at, reading.zone)
    due, missing = reading.opening(occasion, party, base)
    end = min(_ends(reading, occasion, party, due), default=None)
    end_day = local_date(end[0], reading.zone) if end else None
    first, until = local_date(due, reading.zone), local_date(reading.now, reading.zone)
    days: tuple[date, ...] = ()
    liable_from: date | None = None
    if missing:
        reason = "; ".join(f"{r.missing} ({r.basis})" for r in missing)
    elif end and end_day and end_day <= first:
        reason = f"{reading.why(end, end[0])}; the first chargeable day would have been {reading.day(due)}"
    else:
        liable_from, reason = first, _counted(reading, start, base, due)
        if end and end_day:
            until, reason = min(until, end_day), f"{reason}; {reading.why(end, end[0])}"
        days = tuple(_charged(reading, occasion, party, first, until))
    return Liability(party=party, basis=reading.rule.basis, liable_from=liable_from, days=days, reason=reason)


def _ends(
    reading: Reading, occasion: Occasion, party: str | None, due: datetime
) -> Iterator[tuple[datetime, str]]:
    yield from reading.endings(_ENDS, occasion)
    for telling in reading.rule.satisfied_by:
        if telling.says is not None:
            at = reading.settled_by(telling, occasion, party, due)
            if at is not None:
                yield at, "the municipality can receive"


def _charged(
    reading: Reading, occasion: Occasion, party: str | None, first: date, until: date
) -> Iterator[date]:
    """The days before `until` that begin with every condition still fulfilled."""
    for number in range((until - first).days):
        day = first + timedelta(days=number)
        begins = first_second(day, reading.zone)
        if all(reading.holds(r, occasion, party, begins) for r in reading.rule.requires):
            yield day


def _counted(reading: Reading, start: Start, base: datetime, due: datetime) -> str:
    count, sent = reading.rule.count, start.at.astimezone(reading.zone)
    days = (local_date(base, reading.zone) - sent.date()).days
    cutoff = ""
    if count.cutoff is not None:
        cutoff = f", {'not after' if days == count.duration.days else 'after'} {count.cutoff}"
    text = f"ready notice sent {reading.stamp(start.at)}{cutoff}, so day {days}: {reading.day(base)}"
    if due > base:
        text += f"; a condition was missing until then, so {reading.day(due)}"
    return f"{text} ({reading.rule.basis})"
