"""A plan laid out in sections, once for the page and for the print, so that both say the same.

Short words, the most needful first: whom to ring, what to be careful with, what the person wants,
who does what by when.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from adapter.fhir.differences import Change
from adapter.fhir.plan import (
    Action,
    Goal,
    Meeting,
    Other,
    Part,
    Participant,
    Plan,
    PlanKind,
    Span,
    Target,
)
from adapter.web.plan_words import PlanWords


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One row of a table; `late` wants to be looked at."""

    cells: tuple[str, ...]
    late: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """A heading with a table, or with a sentence where there is nothing to tell."""

    id: str
    heading: str
    columns: tuple[str, ...] = ()
    lines: tuple[Line, ...] = ()
    text: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sheet:
    """A whole plan in one language."""

    language: str
    title: str
    notices: tuple[str, ...]  # that identity is protected, that there is a newer version
    as_of: str
    description: str
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]


def sheet(plan: Plan, words: PlanWords, now: datetime, *, older: int | None = None) -> Sheet:
    """The plan as it stands at `now`, in words; `older` is its number where it is not the newest."""
    protected = "The person's identity is protected. Address, telephone, next of kin and places are left out."
    notices = [words.of(protected)] if plan.person.protected else []
    if older is not None:
        notices.append(words.of("This is version {number}. There is a newer one.", number=older))
    return Sheet(
        language=words.language,
        title=plan.title or words.code("kind", plan.kind.value),
        notices=tuple(notices),
        as_of=words.of("As of {moment}", moment=words.when(now)),
        description=plan.description,
        facts=tuple(_facts(plan, words)),
        sections=tuple(_sections(plan, words, now)),
    )


def _facts(plan: Plan, words: PlanWords) -> Iterator[tuple[str, str]]:
    contacts = [who for who in plan.participants if who.part in (Part.CONTACT, Part.COORDINATOR)]
    told = (
        ("Name", plan.person.name),
        ("Born", words.when(plan.person.birth_date)),
        ("Address", plan.person.address),
        ("Telephone", plan.person.telephone),
        *(("Your contact", _reach(who)) for who in contacts),
        ("Kind of plan", words.code("kind", plan.kind.value)),
        ("How it stands", words.code("plan", plan.status) if plan.status else ""),
        ("In force", words.span(plan.period)),
        ("Made", words.when(plan.created)),
        ("Made by", ", ".join(plan.authors)),
    )
    yield from ((words.of(label), text) for label, text in told if text)


def _reach(who: Participant) -> str:
    return ", ".join(text for text in (who.name, who.organisation, who.telephone) if text)


def _sections(plan: Plan, words: PlanWords, now: datetime) -> Iterator[Section]:
    for id_, heading, columns, lines, needed in _tables(plan, words, now):
        made = tuple(lines)
        if made:
            named = tuple(words.of(column) for column in columns)
            yield Section(id=id_, heading=words.of(heading), columns=named, lines=made)
        elif needed:
            yield Section(id=id_, heading=words.of(heading), text=words.of("Nothing is written here yet."))


def _tables(
    plan: Plan, words: PlanWords, now: datetime
) -> Iterator[tuple[str, str, tuple[str, ...], Iterator[Line], bool]]:
    """Anchor, heading, columns, lines, and whether its absence is to be told."""
    careful = (Line(cells=(it.what, it.reaction)) for it in plan.cautions)
    yield "cautions", "Be careful", ("What", "What may happen"), careful, False
    goals = ("Goal", "How we know, and by when", "How it stands")
    yield "goals", "What you want", goals, (_goal(words, goal) for goal in plan.goals), True
    doing = ("What", "Who", "When", "Done by", "How it stands")
    yield "actions", "Who does what", doing, (_action(words, it, now) for it in plan.actions), True
    meet = ("What", "When", "Where", "Who comes", "How it stands")
    yield "meetings", "Meetings", meet, (_meeting(words, it) for it in plan.meetings), False
    people = ("Name", "Role", "Where from", "Telephone")
    yield "people", "Who takes part", people, (_participant(words, it) for it in plan.participants), True
    yield from _health(plan, words)
    papers = (
        Line(cells=(it.title, words.when(it.at), words.code("document", it.status) if it.status else ""))
        for it in plan.documents
    )
    yield "documents", "Documents", ("Title", "Date", "How it stands"), papers, False
    noted = (Line(cells=(it.text, it.about, it.by, words.when(it.at))) for it in plan.notes)
    yield "notes", "Notes", ("Written", "About", "By", "Date"), noted, False
    yield "also", "Also in the plan", ("What", "Written"), (_other(words, it) for it in plan.also), False


def _health(plan: Plan, words: PlanWords) -> Iterator[tuple[str, str, tuple[str, ...], Iterator[Line], bool]]:
    taken = (
        Line(
            cells=(
                it.what,
                it.dose,
                words.span(it.span),
                words.code("medicine", it.status or "unknown"),
                it.reason,
            )
        )
        for it in plan.medicines
    )
    columns = ("What", "How to take it", "When", "How it stands", "Why")
    yield "medicines", "Medicines", columns, taken, False
    found = (
        Line(
            cells=(
                it.what,
                words.sentence((words.answers(it.said) or words.of("not answered"), it.comment)),
                words.when(it.at),
            )
        )
        for it in plan.findings
    )
    yield "findings", "How you manage", ("What", "Answer", "Date"), found, False
    problems = (
        Line(cells=(it.what, words.code("problem", it.status) if it.status else "", words.when(it.since)))
        for it in plan.problems
    )
    yield "problems", "Health problems", ("What", "How it stands", "Since"), problems, False


