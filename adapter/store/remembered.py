"""What transports remember: under which id a message server has what we posted, and what came from there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, update

from adapter.store import Store
from adapter.store.tables import remembered


@dataclass(frozen=True, kw_only=True)
class Notes:
    """The notes of one place, as `transport.Notes` asks for them; each put is a commit of its own."""

    store: Store
    place: str
    clock: Callable[[], datetime]

    def get(self, key: str) -> str | None:
        """The value last put under `key`."""
        with self.store.read() as connection:
            return value(connection, self.place, key)

    def put(self, key: str, value: str) -> None:
        """Remember `value` under `key`."""
        self.store.write(lambda tx: keep(tx, self.place, key, value, self.clock()))


def value(tx: Connection, place: str, key: str) -> str | None:
    """The value last kept under `key`."""
    query = select(remembered.c.value).where(remembered.c.place == place, remembered.c.key == key)
    return tx.execute(query).scalar_one_or_none()


def keep(tx: Connection, place: str, key: str, value: str, at: datetime) -> None:
    """Keep `value` under `key`, in place of what was there."""
    where = (remembered.c.place == place, remembered.c.key == key)
    if tx.execute(update(remembered).where(*where).values(value=value, at=at)).rowcount == 0:
        tx.execute(insert(remembered).values(place=place, key=key, value=value, at=at))


def listed(tx: Connection, place: str, prefix: str, *, after: str, most: int) -> list[tuple[str, str]]:
    """Keys that begin with `prefix`, with their values; in order, from the key `after`."""
    query = (
        select(remembered.c.key, remembered.c.value)
        .where(
            remembered.c.place == place,
            remembered.c.key.startswith(prefix, autoescape=True),
            remembered.c.key > after,
        )
        .order_by(remembered.c.key)
        .limit(most)
    )
    return [(key, value) for key, value in tx.execute(query)]


def between(
    tx: Connection, place: str, prefix: str, *, since: datetime, until: datetime, most: int
) -> list[tuple[str, str]]:
    """Keys that begin with `prefix`, with their values, kept in that time; the latest ones."""
    query = (
        select(remembered.c.key, remembered.c.value)
        .where(
            remembered.c.place == place,
            remembered.c.key.startswith(prefix, autoescape=True),
            remembered.c.at >= since,
            remembered.c.at < until,
        )
        .order_by(remembered.c.at.desc())
        .limit(most)
    )
    return [(key, value) for key, value in tx.execute(query)]


def forget(tx: Connection, place: str, keys: Sequence[str]) -> None:
    """What need not be known any more."""
    tx.execute(delete(remembered).where(remembered.c.place == place, remembered.c.key.in_(keys)))
