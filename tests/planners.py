"""Three who plan together around a running adapter, whose clock stands still between their steps."""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from adapter.config import Region, Settings, load_region
from adapter.discharge.case import Case, Step
from adapter.discharge.deadlines import Deadline, deadlines
from adapter.discharge.planning import Planning, planning
from adapter.fhir.bundles import Subject
from adapter.messaging.register import Partner, Party, ReceiptWhen, Side
from adapter.runtime import Adapter, Stations, stations
from adapter.simulator.clients import FhirClient
from adapter.simulator.planners import Actor, Scene
from adapter.simulator.region import address
from adapter.simulator.sip import HOSPITAL, LEADER, MUNICIPALITY, Plot, Role, tale
from adapter.store import tables
from tests.conftest import StandingClock
from tests.stage import REGION
from tests.test_planning import TOLVAN, VASTERBOTTEN

WARD, CENTRE, VANNAS, STRANGER = "umea-lasarett", "backa-vardcentral", "vannas", "robertsfors"
CAST = {HOSPITAL: WARD, LEADER: CENTRE, MUNICIPALITY: VANNAS}
TOKENS = {
    WARD: "synthetic-token-lasarett",
    CENTRE: "synthetic-token-vardcentral",
    VANNAS: "synthetic-token-vannas",
    STRANGER: "synthetic-token-robertsfors",
}
STOCKHOLM = ZoneInfo("Europe/Stockholm")
ADMITTED = datetime(2024, 3, 1, 10, 0, tzinfo=STOCKHOLM)


def sha256(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def vasterbotten() -> Region:
    """The region, with one municipality more that has nothing to do with the patient."""
    known = load_region(VASTERBOTTEN)
    other = Party(
        id=STRANGER,
        name="Robertsfors kommun",
        kind="municipality",
        side=Side.OURS,
        identifiers=(("urn:oid:1.2.752.29.4.19", "SE0000000000-ROB"),),
    )
    machine = Partner(name="robertsfors", parties=(STRANGER,), token_sha256=sha256(TOKENS[STRANGER]))
    register = replace(
        known.register_,
        parties=(*known.register_.parties, other),
        partners=(*known.register_.partners, machine),
    )
    return known.model_copy(update={"register_": register})


def indre_sogn(*parties: str) -> Region:
    """The region, where these parties have no system behind the adapter; each signs in by its own name."""
    known = load_region(REGION)
    machines = {p: Partner(name=p, parties=(p,), token_sha256=sha256(f"token-{p}")) for p in parties}
    register = replace(
        known.register_,
        parties=tuple(
            replace(p, endpoint=None, receipt=ReceiptWhen.STORED) if p.id in parties else p
            for p in known.register_.parties
        ),
        partners=tuple(machines.values()),
    )
    return known.model_copy(update={"register_": register})


@dataclass
class Theatre:
    """A running adapter with the actors around it, and what its own store says of the case."""

    url: str
    built: Stations
    clock: StandingClock
    scene: Scene
    clients: dict[str, FhirClient]

    def actor(self, role: Role) -> Actor:
        return self.scene.actors[role]

    def poll(self) -> None:
        for actor in self.scene.actors.values():
            actor.poll(self.scene.subject)

    @property
    def case(self) -> Case:
        (found,) = self.cases()
        return found

    def cases(self) -> list[Case]:
        with self.built.store.read() as tx:
            rows = list(tx.execute(tables.case.select()).mappings())
            return [case for _, case in self.built.cases.folded(tx, rows[0]["patient"])]

    @property
    def planning(self) -> Planning:
        return planning(self.case, self.built.cases.roles)

    def deadlines(self, kind: str) -> list[Deadline]:
        cases = self.built.cases
        found = deadlines(self.case, cases.agreement, self.clock(), cases.roles)
        return [d for d in found if d.kind == kind]

    def accepted_by(self, message_id: str) -> set[str]:
        """Whose receipt there is for a message."""
        (entry,) = [e for e in self.case.entries if e.notice.message_id == message_id]
        return {e.party for e in entry.evidence if e.step is Step.ACCEPTED and e.party is not None}

    def rows(self, table: object) -> list[dict[str, object]]:
        with self.built.store.read() as tx:
            return [dict(row) for row in tx.execute(table.select()).mappings()]  # type: ignore[attr-defined]


@contextmanager
def theatre(
    store: str,
    plot: Plot,
    *,
    region: Region,
    cast: dict[Role, str],
    tokens: dict[str, str],
    subject: Subject = TOLVAN,
    polling: int = 0,
    zone: ZoneInfo = STOCKHOLM,
) -> Iterator[Theatre]:
    """The adapter on a free port; nothing in it moves by itself."""
    clock = StandingClock(ADMITTED)
    built = stations(Settings(store=store, port=0), region=region, clock=clock)
    adapter = Adapter(built, role="web")
    url = adapter.start()
    assert url is not None

    def pace(after: timedelta) -> datetime:
        clock.at = ADMITTED + after
        return clock.at

    clients = {party: FhirClient(url, token) for party, token in tokens.items()}
    told = tale(plot)
    actors = {}
    for role in told.cast:
        party = region.register_.party(cast[role])
        assert party is not None
        actors[role] = Actor(party=party.id, address=address(party), client=clients[party.id])
    scene = Scene(
        tale=told,
        actors=actors,
        subject=subject,
        stay="V-2024-0301",
        pace=pace,
        zone=zone,
        polling=random.Random(polling),
    )
    try:
        yield Theatre(url=url, built=built, clock=clock, scene=scene, clients=clients)
    finally:
        for client in clients.values():
            client.close()
        adapter.stop()


@contextmanager
def swedish(store: str, plot: Plot = Plot.SIP, *, polling: int = 0) -> Iterator[Theatre]:
    """Umeå, Backa and Vännäs."""
    with theatre(store, plot, region=vasterbotten(), cast=CAST, tokens=TOKENS, polling=polling) as found:
        yield found


@contextmanager
def norwegian(store: str) -> Iterator[Theatre]:
    """The hospital in Lærdal and the coordinating unit of its municipality."""
    from tests.stage import SYNNOVE

    cast = {HOSPITAL: "laerdal-sjukehus", LEADER: "laerdal"}
    parties = (*cast.values(), "luster")
    with theatre(
        store,
        Plot.INDIVIDUAL_PLAN,
        region=indre_sogn(*parties),
        cast=cast,
        tokens={p: f"token-{p}" for p in parties},
        subject=SYNNOVE,
        zone=ZoneInfo("Europe/Oslo"),
    ) as found:
        yield found
