"""How soon each board page is there, and how large it is, over a year of a region (`year`).

A real server over 50,000 cases and 500,000 deliveries; a browser's way of asking, one request after another
over a connection that is kept. Limits: 300 ms for 95 of 100 looks and 200 kB a page; 200 ms for a search of
a text that occurs nowhere. A page that does not exist yet is named and passed over. On a machine that others
share, the server's own processor time tells what a page would take alone.
"""

import random
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from time import clock_gettime, perf_counter
from typing import NamedTuple

from sqlalchemy import create_engine, make_url, text

from adapter.messaging.people import Role
from tests.bench import year
from tests.conftest import OSLO
from tests.rig import Rig
from tests.stage import REGION

MOST_MS, MOST_BYTES = 300.0, 200_000
MOST_MS_IN_VAIN = 200.0
NOWHERE = "zzxqvj"
"""A text that occurs in no delivery."""
TIMES = 40
STALE = timedelta(hours=20)
"""After which a store that was kept is filled anew: its current stays are no longer current."""

ADDRESSES = (
    "/",
    "/cases",
    "/cases/{case}",
    "/cases/{case}/why",
    "/deadlines",
    "/deliveries",
    "/deliveries?state=refused",
    "/deliveries?state=waiting",
    "/deliveries?state=given-up",
    "/deliveries?state=leased",
    "/deliveries?awaiting=1",
    "/deliveries?party=vik",
    "/deliveries?party=vik&state=refused",
    "/deliveries?patient={patient}",
    "/deliveries?before={middle}",
    "/deliveries/{delivery}",
    "/messages/{message}",
    "/quarantine",
    "/endpoints",
    "/payments",
    "/payments?month={month}",
    "/alarms",
    "/figures",
    "/figures?period=month",
    "/figures?from={first_day}&until={last_day}",
    "/ward",
    "/ward?group=left&sort=name",
    "/ward?q=hauge",
    "/municipality",
    "/municipality?q=hauge",
    "/municipality?q={nowhere}",
    "/primary-care",
    "/primary-care?q=hauge",
    "/stays/{case}",
    "/downtime",
    "/looks",
    "/deliveries?text=ukjend",
    "/deliveries?text={nowhere}",
)
"""Every board page, each with what it is asked about in braces."""


_ROLES = {
    "ward": Role.WARD, "stays": Role.WARD, "downtime": Role.WARD, "municipality": Role.MUNICIPALITY,
    "primary-care": Role.PRIMARY_CARE, "looks": Role.AUDITOR,
}  # fmt: skip
"""Whose page it is, by its first word; all others are for operators."""


class Looked(NamedTuple):
    """What looking at one address a number of times has told."""

    p50: float
    p95: float
    busy_p50: float  # milliseconds of processor time of the server
    busy_p95: float
    size: int


@dataclass
class Site(Rig):
    """The web side over a filled store, as somebody who has signed in sees it."""

    connection: HTTPConnection | None = field(default=None, repr=False)
    sessions: dict[str, str] = field(default_factory=dict)  # cookies, by role

    def write_configuration(self) -> None:
        """The region as it is, in an open house: whoever comes chooses a role."""
        self.config.write_text(
            f'region = "{REGION}"\nstore = "{self.url_of_store}"\nport = {self.port}\n'
            f"worker_port = {self.worker_port}\n"
        )

    def look(self, path: str) -> tuple[int, bytes]:
        """The status and the page, as somebody sees it whose page it is."""
        page = path.split("?", maxsplit=1)[0].strip("/").split("/")[0]
        role = _ROLES.get(page, Role.OPERATIONS).value
        if role not in self.sessions:
            self.sessions[role] = self._sign_in(role)
        answer, content = self._ask("GET", path, Cookie=self.sessions[role])
        return answer.status, content

    def _sign_in(self, role: str) -> str:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        answer, _ = self._ask("POST", "/sign-in", f"as={role}", **form)
        return (answer.getheader("Set-Cookie") or "").split(";")[0]

    def _ask(
        self, method: str, path: str, body: str | None = None, **headers: str
    ) -> tuple[HTTPResponse, bytes]:
        self.connection = self.connection or HTTPConnection("127.0.0.1", self.port, timeout=600)
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        return answer, answer.read()


def boards(keep: Path | None = None, cases: int = year.CASES) -> dict[str, object]:
    """Each page's p50, p95 and size; with `keep` over the store in that folder, filled where it must be."""
    figures: dict[str, object] = {}
    with _folder(keep) as folder:
        figures |= prepared(folder, cases)
        url = f"sqlite:///{folder}/store.db"
        with served(folder, url) as site:
            for address, told in _measured(site, _chosen(url)):
                figures[f"boards: {address}"] = told
                print(f"{address:<44} {told}", flush=True)
    return figures


