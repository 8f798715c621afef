"""Who speaks for whom: a receipt is the receiver's own promise, passed back once (HITS 1168 4.1)."""

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from adapter.discharge.notices import NoticeKind
from adapter.messaging.acknowledgement import Status
from adapter.messaging.delivery import Reply
from adapter.messaging.register import ReceiptWhen, Side
from adapter.store import alarms, deliveries, messages, tables
from tests.conftest import StandingClock
from tests.stage import Stage, altered, answering, receipt, region, stage

READY = NoticeKind.READY_FOR_DISCHARGE


@pytest.fixture
def play(store_url: str, clock: StandingClock) -> Iterator[Stage]:
    """Lærdal sjukehus is theirs and reads PLO 1.6; so is Årdal: between the two we only relay."""
    made = stage(store_url, clock, of=relaying())
    yield made
    made.close()


def relaying():
    known = altered(region(), "laerdal-sjukehus", side=Side.THEIRS)
    register = known.register_
    endpoints = tuple(
        replace(e, transport="directory", dialect="plo-1.6") if e.name == "laerdal-sjukehus" else e
        for e in register.endpoints
    )
    return known.model_copy(update={"register_": replace(register, endpoints=endpoints)})


def to(play: Stage, endpoint: str) -> list[bytes]:
    return [message.content for name, message in play.post.sent if name == endpoint]


def test_between_two_of_theirs_the_bytes_are_unaltered_and_we_give_no_receipt(play: Stage):
    content = play.plo(READY, receivers=("aardal",))
    done = play.receive(content, channel="directory")
    assert (done.outcome, done.acknowledgement) == ("accepted", None)
    assert play.deliver() == ["sent"]
    assert to(play, "aardal") == [content]
    assert to(play, "laerdal-sjukehus") == []


@pytest.mark.parametrize("status", [Status.ACCEPTED, Status.REFUSED])
def test_the_final_receipt_is_passed_back_once_and_unaltered(
    play: Stage, clock: StandingClock, status: Status
):
    content = play.plo(READY, receivers=("aardal",))
    play.receive(content, channel="directory")
    play.deliver()
    clock.forward(minutes=7)
    apprec = receipt(content, status, at=clock())
    for _ in range(2):
        play.receive(apprec, channel="directory")
        play.deliver()
    play.receive(receipt(content, status, at=clock()), channel="directory")
    play.deliver()
    assert to(play, "laerdal-sjukehus") == [apprec]
    state = {Status.ACCEPTED: "acknowledged", Status.REFUSED: "refused"}[status]
    assert play.delivery()["state"] == state


def test_a_relayed_message_is_never_rewritten(store_url: str, clock: StandingClock):
    play = stage(store_url, clock, of=altered(region(), "laerdal-sjukehus", side=Side.THEIRS))
    done = play.receive(play.message(READY, receivers=("aardal",)))
    assert (done.outcome, done.code) == ("quarantined", "relay")
    play.close()


def test_a_relayed_duplicate_is_not_sent_twice(play: Stage):
    content = play.plo(READY, receivers=("aardal",))
    play.receive(content, channel="directory")
    assert play.receive(content, channel="directory").outcome == "duplicate"
    play.deliver()
    assert len(to(play, "aardal")) == 1


def test_to_theirs_in_our_party_s_name_and_the_wait_for_their_receipt(store_url: str, clock: StandingClock):
    play = stage(store_url, clock)
    done = play.receive(play.message(READY, receivers=("aardal",)), channel="http")
    assert (done.outcome, done.acknowledgement) == ("accepted", None)  # nothing is said in Årdal's name
    play.deliver()
    (plo,) = to(play, "aardal")
    assert b"LOG_UTSKRIVNINGSKLAR" in plo
    assert b"8143501" in plo
    assert play.delivery()["state"] == "sent"
    assert [f["kind"] for f in play.rows(tables.fact)].count("accepted") == 0
    clock.forward(minutes=12)
    play.receive(receipt(plo, at=clock()), channel="directory")
    assert play.delivery()["accepted_at"] == clock()
    play.deliver()
    (told,) = to(play, "laerdal-sjukehus")
    head = json.loads(told)["entry"][0]["resource"]
    assert head["response"]["code"] == "ok"
    assert b"8143521" in told  # in Årdal's name
    play.close()


