"""Statements that one test has had compiled are there for the next: each store has an engine of its own.

A running adapter has one engine, which compiles each statement once. Thousands of engines, each for a few
statements, would spend a quarter of the tests' time on it.
"""

from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy import create_engine as new_engine
from sqlalchemy.util import LRUCache

import adapter.store


def shared() -> None:
    """From now on the stores of this process share what is compiled, per kind of database."""
    known: dict[str, Engine] = {}

    def create_engine(url: Any, **more: Any) -> Engine:
        engine = new_engine(url, **more)
        first = known.get(url.drivername)
        if first is not None:
            engine.dialect = engine.pool._dialect = first.dialect
            engine._compiled_cache = first._compiled_cache
            return engine
        engine._compiled_cache = LRUCache(3000)

        @event.listens_for(engine, "connect")  # only then does a dialect know its database
        def _has_connected(*_: object) -> None:
            known.setdefault(url.drivername, engine)

        return engine

    adapter.store.create_engine = create_engine  # type: ignore[attr-defined]
