"""The words of the field: what a message says has happened to a patient's stay.

A notice is the same whichever standard carried it. Names are the field's own (docs/glossary.md gives the
Norwegian, Swedish and Danish ones). A notice holds no name and no identity number: it belongs to a patient
by the pseudonym under which it is stored.
"""

import re
from dataclasses import dataclass
from datetime import date, datetime, time, tzinfo
from enum import StrEnum

from adapter.phrases import Code


class NoticeKind(StrEnum):
    """What has happened. The value is the word of the command line, the FHIR event code and the store."""

    ADMITTED = "admitted"
    NEED_IDENTIFIED = "need-identified"
    NO_MUNICIPAL_NEED = "no-municipal-need"
    CARE_NEEDS = "care-needs"
    REPORT_OF_ADMISSION = "report-of-admission"
    PLANNED_DISCHARGE = "planned-discharge"
    READY_FOR_DISCHARGE = "ready-for-discharge"
    READINESS_WITHDRAWN = "readiness-withdrawn"
    ANSWER = "answer"
    FIXED_CONTACT_NAMED = "fixed-contact-named"
    OPEN_CARE_AVAILABILITY = "open-care-availability"
    SIP_REQUESTED = "sip-requested"
    SIP_CALL = "sip-call"
    SIP_DECLINED = "sip-declined"
    CARE_PLAN = "care-plan"
    CONSENT_GIVEN = "consent-given"
    CONSENT_WITHDRAWN = "consent-withdrawn"
    PLAN_NEED_REPORTED = "plan-need-reported"
    COORDINATOR_NAMED = "coordinator-named"
    DISCHARGED = "discharged"
    DISCHARGE_REPORT = "discharge-report"
    DISCHARGE_SUMMARY = "discharge-summary"
    LEAVE_STARTED = "leave-started"
    LEAVE_ENDED = "leave-ended"
    DECEASED = "deceased"
    TRANSFERRED = "transferred"
    RESPONSIBLE_MUNICIPALITY_CHANGED = "responsible-municipality-changed"
    PROCESS_INTERRUPTED = "process-interrupted"
    LEFT_AGAINST_ADVICE = "left-against-advice"
    ENQUIRY = "enquiry"
    REPLY = "reply"
    NOTE = "note"
    DEVIATION = "deviation"
    MISROUTED = "misrouted"
    HEALTH_INFORMATION = "health-information"
    MEDICATION_LIST = "medication-list"
    SERVICES_GRANTED = "services-granted"
    SEEN = "seen"
    OBJECTION = "objection"
    FOLLOWED_UP = "followed-up"
    BEYOND_CONTROL = "beyond-control"
    PLACED = "placed"
    CLOSED = "closed"

    __hash__ = str.__hash__  # the enum's own is not C, and these are looked up for every message


_APART = re.compile(r"(?<!\bfollow)(?<!\bcheck)-")  # follow-up and check-up are words
_SPELT = {"sip": "SIP", "gp": "GP", "fhir": "FHIR", "plo": "PLO", "http": "HTTP"}


def spoken(word: str) -> str:
    """A word of the field as people say it: `sip-call` is `SIP call`."""
    return " ".join(_SPELT.get(part, part) for part in _APART.split(word))


def word(family: str, code: str) -> Code:
    """A code of the field in a sentence, as `word("notice", kind)`."""
    return Code(family, code, spoken(code))


class Standing(StrEnum):
    """What a notice is to an earlier one (KITH list 7309: N, M, C; MedCom: -, RE_, AN_)."""

    NEW = "new"
    CORRECTION = "correction"
    CANCELLATION = "cancellation"


class AnswerValue(StrEnum):
    """What the municipality said to a ready notice; free text is `unclassified` until a person reads it."""

    CAN_RECEIVE = "can-receive"
    CANNOT_RECEIVE = "cannot-receive"
    NOT_KNOWN = "not-known"
    UNCLASSIFIED = "unclassified"


class PlanKind(StrEnum):
    """Which kind of plan it is. Joint plans are made and shared with the patient's consent only."""

    SIP = "sip"  # samordnad individuell plan: HSL 16:4, SoL 10:8, lag 2017:612 4:2
    INDIVIDUAL_PLAN = "individual-plan"  # individuell plan: pasient- og brukerrettighetsloven 2-5
    DISCHARGE_PLAN = "discharge-plan"


class Decliner(StrEnum):
    """Who does not take part in the planning."""

    PATIENT = "patient"
    PARTY = "party"  # one of those who were called


class Way(StrEnum):
    """How something was told that came as no message, and was recorded by a person."""

    TELEPHONE = "telephone"
    PAPER = "paper"


