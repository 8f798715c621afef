from adapter.messaging.acknowledgement import Status
from adapter.simulator.memory import Arrival, Memory, Taken
from adapter.simulator.report import Counts, Report, count
from adapter.simulator.systems import Posted

from .cast import NOW

OK, NO = Status.ACCEPTED, Status.REFUSED


def sent(number, event="admitted", **fate):
    fate = {"accepted": True} | fate
    return Posted(message_id=f"out-{number}", event=event, patient=f"p{number}", to="luster", **fate)


def held(*messages, status=OK, times=1):
    """A receiver's memory of messages, which may have come under other ids."""
    memory = Memory()
    for number, event in messages:
        key = f"in-{number}-{event}"
        memory.taken[key] = Taken(message_id=key, event=event, patient=f"p{number}", status=status, at=NOW)
        for _ in range(times):
            memory.note(Arrival(at=NOW, message_id=key, transmission_id="", digest=b"", taken=True))
    return memory


def test_a_message_is_delivered_whatever_id_it_travelled_under():
    counts = count([sent(1, receipt=OK), sent(2)], held((1, "admitted")))
    assert counts == Counts(sent=2, accepted=2, delivered=1, receipted=1, lost=1)
    assert counts.open == 1


def test_one_of_two_alike_can_be_lost():
    alike = [sent(1), Posted(message_id="out-b", event="admitted", patient="p1", to="luster", accepted=True)]
    assert count(alike, held((1, "admitted"))).lost == 1


def test_what_was_never_accepted_or_was_refused_is_not_lost():
    nothing = Memory()
    assert count([sent(1, accepted=False)], nothing).lost == 0
    assert count([sent(1, accepted=False, refused=422)], nothing) == Counts(sent=1, refused=1)
    assert count([sent(1, receipt=NO)], nothing) == Counts(sent=1, accepted=1, refused=1)


def test_a_message_that_the_receiver_rejects_is_delivered_and_not_lost():
    counts = count([sent(1)], held((1, "admitted"), status=NO))
    assert (counts.delivered, counts.lost, counts.open) == (1, 0, 1)


def test_a_receipt_that_is_withheld_is_not_waited_for():
    counts = count([sent(1)], held((1, "admitted"), status=None))
    assert (counts.withheld, counts.open) == (1, 0)


def test_what_corrects_a_refused_message_waits_for_a_person_and_is_not_waited_for():
    alike = {"event": "admitted", "patient": "p1", "to": "luster", "accepted": True}
    refused = Posted(message_id="a", receipt=NO, **alike)
    correction = Posted(message_id="b", refers_to="a", **alike)
    of_that = Posted(message_id="c", refers_to="b", **alike)
    counts = count([refused, correction, of_that], held((1, "admitted"), status=NO))
    assert (counts.refused, counts.parked, counts.open, counts.lost) == (1, 2, 0, 0)


def test_a_correction_that_came_through_although_the_first_was_refused_is_waited_for():
    alike = {"event": "admitted", "patient": "p1", "to": "luster", "accepted": True}
    refused = Posted(message_id="a", receipt=NO, **alike)
    correction = Posted(message_id="b", refers_to="a", **alike)
    memory = held((1, "admitted"), status=NO)
    memory.taken["in-b"] = Taken(message_id="in-b", event="admitted", patient="p1", status=OK, at=NOW)
    counts = count([refused, correction], memory)
    assert (counts.delivered, counts.parked, counts.open) == (2, 0, 1)


def test_what_corrects_a_message_that_is_on_its_way_is_not_parked():
    counts = count([sent(1), sent(2, refers_to="out-1")], Memory())
    assert (counts.parked, counts.open, counts.lost) == (0, 2, 2)


def test_repeats_are_arrivals_beyond_the_first():
    assert count([sent(1)], held((1, "admitted"), times=3)).repeats == 2


def test_receipts_that_the_receiver_holds_are_no_messages():
    assert count([], held((1, "receipt"), status=None)) == Counts()


def test_the_total_is_the_sum():
    report = Report(
        by_party={"luster": Counts(sent=2, lost=1), "vik": Counts(sent=3)}, quiet=False, seconds=1.0, cases=1
    )
    assert report.total == Counts(sent=5, lost=1)
    assert report.table().endswith("1 cases, 1.0 s, stopped before all was quiet")


def test_what_was_taken_back_before_it_left_is_neither_lost_nor_waited_for():
    def told(number, event, refers_to=None):
        return Posted(
            message_id=number, event=event, patient="p1", to="luster", refers_to=refers_to, accepted=True
        )

    ready, withdrawn = told("a", "ready-for-discharge"), told("b", "readiness-withdrawn", "a")
    counts = count([ready, withdrawn], Memory())
    assert (counts.cancelled, counts.lost, counts.open) == (2, 0, 0)
    counts = count([ready, withdrawn], held((1, "ready-for-discharge"), (1, "readiness-withdrawn")))
    assert (counts.cancelled, counts.lost, counts.open) == (0, 0, 2)
    needs = [told("a", "care-needs"), told("b", "care-needs")]
    assert count(needs, held((1, "care-needs"))).cancelled == 1
    assert count([told("a", "discharged")], Memory()).lost == 1
