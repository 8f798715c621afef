"""The pages of a plan in a real browser: on a telephone, in the dark, on paper."""

import pytest

from tests.plan_fixtures import INDIVIDUAL, SIP

from .browsing import CONTRAST, OVERFLOWING
from .plan_site import SCRIPT, plan_site

pytestmark = pytest.mark.browser

PATHS = [
    f"/plans/{SIP}",
    f"/plans/{SIP}/changes",
    f"/plans/{INDIVIDUAL}?lang=nn",
    "/plans/hostile",
    "/plans/no",
]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with plan_site(tmp_path_factory.mktemp("plans")) as found:
        yield found


@pytest.mark.parametrize("width", [320, 360, 1280])
def test_no_page_scrolls_sideways_and_none_makes_the_browser_complain(site, browsing, width):
    browsing.expect("404")
    page = browsing.page(site, width=width)
    for path in PATHS:
        page.goto(site.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") == width, path
        assert page.evaluate(OVERFLOWING) == [], path


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_word_stands_out_from_its_ground(site, browsing, scheme):
    browsing.expect("404")
    page = browsing.page(site, scheme=scheme)
    for path in PATHS:
        page.goto(site.url + path)
        assert page.evaluate(CONTRAST) == [], path


def test_on_a_telephone_every_value_says_what_it_is(site, browsing):
    page = browsing.page(site, width=360)
    page.goto(f"{site.url}/plans/{SIP}?lang=sv")
    cell = page.locator("#actions + .scroll tbody tr").first.locator("td").nth(2)
    assert cell.evaluate("e => getComputedStyle(e, '::before').content") == '"Klart senast"'
    first, second = (
        page.locator("#actions + .scroll tbody tr").first.locator("td").nth(n).bounding_box() for n in (0, 1)
    )
    assert first["y"] + first["height"] <= second["y"] + 1


def test_on_paper_there_is_the_plan_and_nothing_to_press(site, browsing):
    page = browsing.page(site)
    page.goto(f"{site.url}/plans/{SIP}")
    page.emulate_media(media="print")
    for gone in (".languages", ".ways", ".versions"):
        assert not page.locator(gone).first.is_visible()
    assert page.locator("h1").is_visible() and page.locator("#actions").is_visible()


def test_the_keyboard_reaches_the_content(site, browsing):
    page = browsing.page(site)
    page.goto(f"{site.url}/plans/{SIP}?lang=en")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"


def test_a_script_in_a_plan_is_text(site, browsing):
    page = browsing.page(site)
    page.goto(f"{site.url}/plans/hostile")
    assert page.locator("h1").inner_text() == SCRIPT
