"""A case is a fold over its facts: ordered by event time, never by arrival.

Facts are notices and evidence about them. Stays are cut *in* the fold (same encounter id, else the same
admission time, else the stay open at the event time), and a case is a chain of stays until home, care
home, hospice or death, or until staff close it by hand. A hospital whose standard tells no discharge at a
transfer (`Notice.notification`) has handed the patient over when another one admits. Every order of arrival
folds to the same cases.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, tzinfo
from enum import StrEnum
from types import MappingProxyType

from adapter.discharge.conversation import Root, key, roots
from adapter.discharge.matching import copies
from adapter.discharge.notices import (
    Decliner,
    Moment,
    Notice,
    NoticeKind,
    Standing,
    Way,
    instant,
    local_date,
)
from adapter.discharge.sentences import Sentence


class Step(StrEnum):
    """What is known to have happened to a notice on its way to one receiver (docs/glossary.md)."""

    DELIVERED = "delivered"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    NOT_RECEIVED = "not-received"  # no receipt within the standard's time, which counts as a refusal (N-02)
    SEEN = "seen"
    CONFIRMED = "confirmed"  # somebody there has said so, by telephone or on paper (by_hand.py)

    __hash__ = str.__hash__  # the enum's own is not C, and these are looked up for every message


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """Something learned about a notice: which step, when, for which receiver, and from where we know it."""

    step: Step
    message_id: str
    sender: str  # of the notice: message ids are unique per sender only
    party: str  # the receiver that it is about
    at: datetime
    source: str = ""
    way: Way | None = None  # recorded by a person


Fact = Notice | Evidence


class CaseState(StrEnum):
    """Where the patient is."""

    ADMITTED = "admitted"
    ON_LEAVE = "on-leave"
    READY = "ready"
    DISCHARGED = "discharged"
    DECEASED = "deceased"
    CLOSED = "closed"  # by hand: staff say that it is over, and no message has said so
    CANCELLED = "cancelled"  # every notice of it has been cancelled


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A notice in its case: `void` when cancelled, `replaced_by` when corrected."""

    notice: Notice
    at: datetime  # the instant by which it is ordered
    evidence: tuple[Evidence, ...] = ()
    void: bool = False
    replaced_by: str | None = None

    @property
    def counts(self) -> bool:
        """Whether it still says something about the stay."""
        return (
            not self.void
            and self.replaced_by is None
            and self.notice.standing is not Standing.CANCELLATION
            and not self.notice.beside
        )

    def first(self, step: Step, party: str | None = None) -> datetime | None:
        """The earliest instant at which `step` is known, for `party` or for any receiver."""
        times = [e.at for e in self.evidence if e.step is step and party in (None, e.party)]
        return min(times, default=None)

    def replaced(self, party: str) -> Step | None:
        """The receiver's yes or no that a newer word of its has replaced, where its standard has that."""
        last: dict[Step, datetime] = {}
        for e in self.evidence:
            if e.party == party and e.step in (Step.ACCEPTED, Step.REFUSED):
                last[e.step] = max(e.at, last.get(e.step, e.at))
        if len(last) < 2 or last[Step.ACCEPTED] == last[Step.REFUSED]:
            return None
        return min(last, key=lambda step: last[step])


