"""Closing, reopening and ticking off on the command line; `case` shows what corrections have changed."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from adapter.config import load_region
from tests.conftest import StandingClock
from tests.medcom_stays import COPENHAGEN, Stay
from tests.shell import Shell
from tests.stage import stage

REGION = Path(__file__).parent.parent / "fixtures" / "regions" / "strandby.toml"
NOON = datetime(2024, 3, 6, 12, 0, tzinfo=COPENHAGEN)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Nancy was admitted in March 2024, the time was corrected, and the hospital wants a report."""
    clock = StandingClock(at=NOON + timedelta(hours=1))
    play = stage(f"sqlite:///{tmp_path}/region.db", clock, of=load_region(REGION))
    stay = Stay(NOON)
    told = (
        stay.admit(report=True),
        stay.revise(stay.history[0], clock(), start=NOON + timedelta(minutes=20)),
    )
    for content in told:
        assert play.receive(content).outcome == "accepted"
    play.close()
    (tmp_path / "adapter.toml").write_text(f'region = "{REGION}"\nstore = "sqlite:///{tmp_path}/region.db"\n')
    return Shell(tmp_path)


def test_a_case_is_closed_and_opened_again(shell: Shell) -> None:
    done = shell("close", 1, "--because", "hun kom aldrig", "--by", "Ida", "--json")
    assert (done.status, done.json) == (0, {"case": 1, "state": "closed"})
    assert shell("case", 1, "--json").json["state"] == "closed"
    again = shell("reopen", 1, "--because", "hun er her", "--by", "Ida")
    assert (again.status, again.out.decode().strip()) == (0, "case 1 is open again")
    assert shell("case", 1, "--json").json["state"] == "admitted"


def test_a_closing_may_be_in_the_past(shell: Shell) -> None:
    shell("close", 1, "--because", "x", "--at", "2024-03-08T10:00:00+01:00")
    assert shell("case", 1, "--json").json["discharged_at"] == "2024-03-08T09:00:00Z"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("close", 1, "--because", " "), "says nothing"),
        (("close", 1, "--because", "251248-9996 kom aldrig"), "identity number"),
        (("close", 9, "--because", "x"), "there is no case 9"),
        (("close", 1, "--because", "x", "--at", "2024-03-01T10:00:00+01:00"), "in another case"),
        (("reopen", 1, "--because", "x"), "nobody has closed it"),
        (("report-sent", 9), "there is no case 9"),
        (("report-sent", 1, "--at", "2024-03-06T10:00:00+01:00"), "before the admission asked"),
    ],
)
def test_what_cannot_be_done_is_said(shell: Shell, arguments: tuple[object, ...], says: str) -> None:
    done = shell(*arguments)
    assert done.status != 0
    assert says in " ".join(done.said.split())


def test_the_report_is_ticked_off_once(shell: Shell) -> None:
    done = shell("report-sent", 1, "--by", "Ida", "--json")
    assert (done.status, done.json) == (0, {"case": 1, "report_sent": True})
    (deadline,) = [
        d for d in shell("case", 1, "--json").json["deadlines"] if d["kind"] == "report-of-admission"
    ]
    assert deadline["state"].startswith("met")
    assert shell("report-sent", 1).status != 0


def test_a_case_tells_what_its_corrections_changed(shell: Shell) -> None:
    told = shell("case", 1).out.decode()
    assert "What corrections changed" in told
    assert "occurred" in told
    assert "12:20" in told
