"""Access to the national message server: an OAuth 2 token by private_key_jwt, bound to our key by DPoP.

RFC 6749 4.4 and RFC 7523 (client credentials with a signed assertion), RFC 9449 (DPoP). The token is kept
until shortly before it expires. Both servers may demand a nonce in the proof; what was demanded last is used
in the next. Neither token, assertion nor proof ever stands in a text of ours.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic
from time import sleep as wait_in_thread
from typing import Any
from urllib.parse import urlencode

import orjson
from tenacity import (
    Retrying,
    retry_if_result,
    stop_after_attempt,
    stop_after_delay,
    wait_exponential,
)

from adapter.messaging.delivery import Reply
from adapter.messaging.register import Endpoint
from adapter.messaging.retry import TRANSIENT_4XX
from adapter.messaging.signing import (
    SigningKey,
    UnusableSigningKey,
    assertion,
    new_signing_key,
    proof,
    read_signing_key,
)
from adapter.phrases import phrase
from adapter.transport.retrying import last
from adapter.transport.wire import UNUSABLE, Wire, prepare

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

EARLY = timedelta(seconds=30)
"""How long before its end a token is not used any more."""

SHORTEST = timedelta(seconds=10)
"""For which a token is used at least, however soon it is said to end."""

_LARGEST = 64 * 1024  # bytes of the token endpoint's answer
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """Who we are at one message server, and where its tokens are given."""

    name: str  # in logs and alarms
    address: str  # the server's base URL, without a slash at its end
    token_url: str
    client_id: str
    key: Path  # of the private key that is registered for us
    key_id: str | None = None
    algorithm: str | None = None
    audience: str | None = None  # of the assertion; the token URL where none is said
    scope: str | None = None
    dpop_key: Path | None = None  # a pair is made at the start where none is named
    source: str = "discharge-adapter"  # what `nhn-source-system` says
    timeout: float = 10.0  # seconds
    trust: str | None = None  # CA bundle for https


class NoAccess(Exception):
    """No token is to be had; `reply` says how the attempt ends."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.said)
        self.reply = reply


@dataclass(frozen=True, kw_only=True, slots=True)
class _Token:
    text: str = field(repr=False)
    bound: bool  # by DPoP; False: a plain bearer token
    until: datetime


