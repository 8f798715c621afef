"""An agreement: a country's rules as they hold between parties, with the dated terms that replace some.

Terms are named in the country's rule file, or replace any key of any rule (`rules`). Each lies in an
`Accord`, which says between whom and when it holds; which one does is decided for each rule, each receiver
and the local day on which the count starts, and what it replaced is kept beside it.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache
from importlib import resources
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

from adapter.discharge.calendar import Calendar, day_off
from adapter.discharge.counting import iso
from adapter.discharge.notices import NoticeKind, Way
from adapter.discharge.pathways import FOLLOW_UP, NOTHING, Own
from adapter.discharge.rulefile import (
    Table,
    merged,
    read_amounts,
    read_by_hand,
    read_country,
    read_readmission,
    read_rule,
    unprintable,
)
from adapter.discharge.rules import (
    NONE,
    ByHand,
    Country,
    Payment,
    Placement,
    Readmission,
    Replaced,
    Rule,
    Term,
    Time,
    within,
)
from adapter.errors import ConfigurationError

OWN_TERMS = "local terms"
"""The name of terms that belong to no named agreement."""

_OF_EVERY_COUNTRY = (
    "remind_before", "days_off", "amounts", "rules", "readmission", "trace_of_withdrawn", "by_telephone",
    "on_paper",
)  # fmt: skip
_TRACE = "trace_of_withdrawn"
_WAYS = {Way.TELEPHONE: "by_telephone", Way.PAPER: "on_paper"}
_YEAR = re.compile(r"[0-9]{4}")
_DAYS = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,6})?")
AVERAGE = "average_days"
"""The term by which a mean over a month decides; only where the country's law lets parties agree on it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Accord:
    """Terms between parties for a period: överenskommelse, samarbeidsavtale, sundhedsaftale."""

    name: str
    between: frozenset[str] = frozenset()  # all of them must take part; empty: between everybody
    valid_from: date | None = None  # local day of the start, inclusive
    valid_to: date | None = None  # inclusive
    terms: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def holds(self, parties: Iterable[str | None], day: date) -> bool:
        """Whether it holds between these parties for what starts on `day`."""
        return self.between <= set(parties) and within(day, self.valid_from, self.valid_to)


