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


# --- every way, over weekends, holidays and clock changes ---------------------------------------------------

OFFICE = Count(way="office_hours", duration=timedelta(hours=2), opens=time(8), closes=time(16))
WORKING = Count(way="working_days", duration=timedelta(days=3))
WORKING_NOON = Count(
    way="working_days_with_cutoff",
    duration=timedelta(days=2),
    cutoff=time(12),
    after_cutoff=timedelta(days=3),
)
ABSENT = Count(
    way="calendar_days_with_cutoff",
    duration=timedelta(days=2),
    cutoff=time(14),
    after_cutoff=timedelta(days=3),
)
AT_TEN = Count(way="by_clock", clock=time(10))


@pytest.mark.parametrize(
    ("start", "due"),
    [
        ("2024-03-05T10:00:00", "2024-03-05T12:00:00+01:00"),
        ("2024-03-05T14:00:00", "2024-03-05T16:00:00+01:00"),  # up to closing itself
        ("2024-03-05T14:00:01", "2024-03-06T08:00:01+01:00"),
        ("2024-03-05T15:30:00", "2024-03-06T09:30:00+01:00"),
        ("2024-03-05T08:00:00", "2024-03-05T10:00:00+01:00"),
        ("2024-03-05T07:59:59", "2024-03-05T10:00:00+01:00"),  # before opening: from opening
        ("2024-03-05T00:00:00", "2024-03-05T10:00:00+01:00"),
        ("2024-03-05T16:00:00", "2024-03-06T10:00:00+01:00"),  # after closing: from the next opening
        ("2024-03-05T23:59:59", "2024-03-06T10:00:00+01:00"),
        ("2024-03-01T15:00:00", "2024-03-04T09:00:00+01:00"),  # over a weekend
        ("2024-03-02T11:00:00", "2024-03-04T10:00:00+01:00"),  # on a Saturday
        ("2024-03-03T23:59:59", "2024-03-04T10:00:00+01:00"),
        ("2024-05-16T15:00:00", "2024-05-21T09:00:00+02:00"),  # 17 May, a weekend, Whit Monday
        ("2024-05-17T11:00:00", "2024-05-21T10:00:00+02:00"),
        ("2024-12-31T15:30:00", "2025-01-02T09:30:00+01:00"),  # over the year end
        ("2025-03-28T15:00:00", "2025-03-31T09:00:00+02:00"),  # over the spring night
        ("2025-10-24T15:00:00", "2025-10-27T09:00:00+01:00"),  # over the autumn night
        ("2024-02-28T15:00:00", "2024-02-29T09:00:00+01:00"),
    ],
)
def test_office_hours_run_only_while_the_office_is_open(start, due):
    assert OFFICE.due(at(start, OSLO), NORWAY).isoformat() == due


@pytest.mark.parametrize(
    ("hours", "due"),
    [(8, "2024-03-05T16:00:00+01:00"), (9, "2024-03-06T09:00:00+01:00"), (40, "2024-03-11T16:00:00+01:00")],
)
def test_office_hours_may_take_days(hours, due):
    long = Count(way="office_hours", duration=timedelta(hours=hours), opens=time(8), closes=time(16))
    assert long.due(at("2024-03-05T08:00:00", OSLO), NORWAY).isoformat() == due


@pytest.mark.parametrize(
    ("start", "due"),
    [
        ("2025-03-30T00:30:00+01:00", "2025-03-30T03:30:00+02:00"),  # two o'clock does not come
        ("2025-10-26T00:30:00+02:00", "2025-10-26T02:30:00+02:00"),
        ("2025-10-26T01:30:00+02:00", "2025-10-26T02:30:00+01:00"),  # it comes twice
    ],
)
def test_an_office_that_is_open_at_night_counts_hours_that_pass(start, due):
    night = Count(way="office_hours", duration=timedelta(hours=2), opens=time(0), closes=time(23, 59))
    assert night.due(datetime.fromisoformat(start), OPEN_ON_SUNDAYS).isoformat() == due


class _Open(Calendar):
    """A calendar without a day off."""

    def is_off(self, day: date) -> bool:
        return False


OPEN_ON_SUNDAYS = Ground(calendar=_Open(zone=OSLO))


