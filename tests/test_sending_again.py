"""Sending again as MedCom wants it (D-02, D-03, D-06): a retry keeps its bytes, a resend is a new sending."""

import hashlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from adapter.discharge.notices import NoticeKind
from adapter.erasing import erase
from adapter.errors import ConfigurationError
from adapter.fhir import wire
from adapter.mappings import medcom
from adapter.messaging.acknowledgement import Issue, Status
from adapter.restoring import Restoring
from adapter.stays import _receipt
from adapter.store import deliveries, restored, shown, tables
from tests.conftest import StandingClock
from tests.medcom import (
    KARLA,
    acknowledged,
    acknowledging,
    denmark,
    ids,
    notification,
    of_its_own,
    parsed,
    play_denmark,
)
from tests.stage import Stage, failing, taken

OK, LATER, NO = Status.ACCEPTED, Status.NOT_NOW, Status.REFUSED

pytestmark = pytest.mark.postgres_in_soak


@pytest.fixture
def play(store_url: str, clock: StandingClock, tmp_path: Path) -> Iterator[Stage]:
    made = play_denmark(store_url, clock, tmp_path)
    yield made
    made.close()


def tell(play: Stage, **more: object) -> None:
    """Nordby Hospital, which is ours, tells Aaby Kommune, which is theirs, of an admission."""
    assert play.receive(notification(play.clock, **more)).outcome == "accepted"  # type: ignore[arg-type]


def sent(play: Stage) -> list[bytes]:
    return [message.content for _, message in play.post.sent]


def look(play: Stage, clock: StandingClock, minutes: float = 31) -> None:
    """The time goes by, the clock looks for receipts, and what is due leaves."""
    clock.forward(minutes=minutes)
    play.write(lambda tx: play.outbox.missing_receipts(tx, clock()))
    play.deliver()


def say(play: Stage, status: Status, at: datetime, of: int = -1, **more: object) -> str:
    """The receiver's acknowledgement comes as a message of its own."""
    made = acknowledged(sent(play)[of], status, at=at, **more)  # type: ignore[arg-type]
    return play.receive(made).outcome


def alarms(play: Stage) -> list[str]:
    return [a["kind"] for a in play.rows(tables.alarm, until=None)]


# --- retries and resends ------


def test_a_retry_is_the_same_sending_to_the_byte(play: Stage, clock: StandingClock):
    tell(play)
    play.post.answer = failing(503)
    play.deliver()
    clock.forward(seconds=3)
    play.post.answer = taken()
    play.deliver()
    first, second = sent(play)
    assert first == second
    assert play.delivery()["sending"] == 1
    assert [a["sending"] for a in play.rows(tables.attempt)] == [1, 1]


def test_without_an_acknowledgement_in_30_minutes_it_is_sent_anew(play: Stage, clock: StandingClock):
    tell(play)
    play.deliver()
    look(play, clock, 29)
    assert len(sent(play)) == 1
    look(play, clock, 2)
    first, second = sent(play)
    assert ids(first)[0] != ids(second)[0]
    assert ids(first)[1] == ids(second)[1]
    assert datetime.fromisoformat(parsed(second)["timestamp"]) == clock()
    assert of_its_own(first) == of_its_own(second)
    row = play.delivery()
    assert (row["sending"], row["state"]) == (2, "sent")
    tries = [(a["sending"], a["content_hash"]) for a in play.rows(tables.attempt)]
    assert tries == [(n, hashlib.sha256(c).digest()) for n, c in ((1, first), (2, second))]


def test_a_retry_of_a_resend_keeps_the_bytes_of_the_resend(play: Stage, clock: StandingClock):
    tell(play)
    play.deliver()
    play.post.answer = failing(None, error="connection reset")
    look(play, clock)
    clock.forward(minutes=1)
    play.post.answer = taken()
    play.deliver()
    first, second, third = sent(play)
    assert second == third != first
    assert [a["sending"] for a in play.rows(tables.attempt)] == [1, 2, 2]


