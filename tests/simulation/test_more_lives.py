"""The second thousand of the soak: a file of its own, so that two processes share the two."""

import pytest

from tests.simulation.test_simulation import well


@pytest.mark.soak
@pytest.mark.parametrize("first", range(2001, 3000, 100))
def test_another_thousand(first: int):
    well(first, 100)
