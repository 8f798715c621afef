"""/fhir in the hands of partners with a good token, who want what is not theirs.

What must hold: sharing a patient is not sharing the record (process.md 28), FHIR R4 http.html, RFC 9110.
"""

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import pytest
import requests

from adapter.discharge.notices import NoticeKind
from adapter.fhir.bundles import Bundle, Resource
from adapter.fhir.searching import read_query
from adapter.fhir.wire import parse, to_json, to_xml
from adapter.messaging.register import Partner
from adapter.messaging.scopes import parse as scopes
from adapter.readers import Reader
from adapter.store.resources import Eyes
from tests.conftest import OSLO, StandingClock
from tests.plans import GOAL, PLAN, TASK, TEAM, plan_message
from tests.stage import SYNNOVE, TORBJORN, altered, region
from tests.web.conftest import TOKENS, Site, site

pytestmark = pytest.mark.postgres_in_soak

K = NoticeKind
HOSPITAL, LUSTER, SOGNDAL = "helse-foerde", "luster-drift", "sogndal-drift"
STAYS_ONLY, ACUTE = "luster-opphald", "luster-akutt"
ALL_TOKENS = TOKENS | {name: f"synthetic-{name}" for name in (SOGNDAL, STAYS_ONLY, ACUTE)}


def others(role: str) -> tuple[Partner, ...]:
    """Another municipality, a machine that may only read stays, and one of a single service."""

    def partner(name: str, party: str, **more: Any) -> Partner:
        token = hashlib.sha256(ALL_TOKENS[name].encode()).hexdigest()
        return Partner(name=name, parties=(party,), token_sha256=token, **more)

    return (
        partner(SOGNDAL, "sogndal"),
        partner(STAYS_ONLY, "luster", scopes=scopes("system/EpisodeOfCare.rs system/Task.rs")),
        partner(ACUTE, "luster", roles=(role,)),
    )


