"""What a look for news finds, over both stores, and what it must not miss."""

from collections.abc import Iterator

import pytest
from sqlalchemy import insert, update

from adapter.discharge.notices import NoticeKind
from adapter.store.news import LATE, Change, Newsreader
from adapter.store.tables import alarm, attempt, endpoint_pause
from tests.conftest import StandingClock
from tests.stage import Stage, stage


@pytest.fixture
def play(store_url: str, clock: StandingClock) -> Iterator[Stage]:
    made = stage(store_url, clock)
    yield made
    made.close()


@pytest.fixture
def reader(play: Stage, clock: StandingClock) -> Newsreader:
    made = Newsreader()
    with play.built.store.read() as tx:
        made.begin(tx, clock(), 0.0)
    return made


def look(play: Stage, reader: Newsreader, at: float = 1.0) -> set[Change]:
    with play.built.store.read() as tx:
        return set(reader.read(tx, play.clock(), at))


def test_a_notice_is_news_once_for_those_whose_it_is(play: Stage, reader: Newsreader) -> None:
    play.receive(play.message(NoticeKind.ADMITTED, receivers=("sogndal",)))
    found = look(play, reader)
    theirs = frozenset({"laerdal-sjukehus", "sogndal"})
    assert Change(kind="case", id=1, parties=theirs) in found
    assert Change(kind="delivery", id=1, parties=frozenset({"sogndal"})) in found
    assert look(play, reader, 2.0) == look(play, reader, 100.0) == set()


def test_a_row_that_becomes_visible_after_a_later_one_is_found(play: Stage, reader: Newsreader) -> None:
    """Numbers are given before the commit: on PostgreSQL the first may become visible last."""
    play.receive(play.message(NoticeKind.ADMITTED, receivers=("sogndal",)))
    look(play, reader)
    row = {"delivery_id": 1, "at": play.clock(), "trigger": "schedule", "outcome": "retry", "ms": 1.0}
    play.built.store.write(lambda tx: tx.execute(insert(attempt).values(row | {"id": 12})))
    assert {one.kind for one in look(play, reader, 2.0)} == {"case", "delivery"}
    play.built.store.write(lambda tx: tx.execute(insert(attempt).values(row | {"id": 11})))
    assert {one.kind for one in look(play, reader, 2.0 + LATE / 2)} == {"case", "delivery"}


def test_alarms_begin_are_seen_and_end(play: Stage, reader: Newsreader) -> None:
    now, store = play.clock(), play.built.store
    values = {"kind": "test", "subject": "test", "text": "A test.", "since": now}
    store.write(lambda tx: tx.execute(insert(alarm).values(values)))
    expected = {Change(kind="alarm", id=1)}
    assert look(play, reader) == expected
    store.write(lambda tx: tx.execute(update(alarm).values(seen_at=now, seen_by="Ola")))
    assert look(play, reader, 2.0) == expected
    store.write(lambda tx: tx.execute(update(alarm).values(until=now)))
    assert look(play, reader, 3.0) == expected
    assert look(play, reader, 4.0) == set()


def test_a_pause_is_news_of_the_endpoints(play: Stage, reader: Newsreader) -> None:
    row = {"endpoint": "sogndal", "since": play.clock(), "by": "Ola"}
    play.built.store.write(lambda tx: tx.execute(insert(endpoint_pause).values(row)))
    assert look(play, reader) == {Change(kind="endpoint")}


def test_a_deadline_that_passes_is_news_for_hospital_and_municipality(
    play: Stage, reader: Newsreader, clock: StandingClock
) -> None:
    play.receive(play.message(NoticeKind.ADMITTED, receivers=("sogndal",)))
    look(play, reader)
    clock.forward(days=3)
    told = {party for one in look(play, reader, 2.0) if one.kind == "case" for party in one.parties or ()}
    assert "laerdal-sjukehus" in told and told <= {"laerdal-sjukehus", "sogndal"}
