"""An endpoint that keeps failing rests: its messages wait unharmed, a probe tries it, a person is told."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, timedelta
from time import monotonic

import pytest

from adapter.config import Settings
from adapter.discharge.notices import NoticeKind
from adapter.fhir.bundles import Subject
from adapter.messaging.delivery import Leased, Reply
from adapter.messaging.register import Endpoint
from adapter.parcels import WEBHOOK
from adapter.store import deliveries, endpoint_health, shown, tables
from adapter.store.overview import queues
from adapter.transport import Outgoing
from adapter.web.metrics import Metrics
from adapter.web.overview import tiles
from adapter.web.wording import Wording
from tests.conftest import StandingClock
from tests.stage import Stage, failing, stage, taken

pytestmark = pytest.mark.postgres_in_soak

ADMITTED, READY = NoticeKind.ADMITTED, NoticeKind.READY_FOR_DISCHARGE
OK = Reply(status=202, taken=True, delivered=True)
DOWN = Reply(status=503)


@pytest.fixture
def play(store_url: str, clock: StandingClock) -> Iterator[Stage]:
    made = stage(store_url, clock)
    yield made
    made.close()


def patients(count: int, **more: object) -> list[Subject]:
    """People without a number of the country: each has a case of their own."""
    return [
        Subject(identifiers=(("urn:oid:2.16.578.1.12.4.1.4.99", f"h-{n}"),), family=f"Prøve {n}", given="Eva")
        for n in range(count)
    ]


def tell(play: Stage, count: int = 1, *, receiver: str = "sogndal", first: int = 0) -> None:
    """So many patients are admitted; each is a case, and a lane, of its own."""
    for subject in patients(first + count)[first:]:
        done = play.receive(play.message(ADMITTED, subject=subject, receivers=(receiver,)))
        assert done.outcome == "accepted", done


def health(play: Stage, name: str = "sogndal") -> dict[str, object] | None:
    found = play.rows(tables.endpoint_health, endpoint=name)
    return dict(found[0]) if found else None


def alarms(play: Stage) -> list[tuple[str, str]]:
    return [(a["kind"], a["subject"]) for a in play.rows(tables.alarm, until=None)]


RESTING = [("endpoint-resting", "endpoint sogndal")]


def rest(play: Stage, clock: StandingClock, waiting: int = 5) -> None:
    """The endpoint fails until it rests."""
    tell(play, waiting)
    play.post.answer = failing(503)
    play.deliver()
    assert health(play) is not None and health(play)["resting_since"] == clock()


def record(play: Stage, leased: Leased, reply: Reply) -> str:
    return play.write(lambda tx: play.outbox.record(tx, leased, reply, play.clock()))


def to_probe(play: Stage, clock: StandingClock) -> None:
    clock.at = health(play)["probe_at"]


def fails_for(*ids: str) -> Callable[[Outgoing, Endpoint], Reply]:
    return lambda message, _endpoint: DOWN if message.message_id in ids else OK


# --- to rest ---


def test_after_five_failures_in_a_row_it_rests_and_a_person_is_told_once(play: Stage, clock: StandingClock):
    tell(play, 4)
    play.post.answer = failing(503)
    assert play.deliver() == ["retry"] * 4
    assert health(play)["resting_since"] is None and alarms(play) == []
    tell(play, 3, first=4)
    play.deliver()
    assert alarms(play) == RESTING
    (told,) = play.rows(tables.alarm)
    for words in ("sogndal", "Sogndal", "2014-03-03 09:00 UTC", "7 messages wait", "HTTP 503", "telephone"):
        assert words in told["text"], words
    for _ in range(5):
        to_probe(play, clock)
        assert play.deliver() == ["retry"]
    assert len(play.rows(tables.alarm)) == 1


def test_while_it_rests_its_messages_wait_and_spend_no_attempt(play: Stage, clock: StandingClock):
    rest(play, clock)
    tell(play, 5, first=5)
    before = [d["attempts"] for d in play.rows(tables.delivery)]
    clock.forward(seconds=14)
    assert play.deliver() == []
    for _ in range(10):
        to_probe(play, clock)
        assert play.deliver() == ["retry"]  # one, of ten that are due
    assert [d["attempts"] for d in play.rows(tables.delivery)] == before == [1] * 5 + [0] * 5


def test_others_do_not_feel_it(play: Stage, clock: StandingClock):
    rest(play, clock)
    tell(play, 3, receiver="luster", first=20)
    play.post.answer = taken()
    assert play.deliver() == ["sent"] * 3
    assert {name for name, _ in play.post.sent[-3:]} == {"luster"}


def test_a_success_in_between_begins_the_count_anew(play: Stage, clock: StandingClock):
    for round_ in range(3):
        tell(play, 3, first=3 * round_)
        play.post.answer = failing(503)
        play.deliver()
        play.post.answer = taken()
        clock.forward(seconds=30)
        play.deliver()
    assert health(play) is None and alarms(play) == []


@pytest.mark.parametrize(
    "reply", [Reply(status=400), Reply(status=404), Reply(status=422), Reply(status=401)]
)
def test_what_condemns_a_message_does_not_condemn_its_endpoint(play: Stage, reply: Reply):
    tell(play, 6)
    play.post.answer = lambda _m, _e: reply
    assert play.deliver() == ["gave-up"] * 6
    assert health(play) is None


def test_a_fault_of_our_own_tells_nothing_of_the_endpoint(play: Stage):
    def broken(_message: Outgoing, _endpoint: Endpoint) -> Reply:
        raise ZeroDivisionError

    tell(play, 6)
    play.post.answer = broken
    assert play.deliver() == ["retry"] * 6
    assert health(play) is None


def test_what_had_been_claimed_when_the_rest_began_is_given_back_untried(play: Stage, clock: StandingClock):
    tell(play, 9)
    held = play.claim()
    for leased in held[:5]:
        record(play, leased, DOWN)
    assert play.outbox.resting.held("sogndal", held[5:], clock()) == held[5:]
    play.write(lambda tx: play.outbox.release(tx, held[5:], clock()))
    assert [d["attempts"] for d in play.rows(tables.delivery)] == [1] * 5 + [0] * 4
    assert {d["state"] for d in play.rows(tables.delivery)} == {"waiting"}


def test_a_carrier_gives_back_at_once_what_it_still_holds(play: Stage, clock: StandingClock):
    tell(play, 10)
    reached: list[int] = []

    def down(_message: Outgoing, _endpoint: Endpoint) -> Reply:
        reached.append(1)
        wait_until_recorded(play, len(reached) - 1)
        return DOWN

    play.post.answer = down
    outcomes = play.deliver()
    assert len(outcomes) < 10  # the fifth failure, and what was on the wire at that moment
    assert {d["state"] for d in play.rows(tables.delivery)} == {"waiting"}
    assert sum(d["attempts"] for d in play.rows(tables.delivery)) == len(outcomes)


def wait_until_recorded(play: Stage, count: int) -> None:
    """What was sent before is in the log: a receiver is slower than our own disk."""
    while len(play.rows(tables.attempt)) < count - 1:
        pass


# --- probes ---


def test_a_probe_is_one_message_and_stands_in_the_log_as_such(play: Stage, clock: StandingClock):
    rest(play, clock)
    to_probe(play, clock)
    (probe,) = play.claim()
    assert probe.probe and play.claim() == []
    clock.forward(seconds=1)
    record(play, probe, DOWN)
    last = play.rows(tables.attempt)[-1]
    assert (last["trigger"], last["outcome"], last["delivery_id"]) == ("probe", "retry", probe.id)


def test_a_probe_does_not_wait_for_the_backoff_of_its_message_nor_moves_it(play: Stage, clock: StandingClock):
    rest(play, clock)
    play.write(
        lambda tx: [
            deliveries.change(tx, d["id"], next_attempt_at=clock() + timedelta(hours=1 + d["id"]))
            for d in play.rows(tables.delivery)
        ]
    )
    before = {d["id"]: d["next_attempt_at"] for d in play.rows(tables.delivery)}
    to_probe(play, clock)
    assert play.deliver() == ["retry"]
    assert {d["id"]: d["next_attempt_at"] for d in play.rows(tables.delivery)} == before


def test_a_message_that_the_receiver_chokes_on_does_not_keep_the_endpoint_shut(
    play: Stage, clock: StandingClock
):
    rest(play, clock)
    poison = play.rows(tables.delivery)[0]["message_id"]
    play.post.answer = fails_for(poison)
    for _ in range(2):
        to_probe(play, clock)
        if play.deliver() == ["sent"]:
            break
    assert health(play)["resting_since"] is None
    assert len(play.rows(tables.delivery, state="sent")) == 1


def test_a_probe_is_the_first_of_its_lane(play: Stage, clock: StandingClock):
    tell(play, 1)
    play.receive(play.message(READY, subject=patients(1)[0]))
    play.post.answer = failing(503)
    for _ in range(5):
        play.deliver()
        clock.at = play.delivery()["next_attempt_at"]
    assert health(play)["resting_since"] is not None
    for _ in range(4):
        to_probe(play, clock)
        (probe,) = play.claim()
        assert probe.id == 1
        record(play, probe, DOWN)


def test_a_client_error_on_a_probe_proves_the_endpoint_alive(play: Stage, clock: StandingClock):
    rest(play, clock)
    to_probe(play, clock)
    play.post.answer = failing(422, error="HTTP 422: not understood")
    assert play.deliver() == ["gave-up"]
    assert (health(play)["resting_since"], health(play)["window"]) == (None, 1)


@pytest.mark.parametrize("round_", range(3))
def test_of_several_workers_only_one_sends_the_probe(
    store_url: str, play: Stage, clock: StandingClock, round_: int
):
    rest(play, clock)
    to_probe(play, clock)
    others = [stage(store_url, clock) for _ in range(3)]
    with ThreadPoolExecutor(len(others)) as pool:
        claimed = list(pool.map(Stage.claim, others))
    for other in others:
        other.close()
    assert sorted(len(one) for one in claimed) == [0, 0, 1]


def test_a_worker_that_dies_with_the_probe_only_puts_it_off(play: Stage, clock: StandingClock):
    rest(play, clock)
    to_probe(play, clock)
    assert len(play.claim()) == 1
    clock.forward(seconds=61)
    play.write(lambda tx: deliveries.free_leases(tx, clock()))
    assert [one.probe for one in play.claim()] == [True]


@pytest.mark.parametrize("store_url", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True)
def test_workers_that_ask_for_the_probes_of_two_endpoints_do_not_wait_in_a_circle(
    store_url: str, play: Stage, clock: StandingClock
):
    tell(play, 5)
    tell(play, 5, receiver="luster", first=5)
    play.post.answer = failing(503)
    play.deliver()
    clock.at = max(health(play, name)["probe_at"] for name in ("sogndal", "luster"))
    other = stage(store_url, clock)
    with ThreadPoolExecutor(1) as pool, play.built.store.engine.begin() as tx:
        (first,) = play.outbox.claim(tx, {"sogndal": 1}, clock())
        both = {"luster": 1, "sogndal": 1}
        asked = pool.submit(other.write, lambda tx: other.outbox.claim(tx, both, clock()))
        try:
            assert [one.endpoint for one in asked.result(5)] == ["luster"]
        finally:
            tx.rollback()
    other.close()
    assert first.probe


# --- to come back ---


def drain(play: Stage) -> list[int]:
    """How many go out at a time, until nothing more does."""
    counts = []
    while claimed := play.claim():
        counts.append(len(claimed))
        for leased in claimed:
            record(play, leased, OK)
    return counts


def test_the_backlog_drains_with_one_then_two_then_all_and_the_alarm_ends(play: Stage, clock: StandingClock):
    rest(play, clock)
    tell(play, 20, first=5)
    to_probe(play, clock)
    assert drain(play)[:3] == [1, 1, 2]  # the probe, then a window of one, of two, as the region file allows
    assert health(play) is None and alarms(play) == []
    clock.forward(minutes=10)
    drain(play)
    assert {d["state"] for d in play.rows(tables.delivery)} == {"sent"}


def test_all_workers_together_send_no_more_than_the_window_allows(play: Stage, clock: StandingClock):
    rest(play, clock)
    tell(play, 5, first=5)
    to_probe(play, clock)
    (probe,) = play.claim()
    record(play, probe, OK)
    assert len(play.claim()) == 1
    assert play.claim() == []  # another worker, while that one is on its way


def test_a_failure_on_the_way_back_makes_it_rest_at_once_under_the_same_alarm(
    play: Stage, clock: StandingClock
):
    rest(play, clock)
    to_probe(play, clock)
    (probe,) = play.claim()
    record(play, probe, OK)
    clock.forward(minutes=1)
    (next_one,) = play.claim()
    record(play, next_one, DOWN)
    assert health(play)["resting_since"] == clock()
    assert alarms(play) == RESTING and len(play.rows(tables.alarm)) == 1


def test_where_nothing_more_is_due_it_is_well(play: Stage, clock: StandingClock):
    rest(play, clock, waiting=5)
    to_probe(play, clock)
    (probe,) = play.claim()
    record(play, probe, OK)
    for row in play.rows(tables.delivery, state="waiting"):
        play.write(lambda tx, row=row: play.outbox.give_up(tx, row["id"], clock(), by="Marta"))
    assert play.claim() == []
    assert health(play) is None and alarms(play) == []


def test_a_receiver_that_asks_to_wait_is_left_alone_until_then_without_an_alarm(
    play: Stage, clock: StandingClock
):
    tell(play, 4)
    first, *others = play.claim()
    play.write(lambda tx: play.outbox.release(tx, others, clock()))
    record(play, first, Reply(status=429, retry_after=90))
    clock.forward(seconds=89)
    assert play.claim() == [] and alarms(play) == []
    clock.forward(seconds=1)
    assert len(play.claim()) == 1
    assert [d["attempts"] for d in play.rows(tables.delivery)] == [1, 0, 0, 0]


# --- by hand ---


def test_what_a_person_sends_goes_out_at_once_and_wakes_the_endpoint(play: Stage, clock: StandingClock):
    rest(play, clock)
    play.write(lambda tx: play.outbox.resend(tx, 3, clock(), by="Marta"))
    play.post.answer = taken()
    assert play.deliver() == ["sent"]
    assert play.rows(tables.attempt)[-1]["trigger"] == "person"
    assert health(play)["resting_since"] is None


def test_what_a_person_sends_in_vain_puts_no_probe_off(play: Stage, clock: StandingClock):
    rest(play, clock)
    due = health(play)["probe_at"]
    play.write(lambda tx: play.outbox.resend(tx, 3, clock(), by="Marta"))
    assert play.deliver() == ["retry"]
    assert health(play)["probe_at"] == due


def test_a_person_may_end_the_rest(play: Stage, clock: StandingClock):
    rest(play, clock)
    assert play.write(lambda tx: play.outbox.resting.end(tx, "sogndal", clock()))
    assert health(play) is None and alarms(play) == []
    clock.forward(seconds=2)
    assert len(play.claim()) == 5


def test_a_paused_endpoint_is_not_probed(play: Stage, clock: StandingClock):
    rest(play, clock)
    play.write(lambda tx: deliveries.pause(tx, "sogndal", clock(), "Marta"))
    to_probe(play, clock)
    assert play.claim() == []


def test_an_endpoint_that_the_region_file_no_longer_has_rests_no_more(play: Stage, clock: StandingClock):
    rest(play, clock)
    register = play.outbox.register
    fewer = tuple(e for e in register.endpoints if e.name != "sogndal")
    object.__setattr__(
        play.outbox.resting, "register", type(register)(parties=register.parties, endpoints=fewer)
    )
    play.write(lambda tx: play.outbox.resting.forget(tx, clock()))
    assert health(play) is None and alarms(play) == []


# --- 72 hours ---


def test_what_has_waited_too_long_for_it_is_given_up_some_at_a_time(play: Stage, clock: StandingClock):
    rest(play, clock)
    clock.forward(hours=71)
    tell(play, 1, first=9)
    assert play.write(lambda tx: play.outbox.give_up_late(tx, clock())) == 0
    clock.forward(minutes=59, seconds=40)
    play.deliver()  # a probe
    clock.forward(seconds=20)
    assert play.write(lambda tx: play.outbox.give_up_late(tx, clock(), most=2)) == 2
    assert play.write(lambda tx: play.outbox.give_up_late(tx, clock(), most=2)) == 2
    assert play.write(lambda tx: play.outbox.give_up_late(tx, clock(), most=2)) == 1
    assert play.write(lambda tx: play.outbox.give_up_late(tx, clock(), most=2)) == 0
    assert [d["state"] for d in play.rows(tables.delivery)] == ["given-up"] * 5 + ["waiting"]
    assert sorted(alarms(play)) == RESTING + [("given-up", f"delivery {n}") for n in range(1, 6)]


def test_what_waits_for_a_paused_endpoint_is_a_persons(play: Stage, clock: StandingClock):
    rest(play, clock)
    play.write(lambda tx: deliveries.pause(tx, "sogndal", clock(), "Marta"))
    clock.forward(hours=80)
    assert play.write(lambda tx: play.outbox.give_up_late(tx, clock())) == 0


@pytest.mark.parametrize("store_url", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True)
def test_what_a_person_sends_again_meanwhile_is_not_given_up_under_their_hands(
    store_url: str, play: Stage, clock: StandingClock
):
    rest(play, clock)
    clock.forward(hours=71, minutes=59, seconds=40)
    play.deliver()  # a probe
    clock.forward(seconds=20)
    other = stage(store_url, clock)
    with ThreadPoolExecutor(1) as pool, play.built.store.engine.begin() as tx:
        play.outbox.resend(tx, 3, clock(), by="Marta")
        giving_up = pool.submit(other.write, lambda tx: other.outbox.give_up_late(tx, clock()))
        blocked = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        until = monotonic() + 10
        while monotonic() < until and not play.write(lambda tx: tx.exec_driver_sql(blocked).scalar_one()):
            pass
        tx.commit()
        giving_up.result(10)
    other.close()
    assert (play.delivery(3)["state"], play.delivery(3)["trigger"]) == ("waiting", "person")
    assert {d["state"] for d in play.rows(tables.delivery) if d["id"] != 3} == {"given-up"}
    play.post.answer = taken()
    assert play.deliver() == ["sent"]
    assert ("given-up", "delivery 3") not in alarms(play)


def test_what_waited_while_it_was_paused_is_not_given_up_before_it_has_been_tried(
    play: Stage, clock: StandingClock
):
    rest(play, clock)
    play.write(lambda tx: deliveries.pause(tx, "sogndal", clock(), "Marta"))
    clock.forward(hours=80)
    play.write(lambda tx: deliveries.resume(tx, "sogndal"))

    def give_up() -> int:
        return play.write(lambda tx: play.outbox.give_up_late(tx, clock()))

    assert give_up() == 0
    (probe,) = play.claim()
    assert give_up() == 0
    record(play, probe, OK)
    assert give_up() == 0
    drain(play)
    assert {d["state"] for d in play.rows(tables.delivery)} == {"sent"}


# --- the alarm webhook ---


def test_the_webhooks_own_rest_is_not_posted_to_it(store_url: str, clock: StandingClock):
    play = stage(store_url, clock, settings=Settings(alarm_webhook="https://vakt.example/"))
    tell(play, 6, receiver="sogndal")
    play.post.answer = lambda _m, e: DOWN if e.name == WEBHOOK else Reply(status=400)
    play.deliver()  # six are given up, with six alarms
    play.deliver()
    assert ("endpoint-resting", f"endpoint {WEBHOOK}") in alarms(play)
    posted = len(play.rows(tables.delivery, endpoint=WEBHOOK))
    assert posted == 6
    for _ in range(5):
        clock.at = health(play, WEBHOOK)["probe_at"]
        play.deliver()
    assert len(play.rows(tables.delivery, endpoint=WEBHOOK)) == posted
    play.close()


# --- to be seen ---


def test_metrics_the_command_line_and_the_pages_show_it(play: Stage, clock: StandingClock):
    rest(play, clock)
    metrics = Metrics(play.built.store, clock)
    assert b'discharge_endpoint_resting{endpoint="sogndal"} 1.0' in metrics.text()
    with play.built.store.read() as tx:
        known = endpoint_health.ailing(tx)
        register = play.built.register
        say = Wording(language="en", zone=UTC, now=clock(), register=register)
        made = tiles(
            register, clock().date(), say, queues=queues(tx), tries={}, delivered={}, paused=(), ailing=known
        )
    document = shown.endpoint(
        "sogndal", "https://sogndal.example/", "fhir",
        depth={}, oldest=None, last=None, paused=None, ailing=known["sogndal"], now=clock(),
    )  # fmt: skip
    assert (document["health"], document["failures"]) == ("resting", 5)
    assert document["resting_since"] == "2014-03-03T09:00:00Z"
    assert document["next_probe"] == "2014-03-03T09:00:15Z"
    marks = {tile.id: tile.mark for tile in made}
    assert marks["sogndal"].words == "Rests: does not answer"
    assert marks["luster"].level != "bad"
    play.write(lambda tx: play.outbox.resting.end(tx, "sogndal", clock()))
    assert b"discharge_endpoint_resting{" not in metrics.text()
