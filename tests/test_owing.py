"""What each case comes to is kept beside it, counted anew where it must be, and forgotten with the case."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from sqlalchemy import Connection, event

from adapter.cases import Cases
from adapter.discharge.agreement import Accord, agreement
from adapter.discharge.case import Case
from adapter.discharge.notices import AnswerValue, NoticeKind
from adapter.erasing import erase
from adapter.ledger import Ledger
from adapter.owing import Owing, terms_of
from adapter.scheduler.reckoning import Reckoning
from adapter.store import cases as case_rows
from adapter.store import owed, tables
from tests.conftest import StandingClock
from tests.stage import TORBJORN, Stage, answering, stage

K = NoticeKind


@pytest.fixture
def play(store_url: str, clock: StandingClock) -> Iterator[Stage]:
    """A patient whom Sogndal has known of since the admission, ready for two days and a half."""
    made = stage(store_url, clock)
    made.post.answer = answering(clock)
    for kind in (K.ADMITTED, K.CARE_NEEDS, K.READY_FOR_DISCHARGE):
        tell(made, kind)
        clock.forward(hours=1)
    clock.forward(days=2)
    yield made
    made.close()


def tell(play: Stage, kind: NoticeKind, **more: object) -> None:
    assert play.receive(play.message(kind, **more)).outcome == "accepted"
    play.deliver()


def answered(play: Stage) -> None:
    whom = {"sender": "sogndal", "receivers": ("laerdal-sjukehus",)}
    tell(play, K.ANSWER, answer=AnswerValue.CAN_RECEIVE, **whom)


def count(play: Stage) -> int:
    """As the job does it."""
    owing = Owing(cases=play.built.cases)
    return Reckoning(store=play.built.store, owing=owing, clock=play.clock)()


def kept(play: Stage) -> list[int]:
    return [row["day"].day for row in play.rows(tables.owed_day)]


@dataclass(frozen=True, kw_only=True)
class Folding(Cases):
    """Tells which patients were folded."""

    patients: list[str] = field(default_factory=list)

    def folded(self, tx: Connection, patient: str) -> list[tuple[int, Case]]:
        self.patients.append(patient)
        return super().folded(tx, patient)


def days(play: Stage, *, cases: Cases | None = None) -> list[int]:
    """The days of March, by the statement."""
    ledger = Ledger(cases=cases or play.built.cases)
    with play.built.store.read() as tx:
        return [line.day.day for line in ledger.statement(tx, "2014-03", play.clock()).lines]


def folds(play: Stage) -> bool:
    """Whether somebody who asks for the month has to have a case folded."""
    watching = Folding(agreement=play.built.agreement, roles=play.built.cases.roles)
    days(play, cases=watching)
    return bool(watching.patients)


def test_what_is_kept_needs_no_folding(play: Stage):
    assert folds(play)
    assert count(play) == 1
    assert kept(play) == [3, 4]
    assert not folds(play)
    assert days(play) == [3, 4]
    assert count(play) == 0


def test_a_day_that_ends_is_charged_whether_or_not_it_was_counted(play: Stage, clock: StandingClock):
    count(play)
    clock.at = clock.at.replace(hour=23, minute=59)
    assert not folds(play)
    clock.forward(minutes=1)
    assert days(play) == [3, 4, 5]
    assert count(play) == 1
    assert kept(play) == [3, 4, 5]
    assert not folds(play)


def test_a_message_has_its_case_counted_anew(play: Stage, clock: StandingClock):
    count(play)
    answered(play)
    clock.forward(days=5)
    assert folds(play)
    assert days(play) == [3, 4]
    assert count(play) == 1
    assert kept(play) == [3, 4]


def test_a_receipt_that_can_move_a_start_has_its_case_counted_anew(play: Stage):
    assert play.receive(play.message(K.READY_FOR_DISCHARGE)).outcome == "accepted"
    count(play)
    assert not folds(play)
    play.deliver()
    assert folds(play)
    assert count(play) == 1


def test_a_stay_that_is_over_is_not_counted_day_by_day(play: Stage, clock: StandingClock):
    answered(play)
    tell(play, K.DISCHARGED)
    clock.forward(hours=1)
    assert count(play) == 1
    clock.forward(days=400)
    assert count(play) == 0
    assert not folds(play)


def test_what_owes_nothing_is_not_folded_and_not_looked_at_again(play: Stage, clock: StandingClock):
    tell(play, K.ADMITTED, subject=TORBJORN, encounter="another")
    assert count(play) == 2
    (_, other) = play.rows(tables.case)
    assert other["owed_by"] == terms_of(play.built.cases)
    assert other["owed_again"] is None


def test_an_agreement_that_changes_shows_before_and_after_it_is_counted(play: Stage):
    count(play)
    dearer = agreement("norway", {"amounts": {"2014": "5000"}})
    cases = replace(play.built.cases, agreement=dearer)

    def amounts(tx: Connection) -> set[str]:
        return {f"{e.amount}" for e in Ledger(cases=cases).statement(tx, "2014-03", play.clock()).lines}

    assert play.write(amounts) == {"5000"}
    assert {row["amount"] for row in play.rows(tables.owed_day)} == {"4255"}
    assert play.write(lambda tx: Owing(cases=cases).reckon(tx, play.clock())) == 1
    assert {row["amount"] for row in play.rows(tables.owed_day)} == {"5000"}
    assert play.write(amounts) == {"5000"}
    assert days(play) == [3, 4]


def test_terms_are_told_apart_by_whatever_they_say():
    one = Accord(name="avtale", between=frozenset(("a", "b")), terms={"amounts": {"2014": "1"}})
    laws = [
        agreement("norway"),
        agreement("sweden"),
        agreement("norway", {"amounts": {"2014": "1"}}),
        agreement("norway", {"amounts": {"2014": "2"}}),
        agreement("norway", accords=[one]),
        agreement("norway", accords=[replace(one, between=frozenset("a"))]),
    ]
    known = [terms_of(Cases(agreement=law)) for law in laws]
    assert len(set(known)) == len(known)
    assert terms_of(Cases(agreement=laws[0], roles={"a": "hospital"})) not in known
    again = replace(one, between=frozenset(("b", "a")))
    assert terms_of(Cases(agreement=agreement("norway", accords=[again]))) == known[4]


def test_a_statement_of_an_earlier_instant_is_not_made_of_later_days(play: Stage, clock: StandingClock):
    count(play)
    clock.forward(days=-1)
    assert days(play) == [3]


def test_a_case_that_is_erased_or_becomes_another_keeps_nothing(play: Stage, clock: StandingClock):
    count(play)
    (row,) = play.rows(tables.case)

    def erased(tx: Connection) -> None:
        erase(tx, play.outbox, row["id"], clock(), by="Kari", why="filed on the wrong person")

    play.write(erased)
    assert kept(play) == []
    assert count(play) == 0


def test_few_wait_while_many_are_counted(play: Stage, clock: StandingClock, monkeypatch: pytest.MonkeyPatch):
    """After an upgrade: a unit of work counts a few, and a writer who waits goes first."""
    monkeypatch.setattr("adapter.owing.AT_ONCE", 1)
    for kind in (K.ADMITTED, K.CARE_NEEDS, K.READY_FOR_DISCHARGE):
        tell(play, kind, subject=TORBJORN, encounter="another")
    assert play.write(lambda tx: Owing(cases=play.built.cases).reckon(tx, clock())) == 1
    with play.built.store.read() as tx:
        assert Owing(cases=play.built.cases).behind(tx, clock())
    assert count(play) == 1


def test_a_case_of_which_no_fact_is_left_keeps_no_other_waiting(play: Stage, monkeypatch: pytest.MonkeyPatch):
    """As a store that was put together by hand may have one: it stands first, and nothing folds to it."""
    monkeypatch.setattr("adapter.owing.AT_ONCE", 1)
    (row,) = play.rows(tables.case)
    deadline = play.rows(tables.deadline, kind="payment-start")[0]

    def bare(tx: Connection) -> None:
        tx.execute(tables.case.insert().values(**dict(row) | {"id": 99, "patient": "A", "owed_by": None}))
        tx.execute(tables.deadline.insert().values(**dict(deadline) | {"id": 999, "case_id": 99}))

    play.write(bare)
    assert count(play) == 2
    assert kept(play) == [3, 4]
    assert count(play) == 0


@dataclass(frozen=True, kw_only=True)
class Broken(Cases):
    """Cannot fold one of the patients."""

    cannot: list[str] = field(default_factory=list)

    def folded(self, tx: Connection, patient: str) -> list[tuple[int, Case]]:
        if patient in self.cannot:
            raise KeyError("a fault of ours")
        return super().folded(tx, patient)


@pytest.mark.parametrize("which", [0, 1])
def test_a_case_that_cannot_be_counted_stops_no_other_and_comes_again(
    play: Stage, clock: StandingClock, monkeypatch: pytest.MonkeyPatch, which: int
):
    monkeypatch.setattr("adapter.owing.AT_ONCE", 1)
    for kind in (K.ADMITTED, K.CARE_NEEDS, K.READY_FOR_DISCHARGE):
        tell(play, kind, subject=TORBJORN, encounter="another")
    rows = sorted(play.rows(tables.case), key=lambda row: row["patient"])
    built, bad = play.built, rows[which]
    broken = Broken(agreement=built.agreement, roles=built.cases.roles, cannot=[bad["patient"]])
    job = Reckoning(store=built.store, owing=Owing(cases=broken), clock=clock)
    assert job() == 1
    assert job() == 0
    (left,) = [row["id"] for row in play.rows(tables.case) if row["owed_by"] is None]
    assert left == bad["id"]
    broken.cannot.clear()  # as after an upgrade
    assert job() == 0
    clock.forward(hours=1)
    assert job() == 1
    assert all(row["owed_by"] is not None for row in play.rows(tables.case))


@pytest.mark.parametrize("store_url", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True)
def test_what_another_process_is_told_while_cases_are_looked_at_is_not_lost(
    play: Stage, monkeypatch: pytest.MonkeyPatch
):
    """Between the look that finds nothing owed and the note that nothing is, a deadline comes.

    SQLite has one writer at a time.
    """
    (deadline,) = play.rows(tables.deadline, kind="payment-start")
    play.write(
        lambda tx: tx.execute(tables.deadline.delete().where(tables.deadline.c.kind == "payment-start"))
    )
    looked = owed.may_owe

    def look(tx: Connection, *asked: object, **more: bool) -> set[int]:
        found = looked(tx, *asked, **more)  # type: ignore[arg-type]
        monkeypatch.setattr(owed, "may_owe", looked)
        with play.built.store.engine.execution_options(writes=True).begin() as other:
            other.execute(tables.case.update().values(owed_by=None, updated_at=play.clock()))
            other.execute(tables.deadline.insert().values(**deadline))
        return found

    monkeypatch.setattr(owed, "may_owe", look)
    count(play)
    assert count(play) + len(kept(play)) >= 2
    assert kept(play) == [3, 4]


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_what_is_stale_is_found_by_indexes(play: Stage):
    """However many cases there are: over SQLite, where the plan can be read."""
    count(play)
    with play.built.store.read() as tx:
        said: list[tuple[str, object]] = []
        event.listen(tx, "before_cursor_execute", lambda _c, _u, sql, values, *_: said.append((sql, values)))
        owed.stale(tx, terms_of(play.built.cases), play.clock() + timedelta(days=1))
        case_rows.listed(tx)
        asked = tuple(said)
        plans = [tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values).all() for sql, values in asked]
    for plan in plans:
        assert all("USING" in step[3] for step in plan if "discharge_case" in step[3]), plan
        assert not any("TEMP B-TREE" in step[3] for step in plan), plan
