"""The settings of `[mail]` and `[alarms]`: who is told of alarms, how, and what is watched."""

import re
from datetime import time, timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from adapter.config.values import LOOPBACK, Duration, Frozen, Seconds, Wait

PORTS = {"starttls": 587, "tls": 465, "none": 25}
"""Where mail is handed in, by how the line is secured."""


def _mail_address(text: str) -> str:
    if not re.fullmatch(r"[!-?A-~]+@[A-Za-z0-9.-]+\.?[A-Za-z0-9]", text) or any(
        c in text for c in '<>",;:()'
    ):
        raise ValueError("must be a mail address without a name, as staff@example.org")
    return text


def _local_time(value: time) -> time:
    if value.tzinfo is not None or value.second or value.microsecond:
        raise ValueError('must be a time of day where the hospital is, as "07:00"')
    return value


MailAddress = Annotated[str, AfterValidator(_mail_address)]
"""An address alone."""

LocalTime = Annotated[time, AfterValidator(_local_time)]
"""A time of day, without seconds, in the agreement's zone."""


class MailSettings(Frozen):
    """The mail server that alarms are handed in at; without one, none is mailed."""

    server: str | None = Field(default=None, min_length=1, pattern=r"^[A-Za-z0-9.:-]+$")  # name or address
    port: int | None = Field(default=None, gt=0, le=65535)  # that of `security` where it is not set
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str | None = None
    password: str | None = Field(default=None, repr=False)
    trust: str | None = None  # CA bundle
    timeout: Seconds = 10.0  # for a mail, all of it
    sender: MailAddress | None = None
    to: tuple[MailAddress, ...] = ()
    escalate_to: tuple[MailAddress, ...] = ()
    language: Literal["nb", "nn", "sv", "da", "en"] | None = None  # the country's where it is not set

    @model_validator(mode="after")
    def _whole(self) -> "MailSettings":
        if self.server is None:
            given = [
                name for name in ("sender", "to", "escalate_to", "user", "password") if getattr(self, name)
            ]
            if given:
                raise ValueError(
                    f"{given[0]} is set, but no server; set server, sender and to, or none of them"
                )
            return self
        missing = [name for name in ("sender", "to") if not getattr(self, name)]
        if missing:
            raise ValueError(f"server is set, but not {' and '.join(missing)}; set server, sender and to")
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password go together; set both or neither")
        if self.security == "none" and self.server not in LOOPBACK:
            raise ValueError(
                'security = "none" is for a server on this machine only; write "starttls" or "tls"'
            )
        return self


class AlarmSettings(Frozen):
    """When people are told, and from where on something is an alarm."""

    window: Wait = timedelta(minutes=1)  # alarms that start within it stand in one mail
    again_after: Wait = timedelta(hours=1)  # so often at most is one that comes and goes mailed
    escalate_after: dict[str, Duration] = Field(default={})  # by kind, over the usual ones; none = never
    digest: bool = True
    digest_at: LocalTime = time(7)
    disk: Path | None = None  # a folder on the disk to watch; the embedded store's where it is not set
    disk_free_share: float = Field(default=0.1, ge=0, lt=1)
    disk_free_bytes: int = Field(default=1024**3, ge=0)
    backlog: Wait = timedelta(minutes=30)
    clock_difference: Wait = timedelta(seconds=5)
