"""Subscriptions on the wire: R4 Subscription resources read, notification Bundles written.

By HL7's Subscriptions R5 Backport 1.1.0 for R4: the topic is `Subscription.criteria`, filters and content are
extensions, a notification is a Bundle of type `history` whose first entry is a Parameters with the status.
Every refusal begins with the element that it is about.
"""

import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from adapter.errors import Refused
from adapter.fhir import shape, wire
from adapter.fhir.bundles import CANONICAL, Bundle, Resource
from adapter.messaging.subscribing import HEADERS, MASK, Content, Said, State, Wish
from adapter.phrases import technical

BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
TOPIC_BASE = f"{CANONICAL}/SubscriptionTopic/"

DISCHARGE_READY = "discharge-ready"
CARE_PLAN_CHANGED = "care-plan-changed"
CASE_CHANGED = "case-changed"
FOCUS = {
    DISCHARGE_READY: "EpisodeOfCare",
    CARE_PLAN_CHANGED: "CarePlan",
    CASE_CHANGED: "EpisodeOfCare",
}
"""The topics, in the order in which they are told of, and what their events lead to."""

FILTERS = {"patient": "Patient", "hospital": "Organization", "municipality": "Organization"}
"""What an event may be filtered by, and the type of its values."""

LARGEST = 64 * 1024
"""Bytes of a Subscription; those in use have two kilobytes."""

MOST_HEADERS = 10
MOST_VALUES = 100  # of one filter

_DECLARATION = re.compile(rb"""^\s*<\?xml(?:[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)["'])?[^>]*\?>""")
_BOM = b"\xef\xbb\xbf"
_HEADER = re.compile(r"([A-Za-z][A-Za-z0-9-]{0,63}): ?([!-~](?:[ -~]{0,2000}[!-~])?)")
_ID = re.compile(r"[A-Za-z0-9\-.*|:/_]{1,128}")
_ELEMENT = re.compile(r"(?:Subscription|Parameters)[\w.\[\]()$]*")


def topic_url(topic: str) -> str:
    """The canonical address of a topic."""
    return f"{TOPIC_BASE}{topic}"


# --- resources in and out ---------------------------------------------------------------------------------


def resource_in(content: bytes, content_type: str, expected: str) -> Resource:
    """The one resource in a request, read with the distrust that messages meet; Refused otherwise."""
    bundle = wire.parse(_wrapped(content), content_type)
    entries = bundle.get("entry")
    only = entries[0].get("resource") if isinstance(entries, list) and len(entries) == 1 else None
    if not isinstance(only, dict) or only.get("resourceType") != expected:
        raise Refused(
            technical(f"{expected}: the content is not one resource of that type"), code="structure"
        )
    if not shape.depth_fits(only):
        raise Refused(technical(f"{expected} nests deeper than {shape.MAX_DEPTH} levels"), code="too-costly")
    shape.check(only, expected)
    return only


def _wrapped(content: bytes) -> bytes:
    """The resource as the only entry of a Bundle, so that it is read like one."""
    content = content.removeprefix(_BOM)
    if not content.lstrip().startswith(b"<"):
        return b'{"resourceType":"Bundle","type":"collection","entry":[{"resource":' + content + b"}]}"
    declared = _DECLARATION.match(content)
    start = f'<?xml version="1.0" encoding="{_encoding(declared)}"?>'.encode()
    return (
        start
        + b'<Bundle xmlns="http://hl7.org/fhir"><type value="collection"/><entry><resource>'
        + (content[declared.end() :] if declared else content)
        + b"</resource></entry></Bundle>"
    )


def _encoding(declared: "re.Match[bytes] | None") -> str:
    return (declared[1] or b"UTF-8").decode("ascii") if declared else "UTF-8"


def written(resource: Resource, media: str) -> bytes:
    """Any resource of ours as FHIR XML where `media` says so, else as FHIR JSON."""
    if "xml" not in media:
        return orjson.dumps(resource)
    model = shape.resource_class(resource["resourceType"], "resource")
    made: str | bytes = model.model_validate(resource).model_dump_xml()
    return made.encode() if isinstance(made, str) else made


