"""The inbox: one transaction a message, duplicates that change nothing, refusal and quarantine, all kept."""

import hashlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta

import pytest
from sqlalchemy import text

from adapter.discharge.notices import NoticeKind, Standing
from adapter.errors import NotFound, StoreError
from adapter.incoming import HEAD_KEPT, Incoming
from adapter.messaging.acknowledgement import Status
from adapter.messaging.register import ReceiptWhen
from adapter.store import messages, tables
from tests.conftest import StandingClock
from tests.stage import SYNNOVE, TORBJORN, Stage, altered, answering, receipt, region, stage, without

ADMITTED, READY = NoticeKind.ADMITTED, NoticeKind.READY_FOR_DISCHARGE
HOSPITAL_PARTNER = "helse-foerde"


@pytest.fixture
def play(store_url: str, clock: StandingClock) -> Iterator[Stage]:
    made = stage(store_url, clock)
    yield made
    made.close()


def board_only(party: str = "vik"):
    """The region where one municipality has no system of its own but our board."""
    return altered(region(), party, endpoint=None, receipt=ReceiptWhen.STORED)


def partner(play: Stage, name: str):
    return next(p for p in play.built.register.partners if p.name == name)


def said(acknowledgement: bytes) -> str:
    head = json.loads(acknowledgement)["entry"][0]["resource"]
    return head["response"]["code"]


def content_of(play: Stage, row: int) -> bytes | None:
    with play.built.store.read() as connection:
        return messages.content(connection, messages.get(connection, row)["payload"])


# --- one transaction ------


def test_everything_that_follows_from_a_message_is_there_at_once(play: Stage):
    content = play.message(ADMITTED)
    done = play.receive(content, channel="http")
    assert done.outcome == "accepted"
    assert content_of(play, done.message_row) == content
    (row,) = play.rows(tables.message)
    assert (row["sender"], row["type"], row["outcome"]) == ("laerdal-sjukehus", "admitted", "accepted")
    assert (row["size"], row["case_id"]) == (len(content), done.case_id)
    assert [(f["kind"], f["message_row"]) for f in play.rows(tables.fact)] == [("admitted", row["id"])]
    assert [c["state"] for c in play.rows(tables.case)] == ["admitted"]
    assert [(d["kind"], d["state"]) for d in play.rows(tables.deadline)] == [
        ("early-notice", "open"),
        ("report-of-admission", "open"),
    ]
    assert [(d["party"], d["state"]) for d in play.rows(tables.delivery)] == [("sogndal", "waiting")]
    with play.built.store.read() as connection:
        assert messages.content(connection, row["acknowledgement"]) == done.acknowledgement


@pytest.mark.parametrize("table", ["discharge_case", "fact", "deadline", "delivery", "payload", "message"])
def test_a_failure_in_the_middle_leaves_nothing(play: Stage, table: str):
    forbid(play, table)
    before = play.counts()
    with pytest.raises(StoreError):
        play.receive(play.message(ADMITTED))
    assert play.counts() == before


def forbid(play: Stage, table: str) -> None:
    """Make the database refuse new rows in one table."""
    if play.built.store.embedded:
        statements = [
            f"CREATE TRIGGER no_{table} BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'full'); END"
        ]
    else:
        statements = [
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'full'; END $$",
            f"CREATE TRIGGER no_{table} BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION refuse()",
        ]
    for statement in statements:
        play.write(lambda tx, s=statement: tx.execute(text(s)))


def test_a_message_over_which_we_stumble_ourselves_is_held_and_its_beginnings_taken_back(play: Stage):
    whole = play.built.inbox
    stumbling = replace(whole.outbox, subscriptions=None)  # asked last of all; it has no such thing to ask
    play.built = replace(play.built, inbox=replace(whole, outbox=stumbling))
    content = play.message(ADMITTED)
    done = play.receive(content)
    assert (done.outcome, done.code, done.acknowledgement) == ("quarantined", "internal", None)
    assert content_of(play, done.message_row) == content
    counts = play.counts()
    assert counts["fact"] == counts["delivery"] == counts["discharge_case"] == 0
    assert counts["message"] == 1
    play.built = replace(play.built, inbox=whole)
    released = play.write(lambda tx: play.built.inbox.release(tx, done.message_row, play.clock(), by="Marta"))
    assert released.outcome == "accepted"


