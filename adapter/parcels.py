"""What must go out, on its way into its lane; the content of its first sending is frozen here.

`enqueue` runs inside the transaction that learned why.
"""

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from adapter.discharge.notices import NoticeKind
from adapter.messaging.delivery import DeliveryState
from adapter.phrases import Phrase, phrase
from adapter.store import deliveries, messages

WEBHOOK = "alarm-webhook"
MAIL = "alarm-mail"
RECEIPT = "receipt"
RELAYED = "relayed"
ALARM = "alarm"
SUBSCRIPTION = "subscription"

NOTICES = frozenset(kind.value for kind in NoticeKind)
"""The kinds of delivery that carry a notice."""

NOWHERE = phrase("no endpoint is configured for this party")


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """Something that must go out: frozen content, for one party."""

    kind: str  # a notice kind, receipt, alarm or subscription
    party: str
    endpoint: str | None  # None: it waits until the region file names one
    dialect: str
    message_id: str
    content: bytes = field(repr=False)
    content_type: str
    kept: bytes | None = None  # the hash of the content, where the store holds it already
    message_row: int | None = None
    case_id: int | None = None
    refers_to: str | None = None
    expects_receipt: bool = True
    hold_until: datetime | None = None
    look_at: datetime | None = None  # when the clock must look whether it has got there
    original: int | None = None
    sending: int = 1  # above 1 where the same has been sent before as a delivery of its own
    cancelled: Phrase | None = None  # why it is only written into the log, and never sent
    thread: str | None = None  # the conversation of what is relayed unread, where no case is known

    @property
    def lane(self) -> str:
        """Order is kept per case and receiver, per alarm, per subscription; a receipt waits for nothing."""
        if self.kind in NOTICES and self.case_id is not None:
            return f"{self.case_id}:{self.party}"
        if self.kind == ALARM:
            return self.message_id.rsplit("-", 1)[0]  # its end never overtakes its start
        if self.kind == SUBSCRIPTION and self.endpoint is not None:
            return self.endpoint
        if self.thread is not None:
            return f"{self.kind}:{self.thread}:{self.party}"
        return f"{self.kind}:{self.message_id}:{self.party}"


def enqueue(tx: Connection, parcel: Parcel, now: datetime) -> int:
    """Put a parcel into its lane; it is due at once, unless what it refers to could not be delivered."""
    behind = (
        deliveries.undeliverable(tx, parcel.refers_to, parcel.party) if parcel.refers_to is not None else None
    )
    waits = NOWHERE if parcel.endpoint is None else None
    if behind is not None:
        waits = deliveries.parked_behind(behind)
    waits = parcel.cancelled or waits
    state = DeliveryState.WAITING if parcel.cancelled is None else DeliveryState.CANCELLED
    return deliveries.add(
        tx,
        {
            "message_row": parcel.message_row,
            "case_id": parcel.case_id,
            "lane": parcel.lane,
            "kind": parcel.kind,
            "party": parcel.party,
            "endpoint": parcel.endpoint,
            "dialect": parcel.dialect,
            "message_id": parcel.message_id,
            "refers_to": parcel.refers_to,
            "expects_receipt": int(parcel.expects_receipt),
            "payload": parcel.kept or messages.keep(tx, parcel.content),
            "sending": parcel.sending,
            "content_type": parcel.content_type,
            "state": state.value,
            "created_at": now,
            "next_attempt_at": None if waits else now,
            "hold_until": parcel.hold_until,
            "look_at": parcel.look_at if parcel.cancelled is None else None,
            "error": waits,
            "original": parcel.original,
        },
    )
