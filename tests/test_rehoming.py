"""Stays whose municipality is known by now to be none are folded anew: after an upgrade, or a correction."""

from collections.abc import Iterator

import pytest
from sqlalchemy import update

from adapter.discharge.notices import NoticeKind
from adapter.scheduler.rehoming import Rehoming
from adapter.store import tables
from adapter.store.journal import _disagreeing
from tests.conftest import StandingClock
from tests.stage import TORBJORN, Stage, altered, region, stage

K = NoticeKind
GP = "laerdal-legekontor"


@pytest.fixture
def play(store_url: str, clock: StandingClock) -> Iterator[Stage]:
    made = stage(store_url, clock)
    yield made
    made.close()


def rehome(play: Stage) -> int:
    built = play.built
    return Rehoming(store=built.store, cases=built.cases, clock=play.clock)()


def homes(play: Stage) -> list[str | None]:
    return [row["municipality"] for row in play.rows(tables.case)]


def disagreeing(play: Stage) -> list[str]:
    with play.built.store.read() as tx:
        return [*_disagreeing(tx, play.built.agreement, play.built.cases.roles)]


def test_a_stay_that_an_older_version_gave_to_the_gp_gets_its_municipality(play: Stage):
    for subject, encounter in ((None, "LS-1"), (TORBJORN, "LS-2")):
        more = {} if subject is None else {"subject": subject}
        content = play.message(K.ADMITTED, receivers=("sogndal", GP), encounter=encounter, **more)
        assert play.receive(content).outcome == "accepted"
    assert rehome(play) == 0
    (first, _) = play.rows(tables.case)
    wrong = update(tables.case).where(tables.case.c.id == first["id"]).values(municipality=GP)
    play.write(lambda tx: tx.execute(wrong))
    assert disagreeing(play) != []
    assert rehome(play) == 1
    assert homes(play) == ["sogndal", "sogndal"]
    assert disagreeing(play) == []
    assert rehome(play) == 0


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_a_kind_that_is_corrected_gives_the_stays_to_whom_they_belong(store_url: str, clock: StandingClock):
    before = stage(store_url, clock)
    for receivers in (("sogndal",), ("sogndal", "luster")):
        assert (
            before.receive(before.message(K.ADMITTED, receivers=receivers, encounter="LS-1")).outcome
            == "accepted"
        )
        clock.forward(minutes=1)
    assert homes(before) == ["sogndal"]
    before.close()
    after = stage(store_url, clock, of=altered(region(), "sogndal", kind="gp"))
    assert rehome(after) == 1
    assert homes(after) == ["luster"]
    after.close()


def test_a_case_of_which_no_fact_is_left_keeps_no_other_waiting(play: Stage, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("adapter.scheduler.rehoming.AT_ONCE", 1)
    receivers = ("sogndal", GP)
    assert play.receive(play.message(K.ADMITTED, receivers=receivers)).outcome == "accepted"
    (row,) = play.rows(tables.case)
    bare = dict(row) | {"id": 99, "patient": "A", "municipality": GP}
    play.write(lambda tx: tx.execute(tables.case.insert().values(**bare)))
    play.write(lambda tx: tx.execute(update(tables.case).values(municipality=GP)))
    assert rehome(play) == 2
    assert sorted(homes(play), key=str) == [GP, "sogndal"]
