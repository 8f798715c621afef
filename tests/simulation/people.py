"""Who tells what: stays of a few patients, senders that insist on an answer, and a person at the desk."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from adapter.discharge.notices import NoticeKind, Standing
from adapter.errors import NotFound
from adapter.fhir.bundles import Subject
from adapter.incoming import Prepared
from tests.simulation.region import BOARD, DELIVERED, HOSPITAL, OTHER_HOSPITAL, THEIRS_FHIR, THEIRS_PLO
from tests.simulation.world import Process
from tests.stage import SYNNOVE, TORBJORN, Stage

K = NoticeKind
MOST = 20
"""Messages in one life."""

FOLDERS = (OTHER_HOSPITAL, THEIRS_PLO)
"""Whoever writes PLO leaves it in a folder; the others post FHIR."""

_PAIRS = (
    (HOSPITAL, DELIVERED),
    (HOSPITAL, THEIRS_PLO),
    (HOSPITAL, THEIRS_FHIR),
    (HOSPITAL, BOARD),
    (OTHER_HOSPITAL, DELIVERED),
    (OTHER_HOSPITAL, THEIRS_PLO),
    (OTHER_HOSPITAL, BOARD),
)
_PATIENTS = (SYNNOVE, TORBJORN)
_CHANGES = (Standing.CORRECTION, Standing.CANCELLATION)


@dataclass
class Told:
    """One message of the story, as its sender keeps it until it has been answered."""

    number: int
    kind: NoticeKind
    sender: str
    receiver: str
    message_id: str
    content: bytes
    standing: Standing
    row: int | None = None  # where we say that we have it
    acknowledged: bool = False
    refused: bool = False  # it has been told so, or a person will: it does not insist any more
    put: int = 0  # how often it has been left in the folder
    read: Prepared | None = None  # as every process reads it: a pure function of the bytes, done once

    @property
    def insists(self) -> bool:
        """Whether its sender still waits for an answer."""
        return not self.acknowledged and not self.refused


@dataclass
class Stay:
    """One patient's stay: what will still be told of it."""

    hospital: str
    municipality: str
    patient: Subject
    left: list[tuple[NoticeKind, Standing]]
    told: list[Told] = field(default_factory=list)


def stays(chance: random.Random) -> list[Stay]:
    """The stories of one life, at most `MOST` messages long."""
    made: list[Stay] = []
    left = MOST
    for _ in range(chance.randint(1, 3)):
        hospital, municipality = chance.choice(_PAIRS)
        script = _script(chance)[:left]
        left -= len(script)
        if script:
            made.append(Stay(hospital, municipality, chance.choice(_PATIENTS), script))
    return made


def _script(chance: random.Random) -> list[tuple[NoticeKind, Standing]]:
    new = Standing.NEW
    told = [(K.ADMITTED, new)]
    if chance.random() < 0.7:
        told.append((K.CARE_NEEDS, new))
    told.append((K.READY_FOR_DISCHARGE, new))
    if chance.random() < 0.3:
        told += [(K.READINESS_WITHDRAWN, new), (K.READY_FOR_DISCHARGE, new)]
    if chance.random() < 0.5:
        told.append((K.ANSWER, new))
    if chance.random() < 0.5:
        told.append((chance.choice((K.CARE_NEEDS, K.READY_FOR_DISCHARGE)), chance.choice(_CHANGES)))
    if chance.random() < 0.7:
        told.append((K.DISCHARGED, new))
    return told


def tell(stay: Stay, number: int, write: Stage, now: datetime, ids: Callable[[], str]) -> Told | None:
    """Write the next message of a stay; None where what it would change has not been told."""
    kind, standing = stay.left.pop(0)
    sender, receiver = stay.hospital, stay.municipality
    if kind is K.ANSWER:
        sender, receiver = receiver, sender
    more: dict[str, object] = {}
    if standing is not Standing.NEW:
        earlier = [one for one in stay.told if one.kind is kind]
        if not earlier:
            return None
        more = {"standing": standing, "refers_to": earlier[-1].message_id}
    if kind is K.ANSWER:
        more = {"text": "Vi kan ta imot pasienten."}
        asked = [one for one in stay.told if one.kind is K.READY_FOR_DISCHARGE]
        if asked:
            more["refers_to"] = asked[-1].message_id
    message_id = ids()
    writing = write.plo if sender in FOLDERS else write.message
    content = writing(
        kind,
        sender=sender,
        receivers=(receiver,),
        subject=stay.patient,
        at=now,
        message_id=message_id,
        transmission_id=ids(),
        hospital=stay.hospital,
        **more,
    )
    made = Told(number, kind, sender, receiver, message_id, content, standing)
    stay.told.append(made)
    return made


def act(process: Process, chance: random.Random, look: Callable[..., list[object]]) -> tuple[object, ...]:
    """A person at the desk does something about a delivery or a held message; what, and what came of it."""
    what = chance.choice(("resend", "resend", "give up", "reissue", "release"))
    table = "message WHERE outcome = 'quarantined'" if what == "release" else "delivery"
    numbers = [row[0] for row in look(f"SELECT id FROM {table} ORDER BY id")]  # type: ignore[index]
    if not numbers:
        return "person", what, "nothing there"
    number = chance.choice(numbers)
    outbox, inbox, now = process.built.outbox, process.built.inbox, process.clock()
    doing = {
        "resend": lambda tx: outbox.resend(tx, number, now, by="Marta"),
        "give up": lambda tx: outbox.give_up(tx, number, now, by="Marta"),
        "reissue": lambda tx: inbox.reissue(tx, number, now, to=None, by="Marta"),
        "release": lambda tx: inbox.release(tx, number, now, by="Marta").outcome,
    }
    try:
        return "person", what, number, process.built.store.write(doing[what])
    except NotFound:
        return "person", what, number, "cannot be"
