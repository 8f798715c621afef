"""One database in memory, the processes that work on it, and the deaths that they die.

A process is what `adapter.runtime` builds, with another network, another clock and a writer that needs no
thread. It dies in the middle of a unit, before a commit, or after one and before anybody is told of it; then
the stations are built anew over the same database, and what it knew only by heart is gone.
"""

import random
import sqlite3
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache, partial
from typing import Any
from weakref import WeakSet

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.pool import StaticPool

from adapter.config import Region, Settings
from adapter.messaging.delivery import Leased, Reply
from adapter.runtime import Stations, stations
from adapter.scheduler.deadlines import Deadlines
from adapter.scheduler.delivering import Deliverer
from adapter.scheduler.duties import Duties
from adapter.scheduler.housekeeping import Housekeeping
from adapter.store import Store, embedded
from adapter.store.migrations import migrate
from adapter.store.writer import Unit, Writer
from adapter.transport import Transport
from tests.simulation.clock import Clock, Time

LEASE = timedelta(seconds=60)
CLOCK, MAIL = "clock", "poll"  # the duties
MIDDLE, BEFORE, AFTER = "in the middle of a unit", "before the commit", "after the commit"


class Dead(BaseException):
    """A process has died. No `except Exception` of the adapter can hold it back, as none can SIGKILL."""


@dataclass
class Fate:
    """When the process that is at work will die, if it will."""

    how: str | None = None
    left: int = 0  # statements, or commits, until then
    deaths: dict[str, int] = field(default_factory=dict)

    def decide(self, how: str | None, left: int = 0) -> None:
        """It dies in that way, after so many statements or commits; or lives on."""
        self.how, self.left = how, left

    def comes(self, how: str) -> bool:
        """Whether it is now that the process dies in that way."""
        if self.how != how:
            return False
        self.left -= 1
        return self.left < 0

    def strike(self, how: str) -> None:
        """Die, where it is time to."""
        if self.comes(how):
            self.how = None
            self.deaths[how] = self.deaths.get(how, 0) + 1
            raise Dead(how)


class Disk(sqlite3.Connection):
    """The one database; closing it, as a dying process does, takes back what was not committed."""

    fate: Fate
    open: "WeakSet[_Cursor]"

    def cursor(self, factory: Any = None) -> "_Cursor":
        """A cursor at whose statements the process may die."""
        made = super().cursor(_Cursor)
        self.open.add(made)
        return made

    def close(self) -> None:
        """Whoever closes it is gone, with what it was reading; the data stays."""
        for cursor in list(self.open):
            cursor.close()
        self.rollback()

    def look(self, sql: str, *values: object) -> list[sqlite3.Row]:
        """Rows as they stand, past the adapter and past fate."""
        found = sqlite3.Connection.cursor(self, sqlite3.Cursor)
        found.row_factory = sqlite3.Row
        return found.execute(sql, values).fetchall()

    def let_go(self) -> None:
        """Free the memory at the end."""
        super().close()


class _Cursor(sqlite3.Cursor):
    def execute(self, sql: str, values: Any = ()) -> "_Cursor":
        self.connection.fate.strike(MIDDLE)  # type: ignore[attr-defined]  # it is a Disk
        super().execute(sql, values)
        return self


@cache
def _settings() -> Settings:
    return Settings(lease=LEASE, pseudonym_key="simulation" * 4)


@cache
def _image() -> bytes:
    """An empty store of this version, made once."""
    _in_use.disk = _disk(Fate())
    migrate(Store("sqlite://", engine=_engine()))
    made = _in_use.disk.serialize()
    release()
    return made


def _disk(fate: Fate) -> Disk:
    made: Disk = sqlite3.connect(":memory:", factory=Disk, cached_statements=1000)
    made.fate, made.open = fate, WeakSet()
    return made


class _InUse:
    disk: Disk | None = None


_in_use = _InUse()


@cache
def _engine() -> Engine:
    """One for all lives, so that what SQLAlchemy has compiled is compiled once."""
    return embedded(create_engine("sqlite://", creator=lambda: _in_use.disk, poolclass=StaticPool))


def disk(fate: Fate) -> Disk:
    """An empty store in memory, which is the one in use from now on."""
    image = _image()
    _in_use.disk = _disk(fate)
    _in_use.disk.deserialize(image)
    return _in_use.disk


def release() -> None:
    """Let the store in memory go."""
    _engine().dispose()
    assert _in_use.disk is not None
    _in_use.disk.let_go()
    _in_use.disk = None