def outcome(
    reason: str, code: str, *, severity: str = "error", expression: str | None = None, media: str = wire.JSON
) -> bytes:
    """An OperationOutcome; the element that the reason begins with is its expression."""
    issue: Resource = {"severity": severity, "code": code, "diagnostics": reason}
    issue["expression"] = [expression or element_of(reason) or "Subscription"]
    return written({"resourceType": "OperationOutcome", "issue": [issue]}, media)


def element_of(reason: str) -> str | None:
    """The element that a refusal begins with, as `Subscription.channel.endpoint`."""
    found = _ELEMENT.match(reason)
    return found.group().rstrip(".:").replace(".[", "[") if found else None


# --- what a subscriber asks for ---------------------------------------------------------------------------


def wish_in(resource: Resource, *, most_timeout: int | None = None) -> Wish:
    """What a Subscription of the right shape asks for; Refused where there is no such thing."""
    channel = resource["channel"]
    topic = _topic(resource)
    status = resource["status"]
    if status not in (State.REQUESTED, State.OFF):
        raise Refused(
            technical("Subscription.status must be requested, or off; active and error are for us to say"),
            code="business-rule",
        )
    if channel["type"] != "rest-hook":
        raise Refused(technical("Subscription.channel.type must be rest-hook"), code="not-supported")
    if "endpoint" not in channel:
        raise Refused(technical("Subscription.channel.endpoint is required for rest-hook"), code="required")
    return Wish(
        topic=topic,
        filters=_filters(resource, topic),
        content=_content(channel),
        media=_media(channel),
        address=channel["endpoint"],
        headers=_headers(channel),
        heartbeat=_seconds(channel, "backport-heartbeat-period", None),
        timeout=_seconds(channel, "backport-timeout", most_timeout),
        ends_at=_end(resource),
        off=status == State.OFF,
    )


def _topic(resource: Resource) -> str:
    topic = str(resource["criteria"]).partition("|")[0].removeprefix(TOPIC_BASE)
    if topic not in FOCUS:
        known = ", ".join(map(topic_url, FOCUS))
        raise Refused(
            technical(f"Subscription.criteria is none of our topics; known: {known}"), code="not-supported"
        )
    return topic


