"""What came as a MedCom message is given back as one: every element that carries meaning, as it was.

Only its outside is new: ids, the one receiver, and MedCom's event in the place of ours. Narratives and
profiles are made anew, as they say nothing that the elements do not. Where the receiver knows the earlier
messages under other ids, the history is the one that it was told last.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from adapter.fhir import wire
from adapter.fhir.bundles import (
    EXTENSION_BASE,
    Bundle,
    Resource,
    address_of,
    follow,
    header,
    same_id,
)
from adapter.fhir.references import led_to, names_of
from adapter.mappings import Addressing
from adapter.mappings.medcom import words
from adapter.mappings.medcom.header import (
    destination,
    destination_use,
    endpoint_of,
    entry,
    event,
    generated,
    meta,
    organization,
    relative,
)
from adapter.mappings.medcom.history import carried, last_told
from adapter.messaging.envelope import Address

Profile = tuple[str, str]
"""The guide and the name of a profile: `("core", "medcom-core-patient")`."""

_PROFILES: dict[str, Profile] = {
    "Patient": ("core", "medcom-core-patient"),
    "Provenance": ("messaging", "medcom-messaging-provenance"),
    "Practitioner": ("core", "medcom-core-practitioner"),
    "PractitionerRole": ("core", "medcom-core-practitionerrole"),
    "CareTeam": ("core", "medcom-core-careteam"),
    "Encounter": ("core", "medcom-core-encounter"),
}


def came_from_medcom(bundle: Bundle) -> bool:
    """Whether the message has MedCom's own history, so that nothing of it need be made."""
    last = last_told(bundle)
    return last is not None and bool(last.activity)


def given_back(
    bundle: Bundle, event_code: str, addressing: Addressing, *, profiles: Mapping[str, Profile]
) -> Bundle:
    """The message as it was, from `addressing.sender` to its one receiver, under new ids.

    `profiles` are those of the event, by type, and that of the Bundle; the core's stand beside them.
    """
    head = header(bundle) or {}
    first, *others = bundle["entry"]
    old = {first["fullUrl"], f"MessageHeader/{head['id']}"}
    entries = [_leading_to(item, old, f"MessageHeader/{addressing.message_id}") for item in others]
    sender = _party(entries, addressing.sender, addressing.message_id, "sender")
    receiver = _party(entries, addressing.receiver, addressing.message_id, "receiver")
    there = bundle | {"entry": [first, *entries]}
    made = _header(head, event_code, addressing, _outside(there, head, addressing, sender, receiver))
    whole = [first | {"fullUrl": _address(first["fullUrl"], head, addressing), "resource": made}, *entries]
    if addressing.previous is not None:
        whole = _with_history(whole, addressing.previous, (sender, receiver), addressing.message_id)
    known = _PROFILES | dict(profiles)
    return bundle | {
        "id": addressing.transmission_id,
        "meta": (bundle.get("meta") or {}) | meta(*known["Bundle"]),
        "entry": [_dressed(item, known) for item in _without_stranded(bundle, whole)],
    }


def without_ours(resource: Resource) -> Resource:
    """The resource without our own extensions."""
    told = resource.get("extension") or ()
    own = [one for one in told if not _is_ours(one)]
    made = resource | {"extension": own}
    return made if own else {key: value for key, value in made.items() if key != "extension"}


def _header(head: Resource, event_code: str, addressing: Addressing, outside: Resource) -> Resource:
    """The MessageHeader without what is ours, in MedCom's words."""
    own = [one for one in head.get("extension") or () if not _is_ours(one)]
    made = head | outside | {"id": addressing.message_id, "eventCoding": event(event_code), "extension": own}
    return made if own else {key: value for key, value in made.items() if key != "extension"}