@dataclass(frozen=True, kw_only=True, slots=True)
class Level:
    """How many ready days patients may have on average before the municipality pays, and who agreed on it."""

    agreement: str
    days: Decimal
    between: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """The rules of a country, the region's own follow-ups, and every accord that changes them somewhere."""

    country: Country
    accords: tuple[Accord, ...] = ()  # a later one stands over an earlier one
    own: Own = NOTHING
    _heeding: dict[NoticeKind, frozenset[str]] = field(
        init=False, default_factory=dict, hash=False, compare=False, repr=False
    )
    _made: dict[tuple[int, tuple[int, ...]], Rule] = field(
        default_factory=dict, hash=False, compare=False, repr=False
    )

    @property
    def name(self) -> str:
        """The country's."""
        return self.country.name

    @property
    def zone(self) -> ZoneInfo:
        """The hospital's."""
        return self.country.calendar.zone

    @property
    def rules(self) -> tuple[Rule, ...]:
        """As the law has them, with what every party has agreed on."""
        return tuple(self.rule(r, (), None) for r in self.every_rule)

    @property
    def every_rule(self) -> tuple[Rule, ...]:
        """The law's and the region's, before any accord."""
        return (*self.country.rules, *self.own.follow_ups)

    @property
    def placements(self) -> tuple[Placement, ...]:
        """The pathways and groups of the region, and the country's groups."""
        return (*self.own.placements, *self.country.groups)

    def placement(self, name: str, day: date) -> Placement:
        """What a case can be placed on under that name on `day`.

        ConfigurationError where there is none of that name, or none on that day.
        """
        named = [p for p in self.placements if p.name == name]
        if not named:
            known = ", ".join(dict.fromkeys(p.name for p in self.placements)) or "none is configured"
            raise ConfigurationError(f"{name}: there is no such pathway or group; known: {known}")
        found = next((p for p in named if p.holds(day)), None)
        if found is None:
            when = "; ".join(_period(p) for p in named)
            raise ConfigurationError(f"{name}: cannot be chosen on {day}; it holds {when}")
        return found

    @property
    def follow_up_kinds(self) -> tuple[str, ...]:
        """The kinds of follow-up that some rule asks for, as `call`."""
        kinds = (r.kind for r in self.every_rule if r.kind.startswith(FOLLOW_UP))
        return tuple(dict.fromkeys(kind.removeprefix(FOLLOW_UP) for kind in kinds))

    def heeding(self, kind: NoticeKind) -> frozenset[str]:
        """The deadlines that the way of such a notice can move: by when it is delivered, accepted or seen.

        Also those with a condition that was to be told of by such a deadline. Where parties have agreed on
        something, every deadline whose rule names such a notice.
        """
        if not self._heeding:
            by = None if self.accords else frozenset((Time.DELIVERED, Time.ACCEPTED, Time.SEEN))
            named: dict[str, set[NoticeKind]] = {}
            told_by: dict[str, set[str]] = {}
            for rule in self.every_rule:  # several may be variants of one kind
                named.setdefault(rule.kind, set()).update(rule.kinds(by=by))
                conditions = (r.deadline for r in rule.requires if r.deadline is not None)
                told_by.setdefault(rule.kind, set()).update(conditions)
            looks = {d: kinds.union(*(named.get(o, ()) for o in told_by[d])) for d, kinds in named.items()}
            for one in NoticeKind:
                self._heeding[one] = frozenset(d for d, kinds in looks.items() if one in kinds)
        return self._heeding[kind]

    def between(self, parties: Iterable[str | None], day: date | None) -> tuple[Accord, ...]:
        """The accords that hold; without a day, those that always hold."""
        if not self.accords:
            return ()
        if day is None:
            return tuple(a for a in self.accords if not (a.between or a.valid_from or a.valid_to))
        known = set(parties)
        return tuple(a for a in self.accords if a.holds(known, day))

    def rule(self, rule: Rule, parties: Iterable[str | None], day: date | None) -> Rule:
        """The rule as it holds between these parties for what starts on `day`."""
        accords = self.between(parties, day)
        if not accords:
            return rule
        key = (id(rule), tuple(id(a) for a in accords))  # a renewed accord may keep its name
        if key not in self._made:
            changed = rule
            for accord in accords:
                changed = _changed(changed, accord, self.country, _where(accord, self.country))
            self._made[key] = changed
        return self._made[key]

    @property
    def averages(self) -> bool:
        """Whether anybody has agreed that a mean decides."""
        return any(AVERAGE in a.terms for a in self.accords)

    def level(self, parties: Iterable[str | None], day: date) -> Level | None:
        """The mean's level for what starts between these parties on `day`; None where each day counts."""
        holding = [a for a in self.between(parties, day) if AVERAGE in a.terms]
        return _level(holding[-1], self.country) if holding else None

    def calendar(self, parties: Iterable[str | None], day: date) -> Calendar:
        """The hospital's calendar with the days off that were agreed on."""
        own = self.country.calendar
        if not self.accords:
            return own
        more = [off for a in self.between(parties, day) for off in a.terms.get("days_off", ())]
        return replace(own, days_off=(*own.days_off, *more)) if more else own

    def trace_of_withdrawn(self, parties: Iterable[str | None], day: date) -> str | None:
        """Whose terms want a notice sent that was withdrawn before it ever left, and its withdrawal after it.

        None where neither is sent.
        """
        said = [a for a in self.between(parties, day) if _TRACE in a.terms]
        return said[-1].name if said and said[-1].terms[_TRACE] else None

    def by_hand(self, way: Way, parties: Iterable[str | None], day: date) -> ByHand:
        """What counts of what is told that way between these parties on `day`; who agreed is its basis."""
        found = self.country.by_hand
        for accord in self.between(parties, day):
            if _WAYS[way] in accord.terms:
                found = replace(_agreed(found, accord, way, self.country), basis=accord.name)
        return found

    def readmission(self, parties: Iterable[str | None], day: date) -> Readmission | None:
        """What a readmission is after a discharge on `day`; None where nothing is watched."""
        found = next((r for r in self.country.readmissions if r.in_force(day)), None)
        for accord in self.between(parties, day):
            if "readmission" in accord.terms:
                found = _defined(found, accord, self.country)
        return found

    def payment(self, parties: Iterable[str | None], day: date) -> Payment:
        """The payment with the amounts that were agreed on."""
        own = self.country.payment
        more = [
            amount
            for accord in self.between(parties, day)
            for amount in read_amounts(_amounts(accord, _where(accord, self.country)), own.payees)
        ]
        return replace(own, amounts=(*own.amounts, *more)) if more else own


