"""`POST /fhir/token` and `GET /fhir/.well-known/smart-configuration` (SMART App Launch 2.2).

A refusal is the JSON of RFC 6749 section 5.2; its description says what to do, and repeats nothing of what
was sent. The endpoint's own address is the setting `public_url` or this machine's, not what a request says.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl

import orjson
import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from adapter.errors import StoreError
from adapter.messaging.assertions import Claim, Proof, Unproven, claimed, prove
from adapter.messaging.keys import ALGORITHMS
from adapter.messaging.register import Partner, Register
from adapter.messaging.scopes import UnreadableScope, granted, parse
from adapter.web.signing_in import from_another_site
from adapter.web.smart.keys import Keys, TooBusy
from adapter.web.smart.tokens import LIFE, Tokens, give

log = structlog.get_logger("smart")

CONFIGURATION = "/fhir/.well-known/smart-configuration"
TOKEN = "/fhir/token"  # noqa: S105  # an address

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

LARGEST = 32 * 1024
"""Bytes of a token request."""

WITHIN = 30.0
"""Seconds for a token request to come."""

_FORM = "application/x-www-form-urlencoded"
_MOST_FIELDS = 20
_NOT_KEPT = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class _Refusal(Exception):
    """Why no token is given, in the words of RFC 6749 section 5.2."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.status = status


