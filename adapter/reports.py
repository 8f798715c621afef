"""The report of admission as a Task of the municipality's own system, on the shelves of /fhir (D-13).

Made once of the admission that asks for it; its next version comes when the report has gone to the hospital,
a person has ticked it off, or nobody waits for it any more. Nothing is sent by it.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Connection

from adapter.cases import Cases
from adapter.copies import derived_id
from adapter.discharge.notices import Notice
from adapter.discharge.reporting import ReportState, ReportTask, asks, report_tasks
from adapter.fhir.asking import REPORT_OF_ADMISSION, asked, finished
from adapter.fhir.bundles import Resource
from adapter.store import cases as rows
from adapter.store import resources
from adapter.store.resources import Audience
from adapter.store.statements import Row

MADE = "report"
"""What such a version was made as, with its status and its party: `report-requested:aasted`."""


class Holding(Protocol):
    """The shelves, as far as Tasks are put on them."""

    @property
    def cases(self) -> Cases: ...

    def audience_of(self, tx: Connection, message_row: int) -> list[Audience]:
        """Who sent a message, and who was addressed in it."""

    def in_lists(self, content: Resource) -> dict[str, Any]:
        """What lists show of it."""

    def searched(self, content: Resource) -> Iterable[tuple[str, str]]:
        """What a resource is found by."""


def keep_reports(tx: Connection, shelves: Holding, patient: str, now: datetime) -> None:
    """Bring the Tasks of a patient up to date with what is known; most patients have none."""
    told = rows.told(tx, patient)
    asking = {
        (fact.sender, fact.message_id): (message_row, case_id)
        for message_row, case_id, fact in told
        if isinstance(fact, Notice) and asks(fact) and message_row is not None
    }
    if not asking:
        return
    for case in shelves.cases.fold([fact for _, _, fact in told]):
        for task in report_tasks(case, shelves.cases.roles):
            known = asking.get((task.asked_by.sender, task.asked_by.message_id))
            if known is not None:
                _put(tx, shelves, patient, task, known, now)


def _put(
    tx: Connection, shelves: Holding, patient: str, task: ReportTask, known: tuple[int, int], now: datetime
) -> None:
    """The next version, where the Task stands otherwise than before."""
    message_row, case_id = known
    fhir_id = derived_id(task.asked_by.message_id, task.asked_by.sender, REPORT_OF_ADMISSION, task.party)
    made = f"{MADE}-{task.state}:{task.party}"
    row = resources.named(tx, "Task", fhir_id)
    newest = resources.version(tx, row["version"]) if row is not None else None
    if newest is not None and newest["made"] == made:
        return
    resource_id = row["id"] if row is not None else resources.add_resource(tx, "Task", fhir_id, patient)
    content = report_task(task.asked_by, case_id, patient, fhir_id, made, now)
    told_by = task.asked_by.sender if task.state is not ReportState.COMPLETED else task.party
    values = {
        "at": now, "by": told_by, "message_row": message_row, "place": None, "made": made,
        "case_id": case_id, **shelves.in_lists(content),
    }  # fmt: skip
    version = resources.add_version(tx, resource_id, values, shelves.searched(content))
    for who in shelves.audience_of(tx, message_row):
        if who.party in (task.asked_by.sender, task.party):
            resources.put(tx, who, "Task", resource_id, patient, version, now, shared=False)


def report_task(
    asking: Notice, case_id: int, patient: str, fhir_id: str, made: str, at: datetime
) -> Resource:
    """The Task as that version has it; `at` is when it came to stand so."""
    what, _, party = made.partition(":")
    stay = asking.encounter or str(case_id)
    task = asked(
        task_id=fhir_id,
        patient=patient,
        encounter=derived_id("stay", patient, asking.hospital or "", stay),
        requester=asking.sender,
        owner=party,
        authored=asking.sent_at,
        code=REPORT_OF_ADMISSION,
    )
    state = ReportState(what.removeprefix(f"{MADE}-"))
    return task if state is ReportState.REQUESTED else finished(task, state.value, at)


def is_report(version: Row) -> bool:
    """Whether a version of a Task is of a report of admission."""
    return str(version["made"] or "").startswith(f"{MADE}-")


def waiting(tx: Connection, shelves: Holding, patient: str, case_id: int) -> Iterator[ReportTask]:
    """The reports for which a case waits now."""
    for found, case in shelves.cases.folded(tx, patient):
        if found == case_id:
            yield from (
                t for t in report_tasks(case, shelves.cases.roles) if t.state is ReportState.REQUESTED
            )
