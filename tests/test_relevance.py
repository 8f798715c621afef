"""Whom a municipality may be told of is asked before anything is stored (D-09, process.md 26)."""

import json
import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from adapter.discharge.notices import NoticeKind, Standing
from adapter.errors import NotDecided, NotFound
from adapter.fhir.bundles import CPR, Subject
from adapter.messaging.register import ReceiptWhen, RosterPlace, Side
from adapter.runtime.logs import log_acceptance
from adapter.store import journal, messages, tables
from adapter.transport.directory import DirectoryMailbox
from tests.conftest import StandingClock
from tests.medcom import KARLA, acknowledged, denmark, ids, notification, of_its_own, parsed, play_denmark
from tests.scheduler.test_polling import Letterbox, mail, round_of
from tests.stage import SYNNOVE, Stage, altered, region, stage, without

ADMITTED, DISCHARGED, READY = NoticeKind.ADMITTED, NoticeKind.DISCHARGED, NoticeKind.READY_FOR_DISCHARGE
ANNE = Subject(identifiers=((CPR, "0108605995"),), family="Testborger", given="Anne", gender="female")
BENT = Subject(identifiers=((CPR, "3112605996"),), family="Prøvesen", given="Bent", gender="male")
ANNES, BENTS, KARLAS = "010860-5995", "311260-5996", KARLA.identifiers[0][1]
HOSPITAL = "laerdal-sjukehus"

pytestmark = pytest.mark.postgres_in_soak


@pytest.fixture
def roster(tmp_path: Path) -> Path:
    """Sogndal's: Anne is one of its own, Bent is not."""
    file = tmp_path / "sogndal.roster"
    file.write_text(f"# with a relevant case\n{ANNES}\n")
    return file


@pytest.fixture
def start(store_url: str, clock: StandingClock, roster: Path) -> Iterator[Callable[..., Stage]]:
    """The hospital has its own system; Sogndal is ours and has a roster."""
    made: list[Stage] = []

    def play(*, sender: str = "theirs", **more: object) -> Stage:
        known = altered(region(**{HOSPITAL: sender}), "sogndal", roster=_place(roster), **more)
        made.append(stage(store_url, clock, of=known))
        return made[-1]

    yield play
    for one in made:
        one.close()


@pytest.fixture
def play(start: Callable[..., Stage]) -> Stage:
    return start()


def _place(file: Path) -> RosterPlace:
    return RosterPlace(address=str(file), within=timedelta(days=2))


def say(play: Stage, roster: Path, *numbers: str) -> None:
    """Another roster, seen at once."""
    roster.write_text("".join(f"{one}\n" for one in numbers))
    play.built.rosters.look()


def told(acknowledgement: bytes) -> str:
    return json.loads(acknowledgement)["entry"][0]["resource"]["response"]["code"]


def everything(play: Stage) -> bytes:
    """All that the store holds, as text; contents unpacked."""
    return "\n".join(
        str({**row, "content": bytes(row["content"])} if row.get("content") else dict(row))
        for table in tables.metadata.sorted_tables
        for row in play.rows(table)
    ).encode()


def proven(play: Stage) -> list[str]:
    with play.built.store.read() as tx:
        return journal.findings(tx, play.built.agreement, play.built.cases.roles)


# --- none of its own ------


def test_a_stranger_is_acknowledged_and_only_metadata_and_hash_are_stored(play: Stage):
    before = play.counts()
    content = play.message(ADMITTED, subject=BENT)
    done = play.receive(content, channel="http")
    assert (done.outcome, done.case_id, done.kept) == ("not-relevant", None, False)
    assert told(done.acknowledgement) == "ok"
    (row,) = play.rows(tables.message)
    assert (row["sender"], row["type"], row["outcome"]) == (HOSPITAL, "admitted", "not-relevant")
    assert row["likeness"] is None
    with play.built.store.read() as tx:
        assert messages.content(tx, row["payload"]) is None
        assert messages.content(tx, row["acknowledgement"]) == done.acknowledgement
    after = play.counts()
    new = {name: after[name] - count for name, count in before.items() if after[name] != count}
    assert new == {"message": 1, "payload": 1, "journal": 1}


