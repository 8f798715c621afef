"""One rule read over one case: whom it concerns, from when, how far, what has settled it and what ends it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from adapter.discharge.agreement import Agreement
from adapter.discharge.case import STAY_ENDS, Case, Entry, Step
from adapter.discharge.counting import (
    Ground,
    first_second,
    in_time,
    last_second,
)
from adapter.discharge.notices import AnswerValue, NoticeKind, local_date
from adapter.discharge.occasions import Occasion, asks, readinesses, thread, told_at
from adapter.discharge.pathways import FOLLOW_UP, WATCH
from adapter.discharge.rules import PartyIs, Rule, Telling, Time
from adapter.discharge.sentences import Say, Sentence, of_file, timed

_ENDINGS = {
    NoticeKind.READINESS_WITHDRAWN: Say.WITHDRAWN,
    NoticeKind.DISCHARGED: Say.DISCHARGED,
    NoticeKind.DECEASED: Say.DIED,
    NoticeKind.CLOSED: Say.CLOSED_BY_HAND,
    NoticeKind.LEFT_AGAINST_ADVICE: Say.LEFT,
    NoticeKind.NO_MUNICIPAL_NEED: Say.NO_NEED,
    NoticeKind.SIP_DECLINED: Say.SIP_DECLINED,
    NoticeKind.PROCESS_INTERRUPTED: Say.INTERRUPTED,
}
_STEPS = {
    Time.DELIVERED: (Step.DELIVERED, Step.ACCEPTED, Step.REFUSED),  # any application receipt shows as much
    Time.ACCEPTED: (Step.ACCEPTED,),
    Time.SEEN: (Step.SEEN,),
}
_OF_THE_STAY = ("psychiatric",)
"""Flags that hold from the first notice, whichever one tells them; others hold from the notice that does."""


@dataclass(frozen=True, slots=True)
class Start:
    """When the count begins, and by which paragraph."""

    at: datetime
    basis: str
    confidence: str
    said: Sentence
    remark: Sentence | None = None
    later: bool = False


@dataclass(frozen=True, slots=True)
class Ending:
    """What ended a duty or a readiness."""

    at: datetime
    kind: NoticeKind
    said: Sentence


@dataclass(frozen=True, slots=True)
class Reading:
    """One rule read over one case."""

    case: Case
    rule: Rule
    terms: Agreement
    now: datetime
    roles: Mapping[str, str]
    zone: ZoneInfo
    readinesses: Sequence[Occasion]  # of the case, the same for every rule

    def begin(
        self, occasion: Occasion, party: str | None, *, beside: bool = True
    ) -> tuple["Reading", Start] | None:
        """The rule as it holds for this receiver on the day of the start, and that start.

        Without `beside`, only by the rule's own paragraph, not by a later start that another one grants.
        """
        start = self.start(occasion, party, beside=beside)
        if start is None:
            return None
        day = local_date(start.at, self.zone)
        if not self.rule.in_force(day) or not self.rule.between <= set(self._between(party)):
            return None
        changed = self.terms.rule(self.rule, self._between(party), day)
        if changed is self.rule:
            return self, start
        reading = replace(self, rule=changed)
        again = reading.start(occasion, party, beside=beside)
        return None if again is None else (reading, again)

    def _between(self, party: str | None) -> tuple[str | None, ...]:
        """The hospital and the party; the case's municipality too, unless the party is another one."""
        another = party is not None and self._is(party, ("municipality",))
        return (self.case.hospital, party, None if another else self.case.municipality)

    def occasions(self) -> list[Occasion]:
        trigger = self.rule.trigger
        if trigger.longest_stay is not None and self._stay() <= trigger.longest_stay:
            return []
        if trigger.placed is not None and not self._placed(trigger.placed):
            return []
        if trigger.notice is NoticeKind.READY_FOR_DISCHARGE:
            return [o for o in self.readinesses if o.fits(trigger.only_if, trigger.unless)]
        entries = self.case.of(trigger.notice)
        if trigger.notice is NoticeKind.ADMITTED and trigger.only_if is not None:
            return [Occasion((e,)) for e in entries if asks(self.case, e, trigger.only_if)]
        admission = trigger.notice is NoticeKind.ADMITTED and self.case.admitted_at is not None
        return [Occasion(entries)] if entries or admission else []

    def _placed(self, name: str) -> bool:
        """Whether the case is on that pathway or in that group, by a placement on a day on which it holds."""
        placement = self.rule.placement
        return any(
            e.notice.placement == name and (placement is None or placement.holds(local_date(e.at, self.zone)))
            for e in self.case.of(NoticeKind.PLACED)
        )

    def _stay(self) -> timedelta:
        """How long the stay was; longer than any, where its admission is not known."""
        if self.case.admitted_at is None:
            return timedelta.max
        return (self.case.discharged_at or self.now) - self.case.admitted_at

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
            responsible = self._responsible(occasion, self.rule.responsible)
            told = any(e.notice.receivers for e in occasion.entries)
            return () if responsible is None and told else (responsible,)  # nobody, where others were told
        of_occasion = self.rule.receivers_of == (self.rule.trigger.notice,)
        entries = occasion.entries if of_occasion else self.case.of(*self.rule.receivers_of)
        found = {r for e in entries for r in e.notice.receivers if self._is(r, self.rule.roles)}
        if not found and self.rule.only_told and any(e.notice.receivers for e in entries):
            return ()
        return tuple(sorted(found)) or (None,)

    def _responsible(self, occasion: Occasion, role: str) -> str | None:
        """The party of that role among the receivers: the case's own if it is one of them, or there are none.

        Who becomes responsible later takes over from there; the days before stay with the first.
        """
        candidates = self.candidates(occasion, role)
        own = self.case.municipality
        told = any(e.notice.receivers for e in occasion.entries)
        if own is not None and (own in candidates or (not told and self._is(own, (role,)))):
            return own
        return candidates[0] if candidates else None

    def candidates(self, occasion: Occasion, role: str) -> list[str]:
        """Those told of a readiness who may be responsible from its beginning, who was told last first."""
        told = [r for e in reversed(occasion.entries) for r in e.notice.receivers if self._is(r, (role,))]
        later = {p for at, p in self.successions() if occasion.told_at is not None and at > occasion.told_at}
        told = [r for r in told if r not in later] or told
        return [r for r in told if self._role(r) == role] or told

    def successions(self) -> list[tuple[datetime, str]]:
        """When which municipality became responsible instead of the one before."""
        changes = self.case.of(NoticeKind.RESPONSIBLE_MUNICIPALITY_CHANGED)
        named = ((e, self.responsible(e)) for e in changes)
        return [(e.at.astimezone(UTC), party) for e, party in named if party is not None]

    def responsible(self, entry: Entry) -> str | None:
        """The municipality among the receivers of a notice."""
        found = [r for r in entry.notice.receivers if self._is(r, ("municipality",))]
        return next((r for r in found if self._role(r) == "municipality"), found[0] if found else None)

    # --- when ---

    def when(self, entry: Entry, which: Time, party: str | None) -> datetime | None:
        """The first time that counts, of the notice or of what it corrects."""
        if which is Time.OCCURRED:
            return entry.at.astimezone(UTC)
        return min((at for at, _ in self._each_time(entry, which, party)), default=None)

    def _each_time(self, entry: Entry, which: Time, party: str | None) -> list[tuple[datetime, Entry]]:
        told = thread(self.case, entry)
        if which is Time.SENT:
            mine = [e for e in told if addressed(e, party)] or told
            return [(e.notice.sent_at.astimezone(UTC), e) for e in mine]
        return [
            (e.at.astimezone(UTC), notice)
            for notice in told
            for e in notice.evidence
            if e.step in _STEPS[which]
            and (e.party == party if party is not None else self._is(e.party, self.rule.roles))
            and not (self.rule.accepted_only and notice.first(Step.ACCEPTED, e.party) is None)
        ]

    def start(self, occasion: Occasion, party: str | None, *, beside: bool = True) -> Start | None:
        rule = self.rule
        if rule.trigger.notice is not NoticeKind.ADMITTED or rule.trigger.time is not Time.OCCURRED:
            return self._from_notice(occasion, party)
        if self.case.admitted_at is None:
            return None
        if rule.trigger.only_if is not None:
            return self._start(occasion.entries[0].at.astimezone(UTC))
        admitted = self.case.admitted_at.astimezone(UTC)
        later = self._later(occasion, party, admitted)
        if later is None or (later.basis != rule.basis and not beside):
            return self._start(admitted)
        return later

    def _start(self, at: datetime, remark: Sentence | None = None, *, announced: bool = False) -> Start:
        trigger = self.rule.trigger
        if announced:
            told = Say.NOTICE_READY_DAY.of(notice=trigger.notice, day=self.day(at))
        else:
            told = timed(trigger.time, trigger.notice, self.stamp(at))
        return Start(at, self.rule.basis, self.rule.confidence, told, remark)

    def _from_notice(self, occasion: Occasion, party: str | None) -> Start | None:
        """From the first notice that counts; an announcement gives way to what is told before its day."""
        trigger = self.rule.trigger
        told = [
            (at, e)
            for e in occasion.entries
            if (trigger.only_if in (None, *_OF_THE_STAY) or getattr(e.notice, str(trigger.only_if)))
            and (e.notice.kind in STAY_ENDS or addressed(e, party))  # the stay ends for all, whoever is told
            and (at := self._known_at(e, party)) is not None
        ]
        started, announced = None, False
        for at, e in sorted(told, key=lambda pair: (pair[0], pair[1].notice.message_id)):
            if started is not None and at >= started:
                break
            begins = self.ready_day(e)
            announced = trigger.from_ready_day and begins > at
            started = begins if announced else at
        if started is None:
            return None
        ahead = announced and started > self.now
        remark = Say.ANNOUNCED.of(day=self.day(started)) if ahead else None
        return self._start(started, remark, announced=announced)

    def _known_at(self, entry: Entry, party: str | None) -> datetime | None:
        """When the notice counted; one that corrects a later ready day to an earlier one, by its own time."""
        trigger = self.rule.trigger
        if not trigger.from_ready_day:
            return self.when(entry, trigger.time, party)
        known, day = self._each_time(entry, trigger.time, party), self.ready_day(entry)
        so_soon = [at for at, told in known if self.ready_day(told) <= max(day, at)]
        return min(so_soon or (at for at, _ in known), default=None)

    def ready_day(self, entry: Entry) -> datetime:
        """The first second of the day from which the notice says that the patient is ready."""
        day = local_date(entry.notice.ready or entry.notice.occurred, self.zone)
        return first_second(day, self.zone).astimezone(UTC)

    def _later(self, occasion: Occasion, party: str | None, admitted: datetime) -> Start | None:
        """From a need that shows after admission, unless what the rule asks for had been done by then."""
        later = self.rule.later
        if later is None:
            return None
        needs = [(self.when(e, later.time, party), e) for e in self.case.of(later.notice)]
        done = self.settled(occasion, party, None)
        times = sorted(at for at, _ in needs if at is not None and at > admitted and (not done or at < done))
        denied = [e.at.astimezone(UTC) for e in self.case.of(NoticeKind.NO_MUNICIPAL_NEED)]
        anew = [at for at in times if denied and at > max(denied)]
        if not times:
            return None
        at = (anew or times)[0]
        told = Say.NOTICE_OCCURRED.of(notice=later.notice, at=self.stamp(at))
        remark = Say.LATER_NEED.of(at=self.stamp(at))
        if later.basis != self.rule.basis:
            due = self.rule.count.due(admitted, self.ground(occasion, party, admitted))
            if due is not None:
                remark = Say.LATER_NEED_BESIDE.of(
                    at=self.stamp(at), basis=of_file(self.rule.basis), due=self.stamp(due)
                )
        return Start(at, later.basis, later.confidence, told, remark, later=True)

    # --- how far ---

    def ground(self, occasion: Occasion, party: str | None, at: datetime) -> Ground:
        planned = self.case.planned_discharge
        leaves = self.case.discharged_at or (last_second(planned, self.zone) if planned else None)
        calendar = self.terms.calendar(self._between(party), local_date(at, self.zone))
        named = (e.notice.follow_up for e in reversed(occasion.entries) if e.notice.follow_up is not None)
        return Ground(calendar=calendar, leaves_at=leaves, named_day=next(named, None))

    # --- what settles it ---

    def tellings(self, telling: Telling, party: str | None) -> list[Entry]:
        """The notices of these kinds, by whom they must be, in the order in which they were told."""
        found = [
            e
            for e in self.case.of(*telling.notices)
            if self._is(e.notice.sender, telling.by)
            and (telling.party_is is not PartyIs.RECEIVER or addressed(e, party))
            and (e.notice.fulfils is None or self.rule.kind == f"{FOLLOW_UP}{e.notice.fulfils}")
        ]
        if len(found) < 2:
            return found
        return sorted(found, key=lambda e: (told_at(self.case, e), e.notice.message_id))

    def _answers(self, occasion: Occasion, telling: Telling, party: str | None) -> list[Entry]:
        """The answers to this readiness: by reference, else by time; the party's own, or its successor's."""
        told = self.tellings(telling, party)
        if not told:
            return told
        first, until = occasion.told_at, occasion.withdrawn_at
        elsewhere = {e.notice.message_id for e in self.case.of(NoticeKind.READY_FOR_DISCHARGE)} - occasion.ids

        def belongs(e: Entry) -> bool:
            about = {one.notice.refers_to for one in thread(self.case, e)}  # of a correction: the first one's
            if about & occasion.ids:
                return True
            at = told_at(self.case, e)
            in_order = (first is None or first <= at) and (until is None or at < until)
            return in_order and not about & elsewhere

        receivers = {r for e in occasion.entries for r in e.notice.receivers}

        def own(e: Entry) -> bool:
            sender, at = e.notice.sender, told_at(self.case, e)
            if party is None or sender == party:
                return True
            succeeds = any(since <= at and sender == other for since, other in self.successions())
            if self.rule.responsible is not None and succeeds:
                return True
            return sender not in receivers and (succeeds or e.notice.refers_to in occasion.ids)

        return [e for e in told if belongs(e) and own(e)]

    def settled(
        self, occasion: Occasion, party: str | None, due: datetime | None, since: datetime | None = None
    ) -> datetime | None:
        times = (self.settled_by(t, occasion, party, due, since) for t in self.rule.satisfied_by)
        return min((at for at in times if at is not None), default=None)

    def settled_by(
        self,
        telling: Telling,
        occasion: Occasion,
        party: str | None,
        due: datetime | None,
        since: datetime | None = None,
    ) -> datetime | None:
        if NoticeKind.ANSWER not in telling.notices:
            found = self.tellings(telling, party)
        else:
            found = self._answers(occasion, telling, party)
        if telling.says == AnswerValue.CAN_RECEIVE:
            return self._can_receive(found, due)
        times = (self.when(e, telling.time, party) for e in found)
        after = telling.after or self.rule.earliest is not None
        counts = (at for at in times if at is not None and not (after and since and at < since))
        return min(counts, default=None)

    def opens(self, start: Start) -> datetime | None:
        """From when on something can satisfy it, to the second; None where that is from the start on."""
        if self.rule.earliest is None:
            return None
        return start.at.replace(microsecond=0) + self.rule.earliest

    def too_early(
        self, occasion: Occasion, party: str | None, start: Start, opens: datetime
    ) -> tuple[Entry, datetime] | None:
        """The last of what would have satisfied it after the start, had it not come before it opens."""
        told = (
            (e, self.when(e, t.time, party)) for t in self.rule.satisfied_by for e in self.tellings(t, party)
        )
        found = [(e, at) for e, at in told if at is not None and start.at <= at < opens]
        return max(found, key=lambda pair: (pair[1], pair[0].notice.message_id), default=None)

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

    def last_answer(self, occasion: Occasion, party: str | None) -> Entry | None:
        """What the municipality said last to this readiness."""
        found = self.answers(occasion, party)
        return max(found, key=lambda e: (e.notice.sent_at, e.notice.message_id), default=None)

    def answers(self, occasion: Occasion, party: str | None) -> list[Entry]:
        """All that it said to this readiness, in the order in which it was told."""
        telling = Telling(notices=(NoticeKind.ANSWER,), time=Time.SENT, by=("municipality",))
        return self._answers(occasion, telling, party)

    def suspended(self, occasion: Occasion, party: str | None) -> Sentence | None:
        """Why silence says nothing now: the last answer waits for a person to classify it."""
        if not any(t.says == "unclassified" for t in self.rule.suspended_by):
            return None
        last = self.last_answer(occasion, party)
        if last is None or last.notice.answer is not AnswerValue.UNCLASSIFIED:
            return None
        return Say.SUSPENDED.of(at=self.stamp(last.notice.sent_at))

    # --- what ends it ---

    def endings(self, kinds: Iterable[NoticeKind], occasion: Occasion) -> list[Ending]:
        found: list[Ending] = []
        for kind in kinds:
            if kind is NoticeKind.READINESS_WITHDRAWN:
                if occasion.withdrawn_at is not None:
                    found.append(self._ending(occasion.withdrawn_at, kind))
            elif kind is NoticeKind.CLOSED:
                if self.case.closed_at is not None:
                    found.append(self._ending(self.case.closed_at.astimezone(UTC), kind))
            elif self.case.has(kind):
                found.extend(self._ending(e.at.astimezone(UTC), kind) for e in self.case.ending(kind))
            elif kind is NoticeKind.DECEASED and self.case.died_at is not None:
                found.append(self._ending(self.case.died_at, kind))
        return sorted(found, key=lambda end: (end.at, end.kind)) if len(found) > 1 else found

    def _ending(self, at: datetime, kind: NoticeKind) -> Ending:
        says = _ENDINGS.get(kind)
        stamp = self.stamp(at)
        return Ending(at, kind, says.of(at=stamp) if says else Say.ENDED.of(notice=kind, at=stamp))

    def ended(self, occasion: Occasion, start: Start, due: datetime) -> Ending | None:
        closed = self.endings((*self.rule.closed_by, NoticeKind.CLOSED), occasion)
        voided = [end for end in self.endings(self.rule.voided_by, occasion) if end.at < due]
        voided += self._admitted_again(due)
        if not closed and not voided:
            return None
        denials = [end for end in closed if end.kind is NoticeKind.NO_MUNICIPAL_NEED]
        overtaken = [end for end in denials if self._needed_after(end.at, start)]
        closed = [end for end in closed if end not in overtaken]
        return min((*closed, *voided), key=lambda end: (end.at, end.kind), default=None)

    def _admitted_again(self, due: datetime) -> list[Ending]:
        """A readmission ends what was to follow the discharge; any new stay ends the watch for one."""
        again, kind = self.case.again, self.rule.kind
        if again is None or not (kind == WATCH or (again.readmission and kind.startswith(FOLLOW_UP))):
            return []
        in_time_ = kind == WATCH or again.at < due
        return [Ending(again.at, NoticeKind.ADMITTED, again.said)] if in_time_ else []

    def _needed_after(self, denied_at: datetime, start: Start) -> bool:
        """Whether a need showed after it was denied: identified, or told as ready; then the duty stands."""
        if start.later or self.rule.trigger.notice is NoticeKind.ADMITTED:
            return start.later and denied_at < start.at
        needs = self.case.of(NoticeKind.NEED_IDENTIFIED, NoticeKind.READY_FOR_DISCHARGE)
        return any(e.at > denied_at for e in needs)

    def why(self, ended: Ending, due: datetime) -> Sentence:
        """What ended it, and that it had been due before."""
        if in_time(ended.at, due):
            return ended.said
        return Say.ENDED_LATE.of(ended=ended.said, due=self.stamp(due))

    # --- words ---

    def next_day(self, at: datetime) -> date:
        """The first local day that begins no earlier than `at`."""
        day = local_date(at, self.zone)
        return day if first_second(day, self.zone) >= at else day + timedelta(days=1)

    def stamp(self, at: datetime) -> datetime:
        """The instant on the hospital's clock, as sentences show it."""
        return at.astimezone(self.zone)

    def day(self, at: datetime) -> date:
        """The day where the hospital is."""
        return at.astimezone(self.zone).date()


def readings(
    case: Case, agreement: Agreement, now: datetime, roles: Mapping[str, str] | None
) -> Iterator[Reading]:
    """Each rule of the country and of the region whose trigger the case has, laid over the case."""
    known = roles or {}
    if case.hospital is not None and known.get(case.hospital, "hospital") not in ("hospital", "unknown"):
        return
    at, zone, ready = now.astimezone(UTC), agreement.zone, readinesses(case)
    for rule in agreement.every_rule:
        notice = rule.trigger.notice
        if case.has(notice) or (notice is NoticeKind.ADMITTED and case.admitted_at is not None):
            yield Reading(case, rule, agreement, at, known, zone, ready)


def addressed(entry: Entry, party: str | None) -> bool:
    return party is None or not entry.notice.receivers or party in entry.notice.receivers
