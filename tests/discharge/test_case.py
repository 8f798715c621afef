"""A case is a fold over its facts: ordered by event time, never by arrival."""

import itertools
import random
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.discharge.case import (
    OF_PRIMARY_CARE,
    Case,
    CaseState,
    Evidence,
    Fact,
    Step,
    fold,
    with_municipality,
)
from adapter.discharge.notices import Notice, NoticeKind, Standing

OSLO = ZoneInfo("Europe/Oslo")
MONDAY = datetime(2014, 3, 3, 10, 0, tzinfo=OSLO)
K = NoticeKind


def told(kind: NoticeKind, number: int, *, days: float = 0, **more: object) -> Notice:
    """Lærdal sjukehus tells Sogndal, `days` after Monday 3 March 2014 at ten."""
    at = MONDAY + timedelta(days=days)
    fields: dict[str, object] = {
        "kind": kind,
        "message_id": f"m{number:02}",
        "sent_at": at,
        "occurred": at,
        "sender": "laerdal-sjukehus",
        "receivers": ("sogndal",),
        "hospital": "laerdal-sjukehus",
    }
    return Notice(**(fields | more))  # type: ignore[arg-type]


def shape(cases: tuple[Case, ...]) -> list[object]:
    return [
        (c.hospital, c.municipality, c.state, c.admitted_at, c.ready_at, c.discharged_at, c.entries)
        for c in cases
    ]


def only(*facts: Fact) -> Case:
    (case,) = fold(facts, OSLO)
    return case


def test_a_stay_goes_from_admitted_over_ready_to_discharged() -> None:
    admitted, ready = told(K.ADMITTED, 1), told(K.READY_FOR_DISCHARGE, 2, days=3)
    home = told(K.DISCHARGED, 3, days=4)
    assert only(admitted).state is CaseState.ADMITTED
    assert only(admitted, ready).state is CaseState.READY
    assert only(admitted, ready).ready_at == MONDAY + timedelta(days=3)
    case = only(admitted, ready, home)
    assert (case.state, case.discharged_at) == (CaseState.DISCHARGED, MONDAY + timedelta(days=4))
    assert (case.hospital, case.municipality) == ("laerdal-sjukehus", "sogndal")


ROLES = {"sogndal": "municipality", "legane": "gp", "laerdal-sjukehus": "hospital", "forde": "hospital"}


def municipality(*facts: Fact, roles: dict[str, str] = ROLES) -> str | None:
    return with_municipality(only(*facts), roles).municipality


def test_whoever_is_known_to_be_no_municipality_is_not_taken_for_one() -> None:
    """A GP's office or another hospital is told of the stay too, before the municipality or alone."""
    gp = {"receivers": ("legane",)}
    admitted = told(K.ADMITTED, 1, **gp)
    assert municipality(admitted) is None
    assert municipality(admitted, roles={}) == "legane"
    assert municipality(told(K.ADMITTED, 1, receivers=("legane", "sogndal"))) == "sogndal"
    assert municipality(told(K.ADMITTED, 1), told(K.DISCHARGED, 2, days=1, receivers=("forde",))) == "sogndal"
    back = {"sender": "sogndal", "receivers": ("laerdal-sjukehus",)}
    for kind in (K.NOTE, K.PLACED, K.FOLLOWED_UP, K.MISROUTED):  # nor does who only says so become it
        assert municipality(admitted, told(kind, 2, days=1, **back)) is None
    assert municipality(told(K.ADMITTED, 1, receivers=("vik",)), told(K.DISCHARGED, 2, days=1, **gp)) == "vik"


def test_the_municipality_is_the_same_in_whatever_order_it_was_told() -> None:
    facts = [
        told(K.ADMITTED, 1, receivers=("legane", "sogndal")),
        told(K.READY_FOR_DISCHARGE, 2, days=1, receivers=("legane",)),
        told(K.DISCHARGED, 3, days=2, receivers=("legane",)),
    ]
    assert {municipality(*some) for some in itertools.permutations(facts)} == {"sogndal"}