def test_by_itself_it_is_sent_again_twice_and_then_a_person_is_told(play: Stage, clock: StandingClock):
    tell(play)
    play.deliver()
    for _ in range(5):
        look(play, clock)
    assert len({ids(content)[0] for content in sent(play)}) == len(sent(play)) == 3
    assert len({ids(content)[1] for content in sent(play)}) == 1
    assert alarms(play) == ["receipt-missing"]
    assert "telephone the receiver" in play.rows(tables.alarm, kind="receipt-missing")[0]["text"]
    assert play.delivery()["state"] == "sent"


@pytest.mark.parametrize(
    ("lines", "times"), [("resends = 3", 4), ("resends = 0", 1), ('resend = "by-hand"', 1)]
)
def test_how_often_and_whether_by_itself_is_a_setting_of_the_endpoint(
    store_url: str, clock: StandingClock, tmp_path: Path, lines: str, times: int
):
    play = play_denmark(store_url, clock, tmp_path, aaby=lines)
    tell(play)
    play.deliver()
    for _ in range(6):
        look(play, clock)
    assert len(sent(play)) == times
    assert alarms(play) == ["receipt-missing"]
    play.close()


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ("resends = -1", "resends"),
        ('resend = "sometimes"', "resend = 'sometimes' is not one of automatic, by-hand"),
        ('resends = 2\nresend = "by-hand"', "leave it out"),
    ],
)
def test_a_setting_that_means_nothing_is_refused(tmp_path: Path, lines: str, why: str):
    with pytest.raises(ConfigurationError, match=why):
        denmark(tmp_path, aaby=lines)


def test_who_dies_between_sending_and_recording_is_followed_by_the_same_bytes(
    play: Stage, clock: StandingClock
):
    tell(play)
    (leased,) = play.claim()
    play.outbox.send(leased)
    clock.forward(minutes=5)
    play.write(lambda tx: deliveries.free_leases(tx, clock()))
    play.deliver()
    first, second = sent(play)
    assert first == second


def test_an_attempt_keeps_the_hash_of_what_left_whatever_has_been_scheduled_meanwhile(
    play: Stage, clock: StandingClock
):
    tell(play)
    (leased,) = play.claim()
    reply = play.outbox.send(leased)
    assert say(play, LATER, clock()) == "accepted"  # quicker than our own record
    play.write(lambda tx: play.outbox.record(tx, leased, reply, clock()))
    row = play.delivery()
    assert (row["sending"], row["state"]) == (2, "waiting")
    (attempt,) = play.rows(tables.attempt)
    assert (attempt["sending"], attempt["content_hash"]) == (1, hashlib.sha256(sent(play)[0]).digest())
    with play.built.store.read() as tx:
        (document,) = shown.deliveries(tx, [row])
    (tried,) = document["attempts"]
    assert (document["sending"], tried["sending"]) == (2, 1)
    assert tried["sha256"] == hashlib.sha256(sent(play)[0]).hexdigest()


def test_what_we_have_written_ourselves_is_sent_again_alike(play: Stage, clock: StandingClock):
    """Nordby's system tells it in our own FHIR, and Aaby reads MedCom."""
    told = play.message(
        NoticeKind.ADMITTED, sender="nordby", receivers=("aaby",), hospital="nordby", subject=KARLA
    )
    assert play.receive(told).outcome == "accepted"
    play.deliver()
    look(play, clock)
    first, second = sent(play)
    assert (ids(first)[0] == ids(second)[0], ids(first)[1] == ids(second)[1]) == (False, True)
    assert of_its_own(first) == of_its_own(second)


