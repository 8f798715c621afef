"""The carriers: how bytes leave for an endpoint, and how mail that waits elsewhere is fetched.

A transport has one method and always answers with a `Reply`; a mailbox yields `Mail`. Neither knows the
store: what a mailbox must remember it asks of a `Memory`, wired in `runtime`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from adapter.messaging.delivery import Reply
from adapter.messaging.register import Endpoint

LARGEST = 36 * 1024 * 1024
"""Bytes of the largest message that is read whole; the operator may set another limit."""

HEAD = 64 * 1024
"""Bytes that are kept of a message beyond that limit."""

CURSOR = "cursor"
"""The key under which a mailbox's memory holds `Mail.cursor` of the mail accepted last."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outgoing:
    """One message as it leaves: frozen bytes under an id that is the same in every attempt."""

    message_id: str
    content: bytes = field(repr=False)
    content_type: str
    delivery_id: int
    party: str | None = None  # whom this delivery is for, where the content names several


class Transport(Protocol):
    """Carries a message to a configured endpoint, once."""

    def send(self, message: Outgoing, endpoint: Endpoint) -> Reply:
        """What came of it. Faults of network, disk and receiver are in the Reply, never raised."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Oversize:
    """A message beyond the limit, of which `Mail.content` is only the head."""

    size: int | None  # bytes; None where reading stopped before the end was known
    sha256: str  # of the whole message, or of `Mail.content` where `size` is None


@dataclass(frozen=True, kw_only=True, slots=True)
class Mail:
    """One message that waited in a mailbox.

    `key` and `cursor` are stored in the transaction that accepts the mail. A mail without cursor leaves
    the stored one as it is.
    """

    content: bytes = field(repr=False)
    content_type: str | None
    key: str = field(repr=False)  # the same for the same piece of mail, unique within its mailbox
    name: str  # for people and logs: `Task/17`, a file name without anything like an identity number
    cursor: str | None = None
    oversize: Oversize | None = None


class Notes(Protocol):
    """What one transport remembers under keys of its own; the store keeps it."""

    def get(self, key: str) -> str | None:
        """The value last put under `key`."""
        ...

    def put(self, key: str, value: str) -> None:
        """Remember `value` under `key`."""
        ...


class Memory(Protocol):
    """What one mailbox remembers; the store keeps it."""

    def get(self, key: str) -> str | None:
        """The value last put under `key`."""
        ...

    def put(self, key: str, value: str) -> None:
        """Remember `value` under `key`."""
        ...

    def seen(self, key: str) -> bool:
        """Whether mail with this `Mail.key` has been accepted."""
        ...


class Mailbox(Protocol):
    """A place where mail waits for us.

    The consumer accepts each mail before it takes the next, and stops at the first that it cannot store.
    """

    def poll(self, memory: Memory) -> Iterator[Mail]:
        """The mail not yet seen, oldest first. Raises MailboxError, at the latest after the last mail."""
        ...

    def done(self, mail: Mail) -> None:
        """The mail has been accepted."""
        ...

    def forget(self, mail: Mail) -> None:
        """The mail has been answered, and nobody may keep what it says: nothing of it stays here."""
        ...

    def failed(self, mail: Mail, reason: str) -> None:
        """The mail has been stored but cannot be taken as it stands; `reason` is for its sender."""
        ...
