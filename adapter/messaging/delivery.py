"""One message on its way to one party, and each try at it.

`waiting → leased → sent → acknowledged`, or `refused` (the receiver said no), or `given-up` (we, or a
person, stopped trying), or `cancelled` (its sender took it back before it was ever attempted).
Where the patient is, is another axis: `discharge.case`.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from adapter.messaging.register import Endpoint
from adapter.phrases import Phrase, phrase

SPARE = timedelta(seconds=5)
"""What a lease must have left beyond the time-out when a message is sent: nothing may outlast its lease."""


class DeliveryState(StrEnum):
    """How far one message has come on its way to one party."""

    WAITING = "waiting"
    LEASED = "leased"
    SENT = "sent"
    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    GIVEN_UP = "given-up"
    CANCELLED = "cancelled"  # never attempted, and never will be: withdrawn, or a newer one goes in its place


class Trigger(StrEnum):
    """Why an attempt was made."""

    SCHEDULE = "schedule"
    PERSON = "person"
    MISSING_RECEIPT = "missing-receipt"
    PROBE = "probe"  # to find out whether an endpoint that rests lives again


@dataclass(frozen=True, kw_only=True, slots=True)
class Leased:
    """A delivery that this process has claimed and must send before the lease ends."""

    id: int
    lane: str
    endpoint: str
    party: str
    dialect: str
    message_id: str  # the id inside the content; the same in every attempt and every sending
    content: bytes = field(repr=False)
    content_type: str
    attempts: int  # made before this one
    created_at: datetime
    lease_until: datetime
    fence: int  # the number of this lease: only who holds the last one given may record what came of it
    trigger: Trigger = Trigger.SCHEDULE
    case_id: int | None = None
    kind: str = ""  # what it carries: a notice kind, receipt, relayed, alarm or subscription
    next_attempt_at: datetime | None = None  # what the schedule had planned, kept when a person resends
    payload: bytes = field(default=b"", repr=False)  # the hash of the content
    sending: int = 1  # which sending of the message it is; a retry of it is the same one, a resend the next
    probe: bool = False  # it finds out whether an endpoint that rests lives again, and counts as no attempt
    to: Endpoint | None = (
        None  # where it goes, of a notification: as its subscription said when it was leased
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What one attempt brought back; never an exception.

    `status` is the HTTP status, None where there is none (a directory, a broken connection).
    `delivered` says that the receiver's side holds the message: HTTP 2xx does, a file written does not.
    """

    status: int | None = None
    delivered: bool = False
    taken: bool = False  # the transport has accepted it, whether or not the receiver holds it
    body: bytes = field(default=b"", repr=False)
    content_type: str | None = None
    retry_after: float | None = None  # seconds
    max_age: float | None = None  # seconds for which the peer lets its answer be kept; None: it does not say
    error: Phrase | None = None  # connection and protocol faults, in words, without any body
    ms: float = 0.0
    etag: str | None = None
    location: str | None = None
    nonce: str | None = field(default=None, repr=False)  # that the peer wants in the next proof (DPoP-Nonce)
    final: bool = False  # the receiver's own system has it for good, and no receipt will follow
    plan: str | None = None  # `CarePlan/id`, where a plan was put on the receiver's server
    ours: bool = False  # the fault is our own, or this message's, and tells nothing about the endpoint
    conflict: bool = False  # that plan has been changed at both ends, and nothing was overwritten
    permanent: bool = False  # no for good, said by a protocol that has no HTTP status

    @property
    def said(self) -> Phrase:
        """What went wrong, in words; the HTTP status where nobody has any."""
        return self.error or phrase("HTTP {status}", status=str(self.status))
