"""A rig of real processes on loopback, bounded in count and time: the adapter, its receivers, the load."""

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import psutil
import requests
from sqlalchemy import create_engine, text

from adapter.messaging.envelope import HER, Address
from tests import warm
from tests.receivers import ORDER

SETTLED = "The worker is running."
AProcess = subprocess.Popen[bytes] | warm.Process
ROOT = Path(__file__).parent.parent

TOKEN = "rig-token"
SENDER = Address(identifiers=((HER, "8143501"), (HER, "8143500")), name="Lærdal sjukehus")


def receiver_address(number: int) -> Address:
    return Address(identifiers=((HER, str(8150000 + number)),), name=f"Kommune {number}")


@dataclass
class Rig:
    """Processes around one folder; `start` and `kill` the adapter as often as you like."""

    folder: Path
    names: tuple[str, ...] = ("laerdal", "aurland", "luster", "sogndal", "vik")
    store: str | None = None
    settings: str = ""
    told: tuple[str, ...] = ()  # where the partner may be notified
    dies: bool = False  # on purpose, perhaps before it is ready
    wrapper: tuple[str, ...] = ("-m", "adapter.cli")
    port: int = 0
    worker_port: int = 0
    timeout: float = 10.0  # seconds that the adapter waits for a receiver
    adapter: "AProcess | None" = None
    worker: "AProcess | None" = None  # beside the web side, where the two are apart
    others: list[int] = field(default_factory=list)  # process ids of further workers
    faults: str = ""  # of the receivers, as the simulator takes them
    concurrency: int = 2  # sends at a time to each of them
    receivers: "AProcess | None" = None
    ports: dict[str, int] = field(default_factory=dict)
    ready_after: float = 0.0
    starts: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/fhir/$process-message"

    @property
    def receiver_addresses(self) -> tuple[Address, ...]:
        return tuple(receiver_address(n) for n in range(len(self.names)))

    @property
    def url_of_store(self) -> str:
        return self.store or f"sqlite:///{self.folder}/store.db"

    @property
    def config(self) -> Path:
        return self.folder / "adapter.toml"

    def start_receivers(self) -> None:
        self.receivers = subprocess.Popen(
            [sys.executable, "-m", "tests.receivers", str(self.folder), self.faults, *self.names],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parent.parent,
        )
        assert self.receivers.stdout is not None
        self.ports = orjson.loads(self.receivers.stdout.readline())

    def write_configuration(self) -> None:
        lines = ['name = "Rig"', 'agreement = "norway"', ""]
        lines += [
            "[[party]]", 'id = "laerdal-sjukehus"', 'name = "Lærdal sjukehus"', 'kind = "hospital"',
            'identifiers = ["HER|8143500", "HER|8143501"]', "",
        ]  # fmt: skip
        for number, name in enumerate(self.names):
            lines += [
                "[[party]]", f'id = "{name}"', f'name = "{name}"', 'kind = "municipality"',
                'receipt = "delivered"',
                f'identifiers = ["HER|{8150000 + number}"]', f'endpoint = "{name}"', "",
                "[[endpoint]]", f'name = "{name}"', 'transport = "fhir"', 'dialect = "fhir"',
                f'address = "http://127.0.0.1:{self.ports[name]}/fhir/$process-message"',
                f"concurrency = {self.concurrency}", f"timeout = {self.timeout}", "",
            ]  # fmt: skip
        digest = hashlib.sha256(TOKEN.encode()).hexdigest()
        parties = ", ".join(f'"{p}"' for p in ("laerdal-sjukehus", *self.names))
        lines += ["[[partner]]", 'name = "rig"', f"parties = [{parties}]", f'token_sha256 = "{digest}"']
        lines += [f"subscription_endpoints = {list(self.told)!r}", ""]
        (self.folder / "region.toml").write_text("\n".join(lines))
        self.config.write_text(
            f'region = "region.toml"\nstore = "{self.url_of_store}"\nport = {self.port}\n'
            f"worker_port = {self.worker_port}\n{self.settings}\n"
        )

    def start(self, *, role: str = "all", wait: float = 20.0) -> None:
        """Start the adapter and wait until it serves."""
        self.port = self.port or free_port()
        self.worker_port = self.worker_port or free_port()
        self.write_configuration()
        began = time.perf_counter()
        self.adapter = self.process("web" if role == "apart" else role)
        self.starts += 1
        while time.perf_counter() - began < wait:
            try:
                answer = requests.get(f"http://127.0.0.1:{self.port}/readyz", timeout=1)
                if answer.status_code == 200:
                    self.ready_after = time.perf_counter() - began
                    if role == "apart":
                        self.worker = self._started_worker()
                    return
            except requests.RequestException:
                if self.adapter.poll() is not None:
                    if self.dies:
                        return  # killed on purpose before it was ready
                    break
            time.sleep(0.02)
        raise AssertionError(f"the adapter did not start:\n{self.log()[-3000:]}")

    def _started_worker(self) -> "AProcess":
        """The other half of an adapter in two processes, once it is at work."""
        before, until = len(self.log()), time.monotonic() + 20
        process = self.process("worker")
        while SETTLED not in self.log()[before:]:
            assert process.poll() is None and time.monotonic() < until, self.log()[-3000:]
            time.sleep(0.02)
        return process

    def process(self, role: str, *, at_once: bool = False, **environment: str) -> "AProcess":
        """A process of the adapter; with `at_once` one that has been loaded, also where figures are taken."""
        words = [*self.wrapper, "--config", str(self.config), "run", "--role", role]
        env = os.environ | {"PYTHONPATH": str(ROOT)} | environment
        with (self.folder / "adapter.log").open("ab") as log:
            if at_once or warmed():
                return warm.start(words, cwd=self.folder, env=env, stdout=log, stderr=log)
            words = [sys.executable, *words]
            return subprocess.Popen(words, cwd=self.folder, env=env, stdout=log, stderr=log)

    def one_more_worker(self) -> int:
        """A further worker, loaded before and without metrics of its own; its process id."""
        started = self.process("worker", at_once=True, DISCHARGE_ADAPTER_WORKER_PORT="0")
        self.others.append(started.pid)
        return self.others[-1]

    def kill(self) -> None:
        assert self.adapter is not None
        self.adapter.send_signal(signal.SIGKILL)
        self.adapter.wait()

    def order_death(self, pid: int, after: int) -> None:
        """Have a receiver kill a process after so many messages, between its sending and recording."""
        part = self.folder / "kill.part"
        part.write_text(f"{pid} {after}")
        part.rename(self.folder / ORDER)

    def stop(self) -> None:
        for number in self.others:
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        for process in (self.worker, self.adapter, self.receivers):
            if process is not None and process.poll() is None:
                process.terminate()
                try:
                    process.wait(timeout=15)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def log(self) -> str:
        file = self.folder / "adapter.log"
        return file.read_text() if file.exists() else ""

    def arrivals(self) -> list[dict[str, object]]:
        """Every request that any receiver has logged."""
        found = []
        for name in self.names:
            file = self.folder / f"{name}.jsonl"
            if file.exists():
                found += [orjson.loads(line) for line in file.read_bytes().splitlines()]
        return found

    def cli(self, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
        """A command of the adapter over the same store."""
        words = ["-m", "adapter.cli", "--config", str(self.config), *arguments]
        if warmed():
            return warm.run(words, cwd=self.folder)
        own = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}
        return subprocess.run(
            [sys.executable, *words], capture_output=True, cwd=self.folder, env=own, check=False
        )

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        return self._metric(name, self.port)

    def commits(self) -> float:
        """Commits of all of the adapter's processes since they started."""
        apart = 0.0 if self.worker is None else self._metric("discharge_store_commits", self.worker_port)
        return apart + self.metric("discharge_store_commits")

    def unfinished(self) -> int:
        """Deliveries of which something can still become; looked up in the store, past the adapter."""
        waiting = "state IN ('waiting', 'leased') OR (state = 'sent' AND expects_receipt = 1)"
        return self.number(f"SELECT count(*) FROM delivery WHERE {waiting}")

    def unfinished_after(self, seconds: float) -> int:
        """What is unfinished once so many seconds have passed, or as soon as nothing is."""
        until = time.monotonic() + seconds
        while self.unfinished() and time.monotonic() < until:
            time.sleep(0.1)
        return self.unfinished()

    def _metric(self, name: str, port: int) -> float:
        text = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))

    def count(self, table: str) -> int:
        """Rows of a table of the embedded store."""
        return self.number(f"SELECT count(*) FROM {table}")

    def number(self, query: str) -> int:
        """What a query of one number says."""
        return int(str(self.rows(query)[0][0]))

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """What a query finds."""
        if self.store is None:
            with sqlite3.connect(f"file:{self.folder}/store.db?mode=ro", uri=True) as connection:
                return connection.execute(query).fetchall()
        engine = create_engine(self.store.replace("postgresql://", "postgresql+psycopg://"))
        try:
            with engine.connect() as connection:
                return [tuple(row) for row in connection.execute(text(query))]
        finally:
            engine.dispose()

    def cpu(self) -> float:
        """Processor seconds that the adapter has used."""
        return sum(sum(process.cpu_times()[:2]) for process in self._processes())

    def memory(self) -> int:
        """Resident bytes of the adapter's processes."""
        return sum(process.memory_info().rss for process in self._processes())

    def _processes(self) -> list[psutil.Process]:
        return [psutil.Process(p.pid) for p in (self.adapter, self.worker) if p is not None]


def warmed() -> bool:
    """Whether processes begin with everything loaded: in tests, and not where figures are taken."""
    return "PYTEST_CURRENT_TEST" in os.environ


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def rig(folder: Path, **more: object) -> Iterator[Rig]:
    """A rig whose receivers listen; everything ends with it."""
    made = Rig(folder=folder, **more)  # type: ignore[arg-type]
    try:
        made.start_receivers()
        yield made
    finally:
        made.stop()
