"""Which alarms nobody has been told of yet, what is on its way to people, and what a daily digest counts."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, exists, func, not_, or_, select, text, update

from adapter.messaging.letters import Day
from adapter.store import statements
from adapter.store.cases import only_shown
from adapter.store.deliveries import TOGETHER
from adapter.store.statements import Row, found
from adapter.store.tables import alarm, deadline, delivery, endpoint_health, endpoint_pause, message, setting

Marked = list[tuple[int, str]]
"""Alarms by number and kind."""

_earlier = alarm.alias("earlier")
# The conditions of the partial indexes, word for word.
_UNTOLD = text("alarm.until IS NULL AND alarm.mailed_at IS NULL")
_OVER = text("alarm.until IS NOT NULL AND alarm.mailed_at IS NOT NULL AND alarm.end_mailed_at IS NULL")
_UNSEEN = text("alarm.until IS NULL AND alarm.seen_at IS NULL AND alarm.escalated_at IS NULL")


def _untold(lately: datetime, now: datetime) -> ColumnElement[bool]:
    """On, and in no mail yet, nor one about the same after `lately`: something that comes and goes.

    A mail of a time that is yet to come left while a clock was wrong, and holds nothing back.
    """
    before = exists().where(
        _earlier.c.kind == alarm.c.kind,
        _earlier.c.subject == alarm.c.subject,
        _earlier.c.mailed_at > lately,
        _earlier.c.mailed_at <= now + (now - lately),
    )
    return and_(_UNTOLD, ~before)


def _overlooked(kinds: Mapping[str, timedelta], now: datetime) -> ColumnElement[bool]:
    """On for longer than its kind may be without anybody's having seen it, or since a clock was wrong."""
    since = alarm.c.since
    late = (
        and_(alarm.c.kind == kind, or_(since <= now - after, since > now + after))
        for kind, after in kinds.items()
    )
    return and_(_UNSEEN, or_(*late))


def anything_untold(tx: Connection, lately: datetime, now: datetime) -> bool:
    """Whether a mail should go: for an alarm, or for the end of one that was escalated."""
    over = and_(_OVER, alarm.c.escalated_at.is_not(None))
    return any(
        tx.execute(select(alarm.c.id).where(where).limit(1)).first() is not None
        for where in (_untold(lately, now), over)
    )


def anything_overlooked(tx: Connection, kinds: Mapping[str, timedelta], now: datetime) -> bool:
    """Whether an alarm has been on unseen for too long."""
    if not kinds:
        return False
    return tx.execute(select(alarm.c.id).where(_overlooked(kinds, now)).limit(1)).first() is not None


def mark_mailed(tx: Connection, lately: datetime, now: datetime) -> Marked:
    """Take every alarm that a mail should tell of; nobody else gets them."""
    return _marked(tx, _untold(lately, now), mailed_at=now)


def mark_one(tx: Connection, alarm_id: int, now: datetime) -> None:
    """Take one alarm, which is over as far as people are to be told."""
    tx.execute(
        update(alarm).where(alarm.c.id == alarm_id).values(mailed_at=now, escalated_at=now, end_mailed_at=now)
    )


def mark_over(tx: Connection, now: datetime) -> tuple[Marked, Marked]:
    """Take every mailed alarm that is over: all of them, and those of them that were escalated."""
    query = update(alarm).where(_OVER).values(end_mailed_at=now)
    rows = tx.execute(query.returning(alarm.c.id, alarm.c.kind, alarm.c.escalated_at)).all()
    return [(r[0], r[1]) for r in rows], [(r[0], r[1]) for r in rows if r[2] is not None]


def mark_escalated(tx: Connection, kinds: Mapping[str, timedelta], now: datetime) -> Marked:
    """Take every alarm that has been on unseen for too long."""
    return _marked(tx, _overlooked(kinds, now), escalated_at=now)


def _marked(tx: Connection, where: ColumnElement[bool], **values: datetime) -> Marked:
    query = update(alarm).where(where).values(**values).returning(alarm.c.id, alarm.c.kind)
    return [(row[0], row[1]) for row in tx.execute(query)]


def alarms(tx: Connection, ids: Sequence[int]) -> list[Row]:
    """Some alarms, in the order of their numbers here."""
    by_id = {row["id"]: row for row in found(tx, select(alarm).where(alarm.c.id.in_(ids[:TOGETHER])))}
    return [by_id[number] for number in ids if number in by_id]


