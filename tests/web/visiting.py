"""Every page of the site, as those who may see it come to it by the links of the others."""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lxml import html
from sqlalchemy import Connection

from adapter.bulks import Bulks
from adapter.messaging.people import Person, Role
from adapter.scheduler.deadlines import Deadlines
from adapter.store import deliveries
from adapter.web.pages import PAGES
from adapter.web.site import Page
from tests.conftest import OSLO, StandingClock

from .conftest import Site, play, site
from .looking import at_the_door
from .test_stay import a_stroke

FILES = ("/stays/{id}/attachments/{kind}/{name}/{place}", "/figures/{name}.csv", "/figures/{name}.svg")
"""What is saved, or a picture that a page shows too."""

TWO = ("/stays/{id}", "/deliveries/{id}", "/messages/{id}")
"""Pages that look rather different from one to the next."""


@dataclass(frozen=True)
class Visit:
    """One page as one person has it."""

    person: Person
    address: str


def somebody(roles: frozenset[Role], turn: int = 0) -> Person:
    """A person in one of these roles, each in its turn, who sees every party's."""
    having = [role for role in Role if role in roles]
    role = having[2 * turn % len(having)]
    return Person(id=role.value, name="Kari Nord", roles=frozenset({role}), parties=None)


def page_at(path: str) -> Page | None:
    """The page that has such an address."""
    patterns = ((page, re.sub(r"\{\w+\}", "[^/]+", page.path)) for page in PAGES)
    return next((page for page, pattern in patterns if re.fullmatch(pattern, path)), None)


def visits(found: Site) -> list[Visit]:
    """Every page, as it is come to by the links of the others; what none leads to is that of number 1."""
    waiting = [Visit(somebody(page.roles), page.path) for page in PAGES if "{" not in page.path]
    known = Counter(visit.address for visit in waiting)
    chosen = []
    while waiting:
        visit = waiting.pop(0)
        with at_the_door(visit.person):
            answer = found.get(visit.address, headers={"Accept-Language": "en"})
        if not answer.headers["Content-Type"].startswith("text/html"):
            continue
        chosen.append(visit)
        tree = html.fromstring(answer.content)
        for href in tree.xpath("//main//a/@href"):
            path = href.partition("#")[0].partition("?")[0]
            page = page_at(path)
            most = 2 if page is not None and page.path in TWO else 1
            if page is None or page.path in FILES or known[page.path] >= most or known[path]:
                continue
            known[page.path] += 1
            known[path] += 1
            waiting.append(Visit(somebody(page.roles, known[page.path] - 1), path))
    unlinked = [page for page in PAGES if not known[page.path] and page.path not in FILES]
    return chosen + [Visit(somebody(page.roles), page.path.replace("{id}", "1")) for page in unlinked]


@contextmanager
def a_lively_morning(folder: Path) -> Iterator[Site]:
    """The morning of `living`, and a day later: alarms, missed deadlines, forms to record what was done."""
    clock = StandingClock(datetime(2014, 3, 3, 10, 0, tzinfo=OSLO))
    with site(folder, clock) as found:
        play(found.stage, clock)
        a_stroke(found.stage, clock)
        built = found.stage.built
        Deadlines(
            store=built.store, cases=built.cases, outbox=built.outbox, register=built.register, clock=clock
        )()
        built.store.write(lambda tx: _many(tx, Bulks(inbox=built.inbox), clock()))
        yield found


def _many(tx: Connection, bulks: Bulks, now: datetime) -> int:
    """An action on many that waits to be confirmed."""
    some = deliveries.listed(tx, limit=3)
    return bulks.prepare(tx, "resend", some, now, by="Kari", person="kari", why="prøve", chosen="")
