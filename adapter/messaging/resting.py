"""When an endpoint rests, when one message tries it again, and how it comes back: pure decisions.

After so many failures in a row it is the endpoint that fails, not a message: it rests, and its messages wait
without an attempt of theirs being spent. One message at a time, a probe, finds out whether it lives. Then it
is given one send at a time, two, four, …, and it is well when that is as many as the region file allows.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from adapter.messaging.delivery import Reply
from adapter.messaging.retry import TRANSIENT_4XX, Schedule, asked
from adapter.phrases import Phrase, phrase

PROBES = (
    timedelta(seconds=15),
    timedelta(seconds=30),
    timedelta(minutes=1),
    timedelta(minutes=2),
    timedelta(minutes=5),
)
"""The waits between probes; the last one repeats."""

PATIENCE = timedelta(hours=1)
"""For which a receiver may go on asking us to wait, taking nothing, until that is a rest like any other."""


class Sign(StrEnum):
    """What an attempt tells about the endpoint, whatever it means for the message."""

    LIVES = "lives"  # it took the message, or said no to this one
    FAILS = "fails"
    ASKS_TO_WAIT = "asks-to-wait"
    NOTHING = "nothing"  # the fault was our own


class Condition(StrEnum):
    """How an endpoint does of which something is known."""

    FAILING = "failing"  # not yet often enough to rest
    RESTING = "resting"
    ASKED_TO_WAIT = "asked-to-wait"
    RECOVERING = "recovering"


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """What is remembered of an endpoint that is not well; of one that is, nothing."""

    failures: int  # in a row; kept while it recovers, so that the next one makes it rest at once
    since: datetime  # of the first of them
    resting_since: datetime | None = None
    probe_at: datetime | None = None  # when one message tries again; or until when it asked us to wait
    rests: int = 0  # probes in vain
    window: int | None = None  # sends at a time while it recovers; None: as many as the region file allows
    error: Phrase | None = None

    def condition(self, now: datetime) -> Condition:
        """In a word."""
        if self.resting_since is not None:
            return Condition.RESTING
        if self.probe_at is not None and self.probe_at > now:
            return Condition.ASKED_TO_WAIT
        return Condition.FAILING if self.window is None else Condition.RECOVERING

    def holds(self, now: datetime) -> bool:
        """Whether nothing goes there now but a probe, or what a person sends."""
        return self.condition(now) in (Condition.RESTING, Condition.ASKED_TO_WAIT)


def sign(reply: Reply) -> Sign:
    """What an attempt tells about the endpoint; a client error condemns one message, and proves it alive."""
    if reply.ours:
        return Sign.NOTHING
    if reply.taken:
        return Sign.LIVES
    if reply.status in (429, 503) and reply.retry_after is not None:
        return Sign.ASKS_TO_WAIT
    lives = reply.status is not None and 300 <= reply.status < 500 and reply.status not in TRANSIENT_4XX
    return Sign.LIVES if lives else Sign.FAILS


def after_life(health: Health, *, now: datetime, concurrency: int, schedule: Schedule) -> Health | None:
    """What becomes of an endpoint that has answered; None: it is well."""
    if health.resting_since is not None:
        return replace(health, since=now, resting_since=None, probe_at=None, rests=0, window=1)
    if health.window is None:
        return None
    if health.holds(now):
        return health  # this one left before it asked us to wait
    wider = health.window * 2
    if wider > concurrency:
        return None
    rested = health.failures >= schedule.rest_after
    failures = health.failures if rested else 0
    return replace(health, failures=failures, since=now, probe_at=None, window=wider)


def after_failure(
    health: Health | None,
    reply: Reply,
    *,
    probe: bool,
    now: datetime,
    schedule: Schedule,
    jitter: float,
) -> Health:
    """What becomes of an endpoint that has failed, or asked us to wait; `jitter` is in [-1, 1]."""
    before = health or Health(failures=0, since=now)
    error = reply.error
    if reply.status is not None:
        error = phrase("HTTP {status}", status=str(reply.status))
    if before.resting_since is not None and not probe:
        return replace(before, error=error)  # it left before the rest, or a person sent it: no probe
    wait = asked(schedule, reply.retry_after) if sign(reply) is Sign.ASKS_TO_WAIT else None
    failing = replace(before, failures=before.failures + (wait is None), error=error)
    if before.resting_since is not None:
        return _resting(failing, before.rests + 1, wait, now, schedule, jitter)
    worn_out = now - before.since >= PATIENCE if wait is not None else failing.failures >= schedule.rest_after
    if worn_out:
        failures = max(failing.failures, schedule.rest_after)
        return _resting(replace(failing, failures=failures), 0, wait, now, schedule, jitter)
    if wait is None:
        return failing
    until = max(now + wait, before.probe_at or now)
    return replace(failing, probe_at=until, window=1)


def _resting(
    health: Health, rests: int, wait: timedelta | None, now: datetime, schedule: Schedule, jitter: float
) -> Health:
    pause = PROBES[min(rests, len(PROBES) - 1)] * (1 + schedule.jitter * jitter)
    since = health.resting_since or now
    probe_at = now + max(pause, wait or pause)
    return replace(health, resting_since=since, probe_at=probe_at, rests=rests, window=None)