@dataclass(frozen=True, kw_only=True, slots=True)
class Again:
    """The next admission after the discharge, as the case before it sees it."""

    at: datetime
    readmission: bool  # or possibly one; else planned, or the same course
    said: Sentence


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A chain of stays of one patient, as far as its facts tell."""

    hospital: str | None  # where the patient is or was last
    municipality: str | None
    state: CaseState
    admitted_at: datetime | None
    ready_at: datetime | None  # of the readiness that stands; None after a withdrawal
    discharged_at: datetime | None  # or closed by hand
    planned_discharge: date | None
    entries: tuple[Entry, ...]
    zone: tzinfo = field(compare=False)
    again: Again | None = None  # known only beside the patient's other cases (readmission.py)
    died_at: datetime | None = None  # a death that another case tells
    corrected: Mapping[tuple[str, str], tuple[Entry, ...]] = field(init=False, compare=False, repr=False)
    """What each (sender, message id) has replaced: asked for every entry, so not searched for each time."""
    _by_kind: Mapping[NoticeKind, tuple[Entry, ...]] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        found: dict[tuple[str, str], tuple[Entry, ...]] = {}
        for e in self.entries:
            if e.replaced_by is not None:
                by = (e.notice.sender, e.replaced_by)
                found[by] = (*found.get(by, ()), e)
        object.__setattr__(self, "corrected", found)
        by_kind: dict[NoticeKind, tuple[Entry, ...]] = {}
        for e in self.entries:
            if e.counts:
                by_kind[e.notice.kind] = (*by_kind.get(e.notice.kind, ()), e)
        object.__setattr__(self, "_by_kind", by_kind)

    def has(self, kind: NoticeKind) -> bool:
        """Whether a notice of that kind counts."""
        return kind in self._by_kind

    def of(self, *kinds: NoticeKind) -> tuple[Entry, ...]:
        """The entries of these kinds that count, in event order."""
        if len(kinds) == 1:
            return self._by_kind.get(kinds[0], ())
        found = {kind for kind in kinds if kind in self._by_kind}
        if len(found) < 2:
            return self._by_kind[found.pop()] if found else ()
        return tuple(e for e in self.entries if e.counts and e.notice.kind in found)

    def ending(self, kind: NoticeKind) -> tuple[Entry, ...]:
        """The entries of that kind that end something: a party that declines a plan ends nothing by it."""
        return tuple(e for e in self.of(kind) if e.notice.declined_by is not Decliner.PARTY)

    @property
    def closed_at(self) -> datetime | None:
        """When staff closed it; None where it is open, or a message has told its end."""
        return self.discharged_at if self.state is CaseState.CLOSED else None

    @property
    def transfers(self) -> tuple[Entry, ...]:
        """The admissions by which another hospital took the patient over, in event order."""
        found, where = [], None
        for e in self.of(NoticeKind.ADMITTED):
            if where is not None and e.notice.hospital not in (None, where):
                found.append(e)
            where = e.notice.hospital or where
        return tuple(found)

    @property
    def placements(self) -> tuple[str, ...]:
        """The pathways and groups on which it has been placed and not taken off, in that order, each once."""
        names = (e.notice.placement for e in self.of(NoticeKind.PLACED))
        return tuple(dict.fromkeys(name for name in names if name is not None))

    @property
    def encounter(self) -> str | None:
        """The hospital's id of the stay that was told last, where one was told."""
        named = (e.notice.encounter for e in reversed(self.entries) if e.notice.encounter is not None)
        return next(named, None)

    @property
    def day_only(self) -> tuple[str, ...]:
        """Which of `admitted_at`, `ready_at` and `discharged_at` are told as a day, without a time of day."""
        told = {
            "admitted_at": self.admitted_at,
            "ready_at": self.ready_at,
            "discharged_at": self.discharged_at,
        }
        spoken = [
            (name, m, e.notice.sent_at) for e in self.entries if e.counts for name, m in _told_by(e.notice)
        ]
        timed: dict[str, list[bool]] = {name: [] for name in told}
        for name, moment, sent_at in spoken:
            if instant(moment, sent_at=sent_at, zone=self.zone) == told[name]:
                timed[name].append(isinstance(moment, datetime))
        return tuple(name for name, found in timed.items() if found and not any(found))


def _told_by(notice: Notice) -> Iterator[tuple[str, Moment]]:
    """The moments of a case that a notice tells, by the name that the case gives them."""
    admitted = notice.occurred if notice.kind is NoticeKind.ADMITTED else notice.admitted
    if admitted is not None:
        yield "admitted_at", admitted
    if notice.kind is NoticeKind.READY_FOR_DISCHARGE:
        yield "ready_at", notice.ready or notice.occurred
    if notice.kind in STAY_ENDS:
        yield "discharged_at", notice.occurred


