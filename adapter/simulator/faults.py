"""Faults to order: what goes wrong at which receiver, how often and for how long.

An order is `KIND=RECEIVER:VALUE`, several are joined by commas: `slow=luster:2s,down=sogndal:30s@10s,
reset=vik:0.1`. A receiver is an endpoint's name, or `*` for all of them; a value is a time (`2s`, `500ms`,
`1m`) or a share of the messages between 0 and 1.
"""

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from adapter.errors import ConfigurationError


class FaultKind(StrEnum):
    """What can go wrong. The value is the word of the command line."""

    SLOW = "slow"  # answers after so long; the message is taken before the wait
    DOWN = "down"  # 503 with Retry-After for so long; a folder is not read
    RESET = "reset"  # takes the message, then breaks the connection instead of answering
    NO_RECEIPT = "no-receipt"  # takes the message with 202 and an empty body, and never gives a receipt
    REJECT = "reject"  # a receipt that says no for good: fatal-error, or a negative AppRec
    NOT_NOW = "not-now"  # a transient-error receipt to a message's first try; the next one is taken


TIMED = (FaultKind.SLOW, FaultKind.DOWN)
"""Kinds whose value is a time; the others happen to a share of the messages."""

EVERYWHERE = "*"
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0}
_FORM = "an order is KIND=RECEIVER:VALUE, as slow=luster:2s, down=sogndal:30s@10s or reset=vik:0.1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One order."""

    kind: FaultKind
    receiver: str
    amount: float  # seconds, or a share of the messages
    begins: float = 0.0  # seconds after the receiver's start; `down` only


@dataclass(frozen=True, kw_only=True, slots=True)
class Faults:
    """All orders of one simulation."""

    orders: tuple[Fault, ...] = ()

    @classmethod
    def parse(cls, text: str, receivers: Iterable[str] = ()) -> "Faults":
        """The orders in `text`; names are held against `receivers` where any are given.

        Raises ConfigurationError that names the order and says what is known.
        """
        known = tuple(receivers)
        return cls(orders=tuple(_order(part.strip(), known) for part in text.split(",") if part.strip()))

    def at(self, receiver: str, seed: int = 0) -> "Dice":
        """The dice of one receiver; the same seed gives the same throws."""
        own = tuple(f for f in self.orders if f.receiver in (receiver, EVERYWHERE))
        return Dice(own, random.Random(f"{seed}/{receiver}"))  # noqa: S311  # a simulation, no secret


class Dice:
    """Decides, throw by throw, what goes wrong at one receiver."""

    def __init__(self, orders: tuple[Fault, ...], rng: random.Random) -> None:
        self._shares = {f.kind: f.amount for f in orders if f.kind not in TIMED}
        self._rng = rng
        self.slow = max((f.amount for f in orders if f.kind is FaultKind.SLOW), default=0.0)
        self.outages = [(f.begins, f.begins + f.amount) for f in orders if f.kind is FaultKind.DOWN]

    def down_for(self, elapsed: float) -> float:
        """Seconds until the receiver is up again; 0 where it is up. `elapsed` counts from its start."""
        return max((end - elapsed for begin, end in self.outages if begin <= elapsed < end), default=0.0)

    def strikes(self, kind: FaultKind) -> bool:
        """Whether `kind` happens now. Nothing is thrown for a fault that nobody ordered."""
        share = self._shares.get(kind)
        return share is not None and self._rng.random() < share


def _order(part: str, receivers: tuple[str, ...]) -> Fault:
    match = re.fullmatch(r"([\w-]+)=([\w*-]+):([^@]+)(?:@(.+))?", part)
    if match is None:
        raise ConfigurationError(f"fault {part!r}: {_FORM}")
    word, receiver, value, begins = match.groups()
    if word not in set(FaultKind):
        raise ConfigurationError(f"fault {part!r}: {word!r} is not one of {', '.join(FaultKind)}")
    if receivers and receiver not in (*receivers, EVERYWHERE):
        raise ConfigurationError(
            f"fault {part!r}: nobody is called {receiver!r}; known are {', '.join(receivers)} and *"
        )
    kind = FaultKind(word)
    if begins is not None and kind is not FaultKind.DOWN:
        raise ConfigurationError(f"fault {part!r}: only down takes a beginning (@)")
    return Fault(
        kind=kind,
        receiver=receiver,
        amount=_seconds(value, part) if kind in TIMED else _share(value, part),
        begins=_seconds(begins, part) if begins else 0.0,
    )


def _seconds(text: str, part: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m)", text.strip())
    if match is None:
        raise ConfigurationError(f"fault {part!r}: {text!r} is no time; write it as 2s, 500ms or 1m")
    return float(match.group(1)) * _UNITS[match.group(2)]


def _share(text: str, part: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise ConfigurationError(f"fault {part!r}: {text!r} is no share of the messages between 0 and 1")
    return share
