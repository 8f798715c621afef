"""What the notices of the planning say: the plan and its Tasks, the meeting, the contact, the consent.

Who does what is a Task with an owner and a time by which (`restriction.period.end`, else
`executionPeriod.end`); the meeting is an Appointment; the fixed care contact and the coordinator are
participants of a CareTeam, told by their role and their organisation. No name of a person is read.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, tzinfo
from re import ASCII, compile
from typing import Any

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
from adapter.errors import Refused
from adapter.fhir.bundles import (
    DECLINER_SYSTEM,
    EVENT_SYSTEM,
    NATIONAL_IDENTIFIERS,
    PLAN_KIND_SYSTEM,
    TEAM_ROLE_SYSTEM,
    Bundle,
    Resource,
    address_of,
    coded,
    follow,
    header,
    instant_text,
    moment,
    of_type,
    reference,
    resources,
    same_id,
)
from adapter.messaging.envelope import LONGEST_ID, Address
from adapter.phrases import phrase

K = NoticeKind

ROLES = {K.FIXED_CONTACT_NAMED: "fixed-care-contact", K.COORDINATOR_NAMED: "coordinator"}
"""The role in which a CareTeam names its participant, by the notice that tells it."""

LONGEST_WHAT = 120
"""Characters of what a Task is about that a deadline shows."""

_OF_THE_PATIENT = ("Patient", "RelatedPerson")
_NUMBER = compile(r"(?:\d[-+ .]?){10,}", ASCII)
_WORD = compile(r"[^\W\d_]{2,}")
_NO_MEETING = ("cancelled", "noshow", "entered-in-error")
_NO_CONSENT = ("rejected", "inactive", "entered-in-error")
_UNKNOWN = "{element} has an unknown code of {system}"


# --- what a message says ----------------------------------------------------------------------------------


def planning_in(
    bundle: Bundle, focus: Resource, kind: NoticeKind, standing: Standing, zone: tzinfo
) -> dict[str, Any]:
    """The fields of the notice that tell of the planning, as far as its kind has them."""
    if kind in (K.CONSENT_GIVEN, K.CONSENT_WITHDRAWN):
        return {"refused": refused_in(focus, kind, standing)}
    if kind is K.SIP_DECLINED:
        return {"declined_by": decliner_in(focus)}
    if kind in ROLES:
        return {"contact": contact_in(bundle, focus, kind)}
    if kind is K.SIP_CALL:
        return {"meeting": meeting_in(bundle, focus, kind, standing, zone)}
    if kind is K.CARE_PLAN:
        plan = focus if focus.get("resourceType") == "CarePlan" else of_type(bundle, "CarePlan") or {}
        return {
            "plan": plan_in(bundle, plan, zone),
            "meeting": meeting_in(bundle, focus, kind, standing, zone),
        }
    return {}


def refused_in(consent: Resource, kind: NoticeKind, standing: Standing) -> bool:
    """Whether the consent was refused at once; Refused where its status denies what the event says."""
    status = consent.get("status")
    if kind is K.CONSENT_GIVEN and status in _NO_CONSENT and standing is not Standing.CANCELLATION:
        raise Refused(
            phrase("Consent.status denies what the event says, that consent is given"), code="invariant"
        )
    return kind is K.CONSENT_WITHDRAWN and status == "rejected"


def decliner_in(communication: Resource) -> Decliner | None:
    """Who does not take part, by Communication.reasonCode; None where it is not said."""
    code = coded(communication.get("reasonCode"), DECLINER_SYSTEM)
    if code is None:
        return None
    try:
        return Decliner(code)
    except ValueError:
        raise Refused(
            phrase(_UNKNOWN, element="Communication.reasonCode", system=DECLINER_SYSTEM), code="code-invalid"
        ) from None


def contact_in(bundle: Bundle, team: Resource, kind: NoticeKind) -> str | None:
    """The organisation of whom the CareTeam names in that role, as `system|value`."""
    named = team.get("participant") or ()
    in_role = [p for p in named if coded(p.get("role"), TEAM_ROLE_SYSTEM) == ROLES[kind]]
    for participant in in_role or named:
        for ref in (participant.get("onBehalfOf"), participant.get("member")):
            found = _organisation(bundle, ref)
            if found is not None:
                return found
    managing = (_organisation(bundle, ref) for ref in team.get("managingOrganization") or ())
    return next((found for found in managing if found is not None), None)


def meeting_in(
    bundle: Bundle, focus: Resource, kind: NoticeKind, standing: Standing, zone: tzinfo
) -> Meeting | None:
    """The meeting that a call calls to, or that a plan tells of; None where it has no time or is off.

    Refused where a call says of its own meeting that it is off: a call is taken back by a cancellation.
    """
    if kind is K.SIP_CALL and standing is not Standing.CANCELLATION and focus.get("status") in _NO_MEETING:
        raise Refused(
            phrase("Appointment.status says that the meeting is off; take the call back with a cancellation"),
            code="invariant",
        )
    told = [focus] if kind is K.SIP_CALL else [r for r in resources(bundle) if _is_meeting(r)]
    found = [made for made in (_meeting(appointment, zone) for appointment in told) if made is not None]
    return found[-1] if found else None


def _is_meeting(resource: Resource) -> bool:
    service = resource.get("serviceType") if resource.get("resourceType") == "Appointment" else None
    return coded(service, EVENT_SYSTEM) == K.SIP_CALL


def _meeting(appointment: Resource, zone: tzinfo) -> Meeting | None:
    asked: Resource = next(iter(appointment.get("requestedPeriod") or ()), {})
    starts = moment(appointment.get("start") or asked.get("start"), zone)
    ends = moment(appointment.get("end") or asked.get("end"), zone)
    status = str(appointment.get("status"))
    if starts is None or status in _NO_MEETING:
        return None
    return Meeting(starts=starts, ends=ends if isinstance(ends, datetime) else None, status=status)


def plan_in(bundle: Bundle, plan: Resource, zone: tzinfo) -> Plan:
    """The version of the plan that the message carries, with every Task of its graph."""
    tasks = [r for r in resources(bundle) if r.get("resourceType") == "Task"]
    people = frozenset(_names(bundle))
    return Plan(
        id=_identity(plan),
        kind=_kind(plan),
        status=str(plan.get("status")),
        tasks=tuple(_task(bundle, task, people, zone) for task in tasks),
    )


def _kind(plan: Resource) -> PlanKind | None:
    code = coded(plan.get("category"), PLAN_KIND_SYSTEM)
    if code is None:
        return None
    try:
        return PlanKind(code)
    except ValueError:
        raise Refused(
            phrase(_UNKNOWN, element="CarePlan.category", system=PLAN_KIND_SYSTEM), code="code-invalid"
        ) from None


def _identity(resource: Resource) -> str:
    """What a resource is known by from version to version: its first identifier, else its id."""
    for item in resource.get("identifier") or ():
        if item.get("value") and item.get("system") not in NATIONAL_IDENTIFIERS:
            system = item.get("system")
            return _fitting(f"{system}|{item['value']}" if system else str(item["value"]))
    return _fitting(same_id(str(resource.get("id", ""))))


def _fitting(identity: str) -> str:
    if len(identity) > LONGEST_ID:
        raise Refused(
            phrase(
                "an identifier of a CarePlan or Task is longer than {number} characters", number=LONGEST_ID
            ),
            code="value",
        )
    return identity


def _task(bundle: Bundle, task: Resource, people: frozenset[str], zone: tzinfo) -> PlanTask:
    restricted: Resource = (task.get("restriction") or {}).get("period") or {}
    ends = restricted.get("end") or (task.get("executionPeriod") or {}).get("end")
    return PlanTask(
        id=_identity(task),
        owner=_owner(bundle, task),
        due=moment(ends, zone),
        status=str(task.get("status")),
        what=_what(task, people),
    )


def _owner(bundle: Bundle, task: Resource) -> str | None:
    """Whose task it is: an organisation; the plan's sender where that is not told; None for the patient."""
    ref = task.get("owner")
    target = follow(bundle, ref)
    kind = (target or {}).get("resourceType") or _type_of(ref)
    if kind in _OF_THE_PATIENT:
        return None
    sender = address_of(follow(bundle, (header(bundle) or {}).get("sender"))).token
    return _organisation(bundle, ref) or sender


