"""What CareCommunication has no code for, in one fixed Danish sentence each: readiness, and its answer.

What we write is that sentence (codes/talk.toml), and that alone is read back as what it says; anything else
is free text, which a person classifies.
"""

import re
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from adapter.discharge.notices import YEARS, AnswerValue, Moment, Notice, NoticeKind
from adapter.mappings.medcom.words import table

DENMARK = ZoneInfo("Europe/Copenhagen")
ESTIMATE = "estimate"

_DAY = r"(?P<day>[0-9]{1,2})[.] ?(?P<month>[0-9]{1,2})[.] ?(?P<year>[0-9]{4})"
_TIME = r"(?: kl[.] ?(?P<hour>[0-9]{1,2})[.:](?P<minute>[0-9]{2}))?"
_TALK: dict[str, Any] = table("talk")


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """What a text begins with: a kind of notice, its value and its moment; and what was written after it."""

    kind: NoticeKind
    value: str | None
    moment: Moment | None
    rest: str | None

    @property
    def answer(self) -> AnswerValue | None:
        return AnswerValue(self.value) if self.kind is NoticeKind.ANSWER and self.value else None


def sentence(notice: Notice) -> str | None:
    """The fixed sentence of a notice; None for one that has none, as an answer that nobody has classified."""
    value, moment = _of(notice)
    for line in _TALK["sentence"]:
        dated = "{" in line["says"]
        if (line["kind"], line.get("value"), dated) == (notice.kind.value, value, moment is not None):
            said = line["says"].replace("{date}", _day(moment)).replace("{moment}", _moment(moment))
            return f"{_opening(notice.kind.value)} {said}"
    return None


def heard(text: str) -> Heard | None:
    """What a text begins with; None where it begins otherwise, or names a day that is none."""
    for pattern, kind, value in _PATTERNS:
        found = pattern.match(text)
        if found is None:
            continue
        given = found.groupdict()
        moment = _found(given) if given.get("day") else None
        if given.get("day") and moment is None:
            return None
        rest = text[found.end() :].strip() or None
        return Heard(kind=NoticeKind(kind), value=value, moment=moment, rest=rest)
    return None


def _of(notice: Notice) -> tuple[str | None, Moment | None]:
    """What a sentence must say beside the kind."""
    if notice.kind is NoticeKind.ANSWER:
        return (notice.answer or AnswerValue.UNCLASSIFIED).value, notice.receive_from
    if notice.kind is NoticeKind.READY_FOR_DISCHARGE:
        return (ESTIMATE if notice.estimate else None), notice.ready
    return None, notice.planned_discharge if notice.kind is NoticeKind.PLANNED_DISCHARGE else None


def _opening(kind: str) -> str:
    return str(_TALK["opening"]["answer" if kind == "answer" else "told"])


def _day(moment: Moment | None) -> str:
    if moment is None:
        return ""
    local = moment.astimezone(DENMARK).date() if isinstance(moment, datetime) else moment
    return f"{local:%d.%m.%Y}"


def _moment(moment: Moment | None) -> str:
    if not isinstance(moment, datetime):
        return _day(moment)
    return f"{_day(moment)} kl. {moment.astimezone(DENMARK):%H.%M}"


def _found(given: dict[str, str | None]) -> Moment | None:
    day, month, year = (int(given[name] or 0) for name in ("day", "month", "year"))
    try:
        found = date(year, month, day)
        if given.get("hour"):
            at = time(int(given["hour"] or 0), int(given["minute"] or 0))
            return datetime.combine(found, at, DENMARK) if found.year in YEARS else None
    except ValueError:
        return None
    return found if found.year in YEARS else None


def _pattern(line: dict[str, str]) -> re.Pattern[str]:
    said = re.escape(f"{_opening(line['kind'])} {line['says']}").replace("\\ ", " ")
    said = said.replace(re.escape("{date}"), _DAY).replace(re.escape("{moment}"), _DAY + _TIME)
    spaced = said.replace(" ?", r"\s*").replace(" ", r"\s+")
    return re.compile(rf"\s*{spaced}(?=\s|\Z)", re.IGNORECASE)


_PATTERNS = tuple((_pattern(line), line["kind"], line.get("value")) for line in _TALK["sentence"])
