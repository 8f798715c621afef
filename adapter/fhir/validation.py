"""The border: a message Bundle is held to its shape once, then to what it must mean for us to act on it.

Shape is fhir.resources' (`shape`); the rules below are those that it leaves open, FHIR's own (Bundle and
MessageHeader, R4) and those of the field. Every rule raises Refused with a FHIR issue type and a sentence
that says where and what, never a value of the message.
"""

from collections.abc import Callable, Iterable
from datetime import date, datetime
from re import ASCII, compile
from typing import Any

from adapter.discharge.notices import Moment, NoticeKind, Standing
from adapter.errors import Refused
from adapter.fhir import narratives, shape
from adapter.fhir.bundles import (
    EVENT_SYSTEM,
    EXTENSION_BASE,
    EXTENSIONS,
    RECEIPT_EVENT,
    YEARS,
    Bundle,
    Resource,
    address_of,
    extension,
    follow,
    moment,
    of_type,
    resources,
)
from adapter.fhir.codes import PARTICIPATION, REQUIRED, RESPONSE, SEVERITY
from adapter.fhir.notices import event_kind, receivers_in, subject_in
from adapter.fhir.parts import ENDED
from adapter.messaging.envelope import LONGEST_ID, is_uuid
from adapter.phrases import phrase

K = NoticeKind

MAX_ENTRIES = 1000
MAX_DESTINATIONS = 100
MAY_LIE_AHEAD = frozenset(
    (
        K.PLANNED_DISCHARGE,
        K.READY_FOR_DISCHARGE,
        K.SIP_CALL,
        K.SERVICES_GRANTED,
        K.CARE_PLAN,
        K.RESPONSIBLE_MUNICIPALITY_CHANGED,
    )
)
"""Kinds that tell of a day to come; all others tell of what has happened."""

_INSTANT = compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", ASCII)
_RELATIVE = compile(r"[A-Z][A-Za-z]+/[\w\-.]{1,64}(/_history/[\w\-.]{1,64})?", ASCII)
_RESTFUL = compile(r"https?://[^\s#]+/[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}", ASCII)
_FULL_URL = compile(r"(urn:(uuid|oid):|https?://)[^\s#]+", ASCII)
_NOT_IN_MESSAGES = ("search", "request", "response")  # Bundle invariants bdl-2 to bdl-4
_STANDINGS = frozenset(Standing)


def validate(bundle: Any) -> None:
    """Refused unless `bundle` is a message of ours that can be acted on: a notice, or a receipt."""
    head = _validated(bundle, event_known=_event_known, id_right=_message_id_is_uuid)
    if "response" not in head:
        _times_agree(bundle, head)


def validate_of_another_standard(bundle: Any, *, event_known: Callable[[Resource], None]) -> None:
    """The same for a message of another standard that is FHIR too: its events and its ids are its own.

    `event_known` raises Refused for a MessageHeader whose event is not read. Whether the event's times agree
    is for its dialect to say.
    """
    _validated(bundle, event_known=event_known, id_right=_has_id)


def _validated(
    bundle: Any, *, event_known: Callable[[Resource], None], id_right: Callable[[Resource], None]
) -> Resource:
    """The MessageHeader of a message in which all is right that every standard asks for."""
    entries = _skeleton(bundle, "message")
    head = _header_first(entries)
    event_known(head)
    found = _shapes(bundle, entries)
    id_right(head)
    _timestamp_has_offset(bundle)
    _full_urls_unique(entries)
    _references_resolve(entries, found)
    _contents(entries, found)
    _ids_fit(entries)
    _sender_named(bundle, head)
    if "response" in head:
        _response_complete(head)
        return head
    _destinations_named(bundle, head)
    _one_patient_identified(bundle)
    _focus_there(bundle, head)
    return head


def validate_collection(bundle: Any) -> None:
    """The same for resources that were polled and wrapped by us: shape and content, no message rules.

    A reference may lead out of the collection: what it leads to stayed on the partner's server.
    """
    entries = _skeleton(bundle, "collection")
    found = _shapes(bundle, entries)
    _full_urls_unique(entries)
    _contents(entries, found)
    _ids_fit(entries)


