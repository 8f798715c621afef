"""A message server on loopback, and around it the adapter of Indre Sogn and the system of Årdal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from adapter.config import MessageServerSettings, Region, Settings
from adapter.mappings.kith.message_server import posting
from adapter.messaging.delivery import Reply
from adapter.messaging.register import EDI, Endpoint, ReceiptWhen
from adapter.runtime import Adapter, stations
from adapter.scheduler.confirming import Confirming
from adapter.scheduler.duties import OfOne
from adapter.scheduler.polling import Round
from adapter.simulator.message_server import PretendServer
from adapter.simulator.threads import serving
from adapter.store import Store
from adapter.store.migrations import migrate
from adapter.transport.edi_access import Access, Account
from adapter.transport.edi_client import MessageServer
from tests.stage import FakePost, Stage, altered, region, taken

OURS = ec.generate_private_key(ec.SECP256R1())
THEIRS = ec.generate_private_key(ec.SECP384R1())
HOSPITAL, WARD = 8143500, 8143501
AARDAL, NURSING, CASE_WORK = 8143520, 8143521, 8143522


def pem(key: Any) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def account(server: PretendServer, file: Path, client_id: str = "indre-sogn", **more: Any) -> Account:
    return Account(
        name="nhn", address=server.address, token_url=server.token_url, client_id=client_id, key=file, **more
    )


def client(made: Account, clock: Callable[[], Any]) -> MessageServer:
    """Whoever has that account; it waits for nothing."""
    return MessageServer(Access(made, clock=clock, new_id=lambda: str(uuid4()), sleep=lambda _: None))


def at_the_server(server: PretendServer, **aardal: Any) -> Region:
    """Indre Sogn, where Årdal is reached through the message server and the hospital reads on its board."""
    known = altered(indre_sogn(), "laerdal-sjukehus", endpoint=None, receipt=ReceiptWhen.STORED)
    known = altered(known, "aardal", **aardal) if aardal else known
    register = known.register_
    endpoints = tuple(
        replace(e, transport=EDI, address=server.address) if e.name == "aardal" else e
        for e in register.endpoints
    )
    return known.model_copy(update={"register_": replace(register, endpoints=endpoints)})


@cache
def indre_sogn() -> Region:
    return region()


@cache
def empty_store() -> bytes:
    """A migrated store of SQLite, as bytes: quicker to write than to make."""
    with TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{folder}/empty.db")
        migrate(store)
        store.close()
        return Path(folder, "empty.db").read_bytes()


@dataclass
class Exchange:
    """The two sides of the server."""

    server: PretendServer
    stage: Stage
    adapter: Adapter
    aardal: MessageServer
    key: Path

    def send(self, kind: Any, **more: Any) -> Any:
        """The hospital tells Årdal; the delivery, once it has been tried."""
        said = {"receivers": ("aardal",)} | more
        done = self.stage.receive(self.stage.message(kind, **said), channel="http")
        assert done.outcome == "accepted", done.reason
        self.stage.deliver()
        return self.stage.delivery(len(self.stage.rows_of_deliveries()))

    def job(self, name: str) -> Any:
        """What the adapter runs under that name."""
        self.adapter.duties()
        of_one = self.adapter.jobs[name][1]
        assert isinstance(of_one, OfOne) and self.adapter.duties.on(name)
        return of_one.job

    def poll(self) -> int:
        return self.round()()

    def round(self) -> Round:
        made = self.job("poll nhn")
        assert isinstance(made, Round)
        return made

    def confirm(self) -> int:
        """One look at what became of what was posted."""
        made = self.job("confirm nhn")
        assert isinstance(made, Confirming)
        return made()

    def post(self, content: bytes) -> Reply:
        """Årdal's system sends."""
        return self.aardal.call("POST", "/Messages", self.aardal.place(), body=posting(content, ()))


class _Stage(Stage):
    def rows_of_deliveries(self) -> list[Any]:
        from adapter.store import tables

        return self.rows(tables.delivery)


@contextmanager
def exchange(
    folder: Path,
    clock: Any,
    store: str | None = None,
    *,
    of: Callable[[PretendServer], Region] = at_the_server,
) -> Iterator[Exchange]:
    """A running server, and stations that post to it for real; every other endpoint takes everything."""
    if store is None:
        (folder / "store.db").write_bytes(empty_store())
    ours, theirs = folder / "ours.pem", folder / "theirs.pem"
    ours.write_bytes(pem(OURS))
    theirs.write_bytes(pem(THEIRS))
    server = PretendServer(clock=clock, new_id=lambda: str(uuid4()))
    with serving(server):
        server.serve("indre-sogn", OURS.public_key(), HOSPITAL, WARD)
        server.serve("aardal", THEIRS.public_key(), AARDAL, NURSING, CASE_WORK)
        chosen = MessageServerSettings(
            name="nhn",
            address=server.address,
            token_url=server.token_url,
            client_id="indre-sogn",
            key=ours,
            her_ids=(WARD, HOSPITAL),
            timeout=2,
        )
        settings = Settings(
            store=store or f"sqlite:///{folder}/store.db",
            message_servers=(chosen,),
            lease=timedelta(minutes=1),
        )
        built = stations(settings, region=of(server), clock=clock)
        post = FakePost(answer=taken())
        transports = {**built.outbox.transports, **dict.fromkeys(("fhir", "directory", "webhook"), post)}
        outbox = replace(built.outbox, transports=transports, jitter=lambda: 0.0)
        built = replace(built, outbox=outbox, inbox=replace(built.inbox, outbox=outbox))
        play = _Stage(built=built, post=post, clock=clock)
        there = client(account(server, theirs, "aardal"), clock)
        yield Exchange(
            server=server, stage=play, adapter=Adapter(built, role="worker"), aardal=there, key=ours
        )
        play.close()


def edi_endpoint(server: PretendServer, **more: Any) -> Endpoint:
    said = {"name": "aardal", "transport": EDI, "dialect": "plo-1.6", "timeout": 2.0} | more
    return Endpoint(address=server.address, **said)
