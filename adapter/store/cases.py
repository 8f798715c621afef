"""Facts, the cases folded from them, and their deadlines."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import date, datetime
from enum import StrEnum
from functools import cache, lru_cache
from typing import Any

import orjson
from sqlalchemy import (
    Connection,
    Update,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    not_,
    or_,
    select,
    text,
    update,
)

from adapter.discharge.case import Case, Evidence, Fact, Step
from adapter.discharge.notices import (
    AnswerValue,
    Decliner,
    Meeting,
    Moment,
    Notice,
    NoticeKind,
    Plan,
    PlanKind,
    PlanTask,
    Standing,
    Way,
)
from adapter.errors import Elsewhere
from adapter.phrases import Phrase
from adapter.store import statements
from adapter.store.statements import Row, added, found, may_wait
from adapter.store.tables import case, deadline, fact, history, message

_MOMENTS = ("sent_at", "occurred", "admitted", "ready", "planned_discharge", "receive_from", "follow_up")
_WORDS: dict[str, type[StrEnum]] = {
    "standing": Standing,
    "answer": AnswerValue,
    "declined_by": Decliner,
    "way": Way,
}
_DEFAULTS = {f.name: f.default for f in fields(Notice)}


_facts = (
    select(fact.c.id, fact.c.case_id, fact.c.kind, fact.c.body, fact.c.message_row)
    .where(fact.c.patient == bindparam("patient"))
    .order_by(fact.c.id)
)

_about = (
    select(fact.c.id, fact.c.case_id, fact.c.kind, fact.c.body, fact.c.message_row)
    .where(
        fact.c.patient == bindparam("patient"),
        or_(
            fact.c.message_row == bindparam("told_by"),
            fact.c.body.in_((bindparam("said"), bindparam("said_too"))),
        ),
    )
    .order_by(fact.c.id)
)
still_wanted = text("deadline.state IN ('open', 'missed') AND deadline.noted_at IS NULL")
"""Neither met nor dealt with by hand; said as the partial index has it, for SQLite to see that it fits."""
only_shown = or_(
    and_(deadline.c.state == "open", deadline.c.remind_at.is_(None)),
    and_(deadline.c.state == "missed", deadline.c.fired_at.is_(None), deadline.c.next_at.is_(None)),
)
"""A deadline of which nobody is reminded or alarmed: a goal, or what goes by ways that we do not see."""
_told = (
    select(func.count())
    .select_from(fact.join(message, message.c.id == fact.c.message_row))
    .where(
        fact.c.patient == bindparam("patient"),
        message.c.sender == bindparam("sender"),
        message.c.received_at > bindparam("since"),
    )
)
_lock = text("SELECT pg_advisory_xact_lock(:number)")
_try_lock = text("SELECT pg_try_advisory_xact_lock(:number)")
_case = select(case).where(case.c.id == bindparam("row"))
_deadlines = (
    select(deadline).where(deadline.c.case_id == bindparam("case")).order_by(deadline.c.due_at, deadline.c.id)
)


def text_of(known: Fact) -> str:
    """A fact as compact JSON; what is as usual is left out. A meeting and a plan are objects of their own."""
    if isinstance(known, Evidence):
        values: dict[str, Any] = {
            "m": known.message_id, "s": known.sender, "p": known.party, "at": known.at.isoformat(),
            "from": known.source,
        }  # fmt: skip
        if known.way is not None:
            values["way"] = known.way
        return orjson.dumps(values).decode()
    values = {}
    for name, usual in _DEFAULTS.items():
        value = getattr(known, name)
        if value == usual or name == "kind":
            continue
        values[name] = value.isoformat() if isinstance(value, (datetime, date)) else value
    return orjson.dumps(values).decode()


@lru_cache(maxsize=4096)
def fact_of(kind: str, body: str) -> Fact:
    """And back. Remembered: each receipt of a stay reads all that is known of it, and facts never change."""
    values = orjson.loads(body)
    if kind in _STEPS and "m" in values:  # "seen" is a step and also a notice of its own
        return Evidence(
            step=Step(kind),
            message_id=values["m"],
            sender=values["s"],
            party=values["p"],
            at=datetime.fromisoformat(values["at"]),
            source=values["from"],
            way=Way(values["way"]) if "way" in values else None,
        )
    for name in _MOMENTS:
        if name in values:
            values[name] = _moment(values[name])
    for name, words in _WORDS.items():
        if name in values:
            values[name] = words(values[name])
    if "meeting" in values:
        values["meeting"] = _meeting(values["meeting"])
    if "plan" in values:
        values["plan"] = _plan(values["plan"])
    values["kind"] = NoticeKind(kind)
    values["receivers"] = tuple(values.get("receivers", ()))
    return Notice(**values)


def _moment(written: str) -> Moment:
    return date.fromisoformat(written) if len(written) == 10 else datetime.fromisoformat(written)


def _meeting(written: dict[str, Any]) -> Meeting:
    ends = written["ends"]
    return Meeting(
        starts=_moment(written["starts"]),
        ends=datetime.fromisoformat(ends) if ends is not None else None,
        status=written["status"],
    )


def _plan(written: dict[str, Any]) -> Plan:
    tasks = (t | {"due": _moment(t["due"]) if t["due"] is not None else None} for t in written["tasks"])
    return Plan(
        id=written["id"],
        kind=PlanKind(written["kind"]) if written["kind"] is not None else None,
        status=written["status"],
        tasks=tuple(PlanTask(**task) for task in tasks),
    )


_STEPS = frozenset(step.value for step in Step)


def facts(tx: Connection, patient: str) -> list[tuple[int, int, Fact]]:
    """(fact id, case id, fact) of a patient, in the order in which they were learned."""
    known = statements.rows(tx, _facts, patient=patient)
    return [(row["id"], row["case_id"], fact_of(row["kind"], row["body"])) for row in known]


def told_by(
    tx: Connection, patient: str, message_row: int, learned: Sequence[Evidence]
) -> tuple[Notice | None, int, set[Fact]]:
    """The notice that a message has told, with its case, and what of `learned` (at most two) is known.

    No notice where that message has told none of the patient, or other things too.
    """
    said = [text_of(one) for one in learned]
    found = statements.rows(tx, _about, patient=patient, told_by=message_row, said=said[0], said_too=said[-1])
    told = [row for row in found if row["message_row"] == message_row]
    known = {fact_of(row["kind"], row["body"]) for row in found}
    if len(told) != 1:
        return None, 0, known
    notice = fact_of(told[0]["kind"], told[0]["body"])
    return (notice if isinstance(notice, Notice) else None), told[0]["case_id"], known


def told(tx: Connection, patient: str) -> list[tuple[int | None, int, Fact]]:
    """(message row, case id, fact) of a patient, in the order in which they were learned."""
    known = statements.rows(tx, _facts, patient=patient)
    return [(row["message_row"], row["case_id"], fact_of(row["kind"], row["body"])) for row in known]


def told_since(tx: Connection, patient: str, sender: str, since: datetime) -> int:
    """How many notices about a patient a sender has told after that instant."""
    told: int = statements.value(tx, _told, patient=patient, sender=sender, since=since)
    return told


def alone_with(tx: Connection, patient: str) -> None:
    """Hold off every other process that would fold the same patient's facts, until the commit.

    Raises Elsewhere where another process does so now and this unit of work shares its commit with earlier
    ones: two that wait for each other's patients would wait until the database throws one of them out.
    SQLite has one writer at a time and needs no such thing.
    """
    if tx.dialect.name != "postgresql":
        return
    number = int.from_bytes(hashlib.sha256(patient.encode()).digest()[:8], "big", signed=True)
    if may_wait(tx):
        tx.execute(_lock, {"number": number})
    elif not tx.execute(_try_lock, {"number": number}).scalar_one():
        raise Elsewhere("another process writes about the same patient at this moment")


def add_facts(tx: Connection, rows: list[dict[str, Any]]) -> None:
    """Append facts."""
    for row in rows:
        statements.add(tx, fact, row)


def told_anew(tx: Connection, again: Iterable[tuple[int, int]]) -> None:
    """Facts whose message retention has taken, and which another has told since: fact id, message row."""
    for number, row in again:
        there = exists().where(message.c.id == fact.c.message_row)
        tx.execute(update(fact).where(fact.c.id == number, ~there).values(message_row=row))


def move_facts(tx: Connection, ids: list[int], case_id: int) -> None:
    """Facts that a later fact has shown to belong to another case."""
    tx.execute(update(fact).where(fact.c.id.in_(ids)).values(case_id=case_id))


def change_facts(tx: Connection, changed: Iterable[tuple[int, Fact]]) -> None:
    """Say facts in other words, each by its id; what they tell stays."""
    for number, known in changed:
        tx.execute(update(fact).where(fact.c.id == number).values(body=text_of(known)))


def row_of(known: Case) -> dict[str, Any]:
    """What the case row keeps of a fold, so that lists need not fold again."""
    return {
        "hospital": known.hospital,
        "municipality": known.municipality,
        "state": known.state.value,
        "admitted_at": known.admitted_at,
        "ready_at": known.ready_at,
        "discharged_at": known.discharged_at,
        "planned_discharge": known.planned_discharge,
        "day_only": ",".join(known.day_only) or None,
    }


def add(tx: Connection, patient: str, known: Case, now: datetime) -> int:
    """A new case; its id is given once."""
    values = row_of(known) | {"patient": patient, "updated_at": now}
    return added(tx, case, values)


def change(tx: Connection, case_id: int, known: Case, now: datetime) -> None:
    """Bring a case row up to date."""
    values = row_of(known) | {
        "updated_at": now, "merged_into": None, "readmission_of": None, "readmission": None, "owed_by": None,
    }  # fmt: skip
    statements.change(tx, case, case_id, values)


def link(tx: Connection, later: int, earlier: int, verdict: str) -> None:
    """A case is a readmission of an earlier one, or possibly one."""
    statements.change(tx, case, later, {"readmission_of": earlier, "readmission": verdict})


def readmissions_of(tx: Connection, case_id: int) -> list[Row]:
    """The cases that are a readmission of this one, the first first."""
    query = (
        select(case)
        .where(case.c.readmission_of == case_id, case.c.merged_into.is_(None))
        .order_by(case.c.admitted_at, case.c.id)
    )
    return found(tx, query)


def discharged(tx: Connection, since: datetime, until: datetime) -> list[Row]:
    """The cases that ended from `since` to before `until`, by patient."""
    query = (
        select(case.c.id, case.c.patient)
        .where(case.c.merged_into.is_(None), case.c.discharged_at >= since, case.c.discharged_at < until)
        .order_by(case.c.patient, case.c.id)
    )
    return found(tx, query)


def touch(tx: Connection, case_id: int, now: datetime) -> None:
    """There is news of a case that changes nothing in its row."""
    statements.change(tx, case, case_id, {"updated_at": now})


def merge(tx: Connection, old: int, into: int, now: datetime) -> None:
    """Two cases turned out to be one; the old id stays as an alias."""
    no_link = {"readmission_of": None, "readmission": None}
    tx.execute(update(case).where(case.c.id == old).values(merged_into=into, updated_at=now, **no_link))
    told = or_(deadline.c.reminded_at.is_not(None), deadline.c.fired_at.is_not(None))
    tx.execute(delete(deadline).where(deadline.c.case_id == old, not_(told)))
    tx.execute(update(deadline).where(deadline.c.case_id == old).values(case_id=into))


def get(tx: Connection, case_id: int) -> Row | None:
    """One case row, by its id or an alias of it."""
    for _ in range(16):  # a chain of merges this long has never been seen; a circle must not hang us
        row = statements.row(tx, _case, row=case_id)
        if row is None or row["merged_into"] is None:
            return row
        case_id = row["merged_into"]
    return row


def listed(tx: Connection, *, patient: str | None = None, limit: int | None = 500) -> list[Row]:
    """Cases, the latest change first; merged ones are not listed."""
    query = (
        select(case).where(case.c.merged_into.is_(None)).order_by(case.c.updated_at.desc(), case.c.id.desc())
    )
    if patient is not None:
        query = query.where(case.c.patient == patient)
    return found(tx, query.limit(limit))


def ids_of(tx: Connection, patient: str) -> list[int]:
    """The living case ids of a patient."""
    query = select(case.c.id).where(case.c.patient == patient, case.c.merged_into.is_(None))
    return list(tx.execute(query).scalars())


def numbers_of(tx: Connection, patient: str) -> list[int]:
    """Every case id that a patient has ever had: messages keep the one under which they came."""
    return list(tx.execute(select(case.c.id).where(case.c.patient == patient)).scalars())


def with_aliases(tx: Connection, row: Row) -> set[int]:
    """The id of a case, and those of the cases that were merged into it."""
    found = ((number, get(tx, number)) for number in numbers_of(tx, row["patient"]))
    return {number for number, known in found if known is not None and known["id"] == row["id"]}


# --- deadlines --------------------------------------------------------------------------------------------


def deadlines(tx: Connection, case_id: int) -> list[Row]:
    """The deadlines of a case, the earliest first."""
    return statements.rows(tx, _deadlines, case=case_id)


def add_deadlines(tx: Connection, rows: list[dict[str, Any]]) -> None:
    """New deadlines."""
    for row in rows:
        statements.add(tx, deadline, row)


def change_deadline(tx: Connection, deadline_id: int, was: str, **values: Any) -> bool:
    """Compare and set: False where somebody else has changed its state since we looked."""
    return statements.run(tx, _changing(tuple(values)), {**values, "row_id": deadline_id, "was": was}) == 1


@cache
def _changing(names: tuple[str, ...]) -> Update:
    return statements.setting(deadline, names).where(deadline.c.state == bindparam("was"))


def at_home_with(tx: Connection, parties: Sequence[str], *, after: str, limit: int) -> list[str]:
    """Patients, by their pseudonyms behind `after`, who have a case that comes home to one of these."""
    query = (
        select(case.c.patient)
        .distinct()
        .where(case.c.merged_into.is_(None), case.c.municipality.in_(parties), case.c.patient > after)
        .order_by(case.c.patient)
        .limit(limit)
    )
    return list(tx.execute(query).scalars())


def deadline_row(tx: Connection, deadline_id: int) -> Row | None:
    """One deadline."""
    return next(iter(found(tx, select(deadline).where(deadline.c.id == deadline_id))), None)


def drop_deadlines(tx: Connection, ids: list[int]) -> None:
    """Deadlines that the facts no longer give."""
    tx.execute(delete(deadline).where(deadline.c.id.in_(ids)))


def due(tx: Connection, now: datetime, limit: int) -> list[Row]:
    """Deadlines that the clock must look at, the earliest first."""
    query = (
        select(deadline)
        .where(deadline.c.next_at.is_not(None), deadline.c.next_at <= now)
        .order_by(deadline.c.next_at, deadline.c.id)
        .limit(limit)
    )
    return found(tx, query)


def all_deadlines(tx: Connection, *, overdue: bool, now: datetime, limit: int | None = 1000) -> list[Row]:
    """Open and missed deadlines with their case, the most urgent first.

    What a person has told to be dealt with is not `overdue` any more.
    """
    query = (
        select(deadline, case.c.patient, case.c.hospital, case.c.municipality)
        .join(case, case.c.id == deadline.c.case_id)
        .where(deadline.c.state.in_(("open", "missed")))
        .order_by(deadline.c.due_at, deadline.c.id)
        .limit(limit)
    )
    if overdue:
        query = query.where(still_wanted, deadline.c.due_at < now, not_(only_shown))
    return found(tx, query)


def note(
    tx: Connection, *, at: datetime, subject: str, what: Phrase, case_id: int | None, by: str | None = None
) -> None:
    """A row of history."""
    tx.execute(insert(history).values(at=at, case_id=case_id, subject=subject, what=what, by=by))


def notes_about(tx: Connection, subject: str) -> list[Row]:
    """The history of one thing, oldest first: of `delivery 17`, `message 4`, `endpoint sogndal`."""
    query = select(history).where(history.c.subject == subject)
    return found(tx, query.order_by(history.c.at, history.c.id))


def notes(tx: Connection, case_id: int) -> list[Row]:
    """The history of a case, oldest first."""
    query = select(history).where(history.c.case_id == case_id).order_by(history.c.at, history.c.id)
    return found(tx, query)