# --- duplicates ------


def test_the_same_bytes_again_get_the_first_response_byte_for_byte(play: Stage, clock: StandingClock):
    content = play.message(ADMITTED)
    first = play.receive(content)
    before = play.counts()
    clock.forward(hours=3)
    again = play.receive(content)
    assert (again.outcome, again.acknowledgement) == ("duplicate", first.acknowledgement)
    assert again.case_id == first.case_id
    assert play.counts() == before
    assert play.rows(tables.message)[0]["duplicates"] == 1


def test_a_known_message_in_a_new_bundle_gets_the_first_response(play: Stage):
    number = str(uuid.uuid4())
    first = play.receive(play.message(ADMITTED, message_id=number))
    before = play.counts()
    again = play.receive(play.message(ADMITTED, message_id=number))
    assert (again.outcome, again.acknowledgement) == ("duplicate", first.acknowledgement)
    assert play.counts() == before


def test_another_message_under_a_known_id_is_no_duplicate_and_is_not_lost(play: Stage):
    number = str(uuid.uuid4())
    first = play.receive(play.message(ADMITTED, message_id=number))
    other = play.message(READY, message_id=number)
    done = play.receive(other)
    assert (done.outcome, done.code, done.acknowledgement) == ("quarantined", "id-reused", None)
    assert content_of(play, done.message_row) == other
    assert [a["kind"] for a in play.rows(tables.alarm)] == ["quarantined"]
    again = play.receive(other)
    assert (again.outcome, again.message_row) == ("duplicate", done.message_row)
    assert play.receive(play.message(ADMITTED, message_id=number)).message_row == first.message_row
    released = play.write(lambda tx: play.built.inbox.release(tx, done.message_row, play.clock(), by="Kari"))
    assert (released.outcome, released.code) == ("quarantined", "id-reused")


def test_the_same_id_for_another_patient_is_no_duplicate(play: Stage):
    number = str(uuid.uuid4())
    play.receive(play.plo(READY, message_id=number))
    done = play.receive(play.plo(READY, message_id=number, subject=TORBJORN))
    assert (done.outcome, done.code, done.acknowledgement) == ("quarantined", "id-reused", None)


@pytest.mark.parametrize("kind", [READY, NoticeKind.READINESS_WITHDRAWN, NoticeKind.DECEASED])
@pytest.mark.parametrize("hospital", ["laerdal-sjukehus", None])
def test_nobody_but_the_hospital_tells_what_happens_in_its_stay(play: Stage, kind, hospital):
    play.receive(play.message(ADMITTED, receivers=("sogndal",)))
    before = [dict(c) for c in play.rows(tables.case)]
    told = play.message(kind, sender="luster", receivers=("sogndal",), hospital=hospital)
    done = play.receive(told)
    if kind is NoticeKind.DECEASED and hospital is None:
        assert done.outcome == "accepted"  # a death at home is told by whoever knows of it
        return
    assert (done.outcome, done.code, done.acknowledgement) == ("quarantined", "not-its-stay", None)
    assert [dict(c) for c in play.rows(tables.case)] == before


@pytest.mark.parametrize("hospital", ["laerdal-sjukehus", None])
def test_nobody_but_its_hospital_and_municipality_close_a_stay(play: Stage, hospital):
    play.receive(play.message(ADMITTED, receivers=("sogndal",)))

    def close(sender: str, to: str):
        told = play.message(NoticeKind.CLOSED, sender=sender, receivers=(to,), hospital=hospital)
        done = play.receive(told)
        return done.outcome, done.code, [c["state"] for c in play.rows(tables.case)]

    assert close("luster", "sogndal") == ("quarantined", "not-its-stay", ["admitted"])
    assert close("sogndal", "laerdal-sjukehus") == ("accepted", None, ["closed"])


