"""Norwegian reports through the inbox: into the case and onto the shelves, on both stores."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapter.discharge.notices import NoticeKind
from adapter.fhir.searching import read_query
from adapter.readers import Reader
from adapter.store.resources import Eyes
from tests.conftest import OSLO, StandingClock
from tests.stage import Stage, stage

FIXTURES = Path(__file__).parents[1] / "fixtures" / "plo" / "home-after-a-stroke"
K = NoticeKind


@pytest.fixture
def play(store_url: str, clock: StandingClock) -> Iterator[Stage]:
    clock.forward(days=225)
    made = stage(store_url, clock)
    yield made
    made.close()


def count(play: Stage, kind: str, **terms: str) -> int:
    assert play.built.shelves.catch_up(60)
    reader = Reader(shelves=play.built.shelves, eyes=Eyes(parties=None), partner=None)
    query = read_query(kind, [(k.replace("__", "-"), v) for k, v in terms.items()], zone=OSLO)
    with play.built.store.read() as tx:
        return len(list(reader.search(tx, query).matches))


@pytest.mark.parametrize("version", ["1.5", "1.6"])
def test_a_discharge_report_stands_on_the_shelves_resource_by_resource(play: Stage, version: str) -> None:
    done = play.receive((FIXTURES / f"discharge-report.plo-{version}.xml").read_bytes(), channel="http")
    assert done.outcome == "accepted", done.reason
    for kind, least in (("Composition", 1), ("Condition", 3), ("MedicationStatement", 6), ("Goal", 1)):
        assert count(play, kind) >= least, kind
