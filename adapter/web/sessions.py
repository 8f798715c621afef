"""Who has signed in: a random cookie, of which the store keeps the SHA-256 only.

A session ends when nobody has used it for a while, at the latest after a working day, by signing out, and as
soon as what it was given for no longer holds.
"""

import hashlib
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson
from sqlalchemy import Connection

from adapter.messaging.people import Person, Role
from adapter.store import Store
from adapter.store import sessions as session_rows
from adapter.store.statements import Row

_is_token = re.compile(r"[A-Za-z0-9_-]{43}").fullmatch
_TOUCH = timedelta(minutes=1)  # how seldom a session's last use is written down


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """Somebody who has signed in: how they did, and the mark of what their access rests on."""

    id: str  # what a form's token is bound to
    person: Person
    how: str
    mark: str


@dataclass(frozen=True, kw_only=True)
class Sessions:
    """The sessions of one store; every process on it knows them."""

    store: Store
    clock: Callable[[], datetime]
    idle: timedelta = timedelta(minutes=30)
    longest: timedelta = timedelta(hours=12)

    def begin(self, person: Person, *, how: str, mark: str, instead_of: str | None = None) -> str:
        """Sign somebody in; returns the new cookie. The one that the browser had before is worth nothing."""
        token, now = secrets.token_urlsafe(32), self.clock()
        about = orjson.dumps(
            {
                "name": person.name,
                "roles": sorted(person.roles),
                "parties": None if person.parties is None else list(person.parties),
                "named": person.named,
                "how": how,
                "mark": mark,
            }
        ).decode()
        expires = now + min(self.idle, self.longest)

        def write(tx: Connection) -> None:
            if instead_of is not None:
                session_rows.end(tx, _sha256(instead_of))
            session_rows.add(tx, _sha256(token), person=person.id, about=about, now=now, expires_at=expires)

        self.store.write(write)
        return token

    def find(self, token: str, *, used: bool = True) -> Session | None:
        """The session of a cookie, which is prolonged by being `used`; None where it is over."""
        if not _is_token(token):
            return None
        key, now = _sha256(token), self.clock()
        with self.store.read() as tx:
            row = session_rows.get(tx, key)
        if row is None or row["expires_at"] <= now:
            return None
        if used and now - row["seen_at"] >= min(_TOUCH, self.idle / 10):
            expires = min(now + self.idle, row["created_at"] + self.longest)
            self.store.write(lambda tx: session_rows.seen(tx, key, now, expires))
        return _session(row)

    def end(self, token: str) -> None:
        """Sign out."""
        if _is_token(token):
            self.store.write(lambda tx: session_rows.end(tx, _sha256(token)))


def _sha256(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _session(row: Row) -> Session:
    told = orjson.loads(row["about"])
    return Session(
        id=row["sha256"].hex(),
        how=told["how"],
        mark=told["mark"],
        person=Person(
            id=row["person"],
            name=told["name"],
            roles=frozenset(Role(role) for role in told["roles"]),
            parties=None if told["parties"] is None else tuple(told["parties"]),
            named=told["named"],
        ),
    )
