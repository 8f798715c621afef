"""A joint plan from admission to follow-up, told as data: who does what, and when.

The Swedish SIP: lag 2017:612 2:1-2:5, 4:1-4:3 and 5:5, with the consent of HSL 16:4. The Norwegian individual
plan: pasient- og brukerrettighetsloven 2-5, with a coordinator. On the way somebody declines, proposes
another day, changes the plan at the same time as another, and takes back what was said.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any

from adapter.discharge.notices import Decliner, NoticeKind, PlanKind
from adapter.simulator.joint_plans import PlanText

K = NoticeKind


class Role(StrEnum):
    """Who acts: a ward, whoever leads the planning, and the municipality. In Norway it leads itself."""

    HOSPITAL = "hospital"
    LEADER = "leader"
    MUNICIPALITY = "municipality"


HOSPITAL, LEADER, MUNICIPALITY = Role


class Plot(StrEnum):
    """How the planning goes."""

    SIP = "sip"
    CONSENT_WITHDRAWN = "consent-withdrawn"  # after the plan was agreed
    DECLINED = "declined"  # the patient wants no SIP
    INTERRUPTED = "interrupted"
    INDIVIDUAL_PLAN = "individual-plan"


@dataclass(frozen=True, kw_only=True, slots=True)
class Tell:
    """A notice to others. Moments are hours since admission."""

    kind: NoticeKind
    to: tuple[Role, ...]
    said: Mapping[str, Any] = field(default_factory=dict)  # fields of the notice
    meeting: float | None = None
    planned: float | None = None
    corrects: bool = False  # the sender's latest notice of this kind


@dataclass(frozen=True, kw_only=True, slots=True)
class Begin:
    """The first version of the plan, a draft in which `called` are asked to come to the meeting."""

    to: tuple[Role, ...]
    called: tuple[Role, ...]
    meeting: float
    held: bool = False  # there is no consent yet: the adapter keeps it back


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """A measure of the plan."""

    key: str
    what: str
    owner: Role
    performer: str
    due: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Propose:
    """The plan as the meeting has made it: held, with what each party is asked to do."""

    to: tuple[Role, ...]
    meeting: float
    asks: tuple[Ask, ...]
    follow_up: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Negotiate:
    """A Task of the plan is answered: accepted, declined with a reason, another day proposed, done."""

    task: str
    status: str
    reason: str | None = None
    other_day: float | None = None
    due: float | None = None  # the requester moves the time by which it must be done
    refused: bool = False  # there is no consent any more: the adapter takes no change


@dataclass(frozen=True, kw_only=True, slots=True)
class Receive:
    """The hospital's question, when the patient can be received, is answered."""

    status: str
    on: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Edit:
    """The plan itself is changed; `title` and `status` replace, `note` is added."""

    title: str | None = None
    note: str | None = None
    status: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class EditAtOnce:
    """Two have read the same version: whoever comes second is told, reads, and puts both together."""

    own: Edit
    other: Role
    others: Edit


Deed = Tell | Begin | Propose | Negotiate | Receive | Edit | EditAtOnce


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """What one does, so many hours after the admission; `name` is the step's own in the story."""

    name: str
    hours: float
    who: Role
    does: Deed

    @property
    def after(self) -> timedelta:
        """Since the admission."""
        return timedelta(hours=self.hours)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tale:
    """One way in which it goes."""

    plot: Plot
    kind: PlanKind
    leads_as: str  # code of CodeSystem/care-team-roles
    text: PlanText
    steps: tuple[Step, ...]
    cast: tuple[Role, ...] = (HOSPITAL, LEADER, MUNICIPALITY)


_SWEDISH = PlanText(
    title="Samordnad individuell plan",
    goal="Klara morgonrutinen hemma med stöd en gång om dagen",
    condition="Nedsatt rörlighet efter höftfraktur",
    function="Går med rollator, behöver hjälp med dusch",
    question="Klarar du trappor?",
    answer="Med ledstång och stöd av någon",
    medication="Alendronsyra 70 mg en gång i veckan",
    next_of_kin=("Elsa Tallheden", "Dotter"),
    meeting="Delta i SIP-mötet",
    attending="Biståndshandläggare",
)
_NORWEGIAN = PlanText(
    title="Individuell plan",
    goal="Bu heime med tilsyn morgon og kveld",
    condition="Redusert gangfunksjon etter hoftebrot",
    function="Går med rullator, treng hjelp til dusj",
    question="Klarer du trapper?",
    answer="Med rekkverk og støtte av nokon",
    medication="Alendronsyre 70 mg ein gong i veka",
    next_of_kin=("Oddny Solbrekke", "Syster"),
    meeting="Delta i møtet om individuell plan",
    attending="Ansvarleg på sengeposten",
)

