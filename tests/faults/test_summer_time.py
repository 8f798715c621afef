"""The nights in which the clock on the wall is changed: an hour that is there twice, and one that is not.

A term in hours counts hours, a term in days ends with its day on the wall, whatever length that day has.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from adapter.config import Region
from adapter.discharge.notices import NoticeKind
from adapter.scheduler.clockwork import Clockwork
from adapter.scheduler.deadlines import Deadlines
from adapter.store import tables
from tests.conftest import StandingClock
from tests.stage import Stage, answering, failing, region, stage

pytestmark = pytest.mark.postgres_in_soak

ADMITTED, READY = NoticeKind.ADMITTED, NoticeKind.READY_FOR_DISCHARGE
ZONES = {"norway": ZoneInfo("Europe/Oslo"), "sweden": ZoneInfo("Europe/Stockholm")}
AUTUMN, SPRING = date(2026, 10, 25), date(2027, 3, 28)
HOURS = {AUTUMN: 25, SPRING: 23}


def under(agreement: str) -> Region:
    return region().model_copy(update={"agreement": agreement, "own": region().own.__class__()})


@pytest.fixture
def clock() -> StandingClock:
    """As the machine's own: in UTC."""
    return StandingClock(at=datetime(2026, 10, 24, 9, 0, tzinfo=UTC))


@pytest.fixture
def at(store_url: str, clock: StandingClock) -> Iterator[Callable[[str, datetime], Stage]]:
    made: list[Stage] = []

    def start(agreement: str, begins: datetime) -> Stage:
        clock.at = begins.astimezone(UTC)
        made.append(stage(store_url, clock, of=under(agreement)))
        return made[-1]

    yield start
    for play in made:
        play.close()


def law(play: Stage) -> Deadlines:
    built = play.built
    return Deadlines(
        store=built.store, cases=built.cases, outbox=play.outbox, register=built.register, clock=play.clock
    )


def through(play: Stage, clock: StandingClock, end: datetime) -> None:
    """The clock of the law, looking at each instant at which it must and a second after it."""
    while True:
        soon = [row["next_at"] for row in play.rows(tables.deadline) if row["next_at"] is not None]
        if not soon or min(soon) > end:
            return
        clock.at = max(clock.at, min(soon))
        law(play)()
        clock.forward(seconds=1)
        law(play)()


@pytest.mark.parametrize("night", [AUTUMN, SPRING], ids=["the hour twice", "the hour that is not"])
@pytest.mark.parametrize("agreement", ZONES)
def test_every_deadline_over_the_night_fires_once_and_in_its_second(
    at, clock: StandingClock, agreement: str, night: date
) -> None:
    """Admitted and ready on the eve; in the small hours people come, and everything falls due by itself."""
    zone = ZONES[agreement]
    eve = datetime(night.year, night.month, night.day, 1, 30, tzinfo=zone) - timedelta(days=1)
    play = at(agreement, eve)
    play.receive(play.message(ADMITTED))
    clock.forward(hours=1)
    play.receive(play.message(READY, sip_needed=True))
    through(play, clock, clock.at + timedelta(days=6))
    told = [row for row in play.rows(tables.deadline) if row["fired_at"] is not None]
    assert told
    for row in told:
        assert row["state"] == "missed"
        assert timedelta(0) < row["fired_at"] - row["due_at"] <= timedelta(seconds=1)
    notes = [row["subject"] for row in play.rows(tables.history) if row["what"] == "missed"]
    assert sorted(notes) == sorted(f"deadline {row['id']} {row['kind']}" for row in told)
    assert len(play.rows(tables.alarm, kind="deadline-missed")) == len(told)


@pytest.mark.parametrize("night", [AUTUMN, SPRING], ids=["the hour twice", "the hour that is not"])
def test_a_term_of_24_hours_is_24_hours_and_not_the_same_time_on_the_wall(
    at, clock: StandingClock, night: date
) -> None:
    """Forskrift 2011-11-18 nr 1115 § 8: within 24 hours after admission."""
    admitted = datetime(night.year, night.month, night.day, 1, 30, tzinfo=ZONES["norway"])
    play = at("norway", admitted)
    play.receive(play.message(ADMITTED))
    (row,) = play.rows(tables.deadline, kind="early-notice")
    assert row["due_at"] - admitted.astimezone(UTC) == timedelta(hours=24)
    on_the_wall = row["due_at"].astimezone(ZONES["norway"])
    assert on_the_wall.hour == (0 if night == AUTUMN else 2)


@pytest.mark.parametrize("fold", [0, 1], ids=["the first 02:30", "the second 02:30"])
def test_the_hour_that_is_there_twice_is_two_hours(at, clock: StandingClock, fold: int) -> None:
    admitted = datetime(2026, 10, 25, 2, 30, tzinfo=ZONES["norway"], fold=fold)
    play = at("norway", admitted)
    play.receive(play.message(ADMITTED))
    (row,) = play.rows(tables.deadline, kind="early-notice")
    assert row["due_at"] == datetime(2026, 10, 26, 0 + fold, 30, tzinfo=UTC)


def test_retries_over_the_night_keep_their_waits(at, clock: StandingClock) -> None:
    """The schedule's waits are waits: none comes twice in the hour that does, none is skipped."""
    play = at("norway", datetime(2026, 10, 25, 2, 50, tzinfo=ZONES["norway"]))
    play.post.answer = failing(503)
    play.receive(play.message(NoticeKind.DISCHARGED, receivers=("vik",)))
    for _ in range(6):
        clock.at = max(clock.at, play.delivery()["next_attempt_at"])
        assert play.deliver() == ["retry"]
    tries = [row["at"] for row in play.rows(tables.attempt)]
    waits = [later - earlier for earlier, later in pairwise(tries)]
    assert waits == list(play.outbox.schedule.delays[:5])
    assert tries[0] < datetime(2026, 10, 25, 1, tzinfo=UTC) < tries[-1]  # 03:00, which is 02:00 again
    play.post.answer = answering(clock)
    clock.forward(hours=3)
    assert play.deliver() == ["sent"]


@pytest.mark.parametrize("night", [AUTUMN, SPRING], ids=["the hour twice", "the hour that is not"])
def test_a_job_of_each_day_and_each_hour_runs_as_often_as_there_are_days_and_hours(night: date) -> None:
    """The ticks count seconds in UTC and know no wall."""
    works = Clockwork({"daily": (timedelta(days=1), list), "hourly": (timedelta(hours=1), list)})
    midnight = datetime(night.year, night.month, night.day, tzinfo=ZONES["norway"]).astimezone(UTC)
    end = midnight + timedelta(hours=HOURS[night])
    for job in works._scheduler.get_jobs():
        job.trigger.start_date = midnight - timedelta(days=2)
        when = job.trigger.get_next_fire_time(None, job.trigger.start_date)
        fires = []
        while when is not None and when < end:
            fires.append(when.astimezone(UTC))
            when = job.trigger.get_next_fire_time(when, when)
        every = timedelta(hours=1) if job.id == "hourly" else timedelta(days=1)
        assert {later - earlier for earlier, later in pairwise(fires)} <= {every}
        runs = sum(one >= midnight for one in fires)
        assert runs == HOURS[night] if job.id == "hourly" else runs <= 2
