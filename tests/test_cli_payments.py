"""Payments on the command line, and why: a store from March 2014, looked at long afterwards."""

import csv
import io
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from adapter.config import load_region
from adapter.discharge.notices import NoticeKind
from tests.conftest import StandingClock
from tests.shell import Shell
from tests.stage import REGION, answering, stage

K = NoticeKind
UMEAA = REGION.parent / "umea-average.toml"


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """One patient of Sogndal has been ready since 3 March, and nobody has answered."""
    clock = StandingClock(at=datetime(2014, 3, 3, 10, 0, tzinfo=ZoneInfo("Europe/Oslo")))
    play = stage(f"sqlite:///{tmp_path}/region.db", clock)
    play.post.answer = answering(clock)
    for kind in (K.ADMITTED, K.CARE_NEEDS, K.READY_FOR_DISCHARGE):
        play.receive(play.message(kind))
        play.deliver()
    play.close()
    (tmp_path / "adapter.toml").write_text(f'region = "{REGION}"\nstore = "sqlite:///{tmp_path}/region.db"\n')
    return Shell(tmp_path)


def test_a_month_is_shown_as_a_document_and_its_totals_are_the_sums(shell: Shell) -> None:
    told = shell("payments", "--month", "2014-03", "--json").json
    assert (told["month"], told["closed_at"], len(told["lines"])) == ("2014-03", None, 29)
    assert told["totals"] == [
        {
            "municipality": "sogndal",
            "payee": "hospital",
            "days": 29,
            "days_over": None,
            "amount": "123395",
            "currency": "NOK",
        }
    ]
    first = told["lines"][0]
    assert (first["date"], first["amount"], first["kind"], first["state"]) == (
        "2014-03-03", "4255", "charge", "open",
    )  # fmt: skip
    assert "silence counts as no" in first["why"]


def test_csv_has_a_line_a_day(shell: Shell) -> None:
    lines = list(csv.DictReader(io.StringIO(shell("payments", "--month", "2014-03", "--csv").out.decode())))
    assert len(lines) == 29
    assert lines[-1] | {"why": ""} == {
        "month": "2014-03", "id": "", "date": "2014-03-31", "case": "1", "municipality": "sogndal",
        "payee": "hospital", "amount": "4255", "currency": "NOK", "kind": "charge", "state": "open",
        "reverses": "", "why": "", "agreement": "", "days_over": "",
    }  # fmt: skip


def test_a_month_is_closed_disputed_and_waived(shell: Shell) -> None:
    closed = shell("payments", "--month", "2014-03", "--close", "--by", "Kari", "--json").json
    assert closed["closed_at"] is not None
    number = closed["lines"][0]["id"]
    assert shell("payments", "dispute", number, "--why", "fire", "--json").json == {"disputed": [number]}
    assert shell("payments", "waive", number, "--why", "fire", "--by", "Kari").status == 0
    april = shell("payments", "--month", "2014-04", "--json").json
    reversal = next(line for line in april["lines"] if line["kind"] == "reversal")
    assert (reversal["reverses"], reversal["amount"], reversal["date"]) == (number, "-4255", "2014-03-03")
    assert april["totals"][0]["amount"] == str(30 * 4255 - 4255)
    again = shell("payments", "--month", "2014-03", "--close")
    assert (again.status, "closed already" in again.said) == (2, True)


def test_people_get_tables(shell: Shell) -> None:
    told = shell("payments", "--month", "2014-03").out.decode()
    assert "2014-03, open: worked out now" in told
    assert "Totals" in told
    assert "days over" not in told
    assert "reverses" not in told


def test_a_closed_month_is_told_on_the_hospitals_clock_and_a_reversal_names_what_it_reverses(
    shell: Shell,
) -> None:
    closed = shell("payments", "--month", "2014-03", "--close", "--by", "Kari", "--json").json
    at = datetime.fromisoformat(closed["closed_at"]).astimezone(ZoneInfo("Europe/Oslo"))
    table = shell("payments", "--month", "2014-03").out.decode()
    assert table.startswith(f"2014-03, closed {at:%Y-%m-%d %H:%M}")
    assert "reverses" not in table
    number = closed["lines"][0]["id"]
    shell("payments", "waive", number, "--why", "fire")
    told = shell("payments", "--month", "2014-04").out.decode()
    assert "reverses" in told
    (line,) = [row for row in told.splitlines() if "-4255" in row and "reversal" in row]
    assert [cell.strip() for cell in line.split("│")][8:10] == ["reversal", str(number)]


def test_a_real_case_is_explained_in_both_languages(shell: Shell) -> None:
    told = shell("explain", "--case", 1, "--json").json
    assert told["languages"] == ["en", "nb"]
    assert told["payment"]["liable_from"] == "2014-03-03"
    english = shell("explain", "--case", 1).out.decode()
    assert "silence" not in english.split("Charged days")[0]
    assert "so counted from that day: Monday 2014-03-03" in english
    norwegian = shell("explain", "--case", 1, "--language", "nb").out.decode()
    assert "altså regnet fra den dagen: mandag 2014-03-03" in norwegian
    wrong = shell("explain", "--case", 1, "--language", "sv")
    assert (wrong.status, "this case is told in en and nb" in wrong.said) == (2, True)


