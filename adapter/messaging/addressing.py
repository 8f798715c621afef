"""Which service of a party a message goes to, by its kind: the table of the profiles, and the party's own.

Municipalities have nursing and case-work services (HER-id level 2). The profiles of 1.5 and 1.6 do not agree
on who gets what (N-16, T10), so a party may say otherwise in the region file. What a sender has addressed to
a service in so many words, as PLO does, stays where it is.
"""

from collections.abc import Mapping
from types import MappingProxyType

from adapter.messaging.envelope import Address
from adapter.messaging.register import Party, Service

NURSING, CASE_WORK, MENTAL_HEALTH = "nursing", "case-work", "mental-health"

SERVICES: Mapping[str, str] = MappingProxyType(
    {
        "admitted": NURSING,
        "discharged": NURSING,
        "deceased": NURSING,  # in hospital it is told by the discharge's message; LOG_DOD is for nursing, too
        "discharge-report": NURSING,
        "care-needs": CASE_WORK,
        "ready-for-discharge": CASE_WORK,
        "readiness-withdrawn": CASE_WORK,
    }
)
"""By kind of notice the role of the service that it is for (N-16); others stay as addressed."""


def roles_for(party: Party, kind: str, *, psychiatric: bool) -> tuple[str, ...]:
    """The roles that may get it, the first of them by default; none where the table says nothing.

    A psychiatric stay goes to the mental-health service, where the party has one.
    """
    own = dict(party.addressing).get(kind)
    if own is None and kind not in SERVICES:
        return ()
    if psychiatric and any(service.role == MENTAL_HEALTH for service in party.services):
        return (MENTAL_HEALTH,)
    return own if own is not None else (SERVICES[kind],)


def addressed(
    party: Party, written: Address, kind: str, *, psychiatric: bool = False, explicit: bool = False
) -> Address:
    """How a message of that kind is addressed to `party`, which its sender has written as `written`.

    `explicit` says that the sender's standard has it name the service itself: one of the party's then stays.
    """
    named = service_at(party, written)
    allowed = roles_for(party, kind, psychiatric=psychiatric)
    if not allowed or (named is not None and (explicit or named.role in allowed)):
        return written
    wanted = (s for role in allowed for s in party.services if s.role == role)
    service = next(wanted, None)
    if service is None:
        return written
    return Address(identifiers=(*service.identifiers, *party.identifiers), name=party.name, copy=written.copy)


def service_at(party: Party, address: Address) -> Service | None:
    """The service of the party that an address names."""
    asked = set(address.identifiers)
    return next((service for service in party.services if asked & set(service.identifiers)), None)


def unknown_service(party: Party, address: Address) -> str | None:
    """The identifier of a service that the party does not have, as people write it; None where all is known.

    A more specific identifier of the same system than the one by which the party was found names its service;
    a health professional at the organisation is none.
    """
    known = {*party.identifiers, *(pair for service in party.services for pair in service.identifiers)}
    found = next((pair for pair in address.identifiers if pair in known), None)
    if found is None:
        return None
    before = address.identifiers[address.persons : address.identifiers.index(found)]
    stranger = next((pair for pair in before if pair[0] == found[0]), None)
    return Address(identifiers=(stranger,)).said if stranger is not None else None
