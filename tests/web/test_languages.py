"""Operations read their pages in their own language, down to why a deadline stands as it does."""

import pytest
from lxml import html

from adapter.store.alarms import start
from adapter.web.words import LANGUAGES

from .conftest import Site


def words(element: html.HtmlElement) -> str:
    return " ".join(" ".join(element.itertext()).split())


def page(site: Site, path: str, language: str) -> html.HtmlElement:
    found = site.get(path, headers={"Accept-Language": language})
    assert found.status_code == 200
    assert found.headers["Content-Language"] == language
    return html.fromstring(found.content)


@pytest.mark.parametrize(
    ("language", "title", "state"),
    [
        ("en", "Cases", "Ready for discharge"),
        ("nb", "Forløp", "Utskrivningsklar"),
        ("nn", "Forløp", "Utskrivingsklar"),
        ("sv", "Vårdtillfällen", "Utskrivningsklar"),
        ("da", "Forløb", "Færdigbehandlet"),
    ],
)
def test_the_list_of_cases_uses_the_fields_own_words(living, language, title, state):
    tree = page(living, "/cases", language)
    assert tree.get("lang") == language
    assert words(tree.find(".//h1")) == title
    assert any(state in words(row) for row in tree.xpath("//tbody/tr"))


def test_without_a_word_from_the_reader_the_page_speaks_the_countrys_language(living):
    tree = html.fromstring(living.get("/deadlines", headers={"Accept-Language": "*"}).content)
    assert (tree.get("lang"), words(tree.find(".//h1"))) == ("nb", "Frister")


@pytest.mark.parametrize(
    ("language", "said"),
    [("nb", "innleggelse"), ("nn", "innlegging"), ("sv", "inskrivning"), ("da", "indlæggelse")],
)
def test_why_is_said_in_the_readers_language_and_the_countrys(living, language, said):
    lists = page(living, "/cases/1/why", language).xpath("//ul[@lang]")
    assert {each.get("lang") for each in lists} == {language, "nb"}
    assert any(said in words(each).lower() for each in lists if each.get("lang") == language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_the_store_keeps_in_english_is_marked_as_english(living, language):
    """As it was stored before sentences were kept with what stands in their places."""
    text, now = "it is nearly full", living.stage.clock()
    living.stage.write(lambda tx: start(tx, kind="disk", subject=f"disk {language}", text=text, now=now))
    kept = [e for e in page(living, "/alarms", language).xpath("//td") if "nearly full" in words(e)]
    assert kept
    marked = [e for cell in kept for e in cell.xpath(".//span[@lang='en']")]
    assert bool(marked) == (language != "en")
