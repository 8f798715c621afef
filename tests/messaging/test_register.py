"""Who is who on a day, who speaks for whom, and where a message goes."""

import hashlib
import re
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from adapter.errors import Quarantined
from adapter.messaging.delivery import Leased
from adapter.messaging.envelope import HER, Address, Envelope
from adapter.messaging.register import Endpoint, Partner, Party, ReceiptWhen, Register, Service, Side
from adapter.messaging.routing import routes

DAY = date(2014, 3, 3)


def her(*numbers: str) -> Address:
    return Address(identifiers=tuple((HER, n) for n in numbers))


def party(name: str, number: str, side: Side = Side.OURS, **more: object) -> Party:
    values = {"kind": "municipality", "endpoint": name, "identifiers": ((HER, number),)}
    return Party(id=name, name=name.title(), side=side, **(values | more))  # type: ignore[arg-type]


def end(name: str, dialect: str = "fhir") -> Endpoint:
    return Endpoint(name=name, transport="fhir", address=f"http://127.0.0.1/{name}", dialect=dialect)


NURSING = Service(role="nursing", identifiers=((HER, "8143551"),))
SOGNDAL = party("sogndal", "8143550", services=(NURSING,))
LEIKANGER = party("leikanger", "8143560", Side.THEIRS, valid_to=date(2019, 12, 31), successor="sogndal")
AARDAL = party("aardal", "8143520", Side.THEIRS)
LMS = party("sogn-lms", "8143590", endpoint=None, hosted_by="sogndal")
BOARD = party("vik", "8143570", endpoint=None)
REGISTER = Register(
    parties=(SOGNDAL, LEIKANGER, AARDAL, LMS, BOARD),
    endpoints=(end("sogndal"), end("leikanger", "plo-1.5"), end("aardal", "plo-1.6")),
)


def envelope(*receivers: Address, dialect: str = "plo-1.6") -> Envelope:
    return Envelope(
        dialect=dialect,
        message_id="m",
        type="LOG_INNLAGT",
        sent_at=datetime(2014, 3, 3, tzinfo=UTC),
        sender=her("8143520"),
        receivers=receivers,
        content_type="application/xml",
    )


def way(receiver: Address, *, sender: Party = SOGNDAL, reserved: bool = False, dialect: str = "plo-1.6"):
    return routes(REGISTER, envelope(receiver, dialect=dialect), sender, day=DAY, reserved=reserved)[0]


def test_the_most_specific_identifier_that_anybody_has_wins():
    assert REGISTER.resolve(her("8143551", "8143560"), DAY) == SOGNDAL
    assert REGISTER.resolve(her("999", "8143560"), DAY) == LEIKANGER
    assert REGISTER.resolve(her("999"), DAY) is None


def test_a_party_that_has_ended_hands_over_to_its_successor():
    assert REGISTER.resolve(her("8143560"), date(2019, 12, 31)) == LEIKANGER
    assert REGISTER.resolve(her("8143560"), date(2020, 1, 1)) == SOGNDAL
    circle = Register(parties=(replace(LEIKANGER, successor="leikanger"),))
    assert circle.resolve(her("8143560"), date(2020, 1, 1)) is None


def test_a_party_that_does_not_exist_yet_is_nobody():
    early = Register(parties=(replace(AARDAL, valid_from=date(2015, 1, 1)),))
    assert early.resolve(her("8143520"), DAY) is None


def test_only_in_evaluation_is_a_stranger_ours():
    stranger = Register(open=True).resolve(her("111", "222"), DAY)
    assert stranger is not None
    assert (stranger.id, stranger.side, stranger.receipt) == ("her-222", Side.OURS, ReceiptWhen.STORED)
    assert Register(open=True).resolve(Address(identifiers=()), DAY) is None


def test_a_hosted_party_is_reached_at_its_host_which_may_answer_for_it():
    assert REGISTER.endpoint_of(LMS) == end("sogndal")
    assert REGISTER.endpoint_of(BOARD) is None
    assert REGISTER.spoken_for(SOGNDAL) == ("sogndal", "leikanger", "sogn-lms")
    assert REGISTER.spoken_for(AARDAL) == ("aardal",)