_DAY = 24.0
_MEETING, _OTHER_MEETING = 7 * _DAY + 3, 10 * _DAY  # hours
_FOLLOW_UP = 38 * _DAY
_HOME_CARE = Ask(
    key="home-care",
    what="Hemsjukvård varje morgon",
    owner=MUNICIPALITY,
    performer="Kommunens hemsjukvård",
    due=28 * _DAY,
)
_DAY_CENTRE = Ask(
    key="day-centre",
    what="Plats på dagverksamhet",
    owner=MUNICIPALITY,
    performer="Kommunens dagverksamhet",
    due=21 * _DAY,
)
_MEDICATION = Ask(
    key="medication",
    what="Läkemedelsgenomgång",
    owner=LEADER,
    performer="Vårdcentralens läkare",
    due=20 * _DAY,
)
_BOTH_FROM_WARD, _BOTH_FROM_LEADER = (LEADER, MUNICIPALITY), (HOSPITAL, MUNICIPALITY)


def _step(name: str, hours: float, who: Role, does: Deed) -> Step:
    return Step(name=name, hours=hours, who=who, does=does)


_READY = Tell(kind=K.READY_FOR_DISCHARGE, to=_BOTH_FROM_WARD, said={"sip_needed": True})

_INFORMED = Tell(
    kind=K.DISCHARGE_REPORT,
    to=_BOTH_FROM_WARD,
    said={"text": "Fortsatt gångträning. Återbesök på vårdcentralen om två veckor."},
)