UNREAD = b"HENVISNING"


def unread(play: Stage, **more) -> bytes:
    """A PLO message of a type that we do not read."""
    content = play.plo(READY, **more)
    return content.replace(b"LOG_UTSKRIVNINGSKLAR", UNREAD)


def test_what_we_cannot_read_goes_on_unaltered_between_two_of_theirs(play: Stage):
    content = unread(play, receivers=("aardal",))
    done = play.receive(content, channel="directory")
    assert (done.outcome, done.acknowledgement, done.case_id) == ("accepted", None, None)
    assert "between two that are not ours" in done.reason
    assert play.deliver() == ["sent"]
    assert to(play, "aardal") == [content]
    assert to(play, "laerdal-sjukehus") == []


def test_the_final_receipt_of_what_we_could_not_read_is_passed_back_unaltered(
    play: Stage, clock: StandingClock
):
    read = play.plo(READY, receivers=("aardal",))
    play.receive(read.replace(b"LOG_UTSKRIVNINGSKLAR", UNREAD), channel="directory")
    play.deliver()
    apprec = receipt(read, at=clock()).replace(b"LOG_UTSKRIVNINGSKLAR", UNREAD)
    assert play.receive(apprec, channel="directory").outcome == "accepted"
    play.deliver()
    assert to(play, "laerdal-sjukehus") == [apprec]
    assert play.delivery()["state"] == "acknowledged"


def test_what_we_cannot_read_is_refused_in_the_name_of_ours_only(store_url: str, clock: StandingClock):
    """From one of ours to one of theirs nobody can be spoken for: no receipt, and nothing goes out."""
    play = stage(store_url, clock)
    done = play.receive(unread(play, receivers=("aardal",)), channel="http")
    assert (done.outcome, done.code, done.acknowledgement) == ("refused", "T10", None)
    to_ours = play.receive(unread(play, receivers=("sogndal",)), channel="http")
    assert (to_ours.outcome, to_ours.code) == ("refused", "T10")
    assert b'<Status V="2"' in to_ours.acknowledgement
    assert play.rows(tables.delivery) == []
    play.close()


def test_between_two_of_theirs_in_fhir_the_direct_answer_is_no_receipt(store_url: str, clock: StandingClock):
    known = altered(altered(region(), "laerdal-sjukehus", side=Side.THEIRS), "sogndal", side=Side.THEIRS)
    play = stage(store_url, clock, of=known)
    content = play.message(READY, receivers=("sogndal",))
    done = play.receive(content, channel="http")
    assert (done.outcome, done.acknowledgement) == ("accepted", None)
    play.deliver()
    assert to(play, "sogndal") == [content]
    play.close()


def test_of_ours_behind_us_its_own_system_gives_the_receipt(store_url: str, clock: StandingClock):
    play = stage(store_url, clock)
    done = play.receive(play.message(READY, receivers=("sogndal",)), channel="http")
    assert b"taken" in done.acknowledgement
    assert [f["kind"] for f in play.rows(tables.fact)] == ["ready-for-discharge"]
    play.post.answer = answering(clock)
    play.deliver()
    play.deliver()
    (passed_back,) = to(play, "laerdal-sjukehus")
    response = json.loads(passed_back)["entry"][0]["resource"]["response"]
    assert (response["code"], response["identifier"]) == ("ok", play.rows(tables.message)[0]["message_id"])
    play.close()


def test_a_refusal_is_passed_back_with_its_reason(store_url: str, clock: StandingClock):
    play = stage(store_url, clock)
    play.receive(play.plo(READY, receivers=("sogndal",)))
    play.post.answer = answering(clock, Status.REFUSED)
    play.deliver()
    (sent,) = play.rows(tables.delivery, kind="receipt")
    assert (sent["dialect"], sent["party"]) == ("plo-1.6", "laerdal-sjukehus")
    play.deliver()
    (passed_back,) = to(play, "laerdal-sjukehus")
    assert b'V="E10"' in passed_back
    assert b'<Status V="2"' in passed_back
    play.close()


def test_the_host_may_answer_for_the_party_that_it_hosts(store_url: str, clock: StandingClock):
    play = stage(store_url, clock)
    play.receive(play.message(READY, receivers=("sogn-lms",)))
    play.deliver()
    (content,) = to(play, "laerdal")
    as_host = receipt(content, at=clock()).replace(b"8143600", b"8143510")
    assert play.receive(as_host).outcome == "accepted"
    assert play.delivery()["state"] == "acknowledged"
    play.close()


