"""Plans that stand on a hospital's FHIR server are fetched with their whole graph, and only when they change.

FHIR R4 search (`_include`, `_lastUpdated`), http.html#cread (If-None-Match). A real server on loopback.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from adapter.fhir.bundles import Bundle, of_every_type, of_type
from adapter.fhir.validation import validate
from adapter.fhir.wire import parse
from adapter.messaging.envelope import HER
from adapter.messaging.register import Endpoint, Partner
from adapter.scheduler.polling import Round
from adapter.simulator.fhir_server import FhirServer, Ordered
from adapter.simulator.threads import serving
from adapter.store import messages, resources, tables
from adapter.transport.fhir_rest import FhirMailbox
from tests.conftest import StandingClock
from tests.municipal_server import place
from tests.plans import KINDS
from tests.stage import SYNNOVE, Stage, address_of, region, stage

pytestmark = pytest.mark.postgres_in_soak


@dataclass
class Hospital:
    """Lærdal sjukehus with its own FHIR server, and the mailbox that reads it."""

    stage: Stage
    server: FhirServer
    clock: StandingClock
    box: FhirMailbox = field(init=False)

    def __post_init__(self) -> None:
        self.box = self.new_box()

    def new_box(self) -> FhirMailbox:
        """The mailbox as after a restart."""
        there = Endpoint(name="sjukehus", transport="fhir", address=self.server.base, dialect="fhir")
        return FhirMailbox(there, clock=self.clock, sleep=lambda _: None)

    def poll(self) -> int:
        """Take what is new; how much."""
        self.clock.forward(minutes=10)
        built = self.stage.built
        look = Round(
            name="sjukehus", channel="poll", mailbox=self.box, store=built.store, inbox=built.inbox,
            partner=Partner(name="sjukehus", parties=("laerdal-sjukehus",)), clock=self.clock,
        )  # fmt: skip
        return look()

    def party(self, party_id: str) -> dict[str, Any]:
        """An Organization on the server, as a Reference to it."""
        address = address_of(self.stage.built.register, party_id)
        system, value = address.identifiers[-1]
        made = {"resourceType": "Organization", "name": address.name, "id": party_id}
        self.server.put(made | {"identifier": [{"system": system, "value": value}]})
        return {"reference": f"Organization/{party_id}"}

    def plan(self, *, team: tuple[str, ...] = ("laerdal-sjukehus", "luster"), **more: Any) -> None:
        """Synnøve's plan, each part in its own resource."""
        (system, value), put = SYNNOVE.identifiers[0], self.server.put
        author = self.party("laerdal-sjukehus")
        about = {"reference": "Patient/synnove"}
        name = [{"family": SYNNOVE.family, "given": [SYNNOVE.given]}]
        put({
            "resourceType": "Patient", "id": "synnove", "name": name, "gender": "female",
            "identifier": [{"system": system, "value": value}],
        })  # fmt: skip
        put({
            "resourceType": "CareTeam", "id": "team", "status": "active", "subject": about,
            "participant": [{"member": self.party(one)} for one in team],
        })  # fmt: skip
        put({
            "resourceType": "Goal", "id": "goal", "lifecycleStatus": "active", "subject": about,
            "description": {"text": "Gå til postkassen"},
            "addresses": [{"reference": "Condition/hip"}],
        })  # fmt: skip
        put({"resourceType": "Condition", "id": "hip", "subject": about, "code": {"text": "Hoftebrot"}})
        put({
            "resourceType": "Observation", "id": "walk", "status": "final", "subject": about,
            "code": {"text": "Gangfunksjon"}, "valueString": "med rullator",
        })  # fmt: skip
        put({
            "resourceType": "ServiceRequest", "id": "help", "status": "active", "intent": "plan",
            "subject": about, "code": {"text": "Heimesjukepleie"}, "occurrenceDateTime": "2014-03-10",
        })  # fmt: skip
        put({
            "resourceType": "Task", "id": "ask", "status": "requested", "intent": "order", "for": about,
            "focus": {"reference": "ServiceRequest/help"}, "basedOn": [{"reference": "CarePlan/plan"}],
            "requester": author, "owner": self.party("luster"),
        })  # fmt: skip
        put({
            "resourceType": "CarePlan", "id": "plan", "status": "active", "intent": "plan", "subject": about,
            "author": author, "careTeam": [{"reference": "CareTeam/team"}],
            "category": [{"coding": [{"system": KINDS, "code": "discharge-plan"}]}],  # needs no consent
            "goal": [{"reference": "Goal/goal"}],
            "supportingInfo": [{"reference": "Observation/walk"}, {"reference": "Observation/elsewhere"}],
            "activity": [
                {"reference": {"reference": "ServiceRequest/help"}},
                {"reference": {"reference": "Task/ask"}},
            ],
        } | more)  # fmt: skip

    def edit(self, kind: str, **changes: Any) -> None:
        """Somebody at the hospital changes a part."""
        self.server.put(self.server.one(kind) | changes)

    def told(self) -> list[Any]:
        """The messages that came of it."""
        return [dict(row) for row in self.stage.rows(tables.message)]

    def sent(self) -> dict[str, Bundle]:
        """What goes out, the newest for each receiver."""

        def content(tx: Connection, row: Any) -> Bundle:
            found = messages.content(tx, row["payload"])
            assert found is not None
            return parse(found)

        rows = self.stage.rows(tables.delivery, kind="care-plan")
        return {row["party"]: self.stage.write(lambda tx, row=row: content(tx, row)) for row in rows}  # type: ignore[misc]


