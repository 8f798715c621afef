"""MedCom's messages at the door, for evaluation: each is taken, held or refused as it should be."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import orjson
import pytest

from adapter.fhir import wire
from adapter.fhir.bundles import CPR
from adapter.mappings import medcom
from adapter.store import tables
from tests.conftest import StandingClock
from tests.mappings.medcom.samples import (
    ACKNOWLEDGEMENTS,
    NOTIFICATIONS,
    OFFICIAL_ACKNOWLEDGEMENTS,
    OFFICIAL_NOTIFICATIONS,
    fixture,
    named,
)
from tests.stage import Stage, stage

pytestmark = pytest.mark.postgres_in_soak


@pytest.fixture
def play(store_url: str, clock: StandingClock) -> Iterator[Stage]:
    clock.at = datetime.fromisoformat("2026-04-01T08:00:00+02:00")
    made = stage(store_url, clock, evaluation=True)
    yield made
    made.close()


@pytest.mark.parametrize("suffix", [".json", ".xml"])
def test_every_notification_is_taken_and_acknowledged(play: Stage, suffix: str) -> None:
    for path in (*NOTIFICATIONS, *OFFICIAL_NOTIFICATIONS):
        if path.suffix != suffix:
            continue
        content = path.read_bytes()
        done = play.receive(content)
        assert done.outcome == "accepted", (named(path), done.reason)
        assert done.dialect == "medcom" and done.acknowledgement is not None
        assert wire.media_type(done.acknowledgement) == wire.media_type(content)
        head = wire.parse(done.acknowledgement)["entry"][0]["resource"]
        assert head["response"]["code"] == "ok"
        assert head["response"]["identifier"] == wire.parse(content)["entry"][0]["resource"]["id"]


def test_the_story_is_one_case_that_has_ended(play: Stage) -> None:
    for name in ("admitted", "admission-corrected", "leave-started", "leave-ended", "discharged"):
        play.receive(fixture(f"home-after-a-fall/{name}"))
    (case,) = play.rows(tables.case)
    assert case["state"] == "discharged"


def test_an_acknowledgement_of_what_was_never_sent_is_held_and_not_answered(play: Stage) -> None:
    for path in (*ACKNOWLEDGEMENTS, *OFFICIAL_ACKNOWLEDGEMENTS):
        if path.suffix == ".json":
            done = play.receive(path.read_bytes())
            assert (done.outcome, done.acknowledgement) == ("quarantined", None), named(path)


def test_what_is_not_read_here_is_refused_in_kind(play: Stage) -> None:
    content = fixture("home-after-a-fall/admitted", "xml")
    done = play.receive(content.replace(b"hospital-notification-message", b"empty-message"))
    assert done.outcome == "refused" and done.acknowledgement is not None
    said = medcom.read(done.acknowledgement, content_type=None, zone=play.clock().tzinfo)  # type: ignore[arg-type]
    assert said.acknowledgement is not None
    assert said.acknowledgement.issues[0].code == "MSG_RECEIVER_UNABLE_TO_RECEIVE_MSG_TYPE"


def test_no_number_of_the_patient_is_in_what_is_said_of_a_refusal(play: Stage) -> None:
    made = wire.parse(fixture("home-after-a-fall/admitted"))
    made["entry"] = [i for i in made["entry"] if i["resource"]["resourceType"] != "Encounter"]
    done = play.receive(orjson.dumps(made))
    assert done.outcome == "refused"
    assert b"0302410000" not in (done.acknowledgement or b"") and "0302410000" not in str(done.reason)


def test_fixtures_have_no_number_that_can_be_anybodys() -> None:
    """Serial 0000 is given to nobody."""
    for path in Path(NOTIFICATIONS[0]).parents[1].glob("*/*.json"):
        for resource in (item["resource"] for item in wire.parse(path.read_bytes())["entry"]):
            if resource["resourceType"] == "Patient":
                numbers = [one["value"] for one in resource["identifier"] if one["system"] == CPR]
                assert all(number.endswith("0000") for number in numbers)
