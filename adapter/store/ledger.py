"""The ledger's rows: what was booked when a month was closed. Only an entry's state changes afterwards."""

from collections.abc import Collection, Iterable
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, insert, select, text, update

from adapter.discharge.ledger import Entry, EntryKind, EntryState
from adapter.store.statements import Row, found
from adapter.store.tables import case, ledger_entry, ledger_month


def alone(tx: Connection) -> None:
    """Hold off every other process that books or settles, until the commit: each would book a correction.

    SQLite has one writer at a time and needs no such thing.
    """
    if tx.dialect.name == "postgresql":
        tx.execute(_LOCK)


_LOCK = text("LOCK TABLE ledger_month IN SHARE ROW EXCLUSIVE MODE")


def closed(tx: Connection) -> dict[str, datetime]:
    """The closed months, each with the instant of its closing."""
    rows = tx.execute(select(ledger_month.c.month, ledger_month.c.closed_at).order_by(ledger_month.c.month))
    return {row[0]: row[1] for row in rows}


def close(tx: Connection, month: str, lines: Iterable[Entry], now: datetime, by: str | None) -> None:
    """Book the lines and close the month."""
    tx.execute(insert(ledger_month).values(month=month, closed_at=now, closed_by=by))
    made = [{"month": month, **_values(line)} for line in lines]
    if made:
        tx.execute(insert(ledger_entry), made)


def of_month(tx: Connection, month: str) -> list[Entry]:
    """What was booked when that month was closed."""
    return _entries(tx, ledger_entry.c.month == month)


def of_cases(tx: Connection, ids: Iterable[int]) -> list[Entry]:
    """Everything booked under these ids."""
    return _entries(tx, ledger_entry.c.case_id.in_(list(ids)))


def of_means(tx: Connection) -> list[Entry]:
    """Everything booked for the means of months."""
    return _entries(tx, ledger_entry.c.case_id.is_(None))


def is_reversed(tx: Connection, entry_id: int) -> bool:
    """Whether a reversal of that entry has been booked."""
    query = select(ledger_entry.c.id).where(ledger_entry.c.reverses == entry_id).limit(1)
    return tx.execute(query).first() is not None


def entry(tx: Connection, entry_id: int) -> Entry | None:
    """One entry."""
    listed = _entries(tx, ledger_entry.c.id == entry_id)
    return listed[0] if listed else None


def settle(tx: Connection, entry_id: int, state: EntryState) -> None:
    """Where the parties stand on an entry."""
    tx.execute(update(ledger_entry).where(ledger_entry.c.id == entry_id).values(state=state.value))


def booked(tx: Connection) -> dict[int, list[int]]:
    """The cases for which something is booked, each with the ids that it had: its own, and its aliases."""
    merged = select(case.c.id, case.c.merged_into).where(case.c.merged_into.is_not(None))
    into = {row[0]: row[1] for row in tx.execute(merged)}
    made: dict[int, list[int]] = {}
    query = select(ledger_entry.c.case_id).where(ledger_entry.c.case_id.is_not(None)).distinct()
    for one in sorted(tx.execute(query).scalars()):
        standing, met = one, {one}
        while into.get(standing, standing) not in met:
            standing = into[standing]
            met.add(standing)
        made.setdefault(standing, []).append(one)
    return made


def left(tx: Connection, since: datetime, until: datetime, of: Collection[int]) -> list[int]:
    """Of these cases those whose patient left the hospital in [since, until)."""
    query = select(case.c.id).where(
        case.c.merged_into.is_(None), case.c.discharged_at >= since, case.c.discharged_at < until
    )
    ids = sorted(of)
    pieces = (ids[start : start + 500] for start in range(0, len(ids), 500))
    return [one for some in pieces for one in tx.execute(query.where(case.c.id.in_(some))).scalars()]


def _entries(tx: Connection, condition: object) -> list[Entry]:
    query = select(ledger_entry).where(condition).order_by(ledger_entry.c.id)  # type: ignore[arg-type]  # a clause
    return [_entry(row) for row in found(tx, query)]


def _entry(row: Row) -> Entry:
    return Entry(
        id=row["id"],
        case_id=row["case_id"],
        day=row["day"],
        debtor=row["debtor"],
        payee=row["payee"],
        amount=None if row["amount"] is None else Decimal(row["amount"]),
        currency=row["currency"],
        kind=EntryKind(row["kind"]),
        state=EntryState(row["state"]),
        reverses=row["reverses"],
        why=row["why"],
        agreement=row["agreement"],
        days_over=None if row["days_over"] is None else Decimal(row["days_over"]),
    )


def _values(line: Entry) -> dict[str, object]:
    return {
        "case_id": line.case_id,
        "day": line.day,
        "debtor": line.debtor,
        "payee": line.payee,
        "amount": None if line.amount is None else f"{line.amount:f}",
        "currency": line.currency,
        "kind": line.kind.value,
        "state": line.state.value,
        "reverses": line.reverses,
        "why": line.why,
        "agreement": line.agreement,
        "days_over": None if line.days_over is None else f"{line.days_over:f}",
    }
