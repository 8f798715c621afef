"""Statements made once and run on the driver's own cursor.

SQLAlchemy writes the SQL for either engine and knows how each type is stored. Its execution layer costs about
25 µs a statement, and a message takes some forty of them; so what every message runs is compiled once, here,
and then handed to the driver as it is. Whatever runs seldom goes through `Connection.execute` as usual
(`found`).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    Connection,
    Dialect,
    Select,
    Table,
    Update,
    bindparam,
    insert,
    literal_column,
    update,
)
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.visitors import replacement_traverse

from adapter.store.tables import Instant, instant, microseconds

Row = Mapping[str, Any]
"""A row by column name."""

_Convert = Callable[[Any], Any]

_WORD = re.compile(r"[A-Za-z_-]+")


@dataclass(frozen=True, slots=True)
class _Plan:
    """A statement as one engine takes it."""

    sql: str
    order: tuple[str, ...] | None  # of the parameters, where they go by position
    said: tuple[tuple[str, Any], ...]  # parameters whose value the statement itself names
    into: tuple[tuple[str, _Convert], ...]  # parameters that are stored in another form
    columns: tuple[str, ...]
    back: tuple[tuple[int, _Convert], ...]


def row(tx: Connection, statement: Select[Any], **values: Any) -> Row | None:
    """The first row that a prepared query finds."""
    plan, cursor = _run(tx, statement, values)
    first = cursor.fetchone()
    cursor.close()
    return None if first is None else _named(plan, first)


def rows(tx: Connection, statement: Select[Any], **values: Any) -> list[Row]:
    """Every row that a prepared query finds."""
    plan, cursor = _run(tx, statement, values)
    found = cursor.fetchall()
    cursor.close()
    return [_named(plan, one) for one in found]


def value(tx: Connection, statement: Select[Any], **values: Any) -> Any:
    """The first column of the first row; None where there is none."""
    first = row(tx, statement, **values)
    return None if first is None else next(iter(first.values()))


def run(tx: Connection, statement: Any, values: Mapping[str, Any]) -> int:
    """Run a prepared change; how many rows it met."""
    _, cursor = _run(tx, statement, dict(values))
    met: int = cursor.rowcount
    cursor.close()
    return met


def added(tx: Connection, table: Table, values: Mapping[str, Any]) -> int:
    """Insert a row; its number."""
    returning = tx.dialect.name == "postgresql"
    _, cursor = _run(tx, _adding(table, tuple(values), returning), dict(values))
    number: int = cursor.fetchone()[0] if returning else cursor.lastrowid
    cursor.close()
    return number


def add(tx: Connection, table: Table, values: Mapping[str, Any]) -> None:
    """Insert a row whose number nobody needs."""
    run(tx, _adding(table, tuple(values), False), values)


def add_all(tx: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows of the same columns; one trip to the database for all of them."""
    plan = _plan(_adding(table, tuple(rows[0]), False), tx.dialect)
    stored = [_stored(plan, dict(values)) for values in rows]
    cursor = _cursor(tx)
    try:
        cursor.executemany(plan.sql, stored)
    except tx.dialect.loaded_dbapi.Error as error:
        raise _as_sqlalchemy(tx, plan.sql, error) from error
    cursor.close()


def add_unless_there(tx: Connection, table: Table, values: Mapping[str, Any]) -> None:
    """Insert a row, and leave what is there already as it is."""
    run(tx, _adding_unless_there(table, tuple(values), tx.dialect.name), values)


def change(tx: Connection, table: Table, number: int, values: Mapping[str, Any]) -> None:
    """Set columns of the row of that number."""
    run(tx, setting(table, tuple(values)), {**values, "row_id": number})


def found(tx: Connection, query: Select[Any]) -> list[Row]:
    """What a query finds that is not prepared."""
    return [dict(one) for one in tx.execute(query).mappings()]


def say(tx: Connection, sql: str) -> None:
    """Run a bare word of SQL, as SAVEPOINT."""
    cursor = _cursor(tx)
    try:
        cursor.execute(sql)
    except tx.dialect.loaded_dbapi.Error as error:
        raise _as_sqlalchemy(tx, sql, error) from error
    cursor.close()


@cache
def setting(table: Table, names: tuple[str, ...]) -> Update:
    """UPDATE of these columns of the row `row_id`."""
    values = {name: bindparam(name, type_=table.c[name].type) for name in names}
    return update(table).where(table.c.id == bindparam("row_id")).values(values)