_ADMITTED_TO_READY = (
    _step("admitted", 0, HOSPITAL, Tell(kind=K.ADMITTED, to=_BOTH_FROM_WARD, planned=5 * _DAY)),
    _step(
        "care-needs",
        _DAY,
        HOSPITAL,
        Tell(
            kind=K.CARE_NEEDS, to=_BOTH_FROM_WARD, said={"text": "Behöver hjälp med dusch och förflyttning."}
        ),
    ),
    _step("contact-named", 71, LEADER, Tell(kind=K.FIXED_CONTACT_NAMED, to=_BOTH_FROM_LEADER)),
    _step(
        "open-care",
        72,
        LEADER,
        Tell(kind=K.OPEN_CARE_AVAILABILITY, to=_BOTH_FROM_LEADER, said={"open_care_available": True}),
    ),
    _step("sip-requested", 73, MUNICIPALITY, Tell(kind=K.SIP_REQUESTED, to=(LEADER, HOSPITAL))),
    _step("ready", 5 * _DAY, HOSPITAL, _READY),
)
_SHARED = Begin(to=_BOTH_FROM_LEADER, called=(MUNICIPALITY,), meeting=_MEETING)
_CONSENTED = (
    _step(
        "shared-too-early",
        5 * _DAY + 2,
        LEADER,
        Begin(to=_BOTH_FROM_LEADER, called=(MUNICIPALITY,), meeting=_MEETING, held=True),
    ),
    _step("consent-given", 5 * _DAY + 4, LEADER, Tell(kind=K.CONSENT_GIVEN, to=_BOTH_FROM_LEADER)),
)
_CALLED = (
    _step("called", 6 * _DAY - 1, LEADER, Tell(kind=K.SIP_CALL, to=_BOTH_FROM_LEADER, meeting=_MEETING)),
    _step("plan-begun", 6 * _DAY - 0.5, LEADER, _SHARED),
)
_NEGOTIATED = (
    _step(
        "other-day-proposed",
        6 * _DAY + 1,
        MUNICIPALITY,
        Negotiate(task="meeting", status="on-hold", other_day=_OTHER_MEETING),
    ),
    _step(
        "other-day-taken",
        6 * _DAY + 2,
        LEADER,
        Negotiate(task="meeting", status="accepted", due=_OTHER_MEETING + 1),
    ),
    _step(
        "called-anew",
        6 * _DAY + 2.5,
        LEADER,
        Tell(kind=K.SIP_CALL, to=_BOTH_FROM_LEADER, meeting=_OTHER_MEETING, corrects=True),
    ),
)
_PLANNED = (
    _step("met", _OTHER_MEETING + 1, MUNICIPALITY, Negotiate(task="meeting", status="completed")),
    _step(
        "plan-proposed",
        _OTHER_MEETING + 1.5,
        LEADER,
        Propose(
            to=_BOTH_FROM_LEADER,
            meeting=_OTHER_MEETING,
            asks=(_HOME_CARE, _DAY_CENTRE, _MEDICATION),
            follow_up=_FOLLOW_UP,
        ),
    ),
    _step(
        "task-declined",
        _OTHER_MEETING + 3,
        MUNICIPALITY,
        Negotiate(
            task="day-centre", status="rejected", reason="Ingen plats på dagverksamheten före sommaren"
        ),
    ),
    _step(
        "task-accepted", _OTHER_MEETING + 3.5, MUNICIPALITY, Negotiate(task="home-care", status="accepted")
    ),
    _step("own-task-accepted", _OTHER_MEETING + 4, LEADER, Negotiate(task="medication", status="accepted")),
    _step(
        "edited-at-once",
        _OTHER_MEETING + 5,
        LEADER,
        EditAtOnce(
            own=Edit(title="SIP efter höftfraktur"),
            other=MUNICIPALITY,
            others=Edit(note="Hemsjukvården ringer dagen före första besöket."),
        ),
    ),
)
_WITHDRAWN_AND_READY = (
    _step("withdrawn", 11 * _DAY, HOSPITAL, Tell(kind=K.READINESS_WITHDRAWN, to=_BOTH_FROM_WARD)),
    _step("ready-again", 13 * _DAY, HOSPITAL, _READY),
    _step("can-receive", 13 * _DAY + 2, MUNICIPALITY, Receive(status="accepted", on=14 * _DAY)),
)
_AGREED_AND_HOME = (
    _step("agreed", 13 * _DAY + 3, LEADER, Edit(status="active")),
    _step("discharged", 14 * _DAY, HOSPITAL, Tell(kind=K.DISCHARGED, to=_BOTH_FROM_WARD)),
    _step("informed", 14 * _DAY + 1, HOSPITAL, _INFORMED),
)
_DONE = (
    _step("task-begun", 15 * _DAY, MUNICIPALITY, Negotiate(task="home-care", status="in-progress")),
    _step("own-task-done", 19 * _DAY, LEADER, Negotiate(task="medication", status="completed")),
    _step("task-done", 27 * _DAY, MUNICIPALITY, Negotiate(task="home-care", status="completed")),
    _step(
        "followed-up",
        _FOLLOW_UP,
        LEADER,
        Tell(kind=K.FOLLOWED_UP, to=_BOTH_FROM_LEADER, said={"fulfils": "sip-meeting"}),
    ),
)
_NO_MORE = (
    _step("task-begun", 15 * _DAY, MUNICIPALITY, Negotiate(task="home-care", status="in-progress")),
    _step("own-task-done", 19 * _DAY, LEADER, Negotiate(task="medication", status="completed")),
    _step("consent-withdrawn", 20 * _DAY, LEADER, Tell(kind=K.CONSENT_WITHDRAWN, to=_BOTH_FROM_LEADER)),
    _step(
        "no-more-shared",
        21 * _DAY,
        MUNICIPALITY,
        Negotiate(task="home-care", status="completed", refused=True),
    ),
)
_NOT_WANTED = (
    _step(
        "declined",
        5 * _DAY + 4,
        LEADER,
        Tell(kind=K.SIP_DECLINED, to=_BOTH_FROM_LEADER, said={"declined_by": Decliner.PATIENT}),
    ),
    _step("can-receive", 5 * _DAY + 6, MUNICIPALITY, Receive(status="accepted", on=7 * _DAY)),
    _step("discharged", 7 * _DAY, HOSPITAL, Tell(kind=K.DISCHARGED, to=_BOTH_FROM_WARD)),
    _step("informed", 7 * _DAY + 1, HOSPITAL, _INFORMED),
)
_BROKEN_OFF = (
    _step("interrupted", 6 * _DAY + 4, HOSPITAL, Tell(kind=K.PROCESS_INTERRUPTED, to=_BOTH_FROM_WARD)),
)

