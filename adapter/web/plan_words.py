"""How a plan is said in a language: dates, statuses, amounts and times in short words, without codes.

The catalogs are gettext files in `locales/plan/` (`.po` to be read and written, `.mo` as compiled). An
English sentence is its own key; a code that no catalog knows is shown as it is, so that nothing is lost.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from functools import lru_cache
from gettext import GNUTranslations
from importlib import resources
from io import BytesIO
from typing import Any

from adapter.fhir.plan import Amount, Repeat, Said, Span, Told

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SIGNS = {"<=": "at most", "<": "less than", ">=": "at least", ">": "more than"}
_ONE = {"s": "second", "min": "minute", "h": "hour", "d": "day", "wk": "week", "mo": "month", "a": "year"}


@lru_cache
def catalog(language: str) -> GNUTranslations:
    """The catalog of a language, with the English one behind it."""
    file = resources.files("adapter.web").joinpath("locales", "plan", f"{language}.mo")
    made = GNUTranslations(BytesIO(file.read_bytes()))
    if language != "en":
        made.add_fallback(catalog("en"))
    return made


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanWords:
    """The words of one language; instants are said by the clock of `zone`."""

    language: str
    zone: tzinfo

    # --- words ---

    def of(self, sentence: str, **values: Any) -> str:
        """A sentence of the catalogs, with its values."""
        said = catalog(self.language).gettext(sentence)
        return said.format(**values) if values else said

    def code(self, family: str, code: str) -> str:
        """A code in words, as `action` and `completed`; the code itself where nobody has words for it."""
        key = f"{family}-{code}"
        said = catalog(self.language).gettext(key)
        return code if said == key else said

    def kind(self, resource_type: str) -> str:
        """A resource type in words; `other` for one that has none."""
        key = f"type-{resource_type}"
        said = catalog(self.language).gettext(key)
        return self.code("type", "other") if said == key else said

    # --- time ---

    def when(self, told: Told | None, *, near: datetime | None = None) -> str:
        """A day as `3 March 2026`, an instant with weekday and time; only the time if `near` is that day."""
        match told:
            case datetime():
                here = told.astimezone(self.zone)
                if near is not None and near.astimezone(self.zone).date() == here.date():
                    return self._time(here)
                weekday = self.code("day", _DAYS[here.weekday()])
                date_ = self._day(here)
                return self.of(
                    "{weekday} {date} at {time}", weekday=weekday, date=date_, time=self._time(here)
                )
            case date():
                return self._day(told)
            case str():
                return self._part_of_a_year(told)
        return ""

    def _day(self, day: date) -> str:
        month = self.code("month", str(day.month))
        return self.of("{day} {month} {year}", day=day.day, month=month, year=day.year)

    def _time(self, moment: datetime) -> str:
        return self.of("{hour}:{minute}", hour=f"{moment:%H}", minute=f"{moment:%M}")

    def _part_of_a_year(self, text: str) -> str:
        year, _, month = text.partition("-")
        if len(text) == len("2026-05") and month.isdigit() and 0 < int(month) < 13:
            return self.of("{month} {year}", month=self.code("month", str(int(month))), year=year)
        return text

    def span(self, span: Span) -> str:
        """From when to when, and how often."""
        start, end = self.when(span.start), self.when(span.end)
        if start and end:
            between = start if start == end else self.of("from {start} to {end}", start=start, end=end)
        elif start:
            between = self.of("from {start}", start=start)
        else:
            between = self.of("until {end}", end=end) if end else ""
        often = self.repeat(span.repeat) if span.repeat else ""
        return ", ".join(text for text in (often, span.text, between) if text)

    def hours(self, start: Told | None, end: Told | None) -> str:
        """When a meeting is."""
        if isinstance(start, datetime) and isinstance(end, datetime):
            return f"{self.when(start)}–{self.when(end, near=start)}"
        return self.span(Span(start=start, end=end))

    def repeat(self, it: Repeat) -> str:
        """How often, on which days and when in the day."""
        days = ", ".join(self.code("day", day) for day in it.days)
        at = ", ".join(text.replace(":", "." if self.language != "en" else ":") for text in it.at)
        when = ", ".join(self.code("when", code) for code in it.when)
        how_often = "" if at and it.times == len(it.at) and it.every == "1" else self._often(it)
        return ", ".join(text for text in (how_often, days, at, when) if text)

    def _often(self, it: Repeat) -> str:
        unit = _ONE.get(it.unit, it.unit)
        if it.every in ("1", "1.0"):
            one, many = f"once a{'n' if unit == 'hour' else ''} {unit}", "{number} times a"
            many = f"{many}{'n' if unit == 'hour' else ''} {unit}"
            return catalog(self.language).ngettext(one, many, it.times).format(number=it.times)
        number = self._decimal(it.every)
        if it.times == 1:
            return self.of(f"every {{number}} {unit}s", number=number)
        return self.of(f"{{times}} times in {{number}} {unit}s", times=it.times, number=number)

    # --- values ---

    def said(self, value: Said | None) -> str:
        """An answer or a finding."""
        match value:
            case None:
                return ""
            case bool():
                return self.of("yes" if value else "no")
            case Amount():
                return self.amount(value)
            case str():
                return value
            case _:
                return self.when(value)

    def answers(self, values: Sequence[Said]) -> str:
        """Several values of one question."""
        return ", ".join(text for text in (self.said(value) for value in values) if text)

    def amount(self, it: Amount) -> str:
        """A quantity, with the decimal sign of the language."""
        number = self._decimal(it.value)
        if it.until:
            number = f"{number}–{self._decimal(it.until)}"
        text = f"{number} {it.unit}".strip()
        return self.of(f"{_SIGNS[it.sign]} {{amount}}", amount=text) if it.sign in _SIGNS else text

    def _decimal(self, text: str) -> str:
        return text if self.language == "en" else text.replace(".", ",")

    def sentence(self, parts: Iterable[str]) -> str:
        """What is not empty, in one line."""
        return ", ".join(part for part in parts if part)
