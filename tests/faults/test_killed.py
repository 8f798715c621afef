"""Killed with SIGKILL at instants that load seldom meets: upgrade, backup, pruning, files half written.

Each is a real process that dies by itself at the very instant; then the same is done again, as after a
restart, and the store, the files and the messages are as if nothing had been. Sending, recording and
answering are in `tests/acceptance/test_kill.py`.
"""

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from adapter.discharge.notices import NoticeKind
from adapter.runtime import now
from adapter.store import Store, tables
from adapter.store.migrations import current, newest, upgrade
from tests.faults.dying import place, run
from tests.stage import FNR, SYNNOVE, Stage, answering, stage

At = tuple[str, str, int]


def dies(folder: Path, at: At, work: str, *words: object) -> None:
    """Do some work in a process that dies at that instant."""
    assert run(folder, at, work, *words) == -9, "it was not killed"


def does(folder: Path, work: str, *words: object, ahead: int = 0) -> None:
    """The same work after a restart."""
    assert run(folder, None, work, *words, ahead=ahead) == 0


def sound(folder: Path) -> bool:
    with sqlite3.connect(folder / "store.db") as connection:
        return connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def play_in(folder: Path) -> Stage:
    for name in ("in", "out"):
        (folder / "aardal" / name).mkdir(parents=True, exist_ok=True)
    return stage(f"sqlite:///{folder}/store.db", now, of=place(folder))


def admitted(play: Stage, number: int = 0, to: str = "aardal") -> bytes:
    who = replace(SYNNOVE, identifiers=((FNR, f"{21843012000 + number}"),))
    return play.message(NoticeKind.ADMITTED, receivers=(to,), subject=who)


# --- upgrade and backup -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "at",
    [
        pytest.param(("adapter.store.migrations:upgrade", "before", 1), marks=pytest.mark.soak),
        ("alembic.runtime.migration:HeadMaintainer.update_to_step", "after", 4),
        pytest.param(("adapter.store.migrations:upgrade", "after", 1), marks=pytest.mark.soak),
    ],
    ids=["before the first step", "between two steps", "before the commit"],
)
def test_an_upgrade_that_is_killed_leaves_whole_steps_and_is_done_by_the_next(tmp_path: Path, at: At) -> None:
    store = Store(f"sqlite:///{tmp_path}/store.db")
    with store.engine.execution_options(writes=True).begin() as connection:
        upgrade(connection, "0001")
    store.close()
    dies(tmp_path, at, "migrate")
    store = Store(f"sqlite:///{tmp_path}/store.db")
    assert "0001" <= (current(store) or "") < newest()
    store.close()
    does(tmp_path, "migrate")
    store = Store(f"sqlite:///{tmp_path}/store.db")
    assert current(store) == newest()
    store.close()
    assert sound(tmp_path)


def test_a_first_start_that_is_killed_leaves_nothing_and_is_done_by_the_next(tmp_path: Path) -> None:
    dies(tmp_path, ("adapter.store.migrations:_create", "after", 1), "migrate")
    does(tmp_path, "migrate")
    store = Store(f"sqlite:///{tmp_path}/store.db")
    assert current(store) == newest()
    store.close()


@pytest.mark.parametrize(
    "at",
    [
        pytest.param(("adapter.store.backup:_copy", "before", 1), marks=pytest.mark.soak),
        ("adapter.store.backup:_copy", "after", 1),
    ],
    ids=["before", "copied, not named"],
)
def test_a_backup_that_is_killed_is_no_backup_and_the_next_one_is(tmp_path: Path, at: At) -> None:
    play = play_in(tmp_path)
    play.receive(admitted(play))
    play.close()
    copy = tmp_path / "copy.db"
    dies(tmp_path, at, "backup", copy)
    assert not copy.exists(), "nothing half is under the name of a backup"
    does(tmp_path, "backup", copy)
    beside = {one.suffix for one in tmp_path.glob("copy.db?*")}
    assert beside <= {".part"}, "what the dead one left is not under the name of a backup"
    with sqlite3.connect(copy) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT count(*) FROM message").fetchone() == (1,)


