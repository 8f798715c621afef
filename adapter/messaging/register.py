"""Who is who, and who speaks for whom.

Every party is *ours* (we are its gateway: we read what is sent to it, hand it on, and give its receipt) or
*theirs* (a partner with its own system, whose receipt we wait for). Between two of theirs we only relay.
Parties, addresses and successors are dated: Leikanger became part of Sogndal in 2020.
"""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum

from adapter.messaging.envelope import Address, masked
from adapter.messaging.keys import Key
from adapter.messaging.scopes import ALL, Scopes

PLANS = "fhir-plans"
"""The transport that puts care plans on a FHIR server, resource by resource."""

EDI = "edi"
"""The transport that posts to the national message server (NHN EDI 2.0)."""

PLAN_ATTEMPT = 3
"""How many times an endpoint's time-out an attempt of many requests may take."""


class Side(StrEnum):
    """Whose gateway a party uses."""

    OURS = "ours"
    THEIRS = "theirs"


class ReceiptWhen(StrEnum):
    """When we give the receipt of a party of ours."""

    STORED = "stored"  # its board is its system: as soon as the message is stored
    DELIVERED = "delivered"  # when its own system behind us has taken it


class UnknownService(StrEnum):
    """What becomes of a message to a service of ours that the register does not know (N-05, E21)."""

    ACCEPT = "accept"  # it is the organisation's, with a warning to correct the register
    REFUSE = "refuse"  # a negative receipt, E21


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """An addressable unit of a party (HER-id level 2)."""

    role: str  # nursing, case-work, ward, …
    identifiers: tuple[tuple[str, str], ...]
    name: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RosterPlace:
    """Where it stands whom a party may be told of, and how old that may be."""

    address: str  # a file, or the URL of an API
    within: timedelta
    token: str | None = field(default=None, repr=False)  # bearer token that we show there

    @property
    def asked(self) -> bool:
        """Whether it is an API, not a file."""
        return self.address.startswith(("http://", "https://"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Party:
    """A hospital, municipality, primary care unit or GP's office, as of a day."""

    id: str
    name: str
    kind: str  # hospital, municipal-acute-bed, municipality, open-care, gp
    side: Side
    identifiers: tuple[tuple[str, str], ...]  # (system, value)
    services: tuple[Service, ...] = ()
    endpoint: str | None = None  # name of the endpoint that its messages go to
    plans_endpoint: str | None = None  # name of the one that its care plans go to, where that is another
    receipt: ReceiptWhen = ReceiptWhen.STORED
    valid_from: date | None = None
    valid_to: date | None = None  # the last day on which it is valid
    successor: str | None = None
    hosted_by: str | None = None  # the host municipality that receives on its behalf
    telephone: str | None = None  # whom to call when a message does not get through
    addressing: tuple[tuple[str, tuple[str, ...]], ...] = ()  # by kind of notice, not as the table
    unknown_service: UnknownService = UnknownService.ACCEPT
    roster: RosterPlace | None = None  # none: what is addressed to it is its own

    def valid_on(self, day: date) -> bool:
        """Whether the party exists on `day`."""
        return (self.valid_from is None or self.valid_from <= day) and (
            self.valid_to is None or day <= self.valid_to
        )


class Resend(StrEnum):
    """Who sends a message again that its receiver has not acknowledged (D-02, T2)."""

    AUTOMATIC = "automatic"
    BY_HAND = "by-hand"


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """A place that messages are sent to; never taken from a message."""

    name: str
    transport: str  # fhir, fhir-plans, directory, edi, webhook
    address: str  # URL of $process-message, base URL of a FHIR or message server, folder, URL
    dialect: str  # what is read there: fhir, plo-1.5, plo-1.6
    concurrency: int = 2
    receipt_within: timedelta = timedelta(minutes=30)  # then an alarm and a resend, as below
    resends: int | None = None  # how often by itself; None: as the dialect's standard has it
    resend: Resend = Resend.AUTOMATIC
    timeout: float = 10.0  # seconds
    token: str | None = field(default=None, repr=False)  # bearer token that we show
    client_certificate: tuple[str, str] | None = None  # certificate and key files
    trust: str | None = None  # CA bundle for https
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # that a subscriber asks for

    @property
    def longest(self) -> float:
        """Seconds that one attempt may take: a plan, or a message and the token for it, are many requests."""
        return self.timeout * (PLAN_ATTEMPT if self.transport in (PLANS, EDI) else 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Partner:
    """A machine that signs in; it may speak for its parties and for nobody else."""

    name: str
    parties: tuple[str, ...]
    token_sha256: str | None = field(default=None, repr=False)
    certificate_sha256: str | None = field(default=None, repr=False)  # fingerprint of its client certificate
    client_id: str | None = None  # under which it asks for access tokens (SMART Backend Services)
    keys: tuple[Key, ...] = field(default=(), repr=False)  # its public keys, where the region file has them
    jwks_url: str | None = None  # where it publishes them, where it does not
    scopes: Scopes = ALL  # what it may do, however it signs in
    roles: tuple[str, ...] = ()  # the service roles that it speaks for; none named is all of them
    subscription_endpoints: tuple[str, ...] = ()  # URLs, or beginnings that end in /, it may be notified at
    subscription_content: bool = False  # whether its notifications may hold the resource itself


@dataclass(frozen=True, kw_only=True)
class Register:
    """The region's parties, endpoints and partners, with the look-ups that routing needs.

    `open` is evaluation mode: an address that nobody registered becomes a party of ours whose board is its
    system, so that any sample can be fed in.
    """

    parties: tuple[Party, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    partners: tuple[Partner, ...] = ()
    open: bool = False

    def __post_init__(self) -> None:
        by_identifier: dict[tuple[str, str], list[Party]] = {}
        for party in self.parties:
            for identifier in self._all_identifiers(party):
                by_identifier.setdefault(identifier, []).append(party)
        object.__setattr__(self, "_by_identifier", by_identifier)
        object.__setattr__(self, "_by_id", {party.id: party for party in self.parties})
        object.__setattr__(self, "_endpoints", {endpoint.name: endpoint for endpoint in self.endpoints})

    _by_identifier: dict[tuple[str, str], list[Party]] = field(init=False, repr=False, compare=False)
    _by_id: dict[str, Party] = field(init=False, repr=False, compare=False)
    _endpoints: dict[str, Endpoint] = field(init=False, repr=False, compare=False)

    @staticmethod
    def _all_identifiers(party: Party) -> Iterable[tuple[str, str]]:
        yield from party.identifiers
        for service in party.services:
            yield from service.identifiers

    def resolve(self, address: Address, day: date) -> Party | None:
        """The party at `address` on `day`: the most specific identifier that anybody has wins.

        A party that has ended hands over to its successor. None where nobody has any of the identifiers.
        """
        for identifier in address.identifiers:
            for party in self._by_identifier.get(identifier, ()):
                living = self.living(party, day)
                if living is not None:
                    return living
        return self._stranger(address) if self.open and address.identifiers else None

    def known_at(self, address: Address, day: date) -> tuple[Party, ...]:
        """Every party that one of the address's identifiers belongs to on `day`."""
        found = (p for i in address.identifiers for p in self._by_identifier.get(i, ()))
        living = (self.living(party, day) for party in found)
        return tuple({party.id: party for party in living if party is not None}.values())

    def living(self, party: Party, day: date) -> Party | None:
        """`party` if it exists on `day`, else the first of its successors that does."""
        seen: set[str] = set()
        current: Party | None = party
        while current is not None and current.id not in seen:
            if current.valid_on(day):
                return current
            seen.add(current.id)
            current = self._by_id.get(current.successor) if current.successor else None
        return None

    def address(self, party: Party, like: Address) -> Address:
        """How a message addresses `party`: at the service of the same role as that of `like`."""
        asked = set(like.identifiers)
        if asked & set(self._all_identifiers(party)):
            return like
        services = (s for p in self.parties for s in p.services)
        roles = {s.role for s in services if asked & set(s.identifiers)}
        service = next((s.identifiers for s in party.services if s.role in roles), ())
        return Address(identifiers=(*service, *party.identifiers), name=party.name)

    def spoken_for(self, party: Party) -> tuple[str, ...]:
        """The parties in whose name `party` may answer: itself, those it hosts, those it succeeded."""
        others = (p.id for p in self.parties if party.id in (p.hosted_by, p.successor))
        return (party.id, *others)

    @staticmethod
    def _stranger(address: Address) -> Party:
        return Party(
            id=address.party_id,
            name=masked(address.name) if address.name else address.party_id.replace("-", " ", 1),
            kind="unknown",
            side=Side.OURS,
            identifiers=address.identifiers,
        )

    def party(self, party_id: str) -> Party | None:
        """The party of that id, whether or not it still exists."""
        return self._by_id.get(party_id)

    def name(self, party_id: str) -> str:
        """What the party is called; its id where nobody has registered it."""
        found = self._by_id.get(party_id)
        return found.name if found is not None else party_id

    def endpoint(self, name: str | None) -> Endpoint | None:
        """The endpoint of that name."""
        return self._endpoints.get(name) if name else None

    def endpoint_of(self, party: Party) -> Endpoint | None:
        """Where the party's messages go: its own endpoint, else its host's."""
        if party.endpoint is None and party.hosted_by is not None:
            host = self.party(party.hosted_by)
            return self.endpoint(host.endpoint) if host else None
        return self.endpoint(party.endpoint)

    def own_system(self, party: Party, *, plan: bool = False) -> bool:
        """Whether the party's messages do not go by way of its host."""
        own = party.endpoint or (party.plans_endpoint if plan else None)
        return own is not None or party.hosted_by is None

    def plans_endpoint_of(self, party: Party) -> Endpoint | None:
        """Where the party's care plans go: the server that it, or its host, has for them, else as all."""
        host = self.party(party.hosted_by) if party.hosted_by is not None else None
        own = party.plans_endpoint or (host.plans_endpoint if host and party.endpoint is None else None)
        return self.endpoint(own) if own is not None else self.endpoint_of(party)

    def speakers_at(self, endpoint: Endpoint) -> Partner:
        """Who may put files into an endpoint's folder, or write plans on its server: those whose it is."""
        at = self.plans_endpoint_of if endpoint.transport == PLANS else self.endpoint_of
        there = ((party, at(party)) for party in self.parties)
        found = tuple(p.id for p, known in there if known is not None and known.name == endpoint.name)
        return Partner(name=endpoint.name, parties=found)

    def speaker(self, name: str) -> Partner | None:
        """Whoever has brought a message under that name: a partner, or those at an endpoint."""
        endpoint = self.endpoint(name)
        by_name = next((one for one in self.partners if one.name == name), None)
        return by_name or (self.speakers_at(endpoint) if endpoint is not None else None)

    def partner_by_token(self, token: str) -> Partner | None:
        """The partner whose stored hash is that of `token`, compared in constant time."""
        digest = hashlib.sha256(token.encode()).hexdigest()
        found = None
        for partner in self.partners:
            if partner.token_sha256 and hmac.compare_digest(partner.token_sha256, digest):
                found = partner
        return found

    def partner_by_client_id(self, client_id: str) -> Partner | None:
        """The partner that asks for access tokens under that name."""
        return next((p for p in self.partners if p.client_id == client_id), None)

    def partner(self, name: str) -> Partner | None:
        """The partner of that name."""
        return next((p for p in self.partners if p.name == name), None)

    def partner_by_certificate(self, der: bytes) -> Partner | None:
        """The partner whose client certificate this is (already verified by the TLS layer)."""
        digest = hashlib.sha256(der).hexdigest()
        for partner in self.partners:
            if partner.certificate_sha256 and hmac.compare_digest(partner.certificate_sha256.lower(), digest):
                return partner
        return None
