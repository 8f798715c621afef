"""Which machine is at the door: a partner by token, certificate or SMART access token.

Tokens are kept as SHA-256. Where a region names partners, a machine must sign in, may only speak for its own
parties, and do what its scopes say. People come in elsewhere (`entrance`).
"""

from dataclasses import dataclass
from enum import StrEnum

from starlette.requests import Request

from adapter.messaging.register import Partner, Register
from adapter.messaging.scopes import ALL, Scopes, granted, permits
from adapter.web.smart.tokens import Tokens

INVALID_TOKEN = 'Bearer error="invalid_token", error_description="unknown or expired; ask for a new one"'  # noqa: S105  # words
"""What a machine is told whose token is no good (RFC 6750 section 3.1)."""


class How(StrEnum):
    """How a machine has signed in."""

    TOKEN = "token"  # noqa: S105  # a word
    CERTIFICATE = "certificate"
    SMART = "smart"  # an access token that we have given
    OPEN = "open"  # not at all, for the region names no partners


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """A machine that has signed in, and what it may do."""

    partner: Partner | None  # None: evaluation, where nobody must sign in
    scopes: Scopes
    how: How

    def may(self, resource_type: str, action: str) -> bool:
        """Whether it may do that (c, r, u, d or s) to resources of the type."""
        return permits(self.scopes, resource_type, action)


@dataclass(frozen=True, kw_only=True)
class Doorkeeper:
    """Knows the partners' tokens and certificates."""

    register: Register
    tokens: Tokens | None = None  # those given at /fhir/token

    def caller(self, request: Request) -> Caller | None:
        """Who has signed in to this request; None where somebody should have and has not.

        Raises StoreError where an access token cannot be looked up.
        """
        certificate = request.scope.get("extensions", {}).get("tls", {}).get("client_certificate")
        found = self.register.partner_by_certificate(certificate) if certificate else None
        if found is not None:
            return Caller(partner=found, scopes=found.scopes, how=How.CERTIFICATE)
        token = _bearer(request)
        found = self.register.partner_by_token(token) if token else None
        if found is not None:
            return Caller(partner=found, scopes=found.scopes, how=How.TOKEN)
        if not self.partners_must_sign_in:
            return Caller(partner=None, scopes=ALL, how=How.OPEN)
        return self._with_access(token) if token else None

    def _with_access(self, token: str) -> Caller | None:
        """Whose access token it is; what the region file has taken back meanwhile, it no longer gives."""
        access = self.tokens.find(token) if self.tokens is not None else None
        partner = self.register.partner(access.partner) if access is not None else None
        if access is None or partner is None or partner.client_id is None:
            return None
        return Caller(partner=partner, scopes=granted(access.scopes, partner.scopes), how=How.SMART)

    def partner(self, request: Request) -> Partner | None:
        """The partner that has signed in to this request, if one has."""
        caller = self.caller(request)
        return caller.partner if caller is not None else None

    @staticmethod
    def challenge(request: Request) -> str:
        """WWW-Authenticate of a 401 (RFC 6750 section 3): whether a token came that is no good."""
        return INVALID_TOKEN if _bearer(request) else "Bearer"

    @property
    def partners_must_sign_in(self) -> bool:
        """Whether the region names partners at all."""
        return bool(self.register.partners)


def insufficient_scope(resource_type: str, action: str) -> str:
    """WWW-Authenticate of a 403 (RFC 6750 section 3.1): the scope that would do."""
    return f'Bearer error="insufficient_scope", scope="system/{resource_type}.{action}"'


def _bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def from_another_site(request: Request) -> bool:
    """Whether a browser sends this for a page that is not ours; programs say nothing of it."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is not None and origin.partition("://")[2] != request.headers.get("host")
