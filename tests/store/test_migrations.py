"""Migrations add up to the tables, on both engines, and may be started by anybody at any time."""

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from adapter.errors import StoreError
from adapter.store import Store, ledger, migrations
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


@pytest.mark.parametrize("engine", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_an_older_store_tells_its_cancellations_from_then_on(
    engine: str, tmp_path: Path, request: pytest.FixtureRequest
):
    postgres = engine == "postgres"
    store = Store(
        emptied(request.getfixturevalue("postgres_server")) if postgres else f"sqlite:///{tmp_path}/old.db"
    )
    upgrade(store, "0001")
    store.write(older)
    migrate(store)
    with store.read() as connection:
        found = connection.execute(text("SELECT id, standing FROM message ORDER BY id")).all()
    assert [tuple(row) for row in found] == [(1, None), (2, "cancellation")]
    store.close()


@pytest.mark.parametrize("engine", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_what_an_older_ledger_has_booked_stays_as_it_was(
    engine: str, tmp_path: Path, request: pytest.FixtureRequest
):
    postgres = engine == "postgres"
    store = Store(
        emptied(request.getfixturevalue("postgres_server")) if postgres else f"sqlite:///{tmp_path}/old.db"
    )
    upgrade(store, "0004")
    columns = "month, case_id, day, debtor, payee, amount, currency, kind, state, reverses, why"
    values = (
        "'2014-03', 7, '2014-03-04', 'sogndal', 'hospital', '4255', 'NOK', 'charge', 'disputed', NULL, 'day'"
    )
    store.write(lambda tx: tx.execute(text(f"INSERT INTO ledger_entry ({columns}) VALUES ({values})")))
    migrate(store)
    (line,) = store.write(lambda tx: ledger.of_month(tx, "2014-03"))
    assert (line.id, line.case_id, line.day, line.amount) == (1, 7, date(2014, 3, 4), Decimal(4255))
    assert (line.state, line.agreement, line.days_over) == ("disputed", None, None)
    mean = replace(line, case_id=None, agreement="genomsnitt", days_over=Decimal("1.5"))
    store.write(lambda tx: ledger.close(tx, "2014-04", [mean], datetime(2014, 5, 1, tzinfo=UTC), None))
    assert store.write(ledger.of_means) == [replace(mean, id=2)]
    store.close()


def upgrade(store: Store, version: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with store.engine.execution_options(writes=True).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, version)


def older(tx: Connection) -> None:
    """A notice and its cancellation, as the first version stored them."""
    for row, body in ((1, "{}"), (2, '{"message_id":"m2","standing":"cancellation"}')):
        tx.execute(
            text(
                "INSERT INTO message (id, received_at, channel, size, outcome) "
                "VALUES (:row, 0, 'http', 1, 'accepted')"
            ),
            {"row": row},
        )
        tx.execute(
            text(
                "INSERT INTO fact (patient, case_id, kind, message_row, body) "
                "VALUES ('P', 1, 'admitted', :row, :body)"
            ),
            {"row": row, "body": body},
        )


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
