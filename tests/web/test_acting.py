"""What people do on the boards, as the browser sends it: each form once, refused beside the field."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from adapter.config import Operator
from adapter.discharge.notices import NoticeKind
from adapter.messaging.people import Person
from adapter.store import tables
from adapter.web.signing_in import hash_password

from .conftest import Site, site
from .people import LUSTER, OPERATOR, SOGNDAL, WARD, Door, signed_in
from .test_pages import page, words

K = NoticeKind
ENGLISH = {"Accept-Language": "en"}
SOMEBODY = Operator(name="somebody", password_scrypt=hash_password("fjord og fjell"))


@dataclass
class Board:
    """A site with somebody signed in."""

    site: Site
    door: Door

    def tell(self, kind: NoticeKind, **more: object) -> str:
        number = str(uuid.uuid4())
        chosen = {"encounter": "LS-1", "message_id": number} | more
        done = self.site.stage.receive(self.site.stage.message(kind, **chosen), channel="http")
        assert done.outcome == "accepted", done.reason
        return number

    def as_(self, person: Person) -> "Board":
        self.door.person = person
        return self

    def get(self, path: str = "/stays/1/act"):
        return self.site.get(path, headers=ENGLISH)

    def forms(self, name: str, case: int = 1) -> list:
        found = page(self.get(f"/stays/{case}/act"))
        return found.xpath(f"//form[@action='/stays/{case}/{name}']")

    def fields(self, form: object) -> dict[str, str]:
        inputs = form.xpath(".//input[@name] | .//textarea | .//select")  # type: ignore[attr-defined]
        return {i.get("name"): i.get("value") or "" for i in inputs if i.get("type") != "checkbox"}

    def send(self, form: object, **more: str):
        data = self.fields(form) | more
        return self.site.post(form.get("action"), data=data, headers=ENGLISH, allow_redirects=False)  # type: ignore[attr-defined]

    def rows(self, kind: str) -> list:
        return self.site.stage.rows(tables.message, type=kind)


@pytest.fixture
def board(tmp_path, clock) -> Iterator[Board]:
    """Synnøve was admitted at ten on 3 March 2014, and is ready at eleven."""
    with site(tmp_path, clock, operators=(SOMEBODY,)) as found, signed_in(SOGNDAL) as door:
        made = Board(found, door)
        made.tell(K.ADMITTED)
        clock.forward(hours=1)
        made.tell(K.READY_FOR_DISCHARGE, ready=clock())
        yield made


def test_a_municipality_answers_in_two_clicks(board):
    can, _, _ = board.forms("answer")
    today, tomorrow = can.xpath(".//button[@name='day']")
    assert [words(today), today.get("value")] == ["From Mon 3 Mar", "2014-03-03"]
    assert tomorrow.get("value") == "2014-03-04"
    answer = board.send(can, day="2014-03-03")
    assert (answer.status_code, answer.headers["location"]) == (303, "/stays/1")
    (told,) = board.rows("answer")
    assert (told["channel"], told["sender"]) == ("board", "sogndal")
    shown = words(page(board.get()))
    assert "Answered so far: can receive, from Mon 3 Mar. A new answer replaces it." in shown


def test_a_double_click_answers_once(board):
    (*_, unknown) = board.forms("answer")
    first, second = board.send(unknown), board.send(unknown)
    assert (first.status_code, second.status_code) == (303, 303)
    assert len(board.rows("answer")) == 1


def test_why_a_patient_cannot_be_received_is_asked_for_beside_the_field_and_what_was_typed_stays(board):
    _, cannot, _ = board.forms("answer")
    answer = board.send(cannot, text="  ", receive_from="2014-03-07")
    assert answer.status_code == 400
    (form,) = [f for f in page(answer).xpath("//form[@action='/stays/1/answer']") if f.xpath(".//textarea")]
    field = form.xpath(".//textarea[@name='text']")[0]
    assert field.get("aria-invalid") == "true"
    said = page(answer).xpath(f"//*[@id='{field.get('aria-describedby')}']")[0]
    assert words(said) == "✕ Say why, so that the ward can plan."
    assert form.xpath(".//input[@name='receive_from']/@value") == ["2014-03-07"]
    assert form.getparent().get("open") is not None
    assert board.rows("answer") == []


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"say": "can-receive", "receive_from": ""}, "Choose a day."),
        ({"say": "can-receive", "receive_from": "2014-03-02"}, "That day is past: choose today"),
        ({"say": "can-receive", "receive_from": "soon"}, "Write the day as year-month-day"),
        ({"say": "can-receive", "receive_from": "0001-01-01"}, "Write the day as year-month-day"),
        ({"say": "cannot-receive", "text": "x" * 2001}, "Write at most 2,000 characters."),
        ({"say": "perhaps"}, "Choose one of the answers."),
        ({"say": "not-known", "key": "17"}, "The case has moved on since you opened the form"),
    ],
)
def test_what_cannot_be_an_answer_is_refused_with_a_sentence_and_nothing_is_sent(board, fields, said):
    (form, *_) = board.forms("answer")
    before = board.site.stage.counts()
    answer = board.send(form, **fields)
    assert answer.status_code == 400
    assert said in words(page(answer))
    assert board.site.stage.counts() | {"fhir_access": 0} == before | {"fhir_access": 0}


def test_a_form_that_is_too_old_says_so_and_sends_nothing(board, clock):
    (form, *_) = board.forms("answer")
    clock.forward(minutes=5)
    board.tell(K.READINESS_WITHDRAWN)
    answer = board.send(form, day="2014-03-03")
    assert answer.status_code == 400
    assert "The case has moved on since you opened the form, and nothing was sent." in words(page(answer))
    assert board.rows("answer") == []


def test_another_municipality_finds_no_such_case(board):
    board.as_(LUSTER)
    hidden, absent = board.get(), board.get("/stays/99/act")
    assert (hidden.status_code, absent.status_code) == (404, 404)
    assert words(page(hidden)) == words(page(absent))


def test_the_form_of_one_person_is_not_another_ones(board):
    (form, *_) = board.forms("answer")
    assert board.as_(LUSTER).send(form, day="2014-03-03").status_code == 403


@pytest.mark.parametrize("who", [WARD, OPERATOR])
def test_only_a_municipality_answers(board, who):
    (form, *_) = board.forms("answer")
    assert board.as_(who).send(form, day="2014-03-03").status_code == 403
    assert board.rows("answer") == []