def test_a_withdrawal_makes_the_patient_admitted_again() -> None:
    case = only(
        told(K.ADMITTED, 1), told(K.READY_FOR_DISCHARGE, 2, days=1), told(K.READINESS_WITHDRAWN, 3, days=2)
    )
    assert (case.state, case.ready_at) == (CaseState.ADMITTED, None)


def test_all_orders_of_admitted_ready_withdrawn_and_discharged_on_one_day_give_one_case() -> None:
    day = date(2014, 3, 3)
    facts = [
        told(K.ADMITTED, 1, occurred=day),
        told(K.READY_FOR_DISCHARGE, 2, days=0.1, occurred=day),
        told(K.READINESS_WITHDRAWN, 3, days=0.2, occurred=day),
        told(K.DISCHARGED, 4, days=0.3, occurred=day),
    ]
    outcomes = [shape(fold(order, OSLO)) for order in itertools.permutations(facts)]
    assert all(outcome == outcomes[0] for outcome in outcomes)
    assert outcomes[0][0][2] is CaseState.DISCHARGED  # type: ignore[index]


def test_a_day_without_time_counts_from_the_sending_instant_of_that_day_else_from_midnight() -> None:
    same_day = only(told(K.ADMITTED, 1, occurred=date(2014, 3, 3)))
    day_before = only(told(K.ADMITTED, 1, occurred=date(2014, 3, 2)))
    assert same_day.admitted_at == MONDAY
    assert day_before.admitted_at == datetime(2014, 3, 2, 0, 0, tzinfo=OSLO)


def test_a_cancellation_may_come_before_what_it_cancels() -> None:
    cancelling = told(K.ADMITTED, 2, standing=Standing.CANCELLATION, refers_to="m01")
    assert only(cancelling).state is CaseState.CANCELLED
    both = only(cancelling, told(K.ADMITTED, 1))
    assert both.state is CaseState.CANCELLED
    assert [e.void for e in both.entries] == [True, False]


def test_a_cancellation_without_a_reference_means_the_last_notice_of_its_kind() -> None:
    case = only(
        told(K.ADMITTED, 1),
        told(K.READY_FOR_DISCHARGE, 2, days=1),
        told(
            K.READY_FOR_DISCHARGE,
            3,
            days=1.5,
            occurred=MONDAY + timedelta(days=1),
            standing=Standing.CANCELLATION,
        ),
    )
    assert case.state is CaseState.ADMITTED


def test_a_correction_replaces_what_it_corrects_and_a_later_one_replaces_both() -> None:
    def corrected(number: int, refers_to: str, day: int) -> Notice:
        return told(
            K.DISCHARGED,
            number,
            days=5 + number / 10,
            occurred=MONDAY + timedelta(days=day),
            standing=Standing.CORRECTION,
            refers_to=refers_to,
        )

    facts = [
        told(K.ADMITTED, 1),
        told(K.DISCHARGED, 2, days=4),
        corrected(3, "m02", 3),
        corrected(4, "m03", 2),
    ]
    for order in itertools.permutations(facts):
        case = only(*order)
        assert case.discharged_at == MONDAY + timedelta(days=2)
        assert [e.notice.message_id for e in case.entries if e.replaced_by == "m04"] == ["m03", "m02"]


def test_cancelling_after_a_correction_cancels_the_notice() -> None:
    facts = [
        told(K.ADMITTED, 1),
        told(K.ADMITTED, 2, days=0.1, standing=Standing.CORRECTION, refers_to="m01"),
        told(K.ADMITTED, 3, days=0.2, standing=Standing.CANCELLATION, refers_to="m02"),
    ]
    for order in itertools.permutations(facts):
        assert only(*order).state is CaseState.CANCELLED


def test_corrections_that_refer_to_each_other_in_a_circle_are_survived() -> None:
    a = told(K.ADMITTED, 1, standing=Standing.CORRECTION, refers_to="m02")
    b = told(K.ADMITTED, 2, standing=Standing.CORRECTION, refers_to="m01")
    assert shape(fold([a, b], OSLO)) == shape(fold([b, a], OSLO))


