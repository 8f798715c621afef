"""Messages for the load generator: cast from moulds, a few microseconds each, all different.

A mould is one own FHIR message of about 6 kB, made by the usual writer and cut where messages differ: the
last part of every UUID, and the patient. Number `n` is always the same message. `Moulds` casts one message a
patient, `Stays` whole stays.
"""

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import islice

import orjson

from adapter.discharge.notices import Notice, NoticeKind, Standing
from adapter.fhir.bundles import FNR, Bundle, Clinician, Resource, Subject, Unit, entry, reference
from adapter.fhir.notices import message_bundle
from adapter.fhir.parts import practitioner_of
from adapter.messaging.envelope import Address
from adapter.simulator.people import FAMILY, GIVEN, synthetic_numbers

KINDS = (NoticeKind.READY_FOR_DISCHARGE, NoticeKind.ADMITTED)

_UUID = re.compile(r"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4})-[0-9a-f]{12}")
_NAMESPACE = uuid.UUID("e7a3f3a5-8f0e-5b38-9d9e-4a5d7a0c6b30")
_SERIAL, _NUMBER, _BORN, _FAMILY, _GIVEN, _STAY = "@SERIAL@", "@NUMBER@", "1804-05-06", "@F@", "@G@", "@STAY@"
_SLOTS = re.compile("|".join((_SERIAL, _NUMBER, _BORN, _FAMILY, _GIVEN, _STAY)))
_DOCTOR = Clinician(
    identifiers=(("urn:oid:2.16.578.1.12.4.1.4.4", "8000001"),),
    family="Nesøy",
    given="Marta",
    profession="LE",
)
_WARD = Unit(name="Medisinsk sengepost", phone="57000000")
_DAYS = 16_000  # days of birth, one patient on each before the second on any
_BEFORE = timedelta(hours=6)  # that long ago was the admission: no deadline is near, no alarm but by fault
_CORRECTS, _CANCELS = Standing.CORRECTION, Standing.CANCELLATION
_TEAM = tuple(
    Clinician(
        identifiers=(("urn:oid:2.16.578.1.12.4.1.4.4", f"800000{n}"),),
        family=family,
        given=given,
        profession=profession,
    )
    for n, family, given, profession in (
        (2, "Hauge", "Torunn", "SP"),
        (3, "Kvamme", "Jostein", "LE"),
    )
)
_ATTENDING = {
    "coding": [
        {
            "system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType",
            "code": "ATND",
            "display": "attender",
        }
    ]
}
_LANGUAGES = "urn:ietf:bcp:47"
_SO_FAR = ("planned", "arrived", "triaged", "in-progress")


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """The little of a patient that the moulds need."""

    number: str
    born: date
    family: str
    given: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """One message of a stay; `about` is the place of the one that it corrects, cancels or withdraws."""

    kind: NoticeKind
    standing: Standing = Standing.NEW
    about: int | None = None


_ADMITTED = Said(kind=NoticeKind.ADMITTED)
_NEEDS = Said(kind=NoticeKind.CARE_NEEDS)
_READY = Said(kind=NoticeKind.READY_FOR_DISCHARGE)
_WITHDRAWN = Said(kind=NoticeKind.READINESS_WITHDRAWN, about=2)
_DISCHARGED = Said(kind=NoticeKind.DISCHARGED)

STAYS: tuple[tuple[Said, ...], ...] = (
    (
        _ADMITTED, _NEEDS, _READY, _WITHDRAWN, _READY, replace(_READY, standing=_CORRECTS, about=4),
        _DISCHARGED,
    ),
    (
        _ADMITTED, _NEEDS, _READY, replace(_READY, standing=_CORRECTS, about=2), _NEEDS, _DISCHARGED,
        replace(_DISCHARGED, standing=_CANCELS, about=5),
    ),
    (
        _ADMITTED, _NEEDS, _READY, replace(_READY, standing=_CANCELS, about=2),
        replace(_NEEDS, standing=_CORRECTS, about=1), _READY, _DISCHARGED,
    ),
)  # fmt: skip
"""Stays of seven messages each, with something taken back or put right in every one."""


class Moulds:
    """Every message of one load: kinds and receivers take turns, every message has its own patient."""

    together = 1  # so many messages in succession are of one patient

    def __init__(self, sender: Address, receivers: Sequence[Address], *, at: datetime, seed: int = 0) -> None:
        self._moulds = [
            _Mould(_single(kind, sender, receiver, at, seed), sender, receiver)
            for receiver in receivers
            for kind in KINDS
        ]

    def message_id(self, n: int) -> str:
        """The MessageHeader.id of message number `n`."""
        return self._moulds[n % len(self._moulds)].message_id(n)

    def content(self, n: int) -> bytes:
        """The bytes of message number `n`."""
        return self._moulds[n % len(self._moulds)].content(n, person(n))


class Stays:
    """Every message of one load of whole stays; each begins at a multiple of `together`."""

    together = len(STAYS[0])

    def __init__(self, sender: Address, receivers: Sequence[Address], *, at: datetime, seed: int = 0) -> None:
        self._stays = [
            [_Mould(notice, sender, receiver) for notice in _stay(number, sender, receiver, at, seed)]
            for receiver in receivers
            for number in range(len(STAYS))
        ]

    def message_id(self, n: int) -> str:
        """The MessageHeader.id of message number `n`."""
        stay, place = divmod(n, self.together)
        return self._stays[stay % len(self._stays)][place].message_id(stay)

    def content(self, n: int) -> bytes:
        """The bytes of message number `n`."""
        stay, place = divmod(n, self.together)
        return self._stays[stay % len(self._stays)][place].content(stay, person(stay))


