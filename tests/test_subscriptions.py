"""Subscribers are told: handshake, numbered events in order, faults, error and recovery, heartbeat, filters.

The receiving end is a real HTTP server; the store is a real database, once SQLite and once PostgreSQL.
"""

import re
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle as Model
from sqlalchemy import text

from adapter.cases import pseudonym
from adapter.discharge.notices import NoticeKind, Standing
from adapter.errors import NotFound, Refused
from adapter.fhir import shape
from adapter.fhir.subscriptions import FOCUS, capability
from adapter.messaging.register import Partner
from adapter.messaging.subscribing import Content
from adapter.scheduler.delivering import TELLERS, Deliverer
from adapter.scheduler.housekeeping import Housekeeping
from adapter.scheduler.subscriptions import Heartbeats
from adapter.store import deliveries, tables
from adapter.subscribers import Subscribers
from adapter.transport.rest_hook import RestHook
from tests.conftest import StandingClock
from tests.plans import PLAN, plan_bytes
from tests.stage import SYNNOVE, TORBJORN, Stage, region, stage
from tests.subscriber import GONE, RESET, SLOW, Subscriber, parameters, subscriber, wanted

pytestmark = pytest.mark.postgres_in_soak

ADMITTED, READY, DISCHARGED = NoticeKind.ADMITTED, NoticeKind.READY_FOR_DISCHARGE, NoticeKind.DISCHARGED
BASE = "http://127.0.0.1:8425/fhir"


@pytest.fixture
def sogndal() -> Iterator[Subscriber]:
    with subscriber() as found:
        yield found


@pytest.fixture
def luster() -> Iterator[Subscriber]:
    with subscriber() as found:
        yield found


@pytest.fixture
def play(store_url: str, clock: StandingClock, sogndal: Subscriber, luster: Subscriber) -> Iterator[Stage]:
    made = staged(store_url, clock, sogndal, luster)
    yield made
    made.close()


def staged(url: str, clock: StandingClock, sogndal: Subscriber, luster: Subscriber, **more: Any) -> Stage:
    """Indre Sogn, whose partners may be told at their receivers."""
    places = {"sogndal-drift": (sogndal.url,), "luster-drift": (f"http://127.0.0.1:{luster.port}/",)}
    known = region()
    partners = tuple(
        replace(p, subscription_endpoints=places.get(p.name, ()), **more) for p in known.register_.partners
    )
    known = known.model_copy(update={"register_": replace(known.register_, partners=partners)})
    made = stage(url, clock, of=known)
    outbox = replace(made.outbox, transports={**made.outbox.transports, "rest-hook": RestHook()})
    return replace(
        made, built=replace(made.built, outbox=outbox, inbox=replace(made.built.inbox, outbox=outbox))
    )


def partner(play: Stage, name: str = "sogndal-drift") -> Partner:
    return next(p for p in play.built.register.partners if p.name == name)


def asking(play: Stage) -> Subscribers:
    return Subscribers(subscriptions=play.outbox.subscriptions)


def subscribe(
    play: Stage, told: Subscriber, topic: str = "discharge-ready", name: str = "sogndal-drift", **more: Any
) -> str:
    resource = wanted(told, topic, **more)
    row = play.write(lambda tx: asking(play).make(tx, resource, partner(play, name), play.clock()))
    return str(row["name"])


def subscribed(play: Stage, told: Subscriber, *arguments: Any, **more: Any) -> str:
    """A subscription whose handshake has succeeded."""
    name = subscribe(play, told, *arguments, **more)
    send(play)
    assert state(play, name) == "active"
    return name


def again(play: Stage, name: str, told: Subscriber, by: str = "sogndal-drift", **more: Any) -> None:
    resource = wanted(told, **more) | {"id": name}
    play.write(lambda tx: asking(play).change(tx, name, resource, partner(play, by), play.clock()))


def state(play: Stage, name: str) -> str:
    (row,) = play.rows(tables.subscription, name=name)
    return str(row["status"])


def events(play: Stage, name: str, by: str = "sogndal-drift", **more: Any) -> dict[str, Any]:
    asked = {"since": 1, "until": 1000} | more

    def unit(tx: Any) -> dict[str, Any]:
        row = asking(play).found(tx, name, partner(play, by))
        return asking(play).events(tx, row, partner(play, by), play.clock(), **asked)

    return play.write(unit)


