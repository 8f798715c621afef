"""MedCom's messages after accidents, through the real inbox: accepted, refused with a reason, or held.

The originals are our own fixtures of every kind, and the official examples where DISCHARGE_ADAPTER_SAMPLES
says where they lie, as they are and in a VANSEnvelope. What was taken goes back to MedCom, or its writer
says why it does not.
"""

import copy
import json
import re
import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from adapter.errors import CannotWrite
from adapter.fhir import wire
from adapter.inbox import Acceptance
from adapter.incoming import Incoming
from adapter.mappings import Addressing, Reading, medcom
from adapter.mappings.medcom import enveloping
from adapter.mappings.medcom.findings import ERROR
from adapter.mappings.medcom.profiles import broken
from tests.conftest import StandingClock
from tests.mappings.medcom.samples import COPENHAGEN, FIXTURES, OFFICIAL
from tests.stage import stage

NOW = datetime(2026, 12, 1, tzinfo=UTC)  # after every original was sent
A_NUMBER = re.compile(r"(?<!\d)\d{10}(?!\d)")
ORIGINALS = [path for path in (*sorted(FIXTURES.glob("*/*.*")), *OFFICIAL) if path.suffix == ".json"]
ODD = (
    None, True, 0, -1, 1e300, "", " ", "x" * 6000, [], {}, [[]], [None], [{}], {"reference": "X/1"},
    {"reference": "#"}, "2026-13-45", "9999-12-31T23:59:59+14:00", "0001-01-01", "urn:uuid:", "😷\u202e",
    "1011400000", "reply-message", "cancel-admit-inpatient", "care-communication-message", "discharge",
)  # fmt: skip

Bundle = dict[str, Any]
Way = tuple[Any, ...]


@cache
def original(path: Path) -> tuple[Bundle, tuple[Way, ...]]:
    """A message, and every place in it."""
    found = wire.parse(path.read_bytes())
    return found, tuple(_ways(found))[1:]


def _ways(found: Any, way: Way = ()) -> list[Way]:
    inner = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
    return [way, *(place for name, part in inner for place in _ways(part, (*way, name)))]


def _at(bundle: Bundle, way: Way) -> Any:
    here: Any = bundle
    for name in way:
        here = here[name]
    return here


def _harmed(bundle: Bundle, way: Way, kind: int, other: Any) -> None:
    """One accident: something is lost, comes twice, stands where another does, or has become odd."""
    *above, last = way
    held = _at(bundle, tuple(above))
    if kind < 3:
        del held[last]
    elif kind < 5 and isinstance(held, list):
        held.insert(last, copy.deepcopy(held[last]))
    elif kind < 8:
        held[last] = copy.deepcopy(_at(bundle, other))
    else:
        held[last] = ODD[kind % len(ODD)]


@dataclass(frozen=True, kw_only=True)
class Harmed:
    """A message after its accidents, and what happened to the VANSEnvelope that it travels in, if it does."""

    content: bytes
    cuts: tuple[tuple[int, int, bytes], ...] | None  # where, how much is lost, what stands there instead

    def numbered(self, number: int) -> bytes:
        """With ids of its own, so that it is no copy of another."""
        content = self.content
        for role, known in enumerate(_ID):
            content = content.replace(known, str(uuid.uuid5(uuid.NAMESPACE_OID, f"{number}/{role}")).encode())
        return content if self.cuts is None else self._enveloped(content)

    def _enveloped(self, content: bytes) -> bytes:
        try:
            made = bytearray(enveloping.close(content))
        except Exception:  # noqa: BLE001  # what is no message any more has no envelope of ours
            made = bytearray(enveloping.close(ORIGINALS[0].read_bytes()))
        for at, lost, instead in self.cuts or ():
            made[at % len(made) : at % len(made) + lost] = instead
        return bytes(made)


_ID = (b"00000000-0000-4000-8000-00000000000b", b"00000000-0000-4000-8000-00000000000c")
"""Stand for Bundle.id and MessageHeader.id."""


