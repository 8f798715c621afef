"""Who is at the door: partner machines by token, certificate or SMART access token, people by password.

Tokens are kept as SHA-256, passwords as salted scrypt. Where a region names partners, a machine must sign in,
may only speak for its own parties, and do what its scopes say; where operators are named, so must a person.
"""

import asyncio
import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from time import monotonic

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from adapter.messaging.people import Person, Role
from adapter.messaging.register import Partner, Register
from adapter.messaging.scopes import ALL, Scopes, granted, permits
from adapter.web.smart.tokens import Tokens

_N, _R, _P = 2**14, 8, 1  # scrypt's cost: about 50 ms and 16 MiB a try
_NOBODY = f"{'00' * 16}${'00' * 64}"  # no password gives it; an unknown name takes as long as a known one

ASK = 'Basic realm="discharge adapter", charset="UTF-8"'
"""What a browser is told where a person must sign in."""

INVALID_TOKEN = 'Bearer error="invalid_token", error_description="unknown or expired; ask for a new one"'  # noqa: S105  # words
"""What a machine is told whose token is no good (RFC 6750 section 3.1)."""

MOST_WAITING = 8
"""Tries that are looked at or wait for it; they are looked at one by one, and further ones sent away."""

FREE_TRIES = 3
"""Wrong passwords for one name from one address before the next one must wait."""

LONGEST_WAIT = 60.0
"""Seconds; the wait is one second at first, and doubles with every further wrong password."""

FORGIVEN = 900.0
"""Seconds after which wrong passwords are forgotten."""

REMEMBERED = 600.0
"""Seconds without a request for which a password that was right is known again without scrypt."""

_MOST_REMEMBERED = 1024  # names and addresses with wrong passwords


@dataclass(frozen=True, kw_only=True)
class SignIn:
    """What came of an attempt to sign in."""

    name: str | None = None  # None: not signed in
    wait: float = 0.0  # seconds before another attempt is looked at


@dataclass(frozen=True, kw_only=True, slots=True)
class Came:
    """Who is at the door; nobody where they must sign in first."""

    person: Person | None = None
    wait: float = 0.0  # seconds before another attempt is looked at


def _operator(name: str, *, named: bool = True) -> Person:
    return Person(id=name, name=name, roles=frozenset({Role.OPERATIONS}), parties=None, named=named)


class Passwords:
    """Looks at one password at a time, so that guessing takes neither the processor nor the thread pool.

    A wrong one makes the next wait, for that name and address. A right one is remembered for a short while as
    a keyed hash that never leaves the process, and is let in while others guess.
    """

    def __init__(self, operators: Mapping[str, str]) -> None:
        self._operators = operators
        self._secret = secrets.token_bytes(32)
        self._one = asyncio.Semaphore(1)
        self._waiting = 0
        self._right: dict[bytes, float] = {}  # until when
        self._wrong: dict[bytes, tuple[int, float]] = {}  # how often, and when last; the oldest first

    async def look(self, name: str, password: str, address: str) -> SignIn:
        """Whether the password is the name's; `address` is where the attempt comes from."""
        pair, peer = self._mark(name, password), self._mark(name, address)
        known = self._known(name, pair, peer)
        if known is not None:
            return known
        if self._waiting >= MOST_WAITING:
            return SignIn(wait=1.0)
        self._waiting += 1
        try:
            async with self._one:
                known = self._known(name, pair, peer)  # others may have tried the same meanwhile
                return known or await self._tried(name, password, pair, peer)
        finally:
            self._waiting -= 1

    def _known(self, name: str, pair: bytes, peer: bytes) -> SignIn | None:
        """What can be said without looking at the password."""
        now = monotonic()
        if self._right.get(pair, 0.0) > now:
            self._right[pair] = now + REMEMBERED
            return SignIn(name=name)
        often, last = self._wrong.get(peer, (0, 0.0))
        wait = min(2.0 ** min(often - FREE_TRIES, 10), LONGEST_WAIT) if often >= FREE_TRIES else 0.0
        return SignIn(wait=last + wait - now) if last + wait > now else None

    async def _tried(self, name: str, password: str, pair: bytes, peer: bytes) -> SignIn:
        stored = self._operators.get(name)
        matches = await run_in_threadpool(password_matches, password, stored or _NOBODY)
        often, last = self._wrong.pop(peer, (0, 0.0))
        now = monotonic()
        if stored is not None and matches:
            self._right = {one: until for one, until in self._right.items() if until > now}
            self._right[pair] = now + REMEMBERED
            return SignIn(name=name)
        self._wrong[peer] = (often + 1 if last + FORGIVEN > now else 1, now)
        if len(self._wrong) > _MOST_REMEMBERED:
            del self._wrong[next(iter(self._wrong))]
        return SignIn()

    def _mark(self, *words: str) -> bytes:
        text = "".join(f"{len(word)}:{word}" for word in words)
        return hmac.digest(self._secret, text.encode("utf-8", "surrogatepass"), "sha256")


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
    """Knows the partners' tokens and certificates and the operators' passwords."""

    register: Register
    operators: Mapping[str, str]  # name -> scrypt hash
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

    async def person(self, request: Request) -> "Came":
        """Who has signed in; an operator of no name where nobody must."""
        if not self.operators:
            return Came(person=_operator("operator", named=False))
        found = await self._by_password(request)
        return Came(person=_operator(found.name) if found.name is not None else None, wait=found.wait)

    async def _by_password(self, request: Request) -> SignIn:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return SignIn()
        try:
            name, _, password = base64.b64decode(given, validate=True).decode().partition(":")
        except ValueError:  # not base64, or not UTF-8
            return SignIn()
        address = request.client.host if request.client is not None else ""
        return await self._passwords.look(name, password, address)

    @cached_property
    def _passwords(self) -> Passwords:
        return Passwords(self.operators)


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


def hash_password(password: str) -> str:
    """A salted scrypt hash, as the settings file keeps it."""
    salt = secrets.token_bytes(16)
    digest = hashlib.scrypt(password.encode(), salt=salt, n=_N, r=_R, p=_P)
    return f"{salt.hex()}${digest.hex()}"


def password_matches(password: str, stored: str) -> bool:
    """Whether the password gives the stored hash, compared in constant time."""
    salt, _, digest = stored.partition("$")
    try:
        made = hashlib.scrypt(password.encode(), salt=bytes.fromhex(salt), n=_N, r=_R, p=_P)
        return hmac.compare_digest(made, bytes.fromhex(digest))
    except ValueError:
        return False
