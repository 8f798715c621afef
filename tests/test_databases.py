"""What one test leaves behind in PostgreSQL is not there for the next."""

from collections.abc import Iterator
from datetime import datetime

import psycopg
import pytest

from adapter.store import Store
from adapter.store.tables import alarm
from tests.conftest import OSLO, StandingClock
from tests.databases import MUCH, Databases
from tests.stage import stage

pytestmark = pytest.mark.postgres

AT = datetime(2014, 3, 3, 10, 0, tzinfo=OSLO)


@pytest.fixture
def own(databases: Databases) -> Iterator[Databases]:
    """Databases of which none has been used."""
    made = Databases(server=databases.server, template=databases.template)
    yield made
    with psycopg.connect(made.server, autocommit=True) as server:
        for name in made.free:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def raised(store: Store, count: int = 1) -> list[int]:
    """So many alarms; their ids."""
    rows = [{"kind": "test", "subject": str(n), "text": "test", "since": AT} for n in range(count)]
    return store.write(lambda tx: list(tx.execute(alarm.insert().returning(alarm.c.id), rows).scalars()))


def test_the_next_begins_without_a_row_and_counts_from_one(own: Databases) -> None:
    for _ in range(2):
        with own.one() as url:
            store = Store(url)
            assert raised(store) == [1]
            store.close()
    assert len(own.free) == 1


def test_whoever_goes_on_with_the_old_name_reaches_nobody(own: Databases, clock: StandingClock) -> None:
    with own.one() as url:
        left_open = stage(url, clock)
        assert left_open.counts()["alarm"] == 0
    with own.one() as other:
        assert other != url
        with pytest.raises(psycopg.OperationalError, match="does not exist"):
            psycopg.connect(url)
    left_open.close()


@pytest.mark.parametrize(
    "change",
    ["CREATE TABLE more (n int)", "ALTER TABLE alarm DROP COLUMN kind", "DELETE FROM alembic_version"],
)
def test_a_database_that_was_altered_is_not_used_again(own: Databases, change: str) -> None:
    with own.one() as url, psycopg.connect(url, autocommit=True) as connection:
        connection.execute(change)
    assert own.free == []
    with own.one() as url:
        store = Store(url)
        store.ready()
        assert raised(store) == [1]
        store.close()


def test_nor_is_one_that_was_filled(own: Databases) -> None:
    with own.one() as url:
        store = Store(url)
        raised(store, MUCH)
        store.close()
    assert own.free == []
