"""What a claim costs beside a receiver that holds up thousands: counted in work, not in time."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from sqlalchemy import Connection, insert, text

from adapter.store import Store, deliveries, statements, tables
from adapter.store.migrations import migrate

NOW = datetime(2014, 3, 3, 10, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
UNTIL = NOW + timedelta(minutes=1)
CONTENT = sha256(b"hei").digest()
LANES, DEEP = 300, 10  # of `sogndal`: the first of each lane backs off, the others are due, and held


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    made = Store(store_url)
    migrate(made)
    made.write(lambda tx: tx.execute(insert(tables.payload).values(hash=CONTENT, content=b"hei")))
    yield made
    made.close()


def delivery(number: int, lane: int, endpoint: str, due: datetime, attempts: int = 0) -> dict[str, Any]:
    return {
        "lane": f"{lane}:{endpoint}", "kind": "admitted", "party": endpoint, "endpoint": endpoint,
        "dialect": "fhir", "message_id": f"{endpoint}-{number}", "payload": CONTENT, "content_type": "x",
        "state": "waiting", "created_at": NOW, "attempts": attempts, "next_attempt_at": due,
    }  # fmt: skip


def heads_back_off(tx: Connection) -> None:
    rows = [delivery(n, n, "sogndal", LATER, attempts=1) for n in range(LANES)]
    due = (NOW + timedelta(microseconds=n) for n in range(LANES, LANES * DEEP))
    rows += [delivery(n, n % LANES, "sogndal", at) for n, at in enumerate(due, start=LANES)]
    tx.execute(insert(tables.delivery), rows)


def some_for_vik(tx: Connection) -> None:
    tx.execute(insert(tables.delivery), [delivery(n, n, "vik", NOW) for n in range(20)])


def claim(store: Store, endpoint: str, passed: dict[str, deliveries.Place] | None = None) -> list[int]:
    now = NOW + timedelta(seconds=1)
    taken = store.write(
        lambda tx: deliveries.claim(tx, endpoint, most=64, now=now, lease_until=UNTIL, passed=passed)
    )
    return [one.id for one in taken]


def steps(store: Store, endpoint: str) -> int:
    """What SQLite does for a claim, in hundreds of its instructions."""
    counted = 0

    def count() -> int:
        nonlocal counted
        counted += 1
        return 0

    def unit(tx: Connection) -> None:
        driver: Any = tx.connection.dbapi_connection
        driver.set_progress_handler(count, 100)
        try:
            deliveries.claim(tx, endpoint, most=64, now=NOW + timedelta(seconds=1), lease_until=UNTIL)
            deliveries.with_something_due(tx, NOW)
        finally:
            driver.set_progress_handler(None, 0)

    store.write(unit)
    return counted


def visited(plan: dict[str, Any]) -> float:
    """The rows that PostgreSQL has read for a plan."""
    here = 0.0
    if "Scan" in plan["Node Type"]:
        removed = plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Index Recheck", 0)
        here = (plan["Actual Rows"] + removed) * plan["Actual Loops"]
    return here + sum(visited(part) for part in plan.get("Plans", ()))


def rows_read(store: Store, endpoint: str) -> float:
    """Of a claim's choice on PostgreSQL."""
    with store.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("ANALYZE delivery"))
    now = NOW + timedelta(seconds=1)

    def unit(tx: Connection) -> float:
        end = deliveries.place(tx, endpoint, deliveries.BEGINNING, now)
        plan = statements._plan(deliveries.skipping, tx.dialect)
        time, number = end or (now, 2**62)
        values = dict(plan.said) | {
            "endpoint": endpoint, "now": now, "most": 64, "until_time": time, "until_id": number,
            "from_time": deliveries.BEGINNING[0], "from_id": 0,
        }  # fmt: skip
        for name, into in plan.into:
            values[name] = into(values[name])
        driver: Any = tx.connection.dbapi_connection
        cursor = driver.cursor()
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {plan.sql}", values)
        return visited(cursor.fetchone()[0][0]["Plan"])

    return store.write(unit)


def work(store: Store, endpoint: str) -> float:
    return steps(store, endpoint) if store.engine.dialect.name == "sqlite" else rows_read(store, endpoint)


def test_one_receivers_backlog_costs_the_claims_of_another_nothing(store: Store):
    store.write(some_for_vik)
    alone = work(store, "vik")
    store.write(heads_back_off)
    store.write(lambda tx: tx.execute(text("UPDATE delivery SET state = 'waiting' WHERE endpoint = 'vik'")))
    assert work(store, "vik") <= alone * 1.5 + 50


def test_what_lanes_hold_is_looked_at_in_pieces(store: Store):
    store.write(heads_back_off)
    few = work(store, "sogndal")
    store.write(
        lambda tx: tx.execute(
            insert(tables.delivery),
            [
                delivery(n, n % LANES, "sogndal", NOW + timedelta(microseconds=n))
                for n in range(LANES * DEEP, LANES * DEEP * 4)
            ],
        )
    )
    assert work(store, "sogndal") <= few * 1.5


def test_what_is_free_behind_thousands_that_are_held_is_found_piece_by_piece(store: Store):
    store.write(heads_back_off)
    free = delivery(0, LANES + 1, "sogndal", NOW + timedelta(milliseconds=500))
    store.write(lambda tx: tx.execute(insert(tables.delivery).values(free)))
    passed: dict[str, deliveries.Place] = {}
    looks = 0
    while not (found := claim(store, "sogndal", passed)):
        looks += 1
        assert passed and looks <= LANES * DEEP / deliveries.LOOKED_AT
    assert found == [LANES * DEEP + 1]
    assert looks == LANES * (DEEP - 1) // deliveries.LOOKED_AT
    assert claim(store, "sogndal") == []


def test_a_look_that_has_come_to_the_end_begins_at_the_beginning(store: Store):
    store.write(heads_back_off)
    passed: dict[str, deliveries.Place] = {}
    for _ in range(LANES * (DEEP - 1) // deliveries.LOOKED_AT):
        assert claim(store, "sogndal", passed) == [] and passed
    assert claim(store, "sogndal", passed) == []
    assert passed == {}


def test_many_that_are_due_at_the_same_microsecond_are_passed_too(store: Store):
    same = [delivery(n, n % LANES, "sogndal", NOW) for n in range(LANES, LANES * 4)]
    heads = [delivery(n, n, "sogndal", LATER, attempts=1) for n in range(LANES)]
    last = delivery(0, LANES + 1, "sogndal", NOW)
    store.write(lambda tx: tx.execute(insert(tables.delivery), [*heads, *same, last]))
    passed: dict[str, deliveries.Place] = {}
    assert claim(store, "sogndal", passed) == []
    assert claim(store, "sogndal", passed) == [LANES * 4 + 1]


def test_only_endpoints_for_which_something_is_due_are_asked(store: Store):
    rows = [delivery(n, n, name, at) for n, (name, at) in enumerate([("vik", NOW), ("luster", LATER)])]
    sent = delivery(7, 7, "aurland", NOW) | {"state": "sent"}
    store.write(lambda tx: tx.execute(insert(tables.delivery), [*rows, sent]))
    assert store.write(lambda tx: deliveries.with_something_due(tx, NOW)) == {"vik"}
    assert store.write(lambda tx: deliveries.with_something_due(tx, LATER)) == {"vik", "luster"}
