"""What people are written about alarms, in English and in every other language with nothing of it left."""

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from adapter import tongues
from adapter.messaging.alarm_words import TO_DO, about
from adapter.messaging.letters import (
    Batch,
    Day,
    Told,
    Words,
    about_a_day,
    about_a_test,
    about_alarms,
    about_unseen,
)
from adapter.phrases import Code, lasting, phrase
from tests.web.test_pseudo import OPEN, SHUT, Pseudo, unwrapped

NOW = datetime(2014, 3, 3, 9, 0, tzinfo=UTC)
OTHERS = [language for language in tongues.LANGUAGES if language != "en"]
SUBJECTS = [
    "delivery 17", "deadline 3", "clock of rig-1", "clocks of rig-1 and the database",
    "disk of /data on rig-1", "roster of luster on rig-1", "restore of 2014-03-03T09:00:00+00:00",
    "service 81 of luster",
    "message server nhn", "message server nhn: mail lies unread", "mailbox luster: not taken",
    "plans at luster: Tasks differ", "CarePlan/81 at luster", "test alarm", "mailbox luster",
    "endpoint luster",
]  # fmt: skip
DATA = {
    "discharge", "adapter", "alarms", "seen", "ID", "by", "NAME", "mail", "to", "escalate", "https",
    "example", "Europe", "Oslo", "rig", "data", "luster", "Sogndal", "kommune", "nhn", "CarePlan", "HTTP",
}  # fmt: skip
"""Commands, settings, names and addresses, which are the same in every language."""


def words(language: str = "en") -> Words:
    return Words(
        to_do=TO_DO, zone=ZoneInfo("Europe/Oslo"), page="https://adapter.example/alarms", language=language
    )


def told(number: int, kind: str, subject: str, **more: object) -> Told:
    fault = phrase("still failing after {span}: {why}", span=lasting(timedelta(days=3, hours=1)), why=REFUSED)
    return Told(number=number, kind=kind, subject=subject, text=fault, since=NOW, **more)  # type: ignore[arg-type]


REFUSED = phrase(
    "{notice} to {party} was not delivered: {why}",
    notice=Code("notice", "admitted", "admitted"),
    party="Sogndal kommune",
    why=phrase("the receiver gave no reason"),
)
ON = Batch(
    kinds=dict.fromkeys(TO_DO, 3),
    first=[
        *(told(n, kind, "delivery 17", times=n, last_mail=NOW) for n, kind in enumerate(TO_DO, 1)),
        *(told(n, "mailbox", subject) for n, subject in enumerate(SUBJECTS)),
    ],
)
ENDED = Batch(
    kinds={"mailbox": 1, "clock": 60},
    first=[
        told(1, "mailbox", "mailbox luster", until=NOW),
        told(2, "clock", "clock of rig-1", until=NOW, on_again=True),
    ],
)
ONE = Batch(kinds={"deadline-missed": 1}, first=[told(9, "deadline-missed", "deadline 3", until=NOW)])
EMPTY = Day(
    alarms=(), deadlines=(), sent=0, acknowledged=0, refused=0, given_up=0, waiting=0, oldest_waiting=None,
    resting=(), paused=(), quarantined=0,
)  # fmt: skip
FULL = Day(
    alarms=[(kind, 2, NOW - timedelta(hours=8 * n)) for n, kind in enumerate(TO_DO)],
    deadlines=[
        ("Sogndal kommune", "early-notice", 2),
        (phrase("no receiver known"), "follow-up-rig-data", 1),
    ],
    sent=1200,
    acknowledged=3,
    refused=2,
    given_up=1,
    waiting=4,
    oldest_waiting=NOW - timedelta(days=3),
    resting=[("luster", NOW)],
    paused=[("luster", NOW)],
    quarantined=2,
)


def letters(language: str = "en"):
    say = words(language)
    return {
        "alarms": about_alarms(ON, ENDED, say),
        "one alarm": about_alarms(ONE, Batch(), say),
        "one over": about_alarms(Batch(), ONE, say),
        "several over": about_alarms(Batch(), ENDED, say),
        "unseen": about_unseen(ON, say),
        "test": about_a_test(told(1, "test", "test alarm"), "escalate_to", say),
        "full day": about_a_day(FULL, date(2014, 3, 3), NOW, say),
        "empty day": about_a_day(EMPTY, date(2014, 3, 3), NOW, say),
    }


