"""Erasing a case: nothing of it is found any more, that it was there is proven, and a repetition is known."""

import zlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from adapter.discharge.notices import NoticeKind
from adapter.erasing import Erasure, erase, preview
from adapter.errors import NotFound
from adapter.fhir.wire import parse, to_json
from adapter.ledger import Ledger
from adapter.messaging.acknowledgement import Status
from adapter.scheduler.shelving import Shelving
from adapter.store import cases as case_rows
from adapter.store import journal, searching, tables
from adapter.store import ledger as ledger_rows
from adapter.store.searching import Term, Wanted
from adapter.store.tables import metadata
from tests.conftest import StandingClock
from tests.plan_fixtures import protect
from tests.shell import FIXTURES, Shell
from tests.stage import SYNNOVE, Stage, answering, failing, receipt, region, stage

pytestmark = pytest.mark.postgres_in_soak
WHY = "filed on the wrong person"
OTHER = replace(SYNNOVE, identifiers=((SYNNOVE.identifiers[0][0], "13830024478"),), family="Vangsnes")
SPOKEN = "Telt-med-kven"


@pytest.fixture
def play(store_url: str, clock: StandingClock) -> Iterator[Stage]:
    made = stage(store_url, clock)
    yield made
    made.close()


def live(play: Stage, subject=SYNNOVE, *kinds: NoticeKind) -> list[bytes]:
    """A stay with its deliveries, receipts and shelves."""
    play.post.answer = answering(play.clock)
    told = []
    for kind in kinds or (NoticeKind.ADMITTED, NoticeKind.CARE_NEEDS, NoticeKind.READY_FOR_DISCHARGE):
        told.append(play.message(kind, subject=subject, text=SPOKEN))
        assert play.receive(told[-1]).outcome == "accepted"
        while play.deliver():
            pass
        play.clock.forward(hours=1)  # type: ignore[attr-defined]
    Shelving(shelves=play.built.shelves)()
    return told


def gone(play: Stage, case_id: int = 1) -> Erasure:
    return play.write(lambda tx: erase(tx, play.outbox, case_id, play.clock(), by="Kari", why=WHY))


def wrong(play: Stage) -> list[str]:
    with play.built.store.read() as connection:
        return journal.findings(connection, play.built.agreement, play.built.cases.roles)


def everything(play: Stage) -> str:
    """Every value of every row, contents as they were sent."""
    return "\n".join(
        f"{table.name} {name} {value.decode(errors='replace') if isinstance(value, bytes) else value}"
        for table in metadata.sorted_tables
        if table is not tables.fhir_access
        for row in play.rows(table)
        for name, value in row.items()
    )


def test_nothing_of_it_is_found_any_more_and_the_journal_is_whole(play: Stage):
    live(play)
    live(play, OTHER)
    patient = play.rows(tables.case)[0]["patient"]
    assert patient in everything(play)
    assert SPOKEN in everything(play)
    done = gone(play)
    left = everything(play)
    for secret in (patient, SYNNOVE.family, SYNNOVE.identifiers[0][1]):
        assert secret not in left.replace(OTHER.family, ""), secret
    with play.built.store.read() as connection:
        assert case_rows.get(connection, 1) is None
        assert [row["id"] for row in case_rows.listed(connection)] == [2]
    assert not [row for row in play.rows(tables.resource) if row["patient"] == patient]
    assert {row["case_id"] for row in play.rows(tables.case_party)} == {2}
    assert wrong(play) == []
    assert len(done.messages) == 6  # three, and their receipts
    erased = [e["message_row"] for e in play.rows(tables.journal) if e["kind"] == "erased"]
    assert erased == list(done.messages)
    (note,) = [h for h in play.rows(tables.history) if h["subject"] == "case 1"]
    assert (note["by"], note["what"]) == ("Kari", f"erased, with 6 messages: {WHY}")


