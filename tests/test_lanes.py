"""What was taken back before it left is never sent; what is newer goes in place of what still waits."""

import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

import tests.stage
from adapter.discharge.agreement import agreement
from adapter.discharge.notices import NoticeKind, Plan, PlanKind, Standing
from adapter.errors import NotFound
from adapter.fhir.bundles import HPR
from adapter.fhir.notices import notice_in
from adapter.mappings.known import named
from adapter.messaging.acknowledgement import Status
from adapter.messaging.delivery import Reply
from adapter.messaging.register import ReceiptWhen
from adapter.store import cases as case_rows
from adapter.store import deliveries, journal, messages, shown, tables
from adapter.store import lanes as lane_rows
from tests.conftest import StandingClock, postgres_store
from tests.stage import Stage, altered, answering, failing, receipt, region, stage, taken

pytestmark = pytest.mark.postgres_in_soak

K = NoticeKind
READY, WITHDRAWN, NEEDS, PLANNED = (
    K.READY_FOR_DISCHARGE,
    K.READINESS_WITHDRAWN,
    K.CARE_NEEDS,
    K.PLANNED_DISCHARGE,
)
OK = Reply(status=202, taken=True, delivered=True)


@pytest.fixture
def play(store_url: str, clock: StandingClock) -> Iterator[Stage]:
    """Lærdal sjukehus, Sogndal (FHIR) and Årdal (theirs, PLO 1.6)."""
    made = stage(store_url, clock)
    yield made
    made.close()


def tell(play: Stage, clock: StandingClock, kind: NoticeKind, party: str = "sogndal", **more: object) -> str:
    """One message a minute after the one before; returns its id."""
    clock.forward(minutes=1)
    number = str(uuid.uuid4())
    done = play.receive(play.message(kind, receivers=(party,), message_id=number, **more))
    assert done.outcome == "accepted", done.reason
    return number


def states(play: Stage) -> list[str]:
    return [d["state"] for d in play.rows(tables.delivery)]


def drain(play: Stage, clock: StandingClock) -> list[str]:
    """The kinds that leave from now on, in order."""
    before = len(play.post.sent)
    play.post.answer = taken()
    for _ in range(6):
        clock.forward(minutes=30)
        play.write(lambda tx: deliveries.free_leases(tx, clock()))
        play.deliver()
    return [message.message_id for _, message in play.post.sent[before:]]


def read(play: Stage, number: int):
    """What the receiver reads in the delivery of that number."""
    row = play.delivery(number)
    with play.built.store.read() as tx:
        content = messages.content(tx, row["payload"])
    zone = play.outbox.cases.agreement.zone
    reading = named(row["dialect"]).read(content, content_type=row["content_type"], zone=zone)
    return notice_in(reading.bundle, zone=zone)


# --- every state, every way of undoing, every side ------


def bring(play: Stage, clock: StandingClock, state: str, party: str) -> None:
    """The only delivery there is, to that state."""
    match state:
        case "waiting":
            pass
        case "leased":
            play.claim()
        case "lease-lost":
            play.claim()
            clock.forward(minutes=5)
            play.write(lambda tx: deliveries.free_leases(tx, clock()))
        case "attempted":
            play.post.answer = failing(503)
            play.deliver()
        case "resent":
            play.write(lambda tx: play.outbox.resend(tx, 1, clock(), by="Kari"))
        case "given-up":
            play.write(lambda tx: play.outbox.give_up(tx, 1, clock(), by="Kari"))
        case "sent":
            play.deliver()
        case "acknowledged":
            play.post.answer = answering(clock)
            play.deliver()


UNDOING = {
    "withdrawal": (READY, lambda first: (WITHDRAWN, {"refers_to": first})),
    "cancellation": (READY, lambda first: (READY, {"refers_to": first, "standing": Standing.CANCELLATION})),
    "correction": (READY, lambda first: (READY, {"refers_to": first, "standing": Standing.CORRECTION})),
    "newer-version": (NEEDS, lambda first: (NEEDS, {"text": "Treng hjelp til alt."})),
}
SIDES = {
    "ours-to-theirs": ("aardal", {}),
    "ours-to-ours": ("sogndal", {}),
    "theirs-to-ours": ("sogndal", {"laerdal-sjukehus": "theirs"}),
    "relayed": ("sogndal", {"laerdal-sjukehus": "theirs", "sogndal": "theirs"}),
}
STATES = ("waiting", "leased", "lease-lost", "attempted", "resent", "given-up", "sent", "acknowledged")


