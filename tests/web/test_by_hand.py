"""What operators do by hand: with a reason, in the history, undone where it can be, never on old news."""

import pytest
from lxml import html

from adapter.discharge.notices import NoticeKind
from adapter.store import cases, deliveries
from tests.conftest import StandingClock
from tests.stage import altered, failing, region, taken, without

from .conftest import site

WHO = "Operator"
WHY = "the receiver was down, they say"


def page(found):
    return html.fromstring(found.text)


def words(element) -> str:
    return " ".join(" ".join(element.itertext()).split())


def token(found, path: str) -> str:
    return page(found.get(path)).xpath("//input[@name='token']/@value")[0]


@pytest.fixture
def broken(tmp_path):
    """One delivery that waits after a failure."""
    with site(tmp_path, StandingClock()) as found:
        found.stage.post.answer = failing(503, error="HTTP 503")
        found.stage.receive(found.stage.message(NoticeKind.ADMITTED))
        found.stage.deliver()
        yield found


def act(found, what: str, *, number: int = 1, stands: str | None = None, **fields: str):
    """Press the button of a delivery's page, as that page was shown."""
    shown = page(found.get(f"/deliveries/{number}"))
    form = shown.xpath(f"//form[@action='/deliveries/{number}/{what}']")
    sent = {"token": token(found, f"/deliveries/{number}"), "why": WHY}
    if form:
        sent |= {i.get("name"): i.get("value") for i in form[0].xpath(".//input[@type='hidden']")}
    if stands is not None:
        sent["stands"] = stands
    return found.post(f"/deliveries/{number}/{what}", data=sent | fields)


def state(found, number: int = 1) -> str:
    return found.look(deliveries.get, number)["state"]


def history(found, subject: str = "delivery 1") -> list[tuple[str, str]]:
    return [(note["by"], note["what"]) for note in found.look(cases.notes_about, subject)]


def offered(found, number: int = 1) -> list[str]:
    return [
        action.rsplit("/", 1)[-1]
        for action in page(found.get(f"/deliveries/{number}")).xpath("//main//details/form/@action")
    ]


def test_what_can_be_done_is_offered_and_nothing_else(broken):
    assert offered(broken) == ["resend", "give-up", "reissue"]
    act(broken, "give-up")
    assert offered(broken) == ["resend", "take-up", "reissue"]
    act(broken, "resend")
    assert offered(broken) == ["take-back", "take-up", "reissue"]


def test_a_delivery_is_given_up_and_taken_up_again_with_the_reasons_in_its_history(broken):
    answer = act(broken, "give-up")
    assert answer.status_code == 200 and state(broken) == "given-up"
    told = words(page(answer).xpath("//ul[@class='history']")[0])
    assert f": given up by hand: {WHY}" in told
    assert act(broken, "take-up", why="they are up again").status_code == 200
    assert state(broken) == "waiting"
    assert history(broken)[-1] == (WHO, "taken up again: they are up again")


def test_a_resend_is_taken_back_before_it_has_left_and_the_schedule_is_as_it_was(broken):
    before = broken.look(deliveries.get, 1)
    act(broken, "resend")
    assert broken.look(deliveries.get, 1)["trigger"] == "person"
    act(broken, "take-back")
    after = broken.look(deliveries.get, 1)
    assert {k: v for k, v in after.items() if k != "fence"} == {
        k: v for k, v in before.items() if k != "fence"
    }
    assert [what for _, what in history(broken)] == [f"resent by hand: {WHY}", f"not resent after all: {WHY}"]


def test_what_has_left_is_not_taken_back(broken):
    stands = "waiting/1/person"
    act(broken, "resend")
    broken.stage.post.answer = taken()
    broken.stage.deliver()
    answer = act(broken, "take-back", stands=stands)
    assert answer.status_code == 400 and state(broken) == "sent"


@pytest.mark.parametrize(
    ("why", "said"),
    [
        ("", "Say why"),
        ("  ", "Say why"),
        ("w" * 301, "Use at most 300"),
        ("about 21843012660", "identity number"),
    ],
)
def test_without_a_proper_reason_nothing_is_done_and_what_was_typed_stays(broken, why, said):
    answer = act(broken, "give-up", why=why)
    assert answer.status_code == 400 and state(broken) == "waiting" and history(broken) == []
    shown = page(answer).xpath("//details[@open]//*[@class='mistake']")
    assert len(shown) == 1 and said in words(shown[0])
    assert page(answer).xpath("//details[@open]//input[@name='why']/@value") == [why]


def test_nothing_is_done_on_old_news(broken):
    seen = page(broken.get("/deliveries/1")).xpath("//input[@name='stands']/@value")[0]
    act(broken, "give-up")  # somebody else
    answer = act(broken, "resend", stands=seen)
    assert answer.status_code == 400
    assert "It has changed meanwhile" in answer.text
    assert state(broken) == "given-up" and len(history(broken)) == 1


def test_a_notice_is_reissued_to_the_party_that_is_chosen(broken):
    answer = act(broken, "reissue", to="luster")
    assert answer.url.endswith("/deliveries/2")
    assert (state(broken, 1), state(broken, 2)) == ("given-up", "waiting")
    assert broken.look(deliveries.get, 2)["party"] == "luster"
    assert history(broken)[-1] == (WHO, f"reissued as delivery 2: {WHY}")
    assert act(broken, "take-up").status_code == 400  # the new one goes in its place
    assert state(broken, 1) == "given-up"


