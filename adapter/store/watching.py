"""What a watcher asks of the store.

What waits for too long, what waits for a time that cannot be, and what time the database has.
"""

from datetime import datetime

from sqlalchemy import Connection, case, func, select, text, update

from adapter.store.tables import alarm, delivery, endpoint_health

_WAITING = text("state = 'waiting'")  # as the partial index has it
_LEASED = text("state = 'leased'")


def oldest_waiting(tx: Connection) -> dict[str, datetime]:
    """Since when each endpoint's oldest message has waited, of those that are on the schedule.

    One that has never been tried waits from when it was due; what was parked until then waited for something
    else.
    """
    since = case((delivery.c.attempts > 0, delivery.c.created_at), else_=delivery.c.next_attempt_at)
    query = (
        select(delivery.c.endpoint, func.min(since))
        .where(
            _WAITING,
            delivery.c.endpoint.is_not(None),
            delivery.c.next_attempt_at.is_not(None),
            delivery.c.sent_at.is_(None),
        )
        .group_by(delivery.c.endpoint)
    )
    return {row[0]: row[1] for row in tx.execute(query)}


def subjects(tx: Connection, kind: str) -> list[str]:
    """What alarms of that kind are on about."""
    return list(
        tx.execute(select(alarm.c.subject).where(alarm.c.kind == kind, alarm.c.until.is_(None))).scalars()
    )


def too_far(tx: Connection, waiting_until: datetime, leased_until: datetime) -> bool:
    """Whether anything waits, or is leased, for longer than can be."""
    queries = (
        select(delivery.c.id).where(_WAITING, delivery.c.next_attempt_at > waiting_until),
        select(delivery.c.id).where(_LEASED, delivery.c.lease_until > leased_until),
    )
    return any(tx.execute(query.limit(1)).first() is not None for query in queries)


def bring_back(
    tx: Connection, waiting_until: datetime, leased_until: datetime, now: datetime
) -> tuple[int, int]:
    """Make due what waits for longer than can be, and free such leases; how many of each."""
    waiting = (
        update(delivery)
        .where(_WAITING, delivery.c.next_attempt_at > waiting_until)
        .values(next_attempt_at=now)
    )
    leased = (
        update(delivery)
        .where(_LEASED, delivery.c.lease_until > leased_until)
        .values(state="waiting", lease_until=None, next_attempt_at=now)
    )
    return tx.execute(waiting).rowcount, tx.execute(leased).rowcount


def probes_too_far(tx: Connection, until: datetime) -> bool:
    """Whether an endpoint is left alone for longer than can be."""
    query = select(endpoint_health.c.endpoint).where(endpoint_health.c.probe_at > until)
    return tx.execute(query.limit(1)).first() is not None


def bring_back_probes(tx: Connection, until: datetime, now: datetime) -> int:
    """Have every endpoint tried now that is left alone for longer than can be; how many."""
    query = update(endpoint_health).where(endpoint_health.c.probe_at > until).values(probe_at=now)
    return tx.execute(query).rowcount


def database_clock(tx: Connection) -> float | None:
    """Seconds since 1970 by the database server's clock; None where that is this machine's own."""
    if tx.dialect.name != "postgresql":
        return None
    return float(tx.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())
