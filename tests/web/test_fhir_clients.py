"""Clients that others wrote, against the running adapter: they read, search, page, send and change.

`fhirpy` and `fhirclient` (the SMART client library) are used as their own documentation has it, with the
partner's bearer token.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta

import orjson
import pytest
import requests
from fhirclient.client import FHIRClient
from fhirclient.models.bundle import Bundle
from fhirclient.models.encounter import Encounter
from fhirclient.models.fhirdatetime import FHIRDateTime
from fhirclient.models.fhirsearch import FHIRSearch
from fhirclient.models.patient import Patient
from fhirclient.models.period import Period
from fhirclient.models.task import Task
from fhirclient.server import FHIRNotFoundException
from fhirpy import SyncFHIRClient
from fhirpy.base.exceptions import MultipleResourcesFound, OperationOutcome, ResourceNotFound

from adapter.discharge.notices import NoticeKind
from adapter.fhir.asking import RECEIVE_PATIENT, TASK_SYSTEM
from adapter.store import cases as case_rows
from adapter.store import messages
from tests.conftest import OSLO, StandingClock
from tests.plans import PLAN, plan_bytes
from tests.stage import FNR, SYNNOVE, TORBJORN
from tests.web.conftest import TOKENS, Site, site

pytestmark = pytest.mark.slow

K = NoticeKind
HOSPITAL, LUSTER = "helse-foerde", "luster-drift"
MANY = 7
RECEIVE = f"{TASK_SYSTEM}|{RECEIVE_PATIENT}"


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Synnøve is ready and has a plan, which Luster shares; the others are Sogndal's."""
    clock = StandingClock(datetime(2014, 3, 3, 10, 0, tzinfo=OSLO))
    with site(tmp_path_factory.mktemp("clients"), clock) as found:

        def tell(content: bytes) -> None:
            done = found.stage.receive(content, channel="http")
            assert done.outcome == "accepted", done.reason
            clock.forward(minutes=1)

        for kind in (K.ADMITTED, K.READY_FOR_DISCHARGE):
            tell(found.stage.message(kind, receivers=("luster",), encounter="LS-1"))
        tell(plan_bytes(found.stage.built.register, at=clock()))
        for number in range(MANY - 1):
            born = date(1930, 1, 1) + timedelta(days=number)
            someone = replace(TORBJORN, identifiers=(), birth_date=born)
            tell(found.stage.message(K.ADMITTED, subject=someone, encounter=f"LS-{number + 2}"))
        yield found


def told(place: Site) -> list[str]:
    """The events that have come about Synnøve's case."""
    (case,) = [c for c in place.look(case_rows.listed) if c["municipality"] == "luster"]  # type: ignore[attr-defined]
    return [row["type"] for row in place.look(messages.of_case, case["id"])]  # type: ignore[attr-defined]


# --- fhirpy -----------------------------------------------------------------------------------------------


def fhirpy(place: Site, who: str = LUSTER, **headers: str) -> SyncFHIRClient:
    return SyncFHIRClient(f"{place.url}/fhir", authorization=f"Bearer {TOKENS[who]}", extra_headers=headers)


def test_fhirpy_searches_and_reads(place: Site) -> None:
    client = fhirpy(place)
    patient = client.resources("Patient").search(identifier=f"{FNR}|{SYNNOVE.identifiers[0][1]}").get()
    assert patient.get_by_path("name.0.family") == SYNNOVE.family
    asked = client.resources("Task").search(patient=patient.id, status="requested", code=RECEIVE).get()
    assert asked.get_by_path("owner.reference") == "Organization/luster"
    assert asked["for"].to_resource().id == patient.id
    plan = client.reference("CarePlan", PLAN).to_resource()
    assert client.resources("CarePlan").search(_lastUpdated__ge="2014-03-03", subject=patient.id).count() == 1
    assert plan.to_reference().id == PLAN
    with pytest.raises(ResourceNotFound):
        client.get("Patient", "nobody")


def test_fhirpy_pages_through_everything_once(place: Site) -> None:
    stays = fhirpy(place, HOSPITAL).resources("Encounter").sort("-_lastUpdated").limit(2).fetch_all()
    assert len({stay.id for stay in stays}) == len(stays) == MANY


def test_fhirpy_follows_an_include(place: Site) -> None:
    found = fhirpy(place).resources("Task").include("Task", "patient").include("Task", "owner").fetch_raw()
    kinds = {entry.resource.resource_type for entry in found.entry}
    assert kinds == {"Task", "Patient", "Organization"}


