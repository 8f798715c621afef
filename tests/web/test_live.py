"""Live pages over HTTP: who is told what, and above all what nobody is told of others."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise

import pytest
import requests
from starlette.requests import Request

from adapter.discharge.notices import NoticeKind
from adapter.fhir.wire import parse, to_json
from adapter.messaging.people import Person, Role
from adapter.store import tables
from adapter.web import live as live_module
from adapter.web.entrance import Came
from tests.conftest import OSLO, StandingClock
from tests.plan_fixtures import protect
from tests.stage import TORBJORN

from .conftest import Site, site

QUIET = 0.6
"""Seconds in which whatever is told would have come: two looks and a pace."""

BEFORE = "before.0"
"""A version of another process: whoever has it is told to look at everything."""


@dataclass
class Door:
    """A doorkeeper who lets in whom the request names, until they are sent away."""

    people: dict[str, Person]

    async def person(self, request: Request) -> Came:
        return Came(person=self.people.get(request.query_params.get("as", "operator")))


def somebody(name: str, role: Role, *parties: str) -> Person:
    return Person(id=name, name=name, roles=frozenset({role}), parties=parties or None)


def people() -> dict[str, Person]:
    known = (
        somebody("operator", Role.OPERATIONS),
        somebody("ward", Role.WARD, "laerdal-sjukehus"),
        somebody("sogndal", Role.MUNICIPALITY, "sogndal"),
        somebody("luster", Role.MUNICIPALITY, "luster"),
        somebody("everybody", Role.WARD),
        replace(somebody("several", Role.MUNICIPALITY, "sogndal"), named=False),
    )
    return {one.id: one for one in known}


class Stream:
    """One connection, as a browser has it."""

    def __init__(self, url: str, who: str, since: str = BEFORE, **more: object) -> None:
        asked = {"as": who, "since": since}
        self.answer = requests.get(f"{url}/live", params=asked, stream=True, timeout=30, **more)  # type: ignore[arg-type]
        self.events: list[tuple[str, str, object]] = []
        self.ended = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        event: dict[str, str] = {}
        try:
            for line in self.answer.iter_lines(chunk_size=1, decode_unicode=True):
                name, _, value = line.partition(": ")
                if line:
                    event[name] = value
                elif event:
                    self.events.append((event["event"], event.get("id", ""), json.loads(event["data"])))
                    event = {}
        except Exception:  # noqa: BLE001  # closed by the test
            pass
        self.ended.set()

    @property
    def news(self) -> list[object]:
        return [data for name, _, data in list(self.events) if name == "news"]

    def told(self, seconds: float = 8.0) -> dict[str, list[int]]:
        """All that was told, together, once something was."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.news:
            time.sleep(0.02)
        time.sleep(QUIET)
        found: dict[str, list[int]] = {}
        for data in self.news:
            for kind, ids in data.items():  # type: ignore[attr-defined]
                found[kind] = ids if ids is True else sorted({*found.get(kind, []), *ids})
        return found


@contextmanager
def streams(found: Site, *names: str, since: str = BEFORE) -> Iterator[list[Stream]]:
    opened = [Stream(found.url, name, since) for name in names]
    try:
        yield opened
    finally:
        for one in opened:
            one.answer.close()


@pytest.fixture
def open_site(tmp_path, monkeypatch) -> Iterator[Site]:
    quicker = {"CHECKED": 0.0, "PACE": 0.1, "LOOKS": 0.05, "AT_LEAST": 0.1, "SLACK": 0.4}
    for name, seconds in quicker.items():
        monkeypatch.setattr(live_module, name, seconds)
    clock = StandingClock(datetime(2014, 3, 3, 10, 0, tzinfo=OSLO))
    with site(tmp_path, clock) as found:
        live = found.adapter.live
        assert live is not None
        live.entrance = Door(people())  # type: ignore[assignment]
        live.beat = 0.3
        yield found


def settle(*opened: Stream) -> None:
    """The watcher knows what there is, and everybody has been told to look once."""
    until = time.monotonic() + 8
    while time.monotonic() < until and not all(one.news for one in opened):
        time.sleep(0.02)
    time.sleep(0.3)  # it may be told twice while the watcher begins
    for one in opened:
        assert one.news and all(told == {"all": True} for told in one.news)
        one.events.clear()