def test_nothing_of_a_stranger_is_in_the_store_its_log_or_a_backup(play: Stage, capsys, tmp_path: Path):
    done = play.receive(play.message(ADMITTED, subject=BENT))
    log_acceptance(done)
    held = everything(play) + capsys.readouterr().out.encode()
    if play.built.store.embedded:  # the file, and what is written ahead of it
        folder = Path(play.built.store.engine.url.database).parent
        held += b"".join(f.read_bytes() for f in folder.iterdir() if f.is_file() and "store" in f.name)
    for secret in ("3112605996", BENTS, "Prøvesen", "Bent"):
        assert secret.encode() not in held


def test_the_journal_proves_what_was_not_kept(play: Stage):
    play.receive(play.message(ADMITTED, subject=ANNE))
    play.receive(play.message(ADMITTED, subject=BENT))
    assert proven(play) == []
    assert [row["kind"] for row in play.rows(tables.journal)] == ["received", "not-kept"]
    (_, row) = play.rows(tables.message)
    play.write(lambda tx: messages.change(tx, row["id"], payload=bytes(32)))
    assert any("has another hash" in finding for finding in proven(play))


def test_a_content_removed_by_hand_is_no_stranger_s(play: Stage):
    done = play.receive(play.message(ADMITTED, subject=ANNE))
    (row,) = play.rows(tables.message)
    play.write(lambda tx: tx.execute(tables.payload.delete().where(tables.payload.c.hash == row["payload"])))
    play.write(lambda tx: messages.change(tx, done.message_row, outcome="not-relevant"))
    assert any("was removed" in finding for finding in proven(play))


def test_a_duplicate_gets_the_same_acknowledgement(play: Stage):
    content = play.message(ADMITTED, subject=BENT)
    first = play.receive(content)
    before = play.counts()
    again = play.receive(content)
    assert (again.outcome, again.first, again.kept) == ("duplicate", "not-relevant", False)
    assert again.acknowledgement == first.acknowledgement
    assert play.counts() == before
    assert play.rows(tables.message)[0]["duplicates"] == 1


def test_a_duplicate_in_a_new_bundle_is_not_stored_either(play: Stage):
    number = str(uuid.uuid4())
    first = play.receive(play.message(ADMITTED, subject=BENT, message_id=number))
    before = play.counts()
    again = play.receive(play.message(ADMITTED, subject=BENT, message_id=number))
    assert (again.outcome, again.acknowledgement) == ("duplicate", first.acknowledgement)
    assert play.counts() == before


def test_a_known_bundle_id_under_another_message_id_is_refused_for_a_stranger_too(play: Stage):
    bundle = str(uuid.uuid4())
    play.receive(play.message(ADMITTED, subject=BENT, transmission_id=bundle))
    done = play.receive(play.message(ADMITTED, subject=BENT, transmission_id=bundle))
    assert (done.outcome, done.code, done.kept) == ("refused", "duplicate", False)
    assert b"Bent" not in everything(play)


def test_where_its_own_system_would_give_the_receipt_a_stranger_s_is_given_at_once(start):
    play = start(receipt=ReceiptWhen.DELIVERED)
    done = play.receive(play.message(ADMITTED, subject=BENT))
    assert (done.outcome, told(done.acknowledgement)) == ("not-relevant", "ok")
    assert play.rows(tables.delivery) == []


def test_where_nobody_waits_for_an_answer_the_acknowledgement_travels(play: Stage):
    play.receive(play.message(ADMITTED, subject=BENT), channel="directory")
    assert [(d["kind"], d["party"]) for d in play.rows(tables.delivery)] == [("receipt", HOSPITAL)]


