"""Sending again: in which bytes, how often by itself, and what the receiver says of it.

A retry is the same sending, to the byte. A resend is the next one: no receipt came in time, the receiver
asked for it later, or a person wants it. Its bytes are made once, by its dialect, when it is scheduled: the
content of a delivery is that of its present sending, and each attempt keeps the hash of what left (D-03).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from adapter.mappings.known import named
from adapter.messaging.acknowledgement import Acknowledgement, Status
from adapter.messaging.delivery import DeliveryState, Trigger
from adapter.messaging.practices import practice
from adapter.messaging.register import EDI, Register, Resend, Side
from adapter.parcels import RECEIPT
from adapter.store import deliveries, messages
from adapter.store.statements import Row

RECEIPT_WITHIN = timedelta(minutes=30)
"""For a delivery whose endpoint the region file no longer has."""

AHEAD = timedelta(minutes=10)
"""How far ahead of us a receiver's clock may be, so that its own order of its receipts holds."""

_ON_ITS_WAY = (DeliveryState.WAITING.value, DeliveryState.LEASED.value)
_FINAL = (Status.ACCEPTED, Status.REFUSED)


@dataclass(frozen=True, kw_only=True, slots=True)
class SendingAgain:
    """What the standards, the region file and the log say about one more sending."""

    register: Register

    def next_sending(self, tx: Connection, row: Row, now: datetime) -> dict[str, Any]:
        """The columns of a delivery for its next sending: its number, and its bytes where they are new.

        None where the present one has not left yet, as far as we know: then it is that one, to the byte.
        """
        if row["sent_at"] is None or row["state"] in _ON_ITS_WAY:
            return {}
        return self.renewed(tx, row, now)

    def renewed(self, tx: Connection, row: Row, now: datetime) -> dict[str, Any]:
        """The same where we know that the present one has been there; its bytes stay where they are gone."""
        values: dict[str, Any] = {"sending": row["sending"] + 1}
        if not practice(row["dialect"]).renews or self.relayed(tx, row):
            return values
        content = messages.content(tx, row["payload"])
        if content is None:
            return values
        made = named(row["dialect"]).repeat(content, at=now, number=values["sending"])
        return values | {"payload": messages.keep(tx, made)}

    def undone(self, tx: Connection, row: Row) -> dict[str, Any]:
        """The columns for the sending before one that has not left after all.

        Where retention has taken that one's bytes meanwhile, the new ones stay: they say the same.
        """
        if row["sent_at"] is None or row["resume_state"] in _ON_ITS_WAY or row["sending"] == 1:
            return {}
        values: dict[str, Any] = {"sending": row["sending"] - 1}
        if not practice(row["dialect"]).renews or self.relayed(tx, row):
            return values
        tries = deliveries.attempts(tx, [row["id"]])
        left = next((one["content_hash"] for one in tries if one["sending"] == values["sending"]), None)
        if left is None or messages.content(tx, left) is None:
            return {}
        return values | {"payload": left}

    def by_itself(self, tx: Connection, row: Row, tries: Sequence[Row]) -> bool:
        """Whether it may be sent once more without a person.

        A message server does that itself; between two of theirs the sender does, where that takes new bytes.
        """
        endpoint = self.register.endpoint(row["endpoint"] or "")
        if endpoint is not None and (endpoint.transport == EDI or endpoint.resend is Resend.BY_HAND):
            return False
        how = practice(row["dialect"])
        if how.renews and self.relayed(tx, row):
            return False
        own = endpoint.resends if endpoint is not None else None
        return _sent_again(tries, all_of_them=how.renews) < (how.resends if own is None else own)

    def within(self, row: Row) -> timedelta:
        """How long its receipt may take, by its endpoint."""
        endpoint = self.register.endpoint(row["endpoint"] or "")
        return endpoint.receipt_within if endpoint is not None else RECEIPT_WITHIN

    def relayed(self, tx: Connection, row: Row) -> bool:
        """Whether it only passes between two that are not ours, unaltered; a receipt as its message does."""
        if row["kind"] == RECEIPT:
            sent = deliveries.listed(tx, message_row=row["message_row"], limit=None)
            return any(self.relayed(tx, one) for one in sent if one["kind"] != RECEIPT)
        told = messages.get(tx, row["message_row"]) if row["message_row"] is not None else None
        ends = (self.register.party((told or {}).get("sender") or ""), self.register.party(row["party"]))
        return all(party is not None and party.side is Side.THEIRS for party in ends)


def timely(said: Acknowledgement, now: datetime) -> Acknowledgement:
    """The receipt with a time that can be; else none that its giver's clock writes later would ever count."""
    return said if said.at - now <= AHEAD else replace(said, at=now)


def is_old(row: Row, said: Acknowledgement, *, repeated: bool) -> bool:
    """Whether a receipt is about an earlier sending than the one that waits or was answered since (D-06).

    Of those that are not final, and of those that come a second time.
    """
    if not practice(row["dialect"]).newest_counts or not (repeated or said.status is Status.NOT_NOW):
        return False
    waits = row["state"] == DeliveryState.WAITING.value and row["sent_at"] is not None
    return waits or (row["receipt_at"] is not None and said.at <= row["receipt_at"])


def replaces(row: Row, said: Acknowledgement, before: Status) -> bool:
    """Whether a receipt, newer by its own time, takes the place of the one that says otherwise (D-06).

    The network's may be about one more sending of what has been taken: the receiver's own word holds.
    """
    if (
        said.of_the_network
        or not practice(row["dialect"]).newest_counts
        or said.status not in _FINAL
        or said.status is before
    ):
        return False
    return row["receipt_at"] is not None and said.at > row["receipt_at"]


def contradicts(row: Row, said: Acknowledgement, before: Status) -> bool:
    """Whether a receipt that changes nothing says otherwise, so that a person must ask which holds.

    An older one that only comes late does not.
    """
    if said.status not in _FINAL or said.status is before:
        return False
    late = row["receipt_at"] is not None and said.at < row["receipt_at"]
    return not (practice(row["dialect"]).newest_counts and late)


def _sent_again(tries: Sequence[Row], *, all_of_them: bool) -> int:
    """How often it was sent again by itself: for want of a receipt, or `all_of_them` for whatever reason."""
    sent: list[str] = [one["trigger"] for one in tries if one["outcome"] == "sent"]
    if not all_of_them:
        return sent.count(Trigger.MISSING_RECEIPT.value)
    return max(0, sum(one != Trigger.PERSON.value for one in sent) - 1)
