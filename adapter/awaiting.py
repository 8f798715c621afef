"""A receipt that is still to come: how long it is waited for, and what people are told meanwhile.

The decisions are in `messaging.awaiting`; what follows for the delivery itself is the outbox's to do.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from adapter.alarming import Alarms
from adapter.cases import Cases
from adapter.discharge.notices import Standing, word
from adapter.messaging.awaiting import Wait
from adapter.messaging.practices import practice
from adapter.messaging.register import Register
from adapter.parcels import NOTICES
from adapter.phrases import Code, Phrase, phrase
from adapter.sending_again import SendingAgain
from adapter.store.statements import Row
from adapter.telephoning import URGENT, Telephoning


@dataclass(frozen=True, kw_only=True, slots=True)
class Awaited:
    """The receipts that are missing, and their alarms."""

    cases: Cases
    register: Register
    alarms: Alarms
    telephoning: Telephoning
    lead_time: timedelta  # that people need before a deadline

    def wait(self, tx: Connection, row: Row, told: Row | None, last_sent: datetime, now: datetime) -> Wait:
        """What the law, the standard and the endpoint say of the waiting for this receipt."""
        made = row["created_at"] if told is None or row["original"] is not None else told["sent_at"]
        counts = row["kind"] in NOTICES and row["case_id"] is not None and told is not None
        due_at = None
        if counts and told is not None and told["standing"] != Standing.CANCELLATION:
            due_at = self.cases.due_for(tx, row["case_id"], row["kind"], (told["sender"], row["party"]))
        return Wait(
            first_sent=row["sent_at"] or now,
            last_sent=last_sent,
            within=SendingAgain(register=self.register).within(row),
            issued=made if practice(row["dialect"]).limited else None,
            due_at=due_at,
            lead_time=self.lead_time,
        )

    def missing(self, tx: Connection, row: Row, now: datetime, *, resend: bool) -> bool:
        """The endpoint's time is up; False where that was told before, as of all here."""
        text = phrase(
            "{receiver} has given no receipt for {notice}; sent again"
            if resend
            else "{receiver} has given no receipt for {notice}; telephone the receiver, then resend or give "
            "up",
            receiver=self.register.name(row["party"]),
            notice=_kind(row),
        )
        return self._tell(tx, row, "receipt-missing", text, now)

    def telephone(self, tx: Connection, row: Row, wait: Wait, now: datetime) -> bool:
        """The law does not wait as long as the standard: a person asks, while there is time."""
        assert wait.due_at is not None
        calling = self.telephoning
        if self.alarms.on(tx, URGENT, f"delivery {row['id']}"):
            why = phrase("it has left, and no receipt has come")
            return calling.tell(tx, row, wait.due_at, why, now)
        number = calling.number(tx, row["party"])
        text = phrase(
            "{receiver} has given no receipt for {notice}; it must be there by {due}, and half of the time "
            "is gone: telephone {receiver} about {notice} (delivery {delivery}), and record the answer"
            if number is None
            else "{receiver} has given no receipt for {notice}; it must be there by {due}, and half of the "
            "time is gone: telephone {receiver} ({telephone}) about {notice} (delivery {delivery}), and "
            "record the answer",
            receiver=self.register.name(row["party"]),
            notice=_kind(row),
            due=calling.by(wait.due_at),
            delivery=str(row["id"]),
            **({} if number is None else {"telephone": number}),
        )
        return self._tell(tx, row, "receipt-urgent", text, now)

    def not_received(self, tx: Connection, row: Row, why: Phrase, now: datetime) -> bool:
        """The standard's time is up."""
        text = phrase(
            "{receiver} has given no receipt for {notice}: {why}",
            receiver=self.register.name(row["party"]),
            notice=_kind(row),
            why=why,
        )
        return self._tell(tx, row, "not-received", text, now)

    def over(self, tx: Connection, row: Row, now: datetime) -> None:
        """Nobody waits for it any more."""
        for kind in ("receipt-missing", "receipt-urgent", "not-received"):
            self.alarms.end(tx, kind, f"delivery {row['id']}", now)

    def _tell(self, tx: Connection, row: Row, kind: str, text: Phrase, now: datetime) -> bool:
        """An alarm about a delivery; False where it was on already."""
        subject = f"delivery {row['id']}"
        new = not self.alarms.on(tx, kind, subject)
        self.alarms.start(tx, kind=kind, subject=subject, text=text, now=now, case_id=row["case_id"])
        return new


def _kind(row: Row) -> Code:
    return word("notice", row["kind"])
