"""Migrations add up to the tables, on both engines, and may be started by anybody at any time."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from adapter.errors import StoreError
from adapter.store import Store, ledger, migrations, protections
from adapter.store.migrations import current, migrate, newest, upgrade
from adapter.store.tables import metadata

BOTH = """
import sys
from adapter.store import Store
from adapter.store.migrations import migrate
store = Store(sys.argv[1])
print(migrate(store)[1])
store.close()
"""


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a store without any table."""
    if request.param == "postgres":
        return emptied(request.getfixturevalue("postgres_server"))
    return f"sqlite:///{tmp_path}/empty.db"


def test_the_versions_add_up_to_the_tables(empty: str):
    store = Store(empty)
    stepped(store, "head")
    with store.engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={"compare_type": True, "compare_server_default": True, "include_name": of_ours},
        )
        assert compare_metadata(context, metadata) == []
    store.close()


def of_ours(name: str | None, _kind: str, _parents: object) -> bool:
    """What SQLAlchemy knows of: each engine finds words in a way of its own, which the next test compares."""
    return not (name or "").startswith("delivery_found")


def test_an_empty_store_gets_what_an_older_one_comes_to_by_its_steps(empty: str):
    store = Store(empty)
    assert migrate(store) == (None, newest())
    made = described(store)
    with store.engine.execution_options(writes=True).begin() as connection:
        metadata.drop_all(connection)
        connection.execute(text("DROP TABLE alembic_version"))
    stepped(store, "0001")
    assert migrate(store) == ("0001", newest())
    assert described(store) == made
    store.close()


def described(store: Store) -> dict[str, object]:
    """Every table with its columns, keys and indexes, as the engine itself tells of them."""
    with store.engine.connect() as connection:
        seen = inspect(connection)
        return {
            table: (
                {c["name"]: (str(c["type"]), c["nullable"], c["default"]) for c in seen.get_columns(table)},
                seen.get_pk_constraint(table),
                sorted(map(plain, seen.get_indexes(table))),
                sorted(map(str, seen.get_foreign_keys(table))),
                sorted(map(str, seen.get_unique_constraints(table))),
            )
            for table in seen.get_table_names()
        }


def plain(index: Mapping[str, Any]) -> str:
    options = {name: str(value) for name, value in index.get("dialect_options", {}).items()}
    return str({**index, "dialect_options": options})


def test_an_older_store_tells_its_cancellations_from_then_on(empty: str):
    store = Store(empty)
    stepped(store, "0001")
    store.write(older)
    migrate(store)
    with store.read() as connection:
        found = connection.execute(text("SELECT id, standing FROM message ORDER BY id")).all()
    assert [tuple(row) for row in found] == [(1, None), (2, "cancellation")]
    store.close()


def test_what_an_older_ledger_has_booked_stays_as_it_was(empty: str):
    store = Store(empty)
    stepped(store, "0004")
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


def test_who_takes_part_in_an_older_case_is_read_from_its_facts(empty: str):
    """Sender and receivers of every notice; evidence, whose `s` is a step, adds nobody."""
    store = Store(empty)
    stepped(store, "0018")
    bodies = (
        (1, "admitted", '{"sender":"hospital","receivers":["sogndal"]}'),
        (1, "answer", '{"sender":"sogndal","receivers":["hospital"],"standing":"cancellation"}'),
        (1, "accepted", '{"s":"accepted","party":"luster","message_id":"m"}'),
        (2, "care-needs", '{"sender":"hospital","receivers":["luster","aardal"]}'),
        (2, "discharged", '{"sender":"hospital"}'),
    )
    fact = text(
        "INSERT INTO fact (patient, case_id, kind, message_row, body) VALUES ('P', :c, :kind, 1, :body)"
    )

    def unit(tx: Connection) -> None:
        for case_id, kind, body in bodies:
            tx.execute(fact, {"c": case_id, "kind": kind, "body": body})

    store.write(unit)
    migrate(store)
    with store.read() as connection:
        found = connection.execute(
            text("SELECT case_id, party FROM case_party ORDER BY case_id, party")
        ).all()
    told = [(1, "hospital"), (1, "sogndal"), (2, "aardal"), (2, "hospital"), (2, "luster")]
    assert [tuple(row) for row in found] == told
    store.close()


