"""Once a day what we hold is compared with what partners' servers hold; nothing is changed by looking.

The servers are the simulator's, over real HTTP: the message server, a FHIR server that is polled, and one on
which plans are put.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest

from adapter.config import FhirMailboxSettings, Settings
from adapter.discharge.notices import NoticeKind
from adapter.fhir.pushing import etag_of
from adapter.fhir.wire import parse
from adapter.mappings.kith.message_server import posting
from adapter.reconciliation import Compared, Comparison, Daily, Reconciliation, due, message_servers
from adapter.reconciliation.fhir_servers import WithMailbox, WithPlans
from adapter.runtime import reconciliation
from adapter.scheduler.polling import Round
from adapter.simulator.fhir_server import FhirServer
from adapter.simulator.message_server import Ordered
from adapter.simulator.threads import serving
from adapter.store import remembered, tables
from adapter.transport.fhir_rest import FhirMailbox
from tests.conftest import OSLO, StandingClock
from tests.message_servers import CASE_WORK, NURSING, WARD, Exchange, exchange
from tests.municipal_server import SERVER, Place, place
from tests.stage import Stage, stage

pytestmark = pytest.mark.postgres_in_soak

K = NoticeKind


def only(found: Any) -> Any:
    (one,) = found
    return one


def found(compared: list[Compared]) -> dict[str, str]:
    """What differs with the only server, by what it is."""
    one = only(compared)
    assert one.fault is None
    return {d.what: d.text for d in one.differences}


def on(play: Stage) -> list[str]:
    """What the alarms that are on are about."""
    return [a["subject"] for a in play.rows(tables.alarm, kind="reconciliation") if a["until"] is None]


# --- the message server ------


@pytest.fixture
def nhn(store_url: str, tmp_path: Path, clock: StandingClock) -> Iterator[Exchange]:
    with exchange(tmp_path, clock, store_url) as made:
        yield made


def compare(place: Exchange) -> list[Compared]:
    return reconciliation(place.stage.built)()


def test_where_both_hold_the_same_nothing_is_told_and_nothing_is_changed(nhn: Exchange) -> None:
    nhn.send(K.ADMITTED)
    nhn.server.asked.clear()
    assert found(compare(nhn)) == {}
    assert {one.method for one in nhn.server.asked if one.path.startswith("/Messages")} == {"GET"}
    assert on(nhn.stage) == []


def test_what_the_server_does_not_know_is_told_until_it_does(nhn: Exchange) -> None:
    delivery = nhn.send(K.ADMITTED)
    held = dict(nhn.server.holds)
    nhn.server.holds.clear()
    (text,) = found(compare(nhn)).values()
    assert f"1 deliveries that we hold as sent are not known there: {delivery['id']}" in text
    assert f"`discharge-adapter resend {delivery['id']}`" in text
    compare(nhn)
    assert on(nhn.stage) == ["message server nhn: not known there"]
    nhn.server.holds.update(held)
    assert found(compare(nhn)) == {}
    assert on(nhn.stage) == []


def test_what_is_rejected_or_long_unconfirmed_there_is_told(nhn: Exchange, clock: StandingClock) -> None:
    nhn.server.away |= {NURSING, CASE_WORK}
    nhn.send(K.ADMITTED)
    nhn.send(K.READY_FOR_DISCHARGE)
    first, _ = nhn.server.holds
    assert found(compare(nhn)) == {}
    nhn.server.settle(first, NURSING, "Rejected")
    assert list(found(compare(nhn))) == ["rejected there"]
    clock.forward(hours=25)
    assert sorted(found(compare(nhn))) == ["rejected there", "unconfirmed there for over a day"]


def test_what_was_sent_and_is_not_known_as_what_is_told(nhn: Exchange) -> None:
    delivery = nhn.send(K.ADMITTED)
    nhn.stage.write(lambda tx: remembered.forget(tx, "nhn", [f"went/{delivery['id']}"]))
    assert "sent, and not known as what" in found(compare(nhn))


def mail_to_the_ward(nhn: Exchange) -> str:
    """Årdal's system sends a report; the server's id of it."""
    content = nhn.stage.plo(K.REPORT_OF_ADMISSION, sender="aardal", receivers=("laerdal-sjukehus",))
    reply = nhn.aardal.call("POST", "/Messages", nhn.aardal.place(), body=posting(content, ()))
    assert reply.taken, reply.error
    return str(list(nhn.server.holds)[-1])


def test_mail_that_lies_unread_for_over_a_day_is_told(nhn: Exchange, clock: StandingClock) -> None:
    number = mail_to_the_ward(nhn)
    clock.forward(hours=23)
    assert found(compare(nhn)) == {}
    clock.forward(hours=2)
    assert number in found(compare(nhn))["mail lies unread"]
    assert not nhn.server.holds[number].receivers[WARD].read
    assert nhn.poll() == 1
    assert found(compare(nhn)) == {}


def test_mail_that_somebody_else_has_read_while_we_fetched_it_is_told(
    nhn: Exchange, clock: StandingClock
) -> None:
    number = mail_to_the_ward(nhn)
    nhn.stage.write(lambda tx: remembered.keep(tx, "nhn", f"came/8143520/{uuid4()}", number, clock()))
    clock.forward(hours=2)
    assert found(compare(nhn)) == {}  # it is still listed
    nhn.server.holds[number].receivers[WARD].read = True
    assert number in found(compare(nhn))["read, and never taken"]


def test_what_was_taken_is_not_told_as_lost(nhn: Exchange, clock: StandingClock) -> None:
    mail_to_the_ward(nhn)
    assert nhn.poll() == 1
    clock.forward(hours=2)
    assert found(compare(nhn)) == {}


def test_a_server_that_is_away_is_told_and_asked_again_the_next_day(nhn: Exchange) -> None:
    nhn.send(K.ADMITTED)
    nhn.server.holds.clear()
    compare(nhn)
    for _ in range(9):
        nhn.server.order(Ordered.RESET, "GET")
    one = only(compare(nhn))
    assert one.fault is not None
    assert sorted(on(nhn.stage)) == [
        "message server nhn: not compared",
        "message server nhn: not known there",
    ]
    nhn.server.faults.clear()
    compare(nhn)
    assert on(nhn.stage) == ["message server nhn: not known there"]


def test_so_many_are_asked_about_in_one_day_and_the_next_ones_the_next(
    nhn: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_servers, "MOST", 1)
    for kind in (K.ADMITTED, K.READY_FOR_DISCHARGE):
        nhn.send(kind)
    asked = []
    for _ in range(2):
        nhn.server.asked.clear()
        compare(nhn)
        asked.append(only(one.path for one in nhn.server.requests("GET", "/status")))
    assert asked[0] != asked[1]


# --- a FHIR server that is polled ------


@dataclass
class Polled:
    """A hospital's server whose mail we poll."""

    stage: Stage
    server: FhirServer
    clock: StandingClock

    def hold(self, kind: NoticeKind = K.ADMITTED) -> None:
        self.server.put(parse(self.stage.message(kind)))

    def poll(self) -> int:
        built = self.stage.built
        endpoint = only(c for c in reconciliation(built).comparisons if isinstance(c, WithMailbox)).endpoint
        box = FhirMailbox(endpoint, clock=self.clock, sleep=lambda _: None)
        return Round(
            name="hospital", channel="poll", mailbox=box,
            partner=None, store=built.store, inbox=built.inbox, clock=self.clock,
        )()  # fmt: skip

    def compare(self) -> list[Compared]:
        whole = reconciliation(self.stage.built)
        quick = [replace(c, sleep=lambda _: None) for c in whole.comparisons if isinstance(c, WithMailbox)]
        return replace(whole, comparisons=quick)()