def times(tx: Connection, row: Row) -> int:
    """How often such an alarm has started since the last mail about the same, this time included."""
    same = (_earlier.c.kind == row["kind"], _earlier.c.subject == row["subject"], _earlier.c.id < row["id"])
    last = select(func.max(_earlier.c.id)).where(*same, _earlier.c.mailed_at.is_not(None)).scalar_subquery()
    query = select(func.count()).select_from(_earlier).where(*same, _earlier.c.id > last)
    return 1 + int(tx.execute(query).scalar_one())


def lately_mailed(tx: Connection, row: Row) -> datetime | None:
    """When a mail before this one told of the same."""
    query = select(func.max(_earlier.c.mailed_at)).where(
        _earlier.c.kind == row["kind"], _earlier.c.subject == row["subject"], _earlier.c.id < row["id"]
    )
    moment: datetime | None = tx.execute(query).scalar_one()
    return moment


# --- what is on its way, and whose turn it is -------------------------------------------------------------


def on_their_way(tx: Connection, lanes: Collection[str]) -> dict[str, int]:
    """How many mails wait in each of these lanes."""
    query = (
        select(delivery.c.lane, func.count())
        .where(text("state IN ('waiting', 'leased')"), delivery.c.lane.in_(lanes))
        .group_by(delivery.c.lane)
    )
    return {row[0]: row[1] for row in tx.execute(query)}


def note(tx: Connection, name: str) -> str | None:
    """What was noted last under that name."""
    return tx.execute(select(setting.c.value).where(setting.c.name == name)).scalar_one_or_none()


def take_turn(tx: Connection, name: str, before: str | None, after: str) -> bool:
    """Change a note from what it was; False where another process was quicker, which has the turn then."""
    if before is None:
        statements.add_unless_there(tx, setting, {"name": name, "value": ""})
    was = setting.c.value == ("" if before is None else before)
    query = update(setting).where(setting.c.name == name, was).values(value=after)
    return bool(tx.execute(query).rowcount == 1)


# --- the digest -------------------------------------------------------------------------------------------


def counted(tx: Connection, now: datetime, day: timedelta) -> Day:
    """The last day's post, what waits and what is wrong now, and what is due within a day, by party id."""
    ago, messages = now - day, delivery.c.kind.not_in(("alarm", "subscription"))
    waiting = select(func.count(), func.min(delivery.c.created_at)).where(
        text("state IN ('waiting', 'leased')"), messages
    )
    count, oldest = tx.execute(waiting).one()
    return Day(
        alarms=_open_alarms(tx),
        deadlines=_due(tx, now, now + day),
        sent=_number(tx, delivery, messages, delivery.c.sent_at > ago, delivery.c.sent_at <= now),
        acknowledged=_number(tx, delivery, messages, delivery.c.accepted_at > ago),
        refused=_number(tx, alarm, alarm.c.kind == "refused", alarm.c.since > ago),
        given_up=_number(tx, alarm, alarm.c.kind.in_(("given-up", "not-received")), alarm.c.since > ago),
        waiting=count,
        oldest_waiting=oldest,
        resting=_since(tx, endpoint_health.c.endpoint, endpoint_health.c.resting_since),
        paused=_since(tx, endpoint_pause.c.endpoint, endpoint_pause.c.since),
        quarantined=_number(tx, message, message.c.outcome == "quarantined"),
    )


def _number(tx: Connection, table: object, *where: ColumnElement[bool]) -> int:
    return int(tx.execute(select(func.count()).select_from(table).where(*where)).scalar_one())  # type: ignore[arg-type]  # a table


def _open_alarms(tx: Connection) -> list[tuple[str, int, datetime]]:
    query = (
        select(alarm.c.kind, func.count(), func.min(alarm.c.since))
        .where(alarm.c.until.is_(None))
        .group_by(alarm.c.kind)
        .order_by(alarm.c.kind)
    )
    return [(row[0], row[1], row[2]) for row in tx.execute(query)]


def _due(tx: Connection, first: datetime, last: datetime) -> list[tuple[str | None, str, int]]:
    query = (
        select(deadline.c.party, deadline.c.kind, func.count())
        .where(
            deadline.c.state == "open",
            deadline.c.due_at > first,
            deadline.c.due_at <= last,
            not_(only_shown),
        )
        .group_by(deadline.c.party, deadline.c.kind)
        .order_by(deadline.c.party, deadline.c.kind)
    )
    return [(row[0], row[1], row[2]) for row in tx.execute(query)]


def _since(
    tx: Connection, name: ColumnElement[str], since: ColumnElement[datetime]
) -> list[tuple[str, datetime]]:
    query = select(name, since).where(since.is_not(None)).order_by(name)
    return [(row[0], row[1]) for row in tx.execute(query)]
