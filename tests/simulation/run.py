"""One life from one seed: steps of trouble, then calm, then the account."""

import hashlib
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial

from structlog.testing import capture_logs

from adapter.errors import AdapterError, NotOnDuty
from adapter.incoming import Incoming
from adapter.scheduler.polling import Round
from tests.simulation import invariants
from tests.simulation.clock import Clock, Time
from tests.simulation.invariants import Watch, instant
from tests.simulation.network import Network, System
from tests.simulation.people import FOLDERS, Stay, Told, act, stays, tell
from tests.simulation.region import (
    DELIVERED,
    HOSPITAL,
    OTHER_HOSPITAL,
    THEIRS_FHIR,
    THEIRS_PLO,
    known,
)
from tests.simulation.world import (
    AFTER,
    BEFORE,
    CLOCK,
    MAIL,
    MIDDLE,
    Carried,
    Dead,
    Fate,
    Process,
    World,
    disk,
    release,
)
from tests.stage import Stage

STEPS = 90
READS = {
    HOSPITAL: "fhir",
    OTHER_HOSPITAL: "plo-1.6",
    DELIVERED: "fhir",
    THEIRS_PLO: "plo-1.6",
    THEIRS_FHIR: "fhir",
}
_HOUR = 3600.0
CALM = (0, 60, *(n * _HOUR for n in (1, 1, 1, 24, 72, 24, 360)))
"""Seconds that pass between the rounds in which everything works, until every limit of the law is over."""


@dataclass(frozen=True, kw_only=True)
class Life:
    """What came of a seed."""

    seed: int
    trace: tuple[str, ...] = field(repr=False)
    findings: tuple[str, ...]
    deaths: dict[str, int]

    @property
    def hash(self) -> str:
        """Of the trace; two lives of one seed have the same."""
        return hashlib.sha256("\n".join(self.trace).encode()).hexdigest()


def live(seed: int) -> Life:
    """The life of a seed; the same every time."""
    with capture_logs():  # what the adapter says aloud is in the trace already
        one = _Living(seed)
        try:
            one.trouble()
            one.calm()
            one.account()
        finally:
            release()
    return Life(seed=seed, trace=tuple(one.trace), findings=tuple(one.watch.found), deaths=one.fate.deaths)


