import asyncio
import hashlib
import json
import socket
import time
from dataclasses import replace
from datetime import timedelta

import orjson
import pytest

from adapter.discharge.notices import Notice, NoticeKind
from adapter.fhir.bundles import FNR, RECEIPT_EVENT, Subject, header
from adapter.fhir.notices import message_bundle
from adapter.mappings import Addressing, kith, own_fhir
from adapter.messaging.acknowledgement import Status
from adapter.simulator.faults import FaultKind, Faults
from adapter.simulator.http import Client
from adapter.simulator.receipts import receipt
from adapter.simulator.receivers import FhirReceiver, PloReceiver
from adapter.simulator.stories import HOME
from adapter.simulator.threads import serving

from .cast import HOSPITAL, LUSTER, NOW

SYNNOEVE = Subject(identifiers=((FNR, "01815000331"),), family="Fjellheim", given="Synnøve", gender="female")


def bundle(number=1, kind=NoticeKind.READY_FOR_DISCHARGE):
    notice = Notice(
        kind=kind,
        message_id=f"00000000-0000-4000-8000-{number:012}",
        sent_at=NOW,
        occurred=NOW,
        sender=HOSPITAL.token,
        receivers=(LUSTER.token,),
        hospital=HOSPITAL.token,
        admitted=NOW - timedelta(days=2),
        ready=NOW,
    )
    return message_bundle(
        notice,
        subject=SYNNOEVE,
        sender=HOSPITAL,
        receivers=(LUSTER,),
        hospital=HOSPITAL,
        transmission_id=f"00000000-0000-4000-8000-1{number:011}",
        discharged_to=HOME,
    )


def message(number=1):
    return orjson.dumps(bundle(number))


def post(url, *contents):
    """The answers, or the errors, of messages posted on one connection."""

    async def send():
        client = Client(url, timeout=5)
        found = []
        for content in contents:
            try:
                found.append(await client.post(content))
            except OSError as error:
                found.append(error)
        client.close()
        return found

    return asyncio.run(send())


def said(answer):
    """What the receipt in an answer says, as the adapter's own reader understands it."""
    reading = own_fhir.read(answer.body, content_type=answer.headers["content-type"], zone=NOW.tzinfo)
    assert reading.problem is None
    return reading.acknowledgement


def receiver(clock, faults="", **options):
    return FhirReceiver("luster", clock=clock, faults=Faults.parse(faults), **options)


# --- FHIR -------------------------------------------------------------------------------------------------


def test_a_message_is_answered_with_the_receipt_of_the_receiver_that_it_addressed(clock):
    one = receiver(clock)
    with serving(one):
        (answer,) = post(one.url, message())
    assert answer.status == 200
    acknowledgement = said(answer)
    assert acknowledgement.status is Status.ACCEPTED
    assert acknowledgement.original_id == header(bundle())["id"]
    assert acknowledgement.giver == LUSTER


def test_a_repeat_is_answered_with_the_same_bytes_and_has_no_second_effect(clock):
    told = []
    one = receiver(clock, on_taken=lambda taken, _: told.append(taken.message_id))
    with serving(one):
        first, second, other, third = post(one.url, message(), message(), message(2), message())
    assert first.body == second.body == third.body != other.body
    assert len(one.memory.effects) == len(told) == 2
    assert len(one.memory.arrivals) == 4
    assert one.memory.repeats == 2


def test_every_request_is_in_the_log_before_it_is_answered(clock, tmp_path):
    one = receiver(clock, log=tmp_path / "luster.jsonl")
    with serving(one):
        post(one.url, message(), message())
        lines = [json.loads(line) for line in (tmp_path / "luster.jsonl").read_text().splitlines()]
    assert [line["sha256"] for line in lines] == [hashlib.sha256(message()).hexdigest()] * 2
    assert {line["message_id"] for line in lines} == {header(bundle())["id"]}
    assert {line["bundle_id"] for line in lines} == {bundle()["id"]}
    assert all(line["taken"] and line["fault"] is None and line["at"] for line in lines)
    assert "01815000331" not in (tmp_path / "luster.jsonl").read_text()


def test_a_slow_receiver_keeps_one_waiting(clock):
    one = receiver(clock, "slow=luster:200ms")
    with serving(one):
        began = time.monotonic()
        (answer,) = post(one.url, message())
        assert time.monotonic() - began >= 0.2
    assert said(answer).status is Status.ACCEPTED


def test_a_receiver_that_is_down_says_when_to_come_back_and_then_takes_the_message(clock):
    one = receiver(clock, "down=luster:300ms")
    with serving(one):
        (refused,) = post(one.url, message())
        time.sleep(0.35)
        (taken,) = post(one.url, message())
    assert (refused.status, refused.headers["retry-after"], refused.body) == (503, "1", b"")
    assert taken.status == 200
    assert [a.taken for a in one.memory.arrivals] == [False, True]
    assert one.memory.arrivals[0].fault is FaultKind.DOWN
    assert one.memory.repeats == 0


