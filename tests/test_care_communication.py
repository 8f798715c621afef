"""What hospital and municipality write to each other by CareCommunication, in the case that it is about."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from adapter.config import Region, load_region
from adapter.discharge.case import Case
from adapter.discharge.notices import AnswerValue, NoticeKind
from adapter.fhir.bundles import CPR, Subject
from adapter.mappings import medcom
from adapter.mappings.medcom import enveloping
from adapter.mappings.medcom.findings import values
from adapter.mappings.medcom.profiles import broken
from adapter.messaging.acknowledgement import Status
from adapter.store import tables
from adapter.transport.directory import Directory, DirectoryMailbox
from tests.conftest import StandingClock
from tests.stage import Stage, answering, stage
from tests.transport.conftest import Notebook

pytestmark = pytest.mark.postgres_in_soak

K, A = NoticeKind, AnswerValue
OURS = Path(__file__).parents[1] / "fixtures" / "medcom"
ADMITTED = OURS / "home-for-the-weekend" / "01-leave-started.json"
READY, ANSWERED, IN_WORDS = (
    OURS / "ready-and-answered" / f"{name}.json"
    for name in ("01-ready", "02-answered", "03-answered-in-words")
)
THREAD = [OURS / "medicine-asked-about" / f"{n}.json" for n in ("01-asked", "02-answered", "03-thanked")]
ASTRID = Subject(identifiers=((CPR, "1011400000"),), family="Holm", given="Astrid Prøve")
READY_ID = "5d0c7f10-0035-4e11-8c33-000000000035"

FJORDBY = """
name = "Fjordby"
agreement = "denmark"

[[party]]
id = "fjordby-sygehus"
name = "Fjordby Sygehus"
kind = "hospital"
side = "{hospital}"
identifiers = ["GLN|5799990000118", "SOR|990101000016001"]
endpoint = "hospital"
telephone = "79990011"

[[party]]
id = "fjordby"
name = "Fjordby Kommune"
kind = "municipality"
side = "{municipality}"
identifiers = ["GLN|5799990000125", "SOR|990102000016002"]
endpoint = "municipality"
telephone = "79990012"

[[endpoint]]
name = "hospital"
transport = "fhir"
address = "http://127.0.0.1:18461/medcom"
dialect = "{dialect}"

[[endpoint]]
name = "municipality"
transport = "directory"
address = "run/fjordby"
dialect = "medcom"
"""


def fjordby(folder: Path, *, ours: str = "fjordby", dialect: str = "medcom") -> Region:
    """The region, of which one party has us for its gateway, and its pages for its system."""
    sides = {"hospital": "theirs", "municipality": "theirs"}
    sides["municipality" if ours == "fjordby" else "hospital"] = "ours"
    text = FJORDBY.format(dialect=dialect, **sides)
    gone = 'endpoint = "municipality"' if ours == "fjordby" else 'endpoint = "hospital"'
    path = folder / "fjordby.toml"
    path.write_text(text.replace(gone, 'receipt = "stored"'), encoding="utf-8")
    return load_region(path)


@pytest.fixture
def play(store_url: str, clock: StandingClock, tmp_path: Path) -> Iterator[Stage]:
    """A municipality that is ours, on the day on which Astrid becomes ready."""
    clock.at = datetime(2026, 3, 5, 14, 0, tzinfo=UTC)
    made = stage(store_url, clock, of=fjordby(tmp_path))
    made.post.answer = answering(clock)
    yield made
    made.close()


def case(play: Stage) -> Case:
    (row,) = play.rows(tables.case)
    return play.write(lambda tx: dict(play.built.cases.folded(tx, row["patient"]))[row["id"]])


def receive(play: Stage, path: Path) -> Any:
    return play.receive(path.read_bytes(), content_type="application/fhir+json")


def carried(play: Stage) -> None:
    """What is due leaves, and the receiver's own acknowledgement comes back for it."""
    play.deliver()
    assert {row["state"] for row in play.rows(tables.delivery)} == {"acknowledged"}


def acknowledged(done: Any) -> str:
    """What the acknowledgement says of a message: ok, fatal-error."""
    assert done.acknowledgement is not None
    made = json.loads(done.acknowledgement)
    assert [each for each in broken(made) if each.severity == "error"] == []
    return str(made["entry"][0]["resource"]["response"]["code"])


def answer(play: Stage, **more: Any) -> Any:
    """The municipality says on its board when it can receive her."""
    told: dict[str, Any] = {
        "sender": "fjordby", "receivers": ("fjordby-sygehus",), "subject": ASTRID, "refers_to": READY_ID,
        "hospital": "fjordby-sygehus", "answer": A.CAN_RECEIVE, "receive_from": date(2026, 3, 7),
        "text": "Vi henter.",
    }  # fmt: skip
    return play.receive(play.message(K.ANSWER, **(told | more)))


# --- to a municipality of ours ------------------------------------------------------------------------------