def test_a_follow_up_is_recorded_by_hand_and_meets_what_was_asked(shell: Shell) -> None:
    clock = StandingClock(at=datetime(2014, 3, 7, 10, 0, tzinfo=ZoneInfo("Europe/Oslo")))
    play = stage(f"sqlite:///{shell.folder}/region.db", clock)
    for kind, more in ((K.DISCHARGED, {}), (K.DISCHARGE_REPORT, {"follow_up": date(2014, 3, 12)})):
        assert play.receive(play.message(kind, **more)).outcome == "accepted"
        clock.forward(minutes=5)
    play.close()

    def state() -> str:
        (found,) = [
            d for d in shell("case", 1, "--json").json["deadlines"] if d["kind"] == "follow-up-check-up"
        ]
        return str(found["state"])

    assert state() == "open"
    done = shell("followed-up", 1, "--at", "2014-03-10T09:00:00+01:00", "--by", "Solveig", "--json")
    assert done.json == {"case": 1, "followed_up": True, "met": ["follow-up-check-up"]}
    assert state() == "met"
    again = shell("followed-up", 1, "--at", "2014-03-11T09:00:00+01:00", "--by", "Solveig").out.decode()
    assert "recorded as followed up, but it meets no follow-up" in again


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["99"], "there is no case 99"),
        (["1", "--at", "yesterday"], "--at yesterday: is no time with an offset"),
        (["1", "--at", "2014-03-10T09:00:00"], "is no time with an offset"),
        (["1", "--at", "2999-01-01T09:00:00+01:00"], "lies ahead"),
    ],
)
def test_a_follow_up_that_cannot_be_is_told_so(shell: Shell, arguments: list[str], said: str) -> None:
    done = shell("followed-up", *arguments)
    assert (done.status, done.out) == (2, b"")
    assert said in done.said


# --- the mean of a month ----------------------------------------------------------------------------------


@pytest.fixture
def umeaa(tmp_path: Path) -> Shell:
    """Vindeln, whose patients were ready for nine days of March 2022, where three are agreed on average."""
    clock = StandingClock(at=datetime(2022, 3, 2, 10, 0, tzinfo=ZoneInfo("Europe/Stockholm")))
    play = stage(f"sqlite:///{tmp_path}/region.db", clock, of=load_region(UMEAA))
    hospital = {"sender": "nus", "receivers": ("vindeln", "vindelns-hc"), "hospital": "nus"}
    clinic = {"sender": "vindelns-hc", "receivers": ("nus",), "hospital": "nus", "open_care_available": True}
    play.receive(play.message(K.ADMITTED, **hospital))
    play.receive(play.message(K.OPEN_CARE_AVAILABILITY, **clinic))
    play.receive(play.message(K.READY_FOR_DISCHARGE, **hospital))
    clock.forward(days=9)
    play.receive(play.message(K.DISCHARGED, **hospital))
    play.close()
    (tmp_path / "adapter.toml").write_text(f'region = "{UMEAA}"\nstore = "sqlite:///{tmp_path}/region.db"\n')
    return Shell(tmp_path)


def test_the_mean_of_a_month_is_a_line_in_json_and_csv_and_a_table(umeaa: Shell) -> None:
    told = umeaa("payments", "--month", "2022-03", "--json").json
    (line,) = told["lines"]
    assert (line["case"], line["date"], line["amount"], line["days_over"], line["agreement"]) == (
        None, "2022-03-31", "55800.00", "6.0", "Genomsnittsmodellen 2022",
    )  # fmt: skip
    assert "ready days: 9; the mean 9.00 is above the agreed 3.0" in line["why"]
    assert told["totals"] == [
        {
            "municipality": "vindeln", "payee": "region", "days": 0, "days_over": "6.0", "amount": "55800.00",
            "currency": "SEK",
        }
    ]  # fmt: skip
    (row,) = csv.DictReader(io.StringIO(umeaa("payments", "--month", "2022-03", "--csv").out.decode()))
    assert (row["case"], row["days_over"], row["why"]) == ("", "6.0", line["why"])
    table = umeaa("payments", "--month", "2022-03").out.decode()
    assert "days over" in table
    assert "55800.00" in table


def test_the_mean_of_a_month_is_closed_and_disputed(umeaa: Shell) -> None:
    closed = umeaa("payments", "--month", "2022-03", "--close", "--json").json
    number = closed["lines"][0]["id"]
    assert umeaa("payments", "dispute", number, "--why", "fel", "--json").json == {"disputed": [number]}
    frozen = umeaa("payments", "--month", "2022-03", "--json").json["lines"]
    assert frozen == [closed["lines"][0] | {"state": "disputed"}]


def test_a_level_that_is_no_number_stops_with_file_key_and_reason(umeaa: Shell) -> None:
    wrong = umeaa.folder / "wrong.toml"
    wrong.write_text(UMEAA.read_text().replace('"3.0"', '"three"'))
    (umeaa.folder / "adapter.toml").write_text(f'region = "{wrong}"\n')
    told = umeaa("payments", "--month", "2022-03")
    assert told.status == 2
    assert "wrong.toml" in told.said
    assert "term 'average_days': 'three' is no number of days" in told.said
