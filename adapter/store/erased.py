"""What the store has of a case that is to be erased, and how it is taken: content goes, hashes stay."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TypeVar

from sqlalchemy import ColumnElement, Connection, Table, delete, func, or_, select, update

from adapter.phrases import phrase
from adapter.store import chain, owed, searching
from adapter.store.statements import Row, found, say
from adapter.store.tables import (
    alarm,
    attempt,
    bulk,
    bulk_item,
    case,
    case_party,
    deadline,
    delivery,
    fact,
    history,
    message,
    patient_unlisted,
    payload,
    protection,
    pushed,
    resource,
    resource_token,
    resource_version,
    shelf,
    subscription_event,
)

ERASED = "erased"
"""What stands in place of a code, a state or a name."""

SAID = phrase("erased")
"""What stands in place of what was said."""

T = TypeVar("T")

NOBODY = 0
"""The case that an erased one is an alias of: so its number is never given again, and leads nowhere."""


def overwriting(tx: Connection) -> None:
    """Have what is deleted overwritten in the file of an embedded store."""
    if tx.dialect.name == "sqlite":
        say(tx, "PRAGMA secure_delete = ON")


def messages_of(tx: Connection, ids: Sequence[int], told: Sequence[int]) -> list[int]:
    """The messages of a case, those that facts of it come from, and any of no case with the same bytes."""
    own = select(message.c.id, message.c.payload).where(
        or_(message.c.case_id.in_(ids), message.c.id.in_(told))
    )
    rows = tx.execute(own).all()
    numbers = {row[0] for row in rows}
    for some in _pieces([row[1] for row in rows if row[1] is not None]):
        alike = select(message.c.id).where(message.c.payload.in_(some), message.c.case_id.is_(None))
        numbers |= set(tx.execute(alike).scalars())
    return sorted(numbers)


def deliveries_of(tx: Connection, ids: Sequence[int], messages: Sequence[int]) -> list[Row]:
    """The deliveries of a case, held until the commit: none is claimed meanwhile."""
    rows: dict[int, Row] = {}
    for condition in (delivery.c.case_id.in_(ids), *_in(delivery.c.message_row, messages)):
        query = select(delivery).where(condition).order_by(delivery.c.id).with_for_update()
        rows |= {row["id"]: row for row in found(tx, query)}
    return [rows[number] for number in sorted(rows)]


def plans_elsewhere(tx: Connection, ids: Sequence[int], messages: Sequence[int]) -> list[str]:
    """Its plans that stand on partners' servers, as `CarePlan/id at endpoint`."""
    plans = [f"{kind}/{name}" for kind, name in _names(tx, ids, messages) if kind == "CarePlan"]
    query = select(pushed.c.plan, pushed.c.endpoint).where(pushed.c.plan.in_(plans)).distinct()
    return sorted(f"{plan} at {endpoint}" for plan, endpoint in tx.execute(query))


def open_alarms(
    tx: Connection, ids: Sequence[int], messages: Sequence[int], deliveries: Sequence[int]
) -> list[tuple[str, str]]:
    """The alarms about it that are on: kind and subject."""
    about = _alarms(ids, messages, deliveries)
    return [
        (row[0], row[1])
        for condition in about
        for row in tx.execute(select(alarm.c.kind, alarm.c.subject).where(alarm.c.until.is_(None), condition))
    ]


def counted(tx: Connection, patient: str, ids: Sequence[int], messages: Sequence[int]) -> dict[str, int]:
    """How many rows of it there are in each table whose rows go."""
    versions = _versions(tx, ids, messages)
    return {
        "fact": _count(tx, fact, fact.c.patient == patient, fact.c.case_id.in_(ids)),
        "deadline": _count(tx, deadline, deadline.c.case_id.in_(ids)),
        "history": _count(tx, history, history.c.case_id.in_(ids)),
        "resource_version": len(versions),
    }