def agreement(
    name: str,
    terms: Mapping[str, Any] | None = None,
    accords: Iterable[Accord] = (),
    own: Own = NOTHING,
) -> Agreement:
    """The agreement of that country, with `terms` for everybody, `accords` between some, `own` follow-ups.

    ConfigurationError where the country or a term is unknown, or a term makes no sense of its rule.
    """
    return agreed(country(name), terms, accords, own)


def country(name: str) -> Country:
    """The rules of that country, before any agreement; ConfigurationError where there are none."""
    known = _countries().get(name)
    if known is None:
        here = ", ".join(sorted(_countries()))
        raise ConfigurationError(f"agreement {name!r}: no such agreement; choose one of: {here}")
    return known


def agreed(
    country: Country,
    terms: Mapping[str, Any] | None = None,
    accords: Iterable[Accord] = (),
    own: Own = NOTHING,
) -> Agreement:
    """The agreement over a country's rules; every term is tried before it is needed."""
    first = [Accord(name=OWN_TERMS, terms=MappingProxyType(dict(terms)))] if terms else []
    made = Agreement(country=country, accords=(*first, *accords), own=own)
    for accord in made.accords:
        _try(accord, made)
    return made


def read_accord(table: Table) -> Accord:
    """An accord as a document writes it: name, between, valid_from, valid_to, terms."""
    between = table.optional("between", list) or []
    if not all(isinstance(party, str) for party in between):
        raise table.wrong("between", "must be a list of parties")
    made = Accord(
        name=table.required("name", str),
        between=frozenset(between),
        valid_from=table.day("valid_from"),
        valid_to=table.day("valid_to"),
        terms=MappingProxyType(table.optional("terms", dict) or {}),
    )
    table.done()
    return made


def read_rules(text: str, file: str) -> Country:
    """The country that a rule file describes. ConfigurationError names file, key and reason."""
    try:
        top = Table(tomllib.loads(text), file)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{file}: not TOML: {error}") from error
    return read_country(top)


def countries() -> tuple[Country, ...]:
    """Those whose rules are packaged."""
    return tuple(_countries().values())


# --- terms ------------------------------------------------------------------------------------------------


def _where(accord: Accord, country: Country) -> str:
    name = country.name if accord.name == OWN_TERMS else accord.name
    return f"agreement {name!r}"


def _period(placement: Placement) -> str:
    first = f"from {placement.valid_from}" if placement.valid_from else ""
    last = f"to {placement.valid_to}" if placement.valid_to else ""
    return " ".join(filter(None, (first, last)))


def _try(accord: Accord, made: Agreement) -> None:
    country = made.country
    if accord.valid_from and accord.valid_to and accord.valid_to < accord.valid_from:
        raise ConfigurationError(
            f"{_where(accord, country)}: valid_to: {accord.valid_to} is before valid_from {accord.valid_from}"
        )
    allowed = {t.name for t in country.terms} | set(_OF_EVERY_COUNTRY)
    if country.payment.average is not None:
        allowed.add(AVERAGE)
    for key in accord.terms:
        if key not in allowed:
            known = ", ".join(sorted(allowed))
            raise ConfigurationError(
                f"{_where(accord, country)}, term {key!r}: no such term; it may have: {known}"
            )
    _readable(accord, country)
    days_off = accord.terms.get("days_off", ())
    if not isinstance(days_off, list | tuple):
        raise ConfigurationError(f"{_where(accord, country)}, term 'days_off': must be a list")
    for off in days_off:
        _day_off(off, accord, country)
    _works(accord, country)
    if not isinstance(accord.terms.get(_TRACE, False), bool):
        raise ConfigurationError(f"{_where(accord, country)}, term {_TRACE!r}: must be true or false")
    read_amounts(_amounts(accord, _where(accord, country)), country.payment.payees)
    if AVERAGE in accord.terms:
        _level(accord, country)
    for way, term in _WAYS.items():
        if term in accord.terms:
            _agreed(country.by_hand, accord, way, country)
    for base in country.readmissions or (None,):
        _defined(base, accord, country)
    _known_kinds(accord, made, "rules")
    _known_kinds(accord, made, "remind_before")
    for key, value in accord.terms.items():
        alone = replace(accord, terms={key: value})
        for rule in made.every_rule:
            _changed(rule, alone, country, f"{_where(accord, country)}, term {key!r}")


