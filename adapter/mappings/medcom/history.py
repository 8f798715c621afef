"""The Provenance history of a MedCom message: what was done to the stay or the thread, message by message.

Each message carries the Provenances of all that came before it, and one of its own, whose target is its
MessageHeader. Their order in the Bundle says nothing, and published examples contradict themselves
(standards 7, T6), so nothing here refuses.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from adapter.discharge.notices import Standing
from adapter.fhir.bundles import (
    Bundle,
    Resource,
    address_of,
    follow,
    header,
    instant_text,
    of_every_type,
    same_id,
)
from adapter.mappings.medcom import words
from adapter.mappings.medcom.header import generated, meta, relative

_NAMESPACE = uuid.UUID("2f6b8c1d-9e4a-5b07-a3d5-6c0e1f7b8d24")


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One Provenance: which message did what, when, after which."""

    message_id: str | None  # of its target, by the last part of the path
    activity: str  # its code, of medcom-messaging-activityCodes; empty where there is none
    occurred: datetime | None
    after: str | None  # the message that it builds on (entity.what)
    resource: Resource = field(repr=False)


def steps(bundle: Bundle) -> tuple[Step, ...]:
    """The history, oldest first; what has no time keeps its place before what has."""
    found = [_step(resource) for resource in of_every_type(bundle, "Provenance")]
    never = datetime.min.replace(tzinfo=UTC)
    return tuple(sorted(found, key=lambda step: step.occurred or never))


def newest(history: Sequence[Step], message_id: str) -> Step | None:
    """The step of this very message; of a history in which none is, the last one.

    Where two are, the later: an acknowledgement repeats what it answers, never its own.
    """
    own = [step for step in history if step.message_id == same_id(message_id)]
    return own[-1] if own else (history[-1] if history else None)


def earlier(history: Sequence[Step], own: Step | None) -> tuple[Step, ...]:
    """All steps but that of this very message."""
    if own is None:
        return tuple(history)
    mine = own.message_id
    return tuple(
        s for s in history if s.resource is not own.resource and (mine is None or s.message_id != mine)
    )


def corrected(history: Sequence[Step], own: Step) -> str | None:
    """The id of the message that a correction or cancellation is about.

    It is the newest earlier one of the same activity, so that a corrected admission that is sent after a
    leave has begun is tied to the admission; without such a one it is what the Provenance names. What is
    dated after it is not earlier.
    """
    about = words.activity(own.activity)
    if about is None or about.standing is Standing.NEW:
        return None
    for step in reversed(earlier(history, own)):
        later = own.occurred is not None and step.occurred is not None and step.occurred > own.occurred
        other = words.activity(step.activity)
        if not later and other is not None and other.base == about.base and step.message_id is not None:
            return step.message_id
    return own.after


def last_told(bundle: Bundle) -> Step | None:
    """The step of the message itself."""
    return newest(steps(bundle), str((header(bundle) or {}).get("id", "")))


def provenance(
    head: Resource,
    activity: str,
    *,
    at: datetime,
    agent: Resource,
    after: str | None,
    removal: bool = False,
    resource_id: str,
) -> Resource:
    """The Provenance of a message: what it does, by whom, and after which message it does so."""
    made: Resource = {
        "resourceType": "Provenance",
        "id": resource_id,
        "meta": meta("messaging", "medcom-messaging-provenance"),
        "text": generated(activity),
        "target": [relative(head)],
        "occurredDateTime": instant_text(at),
        "recorded": instant_text(at),
        "activity": {"coding": [{"system": words.code_system(words.ACTIVITY_CODES), "code": activity}]},
        "agent": [{"who": relative(agent)}],
    }
    if after is not None:
        what = {"reference": f"MessageHeader/{after}"}
        made["entity"] = [{"role": "removal" if removal else "revision", "what": what}]
    return made


def carried(before: Bundle, parties: Sequence[Resource]) -> tuple[list[Resource], list[Resource]]:
    """The history of an earlier message as the next one carries it, and the Organizations that it needs.

    Each agent leads to the one of `parties` that it is, or to an Organization that goes along.
    """
    told: list[Resource] = []
    strangers: list[Resource] = []
    for step in steps(before):
        agents = []
        for agent in step.resource.get("agent") or ():
            who = follow(before, agent.get("who"))
            same = set(address_of(who).identifiers)
            known = (one for one in (*parties, *strangers) if same & set(address_of(one).identifiers))
            here = next(known, None)
            if here is None and who is not None:
                here = _with_id(who)
                strangers.append(here)
            agents.append(agent | {"who": relative(here)} if here is not None else agent)
        told.append(_with_id(step.resource | {"agent": agents} if agents else step.resource))
    return told, strangers


def _with_id(resource: Resource) -> Resource:
    """The resource with an id, by which it is led to; what came without one gets one of what it says."""
    if resource.get("id"):
        return resource
    return resource | {"id": str(uuid.uuid5(_NAMESPACE, repr(sorted(resource.items(), key=str))))}


def id_in(reference: Any) -> str | None:
    """The id at the end of a reference: `MessageHeader/…`, an absolute address or `urn:uuid:…`."""
    target = reference.get("reference") if isinstance(reference, dict) else None
    if not isinstance(target, str) or not target:
        return None
    return same_id(target.rsplit("/", 1)[-1].removeprefix("urn:uuid:"))


def _step(resource: Resource) -> Step:
    entities = [one for one in _list(resource.get("entity")) if isinstance(one, dict)]
    return Step(
        message_id=next((found for found in map(id_in, _list(resource.get("target"))) if found), None),
        activity=_activity(resource.get("activity")),
        occurred=_instant(resource.get("occurredDateTime")) or _instant(resource.get("recorded")),
        after=next((found for found in (id_in(one.get("what")) for one in entities) if found), None),
        resource=resource,
    )


def _activity(concept: Any) -> str:
    codings = _list(concept.get("coding")) if isinstance(concept, dict) else []
    for coding in codings:
        if isinstance(coding, dict) and words.is_of(coding.get("system"), words.ACTIVITY_CODES):
            return str(coding.get("code", ""))
    return ""


def _instant(text: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return found if found is not None and found.tzinfo is not None else None


def _list(told: Any) -> list[Any]:
    return told if isinstance(told, list) else []
