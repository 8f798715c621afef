"""The clock of the law: recompute, fire once, tell our own side's staff, starve nobody."""

import threading
import uuid
from collections.abc import Iterator
from datetime import timedelta

import pytest

from adapter.discharge.notices import NoticeKind
from adapter.errors import NotFound
from adapter.scheduler.clockwork import Clockwork
from adapter.scheduler.deadlines import Deadlines
from adapter.store import cases as case_rows
from adapter.store import overview, tables
from tests.conftest import StandingClock
from tests.stage import TORBJORN, Stage, answering, stage

ADMITTED, NEEDS, READY = NoticeKind.ADMITTED, NoticeKind.CARE_NEEDS, NoticeKind.READY_FOR_DISCHARGE


@pytest.fixture
def play(store_url: str, clock: StandingClock) -> Iterator[Stage]:
    made = stage(store_url, clock)
    yield made
    made.close()


def law(play: Stage) -> Deadlines:
    built = play.built
    return Deadlines(
        store=built.store, cases=built.cases, outbox=play.outbox, register=built.register, clock=play.clock
    )


def open_alarms(play: Stage) -> list[str]:
    return [a["kind"] for a in play.rows(tables.alarm, until=None)]


def test_nothing_happens_before_its_time(play: Stage, clock: StandingClock):
    play.receive(play.message(ADMITTED))
    assert law(play)() == 0
    clock.forward(hours=11, minutes=59)
    assert law(play)() == 0


def test_a_reminder_then_one_alarm_then_silence(play: Stage, clock: StandingClock):
    play.receive(play.message(ADMITTED))
    clock.forward(hours=12)
    assert (law(play)(), open_alarms(play)) == (1, ["deadline-near"])
    assert (law(play)(), open_alarms(play)) == (0, ["deadline-near"])
    clock.forward(hours=12, seconds=1)
    assert (law(play)(), open_alarms(play)) == (2, ["deadline-missed"])
    clock.forward(days=3)
    assert law(play)() == 0
    assert [h["what"] for h in play.rows(tables.history)] == ["reminded", "missed"]
    (row,) = play.rows(tables.deadline, kind="early-notice")
    assert (row["state"], row["next_at"]) == ("missed", None)


def test_all_of_the_second_in_which_it_is_due_is_in_time_and_nothing_is_looked_at(
    play: Stage, clock: StandingClock
):
    play.receive(play.message(ADMITTED))
    clock.forward(hours=12)
    law(play)()
    clock.forward(hours=12)
    assert (law(play)(), open_alarms(play)) == (0, ["deadline-near"])
    clock.forward(milliseconds=999)
    assert (law(play)(), open_alarms(play)) == (0, ["deadline-near"])
    clock.forward(milliseconds=1)
    assert (law(play)(), law(play)(), open_alarms(play)) == (2, 0, ["deadline-missed"])


def test_an_alarm_names_parties_and_tells_the_hospitals_time(play: Stage, clock: StandingClock):
    play.receive(play.message(ADMITTED))
    clock.forward(hours=25)
    law(play)()
    assert play.rows(tables.alarm)[0]["text"] == (
        "early notice by Lærdal sjukehus for Sogndal kommune was due 2014-03-04 10:00 "
        "(Europe/Oslo; forskrift 2011-11-18 nr 1115 § 8)"
    )


def test_a_missed_deadline_that_somebody_has_dealt_with_is_quiet_for_good(play: Stage, clock: StandingClock):
    play.receive(play.message(ADMITTED))
    clock.forward(hours=25)
    law(play)()
    play.write(lambda tx: play.outbox.alarms.close(tx, 1, clock(), by="Marta", why="told by telephone"))
    clock.forward(days=2)
    play.receive(play.message(READY))
    law(play)()
    assert "deadline-missed" not in [
        a["kind"] for a in play.rows(tables.alarm, until=None) if a["subject"] == "deadline 1"
    ]
    (row,) = play.rows(tables.deadline, id=1)
    assert row["state"] == "missed"
    with play.built.store.read() as connection:
        overdue = case_rows.all_deadlines(connection, overdue=True, now=clock())
        every = case_rows.all_deadlines(connection, overdue=False, now=clock())
    assert (1 in [d["id"] for d in overdue], 1 in [d["id"] for d in every]) == (False, True)
    assert ("recorded by hand: told by telephone", "Marta") in [
        (h["what"], h["by"]) for h in play.rows(tables.history, case_id=1)
    ]


