"""Figures against stores so small that they can be counted by hand, on either engine."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from adapter.store import Store, figures
from adapter.store.migrations import migrate
from adapter.store.tables import alarm, deadline, delivery
from tests.conftest import OSLO

NOON = datetime(2014, 3, 3, 12, 0, tzinfo=OSLO)


@pytest.fixture
def store(store_url: str):
    made = Store(store_url)
    migrate(made)
    yield made
    made.close()


def made(at: datetime, **more: Any) -> dict[str, Any]:
    """A delivery row."""
    usual = {
        "lane": "1:sogndal", "kind": "admitted", "party": "sogndal", "endpoint": "sogndal", "dialect": "fhir",
        "message_id": "m", "payload": bytes(32), "content_type": "application/fhir+json",
        "state": "acknowledged", "attempts": 1, "created_at": at, "sent_at": None, "delivered_at": None,
        "accepted_at": None,
    }  # fmt: skip
    return usual | more


def keep(store: Store, table: Any, *rows: dict[str, Any]) -> None:
    store.write(lambda tx: tx.execute(insert(table), list(rows)) and None)


def after(**by: float) -> datetime:
    return NOON + timedelta(**by)


def asked(store: Store, query: Any, *arguments: Any) -> Any:
    with store.read() as tx:
        return query(tx, *arguments)


def test_nothing_is_counted_in_an_empty_store(store):
    since, until = after(days=-30), NOON
    assert asked(store, figures.outcomes, since, until) == []
    assert asked(store, figures.durations, since, until, "delivered_at") == []
    assert asked(store, figures.crossings, since, timedelta(hours=1), 24) == []
    assert asked(store, figures.due, [NOON, after(hours=1)]) == []
    assert asked(store, figures.raised, since, until) == []


def test_a_period_has_what_was_made_from_its_first_instant_to_before_its_last(store):
    moments = (after(microseconds=-1) - timedelta(hours=1), after(hours=-1), after(microseconds=-1), NOON)
    keep(store, delivery, *(made(at) for at in moments))
    (one,) = asked(store, figures.outcomes, after(hours=-1), NOON)
    assert (one.party, one.state, one.again, one.count) == ("sogndal", "acknowledged", False, 2)


def test_equal_durations_are_counted_together_in_tenths_of_a_second(store):
    keep(
        store,
        delivery,
        made(NOON, delivered_at=after(seconds=0.44)),
        made(NOON, delivered_at=after(seconds=0.41), accepted_at=after(hours=2)),
        made(NOON, delivered_at=after(minutes=1)),
        made(NOON, state="waiting"),
    )
    until = after(hours=1)
    assert asked(store, figures.durations, NOON, until, "delivered_at") == [(4, 2), (600, 1)]
    assert asked(store, figures.durations, NOON, until, "accepted_at") == [(72_000, 1)]


def waited(store: Store, first: datetime, step: timedelta, count: int) -> dict[str | None, list[int]]:
    """What waited at each instant, one by one, from what was found."""
    found: dict[str | None, list[int]] = {}
    for one in asked(store, figures.crossings, first, step, count):
        depth = found.setdefault(one.endpoint, [0] * count)
        for place in range(one.entered, count if one.left is None else min(one.left, count)):
            depth[place] += one.count
    return found


def test_a_backlog_is_what_had_been_made_and_not_sent_at_each_instant(store):
    hour = timedelta(hours=1)
    keep(
        store,
        delivery,
        made(after(minutes=10), sent_at=after(minutes=50)),  # between two instants
        made(after(minutes=10), sent_at=after(minutes=110)),  # waits at one o'clock
        made(NOON, sent_at=after(hours=1)),  # waits at noon, and has left at one
        made(after(days=-2), sent_at=after(minutes=1)),  # since the day before yesterday, until noon
        made(after(days=-40), state="waiting", endpoint="vik"),  # parked long ago, and still there
        made(after(minutes=90), state="leased", endpoint="vik"),
        made(after(minutes=5), state="given-up", endpoint="luster"),
        made(after(hours=-1), sent_at=after(minutes=-30)),  # gone before
        made(after(minutes=130), state="waiting", endpoint=None),
    )
    assert waited(store, NOON, hour, 4) == {
        "sogndal": [2, 1, 0, 0],
        "vik": [1, 1, 2, 2],
        None: [0, 0, 0, 1],
    }


def test_deadlines_are_counted_by_the_span_in_which_they_fall_due(store):
    def due(at: datetime, state: str = "open", **more: Any) -> dict[str, Any]:
        told = {
            "kind": "answer",
            "actor": "municipality",
            "remind_at": at,
            "noted_at": None,
            "fired_at": None,
        }
        row = {"case_id": 1, "since": NOON, "due_at": at, "state": state, "basis": "§"}
        return row | told | more

    keep(
        store,
        deadline,
        due(after(minutes=-5)),
        due(after(days=-3), "missed", fired_at=after(days=-3)),
        due(after(days=-3), "missed", fired_at=after(days=-3), noted_at=after(days=-2)),  # dealt with
        due(NOON),
        due(after(minutes=59)),
        due(after(minutes=60), kind="early-notice", actor="hospital"),
        due(after(minutes=70), "met"),
        due(after(minutes=70), remind_at=None),  # of which nobody is reminded
        due(after(hours=2)),  # beyond the last
    )
    found = asked(store, figures.due, [NOON, after(hours=1), after(hours=2)])
    assert {(one.span, one.kind, one.actor): one.count for one in found} == {
        (-1, "answer", "municipality"): 2,
        (0, "answer", "municipality"): 2,
        (1, "early-notice", "hospital"): 1,
    }


def test_alarms_that_are_open_count_whenever_they_were_raised(store):
    def rung(kind: str, since: datetime, until: datetime | None = None) -> dict[str, Any]:
        return {"kind": kind, "subject": f"{kind} {since}", "text": "…", "since": since, "until": until}

    keep(
        store,
        alarm,
        rung("refused", after(days=-90)),
        rung("refused", after(days=-1), NOON),
        rung("refused", after(days=-90), after(days=-89)),
        rung("backlog", after(hours=-2), after(hours=-1)),
    )
    found = asked(store, figures.raised, after(days=-7), NOON)
    assert [(one.kind, one.open, one.over) for one in found] == [("refused", 1, 1), ("backlog", 0, 1)]


def test_an_instant_means_the_same_in_every_zone(store):
    keep(store, delivery, made(NOON.astimezone(UTC)))
    assert len(asked(store, figures.outcomes, NOON, after(seconds=1))) == 1
