"""What people are written about alarms: subject and text of a mail, from counts and lines without a person.

Pure: what has happened, the words and the zone are arguments. English for now.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, tzinfo

SHOWN = 20
"""Alarms that a mail tells of one by one; of more it gives the counts."""

_LONGEST_SUBJECT = 120
_NAME = "[discharge-adapter]"


@dataclass(frozen=True, kw_only=True, slots=True)
class Letter:
    """A mail before it has a receiver."""

    subject: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """One alarm as a mail tells of it."""

    number: int
    kind: str
    subject: str
    text: str
    since: datetime
    until: datetime | None = None
    times: int = 1  # started so often since the last mail about the same
    last_mail: datetime | None = None  # when that was
    on_again: bool = False  # of one that is over: another about the same is on


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Alarms together: how many of each kind, and the first of them."""

    kinds: Mapping[str, int] = field(default_factory=dict)
    first: Sequence[Told] = ()

    @property
    def count(self) -> int:
        """How many there are in all."""
        return sum(self.kinds.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """What the letters need besides: what to do about each kind, the zone, where the page is."""

    to_do: Mapping[str, str]
    zone: tzinfo
    page: str | None = None  # of the alarms

    def at(self, moment: datetime) -> str:
        """A moment where the hospital is."""
        return f"{moment.astimezone(self.zone):%Y-%m-%d %H:%M}"


def about_alarms(on: Batch, over: Batch, words: Words) -> Letter:
    """What has started, and what was told of before and is over."""
    lines = [*_started(on, words), *_over(over, words), *_foot(words)]
    if on.count:
        return Letter(subject=_subject(_several(on)), text=_text(lines))
    return Letter(subject=_subject(f"Over: {_several(over)}"), text=_text(lines))


def about_unseen(on: Batch, words: Words) -> Letter:
    """What nobody has seen for too long, to those who are told then."""
    head = ["Nobody has marked this seen in time, so you are told.", ""]
    lines = [*head, *_started(on, words), *_foot(words)]
    return Letter(subject=_subject(f"Not seen: {_several(on)}"), text=_text(lines))


def about_a_test(told: Told, which: str, words: Words) -> Letter:
    """A mail that somebody has asked for, to see whether it comes."""
    lines = [told.text, "", f"Your address stands in `{which}` of [mail].", *_foot(words)]
    return Letter(subject=_subject("Test alarm: nothing is wrong"), text=_text(lines))


def _several(batch: Batch) -> str:
    if batch.count == 1:
        (one,) = batch.first
        return f"Alarm: {one.kind}, {one.subject}"
    kinds = ", ".join(f"{kind} ({count})" for kind, count in batch.kinds.items())
    return f"{batch.count} alarms: {kinds}"


def _subject(text: str) -> str:
    """A subject is one line, and not too long."""
    line = " ".join(f"{_NAME} {text}".split())
    return line if len(line) <= _LONGEST_SUBJECT else f"{line[: _LONGEST_SUBJECT - 1]}…"


def _text(lines: Sequence[str]) -> str:
    return "\n".join(lines) + "\n"


def _counts(batch: Batch) -> list[str]:
    return [f"  {kind}: {count}" for kind, count in batch.kinds.items()] if batch.count > 1 else []


def _rest(batch: Batch) -> list[str]:
    more = batch.count - len(batch.first)
    return [f"… and {more} more.", ""] if more else []


def _started(batch: Batch, words: Words) -> list[str]:
    lines = [f"{batch.count} alarms:", *_counts(batch), ""] if batch.count > 1 else []
    for one in batch.first:
        lines += [f"{one.kind}: {one.text}", f"  about {one.subject}, since {words.at(one.since)}"]
        if one.times > 1 and one.last_mail is not None:
            lines.append(f"  started {one.times} times since the mail of {words.at(one.last_mail)}")
        to_do = words.to_do.get(one.kind)
        lines += [f"  What to do: {to_do}"] if to_do else []
        lines += [f"  Alarm {one.number}", ""]
    return lines + _rest(batch)


def _over(batch: Batch, words: Words) -> list[str]:
    if not batch.count:
        return []
    lines = ["Over since it was told of:", *_counts(batch)]
    for one in batch.first:
        again = ", and on again" if one.on_again else ""
        until = words.at(one.until) if one.until is not None else ""
        lines.append(f"  {one.kind}, {one.subject}: {words.at(one.since)} to {until}{again}")
    return [*lines, *_rest(batch), ""]


def _foot(words: Words) -> list[str]:
    where = words.page or "`discharge-adapter alarms`"
    return [
        f"All alarms: {where}",
        "Who deals with it marks it seen there, or with `discharge-adapter alarms seen ID --by NAME`.",
        f"Times are those of {words.zone}.",
    ]


# --- the digest -------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Day:
    """What a digest tells; names of parties and counts, nothing else."""

    alarms: Sequence[tuple[str, int, datetime]]  # kind, how many, the oldest since
    deadlines: Sequence[tuple[str | None, str, int]]  # the receiver, where it is known, kind, how many
    sent: int
    acknowledged: int
    refused: int
    given_up: int
    waiting: int
    oldest_waiting: datetime | None
    resting: Sequence[tuple[str, datetime]]
    paused: Sequence[tuple[str, datetime]]
    quarantined: int


def about_a_day(day: Day, of: date, now: datetime, words: Words) -> Letter:
    """The state of things once a day, so that silence is never taken for health."""
    alarms = sum(count for _, count, _ in day.alarms)
    due = sum(count for _, _, count in day.deadlines)
    lines = [
        f"Alarms that are on: {alarms}",
        *(f"  {kind}: {n}, the oldest for {_age(now - since)}" for kind, n, since in day.alarms),
        "",
        f"Deadlines due in the next 24 hours: {due}",
        *(f"  {name}, {kind}: {n}" for name, kind, n in day.deadlines),
        "",
        "Messages in the last 24 hours:",
        *(
            f"  {what}: {n}"
            for what, n in (
                ("sent", day.sent),
                ("acknowledged", day.acknowledged),
                ("refused", day.refused),
                ("given up", day.given_up),
            )
        ),
        f"Waiting now: {day.waiting}" + _oldest(day, now),
        f"In quarantine: {day.quarantined}",
        *_places("Endpoints that rest", day.resting, words),
        *_places("Endpoints that somebody has paused", day.paused, words),
        "",
        *_foot(words),
    ]
    return Letter(subject=_subject(f"{of}: alarms on: {alarms}, deadlines due: {due}"), text=_text(lines))


def _oldest(day: Day, now: datetime) -> str:
    return f", the oldest for {_age(now - day.oldest_waiting)}" if day.oldest_waiting is not None else ""


def _places(what: str, places: Sequence[tuple[str, datetime]], words: Words) -> list[str]:
    lines = [f"  {name}, since {words.at(since)}" for name, since in places]
    return [f"{what}: {len(places) or 'none'}", *lines]


def _age(length: object) -> str:
    minutes = max(0, round(length.total_seconds() / 60))  # type: ignore[attr-defined]  # a timedelta
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} days"
