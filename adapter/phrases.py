"""Sentences that remember how they were made, so that whoever shows them can say them in another language.

A phrase is its English text, and may stand wherever text does: in a log, on the command line, in a receipt.
Beside it it keeps its key, which is the English sentence with its places, and what stands in them. The store
keeps key and values; a page looks the key up in the catalogs of its reader's language. What somebody else has
said in words of their own is `verbatim`, and is shown as it is.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from string import Formatter
from typing import Any, Self, Union

Value = Union[str, int, float, Decimal, Sequence["Value"]]  # noqa: UP007  # names itself
"""What may stand in a place: text, as the name or number of something; a count; an instant or day (`dated`);
a span (`lasting`); a `Code`; text that is `English`; another phrase; or several of them."""

VERBATIM = "{words}"
"""The key of what is said as it is."""

_MARK = "\x1e"
"""Before what is kept: no message and no receipt can hold this control character, nor any text of theirs."""


class Code(str):
    """A code of the field, as a notice's kind: in English as it is given, on a page as its family has it."""

    __slots__ = ("code", "family")

    family: str
    code: str

    def __new__(cls, family: str, code: str, text: str) -> Self:
        made = super().__new__(cls, text)
        made.family, made.code = family, code
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return Code, (self.family, self.code, str(self))


class Dated(str):
    """An instant or a day: in English as it is given, on a page as its language has it."""

    __slots__ = ("at",)

    at: datetime | date

    def __new__(cls, at: datetime | date, text: str) -> Self:
        made = super().__new__(cls, text)
        made.at = at
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return Dated, (self.at, str(self))


class Lasting(str):
    """A span of time: in English as it is given, on a page as its language has it."""

    __slots__ = ("span",)

    span: timedelta

    def __new__(cls, span: timedelta, text: str) -> Self:
        made = super().__new__(cls, text)
        made.span = span
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return Lasting, (self.span, str(self))


class English(str):
    """Text of a library or a program, which is English in every language."""

    __slots__ = ()


class Kept(str):
    """Text that was stored before sentences were kept as phrases: English, and it may hold others' words."""

    __slots__ = ()


class Phrase(str):
    """A sentence in English with its key, and with what stands in the places of the key.

    `many` is the key for any number but one, of a sentence about a `number`.
    """

    __slots__ = ("key", "many", "values")

    key: str
    many: str | None
    values: Mapping[str, Value]

    def __new__(cls, key: str, values: Mapping[str, Value], many: str | None = None) -> Self:
        said = key if many is None or values["number"] == 1 else many
        texts = {name: _in_english(value) for name, value in values.items()}
        made = super().__new__(cls, said.format(**texts) if values else said)
        made.key, made.many, made.values = key, many, values
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return Phrase, (self.key, dict(self.values), self.many)


def phrase(key: str, /, **values: Value) -> Phrase:
    """The sentence with its places filled: `phrase("there is no delivery {id}", id="17")`.

    A number that is a name is given as text; one that counts as a number, which a page writes as its language
    does. A list is said with commas, a list of phrases with semicolons.
    """
    return Phrase(key, values)


def plural(one: str, many: str, number: int, /, **values: Value) -> Phrase:
    """A sentence about a number: `plural("{number} message", "{number} messages", 3)`."""
    return Phrase(one, {"number": number, **values}, many)


def dated(at: datetime | date, form: str = "%Y-%m-%d %H:%M") -> Dated:
    """An instant or a day for a phrase; `form` is how its English is written, in the zone that it has."""
    return Dated(at, format(at, form))


def lasting(span: timedelta) -> Lasting:
    """A span of time for a phrase."""
    return Lasting(span, str(span))


def verbatim(text: str) -> Phrase:
    """What somebody else has said, in whatever language; a phrase stays the one that it is."""
    return text if isinstance(text, Phrase) else Phrase(VERBATIM, {"words": text})


