"""The rules of a country as data, and the local terms that replace some of them.

`rules/<country>.toml` holds durations, clock times, actors, notices, paragraphs and how well each is known.
It names ways of counting (`counting.WAYS`) and has no expressions. Every error names file, key and reason.
"""

import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import time, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from importlib import resources
from types import MappingProxyType
from typing import Any, TypeVar, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from adapter.discharge.counting import IN_DAYS, WAYS, Count, duration, iso
from adapter.discharge.notices import NoticeKind
from adapter.errors import ConfigurationError

ACTORS = ("hospital", "municipality", "open-care", "fixed-care-contact")
ROLES = (*ACTORS, "gp")
FLAGS = ("sip_needed", "psychiatric")
SAYINGS = ("can-receive", "available")
CONFIDENCES = ("Q", "S", "K", "local")
_ABSENT = ("denmark", "england-2014")

T = TypeVar("T")


class Time(StrEnum):
    """Which of a notice's times counts."""

    OCCURRED = "occurred"
    SENT = "sent"
    DELIVERED = "delivered"
    ACCEPTED = "accepted"
    SEEN = "seen"


class PartyIs(StrEnum):
    """What the party of a deadline must be to the notice that settles it."""

    SENDER = "sender"
    RECEIVER = "receiver"


@dataclass(frozen=True, kw_only=True, slots=True)
class Trigger:
    """What starts the count, and by which of its times."""

    notice: NoticeKind
    time: Time
    only_if: str | None = None  # a flag of the notice
    from_ready_day: bool = False  # not before the day that the notice names as ready


