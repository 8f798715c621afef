"""The deliverer: a fault of ours is told and counted, and delivery goes on."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Connection
from structlog.testing import capture_logs

from adapter.discharge.notices import NoticeKind
from adapter.messaging.delivery import Leased, Reply
from adapter.messaging.resting import Health
from adapter.outbox import Outbox
from adapter.scheduler import delivering
from adapter.scheduler.delivering import Deliverer
from adapter.store import deliveries, endpoint_health, tables
from tests.conftest import StandingClock
from tests.stage import Stage, stage, taken

BODY = "Fjellheim, Ola 13116900216"


@pytest.fixture
def play(store_url: str, clock: StandingClock) -> Iterator[Stage]:
    made = stage(store_url, clock)
    yield made
    made.close()


class FaultyOutbox(Outbox):
    """An outbox whose first look, or whose sending to one party, runs into a fault that nobody foresaw."""

    def send(self, leased: Leased) -> Reply:
        if leased.party == "vik":
            raise KeyError(BODY)
        return super().send(leased)


def faulty(play: Stage) -> Stage:
    outbox = FaultyOutbox(**{name: getattr(play.outbox, name) for name in play.outbox.__dataclass_fields__})
    return replace(play, built=replace(play.built, outbox=outbox))


def test_a_fault_while_sending_is_a_failed_attempt_that_is_repeated_and_told(
    play: Stage, clock: StandingClock
):
    play.receive(play.message(NoticeKind.ADMITTED, receivers=("vik",)))
    play.receive(play.message(NoticeKind.ADMITTED, receivers=("luster",)))
    with capture_logs() as logs:
        assert sorted(faulty(play).deliver()) == ["retry", "sent"]
    (told,) = [line for line in logs if line["log_level"] == "error"]
    assert (told["endpoint"], told["error"]) == ("vik", "KeyError")
    assert BODY not in str(logs)
    (waiting,) = play.rows(tables.delivery, party="vik")
    assert waiting["state"] == "waiting"
    assert waiting["error"] == "the adapter itself failed while sending (KeyError)"
    clock.forward(seconds=10)
    assert play.deliver() == ["sent"]


def test_a_fault_while_recording_lets_the_message_wait_for_its_lease_and_no_other(
    play: Stage, clock: StandingClock
):
    play.receive(play.message(NoticeKind.ADMITTED, receivers=("vik",)))

    def observe(_item: Leased, _reply: Reply, _outcome: str) -> None:
        raise ZeroDivisionError(BODY)

    carrier = deliverer(play, clock, observe=observe)
    with capture_logs() as logs:
        for future in carrier.round():
            future.result()
    carrier.stop()
    assert [line["error"] for line in logs if line["log_level"] == "error"] == ["ZeroDivisionError"]
    assert play.delivery()["state"] == "leased"
    assert carrier._free()["vik"] == play.built.register.endpoint("vik").concurrency


@pytest.mark.parametrize("where", ["claim", "watch", "watch for ever"])
def test_a_fault_while_looking_does_not_end_the_looking(
    play: Stage, clock: StandingClock, monkeypatch: pytest.MonkeyPatch, where: str
):
    monkeypatch.setattr(delivering, "AFTER_A_FAULT", 0.01)
    play.receive(play.message(NoticeKind.ADMITTED, receivers=("vik",)))
    faults = [RuntimeError(BODY)]
    claim, outbox = play.outbox.claim, play.outbox

    def once(*arguments: object) -> object:
        if faults:
            raise faults[0] if where == "watch for ever" else faults.pop()
        return claim(*arguments) if arguments else 1

    if where == "claim":
        object.__setattr__(outbox, "claim", once)
    carrier = deliverer(play, clock, watch=once if where != "claim" else None)
    with capture_logs() as logs:
        carrier.start()
        carrier.nudge()
        until = time.monotonic() + 10
        while play.delivery()["state"] in ("waiting", "leased") and time.monotonic() < until:
            time.sleep(0.02)
        carrier.stop()
    assert play.delivery()["state"] == "sent"
    assert [line["error"] for line in logs if line["log_level"] == "error"] == ["RuntimeError"]


@pytest.mark.parametrize("stopped", ["paused", "resting"])
def test_an_endpoint_that_was_looked_at_in_part_is_not_asked_without_a_pause_while_it_stands_still(
    play: Stage, clock: StandingClock, monkeypatch: pytest.MonkeyPatch, stopped: str
):
    monkeypatch.setattr(deliveries, "_place", deliveries._place.offset(2))
    one_lane = (NoticeKind.ADMITTED, NoticeKind.READY_FOR_DISCHARGE, *[NoticeKind.DISCHARGED] * 4)
    for kind in one_lane:
        play.receive(play.message(kind, receivers=("vik",)))
    assert len(play.claim()) == 1  # on its way: the others of its lane wait
    carrier = deliverer(play, clock)
    carrier.round()
    assert "vik" in play.outbox.resting.passed and carrier._wake.is_set()

    def stand_still(tx: Connection) -> None:
        if stopped == "paused":
            deliveries.pause(tx, "vik", clock(), None)
            return
        until = clock() + timedelta(minutes=5)
        ill = Health(failures=5, since=clock(), resting_since=clock(), probe_at=until)
        endpoint_health.put(tx, "vik", ill)

    play.write(stand_still)
    carrier._wake.clear()
    carrier.round()
    assert not carrier._wake.is_set()
    carrier.stop()


def deliverer(play: Stage, clock: StandingClock, **more: object) -> Deliverer:
    play.post.answer = taken()
    return Deliverer(store=play.built.store, inbox=play.built.inbox, outbox=play.outbox, clock=clock, **more)  # type: ignore[arg-type]
