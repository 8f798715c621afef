import asyncio
import socket
import threading
from array import array
from datetime import UTC, datetime

import orjson
import pytest

from adapter.discharge.case import CaseState, fold
from adapter.fhir.allowing import left_out
from adapter.fhir.notices import notice_in, subject_in
from adapter.mappings import own_fhir
from adapter.simulator.faults import Faults
from adapter.simulator.load import Load, percentile, run_apart, send
from adapter.simulator.moulds import Stays, person
from adapter.simulator.people import check_digits
from adapter.simulator.receivers import FhirReceiver
from adapter.simulator.threads import serving

from .cast import HOSPITAL, LUSTER, NOW


def load(url="http://127.0.0.1:1/fhir/$process-message", **options):
    options = {"count": 10, "connections": 3} | options
    return Load(url=url, token="secret", sender=HOSPITAL, receivers=(LUSTER,), at=NOW, **options)


def test_percentiles_are_by_nearest_rank():
    hundred = array("d", range(1, 101))
    assert [percentile(hundred, share) for share in (0.5, 0.99, 1.0)] == [50, 99, 100]
    assert percentile(array("d", [7.0]), 0.99) == 7.0
    assert percentile(array("d", [1.0, 2.0, 3.0]), 0.5) == 2.0
    assert percentile(array("d"), 0.5) == 0.0


def test_messages_are_valid_of_about_6_kb_and_the_same_at_every_making():
    moulds, again = load(count=4).moulds(), load(count=4).moulds()
    for n in (0, 1, 2, 123_456):
        content = moulds.content(n)
        assert 5_000 < len(content) < 7_000
        assert content == again.content(n)
        reading = own_fhir.read(content, content_type=None, zone=NOW.tzinfo)
        assert reading.problem is None
        assert reading.envelope.message_id == moulds.message_id(n)
    events = [orjson.loads(moulds.content(n))["entry"][0]["resource"]["eventCoding"]["code"] for n in (0, 1)]
    assert events == ["ready-for-discharge", "admitted"]


@pytest.mark.parametrize("whole_stays", [False, True])
def test_messages_hold_nothing_that_their_kind_may_not_carry(whole_stays):
    """Else each would be written anew on its way, and nobody could count what has arrived."""
    moulds = Stays(HOSPITAL, (LUSTER,), at=NOW) if whole_stays else load().moulds()
    for n in range(60):
        bundle = own_fhir.read(moulds.content(n), content_type=None, zone=NOW.tzinfo).bundle
        kind = notice_in(bundle, zone=NOW.tzinfo).kind
        assert left_out(bundle, kind, receiver_kind="municipality") == ()


def test_no_two_messages_share_an_id_or_a_patient():
    moulds = load().moulds()
    assert len({moulds.message_id(n) for n in range(1000)}) == 1000
    people = [person(n) for n in [*range(1000), *range(16_000, 17_000)]]
    assert len({p.number for p in people}) == 2000
    assert all(check_digits(p.number[:9]) == p.number[9:] and p.number[2] in "89" for p in people)
    assert load(seed=1).moulds().message_id(0) != moulds.message_id(0)


def told(moulds, numbers):
    """The notices of these messages, each of which is valid."""
    readings = [own_fhir.read(moulds.content(n), content_type=None, zone=NOW.tzinfo) for n in numbers]
    assert [reading.problem for reading in readings] == [None] * len(readings)
    return [notice_in(reading.bundle, zone=NOW.tzinfo) for reading in readings]


@pytest.mark.parametrize(
    ("number", "state"), [(0, CaseState.DISCHARGED), (1, CaseState.READY), (2, CaseState.DISCHARGED)]
)
def test_a_stay_is_one_case_of_one_patient_told_in_order(number, state):
    moulds = load(stays=True).moulds()
    numbers = range(number * moulds.together, (number + 1) * moulds.together)
    notices = told(moulds, numbers)
    assert [n.message_id for n in notices] == [moulds.message_id(n) for n in numbers]
    assert [n.sent_at for n in notices] == sorted({n.sent_at for n in notices})
    assert {n.refers_to for n in notices} - {None} < {n.message_id for n in notices}
    assert {person(number).number} == {
        subject_in(orjson.loads(moulds.content(n))).identifiers[0][1] for n in numbers
    }
    (case,) = fold(notices, NOW.tzinfo)
    assert case.state is state
    assert case.ready_at is not None
    assert sum(not entry.counts for entry in case.entries) in (1, 2, 3, 4)  # later care needs replace earlier


