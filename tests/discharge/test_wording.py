"""Every sentence, word and text of the rules is said in each language, whole and with the same places."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from string import Formatter
from zoneinfo import ZoneInfo

import pytest

from adapter.discharge.agreement import OWN_TERMS, countries
from adapter.discharge.notices import NoticeKind
from adapter.discharge.rules import Time
from adapter.discharge.scenario import explain
from adapter.discharge.sentences import Days, Say, Sentence, of_file, timed
from adapter.discharge.wording import said, translated
from tests.catalogs import LOCALES, catalog, compiled
from tests.discharge.described import told

LANGUAGES = ("nb", "nn", "sv", "da")
SAME_IN = {
    "{notice} {at}": LANGUAGES,  # two places and no word
    "{what} ({basis})": LANGUAGES,
}
"""Sentences that are the same in English."""

ENGLISH = {
    "the",
    "and",
    "not",
    "with",
    "without",
    "known",
    "payment",
    "law",
    "state",
    "from",
    "agreed",
}
"""Words that none of the other languages has."""

PLAIN = [word.value for word in Say]


def texts_of_rules() -> Iterator[str]:
    """What rule files say in words: what is missing, notes, and why a country's rules ended."""
    for country in countries():
        yield from (r.missing for rule in country.rules for r in rule.requires)
        yield from (rule.note for rule in country.rules if rule.note)
        yield from (r.note for r in country.readmissions if r.note)
        yield from (group.title for group in country.groups)
        yield country.by_hand.basis
        if country.payment.note:
            yield country.payment.note
        if country.ended:
            yield country.ended


def bases() -> Iterator[str]:
    """The paragraphs, and who is owed what by which country's law."""
    for country in countries():
        yield country.name
        yield from country.payment.payees
        yield from (group.basis for group in country.groups)
        yield from (amount.basis for amount in country.payment.amounts)
        if country.payment.average:
            yield country.payment.average.basis
        yield from (r.basis for r in country.readmissions)
        yield from (claim.basis for rule in country.rules for claim in rule.contested_by)
        for rule in country.rules:
            yield rule.basis
            yield from (required.basis for required in rule.requires)
            if rule.later:
                yield rule.later.basis


NAMES = sorted({*bases(), OWN_TERMS})
TEXTS = sorted(set(texts_of_rules()))
NOTICES = [kind.value for kind in NoticeKind]


def places(text: str) -> list[str]:
    return sorted(name for _, name, _, _ in Formatter().parse(text) if name is not None)


everywhere = pytest.mark.parametrize("language", LANGUAGES)
of_a_country = pytest.mark.parametrize(
    "language", ["nb", "sv", "da"]
)  # nynorsk is for readers who ask for it


def entry(language: str, key: str) -> str:
    message = catalog(language).get(key)
    assert message is not None, f"{language}: {key!r} is not in the catalog"
    assert isinstance(message.string, str)
    assert message.string, f"{language}: {key!r} is empty"
    assert not message.fuzzy, f"{language}: {key!r} is a guess"
    return message.string


@everywhere
@pytest.mark.parametrize("key", PLAIN)
def test_every_sentence_is_in_each_catalog_with_the_same_places(language, key):
    text = entry(language, key)
    assert places(text) == places(key)
    assert (text == key) == (language in SAME_IN.get(key, ())), f"{language}: {text!r} is left in English"


@everywhere
@pytest.mark.parametrize("key", TEXTS)
def test_every_text_of_the_rule_files_is_in_each_catalog(language, key):
    text = entry(language, key)
    assert text != key
    assert places(text) == places(key) == []


@everywhere
@pytest.mark.parametrize("key", NOTICES)
def test_every_notice_has_a_name_in_each_catalog(language, key):
    text = entry(language, key)
    assert text != key
    assert "-" not in text.replace("SIP-", "")


@everywhere
def test_no_catalog_says_anything_that_nobody_asks_for(language):
    lengths = {(f"{{number}} {unit}", f"{{number}} {unit}s") for unit in ("day", "hour", "minute", "second")}
    asked = {*PLAIN, *TEXTS, *NOTICES, *NAMES, *lengths, *(f"weekday-{n}" for n in range(7))}
    assert {m.id for m in catalog(language) if m.id} - asked == set()


