"""Luster with a FHIR server of its own for plans, and the hospital that sends them, on a stage."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from adapter.discharge.notices import NoticeKind
from adapter.inbox import Acceptance
from adapter.messaging.register import Endpoint, Partner
from adapter.plans import Plans
from adapter.pushes import Pulls, conflicts
from adapter.runtime import new_id
from adapter.scheduler.delivering import Deliverer
from adapter.scheduler.polling import Round
from adapter.simulator.fhir_server import FhirServer
from adapter.simulator.threads import serving
from adapter.store import resources, tables
from adapter.transport.fhir_plans import FhirPlans
from adapter.transport.fhir_plans_mailbox import PlansMailbox
from tests.conftest import StandingClock
from tests.plans import GOAL, PLAN, plan_bytes
from tests.stage import Stage, region, stage

K = NoticeKind
OURS = f"CarePlan/{PLAN}"
SERVER = "luster-fhir"


@dataclass
class Place:
    """Lærdal sjukehus and Luster, whose plans stand on a FHIR server of its own."""

    stage: Stage
    server: FhirServer
    clock: StandingClock

    def told(self, **more: Any) -> Acceptance:
        """The hospital sends the plan, or its next version."""
        done = self.stage.receive(plan_bytes(self.stage.built.register, at=self.clock(), **more))
        self.clock.forward(minutes=1)
        return done

    def deliver(self) -> list[str]:
        """Send what is due, once; what became of the plans."""
        outcomes: list[str] = []
        carrier = Deliverer(
            store=self.stage.built.store,
            inbox=self.stage.built.inbox,
            outbox=self.stage.outbox,
            clock=self.clock,
            observe=lambda item, _, outcome: outcomes.append(outcome) if item.endpoint == SERVER else None,
        )
        for future in carrier.round():
            future.result()
        carrier.stop()
        return outcomes

    def put(self, **more: Any) -> None:
        """The plan is told, and stands on the server."""
        assert self.told(**more).outcome == "accepted"
        assert self.deliver() == ["sent"], self.delivery()["error"]

    def delivery(self) -> Any:
        """The newest delivery of a plan."""
        return self.stage.rows(tables.delivery, kind="care-plan", endpoint=SERVER)[-1]

    def alarms(self) -> list[Any]:
        return [dict(row) for row in self.stage.rows(tables.alarm, until=None)]

    def edit(self, kind: str, **changes: Any) -> dict[str, Any]:
        """Somebody in Luster changes what stands there."""
        return self.server.put(self.server.one(kind) | changes)

    def mailbox(self) -> PlansMailbox:
        """The mailbox of that server, as after a start."""
        built = self.stage.built
        endpoint = built.register.endpoint(SERVER)
        assert endpoint is not None
        plans = Plans(inbox=built.inbox, shelves=built.shelves, new_id=new_id)
        return PlansMailbox(endpoint, Pulls(pushes=built.pushes, plans=plans), sleep=lambda _: None)

    def poll(self) -> int:
        """Look at what has changed there."""
        self.clock.forward(minutes=1)
        built = self.stage.built
        look = Round(
            name=SERVER,
            channel="poll",
            mailbox=self.mailbox(),
            partner=Partner(name=SERVER, parties=("luster",)),
            store=built.store,
            inbox=built.inbox,
            clock=self.clock,
        )
        return look()

    def versions(self) -> list[Any]:
        """Who wrote each version of the plan here, oldest first."""
        self.stage.built.shelves.catch_up()

        def look(tx: Connection) -> list[Any]:
            row = resources.named(tx, "CarePlan", PLAN)
            assert row is not None
            return [v["by"] for v in reversed(resources.versions(tx, row["id"]))]

        return self.stage.write(look)

    def goal_here(self) -> str:
        """The goal as it is in the newest version here."""
        self.stage.built.shelves.catch_up()

        def look(tx: Connection) -> str:
            row = resources.named(tx, "CarePlan", PLAN)
            assert row is not None
            version = resources.version(tx, row["version"])
            assert version is not None
            return str(self.stage.built.shelves.graph(tx, version)[f"Goal/{GOAL}"]["description"]["text"])

        return self.stage.write(look)

    def decide(self, act: Any) -> None:
        """A person keeps one of the two versions of the only conflict."""
        (one,) = self.stage.write(conflicts)
        self.stage.write(lambda tx: act(tx, self.stage.outbox, one["id"], self.clock(), by="Solveig"))


@contextmanager
def place(
    url: str, clock: StandingClock, *, transactions: bool = True, timeout: float = 5.0, **sides: str
) -> Iterator[Place]:
    server = FhirServer("luster", clock=clock, transactions=transactions)
    with serving(server):
        known = region(**sides)
        register = known.register_
        parties = tuple(
            replace(p, plans_endpoint=SERVER) if p.id == "luster" else p for p in register.parties
        )
        there = Endpoint(
            name=SERVER, transport="fhir-plans", address=server.base, dialect="fhir", timeout=timeout,
            token="open-sesame",
        )  # fmt: skip
        register = replace(register, parties=parties, endpoints=(*register.endpoints, there))
        made = stage(url, clock, of=known.model_copy(update={"register_": register}))
        plans = FhirPlans(made.built.pushes, sleep=lambda _: None)
        transports = {**made.outbox.transports, "fhir-plans": plans}
        outbox = replace(made.outbox, transports=transports)
        built = replace(made.built, outbox=outbox, inbox=replace(made.built.inbox, outbox=outbox))
        made = replace(made, built=built)
        try:
            yield Place(stage=made, server=server, clock=clock)
        finally:
            made.close()
