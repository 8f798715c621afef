"""Deaths by plan: load on the adapter, and one process after another killed in the way that is its turn.

Each life is to end in one of three ways, or not at all: whoever dies without being told to fails the test.
What a dead process had leased is read from the store before it is started again.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from adapter.simulator.load import Load, begin_apart, finish
from adapter.simulator.moulds import Stays
from tests.receivers import ORDER
from tests.rig import SENDER, TOKEN, AProcess, Rig

RANDOM = "at a random moment"
SENDING = "between send and record"
ANSWERING = "between commit and answer"
WAYS = (RANDOM, SENDING, ANSWERING)

STAYS = 18  # patients in one load
_PLAIN = ("-m", "adapter.cli")


@dataclass(frozen=True, kw_only=True, slots=True)
class End:
    """How and who: `all` is the one process of both roles."""

    how: str
    who: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Death:
    """One kill: when it was seen, and the messages that the dead process had leased."""

    end: End
    at: datetime
    leased: frozenset[str] = field(repr=False)
    again: set[str] = field(default_factory=set, repr=False)  # those of them that arrived once more


def plan(kills: int, dice: random.Random, *, apart: bool) -> list[End]:
    """The ways to die in turn, shuffled: each is there as soon as there are as many kills as ways."""
    if apart:
        ways = [(RANDOM, "web"), (RANDOM, "worker"), (SENDING, "worker"), (ANSWERING, "web")]
    else:
        ways = [(how, "all") for how in WAYS]
    made: list[End] = []
    while len(made) < kills:
        made += [End(how=how, who=who) for how, who in dice.sample(ways, len(ways))]
    return made[:kills]


class Killing:
    """Keeps load on the adapter and kills it as planned; `deaths`, `loads` and `acknowledged` tell of it."""

    def __init__(self, made: Rig, kills: int, seed: int, *, apart: bool = False) -> None:
        self.made = made
        self.apart = apart
        self.dice = random.Random(seed)
        self.plan = plan(kills, self.dice, apart=apart)
        self.deaths: list[Death] = []
        self.loads: list[Load] = []
        self.acknowledged: set[str] = set()
        self.kill_at = float("inf")
        self.leased_until = 0

    @property
    def end(self) -> End | None:
        """How the next death is to be; None when there have been enough."""
        return self.plan[len(self.deaths)] if len(self.deaths) < len(self.plan) else None

    def run(self) -> None:
        """Die as planned under load, then live until everything has its receipt."""
        self.start("all")
        while self.end is not None:
            self.one_load()
        until = time.monotonic() + 60
        while self.made.unfinished() and time.monotonic() < until:
            self.watch()
            time.sleep(0.1)

    def one_load(self) -> None:
        """Send so many stays, and go on killing meanwhile."""
        self.send(self.watch)

    def send(self, meanwhile: Callable[[], None], *, stays: int = STAYS, rate: float = 80) -> None:
        """Send the next stays, and note which messages are acknowledged."""
        count = stays * Stays.together
        load = Load(
            url=self.made.url,
            token=TOKEN,
            sender=SENDER,
            receivers=self.made.receiver_addresses,
            at=datetime.now(UTC).replace(microsecond=0),  # noqa: TID251  # the load's own clock
            count=count,
            connections=6,
            rate=rate,
            first=len(self.loads) * count,
            persist=True,
            stays=True,
            limit=90,
        )
        self.loads.append(load)
        sending = begin_apart(load)
        while sending.poll() is None:
            meanwhile()
            time.sleep(0.02)
        self.acknowledged |= set(finish(sending).acknowledged)

    def watch(self) -> None:
        """Kill whoever is due, and start whoever has died."""
        end = self.end
        if end is not None and time.monotonic() > self.kill_at:
            victim = self.process(end.who)
            assert victim is not None and victim.poll() is None, f"died by itself: {self.made.log()[-3000:]}"
            victim.kill()
            victim.wait()
        for who in ("web", "worker") if self.apart else ("all",):
            process = self.process(who)
            if process is None or process.poll() is None:
                continue
            assert end is not None and end.who == who and process.returncode == -9, (
                f"{who} ended by itself with {process.returncode}: {self.made.log()[-3000:]}"
            )
            self.died(end)
            self.start(who)

    def process(self, who: str) -> "AProcess | None":
        return self.made.worker if who == "worker" else self.made.adapter

    def died(self, end: End) -> None:
        """Note what was leased by the dead: what the store says at this moment, of this life only."""
        leased: frozenset[str] = frozenset()
        if end.who != "web":  # which leases nothing; the worker lives on and records what it holds
            told = self.made.rows("SELECT message_id, lease_until FROM delivery WHERE state = 'leased'")
            leased = frozenset(str(name) for name, until in told if int(str(until)) > self.leased_until)
            self.leased_until = max((int(str(until)) for _, until in told), default=self.leased_until)
        seen_at = datetime.now(UTC)  # noqa: TID251  # the receivers' clock
        self.deaths.append(Death(end=end, at=seen_at, leased=leased))

    def start(self, who: str) -> None:
        """A new life of whoever is not alive, and how the next is to end.

        One that is to die right after a commit must be started for it: a living web process goes first.
        """
        end = self.end
        (self.made.folder / ORDER).unlink(missing_ok=True)
        self.kill_at = float("inf")
        answering = end is not None and end.how == ANSWERING
        if answering and who == "worker":
            self.made.kill()
        fatal = ("-m", "tests.killable", str(self.dice.randint(2, 30)))
        self.made.wrapper, self.made.dies = (fatal, True) if answering else (_PLAIN, False)
        self.renew()
        if end is not None and end.how == RANDOM:
            self.kill_at = time.monotonic() + self.dice.uniform(0.3, 2.5)
        elif end is not None and end.how == SENDING:
            victim = self.process(end.who)
            assert victim is not None
            self.made.order_death(victim.pid, self.dice.randint(3, 60))

    def renew(self) -> None:
        """Start the processes that are not alive."""
        if self.made.adapter is None or self.made.adapter.poll() is not None:
            self.made.start(role="web" if self.apart else "all")
        if self.apart and (self.made.worker is None or self.made.worker.poll() is not None):
            self.made.wrapper = _PLAIN
            self.made.worker = self.made.process("worker")


def unexplained(
    deaths: Iterable[Death], arrivals: Iterable[tuple[datetime, str]], retries: Iterable[tuple[datetime, str]]
) -> list[str]:
    """The repeats for which there is no reason; notes at each death what arrived once more because of it.

    Arrivals and retries are (when, message id). A message may arrive again once for each death whose process
    had leased it, and once for each attempt of it that the log shows to be tried again.
    """
    reasons: dict[str, list[tuple[datetime, Death | None]]] = {}
    for at, name in retries:
        reasons.setdefault(name, []).append((at, None))
    for death in deaths:
        for name in death.leased:
            reasons.setdefault(name, []).append((death.at, death))
    seen: Counter[str] = Counter()
    without: list[str] = []
    for at, name in sorted(arrivals):
        seen[name] += 1
        if seen[name] == 1:
            continue
        before = [reason for reason in reasons.get(name, ()) if reason[0] < at]
        if not before:
            without.append(name)
            continue
        latest = max(before, key=lambda reason: reason[0])
        reasons[name].remove(latest)
        if latest[1] is not None:
            latest[1].again.add(name)
    return without