@pytest.fixture
def hospital(store_url: str, clock: StandingClock) -> Iterator[Hospital]:
    server = FhirServer("sjukehus", clock=clock)
    with serving(server):
        made = stage(store_url, clock, of=region())
        yield Hospital(stage=made, server=server, clock=clock)
        made.close()


PARTS = ("CareTeam", "Goal", "Condition", "Observation", "ServiceRequest", "Task", "CarePlan", "Patient")


def test_a_plan_comes_with_its_whole_graph(hospital: Hospital) -> None:
    hospital.plan()
    assert hospital.poll() == 1
    (told,) = hospital.told()
    assert (told["type"], told["outcome"], told["sender"]) == ("CarePlan", "accepted", "laerdal-sjukehus")
    bundle = hospital.sent()["luster"]
    assert [kind for kind in PARTS if of_type(bundle, kind) is None] == []


def test_what_goes_on_is_a_message_that_any_receiver_can_read(hospital: Hospital) -> None:
    hospital.plan()
    hospital.poll()
    bundle = hospital.sent()["luster"]
    validate(bundle)
    plan = of_type(bundle, "CarePlan")
    assert plan is not None
    assert plan["supportingInfo"][1]["reference"] == f"{hospital.server.base}/Observation/elsewhere"


def test_its_parts_can_be_read_here_as_those_of_any_plan(hospital: Hospital) -> None:
    hospital.plan()
    hospital.poll()
    hospital.stage.built.shelves.catch_up()
    shelved = hospital.stage.rows(tables.shelf, party="luster")
    assert {row["type"] for row in shelved} >= set(PARTS)


def test_it_is_for_the_organisations_of_its_team_that_the_region_knows(hospital: Hospital) -> None:
    hospital.plan(team=("laerdal-sjukehus", "luster", "sogndal"))
    stranger = {"resourceType": "Organization", "id": "x", "identifier": [{"system": "urn:x", "value": "1"}]}
    hospital.server.put(stranger)
    team = hospital.server.one("CareTeam")
    ward = {"system": HER, "value": "8143501"}  # of the author itself
    own = {"member": {"type": "Organization", "identifier": ward}}
    members = [{"member": {"reference": "Organization/x"}}, own, *team["participant"]]
    hospital.edit("CareTeam", participant=members)
    assert hospital.poll() == 1
    assert set(hospital.sent()) == {"luster", "sogndal"}


def test_without_a_team_it_is_for_those_who_are_asked(hospital: Hospital) -> None:
    hospital.plan(careTeam=[])
    plan = hospital.server.one("CarePlan")
    del plan["careTeam"]
    hospital.server.put(plan)
    assert hospital.poll() == 1
    assert set(hospital.sent()) == {"luster"}


def test_a_plan_in_which_nobody_known_takes_part_is_held(hospital: Hospital) -> None:
    hospital.plan(team=("laerdal-sjukehus",))
    task = hospital.server.one("Task")
    hospital.edit("Task", owner=task["requester"])
    hospital.poll()
    (told,) = hospital.told()
    assert told["outcome"] == "quarantined"


def test_an_unchanged_plan_does_not_come_again(hospital: Hospital) -> None:
    hospital.plan()
    assert [hospital.poll(), hospital.poll(), hospital.poll()] == [1, 0, 0]
    hospital.box = hospital.new_box()
    assert hospital.poll() == 0
    assert len(hospital.told()) == 1


def test_a_changed_plan_comes_as_its_next_version(hospital: Hospital) -> None:
    hospital.plan()
    hospital.poll()
    hospital.edit("CarePlan", title="Ny tittel")
    assert hospital.poll() == 1
    hospital.stage.built.shelves.catch_up()

    def numbers(tx: Connection) -> list[int]:
        (row,) = hospital.stage.rows(tables.resource, type="CarePlan")
        return [v["number"] for v in resources.versions(tx, row["id"])]

    assert hospital.stage.write(numbers) == [2, 1]


def test_a_task_that_changes_brings_its_plan_and_is_no_answer(hospital: Hospital) -> None:
    hospital.plan()
    hospital.poll()
    hospital.edit("Task", status="accepted")
    assert hospital.poll() == 1
    assert [row["type"] for row in hospital.told()] == ["CarePlan", "CarePlan"]
    task = of_type(hospital.sent()["luster"], "Task")
    assert task is not None
    assert task["status"] == "accepted"
    assert hospital.poll() == 0


