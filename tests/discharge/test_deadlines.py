"""The deadlines of the law, named from the law: Norway's regulation 1115 and Sweden's act 2017:612."""

import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.discharge.agreement import agreement
from adapter.discharge.case import Evidence, Fact, Step, fold
from adapter.discharge.deadlines import Deadline, deadlines
from adapter.discharge.notices import AnswerValue, Notice, NoticeKind, Standing
from adapter.discharge.payment import liabilities

K = NoticeKind
OSLO = ZoneInfo("Europe/Oslo")
STOCKHOLM = ZoneInfo("Europe/Stockholm")
LAERDAL_SJUKEHUS, LAERDAL, AARDAL = "laerdal-sjukehus", "laerdal", "aardal"
ROLES = {
    LAERDAL_SJUKEHUS: "hospital",
    LAERDAL: "municipality",
    AARDAL: "municipality",
    "legekontor": "gp",
    "halsocentral": "open-care",
}


def at(text: str, zone: ZoneInfo = OSLO) -> datetime:
    """`05 10:00` is that day of March 2024."""
    day, _, clock = text.partition(" ")
    return datetime.fromisoformat(f"2024-03-{day}T{clock}").replace(tzinfo=zone)


def told(kind: NoticeKind, when: str, **more: Any) -> Notice:
    """The hospital tells Lærdal; what the municipality or primary care says goes to the hospital."""
    own = {K.ANSWER: LAERDAL, K.OPEN_CARE_AVAILABILITY: "halsocentral", K.SIP_CALL: "halsocentral"}
    sender = more.get("sender", own.get(kind, LAERDAL_SJUKEHUS))
    fields: dict[str, Any] = {
        "kind": kind,
        "message_id": f"{kind.value} {when}",
        "occurred": at(when),
        "sent_at": at(when),
        "sender": sender,
        "receivers": (LAERDAL,) if sender == LAERDAL_SJUKEHUS else (LAERDAL_SJUKEHUS,),
        "hospital": LAERDAL_SJUKEHUS,
    }
    return Notice(**(fields | more))


def accepted(notice: Notice, when: str, party: str = LAERDAL) -> Evidence:
    return Evidence(
        step=Step.ACCEPTED, message_id=notice.message_id, sender=notice.sender, party=party, at=at(when)
    )


def read(country: str, facts: list[Fact], now: str, **terms: Any) -> tuple[Deadline, ...]:
    made = agreement(country, terms)
    (case,) = fold(facts, made.zone)
    return deadlines(case, made, at(now), ROLES)


def of(kind: str, found: tuple[Deadline, ...]) -> Deadline:
    (one,) = [d for d in found if d.kind == kind]
    return one


def ready(when: str, receipt: str | None = None, **more: Any) -> list[Fact]:
    notice = told(K.READY_FOR_DISCHARGE, when, **more)
    return [notice, accepted(notice, receipt)] if receipt else [notice]


ADMITTED = told(K.ADMITTED, "01 08:00")


# --- Norway, § 8: the early notice --------------------------------------------------------------------------


def early(*facts: Fact, now: str = "01 09:00") -> Deadline:
    return of("early-notice", read("norway", [ADMITTED, *facts], now))


def test_no_8_the_early_notice_is_due_24_hours_after_admission():
    due = early()
    assert (due.actor, due.party, due.state) == ("hospital", LAERDAL, "open")
    assert due.due_at.isoformat() == "2024-03-02T08:00:00+01:00"
    assert (due.since, due.remind_at) == (at("01 08:00"), at("01 20:00"))
    assert due.basis.endswith("§ 8")


@pytest.mark.parametrize(
    ("receipt", "state"),
    [("02 08:00:00", "met"), ("02 08:00:01", "met-late"), ("01 09:00", "met")],
)
def test_no_8_the_positive_receipt_decides_to_the_second(receipt, state):
    needs = told(K.CARE_NEEDS, "01 08:30")
    made = early(needs, accepted(needs, receipt), now="05 10:00")
    assert (made.state, made.settled_at, made.remind_at) == (state, at(receipt), None)


@pytest.mark.parametrize("step", [Step.DELIVERED, Step.REFUSED, Step.SEEN])
def test_no_8_sending_delivery_and_refusal_are_no_receipt(step):
    needs = told(K.CARE_NEEDS, "01 08:30")
    other = Evidence(
        step=step, message_id=needs.message_id, sender=needs.sender, party=LAERDAL, at=at("01 09:00")
    )
    assert early(needs, other, now="02 08:00:00").state == "open"
    assert early(needs, other, now="02 08:00:01").state == "missed"


