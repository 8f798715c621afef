"""The ledger: booked days stay as they were booked, and what a later truth changes is booked beside them."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from adapter.discharge.ledger import Entry, EntryKind, EntryState, corrections, totals

LAERDAL, AARDAL = "laerdal", "aardal"


def charge(day: int, amount: str | None = "4255", debtor: str = LAERDAL, **more: object) -> Entry:
    made = Entry(
        case_id=1,
        day=date(2014, 3, day),
        debtor=debtor,
        payee="hospital",
        amount=None if amount is None else Decimal(amount),
        currency="NOK",
        why="day",
    )
    return replace(made, **more)


def booked(*lines: Entry, first: int = 1) -> list[Entry]:
    return [replace(line, id=number) for number, line in enumerate(lines, first)]


def told(lines: list[Entry]) -> list[tuple[int, str, str, str | None]]:
    return [(e.day.day, e.kind.value, e.debtor, None if e.amount is None else f"{e.amount:f}") for e in lines]


def test_what_is_booked_already_is_not_booked_again():
    assert corrections(booked(charge(1), charge(2)), [charge(1), charge(2)]) == []


def test_a_new_day_is_a_charge():
    assert told(corrections(booked(charge(1)), [charge(1), charge(2)])) == [(2, "charge", LAERDAL, "4255")]


def test_a_day_that_the_notices_no_longer_give_is_reversed():
    (line,) = corrections(booked(charge(1), charge(2)), [charge(1)])
    assert (line.kind, line.amount, line.reverses) == (EntryKind.REVERSAL, Decimal(-4255), 2)


def test_another_debtor_is_a_reversal_and_a_new_charge():
    assert told(corrections(booked(charge(1)), [charge(1, debtor=AARDAL)])) == [
        (1, "reversal", LAERDAL, "-4255"),
        (1, "charge", AARDAL, "4255"),
    ]


def test_a_price_that_becomes_known_is_a_difference_and_one_that_is_forgotten_is_none():
    assert told(corrections(booked(charge(1, None)), [charge(1, "5900")])) == [
        (1, "reversal", LAERDAL, None),
        (1, "charge", LAERDAL, "5900"),
    ]
    assert corrections(booked(charge(1, "5900")), [charge(1, None)]) == []


def test_a_reversed_day_that_comes_back_is_charged_again():
    first = booked(charge(1))
    reversal = booked(*corrections(first, []), first=2)
    assert told(corrections([*first, *reversal], [charge(1)])) == [(1, "charge", LAERDAL, "4255")]
    assert corrections([*first, *reversal], []) == []


def test_a_waived_charge_is_reversed_once_and_never_charged_again():
    first = booked(charge(1, state=EntryState.WAIVED))
    (reversal,) = corrections(first, [charge(1)])
    assert (reversal.kind, reversal.reverses) == (EntryKind.REVERSAL, 1)
    assert corrections([*first, *booked(reversal, first=2)], [charge(1)]) == []


def test_a_day_that_two_cases_were_charged_for_is_charged_once_when_they_turn_out_to_be_one():
    first = booked(charge(1), charge(1), charge(2))
    assert [(e.reverses, e.amount) for e in corrections(first, [charge(1), charge(2)])] == [
        (2, Decimal(-4255))
    ]
    assert sorted(e.reverses or 0 for e in corrections(first, [])) == [1, 2, 3]


def mean(over: str, amount: str | None, debtor: str = LAERDAL) -> Entry:
    more = {"case_id": None, "agreement": "genomsnitt", "days_over": Decimal(over)}
    return charge(31, amount, debtor, **more)


def test_the_mean_of_a_month_is_owed_once_by_each_municipality():
    lines = [mean("2", "18600"), mean("1", "9300", AARDAL)]
    assert corrections(booked(*lines), lines) == []
    assert told(corrections(booked(*lines), [lines[1]])) == [(31, "reversal", LAERDAL, "-18600")]
    owed = {t.debtor: (t.days, t.days_over, t.amount) for t in totals(lines)}
    assert owed == {LAERDAL: (0, Decimal(2), Decimal(18600)), AARDAL: (0, Decimal(1), Decimal(9300))}


def test_a_mean_that_comes_to_other_days_is_a_difference_even_where_the_price_is_not_known():
    made = corrections(booked(mean("0", "0")), [mean("2", None)])
    assert [(e.kind.value, e.days_over, e.amount) for e in made] == [
        ("reversal", Decimal(0), Decimal(0)),
        ("charge", Decimal(2), None),
    ]
    assert corrections(booked(mean("2", "18600")), [mean("2.0", None)]) == []


def test_a_disputed_charge_stands():
    assert corrections(booked(charge(1, state=EntryState.DISPUTED)), [charge(1)]) == []


def test_totals_are_the_sums_of_their_lines_to_the_oere():
    lines = [charge(1, "4255.10"), charge(2, "4255.05"), charge(3, "1.01", debtor=AARDAL)]
    found = {t.debtor: (t.days, t.amount) for t in totals(lines)}
    assert found == {LAERDAL: (2, Decimal("8510.15")), AARDAL: (1, Decimal("1.01"))}


def test_a_total_with_an_unknown_price_is_not_known():
    (total,) = totals([charge(1), charge(2, None)])
    assert (total.days, total.amount) == (2, None)


DAYS = st.dictionaries(st.integers(1, 6), st.tuples(st.sampled_from([LAERDAL, AARDAL]), st.integers(1, 3)))


@given(st.lists(DAYS, min_size=1, max_size=5))
def test_whatever_the_notices_say_month_after_month_the_standing_sum_is_what_they_say_last(truths):
    """Each truth is booked in turn; nothing is lost, nothing is counted twice."""
    books: list[Entry] = []
    for truth in truths:
        computed = [charge(day, str(n), debtor=debtor) for day, (debtor, n) in truth.items()]
        books += booked(*corrections(books, computed), first=len(books) + 1)
        assert corrections(books, computed) == []
        owed = {t.debtor: t.amount for t in totals(books) if t.amount}
        wanted = {t.debtor: t.amount for t in totals(computed)}
        assert owed == wanted
