"""The region of Indre Sogn behind a real server on loopback; only the far ends are made up."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests
from lxml import html

from adapter.config import Region, Settings
from adapter.config.people import SessionSettings
from adapter.discharge.notices import NoticeKind
from adapter.mappings import own_fhir
from adapter.messaging.acknowledgement import Status, Verdict
from adapter.messaging.delivery import Reply
from adapter.messaging.people import Person, Role
from adapter.messaging.register import Endpoint, Partner
from adapter.messaging.scopes import ALL, parse
from adapter.runtime import Adapter, stations
from adapter.transport import Outgoing
from tests.conftest import OSLO, StandingClock
from tests.people import PASSWORD, people_file
from tests.stage import SYNNOVE, TORBJORN, FakePost, Stage, failing, region, taken

if TYPE_CHECKING:  # other tests need no browser
    from playwright.sync_api import Browser

    from .browsing import Browsing

TOKENS = {"helse-foerde": "open-sesame-foerde", "luster-drift": "open-sesame-luster"}
ASE = replace(SYNNOVE, given="Åse", identifiers=(), birth_date=date(1931, 5, 2))  # no number is known
FOR_EVER = timedelta(days=36500)
SCRIPT = "<script>alert('Sogn')</script>"


def in_english(more: dict[str, object]) -> dict[str, object]:
    """A request with a browser that wants English, unless it says what it wants."""
    given = more.get("headers") or {}
    assert isinstance(given, dict)
    return {**more, "headers": {"Accept-Language": "en", **given}}


@dataclass
class Site:
    """A running adapter, the stage behind it, and who looks: an operator, unless somebody else is said."""

    url: str
    stage: Stage
    adapter: Adapter
    cookies: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, **more: object) -> requests.Response:
        return self._asked("GET", path, more)

    def post(self, path: str, **more: object) -> requests.Response:
        return self._asked("POST", path, more)

    def _asked(self, method: str, path: str, more: dict[str, object]) -> requests.Response:
        given = in_english({"timeout": 10, "cookies": self.cookies} | more)
        return requests.request(method, self.url + path, **given)  # type: ignore[arg-type]

    def seen_by(self, who: Person | Role | str) -> "Site":
        """The same as somebody else sees it: a person of the people file, or in an open house a role."""
        return replace(self, cookies={"session": signed_in(self.url, who)})

    def seen_by_nobody(self) -> "Site":
        """The same for those who have not signed in."""
        return replace(self, cookies={})

    def token(self, path: str) -> str:
        """What a form on that page carries."""
        return str(html.fromstring(self.get(path).content).xpath("//input[@name='token']/@value")[0])

    def look(self, query: Callable[..., object], *arguments: object, **more: object) -> object:
        with self.stage.built.store.read() as connection:
            return query(connection, *arguments, **more)


def signed_in(url: str, who: Person | Role | str) -> str:
    """Sign in by the form; returns the session's cookie."""
    form = {"name": who.id, "password": PASSWORD} if isinstance(who, Person) else {"as": str(who)}
    answer = requests.post(f"{url}/sign-in", data=form, allow_redirects=False, timeout=10)
    assert answer.status_code == 303, answer.text
    return answer.cookies["session"]


