"""When an endpoint rests, when it is tried again, and how it comes back."""

from datetime import UTC, datetime, timedelta

import pytest

from adapter.messaging.delivery import Reply
from adapter.messaging.resting import Condition, Health, Sign, after_failure, after_life, sign
from adapter.messaging.retry import Schedule

NOW = datetime(2014, 3, 3, 10, 0, tzinfo=UTC)
SCHEDULE = Schedule()
DOWN = Reply(status=503)


def failed(health: Health | None, reply: Reply = DOWN, *, now: datetime = NOW, probe: bool = False) -> Health:
    return after_failure(health, reply, probe=probe, now=now, schedule=SCHEDULE, jitter=0.0)


def lived(health: Health, *, now: datetime = NOW, concurrency: int = 8) -> Health | None:
    return after_life(health, now=now, concurrency=concurrency, schedule=SCHEDULE)


def rested(now: datetime = NOW) -> Health:
    health = None
    for _ in range(SCHEDULE.rest_after):
        health = failed(health, now=now)
    assert health is not None
    return health


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (Reply(status=202, taken=True), Sign.LIVES),
        (Reply(taken=True), Sign.LIVES),  # a file
        (Reply(error="no answer within 10 s"), Sign.FAILS),
        (Reply(status=500), Sign.FAILS),
        (Reply(status=503), Sign.FAILS),
        (Reply(status=408), Sign.FAILS),
        (Reply(status=429), Sign.FAILS),
        (Reply(status=429, retry_after=30), Sign.ASKS_TO_WAIT),
        (Reply(status=503, retry_after=30), Sign.ASKS_TO_WAIT),
        (Reply(status=400), Sign.LIVES),
        (Reply(status=401), Sign.LIVES),
        (Reply(status=302), Sign.LIVES),
        (Reply(error="the adapter itself failed", ours=True), Sign.NOTHING),
    ],
)
def test_what_a_reply_tells_of_the_endpoint(reply: Reply, told: Sign):
    assert sign(reply) is told


def test_it_rests_after_so_many_failures_in_a_row_and_not_before():
    health = None
    for number in range(1, SCHEDULE.rest_after):
        health = failed(health)
        assert (health.failures, health.condition(NOW)) == (number, Condition.FAILING)
    assert failed(health).condition(NOW) is Condition.RESTING


def test_one_success_among_them_is_as_if_nothing_had_been():
    assert lived(failed(failed(None))) is None


def test_the_probes_come_after_ever_longer_waits():
    health, now, waits = rested(), NOW, []
    for _ in range(6):
        assert health.probe_at is not None
        waits.append(health.probe_at - now)
        now = health.probe_at
        health = failed(health, now=now, probe=True)
    assert [wait.total_seconds() for wait in waits] == [15, 30, 60, 120, 300, 300]
    assert health.resting_since == NOW


@pytest.mark.parametrize("jitter", [-1.0, 1.0])
def test_the_waits_between_probes_are_spread_as_those_of_the_schedule(jitter: float):
    health = failed(failed(failed(failed(None))))
    resting = after_failure(health, DOWN, probe=False, now=NOW, schedule=SCHEDULE, jitter=jitter)
    assert resting.probe_at == NOW + timedelta(seconds=15) * (1 + 0.2 * jitter)


def test_what_left_before_the_rest_began_is_no_probe():
    health = rested()
    assert (
        failed(health, Reply(error="no answer"), now=NOW + timedelta(seconds=9)).probe_at == health.probe_at
    )


def test_it_comes_back_with_one_send_at_a_time_then_two_then_four():
    health, windows = lived(rested()), []
    while health is not None:
        windows.append(health.window)
        assert health.condition(NOW) is Condition.RECOVERING
        health = lived(health)
    assert windows == [1, 2, 4, 8]


def test_it_never_has_more_sends_at_a_time_than_the_region_file_allows():
    health = lived(rested(), concurrency=1)
    assert health is not None and health.window == 1
    assert lived(health, concurrency=1) is None


def test_one_failure_on_the_way_back_makes_it_rest_at_once():
    health = lived(rested())
    assert health is not None
    again = failed(lived(health), now=NOW + timedelta(minutes=3))
    assert again.resting_since == NOW + timedelta(minutes=3)
    assert again.probe_at == NOW + timedelta(minutes=3, seconds=15)


@pytest.mark.parametrize(("asked", "waits"), [(0, 1), (90, 90), (86400, 3600)])
def test_a_receiver_that_asks_for_a_while_gets_it_within_bounds_and_is_no_failure(asked: float, waits: float):
    health = failed(None, Reply(status=429, retry_after=asked))
    until = NOW + timedelta(seconds=waits)
    assert (health.probe_at, health.window, health.failures) == (until, 1, 0)
    assert health.condition(NOW) is Condition.ASKED_TO_WAIT
    assert health.condition(until) is Condition.RECOVERING


def test_what_is_taken_while_it_asks_to_wait_left_before_and_does_not_shorten_the_wait():
    health = failed(None, Reply(status=503, retry_after=90))
    assert lived(health) == health
    wider = lived(health, now=NOW + timedelta(seconds=90))
    assert wider is not None and wider.window == 2


def test_a_receiver_that_asks_to_wait_for_an_hour_on_end_rests():
    health, now = None, NOW
    while health is None or health.resting_since is None:
        health = failed(health, Reply(status=503, retry_after=600), now=now)
        now += timedelta(seconds=600)
        assert now - NOW < timedelta(hours=2)
    assert health.resting_since - NOW == timedelta(hours=1)
    assert health.probe_at == health.resting_since + timedelta(seconds=600)


def test_a_probe_that_is_asked_to_wait_puts_the_next_one_off():
    health = failed(rested(), Reply(status=503, retry_after=3600), probe=True)
    assert health.condition(NOW) is Condition.RESTING
    assert health.probe_at == NOW + timedelta(hours=1)
