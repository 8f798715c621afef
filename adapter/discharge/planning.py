"""How far the planning of a case has come: consent, contact, call, meeting, plan and follow-up.

A fold over the entries of the case, so that every order of arrival gives the same. Sweden: lag 2017:612
2:5, 4:1-4:3 and 5:5, and the joint plan of HSL 16:4. Norway: the individual plan of pasient- og
brukerrettighetsloven 2-5, with its coordinator. Joint plans are shared with the patient's consent only.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from adapter.discharge.case import Case, Entry
from adapter.discharge.notices import Decliner, Meeting, NoticeKind, Plan, PlanKind, PlanTask, instant
from adapter.discharge.sentences import Say, Sentence

K = NoticeKind

FOLLOWS_UP = (None, "sip-meeting")
"""Which follow-ups follow a plan up: its own meeting, or one that does not say which it was."""

REVOKED = ("revoked", "entered-in-error")
"""CarePlan.status of a plan that has been taken back, with all that it asked for."""

DONE = "completed"
CALLED_OFF = ("cancelled", "rejected", "entered-in-error")
"""Task.status of what nobody has to do any more."""

_PRIMARY_CARE = ("open-care", "fixed-care-contact", None)
_MUNICIPALITY = ("municipality", None)


class PlanningState(StrEnum):
    """How far it has come; the first eight in the order in which they are reached."""

    NOT_STARTED = "not-started"
    CONTACT_NAMED = "contact-named"
    REQUESTED = "requested"
    CALLED = "called"
    MET = "met"
    PROPOSED = "proposed"
    AGREED = "agreed"
    FOLLOWED_UP = "followed-up"
    ENDED = "ended"  # every plan of it is completed, or taken back
    DECLINED = "declined"  # by the patient
    INTERRUPTED = "interrupted"
    WITHDRAWN = "withdrawn"  # the patient is not ready any more
    CONSENT_REFUSED = "consent-refused"
    CONSENT_WITHDRAWN = "consent-withdrawn"
    CLOSED = "closed"  # the patient has died, or staff have closed the case


class ConsentState(StrEnum):
    """Whether the patient has consented."""

    NONE = "none"  # nobody has said
    GIVEN = "given"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


class PlanState(StrEnum):
    """What a plan is to those who make it."""

    PROPOSED = "proposed"
    AGREED = "agreed"
    ENDED = "ended"


@dataclass(frozen=True, kw_only=True, slots=True)
class Consent:
    """The consent as it stands, since when, and by which notice."""

    state: ConsentState = ConsentState.NONE
    at: datetime | None = None
    message_id: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """Something that a party has done for the planning."""

    by: str
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Contact:
    """The fixed care contact or coordinator, by the organisation; nobody's name."""

    role: str  # fixed-care-contact, coordinator
    party: str
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Declined:
    """Somebody does not take part; only where the patient does not want it, the planning ends."""

    who: Decliner
    by: str  # the party that told it
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanStanding:
    """A plan by its latest version."""

    id: str
    kind: PlanKind | None
    status: str  # FHIR CarePlan.status
    versions: int
    agreed_at: datetime | None  # when the first version that was agreed was told
    changed_at: datetime
    tasks: tuple[PlanTask, ...]

    @property
    def state(self) -> PlanState:
        """What its status means."""
        if self.status in (*REVOKED, "completed"):
            return PlanState.ENDED
        return PlanState.AGREED if self.status in ("active", "on-hold") else PlanState.PROPOSED

    @property
    def joint(self) -> bool:
        """Whether it is one that needs consent; so is one that does not say what it is."""
        return needs_consent(self.kind)


@dataclass(frozen=True, kw_only=True, slots=True)
class Planning:
    """The planning of a case, as far as its notices tell."""

    state: PlanningState
    consent: Consent
    contacts: tuple[Contact, ...] = ()
    open_care_available: bool | None = None
    requested: tuple[Step, ...] = ()  # wishes and reported needs; they never satisfy the call
    called: Step | None = None  # the first call that counts: primary care's, or the coordinator's
    other_calls: tuple[Step, ...] = ()  # of those whose call does not count
    meeting: Meeting | None = None
    met: bool = False
    plans: tuple[PlanStanding, ...] = ()
    declined: tuple[Declined, ...] = ()
    interrupted_at: datetime | None = None
    withdrawn_at: datetime | None = None
    followed_up_at: datetime | None = None


