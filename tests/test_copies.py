"""What each receiver is sent: what its kind of notice may carry; the history says what was left out."""

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from adapter.discharge.notices import NoticeKind
from adapter.fhir.bundles import of_type
from adapter.fhir.wire import to_json
from adapter.messaging.register import Side
from adapter.store import tables
from tests.conftest import StandingClock
from tests.fhir.test_allowing import DIAGNOSIS, add, patient_of
from tests.stage import SYNNOVE, Stage, altered, region, stage

pytestmark = pytest.mark.postgres_in_soak

K = NoticeKind


@pytest.fixture
def play(store_url: str, clock: StandingClock) -> Iterator[Stage]:
    """Lærdal sjukehus is ours; Sogndal reads FHIR, Årdal has its own system and reads PLO."""
    made = stage(store_url, clock)
    yield made
    made.close()


def with_condition(play: Stage, kind: NoticeKind, **more: object) -> bytes:
    bundle = json.loads(play.message(kind, **more))
    about = patient_of(bundle)
    condition = add(bundle, {"resourceType": "Condition", "subject": about, "code": {"text": DIAGNOSIS}})
    of_type(bundle, "Encounter")["diagnosis"] = [{"condition": condition}]
    return to_json(bundle)


def protected(play: Stage, kind: NoticeKind, **more: object) -> bytes:
    bundle = json.loads(play.message(kind, **more))
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
    of_type(bundle, "Patient").update(
        meta={"security": [label]}, address=[{"line": ["Løyndvegen 1"], "city": "Årdal"}]
    )
    return to_json(bundle)


def sent(play: Stage, endpoint: str) -> bytes:
    (found,) = [message.content for name, message in play.post.sent if name == endpoint]
    return found


def history(play: Stage) -> list[str]:
    return [row["what"] for row in play.rows(tables.history) if "without" in row["what"]]


@pytest.mark.parametrize("kind", [K.ADMITTED, K.READY_FOR_DISCHARGE, K.READINESS_WITHDRAWN, K.DISCHARGED])
def test_a_diagnosis_reaches_no_municipality_with_a_notice_about_the_stay(play: Stage, kind: NoticeKind):
    done = play.receive(with_condition(play, kind, receivers=("sogndal", "aardal")))
    assert done.outcome == "accepted"
    assert play.deliver() == ["sent", "sent"]
    for endpoint in ("sogndal", "aardal"):
        assert DIAGNOSIS.encode() not in sent(play, endpoint)
        assert b"Condition" not in sent(play, endpoint)
    assert b"LOG_" in sent(play, "aardal")
    assert history(play) == [
        f"sent to {party} without Encounter.diagnosis, Condition: not allowed in {kind} to a municipality"
        for party in ("sogndal", "aardal")
    ]


def test_what_would_go_as_it_came_is_written_anew_where_it_holds_too_much(play: Stage):
    content = with_condition(play, K.READY_FOR_DISCHARGE)
    play.receive(content)
    play.deliver()
    assert DIAGNOSIS.encode() not in sent(play, "sogndal")
    head = json.loads(content)["entry"][0]["resource"]
    new = json.loads(sent(play, "sogndal"))["entry"][0]["resource"]
    assert new["id"] != head["id"]  # other content under the same id would be another message
    (row,) = play.rows(tables.message)
    with play.built.store.read() as tx:
        from adapter.store import messages

        assert messages.content(tx, row["payload"]) == content  # kept as it came
    (case,) = {r["case_id"] for r in play.rows(tables.history) if "without" in r["what"]}
    assert case == row["case_id"]


def test_what_holds_nothing_else_goes_byte_for_byte(play: Stage):
    content = play.message(K.READY_FOR_DISCHARGE)
    play.receive(content)
    play.deliver()
    assert sent(play, "sogndal") == content
    assert history(play) == []


def test_a_report_goes_with_its_diagnoses(play: Stage):
    content = with_condition(play, K.DISCHARGE_REPORT)
    play.receive(content)
    play.deliver()
    assert sent(play, "sogndal") == content


