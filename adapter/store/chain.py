"""The journal of hashes: each message that came in has an entry, which holds the hash of the entry before.

What a unit of work notes is appended when its batch is about to commit, so the chain's lock is held for a
moment only, and by nobody who still waits for a patient's. The byte layout that is hashed is described in
docs/integrity.md, so that others can verify it without this program.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from struct import Struct
from typing import Any

from sqlalchemy import Connection, exists, func, select

from adapter.errors import StoreError
from adapter.store import statements
from adapter.store.tables import journal, message, microseconds

BEFORE_THE_FIRST = bytes(32)
"""What stands in the first entry as the hash of the one before it."""

LAYOUT = Struct(">Qq16sQ32s32s")
"""Number, microseconds since 1970 UTC, kind, message row, content, previous; big-endian, 104 bytes."""

_LOCK = "SELECT pg_advisory_xact_lock(8143, 501)"  # two numbers: a patient's lock is one
_NOTED = "unchained"


class Kind(StrEnum):
    """What an entry is about."""

    RECEIVED = "received"  # a message was stored
    NOT_KEPT = "not-kept"  # a message came whose content nobody may keep: only that it came was stored
    ERASED = "erased"  # a message's content was erased on somebody's word
    EMPTIED = "emptied"  # retention took contents of messages up to that row
    PRUNED = "pruned"  # retention took finished messages up to that row
    CUT = "cut"  # the entries up to the one with that hash were removed, of messages up to that row


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """The newest entry: whoever has noted it elsewhere can prove later that it is still in the chain."""

    number: int
    hash: bytes

    def __str__(self) -> str:
        return f"{self.number}:{self.hash.hex()}"

    @classmethod
    def read(cls, text: str) -> "Head":
        """As it was printed; ValueError where it is not one."""
        number, _, digits = text.strip().partition(":")
        if not re.fullmatch(r"[1-9][0-9]{0,17}", number) or not re.fullmatch(r"[0-9a-fA-F]{64}", digits):
            raise ValueError("must be NUMBER:HASH, as `check --journal` prints it")
        return cls(number=int(number), hash=bytes.fromhex(digits))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Noted:
    """An entry without its place in the chain."""

    at: datetime
    kind: str
    message_row: int
    content: bytes | None


_last = select(journal.c.number, journal.c.hash).order_by(journal.c.number.desc()).limit(1)


def hash_of(
    number: int, at: datetime, kind: str, message_row: int, content: bytes | None, previous: bytes
) -> bytes:
    """The hash of an entry; no content counts as 32 zero bytes."""
    laid_out = LAYOUT.pack(
        number, microseconds(at), kind.encode("ascii"), message_row, content or bytes(32), previous
    )
    return hashlib.sha256(laid_out).digest()


def head(tx: Connection) -> Head | None:
    """The newest entry; None before the first message."""
    found = statements.row(tx, _last)
    return Head(number=found["number"], hash=found["hash"]) if found is not None else None


def entries(tx: Connection) -> int:
    """How many entries there are."""
    first, last = tx.execute(select(func.min(journal.c.number), func.max(journal.c.number))).one()
    return 0 if last is None else last - first + 1


def note(tx: Connection, kind: Kind, message_row: int, *, at: datetime, content: bytes | None = None) -> None:
    """Have an entry appended when this unit of work commits; only inside one."""
    noted = tx.info.get(_NOTED)
    if noted is None:
        raise StoreError("an entry of the journal was to be written outside a unit of work; report this")
    noted.append(_Noted(at=at, kind=kind, message_row=message_row, content=content))


def mark(tx: Connection) -> int:
    """How much has been noted so far."""
    return len(tx.info.get(_NOTED, ()))


def back_to(tx: Connection, marked: int) -> None:
    """Forget what was noted since: it has been rolled back."""
    del tx.info.get(_NOTED, [])[marked:]


LATELY = 20_000
"""Messages, the newest, among which those without an entry are looked for."""


def catch_up(tx: Connection, most: int = 500) -> int:
    """Chain what a process of an older version has taken while the store was upgraded; returns how many.

    Not what has outlived its entry: those up to that message were cut.
    """
    # of those that share this commit the entries are appended at its end
    noted = {one.message_row for one in tx.info.get(_NOTED, ())}
    newest = select(func.max(message.c.id)).scalar_subquery()
    told = select(func.max(journal.c.message_row)).where(journal.c.kind == Kind.CUT)
    cut = func.coalesce(told.scalar_subquery(), 0)
    entered = exists().where(journal.c.message_row == message.c.id)
    query = select(message.c.id, message.c.received_at, message.c.sha256, message.c.payload)
    these = query.where(message.c.id > newest - LATELY, message.c.id > cut, ~entered)
    found = tx.execute(these.order_by(message.c.id).limit(most)).all()
    late = [one for one in found if one.id not in noted]
    for row, at, whole, kept in late:
        note(tx, Kind.RECEIVED, row, at=at, content=whole or kept)
    return len(late)


@contextmanager
def chained(tx: Connection) -> Iterator[None]:
    """A batch whose entries are appended at its end; nothing may follow but the commit."""
    book: dict[Any, Any] = tx.info  # of the connection, which may have broken by the end
    noted: list[_Noted] = []
    book[_NOTED] = noted
    try:
        yield
        if noted:
            _append(tx, noted)
    finally:
        book.pop(_NOTED, None)


def _append(tx: Connection, noted: Sequence[_Noted]) -> None:
    if tx.dialect.name == "postgresql":  # whoever writes to SQLite is alone already
        statements.say(tx, _LOCK)
    last = head(tx)
    number, previous = (last.number, last.hash) if last is not None else (0, BEFORE_THE_FIRST)
    rows = []
    for one in noted:
        number += 1
        own = hash_of(number, one.at, one.kind, one.message_row, one.content, previous)
        rows.append(
            {
                "number": number,
                "at": one.at,
                "kind": str(one.kind),
                "message_row": one.message_row,
                "content": one.content,
                "previous": previous,
                "hash": own,
            }
        )
        previous = own
    statements.add_all(tx, journal, rows)
