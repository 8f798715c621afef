"""What machines have signed in with: access tokens and used assertions, both by their SHA-256 only."""

from datetime import datetime

from sqlalchemy import Connection, bindparam, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from adapter.store.statements import Row, add, row
from adapter.store.tables import access_token, used_assertion

_TOKEN = select(access_token).where(access_token.c.sha256 == bindparam("sha256"))


def use_assertion(tx: Connection, sha256: bytes, *, until: datetime, now: datetime) -> bool:
    """Remember an assertion until then; False where it is remembered already, by whichever process."""
    insert = postgresql_insert if tx.dialect.name == "postgresql" else sqlite_insert
    made = insert(used_assertion).values(sha256=sha256, expires_at=until)
    unless_in_use = made.on_conflict_do_update(
        index_elements=[used_assertion.c.sha256],
        set_={"expires_at": until},
        where=used_assertion.c.expires_at <= now,
    )
    return tx.execute(unless_in_use.returning(used_assertion.c.sha256)).first() is not None


def give_token(tx: Connection, sha256: bytes, *, partner: str, scope: str, expires_at: datetime) -> None:
    """Keep a token that a partner is given."""
    add(
        tx,
        access_token,
        {"sha256": sha256, "partner": partner, "scope": scope, "expires_at": expires_at},
    )


def token(tx: Connection, sha256: bytes) -> Row | None:
    """The token of that hash, expired or not: `partner`, `scope`, `expires_at`."""
    return row(tx, _TOKEN, sha256=sha256)
