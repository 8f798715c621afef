"""Signing in by OpenID Connect, over real HTTP with real keys; and a provider that lies."""

import time
from datetime import datetime
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
import requests
from lxml import html

from adapter.config.people import OidcSettings
from adapter.messaging.people import Role
from tests.conftest import OSLO, StandingClock
from tests.openid_server import CLIENT, SECRET, OpenIdServer, key_pair
from tests.web.conftest import Site, site

KARI = {"name": "Kari Bø", "roles": ["SG-Coordinator"], "org": {"unit": "4643-home-care"}}
ROLES = {"SG-Coordinator": Role.MUNICIPALITY, "SG-Operator": Role.OPERATIONS, "SG-Ward": Role.WARD}
PUBLIC = "http://127.0.0.1:8425"  # where the browser is sent back to; the test takes it to the port there is


@pytest.fixture(scope="module")
def clock():
    return StandingClock(datetime(2014, 3, 3, 10, 0, tzinfo=OSLO))


@pytest.fixture(scope="module")
def provider(clock):
    with OpenIdServer(clock=clock, redirect_uri=f"{PUBLIC}/sign-in/back") as found:
        yield found


@pytest.fixture(scope="module")
def place(tmp_path_factory, clock, provider):
    oidc = OidcSettings(
        issuer=provider.issuer,
        client_id=CLIENT,
        client_secret=SECRET,
        label="Sogn ID",
        roles_claim="roles",
        parties_claim="org.unit",
        roles=ROLES,
        parties={"4643-home-care": "luster", "laerdal-ward": "laerdal-sjukehus"},
    )
    folder = tmp_path_factory.mktemp("oidc")
    with site(folder, clock, sign_in=False, oidc=oidc, public_url=PUBLIC) as found:
        yield found


@pytest.fixture(autouse=True)
def honest(provider):
    provider.claims, provider.lie, provider.sign = dict(KARI), lambda claims: claims, None
    provider.down, provider.told = False, {}


def here(place: Site, address: str) -> str:
    """The way back as the browser of the test can follow it."""
    return address.replace(PUBLIC, place.url)


def begun(place: Site, to: str = "/") -> tuple[requests.Session, str]:
    """A browser that has been to the provider, and the address that it was sent back to."""
    browser = requests.Session()
    sent = browser.get(f"{place.url}/sign-in/openid", params={"to": to}, allow_redirects=False, timeout=10)
    assert sent.status_code == 303, sent.text
    back = browser.get(sent.headers["Location"], allow_redirects=False, timeout=10)
    return browser, here(place, back.headers["Location"])


def finished(browser: requests.Session, address: str) -> requests.Response:
    return browser.get(address, allow_redirects=False, timeout=10)


def said(answer: requests.Response) -> str:
    return " ".join(" ".join(html.fromstring(answer.text).xpath("//*[@role='alert']")[0].itertext()).split())


def test_somebody_whom_the_provider_vouches_for_comes_in_with_role_and_party(place):
    browser, address = begun(place, "/emergency")
    answer = finished(browser, address)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/emergency")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie
    shown = browser.get(f"{place.url}/emergency", timeout=10, headers={"Accept-Language": "en"})
    assert shown.status_code == 200
    assert "Kari Bø" in shown.text and "Municipality" in shown.text
    with place.stage.built.store.read() as tx:
        from sqlalchemy import select

        from adapter.store.tables import session

        rows = tx.execute(select(session)).mappings().all()
    assert any(row["person"].endswith("|248289761001") and '"luster"' in row["about"] for row in rows)
    start = browser.get(f"{place.url}/", allow_redirects=False, timeout=10)
    assert start.headers["Location"] == "/municipality"


def test_the_page_offers_the_provider_and_nothing_else(place):
    text = place.get("/sign-in", headers={"Accept-Language": "en"}).text
    assert "Sign in with Sogn ID" in text
    assert 'name="password"' not in text and 'name="as"' not in text
    assert place.post("/sign-in", data={"as": "operations"}).status_code == 401