def test_no_8_a_receipt_of_somebody_else_is_not_the_municipality_s():
    needs = told(K.CARE_NEEDS, "01 08:30", receivers=(LAERDAL, "legekontor"))
    assert early(needs, accepted(needs, "01 09:00", "legekontor")).state == "open"


def test_no_8_each_municipality_has_its_own_early_notice():
    needs = told(K.CARE_NEEDS, "01 08:30", receivers=(LAERDAL, AARDAL))
    found = read("norway", [ADMITTED, needs, accepted(needs, "01 09:00", AARDAL)], "01 10:00")
    assert {d.party: d.state for d in found} == {LAERDAL: "open", AARDAL: "met"}


def test_no_8_updated_information_that_replaces_a_notice_received_in_time_does_not_make_it_late():
    needs = told(K.CARE_NEEDS, "01 08:30")
    updated = told(
        K.CARE_NEEDS, "04 08:30", standing=Standing.CORRECTION, refers_to=needs.message_id, message_id="new"
    )
    made = early(needs, accepted(needs, "01 09:00"), updated, accepted(updated, "04 09:00"), now="05 10:00")
    assert (made.state, made.settled_at) == ("met", at("01 09:00"))


def test_no_8_over_the_autumn_night_24_hours_are_24_hours():
    admitted = told(
        K.ADMITTED,
        "01 08:00",
        occurred=datetime(2025, 10, 26, 1, 30, tzinfo=OSLO),
        sent_at=datetime(2025, 10, 26, 1, 30, tzinfo=OSLO),
    )
    made = of("early-notice", read("norway", [admitted], "01 09:00"))
    assert made.due_at.isoformat() == "2025-10-27T00:30:00+01:00"


def test_his_1144_a_need_that_shows_later_has_24_hours_of_its_own_and_says_that_it_is_not_payment_law():
    made = early(told(K.NEED_IDENTIFIED, "03 10:00"), now="03 11:00")
    assert (made.due_at, made.state, made.since) == (at("04 10:00"), "open", at("03 10:00"))
    assert "not payment law" in made.basis
    assert "2024-03-02 08:00:00" in made.reason


def test_his_1144_a_need_found_at_admission_changes_nothing():
    assert early(told(K.NEED_IDENTIFIED, "01 08:00")).due_at == at("02 08:00")


def test_his_1144_a_need_identified_afterwards_does_not_excuse_a_late_notice():
    needs = told(K.CARE_NEEDS, "02 12:00")
    later = told(K.NEED_IDENTIFIED, "02 18:00")
    made = early(needs, accepted(needs, "02 12:00"), later, now="05 10:00")
    assert (made.due_at, made.state) == (at("02 08:00"), "met-late")


def test_no_8_no_municipal_need_closes_it_until_a_need_shows():
    none = told(K.NO_MUNICIPAL_NEED, "01 12:00")
    assert early(none, now="05 10:00").state == "void"
    again = early(none, told(K.NEED_IDENTIFIED, "03 10:00"), now="03 11:00")
    assert (again.due_at, again.state) == (at("04 10:00"), "open")


@pytest.mark.parametrize("kind", [K.DISCHARGED, K.LEFT_AGAINST_ADVICE])
def test_no_8_a_stay_that_ends_before_the_time_is_up_needs_no_early_notice(kind):
    assert early(told(kind, "02 07:59:59"), now="05 10:00").state == "void"
    assert early(told(kind, "02 08:00"), now="05 10:00").state == "missed"


def test_death_closes_the_early_notice_even_when_it_was_late():
    made = early(told(K.DECEASED, "04 10:00"), now="05 10:00")
    assert (made.state, made.settled_at) == ("void", at("04 10:00"))
    assert "had been due" in made.reason


def test_a_municipal_acute_bed_gives_no_early_notice():
    made = agreement("norway")
    (case,) = fold([ADMITTED], made.zone)
    assert deadlines(case, made, at("01 09:00"), {LAERDAL_SJUKEHUS: "municipal-acute-bed"}) == ()


def test_without_a_register_every_receiver_but_the_hospital_is_taken_for_a_municipality():
    made = agreement("norway")
    (case,) = fold([ADMITTED], made.zone)
    found = deadlines(case, made, at("01 09:00"))
    assert {d.party for d in found} == {LAERDAL}
    assert {d.kind for d in found} == {"early-notice", "report-of-admission"}


def test_the_receiver_need_not_be_known():
    made = of("early-notice", read("norway", [told(K.ADMITTED, "01 08:00", receivers=())], "01 09:00"))
    assert (made.party, made.state) == (None, "open")


