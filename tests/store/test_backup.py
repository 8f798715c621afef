"""Backups of a running store, and what a restored store remembers of it."""

import os
import resource
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from adapter.discharge.notices import NoticeKind
from adapter.errors import ConfigurationError, StoreError
from adapter.store import Store, alarms, backup, restored
from adapter.store.migrations import migrate
from tests.conftest import StandingClock
from tests.message_servers import empty_store
from tests.stage import stage

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "store.db").write_bytes(empty_store())
    return Store(f"sqlite:///{tmp_path}/store.db")


def filled(store: Store, megabytes: int, clock: StandingClock) -> None:
    """Rows of a kilobyte each that no compression makes smaller."""
    for _ in range(megabytes):
        text = [os.urandom(512).hex() for _ in range(1000)]

        def unit(tx, text=text):
            for one in text:
                alarms.start(tx, kind="a", subject=one[:40], text=one, now=clock())

        store.write(unit)


def rows_in(file: Path) -> int:
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT count(*) FROM alarm").fetchone()[0])


def test_a_backup_under_load_holds_up_no_writer_and_ends(store: Store, tmp_path: Path, clock: StandingClock):
    """Others commit all the while, from another process as from this one, and the copy is one moment's."""
    filled(store, 40, clock)
    stop, waits = threading.Event(), [0.0]
    other = Store(store.url)

    def write(mine: Store, name: str) -> None:
        number = 0
        while not stop.is_set():
            began, number = time.perf_counter(), number + 1

            def unit(tx, subject=f"{name} {number}"):
                alarms.start(tx, kind="b", subject=subject, text="x", now=clock())

            mine.write(unit)
            waits.append(time.perf_counter() - began)

    writers = [threading.Thread(target=write, args=(s, str(n))) for n, s in enumerate((store, other))]
    for one in writers:
        one.start()
    began, before = time.perf_counter(), rows_in(tmp_path / "store.db")
    backup.write(store, tmp_path / "copy.db", clock())
    took, during = time.perf_counter() - began, len(waits)
    stop.set()
    for one in writers:
        one.join()
    assert took < 20
    assert during > 20  # the writers have gone on
    assert max(waits) < 5
    assert before <= rows_in(tmp_path / "copy.db") <= rows_in(tmp_path / "store.db")
    other.close()
    store.close()


def test_a_backup_says_of_which_moment_it_is_and_is_its_owners_alone(
    store: Store, tmp_path: Path, clock: StandingClock
):
    os.umask(0)
    backup.write(store, tmp_path / "copy.db", clock())
    assert stat.S_IMODE((tmp_path / "copy.db").stat().st_mode) == 0o600
    taken_at = clock()
    clock.forward(hours=3)
    place, of = backup.restore(f"sqlite:///{tmp_path}/again.db", tmp_path / "copy.db", clock())
    assert (place, of) == (tmp_path / "again.db", taken_at)
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    again = Store(f"sqlite:///{place}")
    with again.read() as tx:
        assert restored.pending(tx) == restored.Restored(at=clock(), of=taken_at)
    again.close()
    store.close()
    assert sorted(one.name for one in tmp_path.iterdir()) == [
        "again.db", "again.db.turn", "copy.db", "store.db", "store.db.turn",
    ]  # fmt: skip


def test_a_copy_that_says_nothing_is_of_the_last_moment_that_something_happened(
    tmp_path: Path, clock: StandingClock
):
    play = stage(f"sqlite:///{tmp_path}/store.db", clock)
    play.receive(play.message(NoticeKind.ADMITTED))
    happened = clock()
    play.close()
    shutil.copyfile(tmp_path / "store.db", tmp_path / "copy.db")
    clock.forward(hours=5)
    _, of = backup.restore(f"sqlite:///{tmp_path}/again.db", tmp_path / "copy.db", clock())
    assert of == happened


def test_the_backup_of_a_restored_store_is_of_its_own_moment(
    store: Store, tmp_path: Path, clock: StandingClock
):
    backup.write(store, tmp_path / "one.db", clock())
    store.close()
    backup.restore(f"sqlite:///{tmp_path}/again.db", tmp_path / "one.db", clock())
    again = Store(f"sqlite:///{tmp_path}/again.db")
    again.write(lambda tx: restored.settle(tx, restored.pending(tx)))  # it has been started
    later = clock.forward(days=1)
    backup.write(again, tmp_path / "two.db", later)
    again.close()
    _, of = backup.restore(f"sqlite:///{tmp_path}/third.db", tmp_path / "two.db", clock())
    assert of == later


def test_a_plain_copy_of_a_restored_store_is_of_the_last_moment_that_something_happened(
    tmp_path: Path, clock: StandingClock
):
    """Not of the moment of the backup that was restored once, however long ago."""
    (tmp_path / "empty.db").write_bytes(empty_store())
    first = Store(f"sqlite:///{tmp_path}/empty.db")
    backup.write(first, tmp_path / "one.db", clock())
    first.close()
    backup.restore(f"sqlite:///{tmp_path}/store.db", tmp_path / "one.db", clock())
    happened = clock.forward(days=100)
    play = stage(f"sqlite:///{tmp_path}/store.db", clock)
    play.write(lambda tx: restored.settle(tx, restored.pending(tx)))
    play.receive(play.message(NoticeKind.ADMITTED))
    play.close()
    shutil.copyfile(tmp_path / "store.db", tmp_path / "copy.db")
    _, of = backup.restore(f"sqlite:///{tmp_path}/again.db", tmp_path / "copy.db", clock.forward(hours=5))
    assert of == happened