@st.composite
def arriving(draw: st.DrawFn) -> Harmed:
    """A message after one or two accidents; one in four in an envelope, which may have had its own."""
    bundle, ways = original(draw(st.sampled_from(ORIGINALS)))
    made = copy.deepcopy(bundle)
    for _ in range(draw(st.integers(1, 2))):
        way, other = draw(st.sampled_from(ways)), draw(st.sampled_from(ways))
        try:
            _harmed(made, way, draw(st.integers(0, 7 + len(ODD))), other)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier accident has taken the place away
    content = json.dumps(made).encode()
    for known, stands in zip((bundle["id"], bundle["entry"][0]["resource"]["id"]), _ID, strict=True):
        content = content.replace(known.encode(), stands)
    cut = st.tuples(st.integers(0, 40_000), st.integers(0, 40), st.binary(max_size=8))
    enveloped = draw(st.integers(0, 3)) == 0
    cuts = tuple(draw(st.lists(cut, max_size=2))) if enveloped else None
    return Harmed(content=content, cuts=cuts)


class Post:
    """The inbox for evaluation, and what has become of the messages."""

    def __init__(self, folder: Path) -> None:
        self.play = stage(f"sqlite:///{folder}/store.db", StandingClock(NOW), evaluation=True)
        self.seen: Counter[str] = Counter()
        self.taken = count()

    def take(self, harmed: Harmed) -> None:
        content = harmed.numbered(next(self.taken))
        done = self.play.receive(content)
        self.seen[done.outcome] += 1
        assert done.outcome in ("accepted", "refused", "quarantined", "duplicate")
        if done.outcome in ("refused", "quarantined"):
            assert done.reason, "whoever sent it, and whoever looks at it, is told why"
            assert done.code != "internal", done.reason
            self.seen[str(done.code)] += 1
            assert not A_NUMBER.search(done.reason), "no identity number stands in a reason"
        _is_answered_rightly(done)
        if done.outcome == "accepted":
            _is_said_again(self.play.built.inbox.read(Incoming(content=content)).reading)

    def close(self) -> None:
        self.play.close()


def _is_answered_rightly(done: Acceptance) -> None:
    """The acknowledgement keeps its own profile, and says what has become of the message."""
    if done.acknowledgement is None or not done.type or done.dialect not in medcom.NAMES:
        return
    made = wire.parse(enveloping.opened(done.acknowledgement) or b"")
    said = made["entry"][0]["resource"]["response"]["code"]
    assert said == ("ok" if (done.first or done.outcome) == "accepted" else "fatal-error")
    wrong = [one.name for one in broken(made) if one.severity == ERROR]
    mirrored = {"medcom-messaging-organization", "medcom-messaging-provenance", "medcom-messaging-3"}
    assert set(wrong) <= mirrored  # its sender's own faults


def _is_said_again(reading: Reading | None) -> None:
    """What was taken goes back to MedCom, or its writer says why it does not."""
    if reading is None or reading.bundle is None or reading.envelope.dialect not in medcom.NAMES:
        return
    outside = reading.envelope
    addressing = Addressing(
        message_id=outside.message_id,
        transmission_id=outside.transmission_id or "t",
        sender=outside.sender,
        receiver=outside.receivers[0],
        refers_to=outside.refers_to,
    )
    try:
        written = medcom.write(reading.bundle, dialect="medcom", addressing=addressing)
    except CannotWrite as error:
        assert str(error)
        return
    assert medcom.read(written.content, content_type=None, zone=COPENHAGEN).problem is None


ALIKE: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}


def test_there_are_originals_of_every_kind() -> None:
    events = {original(path)[0]["entry"][0]["resource"]["eventCoding"]["code"] for path in ORIGINALS}
    assert {
        "hospital-notification-message",
        "care-communication-message",
        "acknowledgement-message",
    } <= events


def test_whatever_happens_to_a_message_it_is_accepted_refused_or_held(tmp_path: Path) -> None:
    post = Post(tmp_path)

    @given(harmed=arriving())
    @settings(max_examples=100, derandomize=True, database=None, **ALIKE)
    def look(harmed: Harmed) -> None:
        post.take(harmed)

    look()
    post.close()
    assert {"accepted", "refused", "quarantined", "structure", "MSG_RESOURCE_REQUIRED"} <= set(post.seen), (
        post.seen
    )


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_whatever_happens_to_a_thousand_messages_each_is_accepted_refused_or_held(tmp_path: Path) -> None:
    post = Post(tmp_path)

    @given(harmed=arriving())
    @settings(max_examples=1000, print_blob=True, phases=(Phase.generate, Phase.shrink), **ALIKE)
    def look(harmed: Harmed) -> None:
        post.take(harmed)

    look()
    post.close()
    wanted = {"MSG_RESOURCE_REQUIRED", "MSG_VALUESET_VALUE_UNKNOWN", "structure"}
    assert {"accepted", "refused", "quarantined", *wanted} <= set(post.seen), post.seen
