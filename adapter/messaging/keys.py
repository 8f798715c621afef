"""A partner's public keys: JSON Web Keys (RFC 7517) for RS384 and ES384, the two that SMART 2.2 asks for.

Only keys that a signature of ours can be checked with are taken: RSA from 2048 to 8192 bits, or EC on P-384;
each with a `kid`, for signing, and without a private part.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

ALGORITHMS = ("RS384", "ES384")
"""The algorithms of an assertion (SMART 2.2, "Asymmetric client authentication")."""

_BY_TYPE = {"RSA": "RS384", "EC": "ES384"}
_PRIVATE = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")  # RFC 7518 6.2.2, 6.3.2, 6.4.1
_BITS = range(2048, 8193)  # a larger key costs whoever checks it
_LONGEST_ID = 255


class UnusableKey(ValueError):
    """A key that no assertion can be checked with; its text says why, and repeats nothing of it."""


class PrivateKey(UnusableKey):
    """A key that should never have left its owner."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """A public key that assertions are checked with."""

    id: str
    algorithm: str
    public: Any = field(repr=False)  # cryptography's RSAPublicKey or EllipticCurvePublicKey


def read_key(jwk: Any) -> Key:
    """The key in a JWK. Raises UnusableKey."""
    if not isinstance(jwk, Mapping):
        raise UnusableKey("is no JSON Web Key; it must be a table with kty, kid and the key's own members")
    if any(name in jwk for name in _PRIVATE):
        raise PrivateKey("has a private part; make a new pair, and keep only its public key here")
    number = jwk.get("kid")
    if not isinstance(number, str) or not 0 < len(number) <= _LONGEST_ID:
        raise UnusableKey(f"has no kid of 1 to {_LONGEST_ID} characters; give it one, and name it in the JWT")
    algorithm = _BY_TYPE.get(str(jwk.get("kty")))
    if algorithm is None or jwk.get("alg", algorithm) != algorithm:
        raise UnusableKey(
            f"must be an RSA key for {ALGORITHMS[0]}, or an EC key on P-384 for {ALGORITHMS[1]}"
        )
    if jwk.get("use", "sig") != "sig" or "verify" not in jwk.get("key_ops", ("verify",)):
        raise UnusableKey("is not for signatures; its use must be sig")
    return Key(id=number, algorithm=algorithm, public=_public(jwk, algorithm))


def _public(jwk: Mapping[str, Any], algorithm: str) -> Any:
    from jwt.algorithms import ECAlgorithm, RSAAlgorithm
    from jwt.exceptions import InvalidKeyError

    try:
        if algorithm == "ES384":
            if jwk.get("crv") != "P-384":
                raise UnusableKey("must be on the curve P-384")
            return ECAlgorithm.from_jwk(dict(jwk))
        found = RSAAlgorithm.from_jwk(dict(jwk))
    except (InvalidKeyError, ValueError, TypeError, AttributeError, KeyError) as error:
        if isinstance(error, UnusableKey):
            raise
        raise UnusableKey("cannot be read; its members are not those of such a key") from None
    if found.key_size not in _BITS:
        raise UnusableKey(f"must have {_BITS.start} to {_BITS.stop - 1} bits")
    return found


def read_set(content: bytes) -> tuple[Key, ...]:
    """The usable keys of a JWKS; others, which are for other purposes, are left out.

    Raises UnusableKey where it is no JWKS, has not one usable key, or shows a private one.
    """
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError:
        raise UnusableKey("is not valid JSON") from None
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise UnusableKey("is no JWK Set, an object with a list called keys")
    keys, reasons = _usable(entries)
    if not keys:
        raise UnusableKey(f"has no usable key; the first {reasons[0]}" if reasons else "has no key in it")
    return keys


def _usable(entries: Iterable[Any]) -> tuple[tuple[Key, ...], list[str]]:
    keys, reasons = [], []
    for number, entry in enumerate(entries, start=1):
        try:
            keys.append(read_key(entry))
        except PrivateKey as error:
            raise PrivateKey(f"shows a key that {error} (number {number})") from None
        except UnusableKey as error:
            reasons.append(str(error))
    return tuple(keys), reasons


def doubled(keys: Sequence[Key]) -> str | None:
    """A kid that two keys of one algorithm share; None where there is none."""
    seen: set[tuple[str, str]] = set()
    for key in keys:
        if (key.id, key.algorithm) in seen:
            return key.id
        seen.add((key.id, key.algorithm))
    return None
