"""When to try again, and when to stop: a pure decision over one attempt's reply.

Permanent errors go to a person at once, transient ones back off; a 3xx is never success (redirects are
not followed, so nothing leaves for an address that nobody configured), and a 409 is success only where the
receiver says in so many words that it already holds this message.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from adapter.messaging.delivery import Reply
from adapter.messaging.nearing import hurried
from adapter.phrases import Phrase, lasting, phrase

TRANSIENT_4XX = frozenset({408, 425, 429})
"""Request timeout, too early, too many requests: the only client errors worth another try."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """The waits between attempts; the last one repeats until `give_up_after` has passed since creation."""

    delays: tuple[timedelta, ...] = (
        timedelta(seconds=2),
        timedelta(seconds=10),
        timedelta(seconds=30),
        timedelta(minutes=2),
        timedelta(minutes=10),
        timedelta(minutes=30),
        timedelta(hours=1),
        timedelta(hours=3),
    )
    give_up_after: timedelta = timedelta(hours=72)  # the national retry horizon of EDI 2.0
    jitter: float = 0.2  # share of the delay, to either side
    retry_after_floor: timedelta = timedelta(seconds=1)
    retry_after_ceiling: timedelta = timedelta(hours=1)
    rest_after: int = 5  # failures in a row until an endpoint rests; see messaging.resting


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """The transport has accepted it; the application receipt may still be on its way."""

    delivered: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryAt:
    """Not now; the row is due again at `at`."""

    at: datetime
    reason: Phrase


@dataclass(frozen=True, kw_only=True, slots=True)
class GiveUp:
    """No further try by itself; a person is told."""

    reason: Phrase
    permanent: bool = field(default=True)  # False: it was transient, but went on for too long


Decision = Sent | RetryAt | GiveUp


def delay(schedule: Schedule, attempts: int, jitter: float) -> timedelta:
    """The wait after `attempts` tries; `jitter` is a random number in [-1, 1], an argument."""
    base = schedule.delays[min(attempts - 1, len(schedule.delays) - 1)]
    return base * (1 + schedule.jitter * jitter)


def asked(schedule: Schedule, seconds: float | None) -> timedelta:
    """The wait that a receiver asks for, within bounds; none where it says nothing."""
    if seconds is None:
        return timedelta()
    floor, ceiling = schedule.retry_after_floor, schedule.retry_after_ceiling
    return timedelta(seconds=min(max(floor.total_seconds(), seconds), ceiling.total_seconds()))


def decide(
    reply: Reply,
    *,
    attempts: int,
    created_at: datetime,
    now: datetime,
    schedule: Schedule,
    jitter: float,
    duplicate: bool = False,
    due_at: datetime | None = None,
) -> Decision:
    """What follows from `reply`, the answer to attempt number `attempts` (1 is the first).

    `duplicate` says that a 409 carried an OperationOutcome with issue code `duplicate` in answer to
    `$process-message`; only then is it success. `due_at` is the deadline that the message would meet.
    """
    if reply.taken or (reply.status == 409 and duplicate):
        return Sent(delivered=reply.delivered or reply.status == 409)
    if reply.permanent:
        return GiveUp(reason=reply.error or phrase("the receiver will not take this message"))
    if reply.status is not None and _permanent(reply.status):
        return GiveUp(reason=_permanent_reason(reply))
    wait = max(hurried(delay(schedule, attempts, jitter), due_at, now), asked(schedule, reply.retry_after))
    if now + wait > created_at + schedule.give_up_after:
        span = lasting(schedule.give_up_after)
        why = phrase("still failing after {span}: {why}", span=span, why=reply.said)
        return GiveUp(reason=why, permanent=False)
    return RetryAt(at=now + wait, reason=reply.said)


def _permanent(status: int) -> bool:
    return 300 <= status < 500 and status not in TRANSIENT_4XX


def _permanent_reason(reply: Reply) -> Phrase:
    status = str(reply.status)
    if reply.status is not None and 300 <= reply.status < 400:
        return phrase(
            "HTTP {status}: the receiver answers with a redirect; correct the endpoint's address",
            status=status,
        )
    if reply.status in (401, 403):
        if reply.error is not None and "; correct " in reply.error:
            return reply.error  # the transport knows better what to do
        return phrase(
            "HTTP {status}: the receiver does not let us in; correct the endpoint's credentials",
            status=status,
        )
    return reply.error or phrase("HTTP {status}: the receiver will not take this message", status=status)