def test_the_request_carries_challenge_state_and_nonce_that_differ_each_time(place):
    asked = []
    for _ in range(2):
        sent = place.get("/sign-in/openid", allow_redirects=False).headers["Location"]
        asked.append({name: values[0] for name, values in parse_qs(urlsplit(sent).query).items()})
    for name in ("state", "nonce", "code_challenge"):
        assert len(asked[0][name]) >= 43
        assert asked[0][name] != asked[1][name]
    assert asked[0]["scope"] == "openid profile"


def ahead(claims: dict, seconds: int) -> dict:
    return claims | {"iat": claims["iat"] + seconds, "exp": claims["exp"] + seconds}


@pytest.mark.parametrize(
    "lie",
    [
        lambda claims: claims | {"nonce": "another"},
        lambda claims: {k: v for k, v in claims.items() if k != "nonce"},
        lambda claims: claims | {"aud": "another-client"},
        lambda claims: claims | {"aud": [CLIENT, "another-client"]},  # and no azp
        lambda claims: claims | {"azp": "another-client"},
        lambda claims: claims | {"iss": "https://another.example"},
        lambda claims: ahead(claims, -3600),
        lambda claims: ahead(claims, 3600),
        lambda claims: claims | {"nbf": claims["iat"] + 3600},
        lambda claims: claims | {"exp": "tomorrow"},
        lambda claims: claims | {"exp": True},
        lambda claims: {k: v for k, v in claims.items() if k != "exp"},
        lambda claims: {k: v for k, v in claims.items() if k != "sub"},
        lambda claims: claims | {"sub": ""},
        lambda claims: claims | {"sub": "x" * 256},
    ],
)
def test_a_token_that_is_not_for_us_and_now_is_not_believed(place, provider, lie):
    provider.lie = lie
    answer = finished(*begun(place))
    assert answer.status_code == 403
    assert "session=" not in answer.headers["Set-Cookie"].replace("signing-in=", "")


def unsigned(_: OpenIdServer, claims: dict) -> str:
    return jwt.encode(claims, None, algorithm="none")


def by_another_key(server: OpenIdServer, claims: dict) -> str:
    return jwt.encode(claims, key_pair(), algorithm="RS256", headers={"kid": server.kid})


def by_our_secret(server: OpenIdServer, claims: dict) -> str:
    return jwt.encode(claims, SECRET * 4, algorithm="HS256", headers={"kid": server.kid})


def by_an_algorithm_that_is_not_allowed(server: OpenIdServer, claims: dict) -> str:
    return jwt.encode(claims, server.key, algorithm="RS512", headers={"kid": server.kid})


def of_an_unknown_name(server: OpenIdServer, claims: dict) -> str:
    return jwt.encode(claims, server.key, algorithm="RS256", headers={"kid": "unknown"})


def changed_afterwards(server: OpenIdServer, claims: dict) -> str:
    head, _, seal = server.signed(claims).split(".")
    body = server.signed(claims | {"roles": ["SG-Operator"]}).split(".")[1]
    return f"{head}.{body}.{seal}"


@pytest.mark.parametrize(
    "sign",
    [
        unsigned, by_another_key, by_our_secret, by_an_algorithm_that_is_not_allowed, of_an_unknown_name,
        changed_afterwards, lambda *_: "no token", lambda *_: "", lambda *_: 17,
    ],
)  # fmt: skip
def test_a_token_that_the_provider_has_not_signed_is_not_believed(place, provider, sign):
    provider.sign = sign
    answer = finished(*begun(place))
    assert answer.status_code == 403
    assert "cannot be trusted" in said(requests.get(begun(place)[1] + "x", timeout=10)) or answer.text


def test_a_new_key_of_the_provider_is_fetched(place, provider):
    assert finished(*begun(place)).status_code == 303
    provider.key, provider.kid = key_pair(), "second"
    assert finished(*begun(place)).status_code == 303


def test_another_state_or_another_browser_is_turned_away(place):
    browser, address = begun(place)
    query = parse_qs(urlsplit(address).query)
    assert finished(browser, address.replace(query["state"][0], "x" * 43)).status_code == 403
    browser, address = begun(place)
    other, _ = begun(place)
    assert finished(other, address).status_code == 403
    assert finished(requests.Session(), address).status_code == 403
    forged = requests.Session()
    forged.cookies.set("signing-in", "e30.forged", path="/sign-in/back")
    assert finished(forged, address).status_code == 403


