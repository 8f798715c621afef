"""Another program holds the embedded store: who comes waits, or is turned away; nothing is lost or twice.

The other program is a real second connection. How long SQLite waits for it is shortened, but in the soak.
"""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import event
from structlog.testing import capture_logs

from adapter.discharge.notices import NoticeKind
from adapter.errors import StoreError
from adapter.messaging.delivery import Reply
from adapter.messaging.register import Endpoint
from adapter.store import backup, tables
from adapter.transport import Outgoing
from tests.conftest import StandingClock
from tests.faults.test_database_gone import sent, wait_for
from tests.faults.test_full_disk import BEGINS, OVER, posted
from tests.rig import rig
from tests.stage import FNR, SYNNOVE, Stage, answering, stage

WAITS = 0.2  # seconds that SQLite waits for the lock here


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def play(file: Path, clock: StandingClock) -> Iterator[Stage]:
    made = stage(f"sqlite:///{file}", clock)
    made.post.answer = answering(clock)
    engine = made.built.store.engine
    engine.dispose()
    event.listen(
        engine, "connect", lambda driver, _: driver.execute(f"PRAGMA busy_timeout = {WAITS * 1000:.0f}")
    )
    yield made
    made.close()


@contextmanager
def held(file: Path, how: str) -> Iterator[None]:
    """Another program has the store, as a backup tool or a person's shell may."""
    other = sqlite3.connect(file, isolation_level=None)
    other.execute(f"BEGIN {how}")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


def message(play: Stage, number: int = 0) -> bytes:
    who = replace(SYNNOVE, identifiers=((FNR, f"{21843012000 + number}"),))
    return play.message(NoticeKind.ADMITTED, receivers=("vik",), subject=who)


@pytest.mark.parametrize("how", ["IMMEDIATE", "EXCLUSIVE"])
def test_who_comes_while_another_program_holds_it_is_turned_away_and_comes_again(
    play: Stage, file: Path, how: str
) -> None:
    content = message(play)
    with capture_logs() as logs:
        with held(file, how):
            started = time.monotonic()
            with pytest.raises(StoreError, match="locked"):
                play.receive(content)
            assert time.monotonic() - started < 4 * WAITS + 2
            assert play.rows(tables.message) == []  # pages are still shown: readers wait for nobody
            with pytest.raises(StoreError):
                play.built.store.ready()
        play.built.store.ready()
        assert play.receive(content).outcome == "accepted"
    assert len(play.rows(tables.message)) == 1
    assert [line["event"] for line in logs if line["event"] in (BEGINS, OVER)] == [BEGINS, OVER]


def test_who_waits_a_moment_for_it_is_served(play: Stage, file: Path) -> None:
    with held(file, "IMMEDIATE"):
        future = play.built.store.submit(lambda tx: "served")
        time.sleep(WAITS / 2)
    assert future.result(5) == "served"


def test_what_was_sent_meanwhile_is_recorded_afterwards_and_not_sent_again(
    play: Stage, file: Path, clock: StandingClock
) -> None:
    """The lock comes while the receiver thinks, and stays for longer than SQLite waits."""
    play.receive(message(play))
    other = held_from_arrival(file, play)
    assert play.deliver() == ["sent"]
    other.join()
    assert play.delivery()["state"] == "acknowledged"
    assert len(play.post.sent) == len(play.rows(tables.attempt)) == 1


def held_from_arrival(file: Path, play: Stage) -> threading.Thread:
    """Hold the store from the moment at which the message has arrived, in a thread that also lets go."""
    arrived, locked = threading.Event(), threading.Event()
    answer = answering(play.clock)

    def answers(outgoing: Outgoing, endpoint: Endpoint) -> Reply:
        arrived.set()
        assert locked.wait(10)
        return answer(outgoing, endpoint)

    def hold() -> None:
        assert arrived.wait(10)
        with held(file, "EXCLUSIVE"):
            locked.set()
            time.sleep(8 * WAITS)

    play.post.answer = answers
    made = threading.Thread(target=hold)
    made.start()
    return made


def test_a_backup_under_load_turns_nobody_away_and_is_whole(play: Stage, tmp_path: Path) -> None:
    for number in range(20):
        play.receive(message(play, number))
    taken, done = [20], threading.Event()

    def load() -> None:
        while not done.is_set():
            play.receive(message(play, taken[0]))
            taken[0] += 1

    loading = threading.Thread(target=load)
    loading.start()
    copies = []
    for number in range(3):
        before = taken[0]
        backup.write(play.built.store, tmp_path / f"copy-{number}.db", play.clock())
        copies.append((before, taken[0] + 1))
    done.set()
    loading.join()
    assert len(play.rows(tables.message)) == taken[0]
    for number, (least, most) in enumerate(copies):
        copy = sqlite3.connect(tmp_path / f"copy-{number}.db")
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert least <= copy.execute("SELECT count(*) FROM message").fetchone()[0] <= most
        orphans = "SELECT count(*) FROM delivery WHERE message_row NOT IN (SELECT id FROM message)"
        assert copy.execute(orphans).fetchone() == (0,)
        copy.close()


@pytest.mark.soak
@pytest.mark.timeout(180)
def test_a_lock_of_forty_seconds_costs_a_running_adapter_nothing(tmp_path: Path) -> None:
    with rig(tmp_path, names=("vik",)) as made:
        made.start()
        before = sent(made, 0, 10)
        wait_for(lambda: made.unfinished() == 0, "all has its receipt")
        with held(tmp_path / "store.db", "EXCLUSIVE"):
            started = time.monotonic()
            assert posted(made, 100) == 503
            assert time.monotonic() - started < 40
            time.sleep(max(0.0, 40 - (time.monotonic() - started)))
        after = sent(made, 200, 10)
        wait_for(lambda: made.unfinished() == 0, "all has its receipt")
        assert made.adapter is not None
        assert made.adapter.poll() is None
        assert {str(a["message_id"]) for a in made.arrivals()} == before | after
        assert made.number("SELECT count(*) FROM fact WHERE kind = 'accepted'") == 20
