"""Several processes over one PostgreSQL: none waits in a circle, no lane has two ways, all hear of work."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Connection, text

from adapter.discharge.notices import NoticeKind
from adapter.errors import Elsewhere
from adapter.incoming import Incoming
from adapter.parcels import Parcel, enqueue
from adapter.store import Store, alarms, cases, deliveries, tables
from adapter.store.chain import chained
from adapter.store.waking import Listener
from tests.conftest import StandingClock
from tests.stage import Stage, receipt, stage

pytestmark = pytest.mark.postgres

SOON = timedelta(minutes=1)


@pytest.fixture
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A migrated PostgreSQL store of its own."""
    from tests.conftest import postgres_store

    with postgres_store(request) as made:
        yield made


@pytest.fixture
def stores(url: str) -> Iterator[tuple[Store, Store]]:
    """Two processes' views of one store."""
    first, second = Store(url), Store(url)
    yield first, second
    first.close()
    second.close()


def parcel(number: str, hold_until: datetime | None = None) -> Parcel:
    return Parcel(
        kind="admitted",
        party="vik",
        endpoint="vik",
        dialect="fhir",
        message_id=number,
        content=number.encode(),
        content_type="application/fhir+json",
        case_id=1,
        hold_until=hold_until,
    )


def two_of_a_lane_of_which_the_later_may_overtake(store: Store, now: datetime) -> None:
    """The first backs off for ten seconds; the second need not wait for it any more."""

    def unit(tx: Connection) -> None:
        enqueue(tx, parcel("m1"), now)
        enqueue(tx, parcel("m2", hold_until=now - SOON), now)
        deliveries.change(tx, 1, attempts=1, next_attempt_at=now + timedelta(seconds=10))

    store.write(unit)


def claimed(tx: Connection, now: datetime) -> list[int]:
    return [one.id for one in deliveries.claim(tx, "vik", most=10, now=now, lease_until=now + SOON)]


# --- lanes ------------------------------------------------------------------------------------------------


def test_two_workers_that_look_at_once_take_one_of_a_lane(
    stores: tuple[Store, Store], clock: StandingClock
) -> None:
    first, second = stores
    two_of_a_lane_of_which_the_later_may_overtake(first, clock())
    ahead = clock() + timedelta(seconds=11)  # of a worker whose clock goes before
    with first.engine.begin() as one, second.engine.begin() as other:
        assert claimed(one, clock()) == [2]
        assert claimed(other, ahead) == [], "the first of the lane leaves while the second is on its way"
    with second.engine.begin() as other:
        assert claimed(other, ahead) == []


