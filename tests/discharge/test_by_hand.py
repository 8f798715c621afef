"""Told by telephone or on paper: it counts where the agreement says so, and its copy is no second notice."""

from dataclasses import replace
from datetime import date, datetime
from itertools import permutations
from zoneinfo import ZoneInfo

import pytest

from adapter.discharge.agreement import agreement
from adapter.discharge.case import Case, CaseState, Evidence, Fact, Step
from adapter.discharge.deadlines import deadlines
from adapter.discharge.notices import AnswerValue, Notice, NoticeKind, Standing, Way
from adapter.discharge.occasions import readinesses
from adapter.discharge.payment import liabilities
from adapter.discharge.readmission import courses
from adapter.errors import ConfigurationError

K = NoticeKind
OSLO = ZoneInfo("Europe/Oslo")
ROLES = {"foerde": "hospital", "sogndal": "municipality"}
COUNTS = {"by_telephone": {"notice": True, "receipt": True}}
NOW = datetime(2024, 3, 8, 9, 0, tzinfo=OSLO)


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2024, 3, day, hour, minute, tzinfo=OSLO)


def notice(kind: NoticeKind, when: datetime, **more: object) -> Notice:
    fields: dict[str, object] = {
        "message_id": f"{kind}-{when:%d-%H%M}", "sender": "foerde", "receivers": ("sogndal",),
        "hospital": "foerde", "encounter": "F-1", "occurred": when, "sent_at": when,
    }  # fmt: skip
    return Notice(kind=kind, **(fields | more))  # type: ignore[arg-type]


def accepted(told: Notice, when: datetime) -> Evidence:
    return Evidence(
        step=Step.ACCEPTED, message_id=told.message_id, sender=told.sender, party="sogndal", at=when
    )


ADMITTED = notice(K.ADMITTED, at(1, 8))
NEEDS = notice(K.CARE_NEEDS, at(1, 9))
CALLED = notice(
    K.READY_FOR_DISCHARGE, at(4, 10), message_id="called", way=Way.TELEPHONE, recorded_by="Solveig"
)
COPY = notice(K.READY_FOR_DISCHARGE, at(4, 15), message_id="copy")
BEGUN: list[Fact] = [ADMITTED, NEEDS, accepted(NEEDS, at(1, 9, 5))]


def case_of(facts: list[Fact], **terms: object) -> Case:
    (case,) = courses(facts, agreement("norway", terms), ROLES)
    return case


def state(facts: list[Fact], kind: str, **terms: object) -> str:
    found = deadlines(case_of(facts, **terms), agreement("norway", terms), NOW, ROLES)
    return next((str(d.state) for d in found if d.kind == kind), "none")


def charged(facts: list[Fact], **terms: object) -> list[date]:
    found = liabilities(case_of(facts, **terms), agreement("norway", terms), NOW, ROLES)
    return [day.date for one in found for day in one.days]


def test_in_norway_a_notice_by_telephone_has_no_receipt_and_does_not_count():
    case = case_of([*BEGUN, CALLED])
    assert (case.state, case.ready_at) == (CaseState.ADMITTED, None)
    assert [e.notice.message_id for e in case.entries][-1] == "called"  # it is shown all the same
    assert state([*BEGUN, CALLED], "answer") == "none"
    assert charged([*BEGUN, CALLED]) == []


def test_where_the_parties_have_agreed_a_notice_by_telephone_counts_from_the_call():
    facts = [*BEGUN, CALLED]
    assert case_of(facts, **COUNTS).state is CaseState.READY
    assert state(facts, "answer", **COUNTS) == "missed"
    assert charged(facts, **COUNTS) == [date(2024, 3, d) for d in (4, 5, 6, 7)]
    assert charged(facts, on_paper={"notice": True}) == []  # on paper is not by telephone


def test_an_answer_by_telephone_counts_in_norway_for_the_law_names_no_form():
    facts = [*BEGUN, COPY, accepted(COPY, at(4, 15))]
    assert charged(facts) == [date(2024, 3, d) for d in (4, 5, 6, 7)]
    said = notice(
        K.ANSWER, at(5, 9), sender="sogndal", receivers=("foerde",), answer=AnswerValue.CAN_RECEIVE,
        way=Way.TELEPHONE, refers_to="copy",
    )  # fmt: skip
    assert charged([*facts, said]) == [date(2024, 3, 4)]
    assert state([*facts, replace(said, sent_at=at(4, 16), occurred=at(4, 16))], "answer") == "met"
    assert charged([*facts, said], by_telephone={"answer": False}) == [date(2024, 3, d) for d in (4, 5, 6, 7)]