def _readable(accord: Accord, country: Country) -> None:
    """Every text says something that can be shown: an empty one would silently change nothing.

    But in `rules`, where an empty text takes a key away.
    """
    where = _where(accord, country)
    if not accord.name.strip() or unprintable(accord.name):
        raise ConfigurationError(f"{where}: name: must be text that can be shown; write what it is called")
    for key, text in _texts(accord.terms):
        hidden = unprintable(text)
        if not text.strip() and not (text == "" and key.startswith("rules.")):
            raise ConfigurationError(f"{where}, term {key!r}: is empty; write its value, or leave it out")
        if hidden is not None:
            raise ConfigurationError(f"{where}, term {key!r}: holds {hidden}, which cannot be shown")


def _texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every text in terms, with the keys that lead to it."""
    match value:
        case str():
            yield path, value
        case Mapping():
            for key, inner in value.items():
                yield from _texts(inner, f"{path}.{key}" if path else str(key))
        case list() | tuple():
            for inner in value:
                yield from _texts(inner, path)


def _works(accord: Accord, country: Country) -> None:
    """Somebody is at work on some day of a year: else what is counted in working days would never be due."""
    off = accord.terms.get("days_off", ())
    calendar = replace(country.calendar, holidays_of=None, days_off=tuple(off))
    if off and all(calendar.is_off(date(2024, 1, 1) + timedelta(days=n)) for n in range(366)):
        raise ConfigurationError(
            f"{_where(accord, country)}, term 'days_off': leaves no day of the year on which anybody works"
        )


def _level(accord: Accord, country: Country) -> Level:
    given = accord.terms[AVERAGE]
    if _DAYS.fullmatch(str(given)) is None:
        raise ConfigurationError(
            f"{_where(accord, country)}, term {AVERAGE!r}: {given!r} is no number of days; write it like 3.5"
        )
    return Level(agreement=accord.name, days=Decimal(str(given)), between=accord.between)


def _day_off(text: Any, accord: Accord, country: Country) -> None:
    try:
        day_off(str(text))
    except ValueError as error:
        raise ConfigurationError(f"{_where(accord, country)}, term 'days_off': {error}") from error


def _amounts(accord: Accord, where: str) -> list[Table]:
    """`amounts` as a table of years, or as a list of tables that say more."""
    given = accord.terms.get("amounts", [])
    if isinstance(given, Mapping):
        given = [
            {
                "year": int(year) if _YEAR.fullmatch(str(year)) else year,
                "amount": str(amount),
                "basis": accord.name,
            }
            for year, amount in given.items()
        ]
    if not isinstance(given, list | tuple):
        raise ConfigurationError(f"{where}, term 'amounts': must be a table of years, or a list of tables")
    return [
        Table(
            {"basis": accord.name, **one} if isinstance(one, Mapping) else one, f"{where}, amounts {number}"
        )
        for number, one in enumerate(given, start=1)
    ]


def _agreed(base: ByHand, accord: Accord, way: Way, country: Country) -> ByHand:
    term = _WAYS[way]
    return read_by_hand(Table(accord.terms[term], f"{_where(accord, country)}, term {term!r}"), base)


def _known_kinds(accord: Accord, made: Agreement, term: str) -> None:
    country = made.country
    given = accord.terms.get(term, {})
    if term == "rules" and not isinstance(given, Mapping):
        raise ConfigurationError(
            f"{_where(accord, country)}, term 'rules': must be a table of deadline kinds"
        )
    if not isinstance(given, Mapping):
        return
    kinds = {r.kind for r in made.every_rule}
    for kind in given:
        if kind not in kinds:
            here = ", ".join(sorted(kinds))
            raise ConfigurationError(
                f"{_where(accord, country)}, term {term!r}: no deadline of kind {kind!r}; there are: {here}"
            )


def _changed(rule: Rule, accord: Accord, country: Country, where: str) -> Rule:
    """The rule with the accord's terms in place of its own keys."""
    over = _over(rule, accord, country)
    if not over:
        return rule
    raw = merged(rule.raw, over, f"{where}, {rule.kind}")
    counts = set(over) - {"remind_before", "note", "confidence", "quiet"}
    if counts and "confidence" not in over:
        raw["confidence"] = "local"
    table = Table(raw, where)
    replaced = tuple(_replacements(rule.raw, over, accord.name, ""))
    made = read_rule(table)
    if made.trigger.placed != rule.trigger.placed:
        raise ConfigurationError(
            f"{where}, {rule.kind}: trigger, placed: names whom the rule is for; it stays"
        )
    if _averaged(rule, accord, country):
        days = _level(accord, country).days
        others = (r for r in replaced if r.key != "quiet")
        replaced = (Replaced(agreement=accord.name, key=AVERAGE, was=NONE, now=f"{days:f}"), *others)
    return replace(
        made,
        replaced=(*rule.replaced, *replaced),
        own=rule.own,
        placement=rule.placement,
        between=rule.between,
    )


