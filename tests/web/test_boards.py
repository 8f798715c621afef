"""The boards of ward and municipality in Indre Sogn: who is listed where, and what a row says.

Process.md 4 (the receipt), 8 (who is responsible), 9 (death), 13-14 (the answer), 28-29 (who sees what).
"""

import re
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import orjson
import pytest

from adapter.discharge.notices import AnswerValue, NoticeKind, Standing
from adapter.messaging.people import Person, Role
from adapter.simulator.people import synthetic_numbers
from tests.conftest import OSLO, StandingClock
from tests.stage import FNR, SYNNOVE, TORBJORN, answering, failing

from .boards import AARDAL, LAERDAL, SOGNDAL, WARD, Boards, boards, everybody, text

pytestmark = pytest.mark.postgres_in_soak

K = NoticeKind


BORN = date(1931, 5, 2)
LUSTER = replace(AARDAL, id="lu", parties=("luster",))
GP = Person(id="g", name="Per Lie", roles=frozenset({Role.PRIMARY_CARE}), parties=("laerdal-legekontor",))


@pytest.fixture
def board(
    tmp_path: Path, clock: StandingClock, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Boards]:
    """Nobody is in yet; both stores."""
    with boards(tmp_path, clock, monkeypatch, store=store_url) as found:
        yield found


def tell(board: Boards, kind: NoticeKind, **more: object) -> str:
    """A notice comes; its id."""
    message_id = str(more.setdefault("message_id", str(uuid.uuid4())))
    done = board.stage.receive(board.stage.message(kind, **more), channel="http")  # type: ignore[arg-type]
    assert done.outcome == "accepted", done.reason
    board.stage.clock.forward(minutes=1)  # type: ignore[attr-defined]
    return message_id


def admit(board: Boards, **more: object) -> None:
    tell(board, K.ADMITTED, **({"planned_discharge": date(2014, 3, 6)} | more))


def ready(board: Boards, **more: object) -> str:
    return tell(board, K.READY_FOR_DISCHARGE, **({"ready": board.stage.clock()} | more))


def answer(board: Boards, value: AnswerValue, about: str, **more: object) -> str:
    usual = {"sender": "sogndal", "receivers": ("laerdal-sjukehus",), "refers_to": about, "answer": value}
    return tell(board, K.ANSWER, **(usual | more))


# --- the ward ---------------------------------------------------------------------------------------------


def test_a_ward_sees_who_is_in_by_name_and_age_with_the_planned_day(board: Boards):
    admit(board)
    [row] = board.rows(WARD, "/ward")
    assert row.startswith("Fjellheim, Synnøve")
    assert "Sogndal kommune" in row
    assert "Expected home Thu 6 Mar" in row
    assert "Admitted step 1 of 6" in row


def test_the_receipt_of_the_notice_is_told(board: Boards, clock: StandingClock):
    admit(board)
    assert "Admission notice: not sent yet" in board.rows(WARD, "/ward")[0]
    board.stage.post.answer = failing(503)
    board.stage.deliver()
    assert "Admission notice: not through, tried again" in board.rows(WARD, "/ward")[0]
    clock.forward(minutes=30)
    board.stage.post.answer = answering(clock)
    board.stage.deliver()
    assert "Admission notice: accepted" in board.rows(WARD, "/ward")[0]


@pytest.mark.parametrize(
    ("value", "more", "said"),
    [
        (AnswerValue.CAN_RECEIVE, {"receive_from": date(2014, 3, 4)}, "Can receive from Tue 4 Mar"),
        (AnswerValue.CANNOT_RECEIVE, {}, "Cannot receive yet"),
        (AnswerValue.NOT_KNOWN, {}, "Not known yet"),
    ],
)
def test_the_answer_is_told_with_the_stage(
    board: Boards, value: AnswerValue, more: dict[str, object], said: str
):
    admit(board)
    asked = ready(board)
    assert "Ready step 3 of 6" in board.rows(WARD, "/ward")[0]
    assert "No answer yet" in board.rows(WARD, "/ward?group=waiting")[0]
    answer(board, value, asked, **more)
    [row] = board.rows(WARD, "/ward")
    assert (said in row, "Answered step 4 of 6" in row) == (True, True)


