"""The region where three plan together: who must be there, and what the report counts."""

from pathlib import Path

import pytest

from adapter.config import load_region
from adapter.errors import ConfigurationError
from adapter.runtime import now
from adapter.simulator.planning_region import PlanningRegion, plans_together

REGIONS = Path(__file__).parent.parent.parent / "fixtures" / "regions"


@pytest.mark.parametrize(
    ("name", "together"), [("vasterbotten", True), ("indre-sogn", False), ("umea-average", False)]
)
def test_it_needs_a_hospital_primary_care_and_a_municipality_that_can_sign_in(
    name: str, together: bool
) -> None:
    assert plans_together(load_region(REGIONS / f"{name}.toml").register_) is together


def test_without_them_it_says_who_is_missing() -> None:
    register = load_region(REGIONS / "indre-sogn.toml").register_
    with pytest.raises(ConfigurationError, match="a party of kind open-care"):
        PlanningRegion(register, "http://127.0.0.1:9", {}, clock=now)
