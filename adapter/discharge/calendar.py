"""The calendar where the hospital is: its zone, its public holidays, and the days off that parties agree on.

Saturdays and Sundays are days off everywhere. Public holidays come from the `holidays` library by country
code; 24 and 31 December and Midsummer Eve are holidays of no act, so a rule file or an agreement names them.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

_ONE_DAY = timedelta(days=1)
_DAY_OF_YEAR = re.compile(r"\d{2}-\d{2}")


def _midsummer_eve(year: int) -> date:
    """The Friday between 19 and 25 June."""
    first = date(year, 6, 19)
    return first + timedelta(days=(4 - first.weekday()) % 7)


NAMED_DAYS: Mapping[str, Callable[[int], date]] = {"midsummer-eve": _midsummer_eve}
"""Days off that move from year to year, by the name under which a rule file or an agreement asks for them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Calendar:
    """One place's calendar. `days_off` are days of the year (12-24), dates (2026-05-02) or named days."""

    zone: ZoneInfo
    holidays_of: str | None = None  # the country's code, with a subdivision where it has its own: GB-ENG
    days_off: tuple[str, ...] = ()

    def is_off(self, day: date) -> bool:
        """Whether nobody is at work on `day`: a weekend, a public holiday, or a day off by agreement."""
        if day.weekday() >= 5 or day.isoformat() in self.days_off or f"{day:%m-%d}" in self.days_off:
            return True
        if any(NAMED_DAYS[name](day.year) == day for name in self.days_off if name in NAMED_DAYS):
            return True
        return self.holidays_of is not None and day in _holidays(self.holidays_of, day.year)

    def working_day(self, day: date) -> date:
        """`day`, or the first day after it that is not off."""
        while self.is_off(day):
            day += _ONE_DAY
        return day

    def after_working_days(self, day: date, number: int) -> date:
        """The day that lies `number` working days after `day`, which itself does not count."""
        for _ in range(number):
            day = self.working_day(day + _ONE_DAY)
        return day


def day_off(text: str) -> str:
    """A day off as a rule file or an agreement may write it; ValueError where it is none."""
    try:
        if text in NAMED_DAYS or date.fromisoformat(f"2024-{text}" if _DAY_OF_YEAR.fullmatch(text) else text):
            return text
    except ValueError as error:
        named = ", ".join(NAMED_DAYS)
        raise ValueError(
            f"{text!r} is no day off; write a day of the year (12-24), a date, or {named}"
        ) from error
    raise AssertionError("a date is true")


def country_code(text: str) -> str:
    """A code whose holidays are known; ValueError where they are not."""
    if text in _LOOKED_UP:
        return text
    try:
        _holidays(text, 2024)
    except (NotImplementedError, KeyError) as error:
        raise ValueError(f"the holidays of {text!r} are not known; write a code like NO or GB-ENG") from error
    return text


_LOOKED_UP = ("NO", "SE", "DK", "GB-ENG")
"""The codes of the packaged rules, which a test looks up: the library costs memory even where nobody asks."""


@lru_cache(maxsize=512)
def _holidays(code: str, year: int) -> frozenset[date]:
    import holidays

    country, _, subdivision = code.partition("-")
    return frozenset(holidays.country_holidays(country, subdiv=subdivision or None, years=year))
