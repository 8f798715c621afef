"""Readmissions in the store: the link both ways, kept true when facts move, and the watch under the clock."""

import random
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import RowMapping

from adapter.discharge.case import Fact
from adapter.discharge.notices import NoticeKind, Standing
from adapter.store import shown, tables
from adapter.store.journal import findings
from tests.conftest import StandingClock
from tests.stage import Stage, stage
from tests.test_cases import Desk, notice

pytestmark = pytest.mark.postgres_in_soak

K = NoticeKind
DAY = timedelta(days=1)


@pytest.fixture
def play(store_url: str, clock: StandingClock) -> Iterator[Stage]:
    made = stage(store_url, clock)
    yield made
    made.close()


def stay(
    play: Stage,
    begins: datetime,
    ends: datetime | None,
    *,
    hospital: str = "laerdal-sjukehus",
    acute: bool | None = True,
) -> list[str]:
    """A stay as its hospital tells it; the message ids."""
    told = [(K.ADMITTED, begins), (K.DISCHARGED, ends)]
    ids = []
    for kind, at in told:
        if at is not None:
            ids.append(str(uuid.uuid4()))
            more = {"acute": acute} if kind is K.ADMITTED else {}
            content = play.message(
                kind, at=at, message_id=ids[-1], sender=hospital, hospital=hospital, **more
            )
            assert play.receive(content).outcome == "accepted"
    return ids


def cases(play: Stage) -> list[RowMapping]:
    return play.rows(tables.case, merged_into=None)


def linked(play: Stage) -> list[tuple[int, int | None, str | None]]:
    return [(row["id"], row["readmission_of"], row["readmission"]) for row in cases(play)]


def watch(play: Stage, case_id: int) -> RowMapping:
    (row,) = play.rows(tables.deadline, case_id=case_id, kind="follow-up-readmission-watch")
    return row


def sound(play: Stage) -> None:
    with play.built.store.read() as connection:
        assert findings(connection, play.built.agreement, play.built.cases.roles) == []


def test_the_later_case_knows_the_earlier_one_and_the_other_way(play: Stage, clock: StandingClock):
    now = clock()
    stay(play, now - 9 * DAY, now - 6 * DAY)
    stay(play, now - DAY, None)
    assert linked(play) == [(1, None, None), (2, 1, "readmission")]
    with play.built.store.read() as connection:
        first, second = (shown.case(connection, dict(row)) for row in cases(play))
    assert (second["readmission_of"], second["readmission"]) == (1, "readmission")
    (later,) = first["readmissions"]
    assert (later["case"], later["readmission"]) == (2, "readmission")
    assert watch(play, 1)["state"] == "void"
    assert "on day 5 after the discharge" in watch(play, 1)["reason"]
    sound(play)


def test_it_is_possible_where_no_message_says_that_it_was_acute(play: Stage, clock: StandingClock):
    now = clock()
    stay(play, now - 9 * DAY, now - 6 * DAY)
    stay(play, now - DAY, None, acute=None)
    assert linked(play) == [(1, None, None), (2, 1, "possible")]


def test_a_planned_stay_is_linked_to_nothing(play: Stage, clock: StandingClock):
    now = clock()
    stay(play, now - 9 * DAY, now - 6 * DAY)
    stay(play, now - DAY, None, acute=False)
    assert linked(play) == [(1, None, None), (2, None, None)]
    assert "no readmission" in watch(play, 1)["reason"]


def test_each_of_three_cases_is_linked_to_the_one_before(play: Stage, clock: StandingClock):
    now = clock()
    stay(play, now - 3 * DAY, None)
    stay(play, now - 20 * DAY, now - 15 * DAY)  # the earlier ones are told last
    stay(play, now - 10 * DAY, now - 5 * DAY)
    assert linked(play) == [(1, 3, "readmission"), (2, None, None), (3, 2, "readmission")]
    sound(play)


@pytest.mark.parametrize("which", ["discharge", "admission"])
def test_a_cancellation_takes_the_link_away(play: Stage, clock: StandingClock, which: str):
    now = clock()
    _, discharge = stay(play, now - 9 * DAY, now - 6 * DAY)
    (admission,) = stay(play, now - DAY, None)
    kind, cancelled = (K.DISCHARGED, discharge) if which == "discharge" else (K.ADMITTED, admission)
    play.receive(play.message(kind, standing=Standing.CANCELLATION, refers_to=cancelled))
    assert [row["readmission_of"] for row in play.rows(tables.case)] == [None, None]
    watches = play.rows(tables.deadline, kind="follow-up-readmission-watch")
    assert [w["state"] for w in watches] == ([] if which == "discharge" else ["open"])
    sound(play)


