"""What a process of an older version leaves out, while it goes on over a store that was upgraded.

It knows nothing of what is newer than itself: it marks a protected identity where that stood before (0026),
changes a case and leaves what is kept of its payments (0025), and gives a patient's name no place in the
alphabet (0027). What it has left out is put right here, as often as one likes.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, exists, func, select, update

from adapter.store import statements
from adapter.store.tables import (
    case,
    patient_unlisted,
    protection,
    resource,
    resource_token,
    resource_version,
    shelf,
)

LATELY = 20_000
"""Versions of resources, the newest, among which patients without a place in the alphabet are looked for."""

_AT_ONCE = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Missed:
    """What was put right."""

    protected: int = 0  # patients
    counted: int = 0  # cases whose payments are counted anew
    unlisted: int = 0  # patients who get their place in the alphabet


def missed(tx: Connection) -> bool:
    """Whether there is anything to put right; a look that keeps no writer waiting."""
    wanted = (_newly_protected(), _changed_since_counted(), _unlisted())
    return any(tx.execute(one.limit(1)).first() is not None for one in wanted)


def catch_up(tx: Connection) -> Missed:
    """Put it right."""
    return Missed(protected=_protect(tx), counted=_count_anew(tx), unlisted=_list(tx))


def _newly_protected() -> Any:
    """The versions of Patients with the older mark: of nobody known to be protected, or told since a lifting.

    The marks of the time before the upgrade stand as well, for older processes to go by.
    """
    version = resource_version.c
    marked = and_(resource_token.c.value == "true", resource_token.c.name == "_protected")
    stands = exists().where(
        protection.c.patient == resource.c.patient,
        (protection.c.lifted_at.is_(None)) | (protection.c.lifted_at >= resource_version.c.at),
    )
    return (
        select(resource.c.patient, version.at, version.by, version.message_row)
        .join(resource_version, resource_version.c.resource == resource.c.id)
        .join(resource_token, resource_token.c.version == resource_version.c.id)
        .where(marked, resource.c.type == "Patient", ~stands)
        .order_by(resource_version.c.id)
    )


def _protect(tx: Connection) -> int:
    told = {row.patient: row for row in tx.execute(_newly_protected())}
    for patient, row in told.items():
        values = {"since": row.at, "told_by": row.by, "message_row": row.message_row}
        anew = values | {"lifted_at": None, "lifted_by": None, "why": None}
        if not tx.execute(update(protection).where(protection.c.patient == patient).values(anew)).rowcount:
            statements.add_unless_there(tx, protection, values | {"patient": patient})
    return len(told)


def _changed_since_counted() -> Any:
    changed = (case.c.merged_into.is_(None), case.c.owed_by.is_not(None), case.c.updated_at > case.c.owed_at)
    return select(case.c.id).where(*changed)


def _count_anew(tx: Connection) -> int:
    """All of which there is news since they were counted; of most it was no older process."""
    found = list(tx.execute(_changed_since_counted()).scalars())
    for start in range(0, len(found), _AT_ONCE):
        some = found[start : start + _AT_ONCE]
        tx.execute(update(case).where(case.c.id.in_(some)).values(owed_by=None))
    return len(found)


def _unlisted() -> Any:
    newest = select(func.max(resource_version.c.id)).scalar_subquery()
    waits: ColumnElement[bool] = exists().where(patient_unlisted.c.version == shelf.c.version)
    return (
        select(shelf.c.version)
        .distinct()
        .join(resource_version, resource_version.c.id == shelf.c.version)
        .where(
            shelf.c.type == "Patient",
            resource_version.c.id > newest - LATELY,
            resource_version.c.label.is_not(None),
            resource_version.c.sort_key.is_(None),
            ~waits,
        )
    )


def _list(tx: Connection) -> int:
    found = list(tx.execute(_unlisted()).scalars())
    for version in found:
        statements.add_unless_there(tx, patient_unlisted, {"version": version})
    return len(found)
