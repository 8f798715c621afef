"""As many messages as the adapter will take, from a process of its own: `python -m adapter.simulator.load`.

The load comes as JSON on standard input and the result leaves as JSON on standard output. Where a rate is
offered, latency counts from when a message was due, so that a stalled adapter cannot hide its stall.
"""

import asyncio
import math
import subprocess
import sys
from array import array
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import datetime
from time import perf_counter, process_time
from typing import IO

import orjson

from adapter.errors import AdapterError
from adapter.messaging.envelope import Address
from adapter.simulator.http import Target
from adapter.simulator.moulds import Moulds, Stays

_AGAIN = 0.05  # seconds before a broken connection is opened anew
_BROKEN = "broken"
_RETRIED = (_BROKEN, "408", "425", "429", "500", "502", "503", "504")


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """What to send. `first` is the number of the first message: other numbers are other messages.

    With `stays`, both `first` and `count` are of whole stays.
    """

    url: str  # of $process-message
    token: str = field(repr=False)
    sender: Address
    receivers: tuple[Address, ...]
    at: datetime  # the instant that the messages give as theirs
    count: int
    connections: int = 8
    rate: float | None = None  # messages per second; None is as fast as answers come
    first: int = 0
    seed: int = 0
    persist: bool = False  # send again, unchanged, what was not answered with a 2xx
    stays: bool = False  # several messages a patient, each sent when the one before it has been answered
    limit: float = 600.0  # seconds, after which what has no answer is given up

    @classmethod
    def from_json(cls, content: bytes) -> "Load":
        """The load that `to_json` wrote."""
        found = orjson.loads(content)
        found["sender"] = _address(found["sender"])
        found["receivers"] = tuple(_address(one) for one in found["receivers"])
        found["at"] = datetime.fromisoformat(found["at"])
        return cls(**found)

    def to_json(self) -> bytes:
        """For the process that sends it."""
        return orjson.dumps(asdict(self))

    def moulds(self) -> Moulds | Stays:
        """The messages of this load."""
        made = Stays if self.stays else Moulds
        return made(self.sender, self.receivers, at=self.at, seed=self.seed)


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What came of a load. Latencies are of answered requests, in milliseconds."""

    count: int  # messages answered with a 2xx
    seconds: float
    rate: float  # of these messages, per second
    p50_ms: float
    p99_ms: float
    max_ms: float
    statuses: dict[str, int]  # by HTTP status, and `broken` for connections; every try counts
    cpu_ms: float  # of this process, per message
    acknowledged: tuple[str, ...] = field(repr=False)  # MessageHeader.ids answered with a 2xx

    @classmethod
    def from_json(cls, content: bytes) -> "Result":
        """The result that `to_json` wrote."""
        found = orjson.loads(content)
        return cls(**{**found, "acknowledged": tuple(found["acknowledged"])})

    def to_json(self) -> bytes:
        """For whoever asked."""
        return orjson.dumps(asdict(self))


def percentile(sorted_values: "array[float]", share: float) -> float:
    """The nearest-rank percentile: the least value that `share` of all do not exceed; 0 of none."""
    if not sorted_values:
        return 0.0
    return sorted_values[max(0, math.ceil(share * len(sorted_values)) - 1)]


class Run:
    """One load on its way: which message is next, and what has been learned."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.target = Target.of(load.url)
        self.head = self.target.request_head(load.token)
        self.moulds = load.moulds()
        self.done = asyncio.Event()
        self._next = 0
        self._taken = 0
        self._open = load.count
        self._latencies = array("d")
        self._statuses: Counter[str] = Counter()
        self._acknowledged = array("q")
        self._began = perf_counter()
        self._began_cpu = process_time()

    def take(self, after: int | None = None) -> tuple[int, float] | None:
        """The next message's number and when it is due; None when there are no more.

        After a message of a stay comes the next of that stay, over the same connection.
        """
        together = self.moulds.together
        if after is not None and (after + 1) % together:
            number = after + 1
        elif self._next >= self.load.count:
            return None
        else:
            number, self._next = self.load.first + self._next, self._next + together
        now = perf_counter()
        due = now if self.load.rate is None else max(self._began + self._taken / self.load.rate, 0.0)
        self._taken += 1
        return number, due

    def learn(self, n: int, status: str, due: float) -> bool:
        """Note an answer; whether the message must be sent again."""
        self._statuses[status] += 1
        if status != _BROKEN:
            self._latencies.append((perf_counter() - due) * 1000)
        if status.startswith("2"):
            self._acknowledged.append(n)
        elif self.load.persist and status in _RETRIED:
            return True
        self._open -= 1
        if self._open == 0:
            self.done.set()
        return False

    def result(self) -> Result:
        """The figures so far."""
        seconds = perf_counter() - self._began
        ordered = array("d", sorted(self._latencies))
        good = len(self._acknowledged)
        return Result(
            count=good,
            seconds=seconds,
            rate=good / seconds,
            p50_ms=percentile(ordered, 0.50),
            p99_ms=percentile(ordered, 0.99),
            max_ms=ordered[-1] if ordered else 0.0,
            statuses=dict(self._statuses),
            cpu_ms=(process_time() - self._began_cpu) * 1000 / max(1, self._statuses.total()),
            acknowledged=tuple(self.moulds.message_id(n) for n in self._acknowledged),
        )