def send(play: Stage) -> None:
    """Until nothing is due."""
    while play.deliver():
        pass


def tell(play: Stage, *kinds: NoticeKind, **more: Any) -> int | None:
    """Notices about Synnøve, to Sogndal where nothing else is said; the case of the last."""
    case = None
    for kind in kinds:
        done = play.receive(play.message(kind, **more))
        assert done.outcome == "accepted", done.reason
        case = done.case_id
    return case


def alarms(play: Stage) -> list[tuple[str, str]]:
    return [(a["kind"], a["subject"]) for a in play.rows(tables.alarm, until=None)]


def log(play: Stage) -> list[Any]:
    return play.rows(tables.delivery, kind="subscription")


# --- the handshake ----------------------------------------------------------------------------------------


def test_a_subscription_is_active_once_its_handshake_has_been_answered(play, sogndal):
    name = subscribe(play, sogndal)
    assert state(play, name) == "requested"
    send(play)
    assert state(play, name) == "active"
    (hand,) = sogndal.heard
    assert hand.headers["content-type"] == "application/fhir+json"
    assert hand.bundle["type"] == "history"
    assert hand.bundle["meta"]["profile"][0].endswith("/backport-subscription-notification-r4")
    assert hand.status == {
        "subscription": {"reference": f"{BASE}/Subscription/{name}"},
        "topic": "https://discharge-adapter.example/fhir/SubscriptionTopic/discharge-ready",
        "status": "requested",
        "type": "handshake",
        "events-since-subscription-start": "0",
    }
    first = hand.bundle["entry"][0]
    assert first["resource"]["meta"]["profile"][0].endswith("/backport-subscription-status-r4")
    assert first["request"] == {"method": "GET", "url": f"{BASE}/Subscription/{name}/$status"}
    assert Model.model_validate(hand.bundle)


@pytest.mark.parametrize("fault", [500, 503, 404, GONE, 302, RESET])
def test_a_handshake_that_fails_is_an_error_and_an_alarm_and_is_not_tried_again(play, sogndal, fault):
    sogndal.always = fault
    name = subscribe(play, sogndal)
    send(play)
    play.clock.forward(hours=5)
    send(play)
    assert state(play, name) == "error"
    assert len(sogndal.heard) == 1
    assert alarms(play) == [("subscription", f"subscription {name}")]
    (sent,) = log(play)
    assert (sent["state"], sent["attempts"], sent["endpoint"]) == ("given-up", 1, f"subscription/{name}")
    assert [a["outcome"] for a in play.rows(tables.attempt)] == ["gave-up"]


def test_a_subscriber_that_does_not_answer_in_its_time_is_an_error(play, sogndal):
    sogndal.always = SLOW
    name = subscribe(play, sogndal, timeout=1)
    send(play)
    assert state(play, name) == "error"
    assert "within 1 s" in play.rows(tables.alarm)[0]["text"]


# --- events -----------------------------------------------------------------------------------------------


def test_readiness_is_told_by_its_address_alone_and_nothing_of_the_patient(play, sogndal):
    name = subscribed(play, sogndal)
    case = tell(play, ADMITTED, READY)
    send(play)
    _, told = sogndal.heard
    focus = f"{BASE}/EpisodeOfCare/case-{case}"
    assert told.status == {
        "subscription": {"reference": f"{BASE}/Subscription/{name}"},
        "topic": "https://discharge-adapter.example/fhir/SubscriptionTopic/discharge-ready",
        "status": "active",
        "type": "event-notification",
        "events-since-subscription-start": "1",
        "notification-event": {
            "event-number": "1",
            "timestamp": play.clock().isoformat(),
            "focus": {"reference": focus},
        },
    }
    assert told.bundle["entry"][1] == {
        "fullUrl": focus,
        "request": {"method": "PUT", "url": f"EpisodeOfCare/case-{case}"},
        "response": {"status": "200"},
    }
    for secret in ("Fjellheim", "Synn", "21843012660", "Nes"):
        assert secret.encode() not in told.body
    assert Model.model_validate(told.bundle)


def test_what_is_sent_is_read_as_fhir_xml_where_that_is_asked_for(play, sogndal):
    subscribed(play, sogndal, media="application/fhir+xml")
    tell(play, READY)
    send(play)
    assert [one.headers["content-type"] for one in sogndal.heard] == ["application/fhir+xml"] * 2
    assert sogndal.heard[1].body.lstrip().startswith(b"<")
    assert sogndal.numbers == [1]


