"""The figures over real HTTP: numbers that were counted by hand, pictures that can be read, files to keep."""

import csv
import re
from datetime import UTC, datetime, timedelta
from io import StringIO
from itertools import pairwise
from typing import Any

import pytest
from babel.messages.pofile import read_po
from lxml import etree, html
from sqlalchemy import insert

from adapter.store.tables import alarm, deadline, delivery
from adapter.web import pictures
from adapter.web.figures import FIGURES, hours, period_of
from adapter.web.pictures import Bar, Column, Course, Panel, Part
from adapter.web.words import LANGUAGES, Words, catalog
from tests.catalogs import PAGE_LOCALES
from tests.conftest import OSLO, StandingClock
from tests.stage import altered, region

from .conftest import Site, site
from .people import OPERATOR, SOGNDAL, WARD, signed_in

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = 'Ål & Hol <b>"kommune"</b> \x07Ωя'
NOON = datetime(2014, 3, 3, 12, 0, tzinfo=OSLO)


def made(minutes: float, party: str = "sogndal", **more: Any) -> dict[str, Any]:
    """A delivery made so many minutes before noon; `took` and `accepted` are in seconds."""
    at = NOON - timedelta(minutes=minutes)
    took, accepted = more.pop("took", None), more.pop("accepted", None)
    arrived = at + timedelta(seconds=took) if took is not None else None
    usual = {
        "lane": f"1:{party}", "kind": "admitted", "party": party, "endpoint": party, "dialect": "fhir",
        "message_id": "m", "payload": bytes(32), "content_type": "application/fhir+json", "attempts": 1,
        "state": "acknowledged" if accepted is not None else "sent", "created_at": at, "sent_at": arrived,
        "delivered_at": arrived, "expects_receipt": 1,
        "accepted_at": at + timedelta(seconds=accepted) if accepted is not None else None,
    }  # fmt: skip
    return usual | more


DELIVERIES = (
    made(300, took=1, accepted=1),
    made(200, took=3, accepted=40),
    made(100, took=90, accepted=5400, attempts=3),
    made(60, took=2, state="refused"),
    made(50, party="luster", took=None, state="given-up", attempts=9),
    made(40, party="luster", state="waiting"),
    made(29, party="luster", state="waiting", attempts=2),
    made(20, party="vik", state="cancelled", attempts=0),
    made(3 * 1440, party="vik", took=1, accepted=1),  # not of the last day
)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory):
    """Nine deliveries, three deadlines and two alarms."""
    known = altered(region(), "luster", name=HOSTILE)
    clock = StandingClock(NOON)
    with site(tmp_path_factory.mktemp("small"), clock, of=known) as found:
        rows = [
            _due(timedelta(minutes=-10), "answer", "municipality"),
            _due(timedelta(minutes=30), "answer", "municipality"),
            _due(timedelta(hours=23, minutes=59), "discharge-report", "hospital"),
        ]
        rung = {"text": "…", "since": NOON - timedelta(hours=1)}
        alarms = [
            rung | {"kind": "refused", "subject": "delivery 4", "until": None},
            rung | {"kind": "backlog", "subject": "all", "until": NOON},
        ]
        for table, values in ((delivery, [*DELIVERIES]), (deadline, rows), (alarm, alarms)):
            found.stage.write(lambda tx, t=table, v=values: tx.execute(insert(t), v) and None)
        yield found


def _due(away: timedelta, kind: str, actor: str) -> dict[str, Any]:
    at = NOON + away
    told = {"since": NOON, "due_at": at, "state": "open", "basis": "§", "remind_at": at}
    return {"case_id": 1, "kind": kind, "actor": actor} | told


def lines(found: Site, name: str, query: str = "period=day", separator: str = ",") -> list[dict[str, str]]:
    answer = found.get(f"/figures/{name}.csv?{query}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"].startswith("attachment")
    return list(csv.DictReader(StringIO(answer.content.decode()), delimiter=separator))


def drawn(found: Site, name: str, query: str = "period=day") -> etree._Element:
    answer = found.get(f"/figures/{name}.svg?{query}")
    assert answer.status_code == 200 and answer.headers["content-type"] == "image/svg+xml"
    return etree.fromstring(answer.content)


