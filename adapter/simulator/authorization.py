"""A token service on loopback that believes nobody: it checks the client assertion and the DPoP proof.

RFC 7523 for who the client is, RFC 9449 for whose the token is. Nonces may be demanded, tokens taken back.
Only for the pretend region; the adapter's own token endpoint for partners is `web.smart`.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import orjson

from adapter.messaging.signing import ALGORITHMS, hashed, thumbprint, without_query
from adapter.simulator.http import Answer, Request

TOKEN = "/connect/token"  # noqa: S105  # an address
_JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_LEEWAY = timedelta(seconds=10)
_LONGEST = timedelta(minutes=5)
_PRIVATE = ("d", "p", "q", "dp", "dq", "qi", "k")


class Denied(Exception):
    """What does not prove what it says; `word` is that of RFC 6749 or RFC 9449."""

    def __init__(self, word: str, why: str) -> None:
        super().__init__(why)
        self.word = word


@dataclass(frozen=True, kw_only=True, slots=True)
class _Given:
    client: str
    key: str  # thumbprint of the key that it is bound to
    until: datetime


@dataclass(kw_only=True)
class Authorization:
    """The tokens of one message server."""

    clock: Callable[[], datetime]
    life: timedelta = timedelta(minutes=10)
    clients: dict[str, Any] = field(default_factory=dict)  # client_id: its public key
    demands_nonce: bool = False
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(8))
    given: int = 0
    _tokens: dict[str, _Given] = field(default_factory=dict, repr=False)
    _used: set[str] = field(default_factory=set, repr=False)

    def revoke(self) -> None:
        """Take every token back."""
        self._tokens.clear()

    def renew_nonce(self) -> None:
        """From now on only proofs with another nonce are good."""
        self.nonce = secrets.token_urlsafe(8)

    def token(self, request: Request, url: str) -> Answer:
        """`POST /connect/token`."""
        try:
            form = dict(parse_qsl(request.body.decode("utf-8", "replace")))
            client = self._client(form, url)
            key = self._proven(request, url, None)
        except Denied as denied:
            return self._refusal(400, denied, url)
        text = secrets.token_urlsafe(24)
        self._tokens[text] = _Given(client=client, key=key, until=self.clock() + self.life)
        self.given += 1
        told = {"access_token": text, "token_type": "DPoP", "expires_in": int(self.life.total_seconds())}
        return _json(200, told)

    def admit(self, request: Request, url: str) -> str:
        """The client that a request comes from. Raises Denied."""
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        given = self._tokens.get(text)
        if scheme != "DPoP" or given is None or given.until <= self.clock():
            raise Denied("invalid_token", "there is no such token, or it has expired")
        if self._proven(request, url, text) != given.key:
            raise Denied("invalid_token", "the token is bound to another key")
        return given.client

    def refusal(self, denied: Denied, url: str) -> Answer:
        """What a request without a good token and proof gets."""
        return self._refusal(401, denied, url)

    def _refusal(self, status: int, denied: Denied, url: str) -> Answer:
        said = _json(status, {"error": denied.word, "error_description": str(denied)})
        headers = {"DPoP-Nonce": self.nonce} if self.demands_nonce else {}
        if status == 401:
            headers["WWW-Authenticate"] = f'DPoP error="{denied.word}"'
        return Answer(status=status, body=said.body, content_type=said.content_type, headers=headers)

    def _client(self, form: Mapping[str, str], url: str) -> str:
        client = form.get("client_id", "")
        if form.get("grant_type") != "client_credentials":
            raise Denied("unsupported_grant_type", "grant_type must be client_credentials")
        if form.get("client_assertion_type") != _JWT_BEARER or client not in self.clients:
            raise Denied("invalid_client", "no such client, or no assertion")
        claims = _claims(form.get("client_assertion", ""), self.clients[client], "invalid_client")
        if not (claims.get("iss") == claims.get("sub") == client and claims.get("aud") == url):
            raise Denied("invalid_client", "iss, sub or aud is wrong")
        now, until = self.clock().timestamp(), claims.get("exp")
        if not isinstance(until, int) or not now < until < now + _LONGEST.total_seconds():
            raise Denied("invalid_client", "exp has passed, or lies too far ahead")
        self._once(claims, "invalid_client")
        return client

    def _proven(self, request: Request, url: str, token: str | None) -> str:
        """The thumbprint of the key that a proof is made with (RFC 9449 section 4.3)."""
        import jwt

        shown = request.headers.get("dpop", "")
        try:
            header = jwt.get_unverified_header(shown)
            key = jwt.PyJWK(header.get("jwk") or {}, algorithm=header.get("alg")).key
        except jwt.exceptions.PyJWTError:
            raise Denied("invalid_dpop_proof", "there is no proof that can be read") from None
        if header.get("typ") != "dpop+jwt" or any(name in header["jwk"] for name in _PRIVATE):
            raise Denied("invalid_dpop_proof", "typ is wrong, or the key shows its private part")
        claims = _claims(shown, key, "invalid_dpop_proof")
        if claims.get("htm") != request.method or claims.get("htu") != without_query(url):
            raise Denied("invalid_dpop_proof", "htm or htu is that of another request")
        made = claims.get("iat")
        if not isinstance(made, int) or abs(made - self.clock().timestamp()) > _LEEWAY.total_seconds():
            raise Denied("invalid_dpop_proof", "iat is too far from now")
        if token is not None and claims.get("ath") != hashed(token):
            raise Denied("invalid_dpop_proof", "ath is not the hash of the token")
        if self.demands_nonce and claims.get("nonce") != self.nonce:
            raise Denied("use_dpop_nonce", "a nonce is needed")
        self._once(claims, "invalid_dpop_proof")
        return thumbprint(header["jwk"])

    def _once(self, claims: Mapping[str, Any], word: str) -> None:
        number = claims.get("jti")
        if not isinstance(number, str) or not number or number in self._used:
            raise Denied(word, "jti is missing, or has been used")
        self._used.add(number)


def _claims(text: str, key: Any, word: str) -> dict[str, Any]:
    """The claims, if the signature is that of `key`; times are held against our own clock by the caller."""
    import jwt

    lenient = {f"verify_{name}": False for name in ("exp", "nbf", "iat", "aud", "iss", "sub", "jti")}
    try:
        return jwt.decode(text, key, algorithms=list(ALGORITHMS), options=lenient)  # type: ignore[arg-type]  # a TypedDict
    except jwt.exceptions.PyJWTError:
        raise Denied(word, "the signature does not fit") from None


def _json(status: int, document: object) -> Answer:
    return Answer(
        status=status,
        body=orjson.dumps(document),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