class _Asked(Future[Any]):
    """A future that whoever waits for it brings about: there is no other thread."""

    def __init__(self, writer: "InlineWriter") -> None:
        super().__init__()
        self._writer = writer

    def result(self, timeout: float | None = None) -> Any:
        self._writer.flush(self)
        return super().result(0)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        self._writer.flush(self)
        return super().exception(0)


class InlineWriter(Writer):
    """The writer without its thread: units wait until somebody asks, and share commits as chance will."""

    def __init__(
        self,
        engine: Engine,
        *,
        turn: object,  # nobody else writes at the same time
        fate: Fate,
        chance: random.Random,
        committed: Callable[[], None],
    ) -> None:
        super().__init__(engine, interval=0)
        self._fate, self._chance, self._committed = fate, chance, committed
        self._waiting: list[tuple[Unit, Future[Any]]] = []
        self.around: Callable[[Unit], Unit] | None = None

    @property
    def busy(self) -> bool:
        """Whether anything waits to be written."""
        return bool(self._waiting)

    def submit(self, unit: Unit) -> "Future[Any]":
        """Queue a unit; it is run when somebody asks for what came of it, or of one before it."""
        future = _Asked(self)
        around, self.around = self.around, None
        self._waiting.append((unit if around is None else around(unit), future))
        return future

    def flush(self, wanted: "Future[Any] | None" = None) -> None:
        """Commit what waits, a few units at a time, at least until the wanted one is among them."""
        while self._waiting and not (wanted is not None and wanted.done()):
            together = self._chance.randint(1, 4)
            batch, self._waiting = self._waiting[:together], self._waiting[together:]
            self._commit(batch)

    def _together(self, batch: list[tuple[Unit, Future[Any]]]) -> list[tuple[Any, BaseException | None]]:
        dying = [(self._die_before, Future[Any]())] if self._fate.comes(BEFORE) else []
        found = super()._together([*batch, *dying])
        self._committed()
        self._fate.strike(AFTER)
        return found

    def _die_before(self, _: Connection) -> None:
        self._fate.left = 0
        self._fate.strike(BEFORE)


@dataclass
class Carried:
    """What a worker has claimed, and how far it has come with it."""

    item: Leased
    reply: Reply | None = None


@dataclass
class Process:
    """One process of the adapter: its stations, its clock, and what it knows by heart."""

    name: str
    clock: Clock
    built: Stations
    deliverer: Deliverer
    deadlines: Deadlines
    house: Housekeeping
    writer: InlineWriter
    duties: Duties
    carried: list[Carried] = field(default_factory=list)
    asked: list[tuple[Any, "Future[Any]"]] = field(default_factory=list)  # messages not yet answered


@dataclass(kw_only=True)
class World:
    """What the processes share."""

    region: Region
    chance: random.Random
    time: Time
    fate: Fate
    disk: Disk
    ids: Callable[[], str]
    settings: Settings = field(default_factory=_settings)

    def process(
        self,
        name: str,
        clock: Clock,
        transport: Transport,
        committed: Callable[[], None],
    ) -> Process:
        """Build the stations over the database as it is."""
        writer = partial(InlineWriter, fate=self.fate, chance=self.chance, committed=committed)
        store = Store("sqlite://", engine=_engine(), writer=writer)
        built = stations(self.settings, region=self.region, clock=clock, over=store)
        outbox = replace(
            built.outbox,
            transports=dict.fromkeys(("fhir", "directory", "webhook"), transport),
            jitter=lambda: self.chance.uniform(-1, 1),
        )
        inbox = replace(built.inbox, outbox=outbox, new_id=self.ids)
        built = replace(built, outbox=outbox, inbox=inbox)
        duties = Duties(
            store=store, holder=f"{name} {self.ids()}", clock=clock, names={CLOCK, MAIL}, lasts=LEASE
        )
        watched, keep = duties.guarded(CLOCK), self.settings.retention
        assert isinstance(store.writer, InlineWriter)
        return Process(
            name=name,
            clock=clock,
            built=built,
            writer=store.writer,
            deliverer=Deliverer(store=store, inbox=inbox, outbox=outbox, clock=clock),
            duties=duties,
            deadlines=Deadlines(
                store=watched, cases=built.cases, outbox=outbox, register=built.register, clock=clock
            ),
            house=Housekeeping(
                store=watched,
                outbox=outbox,
                clock=clock,
                keep_payloads=keep.payloads,
                keep_attempts=keep.attempts,
                keep_seen=keep.seen,
                keep_accesses=keep.accesses,
            ),
        )
