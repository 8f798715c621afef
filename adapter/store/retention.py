"""What retention may take, and in which steps: finished business goes, open business never does.

A step is one unit of work that removes a bounded number of rows, so that nobody who wants to store a message
waits long. What may go is looked up beforehand, holding nobody off, and looked at again in the step.
Every table has its rule here, or is known not to grow.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Table,
    Text,
    and_,
    cast,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    tuple_,
)

from adapter.store import chain
from adapter.store.deliveries import UNFINISHED
from adapter.store.tables import (
    access_token,
    address_answer,
    alarm,
    attempt,
    bulk,
    bulk_item,
    case,
    case_party,
    deadline,
    delivery,
    delivery_unindexed,
    delivery_words,
    fact,
    history,
    journal,
    ledger_entry,
    ledger_month,
    mailbox_seen,
    message,
    owed_day,
    owed_share,
    patient_unlisted,
    payload,
    protection,
    pushed,
    remembered,
    resource,
    resource_token,
    resource_version,
    session,
    setting,
    shelf,
    subscription_event,
    used_assertion,
)

AT_ONCE = 500
"""Rows that one unit of work removes at most; but one patient's facts and deadlines go together."""

RULES = {
    "payload": "payloads",
    "attempt": "attempts",
    "message": "log",
    "delivery": "log",
    "delivery_words": "log",
    "delivery_unindexed": "log",
    "bulk": "log",
    "bulk_item": "log",
    "alarm": "log",
    "resource": "log",
    "resource_version": "log",
    "resource_token": "log",
    "shelf": "log",
    "patient_unlisted": "log",
    "pushed": "log",
    "discharge_case": "ledger",
    "case_party": "ledger",
    "owed_day": "ledger",
    "owed_share": "ledger",
    "fact": "ledger",
    "deadline": "ledger",
    "history": "ledger",
    "protection": "ledger",
    "ledger_entry": "ledger",
    "ledger_month": "ledger",
    "journal": "ledger",
    "fhir_access": "accesses",
    "mailbox_seen": "seen",
    "remembered": "seen",
    "subscription_event": "seen",
    "address_answer": "seen",
    "emergency": "accesses",
    "session": "when it ends",
    "access_token": "when it ends",
    "used_assertion": "when it ends",
}
"""By which rule each table that grows is pruned."""

DO_NOT_GROW = ("setting", "endpoint_pause", "endpoint_health", "duty", "mailbox", "subscription")
"""As many rows as there are endpoints, mailboxes, processes and subscribers."""

_EPISODE = "episode"
_LEDGER_FROM = "ledger-from"


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """Rows of one table that may go, some at a time: found by reading, and looked at again when they go."""

    table: Table
    conditions: tuple[ColumnElement[bool], ...]
    told: Callable[[Connection, Sequence[Any]], None] | None = None  # what else the same unit of work does

    def find(self, tx: Connection) -> list[tuple[Any, ...]]:
        """The keys of some that may go."""
        query = select(*self.table.primary_key.columns).where(*self.conditions).limit(AT_ONCE)
        return [tuple(row) for row in tx.execute(query)]

    def take(self, tx: Connection, keys: Sequence[tuple[Any, ...]]) -> int:
        """Remove these, as far as they still may go; how many."""
        columns = list(self.table.primary_key.columns)
        these = (
            columns[0].in_([key[0] for key in keys])
            if len(columns) == 1
            else tuple_(*columns).in_(list(keys))
        )
        gone = tx.execute(delete(self.table).where(these, *self.conditions).returning(*columns)).all()
        if gone and self.told is not None:
            self.told(tx, gone)
        return len(gone)


def some(table: Table, *conditions: ColumnElement[bool]) -> Step:
    """The rows of a table that meet the conditions."""
    return Step(table=table, conditions=conditions)


def passing(seen: datetime, ended: datetime) -> dict[str, tuple[Step, ...]]:
    """What is forgotten by its age alone, by the name of its rule."""
    return {
        "seen": (
            some(mailbox_seen, mailbox_seen.c.at < seen),
            some(remembered, remembered.c.at < seen),
            some(subscription_event, subscription_event.c.at < seen),
            some(address_answer, address_answer.c.fetched_at < seen),
        ),
        "access": (
            some(session, session.c.expires_at <= ended),
            some(access_token, access_token.c.expires_at <= ended),
            some(used_assertion, used_assertion.c.expires_at <= ended),
        ),
    }


