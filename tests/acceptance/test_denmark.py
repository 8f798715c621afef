"""MedCom's certification scenarios of HospitalNotification, through the inbox: evaluation, and a region.

Written from the requirements (standards.md 5, D-08 to D-14, T7; process.md 7 and 9): each activity alone, a
whole stay, death, correction and cancellation of each, out of order, XML and JSON, the nights on which the
clocks change, 29 February, a transfer, and a class code that is missing.
"""

import itertools
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapter.config import load_region
from adapter.discharge.case import Case, CaseState
from adapter.fhir.wire import parse
from tests.conftest import StandingClock
from tests.medcom_stays import COPENHAGEN, JSON, XML, Stay
from tests.stage import Stage, stage

REGION = Path(__file__).parent.parent.parent / "fixtures" / "regions" / "strandby.toml"
WEDNESDAY = datetime(2024, 3, 6, 12, 0, tzinfo=COPENHAGEN)
S = CaseState


@pytest.fixture(params=["evaluation", "region"])
def play(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    clock = StandingClock(datetime(2024, 12, 1, 12, 0, tzinfo=UTC))
    url = f"sqlite:///{tmp_path}/store.db"
    if request.param == "evaluation":
        made = stage(url, clock, evaluation=True)
    else:
        made = stage(url, clock, of=load_region(REGION))
    yield made
    made.close()


@pytest.fixture(params=[JSON, XML], ids=["json", "xml"])
def media(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def later(days: float) -> datetime:
    return WEDNESDAY + timedelta(days=days)


def take(play: Stage, *told: bytes) -> None:
    """Each must be accepted, and acknowledged with ok in its own format."""
    for content in told:
        done = play.receive(content, channel="http")
        assert done.outcome == "accepted", done.reason
        assert done.acknowledgement is not None
        head = parse(done.acknowledgement)["entry"][0]["resource"]
        assert head["response"]["code"] == "ok"


def cases(play: Stage) -> list[Case]:
    """The patient's cases as the store has them."""
    with play.built.store.read() as tx:
        from adapter.store import tables

        patients = {row["patient"] for row in play.rows(tables.case)}
        return [case for patient in patients for _, case in play.built.cases.folded(tx, patient)]


def only(play: Stage) -> Case:
    (case,) = cases(play)
    return case


# --- each activity alone ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tell", "state"),
    [
        (lambda s, m: s.admit(media=m), S.ADMITTED),
        (lambda s, m: s.start_leave(later(1), media=m), S.ON_LEAVE),
        (lambda s, m: s.end_leave(later(2), media=m), S.ADMITTED),
        (lambda s, m: s.discharge(later(4), media=m), S.DISCHARGED),
        (lambda s, m: s.die(later(3), media=m), S.DECEASED),
    ],
    ids=["STIN", "STOR", "SLOR", "SLHJ", "MORS"],
)
def test_each_activity_alone(
    play: Stage, media: str, tell: Callable[[Stay, str], bytes], state: CaseState
) -> None:
    take(play, tell(Stay(WEDNESDAY), media))
    case = only(play)
    assert (case.state, case.admitted_at) == (state, WEDNESDAY)


def test_acute_ambulatory_alone_and_to_the_end(play: Stage) -> None:
    stay = Stay(WEDNESDAY, emergency=True)
    take(play, stay.admit())
    assert only(play).state is S.ADMITTED
    take(play, stay.discharge(later(0.5)))
    assert (only(play).state, only(play).discharged_at) == (S.DISCHARGED, later(0.5))


# --- a whole stay -----------------------------------------------------------------------------------------


def test_admitted_on_leave_back_and_home(play: Stage, media: str) -> None:
    stay = Stay(WEDNESDAY)
    steps = [
        (stay.admit(media=media), S.ADMITTED),
        (stay.start_leave(later(2), media=media), S.ON_LEAVE),
        (stay.end_leave(later(3), media=media), S.ADMITTED),
        (stay.discharge(later(5), media=media), S.DISCHARGED),
    ]
    for content, state in steps:
        take(play, content)
        assert only(play).state is state
    assert only(play).discharged_at == later(5)


def test_every_order_of_arrival_ends_in_the_same_case(tmp_path: Path) -> None:
    stay = Stay(WEDNESDAY)
    told = [stay.admit(), stay.start_leave(later(2)), stay.end_leave(later(3)), stay.discharge(later(5))]
    for number, order in enumerate(itertools.permutations(told)):
        if number % 5:
            continue  # a few of them here; the fold has all (test_notifications.py)
        made = stage(
            f"sqlite:///{tmp_path}/{number}.db",
            StandingClock(datetime(2024, 12, 1, tzinfo=UTC)),
            evaluation=True,
        )
        take(made, *order)
        case = only(made)
        assert (case.state, case.admitted_at, case.discharged_at) == (S.DISCHARGED, WEDNESDAY, later(5))
        made.close()


def test_a_late_admission_is_history_and_is_acknowledged(play: Stage) -> None:
    stay = Stay(WEDNESDAY)
    admission, home = stay.admit(), stay.discharge(later(4))
    take(play, home, admission)
    case = only(play)
    assert case.state is S.DISCHARGED
    assert len(case.entries) == 2


# --- death ------------------------------------------------------------------------------------------------


def test_death_on_arrival(play: Stage, media: str) -> None:
    take(play, Stay(WEDNESDAY).die(WEDNESDAY, on_arrival=True, media=media))
    assert only(play).state is S.DECEASED


def test_death_in_hospital(play: Stage) -> None:
    stay = Stay(WEDNESDAY)
    take(play, stay.admit(), stay.die(later(2)))
    assert (only(play).state, only(play).discharged_at) == (S.DECEASED, later(2))


def test_death_on_leave(play: Stage) -> None:
    stay = Stay(WEDNESDAY)
    take(play, stay.admit(), stay.start_leave(later(1)), stay.die(later(2)))
    assert only(play).state is S.DECEASED


# --- correction and cancellation of each ------------------------------------------------------------------


def test_a_corrected_admission(play: Stage) -> None:
    stay = Stay(WEDNESDAY)
    take(play, stay.admit())
    take(play, stay.revise(stay.history[0], later(0.1), start=later(0.05)))
    case = only(play)
    assert (case.state, case.admitted_at) == (S.ADMITTED, later(0.05))


def test_a_cancelled_admission(play: Stage) -> None:
    stay = Stay(WEDNESDAY)
    take(play, stay.admit(), stay.cancel(stay.history[0], later(0.1)))
    assert only(play).state is S.CANCELLED


def test_an_admission_cancelled_after_its_correction(play: Stage) -> None:
    stay = Stay(WEDNESDAY)
    take(play, stay.admit(), stay.revise(stay.history[0], later(0.1), start=later(0.05)))
    take(play, stay.cancel(stay.history[1], later(0.2)))
    assert only(play).state is S.CANCELLED


def test_an_admission_corrected_after_a_leave_has_begun(play: Stage) -> None:
    stay = Stay(WEDNESDAY)
    take(play, stay.admit(), stay.start_leave(later(1)))
    leave = {"start": later(1)}
    take(play, stay.revise(stay.history[0], later(1.1), start=later(0.05), status="onleave", leave=leave))
    case = only(play)
    assert (case.state, case.admitted_at) == (S.ON_LEAVE, later(0.05))


def test_a_leave_is_corrected_and_cancelled(play: Stage) -> None:
    stay = Stay(WEDNESDAY)
    take(play, stay.admit(), stay.start_leave(later(1)))
    begun = stay.history[1]
    take(play, stay.revise(begun, later(1.2), status="onleave", leave={"start": later(1.1)}))
    assert only(play).state is S.ON_LEAVE
    take(play, stay.cancel(begun, later(1.3), leave={"start": later(1.1)}))
    assert only(play).state is S.ADMITTED


def test_the_end_of_a_leave_is_cancelled(play: Stage) -> None:
    stay = Stay(WEDNESDAY)
    take(play, stay.admit(), stay.start_leave(later(1)), stay.end_leave(later(2)))
    end = {"start": later(1), "end": later(2)}
    take(play, stay.cancel(stay.history[2], later(2.1), leave=end))
    assert only(play).state is S.ON_LEAVE


def test_a_discharge_is_corrected_and_cancelled(play: Stage) -> None:
    stay = Stay(WEDNESDAY)
    take(play, stay.admit(), stay.discharge(later(4)))
    home = stay.history[1]
    take(play, stay.revise(home, later(4.2), status="finished", end=later(3.9)))
    assert only(play).discharged_at == later(3.9)
    take(play, stay.cancel(home, later(4.3), end=later(3.9)))
    assert (only(play).state, only(play).discharged_at) == (S.ADMITTED, None)


@pytest.mark.parametrize("says_dead", [True, False])
def test_a_death_is_corrected_and_cancelled(play: Stage, says_dead: bool) -> None:
    stay = Stay(WEDNESDAY)
    take(play, stay.admit(), stay.die(later(2)))
    died = stay.history[1]
    take(play, stay.revise(died, later(2.2), status="finished", end=later(1.9), dead=True))
    assert (only(play).state, only(play).discharged_at) == (S.DECEASED, later(1.9))
    take(play, stay.cancel(died, later(2.3), end=later(1.9), dead=says_dead))
    assert (only(play).state, only(play).discharged_at) == (S.ADMITTED, None)


# --- a transfer -------------------------------------------------------------------------------------------


def test_a_transfer_is_no_discharge(play: Stage) -> None:
    here, there = Stay(WEDNESDAY), Stay(later(2), hospital="lindholm-sygehus")
    take(play, here.admit(), there.admit())
    case = only(play)
    assert (case.state, case.admitted_at, len(case.transfers)) == (S.ADMITTED, WEDNESDAY, 1)
    take(play, there.discharge(later(6)))
    assert (only(play).state, only(play).discharged_at) == (S.DISCHARGED, later(6))
    take(play, Stay(later(20), hospital="lindholm-sygehus").admit())
    assert sorted(c.state for c in cases(play)) == [S.ADMITTED, S.DISCHARGED]


def test_two_stays_that_share_an_episode_are_two(play: Stage) -> None:
    first, second = Stay(WEDNESDAY), Stay(later(9))
    take(play, first.admit(), first.discharge(later(3)), second.admit())
    assert first.episode == second.episode
    assert sorted(c.state for c in cases(play)) == [S.ADMITTED, S.DISCHARGED]


# --- time (D-08) ------------------------------------------------------------------------------------------


def test_the_offset_is_of_no_account(play: Stage) -> None:
    summer_in_winter = datetime.fromisoformat("2024-01-10T13:00:00+02:00")
    stay = Stay(summer_in_winter)
    take(play, stay.admit())
    stay.start = datetime.fromisoformat("2024-01-10T12:00:00+01:00")
    take(play, stay.discharge(datetime.fromisoformat("2024-01-12T08:00:00Z")))
    case = only(play)
    assert (case.state, case.admitted_at) == (S.DISCHARGED, datetime(2024, 1, 10, 11, 0, tzinfo=UTC))


def test_the_hour_that_comes_twice(play: Stage) -> None:
    stay = Stay(datetime.fromisoformat("2024-10-27T02:30:00+02:00"))
    home = datetime.fromisoformat("2024-10-27T02:15:00+01:00")
    discharge = [stay.admit(), stay.discharge(home)]
    take(play, *reversed(discharge))
    case = only(play)
    assert case.admitted_at is not None and case.discharged_at is not None
    assert case.discharged_at - case.admitted_at == timedelta(minutes=45)


def test_the_hour_that_is_left_out_and_29_february(play: Stage) -> None:
    stay = Stay(datetime(2024, 2, 29, 23, 30, tzinfo=COPENHAGEN))
    take(play, stay.admit(), stay.start_leave(datetime.fromisoformat("2024-03-31T01:59:00+01:00")))
    take(play, stay.end_leave(datetime.fromisoformat("2024-03-31T03:01:00+02:00")))
    case = only(play)
    assert case.state is S.ADMITTED
    assert case.admitted_at == datetime(2024, 2, 29, 22, 30, tzinfo=UTC)
    out, back = case.entries[1].at, case.entries[2].at
    assert back - out == timedelta(minutes=2)


# --- a broken profile (D-11) ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left_out", "media"),
    [("without_code", JSON), ("without_code", XML), ("without_class", JSON), ("without_class", XML)],
)
def test_a_message_without_its_class_code_is_refused_and_the_acknowledgement_names_it(
    play: Stage, media: str, left_out: str
) -> None:
    if (left_out, media) == ("without_class", XML):  # which nothing here writes
        content = re.sub(rb"<class>.*?</class>", b"", Stay(WEDNESDAY).admit(media=XML), flags=re.DOTALL)
    else:
        content = Stay(WEDNESDAY).admit(media=media, **{left_out: True})
    done = play.receive(content, channel="http")
    assert done.outcome == "refused"
    assert done.acknowledgement is not None
    answer = parse(done.acknowledgement)
    assert answer["entry"][0]["resource"]["response"]["code"] == "fatal-error"
    told = [e["resource"] for e in answer["entry"] if e["resource"]["resourceType"] == "OperationOutcome"]
    assert "class" in str(told)
    assert cases(play) == []
