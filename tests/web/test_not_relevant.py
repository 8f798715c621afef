"""What nobody may keep, over real HTTP: acknowledged, counted, and shown as what it is; or put off."""

import time
from datetime import timedelta

import pytest

from adapter.discharge.notices import NoticeKind
from adapter.messaging.register import RosterPlace
from adapter.store import tables
from tests.conftest import StandingClock
from tests.stage import SYNNOVE, TORBJORN, altered, region
from tests.test_relevance import BENT, BENTS
from tests.test_rosters import write
from tests.web.conftest import TOKENS, site

ADDRESS = "/fhir/$process-message"


@pytest.fixture
def door(tmp_path):
    """Sogndal's roster names nobody who is in hospital."""
    clock = StandingClock()
    write(tmp_path / "roster", clock, "010860-5995")
    place = RosterPlace(address=str(tmp_path / "roster"), within=timedelta(days=1))
    known = altered(region(**{"laerdal-sjukehus": "theirs"}), "sogndal", roster=place)
    with site(tmp_path, clock, of=known) as found:
        yield found


def push(door, **more):
    given = {"Content-Type": "application/fhir+json", "Authorization": f"Bearer {TOKENS['helse-foerde']}"}
    return door.post(ADDRESS, data=door.stage.message(NoticeKind.ADMITTED, **more), headers=given)


def test_a_stranger_is_acknowledged_counted_and_shown_as_not_relevant(door):
    answer = push(door)
    assert answer.status_code == 200
    assert answer.json()["entry"][0]["resource"]["response"]["code"] == "ok"
    push(door, subject=TORBJORN)
    shown = door.get("/deliveries").text
    assert "2 messages of the last 30 days were about none of their receiver’s own (not-relevant)" in shown
    assert 'discharge_messages_total{dialect="fhir",outcome="not-relevant"} 2.0' in door.get("/metrics").text
    (first, _) = door.stage.rows(tables.message)
    page = door.get(f"/messages/{first['id']}").text
    assert "not relevant" in page.lower() and "Nothing of it was kept" in page
    for secret in (SYNNOVE.identifiers[0][1], SYNNOVE.family):
        assert secret not in page + shown


def test_what_cannot_be_decided_is_put_off_and_nothing_stored(door, tmp_path):
    (tmp_path / "roster").unlink()
    door.stage.built.rosters.look()
    door.stage.clock.forward(days=2)
    answer = push(door)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "roster" in answer.text and SYNNOVE.family not in answer.text
    assert door.stage.rows(tables.message) == []


def soon(holds) -> None:
    """Within a few looks of the running adapter, which looks every second."""
    until = time.monotonic() + 15
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_running_adapter_sees_a_new_roster_and_tells_of_one_that_is_gone(door, tmp_path):
    push(door, subject=BENT)
    assert door.stage.rows(tables.case) == []
    rosters = door.stage.built.rosters
    before = rosters("sogndal").numbers
    write(tmp_path / "roster", door.stage.clock, BENTS)
    soon(lambda: rosters("sogndal").numbers != before)
    push(door, subject=BENT)
    assert [case["state"] for case in door.stage.rows(tables.case)] == ["admitted"]
    (tmp_path / "roster").unlink()
    soon(lambda: [alarm["kind"] for alarm in door.stage.rows(tables.alarm)] == ["roster"])
