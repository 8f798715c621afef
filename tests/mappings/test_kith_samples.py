"""The standard's own examples and schemas, where DISCHARGE_ADAPTER_SAMPLES says where they lie."""

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from adapter.errors import Refused
from adapter.fhir.notices import notice_in
from adapter.fhir.validation import validate
from adapter.mappings import Addressing, Reading, kith
from adapter.messaging.acknowledgement import Issue, Status, Verdict
from tests.mappings.official import SAMPLES, valid

OSLO = ZoneInfo("Europe/Oslo")
OURS = Path(__file__).parents[2] / "fixtures" / "plo"

if SAMPLES:
    NORWAY = Path(SAMPLES) / "norway"
    LOGISTICS = sorted(NORWAY.glob("plo-1.?/Pasientlogistikk_*.xml"))
    RECEIPTS = sorted(NORWAY.glob("apprec/*.xml"))
    FIXTURES = sorted(OURS.glob("*/*.xml"))

    def read(path: Path) -> Reading:
        return kith.read(path.read_bytes(), content_type=None, zone=OSLO)

    def named(path: Path) -> str:
        return f"{path.parent.name}/{path.stem}"

    def receipts(found: Reading) -> list[bytes]:
        given = []
        for status in (Status.ACCEPTED, Status.REFUSED):
            for receiver in range(len(found.envelope.receivers)):
                issues = (Issue(code="T10", text="not read"),) if status is Status.REFUSED else ()
                verdict = Verdict(
                    status=status,
                    at=datetime(2026, 1, 2, tzinfo=UTC),
                    id="r",
                    receiver=receiver,
                    issues=issues,
                )
                content = kith.acknowledge(found.envelope, verdict)
                assert content is not None
                given.append(content)
        assert given
        return given

    def test_there_are_samples() -> None:
        assert (len(LOGISTICS), len(RECEIPTS)) == (14, 12)

    @pytest.mark.parametrize("path", LOGISTICS, ids=named)
    def test_every_logistics_example_is_read_receipted_and_written_again(path: Path) -> None:
        found = read(path)
        assert found.problem is None
        assert found.bundle is not None
        assert found.envelope.dialect == path.parent.name
        validate(found.bundle)
        for given in receipts(found):
            valid(given)
        notice = notice_in(found.bundle, zone=OSLO)
        for dialect in kith.NAMES:
            message = kith.write(
                found.bundle,
                dialect=dialect,
                addressing=Addressing(
                    message_id=found.envelope.message_id,
                    transmission_id=found.envelope.message_id,
                    sender=found.envelope.sender,
                    receiver=found.envelope.receivers[0],
                    refers_to=found.envelope.refers_to,
                ),
            )
            valid(message.content)
            again = kith.read(message.content, content_type=None, zone=OSLO)
            assert again.bundle is not None
            written = notice_in(again.bundle, zone=OSLO)
            assert written.text is None
            fields = [name for name in type(notice).__slots__ if name != "text"]
            assert [getattr(written, f) for f in fields] == [getattr(notice, f) for f in fields]

    @pytest.mark.parametrize("path", RECEIPTS, ids=named)
    def test_every_receipt_example_is_read_or_refused(path: Path) -> None:
        if "migversion" in path.name:
            with pytest.raises(Refused, match="no GenDate"):
                read(path)
            return
        found = read(path)
        assert (found.problem is not None) == ("unknown-status" in path.name)
        assert (found.acknowledgement is None) == ("unknown-status" in path.name)
        if found.acknowledgement is not None:
            refused = "avvist" in path.name
            assert found.acknowledgement.status is (Status.REFUSED if refused else Status.ACCEPTED)

    @pytest.mark.parametrize("path", FIXTURES, ids=named)
    def test_our_own_fixtures_validate(path: Path) -> None:
        valid(path.read_bytes())
