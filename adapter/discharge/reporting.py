"""The report of admission that an admission asks the municipality for: asked once, and done once. Pure.

MedCom sets the flag on STIN and STAA alone, and there on new messages: a correction neither asks nor takes it
back, a duplicate is no second question, and a stay that is over asks nobody (issue of D-13; standards.md 2).
The report is a task of the municipality's own system: we show it, and send nothing by ourselves.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from adapter.discharge.case import STAY_ENDS, Case, CaseState, Entry
from adapter.discharge.notices import Notice, NoticeKind, Standing


class ReportState(StrEnum):
    """How the question stands; the values are FHIR's Task.status."""

    REQUESTED = "requested"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportTask:
    """What one admission asks of one municipality."""

    asked_by: Notice  # the new admission notice that first asked
    party: str
    state: ReportState
    at: datetime  # since when it stands so
    done_by: Notice | None = None  # the report

    @property
    def hospital(self) -> str:
        """Who waits for the report."""
        return self.asked_by.sender


def asks(notice: Notice) -> bool:
    """Whether a notice asks for a report of admission."""
    return notice.report_wanted and notice.kind is NoticeKind.ADMITTED and notice.standing is Standing.NEW


def report_tasks(case: Case, roles: Mapping[str, str] | None = None) -> tuple[ReportTask, ...]:
    """Each report that is wanted, by each municipality that was asked, in the order of the admissions."""
    return tuple(
        _task(case, entry, party)
        for entry in case.entries
        if asks(entry.notice)
        for party in entry.notice.receivers
        if (roles or {}).get(party, "municipality") in ("municipality", "unknown")
    )


def _task(case: Case, entry: Entry, party: str) -> ReportTask:
    asked = entry.notice
    done = next(_reports(case, entry, party), None)
    over = min(_endings(case, entry), default=None)
    if done is not None and (over is None or done.notice.sent_at <= over):
        state, at = ReportState.COMPLETED, done.notice.sent_at
    elif over is not None:
        state, at, done = ReportState.CANCELLED, over, None
    else:
        state, at = ReportState.REQUESTED, asked.sent_at
    return ReportTask(
        asked_by=asked, party=party, state=state, at=at, done_by=done.notice if done is not None else None
    )


def _reports(case: Case, entry: Entry, party: str) -> Iterator[Entry]:
    """The reports of that party after the admission, to the hospital that asked or to nobody named."""
    for e in sorted(
        case.of(NoticeKind.REPORT_OF_ADMISSION), key=lambda e: (e.notice.sent_at, e.notice.message_id)
    ):
        addressed = not e.notice.receivers or entry.notice.sender in e.notice.receivers
        if e.notice.sender == party and addressed and e.notice.sent_at >= entry.at:
            yield e


def _endings(case: Case, entry: Entry) -> Iterator[datetime]:
    """When nobody waited for it any more: the stay ended, or the admission was taken back."""
    if case.state is CaseState.CANCELLED or entry.void:
        yield _taken_back(case, entry)
    yield from (e.at for e in case.of(*STAY_ENDS, NoticeKind.CLOSED) if e.at >= entry.at)


def _taken_back(case: Case, entry: Entry) -> datetime:
    cancelling = [
        e.notice.sent_at
        for e in case.entries
        if e.notice.standing is Standing.CANCELLATION and e.notice.sender == entry.notice.sender
    ]
    return max(cancelling, default=entry.notice.sent_at)
