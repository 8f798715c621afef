"""The charged days of each case and its share of means, kept beside it so that a month is a query.

What is kept of a case holds while its row says so: counted by the same terms, not counted after the instant
that is asked about, and not before one at which the clock alone makes it another count.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import orjson
from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    delete,
    exists,
    false,
    func,
    or_,
    select,
    update,
)

from adapter.discharge.agreement import Level
from adapter.discharge.average import Added
from adapter.discharge.ledger import Entry, EntryState
from adapter.store import statements
from adapter.store.tables import case, deadline, ledger_entry, owed_day, owed_share

TOGETHER = 500
"""Cases named in one query."""

_living = case.c.merged_into.is_(None)


def forget(tx: Connection, case_id: int) -> None:
    """What is kept of a case may not hold any more: it is counted anew."""
    statements.run(tx, _forget, {"row": case_id})


_forget = update(case).where(case.c.id == bindparam("row"), case.c.owed_by.is_not(None)).values(owed_by=None)


_drop_one = [delete(table).where(table.c.case_id == bindparam("row")) for table in (owed_day, owed_share)]


def drop(tx: Connection, case_ids: Collection[int]) -> int:
    """Remove what is kept of these cases; how many rows."""
    return sum(
        tx.execute(delete(table).where(table.c.case_id.in_(some))).rowcount
        for some in _pieces(case_ids)
        for table in (owed_day, owed_share)
    )


def stale(
    tx: Connection, by: str, now: datetime, limit: int | None = None, without: Collection[str] = ()
) -> dict[int, str]:
    """The cases of which nothing is kept that holds at `now` under the terms `by`: id and patient.

    None of the patients `without`.
    """
    ranges = (
        case.c.owed_by.is_(None),
        case.c.owed_by < by,
        case.c.owed_by > by,
        and_(case.c.owed_by == by, case.c.owed_at > now),
        case.c.owed_again <= now,
    )
    found: dict[int, str] = {}
    for one in ranges:  # each walks an index
        left = None if limit is None else limit - len(found)
        if left is not None and left <= 0:
            break
        query = select(case.c.id, case.c.patient).where(_living, one).limit(left)
        if without:
            query = query.where(case.c.patient.not_in(sorted(without)))
        found |= {row[0]: row[1] for row in tx.execute(query)}
    return found


def held(tx: Connection, case_ids: Collection[int]) -> set[int]:
    """Those of these cases that nobody else changes now, nor may until the commit; nobody is waited for."""
    made: set[int] = set()
    for some in _pieces(case_ids):
        query = select(case.c.id).where(case.c.id.in_(some)).with_for_update(skip_locked=True)
        made |= set(tx.execute(query).scalars())
    return made


def may_owe(tx: Connection, case_ids: Collection[int], *, left: bool) -> set[int]:
    """Those of these cases for which something may be owed; with `left` all whose patient has left, too.

    A void deadline may have days behind it: those refused in words before an answer that was never read.
    """
    made: set[int] = set()
    for some in _pieces(case_ids):
        owing = select(deadline.c.case_id).where(
            deadline.c.case_id.in_(some), deadline.c.kind == "payment-start", deadline.c.state != "met"
        )
        made |= set(tx.execute(owing).scalars())
        if left:
            gone = select(case.c.id).where(case.c.id.in_(some), case.c.discharged_at.is_not(None))
            made |= set(tx.execute(gone).scalars())
    return made


def keep(
    tx: Connection,
    case_id: int,
    days: Iterable[Entry],
    shares: Iterable[Added],
    *,
    by: str,
    now: datetime,
    again: datetime | None,
) -> None:
    """Keep what a case comes to at `now`, until `again`."""
    for statement in _drop_one:
        statements.run(tx, statement, {"row": case_id})
    if made := [_day(one) | {"case_id": case_id} for one in days]:
        statements.add_all(tx, owed_day, made)
    if added := [_share(one) | {"case_id": case_id} for one in shares]:
        statements.add_all(tx, owed_share, added)
    statements.change(tx, case, case_id, {"owed_by": by, "owed_at": now, "owed_again": again})


def keep_nothing(tx: Connection, case_ids: Collection[int], *, by: str, now: datetime) -> None:
    """Nothing is owed for these cases, and none of them comes to owe anything by the clock alone."""
    drop(tx, case_ids)
    for some in _pieces(case_ids):
        values = {"owed_by": by, "owed_at": now, "owed_again": None}
        tx.execute(update(case).where(case.c.id.in_(some)).values(**values))


def days_between(tx: Connection, first: date, last: date) -> Iterator[Entry]:
    """Every kept day from the first to the last."""
    query = select(owed_day).where(owed_day.c.day >= first, owed_day.c.day <= last)
    return (_entry(row) for row in tx.execute(query).mappings())


def days_of(tx: Connection, case_ids: Collection[int]) -> dict[int, list[Entry]]:
    """Every kept day of these cases."""
    made: dict[int, list[Entry]] = {}
    for some in _pieces(case_ids):
        for row in tx.execute(select(owed_day).where(owed_day.c.case_id.in_(some))).mappings():
            made.setdefault(row["case_id"], []).append(_entry(row))
    return made


def not_as_booked(tx: Connection, closed: Sequence[tuple[date, date]], since: str) -> set[int]:
    """The cases whose kept days in the closed spans are not what stands booked, by the id of either.

    What is booked counts from the month `since` on. Some of them may turn out to be alright: an amount can be
    written in two ways, and a waived day whose reversal is booked stays as it is.
    """
    undone = ledger_entry.alias("undone")
    standing = and_(
        ledger_entry.c.kind == "charge",
        ~exists().where(undone.c.reverses == ledger_entry.c.id),
    )
    alike = and_(
        ledger_entry.c.case_id == owed_day.c.case_id,
        ledger_entry.c.day == owed_day.c.day,
        ledger_entry.c.payee == owed_day.c.payee,
        ledger_entry.c.debtor == owed_day.c.debtor,
        or_(owed_day.c.amount.is_(None), ledger_entry.c.amount == owed_day.c.amount),
    )
    in_closed = _within(owed_day.c.day, closed)
    kept = select(owed_day.c.case_id).where(in_closed, ~exists().where(alike, standing)).distinct()
    booked = (
        select(ledger_entry.c.case_id)
        .where(
            ledger_entry.c.case_id.is_not(None),
            *([ledger_entry.c.day >= date.fromisoformat(f"{since}-01")] if since > "0000-00" else []),
            standing,
            or_(ledger_entry.c.state == "waived", ~exists().where(alike)),
        )
        .distinct()
    )
    return {*tx.execute(kept).scalars(), *tx.execute(booked).scalars()}


def _within(column: ColumnElement[date], spans: Sequence[tuple[date, date]]) -> ColumnElement[bool]:
    return or_(false(), *(and_(column >= first, column <= last) for first, last in spans))


def shares_of(tx: Connection, since: datetime, until: datetime, without: Collection[int]) -> list[Added]:
    """What the patients add to means who left in [since, until), but those of the cases `without`.

    Added up by month, municipality and level.
    """
    of = owed_share.c
    alike = (of.month, of.debtor, of.agreement, of.level, of.between)
    query = (
        select(*alike, func.count().label("patients"), func.sum(of.days).label("days"))
        .join(case, case.c.id == of.case_id)
        .where(_living, case.c.discharged_at >= since, case.c.discharged_at < until)
        .group_by(*alike)
    )
    for some in _pieces(without):
        query = query.where(of.case_id.not_in(some))
    return [_added(row) for row in tx.execute(query).mappings()]


def _pieces(values: Collection[int]) -> Iterator[list[int]]:
    listed = sorted(values)
    return (listed[start : start + TOGETHER] for start in range(0, len(listed), TOGETHER))


def _day(entry: Entry) -> dict[str, Any]:
    return {
        "day": entry.day,
        "payee": entry.payee,
        "debtor": entry.debtor,
        "amount": None if entry.amount is None else f"{entry.amount:f}",
        "currency": entry.currency,
        "state": entry.state.value,
        "why": entry.why,
    }


def _entry(row: Any) -> Entry:
    return Entry(
        case_id=row["case_id"],
        day=row["day"],
        debtor=row["debtor"],
        payee=row["payee"],
        amount=None if row["amount"] is None else Decimal(row["amount"]),
        currency=row["currency"],
        why=row["why"],
        state=EntryState(row["state"]),
    )


def _share(added: Added) -> dict[str, Any]:
    return {
        "agreement": added.level.agreement,
        "debtor": added.debtor,
        "month": added.month,
        "days": added.days,
        "level": f"{added.level.days:f}",
        "between": orjson.dumps(sorted(added.level.between)).decode(),
    }


def _added(row: Any) -> Added:
    between = frozenset(orjson.loads(row["between"]))
    level = Level(agreement=row["agreement"], days=Decimal(row["level"]), between=between)
    return Added(
        debtor=row["debtor"], month=row["month"], level=level, patients=row["patients"], days=int(row["days"])
    )
