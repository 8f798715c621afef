"""A region's own follow-ups: for every case, for those on a pathway, for those in a priority group.

None of these figures is law: a pathway (standard course, standardforløp) is what a local medical centre or a
health community has decided, and the document that gives it says whose figure it is. Each follow-up becomes a
rule like the law's, so that it is counted, explained, replaced by agreements and reminded of in the same way.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from adapter.discharge.notices import NoticeKind
from adapter.discharge.rulefile import Table, in_order, read_rule
from adapter.discharge.rules import Country, Placement, PlacementKind, Rule

FOLLOW_UP = "follow-up-"
"""How the kind of a follow-up's deadline begins; `call` is due as `follow-up-call`."""

WATCH = f"{FOLLOW_UP}readmission-watch"
"""The kind of the deadline that is open while a readmission may still come."""

TABLES = ("follow_up", "pathway", "group")
"""The tables of a region file or a scenario in which follow-ups stand."""

_WORD = re.compile(r"[^\W_]+(?:-[^\W_]+)*")
_LONGEST = 64  # characters of a name
_OF_A_RULE = (
    "actor",
    "basis",
    "count",
    "duration",
    "cutoff",
    "after_cutoff",
    "clock",
    "opens",
    "closes",
    "rolls",
    "earliest",
    "valid_from",
    "valid_to",
    "remind_before",
    "quiet",
    "note",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Own:
    """What a region asks for beside the law."""

    follow_ups: tuple[Rule, ...] = ()
    placements: tuple[Placement, ...] = ()

    @property
    def first_pathway(self) -> str | None:
        """The name of the first pathway, for those who want any."""
        pathways = (p.name for p in self.placements if p.kind is PlacementKind.PATHWAY)
        return next(pathways, None)

    @property
    def named(self) -> frozenset[str]:
        """The parties between whom a follow-up holds."""
        return frozenset(party for rule in self.follow_ups for party in rule.between)


NOTHING = Own()


def read_own(top: Table, country: Country) -> Own:
    """The follow-ups, pathways and groups of a document; ConfigurationError names file, key and reason."""
    general = [_follow_up(table, None) for table in top.tables("follow_up")]
    placed = [
        *(_pathway(table) for table in top.tables("pathway")),
        *(_group(table, country) for table in top.tables("group")),
    ]
    top.done()
    rules = (*general, *(rule for _, _, found in placed for rule in found))
    _apart([(table, placement) for table, placement, _ in placed])
    _one_actor(top, (*country.rules, *rules))
    national = set(country.groups)
    return Own(follow_ups=rules, placements=tuple(p for _, p, _ in placed if p not in national))


Placed = tuple[Table, Placement, tuple[Rule, ...]]


def _pathway(table: Table) -> Placed:
    placement = Placement(
        kind=PlacementKind.PATHWAY,
        name=_named(table),
        title=table.required("title", str),
        basis=table.required("by", str),
        valid_from=table.day("valid_from"),
        valid_to=table.day("valid_to"),
    )
    found = tuple(_follow_up(t, placement) for t in table.tables("follow_up"))
    if not found:
        raise table.wrong("follow_up", "is missing; a pathway is made of its follow-ups")
    return _read(table, placement, found)


def _group(table: Table, country: Country) -> Placed:
    """A group of the country, which has its own title and days, or one of the region."""
    name = _named(table)
    placement = next((g for g in country.groups if g.name == name), None)
    if placement is not None:
        for key in ("title", "basis", "valid_from", "valid_to"):
            if key in table.content:
                raise table.wrong(key, f"belongs to the group of {country.name}; leave it out")
    else:
        if "title" not in table.content:
            known = ", ".join(g.name for g in country.groups) or "none"
            raise table.wrong(
                "title",
                f"is missing, and a group of your own needs it; the groups of {country.name}: {known}",
            )
        placement = Placement(
            kind=PlacementKind.GROUP,
            name=name,
            title=table.required("title", str),
            basis=table.required("basis", str),
            valid_from=table.day("valid_from"),
            valid_to=table.day("valid_to"),
        )
    return _read(table, placement, tuple(_follow_up(t, placement) for t in table.tables("follow_up")))


def _read(table: Table, placement: Placement, follow_ups: tuple[Rule, ...]) -> Placed:
    table.done()
    in_order(table, placement.valid_from, placement.valid_to)
    return table, placement, follow_ups


def _named(table: Table) -> str:
    name = table.parsed("name", _word)
    table.where = f"{table.where} ({name})"
    return name


def _word(text: str) -> str:
    if len(text) > _LONGEST or _WORD.fullmatch(text) is None or text != text.lower():
        shown = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
        raise ValueError(
            f"{shown!r} is no name; write at most {_LONGEST} small letters, digits and hyphens, like gp-visit"
        )
    return text


def _follow_up(table: Table, placement: Placement | None) -> Rule:
    """A follow-up as the rule that it is."""
    kind = table.parsed("kind", _word)
    if f"{FOLLOW_UP}{kind}" == WATCH:
        raise table.wrong(
            "kind", f"{kind!r} is what waits for a readmission; give the follow-up another name"
        )
    where = f"{table.where} ({kind})"
    table.where = where
    raw: dict[str, Any] = {
        "kind": f"{FOLLOW_UP}{kind}",
        "confidence": "local",
        "closed_by": [NoticeKind.DECEASED.value],
        "trigger": _trigger(table, placement),
        "satisfied_by": [_telling(notice) for notice in _satisfying(table)],
    }
    if placement is not None:
        raw["variant"] = placement.name
    between = table.optional("between", list) or []
    if not all(isinstance(party, str) for party in between):
        raise table.wrong("between", "must be a list of parties")
    raw |= {key: table.content.pop(key) for key in _OF_A_RULE if key in table.content}
    table.done()
    if raw.get("actor") == "municipality":
        raw["concerns"] = {"responsible": "municipality"}
    made = read_rule(Table(raw, where.removesuffix(f" ({kind})")))
    return replace(made, own=True, placement=placement, between=frozenset(between))


def _trigger(table: Table, placement: Placement | None) -> dict[str, Any]:
    given = table.optional("trigger", dict) or {}
    if "placed" in given:
        raise Table(given, f"{table.where}, trigger").wrong(
            "placed", "put it under its pathway or group instead"
        )
    trigger = {"notice": NoticeKind.DISCHARGED.value, "time": "occurred", **given}
    if trigger["notice"] == NoticeKind.DECEASED.value:
        raise table.wrong("trigger", "nobody is followed up after a death; count from another notice")
    return trigger if placement is None else {**trigger, "placed": placement.name}


def _satisfying(table: Table) -> tuple[NoticeKind, ...]:
    if table.content.get("satisfied_by") == []:
        raise table.wrong("satisfied_by", "is empty; leave it out, and followed-up is meant")
    if NoticeKind.DECEASED.value in (table.content.get("satisfied_by") or ()):
        raise table.wrong("satisfied_by", "a death ends every follow-up and fulfils none; leave it out")
    return table.notices("satisfied_by") or (NoticeKind.FOLLOWED_UP,)


def _telling(notice: NoticeKind) -> dict[str, Any]:
    """A follow-up counts by when it was made, everything else by when it was sent."""
    when = "occurred" if notice is NoticeKind.FOLLOWED_UP else "sent"
    return {"name": notice.value, "notices": [notice.value], "time": when, "after": True}


def _apart(placed: Iterable[tuple[Table, Placement]]) -> None:
    """A name means one thing on each day."""
    for (_, one), (table, other) in combinations(placed, 2):
        if one.name == other.name and (one.kind is not other.kind or _overlap(one, other)):
            raise table.wrong("name", f"{other.name!r} is taken by another {one.kind} on the same days")


def _overlap(one: Placement, other: Placement) -> bool:
    starts = [p.valid_from for p in (one, other) if p.valid_from is not None]
    ends = [p.valid_to for p in (one, other) if p.valid_to is not None]
    return not starts or not ends or max(starts) <= min(ends)


def _one_actor(top: Table, rules: Iterable[Rule]) -> None:
    """Of two follow-ups of one kind the stricter stands, so one actor must make both."""
    actors: dict[str, str] = {}
    for rule in _follow_ups(rules):
        actor = actors.setdefault(rule.kind, rule.actor)
        if actor != rule.actor:
            kind = rule.kind.removeprefix(FOLLOW_UP)
            raise top.wrong(
                "follow_up",
                f"{kind}: is made by {actor} elsewhere, and by {rule.actor} here; give one another kind",
            )


def _follow_ups(rules: Iterable[Rule]) -> Iterator[Rule]:
    return (rule for rule in rules if rule.kind.startswith(FOLLOW_UP))