@cache
def _adding(table: Table, names: tuple[str, ...], returning: bool) -> Any:
    made = insert(table).values({n: bindparam(n, type_=table.c[n].type) for n in names})
    return made.returning(table.c.id) if returning else made


@cache
def _adding_unless_there(table: Table, names: tuple[str, ...], dialect: str) -> Any:
    made = postgresql_insert if dialect == "postgresql" else sqlite_insert
    values = {n: bindparam(n, type_=table.c[n].type) for n in names}
    return made(table).values(values).on_conflict_do_nothing()


def first_in_its_commit(tx: Connection, *, first: bool) -> None:
    """Say of the unit of work that begins whether the transaction holds nothing of earlier ones yet."""
    tx.info["holds"] = not first


def may_wait(tx: Connection) -> bool:
    """Whether this unit of work may wait for another process: it keeps nobody else's work waiting."""
    return not tx.info.get("holds", False)


# --- to the driver ----------------------------------------------------------------------------------------


@cache
def _plan(statement: Any, dialect: Dialect) -> _Plan:
    compiled = _with_words(statement).compile(dialect=dialect)
    stored = ((name, _into(bound.type, dialect)) for name, bound in compiled.binds.items())
    columns = tuple(getattr(statement, "exported_columns", ()) or ())
    back = ((n, _back(c.type, dialect)) for n, c in enumerate(columns))
    return _Plan(
        sql=str(compiled),
        order=tuple(compiled.positiontup) if compiled.positional else None,
        said=tuple((name, bound.value) for name, bound in compiled.binds.items() if not bound.required),
        into=tuple((name, convert) for name, convert in stored if convert is not None),
        columns=tuple(c.key for c in columns),
        back=tuple((n, convert) for n, convert in back if convert is not None),
    )


def _with_words(statement: Any) -> Any:
    """A query in which the words that it names itself stand as they are, and are no parameters.

    SQLite plans a query anew, which costs more than to run it, each time a parameter is set that a partial
    index depends on (sqlite3_prepare_v2).
    """
    if not isinstance(statement, Select):
        return statement

    def word(element: Any, **_: Any) -> Any:
        if not isinstance(element, BindParameter) or element.required:
            return None
        said = element.value
        return literal_column(f"'{said}'") if isinstance(said, str) and _WORD.fullmatch(said) else None

    return replacement_traverse(statement, {}, word)


def _into(kind: Any, dialect: Dialect) -> _Convert | None:
    """How a value of that type is stored; our own type without SQLAlchemy's wrapping, which costs as much."""
    if isinstance(kind, Instant):
        return microseconds
    made: _Convert | None = kind._cached_bind_processor(dialect)
    return made


def _back(kind: Any, dialect: Dialect) -> _Convert | None:
    """How it is read."""
    if isinstance(kind, Instant):
        return instant
    made: _Convert | None = kind._cached_result_processor(dialect, None)
    return made


def _run(tx: Connection, statement: Any, values: dict[str, Any]) -> tuple[_Plan, Any]:
    plan = _plan(statement, tx.dialect)
    cursor = _cursor(tx)
    try:
        cursor.execute(plan.sql, _stored(plan, values))
    except tx.dialect.loaded_dbapi.Error as error:
        raise _as_sqlalchemy(tx, plan.sql, error) from error
    return plan, cursor


def _stored(plan: _Plan, values: dict[str, Any]) -> dict[str, Any] | list[Any]:
    """Parameters as the driver takes them."""
    for name, usual in plan.said:
        values.setdefault(name, usual)
    for name, convert in plan.into:
        if values[name] is not None:
            values[name] = convert(values[name])
    return values if plan.order is None else [values[name] for name in plan.order]


def _as_sqlalchemy(tx: Connection, sql: str, error: Exception) -> BaseException:
    """The driver's error as whoever calls expects it, without the values."""
    return DBAPIError.instance(
        sql, None, error, tx.dialect.loaded_dbapi.Error, hide_parameters=True, dialect=tx.dialect
    )


def _cursor(tx: Connection) -> Any:
    driver = tx.connection.dbapi_connection
    assert driver is not None
    return driver.cursor()


def _named(plan: _Plan, one: Any) -> Row:
    if plan.back:
        one = list(one)
        for n, convert in plan.back:
            if one[n] is not None:
                one[n] = convert(one[n])
    return dict(zip(plan.columns, one, strict=True))
