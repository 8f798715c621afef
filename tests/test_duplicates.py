"""A message that has come before (D-04, D-05, T4): the same acknowledgement content in a new Bundle."""

import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from adapter.duplicates import MOST_WEIGHED
from adapter.fhir import wire
from adapter.fhir.validation import MAX_DESTINATIONS
from adapter.inbox import Acceptance
from adapter.mappings import medcom
from adapter.messaging.acknowledgement import Status
from adapter.store import tables
from tests.conftest import StandingClock
from tests.medcom import acknowledged, ids, notification, of_its_own, parsed, play_denmark
from tests.stage import Stage

HEADER, BUNDLE = "6f5b6a3e-0000-4000-8000-00000000000a", "6f5b6a3e-0000-4000-8000-00000000000b"
WRONG = "no-such-activity"  # which a receiver must refuse (D-11)

pytestmark = pytest.mark.postgres_in_soak


@pytest.fixture
def play(store_url: str, clock: StandingClock, tmp_path: Path) -> Iterator[Stage]:
    made = play_denmark(store_url, clock, tmp_path)
    yield made
    made.close()


def stin(play: Stage, *, header: str = HEADER, bundle: str = BUNDLE, **more: object) -> bytes:
    """Sydby Hospital, which is theirs, tells Beby Kommune, which reads on our board."""
    values: dict[str, object] = {"sender": "sydby", "receiver": "beby", "admitted": MORNING} | more
    return notification(play.clock, header_id=header, bundle_id=bundle, **values)  # type: ignore[arg-type]


MORNING = datetime.fromisoformat("2014-03-03T09:30:00+01:00")


def post(play: Stage, content: bytes) -> Acceptance:
    """Over HTTP, where the answer is awaited."""
    return play.receive(content, channel="http")


def mail(play: Stage, content: bytes) -> Acceptance:
    """Out of a mailbox, where the answer travels as a message of its own."""
    return play.receive(content, channel="directory")


def code(acknowledgement: bytes) -> str:
    return str(parsed(acknowledgement)["entry"][0]["resource"]["response"]["code"])


def alarms(play: Stage) -> list[str]:
    return [a["kind"] for a in play.rows(tables.alarm, until=None)]


def mailed(play: Stage) -> list[bytes]:
    """The acknowledgements that have left as messages, in order."""
    play.deliver()
    play.deliver()
    return [message.content for name, message in play.post.sent if name == "sydby"]


# --- the four combinations of ids ------


@pytest.mark.parametrize("xml", [False, True])
@pytest.mark.parametrize("bundle", [BUNDLE, "6f5b6a3e-0000-4000-8000-00000000000c"])
@pytest.mark.parametrize(("activity", "verdict"), [("admit-inpatient", "ok"), (WRONG, "fatal-error")])
def test_a_known_header_is_a_duplicate_and_gets_the_same_content_anew(
    play: Stage, clock: StandingClock, activity: str, verdict: str, bundle: str, xml: bool
):
    first = post(play, stin(play, activity=activity, xml=xml)).acknowledgement
    counts = play.counts()
    clock.forward(minutes=31)
    again = post(play, stin(play, activity=activity, bundle=bundle, xml=xml))
    assert again.outcome == "duplicate"
    second = again.acknowledgement
    assert first is not None and second is not None
    assert code(first) == code(second) == verdict
    assert (ids(first)[0] == ids(second)[0], ids(first)[1] == ids(second)[1]) == (False, True)
    assert of_its_own(first) == of_its_own(second)
    assert datetime.fromisoformat(parsed(second)["timestamp"]) == clock()
    own = [p for p in of_type(second, "Provenance") if ids(second)[1] in str(p["target"])]
    assert [datetime.fromisoformat(p["recorded"]) for p in own] == [clock()]
    assert counts | {"remembered": int(bundle != BUNDLE)} == play.counts()
    assert play.rows(tables.message)[0]["duplicates"] == 1


def of_type(content: bytes, name: str) -> list[dict[str, object]]:
    found = (item["resource"] for item in parsed(content)["entry"])
    return [one for one in found if one["resourceType"] == name]


@pytest.mark.parametrize(("activity", "verdict"), [("admit-inpatient", "ok"), (WRONG, "fatal-error")])
def test_a_known_bundle_with_another_header_is_an_error(
    play: Stage, clock: StandingClock, activity: str, verdict: str
):
    assert code(post(play, stin(play, activity=activity)).acknowledgement or b"") == verdict
    other = post(play, stin(play, header=str(uuid.uuid4()), activity="discharge-inpatient-home"))
    assert (other.outcome, other.code) == ("refused", "duplicate")
    assert code(other.acknowledgement or b"") == "fatal-error"
    assert "Bundle.id" in (other.acknowledgement or b"").decode()


