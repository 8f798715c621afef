"""Retention leaves what is still read: a plan that is followed, in all its versions, and whose plan it is."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from adapter.config import Retention
from adapter.discharge.notices import NoticeKind
from adapter.fhir.searching import read_query
from adapter.fhir.wire import to_json
from adapter.readers import Reader
from adapter.scheduler.housekeeping import Housekeeping
from adapter.store.resources import Eyes
from tests.conftest import OSLO, StandingClock
from tests.plans import PLAN, plan_message
from tests.stage import Stage, answering, stage

K = NoticeKind


@pytest.fixture
def play(store_url: str, clock: StandingClock) -> Iterator[Stage]:
    made = stage(store_url, clock)
    made.post.answer = answering(clock)
    yield made
    made.close()


def tell(play: Stage, content: bytes) -> None:
    assert play.receive(content).outcome == "accepted"
    while play.deliver():
        pass
    assert play.built.shelves.catch_up(60)


def plan(play: Stage, *, status: str = "active", **more: Any) -> None:
    message = plan_message(play.built.register, at=play.clock(), **more)
    for item in message["entry"]:
        if item["resource"]["resourceType"] == "CarePlan":
            item["resource"]["status"] = status
    tell(play, to_json(message))


def pruned(play: Stage) -> int:
    house = Housekeeping(
        store=play.built.store, outbox=play.outbox, clock=play.clock,
        keep_payloads=timedelta(days=365), keep_attempts=timedelta(days=180),
        keep_seen=timedelta(days=30), keep_accesses=Retention().accesses,
    )  # fmt: skip
    gone = house.prune()["payloads"]
    forgetful = replace(play.built.shelves, _bundles={})  # as another process, which remembers nothing
    play.built = replace(play.built, shelves=forgetful)
    return gone


def found(play: Stage, kind: str) -> list[dict[str, Any]]:
    reader = Reader(shelves=play.built.shelves, eyes=Eyes(parties=("luster",)), partner=None)
    with play.built.store.read() as tx:
        return list(reader.search(tx, read_query(kind, [], zone=OSLO)).matches)


def versions(play: Stage) -> list[str]:
    reader = Reader(shelves=play.built.shelves, eyes=Eyes(parties=("luster",)), partner=None)
    with play.built.store.read() as tx:
        return [one["status"] for one, _ in reader.history(tx, "CarePlan", PLAN, 9)]


@pytest.mark.parametrize("status", ["draft", "active", "on-hold"])
def test_a_plan_that_is_followed_is_kept_with_all_its_versions(
    play: Stage, clock: StandingClock, status: str
) -> None:
    tell(play, play.message(K.ADMITTED, receivers=("luster",), encounter="LS-1"))
    plan(play, status=status, goal="Gå til postkassen")
    clock.forward(days=10)
    plan(play, status=status, goal="Gå til butikken")
    before = {kind: found(play, kind) for kind in ("CarePlan", "Goal", "Task", "CareTeam", "Patient")}
    clock.forward(days=800)
    pruned(play)
    assert versions(play) == [status, status]
    assert {kind: found(play, kind) for kind in before} == before
    assert all(before.values())


@pytest.mark.parametrize("status", ["completed", "revoked", "entered-in-error"])
def test_a_plan_that_has_ended_goes_with_the_other_messages(
    play: Stage, clock: StandingClock, status: str
) -> None:
    plan(play)
    clock.forward(days=10)
    plan(play, status=status)
    clock.forward(days=360)
    pruned(play)
    assert versions(play) == [status, "active"]  # in the older one stands what has not changed since
    clock.forward(days=10)
    assert pruned(play) > 0
    assert versions(play) == []


def test_what_was_told_again_lately_is_read_though_it_stands_in_an_old_message(
    play: Stage, clock: StandingClock
) -> None:
    """A year after the admission the patient is still the same, and is still there to be read."""
    tell(play, play.message(K.ADMITTED, receivers=("luster",), encounter="LS-1"))
    clock.forward(days=300)
    tell(play, play.message(K.PLANNED_DISCHARGE, receivers=("luster",), encounter="LS-1"))
    before = found(play, "Patient")
    clock.forward(days=100)
    pruned(play)
    assert found(play, "Patient") == before != []
    clock.forward(days=300)
    assert pruned(play) > 0
    assert found(play, "Patient") == []
