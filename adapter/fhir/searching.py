"""What a search asks for: the parameters of FHIR R4 search, read from a query string. Pure.

A parameter that is not known is refused, not left out (search.html#errors lets a server choose): a filter
that is silently dropped would show more patients than were asked for. `Prefer: handling=lenient` asks for
the other.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any

import orjson

from adapter.errors import Refused
from adapter.fhir.bundles import YEARS
from adapter.fhir.serving import Param, includes, params
from adapter.phrases import technical

MOST = 200
"""Entries of a page."""

USUAL = 50
_LONGEST = 500  # characters of a value
_MOST_VALUES = 50
_PREFIX = re.compile(r"(eq|ne|gt|ge|lt|le|sa|eb|ap)?(.+)", re.ASCII)
_DAY = re.compile(r"\d{4}(-\d\d(-\d\d)?)?", re.ASCII)
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)
_NO_SUBJECT = ("Patient", "AuditEvent", "EpisodeOfCare", "Appointment")
_NO_PATIENT = ("Patient", "Organization")
_FEWER: dict[str, frozenset[str]] = {"AuditEvent": frozenset(), "Organization": frozenset(("identifier",))}
_OF_ALL = (
    "_id",
    "_lastUpdated",
    "_count",
    "_sort",
    "_include",
    "_format",
    "_total",
    "_totalMethod",
    "_summary",
    "_cursor",
    "_pretty",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Term:
    """One parameter: any of its values will do. Values are `(system or None, value)`."""

    name: str
    param: Param
    values: tuple[tuple[str | None, str], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """A search over one type."""

    kind: str
    ids: tuple[str, ...] | None = None
    patients: tuple[str, ...] | None = None  # ids of ours
    patient_identifiers: tuple[
        tuple[tuple[str | None, str], ...], ...
    ] = ()  # of each group one must be theirs
    terms: tuple[Term, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    by_id: bool = False
    ascending: bool = False
    count: int = USUAL
    after: tuple[Any, ...] | None = None
    include: tuple[str, ...] = ()  # parameters to follow
    total: bool = False
    only_count: bool = False
    ignored: tuple[str, ...] = field(default=())

    @property
    def names_a_person(self) -> bool:
        """Whether it holds a person's number, which must not stand in a link."""
        return bool(self.patient_identifiers) or any(t.name == "identifier" for t in self.terms)


def read_query(kind: str, pairs: Sequence[tuple[str, str]], *, zone: tzinfo, lenient: bool = False) -> Query:
    """The query; Refused names the parameter and never its value."""
    made = Query(kind=kind)
    for name, text in pairs:
        try:
            made = _with(made, name, text, zone)
        except _Unknown:
            if not lenient:
                raise Refused(technical(_unknown(kind, name)), code="not-supported") from None
            made = replace(made, ignored=(*made.ignored, name))
    return made


class _Unknown(Exception):
    pass


def _unknown(kind: str, name: str) -> str:
    general = _OF_ALL[:6] if kind != "Organization" else ("_count", "_format", "_id")
    by_patient = () if kind in _NO_PATIENT else ("patient",)
    known = ", ".join(sorted({*_params(kind), *general, *by_patient}))
    safe = name if re.fullmatch(r"[\w:.\-]{1,40}", name, re.ASCII) else "a parameter"
    return f"{safe} is no search parameter of {kind} here; there are: {known}"


def _params(kind: str) -> dict[str, Param]:
    """What a type is searched by beside what holds for all; of what is not told by messages there is less."""
    known = params(kind)
    return {name: known[name] for name in known if name in _FEWER.get(kind, known)}


