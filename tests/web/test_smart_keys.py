"""Where a partner's public keys come from: the address in the region file, asked seldom, and no other."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from pytest_httpserver import HTTPServer
from werkzeug import Response

from adapter.runtime import now
from adapter.web.smart.keys import LARGEST as LARGEST_KEYS

from .smart import (
    EC_KEY,
    HOSPITAL,
    HOSPITALS,
    OTHER_EC_KEY,
    RSA_KEY,
    Machine,
    Place,
    jwk,
    partner,
    refused,
    running,
)


@dataclass
class Published:
    """A partner's JWK Set at an address, which it may change."""

    server: HTTPServer
    keys: list[dict[str, Any]]
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200
    body: bytes | None = None
    asked: int = 0
    hold: threading.Event | None = None

    def answer(self, _request: Any) -> Response:
        self.asked += 1
        if self.hold is not None:
            self.hold.wait(5)
        body = self.body if self.body is not None else json.dumps({"keys": self.keys}).encode()
        return Response(body, self.status, self.headers, content_type="application/json")

    @property
    def url(self) -> str:
        return str(self.server.url_for("/jwks.json"))


@pytest.fixture
def published(httpserver: HTTPServer) -> Published:
    made = Published(server=httpserver, keys=[jwk(EC_KEY, "ec-1")])
    httpserver.expect_request("/jwks.json").respond_with_handler(made.answer)
    return made


@pytest.fixture
def fetching(tmp_path, clock, published: Published) -> Iterator[Place]:
    with running(
        tmp_path, partner(HOSPITAL, "laerdal-sjukehus", f'jwks_url = "{published.url}"'), clock
    ) as it:
        yield it


def test_published_keys_are_fetched_once_and_kept(fetching: Place, published: Published):
    for _ in range(3):
        Machine(fetching).token()
    assert published.asked == 1
    fetching.clock.forward(minutes=59)
    Machine(fetching).token()
    assert published.asked == 1
    fetching.clock.forward(minutes=1)
    Machine(fetching).token()
    assert published.asked == 2


def test_a_partner_may_change_its_key_and_is_asked_at_most_once_a_minute(
    fetching: Place, published: Published
):
    Machine(fetching).token()
    published.keys = [jwk(OTHER_EC_KEY, "ec-2"), jwk(RSA_KEY, "for-something-else", use="enc")]
    renewed = Machine(fetching, key=OTHER_EC_KEY, kid="ec-2")
    refused(fetching.ask(renewed.form()), "invalid_client", "kid")
    assert published.asked == 1
    fetching.clock.forward(seconds=60)
    renewed.token()
    assert published.asked == 2
    refused(
        fetching.ask(Machine(fetching).form()), "invalid_client", "kid"
    )  # the old one has been taken away
    for _ in range(3):
        refused(fetching.ask(Machine(fetching, kid="none").form()), "invalid_client", "kid")
    assert published.asked == 2


@pytest.mark.parametrize("said", ["no-store", "max-age=120", "private, max-age=120"])
def test_keys_are_kept_no_longer_than_their_publisher_allows(
    fetching: Place, published: Published, said: str
):
    published.headers = {"Cache-Control": said}
    Machine(fetching).token()
    fetching.clock.forward(seconds=59)
    Machine(fetching).token()
    assert published.asked == 1
    fetching.clock.forward(seconds=61)
    published.keys = [jwk(OTHER_EC_KEY, "ec-2")]
    refused(fetching.ask(Machine(fetching).form()), "invalid_client", "kid")
    assert published.asked == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"status": 500}, "HTTP 500"),
        ({"status": 302, "headers": {"Location": "{server}/moved.json"}}, "HTTP 302"),
        ({"body": b"<html>"}, "is not valid JSON"),
        ({"body": b'{"keys": {}}'}, "is no JWK Set"),
        ({"body": b'{"keys": []}'}, "has no key in it"),
        ({"body": b" " * (LARGEST_KEYS + 1)}, "longer than we read"),
        ({"keys": [jwk(EC_KEY, "ec-1", d="AAAA")]}, "has a private part"),
        ({"keys": [jwk(EC_KEY, "ec-1", use="enc")]}, "is not for signatures"),
    ],
)
def test_where_the_keys_cannot_be_had_the_client_is_told_why(
    fetching: Place, published: Published, changes: dict[str, Any], words: str
):
    moved = []
    published.server.expect_request("/moved.json").respond_with_handler(
        lambda r: moved.append(r) or Response()
    )
    for name, value in changes.items():
        setattr(published, name, value)
    if published.headers:
        published.headers = {"Location": published.server.url_for("/moved.json")}
    said = refused(fetching.ask(Machine(fetching).form()), "invalid_client", "jwks_url", words)
    assert published.url not in said
    assert not moved
    fetching.ask(Machine(fetching).form())
    assert published.asked == 1


