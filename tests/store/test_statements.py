"""Prepared statements: what they name themselves is no parameter, what they are given always is."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest
from sqlalchemy import Connection, bindparam, select
from sqlalchemy.dialects.postgresql import dialect as postgresql
from sqlalchemy.dialects.sqlite import dialect as sqlite

import adapter.store
from adapter.store import Store, messages, statements, tables
from adapter.store.migrations import migrate

MODULES = [import_module(f"adapter.store.{found.name}") for found in iter_modules(adapter.store.__path__)]
PREPARED = [
    query for module in MODULES for query in vars(module).values() if isinstance(query, statements.Select)
]


@pytest.mark.parametrize("engine", [sqlite(), postgresql()], ids=["sqlite", "postgresql"])
def test_no_word_of_a_query_is_a_parameter(engine):
    """On a partial index such a parameter would have SQLite plan the query anew each time it is run."""
    assert len(PREPARED) > 50
    for query in PREPARED:
        plan = statements._plan(query, engine)
        assert not [value for _, value in plan.said if isinstance(value, str)], plan.sql


def test_what_a_query_is_given_stays_a_parameter_whatever_stands_in_it(store_url: str):
    store = Store(store_url)
    migrate(store)
    quoted = "O'Brien; DROP TABLE setting; --"
    setting = tables.setting
    store.write(lambda tx: messages.set_value(tx, "name", quoted))
    given = select(setting.c.name).where(setting.c.value == bindparam("said"), setting.c.name != "other")
    named = select(setting.c.name).where(setting.c.value == quoted, setting.c.name != "other")
    assert store.write(lambda tx: statements.value(tx, given, said=quoted)) == "name"
    assert store.write(lambda tx: statements.value(tx, named)) == "name"
    assert store.write(lambda tx: statements.value(tx, given, said="O")) is None
    store.close()


def indexed_anew(tx: Connection, *, backwards: bool) -> None:
    """The indices made in another order, as each installation may have made them in one of its own."""
    made = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    for name, sql in sorted(tx.exec_driver_sql(made).all(), reverse=backwards):
        tx.exec_driver_sql(f"DROP INDEX {name}")
        tx.exec_driver_sql(sql)


def plans(tx: Connection) -> Iterator[tuple[str, list[str]]]:
    for query in PREPARED:
        sql = statements._plan(query, tx.dialect).sql
        if "POSTCOMPILE" not in sql and "pg_" not in sql:
            told = tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", (1,) * sql.count("?")).all()
            yield sql, [row[3] for row in told]


def test_the_order_in_which_indices_were_made_decides_nothing(tmp_path: Path):
    """SQLite has no statistics: of two indices that seem as good it takes one by chance.

    By the wrong one of these each message would look through all that its sender has ever sent.
    """
    store = Store(f"sqlite:///{tmp_path}/store.db")
    migrate(store)

    def planned(backwards: bool) -> dict[str, list[str]]:
        store.write(lambda tx: indexed_anew(tx, backwards=backwards))
        return store.write(lambda tx: dict(plans(tx)))

    there, back = planned(False), planned(True)
    assert {sql: (there[sql], back[sql]) for sql in there if there[sql] != back[sql]} == {}
    store.close()
