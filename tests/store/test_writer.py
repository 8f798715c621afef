"""The one writer of a process: whoever waits for it is told, however the units and the commits fall."""

from collections.abc import Iterator
from concurrent.futures import Future
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine

from adapter.store import Store, messages
from adapter.store.migrations import migrate
from adapter.store.writer import Writer


def test_a_moment_too_short_to_wait_stops_nobody(tmp_path: Path):
    """What is left until the next commit may be less than a clock can tell; the next unit may be far off."""
    ticks = count()
    engine = create_engine(f"sqlite:///{tmp_path}/store.db")
    writer = Writer(engine, interval=1e-7, clock=lambda: next(ticks) * 5e-8)
    later: Future[Future[Any]] = Future()

    def unit(left: int) -> Any:
        def one(tx: Connection) -> None:
            if left:
                writer.submit(unit(left - 1))  # comes while the writer works
            else:
                later.set_result(writer.submit(lambda _: "told"))

        return one

    writer.submit(unit(3000))
    assert later.result(timeout=60).result(timeout=20) == "told"
    writer.close()
    engine.dispose()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(f"sqlite:///{tmp_path}/store.db")
    migrate(made)
    yield made
    made.close()


def written_by_another(store: Store, name: str) -> None:
    other = Store(store.url)
    other.write(lambda tx: messages.set_value(tx, name, "x"))
    other.close()


def test_what_others_write_is_seen_however_many_connections_come_and_go(store: Store):
    """The pool closes what is too much for it; whoever watches must not go with it."""
    watch = store.watch()
    before = watch()
    for round_ in range(3):
        many = [store.engine.connect() for _ in range(15)]
        for one in reversed(many):
            one.close()
        assert watch() == before
        written_by_another(store, f"round {round_}")
        assert watch() != before
        before = watch()


def test_a_watch_that_breaks_counts_as_news_and_is_mended(store: Store):
    watch = store.watch()
    before = watch()
    watch._connection.dbapi_connection.close()  # type: ignore[attr-defined]  # as if the driver had let go
    broken = watch()
    assert broken != before
    mended = watch()
    assert mended == watch() != broken
    written_by_another(store, "later")
    assert watch() != mended
