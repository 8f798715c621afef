"""What a rule of the law is, as data: `rules/<country>.toml` is read into these records.

A file holds durations, clock times, amounts, dates, actors, notices and paragraphs, and how well each is
known. It names ways of counting (`counting.WAYS`) and has no expressions. `rulefile` reads it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from adapter.discharge.calendar import Calendar
from adapter.discharge.counting import Count
from adapter.discharge.notices import NoticeKind

ACTORS = ("hospital", "municipality", "open-care", "fixed-care-contact", "gp")
ROLES = ACTORS
FLAGS = ("sip_needed", "psychiatric", "report_wanted")
SAYINGS = ("can-receive", "available", "unclassified")
CONFIDENCES = ("Q", "S", "K", "local")
LATE = ("allowed", "void")
LANGUAGES = ("en", "nb", "sv", "da")


NONE = "-"
"""What is shown for a key that a rule has not."""


class Time(StrEnum):
    """Which of a notice's times counts."""

    OCCURRED = "occurred"
    SENT = "sent"
    DELIVERED = "delivered"
    ACCEPTED = "accepted"
    SEEN = "seen"

    __hash__ = str.__hash__  # the enum's own is not C, and these are looked up for every message


class PartyIs(StrEnum):
    """What the party of a deadline must be to the notice that settles it."""

    SENDER = "sender"
    RECEIVER = "receiver"


@dataclass(frozen=True, kw_only=True, slots=True)
class Trigger:
    """What starts the count, and by which of its times."""

    notice: NoticeKind
    time: Time
    only_if: str | None = None  # a flag of the notice
    unless: str | None = None  # a flag of the notice
    from_ready_day: bool = False  # not before the day that the notice names as ready
    longest_stay: timedelta | None = None  # not after a stay that was no longer than this
    placed: str | None = None  # only for a case on this pathway, or in this priority group


@dataclass(frozen=True, kw_only=True, slots=True)
class Later:
    """A later start, for a need that shows after the trigger; with a basis of its own."""

    notice: NoticeKind
    time: Time
    basis: str
    confidence: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Floor:
    """Another notice's count, before whose end this one's cannot end."""

    notice: NoticeKind
    time: Time
    count: Count
    from_ready_day: bool = False  # from the day that they name as ready


@dataclass(frozen=True, kw_only=True, slots=True)
class Telling:
    """A notice that settles or suspends a deadline, or that a liability presupposes."""

    notices: tuple[NoticeKind, ...]
    time: Time
    by: tuple[str, ...] = ()  # roles of the sender; empty = anybody
    party_is: PartyIs | None = None
    says: str | None = None
    after: bool = False  # only what happens after the start


@dataclass(frozen=True, kw_only=True, slots=True)
class Requirement:
    """What must have been told before a liability can begin; `missing` says so in words."""

    name: str
    telling: Telling
    basis: str
    missing: str
    only_if: str | None = None
    waived_by: tuple[NoticeKind, ...] = ()
    enforced: bool = True  # False: only where an agreement asks for it
    whenever: bool = False  # it may come after the day that is charged
    deadline: str | None = None  # the kind of deadline by which it was to be told
    late: str = "allowed"  # or void: told after that deadline, it makes nobody liable


@dataclass(frozen=True, kw_only=True, slots=True)
class Contest:
    """A claim by which the days of a liability are disputed, though they stand."""

    notice: NoticeKind
    basis: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Replaced:
    """A key of a rule for which an agreement has put another value."""

    agreement: str
    key: str
    was: str
    now: str


class PlacementKind(StrEnum):
    """What a case can be placed on."""

    PATHWAY = "pathway"
    GROUP = "group"


@dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """A pathway (standard course), or a priority group of the health community."""

    kind: PlacementKind
    name: str
    title: str
    basis: str  # whose definition it is
    confidence: str = "local"
    valid_from: date | None = None  # local day of the placement, inclusive
    valid_to: date | None = None  # inclusive

    def holds(self, day: date) -> bool:
        """Whether a case can be placed on it on `day`."""
        return within(day, self.valid_from, self.valid_to)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One deadline of the law: trigger, count, what settles it, what suspends it and what ends it."""

    kind: str
    variant: str | None = None  # tells rules of one kind apart
    actor: str
    basis: str
    confidence: str  # Q, S, K or local
    count: Count
    trigger: Trigger
    valid_from: date | None = None  # local day of the start, inclusive
    valid_to: date | None = None  # inclusive
    satisfied_by: tuple[Telling, ...] = ()
    lapses: bool = False  # nothing satisfies it: it is over when its time is up
    quiet: bool = False  # shown, but nobody is alarmed: a goal, or what goes by ways we do not see
    later: Later | None = None
    floors: tuple[Floor, ...] = ()
    receivers_of: tuple[NoticeKind, ...] = ()  # one deadline for each receiver of these
    roles: tuple[str, ...] = ()  # which receivers, where their role is known
    only_told: bool = (
        False  # nobody, where others were told and none of these roles: a duty that begins on receipt
    )
    responsible: str | None = None  # or one, for the party of this role that is responsible
    voided_by: tuple[NoticeKind, ...] = ()  # if it comes before the time is up
    closed_by: tuple[NoticeKind, ...] = ()  # whenever it comes
    suspended_by: tuple[Telling, ...] = ()  # while the last answer says so, silence says nothing
    requires: tuple[Requirement, ...] = ()
    contested_by: tuple[Contest, ...] = ()
    accepted_only: bool = False  # a receipt's time counts only where the receiver has accepted the notice
    remind_before: timedelta
    earliest: timedelta | None = None  # what happens sooner than this after the start does not satisfy it
    own: bool = False  # the region's, not the law's
    placement: Placement | None = None  # whose follow-up it is, where it is not for every case
    between: frozenset[str] = frozenset()  # all of these parties must take part; empty: for everybody
    note: str | None = None  # what is unsettled, or whose figure it is
    replaced: tuple[Replaced, ...] = ()  # by the agreement in force
    raw: Mapping[str, Any] = field(default_factory=dict, hash=False, compare=False, repr=False)

    def kinds(self, *, by: frozenset[Time] | None = None) -> Iterator[NoticeKind]:
        """The notices that it looks at; with `by`, only those of which one of these times counts."""
        timed: list[tuple[tuple[NoticeKind, ...], Time]] = [
            ((told.notice,), told.time)
            for told in (self.trigger, self.later, *self.floors)
            if told is not None
        ]
        tellings = (*self.satisfied_by, *self.suspended_by, *(r.telling for r in self.requires))
        timed += [(telling.notices, telling.time) for telling in tellings]
        for notices, time_ in timed:
            if by is None or time_ in by:
                yield from notices

    def in_force(self, day: date) -> bool:
        """Whether the rule holds for what starts on `day`."""
        return within(day, self.valid_from, self.valid_to)


def within(day: date, first: date | None, last: date | None) -> bool:
    """Whether `day` lies from `first` to `last`, both included; None is without a bound."""
    return (first is None or first <= day) and (last is None or day <= last)


@dataclass(frozen=True, kw_only=True, slots=True)
class Amount:
    """What a day costs in a year, to whom, and how well that is known."""

    year: int
    amount: Decimal
    basis: str
    confidence: str
    payee: str
    from_day: int = 1  # the first charged day of a readiness is 1
    to_day: int | None = None

    def covers(self, year: int, number: int) -> bool:
        """Whether it is the price of charged day `number` in `year`."""
        return self.year == year and self.from_day <= number <= (self.to_day or number)


@dataclass(frozen=True, kw_only=True, slots=True)
class AverageAllowed:
    """Parties may agree that a mean over a month decides, and not each day; its level is theirs alone."""

    rule: str  # the kind of deadline whose days it takes the place of
    basis: str
    confidence: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Payment:
    """What the payment of a country rests on."""

    basis: str
    currency: str
    payees: tuple[str, ...]  # each is owed a part of each day
    amounts: tuple[Amount, ...] = ()
    note: str | None = None  # what a reader must know of the amounts
    average: AverageAllowed | None = None

    def priced(self, year: int, number: int, payee: str) -> Amount | None:
        """The price of charged day `number`; the last one named stands, as agreements come last."""
        found = [a for a in self.amounts if a.payee == payee and a.covers(year, number)]
        return found[-1] if found else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Term:
    """A name by which an agreement may replace one key of one kind of rule."""

    name: str
    rule: str
    key: str  # dotted where it lies deeper
    about: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Undated:
    """A duty for which the law gives no time; it is listed for readers, and counts nothing."""

    actor: str
    duty: str
    basis: str
    confidence: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Readmission:
    """When a new admission after a discharge is a readmission, and from when that holds."""

    earliest: timedelta  # after the discharge, inclusive; sooner, the stay is the same course
    latest: timedelta  # after the discharge, inclusive
    acute_only: bool
    basis: str
    confidence: str  # Q, S, K or local
    valid_from: date | None = None  # local day of the discharge, inclusive
    valid_to: date | None = None  # inclusive
    note: str | None = None
    replaced: tuple[Replaced, ...] = ()  # by the agreement in force
    raw: Mapping[str, Any] = field(default_factory=dict, hash=False, compare=False, repr=False)

    def in_force(self, day: date) -> bool:
        """Whether it holds for a discharge on `day`."""
        return (self.valid_from is None or self.valid_from <= day) and (
            self.valid_to is None or day <= self.valid_to
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ByHand:
    """Whether what is told by telephone or on paper, and recorded, counts as if it had come as a message."""

    notice: bool = False
    answer: bool = False
    receipt: bool = False
    basis: str = "no source says so"
    confidence: str = "local"
    note: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Country:
    """The rules of one country, before any agreement."""

    name: str
    language: str
    calendar: Calendar
    rules: tuple[Rule, ...]
    payment: Payment
    terms: tuple[Term, ...] = ()
    undated: tuple[Undated, ...] = ()
    readmissions: tuple[Readmission, ...] = ()  # one after the other; none: nothing is watched
    groups: tuple[Placement, ...] = ()  # priority groups; the law gives them no follow-ups of their own
    by_hand: ByHand = ByHand()  # by telephone and on paper, unless an agreement says otherwise
    valid_to: date | None = None  # the last day on which anything can start
    ended: str | None = None  # why