def test_an_answer_in_free_text_waits_to_be_read(board: Boards):
    admit(board)
    asked = ready(board)
    tell(board, K.NOTE, sender="sogndal", receivers=("laerdal-sjukehus",), refers_to=asked, text="Me prøver.")
    [row] = board.rows(SOGNDAL, "/municipality?group=waiting")
    assert "Answered in words: to be read" in row
    assert "Me prøver" not in board.open(SOGNDAL, "/municipality").text


def test_a_withdrawn_readiness_asks_nothing(board: Boards):
    admit(board)
    asked = ready(board)
    answer(board, AnswerValue.CANNOT_RECEIVE, asked)
    tell(board, K.READINESS_WITHDRAWN)
    [row] = board.rows(WARD, "/ward")
    assert "Admitted step 1 of 6" in row
    assert "Cannot receive" not in row
    assert board.rows(SOGNDAL, "/municipality?group=waiting") == []


def test_an_answer_to_the_readiness_before_is_none_to_this_one(board: Boards):
    admit(board)
    answer(board, AnswerValue.CANNOT_RECEIVE, ready(board))
    tell(board, K.READINESS_WITHDRAWN)
    ready(board)
    assert "No answer yet" in board.rows(SOGNDAL, "/municipality?group=waiting")[0]


def test_a_readiness_that_is_announced_asks_for_no_answer_yet(board: Boards, clock: StandingClock):
    admit(board)
    ready(board, ready=clock() + timedelta(days=2), estimate=True)
    [row] = board.rows(WARD, "/ward")
    assert "Announced ready" in row
    assert "Not asked yet" in row
    assert board.rows(SOGNDAL, "/municipality?group=waiting") == []


def asked_in_time(board: Boards, clock: StandingClock) -> None:
    """The municipality has had the early notice and the ready notice, and has given its receipts."""
    board.stage.post.answer = answering(clock)
    admit(board)
    tell(board, K.CARE_NEEDS)
    ready(board)
    for _ in range(3):
        board.stage.deliver()


def test_days_waiting_cost_what_the_ledger_says(board: Boards, clock: StandingClock):
    asked_in_time(board, clock)
    clock.forward(days=3)
    [row] = board.rows(WARD, "/ward?group=waiting", "nb")
    assert "12 765" in row.replace("\xa0", " ")
    assert "12 765" in board.rows(SOGNDAL, "/municipality?group=waiting", "nb")[0].replace("\xa0", " ")


def test_an_unknown_price_says_so(board: Boards, clock: StandingClock):
    clock.at = datetime(2026, 3, 2, 10, 0, tzinfo=OSLO)
    asked_in_time(board, clock)
    clock.forward(days=2)
    assert "days charged, price unknown" in board.rows(WARD, "/ward?group=waiting")[0]


def test_those_who_have_left_stand_apart_for_a_week(board: Boards, clock: StandingClock):
    admit(board)
    tell(board, K.DISCHARGED)
    assert board.rows(WARD, "/ward") == []
    assert "Discharged" in board.rows(WARD, "/ward?group=left")[0]
    clock.forward(days=8)
    assert board.rows(WARD, "/ward?group=left") == []


# --- the municipality -------------------------------------------------------------------------------------


def groups(board: Boards, person: Person, path: str = "/municipality") -> dict[str, int]:
    """The count of each list."""
    page = board.open(person, path).text
    found = re.findall(r'href="[^"]*group=([a-z-]+)[^"]*"[^>]*>[^<]*<span class="count[^"]*">(\d+)<', page)
    return {name: int(count) for name, count in found}


def test_who_comes_home_follows_the_planned_day_and_the_answer(board: Boards, clock: StandingClock):
    admit(board, planned_discharge=date(2014, 3, 3))
    admit(board, subject=TORBJORN, encounter="LS-2", planned_discharge=date(2014, 3, 7))
    assert (groups(board, SOGNDAL)["today"], groups(board, SOGNDAL)["week"]) == (1, 1)
    asked = ready(board)
    answer(board, AnswerValue.CAN_RECEIVE, asked, receive_from=date(2014, 3, 5))
    assert (groups(board, SOGNDAL)["today"], groups(board, SOGNDAL)["week"]) == (0, 2)
    tell(board, K.PLANNED_DISCHARGE, subject=TORBJORN, encounter="LS-2", planned_discharge=date(2014, 3, 20))
    assert groups(board, SOGNDAL)["week"] == 1


