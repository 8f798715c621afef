"""Receipts: a promise by the receiver's own system, given once and final (HITS 1168 4.1, 5.1).

`Verdict` is what we say of a message that came in; `Acknowledgement` is what somebody says of a message
that we sent. Status words are those that every standard shares: accepted, refused, and "not now".
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from adapter.messaging.envelope import Address

RECEIPTS = ("APPREC", "receipt", "acknowledgement-message")
"""How envelopes call receipts: KITH's, our own FHIR's, MedCom's."""


class Status(StrEnum):
    """What a receipt says of the message it is for."""

    ACCEPTED = "accepted"  # AppRec 1 OK, response.code ok
    REFUSED = "refused"  # AppRec 2 Avvist, fatal-error: no use in sending it again unchanged
    NOT_NOW = "not-now"  # transient-error: the same message may be accepted later
    TAKEN_OVER = "taken-over"  # a station on the way has stored it; satisfies no deadline


@dataclass(frozen=True, kw_only=True, slots=True)
class Issue:
    """One reason, in the standard's own code."""

    code: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What we answer for the receivers that are ours.

    `id` is the new receipt's own, `receiver` the address in whose name it is given (index into the
    envelope's receivers).
    """

    status: Status
    at: datetime
    id: str
    receiver: int = 0
    issues: tuple[Issue, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Acknowledgement:
    """A receipt that came back for a message of ours, or that we pass on between others."""

    original_id: str  # MsgId / MessageHeader.id of the message it is for
    status: Status
    at: datetime  # as the receipt states it
    giver: Address
    issues: tuple[Issue, ...] = ()
    of_the_network: bool = False  # who carries it says whether it arrived, and not whether it was taken
