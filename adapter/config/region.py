"""The region file: parties, endpoints and partners, checked before anything is built of them.

Operators change it often, and it is reviewed like code. Every finding names the file, the entry, the key and
what to do.
"""

import os
import re
import tomllib
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field, ValidationError, field_validator

from adapter.config.partners import PartnerEntry, problems
from adapter.config.values import Frozen, Seconds, Wait, is_address, is_safe_address
from adapter.config.wording import explained, place
from adapter.discharge.agreement import Accord, agreement, country
from adapter.discharge.notices import NoticeKind
from adapter.discharge.pathways import NOTHING, TABLES, Own, read_own
from adapter.discharge.rulefile import Table, unprintable
from adapter.errors import ConfigurationError
from adapter.messaging.envelope import HER
from adapter.messaging.register import (
    EDI,
    PLANS,
    Endpoint,
    Partner,
    Party,
    ReceiptWhen,
    Register,
    Resend,
    RosterPlace,
    Service,
    Side,
    UnknownService,
)

IDENTIFIER_SYSTEMS = {
    "HER": HER,
    "ENH": "urn:oid:2.16.578.1.12.4.1.4.101",
    "HSA": "urn:oid:1.2.752.29.4.19",
    "SOR": "urn:oid:1.2.208.176.1.1",
    "GLN": "https://www.gs1.org/gln",
}
"""Short names that a region file may use; any other system is written out as a URI."""

ROSTER_WITHIN = timedelta(days=2)
"""How old a roster may be where nobody says: one nightly copy may be missing."""

NOT_UTF8 = "not in UTF-8; save it in that encoding"


class Region(Frozen):
    """A region file as understood."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    name: str
    agreement: str = "norway"
    accords: tuple[Accord, ...] = ()  # what parties have agreed on beside the country's rules
    own: Own = NOTHING  # the region's follow-ups, pathways and groups
    register_: Register
    unread: tuple[str, ...] = ()  # parties of ours of whom nobody has said who reads their messages
    warnings: tuple[str, ...] = ()  # what is allowed, and may not be meant


class _Identified(Frozen):
    identifiers: tuple[str, ...] = ()

    @field_validator("identifiers")
    @classmethod
    def _known_form(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for item in value:
            system, _, number = item.partition("|")
            if not number or (system not in IDENTIFIER_SYSTEMS and ":" not in system):
                known = ", ".join(IDENTIFIER_SYSTEMS)
                raise ValueError(f"{item!r} must be SYSTEM|VALUE, where SYSTEM is one of {known} or a URI")
        return value

    def pairs(self) -> tuple[tuple[str, str], ...]:
        return tuple(_pair(item) for item in self.identifiers)


class _ServiceEntry(_Identified):
    role: str
    name: str | None = None


class _PartyEntry(_Identified):
    id: str
    name: str
    kind: str
    side: str = "ours"
    endpoint: str | None = None
    plans_endpoint: str | None = None
    receipt: str | None = None  # none is "stored", and warned of where nothing else says who reads
    valid_from: date | None = None
    valid_to: date | None = None
    successor: str | None = None
    hosted_by: str | None = None
    telephone: str | None = Field(default=None, min_length=1, max_length=40, pattern=r"^[0-9+() -]+$")
    roster: str | None = Field(default=None, min_length=1)  # whom it may be told of: a file, or an API
    roster_within: Wait | None = None  # how old that may be
    roster_token: str | None = Field(default=None, repr=False, min_length=1)
    unknown_service: str | None = None  # none is the region's
    addressing: dict[str, str | tuple[str, ...]] = Field(default_factory=dict)
    service: tuple[_ServiceEntry, ...] = ()


class _EndpointEntry(Frozen):
    name: str
    transport: str
    address: str
    dialect: str
    concurrency: int = Field(default=2, ge=1)
    receipt_within: Wait = timedelta(minutes=30)
    resends: int | None = Field(default=None, ge=0, le=10)
    resend: str = Resend.AUTOMATIC.value
    timeout: Seconds = 10.0
    token: str | None = Field(default=None, repr=False)
    client_certificate: str | None = None
    client_key: str | None = None
    trust: str | None = None


class _AccordEntry(Frozen):
    """Terms that parties have agreed on; the country's rule file says which there are."""

    name: str
    between: tuple[str, ...] = ()
    valid_from: date | None = None
    valid_to: date | None = None
    terms: dict[str, Any] = Field(default_factory=dict)

    def accord(self) -> Accord:
        return Accord(
            name=self.name,
            between=frozenset(self.between),
            valid_from=self.valid_from,
            valid_to=self.valid_to,
            terms=self.terms,
        )