@pytest.fixture
def polled(store_url: str, clock: StandingClock) -> Iterator[Polled]:
    server = FhirServer("hospital", clock=clock)
    with serving(server):
        box = FhirMailboxSettings(name="hospital", address=server.base)
        settings = Settings(fhir_mailboxes=(box,))
        play = stage(store_url, clock, settings=settings)
        yield Polled(stage=play, server=server, clock=clock)
        play.close()


def test_what_is_listed_there_and_was_never_taken_is_told(polled: Polled, clock: StandingClock) -> None:
    polled.hold()
    assert polled.poll() == 1
    clock.forward(hours=2)
    polled.hold(K.READY_FOR_DISCHARGE)
    assert found(polled.compare()) == {}  # it may be on its way in
    clock.forward(hours=2)
    polled.server.asked.clear()
    assert "1 resources of the last 7 days are listed there" in found(polled.compare())["not taken"]
    assert {one.method for one in polled.server.asked} == {"GET"}
    assert polled.poll() == 1  # looking has taken nothing, and moved no cursor
    assert found(polled.compare()) == {}
    assert on(polled.stage) == []


def test_what_was_held_in_quarantine_has_been_taken(polled: Polled, clock: StandingClock) -> None:
    polled.server.put({"resourceType": "Task", "status": "requested", "intent": "order"})
    polled.poll()
    clock.forward(hours=2)
    assert found(polled.compare()) == {}