def legible(bundle: Any, *, any_id: bool = False) -> bool:
    """Whether the outside of a message can be trusted though the message was refused.

    The MessageHeader and the parties that it leads to have their shape, the id is a UUID, or any where
    `any_id` is set, the sending instant is there, and the sender has an identifier. Then the refusal can be
    answered, once in the name of each receiver: so they are no more than a message may have.
    """
    try:
        entries = _skeleton(bundle, None)
        head = _header_first(entries)
        shape.check(head, "MessageHeader")
        (_has_id if any_id else _message_id_is_uuid)(head)
        _timestamp_has_offset(bundle)
        _transmission_id(bundle)
        _not_too_many_receivers(head)
        for party in _parties(bundle, head):
            shape.check(party, "Organization")
        _sender_named(bundle, head)
    except Refused:
        return False
    return True


def _not_too_many_receivers(head: Resource) -> None:
    if len(_list(head.get("destination"))) > MAX_DESTINATIONS:
        raise Refused(
            phrase("MessageHeader.destination: at most {number} are wanted", number=MAX_DESTINATIONS),
            code="too-costly",
        )


def warm() -> None:
    """Import and build the models that every message needs; for workers, once, before the first message."""
    shape.check_part({"resourceType": "Bundle", "type": "message"}, "bundle", "Bundle", "Bundle")
    for kind in ("MessageHeader", "Patient", "Encounter", "Organization", "Practitioner", "Task", "CarePlan"):
        shape.resource_class(kind, kind)
    for kind in ("Communication", "Composition", "CareTeam", "Consent", "Appointment", "List"):
        shape.resource_class(kind, kind)
    url = f"{EXTENSION_BASE}reserved"
    head: Resource = {
        "resourceType": "MessageHeader",
        "eventCoding": {"system": EVENT_SYSTEM, "code": RECEIPT_EVENT},
        "source": {"endpoint": "urn:warm", "contact": {"value": "1"}},
        "sender": {"reference": "urn:warm"},
        "extension": [{"url": url, "valueBoolean": True}],
    }
    shape.check(head, "MessageHeader")


# --- the Bundle and its shape -----------------------------------------------------------------------------


def _skeleton(bundle: Any, kind: str | None) -> list[Resource]:
    """The entries, once it is certain that they can be walked: objects with a resource, not too deep."""
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        raise Refused(phrase("the content is not a FHIR Bundle"), code="structure")
    if kind is not None and bundle.get("type") != kind:
        raise Refused(phrase("Bundle.type is not {type}", type=kind), code="value")
    entries = bundle.get("entry")
    if not isinstance(entries, list) or not entries:
        raise Refused(phrase("Bundle.entry is missing or empty"), code="required")
    if len(entries) > MAX_ENTRIES:
        raise Refused(
            phrase("the Bundle has more than {number} entries", number=MAX_ENTRIES), code="too-costly"
        )
    if not shape.depth_fits(bundle):
        raise Refused(shape.TOO_DEEP, code="too-costly")
    for number, item in enumerate(entries):
        if not isinstance(item, dict) or not isinstance(item.get("resource"), dict):
            raise Refused(
                phrase("{entry} has no resource", entry=f"Bundle.entry[{number}]"), code="structure"
            )
    return entries


def _shapes(bundle: Bundle, entries: list[Resource]) -> list[shape.Found]:
    """Every resource with its own model: a third cheaper than through Bundle."""
    outside = {key: value for key, value in bundle.items() if key != "entry"}
    shape.check_part(outside, "bundle", "Bundle", "Bundle")
    found = []
    for number, item in enumerate(entries):
        where = f"Bundle.entry[{number}]"
        if len(item) > 2 or "fullUrl" not in item:
            _entry_shape(item, where)
        found.append(shape.check(item["resource"], f"{where}.resource"))
    return found