# --- the fold ---------------------------------------------------------------------------------------------

STAY_ENDS = (NoticeKind.DISCHARGED, NoticeKind.DECEASED, NoticeKind.LEFT_AGAINST_ADVICE)
_CUTS = (*STAY_ENDS, NoticeKind.CLOSED)
"""After which an admission begins a new case."""
BESIDE_THE_STAY = (NoticeKind.PLACED, NoticeKind.FOLLOWED_UP, NoticeKind.CLOSED)
"""What is told of a patient by whoever it may be, and shows no stay."""
_OF_A_STAY = (NoticeKind.ADMITTED, *STAY_ENDS)
_BEGINS = (NoticeKind.ADMITTED, NoticeKind.READY_FOR_DISCHARGE, NoticeKind.LEAVE_STARTED)


def fold(facts: Iterable[Fact], zone: tzinfo) -> tuple[Case, ...]:
    """The cases of one patient, in event order; the same for every order of `facts`.

    `zone` is the hospital's: days without a time are its days.
    """
    entries = _entries(facts, zone)
    threads = _threads(entries)
    stays: list[_Stay] = []
    for hospital in sorted({t.hospital for t in threads if t.hospital is not None}):
        stays.extend(_stays([t for t in threads if t.hospital == hospital], zone, hospital))
    cases = [_case(chain[-1].hospital, chain, zone) for chain in _chains(stays)]
    homeless = [t for t in threads if t.hospital is None]
    return tuple(sorted(_settle(cases, homeless, zone), key=lambda case: _key(case.entries[0])))


@dataclass(slots=True)
class _Thread:
    """A notice with its corrections and cancellations; `stands` is what it says now, None when cancelled."""

    members: list[Entry]
    stands: Entry | None

    @property
    def speaks(self) -> Entry:
        return self.stands or self.members[-1]

    @property
    def at(self) -> datetime:
        return self.speaks.at

    @property
    def hospital(self) -> str | None:
        return self.speaks.notice.hospital

    @property
    def admission(self) -> Moment | None:
        return _admission(self.speaks.notice)

    @property
    def admissions(self) -> tuple[Moment, ...]:
        """By which its stay is known: a HospitalNotification may repeat what has been corrected since."""
        if not self.notification:
            own = self.admission
            return () if own is None else (own,)
        found = (_admission(e.notice) for e in self.members)
        return tuple(one for one in found if one is not None)

    @property
    def notification(self) -> bool:
        return self.speaks.notice.notification


def _admission(notice: Notice) -> Moment | None:
    return notice.occurred if notice.kind is NoticeKind.ADMITTED else notice.admitted


@dataclass(slots=True)
class _Stay:
    """A stay while it is being cut: what is known of its bounds, and the threads that belong to it."""

    threads: list[_Thread]
    hospital: str | None = None
    admissions: list[Moment] = field(default_factory=list)  # by which its threads know it, each once
    start: datetime | None = None
    end: datetime | None = None

    @property
    def alive(self) -> bool:
        return any(t.stands for t in self.threads)

    @property
    def begins(self) -> datetime:
        return self.start or min(t.at for t in self.threads)

    @property
    def notified(self) -> bool:
        """Whether HospitalNotifications tell of it."""
        return any(t.notification for t in self.threads)

    def add(self, thread: _Thread) -> None:
        self.threads.append(thread)
        self.admissions += [one for one in thread.admissions if one not in self.admissions]
        stands = thread.stands
        if stands is not None and stands.notice.kind in _CUTS and not stands.notice.beside:
            self.end = stands.at if self.end is None else min(self.end, stands.at)


def _key(entry: Entry) -> tuple[datetime, datetime, str, str]:
    notice = entry.notice
    return entry.at, notice.sent_at, notice.message_id, notice.sender


