"""Access tokens: random, short-lived, known to the store by their SHA-256 only.

All web processes over one store know them. What was found once is remembered here until it expires.
"""

import hashlib
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection

from adapter.messaging.assertions import Proof
from adapter.messaging.scopes import Scopes, parse
from adapter.store import Store, access

LIFE = timedelta(seconds=300)
"""Of an access token (SMART 2.2 recommends five minutes or less)."""

_SHAPE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)  # 256 bits; nothing else is looked for in the store
_MOST_REMEMBERED = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """What a token gives, to whom and until when."""

    partner: str
    scopes: Scopes
    expires_at: datetime


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """The tokens of one store."""

    store: Store
    clock: Callable[[], datetime]
    _found: dict[bytes, Access] = field(default_factory=dict, repr=False, compare=False)

    def find(self, token: str) -> Access | None:
        """What the token gives now. One row by its key, once a process; raises StoreError."""
        if not _SHAPE.fullmatch(token):
            return None
        digest, now = _sha256(token), self.clock()
        found = self._found.get(digest) or self._stored(digest)
        return found if found is not None and found.expires_at > now else None

    def _stored(self, digest: bytes) -> Access | None:
        with self.store.read() as connection:
            row = access.token(connection, digest)
        if row is None:
            return None
        found = Access(partner=row["partner"], scopes=parse(row["scope"]), expires_at=row["expires_at"])
        if len(self._found) >= _MOST_REMEMBERED:
            self._forget(self.clock())
        self._found[digest] = found
        return found

    def _forget(self, now: datetime) -> None:
        """Make room: those that have expired, or else the one that was found first."""
        expired = [digest for digest, access in self._found.items() if access.expires_at <= now]
        for digest in expired or [next(iter(self._found))]:
            del self._found[digest]


def give(tx: Connection, proof: Proof, partner: str, scopes: Scopes) -> str | None:
    """Use an assertion up, and give a token for it; empty where no scope is granted.

    None where the assertion was used before.
    """
    key = _sha256(f"{len(proof.client_id)}:{proof.client_id}{proof.jti}")
    if not access.use_assertion(tx, key, until=proof.remember_until, now=proof.at):
        return None
    if not scopes:
        return ""
    token = secrets.token_urlsafe(32)
    until = proof.at + LIFE
    access.give_token(tx, _sha256(token), partner=partner, scope=str(scopes), expires_at=until)
    return token


def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
