"""Who has signed in, by the SHA-256 of their cookie; the cookie itself is not kept."""

from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, update

from adapter.store.statements import Row, found
from adapter.store.tables import session


def add(
    tx: Connection, sha256: bytes, *, person: str, about: str, now: datetime, expires_at: datetime
) -> None:
    """A session that begins."""
    row = {"sha256": sha256, "person": person, "about": about, "created_at": now, "seen_at": now}
    tx.execute(insert(session).values(row | {"expires_at": expires_at}))


def get(tx: Connection, sha256: bytes) -> Row | None:
    """The session of that cookie."""
    return next(iter(found(tx, select(session).where(session.c.sha256 == sha256))), None)


def seen(tx: Connection, sha256: bytes, now: datetime, expires_at: datetime) -> None:
    """It has been used."""
    values = {"seen_at": now, "expires_at": expires_at}
    tx.execute(update(session).where(session.c.sha256 == sha256).values(values))


def end(tx: Connection, sha256: bytes) -> None:
    """It is over."""
    tx.execute(delete(session).where(session.c.sha256 == sha256))
