"""A whole SIP over HTTP, from admission to follow-up; and a Norwegian individual plan, shorter.

Hospital, primary care and municipality each have a machine of their own that only uses what a partner can.
After every step: what each of them is shown at /fhir, how far the planning has come, and which deadlines
run. Lag 2017:612 2:1-2:5, 3:1-3:2, 4:1-4:3 and 5:1-5:5; HSL 16:4; process.md 22-25 and 28.
"""

import random
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from adapter.discharge.deadlines import deadlines
from adapter.discharge.notices import NoticeKind
from adapter.discharge.planning import ConsentState, PlanningState, document, planning
from adapter.fhir.asking import is_asked
from adapter.fhir.bundles import Resource
from adapter.simulator.clients import FhirClient
from adapter.simulator.planners import POLLED, Actor
from adapter.simulator.sip import (
    HOSPITAL,
    LEADER,
    MUNICIPALITY,
    Begin,
    Plot,
    Propose,
    Role,
    Step,
    Tell,
)
from adapter.store import cases as case_rows
from adapter.store import tables
from tests.planners import CENTRE, STOCKHOLM, STRANGER, VANNAS, Theatre, norwegian, swedish

K = NoticeKind
S = PlanningState

EVERYTHING = (
    *POLLED,
    "Patient",
    "Encounter",
    "Goal",
    "ServiceRequest",
    "Communication",
    "Condition",
    "Consent",
)
MEETING, HOME_CARE = "Delta i SIP-mötet", "Hemsjukvård varje morgon"
DAY_CENTRE, MEDICATION = "Plats på dagverksamhet", "Läkemedelsgenomgång"
FIRST_TIME, OTHER_TIME = "2024-03-08T13:00:00+01:00", "2024-03-11T10:00:00+01:00"


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What there is after a step: in the case, and at /fhir for those to whom it is shown."""

    state: PlanningState = S.NOT_STARTED
    consent: ConsentState = ConsentState.NONE
    call: tuple[str, ...] = ()  # the deadlines of primary care to call to the planning
    call_to: str | None = None  # the time of the call's own meeting
    plan: str | None = None
    tasks: dict[str, str] = field(default_factory=dict)
    team: tuple[str, ...] = ()
    meeting: tuple[str, str] | None = None  # of the plan: its status and time
    asked: tuple[str, ...] = ()  # of the municipality by the hospital: only these two see it
    episode: str = "active"


def at_fhir(actor: Actor) -> dict[str, Any]:
    """The same, as far as one of them finds it when it looks anew."""
    found = {kind: list(actor.client.search(kind)) for kind in POLLED}
    plans, tasks = found["CarePlan"], found["Task"]
    ours = [t for t in tasks if not is_asked(t) and "basedOn" in t]
    teams = [r for p in plans for r in named(found["CareTeam"], p["careTeam"][0]["reference"])]
    in_plan = {r["reference"]["reference"] for p in plans for r in p["activity"]}
    meetings = {f"Appointment/{a['id']}": a for a in found["Appointment"]}
    calls = [a for name, a in meetings.items() if name not in in_plan]
    planned = [a for name, a in meetings.items() if name in in_plan]
    assert max(len(plans), len(teams), len(calls), len(planned)) <= 1, "each thing is shown once"
    members = [p["member"]["reference"].partition("/") for t in teams for p in t["participant"]]
    return {
        "call_to": next((local(a["start"]) for a in calls), None),
        "plan": next((p["status"] for p in plans), None),
        "tasks": {t["code"]["text"]: t["status"] for t in ours},
        "team": tuple(party for kind, _, party in members if kind == "Organization"),
        "meeting": next(((a["status"], local(a["start"])) for a in planned), None),
        "asked": tuple(
            t["status"] for t in sorted((t for t in tasks if is_asked(t)), key=lambda t: t["authoredOn"])
        ),
        "episode": next(e["status"] for e in found["EpisodeOfCare"]),
    }


def local(text: str) -> str:
    """An instant of FHIR as it is in Umeå."""
    return datetime.fromisoformat(text).astimezone(STOCKHOLM).isoformat()


def named(resources: list[Resource], name: str) -> list[Resource]:
    return [r for r in resources if f"{r['resourceType']}/{r['id']}" == name]


def the_whole() -> dict[str, Shown]:
    """What there is after every step of the usual tale, by the step's name."""
    now, found = Shown(), {}

    def after(step: str, tasks: dict[str, str] | None = None, **changes: Any) -> None:
        nonlocal now
        now = replace(now, tasks=now.tasks | (tasks or {}), **changes)
        found[step] = now

    after("admitted")
    after("care-needs")
    after("contact-named", state=S.CONTACT_NAMED)
    after("open-care")
    after("sip-requested", state=S.REQUESTED)
    after("ready", call=("open",), asked=("requested",))
    after("shared-too-early")
    after("consent-given", consent=ConsentState.GIVEN)
    after("called", state=S.CALLED, call=("met",), call_to=FIRST_TIME)
    after(
        "plan-begun", {MEETING: "requested"}, state=S.PROPOSED, plan="draft", team=(CENTRE,),
        meeting=("proposed", FIRST_TIME),
    )  # fmt: skip
    after("other-day-proposed", {MEETING: "on-hold"})
    after("other-day-taken", {MEETING: "accepted"}, team=(CENTRE, VANNAS))
    after("called-anew", call_to=OTHER_TIME)
    after("met", {MEETING: "completed"})
    after(
        "plan-proposed",
        dict.fromkeys((HOME_CARE, DAY_CENTRE, MEDICATION), "requested"),
        meeting=("fulfilled", OTHER_TIME),
    )
    after("task-declined", {DAY_CENTRE: "rejected"})
    after("task-accepted", {HOME_CARE: "accepted"})
    after("own-task-accepted", {MEDICATION: "accepted"})
    after("edited-at-once")
    after("withdrawn", state=S.WITHDRAWN, asked=("cancelled",))
    after("ready-again", state=S.PROPOSED, call=("met", "met"), asked=("cancelled", "requested"))
    after("can-receive", asked=("cancelled", "accepted"))
    after("agreed", state=S.AGREED, plan="active")
    after("discharged", episode="finished")
    after("informed")
    after("task-begun", {HOME_CARE: "in-progress"})
    after("own-task-done", {MEDICATION: "completed"})
    after("task-done", {HOME_CARE: "completed"})
    after("followed-up", state=S.FOLLOWED_UP)
    return found


