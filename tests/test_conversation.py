"""Follow-ups find what they are about (N-11, N-12): by reference, else by sender and type, in any order."""

import itertools
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from adapter.discharge.case import Case, CaseState, Evidence, Fact, Step, fold
from adapter.discharge.notices import Notice, NoticeKind, Standing
from adapter.fhir.bundles import Subject
from adapter.messaging.register import ReceiptWhen
from adapter.store import tables
from tests.apprecs import CASE_WORK, to_service
from tests.conftest import StandingClock
from tests.stage import Stage, altered, region, stage

K = NoticeKind
OSLO = ZoneInfo("Europe/Oslo")
MONDAY = datetime(2014, 3, 3, 10, 0, tzinfo=OSLO)
CORRECTED, CANCELLED = Standing.CORRECTION, Standing.CANCELLATION


def told(kind: NoticeKind, number: int, *, days: float = 0, **more: object) -> Notice:
    """Lærdal sjukehus tells Sogndal, `days` after Monday at ten."""
    at = MONDAY + timedelta(days=days)
    fields: dict[str, object] = {
        "kind": kind,
        "message_id": f"m{number:02}",
        "sent_at": at,
        "occurred": at,
        "sender": "laerdal-sjukehus",
        "receivers": ("sogndal",),
        "hospital": "laerdal-sjukehus",
    }
    return Notice(**(fields | more))  # type: ignore[arg-type]


def standing(*facts: Fact) -> set[str]:
    """The ids of what still counts; the same for every order of arrival."""
    found = {frozenset(_standing(fold(order, OSLO))) for order in itertools.permutations(facts)}
    (same,) = found
    return set(same)


def _standing(cases: tuple[Case, ...]) -> Iterator[str]:
    return (e.notice.message_id for case in cases for e in case.entries if e.counts)


# --- by reference, without one by patient, sender and type ------


@pytest.mark.parametrize("reference", ["m02", None])
def test_a_cancellation_finds_its_original_by_reference_or_by_sender_and_type(reference: str | None):
    ready = told(K.READY_FOR_DISCHARGE, 2, days=1)
    over = told(K.READY_FOR_DISCHARGE, 3, days=1.5, standing=CANCELLED, refers_to=reference)
    assert standing(told(K.ADMITTED, 1), ready, over) == {"m01"}


@pytest.mark.parametrize("reference", ["m02", None])
def test_a_correction_finds_its_original_by_reference_or_by_sender_and_type(reference: str | None):
    home = told(K.DISCHARGED, 2, days=4)
    moved = told(K.DISCHARGED, 3, days=4.5, standing=CORRECTED, refers_to=reference)
    assert standing(told(K.ADMITTED, 1), home, moved) == {"m01", "m03"}


def test_the_latest_that_still_stands_is_meant():
    first, second = told(K.READY_FOR_DISCHARGE, 2, days=1), told(K.READY_FOR_DISCHARGE, 3, days=2)
    over = told(K.READY_FOR_DISCHARGE, 4, days=2.5, standing=CANCELLED)
    again = told(K.READY_FOR_DISCHARGE, 5, days=3, standing=CANCELLED)
    assert standing(first, second, over) == {"m02"}
    assert standing(first, second, over, again) == set()


@pytest.mark.parametrize("how", [CANCELLED, CORRECTED])
def test_what_names_a_message_that_nobody_has_had_undoes_no_other(how: Standing):
    ready = told(K.READY_FOR_DISCHARGE, 2, days=1)
    over = told(K.READY_FOR_DISCHARGE, 3, days=3, standing=how, refers_to="never-sent")
    assert "m02" in standing(told(K.ADMITTED, 1), ready, over)


def test_two_that_name_the_same_unknown_message_mean_the_same_one():
    changed = told(K.READY_FOR_DISCHARGE, 4, days=2, standing=CORRECTED, refers_to="never-sent")
    over = told(K.READY_FOR_DISCHARGE, 5, days=3, standing=CANCELLED, refers_to="never-sent")
    assert standing(told(K.READY_FOR_DISCHARGE, 2, days=1), changed, over) == {"m02"}


def test_another_sender_s_notice_is_never_meant():
    theirs = told(K.CARE_NEEDS, 1, sender="forde-sjukehus")
    over = told(K.CARE_NEEDS, 2, days=1, standing=CANCELLED)
    assert standing(theirs, over) == {"m01"}


def test_another_type_is_never_meant_not_even_where_the_reference_names_it():
    """RefToParent may name the message before in the conversation, which is not what is cancelled."""
    admitted, ready = told(K.ADMITTED, 1), told(K.READY_FOR_DISCHARGE, 2, days=1)
    over = told(K.READY_FOR_DISCHARGE, 3, days=2, standing=CANCELLED, refers_to="m01")
    assert standing(admitted, ready, over) == {"m01"}


