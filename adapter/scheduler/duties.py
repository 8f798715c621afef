"""What only one of several processes may do at a time: poll a mailbox, watch the deadlines.

Each process asks for all duties at every tick and does those that it has been given. A holder that dies is
replaced as soon as its time is over; one that only slept too long finds its writes refused (`Store.guarded`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

import structlog
from sqlalchemy import Connection

from adapter.errors import NotOnDuty
from adapter.store import Store, duties

log = structlog.get_logger("duties")

LASTS = timedelta(seconds=6)
"""For which a duty is given: so long nobody polls where its holder has died."""

EVERY = timedelta(seconds=2)
"""Between two asks: a holder that lives misses two before it loses a duty."""


@dataclass(frozen=True, kw_only=True)
class Duties:
    """The duties of one process over one store."""

    store: Store
    holder: str  # no other process has this name, nor will one that is started later
    clock: Callable[[], datetime]
    names: set[str] = field(default_factory=set)  # of the duties that this process could do
    lasts: timedelta = LASTS
    _mine: dict[str, tuple[int, datetime]] = field(default_factory=dict)  # fence, and until when it is held

    def __call__(self) -> int:
        """Take what is free and keep what is ours; returns how many are."""
        now = self.clock()
        given = self.store.write(partial(self._take, now=now))
        for name in self.names:
            before = name in self._mine
            if name in given:
                self._mine[name] = (given[name], now + self.lasts)
            else:
                self._mine.pop(name, None)
            if before != (name in given):
                log.info("on duty" if name in given else "off duty", duty=name)
        return len(given)

    def _take(self, tx: Connection, now: datetime) -> dict[str, int]:
        until, latest = now + self.lasts, now + 2 * self.lasts
        asked = {
            name: duties.take(tx, name, self.holder, now=now, until=until, latest=latest)
            for name in sorted(self.names)  # always in the same order: two that ask wait, and do not lock
        }
        return {name: fence for name, fence in asked.items() if fence is not None}

    def on(self, name: str) -> bool:
        """Whether this process has that duty, as far as it knows."""
        held = self._mine.get(name)
        return held is not None and self.clock() < held[1]

    def only(self, name: str, job: Callable[[], object]) -> "OfOne":
        """The job, which does nothing while another process has that duty."""
        self.names.add(name)
        return OfOne(duties=self, name=name, job=job)

    def guarded(self, name: str) -> Store:
        """The store as one may write to it under that duty; NotOnDuty where another has it by now."""
        return self.store.guarded(partial(self._confirm, name=name))

    def _confirm(self, tx: Connection, name: str) -> None:
        held = self._mine.get(name)
        if held is None or not duties.held(tx, name, self.holder, held[0]):
            raise NotOnDuty(f"{name}: another process has taken over; nothing has been written")

    def leave(self) -> None:
        """Give back everything, at the end."""
        self._mine.clear()
        self.store.write(lambda tx: duties.leave(tx, self.holder, self.clock()))


@dataclass(frozen=True, kw_only=True)
class OfOne:
    """A job of whoever is on duty."""

    duties: Duties
    name: str
    job: Callable[[], object]

    def __call__(self) -> object:
        """Do it, where it is for us to do."""
        return self.job() if self.duties.on(self.name) else None
