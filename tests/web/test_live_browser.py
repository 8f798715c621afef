"""Live pages in a real browser: what changes appears, and nothing that somebody is doing is disturbed."""

from collections.abc import Iterator
from datetime import datetime

import pytest
from playwright.sync_api import Page, expect

from adapter.discharge.notices import NoticeKind
from adapter.web import live as live_module
from tests.conftest import OSLO, StandingClock
from tests.stage import TORBJORN

from .browsing import Browsing
from .conftest import Site, site

pytestmark = pytest.mark.browser


@pytest.fixture
def quick(tmp_path, monkeypatch) -> Iterator[Site]:
    """A site with one admission, whose watcher looks often."""
    for name, seconds in {"PACE": 0.1, "LOOKS": 0.05, "AT_LEAST": 0.1, "SLACK": 0.2}.items():
        monkeypatch.setattr(live_module, name, seconds)
    with site(tmp_path, StandingClock(datetime(2014, 3, 3, 10, 0, tzinfo=OSLO))) as found:
        tell(found)
        yield found


def tell(found: Site, kind: NoticeKind = NoticeKind.ADMITTED, **more: object) -> None:
    done = found.stage.receive(found.stage.message(kind, **more), channel="http")  # type: ignore[arg-type]
    assert done.outcome == "accepted", done.reason
    found.stage.clock.forward(minutes=1)


def another(found: Site) -> None:
    tell(found, subject=TORBJORN, encounter="LS-2")


def opened(browsing: Browsing, found: Site, path: str, **more: object) -> Page:
    page = browsing.page(found, **more)  # type: ignore[arg-type]
    with page.expect_response("**/live?*"):
        page.goto(found.url + path)
    expect(page.locator(".live-state")).not_to_be_empty()
    page.wait_for_timeout(600)  # the first look of the watcher has everybody look once
    return page


def test_a_change_appears_by_itself_and_is_told_in_words(browsing, quick):
    page = opened(browsing, quick, "/cases")
    row = page.locator("#case-1")
    row.evaluate("row => { row.dataset.mine = 'kept' }")
    tell(quick, NoticeKind.READY_FOR_DISCHARGE, ready=quick.stage.clock())
    expect(row).to_contain_text("Ready for discharge", timeout=8000)
    expect(row).to_have_class("live-changed")
    expect(page.locator("#live [role=status]")).to_have_text("1 row has changed.")
    another(quick)
    expect(page.locator("tbody tr")).to_have_count(2, timeout=8000)
    assert page.evaluate("[...document.querySelectorAll('tbody tr')].map(row => row.id)") == [
        "case-2", "case-1",
    ]  # fmt: skip


@pytest.mark.parametrize("doing", ["focus", "scrolled", "pointer"])
def test_rows_do_not_come_where_somebody_is_at_work(browsing, quick, doing):
    """They wait behind a button; what is there already is brought up to date all the same."""
    page = opened(browsing, quick, "/cases", height=400)
    if doing == "focus":
        page.locator("#case-1 a").first.focus()
    elif doing == "scrolled":
        page.evaluate("document.body.style.minHeight = '3000px'")
        page.evaluate("scrollTo(0, document.querySelector('#cases').getBoundingClientRect().top + 30)")
    else:
        page.locator("#case-1").hover()
        page.mouse.down()
    top = page.locator("#case-1").bounding_box()["y"]
    another(quick)
    tell(quick, NoticeKind.READY_FOR_DISCHARGE, ready=quick.stage.clock())
    button = page.locator("[data-part=more]")
    if doing == "pointer":
        page.wait_for_timeout(1500)
        assert page.locator("tbody tr").count() == 1  # nothing at all while it is down
        page.mouse.move(600, 300)
        page.mouse.up()
        page.mouse.move(5, 5)
        expect(page.locator("tbody tr")).to_have_count(2, timeout=8000)
        return
    expect(button).to_be_visible(timeout=8000)
    expect(page.locator("#case-1")).to_contain_text("Ready for discharge", timeout=8000)
    assert page.locator("tbody tr").count() == 1
    assert page.locator("#case-1").bounding_box()["y"] == top
    expect(button).to_have_text("1 change, show")
    button.click()
    expect(page.locator("tbody tr")).to_have_count(2)
    expect(button).to_be_hidden()


def test_what_was_typed_stays_and_the_rest_of_the_page_lives_on(browsing, quick):
    page = opened(browsing, quick, "/deliveries")
    page.get_by_text("More choices").click()
    page.get_by_label("Case").first.fill("17")
    page.get_by_label("State").first.select_option("sent")
    another(quick)
    expect(page.locator("#delivery-2")).to_be_visible(timeout=8000)  # the form stands in no live region
    assert page.get_by_label("Case").first.input_value() == "17"
    assert page.get_by_label("State").first.input_value() == "sent"


