"""PostgreSQL is stopped, or hangs up on us: what is not stored is not acknowledged, and everything goes on.

The server is real, and so is its going away: stopped and started, a backend terminated in the middle of a
transaction, and the wire cut at a COMMIT, before the server has heard of it or after it was done.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
from sqlalchemy import text
from structlog.testing import capture_logs

from adapter.discharge.notices import NoticeKind
from adapter.errors import StoreError
from adapter.messaging.delivery import Reply
from adapter.messaging.register import Endpoint
from adapter.scheduler.delivering import Deliverer
from adapter.simulator.load import Load, begin_apart, finish
from adapter.store import Store, alarms, deliveries, tables
from adapter.transport import Outgoing
from tests.conftest import StandingClock
from tests.faults.postgres import Wire, own_server, wire_to
from tests.rig import SENDER, TOKEN, Rig, rig
from tests.stage import FNR, SYNNOVE, Stage, answering, stage

# --- stopped and started ----------------------------------------------------------------------------------


@pytest.mark.soak
@pytest.mark.postgres
@pytest.mark.timeout(180)
def test_a_database_that_is_stopped_and_started_costs_no_message_and_no_process(tmp_path: Path) -> None:
    with (
        short_folder() as folder,  # not below pytest's own, which a server's user may not enter
        own_server(folder) as server,
        rig(tmp_path, store=server.url, names=("vik",)) as made,
    ):
        made.start()
        before = sent(made, 0, 20)
        server.stop()
        wait_for(lambda: ready(made) == 503, "/readyz says so")
        assert posted(made, 40) == 503
        assert made.adapter is not None
        time.sleep(5)  # the jobs of the clock meet it several times each
        assert made.adapter.poll() is None
        lines = len([line for line in made.log().splitlines() if '"error"' in line])
        assert lines <= 15, made.log()[-4000:]
        server.start()
        wait_for(lambda: ready(made) == 200, "/readyz says so")
        after = sent(made, 60, 20)
        wait_for(lambda: made.unfinished() == 0, "all has its receipt")
        assert before | after == {str(a["message_id"]) for a in made.arrivals()}
        assert made.number("SELECT count(*) FROM fact WHERE kind = 'accepted'") == 40
        assert "the store can be written again" in made.log() or "works again" in made.log()
        assert made.cli("check", "--journal").returncode == 0


def load_at(made: Rig, first: int, count: int) -> Load:
    return Load(
        url=made.url, token=TOKEN, sender=SENDER, receivers=made.receiver_addresses, first=first,
        at=datetime.now(UTC).replace(microsecond=0), count=count, connections=2,  # noqa: TID251  # its own clock
    )  # fmt: skip


def sent(made: Rig, first: int, count: int) -> set[str]:
    return set(finish(begin_apart(load_at(made, first, count))).acknowledged)


def posted(made: Rig, number: int) -> int:
    """What a partner is answered while the database is away."""
    content = load_at(made, number, 1).moulds().content(number)
    head = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/fhir+json"}
    answer = requests.post(made.url, content, headers=head, timeout=20)
    assert int(answer.headers["Retry-After"]) > 0
    return answer.status_code


def ready(made: Rig) -> int:
    return requests.get(f"http://127.0.0.1:{made.port}/readyz", timeout=20).status_code


def wait_for(true: Callable[[], bool], what: str, seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, f"not in {seconds} s: {what}"
        time.sleep(0.1)


# --- hung up on -------------------------------------------------------------------------------------------


@pytest.fixture
def at_wire(
    postgres_server: str, postgres_template: str, clock: StandingClock
) -> Iterator[tuple[Stage, Wire]]:
    """A play over PostgreSQL behind a wire that may be cut."""
    with (
        database(postgres_server, postgres_template) as url,
        short_folder() as folder,
        wire_to(url, folder) as (wired, wire),
    ):
        play = stage(wired, clock)
        play.post.answer = answering(clock)
        yield play, wire
        play.close()


@contextmanager
def short_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="w-") as folder:  # a socket's path must be short
        yield Path(folder)


@contextmanager
def database(server: str, template: str) -> Iterator[str]:
    from tests.conftest import _database, _sql

    name = f"wired_{time.monotonic_ns()}"
    _sql(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield _database(server, name)
    _sql(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.postgres
def test_a_backend_terminated_in_the_middle_of_a_unit_takes_it_back_and_the_next_one_works(
    at_wire: tuple[Stage, Wire], clock: StandingClock
) -> None:
    play, _ = at_wire

    def cut_short(tx):
        alarms.start(tx, kind="a", subject="half", text="x", now=clock())
        tx.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    with capture_logs() as logs:
        store: Store = play.built.store
        futures = [store.submit(cut_short), store.submit(lambda tx: None)]
        assert isinstance(futures[0].exception(), StoreError)
        error = futures[1].exception()
        assert error is None or isinstance(error, StoreError)
        play.write(lambda tx: alarms.start(tx, kind="a", subject="whole", text="x", now=clock()))
    assert [row["subject"] for row in play.rows(tables.alarm)] == ["whole"]
    assert [line["event"] for line in logs if line["event"].startswith("the store")] == [
        "the store cannot be written; nothing is acknowledged meanwhile",
        "the store can be written again",
    ]


@pytest.mark.postgres
@pytest.mark.parametrize("cut", ["before", "after"])
def test_a_message_whose_commit_was_not_heard_of_is_taken_once_when_it_comes_again(
    at_wire: tuple[Stage, Wire], cut: str
) -> None:
    """Not acknowledged, so its sender keeps it; whether it was stored or not, it counts once."""
    play, wire = at_wire
    content = play.message(NoticeKind.ADMITTED, receivers=("vik",))
    wire.cut = cut
    with pytest.raises(StoreError):
        play.receive(content)
    assert wire.cuts == 1
    again = play.receive(content)
    assert again.outcome == ("accepted" if cut == "before" else "duplicate")
    assert again.acknowledgement is not None
    assert len(play.rows(tables.message)) == len(play.rows(tables.case)) == 1
    assert len(play.rows(tables.delivery, party="vik")) == len(play.rows(tables.fact)) == 1


@pytest.mark.postgres
@pytest.mark.parametrize("cut", ["before", "after"])
def test_what_was_sent_is_recorded_once_although_the_commit_was_not_heard_of(
    at_wire: tuple[Stage, Wire], cut: str
) -> None:
    play, wire = at_wire
    play.receive(play.message(NoticeKind.ADMITTED, receivers=("vik",)))
    wire.counts = b"INSERT INTO attempt"  # the unit that records
    wire.cut = cut
    play.deliver()
    assert wire.cuts == 1
    assert play.delivery()["state"] == "acknowledged"
    play.deliver()  # the receipt, which goes back to the hospital
    assert [endpoint for endpoint, _ in play.post.sent] == ["vik", "laerdal-sjukehus"]
    assert len(play.rows(tables.attempt, delivery_id=play.delivery()["id"])) == 1
    assert len(play.rows(tables.fact, kind="accepted")) == 1


# --- while a lease lasts ----------------------------------------------------------------------------------


@pytest.mark.postgres_in_soak
def test_nothing_more_leaves_until_what_has_left_is_on_record(store_url: str, clock: StandingClock) -> None:
    """A store that fails from the first record on: at most one more is on its way when that is known."""
    play = stage(store_url, clock)
    for number in range(4):
        who = replace(SYNNOVE, identifiers=((FNR, f"2184301266{number}"),))
        play.receive(play.message(NoticeKind.ADMITTED, receivers=("vik",), subject=who))
    answer = answering(clock)

    def slowly(message: Outgoing, endpoint: Endpoint) -> Reply:
        time.sleep(0.1)  # longer than a store takes to say no
        return answer(message, endpoint)

    play.post.answer = slowly
    faults, left, real = [StoreError("full")] * 4, [], play.outbox.record

    def record(*arguments: object, **more: object) -> str:
        left.append(len(play.post.sent))
        if faults:
            raise faults.pop()
        return real(*arguments, **more)  # type: ignore[arg-type]

    object.__setattr__(play.outbox, "record", record)
    one_carrier(worker(play))
    assert max(left[:4]) <= 2
    assert [row["state"] for row in play.rows(tables.delivery, party="vik")] == ["acknowledged"] * 4
    assert len(play.post.sent) == len(play.rows(tables.attempt)) == 4
    play.close()


@pytest.mark.postgres_in_soak
def test_a_lease_that_ends_first_is_said_so_and_the_message_sent_again(
    store_url: str, clock: StandingClock
) -> None:
    play = stage(store_url, clock)
    play.receive(play.message(NoticeKind.ADMITTED, receivers=("vik",)))
    outbox, real = play.outbox, play.outbox.record
    tries: list[datetime] = []

    def record(*_: object, **__: object) -> str:
        tries.append(clock.forward(seconds=25))
        raise StoreError("full")

    object.__setattr__(outbox, "record", record)
    with capture_logs() as logs:
        one_carrier(worker(play))
    assert len(tries) == 3, "as long as the lease of a minute"
    assert [line["event"] for line in logs if line["log_level"] == "error"] == [
        "could not record what was sent; it will be sent again"
    ]
    object.__setattr__(outbox, "record", real)
    play.write(lambda tx: deliveries.free_leases(tx, clock()))
    assert play.deliver() == ["sent"]
    assert len(play.post.sent) == 2
    play.close()


def one_carrier(carrier: Deliverer) -> None:
    carrier._free = lambda: {"vik": 1}  # type: ignore[method-assign]  # so that one carries both
    for future in carrier.round():
        future.result()
    carrier.stop()


def worker(play: Stage) -> Deliverer:
    return Deliverer(store=play.built.store, inbox=play.built.inbox, outbox=play.outbox, clock=play.clock)
