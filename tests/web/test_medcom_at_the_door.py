"""MedCom's messages over real HTTP, as they are and in a VANSEnvelope: each is answered in its own format."""

import json
from pathlib import Path
from typing import Any

import pytest

from adapter.fhir import wire
from adapter.mappings.medcom import enveloping, vans
from tests.conftest import StandingClock

from .conftest import site

ADDRESS = "/fhir/$process-message"
READY = Path(__file__).parents[2] / "fixtures" / "medcom" / "ready-and-answered" / "01-ready.json"


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An adapter for evaluation, where nobody must sign in."""
    with site(tmp_path_factory.mktemp("medcom"), StandingClock(), evaluation=True) as found:
        found.stage.clock.forward(days=5000)
        yield found


def anew(number: int) -> bytes:
    """The same message under other ids."""
    content = READY.read_bytes()
    for known in ("5d0c7f10-0055-4e11", "5d0c7f10-0035-4e11"):
        content = content.replace(known.encode(), f"{known[:9]}{number}{known[10:]}".encode())
    return content


def post(door: Any, content: bytes, media: str) -> Any:
    return door.post(ADDRESS, data=content, headers={"Content-Type": media})


def said(content: bytes) -> str:
    return str(wire.parse(content)["entry"][0]["resource"]["response"]["code"])


def test_a_conversation_is_acknowledged_in_its_own_format(door: Any) -> None:
    answer = post(door, anew(1), "application/fhir+json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/fhir+json")
    assert said(answer.content) == "ok"


def test_what_comes_in_an_envelope_is_answered_in_one(door: Any) -> None:
    answer = post(door, enveloping.close(anew(2)), "application/xml")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/xml")
    found = vans.opened(vans.parse(answer.content))
    assert found.name == "MCM:FCTL#ok"
    assert said(found.message) == "ok"


def test_a_refusal_in_an_envelope_names_the_invariant(door: Any) -> None:
    told = json.loads(anew(3))
    talk = next(e["resource"] for e in told["entry"] if e["resource"]["resourceType"] == "Communication")
    del talk["category"]
    answer = post(door, enveloping.close(json.dumps(told).encode()), "application/xml")
    assert answer.status_code == 422
    found = vans.opened(vans.parse(answer.content))
    assert found.name == "MCM:FCTL#fatal-error"
    assert b"medcom-careCommunication-communication" in found.message


@pytest.mark.parametrize(
    ("content", "reason"),
    (
        (b'<VANSEnvelope xmlns="urn:oio:medcom:vans-envelope:1.0.4"/>', b"0 elements Message"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><VANSEnvelope>&amp;a;</VANSEnvelope>', b"document type"),
    ),
)
def test_a_hostile_envelope_is_turned_away_with_the_reason(door: Any, content: bytes, reason: bytes) -> None:
    answer = post(door, content, "application/xml")
    assert answer.status_code == 400
    assert reason in answer.content
