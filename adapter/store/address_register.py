"""What the address register has answered, for each HER-id the last answer, apart for each register."""

from datetime import datetime

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from adapter.store.tables import address_answer


def answer(tx: Connection, register: str, her_id: str) -> tuple[datetime, str | None] | None:
    """When that register answered about the HER-id, and its party as JSON, None where it knew none."""
    query = select(address_answer.c.fetched_at, address_answer.c.document).where(
        address_answer.c.register == register, address_answer.c.her_id == her_id
    )
    found = tx.execute(query).first()
    return None if found is None else (found.fetched_at, found.document)


def keep(tx: Connection, register: str, her_id: str, *, fetched_at: datetime, document: str | None) -> None:
    """Keep an answer in the place of the one before."""
    insert = postgresql_insert if tx.dialect.name == "postgresql" else sqlite_insert
    values = {"fetched_at": fetched_at, "document": document}
    made = insert(address_answer).values(register=register, her_id=her_id, **values)
    tx.execute(
        made.on_conflict_do_update(
            index_elements=[address_answer.c.register, address_answer.c.her_id],
            set_=values,
        )
    )