def test_every_accepted_notice_changes_the_case_and_only_readiness_is_readiness(play, sogndal):
    subscribed(play, sogndal, "case-changed")
    subscribed(play, sogndal, "discharge-ready")
    tell(play, ADMITTED, READY, DISCHARGED)
    send(play)
    by_topic = [
        (one.status["topic"].rpartition("/")[2], one.number)
        for one in sogndal.taken
        if one.status["type"] == "event-notification"
    ]
    assert sorted(by_topic) == [
        ("case-changed", 1), ("case-changed", 2), ("case-changed", 3), ("discharge-ready", 1),
    ]  # fmt: skip


def test_a_cancelled_readiness_is_no_readiness(play, sogndal):
    subscribed(play, sogndal)
    first = str(uuid.uuid4())
    tell(play, READY, message_id=first)
    tell(play, READY, standing=Standing.CANCELLATION, refers_to=first)
    send(play)
    assert sogndal.numbers == [1]


def test_a_message_that_comes_again_or_is_refused_is_no_event(play, sogndal):
    subscribed(play, sogndal, "case-changed")
    content = play.message(ADMITTED)
    assert [play.receive(content).outcome for _ in range(3)] == ["accepted", "duplicate", "duplicate"]
    assert play.receive(b'{"resourceType": "Bundle"}').outcome == "refused"
    send(play)
    assert sogndal.numbers == [1]


def test_a_plan_is_told_by_its_own_id(play, sogndal):
    subscribed(play, sogndal, "care-plan-changed")
    assert (
        play.receive(plan_bytes(play.built.register, at=play.clock(), receivers=("sogndal",))).outcome
        == "accepted"
    )
    send(play)
    (told,) = [one for one in sogndal.taken if one.status["type"] == "event-notification"]
    assert told.status["notification-event"]["focus"] == {"reference": f"{BASE}/CarePlan/{PLAN}"}


def test_events_arrive_in_their_order_whatever_the_receiver_does(play, sogndal):
    name = subscribed(play, sogndal, "case-changed")
    sogndal.answers = [500, RESET, 503, 200, 429, 200]
    tell(play, ADMITTED, READY, DISCHARGED)
    for _ in range(12):
        send(play)
        play.clock.forward(minutes=1)
    assert sogndal.numbers == [1, 2, 3]
    assert state(play, name) == "active"
    again_sent = [one.headers["x-request-id"] for one in sogndal.heard if one.answered != 200]
    assert len(set(again_sent)) == 2  # a try again has the id that the first had
    assert alarms(play) == []


def test_of_two_failing_and_well_subscribers_the_well_one_waits_for_nobody(play, sogndal, luster):
    subscribed(play, sogndal, "case-changed")
    subscribed(play, luster, "case-changed", "luster-drift")
    sogndal.always = 503
    tell(play, ADMITTED, READY, receivers=("sogndal", "luster"))
    send(play)
    assert (sogndal.numbers, luster.numbers) == ([], [1, 2])


def test_what_a_subscriber_answers_is_nobodys_message(play, sogndal):
    subscribed(play, sogndal, "case-changed")
    sogndal.body = play.message(DISCHARGED, sender="sogndal", receivers=("laerdal-sjukehus",))
    before = len(play.rows(tables.message))
    tell(play, ADMITTED)
    send(play)
    assert sogndal.numbers == [1]
    assert len(play.rows(tables.message)) == before + 1
    assert alarms(play) == []


def test_what_was_leased_by_a_process_that_died_is_sent_again_under_the_same_id(play, sogndal):
    subscribed(play, sogndal, "case-changed")
    tell(play, ADMITTED)
    (lost,) = play.write(lambda tx: play.outbox.claim_notifications(tx, (), 4, play.clock()))
    play.outbox.send(lost)  # and dies before it has recorded that
    tell(play, READY)
    send(play)
    assert sogndal.numbers == [1]
    play.clock.forward(minutes=2)
    play.write(lambda tx: deliveries.free_leases(tx, play.clock()))
    send(play)
    assert sogndal.numbers == [1, 1, 2]
    ids = [one.headers["x-request-id"] for one in sogndal.taken][1:]
    assert ids[0] == ids[1] == sogndal.taken[1].bundle["id"] != ids[2]


