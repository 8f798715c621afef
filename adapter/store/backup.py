"""Copies of the embedded store: written while the adapter runs, put back when it does not.

A copy gets its name when it is whole, sound and on the disk; until then it is a `.part` that goes away. It
says of which moment it is: everything committed before is in it. A store that was put back says so too, and
of which moment it is, until the adapter has done what follows from that (`adapter.restoring`).
"""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.engine import make_url

from adapter.errors import ConfigurationError, StoreError
from adapter.store import Store, must_exist
from adapter.store.migrations import newest
from adapter.store.restored import BACKUP, PENDING, Restored
from adapter.store.tables import instant

SPARE = 64 * 1024 * 1024
"""Bytes that must stay free beside a copy: the store that runs may lie on the same disk."""

_NEWEST_ROW = (
    "SELECT max(at) FROM (SELECT max(received_at) AS at FROM message"
    " UNION ALL SELECT max(at) FROM attempt UNION ALL SELECT max(polled_at) FROM mailbox)"
)


def write(store: Store, file: Path, now: datetime) -> None:
    """A consistent copy in `file`, which must not exist. Raises StoreError where it is not sound."""
    if not store.embedded:
        raise ConfigurationError("backup is for the embedded store; back PostgreSQL up with pg_dump")
    if file.exists():
        raise ConfigurationError(
            f"{file} exists; name a file that does not, so that no backup is overwritten"
        )
    must_exist(store.url)
    database = Path(str(store.engine.url.database))
    _must_fit(database, file)
    with _part_of(file) as part:
        _copy(database, part)
        _set(part, BACKUP, now.astimezone(UTC).isoformat())
        _must_be_sound(part, str(part))
        _name(part, file)


def _copy(database: Path, part: Path) -> None:
    """In one step: a reader's snapshot, beside which others write on.

    Step by step it would begin anew after each commit of another process, and under load never end.
    """
    with closing(sqlite3.connect(database, timeout=15)) as source, closing(sqlite3.connect(part)) as target:
        for pragma in ("journal_mode = OFF", "synchronous = OFF"):  # it is synced as a whole, in the end
            target.execute(f"PRAGMA {pragma}")
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")  # one file, with no log beside it


def restore(url: str, file: Path, now: datetime) -> tuple[Path, datetime]:
    """Put a backup where the store should be, and note of which moment it is; refuses to overwrite one."""
    database = make_url(url).database
    if make_url(url).get_backend_name() != "sqlite" or not database:
        raise ConfigurationError(
            "restore is for the embedded store; restore PostgreSQL with pg_restore, "
            "then say so with `discharge-adapter restore --put-back INSTANT`"
        )
    place = Path(database)
    for left in (place, *(place.with_name(f"{place.name}{end}") for end in ("-wal", "-shm", "-journal"))):
        if left.exists():
            raise ConfigurationError(f"{left} exists; stop the adapter and move it away first")
    if not file.is_file():
        raise ConfigurationError(f"{file}: there is no such backup")
    if _has_a_log(file):
        raise ConfigurationError(
            f"{file} is a store with a log beside it ({file.name}-wal) and no backup; use `backup` to copy it"
        )
    _must_be_sound(file, str(file))
    with _part_of(place) as part:
        shutil.copyfile(file, part)
        of = min([_moment(part), *_still_to_follow(part)])
        _set(part, PENDING, Restored(at=now, of=of).text(), instead_of=BACKUP)
        _must_be_sound(part, str(file))
        _name(part, place)
    return place, of


def _has_a_log(file: Path) -> bool:
    log = file.with_name(f"{file.name}-wal")
    return log.exists() and log.stat().st_size > 0


# --- the file ---------------------------------------------------------------------------------------------


def _must_fit(database: Path, file: Path) -> None:
    """A disk that fills up would take the store that runs with it."""
    log = database.with_name(f"{database.name}-wal")
    size = database.stat().st_size + (log.stat().st_size if log.exists() else 0)
    free = shutil.disk_usage(file.absolute().parent).free
    if free < size + SPARE:
        raise StoreError(
            f"{file}: the copy may need {_megabytes(size)}, and {_megabytes(free)} are free there; "
            "make room, or name a file on another disk"
        )


def _megabytes(size: int) -> str:
    return f"{size // 1_000_000 + 1} MB"


@contextmanager
def _part_of(file: Path) -> Iterator[Path]:
    """An empty file of its owner's alone beside `file`, gone afterwards with what SQLite has laid there."""
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        yield part
    finally:
        for end in ("", "-journal", "-wal", "-shm"):
            part.with_name(f"{part.name}{end}").unlink(missing_ok=True)


def _name(part: Path, file: Path) -> None:
    """Make it last, then give it its name, unless somebody has taken that meanwhile."""
    _sync(part, os.O_RDWR)
    if file.exists():
        raise ConfigurationError(f"{file} exists by now; name a file that does not")
    part.rename(file)
    _sync(file.absolute().parent, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, how: int) -> None:
    handle = os.open(path, how)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# --- what it says -----------------------------------------------------------------------------------------


def _must_be_sound(file: Path, name: str) -> None:
    """Raise StoreError unless it opens, is whole, and is a store that this program can read."""
    try:
        with closing(_opened(file)) as connection:
            sound = connection.execute("PRAGMA integrity_check").fetchone()[0]
            if sound != "ok":
                raise StoreError(f"{name} is damaged: {sound}; take an older backup")
            version = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            connection.execute("SELECT count(*) FROM setting, (SELECT 1 FROM message LIMIT 1)").fetchone()
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{name} is not a store: {error}") from error
    if version is None or version[0] > newest():
        found = version[0] if version is not None else "none"
        raise StoreError(f"{name} is of version {found}, newer than this program ({newest()}): upgrade it")


def _opened(file: Path) -> sqlite3.Connection:
    """To read, leaving no file beside it: nobody else has it open."""
    return sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro&immutable=1", uri=True)


def _set(part: Path, name: str, value: str, *, instead_of: str = "") -> None:
    with closing(sqlite3.connect(part)) as connection, connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("DELETE FROM setting WHERE name = ?", (instead_of,))
        connection.execute("INSERT OR REPLACE INTO setting (name, value) VALUES (?, ?)", (name, value))


def _still_to_follow(file: Path) -> list[datetime]:
    """The moment of an earlier restore after which the adapter had not been started when it was copied."""
    with closing(_opened(file)) as connection:
        said = connection.execute("SELECT value FROM setting WHERE name = ?", (PENDING,)).fetchone()
    return [] if said is None else [Restored.read(said[0]).of]


def _moment(file: Path) -> datetime:
    """Of which moment a backup is: as it says, else that of the last thing that happened in it."""
    with closing(_opened(file)) as connection:
        said = connection.execute("SELECT value FROM setting WHERE name = ?", (BACKUP,)).fetchone()
        with suppress(TypeError, ValueError):
            return datetime.fromisoformat(said[0])
        (last,) = connection.execute(_NEWEST_ROW).fetchone()
    return instant(last or 0)
