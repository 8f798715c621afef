"""What we say back: the receipts of those who are ours, and the final receiver's word passed on.

A receipt is a promise by the receiver's own system, given once and final (HITS 1168 4.1, 5.1): as soon as a
message is stored where our board is that system, else when its own system has taken it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo

from sqlalchemy import Connection

from adapter.copies import derived_id
from adapter.errors import CannotWrite, Quarantined
from adapter.fhir.polled import TYPES as POLLED
from adapter.mappings.checking import Checks
from adapter.mappings.known import named
from adapter.messaging.acknowledgement import Issue, Status, Verdict
from adapter.messaging.envelope import Envelope
from adapter.messaging.register import Party, ReceiptWhen, Register, Side
from adapter.messaging.routing import Route
from adapter.outbox import Outbox, Receipted
from adapter.parcels import RECEIPT, Parcel, enqueue
from adapter.store import deliveries, messages


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """The voice of the parties that are ours."""

    outbox: Outbox
    register: Register
    zone: tzinfo
    new_id: Callable[[], str]
    checks: Checks

    def possible(self, envelope: Envelope, routes: Sequence[Route], now: datetime) -> None:
        """Whether what we will have to say can be said: a receipt mirrors what the sender wrote of itself.

        Raises Quarantined where it would not be valid: no promise without a receipt, and none that is wrong.
        """
        if not self.checks.active:
            return
        ours = (route for route in routes if route.party.side is not Side.THEIRS)
        try:
            for route in ours:
                self.acknowledge(envelope, Status.ACCEPTED, route.index, now)
        except CannotWrite as error:
            raise Quarantined(
                f"its receipt cannot be given: {error}; ask the sender to correct what it writes about itself"
                " and about us, and send anew",
                code="mapping",
            ) from error

    def receipts(
        self,
        tx: Connection,
        envelope: Envelope,
        routes: Sequence[Route],
        sender: Party,
        row: int,
        now: datetime,
        *,
        awaited: bool,
    ) -> tuple[bytes | None, str | None]:
        """The receipt of every receiver that is ours and has stored it; the first is the direct answer.

        Where nobody waits for a direct answer (`awaited`), all travel as messages. For a receiver that is
        not ours nothing is said in its name: its own receipt is passed on when it comes.
        """
        direct: tuple[bytes | None, str | None] = (None, None)
        for route in routes:
            if route.party.side is Side.THEIRS:
                continue
            status = Status.ACCEPTED if route.receipted_on_storing else Status.TAKEN_OVER
            made = self.acknowledge(envelope, status, route.index, now)
            if made[0] is None:
                continue
            first = direct[0] is None
            if status is Status.ACCEPTED and not (first and awaited):
                self.send(tx, made[0], envelope, sender, row, route.party.id, now)
            direct = made if first else direct
        return direct

    def refusals(self, envelope: Envelope, issue: Issue, now: datetime) -> tuple[bytes, ...]:
        """The negative receipts of all receivers that are ours, one each (N-01); none where all are theirs.

        Where no receiver is known, the first one's. Raises CannotWrite where one would not be valid.
        """
        day = now.astimezone(self.zone).date()
        known = [self.register.resolve(address, day) for address in envelope.receivers]
        ours = [index for index, party in enumerate(known) if party is not None and party.side is Side.OURS]
        if not ours and any(party is not None for party in known):
            return ()
        made = (self.acknowledge(envelope, Status.REFUSED, index, now, issue) for index in ours or (0,))
        return tuple(content for content, _ in made if content is not None)

    def acknowledge(
        self, envelope: Envelope, status: Status, receiver: int, now: datetime, *issues: Issue
    ) -> tuple[bytes | None, str | None]:
        """The receipt in the dialect of the message, and its content type; None where none is wanted.

        Raises CannotWrite where it would not be valid.
        """
        verdict = Verdict(status=status, at=now, id=self.new_id(), receiver=receiver, issues=issues)
        made = named(envelope.dialect).acknowledge(envelope, verdict)
        if made is not None:
            self.checks.outgoing(made)
        return made, envelope.content_type if made is not None else None

    def send(
        self,
        tx: Connection,
        content: bytes,
        envelope: Envelope,
        to: Party,
        row: int,
        giver: str,
        now: datetime,
    ) -> None:
        """A receipt that cannot travel in a response goes to the sender's own endpoint."""
        endpoint = self.register.endpoint_of(to)
        if endpoint is None:
            return  # the sender's board shows it
        enqueue(
            tx,
            Parcel(
                kind=RECEIPT,
                party=to.id,
                endpoint=endpoint.name,
                dialect=envelope.dialect,
                message_id=derived_id(envelope.message_id, giver, "receipt"),
                content=content,
                content_type=envelope.content_type,
                message_row=row,
                refers_to=None,
                expects_receipt=False,
            ),
            now,
        )

    def pass_back(
        self,
        tx: Connection,
        found: Receipted,
        issues: tuple[Issue, ...],
        receipt: bytes | None,
        content_type: str,
        now: datetime,
    ) -> None:
        """The final receiver's word, to the sender: unaltered where we only relayed, else in its dialect.

        None where a server has said it in its own way, by its status.

        Once: what has been passed back is final, whatever a resend by hand may bring later.
        """
        delivery, told = found.delivery, found.told
        if told is None or told["sender"] is None or delivery["kind"] == RECEIPT or told["type"] in POLLED:
            return  # nobody waits for it
        sender, giver = self.register.party(told["sender"]), self.register.party(delivery["party"])
        if sender is None or giver is None or self.register.endpoint_of(sender) is None:
            return  # the sender has no system that a receipt could go to; its board shows it
        if giver.side is Side.OURS and giver.receipt is ReceiptWhen.STORED:
            return  # its receipt was given when we stored the message, and is final
        if deliveries.receipted(tx, derived_id(told["message_id"], giver.id, "receipt"), sender.id):
            return
        content = messages.content(tx, told["payload"])
        if content is None:
            return
        dialect = named(told["dialect"])
        envelope = dialect.envelope(content, content_type=told["content_type"], zone=self.zone)
        made: bytes | None = receipt
        if receipt is None or sender.side is Side.OURS or giver.side is Side.OURS:
            day = told["received_at"].astimezone(self.zone).date()
            parties = [self.register.resolve(address, day) for address in envelope.receivers]
            index = parties.index(giver) if giver in parties else 0
            try:
                made, _ = self.acknowledge(envelope, found.status, index, now, *issues)
            except CannotWrite as error:
                self._not_passed_back(tx, told["id"], giver, error, now)
                return
        else:
            envelope = replace(envelope, content_type=content_type)
        if made is not None:
            self.send(tx, made, envelope, sender, told["id"], giver.id, now)

    def _not_passed_back(
        self, tx: Connection, row: int, giver: Party, why: CannotWrite, now: datetime
    ) -> None:
        """The final receiver's word is kept; that its sender does not get it is for a person to mend."""
        self.outbox.alarms.start(
            tx,
            kind="receipt-not-passed-back",
            subject=f"message {row}",
            text=f"the receipt of {giver.id} was not passed back to the sender, tell it by telephone: {why}",
            now=now,
        )
