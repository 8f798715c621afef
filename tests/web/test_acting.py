"""What people do on the boards, as the browser sends it: each form once, refused beside the field."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from adapter.config import load_region
from adapter.discharge.notices import NoticeKind
from adapter.fhir.bundles import PERSONNUMMER, Subject
from adapter.messaging.people import Person
from adapter.store import tables
from tests.plans import plan_bytes
from tests.stage import TORBJORN

from .conftest import Site, site
from .people import BACKA, LUSTER, OPERATOR, SOGNDAL, VANNAS, WARD, Door, signed_in
from .test_pages import page, words

K = NoticeKind
ENGLISH = {"Accept-Language": "en"}
STOCKHOLM = ZoneInfo("Europe/Stockholm")
VASTERBOTTEN = Path(__file__).parents[2] / "fixtures" / "regions" / "vasterbotten.toml"
BRITTA = Subject(
    identifiers=((PERSONNUMMER, "193911102386"),), family="Granlund", given="Britta", gender="female"
)


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
    with site(tmp_path, clock) as found, signed_in(SOGNDAL) as door:
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


# --- the ward ---------------------------------------------------------------------------------------------


def deadline(board: Board, kind: str) -> str:
    return next(d["state"] for d in board.site.stage.rows(tables.deadline, kind=kind))


def state(board: Board) -> str:
    (row,) = board.site.stage.rows(tables.case)
    return row["state"]


def test_a_ward_withdraws_readiness_and_tells_it_anew(board, clock):
    board.as_(WARD)
    assert board.forms("ready") == []
    (withdraw,) = board.forms("withdraw")
    assert "It goes to Sogndal kommune." in words(withdraw)
    clock.forward(minutes=5)
    assert board.send(withdraw).status_code == 303
    assert state(board) == "admitted"
    assert board.forms("withdraw") == []
    clock.forward(minutes=5)
    (ready,) = board.forms("ready")
    assert ready.xpath(".//input[@name='ready']/@value") == ["2014-03-03T11:10"]
    assert ready.xpath(".//input[@name='sip_needed']") == []  # Norway knows no SIP
    assert board.send(ready, ready="2014-03-04T09:00", estimate="1").status_code == 303
    assert state(board) == "ready"
    again = board.send(withdraw)
    assert again.status_code == 303  # the form that was sent before, sent once more: nothing new
    assert state(board) == "ready"
    assert [len(board.rows(kind)) for kind in ("readiness-withdrawn", "ready-for-discharge")] == [1, 2]


def test_a_ward_revises_the_planned_date_and_tells_that_the_patient_has_left(board, clock):
    board.as_(WARD)
    (planned,) = board.forms("planned")
    assert board.send(planned, planned="2014-03-02").status_code == 400
    assert board.send(planned, planned="2014-03-07").status_code == 303
    (row,) = board.site.stage.rows(tables.case)
    assert str(row["planned_discharge"]) == "2014-03-07"
    (left,) = board.forms("discharged")
    for at, said in (
        ("2014-03-03T12:00", "That lies ahead."),
        ("2014-03-03T09:00", "before the patient was"),
    ):
        refused = board.send(left, at=at)
        assert (refused.status_code, said in words(page(refused))) == (400, True)
    clock.forward(hours=2)
    (left,) = board.forms("discharged")
    assert board.send(left, at="2014-03-03T12:30").status_code == 303
    assert state(board) == "discharged"
    assert board.forms("ready") == board.forms("withdraw") == []


def test_a_ward_tells_of_care_needs_as_often_as_they_change_and_only_the_last_stand(board, clock):
    board.as_(WARD)
    (needs,) = board.forms("care-needs")
    assert "It goes to Sogndal kommune." in words(needs)
    assert board.send(needs, text=" ").status_code == 400
    assert board.send(needs, text="Walks with a frame.").status_code == 303
    assert "The case has moved on" in words(page(board.send(needs, key=str(uuid.uuid4()), text="Anew.")))
    clock.forward(minutes=5)
    (needs,) = board.forms("care-needs")
    assert "Walks with a frame." in words(needs)
    assert "It replaces what was told before: write all of it." in words(needs)
    assert board.send(needs, text="Walks alone.").status_code == 303
    assert len(board.rows("care-needs")) == 2
    shown = words(page(board.as_(SOGNDAL).get("/stays/1")))
    assert "Walks alone." in shown and "Walks with a frame." not in shown


def test_care_needs_are_told_to_the_municipality_and_not_to_everybody_who_knows_of_the_stay(board, clock):
    board.tell(
        K.PLANNED_DISCHARGE, receivers=("sogndal", "laerdal-legekontor"), planned_discharge=clock().date()
    )
    (needs,) = board.as_(WARD).forms("care-needs")
    assert "legekontor" not in words(needs)
    assert board.send(needs, text="Walks with a frame.").status_code == 303
    assert {d["party"] for d in board.site.stage.rows(tables.delivery, kind="care-needs")} == {"sogndal"}
    assert board.send(needs, text="Walks with a frame.").status_code == 303


def test_a_ward_tells_that_the_municipality_is_not_needed_and_that_it_is_after_all(board, clock):
    board.as_(WARD)
    assert board.forms("no-need") == []  # who is ready for discharge waits for the municipality
    (withdraw,) = board.forms("withdraw")
    board.send(withdraw)
    clock.forward(minutes=5)
    (none,) = board.forms("no-need")
    assert deadline(board, "early-notice") == "open"
    assert board.send(none, text="Manages alone.").status_code == 303
    assert board.send(none, text="Manages alone.").status_code == 303
    assert len(board.rows("no-municipal-need")) == 1
    assert deadline(board, "early-notice") == "void"
    assert board.forms("no-need") == []
    assert "Manages alone." in words(page(board.as_(SOGNDAL).get("/stays/1")))
    clock.forward(minutes=5)
    (needs,) = board.as_(WARD).forms("care-needs")
    assert board.send(needs, text="Needs help after all.").status_code == 303
    assert len(board.forms("no-need")) == 1


def test_that_the_municipality_is_not_needed_is_taken_back_where_it_was_an_error(board, clock):
    board.send(board.as_(WARD).forms("withdraw")[0])
    clock.forward(minutes=5)
    board.send(board.forms("no-need")[0])
    clock.forward(minutes=5)
    back = next(form for form in board.forms("take-back") if "need" in words(form))
    assert board.send(back).status_code == 303
    assert deadline(board, "early-notice") == "open"
    assert len(board.forms("no-need")) == 1


def test_what_was_told_in_error_is_taken_back(board, clock):
    board.as_(WARD)
    (left,) = board.forms("discharged")
    board.send(left, at="2014-03-03T11:00")
    assert state(board) == "discharged"
    clock.forward(minutes=5)
    (back,) = board.forms("take-back")
    assert "Everybody who was told it is told that it was an error." in words(back)
    assert [board.send(back).status_code, board.send(back).status_code] == [303, 303]
    assert state(board) == "ready"
    assert board.forms("take-back") == []
    assert [m["standing"] for m in board.rows("discharged")] == ["new", "cancellation"]


def test_a_question_is_asked_answered_once_and_signed_for(board, clock):
    (ask,) = board.forms("ask")
    assert board.send(ask, text=" ").status_code == 400
    assert board.send(ask, text="Can she walk stairs?").status_code == 303
    clock.forward(minutes=5)
    board.as_(WARD)
    (reply,) = board.forms("reply")
    assert "Can she walk stairs?" in words(reply)
    assert board.send(reply, text="With a rail, yes.").status_code == 303
    assert board.forms("reply") == []
    assert [m["sender"] for m in (*board.rows("enquiry"), *board.rows("reply"))] == [
        "sogndal",
        "laerdal-sjukehus",
    ]


def test_who_signs_for_a_notice_is_kept_with_role_and_time(board, clock):
    clock.forward(minutes=20)
    forms = board.forms("seen")
    assert len(forms) == 2
    assert board.send(forms[-1]).status_code == 303
    assert len(board.forms("seen")) == 1
    (told,) = board.rows("seen")
    (fact,) = board.site.stage.rows(tables.fact, kind="seen")
    assert "Marta Kvam" in fact["body"]
    assert told["sender"] == "sogndal"


def test_a_free_text_answer_is_classified_by_whoever_has_sent_or_got_it(board, clock):
    (ready,) = board.rows("ready-for-discharge")
    board.tell(
        K.REPLY, sender="sogndal", receivers=("laerdal-sjukehus",), text="Vi er klare torsdag",
        refers_to=ready["message_id"],
    )  # fmt: skip
    board.as_(WARD)
    (form,) = board.forms("classify")
    assert "Vi er klare torsdag" in words(form)
    assert board.send(form, say="can-receive", receive_from="2014-03-06").status_code == 303
    assert board.forms("classify") == []
    assert board.send(form, say="not-known").status_code == 400  # it has been classified meanwhile
    notes = [h["by"] for h in board.site.stage.rows(tables.history) if "classified" in h["what"]]
    assert notes == ["Solveig Ness"]


def test_a_follow_up_is_ticked_off_once(board, clock):
    board.tell(K.DISCHARGED)
    clock.forward(days=3)
    (form,) = board.forms("follow-up")
    sent = {"what": "call", "at": "2014-03-06T10:00"}
    assert [board.send(form, **sent).status_code for _ in range(2)] == [303, 303]
    assert len(board.site.stage.rows(tables.fact, kind="followed-up")) == 1
    assert board.send(form, key="", what="call", at="2014-03-02T10:00").status_code == 400
    for key in ("", "21843012660"):
        assert board.send(form, key=key, **sent).status_code == 400  # no form of ours


# --- primary care -----------------------------------------------------------------------------------------


@pytest.fixture
def sweden(tmp_path, clock) -> Iterator[Board]:
    """Britta was admitted in Umeå, may need a SIP, and Vännäs and Backa have been told."""
    clock.at = datetime(2024, 3, 5, 10, 0, tzinfo=STOCKHOLM)
    towns = ("vannas", "backa-vardcentral")
    umea = {"sender": "umea-lasarett", "hospital": "umea-lasarett", "receivers": towns, "subject": BRITTA}
    region = load_region(VASTERBOTTEN)
    with site(tmp_path, clock, of=region) as found, signed_in(BACKA) as door:
        made = Board(found, door)
        made.tell(K.ADMITTED, planned_discharge=date(2024, 3, 8), **umea)
        clock.forward(hours=1)
        made.tell(K.READY_FOR_DISCHARGE, ready=clock(), sip_needed=True, **umea)
        yield made


def test_primary_care_names_the_contact_calls_to_a_sip_and_states_that_open_care_is_there(sweden, clock):
    assert (deadline(sweden, "fixed-care-contact"), deadline(sweden, "sip-call")) == ("open", "open")
    (contact,) = sweden.forms("contact")
    assert sweden.send(contact, contact="backa-vardcentral").status_code == 303
    assert deadline(sweden, "fixed-care-contact") == "met"
    (call,) = sweden.forms("sip-call")
    refused = sweden.send(call, starts="2024-03-05T10:30", to="vannas")
    assert (refused.status_code, "A meeting lies ahead" in words(page(refused))) == (400, True)
    for minutes in ("0", "0006099", "00060" + "9" * 5000):
        assert sweden.send(call, starts="2024-03-07T10:00", minutes=minutes, to="vannas").status_code == 400
    assert sweden.send(call, starts="2024-03-07T10:00", to="nobody").status_code == 400
    assert sweden.send(call, starts="2024-03-07T10:00", to="vannas").status_code == 303
    assert deadline(sweden, "sip-call") == "met"
    (care,) = sweden.forms("open-care")
    assert sweden.send(care, available="yes").status_code == 303
    told = [(m["sender"], m["type"]) for m in sweden.site.stage.rows(tables.message, channel="board")]
    assert told == [
        ("backa-vardcentral", k) for k in ("fixed-contact-named", "sip-call", "open-care-availability")
    ]


def test_consent_is_given_and_withdrawn_and_a_sip_declined(sweden, clock):
    given, refused = sweden.forms("consent")
    assert sweden.send(given).status_code == 303
    clock.forward(minutes=1)
    (withdrawn,) = sweden.forms("consent")
    assert sweden.send(refused).status_code == 400  # it was made before the consent
    assert sweden.send(withdrawn).status_code == 303
    (declined,) = sweden.forms("sip-declined")
    assert sweden.send(declined, who="nobody").status_code == 400
    assert sweden.send(declined, who="patient").status_code == 303
    assert deadline(sweden, "sip-call") == "void"


def test_a_swedish_municipality_asks_for_a_sip_and_the_call_is_not_made_by_it(sweden):
    sweden.as_(VANNAS)
    (ask,) = sweden.forms("request-sip")
    assert sweden.forms("sip-call") == []
    assert sweden.send(ask, text="She lives alone").status_code == 303
    assert deadline(sweden, "sip-call") == "open"


def test_norway_has_no_sip(board):
    assert board.forms("request-sip") == []
    (claim,) = board.forms("beyond-control")
    assert board.send(claim, text="Ras over vegen").status_code == 303


# --- tasks of a plan --------------------------------------------------------------------------------------


@pytest.fixture
def planned(board, clock) -> Board:
    """Lærdal sjukehus has asked Luster to come morning and evening."""
    board.tell(K.ADMITTED, receivers=("luster",), encounter="LS-1")
    done = board.site.stage.receive(plan_bytes(board.site.stage.built.register, at=clock()), channel="http")
    assert done.outcome == "accepted", done.reason
    clock.forward(minutes=5)
    return board.as_(LUSTER)


def task(board: Board, say: str):
    return next(f for f in board.forms("task") if f.xpath(f".//input[@name='say' and @value='{say}']"))


def versions(board: Board) -> int:
    return len(board.rows("care-plan"))


def test_a_task_of_a_plan_is_taken_on_and_done_each_once(planned, clock):
    taking = task(planned, "accepted")
    assert "Heimesjukepleie" in words(taking)
    assert [planned.send(taking).status_code for _ in range(2)] == [303, 303]
    assert versions(planned) == 2
    assert {m["channel"] for m in planned.rows("care-plan")} == {"http", "board"}
    clock.forward(minutes=5)
    assert planned.send(task(planned, "completed")).status_code == 303
    assert planned.forms("task") == []
    notes = [h["by"] for h in planned.site.stage.rows(tables.history) if "a task of the plan" in h["what"]]
    assert notes == ["Olav Hatle", "Olav Hatle"]


def test_a_task_is_declined_with_a_reason_or_another_day_is_proposed(planned, clock):
    decline, propose = task(planned, "rejected"), task(planned, "on-hold")
    refused = planned.send(decline, text="")
    assert (refused.status_code, "Say why." in words(page(refused))) == (400, True)
    assert planned.send(propose, day="").status_code == 400
    assert planned.send(propose, day="2014-03-12").status_code == 303
    clock.forward(minutes=5)
    late = planned.send(decline, text="Full")
    assert (late.status_code, "The case has moved on" in words(page(late))) == (400, True)
    assert planned.send(task(planned, "rejected"), text="Full").status_code == 303
    assert planned.forms("task") == []


def test_nobody_else_takes_on_a_task(planned):
    assert planned.as_(SOGNDAL).forms("task") == []
    (form, *_) = planned.as_(LUSTER).forms("task")
    data = planned.fields(form)
    planned.as_(SOGNDAL)
    token = planned.fields(planned.forms("ask")[0])["token"]
    sent = data | {"token": token, "party": "sogndal"}
    answer = planned.site.post("/stays/1/task", data=sent, headers=ENGLISH, allow_redirects=False)
    assert answer.status_code == 404
    assert versions(planned) == 1


def test_a_task_is_done_in_its_own_case_only(planned):
    """Else the history and the record of looks of one patient would tell what was done for another."""
    planned.tell(K.ADMITTED, receivers=("luster",), encounter="LS-9", subject=TORBJORN)
    sent = planned.fields(task(planned, "accepted"))
    answer = planned.site.post("/stays/2/task", data=sent, headers=ENGLISH, allow_redirects=False)
    assert answer.status_code == 404
    assert versions(planned) == 1


# --- told by telephone or on paper ------------------------------------------------------------------------


def test_what_was_told_by_telephone_is_recorded_and_taken_back(board, clock):
    clock.forward(minutes=30)
    (form,) = board.forms("record")
    assert "By telephone counts: an answer. By telephone does not count: a notice and a receipt." in words(
        form
    )
    what = "answer/sogndal/laerdal-sjukehus"
    assert what in form.xpath(".//select[@name='what']/option/@value")
    told = {"what": what, "way": "telephone", "at": "2014-03-03T11:20", "answer": "not-known"}
    for less, said in (
        ({}, "Say who spoke with whom"),
        ({"text": "Phoned", "answer": ""}, "Choose one of the answers."),
        ({"text": "Phoned about 210843 12660"}, "Leave out what looks like an identity number."),
        ({"text": "Phoned", "at": "2014-03-03T12:00"}, "That lies ahead."),
        ({"text": "Phoned", "way": "pigeon"}, "Choose one of those in the list."),
        ({"text": "Phoned", "what": "answer/sogndal"}, "Choose one of those in the list."),
        ({"text": "Phoned", "what": "joy/sogndal/luster"}, "Choose one of those in the list."),
    ):
        refused = board.send(form, **(told | less))
        assert (refused.status_code, said in words(page(refused))) == (400, True), said
    assert board.send(form, **told, text="Marta phoned\r\n\x1b[2JSolveig").status_code == 303
    (note,) = [n["what"] for n in board.site.stage.rows(tables.history) if n["what"].startswith("recorded: ")]
    assert note.endswith(": Marta phoned [2JSolveig")
    assert board.rows("answer") == []
    assert len(board.site.stage.rows(tables.fact, kind="answer")) == 1
    (back,) = board.forms("unrecord")
    assert board.send(back).status_code == 303
    assert board.forms("unrecord") == []


def test_that_a_notice_is_there_is_recorded_from_a_call(board):
    (form,) = board.forms("record-receipt")
    (*_, last) = form.xpath(".//select[@name='what']/option/@value")
    sent = {"what": last, "way": "telephone", "at": "2014-03-03T11:00", "text": "She has it"}
    assert board.send(form, **sent).status_code == 303
    assert len(board.site.stage.rows(tables.fact, kind="confirmed")) == 1
    assert "She has it" in words(page(board.as_(OPERATOR).get("/cases/1")))
    assert board.as_(SOGNDAL).get("/stays/1").status_code == 200
    assert board.as_(LUSTER).get().status_code == 404


# --- a first notice ---------------------------------------------------------------------------------------


def first(board: Board, **more: str | list[str]):
    found = page(board.as_(WARD).get("/ward/new"))
    (form,) = found.xpath("//form[@action='/ward/new']")
    filled = {
        "kind": "admitted", "number": "05882954384", "family": "Vik-Hansen", "given": "Torbjørn",
        "born": "1929-08-05", "gender": "male", "admitted": "2014-03-03T10:30", "ward": "laerdal-sjukehus",
        "to": ["aardal"],
    }  # fmt: skip
    data = board.fields(form) | filled | more
    return board.site.post("/ward/new", data=data, headers=ENGLISH, allow_redirects=False), data


def test_a_ward_sends_a_first_notice_by_a_form_and_the_number_is_in_its_body_alone(board):
    answer, data = first(board)
    assert (answer.status_code, answer.headers["location"]) == (303, "/stays/2")
    (told,) = [m for m in board.rows("admitted") if m["channel"] == "board"]
    assert told["sender"] == "laerdal-sjukehus"
    assert [d["party"] for d in board.site.stage.rows(tables.delivery, case_id=2)] == ["aardal"]
    again = board.site.post("/ward/new", data=data, headers=ENGLISH, allow_redirects=False)
    assert (again.status_code, again.headers["location"]) == (303, "/stays/2")
    assert len(board.rows("admitted")) == 2


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"number": "05882954385"}, "This cannot be a number"),
        ({"born": "1929-08-06"}, "are not one person's"),
        ({"born": "2014-03-04"}, "That lies ahead."),
        ({"family": ""}, "Write the name."),
        ({"admitted": "2014-03-04T10:30"}, "That lies ahead."),
        ({"planned": "2014-03-02"}, "That is before the patient was admitted."),
        ({"to": []}, "Choose who is told."),
        ({"to": ["laerdal-sjukehus"]}, "Choose who is told."),
        ({"ward": "sogndal"}, "Choose one of those in the list."),
        ({"kind": "answer"}, "Choose one of those in the list."),
        ({"kind": "care-needs", "text": ""}, "Write the care needs."),
        ({"text": "Fell at home"}, "Only care needs carry words"),
    ],
)
def test_a_first_notice_that_cannot_be_is_refused_beside_the_field(board, fields, said):
    before = board.site.stage.counts()
    answer, _ = first(board, **fields)
    assert answer.status_code == 400
    assert said in words(page(answer))
    assert page(answer).xpath("//*[@class='mistake']")
    assert page(answer).xpath("//input[@name='given']/@value") == ["Torbjørn"]
    assert board.site.stage.counts() == before


def test_only_a_ward_sends_first_notices(board):
    assert board.get("/ward/new").status_code == 403
