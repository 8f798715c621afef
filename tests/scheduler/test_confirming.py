"""What the message server says of a posted message becomes facts, each once, and what failed is told."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapter.discharge.notices import NoticeKind
from adapter.messaging.register import Side
from adapter.simulator.message_server import Ordered, PretendServer
from adapter.store import tables
from tests.conftest import StandingClock
from tests.message_servers import NURSING, Exchange, at_the_server, exchange

K = NoticeKind


@pytest.fixture
def place(tmp_path: Path, clock: StandingClock) -> Iterator[Exchange]:
    with exchange(tmp_path, clock) as made:
        yield made


@pytest.fixture
def on_either_store(store_url: str, tmp_path: Path, clock: StandingClock) -> Iterator[Exchange]:
    with exchange(tmp_path, clock, store_url) as made:
        yield made


def only(found: Any) -> Any:
    (one,) = found
    return one


def evidence(place: Exchange) -> list[str]:
    """The steps that the case has learned, in order."""
    kinds = ("sent", "delivered", "accepted", "refused", "not-received")
    return [row["kind"] for row in place.stage.rows(tables.fact) if row["kind"] in kinds]


def alarms(place: Exchange, kind: str) -> list[str]:
    return [row["text"] for row in place.stage.rows(tables.alarm, kind=kind) if row["until"] is None]


def away(place: Exchange) -> str:
    """A message to Årdal, whose system does not confirm; the server's id of it."""
    place.server.away.add(NURSING)
    place.send(K.ADMITTED)
    return str(only(place.server.holds))


def without_mail(place: Exchange) -> Any:
    """The look of an adapter that fetches no mail there, to which no document comes."""
    return replace(place.job("confirm nhn"), fetches=False)


def test_five_times_are_kept_apart(on_either_store: Exchange, clock: StandingClock) -> None:
    place = on_either_store
    number, look = away(place), place.job("confirm nhn")
    sent_at = place.stage.delivery()["sent_at"]
    clock.forward(minutes=2)
    assert look() == 1
    row = place.stage.delivery()
    assert (row["state"], row["delivered_at"], evidence(place)) == ("sent", None, [])

    place.server.settle(number, NURSING, "Acknowledged")
    delivered = clock.forward(minutes=3)
    look()
    row = place.stage.delivery()
    assert (row["state"], row["delivered_at"], row["accepted_at"]) == ("sent", delivered, None)
    assert evidence(place) == ["delivered"]

    place.server.holds[number].receivers[NURSING].receipt = "Ok"
    look()  # its document may still come
    assert place.stage.delivery()["state"] == "sent"
    accepted = clock.forward(minutes=5)
    look()
    row = place.stage.delivery()
    assert (row["state"], row["accepted_at"]) == ("acknowledged", accepted)
    assert (row["sent_at"], row["delivered_at"]) == (sent_at, delivered)
    assert evidence(place) == ["delivered", "accepted"]
    assert look() == 0  # nothing is awaited any more


def test_taken_with_errors_is_taken(place: Exchange) -> None:
    number = away(place)
    place.server.holds[number].receivers[NURSING].receipt = "OkErrorInMessagePart"
    without_mail(place)()
    assert place.stage.delivery()["state"] == "acknowledged"


def test_a_refusal_is_told_with_the_receiver_s_reasons(place: Exchange) -> None:
    number = away(place)
    there = place.server.holds[number].receivers[NURSING]
    there.state, there.receipt = "Acknowledged", "Rejected"
    there.errors = [{"errorCode": "E35", "details": "Ukjend hos oss"}]
    without_mail(place)()
    row = place.stage.delivery()
    assert (row["state"], evidence(place)) == ("refused", ["delivered", "refused"])
    assert "E35 Pasienten finnes ikke i mottakersystemet: Ukjend hos oss" in only(alarms(place, "refused"))


def test_a_refusal_whose_reasons_cannot_be_read_now_is_told_with_them_later(place: Exchange) -> None:
    number = away(place)
    there = place.server.holds[number].receivers[NURSING]
    there.receipt, there.errors = "Rejected", [{"errorCode": "E21", "details": "Nedlagd"}]
    place.server.order(Ordered.ERROR, "GET", "/apprec")
    job = without_mail(place)
    job()
    assert place.stage.delivery()["state"] == "sent"
    job()
    assert "Nedlagd" in only(alarms(place, "refused"))


