"""A plan for the tests: three parties, a goal, and what the municipality is asked to do."""

import uuid
from datetime import datetime
from typing import Any

from adapter.discharge.notices import Notice, NoticeKind
from adapter.fhir.bundles import CANONICAL, Bundle, Subject, with_extension
from adapter.fhir.notices import message_bundle
from adapter.fhir.wire import to_json
from adapter.messaging.register import Register
from tests.stage import SYNNOVE, address_of

KINDS = f"{CANONICAL}/CodeSystem/care-plan-kinds"
PLAN, TEAM, GOAL = (str(uuid.uuid5(uuid.NAMESPACE_URL, name)) for name in ("plan", "team", "goal"))
MEASURE, TASK = (str(uuid.uuid5(uuid.NAMESPACE_URL, name)) for name in ("measure", "task"))


def plan_message(
    register: Register,
    *,
    at: datetime,
    sender: str = "laerdal-sjukehus",
    receivers: tuple[str, ...] = ("luster",),
    asked: str = "luster",
    hospital: str = "laerdal-sjukehus",
    subject: Subject = SYNNOVE,
    goal: str = "Gå til postkassen utan rullator",
    based_on: str | None = None,
    kind: str = "discharge-plan",
    **more: Any,
) -> Bundle:
    """A `care-plan` message with the whole graph; `asked` owns its Task."""
    addresses = [address_of(register, one) for one in receivers]
    notice = Notice(
        kind=NoticeKind.CARE_PLAN,
        message_id=str(uuid.uuid4()),
        sent_at=at,
        occurred=at,
        sender=address_of(register, sender).token,
        encounter="LS-1",
        **more,
    )
    bundle = message_bundle(
        notice,
        subject=subject,
        sender=address_of(register, sender),
        receivers=addresses,
        hospital=address_of(register, hospital),
        transmission_id=str(uuid.uuid4()),
    )
    head, patient = bundle["entry"][0]["resource"], bundle["entry"][1]
    with_extension(head, "based-on", "String", based_on)
    plan = next(i for i in bundle["entry"] if i["resource"]["resourceType"] == "CarePlan")
    organizations = [i for i in bundle["entry"] if i["resource"]["resourceType"] == "Organization"]
    owner = _organization(register, asked, organizations, bundle)
    about = {"reference": patient["fullUrl"]}
    plan["fullUrl"] = f"urn:uuid:{PLAN}"
    head["focus"] = [{"reference": plan["fullUrl"]}]
    plan["resource"] |= {
        "id": PLAN,
        "title": "Plan etter utskriving",
        "category": [*plan["resource"]["category"], {"coding": [{"system": KINDS, "code": kind}]}],
        "careTeam": [{"reference": f"urn:uuid:{TEAM}"}],
        "goal": [{"reference": f"urn:uuid:{GOAL}"}],
        "activity": [
            {"reference": {"reference": f"urn:uuid:{MEASURE}"}},
            {"reference": {"reference": f"urn:uuid:{TASK}"}},
        ],
    }
    sending = head["sender"]
    for made in (
        {
            "resourceType": "CareTeam", "id": TEAM, "status": "active", "subject": about,
            "participant": [{"member": sending}],
        },
        {
            "resourceType": "Goal", "id": GOAL, "lifecycleStatus": "active", "subject": about,
            "description": {"text": goal},
        },
        {
            "resourceType": "ServiceRequest", "id": MEASURE, "status": "active", "intent": "plan",
            "subject": about, "code": {"text": "Heimesjukepleie morgon og kveld"},
            "occurrenceDateTime": "2014-03-10",
        },
        {
            "resourceType": "Task", "id": TASK, "status": "requested", "intent": "order", "for": about,
            "code": {"text": "Heimesjukepleie"}, "focus": {"reference": f"urn:uuid:{MEASURE}"},
            "basedOn": [{"reference": f"urn:uuid:{PLAN}"}], "requester": sending,
            "owner": {"reference": owner}, "restriction": {"period": {"end": "2014-03-10"}},
        },
    ):  # fmt: skip
        bundle["entry"].append({"fullUrl": f"urn:uuid:{made['id']}", "resource": made})
    return bundle


def _organization(register: Register, party: str, known: list[Any], bundle: Bundle) -> str:
    address = address_of(register, party)
    for item in known:
        if item["resource"]["identifier"][0]["value"] == address.identifiers[0][1]:
            return str(item["fullUrl"])
    made = {
        "resourceType": "Organization",
        "id": str(uuid.uuid4()),
        "identifier": [{"system": s, "value": v} for s, v in address.identifiers],
    }
    bundle["entry"].append({"fullUrl": f"urn:uuid:{made['id']}", "resource": made})
    return f"urn:uuid:{made['id']}"


def plan_bytes(register: Register, **said: Any) -> bytes:
    """The same as bytes."""
    return to_json(plan_message(register, **said))
