"""Alarms: one row each, raised once until it is over, told to people and posted to one webhook.

Mails about them are written by `telling`, from the same rows.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import orjson
from sqlalchemy import Connection

from adapter.errors import NotFound
from adapter.messaging.register import Endpoint
from adapter.messaging.retry import Decision, GiveUp, RetryAt
from adapter.parcels import ALARM, WEBHOOK, Parcel, enqueue
from adapter.phrases import VERBATIM, Code, English, Kept, Phrase, Value, phrase
from adapter.store import alarms as rows
from adapter.store import cases as case_rows
from adapter.store import deliveries
from adapter.store.statements import Row

STAFF = "staff"
SOMEBODY = "operator"
"""Who does something where nobody gives a name."""

BY_HAND = frozenset(
    (
        "deadline-missed",
        "delivery-urgent",
        "contradicting-receipt",
        "receipt-not-passed-back",
        "not-synthetic",
        "identity-number",
        "unknown-service",
        "unknown-original-of-correction",
        "restored",
        "clock",
    )
)
"""Alarms that nothing ends but a person who tells what was done."""

IN_ITS_WORDS = "; its own words: "
"""After this an alarm repeats what a receiver has written in a receipt, which may name the patient."""

_LEFT = "its words stand with the delivery"
_OF_BEFORE = re.compile(r"(it was (?:refused|given up)) \(.*\)(?=; |$)", re.DOTALL)
"""A reason within an alarm that was stored before sentences were kept as phrases."""

_WITHOUT: Mapping[str, Phrase] = {
    "it was refused; its own words: {words}": phrase("it was refused; its words stand with the delivery"),
    "it was refused ({why})": phrase("it was refused; its words stand with the delivery"),
    "it was given up ({why})": phrase("it was given up; its words stand with the delivery"),
    "still asked to wait; its own words: {words}": phrase(
        "still asked to wait; its words stand with the delivery"
    ),
}
"""By a sentence with a receiver's words in it, what is said without them."""

MAIL_PATIENCE = timedelta(minutes=10)
"""So soon is a mail tried again, however long its server has been away."""