def test_what_is_refused_of_a_stranger_is_answered_and_not_kept(play: Stage):
    broken = json.loads(play.message(ADMITTED, subject=BENT))
    next(e["resource"] for e in broken["entry"] if e["resource"]["resourceType"] == "Encounter").pop("class")
    done = play.receive(json.dumps(broken).encode())
    assert (done.outcome, done.kept) == ("refused", False)
    assert told(done.acknowledgement) == "fatal-error"
    assert b"Bent" not in everything(play)
    assert proven(play) == []


def test_a_stranger_told_of_by_a_stranger_is_refused_and_not_held(store_url, clock, roster: Path):
    known = altered(region(**{HOSPITAL: "theirs"}), "sogndal", roster=_place(roster))
    whole = stage(store_url, clock, of=known)
    content = whole.message(ADMITTED, subject=BENT)
    whole.close()
    play = stage(store_url, clock, of=without(known, HOSPITAL))
    done = play.receive(content)
    assert (done.outcome, done.code, done.kept) == ("refused", "unknown-sender", False)
    assert b"Bent" not in everything(play)
    play.close()


def test_a_patient_without_a_number_is_nobody_s(play: Stage):
    unknown = replace(BENT, identifiers=(), birth_date=date(1860, 12, 31))
    assert play.receive(play.message(ADMITTED, subject=unknown)).outcome == "not-relevant"


# --- its own ------


def test_who_is_on_the_roster_is_taken(play: Stage):
    done = play.receive(play.message(ADMITTED, subject=ANNE))
    assert (done.outcome, done.kept) == ("accepted", True)
    assert [c["state"] for c in play.rows(tables.case)] == ["admitted"]


def test_an_open_case_is_reason_enough(play: Stage, roster: Path):
    play.receive(play.message(ADMITTED, subject=ANNE))
    say(play, roster, BENTS)
    assert play.receive(play.message(NoticeKind.LEAVE_STARTED, subject=ANNE)).outcome == "accepted"
    assert play.receive(play.message(DISCHARGED, subject=ANNE)).outcome == "accepted"
    assert play.receive(play.message(ADMITTED, subject=ANNE)).outcome == "not-relevant"  # that case is over


def test_a_case_of_somebody_else_s_is_no_reason(play: Stage):
    play.receive(play.message(ADMITTED, subject=BENT, receivers=("vik",)))
    assert [c["state"] for c in play.rows(tables.case)] == ["admitted"]
    assert play.receive(play.message(NoticeKind.LEAVE_STARTED, subject=BENT)).outcome == "not-relevant"


@pytest.mark.parametrize("standing", [Standing.CORRECTION, Standing.CANCELLATION])
def test_what_corrects_or_cancels_what_is_held_is_taken(play: Stage, roster: Path, standing: Standing):
    number = str(uuid.uuid4())
    play.receive(play.message(ADMITTED, subject=ANNE))
    play.receive(play.message(DISCHARGED, subject=ANNE, message_id=number))
    say(play, roster, BENTS)
    more = {"standing": standing, "refers_to": number}
    assert play.receive(play.message(DISCHARGED, subject=ANNE, **more)).outcome == "accepted"


@pytest.mark.parametrize("standing", [Standing.CORRECTION, Standing.CANCELLATION])
def test_what_corrects_or_cancels_what_was_not_kept_is_not_kept(play: Stage, standing: Standing):
    number = str(uuid.uuid4())
    play.receive(play.message(ADMITTED, subject=BENT, message_id=number))
    more = {"standing": standing, "refers_to": number}
    assert play.receive(play.message(ADMITTED, subject=BENT, **more)).outcome == "not-relevant"
    assert play.rows(tables.alarm) == []


def test_what_is_no_notification_of_a_stay_is_not_weighed(play: Stage):
    assert play.receive(play.message(READY, subject=BENT)).outcome == "accepted"


def test_who_has_no_roster_keeps_everything(play: Stage):
    assert play.receive(play.message(ADMITTED, subject=BENT, receivers=("vik",))).outcome == "accepted"


def test_for_evaluation_everybody_is_relevant(store_url: str, clock: StandingClock):
    play = stage(store_url, clock, evaluation=True)
    other = stage(store_url, clock)
    content = other.message(ADMITTED, subject=BENT)
    assert play.receive(content).outcome == "accepted"
    play.close()
    other.close()


