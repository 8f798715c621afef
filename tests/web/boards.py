"""Those who open the boards, and the pages as they see them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path

import pytest
import requests
from starlette.requests import Request

from adapter.config import Region
from adapter.messaging.people import Person, Role
from adapter.web.entrance import Came, Entrance
from tests.conftest import StandingClock
from tests.stage import Stage

from .conftest import Site, site

WARD = Person(id="w", name="Marta Nesøy", roles=frozenset({Role.WARD}), parties=("laerdal-sjukehus",))
SOGNDAL = Person(id="s", name="Oddny Fimreite", roles=frozenset({Role.MUNICIPALITY}), parties=("sogndal",))
AARDAL = Person(id="a", name="Kari Utladal", roles=frozenset({Role.MUNICIPALITY}), parties=("aardal",))
LAERDAL = Person(id="l", name="Per Ljøsne", roles=frozenset({Role.MUNICIPALITY}), parties=("laerdal",))


def everybody(role: Role, *, named: bool = True) -> Person:
    """Somebody who sees the whole region in that role."""
    return Person(id="e", name="Everybody", roles=frozenset({role}), parties=None, named=named)


@dataclass
class Boards:
    """The boards of a region, opened by people who have signed in."""

    site: Site
    people: dict[str, Person]

    @property
    def stage(self) -> Stage:
        return self.site.stage

    def open(self, person: Person, path: str, language: str = "en") -> requests.Response:
        """A page as that person is shown it; what has come is on the shelves."""
        self.stage.built.shelves.catch_up()
        self.people[person.id] = person
        headers = {"X-Person": person.id, "Accept-Language": language}
        return self.site.get(path, headers=headers, allow_redirects=False)

    def rows(self, person: Person, path: str, language: str = "en") -> list[str]:
        """What each row of the page says, in words."""
        return rows(self.open(person, path, language).text)


def rows(page: str) -> list[str]:
    """The text of each row of the tables of a page."""
    found = re.findall(r'<tr id="[a-z-]*stay-\d+">(.*?)</tr>', page, re.DOTALL)
    return [text(one) for one in found]


def text(markup: str) -> str:
    """What is read, without the markup."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", markup)).split())


@contextmanager
def boards(
    folder: Path,
    clock: StandingClock,
    monkeypatch: pytest.MonkeyPatch,
    *,
    of: Region | None = None,
    store: str,
) -> Iterator[Boards]:
    """A region whose visitors are whoever the test says."""
    people: dict[str, Person] = {}

    async def person(_: Entrance, request: Request) -> Came:
        return Came(person=people.get(request.headers.get("x-person", "")))

    monkeypatch.setattr(Entrance, "person", person)
    with site(folder, clock, of=of, store=store) as found:
        yield Boards(site=found, people=people)