def test_an_answer_that_is_late_is_overdue_for_whom_it_is_asked_of(board: Boards, clock: StandingClock):
    board.stage.post.answer = answering(clock)
    admit(board)
    ready(board)
    board.stage.deliver()
    board.stage.deliver()
    clock.forward(days=2)
    [row] = board.rows(SOGNDAL, "/municipality?group=overdue")
    assert "overdue" in row
    assert "answer of the municipality" in row
    assert board.rows(AARDAL, "/municipality?group=overdue") == []


def test_a_stay_sent_by_mistake_is_no_longer_theirs_and_still_to_be_seen(board: Boards):
    admit(board, planned_discharge=date(2014, 3, 3))
    assert groups(board, SOGNDAL)["today"] == 1
    tell(board, K.MISROUTED, sender="sogndal", receivers=("laerdal-sjukehus",), text="Ikkje vår.")
    assert {name: n for name, n in groups(board, SOGNDAL).items() if n} == {"past": 1}
    assert "Fjellheim" in board.rows(SOGNDAL, "/municipality?group=past")[0]
    admit(board, planned_discharge=date(2014, 3, 3))
    assert groups(board, SOGNDAL)["today"] == 1


def test_another_municipality_becomes_responsible(board: Boards):
    admit(board, planned_discharge=date(2014, 3, 3))
    tell(board, K.RESPONSIBLE_MUNICIPALITY_CHANGED, receivers=("luster",))
    assert (groups(board, SOGNDAL)["today"], groups(board, SOGNDAL)["past"]) == (0, 1)
    admit(board, receivers=("luster",), planned_discharge=date(2014, 3, 3))
    assert groups(board, LUSTER)["today"] == 1
    assert "Luster" not in board.open(SOGNDAL, "/municipality?group=past").text


def test_each_of_two_municipalities_sees_its_own_part(board: Boards):
    admit(board)
    admit(board, receivers=("aardal",))
    ready(board)
    assert "Ready step 3" in board.rows(SOGNDAL, "/municipality?group=in")[0]
    assert "Admitted step 1" in board.rows(AARDAL, "/municipality?group=in")[0]
    assert groups(board, AARDAL)["waiting"] == 0
    assert groups(board, LAERDAL) == dict.fromkeys(groups(board, LAERDAL), 0)


def test_a_host_sees_those_whom_it_serves_and_whose_they_are(board: Boards):
    admit(board, receivers=("sogn-lms",), planned_discharge=date(2014, 3, 3))
    [row] = board.rows(LAERDAL, "/municipality?group=today")
    assert "for Sogn lokalmedisinske senter" in row
    assert board.rows(SOGNDAL, "/municipality?group=in") == []


def test_nobody_waits_for_who_has_died(board: Boards):
    admit(board, planned_discharge=date(2014, 3, 3))
    ready(board)
    tell(board, K.DECEASED)
    assert not any(groups(board, SOGNDAL).values())
    assert board.rows(WARD, "/ward") == []
    assert "Died" in board.rows(WARD, "/ward?group=left")[0]


def test_a_correction_moves_and_a_cancellation_removes_a_stay(board: Boards):
    told = tell(board, K.ADMITTED, planned_discharge=date(2014, 3, 3))
    again = tell(
        board, K.ADMITTED, planned_discharge=date(2014, 3, 6), standing=Standing.CORRECTION, refers_to=told
    )
    assert (groups(board, SOGNDAL)["today"], groups(board, SOGNDAL)["week"]) == (0, 1)
    tell(board, K.ADMITTED, standing=Standing.CANCELLATION, refers_to=again)
    assert not any(groups(board, SOGNDAL).values())


def test_a_transfer_is_no_discharge(board: Boards):
    admit(board)
    tell(board, K.TRANSFERRED)
    assert groups(board, SOGNDAL)["in"] == 1


