"""Who is on duty: one process for each, and another within seconds when it dies."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import insert

from adapter.errors import NotOnDuty
from adapter.scheduler.duties import LASTS, Duties
from adapter.store import Store, duties
from adapter.store.migrations import migrate
from adapter.store.tables import endpoint_pause
from tests.conftest import StandingClock

NAMES = ("clock", "poll vik")


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    made = Store(store_url)
    migrate(made)
    yield made
    made.close()


def process(store: Store, clock: StandingClock, holder: str, *names: str) -> Duties:
    return Duties(store=store, names=set(names or NAMES), holder=holder, clock=clock)


def paused(store: Store) -> list[str]:
    with store.read() as connection:
        return [row.endpoint for row in connection.execute(endpoint_pause.select())]


def pause(name: str, clock: StandingClock):
    return lambda tx: tx.execute(insert(endpoint_pause).values(endpoint=name, since=clock()))


def test_one_process_has_a_duty_and_keeps_it_while_it_asks_in_time(store: Store, clock: StandingClock):
    first, second = process(store, clock, "first"), process(store, clock, "second")
    assert (first(), second()) == (2, 0)
    for _ in range(10):
        clock.forward(seconds=2)
        assert (second(), first()) == (0, 2)
    assert first.on("clock") and not second.on("clock")


def test_what_a_dead_process_held_is_taken_over_within_seconds(store: Store, clock: StandingClock):
    first, second = process(store, clock, "first"), process(store, clock, "second")
    first()
    clock.forward(seconds=LASTS.total_seconds())
    assert second() == 2
    assert second.on("poll vik")
    assert not first.on("poll vik"), "who has not asked again knows that its time is over"
    assert first() == 0


def test_who_has_lost_a_duty_without_knowing_writes_nothing(store: Store, clock: StandingClock):
    first, second = process(store, clock, "first"), process(store, clock, "second")
    first()
    under_first = first.guarded("clock")
    under_first.write(pause("luster", clock))
    clock.forward(seconds=7)
    second()
    with pytest.raises(NotOnDuty, match="clock"):
        under_first.write(pause("vik", clock))
    second.guarded("clock").write(pause("sogndal", clock))
    assert sorted(paused(store)) == ["luster", "sogndal"]


def test_who_slept_and_whom_nobody_replaced_goes_on_under_the_same_fence(store: Store, clock: StandingClock):
    first = process(store, clock, "first")
    first()
    clock.forward(minutes=5)
    first.guarded("clock").write(pause("vik", clock))
    assert paused(store) == ["vik"]
    assert first() == 2
    with store.read() as connection:
        assert {row["fence"] for row in duties.listed(connection)} == {1}


def test_a_process_of_the_same_machine_that_comes_back_gets_its_own_fence(store: Store, clock: StandingClock):
    first, second = process(store, clock, "first"), process(store, clock, "second")
    first()
    clock.forward(seconds=7)
    second()
    clock.forward(seconds=7)
    assert first() == 2
    with pytest.raises(NotOnDuty):
        second.guarded("clock").write(pause("vik", clock))
    first.guarded("clock").write(pause("luster", clock))
    assert paused(store) == ["luster"]


def test_who_stops_in_good_order_leaves_at_once(store: Store, clock: StandingClock):
    first, second = process(store, clock, "first"), process(store, clock, "second")
    first()
    first.leave()
    assert not first.on("clock")
    assert second() == 2


@pytest.mark.parametrize("store_url", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True)
def test_who_asks_in_vain_does_not_wait_for_what_its_holder_has_at_hand(
    store: Store, store_url: str, clock: StandingClock
):
    first = process(store, clock, "first")
    first()
    other = Store(store_url)
    second = process(other, clock, "second")
    with ThreadPoolExecutor(1) as pool, store.engine.begin() as tx:
        assert duties.held(tx, "poll vik", "first", 1)  # as a unit of work that takes its time
        asked = pool.submit(second)
        try:
            assert asked.result(5) == 0
        finally:
            tx.rollback()
    other.close()


def test_a_clock_set_back_keeps_no_duty_for_hours(store: Store, clock: StandingClock):
    first, second = process(store, clock, "first"), process(store, clock, "second")
    first()
    clock.forward(hours=-1)
    assert second() == 2


def test_a_job_is_done_by_whom_it_is_for_only(store: Store, clock: StandingClock):
    first, second = process(store, clock, "first"), process(store, clock, "second")
    done: list[str] = []
    jobs = [p.only("clock", lambda n=p.holder: done.append(n)) for p in (first, second)]
    first()
    second()
    for job in jobs:
        job()
    assert done == ["first"]


def test_duties_may_be_with_different_processes(store: Store, clock: StandingClock):
    first, second = process(store, clock, "first", "clock"), process(store, clock, "second")
    first()
    assert second() == 1
    assert second.on("poll vik") and not second.on("clock")
    assert timedelta(seconds=6) == LASTS
