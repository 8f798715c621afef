"""One writer a process: units of work that wait at the same moment share one commit.

A durable commit costs the same for one row as for fifty, so the units queue, run one after another inside
one transaction, each under its own savepoint, and are told of the commit together. A unit that fails takes
only itself back. Nobody is told of anything before it is on the disk.
"""

import fcntl
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError
from tenacity import retry, retry_if_exception, stop_after_attempt, stop_after_delay, wait_random_exponential

from adapter.errors import Elsewhere, StoreError
from adapter.store import chain
from adapter.store.outage import Outage, of_the_store, said
from adapter.store.statements import first_in_its_commit, say
from adapter.store.waking import tell

T = TypeVar("T")
Unit = Callable[[Connection], Any]
_Item = tuple[Unit, "Future[Any]"]

APART = 0.01
"""Seconds between two commits: what comes meanwhile shares the next."""

MOST_TOGETHER = 32
"""Units in one transaction: enough to spread the commit's cost, so few that nobody waits long."""


def _passing(error: BaseException) -> bool:
    """A deadlock or a lost race with another process: the same units may well succeed a moment later."""
    if not isinstance(error, DBAPIError):
        return False
    return getattr(error.orig, "sqlstate", None) in ("40P01", "40001") or "locked" in str(error.orig)


class Writer:
    """Runs units of work in the order in which they came; `commits` counts what reached the disk."""

    def __init__(
        self,
        engine: Engine,
        *,
        interval: float | None = None,
        turn: Path | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._interval = APART if interval is None else interval  # seconds
        self._last = 0.0
        self._turn = turn.open("ab") if turn is not None else None
        # not a SimpleQueue: in Python 3.11 its get() with a timeout of a few microseconds may wait for ever
        self._queue: queue.Queue[_Item | None] = queue.Queue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._closed = False
        self.commits = 0
        self.outage = Outage(clock)

    def submit(self, unit: Callable[[Connection], T]) -> "Future[T]":
        """Queue a unit; its future resolves after the commit, or with what went wrong."""
        if self._closed:
            raise StoreError("the store is closed")
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
                self._thread.start()
        future: Future[T] = Future()
        self._queue.put((unit, future))
        return future

    @property
    def busy(self) -> bool:
        """Whether anything waits to be written."""
        return not self._queue.empty()

    def close(self) -> None:
        """Finish what is queued, then stop."""
        self._closed = True
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
        if self._turn is not None:
            self._turn.close()

    def _run(self) -> None:
        while True:
            first = self._queue.get()
            if first is None:
                return
            batch, last = self._company(first)
            # from here on nobody can take a unit back: it is either not run, or told of what came of it
            self._commit([item for item in batch if item[1].set_running_or_notify_cancel()])
            if last:
                return

    def _company(self, first: _Item) -> tuple[list[_Item], bool]:
        """Who else is waiting, or comes before the next commit is allowed; and whether this is the last."""
        batch = [first]
        while len(batch) < MOST_TOGETHER:
            left = self._last + self._interval - self._clock()
            try:
                item = self._queue.get(timeout=left) if left > 0 else self._queue.get_nowait()
            except queue.Empty:
                if left > 0:
                    continue
                break
            if item is None:
                return batch, True
            batch.append(item)
        return batch, False

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        """Wait for other processes in the order of asking; SQLite's own goes to whoever polls luckily."""
        if self._turn is None:
            yield
            return
        fcntl.flock(self._turn, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._turn, fcntl.LOCK_UN)

    def _commit(self, batch: list[_Item], *, anew: bool = True) -> None:
        """Run the units and tell what came of each.

        One that met another process comes anew and by itself: it may wait, and sees what the other has done.
        """
        try:
            results = self._together(batch)
        except Exception as error:  # noqa: BLE001  # without this thread nothing would ever be stored again
            failure = StoreError(f"the store could not commit: {said(error)}")
            self.outage.failed(len(batch), said(error))
            for _, future in batch:
                future.set_exception(failure)
            return
        again = []
        for (unit, future), (result, failed) in zip(batch, results, strict=True):
            if failed is None:
                future.set_result(result)
            elif isinstance(failed, Elsewhere) and anew:
                again.append((unit, future))
            else:
                future.set_exception(failed)
        for item in again:
            self._commit([item], anew=False)

    @retry(
        retry=retry_if_exception(_passing),
        stop=stop_after_attempt(4) | stop_after_delay(10),  # who waits for a lock has waited long by then
        wait=wait_random_exponential(multiplier=0.02, max=0.5),
        reraise=True,
    )
    def _together(self, batch: list[_Item]) -> list[tuple[Any, BaseException | None]]:
        """Run the units in one transaction; all of them again where the database has lost a race."""
        with self._in_turn(), self._engine.begin() as connection, chain.chained(connection):
            results, before = [], _changes(connection)
            for number, (unit, _) in enumerate(batch):
                first_in_its_commit(connection, first=number == 0)
                results.append(_run_one(connection, unit))
            tell(connection)
            after = _changes(connection)
        if after is None or after != before:
            self.outage.over()
        self.commits += 1
        self._last = self._clock()
        return results


def _run_one(connection: Connection, unit: Unit) -> tuple[Any, BaseException | None]:
    """A unit under its own savepoint; what it returned, or what went wrong with it."""
    noted = chain.mark(connection)
    say(connection, "SAVEPOINT unit")
    try:
        result = unit(connection)
    except DBAPIError as error:
        if of_the_store(error) is not None or _passing(error):
            raise
        _take_back(connection, noted)
        met = getattr(error.orig, "sqlstate", None) == "23505"  # somebody else has just written the same
        return None, (Elsewhere if met else StoreError)(f"the store refused: {said(error)}")
    except Exception as error:  # noqa: BLE001  # one unit's fault must not take its neighbours' commit with it
        _take_back(connection, noted)
        return None, error
    say(connection, "RELEASE SAVEPOINT unit")
    return result, None


def _take_back(connection: Connection, noted: int) -> None:
    say(connection, "ROLLBACK TO SAVEPOINT unit")
    chain.back_to(connection, noted)


def _changes(connection: Connection) -> int | None:
    """How many rows SQLite has changed on it: to commit nothing at all succeeds on the fullest disk."""
    return getattr(connection.connection.dbapi_connection, "total_changes", None)