@dataclass(frozen=True, kw_only=True)
class Alarms:
    """The alarms of a store."""

    webhook: Endpoint | None = None
    mail: Endpoint | None = None
    to_do: Mapping[str, str] = field(default_factory=dict)  # by kind, for those who are posted to

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Where people are told of alarms, as far as the settings say."""
        return tuple(filter(None, (self.webhook, self.mail)))

    def start(
        self,
        tx: Connection,
        *,
        kind: str,
        subject: str,
        text: Phrase,
        now: datetime,
        case_id: int | None = None,
        post: bool = True,
    ) -> None:
        """Raise an alarm, once until it is over, and post it to the webhook where one is configured.

        Without `post` it is told nowhere but on the pages: an alarm about alarms must make no further ones.
        """
        started = rows.start(
            tx, kind=kind, subject=subject, text=text, now=now, case_id=case_id, quiet=not post
        )
        if started is not None and post:
            self._post(tx, started, "started", {"kind": kind, "subject": subject, "text": text}, now)

    def on(self, tx: Connection, kind: str, subject: str) -> bool:
        """Whether such an alarm is on."""
        return rows.is_open(tx, kind, subject)

    def end(self, tx: Connection, kind: str, subject: str, now: datetime) -> None:
        """End an alarm, if it was on."""
        ended = rows.end(tx, kind=kind, subject=subject, now=now)
        if ended is not None and deliveries.sent_as(tx, f"alarm-{ended}-started", None) is not None:
            self._post(tx, ended, "ended", {"kind": kind, "subject": subject}, now)

    def escalate(self, tx: Connection, alarm_id: int | None, said: dict[str, str], now: datetime) -> None:
        """Post that nobody has seen an alarm for too long; without a number, of several together."""
        self._post(tx, alarm_id, "escalated", said, now)

    def see(self, tx: Connection, alarm_id: int, now: datetime, *, by: str | None) -> None:
        """A person has taken notice: it stays open, and stands in no banner any more."""
        row, who = _open_alarm(tx, alarm_id), by or SOMEBODY
        rows.seen(tx, alarm_id, who, now)
        what = phrase("alarm seen")
        case_rows.note(tx, at=now, subject=row["subject"], what=what, case_id=row["case_id"], by=who)

    def close(self, tx: Connection, alarm_id: int, now: datetime, *, by: str, why: str) -> None:
        """A person tells what was done about something that nothing else ends, as a missed deadline."""
        row = _open_alarm(tx, alarm_id)
        if row["kind"] not in BY_HAND:
            noun, _, name = row["subject"].partition(" ")
            raise NotFound(
                phrase(
                    "alarm {alarm} ({kind}) ends by itself when its cause is over; see {noun} {name}",
                    alarm=str(alarm_id),
                    kind=Code("alarm", row["kind"], row["kind"]),
                    noun=Code("subject", noun, noun),
                    name=name,
                )
            )
        rows.settled(tx, alarm_id, by, why)
        self.end(tx, row["kind"], row["subject"], now)
        subject = row["subject"]
        if row["kind"] == "deadline-missed":
            subject = self._noted(tx, int(subject.rsplit(" ", 1)[-1]), now) or subject
        note = phrase("recorded by hand: {why}", why=why)
        case_rows.note(tx, at=now, subject=subject, what=note, case_id=row["case_id"], by=by)

    def _noted(self, tx: Connection, deadline_id: int, now: datetime) -> str | None:
        """What was missed has been dealt with; how the history calls it."""
        row = case_rows.deadline_row(tx, deadline_id)
        if row is None:
            return None
        case_rows.change_deadline(tx, deadline_id, row["state"], noted_at=now)
        return f"deadline {deadline_id} {row['kind']}"

    def delivered(self, tx: Connection, subject: str, now: datetime) -> None:
        """End every alarm about a delivery that did not get through."""
        for kind in rows.undelivered(tx, subject):
            self.end(tx, kind, subject, now)

    def _post(
        self, tx: Connection, alarm_id: int | None, what: str, said: dict[str, str], now: datetime
    ) -> None:
        if self.webhook is None:
            return
        document = {"alarm": alarm_id, "event": what, "at": now.isoformat(), **said}
        if "text" in said:
            document["text"] = outward(said["text"])
        if what != "ended" and said["kind"] in self.to_do:
            document["do"] = self.to_do[said["kind"]]
        enqueue(
            tx,
            Parcel(
                kind=ALARM,
                party=STAFF,
                endpoint=WEBHOOK,
                dialect="alarm",
                message_id=f"alarm-{alarm_id or f'several {now.isoformat()}'}-{what}",
                content=orjson.dumps(document),
                content_type="application/json",
                expects_receipt=False,
            ),
            now,
        )


def outward(text: str) -> str:
    """An alarm's text as mails and posts have it: others' own words are read where their reader signs in."""
    cut = _without_words(text) if isinstance(text, Phrase) else _OF_BEFORE.sub(rf"\1; {_LEFT}", text)
    said, words, _ = cut.partition(IN_ITS_WORDS)
    return f"{said}; {_LEFT}" if words else cut


def _without_words(said: Phrase) -> Phrase:
    """The same sentence, in which what another has written is left out at whatever depth."""
    if said.key == VERBATIM:
        return said if isinstance(said.values["words"], English) else phrase("its words stand on the page")
    without = _WITHOUT.get(said.key)
    if without is not None and (IN_ITS_WORDS in said.key or _theirs(said.values["why"])):
        return without
    return Phrase(said.key, {name: _cut(value) for name, value in said.values.items()}, said.many)


def _cut(value: Value) -> Value:
    match value:
        case Phrase():
            return _without_words(value)
        case Kept():  # a fault that was stored before may have others' words in it
            return phrase("its words stand on the page")
        case str():
            return value
        case Sequence():
            return tuple(_cut(one) for one in value)
        case _:
            return value


def _theirs(why: Value) -> bool:
    """Whether a reason is not a sentence of ours."""
    if not isinstance(why, Phrase):
        return True
    return why.key == VERBATIM and not isinstance(why.values["words"], English)


def patient(decision: Decision, now: datetime) -> Decision:
    """What follows where a mail server is away: its mails wait until it is back, and then not for long."""
    soon = now + MAIL_PATIENCE
    match decision:
        case GiveUp(permanent=False, reason=reason):
            return RetryAt(at=soon, reason=reason)
        case RetryAt(at=at, reason=reason):
            return RetryAt(at=min(at, soon), reason=reason)
    return decision


def _open_alarm(tx: Connection, alarm_id: int) -> Row:
    row = rows.get(tx, alarm_id)
    if row is None:
        raise NotFound(
            phrase("there is no alarm {alarm}; `discharge-adapter alarms` lists them", alarm=str(alarm_id))
        )
    if row["until"] is not None:
        raise NotFound(phrase("alarm {alarm} is over already", alarm=str(alarm_id)))
    return row