def test_the_bundle_of_a_resend_is_known_too(play: Stage, clock: StandingClock):
    again = str(uuid.uuid4())
    post(play, stin(play))
    assert post(play, stin(play, bundle=again)).outcome == "duplicate"
    assert post(play, stin(play, bundle=again)).outcome == "duplicate"
    other = post(play, stin(play, bundle=again, header=str(uuid.uuid4()), activity="start-leave-inpatient"))
    assert (other.outcome, other.code) == ("refused", "duplicate")
    third = {"bundle": str(uuid.uuid4()), "header": str(uuid.uuid4()), "activity": "start-leave-inpatient"}
    assert post(play, stin(play, **third)).outcome == "accepted"


def test_a_message_of_which_both_are_new_is_taken(play: Stage, clock: StandingClock):
    post(play, stin(play))
    clock.forward(minutes=1)
    new = {"header": str(uuid.uuid4()), "bundle": str(uuid.uuid4()), "activity": "start-leave-inpatient"}
    assert post(play, stin(play, **new)).outcome == "accepted"


def test_positive_never_follows_negative(play: Stage, clock: StandingClock):
    """Who corrects a refused message must give it a new id; under the old one it gets the old answer."""
    assert code(post(play, stin(play, activity=WRONG)).acknowledgement or b"") == "fatal-error"
    right = post(play, stin(play, bundle=str(uuid.uuid4())))
    assert (right.outcome, code(right.acknowledgement or b"")) == ("duplicate", "fatal-error")
    assert play.rows(tables.case) == []
    assert code(post(play, stin(play, bundle="x", header=str(uuid.uuid4()))).acknowledgement or b"") == "ok"


def test_each_duplicate_has_a_bundle_of_its_own(play: Stage, clock: StandingClock):
    said = [post(play, stin(play)).acknowledgement for _ in range(4)]
    assert len({ids(one or b"")[0] for one in said}) == 4
    assert len({ids(one or b"")[1] for one in said}) == 1


# --- as a message of its own ------


@pytest.mark.parametrize(("activity", "verdict"), [("admit-inpatient", "ok"), (WRONG, "fatal-error")])
def test_what_travels_as_a_message_travels_again_in_a_new_bundle(
    play: Stage, clock: StandingClock, activity: str, verdict: str
):
    mail(play, stin(play, activity=activity))
    assert len(mailed(play)) == 1
    clock.forward(minutes=31)
    assert mail(play, stin(play, activity=activity, bundle=str(uuid.uuid4()))).outcome == "duplicate"
    first, second = mailed(play)
    assert code(first) == code(second) == verdict
    assert (ids(first)[0] == ids(second)[0], ids(first)[1] == ids(second)[1]) == (False, True)
    assert of_its_own(first) == of_its_own(second)
    assert [(d["kind"], d["sending"]) for d in play.rows(tables.delivery)] == [("receipt", 1), ("receipt", 2)]
    mail(play, stin(play))
    assert len({ids(one)[0] for one in mailed(play)}) == 3


def test_an_answer_that_has_not_left_yet_is_not_doubled(play: Stage):
    mail(play, stin(play))
    mail(play, stin(play))
    assert len(mailed(play)) == 1


def test_what_was_answered_directly_is_answered_by_mail_where_it_comes_by_mail(play: Stage):
    first = post(play, stin(play)).acknowledgement or b""
    mail(play, stin(play, bundle=str(uuid.uuid4())))
    (second,) = mailed(play)
    assert (ids(first)[0] == ids(second)[0], ids(first)[1] == ids(second)[1]) == (False, True)
    assert of_its_own(first) == of_its_own(second)


def test_an_acknowledgement_is_not_sent_again_by_itself(play: Stage, clock: StandingClock):
    mail(play, stin(play))
    assert len(mailed(play)) == 1
    for _ in range(3):
        clock.forward(minutes=31)
        play.write(lambda tx: play.outbox.missing_receipts(tx, clock()))
        assert len(mailed(play)) == 1


def test_by_hand_an_acknowledgement_goes_in_a_new_bundle(play: Stage, clock: StandingClock):
    mail(play, stin(play))
    (first,) = mailed(play)
    clock.forward(minutes=1)
    play.write(lambda tx: play.outbox.resend(tx, 1, clock(), by="Kari"))
    second = mailed(play)[-1]
    assert ids(first)[0] != ids(second)[0]
    assert of_its_own(first) == of_its_own(second)


# --- what its receiver's own system has said ------


def test_until_the_system_behind_us_has_spoken_a_duplicate_has_no_answer(play: Stage, clock: StandingClock):
    """Ceby Kommune has a system of its own, which alone can take a message over."""
    message = stin(play, receiver="ceby")
    assert post(play, message).acknowledgement is None
    play.deliver()
    assert post(play, message).acknowledgement is None
    (forwarded,) = [m.content for name, m in play.post.sent if name == "ceby"]
    play.receive(acknowledged(forwarded, Status.ACCEPTED, at=clock()))
    (first,) = mailed(play)
    again = post(play, message).acknowledgement or b""
    assert code(first) == code(again) == "ok"
    assert (ids(first)[0] == ids(again)[0], ids(first)[1] == ids(again)[1]) == (False, True)
    assert len([m for name, m in play.post.sent if name == "ceby"]) == 1


