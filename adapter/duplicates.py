"""A message that has come before: whether it says the same, and what its sender is told.

KITH wants no second AppRec. Our own FHIR messages get the first answer again, to the byte. MedCom wants the
same acknowledgement content in a new Bundle, positive or negative, also where it travels as a message of its
own (D-04), and in no case another verdict than the first. A receipt that comes again is never answered.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from adapter.answers import Answers
from adapter.incoming import Incoming, Prepared, meaning
from adapter.judging import remember
from adapter.mappings.known import named
from adapter.messaging.delivery import DeliveryState
from adapter.messaging.practices import Answer, practice
from adapter.messaging.register import Party
from adapter.outbox import Outbox
from adapter.parcels import RECEIPT
from adapter.store import deliveries, messages
from adapter.store.erased import ERASED
from adapter.store.statements import Row

REUSED = "id-reused"

MOST_WEIGHED = 20
"""Of what was kept under one id, as many are read to see whether it has come before, the newest first."""

_ON_ITS_WAY = (DeliveryState.WAITING.value, DeliveryState.LEASED.value)
_ANSWERED = (DeliveryState.ACKNOWLEDGED.value, DeliveryState.REFUSED.value)


@dataclass(frozen=True, kw_only=True)
class Given:
    """A receipt that was given for a message: its bytes, and as which message of its own, if it was one."""

    content: bytes
    content_type: str
    message_id: str | None = None
    on_its_way: bool = False  # it has not left yet


@dataclass(frozen=True, kw_only=True, slots=True)
class Duplicates:
    """What is said to a message under a known id."""

    outbox: Outbox
    answers: Answers
    read: Callable[[Incoming], Prepared]

    def same(self, tx: Connection, known: Row, prepared: Prepared) -> bool:
        """Whether a message under a known id says what the first one said, in whatever envelope.

        Where retention has taken the first one's bytes, its id must do.
        """
        if known["payload"] == hashlib.sha256(prepared.incoming.content).digest():
            return True
        if known["code"] == ERASED:
            return False  # it may be the same sender's correction: a person looks
        content = messages.content(tx, known["payload"])
        return content is None or self._says(content, known["content_type"]) == meaning(prepared)

    def kept(self, tx: Connection, prepared: Prepared) -> int | None:
        """The message that was kept before because it says this, and not what the first one said."""
        assert prepared.reading is not None
        for row in messages.held_under(tx, prepared.reading.envelope.message_id, REUSED, most=MOST_WEIGHED):
            content = messages.content(tx, row["payload"])
            if content is not None and self._says(content, row["content_type"]) == meaning(prepared):
                return int(row["id"])
        return None

    def _says(self, content: bytes, content_type: str) -> object:
        return meaning(self.read(Incoming(content=content, content_type=content_type)))

    def answer(
        self, tx: Connection, known: Row, prepared: Prepared, sender: Party, now: datetime
    ) -> tuple[bytes | None, str | None]:
        """What is answered directly, with its content type; what travels by itself is put into its lane.

        `known` is as it stood before this one was counted.
        """
        reading = prepared.reading
        assert reading is not None
        says = practice(reading.envelope.dialect).duplicates
        if says is Answer.ANEW:
            remember(tx, reading.envelope, sender, now)
        if reading.acknowledgement is not None or says is Answer.NOTHING:
            return None, None
        if says is Answer.SAME:
            content = messages.content(tx, known["acknowledgement"])
            return content, known["acknowledgement_type"] if content else None
        return self._anew(tx, known, prepared, sender, now)

    def _anew(
        self, tx: Connection, known: Row, prepared: Prepared, sender: Party, now: datetime
    ) -> tuple[bytes | None, str | None]:
        """Every receipt that was given, in a sending of its own.

        Between two of theirs the message goes on as it came, and the receipt of its receiver unaltered.
        """
        assert prepared.reading is not None
        envelope = prepared.reading.envelope
        relayed = self._relayed_again(tx, known, prepared, now)
        number = known["duplicates"] + 2
        direct: tuple[bytes | None, str | None] = (None, None)
        for given in self._given(tx, known, sender):
            if given.on_its_way:
                continue  # the sender could not have known: it has not had it yet
            content = given.content
            if not relayed:
                content = named(envelope.dialect).repeat(content, at=now, number=number)
            if prepared.incoming.awaited and direct[0] is None:
                direct = content, given.content_type
                continue
            self.answers.send_again(
                tx, content, given.content_type, envelope, sender, known["id"], given.message_id, number, now
            )
        return direct

    def _given(self, tx: Connection, known: Row, sender: Party) -> list[Given]:
        """The receipts that were given for a message, each once, as they were given first."""
        found: dict[bytes, Given] = {}
        sent = [
            row
            for row in deliveries.listed(tx, message_row=known["id"], party=sender.id, limit=None)
            if row["kind"] == RECEIPT
        ]
        waiting = {row["message_id"] for row in sent if row["state"] in _ON_ITS_WAY}
        for row in reversed(sent):
            first = _first_sending(tx, row)
            content = messages.content(tx, first) or messages.content(tx, row["payload"])
            if first is not None and content is not None:
                found[first] = Given(
                    content=content,
                    content_type=row["content_type"],
                    message_id=row["message_id"],
                    on_its_way=row["message_id"] in waiting,
                )
        direct = messages.content(tx, known["acknowledgement"])
        if direct is None or known["acknowledgement"] in found:
            return list(found.values())
        return [Given(content=direct, content_type=known["acknowledgement_type"]), *found.values()]

    def _relayed_again(self, tx: Connection, known: Row, prepared: Prepared, now: datetime) -> bool:
        """Whether it only passes between two of theirs; it goes on again unless its receiver has spoken."""
        again = self.outbox.again
        ways = [
            row
            for row in deliveries.listed(tx, message_row=known["id"], limit=None)
            if row["kind"] != RECEIPT and again.relayed(tx, row)
        ]
        for row in ways:
            if row["sent_at"] is not None and row["state"] not in (*_ON_ITS_WAY, *_ANSWERED):
                self.outbox.send_again(tx, row, now, content=prepared.incoming.content)
        return bool(ways)


def _first_sending(tx: Connection, row: Row) -> bytes | None:
    """The hash of a receipt as it was given first; None of one that was given again.

    What a person has sent once more is on its next sending by now, in bytes of that (D-03).
    """
    if row["sending"] == 1:
        return bytes(row["payload"])
    tries = deliveries.attempts(tx, [row["id"]])
    return next((one["content_hash"] for one in tries if one["sending"] == 1), None)
