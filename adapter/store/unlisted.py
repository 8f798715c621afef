"""Patients from before lists had their names, or sorted them: read in by and by, newest stay first.

There are some only after an upgrade; what comes now is named as it is put on a shelf.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, delete, select, update

from adapter.store.statements import Row, found
from adapter.store.tables import patient_unlisted, resource, resource_version


def waiting(tx: Connection) -> bool:
    """Whether there are any."""
    return tx.execute(select(patient_unlisted.c.version).limit(1)).first() is not None


def some(tx: Connection, limit: int) -> list[Row]:
    """Versions of Patients that wait, the newest first, with the `fhir_id` of each.

    Where retention has taken all that waited, nothing waits any more.
    """
    query = (
        select(resource_version, resource.c.fhir_id)
        .join(patient_unlisted, patient_unlisted.c.version == resource_version.c.id)
        .join(resource, resource.c.id == resource_version.c.resource)
        .order_by(patient_unlisted.c.version.desc())
        .limit(limit)
    )
    rows = found(tx, query)
    if not rows:
        tx.execute(delete(patient_unlisted))
    return rows


def named(tx: Connection, version: int, known: Mapping[str, Any]) -> None:
    """What lists say of it stands beside it from now on; nothing where its message is gone."""
    if known:
        tx.execute(update(resource_version).where(resource_version.c.id == version).values(**known))
    tx.execute(delete(patient_unlisted).where(patient_unlisted.c.version == version))
