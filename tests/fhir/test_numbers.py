"""A number as somebody types it: whose it can be, by its register's own rule."""

from datetime import date

import pytest

from adapter.fhir.bundles import CPR, DNR, FNR, PERSONNUMMER, checks
from adapter.fhir.numbers import number_in


@pytest.mark.parametrize(
    ("typed", "country", "system", "value", "born"),
    [
        ("21843012660", "norway", FNR, "21843012660", date(1930, 4, 21)),  # a test person: month + 80
        ("218430 12660", "norway", FNR, "21843012660", date(1930, 4, 21)),
        ("19391110-2386", "sweden", PERSONNUMMER, "193911102386", date(1939, 11, 10)),
        ("070761-4285", "denmark", CPR, "0707614285", date(1961, 7, 7)),
    ],
)
def test_a_number_is_read_and_fits_the_day_of_birth(typed, country, system, value, born):
    found = number_in(typed, country)
    assert found is not None
    assert (found.system, found.value) == (system, value)
    assert found.fits(born)
    assert not found.fits(date(born.year, born.month, born.day + 1))


@pytest.mark.parametrize(
    ("typed", "country"),
    [
        ("21843012661", "norway"),
        ("2184301266", "norway"),
        ("193911102384", "sweden"),
        ("3911102386", "sweden"),
        ("3213614285", "denmark"),
        ("born in 1939", "sweden"),
        ("２１８４３０１２６６０", "norway"),
        ("", "norway"),
        ("21843012660", "england-2014"),
    ],
)
def test_what_cannot_be_a_number_is_none(typed, country):
    assert number_in(typed, country) is None


def test_a_d_number_is_known_by_its_first_digit():
    valid = [f"410150{tail:05}" for tail in range(100_000) if checks(DNR, f"410150{tail:05}")]
    found = number_in(valid[0], "norway")
    assert found is not None
    assert (found.system, found.fits(date(1950, 1, 1))) == (DNR, True)
