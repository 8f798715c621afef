"""What a region is owed does not depend on when its months are closed, nor on when its messages come.

Invented stays are told in any order, months are closed between them, late and out of turn, and corrections
come after. The sum of everything that was booked is what one look at all the facts gives.
"""

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, select

from adapter.cases import Cases
from adapter.discharge.agreement import Accord, Agreement, agreement
from adapter.discharge.average import Share, means, shares
from adapter.discharge.case import Fact
from adapter.discharge.ledger import Entry, EntryKind
from adapter.discharge.notices import Notice, NoticeKind, Standing
from adapter.discharge.payment import liabilities
from adapter.discharge.readmission import courses
from adapter.ledger import Ledger, bounds, month_of
from adapter.store import Store
from adapter.store import ledger as rows
from adapter.store.migrations import migrate
from adapter.store.tables import case as case_table
from tests.discharge.test_law_properties import (
    AARDAL,
    ALL,
    BEGINNINGS,
    HOSPITAL,
    ROLES,
    VIK,
    basics,
    notice,
    ready,
    stays,
)

K = NoticeKind
MONTHS = ["2021-12", "2022-01", "2022-02", "2022-03", "2022-04", "2022-05"]
SETTLING = "2022-06"
END = datetime.fromisoformat("2022-07-01T06:00:00+00:00")
PRICES = {"2021": "9000", "2022": "9300.50"}
Patients = dict[str, list[Fact]]


def mean(name: str, level: str, *parties: str) -> Accord:
    return Accord(name=name, between=frozenset(parties), terms={"average_days": level})


LAWS = {
    "each day, Norway": agreement("norway"),
    "each day, Sweden": agreement("sweden", {"amounts": PRICES}),
    "the mean": agreement("sweden", {"amounts": PRICES}, [mean("genomsnitt", "1.3")]),
    "the mean of one municipality": agreement(
        "sweden", {"amounts": PRICES}, [mean("genomsnitt", "0.5", VIK)]
    ),
    "the mean from New Year's Eve": agreement(
        "sweden",
        {"amounts": PRICES},
        [
            replace(mean("genomsnitt", "0", HOSPITAL, VIK), valid_from=date(2021, 12, 31)),
            mean("årdal", "1", AARDAL),
        ],
    ),
}


@dataclass(frozen=True, kw_only=True)
class Play:
    """What is told when, and what is closed when."""

    patients: Patients
    told: list[tuple[datetime, str, list[Fact]]]  # in the order of arrival
    closings: list[tuple[datetime, str]]


@st.composite
def plays(draw: st.DrawFn) -> Play:
    patients: Patients = {}
    for number in range(draw(st.integers(1, 3))):
        facts = draw(loosened([*draw(st.one_of(waits(), stays(ALL))), *draw(leaving(number))]))
        patients[f"P{number}"] = [*facts, *draw(corrections_of(facts))]
    order = random.Random(draw(st.integers(0, 10**6)))
    told = []
    for patient, facts in patients.items():
        for fact in facts:
            late = timedelta(days=draw(st.sampled_from([0, 0, 1, 20, 45, 80])))
            known = (fact.sent_at if isinstance(fact, Notice) else fact.at) + late
            told.append((known, patient, [fact, *([fact] if order.random() < 0.1 else [])]))
    order.shuffle(told)
    told.sort(key=lambda one: one[0].date())  # within a day, in any order
    closings = []
    for month in MONTHS:
        over = datetime.combine(bounds(month)[1] + timedelta(days=1), datetime.min.time(), END.tzinfo)
        closings.append(
            (over + timedelta(days=draw(st.integers(0, 29 if month == MONTHS[-1] else 70)), hours=5), month)
        )
    order.shuffle(closings)
    closings.sort(key=lambda one: min(one[0], END))
    return Play(patients=patients, told=told, closings=closings)


