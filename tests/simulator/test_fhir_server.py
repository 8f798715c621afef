"""The pretend FHIR server keeps to R4 where the adapter's promises depend on it (http.html)."""

from collections.abc import Iterator

import pytest
import requests

from adapter.simulator.fhir_server import FhirServer, Ordered
from adapter.simulator.threads import serving

GOAL = {
    "resourceType": "Goal",
    "identifier": [{"system": "urn:x", "value": "1"}],
    "description": {"text": "a"},
}
KNOWN = {"If-None-Exist": "identifier=urn%3Ax%7C1"}


@pytest.fixture
def server() -> Iterator[FhirServer]:
    made = FhirServer("here")
    with serving(made):
        yield made


def test_a_conditional_create_creates_once(server: FhirServer) -> None:
    first, second = (
        requests.post(f"{server.base}/Goal", json=GOAL, headers=KNOWN, timeout=5) for _ in range(2)
    )
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.headers["Location"] == second.headers["Location"]
    assert first.headers["ETag"] == 'W/"1"'
    assert len(server.newest("Goal")) == 1


def test_an_update_to_another_version_is_refused(server: FhirServer) -> None:
    goal = server.put(GOAL)
    url = f"{server.base}/Goal/{goal['id']}"
    assert requests.put(url, json=goal, headers={"If-Match": 'W/"7"'}, timeout=5).status_code == 412
    done = requests.put(url, json=goal, headers={"If-Match": 'W/"1"'}, timeout=5)
    assert (done.status_code, done.headers["ETag"]) == (200, 'W/"2"')


def test_a_conditional_update_finds_what_it_means_or_creates_it(server: FhirServer) -> None:
    url = f"{server.base}/Goal?identifier=urn%3Ax%7C1"
    statuses = [requests.put(url, json=GOAL, timeout=5).status_code for _ in range(2)]
    assert statuses == [201, 200]
    assert [len(versions) for versions in server.holds.values()] == [2]


def test_what_is_known_is_not_given_again_and_what_was_deleted_is_gone(server: FhirServer) -> None:
    goal = server.put(GOAL)
    url = f"{server.base}/Goal/{goal['id']}"
    assert requests.get(url, headers={"If-None-Match": 'W/"1"'}, timeout=5).status_code == 304
    server.delete("Goal", goal["id"])
    assert requests.get(url, timeout=5).status_code == 410
    assert requests.get(f"{server.base}/Goal/none", timeout=5).status_code == 404


def test_a_transaction_is_done_whole_or_not_at_all(server: FhirServer) -> None:
    goal = server.put(GOAL)
    team = {"resourceType": "CareTeam"}
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {"fullUrl": "urn:uuid:1", "resource": team, "request": {"method": "POST", "url": "CareTeam"}},
            {
                "resource": goal | {"note": [{"text": "b"}], "addresses": [{"reference": "urn:uuid:1"}]},
                "request": {"method": "PUT", "url": f"Goal/{goal['id']}", "ifMatch": 'W/"7"'},
            },
        ],
    }
    assert requests.post(server.base, json=bundle, timeout=5).status_code == 412
    assert (server.newest("CareTeam"), len(server.holds)) == ([], 1)
    bundle["entry"][1]["request"]["ifMatch"] = 'W/"1"'
    done = requests.post(server.base, json=bundle, timeout=5).json()
    assert [one["response"]["status"] for one in done["entry"]] == ["201 Created", "200 OK"]
    assert server.one("Goal")["addresses"] == [{"reference": f"CareTeam/{server.one('CareTeam')['id']}"}]


@pytest.mark.parametrize(("kind", "created"), [(Ordered.RESET, 0), (Ordered.LOST, 1), (Ordered.ERROR, 0)])
def test_a_fault_strikes_once_and_leaves_what_it_says(
    server: FhirServer, kind: Ordered, created: int
) -> None:
    server.order(kind, "POST", "Goal")
    try:
        assert requests.post(f"{server.base}/Goal", json=GOAL, timeout=5).status_code == 500
    except requests.ConnectionError:
        assert kind is not Ordered.ERROR
    assert len(server.newest("Goal")) == created
    assert requests.post(f"{server.base}/Goal", json=GOAL, headers=KNOWN, timeout=5).status_code in (200, 201)