# --- several receivers ------


def test_each_receiver_decides_for_itself(play: Stage):
    done = play.receive(play.message(ADMITTED, subject=BENT, receivers=("sogndal", "vik")))
    assert (done.outcome, done.kept, told(done.acknowledgement)) == ("accepted", True, "ok")
    assert [d["party"] for d in play.rows(tables.delivery) if d["kind"] != "receipt"] == ["vik"]
    assert {p["party"] for p in play.rows(tables.case_party)} == {HOSPITAL, "vik"}
    play.write(lambda tx: [play.built.shelves.shelve(tx) for _ in range(5)])
    assert {row["party"] for row in play.rows(tables.shelf)} == {HOSPITAL, "vik"}


def test_each_receiver_acknowledges_for_itself(play: Stage):
    play.receive(play.message(ADMITTED, subject=BENT, receivers=("vik", "sogndal")), channel="directory")
    receipts = [d["payload"] for d in play.rows(tables.delivery) if d["kind"] == "receipt"]
    with play.built.store.read() as tx:
        codes = [told(messages.content(tx, digest)) for digest in receipts]
    assert codes == ["ok"]  # Vik's own system has not spoken yet


def test_what_is_only_relayed_goes_on_untouched(store_url: str, clock: StandingClock, roster: Path):
    known = altered(region(**{HOSPITAL: "theirs"}), "sogndal", roster=_place(roster), side=Side.THEIRS)
    play = stage(store_url, clock, of=known)
    content = play.message(ADMITTED, subject=BENT)
    assert play.receive(content).outcome == "accepted"
    (delivery,) = play.rows(tables.delivery)
    with play.built.store.read() as tx:
        assert messages.content(tx, delivery["payload"]) == content
    play.close()


def test_a_hospital_of_ours_keeps_what_it_has_said(start):
    play = start(sender="ours")
    done = play.receive(play.message(ADMITTED, subject=BENT))
    assert (done.outcome, told(done.acknowledgement)) == ("accepted", "ok")
    assert {p["party"] for p in play.rows(tables.case_party)} == {HOSPITAL}
    assert [d["party"] for d in play.rows(tables.delivery) if d["kind"] != "receipt"] == []
    assert proven(play) == []


# --- a roster that says nothing ------


def missing(roster: Path) -> None:
    roster.unlink()


def unreadable(roster: Path) -> None:
    roster.write_text("no number\n")


def cut_off(roster: Path) -> None:
    roster.write_text(f"{ANNES}\n31126")


@pytest.mark.parametrize("fault", [missing, unreadable, cut_off])
def test_without_a_roster_nothing_is_decided_and_nothing_stored(start, roster: Path, fault):
    fault(roster)
    play = start()
    before = play.counts()
    for subject in (ANNE, BENT):
        with pytest.raises(NotDecided):
            play.receive(play.message(ADMITTED, subject=subject))
    assert play.counts() == before
    say(play, roster, ANNES)
    assert play.receive(play.message(ADMITTED, subject=ANNE)).outcome == "accepted"


def test_a_roster_that_is_too_old_decides_nothing(play: Stage, roster: Path, clock: StandingClock):
    os.utime(roster, (clock().timestamp(),) * 2)
    play.built.rosters.look()
    clock.forward(hours=47)
    assert play.receive(play.message(ADMITTED, subject=BENT)).outcome == "not-relevant"
    clock.forward(hours=2)
    with pytest.raises(NotDecided):
        play.receive(play.message(ADMITTED, subject=BENT))
    os.utime(roster, (clock().timestamp(),) * 2)
    play.built.rosters.look()
    assert play.receive(play.message(ADMITTED, subject=BENT)).outcome == "not-relevant"


