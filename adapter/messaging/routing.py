"""Where a message goes: each addressed receiver to its party, its endpoint, and whether we only relay.

Pure: the register decides, nothing in the message can name a place that is not configured.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from adapter.errors import Quarantined
from adapter.messaging.acknowledgement import Issue
from adapter.messaging.addressing import unknown_service
from adapter.messaging.envelope import Envelope
from adapter.messaging.register import Endpoint, Party, ReceiptWhen, Register, Side, UnknownService
from adapter.phrases import phrase

RESERVED = "reserved"
"""Why a copy receiver does not get a message; no code of list 8221, so that its receipt says X99."""


NOT_RELEVANT = "not-relevant"
"""Why a party does not get what it may not keep; its receipt is positive all the same (D-09)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """The way of one receiver's copy."""

    index: int  # of the envelope's receivers
    party: Party
    endpoint: Endpoint | None
    relayed: bool  # between two of theirs: bytes unaltered, and no receipt of ours
    refusal: Issue | None = None  # why this receiver of ours does not get it, though others may

    @property
    def receipted_on_storing(self) -> bool:
        """Whether our storing it is the receiver's own system taking it (its board is its system)."""
        stored = self.party.side is Side.OURS and self.party.receipt is ReceiptWhen.STORED
        return stored and self.refusal is None


def routes(
    register: Register,
    envelope: Envelope,
    sender: Party,
    *,
    day: date,
    reserved: bool,
    plan: bool = False,
    found: bool = False,
) -> tuple[Route, ...]:
    """The way to every addressed receiver on `day`.

    `reserved` is the patient's reservation against passing on: then only the addressed receiver may have it.
    `plan` says that it is a care plan, which may have an endpoint of its own. `found` says that its sender
    addressed nobody: the receivers are those who stand in it, and only known ones are meant, each once.
    What a party of theirs sends to one of ours and to strangers goes to ours alone.
    Raises Quarantined where our own data must be corrected first.
    """
    if not envelope.receivers:
        raise Quarantined(phrase("the message names no receiver; ask the sender for whom it is"), code="E21")
    indices: list[int] = list(range(len(envelope.receivers)))
    if found:
        indices = _known(register, envelope, sender, day)
    elif sender.side is Side.THEIRS:
        indices = _ours_among_strangers(register, envelope, day) or indices
    made = [
        _route(register, envelope, sender, index, day=day, reserved=reserved, plan=plan) for index in indices
    ]
    return tuple(_judged(envelope, route, made, reserved=reserved) for route in made)


def only_relevant(ways: Sequence[Route], not_for: frozenset[str]) -> tuple[Route, ...]:
    """The ways, without a copy for those of ours who may not know of the patient."""
    why = Issue(
        code=NOT_RELEVANT, text=phrase("the patient is none of its own: it keeps nothing of the message")
    )
    return tuple(
        replace(way, refusal=why) if way.party.id in not_for and way.refusal is None else way for way in ways
    )


def refused_by_all(ways: Sequence[Route]) -> Issue | None:
    """Why no receiver gets it, where each refuses it; what one may not keep it does not refuse."""
    refusals = [way.refusal for way in ways if way.refusal is not None]
    if not ways or len(refusals) < len(ways) or NOT_RELEVANT in {one.code for one in refusals}:
        return None
    return refusals[0]


def _judged(envelope: Envelope, route: Route, made: Sequence[Route], *, reserved: bool) -> Route:
    """The way with the reason why this receiver does not get the message; what is relayed is not judged."""
    if route.relayed or route.party.side is Side.THEIRS:
        return _without_copies(envelope, route, made) if reserved and not route.relayed else route
    address = envelope.receivers[route.index]
    stranger = unknown_service(route.party, address)
    if stranger is not None and route.party.unknown_service is UnknownService.REFUSE:
        text = phrase(
            "{party} has no service {service}; correct the address and send it anew",
            party=route.party.id,
            service=stranger,
        )
        return replace(route, refusal=Issue(code="E21", text=text))
    return _without_copies(envelope, route, made) if reserved else route


def _without_copies(envelope: Envelope, route: Route, made: Sequence[Route]) -> Route:
    """A reserved message is for the addressed receiver alone; another service of it is no other party."""
    meant = {r.party.id for r in made if not envelope.receivers[r.index].copy}
    if not envelope.receivers[route.index].copy or route.party.id in meant:
        return route
    text = phrase(
        "the patient has reserved against passing on: only the addressed receiver may have it, no copies"
    )
    return replace(route, refusal=Issue(code=RESERVED, text=text))


def _ours_among_strangers(register: Register, envelope: Envelope, day: date) -> list[int]:
    """The places of all whom the register knows, where one of them is ours and others are strangers.

    The sender's own system sends strangers their copy, and they give their own receipt (N-01, N-07).
    """
    known = {i: register.resolve(address, day) for i, address in enumerate(envelope.receivers)}
    there = [index for index, party in known.items() if party is not None]
    ours = any(party.side is Side.OURS for party in known.values() if party is not None)
    return there if ours and len(there) < len(known) else []


def _known(register: Register, envelope: Envelope, sender: Party, day: date) -> list[int]:
    """The first place of every party but the sender that the register knows."""
    places: dict[str, int] = {}
    for index, address in enumerate(envelope.receivers):
        party = register.resolve(address, day)
        if party is not None and party.id != sender.id:
            places.setdefault(party.id, index)
    if not places:
        raise Quarantined(
            phrase(
                "nobody but its author takes part in it whom the region file knows; add the party and its "
                "identifiers, then release"
            ),
            code="unknown-receiver",
        )
    return list(places.values())


def _route(
    register: Register,
    envelope: Envelope,
    sender: Party,
    index: int,
    *,
    day: date,
    reserved: bool,
    plan: bool,
) -> Route:
    address = envelope.receivers[index]
    party = register.resolve(address, day)
    if party is None:
        raise Quarantined(
            phrase(
                "the receiver {address} is not in the region file; add the party and its identifiers, "
                "then release",
                address=address.said,
            ),
            code="unknown-receiver",
        )
    relayed = sender.side is Side.THEIRS and party.side is Side.THEIRS
    endpoint = register.plans_endpoint_of(party) if plan else register.endpoint_of(party)
    if relayed and endpoint is not None and endpoint.dialect != envelope.dialect:
        raise Quarantined(
            phrase(
                "{party} reads {dialect}, and we may not rewrite a message between two parties "
                "that are not ours; correct the endpoint's dialect, then release",
                party=party.id,
                dialect=endpoint.dialect,
            ),
            code="relay",
        )
    if reserved and not register.own_system(party, plan=plan):
        raise Quarantined(
            phrase(
                "the patient has reserved against passing on, and {party} is served by its host "
                "{host}; give {party} an endpoint of its own, then release, or telephone",
                party=party.id,
                host=str(party.hosted_by),
            ),
            code="reserved",
        )
    return Route(index=index, party=party, endpoint=endpoint, relayed=relayed)