@pytest.mark.parametrize("sides", SIDES)
@pytest.mark.parametrize("way", UNDOING)
@pytest.mark.parametrize("state", STATES)
def test_only_what_ours_told_and_nobody_tried_is_undone_before_it_leaves(
    store_url: str, clock: StandingClock, state: str, way: str, sides: str
):
    party, turned = SIDES[sides]
    play = stage(store_url, clock, of=region(**turned))
    kind, undo = UNDOING[way]
    first = tell(play, clock, kind, party)
    bring(play, clock, state, party)
    after, more = undo(first)
    tell(play, clock, after, party, **more)
    made = [d for d in play.rows(tables.delivery) if d["kind"] != "receipt"]
    ids = {d["message_id"]: d["id"] for d in made}
    undone = state == "waiting" and sides.startswith("ours")
    assert [d["state"] == "cancelled" for d in made] == (
        [undone, undone and way in ("withdrawal", "cancellation")]
    )
    left = [ids[i] for i in drain(play, clock) if i in ids]
    if not undone:
        parked = state == "given-up" and way != "newer-version" and made[1]["refers_to"]
        assert parked or left[-1] == made[1]["id"]
        assert made[0]["id"] not in left or left.index(made[0]["id"]) < left.index(made[1]["id"])
    elif way in ("withdrawal", "cancellation"):
        assert left == []
    else:
        assert left == [made[1]["id"]]
        assert play.delivery(1)["superseded_by"] == made[1]["id"]
    play.close()


# --- withdrawn before it left ------


def test_a_withdrawal_before_the_first_attempt_cancels_both_for_good(play: Stage, clock: StandingClock):
    first = tell(play, clock, READY)
    tell(play, clock, WITHDRAWN, refers_to=first)
    assert states(play) == ["cancelled", "cancelled"]
    one, two = play.rows(tables.delivery)
    assert (one["superseded_by"], "delivery 2" in one["error"]) == (2, True)
    assert "never sent" in two["error"]
    assert drain(play, clock) == []
    steps = [f["kind"] for f in play.rows(tables.fact) if f["message_row"] is None]
    assert steps == []
    assert play.rows(tables.alarm) == []
    notes = [(h["subject"], h["what"]) for h in play.rows(tables.history)]
    assert any(s == "delivery 1" and "never sent" in w for s, w in notes)
    assert any(s == "delivery 2" and "never sent" in w for s, w in notes)
    with play.built.store.read() as tx:
        assert list(journal.findings(tx, play.built.agreement, play.outbox.cases.roles)) == []
        (case,) = case_rows.listed(tx)
        told = shown.case(tx, case)
    assert [(d["state"], d["superseded_by"]) for d in told["deliveries"]] == [
        ("cancelled", None),
        ("cancelled", 2),
    ]


def test_it_needs_no_reference(play: Stage, clock: StandingClock):
    tell(play, clock, READY)
    tell(play, clock, WITHDRAWN)
    assert states(play) == ["cancelled", "cancelled"]


def test_a_withdrawal_told_twice_is_not_sent_the_second_time_either(play: Stage, clock: StandingClock):
    first = tell(play, clock, READY)
    tell(play, clock, WITHDRAWN, refers_to=first)
    tell(play, clock, WITHDRAWN, refers_to=first)
    assert states(play) == ["cancelled"] * 3


def test_a_readiness_that_comes_after_goes_and_its_withdrawal_too(play: Stage, clock: StandingClock):
    tell(play, clock, READY)
    tell(play, clock, WITHDRAWN)
    second = tell(play, clock, READY)
    assert drain(play, clock) == [second]
    third = tell(play, clock, WITHDRAWN)
    assert drain(play, clock) == [third]


def test_what_a_receiver_has_had_before_must_still_be_withdrawn(play: Stage, clock: StandingClock):
    """Two ready notices, the first has left: then the withdrawal is for that one, and goes."""
    first = tell(play, clock, READY)
    play.deliver()
    second = tell(play, clock, READY)
    third = tell(play, clock, WITHDRAWN)
    assert states(play) == ["sent", "waiting", "waiting"]
    assert drain(play, clock) == [second, third]
    assert first not in (second, third)


def test_a_late_withdrawal_of_an_earlier_readiness_leaves_the_new_one_alone(
    play: Stage, clock: StandingClock
):
    first = tell(play, clock, READY)
    early = clock() + timedelta(seconds=1)
    clock.forward(minutes=5)
    second = tell(play, clock, READY)
    tell(play, clock, WITHDRAWN, refers_to=first, at=early)
    assert states(play) == ["cancelled", "waiting", "cancelled"]
    assert drain(play, clock) == [second]


