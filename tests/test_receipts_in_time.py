"""Receipts in time (N-02, N-10): early enough to telephone, negative after 96 hours, late is not too late."""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from adapter.discharge.notices import NoticeKind
from adapter.messaging.acknowledgement import Issue, Status
from adapter.messaging.awaiting import Wait
from adapter.store import tables
from tests.conftest import StandingClock
from tests.stage import Stage, receipt, region, stage

ADMITTED, NEEDS, READY = NoticeKind.ADMITTED, NoticeKind.CARE_NEEDS, NoticeKind.READY_FOR_DISCHARGE
MONDAY = datetime(2014, 3, 3, 10, 0, tzinfo=ZoneInfo("Europe/Oslo"))


@pytest.fixture
def play(store_url: str, clock: StandingClock) -> Iterator[Stage]:
    made = stage(store_url, clock)
    yield made
    made.close()


def tell(play: Stage, kind: NoticeKind = READY, party: str = "aardal", **more: object) -> str:
    """Lærdal sjukehus tells Årdal, which has a system of its own that reads PLO 1.6; Sogndal reads FHIR."""
    number = str(uuid.uuid4())
    play.receive(play.message(kind, receivers=(party,), message_id=number, **more))
    return number


def look(play: Stage) -> int:
    return play.write(lambda tx: play.outbox.missing_receipts(tx, play.clock()))


def wait(play: Stage, clock: StandingClock, hours: float) -> None:
    """Let the hours go by, with the looks and the resends that fall into them."""
    until = clock() + timedelta(hours=hours)
    while clock() < until:
        clock.at = min(until, clock() + timedelta(hours=1 if hours < 24 else 12))
        look(play)
        if any(row["trigger"] == "missing-receipt" for row in play.rows(tables.delivery)):
            play.deliver()


def alarms(play: Stage) -> list[str]:
    return [a["kind"] for a in play.rows(tables.alarm) if a["until"] is None]


def steps(play: Stage) -> list[str]:
    return [f["kind"] for f in play.rows(tables.fact) if f["message_row"] is None]


# --- 96 hours ------


def test_without_a_receipt_within_96_hours_it_counts_as_not_received(play: Stage, clock: StandingClock):
    tell(play)
    play.deliver()
    wait(play, clock, 95)
    assert play.delivery()["state"] == "sent"
    assert alarms(play) == ["receipt-missing"]
    wait(play, clock, 1)
    row = play.delivery()
    assert (row["state"], row["error"]) == ("given-up", "no receipt within 96 hours: not received")
    assert alarms(play) == ["not-received"]
    assert steps(play) == ["delivered", "not-received"]
    wait(play, clock, 24)
    assert alarms(play) == ["not-received"]
    assert steps(play) == ["delivered", "not-received"]


def test_a_missing_receipt_is_shown_as_missing_and_not_as_awaited(play: Stage, clock: StandingClock):
    tell(play)
    play.deliver()
    assert play.delivery()["receipt_due_at"] == clock() + timedelta(hours=1)  # as Årdal's endpoint has it
    wait(play, clock, 3)
    assert (play.delivery()["state"], play.delivery()["receipt_due_at"]) == ("sent", None)


def test_the_hours_count_from_when_the_message_was_made(play: Stage, clock: StandingClock):
    """GenDate, not when we sent it."""
    at = clock()
    clock.forward(hours=20)
    tell(play, at=at)
    play.deliver()
    wait(play, clock, 75)
    assert play.delivery()["state"] == "sent"
    wait(play, clock, 1)
    assert play.delivery()["state"] == "given-up"


def test_a_later_positive_receipt_is_accepted_and_heals_it(play: Stage, clock: StandingClock):
    tell(play)
    play.deliver()
    wait(play, clock, 100)
    assert [d["state"] for d in play.rows(tables.deadline, kind="answer")] == []
    play.receive(receipt(play.post.sent[0][1].content, at=clock()))
    row = play.delivery()
    assert (row["state"], row["error"], row["accepted_at"]) == ("acknowledged", None, clock())
    assert alarms(play) == []
    assert steps(play)[-1] == "accepted"
    assert [d["since"] for d in play.rows(tables.deadline, kind="answer")] == [clock()]