def test_readiness_is_told_acknowledged_and_answered_in_its_thread(play: Stage) -> None:
    done = receive(play, READY)
    assert (done.outcome, acknowledged(done)) == ("accepted", "ok")
    (ready,) = case(play).of(K.READY_FOR_DISCHARGE)
    assert ready.notice.ready == date(2026, 3, 6)
    assert answer(play).outcome == "accepted"
    carried(play)
    (_, sent) = play.post.sent[-1]
    made = json.loads(sent.content)
    assert broken(made) == ()
    (talk,) = (e["resource"] for e in made["entry"] if e["resource"]["resourceType"] == "Communication")
    assert talk["identifier"] == [{"value": "urn:uuid:5d0c7f10-0003-4e11-8c33-000000000003"}]
    assert values(talk, "payload.contentString")[-1] == (
        "Svar på melding om færdigbehandlet patient: Kommunen kan modtage patienten fra 07.03.2026.\n"
        "Vi henter."
    )
    outside = medcom.envelope(sent.content, content_type=None, zone=UTC)
    assert outside.refers_to == outside.conversation == READY_ID
    (told,) = case(play).of(K.ANSWER)
    assert (told.notice.answer, told.notice.receive_from) == (A.CAN_RECEIVE, date(2026, 3, 7))


def test_a_hospital_on_the_vans_network_is_answered_there(
    store_url: str, clock: StandingClock, tmp_path: Path
) -> None:
    clock.at = datetime(2026, 3, 5, 14, 0, tzinfo=UTC)
    made = stage(store_url, clock, of=fjordby(tmp_path, dialect="medcom-vans"))
    made.post.answer = answering(clock)
    done = made.receive(enveloping.close(READY.read_bytes()), content_type="application/xml")
    assert done.outcome == "accepted"
    assert done.acknowledgement_type == "application/xml"
    receipt = medcom.read(done.acknowledgement or b"", content_type=None, zone=UTC)
    assert receipt.envelope.dialect == "medcom-vans"
    assert receipt.acknowledgement is not None
    assert receipt.acknowledgement.status is Status.ACCEPTED
    assert answer(made).outcome == "accepted"
    carried(made)
    (_, sent) = made.post.sent[-1]
    assert sent.content_type == "application/xml"
    assert medcom.envelope(sent.content, content_type=None, zone=UTC).conversation == READY_ID
    made.close()


def test_a_thread_is_tied_together_whichever_message_comes_first(play: Stage) -> None:
    """The hospital's answer comes before the question of ours was known here, as after a restore."""
    asked, answered, _ = THREAD
    later = receive(play, answered)
    assert (later.outcome, acknowledged(later)) == ("accepted", "ok")
    (reply,) = case(play).of(K.REPLY)
    assert reply.notice.refers_to == reply.notice.conversation
    content = play.message(
        K.NOTE, sender="fjordby", receivers=("fjordby-sygehus",), subject=ASTRID, hospital="fjordby-sygehus",
        message_id=reply.notice.refers_to, text="Hvilken medicin?",
    )  # fmt: skip
    assert play.receive(content).outcome == "accepted"
    told = {e.notice.message_id: e.notice for e in case(play).of(K.NOTE, K.REPLY)}
    assert told[reply.notice.message_id].refers_to in told
    assert asked.exists()


def test_a_message_that_comes_twice_is_told_once(play: Stage) -> None:
    first, second = receive(play, READY), receive(play, READY)
    assert (first.outcome, second.outcome) == ("accepted", "duplicate")
    assert len(case(play).of(K.READY_FOR_DISCHARGE)) == 1


def test_a_message_without_its_category_is_refused_by_name_and_shown_nowhere(play: Stage) -> None:
    found = json.loads(READY.read_bytes())
    talk = next(e["resource"] for e in found["entry"] if e["resource"]["resourceType"] == "Communication")
    del talk["category"]
    done = play.receive(json.dumps(found).encode())
    assert (done.outcome, acknowledged(done)) == ("refused", "fatal-error")
    assert "medcom-careCommunication-communication" in (done.reason or "")
    assert play.rows(tables.case) == []


# --- to a hospital of ours ----------------------------------------------------------------------------------


@pytest.fixture
def ward(store_url: str, clock: StandingClock, tmp_path: Path) -> Iterator[Stage]:
    """A hospital that is ours, and has told the municipality that Astrid is ready."""
    clock.at = datetime(2026, 3, 5, 12, 10, tzinfo=UTC)
    made = stage(store_url, clock, of=fjordby(tmp_path, ours="fjordby-sygehus"))
    made.post.answer = answering(clock)
    done = made.receive(
        made.message(
            K.READY_FOR_DISCHARGE, sender="fjordby-sygehus", receivers=("fjordby",), subject=ASTRID,
            hospital="fjordby-sygehus", ready=date(2026, 3, 6), message_id=READY_ID,
        )
    )  # fmt: skip
    assert done.outcome == "accepted"
    carried(made)
    clock.at = datetime(2026, 3, 5, 15, 0, tzinfo=UTC)
    yield made
    made.close()