def _filters(resource: Resource, topic: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    where = "Subscription.criteria.extension"
    found = []
    for text in _values(resource.get("_criteria"), "backport-filter-criteria"):
        kind, mark, query = str(text).rpartition("?")
        if mark and kind != FOCUS[topic]:
            raise Refused(
                technical(f"{where}: a filter of {topic} is about {FOCUS[topic]}"), code="not-supported"
            )
        for part in query.split("&"):
            name, _, said = part.partition("=")
            if name not in FILTERS:
                known = ", ".join(FILTERS)
                raise Refused(
                    technical(f"{where}: a filter may ask about {known}, and nothing else"),
                    code="not-supported",
                )
            found.append((name, _filter_values(name, said, where)))
    return tuple(found)


def _filter_values(name: str, said: str, where: str) -> tuple[str, ...]:
    values = tuple(value.removeprefix(f"{FILTERS[name]}/") for value in said.split(","))
    if len(values) > MOST_VALUES or not all(_ID.fullmatch(value) for value in values):
        raise Refused(
            technical(
                f"{where}: {name} must be {FILTERS[name]}/<id> as we give it, or up to {MOST_VALUES} with "
                "commas"
            ),
            code="value",
        )
    return values


def _content(channel: Resource) -> Content:
    said = next(iter(_values(channel.get("_payload"), "backport-payload-content")), Content.ID_ONLY)
    if said not in set(Content):
        raise Refused(
            technical(f"Subscription.channel.payload.extension: content must be one of {', '.join(Content)}"),
            code="code-invalid",
        )
    return Content(said)


def _media(channel: Resource) -> str:
    media = str(channel.get("payload", wire.JSON)).partition(";")[0].strip().lower()
    if media not in (wire.JSON, wire.XML):
        raise Refused(
            technical(f"Subscription.channel.payload must be {wire.JSON} or {wire.XML}"), code="not-supported"
        )
    return media


def _headers(channel: Resource) -> tuple[tuple[str, str], ...]:
    where, found = "Subscription.channel.header", []
    lines = channel.get("header") or ()
    if len(lines) > MOST_HEADERS:
        raise Refused(technical(f"{where}: send no more than {MOST_HEADERS}"), code="too-costly")
    for line in lines:
        made = _HEADER.fullmatch(line)
        if made is None:
            raise Refused(technical(f"{where} must be NAME: VALUE in printable ASCII"), code="value")
        if not made[1].lower().startswith(HEADERS):
            raise Refused(technical(f"{where} may be Authorization or begin with X-"), code="not-supported")
        found.append((made[1], made[2]))
    return tuple(found)


def _seconds(channel: Resource, name: str, most: int | None) -> int | None:
    said: Any = next(iter(_values(channel, name)), None)
    if said is None:
        return None
    limit = most or 31 * 24 * 3600
    if isinstance(said, bool) or not isinstance(said, int) or not 1 <= said <= limit:
        raise Refused(
            technical(f"Subscription.channel.extension: {name} must be 1 to {limit} whole seconds"),
            code="value",
        )
    return said


def _end(resource: Resource) -> datetime | None:
    said = resource.get("end")
    at = datetime.fromisoformat(said) if said is not None else None
    if at is not None and at.tzinfo is None:
        raise Refused(technical("Subscription.end must be an instant with its offset"), code="value")
    return at


def _values(element: Resource | None, name: str) -> Iterable[Any]:
    """The values of the backport's extension of that name on an element."""
    for item in (element or {}).get("extension") or ():
        if item.get("url") == f"{BACKPORT}/{name}":
            yield next((value for key, value in item.items() if key.startswith("value")), None)


def unmasked(resource: Resource, before: Wish) -> Resource:
    """The resource with the headers that its sender has only ever seen masked as they were before."""
    lines = resource["channel"].get("header")
    if not lines:
        return resource
    kept = {f"{name}: {MASK}": f"{name}: {value}" for name, value in before.headers}
    return resource | {"channel": resource["channel"] | {"header": [kept.get(line, line) for line in lines]}}


def shown(
    resource: Resource, *, id: str, version: int, updated: datetime, state: State, error: str | None
) -> Resource:
    """The Subscription as its subscriber reads it; what its headers hold is not shown."""
    told = {key: value for key, value in resource.items() if key not in ("id", "meta", "status", "error")}
    made: Resource = {
        "resourceType": "Subscription",
        "id": id,
        "meta": {
            "versionId": str(version),
            "lastUpdated": updated.isoformat(),
            "profile": [f"{BACKPORT}/backport-subscription"],
        },
        "status": state.value,
    } | {key: value for key, value in told.items() if key != "resourceType"}
    if error is not None:
        made["error"] = error
    if "header" in made["channel"]:
        lines = [f"{line.partition(':')[0]}: {MASK}" for line in made["channel"]["header"]]
        made["channel"] = made["channel"] | {"header": lines}
    return made


# --- notifications ----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One numbered event of a subscription."""

    number: int
    at: datetime
    focus: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """Where a subscription stands: its id, its topic, its state, and how many events it has had."""

    id: str
    topic: str
    state: State
    events: int
    error: str | None = None


def notification(
    status: Status,
    *,
    bundle_id: str,
    base: str,
    said: Said,
    content: Content,
    at: datetime,
    events: Sequence[Event] = (),
    resources: Mapping[str, Resource] = {},  # read only
) -> Bundle:
    """A notification; `resources` are those that may be told whole, by focus."""
    entries = [_status_entry(status, bundle_id, base, said, content, events)]
    for event in () if content is Content.EMPTY else events:
        entries.append(_event_entry(event.focus, base, resources.get(event.focus)))
    return {
        "resourceType": "Bundle",
        "id": bundle_id,
        "meta": {"profile": [f"{BACKPORT}/backport-subscription-notification-r4"]},
        "type": "history",
        "timestamp": at.isoformat(),
        "entry": list({entry["fullUrl"]: entry for entry in entries}.values()),
    }


def _status_entry(
    status: Status, bundle_id: str, base: str, said: Said, content: Content, events: Sequence[Event]
) -> Resource:
    told = status_parameters(status, base=base, said=said, content=content, events=events)
    told["id"] = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{bundle_id}/status"))
    return {
        "fullUrl": f"urn:uuid:{told['id']}",
        "resource": told,
        "request": {"method": "GET", "url": f"{base}/Subscription/{status.id}/$status"},
        "response": {"status": "200"},
    }


def _event_entry(focus: str, base: str, resource: Resource | None) -> Resource:
    """The focus by its address alone, or whole; a history says how each came about (bdl-3, bdl-4)."""
    made: Resource = {"fullUrl": f"{base}/{focus}"}
    if resource is not None:
        made["resource"] = resource
    return made | {"request": {"method": "PUT", "url": focus}, "response": {"status": "200"}}


def status_parameters(
    status: Status, *, base: str, said: Said, content: Content, events: Sequence[Event] = ()
) -> Resource:
    """The status as the backport's Parameters for R4."""
    parameters: list[Resource] = [
        {"name": "subscription", "valueReference": {"reference": f"{base}/Subscription/{status.id}"}},
        {"name": "topic", "valueCanonical": topic_url(status.topic)},
        {"name": "status", "valueCode": status.state.value},
        {"name": "type", "valueCode": said.value},
        {"name": "events-since-subscription-start", "valueString": str(status.events)},
    ]
    parameters += [_event_part(event, base, content) for event in events]
    if status.error is not None:
        parameters.append({"name": "error", "valueCodeableConcept": {"text": status.error}})
    return {
        "resourceType": "Parameters",
        "meta": {"profile": [f"{BACKPORT}/backport-subscription-status-r4"]},
        "parameter": parameters,
    }


def _event_part(event: Event, base: str, content: Content) -> Resource:
    part: list[Resource] = [
        {"name": "event-number", "valueString": str(event.number)},
        {"name": "timestamp", "valueInstant": event.at.isoformat()},
    ]
    if content is not Content.EMPTY:
        part.append({"name": "focus", "valueReference": {"reference": f"{base}/{event.focus}"}})
    return {"name": "notification-event", "part": part}


def searchset(
    found: Sequence[Resource],
    *,
    base: str,
    total: int,
    links: Mapping[str, str],
    bundle_id: str,
    at: datetime,
) -> Bundle:
    """What a search, or `$status`, answers with."""
    entries = [
        {
            "fullUrl": f"{base}/{one['resourceType']}/{one['id']}"
            if one["resourceType"] == "Subscription"
            else f"urn:uuid:{one['id']}",
            "resource": one,
            "search": {"mode": "match"},
        }
        for one in found
    ]
    made: Bundle = {
        "resourceType": "Bundle",
        "id": bundle_id,
        "type": "searchset",
        "timestamp": at.isoformat(),
        "total": total,
        "link": [{"relation": relation, "url": url} for relation, url in links.items()],
    }
    return made | ({"entry": entries} if entries else {})


def capability() -> Resource:
    """What CapabilityStatement.rest.resource says of Subscription, its topics among it."""
    known = f"{BACKPORT}/capabilitystatement-subscriptiontopic-canonical"
    operations = "http://hl7.org/fhir/uv/subscriptions-backport/OperationDefinition/backport-subscription"
    return {
        "extension": [{"url": known, "valueCanonical": topic_url(topic)} for topic in FOCUS],
        "type": "Subscription",
        "supportedProfile": [f"{BACKPORT}/backport-subscription"],
        "interaction": [{"code": code} for code in ("create", "read", "update", "delete", "search-type")],
        "versioning": "versioned-update",
        "updateCreate": False,
        "searchParam": [
            {"name": name, "type": kind}
            for name, kind in (("_id", "token"), ("status", "token"), ("criteria", "string"), ("url", "uri"))
        ],
        "operation": [{"name": name, "definition": f"{operations}-{name}"} for name in ("status", "events")],
    }