def test_a_reset_comes_after_the_message_was_taken(clock):
    one = receiver(clock, "reset=luster:1")
    with serving(one):
        (broken,) = post(one.url, message())
    assert isinstance(broken, ConnectionResetError)
    assert one.memory.arrivals[0].fault is FaultKind.RESET
    assert list(one.memory.effects) == [header(bundle())["id"]]


def test_a_reset_is_a_reset_on_the_wire(clock):
    one = receiver(clock, "reset=luster:1")
    with serving(one), socket.create_connection(("127.0.0.1", one.port)) as peer:
        head = f"POST /fhir/$process-message HTTP/1.1\r\nContent-Length: {len(message())}\r\n\r\n"
        peer.sendall(head.encode() + message())
        with pytest.raises(ConnectionResetError):
            peer.recv(100)


def test_a_reset_does_not_change_what_the_repeat_is_told(clock):
    one = receiver(clock, "reset=luster:0.5", seed=1)
    with serving(one):
        answers = post(one.url, *[message()] * 20)
    bodies = {a.body for a in answers if not isinstance(a, OSError)}
    assert len(bodies) == 1
    assert 0 < sum(isinstance(a, ConnectionResetError) for a in answers) < 20
    assert len(one.memory.effects) == 1


def test_a_receipt_that_never_comes_leaves_an_empty_202_however_often_one_asks(clock):
    one = receiver(clock, "no-receipt=luster:1")
    with serving(one):
        answers = post(one.url, message(), message())
    assert [(a.status, a.body) for a in answers] == [(202, b"")] * 2
    assert len(one.memory.effects) == 1


def test_a_rejected_message_stays_rejected_and_has_no_effect(clock):
    one = receiver(clock, "reject=luster:1")
    with serving(one):
        first, second = post(one.url, message(), message())
    assert said(first).status is Status.REFUSED
    assert said(first).issues
    assert first.body == second.body
    assert one.memory.effects == {}


def test_a_message_that_is_put_off_is_taken_the_next_time(clock):
    one = receiver(clock, "not-now=luster:1")
    with serving(one):
        first, second = post(one.url, message(), message())
    assert [said(first).status, said(second).status] == [Status.NOT_NOW, Status.ACCEPTED]
    assert [a.taken for a in one.memory.arrivals] == [False, True]
    assert one.memory.repeats == 0


def test_a_receipt_is_taken_in_and_never_answered(clock):
    heard = []
    one = receiver(clock, "reject=luster:1,no-receipt=luster:1", on_taken=lambda t, _: heard.append(t))
    with serving(one):
        (answer,) = post(one.url, receipt("vik", bundle(), Status.REFUSED, NOW))
    assert (answer.status, answer.body) == (200, b"")
    assert (heard[0].event, heard[0].verdict) == (RECEIPT_EVENT, Status.REFUSED)
    assert heard[0].answers == header(bundle())["id"]
    assert one.memory.effects == {}


def test_what_is_no_message_is_answered_with_an_outcome(clock):
    one = receiver(clock)
    with serving(one):
        answers = post(one.url, b"<xml/>", b"{}", b'{"entry": [{"resource": {}}]}', message())
        (elsewhere,) = post(one.url.replace("$process-message", "Patient"), message())
    assert [a.status for a in answers] == [400, 400, 400, 200]
    assert orjson.loads(answers[0].body)["resourceType"] == "OperationOutcome"
    assert elsewhere.status == 404


def test_a_request_may_come_in_pieces_and_two_may_come_at_once(clock):
    one = receiver(clock)
    with serving(one):
        head = f"POST /fhir/%24process-message HTTP/1.1\r\ncontent-LENGTH: {len(message())}\r\n\r\n".encode()
        whole = (head + message()) * 2
        with socket.create_connection(("127.0.0.1", one.port)) as peer:
            for cut in (whole[:10], whole[10:700], whole[700:]):
                peer.sendall(cut)
                time.sleep(0.01)
            answer = b""
            while answer.count(b"HTTP/1.1 200 OK") < 2 or not answer.endswith(b"}"):
                answer += peer.recv(65536)
    assert len(one.memory.arrivals) == 2


def test_a_receiver_can_be_stopped_and_started_again_on_its_port(clock):
    one = receiver(clock)
    with serving(one):
        (first,) = post(one.url, message())
    (nobody,) = post(one.url, message())
    with serving(one):
        (again,) = post(one.url, message())
    assert isinstance(nobody, ConnectionRefusedError)
    assert first.body == again.body


def test_a_stopped_receiver_answers_on_no_connection_that_was_open(clock):
    one = receiver(clock)

    async def stop_between():
        await one.start()
        client = Client(one.url)
        first = await client.post(message())
        await one.stop()
        with pytest.raises(OSError):
            await client.post(message(2))
        return first

    assert asyncio.run(stop_between()).status == 200
    assert len(one.memory.arrivals) == 1


