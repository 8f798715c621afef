"""No barrier that axe-core can find on any page, in any language, in light and dark; and what it cannot find.

axe-core is installed by `make`; what is asked of the pages is WCAG 2.2 AA, and what axe calls best practice.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page as Tab

from adapter.web.words import LANGUAGES

from .browsing import FOCUS, SMALL, Browsing
from .conftest import Site
from .looking import at_the_door
from .visiting import Visit, a_lively_morning, visits

pytestmark = pytest.mark.browser

AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
ALL = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
RUN = """async ([kind, values]) => (await axe.run(document, {
  runOnly: { type: kind, values }, resultTypes: ["violations"],
})).violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html.slice(0, 160)).join(" | ")}`)"""


@pytest.fixture(scope="module")
def lively(tmp_path_factory) -> Iterator[Site]:
    with a_lively_morning(tmp_path_factory.mktemp("lively")) as found:
        yield found


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


HEADER = "() => document.querySelector('header.top')?.getBoundingClientRect().height ?? 0"


def test_on_a_telephone_the_page_itself_begins_soon(lively, everything, browsing):
    """Of 740 dots no more than a fifth are the frame's, whoever looks and however many pages they have."""
    tab = browsing.page(width=360, height=740, language="nb")
    for address in walked(tab, lively, everything):
        assert tab.evaluate(HEADER) <= 148, address


def test_a_language_is_chosen_without_scripts_too(lively, browsing):
    tab = browsing.page(width=360, language="nb", scripts=False)
    tab.goto(f"{lively.url}/sign-in")
    button = tab.get_by_role("button", name="Dansk")
    assert not button.is_visible()
    tab.locator(".who summary").click()
    button.click()
    assert tab.locator("html").get_attribute("lang") == "da"
    assert tab.locator(".who summary .chosen").inner_text() == "Dansk"


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
