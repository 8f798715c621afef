"""The running adapter puts plans on a municipality's FHIR server and reads back what changes there."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from adapter.config import Settings
from adapter.incoming import Incoming
from adapter.messaging.register import Endpoint
from adapter.runtime import Adapter, stations
from adapter.simulator.fhir_server import FhirServer
from adapter.simulator.threads import serving
from adapter.store import tables
from tests.conftest import StandingClock
from tests.municipal_server import SERVER
from tests.plans import plan_bytes
from tests.stage import FakePost, Stage, altered, region, taken


def until(there: Callable[[], object]) -> None:
    """Wait for what a thread does."""
    end = time.monotonic() + 10
    while not there():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_running_adapter_puts_plans_there_and_reads_them_back(tmp_path: Path, clock: StandingClock) -> None:
    server = FhirServer("luster", clock=clock)
    with serving(server):
        there = Endpoint(name=SERVER, transport="fhir-plans", address=server.base, dialect="fhir")
        known = altered(region(), "luster", plans_endpoint=SERVER, endpoint=None)
        register = known.register_
        parties = tuple(replace(p, endpoint=None) for p in register.parties)
        known = known.model_copy(update={"register_": replace(register, parties=parties, endpoints=(there,))})
        settings = Settings(store=f"sqlite:///{tmp_path}/store.db")
        built = stations(settings, region=known, clock=clock)
        adapter = Adapter(built, role="worker")
        adapter.start()
        try:
            content = plan_bytes(built.register, at=clock())
            assert built.inbox.accept(Incoming(content=content), clock()).outcome == "accepted"
            assert adapter.deliverer is not None
            adapter.deliverer.nudge()
            until(lambda: server.newest("CarePlan"))
            play = Stage(built=built, post=FakePost(answer=taken()), clock=clock)
            until(lambda: play.rows(tables.delivery, kind="care-plan")[0]["state"] == "acknowledged")
            server.put(server.one("Goal") | {"description": {"text": "Gå til postkassen med stokk"}})
            _, look = adapter.jobs[f"poll {SERVER}"]
            assert look() == 1
            senders = [row["sender"] for row in play.rows(tables.message) if row["type"] == "care-plan"]
            assert senders == ["laerdal-sjukehus", "luster"]
        finally:
            adapter.stop()
