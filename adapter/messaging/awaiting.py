"""How long a receipt is waited for, and when a person is told: pure decisions over one delivery.

The standard's own limit is long: none within 96 hours of the message's making (GenDate) counts as a refusal
(HIS 80415, N-02). A notice that must be with its receiver within 24 hours cannot wait for that, so people are
told earlier: when the endpoint's own time is up, and when half of what is left until the deadline is gone.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

NEGATIVE_AFTER = timedelta(hours=96)
"""From the message's making until a missing receipt counts as a negative one, where a standard says so."""

LOOK_AGAIN = timedelta(hours=1)
"""A deadline may begin after its notice was sent, so the clock looks again while it waits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wait:
    """What is known of a message whose receipt is still to come; instants are aware."""

    first_sent: datetime
    last_sent: datetime
    within: timedelta  # the endpoint's own time
    issued: datetime | None = None  # when it was made, where 96 hours count from there
    due_at: datetime | None = None  # of the deadline that it would meet
    lead_time: timedelta = timedelta(0)  # that people need before a deadline

    @property
    def missing_from(self) -> datetime:
        """When the endpoint's own time is up."""
        return self.last_sent + self.within

    @property
    def telephone_from(self) -> datetime | None:
        """When half of the time to the deadline is gone, at the latest the lead time before it."""
        if self.due_at is None or self.due_at <= self.first_sent:
            return None
        half = self.first_sent + (self.due_at - self.first_sent) / 2
        leading = self.due_at - self.lead_time
        return min(half, leading) if leading > self.first_sent else half

    @property
    def negative_from(self) -> datetime | None:
        """When it counts as not received; what was sent again later has at least the endpoint's time."""
        return None if self.issued is None else max(self.issued + NEGATIVE_AFTER, self.missing_from)

    def next_look(self, now: datetime) -> datetime | None:
        """When the clock must look again; None when nothing can follow any more."""
        again = now + LOOK_AGAIN if now < self.first_sent + NEGATIVE_AFTER else None
        moments = (self.missing_from, self.telephone_from, self.negative_from, again)
        return min((at for at in moments if at is not None and at > now), default=None)
