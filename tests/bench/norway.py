"""What a Norwegian message costs to read, map and receipt, and to write anew. One thread, processor time."""

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from adapter.fhir.notices import notice_in
from adapter.mappings import Addressing, Reading, kith
from adapter.messaging.acknowledgement import Status, Verdict

OSLO = ZoneInfo("Europe/Oslo")
FIXTURES = Path(__file__).parents[2] / "fixtures" / "plo"
MESSAGES = (
    "home-with-help/ready",
    "home-after-a-stroke/needs-updated",
    "home-after-a-stroke/admission-report",
    "home-after-a-stroke/discharge-report",
    "home-after-a-stroke/services-granted",
)


def cost(count: int = 200) -> dict[str, object]:
    """Median milliseconds of processor time by message; the aim for 10 kB is 5 for read, map and AppRec."""
    figures: dict[str, object] = {}
    for name in MESSAGES:
        content = (FIXTURES / f"{name}.plo-1.6.xml").read_bytes()
        size = f"{name.rpartition('/')[2]}, {len(content) / 1000:.0f} kB"
        received = _median(lambda content=content: _receive(content), count)
        figures[f"norway: read, map, AppRec of {size} (ms)"] = received
        figures[f"norway: the same per 10 kB of {size} (ms)"] = round(received * 10_000 / len(content), 2)
        found = kith.read(content, content_type=None, zone=OSLO)
        figures[f"norway: write {size} anew (ms)"] = _median(lambda found=found: _write(found), count // 4)
    return figures


def _receive(content: bytes) -> None:
    found = kith.read(content, content_type=None, zone=OSLO)
    assert found.bundle is not None
    notice_in(found.bundle, zone=OSLO)
    verdict = Verdict(status=Status.ACCEPTED, at=datetime(2026, 11, 26, tzinfo=UTC), id="receipt")
    assert kith.acknowledge(found.envelope, verdict)


def _write(found: Reading) -> None:
    assert found.bundle is not None
    envelope = found.envelope
    kith.write(
        found.bundle,
        dialect="plo-1.6",
        addressing=Addressing(
            message_id=envelope.message_id,
            transmission_id=envelope.message_id,
            sender=envelope.sender,
            receiver=envelope.receivers[0],
        ),
    )


def _median(work: Callable[[], None], count: int) -> float:
    work()
    times = []
    for _ in range(count):
        began = time.process_time()
        work()
        times.append((time.process_time() - began) * 1000)
    return round(statistics.median(times), 2)