# --- error and recovery -----------------------------------------------------------------------------------


def test_a_gap_is_filled_by_number_after_an_error(play, sogndal):
    name = subscribed(play, sogndal, "case-changed")
    tell(play, ADMITTED)
    send(play)
    sogndal.always = 500
    tell(play, READY)
    for _ in range(20):
        send(play)
        play.clock.forward(hours=1)
    assert state(play, name) == "error"
    tries = [one for one in sogndal.heard if one.answered == 500]
    assert len(tries) == play.outbox.subscriptions.most_failures
    assert alarms(play) == [("subscription", f"subscription {name}")]
    case = tell(play, DISCHARGED)  # missed, and counted
    send(play)
    assert len([one for one in sogndal.heard if one.answered == 500]) == len(tries)

    sogndal.always = 200
    again(play, name, sogndal, topic="case-changed")
    send(play)
    assert state(play, name) == "active"
    assert alarms(play) == []
    hand = sogndal.taken[-1].status
    assert (hand["type"], hand["events-since-subscription-start"]) == ("handshake", "3")
    missed = events(play, name, since=2)
    parts = [p["part"] for p in missed["entry"][0]["resource"]["parameter"] if "part" in p]
    assert [part[0]["valueString"] for part in parts] == ["2", "3"]
    assert parameters(missed)["type"] == "query-event"
    assert missed["entry"][1]["fullUrl"] == f"{BASE}/EpisodeOfCare/case-{case}"
    assert Model.model_validate(missed)
    tell(play, NoticeKind.ADMITTED, subject=TORBJORN)
    send(play)
    assert sogndal.numbers == [1, 4]


def test_a_success_begins_the_count_of_failures_anew(play, sogndal):
    name = subscribed(play, sogndal, "case-changed")
    for _ in range(3):
        sogndal.answers = [500] * (play.outbox.subscriptions.most_failures - 1)
        tell(play, NoticeKind.CARE_NEEDS)
        for _ in range(20):
            send(play)
            play.clock.forward(hours=1)
    assert state(play, name) == "active"
    assert sogndal.numbers == [1, 2, 3]


@pytest.mark.parametrize("fault", [404, GONE, 401, 302])
def test_an_answer_that_says_never_is_an_error_at_once_and_nothing_behind_it_is_sent(play, sogndal, fault):
    name = subscribed(play, sogndal, "case-changed")
    sogndal.always = fault
    tell(play, ADMITTED, READY)
    send(play)
    assert state(play, name) == "error"
    assert len(sogndal.heard) == 2
    assert [row["state"] for row in log(play)] == ["sent", "given-up", "given-up"]


def test_a_subscriber_that_asks_anew_does_not_wait_for_what_is_backing_off(play, sogndal, luster):
    name = subscribed(play, sogndal, "case-changed")
    sogndal.always = 503
    tell(play, ADMITTED)
    send(play)
    sogndal.always = 200
    again(play, name, sogndal, topic="case-changed")
    send(play)
    assert sogndal.kinds == ["handshake", "handshake"]
    assert state(play, name) == "active"


def test_one_that_is_on_its_way_when_the_subscriber_asks_anew_changes_nothing(play, sogndal):
    name = subscribed(play, sogndal, "case-changed")
    tell(play, ADMITTED)
    (old,) = play.write(lambda tx: play.outbox.claim_notifications(tx, (), 4, play.clock()))
    again(play, name, sogndal, topic="case-changed")
    sogndal.answers = [503]
    reply = play.outbox.send(old)
    assert play.write(lambda tx: play.outbox.record(tx, old, reply, play.clock())) == "gave-up"
    assert (state(play, name), alarms(play)) == ("requested", [])
    send(play)
    assert state(play, name) == "active"


def test_what_is_off_hears_and_counts_nothing(play, sogndal):
    name = subscribed(play, sogndal, "case-changed")
    again(play, name, sogndal, topic="case-changed", status="off")
    tell(play, ADMITTED)
    send(play)
    assert (state(play, name), sogndal.numbers) == ("off", [])
    again(play, name, sogndal, topic="case-changed")
    tell(play, READY)
    send(play)
    assert sogndal.numbers == [1]


