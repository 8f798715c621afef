"""The words of a page in the reader's language: sentences from the catalogs, times and numbers from CLDR.

A sentence is its own key, in English; a word of the field is a key of its family, as `notice-admitted`.
Catalogs are gettext files, one folder for each part of the pages (`locales/<part>/<language>.po`, compiled
beside it).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from functools import lru_cache
from gettext import NullTranslations
from importlib import resources
from typing import Any

from babel.dates import format_date, format_skeleton, format_time
from babel.lists import format_list
from babel.numbers import format_decimal, format_percent
from holidays import country_holidays
from markupsafe import Markup, escape

from adapter import tongues
from adapter.alarming import STAFF
from adapter.discharge.notices import spoken
from adapter.discharge.wording import translated
from adapter.messaging.register import Register
from adapter.phrases import VERBATIM, Code, Dated, English, Kept, Lasting, Phrase, Value, joiner

LANGUAGES = {
    "nb": "Norsk bokmål",
    "nn": "Norsk nynorsk",
    "sv": "Svenska",
    "da": "Dansk",
    "en": "English",
}
"""Each language by its own name."""

_NEAR = {"no": "nb"}
_COUNTRIES = {"norway": "nb", "sweden": "sv", "denmark": "da", "england": "en"}
_BABEL = {"en": "en_GB"}
_CROWNS = {"nb": ("NOK", "kr"), "nn": ("NOK", "kr"), "sv": ("SEK", "kr"), "da": ("DKK", "kr.")}
_HOLIDAYS = {"norway": "NO", "sweden": "SE", "denmark": "DK"}

_THEIRS = Markup('<span lang="">{}</span>')

Told = datetime | date | str | None
"""An instant or a day, also as ISO 8601 (`store.shown`)."""


def language_of(chosen: str | None, accepted: str | None, country: str | None) -> str:
    """What the reader has chosen, else the browser's first choice, else the country's, else English."""
    for tag in (chosen or "", *_preferred(accepted or "")):
        found = tag.lower().replace("_", "-").split("-", 1)[0]
        found = _NEAR.get(found, found)
        if found in LANGUAGES:
            return found
    return _COUNTRIES.get(country or "", "en")


def _preferred(accepted: str) -> list[str]:
    """The tags of an Accept-Language, the best first (RFC 9110, 12.5.4)."""
    ranked = []
    for place, part in enumerate(accepted[:200].split(",")):
        tag, _, quality = part.strip().partition(";q=")
        try:
            weight = float(quality or 1)
        except ValueError:
            weight = 0.0
        if weight > 0:
            ranked.append((-weight, place, tag.strip()))
    return [tag for _, _, tag in sorted(ranked)]


PARTS = ("frame", "operations", "desk", "access", "boards", "acting", "figures", "live", "stay")
"""The folders of catalogs under `locales/`; what no page says itself has its own (`tongues`)."""


@lru_cache(maxsize=4096)
def _on(day: date, skeleton: str, locale: str) -> str:
    """A day by a skeleton of CLDR; remembered, as a list says the same days over and over."""
    return str(format_skeleton(skeleton, datetime.combine(day, time.min), locale=locale))


@lru_cache(maxsize=4096)
def _at(moment: time, length: str, locale: str) -> str:
    """A time of day, remembered."""
    return str(format_time(moment, length, locale=locale))


@lru_cache
def catalog(language: str) -> NullTranslations:
    """All parts of a language, of the pages and of what is told on them; what none knows is said as it is."""
    folder = resources.files("adapter.web").joinpath("locales")
    return tongues.chained(folder, PARTS, language, tongues.catalog(language))


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """The words of one page, at the instant at which it is made."""

    language: str
    zone: tzinfo
    now: datetime
    register: Register
    country: str | None = None  # the region's rule file, for its public holidays

    # --- sentences ---

    def of(self, sentence: str, **values: Any) -> str:
        """A sentence of the catalogs, with its values."""
        said = catalog(self.language).gettext(sentence) if sentence else ""
        return said.format(**values) if values else said

    def marked(self, sentence: str, **values: Any) -> Markup:
        """A sentence with links or other markup in its places; what is no markup is escaped."""
        return Markup(catalog(self.language).gettext(sentence)).format(**values)  # noqa: S704  # catalogs are ours

    def told(self, text: str | None, *, begin: bool = False, stop: bool = False) -> Markup:
        """A phrase in the reader's language: begun with a capital, or ended with a full stop.

        What was stored before sentences were kept as phrases is English, and is marked as such (WCAG 3.1.2).
        """
        if not text:
            return Markup("–")
        match text:
            case Phrase():
                said = self._phrase(text)
            case _ if self.language == "en":
                said = escape(text)
            case _:
                said = Markup('<span lang="en" class="kept">{}</span>').format(text)
        if stop and not said.endswith((".", "!", "?")):
            said += "."
        if begin and not _begins_with_a_name(text):
            said = said[:1].upper() + said[1:]
        return said

    def count(self, one: str, many: str, number: int, **values: Any) -> str:
        """A sentence about a number: `count("{number} case", "{number} cases", 3)`."""
        said = catalog(self.language).ngettext(one, many, number)
        return said.format(number=self.number(number), **values)

    def code(self, family: str, code: str | None) -> str:
        """A code in words, as `state` and `ready`; as it is spoken where nobody has words for it."""
        if code is None:
            return "–"
        key = f"{family}-{code}"
        said = catalog(self.language).gettext(key)
        return spoken(code) if said == key else said

    def heading(self, family: str, code: str | None) -> str:
        """A code in words, begun with a capital."""
        return self.sentence(self.code(family, code))

    def sentence(self, text: str | None) -> str:
        """A sentence or word begun with a capital."""
        return f"{text[:1].upper()}{text[1:]}" if text else "–"

    def law(self, text: str) -> str:
        """A paragraph or sentence of the rule files, in the reader's language where it has one."""
        return translated(text, self.language)

    def list(self, items: Iterable[str]) -> str:
        """`a, b and c`."""
        return format_list([*items], locale=self._locale)

    # --- time ---

    def day(self, told: Told, *, weekday: bool = True) -> str:
        """A local day, with its weekday and without the year in this year: `Mon 3 Mar`."""
        here = self._here(told)
        if here is None:
            return "–"
        on = here.date() if isinstance(here, datetime) else here
        this_year = on.year == self.now.astimezone(self.zone).year
        skeleton = ("E" if weekday else "") + ("MMMd" if this_year else "yMMMd")
        return _on(on, skeleton, self._locale)

    def time(self, told: Told, *, seconds: bool = False) -> str:
        """The time of day: `14:20`, `14.20`."""
        here, length = self._here(told), "medium" if seconds else "short"
        if not isinstance(here, datetime):
            return ""
        return _at(
            here.time().replace(second=here.second if seconds else 0, microsecond=0), length, self._locale
        )

    def local(self, told: Told, *, seconds: bool = False) -> str:
        """An instant as `3 Mar 2014, 14:20`, a day as `3 Mar 2014`; no year in this year."""
        day, at = self.day(told, weekday=False), self.time(told, seconds=seconds)
        return f"{day}, {at}" if at else day

    def ahead(self, told: Told) -> bool:
        """Whether an instant is yet to come."""
        away = self._away(told)
        return away is not None and away > timedelta()

    def when(self, told: Told, *, weekday: bool = True) -> str:
        """An instant as day and time, only the time if that is today; a day as a day."""
        here = self._here(told)
        if not isinstance(here, datetime):
            return self.day(told, weekday=weekday)
        if here.date() == self.now.astimezone(self.zone).date():
            return self.of("today {time}", time=self.time(told))
        return f"{self.day(told, weekday=weekday)} {self.time(told)}"

    def ago(self, told: Told) -> str:
        """How far an instant is from now: `in 2 h 5 min`, `3 days ago`; empty for a day."""
        away = self._away(told)
        if away is None:
            return ""
        if abs(away) < timedelta(seconds=1):
            return self.of("just now")
        if away > timedelta():
            return self.of("in {span}", span=self.span(away))
        return self.of("{span} ago", span=self.span(-away))

    def left(self, told: Told) -> str:
        """How long until a deadline, in words: `3 h 20 min left`, `2 days overdue`."""
        away = self._away(told)
        if away is None:
            return ""
        if away > timedelta():
            return self.of("{span} left", span=self.span(away))
        return self.of("{span} overdue", span=self.span(-away))

    def overdue(self, told: Told) -> bool:
        """Whether an instant has passed."""
        away = self._away(told)
        return away is not None and away <= timedelta()

    def span(self, length: timedelta) -> str:
        """A span in its two largest useful units: `12 s`, `5 min`, `3 h 20 min`, `4 days`."""
        seconds = max(int(length.total_seconds()), 0)
        if seconds < 60:
            return self.of("{number} s", number=seconds)
        minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
        if hours < 1:
            return self.of("{number} min", number=minutes)
        if hours < 48:
            rest = minutes - hours * 60
            if rest:
                return self.of("{hours} h {minutes} min", hours=hours, minutes=rest)
            return self.of("{number} h", number=hours)
        if days < 730:
            return self.count("{number} day", "{number} days", days)
        return self.count("{number} year", "{number} years", days // 365)

    def month(self, first: date) -> str:
        """A month with its year: `March 2026`."""
        return _on(first, "yMMMM", self._locale)

    def long_day(self, told: Told) -> str:
        """A day in full: `Monday 3 March 2026`."""
        here = self._here(told)
        return str(format_date(here, "full", locale=self._locale)) if here is not None else "–"

    def holiday(self, told: Told) -> str:
        """The name of a public holiday of the country; empty on any other day."""
        here = self._here(told)
        if here is None:
            return ""
        day = here.date() if isinstance(here, datetime) else here
        name = _holidays(self.country or "", day.year).get(day)
        return self.of(name) if name is not None else ""

    def machine(self, told: Told) -> str:
        """For the `datetime` attribute."""
        moment = read(told)
        return moment.isoformat() if moment is not None else ""

    # --- numbers ---

    def number(self, value: float | Decimal) -> str:
        """A number with the separators of the language."""
        return str(format_decimal(value, locale=self._locale))

    def exact(self, value: Decimal) -> str:
        """A number with all the decimals that it has, as nothing of a mean is left out."""
        decimals = max(-int(value.as_tuple().exponent), 0)
        form = f"#,##0.{'0' * decimals}" if decimals else "#,##0"
        return str(format_decimal(value, format=form, locale=self._locale))

    def percent(self, share: float) -> str:
        """A share of one, in whole per cent."""
        return str(format_percent(share, locale=self._locale))

    def money(self, amount: str | Decimal | None, currency: str) -> str:
        """An amount as it is written there: `5 306 kr`, `NOK 5,306`; a dash where no price is known."""
        if amount is None:
            return "–"
        value = Decimal(amount)
        form = "#,##0" if value == value.to_integral_value() else "#,##0.00"
        text = format_decimal(value, format=form, locale=self._locale)
        if self.language == "en":
            return f"{currency}\xa0{text}"
        own, crowns = _CROWNS[self.language]
        return f"{text}\xa0{crowns if currency == own else currency}"

    def size(self, number: int) -> str:
        """A number of bytes: `812 bytes`, `3.4 kB`."""
        if number < 1000:
            return self.count("{number} byte", "{number} bytes", number)
        unit, size = ("MB", 1_000_000) if number >= 1_000_000 else ("kB", 1000)
        return f"{format_decimal(number / size, format='#,##0.0', locale=self._locale)}\xa0{unit}"

    # --- names ---

    def party(self, party_id: str | None) -> str:
        """The name of a party; its id where the register has none."""
        if party_id is None:
            return "–"
        if party_id == STAFF and self.register.party(party_id) is None:
            return self.of("Our own staff")
        return self.register.name(party_id)

    # --- inside ---

    def _phrase(self, said: Phrase) -> Markup:
        if said.key == VERBATIM:  # in whatever language somebody else has written
            words = said.values["words"]
            return self._place(words) if isinstance(words, English) else _THEIRS.format(words)
        text = tongues.text_of(said, catalog(self.language))
        text = translated(said.key, self.language) if text == said.key else text
        if not said.values:
            return escape(text)
        return escape(text).format(**{name: self._place(value) for name, value in said.values.items()})

    def _place(self, value: Value) -> Markup:
        """What stands in a place of a phrase."""
        match value:
            case Phrase():
                return self._phrase(value)
            case Code():
                return escape(self._word(value))
            case Dated():
                return escape(self._dated(value))
            case Lasting():
                return Markup(" ").join(self._phrase(one) for one in tongues.spans(value.span))
            case English() | Kept() if self.language != "en":
                return Markup('<span lang="en">{}</span>').format(value)
            case str():
                return escape(value)
            case Sequence():
                parts = [self._place(one) for one in value]
                return escape(joiner(value)).join(parts)
            case Decimal():
                return escape(self.exact(value))
            case int() | float():
                return escape(self.number(value))
            case _:
                return escape(str(value))

    def _word(self, code: Code) -> str:
        return tongues.word_of(code, catalog(self.language))

    def _dated(self, value: Dated) -> str:
        try:
            return self.local(value.at)
        except OverflowError:  # at the calendar's ends, as somebody may have typed it
            return str(value)

    @property
    def _locale(self) -> str:
        return _BABEL.get(self.language, self.language)

    def _here(self, told: Told) -> datetime | date | None:
        moment = read(told)
        return moment.astimezone(self.zone) if isinstance(moment, datetime) else moment

    def _away(self, told: Told) -> timedelta | None:
        moment = read(told)
        return moment - self.now if isinstance(moment, datetime) else None


def as_said(text: str) -> Phrase:
    """A sentence that has been said in the reader's language already: it is a key of its own."""
    return Phrase(text, {})


def _begins_with_a_name(text: str) -> bool:
    """Whether a phrase begins with what stands in a place of it, and that is written as it is."""
    if not isinstance(text, Phrase) or not text.key.startswith("{"):
        return False
    first = text.values.get(text.key[1:].partition("}")[0])
    return isinstance(first, str) and not isinstance(first, Phrase | Code)


@lru_cache
def _holidays(country: str, year: int) -> Mapping[date, str]:
    """The public holidays of a year by their English names, which are keys of the catalogs."""
    code = _HOLIDAYS.get(country)
    if code is None:
        return {}
    made = country_holidays(code, years=year, language="en_US")
    named = ((day, name.split("; ")[0]) for day, name in made.items())
    return {day: name for day, name in named if name != "Sunday"}


def read(told: Told) -> datetime | date | None:
    """An instant or day from what `store.shown` writes."""
    if told is None or isinstance(told, date):
        return told
    return date.fromisoformat(told) if len(told) == 10 else datetime.fromisoformat(told)