def test_nobody_closes_a_stay_that_nobody_has_told_of(play: Stage):
    told = play.message(NoticeKind.CLOSED, sender="luster", receivers=("laerdal-sjukehus",))
    assert play.receive(told).code == "not-its-stay"
    assert play.rows(tables.case) == []


def test_a_sender_is_written_with_its_own_identifiers_only(play: Stage):
    """Luster's number first and the hospital's second would be accepted as Luster and passed on as both."""
    content = json.loads(play.message(READY, sender="luster", receivers=("sogndal",)))
    theirs = json.loads(play.message(READY, receivers=("sogndal",)))
    sender = next(r for r in resources(content) if "814354" in json.dumps(r))
    borrowed = next(r for r in resources(theirs) if "814350" in json.dumps(r))
    sender["identifier"] = [*sender["identifier"], *borrowed["identifier"]]
    done = play.receive(json.dumps(content).encode())
    assert (done.outcome, done.code, done.acknowledgement) == ("refused", "forbidden", None)
    assert "luster and of laerdal-sjukehus" in done.reason


def resources(bundle) -> list[dict]:
    return [
        entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == "Organization"
    ]


def test_two_senders_may_use_the_same_id_and_their_receiver_gets_two(play: Stage, clock: StandingClock):
    number = str(uuid.uuid4())
    for sender, subject in (("laerdal-sjukehus", SYNNOVE), ("luster", TORBJORN)):
        kind = READY if sender == "laerdal-sjukehus" else NoticeKind.SERVICES_GRANTED
        hospital = sender if sender == "laerdal-sjukehus" else None
        made = play.message(kind, sender=sender, subject=subject, message_id=number, hospital=hospital)
        assert play.receive(made).outcome == "accepted"
    first, second = play.rows(tables.delivery)
    assert first["message_id"] == number
    assert second["message_id"] != number
    play.post.answer = answering(clock)
    play.deliver()
    assert [d["state"] for d in play.rows(tables.delivery, kind="ready-for-discharge")] == ["acknowledged"]
    assert [d["state"] for d in play.rows(tables.delivery, kind="services-granted")] == ["acknowledged"]


def test_a_sender_run_wild_does_not_lock_out_the_others(play: Stage, monkeypatch):
    monkeypatch.setattr("adapter.judging.MOST_A_DAY", 3)
    for _ in range(3):
        wild = play.message(NoticeKind.SERVICES_GRANTED, sender="luster", hospital=None)
        assert play.receive(wild).outcome == "accepted"
    wild = play.message(NoticeKind.SERVICES_GRANTED, sender="luster", hospital=None)
    assert play.receive(wild).code == "throttled"
    assert play.receive(play.message(ADMITTED)).outcome == "accepted"


def test_a_past_that_lies_ahead_is_held_and_a_person_may_let_it_pass(play: Stage, clock: StandingClock):
    ahead = clock() + timedelta(days=40)
    content = play.plo(ADMITTED, occurred=ahead, sent_at=clock())
    held = play.receive(content)
    assert (held.outcome, held.code, held.acknowledgement) == ("quarantined", "future", None)
    assert play.rows(tables.case) == []
    done = play.write(lambda tx: play.built.inbox.release(tx, held.message_row, clock(), by="Kari"))
    assert done.outcome == "accepted"
    assert [c["state"] for c in play.rows(tables.case)] == ["admitted"]


def test_a_bundle_id_that_was_used_for_another_message_is_refused(play: Stage):
    bundle = str(uuid.uuid4())
    play.receive(play.message(ADMITTED, transmission_id=bundle))
    done = play.receive(play.message(READY, transmission_id=bundle))
    assert (done.outcome, done.code) == ("refused", "duplicate")
    assert said(done.acknowledgement) == "fatal-error"
    assert len(play.rows(tables.delivery)) == 1


