"""Who is told of alarms by mail, and when.

At once after silence, of many together, a second list where nobody looks, and how things are once a day.
Every mail is a delivery to one address, and goes through the outbox. An alarm is taken into a mail in the
transaction that makes the mail, so it stands in one, also with several workers. While the server is away no
further mails are made: what starts meanwhile stands in the next one.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import orjson
from sqlalchemy import Connection

from adapter.alarming import STAFF, Alarms, outward
from adapter.messaging.letters import (
    SHOWN,
    Batch,
    Day,
    Letter,
    Told,
    Words,
    about_a_day,
    about_a_test,
    about_alarms,
    about_unseen,
)
from adapter.messaging.register import Register
from adapter.parcels import ALARM, MAIL, Parcel, enqueue
from adapter.phrases import phrase
from adapter.store import alarms as rows
from adapter.store import telling
from adapter.store.statements import Row
from adapter.store.telling import Marked

ESCALATE_AFTER: Mapping[str, timedelta] = {
    "disk": timedelta(minutes=30),
    "receipt-urgent": timedelta(minutes=30),
    "delivery-urgent": timedelta(minutes=30),
    "deadline-missed": timedelta(hours=1),
    "clock": timedelta(hours=1),
    "restored": timedelta(hours=1),
    "endpoint-resting": timedelta(hours=2),
    "backlog": timedelta(hours=2),
    "roster": timedelta(hours=2),
    "not-received": timedelta(hours=4),
    "given-up": timedelta(hours=4),
    "refused": timedelta(hours=4),
    "mailbox": timedelta(hours=4),
    "receipt-not-passed-back": timedelta(hours=4),
    "quarantined": timedelta(hours=24),
}
"""How long an alarm may be on unseen before others are told; kinds that are not here never are."""

MOST_POSTED = 100
"""Alarms of which the webhook is told one by one when many are escalated together."""

MOST_WAITING = 20
"""Mails that may wait for one address; no more are made for a mailbox that takes none."""

A_DAY = timedelta(hours=24)

_MAILED, _ESCALATED, _DIGEST = "alarms mailed", "alarms escalated", "alarm digest"


@dataclass(frozen=True, kw_only=True)
class Telling:
    """The mails about the alarms of a store."""

    alarms: Alarms
    register: Register
    zone: ZoneInfo
    to: Sequence[str] = ()  # addresses
    escalate_to: Sequence[str] = ()
    window: timedelta = timedelta(minutes=1)
    again_after: timedelta = timedelta(hours=1)
    escalate_after: Mapping[str, timedelta] = field(default_factory=lambda: ESCALATE_AFTER)
    digest_at: time | None = time(7)
    page: str | None = None
    language: str = "en"  # of the mails

    @property
    def words(self) -> Words:
        """What the letters need."""
        return Words(to_do=self.alarms.to_do, zone=self.zone, page=self.page, language=self.language)

    # --- what has started ---

    def due(self, tx: Connection, now: datetime) -> bool:
        """Whether a mail about alarms should be made now; a look, nothing is changed."""
        return (
            bool(self.to)
            and telling.anything_untold(tx, now - self.again_after, now)
            and self._turn(tx, _MAILED, now)[0]
            and not self._away(tx, self.to)
        )

    def tell(self, tx: Connection, now: datetime) -> int:
        """Mail what has started, and what is over of what was mailed; returns for how many addresses."""
        if not self.due(tx, now) or not self._take(tx, _MAILED, now):
            return 0
        started = telling.mark_mailed(tx, now - self.again_after, now)
        over, escalated = telling.mark_over(tx, now)
        if escalated:
            ended = about_alarms(Batch(), self._batch(tx, escalated, over=True), self.words)
            others = [one for one in self.escalate_to if one not in self.to]
            self._send(tx, ended, others, "over", now)
        letter = about_alarms(self._batch(tx, started), self._batch(tx, over, over=True), self.words)
        return len(self._send(tx, letter, self.to, "alarms", now))

    def _batch(self, tx: Connection, marked: Marked, *, over: bool = False) -> Batch:
        """The most urgent first, by how soon others are told of their kind; then the oldest."""
        never = timedelta.max
        marked = sorted(marked, key=lambda one: (self.escalate_after.get(one[1], never), one[1], one[0]))
        first = telling.alarms(tx, [number for number, _ in marked[:SHOWN]])
        return Batch(
            kinds=Counter(kind for _, kind in marked),
            first=[self._told(tx, row, over=over) for row in first],
        )

    def _told(self, tx: Connection, row: Row, *, over: bool) -> Told:
        return Told(
            number=row["id"],
            kind=row["kind"],
            subject=row["subject"],
            text=outward(row["text"]),
            since=row["since"],
            until=row["until"],
            times=1 if over else telling.times(tx, row),
            last_mail=None if over else telling.lately_mailed(tx, row),
            on_again=over and rows.is_open(tx, row["kind"], row["subject"]),
        )

    # --- what nobody has seen ---

    def overlooked(self, tx: Connection, now: datetime) -> bool:
        """Whether others should be told of alarms now; a look, nothing is changed."""
        if not self.escalate_to and self.alarms.webhook is None:
            return False
        kinds = {kind: after for kind, after in self.escalate_after.items() if after}
        return (
            telling.anything_overlooked(tx, kinds, now)
            and self._turn(tx, _ESCALATED, now)[0]
            and not (self.alarms.webhook is None and self._away(tx, self.escalate_to))
        )

    def escalate(self, tx: Connection, now: datetime) -> int:
        """Tell the second list and the webhook, once, of what nobody has seen; returns how many alarms."""
        if not self.overlooked(tx, now) or not self._take(tx, _ESCALATED, now):
            return 0
        kinds = {kind: after for kind, after in self.escalate_after.items() if after}
        marked = telling.mark_escalated(tx, kinds, now)
        for row in telling.alarms(tx, [number for number, _ in marked[:MOST_POSTED]]):
            self.alarms.escalate(
                tx, row["id"], {name: row[name] for name in ("kind", "subject", "text")}, now
            )
        rest = Counter(kind for _, kind in marked[MOST_POSTED:])
        if rest:
            text = ", ".join(f"{kind}: {count}" for kind, count in rest.items())
            said = {"kind": "several", "subject": f"{rest.total()} more alarms", "text": text}
            self.alarms.escalate(tx, None, said, now)
        self._send(tx, about_unseen(self._batch(tx, marked), self.words), self.escalate_to, "unseen", now)
        return len(marked)

    # --- once a day ---

    def day(self, tx: Connection, now: datetime) -> date | None:
        """The local day for which a digest is due; None before its time, and after it has been made.

        One that could not be made in time is made later the same day. The time of a night in which it comes
        twice is the first; of one in which it does not come, the moment at which it would have.
        """
        if self.digest_at is None or not self.to:
            return None
        today = now.astimezone(self.zone).date()
        if now < datetime.combine(today, self.digest_at, self.zone).astimezone(UTC):
            return None
        made = telling.note(tx, _DIGEST)
        last = date.fromisoformat(made) if made else None
        # A day far ahead was noted by a clock that was wrong then.
        done = last is not None and today <= last <= today + timedelta(days=1)
        return None if done else today

    def digest(self, tx: Connection, day: date, counted: Day, now: datetime) -> int:
        """Mail what has been counted for that day, once; returns for how many addresses."""
        if self.day(tx, now) != day or not telling.take_turn(
            tx, _DIGEST, telling.note(tx, _DIGEST), day.isoformat()
        ):
            return 0
        return len(self._send(tx, about_a_day(counted, day, now, self.words), self.to, "digest", now))

    def counted(self, tx: Connection, now: datetime) -> Day:
        """The figures of a digest, with the names of parties."""
        found = telling.counted(tx, now, A_DAY)
        named = Counter[tuple[str, str]]()
        nobody = phrase("no receiver known")
        for party, kind, count in found.deadlines:
            named[self.register.name(party) if party else nobody, kind] += count
        return replace(
            found, deadlines=[(name, kind, count) for (name, kind), count in sorted(named.items())]
        )

    # --- a test ---

    def test(self, tx: Connection, alarm_id: int, now: datetime) -> list[int]:
        """Mail one alarm to everybody who is ever mailed; returns the deliveries."""
        row = rows.get(tx, alarm_id)
        assert row is not None
        telling.mark_one(tx, alarm_id, now)
        told = self._told(tx, row, over=True)
        others = [one for one in self.escalate_to if one not in self.to]
        return [
            number
            for which, addresses in (("to", self.to), ("escalate_to", others))
            for number in self._send(tx, about_a_test(told, which, self.words), addresses, "test", now)
        ]

    # --- the post ---

    def _turn(self, tx: Connection, name: str, now: datetime) -> tuple[bool, str | None]:
        """Whether the last such mail was long enough ago, and the note about it.

        One noted for much later than now was noted by a clock that was wrong then.
        """
        noted = telling.note(tx, name)
        last = datetime.fromisoformat(noted) if noted else None
        free = last is None or last + self.window <= now or last > now + self.window
        return free, noted

    def _take(self, tx: Connection, name: str, now: datetime) -> bool:
        return telling.take_turn(tx, name, self._turn(tx, name, now)[1], now.isoformat())

    def _away(self, tx: Connection, addresses: Sequence[str]) -> bool:
        """Whether an earlier mail still waits for every one of them: the server takes none just now."""
        waiting = telling.on_their_way(tx, [_lane(one) for one in addresses])
        return all(waiting.get(_lane(one)) for one in addresses)

    def _send(
        self, tx: Connection, letter: Letter, addresses: Sequence[str], what: str, now: datetime
    ) -> list[int]:
        waiting = telling.on_their_way(tx, [_lane(one) for one in addresses]) if addresses else {}
        chosen = [one for one in addresses if waiting.get(_lane(one), 0) < MOST_WAITING]
        return [enqueue(tx, _parcel(letter, address, what, now), now) for address in chosen]


def _lane(address: str) -> str:
    """One a receiver: what an address does not take holds nobody else's mail."""
    return f"{MAIL}-{hashlib.sha256(address.encode()).hexdigest()[:12]}"


def _parcel(letter: Letter, address: str, what: str, now: datetime) -> Parcel:
    said = {"to": address, "subject": letter.subject, "text": letter.text, "at": now.isoformat()}
    return Parcel(
        kind=ALARM,
        party=STAFF,
        endpoint=MAIL,
        dialect="alarm",
        message_id=f"{_lane(address)}-{what}{now.astimezone(UTC):%Y%m%d%H%M%S%f}",
        content=orjson.dumps(said),
        content_type="application/json",
        expects_receipt=False,
    )
