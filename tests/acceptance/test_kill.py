"""What has been acknowledged arrives, whatever kills the adapter and when.

Under load the process is killed with SIGKILL: at random moments, by a receiver that has read a message and
not yet answered it (between sending and recording), and by itself right after a commit (between storing and
answering). Each time it is started again over the same store.
"""

import random
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapter.simulator.load import Load, begin_apart, finish
from tests.rig import SENDER, TOKEN, Rig, rig

AT_A_TIME = 120


class Killing:
    """Keeps load on the adapter and kills it until it has died often enough."""

    def __init__(self, made: Rig, kills: int, seed: int) -> None:
        self.made = made
        self.wanted = kills
        self.dice = random.Random(seed)
        self.deaths: list[tuple[str, int]] = []  # how, and how many deliveries were leased at that moment
        self.acknowledged: set[str] = set()
        self.loads = 0
        self.by_itself = False
        self.kill_at = 0.0
        self.leased_until = 0

    def run(self) -> None:
        self.start()
        while len(self.deaths) < self.wanted:
            self.one_load()
        self.settle()

    def one_load(self) -> None:
        sending = begin_apart(
            Load(
                url=self.made.url,
                token=TOKEN,
                sender=SENDER,
                receivers=self.made.receiver_addresses,
                at=datetime.now(UTC).replace(microsecond=0),  # noqa: TID251  # the load's own clock
                count=AT_A_TIME,
                connections=6,
                rate=80,
                first=self.loads * AT_A_TIME,
                persist=True,
                limit=90,
            )
        )
        self.loads += 1
        while sending.poll() is None:
            if not self.made.running():
                self.died("between commit and answer" if self.by_itself else "between send and record")
                self.start()
            elif time.monotonic() > self.kill_at and len(self.deaths) < self.wanted:
                self.made.kill()
                self.died("at a random moment")
                self.start()
            time.sleep(0.02)
        self.acknowledged |= set(finish(sending).acknowledged)

    def start(self) -> None:
        """A new life, and how it is to end; a receiver may end it sooner."""
        self.by_itself = self.dice.random() < 0.4 and len(self.deaths) < self.wanted
        after = str(self.dice.randint(10, 60))
        self.made.wrapper = ("-m", "tests.killable", after) if self.by_itself else ("-m", "adapter.cli")
        self.made.start()
        self.kill_at = time.monotonic() + (60 if self.by_itself else self.dice.uniform(0.3, 2.5))

    def died(self, how: str) -> None:
        """Count what was leased in this life: at most so many messages may arrive once more."""
        leased = f"delivery WHERE state = 'leased' AND lease_until > {self.leased_until}"
        self.deaths.append((how, self.made.count(leased)))
        self.leased_until = self.made.number("SELECT coalesce(max(lease_until), 0) FROM delivery")

    def settle(self) -> None:
        """Wait until everything that was accepted has its receipt."""
        until = time.monotonic() + 60
        while self.made.count("delivery WHERE state NOT IN ('acknowledged')") and time.monotonic() < until:
            if not self.made.running():
                self.died("between commit and answer" if self.by_itself else "between send and record")
                self.start()
            time.sleep(0.1)


def kill_and_count(folder: Path, kills: int, seed: int, store: str | None = None) -> Killing:
    with rig(folder, store=store, kill_every=97, settings='lease = "PT10S"') as made:
        made.timeout = 2
        killing = Killing(made, kills, seed)
        killing.run()
        made.kill_every = None
        assert not made.count("delivery WHERE state NOT IN ('acknowledged')"), made.log()[-2000:]

        arrivals = made.arrivals()
        digests: dict[object, set[object]] = {}
        for arrival in arrivals:
            digests.setdefault(arrival["message_id"], set()).add((arrival["bundle_id"], arrival["sha256"]))
        assert killing.acknowledged, "nothing was acknowledged: the test has shown nothing"
        lost = killing.acknowledged - set(digests)
        assert not lost, f"{len(lost)} acknowledged messages never arrived"
        assert all(len(seen) == 1 for seen in digests.values()), "an id or content changed between attempts"

        repeats = len(arrivals) - len(digests)
        leased = sum(count for _, count in killing.deaths)
        said = ", ".join(f"{how}: {count} leased" for how, count in killing.deaths)
        print(f"\n{len(killing.deaths)} kills ({said}); {len(digests)} messages, {repeats} repeats")  # noqa: T201
        tried_again = made.count("attempt WHERE outcome = 'retry'")  # a receiver too slow for the time limit
        assert repeats <= leased + tried_again

        # every effect is there exactly once, every case right
        assert made.count("message WHERE type NOT IN ('receipt')") == len(digests)
        assert made.count("fact WHERE kind IN ('admitted', 'ready-for-discharge')") == len(digests)
        assert made.count("fact WHERE kind = 'accepted'") == len(digests)
        assert made.count("delivery") == len(digests)
        assert made.count("discharge_case") == made.count("(SELECT DISTINCT patient FROM fact) AS patients")
        checked = made.cli("check", "--journal")
        assert checked.returncode == 0, checked.stdout
        return killing


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_nothing_acknowledged_is_lost_when_the_adapter_is_killed_five_times(
    tmp_path: Path, store_url: str
) -> None:
    store = store_url if store_url.startswith("postgresql") else None
    killing = kill_and_count(tmp_path, kills=5, seed=5, store=store)
    assert len(killing.deaths) >= 5


@pytest.mark.slow
def test_web_and_worker_as_separate_processes_deliver_over_either_store(
    tmp_path: Path, store_url: str
) -> None:
    store = store_url if store_url.startswith("postgresql") else None
    with rig(tmp_path, store=store) as made:
        made.start(role="apart")
        load = Load(
            url=made.url,
            token=TOKEN,
            sender=SENDER,
            receivers=made.receiver_addresses,
            at=datetime.now(UTC).replace(microsecond=0),  # noqa: TID251  # the load's own clock
            count=60,
        )
        sent = finish(begin_apart(load))
        until = time.monotonic() + 30
        while made.count("delivery WHERE state = 'acknowledged'") < 60 and time.monotonic() < until:
            time.sleep(0.1)
        assert made.count("delivery WHERE state = 'acknowledged'") == sent.count == 60
        assert {a["message_id"] for a in made.arrivals()} == set(sent.acknowledged)


@pytest.mark.soak
@pytest.mark.timeout(1500)
def test_nothing_acknowledged_is_lost_when_the_adapter_is_killed_fifty_times(tmp_path: Path) -> None:
    killing = kill_and_count(tmp_path, kills=50, seed=50)
    assert {how for how, _ in killing.deaths} == {
        "at a random moment",
        "between send and record",
        "between commit and answer",
    }