def test_a_deleted_one_is_gone_with_what_waited(play, sogndal):
    name = subscribed(play, sogndal, "case-changed")
    tell(play, ADMITTED)
    play.write(lambda tx: asking(play).remove(tx, name, partner(play), play.clock()))
    tell(play, READY)
    send(play)
    assert sogndal.numbers == []
    assert play.rows(tables.subscription) == play.rows(tables.subscription_event) == []


def test_a_subscription_ends_when_it_said_that_it_would(play, sogndal):
    end = play.clock() + timedelta(hours=1)
    name = subscribed(play, sogndal, "case-changed", end=end.isoformat())
    play.clock.forward(hours=1)
    tell(play, ADMITTED)
    look(play)
    send(play)
    assert (state(play, name), sogndal.numbers) == ("off", [])
    assert play.rows(tables.subscription_event) == []


# --- heartbeats -------------------------------------------------------------------------------------------


def look(play: Stage) -> int:
    beats = Heartbeats(store=play.built.store, subscriptions=play.outbox.subscriptions, clock=play.clock)
    return beats()


def test_silence_is_broken_before_the_period_is_over(play, sogndal):
    subscribed(play, sogndal, heartbeat=60)
    for second in range(180):
        play.clock.forward(seconds=1)
        look(play)
        if second % 10 == 0 or play.rows(tables.delivery, state="waiting"):
            send(play)
    assert sogndal.kinds == ["handshake", "heartbeat", "heartbeat", "heartbeat"]
    last = sogndal.heard[-1].status
    assert (last["status"], last["events-since-subscription-start"]) == ("active", "0")
    assert "notification-event" not in last


def test_an_event_is_a_sign_of_life_too(play, sogndal):
    subscribed(play, sogndal, "case-changed", heartbeat=60)
    play.clock.forward(seconds=40)
    tell(play, ADMITTED)
    send(play)
    play.clock.forward(seconds=40)
    look(play)
    send(play)
    assert sogndal.kinds == ["handshake", "event-notification"]


def test_heartbeats_do_not_pile_up_before_a_closed_door(play, sogndal):
    name = subscribed(play, sogndal, heartbeat=10)
    sogndal.always = 503
    for _ in range(60):
        play.clock.forward(seconds=10)
        look(play)
        send(play)
    assert len([row for row in log(play) if row["state"] == "waiting"]) <= 1
    assert len(log(play)) == 2
    assert state(play, name) == "active"  # not yet failed often enough
    for _ in range(10):
        play.clock.forward(hours=3)
        look(play)
        send(play)
    assert state(play, name) == "error"


# --- who may learn of what --------------------------------------------------------------------------------


def test_a_stranger_learns_of_nothing(play, sogndal, luster):
    subscribed(play, luster, "case-changed", "luster-drift")
    tell(play, ADMITTED, READY, receivers=("sogndal",))
    send(play)
    assert luster.numbers == []
    assert play.rows(tables.subscription_event) == []
    tell(play, ADMITTED, receivers=("luster",), subject=TORBJORN)
    send(play)
    assert luster.numbers == [1]  # and no number tells how much there was that it may not know


def test_a_strangers_subscription_is_not_there(play, sogndal, luster):
    name = subscribed(play, sogndal)
    stranger = partner(play, "luster-drift")
    assert play.write(lambda tx: asking(play).listed(tx, stranger)) == []
    for unit in (
        lambda tx: asking(play).found(tx, name, stranger),
        lambda tx: asking(play).remove(tx, name, stranger, play.clock()),
        lambda tx: asking(play).change(tx, name, wanted(luster) | {"id": name}, stranger, play.clock()),
    ):
        with pytest.raises(NotFound):
            play.write(unit)
    assert state(play, name) == "active"


def test_an_event_is_one_where_a_partner_speaks_for_both_sides(play, sogndal):
    register = play.built.register
    both = replace(partner(play), parties=("laerdal-sjukehus", "sogndal"))
    others = tuple(p for p in register.partners if p.name != both.name)
    known = replace(register, partners=(both, *others))
    subscriptions = replace(play.outbox.subscriptions, register=known)
    outbox = replace(play.outbox, subscriptions=subscriptions)
    inbox = replace(play.built.inbox, outbox=outbox)
    play = replace(play, built=replace(play.built, outbox=outbox, inbox=inbox, register=known))
    subscribed(play, sogndal, "case-changed")
    tell(play, ADMITTED)
    send(play)
    assert sogndal.numbers == [1]