class _RegionFile(Frozen):
    name: str
    agreement: str = "norway"
    unknown_service: str = UnknownService.ACCEPT.value
    accord: tuple[_AccordEntry, ...] = ()
    follow_up: tuple[dict[str, Any], ...] = ()
    pathway: tuple[dict[str, Any], ...] = ()
    group: tuple[dict[str, Any], ...] = ()
    party: tuple[_PartyEntry, ...]
    endpoint: tuple[_EndpointEntry, ...] = ()
    partner: tuple[PartnerEntry, ...] = ()


KINDS = ("hospital", "municipal-acute-bed", "municipality", "open-care", "gp")
SIDES = ("ours", "theirs")
RECEIPTS = ("stored", "delivered")
RESEND = tuple(choice.value for choice in Resend)
UNKNOWN_SERVICES = tuple(choice.value for choice in UnknownService)
TRANSPORTS = ("fhir", PLANS, "directory", EDI)
DIALECTS = ("fhir", "plo-1.5", "plo-1.6", "medcom", "medcom-vans")


_UNREAD = (
    "has neither an endpoint nor a receipt of its own choice, so a positive receipt is given in its name as "
    'soon as a message is stored; write receipt = "stored" if people read its messages on the pages, or name '
    'its endpoint and write receipt = "delivered"'
)


def load_region(path: Path) -> Region:
    """Read a region file; `${NAME}` in a value is taken from the environment, so that no secret is in git.

    Raises ConfigurationError that names the file, the entry and what to do.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot read the region file: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: {NOT_UTF8}") from error
    try:
        document = tomllib.loads(_with_environment(text, path))
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: not valid TOML: {error}") from error
    hidden = [
        f"{': '.join((str(path), *place(where, document)))}: holds {found}, which cannot be shown"
        for where, found in _hidden(document, ())
    ]
    if hidden:
        raise ConfigurationError("\n".join(hidden))
    try:
        file = _RegionFile.model_validate(document)
    except ValidationError as error:
        raise ConfigurationError(explained(error, str(path), document, lambda _: None)) from error
    problems = _inconsistencies(file)
    if problems:
        raise ConfigurationError("\n".join(f"{path}: {problem}" for problem in problems))
    own = _own(file, path)
    return Region(
        name=file.name,
        agreement=file.agreement,
        accords=_accords(file, own, path),
        own=own,
        register_=_register(file, path),
        unread=_unread(file),
        warnings=tuple(f"{path}: [[party]] id = {party!r}: {_UNREAD}" for party in _unread(file)),
    )


def _hidden(value: Any, where: tuple[int | str, ...]) -> Iterator[tuple[tuple[int | str, ...], str]]:
    """Where a text holds what no page and no database can show, and what that is."""
    if isinstance(value, str) and (found := unprintable(value)) is not None:
        yield where, found
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, inner in entries:
        yield from _hidden(inner, (*where, key))


def _with_environment(text: str, path: Path) -> str:
    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in os.environ:
            raise ConfigurationError(f"{path}: the environment variable {name} is not set")
        return os.environ[name]

    return re.sub(r"\$\{(\w+)\}", value, text)


def _own(file: _RegionFile, path: Path) -> Own:
    """The follow-ups of the region, read as rules."""
    tables = {name: list(getattr(file, name)) for name in TABLES}
    try:
        made = read_own(Table(tables, str(path)), country(file.agreement))
    except ConfigurationError as error:
        said = str(error)
        raise error if said.startswith(str(path)) else ConfigurationError(f"{path}: {said}") from error
    unknown = sorted(made.named - {p.id for p in file.party})
    if unknown:
        raise ConfigurationError(
            f"{path}: follow_up: between names {', '.join(unknown)}, which is not in this file"
        )
    return made


def _accords(file: _RegionFile, own: Own, path: Path) -> tuple[Accord, ...]:
    """What parties have agreed on, tried against the country's rules before anything rests on it."""
    made = tuple(entry.accord() for entry in file.accord)
    try:
        agreement(file.agreement, accords=made, own=own)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error
    return made


def _register(file: _RegionFile, path: Path) -> Register:
    return Register(
        parties=tuple(
            Party(
                id=p.id,
                name=p.name,
                kind=p.kind,
                side=Side(p.side),
                identifiers=p.pairs(),
                services=tuple(Service(role=s.role, name=s.name, identifiers=s.pairs()) for s in p.service),
                endpoint=p.endpoint,
                plans_endpoint=p.plans_endpoint,
                receipt=ReceiptWhen(p.receipt or "stored"),
                valid_from=p.valid_from,
                valid_to=p.valid_to,
                successor=p.successor,
                hosted_by=p.hosted_by,
                telephone=p.telephone,
                unknown_service=UnknownService(p.unknown_service or file.unknown_service),
                roster=_roster(p, path),
                addressing=tuple((kind, _roles(said)) for kind, said in p.addressing.items()),
            )
            for p in file.party
        ),
        endpoints=tuple(
            Endpoint(
                **e.model_dump(exclude={"client_certificate", "client_key", "resend"}),
                resend=Resend(e.resend),
                client_certificate=(
                    (e.client_certificate, e.client_key) if e.client_certificate and e.client_key else None
                ),
            )
            for e in file.endpoint
        ),
        partners=tuple(_partner(p, path) for p in file.partner),
    )