def test_each_receiver_is_judged_for_itself(play: Stage, clock: StandingClock):
    number = str(uuid.uuid4())
    play.receive(play.message(READY, receivers=("sogndal", "aardal"), message_id=number))
    play.post.answer = lambda _m, endpoint: Reply(status=503) if endpoint.name == "aardal" else OK
    play.deliver()
    clock.forward(seconds=1)
    play.receive(play.message(WITHDRAWN, receivers=("sogndal", "aardal", "vik"), refers_to=number))
    by = {(d["party"], d["kind"]): d["state"] for d in play.rows(tables.delivery)}
    assert by["sogndal", "readiness-withdrawn"] == by["aardal", "readiness-withdrawn"] == "waiting"
    assert by["vik", "readiness-withdrawn"] == "waiting"


def test_a_withdrawal_that_is_taken_back_itself_lets_the_notice_go_after_all(
    play: Stage, clock: StandingClock
):
    first = tell(play, clock, READY)
    second = tell(play, clock, WITHDRAWN, refers_to=first)
    tell(play, clock, WITHDRAWN, refers_to=second, standing=Standing.CANCELLATION)
    assert states(play) == ["cancelled", "cancelled", "cancelled", "waiting"]
    assert play.delivery(1)["superseded_by"] == 4
    assert drain(play, clock) == [first]


def test_a_correction_of_what_was_withdrawn_goes_only_if_it_comes_after_the_withdrawal(
    play: Stage, clock: StandingClock
):
    first = tell(play, clock, READY)
    early = clock() + timedelta(seconds=5)
    tell(play, clock, WITHDRAWN, refers_to=first)
    tell(play, clock, READY, refers_to=first, standing=Standing.CORRECTION, occurred=early)
    assert states(play) == ["cancelled", "cancelled", "cancelled"]
    tell(play, clock, READY, refers_to=first, standing=Standing.CORRECTION)
    assert states(play)[3] == "waiting"
    assert read(play, 4).standing is Standing.NEW


def test_what_waits_without_an_endpoint_is_cancelled_too(store_url: str, clock: StandingClock):
    play = stage(store_url, clock, of=altered(region(), "sogndal", endpoint=None))
    tell(play, clock, READY)
    tell(play, clock, WITHDRAWN)
    assert states(play) == ["cancelled", "cancelled"]
    play.close()


def test_a_party_whose_board_is_its_system_has_received_by_our_storing(store_url: str, clock: StandingClock):
    play = stage(store_url, clock, of=altered(region(), "sogndal", receipt=ReceiptWhen.STORED))
    tell(play, clock, READY)
    tell(play, clock, WITHDRAWN)
    assert states(play) == ["waiting", "waiting"]
    play.close()


def test_where_the_rules_want_the_trace_both_go_in_order(play: Stage, clock: StandingClock):
    terms = {"trace_of_withdrawn": True}
    cases = replace(play.outbox.cases, agreement=agreement("norway", terms))
    outbox = replace(play.outbox, cases=cases)
    play.built = replace(
        play.built, outbox=outbox, inbox=replace(play.built.inbox, cases=cases, outbox=outbox)
    )
    first = tell(play, clock, READY)
    second = tell(play, clock, WITHDRAWN, refers_to=first)
    assert states(play) == ["waiting", "waiting"]
    assert drain(play, clock) == [first, second]
    assert any("wants the trace" in h["what"] for h in play.rows(tables.history))


def test_what_parked_behind_it_may_go(play: Stage, clock: StandingClock):
    first = tell(play, clock, READY)
    note = tell(play, clock, K.NOTE, refers_to=first)
    play.write(lambda tx: deliveries.park_behind(tx, first, "sogndal", 1))
    assert play.delivery(2)["next_attempt_at"] is None
    tell(play, clock, WITHDRAWN, refers_to=first)
    assert states(play) == ["cancelled", "waiting", "cancelled"]
    assert drain(play, clock) == [note]


# --- in place of what still waits ------


@pytest.mark.parametrize("party", ["sogndal", "aardal"])
def test_a_correction_of_what_has_not_left_is_written_as_new(play: Stage, clock: StandingClock, party: str):
    first = tell(play, clock, READY, party)
    tell(play, clock, READY, party, refers_to=first, standing=Standing.CORRECTION)
    assert states(play) == ["cancelled", "waiting"]
    told = read(play, 2)
    assert (told.standing, told.refers_to) == (Standing.NEW, None)
    assert play.delivery(2)["refers_to"] is None
    assert len(drain(play, clock)) == 1


