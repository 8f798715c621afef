"""In time for the telephone a person is told whom to call about what, also where nothing has ever left."""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import insert

from adapter.config import Settings, load_region
from adapter.discharge.notices import NoticeKind, Standing
from adapter.errors import ConfigurationError
from adapter.messaging.acknowledgement import Status
from adapter.messaging.delivery import Reply
from adapter.store import deliveries, tables
from tests.conftest import StandingClock
from tests.stage import REGION, Stage, altered, answering, failing, receipt, region, stage, taken

pytestmark = pytest.mark.postgres_in_soak

ADMITTED, NEEDS = NoticeKind.ADMITTED, NoticeKind.CARE_NEEDS
NUMBER = "+47 57 66 00 00"
NEVER_RESTS = Settings.model_validate({"retry": {"rest_after": 1000}})


@pytest.fixture
def play(store_url: str, clock: StandingClock) -> Iterator[Stage]:
    """Sogndal has a telephone number in the region file."""
    made = stage(store_url, clock, of=altered(region(), "sogndal", telephone=NUMBER), settings=NEVER_RESTS)
    yield made
    made.close()


def tell(play: Stage, kind: NoticeKind, party: str = "sogndal", **more: object) -> str:
    number = str(uuid.uuid4())
    done = play.receive(play.message(kind, receivers=(party,), message_id=number, **more))
    assert done.outcome == "accepted"
    return number


def early_notice(play: Stage, party: str = "sogndal") -> str:
    """The admission has been told; the early notice is due within 24 hours of it, and waits."""
    tell(play, ADMITTED, party)
    play.deliver()
    return tell(play, NEEDS, party)


def look(play: Stage) -> int:
    return play.write(lambda tx: play.outbox.missing_receipts(tx, play.clock()))


def hours(play: Stage, clock: StandingClock, count: float, *, sending: bool = False) -> None:
    """Let them go by in steps of ten minutes, with the looks."""
    until = clock() + timedelta(hours=count)
    while clock() < until:
        clock.forward(minutes=10)
        if sending:
            play.deliver()
        look(play)


def urgent(play: Stage, **more: object) -> list[str]:
    found = play.rows(tables.alarm, kind="delivery-urgent", **more)
    return [a["text"] for a in found]


def bring(play: Stage, clock: StandingClock, why: str) -> None:
    """What keeps the early notice from leaving."""
    match why:
        case "backing-off":
            play.post.answer = failing(503)
        case "paused":
            play.write(lambda tx: deliveries.pause(tx, "sogndal", clock(), "Kari"))
        case "resting":
            values = {"endpoint": "sogndal", "failures": 9, "since": clock(), "resting_since": clock()}
            play.write(lambda tx: tx.execute(insert(tables.endpoint_health).values(values)))
        case "parked":
            why_not = "parked behind delivery 1, to which it refers"
            play.write(lambda tx: deliveries.change(tx, 2, next_attempt_at=None, error=why_not))
        case "no-endpoint":
            play.write(lambda tx: deliveries.change(tx, 2, endpoint=None, next_attempt_at=None))
        case "given-up":
            play.post.answer = failing(400, error="HTTP 400: not understood")
        case "refused":
            play.post.answer = answering(clock, Status.REFUSED)


WHY = {
    "backing-off": "times in vain",
    "paused": "the endpoint sogndal is paused",
    "resting": "the endpoint sogndal is resting",
    "parked": "parked behind delivery 1",
    "no-endpoint": "no endpoint is configured",
    "given-up": "it was given up (HTTP 400",
    "refused": "it was refused (E10",
}


@pytest.mark.parametrize("why", WHY)
def test_four_hours_before_the_deadline_a_person_is_told_whom_to_call_about_what(
    play: Stage, clock: StandingClock, why: str
):
    early_notice(play)
    bring(play, clock, why)
    sending = why in ("backing-off", "given-up", "refused")
    hours(play, clock, 19.8, sending=sending)
    assert urgent(play) == []
    hours(play, clock, 0.4, sending=sending)
    (text,) = urgent(play, until=None)
    assert WHY[why] in text
    for part in (
        "Sogndal kommune",
        f"({NUMBER})",
        "care needs",
        "2014-03-04 10:00 (Europe/Oslo)",
        "delivery 2",
    ):
        assert part in text
    assert "telephone" in text
    hours(play, clock, 3, sending=sending)
    assert len(urgent(play)) == 1


