"""A machine of a partner's with its key, and the adapter of Lærdal that it signs in to over real HTTP."""

import hashlib
import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import requests
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from sqlalchemy import select

from adapter.config import Settings, load_region
from adapter.discharge.notices import NoticeKind
from adapter.runtime import Adapter, stations
from tests.stage import FakePost, Stage, taken

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
HOSPITAL, READER = "laerdal-sjukehus-epj", "laerdal-omsorg"
STATIC = "open-sesame"
REGION = Path(__file__).parents[2] / "fixtures" / "regions" / "laerdal-alone.toml"

RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP384R1())
OTHER_EC_KEY = ec.generate_private_key(ec.SECP384R1())


def jwk(key: Any, kid: str, **more: object) -> dict[str, Any]:
    """The public half, as a partner publishes it."""
    public = key.public_key()
    made = RSAAlgorithm if isinstance(public, rsa.RSAPublicKey) else ECAlgorithm
    return {**made.to_jwk(public, as_dict=True), "kid": kid, **more}


def inline(*keys: dict[str, Any]) -> str:
    """Keys as the region file has them."""
    tables = (
        "{" + ", ".join(f"{name} = {json.dumps(value)}" for name, value in k.items()) + "}" for k in keys
    )
    return "[" + ", ".join(tables) + "]"


def partner(client_id: str, party: str, keys: str, *more: str) -> str:
    head = [
        "[[partner]]",
        f'name = "{client_id}-drift"',
        f'parties = ["{party}"]',
        f'client_id = "{client_id}"',
    ]
    return "\n".join([*head, keys, *more, ""])


BOTH_KEYS = f"jwks = {inline(jwk(RSA_KEY, 'rsa-1'), jwk(EC_KEY, 'ec-1'))}"
HOSPITALS = partner(HOSPITAL, "laerdal-sjukehus", BOTH_KEYS)
READERS = partner(
    READER, "laerdal", f"jwks = {inline(jwk(EC_KEY, 'ec-1'))}", 'scopes = ["system/*.rs", "system/Task.u"]'
)
LIMITED = "\n".join(
    ["[[partner]]", 'name = "laerdal-gamal"', 'parties = ["laerdal-sjukehus"]', 'scopes = ["system/*.rs"]',
     f'token_sha256 = "{hashlib.sha256(STATIC.encode()).hexdigest()}"', ""]
)  # fmt: skip


@dataclass
class Place:
    """A running adapter, and the clock that it and its clients go by."""

    url: str
    stage: Stage
    clock: Any  # StandingClock, or the real one

    @property
    def token_url(self) -> str:
        return f"{self.url}/fhir/token"

    def ask(self, form: Any, **more: Any) -> requests.Response:
        return requests.post(self.token_url, data=form, timeout=10, **more)

    def rows(self, table: Any) -> list[Any]:
        with self.stage.built.store.read() as connection:
            return list(connection.execute(select(table)))

    def send(self, token: str | None, content: bytes | None = None) -> requests.Response:
        headers = {"Content-Type": "application/fhir+json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        body = content or self.stage.message(
            NoticeKind.ADMITTED, receivers=("laerdal",), message_id=str(uuid.uuid4())
        )
        return requests.post(f"{self.url}/fhir/$process-message", data=body, headers=headers, timeout=10)


@dataclass(frozen=True)
class Machine:
    """A partner's client: it makes assertions, and forms that hold them."""

    place: Place
    client_id: str = HOSPITAL
    key: Any = field(default=EC_KEY, repr=False)
    kid: str | None = "ec-1"
    alg: str = "ES384"

    def assertion(self, headers: dict[str, Any] | None = None, **changes: Any) -> str:
        claims = {
            "iss": self.client_id, "sub": self.client_id, "aud": self.place.token_url,
            "exp": int((self.place.clock() + timedelta(minutes=4)).timestamp()), "jti": str(uuid.uuid4()),
        } | changes  # fmt: skip
        named = {} if self.kid is None else {"kid": self.kid}
        said = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(said, self.key, algorithm=self.alg, headers=named | (headers or {}))

    def form(self, assertion: str | None = None, **changes: str | None) -> dict[str, str]:
        fields = {
            "grant_type": "client_credentials", "scope": "system/*.cruds",
            "client_assertion_type": JWT_BEARER, "client_assertion": assertion or self.assertion(),
        } | changes  # fmt: skip
        return {name: value for name, value in fields.items() if value is not None}

    def token(self, scope: str = "system/*.cruds") -> str:
        answer = self.place.ask(self.form(scope=scope))
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])


@contextmanager
def running(
    folder: Path, partners: str, clock: Callable[[], datetime], store: str | None = None, **settings: Any
) -> Iterator[Place]:
    """An adapter for Lærdal and those partners, on a free port."""
    file = folder / f"region-{uuid.uuid4().hex[:6]}.toml"
    file.write_text(REGION.read_text().split("[[partner]]")[0] + partners)
    chosen = Settings(store=store or f"sqlite:///{folder}/store.db", port=0, **settings)
    built = stations(chosen, region=load_region(file), clock=clock)
    adapter = Adapter(built, role="web")
    url = adapter.start()
    assert url is not None
    try:
        yield Place(
            url=url, stage=Stage(built=built, post=FakePost(answer=taken()), clock=clock), clock=clock
        )
    finally:
        adapter.stop()


def refused(answer: requests.Response, error: str, *words: str, status: int = 400) -> str:
    """What a refusal of RFC 6749 section 5.2 says."""
    assert (answer.status_code, answer.json()["error"]) == (status, error), answer.text
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    said = str(answer.json()["error_description"])
    assert all(32 <= ord(sign) < 127 and sign not in '"\\' for sign in said)  # RFC 6749 5.2
    assert [word for word in words if word not in said] == []
    return said