def test_each_is_told_of_their_own_and_of_nobody_elses(open_site):
    """A notice from Lærdal to Sogndal: Luster hears nothing, not even that something was."""
    with streams(open_site, "operator", "ward", "sogndal", "luster", "everybody") as opened:
        settle(*opened)
        operator, ward, sogndal, luster, everybody = opened
        open_site.stage.receive(open_site.stage.message(NoticeKind.ADMITTED, receivers=("sogndal",)))
        assert ward.told() == sogndal.told() == everybody.told() == {"case": [1]}
        assert operator.told() == {"case": [1], "delivery": [1], "message": [1]}
        assert luster.news == []
        assert {name for name, _, _ in luster.events} == {"beat"}


def test_of_a_shared_patient_a_notice_between_others_is_no_news(open_site):
    stage = open_site.stage
    stage.receive(stage.message(NoticeKind.ADMITTED, receivers=("sogndal", "luster")))
    with streams(open_site, "sogndal", "luster") as opened:
        settle(*opened)
        sogndal, luster = opened
        stage.receive(stage.message(NoticeKind.CARE_NEEDS, receivers=("luster",)))
        assert luster.told() == {"case": [1]}
        assert sogndal.news == []


def test_an_account_of_several_people_hears_nothing_of_who_has_a_protected_identity(open_site):
    stage = open_site.stage
    hidden = parse(stage.message(NoticeKind.ADMITTED))
    protect(hidden)
    stage.receive(to_json(hidden), channel="http")
    stage.built.inbox.shelves.catch_up()
    with streams(open_site, "sogndal", "several") as opened:
        settle(*opened)
        sogndal, several = opened
        stage.receive(stage.message(NoticeKind.CARE_NEEDS))
        stage.receive(stage.message(NoticeKind.ADMITTED, subject=TORBJORN, encounter="LS-2"))
        assert sogndal.told() == {"case": [1, 2]}
        assert several.told() == {"case": [2]}


def test_a_version_tells_time_and_nothing_of_how_much_has_happened(open_site):
    stage = open_site.stage
    with streams(open_site, "luster") as (luster,):
        settle(luster)
        for encounter in ("LS-1", "LS-2"):
            stage.receive(stage.message(NoticeKind.ADMITTED, receivers=("sogndal",), encounter=encounter))
        time.sleep(3 * QUIET)
        versions = [version for _, version, _ in luster.events]
    processes = {version.partition(".")[0] for version in versions}
    times = [int(version.partition(".")[2]) for version in versions]
    assert len(processes) == 1 and len(times) > 3
    assert all(250 <= after - before <= 1500 for before, after in pairwise(times))


def test_who_comes_again_is_told_what_was_missed_and_only_that(open_site):
    stage = open_site.stage
    with streams(open_site, "luster") as (keeps_it_awake,):
        settle(keeps_it_awake)
        live = open_site.adapter.live
        time.sleep(live_module.SLACK + 0.2)  # a version lies back a little, and must not reach the first look
        since = live.version()
        time.sleep(live_module.SLACK)
        stage.receive(stage.message(NoticeKind.ADMITTED, receivers=("sogndal",)))
        time.sleep(QUIET)
        with streams(open_site, "sogndal", "luster", since=since) as (sogndal, luster):
            assert sogndal.told() == {"case": [1]}
            assert luster.news == []
        with streams(open_site, "sogndal", "luster", since="another.5000") as restarted:
            assert [one.told() for one in restarted] == [{"all": True}] * 2
        with streams(open_site, "luster", since="<script>") as (odd,):
            assert odd.told() == {"all": True}


def test_an_attempt_an_alarm_and_a_deadline_that_passes_are_news(open_site):
    stage = open_site.stage
    stage.receive(stage.message(NoticeKind.ADMITTED, receivers=("aardal",), subject=TORBJORN))
    with streams(open_site, "operator", "ward") as opened:
        settle(*opened)
        operator, ward = opened
        stage.deliver()
        assert operator.told()["delivery"] == [1]
        ward.told()
        ward.events.clear()
        operator.events.clear()
        stage.clock.forward(days=3)
        assert ward.told() == {"case": [1]}
        operator.events.clear()
        alarms, now = stage.built.outbox.alarms, stage.clock()
        stage.built.store.write(
            lambda tx: alarms.start(tx, kind="test", subject="test", text="A test.", now=now)
        )
        assert operator.told()["alarm"] == [1]


def test_who_may_not_look_any_more_is_sent_away(open_site):
    with streams(open_site, "sogndal", "luster") as (sogndal, luster):
        settle(sogndal, luster)
        del open_site.adapter.live.entrance.people["sogndal"]
        assert sogndal.ended.wait(3)
        assert sogndal.events[-1][0] == "gone"
        assert not luster.ended.is_set()


