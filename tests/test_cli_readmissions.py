"""Readmissions on the command line: the counts of a month, with small numbers withheld."""

import csv
import io
import uuid
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from adapter.discharge.notices import NoticeKind
from adapter.fhir.bundles import Subject
from adapter.readmissions import counted, withheld
from tests.conftest import StandingClock
from tests.shell import FIXTURES, Shell
from tests.stage import REGION, Stage, stage

K = NoticeKind
OSLO = ZoneInfo("Europe/Oslo")
HOME = datetime(2014, 3, 10, 10, 0, tzinfo=OSLO)
DAY = timedelta(days=1)


def patient(number: int) -> Subject:
    return Subject(family=f"Prøve {number}", given="Kari", birth_date=date(1940, 1, 1), gender="female")


def lives(
    play: Stage,
    number: int,
    again: timedelta | None,
    *,
    acute: bool | None = True,
    home: datetime = HOME,
    municipality: str = "sogndal",
) -> None:
    """A patient who went home, and came back so much later."""
    told = [(K.ADMITTED, home - 2 * DAY), (K.DISCHARGED, home)]
    if again is not None:
        told.append((K.ADMITTED, home + again))
    for kind, at in told:
        content = play.message(
            kind,
            at=at,
            subject=patient(number),
            receivers=(municipality,),
            message_id=str(uuid.uuid4()),
            **({"acute": acute} if at > home else {}),
        )
        assert play.receive(content).outcome == "accepted"


@pytest.fixture
def play(tmp_path: Path) -> Stage:
    """Sogndal: seven went home in March, of whom five came back. Årdal: one, who may have."""
    clock = StandingClock(at=datetime(2014, 4, 20, 10, 0, tzinfo=OSLO))
    made = stage(f"sqlite:///{tmp_path}/region.db", clock)
    for number in range(5):
        lives(made, number, 5 * DAY)
    lives(made, 5, None)
    lives(made, 6, 5 * DAY, acute=False)
    lives(made, 7, 5 * DAY, acute=None, municipality="aardal")
    lives(made, 8, 5 * DAY, home=datetime(2014, 2, 28, 23, 59, 59, tzinfo=OSLO))
    lives(made, 9, None, home=datetime(2014, 4, 1, 0, 0, tzinfo=OSLO))
    return made


@pytest.fixture
def shell(play: Stage, tmp_path: Path) -> Shell:
    play.close()
    (tmp_path / "adapter.toml").write_text(f'region = "{REGION}"\nstore = "sqlite:///{tmp_path}/region.db"\n')
    return Shell(tmp_path)


def test_one_to_four_are_withheld(shell: Shell) -> None:
    assert shell("readmissions", "--month", "2014-03", "--json").json == {
        "month": "2014-03",
        "withheld": True,
        "lines": [
            {"municipality": "aardal", "discharges": "1-4", "readmissions": 0, "possible": "1-4",
             "watched": 0},
            {"municipality": "sogndal", "discharges": 7, "readmissions": 5, "possible": 0, "watched": 0},
        ],
    }  # fmt: skip


def test_zero_and_five_are_told_and_nothing_between() -> None:
    assert [withheld(number) for number in range(7)] == [0, "1-4", "1-4", "1-4", "1-4", 5, 6]


def test_exact_tells_them(shell: Shell) -> None:
    told = shell("readmissions", "--month", "2014-03", "--exact", "--json").json
    assert told["withheld"] is False
    assert told["lines"][0] == {
        "municipality": "aardal", "discharges": 1, "readmissions": 0, "possible": 1, "watched": 0,
    }  # fmt: skip


def test_csv_and_table_have_a_line_a_municipality(shell: Shell) -> None:
    out = shell("readmissions", "--month", "2014-03", "--csv").out.decode()
    lines = list(csv.DictReader(io.StringIO(out)))
    assert [(line["month"], line["municipality"], line["discharges"]) for line in lines] == [
        ("2014-03", "aardal", "1-4"),
        ("2014-03", "sogndal", "7"),
    ]
    table = shell("readmissions", "--month", "2014-03").out.decode()
    assert "sogndal" in table
    assert "Readmissions after discharges of 2014-03" in table


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--month: is missing"),
        (("--month", "2014-13"), "--month 2014-13: is no month"),
        (("--month", "2014-03", "--csv", "--json"), "--csv and --json: choose one of them"),
    ],
)
def test_what_makes_no_sense_is_status_2(shell: Shell, arguments: tuple[str, ...], said: str) -> None:
    ended = shell("readmissions", *arguments)
    assert (ended.status, said in ended.said) == (2, True)


def test_a_country_without_a_definition_says_what_to_write(shell: Shell) -> None:
    (shell.folder / "adapter.toml").write_text(
        f'agreement = "sweden"\nstore = "sqlite:///{shell.folder}/region.db"\n'
    )
    ended = shell("readmissions", "--month", "2014-03")
    assert ended.status == 2
    assert "nothing says what a readmission is; write an [[accord]]" in ended.said


def test_a_month_is_that_of_the_local_day_and_what_is_still_watched_is_told(play: Stage) -> None:
    now = play.clock()
    with play.built.store.read() as connection:
        february, april = (counted(connection, play.built.cases, f"2014-{m}", now) for m in ("02", "04"))
        later = counted(connection, play.built.cases, "2014-04", now + 30 * DAY)
    assert [(c.municipality, c.discharges, c.readmissions) for c in february] == [("sogndal", 1, 1)]
    assert [(c.discharges, c.watched) for c in april] == [(1, 1)]
    assert [(c.discharges, c.watched) for c in later] == [(1, 0)]
    play.close()


def test_a_stay_that_soon_goes_on_is_no_discharge_and_the_dead_are_not_watched(play: Stage) -> None:
    april = datetime(2014, 4, 14, 10, 0, tzinfo=OSLO)
    lives(play, 20, timedelta(hours=7), home=april)
    lives(play, 21, None, home=april)
    died = play.message(K.DECEASED, at=april + DAY, subject=patient(21), hospital=None)
    assert play.receive(died).outcome == "accepted"
    with play.built.store.read() as connection:
        (line,) = counted(connection, play.built.cases, "2014-04", play.clock().astimezone(UTC))
    assert (line.discharges, line.watched) == (2, 1)  # those of 1 April and of the one who died
    play.close()


def test_a_described_case_is_told_with_the_stay_that_follows_it(tmp_path: Path) -> None:
    scenario = FIXTURES / "scenarios" / "norway-admitted-again-after-five-days.json"
    told = Shell(tmp_path)("explain", scenario).out.decode()
    first, later = told.split("\nCase 2\n")
    assert "followed by case 2: readmission" in first
    assert "follows case 1: readmission" in later
    assert "admission Saturday 2024-03-09 10:00:00, and 24 hours later" in later
    assert later.count("no day is charged") == 1


def test_both_cases_and_the_explanation_name_each_other(shell: Shell) -> None:
    assert "followed by case 2: a readmission" in shell("case", 1).out.decode()
    assert "a readmission after the discharge of case 1" in shell("case", 2).out.decode()
    assert shell("case", 2, "--json").json["readmission_of"] == 1
    told = shell("explain", "--case", 2, "--language", "nb").out.decode()
    assert "follows case 1: readmission" in told
    assert "en reinnleggelse" in told
    document = shell("explain", "--case", 1, "--json").json
    assert (document["followed_by"]["case"], document["follows"]) == (2, None)