def synnove(play: Stage) -> str:
    return pseudonym(play.built.inbox.pseudonym_key, SYNNOVE)


def test_only_what_the_filters_ask_for_is_counted(play, sogndal):
    mine = synnove(play)
    filters = {
        "hers": (f"EpisodeOfCare?patient=Patient/{mine}",),
        "bare": (f"patient={mine}&hospital=laerdal-sjukehus",),
        "either": ("municipality=Organization/luster,Organization/sogndal",),
        "elsewhere": ("municipality=Organization/luster",),
        "another hospital": ("hospital=Organization/foerde", f"patient=Patient/{mine}"),
    }
    names = {
        which: subscribed(play, sogndal, "case-changed", filters=said) for which, said in filters.items()
    }
    tell(play, ADMITTED)
    tell(play, ADMITTED, subject=TORBJORN)
    (counted,) = [{r["name"]: r["events"] for r in play.rows(tables.subscription)}]
    assert {which: counted[name] for which, name in names.items()} == {
        "hers": 1, "bare": 1, "either": 2, "elsewhere": 0, "another hospital": 0,
    }  # fmt: skip


def test_nothing_leaves_for_an_address_that_the_region_has_taken_back(play, sogndal, luster):
    name = subscribed(play, sogndal, "case-changed")
    tell(play, ADMITTED)
    register = play.built.register
    shut = tuple(replace(p, subscription_endpoints=()) for p in register.partners)
    subscriptions = replace(play.outbox.subscriptions, register=replace(register, partners=shut))
    outbox = replace(play.outbox, subscriptions=subscriptions)
    play = replace(
        play, built=replace(play.built, outbox=outbox, inbox=replace(play.built.inbox, outbox=outbox))
    )
    send(play)
    assert sogndal.numbers == []
    assert state(play, name) == "error"
    assert "no longer allows" in play.rows(tables.alarm)[0]["text"]


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:{port}/other",
        "http://127.0.0.1:{port}/told/more",
        "http://127.0.0.1:{port}/told?to=elsewhere",
        "http://evil.example/told",
        "http://127.0.0.1:{port}@evil.example/told",
    ],
)
def test_only_addresses_of_the_region_file_may_be_told(play, sogndal, address):
    resource = wanted(sogndal)
    resource["channel"]["endpoint"] = address.format(port=sogndal.port)
    with pytest.raises(
        Refused, match=r"^Subscription.channel.endpoint: .*subscription_endpoints.*sogndal-drift"
    ):
        play.write(lambda tx: asking(play).make(tx, resource, partner(play), play.clock()))


@pytest.mark.parametrize("path", ["a/../../told", "a/%2e%2e/b", "a\\b", "a#b", "a b"])
def test_an_address_cannot_climb_out_of_what_is_allowed(play, luster, path):
    resource = wanted(luster)
    resource["channel"]["endpoint"] = f"http://127.0.0.1:{luster.port}/{path}"
    with pytest.raises(Refused, match="does not allow"):
        play.write(lambda tx: asking(play).make(tx, resource, partner(play, "luster-drift"), play.clock()))


# --- content ----------------------------------------------------------------------------------------------


def test_an_empty_notification_says_that_and_not_what(play, sogndal):
    name = subscribed(play, sogndal, content="empty")
    tell(play, READY)
    send(play)
    told = sogndal.heard[1]
    assert len(told.bundle["entry"]) == 1
    assert "focus" not in told.status["notification-event"]
    assert b"EpisodeOfCare" not in told.body
    asked = events(play, name, content=Content.ID_ONLY)
    assert asked["entry"][1]["fullUrl"].startswith(f"{BASE}/EpisodeOfCare/case-")


def test_whole_resources_are_refused_unless_the_region_allows_them(play, sogndal):
    with pytest.raises(Refused, match=r"not to share the record.*subscription_content"):
        subscribe(play, sogndal, content="full-resource")


