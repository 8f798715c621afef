"""The pages as docs/pictures/ shows them: `make pictures`, or `python -m tests.pictures --only stay`.

A region of made-up people at an instant that never changes, so that a picture differs only where a page does.
Each is taken as people look at it, on a desk, a telephone or in the dark, and kept with 128 colours.
A file is written anew only where somebody could see the difference.
"""

import argparse
import io
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from PIL import Image, ImageChops
from playwright.sync_api import Browser

from adapter.config import load_region
from adapter.discharge.notices import AnswerValue, Meeting, NoticeKind
from adapter.fhir.bundles import Subject
from adapter.messaging.people import Person, Role
from adapter.scheduler.deadlines import Deadlines
from adapter.simulator.people import People
from adapter.store import searching
from tests.conftest import OSLO, StandingClock
from tests.planners import CENTRE, VANNAS
from tests.planners import WARD as UMEA
from tests.stage import address_of, answering, failing, taken
from tests.test_planning import VASTERBOTTEN
from tests.web.browsing import chromium
from tests.web.conftest import Site, site
from tests.web.looking import at_the_door

K = NoticeKind
FOLDER = Path(__file__).parent.parent / "docs" / "pictures"
NOW = datetime(2014, 3, 5, 13, 20, tzinfo=OSLO)
COLOURS = 128
LARGEST = 60_000
"""Bytes of one picture."""

FEW = 20
"""Dots in which two pictures of the same page may differ."""

OPERATOR = Person(id="drift", name="Drift", roles=frozenset({Role.OPERATIONS}), parties=None)
WARD = Person(id="solveig", name="Solveig Ness", roles=frozenset({Role.WARD}), parties=("laerdal-sjukehus",))
LUSTER = Person(id="olav", name="Olav Hatle", roles=frozenset({Role.MUNICIPALITY}), parties=("luster",))
BACKA = Person(id="elin", name="Elin Berg", roles=frozenset({Role.PRIMARY_CARE}), parties=(CENTRE,))
"""Those who look. A board's picture is taken as the one whose board it is."""


@dataclass(frozen=True, kw_only=True)
class Sight:
    """How a picture is taken; `ending` tells it from the others of the same page."""

    ending: str
    width: int
    height: int
    scheme: str = "light"


