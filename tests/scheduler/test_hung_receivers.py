"""Receivers that never answer hold their own threads, however many they are, and nobody else's."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from time import monotonic, sleep

import pytest

from adapter.discharge.notices import NoticeKind
from adapter.messaging.delivery import Reply
from adapter.messaging.register import Endpoint, Party, Side
from adapter.scheduler import delivering
from adapter.scheduler.delivering import Deliverer
from adapter.store import tables
from adapter.transport import Outgoing
from tests.conftest import StandingClock
from tests.stage import Stage, region, stage

HUNG = 8


@pytest.fixture
def play(tmp_path: object, clock: StandingClock) -> Iterator[Stage]:
    """Indre Sogn with eight municipalities more, each with an endpoint of its own."""
    known = region()
    register = known.register_
    more = [
        Party(
            id=f"bygd-{n}", name=f"Bygd {n}", kind="municipality", side=Side.THEIRS,
            identifiers=(("urn:oid:2.16.578.1.12.4.1.2", str(8160000 + n)),), endpoint=f"bygd-{n}",
        )
        for n in range(HUNG)
    ]  # fmt: skip
    ends = [
        Endpoint(name=party.id, transport="fhir", address="https://bygd.example/", dialect="fhir")
        for party in more
    ]
    wider = replace(register, parties=(*register.parties, *more), endpoints=(*register.endpoints, *ends))
    made = stage(f"sqlite:///{tmp_path}/s.db", clock, of=known.model_copy(update={"register_": wider}))
    yield made
    made.close()


def test_more_hung_receivers_than_carriers_do_not_hold_up_one_that_lives(
    play: Stage, clock: StandingClock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(delivering, "PATIENCE", 0.05)
    for n in range(HUNG):
        play.receive(play.message(NoticeKind.ADMITTED, receivers=(f"bygd-{n}",)))
    answer = threading.Event()
    hung: list[str] = []

    def far_end(_message: Outgoing, endpoint: Endpoint) -> Reply:
        if endpoint.name.startswith("bygd"):
            hung.append(endpoint.name)
            answer.wait(30)
            return Reply(error="no answer")
        return Reply(status=202, taken=True, delivered=True)

    play.post.answer = far_end
    carrier = Deliverer(
        store=play.built.store, inbox=play.built.inbox, outbox=play.outbox, clock=clock, carriers=4
    )
    carrier.start()
    try:
        eventually(carrier, lambda: len(hung) >= 4)
        play.receive(play.message(NoticeKind.ADMITTED, receivers=("vik",)))
        eventually(carrier, lambda: bool(play.rows(tables.delivery, party="vik", state="sent")))
        eventually(carrier, lambda: len(hung) == HUNG)
        assert len(set(hung)) == HUNG
    finally:
        answer.set()
        carrier.stop()


def test_no_more_carriers_are_at_work_than_may_be(play: Stage, clock: StandingClock):
    for n in range(HUNG):
        play.receive(play.message(NoticeKind.ADMITTED, receivers=(f"bygd-{n}",)))
    answer = threading.Event()

    def far_end(_message: Outgoing, _endpoint: Endpoint) -> Reply:
        answer.wait(30)
        return Reply(status=202, taken=True, delivered=True)

    play.post.answer = far_end
    carrier = Deliverer(
        store=play.built.store, inbox=play.built.inbox, outbox=play.outbox, clock=clock, carriers=3
    )
    started = carrier.round()
    assert len(started) == 3
    assert carrier.round() == []  # nothing is claimed for which there is nobody
    assert len(play.rows(tables.delivery, state="leased")) == 3
    answer.set()
    carrier.stop()


def test_every_endpoint_has_its_turn_to_be_the_first(play: Stage, clock: StandingClock):
    carrier = Deliverer(
        store=play.built.store, inbox=play.built.inbox, outbox=play.outbox, clock=clock, carriers=1
    )
    names = [e.name for e in play.outbox.register.endpoints]
    first = {next(iter(carrier._in_turn(dict.fromkeys(names, 1)))) for _ in names}
    carrier.stop()
    assert first == set(names)


def eventually(carrier: Deliverer, true: object) -> None:
    until = monotonic() + 20
    while not true():  # type: ignore[operator]
        assert monotonic() < until
        carrier.nudge()
        sleep(0.01)
