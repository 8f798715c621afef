"""What a near deadline asks of the post: shorter waits, and a person at the telephone while there is time.

Pure decisions over instants; whose deadline it is, and whether it is still open, others say.
"""

from datetime import datetime, timedelta

SHARE = 4
"""A wait takes at most this part of what is left until the deadline."""

SHORTEST = timedelta(seconds=30)
"""No wait is made shorter than this, however near the deadline is."""


def hurried(wait: timedelta, due_at: datetime | None, now: datetime) -> timedelta:
    """The wait before the next try, never longer than the schedule's; after the deadline the schedule's."""
    if due_at is None or due_at <= now:
        return wait
    return min(wait, max((due_at - now) / SHARE, SHORTEST))


def telephone_at(since: datetime, due_at: datetime, before: timedelta) -> datetime:
    """When a person must take the telephone: `before` the deadline; half of what is left, if less."""
    leading = due_at - before
    return leading if leading > since else since + max(due_at - since, timedelta(0)) / 2
