"""The boards of ward and municipality in Indre Sogn: who is listed where, and what a row says.

Process.md 4 (the receipt), 8 (who is responsible), 9 (death), 13-14 (the answer), 28-29 (who sees what).
"""

import uuid
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from adapter.discharge.notices import AnswerValue, NoticeKind, Standing
from adapter.messaging.people import Person, Role
from tests.conftest import OSLO, StandingClock
from tests.stage import SYNNOVE, TORBJORN, answering, failing, region

from .boards import AARDAL, LAERDAL, SOGNDAL, WARD, Boards, boards, everybody, text

K = NoticeKind


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
