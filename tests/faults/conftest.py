"""A stage whose far end is a real socket: the adapter's own transports, and peers on loopback."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from adapter.config import Region
from adapter.store import Store, embedded_file
from adapter.store.migrations import migrate
from adapter.transport.directory import Directory
from adapter.transport.fhir_rest import FhirRest
from tests.conftest import StandingClock
from tests.stage import Stage, region, stage
from tests.transport.conftest import peer

__all__ = ["at_peers", "peer", "with_endpoints"]


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated store that others are copied from: a quarter of the time that making one takes."""
    file = tmp_path_factory.mktemp("template") / "store.db"
    store = Store(f"sqlite:///{file}")
    migrate(store)
    store.close()
    return file


@pytest.fixture
def store_url(store_url: str, sqlite_template: Path) -> str:
    """As everywhere; the embedded store is a copy."""
    file = embedded_file(store_url)
    if file is not None:
        shutil.copyfile(sqlite_template, file)
    return store_url


def with_endpoints(known: Region, **changes: dict[str, object]) -> Region:
    """The region with those endpoints changed."""
    register = known.register_
    endpoints = tuple(replace(e, **changes.get(e.name, {})) for e in register.endpoints)  # type: ignore[arg-type]
    return known.model_copy(update={"register_": replace(register, endpoints=endpoints)})


@pytest.fixture
def at_peers(store_url: str, clock: StandingClock) -> Iterator[Callable[..., Stage]]:
    """Starts a play in which endpoints lead to real addresses: `at_peers(vik={"address": …})`."""
    made: list[Stage] = []

    def start(**changes: dict[str, object]) -> Stage:
        made.append(over_sockets(stage(store_url, clock, of=with_endpoints(region(), **changes))))
        return made[-1]

    yield start
    for play in made:
        play.close()


def over_sockets(play: Stage) -> Stage:
    """The same stations with the transports that the running adapter has."""
    outbox = replace(play.outbox, transports={"fhir": FhirRest(), "directory": Directory()})
    inbox = replace(play.built.inbox, outbox=outbox)
    return replace(play, built=replace(play.built, outbox=outbox, inbox=inbox))
