"""No barrier that axe-core can find on any page, in any language, in light and dark; and what it cannot find.

axe-core is installed by `make`; what is asked of the pages is WCAG 2.2 AA, and what axe calls best practice.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from playwright.sync_api import Page as Tab

from adapter.messaging.people import Person, Role
from adapter.scheduler.deadlines import Deadlines
from adapter.web.pages import PAGES
from adapter.web.site import Page
from adapter.web.words import LANGUAGES
from tests.conftest import OSLO, StandingClock

from .browsing import FOCUS, SMALL, Browsing
from .conftest import Site, play, site
from .people import signed_in

pytestmark = pytest.mark.browser

AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
ALL = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
RUN = """async ([kind, values]) => (await axe.run(document, {
  runOnly: { type: kind, values }, resultTypes: ["violations"],
})).violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html.slice(0, 160)).join(" | ")}`)"""

EXAMPLES = {
    "/messages/{id}": ("/messages/6", "/messages/7"),
    "/deliveries/{id}": ("/deliveries/1", "/deliveries/4"),
}
"""Where a page is shown with what stands on it seldom; elsewhere its number is 1."""


def addresses(page: Page) -> tuple[str, ...]:
    return EXAMPLES.get(page.path) or (page.path.replace("{id}", "1"),)


def somebody(roles: frozenset[Role]) -> Person:
    """A person in one of these roles who sees every party's."""
    role = next(role for role in Role if role in roles)
    return Person(id=role.value, name="Kari Nord", roles=frozenset({role}), parties=None)


@pytest.fixture(scope="module")
def lively(tmp_path_factory) -> Iterator[Site]:
    """The morning of `living`, and a day later: alarms, missed deadlines, forms to record what was done."""
    clock = StandingClock(datetime(2014, 3, 3, 10, 0, tzinfo=OSLO))
    with site(tmp_path_factory.mktemp("lively"), clock) as found:
        play(found.stage, clock)
        clock.forward(days=1)
        built = found.stage.built
        Deadlines(
            store=built.store, cases=built.cases, outbox=built.outbox, register=built.register, clock=clock
        )()
        yield found


def shown(tab: Tab, found: Site, address: str) -> None:
    answer = tab.goto(found.url + address)
    assert answer is not None and answer.ok, f"{address}: {answer and answer.status}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_axe_finds_no_barrier_on_any_page(lively: Site, browsing: Browsing, language: str) -> None:
    tab = browsing.page(language=language)
    tab.context.add_init_script(path=AXE)
    found: dict[str, list[str]] = {}
    for page in PAGES:
        with signed_in(somebody(page.roles)):
            for address in addresses(page):
                shown(tab, lively, address)
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
def test_no_page_scrolls_sideways_on_a_telephone_or_at_twice_the_size(lively, browsing, width):
    """200 % on a screen of 1280 is a window of 640."""
    tab = browsing.page(width=width)
    for page in PAGES:
        with signed_in(somebody(page.roles)):
            for address in addresses(page):
                shown(tab, lively, address)
                assert tab.evaluate("document.documentElement.scrollWidth") <= width, address


@pytest.mark.parametrize("width", [360, 1280])
def test_whatever_is_pressed_is_large_enough(lively, browsing, width):
    tab = browsing.page(width=width)
    found = {}
    for page in PAGES:
        with signed_in(somebody(page.roles)):
            for address in addresses(page):
                shown(tab, lively, address)
                found[address] = tab.evaluate(SMALL)
    assert {where: what for where, what in found.items() if what} == {}


TARGETS = """() => [...document.querySelectorAll(
    "a[href], button, input:not([type=hidden]), select, summary, [tabindex='0']")]
  .filter((at) => at.checkVisibility({ visibilityProperty: true }))
  .map((at) => at.textContent.trim())"""

FURTHER = "() => window.was !== document.activeElement && ((window.was = document.activeElement), true)"
"""Whether the focus is elsewhere than before: a field for a month has three places of its own."""


def test_the_keyboard_alone_reaches_everything_and_shows_where_it_is(lively, browsing):
    """Each page from its top to its end with the tabulator: no trap, nothing left out, each place visible."""
    tab = browsing.page(height=900)
    for page in PAGES:
        with signed_in(somebody(page.roles)):
            for address in addresses(page):
                shown(tab, lively, address)
                targets, reached = tab.evaluate(TARGETS), []
                while len(reached) < len(targets):
                    tab.keyboard.press("Tab")
                    if not tab.evaluate(FURTHER):
                        continue
                    where, *outline = tab.evaluate(FOCUS)
                    assert outline == ["solid", "3px"], (address, where)
                    reached.append(where)
                assert reached == targets, address


def test_with_reduced_motion_nothing_moves(lively, browsing):
    tab = browsing.page(motion="reduce")
    moving = """() => document.getAnimations().length + [...document.querySelectorAll("*")].filter((at) =>
      parseFloat(getComputedStyle(at).transitionDuration) > 0.01).length"""
    for page in PAGES:
        with signed_in(somebody(page.roles)):
            for address in addresses(page):
                shown(tab, lively, address)
                assert tab.evaluate(moving) == 0, address
