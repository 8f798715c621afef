"""Subscriptions and their numbered events: who wants to be told, and what there was to tell."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, or_, select, text, update

from adapter.phrases import Phrase
from adapter.store import statements
from adapter.store.statements import Row, add, added, found
from adapter.store.tables import delivery, subscription, subscription_event

_LISTENING = text("status IN ('requested', 'active', 'error')")
"""As the partial index has it: a query that may use it must say it in these words."""

_of_topics = {
    n: select(subscription)
    .where(_LISTENING, subscription.c.topic.in_([bindparam(f"topic{i}") for i in range(n)]))
    .order_by(subscription.c.id)
    for n in (1, 2, 3)
}
_named = select(subscription).where(subscription.c.name == bindparam("called"))
_due = (
    select(delivery.c.endpoint, func.min(delivery.c.next_attempt_at).label("since"))
    .where(
        text("kind = 'subscription' AND state = 'waiting'"),
        delivery.c.next_attempt_at <= bindparam("now", type_=delivery.c.next_attempt_at.type),
    )
    .group_by(delivery.c.endpoint)
    .order_by(func.min(delivery.c.next_attempt_at))
)


def listening(tx: Connection, topics: Sequence[str]) -> list[Row]:
    """The subscriptions to any of up to three topics whose events count, in the order of their making.

    One indexed query, that every message runs.
    """
    named = {f"topic{n}": topic for n, topic in enumerate(topics)}
    return statements.rows(tx, _of_topics[len(topics)], **named)


def make(tx: Connection, values: dict[str, Any]) -> int:
    """A new subscription; its row number."""
    return added(tx, subscription, values)


def get(tx: Connection, name: str) -> Row | None:
    """The subscription of that name, which is the id that its subscriber knows."""
    return statements.row(tx, _named, called=name)


def listed(tx: Connection, partner: str | None, *, everybody: bool = False) -> list[Row]:
    """A partner's subscriptions, the oldest first."""
    query = select(subscription).order_by(subscription.c.id)
    if not everybody:
        query = query.where(
            subscription.c.partner == partner if partner is not None else subscription.c.partner.is_(None)
        )
    return found(tx, query)


def change(tx: Connection, row: int, **values: Any) -> None:
    """Set columns of a subscription."""
    statements.change(tx, subscription, row, values)


def counted(tx: Connection, row: int) -> Row | None:
    """Give the next event its number; the subscription as it is then, None where none counts any more."""
    counting = (
        update(subscription)
        .where(subscription.c.id == row, subscription.c.status != "off")
        .values(events=subscription.c.events + 1)
        .returning(subscription)
    )
    one = tx.execute(counting).mappings().first()
    return dict(one) if one is not None else None


LEAP = 1_000_000
"""More events than any subscription has had in the hours that a restore loses."""


def leap(tx: Connection) -> None:
    """After a restore no number is given twice: subscribers see that they have missed some, and read anew."""
    tx.execute(update(subscription).values(events=subscription.c.events + LEAP))


def remember(tx: Connection, values: dict[str, Any]) -> None:
    """Keep an event, to be asked for by its number."""
    add(tx, subscription_event, values)


def events(tx: Connection, row: int, since: int, until: int, most: int) -> list[Row]:
    """The events of a subscription with numbers from `since` to `until`, at most so many, in order."""
    query = (
        select(subscription_event)
        .where(
            subscription_event.c.subscription == row,
            subscription_event.c.number >= since,
            subscription_event.c.number <= until,
        )
        .order_by(subscription_event.c.number)
        .limit(most)
    )
    return found(tx, query)


def remove(tx: Connection, row: int) -> None:
    """Forget a subscription and its events."""
    tx.execute(delete(subscription_event).where(subscription_event.c.subscription == row))
    tx.execute(delete(subscription).where(subscription.c.id == row))


def due(tx: Connection, now: datetime) -> list[str]:
    """The endpoints of notifications that are due, the one that has waited longest first."""
    return [one["endpoint"] for one in statements.rows(tx, _due, now=now) if one["endpoint"] is not None]


def close_lane(tx: Connection, lane: str, why: Phrase) -> int:
    """Give up what waits in a subscription's lane; returns how many."""
    closed = tx.execute(
        update(delivery)
        .where(delivery.c.lane == lane, delivery.c.state == "waiting")
        .values(state="given-up", next_attempt_at=None, resume_state=None, resume_at=None, error=why)
    )
    return closed.rowcount


def unfinished(tx: Connection, lane: str) -> bool:
    """Whether a notification waits, or is on its way."""
    query = select(delivery.c.id).where(
        delivery.c.lane == lane, or_(delivery.c.state == "waiting", delivery.c.state == "leased")
    )
    return tx.execute(query.limit(1)).first() is not None


def to_look_at(tx: Connection, now: datetime, most: int) -> list[Row]:
    """Subscriptions with a heartbeat due, or whose end has come."""
    query = (
        select(subscription)
        .where(subscription.c.next_at.is_not(None), subscription.c.next_at <= now)
        .order_by(subscription.c.next_at)
        .limit(most)
    )
    return found(tx, query)


def counts(tx: Connection) -> dict[str, int]:
    """How many subscriptions there are in each state."""
    query = select(subscription.c.status, func.count()).group_by(subscription.c.status)
    return {row[0]: row[1] for row in tx.execute(query)}
