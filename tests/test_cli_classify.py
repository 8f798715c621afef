"""A person classifies an answer in free text on the command line; `case` shows which message waits."""

import uuid
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from adapter.discharge.notices import NoticeKind
from tests.conftest import StandingClock
from tests.shell import Shell
from tests.stage import REGION, answering, stage

K = NoticeKind


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Sogndal has written back to a ready notice of March 2014; its words wait for somebody."""
    clock = StandingClock(at=datetime(2014, 3, 3, 10, 0, tzinfo=ZoneInfo("Europe/Oslo")))
    play = stage(f"sqlite:///{tmp_path}/region.db", clock)
    play.post.answer = answering(clock)
    ready = str(uuid.uuid4())
    for kind in (K.ADMITTED, K.CARE_NEEDS, K.READY_FOR_DISCHARGE):
        play.receive(play.message(kind, message_id=ready if kind is K.READY_FOR_DISCHARGE else None))
        play.deliver()
    words = play.message(
        K.NOTE, sender="sogndal", receivers=("laerdal-sjukehus",), refers_to=ready, text="Plass på onsdag"
    )
    play.receive(words)
    play.close()
    (tmp_path / "adapter.toml").write_text(f'region = "{REGION}"\nstore = "sqlite:///{tmp_path}/region.db"\n')
    return Shell(tmp_path)


def words_of(shell: Shell) -> int:
    """The number of the message that waits, as a person finds it."""
    told = shell("case", 1, "--json").json["notices"]
    (waiting,) = [n for n in told if n["kind"] == "answer"]
    assert waiting["answer"] == "unclassified"
    return int(waiting["message"])


def test_an_answer_is_classified_and_the_payment_follows(shell: Shell) -> None:
    number = words_of(shell)
    assert shell("payments", "--month", "2014-03", "--json").json["lines"] == []
    done = shell("classify", number, "can-receive", "--from", "2014-03-05", "--by", "Kari", "--json")
    assert done.status == 0
    assert done.json == {
        "message": number, "case": 1, "answer": "can-receive", "receive_from": "2014-03-05", "by": "Kari",
    }  # fmt: skip
    lines = shell("payments", "--month", "2014-03", "--json").json["lines"]
    assert [line["date"] for line in lines] == ["2014-03-03", "2014-03-04"]


def test_people_read_what_they_have_said(shell: Shell) -> None:
    number = words_of(shell)
    done = shell("classify", number, "not-known", "--by", "Kari")
    assert (done.status, done.out.decode().strip()) == (
        0,
        f"message {number} (case 1): not-known",
    )
    told = shell("case", 1, "--json").json["notices"]
    assert [n["answer"] for n in told if n["kind"] == "answer"] == ["unclassified", "not-known"]


def test_what_cannot_be_is_said(shell: Shell) -> None:
    number = words_of(shell)
    for arguments, said in (
        ((1, "can-receive", "--by", "Kari"), "no answer that waits"),
        ((99, "can-receive", "--by", "Kari"), "no message 99"),
        ((number, "can-receive", "--from", "onsdag", "--by", "Kari"), "--from onsdag"),
        ((number, "can-receive"), "--by"),
        ((number, "unclassified", "--by", "Kari"), "unclassified"),
        ((number, "can-receive", "--from", "1014-03-05", "--by", "Kari"), "write the day that was meant"),
    ):
        done = shell("classify", *arguments)
        assert (done.status, said in done.said) == (2, True), done.said
    assert words_of(shell) == number


def test_a_case_says_which_message_waits(shell: Shell) -> None:
    number = words_of(shell)
    assert f"discharge-adapter classify {number}" in shell("case", 1).out.decode()
    shell("classify", number, "can-receive", "--by", "Kari")
    assert "discharge-adapter classify" not in shell("case", 1).out.decode()
