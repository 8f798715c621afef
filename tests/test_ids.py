"""What we write because of a message has the same ids and bytes whenever it is written: after a restore, too.

Two stores with one key take the same messages, at different times and with different randomness.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest

from adapter.config import Settings
from adapter.discharge.notices import NoticeKind
from adapter.messaging.acknowledgement import Status
from adapter.messaging.numbering import keyed_id
from adapter.messaging.register import ReceiptWhen
from adapter.store import tables
from tests.conftest import StandingClock
from tests.stage import Stage, altered, receipt, region, stage

K = NoticeKind


def counting(start: int) -> Callable[[], str]:
    """Ids as random as those of another process."""
    numbers = count(start)
    return lambda: str(UUID(int=next(numbers)))


def playing(folder: Path, name: str, at: datetime, start: int, key: str = "one key for both") -> Stage:
    """The hospital reads PLO, so that it gets AppRecs; Sogndal FHIR; Årdal PLO."""
    known = altered(region(), "sogndal", receipt=ReceiptWhen.STORED)
    made = stage(
        f"sqlite:///{folder}/{name}.db",
        StandingClock(at=at),
        of=known,
        settings=Settings(pseudonym_key=key),
    )
    inbox = replace(made.built.inbox, new_id=counting(start))
    return replace(made, built=replace(made.built, inbox=inbox))


@pytest.fixture
def two(tmp_path: Path, clock: StandingClock) -> Iterator[tuple[Stage, Stage]]:
    made = (
        playing(tmp_path, "first", clock(), 1000),
        playing(tmp_path, "again", clock() + timedelta(hours=3, seconds=17), 9_000_000),
    )
    yield made
    for one in made:
        one.close()


def messages(play: Stage) -> list[bytes]:
    """What the hospital sends in an hour: to one, to several, in either dialect, and what is refused."""
    return [
        play.message(K.ADMITTED, receivers=("sogndal", "vik", "aardal"), message_id=str(UUID(int=1))),
        play.plo(K.READY_FOR_DISCHARGE, receivers=("sogndal",), message_id=str(UUID(int=2))),
        play.plo(K.READINESS_WITHDRAWN, receivers=("aardal",), message_id=str(UUID(int=3))),
        play.plo(K.DISCHARGED, message_id=str(UUID(int=4))).replace(b"21843012660", b""),  # refused
        play.message(K.DISCHARGED, receivers=("sogndal", "aardal"), message_id=str(UUID(int=5))),
    ]


def deliveries(play: Stage) -> list[dict[str, Any]]:
    with play.built.store.read() as tx:
        kept = dict(tx.execute(tables.payload.select()).all())
    rows = play.rows(tables.delivery)
    told = ("kind", "party", "message_id", "dialect")
    return [{n: row[n] for n in told} | {"content": kept[row["payload"]]} for row in rows]


def without_its_time(content: bytes) -> Any:
    """A receipt but for the moment at which it is given, which is its giver's word and counts in law."""
    if content.startswith(b"{"):
        return {k: v for k, v in orjson.loads(content).items() if k != "timestamp"}
    from lxml import etree

    root = etree.fromstring(content)
    for found in root.iter("{*}GenDate"):
        found.text = ""
    return etree.tostring(root)


def test_the_same_messages_leave_as_the_same_bytes_whenever_they_are_taken(two: tuple[Stage, Stage]) -> None:
    first, again = two
    for content in messages(first):
        for play in two:
            play.receive(content, channel="directory")
    one, other = deliveries(first), deliveries(again)
    notices = [d for d in one if d["kind"] != "receipt"]
    assert notices
    assert {d["party"] for d in notices} >= {"vik", "aardal"}
    assert notices == [d for d in other if d["kind"] != "receipt"]
    receipts = [d for d in one if d["kind"] == "receipt"]
    assert len(receipts) >= 2
    for mine, theirs in zip(receipts, (d for d in other if d["kind"] == "receipt"), strict=True):
        assert mine["content"] != theirs["content"]  # the moment is another
        assert {**mine, "content": without_its_time(mine["content"])} == {
            **theirs, "content": without_its_time(theirs["content"]),
        }  # fmt: skip


def test_the_answer_to_a_caller_has_the_same_ids_too(two: tuple[Stage, Stage]) -> None:
    content = two[0].message(K.ADMITTED, receivers=("sogndal",), message_id=str(UUID(int=1)))
    one, other = (play.receive(content, channel="http") for play in two)
    assert one.acknowledgement is not None
    assert other.acknowledgement is not None
    assert without_its_time(one.acknowledgement) == without_its_time(other.acknowledgement)


def test_a_receipt_passed_back_again_is_the_same_receipt(two: tuple[Stage, Stage]) -> None:
    content = two[0].plo(K.READY_FOR_DISCHARGE, receivers=("vik",), message_id=str(UUID(int=2)))
    passed = []
    for play in two:
        play.receive(content, channel="directory")
        (sent,) = [d for d in deliveries(play) if d["party"] == "vik"]
        play.receive(receipt(sent["content"], Status.ACCEPTED, at=play.clock()), channel="directory")
        passed.append([d for d in deliveries(play) if d["kind"] == "receipt"])
    (one,), (other,) = passed
    assert without_its_time(one["content"]) == without_its_time(other["content"])


def test_a_receipt_made_out_again_at_another_time_is_no_other_receipt(two: tuple[Stage, Stage]) -> None:
    """The other way round: what a partner's store that was put back tells us again does no harm."""
    first, _ = two
    first.receive(first.plo(K.READY_FOR_DISCHARGE, receivers=("aardal",)), channel="directory")
    (sent,) = [d for d in deliveries(first) if d["party"] == "aardal"]
    given = receipt(sent["content"], Status.ACCEPTED, at=first.clock())
    assert first.receive(given, channel="directory").outcome == "accepted"
    later = given.replace(first.clock().strftime("%H:%M").encode(), b"23:59")
    assert later != given
    assert first.receive(later, channel="directory").outcome == "duplicate"
    other = later.replace(b'<Status V="1"', b'<Status V="2"')
    assert first.receive(other, channel="directory").outcome == "quarantined"


def test_no_two_things_said_have_one_id() -> None:
    key = b"k" * 32
    said = [
        ("receipt", "a", "b"),
        ("receipt", "ab", ""),
        ("receipt", "a/b"),
        ("copy", "a", "b"),
        ("receipt", "b", "a"),
    ]
    ids = {keyed_id(key, *one) for one in said}
    assert len(ids) == len(said)
    assert keyed_id(key, *said[0]) == keyed_id(key, *said[0])
    assert keyed_id(hashlib.sha256(key).digest(), *said[0]) not in ids
    assert all(UUID(one).version == 8 for one in ids)
