"""Which parties take part in which case, and what each has to do with it, as lists select and sort by it.

Whoever has sent a notice of a case, or was addressed in one, takes part in it.
"""

from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

from sqlalchemy import Connection, bindparam, delete, exists, select, update

from adapter.discharge.partaking import Part
from adapter.store import protections, statements
from adapter.store.statements import Row, found
from adapter.store.tables import case, case_party

_of_case = select(case_party).where(case_party.c.case_id == bindparam("case"))


def takes_part(tx: Connection, case_id: int, parties: Collection[str]) -> bool:
    """Whether one of `parties` takes part in the case."""
    wanted = select(exists().where(case_party.c.case_id == case_id, case_party.c.party.in_(sorted(parties))))
    return bool(tx.execute(wanted).scalar_one())


_NOT_HOME = ("admitted", "on-leave", "ready")


def open_with(tx: Connection, patient: str, party: str) -> bool:
    """Whether the party takes part in a case of the patient who has not gone home."""
    theirs = select(case_party.c.case_id).where(case_party.c.party == party)
    is_open = exists().where(
        case.c.patient == patient,
        case.c.merged_into.is_(None),
        case.c.state.in_(_NOT_HOME),
        case.c.id.in_(theirs),
    )
    return bool(tx.execute(select(is_open)).scalar_one())


def known_among(tx: Connection, case_ids: Collection[int], parties: Collection[str]) -> frozenset[int]:
    """Those of these cases in which one of `parties` takes part."""
    if not case_ids:
        return frozenset()
    known = select(case_party.c.case_id).where(
        case_party.c.case_id.in_(sorted(case_ids)), case_party.c.party.in_(sorted(parties))
    )
    return frozenset(tx.execute(known).scalars())


def of_case(tx: Connection, case_id: int) -> list[str]:
    """The parties of a case, by their id."""
    query = select(case_party.c.party).where(case_party.c.case_id == case_id).order_by(case_party.c.party)
    return list(tx.execute(query).scalars())


def keep(tx: Connection, wanted: Mapping[int, Mapping[str, Part]], others: Collection[int] = ()) -> None:
    """Make the rows of these cases say who takes part, and how; those of `others`, that nobody does."""
    for case_id in (*wanted, *others):
        right = {party: _values(part) for party, part in wanted.get(case_id, {}).items()}
        there = {row["party"]: row for row in statements.rows(tx, _of_case, case=case_id)}
        gone = sorted(there.keys() - right.keys())
        if gone:
            tx.execute(
                delete(case_party).where(case_party.c.case_id == case_id, case_party.c.party.in_(gone))
            )
        for party, values in sorted(right.items()):
            row = there.get(party)
            if row is None:
                statements.add(tx, case_party, values | {"party": party, "case_id": case_id})
            elif any(row[name] != value for name, value in values.items()):
                statements.run(tx, _changing(), values | {"its_party": party, "its_case": case_id})


def _values(part: Part) -> dict[str, Any]:
    return {
        "concern": part.concern.value,
        "state": part.state.value,
        "stage": int(part.stage),
        "admitted_at": part.admitted_at,
        "ready_at": part.ready_at,
        "discharged_at": part.discharged_at,
        "coming": part.coming,
        "answer": part.answer.value if part.answer is not None else None,
        "contact": int(part.contact),
        "open_care": int(part.open_care) if part.open_care is not None else None,
    }


_KEPT = (
    "concern", "state", "stage", "admitted_at", "ready_at", "discharged_at", "coming", "answer", "contact",
    "open_care",
)  # fmt: skip


@cache
def _changing() -> Any:
    columns = {name: bindparam(name, type_=case_party.c[name].type) for name in _KEPT}
    its_own = (
        case_party.c.party == bindparam("its_party"),
        case_party.c.case_id == bindparam("its_case"),
    )
    return update(case_party).where(*its_own).values(columns)


def current(
    tx: Connection, parties: Collection[str] | None, limit: int, *, protected: bool = True
) -> list[Row]:
    """The cases in which one of `parties` takes part and whose patient has not gone home, the soonest first.

    None is every party. Without `protected` nobody whose identity is protected is among them.
    """
    query = select(case).where(case.c.merged_into.is_(None), case.c.state.in_(_NOT_HOME))
    if parties is not None:
        theirs = select(case_party.c.case_id).where(case_party.c.party.in_(sorted(parties)))
        query = query.where(case.c.id.in_(theirs))
    if not protected:
        query = query.where(case.c.patient.not_in(protections.everybody()))
    soonest = (case.c.planned_discharge.is_(None), case.c.planned_discharge, case.c.id)
    return found(tx, query.order_by(*soonest).limit(limit))