def test_a_mailbox_that_cannot_be_asked_is_told(polled: Polled) -> None:
    polled.server.refuses = 503
    one = only(polled.compare())
    assert "HTTP 503" in str(one.fault)
    assert on(polled.stage) == ["mailbox hospital: not compared"]


# --- a server of plans ------


@pytest.fixture
def luster(store_url: str, clock: StandingClock) -> Iterator[Place]:
    with place(store_url, clock) as made:
        yield made


def compared(luster: Place, *, beside: Comparison | None = None) -> list[Compared]:
    built = luster.stage.built
    endpoint = built.register.endpoint(SERVER)
    assert endpoint is not None
    one = WithPlans(
        endpoint=endpoint, store=built.store, shelves=built.shelves, clock=luster.clock, sleep=lambda _: None
    )
    alarms = built.outbox.alarms
    both = [beside, one] if beside is not None else [one]
    return Reconciliation(store=built.store, alarms=alarms, comparisons=both, clock=luster.clock)()


def test_a_plan_that_stands_there_as_it_was_put_is_no_difference(luster: Place) -> None:
    luster.put()
    luster.clock.forward(hours=3)
    luster.server.asked.clear()
    assert found(compared(luster)) == {}
    assert {one.method for one in luster.server.asked} == {"GET"}


@pytest.mark.parametrize("kind", ["CarePlan", "Task"])
def test_what_was_put_there_and_is_gone_is_told(luster: Place, kind: str) -> None:
    luster.put()
    luster.server.delete(kind, luster.server.one(kind)["id"])
    text = found(compared(luster))["gone there"]
    assert f"1 resources that we have put there are gone: {kind}/" in text
    assert f"`discharge-adapter resend {luster.delivery()['id']}`" in text


def test_another_version_that_was_not_read_is_told_after_a_while(luster: Place) -> None:
    luster.put()
    luster.edit("CarePlan", title="Plan for Synnøve")
    assert found(compared(luster)) == {}
    luster.clock.forward(hours=2)
    text = found(compared(luster))["another version there"]
    assert "Synnøve" not in text
    assert luster.poll() == 1
    assert found(compared(luster)) == {}


def test_a_task_that_is_open_at_one_end_only_is_told(luster: Place) -> None:
    luster.put()
    luster.edit("Task", status="completed")
    luster.clock.forward(hours=2)
    text = found(compared(luster))["Tasks differ"]
    assert "1 Tasks are ended at one end only: Task/" in text
    assert "here, completed there)" in text
    luster.poll()
    luster.clock.forward(hours=2)
    assert found(compared(luster)) == {}


def test_a_plan_in_conflict_is_told_by_its_own_alarm_only(luster: Place) -> None:
    luster.put()
    luster.edit("CarePlan", title="Deira")
    luster.told(goal="Gå til butikken")
    luster.deliver()
    assert [a["kind"] for a in luster.alarms()] == ["plan-conflict"]
    luster.clock.forward(hours=2)
    assert found(compared(luster)) == {}


