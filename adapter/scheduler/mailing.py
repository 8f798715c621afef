"""Tell people of alarms, and once a day how things are.

A tick is a look in the store; there is a unit of work only where something is due.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from adapter.store import Store
from adapter.telling import Telling

log = structlog.get_logger("alarms")


@dataclass(frozen=True, kw_only=True)
class Mailing:
    """The jobs that write to people; `nudge` has what they wrote sent at once."""

    store: Store
    telling: Telling
    clock: Callable[[], datetime]
    nudge: Callable[[], None] = lambda: None

    def alarms(self) -> int:
        """Mail what has started, tell others of what nobody has seen; how many mails and alarms."""
        now, telling = self.clock(), self.telling
        with self.store.read() as tx:
            due, overlooked = telling.due(tx, now), telling.overlooked(tx, now)
        told = self.store.write(lambda tx: telling.tell(tx, now)) if due else 0
        escalated = self.store.write(lambda tx: telling.escalate(tx, now)) if overlooked else 0
        if told or escalated:
            log.info("alarms told", mails=told, escalated=escalated)
            self.nudge()
        return told + escalated

    def digest(self) -> int:
        """Mail the day's figures where it is time; returns how many mails."""
        now, telling = self.clock(), self.telling
        with self.store.read() as tx:
            day = telling.day(tx, now)
            counted = telling.counted(tx, now) if day is not None else None
        if day is None or counted is None:
            return 0
        told = self.store.write(lambda tx: telling.digest(tx, day, counted, now))
        if told:
            log.info("digest told", mails=told)
            self.nudge()
        return told
