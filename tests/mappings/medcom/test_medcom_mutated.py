"""Whatever a message has become on the way, it is read, or refused in words; and answered where it can be."""

import copy
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.errors import CannotWrite, Refused
from adapter.fhir import wire
from adapter.fhir.notices import notice_in, subject_in
from adapter.incoming import Incoming, understand
from adapter.mappings import medcom
from adapter.mappings.known import named as named_dialect
from adapter.messaging.acknowledgement import Status, Verdict
from tests.mappings.medcom.samples import ACKNOWLEDGEMENTS, COPENHAGEN, NOTIFICATIONS, as_addressed, named

NOW = datetime(2026, 3, 2, 8, 25, tzinfo=UTC)
BUNDLES = [
    wire.parse(path.read_bytes()) for path in (*NOTIFICATIONS, *ACKNOWLEDGEMENTS) if path.suffix == ".json"
]
ODD = st.sampled_from(
    [
        None,
        True,
        0,
        -1,
        "",
        " ",
        "x" * 300,
        [],
        {},
        [[]],
        [None],
        {"reference": "X/1"},
        "2026-13-45",
        "9999-12-31",
    ]
)


def places(found: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a Bundle, itself included."""
    inner = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
    return [path, *(place for name, part in inner for place in places(part, (*path, name)))]


PLACES = [places(bundle)[1:] for bundle in BUNDLES]


def put(bundle: dict[str, Any], path: tuple[Any, ...], value: Any) -> None:
    """Set what stands there; take it away where `value` is `...`."""
    at: Any = bundle
    for name in path[:-1]:
        at = at[name]
    if value is ...:
        del at[path[-1]]
    else:
        at[path[-1]] = value


def holds(content: bytes) -> None:
    """It is read or refused, said again where it was read, and answered where its outside is legible."""
    try:
        reading = medcom.read(content, content_type=None, zone=COPENHAGEN)
    except Refused:
        return
    if reading.problem is None and reading.bundle is not None:
        notice_in(reading.bundle, zone=COPENHAGEN)
        subject_in(reading.bundle)
        for dialect in ("medcom", "fhir", "plo-1.6"):
            addressing = as_addressed(reading.envelope, previous=content if dialect == "medcom" else None)
            with suppress(CannotWrite):
                named_dialect(dialect).write(reading.bundle, dialect=dialect, addressing=addressing)
    assert (
        medcom.envelope(content, content_type=None, zone=COPENHAGEN).message_id == reading.envelope.message_id
    )
    verdict = Verdict(status=Status.REFUSED, at=NOW, id="6f0a7c1e-0d52-4a8b-9f35-2b7d1c9e4a60")
    answer = medcom.acknowledge(reading.envelope, verdict)
    if answer is not None:
        given = medcom.read(answer, content_type=None, zone=COPENHAGEN)
        assert given.envelope.refers_to == reading.envelope.message_id
        mirrored = "is longer than" in str(given.problem) or "messaging-organization" in str(given.problem)
        assert given.acknowledgement is not None or mirrored  # wrong parties go back as they came


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.data())
def test_a_mutated_bundle_never_stumbles(data: st.DataObject) -> None:
    which = data.draw(st.integers(0, len(BUNDLES) - 1))
    made = copy.deepcopy(BUNDLES[which])
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(PLACES[which]))
        try:
            put(made, path, copy.deepcopy(data.draw(st.one_of(st.just(...), ODD))))
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change has taken the place away
    content = orjson.dumps(made)
    holds(content)
    problem = understand(Incoming(content=content), COPENHAGEN).problem
    assert problem is None or problem.code != "internal"


@pytest.mark.parametrize("path", [p for p in NOTIFICATIONS if p.suffix == ".json"][:3], ids=named)
def test_no_single_loss_is_more_than_a_refusal(path: Any) -> None:
    bundle = wire.parse(path.read_bytes())
    for place in places(bundle)[1:]:
        made = copy.deepcopy(bundle)
        put(made, place, ...)
        holds(orjson.dumps(made))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(0, 4000), st.integers(0, 60), st.binary(max_size=6))
def test_mutilated_bytes_are_read_or_refused(at: int, dropped: int, added: bytes) -> None:
    content = NOTIFICATIONS[0].read_bytes()
    holds(content[:at] + added + content[at + dropped :])
