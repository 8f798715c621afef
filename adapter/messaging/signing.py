"""Our own word for who we are: the client assertion (RFC 7523) and the proof of possession (DPoP, RFC 9449).

`messaging.assertions` is the other side of the first of them: what partners' machines say to us.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import orjson

from adapter.phrases import Phrase, phrase

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
"""With which an assertion or a proof may be signed (RFC 7518 section 3)."""

LIFE = timedelta(seconds=50)
"""Of an assertion: it is made for one request, and HelseID takes none that ends more than 60 s ahead."""

ASSERTION = "client-authentication+jwt"
"""`typ` of an assertion, by which it can be taken for nothing else (draft-ietf-oauth-rfc7523bis)."""

_BY_CURVE = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_LEAST_BITS = 2048


class UnusableSigningKey(ValueError):
    """A private key that nothing can be signed with; its text says why, and repeats nothing of it."""

    def __init__(self, said: Phrase) -> None:
        super().__init__(said)
        self.said = said


@dataclass(frozen=True, kw_only=True, slots=True)
class SigningKey:
    """A private key of ours, and how it signs."""

    private: Any = field(repr=False)  # cryptography's RSAPrivateKey or EllipticCurvePrivateKey
    algorithm: str
    id: str | None = None  # `kid`, under which the other side has the public half


def read_signing_key(content: bytes, *, algorithm: str | None = None, id: str | None = None) -> SigningKey:
    """The key in a PEM file (PKCS 8 or older, without password) or a JWK (RFC 7517).

    What is not said is taken from the JWK, else RSA signs with PS256 and an EC key as its curve has it.
    Raises UnusableSigningKey.
    """
    jwk = _jwk(content)
    private = _private(content, jwk)
    said = algorithm or (str(jwk["alg"]) if jwk.get("alg") else None)
    return SigningKey(
        private=private,
        algorithm=_fitting(private, said),
        id=id or (str(jwk["kid"]) if jwk.get("kid") else None),
    )


def new_signing_key() -> SigningKey:
    """A key pair for proofs, on P-256; made once at the start."""
    from cryptography.hazmat.primitives.asymmetric import ec

    return SigningKey(private=ec.generate_private_key(ec.SECP256R1()), algorithm="ES256")


def assertion(key: SigningKey, *, client_id: str, audience: str, now: datetime, jti: str) -> str:
    """The signed JWT that proves a client to an authorisation server (RFC 7523 section 3)."""
    import jwt

    at = int(now.timestamp())
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "iat": at,
        "nbf": at,
        "exp": at + int(LIFE.total_seconds()),
        "jti": jti,
    }
    headers = {"typ": ASSERTION} | ({"kid": key.id} if key.id is not None else {})
    return jwt.encode(claims, key.private, algorithm=key.algorithm, headers=headers)


def proof(
    key: SigningKey,
    *,
    method: str,
    url: str,
    now: datetime,
    jti: str,
    nonce: str | None = None,
    token: str | None = None,
) -> str:
    """The DPoP proof for one request (RFC 9449 section 4.2), with the token's hash where one is shown."""
    import jwt

    claims: dict[str, Any] = {
        "htm": method,
        "htu": without_query(url),
        "iat": int(now.timestamp()),
        "jti": jti,
    }
    if nonce is not None:
        claims["nonce"] = nonce
    if token is not None:
        claims["ath"] = hashed(token)
    headers = {"typ": "dpop+jwt", "jwk": public_jwk(key)}
    return jwt.encode(claims, key.private, algorithm=key.algorithm, headers=headers)


def without_query(url: str) -> str:
    """`htu`: the URL without query and fragment (RFC 9449 section 4.2)."""
    return urlunsplit(urlsplit(url)._replace(query="", fragment=""))


def hashed(token: str) -> str:
    """`ath`: the SHA-256 of an access token, in base64url."""
    return _base64url(sha256(token.encode("ascii", "replace")).digest())


def public_jwk(key: SigningKey) -> dict[str, Any]:
    """The public half, with the members that a thumbprint is made of and no others."""
    from jwt.algorithms import ECAlgorithm, RSAAlgorithm

    made = ECAlgorithm if key.algorithm.startswith("ES") else RSAAlgorithm
    found = made.to_jwk(key.private.public_key(), as_dict=True)
    return {name: found[name] for name in ("crv", "e", "kty", "n", "x", "y") if name in found}


def thumbprint(jwk: Mapping[str, Any]) -> str:
    """The SHA-256 thumbprint of a public key (RFC 7638), to which a token is bound (`jkt`)."""
    members = {name: jwk[name] for name in ("crv", "e", "kty", "n", "x", "y") if name in jwk}
    return _base64url(sha256(orjson.dumps(members, option=orjson.OPT_SORT_KEYS)).digest())


# --- reading a key ----------------------------------------------------------------------------------------


def _jwk(content: bytes) -> Mapping[str, Any]:
    """The file as a JWK; empty where it is none."""
    if not content.lstrip().startswith(b"{"):
        return {}
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError:
        raise UnusableSigningKey(phrase("is neither PEM nor valid JSON")) from None
    return found if isinstance(found, dict) else {}


def _private(content: bytes, jwk: Mapping[str, Any]) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from jwt.algorithms import ECAlgorithm, RSAAlgorithm
    from jwt.exceptions import InvalidKeyError

    try:
        if jwk:
            if "d" not in jwk:
                raise UnusableSigningKey(phrase("is a public key; the private one is needed"))
            return (ECAlgorithm if jwk.get("kty") == "EC" else RSAAlgorithm).from_jwk(dict(jwk))
        return load_pem_private_key(content, password=None)
    except UnusableSigningKey:
        raise
    except (InvalidKeyError, UnsupportedAlgorithm, ValueError, TypeError, AttributeError, KeyError):
        raise UnusableSigningKey(
            phrase("holds no private key that can be read; it must be PEM without a password, or a JWK")
        ) from None


def _fitting(private: Any, said: str | None) -> str:
    """The algorithm, if the key can sign with it."""
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    if isinstance(private, ec.EllipticCurvePrivateKey):
        own = _BY_CURVE.get(private.curve.name)
        allowed: tuple[str, ...] = (own,) if own is not None else ()
    elif isinstance(private, rsa.RSAPrivateKey):
        if private.key_size < _LEAST_BITS:
            raise UnusableSigningKey(
                phrase("has fewer than {least} bits; make a longer one", least=_LEAST_BITS)
            )
        allowed = tuple(a for a in ALGORITHMS if a[:2] in ("RS", "PS"))
    else:
        allowed = ()
    if not allowed:
        raise UnusableSigningKey(phrase("must be an RSA key, or an EC key on P-256, P-384 or P-521"))
    chosen = said or ("PS256" if "PS256" in allowed else allowed[0])
    if chosen not in allowed:
        raise UnusableSigningKey(
            phrase("cannot sign with the chosen algorithm; it can with {algorithms}", algorithms=allowed)
        )
    return str(chosen)


def _base64url(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
