"""How far a planning has come, folded from its notices, and what the tasks of its plans make due."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import permutations
from zoneinfo import ZoneInfo

import pytest

from adapter.discharge.agreement import agreement
from adapter.discharge.case import fold
from adapter.discharge.deadlines import deadlines
from adapter.discharge.notices import (
    Decliner,
    Meeting,
    Notice,
    NoticeKind,
    Plan,
    PlanKind,
    PlanTask,
    Standing,
)
from adapter.discharge.planning import (
    ConsentState,
    PlanningState,
    consent_at,
    may_share_plan,
    planning,
)
from adapter.discharge.scenario import explain
from adapter.discharge.wording import said
from adapter.errors import ConfigurationError

K, S = NoticeKind, PlanningState
STOCKHOLM = ZoneInfo("Europe/Stockholm")
FIRST = datetime(2024, 3, 1, 9, 0, tzinfo=UTC)
ROLES = {"lasarettet": "hospital", "vannas": "municipality", "backa": "open-care"}
SIP = Plan(id="p", kind=PlanKind.SIP)
NOW = datetime(2024, 3, 20, 9, 0, tzinfo=UTC)


def told(kind: NoticeKind, days: float, sender: str = "backa", **more) -> Notice:
    at = FIRST + timedelta(days=days)
    return Notice(
        kind=kind,
        message_id=more.pop("message_id", f"{kind}-{days}"),
        sent_at=at,
        occurred=at,
        sender=sender,
        receivers=("vannas", "lasarettet"),
        hospital="lasarettet",
        encounter="V1",
        **more,
    )


ADMITTED = told(K.ADMITTED, 0, "lasarettet")
CONSENT = told(K.CONSENT_GIVEN, 1)


def case_of(*facts):
    (found,) = fold((ADMITTED, *facts), STOCKHOLM)
    return found


def state_of(*facts) -> PlanningState:
    return planning(case_of(*facts), ROLES).state


def versions(*plans: Plan) -> list[Notice]:
    return [told(K.CARE_PLAN, 2 + n, plan=plan) for n, plan in enumerate(plans)]


# --- states -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("draft", S.PROPOSED),
        ("active", S.AGREED),
        ("on-hold", S.AGREED),
        ("completed", S.ENDED),
        ("revoked", S.ENDED),
        ("entered-in-error", S.ENDED),
    ],
)
def test_a_plan_is_what_its_latest_version_says(status, state):
    assert state_of(CONSENT, *versions(SIP, replace(SIP, status=status))) is state


def test_a_meeting_is_held_when_it_is_said_so_or_when_a_plan_is_agreed_after_it_began():
    meeting = Meeting(starts=FIRST + timedelta(days=3))
    call = told(K.SIP_CALL, 1, meeting=meeting)
    planned = planning(case_of(CONSENT, call), ROLES)
    assert (planned.meeting, planned.met, planned.state) == (meeting, False, S.CALLED)
    held = replace(meeting, status="fulfilled")
    draft = told(
        K.CARE_PLAN, 2, plan=replace(SIP, status="draft", kind=PlanKind.DISCHARGE_PLAN), meeting=held
    )
    assert state_of(CONSENT, call, draft) is S.MET  # a discharge plan is not what the meeting is for
    assert planning(case_of(CONSENT, call, told(K.CARE_PLAN, 4, plan=SIP)), ROLES).met
    assert not planning(case_of(CONSENT, call, told(K.CARE_PLAN, 2, plan=SIP)), ROLES).met


def test_a_call_with_another_time_moves_the_meeting():
    first = told(K.SIP_CALL, 1, meeting=Meeting(starts=date(2024, 3, 5)))
    moved = told(K.SIP_CALL, 2, meeting=Meeting(starts=date(2024, 3, 6)))
    for facts in permutations((CONSENT, first, moved)):
        found = planning(case_of(*facts), ROLES)
        assert found.meeting == Meeting(starts=date(2024, 3, 6))
        assert found.called is not None
        assert found.called.at == first.sent_at
    back = told(K.SIP_CALL, 3, standing=Standing.CANCELLATION, refers_to=moved.message_id, message_id="back")
    assert planning(case_of(first, moved, back), ROLES).meeting == Meeting(starts=date(2024, 3, 5))


def test_a_version_that_follows_the_follow_up_does_not_make_it_undone():
    followed = told(K.FOLLOWED_UP, 5, fulfils="sip-meeting")
    assert state_of(CONSENT, *versions(SIP), followed, told(K.CARE_PLAN, 6, plan=SIP)) is S.FOLLOWED_UP
    assert state_of(CONSENT, *versions(SIP), replace(followed, fulfils="call")) is S.AGREED
    assert state_of(CONSENT, followed, told(K.CARE_PLAN, 6, plan=SIP)) is S.AGREED  # it was agreed later


def test_a_stranger_is_taken_for_whom_the_step_expects_and_the_hospital_for_nobody_else():
    call = told(K.SIP_CALL, 1, "somebody")
    assert planning(case_of(call), {}).called is not None
    assert planning(case_of(replace(call, sender="lasarettet")), {}).called is None


def test_a_discharge_plan_alone_is_no_joint_planning():
    found = planning(case_of(told(K.CARE_PLAN, 2, plan=replace(SIP, kind=PlanKind.DISCHARGE_PLAN))), ROLES)
    assert found.state is S.NOT_STARTED
    assert [p.state.value for p in found.plans] == ["agreed"]


def test_a_withdrawal_of_readiness_says_nothing_where_no_planning_had_begun():
    ready = told(K.READY_FOR_DISCHARGE, 1, "lasarettet")
    assert state_of(ready, told(K.READINESS_WITHDRAWN, 2, "lasarettet")) is S.NOT_STARTED
    assert (
        state_of(replace(ready, sip_needed=True), told(K.READINESS_WITHDRAWN, 2, "lasarettet")) is S.WITHDRAWN
    )


# --- consent ----------------------------------------------------------------------------------------------


def test_consent_stands_from_when_it_is_given_to_when_it_is_withdrawn():
    case = case_of(CONSENT, told(K.CONSENT_WITHDRAWN, 3))
    at = FIRST.__add__
    assert consent_at(case, at(timedelta(hours=1))).state is ConsentState.NONE
    assert consent_at(case, at(timedelta(days=1))).state is ConsentState.GIVEN
    assert consent_at(case, at(timedelta(days=3))).state is ConsentState.WITHDRAWN
    assert consent_at(case) == consent_at(case, at(timedelta(days=9)))
    assert consent_at(case).message_id == "consent-withdrawn-3"


def test_of_consent_and_refusal_at_one_instant_the_refusal_stands():
    both = (CONSENT, told(K.CONSENT_WITHDRAWN, 1, refused=True))
    for facts in permutations(both):
        assert consent_at(case_of(*facts)).state is ConsentState.REFUSED


def test_a_consent_that_was_told_by_mistake_is_no_consent():
    back = told(
        K.CONSENT_GIVEN, 2, standing=Standing.CANCELLATION, refers_to=CONSENT.message_id, message_id="back"
    )
    case = case_of(CONSENT, back)
    assert may_share_plan(case, NOW, PlanKind.SIP) is not None


def test_why_a_plan_may_not_be_shared_is_told_in_words_and_when():
    refused = case_of(told(K.CONSENT_WITHDRAWN, 1, refused=True))
    why = may_share_plan(refused, NOW, PlanKind.INDIVIDUAL_PLAN)
    assert why is not None
    assert said(why) == (
        "the patient refused consent Saturday 2024-03-02 10:00:00: nothing of a plan may be shared"
    )
    assert said(why, "sv").startswith("patienten nekade samtycke lördag")


# --- tasks ------------------------------------------------------------------------------------------------

TASK = PlanTask(id="t", owner="vannas", due=date(2024, 3, 15), status="accepted")


def due_of(*plans: Plan, now: datetime = NOW, others=()):
    case = case_of(CONSENT, *versions(*plans), *others)
    terms = agreement("sweden")
    return [d for d in deadlines(case, terms, now, ROLES) if d.kind == "plan-task"]


def plan_with(*tasks: PlanTask, status: str = "active") -> Plan:
    return replace(SIP, status=status, tasks=tasks)


def test_a_day_counts_to_its_last_second_and_an_instant_to_itself():
    (by_day,) = due_of(plan_with(TASK))
    assert by_day.due_at == datetime(2024, 3, 15, 23, 59, 59, tzinfo=STOCKHOLM)
    last = by_day.due_at
    assert due_of(plan_with(TASK), now=last)[0].state == "open"
    assert due_of(plan_with(TASK), now=last + timedelta(seconds=1))[0].state == "missed"
    instant = datetime(2024, 3, 15, 8, 30, tzinfo=UTC)
    assert due_of(plan_with(replace(TASK, due=instant)))[0].due_at == instant


@pytest.mark.parametrize(
    ("status", "state"),
    [
        *((s, "missed") for s in ("requested", "received", "accepted", "ready", "in-progress", "on-hold")),
        ("failed", "missed"),
        ("completed", "met"),
        *((s, "void") for s in ("cancelled", "rejected", "entered-in-error")),
    ],
)
def test_a_task_stands_as_the_latest_version_of_the_plan_says(status, state):
    (found,) = due_of(plan_with(TASK), plan_with(replace(TASK, status=status)))
    assert found.state == state


def test_a_task_that_nobody_has_been_asked_to_do_or_that_has_no_time_is_not_due():
    for task in (
        replace(TASK, status="draft"), replace(TASK, due=None), replace(TASK, owner=None),
    ):  # fmt: skip
        assert due_of(plan_with(task)) == []


def test_what_is_left_out_or_taken_back_with_the_plan_need_not_be_done():
    (left_out,) = due_of(plan_with(TASK), plan_with())
    assert (left_out.state, left_out.reason) == (
        "void", "the plan no longer has the task Monday 2024-03-04 10:00:00",
    )  # fmt: skip
    (revoked,) = due_of(plan_with(TASK), plan_with(TASK, status="revoked"))
    assert (revoked.state, revoked.reason) == ("void", "the plan was taken back Monday 2024-03-04 10:00:00")


def test_a_task_taken_up_again_is_due_again_and_done_when_the_last_version_says_so():
    done, again = replace(TASK, status="completed"), replace(TASK, status="in-progress")
    (found,) = due_of(plan_with(TASK), plan_with(done), plan_with(again))
    assert found.state == "missed"
    (found,) = due_of(plan_with(done), plan_with(again), plan_with(done))
    assert (found.state, found.settled_at) == ("met", FIRST + timedelta(days=4))


def test_a_task_done_after_its_time_is_met_late_and_one_moved_is_due_when_the_plan_now_says():
    late = replace(TASK, due=date(2024, 3, 3), status="completed")
    assert due_of(plan_with(TASK), plan_with(late))[0].state == "met-late"
    (moved,) = due_of(plan_with(TASK), plan_with(replace(TASK, due=date(2024, 4, 2))))
    assert (moved.state, moved.due_at.date()) == ("open", date(2024, 4, 2))


def test_an_earlier_version_that_comes_late_changes_nothing():
    first, second = versions(plan_with(TASK), plan_with(replace(TASK, status="completed")))
    found = [
        [d for d in deadlines(case_of(CONSENT, *order), agreement("sweden"), NOW, ROLES) if d.about]
        for order in permutations((first, second))
    ]
    assert found[0] == found[1]
    assert [d.state for d in found[0]] == ["met"]


def test_who_must_act_is_the_owner_in_the_role_that_the_register_gives_it():
    tasks = [replace(TASK, id=owner, owner=owner) for owner in (*ROLES, "somebody")]
    found = {d.party: d.actor for d in due_of(plan_with(*tasks))}
    assert found == ROLES | {"somebody": "municipality"}


def test_tasks_are_told_apart_and_say_what_they_are_about():
    two = [replace(TASK, id=n, what=f"Dusch {n}") for n in ("1", "2")]
    found = due_of(plan_with(*two))
    assert [d.about for d in found] == ["p 1", "p 2"]
    assert [d.reason for d in found] == ["the task: Dusch 1", "the task: Dusch 2"]
    assert "Friday 2024-03-15 23:59:59" in said(found[0].counted)


def test_after_a_death_that_the_municipality_tells_no_task_is_due():
    died = replace(told(K.DECEASED, 5, "vannas"), hospital=None, encounter=None)
    (found,) = due_of(plan_with(TASK), others=(died,))
    assert (found.state, found.settled_at) == ("void", FIRST + timedelta(days=5))
    assert state_of(CONSENT, *versions(plan_with(TASK)), died) is S.CLOSED


# --- the law's deadlines ----------------------------------------------------------------------------------


def scenario(*events: dict, now: str = "2024-03-20T10:00:00+01:00") -> dict:
    first = [
        {"kind": "admitted", "at": "2024-03-01T10:00:00+01:00", "receiver": ["municipality", "open-care"]},
        {"kind": "open-care-availability", "at": "2024-03-02T10:00:00+01:00", "available": True},
        {"kind": "ready-for-discharge", "at": "2024-03-05T10:00:00+01:00", "sip_needed": True},
    ]
    return explain({"agreement": "sweden", "now": now, "events": [*first, *events]})


def state(found: dict, kind: str) -> list[str]:
    return [d["state"] for d in found["deadlines"] if d["kind"] == kind]


@pytest.mark.parametrize("who", [None, *Decliner])
def test_only_a_patient_who_declines_ends_the_duty_to_call_and_lets_days_be_charged(who):
    said_who = {"declined_by": who.value} if who else {}
    found = scenario({"kind": "sip-declined", "at": "2024-03-06T10:00:00+01:00", **said_who})
    by_party = who is Decliner.PARTY
    assert state(found, "sip-call") == ["missed" if by_party else "void"]
    assert (found["payment"]["liable_from"] is None) is by_party


def test_a_scenario_tells_of_plans_their_tasks_and_the_meeting():
    plan = {
        "kind": "sip",
        "tasks": [
            {"id": "1", "owner": "municipality:Vännäs", "due": "2024-03-12", "what": "Hemtjänst"},
            {"id": "2", "owner": "hospital", "due": "2024-03-22T12:00:00+01:00"},
        ],
    }
    found = scenario(
        {"kind": "consent-given", "at": "2024-03-06T09:00:00+01:00"},
        {"kind": "sip-call", "at": "2024-03-06T10:00:00+01:00", "meeting": "2024-03-07T10:00:00+01:00"},
        {"kind": "care-plan", "at": "2024-03-07T11:00:00+01:00", "sender": "open-care", "plan": plan},
    )
    tasks = [d for d in found["deadlines"] if d["kind"] == "plan-task"]
    assert [(d["party"], d["actor"], d["state"]) for d in tasks] == [
        ("municipality:Vännäs", "municipality", "missed"),
        ("hospital", "hospital", "open"),
    ]
    assert tasks[0]["why"][1]["sv"] == "uppgiften: Hemtjänst"


@pytest.mark.parametrize(
    ("event", "where"),
    [
        ({"kind": "sip-call", "plan": {}}, "plan: belongs to care-plan"),
        ({"kind": "care-plan", "meeting": "2024-03-07"}, "meeting: belongs to sip-call"),
        ({"kind": "care-plan", "plan": []}, "plan: must be a JSON object"),
        ({"kind": "care-plan", "plan": {"kind": "wish"}}, "plan: kind: 'wish' is unknown"),
        ({"kind": "care-plan", "plan": {"tasks": {}}}, "plan, tasks: must be a list"),
        ({"kind": "care-plan", "plan": {"tasks": [{}]}}, r"plan, tasks\[0\]: id: is missing"),
        ({"kind": "care-plan", "plan": {"tasks": [{"id": "1", "due": "soon"}]}}, r"tasks\[0\]: due"),
        ({"kind": "care-plan", "plan": {"tasks": [{"id": "1", "owner": "aunt"}]}}, "'aunt' is no party"),
        ({"kind": "care-plan", "plan": {"tasks": [{"id": "1", "who": "x"}]}}, "who: is not known"),
        ({"kind": "sip-declined", "declined_by": "aunt"}, "declined_by: 'aunt' is unknown"),
        ({"kind": "consent-withdrawn", "refused": "yes"}, "refused: must be true or false"),
    ],
)
def test_a_mistake_in_a_scenario_is_named_with_its_place(event, where):
    with pytest.raises(ConfigurationError, match=where):
        scenario({"at": "2024-03-06T10:00:00+01:00", **event})
