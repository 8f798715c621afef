"""Who takes part in a case: the same for every order in which it was told, whatever was taken back."""

from collections.abc import Iterator
from itertools import permutations

import pytest
from sqlalchemy import Connection

from adapter.discharge.case import Fact
from adapter.discharge.notices import Notice, NoticeKind, Standing
from adapter.store import cases as case_rows
from adapter.store import parties
from adapter.store.cases import text_of
from tests.conftest import StandingClock
from tests.stage import Stage, stage
from tests.test_cases import HOSPITAL, LATER, SOGNDAL, notice

K = NoticeKind
LUSTER, AARDAL = "luster", "aardal"


@pytest.fixture
def play(store_url: str, clock: StandingClock) -> Iterator[Stage]:
    made = stage(store_url, clock)
    yield made
    made.close()


STAY = (
    notice(K.ADMITTED, 0, "m1", encounter="stay"),
    notice(K.READY_FOR_DISCHARGE, 20, "m2", encounter="stay", receivers=(SOGNDAL, AARDAL)),
    notice(K.DISCHARGED, 30, "m3", encounter="stay"),
)
MISDIRECTED = (
    notice(K.ADMITTED, 0, "m1", encounter="stay"),
    notice(K.CARE_NEEDS, 1, "m2", encounter="stay", receivers=(LUSTER,)),
    notice(
        K.CARE_NEEDS, 2, "m3", encounter="stay", receivers=(LUSTER,), standing=Standing.CANCELLATION,
        refers_to="m2",
    ),
    notice(K.CARE_NEEDS, 3, "m4", encounter="stay"),
)  # fmt: skip
READDRESSED = (
    notice(K.ADMITTED, 0, "m1", encounter="stay", receivers=(LUSTER,)),
    notice(
        K.ADMITTED, 1, "m2", encounter="stay", standing=Standing.CORRECTION, refers_to="m1", occurred=LATER
    ),
    notice(K.READY_FOR_DISCHARGE, 20, "m3", encounter="stay"),
)
TWO_STAYS = (
    notice(K.ADMITTED, 0, "m1", encounter="one"),
    notice(K.DISCHARGED, 30, "m2", encounter="one"),
    notice(K.ADMITTED, 60, "m3", encounter="two", receivers=(LUSTER,)),
    notice(K.READY_FOR_DISCHARGE, 80, "m4", encounter="two", receivers=(LUSTER,)),
)
MERGED = (
    notice(K.ADMITTED, 0, "m1"),
    notice(K.DISCHARGED, 30, "m2"),
    notice(K.DISCHARGED, 30, "m3", standing=Standing.CANCELLATION, refers_to="m2"),
    notice(K.READY_FOR_DISCHARGE, 40, "m4", receivers=(LUSTER,)),
)  # the discharge between two halves is taken back: what came after belongs to the one stay


def taking_part(tx: Connection, patient: str) -> list[tuple[list[str], list[str]]]:
    """Of each case its parties, and the facts by which it is known again."""
    facts = case_rows.facts(tx, patient)
    return sorted(
        (
            sorted(text_of(fact) for _, of, fact in facts if of == case_id),
            parties.of_case(tx, case_id),
        )
        for case_id in {of for _, of, _ in facts}
    )


def learn(play: Stage, patient: str, order: tuple[Fact, ...]) -> list[tuple[list[str], list[str]]]:
    def unit(tx: Connection) -> list[tuple[list[str], list[str]]]:
        for number, fact in enumerate(order):
            play.built.cases.learn(tx, patient, [(fact, number)], LATER)
        return taking_part(tx, patient)

    return play.write(unit)


@pytest.mark.parametrize(
    ("story", "expected"),
    [
        (STAY, [{HOSPITAL, SOGNDAL, AARDAL}]),
        (MISDIRECTED, [{HOSPITAL, SOGNDAL, LUSTER}]),  # who was told once knows of it
        (READDRESSED, [{HOSPITAL, SOGNDAL, LUSTER}]),
        (TWO_STAYS, [{HOSPITAL, SOGNDAL}, {HOSPITAL, LUSTER}]),
        (MERGED, [{HOSPITAL, SOGNDAL, LUSTER}]),
    ],
    ids=["stay", "misdirected", "readdressed", "two-stays", "merged"],
)
def test_every_order_of_arrival_gives_the_same_parties(
    play: Stage, story: tuple[Notice, ...], expected: list[set[str]]
):
    found = [learn(play, f"P{n}", order) for n, order in enumerate(permutations(story))]
    assert all(one == found[0] for one in found)
    assert sorted(sorted(people) for _, people in found[0]) == sorted(sorted(one) for one in expected)


def test_no_row_is_left_of_a_case_that_was_merged_into_another(play: Stage):
    learn(play, "P1", MERGED[:2] + MERGED[3:])
    learn(play, "P1", MERGED[2:3])
    from sqlalchemy import select

    from adapter.store.tables import case, case_party, fact

    with play.built.store.read() as tx:
        rows = set(tx.execute(select(case_party.c.case_id)).scalars())
        assert rows == set(tx.execute(select(fact.c.case_id)).scalars())
        assert rows <= set(tx.execute(select(case.c.id)).scalars())


def test_who_takes_part_sees_the_case_and_nobody_else_does(play: Stage):
    learn(play, "P1", STAY)
    with play.built.store.read() as tx:
        (case_id,) = case_rows.ids_of(tx, "P1")
        for party, part in ((HOSPITAL, True), (SOGNDAL, True), (AARDAL, True), (LUSTER, False)):
            assert parties.takes_part(tx, case_id, {party}) is part
        assert not parties.takes_part(tx, case_id, set())
