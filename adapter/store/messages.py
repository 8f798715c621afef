"""Messages as they came in, what became of them, and the payloads that they share with deliveries."""

import hashlib
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    and_,
    bindparam,
    delete,
    exists,
    func,
    literal_column,
    or_,
    select,
    text,
    update,
)

from adapter.store import chain, statements
from adapter.store.deliveries import UNFINISHED
from adapter.store.statements import Row, add_unless_there, added, found
from adapter.store.tables import (
    delivery,
    message,
    payload,
    resource,
    resource_token,
    resource_version,
    setting,
    shelf,
)

LARGEST_SIZE = 2**63 - 1
"""Bytes; what both engines can hold."""

_known = select(
    message.c.id, message.c.outcome, message.c.reason, message.c.case_id, message.c.payload,
    message.c.content_type, message.c.same_as, message.c.message_id, message.c.code,
    message.c.acknowledgement, message.c.acknowledgement_type, message.c.duplicates,
).where(message.c.sender == bindparam("sender"), message.c.message_id == bindparam("message_id"))  # fmt: skip
_transmission = select(message.c.message_id).where(
    message.c.transmission_id == bindparam("transmission_id"),
    # no plain column: SQLite would as soon go through all that the sender has ever sent
    message.c.sender.concat(literal_column("''")) == bindparam("sender"),
)
_alike = (
    select(message)
    .where(
        message.c.likeness == bindparam("likeness"),
        message.c.sender == bindparam("sender"),
        message.c.same_as.is_(None),
        text("outcome IN ('accepted', 'released')"),
    )
    .order_by(message.c.id.desc())
    .limit(20)  # a copy comes soon after; whoever repeats itself without end is not looked through
)
_twins = select(message).where(message.c.same_as == bindparam("first")).order_by(message.c.id)
_content = select(payload.c.content).where(payload.c.hash == bindparam("digest"))
_one = select(message).where(message.c.id == bindparam("row"))


def keep(tx: Connection, content: bytes) -> bytes:
    """Store bytes once, compressed; their SHA-256 is the key."""
    digest = hashlib.sha256(content).digest()
    add_unless_there(tx, payload, {"hash": digest, "content": content})
    return digest


def content(tx: Connection, digest: bytes | None) -> bytes | None:
    """The bytes of a payload; None where there never were any, or retention has taken them."""
    if digest is None:
        return None
    kept: bytes | None = statements.value(tx, _content, digest=digest)
    return kept


def let_go(tx: Connection, digest: bytes) -> None:
    """Forget a payload at once, unless a message or a delivery still has it."""
    held = or_(
        exists().where(message.c.payload == payload.c.hash),
        exists().where(message.c.acknowledgement == payload.c.hash),
        exists().where(delivery.c.payload == payload.c.hash),
    )
    tx.execute(delete(payload).where(payload.c.hash == digest, ~held))


def with_content(tx: Connection, rows: Collection[int]) -> list[Row]:
    """These messages with their bytes, all at once; not those whose bytes are gone."""
    kept = (message.c.content_type, message.c.shelved_as)
    columns = (message.c.id, message.c.sender, message.c.dialect, message.c.type, *kept)
    query = select(*columns, payload.c.content).join(payload, payload.c.hash == message.c.payload)
    return found(tx, query.where(message.c.id.in_(rows))) if rows else []


def add(tx: Connection, values: dict[str, Any]) -> int:
    """Record a message, and have it chained; returns its row. Its size may be what a stranger says it is.

    With `kept` false among the values its content is not stored, and the journal says so.
    """
    kind = chain.Kind.RECEIVED if values.get("kept", True) else chain.Kind.NOT_KEPT
    columns = {name: value for name, value in values.items() if name != "kept"}
    row = added(tx, message, columns | {"size": min(values["size"], LARGEST_SIZE)})
    told = values.get("sha256") or values["payload"]
    chain.note(tx, kind, row, at=values["received_at"], content=told)
    return row