# --- consent ----------------------------------------------------------------------------------------------


def needs_consent(kind: PlanKind | None) -> bool:
    """Whether a plan of that kind may be shared with the patient's consent only."""
    return kind is not PlanKind.DISCHARGE_PLAN


def consent_at(case: Case, at: datetime | None = None) -> Consent:
    """The consent as it stood at that instant; without one, as it stands after all that is known.

    Of two that are told of the same instant, the one that denies it stands.
    """
    told = [e for e in case.of(K.CONSENT_GIVEN, K.CONSENT_WITHDRAWN) if at is None or e.at <= at]
    if not told:
        return Consent()
    last = max(told, key=lambda e: (e.at, e.notice.kind is K.CONSENT_WITHDRAWN, e.notice.message_id))
    state = ConsentState.GIVEN
    if last.notice.kind is K.CONSENT_WITHDRAWN:
        state = ConsentState.REFUSED if last.notice.refused else ConsentState.WITHDRAWN
    return Consent(state=state, at=last.at, message_id=last.notice.message_id)


def may_share_plan(case: Case, at: datetime, kind: PlanKind | None = None) -> Sentence | None:
    """Why nothing of a plan of that kind may be shared at that instant; None where it may.

    `kind` is None where the plan does not say what it is: then it is taken for one that needs consent.
    """
    if not needs_consent(kind):
        return None
    consent = consent_at(case, at)
    if consent.state is ConsentState.GIVEN:
        return None
    if consent.at is None:
        return Say.NO_CONSENT.of()
    says = Say.CONSENT_REFUSED if consent.state is ConsentState.REFUSED else Say.CONSENT_WITHDRAWN
    return says.of(at=consent.at.astimezone(case.zone))


# --- the plans --------------------------------------------------------------------------------------------


def versions(case: Case) -> dict[str, tuple[Entry, ...]]:
    """The care plan notices of each plan by its id, the earliest version first."""
    found: dict[str, tuple[Entry, ...]] = {}
    for e in case.of(K.CARE_PLAN):
        if e.notice.plan is not None:
            found[e.notice.plan.id] = (*found.get(e.notice.plan.id, ()), e)
    return found


def kind_for_consent(case: Case, plan: Plan | None) -> PlanKind | None:
    """As what a plan is shared: what has been a joint plan stays one, whatever a later version calls it."""
    if plan is None:
        return None
    told = (e.notice.plan.kind for e in versions(case).get(plan.id, ()) if e.notice.plan is not None)
    return next((kind for kind in told if kind is not None and needs_consent(kind)), plan.kind)


def _standing(plan_id: str, told: tuple[Entry, ...]) -> PlanStanding:
    last = told[-1].notice.plan
    assert last is not None
    kinds = [e.notice.plan.kind for e in told if e.notice.plan and e.notice.plan.kind is not None]
    return PlanStanding(
        id=plan_id,
        kind=kinds[-1] if kinds else None,
        status=last.status,
        versions=len(told),
        agreed_at=next((e.at for e in told if e.notice.plan and e.notice.plan.status == "active"), None),
        changed_at=told[-1].at,
        tasks=last.tasks,
    )


# --- the fold ---------------------------------------------------------------------------------------------


def planning(case: Case, roles: Mapping[str, str] | None = None) -> Planning:
    """How far the planning has come; `roles` is what kind of party the register says each one is.

    A party that the register does not know is taken for what the step expects of it.
    """
    told = _Told(case, roles or {})
    plans = tuple(_standing(plan_id, entries) for plan_id, entries in versions(case).items())
    contacts, calls = told.contacts(), told.calls()
    meeting, met = told.meeting(calls, plans)
    made = Planning(
        state=PlanningState.NOT_STARTED,
        consent=consent_at(case),
        contacts=contacts,
        open_care_available=told.open_care_available(),
        requested=_steps(case.of(K.SIP_REQUESTED, K.PLAN_NEED_REPORTED)),
        called=min(map(told.as_first_sent, calls), key=lambda step: step.at, default=None),
        other_calls=_steps(e for e in case.of(K.SIP_CALL) if e not in calls),
        meeting=meeting,
        met=met,
        plans=plans,
        declined=tuple(_declined(e) for e in case.of(K.SIP_DECLINED)),
        interrupted_at=_last(case.of(K.PROCESS_INTERRUPTED)),
        withdrawn_at=told.withdrawn_at(),
        followed_up_at=told.followed_up_at(plans),
    )
    return _with_state(made, told)