def check(place: Theatre, expected: Shown) -> None:
    """The case, and what each of the three is shown."""
    assert place.planning.state is expected.state
    assert place.planning.consent.state is expected.consent
    assert tuple(d.state.value for d in place.deadlines("sip-call")) == expected.call
    shown = {key: getattr(expected, key) for key in at_fhir(place.actor(HOSPITAL))}
    for role in (HOSPITAL, LEADER, MUNICIPALITY):
        of_theirs = shown if role is not LEADER else shown | {"asked": ()}  # it is not asked of primary care
        assert at_fhir(place.actor(role)) == of_theirs, role


def shown_to(who: FhirClient, kinds: tuple[str, ...] = POLLED) -> list[Resource]:
    """Everything that somebody finds who looks without saying for what."""
    return [found for kind in kinds for found in who.search(kind)]


def assert_nobody_else_saw_anything(place: Theatre) -> None:
    """Who has no part in it finds nothing, also where it knows the name."""
    stranger = place.clients[STRANGER]
    assert shown_to(stranger, EVERYTHING) == []
    for name in (str(place.actor(LEADER).patient), *place.actor(LEADER).desk):
        assert stranger.read(name) is None
        assert stranger.history(name) == []


# --- the usual way ----------------------------------------------------------------------------------------


@pytest.mark.postgres_in_soak
@pytest.mark.slow
def test_a_sip_from_admission_to_follow_up(store_url: str) -> None:
    expected = the_whole()
    with swedish(store_url) as place:
        seen: dict[tuple[Role, str, str], Resource] = {}

        def after(step: Step) -> None:
            place.poll()
            check(place, expected[step.name])
            assert not shown_to(place.clients[STRANGER])
            for role, actor in place.scene.actors.items():
                for name, resource in actor.desk.items():
                    seen.setdefault((role, name, resource["meta"]["versionId"]), resource)

        place.scene.play(after)
        assert [step.name for step in place.scene.tale.steps] == list(expected)
        assert_everybody_has_given_a_receipt(place)
        assert_nothing_is_lost(place)
        assert_nobody_else_saw_anything(place)
        assert_every_version_is_kept(place, seen)
        assert_all_have_the_whole_plan(place)
        assert_looks_are_written_down(place)
        assert_any_order_gives_the_same(place)
        assert_the_deadlines_of_the_whole(place)


