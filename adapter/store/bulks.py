"""What is done with many deliveries at once: which they are is fixed when it is shown, and done so.

A row of `bulk` is the record of it: who, when, why, on what filter; its items say what came of each.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from adapter.store.statements import Row, added, found
from adapter.store.tables import bulk, bulk_item, delivery


def add(tx: Connection, values: Mapping[str, Any], stands: Mapping[int, str]) -> int:
    """Fix what is to be done, and with which deliveries, each as it stands now."""
    number = added(tx, bulk, dict(values))
    rows = [{"bulk": number, "delivery": one, "stands": how} for one, how in stands.items()]
    tx.execute(insert(bulk_item), rows)
    return number


def get(tx: Connection, number: int) -> Row | None:
    """One of them."""
    return next(iter(found(tx, select(bulk).where(bulk.c.id == number))), None)


def alone(tx: Connection, number: int) -> Row | None:
    """The same, which no other process changes before the commit."""
    return next(iter(found(tx, select(bulk).where(bulk.c.id == number).with_for_update())), None)


def listed(tx: Connection, limit: int) -> list[Row]:
    """The newest first."""
    return found(tx, select(bulk).order_by(bulk.c.id.desc()).limit(limit))


def running(tx: Connection) -> int | None:
    """The oldest that is being done."""
    query = select(bulk.c.id).where(bulk.c.state == "running").order_by(bulk.c.id).limit(1)
    return tx.execute(query).scalar()


def change(tx: Connection, number: int, **values: Any) -> None:
    """Set columns of one."""
    tx.execute(update(bulk).where(bulk.c.id == number).values(**values))


def counts(tx: Connection, number: int) -> Counter[str]:
    """How many of its deliveries had which outcome; `left` those that had none yet."""
    query = select(bulk_item.c.outcome, func.count()).where(bulk_item.c.bulk == number)
    rows = tx.execute(query.group_by(bulk_item.c.outcome))
    return Counter({row[0] or "left": row[1] for row in rows})


def standing(tx: Connection, number: int) -> Counter[str]:
    """In which states its deliveries stood when they were shown."""
    query = select(bulk_item.c.stands, func.count()).where(bulk_item.c.bulk == number)
    found_states: Counter[str] = Counter()
    for how, count in tx.execute(query.group_by(bulk_item.c.stands)):
        found_states[how.split("/", 1)[0]] += count
    return found_states


def left(tx: Connection, number: int, limit: int) -> list[Row]:
    """The next of its deliveries with which nothing has been done."""
    query = select(bulk_item).where(bulk_item.c.bulk == number, bulk_item.c.outcome.is_(None))
    return found(tx, query.order_by(bulk_item.c.delivery).limit(limit))


def done(tx: Connection, number: int, delivery_id: int, outcome: str, told: str | None, at: datetime) -> None:
    """What came of one; `told` is a phrase where it could not be done."""
    item = (bulk_item.c.bulk == number, bulk_item.c.delivery == delivery_id)
    tx.execute(update(bulk_item).where(*item).values(outcome=outcome, told=told, at=at))


def items(
    tx: Connection, number: int, *, limit: int, after: int = 0, outcome: str | None = None
) -> list[Row]:
    """Its deliveries in their order, beyond the number `after`; those that are gone have no party."""
    query = (
        select(bulk_item, delivery.c.party, delivery.c.kind, delivery.c.state, delivery.c.case_id)
        .join(delivery, delivery.c.id == bulk_item.c.delivery, isouter=True)
        .where(bulk_item.c.bulk == number, bulk_item.c.delivery > after)
    )
    if outcome is not None:
        query = query.where(
            bulk_item.c.outcome == outcome if outcome != "left" else bulk_item.c.outcome.is_(None)
        )
    return found(tx, query.order_by(bulk_item.c.delivery).limit(limit))
