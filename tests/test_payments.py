"""A month's statement over both stores: worked out while it is open, frozen when it is closed."""

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Connection, event

from adapter.discharge.ledger import EntryState
from adapter.discharge.notices import AnswerValue, NoticeKind, Standing
from adapter.errors import AdapterError, NotFound
from adapter.ledger import Ledger, Statement, bounds
from adapter.store import cases as case_rows
from adapter.store import ledger as ledger_rows
from adapter.store import tables
from tests.conftest import StandingClock
from tests.stage import Stage, answering, stage

pytestmark = pytest.mark.postgres_in_soak

K = NoticeKind


@pytest.fixture
def play(store_url: str, clock: StandingClock) -> Iterator[Stage]:
    """A patient whom Sogndal has known of since the admission, and who is ready; the receipts are there."""
    made = stage(store_url, clock)
    made.post.answer = answering(clock)
    for kind in (K.ADMITTED, K.CARE_NEEDS, K.READY_FOR_DISCHARGE):
        tell(made, kind)
        clock.forward(hours=1)
    yield made
    made.close()


def tell(play: Stage, kind: NoticeKind, **more: object) -> str:
    content = play.message(kind, **more)
    done = play.receive(content)
    assert done.outcome == "accepted"
    play.deliver()
    return str(play.rows(tables.message)[-1]["message_id"])


def answered(play: Stage, value: AnswerValue = AnswerValue.CAN_RECEIVE) -> None:
    tell(play, K.ANSWER, sender="sogndal", receivers=("laerdal-sjukehus",), answer=value)


def statement(play: Stage, month: str = "2014-03") -> Statement:
    return play.write(lambda tx: play.built.ledger.statement(tx, month, play.clock()))


def close(play: Stage, month: str = "2014-03") -> Statement:
    return play.write(lambda tx: play.built.ledger.close(tx, month, play.clock(), by="Kari"))


def days(made: Statement) -> list[tuple[int, str]]:
    return [(line.day.day, line.kind.value) for line in made.lines]


def test_an_open_month_is_worked_out_anew_each_time(play: Stage, clock: StandingClock):
    assert days(statement(play)) == []
    clock.forward(days=2)
    made = statement(play)
    assert days(made) == [(3, "charge"), (4, "charge")]
    assert [(t.debtor, t.payee, t.days, t.amount) for t in made.totals] == [
        ("sogndal", "hospital", 2, Decimal(8510))
    ]
    answered(play)
    clock.forward(days=3)
    assert days(statement(play)) == [(3, "charge"), (4, "charge")]
    assert play.rows(tables.ledger_entry) == []


def test_a_month_is_closed_when_it_is_over_and_only_once(play: Stage, clock: StandingClock):
    with pytest.raises(NotFound, match="not over yet"):
        close(play)
    clock.forward(days=29)
    made = close(play)
    assert made.closed_at == clock()
    assert len(made.lines) == 29
    assert {line.id for line in made.lines} == set(range(1, 30))
    with pytest.raises(NotFound, match="closed already"):
        close(play)


def test_a_late_message_changes_a_closed_month_by_a_reversal_in_the_next(play: Stage, clock: StandingClock):
    ready = play.rows(tables.message, type="ready-for-discharge")[0]["message_id"]
    clock.forward(days=2)
    answered(play)
    clock.forward(days=35)
    frozen = close(play)
    assert days(frozen) == [(3, "charge"), (4, "charge")]
    tell(play, K.READY_FOR_DISCHARGE, standing=Standing.CANCELLATION, refers_to=ready)
    assert statement(play).lines == frozen.lines
    april = statement(play, "2014-04")
    assert [(line.day.month, line.day.day, line.kind.value) for line in april.lines] == [
        (3, 3, "reversal"),
        (3, 4, "reversal"),
    ]
    assert [(t.days, t.amount) for t in april.totals] == [(-2, Decimal(-8510))]
    clock.forward(days=30)
    close(play, "2014-04")
    assert statement(play, "2014-05").lines == ()


def test_what_was_booked_is_found_through_a_chain_of_merges(play: Stage, clock: StandingClock):
    clock.forward(days=29)
    close(play)
    (first,) = play.rows(tables.case)

    def merged(tx: Connection) -> dict[int, list[int]]:
        for old in (1, 2):
            values = {**first, "id": old + 1}
            tx.execute(tables.case.insert().values(values))
            case_rows.merge(tx, old, old + 1, clock())
        return ledger_rows.booked(tx)

    assert play.write(merged) == {3: [1]}


def test_an_open_month_asks_the_ledger_nothing_for_a_case_without_bookings(play: Stage, clock: StandingClock):
    clock.forward(days=2)
    with play.built.store.read() as tx:
        asked: list[str] = []
        event.listen(tx, "before_cursor_execute", lambda _c, _u, said, *_: asked.append(said))
        made = play.built.ledger.statement(tx, "2014-03", clock())
    assert len(made.lines) == 2
    assert [said for said in asked if "ledger_entry.case_id IN" in said] == []


