"""Sending again is a new sending of the same message: D-03."""

from datetime import datetime
from typing import Any

import pytest

from adapter.fhir import wire
from adapter.mappings import medcom
from tests.mappings.medcom.compare import differences
from tests.mappings.medcom.samples import (
    ACKNOWLEDGEMENTS,
    NOTIFICATIONS,
    envelope,
    fixture,
    named,
    read,
    resources,
)

LATER = datetime.fromisoformat("2026-03-02T10:00:30+01:00")


@pytest.mark.parametrize("path", NOTIFICATIONS, ids=named)
def test_only_the_bundles_id_and_time_are_new(path: Any) -> None:
    content = path.read_bytes()
    again = medcom.repeat(content, at=LATER, number=1)
    before, after = wire.parse(content), wire.parse(again)
    assert after["id"] != before["id"] and after["timestamp"] == LATER.isoformat()
    assert differences(before | {"id": "", "timestamp": ""}, after | {"id": "", "timestamp": ""}) == []
    assert envelope(again).message_id == envelope(content).message_id
    assert wire.media_type(again) == wire.media_type(content)


@pytest.mark.parametrize("path", ACKNOWLEDGEMENTS, ids=named)
def test_an_acknowledgement_was_made_out_anew(path: Any) -> None:
    content = path.read_bytes()
    after = wire.parse(medcom.repeat(content, at=LATER, number=1))
    told, own = resources(after, "Provenance")
    assert own["occurredDateTime"] == own["recorded"] == LATER.isoformat()
    assert told == resources(wire.parse(content), "Provenance")[0]
    before, now = read(content).acknowledgement, read(wire.to_json(after)).acknowledgement
    assert before is not None and now is not None
    assert (now.original_id, now.status, now.issues) == (before.original_id, before.status, before.issues)


def test_each_sending_has_an_id_of_its_own_and_always_the_same() -> None:
    content = fixture("home-after-a-fall/admitted")
    made = [medcom.repeat(content, at=LATER, number=number) for number in (1, 2)]
    ids = {wire.parse(one)["id"] for one in (content, *made)}
    assert len(ids) == 3
    assert medcom.repeat(content, at=LATER, number=1) == made[0]
    chained = medcom.repeat(made[0], at=LATER, number=2)
    assert wire.parse(chained)["id"] not in ids
