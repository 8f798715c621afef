"""Time as the world has it, and as each process believes it to be."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

START = datetime(2014, 3, 3, 10, 0, tzinfo=ZoneInfo("Europe/Oslo"))
"""Monday 3 March 2014, ten in the morning in Lærdal."""


@dataclass
class Time:
    """The time that it is; it only goes forward."""

    at: datetime = START

    def pass_by(self, seconds: float) -> None:
        """So much time goes by."""
        self.at += timedelta(seconds=seconds)


@dataclass
class Clock:
    """A process's own clock, which may be wrong."""

    time: Time
    wrong_by: timedelta = field(default=timedelta(0))

    def __call__(self) -> datetime:
        return self.time.at + self.wrong_by