def test_after_a_restore_it_is_asked_about_in_a_new_sending(play: Stage, clock: StandingClock):
    tell(play)
    play.deliver()
    told = restored.Restored(at=clock(), of=clock() - timedelta(hours=1))
    play.write(lambda tx: restored.mark(tx, told))
    known = {"folders": (), "message_servers": (), "partners": ()}
    done = Restoring(store=play.built.store, outbox=play.outbox, clock=play.clock, **known)()
    assert done is not None and done.asked_again == 1
    play.deliver()
    first, second = sent(play)
    assert (ids(first)[0] == ids(second)[0], ids(first)[1] == ids(second)[1]) == (False, True)


# --- by hand ------


def by_hand(play: Stage) -> None:
    play.write(lambda tx: play.outbox.resend(tx, 1, play.clock(), by="Kari"))


def test_what_had_left_is_a_new_sending_when_a_person_sends_it_again(play: Stage, clock: StandingClock):
    tell(play)
    play.deliver()
    clock.forward(minutes=5)
    by_hand(play)
    by_hand(play)  # pressed twice, before it has left
    assert play.deliver() == ["sent"]
    first, second = sent(play)
    assert (ids(first)[0] == ids(second)[0], ids(first)[1] == ids(second)[1]) == (False, True)
    assert play.delivery()["sending"] == 2


def test_what_had_not_left_keeps_its_bytes_when_a_person_sends_it(play: Stage):
    tell(play)
    play.post.answer = failing(503)
    play.deliver()
    by_hand(play)
    play.post.answer = taken()
    play.deliver()
    first, second = sent(play)
    assert first == second
    assert play.delivery()["sending"] == 1


def test_a_resend_that_is_taken_back_leaves_the_sending_as_it_was(play: Stage, clock: StandingClock):
    tell(play)
    play.deliver()
    before = play.delivery()
    clock.forward(minutes=5)
    by_hand(play)
    play.write(lambda tx: play.outbox.take_back(tx, 1, clock(), by="Kari"))
    after = play.delivery()
    assert (after["payload"], after["sending"], after["state"]) == (before["payload"], 1, "sent")


def test_erasing_takes_the_bytes_of_every_sending(play: Stage, clock: StandingClock):
    tell(play)
    play.deliver()
    look(play, clock)
    by_hand(play)
    play.write(lambda tx: play.outbox.take_back(tx, 1, clock(), by="Kari"))
    assert len([p for p in play.rows(tables.payload) if b"Karla" in p["content"]]) == 2
    look(play, clock)
    say(play, OK, clock())
    play.write(lambda tx: erase(tx, play.outbox, 1, clock(), by="Kari", why="filed on the wrong person"))
    assert not [p for p in play.rows(tables.payload) if b"Karla" in p["content"]]
    assert len(play.rows(tables.attempt)) == 3


# --- what the receiver says ------


def test_transient_error_is_waiting_for_retry_and_then_a_new_sending(play: Stage, clock: StandingClock):
    tell(play)
    play.post.answer = acknowledging(clock, LATER, OK)
    play.deliver()
    row = play.delivery()
    assert (row["state"], row["next_attempt_at"]) == ("waiting", clock() + timedelta(minutes=30))
    clock.forward(minutes=31)
    play.deliver()
    first, second = sent(play)
    assert (ids(first)[0] == ids(second)[0], ids(first)[1] == ids(second)[1]) == (False, True)
    assert play.delivery()["state"] == "acknowledged"
    assert alarms(play) == []


def test_a_receiver_that_says_transient_error_for_ever_is_left_to_a_person(play: Stage, clock: StandingClock):
    tell(play)
    play.post.answer = acknowledging(clock, LATER)
    for _ in range(6):
        play.deliver()
        clock.forward(minutes=31)
    assert len(sent(play)) == 3
    assert play.delivery()["state"] == "given-up"
    assert alarms(play) == ["given-up"]
    play.post.answer = acknowledging(clock, OK)
    play.write(lambda tx: play.outbox.take_up(tx, 1, clock(), by="Kari"))
    play.deliver()
    assert ids(sent(play)[-1])[0] != ids(sent(play)[-2])[0]
    assert play.delivery()["state"] == "acknowledged"
    assert alarms(play) == []


