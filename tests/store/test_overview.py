"""What the pages count, on both engines."""

from datetime import timedelta

import pytest

from adapter.discharge.notices import NoticeKind
from adapter.store import overview
from tests.stage import SYNNOVE, TORBJORN, altered, failing, region, stage, taken


@pytest.fixture
def played(store_url, clock):
    """Sogndal has taken one message, Luster none of two; Vik has not been written to."""
    found = stage(store_url, clock)
    found.post.answer = taken()
    found.receive(found.message(NoticeKind.ADMITTED))
    found.deliver()
    found.post.answer = failing(503)
    for subject in (SYNNOVE, TORBJORN):
        clock.forward(minutes=1)
        found.receive(found.message(NoticeKind.ADMITTED, subject=subject, receivers=("luster",)))
        if subject is SYNNOVE:
            found.deliver()
    yield found
    found.built.store.close()


def look(played, query, *arguments):
    with played.built.store.read() as connection:
        return query(connection, *arguments)


def test_queues_count_what_waits_was_retried_and_awaits_a_receipt(played):
    found = look(played, overview.queues)
    assert set(found) == {"luster", "sogndal"}
    luster, sogndal = found["luster"], found["sogndal"]
    assert (luster.waiting, luster.retried, luster.parked, luster.unreceipted) == (2, 1, 0, 0)
    assert luster.next_at == played.clock() - timedelta(minutes=1) + timedelta(seconds=2)
    assert luster.oldest == played.clock() - timedelta(minutes=1)
    assert (sogndal.waiting, sogndal.unreceipted) == (0, 1)
    assert look(played, overview.unreceipted) == {"sogndal": 1}


def test_what_waits_for_want_of_an_endpoint_is_counted_by_itself(store_url, clock):
    found = stage(store_url, clock, of=altered(region(), "luster", endpoint=None))
    found.receive(found.message(NoticeKind.ADMITTED, receivers=("luster",)))
    luster = look(found, overview.queues)["luster"]
    assert (luster.waiting, luster.parked, luster.homeless) == (1, 1, 1)
    found.close()


def test_a_partys_last_attempt_and_last_delivery_are_found(played):
    tries = look(played, overview.last_tries)
    assert {party: row["outcome"] for party, row in tries.items()} == {"luster": "retry", "sogndal": "sent"}
    assert set(look(played, overview.last_delivered)) == {"sogndal"}


def test_deadlines_are_behind_once_their_instant_has_passed(played, clock):
    assert look(played, overview.deadlines_behind, clock(), 10) == ([], 0)
    ahead = look(played, overview.deadlines_ahead, clock(), 10)
    assert [row["due_at"] for row in ahead] == sorted(row["due_at"] for row in ahead)
    later = clock.forward(hours=30)
    rows, count = look(played, overview.deadlines_behind, later, 1)
    shouted = [row for row in ahead if row["remind_at"] is not None]  # the others are only shown
    assert (len(rows), count) == (1, len(shouted))
    assert look(played, overview.deadlines_ahead, later, 10) == []
    assert look(played, overview.cases_by_state) == {"admitted": 2}
