"""Who is at the door: partner machines by bearer token or client certificate, people by name and password.

Tokens are kept as SHA-256, passwords as salted scrypt. Where a region names partners, a machine must sign in,
and may only speak for its own parties; where operators are named, so must a person.
"""

import base64
import hashlib
import hmac
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request

from adapter.messaging.register import Partner, Register

_N, _R, _P = 2**14, 8, 1  # scrypt's cost: about 50 ms and 16 MiB a try
_AT_ONCE = threading.BoundedSemaphore(2)  # tries at a time, so that guessing cannot take all the memory
_NOBODY = f"{'00' * 16}${'00' * 64}"  # no password gives it; an unknown name takes as long as a known one


@dataclass(frozen=True, kw_only=True)
class Doorkeeper:
    """Knows the partners' tokens and certificates and the operators' passwords."""

    register: Register
    operators: Mapping[str, str]  # name -> scrypt hash

    def partner(self, request: Request) -> Partner | None:
        """The partner that has signed in to this request, if one has."""
        certificate = request.scope.get("extensions", {}).get("tls", {}).get("client_certificate")
        if certificate:
            found = self.register.partner_by_certificate(certificate)
            if found is not None:
                return found
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return self.register.partner_by_token(token.strip()) if scheme.lower() == "bearer" else None

    @property
    def partners_must_sign_in(self) -> bool:
        """Whether the region names partners at all."""
        return bool(self.register.partners)

    def person(self, request: Request) -> str | None:
        """The operator who has signed in, `operator` where nobody must."""
        if not self.operators:
            return "operator"
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            name, _, password = base64.b64decode(given, validate=True).decode().partition(":")
        except ValueError:  # not base64, or not UTF-8
            return None
        known = self.operators.get(name)
        matches = password_matches(password, known or _NOBODY)
        return name if known is not None and matches else None


def hash_password(password: str) -> str:
    """A salted scrypt hash, as the settings file keeps it."""
    salt = secrets.token_bytes(16)
    digest = hashlib.scrypt(password.encode(), salt=salt, n=_N, r=_R, p=_P)
    return f"{salt.hex()}${digest.hex()}"


def password_matches(password: str, stored: str) -> bool:
    """Whether the password gives the stored hash, compared in constant time."""
    salt, _, digest = stored.partition("$")
    try:
        with _AT_ONCE:
            made = hashlib.scrypt(password.encode(), salt=bytes.fromhex(salt), n=_N, r=_R, p=_P)
        return hmac.compare_digest(made, bytes.fromhex(digest))
    except ValueError:
        return False