def _entries(facts: Iterable[Fact], zone: tzinfo) -> list[Entry]:
    """One entry a notice, in event order, each with its evidence."""
    notices: dict[tuple[str, str], Notice] = {}
    evidence: dict[tuple[str, str], set[Evidence]] = {}
    for fact in facts:
        known = (fact.sender, fact.message_id)
        if isinstance(fact, Notice):
            notices[known] = fact
        else:
            evidence.setdefault(known, set()).add(fact)
    made = [
        Entry(
            notice=notice,
            at=instant(notice.occurred, sent_at=notice.sent_at, zone=zone),
            evidence=tuple(sorted(evidence.get(known, ()), key=lambda e: (e.at, e.step, e.party, e.source))),
        )
        for known, notice in notices.items()
    ]
    return sorted(made, key=_key)


def _threads(entries: list[Entry]) -> list[_Thread]:
    """Tie corrections and cancellations to what they correct or cancel; either may have arrived first."""
    found = roots(e.notice for e in entries)
    grouped: dict[Root, list[Entry]] = {}
    for e in entries:
        grouped.setdefault(found[key(e.notice)], []).append(e)
    return [_thread(members) for members in grouped.values()]


def _thread(members: list[Entry]) -> _Thread:
    """A cancellation ends the whole thread, whatever came after it; else the last correction stands."""
    told = sorted(members, key=lambda e: (e.notice.sent_at, e.notice.message_id))
    if any(e.notice.standing is Standing.CANCELLATION for e in told):
        return _Thread([_marked(e, void=e.notice.standing is not Standing.CANCELLATION) for e in told], None)
    last = told[-1]
    marked = [_marked(e, replaced_by=last.notice.message_id) for e in told[:-1]]
    return _Thread([*marked, last], last)


def _marked(entry: Entry, *, void: bool = False, replaced_by: str | None = None) -> Entry:
    return Entry(
        notice=entry.notice, at=entry.at, evidence=entry.evidence, void=void, replaced_by=replaced_by
    )


def _stays(threads: list[_Thread], zone: tzinfo, hospital: str | None) -> list[_Stay]:
    """Cut one hospital's threads into stays: by encounter id, else by admission, else by time."""
    ordered = sorted(threads, key=lambda t: _key(t.speaks))
    by_encounter: dict[str, _Stay] = {}
    stays: list[_Stay] = []
    unplaced: list[_Thread] = []
    for thread in ordered:
        encounter = thread.speaks.notice.encounter
        if encounter is None:
            unplaced.append(thread)
            continue
        if encounter not in by_encounter:
            by_encounter[encounter] = _Stay([], hospital)
            stays.append(by_encounter[encounter])
        _place(by_encounter[encounter], thread, zone)
    by_time: list[_Thread] = []
    for thread in unplaced:
        if thread.admission is None:
            by_time.append(thread)
            continue
        found = next((s for s in stays if _same_admission(s, thread, zone)), None)
        if found is None:
            found = _Stay([], hospital)
            stays.append(found)
        _place(found, thread, zone)
    for stay in stays:
        _cancel(stay)
    for thread in by_time:
        found = _stay_at(stays, thread)
        if found is None:
            found = _Stay([], hospital)
            stays.append(found)
        _place(found, thread, zone)
    return stays


def _place(stay: _Stay, thread: _Thread, zone: tzinfo) -> None:
    stay.add(thread)
    admission = thread.admission
    if admission is None or thread.stands is None:
        return
    at = instant(admission, sent_at=thread.speaks.notice.sent_at, zone=zone)
    is_the_notice = thread.speaks.notice.kind is NoticeKind.ADMITTED
    repeats = thread.notification and not is_the_notice  # what its notice says, or said once
    if stay.start is None or is_the_notice or (at < stay.start and not (repeats and _told_itself(stay))):
        stay.start = at


def _told_itself(stay: _Stay) -> bool:
    return any(t.stands and t.stands.notice.kind is NoticeKind.ADMITTED for t in stay.threads)


