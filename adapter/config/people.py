"""Who may sign in: the people file with passwords, and the OpenID provider that vouches for others.

Every finding names the file, the entry and the key; a password's hash is never repeated. A running adapter
reads a people file that has changed at once, so that whoever is struck from it is out.
"""

import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import structlog
from pydantic import Field, ValidationError, field_validator, model_validator

from adapter.config.values import Frozen, PasswordHash, SafeAddress, Seconds, Wait
from adapter.config.wording import explained
from adapter.errors import ConfigurationError
from adapter.messaging.people import CARE, KINDS, Account, Person, Role
from adapter.messaging.register import Register
from adapter.messaging.signing import ALGORITHMS

log = structlog.get_logger("people")

NOT_UTF8 = "not in UTF-8; save it in that encoding"
_Id = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^\s|:](?:[^\x00-\x1f|:]*[^\s|:])?$")]
_Name = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f]+$")]


class SessionSettings(Frozen):
    """How long somebody who has signed in stays so."""

    idle: Wait = timedelta(minutes=30)  # without a request
    longest: Wait = timedelta(hours=12)  # whatever they do


class OidcSettings(Frozen):
    """An OpenID provider (OpenID Connect Core 1.0, authorization code with PKCE)."""

    issuer: SafeAddress
    client_id: str = Field(min_length=1)
    client_secret: str | None = Field(default=None, repr=False, min_length=1)
    key: Path | None = None  # a private key (PEM or JWK) instead of the secret: private_key_jwt
    key_id: str | None = None
    algorithm: str | None = None  # of the key
    algorithms: tuple[str, ...] = ("RS256", "PS256", "ES256")  # by which an id_token may be signed
    scopes: tuple[str, ...] = ("openid", "profile")
    label: str | None = Field(default=None, max_length=60)  # what the button calls the provider
    name_claim: str = "name"
    roles_claim: str = "roles"  # also within another one, as realm_access.roles
    parties_claim: str = "parties"
    roles: Mapping[str, Role] = {}  # what a value of the claim is; none: our words
    parties: Mapping[str, str] = {}
    timeout: Seconds = 10.0
    trust: str | None = None  # CA bundle for https

    @field_validator("algorithm")
    @classmethod
    def _known_algorithm(cls, value: str | None) -> str | None:
        if value is not None and value not in ALGORITHMS:
            raise ValueError(f"must be one of {', '.join(ALGORITHMS)}")
        return value

    @field_validator("algorithms")
    @classmethod
    def _signed(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or set(value) - set(ALGORITHMS):
            raise ValueError(f"must be some of {', '.join(ALGORITHMS)}")
        return value

    @field_validator("scopes")
    @classmethod
    def _of_openid(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if "openid" not in value:
            raise ValueError('must hold "openid"')
        return value

    @model_validator(mode="after")
    def _proves_itself_one_way(self) -> "OidcSettings":
        if (self.client_secret is None) == (self.key is None):
            raise ValueError("needs client_secret or key, and not both")
        return self


class _PersonEntry(Frozen):
    id: _Id
    name: _Name
    password_argon2: PasswordHash
    roles: tuple[Role, ...] = Field(min_length=1)
    parties: tuple[str, ...] = ()
    shared: bool = False  # an account that several people use: shown nobody with a protected identity


class _PeopleFile(Frozen):
    person: tuple[_PersonEntry, ...] = Field(min_length=1)


def load_people(path: Path, register: Register) -> Mapping[str, Account]:
    """The accounts of a people file, by their id; raises ConfigurationError with a line for each finding."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: not valid TOML: {error}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: {NOT_UTF8}") from error
    try:
        read = _PeopleFile.model_validate(document)
    except ValidationError as error:
        raise ConfigurationError(explained(error, str(path), document, lambda _: None)) from error
    findings = [f"{path}: {finding}" for finding in _findings(read, register)]
    if findings:
        raise ConfigurationError("\n".join(findings))
    return MappingProxyType({entry.id: _account(entry) for entry in read.person})


def _findings(read: _PeopleFile, register: Register) -> Iterator[str]:
    for name, count in Counter(entry.id for entry in read.person).items():
        if count > 1:
            yield f"[[person]] id = {name!r}: id: stands {count} times; give each a different one"
    for entry in read.person:
        for finding in unfitting(entry.roles, entry.parties, register):
            yield f"[[person]] id = {entry.id!r}: {finding}"


def unfitting(roles: tuple[Role, ...], parties: tuple[str, ...], register: Register) -> Iterator[str]:
    """What is wrong with these parties for these roles, beginning with the key."""
    care = [role for role in roles if role in CARE]
    if not care:
        if parties:
            yield "parties: operators and auditors have none; leave them out"
        return
    if not parties:
        yield "parties: is missing; say for which parties of the region file"
    kinds = {name: _kinds(name, register) for name in parties}
    for name, found in kinds.items():
        if found is None:
            yield f"parties: {name!r} is no party of the region file"
        elif not any(_fits(role, found) for role in care):
            yield f"parties: {name!r} is a {found}, for which none of the roles can be held"
    for role in care:
        known = [found for found in kinds.values() if found is not None]
        if known and not any(_fits(role, found) for found in known):
            yield f"roles: {role.value!r} needs a party of the kind {' or '.join(KINDS[role])}"


def _kinds(name: str, register: Register) -> str | None:
    party = register.party(name)
    if party is not None:
        return party.kind
    return "unknown" if register.open else None


def _fits(role: Role, kind: str) -> bool:
    return kind == "unknown" or kind in KINDS[role]


def _account(entry: _PersonEntry) -> Account:
    roles = frozenset(entry.roles)
    person = Person(
        id=entry.id,
        name=entry.name,
        roles=roles,
        parties=entry.parties if roles & CARE else None,
        named=not entry.shared,
    )
    return Account(person=person, password=entry.password_argon2)


class PeopleFile:
    """A people file that is read again as soon as it has changed.

    One that cannot be used any more is told of in the log, and what was read before holds until it can.
    """

    def __init__(self, path: Path, register: Register) -> None:
        self._path = path
        self._register = register
        self._state = self._now()
        self._accounts = load_people(path, register)

    def __call__(self) -> Mapping[str, Account]:
        """The accounts as the file has them now."""
        state = self._now()
        if state != self._state:
            self._state = state
            try:
                self._accounts = load_people(self._path, self._register)
            except ConfigurationError as error:
                log.error("the people file cannot be used", error=str(error))
        return self._accounts

    def _now(self) -> Any:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
