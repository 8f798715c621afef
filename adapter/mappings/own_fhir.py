"""Our own FHIR R4 messages as a dialect: the canonical Bundle itself, so that nothing is translated.

Also what is polled from a partner's FHIR server (`fhir.polled`). Any FHIR Bundle is recognised here: a
message with an event that is not ours is answered as such. A receipt is never answered.
"""

import uuid
from datetime import datetime, tzinfo
from re import compile
from typing import Any

from adapter.errors import CannotWrite, Refused
from adapter.fhir import polled, validation, wire
from adapter.fhir.bundles import (
    RECEIPT_EVENT,
    Bundle,
    Resource,
    address_of,
    endpoint_of,
    entry,
    extension_url,
    follow,
    header,
    organization,
    reference,
    same_id,
    with_extension,
)
from adapter.fhir.notices import event_kind, receivers_in, refers_to_in
from adapter.fhir.receipts import receipt_bundle, receipt_in
from adapter.mappings import Addressing, Head, Reading, Written
from adapter.messaging.acknowledgement import Verdict
from adapter.messaging.envelope import Address, Envelope
from adapter.phrases import phrase

NAMES = ("fhir",)

FOREIGN_EVENT = "unknown-event"
"""The envelope's type where the event is none of ours: a word from outside never becomes one of ours."""

_LOOK = 65536
_JSON_BUNDLE = compile(rb'"resourceType"\s*:\s*"Bundle"')
_XML_BUNDLE = compile(rb"""<(?:[\w.-]+:)?Bundle\b[^>]*["']http://hl7\.org/fhir["']""")
_NAMESPACE = uuid.UUID("3b0d8c5a-94f2-5b61-8e55-0f6a1d2c7e90")


def recognises(head: Head) -> bool:
    """A FHIR Bundle in JSON or XML, by its first 64 kB."""
    content = head.content[:_LOOK].removeprefix(b"\xef\xbb\xbf").lstrip()
    if content.startswith(b"{"):
        return _JSON_BUNDLE.search(content) is not None
    return content.startswith(b"<") and _XML_BUNDLE.search(content) is not None


def read(content: bytes, *, content_type: str | None, zone: tzinfo) -> Reading:
    """The message, validated once. Refused where not even the outside is legible."""
    media = wire.media_type(content)
    try:
        bundle = wire.parse(content, content_type)
    except Refused as problem:
        outside = wire.outside_of(content, content_type)
        if outside is None or not validation.legible(outside):
            raise
        return Reading(envelope=_envelope(outside, media), problem=problem)
    if bundle.get("type") == "collection":
        validation.validate_collection(bundle)
        envelope, message = polled.message_of(bundle, zone=zone, content_type=media)
        return Reading(envelope=envelope, bundle=message)
    try:
        validation.validate(bundle)
    except Refused as problem:
        if not validation.legible(bundle):
            raise
        return Reading(envelope=_envelope(bundle, media), problem=problem)
    envelope = _envelope(bundle, media)
    if envelope.type == RECEIPT_EVENT:
        return Reading(envelope=envelope, acknowledgement=receipt_in(bundle))
    return Reading(envelope=envelope, bundle=bundle)


def envelope(content: bytes, *, content_type: str | None, zone: tzinfo) -> Envelope:
    """The outside of a message that has been read before; nothing is validated a second time."""
    bundle, media = wire.parse(content, content_type), wire.media_type(content)
    if bundle.get("type") == "collection":
        return polled.message_of(bundle, zone=zone, content_type=media)[0]
    return _envelope(bundle, media)


def write(bundle: Bundle, *, dialect: str, addressing: Addressing) -> Written:
    """The same content from `addressing.sender` to the one receiver, under new numbers, as JSON."""
    head = header(bundle)
    if dialect not in NAMES or head is None:
        raise CannotWrite(
            phrase("a Bundle without MessageHeader, or another dialect than {dialect}", dialect=NAMES[0])
        )
    if not (addressing.sender.identifiers and addressing.receiver.identifiers):
        raise CannotWrite(phrase("the sender or the receiver has no identifier; set it in the region file"))
    old = {bundle["entry"][0]["fullUrl"], f"MessageHeader/{head['id']}"}
    parts = [_leading_to(item, old, addressing.message_id) for item in bundle["entry"][1:]]
    sender = _party(parts, addressing.sender, addressing.message_id, "sender")
    receiver = _party(parts, addressing.receiver, addressing.message_id, "receiver")
    new = _header(head, addressing, sender, receiver)
    new["source"] = _source(bundle, head, addressing.sender)
    kept = [entry(new), *_still_needed(new, parts)]
    readdressed = {**bundle, "id": addressing.transmission_id, "entry": kept}
    return Written(
        content=wire.to_json(readdressed), content_type=wire.JSON, type=str(head["eventCoding"]["code"])
    )


def acknowledge(envelope: Envelope, verdict: Verdict) -> bytes | None:
    """The receipt, in the format of the message; None for receipts and for what was polled."""
    if envelope.type in (RECEIPT_EVENT, *polled.TYPES):
        return None
    mirror = envelope.opaque if isinstance(envelope.opaque, dict) else {}
    receivers = mirror.get("receivers") or [_organization(address) for address in envelope.receivers]
    known = 0 <= verdict.receiver < len(receivers)
    receipt = receipt_bundle(
        receipt_id=verdict.id,
        original_id=mirror.get("id") or envelope.message_id,
        status=verdict.status,
        at=verdict.at,
        giver=receivers[verdict.receiver] if known else None,
        receiver=mirror.get("sender") or _organization(envelope.sender),
        endpoint=mirror.get("endpoint"),
        issues=verdict.issues,
    )
    return wire.write(receipt, envelope.content_type)


