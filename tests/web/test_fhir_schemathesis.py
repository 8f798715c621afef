"""Whatever is asked at /fhir: no fault of ours, and no status or content type that the OpenAPI does not name.

schemathesis makes the requests from the published document, good ones and bad ones. Half of those that name a
resource are led to one that there is.
"""

import zlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from starlette.routing import Route

from adapter.discharge.notices import NoticeKind
from adapter.web.fhir.openapi import openapi, paths
from tests.conftest import OSLO, StandingClock
from tests.plans import plan_bytes
from tests.web.conftest import TOKENS, Site, site

pytestmark = pytest.mark.slow

K = NoticeKind
AUTHORIZATION = {"Authorization": f"Bearer {TOKENS['luster-drift']}"}
METHODS = ("get", "post", "put", "delete")
EVERYTHING = [(method, path) for path, known in paths().items() for method in known if method in METHODS]
BESIDE_TYPES = ("/Subscription", "/token", "/.well-known", "/EpisodeOfCare/{id}/$document")
OF_ONE_TYPE = [
    (method, path)
    for method, path in EVERYTHING
    if path[1:5] == "Task" or path[1:2] in "$mo" or path.startswith(BESIDE_TYPES)
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A patient who is ready, with a plan that Luster shares."""
    clock = StandingClock(datetime(2014, 3, 3, 10, 0, tzinfo=OSLO))
    with site(tmp_path_factory.mktemp("schemathesis"), clock) as found:
        register = found.stage.built.register
        ready = [
            found.stage.message(kind, receivers=("luster",), encounter="LS-1")
            for kind in (K.ADMITTED, K.READY_FOR_DISCHARGE)
        ]
        for content in (*ready, plan_bytes(register, at=clock())):
            done = found.stage.receive(content, channel="http")
            assert done.outcome == "accepted", done.reason
            clock.forward(minutes=1)
        yield found


@pytest.fixture(scope="module")
def document(place: Site) -> Any:
    import schemathesis

    return schemathesis.openapi.from_url(f"{place.url}/fhir/openapi.json")


@pytest.fixture(scope="module")
def ids(place: Site) -> dict[str, list[str]]:
    """Ids of what there is, by type."""
    found: dict[str, list[str]] = {}
    for kind in ("Patient", "Encounter", "EpisodeOfCare", "CarePlan", "CareTeam", "Goal", "Task"):
        entries = place.get(f"/fhir/{kind}", headers=AUTHORIZATION).json()["entry"]
        found[kind] = [entry["resource"]["id"] for entry in entries]
    return found


@pytest.mark.parametrize(("method", "path"), OF_ONE_TYPE)
def test_nothing_undocumented_is_answered(
    method: str, path: str, document: Any, ids: dict[str, list[str]]
) -> None:
    ask(document[path][method], ids, 12)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("method", "path"), EVERYTHING)
def test_nothing_undocumented_is_answered_for_long(
    method: str, path: str, document: Any, ids: dict[str, list[str]]
) -> None:
    ask(document[path][method], ids, 100)


def test_the_document_is_there_for_everybody_and_names_every_way_in(place: Site) -> None:
    answer = place.get("/fhir/openapi.json")
    assert answer.json() == openapi(f"{place.url}/fhir")
    known = answer.json()["paths"]
    for path, methods in ways_in(place):
        told = known.get(path) or known.get(path.replace("{kind}", "Task"))
        assert told is not None, f"{path} is not in the OpenAPI document"
        assert {m.lower() for m in methods} - {"head"} <= told.keys(), path


def ways_in(place: Site) -> Iterator[tuple[str, set[str]]]:
    """Path and methods of every route under /fhir that does something."""
    for route in place.adapter.app().routes:
        if not isinstance(route, Route) or route.endpoint.__name__ in ("_elsewhere", "_not_so"):
            continue
        if route.path.startswith("/fhir/"):
            yield route.path.removeprefix("/fhir"), route.methods or set()


def ask(operation: Any, ids: dict[str, list[str]], times: int) -> None:
    """So many requests as the document has them, and as many that break it."""
    from schemathesis import GenerationMode

    takes_something = operation.body or operation.query or operation.headers or operation.path_parameters
    for mode in GenerationMode if takes_something else (GenerationMode.POSITIVE,):

        @settings(max_examples=times, deadline=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode))
        def once(case: Any) -> None:
            lead(case, ids)
            case.call_and_validate(headers=AUTHORIZATION, excluded_checks=beside_the_point(case))

        once()


def lead(case: Any, ids: dict[str, list[str]]) -> None:
    """Every second time to a resource that there is."""
    known = ids.get(case.path.split("/")[1])
    given_id = case.path_parameters.get("id") if case.path_parameters else None
    chance = zlib.crc32(repr(given_id).encode())
    if known and given_id is not None and chance % 2:
        case.path_parameters["id"] = known[chance % len(known)]


def beside_the_point(case: Any) -> list[Any]:
    """Checks that ask something else."""
    from schemathesis.specs.openapi import checks

    excluded = [checks.negative_data_rejection]  # more can be searched by than the document's patterns say
    if case.method in ("POST", "PUT") and not case.path.endswith("/_search"):
        # FHIR asks more of a resource than the document says; a missing If-Match has a status of its own
        excluded += [checks.positive_data_acceptance, checks.missing_required_header]
    return excluded