def text_of(tree: etree._Element) -> list[str]:
    return ["".join(t.itertext()) for t in tree.iter(f"{SVG}text")]


# --- counted by hand --------------------------------------------------------------------------------------


def test_how_deliveries_ended_is_told_by_party(small):
    found = {line["party"]: line for line in lines(small, "success")}
    assert list(found) == ["sogndal", "luster", "vik"]
    assert found["sogndal"] == {
        "party": "sogndal", "name": "Sogndal kommune", "first_try": "2", "after_retries": "1",
        "under_way": "0", "refused": "1", "given_up": "0", "cancelled": "0",
    }  # fmt: skip
    assert (found["luster"]["under_way"], found["luster"]["given_up"]) == ("2", "1")
    assert found["vik"]["cancelled"] == "1"


def test_delivery_times_are_counted_up_to_and_including_each_limit(small):
    found = lines(small, "delivery-times")
    sizes = {(one["step"], one["up_to_s"]): int(one["deliveries"]) for one in found}
    assert {key: size for key, size in sizes.items() if size} == {
        ("delivered", "1"): 1, ("delivered", "5"): 2, ("delivered", "300"): 1,
        ("accepted", "1"): 1, ("accepted", "60"): 1, ("accepted", "14400"): 1,
    }  # fmt: skip
    assert {(one["step"], one["p50_s"], one["p95_s"]) for one in found} == {
        ("delivered", "2.0", "90.0"),
        ("accepted", "40.0", "5400.0"),
    }


def test_the_backlog_is_told_at_each_quarter_of_an_hour_until_now(small):
    found = lines(small, "backlog")
    assert found[0]["at"] == "2014-03-02T12:00:00+01:00" and found[-1]["at"] == "2014-03-03T12:00:00+01:00"
    luster = [int(one["waiting"]) for one in found if one["endpoint"] == "luster"]
    assert len(luster) == 97 and luster[-4:] == [0, 1, 2, 2]
    sogndal = [one["at"][11:16] for one in found if one["endpoint"] == "sogndal" and one["waiting"] == "1"]
    assert sogndal == ["07:00", "11:00"]  # two that were made to the second, and sent soon after


def test_deadlines_of_the_next_day_are_told_by_the_hour_and_what_is_overdue_first(small):
    found = lines(small, "forecast")
    assert [(one["due_from"], one["kind"], one["actor"], one["deadlines"]) for one in found] == [
        ("", "answer", "municipality", "1"),
        ("2014-03-03T12:00:00+01:00", "answer", "municipality", "1"),
        ("2014-03-04T11:00:00+01:00", "discharge-report", "hospital", "1"),
    ]


def test_endpoints_tell_how_much_waits_and_how_long_already(small):
    found = {one["endpoint"]: one for one in lines(small, "endpoints")}
    assert (found["luster"]["waiting"], found["luster"]["oldest_age_s"]) == ("2", "2400")
    assert (found["sogndal"]["waiting"], found["sogndal"]["oldest"]) == ("0", "")
    assert next(iter(found)) == "laerdal-sjukehus" and found["vik"]["health"] == "ok"


def test_alarms_are_told_by_kind(small):
    assert lines(small, "alarms") == [
        {"kind": "refused", "open": "1", "raised_and_over": "0"},
        {"kind": "backlog", "open": "0", "raised_and_over": "1"},
    ]


def test_a_longer_period_has_what_was_made_before(small):
    week = {line["party"]: line for line in lines(small, "success", "period=week")}
    assert week["vik"]["first_try"] == "1"
    days = {line["party"]: line for line in lines(small, "success", "from=2014-02-28&until=2014-02-28")}
    assert list(days) == ["vik"]


def test_a_file_may_be_parted_by_semicolons(small):
    assert lines(small, "alarms", "separator=;", ";")[0]["kind"] == "refused"
    assert small.get("/figures/alarms.csv?separator=x").status_code == 404


# --- pictures ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FIGURES)
def test_a_picture_by_itself_is_well_formed_and_says_what_it_is(small, name):
    tree = drawn(small, name)
    assert tree.tag == f"{SVG}svg" and tree.get("role") == "img"
    title, desc = tree.find(f"{SVG}title"), tree.find(f"{SVG}desc")
    assert title.text and desc.text and title.text != desc.text
    assert tree.get("aria-labelledby").split() == [title.get("id"), desc.get("id")]
    assert tree[3].tag == f"{SVG}rect" and tree[3].get("fill") == "#ffffff"  # its own ground
    assert not tree.xpath("//@style | //*[local-name()='style' or local-name()='script']")