def test_that_the_identity_was_protected_goes_with_the_last_case(play: Stage, clock: StandingClock):
    marked = parse(play.message(NoticeKind.ADMITTED, encounter="LS-1"))
    protect(marked)
    assert play.receive(to_json(marked)).outcome == "accepted"
    assert play.receive(play.message(NoticeKind.DISCHARGED, encounter="LS-1")).outcome == "accepted"
    clock.forward(days=60)
    assert play.receive(play.message(NoticeKind.ADMITTED, encounter="LS-2")).outcome == "accepted"
    while play.deliver():
        pass
    gone(play, 1)
    assert len(play.rows(tables.protection)) == 1
    gone(play, 2)
    assert play.rows(tables.protection) == []


def test_what_is_of_others_stays(play: Stage):
    live(play, OTHER)
    before = {name: count for name, count in play.counts().items() if name not in ("journal", "history")}
    live(play)
    gone(play, 2)
    after = play.counts()
    for name in ("fact", "deadline", "resource", "resource_version", "shelf", "payload"):
        assert after[name] == before[name], name


def test_the_same_message_sent_again_is_a_duplicate(play: Stage):
    (first, *_) = live(play)
    gone(play)
    before = play.counts()
    assert play.receive(first).outcome == "duplicate"
    assert play.counts() == before


def test_another_content_under_an_erased_id_is_held_for_a_person(play: Stage):
    """The sender may have corrected whom it is about; taking it for a repetition would lose that."""
    message_id = "22222222-2222-4222-8222-222222222222"
    play.receive(play.message(NoticeKind.ADMITTED, message_id=message_id))
    gone(play)
    corrected = play.message(NoticeKind.ADMITTED, message_id=message_id, subject=OTHER)
    assert play.receive(corrected).outcome == "quarantined"
    assert play.receive(play.message(NoticeKind.ADMITTED, subject=OTHER)).outcome == "accepted"
    assert wrong(play) == []


def test_it_is_refused_while_a_delivery_is_on_its_way(play: Stage):
    play.receive(play.message(NoticeKind.ADMITTED))
    play.claim()
    with pytest.raises(NotFound, match="is being sent at this moment"):
        gone(play)
    assert play.rows(tables.fact)


def test_deliveries_that_wait_are_closed_and_a_late_receipt_does_no_harm(play: Stage, clock: StandingClock):
    play.receive(play.message(NoticeKind.ADMITTED))
    play.deliver()
    play.receive(play.message(NoticeKind.READY_FOR_DISCHARGE))
    sent = play.post.sent[0][1].content
    done = gone(play)
    assert len(done.closes) >= 2
    assert done.received_by
    assert play.deliver() == []
    play.receive(receipt(sent, Status.ACCEPTED, at=clock()))
    assert play.rows(tables.fact) == []
    assert wrong(play) == []


def test_days_in_a_closed_month_must_be_taken_back_first(play: Stage, clock: StandingClock):
    live(play)
    clock.forward(days=40)
    ledger = Ledger(cases=play.built.cases)
    play.write(lambda tx: ledger.close(tx, "2014-03", clock(), by=None))
    lines = play.rows(tables.ledger_entry)
    if not lines:
        day = {"month": "2014-03", "case_id": 1, "day": clock().date() - timedelta(days=20), "amount": "1"}
        names = {
            "debtor": "a",
            "payee": "b",
            "currency": "NOK",
            "kind": "charge",
            "state": "open",
            "why": "x",
        }
        play.write(lambda tx: tx.execute(tables.ledger_entry.insert().values(**day, **names)))
    with pytest.raises(NotFound, match=r"booked in 2014-03, which is closed\. Waive them"):
        gone(play)
    assert play.rows(tables.fact)
    back = [
        {**{k: v for k, v in row.items() if k != "id"}, "kind": "reversal", "reverses": row["id"]}
        for row in play.rows(tables.ledger_entry)
    ]
    play.write(lambda tx: tx.execute(tables.ledger_entry.insert(), back))
    gone(play)
    assert wrong(play) == []
    with play.built.store.read() as connection:
        assert ledger_rows.booked(connection)  # the statement stays as it was
        assert ledger.statement(connection, "2014-04", clock()).lines == ()


