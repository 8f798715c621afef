"""The calendar where the hospital is: public holidays by country, and the days off that parties agree on."""

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest

from adapter.discharge.agreement import agreement
from adapter.discharge.calendar import Calendar, country_code, day_off

PLAIN = Calendar(zone=ZoneInfo("Europe/Oslo"))


def calendar(name: str) -> Calendar:
    return agreement(name).country.calendar


def off(days: str) -> list[date]:
    return [date.fromisoformat(day) for day in days.split()]


# --- public holidays, by the law that names them ------------------------------------------------------------

NORWAY = off(
    "2024-01-01 2024-03-28 2024-03-29 2024-04-01 2024-05-01 2024-05-09 2024-05-17 "
    "2024-05-20 2024-12-25 2024-12-26"
)
SWEDEN = off(  # lag 1989:253, and the eves of lag 1930:173
    "2024-01-01 2024-01-06 2024-03-29 2024-04-01 2024-05-01 2024-05-09 2024-06-06 "
    "2024-06-21 2024-06-22 2024-11-02 2024-12-24 2024-12-25 2024-12-26 2024-12-31"
)
DENMARK = off("2024-01-01 2024-03-28 2024-03-29 2024-04-01 2024-05-09 2024-05-20 2024-12-25 2024-12-26")
ENGLAND = off(
    "2021-01-01 2021-04-02 2021-04-05 2021-05-03 2021-05-31 2021-08-30 2021-12-27 "
    "2021-12-28 2022-06-02 2022-06-03"
)


@pytest.mark.parametrize(
    ("country", "year", "days"),
    [("norway", 2024, NORWAY), ("sweden", 2024, SWEDEN), ("denmark", 2024, DENMARK)],
)
def test_the_days_off_of_a_year_are_those_of_the_law_and_no_others(country, year, days):
    place = calendar(country)
    found = {
        day
        for number in range(366)
        if (day := date(year, 1, 1) + timedelta(days=number)).weekday() < 5 and place.is_off(day)
    }
    assert found == {day for day in days if day.weekday() < 5}


@pytest.mark.parametrize("day", ENGLAND)
def test_england_has_its_bank_holidays_with_their_substitutes(day):
    assert calendar("england-2014").is_off(day)


@pytest.mark.parametrize(
    ("country", "day"),
    [
        ("norway", "2024-12-24"),  # an eve is no public holiday
        ("norway", "2024-06-21"),
        ("denmark", "2024-06-05"),
        ("denmark", "2024-12-24"),
        ("denmark", "2024-04-26"),  # the Great Prayer Day was abolished from 2024
        ("sweden", "2024-05-20"),  # Whit Monday was abolished in 2005
        ("sweden", "2024-05-17"),
        ("england-2014", "2021-04-01"),
    ],
)
def test_what_is_no_holiday_there_is_a_working_day(country, day):
    assert not calendar(country).is_off(date.fromisoformat(day))


def test_the_great_prayer_day_was_a_holiday_until_2023():
    assert calendar("denmark").is_off(date(2023, 5, 5))


@pytest.mark.parametrize(
    ("year", "eve"),
    [
        (2018, 22),
        (2019, 21),
        (2020, 19),
        (2021, 25),
        (2022, 24),
        (2023, 23),
        (2024, 21),
        (2025, 20),
        (2026, 19),
    ],
)
def test_midsummer_eve_is_the_friday_between_19_and_25_june(year, eve):
    sweden = calendar("sweden")
    assert sweden.is_off(date(year, 6, eve))
    assert not sweden.is_off(date(year, 6, eve - 1))
    assert sweden.working_day(date(year, 6, eve)) == date(year, 6, eve + 3)


@pytest.mark.parametrize(
    ("year", "easter"), [(2019, "04-21"), (2024, "03-31"), (2025, "04-20"), (2026, "04-05"), (2038, "04-25")]
)
def test_easter_moves(year, easter):
    sunday = date.fromisoformat(f"{year}-{easter}")
    for country in ("norway", "sweden", "denmark"):
        for days in (-2, -1, 0, 1):
            assert calendar(country).is_off(sunday + timedelta(days=days))
        assert not calendar(country).is_off(sunday + timedelta(days=2))
    assert calendar("norway").is_off(sunday - timedelta(days=3))
    assert not calendar("sweden").is_off(sunday - timedelta(days=3))


