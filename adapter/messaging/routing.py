"""Where a message goes: each addressed receiver to its party, its endpoint, and whether we only relay.

Pure: the register decides, nothing in the message can name a place that is not configured.
"""

from dataclasses import dataclass
from datetime import date

from adapter.errors import Quarantined
from adapter.messaging.envelope import Envelope
from adapter.messaging.register import Endpoint, Party, ReceiptWhen, Register, Side


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """The way of one receiver's copy."""

    index: int  # of the envelope's receivers
    party: Party
    endpoint: Endpoint | None
    relayed: bool  # between two of theirs: bytes unaltered, and no receipt of ours

    @property
    def receipted_on_storing(self) -> bool:
        """Whether our storing it is the receiver's own system taking it (its board is its system)."""
        return self.party.side is Side.OURS and self.party.receipt is ReceiptWhen.STORED


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
    Raises Quarantined where our own data must be corrected first.
    """
    if not envelope.receivers:
        raise Quarantined("the message names no receiver; ask the sender for whom it is", code="E21")
    indices: list[int] = list(range(len(envelope.receivers)))
    if found:
        indices = _known(register, envelope, sender, day)
    return tuple(
        _route(register, envelope, sender, index, day=day, reserved=reserved, plan=plan) for index in indices
    )


def _known(register: Register, envelope: Envelope, sender: Party, day: date) -> list[int]:
    """The first place of every party but the sender that the register knows."""
    places: dict[str, int] = {}
    for index, address in enumerate(envelope.receivers):
        party = register.resolve(address, day)
        if party is not None and party.id != sender.id:
            places.setdefault(party.id, index)
    if not places:
        raise Quarantined(
            "nobody but its author takes part in it whom the region file knows; add the party and its "
            "identifiers, then release",
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
            f"the receiver {address.said} is not in the region file; add the party and its identifiers, "
            "then release",
            code="unknown-receiver",
        )
    relayed = sender.side is Side.THEIRS and party.side is Side.THEIRS
    endpoint = register.plans_endpoint_of(party) if plan else register.endpoint_of(party)
    if relayed and endpoint is not None and endpoint.dialect != envelope.dialect:
        raise Quarantined(
            f"{party.id} reads {endpoint.dialect}, and we may not rewrite a message between two parties "
            "that are not ours; correct the endpoint's dialect, then release",
            code="relay",
        )
    own = party.endpoint or (party.plans_endpoint if plan else None)
    if reserved and own is None and party.hosted_by is not None:
        raise Quarantined(
            f"the patient has reserved against passing on, and {party.id} is served by its host "
            f"{party.hosted_by}; give {party.id} an endpoint of its own, then release, or telephone",
            code="reserved",
        )
    return Route(index=index, party=party, endpoint=endpoint, relayed=relayed)