def test_a_later_message_refers_to_the_id_that_its_receiver_knows(play: Stage, clock: StandingClock):
    content = with_condition(play, K.READY_FOR_DISCHARGE)
    play.receive(content)
    play.deliver()
    first = json.loads(sent(play, "sogndal"))["entry"][0]["resource"]["id"]
    play.post.sent.clear()
    clock.forward(hours=1)
    original = json.loads(content)["entry"][0]["resource"]["id"]
    play.receive(play.message(K.READINESS_WITHDRAWN, refers_to=original))
    play.deliver()
    assert first.encode() in sent(play, "sogndal")


@pytest.mark.parametrize("kind", [K.ADMITTED, K.DISCHARGE_REPORT])
def test_no_address_of_a_protected_person_leaves_in_our_party_s_name(play: Stage, kind: NoticeKind):
    play.receive(protected(play, kind))
    play.deliver()
    assert "Løyndvegen".encode() not in sent(play, "sogndal")
    assert "Patient.address (protected identity)" in history(play)[0]


@pytest.mark.parametrize("receiver", ["sogndal", "aardal"])
def test_nor_where_a_later_message_does_not_say_that_the_person_is_protected(play: Stage, receiver: str):
    """Who is known to be protected is, whatever the next sender knows (process.md 29)."""
    play.receive(protected(play, K.ADMITTED, receivers=(receiver,)))
    play.deliver()
    play.post.sent.clear()
    later = replace(SYNNOVE, address=("Løyndvegen 1", "6885", "Årdal"))
    content = play.message(K.READY_FOR_DISCHARGE, subject=later, ready=play.clock(), receivers=(receiver,))
    assert "Løyndvegen".encode() in content
    assert play.receive(content).outcome == "accepted"
    play.deliver()
    assert "Løyndvegen".encode() not in sent(play, receiver)


def test_no_address_of_a_protected_person_is_in_plo(play: Stage):
    play.receive(protected(play, K.ADMITTED, receivers=("aardal",)))
    play.deliver()
    assert b"LOG_INNLAGT" in sent(play, "aardal")
    assert "Løyndvegen".encode() not in sent(play, "aardal")


def test_between_two_of_theirs_nothing_is_altered(store_url: str, clock: StandingClock):
    known = altered(altered(region(), "laerdal-sjukehus", side=Side.THEIRS), "sogndal", side=Side.THEIRS)
    play = stage(store_url, clock, of=known)
    content = with_condition(play, K.READY_FOR_DISCHARGE)
    play.receive(content)
    play.deliver()
    assert sent(play, "sogndal") == content
    assert history(play) == []
    play.close()


def test_what_theirs_has_sent_to_ours_reaches_its_own_system_as_it_came(store_url: str, clock: StandingClock):
    """Sogndal was addressed by the hospital itself; what has been disclosed is not made undone by us."""
    play = stage(store_url, clock, of=altered(region(), "laerdal-sjukehus", side=Side.THEIRS))
    content = with_condition(play, K.READY_FOR_DISCHARGE)
    play.receive(content)
    play.deliver()
    assert sent(play, "sogndal") == content
    play.close()


def test_a_copy_that_waits_for_an_endpoint_is_written_without_it(store_url: str, clock: StandingClock):
    """Without a region everybody is ours, and nothing is sent before somebody configures where."""
    writer = stage(store_url, clock)
    content = with_condition(writer, K.READY_FOR_DISCHARGE)
    writer.close()
    play = stage(store_url, clock, evaluation=True)
    play.receive(content)
    with play.built.store.read() as tx:
        from adapter.store import messages

        (waiting,) = [messages.content(tx, row["payload"]) for row in play.rows(tables.delivery)]
    assert DIAGNOSIS.encode() not in waiting
    play.close()


def test_what_is_written_anew_by_hand_is_written_without_it_too(play: Stage, clock: StandingClock):
    play.receive(with_condition(play, K.READY_FOR_DISCHARGE))
    number = play.delivery()["id"]
    play.write(lambda tx: play.built.inbox.reissue(tx, number, clock(), to=None, by="Marta"))
    play.deliver()
    assert DIAGNOSIS.encode() not in sent(play, "sogndal")
    assert len(history(play)) == 2