def known(tx: Connection, sender: str, message_id: str) -> Row | None:
    """The message with that id of that sender, if it has come before."""
    return statements.row(tx, _known, sender=sender, message_id=message_id)


def transmission(tx: Connection, sender: str, transmission_id: str) -> str | None:
    """The message id under which that transmission (Bundle.id) of that sender has come before."""
    told: str | None = statements.value(tx, _transmission, sender=sender, transmission_id=transmission_id)
    return told


def alike(tx: Connection, sender: str, likeness: bytes) -> list[Row]:
    """What that sender told last under other ids in the same words, and we have taken: first ones only."""
    return statements.rows(tx, _alike, sender=sender, likeness=likeness)


def twins(tx: Connection, first: int) -> list[Row]:
    """The messages that said the same as that one to another receiver."""
    return statements.rows(tx, _twins, first=first)


def held_unread(tx: Connection, content: bytes) -> int | None:
    """The message in quarantine with these very bytes whose sender nobody knows, if there is one."""
    query = select(message.c.id).where(
        text("outcome IN ('quarantined', 'refused')"),  # as the partial index has it
        message.c.outcome == "quarantined",
        message.c.sender.is_(None),
        message.c.payload == hashlib.sha256(content).digest(),
    )
    return tx.execute(query).scalars().first()


def held_under(tx: Connection, message_id: str, code: str, *, most: int) -> list[Row]:
    """What is in quarantine under that id of whoever, for that reason: `most` of it, the newest first."""
    query = select(message.c.id, message.c.payload, message.c.content_type).where(
        text("outcome IN ('quarantined', 'refused')"),  # as the partial index has it
        message.c.outcome == "quarantined",
        message.c.code == code,
        message.c.message_id == message_id,
    )
    return found(tx, query.order_by(message.c.id.desc()).limit(most))


def came_again(tx: Connection, row: int) -> None:
    """Count a duplicate."""
    tx.execute(update(message).where(message.c.id == row).values(duplicates=message.c.duplicates + 1))


def change(tx: Connection, row: int, **values: Any) -> None:
    """Set columns of a message."""
    statements.change(tx, message, row, values)


def get(tx: Connection, row: int) -> Row | None:
    """One message."""
    return statements.row(tx, _one, row=row)


def standings(tx: Connection, rows: Collection[int]) -> dict[int, str | None]:
    """What the notices of some messages are to earlier ones."""
    query = select(message.c.id, message.c.standing).where(message.c.id.in_(rows))
    return {row[0]: row[1] for row in tx.execute(query)}


def held(tx: Connection, limit: int | None = 500) -> list[Row]:
    """What is in quarantine or was refused, newest first."""
    query = (
        select(message)
        .where(text("outcome IN ('quarantined', 'refused')"))  # as the partial index has it
        .order_by(message.c.id.desc())
        .limit(limit)
    )
    return found(tx, query)


def held_as(tx: Connection, code: str) -> list[int]:
    """What is in quarantine for that reason, the oldest first."""
    query = select(message.c.id).where(
        text("outcome IN ('quarantined', 'refused')"),  # as the partial index has it
        message.c.outcome == "quarantined",
        message.c.code == code,
    )
    return list(tx.execute(query.order_by(message.c.id)).scalars())


def not_relevant(tx: Connection, since: datetime) -> list[Row]:
    """What came since then and was none of our parties' own: how many by sender and type, and the last one.

    `again` is how often one of them came once more.
    """
    query = (
        select(
            message.c.sender,
            message.c.type,
            func.count().label("count"),
            func.sum(message.c.duplicates).label("again"),
            func.max(message.c.received_at).label("last"),
        )
        .where(
            text("outcome = 'not-relevant'"),  # as the partial index has it
            message.c.received_at >= since,
        )
        .group_by(message.c.sender, message.c.type)
        .order_by(func.count().desc(), message.c.sender, message.c.type)
    )
    return found(tx, query)


def of_case(tx: Connection, case_id: int) -> list[Row]:
    """The messages of a case, oldest first."""
    query = select(message).where(message.c.case_id == case_id).order_by(message.c.id)
    return found(tx, query)


