"""What stands on partners' FHIR servers because we have put it there, or have seen it beside what we put."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, insert, select, update

from adapter.store.statements import Row, found
from adapter.store.tables import delivery, message, pushed, resource, resource_version


def of_names(tx: Connection, endpoint: str, names: Collection[str]) -> list[Row]:
    """The rows of these resources of ours (`Type/id`) at one endpoint."""
    ids = {name.partition("/")[2] for name in names}
    rows = found(tx, select(pushed).where(pushed.c.endpoint == endpoint, pushed.c.fhir_id.in_(ids)))
    return [row for row in rows if f"{row['type']}/{row['fhir_id']}" in names]


def of_plan(tx: Connection, endpoint: str, plan: str) -> list[Row]:
    """The rows of everything that was put there with that plan."""
    query = select(pushed).where(pushed.c.endpoint == endpoint, pushed.c.plan == plan)
    return found(tx, query.order_by(pushed.c.id))


def of_theirs(tx: Connection, endpoint: str, kind: str, their_id: str) -> Row | None:
    """The row of a resource by its id there."""
    query = select(pushed).where(
        pushed.c.endpoint == endpoint, pushed.c.type == kind, pushed.c.their_id == their_id
    )
    return next(iter(found(tx, query)), None)


def plans(tx: Connection, endpoint: str, *, after: int, limit: int) -> list[Row]:
    """The rows of CarePlans that are there, in turn from the row `after`."""
    query = select(pushed).where(
        pushed.c.endpoint == endpoint,
        pushed.c.type == "CarePlan",
        pushed.c.version.is_not(None),
        pushed.c.id > after,
    )
    return found(tx, query.order_by(pushed.c.id).limit(limit))


def conflicts(tx: Connection) -> list[Row]:
    """The rows of CarePlans that have been changed at both ends, where nobody has decided yet."""
    return found(tx, select(pushed).where(pushed.c.conflict.is_not(None)).order_by(pushed.c.id))


def get(tx: Connection, number: int) -> Row | None:
    """One row."""
    return next(iter(found(tx, select(pushed).where(pushed.c.id == number))), None)


def put(tx: Connection, endpoint: str, name: str, values: dict[str, Any]) -> None:
    """Set columns of a resource's row, which is made where there is none."""
    kind, _, fhir_id = name.partition("/")
    where = (pushed.c.endpoint == endpoint, pushed.c.type == kind, pushed.c.fhir_id == fhir_id)
    if tx.execute(update(pushed).where(*where).values(**values)).rowcount == 0:
        tx.execute(insert(pushed).values(endpoint=endpoint, type=kind, fhir_id=fhir_id, **values))


def last_delivery(tx: Connection, endpoint: str, plan: str) -> int | None:
    """The latest delivery that carried that plan there."""
    kind, _, fhir_id = plan.partition("/")
    query = (
        select(delivery.c.id)
        .join(message, message.c.id == delivery.c.message_row)
        .join(resource_version, resource_version.c.message_row == message.c.id)
        .join(resource, resource.c.id == resource_version.c.resource)
        .where(delivery.c.endpoint == endpoint, resource.c.type == kind, resource.c.fhir_id == fhir_id)
        .order_by(delivery.c.id.desc())
        .limit(1)
    )
    return tx.execute(query).scalars().first()


def unfinished(tx: Connection, endpoint: str, plan: str) -> bool:
    """Whether a version of that plan is still on its way there."""
    kind, _, fhir_id = plan.partition("/")
    query = (
        select(delivery.c.id)
        .join(message, message.c.id == delivery.c.message_row)
        .join(resource_version, resource_version.c.message_row == message.c.id)
        .join(resource, resource.c.id == resource_version.c.resource)
        .where(
            delivery.c.endpoint == endpoint,
            delivery.c.state.in_(("waiting", "leased")),
            resource.c.type == kind,
            resource.c.fhir_id == fhir_id,
        )
        .limit(1)
    )
    return tx.execute(query).first() is not None
