"""The plans of the fixtures come in by the door that every message takes."""

import pytest

from adapter.config import Settings
from adapter.discharge.notices import NoticeKind
from adapter.incoming import Incoming
from adapter.runtime import stations
from tests.conftest import StandingClock
from tests.plan_fixtures import INDIVIDUAL, PLANS, SIP


@pytest.mark.parametrize("name", [SIP, INDIVIDUAL])
def test_a_plan_is_taken_as_a_care_plan(store_url: str, clock: StandingClock, name: str):
    clock.forward(days=3670)
    built = stations(Settings(store=store_url), region=None, clock=clock)
    try:
        content = (PLANS / name / "plan.json").read_bytes()
        incoming = Incoming(content=content)
        done = built.inbox.accept(incoming, clock())
        assert done.outcome == "accepted", done.reason
        notice = built.inbox.read(incoming).notice
        assert notice is not None and notice.kind is NoticeKind.CARE_PLAN
    finally:
        built.store.close()
