"""Copies of the embedded store: written while the adapter runs, put back when it does not."""

import shutil
import sqlite3
from pathlib import Path

from sqlalchemy.engine import make_url

from adapter.errors import ConfigurationError, StoreError
from adapter.store import Store, must_exist


def write(store: Store, file: Path) -> None:
    """A consistent copy in `file`, which must not exist."""
    if not store.embedded:
        raise ConfigurationError("backup is for the embedded store; back PostgreSQL up with pg_dump")
    if file.exists():
        raise ConfigurationError(
            f"{file} exists; name a file that does not, so that no backup is overwritten"
        )
    must_exist(store.url)
    part = file.with_name(f"{file.name}.part")
    try:
        _copy(str(store.engine.url.database), part)
        part.rename(file)
    finally:
        part.unlink(missing_ok=True)


def _copy(database: str, file: Path) -> None:
    source = sqlite3.connect(database)
    target = sqlite3.connect(file)
    try:
        source.backup(target)
    finally:
        target.close()
        source.close()


def restore(url: str, file: Path) -> Path:
    """Put a backup where the store should be; refuses to overwrite one."""
    database = make_url(url).database
    if make_url(url).get_backend_name() != "sqlite" or not database:
        raise ConfigurationError("restore is for the embedded store; restore PostgreSQL with pg_restore")
    place = Path(database)
    if place.exists():
        raise ConfigurationError(f"{place} exists; stop the adapter and move it away first")
    if not file.is_file():
        raise ConfigurationError(f"{file}: there is no such backup")
    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    try:
        sound = connection.execute("PRAGMA integrity_check").fetchone()[0]
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{file} is not a store: {error}") from error
    finally:
        connection.close()
    if sound != "ok":
        raise StoreError(f"{file} is damaged: {sound}; take an older backup")
    shutil.copyfile(file, place)
    return place