def test_where_only_people_resend_they_are_told_of_transient_error_at_once(
    store_url: str, clock: StandingClock, tmp_path: Path
):
    play = play_denmark(store_url, clock, tmp_path, aaby='resend = "by-hand"')
    tell(play)
    play.post.answer = acknowledging(clock, LATER, OK)
    play.deliver()
    assert (play.delivery()["state"], alarms(play)) == ("given-up", ["given-up"])
    by_hand(play)
    play.deliver()
    assert (play.delivery()["state"], play.delivery()["sending"], alarms(play)) == ("acknowledged", 2, [])
    play.close()


def test_a_doubled_transient_error_changes_nothing(play: Stage, clock: StandingClock):
    tell(play)
    play.deliver()
    said = clock()
    assert say(play, LATER, said) == "accepted"
    before = play.delivery()
    clock.forward(minutes=10)
    for moment in (said, clock()):  # under another id, while the next sending waits; also a newer one
        assert say(play, LATER, moment) == "accepted"
    assert dict(play.delivery()) == dict(before)
    clock.forward(minutes=21)
    play.deliver()
    assert say(play, LATER, said, of=0) == "accepted"  # late, about the first sending
    assert (play.delivery()["state"], play.delivery()["sending"]) == ("sent", 2)


def test_fatal_error_is_not_sent_again_and_a_person_is_told(play: Stage, clock: StandingClock):
    tell(play)
    play.deliver()
    why = (Issue(code="MSG_Receiver_Identifier_UNKNOWN", text="ukendt modtager"),)
    say(play, NO, clock(), issues=why)
    for _ in range(3):
        look(play, clock)
    assert len(sent(play)) == 1
    assert play.delivery()["state"] == "refused"
    assert alarms(play) == ["refused"]
    assert "MSG_Receiver_Identifier_UNKNOWN" in play.delivery()["error"]


def shown_on_the_stay(play: Stage) -> str:
    """What the hospital's list of stays says of its notice."""
    with play.built.store.read() as tx:
        case = play.rows(tables.case)[0]
        ((_, folded),) = play.outbox.cases.folded(tx, case["patient"])
    (entry,) = folded.entries
    (receipt,) = (_receipt(entry, party, {}) for party in entry.notice.receivers)
    return receipt.way.value


@pytest.mark.parametrize(("first", "then"), [(OK, NO), (NO, OK)])
def test_a_late_newer_acknowledgement_replaces_what_is_shown(
    play: Stage, clock: StandingClock, first: Status, then: Status
):
    tell(play)
    play.deliver()
    start = clock()
    clock.forward(minutes=5)
    say(play, first, start + timedelta(minutes=1))
    clock.forward(minutes=1)
    say(play, then, start + timedelta(minutes=2))
    row = play.delivery()
    shown = {OK: ("acknowledged", []), NO: ("refused", ["refused"])}
    assert (row["state"], alarms(play)) == shown[then]
    assert (row["accepted_at"] is not None) == (then is OK)
    assert shown_on_the_stay(play) == ("accepted" if then is OK else "refused")
    notes = [h["what"] for h in play.rows(tables.history)]
    assert f"Aaby Kommune first said {first}, now {then}; the newer one holds" in notes


@pytest.mark.parametrize(("first", "then"), [(OK, NO), (NO, OK)])
def test_an_older_one_that_comes_later_replaces_nothing(
    play: Stage, clock: StandingClock, first: Status, then: Status
):
    tell(play)
    play.deliver()
    start = clock()
    clock.forward(minutes=5)
    say(play, first, start + timedelta(minutes=2))
    before = (play.delivery()["state"], alarms(play))
    say(play, then, start + timedelta(minutes=1))
    assert (play.delivery()["state"], alarms(play)) == before


