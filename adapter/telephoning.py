"""In time for the telephone: a person is told whom to call about a notice that must be there and is not.

Also where it was never sent: while it backs off, its endpoint is paused or rests, it is parked or has no
endpoint, or it was given up or refused. One alarm a delivery, until the receipt comes, the deadline is met in
another way, or a person closes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from adapter.alarming import Alarms
from adapter.cases import Cases, late_from
from adapter.discharge.notices import Standing, word
from adapter.messaging.awaiting import LOOK_AGAIN, NEGATIVE_AFTER
from adapter.messaging.communication_party import read
from adapter.messaging.delivery import DeliveryState
from adapter.messaging.envelope import HER
from adapter.messaging.nearing import telephone_at
from adapter.messaging.register import Register
from adapter.parcels import NOTICES, NOWHERE
from adapter.phrases import Dated, Phrase, phrase, plural, verbatim
from adapter.store import deliveries, messages, urgent
from adapter.store.statements import Row

URGENT = "delivery-urgent"

SOON = timedelta(minutes=10)
"""How often the clock looks again while such an alarm is on."""

_FAILED = (DeliveryState.GIVEN_UP.value, DeliveryState.REFUSED.value)
_OPEN = (DeliveryState.WAITING.value, DeliveryState.LEASED.value, DeliveryState.SENT.value, *_FAILED)


@dataclass(frozen=True, kw_only=True)
class Telephoning:
    """The telephone routine of one region."""

    cases: Cases
    register: Register
    alarms: Alarms
    before: timedelta  # that people need before a deadline

    def due(self, tx: Connection, row: Row, now: datetime) -> datetime | None:
        """When the first deadline ahead is due that the notice of a delivery would meet."""
        ahead = (d["due_at"] for d in self._awaiting(tx, row) if late_from(d["due_at"]) > now)
        return min(ahead, default=None)

    def _awaiting(self, tx: Connection, row: Row) -> Sequence[Row]:
        """The deadlines that still want that notice, open or missed."""
        if row["kind"] not in NOTICES or row["case_id"] is None or row["accepted_at"] is not None:
            return ()
        told = messages.get(tx, row["message_row"]) if row["message_row"] is not None else None
        if told is None or told["standing"] == Standing.CANCELLATION:
            return ()
        return self.cases.awaiting(tx, row["case_id"], row["kind"], (told["sender"], row["party"]))

    # --- when to look ---

    def first_look(self, kind: str, due_at: datetime | None, now: datetime) -> datetime | None:
        """When the clock must look at what is enqueued now; None where no deadline can want it."""
        if due_at is not None and due_at > now:
            return telephone_at(now, due_at, self.before)
        return now + LOOK_AGAIN if self.cases.deadlines_met_by(kind) else None

    def watch(self, tx: Connection, delivery_id: int, now: datetime) -> None:
        """Have the clock look at a delivery that has failed, or has been put back, while there is time."""
        row = deliveries.get(tx, delivery_id)
        due_at = self.due(tx, row, now) if row is not None else None
        if row is not None and due_at is not None:
            at = max(now, telephone_at(row["created_at"], due_at, self.before))
            deliveries.change(tx, delivery_id, look_at=at)

    # --- looking ---

    def not_there(self, row: Row) -> bool:
        """Whether it has not left yet, or has come back: then no receipt is awaited, but a person needed."""
        return row["sent_at"] is None or row["state"] in _FAILED

    def look(self, tx: Connection, row: Row, now: datetime) -> bool:
        """Tell a person where it is time; True where the alarm is new."""
        if row["state"] not in _OPEN:
            deliveries.change(tx, row["id"], look_at=None)
            return False
        due_at = self.due(tx, row, now)
        if due_at is None:
            on = self.keep_or_end(tx, row, now)
            waits = row["state"] not in _FAILED and now < row["created_at"] + NEGATIVE_AFTER
            deliveries.change(tx, row["id"], look_at=now + LOOK_AGAIN if on or waits else None)
            return False
        at = telephone_at(row["created_at"], due_at, self.before)
        if now < at:
            deliveries.change(tx, row["id"], look_at=min(at, now + LOOK_AGAIN))
            return False
        deliveries.change(tx, row["id"], look_at=min(late_from(due_at), now + SOON))
        return self.tell(tx, row, due_at, self._why(tx, row), now)

    def due_still(self, tx: Connection, row: Row) -> bool:
        """Whether some deadline still wants the notice of a delivery."""
        return bool(self._awaiting(tx, row))

    def keep_or_end(self, tx: Connection, row: Row, now: datetime) -> bool:
        """Whether the alarm stays on; it ends where no deadline wants the notice any more."""
        subject = f"delivery {row['id']}"
        if not self.alarms.on(tx, URGENT, subject):
            return False
        if self._awaiting(tx, row):
            return True
        self.alarms.end(tx, URGENT, subject, now)
        return False

    def tell(self, tx: Connection, row: Row, due_at: datetime, why: Phrase, now: datetime) -> bool:
        """The alarm, or its words brought up to date; False where it was on, or a person has closed it."""
        subject = f"delivery {row['id']}"
        if urgent.closed_by_hand(tx, URGENT, subject):
            return False
        new = not self.alarms.on(tx, URGENT, subject)
        number = self.number(tx, row["party"])
        text = phrase(
            "{receiver} does not have {notice}: {why}; it must be there by {due}: telephone {receiver} "
            "about it (delivery {delivery}), and record the answer"
            if number is None
            else "{receiver} does not have {notice}: {why}; it must be there by {due}: telephone {receiver} "
            "({telephone}) about it (delivery {delivery}), and record the answer",
            receiver=self.register.name(row["party"]),
            notice=word("notice", row["kind"]),
            why=why,
            due=self.by(due_at),
            delivery=str(row["id"]),
            **({} if number is None else {"telephone": number}),
        )
        case_id = row["case_id"]
        self.alarms.start(tx, kind="delivery-urgent", subject=subject, text=text, now=now, case_id=case_id)
        return new

    def by(self, due_at: datetime) -> Dated:
        """The deadline where the hospital is, with the zone."""
        zone = self.cases.agreement.zone
        return Dated(due_at, f"{due_at.astimezone(zone):%Y-%m-%d %H:%M} ({zone.key})")

    def number(self, tx: Connection, party_id: str) -> str | None:
        """The receiver's number, where the region file or the address register has it."""
        party = self.register.party(party_id)
        if party is None:
            return None
        if party.telephone is not None:
            return party.telephone
        own = (*party.identifiers, *(i for s in party.services for i in s.identifiers))
        for document in urgent.answers(tx, [value for system, value in own if system == HER]):
            try:
                found = read(document).telephone
            except ValueError:
                continue
            if found is not None:
                return found
        return None

    def _why(self, tx: Connection, row: Row) -> Phrase:
        if row["state"] == DeliveryState.REFUSED.value:
            return phrase("it was refused ({why})", why=row["error"] or "")
        if row["state"] == DeliveryState.GIVEN_UP.value:
            return phrase("it was given up ({why})", why=row["error"] or "")
        if row["endpoint"] is None:
            return NOWHERE
        stopped = urgent.stopped(tx, row["endpoint"])
        if stopped is not None:
            return phrase(
                "the endpoint {endpoint} is paused"
                if stopped == "paused"
                else "the endpoint {endpoint} is resting",
                endpoint=row["endpoint"],
            )
        if row["next_attempt_at"] is None and row["error"]:
            return verbatim(row["error"])
        if row["attempts"]:
            one, many = "it was tried once in vain", "it was tried {number} times in vain"
            return plural(one, many, row["attempts"])
        return phrase("it has not left yet, others go before it")