def _same_admission(stay: _Stay, thread: _Thread, zone: tzinfo) -> bool:
    return any(_same(one, other, zone) for one in thread.admissions for other in stay.admissions)


def _same(one: Moment, other: Moment, zone: tzinfo) -> bool:
    if isinstance(one, datetime) and isinstance(other, datetime):
        return one == other
    return local_date(one, zone) == local_date(other, zone)


def _cancel(stay: _Stay) -> None:
    """An admission cancelled by a HospitalNotification cancels the stay, with all that it was told of."""
    admissions = [t for t in stay.threads if t.notification and t.speaks.notice.kind is NoticeKind.ADMITTED]
    if not admissions or any(t.stands for t in admissions):
        return
    for thread in stay.threads:
        if thread.notification and thread.stands is not None:
            thread.members = [_marked(e, void=True) for e in thread.members]
            thread.stands = None
    stay.end = None


def _stay_at(stays: list[_Stay], thread: _Thread) -> _Stay | None:
    """The stay open at the thread's time; after a discharge, the last one, unless something begins anew.

    What was told of a stay before HospitalNotifications cancelled it stays with it, where there is no other.
    """
    begun = [s for s in stays if s.begins <= thread.at]
    before = [s for s in begun if s.alive or thread.stands is None] or [s for s in begun if s.notified]
    open_then = [s for s in before if s.end is None or thread.at <= s.end]
    latest = max(open_then or before, key=lambda s: s.begins, default=None)
    if latest is not None and (open_then or thread.speaks.notice.kind not in _BEGINS):
        return latest
    return None


def _chains(stays: list[_Stay]) -> list[list[_Stay]]:
    """A stay that begins while the one before is open continues its case: a transfer is no discharge."""
    chains: list[list[_Stay]] = []
    for stay in sorted(stays, key=_first):
        open_chain = next((c for c in reversed(chains) if stay.alive and _continues(stay, c[-1])), None)
        if open_chain is None:
            chains.append([stay])
        else:
            open_chain.append(stay)
    return sorted(chains, key=lambda chain: (chain[0].hospital or "", *_first(chain[0])))


def _first(stay: _Stay) -> tuple[datetime, tuple[datetime, datetime, str, str]]:
    return stay.begins, _key(stay.threads[0].speaks)


def _continues(stay: _Stay, before: _Stay) -> bool:
    """Of two hospitals, only where the first tells by HospitalNotifications, and the other has admitted.

    Of no other standard do we know that its hospital tells no discharge when it hands a patient over.
    """
    if not before.alive or (before.end is not None and stay.begins >= before.end):
        return False
    return stay.hospital == before.hospital or (before.notified and _told_itself(stay))


def _case(hospital: str | None, chain: list[_Stay], zone: tzinfo) -> Case:
    """What the threads of a chain say together."""
    entries = tuple(sorted((e for s in chain for t in s.threads for e in t.members), key=_key))
    return _told(hospital, entries, min((s.start for s in chain if s.start), default=None), zone)


def _told(
    hospital: str | None, entries: tuple[Entry, ...], admitted_at: datetime | None, zone: tzinfo
) -> Case:
    entries = _latest_needs(_matched(entries, zone))
    state = CaseState.ADMITTED
    ready_at: datetime | None = None
    ended: datetime | None = None
    closed: datetime | None = None
    planned: date | None = None
    counting = [e for e in entries if e.counts]
    for e in _where_the_patient_is(counting):
        notice = e.notice
        match notice.kind:
            case NoticeKind.DECEASED:
                state, ended = CaseState.DECEASED, ended or e.at
            case NoticeKind.DISCHARGED | NoticeKind.LEFT_AGAINST_ADVICE if state is not CaseState.DECEASED:
                state, ended = CaseState.DISCHARGED, e.at
            case NoticeKind.READY_FOR_DISCHARGE if ended is None:
                state = CaseState.READY
                ready_at = instant(notice.ready or notice.occurred, sent_at=notice.sent_at, zone=zone)
            case NoticeKind.READINESS_WITHDRAWN if ended is None:
                state, ready_at = CaseState.ADMITTED, None
            case NoticeKind.LEAVE_STARTED if ended is None:
                state = CaseState.ON_LEAVE
            case NoticeKind.LEAVE_ENDED if ended is None:
                state = CaseState.READY if ready_at else CaseState.ADMITTED
            case NoticeKind.ADMITTED if state is CaseState.ON_LEAVE and notice.notification:
                state = CaseState.READY if ready_at else CaseState.ADMITTED
            case NoticeKind.CLOSED:
                closed = e.at
            case _:
                pass
        planned = notice.planned_discharge or planned
    if closed is not None and ended is None:
        state, ended = CaseState.CLOSED, closed
    return Case(
        hospital=hospital,
        municipality=_municipality(hospital, counting or list(entries)),
        state=state if _alive(entries) else CaseState.CANCELLED,
        admitted_at=admitted_at,
        ready_at=ready_at,
        discharged_at=ended,
        planned_discharge=planned,
        entries=entries,
        zone=zone,
    )


