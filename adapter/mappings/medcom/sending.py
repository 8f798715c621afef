"""Sending the same message again: a new sending of what was said before (standards 5, D-03).

A resend has a new Bundle.id and a new Bundle.timestamp, and the same MessageHeader.id, by which its receiver
knows the duplicate; of an acknowledgement also its own Provenance says when it was made out anew.
"""

import uuid
from datetime import datetime

from lxml import etree

from adapter.fhir import wire
from adapter.fhir.bundles import Bundle, header, of_every_type
from adapter.mappings.medcom import words
from adapter.mappings.medcom.header import event_of
from adapter.mappings.medcom.history import id_in

_NAMESPACE = uuid.UUID("7a1f6f60-6f0a-5f6c-8d4e-1d4c7f0b9a02")
_FHIR = "{http://hl7.org/fhir}"


def repeat(content: bytes, *, at: datetime, number: int) -> bytes:
    """The bytes of a new sending at `at`, the `number`-th, in the format that they have.

    `content` is what we have written, or read before.
    """
    bundle = wire.parse_again(content)
    then = at.isoformat()
    fresh = _next_id(bundle, number, then)
    own = _own_provenances(bundle)
    if wire.media_type(content) == wire.XML:
        return _repeated_xml(content, fresh, then, own)
    made = bundle | {"id": fresh, "timestamp": then, "entry": list(bundle["entry"])}
    anew = {"occurredDateTime": then, "recorded": then}
    for place, item in enumerate(made["entry"]):
        resource = item["resource"]
        if resource["resourceType"] == "Provenance" and resource.get("id") in own:
            made["entry"][place] = item | {"resource": resource | anew}
    return wire.to_json(made)


def _next_id(bundle: Bundle, number: int, then: str) -> str:
    """Another for each sending: a person's and one that answers a duplicate may both be the second."""
    return str(uuid.uuid5(_NAMESPACE, f"{bundle.get('id')}/{number}/{then}"))


def _own_provenances(bundle: Bundle) -> frozenset[str]:
    """The ids of an acknowledgement's own Provenances; none of any other message, which stays as told."""
    head = header(bundle) or {}
    if event_of(head) != words.ACKNOWLEDGEMENT:
        return frozenset()
    mine = str(head.get("id")).lower()
    return frozenset(
        str(one.get("id"))
        for one in of_every_type(bundle, "Provenance")
        if any(id_in(target) == mine for target in one.get("target") or ())
    )


def _repeated_xml(content: bytes, fresh: str, then: str, own: frozenset[str]) -> bytes:
    """The document with the few values in place, so that nothing else of it changes."""
    root = etree.fromstring(content, etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False))
    for name, value in (("id", fresh), ("timestamp", then)):
        _put(root, name, value)
    for made in root.iter(f"{_FHIR}Provenance"):
        told = made.find(f"{_FHIR}id")
        if told is not None and told.get("value") in own:
            _put(made, "occurredDateTime", then)
            _put(made, "recorded", then)
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True)


def _put(parent: etree._Element, name: str, value: str) -> None:
    found = parent.find(f"{_FHIR}{name}")
    if found is not None:
        found.set("value", value)
