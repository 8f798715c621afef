"""Phrases and the field's words in each language, from the catalogs in `locales/` (gettext, a folder a part).

A sentence is its own key, in English; a word of the field is a key of its family, as `notice-admitted`. Here
they are said plainly, for whoever has no page: instants and numbers stay as their English has them.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import lru_cache
from gettext import GNUTranslations, NullTranslations
from importlib import resources
from importlib.resources.abc import Traversable
from io import BytesIO

from adapter.phrases import VERBATIM, Code, Lasting, Phrase, Value, joiner, phrase, plural

LANGUAGES = ("nb", "nn", "sv", "da", "en")

PARTS = ("field", "keeping", "taking", "post", "lingua", "logistics", "documents", "letters")
"""The folders under `locales/`; no key stands in two of them with different meanings."""

_LONG = timedelta(days=10)
"""From here on nobody sees how many days so many hours are; a law's 72 hours stay hours."""

_OWN = "follow-up-"
"""How the kind of a follow-up begins, whether a country's or a region's own."""


def chained(
    folder: Traversable, parts: Iterable[str], language: str, behind: NullTranslations
) -> NullTranslations:
    """The catalogs of these parts, each falling back on the next, and the last on the one `behind`."""
    found = behind
    for part in reversed([*parts]):
        file = folder.joinpath(part, f"{language}.mo")
        if file.is_file():
            made = GNUTranslations(BytesIO(file.read_bytes()))
            made.add_fallback(found)
            found = made
    return found


@lru_cache
def catalog(language: str) -> NullTranslations:
    """All parts of a language; what none knows is said as it is."""
    return chained(resources.files("adapter").joinpath("locales"), PARTS, language, NullTranslations())


@lru_cache
def _law(language: str) -> NullTranslations:
    """The law's own sentences, as what a deadline rests on."""
    folder = resources.files("adapter").joinpath("discharge")
    return chained(folder, ("locales",), language, NullTranslations())


def text_of(said: Phrase, words: NullTranslations) -> str:
    """The sentence with its places still to be filled."""
    if not said.key:
        return ""  # which is the key of a catalog's header
    number = said.values.get("number")
    if said.many is not None and isinstance(number, int):
        return words.ngettext(said.key, said.many, number)
    return words.gettext(said.key)


def word_of(code: Code, words: NullTranslations) -> str:
    """A code by the words of its family; as it was said in English where nobody has words for it.

    A follow-up of the region's own has the name that the region gives it.
    """
    key = f"{code.family}-{code.code}"
    said = words.gettext(key)
    if said != key:
        return said
    if code.family == "deadline" and code.code.startswith(_OWN):
        named = phrase("follow-up {name}", name=code.code.removeprefix(_OWN).replace("-", " "))
        return text_of(named, words).format(**named.values)
    return str(code)


def said_in(language: str, said: Phrase) -> str:
    """The phrase in that language."""
    if said.key == VERBATIM:
        return str(said)
    words = catalog(language)
    text = text_of(said, words)
    text = _law(language).gettext(said.key) if text and text == said.key else text
    if not said.values:
        return text
    return text.format(**{name: _place(value, language, words) for name, value in said.values.items()})


def in_every_language(text: str) -> tuple[str, ...]:
    """A phrase as each reader may have it before them, English first; other text as it is."""
    if not isinstance(text, Phrase):
        return (text,)
    return tuple(dict.fromkeys((str(text), *(said_in(language, text) for language in LANGUAGES))))


def _place(value: Value, language: str, words: NullTranslations) -> str:
    match value:
        case Phrase():
            return said_in(language, value)
        case Code():
            return word_of(value, words)
        case Lasting():
            return " ".join(said_in(language, one) for one in spans(value.span))
        case str():
            return str(value)
        case Sequence():
            return joiner(value).join(_place(one, language, words) for one in value)
        case _:
            return str(value)


def spans(length: timedelta) -> list[Phrase]:
    """The hours, minutes and seconds that there are of it; days only of what is long (discharge.wording)."""
    minutes, seconds = divmod(max(int(length.total_seconds()), 0), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24) if length >= _LONG else (0, hours)
    told = [plural("{number} day", "{number} days", days)] if days else []
    told += [phrase("{number} h", number=hours)] if hours else []
    told += [phrase("{number} min", number=minutes)] if minutes else []
    return told + ([phrase("{number} s", number=seconds)] if seconds or not told else [])