def test_what_had_not_followed_yet_from_an_earlier_restore_follows_from_the_next(
    store: Store, tmp_path: Path, clock: StandingClock
):
    first = clock()
    backup.write(store, tmp_path / "one.db", first)
    store.close()
    backup.restore(f"sqlite:///{tmp_path}/again.db", tmp_path / "one.db", clock.forward(days=1))
    again = Store(f"sqlite:///{tmp_path}/again.db")
    backup.write(again, tmp_path / "two.db", clock.forward(hours=1))  # before it was started
    again.close()
    _, of = backup.restore(f"sqlite:///{tmp_path}/third.db", tmp_path / "two.db", clock.forward(hours=1))
    assert of == first
    third = Store(f"sqlite:///{tmp_path}/third.db")
    with third.read() as tx:
        assert restored.pending(tx) == restored.Restored(at=clock(), of=first)
    third.close()


def spoilt(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.seek(file.stat().st_size // 2 // 4096 * 4096)
        opened.write(b"\xff" * 8192)


def newer(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")


def somebody_elses(file: Path) -> None:
    file.unlink()
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE patients (name)")


@pytest.mark.parametrize(
    ("harm", "said"),
    [(spoilt, "damaged|not a store"), (newer, "newer than this program"), (somebody_elses, "not a store")],
)
def test_what_is_no_sound_backup_of_ours_is_not_put_back(
    store: Store, tmp_path: Path, clock: StandingClock, harm: Callable[[Path], None], said: str
):
    filled(store, 1, clock)
    backup.write(store, tmp_path / "copy.db", clock())
    store.close()
    harm(tmp_path / "copy.db")
    with pytest.raises(StoreError, match=said):
        backup.restore(f"sqlite:///{tmp_path}/again.db", tmp_path / "copy.db", clock())
    assert not list(tmp_path.glob("again.db*"))


def test_a_damaged_store_gives_no_backup(store: Store, tmp_path: Path, clock: StandingClock):
    filled(store, 1, clock)
    store.close()
    spoilt(tmp_path / "store.db")
    again = Store(store.url)
    with pytest.raises((StoreError, sqlite3.DatabaseError)):
        backup.write(again, tmp_path / "copy.db", clock())
    again.close()
    assert not list(tmp_path.glob("copy.db*"))


@pytest.mark.parametrize("left", ["store.db-wal", "store.db-shm"])
def test_the_log_of_another_store_is_never_read_into_a_restored_one(
    store: Store, tmp_path: Path, clock: StandingClock, left: str
):
    backup.write(store, tmp_path / "copy.db", clock())
    store.close()
    (tmp_path / "store.db").unlink()
    (tmp_path / left).write_bytes(b"of the store that was lost")
    with pytest.raises(ConfigurationError, match=f"{left} exists; stop the adapter and move it away"):
        backup.restore(store.url, tmp_path / "copy.db", clock())


def test_a_store_with_its_log_beside_it_is_no_backup(store: Store, tmp_path: Path, clock: StandingClock):
    filled(store, 1, clock)
    with pytest.raises(ConfigurationError, match="no backup; use `backup` to copy it"):
        backup.restore(f"sqlite:///{tmp_path}/again.db", tmp_path / "store.db", clock())
    store.close()


def test_a_disk_too_small_for_the_copy_is_not_filled_up(
    store: Store, tmp_path: Path, clock: StandingClock, monkeypatch: pytest.MonkeyPatch
):
    class Usage:
        free = backup.SPARE

    monkeypatch.setattr(backup.shutil, "disk_usage", lambda _: Usage)
    with pytest.raises(StoreError, match=r"may need \d+ MB, and 68 MB are free there; make room"):
        backup.write(store, tmp_path / "copy.db", clock())
    store.close()
    assert not list(tmp_path.glob("copy.db*"))


def test_a_disk_that_fills_up_leaves_no_half_file_and_says_so(
    store: Store, tmp_path: Path, clock: StandingClock
):
    """The system lets the file grow to a megabyte and no further."""
    filled(store, 3, clock)
    store.close()
    (tmp_path / "adapter.toml").write_text(f'store = "{store.url}"\n')
    done = subprocess.run(
        [sys.executable, "-m", "adapter.cli", "backup", "copy.db"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20)),
        capture_output=True,
        timeout=60,
    )
    said = done.stderr.decode()
    assert done.returncode == 1
    assert said.startswith("discharge-adapter: copy.db: ")
    assert "nothing has been replaced" in said
    assert "Traceback" not in said
    assert not list(tmp_path.glob("copy.db*"))


def test_a_store_put_back_by_other_means_can_be_told_so(store_url: str, clock: StandingClock):
    one = Store(store_url)
    migrate(one)
    told = restored.Restored(at=clock(), of=clock() - timedelta(hours=1))
    one.write(lambda tx: restored.mark(tx, told))
    with one.read() as tx:
        assert restored.pending(tx) == told
    assert one.write(lambda tx: restored.settle(tx, told))
    assert not one.write(lambda tx: restored.settle(tx, told))  # another process has done it
    with one.read() as tx:
        assert (restored.pending(tx), restored.last(tx)) == (None, told)
    one.close()
