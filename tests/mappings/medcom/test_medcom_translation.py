"""Between MedCom and the other dialects, through the canonical Bundle, both ways."""

from datetime import datetime
from typing import Any

import pytest

from adapter.discharge.notices import Notice, NoticeKind, Standing
from adapter.errors import CannotWrite
from adapter.fhir import wire
from adapter.fhir.allowing import shown
from adapter.fhir.notices import notice_in, subject_in
from adapter.mappings import Reading, Written, kith, known, medcom, own_fhir
from adapter.messaging.envelope import HER, Address
from tests.mappings.medcom.compare import differences
from tests.mappings.medcom.samples import (
    COPENHAGEN,
    NOTIFICATIONS,
    OFFICIAL_NOTIFICATIONS,
    as_addressed,
    fixture,
    named,
    only,
    read,
    resources,
)

K, S = NoticeKind, Standing
NEW = "5b1f7a54-9a3c-4b52-8c39-0c3f4f6d2a10"
HERS = {
    "https://www.gs1.org/gln|5799990000119": (HER, "8143500"),
    "https://www.gs1.org/gln|5799990000218": (HER, "8143510"),
}
PLO_KINDS = {
    "home-after-a-fall/admitted": "LOG_INNLAGT",
    "home-after-a-fall/admission-corrected": "LOG_INNLAGT",
    "home-after-a-fall/discharged": "LOG_UTSKREVET",
    "home-after-a-fall/discharge-cancelled": "LOG_UTSKREVET",
    "acute-and-home-again/admitted": "LOG_INNLAGT",
    "died-in-hospital/deceased": "LOG_UTSKREVET",
    "died-on-arrival/deceased": "LOG_UTSKREVET",
}


def registered(address: Address) -> Address:
    """The address with what the region file knows of its party besides."""
    return Address(identifiers=(*address.identifiers, HERS[address.token]), name=address.name)


def translated(reading: Reading, dialect: str, **other: Any) -> Written:
    assert reading.bundle is not None
    kind = notice_in(reading.bundle, zone=COPENHAGEN).kind
    may_leave = shown(reading.bundle, kind, receiver_kind="municipality").bundle
    said: dict[str, Any] = {"message_id": NEW, "transmission_id": NEW} | other
    addressing = as_addressed(reading.envelope, **said)
    return known.named(dialect).write(may_leave, dialect=dialect, addressing=addressing)


def told(reading: Reading) -> Notice:
    assert reading.problem is None and reading.bundle is not None
    return notice_in(reading.bundle, zone=COPENHAGEN)


@pytest.mark.parametrize("name", PLO_KINDS)
def test_a_notification_becomes_a_logistics_message(name: str) -> None:
    came = read(fixture(name))
    parties = {
        "sender": registered(came.envelope.sender),
        "receiver": registered(came.envelope.receivers[0]),
    }
    done = translated(came, "plo-1.6", **parties)
    assert done.type == PLO_KINDS[name]
    went = kith.read(done.content, content_type=None, zone=COPENHAGEN)
    one, other = told(came), told(went)
    assert (one.kind, one.standing, one.occurred) == (other.kind, other.standing, other.occurred)
    assert went.bundle is not None
    assert subject_in(went.bundle).identifiers == (("urn:oid:1.2.208.176.1.2", "0302410000"),)
    assert subject_in(went.bundle).identified


def test_a_leave_has_no_logistics_message() -> None:
    with pytest.raises(CannotWrite, match="PLO has no message for leave-started"):
        translated(read(fixture("home-after-a-fall/leave-started")), "plo-1.6")


@pytest.mark.parametrize("name", ["home-after-a-fall/admitted", "acute-and-home-again/admitted"])
def test_a_logistics_message_becomes_a_notification(name: str) -> None:
    came = read(fixture(name))
    sender, receiver = came.envelope.sender, came.envelope.receivers[0]
    plo = translated(came, "plo-1.6", sender=registered(sender), receiver=registered(receiver)).content
    there = kith.read(plo, content_type=None, zone=COPENHAGEN)
    back = translated(there, "medcom", sender=sender, receiver=receiver)
    again = medcom.read(back.content, content_type=None, zone=COPENHAGEN)
    assert (back.type, told(again).occurred) == ("STIN", told(came).occurred)
    assert again.envelope.sender == sender and again.envelope.receivers == (receiver,)


def test_a_discharge_by_logistics_follows_the_admission_that_was_told() -> None:
    names = ("home-after-a-fall/admitted", "home-after-a-fall/discharged")
    previous: bytes | None = None
    for number, name in enumerate(names):
        came = read(fixture(name))
        sender, receiver = came.envelope.sender, came.envelope.receivers[0]
        plo = translated(came, "plo-1.6", sender=registered(sender), receiver=registered(receiver)).content
        there = kith.read(plo, content_type=None, zone=COPENHAGEN)
        ids = {"message_id": f"0000000{number}-0000-4000-8000-000000000000", "transmission_id": str(number)}
        previous = translated(
            there, "medcom", sender=sender, receiver=receiver, previous=previous, **ids
        ).content
    assert previous is not None
    made = wire.parse(previous)
    assert len(resources(made, "Provenance")) == 2
    assert only(made, "Encounter")["period"]["start"] == "2026-03-02T09:15:00+01:00"


@pytest.mark.parametrize("path", [*NOTIFICATIONS, *OFFICIAL_NOTIFICATIONS], ids=named)
def test_a_notification_becomes_our_own_message_and_back(path: Any) -> None:
    came = read(path.read_bytes())
    done = translated(came, "fhir")
    ours = own_fhir.read(done.content, content_type=None, zone=COPENHAGEN)
    one, other = told(came), told(ours)
    assert (one.kind, one.standing, one.occurred) == (other.kind, other.standing, other.occurred)
    assert (one.episode, one.admitted, one.hospital) == (other.episode, other.admitted, other.hospital)
    assert ours.envelope.dialect == "fhir" and ours.envelope.receivers == came.envelope.receivers
    back = translated(
        ours,
        "medcom",
        message_id=came.envelope.message_id,
        transmission_id=came.envelope.transmission_id,
        refers_to=came.envelope.refers_to,
    )
    found = differences(wire.parse(path.read_bytes()), wire.parse(back.content))
    head = next(item for item in wire.parse(path.read_bytes())["entry"])["fullUrl"]
    outside = ("MessageHeader.", f"{head} is missing", f"urn:uuid:{came.envelope.message_id} is new")
    assert [text for text in found if not text.startswith(outside)] == []


def test_the_summer_and_winter_time_of_a_stay_stay_apart() -> None:
    """The night of the autumn change: 02:30 comes twice, and the offset tells which."""
    for offset in ("+02:00", "+01:00"):
        content = fixture("home-after-a-fall/admitted").replace(
            b"2026-03-02T09:15:00+01:00", f"2025-10-26T02:30:00{offset}".encode()
        )
        done = translated(read(content), "fhir")
        assert only(wire.parse(done.content), "Encounter")["period"]["start"].endswith(offset)
        assert told(read(content)).occurred == datetime.fromisoformat(f"2025-10-26T02:30:00{offset}")
