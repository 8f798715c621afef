"""What the figures are made of: counts of deliveries, deadlines and alarms in a period, never of patients.

Every query is bounded by its period: it walks an index of the instants at which deliveries were made or
deadlines are due. A duration counts in tenths of a second, and equal ones are counted together, so that exact
shares of many thousand can be told from a few rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    and_,
    case,
    func,
    literal,
    not_,
    or_,
    select,
    text,
    type_coerce,
)

from adapter.store.cases import only_shown, still_wanted
from adapter.store.tables import alarm, deadline, delivery, microseconds

TENTH = 100_000
"""Microseconds."""

LOOKED_BACK = timedelta(days=4)
"""How long before a period something may have been made that waits in it: longer than it is tried for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How many deliveries to one party ended, or stand, in one way."""

    party: str
    state: str
    again: bool  # it took more than one attempt
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Crossing:
    """How many deliveries began to wait, and left, between which of a row of instants.

    `entered` is the number of the first instant at which they waited, `left` of the first at which they had
    left; None where they wait still.
    """

    endpoint: str | None
    entered: int
    left: int | None
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Due:
    """How many deadlines of a kind fall due in one of a row of spans; span -1 is over already."""

    span: int
    kind: str
    actor: str
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Raised:
    """How many alarms of a kind are open, and how many were raised in a period and are over."""

    kind: str
    open: int
    over: int


def _made(since: datetime, until: datetime) -> ColumnElement[bool]:
    return and_(delivery.c.created_at >= since, delivery.c.created_at < until)


def _number(column: Any) -> Any:
    """An instant as its microseconds."""
    return type_coerce(column, BigInteger)


def outcomes(tx: Connection, since: datetime, until: datetime) -> list[Outcome]:
    """What became of the deliveries made from `since` to before `until`."""
    again = (delivery.c.attempts > 1).label("again")
    query = (
        select(delivery.c.party, delivery.c.state, again, func.count())
        .where(_made(since, until))
        .group_by(delivery.c.party, delivery.c.state, again)
    )
    return [Outcome(party=r[0], state=r[1], again=bool(r[2]), count=r[3]) for r in tx.execute(query)]


def durations(tx: Connection, since: datetime, until: datetime, step: str) -> list[tuple[int, int]]:
    """(tenths of a second, count) from making to `delivered_at` or `accepted_at`, the shortest first."""
    took = ((_number(delivery.c[step]) - _number(delivery.c.created_at)) // TENTH).label("took")
    query = (
        select(took, func.count())
        .where(_made(since, until), delivery.c[step].is_not(None))
        .group_by(took)
        .order_by(took)
    )
    return [(max(0, row[0]), row[1]) for row in tx.execute(query)]


def crossings(tx: Connection, first: datetime, step: timedelta, count: int) -> list[Crossing]:
    """What waited at any of `count` instants, `step` apart from `first` on, by endpoint.

    From made to sent. What was given up or refused unsent left when it was made, as far as we know.
    """
    start, size = microseconds(first), step // timedelta(microseconds=1)
    after = size - 1 - start  # the first instant not before: rounded up

    def place(column: Any) -> Any:
        """The number of the first of the instants that is not before."""
        return (_number(column) + literal(after, BigInteger)) // literal(size, BigInteger)

    entered = case((_number(delivery.c.created_at) <= start, 0), else_=place(delivery.c.created_at)).label(
        "entered"
    )
    left = place(delivery.c.sent_at).label("left")
    waits = delivery.c.state.in_(("waiting", "leased"))
    query = (
        select(delivery.c.endpoint, entered, left, func.count())
        .where(
            _made(first - LOOKED_BACK, first + step * count),
            or_(
                and_(delivery.c.sent_at.is_not(None), delivery.c.sent_at > first, left > entered),
                and_(delivery.c.sent_at.is_(None), waits),
            ),
        )
        .group_by(delivery.c.endpoint, entered, left)
    )
    for_long = (
        select(delivery.c.endpoint, func.count())
        .where(text("state = 'waiting'"), delivery.c.sent_at.is_(None))
        .where(delivery.c.created_at < first - LOOKED_BACK)
        .group_by(delivery.c.endpoint)
    )
    found = [Crossing(endpoint=r[0], entered=r[1], left=r[2], count=r[3]) for r in tx.execute(query)]
    parked = [Crossing(endpoint=r[0], entered=0, left=None, count=r[1]) for r in tx.execute(for_long)]
    return found + parked


def due(tx: Connection, spans: Sequence[datetime]) -> list[Due]:
    """Deadlines still wanted, by the span between two of these instants in which they fall due.

    Those whose kind nobody is reminded of, goals and what goes by ways that we do not see, are left out, as
    they are in the list of what is overdue.
    """
    ordered = list(spans)
    chosen = case(
        *((deadline.c.due_at < end, number - 1) for number, end in enumerate(ordered)),
        else_=len(ordered),
    ).label("span")
    query = (
        select(chosen, deadline.c.kind, deadline.c.actor, func.count())
        .where(
            still_wanted,
            deadline.c.due_at < ordered[-1],
            or_(deadline.c.state == "open", deadline.c.due_at < ordered[0]),
            not_(only_shown),
        )
        .group_by(chosen, deadline.c.kind, deadline.c.actor)
    )
    return [Due(span=r[0], kind=r[1], actor=r[2], count=r[3]) for r in tx.execute(query)]


def raised(tx: Connection, since: datetime, until: datetime) -> list[Raised]:
    """Alarms by kind, those of which most are open first."""
    is_open = alarm.c.until.is_(None)
    opened = func.count().filter(is_open).label("open")
    over = func.count().filter(not_(is_open)).label("over")
    query = (
        select(alarm.c.kind, opened, over)
        .where(or_(is_open, and_(alarm.c.since >= since, alarm.c.since < until)))
        .group_by(alarm.c.kind)
        .order_by(opened.desc(), over.desc(), alarm.c.kind)
    )
    return [Raised(kind=r[0], open=r[1], over=r[2]) for r in tx.execute(query)]
