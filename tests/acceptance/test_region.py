"""The simulated region around a real adapter: whatever goes wrong at the receivers, nothing is lost.

One hospital and seven municipalities as servers of their own, two of them with KITH over a directory; faults
to order. Time is compressed, never slept through for its own sake: a run ends when all is quiet.
"""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from adapter.config import RetrySettings, Settings, load_region
from adapter.runtime import Adapter, now, stations
from adapter.simulator.faults import Faults
from adapter.simulator.places import at_free_ports, in_folder, with_fresh_tokens
from adapter.simulator.region import SimulatedRegion
from adapter.simulator.report import Report
from adapter.store import cases, deliveries, journal

REGION = Path(__file__).parent.parent.parent / "fixtures" / "regions" / "indre-sogn.toml"
FAULTS = "slow=luster:200ms,down=sogndal:4s@1s,reset=*:0.15,not-now=aurland:0.3,reject=laerdal:0.1"

IN_A_HURRY = 144_000
"""Seconds of a stay in one of ours where no fault needs its own time: 40 hours."""


@dataclass(frozen=True, kw_only=True)
class Lived:
    """What a run of the region has come to."""

    report: Report
    wrong: list[str]  # what the journal finds
    cases: int
    cancelled: int  # deliveries that were never attempted, and never will be
    hosted: list[tuple[str, str]]  # endpoint and state of each delivery to the service that Lærdal hosts


def live_through(
    folder: Path, *, patients: int, seed: int, faults: str, store: str | None = None, speed: float = 36_000
) -> Lived:
    """A run of the region around a real adapter; `speed` is how many seconds of a stay pass in one."""
    region = load_region(REGION)
    register, tokens = with_fresh_tokens(in_folder(at_free_ports(region.register_), folder))
    quick = RetrySettings(delays=tuple(timedelta(seconds=n) for n in (0.3, 0.6, 1, 2)))
    settings = Settings(store=store or f"sqlite:///{folder}/region.db", port=0, retry=quick)
    built = stations(settings, region=region.model_copy(update={"register_": register}))
    adapter = Adapter(built)
    address = adapter.start()
    assert address is not None
    simulated = SimulatedRegion(
        register,
        address,
        tokens,
        folder=folder,
        clock=now,
        seed=seed,
        faults=Faults.parse(faults),
        speed=speed,
    )
    try:
        simulated.start()
        report = simulated.run(patients, limit=90)
    finally:
        simulated.stop()
        with built.store.read() as connection:
            wrong = journal.findings(connection, built.agreement, built.cases.roles)
        with built.store.read() as connection:
            count = len(cases.listed(connection))
            sent = deliveries.listed(connection, limit=10_000)
        adapter.stop()
    hosted = [(row["endpoint"], row["state"]) for row in sent if row["party"] == "sogn-lms"]
    cancelled = sum(row["state"] == "cancelled" for row in sent)
    return Lived(report=report, wrong=wrong, cases=count, cancelled=cancelled, hosted=hosted)


@pytest.mark.slow
def test_a_region_without_faults_delivers_and_receipts_everything(tmp_path: Path, store_url: str) -> None:
    lived = live_through(tmp_path, patients=12, seed=1, faults="", store=store_url, speed=IN_A_HURRY)
    report = lived.report
    assert report.quiet, report.table()
    assert report.total.lost == 0
    assert report.total.accepted > 20
    assert report.total.delivered == report.total.accepted - lived.cancelled
    assert report.total.receipted == report.total.delivered
    assert lived.wrong == []
    assert lived.cases >= 12
    assert set(lived.hosted) == {("laerdal", "acknowledged")}  # Lærdal's system takes it for its guests


@pytest.mark.slow
def test_nothing_is_lost_when_receivers_are_slow_down_reset_or_say_not_now(tmp_path: Path) -> None:
    lived = live_through(tmp_path, patients=12, seed=7, faults=FAULTS)
    report = lived.report
    assert report.quiet, report.table()
    assert report.total.lost == 0
    assert report.total.cancelled == lived.cancelled
    settled = report.total.receipted + report.total.refused + report.total.parked + lived.cancelled
    assert settled >= report.total.accepted
    assert report.total.repeats > 0, "the faults did not bite"
    assert lived.wrong == []


@pytest.mark.slow
def test_a_region_whose_receivers_refuse_everything_comes_to_rest_with_all_of_it_accounted_for(
    tmp_path: Path,
) -> None:
    lived = live_through(tmp_path, patients=20, seed=109, faults="reject=*:1", speed=IN_A_HURRY)
    report = lived.report
    assert report.quiet, report.table()
    assert (report.total.lost, report.total.receipted) == (0, 0)
    assert report.total.parked > 0, "nothing corrected what was refused: choose another seed"
    assert lived.wrong == []


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(12))
def test_twelve_regions_with_every_fault_lose_nothing(tmp_path: Path, seed: int) -> None:
    lived = live_through(tmp_path, patients=20, seed=100 + seed, faults=FAULTS)
    report = lived.report
    assert report.quiet, report.table()
    assert report.total.lost == 0
    assert lived.wrong == []
