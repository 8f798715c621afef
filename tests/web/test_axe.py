"""No barrier that axe-core can find on any page, in any language, in light and dark; and what it cannot find.

axe-core is installed by `make`; what is asked of the pages is WCAG 2.2 AA, and what axe calls best practice.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from lxml import html
from playwright.sync_api import Page as Tab

from adapter.web.words import LANGUAGES

from .browsing import FOCUS, SMALL, Browsing
from .conftest import Site
from .looking import at_the_door
from .visiting import STATES, Visit, a_lively_morning, an_odd_day, somebody, visits

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
def odd(tmp_path_factory) -> Iterator[Site]:
    with an_odd_day(tmp_path_factory.mktemp("odd")) as found:
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


in_each_language = pytest.mark.parametrize(
    "language",
    [pytest.param(one, marks=pytest.mark.soak if one in IN_SOAK else ()) for one in LANGUAGES],
)


def looked_at(browsing: Browsing, language: str) -> Tab:
    browsing.expect("403")  # of what a page still asks for, when somebody else is at the door already
    tab = browsing.page(language=language)
    tab.context.add_init_script(path=AXE)
    return tab


def barriers(tab: Tab, where: str) -> dict[str, list[str]]:
    """What axe finds on the page that is open, in the light and in the dark."""
    found = {where: tab.evaluate(RUN, ["tag", ALL])}
    tab.emulate_media(color_scheme="dark")
    found[f"{where} in the dark"] = tab.evaluate(RUN, ["rule", ["color-contrast"]])
    tab.emulate_media(color_scheme="light")
    return {where: what for where, what in found.items() if what}


@in_each_language
def test_axe_finds_no_barrier_on_any_page(
    lively: Site, everything: list[Visit], browsing: Browsing, language: str
) -> None:
    tab = looked_at(browsing, language)
    found: dict[str, list[str]] = {}
    for address in walked(tab, lively, everything):
        found |= barriers(tab, address)
    assert found == {}, json.dumps(found, indent=1, ensure_ascii=False)


@in_each_language
def test_nor_in_what_a_morning_has_none_of(odd: Site, browsing: Browsing, language: str) -> None:
    tab = looked_at(browsing, language)
    found: dict[str, list[str]] = {}
    for name, (role, address) in STATES.items():
        for _ in walked(tab, odd, [Visit(somebody(frozenset({role})), address)]):
            found |= barriers(tab, name)
    assert found == {}, json.dumps(found, indent=1, ensure_ascii=False)


EMPTY = """(action) => {
  const form = document.querySelector(`main form[action="${action}"]`);
  form.querySelectorAll("[required]").forEach((field) => {
    if (field.matches("[type=radio], [type=checkbox]")) field.checked = false;
    else field.value = "";
  });
  form.submit();
}"""


def forms_to_fill_in(found: Site, visited: list[Visit]) -> Iterator[tuple[str, str, Visit]]:
    """Each kind of form in which something is asked for, where it stands, and who has it before them."""
    for visit in visited:
        with at_the_door(visit.person):
            tree = html.fromstring(found.get(visit.address).content)
        for action in tree.xpath("//main//form[@method='post'][.//@required]/@action"):
            yield re.sub(r"\d+", "{id}", action), action, visit


@in_each_language
def test_nor_where_a_form_was_not_taken(
    lively: Site, everything: list[Visit], odd: Site, browsing: Browsing, language: str
) -> None:
    """Each kind of form, sent as somebody sends it who has filled in nothing that is asked for."""
    for status in ("400", "401", "404"):  # the last two of the stream of news, when nobody is at the door
        browsing.expect(status)
    tab = looked_at(browsing, language)
    of_the_odd = [Visit(somebody(frozenset({role})), address) for role, address in STATES.values()]
    found: dict[str, list[str]] = {}
    seen: set[str] = set()
    for place, visited in ((lively, everything), (odd, of_the_odd)):
        for kind, action, visit in forms_to_fill_in(place, visited):
            if kind in seen:
                continue
            seen.add(kind)
            with at_the_door(visit.person):
                tab.goto(place.url + visit.address)
                with tab.expect_navigation() as answered:
                    tab.evaluate(EMPTY, action)
                assert answered.value.status == 400, (kind, answered.value.status)
                assert tab.locator("[role=alert], .mistake").count() or kind == "/deliveries/search", kind
                found |= barriers(tab, kind)
    assert {"/stays/{id}/close", "/stays/{id}/reopen", "/cases/{id}/lift-protection"} <= seen
    assert found == {}, json.dumps(found, indent=1, ensure_ascii=False)


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
