"""The pages in a real browser: on a telephone, in the dark, with the keyboard alone."""

import re
from datetime import datetime

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from adapter.discharge.notices import NoticeKind
from adapter.scheduler.deadlines import Deadlines
from tests.conftest import OSLO, StandingClock
from tests.stage import TORBJORN

from .conftest import SCRIPT, receipting, site

pytestmark = pytest.mark.browser

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATHS = [
    "/?still=1", "/cases", "/cases/1", "/deadlines", "/deliveries", "/deliveries/1", "/deliveries/4",
    "/messages/6", "/messages/7", "/quarantine", "/endpoints", "/alarms",
]  # fmt: skip

FOCUS = """() => {
  const at = document.activeElement, style = getComputedStyle(at);
  return [at === document.body ? null : at.textContent.trim(), style.outlineStyle, style.outlineWidth];
}"""
CONTRAST = """() => {
  const drawn = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (colour) => {
    drawn.clearRect(0, 0, 1, 1);
    drawn.fillStyle = colour;
    drawn.fillRect(0, 0, 1, 1);
    return [...drawn.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => [r, g, b]
    .map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const found = rgb(getComputedStyle(at).backgroundColor);
      if (found[3] === 255) return found;
    }
    return [255, 255, 255, 255];
  };
  const poor = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !element.checkVisibility()) continue;
    const [a, b] = [light(rgb(getComputedStyle(element).color)), light(ground(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push(`${element.tagName}.${element.className} ${ratio.toFixed(2)}`);
  }
  return [...new Set(poor)];
}"""


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture
def said() -> list[str]:
    """What the browser complains of."""
    return []


def opened(browser: Browser, said: list[str], at, *, width: int = 1280, scheme: str = "light") -> Page:
    """A page of a browser that has signed in as the site is seen."""
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    context.add_cookies([{"name": name, "value": value, "url": at.url} for name, value in at.cookies.items()])
    page = context.new_page()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    return page


@pytest.mark.parametrize("width", [320, 1280])
def test_no_page_scrolls_sideways_and_none_makes_the_browser_complain(living, browser, said, width):
    page = opened(browser, said, living, width=width)
    for path in PATHS:
        page.goto(living.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") == width, path
    assert said == []


OVERFLOWING = """() => [...document.querySelectorAll(".scroll")]
  .filter((frame) => frame.scrollWidth > frame.clientWidth)
  .map((frame) => frame.getAttribute("aria-label"))"""


@pytest.fixture(scope="module")
def long_ago(tmp_path_factory):
    """A stay from beginning to end, a missed deadline, everything in another year: the widest there is."""
    clock = StandingClock(datetime(2014, 9, 18, 10, 0, tzinfo=OSLO))
    with site(tmp_path_factory.mktemp("long-ago"), clock) as found:
        stage = found.stage
        stage.post.answer = receipting
        for kind in (NoticeKind.ADMITTED, NoticeKind.READY_FOR_DISCHARGE, NoticeKind.DISCHARGED):
            stage.receive(stage.message(kind))
            stage.deliver()
            clock.forward(hours=30)
        stage.receive(stage.message(NoticeKind.READY_FOR_DISCHARGE, subject=TORBJORN))
        clock.forward(days=400)
        built = stage.built
        Deadlines(
            store=built.store, cases=built.cases, outbox=built.outbox, register=built.register, clock=clock
        )()
        yield found


@pytest.mark.parametrize(
    ("width", "paths"),
    [
        (390, ["/?still=1", "/cases", "/deadlines", "/deliveries", "/deliveries/1", "/alarms", "/endpoints"]),
        (1280, ["/?still=1", "/cases", "/deadlines", "/deliveries", "/alarms"]),
    ],
)
def test_lists_are_read_without_scrolling_sideways(long_ago, browser, said, width, paths):
    page = opened(browser, said, long_ago, width=width)
    for path in paths:
        page.goto(long_ago.url + path)
        assert page.evaluate(OVERFLOWING) == [], path


def test_on_a_telephone_a_row_says_first_what_it_is_and_how_it_stands(living, browser, said):
    page = opened(browser, said, living, width=390)
    page.goto(f"{living.url}/deliveries")
    row = page.locator("tbody tr").first
    tops = [
        row.locator(f"[data-label='{name}']").bounding_box()["y"] for name in ("No.", "State", "What", "To")
    ]
    assert tops == sorted(tops) and len(set(tops)) == 4
    label = "e => getComputedStyle(e, '::before').content"
    assert row.locator("[data-label='State']").evaluate(label) == '"State"'


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_word_stands_out_from_its_ground(living, browser, said, scheme):
    page = opened(browser, said, living, scheme=scheme)
    for path in (*PATHS, "/nowhere"):
        page.goto(living.url + path)
        assert page.evaluate(CONTRAST) == [], path


def test_the_dark_scheme_is_dark(living, browser, said):
    page = opened(browser, said, living, scheme="dark")
    page.goto(f"{living.url}/?still=1")
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(int(value) for value in re.findall(r"\d+", colour)[:3]) < 64


def test_the_keyboard_reaches_the_content_and_shows_where_it_is(living, browser, said):
    page = opened(browser, said, living)
    page.goto(f"{living.url}/?still=1")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    assert page.evaluate("document.activeElement.getBoundingClientRect().top") >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    seen = set()
    for _ in range(200):
        page.keyboard.press("Tab")
        where, *outline = page.evaluate(FOCUS)
        if where is None:
            break
        assert outline == ["solid", "3px"], where
        seen.add(where)
    assert {"Luster kommune", "All cases"} <= seen


def test_a_person_finds_a_patients_deliveries_with_the_keyboard(living, browser, said):
    page = opened(browser, said, living, width=320)
    page.goto(f"{living.url}/deliveries")
    page.get_by_label("Identity number").focus()
    page.keyboard.type("21843012660")
    page.keyboard.press("Enter")
    page.wait_for_url("**/deliveries?patient=P*")
    assert page.locator("tbody tr").count() == 2
    assert "21843012660" not in page.content() + page.url + page.title()


def test_filtering_the_log_by_form(living, browser, said):
    page = opened(browser, said, living)
    page.goto(f"{living.url}/deliveries")
    page.get_by_label("Party").select_option("Luster kommune")
    page.get_by_role("button", name="Show").click()
    assert page.locator("tbody tr").count() == 1
    page.locator("tbody th a").click()
    assert page.locator("h1").inner_text() == "Delivery 5: Care needs to Luster kommune"


def test_a_script_in_a_message_is_text(living, browser, said):
    page = opened(browser, said, living)
    page.goto(f"{living.url}/messages/7")
    assert SCRIPT in page.locator("pre").first.inner_text()
    assert said == []


def test_the_overview_follows_the_region(living, browser, said):
    page = opened(browser, said, living)
    page.goto(living.url)
    with page.expect_event("load", timeout=15_000):
        pass
    page.get_by_role("link", name="Stand still").click()
    assert page.locator("meta[http-equiv=refresh]").count() == 0