def _entry_shape(item: Resource, where: str) -> None:
    if "fullUrl" not in item:
        raise Refused(phrase("{element} is required", element=f"{where}.fullUrl"), code="required")
    if any(key in item for key in _NOT_IN_MESSAGES):
        raise Refused(
            phrase("{entry} has search, request or response, which a message has not", entry=where),
            code="invariant",
        )
    rest = {key: value for key, value in item.items() if key != "resource"}
    shape.check_part(rest, "bundle", "BundleEntry", where)


def _header_first(entries: list[Resource]) -> Resource:
    head: Resource = entries[0]["resource"]
    if head.get("resourceType") != "MessageHeader":
        raise Refused(phrase("the Bundle has no MessageHeader as its first entry"), code="required")
    if sum(item["resource"].get("resourceType") == "MessageHeader" for item in entries) > 1:
        raise Refused(phrase("the Bundle has more than one MessageHeader"), code="invariant")
    return head


def _event_known(head: Resource) -> None:
    coding = head.get("eventCoding")
    receipt = {"system": EVENT_SYSTEM, "code": RECEIPT_EVENT}
    if isinstance(coding, dict) and {key: coding.get(key) for key in receipt} == receipt:
        if "response" not in head:
            raise Refused(phrase("a receipt has no MessageHeader.response"), code="required")
        return
    event_kind(head)
    if "response" in head:
        raise Refused(
            phrase("MessageHeader.response is there, but the event is not `receipt`"), code="invariant"
        )


def _message_id_is_uuid(head: Resource) -> None:
    if not isinstance(head.get("id"), str) or not is_uuid(head["id"]):
        raise Refused(phrase("MessageHeader.id is not a UUID"), code="required")


def _has_id(head: Resource) -> None:
    if not isinstance(head.get("id"), str) or not head["id"]:
        raise Refused(phrase("{element} is required", element="MessageHeader.id"), code="required")


def _transmission_id(bundle: Bundle) -> None:
    told = bundle.get("id", "")
    if not isinstance(told, str) or len(told) > LONGEST_ID:
        raise Refused(phrase("Bundle.id is not a string, or too long"), code="structure")


def _timestamp_has_offset(bundle: Bundle) -> None:
    stamp = bundle.get("timestamp")
    if not isinstance(stamp, str) or not _INSTANT.fullmatch(stamp):
        raise Refused(phrase("Bundle.timestamp must be an instant with its offset"), code="required")
    try:
        found = datetime.fromisoformat(stamp)
    except ValueError:
        raise Refused(phrase("Bundle.timestamp is no instant of the calendar"), code="value") from None
    if found.year not in YEARS:
        raise Refused(
            phrase("Bundle.timestamp is not in {first} to {last}", first=str(YEARS[0]), last=str(YEARS[-1])),
            code="value",
        )


def _full_urls_unique(entries: list[Resource]) -> None:
    """Bundle invariant bdl-7; and no two resources that the same `Type/id` would lead to."""
    urls, names = set(), set()
    for number, item in enumerate(entries):
        url, resource = item["fullUrl"], item["resource"]
        if not isinstance(url, str) or not _FULL_URL.fullmatch(url):
            raise Refused(
                phrase("{element} is not an absolute address", element=f"Bundle.entry[{number}].fullUrl"),
                code="value",
            )
        name = _name(resource) if "id" in resource else url
        if url in urls or name in names:
            raise Refused(
                phrase("{entry} repeats a fullUrl or an id", entry=f"Bundle.entry[{number}]"),
                code="invariant",
            )
        urls.add(url)
        names.add(name)


def _name(resource: Resource) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