@pytest.mark.parametrize(
    ("start", "due"),
    [
        ("2024-03-04T00:00:00", "2024-03-07T23:59:59+01:00"),
        ("2024-03-06T23:59:59", "2024-03-11T23:59:59+01:00"),  # Wednesday: Monday
        ("2024-03-08T12:00:00", "2024-03-13T23:59:59+01:00"),
        ("2024-03-09T12:00:00", "2024-03-13T23:59:59+01:00"),  # from a Saturday
        ("2024-03-27T12:00:00", "2024-04-04T23:59:59+02:00"),  # over Easter and the spring night
        ("2024-12-23T12:00:00", "2024-12-30T23:59:59+01:00"),
        ("2025-10-23T12:00:00", "2025-10-28T23:59:59+01:00"),
    ],
)
def test_working_days_end_with_the_last_second_of_the_last_of_them(start, due):
    assert WORKING.due(at(start, OSLO), NORWAY).isoformat() == due


@pytest.mark.parametrize(
    ("start", "due"),
    [
        ("2024-03-04T12:00:00", "2024-03-06T00:00:00+01:00"),
        ("2024-03-04T12:00:01", "2024-03-07T00:00:00+01:00"),
        ("2024-03-07T12:00:00", "2024-03-11T00:00:00+01:00"),  # Thursday noon: Monday
        ("2024-03-08T12:00:01", "2024-03-13T00:00:00+01:00"),
        ("2024-06-19T12:00:00", "2024-06-24T00:00:00+02:00"),  # over Midsummer
        ("2024-12-23T12:00:01", "2025-01-02T00:00:00+01:00"),  # Christmas and New Year
        ("2025-04-16T12:00:00", "2025-04-22T00:00:00+02:00"),  # over Easter
    ],
)
def test_working_days_with_a_cutoff_begin_the_day_after_so_many(start, due):
    assert WORKING_NOON.due(at(start), SWEDEN).isoformat() == due


@pytest.mark.parametrize(
    ("start", "due"),
    [
        ("2021-03-08T14:00:00", "2021-03-10T23:59:59+01:00"),
        ("2021-03-08T14:00:01", "2021-03-11T23:59:59+01:00"),
        ("2021-03-05T14:00:00", "2021-03-07T23:59:59+01:00"),  # calendar days: a Sunday
        ("2021-03-27T14:00:00", "2021-03-29T23:59:59+02:00"),
    ],
)
def test_calendar_days_with_a_cutoff_end_with_the_day(start, due):
    assert ABSENT.due(at(start), SWEDEN).isoformat() == due


@pytest.mark.parametrize(
    ("start", "due"),
    [
        ("2024-03-05T09:59:59", "2024-03-05T10:00:00+01:00"),
        ("2024-03-05T10:00:00", "2024-03-05T10:00:00+01:00"),
        ("2024-03-05T10:00:01", "2024-03-06T10:00:00+01:00"),
        ("2024-02-28T12:00:00", "2024-02-29T10:00:00+01:00"),
        ("2024-12-31T12:00:00", "2025-01-01T10:00:00+01:00"),
        ("2025-03-29T12:00:00", "2025-03-30T10:00:00+02:00"),
        ("2025-10-25T12:00:00", "2025-10-26T10:00:00+01:00"),
    ],
)
def test_by_a_clock_time_today_or_tomorrow(start, due):
    assert AT_TEN.due(at(start, OSLO), NORWAY).isoformat() == due


def test_by_a_clock_time_so_many_days_later():
    later = Count(way="by_clock", clock=time(10), duration=timedelta(days=2))
    assert later.due(at("2024-03-05T12:00:00", OSLO), NORWAY).isoformat() == "2024-03-07T10:00:00+01:00"


@pytest.mark.parametrize(
    ("clock", "due"),
    [(time(2, 30), "2025-03-30T03:30:00+02:00"), (time(3), "2025-03-30T03:00:00+02:00")],
)
def test_a_clock_time_that_does_not_come_is_the_hour_after(clock, due):
    made = Count(way="by_clock", clock=clock).due(at("2025-03-29T12:00:00", OSLO), NORWAY)
    assert made.astimezone(OSLO).isoformat() == due


