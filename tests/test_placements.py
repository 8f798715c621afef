"""Placing cases by hand and by message, and the clock over the region's own follow-ups, on both stores."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapter.config import load_region
from adapter.discharge.notices import NoticeKind, Standing
from adapter.discharge.pathways import WATCH
from adapter.errors import ConfigurationError, NotFound
from adapter.fhir.notices import notice_in
from adapter.fhir.wire import parse
from adapter.scheduler.deadlines import Deadlines
from adapter.store import cases as rows
from adapter.store import shown, tables
from tests.conftest import OSLO, StandingClock
from tests.shell import Shell
from tests.stage import REGION, Stage, answering, stage

pytestmark = pytest.mark.postgres_in_soak

K = NoticeKind
HIP, FRAIL = "hip-fracture", "frail-older-people"


@pytest.fixture
def play(store_url: str, clock: StandingClock) -> Iterator[Stage]:
    made = stage(store_url, clock)
    made.post.answer = answering(clock)
    yield made
    made.close()


def home(play: Stage, clock: StandingClock) -> datetime:
    """A patient of Sogndal comes in and goes home a day later; when that was."""
    play.receive(play.message(K.ADMITTED))
    clock.forward(days=1)
    play.receive(play.message(K.DISCHARGED))
    return clock()


def follow_ups(play: Stage) -> dict[str, Any]:
    return {
        row["kind"].removeprefix("follow-up-"): row
        for row in play.rows(tables.deadline)
        if row["kind"].startswith("follow-up-") and row["kind"] != WATCH
    }


def states(play: Stage) -> dict[str, str]:
    return {kind: row["state"] for kind, row in follow_ups(play).items()}


def place(play: Stage, name: str = HIP, at: datetime | None = None, new_id: str = "by-hand") -> None:
    now = play.clock()
    cases = play.built.cases
    play.write(lambda tx: cases.place(tx, 1, name, at or now, now, new_id=new_id, by="Solveig"))


def take_off(play: Stage, name: str = HIP) -> None:
    ids = iter(f"off-{n}-{play.clock().isoformat()}" for n in range(9))
    play.write(
        lambda tx: play.built.cases.take_off(
            tx, 1, name, play.clock(), new_id=lambda: next(ids), by="Solveig"
        )
    )


def law(play: Stage) -> int:
    built = play.built
    return Deadlines(
        store=built.store, cases=built.cases, outbox=play.outbox, register=built.register, clock=play.clock
    )()


def alarms(play: Stage) -> list[tuple[str, str]]:
    """Kind and text of what is open about follow-ups."""
    found = play.rows(tables.alarm, until=None)
    return [(a["kind"], a["text"]) for a in found if a["text"].startswith("follow-up")]


def case(play: Stage) -> dict[str, Any]:
    with play.built.store.read() as tx:
        row = rows.get(tx, 1)
        assert row is not None
        return shown.case(tx, row)


# --- by hand ------------------------------------------------------------------------------------------------


def test_a_case_that_is_placed_gets_the_follow_ups_and_its_history_says_by_whom(play, clock):
    left = home(play, clock)
    assert states(play) == {}
    clock.forward(hours=2)
    place(play)
    found = follow_ups(play)
    assert {kind: row["state"] for kind, row in found.items()} == {"call": "open", "gp-visit": "open"}
    assert found["call"]["due_at"] == left + timedelta(hours=72)
    assert found["call"]["party"] == "sogndal"
    assert [(h["what"], h["by"]) for h in play.rows(tables.history, case_id=1)] == [
        ("placed on hip-fracture, by hand", "Solveig")
    ]
    assert [p["name"] for p in case(play)["placements"]] == [HIP]


def test_taken_off_again_the_follow_ups_are_gone_and_placed_anew_they_are_back(play, clock):
    home(play, clock)
    place(play)
    clock.forward(hours=1)
    take_off(play)
    assert (states(play), case(play)["placements"]) == ({}, [])
    clock.forward(hours=1)
    place(play, new_id="again")
    assert states(play) == {"call": "open", "gp-visit": "open"}
    assert [h["what"] for h in play.rows(tables.history, case_id=1)] == [
        "placed on hip-fracture, by hand",
        "taken off hip-fracture, by hand",
        "placed on hip-fracture, by hand",
    ]


def test_a_case_placed_before_the_discharge_gets_them_when_the_patient_leaves(play, clock):
    play.receive(play.message(K.ADMITTED))
    clock.forward(hours=2)
    place(play)
    assert states(play) == {}
    clock.forward(days=1)
    play.receive(play.message(K.DISCHARGED))
    assert states(play) == {"call": "open", "gp-visit": "open"}


def test_a_closed_case_can_be_placed_although_the_patient_is_in_hospital_again(play, clock):
    play.receive(play.message(K.ADMITTED, encounter="first"))
    clock.forward(days=1)
    play.receive(play.message(K.DISCHARGED, encounter="first"))
    clock.forward(days=1)
    play.receive(play.message(K.ADMITTED, encounter="second"))
    clock.forward(hours=1)
    place(play)
    assert {row["case_id"] for row in follow_ups(play).values()} == {1}


@pytest.mark.parametrize(
    ("name", "at", "said"),
    [
        ("knee", None, "knee: there is no such pathway or group; known: hip-fracture, children"),
        ("pregnancy-birth-and-after", None, "cannot be chosen on 2014-03-04; it holds from 2024-01-01"),
        (HIP, datetime(2013, 8, 31, 23, 59, 59, tzinfo=OSLO), "cannot be chosen on 2013-08-31"),
        (
            HIP,
            datetime(2014, 3, 9, 10, 0, tzinfo=OSLO),
            "lies ahead; record a placement when it has been made",
        ),
        (HIP, datetime(1, 1, 1, tzinfo=OSLO), "is not in 1950 to 2199; write when it was"),
    ],
)
def test_what_cannot_be_chosen_is_said_and_nothing_is_recorded(play, clock, name, at, said):
    home(play, clock)
    with pytest.raises(NotFound) as refused:
        place(play, name, at)
    assert said in str(refused.value)
    assert play.rows(tables.fact, kind="placed") == []
    assert play.rows(tables.history, case_id=1) == []


def test_nobody_is_placed_twice_nor_taken_off_what_he_is_not_on(play, clock):
    home(play, clock)
    with pytest.raises(NotFound, match="case 1 is not placed on hip-fracture; it is on: nothing"):
        take_off(play)
    place(play)
    with pytest.raises(NotFound, match="case 1 is placed on hip-fracture already"):
        place(play, new_id="twice")


def test_a_follow_up_by_hand_may_say_which_one_it_was(play, clock):
    home(play, clock)
    place(play)
    clock.forward(hours=50)

    def record(what: str | None, new_id: str) -> None:
        now = clock()
        play.write(
            lambda tx: play.built.cases.followed_up(tx, 1, now, now, new_id=new_id, by="Solveig", what=what)
        )

    with pytest.raises(NotFound, match="visit: there is no such follow-up; known: check-up, call, gp-visit"):
        record("visit", "wrong")
    record("call", "first")
    assert states(play) == {"call": "met", "gp-visit": "open"}
    record(None, "second")
    assert states(play) == {"call": "met", "gp-visit": "met"}
    assert play.rows(tables.history, case_id=1)[1]["what"] == "followed up (call), recorded by hand"


# --- by message ---------------------------------------------------------------------------------------------


def test_a_message_places_a_case_before_the_admission_is_known_and_its_cancellation_takes_it_off(play, clock):
    placed = play.message(K.PLACED, placement=HIP)
    assert play.receive(placed).outcome == "accepted"
    clock.forward(minutes=5)
    home(play, clock)
    assert states(play) == {"call": "open", "gp-visit": "open"}
    first = notice_in(parse(placed), zone=OSLO).message_id
    off = play.message(K.PLACED, placement=HIP, standing=Standing.CANCELLATION, refers_to=first)
    assert play.receive(off).outcome == "accepted"
    assert states(play) == {}


def test_what_a_message_placed_a_person_can_take_off(play, clock):
    play.receive(play.message(K.PLACED, placement=HIP))
    clock.forward(minutes=5)
    home(play, clock)
    take_off(play)
    assert states(play) == {}


def test_an_unknown_name_in_a_message_is_kept_as_told_and_asks_for_nothing(play, clock):
    home(play, clock)
    assert play.receive(play.message(K.PLACED, placement="knee")).outcome == "accepted"
    assert states(play) == {}
    assert [p["name"] for p in case(play)["placements"]] == ["knee"]
    assert case(play)["notices"][-1]["placement"] == "knee"


def test_a_followed_up_message_says_which_one_it_was(play, clock):
    home(play, clock)
    place(play)
    clock.forward(hours=49)
    done = play.message(K.FOLLOWED_UP, sender="sogndal", receivers=("laerdal-sjukehus",), fulfils="call")
    assert play.receive(done).outcome == "accepted"
    assert states(play) == {"call": "met", "gp-visit": "open"}


@pytest.mark.parametrize("kind", [K.PLACED, K.FOLLOWED_UP])
def test_who_places_or_follows_up_does_not_become_the_municipality_of_the_case(play, clock, kind):
    home(play, clock)
    clock.forward(hours=1)
    name = {"placement": HIP} if kind is K.PLACED else {"fulfils": "call"}
    play.receive(play.message(kind, sender="aurland", receivers=("laerdal-sjukehus",), **name))
    assert case(play)["municipality"] == "sogndal"


def test_nobody_takes_back_what_another_has_placed(play, clock):
    play.receive(play.message(K.PLACED, placement=HIP, message_id="00000000-0000-4000-8000-000000000001"))
    clock.forward(minutes=5)
    home(play, clock)
    off = play.message(
        K.PLACED,
        sender="luster",
        receivers=("laerdal-sjukehus",),
        placement=HIP,
        standing=Standing.CANCELLATION,
        refers_to="00000000-0000-4000-8000-000000000001",
    )
    assert play.receive(off).outcome == "accepted"
    assert states(play) == {"call": "open", "gp-visit": "open"}


def test_a_name_without_end_is_refused(play, clock):
    home(play, clock)
    told = play.receive(play.message(K.PLACED, placement="a" * 201))
    assert (told.outcome, "longer than 200 characters" in str(told.reason)) == ("refused", True)
    assert play.receive(play.message(K.PLACED, placement="a" * 200)).outcome == "accepted"


# --- the clock ----------------------------------------------------------------------------------------------


def test_a_reminder_then_an_alarm_for_a_call_that_is_not_made(play, clock):
    home(play, clock)
    place(play)
    clock.forward(hours=59, minutes=59, seconds=59)
    law(play)
    assert alarms(play) == []
    clock.forward(seconds=1)
    law(play)
    due = "2014-03-07 10:00 (Europe/Oslo; Sogn lokalmedisinske senter, standardforløp hoftebrot)"
    assert alarms(play) == [("deadline-near", f"follow-up call by Sogndal kommune is due {due}")]
    clock.forward(hours=12, seconds=1)
    law(play)
    assert alarms(play) == [("deadline-missed", f"follow-up call by Sogndal kommune was due {due}")]


def test_after_a_death_every_follow_up_is_closed_and_no_reminder_leaves(play, clock):
    home(play, clock)
    place(play)
    place(play, FRAIL, new_id="frail")
    clock.forward(hours=18)
    law(play)
    assert [kind for kind, _ in alarms(play)] == ["deadline-near"]  # of the group's 24 hours
    clock.forward(minutes=1)
    play.receive(play.message(K.DECEASED))
    assert set(states(play).values()) == {"void"}
    for _ in range(30):
        clock.forward(days=1)
        law(play)
    assert alarms(play) == []
    assert [h["what"] for h in play.rows(tables.history) if "follow-up" in h["subject"]] == ["reminded"]


def test_the_groups_stricter_call_is_the_one_row_and_when_it_is_left_the_pathways_is(play, clock):
    left = home(play, clock)
    place(play)
    place(play, FRAIL, new_id="frail")
    (call,) = play.rows(tables.deadline, kind="follow-up-call")
    assert call["due_at"] == left + timedelta(hours=24)
    assert "stricter than the follow-up of the pathway Hoftebrot" in call["reason"]
    clock.forward(hours=1)
    take_off(play, FRAIL)
    (call,) = play.rows(tables.deadline, kind="follow-up-call")
    assert call["due_at"] == left + timedelta(hours=72)


# --- the command line ---------------------------------------------------------------------------------------


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    clock = StandingClock(at=datetime(2014, 3, 3, 10, 0, tzinfo=OSLO))
    play = stage(f"sqlite:///{tmp_path}/region.db", clock)
    home(play, clock)
    play.close()
    (tmp_path / "adapter.toml").write_text(f'region = "{REGION}"\nstore = "sqlite:///{tmp_path}/region.db"\n')
    return Shell(tmp_path)


def states_in(shell: Shell) -> dict[str, str]:
    found = shell("case", 1, "--json").json["deadlines"]
    return {d["kind"]: d["state"] for d in found if d["kind"].startswith("follow-up") and d["kind"] != WATCH}


def test_a_case_is_placed_followed_up_and_taken_off_by_command(shell):
    done = shell("place", 1, HIP, "--at", "2014-03-04T12:00:00+01:00", "--by", "Solveig", "--json")
    assert done.json == {"case": 1, "placement": HIP, "placed": True}
    assert states_in(shell) == {"follow-up-call": "missed", "follow-up-gp-visit": "missed"}
    called = shell("followed-up", 1, "--what", "call", "--at", "2014-03-06T10:00:00+01:00")
    assert called.status == 0
    assert states_in(shell) == {"follow-up-call": "met", "follow-up-gp-visit": "missed"}
    (listed,) = shell("cases", "--json").json
    assert listed["placements"] == [{"name": HIP, "at": "2014-03-04T11:00:00Z"}]
    assert "Placed on" in shell("case", 1).out.decode()
    why = shell("explain", "--case", 1, "--language", "nb").out.decode()
    assert "i forløpet Hoftebrot" in why
    assert shell("place", 1, HIP, "--off", "--json").json == {"case": 1, "placement": HIP, "placed": False}
    assert states_in(shell) == {}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["place", 99, HIP], "there is no case 99"),
        (["place", 1, "knee"], "knee: there is no such pathway or group; known: hip-fracture"),
        (["place", 1, HIP, "--at", "yesterday"], "--at yesterday: is no time with an offset"),
        (["place", 1, HIP, "--at", "2013-08-31T10:00:00+02:00"], "cannot be chosen on 2013-08-31"),
        (["place", 1, HIP, "--off"], "case 1 is not placed on hip-fracture"),
        (["place", 1, HIP, "--off", "--at", "2014-03-04T10:00:00+01:00"], "--at: has no use with --off"),
        (["followed-up", 1, "--what", "visit"], "visit: there is no such follow-up; known: check-up, call"),
    ],
)
def test_what_cannot_be_done_is_told_so(shell, arguments, said):
    done = shell(*arguments)
    assert (done.status, done.out) == (2, b"")
    assert said in done.said


# --- the region file ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        (
            'duration = "PT72H"',
            'duration = "72"',
            "pathway 1 (hip-fracture), follow_up 1 (follow-up-call): duration:",
        ),
        ('earliest = "PT48H"', 'earliest = "PT80H"', "earliest: PT80H is not before the time is up"),
        ('by = "Sogn lokalmedisinske senter"\n', "", "pathway 1 (hip-fracture): by: is missing"),
        ('actor = "gp"', 'actor = "doctor"', "follow_up 2 (follow-up-gp-visit): actor: 'doctor' is unknown"),
        (
            'actor = "gp"',
            'actor = "gp"\nbetween = ["voss"]',
            "follow_up: between names voss, which is not in this file",
        ),
        ('name = "frail-older-people"', 'name = "frail"', "group 1 (frail): title: is missing"),
        (
            "valid_from = 2013-09-01\n\n[[pathway.f",
            "valid_from = 7\n\n[[pathway.f",
            "valid_from: must be a date",
        ),
    ],
)
def test_a_wrong_region_file_is_said_with_file_key_and_reason(tmp_path, was, now, said):
    text = REGION.read_text("utf-8")
    assert was in text
    wrong = tmp_path / "region.toml"
    wrong.write_text(text.replace(was, now, 1), "utf-8")
    with pytest.raises(ConfigurationError) as refused:
        load_region(wrong)
    assert str(refused.value).startswith(f"{wrong}")
    assert said in str(refused.value)


def test_a_wrong_region_file_ends_every_command_with_status_2(tmp_path):
    wrong = tmp_path / "region.toml"
    wrong.write_text(
        REGION.read_text("utf-8").replace('earliest = "PT48H"', 'earliest = "two days"'), "utf-8"
    )
    (tmp_path / "adapter.toml").write_text(f'region = "{wrong}"\nstore = "sqlite:///{tmp_path}/region.db"\n')
    done = Shell(tmp_path)("check")
    assert done.status == 2
    assert "earliest: 'two days' is no duration; write it like PT24H, PT30M or P3D" in done.said