def _references_resolve(entries: list[Resource], found: list[shape.Found]) -> None:
    """A reference by URN, by `Type/id` or by `#id` leads to something here; http(s) may lead out.

    So may `Type/id` in an entry whose own address is on an http(s) server: it is of that server. And so may
    what a Provenance tells of earlier messages.
    """
    targets = {item["fullUrl"] for item in entries}
    targets.update(_name(item["resource"]) for item in entries if "id" in item["resource"])
    for number, (item, gathered) in enumerate(zip(entries, found, strict=True)):
        for target in gathered.references:
            if target in targets or target.startswith(("http://", "https://")):
                continue
            if _RELATIVE.fullmatch(target) and _RESTFUL.fullmatch(item["fullUrl"]):
                continue  # it stayed on the server that the entry came from (R4 bundle.html#references)
            if target.startswith("#") and target[1:] in ("", *shape.contained_ids(item["resource"])):
                continue
            kind = item["resource"]["resourceType"]
            if kind == "Provenance" and target.startswith("MessageHeader/"):
                continue
            raise Refused(
                phrase(
                    "a reference in {entry} ({type}) leads nowhere",
                    entry=f"Bundle.entry[{number}]",
                    type=kind,
                ),
                code="not-found",
            )


def _ids_fit(entries: list[Resource]) -> None:
    """No identifier is longer than a database can look up, nor is what the message refers to."""
    for number, item in enumerate(entries):
        resource = item["resource"]
        found = [one for one in _list(resource.get("identifier")) if isinstance(one, dict)]
        texts = [one.get(key) for one in found for key in ("system", "value")]
        texts.append(extension(resource, "refers-to"))
        if any(isinstance(text, str) and len(text) > LONGEST_ID for text in texts):
            raise Refused(
                phrase(
                    "an identifier in {entry} ({type}) is longer than {longest} characters",
                    entry=f"Bundle.entry[{number}]",
                    type=resource["resourceType"],
                    longest=LONGEST_ID,
                ),
                code="value",
            )


def _list(told: Any) -> list[Any]:
    """The element's items, where R4 lets it repeat in one resource and stand once in another."""
    return told if isinstance(told, list) else [told]


# --- what the resources hold ------------------------------------------------------------------------------


def _contents(entries: list[Resource], found: list[shape.Found]) -> None:
    for item, gathered in zip(entries, found, strict=True):
        resource = item["resource"]
        _codes_of_their_sets(resource)
        for part in resource.get("contained") or ():
            _codes_of_their_sets(part)
        for div in gathered.narratives:
            narratives.check(div)
        _extensions_as_published(gathered.extensions)


def _codes_of_their_sets(resource: Resource) -> None:
    kind = resource["resourceType"]
    for element, codes in REQUIRED.get(kind, {}).items():
        if element in resource and resource[element] not in codes:
            raise _not_a_code(f"{kind}.{element}")
    if kind == "Appointment":
        _all_of(resource.get("participant"), "status", PARTICIPATION, "Appointment.participant.status")
    elif kind == "OperationOutcome":
        _all_of(resource.get("issue"), "severity", SEVERITY, "OperationOutcome.issue.severity")


def _all_of(items: Iterable[Resource] | None, element: str, codes: frozenset[str], where: str) -> None:
    if any(item.get(element, "") not in codes for item in items or ()):
        raise _not_a_code(where)


def _not_a_code(where: str) -> Refused:
    return Refused(phrase("{element} is not a code of its value set", element=where), code="code-invalid")


def _extensions_as_published(extensions: list[Resource]) -> None:
    """Our own extensions are those that we publish, with a value of the published type."""
    for item in extensions:
        url = item["url"]
        if not url.startswith(EXTENSION_BASE):
            continue
        name = url[len(EXTENSION_BASE) :]
        if name not in EXTENSIONS:
            raise Refused(
                phrase("an extension of ours is not among those that are published"), code="extension"
            )
        expected = f"value{EXTENSIONS[name][0]}"
        value = item.get(expected)
        if value is None:
            raise Refused(
                phrase("the extension `{name}` has no {value}, which is its type", name=name, value=expected),
                code="extension",
            )
        if name == "standing" and value not in _STANDINGS:
            raise Refused(
                phrase("the extension `{name}` is not a code of its value set", name=name),
                code="code-invalid",
            )


# --- what the message means -------------------------------------------------------------------------------


def _parties(bundle: Bundle, head: Resource) -> list[Resource]:
    destinations = head.get("destination") or []
    refs = [head.get("sender"), *(d.get("receiver") for d in destinations[:MAX_DESTINATIONS])]
    return [party for party in (follow(bundle, ref) for ref in refs) if party is not None]


