"""The adapter watches its disk, what waits, and its clock; each fault is an alarm once, and ends."""

import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapter.config import Settings
from adapter.discharge.notices import NoticeKind
from adapter.messaging.delivery import Reply
from adapter.scheduler.clockwork import Clockwork
from adapter.scheduler.watching import Backlog, Clocks, Disk
from adapter.store import deliveries, tables, watching
from tests.conftest import StandingClock
from tests.stage import TORBJORN, Stage, failing, stage, taken

pytestmark = pytest.mark.postgres_in_soak

GIB = 1024**3


def on(play: Stage) -> list[tuple[str, str]]:
    return [(a["kind"], a["subject"]) for a in play.rows(tables.alarm, until=None)]


# --- disk ---


def disk(play: Stage, whole: int, free: int) -> bool:
    return Disk(
        store=play.built.store,
        alarms=play.outbox.alarms,
        clock=play.clock,
        folder=Path("/srv/store"),
        machine="sogn1",
        room=lambda _: (whole, free),
        share=0.1,
        least=GIB,
    )()


def test_a_disk_nearly_full_is_one_alarm_until_there_is_room_with_some_slack(
    store_url: str, clock: StandingClock
):
    play = stage(store_url, clock)
    assert not disk(play, 50 * GIB, 20 * GIB)
    assert on(play) == []
    for free in (4.9, 5.1, 4.8, 5.9):  # about the limit it does not come and go
        disk(play, 50 * GIB, int(free * GIB))
    assert on(play) == [("disk", "disk of /srv/store on sogn1")]
    assert "5.9" not in play.rows(tables.alarm)[0]["text"]
    assert "4.8 GiB of 50.0 GiB are free on the disk of" in play.rows(tables.alarm)[0]["text"]
    disk(play, 50 * GIB, 6 * GIB)
    assert on(play) == []
    assert len(play.rows(tables.alarm)) == 1
    play.close()


def test_of_a_small_disk_the_last_gibibyte_is_what_counts(store_url: str, clock: StandingClock):
    play = stage(store_url, clock)
    assert disk(play, 4 * GIB, GIB - 1)
    play.close()


def test_a_disk_that_cannot_be_asked_is_no_alarm_and_no_fault(store_url: str, clock: StandingClock):
    play = stage(store_url, clock)

    def gone(_: Path) -> tuple[int, int]:
        raise FileNotFoundError(2, "No such file or directory")

    watcher = Disk(
        store=play.built.store, alarms=play.outbox.alarms, clock=clock, folder=Path("/x"), machine="sogn1",
        room=gone, share=0.1, least=GIB,
    )  # fmt: skip
    assert watcher() is False
    play.close()


# --- backlog ---


def backlog(play: Stage) -> int:
    longest = timedelta(minutes=30)
    return Backlog(store=play.built.store, outbox=play.outbox, clock=play.clock, longest=longest)()


def test_messages_that_wait_too_long_are_one_alarm_for_each_endpoint(store_url: str, clock: StandingClock):
    play = stage(store_url, clock)
    for receiver in ("sogndal", "sogndal", "luster"):
        play.receive(play.message(NoticeKind.ADMITTED, receivers=(receiver,)))
    clock.forward(minutes=30)
    assert backlog(play) == 0
    clock.forward(seconds=1)
    names = sorted({d["endpoint"] for d in play.rows(tables.delivery)})
    assert [backlog(play), backlog(play)] == [len(names)] * 2
    assert sorted(on(play)) == [("backlog", f"endpoint {name}") for name in names]
    while play.deliver():
        pass
    assert backlog(play) == 0
    assert on(play) == []
    play.close()


def test_what_is_tried_in_vain_waits_since_it_was_made(store_url: str, clock: StandingClock):
    play = stage(store_url, clock)
    play.post.answer = failing(503)
    play.receive(play.message(NoticeKind.ADMITTED))
    for _ in range(10):
        play.deliver()
        clock.forward(minutes=5)
    assert backlog(play) == 1
    play.close()


def test_what_was_parked_waits_since_it_may_go(store_url: str, clock: StandingClock):
    play = stage(store_url, clock)
    play.receive(play.message(NoticeKind.ADMITTED))
    play.write(lambda tx: deliveries.change(tx, 1, next_attempt_at=None))
    clock.forward(days=2)
    assert backlog(play) == 0
    play.write(lambda tx: deliveries.change(tx, 1, next_attempt_at=clock()))
    assert backlog(play) == 0
    play.close()


def test_an_endpoint_that_somebody_paused_is_said_to_be(store_url: str, clock: StandingClock):
    play = stage(store_url, clock)
    play.receive(play.message(NoticeKind.ADMITTED))
    name = play.delivery()["endpoint"]
    play.write(lambda tx: deliveries.pause(tx, name, clock(), "Marta"))
    clock.forward(hours=1)
    backlog(play)
    assert "it is paused; resume it" in play.rows(tables.alarm)[0]["text"]
    play.close()


# --- clock ---


@dataclass
class Steady:
    """Seconds that only go on."""

    at: float = 100.0

    def __call__(self) -> float:
        return self.at


