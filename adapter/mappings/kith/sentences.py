"""The municipality's answer to a ready notice in words: Norway has no other form (HISD 80806 9.4, HIS 1077).

What we write is one fixed sentence, and that sentence alone is read as an answer; anything else is free
text, which a person classifies.
"""

import re
from dataclasses import dataclass
from datetime import date
from typing import Any

from adapter.discharge.notices import YEARS, AnswerValue
from adapter.mappings.kith.lists import DIALOGUE

_SENTENCE: dict[str, Any] = DIALOGUE["sentence"]
_OPENING: str = _SENTENCE["opening"]
_DAY = r"(?P<day>[0-9]{1,2})[.] ?(?P<month>[0-9]{1,2})[.] ?(?P<year>[0-9]{4})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """An answer that was recognised, and what a person wrote after it."""

    answer: AnswerValue
    receive_from: date | None
    rest: str | None


def sentence(answer: AnswerValue, receive_from: date | None) -> str | None:
    """The fixed sentence; None for an answer that nobody has classified."""
    wanted = (answer.value, receive_from is not None)
    entry = next((e for e in _SENTENCE["answer"] if (e["value"], e["dated"]) == wanted), None)
    if entry is None:
        return None
    said = entry["says"].replace("{date}", f"{receive_from:%d.%m.%Y}" if receive_from else "")
    return f"{_OPENING} {said}"


def heard(text: str) -> Heard | None:
    """The answer with which a text begins; None where it begins otherwise, or names a day that is none."""
    for pattern, answer in _PATTERNS:
        found = pattern.match(text)
        if found is None:
            continue
        given = found.groupdict()
        day = _day(given) if "day" in given else None
        if "day" in given and day is None:
            return None
        return Heard(answer=answer, receive_from=day, rest=text[found.end() :].strip() or None)
    return None


def _day(given: dict[str, str]) -> date | None:
    try:
        found = date(int(given["year"]), int(given["month"]), int(given["day"]))
    except ValueError:
        return None
    return found if found.year in YEARS else None


def _pattern(reads: str) -> re.Pattern[str]:
    said = f"{re.escape(_OPENING[:-1])} ?: ?{reads}".replace("\\ ", " ").replace("{date}", _DAY)
    return re.compile(rf"\s*{_spaced(said)}(?=\s|\Z)", re.IGNORECASE)


def _spaced(pattern: str) -> str:
    """Any white space for each space: none, where the space is optional, else at least one."""
    return pattern.replace(" ?", r"\s*").replace(" ", r"\s+")


_PATTERNS = tuple((_pattern(e["reads"]), AnswerValue(e["value"])) for e in _SENTENCE["answer"])