def test_another_party_is_addressed_at_the_service_of_the_same_role():
    luster = party("luster", "8143540", services=(Service(role="nursing", identifiers=((HER, "8143541"),)),))
    register = replace(REGISTER, parties=(*REGISTER.parties, luster))
    assert register.address(luster, her("8143551")).identifiers == ((HER, "8143541"), (HER, "8143540"))
    assert register.address(luster, her("8143520")).identifiers == ((HER, "8143540"),)
    assert register.address(SOGNDAL, her("8143551")) == her("8143551")


def test_a_partner_signs_in_by_the_hash_of_its_token_or_of_its_certificate():
    token, certificate = (hashlib.sha256(b"open sesame").hexdigest(), hashlib.sha256(b"der").hexdigest())
    partner = Partner(
        name="foerde", parties=("sogndal",), token_sha256=token, certificate_sha256=certificate.upper()
    )
    register = Register(partners=(Partner(name="none", parties=()), partner))
    assert register.partner_by_token("open sesame") == partner
    assert register.partner_by_token("") is None
    assert register.partner_by_certificate(b"der") == partner
    assert register.partner_by_certificate(b"other") is None
    assert token not in repr(partner)


def test_between_two_of_theirs_is_a_relay_and_everything_else_is_not():
    assert way(her("8143520"), sender=LEIKANGER).relayed
    assert not way(her("8143520"), sender=SOGNDAL).relayed
    assert not way(her("8143550"), sender=LEIKANGER).relayed


def test_a_relay_that_would_need_rewriting_waits():
    with pytest.raises(Quarantined) as caught:
        way(her("8143520"), sender=LEIKANGER, dialect="plo-1.5")
    assert caught.value.code == "relay"


def test_storing_is_the_receipt_only_of_a_board_of_ours():
    assert way(her("8143570")).receipted_on_storing
    assert not way(her("8143520")).receipted_on_storing
    behind_us = replace(SOGNDAL, receipt=ReceiptWhen.DELIVERED)
    register = replace(REGISTER, parties=(behind_us, AARDAL))
    (route,) = routes(register, envelope(her("8143550")), AARDAL, day=DAY, reserved=False)
    assert not route.receipted_on_storing


def test_nobody_and_an_unknown_receiver_wait_for_the_region():
    for receivers, code in (((), "E21"), ((her("12345"),), "unknown-receiver")):
        with pytest.raises(Quarantined) as caught:
            routes(REGISTER, envelope(*receivers), SOGNDAL, day=DAY, reserved=False)
        assert caught.value.code == code


def test_a_reservation_forbids_the_host_but_not_the_addressed_one():
    assert way(her("8143550"), reserved=True).party == SOGNDAL
    with pytest.raises(Quarantined):
        way(her("8143590"), reserved=True)


def test_an_address_says_who_without_a_name():
    assert her("8143551", "8143550").token == f"{HER}|8143551"
    assert Address(identifiers=()).token == "unaddressed"


def test_content_and_tokens_stay_out_of_representations():
    assert "hemmelig" not in repr(replace(end("sogndal"), token="hemmelig"))
    leased = Leased(
        id=1, lane="1:sogndal", endpoint="sogndal", party="sogndal", dialect="fhir", message_id="m",
        content=b"hemmelig", content_type="x", attempts=0, created_at=datetime(2014, 3, 3, tzinfo=UTC),
        lease_until=datetime(2014, 3, 3, tzinfo=UTC),
        fence=1,
    )  # fmt: skip
    assert "hemmelig" not in repr(leased)


def test_a_stranger_in_evaluation_is_not_called_by_what_may_be_a_persons_number():
    known = Register(open=True)
    found = {}
    for value in ("21843012660", "218430 12660", "21843012346", "8143501"):
        party = known.resolve(Address(identifiers=((HER, value),)), DAY)
        found[value] = party.id
        assert party.identifiers == ((HER, value),)
        assert party.name == f"her {party.id.removeprefix('her-')}"
    assert found["8143501"] == "her-8143501"
    assert len(set(found.values())) == 4
    assert all(re.fullmatch(r"her-\*[0-9a-f]{3}", found[v]) for v in found if v != "8143501")
    by_system = known.resolve(Address(identifiers=(("urn:x:21843012660", "1"),)), DAY)
    assert "21843012660" not in by_system.id + by_system.name
