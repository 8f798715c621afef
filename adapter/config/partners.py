"""The region file's `[[partner]]`: how a machine signs in, whom it speaks for, and what it may do."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from adapter.config.values import Address, Frozen, Sha256, is_safe_address
from adapter.errors import ConfigurationError, Refused
from adapter.messaging.keys import Key, UnusableKey, doubled, read_key, read_set
from adapter.messaging.register import Partner
from adapter.messaging.scopes import ALL, EVERY_TYPE, SAY, Scopes, parse

_MOST_BYTES = 256 * 1024  # of a JWKS file


class PartnerEntry(Frozen):
    """A `[[partner]]` as written."""

    name: str
    parties: tuple[str, ...]
    token_sha256: Sha256 | None = Field(default=None, repr=False)
    certificate_sha256: Sha256 | None = None
    client_id: str | None = None
    jwks: str | tuple[dict[str, Any], ...] | None = Field(default=None, repr=False)
    jwks_url: str | None = None
    scopes: tuple[str, ...] | None = None
    roles: tuple[str, ...] = ()
    subscription_endpoints: tuple[Address, ...] = ()
    subscription_content: bool = False

    @field_validator("client_id")
    @classmethod
    def _plain(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[!-~]{1,255}", value):
            raise ValueError("must be 1 to 255 characters of ASCII without blanks")
        return value

    @field_validator("jwks", mode="before")
    @classmethod
    def _list_or_path(cls, value: Any) -> Any:
        listed = isinstance(value, list | tuple) and value and all(isinstance(one, dict) for one in value)
        if not listed and not (isinstance(value, str) and value.strip()):
            raise ValueError("must be a list of public keys (JWK tables), or the path of a JWKS file")
        return value

    @field_validator("jwks")
    @classmethod
    def _public_keys(cls, value: Any) -> Any:
        if not isinstance(value, str):
            _inline(value or ())
        return value

    @field_validator("jwks_url")
    @classmethod
    def _safe(cls, value: str | None) -> str | None:
        if value is not None and not is_safe_address(value):
            raise ValueError("must be an https:// URL; http:// only on this machine")
        return value

    @field_validator("scopes")
    @classmethod
    def _readable(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for number, one in enumerate(value or (), start=1):
            _check_scope(one, number)
        if value is not None and not value:
            raise ValueError("must name a scope; leave it out for all of them")
        return value

    def allowed(self) -> Scopes:
        """What the partner may do; everything where the entry does not say."""
        return ALL if self.scopes is None else parse(" ".join(self.scopes))

    def partner(self, folder: Path) -> Partner:
        """The partner; a relative path of a JWKS file begins in `folder`. Raises ConfigurationError."""
        return Partner(
            name=self.name,
            parties=self.parties,
            token_sha256=self.token_sha256,
            certificate_sha256=self.certificate_sha256,
            client_id=self.client_id,
            keys=self._keys(folder),
            jwks_url=self.jwks_url,
            scopes=self.allowed(),
            roles=self.roles,
            subscription_endpoints=self.subscription_endpoints,
            subscription_content=self.subscription_content,
        )

    def _keys(self, folder: Path) -> tuple[Key, ...]:
        if not isinstance(self.jwks, str):
            return _inline(self.jwks or ())
        file = folder / self.jwks
        try:
            with file.open("rb") as opened:
                content = opened.read(_MOST_BYTES + 1)
        except OSError as error:
            raise ConfigurationError(f"jwks: the file {file} cannot be read: {error.strerror}") from error
        if len(content) > _MOST_BYTES:
            raise ConfigurationError(f"jwks: the file {file} is larger than {_MOST_BYTES} bytes")
        try:
            return read_set(content)
        except UnusableKey as error:
            raise ConfigurationError(f"jwks: the file {file} {error}") from error


def _inline(entries: Iterable[dict[str, Any]]) -> tuple[Key, ...]:
    keys = []
    for number, entry in enumerate(entries, start=1):
        try:
            keys.append(read_key(entry))
        except UnusableKey as error:
            raise ValueError(f"key number {number} {error}") from None
    if doubled(keys) is not None:
        raise ValueError("two keys have the same kid; give each its own")
    return tuple(keys)


def _check_scope(one: str, number: int) -> None:
    from adapter.fhir.shape import resource_class

    try:
        (word,) = one.split()
        ((name, _),) = parse(word).by_type
    except ValueError:
        raise ValueError(f"number {number} must be {SAY}") from None
    if name == EVERY_TYPE:
        return
    try:
        resource_class(name, "scopes")
    except Refused:
        raise ValueError(f"number {number}: {name} is no resource type of FHIR R4") from None


def problems(entry: PartnerEntry, parties: dict[str, frozenset[str]]) -> Iterable[str]:
    """What does not fit together; `parties` are the ids in the file, each with its services' roles."""
    yield from (
        f"parties names {party!r}, which is not in this file"
        for party in entry.parties
        if party not in parties
    )
    if not (entry.token_sha256 or entry.certificate_sha256 or entry.client_id):
        yield "needs token_sha256 or certificate_sha256, or client_id with jwks or jwks_url"
    if bool(entry.client_id) != bool(entry.jwks or entry.jwks_url):
        yield "client_id goes together with jwks or jwks_url; set both or neither"
    if entry.jwks and entry.jwks_url:
        yield "jwks and jwks_url are both set; keys come from one place, so leave one out"
    known = frozenset[str]().union(*(parties.get(party, frozenset()) for party in entry.parties))
    for role in entry.roles:
        if role not in known:
            there = ", ".join(sorted(known)) or "none"
            yield f"roles names {role!r}, which no service of its parties has (they have: {there})"