@contextmanager
def site(
    folder: Path,
    clock: StandingClock,
    *,
    evaluation: bool = False,
    of: Region | None = None,
    scopes: str | None = None,
    others: tuple[Partner, ...] = (),
    people: tuple[Person, ...] = (),
    sign_in: bool = True,
    **settings: object,
) -> Iterator[Site]:
    """An adapter on a free port with partners of Helse Førde, Luster and others; nothing moves by itself.

    Without `people` everybody comes in by one click, and looks as an operator; with them, as the first.
    """
    usual: dict[str, object] = {
        "store": f"sqlite:///{folder}/store.db",
        "port": 0,
        "sessions": SessionSettings(idle=FOR_EVER, longest=FOR_EVER),  # the clock of a test may leap
    }
    if people:
        usual["people"] = people_file(folder / "people.toml", people)
    chosen = Settings(**(usual | settings))  # type: ignore[arg-type]
    known = of or region()
    parties = {"helse-foerde": ("laerdal-sjukehus",), "luster-drift": ("luster",)}
    partners = tuple(
        Partner(
            name=name,
            parties=parties[name],
            token_sha256=hashlib.sha256(token.encode()).hexdigest(),
            scopes=parse(scopes) if scopes is not None else ALL,
        )
        for name, token in TOKENS.items()
    )
    known = known.model_copy(update={"register_": replace(known.register_, partners=(*partners, *others))})
    built = stations(chosen, region=None if evaluation else known, clock=clock)
    post = FakePost(answer=taken())
    transports = dict.fromkeys(("fhir", "directory", "webhook"), post)
    outbox = replace(built.outbox, transports=transports, jitter=lambda: 0.0)
    built = replace(built, outbox=outbox, inbox=replace(built.inbox, outbox=outbox))
    adapter = Adapter(built, role="web")
    url = adapter.start()
    assert url is not None
    try:
        made = Site(url=url, stage=Stage(built=built, post=post, clock=clock), adapter=adapter)
        yield made.seen_by(people[0] if people else Role.OPERATIONS) if sign_in else made
    finally:
        adapter.stop()


def receipting(message: Outgoing, _endpoint: Endpoint) -> Reply:
    """A receiver that gives its receipt in the response."""
    envelope = own_fhir.read(message.content, content_type=None, zone=UTC).envelope
    at = datetime(2014, 3, 3, 9, 0, 5, tzinfo=UTC)
    verdict = Verdict(status=Status.ACCEPTED, at=at, id=f"receipt-{message.message_id}")
    body = own_fhir.acknowledge(envelope, verdict) or b""  # a receipt is not receipted
    media = "application/fhir+json"
    return Reply(status=200, taken=True, delivered=True, body=body, content_type=media, ms=4.2)


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """Chromium, for the tests of one file."""
    from .browsing import chromium

    with chromium() as started:
        yield started


@pytest.fixture
def browsing(browser: "Browser") -> "Iterator[Browsing]":
    """Pages for one test; it fails where the browser complains of something."""
    from .browsing import Browsing

    made = Browsing(browser=browser)
    yield made
    made.close()
    assert made.complaints() == []


@pytest.fixture(scope="module")
def living(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A morning: a receipt given, two awaited, a municipality down, messages held and refused."""
    clock = StandingClock(datetime(2014, 3, 3, 10, 0, tzinfo=OSLO))
    with site(tmp_path_factory.mktemp("living"), clock) as found:
        play(found.stage, clock)
        yield found


def play(stage: Stage, clock: StandingClock) -> None:
    def tell(kind: NoticeKind, **more: object) -> None:
        done = stage.receive(stage.message(kind, **more), channel="http")  # type: ignore[arg-type]
        assert done.outcome == "accepted", done.reason
        clock.forward(minutes=1)

    stage.post.answer = receipting
    tell(NoticeKind.ADMITTED, receivers=("sogndal",))
    stage.deliver()
    stage.post.answer = taken()
    tell(NoticeKind.READY_FOR_DISCHARGE, receivers=("sogndal",), ready=clock())
    tell(NoticeKind.ADMITTED, receivers=("aardal",), subject=TORBJORN, encounter="LS-2")
    stage.deliver()
    stage.post.answer = failing(503, error="HTTP 503")
    tell(NoticeKind.CARE_NEEDS, receivers=("luster",), subject=ASE)
    stage.deliver()
    stranger = (Path(__file__).parents[2] / "fixtures" / "fhir" / "admitted" / "message.json").read_bytes()
    held = stage.receive(stranger, channel="http")
    assert held.outcome == "quarantined", held.reason
    for content in (f"<a>{SCRIPT}</a>".encode(), b'{"not": json', b"\x00\x01 \xe6 <b>"):
        assert stage.receive(content, channel="http").outcome == "refused"