# --- Norway, § 11: the answer -------------------------------------------------------------------------------


def answers(*facts: Fact, now: str = "05 10:30", **terms: Any) -> list[Deadline]:
    return [d for d in read("norway", [ADMITTED, *facts], now, **terms) if d.kind == "answer"]


def answer(*facts: Fact, now: str = "05 10:30", **terms: Any) -> Deadline:
    (one,) = answers(*facts, now=now, **terms)
    return one


def test_no_11_at_once_is_two_hours_by_a_local_figure_that_says_so():
    made = answer(*ready("05 09:00", "05 10:00"))
    assert (made.actor, made.party, made.state) == ("municipality", LAERDAL, "open")
    assert (made.since, made.due_at, made.remind_at) == (at("05 10:00"), at("05 12:00"), at("05 11:00"))
    assert (made.confidence, made.reason.startswith("2 hours is a local figure")) == ("local", True)


def test_no_11_how_soon_is_agreed_and_no_reminder_precedes_the_notice():
    made = answer(*ready("05 09:00", "05 10:00"), answer_within="PT45M", remind_before="PT5H")
    assert (made.due_at, made.remind_at) == (at("05 10:45"), at("05 10:00"))


def test_no_11_a_ready_notice_without_a_receipt_asks_for_no_answer():
    assert answers(*ready("05 09:00"), now="08 10:00") == []


@pytest.mark.parametrize("value", list(AnswerValue))
def test_no_11_any_answer_is_an_answer(value):
    made = answer(*ready("05 09:00", "05 10:00"), told(K.ANSWER, "05 11:00", answer=value), now="08 10:00")
    assert (made.state, made.settled_at) == ("met", at("05 11:00"))


def test_no_11_a_late_answer_is_met_late_and_none_is_missed():
    asked = ready("05 09:00", "05 10:00")
    assert answer(*asked, now="05 12:00:01").state == "missed"
    assert answer(*asked, told(K.ANSWER, "05 12:00:01"), now="08 10:00").state == "met-late"
    assert (
        answer(*asked, told(K.ANSWER, "05 12:00"), told(K.ANSWER, "06 09:00"), now="08 10:00").state == "met"
    )


def test_no_11_the_answer_of_another_municipality_is_not_its_own():
    notice = told(K.READY_FOR_DISCHARGE, "05 09:00", receivers=(LAERDAL, AARDAL))
    asked = [notice, accepted(notice, "05 10:00"), accepted(notice, "05 10:00", AARDAL)]
    found = answers(*asked, told(K.ANSWER, "05 10:15", sender=AARDAL))
    assert {d.party: d.state for d in found} == {LAERDAL: "open", AARDAL: "met"}


def test_no_11_what_was_said_before_the_ready_notice_answers_it_only_by_reference():
    asked = ready("05 09:00", "05 10:00")
    assert answer(told(K.ANSWER, "04 10:00"), *asked).state == "open"
    referring = told(K.ANSWER, "04 10:00", refers_to=asked[0].message_id)
    assert answer(referring, *asked).state == "met"


def test_no_11_a_future_ready_day_is_only_announced_until_that_day_begins():
    asked = ready("05 09:00", "05 10:00", ready=date(2024, 3, 8), estimate=True)
    made = answer(*asked, now="06 10:00")
    assert (made.since, made.due_at, made.state) == (at("08 00:00"), at("08 02:00"), "open")
    assert made.remind_at == at("08 01:00")
    assert "announced" in made.reason
    assert answer(*asked, now="08 02:00:01").state == "missed"


@pytest.mark.parametrize("day", [4, 5])
def test_no_11_an_estimate_of_today_or_of_the_past_counts_from_the_receipt(day):
    made = answer(*ready("05 09:00", "05 10:00", ready=date(2024, 3, day), estimate=True))
    assert made.since == at("05 10:00")


def test_no_11_a_receipt_that_comes_after_the_announced_day_starts_the_count():
    assert answer(*ready("05 09:00", "09 10:00", ready=date(2024, 3, 8)), now="09 11:00").since == at(
        "09 10:00"
    )


def test_no_11_an_announcement_gives_way_to_what_is_told_before_its_day():
    first = ready("05 09:00", "05 10:00", ready=date(2024, 3, 8), estimate=True)
    earlier = answer(*first, *ready("06 09:00", "06 09:30", ready=date(2024, 3, 6)), now="06 10:00")
    later = answer(*first, *ready("06 09:00", "06 09:30", ready=date(2024, 3, 11)), now="06 10:00")
    assert (earlier.since, later.since) == (at("06 09:30"), at("11 00:00"))