def test_an_open_case_needs_no_roster(play: Stage, roster: Path, clock: StandingClock):
    os.utime(roster, (clock().timestamp(),) * 2)
    play.receive(play.message(ADMITTED, subject=ANNE))
    clock.forward(days=3)
    assert play.receive(play.message(NoticeKind.LEAVE_STARTED, subject=ANNE)).outcome == "accepted"


def test_what_was_decided_is_not_asked_again(play: Stage, roster: Path, clock: StandingClock):
    os.utime(roster, (clock().timestamp(),) * 2)
    content = play.message(ADMITTED, subject=BENT)
    first = play.receive(content)
    clock.forward(days=3)
    again = play.receive(content)
    assert (again.outcome, again.acknowledgement) == ("duplicate", first.acknowledgement)


def test_a_broken_roster_leaves_the_one_before_until_it_is_too_old(
    play: Stage, roster: Path, clock: StandingClock
):
    os.utime(roster, (clock().timestamp(),) * 2)
    play.built.rosters.look()
    unreadable(roster)
    play.built.rosters.look()
    assert play.receive(play.message(ADMITTED, subject=ANNE)).outcome == "accepted"
    clock.forward(days=3)
    with pytest.raises(NotDecided):
        play.receive(play.message(ADMITTED, subject=BENT))


# --- mailboxes ------


def test_in_a_folder_nothing_of_a_stranger_stays(play: Stage, tmp_path: Path):
    (tmp_path / "box" / "in").mkdir(parents=True)
    letter = tmp_path / "box" / "in" / "a.json"
    letter.write_bytes(play.message(ADMITTED, subject=BENT))
    box = round_of(play, DirectoryMailbox("box", tmp_path / "box"), channel="directory")
    assert box() == 1
    assert [f for f in (tmp_path / "box").rglob("*") if f.is_file()] == []
    assert play.rows(tables.mailbox_seen) == []


def test_what_cannot_be_decided_stays_in_its_mailbox_and_holds_up_nothing(play: Stage, roster: Path):
    missing(roster)
    play.built.rosters.look()
    letters = [
        mail(play.message(ADMITTED, subject=BENT), "1", cursor="one"),
        mail(play.message(ADMITTED, subject=SYNNOVE, receivers=("vik",)), "2", cursor="two"),
    ]
    box = Letterbox(letters=letters)
    box_round = round_of(play, box)
    assert box_round() == 1
    assert box.ended == ["done 2"]
    assert play.rows(tables.mailbox)[0]["cursor"] is None
    say(play, roster, ANNES)
    assert box_round() == 1
    assert box.ended == ["done 2", "forgotten 1"]


# --- released ------


def test_what_was_held_and_turns_out_to_be_nobody_s_goes(store_url, clock, roster: Path):
    known = region(**{HOSPITAL: "theirs"})
    play = stage(store_url, clock, of=without(known, HOSPITAL))
    whole = stage(store_url, clock, of=altered(known, "sogndal", roster=_place(roster)))
    content = whole.message(ADMITTED, subject=BENT)
    held = play.receive(content)
    assert held.outcome == "quarantined"
    done = whole.write(lambda tx: whole.built.inbox.release(tx, held.message_row, clock(), by="Marta"))
    assert done.outcome == "not-relevant"
    assert b"Bent" not in everything(whole)
    assert [a["until"] is not None for a in whole.rows(tables.alarm)] == [True]
    assert [r["kind"] for r in whole.rows(tables.journal)] == ["received", "erased"]
    assert proven(whole) == []
    whole.close()
    play.close()


# --- as MedCom writes it ------


@pytest.fixture
def beby(store_url: str, clock: StandingClock, tmp_path: Path, roster: Path) -> Iterator[Stage]:
    """Beby Kommune reads on our board, and has a roster; Sydby Hospital has its own system."""
    made = stage(store_url, clock, of=altered(denmark(tmp_path), "beby", roster=_place(roster)))
    yield made
    made.close()


def of_karla(clock: StandingClock, **more: object) -> bytes:
    return notification(clock, sender="sydby", receiver="beby", **more)


def code_of(acknowledgement: bytes) -> str:
    return str(parsed(acknowledgement)["entry"][0]["resource"]["response"]["code"])


