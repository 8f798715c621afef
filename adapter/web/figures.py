"""Figures of operations: how long deliveries take, how they end, what waits, falls due and is amiss.

Each is counted once and told in four ways: a sentence, a picture, a table for those who do not see it, and a
file to take along (`/figures/{name}.svg`, `/figures/{name}.csv`). None tells of a patient.
"""

import csv
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from io import StringIO
from math import ceil
from typing import Any
from urllib.parse import urlencode

from adapter.discharge.notices import spoken
from adapter.errors import NotFound
from adapter.messaging.people import Role
from adapter.phrases import phrase
from adapter.store import deliveries as delivery_rows
from adapter.store import endpoint_health
from adapter.store import figures as counted
from adapter.web import pictures
from adapter.web.pictures import Bar, Column, Course, Panel, Part, Picture
from adapter.web.site import Action, File, Link, Look, Page, View
from adapter.web.words import Words, as_said

LONGEST = timedelta(days=63)
"""The longest period that is counted at once."""

_PERIODS = {"day": timedelta(days=1), "week": timedelta(days=7), "month": timedelta(days=30)}
_STEPS = (
    (timedelta(hours=26), timedelta(minutes=15)),
    (timedelta(days=8), timedelta(hours=1)),
    (timedelta(days=33), timedelta(hours=4)),
)
_STEPS_ELSE = timedelta(hours=12)
_UP_TO = (1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 24 * 3600)  # seconds
_HOURS = 24
_MOST_COURSES = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class Period:
    """From `since` to before `until`, and how the address says so."""

    since: datetime
    until: datetime
    query: Mapping[str, str]