def test_no_11_an_announcement_can_be_answered_before_its_day():
    asked = ready("05 09:00", "05 10:00", ready=date(2024, 3, 8), occurred=date(2024, 3, 8))
    assert answer(*asked, told(K.ANSWER, "06 10:00"), now="07 10:00").state == "met"


def test_no_11_a_repeated_or_corrected_ready_notice_does_not_start_the_count_again():
    asked = ready("05 09:00", "05 10:00")
    assert answer(*asked, *ready("06 09:00", "06 09:10")).due_at == at("05 12:00")
    mended = corrected(asked, "06 09:00", occurred=at("05 09:00"))
    assert answer(*asked, *mended).due_at == at("05 12:00")


def corrected(asked: list[Fact], when: str, **more: Any) -> list[Fact]:
    """The ready notice with something put right, received ten minutes later."""
    made = told(
        K.READY_FOR_DISCHARGE, when, standing=Standing.CORRECTION, refers_to=asked[0].message_id, **more
    )
    return [made, accepted(made, f"{when[:-2]}10")]


def test_no_11_a_corrected_ready_day_counts_from_when_the_correction_is_known():
    asked = ready("05 09:00", "05 10:00", ready=date(2024, 3, 8))
    sooner = corrected(asked, "06 09:00", ready=date(2024, 3, 6))
    assert answer(*asked, *sooner).since == at("06 09:10")
    today = ready("05 09:00", "05 10:00")
    put_off = corrected(today, "06 09:00", ready=date(2024, 3, 8))
    assert answer(*today, *put_off).since == at("08 00:00")


def test_no_11_a_receipt_that_comes_twice_counts_once():
    asked = ready("05 09:00", "05 10:00")
    assert answer(*asked, *asked, accepted(asked[0], "05 11:30")).due_at == at("05 12:00")


@pytest.mark.parametrize("kind", [K.READINESS_WITHDRAWN, K.DISCHARGED, K.LEFT_AGAINST_ADVICE, K.DECEASED])
@pytest.mark.parametrize("when", ["05 10:20", "06 10:00"])
def test_no_11_withdrawal_discharge_and_death_void_an_unanswered_question(kind, when):
    made = answer(*ready("05 09:00", "05 10:00"), told(kind, when), now="08 10:00")
    assert (made.state, made.settled_at) == ("void", at(when))


def test_no_11_an_answer_before_the_withdrawal_stays_an_answer():
    facts = [
        *ready("05 09:00", "05 10:00"),
        told(K.ANSWER, "05 11:00"),
        told(K.READINESS_WITHDRAWN, "05 11:30"),
    ]
    assert answer(*facts, now="08 10:00").state == "met"


def test_no_11_a_new_ready_notice_after_a_withdrawal_asks_anew():
    facts = [
        *ready("05 09:00", "05 10:00"),
        told(K.READINESS_WITHDRAWN, "05 11:00"),
        *ready("06 09:00", "06 09:30"),
    ]
    first, second = answers(*facts, now="06 10:00")
    assert (first.state, second.state, second.due_at) == ("void", "open", at("06 11:30"))
    answered = answers(*facts, told(K.ANSWER, "06 10:00"), now="06 13:00")
    assert [d.state for d in answered] == ["void", "met"]


def test_no_11_a_withdrawal_told_again_does_not_withdraw_the_new_ready_notice():
    first = told(K.READY_FOR_DISCHARGE, "05 09:00")
    facts = [
        first,
        accepted(first, "05 10:00"),
        told(K.READINESS_WITHDRAWN, "05 11:00", refers_to=first.message_id),
        *ready("06 09:00", "06 09:30"),
        told(K.READINESS_WITHDRAWN, "06 09:40", refers_to=first.message_id),
    ]
    assert [d.state for d in answers(*facts, now="06 10:00")] == ["void", "open"]


def test_no_11_a_ready_day_without_a_time_is_ordered_by_its_sending():
    yesterday = {"occurred": date(2024, 3, 5), "ready": date(2024, 3, 5)}
    facts = [
        *ready("05 08:00", "05 08:10"),
        told(K.READINESS_WITHDRAWN, "05 09:00"),
        *ready("06 08:00", "06 08:10", **yesterday),
    ]
    assert [d.state for d in answers(*facts, now="06 09:00")] == ["void", "open"]


