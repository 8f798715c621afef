"""That a store was put back from a backup, and of which moment; known until all that follows is done."""

from dataclasses import dataclass
from datetime import UTC, datetime

import orjson
from sqlalchemy import Connection, delete

from adapter.store import messages
from adapter.store.tables import setting

BACKUP = "backup-of"
"""The setting of a copy that says of which moment it is."""

PENDING = "restored"
"""The setting of a store that was put back, until the adapter has done what follows."""

DONE = "restored-done"
"""The same, of the last time, afterwards."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Restored:
    """A store was put back."""

    at: datetime  # must be timezone-aware
    of: datetime  # the moment of the backup: what came before it is here

    def text(self) -> str:
        """As the store keeps it."""
        return orjson.dumps({"at": _utc(self.at), "of": _utc(self.of)}).decode()

    @classmethod
    def read(cls, text: str) -> "Restored":
        """As the store has kept it."""
        told = orjson.loads(text)
        return cls(at=datetime.fromisoformat(told["at"]), of=datetime.fromisoformat(told["of"]))


def mark(tx: Connection, told: Restored) -> None:
    """Note it, for a store that was put back by other means than ours."""
    messages.put_value(tx, PENDING, told.text())


def pending(tx: Connection) -> Restored | None:
    """The restore of which nothing has followed yet."""
    return _read(tx, PENDING)


def last(tx: Connection) -> Restored | None:
    """The last restore that is over and done with."""
    return _read(tx, DONE)


def settle(tx: Connection, told: Restored) -> bool:
    """What follows has been done; False where another process has been quicker."""
    gone = tx.execute(delete(setting).where(setting.c.name == PENDING, setting.c.value == told.text()))
    if gone.rowcount:
        messages.put_value(tx, DONE, told.text())
    return bool(gone.rowcount)


def _read(tx: Connection, name: str) -> Restored | None:
    text = messages.value(tx, name)
    return Restored.read(text) if text is not None else None


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
