"""A lease that ends while its message is still being sent: two have sent it, and it counts once.

The receiver is real and slow; the clock is moved past the lease while it thinks.
"""

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from adapter.discharge.notices import NoticeKind
from adapter.messaging.delivery import Leased, Reply
from adapter.scheduler.delivering import Deliverer
from adapter.store import deliveries, tables
from tests.conftest import StandingClock
from tests.stage import Stage, receipt
from tests.transport.conftest import Peer, answer

pytestmark = pytest.mark.postgres_in_soak

JSON = "Content-Type: application/fhir+json"


class Slow:
    """A receiver that thinks over its first message until it is let go; every other is answered at once."""

    def __init__(self, clock: StandingClock) -> None:
        self.clock = clock
        self.thinking, self.go = threading.Event(), threading.Event()
        self.bodies: list[bytes] = []
        self.refuses_first = False

    def __call__(self, connection, request: bytes) -> None:
        body = request.partition(b"\r\n\r\n")[2]
        self.bodies.append(body)
        if len(self.bodies) == 1:
            self.thinking.set()
            assert self.go.wait(20)
            if self.refuses_first:
                connection.sendall(answer("410 Gone"))
                return
        connection.sendall(answer("200 OK", receipt(body, at=self.clock()), JSON))


@pytest.fixture
def slow(clock: StandingClock) -> Slow:
    return Slow(clock)


@pytest.fixture
def play(at_peers: Callable[..., Stage], peer: Callable[..., Peer], slow: Slow) -> Iterator[Stage]:
    made = at_peers(vik={"address": f"{peer(slow).url}/", "timeout": 30.0})
    made.receive(made.message(NoticeKind.ADMITTED, receivers=("vik",)))
    yield made
    slow.go.set()


def worker(play: Stage) -> Deliverer:
    return Deliverer(store=play.built.store, inbox=play.built.inbox, outbox=play.outbox, clock=play.clock)


def overtaken(play: Stage, slow: Slow, clock: StandingClock) -> tuple[Deliverer, list]:
    """One worker is sending; its lease ends, is freed, and a second worker sends and records."""
    first, second = worker(play), worker(play)
    sending = first.round()
    assert slow.thinking.wait(10)
    clock.forward(minutes=2)
    assert play.write(lambda tx: deliveries.free_leases(tx, clock())) == 1
    for future in second.round():
        future.result()
    second.stop()
    return first, sending


def let_go(slow: Slow, first: Deliverer, sending: list) -> None:
    slow.go.set()
    for future in sending:
        future.result()
    first.stop()


@pytest.mark.parametrize("refuses", [False, True], ids=["late yes", "late no"])
def test_the_late_record_of_a_lost_lease_changes_nothing_but_the_attempt_log(
    play: Stage, slow: Slow, clock: StandingClock, refuses: bool
) -> None:
    slow.refuses_first = refuses
    first, sending = overtaken(play, slow, clock)
    before = play.delivery()
    assert (before["state"], before["attempts"], before["fence"]) == ("acknowledged", 1, 2)
    facts, messages = play.rows(tables.fact), len(play.rows(tables.message))
    clock.forward(seconds=1)
    let_go(slow, first, sending)
    assert play.delivery() == before
    assert play.rows(tables.fact) == facts
    assert [row["outcome"] for row in play.rows(tables.attempt)] == ["sent", "gave-up" if refuses else "sent"]
    assert len(set(slow.bodies)) == 1, "the same bytes under the same id, both times"
    assert len(slow.bodies) == 2
    assert len(play.rows(tables.fact, kind="accepted")) == 1
    assert play.rows(tables.alarm) == []
    # the same receipt under another id is kept as a message, and counts no more
    assert len(play.rows(tables.message)) - messages in (0, 1)


def test_a_second_worker_that_is_still_sending_keeps_its_lease_against_the_first(
    play: Stage, slow: Slow, clock: StandingClock
) -> None:
    first = worker(play)
    sending = first.round()
    assert slow.thinking.wait(10)
    clock.forward(minutes=2)
    play.write(lambda tx: deliveries.free_leases(tx, clock()))
    (held,) = play.claim()  # by the second, which has not answered yet
    slow.refuses_first = True
    let_go(slow, first, sending)
    row = play.delivery()
    assert (row["state"], row["fence"], row["attempts"]) == ("leased", held.fence, 0)
    assert play.rows(tables.alarm) == []
    reply = Reply(status=202, taken=True, delivered=True)
    assert play.write(lambda tx: play.outbox.record(tx, held, reply, clock())) == "sent"
    assert (play.delivery()["state"], play.delivery()["attempts"]) == ("sent", 1)


def test_nothing_is_sent_under_a_lease_that_would_end_before_the_receiver_must_answer(
    at_peers, peer, clock: StandingClock
) -> None:
    receiver = peer(answer("202 Accepted"))
    play = at_peers(vik={"address": receiver.url, "timeout": 10.0})
    play.receive(play.message(NoticeKind.ADMITTED, receivers=("vik",)))

    class Late(Deliverer):
        def _carry(self, carrier: object, endpoint: str, items: list[Leased]) -> None:
            clock.at = items[0].lease_until - timedelta(seconds=14)  # it came late to its work
            super()._carry(carrier, endpoint, items)

    late = Late(store=play.built.store, inbox=play.built.inbox, outbox=play.outbox, clock=clock)
    for future in late.round():
        future.result()
    late.stop()
    assert receiver.requests == []
    assert (play.delivery()["state"], play.delivery()["attempts"]) == ("waiting", 0)
