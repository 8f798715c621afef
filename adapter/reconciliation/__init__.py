"""Once a day: what we hold open against what a partner's server holds; differences become alarms.

Nothing is changed at either end: each alarm says what differs, how much of it, and what a person can press.
It ends with the first comparison that no longer finds it. A server that cannot be asked is an alarm of its
own, and is asked again the next day.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import reduce
from typing import Protocol
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import Connection

from adapter.alarming import Alarms
from adapter.errors import StoreError
from adapter.messaging.delivery import Reply
from adapter.phrases import Phrase, Value, phrase
from adapter.store import Store, messages
from adapter.store import alarms as alarm_rows

NOT_COMPARED = "not compared"

_LAST = "reconciled-at"
_MOST_NAMED = 10

log = structlog.get_logger("reconciliation")


class CannotCompare(Exception):
    """The server cannot be asked now; what is said is for people."""

    def __init__(self, said: Phrase) -> None:
        super().__init__(said)
        self.said = said


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One way in which a server and we differ."""

    what: str  # a few words, the same each day
    text: Phrase  # for people: how much of it, and what can be done


class Comparison(Protocol):
    """Compares with one server, bounded in requests and time. Raises CannotCompare."""

    @property
    def peer(self) -> str:
        """The server, as alarms call it."""
        ...

    def __call__(self) -> list[Difference]:
        """How it and we differ."""
        ...


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What came of comparing with one server."""

    peer: str
    differences: tuple[Difference, ...] = ()
    fault: Phrase | None = None  # why it could not be compared


@dataclass(frozen=True, kw_only=True)
class Reconciliation:
    """All comparisons, one after another, and their alarms."""

    store: Store
    alarms: Alarms
    comparisons: Sequence[Comparison]
    clock: Callable[[], datetime]

    def __call__(self) -> list[Compared]:
        """Compare with every server now."""
        self.store.write(self._end_of_others)
        return [self._compare(one) for one in self.comparisons]

    def _end_of_others(self, tx: Connection) -> None:
        """Of a server that is no longer in the settings nobody will ever find that all is well again."""
        ours = tuple(f"{one.peer}: " for one in self.comparisons)
        for row in alarm_rows.listed(tx, open_only=True, limit=None):
            if row["kind"] == "reconciliation" and not row["subject"].startswith(ours):
                self.alarms.end(tx, "reconciliation", row["subject"], self.clock())

    def _compare(self, comparison: Comparison) -> Compared:
        try:
            found = Compared(peer=comparison.peer, differences=tuple(comparison()))
        except CannotCompare as problem:
            found = Compared(peer=comparison.peer, fault=problem.said)
        except StoreError:
            raise
        except Exception as fault:  # noqa: BLE001  # what one server answers must not keep us from the others
            why = phrase("its answers cannot be understood ({fault})", fault=type(fault).__name__)
            found = Compared(peer=comparison.peer, fault=why)
        log.info("compared", peer=found.peer, differences=len(found.differences), fault=found.fault)
        self.store.write(lambda tx: self._tell(tx, found))
        return found

    def _tell(self, tx: Connection, found: Compared) -> None:
        """An alarm each; what was found before and is not any more ends, unless nothing could be asked."""
        now, prefix = self.clock(), f"{found.peer}: "
        said = {prefix + one.what: one.text for one in found.differences}
        if found.fault is not None:
            text = phrase(
                "what we hold could not be compared with it: {fault}; it is tried again tomorrow",
                fault=found.fault,
            )
            said = {prefix + NOT_COMPARED: text}
        for subject, text in said.items():
            self.alarms.start(tx, kind="reconciliation", subject=subject, text=text, now=now)
        if found.fault is None:
            for row in alarm_rows.listed(tx, open_only=True, limit=None):
                ours = row["kind"] == "reconciliation" and row["subject"].startswith(prefix)
                if ours and row["subject"] not in said:
                    self.alarms.end(tx, "reconciliation", row["subject"], now)


def some(names: Sequence[str]) -> Value:
    """The first few, and how many more."""
    few, more = listed(names[:_MOST_NAMED]), len(names) - _MOST_NAMED
    return phrase("{names} and {more} more", names=few, more=more) if more > 0 else few


def listed(names: Sequence[str]) -> Value:
    """With commas between them, also where they are phrases."""
    if not any(isinstance(one, Phrase) for one in names):
        return names
    return reduce(lambda first, second: phrase("{first}, {second}", first=first, second=second), names)


def fault_of(reply: Reply) -> Phrase:
    """Why a server gave no answer that can be used."""
    return reply.error or phrase("HTTP {status}", status=str(reply.status))


# --- once a day -------------------------------------------------------------------------------------------


def due(last: datetime, now: datetime, at: time, zone: ZoneInfo) -> bool:
    """Whether the last local `at` came after it was last done; one that was missed is made up once."""
    today = now.astimezone(zone).date()
    latest = datetime.combine(today, at, zone)
    if latest > now:
        latest = datetime.combine(today - timedelta(days=1), at, zone)
    return last < latest


@dataclass(frozen=True, kw_only=True)
class Daily:
    """The job: looks often, compares once a day."""

    reconciliation: Reconciliation
    at: time  # on the hospital's clock
    zone: ZoneInfo

    def __call__(self) -> int:
        """Compare where it is due; returns with how many servers. A new store waits for the next time."""
        store, now = self.reconciliation.store, self.reconciliation.clock()
        with store.read() as tx:
            known = messages.value(tx, _LAST)
        if known is not None and not due(datetime.fromisoformat(known), now, self.at, self.zone):
            return 0
        # noted first: what stumbles is not tried again each minute
        store.write(lambda tx: messages.put_value(tx, _LAST, now.isoformat()))
        return len(self.reconciliation()) if known is not None else 0