@st.composite
def waits(draw: st.DrawFn) -> list[Fact]:
    """A patient who is ready with every condition fulfilled, in one span or in two."""
    begins = draw(st.sampled_from(BEGINNINGS))
    hours = sorted(draw(st.lists(st.integers(2, 200), min_size=3, max_size=3, unique=True)))
    first, withdrawn, again = (begins + timedelta(hours=h) for h in hours)
    made = [*basics(begins), *ready(first, 10)]
    if draw(st.booleans()):
        made += [notice(K.READINESS_WITHDRAWN, withdrawn, 11), *ready(again, 12)]
    return made


@st.composite
def loosened(draw: st.DrawFn, facts: list[Fact]) -> list[Fact]:
    """Some notices without the stay's id, or under another one: cases are cut and become one again."""
    if draw(st.booleans()):
        return facts
    ids = st.sampled_from(["stay", "stay", None, "another"])
    return [replace(f, encounter=draw(ids)) if isinstance(f, Notice) else f for f in facts]


@st.composite
def leaving(draw: st.DrawFn, number: int) -> list[Fact]:
    """A discharge near the end of a month or of the year, for most patients."""
    if not draw(st.integers(0, 4)):
        return []
    day = draw(st.sampled_from(["2021-12-31", "2022-01-01", "2022-01-12", "2022-03-31", "2022-04-01"]))
    at = datetime.fromisoformat(f"{day}T00:00:00+00:00") + timedelta(hours=draw(st.integers(0, 23)))
    return [notice(K.DISCHARGED, at, 90 + number)]


@st.composite
def corrections_of(draw: st.DrawFn, facts: list[Fact]) -> list[Fact]:
    """A correction or a cancellation of something told, some time later."""
    made: list[Fact] = []
    for n in range(draw(st.integers(0, 2))):
        of = draw(st.sampled_from([f for f in facts if isinstance(f, Notice)]))
        later = timedelta(hours=draw(st.integers(1, 900)))
        standing = draw(st.sampled_from([Standing.CORRECTION, Standing.CORRECTION, Standing.CANCELLATION]))
        more: dict[str, Any] = {"message_id": f"c{n}-{of.message_id}", "refers_to": of.message_id}
        if isinstance(of.occurred, datetime):
            more["occurred"] = of.occurred + timedelta(hours=draw(st.integers(-80, 80)))
        made.append(replace(of, standing=standing, sent_at=of.sent_at + later, **more))
    return made


# --- playing it -------------------------------------------------------------------------------------------


class _Undone(Exception):  # nothing is wrong: it takes an example's rows back
    """The end of an example."""


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    made = Store(store_url)
    migrate(made)
    yield made
    made.close()


def perform(tx: Connection, law: Agreement, play: Play) -> list[Entry]:
    """Tell and close in turn, and close a last month when everything is known; all that was booked."""
    cases = Cases(agreement=law, roles=ROLES)
    ledger = Ledger(cases=cases)
    told, closings = list(play.told), list(play.closings)
    booked: list[Entry] = []
    while told or closings:
        if closings and (not told or min(closings[0][0], END) <= told[0][0]):
            at, month = closings.pop(0)
            look_again(tx, cases, at)
            booked += ledger.close(tx, month, at, by=None).lines
        else:
            at, patient, facts = told.pop(0)
            for fact in facts:
                cases.learn(tx, patient, [(fact, None)], at)
        standing_once(booked)
    look_again(tx, cases, END)
    return [*booked, *ledger.close(tx, SETTLING, END, by=None).lines]


def look_again(tx: Connection, cases: Cases, now: datetime) -> None:
    """As the clock does: the states of the deadlines are those of the instant."""
    for case_id in all_cases(tx):
        cases.recompute(tx, case_id, now)


def all_cases(tx: Connection) -> list[int]:
    return list(tx.execute(select(case_table.c.id)).scalars())


def standing_once(booked: Iterable[Entry]) -> None:
    """No day, and no month's mean, is charged twice, and a charge is reversed once, by what it came to."""
    charges = {e.id: e for e in booked if e.kind is EntryKind.CHARGE}
    reversals = [e for e in booked if e.kind is EntryKind.REVERSAL]
    assert all(e.amount is not None and e.amount >= 0 for e in charges.values())
    reversed_ = [e.reverses for e in reversals]
    assert len(reversed_) == len(set(reversed_))
    for entry in reversals:
        of = charges[entry.reverses]
        assert (entry.day, entry.debtor, entry.payee) == (of.day, of.debtor, of.payee)
        assert entry.amount == -(of.amount or Decimal())
    standing = [e.key for number, e in charges.items() if number not in reversed_]
    assert len(standing) == len(set(standing))


