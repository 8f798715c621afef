"""`fhir-kit-client`, a client for Node, against the running adapter; fhir_kit/client.mjs drives it."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from adapter.discharge.notices import NoticeKind
from adapter.fhir.asking import RECEIVE_PATIENT, TASK_SYSTEM
from tests.conftest import OSLO, StandingClock
from tests.stage import FNR, SYNNOVE, TORBJORN
from tests.web.conftest import TOKENS, Site, site

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

K = NoticeKind
HOSPITAL, LUSTER = "helse-foerde", "luster-drift"
SCRIPTS = Path(__file__).parent / "fhir_kit"
RECEIVE = f"{TASK_SYSTEM}|{RECEIVE_PATIENT}"

Kit = Callable[..., Any]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client with what it needs, in a folder of its own."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed")
    folder = tmp_path_factory.mktemp("fhir_kit")
    for name in ("package.json", "client.mjs"):
        shutil.copy(SCRIPTS / name, folder)
    command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=240)
    return folder


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Synnøve is ready and Luster is asked; Torbjørn is Sogndal's."""
    clock = StandingClock(datetime(2014, 3, 3, 10, 0, tzinfo=OSLO))
    with site(tmp_path_factory.mktemp("kit"), clock) as found:
        for kind, more in (
            (K.ADMITTED, {"receivers": ("luster",), "encounter": "LS-1"}),
            (K.READY_FOR_DISCHARGE, {"receivers": ("luster",), "encounter": "LS-1"}),
            (K.ADMITTED, {"subject": TORBJORN, "encounter": "LS-2"}),
        ):
            done = found.stage.receive(found.stage.message(kind, **more), channel="http")  # type: ignore[arg-type]
            assert done.outcome == "accepted", done.reason
            clock.forward(minutes=1)
        yield found


@pytest.fixture
def kit(installed: Path, place: Site) -> Kit:
    """Runs one act of the client and returns what it printed."""

    def act(name: str, given: Any = None, *, who: str = LUSTER) -> Any:
        done = subprocess.run(
            ["node", "client.mjs", f"{place.url}/fhir", name],
            cwd=installed,
            env=os.environ | {"TOKEN": TOKENS[who]},
            input=orjson.dumps(given),
            capture_output=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr.decode()
        return orjson.loads(done.stdout)

    return act


def test_it_learns_what_the_endpoint_can_do(kit: Kit) -> None:
    assert kit("capability") == {"kind": "CapabilityStatement", "fhirVersion": "4.0.1"}


def test_it_searches_in_the_url_and_by_a_form(kit: Kit) -> None:
    number = f"{FNR}|{SYNNOVE.identifiers[0][1]}"
    query = {"resourceType": "Patient", "searchParams": {"identifier": number}}
    (by_url,) = kit("search", query)["resources"]
    (by_form,) = kit("search", query | {"post": True})["resources"]
    assert by_url == by_form
    assert by_url["name"][0]["family"] == SYNNOVE.family


def test_it_reads_a_resource_its_version_and_its_past(kit: Kit) -> None:
    asked = {"resourceType": "Task", "searchParams": {"status": "requested"}}
    (task,) = kit("search", asked)["resources"]
    found = kit("read", {"resourceType": "Task", "id": task["id"]})
    assert found == {"resource": task, "again": task, "versions": 1}
    missing = kit("read", {"resourceType": "Task", "id": "nobody"})
    assert missing["status"] == 404
    assert missing["outcome"]["resourceType"] == "OperationOutcome"


def test_it_pages_through_everything_once(kit: Kit) -> None:
    asked = {"resourceType": "Encounter", "searchParams": {"_count": "1", "_sort": "_lastUpdated"}}
    pages = kit("pages", asked, who=HOSPITAL)["pages"]
    assert [len(page) for page in pages] == [1, 1]
    assert pages[0] != pages[1]


def test_it_sends_a_message(kit: Kit, place: Site) -> None:
    message = place.stage.message(K.CARE_NEEDS, receivers=("luster",), encounter="LS-1")
    answer = kit("send", orjson.loads(message), who=HOSPITAL)
    assert answer["entry"][0]["resource"]["response"]["code"] == "ok"


def test_it_reads_many_at_once(kit: Kit) -> None:
    asked = [{"request": {"method": "GET", "url": url}} for url in ("Task", "Patient/nobody")]
    answer = kit("batch", {"resourceType": "Bundle", "type": "batch", "entry": asked})
    assert [entry["response"]["status"] for entry in answer["entry"]] == ["200", "404"]


def test_it_accepts_a_task_and_loses_nobodys_change(kit: Kit) -> None:
    (task,) = kit("search", {"resourceType": "Task", "searchParams": {"code": RECEIVE}})["resources"]
    accepted = kit("update", task | {"status": "accepted", "executionPeriod": {"start": "2014-03-05"}})
    assert accepted["status"] == "accepted"
    assert accepted["meta"]["versionId"] == "2"
    late = kit("update", task | {"status": "rejected"})
    assert (late["status"], late["outcome"]["issue"][0]["code"]) == (412, "conflict")
    (seen,) = kit("search", {"resourceType": "Task", "searchParams": {"code": RECEIVE}}, who=HOSPITAL)[
        "resources"
    ]
    assert seen["executionPeriod"] == {"start": "2014-03-05"}
