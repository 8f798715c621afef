"""Emergency access: who has opened which patient, why and until when, and what a reviewer found."""

from datetime import datetime

from sqlalchemy import Connection, func, select, update

from adapter.store.statements import Row, added, found
from adapter.store.tables import emergency


def begin(
    tx: Connection, *, person: str, name: str, patient: str, why: str, now: datetime, until: datetime
) -> int:
    """Somebody opens a patient; its number."""
    row = {"person": person, "name": name, "patient": patient, "why": why, "since": now, "until": until}
    return added(tx, emergency, row)


def open_of(tx: Connection, person: str, now: datetime) -> list[Row]:
    """Those that somebody has open, the one that ends first first."""
    query = select(emergency).where(
        emergency.c.person == person, emergency.c.since <= now, emergency.c.until > now
    )
    return found(tx, query.order_by(emergency.c.until))


def get(tx: Connection, number: int) -> Row | None:
    """One by its number."""
    return next(iter(found(tx, select(emergency).where(emergency.c.id == number))), None)


def end(tx: Connection, number: int, now: datetime) -> None:
    """It is needed no longer."""
    tx.execute(update(emergency).where(emergency.c.id == number, emergency.c.until > now).values(until=now))


def listed(tx: Connection, *, limit: int, before: int | None = None) -> list[Row]:
    """All of them, those that nobody has reviewed first, then the newest first."""
    query = select(emergency)
    if before is not None:
        query = query.where(emergency.c.id < before)
    return found(tx, query.order_by(emergency.c.reviewed_at.is_not(None), emergency.c.id.desc()).limit(limit))


def unreviewed(tx: Connection) -> int:
    """How many nobody has reviewed."""
    query = select(func.count()).select_from(emergency).where(emergency.c.reviewed_at.is_(None))
    return int(tx.execute(query).scalar_one())


def review(tx: Connection, number: int, *, by: str, now: datetime, verdict: str) -> bool:
    """Keep what the reviewer found; False where somebody has reviewed it already."""
    values = {"reviewed_by": by, "reviewed_at": now, "verdict": verdict}
    done = tx.execute(
        update(emergency).where(emergency.c.id == number, emergency.c.reviewed_at.is_(None)).values(values)
    )
    return done.rowcount == 1
