"""What a mailbox must remember: how far it has read, and what it has taken."""

from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from adapter.phrases import Phrase
from adapter.store.statements import Row, add_unless_there, found
from adapter.store.tables import mailbox, mailbox_seen


def cursor(tx: Connection, name: str) -> str | None:
    """How far the mailbox has been read."""
    return tx.execute(select(mailbox.c.cursor).where(mailbox.c.name == name)).scalar_one_or_none()


def seen(tx: Connection, name: str, key: str) -> bool:
    """Whether that item has been taken."""
    query = select(mailbox_seen.c.at).where(mailbox_seen.c.mailbox == name, mailbox_seen.c.key == key)
    return tx.execute(query).first() is not None


def taken(tx: Connection, name: str, key: str, at: datetime, new_cursor: str | None) -> None:
    """Remember an item and the new cursor, in the transaction that accepts it."""
    add_unless_there(tx, mailbox_seen, {"mailbox": name, "key": key, "at": at})
    if new_cursor is not None:
        read_to(tx, name, at, new_cursor)


def read_to(tx: Connection, name: str, at: datetime, cursor: str) -> None:
    """Note how far the mailbox has been read; what went wrong before stands until a look goes well."""
    _set(tx, name, {"polled_at": at, "cursor": cursor})


def polled(tx: Connection, name: str, at: datetime, error: Phrase | None) -> None:
    """Note when the mailbox was last looked into, and what went wrong if anything did."""
    _set(tx, name, {"polled_at": at, "error": error})


def _set(tx: Connection, name: str, values: dict[str, object]) -> None:
    if tx.execute(update(mailbox).where(mailbox.c.name == name).values(**values)).rowcount == 0:
        tx.execute(insert(mailbox).values(name=name, **values))


def listed(tx: Connection) -> list[Row]:
    """Every mailbox that has been looked into."""
    return found(tx, select(mailbox).order_by(mailbox.c.name))