def test_a_goal_that_changes_without_its_plan_is_found_within_the_hour(hospital: Hospital) -> None:
    hospital.plan()
    hospital.poll()
    hospital.edit("Goal", description={"text": "Gå til butikken"})
    taken = [hospital.poll() for _ in range(7)]
    assert sum(taken) == 1
    goals = list(of_every_type(hospital.sent()["luster"], "Goal"))
    assert [one["description"]["text"] for one in goals] == ["Gå til butikken"]


def test_what_was_read_by_itself_is_asked_for_by_its_etag_the_next_time(hospital: Hospital) -> None:
    hospital.plan()
    hospital.poll()
    hospital.server.asked.clear()
    hospital.edit("CarePlan", title="Ny tittel")
    hospital.poll()
    (read,) = hospital.server.requests("GET", "Observation/walk")
    assert read.headers["if-none-match"] == 'W/"1"'
    observation = of_type(hospital.sent()["luster"], "Observation")
    assert observation is not None
    assert observation["valueString"] == "med rullator"


def test_a_server_that_takes_no_includes_is_read_part_by_part(hospital: Hospital) -> None:
    hospital.server.includes = False
    hospital.plan()
    assert hospital.poll() == 1
    bundle = hospital.sent()["luster"]
    assert [kind for kind in PARTS if of_type(bundle, kind) is None] == []


def test_a_part_that_cannot_be_read_now_holds_the_plan_until_it_can(hospital: Hospital) -> None:
    hospital.plan()
    for _ in range(3):
        hospital.server.order(Ordered.ERROR, "GET", "Condition/hip")
    assert hospital.poll() == 0
    assert [row["kind"] for row in hospital.stage.rows(tables.alarm, until=None)] == ["mailbox"]
    assert hospital.poll() == 1
    assert hospital.stage.rows(tables.alarm, until=None) == []


def test_nothing_is_read_from_an_address_that_stands_in_a_resource(hospital: Hospital) -> None:
    elsewhere = FhirServer("elsewhere")
    with serving(elsewhere):
        hospital.plan()
        link = {"reference": f"{elsewhere.base}/Observation/walk"}
        hospital.edit("CarePlan", supportingInfo=[link])
        assert hospital.poll() == 1
    assert elsewhere.asked == []
    plan = of_type(hospital.sent()["luster"], "CarePlan")
    assert plan is not None
    assert plan["supportingInfo"] == [link]


def test_another_patient_is_not_fetched(hospital: Hospital) -> None:
    hospital.plan()
    hospital.server.put({"resourceType": "Patient", "id": "torbjorn", "name": [{"family": "Vik-Hansen"}]})
    other = {"reference": "Patient/torbjorn"}
    hospital.edit("Observation", subject=other)
    hospital.poll()
    assert hospital.server.requests("GET", "Patient/torbjorn") == []
    assert "Vik-Hansen" not in repr(hospital.sent())


def test_a_graph_without_end_is_not_read_to_it(hospital: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapter.transport.fhir_graph.MOST_PARTS", 4)
    hospital.plan()
    assert hospital.poll() == 0
    (alarm,) = hospital.stage.rows(tables.alarm, until=None)
    assert "larger than we read" in alarm["text"]
    assert hospital.clock() - timedelta(hours=1) < alarm["since"]


def test_a_plan_goes_from_the_hospital_s_server_to_the_municipality_s_and_back(
    store_url: str, clock: StandingClock
) -> None:
    server = FhirServer("sjukehus", clock=clock)
    with serving(server), place(store_url, clock) as luster:
        hospital = Hospital(stage=luster.stage, server=server, clock=clock)
        hospital.plan()
        assert hospital.poll() == 1
        assert luster.deliver() == ["sent"]
        plan, goal, found = (luster.server.one(kind) for kind in ("CarePlan", "Goal", "Observation"))
        assert plan["goal"] == [{"reference": f"Goal/{goal['id']}"}]
        assert plan["supportingInfo"][0] == {"reference": f"Observation/{found['id']}"}
        hospital.edit("Goal", description={"text": "Gå til butikken"})
        hospital.edit("CarePlan", title="Ny tittel")
        assert hospital.poll() == 1
        assert luster.deliver() == ["sent"]
        assert luster.server.one("Goal")["description"]["text"] == "Gå til butikken"
        luster.edit("Goal", description={"text": "Gå til postkassen med stokk"})
        assert luster.poll() == 1
        senders = [row["sender"] for row in hospital.told() if row["type"] in ("CarePlan", "care-plan")]
        assert senders == ["laerdal-sjukehus", "laerdal-sjukehus", "luster"]
        hospital.edit("CarePlan", title="Enda ein tittel")
        hospital.poll()
        assert hospital.told()[-1]["code"] == "conflict"  # its server knows nothing of it
