"""How people come in: with a password of the people file, vouched for by an OpenID provider, or by one click.

One click does where nobody need prove who they are: only this machine reaches the adapter, and neither people
nor a provider are configured. Every request looks anew at what a session rests on, so that whoever is struck
from the people file, or has lost a role, is out at once.
"""

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from adapter.messaging.people import Account, Person, Role
from adapter.web.oidc import OpenId
from adapter.web.passwords import Passwords, SignIn
from adapter.web.sessions import Session, Sessions

BASIC = 'Basic realm="discharge adapter", charset="UTF-8"'
"""What a program is told that fetches the metrics and must sign in."""

PASSWORD, VOUCHED, OPEN = "password", "openid", "open"
"""How somebody has signed in."""

_NAME = "session"


@dataclass(frozen=True, kw_only=True, slots=True)
class Came:
    """Who is there, and in which session; nobody where they must sign in first."""

    person: Person | None = None
    session: str | None = None


def nobody() -> Mapping[str, Account]:
    """No people file."""
    return MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Entrance:
    """Knows who has signed in, and lets people sign in and out."""

    sessions: Sessions
    accounts: Callable[[], Mapping[str, Account]] | None = None  # of the people file; None without one
    provider: OpenId | None = None
    visitors: tuple[Person, ...] = ()  # who may come in by one click; nobody where people are configured
    public_url: str | None = None

    # --- who is here ---

    async def person(self, request: Request) -> "Came":
        """Who has signed in to this request; raises StoreError where it cannot be looked up.

        A page that only keeps itself up to date is no sign of anybody who is there.
        """
        token = self.cookie(request)
        used = request.url.path != "/live" and request.headers.get("x-live") is None
        found = await run_in_threadpool(self._found, token, used=used) if token else None
        return Came(person=found.person, session=found.id) if found is not None else Came()

    def _found(self, token: str, *, used: bool) -> Session | None:
        found = self.sessions.find(token, used=used)
        if found is not None and self._mark(found.how, found.person) != found.mark:
            self.sessions.end(token)
            return None
        return found

    async def operator(self, request: Request) -> SignIn:
        """Who fetches the metrics: a person of the people file with the role operations, by Basic."""
        name, password = _basic(request)
        if not name:
            return SignIn()
        account = self._accounts().get(name)
        found = await self.passwords.look(name, password, _address(request))
        if found.name is not None and (account is None or not account.person.holds(Role.OPERATIONS)):
            return SignIn()
        return found

    # --- coming in ---

    async def by_password(self, request: Request, name: str, password: str) -> tuple[Person | None, float]:
        """Whose password it is; else how many seconds the next attempt must wait."""
        found = await self.passwords.look(name, password, _address(request))
        account = self._accounts().get(name) if found.name is not None else None
        return (account.person if account is not None else None), found.wait

    def by_click(self, role: str) -> Person | None:
        """The account that everybody may use."""
        return next((person for person in self.visitors if role in person.roles), None)

    def let_in(self, request: Request, response: Response, person: Person, how: str) -> None:
        """Begin a session, under a new cookie whatever the browser had before."""
        token = self.sessions.begin(
            person, how=how, mark=self._mark(how, person) or "", instead_of=self.cookie(request) or None
        )
        secure = self.is_secure(request)
        response.set_cookie(
            _cookie_name(_NAME, secure), token, httponly=True, secure=secure, samesite="lax", path="/"
        )

    def let_out(self, request: Request, response: Response) -> None:
        """End the session that the request has, if it has one."""
        self.sessions.end(self.cookie(request))
        secure = self.is_secure(request)
        response.delete_cookie(
            _cookie_name(_NAME, secure), httponly=True, secure=secure, samesite="lax", path="/"
        )

    def cookie(self, request: Request) -> str:
        """The session's cookie; empty where there is none."""
        return request.cookies.get(_cookie_name(_NAME, self.is_secure(request)), "")

    def is_secure(self, request: Request) -> bool:
        """Whether the browser has come by https: to us, or to what stands in front of us."""
        if request.url.scheme == "https":
            return True
        public = urlsplit(self.public_url or "")
        return public.scheme == "https" and request.headers.get("host", "") == public.netloc

    # --- what it rests on ---

    @cached_property
    def passwords(self) -> Passwords:
        """The one who looks at passwords."""
        return Passwords(self._stored)

    def _stored(self, name: str) -> str | None:
        account = self._accounts().get(name)
        return account.password if account is not None else None

    def _accounts(self) -> Mapping[str, Account]:
        return (self.accounts or nobody)()

    def _mark(self, how: str, person: Person) -> str | None:
        """Of what a session rests on, as it is configured now; None where that is nothing any more."""
        if how == PASSWORD:
            account = self._accounts().get(person.id)
            return _hash(account.password, account.person) if account is not None else None
        if how == VOUCHED:
            return self.provider.mark if self.provider is not None else None
        known = next((one for one in self.visitors if one.id == person.id), None)
        return _hash(known) if known is not None else None


def _hash(*told: object) -> str:
    """The same for the same things only, in every process."""
    people = [
        (one.id, one.name, sorted(one.roles), one.parties, one.named) if isinstance(one, Person) else one
        for one in told
    ]
    return hashlib.sha256(repr(people).encode()).hexdigest()


def _cookie_name(name: str, secure: bool) -> str:
    return f"__Host-{name}" if secure else name


def _address(request: Request) -> str:
    return request.client.host if request.client is not None else ""


def _basic(request: Request) -> tuple[str, str]:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        name, _, password = base64.b64decode(given, validate=True).decode().partition(":")
    except ValueError:  # not base64, or not UTF-8
        return "", ""
    return name, password
