"""The partners' receiving ends: a FHIR server on a loopback port, and a folder that somebody reads.

Each takes a message once, however often it comes, and remembers every request. The receipts are made
without the adapter's own writer of FHIR receipts: a partner is another system.
"""

import asyncio
import contextlib
import hashlib
import math
import uuid
from collections.abc import Callable
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

import orjson

from adapter.errors import MessageError
from adapter.fhir.bundles import RECEIPT_EVENT, Bundle, Resource
from adapter.mappings import Reading
from adapter.messaging.acknowledgement import Issue, Status, Verdict
from adapter.messaging.envelope import Envelope
from adapter.simulator.faults import Dice, FaultKind, Faults
from adapter.simulator.http import Answer, Listener, Request
from adapter.simulator.memory import Arrival, Memory, Taken, patient_number, verdict_in
from adapter.simulator.receipts import outcome, receipt

FHIR_JSON = "application/fhir+json"
Clock = Callable[[], datetime]

_NAMESPACE = uuid.UUID("5c7f9a38-52a7-5f43-8a2e-6f0b8a0d4c11")
_OSLO = ZoneInfo("Europe/Oslo")
_REFUSAL = (Issue(code="E10", text="The receiver will not take this message."),)


class Receiver(Protocol):
    """What `serving` and the region start and stop."""

    name: str
    memory: Memory

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


# --- the FHIR server --------------------------------------------------------------------------------------


