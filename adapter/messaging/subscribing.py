"""Who wants to be told of what: subscriptions, what they match, and when they fall silent or must speak.

The rules are those of HL7's Subscriptions R5 Backport for R4 (1.1.0): a subscription is *requested*, becomes
*active* with its handshake, is in *error* when its receiver cannot be reached, and *off* when its subscriber
says so. Events are numbered from 1 and never anew; what was not delivered can be asked for by number.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from urllib.parse import urlsplit

from adapter.messaging.register import Endpoint, Partner

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Where notifications may go when no region says who subscribes: this machine."""

MASK = "***"
"""What a header's value is shown as; it may be a secret."""

EARLY = timedelta(seconds=1)
"""How long before its period is over a heartbeat is due: the period is the most that may pass."""

HEADERS = ("authorization", "x-")
"""Beginnings of the headers that a subscriber may ask for; all others are ours or the wire's."""

_NEVER_IN_AN_ADDRESS = ("\\", "@", "#", "/../", "/./", "%2e", "%2f", "%5c")


class State(StrEnum):
    """http://hl7.org/fhir/subscription-status."""

    REQUESTED = "requested"
    ACTIVE = "active"
    ERROR = "error"
    OFF = "off"


LISTENING = frozenset((State.REQUESTED, State.ACTIVE, State.ERROR))
"""In these its events are counted; nothing is sent in `error`, and what was missed is asked for later."""

SPEAKING = frozenset((State.REQUESTED, State.ACTIVE))
"""In these notifications leave: the handshake first, all others behind it."""


class Content(StrEnum):
    """How much of what happened a notification tells."""

    EMPTY = "empty"
    ID_ONLY = "id-only"
    FULL = "full-resource"


class Said(StrEnum):
    """What a notification is for."""

    HANDSHAKE = "handshake"
    HEARTBEAT = "heartbeat"
    EVENT = "event-notification"
    STATUS = "query-status"
    EVENTS = "query-event"


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What a subscriber asks for."""

    topic: str
    filters: tuple[
        tuple[str, tuple[str, ...]], ...
    ] = ()  # (parameter, values); all must hold, one value each
    content: Content = Content.ID_ONLY
    media: str = "application/fhir+json"
    address: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    heartbeat: int | None = None  # seconds
    timeout: int | None = None  # seconds
    ends_at: datetime | None = None
    off: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Occurrence:
    """Something that happened, as far as filters ask about it."""

    topic: str
    focus: str  # EpisodeOfCare/case-12, CarePlan/<id>
    case_id: int | None
    patient: str  # pseudonym
    hospital: str | None = None
    municipality: str | None = None
    parties: Collection[str] = ()  # those who may learn of it


def matches(filters: Iterable[tuple[str, tuple[str, ...]]], happened: Occurrence) -> bool:
    """Whether every filter has a value that is that of the occurrence."""
    known: Mapping[str, str | None] = {
        "patient": happened.patient,
        "hospital": happened.hospital,
        "municipality": happened.municipality,
    }
    return all(known[name] in values for name, values in filters)


def concerns(partner: Partner | None, *, signs_in: bool, happened: Occurrence) -> bool:
    """Whether the subscriber may learn of it: it speaks for one of the parties, or nobody need sign in."""
    if partner is None:
        return not signs_in
    return not set(partner.parties).isdisjoint(happened.parties)


def may_send_to(address: str, partner: Partner | None) -> bool:
    """Whether the region has allowed that address for the partner; without a region only this machine is."""
    lowered = address.lower()
    if any(sign in lowered for sign in _NEVER_IN_AN_ADDRESS) or not address.isprintable():
        return False
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    if parts.scheme not in ("http", "https") or not parts.hostname or " " in address:
        return False
    if partner is None:
        return parts.hostname in LOOPBACK
    return any(
        address == allowed or (allowed.endswith("/") and address.startswith(allowed))
        for allowed in partner.subscription_endpoints
    )


def endpoint_for(name: str, wish: Wish, *, longest: int) -> Endpoint:
    """Where the notifications of a subscription go; `longest` is how many seconds we wait at most."""
    return Endpoint(
        name=name,
        transport="rest-hook",
        address=wish.address,
        dialect="subscription",
        concurrency=1,
        timeout=float(min(wish.timeout or 10, longest)),
        headers=wish.headers,
    )


def next_look(state: State, wish: Wish, now: datetime) -> datetime | None:
    """When the clock must look again after a notification at `now`: for a heartbeat, or for the end."""
    beat = None
    if state is State.ACTIVE and wish.heartbeat is not None:
        period = timedelta(seconds=wish.heartbeat)
        beat = now + period - min(EARLY, period / 4)
    due = [at for at in (beat, wish.ends_at if state is not State.OFF else None) if at is not None]
    return min(due, default=None)