def test_a_corrected_admission_time_stays_in_the_same_case() -> None:
    wrong = told(K.ADMITTED, 1)
    right = told(
        K.ADMITTED,
        2,
        days=0.2,
        occurred=MONDAY - timedelta(hours=2),
        standing=Standing.CORRECTION,
        refers_to="m01",
    )
    assert only(wrong, right).admitted_at == MONDAY - timedelta(hours=2)


def test_an_admission_after_a_discharge_is_a_new_case() -> None:
    cases = fold(
        [told(K.ADMITTED, 1), told(K.DISCHARGED, 2, days=2), told(K.ADMITTED, 3, days=9)],
        OSLO,
    )
    assert [c.state for c in cases] == [CaseState.DISCHARGED, CaseState.ADMITTED]


def test_an_episode_id_used_again_after_a_discharge_does_not_join_two_stays() -> None:
    cases = fold(
        [
            told(K.ADMITTED, 1, episode="e"),
            told(K.DISCHARGED, 2, days=2, episode="e"),
            told(K.ADMITTED, 3, days=9, episode="e"),
        ],
        OSLO,
    )
    assert len(cases) == 2


def test_an_admission_on_an_open_stay_is_a_transfer_and_continues_the_case() -> None:
    case = only(told(K.ADMITTED, 1), told(K.ADMITTED, 2, days=1), told(K.DISCHARGED, 3, days=2))
    assert (case.admitted_at, case.state) == (MONDAY, CaseState.DISCHARGED)


def test_a_ready_notice_belongs_to_the_stay_whose_admission_it_repeats() -> None:
    cases = fold(
        [
            told(K.ADMITTED, 1),
            told(K.DISCHARGED, 2, days=2),
            told(K.ADMITTED, 3, days=5),
            told(K.READY_FOR_DISCHARGE, 4, days=1, admitted=MONDAY),
        ],
        OSLO,
    )
    assert [[e.notice.message_id for e in c.entries] for c in cases] == [["m01", "m04", "m02"], ["m03"]]


def test_a_report_after_the_discharge_belongs_to_the_stay_that_ended() -> None:
    case = only(told(K.ADMITTED, 1), told(K.DISCHARGED, 2, days=2), told(K.DISCHARGE_REPORT, 3, days=2.2))
    assert case.state is CaseState.DISCHARGED


def test_encounter_ids_tell_two_stays_apart_that_time_would_not() -> None:
    cases = fold(
        [
            told(K.ADMITTED, 1, encounter="A"),
            told(K.DISCHARGED, 2, days=1, encounter="A"),
            told(K.ADMITTED, 3, days=0.5, encounter="B", occurred=MONDAY + timedelta(days=3)),
            told(K.READY_FOR_DISCHARGE, 4, days=0.6, encounter="B"),
        ],
        OSLO,
    )
    assert [{e.notice.encounter for e in c.entries} for c in cases] == [{"A"}, {"B"}]


def test_whoever_only_writes_to_the_hospital_does_not_become_the_municipality_of_the_case() -> None:
    for kind in (K.ENQUIRY, K.REPLY, K.NOTE, K.DEVIATION, K.MISROUTED, K.HEALTH_INFORMATION):
        letter = told(kind, 3, days=1, sender="luster", receivers=("laerdal-sjukehus",))
        for facts in itertools.permutations((told(K.ADMITTED, 1), letter)):
            (case,) = fold(facts, OSLO)
            assert (kind, case.municipality) == (kind, "sogndal")


def test_primary_care_that_leads_the_planning_does_not_become_the_municipality_of_the_case() -> None:
    for kind in sorted(OF_PRIMARY_CARE):
        lead = told(kind, 3, days=1, sender="backa", receivers=("laerdal-sjukehus", "sogndal"))
        for facts in itertools.permutations((told(K.ADMITTED, 1), lead)):
            (case,) = fold(facts, OSLO)
            assert (kind, case.municipality) == (kind, "sogndal")


def test_a_death_told_by_the_municipality_closes_the_open_case_at_the_hospital() -> None:
    death = told(K.DECEASED, 9, days=3, sender="sogndal", receivers=("legesenter",), hospital=None)
    assert only(told(K.ADMITTED, 1), death).state is CaseState.DECEASED
    alone = only(death)
    assert (alone.hospital, alone.municipality, alone.state) == (None, "sogndal", CaseState.DECEASED)


