"""Retention: finished business goes in small steps, open business never, and the store levels off."""

import re
import secrets
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import event

from adapter import store
from adapter.config import Settings, load
from adapter.discharge.notices import NoticeKind
from adapter.errors import ConfigurationError
from adapter.ledger import Ledger
from adapter.scheduler.deadlines import Deadlines
from adapter.scheduler.housekeeping import Housekeeping
from adapter.scheduler.shelving import Shelving
from adapter.store import alarms, chain, deliveries, journal, messages, proof, retention, tables
from adapter.store import ledger as ledger_rows
from adapter.store.tables import metadata
from tests.conftest import StandingClock
from tests.stage import SYNNOVE, Stage, answering, failing, stage

pytestmark = pytest.mark.postgres_in_soak
OPERATIONS = Path(__file__).parent.parent.parent / "docs" / "operations.md"
DAY = timedelta(days=1)
AGAIN = "11111111-1111-4111-8111-111111111111"


@pytest.fixture
def play(store_url: str, clock: StandingClock) -> Iterator[Stage]:
    made = stage(store_url, clock)
    yield made
    made.close()


def keeper(play: Stage, **kept: timedelta) -> Housekeeping:
    usual = Settings().retention
    values = {
        "keep_payloads": usual.payloads,
        "keep_attempts": usual.attempts,
        "keep_seen": usual.seen,
        "keep_accesses": usual.accesses,
        "keep_log": usual.log,
        "keep_ledger": usual.ledger,
    } | kept
    return Housekeeping(store=play.built.store, outbox=play.outbox, clock=play.clock, **values)


def wrong(play: Stage) -> list[str]:
    with play.built.store.read() as connection:
        return journal.findings(connection, play.built.agreement, play.built.cases.roles)


def stay(play: Stage, number: int) -> list[bytes]:
    """One patient's stay from admission to discharge, delivered, with its deadlines settled."""
    clock: StandingClock = play.clock  # type: ignore[assignment]
    who = replace(SYNNOVE, identifiers=((SYNNOVE.identifiers[0][0], f"{number:011}"),))
    told = []
    play.post.answer = answering(clock)
    for kind in (NoticeKind.ADMITTED, NoticeKind.READY_FOR_DISCHARGE, NoticeKind.DISCHARGED):
        told.append(play.message(kind, subject=who, encounter=f"opphald-{number}"))
        play.receive(told[-1])
        Shelving(shelves=play.built.shelves)()
        while play.deliver():
            pass
        clock.forward(hours=1)
    return told


def settled(play: Stage) -> None:
    """Days later: every deadline has been met or missed, and a person has closed the alarms."""
    play.clock.forward(days=40)  # type: ignore[attr-defined]
    built = play.built
    look = Deadlines(
        store=built.store, cases=built.cases, outbox=play.outbox, register=built.register, clock=play.clock
    )
    look()
    for row in play.rows(tables.alarm):
        if row["until"] is None:
            play.write(lambda tx, a=row: alarms.end(tx, a["kind"], a["subject"], play.clock()))
    while play.deliver():
        pass


# --- the settings ------


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("log = 'P399D'", "retention.log: must be at least P400D"),
        ("log = 'P500D'\nledger = 'P499D'", "ledger must be at least as long as log"),
    ],
)
def test_what_would_take_duplicates_for_new_is_refused(tmp_path: Path, written: str, said: str):
    file = tmp_path / "adapter.toml"
    file.write_text(f"[retention]\n{written}\n")
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        load(file)


def test_every_table_has_a_rule_or_does_not_grow():
    names = {table.name for table in metadata.sorted_tables}
    assert names == {*retention.RULES, *retention.DO_NOT_GROW}
    assert not {*retention.RULES} & {*retention.DO_NOT_GROW}


def test_every_table_is_documented_with_what_prunes_it():
    told = dict(re.findall(r"^\| (?:table )?`(\w+)` \| ([^|]+) \|", OPERATIONS.read_text(), re.MULTILINE))
    for name, rule in retention.RULES.items():
        assert (f"retention.{rule}" if " " not in rule else rule) in told[name], name
    for name in retention.DO_NOT_GROW:
        assert "does not grow" in told[name], name


# --- what goes, and what stays ------


