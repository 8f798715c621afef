"""The named ways in which the law counts time; a rule file names one of them.

Elapsed hours are absolute: a night when the clock changes makes them neither longer nor shorter. Days are
whole days of the hospital's calendar. A second is the smallest unit: 12:00:00.9 is 12:00:00. What comes out
carries a fixed offset, so that it compares as an instant. A new way is one function here, with its tests.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from functools import lru_cache

from adapter.discharge.calendar import Calendar

_DURATION = re.compile(
    r"P(?:(?P<days>\d{1,4})D)?"
    r"(?:T(?=\d)(?:(?P<hours>\d{1,7})H)?(?:(?P<minutes>\d{1,7})M)?(?:(?P<seconds>\d{1,7})S)?)?"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ground:
    """What a count may look at beside its start."""

    calendar: Calendar
    leaves_at: datetime | None = None  # the discharge; before it, the last second of the planned day
    named_day: date | None = None  # the day that the notice itself names, as for a check-up

    @property
    def zone(self) -> tzinfo:
        """The hospital's."""
        return self.calendar.zone


@dataclass(frozen=True, kw_only=True, slots=True)
class Count:
    """How far, and in which way; which values a way takes stands in `TAKES`."""

    way: str
    duration: timedelta = timedelta()
    cutoff: time | None = None  # local
    after_cutoff: timedelta | None = None  # instead of `duration` when the start is later than `cutoff`
    clock: time | None = None  # the local time of day by which
    opens: time | None = None  # office hours, local
    closes: time | None = None
    rolls: bool = False  # a last day that is off gives way to the next working day

    def due(self, start: datetime, ground: Ground) -> datetime | None:
        """The instant that the count from `start` leads to, with the local offset of that instant.

        None where it depends on something that is not known yet.
        """
        due = WAYS[self.way](start, self, ground)
        if due is None or not self.rolls:
            return due
        there = due.astimezone(ground.zone)
        day = ground.calendar.working_day(there.date())
        return due if day == there.date() else local(datetime.combine(day, there.time(), ground.zone))


def elapsed(start: datetime, count: Count, ground: Ground) -> datetime:
    """Absolute hours after the start."""
    return local(start.astimezone(UTC) + count.duration, ground.zone)


def same_day(start: datetime, count: Count, ground: Ground) -> datetime:
    """The last second of the local day of the start, or of the instant that lies `duration` after it."""
    return last_second((start.astimezone(UTC) + count.duration).astimezone(ground.zone).date(), ground.zone)


def calendar_days(start: datetime, count: Count, ground: Ground) -> datetime:
    """The last second of the local day that lies whole days after the day of the start."""
    return last_second(_day(start, ground) + count.duration, ground.zone)


def calendar_days_with_cutoff(start: datetime, count: Count, ground: Ground) -> datetime:
    """As calendar days, another number of them when the start is strictly later than the cut-off."""
    return last_second(_day(start, ground) + _length(start, count, ground), ground.zone)


def days_with_cutoff(start: datetime, count: Count, ground: Ground) -> datetime:
    """The first second of the local day that lies whole days after the day of the start.

    The number of days is another one when the start is strictly later than the cut-off, in whole seconds.
    """
    return first_second(_day(start, ground) + _length(start, count, ground), ground.zone)


def working_days(start: datetime, count: Count, ground: Ground) -> datetime:
    """The last second of the working day that lies so many working days after the day of the start."""
    day = ground.calendar.after_working_days(_day(start, ground), count.duration.days)
    return last_second(day, ground.zone)


def working_days_with_cutoff(start: datetime, count: Count, ground: Ground) -> datetime:
    """The first second of the day after so many working days; another number after the cut-off."""
    number = _length(start, count, ground).days
    return first_second(ground.calendar.after_working_days(_day(start, ground), number), ground.zone)


def by_clock(start: datetime, count: Count, ground: Ground) -> datetime:
    """A clock time of the local day that lies whole days after the day of the start.

    A start later than that has until the same time of the next day.
    """
    assert count.clock is not None
    day = _day(start, ground) + count.duration
    due = _at_clock(day, count.clock, ground.zone)
    return due if start <= due else _at_clock(day + timedelta(days=1), count.clock, ground.zone)


def office_hours(start: datetime, count: Count, ground: Ground) -> datetime:
    """So many hours of the office's own time: between opening and closing, on working days only."""
    assert count.opens is not None and count.closes is not None
    left, at, day = count.duration, start, _day(start, ground)
    while True:
        day = ground.calendar.working_day(day)
        opening = _at_clock(day, count.opens, ground.zone)
        closing = _at_clock(day, count.closes, ground.zone)
        begins = max(at, opening)
        if begins < closing:
            if begins + left <= closing:
                return local((begins + left).astimezone(UTC), ground.zone)
            left -= closing - begins
        day += timedelta(days=1)


