"""What has changed since the last look: which cases, deliveries, alarms, messages and endpoints.

It looks at what is only ever added (facts, attempts, history), so that a look costs the same in a large store
as in a small one. Each change says which parties may know of it, so that nobody learns of anybody else's.
"""

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import orjson
from sqlalchemy import Column, Connection, Table, func, select

from adapter.store.statements import Row, found
from adapter.store.tables import (
    alarm,
    attempt,
    case,
    deadline,
    delivery,
    endpoint_health,
    endpoint_pause,
    fact,
    history,
    message,
)

Kind = Literal["case", "delivery", "alarm", "message", "endpoint"]

LATE = 10.0
"""Seconds for which a row may become visible after one with a higher number: its commit came later."""

_NAMED = re.compile(r"(delivery|message|case) (\d{1,18})\b")
_DEADLINE = "deadline "


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One thing that is not as it was; `parties` None is for those who keep the messages going alone."""

    kind: Kind
    id: int = 0  # of an endpoint: none
    parties: frozenset[str] | None = None


class _Added:
    """The rows of a table that a look finds and no earlier look has found."""

    def __init__(self, table: Table, *columns: Column[Any]) -> None:
        self._id = table.c.id
        self._query = select(table.c.id, *columns)
        self._low = 0
        self._seen: set[int] = set()
        self._marks: deque[tuple[float, int]] = deque()

    def begin(self, tx: Connection, at: float) -> None:
        """Count whatever is there as found."""
        self._low = tx.execute(select(func.max(self._id))).scalar_one() or 0
        self._seen = set()
        self._marks = deque([(at, self._low)])

    def find(self, tx: Connection, at: float) -> list[Row]:
        """Those that are new, by their number."""
        query = self._query.where(self._id > self._low).order_by(self._id)
        rows = found(tx, query)
        new = [row for row in rows if row["id"] not in self._seen]
        self._seen.update(row["id"] for row in new)
        if not rows:  # the last ones may have been erased, and SQLite gives their numbers anew
            self._low = min(self._low, tx.execute(select(func.max(self._id))).scalar_one() or 0)
        self._marks.append((at, max(self._seen, default=self._low)))
        while len(self._marks) > 1 and self._marks[1][0] <= at - LATE:
            self._marks.popleft()
        if self._marks[0][0] <= at - LATE and self._marks[0][1] > self._low:
            self._low = self._marks[0][1]
            self._seen = {number for number in self._seen if number > self._low}
        return new


class Newsreader:
    """Reads what is new, one look after another; it belongs to one thread."""

    def __init__(self) -> None:
        self._facts = _Added(fact, fact.c.case_id, fact.c.body)
        self._history = _Added(history, history.c.case_id, history.c.subject)
        self._attempts = _Added(attempt, attempt.c.delivery_id)
        self._deliveries = _Added(delivery, delivery.c.case_id, delivery.c.party)
        self._messages = _Added(message)
        self._alarms: dict[int, tuple[Any, ...]] = {}
        self._endpoints: set[tuple[Any, ...]] = set()
        self._looked: datetime | None = None

    def begin(self, tx: Connection, now: datetime, at: float) -> None:
        """Count whatever is there as known; `at` is any clock that only goes forward, in seconds."""
        for added in (self._facts, self._history, self._attempts, self._deliveries, self._messages):
            added.begin(tx, at)
        self._alarms, self._endpoints, self._looked = _open_alarms(tx), _endpoints(tx), now

    def read(self, tx: Connection, now: datetime, at: float) -> list[Change]:
        """What has changed since the look before; each change once, for all that may know of it."""
        changes = [
            *self._told(tx, at),
            *self._recorded(tx, at),
            *self._delivered(tx, at),
            *(Change(kind="message", id=row["id"]) for row in self._messages.find(tx, at)),
            *self._alarmed(tx),
            *self._due(tx, now),
        ]
        if (endpoints := _endpoints(tx)) != self._endpoints:
            self._endpoints = endpoints
            changes.append(Change(kind="endpoint"))
        return _joined(changes)

    def _told(self, tx: Connection, at: float) -> list[Change]:
        """Cases of which a notice or a receipt has come: told to whoever sent or was addressed in it."""
        return [
            Change(kind="case", id=row["case_id"], parties=_parties(row["body"]))
            for row in self._facts.find(tx, at)
        ]

    def _recorded(self, tx: Connection, at: float) -> list[Change]:
        """What the history tells: a deadline to whom it concerns, the rest to the operators."""
        changes = []
        for row in self._history.find(tx, at):
            subject = row["subject"]
            if row["case_id"] is not None:
                changes.append(Change(kind="case", id=row["case_id"]))
                if subject.startswith(_DEADLINE):
                    kind = subject.removeprefix(_DEADLINE)
                    mine = (deadline.c.case_id == row["case_id"], deadline.c.kind == kind)
                    changes += _deadlines(tx, *mine)
            named = _NAMED.match(subject)
            if named is not None:
                changes.append(Change(kind=named[1], id=int(named[2])))  # type: ignore[arg-type]  # one of them
        return changes

    def _delivered(self, tx: Connection, at: float) -> list[Change]:
        made = self._deliveries.find(tx, at)
        tried = sorted({row["delivery_id"] for row in self._attempts.find(tx, at)})
        query = select(delivery.c.id, delivery.c.case_id, delivery.c.party).where(delivery.c.id.in_(tried))
        again = found(tx, query) if tried else []
        changes = []
        for row in (*made, *again):
            changes.append(Change(kind="delivery", id=row["id"], parties=frozenset((row["party"],))))
            if row["case_id"] is not None:
                changes.append(Change(kind="case", id=row["case_id"]))
        return changes

    def _alarmed(self, tx: Connection) -> list[Change]:
        before, self._alarms = self._alarms, _open_alarms(tx)
        return [Change(kind="alarm", id=number) for number, _ in before.items() ^ self._alarms.items()]

    def _due(self, tx: Connection, now: datetime) -> list[Change]:
        """Deadlines at which the clock has something to say now."""
        before, self._looked = self._looked, now
        if before is None or now <= before:
            return []
        return _deadlines(tx, deadline.c.next_at > before, deadline.c.next_at <= now)


def _parties(body: str) -> frozenset[str]:
    """Who knows of a fact: a notice's sender and receivers, or who sent and who receipted it."""
    values = orjson.loads(body)
    if "m" in values:
        return frozenset((values["s"], values["p"]))
    return frozenset((values["sender"], *values.get("receivers", ())))