def test_finished_messages_go_and_their_case_stays(play: Stage, clock: StandingClock):
    stay(play, 1)
    settled(play)
    stay(play, 2)
    clock.forward(days=401)
    house = keeper(play, keep_log=400 * DAY, keep_payloads=30 * DAY, keep_attempts=30 * DAY)
    before = play.counts()
    house.prune()
    after = play.counts()
    assert after["message"] < before["message"] / 2
    assert after["delivery"] < before["delivery"] / 2
    assert after["attempt"] == 0
    assert {t: after[t] for t in ("fact", "discharge_case", "deadline")} == {
        t: before[t] for t in ("fact", "discharge_case", "deadline")
    }
    assert wrong(play) == []
    assert {e["kind"] for e in play.rows(tables.journal)} >= {"received", "emptied", "pruned"}


def test_a_message_that_comes_again_within_the_log_is_a_duplicate(play: Stage, clock: StandingClock):
    (first, *_) = stay(play, 1)
    settled(play)
    clock.forward(days=350)
    keeper(play, keep_log=400 * DAY, keep_payloads=30 * DAY).prune()
    assert play.receive(first).outcome == "duplicate"


def test_a_message_that_comes_again_after_the_log_tells_its_case_nothing_new(
    play: Stage, clock: StandingClock
):
    (first, *_) = stay(play, 1)
    settled(play)
    sent = [m.message_id for _, m in play.post.sent]
    stay(play, 2)
    clock.forward(days=401)
    keeper(play, keep_log=400 * DAY, keep_payloads=30 * DAY).prune()
    before = [(d["kind"], d["state"]) for d in play.rows(tables.deadline)]
    done = play.receive(first)
    play.deliver()
    assert (done.outcome, done.case_id) == ("accepted", 1)
    assert {m.message_id for _, m in play.post.sent[-1:]} <= {*sent}  # its receiver knows it again
    assert [(d["kind"], d["state"]) for d in play.rows(tables.deadline)] == before
    assert wrong(play) == []


def test_open_business_stays_for_ever(play: Stage, clock: StandingClock):
    play.post.answer = failing(503)
    waiting = play.receive(play.message(NoticeKind.ADMITTED)).message_row  # its delivery waits
    held = play.receive(play.message(NoticeKind.ADMITTED, message_id=AGAIN))
    other = play.receive(play.message(NoticeKind.READY_FOR_DISCHARGE, message_id=AGAIN))  # quarantined
    assert (held.outcome, other.outcome) == ("accepted", "quarantined")
    clock.forward(days=1)
    play.receive(b"nobody can read this")
    clock.forward(days=20 * 365)
    keeper(play).prune()
    kept = {m["id"] for m in play.rows(tables.message)}
    assert {waiting, other.message_row} <= kept
    assert [d["state"] for d in play.rows(tables.delivery) if d["message_row"] == waiting] != []
    assert len(play.rows(tables.case)) == 1
    assert play.rows(tables.fact)
    assert wrong(play) == []


def test_what_was_reissued_leaves_though_the_delivery_before_it_is_gone(play: Stage, clock: StandingClock):
    play.post.answer = failing(400)
    play.receive(play.message(NoticeKind.ADMITTED))
    play.deliver()
    play.write(lambda tx: deliveries.pause(tx, "sogndal", clock(), "Kari"))
    play.write(lambda tx: play.built.inbox.reissue(tx, 1, clock(), to=None, by="Kari"))
    clock.forward(days=401)
    keeper(play, keep_log=400 * DAY, keep_payloads=30 * DAY).prune()
    assert [d["original"] for d in play.rows(tables.delivery) if d["kind"] == "admitted"] == [1]
    play.post.answer = answering(clock)
    play.write(lambda tx: deliveries.resume(tx, "sogndal"))
    play.deliver()
    (again,) = [d for d in play.rows(tables.delivery) if d["kind"] == "admitted"]
    assert again["state"] == "acknowledged"


