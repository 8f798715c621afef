"""The notices of a stay that its reader may see, newest first, each with what became of it.

A correction says what it has changed; what was cancelled stays, struck through and said to be so.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from adapter.discharge.case import Entry, Evidence, Step
from adapter.discharge.changes import Change, changes
from adapter.discharge.notices import Decliner, Notice, NoticeKind, Standing
from adapter.web.stay_contents import said
from adapter.web.stay_seen import FURTHEST, Seen
from adapter.web.words import Words

MOST = 60
"""Entries that are shown at first."""

_LEVELS = {Step.ACCEPTED: "good", Step.SEEN: "good", Step.REFUSED: "bad", Step.NOT_RECEIVED: "bad"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """One thing that is known about a notice."""

    step: str
    party: str
    at: datetime
    level: str  # good, plain, bad


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One notice as the timeline tells it."""

    kind: str
    at: datetime
    told: datetime | date  # as its message tells it
    sender: str
    receivers: tuple[str, ...]
    sent_at: datetime
    standing: str  # new, correction, cancellation
    cancelled: bool
    corrected: bool
    lines: tuple[str, ...]
    changes: tuple[tuple[str, str, str], ...]  # of what, before, now
    evidence: tuple[Proof, ...]


def timeline(
    seen: Seen, words: Words, most: int | None = MOST, titles: Mapping[str, str] | None = None
) -> tuple[Event, ...]:
    """The newest first; `titles` of pathways and groups by their names."""
    entries = seen.entries[::-1]
    return tuple(_event(seen, e, words, titles or {}) for e in entries[:most])


def _event(seen: Seen, e: Entry, words: Words, titles: Mapping[str, str]) -> Event:
    notice = e.notice
    return Event(
        kind=notice.kind.value,
        at=e.at,
        told=notice.occurred,
        sender=notice.sender,
        receivers=notice.receivers,
        sent_at=notice.sent_at,
        standing=notice.standing.value,
        cancelled=e.void,
        corrected=e.replaced_by is not None,
        lines=tuple(
            line.replace("..", ".") for line in (*_taken_over(seen, e, words), *_lines(notice, words, titles))
        ),  # `3. mars.`
        changes=tuple(_changed(one, words) for one in changes(seen.entries, e)),
        evidence=tuple(_proof(one) for one in _furthest(seen.evidence(e))),
    )


def _taken_over(seen: Seen, e: Entry, words: Words) -> Iterator[str]:
    if e in seen.case.transfers:
        yield words.of("The patient was taken over by {hospital}.", hospital=words.party(e.notice.hospital))


def _furthest(evidence: Iterable[Evidence]) -> list[Evidence]:
    """Of each receiver how far it came, and a refusal before all else."""
    found: dict[str, Evidence] = {}
    for one in sorted(evidence, key=lambda e: (FURTHEST.index(e.step), e.at)):
        found.setdefault(one.party, one)
    return list(found.values())


def _proof(one: Evidence) -> Proof:
    return Proof(step=one.step.value, party=one.party, at=one.at, level=_LEVELS.get(one.step, "plain"))


def _lines(notice: Notice, words: Words, titles: Mapping[str, str]) -> Iterator[str]:
    """What a notice says beyond its kind."""
    if notice.way is not None:
        way, by = words.code("way", notice.way.value), notice.recorded_by or "–"
        yield words.of("Told {way}, recorded by {name}.", way=way, name=by)
    if notice.beside:
        yield words.of("By the agreement it does not count.")
    if notice.report_wanted and notice.standing is Standing.NEW and notice.kind is NoticeKind.ADMITTED:
        yield words.of("It asks the municipality for its report of admission.")
    if notice.kind is NoticeKind.CLOSED and notice.text:
        yield words.of("By {name}: {reason}.", name=notice.recorded_by or "–", reason=said(notice.text, 300))
    if notice.ready is not None:
        about = "Ready from {when}, an estimate." if notice.estimate else "Ready from {when}."
        yield words.of(about, when=words.when(notice.ready))
    if notice.planned_discharge is not None:
        yield words.of("Planned discharge {day}.", day=words.day(notice.planned_discharge))
    if notice.answer is not None:
        yield f"{words.sentence(answer(notice, words))}."
    if notice.meeting is not None:
        yield words.of("Meeting {when}.", when=words.when(notice.meeting.starts))
    if notice.contact is not None:
        yield words.of("Named: {name}.", name=words.party(notice.contact))
    if notice.open_care_available is not None:
        available = "Open care is available." if notice.open_care_available else "Open care is not available."
        yield words.of(available)
    if notice.sip_needed:
        yield words.of("A SIP is needed.")
    if notice.follow_up is not None:
        yield words.of("To be followed up {when}.", when=words.when(notice.follow_up))
    if notice.declined_by is not None:
        patient = notice.declined_by is Decliner.PATIENT
        yield words.of("Declined by the patient." if patient else "Declined by a party.")
    if notice.refused:
        yield words.of("Refused at once.")
    if notice.placement is not None:
        yield words.of("On: {name}.", name=titles.get(notice.placement, notice.placement))
    if notice.reserved:
        yield words.of("The patient has reserved against passing it on.")


def answer(notice: Notice, words: Words) -> str:
    """The municipality's answer in one line."""
    told = words.code("answer", notice.answer.value if notice.answer is not None else None)
    if notice.receive_from is None:
        return told
    return words.of("{answer}, from {day}", answer=told, day=words.day(notice.receive_from))


def _changed(one: Change, words: Words) -> tuple[str, str, str]:
    return words.code("stay-field", one.name), _value(one.old, words), _value(one.new, words)


def _value(value: Any, words: Words) -> str:
    match value:
        case None | ():
            return "–"
        case bool():
            return words.of("yes") if value else words.of("no")
        case datetime() | date():
            return words.when(value)
        case tuple():
            return words.list(words.party(party) for party in value)
        case NoticeKind():
            return words.code("notice", value)
        case str() if hasattr(value, "value"):
            return words.code("answer", value)
        case str():
            return words.party(value)
        case _:
            return words.when(value.starts)
