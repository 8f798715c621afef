"""Prepared statements: what they name themselves is no parameter, what they are given always is."""

import pytest
from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import dialect as postgresql
from sqlalchemy.dialects.sqlite import dialect as sqlite

from adapter.store import Store, alarms, deliveries, messages, statements, tables
from adapter.store.migrations import migrate

PREPARED = [
    query
    for module in (alarms, deliveries, messages)
    for query in vars(module).values()
    if isinstance(query, statements.Select)
]


@pytest.mark.parametrize("engine", [sqlite(), postgresql()], ids=["sqlite", "postgresql"])
def test_no_word_of_a_query_is_a_parameter(engine):
    """On a partial index such a parameter would have SQLite plan the query anew each time it is run."""
    assert len(PREPARED) > 15
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