def _type_of(ref: Resource | None) -> str | None:
    """The type of resource that a Reference which leads out of the message names."""
    if ref is None:
        return None
    parts = str(ref.get("reference", "")).split("/")
    return ref.get("type") or (parts[-2] if len(parts) > 1 else None)


def _organisation(bundle: Bundle, ref: Resource | None) -> str | None:
    """The Organization behind a Reference as `system|value`, also where a person or team stands between."""
    found = follow(bundle, ref)
    if found is None:
        return _by_identifier(ref)
    kind = found["resourceType"]
    if kind == "Organization":
        address = address_of(found)
        return _token(address) if address.identifiers else None
    if kind == "PractitionerRole":
        return _organisation(bundle, found.get("organization"))
    if kind == "CareTeam":
        return _organisation(bundle, next(iter(found.get("managingOrganization") or ()), None))
    return None


def _by_identifier(ref: Resource | None) -> str | None:
    """A logical reference to an Organization; no person's identifier becomes an address."""
    said = (ref or {}).get("identifier") or {}
    system, value = said.get("system"), said.get("value")
    if (
        not (system and value)
        or system in NATIONAL_IDENTIFIERS
        or _type_of(ref) not in (None, "Organization")
    ):
        return None
    return _token(address_of({"resourceType": "Organization", "identifier": [said]}))


