"""What we say back: the receipts of those who are ours, and the final receiver's word passed on.

A receipt is a promise by the receiver's own system, given once and final (HITS 1168 4.1, 5.1): as soon as a
message is stored where our board is that system, else when its own system has taken it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo
from types import MappingProxyType

from sqlalchemy import Connection

from adapter.copies import derived_id
from adapter.errors import CannotWrite, Quarantined
from adapter.fhir.polled import TYPES as POLLED
from adapter.incoming import BOARD
from adapter.mappings.checking import Checks
from adapter.mappings.known import named
from adapter.messaging.acknowledgement import Issue, Status, Verdict
from adapter.messaging.envelope import Envelope
from adapter.messaging.numbering import keyed_id
from adapter.messaging.register import Party, ReceiptWhen, Register, Side
from adapter.messaging.routing import NOT_RELEVANT, Route
from adapter.outbox import Outbox, Receipted
from adapter.parcels import RECEIPT, Parcel, enqueue
from adapter.phrases import phrase
from adapter.store import deliveries, messages
from adapter.store.statements import Row


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """The voice of the parties that are ours."""

    outbox: Outbox
    register: Register
    zone: tzinfo
    key: bytes = field(repr=False)  # of the store: who does not have it cannot foretell a receipt's id
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
                phrase(
                    "its receipt cannot be given: {why}; ask the sender to correct what it writes about "
                    "itself and about us, and send anew",
                    why=error.said,
                ),
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
        board: bool = False,
        settled: Mapping[str, tuple[Status, tuple[Issue, ...]]] = MappingProxyType({}),
    ) -> tuple[bytes | None, str | None]:
        """The receipt of every receiver that is ours and has stored it; the first is the direct answer.

        Where nobody waits for a direct answer (`awaited`), all travel as messages; what was told on a board
        is answered there (`board`). For a receiver that is
        not ours nothing is said in its name: its own receipt is passed on when it comes.
        `settled` is what parties have said of the same message before, which holds for this one.
        """
        direct: tuple[bytes | None, str | None] = (None, None)
        for route in routes:
            if route.party.side is Side.THEIRS:
                continue
            not_its_own = route.refusal is not None and route.refusal.code == NOT_RELEVANT
            if route.refusal is not None and not not_its_own:
                if board:
                    continue
                said_no = self.acknowledge(envelope, Status.REFUSED, route.index, now, route.refusal)[0]
                if said_no is not None:
                    self.send(tx, said_no, envelope, sender, row, _giver_of(route, routes), now)
                continue
            at_once = route.receipted_on_storing or not_its_own
            on_storing = Status.ACCEPTED if at_once else Status.TAKEN_OVER
            status, issues = settled.get(route.party.id, (on_storing, ()))
            made = self.acknowledge(envelope, status, route.index, now, *issues)
            if made[0] is None:
                continue
            first = direct[0] is None
            if status is not Status.TAKEN_OVER and not (first and awaited) and not board:
                self.send(tx, made[0], envelope, sender, row, _giver_of(route, routes), now)
            direct = made if first else direct
        return direct

    def refusals(self, envelope: Envelope, issue: Issue, now: datetime) -> list[tuple[str, bytes]]:
        """The negative receipt of each receiver that is ours, with the name under which it is sent (N-01).

        None for what is addressed to somebody else (N-07). Whoever posts FHIR awaits an answer all the same,
        unless its message is for theirs alone. Raises CannotWrite where one would not be valid.
        """
        day = now.astimezone(self.zone).date()
        known = [self.register.resolve(address, day) for address in envelope.receivers]
        ours = [(index, p) for index, p in enumerate(known) if p is not None and p.side is Side.OURS]
        if not ours and envelope.dialect == "fhir" and not any(known):
            made, _ = self.acknowledge(envelope, Status.REFUSED, 0, now, issue)
            return [("refusal", made)] if made is not None else []
        found = []
        for number, (index, _) in enumerate(ours):
            made, _ = self.acknowledge(envelope, Status.REFUSED, index, now, issue)
            if made is not None:
                found.append((f"refusal/{index}" if number else "refusal", made))
        return found

    def acknowledge(
        self, envelope: Envelope, status: Status, receiver: int, now: datetime, *issues: Issue
    ) -> tuple[bytes | None, str | None]:
        """The receipt in the dialect of the message, and its content type; None where none is wanted.

        Raises CannotWrite where it would not be valid.
        """
        own = self._receipt_id(envelope, status, receiver)
        verdict = Verdict(status=status, at=now, id=own, receiver=receiver, issues=issues)
        made = named(envelope.dialect).acknowledge(envelope, verdict)
        if made is not None:
            self.checks.outgoing(made)
        return made, envelope.content_type if made is not None else None

    def _receipt_id(self, envelope: Envelope, status: Status, receiver: int) -> str:
        """The same whenever the same is said of the same message: never a second receipt, only one again."""
        said = (envelope.sender.token, envelope.message_id, str(receiver), status.value)
        return keyed_id(self.key, "receipt", *said)

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
        own = derived_id(envelope.message_id, giver, "receipt")
        self.send_again(tx, content, envelope.content_type, envelope, to, row, own, 1, now)

    def send_again(
        self,
        tx: Connection,
        content: bytes,
        content_type: str,
        envelope: Envelope,
        to: Party,
        row: int,
        message_id: str | None,
        number: int,
        now: datetime,
    ) -> None:
        """The same for the `number`th sending of one; None where it has never travelled as a message."""
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
                message_id=message_id or derived_id(envelope.message_id, "direct", "receipt"),
                content=content,
                content_type=content_type,
                message_row=row,
                refers_to=None,
                expects_receipt=False,
                sending=number,
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
        if told["channel"] == BOARD:
            return  # no system has sent it; the board shows what became of it
        sender, giver = self.register.party(told["sender"]), self.register.party(delivery["party"])
        if sender is None or giver is None or self.register.endpoint_of(sender) is None:
            return  # the sender has no system that a receipt could go to; its board shows it
        if giver.side is Side.OURS and giver.receipt is ReceiptWhen.STORED:
            return  # its receipt was given when we stored the message, and is final
        if receipt is not None and sender.side is Side.THEIRS and giver.side is Side.THEIRS:
            self._unaltered(tx, told, sender, giver, receipt, content_type, now)
            return
        for message in (told, *messages.twins(tx, told["id"])):
            self._in_its_name(tx, message, sender, giver, found.status, issues, now)

    def relayed(self, found: Receipted) -> bool:
        """Whether the receipt is for what we only passed on, so that every receiver's own goes back."""
        sender = self.register.party(found.told["sender"]) if found.told and found.told["sender"] else None
        giver = self.register.party(found.delivery["party"])
        return all(party is not None and party.side is Side.THEIRS for party in (sender, giver))

    def _in_its_name(
        self,
        tx: Connection,
        told: Row,
        sender: Party,
        giver: Party,
        status: Status,
        issues: tuple[Issue, ...],
        now: datetime,
    ) -> None:
        """The receipt of each of its receivers that is addressed in a message, each once (N-01)."""
        envelope = self._outside(tx, told)
        if envelope is None:
            return
        for index, name in self._givers(envelope, giver, told):
            if deliveries.receipted(tx, derived_id(told["message_id"], name, "receipt"), sender.id):
                continue
            try:
                made, _ = self.acknowledge(envelope, status, index, now, *issues)
            except CannotWrite as error:
                self._not_passed_back(tx, told["id"], giver, error, now)
                continue
            if made is not None:
                self.send(tx, made, envelope, sender, told["id"], name, now)

    def _unaltered(
        self,
        tx: Connection,
        told: Row,
        sender: Party,
        giver: Party,
        receipt: bytes,
        content_type: str,
        now: datetime,
    ) -> None:
        """Between two of theirs the receipt of each addressed receiver goes on as it came, once."""
        envelope = self._outside(tx, told)
        if envelope is None:
            return
        said = named(told["dialect"]).envelope(receipt, content_type=content_type, zone=self.zone).sender
        givers = self._givers(envelope, giver, told)
        own = (name for index, name in givers if envelope.receivers[index].identifiers == said.identifiers)
        name = next(own, givers[0][1])
        if not deliveries.receipted(tx, derived_id(told["message_id"], name, "receipt"), sender.id):
            as_it_came = replace(envelope, content_type=content_type)
            self.send(tx, receipt, as_it_came, sender, told["id"], name, now)

    def _outside(self, tx: Connection, told: Row) -> Envelope | None:
        """The envelope of a message that came before; None where retention has taken its bytes."""
        content = messages.content(tx, told["payload"])
        if content is None:
            return None
        return named(told["dialect"]).envelope(content, content_type=told["content_type"], zone=self.zone)

    def _not_passed_back(
        self, tx: Connection, row: int, giver: Party, why: CannotWrite, now: datetime
    ) -> None:
        """The final receiver's word is kept; that its sender does not get it is for a person to mend."""
        self.outbox.alarms.start(
            tx,
            kind="receipt-not-passed-back",
            subject=f"message {row}",
            text=phrase(
                "the receipt of {party} was not passed back to the sender, tell it by telephone: {why}",
                party=giver.id,
                why=why.said,
            ),
            now=now,
        )

    def _givers(self, envelope: Envelope, giver: Party, told: Row) -> list[tuple[int, str]]:
        """The places among the receivers at which a party stands, each with the name of its receipt."""
        day = told["received_at"].astimezone(self.zone).date()
        parties = [self.register.resolve(address, day) for address in envelope.receivers]
        places = [index for index, party in enumerate(parties) if party == giver] or [0]
        return [(index, _giver(giver.id, index, places)) for index in places]


def _giver_of(route: Route, routes: Sequence[Route]) -> str:
    places = [other.index for other in routes if other.party == route.party]
    return _giver(route.party.id, route.index, places)


def _giver(party: str, index: int, places: Sequence[int]) -> str:
    """Whose receipt it is: the party's, or where it stands at several addresses, that of a later one."""
    return party if index == places[0] else f"{party}/{index}"