def value(tx: Connection, name: str) -> str | None:
    """A value that the store keeps for itself, as the pseudonym key."""
    return tx.execute(select(setting.c.value).where(setting.c.name == name)).scalar_one_or_none()


def set_value(tx: Connection, name: str, text: str) -> None:
    """Keep a value, unless one is there."""
    add_unless_there(tx, setting, {"name": name, "value": text})


def put_value(tx: Connection, name: str, text: str) -> None:
    """Keep a value in place of what is there."""
    if not tx.execute(update(setting).where(setting.c.name == name).values(value=text)).rowcount:
        set_value(tx, name, text)


def with_ids(tx: Connection, ids: Sequence[str]) -> set[str]:
    """Which of these message ids have come, whoever sent them."""
    query = select(message.c.message_id).where(message.c.message_id.in_(ids))
    return set(tx.execute(query).scalars()) if ids else set()


_LIVING = ("draft", "active", "on-hold", "unknown")
"""CarePlan.status of a plan that is still followed, however long ago it was told."""


def _lives() -> tuple[Any, ...]:
    """Of a resource: it is a plan, and still followed."""
    newest = (resource_token.c.version == resource.c.version, resource_token.c.name == "status")
    return (resource.c.type == "CarePlan", *newest, resource_token.c.value.in_(_LIVING))


def _shown(before: datetime) -> tuple[Any, Any]:
    """The conditions of a payload in which something stands that is still read.

    All versions of a plan that is still followed, with its patient; and what has been told anew since
    `before`, though it stands, unchanged, in an older message.
    """
    here = (message.c.payload == payload.c.hash, resource_version.c.message_row == message.c.id)
    of_plan = exists().where(*here, resource.c.id == resource_version.c.resource, *_lives())
    planned = exists().where(resource.c.patient == shelf.c.patient, *_lives())
    on_shelf = exists().where(
        *here,
        resource_version.c.place.is_not(None),
        shelf.c.resource == resource_version.c.resource,
        shelf.c.version == resource_version.c.id,
        or_(shelf.c.at >= before, and_(shelf.c.type.in_(("Patient", "Encounter")), planned)),
    )
    return of_plan, on_shelf


def _needless(before: datetime) -> Any:
    """The condition of a payload that only finished messages and deliveries older than `before` hold.

    What is still read at /fhir and on the plan's page is not needless.
    """
    in_message = exists().where(
        or_(message.c.payload == payload.c.hash, message.c.acknowledgement == payload.c.hash),
        message.c.received_at >= before,
    )
    in_delivery = exists().where(
        delivery.c.payload == payload.c.hash, or_(delivery.c.created_at >= before, UNFINISHED)
    )
    # a receipt that is still to come is answered from the message as it came
    unfinished = exists().where(delivery.c.message_row == message.c.id, UNFINISHED)
    held_back = exists().where(
        message.c.payload == payload.c.hash, or_(message.c.outcome == "quarantined", unfinished)
    )
    of_plan, on_shelf = _shown(before)
    return and_(~in_message, ~in_delivery, ~held_back, ~of_plan, ~on_shelf)


def needless(tx: Connection, before: datetime, most: int) -> list[bytes]:
    """Payloads that retention may take; looked up without holding anybody off."""
    return list(tx.execute(select(payload.c.hash).where(_needless(before)).limit(most)).scalars())


def prune(tx: Connection, digests: Sequence[bytes], before: datetime, now: datetime) -> int:
    """Forget these payloads, as far as they are still needless; returns how many. The journal tells of it."""
    going = delete(payload).where(payload.c.hash.in_(digests), _needless(before)).returning(payload.c.hash)
    gone = list(tx.execute(going).scalars())
    if gone:
        last = tx.execute(select(func.max(message.c.id)).where(message.c.payload.in_(gone))).scalar()
        if last is not None:
            chain.note(tx, chain.Kind.EMPTIED, last, at=now)
    return len(gone)
