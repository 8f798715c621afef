"""The queue of an endpoint that is not well: what tries it again, what a person sends, what waits too long.

Each of these asks for one endpoint, and only while it is not well.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    exists,
    func,
    literal_column,
    not_,
    or_,
    select,
)

from adapter.messaging.delivery import Leased
from adapter.store import deliveries, statements
from adapter.store.statements import Row
from adapter.store.tables import delivery

_other = delivery.alias("other")
_WAITING: ColumnElement[str] = literal_column("'waiting'")
_LEASED: ColumnElement[str] = literal_column("'leased'")
_PERSON: ColumnElement[str] = literal_column("'person'")
_here = delivery.c.endpoint == bindparam("endpoint")
_waits = and_(delivery.c.state == _WAITING, _here)
_now = bindparam("now", type_=delivery.c.next_attempt_at.type)

# Where its own deadline is near, the next of a lane is as good a probe as the one that was tried in vain.
_untried = and_(_other.c.attempts == 0, _other.c.error.is_(None))
_before_it = and_(
    _other.c.id < delivery.c.id,
    _other.c.next_attempt_at.is_not(None),
    or_(delivery.c.hold_until.is_(None), delivery.c.hold_until > _now, _untried),
    not_(and_(_other.c.sent_at.is_not(None), _other.c.trigger != "schedule")),
)
_held: Any = select(literal_column("1")).where(
    _other.c.lane == delivery.c.lane,
    _other.c.state.in_((_WAITING, _LEASED)),
    _other.c.id != delivery.c.id,
    or_(_other.c.state != _WAITING, _before_it),
)


def _first_of_lanes(held: Any) -> Any:
    return (
        select(delivery.c.id, delivery.c.next_attempt_at)
        .where(_waits, delivery.c.next_attempt_at.is_not(None), ~exists(held))
        .order_by(delivery.c.next_attempt_at, delivery.c.id)
        .limit(1)
    )


_probe = _first_of_lanes(_held)
_one_by_one = _held.offset(literal_column("0"))  # see store.deliveries
_probe_skipping = _first_of_lanes(_one_by_one).with_for_update(skip_locked=True, of=delivery)
_by_hand = deliveries.candidates.where(delivery.c.trigger == _PERSON)
_by_hand_skipping = deliveries.skipping.where(delivery.c.trigger == _PERSON)
_on_the_way = select(func.count()).where(delivery.c.state == _LEASED, _here)
_due = select(delivery.c.id).where(_waits, delivery.c.next_attempt_at <= _now).limit(1)
_waiting = select(func.count()).where(_waits)
_late = (
    select(delivery.c.id)
    .where(
        _waits,
        delivery.c.next_attempt_at.is_not(None),
        delivery.c.created_at <= bindparam("before", type_=delivery.c.created_at.type),
        delivery.c.trigger != _PERSON,
    )
    .order_by(delivery.c.next_attempt_at, delivery.c.id)
    .limit(bindparam("most"))
)


def probe(tx: Connection, endpoint: str, now: datetime) -> Row | None:
    """The first of its lane that has been due the longest, or will be due the soonest, and its time."""
    query = _probe_skipping if tx.dialect.name == "postgresql" else _probe
    return statements.row(tx, query, endpoint=endpoint, now=now)


def claim_by_hand(
    tx: Connection, endpoint: str, *, most: int, now: datetime, lease_until: datetime
) -> list[Leased]:
    """Take what a person has sent again and its lane lets go; there is an index of these alone."""
    query = _by_hand_skipping if tx.dialect.name == "postgresql" else _by_hand
    ids = deliveries.ids_of(tx, query, endpoint, most, now, deliveries.BEGINNING, None)
    return deliveries.lease(tx, ids, lease_until)


def on_the_way(tx: Connection, endpoint: str) -> int:
    """How many are leased there, by whatever process."""
    return int(statements.value(tx, _on_the_way, endpoint=endpoint))


def due(tx: Connection, endpoint: str, now: datetime) -> bool:
    """Whether anything is due there, even if its lane holds it."""
    return statements.row(tx, _due, endpoint=endpoint, now=now) is not None


def waiting(tx: Connection, endpoint: str) -> int:
    """How many wait there."""
    return int(statements.value(tx, _waiting, endpoint=endpoint))


def late(tx: Connection, endpoint: str, before: datetime, most: int) -> Sequence[int]:
    """Some that wait there and were made before that."""
    found = statements.rows(tx, _late, endpoint=endpoint, before=before, most=most)
    return [one["id"] for one in found]