def test_what_ends_by_itself_is_not_ended_by_hand(play: Stage, clock: StandingClock):
    play.write(
        lambda tx: play.outbox.alarms.start(tx, kind="mailbox", subject="mailbox a", text="gone", now=clock())
    )
    with pytest.raises(NotFound, match="ends by itself"):
        play.write(lambda tx: play.outbox.alarms.close(tx, 1, clock(), by="Marta", why="no idea"))
    assert open_alarms(play) == ["mailbox"]


def test_a_deadline_met_late_ends_its_alarm(play: Stage, clock: StandingClock):
    play.receive(play.message(ADMITTED))
    clock.forward(hours=25)
    law(play)()
    assert open_alarms(play) == ["deadline-missed"]
    play.receive(play.message(NEEDS))
    play.post.answer = answering(clock)
    play.deliver()
    play.deliver()
    assert law(play)() == 1
    assert open_alarms(play) == []
    assert [d["state"] for d in play.rows(tables.deadline, kind="early-notice")] == ["met-late"]
    assert law(play)() == 0


def test_what_is_only_shown_reminds_and_alarms_nobody(play: Stage, clock: StandingClock):
    """The report of admission mostly goes by ways that we do not see; its time is told, not shouted."""
    play.receive(play.message(ADMITTED))
    play.receive(play.message(NEEDS))
    play.post.answer = answering(clock)
    play.deliver()
    play.deliver()
    clock.forward(hours=25)
    law(play)()
    (row,) = play.rows(tables.deadline, kind="report-of-admission")
    assert (row["state"], row["next_at"], open_alarms(play)) == ("missed", None, [])
    with play.built.store.read() as connection:
        assert overview.deadlines_behind(connection, clock(), 10) == ([], 0)


def test_a_deadline_met_in_time_never_fires(play: Stage, clock: StandingClock):
    play.receive(play.message(ADMITTED))
    play.receive(play.message(NEEDS))
    play.post.answer = answering(clock)
    play.deliver()
    play.deliver()
    clock.forward(days=2)
    assert (law(play)(), play.rows(tables.alarm)) == (1, [])


@pytest.mark.parametrize("dealt_with", [False, True])
def test_a_missed_deadline_that_the_facts_take_back_is_open_again(
    play: Stage, clock: StandingClock, dealt_with: bool
):
    first = "7f6c2a86-0b52-4a8e-9d34-8f1f5b0f2a11"
    play.receive(play.message(ADMITTED, at=clock() - timedelta(hours=25), message_id=first))
    law(play)()
    assert open_alarms(play) == ["deadline-missed"]
    if dealt_with:
        play.write(lambda tx: play.outbox.alarms.close(tx, 1, clock(), by="Marta", why="told"))
    from adapter.discharge.notices import Standing

    play.receive(
        play.message(
            ADMITTED, standing=Standing.CORRECTION, refers_to=first, occurred=clock() - timedelta(hours=1)
        )
    )
    law(play)()
    open_now = play.rows(tables.deadline, state="open", kind="early-notice")
    assert open_alarms(play) == []
    assert [d["next_at"] > clock() for d in open_now] == [True]
    clock.forward(hours=24)
    law(play)()
    assert open_alarms(play) == ["deadline-missed"]
    missed = play.rows(tables.deadline, state="missed", kind="early-notice")
    assert [d["noted_at"] for d in missed] == [None]


@pytest.mark.parametrize(("side", "expected"), [("ours", ["deadline-near"]), ("theirs", [])])
def test_only_staff_of_ours_is_reminded(store_url: str, clock: StandingClock, side: str, expected: list[str]):
    play = stage(store_url, clock, sogndal=side)
    play.receive(play.message(READY))
    play.post.answer = answering(clock)
    play.deliver()
    (row,) = play.rows(tables.deadline, kind="answer")
    assert row["party"] == "sogndal"
    clock.forward(minutes=61)
    assert law(play)() == 1
    assert open_alarms(play) == expected
    clock.forward(hours=2)
    law(play)()
    assert open_alarms(play) == ["deadline-missed"]  # our own side must know, whoever had to act
    play.close()


