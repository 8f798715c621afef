"""Whose identity is protected: once told by any message it stands, until a person lifts it with a reason.

That a later message says nothing of it lifts nothing: its sender may not know.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, bindparam, select, update

from adapter.store import statements
from adapter.store.statements import Row
from adapter.store.tables import protection

_of_patient = select(protection).where(protection.c.patient == bindparam("patient"))
_protected = _of_patient.where(protection.c.lifted_at.is_(None))


def tell(tx: Connection, patient: str, *, by: str, message: int | None, at: datetime) -> None:
    """A message of that party, which came `at`, says that the identity is protected.

    Not while it is known, and not where somebody has lifted it since.
    """
    before = of(tx, patient)
    told = {"since": at, "told_by": by, "message_row": message}
    if before is None:
        statements.add(tx, protection, told | {"patient": patient})
    elif before["lifted_at"] is not None and before["lifted_at"] < at:
        anew = told | {"lifted_at": None, "lifted_by": None, "why": None}
        tx.execute(update(protection).where(protection.c.patient == patient).values(anew))


def of(tx: Connection, patient: str) -> Row | None:
    """What is known of a patient's protection, lifted or not; None where nobody has told of one."""
    return statements.row(tx, _of_patient, patient=patient)


def is_protected(tx: Connection, patient: str) -> bool:
    """Whether that patient's identity is protected."""
    return statements.row(tx, _protected, patient=patient) is not None


def among(tx: Connection, patients: Collection[str]) -> frozenset[str]:
    """Those of these patients whose identity is protected."""
    if not patients:
        return frozenset()
    return frozenset(tx.execute(everybody().where(protection.c.patient.in_(sorted(patients)))).scalars())


def everybody() -> Select[Any]:
    """All whose identity is protected, for the condition of a list."""
    return select(protection.c.patient).where(protection.c.lifted_at.is_(None))


def lift(tx: Connection, patient: str, *, by: str, why: str, now: datetime) -> bool:
    """A person says that it is over; False where it is not protected."""
    values = {"lifted_at": now, "lifted_by": by, "why": why}
    standing = (protection.c.patient == patient, protection.c.lifted_at.is_(None))
    return tx.execute(update(protection).where(*standing).values(values)).rowcount == 1


def restore(tx: Connection, patient: str) -> bool:
    """It was lifted in error; False where it was not lifted."""
    values = {"lifted_at": None, "lifted_by": None, "why": None}
    lifted = (protection.c.patient == patient, protection.c.lifted_at.is_not(None))
    return tx.execute(update(protection).where(*lifted).values(values)).rowcount == 1