def test_a_correction_of_the_admission_moves_it_out_of_the_period(play: Stage, clock: StandingClock):
    now = clock()
    stay(play, now - 60 * DAY, now - 40 * DAY)
    (admission,) = stay(play, now - 11 * DAY, None)
    assert linked(play)[1] == (2, 1, "readmission")
    play.receive(
        play.message(
            K.ADMITTED,
            occurred=now - 9 * DAY,
            acute=True,
            standing=Standing.CORRECTION,
            refers_to=admission,
        )
    )
    assert linked(play) == [(1, None, None), (2, None, None)]
    assert watch(play, 1)["state"] == "met"
    sound(play)


def test_the_clock_ends_the_watch_in_silence(play: Stage, clock: StandingClock):
    from tests.scheduler.test_deadlines import law

    discharged = clock()
    stay(play, discharged - 3 * DAY, discharged)
    law(play)()
    alarms = play.rows(tables.alarm, kind="deadline-near")
    clock.forward(days=30, hours=1)  # on the wall: summer time has begun meanwhile
    law(play)()
    assert watch(play, 1)["state"] == "open"
    clock.forward(seconds=1)
    law(play)()
    ended = watch(play, 1)
    assert (ended["state"], ended["next_at"], ended["reminded_at"]) == ("met", None, None)
    about = f"deadline {ended['id']}"
    assert [a for a in play.rows(tables.alarm) if a["subject"] == about] == []
    assert play.rows(tables.alarm, kind="deadline-near") == alarms


def test_no_reminder_leaves_after_a_death_that_only_the_municipality_tells(play: Stage, clock: StandingClock):
    from tests.scheduler.test_deadlines import law

    now = clock()
    stay(play, now - 3 * DAY, now - DAY)
    day = (now + 10 * DAY).date()
    play.receive(play.message(K.DISCHARGE_REPORT, at=now - DAY, follow_up=day))
    (check_up,) = play.rows(tables.deadline, kind="follow-up-check-up")
    assert check_up["state"] == "open"
    clock.forward(days=2)
    died = play.message(
        K.DECEASED, sender="sogndal", receivers=("laerdal-sjukehus",), hospital=None, at=clock()
    )
    assert play.receive(died).outcome == "accepted"
    assert {d["state"] for d in play.rows(tables.deadline)} <= {"met", "met-late", "void"}
    clock.forward(days=40)
    law(play)()
    assert play.rows(tables.alarm, kind="deadline-near", until=None) == []
    assert play.rows(tables.alarm, kind="deadline-missed", until=None) == []


def test_the_journal_finds_a_link_that_the_facts_do_not_give(play: Stage, clock: StandingClock):
    now = clock()
    stay(play, now - 9 * DAY, now - 6 * DAY)
    stay(play, now - DAY, None)
    play.write(lambda tx: tx.execute(tables.case.update().values(readmission_of=None, readmission=None)))
    with play.built.store.read() as connection:
        found = findings(connection, play.built.agreement, play.built.cases.roles)
    assert found == [
        "case 2: it is kept as no readmission, but its facts give a readmission of case 1 (readmission)"
    ]


def test_every_order_of_arrival_gives_the_same_links(play: Stage):
    desk = Desk(play)
    story: list[Fact] = [
        notice(K.ADMITTED, 0, "in-1", encounter="1"),
        notice(K.DISCHARGED, 48, "out-1", encounter="1"),
        notice(K.ADMITTED, 60, "in-2", encounter="2", acute=True),
        notice(K.DISCHARGED, 70, "out-2", encounter="2"),
        notice(K.DISCHARGED, 72, "out-2b", encounter="2", standing=Standing.CORRECTION, refers_to="out-2"),
        notice(K.ADMITTED, 75, "in-3", encounter="3"),
        notice(K.ADMITTED, 76, "in-3b", encounter="3", standing=Standing.CORRECTION, refers_to="in-3",
               occurred=notice(K.ADMITTED, 90, "x").occurred),
    ]  # fmt: skip
    expected = desk.told(story)
    chance = random.Random(31)
    for _ in range(20):
        assert desk.told(chance.sample(story, len(story))) == expected
        told = {row["admitted_at"]: row for row in play.rows(tables.case, patient=f"P{desk.patients}")}
        first, second, third = (told[at] for at in sorted(told))
        assert (second["readmission_of"], second["readmission"]) == (first["id"], "readmission")
        assert (third["readmission_of"], third["readmission"]) == (second["id"], "possible")
