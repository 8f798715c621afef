"""What a process counts, as Prometheus reads it; and the small door at which a worker by itself is read.

Labels are endpoints, states, kinds and outcomes; never a person, a case or a message id.
"""

import threading
from collections.abc import Callable
from datetime import datetime
from http.server import BaseHTTPRequestHandler, HTTPServer

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from adapter.errors import AdapterError, ConfigurationError
from adapter.inbox import Acceptance
from adapter.messaging.delivery import Leased, Reply
from adapter.parcels import SUBSCRIPTION
from adapter.store import Store, alarms, deliveries, endpoint_health, subscriptions
from adapter.store import cases as case_rows

CONTENT_TYPE = "text/plain; version=0.0.4"


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
        self.fhir = Histogram(
            "discharge_fhir_seconds", "Reads, searches and changes at /fhir", ["what", "status"],
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5),
            registry=self.registry,
        )  # fmt: skip
        self.commits = Gauge("discharge_store_commits", "Commits since the start", registry=self.registry)
        self.queue = Gauge(
            "discharge_deliveries", "Unfinished deliveries", ["endpoint", "state"], registry=self.registry
        )
        self.oldest = Gauge(
            "discharge_oldest_delivery_seconds", "Age of the oldest unfinished delivery", ["endpoint"],
            registry=self.registry,
        )  # fmt: skip
        self.resting = Gauge(
            "discharge_endpoint_resting", "1 while an endpoint rests", ["endpoint"],
            registry=self.registry,
        )  # fmt: skip
        self.alarms = Gauge("discharge_alarms", "Alarms that are on", ["kind"], registry=self.registry)
        self.subscriptions = Gauge(
            "discharge_subscriptions", "Subscriptions", ["status"], registry=self.registry
        )
        self.overdue = Gauge("discharge_deadlines_overdue", "Deadlines past due", registry=self.registry)

    def accepted(self, done: Acceptance, seconds: float | None = None) -> None:
        """A message was taken, refused or held."""
        self.messages.labels(done.dialect or "unknown", done.outcome).inc()
        if seconds is not None:
            self.accept_seconds.observe(seconds)

    def served(self, what: str, status: int, seconds: float) -> None:
        """Somebody has read, searched or changed something at /fhir."""
        self.fhir.labels(what, str(status)).observe(seconds)

    def attempted(self, leased: Leased, reply: Reply, outcome: str) -> None:
        """A delivery was tried."""
        self.attempts.labels(_place(leased.endpoint), outcome).inc()

    def text(self) -> bytes:
        """Everything, as Prometheus reads it."""
        now = self._clock()
        with self._store.read() as connection:
            depth = deliveries.queue_depth(connection)
            open_alarms = alarms.counts(connection)
            ailing = endpoint_health.ailing(connection)
            subscribed = subscriptions.counts(connection)
            overdue = len(case_rows.all_deadlines(connection, overdue=True, now=now))
        for gauge in (self.queue, self.oldest, self.resting, self.alarms, self.subscriptions):
            gauge.clear()
        oldest: dict[str, float] = {}
        for endpoint, state, count, since in depth:
            name = _place(endpoint or "none")
            self.queue.labels(name, state).inc(count)
            if since is not None and state != "sent":
                oldest[name] = max(oldest.get(name, 0.0), (now - since).total_seconds())
        for name, seconds in oldest.items():
            self.oldest.labels(name).set(seconds)
        for name, health in ailing.items():
            self.resting.labels(name).set(int(health.resting_since is not None))
        for kind, count in open_alarms.items():
            self.alarms.labels(kind).set(count)
        for status, count in subscribed.items():
            self.subscriptions.labels(status).set(count)
        self.overdue.set(overdue)
        self.commits.set(self._store.writer.commits)
        return generate_latest(self.registry)


def _place(endpoint: str) -> str:
    """An endpoint as a label; subscriptions come and go, and are one."""
    return SUBSCRIPTION if endpoint.startswith(f"{SUBSCRIPTION}/") else endpoint


class Door:
    """`/metrics` and nothing else, on this machine only: a worker listens nowhere else."""

    def __init__(self, metrics: Metrics, port: int) -> None:
        try:
            self._server = HTTPServer(("127.0.0.1", port), _answering(metrics))
        except OSError as fault:
            raise ConfigurationError(
                f"worker_port: cannot listen on 127.0.0.1:{port} ({fault.strerror}); choose another"
            ) from fault
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.1,), name="metrics", daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()


def _answering(metrics: Metrics) -> type[BaseHTTPRequestHandler]:
    class Answer(BaseHTTPRequestHandler):
        timeout = 5  # seconds for a request: one that dawdles keeps the others waiting

        def do_GET(self) -> None:
            try:
                status, body = (200, metrics.text()) if self.path == "/metrics" else (404, b"not found\n")
            except AdapterError as error:
                status, body = 503, f"# not available: {error}\n".encode()
            self.send_response(status)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """No access log."""

    return Answer
