"""A partner's sending side: messages told to the adapter, each again until it has taken responsibility.

A real system keeps an outbox too: while the adapter is away, the same bytes with the same MessageHeader.id
are sent again and again. What became of each message is kept here, for the report.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import orjson

from adapter.messaging.acknowledgement import Status
from adapter.messaging.envelope import Address
from adapter.messaging.retry import TRANSIENT_4XX
from adapter.simulator.http import Client, Response
from adapter.simulator.memory import Taken, verdict_in

_CONNECTIONS = 8
_FIRST_WAIT = 0.1  # seconds
_LONGEST_WAIT = 2.0
_LONGEST_ASKED = 30.0  # of Retry-After


@dataclass(kw_only=True, slots=True)
class Posted:
    """A message of the system's own, and what has become of it."""

    message_id: str
    event: str
    patient: str
    to: str  # the party that it is for
    refers_to: str | None = None  # the message that it corrects, cancels or answers
    tries: int = 0
    accepted: bool = False  # the adapter has taken it with a 2xx
    refused: int | None = None  # the HTTP status with which the adapter will not take it
    receipt: Status | None = None  # the last word of a receipt; a taking-over is none


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """In whose name a system speaks."""

    party: str
    address: Address
    token: str = field(repr=False)


class System:
    """The computer of one party, as far as it sends."""

    def __init__(self, identity: Identity, url: str) -> None:
        self.identity = identity
        self.posted: dict[str, Posted] = {}
        self._url = url
        self._idle: list[Client] = []
        self._places = asyncio.Semaphore(_CONNECTIONS)

    async def tell(self, message: Posted, content: bytes) -> None:
        """Send until the adapter has taken it, or will not; safe to call again for a repeat."""
        kept = self.posted.setdefault(message.message_id, message)
        wait = _FIRST_WAIT
        while True:
            response = await self._try(content)
            kept.tries += 1
            if response is not None and self._settles(kept, response):
                return
            asked = _retry_after(response)
            await asyncio.sleep(max(wait, asked))
            wait = min(wait * 2, _LONGEST_WAIT)

    async def _try(self, content: bytes) -> Response | None:
        async with self._client() as client:
            try:
                return await client.post(content)
            except OSError:
                return None

    @contextlib.asynccontextmanager
    async def _client(self) -> AsyncIterator[Client]:
        async with self._places:
            client = self._idle.pop() if self._idle else Client(self._url, self.identity.token)
            try:
                yield client
            finally:
                self._idle.append(client)

    def _settles(self, kept: Posted, response: Response) -> bool:
        status = response.status
        if 200 <= status < 300 or status == 409:
            answers, verdict = _receipt(response.body)
            if verdict is Status.NOT_NOW:
                return False
            kept.accepted = True
            if answers == kept.message_id:
                self._learn(kept, verdict)
            return True
        if status < 500 and status not in TRANSIENT_4XX:
            kept.refused = status
            return True
        return False

    def hear(self, receipt: Taken) -> None:
        """Take in a receipt that came by itself."""
        kept = self.posted.get(receipt.answers or "")
        if kept is not None:
            self._learn(kept, receipt.verdict)

    @staticmethod
    def _learn(kept: Posted, verdict: Status | None) -> None:
        final = kept.receipt in (Status.ACCEPTED, Status.REFUSED)
        if verdict in (Status.ACCEPTED, Status.REFUSED) and not final:
            kept.receipt = verdict

    def close(self) -> None:
        """End the connections."""
        for client in self._idle:
            client.close()
        self._idle.clear()


def _receipt(body: bytes) -> tuple[str | None, Status | None]:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None, None
    return verdict_in(found) if isinstance(found, dict) else (None, None)


def _retry_after(response: Response | None) -> float:
    asked = response.headers.get("retry-after", "") if response is not None else ""
    return min(float(asked), _LONGEST_ASKED) if asked.isdigit() else 0.0
