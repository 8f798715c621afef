"""Primary care's board in Västerbotten: it leads the planning (lag 2017:612 2:5, 4:3 and 5:5)."""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from adapter.config import load_region
from adapter.discharge.notices import Meeting, NoticeKind
from adapter.messaging.people import Person, Role
from tests.conftest import StandingClock
from tests.planners import CENTRE, STOCKHOLM, VANNAS, WARD
from tests.stage import address_of
from tests.test_planning import TOLVAN, VASTERBOTTEN

from .boards import Boards, boards
from .test_boards import groups

pytestmark = pytest.mark.postgres_in_soak

K = NoticeKind
DISTRICT_NURSE = Person(id="d", name="Elin Backa", roles=frozenset({Role.PRIMARY_CARE}), parties=(CENTRE,))
COMMUNE = Person(id="v", name="Nils Vännäs", roles=frozenset({Role.MUNICIPALITY}), parties=(VANNAS,))
BOTH = (CENTRE, VANNAS)


@pytest.fixture
def board(
    tmp_path: Path, clock: StandingClock, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Boards]:
    """Friday 1 March 2024, ten in the morning in Umeå."""
    clock.at = datetime(2024, 3, 1, 10, 0, tzinfo=STOCKHOLM)
    region = load_region(VASTERBOTTEN)
    open_ = replace(region.register_, partners=())
    with boards(
        tmp_path, clock, monkeypatch, store=store_url, of=region.model_copy(update={"register_": open_})
    ) as found:
        yield found


def tell(board: Boards, kind: NoticeKind, **more: object) -> str:
    usual = {"sender": WARD, "receivers": BOTH, "hospital": WARD, "subject": TOLVAN, "encounter": "V-1"}
    message_id = str(uuid.uuid4())
    content = board.stage.message(kind, **(usual | {"message_id": message_id} | more))  # type: ignore[arg-type]
    done = board.stage.receive(content, channel="http")
    assert done.outcome == "accepted", done.reason
    board.stage.clock.forward(minutes=1)  # type: ignore[attr-defined]
    return message_id


def standing(board: Boards) -> dict[str, int]:
    """The lists of the board that have somebody in them."""
    return {name: n for name, n in groups(board, DISTRICT_NURSE, "/primary-care").items() if n}


def test_an_admission_asks_for_a_fixed_care_contact(board: Boards):
    tell(board, K.ADMITTED, planned_discharge=date(2024, 3, 6))
    assert standing(board) == {"contact": 1, "in": 1}
    [row] = board.rows(DISTRICT_NURSE, "/primary-care?group=contact", "sv")
    assert "Tolvansson, Tolvan" in row
    assert "fast vårdkontakt" in row
    tell(
        board,
        K.FIXED_CONTACT_NAMED,
        sender=CENTRE,
        receivers=(WARD, VANNAS),
        contact=address_of(board.stage.built.register, CENTRE).token,
    )
    assert standing(board) == {"in": 1}


def test_a_readiness_asks_for_a_call_to_sip_and_for_open_care(board: Boards, clock: StandingClock):
    tell(board, K.ADMITTED)
    tell(board, K.READY_FOR_DISCHARGE, ready=clock(), sip_needed=True)
    assert standing(board) == {"contact": 1, "sip": 1, "availability": 1, "in": 1}
    assert "SIP asked for" in board.rows(DISTRICT_NURSE, "/primary-care?group=sip")[0]
    meeting = Meeting(starts=clock() + timedelta(days=4), status="booked")
    tell(board, K.SIP_CALL, sender=CENTRE, receivers=(WARD, VANNAS), meeting=meeting)
    tell(board, K.OPEN_CARE_AVAILABILITY, sender=CENTRE, receivers=(WARD, VANNAS), open_care_available=True)
    assert standing(board) == {"contact": 1, "in": 1}
    [row] = board.rows(DISTRICT_NURSE, "/primary-care?group=in")
    assert "SIP called to Tue 5 Mar" in row
    assert "Open care available" in row


def test_a_municipalitys_wish_is_no_call(board: Boards, clock: StandingClock):
    tell(board, K.ADMITTED)
    tell(board, K.READY_FOR_DISCHARGE, ready=clock(), sip_needed=True)
    tell(board, K.SIP_REQUESTED, sender=VANNAS, receivers=(CENTRE,))
    assert standing(board)["sip"] == 1


def test_what_primary_care_has_to_do_is_no_municipalitys(board: Boards, clock: StandingClock):
    tell(board, K.ADMITTED)
    tell(board, K.READY_FOR_DISCHARGE, ready=clock(), sip_needed=True)
    clock.forward(days=5)
    assert "SIP call" not in board.open(COMMUNE, "/municipality").text
    assert "overdue" in board.rows(DISTRICT_NURSE, "/primary-care?group=sip&overdue=1")[0]
    assert "Waiting" not in board.open(DISTRICT_NURSE, "/primary-care?group=sip").text


def test_a_follow_up_is_due_when_its_week_has_come(board: Boards, clock: StandingClock):
    tell(board, K.ADMITTED)
    tell(board, K.DISCHARGED)
    tell(board, K.DISCHARGE_REPORT, follow_up=date(2024, 3, 20))
    assert "follow-up" not in standing(board)
    clock.at = datetime(2024, 3, 15, 9, 0, tzinfo=STOCKHOLM)
    assert standing(board) == {"follow-up": 1}
    tell(board, K.FOLLOWED_UP, sender=CENTRE, receivers=(VANNAS,), fulfils="check-up")
    assert standing(board) == {}