def _outside(
    bundle: Bundle, head: Resource, addressing: Addressing, sender: Resource, receiver: Resource
) -> Resource:
    """Destination, sender and source: to the letter where they stay the same parties."""
    to = next(
        (one for one in head.get("destination") or () if follow(bundle, one.get("receiver")) is receiver),
        None,
    )
    if to is None or destination_use(to) != words.PRIMARY:  # our own FHIR messages do not say it
        to = destination(addressing.receiver, receiver)
    elif any(map(_is_ours, to.get("extension") or ())):
        to = to | {"extension": [one for one in to["extension"] if not _is_ours(one)]}
    made: Resource = {"destination": [to]}
    if follow(bundle, head.get("sender")) is not sender:
        made |= {"sender": relative(sender), "source": {"endpoint": endpoint_of(addressing.sender)}}
    return made


def _party(entries: list[Resource], address: Address, message_id: str, role: str) -> Resource:
    """The Organization at `address`: the one in the message that is it, else a new one.

    Published examples give one number to two organisations, so the one that shares most of them is meant.
    """
    asked = set(address.identifiers)
    there = [item["resource"] for item in entries if item["resource"]["resourceType"] == "Organization"]
    found: Resource = max(there, key=lambda one: len(asked & set(address_of(one).identifiers)), default={})
    if asked & set(address_of(found or None).identifiers):
        return found
    made = organization(address, f"{message_id}-{role}")
    entries.append(entry(made))
    return made


def _with_history(
    entries: list[Resource], previous: bytes, parties: Sequence[Resource], message_id: str
) -> list[Resource]:
    """The message after the last one that this receiver was sent, whose history goes along."""
    before = wire.parse_again(previous)
    after = same_id(str((header(before) or {}).get("id")))
    own = last_told({"entry": entries})
    kept = []
    for item in entries:
        resource = item["resource"]
        if own is not None and resource is own.resource:
            resource = _after(resource, after)
        elif resource["resourceType"] == "Provenance":
            continue
        kept.append(item | {"resource": resource})
    told, strangers = carried(before, parties)
    return [*kept, *(entry(one) for one in (*strangers, *told))]


def _after(own: Resource, message_id: str) -> Resource:
    role = next((one.get("role") for one in own.get("entity") or ()), "revision")
    return own | {"entity": [{"role": role, "what": {"reference": f"MessageHeader/{message_id}"}}]}


def _without_stranded(before: Bundle, entries: list[Resource]) -> list[Resource]:
    """All but the Organizations to which only the old addressing led."""
    once = frozenset(led_to(item["resource"] for item in before["entry"]))
    still = frozenset(led_to(item["resource"] for item in entries))
    return [item for item in entries if not _is_stranded(item, once, still)]


def _is_stranded(item: Resource, once: frozenset[str], still: frozenset[str]) -> bool:
    names = frozenset(names_of(item))
    return item["resource"]["resourceType"] == "Organization" and bool(names & once) and not names & still


def _dressed(item: Resource, profiles: Mapping[str, Profile]) -> Resource:
    """The entry with the profile and the narrative that every resource must have."""
    resource = item["resource"]
    kind = resource["resourceType"]
    profile = profiles.get(kind)
    if kind == "Organization":
        party = any(one.get("system") == words.GLN for one in resource.get("identifier") or ())
        profile = (
            ("messaging", "medcom-messaging-organization") if party else ("core", "medcom-core-organization")
        )
    made = dict(resource)
    if profile is not None:
        made["meta"] = (resource.get("meta") or {}) | meta(*profile)
    if "text" not in made:
        made["text"] = generated(str(resource.get("name") if kind == "Organization" else kind))
    return item | {"resource": made}


def _address(full_url: str, head: Resource, addressing: Addressing) -> str:
    """The entry's address, which ends with the id."""
    if full_url.endswith(head["id"]):
        return full_url.removesuffix(head["id"]) + addressing.message_id
    return f"urn:uuid:{addressing.message_id}"


def _is_ours(extension: Resource) -> bool:
    return str(extension.get("url")).startswith(EXTENSION_BASE)


def _leading_to(found: Any, old: set[str], new: str) -> Any:
    """`found` with every reference to the old MessageHeader led to the new one."""
    if isinstance(found, dict):
        if isinstance(found.get("reference"), str) and found["reference"] in old:
            return found | {"reference": new}
        return {key: _leading_to(value, old, new) for key, value in found.items()}
    if isinstance(found, list):
        return [_leading_to(item, old, new) for item in found]
    return found