def test_facts_go_with_the_ledger_and_with_everything_of_their_case(play: Stage, clock: StandingClock):
    stay(play, 1)
    settled(play)
    ledger = Ledger(cases=play.built.cases)
    play.write(lambda tx: ledger.close(tx, "2014-03", clock(), by="Kari"))
    clock.forward(days=5 * 365)
    stay(play, 2)
    settled(play)
    clock.forward(days=6 * 365)
    for month in months("2014-04", "2019-05"):
        play.write(lambda tx, m=month: ledger_rows.close(tx, m, [], clock(), None))
    house = keeper(play)
    house.prune()
    assert [c["id"] for c in play.rows(tables.case)] == [2]
    for table in (tables.fact, tables.deadline, tables.history, tables.ledger_entry):
        assert {row["case_id"] for row in play.rows(table)} <= {2, None}, table.name
    assert play.rows(tables.fact)
    assert [r["month"] for r in play.rows(tables.ledger_month)] == months("2015-05", "2019-05")
    with play.built.store.read() as connection:
        assert ledger.statement(connection, "2019-06", clock()).lines == ()
    assert wrong(play) == []


def months(first: str, last: str) -> list[str]:
    found = [first]
    while found[-1] < last:
        found.append(retention._following(found[-1]))
    return found


def test_a_month_that_is_open_while_others_are_closed_keeps_its_cases(play: Stage, clock: StandingClock):
    stay(play, 1)
    settled(play)
    ledger = Ledger(cases=play.built.cases)
    play.write(lambda tx: ledger_rows.close(tx, "2014-02", [], clock(), None))
    stay(play, 2)
    settled(play)
    clock.forward(days=12 * 365)
    keeper(play).prune()
    assert [c["id"] for c in play.rows(tables.case)] == [1, 2]
    play.write(lambda tx: ledger.close(tx, "2014-03", clock(), by=None))
    play.write(lambda tx: ledger.close(tx, "2014-04", clock(), by=None))
    keeper(play).prune()
    assert [c["id"] for c in play.rows(tables.case)] == [2]


def test_what_was_booked_is_not_taken_back_because_it_is_old(play: Stage, clock: StandingClock):
    stay(play, 1)
    settled(play)
    ledger = Ledger(cases=play.built.cases)
    play.write(lambda tx: ledger.close(tx, "2014-03", clock(), by=None))
    stay(play, 2)
    settled(play)
    clock.forward(days=12 * 365)
    keeper(play).prune()
    with play.built.store.read() as connection:
        assert ledger.statement(connection, "2026-01", clock()).lines == ()


def test_the_oldest_entries_of_the_journal_are_cut_and_the_rest_is_proven(play: Stage, clock: StandingClock):
    for n in range(3):
        stay(play, n)
        settled(play)
    clock.forward(days=12 * 365)
    play.receive(play.message(NoticeKind.ADMITTED))
    keeper(play).prune()
    numbers = [e["number"] for e in play.rows(tables.journal)]
    assert numbers[0] > 1
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    assert wrong(play) == []
    first = tables.journal.c.number == numbers[0]
    play.write(lambda tx: tx.execute(tables.journal.delete().where(first)))
    assert any("were removed, and not by retention" in one for one in wrong(play))


def test_what_outlives_its_entry_in_the_journal_gets_no_second_one(play: Stage, clock: StandingClock):
    for _ in range(2):
        held = play.receive(play.message(NoticeKind.ADMITTED, at=clock() + timedelta(hours=2)))
        assert held.outcome == "quarantined"
    clock.forward(days=12 * 365)
    play.receive(play.message(NoticeKind.ADMITTED))
    keeper(play).prune()
    assert [e["message_row"] for e in play.rows(tables.journal) if e["kind"] == "received"] == [3]
    assert len(play.rows(tables.message)) == 3
    assert play.write(chain.catch_up) == 0
    assert wrong(play) == []


# --- in small steps ------


def test_every_unit_of_work_removes_a_bounded_number_of_rows(play: Stage, clock: StandingClock):
    filled(play, 1300)
    clock.forward(days=12 * 365)
    removed: list[int] = [0]

    @event.listens_for(play.built.store.engine, "after_cursor_execute")
    def _count(_c, cursor, statement, *_rest):
        if statement.startswith("DELETE"):
            rows = cursor.rowcount if not statement.count("RETURNING") else None
            removed[-1] += rows if rows is not None and rows >= 0 else 0

    taken: list[int] = []
    step = retention.Step.take

    def counted(self, tx, keys):
        gone = step(self, tx, keys)
        taken.append(gone)
        return gone

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retention.Step, "take", counted)

        @event.listens_for(play.built.store.engine, "commit")
        def _next(_c):
            removed.append(0)

        gone = keeper(play).prune()
    assert max(taken) <= retention.AT_ONCE
    assert max(removed) <= retention.AT_ONCE
    assert gone["log"] > 3000
    assert gone["seen"] == 1300
    left = play.counts()
    assert max(left[name] for name in ("message", "delivery", "alarm", "attempt", "payload")) <= 1
    with play.built.store.read() as connection:
        assert list(proof.findings(connection)) == []


