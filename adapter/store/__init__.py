"""The store: SQLite by default, PostgreSQL when one machine is not enough; one set of queries for both.

`Store.write` runs a unit of work in the process's writer and returns its future; `Store.read` lends a
connection for looking. Queries live in modules named after what they find: `messages`, `cases`,
`deliveries`, `alarms`, `mailboxes`.
"""

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, delete, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from adapter.errors import ConfigurationError, StoreError
from adapter.store.statements import say
from adapter.store.waking import Listener
from adapter.store.writer import Writer

T = TypeVar("T")


_IN_TIME = {
    "connect_timeout": 5,  # seconds
    "tcp_user_timeout": 20_000,  # milliseconds; of a network that swallows everything it else takes 15 min
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
"""How soon a PostgreSQL server that is gone is known to be so; the store's address may say otherwise."""


class Store:
    """One database, its writer and its readers."""

    def __init__(
        self,
        url: str,
        *,
        engine: Engine | None = None,
        writer: Callable[..., Writer] = Writer,
    ) -> None:
        """`engine` reaches the database in another way than by its address; `writer` runs the units."""
        self.url = url
        self._guard: Callable[[Connection], None] | None = None
        self._watching: list[Listener | _Watch] = []
        self.engine = engine if engine is not None else _engine(url)
        self.turn = _turn(self.engine)
        try:
            self.writer = writer(self.engine.execution_options(writes=True), turn=self.turn)
        except OSError as error:
            raise StoreError(f"the store cannot be used: {error.filename}: {error.strerror}") from error

    @property
    def embedded(self) -> bool:
        """Whether this is SQLite."""
        return self.engine.dialect.name == "sqlite"

    def submit(self, unit: Callable[[Connection], T]) -> "Future[T]":
        """Queue a unit of work; the future resolves after its commit."""
        guard = self._guard
        if guard is None:
            return self.writer.submit(unit)

        def guarded(tx: Connection) -> T:
            guard(tx)
            return unit(tx)

        return self.writer.submit(guarded)

    def write(self, unit: Callable[[Connection], T]) -> T:
        """Run a unit of work and wait for its commit."""
        return self.submit(unit).result()

    def guarded(self, guard: Callable[[Connection], None]) -> "Store":
        """The same store, whose units of work begin with `guard`: where that raises, nothing is written."""
        other = copy(self)
        other._guard = guard
        return other

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection to look with."""
        try:
            with self.engine.connect() as connection, connection.begin():
                yield connection
        except SQLAlchemyError as error:
            cause = getattr(error, "orig", None) or type(error).__name__
            raise StoreError(f"the store cannot be read: {str(cause).splitlines()[0]}") from error

    def ready(self, *, at_work: bool = False) -> None:
        """Raise StoreError unless the database answers, is of this version, and takes what is written.

        After a write that failed, one is tried here, so that it is known when the store takes them again.
        A process that is `at_work` already goes on over a store of a newer version, whose steps only add: a
        live installation is upgraded one process after another.
        """
        from adapter.store.migrations import current, newest

        if self.writer.outage.reason is not None:
            try:
                self.submit(_mark).result(_SOON)
            except TimeoutError:
                raise StoreError(f"the store cannot be written: {self.writer.outage.reason}") from None
        with self.read() as connection:
            connection.execute(text("SELECT 1"))
        found, wanted = current(self), newest()
        if found == wanted or (at_work and found is not None and found > wanted):
            return
        newer = found is not None and found > wanted
        what = "upgrade this program" if newer else "run `discharge-adapter migrate`"
        raise StoreError(f"the store is of version {found or 'none'}, this adapter needs {wanted}: {what}")

    def watch(self) -> Callable[[], object]:
        """A cheap question whose answer changes when another process has written what may have to be sent.

        SQLite counts the commits of others for each connection (PRAGMA data_version), PostgreSQL tells. Each
        question belongs to whoever asks it, on a thread of his own.
        """
        self._watching.append(_Watch(self.engine) if self.embedded else Listener(self.engine))
        return self._watching[-1]

    def give_back(self) -> None:
        """Return freed pages to the disk, a bounded number a unit of work; PostgreSQL vacuums by itself."""
        while self.embedded and self.write(_give_some_back):
            pass

    def shorten(self, *, always: bool = False) -> None:
        """Cut the write-ahead log where it has grown large, or `always`, and nobody is at it."""
        file = embedded_file(self.url)
        if file is None or self.writer.busy:
            return
        beside = file.with_name(f"{file.name}-wal")
        if not beside.exists() or (beside.stat().st_size <= LARGE_LOG and not always):
            return
        connection = sqlite3.connect(file, timeout=0.2)  # whoever reads it right now is not waited for
        try:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.OperationalError:  # busy: another time
            pass
        finally:
            connection.close()

    def close(self) -> None:
        """Finish what is queued and let go of the database."""
        self.writer.close()
        for watching in self._watching:
            watching.close()
        self.engine.dispose()


class _Watch:
    """Looks at an embedded store over a connection of its own: one of the pool is closed when it likes.

    It never fails: where it cannot look, whoever asks shall look himself.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Any = None
        self._failed = 0

    def __call__(self) -> object:
        try:
            if self._connection is None:
                self._connection = self._engine.raw_connection()
                self._connection.detach()
            cursor = self._connection.cursor()
            seen = cursor.execute("PRAGMA data_version").fetchone()
            cursor.close()
        except (sqlite3.Error, SQLAlchemyError):
            self._failed += 1
            self.close()
            return self._failed, None
        return self._failed, seen

    def close(self) -> None:
        """Let go of the file; the next question opens it again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _mark(tx: Connection) -> None:
    """Any change at all, by which it is seen that the store takes one."""
    from adapter.store import messages
    from adapter.store.tables import setting

    tx.execute(delete(setting).where(setting.c.name == _WRITTEN))
    messages.set_value(tx, _WRITTEN, "yes")


_SOON = 2.0
"""Seconds: who asks whether the store is ready does not wait as long as who wants something stored."""

_WRITTEN = "written-after-an-outage"

LARGE_LOG = 16 * 2**20
"""Bytes of the write-ahead log beyond which it is cut; it is 8 MiB with a usual load."""

PAGES_AT_ONCE = 1000
"""Pages that one unit of work returns to the disk."""


def _give_some_back(tx: Connection) -> bool:
    """Whether there is more, and some was returned."""
    before = tx.exec_driver_sql("PRAGMA freelist_count").scalar_one()
    for _ in range(min(before, PAGES_AT_ONCE)):
        say(tx, "PRAGMA incremental_vacuum(1)")  # Python's driver takes one step of it, whatever its number
    left = tx.exec_driver_sql("PRAGMA freelist_count").scalar_one()
    return bool(0 < left < before)


MADE_BY = "`discharge-adapter run`, `receive` or `migrate` makes one, `restore` puts a backup there"


def must_exist(url: str) -> None:
    """Raise ConfigurationError where an embedded store's file is missing or empty; nothing is created."""
    file = embedded_file(url)
    if file is None:
        return
    _must_have_a_folder(file)
    if not file.exists():
        raise ConfigurationError(f"there is no store at {file.absolute()}; {MADE_BY}")
    if file.is_file() and file.stat().st_size == 0:
        raise ConfigurationError(f"{file} is an empty file and no store; move it away. {MADE_BY}")


def _must_have_a_folder(file: Path) -> None:
    folder = file.absolute().parent
    if not folder.is_dir():
        raise ConfigurationError(f"store: the folder {folder} does not exist; create it")


def embedded_file(url: str) -> Path | None:
    """Where an embedded store lies; None for one that is no file."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        return None
    return Path(parsed.database)


def _turn(engine: Engine) -> Path | None:
    """The file by which processes that write to one embedded store take turns; None where none is needed."""
    database = engine.url.database
    if engine.dialect.name != "sqlite" or not database or database == ":memory:":
        return None
    return Path(f"{database}.turn")


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        if parsed.get_backend_name() == "sqlite":
            return embedded(create_engine(parsed, connect_args={"timeout": 15.0}))
        reach = {name: value for name, value in _IN_TIME.items() if name not in parsed.query}
        return create_engine(parsed, pool_pre_ping=True, pool_size=8, max_overflow=8, connect_args=reach)
    except (SQLAlchemyError, ModuleNotFoundError, ValueError) as error:
        raise ConfigurationError(
            f"store: {_without_password(url)} cannot be used ({type(error).__name__}); "
            "write sqlite:///FILE, or postgresql://USER@HOST/DATABASE with the `postgres` extra installed"
        ) from error


def embedded(engine: Engine) -> Engine:
    """Have every connection to SQLite set up as the store needs it."""
    database = engine.url.database
    if database and database != ":memory:":
        _must_have_a_folder(Path(database))

    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves, below
        cursor = connection.cursor()
        cursor.execute("PRAGMA busy_timeout = 15000")
        if cursor.execute("PRAGMA page_count").fetchone() == (0,):
            # Counts only before the first table, and waits for whoever writes: no reader may ask for it.
            cursor.execute("PRAGMA auto_vacuum = INCREMENTAL")
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",  # NORMAL may lose the last commits when the power fails
            "foreign_keys = ON",
            "wal_autocheckpoint = 2000",
            "cache_size = -32768",  # KiB; the usual 2 MB do not hold the indices of a large store
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A writer takes the lock at once, so that it waits its turn rather than fail half-way.
        writes = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _without_password(url: str) -> str:
    try:
        return make_url(url).render_as_string(hide_password=True)
    except SQLAlchemyError:
        return "the address"
