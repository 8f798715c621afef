"""The journal of hashes: every message has an entry, and whoever takes or changes anything is found out."""

import hashlib
import importlib
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import structlog
from sqlalchemy import text
from structlog.testing import capture_logs

from adapter.discharge.notices import NoticeKind
from adapter.errors import StoreError
from adapter.incoming import Incoming
from adapter.messaging.acknowledgement import Status
from adapter.scheduler.heads import DailyHead
from adapter.store import Store, chain, journal, messages, proof, tables
from adapter.store.chain import Head
from adapter.store.migrations import upgrade
from adapter.store.savepoint import savepoint
from tests.conftest import StandingClock
from tests.shell import FIXTURES, Shell
from tests.stage import SYNNOVE, Stage, answering, receipt, stage

pytestmark = pytest.mark.postgres_in_soak


@pytest.fixture
def play(store_url: str, clock: StandingClock) -> Iterator[Stage]:
    made = stage(store_url, clock)
    yield made
    made.close()


def wrong(play: Stage, noted: Head | None = None) -> list[str]:
    """What check --journal says of the store."""
    with play.built.store.read() as connection:
        return journal.findings(connection, play.built.agreement, play.built.cases.roles, noted)


def head(play: Stage) -> Head:
    with play.built.store.read() as connection:
        found = chain.head(connection)
    assert found is not None
    return found


def sql(play: Stage, *statements: str) -> None:
    """What somebody with the database's password might do."""
    play.write(lambda tx: [tx.execute(text(one)) for one in statements])


@pytest.fixture
def lived(play: Stage, clock: StandingClock) -> Stage:
    """Five messages of which nothing is wrong."""
    for n in range(5):
        play.receive(play.message(NoticeKind.ADMITTED, encounter=f"opphald-{n}"))
        clock.forward(minutes=1)
    assert wrong(play) == []
    return play


# --- what is chained ------


def test_every_message_that_comes_in_has_one_entry_whatever_became_of_it(play: Stage, clock: StandingClock):
    content = play.message(NoticeKind.ADMITTED)
    assert play.receive(content).outcome == "accepted"
    assert play.receive(content).outcome == "duplicate"
    assert play.receive(b"nobody can read this").outcome == "refused"
    assert play.receive(b"<MsgHead", oversize=2**40, sha256="ab" * 32).outcome == "refused"
    play.post.answer = answering(clock)
    play.deliver()  # a receipt comes back
    rows, entries = play.rows(tables.message), play.rows(tables.journal)
    assert len(rows) > 3
    assert [e["number"] for e in entries] == list(range(1, len(rows) + 1))
    assert [e["message_row"] for e in entries] == [m["id"] for m in rows]
    assert [e["content"] for e in entries] == [m["sha256"] or m["payload"] for m in rows]
    assert entries[2]["content"] == bytes.fromhex("ab" * 32)
    assert [e["at"] for e in entries] == [m["received_at"] for m in rows]
    assert {e["kind"] for e in entries} == {"received"}
    assert wrong(play) == []


def test_a_receipt_is_chained_too(play: Stage, clock: StandingClock):
    play.receive(play.message(NoticeKind.ADMITTED))
    play.deliver()
    (sent,) = [m.content for name, m in play.post.sent]
    play.receive(receipt(sent, Status.ACCEPTED, at=clock()))
    assert len(play.rows(tables.journal)) == len(play.rows(tables.message)) == 2


def test_the_layout_is_the_one_that_is_documented(lived: Stage):
    """docs/integrity.md, without our code: 104 bytes, big-endian."""
    previous = bytes(32)
    for entry in lived.rows(tables.journal):
        at = round(entry["at"].timestamp() * 1_000_000)
        kind = entry["kind"].encode().ljust(16, b"\0")
        laid_out = struct.pack(">Qq", entry["number"], at) + kind
        laid_out += struct.pack(">Q", entry["message_row"]) + entry["content"] + previous
        assert len(laid_out) == 104
        assert entry["previous"] == previous
        assert entry["hash"] == hashlib.sha256(laid_out).digest()
        previous = entry["hash"]


