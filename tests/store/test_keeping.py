"""What the store keeps, forgets and shows: payloads, alarms, mailboxes, the journal, backups."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import structlog
from sqlalchemy import Table
from structlog.testing import capture_logs

from adapter.config import Retention
from adapter.discharge.notices import NoticeKind
from adapter.errors import ConfigurationError, StoreError
from adapter.fhir.bundles import Subject
from adapter.messaging.acknowledgement import Status
from adapter.runtime import log_acceptance
from adapter.scheduler.housekeeping import PRUNED_AT_ONCE, Housekeeping
from adapter.store import Store, alarms, backup, journal, mailboxes, messages, resources, shown, tables
from adapter.store import cases as case_rows
from adapter.store import deliveries as delivery_rows
from tests.conftest import StandingClock
from tests.stage import FNR, Stage, altered, answering, failing, receipt, region, stage, without

YEAR = timedelta(days=365)


@pytest.fixture
def play(store_url: str, clock: StandingClock) -> Iterator[Stage]:
    made = stage(store_url, clock)
    yield made
    made.close()


def housekeeping(play: Stage) -> Housekeeping:
    return Housekeeping(
        store=play.built.store, outbox=play.outbox, clock=play.clock,
        keep_payloads=YEAR, keep_attempts=YEAR / 2, keep_seen=timedelta(days=30),
        keep_accesses=Retention().accesses,
    )  # fmt: skip


@pytest.mark.parametrize("size", [3 * 2**30, 2**63 - 1, 2**63, 10**30])
def test_a_message_of_any_size_is_kept_by_its_head(play: Stage, size: int):
    told = play.receive(b"<MsgHead", oversize=size)
    assert (told.outcome, told.code) == ("refused", "too-long")
    with play.built.store.read() as connection:
        kept = messages.get(connection, told.message_row or 0)
    assert kept is not None
    assert kept["size"] == min(size, messages.LARGEST_SIZE)


# --- retention ------


def test_bytes_are_kept_once(play: Stage):
    content = play.message(NoticeKind.ADMITTED)
    play.receive(content)
    assert play.counts()["payload"] == 2  # the message, which is passed on as it came, and its answer
    for _ in range(2):
        play.write(lambda tx: messages.keep(tx, content))
    assert play.counts()["payload"] == 2


def test_retention_forgets_what_is_finished_and_keeps_what_is_needed(play: Stage, clock: StandingClock):
    play.post.answer = answering(clock)
    play.receive(play.message(NoticeKind.ADMITTED))
    while play.deliver():
        pass
    play.receive(play.message(NoticeKind.DISCHARGED, receivers=("aardal",)))  # waits, and is rewritten
    play.receive(b"nobody can read this")
    house = housekeeping(play)
    assert not any(house.prune().values())
    clock.forward(days=366)
    gone = house.prune()
    assert gone["payloads"] > 0
    assert gone["attempts"] == 2
    with play.built.store.read() as connection:
        kept = [messages.content(connection, m["payload"]) is not None for m in play.rows(tables.message)]
        waiting = delivery_rows.listed(connection, state="waiting")
        assert all(messages.content(connection, d["payload"]) for d in waiting)
    assert kept == [False, False, True, False] or kept == [False, True, False]
    assert len(play.rows(tables.message)) == len(kept)


def test_retention_keeps_what_is_in_quarantine(store_url: str, clock: StandingClock):
    whole = stage(store_url, clock)
    play = stage(store_url, clock, of=without(region(), "vik"))
    content = whole.message(NoticeKind.ADMITTED, receivers=("vik",))
    row = play.receive(content).message_row
    clock.forward(days=400)
    housekeeping(play).prune()
    assert whole.write(lambda tx: whole.built.inbox.release(tx, row, clock(), by=None)).outcome == "accepted"
    play.close()
    whole.close()


def test_what_a_mailbox_took_long_ago_is_forgotten(play: Stage, clock: StandingClock):
    play.write(lambda tx: mailboxes.taken(tx, "in", "old", clock(), "c1"))
    clock.forward(days=31)
    play.write(lambda tx: mailboxes.taken(tx, "in", "new", clock(), None))
    assert housekeeping(play).prune()["seen"] == 1
    with play.built.store.read() as connection:
        assert mailboxes.cursor(connection, "in") == "c1"
        assert not mailboxes.seen(connection, "in", "old")
        assert mailboxes.seen(connection, "in", "new")


def test_who_has_looked_is_known_for_five_years(play: Stage, clock: StandingClock):
    """HSLF-FS 2016:40, 4 kap.: logs are kept for at least five years."""

    def look(times: int) -> None:
        row = {
            "at": clock(), "partner": "luster-drift", "what": "read", "type": "Patient", "fhir_id": "P1",
            "patient": "P1", "found": 1,
        }  # fmt: skip
        play.write(lambda tx: resources.accessed(tx, [row] * times))

    look(PRUNED_AT_ONCE + 1)  # more than are forgotten at once
    five_years = clock().replace(year=clock().year + 5) - clock()
    clock.forward(seconds=five_years.total_seconds())
    look(1)
    assert housekeeping(play).prune()["accesses"] == 0
    clock.forward(days=2)
    assert housekeeping(play).prune()["accesses"] == PRUNED_AT_ONCE + 1
    assert len(play.rows(tables.fhir_access)) == 1


def test_a_dead_worker_s_leases_are_freed(play: Stage, clock: StandingClock):
    play.receive(play.message(NoticeKind.ADMITTED))
    play.claim()
    house = housekeeping(play)
    assert house.free_leases() == 0
    clock.forward(minutes=2)
    assert house.free_leases() == 1
    assert house.missing_receipts() == 0


# --- alarms ------


def test_an_alarm_seen_by_somebody_says_so(play: Stage, clock: StandingClock):
    play.write(lambda tx: alarms.start(tx, kind="given-up", subject="delivery 1", text="x", now=clock()))
    play.write(lambda tx: alarms.seen(tx, 1, "Marta", clock()))
    with play.built.store.read() as connection:
        assert alarms.counts(connection) == {"given-up": 1}
        (row,) = alarms.listed(connection, open_only=True)
        assert alarms.listed(connection, unseen_only=True) == []
    assert (shown.alarm(row)["seen_by"], row["seen_at"]) == ("Marta", clock())


# --- units of work ------


def test_a_unit_that_fails_takes_only_itself_back(play: Stage, clock: StandingClock):
    def fails(tx):
        alarms.start(tx, kind="a", subject="fails", text="x", now=clock())
        raise KeyError("in the middle")

    futures = [
        play.built.store.submit(
            lambda tx, n=n: alarms.start(tx, kind="a", subject=f"s{n}", text="x", now=clock())
        )
        for n in range(5)
    ]
    failing_one = play.built.store.submit(fails)
    assert all(f.result() for f in futures)
    with pytest.raises(KeyError):
        failing_one.result()
    assert len(play.rows(tables.alarm)) == 5


def test_a_new_reader_never_waits_for_a_writer(play: Stage):
    held, free, looked = threading.Event(), threading.Event(), threading.Event()

    def hold(_tx: object) -> None:
        held.set()
        free.wait(10)

    def look() -> None:
        with play.built.store.read() as connection:
            messages.value(connection, "pseudonym-key")
        looked.set()

    play.built.store.engine.dispose()  # whoever looks next opens a connection of its own
    writing = play.built.store.submit(hold)
    assert held.wait(5)
    reader = threading.Thread(target=look)
    reader.start()
    in_time = looked.wait(5)
    free.set()
    writing.result(timeout=5)
    reader.join(timeout=20)
    assert in_time


def test_many_threads_lose_nothing(play: Stage, clock: StandingClock):
    def work(start: int) -> None:
        for n in range(20):
            play.write(lambda tx, n=n: messages.set_value(tx, f"{start}-{n}", "x"))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(play.rows(tables.setting)) == 121  # and the pseudonym key
    with pytest.raises(StoreError, match="closed"):
        play.close()
        play.write(lambda tx: None)


# --- journal and backup ------


def found_wrong(play: Stage) -> list[str]:
    """What the journal says of the store."""
    with play.built.store.read() as connection:
        return journal.findings(connection, play.built.agreement, play.built.cases.roles)


def break_row(play: Stage, table: Table, row: int, **values: object) -> None:
    """Write into a row what no facts have given."""
    play.write(lambda tx: tx.execute(table.update().where(table.c.id == row).values(**values)))


@pytest.fixture
def lived(play: Stage, clock: StandingClock) -> Stage:
    """A stay up to its discharge, with evidence and deadlines, of which the journal finds nothing wrong."""
    play.post.answer = answering(clock)
    for kind in (NoticeKind.ADMITTED, NoticeKind.READY_FOR_DISCHARGE, NoticeKind.DISCHARGED):
        play.receive(play.message(kind))
        play.deliver()
        clock.forward(hours=1)
    assert found_wrong(play) == []
    return play


def test_the_journal_finds_what_was_taken_away(lived: Stage):
    lived.write(lambda tx: tx.execute(tables.fact.delete().where(tables.fact.c.kind == "discharged")))
    lived.receive(lived.message(NoticeKind.CARE_NEEDS))
    break_row(lived, tables.fact, 1, case_id=77)
    found = found_wrong(lived)
    told = next(m["id"] for m in lived.rows(tables.message) if m["type"] == "discharged")
    assert f"message {told} was accepted, but no case knows its notice" in found
    assert "fact 1 belongs to a case that does not exist" in found
    assert "fact 1 is kept under case 77, but its stay is case 1" in found


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("state", "admitted", "state is admitted, but its facts give discharged"),
        ("admitted_at", None, "admitted at is not given, but its facts give 2014-03-03T09:00:00+00:00"),
        (
            "ready_at",
            datetime(2014, 3, 4, tzinfo=UTC),
            "ready at is 2014-03-04T00:00:00+00:00, but its facts give 2014-03-03T10:00:00+00:00",
        ),
        ("discharged_at", None, "discharged at is not given, but its facts give 2014-03-03T11:00:00+00:00"),
        ("planned_discharge", date(2014, 3, 9), "planned discharge is 2014-03-09, but its facts give not"),
        ("municipality", "vik", "municipality is vik, but its facts give sogndal"),
        ("hospital", None, "hospital is not given, but its facts give laerdal-sjukehus"),
    ],
)
def test_the_journal_finds_a_case_that_says_something_else_than_its_facts(
    lived: Stage, name: str, value: object, said: str
):
    break_row(lived, tables.case, 1, **{name: value})
    (finding,) = found_wrong(lived)
    assert finding.startswith(f"case 1: {said}")


def test_the_journal_finds_a_case_that_no_facts_give(lived: Stage):
    patient = lived.rows(tables.case)[0]["patient"]
    [(_, known)] = lived.write(lambda tx: lived.built.cases.folded(tx, patient))
    lived.write(lambda tx: case_rows.add(tx, "PNOBODY", known, lived.clock()))
    assert found_wrong(lived) == ["case 2 is there, but no facts give it"]


def test_the_journal_finds_a_case_that_was_taken_for_merged(lived: Stage):
    break_row(lived, tables.case, 1, merged_into=9)
    found = found_wrong(lived)
    assert "case 1 was merged into 9, but its facts give a case of its own" in found
    assert "deadline 1 belongs to case 1, which was merged into 9" in found


def test_the_journal_finds_two_stays_under_one_case(play: Stage, clock: StandingClock):
    for stay in ("opphald-1", "opphald-2"):
        for kind in (NoticeKind.ADMITTED, NoticeKind.DISCHARGED):
            play.receive(play.message(kind, encounter=stay))
            clock.forward(hours=5)
    assert found_wrong(play) == []
    play.write(lambda tx: tx.execute(tables.fact.update().values(case_id=1)))
    found = found_wrong(play)
    assert "case 1 holds stays that its facts tell apart" in found
    assert "case 2 is there, but no facts give it" in found


def test_the_journal_finds_a_deadline_that_is_due_at_another_time(lived: Stage):
    row = lived.rows(tables.deadline, kind="early-notice")[0]
    break_row(lived, tables.deadline, row["id"], due_at=row["due_at"] + timedelta(hours=1))
    assert found_wrong(lived) == [
        f"deadline {row['id']} of case 1 (early-notice for sogndal) is due 2014-03-04T10:00:00+00:00, "
        "but its facts give 2014-03-04T09:00:00+00:00"
    ]


@pytest.mark.parametrize(
    "values", [{"kind": "answer"}, {"party": "vik"}, {"since": datetime(2014, 3, 1, tzinfo=UTC)}]
)
def test_the_journal_finds_a_deadline_that_no_facts_give_and_the_one_that_lacks(
    lived: Stage, values: dict[str, object]
):
    row = lived.rows(tables.deadline, kind="early-notice")[0]
    break_row(lived, tables.deadline, row["id"], **values)
    other, lacking = found_wrong(lived)
    assert other.startswith(f"deadline {row['id']} of case 1 (")
    assert other.endswith("but its facts give no such deadline")
    assert lacking == (
        "case 1 has no deadline early-notice for sogndal due 2014-03-04T09:00:00+00:00, but its facts give it"
    )


def test_the_journal_finds_a_deadline_without_a_case(lived: Stage):
    break_row(lived, tables.deadline, 1, case_id=77)
    assert "deadline 1 belongs to a case that does not exist" in found_wrong(lived)


def test_the_journal_lets_stand_what_somebody_was_told_of(lived: Stage):
    row = lived.rows(tables.deadline, kind="early-notice")[0]
    spare = {**row, "id": 99, "since": row["since"] - timedelta(days=1), "state": "void"}
    lived.write(
        lambda tx: tx.execute(tables.deadline.insert().values(spare | {"reminded_at": lived.clock()}))
    )
    assert found_wrong(lived) == []
    break_row(lived, tables.deadline, 99, state="open")
    assert len(found_wrong(lived)) == 1


def test_the_journal_names_no_patient(play: Stage, clock: StandingClock):
    for kind in (NoticeKind.ADMITTED, NoticeKind.READY_FOR_DISCHARGE):
        play.receive(play.message(kind, subject=PATIENT, text="Diagnosis-of-hers"))
    play.write(lambda tx: tx.execute(tables.case.update().values(state="x", municipality=None)))
    play.write(lambda tx: tx.execute(tables.deadline.update().values(due_at=clock(), kind="other")))
    play.write(lambda tx: tx.execute(tables.payload.update().values(content=b"something else")))
    found = "\n".join(found_wrong(play))
    assert len(found) > 500
    assert not any(secret in found for secret in (*SECRET, play.rows(tables.case)[0]["patient"]))


def test_the_journal_finds_a_payload_that_was_tampered_with(play: Stage):
    play.receive(play.message(NoticeKind.ADMITTED))
    play.write(lambda tx: tx.execute(tables.payload.update().values(content=b"something else")))
    assert "does not match its hash" in found_wrong(play)[0]


def test_a_backup_made_while_running_is_the_store(tmp_path: Path, clock: StandingClock):
    play = stage(f"sqlite:///{tmp_path}/store.db", clock)
    done = play.receive(play.message(NoticeKind.ADMITTED))
    backup.write(play.built.store, tmp_path / "copy.db", clock())
    with pytest.raises(ConfigurationError, match="exists"):
        backup.write(play.built.store, tmp_path / "copy.db", clock())
    with pytest.raises(ConfigurationError, match="exists"):
        backup.restore(f"sqlite:///{tmp_path}/store.db", tmp_path / "copy.db", clock())
    backup.restore(f"sqlite:///{tmp_path}/again.db", tmp_path / "copy.db", clock())
    again = stage(f"sqlite:///{tmp_path}/again.db", clock)
    assert [m["id"] for m in again.rows(tables.message)] == [done.message_row]
    again.close()
    play.close()


def test_a_damaged_backup_is_not_put_back(tmp_path: Path, clock: StandingClock):
    (tmp_path / "copy.db").write_bytes(b"SQLite format 3\0" + b"x" * 4096)
    with pytest.raises(StoreError):
        backup.restore(f"sqlite:///{tmp_path}/store.db", tmp_path / "copy.db", clock())
    assert not (tmp_path / "store.db").exists()
    with pytest.raises(ConfigurationError, match="no such backup"):
        backup.restore(f"sqlite:///{tmp_path}/store.db", tmp_path / "missing.db", clock())


def test_a_store_that_cannot_be_used_says_what_to_write(tmp_path: Path):
    for url in ("oracle://x", f"sqlite:///{tmp_path}/no/such/folder/a.db"):
        with pytest.raises(ConfigurationError, match="store: "):
            Store(url)
    with pytest.raises(ConfigurationError) as caught:
        Store("nothing://somebody:secret@host/db")
    assert "secret" not in str(caught.value)


# --- privacy ------

SECRET = ("21843012660", "Fjellheim", "Synnøve", "Hjelmevegen", "Diagnosis-of-hers")
PATIENT = Subject(
    identifiers=((FNR, "21843012660"),),
    family="Fjellheim",
    given="Synnøve",
    gender="female",
    address=("Hjelmevegen 4", "6856", "Sogndal"),
)


def test_nothing_that_people_or_logs_are_shown_names_a_patient(store_url: str, clock: StandingClock):
    play = stage(store_url, clock, of=altered(region(), "vik", endpoint=None))
    texts: list[str] = []
    structlog.configure(cache_logger_on_first_use=False)
    with capture_logs() as logs:
        for content in every_path(play):
            done = play.receive(content, channel="directory")
            log_acceptance(done)
            texts.append(repr(done))
            texts.append(done.reason or "")
        for answer in (failing(503), answering(clock, Status.REFUSED), failing(400), answering(clock)):
            play.post.answer = answer
            play.deliver()
            clock.forward(minutes=1)
        notices = {d["message_id"] for d in play.rows(tables.delivery) if d["kind"] != "receipt"}
        sent = next(m.content for _, m in play.post.sent if m.message_id in notices)
        play.receive(receipt(sent, Status.REFUSED, at=clock()))
        house = housekeeping(play)
        clock.forward(hours=2)
        house.missing_receipts()
        house.free_leases()
        house.prune()
    texts += [repr(entry) for entry in logs]
    with play.built.store.read() as connection:
        texts += [repr(shown.case(connection, row)) for row in case_rows.listed(connection)]
        texts += [repr(shown.held(row)) for row in messages.held(connection)]
        texts += [repr(shown.alarm(row)) for row in alarms.listed(connection)]
        texts += [repr(shown.deliveries(connection, delivery_rows.listed(connection)))]
        texts += [repr(row) for row in play.rows(tables.history)]
        texts += [
            repr({k: v for k, v in row.items() if not isinstance(v, bytes)})
            for table in (tables.message, tables.delivery, tables.attempt, tables.alarm, tables.case)
            for row in play.rows(table)
        ]
        pseudonyms = [row["patient"] for row in case_rows.listed(connection)]
    assert pseudonyms
    assert len(texts) > 40
    everything = "\n".join(texts)
    for secret in SECRET:
        assert secret not in everything
    play.close()


def every_path(play: Stage) -> list[bytes]:
    """Messages about one patient that are taken, refused, held, relayed and not understood."""
    more = {"subject": PATIENT, "text": "Diagnosis-of-hers"}
    good = play.message(NoticeKind.READY_FOR_DISCHARGE, **more)
    return [
        good,
        good,
        play.message(NoticeKind.ADMITTED, receivers=("sogndal", "vik"), **more),
        play.message(NoticeKind.ADMITTED, receivers=("aardal",), subject=PATIENT),
        play.message(NoticeKind.CARE_NEEDS, receivers=("aardal",), **more),  # PLO has no such form
        play.plo(NoticeKind.DISCHARGED, subject=PATIENT),
        play.plo(NoticeKind.DISCHARGED, subject=PATIENT)[:-60],
        play.plo(NoticeKind.ADMITTED, subject=PATIENT).replace(b"LOG_INNLAGT", b"LOG_SYNNE"),
        good.replace(b"ready-for-discharge", b"Synn\\u00f8ve"),
        good.replace(b'"gender":"female"', b'"gender":"Fjellheim"'),
        good.replace(b'"resourceType":"Patient"', b'"resourceType":"Fjellheim"'),
        good.replace(b"21843012660", b"21843012660x"),
        play.message(NoticeKind.DISCHARGED, at=play.clock() + timedelta(days=3), **more),
        good[:-10],
    ]


def test_the_pseudonym_key_is_made_once_and_kept(store_url: str, clock: StandingClock):
    one, other = stage(store_url, clock), stage(store_url, clock)
    assert one.built.inbox.pseudonym_key == other.built.inbox.pseudonym_key
    assert replace(one.built.inbox).pseudonym_key not in repr(one.built.inbox).encode()
    one.close()
    other.close()
