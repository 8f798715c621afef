"""A clock and a register for the simulator's tests."""

import hashlib
from datetime import UTC, datetime

import pytest

from adapter.messaging.envelope import HER
from adapter.messaging.register import Endpoint, Partner, Party, Register, Side

from .cast import PARTIES


@pytest.fixture
def clock():
    return lambda: datetime.now(UTC)  # noqa: TID251  # the test is the runtime here


@pytest.fixture
def register():
    return Register(
        parties=tuple(
            Party(id=i, name=n, kind=k, side=Side.OURS, identifiers=((HER, her),), endpoint=i)
            for i, n, k, her, _ in PARTIES
        ),
        endpoints=tuple(
            Endpoint(
                name=i,
                transport="fhir" if dialect == "fhir" else "directory",
                address="http://127.0.0.1:1/fhir/$process-message" if dialect == "fhir" else f"run/{i}",
                dialect=dialect,
            )
            for i, _, _, _, dialect in PARTIES
        ),
        partners=tuple(
            Partner(name=f"{i}-drift", parties=(i,), token_sha256=hashlib.sha256(b"old").hexdigest())
            for i, *_ in PARTIES
        ),
    )
