"""What the law costs over 10,000 open cases: ticks of its clock, and cases explained."""

import tempfile
import time
from datetime import UTC, datetime, timedelta

from adapter.discharge.case import Evidence, Fact, Step
from adapter.discharge.notices import AnswerValue, Notice, NoticeKind
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
        figures["explain a case of one notice (ms)"] = _explained(made, range(1, 201), clock())
        long_since = clock.forward(days=40)
        _go_on(made, range(200))
        figures["explain a case of eight notices, 31 days charged (ms)"] = _explained(
            made, range(1, 201), long_since
        )
        made.close()
        return figures


def _explained(made: Stage, case_ids: range, now: datetime) -> float:
    began = time.perf_counter()
    with made.built.store.read() as connection:
        for case_id in case_ids:
            made.built.cases.explained(connection, case_id, now)
    return round((time.perf_counter() - began) * 1000 / len(case_ids), 2)


def _go_on(made: Stage, numbers: range) -> None:
    """Needs, a readiness that is withdrawn, another one, and a municipality that cannot for a month."""
    story = (
        (NoticeKind.CARE_NEEDS, 2, {}),
        (NoticeKind.PLANNED_DISCHARGE, 3, {}),
        (NoticeKind.READY_FOR_DISCHARGE, 30, {}),
        (NoticeKind.ANSWER, 31, {"answer": AnswerValue.NOT_KNOWN, "sender": "sogndal"}),
        (NoticeKind.READINESS_WITHDRAWN, 40, {}),
        (NoticeKind.READY_FOR_DISCHARGE, 80, {}),
        (NoticeKind.ANSWER, 82, {"answer": AnswerValue.CANNOT_RECEIVE, "sender": "sogndal"}),
    )
    futures = []
    for number in numbers:
        facts: list[Fact] = []
        for place, (kind, hours, more) in enumerate(story):
            at = START + timedelta(hours=hours)
            usual = {
                "kind": kind, "message_id": f"{place}-{number}", "occurred": at, "sent_at": at,
                "sender": "laerdal-sjukehus", "receivers": ("sogndal",), "hospital": "laerdal-sjukehus",
            }  # fmt: skip
            notice = Notice(**(usual | more))
            facts.append(notice)
            if notice.sender == "laerdal-sjukehus":
                facts.append(
                    Evidence(
                        step=Step.ACCEPTED,
                        message_id=notice.message_id,
                        sender=notice.sender,
                        party="sogndal",
                        at=at + timedelta(minutes=1),
                    )
                )
        learned = [(fact, None) for fact in facts]
        futures.append(
            made.built.store.submit(
                lambda tx, n=number, learned=learned: made.built.cases.learn(
                    tx, f"P{n}", learned, START + timedelta(days=4)
                )
            )
        )
    for future in futures:
        future.result()


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