def test_a_correction_in_plo_that_plo_reads_whole_is_written_as_new(
    play: Stage, clock: StandingClock, monkeypatch: pytest.MonkeyPatch
):
    doctor = replace(tests.stage.DOCTOR, identifiers=((HPR, "9144897"),))
    monkeypatch.setattr(tests.stage, "DOCTOR", doctor)
    clock.forward(minutes=1)
    number = str(uuid.uuid4())
    more = {"receivers": ("aardal",), "admitted": clock() - timedelta(days=1)}
    play.receive(play.plo(READY, message_id=number, **more))
    clock.forward(minutes=1)
    play.receive(play.plo(READY, refers_to=number, standing=Standing.CORRECTION, **more))
    assert states(play) == ["cancelled", "waiting"], [h["what"] for h in play.rows(tables.history)]
    assert read(play, 2).standing is Standing.NEW


def test_the_correction_of_a_correction_stands_in_its_place(play: Stage, clock: StandingClock):
    first = tell(play, clock, READY)
    play.deliver()
    second = tell(play, clock, READY, refers_to=first, standing=Standing.CORRECTION)
    tell(play, clock, READY, refers_to=second, standing=Standing.CORRECTION)
    assert states(play) == ["sent", "cancelled", "waiting"]
    told = read(play, 3)
    assert (told.standing, told.refers_to) == (Standing.CORRECTION, first)


def test_what_refers_to_it_later_names_what_went_in_its_place(play: Stage, clock: StandingClock):
    first = tell(play, clock, READY)
    tell(play, clock, READY, refers_to=first, standing=Standing.CORRECTION)
    play.deliver()
    tell(play, clock, WITHDRAWN, refers_to=first)
    assert states(play) == ["cancelled", "sent", "waiting"]
    assert play.delivery(3)["refers_to"] == play.delivery(2)["message_id"]
    assert read(play, 3).refers_to == play.delivery(2)["message_id"]


def test_what_would_lose_something_goes_after_what_it_corrects(play: Stage, clock: StandingClock):
    """Where a dialect cannot say it cleanly, both go in order, and the history says so."""
    clock.forward(minutes=1)
    number = str(uuid.uuid4())
    more = {"receivers": ("aardal",), "admitted": clock() - timedelta(days=1)}
    play.receive(play.plo(READY, message_id=number, **more))
    clock.forward(minutes=1)
    corrected = play.plo(READY, refers_to=number, standing=Standing.CORRECTION, **more)
    noted = re.sub(
        rb"(<([a-z0-9]+:)?Anslag>[a-z]+</([a-z0-9]+:)?Anslag>)", rb"\1<\2Merknad>Ring.</\2Merknad>", corrected
    )
    assert noted != corrected
    assert play.receive(noted).outcome == "accepted"
    assert states(play) == ["waiting", "waiting"]
    assert read(play, 2).standing is Standing.CORRECTION
    assert any("goes after what it corrects" in h["what"] for h in play.rows(tables.history))


def test_its_right_to_overtake_is_that_of_a_new_notice(play: Stage, clock: StandingClock):
    """So that no deadline is missed by it: the newer early notice leaves when the older one might have."""
    tell(play, clock, K.ADMITTED)
    play.post.answer = failing(503)
    play.deliver()
    first = tell(play, clock, NEEDS)
    older = play.delivery(2)["hold_until"]
    tell(play, clock, NEEDS, refers_to=first, standing=Standing.CORRECTION)
    assert states(play) == ["waiting", "cancelled", "waiting"]
    assert older is not None
    assert play.delivery(3)["hold_until"] == older


def test_the_newer_early_notice_meets_the_deadline(play: Stage, clock: StandingClock):
    tell(play, clock, K.ADMITTED)
    play.deliver()
    tell(play, clock, NEEDS)
    tell(play, clock, NEEDS, text="Treng hjelp til alt.")
    play.post.answer = answering(clock)
    play.deliver()
    (deadline,) = play.rows(tables.deadline, kind="early-notice")
    assert deadline["state"] == "met"


@pytest.mark.parametrize("kind", [NEEDS, PLANNED])
def test_of_several_versions_only_the_last_leaves(play: Stage, clock: StandingClock, kind: NoticeKind):
    for _ in range(3):
        tell(play, clock, kind, planned_discharge=clock().date(), text=str(uuid.uuid4()))
    assert states(play) == ["cancelled", "cancelled", "waiting"]
    assert [d["superseded_by"] for d in play.rows(tables.delivery)] == [2, 3, None]


