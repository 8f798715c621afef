"""The ticks.

APScheduler gives them and holds no state that matters: every job looks in the table, so a restart
forgets nothing. A job that is late still runs (no misfire grace), runs missed are run once, and a job never
overlaps itself.
"""

import traceback
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from adapter.errors import AdapterError

log = structlog.get_logger("scheduler")


class Clockwork:
    """Runs named jobs at their intervals until it is stopped."""

    def __init__(self, jobs: Mapping[str, tuple[timedelta, Callable[[], object]]]) -> None:
        self._scheduler = BackgroundScheduler(
            timezone="UTC",
            executors={"default": ThreadPoolExecutor(len(jobs))},  # a mailbox that hangs holds up itself only
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )
        for name, (every, job) in jobs.items():
            self._scheduler.add_job(
                _guarded(name, job), "interval", seconds=every.total_seconds(), id=name, name=name
            )

    def start(self) -> None:
        """Begin ticking."""
        self._scheduler.start()

    def begin_anew(self, now: datetime) -> None:
        """Every job is due now: after the clock was set back, the next tick would be as far ahead as that."""
        for job in self._scheduler.get_jobs():
            job.modify(next_run_time=now)

    def stop(self) -> None:
        """Let running jobs finish, then stop."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=True)


def _guarded(name: str, job: Callable[[], object]) -> Callable[[], None]:
    def run() -> None:
        try:
            job()
        except AdapterError as error:
            log.error("job failed", job=name, error=str(error))
        except Exception as error:  # noqa: BLE001  # a job that fails must not stop the others; it runs again
            place = traceback.extract_tb(error.__traceback__)[-1]  # never its text, which may hold content
            log.error(
                "job failed", job=name, error=type(error).__name__, at=f"{place.filename}:{place.lineno}"
            )

    return run
