"""The words of the forms: all of them, in every language, with the same values."""

import re

import pytest

from adapter.web.words import LANGUAGES
from tests.catalogs import PAGE_LOCALES, catalog

from .people import SOGNDAL, WARD
from .test_acting import ENGLISH, Board, board, page, sweden, words  # noqa: F401  # fixtures

FOLDER = PAGE_LOCALES / "acting"
VALUE = re.compile(r"\{\w+\}")


def keys(language: str) -> dict[str, str]:
    return {str(m.id): str(m.string) for m in catalog(language, FOLDER) if m.id}


@pytest.mark.parametrize("language", [code for code in LANGUAGES if code != "en"])
def test_every_language_has_all_of_them_with_the_same_values(language):
    mine = keys(language)
    assert mine.keys() == keys("nb").keys()
    for key, said in mine.items():
        assert said.strip(), key
        assert sorted(VALUE.findall(said)) == sorted(VALUE.findall(key)), key


@pytest.mark.parametrize("language", [code for code in LANGUAGES if code != "en"])
def test_no_sentence_of_the_forms_stays_in_english(board: Board, language):  # noqa: F811
    for person in (SOGNDAL, WARD):
        board.as_(person)
        for path in ("/stays/1/act", *(("/ward/new",) if person is WARD else ())):
            found = board.site.get(path, headers={"Accept-Language": language})
            main = page(found).xpath("//main")[0]
            texts = [
                words(e)
                for e in main.iter("label", "legend", "button", "h1", "h2", "h3", "summary", "option")
            ]
            english = page(board.site.get(path, headers=ENGLISH)).xpath("//main")[0]
            told = {words(e) for e in english.iter("label", "legend", "button", "h1", "h3", "summary")}
            same = {text for text in texts if text in told and len(text.split()) > 1}
            assert same <= {party.name for party in board.site.stage.built.register.parties}