def test_a_reminder_never_leaves_for_the_partner(play: Stage, clock: StandingClock):
    play.receive(play.message(ADMITTED))
    play.deliver()
    clock.forward(hours=30)
    law(play)()
    assert [d["kind"] for d in play.rows(tables.delivery)] == ["admitted"]


def test_a_bad_row_is_put_off_and_starves_nobody(play: Stage, clock: StandingClock):
    play.receive(play.message(ADMITTED))
    play.receive(play.message(ADMITTED, subject=TORBJORN))
    good = play.rows(tables.fact)[0]["body"]
    play.write(
        lambda tx: tx.execute(tables.fact.update().where(tables.fact.c.id == 1).values(body="not a fact"))
    )
    clock.forward(hours=25)
    assert law(play)() == 4
    assert sorted(open_alarms(play)) == ["deadline-missed", "deadline-unknown", "deadline-unknown"]
    assert law(play)() == 0
    play.write(lambda tx: tx.execute(tables.fact.update().where(tables.fact.c.id == 1).values(body=good)))
    clock.forward(hours=1)
    assert law(play)() == 2
    assert open_alarms(play) == ["deadline-missed", "deadline-missed"]


def test_what_waits_for_a_person_s_word_is_looked_at_once_an_hour_and_starves_nobody(
    play: Stage, clock: StandingClock
):
    """Its time is up, and it stays open while nobody has classified the answer: not due at every tick."""
    ready = str(uuid.uuid4())
    play.post.answer = answering(clock)
    for kind, message_id in ((ADMITTED, None), (NEEDS, None), (READY, ready)):
        play.receive(play.message(kind, message_id=message_id))
        play.deliver()
        clock.forward(hours=1)
    note = play.message(
        NoticeKind.NOTE,
        sender="sogndal",
        receivers=("laerdal-sjukehus",),
        refers_to=ready,
        text="Me får sjå",
    )
    play.receive(note)
    clock.forward(days=2)
    law(play)()
    (row,) = play.rows(tables.deadline, kind="payment-start")
    assert (row["state"], row["next_at"]) == ("open", clock() + timedelta(hours=1))
    assert law(play)() == 0
    clock.forward(minutes=30)
    play.receive(play.message(NEEDS))  # changes the case, and not what it waits for
    (again,) = play.rows(tables.deadline, kind="payment-start")
    assert again["next_at"] == row["next_at"]
    clock.forward(minutes=30)
    assert (law(play)(), law(play)()) == (1, 0)


def test_two_clocks_fire_a_deadline_once(play: Stage, clock: StandingClock):
    play.receive(play.message(ADMITTED))
    clock.forward(hours=25)
    with play.built.store.read() as connection:
        due = case_rows.due(connection, clock(), 10)
    one, other = law(play), law(play)
    for fires in (one, other):
        play.write(lambda tx, fires=fires: fires._fire(tx, due[0]["case_id"], due[:1], clock()))
    assert [h["what"] for h in play.rows(tables.history)] == ["missed"]
    assert len(play.rows(tables.alarm)) == 1


def test_compare_and_set_leaves_what_somebody_else_has_changed(play: Stage, clock: StandingClock):
    play.receive(play.message(ADMITTED))
    assert not play.write(lambda tx: case_rows.change_deadline(tx, 1, "missed", fired_at=clock()))
    assert play.write(lambda tx: case_rows.change_deadline(tx, 1, "open", reminded_at=clock()))


def test_a_job_that_fails_runs_again_and_stops_nobody():
    ran = {"bad": 0, "good": 0}
    enough = threading.Event()

    def bad() -> None:
        ran["bad"] += 1
        raise ValueError("always")

    def good() -> None:
        ran["good"] += 1
        if min(ran.values()) >= 2:
            enough.set()

    every = timedelta(milliseconds=20)
    clockwork = Clockwork({"bad": (every, bad), "good": (every, good)})
    clockwork.start()
    assert enough.wait(5)
    clockwork.stop()
    clockwork.stop()
