"""A disk so small that a test can fill it, where this machine lets one be mounted; else SQLite's own limit.

`PRAGMA max_page_count` gives the same error (SQLITE_FULL) at the same places, for the database's file alone.
"""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import event

from adapter.store import Store

SIZE = 6 * 1024 * 1024


@dataclass
class SmallDisk:
    """A folder on it, and a way to fill it up to the last byte."""

    folder: Path
    mounted: bool

    @property
    def url(self) -> str:
        return f"sqlite:///{self.folder}/store.db"

    def fill(self, store: Store | None = None) -> None:
        """No room from now on."""
        if self.mounted:
            with (self.folder / "filler").open("wb", buffering=0) as file, suppress(OSError):
                for size in (65536, 4096, 1):
                    with suppress(OSError):
                        while file.write(b"x" * size):
                            pass
            os.sync()
        elif store is not None:
            self._full = True
            event.listen(store.engine, "begin", self._no_more_pages)

    def free(self, store: Store | None = None) -> None:
        """Room again."""
        if self.mounted:
            (self.folder / "filler").unlink()
        elif store is not None:
            self._full = False

    def _no_more_pages(self, connection) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar() if self._full else 1 << 30
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")


@contextmanager
def small_disk() -> Iterator[SmallDisk]:
    """A file system of a few megabytes; a plain folder where none can be mounted."""
    with tempfile.TemporaryDirectory(prefix="small-") as place:
        words = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", place]
        mounted = os.geteuid() == 0 and subprocess.run(words, capture_output=True).returncode == 0
        try:
            yield SmallDisk(folder=Path(place), mounted=mounted)
        finally:
            if mounted:
                subprocess.run(["umount", "-l", place], check=True)