def _where_the_patient_is(counting: list[Entry]) -> Iterator[Entry]:
    """All but what a hospital tells while another one has the patient, to whom it has handed over.

    A death is told by whoever knows of it.
    """
    where: str | None = None
    for e in counting:
        notice = e.notice
        if notice.kind is NoticeKind.ADMITTED or where is None:
            where = notice.hospital or where
        if notice.kind is NoticeKind.DECEASED or notice.hospital in (None, where):
            yield e
            where = None if notice.kind in STAY_ENDS else where


def as_told(case: Case, entries: tuple[Entry, ...]) -> Case:
    """The case that some of its entries tell: what somebody knows who was told only of these.

    Who was told of one hospital's part of it alone knows neither the other hospital nor its admission.
    """
    hospital, admitted_at = case.hospital, case.admitted_at
    if case.transfers:
        own = [e for e in entries if e.counts and e.notice.kind is NoticeKind.ADMITTED]
        hospital = next((e.notice.hospital for e in reversed(own) if e.notice.hospital), hospital)
        admitted_at = min((e.at for e in own), default=admitted_at)
    told = _told(hospital, entries, admitted_at, case.zone)
    return replace(told, again=case.again, died_at=case.died_at)


def _matched(entries: tuple[Entry, ...], zone: tzinfo) -> tuple[Entry, ...]:
    """What was told by telephone or on paper gives way to its electronic copy, and goes where that goes."""
    found = copies([e.notice for e in entries if e.replaced_by is None or e.notice.way is None], zone)
    if not found:
        return entries
    by_key = {key(e.notice): e for e in entries}
    made = []
    for e in entries:
        copy = found.get(key(e.notice)) if not e.void else None
        if copy is None:
            made.append(e)
            continue
        other = by_key[key(copy)]
        last = other.replaced_by or copy.message_id
        made.append(_marked(e, void=True) if other.void else _marked(e, replaced_by=last))
    return tuple(made)