_INDIVIDUAL_PLAN = (
    _step("admitted", 0, HOSPITAL, Tell(kind=K.ADMITTED, to=(LEADER,))),
    _step("need-reported", _DAY, HOSPITAL, Tell(kind=K.PLAN_NEED_REPORTED, to=(LEADER,))),
    _step("coordinator-named", 3 * _DAY, LEADER, Tell(kind=K.COORDINATOR_NAMED, to=(HOSPITAL,))),
    _step(
        "shared-too-early",
        3 * _DAY + 1,
        LEADER,
        Begin(to=(HOSPITAL,), called=(HOSPITAL,), meeting=7 * _DAY, held=True),
    ),
    _step("consent-given", 4 * _DAY, LEADER, Tell(kind=K.CONSENT_GIVEN, to=(HOSPITAL,))),
    _step("called", 5 * _DAY, LEADER, Tell(kind=K.SIP_CALL, to=(HOSPITAL,), meeting=7 * _DAY)),
    _step("plan-begun", 5 * _DAY + 1, LEADER, Begin(to=(HOSPITAL,), called=(HOSPITAL,), meeting=7 * _DAY)),
    _step("comes", 5 * _DAY + 2, HOSPITAL, Negotiate(task="meeting", status="accepted")),
    _step("met", 7 * _DAY + 1, HOSPITAL, Negotiate(task="meeting", status="completed")),
    _step(
        "plan-proposed",
        7 * _DAY + 2,
        LEADER,
        Propose(
            to=(HOSPITAL,),
            meeting=7 * _DAY,
            follow_up=60 * _DAY,
            asks=(
                Ask(
                    key="rehabilitation",
                    what="Plan for opptrening",
                    owner=HOSPITAL,
                    performer="Fysioterapeut på sjukehuset",
                    due=9 * _DAY,
                ),
            ),
        ),
    ),
    _step("task-accepted", 7 * _DAY + 3, HOSPITAL, Negotiate(task="rehabilitation", status="accepted")),
    _step("ready", 8 * _DAY, HOSPITAL, Tell(kind=K.READY_FOR_DISCHARGE, to=(LEADER,))),
    _step("can-receive", 8 * _DAY + 2, LEADER, Receive(status="accepted", on=9 * _DAY)),
    _step("task-done", 8 * _DAY + 4, HOSPITAL, Negotiate(task="rehabilitation", status="completed")),
    _step("agreed", 8 * _DAY + 5, LEADER, Edit(status="active")),
    _step("discharged", 9 * _DAY, HOSPITAL, Tell(kind=K.DISCHARGED, to=(LEADER,))),
    _step("followed-up", 60 * _DAY, LEADER, Tell(kind=K.FOLLOWED_UP, to=(HOSPITAL,))),
)

_TO_AGREED = (
    *_ADMITTED_TO_READY,
    *_CONSENTED,
    *_CALLED,
    *_NEGOTIATED,
    *_PLANNED,
    *_WITHDRAWN_AND_READY,
    *_AGREED_AND_HOME,
)
_STEPS = {
    Plot.SIP: (*_TO_AGREED, *_DONE),
    Plot.CONSENT_WITHDRAWN: (*_TO_AGREED, *_NO_MORE),
    Plot.DECLINED: (*_ADMITTED_TO_READY, *_NOT_WANTED),
    Plot.INTERRUPTED: (*_ADMITTED_TO_READY, *_CONSENTED, *_CALLED, *_BROKEN_OFF),
}

SWEDISH = tuple(_STEPS)
"""The ways in which a Swedish planning goes; the first is the usual one."""


def tale(plot: Plot) -> Tale:
    """How it goes."""
    if plot is Plot.INDIVIDUAL_PLAN:
        return Tale(
            plot=plot,
            kind=PlanKind.INDIVIDUAL_PLAN,
            leads_as="coordinator",
            text=_NORWEGIAN,
            steps=_INDIVIDUAL_PLAN,
            cast=(HOSPITAL, LEADER),
        )
    return Tale(
        plot=plot, kind=PlanKind.SIP, leads_as="fixed-care-contact", text=_SWEDISH, steps=_STEPS[plot]
    )