def test_a_later_negative_receipt_is_a_refusal(play: Stage, clock: StandingClock):
    tell(play)
    play.deliver()
    wait(play, clock, 100)
    play.receive(receipt(play.post.sent[0][1].content, Status.REFUSED, at=clock()))
    assert play.delivery()["state"] == "refused"
    assert alarms(play) == ["refused"]


def test_what_refers_to_it_waits_for_a_person_as_behind_a_refusal(play: Stage, clock: StandingClock):
    number = tell(play)
    play.deliver()
    wait(play, clock, 97)
    tell(play, NoticeKind.READINESS_WITHDRAWN, refers_to=number)
    play.deliver()
    assert "parked behind delivery 1" in str(play.delivery(2)["error"])
    play.receive(receipt(play.post.sent[0][1].content, at=clock()))
    assert "sent" in play.deliver()
    assert play.delivery(2)["state"] == "sent"


def test_one_that_is_sent_again_by_hand_has_the_endpoint_s_time_once_more(play: Stage, clock: StandingClock):
    tell(play)
    play.deliver()
    wait(play, clock, 97)
    play.write(lambda tx: play.outbox.resend(tx, 1, clock(), by="Kari"))
    play.deliver()
    look(play)
    assert play.delivery()["state"] == "sent"
    wait(play, clock, 1)
    assert play.delivery()["state"] == "given-up"


def test_a_standard_that_names_no_limit_has_none(play: Stage, clock: StandingClock):
    tell(play, party="sogndal")
    play.deliver()
    wait(play, clock, 100)
    assert play.delivery()["state"] == "sent"
    assert alarms(play) == ["receipt-missing"]


def test_what_is_only_relayed_is_watched_all_the_same(store_url: str, clock: StandingClock):
    play = stage(store_url, clock, of=region(**{"laerdal-sjukehus": "theirs"}))
    play.receive(play.plo(READY, receivers=("aardal",)))
    play.deliver()
    wait(play, clock, 96)
    assert play.delivery()["state"] == "given-up"
    assert "not-received" in alarms(play)
    play.close()


# --- in time to telephone ------


def test_when_half_of_the_time_to_the_deadline_is_gone_a_person_is_told_whom_to_call(
    play: Stage, clock: StandingClock
):
    tell(play, ADMITTED, "sogndal")
    clock.forward(hours=2)
    tell(play, NEEDS, "sogndal")
    play.deliver()
    play.deliver()
    play.receive(receipt(play.post.sent[0][1].content, at=clock()))
    wait(play, clock, 10)
    assert alarms(play) == ["receipt-missing"]
    wait(play, clock, 1)
    assert alarms(play) == ["receipt-missing", "receipt-urgent"]
    told = play.rows(tables.alarm, kind="receipt-urgent")[0]
    assert told["text"] == (
        "Sogndal kommune has given no receipt for care needs; it must be there by 2014-03-04 10:00 "
        "(Europe/Oslo), and half of the time is gone: telephone Sogndal kommune "
        "about care needs (delivery 2), and record the answer"
    )
    assert told["subject"] == "delivery 2"


def test_the_receipt_ends_both_alarms(play: Stage, clock: StandingClock):
    tell(play, ADMITTED, "sogndal")
    tell(play, NEEDS, "sogndal")
    play.deliver()
    play.deliver()
    play.receive(receipt(play.post.sent[0][1].content, at=clock()))
    wait(play, clock, 13)
    assert "receipt-urgent" in alarms(play)
    play.receive(receipt(play.post.sent[1][1].content, at=clock()))
    assert alarms(play) == []


def test_a_deadline_that_is_near_when_it_is_sent_is_told_of_before_the_endpoint_s_time_is_up(
    play: Stage, clock: StandingClock
):
    """The early notice leaves half an hour before its 24 hours are up."""
    at = clock()
    tell(play, ADMITTED, "sogndal", at=at)
    play.deliver()
    play.receive(receipt(play.post.sent[0][1].content, at=clock()))
    clock.at = at + timedelta(hours=23, minutes=30)
    tell(play, NEEDS, "sogndal")
    play.deliver()
    clock.forward(minutes=14)
    assert look(play) == 0
    clock.forward(minutes=2)
    assert look(play) == 1
    assert alarms(play) == ["receipt-urgent"]