class FhirReceiver:
    """A partner's `$process-message` on loopback, answered with a receipt message in the response.

    `on_taken` is called once for every message that is held, with its Bundle, in the server's own thread.
    """

    def __init__(
        self,
        name: str,
        *,
        clock: Clock,
        port: int = 0,
        faults: Faults = Faults(),  # noqa: B008  # frozen
        seed: int = 0,
        log: Path | None = None,
        on_taken: Callable[[Taken, Bundle], None] | None = None,
    ) -> None:
        self.name = name
        self.memory = Memory(log)
        self.port = port
        self._clock = clock
        self._dice: Dice = faults.at(name, seed)
        self._on_taken = on_taken
        self._put_off: set[str] = set()
        self._started = 0.0
        self._listener = Listener(self.handle)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/fhir/$process-message"

    async def start(self) -> None:
        """Listen; port 0 becomes a free one."""
        self.port = await self._listener.open(self.port)
        self._started = self._started or asyncio.get_running_loop().time()

    async def stop(self) -> None:
        """Listen no more."""
        self._listener.close()
        self.memory.close()

    def break_down(self, seconds: float) -> None:
        """Answer 503 from now on, for so long."""
        elapsed = asyncio.get_running_loop().time() - self._started
        self._dice.outages.append((elapsed, elapsed + seconds))

    def handle(self, request: Request) -> Answer:
        """The answer to one request."""
        if request.method != "POST":
            return Answer(status=405)
        if not request.path.replace("%24", "$").endswith("/$process-message"):
            return Answer(status=404)
        try:
            bundle = orjson.loads(request.body)
            head: Resource = bundle["entry"][0]["resource"]
            message_id = str(head["id"])
        except (ValueError, LookupError, TypeError):
            return Answer(status=400, body=outcome("this is no FHIR message"), content_type=FHIR_JSON)
        digest = hashlib.sha256(request.body).digest()
        left = self._dice.down_for(asyncio.get_running_loop().time() - self._started)
        if left > 0:
            self._note(message_id, bundle, digest, FaultKind.DOWN, taken=False)
            return Answer(status=503, retry_after=max(1, math.ceil(left)))
        known = self.memory.taken.get(message_id)
        if known is None and self._puts_off(message_id, head):
            self._note(message_id, bundle, digest, FaultKind.NOT_NOW, taken=False)
            body = receipt(self.name, bundle, Status.NOT_NOW, self._clock())
            return Answer(status=200, body=body, content_type=FHIR_JSON, wait=self._dice.slow)
        return self._take(known, message_id, bundle, digest)

    def _puts_off(self, message_id: str, head: Resource) -> bool:
        if "response" in head or message_id in self._put_off or not self._dice.strikes(FaultKind.NOT_NOW):
            return False
        self._put_off.add(message_id)
        return True

    def _take(self, known: Taken | None, message_id: str, bundle: Bundle, digest: bytes) -> Answer:
        one = known or self._judge(message_id, bundle)
        reset = self._dice.strikes(FaultKind.RESET)
        self._note(message_id, bundle, digest, self._fault(one, reset), taken=True)
        if known is None:
            self.memory.taken[message_id] = one
            if self._on_taken is not None:
                self._on_taken(one, bundle)
        if one.status is None:
            status = 200 if one.event == RECEIPT_EVENT else 202
            return Answer(status=status, wait=self._dice.slow, reset=reset)
        # made again from what was kept, to the same bytes: cheaper than to keep them all
        body = receipt(self.name, bundle, one.status, one.at)
        return Answer(status=200, body=body, content_type=FHIR_JSON, wait=self._dice.slow, reset=reset)

    def _judge(self, message_id: str, bundle: Bundle) -> Taken:
        head: Resource = bundle["entry"][0]["resource"]
        if "response" in head:
            answers, verdict = verdict_in(bundle)
            return Taken(
                message_id=message_id,
                event=RECEIPT_EVENT,
                patient="",
                status=None,
                at=self._clock(),
                answers=answers,
                verdict=verdict,
            )
        status: Status | None = Status.ACCEPTED
        if self._dice.strikes(FaultKind.REJECT):
            status = Status.REFUSED
        elif self._dice.strikes(FaultKind.NO_RECEIPT):
            status = None
        return Taken(
            message_id=message_id,
            event=str((head.get("eventCoding") or {}).get("code", "")),
            patient=patient_number(bundle),
            status=status,
            at=self._clock(),
        )

    def _fault(self, one: Taken, reset: bool) -> FaultKind | None:
        if reset:
            return FaultKind.RESET
        if one.status is Status.REFUSED:
            return FaultKind.REJECT
        if one.status is None and one.event != RECEIPT_EVENT:
            return FaultKind.NO_RECEIPT
        return FaultKind.SLOW if self._dice.slow else None

    def _note(
        self, message_id: str, bundle: Bundle, digest: bytes, fault: FaultKind | None, *, taken: bool
    ) -> None:
        self.memory.note(
            Arrival(
                at=self._clock(),
                message_id=message_id,
                transmission_id=str(bundle.get("id", "")),
                digest=digest,
                taken=taken,
                fault=fault,
            )
        )


# --- the folder -------------------------------------------------------------------------------------------


class Reader(Protocol):
    """The two functions of a dialect that somebody who only receives has use for."""

    def read(self, content: bytes, *, content_type: str | None, zone: tzinfo) -> Reading: ...

    def acknowledge(self, envelope: Envelope, verdict: Verdict) -> bytes | None: ...