def _roster(p: _PartyEntry, path: Path) -> RosterPlace | None:
    """Where it stands whom the party may be told of; a file lies beside the region file."""
    if p.roster is None:
        return None
    address = p.roster if _is_asked(p.roster) else str(path.parent / p.roster)
    return RosterPlace(address=address, within=p.roster_within or ROSTER_WITHIN, token=p.roster_token)


def _is_asked(roster: str) -> bool:
    return "://" in roster


def _of_roster(p: _PartyEntry) -> Iterable[str]:
    """Numbers of persons travel from there, so nobody may listen; and only ours are decided for here."""
    if p.roster is None:
        if p.roster_within is not None or p.roster_token is not None:
            yield "roster_within and roster_token say more of a roster; name it, or leave them out"
        return
    if p.side != "ours":
        yield "roster: a party of theirs decides in its own system; leave roster out"
    if _is_asked(p.roster) and not is_safe_address(p.roster):
        yield "roster must be a file, or an https:// address; http:// only on this machine"
    if p.roster_token is not None and not _is_asked(p.roster):
        yield "roster_token is shown to an API, and roster names a file; leave it out"


def _roles(said: str | tuple[str, ...]) -> tuple[str, ...]:
    """The roles that may get a kind of notice, the first by default."""
    return (said,) if isinstance(said, str) else said


def _of_addressing(p: _PartyEntry) -> Iterable[str]:
    """Kinds of notice, and the roles of the party's own services."""
    known = {service.role for service in p.service}
    for kind, said in p.addressing.items():
        if kind not in set(NoticeKind):
            yield f"addressing: {kind!r} is no kind of notice"
        if not _roles(said):
            yield f"addressing: {kind} names no role; name one, or leave it out"
        for role in _roles(said):
            if role not in known:
                yield f"addressing: {kind} = {role!r} is not the role of any of its services"


def _partner(entry: PartnerEntry, path: Path) -> Partner:
    try:
        return entry.partner(path.parent)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: [[partner]] name = {entry.name!r}: {error}") from error


def _inconsistencies(file: _RegionFile) -> list[str]:
    """What the shape alone cannot tell: names that lead nowhere, and identifiers that two parties share."""
    roles = {p.id: frozenset(service.role for service in p.service) for p in file.party}
    found = [
        *_unknown_words(("unknown_service", file.unknown_service, UNKNOWN_SERVICES)),
        *(f"[[party]] id = {p.id!r}: {problem}" for p in file.party for problem in _of_party(p, file)),
        *(f"[[endpoint]] name = {e.name!r}: {problem}" for e in file.endpoint for problem in _of_endpoint(e)),
        *(
            f"[[partner]] name = {p.name!r}: {problem}"
            for p in file.partner
            for problem in problems(p, roles)
        ),
        *(
            f"[[accord]] name = {a.name!r}: between names {party!r}, which is not in this file"
            for a in file.accord
            for party in a.between
            if party not in {p.id for p in file.party}
        ),
    ]
    return found + _shared_identifiers(file) + _doubled(file)


def _of_party(p: _PartyEntry, file: _RegionFile) -> Iterable[str]:
    yield from _unknown_words(
        ("kind", p.kind, KINDS),
        ("side", p.side, SIDES),
        ("receipt", p.receipt or RECEIPTS[0], RECEIPTS),
        ("unknown_service", p.unknown_service or UNKNOWN_SERVICES[0], UNKNOWN_SERVICES),
    )
    yield from _of_addressing(p)
    yield from _of_roster(p)
    parties = {one.id for one in file.party}
    endpoints = {one.name for one in file.endpoint}
    for key, value, known in (
        ("endpoint", p.endpoint, endpoints),
        ("plans_endpoint", p.plans_endpoint, endpoints),
        ("successor", p.successor, parties),
        ("hosted_by", p.hosted_by, parties),
    ):
        if value is not None and value not in known:
            yield f"{key} = {value!r} names nothing in this file"
        if value == p.id and not key.endswith("endpoint"):
            yield f"{key} names the party itself; name another, or leave it out"
    transports = {one.name: one.transport for one in file.endpoint}
    if transports.get(p.endpoint or "") == PLANS:
        yield (
            f"endpoint = {p.endpoint!r} takes care plans only; name it as plans_endpoint, and as endpoint "
            "one that takes messages, or none"
        )
    if transports.get(p.plans_endpoint or "", PLANS) != PLANS:
        yield (
            f"plans_endpoint = {p.plans_endpoint!r} is no server for plans; give it "
            f'transport = "{PLANS}", or leave plans_endpoint out: plans then go to the endpoint as messages'
        )
    if p.side == "theirs" and not p.endpoint:
        yield "a party of theirs needs an endpoint to which its messages go"
    if p.receipt == "delivered" and not (p.endpoint or _host_endpoint(p, file)):
        yield 'receipt = "delivered" needs an endpoint, the system behind the party'
    if p.valid_from is not None and p.valid_to is not None and p.valid_to < p.valid_from:
        yield f"valid_to = {p.valid_to} is before valid_from = {p.valid_from}"


