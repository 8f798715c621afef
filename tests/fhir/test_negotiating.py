"""Who may take which step with a Task, and what nobody may change (FHIR R4 task.html)."""

from typing import Any

import pytest

from adapter.errors import Refused
from adapter.fhir.negotiating import (
    NEGOTIATION_SYSTEM,
    OTHER_DAY,
    OWNER,
    REQUESTER,
    check_plan,
    check_task,
    joins,
    new_team,
    with_member,
)

PROPOSED = {
    "status": "on-hold",
    "businessStatus": {"coding": [{"system": NEGOTIATION_SYSTEM, "code": OTHER_DAY}]},
    "executionPeriod": {"start": "2026-03-12"},
}
STEPS = [
    (OWNER, "requested", "accepted"),
    (OWNER, "requested", "received"),
    (OWNER, "received", "accepted"),
    (OWNER, "on-hold", "accepted"),
    (OWNER, "accepted", "in-progress"),
    (OWNER, "accepted", "completed"),
    (OWNER, "in-progress", "completed"),
    (OWNER, "in-progress", "failed"),
    (REQUESTER, "requested", "cancelled"),
    (REQUESTER, "accepted", "cancelled"),
    (REQUESTER, "rejected", "requested"),
    (REQUESTER, "on-hold", "requested"),
    (REQUESTER, "draft", "requested"),
]
NO_STEPS = [
    (OWNER, "requested", "completed"),
    (OWNER, "requested", "cancelled"),
    (OWNER, "rejected", "accepted"),
    (OWNER, "draft", "requested"),
    (REQUESTER, "requested", "accepted"),
    (REQUESTER, "requested", "rejected"),
    (REQUESTER, "accepted", "completed"),
    (OWNER, "completed", "accepted"),
    (REQUESTER, "completed", "requested"),
    (REQUESTER, "cancelled", "requested"),
    (OWNER, "failed", "completed"),
]


def task(status: str = "requested", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Task", "id": "t", "status": status, "intent": "order",
        "for": {"reference": "Patient/P"}, "code": {"text": "Heimesjukepleie"},
        "requester": {"reference": "Organization/hospital"}, "owner": {"reference": "Organization/luster"},
        "restriction": {"period": {"end": "2026-03-10"}}, **more,
    }  # fmt: skip


@pytest.mark.parametrize(("role", "was", "now"), STEPS)
def test_a_step_that_may_be_taken(role: str, was: str, now: str) -> None:
    check_task(task(was), task(now), [role])


@pytest.mark.parametrize(("role", "was", "now"), NO_STEPS)
def test_a_step_that_may_not(role: str, was: str, now: str) -> None:
    with pytest.raises(Refused, match=r"Task\.status"):
        check_task(task(was), task(now), [role])


@pytest.mark.parametrize("over", ["completed", "failed", "cancelled", "entered-in-error"])
@pytest.mark.parametrize("role", [OWNER, REQUESTER])
def test_what_is_over_is_not_changed(role: str, over: str) -> None:
    with pytest.raises(Refused, match="over"):
        check_task(task(over), task(over, note=[{"text": "likevel"}]), [role])


@pytest.mark.parametrize(
    "changed",
    [
        {"for": {"reference": "Patient/Q"}},
        {"requester": {"reference": "Organization/other"}},
        {"code": {"text": "Noko anna"}},
        {"intent": "plan"},
        {"basedOn": [{"reference": "CarePlan/x"}]},
        {"encounter": {"reference": "Encounter/x"}},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_nobody_makes_it_another_task(changed: dict[str, Any]) -> None:
    with pytest.raises(Refused, match=rf"Task\.{next(iter(changed))} cannot be changed"):
        check_task(task(), task() | changed, [OWNER, REQUESTER])


@pytest.mark.parametrize(
    "changed",
    [
        {"restriction": {"period": {"end": "2027-01-01"}}},
        {"owner": {"reference": "Organization/vik"}},
        {"description": "Berre morgon"},
        {"priority": "routine"},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_what_is_asked_is_the_requesters_to_change(changed: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="requester's to change"):
        check_task(task(), task("accepted") | changed, [OWNER])
    check_task(task(), task() | changed, [REQUESTER])


def test_declining_needs_a_reason_unless_the_question_was_a_ready_notice() -> None:
    with pytest.raises(Refused, match=r"Task\.statusReason"):
        check_task(task(), task("rejected"), [OWNER])
    check_task(task(), task("rejected", statusReason={"text": "Ikkje kapasitet"}), [OWNER])
    check_task(task(), task("rejected"), [OWNER], reason_needed=False)


def test_another_day_names_the_day() -> None:
    without = {key: value for key, value in PROPOSED.items() if key != "executionPeriod"}
    with pytest.raises(Refused, match=r"executionPeriod\.start"):
        check_task(task(), task(**without), [OWNER])
    check_task(task(), task(**PROPOSED), [OWNER])


def test_the_requester_takes_a_proposal_only_as_it_stands() -> None:
    check_task(task(**PROPOSED), task(**PROPOSED | {"status": "accepted"}), [REQUESTER])
    later = {"status": "accepted", "restriction": {"period": {"end": "2026-03-12"}}}
    check_task(task(**PROPOSED), task(**PROPOSED | later), [REQUESTER])
    other = PROPOSED | {"status": "accepted", "executionPeriod": {"start": "2026-03-13"}}
    with pytest.raises(Refused, match=r"as it (was|stands)"):
        check_task(task(**PROPOSED), task(**other), [REQUESTER])
    with pytest.raises(Refused, match=r"as it (was|stands)"):
        check_task(task("on-hold"), task("accepted"), [REQUESTER])


def test_a_plan_stays_that_patients_and_a_plan() -> None:
    plan = {"resourceType": "CarePlan", "subject": {"reference": "Patient/P"}, "intent": "plan"}
    check_plan(plan, plan | {"title": "Ny tittel"})
    with pytest.raises(Refused, match=r"CarePlan\.subject"):
        check_plan(plan, plan | {"subject": {"reference": "Patient/Q"}})
    with pytest.raises(Refused, match=r"CarePlan\.intent"):
        check_plan(plan, plan | {"intent": "order"})
    with pytest.raises(Refused, match=r"activity\.reference"):
        check_plan(plan, plan | {"activity": [{"detail": {"status": "scheduled"}}]})


def test_who_accepts_joins_once_with_what_it_does_as_its_role() -> None:
    assert joins(task(), task("accepted"))
    assert not joins(task("accepted"), task("accepted"))
    plan = {"resourceType": "CarePlan", "subject": {"reference": "Patient/P"}}
    team = with_member(new_team("team", plan), "Organization/luster", task())
    (member,) = team["participant"]
    assert member == {"member": {"reference": "Organization/luster"}, "role": [{"text": "Heimesjukepleie"}]}
    assert with_member(team, "Organization/luster", task()) is team
