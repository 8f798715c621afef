"""A day at each board, as the people whose day it is walk through it in a browser: with scripts, and without.

A nurse and a coordinator look at the same stay at the same time, a district nurse leads the planning, an
operator mends what was refused. Real pages, a real store, each in the language of its house; only the far
ends are made up. What others do appears by itself where scripts run, else when the page is loaded again.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from adapter.config import load_region
from adapter.discharge.notices import NoticeKind
from adapter.messaging.acknowledgement import Status
from adapter.messaging.delivery import Reply
from adapter.messaging.people import Person, Role
from adapter.messaging.register import Endpoint
from adapter.store import searching, tables
from adapter.transport import Outgoing
from adapter.web import live as live_module
from tests.conftest import OSLO, StandingClock
from tests.people import OPERATOR, PASSWORD, SOGNDAL, WARD, somebody
from tests.planners import CENTRE, STOCKHOLM, VANNAS
from tests.planners import WARD as UMEA
from tests.stage import TORBJORN, answering
from tests.test_planning import TOLVAN, VASTERBOTTEN
from tests.web.browsing import Browsing
from tests.web.conftest import Site, site

pytestmark = pytest.mark.browser
K = NoticeKind

WITH_AND_WITHOUT = pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no-scripts"])
ELIN = somebody("elin", "Elin Berg", Role.PRIMARY_CARE, parties=(CENTRE,))
NUMBER = "21843012660"
"""A synthetic identity number of somebody born on 21 April 1930."""


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Open pages are told at once; in a house they are told within seconds."""
    for name, seconds in {"PACE": 0.1, "LOOKS": 0.05, "AT_LEAST": 0.1, "SLACK": 0.2}.items():
        monkeypatch.setattr(live_module, name, seconds)


@dataclass
class Desk:
    """One person at one browser."""

    page: Page
    found: Site
    scripts: bool

    def sign_in(self, who: Person, board: str) -> None:
        """With name and password, on the page that asks for them; it leads to the person's own board."""
        self.page.set_default_timeout(5000)
        self.page.goto(self.found.url)
        self.page.locator("input[name=name]").fill(who.id)
        self.page.locator("input[name=password]").fill(PASSWORD)
        self.press(self.page.locator("form.sign-in button"))
        expect(self.page).to_have_url(self.found.url + board)

    def press(self, what: Locator) -> None:
        """A click, or a tap where there is no mouse; what comes is read without scrolling sideways."""
        if self.page.evaluate("matchMedia('(hover: none)').matches") if self.scripts else False:
            what.tap()
        else:
            what.click()
        expect(self.page.locator("main h1")).to_be_visible()
        if self.scripts:
            assert self.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, self.page.url

    def button(self, name: str) -> None:
        """Press the one button of that name."""
        self.press(self.page.get_by_role("button", name=name, exact=True))

    def link(self, name: str, within: str | None = None) -> None:
        """Follow a link, of a list where one is named."""
        where = self.page.get_by_role("region", name=within, exact=True) if within is not None else self.page
        self.press(where.get_by_role("link", name=name))

    def unfold(self, name: str) -> None:
        """Open what is folded up."""
        self.press(self.page.locator("summary", has_text=name))

    def appears(self, where: str, text: str) -> None:
        """What others have done: by itself, or when the page is loaded again."""
        if not self.scripts:
            self.page.locator(".live-line a").click()
        self.reads(where, text)

    def reads(self, where: str, text: str) -> None:
        """It stands there."""
        expect(self.page.locator(where)).to_contain_text(text, timeout=5000, use_inner_text=True)


def work(found: Site) -> None:
    """What a running adapter does by itself: send, put on the shelves, write down for the search."""
    assert isinstance(found.stage.clock, StandingClock)
    found.stage.clock.forward(seconds=1)
    while found.stage.deliver():
        pass
    found.stage.built.shelves.catch_up()
    found.stage.write(searching.index)


