"""The shelves: filled after the taking, each message once, whoever does it and whenever; both stores."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, select, update

from adapter.discharge.notices import NoticeKind, Standing
from adapter.errors import NotFound
from adapter.fhir.searching import read_query
from adapter.fhir.wire import parse, to_json
from adapter.incoming import Incoming
from adapter.readers import Reader
from adapter.scheduler.shelving import Shelving
from adapter.store import resources, tables
from adapter.store.resources import Eyes
from tests.conftest import OSLO, StandingClock
from tests.plans import GOAL, PLAN, plan_bytes
from tests.stage import SYNNOVE, TORBJORN, Stage, stage

K = NoticeKind


@pytest.fixture
def play(store_url: str, clock: StandingClock) -> Iterator[Stage]:
    made = stage(store_url, clock)
    yield made
    made.close()


def tell(play: Stage, kind: NoticeKind, **more: Any) -> None:
    done = play.receive(play.message(kind, **more), channel="http")
    assert done.outcome == "accepted", done.reason
    play.clock.forward(minutes=1)  # type: ignore[attr-defined]  # it stands still by itself


def plan(play: Stage, **more: Any) -> None:
    done = play.receive(plan_bytes(play.built.register, at=play.clock(), **more), channel="http")
    assert done.outcome == "accepted", done.reason
    play.clock.forward(minutes=1)  # type: ignore[attr-defined]  # it stands still by itself


def find(play: Stage, kind: str, *parties: str, **terms: str) -> list[dict[str, Any]]:
    assert play.built.shelves.catch_up(60)
    eyes = Eyes(parties=parties or None)
    reader = Reader(shelves=play.built.shelves, eyes=eyes, partner=None)
    query = read_query(kind, [(k.replace("__", "-"), v) for k, v in terms.items()], zone=OSLO)
    with play.built.store.read() as tx:
        return list(reader.search(tx, query).matches)


def test_the_job_shelves_what_has_been_taken_and_then_rests(play: Stage) -> None:
    tell(play, K.ADMITTED, encounter="LS-1")
    tell(play, K.READY_FOR_DISCHARGE, encounter="LS-1")
    job = Shelving(shelves=play.built.shelves)
    assert job() == 2
    assert job() == 0
    assert len(find(play, "Encounter", "sogndal")) == 1


def test_shelving_again_changes_nothing(play: Stage) -> None:
    tell(play, K.ADMITTED, encounter="LS-1")
    plan(play, receivers=("sogndal",), asked="sogndal")
    find(play, "Task")
    before = [dict(r) for r in play.rows(tables.resource)]
    play.built.store.write(lambda tx: tx.execute(update(tables.message).values(shelved=0)))
    assert [t["status"] for t in find(play, "Task", "sogndal")] == ["requested"]
    after = [dict(r) for r in play.rows(tables.resource)]
    assert [r["fhir_id"] for r in before] == [r["fhir_id"] for r in after]


def test_what_was_held_is_shelved_when_it_is_released(play: Stage, clock: StandingClock) -> None:
    """A message from ahead of our clock is held; a person releases it when both clocks agree."""
    ahead = play.message(K.READY_FOR_DISCHARGE, at=clock.at + timedelta(hours=1), encounter="LS-1")
    held = play.receive(ahead, channel="http")
    assert held.outcome == "quarantined"
    tell(play, K.ADMITTED, encounter="LS-1")
    assert find(play, "Task") == []
    clock.forward(hours=2)
    row = held.message_row
    assert row is not None
    released = play.built.store.write(lambda tx: play.built.inbox.release(tx, row, clock(), by="Kari"))
    assert released.outcome == "accepted", released.reason
    assert [t["status"] for t in find(play, "Task", "sogndal")] == ["requested"]


def test_a_withdrawn_readiness_cancels_the_question_and_a_new_one_asks_anew(play: Stage) -> None:
    tell(play, K.ADMITTED, encounter="LS-1")
    tell(play, K.READY_FOR_DISCHARGE, encounter="LS-1")
    tell(play, K.READINESS_WITHDRAWN, encounter="LS-1")
    (task,) = find(play, "Task", "sogndal")
    assert task["status"] == "cancelled"
    assert task["authoredOn"] < task["lastModified"]
    tell(play, K.READY_FOR_DISCHARGE, encounter="LS-1")
    assert sorted(t["status"] for t in find(play, "Task", "sogndal")) == ["cancelled", "requested"]


def test_a_corrected_readiness_is_the_same_question(play: Stage) -> None:
    first = "6f0c1f8e-1111-4222-8333-444455556666"
    tell(play, K.READY_FOR_DISCHARGE, encounter="LS-1", message_id=first)
    tell(play, K.READY_FOR_DISCHARGE, encounter="LS-1", standing=Standing.CORRECTION, refers_to=first)
    assert [t["status"] for t in find(play, "Task", "sogndal")] == ["requested"]


def test_a_plan_is_seen_by_those_who_take_part_and_by_nobody_else(play: Stage) -> None:
    plan(play, receivers=("sogndal", "luster"), asked="luster")
    for party in ("laerdal-sjukehus", "sogndal", "luster"):
        assert [p["id"] for p in find(play, "CarePlan", party)] == [PLAN]
    for party in ("aardal", "vik"):
        assert find(play, "CarePlan", party) == []
        assert find(play, "Patient", party) == []


def test_who_is_asked_in_a_plan_sees_the_question_and_not_the_plan(play: Stage) -> None:
    plan(play, receivers=("sogndal",), asked="luster")
    assert [t["status"] for t in find(play, "Task", "luster")] == ["requested"]
    assert len(find(play, "Patient", "luster")) == 1
    assert len(find(play, "ServiceRequest", "luster")) == 1
    assert find(play, "CarePlan", "luster") == []
    assert find(play, "Goal", "luster") == []


def test_only_what_has_changed_gets_a_new_version_but_the_plan_always_does(play: Stage) -> None:
    plan(play, receivers=("sogndal",))
    plan(play, receivers=("sogndal",), goal="Gå til butikken")
    (goal,), (care_plan,) = find(play, "Goal", "sogndal"), find(play, "CarePlan", "sogndal")
    (team,) = find(play, "CareTeam", "sogndal")
    versions = [r["meta"]["versionId"] for r in (goal, care_plan, team)]
    assert versions == ["2", "2", "1"]
    assert goal["id"] == GOAL


def test_an_id_of_somebody_elses_is_never_taken_over(play: Stage) -> None:
    """Another sender, about another patient, under the very ids of the first one's plan."""
    plan(play, receivers=("sogndal",))
    plan(play, sender="luster", receivers=("laerdal-sjukehus",), subject=TORBJORN, goal="Noko anna")
    (own,) = find(play, "Goal", "sogndal")
    assert own["description"]["text"] == "Gå til postkassen utan rullator"
    goals = find(play, "Goal", "laerdal-sjukehus")
    assert len({g["id"] for g in goals}) == len(goals) == 2
    assert len({g["subject"]["reference"] for g in goals}) == 2


