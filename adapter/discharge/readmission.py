"""Readmissions: which case of a patient follows which, by a definition that is dated data.

A readmission is a new case within `earliest` and `latest` after the discharge that ended the case before it,
at whichever hospital (Norway: acute, 8 hours to 30 days). A transfer is no discharge, and after a death
nothing is watched. Lengths are elapsed time, to the second, whatever the clocks did meanwhile. Where the
messages do not tell enough, it is a possible readmission, and the sentence says what is missing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache

from adapter.discharge.agreement import Agreement
from adapter.discharge.answering import with_answers
from adapter.discharge.by_hand import weighed
from adapter.discharge.case import (
    BESIDE_THE_STAY,
    Again,
    Case,
    CaseState,
    Entry,
    Fact,
    fold,
    with_municipality,
)
from adapter.discharge.counting import first_second, iso, last_second
from adapter.discharge.notices import NoticeKind, local_date
from adapter.discharge.pathways import WATCH
from adapter.discharge.rulefile import Table, read_rule
from adapter.discharge.rules import Readmission, Rule
from adapter.discharge.sentences import Say, Sentence, of_file
from adapter.discharge.signatures import with_signatures

_DISCHARGES = (NoticeKind.DISCHARGED, NoticeKind.LEFT_AGAINST_ADVICE)


class Verdict(StrEnum):
    """What a new admission is to the discharge before it."""

    READMISSION = "readmission"
    POSSIBLE = "possible"  # the messages do not tell enough
    PLANNED = "planned"  # in the period, but not acute where only acute ones count
    SAME_COURSE = "same-course"  # sooner than a readmission can be


COUNTED = (Verdict.READMISSION, Verdict.POSSIBLE)
"""Those by which two cases are linked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """A new admission after a discharge: two cases of a patient, by their places among the cases."""

    earlier: int
    later: int
    at: datetime  # of the new admission, in UTC
    verdict: Verdict
    said: Sentence


def courses(
    facts: Iterable[Fact], terms: Agreement, roles: Mapping[str, str] | None = None
) -> tuple[Case, ...]:
    """The cases of one patient, each knowing what the others tell: a new admission, a death."""
    told = with_signatures(with_answers(weighed(facts, terms), roles))
    folded = [with_municipality(case, roles or {}) for case in fold(told, terms.zone)]
    return watched(folded, terms, roles)


def watched(
    cases: Sequence[Case], terms: Agreement, roles: Mapping[str, str] | None = None
) -> tuple[Case, ...]:
    """The same cases with `again` and `died_at`."""
    if len(cases) < 2:
        return tuple(cases)
    made = list(cases)
    for link in sorted(links(cases, terms, roles), key=lambda one: (one.at, one.later), reverse=True):
        again = Again(at=link.at, readmission=link.verdict in COUNTED, said=link.said)
        made[link.earlier] = replace(made[link.earlier], again=again)
    deaths = [e.at.astimezone(UTC) for case in cases for e in case.of(NoticeKind.DECEASED)]
    if deaths:
        made = [c if c.has(NoticeKind.DECEASED) else replace(c, died_at=min(deaths)) for c in made]
    return tuple(made)


def links(
    cases: Sequence[Case], terms: Agreement, roles: Mapping[str, str] | None = None
) -> tuple[Link, ...]:
    """Each new case with the one that it follows, as far as there is a definition for that discharge."""
    known = [(number, case) for number, case in enumerate(cases) if in_hospital(case, roles or {})]
    found = (_link(known, number, terms) for number, _ in known) if len(known) > 1 else ()
    return tuple(link for link in found if link is not None)


def in_hospital(case: Case, roles: Mapping[str, str]) -> bool:
    """Whether it is a stay in a hospital: municipal acute beds have neither discharges nor readmissions."""
    if case.hospital is None or case.state is CaseState.CANCELLED:
        return False
    if not any(e.counts and e.notice.kind not in BESIDE_THE_STAY for e in case.entries):
        return False  # a placement or a follow-up that went astray: nobody has lain there
    return roles.get(case.hospital, "hospital") in ("hospital", "unknown")


def watched_from(case: Case, terms: Agreement, roles: Mapping[str, str]) -> tuple[Entry, Rule] | None:
    """The discharge after which a readmission is watched for, and the rule of that watch; None where none."""
    found = _discharge(case, terms) if in_hospital(case, roles) else None
    return (found[0], _rule(found[1], found[0].notice.kind)) if found is not None else None


@lru_cache(maxsize=64)
def _rule(definition: Readmission, notice: NoticeKind) -> Rule:
    """The watch as a rule: over by itself, shown only, closed by death."""
    content = {
        "kind": WATCH,
        "actor": "hospital",
        "basis": definition.basis,
        "confidence": definition.confidence,
        "count": "elapsed",
        "duration": iso(definition.latest),
        "trigger": {"notice": notice.value, "time": "occurred"},
        "lapses": True,
        "quiet": True,
        "closed_by": [NoticeKind.DECEASED.value],
        "remind_before": "P1D",
    }
    if definition.note is not None:
        content["note"] = definition.note
    return replace(read_rule(Table(content, "readmission")), replaced=definition.replaced)