def until_discharge(start: datetime, count: Count, ground: Ground) -> datetime | None:
    """The discharge; until that is known, the last second of the planned day. Never before the start."""
    if ground.leaves_at is None:
        return None
    return local(max(ground.leaves_at, start).astimezone(UTC), ground.zone)


def named_day(start: datetime, count: Count, ground: Ground) -> datetime | None:
    """The last second of the day that the notice itself names. Never before the start."""
    if ground.named_day is None:
        return None
    return last_second(max(ground.named_day, _day(start, ground)), ground.zone)


Way = Callable[[datetime, Count, Ground], datetime | None]

WAYS: Mapping[str, Way] = {
    way.__name__: way
    for way in (
        elapsed,
        same_day,
        calendar_days,
        calendar_days_with_cutoff,
        days_with_cutoff,
        working_days,
        working_days_with_cutoff,
        by_clock,
        office_hours,
        until_discharge,
        named_day,
    )
}
"""Every way that a rule file may name."""

IN_DAYS = frozenset(
    {
        "calendar_days",
        "calendar_days_with_cutoff",
        "days_with_cutoff",
        "working_days",
        "working_days_with_cutoff",
        "by_clock",
    }
)
"""The ways whose durations are whole days."""

_CUTOFF = ("duration", "cutoff", "after_cutoff")
TAKES: Mapping[str, tuple[str, ...]] = {
    "elapsed": ("duration",),
    "same_day": (),
    "calendar_days": ("duration",),
    "calendar_days_with_cutoff": _CUTOFF,
    "days_with_cutoff": _CUTOFF,
    "working_days": ("duration",),
    "working_days_with_cutoff": _CUTOFF,
    "by_clock": ("clock",),
    "office_hours": ("duration", "opens", "closes"),
    "until_discharge": (),
    "named_day": (),
}
"""The values that each way needs."""

MAY_TAKE: Mapping[str, tuple[str, ...]] = {"same_day": ("duration",), "by_clock": ("duration",)}
"""The values that a way can do without."""


def local(instant: datetime, zone: tzinfo | None = None) -> datetime:
    """`instant` on the local clock, with that moment's offset fixed."""
    there = instant.astimezone(zone) if zone is not None else instant
    return there.replace(tzinfo=_fixed(there.utcoffset() or timedelta()), fold=0)


@lru_cache(maxsize=64)
def _fixed(offset: timedelta) -> timezone:
    return timezone(offset)


def first_second(day: date, zone: tzinfo) -> datetime:
    """When a local day begins."""
    return local(datetime.combine(day, time.min, zone), zone)


def last_second(day: date, zone: tzinfo) -> datetime:
    """23:59:59 of a local day."""
    return local(datetime.combine(day, time(23, 59, 59), zone), zone)


def in_time(instant: datetime, due: datetime) -> bool:
    """Whether `instant` is no later than `due`, to the second."""
    return instant.replace(microsecond=0) <= due


def is_after_cutoff(start: datetime, count: Count, zone: tzinfo) -> bool:
    """Whether `start` is strictly later than the cut-off on the local clock, in whole seconds."""
    return count.cutoff is not None and start.astimezone(zone).time().replace(microsecond=0) > count.cutoff


def duration(text: str) -> timedelta:
    """An ISO 8601 duration of days, hours, minutes and seconds; ValueError where it is none, or nothing."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no duration; write it like PT24H, PT30M or P3D")
    made = timedelta(**{unit: int(number) for unit, number in found.groupdict().items() if number})
    if not made:
        raise ValueError(f"{text!r} is no time at all; a duration must be longer than zero")
    return made


def iso(length: timedelta) -> str:
    """A duration as rule files write it: P3D, PT2H, PT1H30M."""
    seconds = int(length.total_seconds())
    if seconds and seconds % 86400 == 0:
        return f"P{seconds // 86400}D"
    parts = ((seconds // 3600, "H"), (seconds % 3600 // 60, "M"), (seconds % 60, "S"))
    return "PT" + "".join(f"{number}{unit}" for number, unit in parts if number)


def _day(start: datetime, ground: Ground) -> date:
    return start.astimezone(ground.zone).date()


def _length(start: datetime, count: Count, ground: Ground) -> timedelta:
    assert count.after_cutoff is not None
    return count.after_cutoff if is_after_cutoff(start, count, ground.zone) else count.duration


def _at_clock(day: date, clock: time, zone: tzinfo) -> datetime:
    return local(datetime.combine(day, clock, zone), zone)