def test_a_reservation_and_a_readmission_are_told(board: Boards, clock: StandingClock):
    admit(board, acute=True)
    tell(board, K.DISCHARGED)
    clock.forward(days=3)
    admit(board, acute=True, encounter="LS-9", reserved=True)
    [row] = board.rows(SOGNDAL, "/municipality?group=in")
    assert "Not to be passed on" in row
    assert "eadmission" in row


def test_a_readmission_is_told_to_nobody_who_does_not_know_the_stay_before(
    board: Boards, clock: StandingClock
):
    admit(board, acute=True, receivers=("luster",))
    tell(board, K.DISCHARGED, receivers=("luster",))
    clock.forward(days=3)
    admit(board, acute=True, encounter="LS-9", receivers=("sogndal",))
    [row] = board.rows(SOGNDAL, "/municipality?group=in")
    assert "Fjellheim" in row and "eadmission" not in row
    [row] = board.rows(WARD, "/ward")
    assert "eadmission" in row
    tell(board, K.CARE_NEEDS, encounter="LS-9", receivers=("luster",))
    assert "eadmission" in board.rows(LUSTER, "/municipality?group=in")[0]


# --- a GP's office ----------------------------------------------------------------------------------------


def test_where_the_law_asks_little_of_primary_care_its_board_begins_with_who_is_in(board: Boards):
    admit(board, receivers=("sogndal", "laerdal-legekontor"))
    admit(board, subject=TORBJORN, encounter="LS-2")
    [row] = board.rows(GP, "/primary-care")
    assert "Fjellheim" in row
    assert groups(board, GP, "/primary-care") == {"follow-up": 0, "in": 1}


def test_a_visit_that_the_gp_must_make_is_on_the_gps_board(board: Boards, clock: StandingClock):
    both = ("sogndal", "laerdal-legekontor")
    admit(board, receivers=both)
    tell(board, K.DISCHARGED, receivers=both)
    tell(board, K.PLACED, receivers=both, placement="hip-fracture")
    assert groups(board, GP, "/primary-care")["follow-up"] == 0  # fourteen days are left
    clock.forward(days=8)
    [row] = board.rows(GP, "/primary-care")
    assert "Fjellheim" in row and "6 days left follow-up" in row
    assert "6 days left" not in board.open(SOGNDAL, "/municipality?group=follow-up").text


# --- choosing ---------------------------------------------------------------------------------------------


def test_everything_chosen_stands_in_the_address(board: Boards):
    admit(board)
    admit(
        board, subject=TORBJORN, encounter="LS-2", receivers=("aardal",), planned_discharge=date(2014, 3, 4)
    )
    ready(board, subject=TORBJORN, encounter="LS-2", receivers=("aardal",))

    def names(query: str) -> list[str]:
        return [row.split(",")[0] for row in board.rows(WARD, f"/ward?{query}")]

    assert names("") == ["Vik-Hansen", "Fjellheim"]
    assert names("sort=name") == ["Fjellheim", "Vik-Hansen"]
    assert names("sort=-name") == ["Vik-Hansen", "Fjellheim"]
    assert names("sort=admitted") == ["Fjellheim", "Vik-Hansen"]
    assert names("sort=-stage") == names("sort=waiting") == ["Vik-Hansen", "Fjellheim"]
    assert names("stage=ready") == names("other=aardal") == names("waiting=1") == ["Vik-Hansen"]
    assert names("q=fjell") == names("q=SYNNØVE+fj") == ["Fjellheim"]
    assert names("q=%25") == names("q=Hansen+fjell") == []
    assert len(names("sort=left")) == 2
    page = board.open(WARD, "/ward?q=fjell&sort=name").text
    assert 'value="fjell"' in page
    assert "q=fjell&amp;page" not in page
    assert "Nobody here matches" in board.open(WARD, "/ward?q=nobody").text


def test_names_are_sorted_as_people_of_the_regions_language_look_for_them(board: Boards):
    named = ("Åsen", "Østby", "Zetterlund", "Dahl")
    for name, number in zip(named, synthetic_numbers(BORN, "female"), strict=False):
        somebody = replace(SYNNOVE, family=name, identifiers=((FNR, number),))
        admit(board, subject=somebody, encounter=f"LS-{number}")
    found = board.rows(WARD, "/ward?sort=name")
    assert [row.partition(",")[0] for row in found] == ["Dahl", "Zetterlund", "Østby", "Åsen"]
    found = board.rows(WARD, "/ward?sort=-name", "en")
    assert found[0].startswith("Åsen")