def assert_everybody_has_given_a_receipt(place: Theatre) -> None:
    """Each receiver for itself, of messages and of what was changed at /fhir."""
    for entry in place.case.entries:
        accepted = place.accepted_by(entry.notice.message_id)
        assert accepted == set(entry.notice.receivers), entry.notice.kind
    told = {s.name: s for s in place.scene.tale.steps if isinstance(s.does, Tell | Begin | Propose)}
    for post in place.scene.posts:
        if post.step in told and post.taken:
            assert post.receipted
            assert place.accepted_by(place.scene.message_id(told[post.step])) == set(post.to)


def assert_nothing_is_lost(place: Theatre) -> None:
    """One held, one overtaken and sent again; all the rest was taken, and stands in the case."""
    posts = place.scene.posts
    assert [(p.step, p.status) for p in posts if not p.taken] == [
        ("shared-too-early", 202), ("edited-at-once", 412),
    ]  # fmt: skip
    outcomes = Counter(row["outcome"] for row in place.rows(tables.message))
    assert outcomes == {"accepted": sum(p.taken for p in posts), "quarantined": 1}
    assert len(place.case.entries) == outcomes["accepted"]
    (held,) = [row for row in place.rows(tables.message) if row["outcome"] == "quarantined"]
    assert held["code"] == "consent"


def assert_every_version_is_kept(place: Theatre, seen: dict[tuple[Role, str, str], Resource]) -> None:
    """Whatever somebody was shown at some time can be read as it was."""
    leader = place.actor(LEADER)
    plan = leader.plan()
    versions = leader.client.history(f"CarePlan/{plan['id']}")
    numbers = [int(v["meta"]["versionId"]) for v in versions]
    assert numbers == list(range(len(numbers), 0, -1))
    assert len(numbers) == place.planning.plans[0].versions == 14
    assert plan["title"] == "SIP efter höftfraktur"
    assert [note["text"] for note in plan["note"]] == ["Hemsjukvården ringer dagen före första besöket."]
    for (role, name, number), resource in seen.items():
        assert place.actor(role).client.read(f"{name}/_history/{number}") == resource


PARTS = {
    "CarePlan": 1, "CareTeam": 1, "RelatedPerson": 1, "Goal": 1, "Condition": 1, "Observation": 1,
    "QuestionnaireResponse": 1, "MedicationStatement": 1, "Appointment": 1, "ServiceRequest": 4, "Task": 4,
}  # fmt: skip


def assert_all_have_the_whole_plan(place: Theatre) -> None:
    """Every part of it, each in the same words for all three."""
    graphs = [actor.graph() for actor in place.scene.actors.values()]
    assert graphs[0] == graphs[1] == graphs[2]
    assert Counter(name.partition("/")[0] for name in graphs[0]) == PARTS


def assert_looks_are_written_down(place: Theatre) -> None:
    """Each reads who has looked on its own behalf, and the stranger that it has found nothing."""
    for role, partner in (
        (HOSPITAL, "lasarettets-journal"),
        (LEADER, "vardcentralens-journal"),
        (MUNICIPALITY, "vannas-verksamhetssystem"),
    ):
        events = list(place.actor(role).client.search("AuditEvent"))
        assert {e["agent"][0]["name"] for e in events} == {partner}
        did = Counter(e["subtype"][0]["code"] for e in events)
        changed = [p for p in place.scene.posts if p.taken and p.by == place.actor(role).party]
        told = {s.name for s in place.scene.tale.steps if isinstance(s.does, Tell | Begin | Propose)}
        assert did["update"] == sum(p.step not in told for p in changed)
        assert did["search-type"] > 10
    found = [e["outcome"] for e in place.clients[STRANGER].search("AuditEvent")]
    assert set(found) == {"4"}