def test_no_11_a_cancelled_ready_notice_asks_for_nothing():
    asked = ready("05 09:00", "05 10:00")
    gone = told(
        K.READY_FOR_DISCHARGE, "05 10:30", standing=Standing.CANCELLATION, refers_to=asked[0].message_id
    )
    assert answers(*asked, gone) == []


# --- Sweden, 2:3: the admission notice ----------------------------------------------------------------------


def swedish(*facts: Fact, now: str, **terms: Any) -> tuple[Deadline, ...]:
    return read("sweden", list(facts), now, **terms)


@pytest.mark.parametrize(("sent", "state"), [("02 08:00", "met"), ("02 08:00:01", "met-late")])
def test_se_2_3_the_admission_notice_counts_when_it_is_sent(sent, state):
    made = of("admission-notice", swedish(told(K.ADMITTED, "01 08:00", sent_at=at(sent)), now="05 10:00"))
    assert (made.state, made.due_at, made.settled_at) == (state, at("02 08:00"), at(sent))
    assert (made.basis, made.confidence) == ("lag 2017:612 2 kap. 3 §", "Q")


def test_se_2_3_each_receiver_has_its_own_admission_notice():
    both = told(K.READY_FOR_DISCHARGE, "05 09:00", receivers=(LAERDAL, "halsocentral"))
    found = [d for d in swedish(ADMITTED, both, now="05 10:00") if d.kind == "admission-notice"]
    assert {d.party: d.state for d in found} == {LAERDAL: "met", "halsocentral": "missed"}


def test_se_2_3_an_admission_notice_sent_twice_was_sent_the_first_time():
    again = told(K.ADMITTED, "01 08:00", sent_at=at("04 08:00"), message_id="again")
    assert of("admission-notice", swedish(again, ADMITTED, now="05 10:00")).settled_at == at("01 08:00")


def test_se_2_3_a_judgement_made_later_has_24_hours_of_its_own_by_the_same_paragraph():
    late = told(K.ADMITTED, "01 08:00", sent_at=at("04 09:00"))
    made = of("admission-notice", swedish(late, told(K.NEED_IDENTIFIED, "03 10:00"), now="05 10:00"))
    assert (made.due_at, made.state, made.basis) == (at("04 10:00"), "met", "lag 2017:612 2 kap. 3 §")


# --- Sweden, 4:3: the call to SIP ---------------------------------------------------------------------------


def sip(*facts: Fact, now: str = "02 09:00") -> Deadline:
    return of("sip-call", swedish(ADMITTED, *facts, now=now))


SIP_NEEDED = told(K.READY_FOR_DISCHARGE, "01 12:00", sip_needed=True)  # a Friday


def test_se_4_3_no_call_is_asked_for_where_no_plan_is_needed():
    assert not [d for d in swedish(ADMITTED, *ready("01 12:00"), now="02 09:00") if d.kind == "sip-call"]


def test_se_4_3_the_call_is_due_on_the_third_calendar_day():
    made = sip(SIP_NEEDED)
    assert (made.actor, made.party, made.state) == ("fixed-care-contact", None, "open")
    assert (made.due_at.isoformat(), made.remind_at) == ("2024-03-04T23:59:59+01:00", at("03 23:59:59"))


@pytest.mark.parametrize(("when", "state"), [("04 23:59:59", "met"), ("05 00:00", "met-late")])
def test_se_4_3_primary_care_s_call_settles_it(when, state):
    assert sip(SIP_NEEDED, told(K.SIP_CALL, when), now="08 10:00").state == state


def test_se_4_3_a_municipality_s_wish_or_call_never_settles_it():
    wish = told(K.SIP_REQUESTED, "02 10:00", sender=LAERDAL)
    own_call = told(K.SIP_CALL, "02 10:00", sender=LAERDAL)
    assert sip(SIP_NEEDED, wish, own_call, now="02 11:00").state == "open"
    assert sip(SIP_NEEDED, wish, own_call, now="05 00:00").state == "missed"


@pytest.mark.parametrize("kind", [K.SIP_DECLINED, K.READINESS_WITHDRAWN, K.DECEASED])
def test_se_4_3_a_plan_declined_a_withdrawal_and_death_end_the_duty(kind):
    assert sip(SIP_NEEDED, told(kind, "02 10:00"), now="08 10:00").state == "void"


def test_se_4_3_discharge_does_not_end_the_duty():
    assert sip(SIP_NEEDED, told(K.DISCHARGED, "02 08:00")).state == "open"


# --- Sweden, 5:3-5:5: when the municipality begins to pay ---------------------------------------------------

OPEN_CARE = told(K.OPEN_CARE_AVAILABILITY, "01 09:00", open_care_available=True)


