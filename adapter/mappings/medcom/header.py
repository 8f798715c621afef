"""The outside of a MedCom message: MessageHeader, the Organizations that it leads to, and their addresses.

A party has a location number (GLN, by which VANS delivers) and a SOR-ID; its endpoint is the address
`https://sor2.sum.dsdn.dk/#id=<SOR>` (standards 3.2). A destination says whether it is the primary receiver or
gets a carbon copy. References are relative, and each entry's fullUrl is absolute (standards 5, F-04).
"""

from datetime import datetime
from html import escape
from typing import Any

from adapter.errors import CannotWrite
from adapter.fhir.bundles import (
    CANONICAL,
    SOR,
    Bundle,
    Resource,
    address_of,
    follow,
    header,
    identifiers,
    same_id,
    with_extension,
)
from adapter.fhir.notices import receivers_in
from adapter.mappings.medcom import words
from adapter.messaging.envelope import Address, Envelope
from adapter.phrases import phrase

SOR_ADDRESS = "https://sor2.sum.dsdn.dk/#id="
"""What stands before the SOR-ID in endpoints, and in the system of a hospital's own episode identifiers."""

_GENERATED = ("generated", "extensions")
"""Narrative.status of what was made of the elements, so that it says nothing of its own."""


def event_of(head: Resource) -> str | None:
    """MedCom's event code; None where the event is none of MedCom's."""
    coding = head.get("eventCoding")
    if not isinstance(coding, dict) or not words.is_of(coding.get("system"), words.EVENT_CODES):
        return None
    code = coding.get("code")
    return code if isinstance(code, str) else None


def bare(bundle: Bundle) -> Bundle:
    """The Bundle without generated narratives and without `meta.profile`, which the writer makes anew.

    Whatever has not its shape stays as it is, for the validation to find.
    """
    entries = bundle.get("entry")
    if not isinstance(entries, list):
        return bundle
    made = _without_profile(bundle) | {"entry": [_bare_entry(item) for item in entries]}
    return {key: made[key] for key in bundle if key in made}


def envelope_of(
    bundle: Bundle, media: str, *, message_type: str, refers_to: str | None, opaque: dict[str, Any]
) -> Envelope:
    """The outside of a Bundle that is valid, or at least `validation.legible`.

    `opaque` is what else the receipt must mirror, beside the parties as they were written.
    """
    head = header(bundle) or {}
    sender = follow(bundle, head.get("sender"))
    destinations = head.get("destination") or ()
    return Envelope(
        dialect="medcom",
        message_id=same_id(head["id"]),
        type=message_type,
        sent_at=datetime.fromisoformat(bundle["timestamp"]),
        sender=address_of(sender),
        receivers=receivers_in(with_copies_marked(bundle)),
        content_type=media,
        transmission_id=bundle.get("id"),
        refers_to=refers_to,
        opaque=opaque
        | {
            "id": head["id"],
            "sender": _outside(sender),
            "receivers": [_outside(follow(bundle, d.get("receiver"))) for d in destinations],
            "endpoint": (head.get("source") or {}).get("endpoint"),
            "endpoints": [d.get("endpoint") for d in destinations],
        },
    )


def with_copies_marked(bundle: Bundle) -> Bundle:
    """The Bundle whose carbon-copy destinations carry our own extension `copy-receiver`."""
    head = header(bundle) or {}
    destinations = head.get("destination")
    if not isinstance(destinations, list) or not any(map(_is_copy, destinations)):
        return bundle
    return with_header(bundle, head | {"destination": [_marked(one) for one in destinations]})


def with_header(bundle: Bundle, head: Resource) -> Bundle:
    """The Bundle with another MessageHeader in the place of its own."""
    first, *others = bundle["entry"]
    return bundle | {"entry": [first | {"resource": head}, *others]}


def destination_use(destination: Any) -> str | None:
    """`primary` or `cc`, as the destination says."""
    for one in (destination.get("extension") if isinstance(destination, dict) else None) or ():
        if isinstance(one, dict) and words.is_of(one.get("url"), words.DESTINATION_USE_EXTENSION):
            coding = one.get("valueCoding")
            code = coding.get("code") if isinstance(coding, dict) else None
            return code if isinstance(code, str) else None
    return None


