"""No string in code: in a language that puts every sentence in brackets, nothing else is left to read.

What stays is data (names, ids, times, numbers), what somebody else has said, and what a library says, marked
as English. Nothing that the adapter itself says is kept in English.
"""

import json
import re
from collections.abc import Iterator
from gettext import NullTranslations

import pytest
from lxml import etree, html

from adapter.discharge import wording as law
from adapter.messaging.people import Person, Role
from adapter.store import tables
from adapter.web import plan_words, words
from adapter.web.pages import PAGES

from .conftest import Site
from .looking import at_the_door
from .visiting import FILES, STATES, a_lively_morning, an_odd_day, page_at, visits

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
    "adapter", "discharge", "FHIR", "HTTP", "SHA", "JSON", "XML", "PLO", "ms", "kB", "MB", "kr", "NOK", "CSV",
    "SVG",
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
        "[not(ancestor::*[@lang][1][@lang='en' or @lang=''])][not(ancestor::*[contains(@class, 'code')])]"
        "[not(ancestor::*[contains(@class, 'patient')])]"
    ))  # fmt: skip
    for name in ATTRIBUTES:
        yield from map(str, tree.xpath(f"//@{name}"))


def kept(tree: html.HtmlElement) -> set[str]:
    """What is kept in English: so it was before sentences were stored with their keys."""
    return {one.text_content() for one in tree.xpath("//*[contains(concat(' ', @class, ' '), ' kept ')]")}


def names(site: Site) -> set[str]:
    """Words of data: of the register, of addresses, of the days and months."""
    register = site.stage.built.register
    told = [text for p in register.parties for text in (p.name, p.id)]
    told += [text for e in register.endpoints for text in (e.name, e.address)]
    told += [
        *words.LANGUAGES.values(),
        "Indre Sogn",
        "Strandby og omegn",
        "Europe/Oslo",
        "helse-foerde",
        "luster-drift",
    ]
    return {word for text in told for word in re.findall(r"[^\W\d_]+", text)}


_DAYS = "man|tir|tirs|ons|tor|tors|fre|lør|søn"
_MONTHS = (
    "jan|januar|feb|februar|mars|apr|april|mai|juni|juli|aug|august|sep|september|okt|oktober|nov|november|"
    "des|desember"
)


def dated(text: str) -> str:
    """Without the days, which are the calendar's words: `man. 3. mars`."""
    return re.sub(rf"\b({_DAYS}|{_MONTHS})\b\.?", " ", text)


@pytest.mark.parametrize("path", PATHS)
def test_nothing_on_a_page_is_said_by_the_code_itself(pseudo: Site, path: str):
    found = pseudo.get(path, headers={"Accept-Language": "nb"})
    tree = html.fromstring(found.content)
    assert tree.xpath("//html/@lang") == ["nb"]
    known = names(pseudo) | DATA
    left = kept(tree)
    for text in unwrapped(texts(tree)):
        if any(word not in known for word in re.findall(r"[^\W\d_]{2,}", dated(text))):
            left.add(" ".join(text.split()))
    assert left == set()


# --- every page of every role -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lively(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with a_lively_morning(tmp_path_factory.mktemp("lively")) as found:
        yield found


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with an_odd_day(tmp_path_factory.mktemp("odd")) as found:
        yield found


@pytest.fixture(scope="module")
def addresses(lively: Site) -> list[str]:
    return sorted({visit.address for visit in visits(lively)})


def written(site: Site) -> set[str]:
    """The words of what people have written, in messages and on the pages."""
    texts: list[str] = []
    for row in site.stage.rows(tables.payload):
        texts += values_of(bytes(row["content"]))
    return {word for text in texts for word in re.findall(r"[^\W\d_]+", text)}


def values_of(content: bytes) -> Iterator[str]:
    """What a message says in words: the texts of JSON, and all of XML, which is in Norwegian."""
    try:
        yield from told(json.loads(content))
    except ValueError:
        try:
            tree = etree.fromstring(content)
        except etree.XMLSyntaxError:
            return
        yield from map(str, tree.xpath("//text() | //@*"))
        for name in {etree.QName(one).localname for one in tree.iter(etree.Element)}:
            heading = re.sub("([A-Z])", r" \1", name)  # a report has headings by the names of its elements
            yield f"{heading} {heading.lower()}"


def told(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for name, part in value.items():
            if name in _SAID or isinstance(part, dict | list):
                yield from told(part)
    elif isinstance(value, list):
        for part in value:
            yield from told(part)
    elif isinstance(value, str):
        yield re.sub(r"<[^>]+>", " ", value)


_SAID = {"family", "given", "text", "div", "display", "title", "description", "line", "city", "name"}


_PLACES = re.compile(r"/[\w/{}.-]+|\bP[A-Z2-7]{16}\b")
"""Addresses of pages and pseudonyms, as the record of looks has them."""


@pytest.mark.parametrize("role", list(Role))
def test_nor_on_any_page_of_any_role(
    lively: Site, addresses: list[str], role: Role, monkeypatch: pytest.MonkeyPatch
):
    mine = [one for one in addresses if (page := page_at(one)) is not None and role in page.roles]
    assert left_on(lively, [(role, one) for one in mine], monkeypatch) == {}


def test_nor_in_what_a_morning_has_none_of(odd: Site, monkeypatch: pytest.MonkeyPatch):
    assert left_on(odd, list(STATES.values()), monkeypatch) == {}


def left_on(
    site: Site, looks: list[tuple[Role, str]], monkeypatch: pytest.MonkeyPatch
) -> dict[str, set[str]]:
    """By address, what is read there and is neither in brackets nor data."""
    for module in (words, law, plan_words):
        monkeypatch.setattr(module, "catalog", lambda _: Pseudo())
    known = names(site) | DATA | written(site)
    known |= {"Kari", "Nord", "kari", *(one.value for one in Role)}  # those who have looked, by their id
    left: dict[str, set[str]] = {}
    for role, address in looks:
        person = Person(id="kari", name="Kari Nord", roles=frozenset({role}), parties=None)
        with at_the_door(person):
            found = site.get(address, headers={"Accept-Language": "nb"})
        if not found.headers["Content-Type"].startswith("text/html"):
            continue
        tree = html.fromstring(found.content)
        if kept(tree):
            left[address] = kept(tree)
        for text in unwrapped(texts(tree)):
            plain = _PLACES.sub(" ", dated(text))
            unknown = [w for w in re.findall(r"[^\W\d_]{2,}", plain) if w not in known]
            if unknown:
                left.setdefault(address, set()).add(" ".join(text.split()))
    return left


def test_every_page_of_operations_is_looked_at():
    """A page of a part of its own is looked at by that part's tests, with the same brackets."""
    looked = {re.sub(r"\d+", "{id}", path.split("?")[0]) for path in PATHS}
    operations = {page.path for page in PAGES if page.view.__module__ == "adapter.web.views"}
    assert operations <= looked


def test_every_page_of_every_role_is_looked_at(addresses: list[str]):
    looked = {page.path for address in addresses if (page := page_at(address)) is not None}
    assert {page.path for page in PAGES} - looked <= {*FILES, "/looks.csv"}