def test_the_number_of_an_erased_case_is_not_given_again(play: Stage):
    live(play)
    gone(play)
    assert play.receive(play.message(NoticeKind.ADMITTED, subject=OTHER)).case_id == 2


def test_another_stay_of_the_same_patient_is_folded_anew(play: Stage, clock: StandingClock):
    for stay in ("opphald-1", "opphald-2"):
        for kind in (NoticeKind.ADMITTED, NoticeKind.DISCHARGED):
            play.receive(play.message(kind, encounter=stay))
            clock.forward(hours=5)
    play.write(lambda tx: case_rows.link(tx, 2, 1, "readmission"))
    gone(play)
    with play.built.store.read() as connection:
        (left,) = case_rows.listed(connection)
    assert (left["id"], left["readmission_of"]) == (2, None)
    assert wrong(play) == []


def test_it_is_not_left_in_the_file_either(tmp_path: Path, clock: StandingClock):
    play = stage(f"sqlite:///{tmp_path}/store.db", clock, of=region())
    (content, *_) = live(play)
    kept = zlib.compressobj(6, zlib.DEFLATED, 13, 6)
    compressed = kept.compress(content) + kept.flush()
    patient = play.rows(tables.case)[0]["patient"].encode()
    play.built.store.shorten(always=True)
    file, log = tmp_path / "store.db", tmp_path / "store.db-wal"
    assert compressed[200:260] in file.read_bytes()
    gone(play)
    play.built.store.shorten(always=True)
    for there in (file.read_bytes(), log.read_bytes()):
        assert compressed[200:260] not in there
        assert patient not in there
    play.close()


def test_the_command_shows_first_and_erases_only_when_told(tmp_path: Path):
    shell = Shell(tmp_path).with_region()
    assert shell("receive", FIXTURES / "plo" / "home-with-help" / "admitted.plo-1.6.xml").status == 0
    asked = ("erase", "case", "1", "--by", "Kari", "--why", WHY)
    shown = shell(*asked, "--json")
    assert (shown.status, shown.json["erased"]) == (0, False)
    assert shown.json["messages"] == [1]
    assert len(shell("cases", "--json").json) == 1
    assert "nothing has been erased; say --yes" in shell(*asked).out.decode()
    done = shell(*asked, "--yes", "--json")
    assert (done.status, done.json["erased"]) == (0, True)
    assert shell("cases", "--json").json == []
    assert shell("case", "1").status == 2
    assert shell(*asked).status == 2
    assert shell("check", "--journal").status == 0


def test_what_it_would_take_is_told_without_taking(play: Stage):
    live(play)
    before = play.counts()
    with play.built.store.read() as connection:
        told = preview(connection, 1)
    assert told.rows["fact"] == before["fact"]
    assert play.counts() == before


def test_what_an_erased_case_was_found_by_is_gone(store_url: str, clock: StandingClock):
    made = stage(store_url, clock)
    made.post.answer = failing(503, error="Zyklopisch verstopft")
    made.receive(made.message(NoticeKind.ADMITTED))
    made.deliver()
    made.write(searching.index)
    found = Wanted(terms=((Term("zyklopisch", begins=True),),))
    with made.built.store.read() as tx:
        assert searching.ids(tx, found, limit=9) == [1]
    made.write(lambda tx: erase(tx, made.outbox, 1, clock(), by="Marta", why="wrong person"))
    with made.built.store.read() as tx:
        assert searching.ids(tx, found, limit=9) == []
    assert "zyklopisch" not in str(made.rows(tables.delivery_words))
    made.write(searching.index)
    assert "zyklopisch" not in str(made.rows(tables.delivery_words))
    made.built.store.shorten(always=True)
    made.close()
    if made.built.store.embedded:
        (file,) = [Path(store_url.removeprefix("sqlite:///"))]
        assert b"zyklopisch" not in file.read_bytes().lower()
