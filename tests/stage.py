"""The stage on which tests play: the stations of the region on paper, messages by name, fake posts.

Nothing here stands in for the thing under test: the store is a real database, the register a real region
file. Only the far end of the network is made up, one reply at a time.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, RowMapping, Table, func, select

from adapter.config import Region, Settings, load_region
from adapter.discharge.notices import Notice, NoticeKind
from adapter.fhir.bundles import Clinician, Subject
from adapter.fhir.notices import message_bundle
from adapter.fhir.wire import to_json
from adapter.inbox import Acceptance
from adapter.incoming import Incoming
from adapter.mappings import Addressing, Head
from adapter.mappings.known import named, recognise
from adapter.messaging.acknowledgement import Issue, Status, Verdict
from adapter.messaging.delivery import Leased, Reply
from adapter.messaging.envelope import Address
from adapter.messaging.register import Endpoint, Register, Side
from adapter.outbox import Outbox
from adapter.phrases import verbatim
from adapter.runtime import Stations, stations
from adapter.store import tables
from adapter.store.tables import metadata
from adapter.transport import Outgoing, Transport

T = TypeVar("T")

REGION = Path(__file__).parent.parent / "fixtures" / "regions" / "indre-sogn.toml"
FNR = "urn:oid:2.16.578.1.12.4.1.4.1"
SYNNOVE = Subject(identifiers=((FNR, "21843012660"),), family="Fjellheim", given="Synnøve", gender="female")
TORBJORN = Subject(identifiers=((FNR, "05882954384"),), family="Vik-Hansen", given="Torbjørn", gender="male")
DOCTOR = Clinician(family="Nesøy", given="Marta", profession="LE")


def region(**sides: str) -> Region:
    """Indre Sogn; `sides` may turn a party, as `luster="theirs"`."""
    known = _indre_sogn()
    register = known.register_
    parties = tuple(replace(p, side=Side(sides[p.id])) if p.id in sides else p for p in register.parties)
    return known.model_copy(update={"register_": replace(register, parties=parties)})


@cache
def _indre_sogn() -> Region:
    """The file as it is read; nothing in it changes."""
    return load_region(REGION)


def altered(known: Region, party_id: str, **changes: object) -> Region:
    """The region with one party changed."""
    register = known.register_
    parties = tuple(
        replace(p, **changes) if p.id == party_id else p  # type: ignore[arg-type]  # the test knows the fields
        for p in register.parties
    )
    return known.model_copy(update={"register_": replace(register, parties=parties)})


def without(known: Region, party_id: str) -> Region:
    """The region before somebody entered that party."""
    register = known.register_
    parties = tuple(p for p in register.parties if p.id != party_id)
    return known.model_copy(update={"register_": replace(register, parties=parties)})


def address_of(register: Register, party_id: str) -> Address:
    """A party's address as a message writes it: its first service, then itself."""
    party = register.party(party_id)
    assert party is not None
    services = party.services[0].identifiers if party.services else ()
    return Address(identifiers=(*services, *party.identifiers), name=party.name)


@dataclass
class FakePost:
    """A transport whose far end is told what to answer; it keeps what was sent."""

    answer: Callable[[Outgoing, Endpoint], Reply]
    sent: list[tuple[str, Outgoing]] = field(default_factory=list)

    def send(self, message: Outgoing, endpoint: Endpoint) -> Reply:
        self.sent.append((endpoint.name, message))
        return self.answer(message, endpoint)


def taken(status: int = 202) -> Callable[[Outgoing, Endpoint], Reply]:
    """A receiver that takes everything and gives no receipt in the response."""
    return lambda _message, _endpoint: Reply(status=status, taken=True, delivered=True, ms=1.0)


def failing(status: int | None = 503, **more: object) -> Callable[[Outgoing, Endpoint], Reply]:
    """A receiver that fails."""
    if isinstance(more.get("error"), str):
        more["error"] = verbatim(str(more["error"]))
    return lambda _message, _endpoint: Reply(status=status, ms=1.0, **more)  # type: ignore[arg-type]


def receipt(
    content: bytes, status: Status = Status.ACCEPTED, *, at: datetime, issues: tuple[Issue, ...] = ()
) -> bytes:
    """What the receiver of `content` answers, in the dialect of the message."""
    made = _receipt(content, status, at, issues)
    assert made is not None
    return made


def _receipt(content: bytes, status: Status, at: datetime, issues: tuple[Issue, ...]) -> bytes | None:
    dialect = recognise(Head(content=content))
    assert dialect is not None
    envelope = dialect.read(content, content_type=None, zone=UTC).envelope
    return dialect.acknowledge(envelope, Verdict(status=status, at=at, id=str(uuid.uuid4()), issues=issues))


def answering(
    clock: Callable[[], datetime], status: Status = Status.ACCEPTED, *, http: int = 200
) -> Callable[[Outgoing, Endpoint], Reply]:
    """A receiver that gives its receipt in the response."""

    def answer(message: Outgoing, _endpoint: Endpoint) -> Reply:
        body = _receipt(message.content, status, clock(), (Issue(code="E10", text="ugyldig"),)) or b""
        taken = http < 300
        kind = message.content_type
        return Reply(status=http, taken=taken, delivered=taken, body=body, content_type=kind, ms=1.0)

    return answer