DESK = Sight(ending="", width=1280, height=860)
PHONE = Sight(ending="-phone", width=390, height=844)
DARK = Sight(ending="-dark", width=1280, height=860, scheme="dark")


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One page as one person sees it."""

    name: str
    path: str
    person: Person
    language: str = "en"
    sights: tuple[Sight, ...] = (DESK,)
    sweden: bool = False  # Västerbotten instead of Indre Sogn


PICTURES = (
    Picture(name="ward", path="/ward", person=WARD, language="nb", sights=(DESK, DARK)),
    Picture(name="municipality", path="/municipality", person=LUSTER, language="nn", sights=(PHONE,)),
    Picture(name="primary-care", path="/primary-care", person=BACKA, language="sv", sweden=True),
    Picture(name="stay", path="/stays/3", person=LUSTER, language="nn", sights=(DESK, PHONE, DARK)),
    Picture(name="deliveries", path="/deliveries?text=luster", person=OPERATOR, sights=(DESK, PHONE)),
    Picture(name="figures", path="/figures", person=OPERATOR, sights=(DESK, DARK)),
    Picture(name="overview", path="/", person=OPERATOR),
)
"""Every picture; a new board is a line here."""


# --- the region -------------------------------------------------------------------------------------------


def story(found: Site, clock: StandingClock) -> None:
    """Three days of Indre Sogn: stays at every step, a municipality that does not answer, a message held."""
    stage, people, numbers = found.stage, People(7), iter(range(1, 1000))

    def tell(kind: NoticeKind, who: Subject, stay: int, *receivers: str, **more: object) -> None:
        sent = stage.message(
            kind,
            receivers=receivers,
            subject=who,
            encounter=f"LS-{stay}",
            message_id=str(uuid.UUID(int=next(numbers))),
            transmission_id=str(uuid.UUID(int=next(numbers))),
            **more,  # type: ignore[arg-type]
        )
        done = stage.receive(sent, channel="http")
        assert done.outcome == "accepted", done.reason
        stage.deliver()

    stage.post.answer = answering(clock)
    homes = ("sogndal", "aardal", "luster", "laerdal", "aurland", "luster", "sogndal", "vik")
    patients = [people.one(home) for home in homes]
    clock.at = NOW - timedelta(days=2, hours=5)
    for stay, (who, home) in enumerate(zip(patients, homes, strict=True), start=1):
        tell(K.ADMITTED, who, stay, home)
        clock.forward(minutes=50)
    clock.at = NOW - timedelta(days=1, hours=6)
    for stay in (1, 2, 3, 4, 6):
        text = "Treng hjelp til stell og mat. Bur aleine i hus med trapp."
        tell(K.CARE_NEEDS, patients[stay - 1], stay, homes[stay - 1], text=text)
        clock.forward(minutes=25)
    for stay in (1, 3, 4):
        ready = clock() + timedelta(hours=18)
        tell(K.READY_FOR_DISCHARGE, patients[stay - 1], stay, homes[stay - 1], ready=ready)
        clock.forward(minutes=40)
    answers = ((1, AnswerValue.CAN_RECEIVE), (4, AnswerValue.CANNOT_RECEIVE))
    for stay, value in answers:
        day = (NOW + timedelta(days=1)).date() if value is AnswerValue.CAN_RECEIVE else None
        more = {"answer": value, "receive_from": day, "sender": homes[stay - 1], "hospital": None}
        tell(K.ANSWER, patients[stay - 1], stay, "laerdal-sjukehus", **more)
        clock.forward(minutes=15)
    clock.at = NOW - timedelta(hours=4)
    tell(K.DISCHARGED, patients[0], 1, homes[0])
    stage.post.answer = taken()
    tell(K.READY_FOR_DISCHARGE, patients[1], 2, homes[1], ready=clock())
    clock.at = NOW - timedelta(minutes=35)
    stage.post.answer = failing(503, error="HTTP 503")
    tell(K.CARE_NEEDS, patients[5], 6, homes[5], text="Treng hjelp til personleg hygiene.")
    held = (Path(__file__).parent.parent / "fixtures" / "fhir" / "admitted" / "message.json").read_bytes()
    stage.receive(held, channel="http")
    settled(found, clock)


def planning(found: Site, clock: StandingClock) -> None:
    """Umeå and Vännäs: a plan to be made, a contact to be named, somebody at home again."""
    stage, people = found.stage, People(7)
    patients = [people.one_in_sweden() for _ in range(4)]
    towns, contact = (VANNAS, CENTRE), address_of(stage.built.register, CENTRE).token

    def tell(
        kind: NoticeKind, stay: int, sender: str = UMEA, to: tuple[str, ...] = towns, **more: object
    ) -> None:
        usual = {"hospital": UMEA, "subject": patients[stay], "encounter": f"V-{stay}"}
        content = stage.message(kind, sender=sender, receivers=to, **(usual | more))  # type: ignore[arg-type]
        done = stage.receive(content, channel="http")
        assert done.outcome == "accepted", done.reason
        clock.forward(minutes=20)

    home = NOW.date() + timedelta(days=2)
    clock.at = NOW - timedelta(days=2)
    for stay in range(4):
        tell(K.ADMITTED, stay, planned_discharge=home + timedelta(days=stay))
    for stay in (1, 2):
        tell(K.FIXED_CONTACT_NAMED, stay, CENTRE, (UMEA, VANNAS), contact=contact)
        tell(K.READY_FOR_DISCHARGE, stay, ready=clock(), sip_needed=True)
    starts = NOW.replace(hour=10, minute=0) + timedelta(days=1)
    tell(K.SIP_CALL, 2, CENTRE, (UMEA, VANNAS), meeting=Meeting(starts=starts, status="booked"))
    tell(K.DISCHARGED, 3)
    tell(K.DISCHARGE_REPORT, 3, follow_up=home)
    settled(found, clock)


def settled(found: Site, clock: StandingClock) -> None:
    """What a running adapter has done by itself until now."""
    clock.at = NOW
    built = found.stage.built
    Deadlines(
        store=built.store, cases=built.cases, outbox=built.outbox, register=built.register, clock=clock
    )()
    built.shelves.catch_up()
    found.stage.write(searching.index)


@contextmanager
def scene(*, sweden: bool) -> Iterator[Site]:
    """The region at its instant."""
    with tempfile.TemporaryDirectory() as folder:
        clock = StandingClock(NOW)
        of = load_region(VASTERBOTTEN) if sweden else None
        with site(Path(folder), clock, of=of, pseudonym_key="pictures") as found:
            (planning if sweden else story)(found, clock)
            yield found


# --- taking them ------------------------------------------------------------------------------------------


def taken_of(browser: Browser, found: Site, picture: Picture, sight: Sight) -> bytes:
    """The page as a PNG of few colours."""
    context = browser.new_context(
        viewport={"width": sight.width, "height": sight.height},
        color_scheme=sight.scheme,  # type: ignore[arg-type]  # light or dark
        locale=picture.language,
        reduced_motion="reduce",
        timezone_id="Europe/Oslo",
    )
    tab = context.new_page()
    with at_the_door(picture.person):
        answer = tab.goto(found.url + picture.path)
        assert answer is not None and answer.ok, f"{picture.path}: {answer and answer.status}"
        tab.wait_for_timeout(300)
        whole = tab.screenshot()
    context.close()
    written = io.BytesIO()
    few = Image.open(io.BytesIO(whole)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    few.save(written, "PNG", optimize=True)
    return written.getvalue()


def differ(before: bytes, after: bytes) -> bool:
    """Whether a person could see that two pictures differ: a browser draws round corners by chance."""
    one, other = (Image.open(io.BytesIO(content)).convert("RGB") for content in (before, after))
    if one.size != other.size:
        return True
    dots = ImageChops.difference(one, other).convert("L").point(lambda value: 255 if value > 40 else 0)
    return dots.histogram()[255] > FEW


def kept(browser: Browser, found: Site, picture: Picture, sight: Sight, folder: Path) -> Path:
    """The file of one picture, written anew where somebody could see the difference."""
    content = taken_of(browser, found, picture, sight)
    file = folder / f"{picture.name}{sight.ending}.png"
    assert len(content) <= LARGEST, f"{file.name}: {len(content)} bytes"
    if not file.exists() or differ(file.read_bytes(), content):
        file.write_bytes(content)
    return file


def main(only: str | None = None, folder: Path = FOLDER) -> list[Path]:
    """Write the pictures whose name begins with `only`; their files."""
    folder.mkdir(parents=True, exist_ok=True)
    made: list[Path] = []
    wanted = [one for one in PICTURES if only is None or one.name.startswith(only)]
    with chromium() as browser:
        for sweden in sorted({one.sweden for one in wanted}):
            with scene(sweden=sweden) as found:
                for picture in (one for one in wanted if one.sweden is sweden):
                    made += [kept(browser, found, picture, sight, folder) for sight in picture.sights]
    return made


if __name__ == "__main__":
    wanted = argparse.ArgumentParser(description=__doc__)
    wanted.add_argument("--only", help="the beginning of a picture's name")
    for each in main(wanted.parse_args().only):
        size = each.stat().st_size // 1024
        print(f"{each.relative_to(FOLDER.parent.parent)}  {size} kB")  # noqa: T201  # it says what it made