def test_two_that_name_the_conversation_each_mean_the_latest_that_still_stands():
    admitted, first = told(K.ADMITTED, 1), told(K.READY_FOR_DISCHARGE, 2, days=1)
    over = told(K.READY_FOR_DISCHARGE, 3, days=2, standing=CANCELLED, refers_to="m01")
    second = told(K.READY_FOR_DISCHARGE, 4, days=3)
    again = told(K.READY_FOR_DISCHARGE, 5, days=4, standing=CANCELLED, refers_to="m01")
    assert standing(admitted, first, over, second, again) == {"m01"}


def test_of_two_receivers_the_one_that_is_addressed_is_meant():
    sogndal = told(K.READY_FOR_DISCHARGE, 1)
    luster = told(K.READY_FOR_DISCHARGE, 2, days=0.1, receivers=("luster",))
    over = told(K.READY_FOR_DISCHARGE, 3, days=1, standing=CANCELLED)
    assert standing(sogndal, luster, over) == {"m02"}


def test_another_stay_is_never_meant():
    before = told(K.ADMITTED, 1, encounter="A")
    over = told(K.ADMITTED, 2, days=1, encounter="B", standing=CANCELLED)
    assert standing(before, over) == {"m01"}


def test_a_death_in_hospital_corrects_the_discharge_that_is_told_by_the_same_message_type():
    home = told(K.DISCHARGED, 2, days=4)
    died = told(K.DECEASED, 3, days=4.1, standing=CORRECTED)
    assert standing(told(K.ADMITTED, 1), home, died) == {"m01", "m03"}


def test_what_was_sent_after_the_cancellation_is_not_meant():
    over = told(K.READY_FOR_DISCHARGE, 1, standing=CANCELLED)
    later = told(K.READY_FOR_DISCHARGE, 2, days=1)
    assert standing(over, later) == {"m02"}


def test_in_the_same_second_the_original_comes_first():
    over = told(K.READY_FOR_DISCHARGE, 1, standing=CANCELLED)
    ready = told(K.READY_FOR_DISCHARGE, 2)
    assert standing(over, ready) == set()


def test_what_names_a_message_that_we_hold_means_no_other():
    ready = told(K.READY_FOR_DISCHARGE, 1)
    over = told(K.READY_FOR_DISCHARGE, 3, days=1, standing=CANCELLED, refers_to="m02", refers_to_held=True)
    assert standing(ready, over) == {"m01"}


# --- before the original ------


def test_it_waits_for_the_one_that_it_names_beside_another_that_stands():
    other, original = told(K.READY_FOR_DISCHARGE, 2, days=1), told(K.READY_FOR_DISCHARGE, 3, days=2)
    over = told(K.READY_FOR_DISCHARGE, 4, days=2.1, standing=CANCELLED, refers_to="m03")
    assert standing(other, over) == {"m02"}
    assert standing(other, over, original) == {"m02"}


@pytest.mark.parametrize("reference", ["m02", None])
def test_the_original_that_comes_after_its_cancellation_is_cancelled_already(reference: str | None):
    over = told(K.ADMITTED, 3, days=0.1, standing=CANCELLED, refers_to=reference)
    (case,) = fold([over], OSLO)
    assert case.state is CaseState.CANCELLED
    (case,) = fold([over, told(K.ADMITTED, 2)], OSLO)
    assert case.state is CaseState.CANCELLED
    assert [e.void for e in case.entries if e.notice.message_id == "m02"] == [True]


# --- the last care needs replace earlier ones (N-12) ------


@pytest.mark.parametrize("how", [{}, {"standing": CORRECTED}, {"standing": CORRECTED, "refers_to": "m02"}])
def test_later_care_needs_replace_the_earlier_ones_with_or_without_a_reference(how: dict[str, object]):
    early, update = told(K.CARE_NEEDS, 2, days=0.5), told(K.CARE_NEEDS, 3, days=2, **how)
    assert standing(told(K.ADMITTED, 1), early, update) == {"m01", "m03"}


def test_the_time_of_the_event_decides_and_not_the_arrival():
    late = told(K.CARE_NEEDS, 2, days=3, occurred=MONDAY + timedelta(days=1))
    assert standing(told(K.ADMITTED, 1), told(K.CARE_NEEDS, 3, days=2), late) == {"m01", "m03"}