def test_who_takes_part_no_more_reads_the_past_and_nothing_later(play: Stage) -> None:
    """Sogndal is left out of the second version: neither by number nor in the history is that one read."""
    plan(play, receivers=("luster", "sogndal"))
    plan(play, receivers=("luster",), goal="Gå til butikken")
    (last,) = find(play, "CarePlan", "sogndal")
    assert last["meta"]["versionId"] == "1"
    shelves = play.built.shelves
    for party, numbers in (("luster", ["2", "1"]), ("sogndal", ["1"])):
        reader = Reader(shelves=shelves, eyes=Eyes(parties=(party,)), partner=None)
        with play.built.store.read() as tx:
            told = reader.history(tx, "CarePlan", PLAN, 9)
            assert [one["meta"]["versionId"] for one, _ in told] == numbers
            assert (reader.vread(tx, "CarePlan", PLAN, 2) is None) == (party == "sogndal")
            assert (reader.vread(tx, "Goal", GOAL, 2) is None) == (party == "sogndal")
    with play.built.store.read() as tx:
        row = resources.named(tx, "CarePlan", PLAN)
        assert row is not None
        assert sorted(shelves.taking_part(tx, row)) == ["laerdal-sjukehus", "luster"]


def test_a_later_member_reads_the_plans_past_but_not_other_messages(play: Stage) -> None:
    tell(play, K.ADMITTED, encounter="LS-1", receivers=("sogndal",))
    plan(play, receivers=("sogndal",))
    plan(play, receivers=("sogndal", "luster"), goal="Gå til butikken")
    assert len(find(play, "CarePlan", "luster")) == 1
    reader = Reader(shelves=play.built.shelves, eyes=Eyes(parties=("luster",)), partner=None)
    with play.built.store.read() as tx:
        past = reader.history(tx, "CarePlan", PLAN, 10)
        assert [row["number"] for _, row in past] == [2, 1]
        (episode,) = reader.search(tx, read_query("EpisodeOfCare", [], zone=OSLO)).matches
        assert len(reader.history(tx, "EpisodeOfCare", episode["id"], 10)) == 1


def test_a_machine_for_one_service_sees_what_that_service_was_sent(play: Stage) -> None:
    register = play.built.register
    party = register.party("luster")
    assert party is not None and len(party.services) > 1
    tell(play, K.ADMITTED, receivers=("luster",), encounter="LS-1")
    first, other = party.services[0].role, party.services[1].role
    assert play.built.shelves.catch_up(60)
    for role, seen in ((first, 1), (other, 0)):
        reader = Reader(
            shelves=play.built.shelves, eyes=Eyes(parties=("luster",), roles=(role,)), partner=None
        )
        with play.built.store.read() as tx:
            found = reader.search(tx, read_query("Encounter", [], zone=OSLO)).matches
        assert len(found) == seen, role


def test_no_number_of_a_person_stands_in_what_is_searched(play: Stage) -> None:
    tell(play, K.ADMITTED, encounter="LS-1")
    number = SYNNOVE.identifiers[0][1]
    find(play, "Patient")
    with play.built.store.read() as tx:
        values = [row[0] for row in tx.execute(select(tables.resource_token.c.value))]
    assert values
    assert not any(number in value for value in values)