def clocks(play: Stage, steady: Steady, **more: object) -> Clocks:
    return Clocks(
        store=play.built.store,
        outbox=play.outbox,
        clock=play.clock,
        steady=steady,
        machine="sogn1",
        most=timedelta(seconds=5),
        **more,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(("by", "words"), [(-3600, "3600 s back"), (7, "7 s forward")])
def test_a_clock_that_was_set_is_an_alarm_that_a_person_ends(
    store_url: str, clock: StandingClock, by: int, words: str
):
    play, steady, anew = stage(store_url, clock), Steady(), list[int]()
    watch = clocks(play, steady, after_jump=lambda: anew.append(1))
    for _ in range(5):
        clock.forward(seconds=60)
        steady.at += 60.5  # what a good clock drifts in a minute is far less
        watch.look()
    assert on(play) == []
    clock.forward(seconds=by + 1)
    steady.at += 1
    watch.look()
    assert on(play) == [("clock", "clock of sogn1")]
    assert words in play.rows(tables.alarm)[0]["text"]
    assert anew == [1]
    clock.forward(hours=1)
    steady.at += 3600
    watch.look()
    assert anew == [1]
    play.write(lambda tx: play.outbox.alarms.close(tx, 1, clock(), by="Marta", why="NTP was off"))
    assert on(play) == []
    play.close()


def test_a_process_held_up_between_reading_two_clocks_sees_no_jump(store_url: str, clock: StandingClock):
    play = stage(store_url, clock)
    watch = clocks(play, steady := Steady())

    def held_up() -> datetime:
        steady.at += 20
        return clock.forward(seconds=20)

    watch._clock = held_up
    assert watch.look() == 0
    watch._clock = clock
    assert watch.look() == 0
    assert on(play) == []
    play.close()


def test_after_a_jump_back_nothing_waits_for_ever(store_url: str, clock: StandingClock):
    play = stage(store_url, clock)
    right = clock.at
    clock.forward(days=365)  # wrong for an hour
    play.post.answer = failing(503)
    play.receive(play.message(NoticeKind.ADMITTED))
    play.deliver()
    play.receive(play.message(NoticeKind.ADMITTED, subject=TORBJORN))
    (held,) = play.claim()  # by a process that dies
    clock.at = right
    assert (play.deliver(), play.claim()) == ([], [])
    watch = clocks(play, Steady())
    assert watch.bring_back() == (1, 1)
    assert watch.bring_back() == (0, 0)
    play.post.answer = taken()
    assert play.deliver() == ["sent", "sent"]
    late = Reply(status=202, taken=True)
    play.write(lambda tx: play.outbox.record(tx, held, late, clock()))  # it was not dead after all
    assert {d["state"] for d in play.rows(tables.delivery)} == {"sent"}
    play.close()


def test_an_endpoint_that_rests_by_a_wrong_clock_is_tried_again_by_the_right_one(
    store_url: str, clock: StandingClock
):
    play = stage(store_url, clock, settings=Settings.model_validate({"retry": {"rest_after": 1}}))
    right = clock.at
    clock.forward(days=365)
    play.post.answer = failing(503)
    play.receive(play.message(NoticeKind.ADMITTED))
    play.deliver()
    clock.at = right
    watch = clocks(play, Steady())
    assert watch.bring_back() == (1, 0)
    play.post.answer = taken()
    assert play.deliver() == ["sent"]
    play.close()


def test_what_the_schedule_itself_has_put_far_ahead_stays_there(store_url: str, clock: StandingClock):
    never_rests = Settings.model_validate({"retry": {"rest_after": 1000}})
    play = stage(store_url, clock, settings=never_rests)
    play.post.answer = failing(503)
    play.receive(play.message(NoticeKind.ADMITTED))
    for _ in range(12):
        play.deliver()
        row = play.delivery()
        assert clocks(play, Steady()).bring_back() == (0, 0)
        clock.at = row["next_attempt_at"]
    assert row["attempts"] >= 8
    play.claim()
    assert clocks(play, Steady()).bring_back() == (0, 0)
    play.close()


def test_a_clock_apart_from_the_databases_is_an_alarm_until_it_is_not(store_url: str, clock: StandingClock):
    play = stage(store_url, clock)
    watch = clocks(play, Steady())
    with play.built.store.read() as tx:
        told = watching.database_clock(tx)
    if told is None:  # an embedded store has no other clock
        assert watch.compare() is None
        play.close()
        return
    clock.at = datetime.fromtimestamp(told, UTC)
    assert abs(watch.compare() or 9) < 5
    assert on(play) == []
    clock.forward(seconds=-60)
    watch.compare()
    assert on(play) == [("clock", "clocks of sogn1 and the database")]
    assert "s behind the database server's" in play.rows(tables.alarm)[0]["text"]
    clock.at = datetime.fromtimestamp(told, UTC)
    watch.compare()
    assert on(play) == []
    play.close()


def test_ticks_whose_next_time_lies_far_ahead_begin_anew():
    """What a clock set back by a day does to the scheduler: its next tick is a day away."""
    ran = threading.Event()
    work = Clockwork({"deliver": (timedelta(days=1), ran.set)})
    work.start()
    assert not ran.wait(0.2)
    work.begin_anew(datetime.now(UTC))  # noqa: TID251  # the scheduler's own clock
    assert ran.wait(5)
    work.stop()


def test_a_look_that_fails_is_made_again(store_url: str, clock: StandingClock):
    play, steady = stage(store_url, clock), Steady()
    watch = clocks(play, steady)
    clock.forward(seconds=-100)
    steady.at += 1
    good = play.built.store.write

    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    object.__setattr__(play.built.store, "write", full)
    with pytest.raises(OSError, match="No space"):
        watch.look()
    object.__setattr__(play.built.store, "write", good)
    watch.look()
    assert on(play) == [("clock", "clock of sogn1")]
    play.close()
