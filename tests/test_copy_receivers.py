"""A message to receiver and copy receiver of one organisation (N-01): one notice, and a receipt for each.

It may come once for both, twice under one id, or under two ids (T11).
"""

import uuid
from collections.abc import Iterator
from datetime import timedelta

import pytest

from adapter.discharge.notices import NoticeKind, Standing
from adapter.mappings.known import named
from adapter.messaging.acknowledgement import Status, Verdict
from adapter.messaging.register import ReceiptWhen
from adapter.store import tables
from tests.apprecs import CASE_WORK, NURSING, receipts, to_service, with_copy
from tests.conftest import StandingClock
from tests.stage import TORBJORN, Stage, altered, answering, failing, region, stage

ADMITTED, READY = NoticeKind.ADMITTED, NoticeKind.READY_FOR_DISCHARGE


def on_board(party: str = "sogndal"):
    """Where the municipality has no system but our board, so that its receipts are given at once."""
    return altered(region(), party, endpoint=None, receipt=ReceiptWhen.STORED)


@pytest.fixture
def play(store_url: str, clock: StandingClock) -> Iterator[Stage]:
    made = stage(store_url, clock, of=on_board())
    yield made
    made.close()


@pytest.fixture
def delivering(store_url: str, clock: StandingClock) -> Iterator[Stage]:
    """The municipality's own system behind us gives the receipts."""
    made = stage(store_url, clock)
    yield made
    made.close()


def the_notices(play: Stage) -> list[str]:
    return [row["kind"] for row in play.rows(tables.fact) if row["message_row"] is not None]


# --- one message for both ------


@pytest.mark.parametrize("dialect", ["plo-1.5", "plo-1.6"])
def test_one_message_for_both_is_one_notice_and_two_receipts_of_which_one_is_the_copy_s(
    play: Stage, dialect: str
):
    number = str(uuid.uuid4())
    done = play.receive(
        with_copy(play.plo(ADMITTED, dialect=dialect, message_id=number)), channel="directory"
    )
    assert done.outcome == "accepted"
    assert the_notices(play) == ["admitted"]
    assert len(play.rows(tables.case)) == 1
    assert sorted(d["kind"] for d in play.rows(tables.deadline)) == ["early-notice", "report-of-admission"]
    assert sorted(receipts(play)) == [(number, "COP", CASE_WORK, "1"), (number, "PRIM", NURSING, "1")]


def test_its_own_system_gets_it_once_and_both_receipts_follow_its_word(
    delivering: Stage, clock: StandingClock
):
    play, number = delivering, str(uuid.uuid4())
    play.receive(with_copy(play.plo(ADMITTED, message_id=number)), channel="directory")
    assert [d["party"] for d in play.rows(tables.delivery)] == ["sogndal"]
    assert receipts(play) == []
    play.post.answer = answering(clock)
    play.deliver()
    assert sorted(receipts(play)) == [(number, "COP", CASE_WORK, "1"), (number, "PRIM", NURSING, "1")]


def test_where_its_own_system_refuses_both_receipts_say_so(delivering: Stage, clock: StandingClock):
    play, number = delivering, str(uuid.uuid4())
    play.receive(with_copy(play.plo(ADMITTED, message_id=number)), channel="directory")
    play.post.answer = answering(clock, Status.REFUSED)
    play.deliver()
    assert sorted(receipts(play)) == [(number, "COP", CASE_WORK, "2"), (number, "PRIM", NURSING, "2")]


def test_a_duplicate_for_two_receivers_gets_no_further_receipt_and_is_counted(play: Stage):
    content = with_copy(play.plo(ADMITTED))
    play.receive(content, channel="directory")
    before = play.counts()
    again = play.receive(content, channel="directory")
    assert (again.outcome, again.acknowledgement) == ("duplicate", None)
    assert play.counts() == before
    assert [m["duplicates"] for m in play.rows(tables.message)] == [1]