def test_whole_resources_are_told_as_their_subscriber_may_read_them(store_url, clock, sogndal, luster):
    play = staged(store_url, clock, sogndal, luster, subscription_content=True)

    def shown(_tx, who, focus):
        kind, _, number = focus.partition("/")
        return {"resourceType": kind, "id": number, "status": "active", "patient": {"display": who.name}}

    subscriptions = replace(play.outbox.subscriptions, shown=shown)
    outbox = replace(play.outbox, subscriptions=subscriptions)
    play = replace(
        play, built=replace(play.built, outbox=outbox, inbox=replace(play.built.inbox, outbox=outbox))
    )
    name = subscribed(play, sogndal, content="full-resource")
    case = tell(play, READY)
    send(play)
    whole = {
        "resourceType": "EpisodeOfCare",
        "id": f"case-{case}",
        "status": "active",
        "patient": {"display": "sogndal-drift"},
    }
    assert sogndal.heard[1].bundle["entry"][1]["resource"] == whole
    assert events(play, name)["entry"][1]["resource"] == whole
    assert "resource" not in events(play, name, content=Content.ID_ONLY)["entry"][1]
    play.close()


def test_a_header_is_shown_to_the_receiver_and_to_nobody_else(play, sogndal):
    name = subscribed(play, sogndal, headers=("Authorization: Bearer s3cret-key", "X-Ward: 4"))
    assert sogndal.heard[0].headers["authorization"] == "Bearer s3cret-key"
    assert sogndal.heard[0].headers["x-ward"] == "4"
    (row,) = play.rows(tables.subscription)
    read = asking(play).read(row)
    assert read["channel"]["header"] == ["Authorization: ***", "X-Ward: ***"]
    asking_again = {k: v for k, v in read.items() if k not in ("meta",)} | {"status": "requested"}
    play.write(lambda tx: asking(play).change(tx, name, asking_again, partner(play), play.clock()))
    send(play)
    assert sogndal.heard[1].headers["authorization"] == "Bearer s3cret-key"
    sogndal.always = RESET
    tell(play, READY)
    send(play)
    said = [
        str(dict(r))
        for t in (tables.delivery, tables.attempt, tables.alarm, tables.history)
        for r in play.rows(t)
    ]
    assert not [one for one in said if "s3cret" in one]
    where = play.write(lambda tx: play.outbox.subscriptions.endpoint(tx, f"subscription/{name}"))
    assert dict(where.headers)["Authorization"] == "Bearer s3cret-key"
    assert "s3cret" not in repr(where)


# --- what it costs ----------------------------------------------------------------------------------------


def test_with_no_subscription_a_message_costs_one_indexed_look(tmp_path, clock, sogndal, luster):
    play = staged(f"sqlite:///{tmp_path}/store.db", clock, sogndal, luster)
    tell(play, ADMITTED)
    content, said = play.message(READY), []

    def unit(tx):
        driver: sqlite3.Connection = tx.connection.dbapi_connection
        driver.set_trace_callback(said.append)
        done = play.built.inbox.take(tx, play.built.inbox.read(incoming(content)), play.clock())
        driver.set_trace_callback(None)
        return done

    assert play.write(unit).outcome == "accepted"
    (look,) = [one for one in said if re.search(r"\bsubscription\b", one)]
    plan = play.write(lambda tx: [r[-1] for r in tx.execute(text(f"EXPLAIN QUERY PLAN {look}"))])
    assert "USING INDEX subscription_listening" in " ".join(plan)
    play.close()


def incoming(content: bytes):
    from adapter.incoming import Incoming

    return Incoming(content=content)


# --- beside other work ------------------------------------------------------------------------------------


def test_slow_subscribers_hold_up_no_message(play, sogndal):
    """However many of them do not answer, carriers are left for what the law waits for."""
    names = [subscribed(play, sogndal, "case-changed") for _ in range(TELLERS + 6)]
    sogndal.always, sogndal.pause = SLOW, 4.0
    tell(play, ADMITTED)
    carrier = Deliverer(store=play.built.store, inbox=play.built.inbox, outbox=play.outbox, clock=play.clock)
    started = carrier.round() + carrier.round()
    end = time.monotonic() + 3
    while not play.post.sent and time.monotonic() < end:
        time.sleep(0.01)
    assert [endpoint for endpoint, _ in play.post.sent] == ["sogndal"]
    leased = play.rows(tables.delivery, kind="subscription", state="leased")
    assert len(leased) == TELLERS < len(names)
    for one in started:
        one.result()
    carrier.stop()


