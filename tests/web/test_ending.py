"""Closing a case by hand, reopening it, and ticking off a report of admission, as the browser sends it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from adapter.config import load_region
from adapter.messaging.people import Person, Role
from adapter.store import tables
from tests.medcom_stays import COPENHAGEN, Stay

from .conftest import site
from .people import OPERATOR, signed_in
from .test_acting import Board
from .test_pages import page, words

STRANDBY = Path(__file__).parents[2] / "fixtures" / "regions" / "strandby.toml"
NOON = datetime(2024, 3, 6, 12, 0, tzinfo=COPENHAGEN)
IDA = Person(id="ida", name="Ida Lund", roles=frozenset({Role.MUNICIPALITY}), parties=("strandby",))
WARD = Person(id="bo", name="Bo Krogh", roles=frozenset({Role.WARD}), parties=("strandby-sygehus",))


@pytest.fixture
def board(tmp_path, clock) -> Iterator[Board]:
    """Nancy was admitted at noon, and the hospital wants the municipality's report."""
    clock.at = NOON + timedelta(minutes=1)
    with site(tmp_path, clock, of=load_region(STRANDBY)) as found, signed_in(IDA) as door:
        made = Board(found, door)
        made.stay = Stay(NOON)
        done = found.stage.receive(made.stay.admit(report=True), channel="http")
        assert done.outcome == "accepted", done.reason
        clock.forward(hours=2)
        yield made


def state(board: Board) -> str:
    return str(board.site.stage.rows(tables.case)[0]["state"])


def test_the_municipality_closes_the_stay_once_and_opens_it_again(board, clock):
    (form,) = board.forms("close")
    sent = [board.send(form, why="hun kom aldrig").status_code for _ in range(2)]
    assert (sent, state(board)) == ([303, 303], "closed")
    assert len(board.site.stage.rows(tables.fact, kind="closed")) == 1
    assert board.forms("close") == []
    stay = words(page(board.get("/stays/1")))
    assert "closed by hand" in stay.casefold()
    assert "hun kom aldrig" in stay
    assert "Discharged" not in stay
    board.as_(WARD)
    assert "Closed by hand" in words(page(board.get("/ward?group=left")))
    board.as_(IDA)
    clock.forward(minutes=1)
    (back,) = board.forms("reopen")
    assert board.send(back, why="hun kom alligevel").status_code == 303
    assert state(board) == "admitted"


def test_a_reason_is_asked_for_and_a_number_is_none(board):
    (form,) = board.forms("close")
    for why in ("  ", "251248-9996"):
        answer = board.send(form, why=why)
        assert answer.status_code == 400
    assert state(board) == "admitted"


def test_the_report_is_shown_on_the_list_and_ticked_off_once(board):
    assert "Report of admission wanted" in words(page(board.get("/municipality?group=in")))
    assert "asks the municipality for its report of admission" in words(page(board.get("/stays/1")))
    (form,) = board.forms("report-sent")
    assert [board.send(form).status_code for _ in range(2)] == [303, 303]
    assert board.forms("report-sent") == []
    assert "Report of admission wanted" not in words(page(board.get("/municipality?group=in")))
    assert board.site.stage.rows(tables.delivery) == []  # nothing was sent by it


def test_the_ward_has_neither_form(board):
    board.as_(WARD)
    assert board.forms("close") == []
    assert board.forms("report-sent") == []
    data = {"party": "strandby", "key": "", "why": "x"}
    for name in ("close", "reopen", "report-sent"):
        assert board.site.post(f"/stays/1/{name}", data=data, allow_redirects=False).status_code == 403


def test_an_operator_closes_reopens_and_ticks_off_on_the_page_of_the_case(board, clock):
    board.as_(OPERATOR)

    def form(name: str):
        found = page(board.get("/cases/1")).xpath(f"//form[@action='/cases/1/{name}']")
        return found[0] if found else None

    assert board.send(form("report-sent")).status_code == 303
    assert form("report-sent") is None
    assert board.send(form("close"), why="intet nyt i en måned").status_code == 303
    assert (state(board), form("close")) == ("closed", None)
    assert "intet nyt i en måned" in words(page(board.get("/cases/1")))
    clock.forward(minutes=1)
    assert board.send(form("reopen"), why="hun er her").status_code == 303
    assert state(board) == "admitted"
    assert board.send(form("close"), why="").status_code == 400


def test_the_page_of_the_stay_tells_of_a_transfer(board, clock):
    there = Stay(clock(), hospital="lindholm-sygehus")
    assert board.site.stage.receive(there.admit(), channel="http").outcome == "accepted"
    assert "The patient was taken over by Lindholm Sygehus." in words(page(board.get("/stays/1")))


def test_a_correction_shows_what_it_changed_on_the_page_of_the_stay(board, clock):
    content = board.stay.revise(board.stay.history[0], clock(), start=NOON + timedelta(minutes=20))
    assert board.site.stage.receive(content, channel="http").outcome == "accepted"
    shown = words(page(board.get("/stays/1")))
    assert "12:00" in shown
    assert "12:20" in shown
    board.as_(OPERATOR)
    assert "Changed:" in words(page(board.get("/cases/1")))


def test_a_municipality_whose_own_system_sends_its_messages_closes_and_ticks_off_too(board, clock):
    """Nothing is sent by it: a board is where its people say so."""
    egelund = replace(IDA, parties=("egelund",))
    there = Stay(clock(), municipality="egelund", cpr="0101999999")
    done = board.site.stage.receive(there.admit(report=True), channel="http")
    assert done.outcome == "accepted", done.reason
    clock.forward(minutes=5)
    board.as_(egelund)
    (report,) = board.forms("report-sent", case=2)
    assert board.send(report).status_code == 303
    (form,) = board.forms("close", case=2)
    assert board.send(form, why="hun kom aldrig").status_code == 303
    assert board.site.stage.rows(tables.case)[1]["state"] == "closed"


def test_who_works_in_two_places_closes_a_stay_only_as_its_municipality(board):
    both = frozenset({Role.MUNICIPALITY, Role.WARD})
    board.as_(replace(IDA, roles=both, parties=("strandby", "strandby-sygehus")))
    (form,) = board.forms("close")
    assert form.xpath(".//input[@name='party']/@value") == ["strandby"]
    assert board.send(form, why="x", party="strandby-sygehus").status_code == 404
    assert state(board) == "admitted"
