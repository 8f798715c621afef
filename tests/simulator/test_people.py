from datetime import date

import pytest

from adapter.fhir.bundles import FNR, PERSONNUMMER
from adapter.simulator.people import People, check_digits, synthetic_numbers, synthetic_personnummer


def weighted(number, weights):
    return sum(int(digit) * weight for digit, weight in zip(number, weights, strict=True)) % 11


def test_check_digits_are_those_of_modulus_11():
    # worked by hand: 018150000: k1 = 11 - (0*3 + 1*7 + 8*6 + 1*1 + 5*8) % 11 = 11 - 96 % 11 = 3
    assert check_digits("018150000")[0] == "3"
    for nine in ("018150004", "318120123", "159234250"):
        digits = check_digits(nine)
        if digits is not None:
            assert weighted(nine + digits, (3, 7, 6, 1, 8, 9, 4, 5, 2, 1, 0)) == 0
            assert weighted(nine + digits, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)) == 0


def test_a_check_digit_of_ten_makes_no_number():
    refused = [n for n in range(500) if check_digits(f"018150{n:03}") is None]
    assert 60 < len(refused) < 120  # two times one in eleven
    for n in refused:
        first = (11 - weighted(f"018150{n:03}", (3, 7, 6, 1, 8, 9, 4, 5, 2))) % 11
        second = (11 - weighted(f"018150{n:03}{first % 10}", (5, 4, 3, 2, 7, 6, 5, 4, 3, 2))) % 11
        assert 10 in (first, second)


@pytest.mark.parametrize("seed", range(3))
def test_patients_are_synthetic_and_agree_with_their_numbers(seed):
    people = People(seed)
    for _ in range(200):
        person = people.one("luster")
        ((system, number),) = person.identifiers
        assert system == FNR
        assert int(number[2:4]) == person.birth_date.month + 80
        assert number[:2] == f"{person.birth_date.day:02}"
        assert number[4:6] == f"{person.birth_date.year % 100:02}"
        assert (int(number[8]) % 2 == 0) == (person.gender == "female")
        assert check_digits(number[:9]) == number[9:]
        assert person.address[1:] == ("6868", "Gaupne")
        assert person.identified


def test_nobody_comes_twice_and_the_same_seed_gives_the_same_people():
    one, other = People(7), People(7)
    crowd = [one.one("vik") for _ in range(2000)]
    assert len({p.identifiers for p in crowd}) == 2000
    assert crowd == [other.one("vik") for _ in range(2000)]
    assert People(8).one("vik") != crowd[0]


def test_a_day_has_about_two_hundred_numbers_for_each_sex():
    born = date(1931, 5, 17)
    women, men = (list(synthetic_numbers(born, sex)) for sex in ("female", "male"))
    assert not set(women) & set(men)
    assert all(len(found) == len(set(found)) > 180 for found in (women, men))
    assert women[0].startswith("178531")


def test_swedish_patients_are_synthetic_and_agree_with_their_numbers():
    people = People(3)
    for person in (people.one_in_sweden() for _ in range(200)):
        ((system, number),) = person.identifiers
        assert system == PERSONNUMMER
        assert number[:8] == f"{person.birth_date:%Y%m%d}"
        assert number[8:10] == "98"
        assert (int(number[10]) % 2 == 0) == (person.gender == "female")
        doubled = [int(d) * (2 - n % 2) for n, d in enumerate(number[2:])]
        assert sum(d // 10 + d % 10 for d in doubled) % 10 == 0


def test_the_check_digit_is_that_of_the_agencys_own_example():
    assert "189001019802" in synthetic_personnummer(date(1890, 1, 1), "female")
