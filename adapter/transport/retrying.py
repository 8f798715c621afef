"""What every request that is tried again has in common: how long until the next try, and what came of it."""

import math
from collections.abc import Callable
from typing import Any

from tenacity import RetryCallState


def as_asked(first: float, *, most: float = math.inf) -> Callable[[RetryCallState], float]:
    """Seconds until the next try: `first`, doubling, or what the server asks for, up to `most`."""

    def wait(state: RetryCallState) -> float:
        reply = last(state)
        asked = reply.retry_after if reply is not None and reply.retry_after is not None else 0.0
        return float(min(max(asked, first * 2 ** (state.attempt_number - 1)), most))

    return wait


def last(state: RetryCallState) -> Any:
    """What the last try came to, which is what is told where none succeeds."""
    return state.outcome.result() if state.outcome else None