def test_a_receipt_by_telephone_counts_only_where_agreed():
    confirmed = Evidence(
        step=Step.CONFIRMED, message_id="copy", sender="foerde", party="sogndal", at=at(4, 16),
        source="by telephone", way=Way.TELEPHONE,
    )  # fmt: skip
    facts = [*BEGUN, COPY, confirmed]
    assert (charged(facts), state(facts, "answer")) == ([], "none")
    assert charged(facts, **COUNTS) == [date(2024, 3, d) for d in (4, 5, 6, 7)]
    assert charged(facts, by_telephone={"notice": True}) == []


FACTS: list[Fact] = [ADMITTED, CALLED, COPY, accepted(COPY, at(4, 15, 5)), NEEDS]


@pytest.mark.parametrize("terms", [{}, COUNTS], ids=["law", "agreed"])
def test_the_electronic_copy_is_matched_and_not_doubled_in_whatever_order_they_come(terms):
    first = case_of(FACTS, **terms)
    for facts in permutations(FACTS):
        assert case_of(list(facts), **terms) == first
    called = next(e for e in first.entries if e.notice.message_id == "called")
    assert (called.replaced_by, called.counts) == ("copy", False)
    assert len(readinesses(first)) == 1
    assert len(first.of(K.READY_FOR_DISCHARGE)) == 1
    (occasion,) = readinesses(first)
    assert occasion.told_at == (at(4, 10) if terms else at(4, 15))


def test_a_copy_that_comes_counts_from_the_call_where_calls_count_and_by_itself_where_not():
    late = notice(K.READY_FOR_DISCHARGE, at(5, 9), message_id="late", ready=at(4, 10), occurred=at(4, 10))
    facts = [*BEGUN, CALLED, late, accepted(late, at(5, 9))]
    assert charged(facts) == [date(2024, 3, d) for d in (5, 6, 7)]
    assert charged(facts, **COUNTS) == [date(2024, 3, d) for d in (4, 5, 6, 7)]


@pytest.mark.parametrize(
    "other",
    [
        replace(COPY, receivers=("luster",)),
        replace(COPY, kind=K.PLANNED_DISCHARGE, planned_discharge=date(2024, 3, 9)),
        replace(COPY, sent_at=at(5, 9), occurred=at(5, 9)),
    ],
    ids=["another receiver", "another kind", "another day"],
)
def test_what_says_something_else_is_no_copy(other):
    case = case_of([*BEGUN, CALLED, other], **COUNTS)
    called = next(e for e in case.entries if e.notice.message_id == "called")
    assert (called.replaced_by, called.counts) == (None, True)


def test_a_readiness_after_a_withdrawal_is_another_one():
    withdrawn = notice(K.READINESS_WITHDRAWN, at(4, 12))
    facts = [*BEGUN, CALLED, withdrawn, COPY]
    first = case_of(facts, **COUNTS)
    assert len(readinesses(first)) == 2
    for shuffled in permutations(facts[3:]):
        assert case_of([*BEGUN, *shuffled], **COUNTS) == first


def test_a_call_goes_where_its_copy_goes_when_that_is_cancelled():
    gone = replace(
        COPY, message_id="gone", standing=Standing.CANCELLATION, refers_to="copy", sent_at=at(4, 16)
    )
    case = case_of([*BEGUN, CALLED, COPY, gone], **COUNTS)
    assert case.state is CaseState.ADMITTED
    assert next(e for e in case.entries if e.notice.message_id == "called").void


def test_a_discharge_that_does_not_count_ends_no_stay():
    left = notice(K.DISCHARGED, at(4, 12), way=Way.TELEPHONE)
    case = case_of([*BEGUN, left, COPY])
    assert case.state is CaseState.READY
    assert case.discharged_at is None


@pytest.mark.parametrize("term", [True, {"notices": True}, {"notice": "yes"}])
def test_a_term_that_makes_no_sense_is_refused(term):
    with pytest.raises(ConfigurationError, match="by_telephone"):
        agreement("norway", {"by_telephone": term})
