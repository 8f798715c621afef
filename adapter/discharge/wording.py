"""Sentences and words said in a language: English, Norwegian bokmål and nynorsk, Swedish or Danish.

The catalogs are gettext files in `locales/`, packaged with the rules (`.po` to be read and written, `.mo` as
compiled). What a catalog lacks is said in English, and a test fails for it.
"""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from gettext import GNUTranslations
from importlib import resources
from io import BytesIO
from typing import Any

from adapter.discharge.notices import NoticeKind
from adapter.discharge.sentences import Days, Say, Sentence
from adapter.phrases import Code, Dated, Lasting, Phrase, Value, plural

ENGLISH = "en"


def said(sentence: Sentence, language: str = ENGLISH) -> str:
    """The sentence in that language; an instant shows the hospital's clock, as it was given."""
    text = translated(sentence.key, language)
    if not sentence.values:
        return text  # a name or a text that is given: a brace in it is no place
    return text.format(**{name: _value(value, language) for name, value in sentence.values.items()})


def phrase_of(sentence: Sentence) -> Phrase:
    """The sentence as it is stored: whoever shows it says it in their reader's language."""
    return Phrase(sentence.key, {name: _place(value) for name, value in sentence.values.items()})


def _place(value: Any) -> Value:
    match value:
        case Sentence():
            return phrase_of(value)
        case NoticeKind():
            return Code("notice", value.value, _value(value, ENGLISH))
        case date():  # an instant is one too
            return Dated(value, _value(value, ENGLISH))
        case timedelta():
            return Lasting(value, _value(value, ENGLISH))
        case Days():
            return plural("{number} day", "{number} days", value.number)
        case _:
            return _value(value, ENGLISH)


def translated(key: str, language: str) -> str:
    """A text of the catalogs. A sentence is its own English; only codes have an English entry."""
    return catalog(language).gettext(key) if key else key


@lru_cache
def catalog(language: str) -> GNUTranslations:
    """The catalog of a language, with the English one behind it."""
    file = resources.files("adapter.discharge").joinpath("locales", f"{language}.mo")
    made = GNUTranslations(BytesIO(file.read_bytes()))
    if language != ENGLISH:
        made.add_fallback(catalog(ENGLISH))
    return made


def _value(value: Any, language: str) -> str:
    match value:
        case Sentence():
            return said(value, language)
        case NoticeKind():
            return translated(value.value, language)
        case datetime():
            return f"{_weekday(value, language)} {value:%Y-%m-%d %H:%M:%S}"
        case date():
            return f"{_weekday(value, language)} {value:%Y-%m-%d}"
        case time():
            return f"{value:%H:%M:%S}"
        case timedelta():
            return _length(value, language)
        case Days():
            days = catalog(language).ngettext("{number} day", "{number} days", value.number)
            return days.format(number=value.number)
        case Decimal():
            return f"{value:f}"
        case _:
            return str(value)


def _weekday(day: date, language: str) -> str:
    return translated(f"weekday-{day.weekday()}", language)


def _length(length: timedelta, language: str) -> str:
    """72 hours stay hours: what a rule calls days, it gives as days."""
    seconds = int(length.total_seconds())
    unit, size = next((u, s) for u, s in _UNITS if seconds % s == 0)
    number = seconds // size
    text = (
        catalog(language).ngettext(f"{{number}} {unit}", f"{{number}} {unit}s", number).format(number=number)
    )
    if seconds < _MANY or seconds % _DAY:
        return text
    return said(Say.LONG.of(length=text, days=seconds // _DAY), language)


_DAY = 86400
_MANY = 10 * _DAY  # from here on nobody sees how many days so many hours are
_UNITS = (("hour", 3600), ("minute", 60), ("second", 1))