def test_a_message_in_the_response_is_taken_for_the_party_that_was_asked(
    store_url: str, clock: StandingClock
):
    play = stage(store_url, clock)
    play.receive(play.message(READY, receivers=("sogndal",)))
    answer = play.message(NoticeKind.ANSWER, sender="sogndal", receivers=("laerdal-sjukehus",))
    forged = play.message(NoticeKind.ANSWER, sender="luster", receivers=("laerdal-sjukehus",))
    replies = iter([forged, answer])
    take = play.post.answer
    play.post.answer = lambda m, e: replace(
        take(m, e), body=next(replies), content_type="application/fhir+json"
    )
    play.deliver()
    play.receive(play.message(NoticeKind.DISCHARGED, receivers=("sogndal",)))
    play.deliver()
    assert [m["outcome"] for m in play.rows(tables.message, channel="reply")] == ["refused", "accepted"]
    assert [d["party"] for d in play.rows(tables.delivery, kind="answer")] == ["laerdal-sjukehus"]
    play.close()


def test_a_task_that_was_polled_is_passed_on_and_its_receipt_troubles_nobody(
    store_url: str, clock: StandingClock
):
    play = stage(store_url, clock)
    patient = next(
        e["resource"]
        for e in json.loads(play.message(READY))["entry"]
        if e["resource"]["resourceType"] == "Patient"
    )
    her = "urn:oid:2.16.578.1.12.4.1.2"
    task = {
        "resourceType": "Task",
        "id": "t1",
        "meta": {"versionId": "3", "lastUpdated": "2014-03-03T08:00:00Z"},
        "status": "rejected",
        "intent": "order",
        "for": {"reference": "Patient/p1"},
        "owner": {"type": "Organization", "identifier": {"system": her, "value": "8143550"}},
        "requester": {"type": "Organization", "identifier": {"system": her, "value": "8143500"}},
    }
    parts = [
        {"fullUrl": f"https://sogndal.example/{r['resourceType']}/{r['id']}", "resource": r}
        for r in (task, patient | {"id": "p1"})
    ]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": parts}
    done = play.receive(json.dumps(bundle).encode(), channel="poll")
    assert (done.outcome, done.acknowledgement) == ("accepted", None)
    play.post.answer = answering(clock)
    play.deliver()
    assert [(d["kind"], d["party"], d["state"]) for d in play.rows(tables.delivery)] == [
        ("answer", "laerdal-sjukehus", "acknowledged")
    ]
    play.close()


@pytest.mark.parametrize("channel", ["http", "directory"])
def test_a_receipt_given_on_storing_is_final_whatever_the_system_behind_says_later(
    store_url: str, clock: StandingClock, channel: str
):
    known = altered(region(), "sogndal", receipt=ReceiptWhen.STORED)
    play = stage(store_url, clock, of=known)
    done = play.receive(play.message(READY), channel=channel)
    assert done.acknowledgement is not None
    given = len(to(play, "laerdal-sjukehus"))
    play.post.answer = answering(clock, Status.REFUSED)
    while play.deliver():
        pass
    receipts = to(play, "laerdal-sjukehus")[given:]
    assert all(b"fatal-error" not in content for content in receipts)
    with play.built.store.read() as connection:
        assert [a["kind"] for a in alarms.listed(connection, open_only=True)] == ["refused"]
    play.close()


def test_an_answer_that_is_no_message_is_kept_for_a_person(store_url: str, clock: StandingClock):
    play = stage(store_url, clock)
    page = b"<html><body>We are closed for maintenance</body></html>"
    play.post.answer = lambda _message, _endpoint: Reply(
        status=200, taken=True, delivered=True, body=page, content_type="text/html"
    )
    play.receive(play.message(READY), channel="http")
    assert play.deliver() == ["sent"]
    with play.built.store.read() as connection:
        (held,) = messages.held(connection)
        assert (held["outcome"], held["code"]) == ("quarantined", "odd-answer")
        assert messages.content(connection, held["payload"]) == page
        (row,) = deliveries.listed(connection)
        assert (row["state"], row["accepted_at"]) == ("sent", None)
    play.close()