@pytest.mark.parametrize("name", FIGURES)
def test_what_is_told_apart_in_a_picture_has_a_pattern_and_words(small, name):
    tree = drawn(small, name)
    fills = {
        bar.get("fill")
        for bar in tree.iter(f"{SVG}rect", f"{SVG}polygon")
        if "filled" in bar.get("class", "")
    }
    patterns = {f"url(#{p.get('id')})" for p in tree.iter(f"{SVG}pattern")}
    assert fills and fills <= patterns


def test_names_are_as_people_write_them_and_never_markup(small):
    tree = drawn(small, "success")
    assert any(said.startswith('Ål & Hol <b>"kommune"</b>') for said in text_of(tree))
    page = small.get("/figures").text
    assert "<b>" not in page and "\x07" not in pictures.said(HOSTILE)


def test_what_no_xml_document_may_hold_is_left_out():
    bars = pictures.bars(
        "x", "a\x00b", "c\ufffed", [Bar(label="e\x1bf", values=(1,))], [Part(label="", fill="full")]
    )
    tree = etree.fromstring(bars.svg(alone=True).encode())
    assert (tree[0].text, tree[1].text) == ("ab", "cd") and "ef" in text_of(tree)


@pytest.mark.parametrize("most", [0, 1, 2, 3, 7, 9, 10, 11, 99, 100, 601, 5_000_000])
def test_a_scale_ends_at_a_round_number_that_is_not_less(most):
    top = pictures.nice(most)
    assert (top >= max(most, 2) and top <= max(2, 2.1 * most) and top / 2 == int(top / 2)) or top in (1, 2)


def test_a_picture_of_one_thing_and_of_nothing_can_be_drawn():
    part = [Part(label="Alt", fill="full")]
    for made_of in (
        pictures.bars("a", "A", "B", [], part),
        pictures.columns("a", "A", "B", [Panel(heading="", columns=[Column(label="1", values=(0,))])], part),
        pictures.courses("a", "A", "B", [Course(label="x", values=[0], told="")], []),
    ):
        etree.fromstring(made_of.svg(alone=True).encode())


# --- the page ---------------------------------------------------------------------------------------------


def test_the_page_has_each_figure_in_words_as_a_picture_as_a_table_and_as_files(small):
    tree = html.fromstring(small.get("/figures?period=week").content)
    for name in FIGURES:
        (section,) = tree.xpath(f"//section[h2/@id='about-{name}']")
        assert section.xpath("./h2") and section.xpath("./p")[0].text
        assert section.xpath(".//svg[@role='img']") and section.xpath(".//details//table/caption")
        assert section.xpath(".//a/@href") == [f"/figures/{name}.{e}?period=week" for e in ("svg", "csv")]
    ids = tree.xpath("//@id")
    assert len(ids) == len(set(ids))
    assert not tree.xpath("//main//@style")
    assert tree.xpath("//nav[@class='periods']//a[@aria-current='true']/@href") == ["/figures?period=week"]


def test_days_of_ones_own_are_shown_and_stand_in_the_form(small):
    answer = small.get("/figures?from=2014-02-27&until=2014-02-28")
    assert answer.status_code == 200
    tree = html.fromstring(answer.content)
    assert tree.xpath("//form[@action='/figures']//input/@value") == ["2014-02-27", "2014-02-28"]
    assert not tree.xpath("//nav[@class='periods']//a[@aria-current]")


def test_numbers_in_words_say_what_was_counted(small):
    page = html.fromstring(small.get("/figures").content)
    text = " ".join(" ".join(page.xpath("//section/p/text()")).split())
    assert "Of 7 deliveries 29% arrived at the first try, 14% after more tries" in text
    assert "half within 2 s, 95 of 100 within 1 min" in text
    assert "Deadlines due in the next 24 hours: 2. Overdue: 1." in text
    assert "Messages that wait to be sent: 2. Endpoints that are not well: 0 of 8." in text