def test_of_another_sender_or_to_other_receivers_both_stand():
    needs = told(K.CARE_NEEDS, 2)
    of_another = told(K.CARE_NEEDS, 3, days=1, sender="sogndal", receivers=("laerdal-sjukehus",))
    to_another = told(K.CARE_NEEDS, 4, days=2, receivers=("luster",))
    assert standing(needs, of_another, to_another) == {"m02", "m03", "m04"}
    assert standing(needs, told(K.CARE_NEEDS, 5, days=3, receivers=("luster", "sogndal"))) == {"m05"}


def test_when_the_last_ones_are_cancelled_those_before_stand_again():
    over = told(K.CARE_NEEDS, 4, days=3, standing=CANCELLED, refers_to="m03")
    assert standing(told(K.CARE_NEEDS, 2), told(K.CARE_NEEDS, 3, days=2), over) == {"m02"}


def test_care_needs_of_the_next_stay_leave_those_of_this_one():
    home = told(K.DISCHARGED, 3, days=4)
    again = told(K.ADMITTED, 4, days=20)
    needs = told(K.CARE_NEEDS, 2, days=1), told(K.CARE_NEEDS, 5, days=20.5)
    assert standing(told(K.ADMITTED, 1), home, again, *needs) == {"m01", "m02", "m03", "m04", "m05"}


def test_the_early_notice_stays_met_by_the_first_one_that_was_accepted():
    admitted, early = told(K.ADMITTED, 1), told(K.CARE_NEEDS, 2, days=0.2)
    received = Evidence(
        step=Step.ACCEPTED,
        message_id="m02",
        sender="laerdal-sjukehus",
        party="sogndal",
        at=early.sent_at,
        source="message 1",
    )
    (case,) = fold([admitted, early, received, told(K.CARE_NEEDS, 3, days=3)], OSLO)
    (last,) = case.of(K.CARE_NEEDS)
    assert [e.first(Step.ACCEPTED) for e in case.corrected["laerdal-sjukehus", last.notice.message_id]] == [
        early.sent_at
    ]


# --- through the inbox, on both stores ------


@pytest.fixture
def play(store_url: str, clock: StandingClock) -> Iterator[Stage]:
    made = stage(store_url, clock)
    yield made
    made.close()


def somebody(number: int) -> Subject:
    """A patient of her own, known by a synthetic number."""
    number_of = f"2184301{number:04}"
    identifiers = (("urn:oid:2.16.578.1.12.4.1.4.1", number_of),)
    return Subject(identifiers=identifiers, family=f"Fjellheim {number}", given="Synnøve", gender="female")


@pytest.mark.parametrize("as_", ["message", "plo"])
def test_the_original_is_still_receipted_when_its_cancellation_came_first(
    play: Stage, clock: StandingClock, as_: str
):
    written = getattr(play, as_)
    original, at = str(uuid.uuid4()), clock()
    over = written(
        K.ADMITTED, standing=CANCELLED, refers_to=original, occurred=at, at=at + timedelta(minutes=5)
    )
    clock.forward(minutes=10)
    assert play.receive(over).outcome == "accepted"
    done = play.receive(written(K.ADMITTED, message_id=original, occurred=at, at=at))
    assert done.outcome == "accepted"
    assert done.acknowledgement is not None or as_ == "plo"  # its own system has not taken it yet
    assert [c["state"] for c in play.rows(tables.case)] == ["cancelled"]
    assert all(d["state"] in ("void", "open") for d in play.rows(tables.deadline))


def test_other_orders_of_arrival_give_the_same_case_in_the_store(play: Stage, clock: StandingClock):
    at = clock.forward(hours=48) - timedelta(hours=48)
    ids = [str(uuid.uuid4()) for _ in range(4)]
    states = set()
    for number, order in enumerate([*itertools.permutations(range(4))][::2]):
        patient = somebody(number)
        told_by = [f"{number:08x}{one[8:]}" for one in ids]
        messages = [
            play.message(K.ADMITTED, subject=patient, at=at, message_id=told_by[0]),
            play.message(
                K.READY_FOR_DISCHARGE, subject=patient, at=at + timedelta(hours=20), message_id=told_by[1]
            ),
            play.message(
                K.READY_FOR_DISCHARGE,
                subject=patient,
                at=at + timedelta(hours=21),
                message_id=told_by[2],
                standing=CORRECTED,
                refers_to=told_by[1],
            ),
            play.message(
                K.READY_FOR_DISCHARGE,
                subject=patient,
                at=at + timedelta(hours=22),
                message_id=told_by[3],
                standing=CANCELLED,
            ),
        ]
        for place in order:
            assert play.receive(messages[place]).outcome == "accepted"
        (case,) = [c for c in play.rows(tables.case) if c["merged_into"] is None][-1:]
        states.add((case["state"], case["admitted_at"], case["ready_at"]))
    assert states == {("admitted", at, None)}


