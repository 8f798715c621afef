"""The one clock, randomness and new ids; everybody else gets them as arguments."""

import os
import random
import secrets
import socket
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


def now() -> datetime:
    """The one clock."""
    return datetime.now(UTC)  # noqa: TID251  # here, and nowhere else


def new_id() -> str:
    """A new random UUID."""
    return str(uuid.uuid4())


def process_name() -> str:
    """A name that no other process has, on this machine or another."""
    return f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"


def jitter() -> float:
    """A random number in [-1, 1] by which waits are spread."""
    return random.uniform(-1, 1)  # noqa: S311  # spreads load; secures nothing