def test_a_kith_duplicate_gets_no_second_receipt(store_url: str, clock: StandingClock):
    play = stage(store_url, clock, of=board_only())
    content = play.plo(ADMITTED, receivers=("vik",))
    assert b"AppRec" in (play.receive(content).acknowledgement or b"")
    before = play.counts()
    again = play.receive(content)
    assert (again.outcome, again.acknowledgement, again.acknowledgement_type) == ("duplicate", None, None)
    assert play.counts() == before
    play.close()


def test_a_duplicate_of_what_is_in_quarantine_gets_no_answer(store_url: str, clock: StandingClock):
    play = stage(store_url, clock, of=without(region(), "vik"))
    whole = stage(store_url, clock)
    content = whole.message(ADMITTED, receivers=("vik",))
    assert play.receive(content).outcome == "quarantined"
    again = play.receive(content)
    assert (again.outcome, again.acknowledgement) == ("duplicate", None)
    assert len(play.rows(tables.message)) == len(play.rows(tables.alarm)) == 1
    play.close()
    whole.close()


def test_a_message_of_an_unknown_sender_is_held_once(store_url: str, clock: StandingClock):
    whole = stage(store_url, clock)
    play = stage(store_url, clock, of=without(region(), "laerdal-sjukehus"))
    content = whole.message(ADMITTED)
    assert play.receive(content).code == "unknown-sender"
    assert play.receive(content).outcome == "duplicate"
    assert [m["duplicates"] for m in play.rows(tables.message)] == [1]
    play.close()
    whole.close()


def test_two_senders_may_use_the_same_id(play: Stage):
    number = str(uuid.uuid4())
    play.receive(play.message(ADMITTED, message_id=number))
    done = play.receive(
        play.message(NoticeKind.ANSWER, sender="sogndal", receivers=("laerdal-sjukehus",), message_id=number)
    )
    assert done.outcome == "accepted"


# --- who may speak ------


def test_a_sender_that_is_not_of_the_partner_is_refused_and_kept(play: Stage):
    content = play.message(NoticeKind.ANSWER, sender="luster", receivers=("laerdal-sjukehus",))
    done = play.receive(content, partner=partner(play, "sogndal-drift"), channel="http")
    assert (done.outcome, done.code, done.acknowledgement) == ("refused", "forbidden", None)
    assert content_of(play, done.message_row) == content
    (row,) = play.rows(tables.message)
    assert (row["sender"], row["partner"]) == (None, "sogndal-drift")
    assert play.counts()["fact"] == play.counts()["delivery"] == 0


def test_a_partner_learns_nothing_of_what_others_have_sent(play: Stage):
    content = play.message(ADMITTED)
    first = play.receive(content, partner=partner(play, HOSPITAL_PARTNER))
    spy = play.receive(content, partner=partner(play, "sogndal-drift"))
    assert first.outcome == "accepted"
    assert (spy.outcome, spy.case_id, spy.acknowledgement) == ("refused", None, None)


def test_a_party_that_has_ended_is_its_successor(store_url: str):
    known = altered(region(), "leikanger", valid_to=date(2019, 12, 31), successor="sogndal")
    before = stage(store_url, StandingClock(), of=known)
    play = stage(store_url, StandingClock().__class__(at=before.clock().replace(year=2020)), of=known)
    done = play.receive(play.message(ADMITTED, receivers=("leikanger",)))
    assert done.outcome == "accepted"
    assert play.delivery()["party"] == "sogndal"
    before.receive(before.message(ADMITTED, receivers=("leikanger",)))
    assert play.delivery(2)["party"] == "leikanger"
    play.close()
    before.close()


def test_a_hosted_party_is_reached_at_its_host(play: Stage):
    play.receive(play.message(READY, receivers=("sogn-lms",)))
    assert (play.delivery()["party"], play.delivery()["endpoint"]) == ("sogn-lms", "laerdal")


