"""The reservation against passing on (ForbeholdOmVideresending): only the addressed receiver has it."""

import re
import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest

from adapter.discharge.notices import NoticeKind
from adapter.errors import NotFound
from adapter.fhir.bundles import with_extension
from adapter.fhir.wire import parse, to_json
from adapter.messaging.register import ReceiptWhen
from adapter.store import shown, tables
from tests.apprecs import receipts, with_copy
from tests.conftest import StandingClock
from tests.stage import Stage, altered, region, stage
from tests.subscriber import subscriber
from tests.test_subscriptions import send, staged, subscribed

READY = NoticeKind.READY_FOR_DISCHARGE


@pytest.fixture
def play(store_url: str, clock: StandingClock) -> Iterator[Stage]:
    made = stage(store_url, clock)
    yield made
    made.close()


def parties(play: Stage) -> list[str]:
    return [d["party"] for d in play.rows(tables.delivery) if d["kind"] != "receipt"]


def history(play: Stage) -> list[str]:
    return [h["what"] for h in play.rows(tables.history)]


def with_a_copy_to_vik(content: bytes) -> bytes:
    """The copy receiver is another organisation: Vik, which is ours."""
    copied = with_copy(content, service="8143571").decode()
    found = re.search(r"<OtherReceiver>.*?</OtherReceiver>", copied, re.S)
    assert found is not None
    return copied.replace(found.group(), found.group().replace("8143550", "8143570")).encode()


def test_the_addressed_receiver_gets_it(play: Stage):
    assert play.receive(play.message(READY, reserved=True)).outcome == "accepted"
    assert parties(play) == ["sogndal"]


def test_a_copy_receiver_does_not_and_its_receipt_says_why(play: Stage):
    number = str(uuid.uuid4())
    content = with_a_copy_to_vik(play.plo(READY, message_id=number, reserved=True))
    assert play.receive(content, channel="directory").outcome == "accepted"
    assert parties(play) == ["sogndal"]
    assert receipts(play) == [(number, "COP", "8143571", "2")]
    assert any("not passed on to vik: the patient has reserved" in what for what in history(play))
    (case,) = play.rows(tables.case)
    assert case["municipality"] == "sogndal"


def test_without_a_reservation_the_copy_receiver_gets_it(play: Stage):
    play.receive(with_a_copy_to_vik(play.plo(READY)), channel="directory")
    assert parties(play) == ["sogndal", "vik"]


def test_another_service_of_the_addressed_party_is_no_other_party(store_url: str, clock: StandingClock):
    play = stage(store_url, clock, of=altered(region(), "sogndal", endpoint=None, receipt=ReceiptWhen.STORED))
    play.receive(with_copy(play.plo(READY, reserved=True)), channel="directory")
    assert [status for *_, status in receipts(play)] == ["1", "1"]
    play.close()


def test_a_copy_in_our_own_messages_neither(play: Stage):
    """FHIR marks the copy receiver by an extension of its destination."""
    content = play.message(READY, receivers=("sogndal", "vik"), reserved=True)
    bundle = parse(content)
    with_extension(bundle["entry"][0]["resource"]["destination"][1], "copy-receiver", "Boolean", True)
    assert play.receive(to_json(bundle)).outcome == "accepted"
    assert parties(play) == ["sogndal"]


def test_a_host_does_not_get_it(play: Stage):
    """Sogn lokalmedisinske senter is served by Lærdal's system."""
    held = play.receive(play.plo(READY, receivers=("sogn-lms",), reserved=True))
    assert (held.outcome, held.code) == ("quarantined", "reserved")
    assert parties(play) == []


def test_what_waits_for_an_endpoint_does_not_go_to_the_host_that_is_named_later(
    store_url: str, clock: StandingClock
):
    play = stage(
        store_url, clock, of=altered(region(), "sogndal", endpoint=None, receipt=ReceiptWhen.DELIVERED)
    )
    play.receive(play.message(READY, reserved=True))
    play.receive(play.message(READY))
    assert [d["endpoint"] for d in play.rows(tables.delivery)] == [None, None]
    hosted = altered(region(), "sogndal", endpoint=None, hosted_by="luster").register_
    outbox = replace(play.outbox, register=hosted)
    assert play.write(lambda tx: outbox.find_endpoints(tx, clock())) == 1
    assert [d["endpoint"] for d in play.rows(tables.delivery)] == [None, "luster"]
    play.close()


def test_no_subscriber_is_told(store_url: str, clock: StandingClock):
    with subscriber() as sogndal, subscriber() as luster:
        play = staged(store_url, clock, sogndal, luster)
        subscribed(play, sogndal)
        before = len(play.rows(tables.delivery, kind="subscription"))
        play.receive(play.message(READY, reserved=True))
        assert len(play.rows(tables.delivery, kind="subscription")) == before
        play.receive(play.message(READY))
        assert len(play.rows(tables.delivery, kind="subscription")) == before + 1
        send(play)
        play.close()


def test_a_person_cannot_reissue_it_to_somebody_else(play: Stage, clock: StandingClock):
    play.receive(play.message(READY, reserved=True))
    inbox = play.built.inbox
    for party in ("vik", "aardal"):
        with pytest.raises(NotFound, match="reserved against passing on, so only sogndal"):
            play.write(lambda tx, to=party: inbox.reissue(tx, 1, clock(), to=to, by="Kari"))
    assert parties(play) == ["sogndal"]
    play.write(lambda tx: inbox.reissue(tx, 1, clock(), to=None, by="Kari"))
    assert parties(play) == ["sogndal", "sogndal"]


def test_it_is_said_of_the_case(play: Stage):
    done = play.receive(play.message(READY, reserved=True))
    with play.built.store.read() as tx:
        document = shown.case(tx, play.rows(tables.case)[0])
    assert document["id"] == done.case_id
    assert document["reserved"] is True
    assert [n["reserved"] for n in document["notices"]] == [True]


@pytest.mark.parametrize("dialect", ["plo-1.5", "plo-1.6"])
def test_it_is_written_for_the_receiver_in_its_dialect(play: Stage, dialect: str):
    party = {"plo-1.5": "leikanger", "plo-1.6": "aardal"}[dialect]
    play.receive(play.message(READY, receivers=(party,), reserved=True))
    play.deliver()
    assert b"ForbeholdOmVideresending>true<" in play.post.sent[0][1].content
