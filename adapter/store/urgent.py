"""What must be known to say why a message has not left, and whom to telephone."""

from collections.abc import Sequence

from sqlalchemy import Connection, exists, select

from adapter.store.tables import address_answer, alarm, endpoint_health, endpoint_pause


def stopped(tx: Connection, endpoint: str) -> str | None:
    """`paused` by a person, or `resting` after failures; None where it takes messages."""
    if tx.execute(select(exists().where(endpoint_pause.c.endpoint == endpoint))).scalar_one():
        return "paused"
    resting = endpoint_health.c.resting_since.is_not(None)
    found = select(exists().where(endpoint_health.c.endpoint == endpoint, resting))
    return "resting" if tx.execute(found).scalar_one() else None


def closed_by_hand(tx: Connection, kind: str, subject: str) -> bool:
    """Whether a person has closed such an alarm, and told what was done."""
    by_hand = alarm.c.closed_by.is_not(None)
    query = select(exists().where(alarm.c.kind == kind, alarm.c.subject == subject, by_hand))
    return bool(tx.execute(query).scalar_one())


def answers(tx: Connection, her_ids: Sequence[str]) -> list[str]:
    """What the address register has said of those HER-ids, in their order, as it is kept."""
    query = select(address_answer.c.her_id, address_answer.c.document)
    query = query.where(address_answer.c.her_id.in_(her_ids), address_answer.c.document.is_not(None))
    found = {row.her_id: row.document for row in tx.execute(query)}
    return [found[her_id] for her_id in her_ids if her_id in found]
