"""A refusal is said once in the name of every receiver that is ours, as an acceptance is (N-01)."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from lxml import etree

from adapter.discharge.notices import NoticeKind
from adapter.store import tables
from tests.conftest import StandingClock
from tests.stage import Stage, address_of, stage

NUMBER = b"21843012660"


@pytest.fixture
def play(tmp_path: Path, clock: StandingClock) -> Iterator[Stage]:
    made = stage(f"sqlite:///{tmp_path}/store.db", clock)
    yield made
    made.close()


def unclear(play: Stage, *copies: str) -> bytes:
    """A PLO message to Vik, with copies, about a patient who is known by name only."""
    content = play.plo(NoticeKind.READY_FOR_DISCHARGE, receivers=("vik",))
    start, end = content.index(b"<Receiver>"), content.index(b"</Receiver>") + len(b"</Receiver>")
    levels = content[start + len(b"<Receiver>") : end - len(b"</Receiver>")]
    vik = numbers(play, "vik")
    others = b""
    for name in copies:
        copied = levels
        for old, new in zip(vik, numbers(play, name), strict=True):
            copied = copied.replace(old, new)
        others += b'<OtherReceiver><RoleReceiver V="COP"/>' + copied + b"</OtherReceiver>"
    return (content[:end] + others + content[end:]).replace(NUMBER, b"")


def numbers(play: Stage, party: str) -> list[bytes]:
    return [value.encode() for _, value in address_of(play.built.register, party).identifiers]


def roles(content: bytes) -> tuple[str | None, str | None, str | None]:
    root = etree.fromstring(content)
    found = (root.find(path) for path in ("{*}Status", "{*}Error", "{*}Sender/{*}Role"))
    return tuple(one.get("V") if one is not None else None for one in found)  # type: ignore[return-value]


def sent(play: Stage) -> list[bytes]:
    play.deliver()
    return [message.content for name, message in play.post.sent if name == "laerdal-sjukehus"]


def test_each_receiver_of_ours_refuses_once_and_a_receiver_of_theirs_does_not(play: Stage) -> None:
    done = play.receive(unclear(play, "luster", "aardal"), channel="directory")
    assert (done.outcome, done.code) == ("refused", "E36")
    given = sent(play)
    assert [roles(one) for one in given] == [("2", "E36", "PRIM"), ("2", "E36", "COP")]
    assert [b"8143540" in one for one in given] == [False, True]
    assert len({row["message_id"] for row in play.rows(tables.delivery)}) == 2


def test_who_waits_for_the_answer_gets_the_first_of_them(play: Stage) -> None:
    done = play.receive(unclear(play, "luster"), channel="http")
    assert done.acknowledgement is not None
    assert roles(done.acknowledgement) == ("2", "E36", "PRIM")
    assert [roles(one) for one in sent(play)] == [("2", "E36", "COP")]


def test_the_same_message_again_is_refused_by_nobody_twice(play: Stage) -> None:
    content = unclear(play, "luster")
    play.receive(content, channel="directory")
    assert play.receive(content, channel="directory").outcome == "duplicate"
    assert len(sent(play)) == 2
