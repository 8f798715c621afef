"""Alarms: a row at the start, the same row closed at recovery; one open row a kind and subject."""

from datetime import datetime

from sqlalchemy import Connection, bindparam, func, insert, literal_column, or_, select, update

from adapter.phrases import Phrase
from adapter.store import statements
from adapter.store.statements import Row, found
from adapter.store.tables import alarm

_open = select(alarm.c.id).where(
    alarm.c.kind == bindparam("of_kind"), alarm.c.subject == bindparam("about"), alarm.c.until.is_(None)
)
# what is open, not all that ever was: of two indices that begin with the kind, SQLite takes one by chance
_any = (
    select(alarm.c.subject)
    .where(alarm.c.kind.concat(literal_column("''")) == bindparam("of_kind"), alarm.c.until.is_(None))
    .limit(1)
)
_OF_A_DELIVERY = (
    "receipt-missing",
    "receipt-urgent",
    "delivery-urgent",
    "not-received",
    "given-up",
    "refused",
)
_about = select(alarm.c.kind).where(
    or_(*(alarm.c.kind == kind for kind in _OF_A_DELIVERY)),
    alarm.c.subject == bindparam("about"),
    alarm.c.until.is_(None),
)
_retell = (
    update(alarm)
    .where(
        alarm.c.kind == bindparam("of_kind"), alarm.c.subject == bindparam("about"), alarm.c.until.is_(None)
    )
    .values(text=bindparam("words"))
)
_end = (
    update(alarm)
    .where(
        alarm.c.kind == bindparam("of_kind"), alarm.c.subject == bindparam("about"), alarm.c.until.is_(None)
    )
    .values(until=bindparam("now", type_=alarm.c.until.type))
)


def start(
    tx: Connection,
    *,
    kind: str,
    subject: str,
    text: Phrase,
    now: datetime,
    case_id: int | None = None,
    quiet: bool = False,
) -> int | None:
    """Open an alarm; None where it is open already, and then only its words are brought up to date.

    Of one that is `quiet` nobody is told by mail: it is as if they had been.
    """
    if is_open(tx, kind, subject):
        tx.execute(_retell, {"of_kind": kind, "about": subject, "words": text})
        return None
    values = {"kind": kind, "subject": subject, "text": text, "since": now, "case_id": case_id}
    values |= dict.fromkeys(("mailed_at", "escalated_at", "end_mailed_at"), now) if quiet else {}
    return int(tx.execute(insert(alarm).values(values).returning(alarm.c.id)).scalar_one())


def is_open(tx: Connection, kind: str, subject: str) -> bool:
    """Whether such an alarm is open."""
    return statements.row(tx, _open, of_kind=kind, about=subject) is not None


def number(tx: Connection, kind: str, subject: str) -> int | None:
    """The number of such an alarm while it is open."""
    found: int | None = statements.value(tx, _open, of_kind=kind, about=subject)
    return found


def any_open(tx: Connection, kind: str) -> bool:
    """Whether an alarm of that kind is open, about whatever it may be."""
    return statements.row(tx, _any, of_kind=kind) is not None


def undelivered(tx: Connection, subject: str) -> list[str]:
    """Which of the alarms that a delivery can have are open about it."""
    return [one["kind"] for one in statements.rows(tx, _about, about=subject)]


def end(tx: Connection, *, kind: str, subject: str, now: datetime) -> int | None:
    """Close an alarm; None where none was open, or another process was quicker."""
    found: int | None = statements.value(tx, _open, of_kind=kind, about=subject)
    if found is None:
        return None
    return found if tx.execute(_end, {"of_kind": kind, "about": subject, "now": now}).rowcount else None


def get(tx: Connection, alarm_id: int) -> Row | None:
    """One alarm."""
    return next(iter(found(tx, select(alarm).where(alarm.c.id == alarm_id))), None)


def seen(tx: Connection, alarm_id: int, by: str, now: datetime) -> None:
    """Somebody has taken notice."""
    tx.execute(update(alarm).where(alarm.c.id == alarm_id).values(seen_by=by, seen_at=now))


def settled(tx: Connection, alarm_id: int, by: str, why: str) -> None:
    """Somebody has told what was done about it."""
    tx.execute(update(alarm).where(alarm.c.id == alarm_id).values(closed_by=by, why=why))


def listed(
    tx: Connection, *, open_only: bool = False, unseen_only: bool = False, limit: int | None = 500
) -> list[Row]:
    """Alarms: the open ones first, then the newest."""
    query = select(alarm).order_by(alarm.c.until.is_not(None), alarm.c.id.desc()).limit(limit)
    if open_only:
        query = query.where(alarm.c.until.is_(None))
    if unseen_only:
        query = query.where(alarm.c.seen_at.is_(None))
    return found(tx, query)


def counts(tx: Connection) -> dict[str, int]:
    """Open alarms by kind."""
    query = select(alarm.c.kind, func.count()).where(alarm.c.until.is_(None)).group_by(alarm.c.kind)
    return {row[0]: row[1] for row in tx.execute(query)}
