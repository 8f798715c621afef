"""What has been put on the shelves reads the same tomorrow, in another process, under the same ids."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from adapter.discharge.notices import NoticeKind
from adapter.fhir.searching import Query
from adapter.readers import Reader
from adapter.shelves import Shelves
from adapter.store.resources import Eyes
from tests.conftest import StandingClock
from tests.plans import plan_bytes
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
