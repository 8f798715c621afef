"""What a receiver remembers: every request as it came, and what it holds, once for all of them.

So a test can say what arrived, how often, whether its id and content stayed the same, and which effects
are there after de-duplication.
"""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import orjson

from adapter.errors import Refused
from adapter.fhir.bundles import RECEIPT_EVENT, Bundle, of_type
from adapter.fhir.receipts import receipt_in
from adapter.messaging.acknowledgement import Status
from adapter.simulator.faults import FaultKind


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrival:
    """One request, or one file, as it came. `taken`: the receiver holds the message since then or before."""

    at: datetime
    message_id: str
    transmission_id: str
    digest: bytes = field(repr=False)
    taken: bool
    fault: FaultKind | None = None

    @property
    def sha256(self) -> str:
        """The digest of the body, in hexadecimal."""
        return self.digest.hex()

    def line(self) -> bytes:
        """The arrival as a line of JSON; it holds nothing of the message but its ids."""
        return orjson.dumps(
            {
                "at": self.at,
                "message_id": self.message_id,
                "bundle_id": self.transmission_id,
                "sha256": self.sha256,
                "taken": self.taken,
                "fault": self.fault,
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """What the receiver's system knows of a message, once for all its arrivals."""

    message_id: str
    event: str  # the code of the notice's kind, or `receipt`
    patient: str  # the first identifier of a synthetic patient; empty for a receipt
    status: Status | None  # what its receipt says; None where none is given
    at: datetime
    answers: str | None = None  # a receipt: the id of the message that it is for
    verdict: Status | None = None  # a receipt: what it says


class Memory:
    """What every receiver remembers: `arrivals` in order, and `taken` by message id."""

    def __init__(self, log: Path | None = None) -> None:
        self.arrivals: list[Arrival] = []
        self.taken: dict[str, Taken] = {}
        self._path = log
        self._log: BinaryIO | None = None

    @property
    def effects(self) -> dict[str, Taken]:
        """What has had an effect, exactly once: all that was taken, but receipts and what was refused."""
        return {
            key: one
            for key, one in self.taken.items()
            if one.event != RECEIPT_EVENT and one.status is not Status.REFUSED
        }

    @property
    def repeats(self) -> int:
        """Arrivals of messages that were held already."""
        return sum(1 for a in self.arrivals if a.taken) - len(self.taken)

    def note(self, arrival: Arrival) -> None:
        """Write an arrival down, flushed, so that it outlives this process."""
        self.arrivals.append(arrival)
        if self._path is not None:
            if self._log is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._log = self._path.open("ab")
            self._log.write(arrival.line())
            self._log.flush()

    def close(self) -> None:
        """Close the file."""
        if self._log is not None:
            self._log.close()
            self._log = None


def patient_number(bundle: Bundle) -> str:
    """The first identifier of the patient that the message is about; empty where it has none."""
    found = (of_type(bundle, "Patient") or {}).get("identifier") or [{}]
    return str(found[0].get("value", ""))


def verdict_in(bundle: Bundle) -> tuple[str | None, Status | None]:
    """What a receipt answers and says; nothing where it cannot be read."""
    try:
        said = receipt_in(bundle)
    except (Refused, LookupError, TypeError, ValueError, AttributeError):
        return None, None
    return said.original_id, said.status
