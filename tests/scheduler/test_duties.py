"""What only one process may do writes nothing once another has taken it over, whichever job it is."""

from pathlib import Path

import pytest
from sqlalchemy import RowMapping

from adapter.config import Settings
from adapter.errors import AdapterError, NotOnDuty
from adapter.runtime import Adapter
from adapter.scheduler.duties import LASTS, Duties, OfOne
from adapter.store.tables import metadata
from tests.conftest import StandingClock
from tests.stage import Stage, stage


def test_a_process_that_has_lost_the_clock_without_knowing_writes_nothing(
    tmp_path: Path, clock: StandingClock
) -> None:
    """All of its jobs run as if it still had it; the store is as the other has left it."""
    play = stage(f"sqlite:///{tmp_path}/store.db", clock, settings=Settings())
    adapter = Adapter(play.built, role="worker")
    adapter.duties()
    jobs = {name: job for name, (_, job) in adapter.jobs.items() if isinstance(job, OfOne)}
    for job in jobs.values():
        job()  # a first look, of which the second has nothing new to note
    clock.forward(seconds=LASTS.total_seconds())
    other = Duties(store=play.built.store, holder="other", clock=clock, names=set(adapter.duties.names))
    assert other() == len(adapter.duties.names)
    clock.forward(days=400)
    before = contents(play)
    refused = set()
    for name, job in jobs.items():
        try:
            job.job()
        except NotOnDuty:
            refused.add(name)
        except AdapterError:
            pytest.fail(f"{name} met something else than the duty of another")
    assert contents(play) == before
    assert {"reconcile", "journal"} <= refused, "these write whatever they find"
    play.close()


def contents(play: Stage) -> dict[str, list[RowMapping]]:
    """All that the store holds."""
    return {table.name: play.rows(table) for table in metadata.sorted_tables}
