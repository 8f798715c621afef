"""Who is on duty: of all processes over one store, the one that polls a mailbox or watches the deadlines.

A duty is held until a moment and kept by taking it again in time. When that moment has passed it changes
hands, and its fence goes up: who held it before may not know yet, but can write nothing under the older one.
"""

from datetime import datetime

from sqlalchemy import Connection, bindparam, select, update

from adapter.store import statements
from adapter.store.statements import Row, add_unless_there, found
from adapter.store.tables import duty

_one = select(duty).where(duty.c.name == bindparam("named"))
_to_take = _one.with_for_update()
_held = (
    select(duty.c.fence)
    .where(
        duty.c.name == bindparam("named"),
        duty.c.holder == bindparam("by"),
        duty.c.fence == bindparam("under"),
    )
    .with_for_update(read=True)  # nobody takes it before what is written under it has been committed
)


def take(
    tx: Connection, name: str, holder: str, *, now: datetime, until: datetime, latest: datetime
) -> int | None:
    """Take a duty, or keep it; returns the fence under which it is held, None where another holds it.

    A duty said to be held beyond `latest`, which no holder may ask for, is free: a clock has been set back.
    """
    add_unless_there(tx, duty, {"name": name, "holder": holder, "fence": 1, "until": until})
    fence = 0
    for query in (_one, _to_take):  # looked at first: who asks in vain neither holds up its holder nor waits
        row = statements.row(tx, query, named=name)
        assert row is not None
        ours = row["holder"] == holder
        if not ours and now < row["until"] <= latest:
            return None
        fence = int(row["fence"]) + (0 if ours else 1)
    tx.execute(update(duty).where(duty.c.name == name).values(holder=holder, fence=fence, until=until))
    return fence


def held(tx: Connection, name: str, holder: str, fence: int) -> bool:
    """Whether it is still held under that fence; until the commit nobody else can take it."""
    return statements.row(tx, _held, named=name, by=holder, under=fence) is not None


def leave(tx: Connection, holder: str, now: datetime) -> None:
    """Who stops in good order leaves its duties, so that others need not wait."""
    tx.execute(update(duty).where(duty.c.holder == holder).values(until=now))


def listed(tx: Connection) -> list[Row]:
    """Every duty, and who has it."""
    return found(tx, select(duty).order_by(duty.c.name))