def assert_any_order_gives_the_same(place: Theatre) -> None:
    """The case is a fold: whatever order its facts were learned in."""
    (patient,) = {row["patient"] for row in place.rows(tables.case)}
    with place.built.store.read() as tx:
        facts = [fact for _, _, fact in case_rows.facts(tx, str(patient))]
    for seed in range(10):
        random.Random(seed).shuffle(facts)
        (case,) = place.built.cases.fold(facts)
        assert planning(case, place.built.cases.roles) == place.planning


def assert_the_deadlines_of_the_whole(place: Theatre) -> None:
    cases = place.built.cases
    found = Counter(
        (d.kind, d.party, d.state.value)
        for d in deadlines(place.case, cases.agreement, place.clock(), cases.roles)
    )
    assert found == {
        ("admission-notice", CENTRE, "met"): 1,
        ("admission-notice", VANNAS, "met"): 1,
        ("fixed-care-contact", CENTRE, "met"): 1,
        ("sip-call", None, "met"): 2,
        ("payment-start", VANNAS, "met-late"): 1,  # withdrawn on the sixth day
        ("payment-start", VANNAS, "met"): 1,
        ("information-at-discharge", CENTRE, "met"): 1,
        ("information-at-discharge", VANNAS, "met"): 1,
        ("plan-task", VANNAS, "met"): 2,  # the meeting, at its new time, and home care
        ("plan-task", VANNAS, "void"): 1,  # declined
        ("plan-task", CENTRE, "met"): 1,
        ("follow-up-sip-meeting", None, "met"): 1,
    }
    assert {d.due_at.isoformat() for d in place.deadlines("sip-call")} == {
        "2024-03-09T23:59:59+01:00", "2024-03-17T23:59:59+01:00",
    }  # fmt: skip


def test_only_primary_cares_call_counts_and_within_three_days(tmp_path: Path) -> None:
    with swedish(f"sqlite:///{tmp_path}/store.db") as place:
        steps = {s.name: s for s in place.scene.tale.steps}
        for name in ("admitted", "sip-requested", "ready"):
            place.scene.perform(steps[name])
        wish = Tell(kind=K.SIP_CALL, to=(HOSPITAL, LEADER), meeting=200)
        place.scene.perform(Step(name="own-call", hours=125, who=MUNICIPALITY, does=wish))
        (due,) = place.deadlines("sip-call")
        assert due.state.value == "open"
        assert place.planning.state is S.REQUESTED
        place.clock.forward(days=4)
        (missed,) = place.deadlines("sip-call")
        assert missed.state.value == "missed"
        late = replace(steps["called"], hours=5 * 24 + 4 * 24)
        place.scene.perform(late)
        (called,) = place.deadlines("sip-call")
        assert called.state.value == "met-late"
        assert place.planning.state is S.CALLED


# --- other ways -------------------------------------------------------------------------------------------


def test_after_the_withdrawal_of_consent_what_was_shared_stays_and_no_more_is_shared(tmp_path: Path) -> None:
    with swedish(f"sqlite:///{tmp_path}/store.db", Plot.CONSENT_WITHDRAWN) as place:
        before: list[Resource] = []

        def after(step: Step) -> None:
            if step.name == "task-begun":
                before.append(place.actor(HOSPITAL).plan())

        place.scene.play(after)
        last = place.scene.posts[-1]
        assert (last.step, last.status, last.code) == ("no-more-shared", 422, "consent")
        assert place.planning.state is S.CONSENT_WITHDRAWN
        for role in (HOSPITAL, LEADER, MUNICIPALITY):
            assert at_fhir(place.actor(role))["tasks"][HOME_CARE] == "in-progress"
        begun = place.actor(HOSPITAL).client.read(
            f"CarePlan/{before[0]['id']}/_history/{before[0]['meta']['versionId']}"
        )
        assert begun == before[0]
        edit = place.actor(LEADER).client.change(place.actor(LEADER).plan() | {"title": "Mer"})
        assert (edit.status, edit.code) == (422, "consent")