def test_a_form_inside_a_row_is_not_touched_while_it_is_filled_in(browsing, quick):
    alarms, store = quick.stage.built.outbox.alarms, quick.stage.built.store

    def raise_alarm(number: int) -> None:
        now = quick.stage.clock.forward(minutes=1)
        store.write(
            lambda tx: alarms.start(
                tx, kind="deadline-missed", subject=f"test {number}", text="A test.", now=now
            )
        )

    raise_alarm(1)
    page = opened(browsing, quick, "/alarms")
    page.locator("#alarm-1 summary").click()
    field = page.locator("#alarm-1").get_by_label("What was done")
    field.fill("told by telephone")
    page.locator("h1").click()  # the focus goes, what was typed stays
    raise_alarm(2)
    expect(page.locator("[data-part=more]")).to_be_visible(timeout=8000)
    assert field.input_value() == "told by telephone"
    page.locator("[data-part=more]").click()
    expect(page.locator("#alarm-2")).to_be_visible()
    assert field.input_value() == "told by telephone"


def test_a_dropped_connection_is_told_and_mends_itself(browsing, quick):
    browsing.expect("Failed to load resource", "ERR_")
    page = opened(browsing, quick, "/cases", language="nb")
    page.context.set_offline(True)
    banner = page.locator(".live-banner")
    expect(banner).to_be_visible(timeout=10_000)
    assert banner.locator("[data-part=dropped]").inner_text().startswith("Ikke oppdatert siden ")
    another(quick)
    page.wait_for_timeout(500)
    assert page.locator("tbody tr").count() == 1
    page.context.set_offline(False)
    expect(banner).to_be_hidden(timeout=10_000)
    expect(page.locator("tbody tr")).to_have_count(2, timeout=8000)
    assert page.locator(".live-state").inner_text() == "Oppdateres automatisk"


def test_who_is_signed_out_is_told_so_with_a_way_to_sign_in(browsing, quick):
    from .test_live import Door, people

    browsing.expect("401")
    door = Door(people())
    live = quick.adapter.live
    live.entrance, live.beat = door, 0.3
    page = opened(browsing, quick, "/cases")
    door.people.clear()
    expect(page.locator("[data-part=sign-in]")).to_be_visible(timeout=15_000)
    expect(page.locator("[data-part=dropped]")).to_have_text(
        "You are not signed in any more, and this page stands still."
    )


def test_a_page_can_be_made_to_stand_still_and_stays_so(browsing, quick):
    page = opened(browsing, quick, "/cases")
    page.get_by_role("button", name="Stand still").click()
    another(quick)
    page.wait_for_timeout(1500)
    assert page.locator("tbody tr").count() == 1
    page.reload()
    expect(page.locator(".live-state")).to_have_text("This page stands still.")
    page.get_by_role("button", name="Follow again").click()
    tell(quick, NoticeKind.READY_FOR_DISCHARGE, ready=quick.stage.clock())
    expect(page.locator("#case-1")).to_contain_text("Ready for discharge", timeout=8000)


def test_time_that_passes_is_shown_and_no_news(browsing, quick):
    page = opened(browsing, quick, "/cases")
    page.evaluate("document.querySelector('[data-part=said]').textContent = ''")
    quick.stage.clock.forward(minutes=30)
    before = page.locator("#case-1").inner_text()
    alarms, store = quick.stage.built.outbox.alarms, quick.stage.built.store
    now = quick.stage.clock()
    store.write(lambda tx: alarms.start(tx, kind="deadline-missed", subject="test", text="A test.", now=now))
    expect(page.locator("#alarm-count")).to_contain_text("1 open alarm", timeout=8000)
    assert page.locator("#case-1").inner_text() != before
    assert page.locator(".live-changed").count() <= 1  # the alarm's own line


def test_without_javascript_there_is_everything_and_a_way_to_look_again(browsing, quick):
    page = browsing.page(quick, scripts=False)
    page.goto(f"{quick.url}/cases")
    another(quick)
    page.get_by_role("link", name="Load it again").click()
    expect(page.locator("tbody tr")).to_have_count(2)
    assert page.locator(".live-line button").is_hidden()


def test_a_hidden_page_holds_no_connection(browsing, quick):
    page = opened(browsing, quick, "/cases")
    live = quick.adapter.live
    assert len(live._connected) == 1
    hide = "hidden => { Object.defineProperty(document, 'hidden', { value: hidden, configurable: true }); "
    page.evaluate(hide + "document.dispatchEvent(new Event('visibilitychange')) }", True)
    for _ in range(100):
        if not live._connected:
            break
        page.wait_for_timeout(30)
    assert not live._connected
    another(quick)
    page.evaluate(hide + "document.dispatchEvent(new Event('visibilitychange')) }", False)
    expect(page.locator("tbody tr")).to_have_count(2, timeout=8000)


def test_reduced_motion_is_respected(browsing, quick):
    for motion, moves in (("reduce", "none"), ("no-preference", "live-fade")):
        page = opened(browsing, quick, "/cases", motion=motion)
        page.locator("#case-1").evaluate("row => row.classList.add('live-changed')")
        assert page.locator("#case-1").evaluate("row => getComputedStyle(row).animationName") == moves