def payment(*facts: Fact, now: str = "01 15:00") -> Deadline:
    return of("payment-start", swedish(ADMITTED, OPEN_CARE, *facts, now=now))


@pytest.mark.parametrize(
    ("sent", "first"),
    [
        ("01 12:00:00", "04 00:00"),
        ("01 12:00:01", "05 00:00"),
        ("06 11:00", "09 00:00"),
        ("28 10:00", "31 00:00"),
    ],
)
def test_se_5_4_three_days_after_the_notice_and_four_after_noon(sent, first):
    made = payment(*ready(sent), now=sent)
    assert (made.due_at, made.state, made.actor) == (at(first), "open", "municipality")


def test_se_5_4_sent_counts_and_neither_receipt_nor_delay_in_between():
    assert payment(*ready("01 12:00", "03 15:00")).due_at == at("04 00:00")
    decided_before_noon = told(K.READY_FOR_DISCHARGE, "01 11:00", sent_at=at("01 12:30"))
    assert payment(decided_before_noon).due_at == at("05 00:00")


def test_se_5_4_nothing_done_in_time_means_that_liability_has_begun():
    assert payment(*ready("01 12:00"), now="04 00:00").state == "open"
    assert payment(*ready("01 12:00"), now="04 00:00:01").state == "missed"


@pytest.mark.parametrize("kind", [K.DISCHARGED, K.LEFT_AGAINST_ADVICE])
def test_se_5_4_a_patient_who_leaves_before_it_begins_costs_nothing(kind):
    assert payment(*ready("01 12:00"), told(kind, "03 20:00"), now="08 10:00").state == "met"
    assert payment(*ready("01 12:00"), told(kind, "05 20:00"), now="08 10:00").state == "met-late"


def receives(when: str, day: int | None = None, value: AnswerValue = AnswerValue.CAN_RECEIVE) -> Notice:
    return told(K.ANSWER, when, answer=value, receive_from=date(2024, 3, day) if day else None)


@pytest.mark.parametrize(
    ("day", "state"), [(None, "met"), (2, "met"), (4, "met"), (5, "met-late"), (9, "missed")]
)
def test_se_5_4_a_municipality_that_can_receive_by_that_day_has_done_its_part(day, state):
    assert payment(*ready("01 12:00"), receives("02 10:00", day), now="08 10:00").state == state


def test_se_5_4_an_answer_that_is_taken_back_does_not_count():
    back = receives("03 10:00", value=AnswerValue.CANNOT_RECEIVE)
    assert payment(*ready("01 12:00"), receives("02 10:00"), back, now="08 10:00").state == "missed"
    put_off = receives("03 10:00", 6)
    made = payment(*ready("01 12:00"), receives("02 10:00", 4), put_off, now="08 10:00")
    assert (made.state, made.settled_at) == ("met-late", at("06 00:00"))


def test_se_5_4_an_answer_that_is_repeated_counts_from_the_first():
    made = payment(*ready("01 12:00"), receives("02 10:00"), receives("03 10:00"), now="08 10:00")
    assert (made.state, made.settled_at) == ("met", at("02 10:00"))


def test_se_5_4_a_withdrawal_voids_it_and_a_new_notice_starts_anew():
    facts = [*ready("01 11:00"), told(K.READINESS_WITHDRAWN, "03 10:00"), *ready("06 14:00")]
    found = [d for d in swedish(ADMITTED, OPEN_CARE, *facts, now="06 15:00") if d.kind == "payment-start"]
    assert [(d.state, d.due_at) for d in found] == [("void", at("04 00:00")), ("open", at("10 00:00"))]


def test_se_5_4_a_withdrawal_after_it_began_does_not_undo_that_it_began():
    made = payment(*ready("01 11:00"), told(K.READINESS_WITHDRAWN, "06 10:00"), now="08 10:00")
    assert made.state == "missed"


def test_se_5_4_death_before_it_begins_voids_it():
    assert payment(*ready("01 11:00"), told(K.DECEASED, "03 10:00"), now="08 10:00").state == "void"


def test_se_5_3_without_an_admission_notice_no_liability():
    unsent = told(K.ADMITTED, "01 08:00", receivers=("halsocentral",))
    made = of("payment-start", swedish(unsent, OPEN_CARE, *ready("01 11:00"), now="08 10:00"))
    assert made.state == "void"
    assert "no admission notice has been sent to the municipality (lag 2017:612 5 kap. 3 §)" in made.reason


