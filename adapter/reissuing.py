"""A notice that a receiver could not be given is written anew, for a corrected address or for another party.

With new ids, because the old ones may have been seen; the delivery that it stands for is closed for good.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, tzinfo

from sqlalchemy import Connection

from adapter.copies import answered_by, as_registered, note_left_out, previous_to
from adapter.discharge.notices import Notice, NoticeKind
from adapter.errors import NotDecided, NotFound
from adapter.fhir.allowing import shown
from adapter.incoming import Incoming, Prepared, heard_from
from adapter.mappings import Addressing, Reading
from adapter.mappings.checking import Checks
from adapter.mappings.known import named
from adapter.messaging.addressing import addressed
from adapter.messaging.register import Party, Register, Side
from adapter.outbox import Outbox, because
from adapter.parcels import RECEIPT, Parcel, enqueue
from adapter.phrases import phrase
from adapter.relevance import Relevance
from adapter.store import deliveries, messages


@dataclass(frozen=True, kw_only=True, slots=True)
class Reissuing:
    """What a person writes anew."""

    outbox: Outbox
    register: Register
    zone: tzinfo
    new_id: Callable[[], str]
    checks: Checks
    read: Callable[[Incoming], Prepared]
    relevance: Relevance
    as_known: Callable[[Connection, Prepared, Reading], Reading]  # marked where the patient is protected

    def reissue(
        self,
        tx: Connection,
        delivery_id: int,
        now: datetime,
        *,
        to: str | None,
        by: str | None,
        why: str | None = None,
    ) -> int:
        """Write the notice of a delivery anew, with new ids, for a corrected address; closes the old one."""
        old = deliveries.get(tx, delivery_id)
        told = messages.get(tx, old["message_row"]) if old is not None and old["message_row"] else None
        if old is None or told is None or old["kind"] == RECEIPT:
            raise NotFound(
                phrase(
                    "delivery {delivery} is no notice of ours; `discharge-adapter deliveries` lists them",
                    delivery=str(delivery_id),
                )
            )
        content = messages.content(tx, told["payload"])
        party = self.register.party(to or old["party"])
        sender = self.register.party(told["sender"])
        self.outbox.not_cancelled(old)
        if content is None or party is None or sender is None:
            raise NotFound(
                phrase(
                    "delivery {delivery}: its bytes or its parties are no longer known",
                    delivery=str(delivery_id),
                )
            )
        if sender.side is Side.THEIRS and party.side is Side.THEIRS:
            raise NotFound(
                phrase(
                    "delivery {delivery} is only relayed: its sender must send it anew",
                    delivery=str(delivery_id),
                )
            )
        self.outbox.check_consent(tx, delivery_id, now)
        known = self.read(Incoming(content=content, content_type=told["content_type"]))
        known = heard_from(sender.kind, known, self.zone)
        assert known.reading is not None and known.notice is not None
        reading = self.as_known(tx, known, known.reading)
        self._not_passed_on(delivery_id, known.notice, party, old["party"])
        self._its_own(tx, delivery_id, party, known, sender, now)
        endpoint = self.outbox.endpoint_for(party, old["kind"])
        assert reading.bundle is not None
        dialect = endpoint.dialect if endpoint is not None else old["dialect"]
        kind = NoticeKind(old["kind"])
        may_see = shown(reading.bundle, kind, receiver_kind=party.kind)
        day = told["received_at"].astimezone(self.zone).date()
        before = (
            one
            for one in reading.envelope.receivers
            if (found := self.register.resolve(one, day)) is not None and found.id == old["party"]
        )
        address = self.register.address(party, next(before, reading.envelope.receivers[0]))
        said_in = reading.envelope.dialect
        if dialect != "fhir":
            address = addressed(
                party,
                address,
                kind.value,
                psychiatric=known.notice.psychiatric,
                explicit=told["dialect"] != "fhir" and party.id == old["party"],
            )
        addressing = Addressing(
            message_id=self.new_id(),
            transmission_id=self.new_id(),
            sender=as_registered(reading.envelope.sender, sender, said_in=said_in, reads=dialect),
            receiver=as_registered(address, party, said_in=said_in, reads=dialect),
            telephone=sender.telephone,
            previous=answered_by(tx, party, old["refers_to"], dialect)
            or previous_to(tx, party, sender, kind, dialect, case_id=old["case_id"], before=delivery_id),
            refers_to=old["refers_to"] if old["party"] == party.id else None,
            production=bool(reading.envelope.production),
        )
        written = named(dialect).write(may_see.bundle, dialect=dialect, addressing=addressing)
        self.checks.outgoing(written.content)
        new = enqueue(
            tx,
            Parcel(
                kind=old["kind"],
                party=party.id,
                endpoint=endpoint.name if endpoint else None,
                dialect=dialect,
                message_id=addressing.message_id,
                content=written.content,
                content_type=written.content_type,
                message_row=told["id"],
                case_id=old["case_id"],
                refers_to=addressing.refers_to,
                original=delivery_id,
            ),
            now,
        )
        if may_see.left_out and old["case_id"] is not None:
            note_left_out(tx, may_see.left_out, kind, party, told["id"], old["case_id"], now)
        self.outbox.telephoning.watch(tx, new, now)
        what = phrase("reissued as delivery {delivery}", delivery=str(new))
        self.outbox.close(tx, delivery_id, because(what, why), now, by=by)
        return new

    def _its_own(
        self, tx: Connection, delivery_id: int, party: Party, known: Prepared, sender: Party, now: datetime
    ) -> None:
        """By hand, too, a party of ours is told of nobody whom it may not know of."""
        try:
            may_know = self.relevance.may_know(tx, party, known, sender, now)
        except NotDecided as why:
            raise NotFound(
                phrase("delivery {delivery}: {why}", delivery=str(delivery_id), why=why.said)
            ) from None
        if not may_know:
            raise NotFound(
                phrase(
                    "delivery {delivery}: the patient is none of {party}'s own, by its roster and cases; "
                    "where that is wrong, correct the roster first",
                    delivery=str(delivery_id),
                    party=party.id,
                )
            )

    def _not_passed_on(self, delivery_id: int, notice: Notice, party: Party, addressed_to: str) -> None:
        """What the patient has reserved against passing on goes to nobody but its addressed receiver."""
        plan = notice.kind is NoticeKind.CARE_PLAN
        if not notice.reserved or (party.id == addressed_to and self.register.own_system(party, plan=plan)):
            return
        raise NotFound(
            phrase(
                "delivery {delivery}: the patient has reserved against passing on, so only {party} "
                "may have it, at an endpoint of its own; telephone",
                delivery=str(delivery_id),
                party=addressed_to,
            )
        )