def test_what_was_rolled_back_is_not_chained(play: Stage, clock: StandingClock):
    def values(content: bytes) -> Callable:
        return lambda tx: messages.add(
            tx,
            {
                "received_at": clock(),
                "channel": "http",
                "payload": messages.keep(tx, content),
                "size": 1,
                "outcome": "refused",
            },
        )

    def fails(tx):
        values(b"taken back")(tx)
        raise KeyError("in the middle")

    def half(tx):
        values(b"stays")(tx)
        with pytest.raises(KeyError), savepoint(tx):
            fails(tx)
        return values(b"stays too")(tx)

    units = [values(b"first"), fails, half, fails, values(b"last")]
    futures = [play.built.store.submit(unit) for unit in units]
    assert [bool(f.exception()) for f in futures] == [False, True, False, True, False]
    kept = [hashlib.sha256(c).digest() for c in (b"first", b"stays", b"stays too", b"last")]
    assert [e["content"] for e in play.rows(tables.journal)] == kept
    assert wrong(play) == []


def test_an_entry_outside_a_unit_of_work_is_refused(play: Stage, clock: StandingClock):
    with play.built.store.read() as connection, pytest.raises(StoreError):
        chain.note(connection, chain.Kind.RECEIVED, 1, at=clock())


def test_several_processes_write_one_chain(play: Stage, clock: StandingClock):
    """Each about patients of its own, so that nothing but the chain's lock keeps them apart."""
    other = Store(play.built.store.url)
    futures = []
    for n in range(120):
        who = replace(SYNNOVE, identifiers=((SYNNOVE.identifiers[0][0], f"{n:011}"),))
        content = play.message(NoticeKind.ADMITTED, subject=who)
        prepared = play.built.inbox.read(Incoming(content=content))
        store = other if n % 2 else play.built.store
        futures.append(store.submit(lambda tx, p=prepared: play.built.inbox.take(tx, p, clock())))
    assert {f.result().outcome for f in futures} == {"accepted"}
    other.close()
    assert [e["number"] for e in play.rows(tables.journal)] == list(range(1, 121))
    assert wrong(play) == []


def test_messages_of_an_older_store_are_chained_by_the_migration(
    store_url: str, monkeypatch, clock: StandingClock
):
    migration = importlib.import_module("adapter.store.migrations.versions.0017_chained")
    monkeypatch.setattr(migration, "PIECE", 2)  # more than one piece
    play = stage(store_url, clock)
    for _ in range(5):
        play.receive(play.message(NoticeKind.ADMITTED))
    play.write(
        lambda tx: tx.execute(tables.payload.delete().where(tables.payload.c.hash == play_hash(tx, 3)))
    )
    sql(play, "DELETE FROM journal", "UPDATE alembic_version SET version_num = '0016'")
    with play.built.store.engine.execution_options(writes=True).begin() as connection:
        upgrade(connection, "0017")
    kinds = [(e["kind"], e["message_row"]) for e in play.rows(tables.journal)]
    assert kinds == [*(("received", n) for n in range(1, 6)), ("emptied", 3)]
    with play.built.store.read() as connection:
        assert list(proof.findings(connection)) == []
    play.receive(play.message(NoticeKind.ADMITTED))
    assert [e["number"] for e in play.rows(tables.journal)] == list(range(1, 8))
    play.close()


def test_what_an_older_process_took_during_an_upgrade_is_chained_afterwards(
    store_url: str, clock: StandingClock
):
    play = stage(store_url, clock)
    for _ in range(3):
        play.receive(play.message(NoticeKind.ADMITTED))
    sql(play, "DELETE FROM journal WHERE number = 3")  # as a program that knows no journal would have left it
    (said,) = wrong(play)
    assert said.startswith("message 3 has no entry in the journal")
    assert play.write(chain.catch_up) == 1
    assert wrong(play) == []
    assert play.write(chain.catch_up) == 0
    play.close()