def prepared(folder: Path, cases: int = year.CASES) -> dict[str, object]:
    """Fill the folder's store, unless there is a fresh one of that size already."""
    made = folder / "made"
    now = datetime.now(OSLO).replace(microsecond=0)  # noqa: TID251  # the bench's own clock
    known = made.read_text().split() if made.exists() else ["0", "2000-01-01T00:00:00+00:00"]
    if int(known[0]) == cases and now - datetime.fromisoformat(known[1]) < STALE:
        year.caught_up(f"sqlite:///{folder}/store.db", now)
        return {"boards: filled": f"kept from {known[1]}"}
    for old in (*folder.glob("*.db*"), made):
        old.unlink(missing_ok=True)
    began = perf_counter()
    year.filled(folder, now, cases=cases)
    made.write_text(f"{cases} {now.isoformat()}")
    return {"boards: filled in (s)": round(perf_counter() - began)}


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()
        return
    made = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def served(folder: Path, url: str) -> Iterator[Site]:
    """The adapter over the store at `url`, until the end of the block."""
    site = Site(folder=folder, store=url)
    try:
        site.start(role="web", wait=60)
        yield site
    finally:
        if site.connection is not None:
            site.connection.close()
        site.stop()


def _chosen(url: str) -> list[Mapping[str, str]]:
    """What to ask about, a number of times: current stays and what belongs to them."""
    chance = random.Random(5)
    engine = create_engine(make_url(url))
    with engine.connect() as tx:
        current = "SELECT id, patient FROM discharge_case WHERE discharged_at IS NULL ORDER BY id DESC"
        cases = tx.execute(text(current)).all()
        newest = tx.execute(text("SELECT max(id) FROM delivery")).scalar_one()
        messages = tx.execute(text("SELECT max(id) FROM message")).scalar_one()
    engine.dispose()
    today = datetime.now(OSLO).date()  # noqa: TID251  # the bench's own clock
    found = []
    for _ in range(TIMES):
        case, patient = chance.choice(cases)
        found.append(
            {
                "case": str(case),
                "patient": patient,
                "delivery": str(chance.randint(1, newest)),
                "message": str(chance.randint(1, messages)),
                "middle": str(chance.randint(newest // 4, newest)),
                "month": f"{today - timedelta(days=chance.randint(30, 300)):%Y-%m}",
                "nowhere": NOWHERE,
                "first_day": (today - timedelta(days=60)).isoformat(),
                "last_day": (today - timedelta(days=30)).isoformat(),
            }
        )
    return found


def _measured(site: Site, chosen: list[Mapping[str, str]]) -> Iterator[tuple[str, str]]:
    site.look("/")
    for address in ADDRESSES:
        status, page = site.look(address.format(**chosen[0]))
        if status in (303, 403, 404):  # 303: nobody of the region signs in for such a page
            yield address, "not there yet"
            continue
        if status != 200:
            raise SystemExit(f"{address}: {status} {page[:500]!r}")
        if "text=" in address and b'name="text"' not in page:
            yield address, "not there yet: the log has no search"
            continue
        looked = _looked(site, [address.format(**one) for one in chosen])
        most = MOST_MS_IN_VAIN if NOWHERE in address.format(**chosen[0]) else MOST_MS
        failed = [
            *(["too slow"] if looked.p95 > most else []),
            *(["too large"] if looked.size > MOST_BYTES else []),
        ]
        told = (
            f"{looked.p50:.0f} / {looked.p95:.0f} ms ({looked.busy_p50:.0f} / {looked.busy_p95:.0f} busy), "
            f"{looked.size / 1000:.0f} kB"
        )
        yield address, " ".join([told, *(["<-"] if failed else []), ", ".join(failed)]).strip()


def _looked(site: Site, paths: list[str]) -> Looked:
    spent, busy, largest = [], [], 0
    for path in paths:
        began, used = perf_counter(), _busy(site)
        _, page = site.look(path)
        spent.append((perf_counter() - began) * 1000)
        busy.append((_busy(site) - used) * 1000)
        largest = max(largest, len(page))
        if spent[-1] > 10 * MOST_MS or (len(spent) == 8 and spent[-1] > 3 * MOST_MS):
            break  # hopeless, and the others want to be measured too
    (p50, p95), (busy_p50, busy_p95) = _half_and_most(spent), _half_and_most(busy)
    return Looked(p50=p50, p95=p95, busy_p50=busy_p50, busy_p95=busy_p95, size=largest)


def _half_and_most(taken: list[float]) -> tuple[float, float]:
    """The median, and what 95 of 100 do not exceed."""
    ordered = sorted(taken)
    return ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]


def _busy(site: Site) -> float:
    """Seconds of processor time that the server has used so far, by the clock of its process."""
    assert site.adapter is not None
    return clock_gettime(~site.adapter.pid << 3 | 2)  # as clock_getcpuclockid(3) names that clock