# --- writing ----------------------------------------------------------------------------------------------


def sor_of(address: Address) -> str:
    """The SOR-ID; raises CannotWrite where there is none."""
    return _number(address, SOR, "SOR-ID")


def endpoint_of(address: Address) -> str:
    """The endpoint that MedCom derives from the SOR-ID."""
    return f"{SOR_ADDRESS}{sor_of(address)}"


def organization(address: Address, resource_id: str) -> Resource:
    """The Organization of a party, with the two identifiers that the profile asks for; raises CannotWrite."""
    pairs = ((words.GLN, _number(address, words.GLN, "GLN")), (SOR, sor_of(address)))
    made: Resource = {
        "resourceType": "Organization",
        "id": resource_id,
        "meta": meta("messaging", "medcom-messaging-organization"),
        "text": generated(address.name or "Organization"),
        "identifier": identifiers(pairs),
    }
    return made | ({"name": address.name} if address.name else {})


def destination(address: Address, receiver: Resource, *, use: str = words.PRIMARY) -> Resource:
    """A destination; `receiver` is the Organization at `address`."""
    coding = {"system": words.code_system(words.DESTINATION_USE), "code": use}
    url = words.extension_address(words.DESTINATION_USE_EXTENSION)
    return {
        "extension": [{"url": url, "valueCoding": coding}],
        "endpoint": endpoint_of(address),
        "receiver": relative(receiver),
    }


def event(code: str) -> Resource:
    """The eventCoding of one of MedCom's messages."""
    return {"system": words.code_system(words.EVENT_CODES), "code": code}


def meta(guide: str, profile: str) -> Resource:
    """The profile that a resource claims."""
    return {"profile": [words.profile(guide, profile)]}


def relative(resource: Resource) -> Resource:
    """A Reference as MedCom writes it: `Type/id`."""
    return {"reference": f"{resource['resourceType']}/{resource['id']}"}


def entry(resource: Resource) -> Resource:
    """An entry whose fullUrl is absolute, so that relative references resolve beside it."""
    return {"fullUrl": f"{CANONICAL}/{resource['resourceType']}/{resource['id']}", "resource": resource}


def generated(text: str) -> Resource:
    """The narrative that every resource must have: one line, of what its elements say."""
    div = f'<div xmlns="http://www.w3.org/1999/xhtml"><p>{escape(text, quote=False)}</p></div>'
    return {"status": "generated", "div": div}


# --- parts ------------------------------------------------------------------------------------------------


def _number(address: Address, system: str, name: str) -> str:
    found = next((value for known, value in address.identifiers if known == system), None)
    if found is None:
        raise CannotWrite(
            phrase(
                "{party} has no {identifier}, by which MedCom addresses; give the party one in the region"
                " file",
                party=address.said,
                identifier=name,
            )
        )
    return found


def _bare_entry(item: Any) -> Any:
    resource = item.get("resource") if isinstance(item, dict) else None
    if not isinstance(resource, dict):
        return item
    made = _without_profile(resource)
    text = made.get("text")
    if isinstance(text, dict) and text.get("status") in _GENERATED:
        made = {key: value for key, value in made.items() if key != "text"}
    return item | {"resource": made}


def _without_profile(resource: Resource) -> Resource:
    about = resource.get("meta")
    if not isinstance(about, dict) or "profile" not in about:
        return resource
    rest = {key: value for key, value in about.items() if key != "profile"}
    made = resource | {"meta": rest}
    return made if rest else {key: value for key, value in made.items() if key != "meta"}


def _is_copy(destination: Any) -> bool:
    return destination_use(destination) == words.CARBON_COPY


def _marked(destination: Resource) -> Resource:
    if not _is_copy(destination):
        return destination
    marked = destination | {"extension": list(destination["extension"])}
    with_extension(marked, "copy-receiver", "Boolean", True)
    return marked


def _outside(party: Resource | None) -> Resource:
    """Who it is, as the message wrote it."""
    kept = ("resourceType", "identifier", "name")
    return {key: party[key] for key in kept if key in party} if party else {"resourceType": "Organization"}
