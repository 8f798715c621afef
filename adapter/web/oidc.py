"""Signing in by OpenID Connect (Core 1.0): authorization code with PKCE (RFC 7636), state and nonce.

What the browser must bring back (state, nonce, verifier) travels in a signed cookie of its own, so that any
process can take it up and nobody can finish what another browser has begun. An id_token is believed only if
the provider's published key has signed it by an algorithm that we allow, for us, for this attempt, and now.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import Any
from urllib.parse import urlencode, urlsplit

import jwt
import orjson
import requests

from adapter.errors import AdapterError
from adapter.messaging.people import CARE, KINDS, Person, Role
from adapter.messaging.register import Register
from adapter.messaging.signing import SigningKey, assertion

_WITHIN = timedelta(minutes=10)
"""From the button to the way back."""

_LEEWAY = timedelta(seconds=60)
_KNOWN_FOR = timedelta(hours=1)  # what the provider says of itself
_LARGEST = 256 * 1024  # bytes of an answer
_LONGEST = 255  # characters of `sub` (Core 1.0, 2) and of a name
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_ROLES = frozenset(role.value for role in Role)
_JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class NotVouched(AdapterError):
    """The provider does not vouch for whoever is there; the text is a key of the catalogs, without values."""


OTHER_BROWSER = "This sign-in was not begun in this browser, or it took too long. Please begin again."
REFUSED = "The sign-in service did not let you in. Please begin again, or ask whoever runs it."
UNREACHABLE = "The sign-in service does not answer. Try again soon."
UNBELIEVABLE = "What the sign-in service told us cannot be trusted. Begin again, or tell the operators."
WITHOUT_ROLE = "You have signed in, but you have no role here. Ask whoever gives out the roles."


@dataclass(frozen=True, kw_only=True, slots=True)
class Provider:
    """The provider as it is configured."""

    issuer: str
    client_id: str
    redirect_uri: str
    client_secret: str | None = field(default=None, repr=False)
    key: SigningKey | None = field(default=None, repr=False)  # private_key_jwt instead of a secret
    algorithms: tuple[str, ...] = ("RS256", "PS256", "ES256")
    scopes: tuple[str, ...] = ("openid", "profile")
    label: str | None = None
    name_claim: str = "name"
    roles_claim: str = "roles"
    parties_claim: str = "parties"
    roles: Mapping[str, Role] = field(default_factory=dict)
    parties: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 10.0
    trust: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Begun:
    """A sign-in that has been begun: where the browser goes, and the cookie that it brings back."""

    url: str
    cookie: str


class OpenId:
    """One provider, asked by the threads of the pool."""

    def __init__(
        self, provider: Provider, *, register: Register, clock: Callable[[], datetime], secret: bytes
    ) -> None:
        self.provider = provider
        self._register = register
        self._clock = clock
        self._secret = hmac.digest(secret, b"sign-in by OpenID", "sha256")
        self._lock = Lock()
        self._told: tuple[datetime, Mapping[str, Any]] | None = None
        self._keys: Mapping[str | None, Any] = {}

    @property
    def mark(self) -> str:
        """Of the provider and of what its values stand for; a session does not outlive a change of them."""
        it = self.provider
        told = (it.issuer, it.client_id, it.roles_claim, it.parties_claim)
        tables = (sorted(it.roles.items()), sorted(it.parties.items()))
        return hashlib.sha256(repr((told, tables)).encode()).hexdigest()

    # --- there ---

    def begin(self, to: str) -> Begun:
        """Where to send the browser; raises NotVouched where the provider does not answer."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        challenge = _base64url(hashlib.sha256(verifier.encode()).digest())
        asked = {
            "response_type": "code",
            "client_id": self.provider.client_id,
            "redirect_uri": self.provider.redirect_uri,
            "scope": " ".join(self.provider.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        address = self._address("authorization_endpoint")
        kept = {"state": state, "nonce": nonce, "verifier": verifier, "to": to}
        until = int((self._clock() + _WITHIN).timestamp())
        joint = "&" if urlsplit(address).query else "?"
        return Begun(url=f"{address}{joint}{urlencode(asked)}", cookie=self._sealed(kept | {"until": until}))

    # --- and back ---

    def finish(self, query: Mapping[str, str], cookie: str) -> tuple[Person, str]:
        """Who has come back, and where they wanted to go; raises NotVouched."""
        kept = self._opened(cookie)
        state = query.get("state", "")
        if kept is None or not hmac.compare_digest(state.encode(), kept["state"].encode()):
            raise NotVouched(OTHER_BROWSER)
        if query.get("iss", self.provider.issuer) != self.provider.issuer:  # RFC 9207
            raise NotVouched(UNBELIEVABLE)
        code = query.get("code")
        if not code or "error" in query:
            raise NotVouched(REFUSED)
        claims = self._claims(self._exchanged(code, kept["verifier"]), kept["nonce"])
        return self._person(claims), kept["to"]

    def _exchanged(self, code: str, verifier: str) -> str:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.provider.redirect_uri,
            "client_id": self.provider.client_id,
            "code_verifier": verifier,
        }
        status, told = self._posted(self._address("token_endpoint"), form)
        if status in (400, 401, 403):
            raise NotVouched(REFUSED)
        if status != 200:
            raise NotVouched(UNREACHABLE)
        found = told.get("id_token")
        if not isinstance(found, str):
            raise NotVouched(UNBELIEVABLE)
        return found

    def _posted(self, address: str, form: dict[str, str]) -> tuple[int, Mapping[str, Any]]:
        """With what proves that it is us: our key, or the secret as the provider takes it."""
        it, auth = self.provider, None
        if it.key is not None:
            form |= {
                "client_assertion_type": _JWT_BEARER,
                "client_assertion": assertion(
                    it.key,
                    client_id=it.client_id,
                    audience=it.issuer,
                    now=self._clock(),
                    jti=secrets.token_urlsafe(16),
                ),
            }
        elif self._takes_secrets_in_the_form():
            form |= {"client_secret": it.client_secret or ""}
        else:
            auth = (_quoted(it.client_id), _quoted(it.client_secret or ""))
        return self._asked("POST", address, data=form, auth=auth)

    def _takes_secrets_in_the_form(self) -> bool:
        ways = self._discovered().get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        return "client_secret_basic" not in ways and "client_secret_post" in ways

    # --- what is believed ---

    def _claims(self, token: str, nonce: str) -> Mapping[str, Any]:
        """The claims of an id_token that is what Core 1.0, 3.1.3.7 asks for."""
        try:
            head = jwt.get_unverified_header(token)
            algorithm = head.get("alg")
            if algorithm not in self.provider.algorithms:
                raise NotVouched(UNBELIEVABLE)
            claims = jwt.decode(
                token,
                key=self._key(head.get("kid"), algorithm),
                algorithms=[algorithm],
                audience=self.provider.client_id,
                issuer=self.provider.issuer,
                # by the adapter's own clock, below
                options={
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                    "require": ["iss", "sub", "aud", "exp", "iat"],
                },
            )
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise NotVouched(UNBELIEVABLE) from error
        audience = claims["aud"]
        several = isinstance(audience, list) and len(audience) > 1
        said = claims.get("azp", None if several else self.provider.client_id)
        subject = claims["sub"]
        if (
            said != self.provider.client_id
            or not self._is_of_now(claims)
            or not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode())
            or not isinstance(subject, str)
            or not 0 < len(subject) <= _LONGEST
        ):
            raise NotVouched(UNBELIEVABLE)
        return claims

    def _is_of_now(self, claims: Mapping[str, Any]) -> bool:
        now, leeway = self._clock().timestamp(), _LEEWAY.total_seconds()
        times = [claims[name] for name in ("exp", "iat", "nbf") if name in claims]
        if any(isinstance(at, bool) or not isinstance(at, int | float) for at in times):
            return False
        begins = max(claims["iat"], claims.get("nbf", claims["iat"]))
        return bool(claims["exp"] > now - leeway and begins < now + leeway)

    def _key(self, kid: Any, algorithm: str) -> Any:
        """The provider's key of that name, fetched anew where it is not known."""
        for fresh in (False, True):
            found = self._published(fresh=fresh)
            named = [found[kid]] if kid in found else list(found.values()) if kid is None else []
            fitting = [one for one in named if _fits(one, algorithm)]
            if len(fitting) == 1:
                return jwt.PyJWK(fitting[0], algorithm=algorithm).key
        raise NotVouched(UNBELIEVABLE)

    def _published(self, *, fresh: bool) -> Mapping[str | None, Any]:
        with self._lock:
            known = self._keys
        if known and not fresh:
            return known
        status, told = self._asked("GET", self._address("jwks_uri"))
        keys = told.get("keys")
        if status != 200 or not isinstance(keys, list):
            raise NotVouched(UNREACHABLE)
        found = {one.get("kid"): one for one in keys if isinstance(one, dict)}
        with self._lock:
            self._keys = found
        return found

    # --- who it is ---

    def _person(self, claims: Mapping[str, Any]) -> Person:
        it = self.provider
        roles = {role for value in _values(claims, it.roles_claim) for role in self._roles(value)}
        given = {party for value in _values(claims, it.parties_claim) for party in self._parties(value)}
        parties = {party: kind for party in given if (kind := self._kind(party)) is not None}
        held = {
            role
            for role in roles
            if role not in CARE or any(kind in (*KINDS[role], "unknown") for kind in parties.values())
        }
        if not held:
            raise NotVouched(WITHOUT_ROLE)
        fitting = {
            party
            for party, kind in parties.items()
            if kind == "unknown" or any(kind in KINDS[role] for role in held & CARE)
        }
        said = claims.get(it.name_claim)
        name = "".join(c for c in said if c.isprintable())[:80] if isinstance(said, str) else ""
        return Person(
            id=f"{it.issuer}|{claims['sub']}",
            name=name.strip() or claims["sub"],
            roles=frozenset(held),
            parties=tuple(sorted(fitting)) if held & CARE else None,
        )

    def _roles(self, value: str) -> Iterator[Role]:
        if self.provider.roles:
            if value in self.provider.roles:
                yield Role(self.provider.roles[value])
        elif value in _ROLES:
            yield Role(value)

    def _parties(self, value: str) -> Iterator[str]:
        known = self.provider.parties
        found = known.get(value) if known else value
        if found is not None:
            yield found

    def _kind(self, party: str) -> str | None:
        found = self._register.party(party)
        if found is not None:
            return found.kind
        return "unknown" if self._register.open else None

    # --- asking ---

    def _address(self, name: str) -> str:
        found = self._discovered().get(name)
        if not isinstance(found, str) or not _is_safe(found):
            raise NotVouched(UNBELIEVABLE)
        return found

    def _discovered(self) -> Mapping[str, Any]:
        """What the provider says of itself (OpenID Connect Discovery 1.0)."""
        now = self._clock()
        with self._lock:
            if self._told is not None and self._told[0] > now:
                return self._told[1]
        address = f"{self.provider.issuer.rstrip('/')}/.well-known/openid-configuration"
        status, told = self._asked("GET", address)
        if status != 200:
            raise NotVouched(UNREACHABLE)
        if told.get("issuer") != self.provider.issuer:
            raise NotVouched(UNBELIEVABLE)
        with self._lock:
            self._told = (now + _KNOWN_FOR, told)
        return told

    def _asked(self, method: str, address: str, **more: Any) -> tuple[int, Mapping[str, Any]]:
        """The status, and the JSON object of an answer; an empty one where it is none."""
        try:
            with requests.request(
                method,
                address,
                headers={"Accept": "application/json"},
                timeout=self.provider.timeout,
                verify=self.provider.trust or True,
                allow_redirects=False,
                stream=True,
                **more,
            ) as answer:
                body = answer.raw.read(_LARGEST + 1, decode_content=True)
                status = answer.status_code
        except (requests.RequestException, OSError, ValueError) as error:
            raise NotVouched(UNREACHABLE) from error
        try:
            told = orjson.loads(body) if len(body) <= _LARGEST else {}
        except orjson.JSONDecodeError:
            told = {}
        return status, told if isinstance(told, dict) else {}

    # --- the cookie ---

    def _sealed(self, kept: Mapping[str, Any]) -> str:
        body = _base64url(orjson.dumps(kept))
        return f"{body}.{_base64url(hmac.digest(self._secret, body.encode(), 'sha256'))}"

    def _opened(self, cookie: str) -> dict[str, Any] | None:
        body, _, seal = cookie.partition(".")
        right = _base64url(hmac.digest(self._secret, body.encode(), "sha256"))
        if not body or not hmac.compare_digest(seal.encode(), right.encode()):
            return None
        kept: dict[str, Any] = orjson.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return kept if kept["until"] > self._clock().timestamp() else None


def _values(claims: Mapping[str, Any], name: str) -> list[str]:
    """The texts of a claim: one, or a list; by its name, else inside another one as the dots say."""
    found: Any = claims.get(name)
    if found is None:
        found = claims
        for part in name.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    several = found if isinstance(found, list) else [found]
    return [value for value in several if isinstance(value, str)]


def _fits(key: Mapping[str, Any], algorithm: str) -> bool:
    kinds = {"RS": "RSA", "PS": "RSA", "ES": "EC"}
    return (
        key.get("kty") == kinds.get(algorithm[:2])
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
    )


def _is_safe(address: str) -> bool:
    """Https, or this machine's own: a secret and who somebody is go there."""
    try:
        parts = urlsplit(address)
        return bool(parts.hostname) and (
            parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
        )
    except ValueError:
        return False


def _quoted(text: str) -> str:
    """As RFC 6749, 2.3.1 writes a name and a secret in Basic."""
    return urlencode({"": text})[1:]


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