def test_what_is_taken_in_the_same_commit_is_not_chained_a_second_time(play: Stage, clock: StandingClock):
    content = play.message(NoticeKind.ADMITTED)
    prepared = play.built.inbox.read(Incoming(content=content, channel="test"))

    def together(tx) -> int:
        play.built.inbox.take(tx, prepared, clock())
        return chain.catch_up(tx)

    assert play.write(together) == 0
    assert [(e["kind"], e["message_row"]) for e in play.rows(tables.journal)] == [("received", 1)]


def play_hash(tx, row: int) -> bytes:
    kept = messages.get(tx, row)
    assert kept is not None
    return kept["payload"]


# --- who tampers is found out ------

MIDDLE = "UPDATE journal SET {} WHERE number = 3"
X = "X'" + "ab" * 32 + "'"


def other_hash(play: Stage) -> str:
    """32 other bytes, as that engine writes them."""
    return X if play.built.store.embedded else "'\\x" + "ab" * 32 + "'"


@pytest.mark.parametrize(
    ("done", "said"),
    [
        ("UPDATE message SET payload = {hash} WHERE id = 3", "message 3 has another hash than entry 3"),
        ("UPDATE message SET sha256 = {hash} WHERE id = 3", "message 3 has another hash than entry 3"),
        ("DELETE FROM delivery; DELETE FROM message WHERE id = 3", "message 3 was removed; entry 3"),
        ("DELETE FROM delivery; DELETE FROM message WHERE id = 5", "message 5 was removed; entry 5"),
        ("DELETE FROM payload WHERE hash = (SELECT payload FROM message WHERE id = 3)",
         "the content of message 3 was removed"),
        ("DELETE FROM journal WHERE number = 3", "entry 3 of the journal: removed"),
        ("DELETE FROM journal WHERE number IN (2, 3)", "entries 2 to 3 of the journal: removed"),
        ("DELETE FROM journal WHERE number = 3", "message 3 has no entry in the journal"),
        ("DELETE FROM journal WHERE number = 1", "the journal begins with entry 2"),
        ("DELETE FROM journal WHERE number = 5", "message 5 has no entry in the journal"),
        ("DELETE FROM journal", "message 1 has no entry in the journal"),
        (MIDDLE.format("content = {hash}"), "entry 3 of the journal was altered"),
        (MIDDLE.format("at = at + 1"), "entry 3 of the journal was altered"),
        (MIDDLE.format("kind = 'erased'"), "entry 3 of the journal was altered"),
        (MIDDLE.format("kind = 'a kind too long for the layout'"), "entry 3 of the journal was altered"),
        (MIDDLE.format("message_row = 4"), "entry 3 of the journal was altered"),
        (MIDDLE.format("message_row = -4"), "entry 3 of the journal was altered"),
        (MIDDLE.format("hash = {hash}"), "entry 4 of the journal does not follow entry 3"),
        (MIDDLE.format("previous = {hash}"), "entry 3 of the journal does not follow entry 2"),
        ("UPDATE journal SET previous = {hash} WHERE number = 1", "entry 1 of the journal is not the first"),
        ("UPDATE journal SET number = 9 WHERE number = 3; UPDATE journal SET number = 3 WHERE number = 4; "
         "UPDATE journal SET number = 4 WHERE number = 9", "entry 3 of the journal does not follow entry 2"),
        ("INSERT INTO journal SELECT 6, at, kind, 77, content, previous, hash FROM journal WHERE number = 5",
         "entry 6 of the journal does not follow entry 5"),
        ("INSERT INTO journal SELECT 6, at, kind, 77, content, hash, hash FROM journal WHERE number = 5",
         "entry 6 of the journal was altered"),
        ("INSERT INTO message (id, received_at, channel, size, outcome) VALUES (77, 0, 'http', 1, 'refused')",
         "message 77 has no entry in the journal"),
    ],
)  # fmt: skip
def test_whoever_tampers_is_found_out(lived: Stage, done: str, said: str):
    for one in done.split("; "):
        sql(lived, one.replace("{hash}", other_hash(lived)))
    assert any(found.startswith(said) for found in wrong(lived)), wrong(lived)