def take(
    tx: Connection, patient: str, ids: Sequence[int], messages: Sequence[int], deliveries: Sequence[int]
) -> None:
    """Take all of it, but that it was there."""
    _shelves(tx, patient, ids, messages)
    _words(tx, ids, messages, deliveries)
    _contents(tx, messages, deliveries)
    named = or_(*(bulk.c.filter.contains(f"={value}", autoescape=True) for value in (patient, *ids)))
    tx.execute(update(bulk).where(named).values(filter=ERASED))
    tx.execute(delete(deadline).where(deadline.c.case_id.in_(ids)))
    tx.execute(delete(case_party).where(case_party.c.case_id.in_(ids)))
    owed.drop(tx, ids)
    tx.execute(delete(fact).where(fact.c.patient == patient, fact.c.case_id.in_(ids)))
    blank: dict[str, object] = dict.fromkeys(
        c.name for c in case.columns if c.name not in ("id", "state", "patient", "updated_at")
    )
    blank |= {"state": ERASED, "patient": ERASED, "merged_into": NOBODY}
    tx.execute(update(case).where(case.c.id.in_(ids)).values(**blank))
    if tx.execute(select(case.c.id).where(case.c.patient == patient).limit(1)).first() is None:
        tx.execute(delete(protection).where(protection.c.patient == patient))
    tx.execute(
        update(case).where(case.c.readmission_of.in_(ids)).values(readmission_of=None, readmission=None)
    )


def _contents(tx: Connection, messages: Sequence[int], deliveries: Sequence[int]) -> None:
    """The bytes, in and out, unless something else that stays has the very same."""
    digests: set[bytes] = set()
    for some in _pieces(messages):
        query = select(message.c.payload, message.c.acknowledgement).where(message.c.id.in_(some))
        digests |= {digest for row in tx.execute(query) for digest in row if digest is not None}
        gone: dict[str, object] = {
            "case_id": None,
            "likeness": None,
            "same_as": None,
            "code": ERASED,
            "reason": SAID,
        }
        gone |= {"acknowledgement": None, "acknowledgement_type": None, "shelved": 1, "shelved_as": None}
        tx.execute(update(message).where(message.c.id.in_(some)).values(**gone))
        held = message.c.id.in_(some) & (message.c.outcome == "quarantined")
        tx.execute(update(message).where(held).values(outcome="refused"))
    for some in _pieces(deliveries):
        digests |= set(tx.execute(select(delivery.c.payload).where(delivery.c.id.in_(some))).scalars())
        earlier = select(attempt.c.content_hash).where(attempt.c.delivery_id.in_(some))
        digests |= set(tx.execute(earlier.where(attempt.c.content_hash.is_not(None))).scalars())
        tx.execute(update(delivery).where(delivery.c.id.in_(some)).values(case_id=None, error=SAID))
        tx.execute(update(attempt).where(attempt.c.delivery_id.in_(some)).values(error=None))
        tx.execute(update(bulk_item).where(bulk_item.c.delivery.in_(some)).values(told=None))
    searching.forget(tx, deliveries)
    for kept in _pieces(sorted(digests - _still_needed(tx, messages, deliveries, sorted(digests)))):
        tx.execute(delete(payload).where(payload.c.hash.in_(kept)))


def content_of(tx: Connection, row: int, digest: bytes, now: datetime) -> None:
    """Take what one message says, unless something else has the very same; the journal tells that it went."""
    overwriting(tx)
    chain.note(tx, chain.Kind.ERASED, row, at=now)
    gone: dict[str, object] = {"likeness": None, "shelved": 1}
    tx.execute(update(message).where(message.c.id == row).values(**gone))
    if digest not in _still_needed(tx, [row], [], [digest]):
        tx.execute(delete(payload).where(payload.c.hash == digest))


def _still_needed(
    tx: Connection, messages: Sequence[int], deliveries: Sequence[int], digests: Sequence[bytes]
) -> set[bytes]:
    """Of these contents those that other messages and deliveries have too, as a receipt without a name."""
    needed: set[bytes] = set()
    for some in _pieces(digests):
        for column, number, ours in (
            (message.c.payload, message.c.id, set(messages)),
            (message.c.acknowledgement, message.c.id, set(messages)),
            (delivery.c.payload, delivery.c.id, set(deliveries)),
        ):
            rows = tx.execute(select(column, number).where(column.in_(some)))
            needed |= {digest for digest, one in rows if one not in ours}
    return needed


