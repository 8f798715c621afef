"""The machine's clock is set forward or back: messages that wait, leases, receipts, deadlines.

Time is an argument: the clock of the play is set, as somebody, or a time service, sets the machine's.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import RowMapping

from adapter.discharge.notices import NoticeKind
from adapter.messaging.delivery import Reply
from adapter.scheduler.deadlines import Deadlines
from adapter.scheduler.housekeeping import Housekeeping
from adapter.store import deliveries, tables
from tests.conftest import StandingClock
from tests.stage import Stage, answering, failing, stage, taken

pytestmark = pytest.mark.postgres_in_soak

HOUR = timedelta(hours=1)


@pytest.fixture
def clock() -> StandingClock:
    """As the machine's own: in UTC, where hours are hours."""
    return StandingClock(at=datetime(2026, 3, 3, 9, 0, tzinfo=UTC))


@pytest.fixture
def play(store_url: str, clock: StandingClock) -> Iterator[Stage]:
    made = stage(store_url, clock)
    yield made
    made.close()


def law(play: Stage) -> Deadlines:
    built = play.built
    return Deadlines(
        store=built.store, cases=built.cases, outbox=play.outbox, register=built.register, clock=play.clock
    )


def tick(play: Stage) -> None:
    """What the clockwork does again and again."""
    law(play)()
    play.write(lambda tx: deliveries.free_leases(tx, play.clock()))
    play.write(lambda tx: play.outbox.missing_receipts(tx, play.clock()))
    play.deliver()


def told(play: Stage, what: str) -> list[RowMapping]:
    return [row for row in play.rows(tables.history) if row["what"] == what]


def early_notice(play: Stage) -> RowMapping:
    (row,) = play.rows(tables.deadline, kind="early-notice")
    return row


# --- deadlines --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("minutes", [-60, 60], ids=["back", "forward"])
@pytest.mark.parametrize("when", ["before the reminder", "before it is due", "after it was missed"])
def test_a_deadline_is_reminded_of_once_and_missed_once_wherever_the_clock_jumps(
    play: Stage, clock: StandingClock, minutes: int, when: str
) -> None:
    """Due 24 hours after admission, with a reminder after 12; the clock jumps, and later jumps back."""
    began = clock.at
    play.receive(play.message(NoticeKind.ADMITTED))
    jumps = {
        "before the reminder": timedelta(hours=11, minutes=30),
        "before it is due": timedelta(hours=23, minutes=30),
        "after it was missed": timedelta(hours=24, minutes=20),
    }
    until(play, clock, began + jumps[when])
    clock.forward(minutes=minutes)
    until(play, clock, clock.at + timedelta(hours=2))
    clock.forward(minutes=-minutes)
    until(play, clock, began + timedelta(hours=30))
    assert len(told(play, "reminded")) == 1
    assert len(told(play, "missed")) == 1
    assert early_notice(play)["state"] == "missed"
    on = [row["kind"] for row in play.rows(tables.alarm, until=None) if row["kind"].startswith("deadline")]
    assert on == ["deadline-missed"]


def until(play: Stage, clock: StandingClock, end: datetime) -> None:
    """The clock runs on, ten minutes at a time."""
    while clock.at < end:
        clock.forward(minutes=10)
        law(play)()


def test_what_is_met_in_time_is_not_missed_for_the_clock_was_ahead(play: Stage, clock: StandingClock) -> None:
    """An hour ahead it seems missed; when the clock is right again the facts say that it was in time."""
    began = clock.at
    play.receive(play.message(NoticeKind.ADMITTED))
    clock.at = began + timedelta(hours=24, minutes=30)  # in truth 23:30 after
    law(play)()
    assert early_notice(play)["state"] == "missed"
    clock.at = began + timedelta(hours=23, minutes=40)
    play.post.answer = answering(clock)
    play.receive(play.message(NoticeKind.CARE_NEEDS))
    while play.deliver():
        pass
    until(play, clock, began + timedelta(hours=26))
    assert early_notice(play)["state"] == "met"
    assert [row["kind"] for row in play.rows(tables.alarm, until=None)] == []


# --- what waits -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("minutes", [-60, 60], ids=["back", "forward"])
def test_what_waits_for_its_next_try_leaves_at_most_as_much_later_and_once(
    play: Stage, clock: StandingClock, minutes: int
) -> None:
    play.post.answer = failing(503)
    play.receive(play.message(NoticeKind.ADMITTED, receivers=("vik",)))
    play.deliver()
    assert play.delivery()["state"] == "waiting"
    play.post.answer = answering(clock)
    clock.forward(minutes=minutes)
    tick(play)
    clock.forward(minutes=61)
    tick(play)
    row = play.delivery()
    assert (row["state"], row["attempts"]) == ("acknowledged", 2)
    assert [endpoint for endpoint, _ in play.post.sent].count("vik") == 2
    assert len(play.rows(tables.fact, kind="accepted")) == 1


