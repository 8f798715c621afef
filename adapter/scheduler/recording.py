"""What was sent is recorded as long as its lease lasts, however often the store says no meanwhile.

A message that has left and is not on record is sent again when its lease has ended. So a store that is down
for a moment, full, or held by another program, should not cost its receiver a second copy.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import datetime
from time import monotonic

from sqlalchemy import Connection

from adapter.errors import StoreError
from adapter.store import Store

FIRST_PAUSE = 0.25
"""Seconds before the second try; each pause is twice the one before it."""

LONGEST_PAUSE = 2.0


class Record:
    """One attempt on its way into the store; to be waited for as a Future is."""

    def __init__(
        self,
        store: Store,
        unit: Callable[[Connection], None],
        *,
        until: datetime,
        clock: Callable[[], datetime],
        stopping: Callable[[float], bool],
    ) -> None:
        """`unit` may be run again after a commit of which nobody has heard: it must see that by itself.

        `stopping` waits so many seconds, and tells whether the process is to end: then one try more is made.
        """
        self._store = store
        self._unit = unit
        self._until = until
        self._clock = clock
        self._stopping = stopping
        self._ends = monotonic() + max(0.0, (until - clock()).total_seconds())  # if the clock is set back
        self._future: Future[None] = store.submit(unit)

    @property
    def failing(self) -> bool:
        """Whether the last try has failed."""
        return self._future.done() and self._future.exception() is not None

    @property
    def _over(self) -> bool:
        """Whether the lease has ended."""
        return self._clock() >= self._until or monotonic() >= self._ends

    def exception(self) -> BaseException | None:
        """What kept it from being stored until the lease had ended; None once it is stored."""
        pause, last = FIRST_PAUSE, False
        while True:
            error = self._future.exception()
            if not isinstance(error, StoreError) or last or self._over:
                return error
            last = self._stopping(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            try:
                self._future = self._store.submit(self._unit)
            except StoreError:  # it has been closed
                return error

    def result(self) -> None:
        """Wait until it is stored; raises what kept it from being so."""
        error = self.exception()
        if error is not None:
            raise error


def on_record(recording: "Sequence[Record | Future[None]]") -> None:
    """Where something could not be recorded, wait for it: nothing more leaves that would not be either."""
    for one in recording:
        if isinstance(one, Record) and one.failing:
            one.exception()
