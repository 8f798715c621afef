"""A number as somebody types it: whose it can be, by its register's own rule."""

from datetime import date

import pytest

from adapter.fhir.bundles import CPR, DNR, FNR, PERSONNUMMER, checks
from adapter.fhir.numbers import born_by_cpr, number_in


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


@pytest.mark.parametrize(
    ("number", "born"),
    [
        ("0302410000", (date(1941, 2, 3), "female")),
        ("010136-4001", (date(2036, 1, 1), "male")),
        ("0101374001", (date(1937, 1, 1), "male")),
        ("0101575002", (date(2057, 1, 1), "female")),
        ("0101588003", (date(1858, 1, 1), "male")),
        ("0101369004", (date(2036, 1, 1), "female")),
        ("0101379005", (date(1937, 1, 1), "male")),
    ],
)
def test_a_cpr_number_says_birth_date_and_sex(number, born):
    assert born_by_cpr(number) == born


@pytest.mark.parametrize("number", ["", "3002410000", "0302A10000", "03024100", "0399410000"])
def test_what_is_no_cpr_number_says_nothing(number):
    assert born_by_cpr(number) is None
