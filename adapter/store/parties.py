"""Which parties take part in which case: whoever has sent a notice of it, or was addressed in one."""

from collections.abc import Collection, Mapping

from sqlalchemy import Connection, delete, exists, insert, select

from adapter.store.statements import Row, found
from adapter.store.tables import case, case_party


def takes_part(tx: Connection, case_id: int, parties: Collection[str]) -> bool:
    """Whether one of `parties` takes part in the case."""
    wanted = select(exists().where(case_party.c.case_id == case_id, case_party.c.party.in_(sorted(parties))))
    return bool(tx.execute(wanted).scalar_one())


def of_case(tx: Connection, case_id: int) -> list[str]:
    """The parties of a case, by their id."""
    query = select(case_party.c.party).where(case_party.c.case_id == case_id).order_by(case_party.c.party)
    return list(tx.execute(query).scalars())


def keep(tx: Connection, wanted: Mapping[int, Collection[str]], others: Collection[int] = ()) -> None:
    """Make the rows of these cases say who takes part in them; those of `others`, that nobody does."""
    ids = [*wanted, *others]
    query = select(case_party.c.case_id, case_party.c.party).where(case_party.c.case_id.in_(ids))
    there = {(row.case_id, row.party) for row in tx.execute(query)}
    right = {(case_id, party) for case_id, parties in wanted.items() for party in parties}
    for case_id, party in sorted(there - right):
        tx.execute(delete(case_party).where(case_party.c.case_id == case_id, case_party.c.party == party))
    new = [{"case_id": case_id, "party": party} for case_id, party in sorted(right - there)]
    if new:
        tx.execute(insert(case_party), new)


def current(tx: Connection, parties: Collection[str] | None, limit: int) -> list[Row]:
    """The cases in which one of `parties` takes part and whose patient has not gone home, the soonest first.

    None is every party.
    """
    query = select(case).where(
        case.c.merged_into.is_(None), case.c.state.in_(("admitted", "on-leave", "ready"))
    )
    if parties is not None:
        theirs = select(case_party.c.case_id).where(case_party.c.party.in_(sorted(parties)))
        query = query.where(case.c.id.in_(theirs))
    return found(tx, query.order_by(case.c.planned_discharge, case.c.id).limit(limit))