def test_one_out_of_the_future_does_not_silence_those_that_come_after_it(play: Stage, clock: StandingClock):
    """The clock that wrote `ok` was a month ahead; set right, it says that nothing was taken."""
    tell(play)
    play.deliver()
    say(play, OK, clock() + timedelta(days=30))
    assert play.delivery()["state"] == "acknowledged"
    clock.forward(minutes=5)
    say(play, NO, clock())
    assert (play.delivery()["state"], alarms(play)) == ("refused", ["refused"])


def test_a_clock_that_is_a_little_ahead_keeps_its_own_order(play: Stage, clock: StandingClock):
    tell(play)
    play.deliver()
    start = clock()
    say(play, NO, start + timedelta(minutes=8))
    clock.forward(minutes=1)
    say(play, OK, start + timedelta(minutes=7))
    assert play.delivery()["state"] == "refused"


def of_the_network(message: bytes, at: datetime, kind: str = "NegativeVans") -> bytes:
    """A receipt of VANS from Aaby Kommune's side, for what Nordby Hospital has sent."""
    return f"""<VANSEnvelope xmlns="urn:oio:medcom:vans-envelope:1.0.4">
    <SenderID EndPointType="EAN">5790000000035</SenderID>
    <ReceiverID EndPointType="EAN">5790000000011</ReceiverID>
    <EnvelopeIdentifier>{kind}</EnvelopeIdentifier><SentDateTime>{at.isoformat()}</SentDateTime><Receipt><{kind}>
    <OriginalMessage><Identifier>{ids(message)[1]}</Identifier></OriginalMessage></{kind}></Receipt>
    </VANSEnvelope>""".encode()


def test_a_resend_that_the_network_loses_does_not_take_back_what_the_receiver_has_said(
    play: Stage, clock: StandingClock
):
    tell(play)
    play.deliver()
    look(play, clock)
    say(play, OK, clock())
    clock.forward(minutes=5)
    play.receive(of_the_network(sent(play)[0], clock()))
    row = play.delivery()
    assert (row["state"], row["accepted_at"] is not None) == ("acknowledged", True)
    assert "contradicting-receipt" in alarms(play)  # a person asks which holds


def test_what_the_network_has_lost_counts_as_taken_once_the_receiver_says_so(
    play: Stage, clock: StandingClock
):
    tell(play)
    play.deliver()
    play.receive(of_the_network(sent(play)[0], clock()))
    assert play.delivery()["state"] == "refused"
    clock.forward(minutes=5)
    say(play, OK, clock())
    assert play.delivery()["state"] == "acknowledged"


def test_of_two_at_the_same_moment_the_first_stands_and_a_person_asks(play: Stage, clock: StandingClock):
    tell(play)
    play.deliver()
    said = clock()
    say(play, OK, said)
    say(play, NO, said)
    assert play.delivery()["state"] == "acknowledged"
    assert alarms(play) == ["contradicting-receipt"]


def test_a_doubled_acknowledgement_changes_nothing(play: Stage, clock: StandingClock):
    tell(play)
    play.deliver()
    assert say(play, OK, clock(), own_id="6f5b6a3e-0000-4000-8000-000000000001") == "accepted"
    before = play.delivery()
    clock.forward(minutes=1)
    assert say(play, OK, clock(), own_id="6f5b6a3e-0000-4000-8000-000000000001") == "duplicate"
    assert say(play, OK, clock()) == "accepted"  # and one more under another id
    assert dict(play.delivery()) == dict(before)
    assert alarms(play) == []


@pytest.mark.parametrize(("word", "then"), [(LATER, "waiting"), (NO, "refused")])
def test_an_acknowledgement_that_is_repeated_for_a_resend_is_its_answer(
    play: Stage, clock: StandingClock, word: Status, then: str
):
    """A receiver answers a duplicate with the same acknowledgement under its id, in a new Bundle (D-04)."""
    tell(play)
    play.deliver()
    first = acknowledged(sent(play)[0], word, at=clock())
    play.receive(first)
    clock.forward(minutes=31)
    by_hand(play)
    play.deliver()
    assert (play.delivery()["state"], play.delivery()["sending"]) == ("sent", 2)
    assert play.receive(first).outcome == "duplicate"  # the very same, late: about the first sending
    assert play.delivery()["state"] == "sent"
    clock.forward(minutes=1)
    assert play.receive(medcom.repeat(first, at=clock(), number=2)).outcome == "duplicate"
    assert play.delivery()["state"] == then