def test_a_changed_content_is_found(lived: Stage):
    lived.write(lambda tx: tx.execute(tables.payload.update().values(content=b"something else")))
    assert any("does not match its hash" in found for found in wrong(lived))


def test_an_entry_made_anew_with_its_own_hash_is_found_by_the_next(lived: Stage):
    old = lived.rows(tables.journal)[2]
    made = {**old, "content": b"\xab" * 32}
    made["hash"] = chain.hash_of(3, old["at"], old["kind"], 3, made["content"], old["previous"])
    one = tables.journal.c.number == 3
    lived.write(lambda tx: tx.execute(tables.journal.update().where(one).values(**made)))
    assert any(found.startswith("entry 4 of the journal does not follow entry 3") for found in wrong(lived))


def test_a_truncated_end_is_found_by_a_head_noted_earlier(lived: Stage, clock: StandingClock):
    noted = head(lived)
    assert str(noted).startswith("5:")
    assert wrong(lived, noted) == []
    lived.receive(lived.message(NoticeKind.CARE_NEEDS))
    assert wrong(lived, noted) == []  # it is still in the chain
    sql(
        lived,
        "DELETE FROM journal WHERE number > 4",
        "DELETE FROM delivery",
        "DELETE FROM message WHERE id > 4",
    )
    with lived.built.store.read() as connection:
        assert list(proof.findings(connection)) == []  # by itself it is whole
        (found,) = proof.findings(connection, noted)
    assert found.startswith("the journal ends with entry 4, but entry 5 was noted")


def test_a_chain_made_anew_is_found_by_a_head_noted_earlier(lived: Stage):
    noted = head(lived)
    with lived.built.store.read() as connection:
        other = Head(number=noted.number, hash=b"\xab" * 32)
        (found,) = proof.findings(connection, other)
    assert found.startswith("entry 5 of the journal is another than the one that was noted")
    assert "an older backup was put back" in found  # a restore is no tampering: who reads it must know


def test_so_many_findings_are_not_all_told(lived: Stage, monkeypatch):
    monkeypatch.setattr(proof, "MOST_NAMED", 2)
    sql(lived, "DELETE FROM journal")
    with lived.built.store.read() as connection:
        told = list(proof.findings(connection))
    assert len(told) == 3
    assert told[-1] == "and 3 more messages without an entry"


def test_it_is_read_in_pieces(lived: Stage, monkeypatch):
    monkeypatch.setattr(proof, "PIECE", 2)
    monkeypatch.setattr(journal, "TOGETHER", 1)
    assert wrong(lived) == []
    sql(lived, "DELETE FROM journal WHERE number IN (2, 3)")
    assert "entries 2 to 3 of the journal: removed" in wrong(lived)


# --- who is told ------


def test_the_head_is_logged_once_a_day(lived: Stage, clock: StandingClock):
    structlog.configure(cache_logger_on_first_use=False)
    tell = DailyHead(lived.built.store, clock)
    with capture_logs() as logs:
        for _ in range(48):
            tell()
            clock.forward(hours=1)
    assert [entry["head"] for entry in logs] == [str(head(lived))] * 3  # it began within a day
    assert logs[0]["entries"] == 5


def test_the_command_prints_the_head_and_proves_an_earlier_one(tmp_path: Path):
    shell = Shell(tmp_path).with_region()
    assert shell("receive", FIXTURES / "plo" / "home-with-help" / "admitted.plo-1.6.xml").status == 0
    told = shell("check", "--journal", "--json")
    kept = told.json["journal"]
    assert (told.status, kept["entries"]) == (0, 1)
    number, digits = kept["head"].split(":")
    assert (number, len(digits)) == ("1", 64)
    assert f"journal: 1 entry, head {kept['head']}" in shell("check", "--journal").out.decode()
    assert shell("check", "--journal", "--head", kept["head"]).status == 0
    assert shell("check", "--journal", "--head", f"2:{digits}").status == 1
    assert shell("check", "--journal", "--head", "nonsense").status == 2
    assert shell("check", "--head", kept["head"]).status == 2
    assert "journal" not in shell("check", "--json").json