def test_nobody_and_other_sites_are_let_in_nowhere(open_site):
    assert open_site.get("/live?as=nobody").status_code == 401
    assert "WWW-Authenticate" not in open_site.get("/live?as=nobody").headers  # no dialog over a page
    assert requests.head(f"{open_site.url}/live?as=nobody", timeout=5).status_code == 401
    assert requests.head(f"{open_site.url}/live?as=ward", timeout=5).status_code == 200
    elsewhere = {"Sec-Fetch-Site": "cross-site"}
    assert open_site.get("/live?as=ward", headers=elsewhere).status_code == 403


def test_connections_are_bounded_and_given_back(open_site, monkeypatch):
    monkeypatch.setattr(live_module, "MOST_EACH", 2)
    with streams(open_site, "ward", "ward") as opened:
        settle(*opened)
        refused = open_site.get("/live?as=ward")
        assert refused.status_code == 503 and refused.headers["Retry-After"] == "30"
    until = time.monotonic() + 5
    while time.monotonic() < until and open_site.adapter.live._connected:
        time.sleep(0.05)
    assert not open_site.adapter.live._connected


def test_what_waits_for_a_slow_reader_is_bounded():
    connected = live_module._Connected(person=people()["ward"], loop=None)  # type: ignore[arg-type]
    for number in range(10 * live_module.MOST_NAMED):
        connected.offer({"case": {number}})
        assert sum(map(len, connected.news.values())) <= live_module.MOST_NAMED
    assert connected.take() == b'{"all":true}'
    assert connected.take() is None


def test_proxies_are_told_to_pass_each_line_on(open_site):
    with streams(open_site, "ward") as (ward,):
        headers = ward.answer.headers
        assert headers["Content-Type"].startswith("text/event-stream")
        assert headers["X-Accel-Buffering"] == "no"
        assert headers["Cache-Control"] == "no-store, no-transform"
        assert "script-src 'self'" in headers["Content-Security-Policy"]


def test_an_adapter_that_stops_waits_for_no_open_page(tmp_path):
    clock = StandingClock(datetime(2014, 3, 3, 10, 0, tzinfo=OSLO))
    with site(tmp_path, clock) as found:
        stream = Stream(found.url, "operator", cookies=found.cookies)
        settle(stream)
        began = time.monotonic()
    assert time.monotonic() - began < 2.5
    assert stream.ended.wait(1)


def test_a_store_that_fails_a_while_has_everybody_look_anew(open_site, monkeypatch):
    from adapter.errors import StoreError
    from adapter.store.news import Newsreader

    with streams(open_site, "luster") as (luster,):
        settle(luster)
        with monkeypatch.context() as patched:

            def broken(*_: object) -> None:
                raise StoreError("the store cannot be read: gone")

            patched.setattr(Newsreader, "read", broken)
            time.sleep(0.5)
        assert luster.told() == {"all": True}


def test_a_page_that_keeps_itself_up_to_date_does_not_keep_its_session(tmp_path):
    """Else a page left open would leave its person signed in for ever."""
    clock = StandingClock(datetime(2014, 3, 3, 10, 0, tzinfo=OSLO))
    with site(tmp_path, clock) as found:

        def seen() -> datetime:
            return found.stage.rows(tables.session)[-1]["seen_at"]

        before = seen()
        clock.forward(minutes=30)
        assert requests.head(f"{found.url}/live", cookies=found.cookies, timeout=5).status_code == 200
        assert found.get("/", headers={"X-Live": "again"}).status_code == 200
        assert seen() == before
        assert found.get("/").status_code == 200
        assert seen() == clock()


def test_a_page_that_keeps_itself_up_to_date_is_one_look(tmp_path):
    """Else each open list would fill the record of who has looked; what is not written down yet, is."""
    clock = StandingClock(datetime(2014, 3, 3, 10, 0, tzinfo=OSLO))
    with site(tmp_path, clock) as found:
        found.stage.receive(found.stage.message(NoticeKind.ADMITTED, receivers=("sogndal",)))
        ward, again = found.seen_by(Role.WARD), {"X-Live": "again"}

        def looks() -> int:
            return len(found.stage.rows(tables.fhir_access))

        assert ward.get("/stays/1").status_code == 200
        assert looks() == 1
        for _ in range(3):
            clock.forward(minutes=1)
            assert ward.get("/stays/1", headers=again).status_code == 200
        assert looks() == 1
        assert found.get("/cases/1", headers=again).status_code == 200  # the header is not believed
        assert looks() == 2
        clock.forward(minutes=31)
        ward.get("/stays/1", headers=again)
        assert looks() == 3
        ward.get("/stays/1")
        assert looks() == 4