class _Connection(asyncio.Protocol):
    """One connection: a message, its answer, the next."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._message: tuple[int, float] | None = None
        self._last: int | None = None  # the message before, also where it was lost
        self._content = b""
        self._sent = False

    async def open(self) -> None:
        """Connect; tried again until the adapter listens."""
        target = self._run.target
        while self._transport is None:
            try:
                await self._loop.create_connection(lambda: self, target.host, target.port)
            except OSError:
                await asyncio.sleep(_AGAIN)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._buffer.clear()
        if self._message is not None:
            self._send()  # what the last connection broke with
        else:
            self._proceed()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._sent and self._message is not None:
            self._sent = False
            if not self._run.learn(self._message[0], _BROKEN, self._message[1]):
                self._message = None
        if not self._run.done.is_set():
            self._loop.call_later(_AGAIN, lambda: self._loop.create_task(self.open()))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or self._message is None:
            return
        length = _length(self._buffer[: end + 2])
        if len(self._buffer) < end + 4 + length:
            return
        status = self._buffer[9:12].decode("latin-1")
        del self._buffer[: end + 4 + length]
        self._sent = False
        if self._run.learn(self._message[0], status, self._message[1]):
            self._loop.call_later(_AGAIN, self._send)
        else:
            self._proceed()

    def _proceed(self) -> None:
        self._message = self._run.take(self._last)
        if self._message is None:
            return
        number, due = self._message
        self._last = number
        self._content = self._run.moulds.content(number)
        early = due - perf_counter()
        if early > 0:
            self._loop.call_later(early, self._send)
        else:
            self._send()

    def _send(self) -> None:
        if self._transport is None or self._sent:
            return
        self._sent = True
        size = str(len(self._content)).encode()
        self._transport.write(b"".join((self._run.head, size, b"\r\n\r\n", self._content)))


def _length(head: bytearray) -> int:
    """Content-Length; the adapter's answers have one."""
    lowered = head.lower()
    at = lowered.find(b"\r\ncontent-length:")
    if at < 0:
        return 0
    return int(lowered[at + 17 : lowered.find(b"\r\n", at + 17)])


async def send(load: Load) -> Result:
    """Send the whole load from this process."""
    run = Run(load)
    openings = [asyncio.create_task(_Connection(run).open()) for _ in range(load.connections)]
    try:
        if load.count:
            await asyncio.wait_for(run.done.wait(), load.limit)
    except TimeoutError:
        run.done.set()
    for opening in openings:
        opening.cancel()
    return run.result()


def begin_apart(load: Load) -> "subprocess.Popen[bytes]":
    """Start a process that sends the load; `finish` it, or end it by its own id."""
    process = subprocess.Popen(
        [sys.executable, "-m", "adapter.simulator.load"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    process.stdin.write(load.to_json())
    process.stdin.close()
    process.stdin = None
    return process


def finish(process: "subprocess.Popen[bytes]") -> Result:
    """Wait for the result of a process that `begin_apart` started."""
    output, _ = process.communicate()
    if process.returncode != 0:
        raise AdapterError(f"the load generator ended with status {process.returncode}")
    return Result.from_json(output)


def run_apart(load: Load) -> Result:
    """Send the load from a process of its own and wait for the result."""
    return finish(begin_apart(load))


def _address(found: dict[str, object]) -> Address:
    identifiers = tuple((str(system), str(value)) for system, value in found.pop("identifiers"))  # type: ignore[attr-defined]  # parsed JSON
    return Address(identifiers=identifiers, **found)  # type: ignore[arg-type]  # the same


def main(source: IO[bytes], sink: IO[bytes]) -> None:
    """Read a load, send it, write the result."""
    result = asyncio.run(send(Load.from_json(source.read())))
    sink.write(result.to_json())


if __name__ == "__main__":
    main(sys.stdin.buffer, sys.stdout.buffer)