def _token(address: Address) -> str:
    if not address.fits:
        raise Refused(
            phrase("an identifier of an Organization is longer than {number} characters", number=LONGEST_ID),
            code="value",
        )
    return address.token


def _what(task: Resource, people: frozenset[str]) -> str | None:
    """What the task is about, of its code: the text, else a display; neither with a name or a number."""
    code: Resource = task.get("code") or {}
    said = [code.get("text"), *(coding.get("display") for coding in code.get("coding") or ())]
    fit = (" ".join(str(text).split()) for text in said if text)
    found = next((text for text in fit if not _identifies(text, people)), None)
    return found if found is None or len(found) <= LONGEST_WHAT else f"{found[: LONGEST_WHAT - 1]}…"


def _identifies(text: str, people: frozenset[str]) -> bool:
    return bool(_NUMBER.search(text)) or not people.isdisjoint(_words(text))


def _names(bundle: Bundle) -> Iterator[str]:
    """Every word of a name of a person in the message."""
    for resource in resources(bundle):
        named = resource.get("name")
        for name in named if isinstance(named, list) else ():
            if isinstance(name, dict):
                for part in (name.get("family"), name.get("text"), *(name.get("given") or ())):
                    yield from _words(part or "")


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


# --- and how it is written --------------------------------------------------------------------------------


def say_planning(focus: Resource, notice: Notice, contact: Resource | None) -> None:
    """Put what a notice of the planning says into the resource in focus."""
    kind = focus["resourceType"]
    if kind == "Consent" and notice.refused:
        focus["status"] = "rejected"
    if kind == "Communication" and notice.declined_by is not None:
        focus["reasonCode"] = [_concept(DECLINER_SYSTEM, notice.declined_by)]
    if kind == "CareTeam" and contact is not None:
        role = _concept(TEAM_ROLE_SYSTEM, ROLES[notice.kind])
        focus["participant"] = [{"role": [role], "member": reference(contact)}]
    if kind == "Appointment" and notice.meeting is not None:
        focus |= _times(notice.meeting)
    if kind == "CarePlan" and notice.plan is not None:
        _say_plan(focus, notice.plan)


def _concept(system: str, code: str) -> Resource:
    return {"coding": [{"system": system, "code": str(code)}]}


def _times(meeting: Meeting) -> Resource:
    """Appointment invariant app-2: start and end, or neither; one alone is a wish."""
    if isinstance(meeting.starts, datetime) and meeting.ends is not None:
        times: Resource = {"start": instant_text(meeting.starts), "end": instant_text(meeting.ends)}
        return {"status": meeting.status} | times
    return {"status": meeting.status, "requestedPeriod": [{"start": instant_text(meeting.starts)}]}


def _say_plan(focus: Resource, plan: Plan) -> None:
    focus["identifier"] = [_identifier(plan.id)]
    focus["status"] = plan.status
    if plan.kind is not None:
        focus["category"] = [*focus["category"], _concept(PLAN_KIND_SYSTEM, plan.kind)]


def _identifier(identity: str) -> Resource:
    system, bar, value = identity.rpartition("|")
    return {"system": system, "value": value} if bar else {"value": identity}


def graph_of(
    notice: Notice,
    plan: Resource,
    patient: Resource,
    stay: Resource,
    party: Callable[[str], Resource],
    new_id: Callable[[str], str],
) -> list[Resource]:
    """The Tasks of the plan and the meeting that it tells of; the plan leads to them as its activities."""
    if notice.plan is None:
        return []
    made = [
        _task_of(task, reference(plan), reference(patient), reference(stay), party, new_id(f"task/{task.id}"))
        for task in notice.plan.tasks
    ]
    if notice.meeting is not None:
        made.append(_meeting_of(notice.meeting, patient, new_id("meeting")))
    if made:
        plan["activity"] = [{"reference": reference(resource)} for resource in made]
    return made


def _task_of(
    task: PlanTask,
    plan: Resource,
    patient: Resource,
    stay: Resource,
    party: Callable[[str], Resource],
    resource_id: str,
) -> Resource:
    made: Resource = {
        "resourceType": "Task",
        "id": resource_id,
        "identifier": [_identifier(task.id)],
        "basedOn": [plan],
        "status": task.status,
        "intent": "order",
        "for": patient,
        "encounter": stay,
        "owner": reference(party(task.owner)) if task.owner is not None else patient,
    }
    if task.what is not None:
        made["code"] = {"text": task.what}
    if task.due is not None:
        made["restriction"] = {"period": {"end": instant_text(task.due)}}
    return made


def _meeting_of(meeting: Meeting, patient: Resource, resource_id: str) -> Resource:
    participant = {"actor": reference(patient), "required": "required", "status": "needs-action"}
    return {
        "resourceType": "Appointment",
        "id": resource_id,
        "serviceType": [_concept(EVENT_SYSTEM, K.SIP_CALL)],
        "participant": [participant],
    } | _times(meeting)