def test_what_a_notice_may_not_carry_is_not_read_at_fhir_either(play: Stage) -> None:
    """A diagnosis in a notice of readiness stays the hospital's (process.md 28)."""
    bundle = parse(play.message(K.READY_FOR_DISCHARGE, encounter="LS-1"))
    patient, stay = bundle["entry"][1], bundle["entry"][2]["resource"]
    diagnosis = {
        "resourceType": "Condition", "id": "0f0c1f8e-1111-4222-8333-444455556666",
        "subject": {"reference": patient["fullUrl"]}, "code": {"text": "Hoftebrot"},
    }  # fmt: skip
    bundle["entry"].append({"fullUrl": f"urn:uuid:{diagnosis['id']}", "resource": diagnosis})
    stay["reasonCode"] = [{"text": "Hoftebrot"}]
    assert play.receive(to_json(bundle), channel="http").outcome == "accepted"
    assert len(find(play, "Condition", "laerdal-sjukehus")) == 1
    assert "reasonCode" in find(play, "Encounter", "laerdal-sjukehus")[0]
    assert find(play, "Condition", "sogndal") == []
    assert "reasonCode" not in find(play, "Encounter", "sogndal")[0]


def test_where_a_protected_person_lives_is_read_by_nobody_else(play: Stage) -> None:
    bundle = parse(play.message(K.ADMITTED, encounter="LS-1"))
    patient = bundle["entry"][1]["resource"]
    patient["address"] = [{"line": ["Gamlevegen 1"], "city": "Lærdal"}]
    system = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
    patient["meta"] = {"security": [{"system": system, "code": "V"}]}
    assert play.receive(to_json(bundle), channel="http").outcome == "accepted"
    assert "address" in find(play, "Patient", "laerdal-sjukehus")[0]
    (seen,) = find(play, "Patient", "sogndal")
    assert "address" not in seen
    assert "Gamlevegen" not in str(seen)


def test_nothing_is_remembered_of_what_was_not_stored(play: Stage) -> None:
    """A message's number is given again after a failed unit of work; its content must not be shown for it."""
    tell(play, K.ADMITTED, encounter="LS-1")
    assert play.built.shelves.catch_up()

    def failing(tx: Connection) -> None:
        content = plan_bytes(play.built.register, at=play.clock(), receivers=("sogndal",))
        incoming = Incoming(content=content, channel="http")
        assert play.built.inbox.take(tx, play.built.inbox.read(incoming), play.clock()).outcome == "accepted"
        while play.built.shelves.shelve(tx):
            pass
        raise NotFound("taken back")

    with pytest.raises(NotFound):
        play.built.store.write(failing)
    tell(play, K.ADMITTED, encounter="LS-2", subject=TORBJORN, receivers=("luster",))
    assert find(play, "CarePlan") == []
    (patient,) = find(play, "Patient", "luster")
    assert patient["name"][0]["given"] == ["Torbjørn"]


def test_a_case_is_told_to_each_as_it_was_told(play: Stage) -> None:
    """The one that heard of the discharge knows that it is over; the other does not."""
    tell(play, K.ADMITTED, encounter="LS-1", receivers=("sogndal", "luster"))
    tell(play, K.DISCHARGED, encounter="LS-1", receivers=("sogndal",))
    tell(play, K.ENQUIRY, encounter="LS-1", receivers=("luster",))
    assert [e["status"] for e in find(play, "EpisodeOfCare", "sogndal")] == ["finished"]
    assert [e["status"] for e in find(play, "EpisodeOfCare", "luster")] == ["active"]


def test_an_earlier_version_is_for_those_who_were_told_it(play: Stage) -> None:
    tell(play, K.ADMITTED, encounter="LS-1", receivers=("sogndal",))
    tell(
        play,
        K.PLANNED_DISCHARGE,
        encounter="LS-1",
        receivers=("luster",),
        planned_discharge=play.clock().date(),
    )
    (stay,) = find(play, "Encounter", "luster")
    reader = Reader(shelves=play.built.shelves, eyes=Eyes(parties=("luster",)), partner=None)
    with play.built.store.read() as tx:
        assert reader.vread(tx, "Encounter", stay["id"], 2) is not None
        assert reader.vread(tx, "Encounter", stay["id"], 1) is None
        assert [row["number"] for _, row in reader.history(tx, "Encounter", stay["id"], 9)] == [2]


def test_a_stay_is_as_the_hospital_tells_it(play: Stage) -> None:
    """What a municipality writes of the stay in its own message does not take the place of it."""
    tell(play, K.READY_FOR_DISCHARGE, encounter="LS-1", ready=play.clock(), admitted=play.clock())
    tell(play, K.REPORT_OF_ADMISSION, sender="sogndal", receivers=("laerdal-sjukehus",), encounter="LS-1")
    for party in ("sogndal", "laerdal-sjukehus"):
        (stay,) = find(play, "Encounter", party)
        assert "period" in stay
        assert stay["meta"]["versionId"] == "1"