@dataclass(frozen=True, kw_only=True)
class TokenEndpoint:
    """The two addresses over one register and one store."""

    register: Register
    tokens: Tokens
    keys: Keys
    clock: Callable[[], datetime]
    public_url: str | None  # where partners reach us; None: this machine only

    def routes(self) -> list[Route]:
        """What is answered here."""
        return [
            Route(CONFIGURATION, self.configuration, methods=["GET"]),
            Route(TOKEN, self.post, methods=["POST"]),
            Route(TOKEN, _not_so, methods=["GET", "PUT", "PATCH", "DELETE"]),
        ]

    async def configuration(self, request: Request) -> Response:
        """What a client must know to sign in; anybody may ask."""
        base = self.public_url or f"{request.url.scheme}://{request.url.netloc}"
        told = {
            "token_endpoint": base + TOKEN,
            "grant_types_supported": ["client_credentials"],
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
            "scopes_supported": ["system/*.cruds", "system/*.rs", "system/Bundle.c"],
            "capabilities": ["client-confidential-asymmetric", "permission-v2", "permission-v1"],
        }
        return _json(told)

    async def post(self, request: Request) -> Response:
        """Give a token, or say why not."""
        partner: Partner | None = None
        try:
            form = await self._form(request)
            partner, claim = self._claimant(form)
            proof = await self._proof(form["client_assertion"], partner, claim, self._audiences(request))
            answer = await self._given(form, partner, proof)
        except _Refusal as refusal:
            name = partner.name if partner is not None else None
            log.info("token", outcome=refusal.error, partner=name, why=refusal.description)
            return _refused(refusal)
        except ClientDisconnect:
            return Response(status_code=400)
        log.info("token", outcome="given", partner=partner.name)
        return answer

    # --- what is asked --------------------------------------------------------------------------------------

    async def _form(self, request: Request) -> Mapping[str, str]:
        """The fields of the form that have a value."""
        if from_another_site(request):
            raise _Refusal("invalid_request", "tokens are not given to another site's pages", 403)
        media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media != _FORM:
            raise _Refusal("invalid_request", f"send a form, as Content-Type {_FORM}")
        try:
            pairs = parse_qsl((await _body(request)).decode(), max_num_fields=_MOST_FIELDS)
        except ValueError:  # not UTF-8, or too many
            raise _Refusal(
                "invalid_request", f"the form must be UTF-8 and have at most {_MOST_FIELDS} fields"
            ) from None
        if len({name for name, _ in pairs}) < len(pairs):
            raise _Refusal("invalid_request", "a field is there twice; send each once")
        return dict(pairs)

    def _audiences(self, request: Request) -> frozenset[str]:
        """How the token endpoint's URL may be written; a Host header proves nothing and does not count."""
        if self.public_url is not None:
            return frozenset((self.public_url + TOKEN,))
        port = (request.scope.get("server") or ("", None))[1]
        names = ("127.0.0.1", "localhost", "[::1]")
        return frozenset(f"{request.url.scheme}://{name}:{port}{TOKEN}" for name in names)

    # --- who asks -------------------------------------------------------------------------------------------

    def _claimant(self, form: Mapping[str, str]) -> tuple[Partner, Claim]:
        """The partner that the request claims to come from; nothing is proven yet."""
        if "grant_type" not in form:
            raise _Refusal("invalid_request", "grant_type is missing; it must be client_credentials")
        if form["grant_type"] != "client_credentials":
            raise _Refusal("unsupported_grant_type", "grant_type must be client_credentials")
        if form.get("client_assertion_type") != JWT_BEARER:
            raise _Refusal("invalid_client", f"client_assertion_type must be {JWT_BEARER}")
        if "client_assertion" not in form:
            raise _Refusal("invalid_client", "client_assertion is missing; it must be a JWT signed by you")
        try:
            claim = claimed(form["client_assertion"])
        except Unproven as error:
            raise _Refusal("invalid_client", str(error)) from None
        if form.get("client_id", claim.client_id) != claim.client_id:
            raise _Refusal("invalid_client", "client_id must be that of the assertion, or be left out")
        partner = self.register.partner_by_client_id(claim.client_id)
        if partner is None:
            raise _Refusal("invalid_client", "nobody is registered under this client_id (iss and sub)")
        return partner, claim

    async def _proof(
        self, assertion: str, partner: Partner, claim: Claim, audiences: frozenset[str]
    ) -> Proof:
        """What proves that it is that partner."""
        try:
            keys, fault = await self.keys.of(partner, claim.key_id)
            if fault is not None and all(key.id != claim.key_id for key in keys):
                raise Unproven(f"the keys at the registered jwks_url cannot be used: {fault}")
            url, now = partner.jwks_url, self.clock()
            return prove(assertion, keys, audiences=audiences, jwks_url=url, now=now)
        except Unproven as error:
            raise _Refusal("invalid_client", str(error)) from None
        except TooBusy:
            busy = "many requests wait for this client's keys; try again"
            raise _Refusal("temporarily_unavailable", busy, 429) from None

    # --- what is given --------------------------------------------------------------------------------------

    async def _given(self, form: Mapping[str, str], partner: Partner, proof: Proof) -> Response:
        try:
            asked = parse(form.get("scope", ""))
            unread = None if asked else "scope is missing; ask for what is needed, as system/Task.rs"
        except UnreadableScope as error:
            asked, unread = parse(""), str(error)
        scopes = granted(asked, partner.scopes)
        try:
            unit = self.tokens.store.submit(lambda tx: give(tx, proof, partner.name, scopes))
            token = await asyncio.wrap_future(unit)
        except StoreError:
            raise _Refusal("temporarily_unavailable", "not stored; ask again with a new jti", 503) from None
        if token is None:
            raise _Refusal("invalid_client", "the assertion's jti was used before; use each once")
        if not token:
            none = "nothing of what is asked for is allowed to this client; ask the adapter's operators"
            raise _Refusal("invalid_scope", unread or none)
        return _json(
            {
                "access_token": token,
                "token_type": "bearer",
                "expires_in": int(LIFE.total_seconds()),
                "scope": str(scopes),
            }
        )


async def _body(request: Request) -> bytes:
    too_large = _Refusal("invalid_request", f"the form is larger than {LARGEST} bytes", 413)
    content = b""
    try:
        async with asyncio.timeout(WITHIN):
            async for chunk in request.stream():
                content += chunk
                if len(content) > LARGEST:
                    raise too_large
    except TimeoutError:
        raise _Refusal("invalid_request", "the form took too long to come; send it again", 408) from None
    return content


async def _not_so(_request: Request) -> Response:
    answer = _refused(_Refusal("invalid_request", "tokens are asked for with POST", 405))
    answer.headers["Allow"] = "POST"
    return answer


def _refused(refusal: _Refusal) -> Response:
    answer = _json({"error": refusal.error, "error_description": refusal.description}, status=refusal.status)
    if refusal.status in (429, 503):
        answer.headers["Retry-After"] = "5"
    return answer


def _json(content: Mapping[str, object], status: int = 200) -> Response:
    return Response(
        orjson.dumps(content), status_code=status, media_type="application/json", headers=_NOT_KEPT
    )