@pytest.mark.parametrize("minutes", [-60, 60], ids=["back", "forward"])
def test_what_is_leased_when_the_clock_jumps_is_recorded_once(
    play: Stage, clock: StandingClock, minutes: int
) -> None:
    """Ahead, the lease seems to have ended, and another worker sends too; back, it lasts an hour more."""
    play.receive(play.message(NoticeKind.ADMITTED, receivers=("vik",)))
    (held,) = play.claim()
    clock.forward(minutes=minutes)
    freed = play.write(lambda tx: deliveries.free_leases(tx, clock()))
    assert freed == (1 if minutes > 0 else 0)
    play.post.answer = answering(clock)
    play.deliver()
    late = Reply(status=202, taken=True, delivered=True)
    play.write(lambda tx: play.outbox.record(tx, held, late, clock()))
    assert play.delivery()["state"] == ("acknowledged" if minutes > 0 else "sent")
    assert play.delivery()["attempts"] == 1
    assert len(play.rows(tables.fact, kind="accepted")) == (1 if minutes > 0 else 0)


def test_a_dead_worker_s_lease_ends_an_hour_late_at_most_when_the_clock_is_set_back(
    play: Stage, clock: StandingClock
) -> None:
    play.receive(play.message(NoticeKind.ADMITTED, receivers=("vik",)))
    play.claim()  # and its holder dies
    clock.forward(minutes=-60)
    clock.forward(minutes=62)
    tick(play)
    assert play.delivery()["state"] == "sent"


@pytest.mark.parametrize("minutes", [-60, 60], ids=["back", "forward"])
def test_an_awaited_receipt_is_missed_once_and_counts_once(
    play: Stage, clock: StandingClock, minutes: int
) -> None:
    play.post.answer = taken()
    play.receive(play.message(NoticeKind.ADMITTED, receivers=("vik",)))
    play.deliver()
    clock.forward(minutes=minutes)
    for _ in range(4):
        tick(play)
        clock.forward(minutes=10)
    alarms = play.rows(tables.alarm, kind="receipt-missing")
    assert len(alarms) == (1 if minutes > 0 else 0), "not before its time, and not each time"
    clock.forward(minutes=90)
    tick(play)
    assert len(play.rows(tables.alarm, kind="receipt-missing", until=None)) == 1


@pytest.mark.soak
def test_a_jump_of_an_hour_takes_an_hour_of_the_three_days_of_retries_and_no_more(
    play: Stage, clock: StandingClock
) -> None:
    """72 hours after it came a message is given up, with one alarm; the last try is in their last hours."""
    play.post.answer = failing(503)
    began = clock.at
    play.receive(play.message(NoticeKind.ADMITTED, receivers=("vik",)))
    jumped = False
    while (row := play.delivery())["state"] == "waiting":
        clock.at = max(clock.at, row["next_attempt_at"])
        if not jumped and clock.at - began > timedelta(hours=30):
            clock.at, jumped = clock.at + HOUR, True
        play.deliver()
    assert play.delivery()["state"] == "given-up"
    assert clock.at - began > timedelta(hours=68)
    assert len(play.rows(tables.alarm, kind="given-up", until=None)) == 1


def test_what_seems_to_come_from_the_future_is_held_and_can_be_released(
    play: Stage, clock: StandingClock
) -> None:
    """With our clock an hour back every sender seems to be an hour ahead: held, told, and not lost."""
    content = play.message(NoticeKind.ADMITTED, receivers=("vik",), at=clock.at)
    clock.forward(minutes=-60)
    held = play.receive(content)
    assert held.outcome == "quarantined"
    assert [row["kind"] for row in play.rows(tables.alarm, until=None)] == ["quarantined"]
    clock.forward(minutes=60)
    row = held.message_row
    released = play.write(lambda tx: play.built.inbox.release(tx, row, clock(), by="Marta"))
    assert released.outcome == "accepted"
    assert len(play.rows(tables.delivery, party="vik")) == 1


# --- retention --------------------------------------------------------------------------------------------


def test_a_clock_far_ahead_prunes_nothing_that_is_still_on_its_way(play: Stage, clock: StandingClock) -> None:
    """Set to 2028 by mistake: what waits keeps its content, and what was taken is still known as taken."""
    play.post.answer = failing(503)
    content = play.message(NoticeKind.ADMITTED, receivers=("vik",))
    play.receive(content)
    play.deliver()
    right = clock.at
    clock.at = right.replace(year=2028)
    keep = timedelta(days=365)
    Housekeeping(
        store=play.built.store,
        outbox=play.outbox,
        clock=clock,
        keep_payloads=keep,
        keep_attempts=keep,
        keep_seen=keep,
        keep_accesses=keep,
    ).prune()
    clock.at = right + timedelta(minutes=5)
    play.post.answer = answering(clock)
    assert play.deliver() == ["sent"]
    assert play.receive(content).outcome == "duplicate"