# --- the folder -------------------------------------------------------------------------------------------


def plo(number=1, dialect="plo-1.6"):
    addressing = Addressing(
        message_id=header(bundle(number))["id"],
        transmission_id=f"00000000-0000-4000-8000-2{number:011}",
        sender=HOSPITAL,
        receiver=LUSTER,
    )
    return kith.write(bundle(number), dialect=dialect, addressing=addressing).content


def folder_receiver(clock, tmp_path, faults="", **options):
    return PloReceiver(
        "luster", tmp_path, kith, clock=clock, faults=Faults.parse(faults), every=0.01, **options
    )


def put(folder, name, content):
    (folder / "out" / f"{name}.part").write_bytes(content)
    (folder / "out" / f"{name}.part").rename(folder / "out" / name)


def wait_for(condition, seconds=3.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def receipts(folder):
    return [kith.read(p.read_bytes(), content_type=None, zone=NOW.tzinfo) for p in folder.glob("in/*.xml")]


@pytest.mark.parametrize("dialect", ["plo-1.5", "plo-1.6"])
def test_a_file_is_read_answered_with_an_apprec_and_kept(clock, tmp_path, dialect):
    one = folder_receiver(clock, tmp_path)
    with serving(one):
        put(tmp_path, "a.xml", plo(dialect=dialect))
        wait_for(lambda: receipts(tmp_path))
    (found,) = receipts(tmp_path)
    assert found.acknowledgement.status is Status.ACCEPTED
    assert found.acknowledgement.original_id == header(bundle())["id"]
    assert (tmp_path / "read" / "a.xml").read_bytes() == plo(dialect=dialect)
    assert list((tmp_path / "out").iterdir()) == []
    (taken,) = one.memory.effects.values()
    assert (taken.event, taken.patient) == ("ready-for-discharge", "01815000331")


def test_a_repeat_gets_no_second_apprec(clock, tmp_path):
    one = folder_receiver(clock, tmp_path)
    with serving(one):
        put(tmp_path, "a.xml", plo())
        wait_for(lambda: receipts(tmp_path))
        (tmp_path / "in").joinpath(next((tmp_path / "in").iterdir()).name).unlink()
        put(tmp_path, "b.xml", plo())
        put(tmp_path, "c.xml", plo(2))
        wait_for(lambda: receipts(tmp_path))
    (found,) = receipts(tmp_path)
    assert found.acknowledgement.original_id == header(bundle(2))["id"]
    assert (len(one.memory.arrivals), one.memory.repeats, len(one.memory.effects)) == (3, 1, 2)


def test_a_file_that_is_still_being_written_is_left_alone(clock, tmp_path):
    one = folder_receiver(clock, tmp_path)
    with serving(one):
        (tmp_path / "out" / "half.xml.part").write_bytes(plo()[:100])
        put(tmp_path, "whole.xml", plo(2))
        wait_for(lambda: receipts(tmp_path))
    assert (tmp_path / "out" / "half.xml.part").exists()
    assert one.unreadable == []


def test_a_file_that_nobody_can_read_is_set_aside_with_a_reason(clock, tmp_path):
    one = folder_receiver(clock, tmp_path)
    with serving(one):
        put(tmp_path, "odd.xml", b"no xml at all")
        wait_for(lambda: one.unreadable)
    assert one.unreadable[0].startswith("odd.xml: ")
    assert one.memory.arrivals == []


def test_faults_of_a_folder(clock, tmp_path):
    told = {}
    for fault in ("reject=luster:1", "no-receipt=luster:1", "down=luster:1m", "slow=luster:300ms"):
        folder = tmp_path / fault.split("=")[0]
        one = folder_receiver(clock, folder, fault)
        with serving(one):
            began = time.monotonic()
            put(folder, "a.xml", plo())
            if fault.startswith(("reject", "slow")):
                wait_for(lambda folder=folder: receipts(folder))
            else:
                time.sleep(0.1)
            told[folder.name] = (one, receipts(folder), time.monotonic() - began)
    one, (found,), _ = told["reject"]
    assert (found.acknowledgement.status, one.memory.effects) == (Status.REFUSED, {})
    one, found, _ = told["no-receipt"]
    assert (found, len(one.memory.effects)) == ([], 1)
    one, found, _ = told["down"]
    assert (found, one.memory.arrivals) == ([], [])
    one, _, took = told["slow"]
    assert took >= 0.3


def test_arrivals_tell_whether_content_changed_under_one_id(clock):
    one = receiver(clock)
    other = bundle() | {"timestamp": "2014-11-03T09:00:01+00:00"}
    with serving(one):
        post(one.url, message(), orjson.dumps(other))
    first, second = one.memory.arrivals
    assert first.message_id == second.message_id
    assert first.digest != second.digest
    assert replace(second, digest=first.digest, at=first.at) == first