def _latest_needs(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """The last care needs that a sender has told replace what it told the same receivers before (N-12).

    With or without a reference, and by the time of the event: what comes late is replaced already.
    """
    told = [e for e in entries if e.notice.kind is NoticeKind.CARE_NEEDS and (e.counts or e.replaced_by)]
    if len(told) < 2:
        return entries
    standing = [e for e in reversed(told) if e.counts]
    by: dict[tuple[str, str], str] = {}
    for e in told:
        last = next((one for one in standing if _covers(one.notice, e.notice)), None)
        if last is not None and key(last.notice) != key(e.notice):
            by[key(e.notice)] = last.notice.message_id
    return tuple(_marked(e, replaced_by=by[key(e.notice)]) if key(e.notice) in by else e for e in entries)


def _covers(later: Notice, earlier: Notice) -> bool:
    return later.sender == earlier.sender and set(earlier.receivers) <= set(later.receivers)


def _alive(entries: Iterable[Entry]) -> bool:
    """Whether anything still stands; a placement says nothing of the stay, unless it is all that is known.

    Nor does what others have said of a stay that HospitalNotifications have told, and cancelled.
    """
    told = list(entries)
    of_the_stay = [e for e in told if e.notice.kind not in (NoticeKind.PLACED, NoticeKind.CLOSED)]
    if any(e.notice.notification for e in of_the_stay):
        of_the_stay = [e for e in of_the_stay if e.notice.notification or e.notice.kind in _OF_A_STAY]
    return any(e.counts for e in of_the_stay or told)


TALK = frozenset(
    {
        NoticeKind.ENQUIRY,
        NoticeKind.REPLY,
        NoticeKind.NOTE,
        NoticeKind.DEVIATION,
        NoticeKind.MISROUTED,
        NoticeKind.HEALTH_INFORMATION,
    }
)
"""What anybody may say to anybody about a patient, which makes nobody responsible."""

OF_PRIMARY_CARE = frozenset(
    {
        NoticeKind.FIXED_CONTACT_NAMED,
        NoticeKind.OPEN_CARE_AVAILABILITY,
        NoticeKind.SIP_CALL,
        NoticeKind.SIP_DECLINED,
        NoticeKind.CONSENT_GIVEN,
        NoticeKind.CONSENT_WITHDRAWN,
    }
)
"""What primary care tells as it leads the planning; the municipality stays who it was."""


NO_MUNICIPALITY = frozenset(("hospital", "gp", "open-care", "municipal-acute-bed"))
"""Kinds of party that are told of stays, and to whom no patient comes home."""


def with_municipality(case: Case, roles: Mapping[str, str]) -> Case:
    """The same case; where whom it took for the municipality is known to be none, with the one that is."""
    if case.municipality is None or roles.get(case.municipality) not in NO_MUNICIPALITY:
        return case
    counting = [e for e in case.entries if e.counts] or list(case.entries)
    return replace(case, municipality=_municipality(case.hospital, counting, roles))


def _municipality(
    hospital: str | None, entries: list[Entry], roles: Mapping[str, str] = MappingProxyType({})
) -> str | None:
    """The other side of the latest notice between the hospital and somebody else.

    Who places a patient, follows one up or only writes does not become responsible by it, unless nothing
    else is known; nor does whoever is known to be no municipality, ever.
    """
    no_sign = TALK.union(BESIDE_THE_STAY, OF_PRIMARY_CARE, (NoticeKind.MISROUTED,))
    of_the_stay = [e for e in entries if e.notice.kind not in no_sign]
    for e in reversed(of_the_stay or entries):
        for party in _others(hospital, e.notice):
            if roles.get(party) not in NO_MUNICIPALITY:
                return party
    return None


def _others(hospital: str | None, notice: Notice) -> Sequence[str]:
    """Who stands on the other side of a notice from the hospital."""
    if hospital is None or hospital in notice.receivers:
        return (notice.sender,)
    return notice.receivers if notice.sender == hospital else ()


def _settle(cases: list[Case], homeless: list[_Thread], zone: tzinfo) -> list[Case]:
    """Notices that name no hospital: a death closes every open case, the rest join the case open then."""
    alone: list[_Thread] = []
    for thread in sorted(homeless, key=lambda t: _key(t.speaks)):
        at, notice = thread.at, thread.speaks.notice
        begun = [c for c in cases if c.state is not CaseState.CANCELLED and _key(c.entries[0])[0] <= at]
        open_then = [c for c in begun if c.discharged_at is None or at <= c.discharged_at]
        if notice.kind is not NoticeKind.DECEASED:
            open_then = open_then[-1:] or begun[-1:]
        if not open_then:
            alone.append(thread)
        for case in open_then:
            entries = tuple(sorted((*case.entries, *thread.members), key=_key))
            cases[cases.index(case)] = _told(case.hospital, entries, case.admitted_at, zone)
    if alone:
        cases.append(_case(None, [_Stay(alone)], zone))
    return cases
