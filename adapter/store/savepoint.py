"""Take back a part of a unit of work, and only that part."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from adapter.store import chain
from adapter.store.statements import say


@contextmanager
def savepoint(tx: Connection) -> Iterator[None]:
    """What is written inside is undone where it raises; said in plain SQL, as every message passes here."""
    noted = chain.mark(tx)
    say(tx, "SAVEPOINT part")
    try:
        yield
    except Exception:  # whatever it was, the part is undone, and it goes on up
        say(tx, "ROLLBACK TO SAVEPOINT part")
        chain.back_to(tx, noted)
        raise
    say(tx, "RELEASE SAVEPOINT part")