def test_a_code_is_good_once(place, provider):
    browser, address = begun(place)
    kept = browser.cookies.get_dict()
    assert finished(browser, address).status_code == 303
    again = requests.get(address, cookies=kept, allow_redirects=False, timeout=10)
    assert again.status_code == 403
    assert "did not let you in" in said(
        requests.get(address, cookies=kept, headers={"Accept-Language": "en"}, timeout=10)
    )


def test_a_sign_in_that_took_too_long_begins_again(place, clock):
    browser, address = begun(place)
    before = clock()
    clock.forward(minutes=11)
    assert finished(browser, address).status_code == 403
    clock.at = before


@pytest.mark.parametrize(
    "claims",
    [
        {"roles": ["SG-Unknown"]},
        {"roles": []},
        {"roles": None},
        {"roles": {"SG-Operator": True}},
        {"roles": ["SG-Coordinator"], "org": {"unit": "unknown"}},
        {"roles": ["SG-Coordinator"], "org": {"unit": "laerdal-ward"}},  # a hospital is no municipality
        {"roles": "operations"},  # our own word, where the settings say which words count
    ],
)
def test_somebody_without_a_role_here_is_told_so_and_not_let_in(place, provider, claims):
    provider.claims = KARI | claims
    browser, address = begun(place)
    answer = browser.get(address, headers={"Accept-Language": "en"}, allow_redirects=False, timeout=10)
    assert answer.status_code == 403
    assert "you have no role here" in said(answer)
    assert "session" not in browser.cookies


def test_a_role_counts_only_with_a_party_of_its_kind(place, provider):
    provider.claims = KARI | {"roles": ["SG-Ward", "SG-Coordinator"]}
    browser, address = begun(place)
    assert finished(browser, address).status_code == 303
    assert browser.get(f"{place.url}/", allow_redirects=False, timeout=10).headers["Location"] == (
        "/municipality"
    )


def test_an_answer_of_another_provider_is_not_taken(place, provider):
    browser, address = begun(place)
    mixed = address.replace(f"iss={provider.issuer.replace(':', '%3A').replace('/', '%2F')}", "iss=https://x")
    assert mixed != address
    assert finished(browser, mixed).status_code == 403


def test_a_refusal_is_told_in_plain_words(place):
    browser, address = begun(place)
    state = parse_qs(urlsplit(address).query)["state"][0]
    answer = browser.get(
        f"{place.url}/sign-in/back",
        params={"error": "access_denied", "error_description": "<script>", "state": state},
        headers={"Accept-Language": "nb"},
        timeout=10,
    )
    assert answer.status_code == 403
    assert "slapp deg ikke inn" in said(answer)
    assert "<script>" not in answer.text.split("<main")[1]


def test_a_way_on_that_leads_elsewhere_leads_home(place):
    for to in ("https://evil.example/", "//evil.example/", "/\\evil.example", "/sign-out"):
        assert finished(*begun(place, to)).headers["Location"] == "/", to


def test_a_provider_that_does_not_answer_holds_up_nobody(tmp_path, clock):
    with OpenIdServer(clock=clock, redirect_uri=f"{PUBLIC}/sign-in/back") as silent:
        silent.down = True
        oidc = OidcSettings(issuer=silent.issuer, client_id=CLIENT, client_secret=SECRET)
        with site(tmp_path, clock, sign_in=False, oidc=oidc, public_url=PUBLIC) as found:
            began = time.monotonic()
            answer = found.get("/sign-in/openid", headers={"Accept-Language": "en"})
            assert answer.status_code == 503 and "does not answer" in said(answer)
            assert time.monotonic() - began < 5
            silent.down, silent.told = False, {"issuer": "https://another.example"}
            answer = found.get("/sign-in/openid", headers={"Accept-Language": "en"})
            assert "cannot be trusted" in said(answer)
            silent.told = {"authorization_endpoint": "http://far.example/authorize"}
            answer = found.get("/sign-in/openid", headers={"Accept-Language": "en"})
            assert "cannot be trusted" in said(answer)