def sums(found: Iterable[tuple[str, str, Decimal | None]]) -> dict[tuple[str, str], Decimal]:
    made: dict[tuple[str, str], Decimal] = {}
    for debtor, payee, amount in found:
        assert amount is not None
        made[debtor, payee] = made.get((debtor, payee), Decimal()) + amount
    return {key: amount for key, amount in made.items() if amount}


def at_once(law: Agreement, patients: Patients) -> dict[tuple[str, str], Decimal]:
    """What one look at all the facts gives, over the months that were closed."""
    owed: list[tuple[str, str, Decimal | None]] = []
    averaged: list[Share] = []
    for facts in patients.values():
        for case in courses(facts, law, ROLES):  # nobody owes for who has died, in whichever case it was told
            averaged += shares(case, law, END, ROLES)
            for liability in liabilities(case, law, END, ROLES):
                for day in liability.days:
                    assert month_of(day.date) in (*MONTHS, SETTLING)
                    owed += [(day.party or "", part.payee, part.amount) for part in day.parts if day.party]
    found = means([share.added for share in averaged], law)
    owed += [(mean.debtor, mean.payee, mean.amount) for mean in found]
    return sums(owed)


def additive(store: Store, law: Agreement, play: Play) -> None:
    """The statements of the months, added up, are what one look gives; nothing is left to be booked."""

    def unit(tx: Connection) -> None:
        booked = perform(tx, law, play)
        standing_once(booked)
        assert sums((e.debtor, e.payee, e.amount) for e in booked) == at_once(law, play.patients)
        frozen = [e for month in (*MONTHS, SETTLING) for e in rows.of_month(tx, month)]
        assert sorted(e.id or 0 for e in frozen) == sorted(e.id or 0 for e in booked)
        assert Ledger(cases=Cases(agreement=law, roles=ROLES)).statement(tx, "2022-07", END).lines == ()
        raise _Undone

    with pytest.raises(_Undone):
        store.write(unit)


under_each_law = pytest.mark.parametrize("law", LAWS)
SHARED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]  # each example takes its rows back


@pytest.mark.postgres_in_soak
@under_each_law
@given(play=plays())
@settings(max_examples=15, deadline=None, suppress_health_check=SHARED)
def test_closing_month_by_month_comes_to_what_one_look_at_everything_gives(
    store: Store, law: str, play: Play
):
    additive(store, LAWS[law], play)


@pytest.mark.soak
@under_each_law
@given(play=plays())
@settings(max_examples=400, deadline=None, suppress_health_check=SHARED)
def test_closing_month_by_month_comes_to_it_whatever_happens(store: Store, law: str, play: Play):
    additive(store, LAWS[law], play)


def test_the_plays_reach_what_they_are_about(tmp_path: Path):
    """Months with corrections, means above their level, and lines of several months."""
    seen: Counter[str] = Counter()
    store = Store(f"sqlite:///{tmp_path}/store.db")
    migrate(store)

    @given(play=plays())
    @settings(max_examples=40, derandomize=True, database=None, deadline=None, suppress_health_check=SHARED)
    def look(play: Play) -> None:
        def unit(tx: Connection) -> None:
            for law in ("the mean", "each day, Norway"):
                with tx.begin_nested() as example:
                    booked = perform(tx, LAWS[law], play)
                    seen["reversals"] += any(e.kind is EntryKind.REVERSAL for e in booked)
                    seen["means"] += any(e.days_over for e in booked)
                    seen["days"] += any(e.case_id for e in booked)
                    seen["months"] += len({month_of(e.day) for e in booked}) > 1
                    example.rollback()
            raise _Undone

        with pytest.raises(_Undone):
            store.write(unit)

    look()
    store.close()
    assert min(seen[name] for name in ("reversals", "means", "days", "months")) >= 1, seen
