"""A subscriber's receiving end: a real HTTP server on loopback that answers as it is told, and keeps all."""

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson

from adapter.fhir import wire

RESET, GONE, SLOW = "reset", 410, "slow"


@dataclass(frozen=True, kw_only=True)
class Heard:
    """One request, and what its Bundle says."""

    headers: dict[str, str]
    body: bytes
    answered: object

    @property
    def bundle(self) -> dict[str, Any]:
        return wire.parse(self.body)

    @property
    def status(self) -> dict[str, Any]:
        return parameters(self.bundle)

    @property
    def number(self) -> int:
        return int(self.status["notification-event"]["event-number"])


def parameters(bundle: dict[str, Any]) -> dict[str, Any]:
    """The status in a Bundle, by name; of several events the last."""
    return named(bundle["entry"][0]["resource"]["parameter"])


def named(items: list[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in items:
        value = next((v for k, v in item.items() if k.startswith("value")), None)
        found[item["name"]] = named(item["part"]) if "part" in item else value
    return found


@dataclass
class Subscriber:
    """Answers 200, or what is next in `answers`, or always `always`."""

    answers: list[object] = field(default_factory=list)
    always: object = 200
    heard: list[Heard] = field(default_factory=list)
    body: bytes = b""
    pause: float = 3.0
    on_heard: Callable[[], object] = lambda: None  # called before the answer is given
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/told"

    @property
    def taken(self) -> list[Heard]:
        """Those that were answered with 2xx."""
        return [one for one in self.heard if isinstance(one.answered, int) and one.answered < 300]

    @property
    def numbers(self) -> list[int]:
        """The events that it has taken."""
        return [one.number for one in self.taken if one.status["type"] == "event-notification"]

    @property
    def kinds(self) -> list[str]:
        return [one.status["type"] for one in self.taken]

    def answer(self) -> object:
        return self.answers.pop(0) if self.answers else self.always


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A peer that was killed is no news."""


@contextmanager
def subscriber() -> Iterator[Subscriber]:
    found = Subscriber()

    class Told(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = found.answer()
            headers = {name.lower(): value for name, value in self.headers.items()}
            found.heard.append(Heard(headers=headers, body=body, answered=answer))
            found.on_heard()
            if answer == RESET:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True
                self.connection.close()
                return
            if answer == SLOW:
                time.sleep(found.pause)
                self.close_connection = True
                return
            assert isinstance(answer, int)
            self.send_response(answer)
            self.send_header("Content-Length", str(len(found.body)))
            if 300 <= answer < 400:
                self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.end_headers()
            self.wfile.write(found.body)

        def finish(self) -> None:
            try:
                super().finish()
            except (OSError, ValueError):
                return

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    server = _Quiet(("127.0.0.1", 0), Told)
    found.port = server.server_port
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()


def wanted(
    subscriber: Subscriber,
    topic: str = "discharge-ready",
    *,
    filters: tuple[str, ...] = (),
    content: str | None = None,
    media: str = "application/fhir+json",
    heartbeat: int | None = None,
    timeout: int | None = None,
    headers: tuple[str, ...] = (),
    **more: object,
) -> dict[str, Any]:
    """A Subscription as its subscriber asks for it."""
    base = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
    channel: dict[str, Any] = {"type": "rest-hook", "endpoint": subscriber.url, "payload": media}
    if content is not None:
        told = [{"url": f"{base}/backport-payload-content", "valueCode": content}]
        channel["_payload"] = {"extension": told}
    seconds = (("heartbeat-period", heartbeat), ("timeout", timeout))
    asked = [{"url": f"{base}/backport-{n}", "valueUnsignedInt": v} for n, v in seconds if v is not None]
    if asked:
        channel["extension"] = asked
    if headers:
        channel["header"] = list(headers)
    made: dict[str, Any] = {
        "resourceType": "Subscription",
        "meta": {"profile": [f"{base}/backport-subscription"]},
        "status": "requested",
        "reason": "To be told",
        "criteria": f"https://discharge-adapter.example/fhir/SubscriptionTopic/{topic}",
        "channel": channel,
    }
    if filters:
        made["_criteria"] = {
            "extension": [{"url": f"{base}/backport-filter-criteria", "valueString": f} for f in filters]
        }
    return made | more


def as_json(resource: dict[str, Any]) -> bytes:
    return orjson.dumps(resource)