# --- days off by agreement ----------------------------------------------------------------------------------


def test_every_saturday_and_sunday_is_off_and_nothing_else_without_holidays():
    week = [date(2024, 12, 23) + timedelta(days=n) for n in range(7)]
    assert [PLAIN.is_off(day) for day in week] == [False] * 5 + [True] * 2


@pytest.mark.parametrize(
    ("agreed", "day", "is_off"),
    [
        ("12-24", "2024-12-24", True),
        ("12-24", "2025-12-24", True),
        ("12-24", "2024-12-23", False),
        ("2024-05-10", "2024-05-10", True),
        ("2024-05-10", "2027-05-10", False),  # a date is of one year
        ("02-29", "2024-02-29", True),
        ("02-29", "2023-03-01", False),
        ("midsummer-eve", "2024-06-21", True),
        ("midsummer-eve", "2024-06-20", False),
    ],
)
def test_a_day_off_is_a_day_of_the_year_a_date_or_a_named_day(agreed, day, is_off):
    place = Calendar(zone=PLAIN.zone, days_off=(day_off(agreed),))
    assert place.is_off(date.fromisoformat(day)) is is_off


@pytest.mark.parametrize(
    "text", ["", "24-12", "1-1", "02-30", "2023-02-29", "midsummer", "Christmas", "12/24"]
)
def test_what_is_no_day_off_is_refused_with_what_to_write(text):
    with pytest.raises(
        ValueError, match=r"is no day off; write a day of the year \(12-24\), a date, or midsummer-eve"
    ):
        day_off(text)


@pytest.mark.parametrize("code", ["NO", "SE", "DK", "GB-ENG"])
def test_a_country_may_have_a_subdivision(code):
    assert country_code(code) == code


@pytest.mark.parametrize("code", ["XX", "", "GB-NOWHERE", "norway"])
def test_an_unknown_country_is_refused(code):
    with pytest.raises(ValueError, match="are not known; write a code like NO or GB-ENG"):
        country_code(code)


# --- working days -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("country", "day", "first"),
    [
        ("norway", "2024-05-15", "2024-05-15"),
        ("norway", "2024-05-17", "2024-05-21"),  # Friday, a weekend, and Whit Monday
        ("norway", "2024-03-28", "2024-04-02"),
        ("sweden", "2024-12-24", "2024-12-27"),
        ("sweden", "2024-12-31", "2025-01-02"),
        ("sweden", "2025-06-20", "2025-06-23"),
        ("denmark", "2024-03-28", "2024-04-02"),
        ("england-2014", "2021-12-25", "2021-12-29"),
    ],
)
def test_a_day_off_gives_way_to_the_next_working_day(country, day, first):
    assert calendar(country).working_day(date.fromisoformat(day)) == date.fromisoformat(first)


@pytest.mark.parametrize(
    ("day", "number", "lands"),
    [
        ("2024-05-15", 0, "2024-05-15"),
        ("2024-05-15", 1, "2024-05-16"),
        ("2024-05-16", 1, "2024-05-21"),  # over 17 May and Whit Monday
        ("2024-05-18", 1, "2024-05-21"),  # from a day off
        ("2024-12-20", 5, "2024-12-31"),
        ("2024-02-28", 1, "2024-02-29"),
        ("2024-12-31", 1, "2025-01-02"),
    ],
)
def test_so_many_working_days_after_a_day(day, number, lands):
    norway = calendar("norway")
    assert norway.after_working_days(date.fromisoformat(day), number) == date.fromisoformat(lands)


def test_the_holidays_of_every_packaged_country_are_known():
    from adapter.discharge.calendar import _LOOKED_UP, _holidays

    for code in _LOOKED_UP:
        assert len(_holidays(code, 2024)) > 7