def test_one_that_comes_after_the_last_resend_still_counts(play: Stage, clock: StandingClock):
    tell(play)
    play.deliver()
    for _ in range(4):
        look(play, clock)
    assert say(play, OK, clock(), of=0) == "accepted"
    assert (play.delivery()["state"], alarms(play)) == ("acknowledged", [])


# --- who says it ------


def test_in_a_response_only_the_receiver_s_own_acknowledgement_counts(play: Stage, clock: StandingClock):
    def by_a_stranger(made: bytes) -> bytes:
        return made.replace(b"5790000000035", b"5790009999999").replace(b"1110000016003", b"9990000016003")

    tell(play)
    play.post.answer = acknowledging(clock, OK, giver=by_a_stranger)
    play.deliver()
    assert play.delivery()["state"] == "sent"
    assert alarms(play) == ["quarantined"]


def test_another_party_s_acknowledgement_counts_for_nothing(play: Stage, clock: StandingClock):
    tell(play)
    play.deliver()
    made = acknowledged(sent(play)[0], OK, at=clock())
    other = made.replace(b"5790000000035", b"5790000000028").replace(b"1110000016003", b"1110000016002")
    assert play.receive(other).outcome == "quarantined"
    assert play.delivery()["state"] == "sent"


def test_an_acknowledgement_is_never_acknowledged(play: Stage, clock: StandingClock):
    tell(play)
    play.deliver()
    made = acknowledged(sent(play)[0], OK, at=clock())
    for _ in range(2):
        assert play.receive(made).acknowledgement is None
        assert play.receive(made, channel="directory").acknowledgement is None
    assert [d["kind"] for d in play.rows(tables.delivery)] == ["admitted"]


def test_an_acknowledgement_under_the_bundle_id_of_another_is_held(play: Stage, clock: StandingClock):
    tell(play)
    play.deliver()
    made = acknowledged(sent(play)[0], LATER, at=clock())
    play.receive(made)
    clock.forward(minutes=1)
    other = parsed(acknowledged(sent(play)[0], OK, at=clock())) | {"id": ids(made)[0]}
    assert play.receive(wire.to_json(other)).outcome == "quarantined"
    assert play.delivery()["state"] == "waiting"


def test_between_two_of_theirs_only_the_sender_sends_again(play: Stage, clock: StandingClock):
    first = notification(clock, sender="sydby", header_id="6f5b6a3e-0000-4000-8000-000000000002")
    play.receive(first)
    play.deliver()
    look(play, clock)
    look(play, clock)
    assert sent(play) == [first]
    again = notification(
        clock,
        sender="sydby",
        header_id="6f5b6a3e-0000-4000-8000-000000000002",
        admitted=datetime.fromisoformat(parsed(first)["entry"][2]["resource"]["period"]["start"]),
    )
    assert play.receive(again).outcome == "duplicate"
    play.deliver()
    assert sent(play) == [first, again]
    assert play.delivery()["sending"] == 2


def test_between_two_of_theirs_transient_error_waits_for_the_sender(play: Stage, clock: StandingClock):
    play.receive(notification(clock, sender="sydby"))
    play.post.answer = acknowledging(clock, LATER)
    play.deliver()
    clock.forward(minutes=29)
    play.deliver()
    assert (len(sent(play)), play.delivery()["state"], alarms(play)) == (1, "sent", [])
    look(play, clock, 2)
    assert (len(sent(play)), alarms(play)) == (1, ["receipt-missing"])
