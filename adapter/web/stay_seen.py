"""What one reader knows of a stay: the case as the notices that they may see tell it, and no more.

Sharing a patient is not sharing the record: where a notice is not for the reader's eyes, neither is what it
has moved. So state, dates and deadlines are folded anew from what the reader has sent or been addressed in.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from adapter.cases import Cases
from adapter.discharge.case import Case, CaseState, Entry, Evidence, Fact, Step
from adapter.discharge.deadlines import Deadline, DeadlineState, deadlines
from adapter.discharge.notices import Notice, NoticeKind, Standing
from adapter.discharge.plan_tasks import KIND as PLAN_TASK
from adapter.messaging.people import Role
from adapter.sight import Sight
from adapter.store import cases as case_rows
from adapter.store.statements import Row

K = NoticeKind

CURRENT = (CaseState.ADMITTED, CaseState.READY, CaseState.ON_LEAVE)
"""Where the patient is in hospital, or on leave from it."""

_SIDES = {
    "hospital": Role.WARD,
    "municipality": Role.MUNICIPALITY,
    "open-care": Role.PRIMARY_CARE,
    "fixed-care-contact": Role.PRIMARY_CARE,
    "gp": Role.PRIMARY_CARE,
}
"""In which role a person does what an actor of the law must do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Due:
    """A deadline with who must act, and whether that is the reader's own side."""

    deadline: Deadline
    who: str | None
    mine: bool
    noted: datetime | None  # when somebody recorded what was done about it

    @property
    def runs(self) -> bool:
        """Whether something is still to be done."""
        waits = self.deadline.state in (DeadlineState.OPEN, DeadlineState.MISSED)
        return waits and self.noted is None


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """How far one notice has come at one receiver."""

    entry: Entry
    party: str
    step: Step | None  # None: nothing is known but that it was sent
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A stay as its reader knows it; `told_in` gives the message of a notice."""

    row: Row
    case: Case
    entries: tuple[Entry, ...]  # those of this stay, in event order
    told_in: Mapping[tuple[str, str], int | None]
    dues: tuple[Due, ...]
    sight: Sight

    @property
    def current(self) -> bool:
        """Whether the patient has not been discharged yet, as far as the reader knows."""
        return self.case.state in CURRENT

    def message_of(self, entry: Entry) -> int | None:
        """The row of the message that told it; None for what was recorded by hand."""
        return self.told_in.get(_key(entry.notice))

    def ours(self, party: str | None) -> bool:
        """Whether the reader looks for that party."""
        return party is not None and (self.sight.parties is None or party in self.sight.parties)

    def running(self, *, mine: bool) -> list[Due]:
        """What is to be done by the reader's side, or by others; the most urgent first."""
        found = [due for due in self.dues if due.runs and due.mine is mine]
        return sorted(found, key=lambda due: due.deadline.due_at)

    def settled(self) -> list[Due]:
        """What has been done, or need not be done any more; the latest first."""
        found = [due for due in self.dues if not due.runs]
        return sorted(found, key=lambda due: due.deadline.due_at, reverse=True)

    @property
    def answers(self) -> tuple[Entry, ...]:
        """What the municipality has answered, the latest first."""
        return tuple(reversed(self.standing(K.ANSWER)))

    def standing(self, *kinds: NoticeKind) -> tuple[Entry, ...]:
        """The entries of these kinds that count, in event order."""
        return tuple(e for e in self.entries if e.counts and e.notice.kind in kinds)

    def unanswered(self) -> tuple[Entry, ...]:
        """Enquiries that nobody has answered yet, the oldest first."""
        replied = {e.notice.refers_to for e in self.standing(K.REPLY, K.ANSWER)}
        return tuple(e for e in self.standing(K.ENQUIRY) if e.notice.message_id not in replied)

    def questions(self) -> tuple[Entry, ...]:
        """Those of them that others have asked the reader's side."""
        return tuple(
            e for e in self.unanswered() if any(map(self.ours, e.notice.receivers)) and not self._own(e)
        )

    def _own(self, e: Entry) -> bool:
        """Whether the reader's side wrote it; who looks for every party is on both sides."""
        return self.sight.parties is not None and e.notice.sender in self.sight.parties

    def receipts(self) -> tuple[Receipt, ...]:
        """How far what the reader's side has sent has come, the latest first."""
        found = (r for e in self.entries if self.ours(e.notice.sender) for r in _receipts(e))
        return tuple(sorted(found, key=lambda r: r.entry.notice.sent_at, reverse=True))

    def evidence(self, entry: Entry) -> tuple[Evidence, ...]:
        """What is known of a notice: all of it for its sender, for a receiver its own."""
        if self.ours(entry.notice.sender) or self.row["patient"] in self.sight.emergencies:
            return entry.evidence
        return tuple(e for e in entry.evidence if self.ours(e.party))


