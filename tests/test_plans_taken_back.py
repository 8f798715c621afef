"""A plan's message that its sender cancels takes its version back, for all who read it at /fhir."""

from collections.abc import Iterator
from typing import Any

import pytest

from adapter.discharge.notices import NoticeKind, Plan, Standing
from adapter.fhir.bundles import Bundle
from adapter.fhir.searching import read_query
from adapter.fhir.wire import to_json
from adapter.readers import Reader
from adapter.store.resources import Eyes
from tests.conftest import OSLO, StandingClock
from tests.plans import GOAL, PLAN, TASK, plan_message
from tests.stage import Stage, stage

K = NoticeKind
FIRST, SECOND = "Gå til postkassen", "Gå til butikken"


@pytest.fixture
def play(store_url: str, clock: StandingClock) -> Iterator[Stage]:
    made = stage(store_url, clock)
    yield made
    made.close()


def written(play: Stage, **more: Any) -> Bundle:
    play.clock.forward(minutes=1)  # type: ignore[attr-defined]  # it stands still by itself
    return plan_message(play.built.register, at=play.clock(), **more)


def taken(play: Stage, message: Bundle) -> str:
    done = play.receive(to_json(message))
    assert done.outcome == "accepted", done.reason
    return str(message["entry"][0]["resource"]["id"])


def cancelled(play: Stage, message_id: str) -> Bundle:
    return written(play, standing=Standing.CANCELLATION, refers_to=message_id)


def seen(play: Stage, kind: str, party: str = "luster") -> list[dict[str, Any]]:
    assert play.built.shelves.catch_up(60)
    reader = Reader(shelves=play.built.shelves, eyes=Eyes(parties=(party,)), partner=None)
    with play.built.store.read() as tx:
        return list(reader.search(tx, read_query(kind, [], zone=OSLO)).matches)


def goal(play: Stage) -> str:
    (found,) = seen(play, "Goal")
    return str(found["description"]["text"])


def standing(play: Stage, party: str = "luster") -> tuple[str, str]:
    (plan,) = seen(play, "CarePlan", party)
    assert plan["id"] == PLAN
    return plan["meta"]["versionId"], plan["status"]


def test_the_version_before_stands_again(play: Stage) -> None:
    taken(play, written(play, goal=FIRST))
    second = taken(play, written(play, goal=SECOND))
    assert (standing(play), goal(play)) == (("2", "active"), SECOND)
    taken(play, cancelled(play, second))
    for party in ("laerdal-sjukehus", "luster"):
        assert standing(play, party) == ("3", "active")
    assert goal(play) == FIRST
    assert [one["status"] for one in seen(play, "Task")] == ["requested"]


def test_what_only_cancelled_messages_told_is_entered_in_error(play: Stage) -> None:
    taken(play, cancelled(play, taken(play, written(play))))
    assert standing(play) == ("2", "entered-in-error")
    assert [one["lifecycleStatus"] for one in seen(play, "Goal")] == ["entered-in-error"]
    assert [one["status"] for one in seen(play, "Task")] == ["entered-in-error"]
    query = read_query("CarePlan", [("status", "active")], zone=OSLO)
    reader = Reader(shelves=play.built.shelves, eyes=Eyes(parties=("luster",)), partner=None)
    with play.built.store.read() as tx:
        assert reader.search(tx, query).matches == ()
        assert [one["status"] for one, _ in reader.history(tx, "CarePlan", PLAN, 9)] == [
            "entered-in-error",
            "active",
        ]


def test_a_cancellation_brings_no_plan_of_its_own(play: Stage) -> None:
    """A sender may write as little as it likes: which message it takes back is what counts."""
    first = taken(play, written(play))
    bare = play.message(
        K.CARE_PLAN, receivers=("luster",), standing=Standing.CANCELLATION, refers_to=first,
        plan=Plan(id="urn:plans|1", kind=None, status="active"), encounter="LS-1",
    )  # fmt: skip
    assert play.receive(bare).outcome == "accepted"
    assert standing(play) == ("2", "entered-in-error")


def test_of_a_plan_that_has_gone_on_nothing_is_taken_back(play: Stage) -> None:
    first = taken(play, written(play, goal=FIRST))
    second = taken(play, written(play, goal=SECOND))
    taken(play, written(play, goal=SECOND))
    taken(play, cancelled(play, second))
    taken(play, cancelled(play, first))
    assert (standing(play), goal(play)) == (("3", "active"), SECOND)


def test_a_cancellation_that_overtakes_its_message_takes_it_back_all_the_same(play: Stage) -> None:
    late = written(play)
    taken(play, cancelled(play, late["entry"][0]["resource"]["id"]))
    assert seen(play, "CarePlan") == []
    taken(play, late)
    assert standing(play) == ("2", "entered-in-error")


def test_a_plan_is_told_anew_after_it_has_been_taken_back(play: Stage) -> None:
    taken(play, cancelled(play, taken(play, written(play, goal=FIRST))))
    assert standing(play) == ("2", "entered-in-error")
    taken(play, written(play, goal=SECOND))
    assert (standing(play), goal(play)) == (("3", "active"), SECOND)
    assert [one["id"] for one in (*seen(play, "Goal"), *seen(play, "Task"))] == [GOAL, TASK]


def test_another_process_reads_the_same(play: Stage) -> None:
    from dataclasses import replace

    taken(play, written(play, goal=FIRST))
    taken(play, cancelled(play, taken(play, written(play, goal=SECOND))))
    here = seen(play, "CarePlan"), seen(play, "Goal")
    play.built = replace(play.built, shelves=replace(play.built.shelves, _bundles={}))
    assert (seen(play, "CarePlan"), seen(play, "Goal")) == here


def test_who_had_left_the_plan_gets_nothing_of_what_stands_again(play: Stage) -> None:
    taken(play, written(play, goal=FIRST, receivers=("luster", "sogndal")))
    taken(play, written(play, goal=SECOND))
    third = taken(play, written(play, goal="Gå til kyrkja"))
    taken(play, cancelled(play, third))
    assert (standing(play), goal(play)) == (("4", "active"), SECOND)
    assert standing(play, "sogndal") == ("1", "active")
    (left,) = seen(play, "Goal", "sogndal")
    assert left["description"]["text"] == FIRST
