"""Four workers over one PostgreSQL, one killed every second: nothing is lost, doubled or out of order.

The load tells whole stays. A victim is killed with SIGKILL whoever it is and wherever, with whatever it has
leased or is on duty for, and another starts in its place.
"""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.acceptance.test_kill import (
    cases_are_right,
    effects_are_there_once,
    lanes_keep_their_order,
    never_sent,
)
from tests.acceptance.test_kill import nothing_is_lost as nothing_of
from tests.conftest import postgres_store
from tests.killing import Killing
from tests.rig import SETTLED, Rig, rig

pytestmark = pytest.mark.postgres

WORKERS = 4
STAYS = 12  # patients in one load


@pytest.fixture
def store(request: pytest.FixtureRequest) -> Iterator[str]:
    """A PostgreSQL store of its own."""
    with postgres_store(request) as url:
        yield url


@dataclass
class Crowd:
    """Workers, of which one dies each second while there is load."""

    made: Rig
    dice: random.Random
    next_kill: float = 0.0
    leased: list[int] = field(default_factory=list)  # how many deliveries were when one was killed

    def start(self) -> None:
        self.made.start(role="web")
        for _ in range(WORKERS):
            self.made.one_more_worker()
        until = time.monotonic() + 60
        while self.made.log().count(SETTLED) < WORKERS:
            assert time.monotonic() < until, self.made.log()[-3000:]
            time.sleep(0.05)
        self.next_kill = time.monotonic() + 1

    def kill_each_second(self) -> None:
        if time.monotonic() > self.next_kill:
            self.next_kill = time.monotonic() + 1
            self.kill()

    def kill(self) -> None:
        """One of those who live, and start another; every other time while something is on its way."""
        victim = self.dice.choice(self.made.others)
        assert psutil.pid_exists(victim), f"a worker died by itself: {self.made.log()[-3000:]}"
        until = time.monotonic() + 0.5 * (len(self.leased) % 2)
        while not (leased := self.made.count("delivery WHERE state = 'leased'")):
            if time.monotonic() > until:
                break
        os.kill(victim, signal.SIGKILL)
        self.leased.append(leased)
        self.made.others.remove(victim)
        self.made.one_more_worker()


def live(folder: Path, store: str, *, seconds: float, rate: float, seed: int) -> None:
    """Keep load on it for so long, kill one each second, then let it come to rest."""
    with rig(folder, store=store, settings='lease = "PT8S"', faults="slow=*:40ms") as made:
        made.timeout = 2
        told = Killing(made, 0, seed)  # keeps what was sent and what was acknowledged
        crowd = Crowd(made, random.Random(seed))
        crowd.start()
        began = time.monotonic()
        while time.monotonic() < began + seconds:
            told.send(crowd.kill_each_second, stays=STAYS, rate=rate)
        sent_by = time.monotonic()
        assert made.unfinished_after(60) == 0, made.log()[-3000:]
        print_figures(told, crowd, sent_by - began, time.monotonic() - sent_by)
        nothing_of(told)
        lanes_keep_their_order(told)
        effects_are_there_once(told)
        cases_are_right(told)
        nothing_arrives_more_often_than_workers_die(told, crowd)
        checked = made.cli("check", "--journal")
        assert checked.returncode == 0, checked.stdout


def nothing_arrives_more_often_than_workers_die(told: Killing, crowd: Crowd) -> None:
    """A repeat has a dead worker that had leased it, or an attempt in the log that failed."""
    repeats = repeated(told)
    retried = told.made.count("attempt WHERE outcome = 'retry'")
    assert repeats <= sum(crowd.leased) + retried + len(crowd.leased) * WORKERS
    attempts = told.made.rows("SELECT delivery_id FROM attempt WHERE outcome = 'sent'")
    assert max(Counter(row[0] for row in attempts).values()) == 1, "a sending has been recorded twice"


def repeated(told: Killing) -> int:
    names = [str(arrival["message_id"]) for arrival in told.made.arrivals()]
    return len(names) - len(set(names))


def print_figures(told: Killing, crowd: Crowd, seconds: float, rest: float) -> None:
    arrivals, spared = len(told.made.arrivals()), len(never_sent(told.made))
    print(  # noqa: T201
        f"\n{WORKERS} workers, {len(crowd.leased)} killed in {seconds:.0f} s: {len(told.acknowledged)} "
        f"messages acknowledged, {spared} taken back before they left, {arrivals} arrivals, "
        f"{repeated(told)} repeats, "
        f"{sum(crowd.leased)} leased at the kills; at rest {rest:.1f} s after the last"
    )


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_four_workers_lose_nothing_while_one_is_killed_every_second(tmp_path: Path, store: str) -> None:
    live(tmp_path, store, seconds=20, rate=60, seed=4)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_four_workers_lose_nothing_in_two_minutes_of_kills(tmp_path: Path, store: str) -> None:
    live(tmp_path, store, seconds=120, rate=80, seed=44)
