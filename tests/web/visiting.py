"""Every page of the site, as those who may see it come to it by the links of the others."""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from lxml import html
from sqlalchemy import Connection

from adapter.bulks import Bulks
from adapter.closing import close
from adapter.config import load_region
from adapter.discharge.notices import NoticeKind
from adapter.fhir.bundles import Subject
from adapter.fhir.wire import parse, to_json
from adapter.messaging.people import Person, Role
from adapter.scheduler.deadlines import Deadlines
from adapter.store import deliveries, protections, tables
from adapter.web.pages import PAGES
from adapter.web.site import Page
from tests.conftest import OSLO, StandingClock
from tests.medcom import KARLA
from tests.medcom_stays import COPENHAGEN, Stay
from tests.plan_fixtures import protect
from tests.stage import TORBJORN

from .conftest import Site, play, site
from .looking import at_the_door
from .test_stay import a_stroke

STRANDBY = Path(__file__).parents[2] / "fixtures" / "regions" / "strandby.toml"

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


@contextmanager
def an_odd_day(folder: Path) -> Iterator[Site]:
    """What a morning has none of: a report that is wanted, a stay closed by hand, protections, one lifted."""
    clock = StandingClock(datetime(2024, 3, 6, 12, 1, tzinfo=COPENHAGEN))
    with site(folder, clock, of=load_region(STRANDBY)) as found:
        wanted, closed = Stay(clock()), Stay(clock(), episode=str(UUID(int=7)), cpr="1011400000")
        contents = [wanted.admit(report=True), closed.admit()]
        contents += [_hidden(found, subject) for subject in (KARLA, TORBJORN)]
        for content in contents:
            done = found.stage.receive(content, channel="http")
            assert done.outcome == "accepted", done.reason
        built = found.stage.built
        built.inbox.shelves.catch_up()
        ids = [row["id"] for row in found.stage.rows(tables.case)]
        patients = [row["patient"] for row in found.stage.rows(tables.case)]
        now = clock.forward(hours=2)
        built.store.write(
            lambda tx: close(
                tx, built.inbox.shelves, ids[1], now, now, new_id=str(UUID(int=8)), by="Ida", why="kom aldrig"
            )
        )
        built.store.write(
            lambda tx: protections.lift(tx, patients[2], by="Kari", why="registeret siger det", now=now)
        )
        clock.forward(minutes=5)
        yield found


STATES = {
    "a report that is wanted": (Role.MUNICIPALITY, "/stays/1"),
    "its form": (Role.MUNICIPALITY, "/stays/1/act"),
    "its place on the list": (Role.MUNICIPALITY, "/municipality?group=in"),
    "its case": (Role.OPERATIONS, "/cases/1"),
    "a stay closed by hand": (Role.MUNICIPALITY, "/stays/2"),
    "the form that opens it again": (Role.MUNICIPALITY, "/stays/2/act"),
    "its case with the form": (Role.OPERATIONS, "/cases/2"),
    "a protection that was lifted": (Role.OPERATIONS, "/cases/3"),
    "the stay of which it was lifted": (Role.MUNICIPALITY, "/stays/3"),
    "a protection": (Role.OPERATIONS, "/cases/4"),
    "the stay of somebody protected": (Role.MUNICIPALITY, "/stays/4"),
}
"""Of `an_odd_day`: who looks, and where."""


def _hidden(found: Site, subject: Subject) -> bytes:
    bundle = parse(
        found.stage.message(
            NoticeKind.ADMITTED, sender="strandby-sygehus", receivers=("strandby",), subject=subject,
            hospital="strandby-sygehus", encounter=f"DK-{subject.family}",
        )
    )  # fmt: skip
    protect(bundle)
    return to_json(bundle)


def _many(tx: Connection, bulks: Bulks, now: datetime) -> int:
    """An action on many that waits to be confirmed."""
    some = deliveries.listed(tx, limit=3)
    return bulks.prepare(tx, "resend", some, now, by="Kari", person="kari", why="prøve", chosen="")