def test_an_address_where_nobody_answers_is_told_without_the_address(tmp_path, clock):
    nowhere = partner(HOSPITAL, "laerdal-sjukehus", 'jwks_url = "http://127.0.0.1:1/jwks.json"')
    with running(tmp_path, nowhere, clock) as place:
        said = refused(place.ask(Machine(place).form()), "invalid_client", "jwks_url")
        assert "127.0.0.1" not in said


def test_while_the_keys_address_is_down_known_keys_are_used_for_a_day(fetching: Place, published: Published):
    Machine(fetching).token()
    published.status = 503
    fetching.clock.forward(hours=23)
    Machine(fetching).token()
    assert published.asked == 2
    fetching.clock.forward(hours=1)
    refused(fetching.ask(Machine(fetching).form()), "invalid_client", "HTTP 503")
    published.status = 200
    fetching.clock.forward(minutes=1)
    Machine(fetching).token()


def test_those_who_come_while_keys_are_fetched_wait_for_the_same_answer(
    fetching: Place, published: Published
):
    published.hold = threading.Event()
    with ThreadPoolExecutor(20) as pool:
        waiting = [pool.submit(fetching.ask, Machine(fetching).form()) for _ in range(20)]
        turned_away = []
        while len(turned_away) < 4:  # beyond sixteen, nobody waits
            turned_away = [one.result() for one in waiting if one.done()]
        assert {one.status_code for one in turned_away} == {429}
        assert all(one.headers["Retry-After"] for one in turned_away)
        page = requests.get(f"{fetching.url}/healthz", timeout=2)  # and nobody else does
        assert page.status_code == 200
        published.hold.set()
        assert sorted(one.result().status_code for one in waiting) == [200] * 16 + [429] * 4
    assert published.asked == 1


def test_keys_are_never_fetched_from_an_address_in_the_message(fetching: Place, published: Published):
    asked = []
    own = Response(json.dumps({"keys": [jwk(OTHER_EC_KEY, "ec-1")]}))
    published.server.expect_request("/own.json").respond_with_handler(lambda r: asked.append(r) or own)
    stranger = Machine(fetching, key=OTHER_EC_KEY)
    jku = {"jku": published.server.url_for("/own.json")}
    refused(fetching.ask(stranger.form(stranger.assertion(jku))), "invalid_client", "jku")
    refused(fetching.ask(Machine(fetching).form(Machine(fetching).assertion(jku))), "invalid_client", "jku")
    x5u = {"x5u": published.server.url_for("/own.json")}
    refused(fetching.ask(stranger.form(stranger.assertion(x5u))), "invalid_client", "signature")
    registered = Machine(fetching).assertion({"jku": published.url})
    assert fetching.ask(Machine(fetching).form(registered)).status_code == 200
    assert not asked


def test_a_jku_of_a_client_whose_keys_are_in_the_region_file_is_no_registered_address(tmp_path, clock):
    with running(tmp_path, HOSPITALS, clock) as place:
        jku = Machine(place).assertion({"jku": "https://elsewhere.example/jwks.json"})
        refused(place.ask(Machine(place).form(jku)), "invalid_client", "jku")


# --- as a partner is told ---------------------------------------------------------------------------------

PAGE = Path(__file__).parents[2] / "docs" / "onboarding-a-partner.md"


def shown(marker: str) -> str:
    (found,) = re.findall(rf"<!-- {marker} -->\n```\w+\n(.*?)```\n", PAGE.read_text(), re.DOTALL)
    return str(found)


def test_a_partner_that_does_as_the_page_shows_gets_a_token(tmp_path: Path, published: Published):
    def run(code: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, env=os.environ, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    published.keys = [json.loads(run(shown("smart-key")))]
    entry = shown("smart-partner").replace("https://omsorg.laerdal.example/jwks.json", published.url)
    with running(tmp_path, entry, now) as place:
        client = shown("smart-client").replace("https://adapter.example", place.url)
        given = json.loads(run(f"{client}\nimport json\nprint(json.dumps(answer))"))
    assert (given["token_type"], given["expires_in"]) == ("bearer", 300)
    assert given["scope"] == "system/*.rs system/Bundle.c"