def attempts(before: datetime) -> Step:
    """Attempts older than that of deliveries that are finished."""
    finished = exists().where(delivery.c.id == attempt.c.delivery_id, ~UNFINISHED)
    return some(attempt, attempt.c.at < before, finished)


# --- the log: messages, deliveries, and what of them lies on shelves ----------------------------------------


def pieces(
    tx_of: Callable[[], AbstractContextManager[Connection]], table: Table, column: str, before: datetime
) -> Iterator[list[int]]:
    """The numbers of a table's rows older than that, by their numbers, a piece at a time.

    Numbers grow with time, so the look ends where a whole piece is younger.
    """
    last = -(2**63)
    while True:
        query = select(table.c.id, table.c[column]).where(table.c.id > last).order_by(table.c.id)
        with tx_of() as tx:
            rows = tx.execute(query.limit(AT_ONCE)).all()
        old = [row[0] for row in rows if row[1] < before]
        if not old:
            return
        yield old
        last = rows[-1][0]


def _about(what: str, number: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether an alarm about it is on."""
    subject = literal(f"{what} ") + cast(number, Text)
    return exists().where(alarm.c.until.is_(None), alarm.c.subject == subject)


def _newest(table: Table) -> ColumnElement[bool]:
    """The newest row stays, else SQLite would give its number again."""
    other = table.alias(f"newest_{table.name}")
    return table.c.id == select(func.max(other.c.id)).scalar_subquery()


def _finished(before: datetime) -> ColumnElement[bool]:
    """Of a delivery: nothing can become of it any more, and nothing waits for it."""
    later = delivery.alias("later")
    awaits = or_(
        later.c.state.in_(("waiting", "leased")),
        and_(later.c.state == "sent", later.c.expects_receipt == 1),
    )
    waited_for = exists().where(awaits, later.c.refers_to == delivery.c.message_id)
    return and_(
        delivery.c.created_at < before,
        ~UNFINISHED,
        ~waited_for,
        ~_about("delivery", delivery.c.id),
        ~_newest(delivery),
    )


def deliveries(before: datetime, numbers: Sequence[int]) -> tuple[Step, ...]:
    """Of these deliveries the finished ones, each after its attempts."""
    going = and_(delivery.c.id.in_(numbers), _finished(before))
    tried = exists().where(delivery.c.id == attempt.c.delivery_id, going)
    beside = (
        some(table, table.c.id.in_(numbers), ~exists().where(delivery.c.id == table.c.id))
        for table in (delivery_words, delivery_unindexed)
    )
    return (some(attempt, attempt.c.delivery_id.in_(numbers), tried), some(delivery, going), *beside)


def versions(before: datetime, numbers: Sequence[int]) -> tuple[Step, ...]:
    """Of these versions of resources those that nobody can read any more, and what is left then."""
    version = resource_version
    readable = exists().where(message.c.id == version.c.message_row, payload.c.hash == message.c.payload)
    newest = exists().where(resource.c.id == version.c.resource, resource.c.version == version.c.id)
    episode = func.coalesce(version.c.made, "") == _EPISODE
    other = version.alias("other")
    others = exists().where(other.c.resource == version.c.resource, other.c.id != version.c.id)
    going = and_(
        version.c.id.in_(numbers),
        version.c.at < before,
        or_(and_(episode, ~newest), and_(~episode, ~readable, or_(~newest, ~others))),
        ~_newest(version),
    )
    gone, whose = select(version.c.id).where(going), select(version.c.resource).where(going)
    found = exists().where(resource_token.c.version == version.c.id)
    lying = exists().where(shelf.c.resource == version.c.resource, shelf.c.version == version.c.id)
    alone = select(version.c.resource).where(going, ~others, ~found, ~lying)
    return (
        some(patient_unlisted, patient_unlisted.c.version.in_(gone)),
        some(resource_token, resource_token.c.version.in_(gone)),
        some(shelf, shelf.c.resource.in_(whose), shelf.c.version.in_(gone)),
        some(resource, resource.c.id.in_(alone), ~_newest(resource)),
        some(version, going, ~found, ~lying, ~newest),
    )


def put_elsewhere() -> Step:
    """What is remembered of plans on partners' servers that are no longer known here."""
    plan = exists().where(
        resource.c.fhir_id == func.substr(pushed.c.plan, len("CarePlan/") + 1), resource.c.type == "CarePlan"
    )
    return some(pushed, ~plan, pushed.c.conflict.is_(None), ~_newest(pushed))


def messages(before: datetime, numbers: Sequence[int], now: datetime) -> Step:
    """Of these messages the finished ones whose content is gone; the journal tells up to which."""
    twin = message.alias("twin")
    on_shelf = (resource_version.c.message_row == message.c.id, resource_version.c.place.is_not(None))
    used = (
        message.c.outcome == "quarantined",
        exists().where(payload.c.hash == message.c.payload),
        exists().where(delivery.c.message_row == message.c.id),
        exists().where(*on_shelf),
        exists().where(twin.c.same_as == message.c.id),
        _about("message", message.c.id),
        _newest(message),
    )
    going = (message.c.id.in_(numbers), message.c.received_at < before, ~or_(*used))

    def told(tx: Connection, gone: Sequence[Any]) -> None:
        chain.note(tx, chain.Kind.PRUNED, max(row[0] for row in gone), at=now)

    return Step(table=message, conditions=going, told=told)


def alarms(before: datetime) -> Step:
    """Alarms that ended before then."""
    return some(alarm, alarm.c.until < before, ~_newest(alarm))


def bulks(before: datetime) -> tuple[Step, ...]:
    """What was done with many at once before then, each with what came of it."""
    over = and_(bulk.c.at < before, bulk.c.state != "running", ~_newest(bulk))
    return (
        some(bulk_item, exists().where(bulk.c.id == bulk_item.c.bulk, over)),
        some(bulk, over, ~exists().where(bulk_item.c.bulk == bulk.c.id)),
    )


# --- the ledger: facts and everything that is made of them --------------------------------------------------


def patients(tx: Connection, before: datetime, after: str) -> list[str]:
    """The next patients of whom nothing has been heard since; by pseudonym."""
    query = select(case.c.patient).where(case.c.patient > after).group_by(case.c.patient)
    query = query.having(func.max(case.c.updated_at) < before).order_by(case.c.patient)
    return list(tx.execute(query.limit(AT_ONCE)).scalars())


def is_over(tx: Connection, patient: str, before: datetime) -> bool:
    """Whether nothing of that patient's is open, in the log or in the ledger."""
    cases = tx.execute(select(case).where(case.c.patient == patient)).mappings().all()
    ids = [one["id"] for one in cases]
    if any(one["updated_at"] >= before for one in cases):
        return False
    open_ones = (
        exists().where(message.c.case_id.in_(ids)),
        exists().where(delivery.c.case_id.in_(ids)),
        exists().where(deadline.c.case_id.in_(ids), deadline.c.state == "open"),
        exists().where(alarm.c.case_id.in_(ids), alarm.c.until.is_(None)),
        exists().where(ledger_entry.c.case_id.in_(ids), ledger_entry.c.state == "disputed"),
        exists().where(case.c.id.in_(ids), _newest(case)),
    )
    if any(tx.execute(select(one)).scalar() for one in open_ones):
        return False
    return not _unbooked(tx, cases)


def _unbooked(tx: Connection, cases: Sequence[RowMapping]) -> bool:
    """Whether days of them may be booked yet: where months are closed at all, theirs must be."""
    closed = _closed(tx)
    for one in cases:
        if not closed or one["ready_at"] is None:
            continue
        last, month = one["discharged_at"] or one["updated_at"], f"{one['ready_at']:%Y-%m}"
        while month <= f"{last:%Y-%m}":
            if closed[0] <= month and month not in closed:
                return True
            month = _following(month)
    return False


def _closed(tx: Connection) -> list[str]:
    return list(tx.execute(select(ledger_month.c.month).order_by(ledger_month.c.month)).scalars())


def _following(month: str) -> str:
    year, number = int(month[:4]), int(month[5:])
    return f"{year + number // 12:04}-{number % 12 + 1:02}"


def beside(patient: str) -> tuple[Step, ...]:
    """What is kept beside a patient's facts, and goes before them."""
    ids = select(case.c.id).where(case.c.patient == patient)
    own = select(resource.c.id).where(resource.c.patient == patient)
    of_them = select(resource_version.c.id).where(resource_version.c.resource.in_(own))
    return (
        some(history, history.c.case_id.in_(ids), ~_newest(history)),
        some(patient_unlisted, patient_unlisted.c.version.in_(of_them)),
        some(resource_token, resource_token.c.version.in_(of_them)),
        some(protection, protection.c.patient == patient),
        some(shelf, shelf.c.resource.in_(own)),
        some(resource_version, resource_version.c.resource.in_(own), ~_newest(resource_version)),
        some(resource, resource.c.patient == patient, ~_newest(resource)),
    )


def weight(tx: Connection, patient: str) -> int:
    """How many rows go with a patient's facts."""
    ids = select(case.c.id).where(case.c.patient == patient)
    counted = (
        select(func.count()).select_from(table).where(condition)
        for table, condition in (
            (fact, fact.c.patient == patient),
            (case, case.c.patient == patient),
            (deadline, deadline.c.case_id.in_(ids)),
            (case_party, case_party.c.case_id.in_(ids)),
            (owed_day, owed_day.c.case_id.in_(ids)),
            (owed_share, owed_share.c.case_id.in_(ids)),
            (ledger_entry, ledger_entry.c.case_id.in_(ids)),
        )
    )
    return sum(tx.execute(one).scalar_one() for one in counted)


def facts(tx: Connection, some_patients: Sequence[str]) -> int:
    """Remove these patients' facts with everything folded from them and booked for them, all at once."""
    ids = list(tx.execute(select(case.c.id).where(case.c.patient.in_(some_patients))).scalars())
    return sum(
        tx.execute(delete(table).where(condition)).rowcount
        for table, condition in (
            (ledger_entry, ledger_entry.c.case_id.in_(ids)),
            (deadline, deadline.c.case_id.in_(ids)),
            (case_party, case_party.c.case_id.in_(ids)),
            (owed_day, owed_day.c.case_id.in_(ids)),
            (owed_share, owed_share.c.case_id.in_(ids)),
            (fact, fact.c.patient.in_(some_patients)),
            (case, case.c.id.in_(ids)),
        )
    )


def first_month(tx: Connection, before: datetime) -> str:
    """The first month that the ledger has to answer for: none that is open yet is passed over."""
    wanted, closed = f"{before:%Y-%m}", _closed(tx)
    month = max(closed[0], kept_from(tx)) if closed else wanted
    while month < wanted and month in closed:
        month = _following(month)
    return min(month, wanted)


def answer_from(tx: Connection, month: str) -> None:
    """From now on no month before that one is corrected."""
    if month > kept_from(tx):
        tx.execute(delete(setting).where(setting.c.name == _LEDGER_FROM))
        tx.execute(setting.insert().values(name=_LEDGER_FROM, value=month))


def kept_from(tx: Connection) -> str:
    """The first month that the ledger answers for: what was booked before it may be gone."""
    query = select(setting.c.value).where(setting.c.name == _LEDGER_FROM)
    return tx.execute(query).scalar_one_or_none() or "0000-00"


def ledger(before: datetime, since: str) -> tuple[Step, ...]:
    """What belongs to no case: means and months before `since`, and what the history has of the rest."""
    used = exists().where(ledger_entry.c.month == ledger_month.c.month)
    mean = (
        ledger_entry.c.case_id.is_(None),
        ledger_entry.c.month < since,
        ledger_entry.c.state != "disputed",
    )
    return (
        some(ledger_entry, *mean, ~_newest(ledger_entry)),
        some(ledger_month, ledger_month.c.month < since, ~used),
        some(history, history.c.case_id.is_(None), history.c.at < before, ~_newest(history)),
    )


def cut(tx: Connection, before: datetime, now: datetime) -> int:
    """Remove some of the oldest entries of the journal; one at its other end says which; how many."""
    rows = tx.execute(select(journal).order_by(journal.c.number).limit(AT_ONCE + 1)).mappings().all()
    young = next((n for n, row in enumerate(rows) if row["at"] >= before), len(rows))
    going = rows[: min(young, len(rows) - 1)]  # the newest stays: the chain goes on from it
    if not going:
        return 0
    told = select(func.max(journal.c.message_row)).where(journal.c.kind == chain.Kind.CUT)
    highest = max(tx.execute(told).scalar() or 0, *(row["message_row"] for row in going))
    tx.execute(delete(journal).where(journal.c.number <= going[-1]["number"]))
    chain.note(tx, chain.Kind.CUT, highest, at=now, content=going[-1]["hash"])
    return len(going)


def can_be_cut(tx: Connection, before: datetime) -> bool:
    """Whether the oldest entry of the journal is older than that."""
    first = tx.execute(select(journal.c.at).order_by(journal.c.number).limit(1)).scalar_one_or_none()
    return first is not None and first < before
