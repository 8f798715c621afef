"""What the law costs over 10,000 open cases: one tick of its clock, and one case explained."""

import tempfile
import time
from datetime import UTC, datetime, timedelta

from adapter.discharge.notices import Notice, NoticeKind
from adapter.scheduler.deadlines import Deadlines
from tests.conftest import StandingClock
from tests.stage import Stage, stage

CASES = 10_000
START = datetime(2014, 3, 3, 8, 0, tzinfo=UTC)


def law() -> dict[str, object]:
    """A day's admissions, one every 8.64 seconds; then the clock looks a second, and ten minutes, later."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        clock = StandingClock(at=START + timedelta(hours=24) - timedelta(seconds=2))
        made = stage(f"sqlite:///{folder}/store.db", clock)
        _admit(made)
        tick = Deadlines(
            store=made.built.store,
            cases=made.built.cases,
            outbox=made.outbox,
            register=made.built.register,
            clock=clock,
        )
        while tick():  # the reminders of the first half of the day
            pass
        figures: dict[str, object] = {}
        for passed in (timedelta(seconds=60), timedelta(minutes=10)):
            clock.forward(seconds=passed.total_seconds())
            began = time.perf_counter()
            due = tick()
            seconds = time.perf_counter() - began
            name = f"10,000 open cases, {passed.total_seconds():.0f} s later: {due} rows due (s)"
            figures[name] = round(seconds, 3)
        began = time.perf_counter()
        with made.built.store.read() as connection:
            for case_id in range(1, 201):
                made.built.cases.explained(connection, case_id, clock())
        figures["explain one case (ms)"] = round((time.perf_counter() - began) * 1000 / 200, 2)
        made.close()
        return figures


def _admit(made: Stage) -> None:
    cases, store = made.built.cases, made.built.store
    for first in range(0, CASES, 500):
        futures = []
        for number in range(first, first + 500):
            at = START + timedelta(seconds=8.64 * number)
            notice = Notice(
                kind=NoticeKind.ADMITTED,
                message_id=f"admitted-{number}",
                occurred=at,
                sent_at=at,
                sender="laerdal-sjukehus",
                receivers=("sogndal",),
                hospital="laerdal-sjukehus",
            )
            futures.append(
                store.submit(lambda tx, n=number, f=notice, at=at: cases.learn(tx, f"P{n}", [(f, None)], at))
            )
        for future in futures:
            future.result()