def test_evidence_is_kept_with_its_notice_and_counted_once() -> None:
    accepted = Evidence(
        step=Step.ACCEPTED,
        message_id="m01",
        sender="laerdal-sjukehus",
        party="sogndal",
        at=MONDAY,
        source="1",
    )
    case = only(told(K.ADMITTED, 1), accepted, accepted)
    assert case.entries[0].evidence == (accepted,)
    assert case.entries[0].first(Step.ACCEPTED, "sogndal") == MONDAY
    assert case.entries[0].first(Step.ACCEPTED, "luster") is None


KINDS = [
    K.ADMITTED,
    K.READY_FOR_DISCHARGE,
    K.READINESS_WITHDRAWN,
    K.DISCHARGED,
    K.ANSWER,
    K.CARE_NEEDS,
    K.LEAVE_STARTED,
    K.LEAVE_ENDED,
    K.DECEASED,
    K.DISCHARGE_REPORT,
]


@st.composite
def histories(draw: st.DrawFn) -> list[Notice]:
    count = draw(st.integers(2, 7))
    made: list[Notice] = []
    for number in range(count):
        standing = draw(st.sampled_from([Standing.NEW] * 4 + [Standing.CORRECTION, Standing.CANCELLATION]))
        refers = (
            draw(st.sampled_from([*(f"m{n:02}" for n in range(count)), "lost"]))
            if standing is not Standing.NEW
            else None
        )
        day = draw(st.integers(0, 4))
        with_time = draw(st.booleans())
        moment = MONDAY + timedelta(days=day, hours=draw(st.integers(0, 9)))
        made.append(
            told(
                draw(st.sampled_from(KINDS)),
                number,
                days=day + draw(st.sampled_from([0, 0.2, 1.5])),
                occurred=moment if with_time else moment.date(),
                standing=standing,
                refers_to=draw(st.sampled_from([refers, None])),
                encounter=draw(st.sampled_from([None, None, "A", "B"])),
                admitted=draw(st.sampled_from([None, None, MONDAY, date(2014, 3, 4)])),
                hospital=draw(st.sampled_from(["laerdal-sjukehus"] * 4 + ["forde", None])),
                sender=draw(st.sampled_from(["laerdal-sjukehus"] * 3 + ["sogndal"])),
                receivers=draw(st.sampled_from([("sogndal",), ("luster",), ("luster", "sogndal")])),
                refers_to_held=draw(st.sampled_from([False] * 5 + [True])),
            )
        )
    return made


@settings(max_examples=150, deadline=None)
@given(histories(), st.integers(0, 2**16))
def test_every_order_of_arrival_gives_the_same_cases(history: list[Notice], seed: int) -> None:
    shuffled = history[:]
    random.Random(seed).shuffle(shuffled)
    cases = fold(history, OSLO)
    assert shape(fold(shuffled, OSLO)) == shape(cases)
    placed = [e.notice.message_id for c in cases for e in c.entries]
    assert set(placed) == {n.message_id for n in history}  # nothing is lost in the fold


def test_instants_are_ordered_across_zones() -> None:
    utc = told(K.READY_FOR_DISCHARGE, 2, occurred=datetime(2014, 3, 3, 9, 30, tzinfo=UTC))
    case = only(utc, told(K.ADMITTED, 1))
    assert [e.notice.kind for e in case.entries] == [K.ADMITTED, K.READY_FOR_DISCHARGE]


def test_a_moment_told_as_a_day_is_known_to_be_one() -> None:
    admitted = told(K.ADMITTED, 1)
    dead = told(K.DECEASED, 2, days=2, occurred=date(2014, 3, 5))
    assert only(admitted, dead).day_only == ("discharged_at",)
    ready = told(K.READY_FOR_DISCHARGE, 3, days=1, ready=date(2014, 3, 4))
    assert only(admitted, ready).day_only == ("ready_at",)
    timed = told(K.READY_FOR_DISCHARGE, 4, days=2, ready=MONDAY + timedelta(days=2))
    assert only(admitted, ready, timed).day_only == ()