def test_a_reservation_keeps_a_message_from_the_host(store_url: str, clock: StandingClock):
    play = stage(store_url, clock)
    done = play.receive(play.message(READY, receivers=("sogn-lms",), reserved=True))
    assert (done.outcome, done.code) == ("quarantined", "reserved")
    assert play.counts()["delivery"] == 0
    own = stage(store_url, clock, of=altered(region(), "sogn-lms", endpoint="vik"))
    released = own.write(lambda tx: own.built.inbox.release(tx, done.message_row, clock(), by="Marta"))
    assert released.outcome == "accepted"
    assert own.delivery()["endpoint"] == "vik"
    play.close()
    own.close()


# --- quarantine and release ------


@pytest.mark.parametrize("channel", ["http", "directory", "poll", "command-line"])
def test_what_was_held_is_released_once_the_region_is_right_and_gets_its_one_receipt(
    store_url: str, clock: StandingClock, channel: str
):
    whole = stage(store_url, clock, of=board_only())
    play = stage(store_url, clock, of=without(region(), "vik"))
    done = play.receive(whole.message(ADMITTED, receivers=("vik",)), channel=channel)
    assert (done.outcome, done.code, done.acknowledgement) == ("quarantined", "unknown-receiver", None)
    assert [a["kind"] for a in play.rows(tables.alarm, until=None)] == ["quarantined"]
    assert play.counts()["delivery"] == 0

    clock.forward(hours=2)
    released = whole.write(lambda tx: whole.built.inbox.release(tx, done.message_row, clock(), by="Marta"))
    assert released.outcome == "accepted"
    assert whole.rows(tables.alarm, until=None) == []
    assert [m["outcome"] for m in whole.rows(tables.message)] == ["released"]
    (sent,) = whole.rows(tables.delivery)
    assert (sent["kind"], sent["party"]) == ("receipt", "laerdal-sjukehus")
    with pytest.raises(NotFound):
        whole.write(lambda tx: whole.built.inbox.release(tx, done.message_row, clock(), by="Marta"))
    whole.close()
    play.close()


def test_a_held_receipt_that_was_taken_meanwhile_is_over(store_url: str, clock: StandingClock):
    whole = stage(store_url, clock)
    play = stage(store_url, clock, of=without(region(), "vik"))
    whole.receive(whole.message(ADMITTED, receivers=("vik",)))
    whole.deliver()
    given = receipt(whole.post.sent[0][1].content, Status.ACCEPTED, at=clock())
    held = play.receive(given)
    assert (held.outcome, held.code) == ("quarantined", "unknown-sender")
    whole.receive(given)
    done = whole.write(lambda tx: whole.built.inbox.release(tx, held.message_row, clock(), by="Marta"))
    assert done.outcome == "duplicate"
    assert whole.rows(tables.alarm, until=None) == []
    play.close()
    whole.close()


def test_release_before_the_cause_is_gone_changes_nothing(store_url: str, clock: StandingClock):
    whole = stage(store_url, clock)
    play = stage(store_url, clock, of=without(region(), "vik"))
    done = play.receive(whole.message(ADMITTED, receivers=("vik",)))
    before = play.counts()
    again = play.write(lambda tx: play.built.inbox.release(tx, done.message_row, clock(), by=None))
    assert (again.outcome, again.code) == ("quarantined", "unknown-receiver")
    assert play.counts() == before
    play.close()
    whole.close()


def test_a_refused_message_can_never_be_released(play: Stage):
    done = play.receive(b"<MsgHead xmlns='http://www.kith.no/xmlstds/msghead/2006-05-24'/>")
    assert done.outcome == "refused"
    with pytest.raises(NotFound, match="final"):
        play.write(lambda tx: play.built.inbox.release(tx, done.message_row, play.clock(), by="Marta"))