@pytest.mark.parametrize("way", [post, mail])
def test_what_a_person_has_sent_once_more_is_still_given_again_to_a_duplicate(
    play: Stage, clock: StandingClock, way: Callable[[Stage, bytes], Acceptance]
):
    """The receipt of the system behind us is a message of its own, and on its second sending by now."""
    message = stin(play, receiver="ceby")
    way(play, message)
    play.deliver()
    (forwarded,) = [m.content for name, m in play.post.sent if name == "ceby"]
    play.receive(acknowledged(forwarded, Status.ACCEPTED, at=clock()))
    (first,) = mailed(play)
    (receipt,) = play.rows(tables.delivery, kind="receipt")
    play.write(lambda tx: play.outbox.resend(tx, receipt["id"], clock(), by="Kari"))
    assert len(mailed(play)) == 2
    clock.forward(minutes=31)
    direct = way(play, stin(play, receiver="ceby", bundle=str(uuid.uuid4()))).acknowledgement
    again = direct or mailed(play)[2]
    assert code(again) == "ok" and of_its_own(again) == of_its_own(first)
    assert ids(again)[0] not in [ids(one)[0] for one in mailed(play)[:2]]


def test_between_two_of_theirs_the_receiver_s_word_is_given_again_unaltered(
    play: Stage, clock: StandingClock
):
    message = stin(play, receiver="aaby")
    mail(play, message)
    play.deliver()
    said = acknowledged(message, Status.ACCEPTED, at=clock())
    play.receive(said)
    mail(play, message)
    assert mailed(play) == [said]  # it was still on its way
    mail(play, stin(play, receiver="aaby", bundle=str(uuid.uuid4())))
    assert mailed(play) == [said, said]
    assert len([m for name, m in play.post.sent if name == "aaby"]) == 1


# --- what says something else ------


def test_another_message_under_a_known_id_is_a_duplicate_to_its_sender_and_kept_for_a_person(
    play: Stage, clock: StandingClock
):
    first = post(play, stin(play)).acknowledgement or b""
    for _ in range(2):
        other = stin(play, bundle=str(uuid.uuid4()), activity="discharge-inpatient-home")
        again = post(play, other)
        assert (again.outcome, code(again.acknowledgement or b"")) == ("duplicate", "ok")
        assert of_its_own(again.acknowledgement or b"") == of_its_own(first)
    assert alarms(play) == ["quarantined"]
    text = play.rows(tables.alarm)[0]["text"]
    assert "something else than message 1 under the same id" in text and "telephone the sender" in text
    (kept,) = play.rows(tables.message, outcome="quarantined")
    assert (kept["code"], kept["duplicates"]) == ("id-reused", 1)
    assert [c["state"] for c in play.rows(tables.case)] == ["admitted"]
    assert play.write(lambda tx: play.built.inbox.release(tx, kept["id"], clock(), by="Kari")).outcome == (
        "quarantined"
    )


def test_a_sender_that_never_changes_its_id_costs_no_more_with_each_message(
    play: Stage, clock: StandingClock, monkeypatch: pytest.MonkeyPatch
):
    post(play, stin(play))
    for minutes in range(MOST_WEIGHED + 5):
        admitted = MORNING - timedelta(minutes=1 + minutes)
        post(play, stin(play, bundle=str(uuid.uuid4()), admitted=admitted))
    assert len(play.rows(tables.message, outcome="quarantined")) == MOST_WEIGHED + 5  # nothing is lost
    read: list[bytes] = []
    understood = medcom.read

    def counted(content: bytes, **more: object) -> object:
        read.append(content)
        return understood(content, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(medcom, "read", counted)
    post(play, stin(play, bundle=str(uuid.uuid4()), admitted=MORNING - timedelta(days=1)))
    assert len(read) == 2 + MOST_WEIGHED  # itself, the first one, and the newest that were kept


def test_our_own_fhir_gets_the_first_answer_to_the_byte_as_ever(play: Stage, clock: StandingClock):
    from adapter.discharge.notices import NoticeKind

    message = play.message(NoticeKind.ADMITTED, sender="nordby", receivers=("beby",), hospital="nordby")
    first = post(play, message).acknowledgement
    clock.forward(minutes=31)
    assert first is not None and wire.media_type(first) == wire.JSON
    assert post(play, message).acknowledgement == first


# --- what addresses one receiver again and again ------


def test_a_message_with_more_receivers_than_any_may_have_is_not_answered_in_the_name_of_each(play: Stage):
    """Else a megabyte of the same destination would be thousands of acknowledgements."""
    bundle = parsed(stin(play))
    head = bundle["entry"][0]["resource"]
    head["destination"] *= MAX_DESTINATIONS + 1
    done = mail(play, wire.to_json(bundle))
    assert (done.outcome, done.acknowledgement) == ("refused", None)
    assert play.rows(tables.delivery) == []