def tell(found: Site, kind: NoticeKind, **more: object) -> None:
    """Another system sends a notice."""
    done = found.stage.receive(found.stage.message(kind, **more), channel="http")  # type: ignore[arg-type]
    assert done.outcome == "accepted", done.reason
    work(found)


@pytest.fixture
def sogn(tmp_path: Path) -> Iterator[tuple[Site, StandingClock]]:
    """Monday 3 March 2014, ten in the morning; every receiver gives its receipt."""
    clock = StandingClock(datetime(2014, 3, 3, 10, 0, tzinfo=OSLO))
    with site(tmp_path, clock, people=(WARD, SOGNDAL, OPERATOR), sign_in=False) as found:
        found.stage.post.answer = answering(clock)
        yield found, clock


# --- the ward ---------------------------------------------------------------------------------------------


@WITH_AND_WITHOUT
def test_a_nurse_tells_that_her_patient_is_ready_and_sees_the_answer_come(
    sogn: tuple[Site, StandingClock], browsing: Browsing, scripts: bool
):
    found, clock = sogn
    nurse = Desk(browsing.page(language="nb", scripts=scripts), found, scripts)
    page = nurse.page
    nurse.sign_in(WARD, "/ward")
    nurse.link("Send melding")
    page.get_by_label("Hva som meldes").select_option("Melding om innlagt pasient")
    page.get_by_label("Fødselsnummer eller D-nummer").fill(NUMBER)
    page.get_by_label("Etternavn").fill("Fjellheim")
    page.get_by_label("Fornavn").fill("Synnøve")
    page.get_by_label("Fødselsdato").fill("1930-04-21")
    page.get_by_label("Kjønn").select_option("kvinne")
    page.get_by_label("Forventet utskrivningsdato").fill("2014-03-05")
    page.get_by_label("Sogndal kommune").check()
    nurse.button("Send meldingen")
    nurse.reads("main h1", "Synnøve Fjellheim")
    nurse.reads("#stay-told", "Melding om innlagt pasient Sogndal kommune i dag 10:00 → venter")
    nurse.button("Meld pasienten utskrivningsklar")
    nurse.reads(".steps", "Utskrivningsklar i dag 10:00")
    work(found)
    nurse.appears("#stay-told", "utskrivningsklar pasient Sogndal kommune i dag 10:00 ✓ kvittert i dag 10:00")

    clock.forward(minutes=30)
    coordinator = Desk(browsing.page(language="nn", scripts=scripts), found, scripts)
    coordinator.sign_in(SOGNDAL, "/municipality")
    coordinator.link("Fjellheim, Synnøve", within="Ventar på svar frå oss")
    page.reload()
    others = "section[aria-labelledby=others]"
    nurse.reads(others, "Svar fra kommunen ! 1 t 30 min igjen")
    coordinator.button("Frå ty. 4. mars")
    nurse.appears(".steps", "Besvart kan ta imot, fra tir. 4. mars")
    nurse.unfold("som er gjort eller over")
    nurse.reads(others, "Svar fra kommunen ✓ oppfylt Sogndal kommune, i dag 10:30")
    page.goto(found.url)
    nurse.reads("#lists", "✓ Kan ta imot fra tir. 4. mars")
    assert NUMBER not in page.content() + page.url


# --- the municipality, on a telephone ---------------------------------------------------------------------


