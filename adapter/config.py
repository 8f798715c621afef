"""Every setting, typed, frozen, read once: `adapter.toml`, overridden by `DISCHARGE_ADAPTER_*` variables.

The region (parties, endpoints, partners) is a file of its own, because operators change it often and it is
reviewed like code. Errors name the file, the key, and what to do.
"""

import os
import re
import tomllib
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from adapter.errors import ConfigurationError
from adapter.messaging.envelope import HER
from adapter.messaging.register import Endpoint, Partner, Party, ReceiptWhen, Register, Service, Side
from adapter.messaging.retry import Schedule

IDENTIFIER_SYSTEMS = {
    "HER": HER,
    "ENH": "urn:oid:2.16.578.1.12.4.1.4.101",
    "HSA": "urn:oid:1.2.752.29.4.19",
    "SOR": "urn:oid:1.2.208.176.1.1",
    "GLN": "https://www.gs1.org/gln",
}
"""Short names that a region file may use; any other system is written out as a URI."""

_NOT_UTF8 = "not in UTF-8; save it in that encoding"

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Operator(Frozen):
    """A person who may see the pages; the password is kept as a salted scrypt hash."""

    name: str
    password_scrypt: str  # `discharge-adapter config --hash-password` prints one


class DirectoryMailboxSettings(Frozen):
    """A folder with `in/`, from which messages are taken, and `out/`, to which the transport writes."""

    name: str
    address: Path
    partner: str | None = None  # the partner that may put files there
    every: timedelta = timedelta(seconds=2)


class FhirMailboxSettings(Frozen):
    """A partner's FHIR server to be polled."""

    name: str
    address: str  # base URL
    partner: str | None = None
    every: timedelta = timedelta(seconds=30)
    overlap: timedelta = timedelta(minutes=5)
    timeout: float = 10.0  # seconds
    token: str | None = Field(default=None, repr=False)
    client_certificate: str | None = None
    client_key: str | None = None
    trust: str | None = None  # CA bundle for https

    @model_validator(mode="after")
    def _whole_certificate(self) -> "FhirMailboxSettings":
        if (self.client_certificate is None) != (self.client_key is None):
            raise ValueError("client_certificate and client_key go together; set both or neither")
        return self

    @property
    def certificate(self) -> tuple[str, str] | None:
        """Certificate and key files, where we show one."""
        if self.client_certificate is None or self.client_key is None:
            return None
        return self.client_certificate, self.client_key


class RetrySettings(Frozen):
    """The waits between attempts; see messaging.retry.Schedule."""

    delays: tuple[timedelta, ...] = Schedule().delays
    give_up_after: timedelta = Schedule().give_up_after
    jitter: float = Schedule().jitter

    def schedule(self) -> Schedule:
        """The schedule as the post reads it."""
        return Schedule(delays=self.delays, give_up_after=self.give_up_after, jitter=self.jitter)


class Retention(Frozen):
    """How long things are kept, each for itself; see docs/operations.md."""

    payloads: timedelta = timedelta(days=365)
    attempts: timedelta = timedelta(days=180)
    seen: timedelta = timedelta(days=30)  # what mailboxes remember of messages already taken


class Settings(BaseSettings):
    """The adapter's settings. An unknown key in the file is an error: a misspelt one must not be ignored."""

    model_config = SettingsConfigDict(
        env_prefix="DISCHARGE_ADAPTER_", env_nested_delimiter="__", frozen=True, extra="forbid"
    )

    region: Path | None = None  # the region file; none = evaluation mode
    agreement: str | None = None  # norway, sweden; the region's own where it says so
    store: str = "sqlite:///discharge-adapter.db"  # an SQLAlchemy URL
    host: str = "127.0.0.1"
    port: int = 8425
    worker_port: int | None = None  # where a worker by itself shows its metrics, on this machine only
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    client_ca: Path | None = None  # CA of the partners' client certificates
    max_message_bytes: int = 36 * 1024 * 1024
    pseudonym_key: str | None = Field(default=None, repr=False)  # kept in the store where it is not set
    clock_tolerance: timedelta = timedelta(minutes=10)  # how far ahead of us a sender's clock may be
    answer_within: timedelta | None = None  # local figure for "at once" (§ 11); the agreement's where not set
    lease: timedelta = timedelta(seconds=60)
    alarm_webhook: str | None = None
    alarm_webhook_token: str | None = Field(default=None, repr=False)
    operators: tuple[Operator, ...] = ()
    directory_mailboxes: tuple[DirectoryMailboxSettings, ...] = ()
    fhir_mailboxes: tuple[FhirMailboxSettings, ...] = ()
    retry: RetrySettings = RetrySettings()
    retention: Retention = Retention()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, _file.path)

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach us."""
        return self.host in LOOPBACK


class _ChosenFile:
    path: Path | None = None


_file = _ChosenFile()


def load(path: Path | None = None, **overrides: Any) -> Settings:
    """The settings of `path`, else of `adapter.toml` in the current directory, else the defaults.

    Raises ConfigurationError that names the file, the key and the reason.
    """
    if path is None and Path("adapter.toml").exists():
        path = Path("adapter.toml")
    if path is not None and not path.is_file():
        raise ConfigurationError(f"{path}: there is no such settings file; create it or leave --config out")
    _file.path = path
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        raise ConfigurationError(_explained(error, str(path or "environment"))) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: not valid TOML: {error}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: {_NOT_UTF8}") from error
    finally:
        _file.path = None  # whoever makes Settings next has named no file
    if path is not None and settings.region is not None and not settings.region.is_absolute():
        settings = settings.model_copy(update={"region": path.parent / settings.region})
    return settings


# --- the region -------------------------------------------------------------------------------------------


class Region(Frozen):
    """A region file as understood."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    name: str
    agreement: str = "norway"
    register_: Register


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
    receipt: str = "stored"
    valid_from: date | None = None
    valid_to: date | None = None
    successor: str | None = None
    hosted_by: str | None = None
    service: tuple[_ServiceEntry, ...] = ()


