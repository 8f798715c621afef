"""The outbox: lanes, leases, retries, receipts, and what people do by hand."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Connection

from adapter.config import Settings
from adapter.discharge.notices import NoticeKind, Standing
from adapter.errors import NotFound
from adapter.messaging.acknowledgement import Status
from adapter.messaging.delivery import Reply
from adapter.parcels import WEBHOOK, Parcel, enqueue
from adapter.store import deliveries, tables
from tests.conftest import StandingClock
from tests.stage import TORBJORN, FakePost, Stage, altered, answering, failing, receipt, region, stage, taken

ADMITTED, NEEDS = NoticeKind.ADMITTED, NoticeKind.CARE_NEEDS
READY, WITHDRAWN = NoticeKind.READY_FOR_DISCHARGE, NoticeKind.READINESS_WITHDRAWN
DISCHARGED = NoticeKind.DISCHARGED


@pytest.fixture
def play(store_url: str, clock: StandingClock) -> Iterator[Stage]:
    made = stage(store_url, clock)
    yield made
    made.close()


def tell(play: Stage, *kinds: NoticeKind, **more: object) -> list[str]:
    """Messages about Synnøve, one after another; returns their ids."""
    numbers = [str(uuid.uuid4()) for _ in kinds]
    for kind, number in zip(kinds, numbers, strict=True):
        assert play.receive(play.message(kind, message_id=number, **more)).outcome == "accepted"
    return numbers


def states(play: Stage) -> list[str]:
    return [d["state"] for d in play.rows(tables.delivery)]


def open_alarms(play: Stage) -> list[tuple[str, str]]:
    return [(a["kind"], a["subject"]) for a in play.rows(tables.alarm, until=None)]


def sent_kinds(play: Stage) -> list[str]:
    by_id = {d["message_id"]: d["kind"] for d in play.rows(tables.delivery)}
    return [by_id[m.message_id] for _, m in play.post.sent]


def record(play: Stage, leased, reply: Reply, **more: object) -> str:
    return play.write(lambda tx: play.outbox.record(tx, leased, reply, play.clock(), **more))


OK = Reply(status=202, taken=True, delivered=True)
DOWN = Reply(status=503)
NO = Reply(status=400, error="HTTP 400: not understood")


# --- lanes ------


def test_a_lane_keeps_the_order_of_a_case_and_its_receiver(play: Stage, clock: StandingClock):
    tell(play, ADMITTED, READY, DISCHARGED)
    for _ in range(3):
        play.deliver()
    assert sent_kinds(play) == ["admitted", "ready-for-discharge", "discharged"]


def test_a_claim_takes_one_of_a_lane(play: Stage):
    tell(play, ADMITTED, READY)
    first = play.claim()
    assert [c.id for c in first] == [1]
    assert play.claim() == []
    record(play, first[0], OK)
    assert [c.id for c in play.claim()] == [2]


def test_between_lanes_there_is_no_order(play: Stage):
    tell(play, ADMITTED, READY)
    tell(play, ADMITTED, subject=TORBJORN)
    tell(play, DISCHARGED, receivers=("vik",))
    assert sorted(c.id for c in play.claim()) == [1, 3, 4]


def test_the_first_of_a_lane_holds_it_while_it_backs_off(play: Stage, clock: StandingClock):
    tell(play, ADMITTED, READY)
    play.post.answer = failing(503)
    assert play.deliver() == ["retry"]
    assert play.deliver() == []
    play.post.answer = taken()
    clock.forward(seconds=2)
    assert play.deliver() == ["sent"]
    assert play.deliver() == ["sent"]
    assert sent_kinds(play) == ["admitted", "admitted", "ready-for-discharge"]


def test_a_lane_does_not_wait_for_a_receipt(play: Stage):
    tell(play, ADMITTED, READY)
    play.deliver()
    play.deliver()
    assert states(play) == ["sent", "sent"]


def test_what_is_only_sent_again_for_want_of_a_receipt_holds_nobody(play: Stage, clock: StandingClock):
    tell(play, ADMITTED)
    play.deliver()
    clock.forward(minutes=31)
    play.write(lambda tx: play.outbox.missing_receipts(tx, clock()))
    play.post.answer = failing(503)
    assert play.deliver() == ["retry"]
    tell(play, READY)
    play.post.answer = taken()
    assert play.deliver() == ["sent"]
    assert sent_kinds(play)[-1] == "ready-for-discharge"


def test_a_refused_message_leaves_its_lane_and_only_what_refers_to_it_parks(
    play: Stage, clock: StandingClock
):
    (ready,) = tell(play, READY)
    play.post.answer = failing(503)
    play.deliver()
    tell(play, WITHDRAWN, refers_to=ready)
    tell(play, DISCHARGED)
    clock.forward(seconds=2)
    play.post.answer = failing(400, error="HTTP 400: not understood")
    assert play.deliver() == ["gave-up"]
    assert open_alarms(play) == [("given-up", "delivery 1")]
    play.post.answer = taken()
    assert play.deliver() == ["sent"]
    assert sent_kinds(play)[-1] == "discharged"
    assert play.delivery(2)["next_attempt_at"] is None
    assert "behind delivery 1" in play.delivery(2)["error"]


def test_what_comes_later_parks_too_and_goes_once_the_first_has_been_resent(
    play: Stage, clock: StandingClock
):
    (ready,) = tell(play, READY)
    play.post.answer = failing(404)
    play.deliver()
    tell(play, WITHDRAWN, refers_to=ready)
    play.post.answer = taken()
    assert play.deliver() == []
    play.write(lambda tx: play.outbox.resend(tx, 1, clock(), by="Marta"))
    assert play.deliver() == ["sent"]
    assert open_alarms(play) == []
    assert play.deliver() == ["sent"]
    assert sent_kinds(play)[-2:] == ["ready-for-discharge", "readiness-withdrawn"]


def test_a_notice_whose_own_deadline_is_near_overtakes_what_backs_off(play: Stage, clock: StandingClock):
    tell(play, ADMITTED)
    play.post.answer = failing(503)
    play.deliver()
    tell(play, NEEDS)  # due within 24 hours of the admission, and it may overtake four hours before
    play.post.answer = lambda m, _e: OK if m.message_id == play.delivery(2)["message_id"] else DOWN
    for _ in range(23):
        clock.forward(minutes=57)
        play.deliver()
        if states(play)[1] == "sent":
            break
    assert states(play) == ["waiting", "sent"]
    assert timedelta(hours=20) <= clock() - play.delivery(2)["created_at"] < timedelta(hours=22)


def test_a_withdrawal_never_overtakes_its_ready_notice(play: Stage, clock: StandingClock):
    tell(play, ADMITTED)
    play.deliver()
    (ready,) = tell(play, READY)
    play.post.answer = failing(503)
    play.deliver()
    tell(play, WITHDRAWN, refers_to=ready)
    assert play.delivery(3)["hold_until"] is None
    play.post.answer = lambda m, _e: DOWN if m.message_id == ready else OK
    for _ in range(30):
        clock.forward(hours=1)
        play.deliver()
    assert states(play)[2] == "waiting"


def test_a_correction_never_overtakes_what_it_corrects(play: Stage):
    tell(play, ADMITTED)
    play.deliver()
    (needs,) = tell(play, NEEDS)
    play.post.answer = failing(503)
    play.deliver()
    tell(play, NEEDS, standing=Standing.CORRECTION, refers_to=needs)
    assert [d["hold_until"] is None for d in play.rows(tables.delivery)] == [True, False, True]


def test_two_that_may_both_go_are_not_taken_together(play: Stage, clock: StandingClock):
    tell(play, ADMITTED)
    play.post.answer = failing(503)
    play.deliver()
    tell(play, NEEDS)
    clock.forward(hours=23, minutes=59)
    assert [c.id for c in play.claim()] == [1]
    assert play.claim() == []


def test_an_earlier_one_that_is_resent_waits_while_a_later_one_is_on_its_way(
    play: Stage, clock: StandingClock
):
    tell(play, ADMITTED)
    play.deliver()
    tell(play, READY)
    (on_its_way,) = play.claim()
    play.write(lambda tx: play.outbox.resend(tx, 1, clock(), by="Marta"))
    assert play.claim() == []
    record(play, on_its_way, OK)
    assert [c.id for c in play.claim()] == [1]


def test_a_receipt_goes_past_every_lane(play: Stage):
    play.write(
        lambda tx: [
            enqueue(tx, parcel(kind="receipt", number=n, case_id=None), play.clock()) for n in ("r1", "r2")
        ]
    )
    assert len(play.claim()) == 2


def parcel(*, kind: str = "admitted", number: str = "m1", case_id: int | None = 1, **more: object) -> Parcel:
    values = {
        "kind": kind,
        "party": "sogndal",
        "endpoint": "sogndal",
        "dialect": "fhir",
        "message_id": number,
        "content": number.encode(),
        "content_type": "application/fhir+json",
        "case_id": case_id,
    }
    return Parcel(**(values | more))


# --- claims and leases ------


def test_a_lease_that_ended_is_free_again_and_the_message_is_the_same(play: Stage, clock: StandingClock):
    tell(play, ADMITTED)
    (lost,) = play.claim()
    assert play.write(lambda tx: deliveries.free_leases(tx, clock())) == 0
    clock.forward(seconds=61)
    assert play.write(lambda tx: deliveries.free_leases(tx, clock())) == 1
    (found,) = play.claim()
    assert (found.message_id, found.content) == (lost.message_id, lost.content)
    assert found.lease_until > lost.lease_until


@pytest.mark.parametrize("reply", [OK, DOWN, NO], ids=["sent", "failing", "refused"])
def test_a_record_that_comes_after_its_lease_changes_nothing(play: Stage, clock: StandingClock, reply: Reply):
    (first,) = tell(play, READY)
    (late,) = play.claim()
    tell(play, WITHDRAWN, refers_to=first)
    clock.forward(seconds=61)
    play.write(lambda tx: deliveries.free_leases(tx, clock()))
    play.claim()
    before = (play.rows(tables.delivery), play.rows(tables.fact), play.rows(tables.alarm))
    record(play, late, reply)
    assert (play.rows(tables.delivery), play.rows(tables.fact), play.rows(tables.alarm)) == before
    assert len(play.rows(tables.attempt)) == 1  # what happened stays in the log


def test_each_endpoint_is_claimed_up_to_what_it_can_carry(play: Stage, clock: StandingClock):
    play.write(
        lambda tx: [
            enqueue(tx, parcel(number=f"{end}-{n}", case_id=n, party=end, endpoint=end), clock())
            for end in ("vik", "luster")
            for n in range(1, 6)
        ]
    )
    wanted = {"vik": 2, "luster": 3}
    claimed = play.write(lambda tx: play.outbox.claim(tx, wanted, clock()))
    assert [c.endpoint for c in claimed].count("vik") == 2
    assert [c.endpoint for c in claimed].count("luster") == 3


def test_a_paused_endpoint_waits_and_goes_on(play: Stage, clock: StandingClock):
    tell(play, ADMITTED)
    play.write(lambda tx: deliveries.pause(tx, "sogndal", clock(), "Marta"))
    assert play.deliver() == []
    assert play.write(lambda tx: deliveries.resume(tx, "sogndal"))
    assert play.deliver() == ["sent"]


def test_what_was_not_tried_is_given_back(play: Stage, clock: StandingClock):
    tell(play, ADMITTED)
    claimed = play.claim()
    play.write(lambda tx: play.outbox.release(tx, claimed, clock()))
    assert (states(play), play.delivery()["attempts"]) == (["waiting"], 0)
    assert len(play.claim()) == 1


def test_what_waited_for_an_endpoint_goes_once_the_region_names_one(store_url: str, clock: StandingClock):
    play = stage(store_url, clock, of=altered(region(), "vik", endpoint=None))
    play.receive(play.message(ADMITTED, receivers=("vik",)))
    assert play.deliver() == []
    assert play.delivery()["error"] == "no endpoint is configured for this party"
    whole = stage(store_url, clock)
    assert whole.write(lambda tx: whole.outbox.find_endpoints(tx, clock())) == 1
    assert whole.deliver() == ["sent"]
    assert whole.write(lambda tx: whole.outbox.find_endpoints(tx, clock())) == 0
    play.close()
    whole.close()


# --- trying again ------


def test_the_schedule_is_followed_to_its_end_and_then_a_person_is_told(store_url: str, clock: StandingClock):
    never_rests = Settings.model_validate({"retry": {"rest_after": 1000}})
    play = stage(store_url, clock, settings=never_rests)
    tell(play, ADMITTED)
    play.post.answer = failing(503)
    waits = []
    while True:
        (outcome,) = play.deliver()
        if outcome == "gave-up":
            break
        due = play.delivery()["next_attempt_at"]
        waits.append((due - clock()).total_seconds())
        clock.at = due
    assert waits[:8] == [2, 10, 30, 120, 600, 1800, 3600, 10800]
    assert set(waits[8:]) == {10800}
    given_up_after = clock() - play.delivery()["created_at"]
    assert timedelta(hours=69) < given_up_after <= timedelta(hours=72)
    assert states(play) == ["given-up"]
    assert open_alarms(play) == [("given-up", "delivery 1")]
    play.close()


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 403, 404, 409, 410, 412, 422])
def test_a_permanent_fault_goes_to_a_person_at_once(play: Stage, status: int):
    tell(play, ADMITTED)
    play.post.answer = failing(status)
    assert play.deliver() == ["gave-up"]
    assert (states(play), len(open_alarms(play))) == (["given-up"], 1)
    assert play.delivery()["sent_at"] is None


@pytest.mark.parametrize("status", [None, 408, 425, 429, 500, 502, 503, 504])
def test_a_passing_fault_backs_off(play: Stage, status: int | None):
    tell(play, ADMITTED)
    play.post.answer = failing(status, error="connection reset")
    assert play.deliver() == ["retry"]
    assert (states(play), open_alarms(play)) == (["waiting"], [])


def test_the_receiver_may_ask_for_a_longer_wait(play: Stage, clock: StandingClock):
    tell(play, ADMITTED)
    play.post.answer = failing(503, retry_after=300.0)
    play.deliver()
    assert play.delivery()["next_attempt_at"] == clock() + timedelta(seconds=300)


def test_the_receiver_has_it_already(play: Stage):
    tell(play, ADMITTED)
    body = b'{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"duplicate"}]}'
    play.post.answer = failing(409, body=body)
    assert play.deliver() == ["sent"]
    assert play.delivery()["delivered_at"] is not None


# --- receipts ------


def test_a_receipt_in_the_response_is_final(play: Stage, clock: StandingClock):
    tell(play, READY)
    play.post.answer = answering(clock)
    assert play.deliver() == ["sent"]
    row = play.delivery()
    assert (row["state"], row["accepted_at"], row["receipt_due_at"]) == ("acknowledged", clock(), None)
    assert sorted(f["kind"] for f in play.rows(tables.fact)) == [
        "accepted", "delivered", "ready-for-discharge",
    ]  # fmt: skip


def test_a_receipt_that_comes_later_finds_its_message(play: Stage, clock: StandingClock):
    tell(play, READY)
    play.deliver()
    row = play.delivery()
    assert (row["state"], row["accepted_at"]) == ("sent", None)
    assert row["receipt_due_at"] == clock() + timedelta(minutes=30)
    assert "accepted" not in [f["kind"] for f in play.rows(tables.fact)]
    clock.forward(minutes=5)
    done = play.receive(receipt(play.post.sent[0][1].content, at=clock()))
    assert (done.outcome, done.acknowledgement, done.case_id) == ("accepted", None, 1)
    assert (play.delivery()["state"], play.delivery()["accepted_at"]) == ("acknowledged", clock())
    delivered = [f for f in play.rows(tables.fact) if f["kind"] == "delivered"]
    assert len(delivered) == 1


@pytest.mark.parametrize("http", [200, 422, 500])
def test_a_refusal_in_the_response_counts_whatever_the_http_status(
    play: Stage, clock: StandingClock, http: int
):
    (ready,) = tell(play, READY)
    play.post.answer = failing(503)
    play.deliver()
    tell(play, WITHDRAWN, refers_to=ready)
    clock.forward(seconds=2)
    play.post.answer = answering(clock, Status.REFUSED, http=http)
    play.deliver()
    row = play.delivery()
    assert (row["state"], row["accepted_at"]) == ("refused", None)
    assert "E10" in row["error"]
    assert open_alarms(play) == [("refused", "delivery 1")]
    assert play.delivery(2)["next_attempt_at"] is None
    assert sorted(f["kind"] for f in play.rows(tables.fact))[:2] == ["delivered", "readiness-withdrawn"]


def test_not_now_backs_off_and_holds_the_lane(play: Stage, clock: StandingClock):
    tell(play, READY, DISCHARGED)
    play.post.answer = answering(clock, Status.NOT_NOW, http=503)
    play.deliver()
    assert states(play) == ["waiting", "waiting"]
    assert play.delivery()["next_attempt_at"] == clock() + timedelta(seconds=2)
    assert play.deliver() == []
    clock.forward(days=4)
    play.deliver()
    assert (states(play)[0], open_alarms(play)) == ("given-up", [("given-up", "delivery 1")])


def test_taken_over_by_a_station_on_the_way_is_no_receipt(play: Stage, clock: StandingClock):
    tell(play, READY)
    play.post.answer = answering(clock, Status.TAKEN_OVER)
    play.deliver()
    row = play.delivery()
    assert (row["state"], row["accepted_at"], row["delivered_at"]) == ("sent", None, None)
    assert row["receipt_due_at"] == clock() + timedelta(minutes=30)


def test_a_receipt_in_the_response_that_somebody_else_gives_settles_nothing(
    play: Stage, clock: StandingClock
):
    tell(play, READY)
    honest = answering(clock)

    def as_luster(message, endpoint):
        reply = honest(message, endpoint)
        return replace(reply, body=reply.body.replace(b"814355", b"814354"))

    play.post.answer = as_luster
    play.deliver()
    row = play.delivery()
    assert (row["state"], row["accepted_at"]) == ("sent", None)
    assert [m["code"] for m in play.rows(tables.message) if m["outcome"] == "quarantined"] == ["odd-answer"]


def test_a_receipt_that_contradicts_the_first_is_an_alarm_and_the_first_stands(
    play: Stage, clock: StandingClock
):
    tell(play, READY)
    play.post.answer = answering(clock)
    play.deliver()
    play.receive(receipt(play.post.sent[0][1].content, Status.REFUSED, at=clock()))
    assert states(play)[0] == "acknowledged"
    assert open_alarms(play) == [("contradicting-receipt", "delivery 1")]
    assert "refused" not in [f["kind"] for f in play.rows(tables.fact)]


def test_a_receipt_is_awaited_from_the_first_sending_until_the_receiver_speaks(
    play: Stage, clock: StandingClock
):
    def awaiting() -> list[int]:
        with play.built.store.read() as connection:
            return [row["id"] for row in deliveries.listed(connection, awaiting=True)]

    tell(play, READY)
    assert awaiting() == []
    play.deliver()
    assert awaiting() == [1]
    clock.forward(minutes=31)
    play.write(lambda tx: play.outbox.missing_receipts(tx, clock()))
    assert (play.delivery()["state"], awaiting()) == ("waiting", [1])
    play.post.answer = answering(clock)
    play.deliver()
    assert awaiting() == []
    play.deliver()
    assert [d["state"] for d in play.rows(tables.delivery, kind="receipt")] == ["sent"]
    assert awaiting() == []


def test_alarms_name_the_receiver_and_the_notice_as_people_do(play: Stage, clock: StandingClock):
    tell(play, READY)
    play.deliver()
    clock.forward(minutes=31)
    play.write(lambda tx: play.outbox.missing_receipts(tx, clock()))
    play.post.answer = failing(400)
    play.deliver()
    missing, undelivered = (alarm["text"] for alarm in play.rows(tables.alarm))
    assert missing.startswith("Sogndal kommune has given no receipt for ready for discharge; ")
    assert undelivered.startswith("ready for discharge to Sogndal kommune was not delivered: ")


def test_a_receipt_that_does_not_come_is_an_alarm_and_two_resends_then_none(
    play: Stage, clock: StandingClock
):
    tell(play, READY)
    play.deliver()
    for _ in range(2):
        clock.forward(minutes=31)
        assert play.write(lambda tx: play.outbox.missing_receipts(tx, clock())) == 1
        assert play.deliver() == ["sent"]
    clock.forward(minutes=31)
    play.write(lambda tx: play.outbox.missing_receipts(tx, clock()))
    assert play.deliver() == []
    clock.forward(hours=5)
    assert play.write(lambda tx: play.outbox.missing_receipts(tx, clock())) == 0
    (alarm,) = play.rows(tables.alarm)
    assert alarm["kind"] == "receipt-missing"
    assert "telephone" in alarm["text"]
    assert [t["trigger"] for t in play.rows(tables.attempt)] == ["schedule", *["missing-receipt"] * 2]
    assert len({m.content for _, m in play.post.sent}) == 1


def test_a_resend_that_has_to_be_tried_again_counts_once(play: Stage, clock: StandingClock):
    tell(play, READY)
    play.deliver()
    clock.forward(minutes=31)
    play.write(lambda tx: play.outbox.missing_receipts(tx, clock()))
    play.post.answer = failing(503)
    for _ in range(3):
        play.deliver()
        clock.forward(minutes=5)
    play.post.answer = taken()
    play.deliver()
    clock.forward(minutes=31)
    play.write(lambda tx: play.outbox.missing_receipts(tx, clock()))
    assert play.deliver() == ["sent"]


def test_what_its_receiver_has_taken_is_not_given_up_because_the_transport_says_no(
    play: Stage, clock: StandingClock
):
    play.receive(play.message(ADMITTED))
    play.post.answer = answering(clock)
    play.deliver()
    before = play.delivery()
    play.write(lambda tx: play.outbox.not_carried(tx, before["id"], "Rejected", clock()))
    assert play.delivery() == before and before["state"] == "acknowledged"
    assert play.rows(tables.alarm) == []


def test_a_late_receipt_is_not_too_late(play: Stage, clock: StandingClock):
    tell(play, READY)
    play.deliver()
    for _ in range(3):
        clock.forward(minutes=31)
        play.write(lambda tx: play.outbox.missing_receipts(tx, clock()))
        play.deliver()
    assert len(open_alarms(play)) == 1
    play.receive(receipt(play.post.sent[0][1].content, at=clock()))
    assert (states(play)[0], open_alarms(play)) == ("acknowledged", [])


def test_a_receipt_for_what_was_given_up_lets_go_what_parked_behind_it(play: Stage, clock: StandingClock):
    (ready,) = tell(play, READY)
    play.post.answer = failing(400)  # the receiver took it all the same
    play.deliver()
    tell(play, WITHDRAWN, refers_to=ready)
    assert play.deliver() == []
    play.receive(receipt(play.post.sent[0][1].content, at=clock()))
    assert (states(play)[0], open_alarms(play)) == ("acknowledged", [])
    play.post.answer = taken()
    assert "sent" in play.deliver()
    assert "readiness-withdrawn" in [d["kind"] for d in play.rows(tables.delivery, state="sent")]


def test_a_receipt_that_is_quicker_than_the_response_counts_once(play: Stage, clock: StandingClock):
    tell(play, READY)
    (leased,) = play.claim()
    play.receive(receipt(leased.content, at=clock()))
    record(play, leased, OK)
    row = play.delivery()
    assert (row["state"], row["lease_until"], row["receipt_due_at"]) == ("acknowledged", None, None)
    assert [f["kind"] for f in play.rows(tables.fact)].count("delivered") == 1


def test_a_receipt_for_somebody_else_s_message_is_not_taken(play: Stage, clock: StandingClock):
    tell(play, READY, receivers=("sogndal",))
    play.deliver()
    forged = receipt(play.post.sent[0][1].content, at=clock()).replace(b"8143551", b"8143541")
    forged = forged.replace(b"8143550", b"8143540")
    assert play.receive(forged).outcome == "quarantined"
    assert states(play) == ["sent"]


# --- by hand ------


def person_resends(play: Stage, clock: StandingClock, number: int = 1) -> None:
    play.write(lambda tx: play.outbox.resend(tx, number, clock(), by="Marta"))


def test_a_resend_by_hand_that_fails_leaves_the_schedule_alone(play: Stage, clock: StandingClock):
    tell(play, READY)
    play.post.answer = failing(503)
    play.deliver()
    clock.forward(seconds=2)
    play.deliver()
    before = play.delivery()
    clock.forward(seconds=1)
    person_resends(play, clock)
    assert play.deliver() == ["retry"]
    after = play.delivery()
    for kept in ("state", "attempts", "next_attempt_at", "resume_state", "resume_at", "trigger"):
        assert after[kept] == before[kept]
    assert [t["trigger"] for t in play.rows(tables.attempt)] == ["schedule", "schedule", "person"]
    assert [h["what"] for h in play.rows(tables.history)] == ["resent by hand"]


def test_a_resend_by_hand_that_succeeds_ends_the_waiting(play: Stage, clock: StandingClock):
    tell(play, READY)
    play.post.answer = failing(503)
    play.deliver()
    play.post.answer = taken()
    person_resends(play, clock)
    assert play.deliver() == ["sent"]
    row = play.delivery()
    assert (row["state"], row["next_attempt_at"], row["attempts"], row["trigger"]) == (
        "sent",
        None,
        1,
        "schedule",
    )


@pytest.mark.parametrize(("answer", "after"), [(failing(503), "given-up"), (taken(), "sent")])
def test_what_was_given_up_can_be_resent(play: Stage, clock: StandingClock, answer, after: str):
    tell(play, READY)
    play.post.answer = failing(400)
    play.deliver()
    play.post.answer = answer
    person_resends(play, clock)
    play.deliver()
    assert states(play) == [after]
    assert bool(open_alarms(play)) == (after == "given-up")
    clock.forward(days=1)
    assert play.deliver() == []


@pytest.mark.parametrize("answer", [failing(503), taken()])
def test_what_was_acknowledged_stays_so_when_it_is_resent(play: Stage, clock: StandingClock, answer):
    tell(play, READY)
    play.post.answer = answering(clock)
    play.deliver()
    play.post.answer = answer
    person_resends(play, clock)
    play.deliver()
    assert (states(play)[0], play.delivery()["receipt_due_at"]) == ("acknowledged", None)


def test_what_was_refused_can_be_resent_and_then_accepted_but_the_sender_is_told_once(
    play: Stage, clock: StandingClock
):
    tell(play, READY)
    play.post.answer = answering(clock, Status.REFUSED)
    play.deliver()
    play.post.answer = answering(clock)
    person_resends(play, clock)
    play.deliver()
    assert states(play)[0] == "acknowledged"
    assert open_alarms(play) == []
    assert [d["kind"] for d in play.rows(tables.delivery)].count("receipt") == 1


def test_a_late_receipt_makes_an_earlier_resend_forgotten(play: Stage, clock: StandingClock):
    tell(play, READY)
    play.deliver()
    play.write(lambda tx: play.outbox.give_up(tx, 1, clock(), by="Marta"))
    person_resends(play, clock)
    play.receive(receipt(play.post.sent[0][1].content, at=clock()))
    assert states(play)[0] == "acknowledged"
    play.post.answer = failing(503)
    person_resends(play, clock)
    play.deliver()
    assert states(play)[0] == "acknowledged"


def test_giving_up_by_hand_is_visible(play: Stage, clock: StandingClock):
    (ready,) = tell(play, READY)
    play.write(lambda tx: play.outbox.give_up(tx, 1, clock(), by="Marta"))
    tell(play, WITHDRAWN, refers_to=ready)
    assert play.delivery()["error"] == "given up by hand"
    assert [(h["what"], h["by"]) for h in play.rows(tables.history)] == [("given up by hand", "Marta")]
    assert play.delivery(2)["next_attempt_at"] is None
    assert play.deliver() == []


def test_what_the_receiver_has_decided_cannot_be_given_up(play: Stage, clock: StandingClock):
    tell(play, READY)
    play.post.answer = answering(clock)
    play.deliver()
    with pytest.raises(NotFound, match="nothing to give up"):
        play.write(lambda tx: play.outbox.give_up(tx, 1, clock(), by="Marta"))
    with pytest.raises(NotFound, match="no delivery 99"):
        person_resends(play, clock, 99)


def test_a_reissue_has_new_ids_and_closes_the_old_one(play: Stage, clock: StandingClock):
    (ready,) = tell(play, READY)
    play.post.answer = failing(404)
    play.deliver()
    new = play.write(lambda tx: play.built.inbox.reissue(tx, 1, clock(), to="luster", by="Marta"))
    old, made = play.delivery(1), play.delivery(2)
    assert (made["id"], made["original"], made["party"]) == (new, 1, "luster")
    assert made["message_id"] != ready
    assert (old["state"], old["error"]) == ("given-up", f"reissued as delivery {new}")
    assert open_alarms(play) == []
    play.post.answer = answering(clock)
    play.deliver()
    assert play.delivery(2)["state"] == "acknowledged"
    assert b"8143541" in play.post.sent[-1][1].content


def test_a_reissue_of_what_was_accepted_leaves_that_as_it_is(play: Stage, clock: StandingClock):
    tell(play, READY)
    play.post.answer = answering(clock)
    play.deliver()
    play.write(lambda tx: play.built.inbox.reissue(tx, 1, clock(), to="luster", by="Marta"))
    assert states(play)[0] == "acknowledged"


def test_what_was_parked_goes_after_the_reissue(play: Stage, clock: StandingClock):
    (ready,) = tell(play, READY)
    play.post.answer = failing(404)
    play.deliver()
    tell(play, WITHDRAWN, refers_to=ready)
    play.post.answer = taken()
    play.write(lambda tx: play.built.inbox.reissue(tx, 1, clock(), to=None, by="Marta"))
    assert play.deliver() == ["sent"]
    assert play.deliver() == ["sent"]
    tell(play, WITHDRAWN, refers_to=ready)
    reissued = play.delivery(3)
    assert (play.delivery(4)["refers_to"], play.deliver()) == (reissued["message_id"], ["sent"])


def test_a_reissued_correction_still_says_what_it_corrects(play: Stage, clock: StandingClock):
    (first,) = tell(play, READY)
    play.deliver()
    tell(play, READY, standing=Standing.CORRECTION, refers_to=first)
    play.write(lambda tx: play.built.inbox.reissue(tx, 2, clock(), to=None, by="Marta"))
    play.deliver()
    assert first.encode() in play.post.sent[-1][1].content


def test_what_retention_has_removed_cannot_be_resent(play: Stage, clock: StandingClock):
    tell(play, READY)
    play.post.answer = answering(clock)
    play.deliver()
    play.write(lambda tx: tx.execute(tables.payload.delete()))
    with pytest.raises(NotFound, match="retention"):
        person_resends(play, clock)


# --- alarms ------


def started(play: Stage, text: str) -> Callable[[Connection], None]:
    return lambda tx: play.outbox.alarms.start(
        tx, kind="mailbox", subject="mailbox a", text=text, now=play.clock()
    )


def with_webhook(url: str, clock: StandingClock) -> Stage:
    return stage(url, clock, settings=Settings(alarm_webhook="http://127.0.0.1:9/alarms"))


def test_an_alarm_is_one_row_told_at_its_start_and_its_end(store_url: str, clock: StandingClock):
    play = with_webhook(store_url, clock)
    for _ in range(3):
        play.write(
            lambda tx: play.outbox.alarms.start(
                tx, kind="mailbox", subject="mailbox a", text="gone", now=clock()
            )
        )
    clock.forward(minutes=5)
    for _ in range(2):
        play.write(lambda tx: play.outbox.alarms.end(tx, "mailbox", "mailbox a", clock()))
    (row,) = play.rows(tables.alarm)
    assert row["until"] - row["since"] == timedelta(minutes=5)
    assert [d["message_id"] for d in play.rows(tables.delivery)] == ["alarm-1-started", "alarm-1-ended"]
    assert [play.deliver(), play.deliver()] == [["sent"], ["sent"]]  # the end never overtakes the start
    assert [name for name, _ in play.post.sent] == [WEBHOOK, WEBHOOK]
    play.write(
        lambda tx: play.outbox.alarms.start(
            tx, kind="mailbox", subject="mailbox a", text="again", now=clock()
        )
    )
    assert len(play.rows(tables.alarm)) == 2
    play.close()


def test_a_webhook_that_fails_raises_no_endless_chain(store_url: str, clock: StandingClock):
    play = with_webhook(store_url, clock)
    play.post.answer = failing(404)
    play.write(started(play, "x"))
    assert play.deliver() == ["gave-up"]
    assert play.deliver() == []
    assert len(play.rows(tables.delivery)) == 1
    assert open_alarms(play) == [("mailbox", "mailbox a"), ("given-up", "delivery 1")]
    play.close()


def test_jitter_is_an_argument(store_url: str, clock: StandingClock):
    play = stage(store_url, clock)
    play.built = replace(play.built, outbox=replace(play.outbox, jitter=lambda: 1.0))
    tell(play, ADMITTED)
    assert isinstance(play.post, FakePost)
    play.post.answer = failing(503)
    play.deliver()
    assert play.delivery()["next_attempt_at"] == clock() + timedelta(seconds=2.4)
    play.close()


def test_what_has_been_accepted_cannot_be_given_up_while_a_person_sends_it_again(
    store_url: str, clock: StandingClock
):
    play = stage(store_url, clock)
    play.post.answer = answering(clock)
    play.receive(play.message(NoticeKind.ADMITTED))
    play.deliver()
    play.write(lambda tx: play.outbox.resend(tx, 1, clock(), by="Marta"))
    with pytest.raises(NotFound, match="acknowledged already"):
        play.write(lambda tx: play.outbox.give_up(tx, 1, clock(), by="Marta"))
    play.close()
