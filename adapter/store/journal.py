"""Hold the store's records against each other: what must be true, whatever has happened to the store."""

import hashlib

from sqlalchemy import Connection, exists, select

from adapter.store.deliveries import UNFINISHED
from adapter.store.tables import case, delivery, fact, message, payload


def findings(tx: Connection) -> list[str]:
    """What is wrong, in sentences; empty where nothing is."""
    found = [
        f"payload {row.hash.hex()[:12]} does not match its hash: the disk or somebody has changed it"
        for row in tx.execute(select(payload.c.hash, payload.c.content))
        if hashlib.sha256(row.content).digest() != row.hash
    ]
    told = exists().where(fact.c.message_row == message.c.id)
    noticed = message.c.outcome.in_(("accepted", "released")) & message.c.case_id.is_not(None)
    receipts = ("APPREC", "receipt")
    found += [
        f"message {row} was accepted, but no case knows its notice"
        for row in tx.execute(
            select(message.c.id).where(noticed, message.c.type.not_in(receipts), ~told)
        ).scalars()
    ]
    kept = exists().where(payload.c.hash == delivery.c.payload)
    found += [
        f"delivery {row} has no content to send"
        for row in tx.execute(select(delivery.c.id).where(UNFINISHED, ~kept)).scalars()
    ]
    known = exists().where(case.c.id == fact.c.case_id)
    found += [
        f"fact {row} belongs to a case that does not exist"
        for row in tx.execute(select(fact.c.id).where(~known)).scalars()
    ]
    return found
