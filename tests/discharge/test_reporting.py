"""The report of admission is asked for once: by a new STIN or STAA with the flag, by nothing else (D-13)."""

import itertools

from adapter.discharge.agreement import agreement
from adapter.discharge.case import fold
from adapter.discharge.deadlines import deadlines
from adapter.discharge.notices import Notice, NoticeKind
from adapter.discharge.reporting import report_tasks
from tests.discharge.test_notifications import COPENHAGEN, A, B, an, at, closed, re, stin, told

K = NoticeKind


def tasks(*facts):
    """(asked by, state) of each; the same in every order of arrival."""
    found = set()
    for order in itertools.permutations(facts):
        cases = fold(order, COPENHAGEN)
        found.add(tuple((t.asked_by.message_id, t.state.value) for c in cases for t in report_tasks(c)))
    (only,) = found
    return list(only)


def report(id_, days, to=A):
    return Notice(
        kind=K.REPORT_OF_ADMISSION, message_id=id_, sent_at=at(days), occurred=at(days),
        sender="fjordby", receivers=(to,), hospital=to,
    )  # fmt: skip


ASKING = stin("stin", report_wanted=True)


def test_a_new_admission_with_the_flag_asks_once():
    assert tasks(ASKING) == [("stin", "requested")]
    assert tasks(stin("stin")) == []


def test_a_duplicate_asks_nothing_more():
    assert tasks(ASKING, ASKING) == [("stin", "requested")]


def test_a_correction_neither_asks_nor_takes_it_back():
    assert tasks(ASKING, re(ASKING, "re", 0.1, "stin", report_wanted=False)) == [("stin", "requested")]
    assert tasks(stin("s"), re(stin("s"), "re", 0.1, "s", report_wanted=True)) == []


def test_leave_discharge_and_death_ask_for_nothing_whatever_they_carry():
    for kind in (K.LEAVE_STARTED, K.LEAVE_ENDED, K.DISCHARGED, K.DECEASED):
        assert tasks(told(kind, "m", 1, report_wanted=True)) == []


def test_the_report_to_the_hospital_does_it():
    assert tasks(ASKING, report("r", 0.1)) == [("stin", "completed")]
    assert tasks(ASKING, report("r", 0.1, to=B)) == [("stin", "requested")]
    assert tasks(ASKING, report("r", -0.1)) == [("stin", "requested")]


def test_a_stay_that_is_over_waits_for_no_report():
    for end in (told(K.DISCHARGED, "e", 2), told(K.DECEASED, "e", 2), closed("e", 2)):
        assert tasks(ASKING, end) == [("stin", "cancelled")]
        assert tasks(ASKING, report("r", 0.1), end) == [("stin", "completed")]
    assert tasks(ASKING, an(ASKING, "an", 0.2, "stin")) == [("stin", "cancelled")]


def test_the_hospital_that_took_over_asks_for_itself():
    there = stin("b", 2, sender=B, report_wanted=True)
    assert tasks(ASKING, there, report("r", 0.1)) == [("stin", "completed"), ("b", "requested")]
    assert tasks(ASKING, there, report("r", 2.1, to=B)) == [("stin", "requested"), ("b", "completed")]


def test_a_correction_with_the_flag_starts_no_deadline():
    first = stin("s")
    wrong = re(first, "re", 0.1, "s", report_wanted=True)
    right = re(ASKING, "re", 0.1, "stin", report_wanted=False)
    kinds = []
    for facts in ((first, wrong), (ASKING, right)):
        (case,) = fold(facts, COPENHAGEN)
        found = deadlines(case, agreement("denmark"), at(0.2))
        kinds.append([d.kind for d in found if d.kind == "report-of-admission"])
    assert kinds == [[], ["report-of-admission"]]