def test_two_plans_of_a_case_do_not_replace_each_other(play: Stage, clock: StandingClock):
    for number in ("p-1", "p-2", "p-1"):
        plan = Plan(id=number, kind=PlanKind.DISCHARGE_PLAN)
        tell(play, clock, K.CARE_PLAN, plan=plan, text=str(uuid.uuid4()))
    assert sorted(states(play)) == ["cancelled", "waiting", "waiting"]


def test_an_older_version_that_comes_late_replaces_nothing(play: Stage, clock: StandingClock):
    early = clock()
    clock.forward(hours=1)
    tell(play, clock, PLANNED, planned_discharge=clock().date())
    tell(play, clock, PLANNED, planned_discharge=early.date(), at=early)
    assert states(play) == ["waiting", "waiting"]


def test_what_another_message_refers_to_stays(play: Stage, clock: StandingClock):
    first = tell(play, clock, NEEDS)
    tell(play, clock, K.NOTE, refers_to=first)
    tell(play, clock, NEEDS, text="Treng hjelp til alt.")
    assert states(play) == ["waiting"] * 3


def test_what_was_for_another_service_stays(play: Stage, clock: StandingClock):
    first = json.loads(play.message(NEEDS, text="Til saksbehandlar."))
    register = play.built.register
    services = register.party("sogndal").services
    assert len(services) > 1
    text = json.dumps(first).replace(services[0].identifiers[0][1], services[1].identifiers[0][1])
    play.receive(text.encode())
    tell(play, clock, NEEDS, text="Til sjukepleiar.")
    assert states(play) == ["waiting", "waiting"]


def test_the_earlier_version_goes_after_all_when_the_newer_is_taken_back(play: Stage, clock: StandingClock):
    first = tell(play, clock, PLANNED, planned_discharge=clock().date())
    second = tell(play, clock, PLANNED, planned_discharge=clock().date() + timedelta(days=1))
    tell(play, clock, PLANNED, refers_to=second, standing=Standing.CANCELLATION)
    assert states(play) == ["cancelled", "cancelled", "cancelled", "waiting"]
    assert drain(play, clock) == [first]


# --- people, receipts, locks ------


@pytest.mark.parametrize("act", ["resend", "give_up", "once_more", "reissue"])
def test_nothing_by_hand_brings_a_cancelled_one_back(play: Stage, clock: StandingClock, act: str):
    tell(play, clock, READY)
    tell(play, clock, WITHDRAWN)
    acts = {
        "resend": lambda tx: play.outbox.resend(tx, 1, clock(), by="Kari"),
        "give_up": lambda tx: play.outbox.give_up(tx, 1, clock(), by="Kari"),
        "once_more": lambda tx: play.outbox.once_more(tx, 1, clock(), by="Kari", why="so"),
        "reissue": lambda tx: play.built.inbox.reissue(tx, 1, clock(), to=None, by="Kari"),
    }
    with pytest.raises(NotFound, match="cancelled for good: taken back by delivery 2"):
        play.write(acts[act])
    assert states(play) == ["cancelled", "cancelled"]


def test_a_receipt_for_what_was_never_sent_is_held(play: Stage, clock: StandingClock):
    clock.forward(minutes=1)
    content = play.message(READY, receivers=("sogndal",))
    play.receive(content)
    tell(play, clock, WITHDRAWN)
    done = play.receive(receipt(content, Status.ACCEPTED, at=clock()))
    assert (done.outcome, done.code) == ("quarantined", "unknown-original")
    assert play.delivery(1)["state"] == "cancelled"


@pytest.fixture
def postgres_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A PostgreSQL store; SQLite has one writer at a time."""
    with postgres_store(request) as url:
        yield url


@pytest.mark.postgres
def test_a_row_that_a_worker_is_claiming_counts_as_attempted(postgres_url: str, clock: StandingClock):
    """On PostgreSQL the row is locked before it is decided on; what is locked by another is let alone."""
    play = stage(postgres_url, clock)
    tell(play, clock, READY)
    with play.built.store.read() as other, other.begin_nested():
        other.exec_driver_sql("SELECT id FROM delivery FOR UPDATE")
        tell(play, clock, WITHDRAWN)
    assert states(play) == ["waiting", "waiting"]
    free = play.write(lambda tx: lane_rows.untried(tx, [1, 2]))
    assert free == {1, 2}
    play.close()