def person(n: int) -> Person:
    """Patient number `n`; up to three million of them no two have the same national number."""
    round_, day = divmod(n, _DAYS)
    born = date(1920, 1, 1) + timedelta(days=day)
    names = GIVEN["female"]
    return Person(
        number=next(islice(synthetic_numbers(born, "female"), round_, None)),
        born=born,
        family=FAMILY[n % len(FAMILY)],
        given=names[n // len(FAMILY) % len(names)],
    )


class _Mould:
    """One text, cut at its slots."""

    def __init__(self, notice: Notice, sender: Address, receiver: Address) -> None:
        self._prefix = notice.message_id[:24]
        bundle = _bundle(notice, sender, receiver)
        text = _UUID.sub(rf"\1-{_SERIAL}", orjson.dumps(bundle).decode())
        self._slots = [m.group(0) for m in _SLOTS.finditer(text)]
        self._parts = [part.encode() for part in _SLOTS.split(text)]

    def message_id(self, n: int) -> str:
        return f"{self._prefix}{n:012x}"

    def content(self, n: int, patient: Person) -> bytes:
        filled = {
            _SERIAL: f"{n:012x}".encode(),
            _STAY: f"opphald-{n:09}".encode(),
            _NUMBER: patient.number.encode(),
            _BORN: patient.born.isoformat().encode(),
            _FAMILY: patient.family.encode(),
            _GIVEN: patient.given.encode(),
        }
        made = [self._parts[0]]
        for slot, part in zip(self._slots, self._parts[1:], strict=True):
            made.append(filled[slot])
            made.append(part)
        return b"".join(made)


def _single(kind: NoticeKind, sender: Address, receiver: Address, at: datetime, seed: int) -> Notice:
    """All that one patient's hospital says."""
    ready = at if kind is NoticeKind.READY_FOR_DISCHARGE else None
    return Notice(
        kind=kind,
        message_id=str(uuid.uuid5(_NAMESPACE, f"{seed}/{kind}/{receiver.token}")),
        sent_at=at,
        occurred=at,
        sender=sender.token,
        receivers=(receiver.token,),
        hospital=sender.token,
        encounter=_STAY,
        admitted=at - _BEFORE if ready else None,
        ready=ready,
        planned_discharge=(at + timedelta(days=2)).date(),
    )


def _stay(number: int, sender: Address, receiver: Address, at: datetime, seed: int) -> list[Notice]:
    """The notices of a stay, a minute between them, the last a minute before `at`."""
    story = STAYS[number]
    ids = [str(uuid.uuid5(_NAMESPACE, f"{seed}/{number}/{n}/{receiver.token}")) for n in range(len(story))]
    made = []
    for place, said in enumerate(story):
        told = at - timedelta(minutes=len(story) - place)
        admission = said.kind is NoticeKind.ADMITTED
        made.append(
            Notice(
                kind=said.kind,
                message_id=ids[place],
                sent_at=told,
                occurred=at - _BEFORE if admission else told,
                sender=sender.token,
                receivers=(receiver.token,),
                hospital=sender.token,
                encounter=_STAY,
                admitted=None if admission else at - _BEFORE,
                ready=told if said.kind is NoticeKind.READY_FOR_DISCHARGE else None,
                planned_discharge=(at + timedelta(days=place)).date(),
                standing=said.standing,
                refers_to=ids[said.about] if said.about is not None else None,
            )
        )
    return made


def _bundle(notice: Notice, sender: Address, receiver: Address) -> Bundle:
    """The message that tells a notice, furnished as a real one."""
    bundle = message_bundle(
        notice,
        subject=Subject(
            identifiers=((FNR, _NUMBER),),
            family=_FAMILY,
            given=_GIVEN,
            birth_date=date.fromisoformat(_BORN),
            gender="female",
            address=("Fjordvegen 12", "6887", "Lærdal"),
        ),
        sender=sender,
        receivers=(receiver,),
        hospital=sender,
        transmission_id=str(uuid.uuid5(_NAMESPACE, f"{notice.message_id}/bundle")),
        responsible=_DOCTOR,
        unit=_WARD,
    )
    _furnish(bundle, notice.message_id)
    return bundle


def _furnish(bundle: Bundle, message_id: str) -> None:
    """What a real system also sends and every notice may carry: where the patient lies, and who treats."""
    _, patient, encounter = (item["resource"] for item in bundle["entry"][:3])
    ward: Resource = {
        "resourceType": "Location",
        "id": str(uuid.uuid5(_NAMESPACE, f"{message_id}/ward")),
        "status": "active",
        "name": "Medisinsk sengepost, rom 12",
        "telecom": [{"system": "phone", "value": "57000000", "use": "work"}],
        "address": {"line": ["Sjukehusvegen 9"], "postalCode": "6887", "city": "Lærdal", "country": "NO"},
    }
    team = [
        practitioner_of(one, str(uuid.uuid5(_NAMESPACE, f"{message_id}/team/{one.family}"))) for one in _TEAM
    ]
    since = (encounter.get("period") or {}).get("start") or bundle["timestamp"]
    lasted = {"start": since, "end": since}
    encounter["location"] = [{"location": reference(ward), "status": "active", "period": {"start": since}}]
    encounter["statusHistory"] = [{"status": status, "period": lasted} for status in _SO_FAR]
    encounter["participant"] = [
        {"individual": reference(one), "period": {"start": since}, "type": [_ATTENDING]} for one in team
    ]
    patient["telecom"] = [
        {"system": "phone", "value": value, "use": use}
        for value, use in (("57000001", "home"), ("90000001", "mobile"))
    ]
    patient["communication"] = [{"language": {"coding": [{"system": _LANGUAGES, "code": "nn"}]}}]
    bundle["entry"] += [entry(ward), *map(entry, team)]
