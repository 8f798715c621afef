"""Hold the store's records against each other: what must be true, whatever has happened to the store.

The facts are the truth: every case and deadline is folded anew from them, and a row that says otherwise is
found. No finding names a patient.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from sqlalchemy import Connection, exists, select, union

from adapter.discharge.agreement import Agreement
from adapter.discharge.case import Case, Fact
from adapter.discharge.deadlines import Deadline, deadlines
from adapter.discharge.notices import Notice
from adapter.discharge.readmission import COUNTED, courses, links
from adapter.messaging.acknowledgement import RECEIPTS
from adapter.store import proof
from adapter.store.cases import fact_of, row_of
from adapter.store.chain import Head
from adapter.store.deliveries import UNFINISHED
from adapter.store.statements import Row, found
from adapter.store.tables import case, deadline, delivery, fact, message, payload

TOGETHER = 500
"""Patients whose facts are held in memory at a time."""

_WHENEVER = datetime(2000, 1, 1, tzinfo=UTC)
"""Any instant: which deadlines there are and when they are due does not depend on now, only their state."""


def findings(
    tx: Connection, agreement: Agreement, roles: Mapping[str, str], noted: Head | None = None
) -> list[str]:
    """What is wrong, in sentences; empty where nothing is. Ask it first in a transaction of its own.

    `noted` is a head of the journal of hashes that somebody wrote down earlier.
    """
    if tx.dialect.name == "postgresql":  # else each query would see another moment of a store in use
        tx.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    return [*proof.findings(tx, noted), *_incomplete(tx), *_disagreeing(tx, agreement, roles)]


def _incomplete(tx: Connection) -> Iterator[str]:
    """What is missing, or is not as it was written."""
    whole = select(payload.c.hash, payload.c.content).execution_options(yield_per=TOGETHER)
    for row in tx.execute(whole):
        if hashlib.sha256(row.content).digest() != row.hash:
            short = row.hash.hex()[:12]
            yield f"payload {short} does not match its hash: the disk or somebody has changed it"
    told = exists().where(fact.c.message_row == message.c.id)
    noticed = message.c.outcome.in_(("accepted", "released")) & message.c.case_id.is_not(None)
    accepted = select(message.c.id).where(noticed, message.c.type.not_in(RECEIPTS), ~told)
    for number in tx.execute(accepted).scalars():
        yield f"message {number} was accepted, but no case knows its notice"
    kept = exists().where(payload.c.hash == delivery.c.payload)
    for number in tx.execute(select(delivery.c.id).where(UNFINISHED, ~kept)).scalars():
        yield f"delivery {number} has no content to send"
    for table in (fact, deadline):
        known = exists().where(case.c.id == table.c.case_id)
        for number in tx.execute(select(table.c.id).where(~known)).scalars():
            yield f"{table.name} {number} belongs to a case that does not exist"


# --- folded anew ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Kept:
    """What the store has of one patient; facts in the order learned, deadlines by the earliest."""

    facts: list[tuple[int, int, Fact]] = field(default_factory=list)  # fact id, case id, fact
    cases: list[Row] = field(default_factory=list)
    deadlines: list[Row] = field(default_factory=list)


def _disagreeing(tx: Connection, agreement: Agreement, roles: Mapping[str, str]) -> Iterator[str]:
    """Rows of cases and deadlines that say something else than the facts."""
    last = ""
    while patients := _patients(tx, after=last):
        for kept in _kept(tx, patients):
            yield from _of_patient(kept, agreement, roles)
        last = patients[-1]


def _patients(tx: Connection, *, after: str) -> list[str]:
    """The next pseudonyms in the order of their letters, as the database has it."""
    told, known = (
        select(column).distinct().where(column > after).order_by(column).limit(TOGETHER).subquery()
        for column in (fact.c.patient, case.c.patient)
    )
    both = union(select(told.c.patient), select(known.c.patient)).subquery()
    return list(tx.execute(select(both.c.patient).order_by(both.c.patient).limit(TOGETHER)).scalars())


def _kept(tx: Connection, patients: list[str]) -> Iterable[_Kept]:
    """What there is of these patients."""
    by_patient: dict[str, _Kept] = defaultdict(_Kept)
    told = select(fact.c.id, fact.c.patient, fact.c.case_id, fact.c.kind, fact.c.body)
    for row in tx.execute(told.where(fact.c.patient.in_(patients)).order_by(fact.c.id)):
        by_patient[row.patient].facts.append((row.id, row.case_id, fact_of(row.kind, row.body)))
    for known in found(tx, select(case).where(case.c.patient.in_(patients)).order_by(case.c.id)):
        by_patient[known["patient"]].cases.append(known)
    due = select(deadline, case.c.patient).join(case, case.c.id == deadline.c.case_id)
    due = due.where(case.c.patient.in_(patients)).order_by(deadline.c.due_at, deadline.c.id)
    for known in found(tx, due):
        by_patient[known["patient"]].deadlines.append(known)
    return by_patient.values()


def _of_patient(kept: _Kept, agreement: Agreement, roles: Mapping[str, str]) -> Iterator[str]:
    living = {row["id"]: row for row in kept.cases if row["merged_into"] is None}
    folded = courses([told for _, _, told in kept.facts], agreement, roles)
    homes = _homes(folded, kept.facts, living)
    yield from _misplaced(folded, homes, kept)
    given = dict(zip(homes, folded, strict=True))
    follows = {
        homes[link.later]: (homes[link.earlier], link.verdict.value)
        for link in links(folded, agreement, roles)
        if link.verdict in COUNTED
    }
    for case_id, row in living.items():
        if case_id not in given:
            yield f"case {case_id} is there, but no facts give it"
            continue
        yield from _other_words(row, given[case_id])
        yield from _other_link(row, follows.get(case_id, (None, None)))
        own = [due for due in kept.deadlines if due["case_id"] == case_id]
        yield from _other_deadlines(case_id, own, deadlines(given[case_id], agreement, _WHENEVER, roles))


def _homes(
    folded: tuple[Case, ...], facts: list[tuple[int, int, Fact]], living: Mapping[int, Row]
) -> list[int]:
    """The id of each folded case: where most of its notices are kept, of the cases that there are."""
    under = {
        (told.sender, told.message_id): case_id for _, case_id, told in facts if isinstance(told, Notice)
    }
    homes = []
    for one in folded:
        kept = Counter(under[e.notice.sender, e.notice.message_id] for e in one.entries)
        homes.append(min(kept, key=lambda case_id: (case_id not in living, -kept[case_id], case_id)))
    return homes


def _misplaced(folded: tuple[Case, ...], homes: list[int], kept: _Kept) -> Iterator[str]:
    """Facts that are kept under another case than the rest of their stay, and cases that are two."""
    for case_id in (home for home, times in Counter(homes).items() if times > 1):
        yield f"case {case_id} holds stays that its facts tell apart"
    home = {
        (e.notice.sender, e.notice.message_id): case_id
        for one, case_id in zip(folded, homes, strict=True)
        for e in one.entries
    }
    for fact_id, case_id, told in kept.facts:
        belongs = home.get((told.sender, told.message_id), case_id)
        if case_id != belongs:
            yield f"fact {fact_id} is kept under case {case_id}, but its stay is case {belongs}"
    for row in kept.cases:
        if row["merged_into"] is not None:
            yield from _still_used(row, homes, kept.deadlines)


def _still_used(alias: Row, homes: list[int], due: list[Row]) -> Iterator[str]:
    """What a case that was merged into another should not have any more."""
    merged = f"was merged into {alias['merged_into']}"
    if alias["id"] in homes:
        yield f"case {alias['id']} {merged}, but its facts give a case of its own"
    for row in due:
        if row["case_id"] == alias["id"]:
            yield f"deadline {row['id']} belongs to case {alias['id']}, which {merged}"


def _other_words(row: Row, given: Case) -> Iterator[str]:
    """Where a case row says something else than its facts give."""
    for name, value in row_of(given).items():
        if row[name] != value:
            what = name.replace("_", " ")
            yield f"case {row['id']}: {what} is {_said(row[name])}, but its facts give {_said(value)}"


def _other_link(row: Row, follows: tuple[int | None, str | None]) -> Iterator[str]:
    """Where a case row names another readmission than its facts give."""
    kept = (row["readmission_of"], row["readmission"])
    if kept != follows:
        yield f"case {row['id']}: it is kept as {_link(*kept)}, but its facts give {_link(*follows)}"


def _link(earlier: int | None, verdict: str | None) -> str:
    return f"a readmission of case {earlier} ({verdict})" if earlier is not None else "no readmission"


def _other_deadlines(case_id: int, rows: list[Row], given: tuple[Deadline, ...]) -> Iterator[str]:
    """Where the deadline rows of a case are not those that its facts give.

    One that somebody has been told of stays, void, when the facts no longer give it.
    """
    wanted = {(d.kind, d.party, d.since): d for d in given}
    right = {_key(row) for row in rows if _key(row) in wanted and wanted[_key(row)].due_at == row["due_at"]}
    for row in rows:
        there = wanted.get(_key(row))
        told = row["reminded_at"] is not None or row["fired_at"] is not None
        spare = told and row["state"] == "void" and (there is None or _key(row) in right)
        if spare or (there is not None and there.due_at == row["due_at"]):
            continue
        about = f"deadline {row['id']} of case {case_id} ({_about(row['kind'], row['party'])})"
        if there is not None:
            yield f"{about} is due {_said(row['due_at'])}, but its facts give {_said(there.due_at)}"
        else:
            yield f"{about} counts from {_said(row['since'])}, but its facts give no such deadline"
    lacking = [d for key, d in wanted.items() if key not in {_key(row) for row in rows}]
    for missed in lacking:
        about = _about(missed.kind, missed.party)
        yield f"case {case_id} has no deadline {about} due {_said(missed.due_at)}, but its facts give it"


def _key(row: Row) -> tuple[str, str | None, datetime]:
    return row["kind"], row["party"], row["since"]


def _about(kind: str, party: str | None) -> str:
    return kind if party is None else f"{kind} for {party}"


def _said(value: str | date | None) -> str:
    if value is None:
        return "not given"
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)
