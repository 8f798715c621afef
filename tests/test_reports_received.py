"""Norwegian reports through the inbox: into the case and onto the shelves, on both stores."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapter.discharge.notices import NoticeKind
from adapter.fhir.bundles import FNR, Subject
from adapter.fhir.searching import read_query
from adapter.readers import Reader
from adapter.store import tables
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


@pytest.mark.parametrize("report_first", [False, True])
def test_a_report_of_admission_belongs_to_the_hospital_that_it_is_sent_to(
    play: Stage, report_first: bool
) -> None:
    """HIS 1143: the municipality reports to the hospital, whose stay it is, and whose deadline it meets."""
    report = (FIXTURES / "admission-report.plo-1.6.xml").read_bytes()
    number = re.search(rb"<Patient>.*?<Id>(\d{11})</Id>", report, re.DOTALL)
    assert number is not None
    subject = Subject(
        identifiers=((FNR, number[1].decode()),), family="Tønjum", given="Agnieszka", gender="female"
    )
    admitted = play.plo(K.ADMITTED, receivers=("laerdal",), subject=subject)
    for content in (report, admitted) if report_first else (admitted, report):
        done = play.receive(content, channel="http")
        assert done.outcome == "accepted", done.reason
    cases = play.rows(tables.case)
    assert {case["hospital"] for case in cases} == {"laerdal-sjukehus"}
    assert {case["municipality"] for case in cases} == {"laerdal"}


@pytest.mark.parametrize("version", ["1.5", "1.6"])
def test_a_discharge_report_stands_on_the_shelves_resource_by_resource(play: Stage, version: str) -> None:
    done = play.receive((FIXTURES / f"discharge-report.plo-{version}.xml").read_bytes(), channel="http")
    assert done.outcome == "accepted", done.reason
    for kind, least in (("Composition", 1), ("Condition", 3), ("MedicationStatement", 6), ("Goal", 1)):
        assert count(play, kind) >= least, kind
