"""A flood of receipts, from several partners and out of a folder at once, while messages still go out.

All are taken and none counts twice; web and worker are two stores over one database, as two processes are.
"""

import queue
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import orjson
import psutil
import pytest
import requests
from structlog.testing import capture_logs

from adapter.config import Region, Settings
from adapter.discharge.notices import NoticeKind
from adapter.messaging.acknowledgement import Status
from adapter.messaging.delivery import Reply
from adapter.messaging.register import Endpoint, Partner
from adapter.runtime import Adapter, now
from adapter.simulator.receipts import receipt
from adapter.store import tables
from adapter.transport import Outgoing
from tests.faults.conftest import with_endpoints
from tests.stage import FNR, SYNNOVE, Stage, region, stage

PUSHING, FOLDER = ("luster", "sogndal"), "vik"
RECEIVERS = (*PUSHING, FOLDER)
JSON = {"Content-Type": "application/fhir+json"}


def theirs(folder: Path) -> Region:
    """Three municipalities with systems of their own: two push receipts, one puts them into a folder."""
    known = region(**dict.fromkeys(RECEIVERS, "theirs"))
    known = with_endpoints(known, **{FOLDER: {"transport": "directory", "address": str(folder)}})
    for other in ("aardal", "leikanger"):  # nobody here
        known = with_endpoints(known, **{other: {"transport": "fhir", "address": "http://127.0.0.1:9/"}})
    partners = tuple(
        Partner(name=one, parties=(one,), token_sha256=sha256(one.encode()).hexdigest()) for one in PUSHING
    )
    return known.model_copy(update={"register_": replace(known.register_, partners=partners)})


class Municipalities:
    """They take everything, and give each receipt a moment later, some in the middle of the sending."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = ""
        self.waiting: queue.Queue[tuple[str, bytes] | None] = queue.Queue()
        self.statuses: dict[int, int] = {}
        self.pushed: list[tuple[str, bytes]] = []
        self._lock = threading.Lock()

    def __call__(self, message: Outgoing, endpoint: Endpoint) -> Reply:
        self.waiting.put((endpoint.name, message.content))
        return Reply(status=202, taken=True, delivered=True)

    def answer(self) -> None:
        """Give receipts until there are no more."""
        with requests.Session() as session:
            while (one := self.waiting.get()) is not None:
                name, content = one
                if name in RECEIVERS:
                    self.give(session, name, receipt(name, orjson.loads(content), Status.ACCEPTED, now()))

    def give(self, session: requests.Session, name: str, said: bytes) -> None:
        if name == FOLDER:
            place = self.folder / "in" / f"{sha256(said).hexdigest()}.json"
            part = place.with_suffix(".part")
            part.write_bytes(said)
            part.rename(place)
            return
        head = JSON | {"Authorization": f"Bearer {name}"}
        status = session.post(f"{self.url}/fhir/$process-message", said, headers=head, timeout=60).status_code
        with self._lock:
            self.statuses[status] = self.statuses.get(status, 0) + 1
            self.pushed.append((name, said))


@contextmanager
def running(url: str, folder: Path, who: Municipalities) -> Iterator[Stage]:
    """Web and worker over one store."""
    settings = Settings(port=0)
    web, worker = (stage(url, now, settings=settings, of=theirs(folder)) for _ in range(2))
    for play in (web, worker):
        play.post.answer = who
    sides = [Adapter(web.built, role="web"), Adapter(worker.built, role="worker")]
    try:
        who.url = sides[0].start() or ""
        sides[1].start()
        yield web
    finally:
        for side in reversed(sides):
            side.stop()


def flood(url: str, folder: Path, count: int) -> None:
    for name in ("in", "out"):
        (folder / name).mkdir()
    who = Municipalities(folder)
    with capture_logs() as logs, running(url, folder, who) as play, ThreadPoolExecutor(4) as pool:
        before = psutil.Process().memory_info().rss
        giving = [pool.submit(who.answer) for _ in range(4)]
        for number in range(count // len(RECEIVERS)):
            patient = replace(SYNNOVE, identifiers=((FNR, f"{21843000000 + number}"),))
            done = play.receive(play.message(NoticeKind.ADMITTED, receivers=RECEIVERS, subject=patient))
            assert done.outcome == "accepted"
        wanted = count // len(RECEIVERS) * len(RECEIVERS)
        until_all(play, wanted)
        for _ in giving:
            who.waiting.put(None)
        for one in giving:
            one.result()
        assert who.statuses == {200: wanted // len(RECEIVERS) * len(PUSHING)}
        once(play, wanted)
        with requests.Session() as session:  # some come again, as after a lost answer
            for name, said in who.pushed[:20]:
                who.give(session, name, said)
        assert list(who.statuses) == [200]
        once(play, wanted)
        grown = psutil.Process().memory_info().rss - before
        assert grown < 150_000_000, f"{grown} bytes more"
    assert [line for line in logs if line["log_level"] == "error"] == []
    assert list((folder / "in").iterdir()) == []
    assert len(list((folder / "done").iterdir())) == wanted // len(RECEIVERS)


def until_all(play: Stage, wanted: int) -> None:
    end = time.monotonic() + 60 + wanted / 20
    while True:
        found = play.rows(tables.fact, kind="accepted")
        if len(found) >= wanted:
            return
        assert time.monotonic() < end, f"{len(found)} of {wanted} receipts after that long"
        time.sleep(0.5)


def once(play: Stage, wanted: int) -> None:
    """One delivery, one receipt and one acceptance each."""
    deliveries = [row for row in play.rows(tables.delivery) if row["party"] in RECEIVERS]
    assert len(deliveries) == wanted
    assert {row["state"] for row in deliveries} == {"acknowledged"}
    assert len(play.rows(tables.fact, kind="accepted")) == wanted
    assert len(play.rows(tables.message, type="receipt")) == wanted
    assert play.rows(tables.alarm, until=None) == []


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.postgres_in_soak
def test_a_thousand_receipts_at_once_count_once_each(store_url: str, tmp_path: Path) -> None:
    (tmp_path / "vik").mkdir()
    flood(store_url, tmp_path / "vik", 999)


@pytest.mark.soak
@pytest.mark.timeout(1500)
def test_ten_thousand_receipts_at_once_count_once_each(store_url: str, tmp_path: Path) -> None:
    (tmp_path / "vik").mkdir()
    flood(store_url, tmp_path / "vik", 9_999)
