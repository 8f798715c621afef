"""The kinds of values that settings and region files hold; each says what it must be, never what it was.

A value that would stop delivery silently (no waits, no time, no size) is refused like a misspelt one.
"""

import re
from datetime import timedelta
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer

from adapter.discharge.counting import iso


class Frozen(BaseModel):
    """A record of a file: nothing in it changes, and nothing that it does not know may stand in it."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def written(length: timedelta) -> str:
    """A duration as the files write it: P365D, PT10M, PT0.3S."""
    whole = length and length.microseconds == 0
    return iso(length) if whole else f"PT{length.total_seconds():g}S"


def is_address(text: str) -> bool:
    """Whether that is an http or https URL with a host."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:  # a port that is no number, or brackets without an end
        return False
    return (
        parts.scheme in ("http", "https")
        and bool(parts.hostname)
        and port != 0
        and not re.search(r"\s", text)
    )


LOOPBACK = ("127.0.0.1", "localhost", "::1")


def is_safe_address(text: str) -> bool:
    """Whether that is an address that nobody between can read or change: https, or this machine's own."""
    if not is_address(text):
        return False
    parts = urlsplit(text)
    return "@" not in parts.netloc and (parts.scheme == "https" or parts.hostname in LOOPBACK)


def _base(text: str) -> str:
    parts = urlsplit(text)
    if not is_safe_address(text) or parts.query or parts.fragment:
        raise ValueError(
            "must be an https:// URL without anything after the path; http:// only on this machine"
        )
    return text.rstrip("/")


def _safe(text: str) -> str:
    if not is_safe_address(text) or urlsplit(text).fragment:
        raise ValueError("must be an https:// URL, without user and password; http:// only on this machine")
    return text


def _address(text: str) -> str:
    if not is_address(text):
        raise ValueError("must be an http:// or https:// URL")
    return text


def _sha256(text: str) -> str:
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise ValueError("must be a SHA-256 as 64 hex digits, without colons")
    return text.lower()


def _argon2(text: str) -> str:
    from argon2 import Type, extract_parameters
    from argon2.exceptions import InvalidHashError

    try:
        known = extract_parameters(text)
    except InvalidHashError:
        known = None
    if (
        known is None
        or known.type is not Type.ID
        or known.memory_cost > _MOST_MEMORY
        or known.time_cost > 100
    ):
        raise ValueError("is no password hash; `discharge-adapter config --hash-password` prints one")
    return text


_MOST_MEMORY = 1024 * 1024  # KiB that one look at a password may take

_as_written = PlainSerializer(written, when_used="json")

Duration = Annotated[timedelta, Field(ge=timedelta(0)), _as_written]
"""A length of time, or none."""

Wait = Annotated[timedelta, Field(gt=timedelta(0)), _as_written]
"""A length of time that must be one."""

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""A time-out."""

Address = Annotated[str, AfterValidator(_address)]
"""An http or https URL."""

SafeAddress = Annotated[str, AfterValidator(_safe)]
"""A place that we show a secret to: https, or http on this machine."""

BaseAddress = Annotated[str, AfterValidator(_base)]
"""Where others reach us: https, or http on this machine; without the slash at its end."""

Sha256 = Annotated[str, AfterValidator(_sha256)]
"""A hash or fingerprint, in small letters."""

PasswordHash = Annotated[str, AfterValidator(_argon2)]
"""An argon2id hash in its usual form, with its parameters and salt."""
