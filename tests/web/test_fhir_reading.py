"""What a partner reads and searches at /fhir (FHIR R4 http.html, search.html): its own, and nothing else."""

from collections.abc import Iterator
from datetime import datetime

import pytest
import requests

from adapter.discharge.notices import AnswerValue, NoticeKind
from tests.conftest import OSLO, StandingClock
from tests.stage import SYNNOVE, TORBJORN
from tests.web.conftest import TOKENS, Site, site

K = NoticeKind
NUMBER = SYNNOVE.identifiers[0][1]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Lærdal hospital has told Luster and Sogndal of one patient each, and Luster has answered."""
    clock = StandingClock(datetime(2014, 3, 3, 10, 0, tzinfo=OSLO))
    with site(tmp_path_factory.mktemp("reading"), clock) as found:

        def tell(kind: NoticeKind, **more: object) -> None:
            done = found.stage.receive(found.stage.message(kind, **more), channel="http")  # type: ignore[arg-type]
            assert done.outcome == "accepted", done.reason
            clock.forward(minutes=1)

        tell(K.ADMITTED, receivers=("luster",), encounter="LS-1")
        tell(K.ADMITTED, receivers=("sogndal",), subject=TORBJORN, encounter="LS-2")
        ready = "6f0c1f8e-1111-4222-8333-444455556666"
        tell(K.READY_FOR_DISCHARGE, receivers=("luster",), encounter="LS-1", ready=clock(), message_id=ready)
        tell(
            K.ANSWER, sender="luster", receivers=("laerdal-sjukehus",), encounter="LS-1", refers_to=ready,
            answer=AnswerValue.CAN_RECEIVE, receive_from=datetime(2014, 3, 5, tzinfo=OSLO).date(),
        )  # fmt: skip
        yield found


def get(place: Site, path: str, who: str = "luster-drift", **more: object) -> requests.Response:
    headers = {"Authorization": f"Bearer {TOKENS[who]}", **more.pop("headers", {})}  # type: ignore[dict-item]
    return place.get(f"/fhir/{path}", headers=headers, **more)


def entries(answer: requests.Response) -> list[dict[str, object]]:
    assert answer.status_code == 200, answer.text
    return [item["resource"] for item in answer.json().get("entry", [])]


def test_a_municipality_finds_the_task_that_it_has_answered(place: Site) -> None:
    (task,) = entries(get(place, "Task"))
    assert task["status"] == "accepted"
    assert task["executionPeriod"] == {"start": "2014-03-05"}
    assert task["owner"] == {"reference": "Organization/luster"}
    history = get(place, f"Task/{task['id']}/_history").json()
    assert [e["resource"]["status"] for e in history["entry"]] == ["accepted", "requested"]
    first = get(place, f"Task/{task['id']}/_history/1").json()
    assert first["status"] == "requested"


def test_a_task_is_found_by_what_was_asked_once_it_is_answered(place: Site) -> None:
    (task,) = entries(get(place, "Task"))
    for query in ("code=receive-patient", "requester=Organization/laerdal-sjukehus", "intent=order"):
        assert [found["id"] for found in entries(get(place, f"Task?{query}&status=accepted"))] == [task["id"]]
    assert entries(get(place, "Task?status=requested")) == []


def test_each_sees_its_own_patients_only(place: Site) -> None:
    (patient,) = entries(get(place, "Patient"))
    assert patient["identifier"] == [{"system": SYNNOVE.identifiers[0][0], "value": NUMBER}]
    assert len(entries(get(place, "Patient", "helse-foerde"))) == 2
    (other,) = [p for p in entries(get(place, "Patient", "helse-foerde")) if p["id"] != patient["id"]]
    assert get(place, f"Patient/{other['id']}").status_code == 404
    assert entries(get(place, f"Encounter?patient={other['id']}")) == []


def test_a_patient_is_found_by_number_and_the_number_stands_in_no_link(place: Site) -> None:
    system = SYNNOVE.identifiers[0][0]
    for query in (f"Patient?identifier={system}|{NUMBER}", f"Encounter?patient.identifier={system}|{NUMBER}"):
        answer = get(place, query)
        assert len(entries(answer)) == 1
        assert NUMBER not in str(answer.json()["link"])
        again = answer.json()["link"][0]["url"].partition("/fhir/")[2]
        assert len(entries(get(place, again))) == 1


def test_the_episode_says_what_its_reader_was_told(place: Site) -> None:
    (episode,) = entries(get(place, "EpisodeOfCare?status=active"))
    assert episode["managingOrganization"] == {"reference": "Organization/laerdal-sjukehus"}
    assert entries(get(place, "EpisodeOfCare?status=finished")) == []


def test_without_a_token_nothing_is_told(place: Site) -> None:
    answer = place.get("/fhir/Patient")
    assert answer.status_code == 401
    assert answer.json()["issue"][0]["code"] == "login"
    assert place.get("/fhir/metadata").status_code == 200


def test_pages_lead_to_everything_once(place: Site) -> None:
    found, path = [], "Encounter?_count=1&_sort=_lastUpdated"
    while path:
        answer = get(place, path, "helse-foerde").json()
        found += [e["resource"]["id"] for e in answer.get("entry", [])]
        following = next((one["url"] for one in answer["link"] if one["relation"] == "next"), "")
        path = following.partition("/fhir/")[2]
    assert len(found) == len(set(found)) == 2


def test_an_unknown_parameter_is_refused_and_named(place: Site) -> None:
    answer = get(place, "Task?colour=red")
    assert answer.status_code == 400
    assert answer.json()["issue"][0]["expression"] == ["Task.colour"]
    lenient = get(place, "Task?colour=red", headers={"Prefer": "handling=lenient"})
    assert [e["search"]["mode"] for e in lenient.json()["entry"]] == ["match", "outcome"]


def test_xml_for_those_who_ask(place: Site) -> None:
    by_format, by_accept = (
        get(place, "Task?_format=xml"),
        get(place, "Task", headers={"Accept": "application/fhir+xml"}),
    )
    for answer in (by_format, by_accept):
        assert answer.headers["Content-Type"].startswith("application/fhir+xml")
        assert b'<status value="accepted"/>' in answer.content


def test_what_leads_elsewhere_comes_along(place: Site) -> None:
    answer = get(place, "Task?_include=Task:patient&_include=Task:owner").json()
    assert {e["resource"]["resourceType"]: e["search"]["mode"] for e in answer["entry"]} == {
        "Task": "match", "Patient": "include", "Organization": "include",
    }  # fmt: skip


def test_a_form_says_in_which_format(place: Site) -> None:
    headers = {"Authorization": f"Bearer {TOKENS['luster-drift']}"}
    answer = place.post("/fhir/Task/_search", data={"_format": "xml"}, headers=headers)
    assert answer.headers["Content-Type"].startswith("application/fhir+xml")


def test_many_reads_are_answered_in_xml(place: Site) -> None:
    batch = {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [{"request": {"method": "GET", "url": "Task"}}],
    }
    headers = {"Authorization": f"Bearer {TOKENS['luster-drift']}", "Accept": "application/fhir+xml"}
    answer = place.post("/fhir", json=batch, headers=headers)
    assert answer.status_code == 200
    assert b'<status value="accepted"/>' in answer.content


@pytest.mark.parametrize("query", ["_lastUpdated=", "_lastUpdated=%0A", "_lastUpdated=ge"])
def test_a_date_that_is_none_is_refused(place: Site, query: str) -> None:
    answer = get(place, f"Task?{query}")
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (400, "value")


def test_who_does_what_cannot_be_done_is_told_what_can(place: Site) -> None:
    headers = {"Authorization": f"Bearer {TOKENS['luster-drift']}"}
    for method, path, allowed in (
        ("DELETE", "Goal/x", "GET, HEAD"),
        ("PUT", "Goal/x", "GET, HEAD"),
        ("DELETE", "Task/x", "GET, HEAD, PUT"),
        ("GET", "Task/_search", "POST"),
        ("POST", "openapi.json", "GET, HEAD"),
        ("OPTIONS", "$process-message", "POST"),
    ):
        answer = requests.request(method, f"{place.url}/fhir/{path}", headers=headers, timeout=10)
        assert (answer.status_code, answer.headers["Allow"]) == (405, allowed), path
        assert answer.json()["resourceType"] == "OperationOutcome"


def test_two_numbers_that_must_both_be_a_patient_s_find_nobody(place: Site) -> None:
    system = SYNNOVE.identifiers[0][0]
    both = "&".join(f"patient.identifier={system}|{s.identifiers[0][1]}" for s in (SYNNOVE, TORBJORN))
    assert len(entries(get(place, "Encounter", "helse-foerde"))) == 2
    assert entries(get(place, f"Encounter?{both}", "helse-foerde")) == []


def test_many_reads_at_once(place: Site) -> None:
    asked = [{"request": {"method": "GET", "url": u}} for u in ("Task", "Patient/nobody", "metadata/x/y")]
    batch = {"resourceType": "Bundle", "type": "batch", "entry": asked}
    headers = {"Authorization": f"Bearer {TOKENS['luster-drift']}"}
    answer = place.post("/fhir", json=batch, headers=headers).json()
    as_xml = place.post("/fhir", json=batch, headers={**headers, "Accept": "application/fhir+xml"})
    assert as_xml.content.count(b"<Task ") + as_xml.content.count(b"<Task>") == 1
    assert [e["response"]["status"] for e in answer["entry"]] == ["200", "404", "404"]
    assert answer["entry"][0]["resource"]["type"] == "searchset"


def test_who_has_looked_is_written_down(place: Site) -> None:
    (patient,) = entries(get(place, "Patient"))
    get(place, f"Patient/{patient['id']}")
    events = entries(get(place, f"AuditEvent?patient={patient['id']}"))
    assert "read" in [e["subtype"][0]["code"] for e in events]
    assert all(e["agent"][0]["name"] == "luster-drift" for e in events)


def test_those_who_have_looked_are_searched_as_anything_else(place: Site) -> None:
    for _ in range(3):
        get(place, "Patient")
    newest = [int(e["id"]) for e in entries(get(place, "AuditEvent"))]
    assert newest == sorted(newest, reverse=True)
    assert [int(e["id"]) for e in entries(get(place, "AuditEvent?_sort=_lastUpdated"))] == sorted(newest)
    oldest = get(place, "AuditEvent?_sort=_lastUpdated&_count=2&_total=accurate").json()
    assert oldest["total"] == len(newest)
    (link,) = [one["url"] for one in oldest["link"] if one["relation"] == "next"]
    after = get(place, link.partition("/fhir/")[2])
    assert int(entries(after)[0]["id"]) == sorted(newest)[2]
    one = get(place, f"AuditEvent?_id={newest[1]}&_count=1").json()
    assert [e["resource"]["id"] for e in one["entry"]] == [str(newest[1])]
    assert [link["relation"] for link in one["link"]] == ["self"]
    assert get(place, f"AuditEvent/{'9' * 30}").status_code == 404


@pytest.mark.parametrize("kind", ["AuditEvent", "Organization", "Task"])
def test_a_count_has_no_entries(place: Site, kind: str) -> None:
    counted = get(place, f"{kind}?_summary=count").json()
    assert counted["total"] > 0
    assert "entry" not in counted


@pytest.mark.parametrize(
    "asked",
    ["AuditEvent?status=x", "Organization?patient=x", "Organization?_lastUpdated=2020"],
)
def test_a_parameter_that_would_be_dropped_is_refused(place: Site, asked: str) -> None:
    assert get(place, asked).status_code == 400


def test_a_case_is_told_in_one_document(place: Site) -> None:
    (episode,) = entries(get(place, "EpisodeOfCare"))
    answer = get(place, f"EpisodeOfCare/{episode['id']}/$document?language=nn")
    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert (document["type"], document["entry"][0]["resource"]["resourceType"]) == ("document", "Composition")
    kinds = [e["resource"]["resourceType"] for e in document["entry"]]
    assert {"Patient", "Encounter", "Organization", "Task"} <= set(kinds)
    codes = {s["code"]["coding"][0]["code"] for s in document["entry"][0]["resource"]["section"]}
    assert {"8648-8", "18776-5", "10160-0"} <= codes
    as_xml = get(place, f"EpisodeOfCare/{episode['id']}/$document?_format=xml")
    assert as_xml.content.count(b"<Composition ") + as_xml.content.count(b"<Composition>") == 1


def test_a_document_is_only_of_what_its_reader_was_told(place: Site) -> None:
    episodes = [e["id"] for e in entries(get(place, "EpisodeOfCare", "helse-foerde"))]
    (own,) = [e["id"] for e in entries(get(place, "EpisodeOfCare"))]
    (other,) = set(episodes) - {own}
    assert get(place, f"EpisodeOfCare/{other}/$document").status_code == 404
    assert get(place, f"EpisodeOfCare/{own}/$document?profile=mine").status_code == 400


def test_every_error_is_an_outcome_with_a_place(place: Site) -> None:
    """FHIR R4 operationoutcome.html: an element, or `http.` and the header that it is about."""
    token = {"Authorization": f"Bearer {TOKENS['luster-drift']}"}
    message = {**token, "Content-Type": "application/fhir+json"}
    history = b'{"resourceType":"Bundle","type":"history"}'
    answers = {
        "http.authorization": place.get("/fhir/Patient"),
        "http.path": place.get("/fhir/Patient/nobody", headers=token),
        "http.method": place.post("/fhir/Patient/nobody", headers=token),
        "http.accept": place.get("/fhir/Patient", headers={**token, "Accept": "text/csv"}),
        "http.content-type": place.post("/fhir/$process-message", data=b"x", headers=token),
        "Task.colour": place.get("/fhir/Task?colour=red", headers=token),
        "Bundle.type": place.post("/fhir", data=history, headers=message),
        "Bundle": place.post("/fhir/$process-message", data=b"{}", headers=message),
        "Subscription": place.get("/fhir/Subscription/nobody", headers=token),
    }
    for path, answer in answers.items():
        outcome = answer.json()
        assert (answer.status_code >= 400, outcome["resourceType"]) == (True, "OperationOutcome"), path
        assert outcome["issue"][0]["expression"] == [path]