def test_a_patient_who_declines_has_no_plan_and_primary_care_need_not_call(tmp_path: Path) -> None:
    with swedish(f"sqlite:///{tmp_path}/store.db", Plot.DECLINED) as place:
        place.scene.play()
        assert all(post.taken for post in place.scene.posts)
        assert place.planning.state is S.DECLINED
        assert [d.state.value for d in place.deadlines("sip-call")] == ["void"]
        for role in (HOSPITAL, LEADER, MUNICIPALITY):
            found = at_fhir(place.actor(role))
            assert (found["plan"], found["tasks"], found["episode"]) == (None, {}, "finished")
        assert at_fhir(place.actor(MUNICIPALITY))["asked"] == ("accepted",)


def test_an_interrupted_process_is_shown_as_such_and_nothing_is_taken_from_anybody(tmp_path: Path) -> None:
    with swedish(f"sqlite:///{tmp_path}/store.db", Plot.INTERRUPTED) as place:
        place.scene.play()
        assert place.planning.state is S.INTERRUPTED
        assert [d.state.value for d in place.deadlines("sip-call")] == ["met"]
        for role in (HOSPITAL, LEADER, MUNICIPALITY):
            assert at_fhir(place.actor(role))["plan"] == "draft"


# --- whoever looks when -----------------------------------------------------------------------------------


def outcome(folder: Path, polling: int) -> dict[str, Any]:
    """The case and everything that each of the three is shown, after the usual tale."""
    with swedish(f"sqlite:///{folder}/{polling}.db", polling=polling) as place:
        place.scene.play()
        assert place.scene.conflicts == 1
        cases = place.built.cases
        rows = deadlines(place.case, cases.agreement, place.clock(), cases.roles)
        return {
            "planning": document(place.planning),
            "deadlines": sorted((d.kind, d.party or "", d.state.value, str(d.due_at)) for d in rows),
            "shown": {str(role): everything(actor) for role, actor in place.scene.actors.items()},
        }


def everything(actor: Actor) -> list[str]:
    """Every resource, without its version; pseudonyms and what is made of them differ by store."""
    found = [r for kind in EVERYTHING if kind != "Encounter" for r in actor.client.search(kind)]
    texts = (orjson.dumps({k: v for k, v in r.items() if k != "meta"}).decode() for r in found)
    pseudonym = str(actor.patient).partition("/")[2]
    return sorted(re.sub(r"Encounter/[0-9a-f-]+", "Encounter", t.replace(pseudonym, "P")) for t in texts)


@pytest.fixture(scope="module")
def usual_end(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return outcome(tmp_path_factory.mktemp("usual"), 0)


@pytest.mark.parametrize(
    "seed",
    [
        *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 7)),
        *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(7, 121)),
    ],
)
def test_whoever_looks_when_the_end_is_the_same(usual_end: dict[str, Any], tmp_path: Path, seed: int) -> None:
    assert outcome(tmp_path, seed) == usual_end


# --- Norway -----------------------------------------------------------------------------------------------


@pytest.mark.postgres_in_soak
def test_a_norwegian_individual_plan_from_the_reported_need_to_the_follow_up(store_url: str) -> None:
    states: list[PlanningState] = []
    with norwegian(store_url) as place:

        def after(step: Step) -> None:
            place.poll()
            states.append(place.planning.state)
            assert shown_to(place.clients["luster"]) == []

        place.scene.play(after)
        assert list(dict.fromkeys(states)) == [
            S.NOT_STARTED, S.REQUESTED, S.CALLED, S.PROPOSED, S.AGREED, S.FOLLOWED_UP,
        ]  # fmt: skip
        assert [(p.step, p.status) for p in place.scene.posts if not p.taken] == [("shared-too-early", 202)]
        assert [(c.role, c.party) for c in place.planning.contacts] == [("coordinator", "laerdal")]
        for role in (HOSPITAL, LEADER):
            team = at_fhir(place.actor(role))["team"]
            assert team == ("laerdal", "laerdal-sjukehus")
        teams = place.actor(HOSPITAL).of("CareTeam")  # the notice's own, and the plan's
        first = [team["participant"][0]["role"][0]["coding"][0]["code"] for team in teams]
        assert first == ["coordinator", "coordinator"]
        assert {(d.party, d.state.value) for d in place.deadlines("plan-task")} == {
            ("laerdal-sjukehus", "met")
        }
        for entry in place.case.entries:
            assert place.accepted_by(entry.notice.message_id) == set(entry.notice.receivers)
