"""What a municipality that reads MedCom is sent: each message with the history that it was told."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from adapter.config import Region
from adapter.discharge.notices import NoticeKind, Standing
from adapter.fhir import wire
from adapter.fhir.bundles import CPR, Subject, extension, header, of_every_type, of_type
from adapter.mappings import Addressing, medcom
from adapter.messaging.acknowledgement import Status
from adapter.store import tables
from tests.conftest import OSLO, StandingClock
from tests.stage import Stage, address_of, altered, answering, region, stage

pytestmark = pytest.mark.postgres_in_soak

K, S = NoticeKind, Standing
INGER = Subject(identifiers=((CPR, "0302410000"),), family="Sandbjerg", given="Inger", gender="female")
BO = Subject(identifiers=((CPR, "0405520000"),), family="Sandbjerg", given="Bo", gender="male")


def danish(known: Region, *reads: str) -> Region:
    """Indre Sogn, where these endpoints read MedCom, and three parties have GLN and SOR-ID."""
    numbers = {"laerdal-sjukehus": "1", "sogndal": "2", "aardal": "3"}
    for party_id, digit in numbers.items():
        party = known.register_.party(party_id)
        assert party is not None
        more = (
            ("https://www.gs1.org/gln", f"579999000{digit}000"),
            ("urn:oid:1.2.208.176.1.1", f"99000{digit}000016000"),
        )
        known = altered(known, party_id, identifiers=(*party.identifiers, *more))
    endpoints = tuple(
        replace(one, dialect="medcom") if one.name in reads else one for one in known.register_.endpoints
    )
    return known.model_copy(update={"register_": replace(known.register_, endpoints=endpoints)})


@pytest.fixture
def play(store_url: str, clock: StandingClock) -> Iterator[Stage]:
    made = stage(store_url, clock, of=danish(region(), "sogndal", "aardal"))
    yield made
    made.close()


def tell(play: Stage, kind: NoticeKind, **more: object) -> str:
    """Receive it of the hospital, and send it on; the id that it had."""
    said = {"subject": INGER, "admitted": play.clock()} | more
    content = play.message(kind, **said)
    done = play.receive(content)
    assert done.outcome == "accepted", done.reason
    return str((header(wire.parse(content)) or {})["id"])


def sent(play: Stage, endpoint: str = "sogndal") -> list[bytes]:
    while play.deliver():  # one of a lane at a time
        pass
    return [message.content for name, message in play.post.sent if name == endpoint]


def told(content: bytes) -> list[tuple[str, str]]:
    """The history: which message did what."""
    made = wire.parse(content)
    return [
        (one["target"][0]["reference"].split("/")[1], one["activity"]["coding"][0]["code"])
        for one in of_every_type(made, "Provenance")
    ]


def id_of(content: bytes) -> str:
    return str((header(wire.parse(content)) or {})["id"])


def test_each_message_builds_on_the_last_one_to_the_same_receiver(play: Stage, clock: StandingClock) -> None:
    admitted = clock()
    tell(play, K.ADMITTED)
    clock.forward(hours=1)
    tell(play, K.LEAVE_STARTED, admitted=admitted)
    clock.forward(hours=1)
    tell(play, K.DISCHARGED, admitted=admitted)
    made = sent(play)
    assert [medcom.read(one, content_type=None, zone=OSLO).envelope.type for one in made] == [
        "STIN",
        "STOR",
        "SLHJ",
    ]
    ids = [id_of(one) for one in made]
    assert told(made[-1]) == list(
        zip(ids, ("admit-inpatient", "start-leave-inpatient", "discharge-inpatient-home"), strict=True)
    )


def test_each_receiver_has_a_history_of_its_own(play: Stage, clock: StandingClock) -> None:
    admitted = clock()
    tell(play, K.ADMITTED, receivers=("sogndal", "aardal"))
    clock.forward(hours=1)
    tell(play, K.LEAVE_STARTED, admitted=admitted)
    clock.forward(hours=1)
    tell(play, K.DISCHARGED, admitted=admitted, receivers=("sogndal", "aardal"))
    assert [len(told(one)) for one in sent(play)] == [1, 2, 3]
    assert [len(told(one)) for one in sent(play, "aardal")] == [1, 2]
    episodes = {
        of_type(wire.parse(one), "Encounter")["episodeOfCare"][0]["identifier"]["value"]  # type: ignore[index]
        for name in ("sogndal", "aardal")
        for one in sent(play, name)
    }
    assert len(episodes) == 1


def test_another_patients_messages_are_no_history(play: Stage) -> None:
    tell(play, K.ADMITTED)
    tell(play, K.ADMITTED, subject=BO)
    assert [len(told(one)) for one in sent(play)] == [1, 1]


def test_a_correction_is_tied_to_what_the_receiver_was_sent(play: Stage, clock: StandingClock) -> None:
    admitted = clock()
    first = tell(play, K.ADMITTED)
    sent(play)
    clock.forward(hours=1)
    earlier = admitted - timedelta(hours=2)
    tell(play, K.ADMITTED, standing=S.CORRECTION, refers_to=first, occurred=earlier, admitted=earlier)
    made = sent(play)
    assert [code for _, code in told(made[-1])] == ["admit-inpatient", "revise-admit-inpatient"]
    read = medcom.read(made[-1], content_type=None, zone=OSLO)
    assert read.envelope.refers_to == id_of(made[0])


def test_in_place_of_what_never_left_it_is_told_as_new(play: Stage, clock: StandingClock) -> None:
    admitted = clock()
    first = tell(play, K.ADMITTED)
    clock.forward(minutes=1)
    tell(play, K.ADMITTED, standing=S.CORRECTION, refers_to=first, occurred=admitted, admitted=admitted)
    [only] = sent(play)
    assert [code for _, code in told(only)] == ["admit-inpatient"]
    assert [row["state"] for row in play.rows(tables.delivery, party="sogndal")].count("cancelled") == 1


def test_what_the_receiver_refused_is_no_history(play: Stage, clock: StandingClock) -> None:
    play.post.answer = answering(clock, Status.REFUSED)
    admitted = clock()
    tell(play, K.ADMITTED)
    sent(play)
    play.post.answer = answering(clock)
    clock.forward(hours=1)
    tell(play, K.DISCHARGED, admitted=admitted)
    assert [code for _, code in told(sent(play)[-1])] == ["discharge-inpatient-home"]


def test_reissued_it_has_the_history_that_came_before_it(play: Stage, clock: StandingClock) -> None:
    admitted = clock()
    tell(play, K.ADMITTED)
    sent(play)
    clock.forward(hours=1)
    play.post.answer = answering(clock, Status.REFUSED)
    tell(play, K.DISCHARGED, admitted=admitted)
    sent(play)
    (row,) = play.rows(tables.delivery, kind="discharged")
    play.post.answer = answering(clock)
    play.write(lambda tx: play.built.inbox.reissue(tx, row["id"], clock(), to=None, by="astrid"))
    again = sent(play)[-1]
    assert [code for _, code in told(again)] == ["admit-inpatient", "discharge-inpatient-home"]
    assert id_of(again) != row["message_id"]


def test_what_came_by_logistics_message_is_addressed_by_the_region_file(play: Stage) -> None:
    content = play.plo(K.ADMITTED, subject=INGER)
    assert b"gs1" not in content
    assert play.receive(content).outcome == "accepted"
    [only] = sent(play)
    read = medcom.read(only, content_type=None, zone=OSLO)
    assert read.envelope.type == "STIN"
    assert ("https://www.gs1.org/gln", "5799990001000") in read.envelope.sender.identifiers
    assert ("urn:oid:1.2.208.176.1.1", "990002000016000") in read.envelope.receivers[0].identifiers


def test_what_came_by_notification_reaches_who_reads_logistics_messages(
    store_url: str, clock: StandingClock
) -> None:
    play = stage(store_url, clock, of=danish(region(), "sogndal"))
    register = play.built.register
    bundle = wire.parse(play.message(K.ADMITTED, subject=INGER, receivers=("aardal",)))
    addressing = Addressing(
        message_id="5b1f7a54-9a3c-4b52-8c39-0c3f4f6d2a10",
        transmission_id="5b1f7a54-9a3c-4b52-8c39-0c3f4f6d2a11",
        sender=address_of(register, "laerdal-sjukehus"),
        receiver=address_of(register, "aardal"),
    )
    content = medcom.write(bundle, dialect="medcom", addressing=addressing).content
    assert b"8143500" not in content  # a HER-id, which MedCom has no place for
    done = play.receive(content)
    assert (done.outcome, done.dialect) == ("accepted", "medcom"), done.reason
    [only] = sent(play, "aardal")
    assert b"LOG_INNLAGT" in only and b"8143500" in only
    play.close()


def test_what_cannot_be_told_is_held_and_says_what_to_do(play: Stage, clock: StandingClock) -> None:
    done = play.receive(play.message(K.CARE_NEEDS, subject=INGER))
    assert done.outcome == "quarantined"
    assert "MedCom has no message for care-needs" in str(done.reason)
    assert "telephone" in str(done.reason)


def test_without_cpr_nothing_leaves(play: Stage) -> None:
    done = play.receive(play.message(K.ADMITTED))  # Synnøve has a fødselsnummer
    assert done.outcome == "quarantined" and "CPR" in str(done.reason)
    assert not play.rows(tables.delivery)


def test_the_receivers_acknowledgement_is_read(play: Stage, clock: StandingClock) -> None:
    play.post.answer = answering(clock)
    tell(play, K.ADMITTED)
    sent(play)
    (row,) = play.rows(tables.delivery, party="sogndal")
    assert row["state"] == "acknowledged"


def test_no_word_of_ours_reaches_the_receiver(play: Stage) -> None:
    tell(play, K.ADMITTED, text="Kan selv gå med rollator")
    [only] = sent(play)
    assert b"rollator" not in only
    assert extension(header(wire.parse(only)) or {}, "occurred") is None
