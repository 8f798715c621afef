"""What holds for every stay under every country's law, tried on invented ones."""

import random
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.discharge.agreement import Agreement, agreement
from adapter.discharge.case import Case, Evidence, Fact, Step, fold
from adapter.discharge.deadlines import Deadline, deadlines
from adapter.discharge.notices import AnswerValue, Notice, NoticeKind
from adapter.discharge.payment import Day, Liability, liabilities

K = NoticeKind
HOSPITAL, VIK, AARDAL, CLINIC = "hospital", "vik", "årdal", "clinic"
ROLES = {HOSPITAL: "hospital", VIK: "municipality", AARDAL: "municipality", CLINIC: "open-care"}
COUNTRIES = ["norway", "sweden", "denmark", "england-2014"]
# A week over New Year, and the start of a week over the spring night.
BEGINNINGS = [
    datetime.fromisoformat("2021-12-28T08:00:00+00:00"),
    datetime.fromisoformat("2022-03-24T08:00:00+00:00"),
]
AMOUNTS = {
    "norway": {},
    "sweden": {"2021": "9000"},
    "denmark": {"2021": "1976", "2022": "2012.50"},
    "england-2014": {"2021": "130"},
}
SAID = {
    K.ANSWER: VIK,
    K.BEYOND_CONTROL: VIK,
    K.REPORT_OF_ADMISSION: VIK,
    K.SERVICES_GRANTED: VIK,
    K.OPEN_CARE_AVAILABILITY: CLINIC,
    K.SIP_CALL: CLINIC,
    K.FIXED_CONTACT_NAMED: CLINIC,
}
ALL = [
    K.READY_FOR_DISCHARGE,
    K.READY_FOR_DISCHARGE,
    K.READINESS_WITHDRAWN,
    K.ANSWER,
    K.ANSWER,
    K.CARE_NEEDS,
    K.NEED_IDENTIFIED,
    K.NO_MUNICIPAL_NEED,
    K.OPEN_CARE_AVAILABILITY,
    K.SIP_CALL,
    K.SIP_DECLINED,
    K.DISCHARGED,
    K.DECEASED,
    K.LEFT_AGAINST_ADVICE,
    K.DISCHARGE_REPORT,
    K.DISCHARGE_SUMMARY,
    K.BEYOND_CONTROL,
    K.RESPONSIBLE_MUNICIPALITY_CHANGED,
    K.REPORT_OF_ADMISSION,
    K.SERVICES_GRANTED,
    K.FIXED_CONTACT_NAMED,
    K.PLANNED_DISCHARGE,
]


def notice(kind: NoticeKind, at: datetime, number: int, **more: Any) -> Notice:
    sender = SAID.get(kind, HOSPITAL)
    fields: dict[str, Any] = {
        "kind": kind,
        "message_id": f"m{number:03d}",
        "occurred": at,
        "sent_at": at,
        "sender": sender,
        "receivers": (VIK, CLINIC) if sender == HOSPITAL else (HOSPITAL,),
        "hospital": HOSPITAL,
        "encounter": "stay",
    }
    return Notice(**(fields | more))


def accepted(told: Notice, at: datetime) -> list[Fact]:
    return [
        Evidence(step=Step.ACCEPTED, message_id=told.message_id, sender=told.sender, party=party, at=at)
        for party in told.receivers
    ]


@st.composite
def moments(draw: st.DrawFn, begun: datetime) -> datetime:
    return begun + timedelta(hours=draw(st.integers(0, 240)), seconds=draw(st.sampled_from([0, 0, 1, 3599])))


@st.composite
def stays(draw: st.DrawFn, kinds: list[NoticeKind] = ALL) -> list[Fact]:
    """An admission that usually fulfils every condition, and what happens after it."""
    begun = draw(st.sampled_from(BEGINNINGS))
    facts: list[Fact] = [notice(K.ADMITTED, begun, 0)]
    if draw(st.integers(0, 5)):
        early = notice(K.CARE_NEEDS, begun, 1)
        facts += [
            early,
            *accepted(early, begun),
            notice(K.OPEN_CARE_AVAILABILITY, begun, 2, open_care_available=True),
        ]
    for number in range(draw(st.integers(1, 8))):
        facts += draw(events(begun, number + 10, kinds))
    return facts


