"""When to try again and when to stop, as one table."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from adapter.messaging.delivery import Reply
from adapter.messaging.retry import GiveUp, RetryAt, Schedule, Sent, decide, delay
from adapter.phrases import phrase

NOW = datetime(2014, 3, 3, 10, 0, tzinfo=UTC)
SCHEDULE = Schedule()


def decided(
    reply: Reply, *, attempts: int = 1, age: timedelta = timedelta(0), jitter: float = 0.0, **more: bool
):
    return decide(
        reply, attempts=attempts, created_at=NOW - age, now=NOW, schedule=SCHEDULE, jitter=jitter, **more
    )


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply(status=200, taken=True, delivered=True), Sent(delivered=True)),
        (Reply(status=202, taken=True, delivered=True), Sent(delivered=True)),
        (Reply(taken=True), Sent(delivered=False)),  # a file written is not delivery
    ],
)
def test_what_is_taken_is_sent(reply: Reply, expected: Sent):
    assert decided(reply) == expected


@pytest.mark.parametrize(
    "status", [300, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 410, 413, 422]
)
def test_permanent_faults_end_it_with_what_to_do(status: int):
    found = decided(Reply(status=status))
    assert isinstance(found, GiveUp)
    assert found.permanent
    assert str(status) in found.reason


@pytest.mark.parametrize("status", [None, 408, 425, 429, 500, 501, 502, 503, 504, 599])
def test_passing_faults_wait(status: int | None):
    found = decided(Reply(status=status, error="connection reset by the receiver"))
    assert found == RetryAt(at=NOW + timedelta(seconds=2), reason="connection reset by the receiver")


def test_a_reason_holds_the_fault_as_a_sentence_of_its_own():
    full = phrase("the disk of the folder {folder}/ is full", folder="out")
    found = decided(Reply(error=full), age=timedelta(hours=73))
    assert found.reason == "still failing after 3 days, 0:00:00: the disk of the folder out/ is full"
    assert found.reason.values["why"] is full


def test_a_409_is_success_only_where_the_receiver_says_duplicate():
    assert decided(Reply(status=409), duplicate=True) == Sent(delivered=True)
    assert isinstance(decided(Reply(status=409)), GiveUp)
    assert isinstance(decided(Reply(status=412), duplicate=True), GiveUp)


@pytest.mark.parametrize(
    ("asked", "waits"),
    [(0.0, 2), (-5.0, 2), (1.5, 2), (90.0, 90), (10_000.0, 3600), (float("inf"), 3600), (float("nan"), 2)],
)
def test_the_receiver_s_wish_is_kept_within_bounds(asked: float, waits: float):
    found = decided(Reply(status=429, retry_after=asked))
    assert isinstance(found, RetryAt)
    assert found.at == NOW + timedelta(seconds=waits)


def test_waits_grow_and_the_last_one_repeats():
    waits = [delay(SCHEDULE, n, 0.0) for n in range(1, 12)]
    assert waits == sorted(waits)
    assert waits[-1] == waits[-4] == timedelta(hours=3)


def test_jitter_spreads_a_wait_to_either_side():
    assert delay(SCHEDULE, 1, 1.0) == timedelta(seconds=2.4)
    assert delay(SCHEDULE, 1, -1.0) == timedelta(seconds=1.6)


def test_it_ends_when_the_next_try_would_come_too_late():
    assert isinstance(decided(Reply(status=503), attempts=9, age=timedelta(hours=69)), RetryAt)
    found = decided(Reply(status=503), attempts=9, age=timedelta(hours=69, seconds=1))
    assert isinstance(found, GiveUp)
    assert not found.permanent
    assert "HTTP 503" in found.reason


def test_a_schedule_is_data():
    quick = replace(SCHEDULE, delays=(timedelta(seconds=1),), give_up_after=timedelta(seconds=5), jitter=0.0)
    found = decide(Reply(), attempts=4, created_at=NOW, now=NOW, schedule=quick, jitter=1.0)
    assert found == RetryAt(at=NOW + timedelta(seconds=1), reason="HTTP None")
