"""A machine's own word for who it is: the signed JWT of SMART 2.2, "Asymmetric client authentication".

RFC 7523 section 3 says what must hold of it. First `claimed`, which believes nothing; then, with the keys of
that client, `prove`. An address in it (`jku`, `x5u`) or a key (`jwk`, `x5c`) is never used.
"""

import re
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from adapter.messaging.keys import ALGORITHMS, Key

LONGEST = timedelta(minutes=5)
"""How far ahead `exp` may lie (SMART 2.2)."""

LEEWAY = timedelta(seconds=10)
"""By how much a client's clock may differ from ours."""

MOST_BYTES = 8 * 1024
"""Of an assertion: an honest one has under 1 kB."""

_LONGEST_ID = 255
_JWT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)


class Unproven(ValueError):
    """An assertion that does not prove who sends it; its text says why, and repeats nothing of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """What an assertion says of itself, before anything of it is proven."""

    client_id: str
    key_id: str
    algorithm: str
    jku: object = None  # compared, never fetched


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """An assertion that has proven its sender."""

    client_id: str
    jti: str
    at: datetime  # when it did so
    remember_until: datetime  # until then no other assertion of this client may have its jti


def claimed(assertion: str) -> Claim:
    """Who an assertion says that it comes from, and how it says that it is signed. Raises Unproven."""
    header, claims = _unverified(assertion)
    if header.get("alg") not in ALGORITHMS:
        raise Unproven(f"the assertion's alg must be {' or '.join(ALGORITHMS)}")
    if str(header.get("typ", "JWT")).upper() != "JWT":
        raise Unproven("the assertion's typ must be JWT")
    if "crit" in header or "b64" in header:
        raise Unproven("the assertion has an extension that is not understood here; leave crit out")
    key_id = _text(header, "kid", "the assertion's header")
    issuer, subject = _text(claims, "iss"), _text(claims, "sub")
    if issuer != subject:
        raise Unproven("iss and sub must be the same, the client_id")
    return Claim(client_id=issuer, key_id=key_id, algorithm=str(header["alg"]), jku=header.get("jku"))


def prove(
    assertion: str,
    keys: Iterable[Key],
    *,
    audiences: AbstractSet[str],
    jwks_url: str | None,
    now: datetime,
) -> Proof:
    """Hold an assertion against the keys of the client that it claims to be. Raises Unproven.

    `audiences` are the ways in which our token endpoint's URL may be written; `jwks_url` is where that client
    has said that its keys are. A `jku` that names another place fails (SMART 2.2, "Signature verification").
    """
    claim = claimed(assertion)
    if claim.jku is not None and claim.jku != jwks_url:
        raise Unproven("jku is not the registered address of the keys (jwks_url); correct it or leave it out")
    suited = [k for k in keys if k.id == claim.key_id and k.algorithm == claim.algorithm]
    if not suited:
        raise Unproven("no registered key has the assertion's kid and fits its alg; register it first")
    claims = _verified(assertion, suited)
    _check_audience(claims.get("aud"), audiences)
    until = _check_times(claims, now)
    jti = _text(claims, "jti")
    return Proof(client_id=claim.client_id, jti=jti, at=now, remember_until=until + LEEWAY)


def _unverified(assertion: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    import jwt

    if len(assertion) > MOST_BYTES:
        raise Unproven(f"the assertion is longer than {MOST_BYTES} bytes")
    if not _JWT.fullmatch(assertion):
        raise Unproven("the assertion is no signed JWT, three parts in base64url with dots between them")
    try:
        found = jwt.decode_complete(assertion, options={"verify_signature": False})
    except (jwt.exceptions.PyJWTError, ValueError, TypeError, RecursionError):
        raise Unproven("the assertion is no JWT that can be read") from None
    return found["header"], found["payload"]


def _verified(assertion: str, keys: Iterable[Key]) -> Mapping[str, Any]:
    import jwt

    only_the_signature = {"verify_signature": True, "require": []} | {
        f"verify_{claim}": False for claim in ("exp", "nbf", "iat", "aud", "iss", "sub", "jti")
    }
    for key in keys:
        try:
            return jwt.decode(assertion, key.public, algorithms=[key.algorithm], options=only_the_signature)  # type: ignore[arg-type]  # a TypedDict
        except jwt.exceptions.PyJWTError:
            continue
    raise Unproven("the assertion's signature does not fit the registered key of that kid")


def _check_audience(aud: Any, audiences: AbstractSet[str]) -> None:
    """One audience, and that is us: what is meant for others too, they could use here."""
    if isinstance(aud, list) and len(aud) == 1:
        (aud,) = aud
    if not isinstance(aud, str) or aud not in audiences:
        raise Unproven("aud must be the URL of this token endpoint and nothing else; see smart-configuration")


def _check_times(claims: Mapping[str, Any], now: datetime) -> datetime:
    """When the assertion ends."""
    until = _instant(claims, "exp")
    if until is None:
        raise Unproven("exp is missing; it must be at most five minutes ahead")
    if until <= now - LEEWAY:
        raise Unproven(
            "the assertion has expired (exp); make a new one for each request, and check the clock"
        )
    if until > now + LONGEST + LEEWAY:
        raise Unproven("exp is more than five minutes ahead; make it shorter, and check the clock")
    for name in ("nbf", "iat"):
        begins = _instant(claims, name)
        if begins is not None and begins > now + LEEWAY:
            raise Unproven(f"{name} lies ahead; check the clock")
    return until


def _instant(claims: Mapping[str, Any], name: str) -> datetime | None:
    value = claims.get(name)
    if value is None:
        return None
    try:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError
        return datetime.fromtimestamp(value, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        raise Unproven(f"{name} must be a number of seconds since 1970") from None


def _text(where: Mapping[str, Any], name: str, what: str = "the assertion") -> str:
    value = where.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_ID or not value.isprintable():
        raise Unproven(f"{what} needs {name}, a text of 1 to {_LONGEST_ID} characters")
    return value