@st.composite
def events(draw: st.DrawFn, begun: datetime, number: int, kinds: list[NoticeKind]) -> list[Fact]:
    kind, at = draw(st.sampled_from(kinds)), draw(moments(begun))
    day = st.sampled_from([None, (at + timedelta(days=draw(st.integers(-1, 4)))).date()])
    more: dict[str, Any] = {"sent_at": at + timedelta(hours=draw(st.sampled_from([0, 0, 0, 5])))}
    if kind is K.READY_FOR_DISCHARGE:
        more |= {
            "sip_needed": draw(st.booleans()),
            "ready": draw(day),
            "psychiatric": draw(st.integers(0, 4)) == 0,
        }
    if kind is K.ANSWER:
        more |= {"answer": draw(st.sampled_from(list(AnswerValue))), "receive_from": draw(day)}
        more |= {"sender": draw(st.sampled_from([VIK, VIK, AARDAL]))}
    if kind is K.OPEN_CARE_AVAILABILITY:
        more |= {"open_care_available": draw(st.booleans())}
    if kind is K.RESPONSIBLE_MUNICIPALITY_CHANGED:
        more |= {"receivers": (AARDAL,)}
    if kind is K.PLANNED_DISCHARGE:
        more |= {"planned_discharge": draw(day)}
    made = notice(kind, at, number, **more)
    received = made.sent_at + timedelta(minutes=draw(st.integers(0, 600)))
    return [made, *(accepted(made, received) if draw(st.integers(0, 4)) else [])]


def law(country: str) -> Agreement:
    return agreement(country, {"amounts": AMOUNTS[country]} if AMOUNTS[country] else None)


def begun(facts: Iterable[Fact]) -> datetime:
    return min(f.sent_at for f in facts if isinstance(f, Notice))


def read(
    made: Agreement, facts: list[Fact], now: datetime
) -> list[tuple[tuple[Deadline, ...], tuple[Liability, ...]]]:
    return [
        (deadlines(c, made, now, ROLES), liabilities(c, made, now, ROLES)) for c in fold(facts, made.zone)
    ]


def charged(made: Agreement, case: Case, now: datetime) -> list[Day]:
    return [day for found in liabilities(case, made, now, ROLES) for day in found.days]


def some_now(data: st.DataObject, facts: list[Fact]) -> datetime:
    return begun(facts) + timedelta(hours=data.draw(st.integers(0, 500)))


everywhere = pytest.mark.parametrize("country", COUNTRIES)


@everywhere
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_the_order_of_arrival_and_repetition_change_nothing(country, data):
    facts = data.draw(stays())
    now, made = some_now(data, facts), law(country)
    arrived = [*facts, *data.draw(st.lists(st.sampled_from(facts), max_size=4))]
    random.Random(data.draw(st.integers(0, 99))).shuffle(arrived)
    assert read(made, arrived, now) == read(made, facts, now)


@everywhere
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_no_day_is_charged_twice_and_no_amount_is_negative(country, data):
    facts = data.draw(stays())
    now, made = some_now(data, facts), law(country)
    (case,) = fold(facts, made.zone)
    days = charged(made, case, now)
    assert len({day.date for day in days}) == len(days)
    for day in days:
        assert day.date < now.astimezone(made.zone).date()
        assert all(part.amount is None or part.amount >= 0 for part in day.parts)
        assert day.number >= 1
    for found in liabilities(case, made, now, ROLES):
        assert not set(found.withheld) & {day.date for day in found.days}
        assert not found.days or (found.liable_from is not None and found.liable_from <= found.days[0].date)


@everywhere
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_no_deadline_lies_before_its_start_and_only_an_open_one_reminds(country, data):
    facts = data.draw(stays())
    now, made = some_now(data, facts), law(country)
    (case,) = fold(facts, made.zone)
    for due in deadlines(case, made, now, ROLES):
        assert due.due_at >= due.since
        assert (due.remind_at is not None) <= (due.state == "open")
        assert due.remind_at is None or due.since <= due.remind_at <= due.due_at


@everywhere
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_after_a_death_nothing_is_open_and_nothing_reminds(country, data):
    facts = data.draw(stays([kind for kind in ALL if kind is not K.DECEASED]))
    made = law(country)
    died = begun(facts) + timedelta(hours=241)
    death = notice(K.DECEASED, died, 99)
    (case,) = fold([*facts, death], made.zone)
    for due in deadlines(case, made, died + timedelta(days=data.draw(st.integers(0, 40))), ROLES):
        assert (due.state, due.remind_at) != ("open", None)
        assert due.state != "open"


# --- the days of a window -----------------------------------------------------------------------------------


@everywhere
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_days_grow_with_now_and_are_never_taken_back(country, data):
    facts = data.draw(stays())
    made = law(country)
    (case,) = fold(facts, made.zone)
    earlier = some_now(data, facts)
    later = earlier + timedelta(hours=data.draw(st.integers(0, 300)))
    until = earlier.astimezone(made.zone).date()
    assert charged(made, case, earlier) == [day for day in charged(made, case, later) if day.date < until]