def seen(tx: Connection, row: Row, sight: Sight, cases: Cases, now: datetime) -> Seen | None:
    """The stay as the person knows it; None where they know nothing of it."""
    told = case_rows.told(tx, row["patient"])
    everything = row["patient"] in sight.emergencies
    visible = {
        _key(f): (r, c) for r, c, f in told if isinstance(f, Notice) and (everything or sight.sees_notice(f))
    }
    facts: list[Fact] = [fact for _, _, fact in told if _key(fact) in visible]
    own = {key for key, (_, case_id) in visible.items() if case_id == row["id"]}
    folded = [c for c in cases.fold(facts) if any(_key(e.notice) in own for e in c.entries)]
    if not folded:
        return None
    known = folded[-1]
    entries = tuple(e for c in folded for e in c.entries if _key(e.notice) in own)
    noted = {
        (d["kind"], d["party"], d["about"] or d["since"]): d["noted_at"]
        for d in case_rows.deadlines(tx, row["id"])
    }
    lawful = deadlines(known, cases.agreement, now, cases.roles)
    return Seen(
        row=row,
        case=known,
        entries=entries,
        told_in={key: message for key, (message, _) in visible.items()},
        dues=tuple(_dues(lawful, known, sight, noted, everything=everything)),
        sight=sight,
    )


def _dues(
    lawful: tuple[Deadline, ...],
    case: Case,
    sight: Sight,
    noted: Mapping[tuple[str, str | None, object], datetime | None],
    *,
    everything: bool,
) -> Iterator[Due]:
    everything = everything or sight.parties is None or case.hospital in sight.parties
    for d in lawful:
        if everything or d.party is None or d.party in (sight.parties or ()):
            who = _who(d, case)
            yield Due(
                deadline=d,
                who=who,
                mine=_is_mine(d, who, sight),
                noted=noted.get((d.kind, d.party, d.about or d.since)),
            )


def _who(d: Deadline, case: Case) -> str | None:
    if d.kind == PLAN_TASK:
        return d.party
    if d.actor == "hospital":
        return case.hospital
    return d.party or (case.municipality if d.actor == "municipality" else None)


def _is_mine(d: Deadline, who: str | None, sight: Sight) -> bool:
    role = _SIDES[d.actor]
    if who is None:
        return bool(sight.own(role))
    return sight.acts_for(who) and (d.kind == PLAN_TASK or sight.person.holds(role))


FURTHEST = (Step.REFUSED, Step.NOT_RECEIVED, Step.SEEN, Step.ACCEPTED, Step.CONFIRMED, Step.DELIVERED)
"""What is told of a notice: that it was refused before all else, then how far it came."""


def _receipts(entry: Entry) -> Iterator[Receipt]:
    if entry.notice.standing is Standing.CANCELLATION and not entry.notice.receivers:
        return
    for party in entry.notice.receivers:
        replaced = entry.replaced(party)
        found = ((step, entry.first(step, party)) for step in FURTHEST if step is not replaced)
        step, at = next(((s, at) for s, at in found if at is not None), (None, entry.notice.sent_at))
        yield Receipt(entry=entry, party=party, step=step, at=at)


def _key(fact: Fact) -> tuple[str, str]:
    return fact.sender, fact.message_id