Cell = str | int | float | datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Rows under a heading; the first cell of each names it."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: Sequence[int] = ()  # which columns hold words; the others hold numbers

    @property
    def numbers(self) -> frozenset[int]:
        """Which columns hold numbers."""
        return frozenset(range(1, len(self.head))) - frozenset(self.words)


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One figure in its four ways."""

    name: str
    title: str
    sentence: str
    picture: Picture | None  # None where there is nothing to draw
    table: Table
    head: Sequence[str]  # of the file: words of the store, the same in every language
    lines: Sequence[Sequence[Cell]]


# --- the period -------------------------------------------------------------------------------------------


def period_of(query: Mapping[str, str], now: datetime, words: Words) -> tuple[Period, list[str]]:
    """What the address asks for, and what is wrong with it; the last day where it asks for nothing."""
    since, until = query.get("from", ""), query.get("until", "")
    named = query.get("period") or "day"
    if not since and not until:
        if named in _PERIODS:
            return Period(since=now - _PERIODS[named], until=now, query={"period": named}), []
        return _last_day(now), [words.of("In the address the period is day, week or month.")]
    first, last = _day(since or until), _day(until or since)
    if first is None or last is None:
        return _last_day(now), [words.of("Write a day as 2026-03-14.")]
    if last < first:
        return _last_day(now), [words.of("The period ends before it begins.")]
    begins, ends = (datetime.combine(day, time.min, words.zone) for day in (first, last + timedelta(days=1)))
    if ends - begins > LONGEST:
        return _last_day(now), [words.of("Choose at most {days} days.", days=LONGEST.days - 1)]
    if begins >= now:
        return _last_day(now), [words.of("The period has not begun yet.")]
    asked = {"from": first.isoformat(), "until": last.isoformat()}
    return Period(since=begins, until=ends, query=asked), []


def _last_day(now: datetime) -> Period:
    return Period(since=now - _PERIODS["day"], until=now, query={"period": "day"})


def _day(text: str) -> date | None:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    return found if len(text) == 10 and 1970 < found.year < 2200 else None


# --- the figures ------------------------------------------------------------------------------------------


def delivery_times(look: Look, period: Period) -> Figure:
    """How long deliveries took, from being made to being delivered and accepted."""
    words = look.words
    title = words.of("Delivery times")
    steps = (("delivered_at", "delivered"), ("accepted_at", "accepted"))
    headings = {
        "delivered": words.of("From made to delivered"),
        "accepted": words.of("From made to accepted"),
    }
    labels = [f"≤ {words.span(timedelta(seconds=s))}" for s in _UP_TO]
    labels.append(f"> {words.span(timedelta(seconds=_UP_TO[-1]))}")
    panels, lines, told = [], [], []
    counts: list[list[int]] = []
    for column, step in steps:
        found = counted.durations(look.tx, period.since, period.until, column)
        sizes, whole = _in_bins(found), sum(count for _, count in found)
        half, most = (_share(found, share) for share in (0.5, 0.95))
        counts.append(sizes)
        heading = headings[step]
        if whole:
            within = {"half": _long(words, half), "most": _long(words, most)}
            measured = words.of("half within {half}, 95 of 100 within {most}", **within)
            heading = f"{heading}: {measured}"
            told.append(f"{heading} ({words.count('{number} delivery', '{number} deliveries', whole)}).")
        panels.append(
            Panel(
                heading=heading,
                columns=[
                    Column(label=label, values=(size,), told=words.number(size) if size else "")
                    for label, size in zip(labels, sizes, strict=True)
                ],
            )
        )
        for place, size in enumerate(sizes):
            longer, up_to = (0, *_UP_TO)[place], (*_UP_TO, None)[place]
            lines.append((step, longer, up_to, size, half, most))
    part = Part(label=words.of("Deliveries"), fill="full")
    sentence = " ".join(told) or words.of("Nothing was delivered in this period.")
    drawn = (
        pictures.columns("delivery-times", title, sentence, panels, [part], number=words.number)
        if told
        else None
    )
    head = (words.of("Took"), words.of("Delivered"), words.of("Accepted"))
    rows = [
        (label, words.number(one), words.number(other))
        for label, one, other in zip(labels, *counts, strict=True)
    ]
    return Figure(
        name="delivery-times",
        title=title,
        sentence=sentence,
        picture=drawn,
        table=Table(head=head, rows=rows),
        head=("step", "longer_than_s", "up_to_s", "deliveries", "p50_s", "p95_s"),
        lines=lines,
    )


def _in_bins(found: Sequence[tuple[int, int]]) -> list[int]:
    sizes = [0] * (len(_UP_TO) + 1)
    for tenths, count in found:
        place = next((n for n, most in enumerate(_UP_TO) if tenths < 10 * most + 1), len(_UP_TO))
        sizes[place] += count
    return sizes


def _share(found: Sequence[tuple[int, int]], share: float) -> float | None:
    """Within how many seconds that share of them was done: the nearest rank."""
    rank = ceil(sum(count for _, count in found) * share)
    for tenths, count in found:
        rank -= count
        if rank <= 0:
            return tenths / 10
    return None


def _long(words: Words, seconds: float | None) -> str:
    if seconds is None:
        return "–"
    if seconds < 10:
        return words.of("{number} s", number=words.number(seconds))
    return words.span(timedelta(seconds=seconds))


ENDS = ("first-try", "after-retries", "under-way", "refused", "given-up", "cancelled")
"""How a delivery ended, or stands; what its sender took back counts as no attempt."""


def success(look: Look, period: Period) -> Figure:
    """How deliveries ended, by party."""
    words = look.words
    title = words.of("How deliveries ended, by party")
    found: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(ENDS, 0))
    for one in counted.outcomes(look.tx, period.since, period.until):
        found[one.party][_end(one)] += one.count
    labels = {
        "first-try": words.of("At the first try"),
        "after-retries": words.of("After more tries"),
        "under-way": words.of("Under way"),
        "refused": words.of("Refused"),
        "given-up": words.of("Given up"),
        "cancelled": words.of("Taken back before it left"),
    }
    fills = ("full", "hatched", "empty", "crossed", "dotted")
    parts = [Part(label=labels[end], fill=fill) for end, fill in zip(ENDS, fills, strict=False)]
    order = sorted(found, key=lambda party: (-sum(found[party].values()), party))
    rows, drawn = [], []
    for party in order:
        values = [found[party][end] for end in ENDS]
        whole = sum(values[:-1])
        rows.append((words.party(party), *(words.number(value) for value in values)))
        if whole:
            share = words.percent(values[0] / whole)
            drawn.append(
                Bar(
                    label=words.party(party),
                    values=values[:-1],
                    told=words.of("{share} at the first try", share=share),
                    hint=words.count("{number} delivery", "{number} deliveries", whole),
                )
            )
    sums = {end: sum(found[party][end] for party in found) for end in ENDS}
    whole = sum(sums.values()) - sums["cancelled"]
    sentence = words.of("Nothing was to be delivered in this period.")
    if whole:
        sentence = words.of(
            "Of {count} deliveries {first} arrived at the first try, {later} after more tries; "
            "{refused} were refused and {given_up} given up.",
            count=words.number(whole),
            first=words.percent(sums["first-try"] / whole),
            later=words.percent(sums["after-retries"] / whole),
            refused=words.number(sums["refused"]),
            given_up=words.number(sums["given-up"]),
        )
    return Figure(
        name="success",
        title=title,
        sentence=sentence,
        picture=pictures.bars("success", title, sentence, drawn, parts, share=True) if drawn else None,
        table=Table(head=(words.of("Party"), *labels.values()), rows=rows),
        head=("party", "name", *(end.replace("-", "_") for end in ENDS)),
        lines=[(p, words.party(p), *(found[p][end] for end in ENDS)) for p in order],
    )


def _end(one: counted.Outcome) -> str:
    if one.state in ("refused", "given-up", "cancelled"):
        return one.state
    if one.state in ("sent", "acknowledged"):
        return "after-retries" if one.again else "first-try"
    return "under-way"


def backlog(look: Look, period: Period) -> Figure:
    """What waited, by endpoint, at equal distances through the period."""
    words = look.words
    title = words.of("What waited to be sent")
    length = min(period.until, look.now) - period.since
    step = next((step for most, step in _STEPS if length <= most), _STEPS_ELSE)
    end = _full(min(period.until, look.now), min(step, timedelta(hours=1)))
    count = max(1, ceil((end - period.since) / step)) + 1
    first = end - step * (count - 1)
    instants = [first + step * place for place in range(count)]
    waited = _waited(counted.crossings(look.tx, first, step, count), count)
    order = sorted(waited, key=lambda name: (-max(waited[name]), name))
    whole = [sum(values) for values in zip(*waited.values(), strict=True)] if waited else [0] * count
    rows, drawn = [], []
    for name, values in [("", whole), *((name, waited[name]) for name in order)]:
        label = _endpoint(words, name) if name else words.of("All endpoints")
        most = max(values)
        when = words.when(instants[values.index(most)]) if most else "–"
        rows.append((label, words.number(most), when, words.number(values[-1])))
        last = words.number(values[-1])
        told = words.of("most {most}, at the end {last}", most=words.number(most), last=last)
        drawn.append(Course(label=label, values=values, told=told))
    sentence = words.of("Nothing waited at any of these times.")
    if max(whole):
        sentence = words.of(
            "Messages that waited at most: {most}, {when}; at the end: {last}.",
            most=words.number(max(whole)),
            when=words.when(instants[whole.index(max(whole))]),
            last=words.number(whole[-1]),
        )
    within_days = length <= _STEPS[0][0]
    below = [
        (share, words.time(at) if within_days else words.day(at, weekday=False))
        for share in (0.0, 0.25, 0.5, 0.75, 1.0)
        for at in (first + (end - first) * share,)
    ]
    some = drawn[: _MOST_COURSES + 1]
    picture = pictures.courses("backlog", title, sentence, some, below) if waited else None
    return Figure(
        name="backlog",
        title=title,
        sentence=sentence,
        picture=picture,
        table=Table(
            head=(words.of("Endpoint"), words.of("Most at once"), words.of("When"), words.of("At the end")),
            rows=rows,
        ),
        head=("at", "endpoint", "waiting"),
        lines=[
            (at, "" if name == _NOWHERE else name, waited[name][place])
            for place, at in enumerate(instants)
            for name in order
        ],
    )


_NOWHERE = "\x00"


def _waited(found: Iterable[counted.Crossing], count: int) -> dict[str, list[int]]:
    """By endpoint, how many waited at each of the instants."""
    changes: dict[str, list[int]] = {}
    for one in found:
        change = changes.setdefault(one.endpoint or _NOWHERE, [0] * (count + 1))
        change[min(one.entered, count)] += one.count
        change[min(one.left, count) if one.left is not None else count] -= one.count
    waited = {}
    for name, change in changes.items():
        depth, values = 0, []
        for by in change[:count]:
            depth += by
            values.append(depth)
        if any(values):
            waited[name] = values
    return waited


def _full(moment: datetime, step: timedelta) -> datetime:
    """The last full hour, or quarter of one: a picture that is drawn anew is the same until the next."""
    begun = moment.astimezone(UTC)
    return begun - (begun - datetime(1970, 1, 1, tzinfo=UTC)) % step


def _endpoint(words: Words, name: str) -> str:
    return words.of("No endpoint") if name in ("", _NOWHERE) else name


def endpoints(look: Look, period: Period) -> Figure:
    """How each endpoint does now: what waits for it, how long already, and whose receipts are awaited."""
    words = look.words
    title = words.of("Endpoints now")
    depth: dict[str, dict[str, int]] = defaultdict(lambda: {"waiting": 0, "leased": 0, "sent": 0})
    oldest: dict[str, datetime] = {}
    for name, state, count, since in delivery_rows.queue_depth(look.tx):
        depth[name or _NOWHERE][state] += count
        if state != "sent" and since is not None:
            oldest[name or _NOWHERE] = min(oldest.get(name or _NOWHERE, since), since)
    ailing, pauses = endpoint_health.ailing(look.tx), delivery_rows.pauses(look.tx)
    names = [e.name for e in look.register.endpoints]
    names += sorted(set(depth) - set(names))
    parts = [
        Part(label=words.of("Waiting"), fill="full"),
        Part(label=words.of("On the way"), fill="hatched"),
        Part(label=words.of("Receipt awaited"), fill="dotted"),
    ]
    rows, lines, drawn = [], [], []
    for name in names:
        values = [depth[name][state] for state in ("waiting", "leased", "sent")]
        health = ailing[name].condition(look.now).value if name in ailing else "ok"
        health = "paused" if name in pauses else "none" if name == _NOWHERE else health
        since = oldest.get(name)
        age = words.span(look.now - since) if since is not None else "–"
        label = _endpoint(words, name)
        said = "–" if name == _NOWHERE else _spelt(words, "health", health)
        rows.append((label, said, *(words.number(value) for value in values), age))
        seconds = int((look.now - since).total_seconds()) if since is not None else None
        lines.append(("" if name == _NOWHERE else name, health, *values, since, seconds))
        told = words.number(sum(values))
        if since is not None:
            waits = words.number(values[0] + values[1])
            told = words.of("{count}, oldest {age}", count=waits, age=age)
        drawn.append(Bar(label=label, values=values, told=told, hint=said))
    waiting = sum(depth[name]["waiting"] + depth[name]["leased"] for name in names)
    unwell = sum(1 for line in lines if line[1] not in ("ok", "none"))
    sentence = words.of("No endpoint is configured.")
    if names:
        sentence = words.of(
            "Messages that wait to be sent: {waiting}. Endpoints that are not well: {unwell} of {count}.",
            waiting=words.number(waiting),
            unwell=unwell,
            count=len(look.register.endpoints),
        )
    return Figure(
        name="endpoints",
        title=title,
        sentence=sentence,
        picture=pictures.bars("endpoints", title, sentence, drawn, parts) if drawn else None,
        table=Table(
            head=(
                words.of("Endpoint"), words.of("Health"), *(p.label for p in parts),
                words.of("Oldest that waits"),
            ),
            rows=rows,
            words=(1,),
        ),
        head=("endpoint", "health", "waiting", "on_the_way", "receipts_awaited", "oldest", "oldest_age_s"),
        lines=lines,
    )  # fmt: skip


def forecast(look: Look, period: Period) -> Figure:
    """Which deadlines fall due in the next 24 hours, hour by hour of the clock, and what is overdue."""
    words, now = look.words, look.now
    title = words.of("Deadlines of the next 24 hours")
    edges = hours(now)
    found = counted.due(look.tx, edges)
    actors = {
        "hospital": Part(label=_spelt(words, "actor", "hospital"), fill="full"),
        "municipality": Part(label=_spelt(words, "actor", "municipality"), fill="hatched"),
        "": Part(label=words.of("Others who must act"), fill="dotted"),
    }
    kinds = list(actors)
    made = []
    for place, begins in enumerate(edges[:-1]):
        values = [0] * len(kinds)
        for one in found:
            if one.span == place:
                values[kinds.index(one.actor if one.actor in actors else "")] += one.count
        here = begins.astimezone(words.zone)
        whole = sum(values)
        made.append(
            Column(
                label=f"{here:%H}",
                values=values,
                told=words.number(whole) if whole else "",
                mark=here.hour == 0 and here.minute == 0,
            )
        )
    behind = sum(one.count for one in found if one.span < 0)
    ahead = sum(one.count for one in found if one.span >= 0)
    sentence = words.of(
        "Deadlines due in the next 24 hours: {ahead}. Overdue: {behind}.",
        ahead=words.number(ahead),
        behind=words.number(behind),
    )
    panel = Panel(heading=words.of("By the hour in which they fall due"), columns=made)
    drawn = pictures.columns("forecast", title, sentence, [panel], [*actors.values()]) if ahead else None
    rows, lines = [], []
    for one in sorted(found, key=lambda one: (one.span, one.kind, one.actor)):
        starts = edges[one.span] if one.span >= 0 else None
        ends = edges[one.span + 1] if one.span >= 0 else now
        when = words.of("Overdue") if starts is None else words.when(starts)
        kind = _spelt(words, "deadline", one.kind)
        rows.append((when, kind, _spelt(words, "actor", one.actor), words.number(one.count)))
        lines.append((starts, ends, one.kind, one.actor, one.count))
    return Figure(
        name="forecast",
        title=title,
        sentence=sentence,
        picture=drawn,
        table=Table(
            head=(words.of("From"), words.of("What is due"), words.of("Who must act"), words.of("Count")),
            rows=rows,
            words=(1, 2),
        ),
        head=("due_from", "due_before", "kind", "actor", "deadlines"),
        lines=lines,
    )


def hours(now: datetime) -> list[datetime]:
    """Now, each full hour until 24 hours have passed, and then, whatever the clocks on the wall do."""
    begins, hour = now.astimezone(UTC), timedelta(hours=1)
    full, end = begins.replace(minute=0, second=0, microsecond=0), begins + _HOURS * hour
    between = (full + number * hour for number in range(1, _HOURS + 1))
    return [begins, *(at for at in between if at < end), end]


def alarms(look: Look, period: Period) -> Figure:
    """Alarms by kind: those that are open, and those raised in the period that are over."""
    words = look.words
    title = words.of("Alarms by kind")
    found = counted.raised(look.tx, period.since, period.until)
    parts = [
        Part(label=words.of("Open alarms"), fill="full"),
        Part(label=words.of("Raised in the period, over by now"), fill="hatched"),
    ]
    rows = [(_spelt(words, "alarm", a.kind), words.number(a.open), words.number(a.over)) for a in found]
    sentence = words.of(
        "Open alarms: {open}. Raised in the period and over by now: {over}.",
        open=words.number(sum(a.open for a in found)),
        over=words.number(sum(a.over for a in found)),
    )
    drawn = [
        Bar(
            label=_spelt(words, "alarm", a.kind),
            values=(a.open, a.over),
            told=words.of("{number} open", number=words.number(a.open)),
        )
        for a in found
    ]
    return Figure(
        name="alarms",
        title=title,
        sentence=sentence,
        picture=pictures.bars("alarms", title, sentence, drawn, parts) if drawn else None,
        table=Table(head=(words.of("Kind"), *(p.label for p in parts)), rows=rows),
        head=("kind", "open", "raised_and_over"),
        lines=[(a.kind, a.open, a.over) for a in found],
    )


def _spelt(words: Words, family: str, code: str) -> str:
    """A code in words; where nobody has any, as people would say the code."""
    told = words.code(family, code)
    text = spoken(code) if told == code else told
    return text[:1].upper() + text[1:]


FIGURES: dict[str, Callable[[Look, Period], Figure]] = {
    "endpoints": endpoints,
    "backlog": backlog,
    "delivery-times": delivery_times,
    "success": success,
    "forecast": forecast,
    "alarms": alarms,
}
"""Every figure by its name in addresses, in the order of the page."""


# --- the page and the files -------------------------------------------------------------------------------


def page(look: Look) -> View:
    """`/figures`: all of them."""
    period, notes = period_of(look.query, look.now, look.words)
    local = [at.astimezone(look.words.zone) for at in (period.since, period.until)]
    values = {
        "figures": [make(look, period) for make in FIGURES.values()],
        "period": period,
        "kept": urlencode(period.query),
        "periods": list(_PERIODS),
        "first": local[0].date().isoformat(),
        "last": (local[1] - timedelta(microseconds=1)).date().isoformat(),
        "notes": notes,
    }
    return View(template="figures/figures.html", title=look.words.of("Figures"), values=values)


def picture(look: Look) -> View:
    """`/figures/{name}.svg`: one picture by itself."""
    figure, period = _asked(look)
    shown = figure.picture or pictures.words_alone(figure.name, figure.title, figure.sentence)
    return _file(figure, period, "svg", "image/svg+xml", shown.svg(alone=True).encode())


def table(look: Look) -> View:
    """`/figures/{name}.csv`: the numbers behind it."""
    figure, period = _asked(look)
    separator = look.query.get("separator") or ","
    if separator not in (",", ";"):
        raise NotFound(phrase("In the address the separator is , or ;."))
    written = StringIO()
    writer = csv.writer(written, delimiter=separator, lineterminator="\r\n")
    writer.writerow(figure.head)
    writer.writerows([_cell(value, look.words) for value in line] for line in figure.lines)
    return _file(figure, period, "csv", "text/csv; charset=utf-8", written.getvalue().encode())


def _asked(look: Look) -> tuple[Figure, Period]:
    make = FIGURES.get(look.path["name"])
    if make is None:
        raise NotFound(phrase("There is no such figure."))
    period, notes = period_of(look.query, look.now, look.words)
    if notes:
        raise NotFound(as_said(notes[0]))
    return make(look, period), period


def _file(figure: Figure, period: Period, ending: str, media_type: str, content: bytes) -> View:
    when = "-".join(period.query.values())
    name = f"{figure.name}-{when}.{ending}"
    file = File(content=content, media_type=media_type, name=name, shown=ending == "svg")
    return View(template="", title=figure.title, values={}, file=file)


def _cell(value: Cell, words: Words) -> Any:
    """Instants with their offset; text that a spreadsheet would take for a formula is marked as text."""
    if isinstance(value, datetime):
        return value.astimezone(words.zone).isoformat(timespec="seconds")
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return "" if value is None else value


_WATCHERS = frozenset({Role.OPERATIONS, Role.AUDITOR})

PAGES = (
    Page(path="/figures", view=page, roles=_WATCHERS),
    Page(path="/figures/{name}.svg", view=picture, roles=_WATCHERS),
    Page(path="/figures/{name}.csv", view=table, roles=_WATCHERS),
)
ACTIONS: tuple[Action, ...] = ()
NAV = (Link(path="/figures", label="Figures", roles=_WATCHERS),)