def test_a_cancellation_that_names_a_message_in_quarantine_cancels_no_other(
    play: Stage, clock: StandingClock
):
    play.receive(play.message(K.READY_FOR_DISCHARGE))
    held_id = str(uuid.uuid4())
    ahead = clock() + timedelta(hours=3)
    assert play.receive(play.message(K.READY_FOR_DISCHARGE, message_id=held_id, at=ahead)).code == "future"
    clock.forward(minutes=5)
    play.receive(play.message(K.READY_FOR_DISCHARGE, standing=CANCELLED, refers_to=held_id))
    assert [c["state"] for c in play.rows(tables.case) if c["merged_into"] is None][:1] == ["ready"]


# --- what names a message that we do not have is told to a person ------


def alarmed(play: Stage) -> list[tuple[str, bool]]:
    """(subject, whether it is over) of each such alarm."""
    rows = play.rows(tables.alarm, kind="unknown-original-of-correction")
    return [(row["subject"], row["until"] is not None) for row in rows]


@pytest.mark.parametrize("how", [CANCELLED, CORRECTED])
@pytest.mark.parametrize("as_", ["message", "plo"])
def test_a_person_is_told_of_what_names_an_unknown_message_until_it_comes(
    play: Stage, clock: StandingClock, as_: str, how: Standing
):
    written, at, missing = getattr(play, as_), clock(), str(uuid.uuid4())
    play.receive(written(K.READY_FOR_DISCHARGE))
    clock.forward(hours=2)
    done = play.receive(written(K.READY_FOR_DISCHARGE, standing=how, refers_to=missing))
    assert done.outcome == "accepted"
    assert alarmed(play) == [(f"message {done.message_row}", False)]
    (alarm,) = play.rows(tables.alarm, kind="unknown-original-of-correction")
    assert alarm["case_id"] == done.case_id
    assert str(how) in alarm["text"] and missing not in alarm["text"]
    assert "ready" in [case["state"] for case in play.rows(tables.case)]
    play.receive(written(K.READY_FOR_DISCHARGE, message_id=missing, at=at + timedelta(hours=1)))
    assert alarmed(play) == [(f"message {done.message_row}", True)]


def test_nobody_is_told_where_the_message_is_known_or_none_is_named(play: Stage, clock: StandingClock):
    known, held_id = str(uuid.uuid4()), str(uuid.uuid4())
    play.receive(play.message(K.READY_FOR_DISCHARGE, message_id=known))
    play.receive(play.message(K.READY_FOR_DISCHARGE, message_id=held_id, at=clock() + timedelta(hours=3)))
    play.receive(play.message(K.CARE_NEEDS))
    clock.forward(minutes=5)
    for reference in (known, held_id, None):
        play.receive(play.message(K.READY_FOR_DISCHARGE, standing=CANCELLED, refers_to=reference))
    play.receive(play.message(K.CARE_NEEDS, standing=CORRECTED, refers_to=str(uuid.uuid4())))
    assert alarmed(play) == []


def test_of_the_same_message_under_two_ids_either_is_found_in_every_order(
    store_url: str, clock: StandingClock
):
    """The cancellation names the one that is known as the same as the other, before it or after it."""
    play = stage(store_url, clock, of=altered(region(), "sogndal", endpoint=None, receipt=ReceiptWhen.STORED))
    at = clock.forward(hours=1) - timedelta(hours=1)
    states = []
    for number, order in enumerate(itertools.permutations(range(3))):
        patient, one, two = somebody(number), str(uuid.uuid4()), str(uuid.uuid4())
        ready = {"subject": patient, "at": at, "occurred": at}
        written = [
            play.message(K.READY_FOR_DISCHARGE, message_id=one, **ready),  # type: ignore[arg-type]
            to_service(play.message(K.READY_FOR_DISCHARGE, message_id=two, **ready), CASE_WORK),  # type: ignore[arg-type]
            play.message(
                K.READY_FOR_DISCHARGE,
                subject=patient,
                at=at + timedelta(minutes=5),
                occurred=at,
                standing=CANCELLED,
                refers_to=two,
            ),
        ]
        for place in order:
            assert play.receive(written[place]).outcome == "accepted"
        states.append([c["state"] for c in play.rows(tables.case) if c["merged_into"] is None][number:])
    play.close()
    assert states == [["cancelled"]] * 6
    assert all(over for _, over in alarmed(play))
