"""What plans ask for, by when: each Task with a time is due, read from the latest version of its plan.

No law gives these times, the parties do. What is done is told by a later version, in which the Task is
completed; what is called off, left out or taken back with the plan need not be done any more.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from adapter.discharge.case import Case, Entry
from adapter.discharge.counting import in_time, last_second, local
from adapter.discharge.notices import NoticeKind, PlanTask
from adapter.discharge.planning import CALLED_OFF, DONE, REVOKED, versions
from adapter.discharge.sentences import Say, Sentence

KIND = "plan-task"
BASIS = "the plan itself (Task)"

_NOBODY_ASKED = "draft"


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskDue:
    """One Task of one plan that somebody must do by a time."""

    plan: str
    task: PlanTask
    owner: str
    since: datetime  # when the first version that has it was sent
    due_at: datetime  # with the local offset; the last second of the day where the plan names a day
    done_at: datetime | None = None
    ended: tuple[datetime, Sentence] | None = None  # why nobody has to do it any more

    @property
    def about(self) -> str:
        """What tells it from other tasks of the same party."""
        return f"{self.plan} {self.task.id}"

    @property
    def counted(self) -> Sentence:
        """From where the time is known."""
        return Say.PLAN_TASK.of(at=self.since, due=self.due_at)

    @property
    def in_words(self) -> list[Sentence]:
        """What must be done, where the plan says it."""
        return [Say.PLAN_TASK_WHAT.of(what=self.task.what)] if self.task.what else []

    @property
    def why_over(self) -> list[Sentence]:
        """Why nobody has to do it, and that it had been due before."""
        if self.ended is None:
            return []
        at, said = self.ended
        late = not in_time(at, self.due_at)
        return [Say.ENDED_LATE.of(ended=said, due=self.due_at) if late else said]


def tasks_due(case: Case) -> Iterator[TaskDue]:
    """Every Task with an owner and a time, of every plan of the case."""
    for plan_id, told in versions(case).items():
        latest: dict[str, PlanTask] = {t.id: t for e in told for t in _tasks(e)}
        for task in latest.values():
            found = _due(case, plan_id, told, task)
            if found is not None:
                yield found


def _tasks(entry: Entry) -> tuple[PlanTask, ...]:
    return entry.notice.plan.tasks if entry.notice.plan is not None else ()


def _of(entry: Entry, task: PlanTask) -> PlanTask | None:
    return next((t for t in _tasks(entry) if t.id == task.id), None)


def _due(case: Case, plan_id: str, told: tuple[Entry, ...], task: PlanTask) -> TaskDue | None:
    if task.owner is None or task.due is None or task.status == _NOBODY_ASKED:
        return None
    due_at = (
        local(task.due, case.zone) if isinstance(task.due, datetime) else last_second(task.due, case.zone)
    )
    having = [e.notice.sent_at for e in told if _of(e, task) is not None]
    endings = [*_endings(told, task, case), *_deaths(case), *_closing(case)]
    return TaskDue(
        plan=plan_id,
        task=task,
        owner=task.owner,
        since=local(min(having), case.zone),
        due_at=due_at,
        done_at=_since_when(told, lambda e: (t := _of(e, task)) is not None and t.status == DONE),
        ended=min(endings, key=lambda ended: ended[0], default=None),
    )


def _since_when(told: tuple[Entry, ...], holds: Callable[[Entry], bool]) -> datetime | None:
    """When the first of the last versions of which it holds was sent; None where the latest denies it."""
    since: datetime | None = None
    for e in reversed(told):
        if not holds(e):
            break
        since = e.notice.sent_at
    return since


def _endings(told: tuple[Entry, ...], task: PlanTask, case: Case) -> Iterator[tuple[datetime, Sentence]]:
    """What the versions of the plan say against its being done."""
    ways: tuple[tuple[Say, Callable[[Entry], bool]], ...] = (
        (Say.TASK_CALLED_OFF, lambda e: (t := _of(e, task)) is not None and t.status in CALLED_OFF),
        (Say.TASK_LEFT_OUT, lambda e: _of(e, task) is None),
        (Say.PLAN_REVOKED, lambda e: e.notice.plan is not None and e.notice.plan.status in REVOKED),
    )
    for says, holds in ways:
        at = _since_when(told, holds)
        if at is not None:
            yield at, says.of(at=at.astimezone(case.zone))


def _closing(case: Case) -> Iterator[tuple[datetime, Sentence]]:
    if case.closed_at is not None:
        yield case.closed_at, Say.CLOSED_BY_HAND.of(at=case.closed_at.astimezone(case.zone))


def _deaths(case: Case) -> Iterator[tuple[datetime, Sentence]]:
    for at in (*(e.at for e in case.of(NoticeKind.DECEASED)), case.died_at):
        if at is not None:
            yield at, Say.DIED.of(at=at.astimezone(case.zone))