def test_a_deadline_that_begins_after_the_notice_was_sent_is_seen(play: Stage, clock: StandingClock):
    """The admission is told late: only then is it known by when the early notice had to be there."""
    admitted = clock()
    clock.forward(hours=1)
    tell(play, NEEDS, "sogndal")
    play.deliver()
    wait(play, clock, 5)
    tell(play, ADMITTED, "sogndal", at=clock(), occurred=admitted)
    play.deliver()
    play.receive(receipt(play.post.sent[-1][1].content, at=clock()))
    wait(play, clock, 8)
    assert "receipt-urgent" in alarms(play)


def test_a_notice_without_a_deadline_has_the_endpoint_s_alarm_only(play: Stage, clock: StandingClock):
    tell(play, READY)
    play.deliver()
    wait(play, clock, 48)
    assert alarms(play) == ["receipt-missing"]


@pytest.mark.parametrize(
    ("due_in", "told_in"),
    [
        (timedelta(hours=24), timedelta(hours=12)),  # half of the time
        (timedelta(hours=6), timedelta(hours=2)),  # four hours before it is due
        (timedelta(hours=3), timedelta(hours=1, minutes=30)),  # less than the lead time is left at once
        (timedelta(hours=-1), None),  # too late: the missed deadline has an alarm of its own
        (None, None),
    ],
)
def test_half_of_the_time_and_at_the_latest_the_lead_time_before(
    due_in: timedelta | None, told_in: timedelta | None
):
    waiting = Wait(
        first_sent=MONDAY,
        last_sent=MONDAY,
        within=timedelta(minutes=30),
        due_at=MONDAY + due_in if due_in is not None else None,
        lead_time=timedelta(hours=4),
    )
    assert waiting.telephone_from == (MONDAY + told_in if told_in is not None else None)


def test_the_clock_looks_at_what_comes_next_and_at_last_no_more():
    waiting = Wait(
        first_sent=MONDAY, last_sent=MONDAY, within=timedelta(minutes=30), issued=MONDAY - timedelta(hours=1)
    )
    assert waiting.next_look(MONDAY) == MONDAY + timedelta(minutes=30)
    assert waiting.next_look(MONDAY + timedelta(minutes=30)) == MONDAY + timedelta(hours=1, minutes=30)
    assert waiting.next_look(MONDAY + timedelta(hours=94, minutes=30)) == MONDAY + timedelta(hours=95)
    assert replace(waiting, issued=None).next_look(MONDAY + timedelta(hours=96)) is None


# --- negative ones are shown, and the first is final ------


def test_a_negative_receipt_is_shown_with_the_receiver_s_own_text(play: Stage, clock: StandingClock):
    tell(play)
    play.deliver()
    issue = Issue(code="E21", text="Ukjend eining, ring 5766")
    play.receive(receipt(play.post.sent[0][1].content, Status.REFUSED, at=clock(), issues=(issue,)))
    assert "Ukjend eining, ring 5766" in str(play.delivery()["error"])
    (alarm,) = play.rows(tables.alarm)
    assert alarm["kind"] == "refused"
    assert "Ukjend eining, ring 5766" in alarm["text"]


def test_no_person_s_number_gets_from_a_receipt_into_an_alarm(play: Stage, clock: StandingClock):
    tell(play)
    play.deliver()
    issue = Issue(code="E31", text="Feil i 21843012660")
    play.receive(receipt(play.post.sent[0][1].content, Status.REFUSED, at=clock(), issues=(issue,)))
    assert "21843012660" not in str(play.delivery()["error"])
    assert "21843012660" not in play.rows(tables.alarm)[0]["text"]


@pytest.mark.parametrize(
    ("first", "second", "state", "after"),
    [
        (Status.ACCEPTED, Status.REFUSED, "acknowledged", 0),
        (Status.REFUSED, Status.ACCEPTED, "refused", 0),
        (Status.ACCEPTED, Status.REFUSED, "acknowledged", 100),
    ],
)
def test_the_first_receipt_is_final_also_one_that_came_after_the_96_hours(
    play: Stage, clock: StandingClock, first: Status, second: Status, state: str, after: int
):
    tell(play)
    play.deliver()
    wait(play, clock, after)
    play.receive(receipt(play.post.sent[0][1].content, first, at=clock()))
    known = steps(play)
    play.receive(receipt(play.post.sent[0][1].content, second, at=clock()))
    assert play.delivery()["state"] == state
    assert steps(play) == known
    assert "contradicting-receipt" in alarms(play)