def test_a_held_message_that_was_taken_meanwhile_is_over_without_a_second_receipt(
    store_url: str, clock: StandingClock
):
    whole = stage(store_url, clock, of=board_only())
    play = stage(store_url, clock, of=without(board_only(), "laerdal-sjukehus"))
    content = whole.message(ADMITTED, receivers=("vik",))
    held = play.receive(content)
    whole.receive(content)
    done = whole.write(lambda tx: whole.built.inbox.release(tx, held.message_row, clock(), by="Marta"))
    assert (done.outcome, done.acknowledgement) == ("duplicate", None)
    assert whole.rows(tables.delivery) == []
    assert whole.rows(tables.alarm, until=None) == []
    play.close()
    whole.close()


# --- evaluation mode ------


def test_without_a_region_everybody_is_ours_and_production_is_refused(store_url: str, clock: StandingClock):
    region_ = stage(store_url, clock)
    play = stage(store_url, clock, evaluation=True)
    test_message = region_.plo(ADMITTED)
    done = play.receive(test_message)
    assert done.outcome == "accepted"
    assert b"AppRec" in done.acknowledgement
    real = region_.plo(ADMITTED).replace(b'V="D"', b'V="P"', 1)
    assert b'ProcessingStatus V="P"' in real
    refused = play.receive(real)
    assert (refused.outcome, refused.code) == ("refused", "X99")
    play.close()
    region_.close()


# --- parties ------


def test_for_a_board_of_ours_storing_is_the_receipt(store_url: str, clock: StandingClock):
    play = stage(store_url, clock, of=board_only())
    done = play.receive(play.message(READY, receivers=("vik",)))
    assert said(done.acknowledgement) == "ok"
    steps = [f["kind"] for f in play.rows(tables.fact)]
    assert sorted(steps) == ["accepted", "delivered", "ready-for-discharge"]
    assert [d["kind"] for d in play.rows(tables.deadline)] == ["answer", "payment-start"]
    assert play.rows(tables.delivery) == []
    play.close()


def test_our_own_taking_over_satisfies_no_deadline(play: Stage):
    play.receive(play.message(NoticeKind.CARE_NEEDS))
    play.receive(play.message(ADMITTED))
    assert {f["kind"] for f in play.rows(tables.fact)} == {"admitted", "care-needs"}
    assert [d["state"] for d in play.rows(tables.deadline, kind="early-notice")] == ["open"]


def test_several_receivers_each_get_a_copy_and_give_a_receipt_of_their_own(
    store_url: str, clock: StandingClock
):
    play = stage(
        store_url, clock, of=altered(board_only(), "luster", endpoint=None, receipt=ReceiptWhen.STORED)
    )
    done = play.receive(play.message(ADMITTED, receivers=("vik", "luster", "sogndal")))
    sent = [(d["kind"], d["party"]) for d in play.rows(tables.delivery)]
    assert sent == [("admitted", "sogndal"), ("receipt", "laerdal-sjukehus")]
    assert said(done.acknowledgement) == "ok"
    play.close()


def test_the_answer_of_a_municipality_refers_to_what_the_hospital_wrote(store_url: str, clock: StandingClock):
    play = stage(store_url, clock)
    ready = str(uuid.uuid4())
    play.receive(play.message(READY, receivers=("aardal",), message_id=ready))
    known_there = play.delivery()["message_id"]
    assert known_there != ready
    play.receive(
        play.message(
            NoticeKind.ANSWER, sender="aardal", receivers=("laerdal-sjukehus",), refers_to=known_there
        )
    )
    play.deliver()
    (to_hospital,) = [m for name, m in play.post.sent if name == "laerdal-sjukehus"]
    head = json.loads(to_hospital.content)["entry"][0]["resource"]
    assert ready in json.dumps(head["extension"])
    assert ready in play.rows(tables.fact, kind="answer")[0]["body"]
    play.close()


def test_a_correction_refers_to_the_id_under_which_each_receiver_knows_the_first(play: Stage):
    first = str(uuid.uuid4())
    play.receive(play.message(READY, receivers=("sogndal", "vik"), message_id=first))
    known = {d["party"]: d["message_id"] for d in play.rows(tables.delivery)}
    play.deliver()
    play.receive(play.message(READY, receivers=("sogndal",), standing=Standing.CORRECTION, refers_to=first))
    assert play.delivery(3)["refers_to"] == known["sogndal"] != first


