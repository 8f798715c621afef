"""Staff close a case by hand, or open it again; and say that a report of admission has been sent elsewhere.

A stay of which no message tells the end stays open for good (MedCom, R8): the hospital's message was lost, or
the patient never came. What a person says is a fact like any notice, with a reason that stands in the
history. Nothing is sent by it, and nobody is charged less: it is no discharge. A later admission is a new
case.
"""

from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from adapter.cases import Cases, of_our_time, written
from adapter.discharge.case import Case, CaseState
from adapter.discharge.notices import Notice, NoticeKind, Standing
from adapter.discharge.reporting import ReportState, ReportTask, report_tasks
from adapter.errors import NotFound
from adapter.phrases import Code, Phrase, phrase, verbatim
from adapter.reports import keep_reports
from adapter.shelves import Shelves
from adapter.store import cases as rows
from adapter.store.statements import Row

OPEN = (CaseState.ADMITTED, CaseState.ON_LEAVE, CaseState.READY)
"""What can be closed."""


def close(
    tx: Connection,
    shelves: Shelves,
    case_id: int,
    at: datetime,
    now: datetime,
    *,
    new_id: str,
    by: str | None,
    why: str,
    party: str | None = None,
) -> None:
    """Say that the stay was over at `at`; its deadlines close.

    `party` is in whose name it is said: the municipality where none is named. Raises NotFound where there is
    no such case, it is over already, or the patient was in another case then.
    """
    row, case = _case(tx, shelves.cases, case_id)
    if case.state not in OPEN:
        raise NotFound(
            phrase("case {case} is {state} and needs no closing", case=str(row["id"]), state=_state(case))
        )
    _was(at, now)
    told = _said(row, case, NoticeKind.CLOSED, at, now, new_id=new_id, by=by, party=party)
    what = phrase("closed by hand: {why}", why=verbatim(why))
    _learn(tx, shelves, row, replace(told, text=why), what, now, by)


def reopen(
    tx: Connection, shelves: Shelves, case_id: int, now: datetime, *, new_id: str, by: str | None, why: str
) -> None:
    """Take the closing back: the case is as its messages tell. NotFound where nobody has closed it."""
    row, case = _case(tx, shelves.cases, case_id)
    standing = case.of(NoticeKind.CLOSED)
    if case.state is not CaseState.CLOSED or not standing:
        raise NotFound(
            phrase(
                "case {case} is {state}, and nobody has closed it by hand",
                case=str(row["id"]),
                state=_state(case),
            )
        )
    closed = standing[-1].notice
    told = replace(
        closed,
        message_id=new_id,
        sent_at=max(now, closed.sent_at),
        standing=Standing.CANCELLATION,
        refers_to=closed.message_id,
        recorded_by=by,
        text=why,
    )
    what = phrase("opened again by hand: {why}", why=verbatim(why))
    _learn(tx, shelves, row, told, what, now, by)


def report_sent(
    tx: Connection,
    shelves: Shelves,
    case_id: int,
    at: datetime,
    now: datetime,
    *,
    new_id: str,
    by: str | None,
    party: str | None = None,
) -> ReportTask:
    """Tick off the report of admission that the case waits for: another system has sent it, at `at`.

    Returns the task that it has done. Raises NotFound where none is waited for (from that party).
    """
    row, case = _case(tx, shelves.cases, case_id)
    _was(at, now)
    waiting = [
        task
        for task in report_tasks(case, shelves.cases.roles)
        if task.state is ReportState.REQUESTED and party in (None, task.party)
    ]
    if not waiting:
        raise NotFound(
            phrase("case {case} waits for no report of admission; nothing was recorded", case=str(row["id"]))
        )
    task = waiting[0]
    if at < task.asked_by.sent_at:
        raise NotFound(
            phrase("{at} is before the admission asked for it; write when it was sent", at=written(at))
        )
    told = replace(
        _said(row, case, NoticeKind.REPORT_OF_ADMISSION, at, now, new_id=new_id, by=by, party=task.party),
        sent_at=at,
        hospital=task.asked_by.hospital,
        receivers=(task.hospital,),
    )
    what = phrase("report of admission sent by another system, ticked off by hand")
    _learn(tx, shelves, row, told, what, now, by)
    return task


def _case(tx: Connection, cases: Cases, case_id: int) -> tuple[Row, Case]:
    row = rows.get(tx, case_id)
    if row is None:
        raise NotFound(
            phrase("there is no case {case}; `discharge-adapter cases` lists them", case=str(case_id))
        )
    rows.alone_with(tx, row["patient"])
    return row, dict(cases.folded(tx, row["patient"]))[row["id"]]


def _state(case: Case) -> Code:
    return Code("state", case.state.value, case.state.value)


def _was(at: datetime, now: datetime) -> None:
    if at > now:
        raise NotFound(phrase("{at} lies ahead; record it when it has happened", at=written(at)))
    of_our_time(at)


def _said(
    row: Row,
    case: Case,
    kind: NoticeKind,
    at: datetime,
    now: datetime,
    *,
    new_id: str,
    by: str | None,
    party: str | None,
) -> Notice:
    """What a person says in the name of a party; the other side of the case may know it."""
    sides = [side for side in (row["municipality"], row["hospital"]) if side is not None]
    sender = party or next(iter(sides), "staff")
    return Notice(
        kind=kind,
        message_id=new_id,
        occurred=at,
        sent_at=now,
        sender=sender,
        receivers=tuple(side for side in sides if side != sender),
        hospital=case.hospital,
        recorded_by=by,
    )


def _learn(
    tx: Connection, shelves: Shelves, row: Row, told: Notice, what: Phrase, now: datetime, by: str | None
) -> None:
    shelves.cases.record(tx, row, [told], what, now, by)
    keep_reports(tx, shelves, row["patient"], now)
