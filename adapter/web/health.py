"""For machines that watch: `/healthz` (alive), `/readyz` (the store answers), `/metrics` (Prometheus).

Labels are endpoints, states, kinds and outcomes; never a person, a case or a message id. All are open,
but for the metrics where the settings want an operator to sign in.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from adapter.errors import AdapterError
from adapter.inbox import Acceptance
from adapter.messaging.delivery import Leased, Reply
from adapter.store import Store, alarms, deliveries
from adapter.store import cases as case_rows
from adapter.web.signing_in import ASK, Doorkeeper


class Metrics:
    """What is counted as it happens, and what is looked up when somebody asks."""

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock
        self.registry = CollectorRegistry()
        self.messages = Counter(
            "discharge_messages_total",
            "Messages that came in",
            ["dialect", "outcome"],
            registry=self.registry,
        )
        self.accept_seconds = Histogram(
            "discharge_accept_seconds",
            "From the first byte to the answer",
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5),
            registry=self.registry,
        )
        self.attempts = Counter(
            "discharge_attempts_total", "Tries to deliver", ["endpoint", "outcome"], registry=self.registry
        )
        self.commits = Gauge("discharge_store_commits", "Commits since the start", registry=self.registry)
        self.queue = Gauge(
            "discharge_deliveries", "Unfinished deliveries", ["endpoint", "state"], registry=self.registry
        )
        self.oldest = Gauge(
            "discharge_oldest_delivery_seconds", "Age of the oldest unfinished delivery", ["endpoint"],
            registry=self.registry,
        )  # fmt: skip
        self.alarms = Gauge("discharge_alarms", "Alarms that are on", ["kind"], registry=self.registry)
        self.overdue = Gauge("discharge_deadlines_overdue", "Deadlines past due", registry=self.registry)

    def accepted(self, done: Acceptance, seconds: float | None = None) -> None:
        """A message was taken, refused or held."""
        self.messages.labels(done.dialect or "unknown", done.outcome).inc()
        if seconds is not None:
            self.accept_seconds.observe(seconds)

    def attempted(self, leased: Leased, reply: Reply, outcome: str) -> None:
        """A delivery was tried."""
        self.attempts.labels(leased.endpoint, outcome).inc()

    def text(self) -> bytes:
        """Everything, as Prometheus reads it."""
        now = self._clock()
        with self._store.read() as connection:
            depth = deliveries.queue_depth(connection)
            open_alarms = alarms.counts(connection)
            overdue = len(case_rows.all_deadlines(connection, overdue=True, now=now))
        for gauge in (self.queue, self.oldest, self.alarms):
            gauge.clear()
        oldest: dict[str, float] = {}
        for endpoint, state, count, since in depth:
            name = endpoint or "none"
            self.queue.labels(name, state).set(count)
            if since is not None and state != "sent":
                oldest[name] = max(oldest.get(name, 0.0), (now - since).total_seconds())
        for name, seconds in oldest.items():
            self.oldest.labels(name).set(seconds)
        for kind, count in open_alarms.items():
            self.alarms.labels(kind).set(count)
        self.overdue.set(overdue)
        self.commits.set(self._store.writer.commits)
        return generate_latest(self.registry)


def routes(store: Store, metrics: Metrics, doorkeeper: Doorkeeper | None = None) -> list[Route]:
    """The three addresses; a doorkeeper lets only operators see the metrics."""
    one = asyncio.Semaphore(1)  # a scrape reads the store, and anybody may ask for it

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("alive\n")

    async def readyz(_: Request) -> Response:
        try:
            await run_in_threadpool(store.ready)
        except AdapterError as error:
            return PlainTextResponse(f"not ready: {error}\n", status_code=503)
        return PlainTextResponse("ready\n")

    async def scrape(request: Request) -> Response:
        if doorkeeper is not None and (await doorkeeper.person(request)).name is None:
            return PlainTextResponse("sign in\n", status_code=401, headers={"WWW-Authenticate": ASK})
        try:
            async with one:
                body = await run_in_threadpool(metrics.text)
        except AdapterError as error:
            return PlainTextResponse(f"# not available: {error}\n", status_code=503)
        return Response(body, media_type="text/plain; version=0.0.4")

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", scrape)]
