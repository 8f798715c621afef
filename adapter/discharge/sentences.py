"""Every sentence with which the rules explain themselves, as a key with parameters; `wording` says them.

The key is the English text; the catalogs in `locales/` hold the other languages. A sentence is said whole:
what stands in a place of it is a value or another sentence, and nothing is glued together.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from adapter.discharge.notices import NoticeKind
from adapter.discharge.rules import Time


@dataclass(frozen=True, slots=True)
class Sentence:
    """A key of the catalogs, and what stands in its places.

    A value may be text, a number, a date, a local instant, a clock time, a duration, a number of days, a
    notice kind, or a sentence of its own.
    """

    key: str
    values: Mapping[str, Any] = field(default_factory=dict, hash=False)


class Say(StrEnum):
    """The sentences. `Say.WITHDRAWN.of(at=…)` makes one."""

    # when something was
    NOTICE_OCCURRED = "{notice} {at}"
    NOTICE_SENT = "{notice} sent {at}"
    NOTICE_DELIVERED = "{notice} delivered {at}"
    NOTICE_ACCEPTED = "{notice} accepted by its receiver {at}"
    NOTICE_SEEN = "{notice} seen by its receiver {at}"
    NOTICE_READY_DAY = "{notice}, which names {day} as the day"

    ADMISSION_NOTICE = "admission notice"

    # how it is counted
    ELAPSED = "{start}, and {length} later: {due} ({basis})"
    SAME_DAY = "{start}, so by the end of that day: {day} ({basis})"
    SAME_DAY_LATER = "{start}, and the day {length} later: {day} ({basis})"
    DAYS = "{start}, so by the end of day {number}: {day} ({basis})"
    BEFORE_CUTOFF = "{start}, not after {cutoff}, so day {number}: {day} ({basis})"
    AFTER_CUTOFF = "{start}, after {cutoff}, so day {number}: {day} ({basis})"
    WORKING_DAYS = "{start}, so by the end of working day {number}: {day} ({basis})"
    WORKING_BEFORE_CUTOFF = "{start}, not after {cutoff}, so working day {number}: {day} ({basis})"
    WORKING_AFTER_CUTOFF = "{start}, after {cutoff}, so working day {number}: {day} ({basis})"
    BY_CLOCK = "{start}, so by {due} ({basis})"
    OFFICE_HOURS = "{start}, and {length} of office hours later: {due} ({basis})"
    UNTIL_DISCHARGE = "{start}, so before the discharge: {due} ({basis})"
    AT_DISCHARGE = "{start}, so no later than that ({basis})"
    NAMED_DAY = "{start}, and the day that it names: {day} ({basis})"
    ROLLED = "the last day would be a day off, so it is the next working day"
    FLOORED = "not before {day}, because of another notice: {start}"
    FLOORED_BY_DAY = "not before {day}: {start}"
    LATER_NEED = "counted from the need identified {at}, after admission"
    LATER_NEED_BESIDE = (
        "counted from the need identified {at}, after admission; "
        "by {basis} the time from admission is up {due}"
    )
    ANNOUNCED = "only announced: asks for nothing before {day}"
    LOCAL_FIGURE = "{length} is a local figure; {basis} gives none"
    UNCERTAIN_FIGURE = "not checked against a source: {basis}; the region must confirm it"
    OWN_FIGURE = "a figure of the region, not of the law: {basis}"
    OF_PATHWAY = "of the pathway {title}, defined by {by}"
    OF_GROUP = "of the priority group {title}"
    STRICTER = "stricter than the follow-up {other}, which would be due {due}"
    STRICTER_THAN_GENERAL = "stricter than the general follow-up ({basis}), which would be due {due}"
    NOT_BEFORE = "what is done before {at} does not count"
    TOO_EARLY = "{notice} {at}, before the earliest time {opens}, so it does not count"
    REPLACED_LOCALLY = "by local terms, {key} is {now} instead of {was}"
    REPLACED = "by the agreement {agreement}, {key} is {now} instead of {was}"
    ADDED_LOCALLY = "by local terms, {key} is {now}; the rule itself says nothing of it"
    ADDED = "by the agreement {agreement}, {key} is {now}; the rule itself says nothing of it"
    TAKEN_AWAY_LOCALLY = "by local terms, there is no {key}; in the rule itself it is {was}"
    TAKEN_AWAY = "by the agreement {agreement}, there is no {key}; in the rule itself it is {was}"
    AVERAGE_REPLACES = (
        "by the agreement {agreement}, the mean of a month decides and no single day; "
        "the agreed level is {now} days"
    )

    # what an agreement may replace
    OF_DURATION = "the length of time"
    OF_CUTOFF = "the cut-off time of day"
    OF_AFTER_CUTOFF = "the length of time after the cut-off"
    OF_CLOCK = "the time of day"
    OF_EARLIEST = "the earliest time"
    OF_COUNT = "the way of counting"
    LONG = "{length} ({days} days of 24 hours)"

    # what ended or suspended it
    WITHDRAWN = "the ready notice was withdrawn {at}"
    DISCHARGED = "the patient was discharged {at}"
    DIED = "the patient died {at}"
    CLOSED_BY_HAND = "the case was closed by hand {at}"
    LEFT = "the patient left against advice {at}"
    NO_NEED = "there is no need of municipal services {at}"
    SIP_DECLINED = "the patient declined a coordinated plan {at}"
    INTERRUPTED = "the process was interrupted {at}"
    ENDED = "{notice} {at}"
    ENDED_LATE = "{ended}; it had been due {due}"
    CAN_RECEIVE = "the municipality can receive {at}"
    SUSPENDED = (
        "the last answer, sent {at}, has not been classified: silence does not count until a person reads it"
    )
    MISSING = "{what} ({basis})"
    TOO_LATE = "{what} in time: it was due {due} ({basis})"
    CONDITION_FROM = "counted to {day}, but a condition was missing until {until}"

    # a new admission after a discharge
    READMITTED = "admitted {at}, on day {number} after the discharge {since}: a readmission ({basis})"
    READMITTED_MAYBE = (
        "admitted {at}, on day {number} after the discharge {since}: possibly a readmission ({basis}); {why}"
    )
    ADMITTED_AS_PLANNED = (
        "admitted {at}, on day {number} after the discharge {since}, "
        "but not acutely: no readmission ({basis})"
    )
    SAME_COURSE = (
        "admitted {at}, sooner than {length} after the discharge {since}: "
        "the same course, no readmission ({basis})"
    )
    ACUTE_UNKNOWN = "no message says whether the admission was acute"
    TIMES_UNKNOWN = "the discharge or the admission was told as a day without a time"

    # the planning
    NO_CONSENT = "the patient has not consented to the sharing of a plan: nobody has told of a consent"
    CONSENT_REFUSED = "the patient refused consent {at}: nothing of a plan may be shared"
    CONSENT_WITHDRAWN = "the patient withdrew consent {at}: nothing more of a plan may be shared"
    PLAN_TASK = "a task of the plan that was told {at}, which names the time by which: {due}"
    PLAN_TASK_WHAT = "the task: {what}"
    TASK_CALLED_OFF = "the task was called off {at}"
    TASK_LEFT_OUT = "the plan no longer has the task {at}"
    PLAN_REVOKED = "the plan was taken back {at}"

    # payment
    NO_READY_NOTICE = "no ready notice has been sent"
    NOTHING_HAPPENED = "nothing has happened"
    NOT_RECEIVED = "the ready notice has no positive receipt of the receiver, so it does not count ({basis})"
    NOT_IN_FORCE = "no rule of {country} on payment was in force for this on {day}"
    COUNTRY_ENDED = "{reason}; nothing is due or charged after {day}"
    ONLY_CHARGED_FROM = "{ended}; the first chargeable day would have been {day}"
    CHARGED_FROM = "{counted}; a condition was missing until then, so {day}"
    FROM_DAY = "{start}, so counted from that day: {day} ({basis})"
    SILENCE = "the municipality has not answered, and silence counts as no ({basis})"
    CANNOT = "the municipality said that it cannot receive the patient yet ({basis})"
    WAITS = "the municipality has not said that it can receive the patient ({basis})"
    WITHHELD = "{number} days are withheld, because they rest on silence: {reason}"
    WITHHELD_ONE = "{number} day is withheld, because it rests on silence: {reason}"
    CONTESTED = (
        "the municipality claims circumstances beyond its control, {at} ({basis}): disputed until settled"
    )
    SPLIT = "{party} is responsible from {day}"
    OF_SEVERAL = "{party} is taken for the responsible one of {number} municipalities that were told"
    NO_MUNICIPALITY = "no municipality is named as responsible"
    AMOUNT_UNKNOWN = "the amount per day of {year} is not known here, so neither is the total"
    AMOUNT_UNKNOWN_TO = (
        "the amount per day of {year} to the {payee} is not known here, so neither is the total"
    )
    AMOUNT_SECOND_HAND = "the amount of {year} is from {basis}, not from the regulation itself"
    AMOUNT_UNCHECKED = "the amount of {year} is not checked against a source ({basis})"
    AMOUNT_AGREED = "the amount of {year} is agreed: {basis}"
    DAY = "charged day {number}, counted from {day}: {reason}"
    LIABLE = "liable from {day}, total {total} {currency}"
    LIABLE_UNPRICED = "liable from {day}, total not known"
    NO_DAY_CHARGED = "no day is charged"
    OVER = "over {at}"

    # the mean of a month
    AVERAGE_HOLDS = (
        "{agreement}: no day is charged by itself, because the mean of a month decides ({basis}); "
        "the agreed level is {level} days, a figure of the parties that no law gives"
    )
    AVERAGE_HOLDS_FOR = (
        "{agreement}: no day of {party} is charged by itself, because the mean of a month decides ({basis}); "
        "the agreed level is {level} days, a figure of the parties that no law gives"
    )
    AVERAGE_ADDS = "in the mean of {party} for {month}, the month of the discharge, with ready days: {days}"
    AVERAGE_AHEAD = "the month of the discharge decides in which mean the patient is, and it is not known yet"
    AVERAGE_DIED = "the patient died in hospital, and is in no mean of those who were discharged"
    AVERAGE_OVER = (
        "{agreement}: patients discharged in {month}: {patients}; ready days: {days}; "
        "the mean {mean} is above the agreed {level}, so days to be paid: {over} ({basis})"
    )
    AVERAGE_WITHIN = (
        "{agreement}: patients discharged in {month}: {patients}; ready days: {days}; "
        "the mean {mean} is not above the agreed {level}, so nothing is to be paid ({basis})"
    )

    def of(self, **values: Any) -> Sentence:
        """The sentence with its places filled."""
        return Sentence(self._value_, values)


@dataclass(frozen=True, slots=True)
class Days:
    """A length in whole days of the calendar, which are not always 24 hours."""

    number: int


def of_file(text: str) -> Sentence:
    """A sentence that a rule file gives; its English text is its key as well."""
    return Sentence(text)


def timed(which: Time, notice: NoticeKind, at: datetime) -> Sentence:
    """When a notice happened, or was told: an admission happens, its notice is sent."""
    notified = notice is NoticeKind.ADMITTED and which is not Time.OCCURRED
    return _TIMED[which].of(notice=Say.ADMISSION_NOTICE.of() if notified else notice, at=at)


_TIMED: Mapping[Time, Say] = {
    Time.OCCURRED: Say.NOTICE_OCCURRED,
    Time.SENT: Say.NOTICE_SENT,
    Time.DELIVERED: Say.NOTICE_DELIVERED,
    Time.ACCEPTED: Say.NOTICE_ACCEPTED,
    Time.SEEN: Say.NOTICE_SEEN,
}