@everywhere
@pytest.mark.parametrize("key", NAMES)
def test_no_paragraph_and_no_name_is_left_in_english(language, key):
    words = {word.strip("(),;:.").lower() for word in translated(key, language).split()}
    assert key.startswith("Care Act") or not words & ENGLISH


@pytest.mark.parametrize("key", NOTICES)
def test_every_notice_has_an_english_name_that_is_no_code(key):
    text = translated(key, "en")
    assert text != key or "-" not in key
    assert text.count("-") <= ("follow-up" in text)


# --- to the letter ------------------------------------------------------------------------------------------

AT = datetime(2025, 3, 7, 12, 0, 1, tzinfo=ZoneInfo("Europe/Stockholm"))
SENT = Say.NOTICE_SENT.of(notice=NoticeKind.READY_FOR_DISCHARGE, at=AT)
AFTER_NOON = Say.AFTER_CUTOFF.of(
    start=SENT, cutoff=time(12), number=4, day=date(2025, 3, 11), basis="lag 2017:612 5 kap. 4 §"
)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        (
            "en",
            "ready notice sent Friday 2025-03-07 12:00:01, after 12:00:00, so day 4: Tuesday 2025-03-11"
            " (lag 2017:612 5 kap. 4 §)",
        ),
        (
            "sv",
            "underrättelse om utskrivningsklar skickades fredag 2025-03-07 12:00:01, efter kl. 12:00:00,"
            " alltså dag 4: tisdag 2025-03-11 (lag 2017:612 5 kap. 4 §)",
        ),
        (
            "nb",
            "melding om utskrivningsklar pasient sendt fredag 2025-03-07 12:00:01, etter kl. 12:00:00, altså"
            " dag 4: tirsdag 2025-03-11 (lag 2017:612 5 kap. 4 §)",
        ),
        (
            "da",
            "melding om færdigbehandling sendt fredag 2025-03-07 12:00:01, efter kl. 12:00:00, altså dag 4:"
            " tirsdag 2025-03-11 (lag 2017:612 5 kap. 4 §)",
        ),
    ],
)
def test_a_sentence_in_a_sentence_is_said_in_one_language(language, text):
    assert said(AFTER_NOON, language) == text


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "2 hours is a local figure; § 11 gives none"),
        ("nb", "2 timer er fastsatt lokalt; § 11 oppgir ikke noe tall"),
        ("sv", "2 timmar är ett lokalt värde; § 11 anger inget"),
        ("da", "2 timer er fastsat lokalt; § 11 angiver intet tal"),
    ],
)
def test_a_length_is_said_in_the_language(language, text):
    assert said(Say.LOCAL_FIGURE.of(length=timedelta(hours=2), basis="§ 11"), language) == text


def test_an_admission_happens_and_its_notice_is_sent():
    happened, sent = (timed(which, NoticeKind.ADMITTED, AT) for which in (Time.OCCURRED, Time.SENT))
    assert said(happened, "nb") == "innleggelse fredag 2025-03-07 12:00:01"
    assert said(sent, "sv") == "inskrivningsmeddelande skickades fredag 2025-03-07 12:00:01"
    assert said(sent) == "admission notice sent Friday 2025-03-07 12:00:01"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (timedelta(hours=1), "1 timme"),
        (timedelta(minutes=90), "90 minuter"),
        (timedelta(seconds=45), "45 sekunder"),
        (timedelta(hours=72), "72 timmar"),
        (timedelta(hours=720), "720 timmar (30 dygn à 24 timmar)"),
        (timedelta(hours=721), "721 timmar"),
        (Days(1), "1 dag"),
        (Days(30), "30 dagar"),
        (Decimal("120.50"), "120.50"),
        (time(12), "12:00:00"),
        (date(2025, 12, 24), "onsdag 2025-12-24"),
        (AT, "fredag 2025-03-07 12:00:01"),
        (7, "7"),
        (NoticeKind.SIP_CALL, "kallelse till SIP"),
        (of_file("no discharge summary has been sent"), "ingen epikris har skickats"),
    ],
)
def test_each_kind_of_value_is_said_in_the_language(value, text):
    assert said(Say.MISSING.of(what=value, basis="x"), "sv") == f"{text} (x)"