def _sender_named(bundle: Bundle, head: Resource) -> None:
    party = follow(bundle, head.get("sender"))
    if party is None or party.get("resourceType") != "Organization" or not address_of(party).identifiers:
        raise Refused(
            phrase("MessageHeader.sender does not lead to an Organization with an identifier"),
            code="required",
        )


def _destinations_named(bundle: Bundle, head: Resource) -> None:
    destinations = head.get("destination") or ()
    if not 0 < len(destinations) <= MAX_DESTINATIONS:
        raise Refused(
            phrase("MessageHeader.destination: 1 to {number} are wanted", number=MAX_DESTINATIONS),
            code="required",
        )
    if not all(address.identifiers for address in receivers_in(bundle)):
        raise Refused(
            phrase(
                "a MessageHeader.destination.receiver does not lead to an Organization with an identifier"
            ),
            code="required",
        )


def _one_patient_identified(bundle: Bundle) -> None:
    patients = sum(resource["resourceType"] == "Patient" for resource in resources(bundle))
    if patients != 1:
        raise Refused(
            phrase("the message has {number} Patients; it must be about one", number=patients),
            code="required",
        )
    if not subject_in(bundle).identified:
        raise Refused(
            phrase(
                "the Patient is not identified: name and identifier, or name, birth date and gender, are "
                "needed"
            ),
            code="required",
        )


def _focus_there(bundle: Bundle, head: Resource) -> None:
    if not any(follow(bundle, ref) is not None for ref in head.get("focus") or ()):
        raise Refused(phrase("MessageHeader.focus leads to nothing in the message"), code="required")


def _times_agree(bundle: Bundle, head: Resource) -> None:
    """The event's time is said once, or twice alike; and what has happened does not lie ahead."""
    kind = event_kind(head)
    said = extension(head, "occurred")
    times = [text for text in (said, *_natural_places(bundle, kind)) if text is not None]
    stamp = datetime.fromisoformat(bundle["timestamp"])
    moments = [_moment(text, stamp) for text in times]
    if any(not _same(moments[0], other) for other in moments[1:]):
        raise Refused(
            phrase("the extension `occurred` and the element that R4 has for the event's time differ"),
            code="invariant",
        )
    if kind not in MAY_LIE_AHEAD and any(_ahead(found, stamp) for found in moments):
        raise Refused(
            phrase("the event is said to have happened after Bundle.timestamp"), code="business-rule"
        )


def _natural_places(bundle: Bundle, kind: NoticeKind) -> list[Any]:
    period = (of_type(bundle, "Encounter") or {}).get("period") or {}
    if kind is K.ADMITTED:
        return [period.get("start")]
    if kind is K.DECEASED:
        return [(of_type(bundle, "Patient") or {}).get("deceasedDateTime"), period.get("end")]
    return [period.get("end")] if kind in ENDED else []


def _moment(text: Any, stamp: datetime) -> Moment:
    found = moment(text, stamp.tzinfo)  # type: ignore[arg-type]  # the timestamp has an offset
    if found is None:
        raise Refused(phrase("the time of the event cannot be read"), code="value")
    return found


def _same(one: Moment, other: Moment) -> bool:
    """Alike to the precision of the coarser."""
    if isinstance(one, datetime) and isinstance(other, datetime):
        return one == other
    return _day(one) == _day(other)


def _day(found: Moment) -> date:
    return found.date() if isinstance(found, datetime) else found


def _ahead(found: Moment, stamp: datetime) -> bool:
    if isinstance(found, datetime):
        return found > stamp
    return found > stamp.date()


def _response_complete(head: Resource) -> None:
    """A receipt says which message it is for, and one of R4's three words about it."""
    response = head["response"]
    if "identifier" not in response:
        raise Refused(
            phrase("{element} is required", element="MessageHeader.response.identifier"), code="required"
        )
    if response.get("code") not in RESPONSE:
        raise _not_a_code("MessageHeader.response.code")
