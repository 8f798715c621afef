"""Migrations add up to the tables, on both engines, and may be started by anybody at any time."""

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from adapter.errors import StoreError
from adapter.store import Store
from adapter.store.migrations import current, migrate, newest
from adapter.store.tables import metadata

BOTH = """
import sys
from adapter.store import Store
from adapter.store.migrations import migrate
store = Store(sys.argv[1])
print(migrate(store)[1])
store.close()
"""


def test_the_versions_add_up_to_the_tables(store_url: str):
    store = Store(store_url)
    migrate(store)
    with store.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, metadata) == []
    store.close()


def test_migrating_twice_does_nothing_the_second_time(store_url: str):
    store = Store(store_url)
    migrate(store)
    assert migrate(store) == (newest(), newest())
    assert current(store) == newest()
    store.ready()
    store.close()


@pytest.mark.parametrize("engine", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_two_processes_may_migrate_at_once(engine: str, tmp_path: Path, request: pytest.FixtureRequest):
    url = f"sqlite:///{tmp_path}/new.db"
    if engine == "postgres":
        url = emptied(request.getfixturevalue("postgres_server"))
    started = [
        subprocess.Popen([sys.executable, "-c", BOTH, url], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    ended = [process.communicate(timeout=30) for process in started]
    assert [(out.decode().strip(), err.decode()[-300:]) for out, err in ended] == [(newest(), "")] * 3


def emptied(server: str) -> str:
    """A database without any table."""
    from sqlalchemy.engine import make_url

    from tests.conftest import _sql

    _sql(server, "DROP DATABASE IF EXISTS empty_one WITH (FORCE)")
    _sql(server, "CREATE DATABASE empty_one")
    url = make_url(server).set(database="empty_one", drivername="postgresql")
    return url.render_as_string(hide_password=False)


def test_a_store_of_a_newer_program_is_left_alone(store_url: str):
    store = Store(store_url)
    migrate(store)
    store.write(lambda tx: tx.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    with pytest.raises(StoreError, match="upgrade"):
        migrate(store)
    with pytest.raises(StoreError, match="9999"):
        store.ready()
    store.close()