@WITH_AND_WITHOUT
def test_a_coordinator_answers_in_two_clicks_signs_and_ticks_off_what_follows(
    sogn: tuple[Site, StandingClock], browsing: Browsing, scripts: bool
):
    found, clock = sogn
    tell(found, K.ADMITTED, encounter="LS-1")
    tell(found, K.ADMITTED, encounter="LS-2", subject=TORBJORN, planned_discharge=clock().date())
    clock.forward(minutes=30)
    tell(found, K.READY_FOR_DISCHARGE, encounter="LS-1", ready=clock())
    page = browsing.page(language="nn", scripts=scripts, width=360, height=740, touch=True)
    coordinator = Desk(page, found, scripts)
    coordinator.sign_in(SOGNDAL, "/municipality")
    expect(page.get_by_role("region", name="Kjem heim i dag").first).to_contain_text("Vik-Hansen, Torbjørn")
    coordinator.link("Fjellheim, Synnøve", within="Ventar på svar frå oss")
    coordinator.button("Frå må. 3. mars")
    coordinator.reads(".steps", "Svar gitt kan ta imot, frå må. 3. mars")
    (answered,) = found.stage.rows(tables.message, type="answer")
    assert (answered["sender"], answered["channel"]) == ("sogndal", "board")
    notice = page.locator("form", has_text="utskrivingsklar pasient (Lærdal sjukehus")
    coordinator.press(notice.get_by_role("button", name="Sett"))
    coordinator.reads("#stay-told", "✓ sett")
    expect(notice).to_have_count(0)

    clock.forward(hours=3)
    tell(found, K.DISCHARGED, encounter="LS-1")
    coordinator.appears(".steps", "Utskriven i dag 13:30")
    cases, at = found.stage.built.cases, clock()
    found.stage.write(lambda tx: cases.place(tx, 1, "hip-fracture", at, at, new_id="placed-1", by="Ward"))
    clock.forward(days=2, hours=1)
    page.goto(found.url)
    coordinator.link("Fjellheim, Synnøve", within="Oppfølging som står for tur")
    coordinator.reads(".todo", "Oppfølging: oppringing · 22 t 59 min att")
    coordinator.reads("#timeline ~ ol", "Plassert på: Hoftebrot.")
    coordinator.unfold("Oppfølging som er gjord")
    page.get_by_label("Kva for ei", exact=True).select_option("oppfølging: oppringing")
    coordinator.button("Kryss av")
    coordinator.reads(".todo", "Ingenting ventar på deg i dette opphaldet.")
    page.goto(found.url)
    expect(page.get_by_role("region", name="Oppfølging som står for tur")).not_to_contain_text("Fjellheim")


# --- primary care -----------------------------------------------------------------------------------------


@pytest.fixture
def umea(tmp_path: Path) -> Iterator[tuple[Site, StandingClock]]:
    """Tuesday 5 March 2024 in Umeå: somebody is ready for discharge, and needs a SIP."""
    clock = StandingClock(datetime(2024, 3, 5, 10, 0, tzinfo=STOCKHOLM))
    with site(tmp_path, clock, of=load_region(VASTERBOTTEN), people=(ELIN,), sign_in=False) as found:
        told = {"sender": UMEA, "hospital": UMEA, "receivers": (VANNAS, CENTRE), "subject": TOLVAN}
        tell(found, K.ADMITTED, planned_discharge=date(2024, 3, 8), **told)
        clock.forward(hours=1)
        tell(found, K.READY_FOR_DISCHARGE, ready=clock(), sip_needed=True, **told)
        yield found, clock


def test_a_district_nurse_names_the_contact_calls_to_a_sip_and_states_open_care(
    umea: tuple[Site, StandingClock], browsing: Browsing
):
    found, _ = umea
    nurse = Desk(browsing.page(language="sv"), found, True)
    page = nurse.page
    nurse.sign_in(ELIN, "/primary-care")
    nurse.link("Tolvansson, Tolvan", within="Fast vårdkontakt ska utses")
    nurse.reads(".todo", "Fast vårdkontakt · 3 dygn kvar")
    nurse.button("Utse kontakten")
    nurse.reads("#contacts ~ ul", "Backa vårdcentral Fast vårdkontakt")
    nurse.reads(".facts", "Kommunen Vännäs kommun")
    nurse.unfold("Kalla till SIP")
    page.get_by_label("Börjar").fill("2024-03-07T10:00")
    nurse.button("Kalla till mötet")
    nurse.reads("#stay-told", "Möte tors 7 mars 10:00.")
    page.get_by_label("Öppenvårdens insatser efter utskrivning").select_option("Tillgänglig")
    nurse.press(page.locator("form[action$='/open-care'] button"))
    nurse.reads(".todo", "Inget väntar på dig i det här vårdtillfället.")
    page.goto(found.url)
    for finished in ("Fast vårdkontakt ska utses", "Kallelse till SIP", "Öppenvårdens insatser"):
        expect(page.get_by_role("region", name=finished)).not_to_contain_text("Tolvansson")
    kinds = [row["type"] for row in found.stage.rows(tables.message, channel="board")]
    assert kinds == ["fixed-contact-named", "sip-call", "open-care-availability"]


