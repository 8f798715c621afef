"""Tasks and plans changed at /fhir: answers, proposals, refusals, and two who change the same thing at once.

FHIR R4 http.html#concurrency (If-Match, 412), task.html (states), and process.md 25 and 28.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
import requests

from adapter.discharge.notices import NoticeKind
from adapter.errors import Refused
from adapter.fhir.negotiating import check_task
from adapter.store import cases as case_rows
from adapter.store import messages, resources, tables
from tests.conftest import OSLO, StandingClock
from tests.plans import PLAN, TASK, TEAM, plan_bytes
from tests.web.conftest import TOKENS, Site, site

K = NoticeKind
HOSPITAL, LUSTER = "helse-foerde", "luster-drift"


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    clock = StandingClock(datetime(2014, 3, 3, 10, 0, tzinfo=OSLO))
    with site(tmp_path_factory.mktemp("updating"), clock) as found:
        yield found


def tell(place: Site, content: bytes) -> Any:
    done = place.stage.receive(content, channel="http")
    place.stage.clock.forward(minutes=1)  # type: ignore[attr-defined]  # it stands still by itself
    return done


def ready(place: Site) -> None:
    for kind in (K.ADMITTED, K.READY_FOR_DISCHARGE):
        told = place.stage.message(kind, receivers=("luster",), encounter="LS-1")
        assert tell(place, told).outcome == "accepted"


def planned(place: Site, **more: Any) -> Any:
    return tell(place, plan_bytes(place.stage.built.register, at=place.stage.clock(), **more))


def get(place: Site, path: str, who: str = LUSTER) -> requests.Response:
    return place.get(f"/fhir/{path}", headers={"Authorization": f"Bearer {TOKENS[who]}"})


def put(
    place: Site, resource: dict[str, Any], who: str = LUSTER, version: int | None = None, **headers: str
) -> requests.Response:
    number = version or resource["meta"]["versionId"]
    path = f"{place.url}/fhir/{resource['resourceType']}/{resource['id']}"
    usual = {"Authorization": f"Bearer {TOKENS[who]}", "If-Match": f'W/"{number}"'}
    return requests.put(path, json=resource, headers=usual | headers, timeout=10)


def the_question(place: Site) -> dict[str, Any]:
    (item,) = get(place, "Task?status=requested").json()["entry"]
    return dict(item["resource"])


def test_a_municipality_answers_by_accepting_the_task(place: Site) -> None:
    ready(place)
    task = the_question(place)
    answer = put(place, task | {"status": "accepted", "executionPeriod": {"start": "2014-03-05"}})
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "accepted"
    assert answer.headers["ETag"] == 'W/"2"'
    (seen,) = get(place, "Task?status=accepted", HOSPITAL).json()["entry"]
    assert seen["resource"]["executionPeriod"] == {"start": "2014-03-05"}
    (case,) = place.look(case_rows.listed)  # type: ignore[misc]
    told = [row["type"] for row in place.look(messages.of_case, case["id"])]  # type: ignore[attr-defined]
    assert told == ["admitted", "ready-for-discharge", "answer"]


@pytest.mark.parametrize("kind", ["a ready notice", "a plan"])
def test_a_task_is_answered_in_xml_as_it_was_read(place: Site, kind: str) -> None:
    """What is read in XML can be sent back in XML."""
    ready(place)
    name = the_question(place)["id"]
    if kind == "a plan":
        planned(place)
        name = TASK
    as_xml = {"Authorization": f"Bearer {TOKENS[LUSTER]}", "Accept": "application/fhir+xml"}
    read = place.get(f"/fhir/Task/{name}", headers=as_xml).text
    assert '<status value="requested"/>' in read
    answer = requests.put(
        f"{place.url}/fhir/Task/{name}",
        data=read.replace('<status value="requested"/>', '<status value="accepted"/>').encode(),
        headers=as_xml | {"Content-Type": "application/fhir+xml", "If-Match": 'W/"1"'},
        timeout=10,
    )
    assert answer.status_code == 200, answer.text
    assert '<status value="accepted"/>' in answer.text


@pytest.mark.parametrize(
    ("now", "code"), [("2014-03-04T13:00:00Z", None), ("2014-03-04T14:00:01+01:00", "business-rule")]
)
def test_only_another_instant_is_a_change(now: str, code: str | None) -> None:
    before = {"resourceType": "Task", "status": "requested", "authoredOn": "2014-03-04T14:00:00+01:00"}
    refused = None
    try:
        check_task(before, before | {"status": "accepted", "authoredOn": now}, ["owner"])
    except Refused as found:
        refused = found.code
    assert refused == code


def test_without_the_version_that_was_read_nothing_is_changed(place: Site) -> None:
    ready(place)
    task = the_question(place) | {"status": "accepted"}
    path = f"{place.url}/fhir/Task/{task['id']}"
    headers = {"Authorization": f"Bearer {TOKENS[LUSTER]}"}
    unsaid = requests.put(path, json=task, headers=headers, timeout=10)
    assert unsaid.status_code == 428
    assert unsaid.json()["issue"][0]["expression"] == ["http.if-match"]
    assert the_question(place)["status"] == "requested"


def test_of_two_who_answer_at_once_the_second_is_told(place: Site) -> None:
    ready(place)
    task = the_question(place)
    assert put(place, task | {"status": "on-hold"}).status_code == 200
    second = put(place, task | {"status": "accepted"})
    assert second.status_code == 412
    assert second.json()["issue"][0]["code"] == "conflict"
    assert get(place, f"Task/{task['id']}").json()["status"] == "on-hold"


def test_the_hospital_cannot_answer_for_the_municipality(place: Site) -> None:
    ready(place)
    refused = put(place, the_question(place) | {"status": "accepted"}, HOSPITAL)
    assert refused.status_code == 422
    assert the_question(place)["status"] == "requested"


def test_the_task_of_a_plan_is_declined_only_with_a_reason(place: Site) -> None:
    ready(place)
    assert planned(place).outcome == "accepted"
    task = get(place, f"Task/{TASK}").json()
    bare = put(place, task | {"status": "rejected"})
    assert bare.status_code == 400
    assert bare.json()["issue"][0]["expression"] == ["Task.statusReason"]
    told = put(place, task | {"status": "rejected", "statusReason": {"text": "Ikkje kapasitet denne veka"}})
    assert told.status_code == 200, told.text
    assert get(place, f"Task/{TASK}", HOSPITAL).json()["statusReason"]["text"] == "Ikkje kapasitet denne veka"


def test_who_accepts_a_task_joins_the_team(place: Site) -> None:
    ready(place)
    planned(place)
    task = get(place, f"Task/{TASK}").json()
    assert put(place, task | {"status": "accepted"}).status_code == 200
    team = get(place, f"CareTeam/{TEAM}", HOSPITAL).json()
    members = [one["member"]["reference"] for one in team["participant"]]
    assert members == ["Organization/laerdal-sjukehus", "Organization/luster"]
    versions = get(place, f"CarePlan/{PLAN}/_history").json()["entry"]
    assert [v["resource"]["meta"]["versionId"] for v in versions] == ["2", "1"]


def test_another_day_is_proposed_and_taken(place: Site) -> None:
    ready(place)
    planned(place)
    task = get(place, f"Task/{TASK}").json()
    system = "https://discharge-adapter.example/fhir/CodeSystem/negotiations"
    other_day = {"coding": [{"system": system, "code": "other-day"}]}
    proposed = task | {"status": "on-hold", "businessStatus": other_day}
    assert put(place, proposed).status_code == 400
    proposal = put(place, proposed | {"executionPeriod": {"start": "2014-03-12"}})
    assert proposal.status_code == 200, proposal.text
    seen = get(place, f"Task/{TASK}", HOSPITAL).json()
    taken = put(place, seen | {"status": "accepted"}, HOSPITAL)
    assert taken.status_code == 200, taken.text
    assert get(place, f"Task/{TASK}").json()["executionPeriod"] == {"start": "2014-03-12"}


def test_a_change_goes_to_those_who_still_take_part(place: Site) -> None:
    """Sogndal was left out of the last version; what the municipality changes does not reach it again."""
    planned(place, receivers=("luster", "sogndal"))
    planned(place, receivers=("luster",))
    plan = get(place, f"CarePlan/{PLAN}").json()
    assert put(place, plan | {"title": "Ny plan"}).status_code == 200
    *_, changed = place.stage.rows(tables.message, type="care-plan")
    told = [row["party"] for row in place.stage.rows(tables.delivery, message_row=changed["id"])]
    assert "sogndal" not in told
    with place.stage.built.store.read() as tx:
        row = resources.named(tx, "CarePlan", PLAN)
        assert row is not None
        assert sorted(place.stage.built.shelves.taking_part(tx, row)) == ["laerdal-sjukehus", "luster"]


def test_a_plan_is_changed_by_one_at_a_time(place: Site) -> None:
    ready(place)
    planned(place)
    plan = get(place, f"CarePlan/{PLAN}").json()
    first = put(place, plan | {"title": "Plan frå Luster"})
    assert first.status_code == 200, first.text
    second = put(place, plan | {"title": "Plan frå sjukehuset"}, HOSPITAL)
    assert second.status_code == 412
    assert get(place, f"CarePlan/{PLAN}", HOSPITAL).json()["title"] == "Plan frå Luster"


def test_a_message_that_would_undo_anothers_change_is_held(place: Site) -> None:
    ready(place)
    planned(place)
    plan = get(place, f"CarePlan/{PLAN}").json()
    assert put(place, plan | {"title": "Plan frå Luster"}).status_code == 200
    held = planned(place, goal="Gå til butikken")
    assert (held.outcome, held.code) == ("quarantined", "conflict")
    based = planned(place, goal="Gå til butikken", based_on=f"CarePlan/{PLAN}/_history/2")
    assert based.outcome == "accepted", based.reason


def test_a_stranger_neither_sees_nor_changes(place: Site) -> None:
    told = place.stage.message(K.ADMITTED, receivers=("sogndal",), encounter="LS-1")
    assert tell(place, told).outcome == "accepted"
    planned(place, receivers=("sogndal",), asked="sogndal")
    assert get(place, f"Task/{TASK}").status_code == 404
    stranger = {"resourceType": "Task", "id": TASK, "status": "accepted", "intent": "order"}
    assert put(place, stranger, version=1).status_code == 404


def test_what_is_no_task_is_refused_with_its_place(place: Site) -> None:
    ready(place)
    task = the_question(place)
    odd = put(place, task | {"colour": "red"})
    assert odd.status_code == 400
    assert odd.json()["issue"][0]["expression"][0].startswith("Task")
    assert put(place, task | {"status": "done"}).status_code == 400
    assert put(place, {"resourceType": "Goal", "id": "x"}, version=1).status_code == 405


def test_the_plan_can_be_read_by_people_in_every_version(place: Site) -> None:
    ready(place)
    planned(place)
    task = get(place, f"Task/{TASK}").json()
    assert put(place, task | {"status": "accepted"}).status_code == 200
    page = place.get(f"/plans/{PLAN}?lang=nn")
    assert page.status_code == 200
    assert "Gå til postkassen utan rullator" in page.text
    assert "Luster kommune" in page.text
    assert place.get(f"/plans/{PLAN}/changes").status_code == 200
    assert place.get(f"/plans/{PLAN}.pdf").content.startswith(b"%PDF")
    assert place.get(f"/plans/{PLAN}?version=1").status_code == 200
    assert place.get(f"/plans/{PLAN}?version=9").status_code == 404


def test_the_cases_page_leads_to_its_plan(place: Site) -> None:
    ready(place)
    planned(place)
    assert get(place, f"CarePlan/{PLAN}").status_code == 200
    assert f'href="/plans/{PLAN}"' in place.get("/cases/1").text


def test_a_member_of_the_plan_does_not_answer_for_another(place: Site) -> None:
    ready(place)
    planned(place, receivers=("luster", "sogndal"), asked="sogndal")
    task = get(place, f"Task/{TASK}").json()
    refused = put(place, task | {"status": "accepted"})
    assert refused.status_code == 403
    assert get(place, f"Task/{TASK}").json()["status"] == "requested"


def test_scopes_bound_what_is_read_included_searched_and_changed(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """A machine that may read Tasks and nothing else (SMART scopes, system/Task.rs)."""
    clock = StandingClock(datetime(2014, 3, 3, 10, 0, tzinfo=OSLO))
    with site(tmp_path_factory.mktemp("scopes"), clock, scopes="system/Task.rs") as narrow:
        ready(narrow)
        answer = get(narrow, "Task?_include=Task:patient")
        assert [e["resource"]["resourceType"] for e in answer.json()["entry"]] == ["Task"]
        for path in ("Patient", "Encounter", "EpisodeOfCare/case-1/$document"):
            refused = get(narrow, path)
            assert refused.status_code == 403, path
            assert "insufficient_scope" in refused.headers["WWW-Authenticate"]
        assert put(narrow, the_question(narrow) | {"status": "accepted"}).status_code == 403
        assert the_question(narrow)["status"] == "requested"


def test_what_says_the_same_is_no_new_version_and_nobody_is_told(place: Site) -> None:
    ready(place)
    planned(place)
    task = get(place, f"Task/{TASK}").json()
    again = put(place, task)
    assert (again.status_code, again.headers["ETag"]) == (200, 'W/"1"')
    assert get(place, f"CarePlan/{PLAN}").json()["meta"]["versionId"] == "1"


def test_a_task_of_a_revoked_plan_is_not_taken_on(place: Site) -> None:
    ready(place)
    planned(place)
    plan = get(place, f"CarePlan/{PLAN}", HOSPITAL).json()
    assert put(place, plan | {"status": "revoked"}, HOSPITAL).status_code == 200
    task = get(place, f"Task/{TASK}").json()
    refused = put(place, task | {"status": "accepted"})
    assert refused.status_code == 422
    assert get(place, f"Task/{TASK}").json()["status"] == "requested"
