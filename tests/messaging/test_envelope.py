"""What an address shows of itself: enough to find the party, and never the number of a person."""

from datetime import date

import pytest

from adapter.messaging.envelope import HER, PERSON_SYSTEMS, Address, masked
from adapter.messaging.register import Register, Side

NUMBER = "12833840159"
SET_APART = [
    NUMBER,
    "128338 40159",
    "128338-40159",
    "1 2 8 3 3 8 4 0 1 5 9",
    "12.83.38.401.59",
    "128338.40159X",
    "1283384015\u00a09",
    "12/83/38 - 40159",
    "٢٨١٣٣٨٤٠١٥٩",
    "no 19380312-0104",
]


def address(system: str, value: str, name: str | None = None) -> Address:
    return Address(identifiers=((system, value),), name=name)


@pytest.mark.parametrize("number", SET_APART)
@pytest.mark.parametrize("system", [HER, "urn:x", *PERSON_SYSTEMS])
def test_a_persons_number_shows_in_no_form(system: str, number: str) -> None:
    told = address(system, number)
    for shown in (told.said, told.party_id, masked(number)):
        assert number not in shown
        assert "40159" not in shown
    assert "*" in told.party_id


def test_whatever_a_person_system_holds_is_hidden() -> None:
    for system in PERSON_SYSTEMS:
        assert "abc" not in f"{address(system, 'abc').said}{address(system, 'abc').party_id}"


def test_a_hidden_party_is_the_same_each_time_and_another_is_another() -> None:
    assert address(HER, NUMBER).party_id == address(HER, NUMBER).party_id
    assert address(HER, NUMBER).party_id != address(HER, "12833840140").party_id


@pytest.mark.parametrize(
    ("system", "value", "party_id"),
    [
        (HER, "8143510", "her-8143510"),
        ("urn:oid:2.16.578.1.12.4.1.4.101", "974763907", "2.16.578.1.12.4.1.4.101-974763907"),
        ("https://www.gs1.org/gln", "5790000123456", "gln-5790000123456"),
        ("urn:oid:1.2.752.29.4.19", "SE2321000016-1003", "1.2.752.29.4.19-SE2321000016-1003"),
    ],
)
def test_an_organisation_keeps_its_number(system: str, value: str, party_id: str) -> None:
    told = address(system, value)
    assert (told.party_id, value in told.said) == (party_id, True)


def test_an_id_that_nobody_could_use_is_short() -> None:
    assert len(address(HER, "9" * 9000).party_id) < 50
    assert len(address("urn:" + "9" * 9000, "1").party_id) < 50
    assert address("urn:x", "a\x1b[31m").party_id.isprintable()


@pytest.mark.parametrize("system", [HER, PERSON_SYSTEMS[0]])
def test_a_stranger_in_evaluation_is_known_without_the_number(system: str) -> None:
    stranger = Register(open=True).resolve(address(system, NUMBER, f"Synnøve {NUMBER}"), date(2014, 3, 3))
    assert stranger is not None
    assert NUMBER not in f"{stranger.id} {stranger.name}"
    assert stranger.side is Side.OURS