def test_se_5_3_without_a_call_to_a_plan_that_is_needed_never_liable():
    made = payment(SIP_NEEDED, now="20 10:00")
    assert (made.state, "SIP" in made.reason) == ("void", True)
    assert payment(SIP_NEEDED, told(K.SIP_CALL, "03 10:00")).due_at == at("04 00:00")
    assert payment(SIP_NEEDED, told(K.SIP_CALL, "03 10:00")).state == "open"
    assert payment(SIP_NEEDED, told(K.SIP_DECLINED, "03 10:00")).state == "open"


@pytest.mark.parametrize(
    "said",
    [
        [],
        [told(K.OPEN_CARE_AVAILABILITY, "01 09:00", open_care_available=False)],
        [OPEN_CARE, told(K.OPEN_CARE_AVAILABILITY, "02 09:00", open_care_available=False)],
        [told(K.OPEN_CARE_AVAILABILITY, "01 09:00", open_care_available=True, sender=LAERDAL_SJUKEHUS)],
    ],
    ids=["not clarified", "not available", "no longer available", "said by the hospital"],
)
def test_se_5_5_no_liability_unless_primary_care_says_that_open_care_is_available(said):
    made = of("payment-start", swedish(ADMITTED, *ready("01 11:00"), *said, now="08 10:00"))
    assert (made.state, made.remind_at) == ("void", None)
    assert "5 kap. 5 §" in made.reason


def test_se_5_5_when_the_block_is_lifted_late_liability_begins_with_the_next_day():
    lifted = told(K.OPEN_CARE_AVAILABILITY, "06 09:00", open_care_available=True)
    made = of("payment-start", swedish(ADMITTED, *ready("01 11:00"), lifted, now="06 10:00"))
    assert (made.state, made.due_at) == ("open", at("07 00:00"))


def test_se_5_2_the_responsible_municipality_pays_and_primary_care_does_not():
    both = told(K.READY_FOR_DISCHARGE, "01 11:00", receivers=("halsocentral", LAERDAL))
    assert payment(both).party == LAERDAL


# --- Sweden, 5:6: the days ----------------------------------------------------------------------------------


def charged(*facts: Fact, now: str) -> list[int]:
    made = agreement("sweden")
    (case,) = fold([ADMITTED, *facts], made.zone)
    return [day.date.day for found in liabilities(case, made, at(now), ROLES) for day in found.days]


def test_se_5_4_days_are_charged_from_the_start_until_the_day_of_now():
    assert charged(OPEN_CARE, *ready("01 12:00"), now="07 10:00") == [4, 5, 6]
    assert charged(OPEN_CARE, *ready("01 12:00"), now="04 23:59") == []


@pytest.mark.parametrize(
    "end",
    [told(K.DISCHARGED, "06 10:00"), told(K.DECEASED, "06 10:00"), told(K.LEFT_AGAINST_ADVICE, "06 10:00"),
     told(K.READINESS_WITHDRAWN, "06 10:00"), receives("06 10:00"), receives("05 10:00", 6)],
    ids=["discharge", "death", "leaving", "withdrawal", "can receive", "can receive from"],
)  # fmt: skip
def test_se_5_4_the_day_on_which_it_ends_is_not_charged(end):
    assert charged(OPEN_CARE, *ready("01 12:00"), end, now="20 10:00") == [4, 5]


def test_se_5_5_a_day_that_begins_without_open_care_is_not_charged():
    gone = told(K.OPEN_CARE_AVAILABILITY, "05 09:00", open_care_available=False)
    back = told(K.OPEN_CARE_AVAILABILITY, "07 09:00", open_care_available=True)
    assert charged(OPEN_CARE, *ready("01 12:00"), gone, back, now="10 10:00") == [4, 5, 8, 9]


# --- every order --------------------------------------------------------------------------------------------

NORWEGIAN = [K.NEED_IDENTIFIED, K.NO_MUNICIPAL_NEED, K.CARE_NEEDS, K.READY_FOR_DISCHARGE,
             K.READINESS_WITHDRAWN, K.ANSWER, K.DISCHARGED, K.DECEASED]  # fmt: skip
SWEDISH = [*NORWEGIAN, K.SIP_CALL, K.SIP_DECLINED, K.SIP_REQUESTED, K.OPEN_CARE_AVAILABILITY, K.ADMITTED]


