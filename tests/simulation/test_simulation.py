"""Lives of at most twenty messages, in which everything goes wrong that can, and after which all is well."""

import os
import random
import subprocess
import sys
from collections import Counter

import pytest

from tests.simulation.people import MOST, stays
from tests.simulation.run import Life, live
from tests.simulation.world import AFTER, BEFORE, MIDDLE

FIRST = 1
TOGETHER = 50
"""Seeds in one test: so few that both processes of `make test` share them, and a failure is told soon."""


def well(first: int, count: int) -> list[Life]:
    """So many lives, in which nothing was wrong."""
    lives = [live(seed) for seed in range(first, first + count)]
    wrong = [life for life in lives if life.findings]
    assert not wrong, _account(wrong)
    return lives


def _account(wrong: list[Life]) -> str:
    """Each seed and what was wrong with it, and the events of the first."""
    said = [f"seed {life.seed}: {finding}" for life in wrong for finding in life.findings]
    first = wrong[0]
    return "\n".join(
        [
            *said,
            f"what happened in seed {first.seed} (`python -m tests.simulation {first.seed}` lives it again):",
            *first.trace,
        ]
    )


@pytest.mark.parametrize("first", range(FIRST, 200, TOGETHER))
def test_whatever_goes_wrong_nothing_is_lost_doubled_disordered_or_stuck(first: int):
    lives = well(first, TOGETHER)
    died = sum((Counter(life.deaths) for life in lives), Counter[str]())
    assert all(died[how] for how in (MIDDLE, BEFORE, AFTER)), died


@pytest.mark.soak
@pytest.mark.parametrize("first", range(1001, 2000, 100))
def test_a_thousand_more(first: int):
    well(first, 100)


def test_a_seed_is_lived_again_to_the_byte():
    assert live(7).trace == live(7).trace
    assert live(7).hash != live(8).hash


def test_another_process_lives_it_alike_and_prints_it():
    printed = subprocess.run(
        [sys.executable, "-m", "tests.simulation", "7"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONHASHSEED": "12345"},
    ).stdout
    life = live(7)
    assert printed.splitlines() == [*life.trace, f"seed 7, trace {life.hash}"]


def test_a_finding_is_told_with_its_seed_and_what_happened():
    life = Life(seed=3, trace=("a", "b"), findings=("never out of order: x",), deaths={})
    told = _account([life]).splitlines()
    assert told[0] == "seed 3: never out of order: x"
    assert "python -m tests.simulation 3" in told[1]
    assert told[2:] == ["a", "b"]


def test_no_life_has_more_than_twenty_messages():
    assert max(sum(len(s.left) for s in stays(random.Random(seed))) for seed in range(300)) <= MOST
