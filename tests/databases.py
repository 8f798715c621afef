"""PostgreSQL databases for tests, swept after each and given a new name: making one takes ten times as long.

A database that a test has filled or altered is dropped, and so is one that cannot be swept. Whoever still
knows the old name finds nothing there: no test reaches into another's.
"""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import psycopg
from sqlalchemy.engine import make_url

from adapter.store.tables import metadata

MUCH = 2_000
"""Rows of which a database is dropped rather than swept: what is deleted stays in the way for a while."""

PATIENCE = 5.0
"""Seconds in which sessions that a test has left open must have ended."""

UNSAFE = ("fsync", "full_page_writes")
"""What a server of our own does without. It guards against the machine's death, which no test plays; commits
still outlive the server's."""

_SWEPT = ";".join(f'DELETE FROM "{table.name}"' for table in reversed(metadata.sorted_tables))
_FROM_ONE = (
    "SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false) "
    "FROM pg_sequences WHERE last_value IS NOT NULL"
)
_SHAPE = """
    SELECT (SELECT version_num FROM alembic_version),
           (SELECT md5(string_agg(concat(attrelid, attname, atttypid), ',' ORDER BY attrelid, attnum))
            FROM pg_attribute JOIN pg_class ON attrelid = pg_class.oid
            WHERE relnamespace = 'public'::regnamespace),
           (SELECT count(*) FROM pg_constraint), (SELECT count(*) FROM pg_trigger)
"""
_OTHERS = "FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"


@dataclass
class Databases:
    """Databases like `template` on one server."""

    server: str
    template: str
    free: list[str] = field(default_factory=list)

    @contextmanager
    def one(self) -> Iterator[str]:
        """The address of a database without a row, for one test."""
        name = self.free.pop() if self.free else self._made()
        try:
            yield address(self.server, name)
        finally:
            with psycopg.connect(self.server, autocommit=True) as server:
                if not self._kept(server, name):
                    server.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _made(self) -> str:
        name = _name()
        with psycopg.connect(self.server, autocommit=True) as server:
            server.execute(f"CREATE DATABASE {name} TEMPLATE {self.template}")
        return name

    def _kept(self, server: "psycopg.Connection[tuple[object, ...]]", name: str) -> bool:
        """Whether the database is ready for the next test, under a name of its own."""
        with suppress(psycopg.Error):
            server.execute(f"SELECT pg_terminate_backend(pid) {_OTHERS}", (name,))
            if self._swept(name) and _left_alone(server, name):
                new = _name()
                server.execute(f"ALTER DATABASE {name} RENAME TO {new}")
                self.free.append(new)
                return True
        return False

    def _swept(self, name: str) -> bool:
        """Whether it is empty now and as it was made."""
        with psycopg.connect(address(self.server, name), autocommit=True) as database:
            if database.execute(_SHAPE).fetchone() != self._shape():
                return False
            deleted = _rows_of(database.execute(_SWEPT))
            database.execute(_FROM_ONE)
            return deleted < MUCH

    def _shape(self) -> object:
        """How the template's tables are made; a copy's have the same numbers inside."""
        if not hasattr(self, "_known"):
            with psycopg.connect(address(self.server, self.template)) as template:
                self._known = template.execute(_SHAPE).fetchone()
        return self._known


def _rows_of(cursor: "psycopg.Cursor[tuple[object, ...]]") -> int:
    """Rows that statements sent together have touched."""
    rows = cursor.rowcount
    while cursor.nextset():
        rows += cursor.rowcount
    return rows


def _left_alone(server: "psycopg.Connection[tuple[object, ...]]", name: str) -> bool:
    """Whether every session there has ended; each takes a moment to."""
    until = time.monotonic() + PATIENCE
    while server.execute(f"SELECT count(*) {_OTHERS}", (name,)).fetchone() != (0,):
        if time.monotonic() > until:
            return False
        time.sleep(0.001)
    return True


def _name() -> str:
    return f"test_{uuid.uuid4().hex[:8]}"


def hasten(server: str) -> None:
    """Have a server that is only for tests commit without waiting for the disk."""
    with psycopg.connect(server, autocommit=True) as connection:
        for setting in UNSAFE:
            connection.execute(f"ALTER SYSTEM SET {setting} = off")
        connection.execute("SELECT pg_reload_conf()")


def address(server: str, name: str) -> str:
    """A database of that server."""
    url = make_url(server).set(database=name, drivername="postgresql")
    return url.render_as_string(hide_password=False)
