"""The pages in a real browser: on a telephone, in the dark, with the keyboard alone."""

import re
from datetime import datetime

import pytest

from adapter.discharge.notices import NoticeKind
from adapter.scheduler.deadlines import Deadlines
from tests.conftest import OSLO, StandingClock
from tests.stage import TORBJORN

from .browsing import CONTRAST, FOCUS, OVERFLOWING
from .conftest import SCRIPT, receipting, site

pytestmark = pytest.mark.browser

PATHS = [
    "/", "/cases", "/cases/1", "/deadlines", "/deliveries", "/deliveries/1", "/deliveries/4",
    "/messages/6", "/messages/7", "/quarantine", "/endpoints", "/alarms",
]  # fmt: skip


@pytest.mark.parametrize("width", [320, 1280])
def test_no_page_scrolls_sideways_and_none_makes_the_browser_complain(living, browsing, width):
    page = browsing.page(living, width=width)
    for path in PATHS:
        page.goto(living.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") == width, path


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
        (390, ["/", "/cases", "/deadlines", "/deliveries", "/deliveries/1", "/alarms", "/endpoints"]),
        (1280, ["/", "/cases", "/deadlines", "/deliveries", "/alarms"]),
    ],
)
def test_lists_are_read_without_scrolling_sideways(long_ago, browsing, width, paths):
    page = browsing.page(long_ago, width=width)
    for path in paths:
        page.goto(long_ago.url + path)
        assert page.evaluate(OVERFLOWING) == [], path


def test_on_a_telephone_a_row_says_first_what_it_is_and_how_it_stands(living, browsing):
    page = browsing.page(living, width=390)
    page.goto(f"{living.url}/deliveries")
    row = page.locator("tbody tr").first
    tops = [
        row.locator(f"[data-label='{name}']").bounding_box()["y"] for name in ("No.", "State", "What", "To")
    ]
    assert tops == sorted(tops) and len(set(tops)) == 4
    label = "e => getComputedStyle(e, '::before').content"
    assert row.locator("[data-label='State']").evaluate(label) == '"State"'


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_word_stands_out_from_its_ground(living, browsing, scheme):
    browsing.expect("404")
    page = browsing.page(living, scheme=scheme)
    for path in (*PATHS, "/nowhere"):
        page.goto(living.url + path)
        assert page.evaluate(CONTRAST) == [], path


def test_the_dark_scheme_is_dark(living, browsing):
    page = browsing.page(living, scheme="dark")
    page.goto(f"{living.url}/")
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(int(value) for value in re.findall(r"\d+", colour)[:3]) < 64


def test_the_keyboard_reaches_the_content_and_shows_where_it_is(living, browsing):
    page = browsing.page(living)
    page.goto(f"{living.url}/")
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


def test_a_person_finds_a_patients_deliveries_with_the_keyboard(living, browsing):
    page = browsing.page(living, width=320)
    page.goto(f"{living.url}/deliveries")
    page.get_by_label("Identity number").focus()
    page.keyboard.type("21843012660")
    page.keyboard.press("Enter")
    page.wait_for_url("**/deliveries?patient=P*")
    assert page.locator("tbody tr").count() == 2
    assert "21843012660" not in page.content() + page.url + page.title()


def test_filtering_the_log_by_form(living, browsing):
    page = browsing.page(living)
    page.goto(f"{living.url}/deliveries")
    page.get_by_text("More choices").click()
    page.get_by_label("Party").select_option("Luster kommune")
    page.get_by_role("button", name="Show").click()
    assert page.locator("tbody tr").count() == 1
    page.locator("tbody th a").click()
    assert page.locator("h1").inner_text() == "Delivery 5: Care needs to Luster kommune"


def test_a_script_in_a_message_is_text(living, browsing):
    page = browsing.page(living)
    page.goto(f"{living.url}/messages/7")
    assert SCRIPT in page.locator("pre").first.inner_text()
