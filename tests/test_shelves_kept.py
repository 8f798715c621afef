"""What has been put on the shelves reads the same tomorrow, in another process, under the same ids."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from adapter.discharge.notices import NoticeKind, Standing
from adapter.fhir.searching import Query
from adapter.readers import Reader
from adapter.shelves import Shelves
from adapter.store import tables
from adapter.store.resources import Eyes
from tests.conftest import StandingClock
from tests.plans import PLAN, plan_bytes
from tests.stage import TORBJORN, Stage, stage

K = NoticeKind
HOSPITAL = Eyes(parties=("laerdal-sjukehus",))
BOTH = Eyes(parties=("laerdal-sjukehus", "sogndal"))


@pytest.fixture
def play(store_url: str, clock: StandingClock) -> Iterator[Stage]:
    made = stage(store_url, clock)
    yield made
    made.close()


def tell(play: Stage, clock: StandingClock, *contents: bytes) -> None:
    for content in contents:
        done = play.receive(content)
        assert done.outcome == "accepted", done.reason
        play.built.shelves.catch_up()
        clock.forward(minutes=1)


def found(
    play: Stage, shelves: Shelves, kind: str, eyes: Eyes = HOSPITAL, **more: Any
) -> list[dict[str, Any]]:
    reader = Reader(shelves=shelves, eyes=eyes, partner="helse-foerde")
    with play.built.store.read() as tx:
        return list(reader.search(tx, Query(kind=kind, **more)).matches)


@pytest.mark.parametrize("dialect", ["fhir", "plo"])
def test_another_process_reads_the_same(play: Stage, clock: StandingClock, dialect: str) -> None:
    told = play.message if dialect == "fhir" else play.plo
    for kind in (K.ADMITTED, K.READY_FOR_DISCHARGE):
        tell(play, clock, told(kind, encounter="LS-1"))
    if dialect == "fhir":
        tell(
            play, clock, plan_bytes(play.built.register, at=clock(), receivers=("sogndal",), asked="sogndal")
        )
    shelves = play.built.shelves
    another = replace(shelves, _bundles={})
    for kind in ("Patient", "Encounter", "Task", "CarePlan", "Goal"):
        here = found(play, shelves, kind)
        assert found(play, another, kind) == here
        assert here or (dialect == "plo" and kind in ("CarePlan", "Goal"))


def test_several_shelves_are_one_list_in_order_of_time(play: Stage, clock: StandingClock) -> None:
    """A partner of two parties finds what lies on both shelves once, page by page."""
    tell(
        play, clock,
        play.message(K.ADMITTED, encounter="LS-1"),
        play.message(K.ADMITTED, encounter="LS-2", subject=TORBJORN, receivers=("luster",)),
    )  # fmt: skip
    for ascending in (True, False):
        whole = found(play, play.built.shelves, "Encounter", BOTH, ascending=ascending)
        times = [one["meta"]["lastUpdated"] for one in whole]
        assert times == sorted(times, reverse=not ascending)
        assert len({one["id"] for one in whole}) == len(whole) == 2
        reader = Reader(shelves=play.built.shelves, eyes=BOTH, partner="helse-foerde")
        pages, after = [], None
        while len(pages) < 3:
            with play.built.store.read() as tx:
                page = reader.search(tx, Query(kind="Encounter", ascending=ascending, count=1, after=after))
            pages += page.matches
            after = page.after
            if after is None:
                break
        assert pages == whole


def united(play: Stage, clock: StandingClock) -> str:
    """Two stays of one patient, until the discharge between them is cancelled; the patient."""
    wrong = "6f0c1f8e-1111-4222-8333-444455556666"
    for number, content in enumerate(
        (
            play.message(K.ADMITTED, at=clock() - timedelta(hours=9), encounter="A"),
            play.message(K.DISCHARGED, at=clock() - timedelta(hours=7), encounter="A", message_id=wrong),
            play.message(K.ADMITTED, at=clock() - timedelta(hours=5), encounter="B"),
            plan_bytes(play.built.register, at=clock() - timedelta(hours=5), receivers=("sogndal",)),
            play.message(
                K.DISCHARGED, at=clock() - timedelta(hours=4), encounter="A",
                standing=Standing.CANCELLATION, refers_to=wrong,
            ),
        )
    ):  # fmt: skip
        assert play.receive(content).outcome == "accepted", number
    first, second = play.rows(tables.case)
    assert (first["merged_into"], second["merged_into"]) == (None, first["id"])
    return str(first["patient"])


def test_a_case_that_was_merged_away_leaves_nothing_off_the_shelves(
    play: Stage, clock: StandingClock
) -> None:
    """What waits under its old number is shelved before anybody changes a plan of the patient."""
    patient = united(play, clock)
    play.built.store.write(lambda tx: tx.execute(tables.message.update().values(shelved=0)))
    play.built.store.write(lambda tx: play.built.shelves.shelve_of(tx, patient))
    assert play.rows(tables.message, shelved=0) == []


def test_all_that_a_merged_case_has_brought_is_of_the_case_that_it_is_now(
    play: Stage, clock: StandingClock
) -> None:
    united(play, clock)
    play.built.shelves.catch_up()
    first, second = (row["id"] for row in play.rows(tables.case))
    reader = Reader(shelves=play.built.shelves, eyes=HOSPITAL, partner="helse-foerde")
    with play.built.store.read() as tx:
        here = {f"{one['resourceType']}/{one['id']}" for one in reader.of_case(tx, first)}
        assert {f"{one['resourceType']}/{one['id']}" for one in reader.of_case(tx, second)} == here
    assert f"CarePlan/{PLAN}" in here
