"""The three boards of those who care for patients: the ward's, primary care's and the municipality's lists.

Everything that a reader has chosen stands in the address. Without a group the boards of primary care and the
municipality show the beginning of each; with one, all of it, a page at a time. `?wall=1` is for a screen on
the wall: larger, initials instead of names, and it turns its pages by itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from adapter.discharge.partaking import Stage
from adapter.messaging.envelope import masked
from adapter.messaging.people import Role
from adapter.stays import Board
from adapter.store import stays as rows
from adapter.store.stays import FOLLOWS, SORTS, Asked, Due
from adapter.web.listed import Telling
from adapter.web.site import Action, Link, Look, Page, View, number

PAGE = 50
"""Rows of a page."""

FIRST = 8
"""Rows of a group where all groups are shown."""

WALL = 12
"""Rows of a page on the wall, which fit a screen."""

TURN = 20
"""Seconds after which a wall turns its page."""

LATELY = timedelta(days=7)
"""For how long a ward lists those who have left."""

STILL = timedelta(days=30)
"""For how long what has been missed stays on a list; afterwards it is with the deadlines of operations."""

SOON = timedelta(days=7)
"""How far ahead a follow-up is listed."""

_LONGEST = 60  # characters of a name that is searched


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """One list of a board; its sentences are keys of the catalogs."""

    name: str
    label: str
    hint: str
    empty: str  # what it means that there is nobody in it
    asked: Asked
    sort: str = "planned"
    rule: str | None = None  # the kind of deadline without which the law knows no such list


@dataclass(frozen=True, kw_only=True, slots=True)
class _Kind:
    """What one board is."""

    role: Role
    path: str
    title: str
    groups: Callable[[datetime, date], tuple[Group, ...]]
    first: str | None  # the group that is shown where none is asked for; None: the beginning of each


# --- the groups -------------------------------------------------------------------------------------------


def _ward(now: datetime, _: date) -> tuple[Group, ...]:
    return (
        Group(
            name="in",
            label="In now",
            hint="Everybody who has been admitted and has not left.",
            empty="Nobody is admitted, as far as the messages tell.",
            asked=Asked(),
        ),
        Group(
            name="waiting",
            label="Waiting for an answer",
            hint="Ready for discharge, and the municipality has not said when it can receive.",
            empty="Every municipality has answered.",
            asked=Asked(unanswered=True),
            sort="waiting",
        ),
        Group(
            name="overdue",
            label="Overdue",
            hint="Something has not been done in time and can still be put right.",
            empty="Nothing is overdue.",
            asked=Asked(due=Due(before=now, after=now - STILL)),
            sort="left",
        ),
        Group(
            name="left",
            label="Left lately",
            hint="Discharged in the last seven days.",
            empty="Nobody has left in the last seven days.",
            asked=Asked(concerns=("left", "over"), left_since=now - LATELY),
            sort="discharged",
        ),
    )


def _municipality(now: datetime, today: date) -> tuple[Group, ...]:
    return (
        Group(
            name="waiting",
            label="Waiting for our answer",
            hint="Ready for discharge; the hospital has not been told when you can receive.",
            empty="No hospital waits for an answer of yours.",
            asked=Asked(unanswered=True),
            sort="left",
        ),
        Group(
            name="today",
            label="Coming home today",
            hint="Planned or agreed for today, and those whose day has passed and who are still in.",
            empty="Nobody is expected home today.",
            asked=Asked(coming_to=today),
        ),
        Group(
            name="week",
            label="Coming home this week",
            hint="Planned or agreed for the next seven days.",
            empty="Nobody is expected home in the next seven days.",
            asked=Asked(coming_from=today + timedelta(days=1), coming_to=today + timedelta(days=7)),
        ),
        Group(
            name="overdue",
            label="Overdue",
            hint="Something that you should have done by now.",
            empty="Nothing of yours is overdue.",
            asked=Asked(concerns=("current", "left"), due=Due(before=now, after=now - STILL)),
            sort="left",
        ),
        _follow_ups(now, ("left",)),
        Group(
            name="in",
            label="All in hospital",
            hint="Every patient of yours who is admitted now.",
            empty="None of your patients is admitted, as far as the messages tell.",
            asked=Asked(),
        ),
        Group(
            name="past",
            label="No longer yours",
            hint="Sent by mistake, or another municipality is responsible. You see what you were sent.",
            empty="Nothing has been sent to you by mistake or passed on to another municipality.",
            asked=Asked(concerns=("past",)),
            sort="admitted",
        ),
    )


def _primary_care(now: datetime, _: date) -> tuple[Group, ...]:
    return (
        Group(
            name="contact",
            label="Fixed care contact to name",
            hint="The hospital has told of the admission, and no fixed care contact has been named.",
            empty="Everybody who needs a fixed care contact has one.",
            asked=Asked(no_contact=True),
            rule="fixed-care-contact",
        ),
        Group(
            name="sip",
            label="SIP to call",
            hint="A joint plan is needed, and its meeting has not been called.",
            empty="No SIP waits to be called.",
            asked=Asked(due=Due(kinds=("sip-call",), after=now - STILL)),
            sort="left",
            rule="sip-call",
        ),
        Group(
            name="availability",
            label="Open care to state",
            hint="Ready for discharge, and you have not said whether open care is available.",
            empty="For everybody who is ready, it is known whether open care is available.",
            asked=Asked(ready=True, unclarified=True),
            sort="waiting",
            rule="sip-call",
        ),
        _follow_ups(now, ("left", "current")),
        Group(
            name="in",
            label="All in hospital",
            hint="Every patient of yours who is admitted now.",
            empty="None of your patients is admitted, as far as the messages tell.",
            asked=Asked(),
        ),
    )


def _follow_ups(now: datetime, concerns: tuple[str, ...]) -> Group:
    return Group(
        name="follow-up",
        label="Follow-ups due",
        hint="At home, with a follow-up that is due within seven days or has not been made.",
        empty="No follow-up is due within seven days.",
        asked=Asked(
            concerns=concerns,
            due=Due(kinds=(FOLLOWS, "assessment", "plan-task"), before=now + SOON, after=now - STILL),
        ),
        sort="left",
    )


_BOARDS = {
    kind.path: kind
    for kind in (
        _Kind(role=Role.WARD, path="/ward", title="Ward", groups=_ward, first="in"),
        _Kind(
            role=Role.PRIMARY_CARE,
            path="/primary-care",
            title="Primary care",
            groups=_primary_care,
            first=None,
        ),
        _Kind(
            role=Role.MUNICIPALITY,
            path="/municipality",
            title="Municipality",
            groups=_municipality,
            first=None,
        ),
    )
}


# --- what the reader has asked for ------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class _Chosen:
    """What stands in the address, as far as it can be understood."""

    group: str | None
    sort: str | None  # None: as the group is sorted
    descending: bool
    stage: Stage | None
    other: str | None
    overdue: bool
    waiting: bool
    text: str
    page: int
    wall: bool

    @property
    def filtered(self) -> bool:
        return bool(self.stage or self.other or self.overdue or self.waiting or self.text)

    def address(self, path: str, **changes: Any) -> str:
        """The same list with something else chosen; a new list begins on its first page."""
        new = replace(self, **({"page": 1} | changes))
        sort = new.sort and ("-" if new.descending else "") + new.sort
        said = {
            "group": new.group, "sort": sort, "stage": new.stage.word if new.stage else None,
            "other": new.other, "overdue": "1" if new.overdue else None,
            "waiting": "1" if new.waiting else None, "q": new.text or None,
            "page": str(new.page) if new.page > 1 else None, "wall": "1" if new.wall else None,
        }  # fmt: skip
        query = urlencode({name: value for name, value in said.items() if value})
        return f"{path}?{query}" if query else path

    def narrowed(self, asked: Asked, now: datetime) -> Asked:
        """A group with what the reader has filtered by besides."""
        if self.stage is not None:
            asked = replace(asked, stage=int(self.stage))
        if self.other is not None:
            asked = replace(asked, other=self.other)
        if self.overdue:
            late = asked.due or Due(after=now - STILL)
            asked = replace(asked, due=replace(late, before=now))
        if self.waiting:
            asked = replace(asked, unanswered=True)
        return replace(asked, words=tuple(self.text.casefold().split()))


def _chosen(look: Look, groups: tuple[Group, ...], kind: _Kind) -> _Chosen:
    asked = look.query
    sort = asked.get("sort", "")
    stage = next((one for one in Stage if one.word == asked.get("stage")), None)
    group = asked.get("group")
    known = {one.name for one in groups}
    wall = asked.get("wall") == "1"
    first = kind.first or ("in" if wall else None)
    return _Chosen(
        group=group if group in known else first,
        sort=sort.removeprefix("-") if sort.removeprefix("-") in SORTS else None,
        descending=sort.startswith("-"),
        stage=stage,
        other=asked.get("other") or None,
        overdue=asked.get("overdue") == "1",
        waiting=asked.get("waiting") == "1",
        text="" if _numbered(look) else " ".join(asked.get("q", "").split())[:_LONGEST],
        page=max(number(asked.get("page")) or 1, 1),
        wall=wall,
    )


def _numbered(look: Look) -> bool:
    """Whether an identity number was typed where names are looked for: the page does not spread it."""
    typed = look.query.get("q", "")
    return masked(typed) != typed


# --- the pages --------------------------------------------------------------------------------------------


def _shown(look: Look, kind: _Kind) -> View:
    zone = look.words.zone
    lawful = {rule.kind for rule in look.inbox.cases.agreement.rules}
    every = kind.groups(look.now, look.now.astimezone(zone).date())
    groups = tuple(one for one in every if one.rule is None or one.rule in lawful)
    chosen = _chosen(look, groups, kind)
    board = Board(role=kind.role, sight=look.sight, cases=look.inbox.cases, now=look.now)
    narrowed = {one.name: chosen.narrowed(one.asked, look.now) for one in groups}
    counts = board.counts(look.tx, narrowed)
    lists = (
        [_whole(look, board, next(g for g in groups if g.name == chosen.group), narrowed, counts, chosen)]
        if chosen.group is not None
        else [_beginning(look, board, g, narrowed, counts, chosen) for g in _begun(groups)]
    )
    sort = chosen.sort or (lists[0]["group"].sort if chosen.group is not None else "")
    pages = max(-(-counts[chosen.group] // (WALL if chosen.wall else PAGE)), 1) if chosen.group else 1
    here = min(chosen.page, pages)
    tell = Telling(words=look.words, board=board)
    values = {
        "kind": kind.role.value,
        "path": kind.path,
        "whose": _whose(look, board),
        "lists": [one | {"rows": [tell.row(stay) for stay in one["stays"]]} for one in lists],
        "groups": [
            {"name": g.name, "label": g.label, "count": counts[g.name],
             "href": chosen.address(kind.path, group=g.name, sort=None, descending=False)}
            for g in groups
        ],
        "chosen": chosen,
        "numbered": _numbered(look),
        "sort": sort,
        "sorts": SORTS if kind.role is not Role.PRIMARY_CARE else tuple(s for s in SORTS if s != "waiting"),
        "by": {name: chosen.address(kind.path, sort=name, descending=name == sort and not chosen.descending)
               for name in SORTS},
        "stages": [one.word for one in Stage],
        "others": rows.others(look.tx, board.scope) if not chosen.wall else [],
        "page": here,
        "pages": pages,
        "first_page": chosen.address(kind.path),
        "earlier": chosen.address(kind.path, page=here - 1) if here > 1 else None,
        "later": chosen.address(kind.path, page=here + 1) if here < pages else None,
        "all": chosen.address(kind.path, group=kind.first, sort=None, descending=False),
        "unfiltered": kind.path + (f"?group={chosen.group}" if chosen.group else ""),
        "wall_address": chosen.address(kind.path, wall=True),
        "desk_address": chosen.address(kind.path, wall=False),
        "turn": TURN,
        "turned": chosen.address(kind.path, page=here % pages + 1),
    }  # fmt: skip
    patients = frozenset(stay.patient for one in lists for stay in one["stays"])
    template = "boards/wall.html" if chosen.wall else "boards/board.html"
    return View(template=template, title=look.words.of(kind.title), values=values, patients=patients)


def _begun(groups: tuple[Group, ...]) -> list[Group]:
    """Those that a board begins with: what there is to do, and who is in where the law asks for little."""
    to_do = [one for one in groups if one.name not in ("in", "past")]
    return to_do if len(to_do) > 1 else [one for one in groups if one.name != "past"]


def _whole(
    look: Look,
    board: Board,
    group: Group,
    narrowed: Mapping[str, Asked],
    counts: Mapping[str, int],
    chosen: _Chosen,
) -> dict[str, Any]:
    """One page of one group."""
    size = WALL if chosen.wall else PAGE
    page = min(chosen.page, max(-(-counts[group.name] // size), 1))
    found = board.stays(
        look.tx,
        narrowed[group.name],
        sort=chosen.sort or group.sort,
        descending=chosen.descending if chosen.sort else group.sort == "discharged",
        limit=size,
        offset=(page - 1) * size,
    )
    return {"group": group, "count": counts[group.name], "stays": found, "more": None}


def _beginning(
    look: Look,
    board: Board,
    group: Group,
    narrowed: Mapping[str, Asked],
    counts: Mapping[str, int],
    chosen: _Chosen,
) -> dict[str, Any]:
    """The first rows of one group, and the way to all of it."""
    found = (
        board.stays(
            look.tx,
            narrowed[group.name],
            sort=chosen.sort or group.sort,
            descending=chosen.descending if chosen.sort else False,
            limit=FIRST,
        )
        if counts[group.name]
        else []
    )
    path = f"/{board.role.value}"
    more = chosen.address(path, group=group.name) if counts[group.name] > len(found) else None
    return {"group": group, "count": counts[group.name], "stays": found, "more": more}


def _whose(look: Look, board: Board) -> str:
    """Whose board it is, in words: the person's own parties, not those that they serve."""
    own = look.sight.own(board.role)
    if look.person.parties is None or not own:
        return look.words.of("the whole region")
    return look.words.list(look.words.party(one) for one in own)


def ward(look: Look) -> View:
    """`/ward`: who is in, how far each stay has come, what the municipality has answered, what is due."""
    return _shown(look, _BOARDS["/ward"])


def primary_care(look: Look) -> View:
    """`/primary-care`: contacts to name, SIPs to call, open care to state, follow-ups to make."""
    return _shown(look, _BOARDS["/primary-care"])


def municipality(look: Look) -> View:
    """`/municipality`: who waits for an answer, who comes home when, what is overdue, whom to follow up."""
    return _shown(look, _BOARDS["/municipality"])


PAGES = (
    Page(path="/ward", view=ward, roles=frozenset({Role.WARD})),
    Page(path="/primary-care", view=primary_care, roles=frozenset({Role.PRIMARY_CARE})),
    Page(path="/municipality", view=municipality, roles=frozenset({Role.MUNICIPALITY})),
)
ACTIONS: tuple[Action, ...] = ()
NAV = tuple(Link(path=kind.path, label=kind.title, roles=frozenset({kind.role})) for kind in _BOARDS.values())
