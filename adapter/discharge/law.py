"""The rules told for people: a document that a lawyer can hold against the law (docs/deadlines.md).

Every word comes from the rule files; what the program does and what is written here cannot differ.
"""

from collections.abc import Iterable, Iterator
from datetime import timedelta

from adapter.discharge.counting import IN_DAYS, WAYS, Count
from adapter.discharge.notices import NoticeKind
from adapter.discharge.pathways import WATCH
from adapter.discharge.rules import (
    Amount,
    Country,
    Floor,
    Placement,
    Readmission,
    Requirement,
    Rule,
    Telling,
    Time,
)
from adapter.discharge.wording import translated

CONFIDENCE = {
    "Q": "read in the law or standard itself",
    "S": "read in a source that quotes it",
    "K": "not checked against a source: the region must confirm it",
    "local": "a figure of the parties or the region, not of the law",
}
_TIMES = {
    Time.OCCURRED: "happens",
    Time.SENT: "is sent",
    Time.DELIVERED: "is delivered",
    Time.ACCEPTED: "is accepted by its receiver (positive application receipt)",
    Time.SEEN: "is seen by a person at the receiver",
}


def told(countries: Iterable[Country]) -> str:
    """The rules of the countries as Markdown, one section a country."""
    return "\n".join(line for country in countries for line in _country(country))


def _country(country: Country) -> Iterator[str]:
    yield f"## {country.name}"
    yield ""
    yield from _frame(country)
    for rule in country.rules:
        yield from _rule(rule)
    yield from _readmissions(country)
    yield from _payment(country)
    if country.terms:
        yield "### What an agreement may replace by name"
        yield ""
        yield "| term | rule | key | about |"
        yield "|---|---|---|---|"
        yield from (f"| `{t.name}` | `{t.rule}` | `{t.key}` | {t.about} |" for t in country.terms)
        yield ""
    yield from _by_hand(country)
    if country.groups:
        yield "### Priority groups"
        yield ""
        yield "The law gives them no follow-ups; the region does (`[[group]]`)."
        yield ""
        yield "| group | who | placed | source |"
        yield "|---|---|---|---|"
        yield from (_group(group) for group in country.groups)
        yield ""
    if country.undated:
        yield "### Duties without a time"
        yield ""
        yield "The law gives no number, so nothing is counted; an agreement may add one."
        yield ""
        yield from (f"- The {u.actor} must {u.duty} ({u.basis}; {u.confidence})." for u in country.undated)
        yield ""


def _frame(country: Country) -> Iterator[str]:
    calendar = country.calendar
    yield f"Times are those of {calendar.zone.key}. Days off: Saturdays, Sundays"
    more = [f"the public holidays of {calendar.holidays_of}"] if calendar.holidays_of else []
    more += [f"`{day}`" for day in calendar.days_off]
    yield f"and {_listed(more)}." if more else "and no others."
    if country.valid_to is not None:
        yield f"Nothing can start after {country.valid_to}: {country.ended}."
    yield ""


def _rule(rule: Rule) -> Iterator[str]:
    variant = f" ({rule.variant})" if rule.variant else ""
    yield f"### `{rule.kind}`{variant}"
    yield ""
    rows = [
        ("Who must act", f"the {rule.actor}"),
        ("For whom", _concerns(rule)),
        ("Starts when", _trigger(rule)),
        ("Counted", _count(rule.count)),
        ("Too early", f"what is done sooner than {_length(rule.earliest)} after" if rule.earliest else ""),
        ("Done when", "its time is up" if rule.lapses else _listed(map(_telling, rule.satisfied_by), "or")),
        ("Ended by", _kinds(rule.closed_by)),
        ("Ended, before its time is up, by", _kinds(rule.voided_by)),
        ("Silence says nothing while", _listed(map(_telling, rule.suspended_by), "or")),
        ("Disputed by", _listed((f"`{c.notice.value}` ({c.basis})" for c in rule.contested_by), "or")),
        ("Receipts", "nothing counts before the receiver has accepted it" if rule.accepted_only else ""),
        ("In force", _validity(rule)),
        ("Reminder", _reminder(rule)),
        ("Source", f"{rule.basis}: {CONFIDENCE[rule.confidence]}"),
        ("Note", rule.note or ""),
    ]
    if rule.later:
        later = f"when the {_notice(rule.later.notice)} comes later than that, from it"
        rows.insert(3, ("Or", f"{later} ({rule.later.basis})"))
    rows[4:4] = [("Not before", _floor(floor)) for floor in rule.floors]
    yield "| | |"
    yield "|---|---|"
    yield from (f"| {name} | {text} |" for name, text in rows if text)
    for required in rule.requires:
        yield f"| Only if | {_requirement(required)} |"
    yield ""


