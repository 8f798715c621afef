"""Synthetic patients: nobody real, and recognisable as such by their numbers.

A Norwegian synthetic number has 80 added to the month of birth (the population register's test data); its
check digits are right, so that what reads it treats it like any other. A Swedish one has an individual number
of 980 to 989, which the tax agency keeps for its test numbers. Names are put together by chance.
"""

import random
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from operator import mul

from adapter.fhir.bundles import FNR, PERSONNUMMER, Subject

GIVEN = {
    "female": (
        "Synnøve",
        "Ragnhild",
        "Åse",
        "Gudrun",
        "Marta",
        "Ingebjørg",
        "Solveig",
        "Kari",
        "Oddny",
        "Liv",
    ),
    "male": ("Torbjørn", "Leif", "Sjur", "Olav", "Arne", "Magnus", "Knut", "Eirik", "Håkon", "Nils"),
}
FAMILY = (
    "Fjellheim",
    "Vik-Hansen",
    "Fossbakken",
    "Stølsgjerde",
    "Elveland",
    "Nesøy",
    "Breidfjord",
    "Kyrkjeflaten",
    "Ytreberget",
    "Solbrekke",
    "Åmotviken",
    "Grøndalslid",
)
SWEDISH_GIVEN = {
    "female": ("Elsa", "Ingrid", "Maj-Britt", "Gunvor", "Märta", "Siv", "Barbro", "Kerstin"),
    "male": ("Sixten", "Åke", "Börje", "Sven-Erik", "Gösta", "Lennart", "Folke", "Ivar"),
}
SWEDISH_FAMILY = ("Bäckmyr", "Lövfors", "Granträsk", "Åsmark", "Tallheden", "Sjöbrånet", "Vindelkvist")

STREETS = ("Fjordvegen", "Kyrkjegata", "Elvegata", "Tunet", "Bakkevegen", "Øyragata", "Stasjonsvegen")
PLACES = {
    "laerdal": ("6887", "Lærdal"),
    "aardal": ("6885", "Årdalstangen"),
    "aurland": ("5745", "Aurland"),
    "luster": ("6868", "Gaupne"),
    "sogndal": ("6856", "Sogndal"),
    "leikanger": ("6863", "Leikanger"),
    "vik": ("6893", "Vik i Sogn"),
}
"""Postal code and place by party id; another region's patients live in Lærdal."""

_FIRST_BIRTH = date(1921, 1, 1)
_LAST_BIRTH = date(1964, 12, 31)  # most patients whom a municipality takes over are old
_WEIGHTS_1 = (3, 7, 6, 1, 8, 9, 4, 5, 2)
_WEIGHTS_2 = (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)


def check_digits(nine: str) -> str | None:
    """The two check digits (modulus 11) of the first nine of a national number; None where it has none."""
    first = _check(nine, _WEIGHTS_1)
    if first is None:
        return None
    second = _check(nine + first, _WEIGHTS_2)
    return None if second is None else first + second


def _check(digits: str, weights: tuple[int, ...]) -> str | None:
    rest = 11 - sum(map(mul, map(int, digits), weights)) % 11  # a patient's number is one of hundreds so made
    return None if rest == 10 else str(rest % 11)


def synthetic_numbers(born: date, gender: str) -> Iterator[str]:
    """Every synthetic national number of that day and sex, in order; about two hundred."""
    head = f"{born.day:02}{born.month + 80:02}{born.year % 100:02}"
    for individual in range(0 if gender == "female" else 1, 500, 2):
        digits = check_digits(f"{head}{individual:03}")
        if digits is not None:
            yield f"{head}{individual:03}{digits}"


def synthetic_personnummer(born: date, gender: str) -> Iterator[str]:
    """Every synthetic personnummer (twelve digits) of that day and sex, in order; five."""
    for individual in range(980 if gender == "female" else 981, 990, 2):
        ten = f"{born:%y%m%d}{individual}"
        yield f"{born:%Y%m%d}{individual}{_luhn(ten)}"


def _luhn(digits: str) -> int:
    """The check digit of a personnummer's first nine (modulus 10)."""
    doubled = (int(d) * (2 - n % 2) for n, d in enumerate(digits))
    return -sum(d // 10 + d % 10 for d in doubled) % 10


class People:
    """Patients one after another, none twice; the same seed gives the same people."""

    def __init__(self, seed: int = 0) -> None:
        self._rng = random.Random(f"people/{seed}")  # noqa: S311  # a simulation, no secret
        self._given_out: set[str] = set()

    def one(self, municipality: str) -> Subject:
        """The next patient, who lives in that municipality (a party id)."""
        rng = self._rng
        gender = rng.choice(("female", "male"))
        born, number = self._number(gender)
        postal_code, city = PLACES.get(municipality, PLACES["laerdal"])
        return Subject(
            identifiers=((FNR, number),),
            family=rng.choice(FAMILY),
            given=rng.choice(GIVEN[gender]),
            birth_date=born,
            gender=gender,
            address=(f"{rng.choice(STREETS)} {rng.randrange(1, 60)}", postal_code, city),
        )

    def one_in_sweden(self) -> Subject:
        """The next patient, who lives in Sweden."""
        gender = self._rng.choice(("female", "male"))
        born, number = self._number(gender, synthetic_personnummer)
        return Subject(
            identifiers=((PERSONNUMMER, number),),
            family=self._rng.choice(SWEDISH_FAMILY),
            given=self._rng.choice(SWEDISH_GIVEN[gender]),
            birth_date=born,
            gender=gender,
        )

    def _number(
        self, gender: str, numbers: Callable[[date, str], Iterator[str]] = synthetic_numbers
    ) -> tuple[date, str]:
        days = (_LAST_BIRTH - _FIRST_BIRTH).days
        while True:
            born = _FIRST_BIRTH + timedelta(days=self._rng.randrange(days))
            number = self._rng.choice(tuple(numbers(born, gender)))
            if number not in self._given_out:
                self._given_out.add(number)
                return born, number