def test_who_is_known_to_be_protected_in_an_older_store_is_protected_still(empty: str):
    store = Store(empty)
    stepped(store, "0024")

    def unit(tx: Connection) -> None:
        for row, patient in ((1, "P1"), (2, "P2")):
            tx.execute(
                text(
                    "INSERT INTO resource (id, type, fhir_id, patient, version) "
                    "VALUES (:row, 'Patient', :patient, :patient, :row)"
                ),
                {"row": row, "patient": patient},
            )
            tx.execute(
                text(
                    'INSERT INTO resource_version (id, resource, number, at, "by", message_row, case_id) '
                    "VALUES (:row, :row, 1, 5, 'hospital', 7, 1)"
                ),
                {"row": row},
            )
            tx.execute(
                text("INSERT INTO resource_token (version, name, value) VALUES (:row, :name, 'true')"),
                {"row": row, "name": "_protected" if patient == "P1" else "active"},
            )

    store.write(unit)
    migrate(store)
    with store.read() as connection:
        assert protections.is_protected(connection, "P1")
        assert protections.among(connection, {"P1", "P2"}) == {"P1"}
        told = protections.of(connection, "P1")
        assert told is not None and (told["told_by"], told["message_row"]) == ("hospital", 7)
        marks = connection.execute(text("SELECT version FROM resource_token WHERE name = '_protected'"))
        assert list(marks.scalars()) == [1]  # by which a process of the older version, at work still, knows
    store.close()


def stepped(store: Store, version: str) -> None:
    """The store, by its steps alone, at that version."""
    with store.engine.execution_options(writes=True).begin() as connection:
        upgrade(connection, version)


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


@pytest.mark.parametrize("from_version", [None, "0001"])
def test_two_processes_may_migrate_at_once(empty: str, from_version: str | None):
    if from_version is not None:
        store = Store(empty)
        stepped(store, from_version)
        store.close()
    started = [
        subprocess.Popen([sys.executable, "-c", BOTH, empty], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
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
    store.ready(at_work=True)  # it was started before the upgrade, and goes on until it is started again
    store.close()


def test_a_process_at_work_does_not_go_on_over_an_older_store(store_url: str):
    store = Store(store_url)
    migrate(store)
    store.write(lambda tx: tx.execute(text("UPDATE alembic_version SET version_num = '0001'")))
    with pytest.raises(StoreError, match="discharge-adapter migrate"):
        store.ready(at_work=True)
    store.close()


@pytest.mark.postgres
def test_a_live_store_is_migrated_and_nobody_waits_behind_a_long_look(
    postgres_server: str, monkeypatch: pytest.MonkeyPatch
):
    """Somebody looks at deliveries for long: the step that wants that table steps back and comes again."""
    monkeypatch.setattr(migrations, "MOST_HELD_UP_MS", 200)
    url = emptied(postgres_server)
    store = Store(url)
    stepped(store, "0014")
    stop, counted = threading.Event(), []

    def working() -> None:
        other = Store(url)
        while not stop.is_set():
            with other.read() as connection:
                counted.append(connection.execute(text("SELECT count(*) FROM delivery")).scalar_one())
        other.close()

    with ThreadPoolExecutor(2) as pool, Store(url).engine.connect() as long:
        long.execute(text("SELECT count(*) FROM delivery"))
        work = pool.submit(working)
        migrating = pool.submit(migrate, store)
        for _ in range(3):  # it is in the way, and steps back, again and again
            until(lambda: waiting(long))
            before = len(counted)
            until(lambda n=before: len(counted) > n + 5)
        assert not migrating.done()
        long.rollback()
        assert migrating.result(timeout=30) == ("0014", newest())
        before = len(counted)
        until(lambda: len(counted) > before)
        stop.set()
        work.result(timeout=10)
    store.close()


def waiting(connection: Connection) -> bool:
    query = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation'"
    return bool(connection.execute(text(query)).scalar_one())


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)
