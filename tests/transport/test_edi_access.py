"""Tokens for the message server: proven, bound, kept until they end, and told of nowhere."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from adapter.messaging.delivery import Reply
from adapter.messaging.signing import (
    UnusableSigningKey,
    assertion,
    new_signing_key,
    proof,
    public_jwk,
    read_signing_key,
    thumbprint,
)
from adapter.simulator.message_server import Ordered, PretendServer
from adapter.simulator.threads import serving
from adapter.transport.edi_client import MessageServer
from tests.conftest import StandingClock
from tests.message_servers import OURS, WARD, account, client, pem

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class Place:
    server: PretendServer
    clock: StandingClock
    file: Path

    def machine(self, **more: Any) -> MessageServer:
        return client(account(self.server, self.file, **more), self.clock)


@pytest.fixture
def place(tmp_path: Path, clock: StandingClock) -> Iterator[Place]:
    numbers = iter(range(1000))
    server = PretendServer(clock=clock, new_id=lambda: f"00000000-0000-4000-8000-{next(numbers):012}")
    server.serve("indre-sogn", OURS.public_key(), WARD)
    file = tmp_path / "ours.pem"
    file.write_bytes(pem(OURS))
    with serving(server):
        yield Place(server=server, clock=clock, file=file)


def listed(machine: MessageServer) -> Reply:
    return machine.call("GET", "/Messages", machine.place(), query={"ReceiverHerIds": WARD})


def test_one_token_serves_until_shortly_before_its_end(place: Place) -> None:
    machine = place.machine()
    assert [listed(machine).status for _ in range(3)] == [200, 200, 200]
    assert place.server.authorization.given == 1
    place.clock.forward(minutes=9, seconds=29)
    listed(machine)
    assert place.server.authorization.given == 1
    place.clock.forward(seconds=1)
    assert listed(machine).status == 200
    assert place.server.authorization.given == 2
    assert [one.status for one in place.server.asked if one.status != 200] == []


def test_a_token_that_was_taken_back_is_replaced_at_once(place: Place) -> None:
    machine = place.machine()
    listed(machine)
    place.server.authorization.revoke()
    assert listed(machine).status == 200
    assert place.server.authorization.given == 2


def test_a_nonce_that_is_demanded_is_used_and_costs_one_more_request(place: Place) -> None:
    place.server.authorization.demands_nonce = True
    machine = place.machine()
    assert listed(machine).status == 200
    assert [one.status for one in place.server.asked] == [400, 200, 401, 200]
    assert listed(machine).status == 200
    assert len(place.server.asked) == 5  # it is known now
    place.server.authorization.renew_nonce()
    assert listed(machine).status == 200
    assert place.server.authorization.given == 1


def test_whoever_is_refused_for_good_is_told_what_to_correct(place: Place, tmp_path: Path) -> None:
    place.file.write_bytes(pem(ec.generate_private_key(ec.SECP256R1())))
    reply = listed(place.machine())
    assert reply.status == 401
    assert "gives no token: HTTP 400 invalid_client; correct client_id, key, audience" in str(reply.error)
    assert len(place.server.asked) == 1  # another try would end alike


def test_a_token_endpoint_that_is_busy_is_asked_three_times_and_the_message_waits(place: Place) -> None:
    for _ in range(2):
        place.server.order(Ordered.BUSY, "POST", "/connect")
    assert listed(place.machine()).status == 200
    for _ in range(3):
        place.server.order(Ordered.RESET, "POST", "/connect")
    reply = listed(place.machine())
    assert (reply.status, reply.taken) == (None, False)
    assert "token endpoint of message server nhn gives no token" in str(reply.error)


@pytest.mark.parametrize(("content", "words"), [(None, "cannot be read"), (b"secret", "no private key")])
def test_a_key_that_cannot_be_used_is_told_without_its_content(
    place: Place, content: bytes | None, words: str
) -> None:
    place.file.unlink()
    if content is not None:
        place.file.write_bytes(content)
    reply = listed(place.machine())
    assert words in str(reply.error) and "secret" not in str(reply.error)
    place.file.write_bytes(pem(OURS))
    assert listed(place.machine()).status == 200


def test_an_rsa_key_and_a_key_for_proofs_may_be_named(place: Place, tmp_path: Path) -> None:
    place.server.serve("indre-sogn", RSA.public_key(), WARD)
    place.file.write_bytes(pem(RSA))
    proving = tmp_path / "dpop.pem"
    proving.write_bytes(pem(OURS))
    machine = place.machine(algorithm="RS256", dpop_key=proving, scope="nhn:msh/api", key_id="2026")
    assert listed(machine).status == 200
    shown = jwt.get_unverified_header(place.server.asked[-1].headers["dpop"])
    assert shown["jwk"] == public_jwk(read_signing_key(pem(OURS)))


def test_tokens_and_keys_are_in_no_representation(place: Place) -> None:
    machine = place.machine()
    listed(machine)
    token = machine.access._current()
    assert token.text not in repr(token) and token.text not in repr(machine.access)
    assert "PrivateKey" not in repr(read_signing_key(pem(OURS)))
    assert "nonce" not in repr(Reply(nonce="n-1"))


# --- what is signed ---------------------------------------------------------------------------------------


def test_an_assertion_says_who_to_whom_and_for_how_long(clock: StandingClock) -> None:
    key = read_signing_key(pem(RSA), algorithm="PS256", id="2026")
    said = assertion(key, client_id="indre-sogn", audience="https://sts.example/token", now=clock(), jti="1")
    claims = jwt.decode(
        said, RSA.public_key(), algorithms=["PS256"], options={"verify_exp": False, "verify_aud": False}
    )
    at = int(clock().timestamp())
    assert claims == {
        "iss": "indre-sogn", "sub": "indre-sogn", "aud": "https://sts.example/token",
        "iat": at, "nbf": at, "exp": at + 50, "jti": "1",
    }  # fmt: skip
    assert jwt.get_unverified_header(said) == {
        "alg": "PS256",
        "typ": "client-authentication+jwt",
        "kid": "2026",
    }


def test_the_proof_and_thumbprint_are_those_of_the_standards(clock: StandingClock) -> None:
    key = new_signing_key()
    said = proof(
        key, method="GET", url="https://x.example/Messages?a=1#b", now=clock(), jti="1", nonce="n", token="t"
    )
    header = jwt.get_unverified_header(said)
    claims = jwt.decode(
        said, jwt.PyJWK(header["jwk"]).key, algorithms=["ES256"], options={"verify_iat": False}
    )
    assert (header["typ"], header["alg"], "d" in header["jwk"]) == ("dpop+jwt", "ES256", False)
    assert (claims["htm"], claims["htu"], claims["nonce"]) == ("GET", "https://x.example/Messages", "n")
    assert claims["ath"] == base64.urlsafe_b64encode(sha256(b"t").digest()).rstrip(b"=").decode()
    # the example of RFC 7638 section 3.1
    modulus = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCi"
        "FV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb"
        "9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls"
        "1jF44-csFCur-kEgU8awapJzKnqDKgw"
    )
    assert thumbprint({"kty": "RSA", "n": modulus, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}) == (
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    )


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_an_ec_key_signs_as_its_curve_has_it(curve: Any) -> None:
    found = read_signing_key(pem(ec.generate_private_key(curve)))
    assert found.algorithm == {256: "ES256", 384: "ES384", 521: "ES512"}[curve.key_size]


def test_a_jwk_brings_its_own_kid_and_algorithm() -> None:
    written = json.dumps({**RSAAlgorithm.to_jwk(RSA, as_dict=True), "kid": "a", "alg": "RS512"})
    found = read_signing_key(written.encode())
    assert (found.id, found.algorithm) == ("a", "RS512")
    chosen = read_signing_key(written.encode(), algorithm="RS256", id="b")
    assert (chosen.id, chosen.algorithm) == ("b", "RS256")
    public = json.dumps(ECAlgorithm.to_jwk(OURS.public_key(), as_dict=True))
    with pytest.raises(UnusableSigningKey, match="public key"):
        read_signing_key(public.encode())


@pytest.mark.parametrize(
    ("content", "algorithm", "words"),
    [
        (b"{", None, "neither PEM nor valid JSON"),
        (b'{"kty": "RSA", "d": "x"}', None, "no private key that can be read"),
        (pem(OURS), "RS256", "cannot sign with the chosen algorithm; it can with ES256"),
        (pem(ed25519.Ed25519PrivateKey.generate()), None, "RSA key, or an EC key"),
        (pem(rsa.generate_private_key(public_exponent=65537, key_size=1024)), None, "fewer than 2048 bits"),
    ],
)
def test_other_keys_are_refused_in_words(content: bytes, algorithm: str | None, words: str) -> None:
    with pytest.raises(UnusableSigningKey, match=words):
        read_signing_key(content, algorithm=algorithm)


def test_a_plain_bearer_token_is_shown_without_proof(place: Place, peer: Any) -> None:
    body = b'{"access_token": "t-1", "token_type": "Bearer", "expires_in": 60}'
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    tokens = peer(head + body)
    messages = peer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")
    made = replace(account(place.server, place.file), address=messages.url, token_url=f"{tokens.url}/token")
    assert listed(client(made, place.clock)).status == 200
    head = messages.requests[0].split(b"\r\n\r\n")[0]
    assert b"Authorization: Bearer t-1" in head and b"DPoP:" not in head
