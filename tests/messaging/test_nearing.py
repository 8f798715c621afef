"""A near deadline shortens the waits, and puts a person at the telephone while there is time."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.messaging.delivery import Reply
from adapter.messaging.nearing import SHORTEST, hurried, telephone_at
from adapter.messaging.retry import RetryAt, Schedule, decide

NOON = datetime(2014, 3, 3, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("wait", "left", "then"),
    [
        (3 * HOUR, 24 * HOUR, 3 * HOUR),  # far away: as the schedule has it
        (3 * HOUR, 8 * HOUR, 2 * HOUR),
        (3 * HOUR, HOUR, timedelta(minutes=15)),
        (3 * HOUR, timedelta(minutes=1), SHORTEST),
        (timedelta(seconds=2), timedelta(minutes=1), timedelta(seconds=2)),  # never longer than the schedule
        (3 * HOUR, timedelta(0), 3 * HOUR),  # over: as the schedule has it
        (3 * HOUR, -HOUR, 3 * HOUR),
    ],
)
def test_a_wait_takes_at_most_a_quarter_of_what_is_left(wait: timedelta, left: timedelta, then: timedelta):
    assert hurried(wait, NOON + left, NOON) == then


def test_without_a_deadline_the_schedule_stands():
    assert hurried(3 * HOUR, None, NOON) == 3 * HOUR


@given(
    wait=st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(days=2)),
    left=st.timedeltas(min_value=timedelta(seconds=-60), max_value=timedelta(days=5)),
)
def test_no_wait_jumps_over_the_deadline_but_by_the_shortest_one(wait: timedelta, left: timedelta):
    found = hurried(wait, NOON + left, NOON)
    assert found <= wait
    assert found >= min(wait, SHORTEST)
    if left > timedelta(0):
        assert found <= max(left / 4, SHORTEST)


def test_an_outage_of_a_day_is_tried_more_often_as_the_deadline_comes_near():
    due, now, tries = NOON + 24 * HOUR, NOON, []
    while now < due + 12 * HOUR:
        found = decide(
            Reply(status=503),
            attempts=len(tries) + 1,
            created_at=NOON,
            now=now,
            schedule=Schedule(),
            jitter=0.0,
            due_at=due,
        )
        assert isinstance(found, RetryAt)
        tries.append(found.at - now)
        now = found.at
    last = [wait for wait in tries if wait == SHORTEST]
    assert len(last) >= 4  # within the last two minutes
    assert tries[-1] == 3 * HOUR  # and then as usual
    assert len(tries) < 60


def test_what_the_receiver_asks_for_is_not_cut_short():
    reply = Reply(status=429, retry_after=1800)
    found = decide(
        reply,
        attempts=1,
        created_at=NOON,
        now=NOON,
        schedule=Schedule(),
        jitter=0.0,
        due_at=NOON + timedelta(minutes=8),
    )
    assert isinstance(found, RetryAt)
    assert found.at == NOON + timedelta(minutes=30)


@pytest.mark.parametrize(
    ("left", "then"),
    [(24 * HOUR, 20 * HOUR), (4 * HOUR, 2 * HOUR), (2 * HOUR, HOUR), (-HOUR, timedelta(0))],
)
def test_a_person_has_the_time_that_people_need_or_half_of_what_there_is(left: timedelta, then: timedelta):
    assert telephone_at(NOON, NOON + left, 4 * HOUR) == NOON + then