def test_the_document_of_a_receipt_says_when_it_was_given(place: Exchange, clock: StandingClock) -> None:
    place.send(K.ADMITTED)
    given = clock.forward(minutes=1)
    place.server.give(only(place.server.holds), NURSING, "Ok")
    clock.forward(minutes=4)
    place.confirm()
    clock.forward(minutes=1)
    assert place.poll() == 1
    assert place.stage.delivery()["accepted_at"] == given
    assert place.confirm() == 0
    assert evidence(place) == ["delivered", "accepted"]


def test_the_document_of_a_receipt_that_is_known_already_is_no_news(place: Exchange) -> None:
    place.send(K.ADMITTED)
    place.server.give(only(place.server.holds), NURSING, "Ok")
    without_mail(place)()
    assert place.poll() == 1
    assert evidence(place) == ["delivered", "accepted"]
    assert place.stage.rows(tables.alarm) == []


def test_what_the_transport_has_rejected_a_person_is_told_of(place: Exchange, clock: StandingClock) -> None:
    place.server.rejecting.add(NURSING)
    place.send(K.ADMITTED)
    place.confirm()
    assert place.stage.delivery()["state"] == "given-up"
    assert f"could not deliver it to HER-id {NURSING} (Rejected)" in only(alarms(place, "given-up"))
    assert evidence(place) == ["not-received"]

    clock.forward(hours=1)
    place.server.give(next(iter(place.server.holds)), NURSING, "Ok")  # it got there in the end
    assert place.poll() == 1
    assert place.stage.delivery()["state"] == "acknowledged"
    assert alarms(place, "given-up") == []


def given_up(place: Exchange, clock: StandingClock, how: str) -> str:
    """A message to Årdal that the server could not get through; the server's id of it."""
    (place.server.rejecting if how == "Rejected" else place.server.away).add(NURSING)
    place.send(K.ADMITTED)
    clock.forward(hours=97 if how == "no receipt" else 73)
    if how == "no receipt":  # its side has it and stays silent (N-02)
        place.server.settle(only(place.server.holds), NURSING, "Acknowledged")
        place.stage.write(lambda tx: place.stage.outbox.missing_receipts(tx, clock()))
    else:
        without_mail(place)()
    assert place.stage.delivery()["state"] == "given-up"
    return str(only(place.server.holds))


@pytest.mark.parametrize("how", ["Rejected", "Unconfirmed", "no receipt"])
def test_a_receipt_of_what_was_given_up_is_asked_for_where_no_mail_brings_it(
    place: Exchange, clock: StandingClock, how: str
) -> None:
    place.server.give(given_up(place, clock, how), NURSING, "Ok")  # it got there in the end
    came = clock.forward(hours=1)
    look = without_mail(place)
    assert look() == 1
    row = place.stage.delivery()
    assert (row["state"], row["accepted_at"], evidence(place)[-1]) == ("acknowledged", came, "accepted")
    assert alarms(place, "given-up") == alarms(place, "not-received") == []
    assert look() == 0


def test_a_late_refusal_of_what_was_given_up_is_told_with_its_reasons(
    place: Exchange, clock: StandingClock
) -> None:
    number = given_up(place, clock, "Unconfirmed")
    place.server.give(number, NURSING, "Rejected", {"errorCode": "E21", "details": "Nedlagd"})
    without_mail(place)()
    assert place.stage.delivery()["state"] == "refused"
    assert "Nedlagd" in only(alarms(place, "refused"))


def test_what_was_given_up_is_asked_about_for_ten_days_and_told_of_once(
    place: Exchange, clock: StandingClock
) -> None:
    number, look = given_up(place, clock, "Rejected"), without_mail(place)
    look()
    before = place.stage.built.store.writer.commits
    assert [look(), look()] == [1, 1]
    del place.server.holds[number]  # the server keeps it no longer, which is nobody's task
    assert look() == 1
    assert place.stage.built.store.writer.commits == before
    assert (evidence(place), alarms(place, "mailbox")) == (["not-received"], [])
    clock.forward(days=7)
    assert look() == 0