@dataclass(frozen=True, kw_only=True, slots=True)
class Later:
    """A later start, for a need that shows after the trigger; with a basis of its own."""

    notice: NoticeKind
    time: Time
    basis: str
    confidence: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Telling:
    """A notice that settles a deadline, or that a liability presupposes."""

    notices: tuple[NoticeKind, ...]
    time: Time
    by: tuple[str, ...] = ()  # roles of the sender; empty = anybody
    party_is: PartyIs | None = None
    says: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Requirement:
    """What must have been told before a liability can begin; `missing` says so in words."""

    telling: Telling
    basis: str
    missing: str
    only_if: str | None = None
    waived_by: tuple[NoticeKind, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One deadline of the law: trigger, count, what settles it and what ends it."""

    kind: str
    actor: str
    basis: str
    confidence: str  # Q, S, K or local
    count: Count
    trigger: Trigger
    satisfied_by: tuple[Telling, ...]
    later: Later | None = None
    receivers_of: tuple[NoticeKind, ...] = ()  # one deadline for each receiver of these
    roles: tuple[str, ...] = ()  # which receivers, where their role is known
    responsible: str | None = None  # or one, for the party of this role that is responsible
    voided_by: tuple[NoticeKind, ...] = ()  # if it comes before the time is up
    closed_by: tuple[NoticeKind, ...] = ()  # whenever it comes
    requires: tuple[Requirement, ...] = ()
    remind_before: timedelta
    term: str | None = None  # the term that may replace the duration


@dataclass(frozen=True, kw_only=True, slots=True)
class Amount:
    """What a day costs in a year, and how well that is known."""

    amount: Decimal
    basis: str
    confidence: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Payment:
    """What the payment of a country rests on; `not_encoded` says why there are no figures."""

    basis: str
    currency: str | None = None
    amounts: Mapping[int, Amount] = field(default_factory=dict, hash=False)  # by year
    not_encoded: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """A country's rules as they hold between parties, with the terms that replaced some."""

    name: str
    country: str
    zone: ZoneInfo
    rules: tuple[Rule, ...]
    payment: Payment
    terms: Mapping[str, Any] = field(default_factory=dict, hash=False)


def agreement(name: str, terms: Mapping[str, Any] | None = None) -> Agreement:
    """The agreement of that name, with `terms` in place of what the rules say.

    `answer_within` is a duration (Norway); `remind_before` is a duration, or one for each deadline kind.
    Durations are ISO 8601 text or timedelta. ConfigurationError where the name or a term is unknown.
    """
    known = _COUNTRIES.get(name)
    if known is None:
        here = ", ".join(sorted(_COUNTRIES))
        if name in _ABSENT:
            raise ConfigurationError(
                f"agreement {name!r}: its rules are not encoded yet; there are: {here}. Choose one of these"
            )
        raise ConfigurationError(f"agreement {name!r}: no such agreement; choose one of: {here}")
    return _with_terms(known, terms or {})


def _with_terms(base: Agreement, terms: Mapping[str, Any]) -> Agreement:
    durations = {rule.term for rule in base.rules if rule.term}
    known = sorted({*durations, "remind_before"})
    rules = base.rules
    for key, value in terms.items():
        where = f"agreement {base.name!r}, term {key!r}"
        if key in durations:
            length = _length(value, where)
            rules = tuple(_lasting(rule, length, where) if rule.term == key else rule for rule in rules)
        elif key == "remind_before":
            rules = _reminded(rules, value, where)
        else:
            raise ConfigurationError(f"{where}: no such term; it may have: {', '.join(known)}")
    return replace(base, rules=rules, terms=MappingProxyType(dict(terms)))


def _lasting(rule: Rule, length: timedelta, where: str) -> Rule:
    if rule.count.way in IN_DAYS and length % timedelta(days=1):
        raise ConfigurationError(f"{where}: {iso(length)} is not whole days; {rule.kind} is counted in days")
    return replace(rule, count=replace(rule.count, duration=length), confidence="local")


def _reminded(rules: tuple[Rule, ...], value: Any, where: str) -> tuple[Rule, ...]:
    if not isinstance(value, Mapping):
        length = _length(value, where)
        return tuple(replace(rule, remind_before=length) for rule in rules)
    kinds = {rule.kind for rule in rules}
    for kind in value:
        if kind not in kinds:
            raise ConfigurationError(
                f"{where}: no deadline of kind {kind!r}; there are: {', '.join(sorted(kinds))}"
            )
    return tuple(
        replace(rule, remind_before=_length(value[rule.kind], f"{where}, {rule.kind}"))
        if rule.kind in value
        else rule
        for rule in rules
    )


def _length(value: Any, where: str) -> timedelta:
    if isinstance(value, timedelta):
        if value <= timedelta():
            raise ConfigurationError(f"{where}: a duration must be longer than zero")
        return value
    if not isinstance(value, str):
        raise ConfigurationError(f"{where}: must be a duration in text, like PT2H")
    try:
        return duration(value)
    except ValueError as error:
        raise ConfigurationError(f"{where}: {error}") from error


# --- reading rule files -----------------------------------------------------------------------------------


class _Table:
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
        return value

    def required(self, key: str, type_: type[T]) -> T:
        value = self.optional(key, type_)
        if value is None:
            raise self.wrong(key, "is missing")
        return value

    def parsed(self, key: str, parse: Callable[[str], T]) -> T:
        text = self.required(key, str)
        try:
            return parse(text)
        except (ValueError, InvalidOperation, ZoneInfoNotFoundError) as error:
            said = f"{text!r} is no number" if isinstance(error, InvalidOperation) else str(error)
            raise self.wrong(key, said) from error

    def parsed_if(self, key: str, parse: Callable[[str], T]) -> T | None:
        return self.parsed(key, parse) if key in self.content else None

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

    def table(self, key: str) -> "_Table":
        return _Table(self.required(key, dict), f"{self.where}, {key}")

    def tables(self, key: str) -> list["_Table"]:
        return [
            _Table(content, f"{self.where}, {key} {number}")
            for number, content in enumerate(self.optional(key, list) or [], start=1)
        ]

    def done(self) -> None:
        for key in self.content:
            raise self.wrong(key, "is not a key of this table; is it misspelt?")

    def _among(self, key: str, value: Any, words: Iterable[str]) -> str:
        if value not in words:
            raise self.wrong(key, f"{value!r} is unknown; it may be: {', '.join(words)}")
        return cast(str, value)


_SPOKEN: dict[type, str] = {
    str: "text",
    int: "a whole number",
    bool: "true or false",
    list: "a list",
    dict: "a table",
}


def read_rules(text: str, file: str) -> Agreement:
    """The agreement that a rule file describes, with no local terms."""
    try:
        top = _Table(tomllib.loads(text), file)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{file}: not TOML: {error}") from error
    country = top.required("country", str)
    made = Agreement(
        name=country,
        country=country,
        zone=top.parsed("zone", ZoneInfo),
        rules=tuple(_rule(table) for table in top.tables("rule")),
        payment=_payment(top.table("payment")),
    )
    top.done()
    return made


def _rule(table: _Table) -> Rule:
    kind = table.required("kind", str)
    table.where = f"{table.where} ({kind})"
    concerns = table.table("concerns") if "concerns" in table.content else _Table({}, table.where)
    made = Rule(
        kind=kind,
        actor=table.one_of("actor", ACTORS),
        basis=table.required("basis", str),
        confidence=table.one_of("confidence", CONFIDENCES),
        count=_count(table),
        trigger=_trigger(table.table("trigger")),
        later=_later(table.table("later")) if "later" in table.content else None,
        receivers_of=concerns.notices("receivers_of"),
        roles=concerns.words("roles", ROLES),
        responsible=concerns.one_of_if("responsible", ROLES),
        satisfied_by=tuple(_satisfaction(t) for t in table.tables("satisfied_by")),
        voided_by=table.notices("voided_by"),
        closed_by=table.notices("closed_by"),
        requires=tuple(_requirement(t) for t in table.tables("requires")),
        remind_before=table.parsed("remind_before", duration),
        term=table.optional("term", str),
    )
    concerns.done()
    table.done()
    if not made.satisfied_by:
        raise table.wrong("satisfied_by", "is missing")
    return made


def _count(table: _Table) -> Count:
    count = Count(
        way=table.one_of("count", WAYS),
        duration=table.parsed("duration", duration),
        cutoff=table.parsed_if("cutoff", time.fromisoformat),
        after_cutoff=table.parsed_if("after_cutoff", duration),
    )
    with_cutoff = count.way == "days_with_cutoff"
    for key, value in (("cutoff", count.cutoff), ("after_cutoff", count.after_cutoff)):
        if with_cutoff != (value is not None):
            reason = f"is missing, and {count.way} needs it" if with_cutoff else f"has no use in {count.way}"
            raise table.wrong(key, reason)
    if count.cutoff is not None and count.cutoff.tzinfo is not None:
        raise table.wrong("cutoff", "must be local, without an offset")
    for key, length in (("duration", count.duration), ("after_cutoff", count.after_cutoff)):
        if count.way in IN_DAYS and length is not None and length % timedelta(days=1):
            raise table.wrong(key, f"{iso(length)} is not whole days, and {count.way} counts days")
    return count


def _trigger(table: _Table) -> Trigger:
    made = Trigger(
        notice=table.notice(),
        time=table.time(),
        only_if=table.one_of_if("only_if", FLAGS),
        from_ready_day=table.optional("from_ready_day", bool) or False,
    )
    table.done()
    return made


def _later(table: _Table) -> Later:
    made = Later(
        notice=table.notice(),
        time=table.time(),
        basis=table.required("basis", str),
        confidence=table.one_of("confidence", CONFIDENCES),
    )
    table.done()
    return made


def _telling(table: _Table, notices: tuple[NoticeKind, ...]) -> Telling:
    party_is = table.one_of_if("party_is", [which.value for which in PartyIs])
    return Telling(
        notices=notices,
        time=table.time(),
        by=table.words("by", ROLES),
        party_is=PartyIs(party_is) if party_is else None,
        says=table.one_of_if("says", SAYINGS),
    )


def _satisfaction(table: _Table) -> Telling:
    notices = table.notices("notices")
    if not notices:
        raise table.wrong("notices", "is missing")
    made = _telling(table, notices)
    table.done()
    return made


def _requirement(table: _Table) -> Requirement:
    made = Requirement(
        telling=_telling(table, (table.notice(),)),
        basis=table.required("basis", str),
        missing=table.required("missing", str),
        only_if=table.one_of_if("only_if", FLAGS),
        waived_by=table.notices("waived_by"),
    )
    table.done()
    return made


def _payment(table: _Table) -> Payment:
    amounts: dict[int, Amount] = {}
    for priced in table.tables("amount"):
        amounts[priced.required("year", int)] = Amount(
            amount=priced.parsed("amount", Decimal),
            basis=priced.required("basis", str),
            confidence=priced.one_of("confidence", CONFIDENCES),
        )
        priced.done()
    made = Payment(
        basis=table.required("basis", str),
        currency=table.optional("currency", str),
        amounts=MappingProxyType(amounts),
        not_encoded=table.optional("not_encoded", str),
    )
    table.done()
    if amounts and made.currency is None:
        raise table.wrong("currency", "is missing, and there are amounts")
    return made


def _packaged() -> dict[str, Agreement]:
    files = resources.files("adapter.discharge").joinpath("rules").iterdir()
    read = [read_rules(f.read_text("utf-8"), f"rules/{f.name}") for f in files if f.name.endswith(".toml")]
    return {made.name: made for made in read}


_COUNTRIES = _packaged()