def filled(play: Stage, count: int) -> None:
    """So many finished messages, each with a delivery, an attempt, an alarm and a place in a mailbox."""
    now = play.clock()

    def unit(tx):
        for n in range(count):
            kept = messages.keep(tx, f"content {n}".encode())
            values = {"received_at": now, "channel": "http", "payload": kept, "size": 1, "outcome": "refused"}
            row = messages.add(tx, values)
            given = {
                "message_row": row, "lane": "x", "kind": "receipt", "party": "vik", "dialect": "fhir",
                "message_id": f"m{n}", "payload": kept, "content_type": "x", "state": "acknowledged",
                "created_at": now,
            }  # fmt: skip
            tx.execute(tables.delivery.insert().values(**given))
        tx.execute(
            tables.attempt.insert(),
            [
                {"delivery_id": n + 1, "at": now, "trigger": "schedule", "outcome": "sent", "ms": 1.0}
                for n in range(count)
            ],
        )
        alarm = {"kind": "given-up", "text": "x", "since": now, "until": now}
        tx.execute(tables.alarm.insert(), [alarm | {"subject": f"delivery {n}"} for n in range(count)])
        seen = [{"mailbox": "in", "key": str(n), "at": now} for n in range(count)]
        tx.execute(tables.mailbox_seen.insert(), seen)

    play.write(unit)


# --- the room that it takes ------


def test_the_file_shrinks_and_its_log_is_cut(tmp_path: Path, clock: StandingClock, monkeypatch):
    play = stage(f"sqlite:///{tmp_path}/store.db", clock)
    monkeypatch.setattr(store, "LARGE_LOG", 2**20)
    monkeypatch.setattr(store, "PAGES_AT_ONCE", 50)

    def fill(tx):
        for _ in range(200):
            values = {"received_at": clock(), "channel": "http", "size": 1, "outcome": "refused"}
            messages.add(tx, values | {"payload": messages.keep(tx, secrets.token_bytes(40_000))})

    play.write(fill)
    file, log = tmp_path / "store.db", tmp_path / "store.db-wal"
    clock.forward(days=366)
    play.built.store.shorten()
    assert file.stat().st_size > 8_000_000
    keeper(play).prune()
    play.built.store.shorten()
    assert file.stat().st_size < 1_000_000
    assert log.stat().st_size == 0
    play.close()


@pytest.mark.parametrize(
    ("stays", "every", "times"),
    [(1, 70 * DAY, 20), pytest.param(6, 30 * DAY, 60, marks=[pytest.mark.soak, pytest.mark.timeout(1200)])],
    ids=["few", "many"],
)
def test_the_store_levels_off(store_url: str, clock: StandingClock, stays: int, every: timedelta, times: int):
    """Years at a steady rate, in which everything is kept for less time than they last."""
    play = stage(store_url, clock)
    house = keeper(
        play, keep_payloads=60 * DAY, keep_attempts=30 * DAY, keep_log=400 * DAY, keep_ledger=500 * DAY
    )
    rows: list[int] = []
    sizes: list[int] = []
    for period in range(times):
        began = clock()
        for n in range(stays):
            stay(play, period * stays + n + 1)
        settled(play)
        clock.at = max(clock(), began + every)
        house.prune()
        rows.append(sum(play.counts().values()))
        sizes.append(room(play))
    half = times // 2
    assert max(rows[half:]) < 1.1 * max(rows[: half + 1])
    assert max(sizes[half:]) <= 1.15 * max(sizes[: half + 1])
    assert wrong(play) == []
    play.close()


def room(play: Stage) -> int:
    """Bytes of the embedded store; nothing where PostgreSQL looks after it."""
    if not play.built.store.embedded:
        return 0
    with play.built.store.read() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    return int(pages) * 4096
