"""The average model (Sweden, by agreement under 2017:612 4:5): the mean of a month decides, not each day."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.discharge.agreement import Accord, Agreement, agreed, agreement, countries
from adapter.discharge.average import Mean, means, place_in_mean, shares
from adapter.discharge.case import Case, Fact, fold
from adapter.discharge.deadlines import deadlines
from adapter.discharge.notices import Notice, NoticeKind
from adapter.discharge.payment import liabilities
from adapter.discharge.scenario import explain
from adapter.discharge.wording import said
from adapter.errors import ConfigurationError
from tests.discharge.described import told
from tests.discharge.test_law_properties import stays

K = NoticeKind
STOCKHOLM = ZoneInfo("Europe/Stockholm")
NUS, LYCKSELE, UMEAA, VINDELN, CLINIC = "nus", "lycksele", "umeå", "vindeln", "ålidhem"
ROLES = {
    NUS: "hospital",
    LYCKSELE: "hospital",
    UMEAA: "municipality",
    VINDELN: "municipality",
    CLINIC: "open-care",
}
NOW = datetime(2022, 12, 31, 12, tzinfo=STOCKHOLM)
MODEL = "Överenskommelse om genomsnitt"


def accord(level: Any = "3.0", **more: Any) -> Accord:
    return Accord(**({"name": MODEL, "terms": {"average_days": level}} | more))


def terms(*accords: Accord) -> Agreement:
    return agreement("sweden", accords=accords or (accord(),))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=STOCKHOLM)


def notice(kind: K, when: str, **more: Any) -> Notice:
    fields: dict[str, Any] = {
        "kind": kind,
        "message_id": f"{kind} {when}",
        "occurred": at(when),
        "sent_at": at(when),
        "sender": NUS,
        "receivers": (UMEAA, CLINIC),
        "hospital": NUS,
        "encounter": "stay",
    }
    return Notice(**(fields | more))


def by_clinic(kind: K, when: str, **more: Any) -> Notice:
    return notice(kind, when, **({"sender": CLINIC, "receivers": (NUS,)} | more))


def available(when: str, value: bool = True, **more: Any) -> Notice:
    return by_clinic(K.OPEN_CARE_AVAILABILITY, when, open_care_available=value, **more)


def case(*facts: Fact) -> Case:
    (made,) = fold(facts, STOCKHOLM)
    return made


def stay(ready: str, left: str | None, *more: Fact, how: K = K.DISCHARGED, **notices: Any) -> Case:
    """A stay from 1 November 2021 on for which every condition is fulfilled."""
    begun = "2021-11-01 08:00"
    receiver = {
        "receivers": (notices.get("municipality", UMEAA), CLINIC),
        "hospital": notices.get("hospital", NUS),
    }
    from_hospital = {**receiver, "sender": receiver["hospital"]}
    facts: list[Fact] = [
        notice(K.ADMITTED, begun, **from_hospital),
        available(begun, receivers=(receiver["hospital"],), hospital=receiver["hospital"]),
        notice(K.READY_FOR_DISCHARGE, ready, **from_hospital),
        *more,
    ]
    if left is not None:
        facts.append(notice(how, left, **from_hospital))
    return case(*facts)


def month(*cases: Case, by: Agreement | None = None, now: datetime = NOW) -> tuple[Mean, ...]:
    made = by or terms()
    return means([share.added for one in cases for share in shares(one, made, now, ROLES)], made)


def ready_days(one: Case, by: Agreement | None = None) -> list[int]:
    return [len(share.days) for share in shares(one, by or terms(), NOW, ROLES)]


# --- the mean ---------------------------------------------------------------------------------------------


def test_the_municipality_pays_the_days_by_which_the_mean_exceeds_the_level():
    """Four patients, 14 days: a mean of 3.5 over a level of 3.0 is two days of 9 300 SEK."""
    found = month(
        stay("2022-03-01 10:00", "2022-03-07 10:00"),
        stay("2022-03-01 10:00", "2022-03-06 10:00"),
        stay("2022-03-01 10:00", "2022-03-04 10:00"),
        stay("2022-03-01 10:00", "2022-03-01 15:00"),
    )
    assert [(m.patients, m.days, m.over, m.price, m.amount) for m in found] == [
        (4, 14, Decimal(2), Decimal(9300), Decimal(18600))
    ]
    assert (found[0].debtor, found[0].payee, found[0].month) == (UMEAA, "region", date(2022, 3, 1))
    assert said(found[0].why) == (
        f"{MODEL}: patients discharged in 2022-03: 4; ready days: 14; the mean 3.50 is above the agreed 3.0, "
        "so days to be paid: 2.0 (lag 2017:612 4 kap. 5 §)"
    )


@pytest.mark.parametrize(
    ("level", "owed"), [("5", "0"), ("4.99", "93.00"), ("4.9999", "0.93"), ("0", "46500.00")]
)
def test_only_what_exceeds_the_level_is_owed_to_the_oere(level, owed):
    (found,) = month(stay("2022-03-01 10:00", "2022-03-06 10:00"), by=terms(accord(level)))
    assert found.amount == Decimal(owed)


def test_a_half_of_an_oere_is_rounded_up():
    by = terms(accord("4.5", terms={"average_days": "4.5", "amounts": {"2022": "0.01"}}))
    (found,) = month(stay("2022-03-01 10:00", "2022-03-06 10:00"), by=by)
    assert (found.over, found.amount) == (Decimal("0.5"), Decimal("0.01"))


def test_who_leaves_on_the_day_of_the_notice_is_in_the_mean_with_no_day():
    assert ready_days(stay("2022-03-01 08:00", "2022-03-01 23:00")) == [0]
    assert ready_days(stay("2022-03-01 23:00", "2022-03-02 00:00")) == [1]


def test_a_patient_without_a_ready_notice_is_in_no_mean():
    """Our reading: nobody has said of such a patient when the days would begin."""
    begun = notice(K.ADMITTED, "2022-02-01 08:00")
    assert month(case(begun, notice(K.DISCHARGED, "2022-03-03 10:00"))) == ()


def test_a_patient_who_has_not_left_is_in_no_mean_yet():
    one = stay("2022-03-01 10:00", "2022-03-06 10:00")
    assert month(one, now=at("2022-03-06 09:59")) == ()
    assert len(month(one, now=at("2022-03-06 10:00"))) == 1


def test_the_month_of_the_discharge_decides_not_that_of_the_days():
    (found,) = month(stay("2022-03-25 10:00", "2022-04-02 10:00"))
    assert (found.month, found.days) == (date(2022, 4, 1), 8)


def test_a_discharge_in_the_night_of_new_year_is_in_the_month_of_the_hospital_s_clock():
    (found,) = month(stay("2021-12-28 10:00", "2022-01-01 00:00"))
    assert (found.month, found.price) == (date(2022, 1, 1), Decimal(9300))
    (before,) = month(stay("2021-12-28 10:00", "2021-12-31 23:59"))
    assert (before.month, before.price) == (date(2021, 12, 1), None)


def test_without_a_price_the_amount_is_not_known_unless_nothing_is_owed():
    (found,) = month(stay("2021-12-01 10:00", "2021-12-06 10:00"))
    assert (found.over, found.amount) == (Decimal(2), None)
    assert [said(r) for r in found.remarks] == [
        "the amount per day of 2021 is not known here, so neither is the total"
    ]
    (within,) = month(stay("2021-12-01 10:00", "2021-12-03 10:00"))
    assert (within.amount, within.remarks) == (Decimal(0), ())


# --- the days ---------------------------------------------------------------------------------------------


def test_the_days_of_a_withdrawn_notice_and_of_the_new_one_add_up():
    one = stay(
        "2022-03-01 10:00",
        "2022-03-12 10:00",
        notice(K.READINESS_WITHDRAWN, "2022-03-04 10:00"),
        notice(K.READY_FOR_DISCHARGE, "2022-03-10 10:00"),
    )
    assert ready_days(one) == [5]
    assert month(one)[0].patients == 1


def test_a_notice_withdrawn_and_given_again_on_one_day_counts_that_day_once():
    one = stay(
        "2022-03-01 08:00",
        "2022-03-03 10:00",
        notice(K.READINESS_WITHDRAWN, "2022-03-02 09:00"),
        notice(K.READY_FOR_DISCHARGE, "2022-03-02 10:00"),
    )
    assert ready_days(one) == [2]


def test_the_days_count_from_the_sending_of_the_first_notice_that_stands():
    again = notice(K.READY_FOR_DISCHARGE, "2022-03-04 10:00")
    assert ready_days(stay("2022-03-01 10:00", "2022-03-06 10:00", again)) == [5]


def test_a_municipality_that_can_receive_does_not_stop_the_days():
    """Our reading: the mean is of the days until the patient has left."""
    answer = notice(K.ANSWER, "2022-03-02 10:00", sender=UMEAA, receivers=(NUS,), answer="can-receive")
    assert ready_days(stay("2022-03-01 10:00", "2022-03-06 10:00", answer)) == [5]


def test_days_are_calendar_days_over_the_spring_night():
    assert ready_days(stay("2022-03-26 23:30", "2022-03-28 00:30")) == [2]


def test_who_dies_in_hospital_is_not_discharged_and_in_no_mean():
    """Our reading: neither the patient nor the days count."""
    assert month(stay("2022-03-01 10:00", "2022-03-06 10:00", how=K.DECEASED)) == ()


def test_a_stay_that_is_ended_in_writing_after_a_death_is_no_discharge():
    death = notice(K.DECEASED, "2022-03-05 10:00")
    assert month(stay("2022-03-01 10:00", "2022-03-06 10:00", death)) == ()


def test_who_dies_after_the_discharge_stays_in_the_mean():
    death = notice(K.DECEASED, "2022-03-08 10:00")
    assert ready_days(stay("2022-03-01 10:00", "2022-03-06 10:00", death)) == [5]


def test_who_leaves_against_advice_has_left_and_is_in_the_mean():
    assert ready_days(stay("2022-03-01 10:00", "2022-03-06 10:00", how=K.LEFT_AGAINST_ADVICE)) == [5]


# --- the conditions of 5:3 and 5:5 --------------------------------------------------------------------------


def test_without_an_admission_notice_the_days_do_not_count_and_the_patient_does():
    one = case(
        available("2022-02-01 08:00"),
        notice(K.READY_FOR_DISCHARGE, "2022-03-01 10:00"),
        notice(K.DISCHARGED, "2022-03-11 10:00"),
    )
    (found,) = month(one, stay("2022-03-01 10:00", "2022-03-06 10:00"))
    assert (found.patients, found.days, found.amount) == (2, 5, Decimal(0))
    assert "no admission notice has been sent" in " ".join(
        said(s) for s in place_in_mean(one, terms(), NOW, ROLES)
    )


def test_where_a_plan_is_needed_the_days_count_once_primary_care_has_called_before_the_end():
    needed = notice(K.READY_FOR_DISCHARGE, "2022-03-01 10:00", sip_needed=True)

    def days(*more: Fact) -> list[int]:
        basics = (notice(K.ADMITTED, "2022-02-01 08:00"), available("2022-02-01 08:00"))
        return ready_days(case(*basics, needed, *more, notice(K.DISCHARGED, "2022-03-06 10:00")))

    assert days() == [0]
    assert days(by_clinic(K.SIP_CALL, "2022-03-04 10:00")) == [5]
    assert days(by_clinic(K.SIP_CALL, "2022-03-06 10:01")) == [0]
    assert days(notice(K.SIP_DECLINED, "2022-03-02 10:00")) == [5]


def test_days_that_begin_without_open_care_available_do_not_count():
    gone = available("2022-03-03 10:00", False)
    back = available("2022-03-05 10:00")
    assert ready_days(stay("2022-03-01 10:00", "2022-03-07 10:00", gone)) == [3]
    assert ready_days(stay("2022-03-01 10:00", "2022-03-07 10:00", gone, back)) == [4]
    unclear = case(
        notice(K.ADMITTED, "2022-02-01 08:00"),
        notice(K.READY_FOR_DISCHARGE, "2022-03-01 10:00"),
        notice(K.DISCHARGED, "2022-03-06 10:00"),
    )
    assert ready_days(unclear) == [0]


# --- between whom, and when ---------------------------------------------------------------------------------


def charged(one: Case, by: Agreement) -> list[str]:
    return [f"{d.date:%m-%d}" for found in liabilities(one, by, NOW, ROLES) for d in found.days]


def test_while_the_mean_decides_no_day_is_charged_and_the_reason_names_the_agreement_and_the_level():
    one = stay("2022-03-01 10:00", "2022-03-10 10:00")
    (found,) = liabilities(one, terms(), NOW, ROLES)
    assert (found.days, found.liable_from) == ((), None)
    assert [said(r) for r in found.reasons] == [
        f"{MODEL}: no day is charged by itself, because the mean of a month decides "
        "(lag 2017:612 4 kap. 5 §); the agreed level is 3.0 days, a figure of the parties that no law gives"
    ]


def test_nobody_is_alarmed_of_a_payment_start_from_which_nothing_is_owed():
    one = stay("2022-03-01 10:00", None)
    (start,) = [
        d for d in deadlines(one, terms(), at("2022-03-02 10:00"), ROLES) if d.kind == "payment-start"
    ]
    assert (start.quiet, start.remind_at, start.due_at.day, start.confidence) == (True, None, 4, "Q")
    assert start.reason == (
        f"by the agreement {MODEL}, the mean of a month decides and no single day; "
        "the agreed level is 3.0 days"
    )


def test_between_other_parties_each_day_counts():
    by = terms(accord(between=frozenset({NUS, UMEAA})))
    assert charged(stay("2022-03-01 10:00", "2022-03-06 10:00", municipality=VINDELN), by) == [
        "03-04",
        "03-05",
    ]
    elsewhere = stay("2022-03-01 10:00", "2022-03-06 10:00", hospital=LYCKSELE)
    assert charged(elsewhere, by) == ["03-04", "03-05"]
    assert month(elsewhere, by=by) == ()
    assert charged(stay("2022-03-01 10:00", "2022-03-06 10:00"), by) == []


def test_an_agreement_that_names_no_hospital_is_over_the_patients_of_all():
    here, there = (stay("2022-03-01 10:00", "2022-03-06 10:00", hospital=h) for h in (NUS, LYCKSELE))
    (found,) = month(here, there, by=terms(accord(between=frozenset({UMEAA}))))
    assert (found.patients, found.days) == (2, 10)


@pytest.mark.parametrize(
    ("first", "last", "individual", "in_mean"),
    [
        (date(2022, 3, 2), None, ["03-04", "03-05"], []),
        (date(2022, 3, 1), None, [], [5]),
        (None, date(2022, 3, 1), [], [5]),
        (None, date(2022, 2, 28), ["03-04", "03-05"], []),
    ],
)
def test_what_holds_on_the_day_of_the_notice_decides_and_no_patient_is_in_both(
    first, last, individual, in_mean
):
    one, by = stay("2022-03-01 10:00", "2022-03-06 10:00"), terms(accord(valid_from=first, valid_to=last))
    assert (charged(one, by), ready_days(one, by)) == (individual, in_mean)


def test_a_level_that_changes_within_a_month_holds_for_whose_notice_it_is():
    early = accord("2.0", valid_to=date(2022, 3, 10))
    late = accord("4.0", valid_from=date(2022, 3, 11))
    (found,) = month(
        stay("2022-03-01 10:00", "2022-03-06 10:00"),
        stay("2022-03-11 10:00", "2022-03-16 10:00"),
        by=terms(early, late),
    )
    assert (found.allowed, found.over) == (Decimal(6), Decimal(4))
    assert "above the agreed 3.00" in said(found.why)


def test_a_later_agreement_stands_over_an_earlier_one_that_still_holds():
    (found,) = month(
        stay("2022-03-01 10:00", "2022-03-06 10:00"),
        by=terms(accord("1"), accord("4", name="Tillägg", between=frozenset({UMEAA}))),
    )
    assert (found.agreement, found.over) == ("Tillägg", Decimal(1))


def test_each_municipality_has_a_mean_of_its_own():
    found = month(
        stay("2022-03-01 10:00", "2022-03-06 10:00"),
        stay("2022-03-01 10:00", "2022-03-02 10:00", municipality=VINDELN),
    )
    assert [(m.debtor, m.patients, m.over) for m in found] == [
        (UMEAA, 1, Decimal(2)),
        (VINDELN, 1, Decimal(0)),
    ]


def test_a_patient_who_changes_municipality_is_with_each_for_its_own_days():
    moved = notice(K.RESPONSIBLE_MUNICIPALITY_CHANGED, "2022-03-04 10:00", receivers=(VINDELN,))
    one = stay("2022-03-01 10:00", "2022-03-10 10:00", moved)
    found = [(s.debtor, len(s.days)) for s in shares(one, terms(), NOW, ROLES)]
    assert found == [(UMEAA, 3), (VINDELN, 6)]
    by = terms(accord(between=frozenset({UMEAA})))
    assert [(s.debtor, len(s.days)) for s in shares(one, by, NOW, ROLES)] == [(UMEAA, 3)]
    (liability,) = liabilities(one, by, NOW, ROLES)
    assert [(d.party, d.date.day) for d in liability.days] == [(VINDELN, n) for n in range(4, 10)]


def test_the_price_that_the_parties_agreed_on_stands_over_the_national_one():
    by = terms(
        accord(terms={"average_days": "3", "amounts": {"2022": "12000"}}, between=frozenset({NUS, UMEAA}))
    )
    (found,) = month(stay("2022-03-01 10:00", "2022-03-06 10:00"), by=by)
    assert found.amount == Decimal(24000)


# --- the term ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", ["three", "-0.1", "NaN", "Infinity", "", True, [3], None])
def test_a_level_that_is_no_number_of_days_is_named(wrong):
    with pytest.raises(
        ConfigurationError,
        match=f"agreement '{MODEL}', term 'average_days': (.* is no number of days|is empty)",
    ):
        terms(accord(wrong))


@pytest.mark.parametrize("country", [c.name for c in countries() if c.payment.average is None])
def test_only_where_the_law_lets_parties_agree_on_it(country):
    with pytest.raises(ConfigurationError, match="term 'average_days': no such term"):
        agreement(country, accords=[accord()])


def test_a_country_file_that_means_no_rule_is_refused():
    from importlib import resources

    from adapter.discharge.agreement import read_rules

    text = resources.files("adapter.discharge").joinpath("rules", "sweden.toml").read_text("utf-8")
    broken = text.replace('[payment.average]\nrule = "payment-start"', '[payment.average]\nrule = "payment"')
    assert agreed(read_rules(text, "rules/sweden.toml"), {"average_days": 3})
    with pytest.raises(
        ConfigurationError, match=r"rules/sweden.toml: payment, average, rule: there is no rule"
    ):
        read_rules(broken, "rules/sweden.toml")


# --- explained ---------------------------------------------------------------------------------------------


def payment(
    *events: dict[str, Any], level: Any = "3.0", now: str = "2022-04-20T09:00:00+02:00"
) -> dict[str, Any]:
    scenario = {
        "agreement": {"base": "sweden", "terms": {"average_days": level}},
        "now": now,
        "events": list(events),
    }
    made: dict[str, Any] = explain(scenario)["payment"]
    return made


DESCRIBED = (
    told("admitted", "2022-03-20T08:00:00+01:00"),
    told("open-care-availability", "2022-03-20T09:00:00+01:00", available=True),
    told("ready-for-discharge", "2022-03-29T10:00:00+02:00"),
)


def test_explain_gives_the_level_and_what_the_patient_adds_to_which_month():
    found = payment(*DESCRIBED, told("discharged", "2022-04-04T10:00:00+02:00"))
    assert (found["days"], found["total"], found["liable_from"]) == ([], "0", None)
    first, second = found["reasons"]
    assert "the agreed level is 3.0 days, a figure of the parties that no law gives" in first
    assert second == "in the mean of municipality for 2022-04, the month of the discharge, with ready days: 6"
    assert found["why"][1]["sv"].endswith("med utskrivningsklara dagar: 6")


def test_explain_says_why_a_patient_is_in_no_mean():
    assert "not known yet" in payment(*DESCRIBED)["reasons"][1]
    assert (
        "died in hospital" in payment(*DESCRIBED, told("deceased", "2022-04-04T10:00:00+02:00"))["reasons"][1]
    )


# --- whatever happens ---------------------------------------------------------------------------------------


@given(found=stays(), level=st.decimals(0, 12, places=1), later=st.integers(0, 600))
@settings(max_examples=150, deadline=None)
def test_no_day_is_both_in_the_mean_and_charged_and_nothing_is_negative(found, level, later):
    by = agreement("sweden", accords=[accord(level, between=frozenset({"vik"}))])
    roles = {"hospital": "hospital", "vik": "municipality", "årdal": "municipality", "clinic": "open-care"}
    now = min(f.sent_at for f in found if isinstance(f, Notice)) + timedelta(hours=later)
    for one in fold(found, by.zone):
        averaged = [(s.debtor, day) for s in shares(one, by, now, roles) for day in s.days]
        days = [(d.party, d.date) for x in liabilities(one, by, now, roles) for d in x.days]
        assert len(averaged) == len(set(averaged))
        assert not {day for _, day in averaged} & {day for _, day in days}
        assert "vik" not in {debtor for debtor, _ in days}
        assert {debtor for debtor, _ in averaged} <= {"vik"}
        for mean in means([share.added for share in shares(one, by, now, roles)], by):
            assert mean.over >= 0
            assert mean.amount is None or mean.amount >= 0