class _Living:
    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.trace: list[str] = []
        self.time, self.fate = Time(), Fate()
        self.disk = disk(self.fate)
        self.watch = Watch(self.disk)
        self.world = World(
            region=known(),
            chance=self.chance,
            time=self.time,
            fate=self.fate,
            disk=self.disk,
            ids=self.new_id,
        )
        self.systems = {name: System(name, reads, self.chance, self.new_id) for name, reads in READS.items()}
        self.network = Network(
            chance=self.chance,
            now=lambda: self.time.at,
            systems=self.systems,
            trace=self.note,
            arrived=self.watch.arrived,
            dies=self._dies_while_sending,
        )
        self.processes = [self._built(f"worker-{n}") for n in range(1, self.chance.randint(2, 3) + 1)]
        self.stays: list[Stay] = stays(self.chance)
        self.story: list[Told] = []
        self.write = Stage(built=self.processes[0].built, post=None, clock=lambda: self.time.at)  # type: ignore[arg-type]
        self.said: list[tuple[str, bytes]] = []  # receipts on their way to us by HTTP

    def new_id(self) -> str:
        """An id like any other, and the same in every life of the seed."""
        return str(uuid.UUID(int=self.chance.getrandbits(128), version=4))

    def note(self, *what: object) -> None:
        """A line of the trace."""
        who = self.watch.acting.name if self.watch.acting is not None else "-"
        self.trace.append(f"{self.time.at:%d %H:%M:%S.%f} {who}: {' '.join(map(str, what))}")

    def _built(self, name: str, clock: Clock | None = None) -> Process:
        return self.world.process(
            name, clock or Clock(self.time), self.network, committed=self.watch.committed
        )

    # --- trouble ---

    def trouble(self) -> None:
        """Steps in an order that nobody would choose."""
        steps = [
            (self._tell, 16), (self._post, 18), (self._claim, 16), (self._send, 22), (self._record, 20),
            (self._tick, 10), (self._look, 10), (self._hear, 12), (self._person, 3), (self._skew, 2),
            (self._kill, 1), (self._weather, 4), (self._slow, 4), (self._eve, 2),
        ]  # fmt: skip
        kinds, weights = [one for one, _ in steps], [weight for _, weight in steps]
        for step in self.chance.choices(kinds, weights, k=STEPS):
            self._time_passes()
            process = self.chance.choice(self.processes)
            writes = step in (self._tell, self._post, self._look, self._hear, self._record)
            if self.chance.random() < (0.3 if writes else 0.05):
                how = self.chance.choice((MIDDLE, MIDDLE, BEFORE, AFTER))
                self.fate.decide(how, int(50 * self.chance.random() ** 1.5) if how == MIDDLE else 0)
            self._as(process, step)
            self.fate.decide(None)

    def _as(self, process: Process, step: Callable[[Process], None]) -> None:
        """Let a process take a step, and build it anew where it dies of it."""
        self.watch.acting = process
        try:
            step(process)
        except Dead as death:
            self.note("dies", death)
            self._anew(self.watch.acting or process)
        except NotOnDuty:
            self.note("is not on duty any more, and wrote nothing")
        except AdapterError as error:
            self.watch.say(invariants.STUMBLED, f"{type(error).__name__} {error}")
        finally:
            self.watch.acting = None

    def _anew(self, process: Process) -> None:
        self.fate.decide(None)
        process.built.store.engine.dispose()
        self.processes[self.processes.index(process)] = self._built(process.name, process.clock)

    def _time_passes(self) -> None:
        short, long = (0.0, 2.0), (60.0, 1200.0)
        span = self.chance.choices((short, (2.0, 75.0), long, (3600.0, 6 * 3600.0)), (70, 20, 8, 2))[0]
        self.time.pass_by(round(self.chance.uniform(*span), 3))

    # --- who tells something ---

    def _tell(self, process: Process) -> None:
        open_ = [stay for stay in self.stays if stay.left]
        if not open_:
            return
        told = tell(self.chance.choice(open_), len(self.story) + 1, self.write, self.time.at, self.new_id)
        if told is not None:
            self.story.append(told)
            self.note("told", told.number, told.standing, told.kind, told.sender, "to", told.receiver)
            if self.chance.random() < 0.6:
                self._hand_in(process, told)

    def _post(self, process: Process) -> None:
        """A sender tries again, or sends for a second time what has been answered."""
        waiting = [one for one in self.story if one.insists]
        again = [one for one in self.story if one.acknowledged]
        if waiting and (not again or self.chance.random() < 0.85):
            self._hand_in(process, self.chance.choice(waiting))
        elif again:
            self._hand_in(process, self.chance.choice(again))

    def _hand_in(self, process: Process, told: Told, *, surely: bool = False) -> None:
        if told.sender in FOLDERS:
            told.put += 1
            self.systems[told.sender].mail[f"{told.number}-{told.put}"] = told.content
            self.note("left in the folder", told.number)
            return
        if not surely and self.chance.random() < 0.1:
            self.note("post", told.number, "lost on its way")
            return
        inbox, now = process.built.inbox, process.clock()
        if told.read is None:
            kind = "application/fhir+json"
            told.read = inbox.read(Incoming(content=told.content, content_type=kind, channel="http"))
        prepared = told.read
        process.asked.append((told, process.built.store.submit(lambda tx: inbox.take(tx, prepared, now))))
        if surely or self.chance.random() < 0.7:
            self._answer(process, surely=surely)

    def _answer(self, process: Process, *, surely: bool = False) -> None:
        """Tell those who have posted what came of it, once it is on the disk."""
        while process.asked:
            told, future = process.asked.pop(0)
            done = future.result()
            if not surely and self.chance.random() < 0.1:
                self.note("post", told.number, done.outcome, "but the answer is lost")
                continue
            self.note("post", told.number, done.outcome, done.code or "")
            self._heard(told, done.first or done.outcome)

    def _heard(self, told: Told, outcome: str) -> None:
        if outcome in ("accepted", "released"):
            told.acknowledged = True
        elif not told.acknowledged:
            told.refused = True

    def _look(self, process: Process) -> None:
        full = [name for name in FOLDERS if self.systems[name].mail]
        if full:
            self._poll(process, self.chance.choice(full))

    def _poll(self, process: Process, *names: str) -> None:
        if names and not self._on_duty(process, MAIL):
            return
        store = process.duties.guarded(MAIL)
        for name in names:
            system = self.systems[name]
            before = dict(system.mail)
            Round(
                name=name,
                channel="directory",
                mailbox=system,
                partner=None,
                store=store,
                inbox=replace(process.built.inbox, store=store),
                clock=process.clock,
            )()
            taken = [key for key in before if key not in system.mail]
            self.note("poll", name, taken)
            for told in self.story:
                if told.sender == name and any(key.split("-")[0] == str(told.number) for key in taken):
                    row = self.disk.look(
                        "SELECT outcome FROM message WHERE sender = ? AND message_id = ?",
                        told.sender,
                        told.message_id,
                    )
                    self._heard(told, row[0]["outcome"] if row else "quarantined")

    def _hear(self, process: Process, *, all_of_it: bool = False) -> None:
        """A receiver sends a receipt, in no order."""
        speaking = [system for system in self.systems.values() if system.later]
        for system in speaking if all_of_it else speaking and [self.chance.choice(speaking)]:
            said = system.later.pop(self.chance.randrange(len(system.later)))
            if system.name in FOLDERS:
                system.mail[f"receipt-{self.new_id()}"] = said
                self.note("receipt left in the folder of", system.name)
                continue
            incoming = Incoming(content=said, content_type="application/fhir+json", channel="http")
            try:
                done = process.built.inbox.accept(incoming, process.clock())
            except Dead:
                system.later.append(said)  # it has heard nothing, and sends it again
                raise
            self.note("receipt of", system.name, done.outcome, done.code or "")

    # --- what a worker does ---

    def _claim(self, process: Process) -> int:
        items = process.deliverer.claim(dict.fromkeys(READS, 1))
        self.watch.claimed(items, process.clock())
        process.carried += [Carried(item) for item in items]
        if items:
            self.note("claims", [(item.id, item.fence) for item in items])
        return len(items)

    def _send(self, process: Process) -> None:
        for one in process.carried:
            if one.reply is None:
                break
        else:
            return
        if process.deliverer.not_now([one.item]):
            process.carried.remove(one)
            self.note("gives back", one.item.id)
            process.deliverer.give_back([one.item])
            return
        self.network.carrying = one.item
        one.reply = process.deliverer.send(one.item)

    def _dies_while_sending(self) -> None:
        if not self.network.calm and self.chance.random() < 0.02:
            raise Dead("while sending")

    def _record(self, process: Process) -> None:
        ready = [one for one in process.carried if one.reply is not None]
        if not ready:
            return
        one = ready[0]
        process.carried.remove(one)
        assert one.reply is not None
        process.writer.around = self.watch.recording(one.item, one.reply)
        recorded = process.deliverer.settle(one.item, one.reply)
        if self.chance.random() < 0.7:
            recorded.result()
        self.note("records", one.item.id, one.item.fence, one.reply.status, one.reply.error or "")

    def _slow(self, process: Process) -> None:
        """It is so slow that its leases end, and another takes what it has."""
        if not process.carried and not self._claim(process):
            return
        self._send(process)
        self.note("is slow")
        self.time.pass_by(round(self.chance.uniform(55, 130), 3))
        other = self.chance.choice([one for one in self.processes if one is not process])
        self.watch.acting = other
        if self._on_duty(other, CLOCK):
            self.note("tick", "leases", other.house.free_leases())
        self._claim(other)
        self.watch.acting = process
        if self.chance.random() < 0.5:
            self._record(process)

    def _tick(self, process: Process, *, every: bool = False) -> None:
        if not self._on_duty(process, CLOCK):
            return
        house = process.house
        jobs: list[tuple[str, Callable[[], object]]] = [
            ("deadlines", partial(self._law, process)),
            ("leases", house.free_leases),
            ("receipts", house.missing_receipts),
            ("prune", house.prune),
        ]
        for name, job in jobs[:3] if every else self.chance.choices(jobs, (5, 5, 5, 1)):
            self.note("tick", name, job())

    def _on_duty(self, process: Process, name: str) -> bool:
        """Whether it may do what only one may: it asks where it must, and may be wrong where it does not."""
        if not process.duties.on(name) or self.chance.random() < 0.1:
            self.note("asks for duties", process.duties())
        return process.duties.on(name)

    def _eve(self, process: Process) -> None:
        """The clock looks in the very second in which a deadline is due, and in the next."""
        soon = self.disk.look(
            "SELECT min(due_at) FROM deadline WHERE state = 'open' AND due_at > ?",
            invariants.micro(process.clock()),
        )[0][0]
        if soon is None:
            return
        wait = instant(soon).replace(microsecond=900_000) - process.clock()
        if not timedelta(0) < wait < timedelta(hours=30):
            return
        self.time.pass_by(wait.total_seconds())
        if not self._on_duty(process, CLOCK):
            return
        for _ in range(2):
            self.note("tick", "deadlines", self._law(process))
            self.time.pass_by(1.1)

    def _law(self, process: Process) -> int:
        looked = process.deadlines()
        self.watch.looked(process)
        return looked

    # --- what else happens ---

    def _person(self, process: Process) -> None:
        self.note(*act(process, self.chance, self.disk.look))

    def _skew(self, process: Process) -> None:
        seconds = self.chance.choice((0, 0, 3, -3, 8, -8, 120, -120, 3600, -3600))
        process.clock.wrong_by = timedelta(seconds=seconds)
        self.note("clock is wrong by", seconds)

    def _kill(self, process: Process) -> None:
        raise Dead("killed")

    def _weather(self, _: Process) -> None:
        system = self.chance.choice(list(self.systems.values()))
        system.down = not system.down
        self.note(system.name, "is down" if system.down else "is up")

    # --- calm ---

    def calm(self) -> None:
        """All faults have stopped; time passes until everything must be settled."""
        self.network.calm = True
        for system in self.systems.values():
            system.down = False
        for process in self.processes:
            process.clock.wrong_by = timedelta(0)
        for seconds in CALM:
            self.time.pass_by(seconds)
            self._as(self.processes[0], self._settles)
            self._as(self.processes[0], self._eve)
        for process in self.processes:
            self._as(process, lambda one: one.writer.flush())

    def _settles(self, process: Process) -> None:
        for other in self.processes:
            other.writer.flush()
            self._answer(other, surely=True)
            while other.carried:
                self._send(other)
                self._record(other)
        for told in self.story:
            if told.insists:
                self._hand_in(process, told, surely=True)
        while any(system.later for system in self.systems.values()):
            self._hear(process, all_of_it=True)
        self._poll(process, *(name for name in FOLDERS if self.systems[name].mail))
        self._tick(process, every=True)
        while self._claim(process):
            while process.carried:
                self._send(process)
                self._record(process)
            process.writer.flush()

    def account(self) -> None:
        """What must be true now."""
        process = self.processes[0]
        invariants.at_the_end(self.watch, process, self.story, self.systems, self.chance)
        for row in self.disk.look("SELECT id, kind, party, state, fence, attempts FROM delivery ORDER BY id"):
            self.trace.append(" ".join(map(str, tuple(row))))
        for row in self.disk.look("SELECT kind, subject, since, until FROM alarm ORDER BY id"):
            self.trace.append(f"{row['kind']} {row['subject']} {instant(row['since']):%d %H:%M:%S.%f}")