def _concerns(rule: Rule) -> str:
    """The receivers for each of whom the law counts by itself."""
    if rule.responsible:
        return f"the {rule.responsible} that is responsible, of those who were told"
    if not rule.receivers_of:
        return ""
    roles = _listed((f"each {role}" for role in rule.roles), "and") or "each receiver"
    otherwise = "nobody, where only others were told" if rule.only_told else "once, where none is named"
    return f"{roles} told by {_kinds(rule.receivers_of, 'or')}; {otherwise}"


def _reminder(rule: Rule) -> str:
    if rule.lapses:
        return ""
    return "none, and no alarm: it is only shown" if rule.quiet else f"{_length(rule.remind_before)} before"


def _trigger(rule: Rule) -> str:
    trigger = rule.trigger
    text = f"the {_notice(trigger.notice)} {_TIMES[trigger.time]}"
    if trigger.from_ready_day:
        text += ", but not before the day from which it says that the patient is ready"
    if trigger.only_if:
        text += f"; only with `{trigger.only_if}`"
    if trigger.unless:
        text += f"; not with `{trigger.unless}`"
    if trigger.longest_stay:
        text += f"; only after a stay of more than {_length(trigger.longest_stay)}"
    if trigger.placed:
        text += f"; only for those placed on `{trigger.placed}`"
    return text


def _floor(floor: Floor) -> str:
    text = f"{_notice(floor.notice)} {_TIMES[floor.time]}"
    if floor.from_ready_day:
        text = f"the day that the {_notice(floor.notice)} names"
    return f"{text}: {_count(floor.count)}"


def _count(count: Count) -> str:
    text = " ".join((WAYS[count.way].__doc__ or "").split("\n\n", 1)[0].split())
    parts = []
    told = _days if count.way in IN_DAYS else _length
    if count.duration:
        parts.append(told(count.duration))
    if count.cutoff is not None and count.after_cutoff is not None:
        parts.append(f"{told(count.after_cutoff)} after {count.cutoff:%H:%M:%S}")
    if count.clock is not None:
        parts.append(f"by {count.clock:%H:%M}")
    if count.opens is not None and count.closes is not None:
        parts.append(f"office hours {count.opens:%H:%M} to {count.closes:%H:%M}")
    if count.rolls:
        parts.append("a last day that is off gives way to the next working day")
    figure = f"**{'; '.join(parts)}**. " if parts else ""
    return f"{figure}{text} (`{count.way}`)"


def _telling(telling: Telling) -> str:
    text = f"{_kinds(telling.notices, 'or')} {_TIMES[telling.time].split(' (')[0]}"
    if telling.says:
        text += f" that says `{telling.says}`"
    if telling.by:
        text += f", from the {_listed(telling.by, 'or')}"
    return text


def _requirement(required: Requirement) -> str:
    telling = required.telling
    text = f"the {_notice(telling.notices[0])} {_TIMES[telling.time].split(' (')[0]}"
    if telling.says:
        text += f" and says `{telling.says}`"
    if required.only_if:
        text += f", where `{required.only_if}`"
    if required.waived_by:
        text += f", unless there is a {_kinds(required.waived_by, 'or')}"
    if required.whenever:
        text += ", at whatever time"
    if required.deadline:
        text += f"; later than `{required.deadline}` asks for: {required.late}"
    if not required.enforced:
        text += "; asked for only where an agreement says so"
    return f"{text} ({required.basis})"


def _validity(rule: Rule | Readmission) -> str:
    if rule.valid_from is None and rule.valid_to is None:
        return ""
    begins = f"from {rule.valid_from}" if rule.valid_from else ""
    ends = f"to {rule.valid_to}" if rule.valid_to else ""
    return f"for what starts {' '.join(filter(None, (begins, ends)))}, both included"


