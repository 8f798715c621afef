"""MedCom messages to test with: our own fixtures, and the official examples where the machine has them."""

import os
from datetime import UTC
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from adapter.fhir import wire
from adapter.mappings import Addressing, Reading, medcom
from adapter.messaging.envelope import Envelope

COPENHAGEN = ZoneInfo("Europe/Copenhagen")
FIXTURES = Path(__file__).parents[3] / "fixtures" / "medcom"
CONVERSATIONS = (
    "forwarded-to-the-trainers", "medicine-asked-about", "ready-and-answered", "without-a-cpr-number",
)  # fmt: skip
"""Scenarios of CareCommunication; and one in which a notification and its receipt stand together."""
_OTHERS = ("acknowledged", "home-for-the-weekend", *CONVERSATIONS)
NOTIFICATIONS = sorted(p for p in FIXTURES.glob("*/*.*") if p.parent.name not in _OTHERS)
ACKNOWLEDGEMENTS = sorted(FIXTURES.glob("acknowledged/*.*"))

_SAMPLES = os.environ.get("DISCHARGE_ADAPTER_SAMPLES")
_DENMARK = Path(_SAMPLES) / "denmark" if _SAMPLES else None
OFFICIAL = sorted(_DENMARK.glob("*/Bundle-*.*")) if _DENMARK else []
OFFICIAL_NOTIFICATIONS = [path for path in OFFICIAL if path.parent.name == "hospitalnotification"]
EMPTY_MESSAGE = "Bundle-eb26be85-fdb7-454d-a980-95cba6d1745b"  # stands among the acknowledgements
OFFICIAL_ACKNOWLEDGEMENTS = [
    path for path in OFFICIAL if path.parent.name == "acknowledgement" and path.stem != EMPTY_MESSAGE
]


def named(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def fixture(name: str, form: str = "json") -> bytes:
    """`home-after-a-fall/admitted`, as JSON or XML."""
    return (FIXTURES / f"{name}.{form}").read_bytes()


def bundle(name: str) -> dict[str, Any]:
    return wire.parse(fixture(name))


def read(content: bytes) -> Reading:
    return medcom.read(content, content_type=None, zone=COPENHAGEN)


def envelope(content: bytes) -> Envelope:
    return medcom.envelope(content, content_type=None, zone=UTC)


def as_addressed(outside: Envelope, **other: Any) -> Addressing:
    """The addressing under which a message says what it said when it came."""
    said: dict[str, Any] = {
        "message_id": outside.message_id,
        "transmission_id": outside.transmission_id or "",
        "sender": outside.sender,
        "receiver": outside.receivers[0],
        "refers_to": outside.refers_to,
    }
    return Addressing(**(said | other))


def resources(found: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [item["resource"] for item in found["entry"] if item["resource"]["resourceType"] == kind]


def only(found: dict[str, Any], kind: str) -> dict[str, Any]:
    [one] = resources(found, kind)
    return one