@everywhere
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_the_days_of_a_window_are_those_of_its_months_and_cost_as_much(country, data):
    facts = data.draw(stays([K.READY_FOR_DISCHARGE, K.READINESS_WITHDRAWN, K.CARE_NEEDS]))
    made = law(country)
    (case,) = fold(facts, made.zone)
    now = begun(facts) + timedelta(days=data.draw(st.integers(5, 70)))
    days = charged(made, case, now)
    first, last = date(2021, 12, 1), now.astimezone(made.zone).date()
    months: list[Day] = []
    seen = 0
    month = first
    while month <= last:
        following = (month + timedelta(days=32)).replace(day=1)
        at_close = min(datetime.combine(following, datetime.min.time(), made.zone), now)
        so_far = charged(made, case, at_close)
        months += so_far[seen:]
        seen, month = len(so_far), following
    in_order = sorted(days, key=lambda day: day.date)
    assert sorted(months, key=lambda day: day.date) == in_order
    if all(day.amount is not None for day in days):
        assert sum(day.amount or 0 for day in months) == sum(day.amount or 0 for day in days)
    for day in days:
        payment = made.payment((HOSPITAL, day.party), day.date)
        prices = [payment.priced(day.date.year, day.number, part.payee) for part in day.parts]
        assert [part.amount for part in day.parts] == [price and price.amount for price in prices]


# --- a new clock --------------------------------------------------------------------------------------------


@everywhere
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_a_notice_withdrawn_and_given_again_starts_a_new_clock_beside_the_first(country, data):
    begins = data.draw(st.sampled_from(BEGINNINGS))
    hours = sorted(data.draw(st.lists(st.integers(30, 400), min_size=3, max_size=3, unique=True)))
    first, withdrawn, again = (begins + timedelta(hours=h) for h in hours)
    before = basics(begins)
    alone = [*before, *ready(again, 20)]
    ended = [*before, *ready(first, 10), notice(K.READINESS_WITHDRAWN, withdrawn, 11)]
    both = [*ended, *ready(again, 20)]
    now, made = begins + timedelta(days=30), law(country)
    dates = [
        {day.date for day in charged(made, *fold(facts, made.zone), now)} for facts in (ended, alone, both)
    ]
    assert dates[2] == dates[0] | dates[1]
    assert all(day < withdrawn.astimezone(made.zone).date() for day in dates[0])
    starts = [d for d in deadlines(*fold(both, made.zone), made, now, ROLES) if d.kind == "payment-start"]
    assert {d.since for d in starts} == {first, again}


@everywhere
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_a_notice_repeated_without_a_withdrawal_changes_nothing(country, data):
    begins = data.draw(st.sampled_from(BEGINNINGS))
    first = begins + timedelta(hours=data.draw(st.integers(30, 200)))
    again = first + timedelta(hours=data.draw(st.integers(1, 100)))
    now, made = begins + timedelta(days=data.draw(st.integers(2, 30))), law(country)
    once = [*basics(begins), *ready(first, 10)]
    days = [charged(made, *fold(facts, made.zone), now) for facts in (once, [*once, *ready(again, 20)])]
    assert days[0] == days[1]


def basics(begins: datetime) -> list[Fact]:
    early = notice(K.CARE_NEEDS, begins, 1)
    available = notice(K.OPEN_CARE_AVAILABILITY, begins, 2, open_care_available=True)
    return [notice(K.ADMITTED, begins, 0), early, *accepted(early, begins), available]


def ready(at: datetime, number: int) -> list[Fact]:
    made = notice(K.READY_FOR_DISCHARGE, at, number)
    return [made, *accepted(made, at)]


TERMS: list[tuple[str, dict[str, Any] | None]] = [
    *((country, None) for country in COUNTRIES),
    *((country, {"amounts": AMOUNTS[country]}) for country in COUNTRIES if AMOUNTS[country]),
    ("norway", {"late_early_notice": "void"}),
    ("sweden", {"late_sip_call": "void"}),
]


@pytest.mark.parametrize(("country", "terms"), TERMS)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_receipts_move_only_the_deadlines_that_heed_such_a_notice(country, terms, data):
    """So that when a receipt comes, the others need not be looked at."""
    facts = data.draw(stays())
    now, made = some_now(data, facts), agreement(country, terms)
    told = data.draw(st.sampled_from([f for f in facts if isinstance(f, Notice)]))
    about = (told.sender, told.message_id)
    silent = [f for f in facts if isinstance(f, Notice) or (f.sender, f.message_id) != about]
    moved = made.heeding(told.kind)
    for known, unknown in zip(fold(facts, made.zone), fold(silent, made.zone), strict=True):
        found, unmoved = deadlines(known, made, now, ROLES), deadlines(unknown, made, now, ROLES)
        assert [d for d in found if d.kind not in moved] == [d for d in unmoved if d.kind not in moved]
        assert deadlines(known, made, now, ROLES, moved) == tuple(d for d in found if d.kind in moved)
