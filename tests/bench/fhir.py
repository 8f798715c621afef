"""What the FHIR endpoint costs over 100,000 resources: searches, pages, reads and changes over HTTP.

One client asks one thing after another over one connection; every patient, resource and page is another one,
so that little of it is in the adapter's memory.
"""

import hashlib
import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.client import HTTPConnection
from pathlib import Path
from time import perf_counter
from typing import Any

import orjson
from sqlalchemy import func, select, text

from adapter.store import Store
from adapter.store.tables import metadata, resource
from tests.bench.shelved import START, fill
from tests.conftest import REGION, StandingClock, packaged_postgres
from tests.rig import Rig
from tests.stage import stage

PATIENTS = 3200
_TIMES = 300
_CHANGES = 100
_PAGES = 60
_TOKENS = {"laerdal-sjukehus": "bench-hospital", "luster": "bench-luster"}
_CHUNK = 2000  # rows copied at once


def fhir(patients: int = PATIENTS) -> dict[str, object]:
    """The store is filled once, as messages fill it, and its rows are copied to PostgreSQL."""
    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        embedded = f"sqlite:///{folder}/store.db"
        figures |= _filled(embedded, patients)
        with packaged_postgres(folder / "postgres") as server:
            _copy(embedded, server)
            for engine, url in (("SQLite", embedded), ("PostgreSQL", server)):
                (folder / engine).mkdir()
                with served(folder / engine, url) as place:
                    figures |= {f"fhir, {engine}: {k}": v for k, v in _measured(place).items()}
    return figures


def _filled(url: str, patients: int) -> dict[str, object]:
    clock = StandingClock(at=START + timedelta(hours=1))
    made = stage(url, clock)
    began = perf_counter()
    cost = fill(made, clock, patients)
    seconds = perf_counter() - began
    counts = made.counts()
    made.close()
    return {
        "fhir: resources / versions / on shelves": f"{counts['resource']} / {counts['resource_version']} / "
        f"{counts['shelf']}",
        "fhir: filled in (s)": round(seconds),
        **{f"fhir: {name} a message, first / last tenth (ms)": _tenths(ms) for name, ms in cost.items()},
    }


