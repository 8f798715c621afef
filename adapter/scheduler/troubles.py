"""A fault that lasts is told once when it begins and once when it is over, however often its job runs.

Several jobs that fail for the same reason, as when the store is down, tell it together.
"""

import threading


class Troubles:
    """Which jobs fail, and why."""

    def __init__(self) -> None:
        self._why: dict[str, tuple[str, int]] = {}  # by job: its reason, and how often it has failed so
        self._lock = threading.Lock()

    def failed(self, job: str, why: str) -> bool:
        """Whether this is news: no job fails for that reason already."""
        with self._lock:
            news = all(known != why for known, _ in self._why.values())
            before, times = self._why.get(job, (why, 0))
            self._why[job] = (why, times + 1 if before == why else 1)
            return news

    def over(self, job: str) -> tuple[str, int] | None:
        """The job has worked: the reason and how often, where it was the last one that failed of it."""
        with self._lock:
            known = self._why.pop(job, None)
            if known is None or any(why == known[0] for why, _ in self._why.values()):
                return None
            return known