@pytest.mark.parametrize(
    "query", ["page=0", "page=x", "page=99999999999", "group=no", "sort=no", "stage=9", "other='"]
)
def test_an_address_that_says_nothing_sensible_shows_the_list(board: Boards, query: str):
    assert board.open(WARD, f"/ward?{query}").status_code == 200


def test_an_empty_list_says_what_that_means(board: Boards):
    page = text(board.open(SOGNDAL, "/municipality").text)
    assert "No hospital waits for an answer of yours." in page
    assert "Nobody is expected home today." in page


def test_the_wall_has_no_forms_and_no_names_and_turns_its_pages(board: Boards):
    for number in range(13):
        admit(
            board,
            subject=replace(SYNNOVE, identifiers=(), given=f"Anna {number}", birth_date=BORN),
            encounter=f"E{number}",
        )
    page = board.open(WARD, "/ward?wall=1").text
    assert page.count('<tr id="stay-') == 12
    assert "Fjellheim" not in page
    assert "<form" not in page.partition("<main")[2]
    assert 'content="20; url=/ward?group=in&amp;page=2&amp;wall=1"' in page
    assert board.open(WARD, "/ward?wall=1&page=2").text.count('<tr id="stay-') == 1


# --- who sees whom ----------------------------------------------------------------------------------------


def test_a_board_is_for_its_own_role(board: Boards):
    admit(board)
    for path, person in (("/ward", SOGNDAL), ("/municipality", WARD), ("/primary-care", SOGNDAL)):
        found = board.open(person, path)
        assert (found.status_code, "Fjellheim" in found.text) == (403, False)


def protect(board: Boards) -> None:
    """The patient's newest message says that the identity is protected."""
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
    message = orjson.loads(board.stage.message(K.ADMITTED, planned_discharge=date(2014, 3, 3)))
    for entry in message["entry"]:
        if entry["resource"]["resourceType"] == "Patient":
            entry["resource"]["meta"] = {"security": [label]}
    done = board.stage.receive(orjson.dumps(message), channel="http")
    assert done.outcome == "accepted", done.reason


def test_an_account_of_several_people_is_shown_nobody_with_a_protected_identity(board: Boards):
    protect(board)
    assert "Protected identity" in board.rows(SOGNDAL, "/municipality?group=today")[0]
    shared = replace(SOGNDAL, named=False, id="shared")
    found = board.open(shared, "/municipality?group=in&q=fjellheim").text
    assert "Fjellheim" not in found.replace('value="fjellheim"', "")
    assert not any(groups(board, shared).values())
    assert "S. F." not in board.open(SOGNDAL, "/municipality?wall=1").text


def test_somebody_for_the_whole_region_sees_everybody_once(board: Boards):
    admit(board)
    admit(board, receivers=("aardal",))
    assert len(board.rows(everybody(Role.MUNICIPALITY), "/municipality?group=in")) == 1
    assert len(board.rows(everybody(Role.WARD), "/ward")) == 1


def test_no_number_of_anybody_stands_on_a_board(board: Boards):
    admit(board)
    for person, path in ((WARD, "/ward"), (SOGNDAL, "/municipality")):
        assert SYNNOVE.identifiers[0][1] not in board.open(person, path).text


def test_a_number_that_was_typed_for_a_name_is_not_spread(board: Boards):
    admit(board)
    typed = SYNNOVE.identifiers[0][1]
    found = board.open(SOGNDAL, f"/municipality?q={typed[:6]}+{typed[6:]}").text
    assert "Leave out what looks like an identity number." in found
    assert typed[6:] not in found


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("nb", "Venter på svar fra oss"),
        ("nn", "Ventar på svar frå oss"),
        ("sv", "Väntar på vårt svar"),
        ("da", "Afventer vores svar"),
        ("en", "Waiting for our answer"),
    ],
)
def test_the_board_speaks_the_readers_language(board: Boards, language: str, said: str):
    assert said in board.open(SOGNDAL, "/municipality", language).text