# --- operations -------------------------------------------------------------------------------------------


def refusing(clock: StandingClock, whom: str) -> Callable[[Outgoing, Endpoint], Reply]:
    """One receiver will have nothing; the others take everything."""
    take, refuse = answering(clock), answering(clock, Status.REFUSED)
    return lambda message, endpoint: (refuse if endpoint.name == whom else take)(message, endpoint)


@WITH_AND_WITHOUT
def test_an_operator_finds_what_was_refused_and_sends_it_to_the_right_address(
    sogn: tuple[Site, StandingClock], browsing: Browsing, scripts: bool
):
    found, clock = sogn
    found.stage.post.answer = refusing(clock, "leikanger")
    tell(found, K.ADMITTED, receivers=("luster",), subject=TORBJORN, encounter="LS-2")
    tell(found, K.ADMITTED, receivers=("leikanger",))
    clock.forward(minutes=10)
    operator = Desk(browsing.page(language="en", scripts=scripts), found, scripts)
    page = operator.page
    operator.sign_in(OPERATOR, "/")
    operator.press(page.get_by_role("navigation", name="Pages").get_by_role("link", name="Deliveries"))
    page.get_by_role("searchbox", name="Search").fill("leik admitted ugyldig")
    operator.button("Show")
    expect(page.locator("#deliveries tbody tr")).to_have_count(1)
    operator.press(page.locator("#deliveries tbody th a"))
    operator.reads(".lead", "✕ Refused E10 Ugyldig meldingsidentifikator: ugyldig")
    operator.unfold("Write it anew with new ids")
    form = page.locator("details[open]", has_text="Write it anew")
    form.get_by_label("To").select_option("Sogndal kommune")
    form.get_by_label("Why").fill("The ward has confirmed that it is Sogndal.")
    operator.press(form.get_by_role("button"))
    operator.reads("main h1", "Admitted to Sogndal kommune")
    operator.reads(".lead", "→ Waiting its turn")
    work(found)
    operator.appears(".lead", "✓ Acknowledged")
    operator.reads("#delivery-receipts", "Accepted")
    operator.link("delivery 3")
    operator.reads(".history", "Marta Vik")
    operator.reads(".history", "The ward has confirmed that it is Sogndal.")


# --- coming in --------------------------------------------------------------------------------------------

BOARDS = {
    Role.WARD: "/ward",
    Role.PRIMARY_CARE: "/primary-care",
    Role.MUNICIPALITY: "/municipality",
    Role.OPERATIONS: "/",
    Role.AUDITOR: "/looks",
}


@pytest.mark.parametrize("region", ["indre-sogn", "vasterbotten"])
def test_a_demonstration_lets_everybody_in_by_one_click_to_a_board_of_their_own(
    tmp_path: Path, browsing: Browsing, region: str
):
    known = load_region(VASTERBOTTEN.with_name(f"{region}.toml"))
    with site(tmp_path, StandingClock(), of=known, sign_in=False) as found:
        page = browsing.page(language="en", scripts=False)
        for role, board in BOARDS.items():
            page.goto(found.url)
            page.locator(f"button[value='{role}']").click()
            expect(page).to_have_url(found.url + board)
            page.get_by_role("button", name="Sign out").click()
            expect(page.locator("main h1")).to_have_text("Sign in")
