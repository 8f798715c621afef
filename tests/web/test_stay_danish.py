"""The page of a Danish stay: what hospital and municipality have written to each other, thread by thread."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from adapter.discharge.notices import NoticeKind
from tests.conftest import StandingClock
from tests.test_care_communication import ASTRID, READY, THREAD, fjordby

from .conftest import Site, site
from .looking import at_the_door, municipality
from .test_stay import section

K = NoticeKind
LIST = "Listen er vedhæftet. Hilsen Maja Lind, sygeplejerske."
ITS_ID = "5d0c7f10-0032-4e11-8c33-000000000032"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The hospital's list of medicines has come, and that Astrid is ready; the municipality has thanked."""
    folder = tmp_path_factory.mktemp("fjordby")
    clock = StandingClock(datetime(2026, 3, 5, 14, 0, tzinfo=UTC))
    with site(folder, clock, of=fjordby(folder)) as found:
        for path in (THREAD[1], READY):
            assert found.stage.receive(path.read_bytes()).outcome == "accepted"
        thanked = found.stage.message(
            K.REPLY, sender="fjordby", receivers=("fjordby-sygehus",), subject=ASTRID,
            hospital="fjordby-sygehus", refers_to=ITS_ID, text="Tak for listen.",
        )  # fmt: skip
        assert found.stage.receive(thanked).outcome == "accepted"
        yield found


def letters(place: Site, language: str) -> str:
    with at_the_door(municipality("fjordby")):
        found: Any = place.get("/stays/1", headers={"Accept-Language": language}, allow_redirects=False)
    assert found.status_code == 200
    return section(found, "letters")


def test_the_thread_stands_together_with_what_each_letter_answers(place: Site) -> None:
    text = letters(place, "en")
    assert text.index("Tak for listen.") < text.index(LIST)
    assert "Answers what Fjordby Sygehus wrote" in text


def test_what_came_only_with_the_answer_to_it_is_shown_below_that(place: Site) -> None:
    """The question itself never came here: it was lost, or is from before our time (rule 8)."""
    text = letters(place, "en")
    question = "Hvilken medicin skal Astrid have med hjem?"
    assert text.count(question) == 1
    assert text.index(LIST) < text.index(question)
    assert "2 Mar 10:15; came with the answer to it" in text


def test_a_danish_reader_reads_it_in_danish(place: Site) -> None:
    assert "Svarer på det, Fjordby Sygehus skrev" in letters(place, "da")
