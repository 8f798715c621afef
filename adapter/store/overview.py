"""What the pages count: each party's post, cases by state, deadlines behind and ahead.

Every query here is bounded or walks a partial index, because the overview asks again every few seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, func, not_, select, text

from adapter.store.cases import only_shown, still_wanted
from adapter.store.statements import Row, found
from adapter.store.tables import attempt, case, deadline, delivery

LATELY = 5000
"""Rows, the newest, among which a party's last attempt and last delivery are looked for."""

Moment = datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Queue:
    """What waits for one party."""

    waiting: int = 0
    retried: int = 0  # of these, tried in vain at least once
    parked: int = 0  # of these, off the schedule: no endpoint, or behind what could not be delivered
    homeless: int = 0  # of the parked, for want of an endpoint
    oldest: Moment = None
    next_at: Moment = None  # of those that were tried in vain; the others wait behind them
    unreceipted: int = 0  # sent, and no receipt yet
    unreceipted_since: Moment = None


_HOMELESS = and_(delivery.c.next_attempt_at.is_(None), delivery.c.endpoint.is_(None))


def queues(tx: Connection) -> dict[str, Queue]:
    """What waits, by party; a party for which nothing does is left out."""
    waiting = (
        select(
            delivery.c.party,
            func.count().label("waiting"),
            func.count().filter(delivery.c.attempts > 0).label("retried"),
            func.count().filter(delivery.c.next_attempt_at.is_(None)).label("parked"),
            func.count().filter(_HOMELESS).label("homeless"),
            func.min(delivery.c.created_at).label("oldest"),
            func.min(delivery.c.next_attempt_at).filter(delivery.c.attempts > 0).label("next_at"),
        )
        .where(text("state = 'waiting'"))
        .group_by(delivery.c.party)
    )
    unreceipted = (
        select(
            delivery.c.party,
            func.count().label("unreceipted"),
            func.min(delivery.c.sent_at).label("unreceipted_since"),
        )
        .where(delivery.c.receipt_due_at.is_not(None), delivery.c.state == "sent")
        .group_by(delivery.c.party)
    )
    known: dict[str, dict[str, Any]] = {}
    for query in (waiting, unreceipted):
        for row in found(tx, query):
            values = dict(row)
            known.setdefault(values.pop("party"), {}).update(values)
    return {party: Queue(**values) for party, values in known.items()}


def unreceipted(tx: Connection) -> dict[str, int]:
    """Messages sent whose receipt is awaited, by endpoint."""
    query = (
        select(delivery.c.endpoint, func.count())
        .where(delivery.c.receipt_due_at.is_not(None), delivery.c.state == "sent")
        .group_by(delivery.c.endpoint)
    )
    return {row[0]: row[1] for row in tx.execute(query)}


def last_delivered(tx: Connection) -> dict[str, datetime]:
    """When each party was last known to hold a message of ours, as far as the newest deliveries tell."""
    newest = select(func.max(delivery.c.id)).scalar_subquery()
    query = (
        select(delivery.c.party, func.max(delivery.c.delivered_at))
        .where(delivery.c.id > newest - LATELY, delivery.c.delivered_at.is_not(None))
        .group_by(delivery.c.party)
    )
    return {row[0]: row[1] for row in tx.execute(query)}


def last_tries(tx: Connection) -> Mapping[str, Row]:
    """The latest attempt for each party, as far as the newest attempts tell."""
    newest = select(func.max(attempt.c.id)).scalar_subquery()
    latest = (
        select(delivery.c.party, func.max(attempt.c.id).label("id"))
        .join(attempt, attempt.c.delivery_id == delivery.c.id)
        .where(attempt.c.id > newest - LATELY)
        .group_by(delivery.c.party)
        .subquery()
    )
    query = select(latest.c.party, attempt).join(latest, latest.c.id == attempt.c.id)
    return {row["party"]: row for row in found(tx, query)}


def cases_by_state(tx: Connection) -> dict[str, int]:
    """How many cases are in each state."""
    query = select(case.c.state, func.count()).where(case.c.merged_into.is_(None)).group_by(case.c.state)
    return {row[0]: row[1] for row in tx.execute(query)}


def deadlines_behind(tx: Connection, now: datetime, limit: int) -> tuple[list[Row], int]:
    """Deadlines past due, not met and not dealt with by hand, the latest first, and how many in all."""
    past = (
        still_wanted,
        deadline.c.due_at < now,
        not_(only_shown),
    )
    count = tx.execute(select(func.count()).select_from(deadline).where(*past)).scalar_one()
    query = _with_case().where(*past).order_by(deadline.c.due_at.desc(), deadline.c.id).limit(limit)
    return found(tx, query), count


def deadlines_ahead(tx: Connection, now: datetime, limit: int) -> list[Row]:
    """Open deadlines that are yet to come, the earliest first."""
    query = _with_case().where(still_wanted, deadline.c.state == "open", deadline.c.due_at >= now)
    return found(tx, query.order_by(deadline.c.due_at, deadline.c.id).limit(limit))


def _with_case() -> Any:
    return select(deadline, case.c.patient, case.c.hospital, case.c.municipality).join(
        case, case.c.id == deadline.c.case_id
    )
