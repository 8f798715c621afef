"""Plans on a municipality's own FHIR server: put there once, kept up to date, never over somebody's change.

FHIR R4 http.html (conditional create, If-Match, transactions). The server is a real one on loopback, with
versions and ETags; faults are ordered one by one.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection

from adapter.discharge.notices import NoticeKind, Standing
from adapter.errors import NotFound
from adapter.fhir.pushing import RESOURCE_SYSTEM
from adapter.pushes import conflicts, keep_ours, keep_theirs
from adapter.scheduler.polling import Memory
from adapter.simulator.fhir_server import Asked, FhirServer, Ordered
from adapter.simulator.threads import serving
from adapter.store import resources, tables
from tests.conftest import StandingClock
from tests.municipal_server import OURS, SERVER, Place, place
from tests.plans import GOAL, PLAN, TASK, TEAM
from tests.stage import SYNNOVE

pytestmark = pytest.mark.postgres_in_soak

K = NoticeKind


@pytest.fixture(params=["together", "one-by-one"])
def luster(request: pytest.FixtureRequest, store_url: str, clock: StandingClock) -> Iterator[Place]:
    """A server that offers transactions, and one that does not."""
    with place(store_url, clock, transactions=request.param == "together") as found:
        yield found


@pytest.fixture
def alone(store_url: str, clock: StandingClock) -> Iterator[Place]:
    """A server without transactions, where each request can go wrong by itself."""
    with place(store_url, clock, transactions=False) as found:
        yield found


def name_of(resource: dict[str, Any]) -> str:
    """Our name for it, as it stands on the server."""
    (found,) = [one["value"] for one in resource["identifier"] if one["system"] == RESOURCE_SYSTEM]
    return str(found)


# --- putting ----------------------------------------------------------------------------------------------


def test_the_whole_plan_stands_there_with_every_reference_led_to_their_ids(luster: Place) -> None:
    luster.put()
    plan, team, goal = (luster.server.one(kind) for kind in ("CarePlan", "CareTeam", "Goal"))
    task, measure, patient = (luster.server.one(k) for k in ("Task", "ServiceRequest", "Patient"))
    assert [name_of(one) for one in (plan, team, goal, task)] == [
        OURS, f"CareTeam/{TEAM}", f"Goal/{GOAL}", f"Task/{TASK}",
    ]  # fmt: skip
    assert plan["careTeam"] == [{"reference": f"CareTeam/{team['id']}"}]
    assert plan["goal"] == [{"reference": f"Goal/{goal['id']}"}]
    assert [one["reference"]["reference"] for one in plan["activity"]] == [
        f"ServiceRequest/{measure['id']}",
        f"Task/{task['id']}",
    ]
    assert task["basedOn"] == [{"reference": f"CarePlan/{plan['id']}"}]
    assert {one["subject"]["reference"] for one in (plan, team, goal)} == {f"Patient/{patient['id']}"}
    owner = luster.server.holds[task["owner"]["reference"]][-1]
    assert owner["name"] == "Luster kommune"


def test_their_server_taking_it_is_the_receipt(luster: Place) -> None:
    luster.put()
    delivery = luster.delivery()
    assert (delivery["state"], delivery["endpoint"]) == ("acknowledged", SERVER)
    assert delivery["receipt_due_at"] is None
    assert luster.alarms() == []
    receipts = luster.stage.rows(tables.delivery, kind="receipt", party="laerdal-sjukehus")
    assert len(receipts) == 1


def test_between_two_with_systems_of_their_own_the_sender_gets_the_receipt(
    store_url: str, clock: StandingClock
) -> None:
    sides = {"luster": "theirs", "laerdal-sjukehus": "theirs"}
    with place(store_url, clock, **sides) as luster:  # type: ignore[arg-type]  # sides of parties
        luster.put()
        assert luster.delivery()["state"] == "acknowledged"
        assert luster.server.one("Goal")
        receipts = luster.stage.rows(tables.delivery, kind="receipt", party="laerdal-sjukehus")
        assert len(receipts) == 1


def test_the_server_s_own_patient_is_found_and_left_as_it_is(luster: Place) -> None:
    system, value = SYNNOVE.identifiers[0]
    theirs = luster.server.put(
        {"resourceType": "Patient", "identifier": [{"system": system, "value": value}], "active": True}
    )
    luster.put()
    assert luster.server.one("Patient") == theirs
    assert luster.server.one("CarePlan")["subject"]["reference"] == f"Patient/{theirs['id']}"


def test_no_number_of_a_person_is_in_a_url(luster: Place) -> None:
    luster.put()
    luster.told(goal="Gå til butikken")
    luster.deliver()
    number = SYNNOVE.identifiers[0][1]
    assert any(number.encode() in one.body for one in luster.server.asked)
    assert [one.path for one in luster.server.asked if number in one.path] == []
    assert [one for one in luster.server.asked if number in str(one.headers)] == []


def test_another_version_updates_what_has_changed_and_nothing_else(luster: Place) -> None:
    luster.put()
    before = {name: len(versions) for name, versions in luster.server.holds.items()}
    luster.put(goal="Gå til butikken")
    assert luster.server.one("Goal")["description"]["text"] == "Gå til butikken"
    grown = [name for name, versions in luster.server.holds.items() if len(versions) != before.get(name)]
    assert {name.partition("/")[0] for name in grown} <= {"Goal", "CarePlan", "Encounter"}
    assert "Goal" in {name.partition("/")[0] for name in grown}
    assert all(len(luster.server.newest(kind)) == 1 for kind in ("Goal", "CarePlan", "Task", "Patient"))


def test_an_update_says_which_version_it_is_made_to(alone: Place) -> None:
    alone.put()
    goal = alone.server.one("Goal")
    alone.put(goal="Gå til butikken")
    (put,) = alone.server.requests("PUT", f"Goal/{goal['id']}")
    assert put.headers["if-match"] == f'W/"{goal["meta"]["versionId"]}"'


def test_a_new_resource_is_created_under_our_name_only_where_it_is_not_there(alone: Place) -> None:
    alone.put()
    (created,) = alone.server.requests("POST", "Goal")
    assert created.headers["if-none-exist"].startswith("identifier=https%3A%2F%2Fdischarge-adapter.example")
    order = [one.path for one in alone.server.requests("POST") if "_search" not in one.path]
    assert (order[0], order[-1]) == ("Patient", "CarePlan")


def test_requests_go_to_the_configured_base_only(luster: Place) -> None:
    elsewhere = FhirServer("elsewhere")
    with serving(elsewhere):
        luster.server.lies = elsewhere.base
        luster.put()
        luster.put(goal="Gå til butikken")
    assert elsewhere.asked == []
    assert luster.server.one("Goal")["description"]["text"] == "Gå til butikken"


def test_an_old_version_does_not_come_after_a_new_one(luster: Place) -> None:
    luster.told()
    luster.server.order(Ordered.BUSY)
    luster.server.faults *= 3
    assert luster.deliver() == ["retry"]
    luster.told(goal="Gå til butikken")
    first, second = luster.stage.rows(tables.delivery, kind="care-plan", endpoint=SERVER)
    luster.stage.write(lambda tx: luster.stage.outbox.give_up(tx, first["id"], luster.clock(), by=None))
    assert luster.deliver() == ["sent"]
    luster.stage.write(lambda tx: luster.stage.outbox.resend(tx, first["id"], luster.clock(), by=None))
    assert luster.deliver() == ["sent"]
    assert luster.server.one("Goal")["description"]["text"] == "Gå til butikken"
    assert second["id"] > first["id"]


# --- faults -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Ordered.ERROR, Ordered.BUSY, Ordered.RESET])
def test_a_passing_fault_is_over_within_the_attempt(luster: Place, kind: Ordered) -> None:
    luster.server.order(kind, "POST")
    luster.server.order(kind, "GET", "metadata")
    luster.put()
    assert luster.server.faults == []
    assert len(luster.stage.rows(tables.attempt, outcome="sent")) == 1
    assert len(luster.server.newest("CarePlan")) == 1


def test_a_lasting_fault_is_tried_again_later(luster: Place, clock: StandingClock) -> None:
    for _ in range(3):
        luster.server.order(Ordered.ERROR, "GET", "metadata")
    luster.told()
    assert luster.deliver() == ["retry"]
    assert luster.delivery()["error"] == "GET metadata: HTTP 500"
    assert luster.deliver() == []
    clock.forward(seconds=3)
    assert luster.deliver() == ["sent"]
    assert luster.alarms() == []


def test_what_was_created_while_the_answer_was_lost_is_created_once(luster: Place) -> None:
    luster.server.order(Ordered.LOST, "POST", "Patient")
    luster.server.order(Ordered.LOST, "POST", "Goal" if not luster.server.transactions else "")
    luster.put()
    assert luster.server.faults == []
    for kind in ("Patient", "Goal", "CarePlan", "Task", "CareTeam"):
        assert len(luster.server.newest(kind)) == 1, kind


def lost_for_good(server: FhirServer) -> None:
    """Nothing that is put is answered in this attempt, though it is done."""
    path = "" if server.transactions else "Goal"
    for method in ("POST", "PUT"):
        for _ in range(3):
            server.order(Ordered.LOST, method, path)


def test_an_answer_that_is_lost_for_the_whole_attempt_does_no_harm_either(
    luster: Place, clock: StandingClock
) -> None:
    luster.put()
    lost_for_good(luster.server)
    luster.told(goal="Gå til butikken")
    assert luster.deliver() in (["retry"], ["sent"])
    luster.server.faults.clear()
    clock.forward(seconds=3)
    luster.deliver()
    assert luster.delivery()["state"] == "acknowledged"
    luster.put(goal="Gå til fergekaia")
    assert luster.server.one("Goal")["description"]["text"] == "Gå til fergekaia"
    assert luster.alarms() == []


def test_a_version_whose_answer_was_lost_is_no_change_of_theirs_to_the_next(
    alone: Place, clock: StandingClock
) -> None:
    alone.put()
    goal = alone.server.one("Goal")["id"]
    alone.server.order(Ordered.LOST, "PUT", f"Goal/{goal}")
    for _ in range(2):
        alone.server.order(Ordered.RESET, "PUT", f"Goal/{goal}")
    for _ in range(3):
        alone.server.order(Ordered.RESET, "GET", f"Goal/{goal}")
    alone.told(goal="Gå til butikken")
    alone.server.faults[0:0] = []
    looks = [fault for fault in alone.server.faults if fault.method == "GET"]
    for fault in looks:
        alone.server.faults.remove(fault)
    assert alone.deliver() == ["retry"]
    alone.stage.write(
        lambda tx: alone.stage.outbox.give_up(tx, alone.delivery()["id"], clock(), by="Solveig")
    )
    alone.put(goal="Gå til fergekaia")
    assert alone.server.one("Goal")["description"]["text"] == "Gå til fergekaia"
    assert alone.alarms() == []


def test_what_is_put_is_written_down_first_for_a_process_that_dies_meanwhile(luster: Place) -> None:
    seen: list[Any] = []

    def look(asked: Asked) -> None:
        if asked.method == "POST" and (asked.path == "Goal" or (not asked.path and asked.body)):
            seen.extend(luster.stage.rows(tables.pushed, type="Goal"))

    luster.server.on_asked = look
    luster.put()
    assert [(row["their_id"], row["hash"]) for row in seen] == [(None, None)]
    assert seen[0]["trying"] == luster.stage.rows(tables.pushed, type="Goal")[0]["hash"]


def test_a_slow_server_holds_an_attempt_no_longer_than_it_may(store_url: str, clock: StandingClock) -> None:
    with place(store_url, clock, transactions=False, timeout=0.3) as luster:
        for path in ("Goal", "CareTeam", "ServiceRequest", "Encounter"):
            luster.server.order(Ordered.SLOW, "POST", path)
        luster.told()
        assert luster.deliver() == ["retry"]
        (attempt,) = luster.stage.rows(tables.attempt, outcome="retry")
        assert attempt["ms"] < 1000 * 0.3 * 3 + 200
        luster.server.faults.clear()
        clock.forward(seconds=3)
        assert luster.deliver() == ["sent"]
        assert len(luster.server.newest("Goal")) == 1


def test_a_server_that_lets_us_not_in_is_told_of_at_once(luster: Place) -> None:
    luster.server.refuses = 401
    luster.told()
    assert luster.deliver() == ["gave-up"]
    (alarm,) = luster.alarms()
    assert (alarm["kind"], "credentials" in alarm["text"]) == ("given-up", True)


# --- changed there ----------------------------------------------------------------------------------------


def test_what_only_they_have_changed_becomes_their_version_here(luster: Place) -> None:
    luster.put()
    luster.edit("Goal", description={"text": "Gå til postkassen med stokk"})
    assert luster.poll() == 1
    assert luster.versions() == ["laerdal-sjukehus", "luster"]
    assert luster.goal_here() == "Gå til postkassen med stokk"
    assert luster.alarms() == []
    (told,) = luster.stage.rows(tables.message, sender="luster", type="care-plan")
    assert (told["outcome"], told["channel"]) == ("accepted", "poll")
    sent = [d["party"] for d in luster.stage.rows(tables.delivery, kind="care-plan")]
    assert sent == ["luster", "laerdal-sjukehus"]
    assert luster.poll() == 0


def test_what_they_add_to_the_plan_comes_with_it(luster: Place) -> None:
    luster.put()
    plan = luster.server.one("CarePlan")
    goal = {
        "resourceType": "Goal", "lifecycleStatus": "proposed", "subject": plan["subject"],
        "description": {"text": "Lage middag sjølv"},
    }  # fmt: skip
    made = luster.server.put(goal)
    luster.edit("CarePlan", goal=[*plan["goal"], {"reference": f"Goal/{made['id']}"}])
    assert luster.poll() == 1

    def goals(tx: Connection) -> list[str]:
        row = resources.named(tx, "CarePlan", PLAN)
        assert row is not None
        version = resources.version(tx, row["version"])
        assert version is not None
        graph = luster.stage.built.shelves.graph(tx, version)
        return sorted(one["description"]["text"] for n, one in graph.items() if n.startswith("Goal/"))

    luster.stage.built.shelves.catch_up()
    assert luster.stage.write(goals) == ["Gå til postkassen utan rullator", "Lage middag sjølv"]


def test_what_they_changed_is_told_in_the_same_bytes_whenever_it_is_read(luster: Place) -> None:
    """After a restore it is read again: whoever has had it must know it again."""
    luster.put()
    luster.edit("Goal", description={"text": "Gå til postkassen med stokk"})
    memory = Memory(store=luster.stage.built.store, name=SERVER, clock=luster.clock)
    told = []
    for _ in range(2):
        luster.clock.forward(hours=1)
        told += [mail.content for mail in luster.mailbox().poll(memory)]
    assert len(told) == 2
    assert told[0] == told[1]


def test_after_theirs_has_come_the_next_of_ours_is_put_over_it(luster: Place) -> None:
    luster.put()
    luster.edit("Goal", description={"text": "Gå til postkassen med stokk"})
    luster.poll()
    luster.put(goal="Gå til butikken", based_on=f"{OURS}/_history/2")
    assert luster.server.one("Goal")["description"]["text"] == "Gå til butikken"
    assert luster.alarms() == []


def test_saving_without_a_change_is_nothing(luster: Place) -> None:
    luster.put()
    luster.edit("Goal")
    assert luster.poll() == 0
    luster.put(goal="Gå til butikken")
    assert luster.alarms() == []
    assert luster.versions() == ["laerdal-sjukehus"] * 2


def test_the_same_change_at_both_ends_is_no_conflict(luster: Place) -> None:
    luster.put()
    luster.edit("Goal", description={"text": "Gå til butikken"})
    luster.put(goal="Gå til butikken")
    assert luster.alarms() == []


def test_an_unchanged_plan_is_looked_at_by_its_etags_only(luster: Place) -> None:
    luster.put()
    luster.server.asked.clear()
    assert luster.poll() == 0
    assert luster.server.asked != []
    assert all(one.method == "GET" and "if-none-match" in one.headers for one in luster.server.asked)


# --- changed at both ends ---------------------------------------------------------------------------------


def in_conflict(luster: Place) -> None:
    """Luster has changed the goal on its server, and the hospital has changed it here."""
    luster.put()
    luster.clock.forward(hours=1)
    luster.edit("Goal", description={"text": "Gå til postkassen med stokk"})
    luster.told(goal="Gå til butikken")
    assert luster.deliver() == ["gave-up"]


def test_a_plan_changed_at_both_ends_is_flagged_and_not_overwritten(luster: Place) -> None:
    in_conflict(luster)
    assert luster.server.one("Goal")["description"]["text"] == "Gå til postkassen med stokk"
    (alarm,) = luster.alarms()
    assert (alarm["kind"], alarm["subject"]) == ("plan-conflict", f"{OURS} at {SERVER}")
    for word in ("Luster kommune", "Lærdal sjukehus", OURS, "version 2", "Goal", "plan-conflicts keep"):
        assert word in alarm["text"]
    for personal in ("Synnøve", "Fjellheim", SYNNOVE.identifiers[0][1], "butikken", "stokk"):
        assert personal not in alarm["text"]
    luster.clock.forward(days=1)
    assert luster.deliver() == []
    assert luster.poll() == 0


def test_a_change_of_another_part_of_the_plan_is_one_of_the_plan(luster: Place) -> None:
    luster.put()
    luster.edit("CarePlan", title="Lusters plan")
    luster.told(goal="Gå til butikken")
    assert luster.deliver() == ["gave-up"]
    assert luster.server.one("CarePlan")["title"] == "Lusters plan"
    assert luster.server.one("Goal")["description"]["text"] == "Gå til postkassen utan rullator"


def test_a_part_that_was_deleted_there_is_a_change_too(luster: Place) -> None:
    luster.put()
    luster.server.delete("Goal", luster.server.one("Goal")["id"])
    luster.told(goal="Gå til butikken")
    assert luster.deliver() == ["gave-up"]
    assert "deleted" in luster.alarms()[0]["text"]
    luster.decide(keep_ours)
    assert luster.deliver() == ["sent"]
    assert luster.server.one("Goal")["description"]["text"] == "Gå til butikken"


def test_ours_is_kept(luster: Place) -> None:
    in_conflict(luster)
    luster.decide(keep_ours)
    assert luster.deliver() == ["sent"]
    assert luster.server.one("Goal")["description"]["text"] == "Gå til butikken"
    assert luster.alarms() == []
    assert luster.stage.write(conflicts) == []
    notes = [n["what"] for n in luster.stage.rows(tables.history, by="Solveig")]
    assert notes == [f"{OURS}: our version is kept and overwrites that of luster"]
    assert luster.poll() == 0


def test_what_nobody_saw_when_it_was_decided_is_not_overwritten(luster: Place) -> None:
    in_conflict(luster)
    luster.decide(keep_ours)
    luster.edit("Goal", description={"text": "Gå til kyrkja"})
    assert luster.deliver() == ["gave-up"]
    assert luster.server.one("Goal")["description"]["text"] == "Gå til kyrkja"
    assert [one["kind"] for one in luster.alarms()] == ["plan-conflict"]


def test_theirs_is_kept(luster: Place) -> None:
    in_conflict(luster)
    luster.decide(keep_theirs)
    assert luster.alarms() == []
    assert luster.poll() == 1
    assert luster.versions() == ["laerdal-sjukehus", "laerdal-sjukehus", "luster"]
    assert luster.goal_here() == "Gå til postkassen med stokk"
    assert luster.stage.write(conflicts) == []
    assert luster.deliver() == []


def test_a_version_that_agrees_with_theirs_ends_the_conflict(luster: Place) -> None:
    in_conflict(luster)
    luster.put(goal="Gå til postkassen med stokk")
    assert luster.alarms() == []
    assert luster.stage.write(conflicts) == []


def test_a_conflict_that_is_none_cannot_be_decided(luster: Place) -> None:
    luster.put()
    with pytest.raises(NotFound, match="plan-conflicts"):
        luster.stage.write(lambda tx: keep_ours(tx, luster.stage.outbox, 1, luster.clock(), by=None))


def test_somebody_who_writes_between_our_look_and_our_putting_is_not_overwritten(alone: Place) -> None:
    alone.put()
    goal = alone.server.one("Goal")
    alone.server.order(Ordered.STALE, "PUT", f"Goal/{goal['id']}")
    alone.told(goal="Gå til butikken")
    assert alone.deliver() == ["sent"]  # looked at again: nothing had changed
    assert alone.server.one("Goal")["description"]["text"] == "Gå til butikken"


def test_their_change_while_ours_changed_here_is_held_as_a_conflict(luster: Place) -> None:
    luster.put()
    luster.edit("Goal", description={"text": "Gå til postkassen med stokk"})
    assert luster.told(goal="Gå til butikken").outcome == "accepted"
    assert luster.poll() == 0  # a version is on its way there, which will find out
    assert luster.versions() == ["laerdal-sjukehus"] * 2


def test_what_is_put_while_we_look_is_not_taken_for_a_change_of_theirs(luster: Place) -> None:
    luster.put()
    luster.edit("Goal", description={"text": "Gå til postkassen med stokk"})
    told: list[str] = []

    def meanwhile(asked: Asked) -> None:
        if asked.method == "GET" and asked.path.startswith("Task/") and "if-none-match" not in asked.headers:
            told.append(luster.told(goal="Gå til butikken").outcome)
            luster.server.on_asked = lambda _: None

    luster.server.on_asked = meanwhile
    assert luster.poll() == 0
    assert told == ["accepted"]
    assert luster.versions() == ["laerdal-sjukehus"] * 2
    assert luster.deliver() == ["gave-up"]
    assert [one["kind"] for one in luster.alarms()] == ["plan-conflict"]


def test_nothing_of_a_plan_goes_to_the_endpoint_of_messages(luster: Place) -> None:
    luster.put()
    assert [name for name, _ in luster.stage.post.sent if name == "luster"] == []
    luster.stage.receive(luster.stage.message(K.ADMITTED, receivers=("luster",)))
    luster.stage.deliver()
    assert [name for name, _ in luster.stage.post.sent if name == "luster"] == ["luster"]


def test_a_plan_without_end_is_not_put(luster: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapter.transport.fhir_plans.LARGEST_PLAN", 2000)
    luster.told(goal="Gå " * 1000)
    assert luster.deliver() == ["gave-up"]
    assert "take attachments out" in luster.delivery()["error"]


def test_a_plan_that_is_taken_back_stands_there_as_it_stands_here(luster: Place) -> None:
    luster.put(goal="Gå til postkassen")
    luster.put(goal="Gå til butikken")
    (_, second) = luster.stage.rows(tables.message, type="care-plan")
    luster.put(standing=Standing.CANCELLATION, refers_to=second["message_id"])
    assert luster.server.one("Goal")["description"]["text"] == "Gå til postkassen"
    assert luster.server.one("CarePlan")["status"] == "active"
    assert luster.poll() == 0
    (first, *_) = luster.stage.rows(tables.message, type="care-plan")
    luster.put(standing=Standing.CANCELLATION, refers_to=first["message_id"])
    assert luster.server.one("CarePlan")["status"] == "entered-in-error"
    assert luster.server.one("Goal")["lifecycleStatus"] == "entered-in-error"
    assert luster.alarms() == []


def test_a_change_to_a_plan_whose_message_is_gone_holds_up_no_other(luster: Place) -> None:
    """Retention has taken what was put there: there is nothing to go on from, and the look goes on."""
    luster.put()
    luster.stage.write(lambda tx: tx.execute(tables.payload.delete()))
    luster.stage.built.shelves._bundles.clear()  # as after a restart
    luster.edit("Goal", description={"text": "Gå til kyrkja"})
    assert luster.poll() == 0
    assert luster.versions() == ["laerdal-sjukehus"]