@pytest.mark.parametrize(
    ("start", "length", "due"),
    [
        ("2024-03-05T00:00:00", 0, "2024-03-05T23:59:59+01:00"),
        ("2024-03-05T23:59:59", 0, "2024-03-05T23:59:59+01:00"),
        ("2024-03-05T23:59:59", 1, "2024-03-06T23:59:59+01:00"),
        ("2024-03-05T10:00:00", 24, "2024-03-06T23:59:59+01:00"),
        ("2025-10-25T23:30:00", 24, "2025-10-26T23:59:59+01:00"),  # a day of 25 hours
        ("2025-03-29T23:30:00", 24, "2025-03-31T23:59:59+02:00"),  # a day of 23
    ],
)
def test_the_same_day_or_the_day_of_so_many_hours_later(start, length, due):
    count = Count(way="same_day", duration=timedelta(hours=length))
    assert count.due(at(start, OSLO), NORWAY).isoformat() == due


@pytest.mark.parametrize(
    ("leaves", "due"),
    [
        ("2024-03-07T14:00:00", "2024-03-07T14:00:00+01:00"),
        ("2024-03-04T14:00:00", "2024-03-05T10:00:00+01:00"),  # never before the start
        (None, None),
    ],
)
def test_until_the_discharge_if_it_is_known(leaves, due):
    ground = Ground(calendar=NORWAY.calendar, leaves_at=at(leaves, OSLO) if leaves else None)
    made = Count(way="until_discharge").due(at("2024-03-05T10:00:00", OSLO), ground)
    assert (made.isoformat() if made else None) == due


@pytest.mark.parametrize(
    ("day", "due"),
    [
        (date(2024, 3, 20), "2024-03-20T23:59:59+01:00"),
        (date(2024, 4, 1), "2024-04-01T23:59:59+02:00"),
        (date(2024, 3, 1), "2024-03-05T23:59:59+01:00"),  # never before the start
        (None, None),
    ],
)
def test_the_day_that_the_notice_names_if_it_names_one(day, due):
    ground = Ground(calendar=NORWAY.calendar, named_day=day)
    made = Count(way="named_day").due(at("2024-03-05T10:00:00", OSLO), ground)
    assert (made.isoformat() if made else None) == due


@pytest.mark.parametrize(
    ("start", "due"),
    [
        ("2025-03-05T11:00:00", "2025-03-10T23:59:59+01:00"),  # Saturday to Monday
        ("2025-03-06T11:00:00", "2025-03-10T23:59:59+01:00"),  # Sunday to Monday
        ("2025-03-07T11:00:00", "2025-03-10T23:59:59+01:00"),  # Monday stays
        ("2025-06-17T11:00:00", "2025-06-23T23:59:59+02:00"),  # Midsummer Eve to Monday
        ("2025-12-21T11:00:00", "2025-12-29T23:59:59+01:00"),  # Christmas Eve, Thursday, Friday, weekend
        ("2025-10-22T11:00:00", "2025-10-27T23:59:59+01:00"),  # over the autumn night
    ],
)
def test_a_last_day_that_is_off_gives_way_where_the_rule_rolls(start, due):
    rolling = Count(way="calendar_days", duration=timedelta(days=3), rolls=True)
    assert rolling.due(at(start), SWEDEN).isoformat() == due


def test_a_last_hour_that_is_off_gives_way_to_the_same_hour():
    rolling = Count(way="elapsed", duration=timedelta(hours=24), rolls=True)
    assert rolling.due(at("2025-03-28T10:00:00"), SWEDEN).isoformat() == "2025-03-31T10:00:00+02:00"


def test_what_depends_on_something_unknown_does_not_roll():
    rolling = Count(way="until_discharge", rolls=True)
    assert rolling.due(at("2025-03-28T10:00:00"), SWEDEN) is None


@pytest.mark.parametrize("name", sorted(WAYS))
def test_no_way_leads_before_its_start(name):
    count = Count(
        way=name,
        duration=timedelta(days=2),
        cutoff=time(12),
        after_cutoff=timedelta(days=3),
        clock=time(10),
        opens=time(8),
        closes=time(16),
    )
    for hour in range(0, 24 * 9, 5):
        start = at("2025-03-24T00:00:00", OSLO) + timedelta(hours=hour)
        ground = Ground(calendar=NORWAY.calendar, leaves_at=start, named_day=start.date())
        due = count.due(start, ground)
        assert due is not None
        assert due >= start
        assert due.utcoffset() == due.astimezone(OSLO).utcoffset()
