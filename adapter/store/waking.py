"""Tell other processes that there is work, and hear of it.

PostgreSQL's NOTIFY goes out with the commit and comes at once. It is a hint and never the only way: whoever
hears nothing, because the connection was lost or the server restarted, looks a second later by itself.
"""

from collections.abc import Callable
from time import monotonic
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from adapter.store.statements import say

CHANNEL = "discharge_work"

_WORK = "work"

_AGAIN = 1.0
"""Seconds until the next try to listen, where the last one failed."""


def is_due(tx: Connection) -> None:
    """Something to be sent has been written: others are told once, with the commit."""
    tx.info[_WORK] = True


def tell(tx: Connection) -> None:
    """Before a commit: tell of what is due, where there is anybody to tell."""
    if tx.info.pop(_WORK, False) and tx.dialect.name == "postgresql":
        say(tx, f"NOTIFY {CHANNEL}")


class Listener:
    """Asked now and then whether anything was heard; the answer changes when there was."""

    def __init__(self, engine: Engine, *, clock: Callable[[], float] = monotonic) -> None:
        self._engine = engine
        self._clock = clock
        self._driver: Any = None  # psycopg's own connection, outside the pool
        self._next = 0.0
        self._heard = 0

    def __call__(self) -> int:
        """How often something was heard, or may have been missed."""
        if self._driver is None and self._clock() < self._next:
            return self._heard
        try:
            if self._driver is None:
                self._driver = self._listening()
                self._heard += 1  # whatever was said until now was missed
            self._heard += sum(1 for _ in self._driver.notifies(timeout=0))
        except (SQLAlchemyError, self._engine.dialect.loaded_dbapi.Error):
            self.close()
            self._next = self._clock() + _AGAIN
        return self._heard

    def _listening(self) -> Any:
        pooled = self._engine.raw_connection()
        driver = pooled.driver_connection
        pooled.detach()
        assert driver is not None
        driver.autocommit = True
        driver.execute(f"LISTEN {CHANNEL}")
        return driver

    def close(self) -> None:
        """Listen no more."""
        if self._driver is not None:
            self._driver.close()
        self._driver = None