@dataclass(frozen=True, slots=True)
class _Told:
    """The case with the roles of its parties, asked for one thing at a time."""

    case: Case
    roles: Mapping[str, str]

    def role(self, party: str) -> str | None:
        role = self.roles.get(party)
        if role is None and party == self.case.hospital:
            return "hospital"
        return None if role == "unknown" else role

    def contacts(self) -> tuple[Contact, ...]:
        """The fixed care contact is primary care's to name, the coordinator the municipality's."""
        naming = (
            (K.FIXED_CONTACT_NAMED, "fixed-care-contact", _PRIMARY_CARE),
            (K.COORDINATOR_NAMED, "coordinator", _MUNICIPALITY),
        )
        found = []
        for kind, role, by in naming:
            named = [e for e in self.case.of(kind) if self.role(e.notice.sender) in by]
            if named:
                last = named[-1]
                party = last.notice.contact or last.notice.sender
                found.append(Contact(role=role, party=party, at=last.at))
        return tuple(found)

    def calls(self) -> tuple[Entry, ...]:
        """The calls that count: primary care's (2017:612 4:3), or of who has named the coordinator."""
        coordinating = {e.notice.sender for e in self.case.of(K.COORDINATOR_NAMED)}
        return tuple(
            e
            for e in self.case.of(K.SIP_CALL)
            if self.role(e.notice.sender) in _PRIMARY_CARE or e.notice.sender in coordinating
        )

    def as_first_sent(self, entry: Entry) -> Step:
        """A call that was moved to another day was made when it was first sent."""
        before = self.case.corrected.get((entry.notice.sender, entry.notice.message_id), ())
        sent_at = min(e.notice.sent_at for e in (entry, *before))
        return Step(by=entry.notice.sender, at=sent_at)

    def open_care_available(self) -> bool | None:
        told = self.case.of(K.OPEN_CARE_AVAILABILITY)
        own = [e for e in told if self.role(e.notice.sender) in _PRIMARY_CARE]
        return own[-1].notice.open_care_available if own else None

    def meeting(
        self, calls: tuple[Entry, ...], plans: tuple[PlanStanding, ...]
    ) -> tuple[Meeting | None, bool]:
        """The meeting named last, and whether it has been held: said so, or a plan agreed after it began."""
        telling = sorted((*calls, *self.case.of(K.CARE_PLAN)), key=lambda e: (e.at, e.notice.sent_at))
        named = [e for e in telling if e.notice.meeting is not None]
        if not named or named[-1].notice.meeting is None:
            return None, False
        meeting, sent_at = named[-1].notice.meeting, named[-1].notice.sent_at
        begins = instant(meeting.starts, sent_at=sent_at, zone=self.case.zone)
        agreed = any(p.joint and p.agreed_at is not None and p.agreed_at >= begins for p in plans)
        return meeting, meeting.status == "fulfilled" or agreed

    def withdrawn_at(self) -> datetime | None:
        """Since when the patient is not ready any more; None where ready, or never ready."""
        told = self.case.of(K.READY_FOR_DISCHARGE, K.READINESS_WITHDRAWN)
        return told[-1].at if told and told[-1].notice.kind is K.READINESS_WITHDRAWN else None

    def followed_up_at(self, plans: tuple[PlanStanding, ...]) -> datetime | None:
        agreed = [p.agreed_at for p in plans if p.joint and p.agreed_at is not None]
        made = [e for e in self.case.of(K.FOLLOWED_UP) if e.notice.fulfils in FOLLOWS_UP]
        return max((e.at for e in made if agreed and e.at >= min(agreed)), default=None)

    def needed(self) -> bool:
        """Whether a ready notice that stands says that a plan is needed."""
        return any(e.notice.sip_needed for e in self.case.of(K.READY_FOR_DISCHARGE))

    def resumed_after(self, at: datetime, *kinds: NoticeKind) -> bool:
        return any(e.at > at for e in self.case.of(*kinds))


def _steps(entries: Iterable[Entry]) -> tuple[Step, ...]:
    return tuple(Step(by=e.notice.sender, at=e.notice.sent_at) for e in entries)


def _declined(entry: Entry) -> Declined:
    who = entry.notice.declined_by or Decliner.PATIENT
    return Declined(who=who, by=entry.notice.sender, at=entry.at)