def test_fhirpy_sends_a_message(place: Site) -> None:
    content = place.stage.message(K.CARE_NEEDS, receivers=("luster",), encounter="LS-1")
    client = fhirpy(place, HOSPITAL)
    answer = client.execute("$process-message", data=orjson.loads(content))
    assert answer["entry"][0]["resource"]["response"]["code"] == "ok"
    assert told(place)[-1] == "care-needs"


def test_fhirpy_accepts_a_task_and_loses_nobodys_change(place: Site) -> None:
    client = fhirpy(place, **{"If-Match": 'W/"1"'})
    task = client.resources("Task").search(code=RECEIVE).get()
    task["status"] = "accepted"
    task["executionPeriod"] = {"start": "2014-03-05"}
    task.save()
    assert task.get_by_path("meta.versionId") == "2"
    assert fhirpy(place, HOSPITAL).get("Task", task.id)["status"] == "accepted"
    assert told(place)[-1] == "answer"
    task["status"] = "rejected"
    with pytest.raises(MultipleResourcesFound, match="conflict"):  # fhirpy's only word for 412
        task.save()


def test_fhirpy_is_told_what_is_missing(place: Site) -> None:
    task = fhirpy(place).resources("Task").search(code=RECEIVE).get()
    with pytest.raises(OperationOutcome, match="If-Match"):
        task.save()


# --- fhirclient -------------------------------------------------------------------------------------------


def smart(place: Site, who: str = LUSTER) -> FHIRClient:
    client = FHIRClient(settings={"app_id": "ward-list", "api_base": f"{place.url}/fhir"})
    client.server.session.headers["Authorization"] = f"Bearer {TOKENS[who]}"
    client.prepare()
    return client


def test_fhirclient_reads_what_the_endpoint_can_do(place: Site) -> None:
    client = smart(place)
    assert client.ready
    (rest,) = client.server.capabilityStatement.rest
    updated = {r.type for r in rest.resource if "update" in {i.code for i in r.interaction}}
    assert updated == {"Task", "CarePlan", "Subscription"}


def test_fhirclient_searches_and_reads(place: Site) -> None:
    server = smart(place).server
    number = f"{FNR}|{SYNNOVE.identifiers[0][1]}"
    (patient,) = Patient.where({"identifier": number}).perform_resources_iter(server)
    again = Patient.read(patient.id, server)
    assert again.name[0].family == SYNNOVE.family
    search = Task.where({"patient": patient.id, "code": RECEIVE})
    task, owner = search.include("owner").perform_resources_iter(server)
    assert task.for_fhir.reference == f"Patient/{patient.id}"
    assert task.owner.reference == f"Organization/{owner.id}" == "Organization/luster"
    with pytest.raises(FHIRNotFoundException):
        Patient.read("nobody", server)


def test_fhirclient_pages_through_everything_once(place: Site) -> None:
    server = smart(place, HOSPITAL).server
    search = FHIRSearch(Encounter, {"_count": "2", "_sort": "_lastUpdated"})
    pages = list(search.perform_iter(server))
    stays = [entry.resource.id for page in pages for entry in page.entry]
    assert len(pages) == (MANY + 1) // 2
    assert len(set(stays)) == len(stays) == MANY


def test_fhirclient_sends_a_message(place: Site) -> None:
    server = smart(place, HOSPITAL).server
    content = place.stage.message(K.CARE_NEEDS, receivers=("luster",), encounter="LS-1")
    message = Bundle(orjson.loads(content))
    answer = Bundle(server.post_json("$process-message", message.as_json()).json())
    assert answer.entry[0].resource.response.code == "ok"
    assert told(place)[-1] == "care-needs"


def test_fhirclient_accepts_a_task_and_loses_nobodys_change(place: Site) -> None:
    server = smart(place).server
    (task,) = Task.where({"code": RECEIVE}).perform_resources_iter(server)
    server.session.headers["If-Match"] = f'W/"{task.meta.versionId}"'
    task.status = "accepted"
    task.executionPeriod = Period({"start": "2014-03-05"})
    answer = task.update(server)
    assert answer["meta"]["versionId"] == "2"
    seen = Task.read(task.id, smart(place, HOSPITAL).server)
    assert (seen.status, seen.executionPeriod.start.as_json()) == ("accepted", "2014-03-05")
    assert told(place)[-1] == "answer"
    task.executionPeriod.start = FHIRDateTime("2014-03-06")
    with pytest.raises(requests.HTTPError) as second:
        task.update(server)
    assert second.value.response.status_code == 412
