"""Reading rule files, and what regions write in the same form: every error names file, key and reason."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Any, TypeVar, cast
from unicodedata import category
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from adapter.discharge.calendar import Calendar, country_code, day_off
from adapter.discharge.counting import IN_DAYS, MAY_TAKE, TAKES, WAYS, Count, duration, iso
from adapter.discharge.notices import YEARS, NoticeKind
from adapter.discharge.rules import (
    ACTORS,
    CONFIDENCES,
    FLAGS,
    LANGUAGES,
    LATE,
    ROLES,
    SAYINGS,
    Amount,
    AverageAllowed,
    ByHand,
    Contest,
    Country,
    Floor,
    Later,
    PartyIs,
    Payment,
    Placement,
    PlacementKind,
    Readmission,
    Requirement,
    Rule,
    Telling,
    Term,
    Time,
    Trigger,
    Undated,
)
from adapter.errors import ConfigurationError

T = TypeVar("T")


class Table:
    """A table of a rule file while it is read: every key is asked for once, and none may be left over."""

    def __init__(self, content: Any, where: str) -> None:
        if not isinstance(content, Mapping):
            raise ConfigurationError(f"{where}: must be a table")
        self.content = dict(content)
        self.where = where

    def wrong(self, key: str, reason: str) -> ConfigurationError:
        return ConfigurationError(f"{self.where}: {key}: {reason}")

    def optional(self, key: str, type_: type[T]) -> T | None:
        value = self.content.pop(key, None)
        if value is None:
            return None
        if not isinstance(value, type_) or (isinstance(value, bool) and type_ is not bool):
            raise self.wrong(key, f"must be {_SPOKEN[type_]}")
        if isinstance(value, str):
            self._readable(key, value)
        return value

    def required(self, key: str, type_: type[T]) -> T:
        value = self.optional(key, type_)
        if value is None:
            raise self.wrong(key, "is missing")
        return value

    def parsed(self, key: str, parse: Callable[[str], T]) -> T:
        return self._parse(key, self.required(key, str), parse)

    def parsed_if(self, key: str, parse: Callable[[str], T]) -> T | None:
        return self.parsed(key, parse) if key in self.content else None

    def all_parsed(self, key: str, parse: Callable[[str], T]) -> tuple[T, ...]:
        return tuple(self._parse(key, text, parse) for text in self.optional(key, list) or [])

    def day(self, key: str) -> date | None:
        """A TOML date, or the text of one."""
        value = self.content.get(key)
        if isinstance(value, str):
            return self.parsed(key, date.fromisoformat)
        if isinstance(value, datetime):
            raise self.wrong(key, "must be a date without a time of day")
        return self.optional(key, date)

    def one_of(self, key: str, words: Iterable[str]) -> str:
        return self._among(key, self.required(key, str), words)

    def one_of_if(self, key: str, words: Iterable[str]) -> str | None:
        return self.one_of(key, words) if key in self.content else None

    def words(self, key: str, words: Iterable[str]) -> tuple[str, ...]:
        allowed = tuple(words)
        return tuple(self._among(key, value, allowed) for value in self.optional(key, list) or [])

    def notices(self, key: str) -> tuple[NoticeKind, ...]:
        return tuple(NoticeKind(word) for word in self.words(key, [kind.value for kind in NoticeKind]))

    def notice(self) -> NoticeKind:
        return NoticeKind(self.one_of("notice", [kind.value for kind in NoticeKind]))

    def time(self) -> Time:
        return Time(self.one_of("time", [which.value for which in Time]))

    def table(self, key: str) -> "Table":
        return Table(self.required(key, dict), f"{self.where}, {key}")

    def table_if(self, key: str) -> "Table | None":
        return self.table(key) if key in self.content else None

    def tables(self, key: str) -> list["Table"]:
        return [
            Table(content, f"{self.where}, {key} {number}")
            for number, content in enumerate(self.optional(key, list) or [], start=1)
        ]

    def done(self) -> None:
        for key in self.content:
            raise self.wrong(key, "is not a key of this table; is it misspelt?")

    def _parse(self, key: str, text: Any, parse: Callable[[str], T]) -> T:
        if not isinstance(text, str):
            raise self.wrong(key, "must be text")
        try:
            return parse(text)
        except (ValueError, InvalidOperation, ZoneInfoNotFoundError) as error:
            said = f"{text!r} is no number" if isinstance(error, InvalidOperation) else str(error)
            raise self.wrong(key, said) from error

    def _readable(self, key: str, text: str) -> None:
        if not text.strip():
            raise self.wrong(key, "is empty; write it, or leave the key out")
        hidden = unprintable(text)
        if hidden is not None:
            raise self.wrong(key, f"holds {hidden}, which cannot be shown; leave it out")

    def _among(self, key: str, value: Any, words: Iterable[str]) -> str:
        if value not in words:
            raise self.wrong(key, f"{value!r} is unknown; it may be: {', '.join(words)}")
        return cast(str, value)


def unprintable(text: str) -> str | None:
    """The first character of a text that no page or database can show, as U+0000; None where there is none.

    Those that turn the direction of writing are among them: a name could be made to look like another one.
    """
    found = (c for c in text if c not in "\n\t" and (category(c) in ("Cc", "Cs") or c in _TURNING))
    return next((f"U+{ord(c):04X}" for c in found), None)


_TURNING = frozenset(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A))))

_SPOKEN: dict[type, str] = {
    str: "text",
    int: "a whole number",
    bool: "true or false",
    list: "a list",
    dict: "a table",
    date: "a date, like 2024-03-01",
}


def read_country(top: Table) -> Country:
    """The country that a rule file describes."""
    holidays = top.parsed_if("holidays", country_code)
    zone = top.parsed("zone", ZoneInfo)
    made = Country(
        name=top.required("country", str),
        language=top.one_of_if("language", LANGUAGES) or "en",
        calendar=Calendar(zone=zone, holidays_of=holidays, days_off=top.all_parsed("days_off", day_off)),
        rules=_rules(top),
        payment=_payment(top.table("payment")),
        terms=tuple(_term(table) for table in top.tables("term")),
        undated=tuple(_undated(table) for table in top.tables("undated")),
        readmissions=_readmissions(top),
        groups=tuple(_group(table) for table in top.tables("group")),
        by_hand=_by_hand(top.table_if("by_hand")),
        valid_to=top.day("valid_to"),
        ended=top.optional("ended", str),
    )
    top.done()
    kinds = {rule.kind for rule in made.rules}
    for term in made.terms:
        if term.rule not in kinds:
            raise top.wrong("term", f"{term.name}: there is no rule of kind {term.rule!r}")
    average = made.payment.average
    if average is not None and average.rule not in kinds:
        raise top.wrong("payment, average, rule", f"there is no rule of kind {average.rule!r}")
    return made


def _by_hand(table: Table | None) -> ByHand:
    """What counts of what is told by telephone or on paper."""
    if table is None:
        return ByHand()
    made = ByHand(
        notice=table.required("notice", bool),
        answer=table.required("answer", bool),
        receipt=table.required("receipt", bool),
        basis=table.required("basis", str),
        confidence=table.one_of("confidence", CONFIDENCES),
        note=table.optional("note", str),
    )
    table.done()
    return made


def read_by_hand(table: Table, base: ByHand) -> ByHand:
    """The same with what parties have agreed on."""
    values = {name: table.optional(name, bool) for name in ("notice", "answer", "receipt")}
    table.done()
    agreed = {name: value for name, value in values.items() if value is not None}
    return replace(base, confidence="local", **agreed)  # type: ignore[arg-type]  # three of its flags


def _rules(top: Table) -> tuple[Rule, ...]:
    """The rules in their order; one may begin as another (`like`) and say only what differs."""
    made: list[Rule] = []
    for table in top.tables("rule"):
        like = table.optional("like", str)
        if like is not None:
            model = next((r for r in made if like in (r.variant, r.kind)), None)
            if model is None:
                raise table.wrong("like", f"no rule or variant {like!r} stands before this one")
            table = Table(merged(model.raw, table.content, table.where), table.where)  # noqa: PLW2901  # the same rule, completed
        made.append(read_rule(table))
    return tuple(made)


def merged(
    base: Mapping[str, Any], over: Mapping[str, Any], where: str, *, keep_empty: bool = False
) -> dict[str, Any]:
    """`base` with the values of `over`: tables key by key, a list of named tables by name.

    An empty text takes a key away, unless `keep_empty`: then it stays, to take it away from what comes later.
    """
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            result[key] = merged(old, value, f"{where}, {key}", keep_empty=keep_empty)
        elif isinstance(old, list) and isinstance(value, Mapping):
            result[key] = _by_name(old, value, f"{where}, {key}")
        elif value == "" and not keep_empty:
            result.pop(key, None)  # a key that the model has and this rule has not
        else:
            result[key] = value
    return result


def _by_name(tables: list[Any], over: Mapping[str, Any], where: str) -> list[Any]:
    names = [t.get("name") for t in tables if isinstance(t, Mapping)]
    for name in over:
        if name not in names:
            known = ", ".join(str(n) for n in names if n) or "none with a name"
            raise ConfigurationError(f"{where}: {name}: there is none of that name; there are: {known}")
        if not isinstance(over[name], Mapping):
            raise ConfigurationError(f"{where}: {name}: must be a table")
    return [
        merged(t, over[t["name"]], f"{where}, {t['name']}") if t.get("name") in over else t for t in tables
    ]


def read_rule(table: Table) -> Rule:
    """One rule of a file, or one that an agreement has changed."""
    raw = dict(table.content)
    kind = table.required("kind", str)
    table.where = f"{table.where} ({kind})"
    concerns = table.table_if("concerns") or Table({}, table.where)
    made = Rule(
        kind=kind,
        variant=table.optional("variant", str),
        actor=table.one_of("actor", ACTORS),
        basis=table.required("basis", str),
        confidence=table.one_of("confidence", CONFIDENCES),
        count=_count(table),
        trigger=_trigger(table.table("trigger")),
        valid_from=table.day("valid_from"),
        valid_to=table.day("valid_to"),
        later=_later(table.table("later")) if "later" in table.content else None,
        floors=tuple(_floor(t) for t in table.tables("floor")),
        receivers_of=concerns.notices("receivers_of"),
        roles=concerns.words("roles", ROLES),
        only_told=concerns.optional("only_told", bool) or False,
        responsible=concerns.one_of_if("responsible", ROLES),
        satisfied_by=tuple(_satisfaction(t) for t in table.tables("satisfied_by")),
        lapses=table.optional("lapses", bool) or False,
        quiet=table.optional("quiet", bool) or False,
        voided_by=table.notices("voided_by"),
        closed_by=table.notices("closed_by"),
        suspended_by=tuple(_satisfaction(t) for t in table.tables("suspended_by")),
        requires=tuple(_requirement(t) for t in table.tables("requires")),
        contested_by=tuple(_contest(t) for t in table.tables("contested_by")),
        accepted_only=table.optional("accepted_only", bool) or False,
        remind_before=table.parsed("remind_before", duration),
        earliest=table.parsed_if("earliest", duration),
        note=table.optional("note", str),
        raw=MappingProxyType(raw),
    )
    concerns.done()
    table.done()
    if made.lapses == bool(made.satisfied_by):
        said = "has no use where lapses is true" if made.lapses else "is missing"
        raise table.wrong("satisfied_by", said)
    in_order(table, made.valid_from, made.valid_to)
    _reachable(table, made)
    return made


def in_order(table: Table, first: date | None, last: date | None) -> None:
    """ConfigurationError where a period ends before it begins."""
    if first and last and last < first:
        raise table.wrong("valid_to", f"{last} is before valid_from {first}")


def _reachable(table: Table, rule: Rule) -> None:
    """The earliest time must lie before the last, as far as both can be told without a calendar."""
    last = {"elapsed": rule.count.duration, "calendar_days": rule.count.duration + timedelta(days=1)}
    if rule.earliest is not None and rule.earliest >= last.get(rule.count.way, timedelta.max):
        raise table.wrong(
            "earliest", f"{iso(rule.earliest)} is not before the time is up; nothing could count"
        )


def _count(table: Table, key: str = "count") -> Count:
    way = table.one_of(key, WAYS)
    takes = (*TAKES[way], *MAY_TAKE.get(way, ()))
    readers: dict[str, Callable[[str], Any]] = {
        "duration": duration,
        "cutoff": _clock,
        "after_cutoff": duration,
        "clock": _clock,
        "opens": _clock,
        "closes": _clock,
    }
    values: dict[str, Any] = {}
    for name, parse in readers.items():
        if name in table.content and name not in takes:
            raise table.wrong(name, f"has no use in {way}")
        if name in TAKES[way] and name not in table.content:
            raise table.wrong(name, f"is missing, and {way} needs it")
        if name in table.content:
            values[name] = table.parsed(name, parse)
    for name in ("duration", "after_cutoff"):
        length = values.get(name)
        if way in IN_DAYS and length is not None and length % timedelta(days=1):
            raise table.wrong(name, f"{iso(length)} is not whole days, and {way} counts days")
    if way == "office_hours" and values["opens"] >= values["closes"]:
        raise table.wrong("closes", f"{values['closes']} is not later than opens {values['opens']}")
    return Count(way=way, rolls=table.optional("rolls", bool) or False, **values)


def _clock(text: str) -> time:
    try:
        made = time.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no time of day; write it like 14:00") from error
    if made.tzinfo is not None:
        raise ValueError("must be local, without an offset")
    return made


def _trigger(table: Table) -> Trigger:
    made = Trigger(
        notice=table.notice(),
        time=table.time(),
        only_if=table.one_of_if("only_if", FLAGS),
        unless=table.one_of_if("unless", FLAGS),
        from_ready_day=table.optional("from_ready_day", bool) or False,
        longest_stay=table.parsed_if("longest_stay", duration),
        placed=table.optional("placed", str),
    )
    table.done()
    return made


def _later(table: Table) -> Later:
    made = Later(
        notice=table.notice(),
        time=table.time(),
        basis=table.required("basis", str),
        confidence=table.one_of("confidence", CONFIDENCES),
    )
    table.done()
    return made


def _floor(table: Table) -> Floor:
    made = Floor(
        notice=table.notice(),
        time=table.time(),
        count=_count(table),
        from_ready_day=table.optional("from_ready_day", bool) or False,
    )
    table.done()
    return made


def _telling(table: Table, notices: tuple[NoticeKind, ...]) -> Telling:
    party_is = table.one_of_if("party_is", [which.value for which in PartyIs])
    return Telling(
        notices=notices,
        time=table.time(),
        by=table.words("by", ROLES),
        party_is=PartyIs(party_is) if party_is else None,
        says=table.one_of_if("says", SAYINGS),
        after=_yes(table.optional("after", bool), False),
    )


def _satisfaction(table: Table) -> Telling:
    table.optional("name", str)  # by which an agreement can mean it
    notices = table.notices("notices")
    if not notices:
        raise table.wrong("notices", "is missing")
    made = _telling(table, notices)
    table.done()
    return made


def _contest(table: Table) -> Contest:
    made = Contest(notice=table.notice(), basis=table.required("basis", str))
    table.done()
    return made


def _requirement(table: Table) -> Requirement:
    made = Requirement(
        name=table.required("name", str),
        telling=_telling(table, (table.notice(),)),
        basis=table.required("basis", str),
        missing=table.required("missing", str),
        only_if=table.one_of_if("only_if", FLAGS),
        waived_by=table.notices("waived_by"),
        enforced=_yes(table.optional("enforced", bool), True),
        whenever=_yes(table.optional("whenever", bool), False),
        deadline=table.optional("deadline", str),
        late=table.one_of_if("late", LATE) or "allowed",
    )
    table.done()
    if made.late == "void" and made.deadline is None:
        raise table.wrong("late", "means nothing without the deadline that it is late for")
    return made


def _yes(value: bool | None, default: bool) -> bool:
    return default if value is None else value


def _readmissions(top: Table) -> tuple[Readmission, ...]:
    """The definitions in their order; on no day do two of them hold."""
    made: list[Readmission] = []
    for table in top.tables("readmission"):
        one = read_readmission(table)
        starts = one.valid_from or date.min
        if any(starts <= (m.valid_to or date.max) for m in made):
            raise table.wrong("valid_from", f"{starts} is not after the end of the definition before it")
        made.append(one)
    return tuple(made)


def read_readmission(table: Table) -> Readmission:
    """A definition of a file, or one that an agreement has changed or set."""
    raw = MappingProxyType(dict(table.content))
    made = Readmission(
        earliest=table.parsed_if("earliest", duration) or timedelta(),
        latest=table.parsed("latest", duration),
        acute_only=table.optional("acute_only", bool) or False,
        basis=table.required("basis", str),
        confidence=table.one_of("confidence", CONFIDENCES),
        valid_from=table.day("valid_from"),
        valid_to=table.day("valid_to"),
        note=table.optional("note", str),
        raw=raw,
    )
    table.done()
    if made.latest <= made.earliest:
        raise table.wrong("latest", f"{iso(made.latest)} is not longer than earliest {iso(made.earliest)}")
    if made.valid_from and made.valid_to and made.valid_to < made.valid_from:
        raise table.wrong("valid_to", f"{made.valid_to} is before valid_from {made.valid_from}")
    return made


def _payment(table: Table) -> Payment:
    payees = table.optional("payees", list) or ["hospital"]
    made = Payment(
        basis=table.required("basis", str),
        currency=table.required("currency", str),
        payees=tuple(payees),
        amounts=read_amounts(table.tables("amount"), tuple(payees)),
        note=table.optional("note", str),
        average=_average(table.table("average")) if "average" in table.content else None,
    )
    table.done()
    return made


def _average(table: Table) -> AverageAllowed:
    made = AverageAllowed(
        rule=table.required("rule", str),
        basis=table.required("basis", str),
        confidence=table.one_of("confidence", CONFIDENCES),
    )
    table.done()
    return made


def read_amounts(tables: Iterable[Table], payees: tuple[str, ...]) -> tuple[Amount, ...]:
    """The prices of a rule file or of an agreement."""
    made: list[Amount] = []
    for table in tables:
        first = table.optional("from_day", int)
        one = Amount(
            year=table.required("year", int),
            amount=table.parsed("amount", _money),
            basis=table.required("basis", str),
            confidence=table.one_of_if("confidence", CONFIDENCES) or "local",
            payee=table.one_of_if("payee", payees) or payees[0],
            from_day=1 if first is None else first,
            to_day=table.optional("to_day", int),
        )
        table.done()
        if one.from_day < 1:
            raise table.wrong("from_day", f"{one.from_day} is no day; the first charged day is 1")
        if one.to_day is not None and one.to_day < one.from_day:
            raise table.wrong("to_day", f"{one.to_day} is before from_day {one.from_day}")
        if one.year not in YEARS:
            raise table.wrong("year", f"{one.year} is not in {YEARS[0]} to {YEARS[-1]}")
        if any(_same_days(one, m) for m in made):
            raise table.wrong("year", f"the price of {one.year} is given twice for the same days; keep one")
        made.append(one)
    return tuple(made)


def _same_days(one: Amount, other: Amount) -> bool:
    if (one.year, one.payee) != (other.year, other.payee):
        return False
    return one.covers(one.year, other.from_day) or other.covers(one.year, one.from_day)


def _money(text: str) -> Decimal:
    if _AMOUNT.fullmatch(text) is None:
        raise ValueError(f"{text!r} is no amount; write it like 5745 or 120.50")
    return Decimal(text)


_AMOUNT = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,2}0*)?")


def _term(table: Table) -> Term:
    made = Term(
        name=table.required("name", str),
        rule=table.required("rule", str),
        key=table.required("key", str),
        about=table.required("about", str),
    )
    table.done()
    return made


def _group(table: Table) -> Placement:
    made = Placement(
        kind=PlacementKind.GROUP,
        name=table.required("name", str),
        title=table.required("title", str),
        basis=table.required("basis", str),
        confidence=table.one_of("confidence", CONFIDENCES),
        valid_from=table.day("valid_from"),
        valid_to=table.day("valid_to"),
    )
    table.done()
    in_order(table, made.valid_from, made.valid_to)
    return made


def _undated(table: Table) -> Undated:
    made = Undated(
        actor=table.one_of("actor", ACTORS),
        duty=table.required("duty", str),
        basis=table.required("basis", str),
        confidence=table.one_of("confidence", CONFIDENCES),
    )
    table.done()
    return made
