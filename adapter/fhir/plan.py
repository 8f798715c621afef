"""A care plan as people read it: who takes part, what the person wants, who does what by when.

The records hold no code and no word of ours: statuses are FHIR's own codes, and `adapter.web.plan_words` says
them in a language. `key` names the resource that a line was read from, so that two versions can be compared.
No record has room for an identity number.
"""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from adapter.fhir.bundles import CANONICAL

KIND_SYSTEM = f"{CANONICAL}/CodeSystem/care-plan-kinds"
"""Code system of CarePlan.category: sip, individual-plan, discharge-plan."""

ROLE_SYSTEM = f"{CANONICAL}/CodeSystem/care-team-roles"
"""Code system of CareTeam.participant.role for those who hold a plan together."""

Told = datetime | date | str
"""An instant, a day, or what FHIR allows that is less than a day: `2026-05` or `2026`."""


class PlanKind(StrEnum):
    """What sort of plan it is; `other` where the category says nothing that we know."""

    SIP = "sip"
    INDIVIDUAL = "individual-plan"
    DISCHARGE = "discharge-plan"
    OTHER = "other"


class Part(StrEnum):
    """What somebody is to the plan."""

    CONTACT = "fixed-care-contact"
    COORDINATOR = "coordinator"
    MEMBER = "member"
    PATIENT = "patient"
    KIN = "next-of-kin"


@dataclass(frozen=True, kw_only=True, slots=True)
class Amount:
    """A measured or wanted quantity; `value` and `until` are decimals as they were written."""

    value: str = ""
    until: str = ""  # the upper end of a range
    sign: str = ""  # <, <=, >=, >
    unit: str = ""


Said = str | bool | date | datetime | Amount
"""One value of an answer or a finding."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Repeat:
    """How often something is done: `times` in each `every` of `unit` (h, d, wk, mo, a …)."""

    times: int = 1
    every: str = "1"
    unit: str = "d"
    at: tuple[str, ...] = ()  # times of day, as 08:00
    when: tuple[str, ...] = ()  # FHIR event timing, as MORN or HS
    days: tuple[str, ...] = ()  # mon to sun


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """From when, to when, and how often; any of them may be unknown."""

    start: Told | None = None
    end: Told | None = None
    repeat: Repeat | None = None
    text: str = ""  # where the plan says it in words


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """What somebody has written, and about what."""

    text: str
    by: str = ""
    at: Told | None = None
    about: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """The patient. Where identity is protected there is neither address nor telephone."""

    name: str = ""
    birth_date: Told | None = None
    address: str = ""
    telephone: str = ""
    protected: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Participant:
    """Somebody who takes part in the plan."""

    key: str
    name: str
    part: Part = Part.MEMBER
    role: str = ""
    organisation: str = ""
    telephone: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """By what a goal is known to be reached, and by when."""

    measure: str = ""
    value: Said | None = None
    due: Told | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Goal:
    """What the person wants to reach."""

    key: str
    what: str
    status: str = ""  # Goal.lifecycleStatus
    achievement: str = ""  # code of goal-achievement
    targets: tuple[Target, ...] = ()
    by: str = ""  # whose words it is


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """What the plan is about."""

    key: str
    what: str
    status: str = ""  # code of condition-clinical
    since: Told | None = None


_OPEN = frozenset(
    (
        "draft",
        "requested",
        "received",
        "accepted",
        "ready",
        "in-progress",
        "active",
        "not-started",
        "scheduled",
        "proposed",
        "pending",
        "booked",
    )
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Action:
    """Something that somebody is to do."""

    key: str
    kind: str  # the resource type
    what: str
    who: tuple[str, ...] = ()
    asked_by: str = ""
    status: str = ""  # of the Task, else of the request
    reason: str = ""  # why it stands so, as that of a decline
    span: Span = Span()
    due: Told | None = None
    not_to_be_done: bool = False
    outcomes: tuple[str, ...] = ()

    def overdue(self, now: datetime) -> bool:
        """Whether it should be done by now; a day is over at midnight in the zone of `now`."""
        if self.due is None or self.not_to_be_done or self.status not in _OPEN:
            return False
        return past(self.due, now)


@dataclass(frozen=True, kw_only=True, slots=True)
class Meeting:
    """A meeting or a visit."""

    key: str
    what: str
    status: str = ""  # Appointment.status
    start: Told | None = None
    end: Told | None = None
    place: str = ""
    people: tuple[tuple[str, str], ...] = ()  # name, participation status


@dataclass(frozen=True, kw_only=True, slots=True)
class Medicine:
    """A medicine that the person takes, is to take, or has stopped taking."""

    key: str
    what: str
    dose: str = ""
    span: Span = Span()
    status: str = ""
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One question and its answer, or one observation: how the person manages."""

    key: str
    what: str
    said: tuple[Said, ...] = ()
    at: Told | None = None
    comment: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Caution:
    """An allergy or another warning to those who care for the person."""

    key: str
    what: str
    reaction: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """A document that belongs to the plan."""

    key: str
    title: str
    at: Told | None = None
    status: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Other:
    """What has no line of its own; `why` is `missing` where it was only referred to, else empty.

    `why` is `entered-in-error` for what its author has taken back.
    """

    kind: str  # the resource type
    text: str = ""
    about: str = ""
    why: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The whole of it."""

    kind: PlanKind
    title: str = ""
    status: str = ""
    description: str = ""
    period: Span = Span()
    created: Told | None = None
    authors: tuple[str, ...] = ()
    person: Person = Person()
    participants: tuple[Participant, ...] = ()
    goals: tuple[Goal, ...] = ()
    problems: tuple[Problem, ...] = ()
    actions: tuple[Action, ...] = ()
    meetings: tuple[Meeting, ...] = ()
    cautions: tuple[Caution, ...] = ()
    medicines: tuple[Medicine, ...] = ()
    findings: tuple[Finding, ...] = ()
    documents: tuple[Document, ...] = ()
    notes: tuple[Note, ...] = ()
    also: tuple[Other, ...] = ()


def past(due: Told, now: datetime) -> bool:
    """Whether `due` lies behind `now`; a day, month or year lies behind when it is over."""
    if isinstance(due, datetime):
        return due < now
    text = due if isinstance(due, str) else due.isoformat()
    return text < now.date().isoformat()[: len(text)]