def test_between_two_of_theirs_it_goes_on_once_and_each_receiver_s_receipt_goes_back(
    store_url: str, clock: StandingClock
):
    hospital = altered(region(**{"laerdal-sjukehus": "theirs"}), "laerdal-sjukehus", endpoint="leikanger")
    play = stage(store_url, clock, of=hospital)
    aardal = with_copy(play.plo(ADMITTED, receivers=("aardal",)), service="8143522", was="8143521")
    play.receive(aardal, channel="directory")
    assert [d["party"] for d in play.rows(tables.delivery)] == ["aardal"]
    play.deliver()
    kith = named("plo-1.6")
    envelope = kith.read(aardal, content_type=None, zone=clock().tzinfo).envelope
    for receiver in (0, 1):
        verdict = Verdict(status=Status.ACCEPTED, at=clock(), id=str(uuid.uuid4()), receiver=receiver)
        made = kith.acknowledge(envelope, verdict)
        assert made is not None
        play.receive(made, channel="directory")
        play.receive(made, channel="directory")
    assert [(role, service) for _, role, service, _ in receipts(play)] == [
        ("PRIM", "8143521"),
        ("COP", "8143522"),
    ]
    play.close()


# --- two messages under two ids ------


@pytest.fixture(params=["message", "plo"])
def written(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("kind", [ADMITTED, NoticeKind.DISCHARGED])
def test_the_same_under_another_id_for_the_other_service_is_no_second_notice(
    play: Stage, clock: StandingClock, written: str, kind: NoticeKind
):
    one, two, at = str(uuid.uuid4()), str(uuid.uuid4()), clock()
    first = play.receive(getattr(play, written)(kind, at=at, message_id=one), channel="directory")
    before = play.counts()
    clock.forward(minutes=2)
    second = getattr(play, written)(kind, at=at + timedelta(minutes=1), occurred=at, message_id=two)
    done = play.receive(to_service(second, CASE_WORK), channel="directory")
    assert done.outcome == "accepted"
    assert done.reason == (
        f"the same as message {first.message_row}, for another receiver of the same organisation"
    )
    assert done.case_id == first.case_id
    after = play.counts()
    same = ("fact", "discharge_case", "deadline")
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    assert [m["same_as"] for m in play.rows(tables.message)] == [None, first.message_row]
    assert len(play.rows(tables.delivery, kind="receipt")) == 2
    assert len(play.rows(tables.delivery)) == 2


def test_care_needs_and_reports_too(play: Stage, clock: StandingClock):
    for kind in (NoticeKind.CARE_NEEDS, NoticeKind.DISCHARGE_REPORT, NoticeKind.SERVICES_GRANTED):
        at = clock.forward(minutes=10)
        first = play.receive(play.message(kind, at=at, text="Bur åleine."))
        again = to_service(
            play.message(kind, at=at + timedelta(seconds=2), occurred=at, text="Bur åleine."), CASE_WORK
        )
        clock.forward(minutes=1)
        assert play.receive(again).reason == (
            f"the same as message {first.message_row}, for another receiver of the same organisation"
        )


def test_a_sending_time_that_stands_for_the_event_s_does_not_make_it_another(
    play: Stage, clock: StandingClock
):
    play.receive(play.message(NoticeKind.CARE_NEEDS))
    clock.forward(seconds=3)
    done = play.receive(to_service(play.message(NoticeKind.CARE_NEEDS), CASE_WORK))
    assert "the same as message" in str(done.reason)


def test_each_of_the_two_messages_gets_its_own_receipt(play: Stage, clock: StandingClock):
    one, two = str(uuid.uuid4()), str(uuid.uuid4())
    play.receive(with_copy(play.plo(ADMITTED, message_id=one)), channel="directory")
    play.receive(with_copy(play.plo(ADMITTED, message_id=two)), channel="directory")
    assert the_notices(play) == ["admitted"]
    assert sorted(receipts(play)) == sorted(
        [
            (one, "PRIM", NURSING, "1"),
            (one, "COP", CASE_WORK, "1"),
            (two, "PRIM", NURSING, "1"),
            (two, "COP", CASE_WORK, "1"),
        ]
    )


@pytest.mark.parametrize("settled_first", [True, False])
def test_the_word_of_its_own_system_holds_for_both(
    delivering: Stage, clock: StandingClock, settled_first: bool
):
    play, one, two = delivering, str(uuid.uuid4()), str(uuid.uuid4())
    play.receive(play.plo(ADMITTED, message_id=one), channel="directory")
    play.post.answer = answering(clock)
    if settled_first:
        play.deliver()
    play.receive(to_service(play.plo(ADMITTED, message_id=two), CASE_WORK), channel="directory")
    play.deliver()
    assert [name for name, _ in play.post.sent].count("sogndal") == 1
    assert sorted(receipts(play)) == sorted([(one, "PRIM", NURSING, "1"), (two, "PRIM", CASE_WORK, "1")])


def test_a_follow_up_that_names_the_second_is_about_the_first(play: Stage, clock: StandingClock):
    one, two = str(uuid.uuid4()), str(uuid.uuid4())
    play.receive(play.message(READY, message_id=one))
    play.receive(to_service(play.message(READY, message_id=two), CASE_WORK))
    clock.forward(minutes=5)
    play.receive(play.message(READY, standing=Standing.CANCELLATION, refers_to=one))
    (case,) = play.rows(tables.case)
    assert case["state"] == "cancelled"
    again = to_service(play.message(READY, standing=Standing.CANCELLATION, refers_to=two), CASE_WORK)
    assert "the same as message" in str(play.receive(again).reason)


def test_a_second_notice_to_the_same_address_is_a_second_notice(play: Stage, clock: StandingClock):
    play.receive(play.message(READY))
    assert play.receive(play.message(READY)).reason is None
    assert the_notices(play) == ["ready-for-discharge"] * 2


def test_what_says_something_else_or_comes_from_another_or_days_later_is_another(
    play: Stage, clock: StandingClock
):
    at = clock()
    play.receive(play.message(READY, occurred=at))
    of_another = to_service(play.message(READY, occurred=at, subject=TORBJORN), CASE_WORK)
    assert play.receive(of_another).reason is None
    other_time = to_service(play.message(READY, occurred=at - timedelta(hours=1)), CASE_WORK)
    assert play.receive(other_time).reason is None
    clock.forward(hours=25)
    late = to_service(play.message(READY, occurred=at), CASE_WORK)
    assert play.receive(late).reason is None
    assert the_notices(play) == ["ready-for-discharge"] * 4


def test_for_another_organisation_it_is_another_message(play: Stage):
    play.receive(play.message(ADMITTED))
    assert play.receive(play.message(ADMITTED, receivers=("vik",))).reason is None
    assert the_notices(play) == ["admitted", "admitted"]


def test_what_was_refused_is_no_first(play: Stage, clock: StandingClock):
    """A message that was held counts for nothing, so that what says the same is taken."""
    ahead = clock() + timedelta(hours=2)
    assert play.receive(play.message(READY, at=ahead, occurred=clock())).outcome == "quarantined"
    done = play.receive(to_service(play.message(READY), CASE_WORK))
    assert (done.outcome, done.reason) == ("accepted", None)


def test_released_from_quarantine_the_second_is_no_second_notice_either(play: Stage, clock: StandingClock):
    at, two = clock(), str(uuid.uuid4())
    ahead = to_service(
        play.message(READY, at=at + timedelta(hours=1), occurred=at, message_id=two), CASE_WORK
    )
    held = play.receive(ahead)
    play.receive(play.message(READY, at=at))
    clock.forward(hours=2)
    done = play.write(lambda tx: play.built.inbox.release(tx, held.message_row, clock(), by="Kari"))
    assert "the same as message" in str(done.reason)
    assert the_notices(play) == ["ready-for-discharge"]


# --- a first that stands no longer has no second ------


def the_same_to_the_other(play: Stage, kind: NoticeKind, **more: object) -> bytes:
    return to_service(play.plo(kind, **more), CASE_WORK)  # type: ignore[arg-type]  # the fields of a message


def test_what_was_cancelled_and_is_sent_anew_to_the_right_service_is_taken(play: Stage, clock: StandingClock):
    one, two, at = str(uuid.uuid4()), str(uuid.uuid4()), clock()
    play.receive(play.plo(READY, message_id=one), channel="directory")
    clock.forward(minutes=5)
    over = play.plo(READY, occurred=at, standing=Standing.CANCELLATION, refers_to=one)
    play.receive(over, channel="directory")
    clock.forward(minutes=5)
    done = play.receive(the_same_to_the_other(play, READY, occurred=at, message_id=two), channel="directory")
    assert (done.outcome, done.reason) == ("accepted", None)
    assert [case["state"] for case in play.rows(tables.case)] == ["cancelled", "ready"]
    assert (two, "PRIM", CASE_WORK, "1") in receipts(play)


def test_what_was_sent_before_the_cancellation_is_cancelled_with_the_first(play: Stage, clock: StandingClock):
    """It only comes late: in the order in which they were sent it is a second one, and so it is now."""
    one, at = str(uuid.uuid4()), clock()
    play.receive(play.plo(READY, message_id=one), channel="directory")
    copy = the_same_to_the_other(play, READY, occurred=at, at=clock.forward(minutes=1))
    clock.forward(minutes=5)
    over = play.plo(READY, occurred=at, standing=Standing.CANCELLATION, refers_to=one)
    play.receive(over, channel="directory")
    assert "the same as message" in str(play.receive(copy, channel="directory").reason)
    assert [case["state"] for case in play.rows(tables.case)] == ["cancelled"]


@pytest.mark.parametrize("kind", [READY, NoticeKind.CARE_NEEDS])
def test_what_was_replaced_and_is_said_again_counts_again(
    play: Stage, clock: StandingClock, kind: NoticeKind
):
    one, at = str(uuid.uuid4()), clock()
    play.receive(play.message(kind, message_id=one, text="Bur åleine."))
    clock.forward(minutes=5)
    play.receive(
        play.message(kind, occurred=at, text="Bur saman.", standing=Standing.CORRECTION, refers_to=one)
    )
    clock.forward(minutes=5)
    done = play.receive(to_service(play.message(kind, occurred=at, text="Bur åleine."), CASE_WORK))
    assert done.reason is None
    assert the_notices(play) == [kind.value] * 3


@pytest.mark.parametrize("failure", ["refused", "given-up"])
def test_what_its_own_system_never_took_goes_to_it_when_it_is_sent_anew(
    delivering: Stage, clock: StandingClock, failure: str
):
    play, at, two = delivering, clock(), str(uuid.uuid4())
    play.receive(play.plo(ADMITTED), channel="directory")
    play.post.answer = answering(clock, Status.REFUSED) if failure == "refused" else failing(400)
    play.deliver()
    assert play.delivery()["state"] == failure
    clock.forward(hours=1)
    play.post.answer = answering(clock)
    again = the_same_to_the_other(play, ADMITTED, occurred=at, message_id=two)
    assert play.receive(again, channel="directory").reason is None
    play.deliver()
    assert [d["state"] for d in play.rows(tables.delivery, kind="admitted")] == [failure, "acknowledged"]
    assert (two, "PRIM", CASE_WORK, "1") in receipts(play)


def test_what_has_been_given_up_and_reissued_is_on_its_way(delivering: Stage, clock: StandingClock):
    play, at = delivering, clock()
    play.receive(play.plo(ADMITTED), channel="directory")
    play.post.answer = failing(400)
    play.deliver()
    play.write(lambda tx: play.built.inbox.reissue(tx, play.delivery()["id"], clock(), to=None, by="Kari"))
    clock.forward(minutes=5)
    again = the_same_to_the_other(play, ADMITTED, occurred=at)
    assert "the same as message" in str(play.receive(again, channel="directory").reason)