def _last(entries: tuple[Entry, ...]) -> datetime | None:
    return entries[-1].at if entries else None


def _with_state(made: Planning, told: _Told) -> Planning:
    return replace(made, state=_stopped(made, told) or _reached(made, told))


_RESUMES = (K.SIP_REQUESTED, K.SIP_CALL, K.PLAN_NEED_REPORTED, K.CARE_PLAN)


def _stopped(made: Planning, told: _Told) -> PlanningState | None:
    """What has stopped it, unless it has been taken up again."""
    if told.case.has(K.DECEASED) or told.case.died_at is not None or told.case.closed_at is not None:
        return PlanningState.CLOSED
    if made.consent.state is ConsentState.REFUSED:
        return PlanningState.CONSENT_REFUSED
    if made.consent.state is ConsentState.WITHDRAWN:
        return PlanningState.CONSENT_WITHDRAWN
    declined = max((d.at for d in made.declined if d.who is Decliner.PATIENT), default=None)
    if declined is not None and not told.resumed_after(declined, *_RESUMES, K.CONSENT_GIVEN):
        return PlanningState.DECLINED
    broken = made.interrupted_at
    if broken is not None and not told.resumed_after(broken, *_RESUMES, K.READY_FOR_DISCHARGE):
        return PlanningState.INTERRUPTED
    waits = made.withdrawn_at is not None and not told.resumed_after(made.withdrawn_at, *_RESUMES)
    idle = (PlanningState.NOT_STARTED, PlanningState.FOLLOWED_UP, PlanningState.ENDED)
    return PlanningState.WITHDRAWN if waits and _reached(made, told) not in idle else None


def _reached(made: Planning, told: _Told) -> PlanningState:
    """The furthest that it has come."""
    states = {p.state for p in made.plans if p.joint}
    steps = (
        (PlanningState.ENDED, bool(states) and states == {PlanState.ENDED}),
        (PlanningState.FOLLOWED_UP, made.followed_up_at is not None),
        (PlanningState.AGREED, PlanState.AGREED in states),
        (PlanningState.PROPOSED, PlanState.PROPOSED in states),
        (PlanningState.MET, made.met),
        (PlanningState.CALLED, made.called is not None),
        (PlanningState.REQUESTED, bool(made.requested or made.other_calls) or told.needed()),
        (PlanningState.CONTACT_NAMED, bool(made.contacts)),
    )
    return next((state for state, there in steps if there), PlanningState.NOT_STARTED)


# --- shown ------------------------------------------------------------------------------------------------


def document(made: Planning) -> dict[str, Any]:
    """The planning as `case --json` prints it. Fields may be added, never renamed."""
    return {
        "state": made.state.value,
        "consent": {"state": made.consent.state.value, "at": _text(made.consent.at)},
        "contacts": [{"role": c.role, "party": c.party, "at": _text(c.at)} for c in made.contacts],
        "open_care_available": made.open_care_available,
        "requested": [_step(s) for s in made.requested],
        "called": _step(made.called) if made.called else None,
        "other_calls": [_step(s) for s in made.other_calls],
        "meeting": _meeting(made),
        "plans": [_plan(p) for p in made.plans],
        "declined": [{"who": d.who.value, "by": d.by, "at": _text(d.at)} for d in made.declined],
        "interrupted_at": _text(made.interrupted_at),
        "withdrawn_at": _text(made.withdrawn_at),
        "followed_up_at": _text(made.followed_up_at),
    }


def _text(moment: datetime | date | None) -> str | None:
    return moment.isoformat() if moment is not None else None


def _step(step: Step) -> dict[str, Any]:
    return {"by": step.by, "at": _text(step.at)}


def _meeting(made: Planning) -> dict[str, Any] | None:
    if made.meeting is None:
        return None
    state = "held" if made.met else "planned"
    return {"starts": _text(made.meeting.starts), "ends": _text(made.meeting.ends), "state": state}


def _plan(plan: PlanStanding) -> dict[str, Any]:
    wanted = [t for t in plan.tasks if t.status not in CALLED_OFF]
    return {
        "id": plan.id,
        "kind": plan.kind.value if plan.kind else None,
        "state": plan.state.value,
        "status": plan.status,
        "versions": plan.versions,
        "agreed_at": _text(plan.agreed_at),
        "changed_at": _text(plan.changed_at),
        "tasks": len(wanted),
        "tasks_done": sum(t.status == DONE for t in wanted),
    }
