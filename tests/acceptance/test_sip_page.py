"""docs/sip.md tells the story as it is played: its steps, its requests, and what is sent."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import requests

from adapter.config import load_region
from adapter.fhir.bundles import Resource
from adapter.simulator.sip import (
    LEADER,
    SWEDISH,
    Begin,
    Edit,
    EditAtOnce,
    Negotiate,
    Plot,
    Propose,
    Receive,
    Step,
    Tell,
    tale,
)
from tests.planners import CENTRE, TOKENS, VANNAS, WARD, Theatre, sha256, swedish
from tests.test_docs import ROOT, page

TEXT = page("sip.md")


def what(step: Step) -> str:
    """A step as the page writes it."""
    match step.does:
        case Tell(kind=kind, corrects=corrects):
            return f"message `{kind}`" + (", a correction" if corrects else "")
        case Begin(held=held):
            return "message `care-plan`" + (", held" if held else "")
        case Propose():
            return "message `care-plan`"
        case Negotiate(status=status):
            return f"change of a Task: `{status}`"
        case Receive(status=status):
            return f"change of the hospital's Task: `{status}`"
        case Edit(status=status):
            return f"change of the CarePlan: `{status}`"
        case EditAtOnce():
            return "change of the CarePlan, by two at once"


def test_the_steps_are_those_that_are_played() -> None:
    table = TEXT.split("<!-- steps -->\n", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    told = [f"| {s.hours:g} | `{s.name}` | {s.who} | {what(s)} |" for s in tale(Plot.SIP).steps]
    assert table == told


def test_the_other_ways_are_named() -> None:
    section = TEXT.split("## Other ways in which it goes\n", 1)[1].split("\n## ", 1)[0]
    assert re.findall(r"^\| `([\w-]+)` \|", section, re.MULTILINE) == [
        p for p in SWEDISH if p is not Plot.SIP
    ]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theatre]:
    with swedish(f"sqlite:///{tmp_path_factory.mktemp('page')}/store.db") as place:
        place.scene.play()
        yield place


def test_what_is_shown_has_been_sent(played: Theatre) -> None:
    shown = re.findall(r"<!-- of a (\w+) -->\n```json\n(.*?)```", TEXT, re.DOTALL)
    assert [kind for kind, _ in shown] == ["Task", "Task", "Task", "CarePlan"]
    leader = played.actor(LEADER)
    leader.poll(played.scene.subject)
    for kind, block in shown:
        versions = [v for one in leader.of(kind) for v in leader.client.history(f"{kind}/{one['id']}")]
        wanted: dict[str, Any] = orjson.loads(block)
        assert any(_has(version, wanted) for version in versions), block


def _has(version: Resource, wanted: dict[str, Any]) -> bool:
    return all(version.get(key) == value for key, value in wanted.items())


def test_the_requests_find_something(played: Theatre) -> None:
    (block,) = re.findall(r"<!-- requests -->\n```http\n(.*?)```", TEXT, re.DOTALL)
    leader = played.actor(LEADER)
    known = {"patient": str(leader.patient).partition("/")[2], "plan": leader.plan()["id"]}
    for line in block.splitlines():
        path = re.sub(r"\{(\w+)\}", lambda found: known[found.group(1)], line.removeprefix("GET "))
        headers = {"Authorization": f"Bearer {TOKENS[CENTRE]}"}
        answer = requests.get(played.url + path, headers=headers, timeout=10)
        assert answer.status_code == 200, line
        assert answer.json()["resourceType"] != "Bundle" or answer.json()["entry"], line


def test_the_tokens_that_it_names_are_those_of_the_region() -> None:
    named = set(re.findall(r"`(synthetic-token-\w+)`", TEXT))
    region = load_region(ROOT / "fixtures" / "regions" / "vasterbotten.toml")
    known = {partner.token_sha256 for partner in region.register_.partners}
    assert {sha256(token) for token in named} == known


def test_the_example_that_is_readdressed_is_taken(tmp_path: Path) -> None:
    (block,) = re.findall(r"<!-- try -->\n```sh\n(.*?)```", TEXT, re.DOTALL)
    made = block.partition("printf")[0].replace("fixtures/", f"{ROOT}/fixtures/")
    subprocess.run(["bash", "-ec", made], cwd=tmp_path, check=True)
    with swedish(f"sqlite:///{tmp_path}/store.db") as place:
        told = requests.post(
            f"{place.url}/fhir/$process-message",
            data=(tmp_path / "message.json").read_bytes(),
            headers={"Authorization": f"Bearer {TOKENS[WARD]}", "Content-Type": "application/fhir+json"},
            timeout=10,
        )
        assert told.status_code == 200, told.text
        headers = {"Authorization": f"Bearer {TOKENS[VANNAS]}"}
        asked = requests.get(f"{place.url}/fhir/Task?status=requested", headers=headers, timeout=10).json()
    assert [entry["resource"]["owner"]["reference"] for entry in asked["entry"]] == ["Organization/vannas"]