def test_a_server_of_plans_that_is_away_is_told(luster: Place) -> None:
    luster.put()
    luster.server.refuses = 401
    one = only(compared(luster))
    assert "does not let us in" in str(one.fault)
    assert on(luster.stage) == [f"plans at {SERVER}: not compared"]


class Garbled:
    """A server whose answers a comparison stumbles over."""

    peer = "plans at garbled"

    def __call__(self) -> list[Any]:
        """Stumble."""
        raise AttributeError("'str' object has no attribute 'get': 13116900216")


def test_a_server_that_answers_rubbish_is_told_and_keeps_nobody_from_comparing_the_others(
    luster: Place,
) -> None:
    luster.put()
    luster.server.delete("Task", luster.server.one("Task")["id"])
    first, second = compared(luster, beside=Garbled())
    assert first.fault == "its answers cannot be understood (AttributeError)"
    assert [one.what for one in second.differences] == ["gone there"]
    assert on(luster.stage) == ["plans at garbled: not compared", f"plans at {SERVER}: gone there"]


@pytest.mark.parametrize("meta", ["rubbish", ["rubbish"], 7, {"versionId": 7}])
def test_a_resource_with_a_rubbish_meta_has_no_version(meta: Any) -> None:
    assert etag_of({"resourceType": "CarePlan", "id": "1", "meta": meta}) is None


def test_the_alarm_of_a_server_that_is_no_longer_compared_ends(luster: Place) -> None:
    luster.put()
    luster.server.refuses = 401
    compared(luster)
    assert on(luster.stage) == [f"plans at {SERVER}: not compared"]
    built = luster.stage.built
    alarms = built.outbox.alarms
    Reconciliation(store=built.store, alarms=alarms, comparisons=[], clock=luster.clock)()
    assert on(luster.stage) == []


# --- once a day ------

AT = time(4, 30)
ZONE = ZoneInfo("Europe/Oslo")


def local(day: int, hour: int, minute: int = 0, month: int = 3) -> datetime:
    return datetime(2014, month, day, hour, minute, tzinfo=OSLO)


@pytest.mark.parametrize(
    ("last", "now", "is_due"),
    [
        (local(3, 4, 31), local(3, 23), False),
        (local(3, 4, 31), local(4, 4, 29), False),
        (local(3, 4, 31), local(4, 4, 30), True),
        (local(3, 4, 31), local(9, 3), True),  # days were missed
        (local(9, 3), local(9, 4), False),  # and are made up once
        (local(9, 3), local(9, 4, 30), True),
        (local(29, 4, 31), local(30, 4, 29), False),  # the night that has no 02:30
        (local(29, 4, 31), local(30, 4, 30), True),
    ],
)
def test_it_is_due_once_a_day(last: datetime, now: datetime, is_due: bool) -> None:
    assert due(last, now, AT, ZONE) is is_due


def test_in_the_night_that_has_no_such_hour_it_is_done_once() -> None:
    at, last = time(2, 30), local(29, 2, 31)
    moments = [local(29, 12) + timedelta(minutes=10 * n) for n in range(24 * 6)]
    done = 0
    for now in moments:
        if due(last, now, at, ZONE):
            done, last = done + 1, now
    assert done == 1


def test_the_job_compares_once_a_day_whatever_happens(polled: Polled, clock: StandingClock) -> None:
    polled.server.refuses = 503
    whole = reconciliation(polled.stage.built)
    quick = [replace(c, sleep=lambda _: None) for c in whole.comparisons if isinstance(c, WithMailbox)]
    job = Daily(reconciliation=replace(whole, comparisons=quick), at=AT, zone=ZONE)
    assert job() == 0  # a new store waits for its first time
    clock.forward(hours=18)  # four in the morning
    assert job() == 0
    clock.forward(minutes=31)
    assert (job(), job()) == (1, 0)
    clock.forward(days=3)
    assert (job(), job()) == (1, 0)