# --- which case follows which -----------------------------------------------------------------------------


def _discharge(case: Case, terms: Agreement) -> tuple[Entry, Readmission] | None:
    """The discharge that ended the case and the definition of its day; None after death or a transfer."""
    if case.discharged_at is None:
        return None
    ended = case.discharged_at.astimezone(UTC)
    if any(e.at.astimezone(UTC) <= ended for e in case.of(NoticeKind.DECEASED)):
        return None
    entry = next((e for e in reversed(case.of(*_DISCHARGES)) if e.at.astimezone(UTC) == ended), None)
    day = local_date(ended, terms.zone)
    definition = terms.readmission((case.hospital, case.municipality), day)
    if entry is None or entry.notice.moved or definition is None:
        return None
    for e in case.of(NoticeKind.TRANSFERRED):
        soon = timedelta() <= ended - e.at.astimezone(UTC) <= definition.earliest
        if soon or local_date(e.at, terms.zone) == day:
            return None
    return entry, definition


def _link(known: Sequence[tuple[int, Case]], number: int, terms: Agreement) -> Link | None:
    """What the case of that place follows: the last one that ended before it, if none was open then."""
    later = next(case for place, case in known if place == number)
    if later.admitted_at is None:
        return None
    at = later.admitted_at.astimezone(UTC)
    before = [(_ends(case), place, case) for place, case in known if (_begins(case), place) < (at, number)]
    over = [(ended, place, case) for ended, place, case in before if ended is not None and ended <= at]
    if not over or len(over) < len(before):
        return None
    _, place, earlier = max(over, key=lambda one: one[:2])
    found = _discharge(earlier, terms)
    if found is None:
        return None
    return _judged(place, number, earlier, later, found[1], terms)


def _begins(case: Case) -> datetime:
    return (case.admitted_at or case.entries[0].at).astimezone(UTC)


def _ends(case: Case) -> datetime | None:
    return case.discharged_at.astimezone(UTC) if case.discharged_at is not None else None


def _judged(
    place: int, number: int, earlier: Case, later: Case, definition: Readmission, terms: Agreement
) -> Link | None:
    """The verdict; None where the admission came too late to be anything."""
    assert earlier.discharged_at is not None
    assert later.admitted_at is not None
    left, came = earlier.discharged_at, later.admitted_at
    shortest, longest = _gaps(earlier, later, terms)
    if shortest > definition.latest:
        return None
    zone = terms.zone
    said: dict[str, object] = {
        "at": came.astimezone(zone),
        "since": left.astimezone(zone),
        "number": (local_date(came, zone) - local_date(left, zone)).days,
        "basis": of_file(definition.basis),
        "length": definition.earliest,
    }
    certain = definition.earliest <= shortest and longest <= definition.latest
    acute = _acute(later) if definition.acute_only else True
    if longest < definition.earliest:
        verdict, says = Verdict.SAME_COURSE, Say.SAME_COURSE
    elif acute is False:
        verdict, says = Verdict.PLANNED, Say.ADMITTED_AS_PLANNED
    elif certain and acute:
        verdict, says = Verdict.READMISSION, Say.READMITTED
    else:
        verdict, says = Verdict.POSSIBLE, Say.READMITTED_MAYBE
        said["why"] = (Say.ACUTE_UNKNOWN if certain else Say.TIMES_UNKNOWN).of()
    return Link(earlier=place, later=number, at=came.astimezone(UTC), verdict=verdict, said=says.of(**said))


def _gaps(earlier: Case, later: Case, terms: Agreement) -> tuple[timedelta, timedelta]:
    """The shortest and the longest time between them: the same, unless one was told as a day."""
    left = list(_between(earlier, "discharged_at", terms))
    came = list(_between(later, "admitted_at", terms))
    return came[0] - left[-1], came[-1] - left[0]


def _between(case: Case, name: str, terms: Agreement) -> Iterator[datetime]:
    """The instant to the second, in UTC; of a day, its first and its last."""
    told: datetime = getattr(case, name)
    if name not in case.day_only:
        yield told.astimezone(UTC).replace(microsecond=0)
        return
    day = local_date(told, terms.zone)
    yield first_second(day, terms.zone).astimezone(UTC)
    yield last_second(day, terms.zone).astimezone(UTC)


def _acute(case: Case) -> bool | None:
    """What the admission says of itself, else what another notice says of it; None where none does."""
    told = [e.notice for e in case.entries if e.counts and e.notice.acute is not None]
    told.sort(key=lambda notice: notice.kind is not NoticeKind.ADMITTED)
    return told[0].acute if told else None