def _averaged(rule: Rule, accord: Accord, country: Country) -> bool:
    """Whether no day is charged by this rule, because a mean over the month decides."""
    allowed = country.payment.average
    return AVERAGE in accord.terms and allowed is not None and allowed.rule == rule.kind


def _defined(base: Readmission | None, accord: Accord, country: Country) -> Readmission | None:
    """The definition with the accord's values in place of its own, or the accord's alone."""
    where = f"{_where(accord, country)}, term 'readmission'"
    given = accord.terms.get("readmission")
    if given is None:
        return base
    if not isinstance(given, Mapping):
        raise ConfigurationError(f'{where}: must be a table, like {{ earliest = "PT8H", latest = "P30D" }}')
    for key in ("valid_from", "valid_to"):
        if key in given:
            raise ConfigurationError(f"{where}: {key}: the agreement itself says when it holds; leave it out")
    over = {key: _text(value) for key, value in given.items()}
    own = base.raw if base is not None else {"basis": accord.name}
    made = read_readmission(Table(merged(own, {"confidence": "local"} | over, where), where))
    replaced = _replacements(base.raw if base is not None else {}, over, accord.name, "readmission.")
    earlier = base.replaced if base is not None else ()
    return replace(made, replaced=(*earlier, *replaced))


def _over(rule: Rule, accord: Accord, country: Country) -> dict[str, Any]:
    terms, over = accord.terms, dict[str, Any]()
    remind = terms.get("remind_before")
    if isinstance(remind, Mapping):
        remind = remind.get(rule.kind)
    if remind is not None:
        over["remind_before"] = _text(remind)
    if _averaged(rule, accord, country):
        over["quiet"] = True  # nothing is owed from it, so nobody is alarmed when it passes
    for term in country.terms:
        if term.name in terms and term.rule == rule.kind:
            over = _set(over, term, _text(terms[term.name]))
    given = terms.get("rules", {}).get(rule.kind, {})
    if not isinstance(given, Mapping):
        raise ConfigurationError(
            f"{_where(accord, country)}, term 'rules': {rule.kind}: must be a table of its keys"
        )
    for key in ("kind", "variant"):
        if key in given:
            raise ConfigurationError(
                f"{_where(accord, country)}, term 'rules': {rule.kind}: {key}: names the rule; it stays"
            )
    for key in ("valid_from", "valid_to"):
        if key in given:
            raise ConfigurationError(
                f"{_where(accord, country)}, term 'rules': {rule.kind}: {key}: "
                "the agreement itself says when it holds; leave it out"
            )
    return merged(over, given, _where(accord, country), keep_empty=True)


def _set(over: dict[str, Any], term: Term, value: Any) -> dict[str, Any]:
    *path, last = term.key.split(".")
    wrapped: dict[str, Any] = {last: value}
    for key in reversed(path):
        wrapped = {key: wrapped}
    return merged(over, wrapped, term.name)


def _text(value: Any) -> Any:
    """Settings give durations as such; rule files write them."""
    if not isinstance(value, timedelta):
        return value
    return iso(value) if value > timedelta() else "PT0S"


def _replacements(
    raw: Mapping[str, Any], over: Mapping[str, Any], name: str, path: str
) -> Iterable[Replaced]:
    for key, value in over.items():
        was = raw.get(key)
        if isinstance(was, list) and isinstance(value, Mapping):
            was = {t["name"]: t for t in was if isinstance(t, Mapping) and "name" in t}
        if isinstance(value, Mapping):
            inner = was if isinstance(was, Mapping) else {}
            yield from _replacements(inner, value, name, f"{path}{key}.")
        elif value != was and not (was is None and value == ""):
            yield Replaced(agreement=name, key=f"{path}{key}", was=_shown(was), now=_shown(value))


def _shown(value: Any) -> str:
    match value:
        case None | "":
            return NONE
        case bool():
            return "true" if value else "false"
        case list() | tuple():
            return ", ".join(_shown(one) for one in value)
        case _:
            return str(value)


@lru_cache(maxsize=1)
def _countries() -> Mapping[str, Country]:
    files = resources.files("adapter.discharge").joinpath("rules").iterdir()
    read = [read_rules(f.read_text("utf-8"), f"rules/{f.name}") for f in files if f.name.endswith(".toml")]
    return {made.name: made for made in sorted(read, key=lambda c: c.name)}
