"""The endpoints that are not well: a row each, and none for all the others."""

from datetime import datetime

from sqlalchemy import Connection, and_, bindparam, delete, select, update

from adapter.messaging.resting import Health
from adapter.store import statements
from adapter.store.statements import Row
from adapter.store.tables import endpoint_health as table

_all = select(table)
_one = _all.where(table.c.endpoint == bindparam("name")).with_for_update()
_gone = delete(table).where(table.c.endpoint == bindparam("name"))
_VALUES = ("failures", "since", "resting_since", "probe_at", "rests", "window", "error")
_changed = (
    update(table)
    .where(table.c.endpoint == bindparam("name"))
    .values({column: bindparam(column, type_=table.c[column].type) for column in _VALUES})
)
_to_probe = and_(
    table.c.endpoint == bindparam("name"),
    table.c.resting_since.is_not(None),
    table.c.probe_at == bindparam("seen", type_=table.c.probe_at.type),
)
_free = select(table.c.endpoint).where(_to_probe).with_for_update(skip_locked=True)
_probing = update(table).where(_to_probe).values(probe_at=bindparam("until", type_=table.c.probe_at.type))


def ailing(tx: Connection) -> dict[str, Health]:
    """Every endpoint that is not well."""
    return {row["endpoint"]: _health(row) for row in statements.rows(tx, _all)}


def get(tx: Connection, endpoint: str) -> Health | None:
    """One of them, for as long as the transaction lasts nobody else's to change; None: it is well."""
    row = statements.row(tx, _one, name=endpoint)
    return None if row is None else _health(row)


def put(tx: Connection, endpoint: str, health: Health | None) -> None:
    """As it is now; None: it is well."""
    if health is None:
        statements.run(tx, _gone, {"name": endpoint})
        return
    values = {column: getattr(health, column) for column in _VALUES}
    if statements.run(tx, _changed, values | {"name": endpoint}) == 0:
        statements.add_unless_there(tx, table, values | {"endpoint": endpoint})


def take_probe(tx: Connection, endpoint: str, seen: datetime, until: datetime) -> bool:
    """Whether the probe that was due at `seen` is ours; nobody else sends one before `until`.

    What another process has at hand is left to it: to wait for it while holding others could be a circle.
    """
    if statements.row(tx, _free, name=endpoint, seen=seen) is None:
        return False
    return statements.run(tx, _probing, {"name": endpoint, "seen": seen, "until": until}) == 1


def _health(row: Row) -> Health:
    return Health(**{column: row[column] for column in _VALUES})