def _tenths(ms: list[float]) -> str:
    some = max(1, len(ms) // 10)
    return f"{sum(ms[:some]) / some:.1f} / {sum(ms[-some:]) / some:.1f}"


def _copy(source: str, target: str) -> None:
    from adapter.store.migrations import migrate

    here, there = Store(source), Store(target)
    migrate(there)
    with here.engine.connect() as reading, there.engine.begin() as writing:
        for table in metadata.sorted_tables:
            writing.execute(table.delete())
            result = reading.execution_options(stream_results=True).execute(select(table))
            for rows in result.mappings().partitions(_CHUNK):
                writing.execute(table.insert(), [dict(row) for row in rows])
            if "id" in table.c and table.c.id.autoincrement is True:
                most = select(func.coalesce(func.max(table.c.id), 1)).scalar_subquery()
                writing.execute(
                    select(func.setval(func.pg_get_serial_sequence(f'"{table.name}"', "id"), most))
                )
    with there.engine.begin() as writing:
        writing.execute(text("ANALYZE"))  # as its own housekeeping does within a minute
    here.close()
    there.close()


# --- the adapter in a process of its own ------------------------------------------------------------------


@dataclass
class Place(Rig):
    """The web side over a filled store, for partners of a hospital and of a municipality."""

    connection: HTTPConnection | None = field(default=None, repr=False)

    def write_configuration(self) -> None:
        partners = "".join(
            f'\n[[partner]]\nname = "bench-{party}"\nparties = ["{party}"]\n'
            f'token_sha256 = "{hashlib.sha256(token.encode()).hexdigest()}"\n'
            for party, token in _TOKENS.items()
        )
        (self.folder / "region.toml").write_text(REGION.read_text() + partners)
        self.config.write_text(
            f'region = "region.toml"\nstore = "{self.url_of_store}"\nport = {self.port}\n'
            f"worker_port = {self.worker_port}\n"
        )

    def ask(
        self, path: str, party: str, *, method: str = "GET", body: bytes | None = None, **headers: str
    ) -> dict[str, Any]:
        """One answer as JSON; anything but 200 ends the bench."""
        self.connection = self.connection or HTTPConnection("127.0.0.1", self.port, timeout=60)
        known = {"Authorization": f"Bearer {_TOKENS[party]}", "Content-Type": "application/fhir+json"}
        self.connection.request(method, f"/fhir/{path}", body=body, headers=known | headers)
        answer = self.connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{method} {path.partition('?')[0]}: {answer.status} {content[:500]!r}")
        return dict(orjson.loads(content))


@contextmanager
def served(folder: Path, url: str) -> Iterator[Place]:
    """The adapter over the store at `url`, until the end of the block."""
    place = Place(folder=folder, store=url)
    try:
        place.start(role="web", wait=60)
        yield place
    finally:
        if place.connection is not None:
            place.connection.close()
        place.stop()


# --- what is asked ----------------------------------------------------------------------------------------


def _measured(place: Place) -> dict[str, object]:
    chance = random.Random(7)  # chooses whom to ask about
    query = select(resource.c.fhir_id).where(resource.c.type == "Patient").order_by(resource.c.id)
    store = Store(place.url_of_store)
    with store.read() as tx:
        patients = list(tx.execute(query).scalars())
    store.close()
    figures: dict[str, object] = {}

    def timed(name: str, acts: Iterator[Callable[[], object]]) -> None:
        spent = []
        for act in acts:
            began = perf_counter()
            act()
            spent.append((perf_counter() - began) * 1000)
        spent.sort()
        p50, p95 = (spent[min(len(spent) - 1, int(len(spent) * share))] for share in (0.5, 0.95))
        figures[f"{name}, p50 / p95 (ms)"] = f"{p50:.1f} / {p95:.1f}"

    def search(path: str, party: str = "laerdal-sjukehus") -> Callable[[], object]:
        return lambda: place.ask(path, party)

    search(f"Task?patient={patients[0]}")()  # the connection, and what is imported at first use
    for kind in ("Task", "CarePlan", "Encounter"):
        chosen = [chance.choice(patients) for _ in range(_TIMES)]
        timed(f"{kind}?patient=", (search(f"{kind}?patient={one}") for one in chosen))
    for name in ("Task?_count=50", "Encounter?_count=50&_sort=_lastUpdated"):
        timed(f"{name}, first page", (search(name) for _ in range(_PAGES)))
        timed(f"{name}, next pages", _walking(place, name))
    rare = "Task?status=on-hold"
    timed(f"{rare}, which no Task is", (search(rare) for _ in range(_PAGES)))
    tasks = [_one_task(place, chance.choice(patients)) for _ in range(_TIMES)]
    timed("read a Task", (search(f"Task/{task['id']}") for task in tasks))
    theirs = [task for task in tasks if task["owner"]["reference"] == "Organization/luster"]
    timed("update a Task of a plan", _accepting(place, [t for t in theirs if "basedOn" in t][:_CHANGES]))
    asked = _asked(place)
    timed("update a Task that a ready notice asks", _accepting(place, asked))
    return figures


def _walking(place: Place, first: str) -> Iterator[Callable[[], object]]:
    """The pages after the first one, as their links lead."""
    found = [place.ask(first, "laerdal-sjukehus")]
    for _ in range(_PAGES):
        link = next((one["url"] for one in found[-1]["link"] if one["relation"] == "next"), None)
        if link is None:
            return
        path = link.partition("/fhir/")[2]
        yield lambda path=path: found.append(place.ask(path, "laerdal-sjukehus"))


def _one_task(place: Place, patient: str) -> dict[str, Any]:
    found = place.ask(f"Task?patient={patient}&_count=1", "laerdal-sjukehus")
    return dict(found["entry"][0]["resource"])


def _asked(place: Place) -> list[dict[str, Any]]:
    path = f"Task?code=receive-patient&status=requested&_count={_CHANGES}"
    return [item["resource"] for item in place.ask(path, "luster")["entry"]]


def _accepting(place: Place, tasks: list[dict[str, Any]]) -> Iterator[Callable[[], object]]:
    for known in {task["id"]: task for task in tasks}.values():
        task = place.ask(f"Task/{known['id']}", "luster")
        if task["status"] != "requested":
            continue
        tag = f'W/"{task["meta"]["versionId"]}"'
        body = orjson.dumps(task | {"status": "accepted", "executionPeriod": {"start": "2014-03-10"}})
        path = f"Task/{task['id']}"

        def act(path: str = path, body: bytes = body, tag: str = tag) -> None:
            place.ask(path, "luster", method="PUT", body=body, **{"If-Match": tag})

        yield act