def technical(text: str) -> Phrase:
    """What only programs and their makers read, as a refusal at the FHIR endpoint: English everywhere."""
    return Phrase(VERBATIM, {"words": English(text)})


def changed(text: str, change: Callable[[str], str]) -> Phrase:
    """A phrase with something done to every text in it, as leaving out what may be a person's number."""
    if not isinstance(text, Phrase):
        return verbatim(change(text))
    return Phrase(text.key, {name: _changed(value, change) for name, value in text.values.items()}, text.many)


def _changed(value: Value, change: Callable[[str], str]) -> Value:
    match value:
        case Phrase():
            return changed(value, change)
        case Code() | Dated() | Lasting():
            return value
        case English():
            return English(change(value))
        case Kept():
            return Kept(change(value))
        case str():
            return change(value)
        case Sequence():
            return tuple(_changed(one, change) for one in value)
        case _:
            return value


def _in_english(value: Value) -> Value:
    match value:
        case str():
            return value
        case Sequence():
            return joiner(value).join(str(_in_english(one)) for one in value)
        case _:
            return value


def joiner(several: Sequence[Value]) -> str:
    """What stands between them: sentences have commas of their own."""
    return "; " if any(isinstance(one, Phrase) for one in several) else ", "


# --- as the store keeps them ------------------------------------------------------------------------------


def packed(text: str) -> str:
    """As JSON, from which `unpacked` makes the same phrase; text that is no phrase as it is."""
    if isinstance(text, Phrase):
        return _MARK + json.dumps(_document(text), ensure_ascii=False, separators=(",", ":"))
    return packed(verbatim(text)) if text.startswith(_MARK) else text


@lru_cache(maxsize=4096)
def unpacked(text: str) -> str:
    """And back; all else is text of before, also what looks like it and was made by nobody here.

    It is remembered, as a list has the same sentence on many of its lines.
    """
    if not text.startswith(_MARK):
        return Kept(text)
    try:
        found: Any = _value(json.loads(text.removeprefix(_MARK)))
    except (ValueError, LookupError, TypeError, AttributeError):
        return Kept(text)
    return found if isinstance(found, Phrase) else Kept(text)


def _document(value: Value) -> Any:
    match value:
        case Phrase():
            with_many = {"many": value.many} if value.many is not None else {}
            values = {name: _document(one) for name, one in value.values.items()}
            return {"say": value.key, **with_many, **({"with": values} if values else {})}
        case Code():
            return {"code": [value.family, value.code, str(value)]}
        case Dated():
            kind = "at" if isinstance(value.at, datetime) else "day"
            return {kind: [value.at.isoformat(), str(value)]}
        case Lasting():
            return {"span": [value.span.total_seconds(), str(value)]}
        case English():
            return {"english": str(value)}
        case Kept():
            return {"kept": str(value)}
        case str():
            return str(value)
        case Decimal():
            return {"number": str(value)}
        case Sequence():
            return [_document(one) for one in value]
        case _:
            return value


def _value(document: Any) -> Any:
    match document:
        case {"say": str(key)}:
            values = {name: _value(one) for name, one in document.get("with", {}).items()}
            if not all(name is None or name in values for _, name, _, _ in Formatter().parse(key) if values):
                raise ValueError("a place that is none of the values")
            return Phrase(key, values, document.get("many"))
        case {"code": [family, code, text]}:
            return Code(family, code, text)
        case {"english": text}:
            return English(text)
        case {"kept": text}:
            return Kept(text)
        case {"at": [at, text]}:
            return Dated(datetime.fromisoformat(at), text)
        case {"day": [day, text]}:
            return Dated(date.fromisoformat(day), text)
        case {"span": [seconds, text]}:
            return Lasting(timedelta(seconds=seconds), text)
        case {"number": text}:
            return Decimal(text)
        case [*several]:
            return tuple(_value(one) for one in several)
        case _:
            return document
