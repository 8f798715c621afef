"""What a liability presupposes: what must have been told before it can begin, and by when that was."""

from datetime import date, datetime

from adapter.discharge.case import Entry
from adapter.discharge.counting import first_second, in_time, local
from adapter.discharge.lengths import counted
from adapter.discharge.notices import local_date
from adapter.discharge.occasions import Occasion
from adapter.discharge.reading import Reading, Start, readings
from adapter.discharge.rules import Requirement, Telling
from adapter.discharge.sentences import Say, Sentence, of_file


def required(reading: Reading) -> tuple[Requirement, ...]:
    """The conditions that hold here; the others only where an agreement asks for them."""
    return tuple(r for r in reading.rule.requires if r.enforced)


def lacks(
    reading: Reading, required: Requirement, occasion: Occasion, party: str | None, at: datetime
) -> Sentence | None:
    """What is missing at `at`, or None where the condition is fulfilled."""
    waived = any(e.at <= at for kind in required.waived_by for e in reading.case.ending(kind))
    if waived or not occasion.flagged(required.only_if):
        return None
    told = _told(reading, required.telling, party)
    so_far = [(e, when) for e, when in told if when <= (reading.now if required.whenever else at)]
    missing = Say.MISSING.of(what=of_file(required.missing), basis=required.basis)
    if not so_far:
        return missing
    if required.telling.says == "available":
        return None if so_far[-1][0].notice.open_care_available is True else missing
    if required.late == "void":
        return _too_late(reading, required, occasion, party, min(when for _, when in so_far))
    return None


def _too_late(
    reading: Reading, required: Requirement, occasion: Occasion, party: str | None, told: datetime
) -> Sentence | None:
    """Told after the deadline that it was to be told by: the agreement says that this voids."""
    for by_then in readings(reading.case, reading.terms, reading.now, reading.roles):
        if by_then.rule.kind != required.deadline:
            continue
        for other in by_then.occasions():
            if other.ids and other.ids != occasion.ids:
                continue
            who = party if party in by_then.parties(other) else None
            begun = by_then.begin(other, who, beside=False)
            by_then_due = counted(begun[0], other, who, begun[1]) if begun else None
            if by_then_due is not None and not in_time(told, by_then_due.due):
                what = of_file(required.missing)
                return Say.TOO_LATE.of(what=what, due=reading.stamp(by_then_due.due), basis=required.basis)
    return None


def _told(reading: Reading, telling: Telling, party: str | None) -> list[tuple[Entry, datetime]]:
    timed = ((e, reading.when(e, telling.time, party)) for e in reading.tellings(telling, party))
    return [(e, at) for e, at in timed if at is not None]


def opening(
    reading: Reading, occasion: Occasion, party: str | None, start: Start, base: datetime
) -> tuple[datetime, tuple[Sentence, ...]]:
    """The first day from `base` that begins with every condition fulfilled, else what is missing.

    The day on which the count starts begins, for this, with the start. Nothing opens after the last day
    of a regime that has ended.
    """
    due, missing = _opening(reading, occasion, party, start, base)
    over = regime_over(reading, reading.day(due))
    return due, missing or ((over,) if over else ())


def regime_over(reading: Reading, day: date) -> Sentence | None:
    """Why nothing is due or charged on `day`: the country's rules had ended before it."""
    country = reading.terms.country
    if country.valid_to is None or day <= country.valid_to:
        return None
    return Say.COUNTRY_ENDED.of(reason=of_file(country.ended or country.name), day=country.valid_to)


def _opening(
    reading: Reading, occasion: Occasion, party: str | None, start: Start, base: datetime
) -> tuple[datetime, tuple[Sentence, ...]]:
    conditions = required(reading) if reading.rule.requires else ()
    if not conditions:
        return base, ()
    changes = {at for r in conditions for _, at in _told(reading, r.telling, party)}
    changes |= {e.at for r in conditions for kind in r.waived_by for e in reading.case.ending(kind)}
    first = local_date(base, reading.zone)
    days = sorted({first, *(day for at in changes if (day := reading.next_day(at)) > first)})
    missing: tuple[Sentence, ...] = ()
    for day in days:
        at = max(first_second(day, reading.zone), start.at)
        lacking = [lacks(reading, r, occasion, party, at) for r in conditions]
        found = tuple(lack for lack in lacking if lack is not None)
        if not found:
            return _same_clock(reading, base, day), ()
        missing = missing or found
    return base, missing


def _same_clock(reading: Reading, base: datetime, day: date) -> datetime:
    clock = base.astimezone(reading.zone).time()
    return local(datetime.combine(day, clock, reading.zone), reading.zone)
