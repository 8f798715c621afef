"""What the store keeps of the address register's answers, for whom, and for how long."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from adapter.store import Store, address_register
from adapter.store.migrations import migrate
from tests.conftest import StandingClock
from tests.stage import Stage, stage
from tests.store.test_keeping import housekeeping

NOW = datetime(2014, 3, 3, 10, 0, tzinfo=UTC)
HERE, THERE = "https://register.example/v1/AR", "https://test.register.example/v1/AR"


@pytest.fixture
def stores(store_url: str) -> Iterator[tuple[Store, Store]]:
    """Two processes' view of one store."""
    pair = Store(store_url), Store(store_url)
    migrate(pair[0])
    yield pair
    for store in pair:
        store.close()


def keep(store: Store, document: str | None, at: datetime = NOW, register: str = HERE) -> None:
    store.write(lambda tx: address_register.keep(tx, register, "8143510", fetched_at=at, document=document))


def kept(store: Store, register: str = HERE) -> tuple[datetime, str | None] | None:
    with store.read() as connection:
        return address_register.answer(connection, register, "8143510")


def test_the_answer_put_last_is_the_one_that_every_process_sees(stores: tuple[Store, Store]) -> None:
    one, other = stores
    assert kept(one) is None
    keep(one, '{"name": "Lærdal"}')
    assert kept(other) == (NOW, '{"name": "Lærdal"}')
    keep(other, None, NOW - timedelta(hours=1))  # of a clock that was set right
    assert kept(one) == (NOW - timedelta(hours=1), None)


def test_each_register_has_its_own_answers(stores: tuple[Store, Store]) -> None:
    one, _ = stores
    keep(one, "{}")
    assert kept(one, THERE) is None
    keep(one, None, register=THERE)
    assert (kept(one), kept(one, THERE)) == ((NOW, "{}"), (NOW, None))


@pytest.fixture
def play(store_url: str, clock: StandingClock) -> Iterator[Stage]:
    made = stage(store_url, clock)
    yield made
    made.close()


def test_an_answer_that_nobody_has_confirmed_for_a_month_is_forgotten(
    play: Stage, clock: StandingClock
) -> None:
    keep(play.built.store, "{}", clock())
    clock.forward(days=30)
    assert housekeeping(play).prune()["seen"] == 0
    clock.forward(seconds=1)
    assert housekeeping(play).prune()["seen"] == 1
    assert kept(play.built.store) is None
