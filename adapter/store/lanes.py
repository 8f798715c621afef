"""What has been made for one receiver of a case, and whether any of it has been touched yet.

`untried` locks what it finds until the commit, so that no worker leases it between a decision and its effect.
"""

from collections.abc import Collection

from sqlalchemy import Connection, and_, exists, func, select, update

from adapter.phrases import Phrase
from adapter.store.statements import Row, found
from adapter.store.tables import attempt, delivery, message

_NEVER = and_(
    delivery.c.state == "waiting",
    delivery.c.attempts == 0,
    delivery.c.fence == 0,  # a lease that ended without a record may have sent it
    delivery.c.sent_at.is_(None),
    delivery.c.trigger == "schedule",
    delivery.c.resume_state.is_(None),
    delivery.c.original.is_(None),  # what it was reissued for may have been attempted
    ~exists().where(attempt.c.delivery_id == delivery.c.id),
)


def told_to(tx: Connection, case_id: int, party: str, sender: str) -> list[Row]:
    """What that sender has told that party of that case, oldest first; `told` is the id of its message."""
    query = (
        select(delivery, message.c.message_id.label("told"))
        .join(message, message.c.id == delivery.c.message_row)
        .where(delivery.c.case_id == case_id, delivery.c.party == party, message.c.sender == sender)
        .where(delivery.c.kind.not_in(("receipt", "alarm", "subscription", "relayed")))
        .order_by(delivery.c.id)
    )
    return found(tx, query)


def untried(tx: Connection, ids: Collection[int]) -> frozenset[int]:
    """Those of them that were never attempted. What another process holds just now counts as attempted."""
    query = select(delivery.c.id).where(delivery.c.id.in_(ids), _NEVER).order_by(delivery.c.id)
    if tx.dialect.name == "postgresql":
        query = query.with_for_update(skip_locked=True, of=delivery)
    return frozenset(tx.execute(query).scalars()) if ids else frozenset()


def waited_for(tx: Connection, message_id: str, party: str, but: Collection[int]) -> bool:
    """Whether something else that has not left yet refers to that message."""
    query = select(func.count()).where(
        delivery.c.refers_to == message_id,
        delivery.c.party == party,
        delivery.c.state.in_(("waiting", "leased")),
        delivery.c.id.not_in(but),
    )
    return bool(tx.execute(query).scalar_one())


def cancel(tx: Connection, ids: Collection[int], by: int, why: Phrase) -> None:
    """They will never be sent: `by` is the delivery that goes, or that was cancelled, in their place."""
    tx.execute(
        update(delivery)
        .where(delivery.c.id.in_(ids))
        .values(
            state="cancelled",
            superseded_by=by,
            error=why,
            next_attempt_at=None,
            hold_until=None,
            look_at=None,
            receipt_due_at=None,
        )
    )


def cancelled_by(tx: Connection, ids: Collection[int]) -> list[Row]:
    """What was cancelled for those deliveries, oldest first."""
    query = select(delivery, message.c.message_id.label("told"), message.c.sender).join(
        message, message.c.id == delivery.c.message_row
    )
    query = query.where(delivery.c.superseded_by.in_(ids), delivery.c.state == "cancelled")
    return found(tx, query.order_by(delivery.c.id)) if ids else []
