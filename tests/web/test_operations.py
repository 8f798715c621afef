"""The operations board over real HTTP: the log searched, filtered, paged; and what nobody gets out of it."""

from datetime import datetime
from urllib.parse import quote_plus, urlencode

import pytest
from lxml import html
from sqlalchemy import select

from adapter.discharge.notices import NoticeKind
from adapter.store import deliveries, searching
from adapter.store.tables import fhir_access
from adapter.web import operations
from tests.conftest import OSLO, StandingClock
from tests.stage import SYNNOVE, TORBJORN, failing

from .conftest import site

FIRST = "0f0e4c55-8d4b-4f7a-9a53-1d3bca11aa01"
SECOND = "0f0e4c55-8d4b-4f7a-9a53-1d3bca11bb02"
NUMBER = SYNNOVE.identifiers[0][1]


def page(found):
    return html.fromstring(found.text)


def words(element) -> str:
    return " ".join(" ".join(element.itertext()).split())


def numbers(found) -> list[int]:
    return [int(words(row).split()[0]) for row in page(found).xpath("//tbody/tr")]


def said(found) -> list[str]:
    return [words(note) for note in page(found).xpath("//*[@role='alert']")]


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """Four deliveries over three days; the words of the first two are written down."""
    clock = StandingClock(datetime(2014, 3, 3, 10, 0, tzinfo=OSLO))
    with site(tmp_path_factory.mktemp("searched"), clock) as found:
        stage = found.stage
        stage.post.answer = failing(503, error="Connection <b>refused</b> by the firewall")
        stage.receive(stage.message(NoticeKind.ADMITTED, message_id=FIRST))
        stage.deliver()
        clock.forward(days=1)
        stage.receive(stage.message(NoticeKind.READY_FOR_DISCHARGE, message_id=SECOND, ready=clock()))
        stage.write(searching.index)
        clock.forward(days=1)
        more = {"subject": TORBJORN, "encounter": "LS-2"}
        stage.receive(stage.message(NoticeKind.ADMITTED, receivers=("aardal", "luster"), **more))
        yield found


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("0f0e4c55", [2, 1]),
        (f"  {FIRST} ", [1]),
        ("Årdal", [3]),
        ("luster kommune", [4]),
        ("kommune admitted", [4, 3, 1]),
        ("ready", [2]),
        ("firewall", [1]),
        ('"by the firewall"', [1]),
        ('"firewall by"', []),
        ("2014-03-04", [2]),
        ("2014-03", [4, 3, 2, 1]),
        ("2014-04", []),
        ("2014-03-05 case:2", [4, 3]),
        ("case:1", [2, 1]),
        ("case:1 firewall", [1]),
        ("state:waiting admitted", [4, 3, 1]),
        ("state:refused", []),
        ("waiting firewall", [1]),
        ("party:sogndal", [2, 1]),
        ('party:"Luster kommune"', [4]),
        ("kind:admitted party:luster", [4]),
        ("dialect:plo", [3]),
        ("nothingofthekind", []),
    ],
)
def test_the_log_is_searched_as_people_write(searched, typed, found):
    answer = searched.get(f"/deliveries?text={quote_plus(typed)}")
    assert answer.status_code == 200
    assert said(answer) == []
    assert numbers(answer) == found
    if found:
        counted = words(page(answer).xpath("//p[@class='found']")[0])
        assert counted == ("One delivery" if len(found) == 1 else f"{len(found)} deliveries")
    assert page(answer).xpath("//input[@name='text']/@value") == [typed.strip()]


def test_what_was_asked_for_is_marked_where_it_stands(searched):
    answer = searched.get("/deliveries?text=FIRE+sogn")
    assert [words(hit) for hit in page(answer).xpath("//tbody//mark")] == ["Sogndal", "firewall"]
    assert "<b>refused" not in answer.text


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ('"by the', "A quotation mark is missing"),
        ("2014-13-45", "There is no day 2014-13-45"),
        ("case:abc", "A case has a number"),
        ("state:lost", "There is no such state. A state is one of"),
        ("party:nobody", "There is no such party"),
        ("kind:nothing", "Nothing of that kind is sent"),
        ("endpoint:nowhere", "There is nothing of that name"),
        ("!?", "There is no word in it"),
        ("x" * 201, "That is too long"),
        (" ".join(f"w{n}" for n in range(13)), "These are too many words"),
    ],
)
def test_what_cannot_be_understood_is_told_and_nothing_is_guessed(searched, typed, told):
    answer = searched.get(f"/deliveries?text={quote_plus(typed)}")
    assert answer.status_code == 200
    assert [note for note in said(answer) if note.removeprefix("! ").startswith(told)]
    assert numbers(answer) == []


