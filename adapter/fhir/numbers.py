"""A patient's national number as somebody types it: which register it is of, and whether it can be one.

Norway: fødselsnummer and D-nummer, two check digits. Sweden: personnummer and samordningsnummer, the Luhn
check digit. Denmark: CPR; since 2007 numbers are given out that fail its old check digit, so only the date is
looked at. Test persons' numbers, with 40, 65 or 80 added to the month, are numbers too.
"""

from dataclasses import dataclass
from datetime import date

from adapter.fhir.bundles import CPR, DNR, FNR, PERSONNUMMER, checks
from adapter.messaging.envelope import PERSON_SYSTEMS

_COORDINATION = PERSON_SYSTEMS[5]


@dataclass(frozen=True, kw_only=True, slots=True)
class Number:
    """A number that can be somebody's."""

    system: str
    value: str  # as messages write it
    born: tuple[int, int, int]  # day, month and the last two digits of the year

    def fits(self, birth_date: date) -> bool:
        """Whether it can be the number of somebody born on that day."""
        return self.born == (birth_date.day, birth_date.month, birth_date.year % 100)


def number_in(text: str, country: str) -> Number | None:
    """The number that was typed, with or without space and hyphen; None where it cannot be one."""
    digits = text.translate(str.maketrans("", "", " -+\u00a0"))
    if not (digits.isascii() and digits.isdigit()):
        return None
    read = {"norway": _norwegian, "sweden": _swedish, "denmark": _danish}.get(country)
    return read(digits) if read is not None else None


def born_by_cpr(number: str) -> tuple[date, str] | None:
    """Birth date and sex (FHIR administrative-gender) as a CPR number says them; None of one that is none.

    The seventh digit tells the century, and an odd last one a man (CPR-kontoret, Personnummeret i CPR).
    """
    found = number_in(number, "denmark")
    if found is None:
        return None
    day, month, year = found.born
    seventh = int(found.value[6])
    if seventh in (4, 9):
        century = 2000 if year <= 36 else 1900
    elif seventh >= 5:
        century = 2000 if year <= 57 else 1800
    else:
        century = 1900
    try:
        born = date(century + year, month, day)
    except ValueError:
        return None
    return born, "male" if int(found.value[-1]) % 2 else "female"


def _norwegian(digits: str) -> Number | None:
    system = DNR if digits[0] in "4567" else FNR
    if len(digits) != 11 or not checks(system, digits):
        return None
    day, month = int(digits[:2]), int(digits[2:4])
    day -= 40 if system == DNR else 0
    month -= next((more for more in (80, 65, 40) if month > more), 0)
    return _number(system, digits, day, month, int(digits[4:6]))


def _swedish(digits: str) -> Number | None:
    if len(digits) != 12 or _luhn(digits[2:]) % 10:
        return None
    day = int(digits[6:8])
    system = _COORDINATION if day > 60 else PERSONNUMMER
    return _number(system, digits, day - 60 if day > 60 else day, int(digits[4:6]), int(digits[2:4]))


def _danish(digits: str) -> Number | None:
    if len(digits) != 10:
        return None
    day = int(digits[:2])
    return _number(CPR, digits, day - 60 if day > 60 else day, int(digits[2:4]), int(digits[4:6]))


def _luhn(digits: str) -> int:
    doubled = (int(d) * (2 if place % 2 == 0 else 1) for place, d in enumerate(digits))
    return sum(d // 10 + d % 10 for d in doubled)


def _number(system: str, digits: str, day: int, month: int, year: int) -> Number | None:
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    return Number(system=system, value=digits, born=(day, month, year))