def test_nothing_is_posted_again_while_the_server_itself_tries(place: Exchange, clock: StandingClock) -> None:
    away(place)
    for _ in range(9):
        clock.forward(hours=8)
        place.stage.write(lambda tx: place.stage.outbox.missing_receipts(tx, clock()))
        place.stage.deliver()
        place.confirm()
    assert len(place.server.requests("POST", "/Messages")) == 1
    assert "telephone the receiver" in only(alarms(place, "receipt-missing"))  # long before
    assert place.stage.delivery()["state"] == "sent"

    clock.forward(minutes=1)
    place.confirm()
    assert place.stage.delivery()["state"] == "given-up"
    assert "within 72 h (Unconfirmed)" in only(alarms(place, "given-up"))
    assert alarms(place, "receipt-missing") == []


def test_a_person_s_resend_is_asked_about_under_its_new_number(place: Exchange, clock: StandingClock) -> None:
    away(place)
    place.confirm()
    clock.forward(hours=70)
    place.stage.write(lambda tx: place.stage.outbox.resend(tx, 1, clock(), by="Solveig"))
    assert place.stage.deliver() == ["sent"]
    clock.forward(hours=3)
    place.confirm()
    assert place.stage.delivery()["state"] == "sent"  # 72 hours from the second posting
    first, second = place.server.holds
    place.server.settle(second, NURSING, "Acknowledged")
    place.confirm()
    assert place.stage.delivery()["delivered_at"] == clock()
    asked = [one.path for one in place.server.requests("GET", "/status")]
    assert asked == [f"/Messages/{number}/status" for number in (first, second, second)]


def test_a_look_is_bounded_and_the_next_goes_on(place: Exchange) -> None:
    place.server.away.add(NURSING)
    for number in range(5):
        place.send(K.ADMITTED, encounter=f"LS-{number}")
        place.stage.deliver()
    job = place.job("confirm nhn")
    job.most = 2
    assert [job() for _ in range(4)] == [2, 2, 1, 2]
    asked = [one.path for one in place.server.requests("GET", "/status")]
    assert len(set(asked)) == 5 and len(asked) == 7


def test_a_server_that_is_away_is_an_alarm_until_it_answers(place: Exchange) -> None:
    away(place)
    job = place.job("confirm nhn")
    place.server.order(Ordered.BUSY, "GET", "/status")
    job()
    said = only(alarms(place, "mailbox"))
    assert "what became of posted messages cannot be asked: delivery 1" in said and "HTTP 503" in said
    job()
    assert alarms(place, "mailbox") == []


def test_a_look_that_finds_nothing_new_costs_no_commit(place: Exchange) -> None:
    number = away(place)
    job = place.job("confirm nhn")
    job()
    place.server.settle(number, NURSING, "Acknowledged")
    job()
    before = place.stage.built.store.writer.commits
    assert [job() for _ in range(3)] == [1, 1, 1]
    assert place.stage.built.store.writer.commits == before


def test_between_two_of_theirs_only_the_receipt_s_own_document_goes_back(
    tmp_path: Path, clock: StandingClock
) -> None:
    def relayed(server: PretendServer) -> Any:
        known = at_the_server(server)
        register = known.register_
        parties = tuple(
            replace(p, side=Side.THEIRS, endpoint="leikanger") if p.id == "laerdal-sjukehus" else p
            for p in register.parties
        )
        return known.model_copy(update={"register_": replace(register, parties=parties)})

    with exchange(tmp_path, clock, of=relayed) as place:
        place.stage.receive(place.stage.plo(K.ADMITTED, receivers=("aardal",)), channel="directory")
        place.stage.deliver()
        number = only(place.server.holds)
        document = place.server.give(number, NURSING, "Ok")
        without_mail(place)()
        row = place.stage.delivery()
        assert (row["state"], row["delivered_at"] is not None) == ("sent", True)
        assert place.poll() == 1
        place.stage.deliver()
        (back,) = [sent for name, sent in place.stage.post.sent if name == "leikanger"]
        assert back.content == place.server.holds[document].business.content
