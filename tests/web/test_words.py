"""How pages say times, numbers, money and spans in five languages."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from adapter.messaging.register import Register
from adapter.phrases import Code, English, dated, lasting, phrase, plural, technical, unpacked, verbatim
from adapter.tongues import said_in
from adapter.web.words import LANGUAGES, Words, _holidays, language_of

OSLO = ZoneInfo("Europe/Oslo")
NOW = datetime(2014, 3, 3, 9, 0, tzinfo=UTC)


def say(language="en", country="norway"):
    return Words(language=language, now=NOW, zone=OSLO, register=Register(), country=country)


# --- which language ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chosen", "accepted", "country", "language"),
    [
        ("nn", "sv", "sweden", "nn"),
        (None, "da-DK, nb;q=0.8", "norway", "da"),
        (None, "fi, sv;q=0.5, en;q=0.9", None, "en"),
        (None, "no", None, "nb"),
        ("xx", None, "denmark", "da"),
        ("", "de", "norway", "nb"),
        (None, None, None, "en"),
        (None, "sv;q=0", "norway", "nb"),
        (None, "sv;q=nonsense, ,;;", "norway", "nb"),
    ],
)
def test_the_language_is_the_chosen_one_else_the_browsers_else_the_countrys(
    chosen, accepted, country, language
):
    assert language_of(chosen, accepted, country) == language


# --- times ------------------------------------------------------------------------------------------------


def test_an_instant_is_told_in_the_regions_own_time():
    assert say().local("2014-07-01T22:30:00Z", seconds=True) == "2 Jul, 00:30:00"


def test_another_year_is_named():
    assert say().local("2013-12-31T22:59:00Z") == "31 Dec 2013, 23:59"


def test_a_day_has_no_time_of_day():
    assert (say().local("2014-03-05"), say().ago("2014-03-05")) == ("5 Mar", "")
    assert say().day(date(2014, 3, 5)) == "Wed 5 Mar"


@pytest.mark.parametrize(
    ("language", "told", "day"),
    [
        ("nb", "5. mars, 14:20", "ons. 5. mars"),
        ("nn", "5. mars, 14:20", "on. 5. mars"),
        ("sv", "5 mars, 14:20", "ons 5 mars"),
        ("da", "5. mar., 14.20", "ons. 5. mar."),
        ("en", "5 Mar, 14:20", "Wed 5 Mar"),
    ],
)
def test_days_and_times_are_written_as_people_there_write_them(language, told, day):
    at = datetime(2014, 3, 5, 13, 20, tzinfo=UTC)
    assert say(language).local(at) == told
    assert say(language).day(at) == day


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(12, "12 s"), (59, "59 s"), (60, "1 min"), (12_000, "3 h 20 min"), (7200, "2 h"), (345_600, "4 days")],
)
def test_spans_are_told_in_units_that_matter(seconds, said):
    assert say().span(timedelta(seconds=seconds)) == said


@pytest.mark.parametrize(
    ("language", "ahead", "behind"),
    [
        ("en", "2 h left", "5 min overdue"),
        ("nb", "2 t igjen", "5 min over fristen"),
        ("nn", "2 t att", "5 min over fristen"),
        ("sv", "2 h kvar", "5 min över tiden"),
        ("da", "2 t tilbage", "5 min. over fristen"),
    ],
)
def test_a_deadline_says_whether_it_is_over(language, ahead, behind):
    assert say(language).left(NOW + timedelta(hours=2)) == ahead
    assert say(language).left(NOW - timedelta(minutes=5)) == behind


@pytest.mark.parametrize(
    ("language", "country", "day", "name"),
    [
        ("nb", "norway", date(2026, 5, 17), "Grunnlovsdagen"),
        ("en", "norway", date(2026, 5, 17), "Constitution Day"),
        ("sv", "sweden", date(2026, 6, 20), "Midsommardagen"),
        ("da", "denmark", date(2026, 4, 2), "Skærtorsdag"),
        ("nn", "norway", "2026-12-25T08:00:00Z", "Første juledag"),
        ("sv", "sweden", date(2026, 6, 21), ""),  # the Sunday after is no holiday of its own
        ("nb", None, date(2026, 5, 17), ""),
    ],
)
def test_a_public_holiday_is_told_by_its_name(language, country, day, name):
    assert say(language, country).holiday(day) == name


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "en"])
def test_every_public_holiday_has_a_name_in_every_language(language):
    for country in ("norway", "sweden", "denmark"):
        for year in range(2011, 2031):
            for name in _holidays(country, year).values():
                assert say(language).of(name) != name


# --- numbers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "currency", "said"),
    [
        ("en", "NOK", "NOK\xa05,306"),
        ("nb", "NOK", "5\xa0306\xa0kr"),
        ("nn", "NOK", "5\xa0306\xa0kr"),
        ("nb", "SEK", "5\xa0306\xa0SEK"),
        ("sv", "SEK", "5\xa0306\xa0kr"),
        ("sv", "NOK", "5\xa0306\xa0NOK"),
        ("da", "DKK", "5.306\xa0kr."),
    ],
)
def test_money_is_written_as_people_there_write_it(language, currency, said):
    assert say(language).money("5306.00", currency) == said


def test_a_price_with_cents_keeps_them_and_an_unknown_one_is_a_dash():
    assert say("nb").money(Decimal("5306.50"), "NOK") == "5\xa0306,50\xa0kr"
    assert say().money(None, "NOK") == "–"


def test_shares_numbers_and_sizes_have_the_signs_of_the_language():
    assert (say("en").percent(0.5), say("nb").percent(0.5)) == ("50%", "50\xa0%")
    assert (say("en").number(12345.5), say("da").number(12345.5)) == ("12,345.5", "12.345,5")
    assert (say("en").size(812), say("sv").size(3400), say("nb").size(2_500_000)) == (
        "812 bytes", "3,4\xa0kB", "2,5\xa0MB",
    )  # fmt: skip


def test_a_mean_keeps_its_decimals():
    assert say("nb").told(phrase("{mean} days", mean=Decimal("9.00"))) == "9,00 days"
    assert say("en").exact(Decimal("1234.50")) == "1,234.50"
    assert say("sv").exact(Decimal(3)) == "3"


def test_several_are_joined_as_in_a_sentence():
    assert say("nn").list(["Luster", "Vik", "Årdal"]) == "Luster, Vik og Årdal"


# --- what stays in English --------------------------------------------------------------------------------


REFUSED = "HTTP {status}: the receiver does not let us in; correct the endpoint's credentials"


def test_a_phrase_is_said_in_the_readers_language_with_what_stands_in_its_places():
    whole = phrase("{what}: {why}", what=phrase(REFUSED, status="401"), why="<b>")
    assert say("nb").told(whole) == (
        "HTTP 401: mottakeren slipper oss ikke inn; rett endepunktets påloggingsdata: &lt;b&gt;"
    )
    assert say("sv").told(phrase(REFUSED, status="401"), begin=True, stop=True).startswith("HTTP 401: mott")


def test_times_spans_numbers_and_codes_in_a_phrase_are_as_people_write_them():
    told = phrase(
        "{at} {day} {span} {number} {kind} {names}", at=dated(NOW), day=dated(date(2014, 3, 5)),
        span=lasting(timedelta(hours=3, minutes=20)), number=12345, names=["a", "b"],
        kind=Code("notice", "ready-for-discharge", "ready for discharge"),
    )  # fmt: skip
    assert (
        say("nb").told(told)
        == "3. mars, 10:00 5. mars 3 t 20 min 12\xa0345 melding om utskrivningsklar pasient a, b"
    )
    assert say("en").told(told).startswith("3 Mar, 10:00 5 Mar 3 h 20 min 12,345 ready")


@pytest.mark.parametrize(
    ("hours", "told"), [(72, "72 h"), (100, "100 h"), (50.5, "50 h 30 min"), (240, "10 days"), (0, "0 s")]
)
def test_a_span_in_a_sentence_is_exact_and_a_laws_hours_stay_hours(hours, told):
    assert say().told(phrase("{span}", span=lasting(timedelta(hours=hours)))) == told


def test_text_of_before_in_a_new_sentence_is_marked_as_english():
    told = say("nb").told(phrase("waived: {why}", why=unpacked("charged day 1 <b>")))
    assert told == 'frafalt: <span lang="en">charged day 1 &lt;b&gt;</span>'


def test_a_number_decides_between_one_and_many_in_a_phrase_too():
    days = [plural("{number} day", "{number} days", number) for number in (1, 2)]
    assert [say("sv").told(one) for one in days] == ["1 dygn", "2 dygn"]


def test_what_others_have_said_is_of_no_known_language_and_what_a_library_says_is_english():
    told = phrase("{said}; {fault}", said=verbatim("nei <takk>"), fault=English("no route"))
    assert say("nb").told(told) == ('<span lang="">nei &lt;takk&gt;</span>; <span lang="en">no route</span>')
    assert say("en").told(technical("no such parameter")) == "no such parameter"


def test_a_phrase_that_no_catalog_has_is_said_as_its_english():
    assert say("nb").told(phrase("nobody has {this}", this="that")) == "nobody has that"
    assert say("nb").told(phrase("write {day} like that"), begin=True) == "Write {day} like that"


def test_a_sentence_begins_with_a_capital_but_where_it_begins_with_a_name():
    fault = phrase("{name}: {why}", name="knee", why=phrase("lost"))
    assert say().told(fault, begin=True, stop=True) == "knee: lost."
    assert say().told(phrase("{what}: {why}", what=phrase("lost"), why="x"), begin=True) == "Lost: x"


def test_what_the_store_keeps_in_english_is_marked_as_english_and_escaped():
    assert say("nb").told("HTTP <503>") == '<span lang="en" class="kept">HTTP &lt;503&gt;</span>'
    assert say("en").told("HTTP <503>") == "HTTP &lt;503&gt;"


def test_markup_in_a_sentence_is_kept_and_everything_else_escaped():
    said = say().marked("{number} in hospital", number="<b>")
    assert said == "&lt;b&gt; in hospital"


# --- what somebody may have written -----------------------------------------------------------------------


def test_nothing_in_a_sentence_becomes_markup():
    said = phrase("as Goal/<id> of {type} & <b>", type="<i>")
    assert say("nb").told(said) == "as Goal/&lt;id&gt; of &lt;i&gt; &amp; &lt;b&gt;"


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:00-14:00"])
def test_an_instant_at_the_calendars_ends_is_said_as_it_was_written(at):
    moment = datetime.fromisoformat(at)
    assert str(moment.year) in say("nb").told(phrase("{at} lies ahead", at=dated(moment)))


def test_an_empty_sentence_says_nothing():
    assert say("nb").told(phrase("x{a}", a=phrase(""))) == "x"
    assert said_in("nb", phrase("x{a}", a=phrase(""))) == "x"