# --- bad input ------


def bundle(play: Stage, kind: NoticeKind = ADMITTED, **more: object) -> dict:
    return json.loads(play.message(kind, **more))


def no_header(play: Stage) -> bytes:
    made = bundle(play)
    made["entry"] = made["entry"][1:]
    return json.dumps(made).encode()


def dangling(play: Stage) -> bytes:
    made = bundle(play)
    made["entry"][0]["resource"]["focus"] = [{"reference": "urn:uuid:00000000-0000-4000-8000-000000000000"}]
    return json.dumps(made).encode()


def unknown_event(play: Stage) -> bytes:
    made = bundle(play)
    made["entry"][0]["resource"]["eventCoding"]["code"] = "teleported"
    return json.dumps(made).encode()


def nul_in(path: str):
    def make(play: Stage) -> bytes:
        made = bundle(play)
        head = made["entry"][0]["resource"]
        if path == "id":
            head["id"] = head["id"][:-1] + "\0"
        elif path == "bundle":
            made["id"] = "a\0b"
        elif path == "identifier":
            for e in made["entry"]:
                for identifier in e["resource"].get("identifier", []):
                    identifier["value"] += "\0"
        else:
            head["eventCoding"]["code"] = "adm\0"
        return json.dumps(made).encode()

    return make


def long_id(play: Stage) -> bytes:
    content = play.plo(ADMITTED)
    start = content.index(b"<MsgId>") + 7
    return content[:start] + b"A" * 9000 + content[content.index(b"</MsgId>") :]


