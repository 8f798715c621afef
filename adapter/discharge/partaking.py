"""What a stay is to one of the parties that take part in it: how far it has come, and whether it is theirs.

Sharing a patient is not sharing the record, so each party's part is read from what that party has sent or was
addressed in, and from nothing else. Only a death is everybody's: nobody waits for a patient who has died.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import IntEnum, StrEnum

from adapter.discharge.case import BESIDE_THE_STAY, TALK, Case, CaseState, Entry, as_told
from adapter.discharge.notices import AnswerValue, NoticeKind, local_date
from adapter.discharge.occasions import readinesses

K = NoticeKind


class Concern(StrEnum):
    """What a stay is to a party now."""

    CURRENT = "current"  # the patient is in, and the party has to do with it
    LEFT = "left"  # discharged, or closed by hand
    PAST = "past"  # addressed by mistake, another's now, or no need of this municipality
    OVER = "over"  # the patient has died, or everything that was told has been cancelled


class Stage(IntEnum):
    """How far a stay has come, in the order of the process."""

    ADMITTED = 1
    NEEDS_SENT = 2
    READY = 3
    ANSWERED = 4
    PLAN = 5
    DISCHARGED = 6

    @property
    def word(self) -> str:
        """As it stands in addresses and catalogs."""
        return self.name.lower().replace("_", "-")


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One party's part in a stay, as lists select and sort by it."""

    concern: Concern
    state: CaseState
    stage: Stage
    admitted_at: datetime | None
    ready_at: datetime | None
    discharged_at: datetime | None
    coming: date | None  # the day on which the patient is expected to leave
    answer: AnswerValue | None  # to the readiness that stands
    contact: bool  # whether a fixed care contact has been named
    open_care: bool | None  # whether open care can follow up; None: not clarified


def part_of(case: Case, party: str, roles: Mapping[str, str]) -> Part:
    """The part that `party` has in the case."""
    told = told_to(case, party)
    answered = answer_to(told)
    return Part(
        concern=_concern(case, told, party, roles),
        state=told.state,
        stage=stage_of(told),
        admitted_at=told.admitted_at,
        ready_at=told.ready_at,
        discharged_at=told.discharged_at,
        coming=_coming(told, answered),
        answer=answered.notice.answer if answered is not None else None,
        contact=told.has(K.FIXED_CONTACT_NAMED),
        open_care=_open_care(told),
    )


def told_to(case: Case, party: str) -> Case:
    """The case as that party knows it; the case itself where it knows all of it."""
    seen = tuple(e for e in case.entries if party == e.notice.sender or party in e.notice.receivers)
    return case if len(seen) == len(case.entries) else as_told(case, seen)


def steps_of(case: Case) -> frozenset[Stage]:
    """What has been done, in whatever order."""
    done = {Stage.ADMITTED}
    if case.has(K.CARE_NEEDS):
        done.add(Stage.NEEDS_SENT)
    if case.ready_at is not None:
        done.add(Stage.READY)
    if answer_to(case) is not None:
        done.add(Stage.ANSWERED)
    if case.has(K.CARE_PLAN):
        done.add(Stage.PLAN)
    if case.state in (CaseState.DISCHARGED, CaseState.CLOSED):
        done.add(Stage.DISCHARGED)
    return frozenset(done)


def stage_of(case: Case) -> Stage:
    """The furthest step that has been done; a plan made before the patient is ready comes no further."""
    done = steps_of(case)
    return max(done if Stage.READY in done or Stage.DISCHARGED in done else done - {Stage.PLAN})


def answer_to(case: Case) -> Entry | None:
    """The last answer to the readiness that stands."""
    if case.ready_at is None or not case.has(K.ANSWER):
        return None
    standing = next((one for one in reversed(readinesses(case)) if one.withdrawn_at is None), None)
    if standing is None or standing.told_at is None:
        return None
    since = standing.told_at
    own = [e for e in case.of(K.ANSWER) if e.notice.refers_to in standing.ids or e.notice.sent_at >= since]
    return max(own, key=lambda e: (e.notice.sent_at, e.notice.message_id), default=None)


def _coming(told: Case, answered: Entry | None) -> date | None:
    if answered is not None and answered.notice.answer is AnswerValue.CAN_RECEIVE:
        said = answered.notice.receive_from or local_date(answered.notice.sent_at, told.zone)
        ready = local_date(told.ready_at, told.zone) if told.ready_at is not None else said
        return max(said, ready)
    return told.planned_discharge


def _open_care(told: Case) -> bool | None:
    said = told.of(K.OPEN_CARE_AVAILABILITY)
    return said[-1].notice.open_care_available if said else None


def _concern(case: Case, told: Case, party: str, roles: Mapping[str, str]) -> Concern:
    if told.state in (CaseState.CANCELLED, CaseState.DECEASED) or _dead(case):
        return Concern.OVER
    if _has_handed_over(case, party):
        return Concern.PAST
    if party != case.hospital and _past(case, told, party, roles):
        return Concern.PAST
    gone = told.state in (CaseState.DISCHARGED, CaseState.CLOSED)
    return Concern.LEFT if gone else Concern.CURRENT


def _has_handed_over(case: Case, party: str) -> bool:
    """Whether it is a hospital of the case, and another one has the patient now."""
    return party != case.hospital and any(
        e.notice.hospital == party for e in (case.of(K.ADMITTED) if case.transfers else ())
    )


def _dead(case: Case) -> bool:
    return case.state is CaseState.DECEASED or case.died_at is not None


_NEED = frozenset((K.NEED_IDENTIFIED, K.CARE_NEEDS, K.READY_FOR_DISCHARGE, K.SERVICES_GRANTED))


def _past(case: Case, told: Case, party: str, roles: Mapping[str, str]) -> bool:
    """Whether the stay was only sent by mistake, is another's now, or needs nothing of this party."""
    counting = [e for e in told.entries if e.counts and e.notice.kind not in BESIDE_THE_STAY]
    of_the_stay = [e for e in counting if e.notice.kind not in TALK]
    if not of_the_stay:
        return True
    misrouted = [e for e in counting if e.notice.kind is K.MISROUTED and e.notice.sender == party]
    addressed = [e.notice.sent_at for e in of_the_stay if party in e.notice.receivers]
    if misrouted and not any(at > misrouted[-1].notice.sent_at for at in addressed):
        return True
    if roles.get(party, "municipality") not in ("municipality", "unknown"):
        return False
    changes = case.of(K.RESPONSIBLE_MUNICIPALITY_CHANGED)
    if changes and _successor(changes[-1], roles) not in (None, party):
        since = changes[-1].notice.sent_at
        return not any(at > since for at in addressed)
    needs = [
        e.notice.kind for e in of_the_stay if e.notice.kind in _NEED or e.notice.kind is K.NO_MUNICIPAL_NEED
    ]
    return bool(needs) and needs[-1] is K.NO_MUNICIPAL_NEED


def _successor(change: Entry, roles: Mapping[str, str]) -> str | None:
    """The municipality that is responsible from then on."""
    named = [r for r in change.notice.receivers if roles.get(r, "unknown") in ("municipality", "unknown")]
    return next((r for r in named if roles.get(r) == "municipality"), named[0] if named else None)