def _deadlines(tx: Connection, *these: Any) -> list[Change]:
    """The cases of deadlines, told to the hospital and to whom the deadline concerns."""
    query = (
        select(deadline.c.case_id, deadline.c.party, case.c.hospital)
        .select_from(deadline.join(case, case.c.id == deadline.c.case_id))
        .where(*these)
    )
    return [
        Change(kind="case", id=row.case_id, parties=frozenset(filter(None, (row.party, row.hospital))))
        for row in tx.execute(query)
    ]


def _open_alarms(tx: Connection) -> dict[int, tuple[Any, ...]]:
    query = select(alarm.c.id, alarm.c.seen_at).where(alarm.c.until.is_(None))
    return {row.id: (row.seen_at,) for row in tx.execute(query)}


def _endpoints(tx: Connection) -> set[tuple[Any, ...]]:
    paused = {("paused", name) for name in tx.execute(select(endpoint_pause.c.endpoint)).scalars()}
    columns = ("endpoint", "resting_since", "window", "error")
    ailing = select(*(endpoint_health.c[name] for name in columns))
    return paused | {tuple(row) for row in tx.execute(ailing)}


def _joined(changes: Iterable[Change]) -> list[Change]:
    """Each thing once for the operators, and once for all the parties that may know of it."""
    known: dict[tuple[Kind, int], frozenset[str] | None] = {}
    for one in changes:
        before = known.get((one.kind, one.id))
        both = before if one.parties is None else one.parties | (before or frozenset())
        known[one.kind, one.id] = both
    return [Change(kind=kind, id=number, parties=parties) for (kind, number), parties in known.items()]
