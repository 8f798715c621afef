"""The pretend region where hospital, primary care and municipality plan together: many tales at once.

Each tale is played in a thread by three actors over real HTTP, sped up like the other stories. The report
counts messages and changes by the party they were for; what a party holds is what it is shown at /fhir.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import Any
from zoneinfo import ZoneInfo

from adapter.errors import ConfigurationError
from adapter.messaging.register import Party, Register
from adapter.simulator.clients import FhirClient
from adapter.simulator.people import People
from adapter.simulator.planners import Actor, Post, Scene
from adapter.simulator.region import address
from adapter.simulator.report import Counts, Report
from adapter.simulator.sip import HOSPITAL, LEADER, MUNICIPALITY, SWEDISH, Plot, Role, tale

SPEED = 360_000.0
"""Seconds of a tale in a second: its six weeks pass in about ten."""

_STOCKHOLM = ZoneInfo("Europe/Stockholm")
_AT_ONCE = 8
_WEIGHTS = (6, 2, 1, 1)  # of the plots, in their order
_LOOK = 0.1  # seconds
_KINDS = {HOSPITAL: "hospital", LEADER: "open-care", MUNICIPALITY: "municipality"}


def plans_together(register: Register) -> bool:
    """Whether the region has everybody whom a Swedish planning needs, and each can sign in."""
    return all(_able(register, kind) for kind in _KINDS.values())


def _able(register: Register, kind: str) -> list[Party]:
    speaking = {party for partner in register.partners for party in partner.parties}
    return [p for p in register.parties if p.kind == kind and p.id in speaking]


@dataclass
class _Played:
    """One tale, and what its parties held in the end, by party: versions of the case."""

    plot: Plot
    posts: list[Post] = field(default_factory=list)
    held: dict[str, int] = field(default_factory=dict)
    over: bool = False


class PlanningRegion:
    """The partners of `register` who plan together around an adapter at `adapter_url`.

    `tokens` are the bearer tokens by partner's name; the same seed tells the same tales.
    """

    def __init__(
        self,
        register: Register,
        adapter_url: str,
        tokens: Mapping[str, str],
        *,
        clock: Callable[[], datetime],
        seed: int = 0,
        speed: float = SPEED,
    ) -> None:
        if not plans_together(register):
            raise ConfigurationError(
                "planning together needs a hospital, a party of kind open-care and a municipality, "
                "each with a partner who may speak for it; add them to the region file"
            )
        self._register = register
        self._url = adapter_url
        self._tokens = tokens
        self._clock = clock
        self._seed = seed
        self._speed = speed
        self._rng = random.Random(f"planning/{seed}")  # noqa: S311  # a simulation, no secret
        self._people = People(seed)
        self._played: list[_Played] = []
        self._pool = ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix="tale")
        self._stop = threading.Event()

    def start(self) -> None:
        """Nothing listens: the actors ask for what is new."""

    def stop(self) -> None:
        """End what is still told."""
        self._stop.set()
        self._pool.shutdown(cancel_futures=True)

    def run(self, cases: int, *, progress: Callable[[Report], None] | None = None) -> Report:
        """Tell so many tales to their end. Raises what an actor could not make sense of."""
        began = monotonic()
        told: list[Future[None]] = [self._pool.submit(self._tell, self._cast(n)) for n in range(cases)]
        while not all(one.done() for one in told):
            time.sleep(_LOOK)
            if progress is not None:
                progress(self._report(monotonic() - began, cases))
        for one in told:
            one.result()
        return self._report(monotonic() - began, cases)

    def _cast(self, number: int) -> tuple[Scene, _Played, list[FhirClient]]:
        plot = self._rng.choices(SWEDISH, weights=_WEIGHTS)[0]
        actors: dict[Role, Actor] = {}
        clients = []
        for role, kind in _KINDS.items():
            party = self._rng.choice(_able(self._register, kind))
            clients.append(FhirClient(self._url, self._token_of(party)))
            actors[role] = Actor(party=party.id, address=address(party), client=clients[-1])
        played = _Played(plot=plot)
        scene = Scene(
            tale=tale(plot),
            actors=actors,
            subject=self._people.one_in_sweden(),
            stay=f"V-{self._seed}-{number}-{self._rng.randrange(10**6):06}",
            pace=_Pace(self._clock, self._stop),
            zone=_STOCKHOLM,
            polling=random.Random(f"polling/{self._seed}/{number}"),  # noqa: S311  # the same
            speed=self._speed,
            posts=played.posts,
        )
        self._played.append(played)
        return scene, played, clients

    def _token_of(self, party: Party) -> str:
        partners = (p.name for p in self._register.partners if party.id in p.parties)
        return next(self._tokens[name] for name in partners if name in self._tokens)

    def _tell(self, cast: tuple[Scene, _Played, list[FhirClient]]) -> None:
        scene, played, clients = cast
        try:
            scene.play()
            for actor in scene.actors.values():
                actor.poll(scene.subject)
                played.held[actor.party] = _versions_of_the_case(actor)
            played.over = True
        finally:
            for client in clients:
                client.close()

    def _report(self, seconds: float, cases: int) -> Report:
        by_party: dict[str, Counts] = {}
        for played in list(self._played):
            for party, counts in _counted(played):
                by_party[party] = by_party.get(party, Counts()).plus(counts)
        quiet = len(self._played) == cases and all(one.over for one in self._played)
        return Report(by_party=by_party, quiet=quiet, seconds=seconds, cases=len(self._played))


class _Pace:
    """Waits in real time until a step's turn has come."""

    def __init__(self, clock: Callable[[], datetime], stop: threading.Event) -> None:
        self._clock = clock
        self._stop = stop
        self._began: datetime | None = None

    def __call__(self, after: timedelta) -> datetime:
        began = self._began = self._began or self._clock()
        self._stop.wait(max(0.0, (began + after - self._clock()).total_seconds()))
        at = self._clock()
        return at.replace(microsecond=at.microsecond // 1000 * 1000)


def _versions_of_the_case(actor: Actor) -> int:
    """How many messages about the patient it sent or was addressed in: each is a version of the case."""
    return sum(len(actor.client.history(f"EpisodeOfCare/{one['id']}")) for one in actor.of("EpisodeOfCare"))


def _counted(played: _Played) -> Iterator[tuple[str, Counts]]:
    """The counts of each party to which something was sent, of one tale."""
    posts = list(played.posts)
    for party in dict.fromkeys(to for post in posts for to in post.to):
        sent = [p for p in posts if party in p.to]
        taken = [p for p in sent if p.taken]
        own = sum(1 for p in posts if p.by == party and p.taken)
        there = max(0, played.held.get(party, 0) - own)
        said: dict[str, Any] = {
            "sent": len(sent),
            "accepted": len(taken),
            "delivered": min(there, len(taken)),
            "receipted": sum(p.receipted for p in taken),
            "refused": sum(p.refused for p in sent),
            "held": sum(p.held for p in sent),
            "lost": max(0, len(taken) - there) if played.over else 0,
        }
        yield party, Counts(**said)
