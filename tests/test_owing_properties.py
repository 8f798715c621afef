"""What is kept of each case says what the fold says, whenever it is asked and however much was counted anew.

Invented stays are told in any order, months are closed, the terms change and change back; between all that a
job counts anew everything, something or nothing. A statement never tells the difference.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, select

from adapter.cases import Cases
from adapter.discharge.average import Added, means, shares
from adapter.discharge.counting import first_second
from adapter.discharge.ledger import Entry, corrections, entries, monthly, place
from adapter.discharge.payment import liabilities
from adapter.ledger import Ledger, bounds, month_of
from adapter.owing import Owing
from adapter.store import Store
from adapter.store import ledger as rows
from adapter.store.migrations import migrate
from adapter.store.tables import case as case_table
from adapter.store.tables import deadline
from tests.discharge.test_law_properties import ROLES
from tests.test_ledger_properties import LAWS, MONTHS, Play, all_cases, plays

SHARED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]  # each example takes its rows back
Terms = tuple[str, Mapping[str, str]]
WRONG = {party: "gp" if kind == "municipality" else kind for party, kind in ROLES.items()}
PAIRS: dict[str, tuple[Terms, Terms]] = {
    "Norway": (("each day, Norway", ROLES), ("each day, Norway", ROLES)),
    "kinds that are corrected": (("each day, Norway", ROLES), ("each day, Norway", WRONG)),
    "Sweden, with a mean and without": (("each day, Sweden", ROLES), ("the mean of one municipality", ROLES)),
    "two means": (("the mean", ROLES), ("the mean from New Year's Eve", ROLES)),
}
"""By turns, by which terms a store is written, counted and read."""


class _Undone(Exception):  # nothing is wrong: it takes an example's rows back
    """The end of an example."""


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    made = Store(store_url)
    migrate(made)
    yield made
    made.close()


def by_the_fold(tx: Connection, cases: Cases, month: str, now: datetime) -> list[Entry]:
    """The open month with nothing kept: every case that may owe is folded."""
    closed, booked = rows.closed(tx), rows.booked(tx)
    wanted = {month, *closed}
    since = first_second(bounds(min(wanted))[0], cases.agreement.zone)
    until = first_second(bounds(max(wanted))[1] + timedelta(days=1), cases.agreement.zone)
    may_owe = select(deadline.c.case_id).where(deadline.c.kind == "payment-start", deadline.c.state != "met")
    living = list(tx.execute(select(case_table).where(case_table.c.merged_into.is_(None))).mappings())
    owing = {*tx.execute(may_owe).scalars(), *booked}
    left = {r["id"] for r in living if r["discharged_at"] is not None and since <= r["discharged_at"] < until}
    lines: list[Entry] = []
    found: list[Added] = []
    for patient in sorted({row["patient"] for row in living}):
        for case_id, case in cases.folded(tx, patient):
            if case_id in owing:
                known = rows.of_cases(tx, booked.get(case_id, []))
                days = entries(case_id, liabilities(case, cases.agreement, now, cases.roles))
                stand = [replace(e, case_id=case_id) for e in known]
                lines += corrections(stand, [e for e in days if month_of(e.day) in wanted])
            if case_id in left:
                found += [share.added for share in shares(case, cases.agreement, now, cases.roles)]
    means_ = [e for e in monthly(means(found, cases.agreement)) if month_of(e.day) in wanted]
    lines += corrections(rows.of_means(tx), means_)
    return sorted(lines, key=lambda e: (e.debtor, *place(e), e.kind.value))


def alike(tx: Connection, cases: Cases, now: datetime, dice: random.Random) -> None:
    """Any open month says the same by what is kept."""
    closed = rows.closed(tx)
    month = dice.choice([one for one in (*MONTHS, "2022-06", "2022-07") if one not in closed])
    told = Ledger(cases=cases).statement(tx, month, now).lines
    wanted = by_the_fold(tx, cases, month, now)
    assert list(told) == wanted, (month, now)


def perform(tx: Connection, terms: tuple[Terms, Terms], play: Play, dice: random.Random) -> int:
    """Play, and look again and again; how many lines were compared."""
    ways = [Cases(agreement=LAWS[name], roles=roles) for name, roles in terms]
    events = [(at, patient, facts) for at, patient, facts in play.told]
    events += [(at, month, None) for at, month in play.closings]
    compared = 0
    for at, what, facts in sorted(events, key=lambda one: one[0].date()):
        cases = dice.choice(ways)
        if facts is None:
            if bounds(what)[1] < at.date():
                compared += len(Ledger(cases=cases).close(tx, what, at, by=None).lines)
        else:
            for fact in facts:
                cases.learn(tx, what, [(fact, None)], at)
        now = at + timedelta(hours=dice.choice([-30, 0, 0, 1, 30, 200]))
        if dice.random() < 0.3:
            for case_id in all_cases(tx):
                cases.recompute(tx, case_id, now)
        if dice.random() < 0.7:
            counting = Owing(cases=dice.choice(ways))
            while counting.reckon(tx, now):
                if dice.random() < 0.2:
                    break
        alike(tx, cases, now + dice.choice([timedelta(), timedelta(hours=20), timedelta(days=-2)]), dice)
    return compared


def the_same(store: Store, terms: tuple[Terms, Terms], play: Play, seed: int) -> None:
    def unit(tx: Connection) -> None:
        perform(tx, terms, play, random.Random(seed))
        raise _Undone

    with pytest.raises(_Undone):
        store.write(unit)


@pytest.mark.postgres_in_soak
@pytest.mark.parametrize("terms", PAIRS)
@given(play=plays(), seed=st.integers(0, 10**6))
@settings(max_examples=12, deadline=None, suppress_health_check=SHARED)
def test_a_month_says_what_the_fold_says_whatever_is_kept(store: Store, terms: str, play: Play, seed: int):
    the_same(store, PAIRS[terms], play, seed)


@pytest.mark.soak
@pytest.mark.parametrize("terms", PAIRS)
@given(play=plays(), seed=st.integers(0, 10**6))
@settings(max_examples=100, deadline=None, suppress_health_check=SHARED)
def test_a_month_says_it_through_many_plays(store: Store, terms: str, play: Play, seed: int):
    the_same(store, PAIRS[terms], play, seed)