def test_it_ends_with_the_receipt(play: Stage, clock: StandingClock):
    early_notice(play)
    play.post.answer = failing(503)
    hours(play, clock, 21, sending=True)
    assert len(urgent(play, until=None)) == 1
    play.post.answer = taken()
    clock.forward(hours=1)
    assert "sent" in play.deliver()
    assert len(urgent(play, until=None)) == 1  # only sent
    play.receive(receipt(play.post.sent[-1][1].content, at=clock()))
    assert urgent(play, until=None) == []


def test_what_was_sent_at_last_has_no_second_alarm(play: Stage, clock: StandingClock):
    early_notice(play)
    play.post.answer = failing(503)
    hours(play, clock, 21, sending=True)
    play.post.answer = taken()
    clock.forward(minutes=40)
    play.deliver()
    hours(play, clock, 2)
    assert play.rows(tables.alarm, kind="receipt-urgent") == []
    assert "it has left, and no receipt has come" in urgent(play, until=None)[0]


def test_it_ends_when_the_deadline_is_met_in_another_way(play: Stage, clock: StandingClock):
    early_notice(play)
    play.write(lambda tx: deliveries.pause(tx, "sogndal", clock(), "Kari"))
    hours(play, clock, 20.5)
    assert len(urgent(play, until=None)) == 1
    play.receive(play.message(NoticeKind.NO_MUNICIPAL_NEED, receivers=("sogndal",)))
    hours(play, clock, 0.5)
    assert urgent(play, until=None) == []


def test_a_person_closes_it_and_it_does_not_come_again(play: Stage, clock: StandingClock):
    early_notice(play)
    play.write(lambda tx: deliveries.pause(tx, "sogndal", clock(), "Kari"))
    hours(play, clock, 20.5)
    (alarm,) = play.rows(tables.alarm, kind="delivery-urgent")
    close = play.outbox.alarms.close
    play.write(lambda tx: close(tx, alarm["id"], clock(), by="Kari", why="told by telephone"))
    hours(play, clock, 2)
    assert urgent(play, until=None) == []
    assert len(urgent(play)) == 1


def test_giving_up_by_hand_ends_it(play: Stage, clock: StandingClock):
    early_notice(play)
    play.write(lambda tx: deliveries.pause(tx, "sogndal", clock(), "Kari"))
    hours(play, clock, 20.5)
    play.write(lambda tx: play.outbox.give_up(tx, 2, clock(), by="Kari"))
    hours(play, clock, 2)
    assert urgent(play, until=None) == []


def test_it_stays_while_the_deadline_is_missed_and_ends_when_it_is_met_late(
    play: Stage, clock: StandingClock
):
    early_notice(play)
    play.write(lambda tx: deliveries.pause(tx, "sogndal", clock(), "Kari"))
    hours(play, clock, 26)
    assert len(urgent(play, until=None)) == 1


def test_a_deadline_that_begins_later_is_seen(play: Stage, clock: StandingClock):
    play.write(lambda tx: deliveries.pause(tx, "sogndal", clock(), "Kari"))
    tell(play, NEEDS)
    tell(play, ADMITTED)
    hours(play, clock, 20.5)
    assert len(urgent(play, until=None)) == 1


def test_nobody_is_called_about_what_no_deadline_wants(play: Stage, clock: StandingClock):
    play.write(lambda tx: deliveries.pause(tx, "sogndal", clock(), "Kari"))
    number = tell(play, NoticeKind.PLANNED_DISCHARGE)
    tell(play, NoticeKind.NOTE, refers_to=number)
    hours(play, clock, 30)
    assert urgent(play) == []
    assert [d["look_at"] for d in play.rows(tables.delivery)] == [None, None]


