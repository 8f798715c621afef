"""SMART Backend Services over real HTTP: a machine proves itself with its key, and does what its scopes say.

What must hold is from HL7 SMART App Launch 2.2 ("Backend Services", "Asymmetric client authentication"),
RFC 6749, RFC 6750 and RFC 7523.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from starlette.requests import Request
from structlog.testing import capture_logs

from adapter.discharge.notices import NoticeKind
from adapter.messaging.scopes import parse
from adapter.scheduler.housekeeping import Housekeeping
from adapter.store.tables import access_token, message, used_assertion
from adapter.web.signing_in import Doorkeeper
from adapter.web.smart.tokens import Tokens
from tests.conftest import StandingClock

from .smart import (
    BOTH_KEYS,
    EC_KEY,
    HOSPITAL,
    HOSPITALS,
    JWT_BEARER,
    LIMITED,
    OTHER_EC_KEY,
    READER,
    READERS,
    RSA_KEY,
    STATIC,
    Machine,
    Place,
    inline,
    jwk,
    partner,
    refused,
    running,
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    clock = StandingClock()
    with running(tmp_path_factory.mktemp("smart"), HOSPITALS + READERS + LIMITED, clock) as found:
        yield found


# --- a machine signs in -----------------------------------------------------------------------------------


def test_a_client_finds_out_by_itself_how_to_sign_in(place: Place):
    answer = requests.get(f"{place.url}/fhir/.well-known/smart-configuration", timeout=10)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    told = answer.json()
    assert told["token_endpoint"] == place.token_url
    assert told["grant_types_supported"] == ["client_credentials"]
    assert told["token_endpoint_auth_methods_supported"] == ["private_key_jwt"]
    assert told["token_endpoint_auth_signing_alg_values_supported"] == ["RS384", "ES384"]
    assert {"client-confidential-asymmetric", "permission-v2"} <= set(told["capabilities"])
    assert parse(" ".join(told["scopes_supported"]))


@pytest.mark.parametrize(("key", "kid", "alg"), [(RSA_KEY, "rsa-1", "RS384"), (EC_KEY, "ec-1", "ES384")])
def test_a_machine_gets_a_token_with_its_key_and_sends_with_it(tmp_path, store_url, clock, key, kid, alg):
    with running(tmp_path, HOSPITALS, clock, store_url) as place:
        answer = place.ask(Machine(place, key=key, kid=kid, alg=alg).form())
        assert answer.status_code == 200, answer.text
        assert answer.headers["Content-Type"] == "application/json"
        assert (answer.headers["Cache-Control"], answer.headers["Pragma"]) == ("no-store", "no-cache")
        given = answer.json()
        assert (given["token_type"], given["expires_in"], given["scope"]) == ("bearer", 300, "system/*.cruds")
        assert place.send(given["access_token"]).status_code == 200
        (stored,) = place.rows(message)
        assert (stored.partner, stored.outcome) == (f"{HOSPITAL}-drift", "accepted")
        (kept,) = place.rows(access_token)
        assert kept.sha256 == hashlib.sha256(given["access_token"].encode()).digest()
        assert given["access_token"] not in str(kept)


def test_a_token_speaks_for_the_parties_of_its_partner_and_for_no_other(place: Place):
    foreign = place.stage.message(NoticeKind.ANSWER, sender="laerdal", receivers=("laerdal-sjukehus",))
    assert place.send(Machine(place).token(), foreign).status_code == 403


def test_a_token_ends_after_five_minutes(tmp_path, clock):
    with running(tmp_path, HOSPITALS, clock) as place:
        token = Machine(place).token()
        clock.forward(seconds=299)
        assert place.send(token).status_code == 200
        clock.forward(seconds=1)
        answer = place.send(token)
        assert answer.status_code == 401
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
        assert answer.json()["issue"][0]["code"] == "login"


@pytest.mark.parametrize("token", ["A" * 43, "A" * 42, "x", "Å" * 43, "eyJ.eyJ.sig"])
def test_a_token_that_nobody_was_given_is_none(place: Place, token: str):
    answer = requests.post(
        f"{place.url}/fhir/$process-message", data=b"{}", timeout=10,
        headers={"Authorization": f"Bearer {token}".encode(), "Content-Type": "application/fhir+json"},
    )  # fmt: skip
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def test_who_shows_no_token_is_not_told_that_one_is_wrong(place: Place):
    assert place.send(None).headers["WWW-Authenticate"] == "Bearer"


def test_every_process_over_one_store_knows_the_tokens_and_what_was_used(tmp_path, store_url, clock):
    with (
        running(tmp_path, HOSPITALS, clock, store_url) as one,
        running(tmp_path, HOSPITALS, clock, store_url) as other,
    ):
        assert other.send(Machine(one).token()).status_code == 200
        used = {"jti": "once"}
        assert one.ask(Machine(one).form(Machine(one).assertion(**used))).status_code == 200
        refused(other.ask(Machine(other).form(Machine(other).assertion(**used))), "invalid_client", "jti")


def test_what_the_region_file_has_taken_back_a_token_no_longer_gives(tmp_path, clock):
    narrow = partner(HOSPITAL, "laerdal-sjukehus", BOTH_KEYS, 'scopes = ["system/*.rs"]')
    with running(tmp_path, HOSPITALS, clock) as before:
        token = Machine(before).token()
        with running(tmp_path, narrow, clock) as after:
            assert after.send(token).status_code == 403
        with running(tmp_path, READERS, clock) as gone:
            assert gone.send(token).status_code == 401
        otherwise = LIMITED.replace("laerdal-gamal", f"{HOSPITAL}-drift")  # no client any more
        with running(tmp_path, otherwise, clock) as renewed:
            assert renewed.send(token).status_code == 401
        assert before.send(token).status_code == 200


def test_what_has_expired_is_forgotten(tmp_path, store_url, clock):
    with running(tmp_path, HOSPITALS, clock, store_url) as place:
        for _ in range(3):
            Machine(place).token()
        built, year = place.stage.built, timedelta(days=365)
        house = Housekeeping(
            store=built.store, outbox=built.outbox, clock=clock,
            keep_payloads=year, keep_attempts=year, keep_seen=year, keep_accesses=year,
        )  # fmt: skip
        assert house.prune()["access"] == 0
        clock.forward(minutes=5, seconds=59)
        assert house.prune()["access"] == 3  # the assertions; what is just being checked may still need them
        clock.forward(seconds=1)
        Machine(place).token()
        assert house.prune()["access"] == 3
        assert (len(place.rows(access_token)), len(place.rows(used_assertion))) == (1, 1)


# --- what proves nothing ----------------------------------------------------------------------------------

WRONG_CLAIMS: dict[str, tuple[dict[str, Any], str]] = {
    "for somebody else": ({"aud": "https://elsewhere.example/fhir/token"}, "aud"),
    "for the server, not its token endpoint": ({"aud": "{url}"}, "aud"),
    "for us among others": ({"aud": ["{url}/fhir/token", "https://elsewhere.example"]}, "aud"),
    "for nobody": ({"aud": None}, "aud"),
    "iss is another": ({"iss": READER}, "iss and sub"),
    "sub is another": ({"sub": READER}, "iss and sub"),
    "without iss": ({"iss": None}, "iss"),
    "without sub": ({"sub": None}, "sub"),
    "without exp": ({"exp": None}, "exp"),
    "exp is no number": ({"exp": "soon"}, "exp"),
    "exp is beyond time": ({"exp": 10**30}, "exp"),
    "exp is at the end of time": ({"exp": 253402300799}, "five minutes"),
    "without jti": ({"jti": None}, "jti"),
    "jti is empty": ({"jti": ""}, "jti"),
    "jti is no text": ({"jti": 7}, "jti"),
    "jti is long": ({"jti": "j" * 256}, "jti"),
    "an unknown client": ({"iss": "who", "sub": "who"}, "client_id"),
}


@pytest.mark.parametrize(("claims", "word"), WRONG_CLAIMS.values(), ids=WRONG_CLAIMS)
def test_an_assertion_must_say_who_for_whom_and_until_when(place: Place, claims: dict[str, Any], word: str):
    def here(value: Any) -> Any:
        return [here(one) for one in value] if isinstance(value, list) else str(value).format(url=place.url)

    if claims.get("aud"):
        claims = {"aud": here(claims["aud"])}
    count = len(place.rows(access_token))
    refused(place.ask(Machine(place).form(Machine(place).assertion(**claims))), "invalid_client", word)
    assert len(place.rows(access_token)) == count


@pytest.mark.parametrize(("seconds", "word"), [(-10, "expired"), (-3600, "expired"), (311, "five minutes")])
def test_an_assertion_counts_for_five_minutes_at_most(place: Place, seconds: int, word: str):
    exp = int(place.clock().timestamp()) + seconds
    refused(place.ask(Machine(place).form(Machine(place).assertion(exp=exp))), "invalid_client", word)


@pytest.mark.parametrize("seconds", [-9, 1, 300, 310])
def test_a_clock_that_is_a_little_off_does_no_harm(place: Place, seconds: int):
    exp = place.clock().timestamp() + seconds
    assert place.ask(Machine(place).form(Machine(place).assertion(exp=exp))).status_code == 200


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_an_assertion_that_begins_later_does_not_count_yet(place: Place, claim: str):
    later = int(place.clock().timestamp()) + 60
    refused(
        place.ask(Machine(place).form(Machine(place).assertion(**{claim: later}))), "invalid_client", claim
    )


def test_the_audience_may_be_a_list_of_one_and_name_this_machine_otherwise(place: Place):
    named = place.token_url.replace("127.0.0.1", "localhost")
    for aud in ([place.token_url], named):
        assert place.ask(Machine(place).form(Machine(place).assertion(aud=aud))).status_code == 200


def test_what_a_host_header_says_is_not_our_address(place: Place):
    aud = "http://localhost:1/fhir/token"
    form = Machine(place).form(Machine(place).assertion(aud=aud))
    refused(place.ask(form, headers={"Host": "localhost:1"}), "invalid_client", "aud")


def test_behind_a_name_of_its_own_the_adapter_goes_by_that_name(tmp_path, clock):
    public = "https://adapter.laerdal.example/utskriving"
    with running(tmp_path, HOSPITALS, clock, public_url=f"{public}/") as place:
        shown = requests.get(
            f"{place.url}/fhir/.well-known/smart-configuration", timeout=10,
            headers={"Host": "adapter.laerdal.example"},
        ).json()  # fmt: skip
        assert shown["token_endpoint"] == f"{public}/fhir/token"
        named = Machine(place).assertion(aud=shown["token_endpoint"])
        assert place.ask(Machine(place).form(named)).status_code == 200
        refused(place.ask(Machine(place).form()), "invalid_client", "aud")


def test_an_assertion_is_used_once(place: Place):
    assertion = Machine(place).assertion()
    assert place.ask(Machine(place).form(assertion)).status_code == 200
    refused(place.ask(Machine(place).form(assertion)), "invalid_client", "jti")
    signed_anew = Machine(place).assertion(
        jti=jwt.decode(assertion, options={"verify_signature": False})["jti"]
    )
    refused(place.ask(Machine(place).form(signed_anew)), "invalid_client", "jti")


def test_an_assertion_is_used_up_by_a_request_that_is_granted_nothing(place: Place):
    assertion = Machine(place).assertion()
    refused(place.ask(Machine(place).form(assertion, scope="openid")), "invalid_scope")
    refused(place.ask(Machine(place).form(assertion)), "invalid_client", "jti")


def test_each_client_has_its_own_jti_and_may_have_it_again_when_it_has_expired(tmp_path, store_url, clock):
    with running(tmp_path, HOSPITALS + READERS, clock, store_url) as place:
        for client in (HOSPITAL, READER):
            machine = Machine(place, client_id=client)
            assert place.ask(machine.form(machine.assertion(jti="one"))).status_code == 200
        clock.forward(minutes=4, seconds=9)  # exp has passed, but would still be taken
        refused(place.ask(Machine(place).form(Machine(place).assertion(jti="one"))), "invalid_client", "jti")
        clock.forward(seconds=1)
        assert place.ask(Machine(place).form(Machine(place).assertion(jti="one"))).status_code == 200


def test_of_many_at_once_with_one_assertion_one_gets_a_token(tmp_path, store_url, clock):
    with running(tmp_path, HOSPITALS, clock, store_url) as place:
        form = Machine(place).form()
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: place.ask(form).status_code, range(8)))
        assert sorted(answers) == [200] + [400] * 7


def by_hand(header: dict[str, Any], claims: dict[str, Any], signature: bytes) -> str:
    def part(content: bytes) -> str:
        return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

    return ".".join((part(json.dumps(header).encode()), part(json.dumps(claims).encode()), part(signature)))


def signed_otherwise(place: Place, how: str) -> str:
    """An assertion right in all but its signature."""
    machine = Machine(place)
    claims = jwt.decode(machine.assertion(), options={"verify_signature": False})
    pem = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    small = ec.generate_private_key(ec.SECP256R1())
    match how:
        case "none":
            return by_hand({"alg": "none", "typ": "JWT", "kid": "rsa-1"}, claims, b"").rstrip(".") + "."
        case "none with a signature":
            return by_hand({"alg": "none", "typ": "JWT", "kid": "rsa-1"}, claims, b"x")
        case "HS256 with the public key" | "HS384 with the public key":
            alg = how[:5]
            unsigned = by_hand({"alg": alg, "typ": "JWT", "kid": "rsa-1"}, claims, b"").rstrip(".")
            digest = hmac.digest(pem, unsigned.encode(), {"HS256": "sha256", "HS384": "sha384"}[alg])
            return f"{unsigned}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"
        case "RS256" | "PS384":
            return replace(machine, key=RSA_KEY, kid="rsa-1", alg=how).assertion()
        case "ES256":
            return replace(machine, key=small, alg=how).assertion()
        case "another key":
            return replace(machine, key=OTHER_EC_KEY).assertion()
        case "an unknown kid":
            return replace(machine, kid="ec-2").assertion()
        case "no kid":
            return replace(machine, kid=None).assertion()
        case "the kid of a key for the other algorithm":
            return replace(machine, kid="rsa-1").assertion()
        case "its own key in the header":
            return replace(machine, key=OTHER_EC_KEY).assertion({"jwk": jwk(OTHER_EC_KEY, "ec-1")})
        case "an extension that must be understood":
            return machine.assertion({"crit": ["exp"], "exp": 1})
        case "changed after signing":
            head, _, tail = machine.assertion().split(".")
            return f"{head}.{by_hand({}, claims | {'jti': 'x'}, b'').split('.')[1]}.{tail}"
        case "no signature":
            return machine.assertion().rpartition(".")[0] + "."
        case "cut off":
            return machine.assertion()[:-8]
        case "long":
            return machine.assertion(more="x" * 9000)
    return how


OTHER_ALGORITHMS = ("none with a signature", "HS256 with the public key", "RS256", "PS384", "ES256")
WHY = dict.fromkeys(OTHER_ALGORITHMS, "alg must be RS384 or ES384") | {
    "another key": "signature",
    "an unknown kid": "kid",
    "no kid": "kid",
    "changed after signing": "signature",
    "long": "longer than 8192 bytes",
}


@pytest.mark.parametrize(
    "how",
    [
        "none", "none with a signature", "HS256 with the public key", "HS384 with the public key", "RS256",
        "PS384", "ES256", "another key", "an unknown kid", "no kid",
        "the kid of a key for the other algorithm",
        "its own key in the header", "an extension that must be understood", "changed after signing",
        "no signature", "cut off", "long", "not.a.jwt", "e30.e30.e30", "W10.W10.W10", "ÆØÅ", "a.b",
    ],
)  # fmt: skip
def test_only_a_registered_key_proves_anything(place: Place, how: str):
    count = len(place.rows(access_token))
    assertion = signed_otherwise(place, how)
    said = refused(place.ask(Machine(place).form(assertion)), "invalid_client", WHY.get(how, ""))
    assert assertion not in said
    assert len(place.rows(access_token)) == count


def test_a_client_cannot_sign_for_another_one(tmp_path, clock):
    other = partner(READER, "laerdal", f"jwks = {inline(jwk(OTHER_EC_KEY, 'ec-1'))}")
    with running(tmp_path, HOSPITALS + other, clock) as place:
        form = Machine(place, client_id=READER).form()  # the hospital's key, of the same kid
        refused(place.ask(form), "invalid_client", "signature")


# --- the form ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "error", "word"),
    [
        ({"grant_type": None}, "invalid_request", "grant_type"),
        ({"grant_type": ""}, "invalid_request", "grant_type"),
        ({"grant_type": "authorization_code"}, "unsupported_grant_type", "client_credentials"),
        ({"client_assertion_type": None}, "invalid_client", JWT_BEARER),
        ({"client_assertion_type": "urn:other"}, "invalid_client", JWT_BEARER),
        ({"client_assertion": None}, "invalid_client", "client_assertion"),
        ({"client_id": READER}, "invalid_client", "client_id"),
        ({"scope": None}, "invalid_scope", "scope"),
        ({"scope": "   "}, "invalid_scope", "scope"),
        ({"scope": "system/Task.sr"}, "invalid_scope", "number 1"),
        ({"scope": "system/Task.rs patient/Patient.rs"}, "invalid_scope", "number 2"),
        ({"scope": "system/Task.rs?status=requested"}, "invalid_scope", "number 1"),
    ],
)
def test_a_form_that_lacks_something_is_told_what(
    place: Place, changes: dict[str, Any], error: str, word: str
):
    refused(place.ask(Machine(place).form(**changes)), error, word)


def test_only_a_form_is_read_and_not_without_end(place: Place):
    form = Machine(place).form()
    refused(
        place.ask(json.dumps(form), headers={"Content-Type": "application/json"}), "invalid_request", "form"
    )
    refused(place.ask({**form, "more": "x" * 33_000}), "invalid_request", "32768", status=413)
    refused(place.ask([*form.items(), ("scope", "system/*.rs")]), "invalid_request", "twice")
    refused(place.ask({f"f{n}": "x" for n in range(30)}), "invalid_request", "20 fields")
    bytes_ = {"Content-Type": "application/x-www-form-urlencoded"}
    refused(place.ask(b"grant_type=\xff", headers=bytes_), "invalid_request", "UTF-8")
    assert place.ask(form).status_code == 200


def test_a_page_of_another_site_gets_no_token(place: Place):
    page = {"Origin": "https://evil.example"}
    refused(place.ask(Machine(place).form(), headers=page), "invalid_request", status=403)


def test_tokens_are_asked_for_with_post(place: Place):
    answer = requests.get(place.token_url, timeout=10)
    refused(answer, "invalid_request", "POST", status=405)
    assert answer.headers["Allow"] == "POST"


def test_without_a_store_nothing_is_given(tmp_path, clock):
    with running(tmp_path, HOSPITALS, clock) as place:
        place.stage.built.store.writer.close()
        answer = place.ask(Machine(place).form())
        refused(answer, "temporarily_unavailable", status=503)
        assert answer.headers["Retry-After"]


def test_a_token_that_cannot_be_looked_up_may_come_again(tmp_path, clock):
    with running(tmp_path, HOSPITALS, clock) as place:
        known, new = Machine(place).token(), Machine(place).token()
        assert place.send(known).status_code == 200
        with place.stage.built.store.engine.execution_options(writes=True).begin() as connection:
            connection.exec_driver_sql("ALTER TABLE access_token RENAME TO gone")
        answer = place.send(new)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert place.send(known).status_code == 200  # known here already


def test_neither_log_nor_answer_holds_what_was_sent(place: Place):
    machine = Machine(place)
    assertion, jti = machine.assertion(), "21843012660"
    with capture_logs() as logged:
        token = place.ask(machine.form(assertion)).json()["access_token"]
        answers = [
            place.ask(machine.form(machine.assertion(jti=jti), scope="system/21843012660")).text,
            place.ask(machine.form(machine.assertion(iss=jti, sub=jti))).text,
            place.ask(machine.form(machine.assertion(aud=jti))).text,
        ]
    said = str(logged) + "".join(answers)
    assert [one for one in (token, assertion, jti) if one in said] == []
    kept = [(entry["outcome"], entry["partner"]) for entry in logged if entry["event"] == "token"]
    drift = f"{HOSPITAL}-drift"
    assert kept == [
        ("given", drift), ("invalid_scope", drift), ("invalid_client", None), ("invalid_client", drift),
    ]  # fmt: skip


# --- who may do what --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("system/*.rs", "system/*.rs"),
        ("system/*.read", "system/*.rs"),
        ("system/Task.cruds", "system/Task.rus"),
        ("system/Task.write system/Patient.r", "system/Task.u system/Patient.r"),
        ("system/*.*", "system/*.rs system/Task.u"),
    ],
)
def test_no_more_is_given_than_the_region_file_allows(place: Place, asked: str, given: str):
    answer = place.ask(Machine(place, client_id=READER).form(scope=asked))
    assert sorted(answer.json()["scope"].split()) == sorted(given.split())


def test_a_client_that_is_allowed_nothing_of_it_is_given_nothing(place: Place):
    form = Machine(place, client_id=READER).form(scope="system/Bundle.c")
    refused(place.ask(form), "invalid_scope", "allowed")


@pytest.mark.parametrize(
    ("scope", "status"),
    [
        ("system/Bundle.c", 200), ("system/*.c", 200), ("system/*.write", 200), ("system/Bundle.cruds", 200),
        ("system/*.rs", 403), ("system/Bundle.ruds", 403), ("system/Task.cruds", 403),
    ],
)  # fmt: skip
def test_a_message_is_sent_with_the_scope_for_it(place: Place, scope: str, status: int):
    count = len(place.rows(message))
    answer = place.send(Machine(place).token(scope))
    assert answer.status_code == status
    if status == 403:
        (issue,) = answer.json()["issue"]
        assert (issue["code"], "system/Bundle.c" in issue["diagnostics"]) == ("forbidden", True)
        assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]
        assert len(place.rows(message)) == count


def test_a_bearer_token_of_the_region_file_has_its_scopes_too(place: Place):
    assert place.send(STATIC).status_code == 403


def doorkeeper(place: Place) -> Doorkeeper:
    built = place.stage.built
    return Doorkeeper(register=built.register, tokens=Tokens(store=built.store, clock=place.clock))


def request(token: str | None = None) -> Request:
    headers = [(b"authorization", f"Bearer {token}".encode())] if token else []
    return Request({"type": "http", "headers": headers})


def test_the_doorkeeper_says_who_calls_what_they_may_and_how_they_signed_in(place: Place):
    keeper = doorkeeper(place)
    smart = keeper.caller(request(Machine(place, client_id=READER).token("system/Task.ru")))
    assert smart is not None and smart.partner is not None
    assert (smart.how, smart.partner.name, str(smart.scopes)) == (
        "smart",
        f"{READER}-drift",
        "system/Task.ru",
    )
    assert smart.may("Task", "u") and not smart.may("CarePlan", "r")
    static = keeper.caller(request(STATIC))
    assert static is not None and static.partner is not None
    assert (static.how, static.partner.name, str(static.scopes)) == ("token", "laerdal-gamal", "system/*.rs")
    assert keeper.caller(request()) is None and keeper.caller(request("A" * 43)) is None
    assert keeper.partner(request(STATIC)) == static.partner


def test_a_certificate_comes_before_a_token_and_has_the_scopes_of_its_partner(place: Place):
    known = place.stage.built.register
    limited = replace(known.partners[1], certificate_sha256=hashlib.sha256(b"der").hexdigest())
    keeper = replace(doorkeeper(place), register=replace(known, partners=(known.partners[0], limited)))
    shown = request(Machine(place).token())
    shown.scope["extensions"] = {"tls": {"client_certificate": b"der"}}
    caller = keeper.caller(shown)
    assert caller is not None and caller.partner == limited
    assert (caller.how, str(caller.scopes)) == ("certificate", "system/*.rs system/Task.u")
    shown.scope["extensions"] = {"tls": {"client_certificate": b"another"}}
    otherwise = keeper.caller(shown)
    assert otherwise is not None and otherwise.how == "smart"


def test_where_no_partner_is_named_everybody_may_do_everything(place: Place):
    keeper = replace(doorkeeper(place), register=replace(place.stage.built.register, partners=()))
    open_ = keeper.caller(request())
    assert open_ is not None
    assert (open_.how, open_.partner, str(open_.scopes)) == ("open", None, "system/*.cruds")