def test_an_empty_store_has_figures_that_say_so(tmp_path):
    with site(tmp_path, StandingClock(NOON)) as found:
        page = found.get("/figures")
        assert page.status_code == 200 and "Nothing waited at any of these times." in page.text
        for name in FIGURES:
            assert drawn(found, name) is not None
        assert lines(found, "success") == [] and lines(found, "backlog") == []


def test_without_a_region_there_are_figures_too(tmp_path):
    with site(tmp_path, StandingClock(NOON), evaluation=True) as found:
        assert "No endpoint is configured." in found.get("/figures").text


@pytest.mark.parametrize(
    "query",
    ["period=year", "from=yesterday", "from=2014-03-03&until=2014-03-01", "from=2014-01-01&until=2014-12-31",
     "from=2020-01-01", "from=99999-01-01", "from=2014-3-1"],
)  # fmt: skip
def test_a_period_that_cannot_be_is_told_and_the_last_day_shown(small, query):
    page = small.get(f"/figures?{query}")
    assert page.status_code == 200 and 'role="alert"' in page.text
    assert small.get(f"/figures/success.csv?{query}").status_code == 404


def test_there_is_no_other_figure(small):
    assert small.get("/figures/patients.csv").status_code == 404
    assert small.get("/figures/../figures.csv").status_code == 404


def test_figures_are_for_operators_and_auditors(small):
    with signed_in(OPERATOR) as door:
        assert small.get("/figures").status_code == 200
        for person in (WARD, SOGNDAL):
            door.person = person
            for path in ("/figures", *(f"/figures/{n}.{e}" for n in FIGURES for e in ("svg", "csv"))):
                assert small.get(path).status_code in (403, 404)


# --- the hours of a day -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (datetime(2014, 3, 29, 12, 20, tzinfo=OSLO), ["01:00+0100", "03:00+0200", "04:00+0200"]),
        (datetime(2014, 10, 25, 12, 20, tzinfo=OSLO), ["02:00+0200", "02:00+0100", "03:00+0100"]),
        (datetime(2014, 3, 3, 12, 20, tzinfo=OSLO), ["01:00+0100", "02:00+0100", "03:00+0100"]),
    ],
)
def test_the_forecast_follows_the_clock_on_the_day_it_is_changed(now, said):
    found = hours(now)
    assert found[0] == now and found[-1] - found[0] == timedelta(hours=24)
    assert len(found) == 26 and all(b > a for a, b in pairwise(found))
    told = [f"{at.astimezone(OSLO):%H:%M%z}" for at in found]
    place = told.index(said[0])
    assert told[place : place + 3] == said


def test_at_a_full_hour_the_forecast_has_twenty_four_hours():
    assert len(hours(NOON)) == 25


@pytest.mark.parametrize(("day", "length"), [("2014-03-30", 23), ("2014-10-26", 25), ("2014-03-03", 24)])
def test_a_day_is_as_long_as_the_clock_makes_it(day, length):
    words = Words(language="en", zone=OSLO, now=NOON, register=region().register_)
    period, notes = period_of({"from": day}, datetime(2015, 1, 1, tzinfo=UTC), words)
    assert not notes
    assert period.until.astimezone(UTC) - period.since.astimezone(UTC) == timedelta(hours=length)


# --- words ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", [one for one in LANGUAGES if one != "en"])
def test_every_sentence_is_said_in_every_language(small, language):
    page = html.fromstring(small.get("/figures", cookies=small.cookies | {"language": language}).content)
    assert len(page.xpath("//section[@class='figure']")) == len(FIGURES)
    said = " ".join(" ".join(page.xpath("//main//text()")).split())
    folder = PAGE_LOCALES / "figures"
    known = read_po((folder / f"{language}.po").open("rb"))
    english = [str(m.id) for m in known if m.id and isinstance(m.id, str) and " " in m.id and "{" not in m.id]
    assert english and not [
        sentence for sentence in english if re.search(rf"(?<!\w){re.escape(sentence)}", said)
    ]


@pytest.mark.parametrize("language", LANGUAGES)
def test_periods_have_words(language):
    said = catalog(language)
    assert all(said.gettext(f"period-{name}") != f"period-{name}" for name in ("day", "week", "month"))
