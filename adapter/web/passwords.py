"""Passwords of the people file: kept as argon2id (RFC 9106), looked at one by one, not guessed quickly."""

import asyncio
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from time import monotonic

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from starlette.concurrency import run_in_threadpool

_hasher = PasswordHasher()  # RFC 9106's second choice: three passes over 64 MiB

MOST_WAITING = 8
"""Tries that are looked at or wait for it; they are looked at one by one, and further ones sent away."""

FREE_TRIES = 3
"""Wrong passwords for one name from one address before the next one must wait."""

LONGEST_WAIT = 60.0
"""Seconds; the wait is one second at first, and doubles with every further wrong password."""

FORGIVEN = 900.0
"""Seconds after which wrong passwords are forgotten."""

REMEMBERED = 600.0
"""Seconds without a request for which a password that was right is known again without argon2."""

LONGEST_PASSWORD = 1024
"""Characters that are looked at; nobody's password is longer."""

_MOST_REMEMBERED = 1024  # names and addresses with wrong passwords


@dataclass(frozen=True, kw_only=True)
class SignIn:
    """What came of an attempt to sign in."""

    name: str | None = None  # None: not signed in
    wait: float = 0.0  # seconds before another attempt is looked at


class Passwords:
    """Looks at one password at a time, so that guessing takes neither the processor nor the thread pool.

    A wrong one makes the next wait, for that name and address. A right one is remembered for a short while as
    a keyed hash that never leaves the process, and is let in while others guess; with a new hash in the file
    it is looked at anew.
    """

    def __init__(self, stored: Callable[[str], str | None]) -> None:
        self._stored = stored
        self._secret = secrets.token_bytes(32)
        self._one = asyncio.Semaphore(1)
        self._waiting = 0
        self._right: dict[bytes, float] = {}  # until when
        self._wrong: dict[bytes, tuple[int, float]] = {}  # how often, and when last; the oldest first

    async def look(self, name: str, password: str, address: str) -> SignIn:
        """Whether the password is the name's; `address` is where the attempt comes from."""
        if len(password) > LONGEST_PASSWORD:
            return SignIn()
        stored = self._stored(name)
        pair, peer = self._mark(name, password, stored or ""), self._mark(name, address)
        known = self._known(name, pair, peer)
        if known is not None:
            return known
        if self._waiting >= MOST_WAITING:
            return SignIn(wait=1.0)
        self._waiting += 1
        try:
            async with self._one:
                known = self._known(name, pair, peer)  # others may have tried the same meanwhile
                return known or await self._tried(name, password, stored, pair, peer)
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

    async def _tried(self, name: str, password: str, stored: str | None, pair: bytes, peer: bytes) -> SignIn:
        matches = await run_in_threadpool(password_matches, password, stored)
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


def hash_password(password: str) -> str:
    """A salted argon2id hash, as the people file keeps it."""
    return _hasher.hash(password)


def password_matches(password: str, stored: str | None) -> bool:
    """Whether the password gives the stored hash; where there is none, it takes as long to say no."""
    try:
        return _hasher.verify(stored or _nobodys(), password)
    except (VerificationError, InvalidHashError, UnicodeEncodeError):
        return False


@cache
def _nobodys() -> str:
    return _hasher.hash(secrets.token_hex(16))
