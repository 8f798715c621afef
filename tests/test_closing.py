"""Closing a case by hand, reopening it, and the report of admission as a Task, on both stores."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapter.closing import close, reopen, report_sent
from adapter.config import load_region
from adapter.discharge.notices import NoticeKind
from adapter.errors import NotFound, Refused
from adapter.fhir.bundles import CPR, Resource, Subject
from adapter.fhir.searching import read_query
from adapter.plans import Conflict, Plans
from adapter.readers import Reader
from adapter.store import cases as rows
from adapter.store import shown, tables
from adapter.store.resources import Eyes
from tests.conftest import StandingClock
from tests.medcom_stays import COPENHAGEN, Stay
from tests.medcom_stays import CPR as NUMBER
from tests.stage import Stage, stage

pytestmark = pytest.mark.postgres_in_soak

K = NoticeKind
REGION = Path(__file__).parent.parent / "fixtures" / "regions" / "strandby.toml"
NOON = datetime(2024, 3, 6, 12, 0, tzinfo=COPENHAGEN)
NANCY = Subject(identifiers=((CPR, NUMBER),), family="Berggren", given="Nancy")


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock(NOON + timedelta(hours=1))


@pytest.fixture
def play(store_url: str, clock: StandingClock) -> Iterator[Stage]:
    made = stage(store_url, clock, of=load_region(REGION))
    yield made
    made.close()


def shut(play: Stage, at: datetime | None = None, **more: Any) -> None:
    told = {"new_id": f"c-{play.clock().isoformat()}", "by": "Ida", "why": "hun kom aldrig"} | more
    now = play.clock()
    play.write(lambda tx: close(tx, play.built.inbox.shelves, 1, at or now, now, **told))


def open_again(play: Stage, case_id: int = 1) -> None:
    new_id = f"o-{play.clock().isoformat()}"
    play.write(
        lambda tx: reopen(
            tx,
            play.built.inbox.shelves,
            case_id,
            play.clock(),
            new_id=new_id,
            by="Ida",
            why="hun kom alligevel",
        )
    )


def states(play: Stage) -> list[str]:
    return [row["state"] for row in play.rows(tables.case)]


def tick_off(play: Stage, at: datetime | None = None) -> None:
    now = play.clock()
    play.write(
        lambda tx: report_sent(tx, play.built.inbox.shelves, 1, at or now, now, new_id="r-1", by="Ida")
    )


def due(play: Stage) -> list[tuple[str, str]]:
    return [(row["kind"], row["state"]) for row in play.rows(tables.deadline)]


def read(play: Stage, *parties: str) -> list[Resource]:
    """The Tasks that a machine of these parties finds."""
    shelves = play.built.inbox.shelves
    assert shelves.catch_up()
    reader = Reader(shelves=shelves, eyes=Eyes(parties=parties), partner=None)
    with play.built.store.read() as tx:
        return [r for r in reader.of_case(tx, 1) if r["resourceType"] == "Task"]


def standing(play: Stage, *parties: str) -> list[tuple[str, str]]:
    return [(t["status"], t["meta"]["versionId"]) for t in read(play, *parties)]


# --- closing ----------------------------------------------------------------------------------------------


def test_a_closed_case_has_no_open_deadlines_and_says_why_in_its_history(
    play: Stage, clock: StandingClock
) -> None:
    play.receive(Stay(NOON).admit(report=True))
    assert due(play) == [("report-of-admission", "open")]
    clock.forward(hours=3)
    shut(play)
    assert states(play) == ["closed"]
    assert due(play) == [("report-of-admission", "void")]
    with play.built.store.read() as tx:
        (note,) = rows.notes(tx, 1)
    assert (note["by"], note["what"]) == ("Ida", "closed by hand: hun kom aldrig")


def test_reopening_makes_it_as_before(play: Stage, clock: StandingClock) -> None:
    play.receive(Stay(NOON).admit(report=True))
    shut(play)
    clock.forward(hours=1)
    open_again(play)
    assert states(play) == ["admitted"]
    assert due(play) == [("report-of-admission", "open")]
    shut(play, new_id="again")  # and it can be closed anew
    assert states(play) == ["closed"]


def test_an_admission_after_the_closing_is_a_new_case(play: Stage, clock: StandingClock) -> None:
    play.receive(Stay(NOON).admit())
    shut(play)
    clock.forward(days=2)
    play.receive(Stay(NOON + timedelta(days=2)).admit())
    assert states(play) == ["closed", "admitted"]


def test_what_is_over_or_was_not_closed_by_hand_says_so(play: Stage, clock: StandingClock) -> None:
    stay = Stay(NOON)
    play.receive(stay.admit())
    with pytest.raises(NotFound, match="nobody has closed it"):
        open_again(play)
    with pytest.raises(NotFound, match="lies ahead"):
        shut(play, clock() + timedelta(seconds=1))
    with pytest.raises(NotFound, match="is not in 1950 to"):
        shut(play, NOON.replace(year=1949))
    with pytest.raises(NotFound, match="in another case"):
        shut(play, NOON - timedelta(days=1))
    assert states(play) == ["admitted"]  # nothing was kept of it
    clock.forward(days=1)
    play.receive(stay.discharge(NOON + timedelta(days=1)))
    with pytest.raises(NotFound, match="needs no closing"):
        shut(play)
    with pytest.raises(NotFound, match="there is no case 9"):
        open_again(play, 9)


def test_the_closing_of_another_hospitals_stay_after_a_transfer(play: Stage, clock: StandingClock) -> None:
    play.receive(Stay(NOON).admit())
    clock.forward(days=1)
    play.receive(Stay(NOON + timedelta(days=1), hospital="lindholm-sygehus").admit())
    shut(play)
    assert states(play) == ["closed"]


# --- the report of admission as a task ---------------------------------------------------------------------


def test_the_flag_becomes_one_task_of_the_municipality(play: Stage) -> None:
    content = Stay(NOON).admit(report=True)
    play.receive(content)
    play.receive(content)  # a duplicate
    (task,) = read(play, "strandby")
    assert task["code"]["coding"][0]["code"] == "report-of-admission"
    assert (task["status"], task["owner"]) == ("requested", {"reference": "Organization/strandby"})
    assert task["requester"] == {"reference": "Organization/strandby-sygehus"}
    assert len(read(play, "strandby-sygehus")) == 1
    assert read(play, "egelund") == []


def test_the_task_is_found_by_its_code_and_by_how_it_stands(play: Stage) -> None:
    play.receive(Stay(NOON).admit(report=True))
    read(play, "strandby")
    reader = Reader(shelves=play.built.inbox.shelves, eyes=Eyes(parties=("strandby",)), partner=None)

    def found(status: str) -> int:
        terms = [("code", "report-of-admission"), ("status", status)]
        with play.built.store.read() as tx:
            return len(reader.search(tx, read_query("Task", terms, zone=COPENHAGEN)).matches)

    assert (found("requested"), found("completed")) == (1, 0)
    tick_off(play)
    assert (found("requested"), found("completed")) == (0, 1)


def test_without_the_flag_and_by_other_activities_there_is_none(play: Stage, clock: StandingClock) -> None:
    stay = Stay(NOON)
    play.receive(stay.admit())
    play.receive(stay.revise(stay.history[0], NOON + timedelta(minutes=5), report=True))
    play.receive(stay.start_leave(NOON + timedelta(minutes=10), report=True))
    play.receive(stay.discharge(NOON + timedelta(minutes=20), report=True))
    assert read(play, "strandby") == []
    assert due(play) == [("treatment-responsibility", "open")] or due(play) == []


def test_the_report_to_the_hospital_does_it(play: Stage, clock: StandingClock) -> None:
    play.receive(Stay(NOON).admit(report=True))
    assert standing(play, "strandby") == [("requested", "1")]
    clock.forward(hours=1)
    report = play.message(
        K.REPORT_OF_ADMISSION, sender="strandby", receivers=("strandby-sygehus",), subject=NANCY,
        hospital="strandby-sygehus",
    )  # fmt: skip
    assert play.receive(report).outcome == "accepted"
    assert standing(play, "strandby") == [("completed", "2")]
    assert due(play) == [("report-of-admission", "met")]


def test_a_person_ticks_it_off(play: Stage, clock: StandingClock) -> None:
    play.receive(Stay(NOON).admit(report=True))
    assert standing(play, "strandby") == [("requested", "1")]
    clock.forward(hours=1)
    tick_off(play)
    assert standing(play, "strandby") == [("completed", "2")]
    assert due(play) == [("report-of-admission", "met")]
    assert play.rows(tables.delivery) == [] or all(
        d["kind"] != "report-of-admission" for d in play.rows(tables.delivery)
    )
    with pytest.raises(NotFound, match="waits for no report"):
        play.write(
            lambda tx: report_sent(tx, play.built.inbox.shelves, 1, clock(), clock(), new_id="r-2", by="Ida")
        )


def test_the_municipalitys_system_says_at_fhir_that_it_is_sent(play: Stage, clock: StandingClock) -> None:
    play.receive(Stay(NOON).admit(report=True))
    (task,) = read(play, "strandby")
    clock.forward(hours=1)
    inbox = play.built.inbox
    reader = Reader(shelves=inbox.shelves, eyes=Eyes(parties=("strandby",)), partner=None)
    plans = Plans(inbox=inbox, shelves=inbox.shelves, new_id=inbox.new_id)

    def put(given: Resource, number: int) -> Resource:
        return play.write(lambda tx: plans.update(tx, reader, given, number, clock(), partner=None))

    with pytest.raises(Refused, match="nothing else"):
        put(task | {"status": "rejected"}, 1)
    assert put(task | {"status": "completed"}, 1)["status"] == "completed"
    assert standing(play, "strandby") == [("completed", "2")]
    with pytest.raises(Conflict):
        put(task | {"status": "completed"}, 1)
    hospital = Reader(shelves=inbox.shelves, eyes=Eyes(parties=("strandby-sygehus",)), partner=None)
    (theirs,) = read(play, "strandby-sygehus")
    with pytest.raises(Refused):
        play.write(
            lambda tx: plans.update(tx, hospital, theirs | {"status": "cancelled"}, 2, clock(), partner=None)
        )


@pytest.mark.parametrize("end", ["discharge", "cancel", "die", "close"])
def test_nobody_waits_for_it_when_the_stay_is_over(play: Stage, clock: StandingClock, end: str) -> None:
    stay = Stay(NOON)
    play.receive(stay.admit(report=True))
    assert standing(play, "strandby") == [("requested", "1")]
    clock.forward(hours=2)
    if end == "close":
        shut(play)
    elif end == "cancel":
        play.receive(stay.cancel(stay.history[0], clock()))
    else:
        play.receive(getattr(stay, end)(clock()))
    assert standing(play, "strandby") == [("cancelled", "2")]


def test_a_reopened_case_waits_for_it_again(play: Stage, clock: StandingClock) -> None:
    play.receive(Stay(NOON).admit(report=True))
    standing(play, "strandby")
    shut(play)
    clock.forward(minutes=1)
    open_again(play)
    assert standing(play, "strandby") == [("requested", "3")]


# --- what a correction changed ----------------------------------------------------------------------------


def test_the_case_shows_the_old_and_the_new_value(play: Stage) -> None:
    stay = Stay(NOON)
    play.receive(stay.admit())
    play.receive(
        stay.revise(stay.history[0], NOON + timedelta(minutes=30), start=NOON + timedelta(minutes=20))
    )
    with play.built.store.read() as tx:
        found = shown.case(tx, rows.get(tx, 1), play.built.cases.roles)["notices"]  # type: ignore[arg-type]
    old, new = "2024-03-06T11:00:00Z", "2024-03-06T11:20:00Z"
    assert [n["changes"] for n in found] == [
        [],
        [{"what": "occurred", "old": old, "new": new}, {"what": "admitted", "old": old, "new": new}],
    ]
