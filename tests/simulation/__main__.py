"""`python -m tests.simulation SEED`: live it once more, print what happened and what was wrong."""

import sys

from tests.simulation.run import live

for seed in map(int, sys.argv[1:]):
    life = live(seed)
    sys.stdout.write("\n".join((*life.trace, f"seed {seed}, trace {life.hash}", *life.findings)) + "\n")
