"""What machines have signed in with: used once, whichever process is asked; gone when it has expired."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from adapter.store import Store, access, retention
from adapter.store.migrations import migrate

NOW = datetime(2014, 3, 3, 10, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ONE, OTHER = b"1" * 32, b"2" * 32


@pytest.fixture
def stores(store_url: str) -> Iterator[tuple[Store, Store]]:
    """Two processes' view of one store."""
    pair = Store(store_url), Store(store_url)
    migrate(pair[0])
    yield pair
    for store in pair:
        store.close()


def use(store: Store, sha256: bytes, *, until: datetime = NOW + MINUTE, now: datetime = NOW) -> bool:
    return store.write(lambda tx: access.use_assertion(tx, sha256, until=until, now=now))


def test_an_assertion_is_used_once_until_it_expires(stores: tuple[Store, Store]):
    one, other = stores
    assert use(one, ONE)
    assert not use(one, ONE) and not use(other, ONE)
    assert use(other, OTHER)
    assert not use(other, ONE, until=NOW + 3 * MINUTE, now=NOW + MINUTE - timedelta(microseconds=1))
    assert use(other, ONE, until=NOW + 3 * MINUTE, now=NOW + MINUTE)
    assert not use(one, ONE, now=NOW + 2 * MINUTE)


@pytest.mark.parametrize("expired", [False, True])
def test_of_two_processes_that_use_one_at_the_same_moment_one_may(stores: tuple[Store, Store], expired: bool):
    for number in range(20):
        key = bytes([number]) * 32
        if expired:
            assert use(stores[0], key, until=NOW)
        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(lambda store, key=key: use(store, key), stores)) == [False, True]


def forgotten(store: Store, ended: datetime) -> int:
    """How many tokens and assertions retention takes that have ended by then."""
    steps = retention.passing(ended, ended)["access"]
    return sum(store.write(lambda tx, s=s: s.take(tx, s.find(tx)) if s.find(tx) else 0) for s in steps)


def test_a_token_is_found_by_its_hash_until_it_is_pruned(stores: tuple[Store, Store]):
    one, other = stores
    one.write(
        lambda tx: access.give_token(tx, ONE, partner="drift", scope="system/*.rs", expires_at=NOW + MINUTE)
    )
    with other.read() as connection:
        found = access.token(connection, ONE)
        assert access.token(connection, OTHER) is None
    assert found == {
        "sha256": ONE, "partner": "drift", "scope": "system/*.rs", "expires_at": NOW + MINUTE,
    }  # fmt: skip
    assert use(one, OTHER)
    assert forgotten(one, NOW + MINUTE - timedelta(microseconds=1)) == 0
    assert forgotten(one, NOW + MINUTE) == 2
    with other.read() as connection:
        assert access.token(connection, ONE) is None
