"""A tiny adapter without a store: takes a message once, forwards it, and passes the receipt back."""

import asyncio
import uuid
from pathlib import Path
from zoneinfo import ZoneInfo

import orjson

from adapter.fhir.bundles import address_of, follow, header
from adapter.fhir.receipts import receipt_bundle
from adapter.mappings import Addressing, kith
from adapter.simulator.http import Answer, Client, Listener

OSLO = ZoneInfo("Europe/Oslo")


class FakeAdapter:
    """Listens on a loopback port of its own; `loses` is a receiver's endpoint whose messages vanish."""

    name = "fake-adapter"

    def __init__(self, register, day, *, loses=None, refuses=False):
        self.register = register
        self.day = day
        self.loses = loses
        self.refuses = refuses
        self.seen = {}  # message id -> the bytes of every request
        self.senders = {}  # message id -> the sender's Organization
        self.port = 0
        self._listener = Listener(self.handle)
        self._tasks = set()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    async def start(self):
        self.port = await self._listener.open(self.port)
        for endpoint in self.register.endpoints:
            if endpoint.transport == "directory":
                self._go(self._collect(Path(endpoint.address)))

    async def stop(self):
        self._listener.close()
        for task in self._tasks:
            task.cancel()

    def _go(self, work):
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def handle(self, request):
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self.register.partner_by_token(token) is None:
            return Answer(status=401)
        if self.refuses:
            return Answer(status=422)
        bundle = orjson.loads(request.body)
        message_id = header(bundle)["id"]
        self.seen.setdefault(message_id, []).append(request.body)
        if len(self.seen[message_id]) == 1:
            self._go(self._forward(bundle, request.body))
        return Answer(status=202)

    def _endpoint(self, organization):
        return self.register.endpoint_of(self.register.resolve(address_of(organization), self.day))

    async def _forward(self, bundle, content):
        head = header(bundle)
        receiver = follow(bundle, head["destination"][0]["receiver"])
        sender = follow(bundle, head["sender"])
        self.senders[head["id"]] = sender
        endpoint = self._endpoint(receiver)
        if endpoint.name == self.loses:
            return
        if endpoint.transport == "directory":
            self._put(bundle, endpoint, address_of(sender), address_of(receiver))
            return
        answer = await self._post(endpoint.address, content)
        if answer.body:
            await self._post(self._endpoint(sender).address, answer.body)

    async def _post(self, url, content):
        client = Client(url)
        try:
            while True:
                try:
                    answer = await client.post(content)
                except OSError:
                    answer = None
                if answer is not None and answer.status < 300 and b"transient-error" not in answer.body:
                    return answer
                await asyncio.sleep(0.02)
        finally:
            client.close()

    def _put(self, bundle, endpoint, sender, receiver):
        message_id = header(bundle)["id"]
        addressing = Addressing(
            message_id=message_id, transmission_id=str(uuid.uuid4()), sender=sender, receiver=receiver
        )
        written = kith.write(bundle, dialect=endpoint.dialect, addressing=addressing)
        part = Path(endpoint.address) / "out" / f"{message_id}.xml.part"
        part.write_bytes(written.content)
        part.rename(part.with_suffix(""))

    async def _collect(self, folder):
        while True:
            await asyncio.sleep(0.02)
            for path in folder.glob("in/*.xml"):
                said = kith.read(path.read_bytes(), content_type=None, zone=OSLO).acknowledgement
                path.unlink()
                sender = self.senders[said.original_id]
                receipt = receipt_bundle(
                    receipt_id=str(uuid.uuid4()),
                    original_id=said.original_id,
                    status=said.status,
                    at=said.at,
                    giver=None,
                    receiver=sender,
                )
                await self._post(self._endpoint(sender).address, orjson.dumps(receipt))