KINDS = [*letters()]


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_in_a_mail_is_said_by_the_code_itself(kind: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tongues, "catalog", lambda _: Pseudo())
    letter = letters("nb")[kind]
    known = DATA | {part for code in TO_DO for part in code.split("-")}
    lines = [letter.subject.removesuffix("…"), *letter.text.splitlines()]
    lines[0] += SHUT * (lines[0].count(OPEN) - lines[0].count(SHUT))  # a subject may be cut off
    left = {
        line
        for line, outside in zip(lines, unwrapped(iter(lines)), strict=True)
        if set(re.findall(r"[^\W\d_]{2,}", outside)) - known
    }
    assert left == set()


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("kind", KINDS)
def test_no_line_of_a_mail_stays_in_english(kind: str, language: str):
    english, other = letters()[kind].text.splitlines(), letters(language)[kind].text.splitlines()
    assert len(english) == len(other)
    same = {
        line for line, said in zip(english, other, strict=True) if line == said and re.search("[a-z]", line)
    }
    assert same <= {"Alarm 1"}
    plain = re.sub(r"\([a-z-]+\)", "", " ".join(other))  # a kind's code
    assert not {"the", "and", "since", "told", "was", "with", "of"} & set(re.findall(r"\w+", plain))


@pytest.mark.parametrize("language", tongues.LANGUAGES)
def test_a_subject_has_the_codes_of_the_kinds_in_every_language(language: str):
    made = letters(language)
    for kind in ("one alarm", "one over"):
        assert "deadline-missed" in made[kind].subject
    assert "mailbox (1), clock (60)" in made["several over"].subject
    assert made["alarms"].subject.startswith("[discharge-adapter] 81 ")
    assert "quarantined (3), refused (3), given-up (3)" in made["alarms"].subject
    assert all(len(letter.subject) <= 120 and "\n" not in letter.subject for letter in made.values())
    for code in TO_DO:
        assert code in made["alarms"].text


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_subject_is_in_english_as_it_was_named(subject: str):
    assert about(subject) == subject


@pytest.mark.parametrize(
    "subject", ["", "a", "x: y", "delivery", "message server", "disk of x", " at ", "{x} {"]
)
def test_also_one_that_is_of_no_known_form(subject: str):
    assert about(subject) == subject
    assert tongues.said_in("en", about(subject)) == subject


@pytest.mark.parametrize(
    ("language", "subject", "said"),
    [
        ("nb", "clock of rig-1", "klokken på rig-1"),
        ("nn", "message server nhn: mail lies unread", "meldingstenaren nhn: post ligg ulesen"),
        ("sv", "message 17", "meddelande 17"),
        ("da", "plans at luster: Tasks differ", "planer på luster: afvigelser i Task"),
        ("nb", "restore of 2014-03-03T09:00:00+00:00", "gjenoppretting fra 2014-03-03T09:00:00+00:00"),
    ],
)
def test_a_subject_is_said_in_a_language(language: str, subject: str, said: str):
    assert tongues.said_in(language, about(subject)) == said


def test_a_day_in_english_is_as_it_was():
    assert letters()["full day"].text.splitlines()[29:] == [
        "Deadlines due in the next 24 hours: 3",
        "  Sogndal kommune, early-notice: 2",
        "  no receiver known, follow-up-rig-data: 1",
        "",
        "Messages in the last 24 hours:",
        "  sent: 1200",
        "  acknowledged: 3",
        "  refused: 2",
        "  given up: 1",
        "Waiting now: 4, the oldest for 3 days",
        "In quarantine: 2",
        "Endpoints that rest: 1",
        "  luster, since 2014-03-03 10:00",
        "Endpoints that somebody has paused: 1",
        "  luster, since 2014-03-03 10:00",
        "",
        "All alarms: https://adapter.example/alarms",
        "Who deals with it marks it seen there, or with `discharge-adapter alarms seen ID --by NAME`.",
        "Times are those of Europe/Oslo.",
    ]
    assert (
        "Endpoints that rest: none\nEndpoints that somebody has paused: none\n" in letters()["empty day"].text
    )


def test_a_day_in_norwegian():
    lines = letters("nb")["full day"].text.splitlines()
    assert letters("nb")["full day"].subject == (
        "[discharge-adapter] 2014-03-03: åpne alarmer: 54, frister som løper ut: 3"
    )
    assert "  avvist (refused): 2, den eldste i 8 t" in lines
    assert "  Sogndal kommune, tidligmelding: 2" in lines
    assert "  mottakeren er ikke kjent, oppfølging: rig data: 1" in lines
    assert "Venter nå: 4, den eldste i 3 døgn" in lines


def test_a_span_in_a_sentence_is_said_in_the_language():
    text = phrase("still failing after {span}: {why}", span=lasting(timedelta(days=3, minutes=5)), why="x")
    assert "72 t 5 min" in tongues.said_in("nb", text)
    assert "72 h 5 min" in tongues.said_in("sv", text)
    assert "0 s" in tongues.said_in(
        "da", phrase("still failing after {span}: {why}", span=lasting(timedelta()), why="")
    )