class Access:
    """The token of one account, shared by the threads that send and poll."""

    def __init__(
        self,
        account: Account,
        *,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        sleep: Callable[[float], None] = wait_in_thread,
    ) -> None:
        self.account = account
        self._clock = clock
        self._new_id = new_id
        self._wire = Wire()
        self._lock = threading.Lock()
        self._token: _Token | None = None
        self._failed: tuple[float, Reply] | None = None  # the last time that there was none, and why
        self._proving: SigningKey | None = None
        self._nonces: dict[str, str] = {}  # by server: "token" or "messages"
        self._retrying = Retrying(
            stop=stop_after_attempt(3) | stop_after_delay(account.timeout),
            retry=retry_if_result(_passes),
            wait=wait_exponential(multiplier=0.25, max=2),
            sleep=sleep,
            retry_error_callback=last,
        )

    def headers(self, method: str, url: str) -> tuple[tuple[str, str], ...]:
        """What a request to the message server shows: the token, and the proof that it is ours.

        Raises NoAccess.
        """
        token = self._current()
        if not token.bound:
            return (("Authorization", f"Bearer {token.text}"),)
        shown = self._proof(method, url, "messages", token.text)
        return (("Authorization", f"DPoP {token.text}"), ("DPoP", shown))

    def heard(self, reply: Reply) -> bool:
        """Learn from the message server's answer; whether a refused request is worth another try now.

        It is with a nonce that we did not know (RFC 9449 section 9), or with a new token in place of one
        that has been taken back.
        """
        known = self._nonces.get("messages")
        if reply.nonce is not None:
            self._nonces["messages"] = reply.nonce
        if reply.status != 401:
            return False
        if reply.nonce is None or reply.nonce == known:
            with self._lock:
                self._token = None
        return True

    # --- the token ---

    def _current(self) -> _Token:
        """The token at hand, or a new one; one thread asks, and the others wait for what comes of it."""
        began = monotonic()
        with self._lock:
            if self._token is not None and self._token.until > self._clock():
                return self._token
            if self._failed is not None and self._failed[0] >= began:
                raise NoAccess(self._failed[1])  # asked for while we waited; asking again would wait anew
            self._token = None
            try:
                self._token = self._fetch()
            except NoAccess as failure:
                self._failed = (monotonic(), failure.reply)
                raise
            return self._token

    def _fetch(self) -> _Token:
        reply: Reply = self._retrying(self._ask_with_nonce)
        if not reply.taken or reply.error is not None:
            raise NoAccess(self._refused(reply))
        found, server = _json(reply), self.account.name
        text = found.get("access_token")
        kind = str(found.get("token_type", "")).lower()
        if not isinstance(text, str) or not text.isascii() or not text.isprintable() or not text:
            why = phrase(
                "the token endpoint of message server {server} answers without a token", server=server
            )
            raise NoAccess(Reply(error=why))
        if kind not in ("dpop", "bearer"):
            why = phrase(
                "the token endpoint of message server {server} gives a token of a kind that is not known "
                "here",
                server=server,
            )
            raise NoAccess(Reply(error=why))
        lasts = found.get("expires_in")
        seconds = float(lasts) if isinstance(lasts, int | float) and 0 < lasts < 1e9 else 60.0
        life = max(timedelta(seconds=seconds) - EARLY, min(SHORTEST, timedelta(seconds=seconds)))
        return _Token(text=text, bound=kind == "dpop", until=self._clock() + life)

    def _ask_with_nonce(self) -> Reply:
        """One request for a token; made again at once with the nonce that the server's answer asks for."""
        known = self._nonces.get("token")
        reply = self._ask()
        if reply.nonce is not None:
            self._nonces["token"] = reply.nonce
        if reply.status in (400, 401) and reply.nonce is not None and reply.nonce != known:
            reply = self._ask()
        return reply

    def _ask(self) -> Reply:
        account, now = self.account, self._clock()
        key = self._read(account.key, account.algorithm, account.key_id)
        said = assertion(
            key,
            client_id=account.client_id,
            audience=account.audience or account.token_url,
            now=now,
            jti=self._new_id(),
        )
        form = {
            "grant_type": "client_credentials",
            "client_id": account.client_id,
            "client_assertion_type": JWT_BEARER,
            "client_assertion": said,
        } | ({"scope": account.scope} if account.scope is not None else {})
        proven = (("DPoP", self._proof("POST", account.token_url, "token", None)),)
        try:
            request = prepare("POST", account.token_url, None, "application/json", _FORM, proven)
        except ValueError:
            raise NoAccess(Reply(error=UNUSABLE)) from None
        return self._wire.call(request, self._place(), most=_LARGEST, body=urlencode(form).encode())

    def _place(self) -> Endpoint:
        account = self.account
        return Endpoint(
            name=account.name,
            transport="oauth",
            address=account.token_url,
            dialect="oauth",
            timeout=account.timeout,
            trust=account.trust,
        )

    def _proof(self, method: str, url: str, server: str, token: str | None) -> str:
        return proof(
            self._proving_key(),
            method=method,
            url=url,
            now=self._clock(),
            jti=self._new_id(),
            nonce=self._nonces.get(server),
            token=token,
        )

    def _proving_key(self) -> SigningKey:
        if self._proving is None:
            named = self.account.dpop_key
            self._proving = self._read(named, None, None) if named is not None else new_signing_key()
        return self._proving

    def _read(self, file: Path, algorithm: str | None, id: str | None) -> SigningKey:
        """A key of ours, read anew for each token, so that a renewed file is found. Raises NoAccess."""
        server = self.account.name
        try:
            return read_signing_key(file.read_bytes(), algorithm=algorithm, id=id)
        except OSError:
            why = phrase(
                "the token endpoint of message server {server} needs a key file of ours that cannot be read",
                server=server,
            )
            raise NoAccess(Reply(error=why)) from None
        except UnusableSigningKey as error:
            why = phrase(
                "the token endpoint of message server {server} needs a key of ours, but the file {why}",
                server=server,
                why=error.said,
            )
            raise NoAccess(Reply(error=why)) from None

    def _refused(self, reply: Reply) -> Reply:
        """Why there is none. What the server says for good is a matter of our credentials."""
        found = _json(reply).get("error")
        word = (
            found if isinstance(found, str) and found.replace("_", "").isalnum() and len(found) < 60 else ""
        )
        status = reply.status
        why = phrase(
            "the token endpoint of message server {server} gives no token: {why}",
            server=self.account.name,
            why=phrase("{why} {code}", why=reply.said, code=word) if word else reply.said,
        )
        final = status is not None and 300 <= status < 500 and status not in TRANSIENT_4XX
        if final:
            ours = phrase("{why}; correct client_id, key, audience or scope", why=why)
            return Reply(status=401, error=ours, ms=reply.ms)
        return Reply(error=why, retry_after=reply.retry_after, ms=reply.ms)


def _passes(reply: Reply) -> bool:
    """Whether the fault may be over in a moment."""
    return (
        reply.status is None
        or reply.status >= 500
        or reply.status in TRANSIENT_4XX
        or (reply.taken and reply.error is not None)
    )


def _json(reply: Reply) -> dict[str, Any]:
    try:
        found = orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
