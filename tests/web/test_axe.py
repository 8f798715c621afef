"""No barrier that axe-core can find on any page, in any language, in light and dark; and what it cannot find.

axe-core is installed by `make`; what is asked of the pages is WCAG 2.2 AA, and what axe calls best practice.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
from lxml import html
from playwright.sync_api import Page as Tab
from sqlalchemy import Connection

from adapter.bulks import Bulks
from adapter.messaging.people import Person, Role
from adapter.scheduler.deadlines import Deadlines
from adapter.store import deliveries
from adapter.web.pages import PAGES
from adapter.web.site import Page
from adapter.web.words import LANGUAGES
from tests.conftest import OSLO, StandingClock

from .browsing import FOCUS, SMALL, Browsing
from .conftest import Site, play, site
from .looking import at_the_door
from .test_stay import a_stroke

pytestmark = pytest.mark.browser

AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
ALL = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
RUN = """async ([kind, values]) => (await axe.run(document, {
  runOnly: { type: kind, values }, resultTypes: ["violations"],
})).violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html.slice(0, 160)).join(" | ")}`)"""

FILES = ("/stays/{id}/attachments/{kind}/{name}/{place}", "/figures/{name}.csv", "/figures/{name}.svg")
"""What is saved, or a picture that a page shows too."""

TWO = ("/stays/{id}", "/deliveries/{id}", "/messages/{id}")
"""Pages that look rather different from one to the next."""


@dataclass(frozen=True)
class Visit:
    """One page as one person has it."""

    person: Person
    address: str


def somebody(roles: frozenset[Role], turn: int = 0) -> Person:
    """A person in one of these roles, each in its turn, who sees every party's."""
    having = [role for role in Role if role in roles]
    role = having[2 * turn % len(having)]
    return Person(id=role.value, name="Kari Nord", roles=frozenset({role}), parties=None)


def page_at(path: str) -> Page | None:
    """The page that has such an address."""
    patterns = ((page, re.sub(r"\{\w+\}", "[^/]+", page.path)) for page in PAGES)
    return next((page for page, pattern in patterns if re.fullmatch(pattern, path)), None)


def visits(found: Site) -> list[Visit]:
    """Every page, as it is come to by the links of the others; what none leads to is that of number 1."""
    waiting = [Visit(somebody(page.roles), page.path) for page in PAGES if "{" not in page.path]
    known = Counter(visit.address for visit in waiting)
    chosen = []
    while waiting:
        visit = waiting.pop(0)
        with at_the_door(visit.person):
            answer = found.get(visit.address, headers={"Accept-Language": "en"})
        if not answer.headers["Content-Type"].startswith("text/html"):
            continue
        chosen.append(visit)
        tree = html.fromstring(answer.content)
        for href in tree.xpath("//main//a/@href"):
            path = href.partition("#")[0].partition("?")[0]
            page = page_at(path)
            most = 2 if page is not None and page.path in TWO else 1
            if page is None or page.path in FILES or known[page.path] >= most or known[path]:
                continue
            known[page.path] += 1
            known[path] += 1
            waiting.append(Visit(somebody(page.roles, known[page.path] - 1), path))
    unlinked = [page for page in PAGES if not known[page.path] and page.path not in FILES]
    return chosen + [Visit(somebody(page.roles), page.path.replace("{id}", "1")) for page in unlinked]


@pytest.fixture(scope="module")
def lively(tmp_path_factory) -> Iterator[Site]:
    """The morning of `living`, and a day later: alarms, missed deadlines, forms to record what was done."""
    clock = StandingClock(datetime(2014, 3, 3, 10, 0, tzinfo=OSLO))
    with site(tmp_path_factory.mktemp("lively"), clock) as found:
        play(found.stage, clock)
        a_stroke(found.stage, clock)
        built = found.stage.built
        Deadlines(
            store=built.store, cases=built.cases, outbox=built.outbox, register=built.register, clock=clock
        )()
        built.store.write(lambda tx: _many(tx, Bulks(inbox=built.inbox), clock()))
        yield found


def _many(tx: Connection, bulks: Bulks, now: datetime) -> int:
    """An action on many that waits to be confirmed."""
    some = deliveries.listed(tx, limit=3)
    return bulks.prepare(tx, "resend", some, now, by="Kari", person="kari", why="prøve", chosen="")


@pytest.fixture(scope="module")
def everything(lively: Site) -> list[Visit]:
    return visits(lively)


def walked(tab: Tab, found: Site, visited: list[Visit]) -> Iterator[str]:
    """Each page in turn, open in the tab; its address."""
    for visit in visited:
        with at_the_door(visit.person):
            answer = tab.goto(found.url + visit.address)
            assert answer is not None and answer.ok, f"{visit.address}: {answer and answer.status}"
            yield visit.address


IN_SOAK = ("nn", "sv", "da", "en")
"""Languages whose pages are looked at in the long run: they have the templates of bokmål."""


@pytest.mark.parametrize(
    "language",
    [pytest.param(one, marks=pytest.mark.soak if one in IN_SOAK else ()) for one in LANGUAGES],
)
def test_axe_finds_no_barrier_on_any_page(
    lively: Site, everything: list[Visit], browsing: Browsing, language: str
) -> None:
    browsing.expect("403")  # of what a page still asks for, when somebody else is at the door already
    tab = browsing.page(language=language)
    tab.context.add_init_script(path=AXE)
    found: dict[str, list[str]] = {}
    for address in walked(tab, lively, everything):
        found[address] = tab.evaluate(RUN, ["tag", ALL])
        tab.emulate_media(color_scheme="dark")
        found[f"{address} in the dark"] = tab.evaluate(RUN, ["rule", ["color-contrast"]])
        tab.emulate_media(color_scheme="light")
    barriers = {where: what for where, what in found.items() if what}
    assert barriers == {}, json.dumps(barriers, indent=1, ensure_ascii=False)


def test_axe_finds_no_barrier_where_there_is_no_page(lively: Site, browsing: Browsing) -> None:
    browsing.expect("404")
    tab = browsing.page()
    tab.context.add_init_script(path=AXE)
    tab.goto(f"{lively.url}/nowhere")
    assert tab.evaluate(RUN, ["tag", ALL]) == []


@pytest.mark.parametrize("width", [360, 640])
def test_no_page_scrolls_sideways_on_a_telephone_or_at_twice_the_size(lively, everything, browsing, width):
    """200 % on a screen of 1280 is a window of 640."""
    tab = browsing.page(width=width)
    for address in walked(tab, lively, everything):
        assert tab.evaluate("document.documentElement.scrollWidth") <= width, address


@pytest.mark.parametrize("width", [360, 1280])
def test_whatever_is_pressed_is_large_enough(lively, everything, browsing, width):
    tab = browsing.page(width=width)
    found = {}
    for address in walked(tab, lively, everything):
        found[address] = tab.evaluate(SMALL)
    assert {where: what for where, what in found.items() if what} == {}


TARGETS = """() => [...document.querySelectorAll(
    "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']")]
  .filter((at) => at.checkVisibility({ visibilityProperty: true }))
  .map((at) => at.textContent.trim())"""

FURTHER = "() => window.was !== document.activeElement && ((window.was = document.activeElement), true)"
"""Whether the focus is elsewhere than before: a field for a month has three places of its own."""


def test_the_keyboard_alone_reaches_everything_and_shows_where_it_is(lively, everything, browsing):
    """Each page from its top to its end with the tabulator: no trap, nothing left out, each place visible."""
    tab = browsing.page(height=900)
    for address in walked(tab, lively, everything):
        targets, reached = tab.evaluate(TARGETS), []
        while len(reached) < len(targets):
            tab.keyboard.press("Tab")
            if not tab.evaluate(FURTHER):
                continue
            where, *outline = tab.evaluate(FOCUS)
            assert outline == ["solid", "3px"], (address, where)
            reached.append(where)
        assert reached == targets, address


def test_with_reduced_motion_nothing_moves(lively, everything, browsing):
    tab = browsing.page(motion="reduce")
    moving = """() => document.getAnimations().length + [...document.querySelectorAll("*")].filter((at) =>
      parseFloat(getComputedStyle(at).transitionDuration) > 0.01).length"""
    for address in walked(tab, lively, everything):
        assert tab.evaluate(moving) == 0, address