YEARS = range(1950, 2200)
"""In which anything can happen to a patient; a year outside is a slip."""

Moment = datetime | date
"""An aware instant, or a day where the message gives no time of day."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanTask:
    """What one party has taken upon itself, or been asked to do, by a plan."""

    id: str  # the Task's own, the same in every version of the plan
    owner: str | None  # the party; None where the patient or next of kin does it
    due: Moment | None  # an instant, or a day that counts to its last second
    status: str  # FHIR Task.status
    what: str | None = None  # in words; never with a name or a number of a person


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """One version of a plan; a later notice about the plan of the same id is a later version."""

    id: str
    kind: PlanKind | None = None  # None where the message does not say it
    status: str = "active"  # FHIR CarePlan.status: draft, active, on-hold, revoked, completed, …
    tasks: tuple[PlanTask, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Meeting:
    """The meeting at which a plan is made: called to by a SIP call, or told of by the plan."""

    starts: Moment
    ends: datetime | None = None
    status: str = "proposed"  # FHIR Appointment.status; fulfilled when it has been held


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """One thing that a party told others about a patient's stay.

    `message_id` is the sender's own (MsgId, MessageHeader.id) and unique for that sender.
    Parties are ids of the register; a bare identifier where the register knows no such party.
    """

    kind: NoticeKind
    message_id: str
    sent_at: datetime  # as the sender's message states it, capped at our accept time
    occurred: Moment  # when it happened, which is not when it was sent
    sender: str
    receivers: tuple[str, ...] = ()
    hospital: str | None = None  # None where the notice names none, as between a GP and a municipality
    encounter: str | None = None  # the hospital's id of the stay; logistics messages often carry none
    episode: str | None = None  # links stays into a chain; never identifies a stay
    admitted: Moment | None = None  # the admission, where a later notice repeats it
    ready: Moment | None = None  # from when the patient is ready; may be an estimate
    estimate: bool = False  # `Anslag`: announced only, it never decides money
    planned_discharge: date | None = None
    answer: AnswerValue | None = None
    receive_from: date | None = None
    sip_needed: bool = False
    psychiatric: bool = False
    open_care_available: bool | None = None  # None: not clarified, which blocks liability (2017:612 5:5)
    standing: Standing = Standing.NEW
    refers_to: str | None = None  # message id of the notice that this one corrects, cancels or answers
    conversation: str | None = None  # message id of the first notice of the exchange that this one belongs to
    refers_to_held: bool = False  # that one is in our log, held or refused, and not unknown
    reserved: bool = False  # ForbeholdOmVideresending: only the addressed receiver may have it
    text: str | None = None
    acute: bool | None = None  # of the admission; None where no message says it
    moved: bool = False  # of a discharge: to another hospital or unit, so that it is a transfer
    follow_up: date | None = None  # the day that the message itself names for a follow-up
    fulfils: str | None = None  # which kind of follow-up was made, as `call`; None: whichever it could be
    placement: str | None = None  # the pathway or priority group on which the case is placed, by its name
    refused: bool = False  # of a consent that does not stand: refused at once, and not withdrawn later
    declined_by: Decliner | None = None  # None: not said, and taken for the patient
    contact: str | None = None  # the organisation of the fixed care contact or coordinator that is named
    meeting: Meeting | None = None
    plan: Plan | None = None
    way: Way | None = None  # recorded by a person: told by telephone, or on paper; None: it came as a message
    recorded_by: str | None = None  # who has recorded it
    notification: bool = False
    """A MedCom HospitalNotification: a transfer is told by the next admission alone, and what it corrects or
    cancels is the very message that it names."""
    report_wanted: bool = False  # an admission that asks the municipality for its report of admission
    beside: bool = False  # it was recorded, and by the agreement does not count; decided anew at each fold

    def __post_init__(self) -> None:
        told = (self.sent_at, self.occurred, self.admitted, self.ready)
        for moment in (*told, *((self.meeting.starts, self.meeting.ends) if self.meeting else ())):
            if isinstance(moment, datetime) and moment.tzinfo is None:
                raise ValueError("instants of a notice must be timezone-aware")


def instant(moment: Moment, *, sent_at: datetime, zone: tzinfo) -> datetime:
    """The instant by which a moment is ordered.

    A day without time is the sending instant if that is the same local day, else its first second.
    """
    if isinstance(moment, datetime):
        return moment
    if sent_at.astimezone(zone).date() == moment:
        return sent_at
    return datetime.combine(moment, time.min, zone)


def local_date(moment: Moment, zone: tzinfo) -> date:
    """The calendar day of a moment where the hospital is."""
    return moment.astimezone(zone).date() if isinstance(moment, datetime) else moment
