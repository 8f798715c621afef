"""The one writer of a process: whoever waits for it is told, however the units and the commits fall."""

from concurrent.futures import Future
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine

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