def repeat(content: bytes, *, at: datetime, number: int) -> bytes:
    """The same bytes: the receiver knows a message again by its MessageHeader.id."""
    return content


# --- the outside of a message -----------------------------------------------------------------------------


def _envelope(bundle: Bundle, media: str) -> Envelope:
    """The envelope of a Bundle that is valid, or at least `validation.legible`."""
    head = header(bundle) or {}
    sender = follow(bundle, head.get("sender"))
    answered = (head.get("response") or {}).get("identifier")
    return Envelope(
        dialect=NAMES[0],
        message_id=same_id(head["id"]),
        type=_type(head),
        sent_at=datetime.fromisoformat(bundle["timestamp"]),
        sender=address_of(sender),
        receivers=receivers_in(bundle),
        content_type=media,
        transmission_id=bundle.get("id"),
        refers_to=same_id(answered) if isinstance(answered, str) else refers_to_in(head),
        opaque={
            "id": head["id"],
            "sender": _bare(sender),
            "receivers": [_bare(follow(bundle, d.get("receiver"))) for d in head.get("destination") or ()],
            "endpoint": (head.get("source") or {}).get("endpoint"),
        },
    )


def _type(head: Resource) -> str:
    """The event's code. Whatever holds a response is a receipt: no two systems shall answer in turns."""
    if "response" in head:
        return RECEIPT_EVENT
    try:
        return event_kind(head).value
    except Refused:
        code = (head.get("eventCoding") or {}).get("code")
        return RECEIPT_EVENT if code == RECEIPT_EVENT else FOREIGN_EVENT


def _bare(party: Resource | None) -> Resource:
    """Who it is, as the message wrote it."""
    kept = ("resourceType", "identifier", "name")
    return {key: party[key] for key in kept if key in party} if party else {"resourceType": "Organization"}


def _organization(address: Address) -> Resource:
    made = organization(address, "")
    del made["id"]
    return made


# --- addressing anew --------------------------------------------------------------------------------------


def _party(parts: list[Resource], address: Address, message_id: str, role: str) -> Resource:
    """A Reference to the Organization at `address`: the one in the message that is it, else a new one."""
    for item in parts:
        resource = item["resource"]
        if resource["resourceType"] == "Organization" and address_of(resource).token == address.token:
            return {"reference": item["fullUrl"]}
    made = organization(address, str(uuid.uuid5(_NAMESPACE, f"{message_id}/{role}")))
    parts.append(entry(made))
    return reference(made)


def _header(head: Resource, addressing: Addressing, sender: Resource, receiver: Resource) -> Resource:
    to = addressing.receiver
    destination: Resource = {"name": to.name or to.token, "endpoint": endpoint_of(to), "receiver": receiver}
    if to.copy:
        with_extension(destination, "copy-receiver", "Boolean", True)
    new = head | {"id": addressing.message_id, "destination": [destination], "sender": sender}
    url = extension_url("refers-to")
    new["extension"] = [item for item in head.get("extension") or () if item["url"] != url]
    with_extension(new, "refers-to", "String", addressing.refers_to)
    if not new["extension"]:
        del new["extension"]
    return new


def _source(bundle: Bundle, head: Resource, sender: Address) -> Resource:
    """The source as it was, with the ward to call, where the sender stays the same; else the new sender."""
    before = follow(bundle, head.get("sender"))
    if before is not None and address_of(before).token == sender.token:
        return head["source"]  # type: ignore[no-any-return]  # parsed JSON
    return {"name": sender.name or sender.token, "endpoint": endpoint_of(sender)}


def _still_needed(head: Resource, parts: list[Resource]) -> list[Resource]:
    """All but the Organizations that only the old addressing led to."""
    while True:
        wanted = _targets([head, *(item["resource"] for item in parts)])
        kept = [item for item in parts if _leads_to(item, wanted)]
        if len(kept) == len(parts):
            return kept
        parts = kept


def _leads_to(item: Resource, wanted: set[str]) -> bool:
    resource = item["resource"]
    if resource["resourceType"] != "Organization":
        return True
    return item["fullUrl"] in wanted or f"Organization/{resource.get('id')}" in wanted


def _leading_to(found: Any, old: set[str], message_id: str) -> Any:
    """`found` with every reference to the old MessageHeader, as a Provenance has, led to the new one."""
    if isinstance(found, dict):
        target = found.get("reference")  # CarePlan.activity.reference is itself a Reference
        if isinstance(target, str) and target in old:
            return found | {"reference": f"urn:uuid:{message_id}"}
        return {key: _leading_to(value, old, message_id) for key, value in found.items()}
    if isinstance(found, list):
        return [_leading_to(item, old, message_id) for item in found]
    return found


def _targets(found: Any) -> set[str]:
    """Every `reference` in `found`."""
    targets: set[str] = set()
    waiting = [found]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            if isinstance(item.get("reference"), str):
                targets.add(item["reference"])
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
    return targets