@pytest.mark.parametrize("xml", [False, True])
def test_medcom_s_notification_of_a_stranger_is_acknowledged_and_forgotten(beby: Stage, clock, xml: bool):
    done = beby.receive(of_karla(clock, xml=xml), channel="http")
    assert (done.outcome, done.type, code_of(done.acknowledgement)) == ("not-relevant", "STIN", "ok")
    assert beby.rows(tables.case) == beby.rows(tables.fact) == beby.rows(tables.shelf) == []
    held = everything(beby)
    assert KARLAS.replace("-", "").encode() not in held and b"Karla" not in held
    assert proven(beby) == []


def test_medcom_s_duplicate_gets_the_same_content_in_a_new_bundle(beby: Stage, clock: StandingClock):
    number = str(uuid.uuid4())
    first = beby.receive(of_karla(clock, header_id=number))
    clock.forward(minutes=30)
    again = beby.receive(of_karla(clock, header_id=number))
    assert (again.outcome, again.first) == ("duplicate", "not-relevant")
    assert of_its_own(again.acknowledgement) == of_its_own(first.acknowledgement)
    assert ids(again.acknowledgement)[0] != ids(first.acknowledgement)[0]
    assert b"Karla" not in everything(beby)


def test_medcom_s_notification_of_one_of_its_own_is_taken(beby: Stage, clock: StandingClock, roster: Path):
    say(beby, roster, KARLAS)
    done = beby.receive(of_karla(clock))
    assert (done.outcome, code_of(done.acknowledgement)) == ("accepted", "ok")


def test_a_broken_notification_is_refused_and_nothing_of_it_kept(beby: Stage, clock: StandingClock):
    broken = parsed(of_karla(clock))
    next(e["resource"] for e in broken["entry"] if e["resource"]["resourceType"] == "Encounter").pop("class")
    done = beby.receive(json.dumps(broken).encode())
    assert (done.outcome, done.kept, code_of(done.acknowledgement)) == ("refused", False, "fatal-error")
    assert b"Karla" not in everything(beby)


def test_receipts_of_medcom_s_need_no_case_to_know_them(store_url: str, clock, tmp_path: Path):
    play = play_denmark(store_url, clock, tmp_path)
    content = notification(clock, sender="nordby", receiver="aaby")
    play.receive(content)
    play.deliver()
    assert play.receive(acknowledged(content, at=clock()), channel="directory").outcome == "accepted"
    assert proven(play) == []
    play.close()


# --- written anew ------


def test_nobody_writes_a_stranger_s_notice_anew_to_the_party(play: Stage, roster: Path, clock: StandingClock):
    play.receive(play.message(ADMITTED, subject=BENT, receivers=("vik",)))
    number = play.delivery(1)["id"]

    def reissued() -> int:
        inbox = play.built.inbox
        return play.write(lambda tx: inbox.reissue(tx, number, clock(), to="sogndal", by="Marta"))

    with pytest.raises(NotFound, match="none of sogndal's own"):
        reissued()
    missing(roster)
    clock.forward(days=3)
    with pytest.raises(NotFound, match="roster is missing or too old"):
        reissued()
    assert len(play.rows(tables.delivery)) == 1
    say(play, roster, BENTS)
    assert reissued() > number


# --- counted ------


def test_what_was_not_relevant_is_counted_by_sender_and_type(play: Stage, clock: StandingClock):
    content = play.message(ADMITTED, subject=BENT)
    for _ in range(3):
        play.receive(content)
    play.receive(play.message(DISCHARGED, subject=BENT))
    with play.built.store.read() as tx:
        found = messages.not_relevant(tx, clock() - timedelta(days=1))
        later = messages.not_relevant(tx, clock() + timedelta(seconds=1))
    counts = [(r["sender"], r["type"], r["count"], int(r["again"])) for r in found]
    assert counts == [(HOSPITAL, "admitted", 1, 2), (HOSPITAL, "discharged", 1, 0)]
    assert later == []
