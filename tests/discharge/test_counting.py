"""The named ways of counting: to the second, over both clock changes, leap day and year end."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from adapter.discharge.calendar import Calendar
from adapter.discharge.counting import (
    WAYS,
    Count,
    Ground,
    duration,
    first_second,
    in_time,
    iso,
    last_second,
    local,
)

OSLO = ZoneInfo("Europe/Oslo")
STOCKHOLM = ZoneInfo("Europe/Stockholm")
NORWAY = Ground(calendar=Calendar(zone=OSLO, holidays_of="NO"))
SWEDEN = Ground(
    calendar=Calendar(zone=STOCKHOLM, holidays_of="SE", days_off=("12-24", "12-31", "midsummer-eve"))
)
A_DAY = Count(way="elapsed", duration=timedelta(hours=24))
THREE_DAYS = Count(way="calendar_days", duration=timedelta(days=3))
NOON = Count(
    way="days_with_cutoff", duration=timedelta(days=3), cutoff=time(12), after_cutoff=timedelta(days=4)
)


def at(text: str, zone: ZoneInfo = STOCKHOLM) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone)


@pytest.mark.parametrize(
    ("start", "due"),
    [
        ("2025-10-26T01:30:00", "2025-10-27T00:30:00+01:00"),  # the autumn night has an hour more
        ("2025-03-30T01:30:00", "2025-03-31T02:30:00+02:00"),  # the spring night an hour less
        ("2025-10-25T12:00:00", "2025-10-26T11:00:00+01:00"),
        ("2024-02-28T10:00:00", "2024-02-29T10:00:00+01:00"),
        ("2023-02-28T10:00:00", "2023-03-01T10:00:00+01:00"),
        ("2024-12-31T23:59:59", "2025-01-01T23:59:59+01:00"),
    ],
)
def test_elapsed_hours_are_absolute(start, due):
    assert A_DAY.due(at(start, OSLO), NORWAY).isoformat() == due


@pytest.mark.parametrize(
    ("start", "due"),
    [
        ("2025-03-07T12:00:00", "2025-03-10T23:59:59+01:00"),
        ("2025-03-07T12:00:01", "2025-03-10T23:59:59+01:00"),  # no cut-off here
        ("2025-03-07T00:00:00", "2025-03-10T23:59:59+01:00"),
        ("2025-03-07T23:59:59", "2025-03-10T23:59:59+01:00"),
        ("2025-03-05T11:00:00", "2025-03-08T23:59:59+01:00"),  # Saturday, and stays Saturday
        ("2025-03-28T09:00:00", "2025-03-31T23:59:59+02:00"),  # over the spring night
        ("2024-02-27T09:00:00", "2024-03-01T23:59:59+01:00"),
        ("2024-12-30T09:00:00", "2025-01-02T23:59:59+01:00"),
    ],
)
def test_calendar_days_end_with_the_last_second_of_the_local_day(start, due):
    assert THREE_DAYS.due(at(start), SWEDEN).isoformat() == due


@pytest.mark.parametrize(
    ("start", "due"),
    [
        ("2025-03-07T11:59:59", "2025-03-10T00:00:00+01:00"),
        ("2025-03-07T12:00:00", "2025-03-10T00:00:00+01:00"),  # noon exactly is not after noon
        ("2025-03-07T12:00:01", "2025-03-11T00:00:00+01:00"),
        ("2025-03-05T11:00:00", "2025-03-08T00:00:00+01:00"),  # a Saturday: no roll-over
        ("2025-04-17T10:00:00", "2025-04-20T00:00:00+02:00"),  # Easter Day
        ("2025-10-24T13:00:00", "2025-10-28T00:00:00+01:00"),  # over the autumn night
        ("2024-02-27T12:00:01", "2024-03-02T00:00:00+01:00"),
        ("2024-12-29T08:00:00", "2025-01-01T00:00:00+01:00"),
    ],
)
def test_after_noon_a_day_more_passes_before_the_first_chargeable_day(start, due):
    assert NOON.due(at(start), SWEDEN).isoformat() == due


def test_noon_is_noon_where_the_hospital_is():
    sent = datetime(2025, 7, 4, 10, 30, tzinfo=UTC)  # 12:30 in Stockholm
    assert NOON.due(sent, SWEDEN).date() == date(2025, 7, 8)


def test_a_fraction_of_a_second_is_not_after_noon():
    assert NOON.due(at("2025-03-07T12:00:00.900000"), SWEDEN).date() == date(2025, 3, 10)


def test_a_day_is_kept_through_its_last_second():
    due = last_second(date(2025, 3, 10), STOCKHOLM)
    assert in_time(at("2025-03-10T23:59:59.999999"), due)
    assert not in_time(at("2025-03-11T00:00:00"), due)


def test_the_hour_that_comes_twice_keeps_its_offset():
    first = datetime(2025, 10, 26, 0, 30, tzinfo=UTC)
    second = first + timedelta(hours=1)
    assert local(first, OSLO).isoformat() == "2025-10-26T02:30:00+02:00"
    assert local(second, OSLO).isoformat() == "2025-10-26T02:30:00+01:00"
    assert local(first, OSLO) < local(second, OSLO)


def test_a_local_day_can_have_23_or_25_hours():
    spring = first_second(date(2025, 3, 31), OSLO) - first_second(date(2025, 3, 30), OSLO)
    autumn = first_second(date(2025, 10, 27), OSLO) - first_second(date(2025, 10, 26), OSLO)
    assert (spring, autumn) == (timedelta(hours=23), timedelta(hours=25))


@pytest.mark.parametrize("text", ["PT24H", "P3D", "PT1H30M", "PT45S"])
def test_durations_are_written_as_they_are_read(text):
    assert iso(duration(text)) == ("P1D" if text == "PT24H" else text)


@pytest.mark.parametrize(
    "text", ["", "P", "PT", "3D", "P3", "P1M", "P1Y", "PT-1H", "P0D", "PT0S", "P1DT", "p3d"]
)
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="duration"):
        duration(text)


def test_a_duration_may_be_long_and_all_in_seconds():
    assert duration("PT172800S") == timedelta(days=2)


@pytest.mark.parametrize("name", sorted(WAYS))
def test_every_way_says_what_it_counts(name):
    assert WAYS[name].__doc__
    assert WAYS[name].__name__ == name