def _goal(words: PlanWords, goal: Goal) -> Line:
    status = words.code("goal", goal.status) if goal.status else ""
    reached = words.code("achieved", goal.achievement) if goal.achievement else ""
    targets = "; ".join(_target(words, target) for target in goal.targets)
    return Line(cells=(goal.what, targets, words.sentence((status, reached))))


def _target(words: PlanWords, target: Target) -> str:
    by = words.of("by {day}", day=words.when(target.due)) if target.due else ""
    return words.sentence((target.measure, words.said(target.value), by))


def _action(words: PlanWords, it: Action, now: datetime) -> Line:
    late = it.overdue(now)
    asked = it.asked_by if it.asked_by not in it.who else ""
    asked = f"({words.of('asked by {name}', name=asked)})" if asked else ""
    results = (words.of("Result: {text}", text=text) for text in it.outcomes)
    status = words.code("action", "not-to-be-done" if it.not_to_be_done else it.status or "unknown")
    stands = words.sentence((words.of("late") if late else "", status, it.reason, *results))
    who = f"{words.sentence(it.who)} {asked}".strip()
    return Line(cells=(it.what, who, words.span(it.span), words.when(it.due), stands), late=late)


def _meeting(words: PlanWords, it: Meeting) -> Line:
    people = _people(words, it.people)
    status = words.code("meeting", it.status) if it.status else ""
    return Line(cells=(it.what, words.hours(it.start, it.end), it.place, people, status))


def _people(words: PlanWords, people: tuple[tuple[str, str], ...]) -> str:
    return "; ".join(f"{name} ({words.code('comes', answer)})" if answer else name for name, answer in people)


def _participant(words: PlanWords, it: Participant) -> Line:
    part = "" if it.part is Part.MEMBER and it.role else words.code("part", it.part.value)
    role = it.role if it.role.lower() in (part.lower(), "") else words.sentence((it.role, part))
    return Line(cells=(it.name, role or part, it.organisation, it.telephone))


def _other(words: PlanWords, it: Other) -> Line:
    why = {"missing": "was not sent along", "entered-in-error": "taken back by its author"}.get(it.why, "")
    text = ": ".join(part for part in (it.about, it.text) if part)
    return Line(cells=(words.kind(it.kind), text or (words.of(why) if why else "")))


# --- changes ----------------------------------------------------------------------------------------------

_HEADINGS = {
    "participants": "Who takes part",
    "goals": "What you want",
    "problems": "Health problems",
    "actions": "Who does what",
    "meetings": "Meetings",
    "cautions": "Be careful",
    "medicines": "Medicines",
    "findings": "How you manage",
    "documents": "Documents",
    "notes": "Notes",
    "also": "Also in the plan",
    "plan": "About this plan",
    "person": "About this plan",
}
_STATUS = {
    "goals": "goal",
    "problems": "problem",
    "actions": "action",
    "meetings": "meeting",
    "medicines": "medicine",
    "documents": "document",
    "plan": "plan",
}


def changes_sections(changes: Sequence[Change], words: PlanWords) -> tuple[Section, ...]:
    """What changed, by the headings of the page; each line with what was and what is now."""
    columns = tuple(words.of(column) for column in ("Change", "Before", "Now"))
    by_heading: dict[str, list[Line]] = {}
    for change in changes:
        by_heading.setdefault(_HEADINGS[change.section], []).append(_change(change, words))
    return tuple(
        Section(id=f"change-{number}", heading=words.of(heading), columns=columns, lines=tuple(lines))
        for number, (heading, lines) in enumerate(by_heading.items())
    )


def _change(change: Change, words: PlanWords) -> Line:
    about = change.about
    if change.happened != "changed":
        people = change.section == "participants"
        said = {"added": "joined" if people else "added", "removed": "has left" if people else "taken away"}
        return Line(cells=(f"{about} {words.of(said[change.happened])}".strip(), "", ""))
    if change.section == "actions" and change.field == "status" and change.after == "completed":
        what = f"{about} {words.of('is done')}"
    else:
        what = ": ".join(text for text in (about, words.code("field", change.field)) if text)
    before, after = (_value(change, value, words) for value in (change.before, change.after))
    return Line(cells=(what, before, after))


def _value(change: Change, value: Any, words: PlanWords) -> str:
    if change.field == "status" and value:
        return words.code(_STATUS[change.section], value)
    if change.field == "achievement" and value:
        return words.code("achieved", value)
    if change.field == "people":
        return _people(words, value)
    if isinstance(value, tuple):
        return "; ".join(_value(change, item, words) for item in value)
    return _told(value, words)


def _told(value: Any, words: PlanWords) -> str:
    by_type: dict[type, Callable[[Any], str]] = {
        Span: words.span,
        Target: lambda target: _target(words, target),
        PlanKind: lambda kind: words.code("kind", kind.value),
        Part: lambda part: words.code("part", part.value),
    }
    return by_type.get(type(value), words.said)(value)
