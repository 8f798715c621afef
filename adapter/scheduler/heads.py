"""The journal's head in the log, once a day: whoever keeps the log can prove later that nothing is gone."""

from collections.abc import Callable
from datetime import date, datetime

import structlog

from adapter.store import Store, chain

log = structlog.get_logger("journal")


class DailyHead:
    """At the first tick of a day (UTC), and at the first after a start."""

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock
        self._told: date | None = None

    def __call__(self) -> None:
        """Tell it, unless it has been told today; first chain what an older process has left out."""
        late = self._store.write(chain.catch_up)
        if late:
            log.warning("messages taken by a process of an older version are chained now", count=late)
        today = self._clock().date()
        if self._told == today:
            return
        with self._store.read() as connection:
            head = chain.head(connection)
            count = chain.entries(connection)
        if head is not None:
            log.info("head of the journal", entries=count, head=str(head))
        self._told = today
