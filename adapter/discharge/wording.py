"""Sentences and words said in a language: English, Norwegian bokmål, Swedish or Danish.

The catalogs are gettext files in `locales/`, packaged with the rules. What a catalog lacks is said in
English, and a test fails for it.
"""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from importlib import resources
from io import BytesIO
from typing import Any

from babel import Locale
from babel.dates import get_day_names
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po
from babel.units import format_unit

from adapter.discharge.notices import NoticeKind
from adapter.discharge.sentences import Sentence

ENGLISH = "en"


def said(sentence: Sentence, language: str = ENGLISH) -> str:
    """The sentence in that language; an instant shows the hospital's clock, as it was given."""
    text = translated(sentence.key, language)
    if not sentence.values:
        return text  # a name or a text that is given: a brace in it is no place
    return text.format(**{name: _value(value, language) for name, value in sentence.values.items()})


def translated(key: str, language: str) -> str:
    """A text of the catalogs. A sentence is its own English; only codes have an English entry."""
    for name in dict.fromkeys((language, ENGLISH)):
        message = catalog(name).get(key)
        if message is not None and isinstance(message.string, str) and message.string:
            return message.string
    return key


@lru_cache
def catalog(language: str) -> Catalog:
    """The catalog of a language, as its file has it."""
    file = resources.files("adapter.discharge").joinpath("locales", f"{language}.po")
    return read_po(BytesIO(file.read_bytes()), locale=language)


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
        case Decimal():
            return f"{value:f}"
        case _:
            return str(value)


@lru_cache(maxsize=64)
def _day_names(language: str) -> tuple[str, ...]:
    names = get_day_names("wide", "format", Locale.parse(language))
    return tuple(names[number] for number in range(7))


def _weekday(day: date, language: str) -> str:
    return _day_names(language)[day.weekday()]


def _length(length: timedelta, language: str) -> str:
    """72 hours stay hours: what a rule calls days, it gives as days (`Days`)."""
    seconds = int(length.total_seconds())
    unit, size = next((u, s) for u, s in _UNITS if seconds % s == 0)
    return str(format_unit(seconds // size, unit, "long", locale=language))


_UNITS = (("duration-hour", 3600), ("duration-minute", 60), ("duration-second", 1))