def _words(tx: Connection, ids: Sequence[int], messages: Sequence[int], deliveries: Sequence[int]) -> None:
    """What was said about it in the history and in alarms."""
    tx.execute(delete(history).where(history.c.case_id.in_(ids)))
    for some in _pieces([*_subjects("message", messages), *_subjects("delivery", deliveries)]):
        tx.execute(delete(history).where(history.c.case_id.is_(None), history.c.subject.in_(some)))
    for condition in _alarms(ids, messages, deliveries):
        tx.execute(update(alarm).where(condition).values(text=SAID, why=None, case_id=None))


def _shelves(tx: Connection, patient: str, ids: Sequence[int], messages: Sequence[int]) -> None:
    """What lies on shelves of it; of a resource that other cases of the patient have, only its versions."""
    names = _names(tx, ids, messages)
    versions = _versions(tx, ids, messages)
    touched: set[int] = set()
    for some in _pieces(versions):
        of_them = select(resource_version.c.resource).where(resource_version.c.id.in_(some))
        touched |= set(tx.execute(of_them).scalars())
        tx.execute(delete(resource_token).where(resource_token.c.version.in_(some)))
        tx.execute(delete(shelf).where(shelf.c.version.in_(some)))
        tx.execute(delete(patient_unlisted).where(patient_unlisted.c.version.in_(some)))
        tx.execute(delete(resource_version).where(resource_version.c.id.in_(some)))
    for number in sorted(touched):
        last = select(func.max(resource_version.c.id)).where(resource_version.c.resource == number)
        newest = tx.execute(last).scalar()
        if newest is None:
            tx.execute(delete(resource).where(resource.c.id == number))
        else:
            tx.execute(update(resource).where(resource.c.id == number).values(version=newest))
    foci = [f"{kind}/{name}" for kind, name in names] + [f"EpisodeOfCare/case-{one}" for one in ids]
    for some_foci in _pieces(foci):
        tx.execute(delete(subscription_event).where(subscription_event.c.focus.in_(some_foci)))
        tx.execute(delete(pushed).where(pushed.c.plan.in_(some_foci)))


def _versions(tx: Connection, ids: Sequence[int], messages: Sequence[int]) -> list[int]:
    conditions = (resource_version.c.case_id.in_(ids), *_in(resource_version.c.message_row, messages))
    return sorted(
        {
            number
            for condition in conditions
            for number in tx.execute(select(resource_version.c.id).where(condition)).scalars()
        }
    )


def _names(tx: Connection, ids: Sequence[int], messages: Sequence[int]) -> set[tuple[str, str]]:
    named = select(resource.c.type, resource.c.fhir_id).join(
        resource_version, resource_version.c.resource == resource.c.id
    )
    return {
        (row[0], row[1])
        for some in _pieces(_versions(tx, ids, messages))
        for row in tx.execute(named.where(resource_version.c.id.in_(some)))
    }


def _alarms(
    ids: Sequence[int], messages: Sequence[int], deliveries: Sequence[int]
) -> list[ColumnElement[bool]]:
    subjects = [
        *_subjects("case", ids), *_subjects("message", messages), *_subjects("delivery", deliveries),
    ]  # fmt: skip
    return [alarm.c.case_id.in_(ids), *_in(alarm.c.subject, subjects)]


def _subjects(what: str, numbers: Iterable[int]) -> list[str]:
    return [f"{what} {number}" for number in numbers]


def _in(column: ColumnElement[object], values: Sequence[object]) -> list[ColumnElement[bool]]:
    return [column.in_(some) for some in _pieces(values)]


def _pieces(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """A driver takes only so many values at once."""
    for start in range(0, len(values), 500):
        yield values[start : start + 500]


def _count(tx: Connection, table: Table, *conditions: ColumnElement[bool]) -> int:
    return tx.execute(select(func.count()).select_from(table).where(*conditions)).scalar_one()