BAD = {
    "nothing": (lambda play: b"", "refused", "structure"),
    "not well-formed xml": (lambda play: play.plo(ADMITTED)[:-40], "refused", "T01"),
    "not well-formed json": (lambda play: play.message(ADMITTED)[:-2], "refused", "structure"),
    "doctype": (
        lambda play: play.plo(ADMITTED).replace(b"?>", b'?><!DOCTYPE x [<!ENTITY a "b">]>', 1),
        "refused",
        "T01",
    ),
    "doctype in fhir": (
        lambda play: b'<!DOCTYPE x><Bundle xmlns="http://hl7.org/fhir"/>',
        "refused",
        "security",
    ),
    "wrong namespace": (
        lambda play: play.plo(ADMITTED).replace(b"msghead/2006-05-24", b"msghead/1999-01-01"),
        "refused",
        None,
    ),
    "nul bytes": (lambda play: play.plo(ADMITTED).replace(b"<", b"<\0", 3), "refused", None),
    "nul in the id": (nul_in("id"), "refused", None),
    "nul in the bundle id": (nul_in("bundle"), "refused", None),
    "nul in identifiers": (nul_in("identifier"), "refused", None),
    "nul in the event": (nul_in("event"), "refused", None),
    "an endless id": (long_id, "refused", None),
    "unknown event": (unknown_event, "refused", "not-supported"),
    "no MessageHeader": (no_header, "refused", None),
    "dangling references": (dangling, "refused", None),
    "neither xml nor json": (lambda play: b"MSH|^~\\&|LAERDAL|", "refused", "structure"),
    "latin-1 declared as utf-8": (
        lambda play: play.plo(ADMITTED).replace("Lærdal".encode(), "Lærdal".encode("latin-1")),
        "refused",
        "T01",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_kept_byte_for_byte_with_a_reason(play: Stage, name: str):
    make, outcome, code = BAD[name]
    content = make(play)
    done = play.receive(content, channel="directory")
    assert done.outcome == outcome
    if code is not None:
        assert done.code == code
    assert len(done.reason) > 20
    assert "\0" not in done.reason
    assert content_of(play, done.message_row) == content
    (row,) = play.rows(tables.message)
    assert (row["outcome"], row["size"], row["reason"]) == (outcome, len(content), done.reason)
    assert play.counts()["fact"] == 0


def test_a_refused_message_whose_outside_is_legible_is_answered_in_its_own_dialect(play: Stage):
    done = play.receive(unknown_event(play), channel="http")
    assert said(done.acknowledgement) == "fatal-error"
    kith = play.plo(ADMITTED).replace(b"LOG_INNLAGT", b"LOG_INNBILT")
    refused = play.receive(kith)
    assert refused.outcome == "refused"
    assert b'<Status V="2"' in refused.acknowledgement
    assert f'V="{refused.code}"'.encode() in refused.acknowledgement


def test_latin_1_is_read_where_it_says_so(play: Stage):
    content = play.plo(ADMITTED).decode().replace("UTF-8", "ISO-8859-1", 1).replace("utf-8", "ISO-8859-1", 1)
    assert "ISO-8859-1" in content
    done = play.receive(content.encode("latin-1"))
    assert done.outcome == "accepted"
    assert content_of(play, done.message_row) == content.encode("latin-1")


def test_of_a_message_over_the_limit_head_hash_and_size_are_kept(play: Stage):
    whole = b"<" + b"x" * 200_000
    digest = hashlib.sha256(whole).hexdigest()
    done = play.receive(whole[:HEAD_KEPT], oversize=100_000_000, sha256=digest, channel="directory")
    assert (done.outcome, done.code) == ("refused", "too-long")
    (row,) = play.rows(tables.message)
    assert (row["size"], row["sha256"].hex()) == (100_000_000, digest)
    assert content_of(play, row["id"]) == whole[:HEAD_KEPT]


def test_a_message_from_the_future_waits_for_the_clocks(play: Stage, clock: StandingClock):
    content = play.message(ADMITTED, at=clock() + timedelta(hours=1))
    done = play.receive(content)
    assert (done.outcome, done.code) == ("quarantined", "future")
    (row,) = play.rows(tables.message)
    assert "sent 1:00 h from now" in row["reason"]
    clock.forward(hours=1)
    assert play.write(lambda tx: play.built.inbox.release(tx, 1, clock(), by=None)).outcome == "accepted"


def test_a_clock_that_is_a_little_ahead_does_not_make_the_sending_late(play: Stage, clock: StandingClock):
    done = play.receive(play.message(ADMITTED, at=clock() + timedelta(minutes=5)))
    assert done.outcome == "accepted"
    assert (clock() + timedelta(minutes=5)).isoformat() not in play.rows(tables.fact)[0]["body"].split(
        "occurred"
    )[0]


def test_a_message_without_receiver_is_not_lost(play: Stage):
    made = bundle(play)
    made["entry"][0]["resource"].pop("destination")
    done = play.receive(json.dumps(made).encode())
    assert done.outcome in ("quarantined", "refused")
    assert done.reason


def test_a_receipt_for_what_we_never_sent_waits_for_a_person(play: Stage):
    stranger = receipt(play.message(ADMITTED, receivers=("sogndal",)), Status.ACCEPTED, at=play.clock())
    done = play.receive(stranger)
    assert (done.outcome, done.code, done.acknowledgement) == ("quarantined", "unknown-original", None)


def test_a_mailbox_remembers_in_the_same_transaction(play: Stage):
    forbid(play, "delivery")
    with pytest.raises(StoreError):
        play.receive(play.message(ADMITTED), mailbox="in", key="k1", cursor="c1")
    assert play.rows(tables.mailbox_seen) == play.rows(tables.mailbox) == []


def test_reading_never_raises(play: Stage):
    for content in (b"\xff\xfe", b"{" * 10_000, b'{"resourceType":"Bundle","entry":[[]]}', b"\0" * 100):
        assert play.built.inbox.read(Incoming(content=content)).problem is not None


def test_what_happens_in_a_stay_is_not_told_by_a_municipality_of_itself(play: Stage):
    done = play.receive(play.plo(ADMITTED, sender="luster", receivers=("laerdal-sjukehus",), hospital=None))
    assert (done.outcome, done.code) == ("quarantined", "not-its-stay")
    assert play.rows(tables.case) == []
