"""Recording on the case's page: a follow-up, a placement, and that a patient is off it again."""

from collections.abc import Iterator

import pytest

from adapter.discharge.notices import NoticeKind
from adapter.discharge.pathways import WATCH
from adapter.store import tables
from tests.people import OPERATOR

from .conftest import Site, site
from .test_pages import page, words

K = NoticeKind


@pytest.fixture
def home(tmp_path, clock) -> Iterator[Site]:
    """A patient of Sogndal went home at 10:00 on 4 March 2014."""
    with site(tmp_path, clock) as found:
        gone_home(found, clock)
        yield found


def gone_home(found: Site, clock) -> None:
    found.stage.receive(found.stage.message(K.ADMITTED))
    clock.forward(days=1)
    found.stage.receive(found.stage.message(K.DISCHARGED))
    clock.forward(hours=1)


def form_of(found: Site, action: str, **more: object):
    return page(found.get("/cases/1", **more)).xpath(f"//form[@action='/cases/1/{action}']")[0]


def choices(found: Site, action: str) -> list[str]:
    return list(form_of(found, action).xpath(".//option/@value"))


def send(found: Site, action: str, **fields: str):
    token = form_of(found, "followed-up").xpath(".//input[@name='token']/@value")[0]
    return found.post(f"/cases/1/{action}", data={"token": token} | fields)


def states(found: Site) -> dict[str, str]:
    rows = found.stage.rows(tables.deadline)
    return {r["kind"]: r["state"] for r in rows if r["kind"].startswith("follow-up-") and r["kind"] != WATCH}


def test_a_patient_is_placed_on_a_pathway_and_the_page_shows_it_and_what_is_due(home):
    assert choices(home, "place") == [
        "hip-fracture",
        "children-and-young-people",
        "severe-mental-illness-and-substance-use",
        "frail-older-people",
        "several-chronic-conditions",
    ]  # in 2014 women around birth were no group yet
    answer = send(home, "place", name="hip-fracture")
    assert (answer.status_code, answer.url.removeprefix(home.url)) == (200, "/cases/1")
    shown = words(page(answer))
    assert "Pathway Hoftebrot since 4 Mar, 11:00" in shown
    assert "what is done before 6 Mar, 10:00 does not count" in shown
    assert "Case 1: placed on hip-fracture, by hand By Operator." in shown
    assert states(home) == {"follow-up-call": "open", "follow-up-gp-visit": "open"}
    assert "hip-fracture" not in choices(home, "place")
    assert choices(home, "take-off") == ["hip-fracture"]


def test_a_patient_is_taken_off_again(home):
    send(home, "place", name="hip-fracture")
    answer = send(home, "take-off", name="hip-fracture")
    assert "Pathway Hoftebrot" not in words(page(answer))
    assert "Case 1: taken off hip-fracture, by hand By Operator." in words(page(answer))
    assert states(home) == {}


def test_a_follow_up_is_recorded_with_its_kind_and_by_the_hospitals_clock(home):
    send(home, "place", name="hip-fracture")
    assert choices(home, "followed-up") == ["", "check-up", "call", "gp-visit"]
    home.stage.clock.forward(days=3)
    send(home, "followed-up", name="call", at="2014-03-06T09:59:59")
    assert states(home)["follow-up-call"] == "missed"  # a second too early
    answer = send(home, "followed-up", name="call", at="2014-03-06T10:00")
    assert states(home) == {"follow-up-call": "met", "follow-up-gp-visit": "open"}
    assert "It was: call." in words(page(answer))
    assert "Case 1: followed up (call), recorded by hand By Operator." in words(page(answer))
    send(home, "followed-up")
    assert states(home) == {"follow-up-call": "met", "follow-up-gp-visit": "met"}


@pytest.mark.parametrize(
    ("action", "fields", "status", "said"),
    [
        ("place", {"name": "knee"}, 400, "knee: there is no such pathway or group"),
        ("place", {}, 400, "there is no such pathway or group"),
        ("place", {"name": "hip-fracture", "at": "2013-08-31T10:00"}, 400, "cannot be chosen on 31 Aug 2013"),
        ("place", {"name": "hip-fracture", "at": "2014-03-05T10:00"}, 400, "lies ahead"),
        ("place", {"name": "hip-fracture", "at": "noon"}, 400, "Write when it was as"),
        ("place", {"name": "hip-fracture", "token": "0" * 64}, 403, "Not from this page"),
        ("take-off", {"name": "hip-fracture"}, 400, "is not placed on hip-fracture"),
        ("followed-up", {"name": "visit"}, 400, "visit: there is no such follow-up"),
    ],
)
def test_what_cannot_be_recorded_is_told_so_and_nothing_is_changed(home, action, fields, status, said):
    answer = send(home, action, **fields)
    assert answer.status_code == status
    assert said in words(page(answer))
    assert home.stage.rows(tables.history, case_id=1) == []


@pytest.mark.parametrize("action", ["place", "take-off", "followed-up"])
def test_another_site_cannot_press_a_button_of_a_case(home, action):
    token = form_of(home, "place").xpath(".//input[@name='token']/@value")[0]
    fields = {"token": token, "name": "hip-fracture"}
    crossed = home.post(f"/cases/1/{action}", data=fields, headers={"Sec-Fetch-Site": "cross-site"})
    assert crossed.status_code == 403
    assert home.stage.rows(tables.fact, kind="placed") == []


@pytest.mark.parametrize("number", ["99", "9" * 30, "one"])
def test_a_case_that_is_not_there_is_not_found(home, number):
    token = form_of(home, "place").xpath(".//input[@name='token']/@value")[0]
    fields = {"token": token, "name": "hip-fracture"}
    assert home.post(f"/cases/{number}/place", data=fields).status_code == 404


def test_who_has_signed_in_is_who_has_placed_whatever_the_form_says(tmp_path, clock):
    with site(tmp_path, clock, people=(OPERATOR,)) as found:
        gone_home(found, clock)
        form = form_of(found, "place")
        assert not form.xpath(".//input[@name='by']")
        token = form.xpath(".//input[@name='token']/@value")[0]
        fields = {"token": token, "by": "Solveig", "name": "hip-fracture"}
        assert found.seen_by_nobody().post("/cases/1/place", data=fields).status_code == 401
        assert found.post("/cases/1/place", data=fields).status_code == 200
        assert [h["by"] for h in found.stage.rows(tables.history, case_id=1)] == ["Marta Vik"]


def test_the_page_says_that_a_pathway_of_a_message_is_not_configured(home):
    home.stage.receive(home.stage.message(K.PLACED, placement="<b>knee</b>"))
    shown = page(home.get("/cases/1"))
    (note,) = [words(p) for p in shown.xpath("//p[contains(@class, 'warn')]") if "knee" in words(p)]
    assert note.startswith("! <b>knee</b>: there is no such pathway or group; known: hip-fracture")
    assert note.endswith("It asks for nothing here; correct the region file, or take the patient off it.")
    assert "On: <b>knee</b>." in words(shown)