@pytest.fixture
def place(store_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    clock = StandingClock(datetime(2014, 3, 3, 10, 0, tzinfo=OSLO))
    folder = tmp_path_factory.mktemp("hostile")
    municipality = region().register_.party("luster")
    assert municipality is not None
    role = municipality.services[1].role
    with site(folder, clock, store=store_url, others=others(role)) as found:
        yield found


def headers(who: str, **more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {ALL_TOKENS[who]}", **more}


def get(place: Site, path: str, who: str = LUSTER, **more: str) -> requests.Response:
    return place.get(f"/fhir/{path}", headers=headers(who, **more))


def found(place: Site, path: str, who: str = LUSTER) -> list[Resource]:
    answer = get(place, path, who)
    assert answer.status_code == 200, answer.text
    return [one["resource"] for one in answer.json().get("entry", ())]


def put(place: Site, resource: Resource, who: str = LUSTER, version: object = None) -> requests.Response:
    number = version or resource["meta"]["versionId"]
    path = f"{place.url}/fhir/{resource['resourceType']}/{resource['id']}"
    return requests.put(
        path, json=resource, headers=headers(who, **{"If-Match": f'W/"{number}"'}), timeout=30
    )


def send(place: Site, message: Bundle, who: str = HOSPITAL) -> requests.Response:
    told = {"Content-Type": "application/fhir+json"}
    answer = place.post("/fhir/$process-message", data=to_json(message), headers=headers(who, **told))
    place.stage.clock.forward(minutes=1)  # type: ignore[attr-defined]  # it stands still by itself
    return answer


def plan(place: Site, who: str = HOSPITAL, **more: Any) -> None:
    answer = send(place, planned(place, **more), who)
    assert answer.status_code == 200, answer.text


def planned(place: Site, **more: Any) -> Bundle:
    return plan_message(place.stage.built.register, at=place.stage.clock(), **more)


def renumbered(message: Bundle, ids: dict[str, str]) -> Bundle:
    """The same message with other ids in it."""
    text = to_json(message).decode()
    for before, after in ids.items():
        text = text.replace(before, after)
    return dict(orjson.loads(text))


def part(message: Bundle, kind: str) -> Resource:
    return next(i["resource"] for i in message["entry"] if i["resource"]["resourceType"] == kind)


def outcome(answer: requests.Response, *statuses: int) -> Resource:
    """The only issue of a refusal."""
    assert answer.status_code in statuses, (answer.status_code, answer.text)
    made = answer.json()
    assert made["resourceType"] == "OperationOutcome"
    assert made["issue"][0]["diagnostics"]
    return dict(made["issue"][0])


# --- ids of others ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", [str.upper, str.title], ids=["upper", "mixed"])
def test_an_id_in_other_letters_takes_over_nothing(place: Site, written: Any) -> None:
    plan(place)
    own = planned(
        place, sender="luster", receivers=("sogndal",), asked="sogndal", subject=TORBJORN, goal="Noko anna"
    )
    ids = {one: written(one) for one in (PLAN, GOAL, TASK, TEAM)}
    assert send(place, renumbered(own, ids), LUSTER).status_code in (200, 202, 422)
    (goal,) = found(place, "Goal", HOSPITAL)
    assert goal["meta"]["versionId"] == "1"
    assert goal["description"]["text"] == "Gå til postkassen utan rullator"
    assert get(place, f"Goal/{GOAL}", SOGNDAL).status_code == 404
    assert get(place, f"CarePlan/{PLAN}/_history", SOGNDAL).status_code == 404


def test_numbers_that_a_sender_gives_in_every_plan_do_not_mix_patients(place: Site) -> None:
    ids = {PLAN: "plan-1", GOAL: "goal-1", TASK: "task-1", TEAM: "team-1"}
    for receiver, subject, goal in (("luster", SYNNOVE, "Gå"), ("sogndal", TORBJORN, "Lese")):
        told = planned(place, receivers=(receiver,), asked=receiver, subject=subject, goal=goal)
        answer = send(place, renumbered(told, ids))
        assert answer.status_code == 200, answer.text
    (luster,), (sogndal,) = found(place, "Goal"), found(place, "Goal", SOGNDAL)
    assert luster["id"] != sogndal["id"]
    assert [luster["description"]["text"], sogndal["description"]["text"]] == ["Gå", "Lese"]
    for who, goal in ((LUSTER, luster), (SOGNDAL, sogndal)):
        assert len(found(place, f"Goal/{goal['id']}/_history", who)) == 1
    assert {g["subject"]["reference"] for g in found(place, "Goal", HOSPITAL)} == {
        luster["subject"]["reference"],
        sogndal["subject"]["reference"],
    }


def test_a_notice_does_not_change_what_another_party_has_written(place: Site) -> None:
    """Luster was told of a diagnosis; its own message with that id is not the diagnosis's next version."""
    told = parse(place.stage.message(K.CARE_NEEDS, receivers=("luster",), encounter="LS-1"))
    diagnosis = {
        "resourceType": "Condition", "id": "0f0c1f8e-1111-4222-8333-444455556666",
        "subject": {"reference": told["entry"][1]["fullUrl"]}, "code": {"text": "Hoftebrot"},
    }  # fmt: skip
    told["entry"].append({"fullUrl": f"urn:uuid:{diagnosis['id']}", "resource": diagnosis})
    assert send(place, told).status_code == 200
    (before,) = found(place, "Condition", HOSPITAL)
    changed = planned(place, sender="luster", receivers=("laerdal-sjukehus",), asked="laerdal-sjukehus")
    patient = next(i["fullUrl"] for i in changed["entry"] if i["resource"]["resourceType"] == "Patient")
    other = diagnosis | {"code": {"text": "Ingen diagnose"}, "subject": {"reference": patient}}
    changed["entry"].append({"fullUrl": f"urn:uuid:{diagnosis['id']}", "resource": other})
    assert send(place, changed, LUSTER).status_code == 200
    again = get(place, f"Condition/{before['id']}", HOSPITAL).json()
    assert again["code"]["text"] == "Hoftebrot"


def test_who_has_left_a_plan_sees_no_later_version_and_writes_none(place: Site) -> None:
    plan(place, receivers=("luster", "sogndal"))
    assert get(place, f"CarePlan/{PLAN}", SOGNDAL).status_code == 200
    plan(place, receivers=("luster",), goal="Gå til butikken")
    own = get(place, f"CarePlan/{PLAN}", SOGNDAL)
    assert own.json()["meta"]["versionId"] == "1"
    assert len(found(place, f"CarePlan/{PLAN}/_history", SOGNDAL)) == 1
    assert get(place, f"CarePlan/{PLAN}/_history/2", SOGNDAL).status_code == 404
    assert get(place, f"Goal/{GOAL}", SOGNDAL).json()["description"]["text"] != "Gå til butikken"
    guessed = planned(
        place,
        sender="sogndal",
        receivers=("luster",),
        goal="Vår plan",
        based_on=f"CarePlan/{PLAN}/_history/2",
    )
    send(place, guessed, SOGNDAL)
    assert get(place, f"Goal/{GOAL}").json()["description"]["text"] == "Gå til butikken"
    assert get(place, f"CarePlan/{PLAN}").json()["meta"]["versionId"] == "2"
    assert outcome(put(place, own.json(), SOGNDAL, version=2), 404, 412)


def test_what_was_said_of_a_part_before_it_came_into_a_plan_stays_between_those(place: Site) -> None:
    """The hospital tells Luster of a goal; the plan that it later shares with Sogndal has another wording."""
    told = parse(place.stage.message(K.CARE_NEEDS, receivers=("luster",), encounter="LS-1"))
    goal = {
        "resourceType": "Goal", "id": GOAL, "lifecycleStatus": "proposed",
        "subject": {"reference": told["entry"][1]["fullUrl"]}, "description": {"text": "Berre for Luster"},
    }  # fmt: skip
    told["entry"].append({"fullUrl": f"urn:uuid:{GOAL}", "resource": goal})
    assert send(place, told).status_code == 200
    plan(place, receivers=("sogndal",), asked="sogndal", goal="For alle")
    (shared,) = found(place, "Goal", SOGNDAL)
    assert [g["description"]["text"] for g in found(place, f"Goal/{shared['id']}/_history", SOGNDAL)] == [
        "For alle"
    ]
    assert get(place, f"Goal/{shared['id']}/_history/1", SOGNDAL).status_code == 404


# --- changes ----------------------------------------------------------------------------------------------


def test_a_plan_cannot_be_led_to_another_patients_data(place: Site) -> None:
    """Luster may read both, and still they are two people's."""
    plan(place)
    told = place.stage.message(K.ADMITTED, receivers=("luster",), subject=TORBJORN, encounter="LS-2")
    assert place.stage.receive(told, channel="http").outcome == "accepted"
    (mine,) = found(place, f"CarePlan?_id={PLAN}")
    foreign = next(p for p in found(place, "Patient") if f"Patient/{p['id']}" != mine["subject"]["reference"])
    (stay,) = found(place, f"Encounter?patient={foreign['id']}")
    targets = [f"Patient/{foreign['id']}", f"Encounter/{stay['id']}", "Goal/nobody-has-this"]
    for target in (*targets, f"http://evil.example/Goal/{GOAL}", "urn:uuid:" + GOAL):
        changed = put(place, mine | {"supportingInfo": [{"reference": target}]})
        issue = outcome(changed, 422)
        assert issue["expression"][0].startswith("CarePlan")
        assert target not in issue["diagnostics"]
    moved = put(place, mine | {"subject": {"reference": targets[0]}})
    outcome(moved, 422)
    assert get(place, f"CarePlan/{PLAN}").json() == mine
    kept = put(place, mine | {"supportingInfo": [{"reference": f"Goal/{GOAL}"}]})
    assert kept.status_code == 200, kept.text


def test_whether_somebody_elses_resource_is_there_is_not_told_by_a_change(place: Site) -> None:
    plan(place)
    plan(place, receivers=("sogndal",), asked="sogndal", subject=TORBJORN)
    (foreign,) = found(place, "Goal", SOGNDAL)
    (mine,) = found(place, f"CarePlan?_id={PLAN}")
    there, nowhere = (
        put(place, mine | {"supportingInfo": [{"reference": f"Goal/{one}"}]})
        for one in (foreign["id"], "none")
    )
    assert (there.status_code, there.json()) == (nowhere.status_code, nowhere.json())
    hidden = get(place, f"Goal/{foreign['id']}")
    unknown = get(place, "Goal/none")
    assert (hidden.status_code, hidden.json()) == (unknown.status_code, unknown.json())


def test_an_accepted_task_is_not_handed_to_somebody_who_has_not_accepted_it(place: Site) -> None:
    plan(place, receivers=("luster", "sogndal"))
    task = get(place, f"Task/{TASK}").json()
    assert put(place, task | {"status": "accepted"}).status_code == 200
    accepted = get(place, f"Task/{TASK}", HOSPITAL).json()
    handed = accepted | {"owner": {"reference": "Organization/sogndal"}}
    assert outcome(put(place, handed, HOSPITAL), 422)["expression"] == ["Task.owner"]
    assert get(place, f"Task/{TASK}").json()["owner"] == {"reference": "Organization/luster"}


def test_the_requester_does_not_propose_in_the_owners_name(place: Site) -> None:
    plan(place)
    system = "https://discharge-adapter.example/fhir/CodeSystem/negotiations"
    proposal = {
        "status": "on-hold", "executionPeriod": {"start": "2014-03-12"},
        "businessStatus": {"coding": [{"system": system, "code": "other-day"}]},
    }  # fmt: skip
    assert put(place, get(place, f"Task/{TASK}").json() | proposal).status_code == 200
    seen = get(place, f"Task/{TASK}", HOSPITAL).json()
    forged = put(place, seen | {"executionPeriod": {"start": "2014-03-05"}}, HOSPITAL)
    assert outcome(forged, 422)["expression"] == ["Task.executionPeriod"]
    assert put(place, seen | {"status": "accepted"}, HOSPITAL).status_code == 200


def test_of_many_who_change_a_plan_at_once_exactly_one_has_done_so(place: Site) -> None:
    plan(place)
    before = {who: get(place, f"CarePlan/{PLAN}", who).json() for who in (HOSPITAL, LUSTER)}
    asked = [(who, f"{who} {n}") for n in range(4) for who in (HOSPITAL, LUSTER)]
    with ThreadPoolExecutor(len(asked)) as pool:
        answers = list(pool.map(lambda one: put(place, before[one[0]] | {"title": one[1]}, one[0]), asked))
    done = [answer for answer in answers if answer.status_code == 200]
    assert len(done) == 1
    assert {a.status_code for a in answers} == {200, 412}
    for who in (HOSPITAL, LUSTER):
        now = get(place, f"CarePlan/{PLAN}", who).json()
        assert (now["title"], now["meta"]["versionId"]) == (done[0].json()["title"], "2")
    assert len(found(place, f"CarePlan/{PLAN}/_history")) == 2


def test_two_who_change_different_things_of_a_plan_at_once_both_have_done_so(place: Site) -> None:
    plan(place)
    task, goal = get(place, f"Task/{TASK}").json(), get(place, f"CarePlan/{PLAN}", HOSPITAL).json()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(put, place, task | {"status": "accepted"})
        second = pool.submit(put, place, goal | {"title": "Ny tittel"}, HOSPITAL)
        statuses = (first.result().status_code, second.result().status_code)
    plan_now = get(place, f"CarePlan/{PLAN}").json()
    assert statuses[0] == 200  # the Task had one version only
    assert get(place, f"Task/{TASK}", HOSPITAL).json()["status"] == "accepted"
    assert statuses[1] in (200, 412)  # an accepted Task is a new version of its plan
    assert (plan_now["title"] == "Ny tittel") == (statuses[1] == 200)


@pytest.mark.parametrize(
    "tag", ["*", 'W/"1", W/"2"', 'W/"0"', 'W/"-1"', 'W/"1e0"', 'W/"999999999"', "1", 'W/"١"', 'W/"1"x']
)
def test_no_other_way_to_write_if_match_changes_anything(place: Site, tag: str) -> None:
    plan(place)
    before = get(place, f"CarePlan/{PLAN}").json()
    sent = headers(LUSTER) | {"If-Match": tag.encode()}  # type: ignore[dict-item]  # bytes go as they are
    path = f"{place.url}/fhir/CarePlan/{PLAN}"
    answer = requests.put(path, json=before | {"title": "Anna"}, headers=sent, timeout=10)
    assert answer.status_code in (400, 412)
    assert get(place, f"CarePlan/{PLAN}").json() == before


# --- what may be asked, and by whom -----------------------------------------------------------------------


def test_a_document_holds_only_what_the_scopes_allow(place: Site) -> None:
    told = parse(place.stage.message(K.CARE_NEEDS, receivers=("luster",), encounter="LS-1"))
    assert send(place, told).status_code == 200
    (episode,) = found(place, "EpisodeOfCare")
    whole = get(place, f"EpisodeOfCare/{episode['id']}/$document")
    assert whole.status_code == 200, whole.text
    assert "Fjellheim" in whole.text
    less = get(place, f"EpisodeOfCare/{episode['id']}/$document", STAYS_ONLY)
    assert "Fjellheim" not in less.text
    outcome(less, 404)
    outcome(get(place, f"Patient/{episode['patient']['reference'].partition('/')[2]}", STAYS_ONLY), 403)


def test_a_document_is_asked_for_with_parameters_as_well(place: Site) -> None:
    told = parse(place.stage.message(K.CARE_NEEDS, receivers=("luster",), encounter="LS-1"))
    assert send(place, told).status_code == 200
    (episode,) = found(place, "EpisodeOfCare")
    path = f"/fhir/EpisodeOfCare/{episode['id']}/$document"

    def asked(**said: str) -> requests.Response:
        parameters = [{"name": name, "valueCode": value} for name, value in said.items()]
        body = {"resourceType": "Parameters", "parameter": parameters}
        return place.post(path, json=body, headers=headers(LUSTER))

    swedish, english = asked(language="sv"), asked(language="en")
    assert swedish.status_code == english.status_code == 200, swedish.text
    assert part(swedish.json(), "Composition")["title"] != part(english.json(), "Composition")["title"]
    assert outcome(asked(profile="other"), 400)["expression"] == ["EpisodeOfCare.profile"]
    outcome(place.post(path, json={"resourceType": "Patient"}, headers=headers(LUSTER)), 400)
    assert place.post(path, headers=headers(LUSTER)).status_code == 200


def test_a_document_of_a_case_of_others_is_not_there(place: Site) -> None:
    plan(place)
    (episode,) = found(place, "EpisodeOfCare")
    for path in (f"EpisodeOfCare/{episode['id']}/$document", "EpisodeOfCare/case-99/$document"):
        outcome(get(place, path, SOGNDAL), 404)


def test_a_machine_of_one_service_is_not_told_what_another_was(place: Site) -> None:
    """Nursing is told of the discharge; case-work, which is told of the needs after it, is not."""
    party = place.stage.built.register.party("luster")
    assert party is not None
    nursing, case_work = (service.identifiers[0][1] for service in party.services[:2])

    def tell(kind: NoticeKind, service: str) -> None:
        told = place.stage.message(kind, receivers=("luster",), encounter="LS-1")
        answer = send(place, parse(told.replace(nursing.encode(), service.encode())))
        assert answer.status_code == 200, answer.text

    tell(K.ADMITTED, nursing)
    assert found(place, "EpisodeOfCare", ACUTE) == []
    tell(K.DISCHARGED, nursing)
    tell(K.CARE_NEEDS, case_work)
    (everything,), (its_own,) = found(place, "EpisodeOfCare"), found(place, "EpisodeOfCare", ACUTE)
    assert everything["status"] != its_own["status"]
    assert "end" in everything["period"]
    assert "end" not in its_own.get("period", {})
    assert len(found(place, f"EpisodeOfCare/{its_own['id']}/_history", ACUTE)) == 1


def test_a_subscription_sends_no_more_than_the_scopes_allow(place: Site) -> None:
    plan(place)
    built = place.stage.built
    shown = built.outbox.subscriptions.shown
    assert shown is not None
    for who, sent in ((LUSTER, True), (STAYS_ONLY, False)):
        partner = built.register.partner(who)
        told = built.store.write(lambda tx, partner=partner: shown(tx, partner, f"CarePlan/{PLAN}"))
        assert (told is not None) == sent, who


def test_who_acts_for_parties_of_two_kinds_reads_as_the_one_that_was_addressed(tmp_path: Path) -> None:
    """What a general practitioner is not told of a stay is told to the municipality that it was sent to."""
    clock = StandingClock(datetime(2014, 3, 3, 10, 0, tzinfo=OSLO))
    with site(tmp_path, clock, of=altered(region(), "sogndal", kind="gp")) as place:
        more = {"encounter": "LS-1", "psychiatric": True}
        told = place.stage.message(K.READY_FOR_DISCHARGE, receivers=("luster",), **more)
        assert send(place, parse(told)).status_code == 200
        shelves = place.stage.built.shelves
        assert shelves.catch_up(60)
        seen = []
        for parties in (("luster",), ("sogndal", "luster")):
            reader = Reader(shelves=shelves, eyes=Eyes(parties=parties), partner=None)
            with place.stage.built.store.read() as tx:
                seen.append(reader.search(tx, read_query("Encounter", [], zone=OSLO)).matches)
    assert seen[0] == seen[1] != ()


def test_an_identity_number_is_not_turned_into_its_pseudonym_for_who_has_no_such_patient(place: Site) -> None:
    plan(place)
    (patient,) = found(place, "Patient")
    system, number = SYNNOVE.identifiers[0]
    asked = f"Goal?patient.identifier={quote(f'{system}|{number}')}"
    assert patient["id"] in get(place, asked).json()["link"][0]["url"]
    stranger = get(place, asked, SOGNDAL)
    assert stranger.status_code == 200
    assert patient["id"] not in stranger.text
    assert number not in stranger.text


def test_who_has_looked_is_told_to_nobody_else(place: Site) -> None:
    plan(place)
    (patient,) = found(place, "Patient", HOSPITAL)
    own = found(place, f"AuditEvent?patient={patient['id']}", HOSPITAL)
    assert own
    assert found(place, f"AuditEvent?patient={patient['id']}", SOGNDAL) == []
    for entry in own:
        outcome(get(place, f"AuditEvent/{entry['id']}", SOGNDAL), 404)


def test_what_leads_to_others_is_not_included(place: Site) -> None:
    plan(place, receivers=("sogndal",), asked="sogndal", subject=TORBJORN)
    (foreign,) = found(place, "Goal", SOGNDAL)
    own = planned(place, sender="luster", receivers=("laerdal-sjukehus",), asked="laerdal-sjukehus")
    own = renumbered(own, {PLAN: PLAN[:-1] + "0", GOAL: GOAL[:-1] + "0", TASK: TASK[:-1] + "0"})
    part(own, "CarePlan")["goal"].append({"reference": f"Goal/{foreign['id']}"})
    send(place, own, LUSTER)
    told = get(place, "CarePlan?_include=*")
    assert told.status_code == 200
    assert TORBJORN.family not in told.text
    assert foreign["description"]["text"] not in [
        r["description"]["text"] for r in found(place, "CarePlan?_include=*") if r["id"] == foreign["id"]
    ]


# --- batches ----------------------------------------------------------------------------------------------


def batch(place: Site, *urls: Any, who: str = LUSTER, method: str = "GET", **more: str) -> requests.Response:
    entries = [{"request": {"method": method, "url": url}} for url in urls]
    body = {"resourceType": "Bundle", "type": "batch", "entry": entries}
    return place.post("/fhir", json=body, headers=headers(who, **more))


TRICKS = [
    "http://evil.example/fhir/Patient", "//evil.example/Patient", "https://evil.example", "../metadata",
    "Patient/../Task", "Patient%2F1", "Patient/%2e%2e", "Patient/a%00b", "Patient/a\u0000b", "", "/",
    "$process-message",
    "Patient/_search", "metadata", "token", "Subscription/$status", "Task/é", "AuditEvent/" + "9" * 64,
    "Patient?_cursor=W10", "Task?_count=-1", "Task?status=%00", "Bundle/1", "Nonsense/1", "Task//_history",
    "EpisodeOfCare/case-99999999999999999999", "Task/x/_history/99999999999", "Patient?" + "a=b&" * 500,
]  # fmt: skip


def test_every_trick_in_a_batch_is_answered_by_an_outcome_of_its_own(place: Site) -> None:
    plan(place)
    legible = [url for url in TRICKS if "\0" not in url]
    answer = batch(place, *legible, f"CarePlan/{PLAN}")
    assert answer.status_code == 200, answer.text
    *odd, good = answer.json()["entry"]
    for url, one in zip(legible, odd, strict=True):
        status = one["response"]["status"]
        told = one["response"].get("outcome") or one["resource"]
        if told["resourceType"] == "OperationOutcome":
            assert status[0] == "4", (url, one)
            assert told["issue"][0]["diagnostics"]
        else:  # it finds nothing
            assert (status, told.get("entry")) == ("200", None), (url, one)
    assert good["response"]["status"] == "200"


def test_a_batch_in_a_batch_and_a_change_in_a_batch_are_not_done(place: Site) -> None:
    plan(place)
    for method in ("POST", "PUT", "DELETE", "PATCH", "get", None):
        answer = batch(place, "", f"CarePlan/{PLAN}", method=method)  # type: ignore[arg-type]
        assert answer.status_code in (200, 400)
        for one in answer.json().get("entry", ()):
            assert one["response"]["status"] == "405"
            assert (
                one["response"]["outcome"]["issue"][0]["expression"]
                == [f"Bundle.entry[{answer.json()['entry'].index(one)}].request.method"]
                or len(answer.json()["entry"]) == 2
            )
    assert len(found(place, f"CarePlan/{PLAN}/_history")) == 1


def test_what_a_client_says_of_a_version_is_not_said_of_each_part_of_a_batch(place: Site) -> None:
    plan(place)
    answer = batch(place, f"CarePlan/{PLAN}", f"Goal/{GOAL}", **{"If-None-Match": 'W/"1"'})
    assert [one["response"]["status"] for one in answer.json()["entry"]] == ["200", "200"]


def test_a_batch_in_xml_is_answered_in_xml_with_every_outcome(place: Site) -> None:
    plan(place)
    entries = [{"request": {"method": "GET", "url": url}} for url in (f"Goal/{GOAL}", "Goal/none", "Nothing")]
    body = to_xml({"resourceType": "Bundle", "type": "batch", "entry": entries})
    media = {"Content-Type": "application/fhir+xml", "Accept": "application/fhir+xml"}
    answer = place.post("/fhir", data=body, headers=headers(LUSTER, **media))
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/fhir+xml")
    made = parse(answer.content, "application/fhir+xml")
    assert [one["response"]["status"] for one in made["entry"]] == ["200", "404", "404"]
    assert [one["response"].get("outcome", {}).get("resourceType") for one in made["entry"]] == [
        None, "OperationOutcome", "OperationOutcome",
    ]  # fmt: skip


# --- odd requests -----------------------------------------------------------------------------------------

DEEP = b'{"resourceType":"Task","id":"a","extension":' + b"[" * 50_000 + b"]" * 50_000 + b"}"
LAUGHS = (
    b'<?xml version="1.0"?><!DOCTYPE Task [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;">]>'
    b'<Task xmlns="http://hl7.org/fhir"><id value="&b;"/></Task>'
)
FILES = (
    b'<!DOCTYPE Task [<!ENTITY a SYSTEM "file:///etc/hostname">]>'
    b'<Task xmlns="http://hl7.org/fhir"><id value="a"/><description value="&a;"/></Task>'
)
BODIES = {
    "deep": (DEEP, "application/fhir+json"),
    "wide": (
        b'{"resourceType":"Task","id":"a","note":[' + b"{}," * 200_000 + b"{}]}",
        "application/fhir+json",
    ),
    "huge": (b" " * (1024 * 1024 + 1), "application/fhir+json"),
    "number": (b'{"resourceType":"Task","id":"a","priority":1e999999999}', "application/fhir+json"),
    "digits": (b'{"resourceType":"Task","id":' + b"9" * 100_000 + b"}", "application/fhir+json"),
    "twice": (b'{"resourceType":"Task","resourceType":"CarePlan","id":"a"}', "application/fhir+json"),
    "nothing": (b"", "application/fhir+json"),
    "list": (b"[]", "application/fhir+json"),
    "null": (b'{"resourceType":"Task","id":"a","status":"\\u0000"}', "application/fhir+json"),
    "surrogate": (b'{"resourceType":"Task","id":"a","description":"\\ud800"}', "application/fhir+json"),
    "not utf-8": (b'{"resourceType":"Task","id":"\xff"}', "application/fhir+json"),
    "laughs": (LAUGHS, "application/fhir+xml"),
    "files": (FILES, "application/fhir+xml"),
    "deep xml": (b"<a>" * 50_000, "application/fhir+xml"),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_is_made_to_hurt_is_refused(name: str, place: Site) -> None:
    body, media = BODIES[name]
    known = headers(LUSTER, **{"Content-Type": media, "If-Match": 'W/"1"'})
    for method, path in (("PUT", "Task/a"), ("POST", "")):
        answer = requests.request(method, f"{place.url}/fhir/{path}", data=body, headers=known, timeout=20)
        outcome(answer, 400, 413, 422)


ODD = [
    "Task/%00", "Task/%ff", "Task/a%2Fb", "Task/..%2F..", "Task/%F0%9F%92%A5", "Task/" + "a" * 65, "Task/-",
    "EpisodeOfCare/%00/$document", "EpisodeOfCare/case-%00/$document",
    "EpisodeOfCare/" + "9" * 99 + "/$document",
    "Subscription/%00", "Subscription/%ff/$status", "Subscription/" + "a" * 999 + "/$events",
    "AuditEvent/" + "9" * 64,
    "AuditEvent/%D9%A1", "Task/a/_history/%D9%A1", "Task/a/_history/99999999999999999999",
    "Task?_id=%00", "Task?status=%00", "Task?patient=%00", "Task?owner=Organization/%00",
    "Task?_lastUpdated=ge9999",
    "Task?_lastUpdated=0000", "Patient?identifier=%00|%00", "Patient?identifier=%ED%A0%80",
    "Organization?_id=%00",
    "Task?patient.identifier=%00", "AuditEvent?patient=%00", "AuditEvent?_id=%00", "Task?_cursor=%00",
    "Task?_cursor=WzQ2MTE2ODYwMTg0MjczODc5MDMsMV0", "AuditEvent?_cursor=WzAsLTFd",
    "Task?_sort=_id&_cursor=WyJhIl0",
    "Subscription?_count=%00", "Subscription?_offset=999999999999999&_count=1", "Subscription?url=%00",
    "CodeSystem/a", "Task/a/_history/", "Task/", "$nothing", "Task/$everything", "Task/a/$document", "%00",
    "%2e%2e/cases",
]  # fmt: skip


def test_odd_addresses_find_nothing_and_break_nothing(place: Site) -> None:
    plan(place)
    for path in ODD:
        answer = get(place, path)
        assert answer.status_code in (200, 400, 404, 422), (path, answer.status_code, answer.text)
        made = answer.json()
        if answer.status_code == 200:
            kinds = {r["resource"]["resourceType"] for r in made.get("entry", ())}
            assert made["type"] == "searchset" and kinds <= {"Task", "AuditEvent"}, path
        else:
            assert made["resourceType"] == "OperationOutcome", path


def test_a_cursor_of_somebody_else_shows_nothing_of_theirs(place: Site) -> None:
    plan(place, receivers=("sogndal",), asked="sogndal", subject=TORBJORN)
    plan(place)
    pages = get(place, "Task?_count=1", HOSPITAL).json()
    follow = next(one["url"] for one in pages["link"] if one["relation"] == "next")
    for who, other in ((LUSTER, TORBJORN), (SOGNDAL, SYNNOVE)):
        answer = requests.get(follow, headers=headers(who), timeout=10)
        assert answer.status_code == 200
        for one in answer.json().get("entry", ()):
            assert one["resource"]["id"] in {t["id"] for t in found(place, "Task", who)}
        assert other.family not in answer.text


def test_subscriptions_of_others_are_not_there(place: Site) -> None:
    for method, path in (
        ("GET", "Subscription/a"), ("GET", "Subscription/a/$status"), ("GET", "Subscription/a/$events"),
        ("DELETE", "Subscription/a"),
    ):  # fmt: skip
        answer = requests.request(method, f"{place.url}/fhir/{path}", headers=headers(LUSTER), timeout=10)
        outcome(answer, 404)
    refused = requests.patch(
        f"{place.url}/fhir/Subscription/a", data=b"", headers=headers(LUSTER), timeout=10
    )
    outcome(refused, 405)
    assert refused.headers["Allow"] == "DELETE, GET, PUT"


# --- protected identity, and consent ----------------------------------------------------------------------

PROTECTED = [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}]
STREET = "Gjerdesvegen 14"


def at_home(message: Bundle, *, protected: bool) -> Bundle:
    """The patient's address, and next of kin with a telephone."""
    patient = part(message, "Patient")
    patient["address"] = [{"line": [STREET], "city": "Gaupne"}]
    if protected:
        patient["meta"] = {"security": PROTECTED}
    kin = {
        "resourceType": "RelatedPerson", "id": "5f0c1f8e-1111-4222-8333-444455556667",
        "patient": {"reference": next(i["fullUrl"] for i in message["entry"] if i["resource"] is patient)},
        "telecom": [{"system": "phone", "value": "57600000"}],
    }  # fmt: skip
    message["entry"].append({"fullUrl": f"urn:uuid:{kin['id']}", "resource": kin})
    return message


def everything(place: Site, who: str) -> str:
    """All that a caller finds, in every way there is."""
    texts = []
    for kind in ("Patient", "Encounter", "RelatedPerson", "CarePlan", "Task", "Goal", "EpisodeOfCare"):
        searched = get(place, f"{kind}?_include=*" if kind != "RelatedPerson" else kind, who)
        texts.append(searched.text)
        for one in searched.json().get("entry", ()):
            name = f"{one['resource']['resourceType']}/{one['resource']['id']}"
            texts += [get(place, f"{name}{more}", who).text for more in ("", "/_history", "/_history/1")]
            if name.startswith("EpisodeOfCare/"):
                texts.append(get(place, f"{name}/$document", who).text)
    return "\n".join(texts)


def test_where_a_protected_person_lives_is_found_in_no_way(place: Site) -> None:
    assert send(place, at_home(planned(place), protected=True)).status_code == 200
    task = get(place, f"Task/{TASK}").json()
    assert put(place, task | {"status": "accepted"}).status_code == 200  # Luster's message has the whole plan
    for who in (LUSTER, STAYS_ONLY):
        told = everything(place, who)
        assert STREET not in told
        assert "57600000" not in told
    assert STREET in everything(place, HOSPITAL)


def test_who_becomes_protected_is_protected_in_what_was_told_before_too(place: Site) -> None:
    assert send(place, at_home(planned(place), protected=False)).status_code == 200
    assert STREET in everything(place, LUSTER)
    later = at_home(planned(place), protected=True)
    assert send(place, later).status_code == 200
    told = everything(place, LUSTER)
    assert STREET not in told
    assert "57600000" not in told


def test_a_consent_that_is_withdrawn_between_two_requests_stops_the_second(place: Site) -> None:
    def consent(kind: NoticeKind) -> None:
        told = place.stage.message(kind, receivers=("luster",), encounter="LS-1")
        assert place.stage.receive(told, channel="http").outcome == "accepted"
        place.stage.clock.forward(minutes=1)  # type: ignore[attr-defined]  # it stands still by itself

    consent(K.CONSENT_GIVEN)
    plan(place, kind="sip")
    first = get(place, f"CarePlan/{PLAN}").json()
    consent(K.CONSENT_WITHDRAWN)
    refused = put(place, first | {"title": "Etter samtykket"})
    outcome(refused, 422)
    assert get(place, f"CarePlan/{PLAN}", HOSPITAL).json()["title"] == first["title"]


def test_nothing_of_a_patient_stands_in_a_refusal(place: Site) -> None:
    plan(place)
    mine = get(place, f"CarePlan/{PLAN}").json()
    number = SYNNOVE.identifiers[0][1]
    answers = [
        put(place, mine | {"title": number, "colour": number}),
        put(place, mine | {"status": number}),
        put(place, mine | {"supportingInfo": [{"reference": f"Patient/{number}"}]}),
        get(place, f"Task?status={number}&unknown={number}"),
        get(place, f"Patient/{number}"),
        batch(place, f"Patient/{number}", f"{number}/1"),
    ]
    for answer in answers:
        assert number not in json.dumps(answer.json()), answer.text