@pytest.mark.parametrize("typed", [NUMBER, f"{NUMBER[:6]} {NUMBER[6:]}", f"about {NUMBER[:6]}-{NUMBER[6:]}"])
def test_an_identity_number_in_the_search_is_neither_looked_for_nor_repeated(searched, typed):
    answer = searched.get(f"/deliveries?text={quote_plus(typed)}")
    assert "looks like an identity number" in said(answer)[0]
    assert NUMBER not in answer.text and NUMBER[6:] not in answer.text
    assert numbers(answer) == []


@pytest.mark.parametrize(
    "typed",
    [
        "%", "_", "*", "' OR 1=1 --", '") OR 1=1 --', "delivery_found:x", "a NEAR b", "NOT a", "a* -b ^c",
        "& | !", "\x00", "a\x00b", "\u200fעברית\u202e", "\ufdfa" * 180, "<script>alert(1)</script>",
        "' || pg_sleep(9) || '", ":a ?a $1 %(x)s", "case:99999999999999999999", "9" * 190, "''''",
        "\\", "{{7*7}}",
    ],
)  # fmt: skip
def test_no_search_is_more_than_a_search(searched, typed):
    answer = searched.get(f"/deliveries?{urlencode({'text': typed})}")
    assert answer.status_code == 200
    assert {*numbers(answer)} <= {1, 2, 3, 4}
    assert "<script>" not in answer.text
    assert searched.look(deliveries.get, 4) is not None


def test_ten_thousand_signs_are_told_to_be_too_many(searched):
    answer = searched.get(f"/deliveries?text={'x+' * 5000}")
    assert answer.status_code == 200 and "That is too long" in said(answer)[0]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("kind=admitted", [4, 3, 1]),
        ("kind=admitted&party=luster", [4]),
        ("dialect=fhir", [4, 2, 1]),
        ("endpoint=sogndal", [2, 1]),
        ("since=2014-03-04", [4, 3, 2]),
        ("until=2014-03-04", [2, 1]),
        ("since=2014-03-04&until=2014-03-04", [2]),
        ("since=2014-03-05&until=2014-03-04", []),
        ("text=0f0e&since=2014-03-04", [2]),
        ("text=state:waiting&state=sent", []),
        ("text=case:1&case=2", []),
        ("text=admitted&case=1&party=sogndal&state=waiting&endpoint=sogndal&dialect=fhir", [1]),
        ("until=9999-12-31", [4, 3, 2, 1]),
    ],
)
def test_filters_in_the_address_go_together(searched, query, found):
    answer = searched.get(f"/deliveries?{query}")
    assert said(answer) == []
    assert numbers(answer) == found


@pytest.mark.parametrize(
    "query",
    [
        "kind=x",
        "dialect=x",
        "endpoint=x",
        "since=yesterday",
        "until=2014-02-30",
        "since=2014",
        "text=&since=%00",
    ],
)
def test_a_filter_that_cannot_be_is_told_and_finds_nothing(searched, query):
    answer = searched.get(f"/deliveries?{query}")
    assert answer.status_code == 200 and said(answer) and numbers(answer) == []


def test_many_are_counted_up_to_a_bound_and_paged_beyond_it(searched, monkeypatch):
    monkeypatch.setattr(operations, "MOST_COUNTED", 3)
    monkeypatch.setattr(operations, "PAGE", 2)
    first = searched.get("/deliveries?text=kommune")
    assert words(page(first).xpath("//p[@class='found']")[0]) == "More than 3 deliveries"
    assert numbers(first) == [4, 3]
    older = page(first).xpath("//a[@rel='next']/@href")[0]
    assert older == "/deliveries?text=kommune&before=3"
    last = searched.get(older)
    assert numbers(last) == [2, 1]
    assert not page(last).xpath("//a[@rel='next']")


def test_who_looks_for_a_patient_by_the_number_is_written_down(searched):
    answer = searched.post("/deliveries/search", data={"number": NUMBER})
    assert numbers(answer) == [2, 1]
    with searched.stage.built.store.read() as tx:
        rows = tx.execute(select(fhir_access).where(fhir_access.c.what == "search")).mappings().all()
    (row,) = rows
    assert (row["what"], row["type"], row["person"], row["role"]) == (
        "search",
        "Patient",
        "demo-operations",
        "operations",
    )
    assert row["found"] == 1 and row["patient"] in answer.url
    assert NUMBER not in str(dict(row))


def test_what_was_sent_is_never_searched(searched):
    for said_in_it in ("Fjellheim", "Synnøve", "Nesøy", NUMBER[:6]):
        assert numbers(searched.get(f"/deliveries?text={said_in_it}")) == []


@pytest.mark.parametrize(
    ("language", "typed", "found"),
    [("nb", "innlagt", [4, 3, 1]), ("sv", "inskriven", []), ("da", "status:venter", [4, 3, 2, 1])],
)
def test_words_of_the_reader_find_as_well(searched, language, typed, found):
    answer = searched.get(f"/deliveries?text={typed}", headers={"Accept-Language": language})
    assert numbers(answer) == found