def _payment(country: Country) -> Iterator[str]:
    payment = country.payment
    yield "### Payment"
    yield ""
    owed = _listed([f"the {payee}" for payee in payment.payees])
    yield f"Owed to {owed}, in {payment.currency} ({payment.basis})."
    if payment.note:
        yield f"{payment.note[0].upper()}{payment.note[1:]}."
    yield ""
    if payment.amounts:
        yield "| year | amount | source |"
        yield "|---|---|---|"
        yield from (f"| {a.year} | {a.amount} | {_source(a)} |" for a in payment.amounts)
        yield ""
        yield "Other years are not known here: until the region fills them in (`amounts`), no total is given."
    else:
        yield "No amount is known here: until the region fills them in (`amounts`), no total is given."
    yield ""
    average = payment.average
    if average is not None:
        yield (
            "Parties may agree that the mean of a month decides instead of each day: the term `average_days` "
            f"gives the level, which no source does ({average.basis}: {CONFIDENCE[average.confidence]})."
        )
        yield ""


def _by_hand(country: Country) -> Iterator[str]:
    hand = country.by_hand
    said = {"a notice": hand.notice, "an answer": hand.answer, "a receipt": hand.receipt}
    yield "### By telephone and on paper"
    yield ""
    yield "What is told so and recorded counts as if it had come as a message: the terms `by_telephone` and"
    yield "`on_paper` say otherwise (docs/deadlines.md#terms)."
    yield ""
    yield "| what | counts |"
    yield "|---|---|"
    yield from (f"| {name} | {'yes' if does else 'no'} |" for name, does in said.items())
    yield ""
    yield f"{hand.basis}: {CONFIDENCE[hand.confidence]}.{f' {hand.note}.' if hand.note else ''}"
    yield ""


def _readmissions(country: Country) -> Iterator[str]:
    for one in country.readmissions:
        yield f"### Readmission (`{WATCH}`)"
        yield ""
        yield "| | |"
        yield "|---|---|"
        rows = [
            ("A readmission is", _readmission(one)),
            (
                "Watched",
                "from the discharge until a readmission, another stay, death, or the end of that time",
            ),
            ("In force", _validity(one)),
            ("Source", f"{one.basis}: {CONFIDENCE[one.confidence]}"),
            ("Note", one.note or ""),
        ]
        yield from (f"| {name} | {text} |" for name, text in rows if text)
        yield ""


def _readmission(one: Readmission) -> str:
    which = "an acute admission" if one.acute_only else "an admission"
    begins = f"{_length(one.earliest)} to " if one.earliest else "at most "
    return f"{which} {begins}{_length(one.latest)} after the discharge, both included"


def _group(group: Placement) -> str:
    begins = f"from {group.valid_from}" if group.valid_from else ""
    ends = f"to {group.valid_to}" if group.valid_to else ""
    when = " ".join(filter(None, (begins, ends))) or "on any day"
    return f"| `{group.name}` | {group.title} | {when} | {group.basis}: {CONFIDENCE[group.confidence]} |"


def _source(amount: Amount) -> str:
    return f"{amount.basis}: {CONFIDENCE[amount.confidence]}"


def _notice(kind: NoticeKind) -> str:
    return f"{translated(kind.value, 'en')} (`{kind.value}`)"


def _kinds(kinds: Iterable[NoticeKind], word: str = "or") -> str:
    return _listed([f"`{kind.value}`" for kind in kinds], word)


def _length(length: timedelta) -> str:
    hours = length / timedelta(hours=1)
    if hours > 72 and hours % 24 == 0:
        return f"{hours / 24:.0f} days"
    return f"{hours:g} hour{'' if hours == 1 else 's'}"


def _days(length: timedelta) -> str:
    return f"{length.days} day{'' if length.days == 1 else 's'}"


def _listed(parts: Iterable[str], word: str = "and") -> str:
    listed = list(parts)
    if len(listed) < 2:
        return "".join(listed)
    return f"{', '.join(listed[:-1])} {word} {listed[-1]}"