@pytest.mark.parametrize("to", ["", "nobody", "laerdal-sjukehus", "' OR 1=1"])
def test_a_notice_goes_to_nobody_who_cannot_get_it(broken, to):
    answer = act(broken, "reissue", to=to)
    assert answer.status_code == 400 and "Choose a party" in answer.text
    assert state(broken) == "waiting" and broken.look(deliveries.get, 2) is None


@pytest.mark.parametrize(
    "path", ["/deliveries/99/resend", "/deliveries/x/give-up", f"/deliveries/{'9' * 30}/take-up"]
)
def test_what_is_not_there_cannot_be_acted_on(broken, path):
    sent = {
        "token": token(broken, "/deliveries/1"),
        "by": "Marta",
        "why": WHY,
        "stands": "waiting/1/schedule",
    }
    assert broken.post(path, data=sent).status_code == 404


@pytest.mark.parametrize("what", ["resend", "take-back", "give-up", "take-up", "reissue"])
def test_nobody_acts_from_another_page(broken, what):
    answer = broken.post(
        f"/deliveries/1/{what}", data={"by": "Marta", "why": WHY, "stands": "waiting/1/schedule"}
    )
    assert answer.status_code == 403 and state(broken) == "waiting"


# --- endpoints --------------------------------------------------------------------------------------------


def test_an_endpoint_is_paused_and_let_go_on(broken):
    sent = {"token": token(broken, "/endpoints/sogndal"), "why": WHY}
    answer = broken.post("/endpoints/sogndal/pause", data=sent)
    assert answer.status_code == 200 and "sogndal" in broken.look(deliveries.pauses)
    assert history(broken, "endpoint sogndal") == [(WHO, f"paused: {WHY}")]
    assert broken.post("/endpoints/sogndal/pause", data=sent).status_code == 400
    assert broken.post("/endpoints/sogndal/resume", data=sent).status_code == 200
    assert broken.look(deliveries.pauses) == {}
    assert broken.post("/endpoints/sogndal/resume", data=sent).status_code == 400
    assert len(history(broken, "endpoint sogndal")) == 2


def test_an_endpoint_is_not_paused_without_a_reason(broken):
    sent = {"token": token(broken, "/endpoints/sogndal"), "why": ""}
    assert broken.post("/endpoints/sogndal/pause", data=sent).status_code == 400
    assert broken.look(deliveries.pauses) == {}


@pytest.mark.parametrize("name", ["nowhere", "%00", "a%2Fb", "<b>"])
def test_there_is_no_page_of_an_endpoint_that_is_not_there(broken, name):
    assert broken.get(f"/endpoints/{name}").status_code == 404


# --- quarantine -------------------------------------------------------------------------------------------


@pytest.fixture
def held(tmp_path):
    """A message to a municipality that the register does not know yet."""
    clock = StandingClock()
    with site(tmp_path, clock, of=region()) as known:
        content = known.stage.message(NoticeKind.ADMITTED, receivers=("sogndal",))
    with site(
        tmp_path / "..", clock, of=without(region(), "sogndal"), store=f"sqlite:///{tmp_path}/held.db"
    ) as found:
        done = found.stage.receive(content)
        assert done.outcome == "quarantined", done.reason
        yield found, tmp_path, clock


def kept(found) -> dict[str, int]:
    """How many rows there are of what came and goes; who has signed in and looked is another matter."""
    return {
        name: count for name, count in found.stage.counts().items() if name not in ("session", "fhir_access")
    }


def test_a_held_message_shows_what_it_failed_on_and_what_releasing_it_would_do(held):
    found, folder, clock = held
    shown = page(found.get("/messages/1/release"))
    assert "It would still be held" in words(shown)
    assert [words(r) for r in shown.xpath("//tbody/tr") if "unknown" in words(r)]
    sent = {"token": token(found, "/messages/1/release"), "why": "entered"}
    answer = found.post("/messages/1/release", data=sent)
    assert answer.status_code == 400 and "It is still held" in answer.text
    before = kept(found)
    found.get("/messages/1/release")
    assert kept(found) == before
    corrected = altered(region(), "sogndal", name="Sogndal kommune")
    with site(folder, clock, of=corrected, store=f"sqlite:///{folder}/held.db") as anew:
        assert "It would be taken, and go to Sogndal kommune" in words(page(anew.get("/messages/1/release")))
        assert kept(anew) == before
        sent = {"token": token(anew, "/messages/1/release"), "why": "Sogndal is entered"}
        answer = anew.post("/messages/1/release", data=sent)
        assert answer.status_code == 200 and answer.url.endswith("/messages/1")
        assert anew.look(deliveries.get, 1)["party"] == "sogndal"
        assert history(anew, "message 1") == [(WHO, "released from quarantine: Sogndal is entered")]
        assert not page(anew.get("/messages/1/release")).xpath("//form[contains(@action, 'release')]")
        assert anew.post("/messages/1/release", data=sent).status_code == 400


def test_a_message_that_is_not_there_is_not_released(broken):
    assert broken.get("/messages/99/release").status_code == 404