@st.composite
def histories(draw: st.DrawFn, kinds: list[NoticeKind]) -> list[Fact]:
    facts: list[Fact] = [ADMITTED]
    for number in range(draw(st.integers(1, 7))):
        kind = draw(st.sampled_from(kinds))
        when = at("01 08:00") + timedelta(hours=draw(st.integers(0, 240)))
        own = {K.ANSWER: LAERDAL, K.OPEN_CARE_AVAILABILITY: "halsocentral", K.SIP_CALL: "halsocentral"}
        notice = told(
            kind, "01 08:00", message_id=f"m{number}", occurred=when, encounter="stay",
            sent_at=when + timedelta(hours=draw(st.sampled_from([0, 0, 3, 30]))),
            sender=own.get(kind, LAERDAL_SJUKEHUS),
            receivers=draw(st.sampled_from([(LAERDAL,), (AARDAL, LAERDAL), ()])),
            sip_needed=draw(st.booleans()), answer=draw(st.sampled_from(list(AnswerValue))),
            ready=draw(st.sampled_from([None, date(2024, 3, 5)])), open_care_available=draw(st.booleans()),
        )  # fmt: skip
        facts.append(notice)
        if draw(st.booleans()):
            received = notice.sent_at + timedelta(minutes=draw(st.integers(0, 3000)))
            for party in notice.receivers:
                facts.append(
                    Evidence(
                        step=Step.ACCEPTED,
                        message_id=f"m{number}",
                        sender=notice.sender,
                        party=party,
                        at=received,
                    )
                )
    return [told(K.ADMITTED, "01 08:00", encounter="stay"), *facts[1:]]


@pytest.mark.parametrize("country", ["norway", "sweden"])
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_every_order_and_every_repetition_of_the_facts_gives_the_same_deadlines(country, data):
    facts = data.draw(histories(NORWEGIAN if country == "norway" else SWEDISH))
    now = at("01 08:00") + timedelta(hours=data.draw(st.integers(0, 300)))
    shuffled = [*facts, *data.draw(st.lists(st.sampled_from(facts), max_size=3))]
    random.Random(data.draw(st.integers(0, 99))).shuffle(shuffled)
    made = agreement(country)
    told_in_order, told_in_any = (
        [(deadlines(c, made, now, ROLES), liabilities(c, made, now, ROLES)) for c in fold(given, made.zone)]
        for given in (facts, shuffled)
    )
    assert told_in_order == told_in_any


@pytest.mark.parametrize("country", ["norway", "sweden"])
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_no_deadline_lies_before_its_start_and_only_an_open_one_reminds(country, data):
    facts = data.draw(histories(NORWEGIAN if country == "norway" else SWEDISH))
    made = agreement(country)
    (case,) = fold(facts, made.zone)
    for d in deadlines(case, made, at("08 10:00"), ROLES):
        assert d.since <= d.due_at
        assert d.due_at.utcoffset() == d.due_at.astimezone(made.zone).utcoffset()
        assert (d.remind_at is not None) == (d.state == "open" and not d.quiet)
        assert d.remind_at is None or d.since <= d.remind_at <= d.due_at
        assert (d.settled_at is None) or d.state in ("met", "met-late", "void")
    days = [day for found in liabilities(case, made, at("08 10:00"), ROLES) for day in found.days]
    assert len(days) == len(set(days))


def test_now_may_be_in_any_zone():
    made = agreement("norway")
    (case,) = fold([ADMITTED], made.zone)
    utc = datetime(2024, 3, 2, 7, 0, 1, tzinfo=UTC)
    assert deadlines(case, made, utc) == deadlines(case, made, utc.astimezone(OSLO))
    assert deadlines(case, made, utc)[0].state == "missed"


# --- the time of the transport receipt, by agreement --------------------------------------------------------


def refused(notice: Notice, when: str) -> Evidence:
    return Evidence(
        step=Step.REFUSED, message_id=notice.message_id, sender=notice.sender, party=LAERDAL, at=at(when)
    )


def test_hisd_80806_a_refused_notice_is_not_received_whichever_time_is_agreed():
    notice = told(K.READY_FOR_DISCHARGE, "05 09:00")
    delivered = replace(accepted(notice, "05 09:01"), step=Step.DELIVERED)
    facts = [ADMITTED, notice, delivered, refused(notice, "05 09:02")]
    found = read("norway", facts, "06 09:00", receipt_counts_by="delivered")
    assert not [d for d in found if d.kind in ("answer", "payment-start")]
    counted = of("answer", read("norway", [*facts[:3], accepted(notice, "05 11:00")], "06 09:00"))
    assert counted.since == at("05 11:00")
    sooner = read(
        "norway", [*facts[:3], accepted(notice, "05 11:00")], "06 09:00", receipt_counts_by="delivered"
    )
    assert of("answer", sooner).since == at("05 09:01")
