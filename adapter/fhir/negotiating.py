"""Who may do what with a Task and a plan: asked, accepted, another day proposed, declined with a reason.

FHIR R4 task.html gives the states; who may take which step is ours: the owner answers and works, the
requester asks, asks anew, takes a proposal and calls off. An accepted Task makes its owner a member of the
plan's CareTeam.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from adapter.errors import Refused
from adapter.fhir.bundles import CANONICAL, Resource
from adapter.fhir.codes import words
from adapter.fhir.serving import values
from adapter.phrases import Phrase, phrase, technical

NEGOTIATION_SYSTEM = f"{CANONICAL}/CodeSystem/negotiations"
OTHER_DAY = "other-day"
"""Task.businessStatus of a Task on hold: its owner proposes Task.executionPeriod instead."""

OWNER, REQUESTER = "owner", "requester"

_STEPS: dict[str, dict[str, frozenset[str]]] = {
    OWNER: {
        "requested": frozenset(("received", "accepted", "rejected", "on-hold")),
        "received": frozenset(("accepted", "rejected", "on-hold")),
        "on-hold": frozenset(("accepted", "rejected", "on-hold", "in-progress")),
        "ready": frozenset(("in-progress", "accepted", "rejected", "on-hold")),
        "accepted": frozenset(("in-progress", "completed", "failed", "on-hold", "rejected")),
        "in-progress": frozenset(("completed", "failed", "on-hold")),
    },
    REQUESTER: {
        "draft": frozenset(("requested", "cancelled", "entered-in-error")),
        "requested": frozenset(("cancelled", "entered-in-error")),
        "received": frozenset(("cancelled", "requested", "entered-in-error")),
        "on-hold": frozenset(("cancelled", "requested", "accepted", "entered-in-error")),
        "ready": frozenset(("cancelled", "entered-in-error")),
        "accepted": frozenset(("cancelled", "entered-in-error")),
        "in-progress": frozenset(("cancelled", "entered-in-error")),
        "rejected": frozenset(("requested", "entered-in-error")),
    },
}
_OVER = frozenset(("completed", "failed", "cancelled", "entered-in-error"))
_BY_THE_OWNER = words("status statusReason businessStatus executionPeriod note output lastModified meta text")
"""What the owner may change; the rest says what has been asked."""

_BY_THE_REQUESTER = words("status statusReason businessStatus note lastModified meta text")
"""What the requester may change once the owner has spoken, unless all of it is asked anew."""

_FIXED = frozenset(("for", "requester", "authoredOn", "intent", "code", "basedOn", "encounter"))
"""What nobody may change: it would be another Task."""

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)


def check_task(
    before: Resource, after: Resource, roles: Iterable[str], *, reason_needed: bool = True
) -> None:
    """Refused unless somebody in these roles (owner, requester) may make `before` into `after`.

    An instant that is written in another way (`Z` for `+00:00`, as XML and many clients have it) is the same.
    """
    before, after = _as_meant(before), _as_meant(after)
    for name in sorted(_FIXED):
        if before.get(name) != after.get(name):
            raise Refused(
                phrase(
                    "{element} cannot be changed; call this Task off and ask anew", element=f"Task.{name}"
                ),
                code="business-rule",
            )
    held = tuple(roles)
    was, now = before["status"], after["status"]
    allowed = [role for role in held if was == now or now in _STEPS[role].get(was, ())]
    if was in _OVER and before != after:
        raise Refused(
            phrase("Task.status is {status}: what is over is not changed", status=was), code="business-rule"
        )
    if not allowed:
        raise Refused(_may_go_to(held, was), code="business-rule")
    if allowed == [OWNER]:
        _only_what_the_owner_may(before, after)
    elif allowed == [REQUESTER] and now != "requested" and was not in ("draft", "requested"):
        _nothing_in_the_owners_name(before, after)
    if now == "rejected" and was != now and reason_needed and "statusReason" not in after:
        raise Refused(phrase("Task.statusReason is required where a Task is declined"), code="required")
    _proposal(before, after, allowed)


def _may_go_to(held: Iterable[str], was: str) -> Phrase:
    steps = sorted({step for role in held for step in _STEPS[role].get(was, ())})
    if not steps:
        return phrase("Task.status: from {status} this caller may go to: nothing", status=was)
    return phrase("Task.status: from {status} this caller may go to: {steps}", status=was, steps=steps)


def _as_meant(value: Any) -> Any:
    """The value with every instant in it as a point in time, for comparing only."""
    if isinstance(value, dict):
        return {name: _as_meant(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_as_meant(one) for one in value]
    if isinstance(value, str) and _INSTANT.fullmatch(value):
        try:
            return datetime.fromisoformat(value).astimezone(UTC)
        except (ValueError, OverflowError):  # a leap second, or the first and last day of all
            return value
    return value


def _only_what_the_owner_may(before: Resource, after: Resource) -> None:
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name) and name not in _BY_THE_OWNER:
            raise Refused(
                phrase(
                    "{element} is the requester's to change; propose it in a note", element=f"Task.{name}"
                ),
                code="business-rule",
            )


def _nothing_in_the_owners_name(before: Resource, after: Resource) -> None:
    """Refused where what the owner has answered to, or the answer itself, would become something else."""
    kept = (
        _BY_THE_REQUESTER if before["status"] != after["status"] else _BY_THE_REQUESTER - {"businessStatus"}
    )
    if after["status"] == "accepted" and proposes_other_day(before):
        kept |= {"restriction"}  # by when it is wanted follows the day that was proposed
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name) and name not in kept:
            raise Refused(
                phrase(
                    "{element}: its owner has answered to it as it was; ask anew, with the status requested",
                    element=f"Task.{name}",
                ),
                code="business-rule",
            )


def _proposal(before: Resource, after: Resource, roles: list[str]) -> None:
    """A proposal names its day; only a proposal that stands can be taken by the requester."""
    if proposes_other_day(after) and "start" not in (after.get("executionPeriod") or {}):
        raise Refused(
            phrase("Task.executionPeriod.start is required where another day is proposed"), code="required"
        )
    taken = after["status"] == "accepted" and before["status"] == "on-hold" and roles == [REQUESTER]
    same = before.get("executionPeriod") == after.get("executionPeriod")
    if taken and not (proposes_other_day(before) and same):
        raise Refused(
            phrase("Task.status: the requester accepts only what the owner has proposed, as it stands"),
            code="business-rule",
        )


def proposes_other_day(task: Resource) -> bool:
    """Whether the owner proposes another day instead."""
    codings = (task.get("businessStatus") or {}).get("coding") or ()
    other = any(c.get("system") == NEGOTIATION_SYSTEM and c.get("code") == OTHER_DAY for c in codings)
    return bool(task["status"] == "on-hold" and other)


def check_plan(before: Resource, after: Resource) -> None:
    """Refused where a CarePlan would become somebody else's."""
    for name in ("subject", "intent"):
        if before.get(name) != after.get(name):
            raise Refused(technical(f"CarePlan.{name} cannot be changed"), code="business-rule")
    if any("detail" in activity for activity in after.get("activity") or ()):
        reason = "CarePlan.activity.detail: refer to a ServiceRequest or Task with activity.reference instead"
        raise Refused(technical(reason), code="business-rule")


def joins(before: Resource, after: Resource) -> bool:
    """Whether the Task's owner has just taken it on."""
    return bool(after["status"] == "accepted" and before["status"] != "accepted")


def with_member(team: Resource, member: str, task: Resource) -> Resource:
    """The CareTeam with the Organization `member` (Type/id) in it; the same where it is in it already."""
    if member in {found.get("reference") for found in values(team, "participant.member")}:
        return team
    participant: Resource = {"member": {"reference": member}}
    role = task.get("performerType") or ([task["code"]] if "code" in task else [])
    if role:
        participant["role"] = role
    return team | {"participant": [*(team.get("participant") or ()), participant]}


def new_team(team_id: str, plan: Resource) -> Resource:
    """A CareTeam for a plan that has none."""
    made: Resource = {
        "resourceType": "CareTeam",
        "id": team_id,
        "status": "active",
        "subject": plan["subject"],
    }
    return made | ({"encounter": plan["encounter"]} if "encounter" in plan else {})
