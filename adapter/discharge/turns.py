"""Whose turn it is: what a party may tell of a case as it stands, and what that would be about.

Only what the country's rules know is offered: nobody in Norway calls to a SIP. A turn is known by its kind
and by what stands when it is offered; what was filled in for another turn than those that there are now is
too old, and says nothing.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache

from adapter.discharge.agreement import Agreement
from adapter.discharge.case import Case, CaseState, Entry, Step
from adapter.discharge.notices import AnswerValue, NoticeKind
from adapter.discharge.occasions import readinesses, told_at
from adapter.discharge.rules import Country

K = NoticeKind

HOSPITAL, MUNICIPALITY, PRIMARY_CARE = "hospital", "municipality", "open-care"
"""The parts that parties play in a case."""

_OF_A_SIP = frozenset(
    {K.FIXED_CONTACT_NAMED, K.OPEN_CARE_AVAILABILITY, K.SIP_REQUESTED, K.SIP_CALL, K.SIP_DECLINED}
)
_OVER = (CaseState.DISCHARGED, CaseState.DECEASED, CaseState.CLOSED, CaseState.CANCELLED)
_SIGNED_FOR = frozenset(
    {
        K.ADMITTED, K.CARE_NEEDS, K.PLANNED_DISCHARGE, K.READY_FOR_DISCHARGE, K.READINESS_WITHDRAWN,
        K.DISCHARGED, K.DISCHARGE_REPORT, K.DISCHARGE_SUMMARY, K.REPORT_OF_ADMISSION, K.ANSWER, K.SIP_CALL,
        K.SIP_REQUESTED, K.CARE_PLAN, K.NEED_IDENTIFIED, K.RESPONSIBLE_MUNICIPALITY_CHANGED,
    }
)  # fmt: skip
"""What a person signs for: what asks something of whoever reads it, and no small talk."""

_TAKEN_BACK = (
    K.ADMITTED, K.DISCHARGED, K.LEFT_AGAINST_ADVICE, K.ANSWER, K.BEYOND_CONTROL, K.FIXED_CONTACT_NAMED,
    K.OPEN_CARE_AVAILABILITY, K.SIP_REQUESTED, K.SIP_CALL, K.SIP_DECLINED, K.CONSENT_GIVEN,
    K.CONSENT_WITHDRAWN, K.READINESS_WITHDRAWN, K.PLANNED_DISCHARGE, K.CARE_NEEDS, K.NO_MUNICIPAL_NEED,
)  # fmt: skip
"""What can be taken back as told in error; a ready notice has its own withdrawal, and talk stays said."""

NEEDS = (K.NEED_IDENTIFIED, K.CARE_NEEDS, K.NO_MUNICIPAL_NEED)
"""By which a hospital tells whether the municipality is needed."""

_BY_MESSAGE = frozenset({K.ANSWER, K.READINESS_WITHDRAWN, K.REPLY, K.SEEN})
"""Of these, `about` is the id of the message that they answer, sign for or take back."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """Something that a party may tell now."""

    kind: NoticeKind
    about: str = ""  # what stands now, so that a form which was made for something else is known
    entry: Entry | None = None  # what it answers

    @property
    def refers_to(self) -> str | None:
        """The id of the message that it is about, where it is about one."""
        return self.about if self.kind in _BY_MESSAGE and self.about else None


def turns(case: Case, mine: Collection[str], part: str, terms: Agreement) -> tuple[Turn, ...]:
    """What a party may tell in that part, the most urgent first; `mine` is it and those it speaks for."""
    if case.state is CaseState.CANCELLED:
        return ()
    may = known(terms)
    found = {HOSPITAL: _hospital, MUNICIPALITY: _municipality}.get(part, _primary_care)(case, mine)
    both = (*found, *_dialogue(case, mine), *_signatures(case, mine))
    return tuple(turn for turn in both if turn.kind in may)


def ready_now(case: Case, mine: Collection[str] | None = None) -> Entry | None:
    """The newest ready notice that stands, told to one of these; None where nobody is waited for."""
    if case.state in _OVER:
        return None
    told = readinesses(case)
    if not told or told[-1].withdrawn_at is not None:
        return None
    return next(
        (e for e in reversed(told[-1].entries) if mine is None or _between(e, mine)),
        None,
    )


def answered(case: Case, ready: Entry, mine: Collection[str]) -> Entry | None:
    """What these have said last since that ready notice was told."""
    since = told_at(case, ready)
    told = [e for e in case.of(K.ANSWER) if e.notice.sender in mine and e.notice.sent_at >= since]
    return max(told, key=lambda e: (e.notice.sent_at, e.notice.message_id), default=None)


def revocable(case: Case, mine: Collection[str]) -> tuple[Entry, ...]:
    """What these have told, still stands, and can be taken back as told in error."""
    return tuple(e for e in case.of(*_TAKEN_BACK) if e.notice.sender in mine)


def unread(case: Case, mine: Collection[str]) -> tuple[Entry, ...]:
    """The answers in free text that wait to be classified, of these or to them."""
    told = (e for e in case.of(K.ANSWER) if e.notice.answer is AnswerValue.UNCLASSIFIED)
    return tuple(e for e in told if _between(e, mine))


def told_by(case: Case, hospital: Collection[str]) -> tuple[str, ...]:
    """Everybody whom the hospital has told of the stay, whom it told last first."""
    stay = (K.ADMITTED, K.CARE_NEEDS, K.NEED_IDENTIFIED, K.READY_FOR_DISCHARGE, K.PLANNED_DISCHARGE)
    named = (r for e in reversed(case.of(*stay)) if e.notice.sender in hospital for r in e.notice.receivers)
    return tuple(dict.fromkeys(named))


def _hospital(case: Case, mine: Collection[str]) -> Iterator[Turn]:
    told = case.of(K.READY_FOR_DISCHARGE, K.READINESS_WITHDRAWN)
    last = told[-1].notice.message_id if told else ""
    ready = ready_now(case)
    if case.state not in _OVER:
        if ready is None:
            yield Turn(kind=K.READY_FOR_DISCHARGE, about=last)
        else:
            yield Turn(kind=K.READINESS_WITHDRAWN, about=ready.notice.message_id, entry=ready)
        planned = case.planned_discharge.isoformat() if case.planned_discharge is not None else ""
        yield Turn(kind=K.PLANNED_DISCHARGE, about=planned)
        yield from _of_the_need(case, mine, ready)
        yield Turn(kind=K.DISCHARGED, about=last)
        yield Turn(kind=K.LEFT_AGAINST_ADVICE, about=last)


def _of_the_need(case: Case, mine: Collection[str], ready: Entry | None) -> Iterator[Turn]:
    """What help the patient will need, told anew as often as it changes; or that there is no need of any.

    A ready notice says that there is: whoever finds otherwise withdraws it first.
    """
    told = [e for e in case.of(*NEEDS) if e.notice.sender in mine]
    needs = [e for e in told if e.notice.kind is K.CARE_NEEDS]
    last = told[-1] if told else None
    about = last.notice.message_id if last is not None else ""
    yield Turn(kind=K.CARE_NEEDS, about=about, entry=needs[-1] if needs else None)
    if ready is None and (last is None or last.notice.kind is not K.NO_MUNICIPAL_NEED):
        yield Turn(kind=K.NO_MUNICIPAL_NEED, about=about)


def _municipality(case: Case, mine: Collection[str]) -> Iterator[Turn]:
    ready = ready_now(case, mine)
    if ready is not None:
        yield Turn(kind=K.ANSWER, about=ready.notice.message_id, entry=ready)
        yield Turn(kind=K.BEYOND_CONTROL)
    if case.state not in _OVER and not case.has(K.SIP_CALL):
        yield Turn(kind=K.SIP_REQUESTED)


def _primary_care(case: Case, mine: Collection[str]) -> Iterator[Turn]:
    if case.state not in _OVER:
        yield Turn(kind=K.FIXED_CONTACT_NAMED)
        yield Turn(kind=K.OPEN_CARE_AVAILABILITY)
        yield Turn(kind=K.SIP_CALL)
        yield Turn(kind=K.SIP_DECLINED)
    if case.state is not CaseState.DECEASED:
        consents = case.of(K.CONSENT_GIVEN, K.CONSENT_WITHDRAWN)
        last = consents[-1].notice if consents else None
        about = last.message_id if last is not None else ""
        if last is None or last.kind is not K.CONSENT_GIVEN:
            yield Turn(kind=K.CONSENT_GIVEN, about=about)
        if last is None or last.kind is K.CONSENT_GIVEN:
            yield Turn(kind=K.CONSENT_WITHDRAWN, about=about)


def _dialogue(case: Case, mine: Collection[str]) -> Iterator[Turn]:
    """Questions that wait for a reply, and one's own."""
    replied = {e.notice.refers_to for e in case.of(K.REPLY) if e.notice.sender in mine}
    for asked in case.of(K.ENQUIRY):
        to_me = not set(mine).isdisjoint(asked.notice.receivers)
        if to_me and asked.notice.message_id not in replied:
            yield Turn(kind=K.REPLY, about=asked.notice.message_id, entry=asked)
    if case.state is not CaseState.DECEASED:
        yield Turn(kind=K.ENQUIRY)


def _signatures(case: Case, mine: Collection[str]) -> Iterator[Turn]:
    for e in case.of(*_SIGNED_FOR):
        receivers = set(mine).intersection(e.notice.receivers)
        if any(e.first(Step.SEEN, one) is None for one in receivers):
            yield Turn(kind=K.SEEN, about=e.notice.message_id, entry=e)


def _between(entry: Entry, mine: Collection[str]) -> bool:
    return not set(mine).isdisjoint((entry.notice.sender, *entry.notice.receivers))


def known(terms: Agreement) -> frozenset[NoticeKind]:
    """The kinds that a party under that agreement may tell: all but those of a law that it has not."""
    return _known(terms.country)


@lru_cache(maxsize=32)
def _known(country: Country) -> frozenset[NoticeKind]:
    named = {kind for rule in country.rules for kind in (*rule.kinds(), *rule.closed_by, *rule.voided_by)}
    claims = {claim.notice for rule in country.rules for claim in rule.contested_by}
    none = (_OF_A_SIP if K.SIP_CALL not in named else frozenset()) | ({K.BEYOND_CONTROL} - claims)
    return frozenset(NoticeKind) - none