def _of_endpoint(e: _EndpointEntry) -> Iterable[str]:
    yield from _unknown_words(
        ("transport", e.transport, TRANSPORTS), ("dialect", e.dialect, DIALECTS), ("resend", e.resend, RESEND)
    )
    if e.transport == "fhir" and not is_address(e.address):
        yield "address must be an http:// or https:// URL, that of $process-message"
    if e.transport == PLANS and not is_address(e.address):
        yield "address must be an http:// or https:// URL, the base of the FHIR server"
    if e.transport == PLANS and "?" in e.address:
        yield "address must be the base of the FHIR server, without ? and what follows"
    if e.transport == PLANS and e.dialect != "fhir":
        yield 'a server for plans reads FHIR; write dialect = "fhir"'
    if e.transport == EDI and not (is_safe_address(e.address) and "?" not in e.address):
        yield "address must be that of a message server of the settings: https://, without ? and what follows"
    if e.transport == EDI and e.dialect == "fhir":
        yield 'a message server takes KITH messages; write dialect = "plo-1.6" or "plo-1.5"'
    if e.transport == EDI and (e.token or e.client_certificate):
        yield "the settings say how we sign in at the message server; leave token and client_certificate out"
    if e.transport == EDI and e.resends:
        yield "the message server itself sends again; leave resends out"
    if e.resend == Resend.BY_HAND.value and e.resends:
        yield 'resends is how often it is sent again by itself; leave it out, or write resend = "automatic"'
    if e.transport == "directory" and ("://" in e.address or not e.address.strip()):
        yield "address must be a folder with in/ and out/"
    if bool(e.client_certificate) != bool(e.client_key):
        yield "client_certificate and client_key go together; set both or neither"


def _unknown_words(*said: tuple[str, str, tuple[str, ...]]) -> Iterable[str]:
    for key, value, allowed in said:
        if value not in allowed:
            yield f"{key} = {value!r} is not one of {', '.join(allowed)}"


def _host_endpoint(p: _PartyEntry, file: _RegionFile) -> str | None:
    return next((one.endpoint for one in file.party if one.id == p.hosted_by), None)


def _unread(file: _RegionFile) -> tuple[str, ...]:
    """Parties of ours of whom nobody has said who reads their messages, a system or people."""
    return tuple(
        p.id
        for p in file.party
        if p.side == "ours" and p.receipt is None and not (p.endpoint or _host_endpoint(p, file))
    )


def _shared_identifiers(file: _RegionFile) -> list[str]:
    owners: dict[tuple[str, str], list[_PartyEntry]] = {}
    for p in file.party:
        for pair in (*p.pairs(), *(pair for s in p.service for pair in s.pairs())):
            owners.setdefault(pair, []).append(p)
    return [
        f"{value} ({system}) belongs to both {a.id!r} and {b.id!r} at the same time"
        for (system, value), several in owners.items()
        for a, b in pairwise(several)
        if a.id != b.id and not (a.valid_to or b.valid_to)
    ]


def _doubled(file: _RegionFile) -> list[str]:
    found = []
    for what, names in (
        ("party", [p.id for p in file.party]),
        ("endpoint", [e.name for e in file.endpoint]),
        ("partner", [p.name for p in file.partner]),
    ):
        found += [
            f"two [[{what}]] entries are called {name!r}" for name in {n for n in names if names.count(n) > 1}
        ]
    clients = [p.client_id for p in file.partner if p.client_id is not None]
    found += [
        f"two [[partner]] entries have the client_id {client!r}; give each machine its own"
        for client in sorted(set(clients))
        if clients.count(client) > 1
    ]
    return found


def _pair(item: str) -> tuple[str, str]:
    system, _, value = item.partition("|")
    system = IDENTIFIER_SYSTEMS.get(system, system)
    return system, value.replace(".", "") if system == HER else value
