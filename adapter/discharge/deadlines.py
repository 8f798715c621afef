"""What the law asks for, by when, and whether it was done: a pure reading of a case.

`deadlines` applies each rule of an agreement to each admission or readiness of the case, and to each receiver
that it concerns. A readiness begins with a ready notice and ends with its withdrawal; a notice repeated
meanwhile changes nothing. Everything is recomputed from the case, so a late or doubled fact does no harm.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum

from adapter.discharge.agreement import Agreement, PartyIs, Requirement, Rule, Telling, Time
from adapter.discharge.case import Case, Entry, Step
from adapter.discharge.counting import first_second, in_time, iso, local
from adapter.discharge.notices import AnswerValue, NoticeKind, local_date


class DeadlineState(StrEnum):
    """How a deadline stands at an instant."""

    OPEN = "open"
    MET = "met"
    MET_LATE = "met-late"
    MISSED = "missed"
    VOID = "void"


@dataclass(frozen=True, kw_only=True, slots=True)
class Deadline:
    """One thing that one actor must do, for one receiver where the law counts each by itself."""

    kind: str
    actor: str
    party: str | None  # the receiver that it concerns; None where that is nobody, or not known
    due_at: datetime  # with the local offset
    state: DeadlineState
    basis: str  # the paragraph
    confidence: str  # Q, S, K; or local: a figure of the parties
    since: datetime  # the instant that started it
    settled_at: datetime | None = None  # when it was met, or when what ended it came
    remind_at: datetime | None = None  # only while open
    reason: str = ""  # why void, blocked or counted from elsewhere


def deadlines(
    case: Case, agreement: Agreement, now: datetime, roles: Mapping[str, str] | None = None
) -> tuple[Deadline, ...]:
    """Every deadline of the case as it stands at `now`, the earliest first.

    `roles` tells what the register knows of parties: hospital, municipality, open-care, gp. A party that it
    does not name is taken for what the rule expects. Municipal acute beds have none of these deadlines.
    """
    made = [d for reading in readings(case, agreement, now, roles) for d in reading.deadlines()]
    return tuple(sorted(made, key=lambda d: (d.due_at, d.kind, d.party or "", d.since)))


def readings(
    case: Case, agreement: Agreement, now: datetime, roles: Mapping[str, str] | None
) -> Iterator["Reading"]:
    """Each rule of the agreement, laid over the case."""
    known = roles or {}
    if case.hospital is not None and known.get(case.hospital, "hospital") not in ("hospital", "unknown"):
        return
    for rule in agreement.rules:
        yield Reading(case, rule, agreement.zone, now.astimezone(UTC), known)


# --- what a rule is applied to ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Occasion:
    """An admission, or a readiness: the notices that tell of it, and its withdrawal."""

    entries: tuple[Entry, ...]
    told_at: datetime | None = None
    withdrawn_at: datetime | None = None
    ids: frozenset[str] = frozenset()

    def flagged(self, flag: str | None) -> bool:
        return flag is None or any(getattr(e.notice, flag) for e in self.entries)


def _thread(case: Case, entry: Entry) -> list[Entry]:
    """A notice and what it corrected: a correction was told when the first of them was."""
    notice = entry.notice
    return [*case.corrected.get((notice.sender, notice.message_id), ()), entry]


def _told_at(case: Case, entry: Entry) -> datetime:
    """When a notice takes its place among ready notices, withdrawals and answers.

    The event, but not later than it was told: a ready day that lies ahead is announced when the notice is
    sent. A day without a time cannot be ordered within itself, so there the sending decides.
    """
    sent = min(e.notice.sent_at.astimezone(UTC) for e in _thread(case, entry))
    return min(entry.at.astimezone(UTC), sent) if isinstance(entry.notice.occurred, datetime) else sent


def _readinesses(case: Case) -> list[Occasion]:
    """Ready notices up to their withdrawal, and so on; a withdrawal told twice withdraws once."""
    told = case.of(NoticeKind.READY_FOR_DISCHARGE, NoticeKind.READINESS_WITHDRAWN)
    made: list[Occasion] = []
    current: list[Entry] = []
    timed = [(_told_at(case, e), e.notice.kind is NoticeKind.READINESS_WITHDRAWN, e) for e in told]
    for at, withdrawal, e in sorted(timed, key=lambda told: told[:2]):
        if not withdrawal:
            current.append(e)
        elif current and not any(e.notice.refers_to in earlier.ids for earlier in made):
            made.append(_readiness(case, current, at))
            current = []
    return [*made, _readiness(case, current, None)] if current else made


def _readiness(case: Case, entries: list[Entry], withdrawn_at: datetime | None) -> Occasion:
    ids = frozenset(told.notice.message_id for e in entries for told in _thread(case, e))
    return Occasion(tuple(entries), _told_at(case, entries[0]), withdrawn_at, ids)


_ENDINGS = {
    NoticeKind.READINESS_WITHDRAWN: "the ready notice was withdrawn",
    NoticeKind.DISCHARGED: "the patient was discharged",
    NoticeKind.DECEASED: "the patient died",
    NoticeKind.LEFT_AGAINST_ADVICE: "the patient left against advice",
    NoticeKind.NO_MUNICIPAL_NEED: "there is no need of municipal services",
    NoticeKind.SIP_DECLINED: "the patient declined a coordinated plan",
}
_STEPS = {Time.DELIVERED: Step.DELIVERED, Time.ACCEPTED: Step.ACCEPTED, Time.SEEN: Step.SEEN}


@dataclass(frozen=True, slots=True)
class Start:
    """When the count begins, and by which paragraph."""

    at: datetime
    basis: str
    confidence: str
    reason: str = ""
    later: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """One rule read over one case."""

    case: Case
    rule: Rule
    zone: tzinfo
    now: datetime
    roles: Mapping[str, str]

    def deadlines(self) -> Iterator[Deadline]:
        for occasion in self.occasions():
            for party in self.parties(occasion):
                start = self.start(occasion, party)
                if start is not None:
                    yield self._deadline(occasion, party, start)

    def occasions(self) -> list[Occasion]:
        trigger = self.rule.trigger
        if trigger.notice is NoticeKind.READY_FOR_DISCHARGE:
            return [o for o in _readinesses(self.case) if o.flagged(trigger.only_if)]
        entries = self.case.of(trigger.notice)
        admission = trigger.notice is NoticeKind.ADMITTED and self.case.admitted_at is not None
        return [Occasion(entries)] if entries or admission else []

    # --- who ---

    def _role(self, party: str) -> str | None:
        role = self.roles.get(party)
        if role is None and party == self.case.hospital:
            return "hospital"
        return None if role == "unknown" else role

    def _is(self, party: str, wanted: tuple[str, ...]) -> bool:
        return not wanted or self._role(party) in (None, *wanted)

    def parties(self, occasion: Occasion) -> tuple[str | None, ...]:
        if self.rule.responsible is not None:
            return (self._responsible(occasion, self.rule.responsible),)
        of_occasion = self.rule.receivers_of == (self.rule.trigger.notice,)
        entries = occasion.entries if of_occasion else self.case.of(*self.rule.receivers_of)
        found = {r for e in entries for r in e.notice.receivers if self._is(r, self.rule.roles)}
        return tuple(sorted(found)) or (None,)

    def _responsible(self, occasion: Occasion, role: str) -> str | None:
        """The party of that role among the receivers: the case's own where it is one of them."""
        told = [r for e in reversed(occasion.entries) for r in e.notice.receivers if self._is(r, (role,))]
        candidates = [r for r in told if self._role(r) == role] or told
        own = self.case.municipality
        if own is not None and (own in candidates or (not candidates and self._is(own, (role,)))):
            return own
        return candidates[0] if candidates else None

    # --- when ---

    def _when(self, entry: Entry, which: Time, party: str | None) -> datetime | None:
        """The first time that counts, of the notice or of what it corrects."""
        if which is Time.OCCURRED:
            return entry.at.astimezone(UTC)
        return min((at for at, _ in self._each_time(entry, which, party)), default=None)

    def _each_time(self, entry: Entry, which: Time, party: str | None) -> list[tuple[datetime, Entry]]:
        thread = _thread(self.case, entry)
        if which is Time.SENT:
            mine = [e for e in thread if _addressed(e, party)] or thread
            return [(e.notice.sent_at.astimezone(UTC), e) for e in mine]
        return [
            (e.at.astimezone(UTC), told)
            for told in thread
            for e in told.evidence
            if e.step is _STEPS[which]
            and (e.party == party if party is not None else self._is(e.party, self.rule.roles))
        ]

    def start(self, occasion: Occasion, party: str | None) -> Start | None:
        rule = self.rule
        if rule.trigger.notice is not NoticeKind.ADMITTED:
            at, reason = self._from_notice(occasion, party)
            return Start(at, rule.basis, rule.confidence, reason) if at else None
        if self.case.admitted_at is None:
            return None
        admitted = self.case.admitted_at.astimezone(UTC)
        return self._later(occasion, party, admitted) or Start(admitted, rule.basis, rule.confidence)

    def _from_notice(self, occasion: Occasion, party: str | None) -> tuple[datetime | None, str]:
        """From the first notice that counts; an announcement gives way to what is told before its day."""
        trigger = self.rule.trigger
        told = [
            (at, e)
            for e in occasion.entries
            if (trigger.only_if is None or getattr(e.notice, trigger.only_if))
            and _addressed(e, party)
            and (at := self._known_at(e, party)) is not None
        ]
        started, announced = None, False
        for at, e in sorted(told, key=lambda pair: (pair[0], pair[1].notice.message_id)):
            if started is not None and at >= started:
                break
            begins = self._ready_day(e)
            announced = trigger.from_ready_day and begins > at
            started = begins if announced else at
        if started is None or not announced or started <= self.now:
            return started, ""
        return started, f"only announced: asks for nothing before {self.day(started)}"

    def _known_at(self, entry: Entry, party: str | None) -> datetime | None:
        """When the notice counted; one that corrects a later ready day to an earlier one, by its own time."""
        trigger = self.rule.trigger
        if not trigger.from_ready_day:
            return self._when(entry, trigger.time, party)
        known, day = self._each_time(entry, trigger.time, party), self._ready_day(entry)
        so_soon = [at for at, told in known if self._ready_day(told) <= max(day, at)]
        return min(so_soon or (at for at, _ in known), default=None)

    def _ready_day(self, entry: Entry) -> datetime:
        """The first second of the day from which the notice says that the patient is ready."""
        day = local_date(entry.notice.ready or entry.notice.occurred, self.zone)
        return first_second(day, self.zone).astimezone(UTC)

    def _later(self, occasion: Occasion, party: str | None, admitted: datetime) -> Start | None:
        """From a need that shows after admission, unless what the rule asks for had been done by then."""
        later = self.rule.later
        if later is None:
            return None
        needs = [(self._when(e, later.time, party), e) for e in self.case.of(later.notice)]
        done = self._settled(occasion, party, None)
        times = sorted(at for at, _ in needs if at is not None and at > admitted and (not done or at < done))
        denied = [e.at.astimezone(UTC) for e in self.case.of(NoticeKind.NO_MUNICIPAL_NEED)]
        anew = [at for at in times if denied and at > max(denied)]
        if not times:
            return None
        at = (anew or times)[0]
        reason = f"counted from the need identified {self.stamp(at)}, after admission"
        if later.basis != self.rule.basis:
            due = self.rule.count.due(admitted, self.zone)
            reason += f"; by {self.rule.basis} the time from admission is up {self.stamp(due)}"
        return Start(at, later.basis, later.confidence, reason, later=True)

    # --- what settles it ---

    def _tellings(self, telling: Telling, party: str | None) -> list[Entry]:
        """The notices of these kinds, by whom they must be, in the order in which they were told."""
        found = [
            e
            for e in self.case.of(*telling.notices)
            if self._is(e.notice.sender, telling.by)
            and (telling.party_is is not PartyIs.RECEIVER or _addressed(e, party))
        ]
        return sorted(found, key=lambda e: (_told_at(self.case, e), e.notice.message_id))

    def _answers(self, occasion: Occasion, telling: Telling, party: str | None) -> list[Entry]:
        """The answers to this readiness: by reference, else by time; the party's own, or its successor's."""
        first, until = occasion.told_at, occasion.withdrawn_at
        elsewhere = {e.notice.message_id for e in self.case.of(NoticeKind.READY_FOR_DISCHARGE)} - occasion.ids

        def belongs(e: Entry) -> bool:
            if e.notice.refers_to in occasion.ids:
                return True
            at = _told_at(self.case, e)
            in_order = (first is None or first <= at) and (until is None or at < until)
            return in_order and e.notice.refers_to not in elsewhere

        receivers = {r for e in occasion.entries for r in e.notice.receivers}

        def own(e: Entry) -> bool:
            referring = e.notice.refers_to in occasion.ids and e.notice.sender not in receivers
            return party is None or e.notice.sender == party or referring

        return [e for e in self._tellings(telling, party) if belongs(e) and own(e)]

    def _settled(self, occasion: Occasion, party: str | None, due: datetime | None) -> datetime | None:
        times = (self.settled_by(t, occasion, party, due) for t in self.rule.satisfied_by)
        return min((at for at in times if at is not None), default=None)

    def settled_by(
        self, telling: Telling, occasion: Occasion, party: str | None, due: datetime | None
    ) -> datetime | None:
        if NoticeKind.ANSWER not in telling.notices:
            found = self._tellings(telling, party)
        else:
            found = self._answers(occasion, telling, party)
        if telling.says == AnswerValue.CAN_RECEIVE:
            return self._can_receive(found, due)
        times = (self._when(e, telling.time, party) for e in found)
        return min((at for at in times if at is not None), default=None)

    def _can_receive(self, answers: list[Entry], due: datetime | None) -> datetime | None:
        """When the municipality can receive: `due` or before, or the first time after it.

        A later date means that it cannot until then; an answer to the contrary takes the word back.
        """
        spoken = [e for e in answers if e.notice.answer is not AnswerValue.UNCLASSIFIED]
        spans = [(e.notice.sent_at.astimezone(UTC), self._receives_from(e)) for e in spoken]
        for number, (sent, begins) in enumerate(spans):
            if begins is None:
                continue
            taken_back = (at for at, from_then in spans[number + 1 :] if from_then != at)
            ends = min(taken_back, default=None)
            if ends is None or (begins < ends and (due is None or due < ends)):
                return sent if due is None or begins <= due else begins
        return None

    def _receives_from(self, answer: Entry) -> datetime | None:
        if answer.notice.answer is not AnswerValue.CAN_RECEIVE:
            return None
        sent, day = answer.notice.sent_at.astimezone(UTC), answer.notice.receive_from
        return max(sent, first_second(day, self.zone).astimezone(UTC)) if day else sent

    # --- what ends it ---

    def endings(self, kinds: Iterable[NoticeKind], occasion: Occasion) -> list[tuple[datetime, str]]:
        found: list[tuple[datetime, str]] = []
        for kind in kinds:
            if kind is not NoticeKind.READINESS_WITHDRAWN:
                found.extend((e.at.astimezone(UTC), _ENDINGS.get(kind, kind)) for e in self.case.of(kind))
            elif occasion.withdrawn_at is not None:
                found.append((occasion.withdrawn_at, _ENDINGS[kind]))
        return sorted(found)

    def _ended(self, occasion: Occasion, start: Start, due: datetime) -> tuple[datetime, str] | None:
        closed = self.endings(self.rule.closed_by, occasion)
        voided = [end for end in self.endings(self.rule.voided_by, occasion) if end[0] < due]
        if start.later:  # a need that showed after it was denied stands
            denied = _ENDINGS[NoticeKind.NO_MUNICIPAL_NEED]
            closed = [end for end in closed if end[1] != denied or end[0] >= start.at]
        return min((*closed, *voided), default=None)

    def why(self, ended: tuple[datetime, str], due: datetime) -> str:
        at, what = ended
        late = "" if in_time(at, due) else f"; it had been due {self.stamp(due)}"
        return f"{what} {self.stamp(at)}{late}"

    def holds(self, required: Requirement, occasion: Occasion, party: str | None, at: datetime) -> bool:
        waived = any(e.at <= at for e in self.case.of(*required.waived_by)) if required.waived_by else False
        if waived or not occasion.flagged(required.only_if):
            return True
        told = [e for e, when in self._told(required.telling, party) if when <= at]
        if required.telling.says == "available":
            return bool(told) and told[-1].notice.open_care_available is True
        return bool(told)

    def _told(self, telling: Telling, party: str | None) -> list[tuple[Entry, datetime]]:
        timed = ((e, self._when(e, telling.time, party)) for e in self._tellings(telling, party))
        return [(e, at) for e, at in timed if at is not None]

    def opening(
        self, occasion: Occasion, party: str | None, base: datetime
    ) -> tuple[datetime, list[Requirement]]:
        """The first day from `base` that begins with every condition fulfilled, else what is missing."""
        required = self.rule.requires
        if not required:
            return base, []
        changes = {at for r in required for _, at in self._told(r.telling, party)}
        changes |= {e.at for r in required if r.waived_by for e in self.case.of(*r.waived_by)}
        days = sorted({base, *(self._next_day(at) for at in changes if at > base)})
        for day in days:
            missing = [r for r in required if not self.holds(r, occasion, party, day)]
            if not missing:
                return day, []
        return base, missing

    # --- what comes out ---

    def _deadline(self, occasion: Occasion, party: str | None, start: Start) -> Deadline:
        base = self.rule.count.due(start.at, self.zone)
        due, missing = self.opening(occasion, party, base)
        settled = self._settled(occasion, party, due)
        ended = self._ended(occasion, start, due)
        if settled is not None and not (settled <= self.now or in_time(settled, due)):
            settled = None  # a day to receive on that has not come yet
        state, at, reason = DeadlineState.OPEN, settled, start.reason
        if self.rule.confidence == "local" and not reason:
            reason = f"{iso(self.rule.count.duration)} is a local figure; {start.basis} gives none"
        if due > base:
            reason = f"counted to {self.day(base)}, but a condition was missing until {self.day(due)}"
        if settled is not None and (ended is None or settled <= ended[0]):
            state = DeadlineState.MET if in_time(settled, due) else DeadlineState.MET_LATE
        elif ended is not None:
            state, at, reason = DeadlineState.VOID, ended[0], self.why(ended, due)
        elif missing:
            state, reason = DeadlineState.VOID, "; ".join(f"{r.missing} ({r.basis})" for r in missing)
        elif not in_time(self.now, due):
            state = DeadlineState.MISSED
        return Deadline(
            kind=self.rule.kind,
            actor=self.rule.actor,
            party=party,
            due_at=due,
            state=state,
            basis=start.basis,
            confidence=start.confidence,
            since=local(start.at, self.zone),
            settled_at=local(at, self.zone) if at is not None else None,
            remind_at=self._remind_at(start, due) if state is DeadlineState.OPEN else None,
            reason=reason,
        )

    def _remind_at(self, start: Start, due: datetime) -> datetime:
        return local(max(start.at, due.astimezone(UTC) - self.rule.remind_before), self.zone)

    # --- words ---

    def _next_day(self, at: datetime) -> datetime:
        """The first second of the first local day that begins no earlier than `at`."""
        day = local_date(at, self.zone)
        begins = first_second(day, self.zone)
        return begins if begins >= at else first_second(day + timedelta(days=1), self.zone)

    def stamp(self, at: datetime) -> str:
        return f"{at.astimezone(self.zone):%A %Y-%m-%d %H:%M:%S}"

    def day(self, at: datetime) -> str:
        return f"{at.astimezone(self.zone):%A %Y-%m-%d}"


def _addressed(entry: Entry, party: str | None) -> bool:
    return party is None or not entry.notice.receivers or party in entry.notice.receivers
