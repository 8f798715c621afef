"""Every Norwegian example that the standards' owners publish, received in evaluation mode."""

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from lxml import etree

from tests.conftest import OSLO, StandingClock
from tests.stage import Stage, stage

SAMPLES = os.environ.get("DISCHARGE_ADAPTER_SAMPLES")

if SAMPLES:
    NORWAY = Path(SAMPLES) / "norway"
    MESSAGES = sorted(
        path
        for folder in ("plo-1.5", "plo-1.6", "dialog-1.0", "dialog-1.1", "epikrise")
        for path in (NORWAY / folder).glob("*.xml")
    )
    RECEIPTS = sorted(NORWAY.glob("apprec/*.xml"))
    REFUSED = {  # another standard's message, and one that is wrong on purpose
        "Status_paa_henvisning-InnkaltEtterViderehenvisning.xml": ("T10", True),
        "invalid-version.xml": ("T02", False),
    }
    OLDER = ("plo-1.5", "dialog-1.0")  # whose receipt is AppRec 1.0, as that of Epikrise 1.1

    @pytest.fixture
    def play(tmp_path: Path) -> Iterator[Stage]:
        clock = StandingClock(at=datetime(2026, 11, 26, 12, tzinfo=OSLO))
        made = stage(f"sqlite:///{tmp_path}/store.db", clock, evaluation=True)
        yield made
        made.close()

    def named(path: Path) -> str:
        return f"{path.parent.name}/{path.stem}"

    def test_all_of_them_are_here() -> None:
        assert (len(MESSAGES), len(RECEIPTS)) == (44 + 12 + 6, 12)

    @pytest.mark.parametrize("path", MESSAGES, ids=named)
    def test_every_message_has_the_right_outcome_and_receipt(play: Stage, path: Path) -> None:
        done = play.receive(path.read_bytes(), channel="http")
        if path.name in REFUSED:
            code, answered = REFUSED[path.name]
            assert (done.outcome, done.code, done.acknowledgement is not None) == ("refused", code, answered)
            return
        assert done.outcome == "accepted", done.reason
        receipt = etree.fromstring(done.acknowledgement or b"")
        older = path.parent.name in OLDER or "epikrise_v1.1" in path.name
        assert etree.QName(receipt).namespace.endswith("2004-11-21" if older else "2012-02-15")
        assert receipt.find("{*}Status").get("V") == "1"
        assert play.built.shelves.catch_up(60)

    @pytest.mark.parametrize("path", RECEIPTS, ids=named)
    def test_every_receipt_is_held_as_of_nothing_that_we_sent(play: Stage, path: Path) -> None:
        done = play.receive(path.read_bytes(), channel="http")
        expected = {"migversion": ("refused", "T02"), "unknown-status": ("quarantined", "status")}
        found = next((value for part, value in expected.items() if part in path.name), None)
        assert (done.outcome, done.code) == (found or ("quarantined", "unknown-original"))
        assert done.acknowledgement is None