def _with(query: Query, name: str, text: str, zone: tzinfo) -> Query:
    if len(text) > _LONGEST * _MOST_VALUES:
        raise Refused(technical(f"the value of {name[:40]} is too long"), code="value")
    if name == "_lastUpdated" and query.kind == "Organization":
        raise _Unknown
    if name in _OF_ALL:
        return _general(query, name, text, zone)
    base, _, rest = name.partition(":")
    base, _, chained = base.partition(".")
    if base == "patient" or (base == "subject" and query.kind not in _NO_SUBJECT):
        return _patient(query, rest, chained, text)
    known = _params(query.kind).get(base)
    if known is None or rest or chained:
        raise _Unknown
    values_ = tuple(_value(known, part, name) for part in _split(text, name))
    return replace(query, terms=(*query.terms, Term(name=base, param=known, values=values_)))


def _general(query: Query, name: str, text: str, zone: tzinfo) -> Query:
    match name:
        case "_id":
            ids = tuple(_split(text, name))
            return replace(query, ids=ids if query.ids is None else tuple(set(ids) & set(query.ids)))
        case "_lastUpdated":
            return _within(query, text, zone)
        case "_count":
            return _counted(query, text)
        case "_sort":
            return _sorted(query, text)
        case "_include":
            return replace(query, include=(*query.include, _included(query.kind, text)))
        case "_cursor":
            return replace(query, after=_read_cursor(text))
        case "_total":
            if text not in ("none", "estimate", "accurate"):
                raise Refused(technical("_total is none, estimate or accurate"), code="value")
            return replace(query, total=text != "none")
        case "_totalMethod":  # what a widespread server, and so its clients, say for _total
            if text not in ("none", "estimate", "count"):
                raise Refused(technical("_totalMethod is none, estimate or count"), code="value")
            return replace(query, total=text != "none")
        case "_summary":
            if text not in ("count", "false"):
                raise Refused(technical("_summary: only count and false are supported"), code="not-supported")
            return replace(query, only_count=text == "count", total=query.total or text == "count")
        case _:
            return query  # _format and _pretty say how to answer, not what to find


def _patient(query: Query, modifier: str, chained: str, text: str) -> Query:
    if query.kind in _NO_PATIENT:
        raise _Unknown
    if chained == "identifier" and not modifier:
        told = tuple(_token(part) for part in _split(text, "patient.identifier"))
        return replace(query, patient_identifiers=(*query.patient_identifiers, told))
    if chained or modifier not in ("", "Patient"):
        raise _Unknown
    ids = []
    for part in _split(text, "patient"):
        kind, slash, one = part.rpartition("/")
        if slash and not kind.endswith("Patient"):
            raise Refused(technical("patient leads to another resource than a Patient"), code="value")
        ids.append(one)
    known = tuple(ids) if query.patients is None else tuple(set(ids) & set(query.patients))
    return replace(query, patients=known)


def _split(text: str, name: str) -> list[str]:
    """The values of a parameter, which commas set apart unless a backslash stands before them."""
    parts = [re.sub(r"\\([,|$\\])", r"\1", p) for p in re.split(r"(?<!\\),", text)]
    if not all(parts):
        raise Refused(technical(f"{name[:40]} has an empty value"), code="value")
    if len(parts) > _MOST_VALUES:
        raise Refused(technical(f"{name[:40]} has more than {_MOST_VALUES} values"), code="too-costly")
    if any("\x00" in part or len(part) > _LONGEST for part in parts):
        raise Refused(
            technical(f"a value of {name[:40]} is too long, or has a control character"), code="value"
        )
    return parts


def _value(param: Param, text: str, name: str) -> tuple[str | None, str]:
    if param.kind == "code":
        return None, text.rpartition("|")[2]
    if param.kind == "token":
        system, value = _token(text)
        if not value:
            raise Refused(
                technical(f"{name[:40]}: a system without a code is not searched for"), code="not-supported"
            )
        return system, value
    return None, text


def _token(text: str) -> tuple[str | None, str]:
    system, bar, value = text.rpartition("|")
    return (system, value) if bar else (None, text)