def test_what_never_leaves_is_not_called_about(play: Stage, clock: StandingClock):
    number = early_notice(play)
    tell(play, NEEDS, refers_to=number, standing=Standing.CANCELLATION)
    assert [d["look_at"] for d in play.rows(tables.delivery)][1:] == [None, None]
    hours(play, clock, 23)
    assert urgent(play) == []


def test_how_early_is_a_setting(store_url: str, clock: StandingClock):
    settings = Settings(telephone_before=timedelta(hours=8))
    play = stage(store_url, clock, settings=settings)
    early_notice(play)
    play.write(lambda tx: deliveries.pause(tx, "sogndal", clock(), "Kari"))
    hours(play, clock, 15.5)
    assert urgent(play) == []
    hours(play, clock, 1)
    assert len(urgent(play)) == 1
    play.close()


def test_the_number_may_be_the_address_register_s(store_url: str, clock: StandingClock):
    from adapter.messaging.communication_party import (
        CommunicationParty,
        ElectronicAddress,
        PartyKind,
        written,
    )
    from adapter.store import address_register

    play = stage(store_url, clock)
    known = CommunicationParty(
        her_id="8143550",
        kind=PartyKind.ORGANISATION,
        name="SOGNDAL KOMMUNE",
        display_name=None,
        active=True,
        receives=True,
        valid_from=None,
        valid_to=None,
        parent_her_id=None,
        parent_name=None,
        parent_organisation_number=None,
        organisation_number=None,
        municipality=None,
        electronic=(ElectronicAddress(kind="E_TLF", address="57 62 96 00", inherited=False),),
    )
    document = written(known)
    play.write(lambda tx: address_register.keep(tx, "r", "8143550", fetched_at=clock(), document=document))
    early_notice(play)
    play.write(lambda tx: deliveries.pause(tx, "sogndal", clock(), "Kari"))
    hours(play, clock, 20.5)
    assert "(57 62 96 00)" in urgent(play)[0]
    play.close()


def test_the_waits_shorten_as_the_deadline_comes_near(play: Stage, clock: StandingClock):
    early_notice(play)
    play.post.answer = failing(503)
    due = play.delivery(2)["created_at"] + timedelta(hours=24)
    waits = []
    while clock() < due:
        play.deliver()
        waiting = play.delivery(2)["next_attempt_at"] - clock()
        waits.append((due - clock(), waiting))
        clock.at = play.delivery(2)["next_attempt_at"]
    assert max(wait for _, wait in waits) == timedelta(hours=3)
    assert all(wait <= max(left / 4, timedelta(seconds=30)) for left, wait in waits)
    play.deliver()
    assert play.delivery(2)["next_attempt_at"] - clock() == timedelta(hours=3)


def test_the_reply_that_asks_us_to_wait_is_heard(play: Stage, clock: StandingClock):
    early_notice(play)
    clock.forward(hours=23, minutes=50)
    play.post.answer = lambda _m, _e: Reply(status=503, retry_after=1800)
    play.deliver()
    assert play.delivery(2)["next_attempt_at"] - clock() == timedelta(minutes=30)


def test_what_ours_tell_ours_is_the_same(play: Stage, clock: StandingClock):
    """A reissue has its own time, and the closed one none."""
    early_notice(play)
    play.post.answer = failing(400, error="HTTP 400: not understood")
    play.deliver()
    play.write(lambda tx: play.built.inbox.reissue(tx, 2, clock(), to=None, by="Kari"))
    assert play.delivery(2)["look_at"] is None
    assert play.delivery(3)["look_at"] is not None
    assert replace(play.outbox.telephoning).before == timedelta(hours=4)


def test_the_region_file_may_name_the_number(tmp_path):
    text = REGION.read_text().replace('id = "sogndal"', f'id = "sogndal"\ntelephone = "{NUMBER}"', 1)
    (tmp_path / "region.toml").write_text(text)
    party = load_region(tmp_path / "region.toml").register_.party("sogndal")
    assert party is not None and party.telephone == NUMBER
    (tmp_path / "region.toml").write_text(text.replace(NUMBER, "ring Kari"))
    with pytest.raises(ConfigurationError, match="telephone"):
        load_region(tmp_path / "region.toml")