def test_a_stay_is_sent_in_order_whatever_breaks(clock):
    one = FhirReceiver("luster", clock=clock, faults=Faults.parse("reset=luster:0.3"))
    with serving(one):
        sending = load(one.url, count=70, stays=True, first=35, connections=4, persist=True, limit=10)
        result = asyncio.run(send(sending))
    moulds = sending.moulds()
    numbers = {moulds.message_id(n): n for n in range(35, 105)}
    assert set(result.acknowledged) == set(numbers)
    for stay in range(5, 15):
        first = [numbers[m] for m in one.memory.taken if numbers[m] // moulds.together == stay]
        assert first == list(range(stay * moulds.together, (stay + 1) * moulds.together))


def test_all_messages_are_sent_once_and_counted(clock):
    one = FhirReceiver("luster", clock=clock)
    with serving(one):
        result = asyncio.run(send(load(one.url, count=40, first=100)))
    assert (result.count, result.statuses) == (40, {"200": 40})
    assert set(result.acknowledged) == set(one.memory.effects)
    assert set(result.acknowledged) == {load().moulds().message_id(n) for n in range(100, 140)}
    assert 0 < result.p50_ms <= result.p99_ms <= result.max_ms
    assert result.rate == pytest.approx(40 / result.seconds)


def test_an_offered_rate_is_kept(clock):
    one = FhirReceiver("luster", clock=clock)
    with serving(one):
        result = asyncio.run(send(load(one.url, count=20, rate=100.0)))
    assert 0.19 <= result.seconds < 2


def test_a_stall_shows_in_the_latency_of_what_was_due_meanwhile(clock):
    one = FhirReceiver("luster", clock=clock, faults=Faults.parse("slow=luster:100ms"))
    with serving(one):
        result = asyncio.run(send(load(one.url, count=4, connections=1, rate=1000.0)))
    assert result.max_ms > 390
    assert result.p50_ms > 190


def test_refusals_are_counted_and_not_acknowledged(clock):
    one = FhirReceiver("luster", clock=clock, faults=Faults.parse("down=luster:1m"))
    with serving(one):
        result = asyncio.run(send(load(one.url)))
    assert (result.count, result.statuses, result.acknowledged) == (0, {"503": 10}, ())


def test_a_persistent_load_sends_the_same_again_until_it_is_taken(clock):
    one = FhirReceiver("luster", clock=clock, faults=Faults.parse("reset=luster:0.3,down=luster:200ms"))
    with serving(one):
        result = asyncio.run(send(load(one.url, count=20, persist=True, limit=5)))
    assert result.count == 20
    assert result.statuses["503"] > 0
    assert result.statuses["broken"] > 0
    assert set(result.acknowledged) == set(one.memory.effects)
    content = {}
    for arrival in one.memory.arrivals:
        content.setdefault(arrival.message_id, set()).add(arrival.digest)
    assert all(len(digests) == 1 for digests in content.values())


def test_a_load_begins_when_the_adapter_does(clock):
    one = FhirReceiver("luster", clock=clock)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        one.port = probe.getsockname()[1]
    found = []
    sender = threading.Thread(target=lambda: found.append(asyncio.run(send(load(one.url, count=5)))))
    sender.start()
    sender.join(0.15)
    with serving(one):
        sender.join(3)
    assert found[0].count == 5


def test_what_has_no_answer_in_time_is_given_up():
    result = asyncio.run(send(load(limit=0.2)))
    assert (result.count, result.statuses) == (0, {})


def test_a_load_in_its_own_process_brings_back_its_result(clock):
    one = FhirReceiver("luster", clock=clock)
    with serving(one):
        result = run_apart(load(one.url, count=25))
    assert set(result.acknowledged) == set(one.memory.effects)
    assert result.statuses == {"200": 25}
    assert result.cpu_ms > 0


def test_a_load_survives_the_way_to_its_process():
    there = load(rate=100.0, persist=True, seed=4)
    assert Load.from_json(there.to_json()) == there
    assert there.at == datetime(2014, 11, 3, 9, tzinfo=UTC)
    assert "secret" not in repr(there)