def test_an_instant_shows_the_clock_that_it_was_given():
    assert (
        said(Say.OVER.of(at=datetime(2025, 3, 7, 11, 0, 1, tzinfo=UTC))) == "over Friday 2025-03-07 11:00:01"
    )


def test_braces_in_a_name_that_is_given_are_no_places():
    assert said(Say.AMOUNT_AGREED.of(year=2025, basis=of_file("{x} {")), "sv").endswith("avtalat: {x} {")


def test_a_text_that_no_catalog_has_is_said_in_english():
    assert said(Sentence("nobody has translated this"), "nb") == "nobody has translated this"


def test_braces_in_a_value_are_no_places():
    assert said(Say.MISSING.of(what="{basis}", basis="{what}")) == "{basis} ({what})"


# --- nothing is glued together ------------------------------------------------------------------------------


def sentences(country: str, now: str, *events: dict[str, object]) -> list[dict[str, str]]:
    found = explain({"agreement": country, "now": now, "events": list(events)})
    made = [why for due in found["deadlines"] for why in due["why"]]
    made += [why for charge in found["payment"]["charges"] for why in charge["why"]]
    return [*made, *found["payment"]["why"]]


EXPLAINED = {
    "nb": sentences(
        "norway",
        "2013-03-05T09:00:00+01:00",
        told("admitted", "2013-02-26T08:00:00+01:00"),
        told("need-identified", "2013-02-27T08:00:00+01:00"),
        told("care-needs", "2013-02-27T09:00:00+01:00", accepted_at="2013-02-27T09:05:00+01:00"),
        told("ready-for-discharge", "2013-03-01T10:00:00+01:00", accepted_at="2013-03-01T10:00:00+01:00"),
        told("beyond-control", "2013-03-01T11:00:00+01:00"),
        told("answer", "2013-03-02T11:00:00+01:00", answer="cannot-receive"),
        told("answer", "2013-03-03T11:00:00+01:00", answer="unclassified"),
        told("discharged", "2013-03-05T08:00:00+01:00"),
    ),
    "sv": sentences(
        "sweden",
        "2022-03-20T09:00:00+01:00",
        told("admitted", "2022-03-01T08:00:00+01:00"),
        told("ready-for-discharge", "2022-03-04T12:00:01+01:00", sip_needed=True),
        told("open-care-availability", "2022-03-09T09:00:00+01:00", available=True),
        told("sip-call", "2022-03-10T09:00:00+01:00"),
        told("readiness-withdrawn", "2022-03-14T09:00:00+01:00"),
    ),
    "da": sentences(
        "denmark",
        "2024-03-20T09:00:00+01:00",
        told("admitted", "2024-03-01T08:00:00+01:00"),
        told("ready-for-discharge", "2024-03-04T10:00:00+01:00"),
        told("discharged", "2024-03-08T09:00:00+01:00"),
    ),
}


@of_a_country
def test_what_is_explained_is_said_in_english_and_in_the_country_s_own_language(language):
    assert len(EXPLAINED[language]) >= 8
    for why in EXPLAINED[language]:
        assert set(why) == {"en", language}
        assert why["en"] != why[language]


@of_a_country
def test_no_english_is_left_inside_a_sentence_of_another_language(language):
    for why in EXPLAINED[language]:
        words = {word.strip("(),;:.").lower() for word in why[language].split()}
        assert not words & ENGLISH, why[language]


@of_a_country
def test_a_sentence_is_said_whole_and_never_two_of_them_as_one(language):
    for why in EXPLAINED[language]:
        assert why[language].count("  ") == 0
        assert "{" not in why[language]
        assert "}" not in why[language]


@pytest.mark.parametrize("language", ["en", *LANGUAGES])
def test_the_compiled_catalog_is_that_of_the_file(language):
    assert (LOCALES / f"{language}.mo").read_bytes() == compiled(language), "run `python -m tests.catalogs`"
