"""No string in code: in a language that puts every sentence in brackets, nothing else is left to read.

What stays is data (names, ids, times, numbers) and what is marked as English, as the store keeps it.
"""

import re
from collections.abc import Iterator
from gettext import NullTranslations

import pytest
from lxml import html

from adapter.discharge import wording as law
from adapter.web import words
from adapter.web.pages import PAGES

from .conftest import Site

OPEN, SHUT = "⟦", "⟧"
PATHS = [
    "/", "/cases", "/cases?patient=x", "/cases/1", "/cases/1/why", "/deadlines", "/deliveries",
    "/deliveries?state=sent",
    "/deliveries?state=odd&awaiting=2&case=99&before=x", "/deliveries/1", "/deliveries/2", "/deliveries/4",
    "/messages/1", "/messages/2", "/messages/5", "/messages/6", "/messages/7", "/messages/8", "/quarantine",
    "/endpoints", "/alarms", "/payments?month=2014-03", "/payments?month=x", "/cases/999", "/deliveries/x",
    "/nowhere",
]  # fmt: skip
ATTRIBUTES = ("aria-label", "title", "placeholder", "data-label", "alt", "label", "summary")
DATA = {  # names and codes of the region and of standards
    "adapter", "discharge", "FHIR", "HTTP", "SHA", "JSON", "XML", "PLO", "ms", "kB", "MB", "kr", "NOK",
}  # fmt: skip


class Pseudo(NullTranslations):
    """Every sentence in brackets, its places kept."""

    def gettext(self, message: str) -> str:
        return f"{OPEN}{message}{SHUT}"

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return f"{OPEN}{msgid1 if n == 1 else msgid2}{SHUT}"


@pytest.fixture
def pseudo(living: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(words, "catalog", lambda _: Pseudo())
    monkeypatch.setattr(law, "catalog", lambda _: Pseudo())
    return living


def unwrapped(pieces: Iterator[str]) -> Iterator[str]:
    """What stands outside of all brackets; a sentence with links in it goes over several pieces."""
    depth = 0
    for text in pieces:
        left = []
        for letter in text:
            depth += (letter == OPEN) - (letter == SHUT)
            left.append(letter if depth == 0 and letter != SHUT else " ")
        yield "".join(left)
    assert depth == 0


def texts(tree: html.HtmlElement) -> Iterator[str]:
    """What is seen or read aloud, where it is not marked as English or as code."""
    yield from map(str, tree.xpath(
        "//text()[not(ancestor::script or ancestor::code or ancestor::pre or ancestor::time)]"
        "[not(ancestor::*[@lang][1][@lang='en'])][not(ancestor::*[contains(@class, 'code')])]"
        "[not(ancestor::*[contains(@class, 'patient')])]"
    ))  # fmt: skip
    for name in ATTRIBUTES:
        yield from map(str, tree.xpath(f"//@{name}"))


def names(site: Site) -> set[str]:
    """Words of data: of the register, of addresses, of the days and months."""
    register = site.stage.built.register
    told = [text for p in register.parties for text in (p.name, p.id)]
    told += [text for e in register.endpoints for text in (e.name, e.address)]
    told += [*words.LANGUAGES.values(), "Indre Sogn", "Europe/Oslo", "helse-foerde", "luster-drift"]
    return {word for text in told for word in re.findall(r"[^\W\d_]+", text)}


def dated(text: str) -> str:
    """Without the days, which are the calendar's words: `man. 3. mars`."""
    return re.sub(r"\b(man|tir|tirs|ons|tor|tors|fre|lør|søn|mars|feb|april|apr|mai)\b\.?", " ", text)


@pytest.mark.parametrize("path", PATHS)
def test_nothing_on_a_page_is_said_by_the_code_itself(pseudo: Site, path: str):
    found = pseudo.get(path, headers={"Accept-Language": "nb"})
    tree = html.fromstring(found.content)
    assert tree.xpath("//html/@lang") == ["nb"]
    known = names(pseudo) | DATA
    left = set()
    for text in unwrapped(texts(tree)):
        if any(word not in known for word in re.findall(r"[^\W\d_]{2,}", dated(text))):
            left.add(" ".join(text.split()))
    assert left == set()


def test_every_page_of_operations_is_looked_at():
    """A page of a part of its own is looked at by that part's tests, with the same brackets."""
    looked = {re.sub(r"\d+", "{id}", path.split("?")[0]) for path in PATHS}
    operations = {page.path for page in PAGES if page.view.__module__ == "adapter.web.views"}
    assert operations <= looked
