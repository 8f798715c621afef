"""The store's versions, one file a step; `migrate` brings any older store up to date.

An empty store needs no steps: it gets the tables as they are now, without Alembic, which takes 9 MiB.

Several processes may start at once: one migrates, the others wait (by the turn file beside an SQLite
database, by an advisory lock in PostgreSQL).
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    create_mock_engine,
    insert,
    inspect,
    text,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import ExecutableDDLElement
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_fixed

from adapter.errors import StoreError
from adapter.store.tables import metadata

if TYPE_CHECKING:
    from adapter.store import Store

_FOLDER = Path(__file__).parent
_VERSION = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), primary_key=True),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
_ADVISORY_LOCK = 8_143_500  # any number, the same in every process

MOST_HELD_UP_MS = 2000
"""For which a step may keep others waiting before it steps back."""


def newest() -> str:
    """The version that this program needs."""
    return max(path.stem.split("_")[0] for path in (_FOLDER / "versions").glob("[0-9]*.py"))


def current(store: "Store") -> str | None:
    """The version of the store; None where it is empty."""
    with store.read() as connection:
        return _version(connection)


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def migrate(store: "Store") -> tuple[str | None, str]:
    """Bring the store to the newest version; returns (version before, version now)."""
    with _alone(store):
        before = current(store)
        if before is not None and before > newest():
            raise StoreError(
                f"the store is of version {before}, newer than this program ({newest()}): upgrade it"
            )
        for step in _steps(before):
            _bring_up(store, step)
        return before, newest()


def _steps(before: str | None) -> list[str]:
    """The versions that are yet to be reached; of an empty store only the last, for it is made whole."""
    known = sorted(path.stem.split("_")[0] for path in (_FOLDER / "versions").glob("[0-9]*.py"))
    return known[-1:] if before is None else [step for step in known if step > before]


def _waited_in_vain(error: BaseException) -> bool:
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) == "55P03"


@retry(
    retry=retry_if_exception(_waited_in_vain), stop=stop_after_attempt(60), wait=wait_fixed(1), reraise=True
)
def _bring_up(store: "Store", step: str) -> None:
    """One step, in a transaction of its own: one that takes long must not hold what another has locked.

    Over PostgreSQL others go on meanwhile. A step that changes a table must have it alone for a moment, and
    everybody who wants it queues behind; so it does not wait long for whoever looks long, but comes again.
    """
    with store.engine.execution_options(writes=True).begin() as connection:
        if not store.embedded:
            connection.execute(text(f"SET LOCAL lock_timeout = '{MOST_HELD_UP_MS}ms'"))
        if _is_empty(connection):
            _create(connection)
        else:
            upgrade(connection, step)


def upgrade(connection: Connection, to: str = "head") -> None:
    """Take the steps from the version of the store to another one."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.attributes["connection"] = connection
    command.upgrade(config, to)


def _is_empty(connection: Connection) -> bool:
    return not inspect(connection).get_table_names()


def _create(connection: Connection) -> None:
    """The tables as they are now, and the note by which Alembic knows the version."""
    for statement in _statements(connection.dialect.name):
        connection.exec_driver_sql(statement)
    connection.execute(insert(_VERSION).values(version_num=newest()))


@cache
def _statements(dialect: str) -> tuple[str, ...]:
    """What makes all tables; writing it down takes longer than running it."""
    written: list[str] = []

    def note(statement: ExecutableDDLElement, *_: object, **__: object) -> None:
        written.append(str(statement.compile(dialect=engine.dialect)))

    engine = create_mock_engine(f"{dialect}://", note)
    metadata.create_all(engine, checkfirst=False)
    _VERSION.create(engine, checkfirst=False)
    return tuple(written)


@contextmanager
def _alone(store: "Store") -> Iterator[None]:
    """Hold off every other process that wants to migrate the same store."""
    if not store.embedded:
        with store.engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:n)"), {"n": _ADVISORY_LOCK})
            try:
                yield
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(:n)"), {"n": _ADVISORY_LOCK})
        return
    turn = store.turn
    if turn is None:
        yield
        return
    with turn.open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