class Slowly(Ledger):
    """Works a statement out, and then waits a little for the others to have done so, too."""

    others = threading.Barrier(2)

    def statement(self, tx: Connection, month: str, now: datetime) -> Statement:
        made = super().statement(tx, month, now)
        with contextlib.suppress(threading.BrokenBarrierError):
            self.others.wait(timeout=0.5)
        return made


def closed_at_once(play: Stage, url: str, clock: StandingClock, *months: str) -> list[str]:
    """Two processes close at the same moment; what each came to."""
    other = stage(url, clock)
    Slowly.others.reset()

    def one(process: Stage, month: str) -> str:
        ledger = Slowly(cases=process.built.ledger.cases)
        try:
            process.write(lambda tx: ledger.close(tx, month, clock(), by="Kari"))
        except AdapterError as error:
            return type(error).__name__
        return "closed"

    with ThreadPoolExecutor(2) as pool:
        done = [
            pool.submit(one, process, month) for process, month in zip((play, other), months, strict=True)
        ]
        found = sorted(future.result() for future in done)
    other.close()
    return found


def test_two_who_close_one_month_at_once_book_it_once(play: Stage, clock: StandingClock, store_url: str):
    clock.forward(days=29)
    assert closed_at_once(play, store_url, clock, "2014-03", "2014-03") == ["NotFound", "closed"]
    assert len(play.rows(tables.ledger_entry)) == 29


def test_two_who_close_two_months_at_once_book_a_correction_once(
    play: Stage, clock: StandingClock, store_url: str
):
    ready = play.rows(tables.message, type="ready-for-discharge")[0]["message_id"]
    clock.forward(days=2)
    answered(play)
    clock.forward(days=35)
    close(play)
    tell(play, K.READY_FOR_DISCHARGE, standing=Standing.CANCELLATION, refers_to=ready)
    clock.forward(days=60)
    assert closed_at_once(play, store_url, clock, "2014-04", "2014-05") == ["closed", "closed"]
    assert sorted(row["kind"] for row in play.rows(tables.ledger_entry)) == ["charge"] * 2 + ["reversal"] * 2


@pytest.mark.parametrize("month", ["9999-12", "0001-01", "1949-12", "2200-01"])
def test_a_month_at_the_ends_of_the_calendar_is_none(month: str):
    with pytest.raises(ValueError, match="is not in 1950 to 2199"):
        bounds(month)


def test_a_waived_charge_is_reversed_with_the_next_month(play: Stage, clock: StandingClock):
    clock.forward(days=2)
    answered(play)
    clock.forward(days=35)
    first = close(play).lines[0]
    assert first.id is not None
    number = first.id

    def settle(state: EntryState) -> None:
        play.write(
            lambda tx: play.built.ledger.settle(tx, number, state, play.clock(), by="Kari", why="fire")
        )

    settle(EntryState.DISPUTED)
    assert statement(play, "2014-04").lines == ()
    settle(EntryState.WAIVED)
    (reversal,) = statement(play, "2014-04").lines
    assert (reversal.reverses, reversal.amount) == (number, Decimal(-4255))
    clock.forward(days=30)
    close(play, "2014-04")
    with pytest.raises(NotFound, match="reversed already"):
        settle(EntryState.UPHELD)
    noted = [row["what"] for row in play.rows(tables.history) if row["subject"] == f"charge {number}"]
    assert noted == [f"charge {number} disputed: fire", f"charge {number} waived: fire"]


def test_what_is_not_booked_cannot_be_settled(play: Stage):
    with pytest.raises(NotFound, match="no booked charge 7"):
        play.write(
            lambda tx: play.built.ledger.settle(
                tx, 7, EntryState.WAIVED, play.clock(), by=None, why="a mistake"
            )
        )


def test_an_answer_that_nobody_has_classified_keeps_the_days_out(play: Stage, clock: StandingClock):
    clock.forward(days=1)
    answered(play, AnswerValue.UNCLASSIFIED)
    clock.forward(days=3)
    assert statement(play).lines == ()
    answered(play, AnswerValue.CANNOT_RECEIVE)
    assert [day for day, _ in days(statement(play))] == [3, 4, 5, 6]


@pytest.mark.parametrize(("month", "last"), [("2014-02", 28), ("2024-02", 29), ("2014-12", 31)])
def test_a_month_has_its_bounds(month, last):
    first, end = bounds(month)
    assert (first.day, end.day) == (1, last)
    assert end - first == timedelta(days=last - 1)


def test_a_day_that_was_refused_in_words_is_booked_though_the_last_answer_was_never_read(
    play: Stage, clock: StandingClock
):
    """The withdrawal closes the deadline, because nobody waits for a word any more; the day stays owed."""
    answered(play, AnswerValue.CANNOT_RECEIVE)
    clock.forward(days=1)
    answered(play, AnswerValue.UNCLASSIFIED)
    clock.forward(days=2)
    assert days(statement(play)) == [(3, "charge")]
    tell(play, K.READINESS_WITHDRAWN)
    assert [row["state"] for row in play.rows(tables.deadline, kind="payment-start")] == ["void"]
    assert days(statement(play)) == [(3, "charge")]
