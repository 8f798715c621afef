"""The messages that are there already get their entries in the journal of hashes, by their ids."""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

from adapter.store.chain import BEFORE_THE_FIRST, Kind, hash_of
from adapter.store.tables import Instant

revision = "0017"
down_revision = "0016"

PIECE = 1000
"""Messages that are held in memory at a time."""

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_message = sa.table(
    "message",
    sa.column("id", _ID),
    sa.column("received_at", Instant()),
    sa.column("payload", sa.LargeBinary(32)),
    sa.column("sha256", sa.LargeBinary(32)),
)
_payload = sa.table("payload", sa.column("hash", sa.LargeBinary(32)))
_journal = sa.table(
    "journal",
    sa.column("number", _ID),
    sa.column("at", Instant()),
    sa.column("kind", sa.Text()),
    sa.column("message_row", _ID),
    sa.column("content", sa.LargeBinary(32)),
    sa.column("previous", sa.LargeBinary(32)),
    sa.column("hash", sa.LargeBinary(32)),
)


def upgrade() -> None:
    """Chain them a piece at a time; then say up to which message retention has taken contents."""
    tx = op.get_bind()
    number, previous = 0, BEFORE_THE_FIRST
    for piece in _pieces(tx):
        rows = []
        for message, at, content in piece:
            number += 1
            rows.append(_entry(number, at, Kind.RECEIVED, message, content, previous))
            previous = rows[-1]["hash"]
        tx.execute(sa.insert(_journal), rows)
    emptied = _emptied(tx)
    if emptied is not None:
        number += 1
        tx.execute(
            sa.insert(_journal), [_entry(number, emptied[1], Kind.EMPTIED, emptied[0], None, previous)]
        )


def _pieces(tx: sa.Connection) -> Iterator[list[tuple[int, Any, bytes | None]]]:
    last = -(2**63)
    while True:
        columns = (_message.c.id, _message.c.received_at, _message.c.sha256, _message.c.payload)
        query = sa.select(*columns).where(_message.c.id > last).order_by(_message.c.id).limit(PIECE)
        found = tx.execute(query).all()
        if not found:
            return
        yield [(row, at, whole or kept) for row, at, whole, kept in found]
        last = found[-1][0]


def _entry(
    number: int, at: Any, kind: Kind, message: int, content: bytes | None, previous: bytes
) -> dict[str, Any]:
    return {
        "number": number,
        "at": at,
        "kind": str(kind),
        "message_row": message,
        "content": content,
        "previous": previous,
        "hash": hash_of(number, at, kind, message, content, previous),
    }


def _emptied(tx: sa.Connection) -> tuple[int, Any] | None:
    """The newest message whose content is gone, and when it came."""
    kept = sa.exists().where(_payload.c.hash == _message.c.payload)
    query = sa.select(_message.c.id, _message.c.received_at).where(~kept).order_by(_message.c.id.desc())
    found = tx.execute(query.limit(1)).first()
    return None if found is None else (found[0], found[1])
