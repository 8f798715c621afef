"""When the store itself cannot be written: told once when it begins and once when it is over.

A disk that is full, a database that has gone or stopped, a file that somebody holds: these are no fault of
one unit of work, and every unit fails of them alike. What is said in between is counted, not told.
"""

import threading
from collections.abc import Callable, Iterator

import structlog
from sqlalchemy.exc import DBAPIError

log = structlog.get_logger("store")

_OF_SQLITE = ("FULL", "IOERR", "READONLY", "CANTOPEN", "CORRUPT", "NOTADB", "BUSY", "LOCKED", "NOLFS", "AUTH")
_OF_POSTGRESQL = ("08", "53", "57", "58")  # connection, resources, operator intervention, system (SQLSTATE)


class Outage:
    """Whether the store takes what is written; `reason` says why it does not, None while it does."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.reason: str | None = None
        self._clock = clock
        self._since = 0.0
        self._failed = 0
        self._lock = threading.Lock()

    def failed(self, units: int, reason: str) -> None:
        """So many units were not stored."""
        with self._lock:
            begins, self.reason = self.reason is None, reason
            self._failed += units
            if begins:
                self._since = self._clock()
        if begins:
            log.error("the store cannot be written; nothing is acknowledged meanwhile", error=reason)

    def over(self) -> None:
        """Something has been stored."""
        with self._lock:
            was, self.reason = self.reason, None
            failed, self._failed = self._failed, 0
        if was is not None:
            seconds = round(self._clock() - self._since, 1)
            log.warning("the store can be written again", seconds=seconds, failed=failed, error=was)


def of_the_store(error: BaseException) -> DBAPIError | None:
    """The fault of the store itself that is at the bottom of an error; None where it is the unit's own.

    SQLite takes a transaction back by itself when the disk is full: then the error is about a savepoint that
    is no more, and what was before it tells why.
    """
    return next((one for one in _before(error) if _is_of_the_store(one)), None)


def said(error: BaseException) -> str:
    """The driver's own words without the statement and its values, which may identify somebody."""
    cause = getattr(of_the_store(error) or error, "orig", None)
    words = str(cause).strip().splitlines() if cause else []
    return words[0] if words else type(cause or error).__name__


def _before(error: BaseException | None) -> Iterator[DBAPIError]:
    met = 0
    while error is not None and met < 20:
        if isinstance(error, DBAPIError):
            yield error
        error, met = error.__context__ or error.__cause__, met + 1


def _is_of_the_store(error: DBAPIError) -> bool:
    if error.connection_invalidated:
        return True
    name = getattr(error.orig, "sqlite_errorname", None)
    if name is not None:
        return str(name).removeprefix("SQLITE_").startswith(_OF_SQLITE)
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return str(state).startswith(_OF_POSTGRESQL)
    return type(error.orig).__name__ == "OperationalError"  # psycopg's, of a connection that is no more