def sent_ready(ward: Stage) -> dict[str, Any]:
    (_, sent) = ward.post.sent[0]
    found: dict[str, Any] = json.loads(sent.content)
    return found


def replied(ward: Stage, path: Path) -> bytes:
    """What the municipality writes back, to the message as it has had it."""
    told = sent_ready(ward)["entry"][0]["resource"]["id"]
    return path.read_bytes().replace(READY_ID.encode(), told.encode())


def test_readiness_reaches_a_danish_municipality_in_a_fixed_sentence(ward: Stage) -> None:
    made = sent_ready(ward)
    assert broken(made) == ()
    (talk,) = (e["resource"] for e in made["entry"] if e["resource"]["resourceType"] == "Communication")
    said = "Melding om færdigbehandlet patient: Patienten er færdigbehandlet fra 06.03.2026."
    assert values(talk, "payload.contentString") == [said]
    assert values(talk, "category.coding.code") == ["discharge"]


def test_a_municipalitys_sentence_is_the_answer_to_it(ward: Stage) -> None:
    done = ward.receive(replied(ward, ANSWERED))
    assert (done.outcome, acknowledged(done)) == ("accepted", "ok")
    (told,) = case(ward).of(K.ANSWER)
    assert (told.notice.answer, told.notice.receive_from) == (A.CAN_RECEIVE, date(2026, 3, 7))


def test_free_words_are_its_answer_which_a_person_has_yet_to_classify(ward: Stage) -> None:
    assert ward.receive(replied(ward, IN_WORDS)).outcome == "accepted"
    (told,) = case(ward).of(K.ANSWER)
    assert told.notice.answer is A.UNCLASSIFIED
    assert told.notice.text == "Vi skal lige se, om der er en plads. Jeg ringer i morgen."
    assert told.notice.refers_to == READY_ID


def test_parallel_replies_stand_in_the_thread_beside_each_other(ward: Stage) -> None:
    for path in (IN_WORDS, ANSWERED):
        assert ward.receive(replied(ward, path)).outcome == "accepted"
    told = case(ward).of(K.ANSWER)
    assert {e.notice.answer for e in told} == {A.UNCLASSIFIED, A.CAN_RECEIVE}
    assert {e.notice.refers_to for e in told} == {READY_ID}


def test_the_answer_is_the_same_whichever_comes_first(
    store_url: str, clock: StandingClock, tmp_path: Path
) -> None:
    """The municipality's words come before the notice that they answer."""
    clock.at = datetime(2026, 3, 5, 15, 0, tzinfo=UTC)
    made = stage(store_url, clock, of=fjordby(tmp_path, ours="fjordby-sygehus"))
    made.post.answer = answering(clock)
    assert receive(made, IN_WORDS).outcome == "accepted"
    assert case(made).of(K.ANSWER) == ()
    done = made.receive(
        made.message(
            K.READY_FOR_DISCHARGE, sender="fjordby-sygehus", receivers=("fjordby",), subject=ASTRID,
            hospital="fjordby-sygehus", ready=date(2026, 3, 6), message_id=READY_ID,
            at=datetime(2026, 3, 5, 12, 10, tzinfo=UTC),
        )
    )  # fmt: skip
    assert done.outcome == "accepted"
    (told,) = case(made).of(K.ANSWER)
    assert told.notice.answer is A.UNCLASSIFIED
    made.close()


def test_a_note_of_ours_begins_a_thread_that_the_answer_belongs_to(ward: Stage) -> None:
    message_id = str(uuid.uuid4())
    content = ward.message(
        K.NOTE, sender="fjordby-sygehus", receivers=("fjordby",), subject=ASTRID, hospital="fjordby-sygehus",
        message_id=message_id, text="Husk rollatoren.",
    )  # fmt: skip
    assert ward.receive(content).outcome == "accepted"
    carried(ward)
    made = json.loads(ward.post.sent[-1][1].content)
    assert made["entry"][0]["resource"]["eventCoding"]["code"] == "care-communication-message"
    assert broken(made) == ()


# --- over a shared folder -----------------------------------------------------------------------------------


def test_envelopes_come_and_go_as_files_of_a_shared_folder(
    store_url: str, clock: StandingClock, tmp_path: Path
) -> None:
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    (tmp_path / "in" / "ready.xml").write_bytes(enveloping.close(READY.read_bytes()))
    clock.at = datetime(2026, 3, 5, 14, 0, tzinfo=UTC)
    made = stage(store_url, clock, of=fjordby(tmp_path, dialect="medcom-vans"))
    (mail,) = DirectoryMailbox("hospital", tmp_path).poll(Notebook())
    assert made.receive(mail.content, content_type=mail.content_type).outcome == "accepted"
    assert answer(made).outcome == "accepted"
    made.deliver()
    (_, sent) = made.post.sent[-1]
    Directory().send(sent, replace(made.built.register.endpoints[0], address=str(tmp_path)))
    (written,) = (tmp_path / "out").iterdir()
    assert written.suffix == ".xml"
    assert medcom.envelope(written.read_bytes(), content_type=None, zone=UTC).conversation == READY_ID
    made.close()