def test_two_processes_number_events_once_and_in_the_order_in_which_they_are_sent(
    store_url, clock, sogndal, luster
):
    web, worker = (staged(store_url, clock, sogndal, luster) for _ in range(2))
    name = subscribed(web, sogndal, "case-changed")
    count = 30

    def many(play: Stage) -> None:
        for _ in range(count):
            play.write(
                lambda tx: play.outbox.subscriptions.occurred(
                    tx,
                    topic="case-changed",
                    case_id=None,
                    patient="P1",
                    focus="EpisodeOfCare/case-1",
                    parties=("sogndal",),
                    now=play.clock(),
                )
            )

    threads = [threading.Thread(target=many, args=(play,)) for play in (web, worker)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    send(web)
    assert sogndal.numbers == list(range(1, 2 * count + 1))
    assert [e["number"] for e in web.rows(tables.subscription_event)] == sogndal.numbers
    assert state(web, name) == "active"
    worker.close()
    web.close()


def test_a_start_of_the_adapter_leaves_what_waits_for_subscribers_in_its_place(play, sogndal):
    subscribed(play, sogndal, "case-changed")
    tell(play, ADMITTED)
    waiting = log(play)[-1]["id"]  # for whom the region has no endpoint, as where nobody signs in
    play.write(lambda tx: deliveries.change(tx, waiting, party="subscriber"))
    before = log(play)
    play.write(lambda tx: play.outbox.find_endpoints(tx, play.clock()))
    assert log(play) == before
    send(play)
    assert sogndal.numbers == [1]


def test_events_are_kept_as_long_as_retention_says(play, sogndal):
    name = subscribed(play, sogndal, "case-changed")
    tell(play, ADMITTED)
    play.clock.forward(days=20)
    tell(play, READY)
    play.clock.forward(days=20)
    month = timedelta(days=30)
    house = Housekeeping(
        store=play.built.store, outbox=play.outbox, clock=play.clock,
        keep_payloads=10 * month, keep_attempts=10 * month, keep_seen=month, keep_accesses=10 * month,
    )  # fmt: skip
    assert house.prune()["seen"] == 1
    parts = [p["part"] for p in events(play, name)["entry"][0]["resource"]["parameter"] if "part" in p]
    assert [part[0]["valueString"] for part in parts] == ["2"]
    assert parameters(events(play, name))["events-since-subscription-start"] == "2"


def test_a_person_may_resend_a_notification_and_that_changes_no_state(play, sogndal):
    name = subscribed(play, sogndal, "case-changed")
    sogndal.always = 404
    tell(play, ADMITTED)
    send(play)
    assert state(play, name) == "error"
    sogndal.always = 200
    play.write(lambda tx: play.outbox.resend(tx, log(play)[-1]["id"], play.clock(), by="solveig"))
    send(play)
    assert (sogndal.numbers, state(play, name)) == ([1], "error")


def test_a_subscription_that_we_cannot_read_any_more_holds_no_message(play, sogndal, luster):
    broken = subscribed(play, sogndal, "case-changed")
    subscribed(play, sogndal, "case-changed")
    play.write(
        lambda tx: tx.execute(
            tables.subscription.update().where(tables.subscription.c.name == broken).values(body="{}")
        )
    )
    tell(play, ADMITTED)
    send(play)
    assert sogndal.numbers == [1]
    assert alarms(play) == [("subscription", f"subscription {broken}")]


def test_paused_by_an_operator_it_waits(play, sogndal):
    name = subscribed(play, sogndal, "case-changed")
    play.write(lambda tx: deliveries.pause(tx, f"subscription/{name}", play.clock(), "solveig"))
    tell(play, ADMITTED)
    send(play)
    assert sogndal.numbers == []
    play.write(lambda tx: deliveries.resume(tx, f"subscription/{name}"))
    send(play)
    assert sogndal.numbers == [1]


def test_what_the_capability_statement_says_is_what_there_is():
    told = capability()
    assert [e["valueCanonical"].rpartition("/")[2] for e in told["extension"]] == list(FOCUS)
    assert {i["code"] for i in told["interaction"]} == {"create", "read", "update", "delete", "search-type"}
    statement = {
        "resourceType": "CapabilityStatement", "status": "active", "date": "2026-11-25", "kind": "instance",
        "fhirVersion": "4.0.1", "format": ["json"], "rest": [{"mode": "server", "resource": [told]}],
    }  # fmt: skip
    shape.check(statement, "CapabilityStatement")