def test_what_another_has_taken_between_look_and_lease_is_seen(
    stores: tuple[Store, Store], clock: StandingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = stores
    two_of_a_lane_of_which_the_later_may_overtake(first, clock())
    try_lane, ahead = deliveries._alone_in_lane, clock() + timedelta(seconds=11)

    def after_the_other(tx: Connection, one: deliveries.Row) -> bool:
        monkeypatch.undo()
        with second.engine.begin() as other:
            assert claimed(other, ahead) == [1]
        return try_lane(tx, one)

    monkeypatch.setattr(deliveries, "_alone_in_lane", after_the_other)
    with first.engine.begin() as one:
        assert claimed(one, clock()) == []


def test_a_lane_without_overtaking_takes_no_lock(stores: tuple[Store, Store], clock: StandingClock) -> None:
    def unit(tx: Connection) -> None:
        for number in ("m1", "m2", "m3"):
            enqueue(tx, parcel(number), clock())

    stores[0].write(unit)
    with stores[0].engine.begin() as one:
        assert claimed(one, clock()) == [1]
        locks = one.execute(text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")).scalar_one()
    assert locks == 0


def test_an_alarm_that_two_end_at_once_is_over_once(
    stores: tuple[Store, Store], clock: StandingClock
) -> None:
    first, second = stores
    about = {"kind": "mailbox", "subject": "mailbox vik", "now": clock()}
    assert first.write(lambda tx: alarms.start(tx, text="gone", **about)) == 1
    with ThreadPoolExecutor(1) as pool, first.engine.begin() as one:
        assert alarms.end(one, **about) == 1
        other = pool.submit(second.write, lambda tx: alarms.end(tx, **about))
        waits, until = "SELECT count(*) FROM pg_locks WHERE NOT granted", time.monotonic() + 10
        while time.monotonic() < until:
            with first.engine.begin() as look:
                if look.execute(text(waits)).scalar_one():
                    break
        one.commit()
        assert other.result(10) is None


# --- waiting for each other -------------------------------------------------------------------------------


def folding(patient: str, done: list[str], then: Callable[[], None] = lambda: None):
    def unit(tx: Connection) -> None:
        cases.alone_with(tx, patient)
        done.append(patient)
        then()

    return unit


@contextmanager
def busy(store: Store, patient: str) -> Iterator[None]:
    """Another process that writes about a patient for a while."""
    with store.engine.begin() as other:
        cases.alone_with(other, patient)
        yield


def test_who_shares_a_commit_does_not_wait_in_it_for_another_process(stores: tuple[Store, Store]) -> None:
    """Its neighbours are told of their commit at once, and it comes by itself when the other is ready."""
    store, done = stores[0], list[str]()
    together = threading.Event()
    with busy(stores[1], "B"):
        begun = store.submit(folding("A", done, together.wait))  # until all have come, so that they share
        rest: list[Future[None]] = [store.submit(folding(name, done)) for name in ("C", "B", "D")]
        together.set()
        begun.result(timeout=10)
        rest[0].result(timeout=10)
        rest[2].result(timeout=10)
        assert "B" not in done
    rest[1].result(timeout=10)
    assert sorted(done) == ["A", "B", "C", "D"]


def test_two_processes_that_want_each_others_patients_are_never_thrown_out(
    stores: tuple[Store, Store],
) -> None:
    done: list[str] = []
    went = [
        store.submit(folding(name, done, lambda: time.sleep(0.002)))
        for _ in range(40)
        for store, names in zip(stores, ("AB", "BA"), strict=True)
        for name in names
    ]
    for one in went:
        one.result(timeout=20)
    with stores[0].read() as connection:
        deadlocks = connection.execute(
            text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        ).scalar_one()
    assert (len(done), deadlocks) == (160, 0)


def test_the_first_of_a_commit_may_wait_and_the_next_may_not(stores: tuple[Store, Store]) -> None:
    with busy(stores[1], "A"), stores[0].engine.begin() as tx:
        tx.info["holds"] = True
        with pytest.raises(Elsewhere):
            cases.alone_with(tx, "A")
        tx.info["holds"] = False


def test_the_same_message_at_two_doors_at_once_is_taken_once(url: str, clock: StandingClock) -> None:
    """Neither door knows it when it looks; the second learns from the first one's commit that it is known."""
    here, there = stage(url, clock), stage(url, clock)
    content = here.message(NoticeKind.ADMITTED)
    begun = there.built.store.engine.begin()
    with begun as first, chained(first), ThreadPoolExecutor(1) as second:
        taken = there.built.inbox.take(first, there.built.inbox.read(Incoming(content=content)), clock())
        again = second.submit(here.receive, content)
        until = time.monotonic() + 10
        while not waits_for_another(there) and time.monotonic() < until:
            time.sleep(0.01)
        first.commit()
        assert (taken.outcome, again.result(timeout=10).outcome) == ("accepted", "duplicate")
    assert here.rows(tables.message)[0]["duplicates"] == 1
    assert len(here.rows(tables.delivery)) == 1
    there.close()
    here.close()


# --- hints ------------------------------------------------------------------------------------------------


def heard(listener: Listener, before: int, within: float = 5.0) -> bool:
    until = time.monotonic() + within
    while time.monotonic() < until:
        if listener() != before:
            return True
        time.sleep(0.005)
    return False


def test_what_is_due_is_heard_by_other_processes_with_its_commit(
    stores: tuple[Store, Store], clock: StandingClock
) -> None:
    listener = Listener(stores[1].engine)
    before = listener()
    stores[0].write(lambda tx: enqueue(tx, parcel("m1"), clock()))
    assert heard(listener, before)
    listener.close()


def test_what_is_not_due_or_was_taken_back_wakes_nobody(
    stores: tuple[Store, Store], clock: StandingClock
) -> None:
    listener = Listener(stores[1].engine)
    before = listener()
    stores[0].write(deliveries.paused)
    with pytest.raises(ZeroDivisionError):
        stores[0].write(lambda _: 1 // 0)
    assert not heard(listener, before, within=0.2)
    listener.close()


def test_a_lost_connection_is_a_reason_to_look_and_is_made_anew(
    stores: tuple[Store, Store], clock: StandingClock
) -> None:
    moments = iter(range(1000))
    listener = Listener(stores[1].engine, clock=lambda: float(next(moments)))
    before = listener()
    with stores[0].engine.begin() as tx:
        tx.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'LISTEN discharge_work'"
            )
        )
    assert heard(listener, before)
    before = listener()
    stores[0].write(lambda tx: enqueue(tx, parcel("m1"), clock()))
    assert heard(listener, before)
    listener.close()


# --- a person, and a worker -------------------------------------------------------------------------------


def while_a_worker_takes_it(
    url: str, clock: StandingClock, act: Callable[[Stage], object]
) -> tuple[Stage, Future[object]]:
    """A worker has leased the one delivery and not yet committed when a person acts."""
    here, there = stage(url, clock), stage(url, clock)
    here.receive(here.message(NoticeKind.ADMITTED, receivers=("vik",)))
    with there.built.store.engine.begin() as worker, ThreadPoolExecutor(1) as person:
        assert claimed(worker, clock()) == [1]
        acted = person.submit(act, here)
        until = time.monotonic() + 10
        while not waits_for_another(there) and not acted.done() and time.monotonic() < until:
            time.sleep(0.01)
        worker.commit()
        acted.exception(timeout=10)
    there.close()
    return here, acted


def waits_for_another(play: Stage) -> bool:
    with play.built.store.read() as connection:
        return bool(connection.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted")).scalar_one())


def test_a_resend_sees_that_a_worker_has_just_taken_it(url: str, clock: StandingClock) -> None:
    resend = lambda play: play.write(  # noqa: E731  # said once, where it is used
        lambda tx: play.outbox.resend(tx, 1, clock(), by="Marta")
    )
    play, acted = while_a_worker_takes_it(url, clock, resend)
    assert acted.exception() is None
    row = play.delivery()
    assert (row["state"], row["fence"]) == ("leased", 1), "put back, it would be sent twice at once"
    play.close()


def test_a_receipt_that_comes_while_a_worker_takes_it_settles_it(url: str, clock: StandingClock) -> None:
    def told(play: Stage) -> object:
        said = receipt(
            play.message(NoticeKind.ADMITTED, receivers=("vik",), message_id=play.delivery()["message_id"]),
            at=clock(),
        )
        return play.receive(said)

    play, acted = while_a_worker_takes_it(url, clock, told)
    assert acted.exception() is None
    assert play.delivery()["state"] == "acknowledged"
    play.close()