@dataclass
class Stage:
    """Stations with a fake post, and the messages of the play."""

    built: Stations
    post: FakePost
    clock: Callable[[], datetime]

    @property
    def outbox(self) -> Outbox:
        return self.built.outbox

    def message(
        self,
        kind: NoticeKind,
        *,
        sender: str = "laerdal-sjukehus",
        receivers: tuple[str, ...] = ("sogndal",),
        subject: Subject = SYNNOVE,
        at: datetime | None = None,
        message_id: str | None = None,
        transmission_id: str | None = None,
        hospital: str | None = "laerdal-sjukehus",
        **more: object,
    ) -> bytes:
        """Our own FHIR message as its sender writes it."""
        register = self.built.register
        moment = at or self.clock()
        addresses = [address_of(register, r) for r in receivers]
        fields: dict[str, object] = {"occurred": moment, "sent_at": moment}
        notice = Notice(
            kind=kind,
            message_id=message_id or str(uuid.uuid4()),
            sender=address_of(register, sender).token,
            **(fields | more),  # type: ignore[arg-type]
        )
        bundle = message_bundle(
            notice,
            subject=subject,
            sender=address_of(register, sender),
            receivers=addresses,
            hospital=address_of(register, hospital) if hospital else None,
            transmission_id=transmission_id or str(uuid.uuid4()),
            responsible=DOCTOR,
        )
        return to_json(bundle)

    def plo(self, kind: NoticeKind, *, dialect: str = "plo-1.6", **more: object) -> bytes:
        """The same as a KITH message."""
        from adapter.fhir.wire import parse

        sender = str(more.get("sender", "laerdal-sjukehus"))
        receivers: tuple[str, ...] = more.get("receivers", ("sogndal",))  # type: ignore[assignment]
        content = self.message(kind, **more)  # type: ignore[arg-type]
        bundle = parse(content)
        header = bundle["entry"][0]["resource"]
        register = self.built.register
        addressing = Addressing(
            message_id=header["id"],
            transmission_id=header["id"],
            sender=address_of(register, sender),
            receiver=address_of(register, receivers[0]),
            refers_to=str(more["refers_to"]) if more.get("refers_to") else None,
            conversation=str(more["refers_to"]) if more.get("refers_to") else None,
        )
        return named(dialect).write(bundle, dialect=dialect, addressing=addressing).content

    def rows(self, table: Table, **wanted: object) -> list[RowMapping]:
        """What stands in a table of the store, in the order in which it came."""
        query = select(table).order_by(*table.primary_key.columns)
        for name, value in wanted.items():
            query = query.where(table.c[name] == value)
        with self.built.store.read() as connection:
            return list(connection.execute(query).mappings())

    def counts(self) -> dict[str, int]:
        """How many rows each table has."""
        with self.built.store.read() as connection:
            return {
                table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
                for table in metadata.sorted_tables
            }

    def delivery(self, number: int = 1) -> RowMapping:
        """One delivery, by the order in which they were made."""
        return self.rows(tables.delivery)[number - 1]

    def write(self, unit: Callable[[Connection], T]) -> T:
        """A unit of work of its own."""
        return self.built.store.write(unit)

    def close(self) -> None:
        """Let go of the store."""
        self.built.store.close()

    def receive(self, content: bytes, **incoming: object) -> Acceptance:
        """Through the inbox."""
        return self.built.inbox.accept(Incoming(content=content, **incoming), self.clock())  # type: ignore[arg-type]

    def claim(self) -> list[Leased]:
        """What is due now, for every endpoint."""
        wanted = {e.name: 100 for e in (*self.built.register.endpoints, *self.outbox.alarms.endpoints)}
        return self.built.store.write(lambda tx: self.outbox.claim(tx, wanted, self.clock()))

    def deliver(self) -> list[str]:
        """Send what is due, once, and record it as the running adapter does; returns the outcomes."""
        from adapter.scheduler.delivering import Deliverer

        outcomes: list[str] = []
        carrier = Deliverer(
            store=self.built.store,
            inbox=self.built.inbox,
            outbox=self.outbox,
            clock=self.clock,
            observe=lambda _item, _reply, outcome: outcomes.append(outcome),
        )
        for future in carrier.round():
            future.result()
        carrier.stop()
        return outcomes


def stage(
    url: str,
    clock: Callable[[], datetime],
    *,
    settings: Settings | None = None,
    of: Region | None = None,
    evaluation: bool = False,
    **sides: str,
) -> Stage:
    """The region's stations over the store at `url`, with a post that takes everything.

    `of` is another region than Indre Sogn; with `evaluation` there is none at all.
    """
    chosen = (settings or Settings()).model_copy(update={"store": url})
    known = None if evaluation else of or region(**sides)
    built = stations(chosen, region=known, clock=clock)
    post = FakePost(answer=taken())
    transports: dict[str, Transport] = dict.fromkeys(("fhir", "directory", "webhook"), post)
    transports["mail"] = built.outbox.transports["mail"]  # it has a real server where a test names one
    outbox = replace(built.outbox, transports=transports, jitter=lambda: 0.0)
    inbox = replace(built.inbox, outbox=outbox)
    return Stage(built=replace(built, outbox=outbox, inbox=inbox), post=post, clock=clock)