class PloReceiver:
    """A partner with its own system, who reads `out/`, gives an AppRec into `in/`, and keeps `read/`.

    A repeat gets no second AppRec (HITS 1168 5.4-5.5). Of the faults it knows slow (the AppRec comes so
    much later), down (the folder is not read), no-receipt and reject; the others belong to HTTP.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        dialect: Reader,
        *,
        clock: Clock,
        faults: Faults = Faults(),  # noqa: B008  # frozen
        seed: int = 0,
        log: Path | None = None,
        delay: float = 0.0,
        every: float = 0.05,
        on_taken: Callable[[Taken, Bundle], None] | None = None,
    ) -> None:
        self.name = name
        self.folder = folder
        self.memory = Memory(log)
        self.unreadable: list[str] = []  # files that nobody could read, with the reason
        self._dialect = dialect
        self._clock = clock
        self._dice: Dice = faults.at(name, seed)
        self._delay = delay + self._dice.slow
        self._every = every
        self._on_taken = on_taken
        self._started = 0.0
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Make the folders and read what comes."""
        for sub in ("in", "out", "read"):
            (self.folder / sub).mkdir(parents=True, exist_ok=True)
        self._started = self._started or asyncio.get_running_loop().time()
        self._task = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Read no more; an AppRec that still waits is not given."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        self.memory.close()

    def break_down(self, seconds: float) -> None:
        """Leave the folder unread from now on, for so long."""
        elapsed = asyncio.get_running_loop().time() - self._started
        self._dice.outages.append((elapsed, elapsed + seconds))

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if not self._dice.down_for(loop.time() - self._started):
                for path in sorted((self.folder / "out").iterdir()):
                    if path.is_file() and not path.name.startswith(".") and path.suffix != ".part":
                        self._read(path)
                        await asyncio.sleep(0)
            await asyncio.sleep(self._every)

    def _read(self, path: Path) -> None:
        content = path.read_bytes()
        path.rename(self.folder / "read" / path.name)
        try:
            reading = self._dialect.read(content, content_type=None, zone=_OSLO)
        except MessageError as problem:
            self.unreadable.append(f"{path.name}: {problem.reason}")
            return
        known = self.memory.taken.get(reading.envelope.message_id)
        one = known or self._judge(reading)
        self._note(one, reading.envelope.transmission_id, content)
        if known is not None:
            return
        self.memory.taken[one.message_id] = one
        if self._on_taken is not None:
            self._on_taken(one, reading.bundle or {})
        self._answer(one, reading)

    def _judge(self, reading: Reading) -> Taken:
        message_id, said = reading.envelope.message_id, reading.acknowledgement
        if said is not None:
            return Taken(
                message_id=message_id,
                event=RECEIPT_EVENT,
                patient="",
                status=None,
                at=self._clock(),
                answers=said.original_id,
                verdict=said.status,
            )
        status: Status | None = Status.ACCEPTED
        if reading.problem is not None or self._dice.strikes(FaultKind.REJECT):
            status = Status.REFUSED
        elif self._dice.strikes(FaultKind.NO_RECEIPT):
            status = None
        bundle = reading.bundle
        head: Resource = bundle["entry"][0]["resource"] if bundle else {}
        return Taken(
            message_id=message_id,
            event=str((head.get("eventCoding") or {}).get("code", reading.envelope.type)),
            patient=patient_number(bundle) if bundle else "",
            status=status,
            at=self._clock(),
        )

    def _answer(self, one: Taken, reading: Reading) -> None:
        if one.status is None:
            return
        verdict = Verdict(
            status=one.status,
            at=one.at,
            id=str(uuid.uuid5(_NAMESPACE, f"{self.name}/{one.message_id}")),
            issues=_REFUSAL if one.status is Status.REFUSED else (),
        )
        answer = self._dialect.acknowledge(reading.envelope, verdict)
        if answer is not None:
            asyncio.get_running_loop().call_later(self._delay, self._write, verdict.id, answer)

    def _note(self, one: Taken, transmission_id: str | None, content: bytes) -> None:
        fault = FaultKind.SLOW if self._dice.slow else None
        if one.status is Status.REFUSED:
            fault = FaultKind.REJECT
        if one.status is None and one.event != RECEIPT_EVENT:
            fault = FaultKind.NO_RECEIPT
        self.memory.note(
            Arrival(
                at=self._clock(),
                message_id=one.message_id,
                transmission_id=transmission_id or "",
                digest=hashlib.sha256(content).digest(),
                taken=True,
                fault=fault,
            )
        )

    def _write(self, name: str, content: bytes) -> None:
        part = self.folder / "in" / f"{name}.xml.part"
        part.write_bytes(content)
        part.rename(part.with_suffix(""))
