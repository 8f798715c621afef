"""What people are written about alarms: subject and text of a mail, from counts and lines without a person.

Pure: what has happened, the language, the words and the zone are arguments.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo

from adapter.messaging.alarm_words import about
from adapter.phrases import Code, Phrase, phrase, plural
from adapter.tongues import said_in

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
    """What the letters need besides: what to do about each kind, the zone, the page, the language."""

    to_do: Mapping[str, str]
    zone: tzinfo
    page: str | None = None  # of the alarms
    language: str = "en"

    def at(self, moment: datetime) -> str:
        """A moment where the hospital is."""
        return f"{moment.astimezone(self.zone):%Y-%m-%d %H:%M}"

    def say(self, text: str) -> str:
        """A phrase in the language of the mails; other text as it is."""
        if not isinstance(text, Phrase) or self.language == "en":
            return str(text)
        return said_in(self.language, text)

    def kind(self, kind: str) -> str:
        """A kind of alarm in words, with its code, by which a mail program may sort."""
        said = self.say(phrase("{kind}", kind=Code("alarm", kind, kind)))
        return kind if said == kind else f"{said} ({kind})"


def about_alarms(on: Batch, over: Batch, words: Words) -> Letter:
    """What has started, and what was told of before and is over."""
    lines = [*_started(on, words), *_over(over, words), *_foot(words)]
    said = _several(on, words) if on.count else phrase("Over: {alarms}", alarms=_several(over, words))
    return Letter(subject=_subject(said, words), text=_text(lines))


def about_unseen(on: Batch, words: Words) -> Letter:
    """What nobody has seen for too long, to those who are told then."""
    head = [words.say(phrase("Nobody has marked this seen in time, so you are told.")), ""]
    lines = [*head, *_started(on, words), *_foot(words)]
    said = phrase("Not seen: {alarms}", alarms=_several(on, words))
    return Letter(subject=_subject(said, words), text=_text(lines))


def about_a_test(told: Told, which: str, words: Words) -> Letter:
    """A mail that somebody has asked for, to see whether it comes."""
    where = phrase("Your address stands in `{which}` of [mail].", which=which)
    lines = [words.say(told.text), "", words.say(where), *_foot(words)]
    subject = _subject(phrase("Test alarm: nothing is wrong"), words)
    return Letter(subject=subject, text=_text(lines))


def _several(batch: Batch, words: Words) -> Phrase:
    if batch.count == 1:
        (one,) = batch.first
        return phrase("Alarm: {kind}, {subject}", kind=words.kind(one.kind), subject=about(one.subject))
    kinds = ", ".join(f"{kind} ({count})" for kind, count in batch.kinds.items())
    return plural("{number} alarm: {kinds}", "{number} alarms: {kinds}", batch.count, kinds=kinds)


def _subject(said: Phrase, words: Words) -> str:
    """A subject is one line, and not too long."""
    line = " ".join(f"{_NAME} {words.say(said)}".split())
    return line if len(line) <= _LONGEST_SUBJECT else f"{line[: _LONGEST_SUBJECT - 1]}…"


def _text(lines: Sequence[str]) -> str:
    return "\n".join(lines) + "\n"


def _counts(batch: Batch, words: Words) -> list[str]:
    several = batch.count > 1
    return [f"  {words.kind(kind)}: {count}" for kind, count in batch.kinds.items()] if several else []


def _rest(batch: Batch, words: Words) -> list[str]:
    more = batch.count - len(batch.first)
    return [words.say(phrase("… and {number} more.", number=more)), ""] if more else []


def _started(batch: Batch, words: Words) -> list[str]:
    several = words.say(plural("{number} alarm:", "{number} alarms:", batch.count))
    lines = [several, *_counts(batch, words), ""] if batch.count > 1 else []
    for one in batch.first:
        since = phrase("about {subject}, since {time}", subject=about(one.subject), time=words.at(one.since))
        lines += [f"{words.kind(one.kind)}: {words.say(one.text)}", f"  {words.say(since)}"]
        if one.times > 1 and one.last_mail is not None:
            lines.append(f"  {words.say(_again(one.times, words.at(one.last_mail)))}")
        to_do = words.to_do.get(one.kind)
        lines += [f"  {words.say(phrase('What to do: {what}', what=to_do))}"] if to_do else []
        lines += [f"  {words.say(phrase('Alarm {alarm}', alarm=str(one.number)))}", ""]
    return lines + _rest(batch, words)


def _again(times: int, mailed: str) -> Phrase:
    return plural(
        "started {number} time since the mail of {mailed}",
        "started {number} times since the mail of {mailed}",
        times,
        mailed=mailed,
    )


def _over(batch: Batch, words: Words) -> list[str]:
    if not batch.count:
        return []
    lines = [words.say(phrase("Over since it was told of:")), *_counts(batch, words)]
    for one in batch.first:
        span = phrase(
            "{since} to {until}, and on again" if one.on_again else "{since} to {until}",
            since=words.at(one.since),
            until=words.at(one.until) if one.until is not None else "",
        )
        lines.append(f"  {words.kind(one.kind)}, {words.say(about(one.subject))}: {words.say(span)}")
    return [*lines, *_rest(batch, words), ""]


def _foot(words: Words) -> list[str]:
    where = words.page or "`discharge-adapter alarms`"
    lines = (
        phrase("All alarms: {where}", where=where),
        phrase(
            "Who deals with it marks it seen there, or with `discharge-adapter alarms seen ID --by NAME`."
        ),
        phrase("Times are those of {zone}.", zone=str(words.zone)),
    )
    return [words.say(one) for one in lines]


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
    say = words.say
    lines = [
        say(phrase("Alarms that are on: {number}", number=alarms)),
        *(
            f"  {words.kind(kind)}: {say(_for_how_long(count, now - since))}"
            for kind, count, since in day.alarms
        ),
        "",
        say(phrase("Deadlines due in the next 24 hours: {number}", number=due)),
        *(f"  {say(name or '')}, {_deadline(kind, words)}: {count}" for name, kind, count in day.deadlines),
        "",
        say(phrase("Messages in the last 24 hours:")),
        f"  {say(phrase('sent: {number}', number=day.sent))}",
        f"  {say(phrase('acknowledged: {number}', number=day.acknowledged))}",
        f"  {say(phrase('refused: {number}', number=day.refused))}",
        f"  {say(phrase('given up: {number}', number=day.given_up))}",
        say(_waiting(day, now)),
        say(phrase("In quarantine: {number}", number=day.quarantined)),
        say(_resting(len(day.resting))),
        *_places(day.resting, words),
        say(_paused(len(day.paused))),
        *_places(day.paused, words),
        "",
        *_foot(words),
    ]
    told = phrase("{day}: alarms on: {alarms}, deadlines due: {due}", day=str(of), alarms=alarms, due=due)
    return Letter(subject=_subject(told, words), text=_text(lines))


def _for_how_long(count: int, age: timedelta) -> Phrase:
    return phrase("{number}, the oldest for {age}", number=count, age=_age(age))


def _waiting(day: Day, now: datetime) -> Phrase:
    if day.oldest_waiting is None:
        return phrase("Waiting now: {number}", number=day.waiting)
    age = _age(now - day.oldest_waiting)
    return phrase("Waiting now: {number}, the oldest for {age}", number=day.waiting, age=age)


def _deadline(kind: str, words: Words) -> str:
    return words.say(phrase("{deadline}", deadline=Code("deadline", kind, kind)))


def _resting(count: int) -> Phrase:
    if not count:
        return phrase("Endpoints that rest: none")
    return phrase("Endpoints that rest: {number}", number=count)


def _paused(count: int) -> Phrase:
    if not count:
        return phrase("Endpoints that somebody has paused: none")
    return phrase("Endpoints that somebody has paused: {number}", number=count)


def _places(places: Sequence[tuple[str, datetime]], words: Words) -> list[str]:
    told = (phrase("{name}, since {time}", name=name, time=words.at(since)) for name, since in places)
    return [f"  {words.say(one)}" for one in told]


def _age(length: timedelta) -> Phrase:
    minutes = max(0, round(length.total_seconds() / 60))
    if minutes < 120:
        return phrase("{number} min", number=minutes)
    if minutes < 48 * 60:
        return phrase("{number} h", number=minutes // 60)
    return plural("{number} day", "{number} days", minutes // 1440)