def _within(query: Query, text: str, zone: tzinfo) -> Query:
    found = _PREFIX.fullmatch(text.replace(" ", "+"))
    prefix, said = found.groups() if found is not None else ("", "")
    start, end = _span(said, zone)
    since, until = query.since, query.until
    match prefix or "eq":
        case "eq":
            since, until = _later(since, start), _earlier(until, end)
        case "ge":
            since = _later(since, start)
        case "gt" | "sa":
            since = _later(since, end)
        case "lt" | "eb":
            until = _earlier(until, start)
        case "le":
            until = _earlier(until, end)
        case _:
            raise Refused(technical("_lastUpdated takes eq, ge, gt, le, lt, sa and eb"), code="not-supported")
    return replace(query, since=since, until=until)


def _later(one: datetime | None, other: datetime) -> datetime:
    return other if one is None else max(one, other)


def _earlier(one: datetime | None, other: datetime) -> datetime:
    return other if one is None else min(one, other)


def _span(text: str, zone: tzinfo) -> tuple[datetime, datetime]:
    """The first instant of what is written, and the first after it."""
    try:
        if _DAY.fullmatch(text):
            return _days(text, zone)
        found = datetime.fromisoformat(text)
        found = found if found.tzinfo else found.replace(tzinfo=zone)
        if found.year not in YEARS:
            raise ValueError(text)
    except (ValueError, OverflowError):
        raise Refused(
            technical("_lastUpdated is no date or instant, as 2026-11-25 or with time and offset"),
            code="value",
        ) from None
    fraction = re.search(r"\.(\d+)", text)
    step = timedelta(microseconds=1) if fraction and len(fraction[1]) > 3 else timedelta(milliseconds=1)
    return found, found + (step if fraction else timedelta(seconds=1))


def _days(text: str, zone: tzinfo) -> tuple[datetime, datetime]:
    parts = [int(part) for part in text.split("-")]
    first = date(*[*parts, 1, 1][:3])
    if first.year not in YEARS:
        raise ValueError(text)
    after = {
        1: lambda: date(first.year + 1, 1, 1),
        2: lambda: date(first.year + first.month // 12, first.month % 12 + 1, 1),
        3: lambda: first + timedelta(days=1),
    }[len(parts)]()
    return datetime.combine(first, time.min, zone), datetime.combine(after, time.min, zone)


def _counted(query: Query, text: str) -> Query:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise Refused(technical("_count is no whole number"), code="value")
    if int(text) == 0:
        return replace(query, only_count=True, total=True)
    return replace(query, count=min(int(text), MOST))


def _sorted(query: Query, text: str) -> Query:
    name = text.removeprefix("-")
    if name not in ("_lastUpdated", "_id"):
        raise Refused(technical("_sort takes _lastUpdated, -_lastUpdated, _id or -_id"), code="not-supported")
    return replace(query, by_id=name == "_id", ascending=name == text)


def _included(kind: str, text: str) -> str:
    source, _, rest = text.partition(":")
    name = rest.partition(":")[0]
    if text == "*":
        return "*"
    if source != kind or (name not in includes(kind) and name != "*"):
        known = ", ".join(f"{kind}:{one}" for one in includes(kind))
        raise Refused(technical(f"_include: {kind} has {known or 'none'}"), code="not-supported")
    return name


# --- the next page ----------------------------------------------------------------------------------------


def cursor(after: Iterable[Any]) -> str:
    """Where the next page begins, as it stands in its link."""
    return base64.urlsafe_b64encode(orjson.dumps(list(after))).decode().rstrip("=")


def _read_cursor(text: str) -> tuple[Any, ...]:
    try:
        found = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError):
        found = None
    ok = isinstance(found, list) and (
        (len(found) == 1 and isinstance(found[0], str) and _ID.fullmatch(found[0]))
        or (len(found) == 2 and all(type(one) is int and abs(one) < 2**62 for one in found))
    )
    if not ok:
        raise Refused(technical("_cursor is not one of ours; begin again without it"), code="value")
    return tuple(found)
