"""The named ways in which the law counts time; a rule file names one of them.

Elapsed hours are absolute: a night when the clock changes makes them neither longer nor shorter. Days are
whole days of the hospital's calendar. A second is the smallest unit: 12:00:00.9 is 12:00:00. What comes out
carries a fixed offset, so that it compares as an instant.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo

_DURATION = re.compile(
    r"P(?:(?P<days>\d{1,4})D)?"
    r"(?:T(?=\d)(?:(?P<hours>\d{1,7})H)?(?:(?P<minutes>\d{1,7})M)?(?:(?P<seconds>\d{1,7})S)?)?"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Count:
    """How far, and in which way; the two cut-off values belong to `days_with_cutoff` alone."""

    way: str
    duration: timedelta
    cutoff: time | None = None  # local
    after_cutoff: timedelta | None = None  # instead of `duration` when the start is later than `cutoff`

    def due(self, start: datetime, zone: tzinfo) -> datetime:
        """The instant that the count from `start` leads to, with the local offset of that instant."""
        return WAYS[self.way](start, self, zone)


def elapsed(start: datetime, count: Count, zone: tzinfo) -> datetime:
    """Absolute hours after `start` (2017:612 2:3; regulation 1115 § 8)."""
    return local(start.astimezone(UTC) + count.duration, zone)


def calendar_days(start: datetime, count: Count, zone: tzinfo) -> datetime:
    """The last second of the local day that lies whole days after the day of `start` (2017:612 4:3)."""
    return last_second(start.astimezone(zone).date() + count.duration, zone)


def days_with_cutoff(start: datetime, count: Count, zone: tzinfo) -> datetime:
    """The first second of the local day that lies whole days after the day of `start` (2017:612 5:4).

    The number of days is another one when `start` is strictly later than the cut-off, in whole seconds.
    """
    assert count.cutoff is not None and count.after_cutoff is not None
    there = start.astimezone(zone).replace(microsecond=0)
    days = count.after_cutoff if there.time() > count.cutoff else count.duration
    return first_second(there.date() + days, zone)


Way = Callable[[datetime, Count, tzinfo], datetime]

WAYS: Mapping[str, Way] = {
    "elapsed": elapsed,
    "calendar_days": calendar_days,
    "days_with_cutoff": days_with_cutoff,
}
"""Every way that a rule file may name."""

IN_DAYS = frozenset({"calendar_days", "days_with_cutoff"})
"""The ways whose durations are whole days."""


def local(instant: datetime, zone: tzinfo) -> datetime:
    """`instant` on the local clock, with that moment's offset fixed."""
    there = instant.astimezone(zone)
    return there.replace(tzinfo=timezone(there.utcoffset() or timedelta()), fold=0)


def first_second(day: date, zone: tzinfo) -> datetime:
    """When a local day begins."""
    return local(datetime.combine(day, time.min, zone), zone)


def last_second(day: date, zone: tzinfo) -> datetime:
    """23:59:59 of a local day."""
    return local(datetime.combine(day, time(23, 59, 59), zone), zone)


def in_time(instant: datetime, due: datetime) -> bool:
    """Whether `instant` is no later than `due`, to the second."""
    return instant.replace(microsecond=0) <= due


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