# --- pruning ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "at",
    [
        ("adapter.store.messages:prune", "after", 1),
        pytest.param(("adapter.store.messages:prune", "before", 2), marks=pytest.mark.soak),
        ("adapter.store:Store.give_back", "before", 1),
    ],
    ids=["before the commit", "between two steps", "before pages are given back"],
)
def test_pruning_that_is_killed_takes_nothing_that_is_needed_and_goes_on(tmp_path: Path, at: At) -> None:
    play = play_in(tmp_path)
    play.post.answer = answering(now)
    for number in range(4):
        play.receive(admitted(play, number, to="vik"))
    while play.deliver():
        pass
    waits = admitted(play, 9, to="aardal")
    play.receive(waits)
    metadata = [dict(row) for row in play.rows(tables.message)]
    play.close()
    dies(tmp_path, at, "prune")
    assert sound(tmp_path)
    does(tmp_path, "prune")
    play = play_in(tmp_path)
    assert [dict(row) for row in play.rows(tables.message)] == metadata
    contents = {row["hash"] for row in play.rows(tables.payload)}
    (waiting,) = play.rows(tables.delivery, state="waiting")
    assert waiting["payload"] in contents
    assert len(contents) <= 3, "what nobody needs is gone"
    play.close()
    assert sound(tmp_path)


# --- files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "at",
    [
        pytest.param(("adapter.inbox:Inbox.take", "after", 1), marks=pytest.mark.soak),
        ("adapter.inbox:Inbox.accept", "after", 1),
        pytest.param(("adapter.transport.directory:_move_into", "before", 1), marks=pytest.mark.soak),
        ("os:replace", "before", 1),
        pytest.param(("adapter.transport.directory:_move_into", "after", 1), marks=pytest.mark.soak),
    ],
    ids=["before the commit", "stored", "before the move", "in the move", "moved"],
)
def test_a_file_picked_up_by_a_process_that_dies_is_taken_once(tmp_path: Path, at: At) -> None:
    play = play_in(tmp_path)
    content = admitted(play, to="vik")
    (tmp_path / "aardal" / "in" / "one.json").write_bytes(content)
    play.close()
    dies(tmp_path, at, "look")
    does(tmp_path, "look")
    play = play_in(tmp_path)
    assert len(play.rows(tables.message)) == len(play.rows(tables.fact)) == 1
    assert len(play.rows(tables.delivery, party="vik")) == 1
    play.close()
    assert list((tmp_path / "aardal" / "in").iterdir()) == []
    done = [one.read_bytes() for one in (tmp_path / "aardal" / "done").iterdir()]
    assert [one for one in done if one] == [content], "beside it at most an empty file, never half of one"


@pytest.mark.parametrize(
    "at",
    [
        ("os:fsync", "before", 1),
        pytest.param(("pathlib:Path.replace", "before", 1), marks=pytest.mark.soak),
        pytest.param(("pathlib:Path.replace", "after", 1), marks=pytest.mark.soak),
        ("adapter.outbox:Outbox.record", "after", 1),
    ],
    ids=["half written", "written, not named", "named", "not on record"],
)
def test_a_file_delivered_by_a_process_that_dies_is_whole_and_there_once(tmp_path: Path, at: At) -> None:
    play = play_in(tmp_path)
    play.receive(admitted(play))
    play.close()
    dies(tmp_path, at, "deliver")
    whole = [one for one in (tmp_path / "aardal" / "out").iterdir() if one.suffix != ".part"]
    assert len(whole) <= 1
    before = [one.read_bytes() for one in whole]
    does(tmp_path, "deliver", ahead=60)
    after = [one for one in (tmp_path / "aardal" / "out").iterdir() if one.suffix != ".part"]
    assert len(after) == 1, "under the same name each time"
    assert before in ([], [after[0].read_bytes()])
    assert after[0].read_bytes().rstrip().endswith(b"</MsgHead>")
    play = play_in(tmp_path)
    assert play.delivery()["state"] == "sent"
    play.close()