class _EndpointEntry(Frozen):
    name: str
    transport: str
    address: str
    dialect: str
    concurrency: int = 2
    receipt_within: timedelta = timedelta(minutes=30)
    timeout: float = 10.0
    token: str | None = Field(default=None, repr=False)
    client_certificate: str | None = None
    client_key: str | None = None
    trust: str | None = None


class _PartnerEntry(Frozen):
    name: str
    parties: tuple[str, ...]
    token_sha256: str | None = Field(default=None, repr=False)
    certificate_sha256: str | None = None


class _RegionFile(Frozen):
    name: str
    agreement: str = "norway"
    party: tuple[_PartyEntry, ...]
    endpoint: tuple[_EndpointEntry, ...] = ()
    partner: tuple[_PartnerEntry, ...] = ()


KINDS = ("hospital", "municipal-acute-bed", "municipality", "open-care", "gp")
TRANSPORTS = ("fhir", "directory")
DIALECTS = ("fhir", "plo-1.5", "plo-1.6")


def load_region(path: Path) -> Region:
    """Read a region file; `${NAME}` in a value is taken from the environment, so that no secret is in git.

    Raises ConfigurationError that names the file, the entry and what to do.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot read the region file: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: {_NOT_UTF8}") from error
    try:
        document = tomllib.loads(_with_environment(text, path))
        file = _RegionFile.model_validate(document)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: not valid TOML: {error}") from error
    except ValidationError as error:
        raise ConfigurationError(_explained(error, str(path))) from error
    problems = _inconsistencies(file)
    if problems:
        raise ConfigurationError("\n".join(f"{path}: {problem}" for problem in problems))
    return Region(name=file.name, agreement=file.agreement, register_=_register(file))


def _with_environment(text: str, path: Path) -> str:
    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in os.environ:
            raise ConfigurationError(f"{path}: the environment variable {name} is not set")
        return os.environ[name]

    return re.sub(r"\$\{(\w+)\}", value, text)


def _register(file: _RegionFile) -> Register:
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
                receipt=ReceiptWhen(p.receipt),
                valid_from=p.valid_from,
                valid_to=p.valid_to,
                successor=p.successor,
                hosted_by=p.hosted_by,
            )
            for p in file.party
        ),
        endpoints=tuple(
            Endpoint(
                **e.model_dump(exclude={"client_certificate", "client_key"}),
                client_certificate=(
                    (e.client_certificate, e.client_key) if e.client_certificate and e.client_key else None
                ),
            )
            for e in file.endpoint
        ),
        partners=tuple(Partner(**p.model_dump()) for p in file.partner),
    )


def _inconsistencies(file: _RegionFile) -> list[str]:
    """What the shape alone cannot tell: names that lead nowhere, and identifiers that two parties share."""
    parties = {p.id for p in file.party}
    endpoints = {e.name for e in file.endpoint}
    found = []
    for p in file.party:
        where = f"[[party]] id = {p.id!r}"
        found += [
            f"{where}: {key} = {value!r} is not one of {', '.join(allowed)}"
            for key, value, allowed in (
                ("kind", p.kind, KINDS),
                ("side", p.side, ("ours", "theirs")),
                ("receipt", p.receipt, ("stored", "delivered")),
            )
            if value not in allowed
        ]
        found += [
            f"{where}: {key} = {value!r} names nothing in this file"
            for key, value, known in (
                ("endpoint", p.endpoint, endpoints),
                ("successor", p.successor, parties),
                ("hosted_by", p.hosted_by, parties),
            )
            if value is not None and value not in known
        ]
        if p.side == "theirs" and not p.endpoint:
            found.append(f"{where}: a party of theirs needs an endpoint to which its messages go")
        if p.receipt == "delivered" and not (p.endpoint or p.hosted_by):
            found.append(f'{where}: receipt = "delivered" needs an endpoint, the system behind the party')
    for e in file.endpoint:
        where = f"[[endpoint]] name = {e.name!r}"
        if e.transport not in TRANSPORTS:
            found.append(f"{where}: transport = {e.transport!r} is not one of {', '.join(TRANSPORTS)}")
        if e.dialect not in DIALECTS:
            found.append(f"{where}: dialect = {e.dialect!r} is not one of {', '.join(DIALECTS)}")
        if bool(e.client_certificate) != bool(e.client_key):
            found.append(f"{where}: client_certificate and client_key go together; set both or neither")
        if e.concurrency < 1:
            found.append(f"{where}: concurrency must be at least 1")
    for partner in file.partner:
        found += [
            f"[[partner]] name = {partner.name!r}: parties names {party!r}, which is not in this file"
            for party in partner.parties
            if party not in parties
        ]
        if not (partner.token_sha256 or partner.certificate_sha256):
            found.append(f"[[partner]] name = {partner.name!r}: needs token_sha256 or certificate_sha256")
    return found + _shared_identifiers(file) + _doubled(file)


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
    return found


def _pair(item: str) -> tuple[str, str]:
    system, _, value = item.partition("|")
    system = IDENTIFIER_SYSTEMS.get(system, system)
    return system, value.replace(".", "") if system == HER else value


def _explained(error: ValidationError, where: str) -> str:
    """Pydantic's findings, one line each: file, key, reason; never the value, which may be a secret."""
    return "\n".join(
        f"{where}: {'.'.join(str(part) for part in found['loc']) or 'settings'}: {found['msg']}"
        for found in error.errors(include_input=False, include_url=False)
    )
