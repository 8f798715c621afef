"""Rules are data: what a rule file may say, and how a wrong one is told where it is wrong."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from adapter.discharge.agreement import Accord, agreed, agreement, countries, read_rules
from adapter.discharge.case import Case, Evidence, Step, fold
from adapter.discharge.deadlines import Deadline, deadlines
from adapter.discharge.explaining import explained
from adapter.discharge.notices import Notice, NoticeKind
from adapter.discharge.payment import liabilities
from adapter.discharge.rules import Rule
from adapter.errors import ConfigurationError

SYLDAVIA = """
country = "syldavia"
zone = "Europe/Ljubljana"

[payment]
basis = "Charter of Klow, 14"
currency = "KHR"

[[payment.amount]]
year = 2024
amount = "120.50"
basis = "Royal Gazette 3"
confidence = "Q"

[[rule]]
kind = "discharge-report"
actor = "hospital"
basis = "Charter of Klow, 9"
confidence = "Q"
count = "days_with_cutoff"
duration = "P1D"
cutoff = "15:00:00"
after_cutoff = "P2D"
remind_before = "PT3H"
voided_by = ["deceased"]

[rule.trigger]
notice = "discharged"
time = "occurred"

[[rule.satisfied_by]]
notices = ["discharge-report"]
time = "seen"
"""


def rule(name: str, kind: str, terms: dict[str, object] | None = None) -> Rule:
    return next(r for r in agreement(name, terms).rules if r.kind == kind)


def test_norway_and_sweden_have_their_deadlines_in_their_own_zone():
    norway, sweden = agreement("norway"), agreement("sweden")
    assert {"early-notice", "answer", "payment-start"} <= {r.kind for r in norway.rules}
    assert {"admission-notice", "sip-call", "payment-start"} <= {r.kind for r in sweden.rules}
    assert (norway.zone.key, sweden.zone.key) == ("Europe/Oslo", "Europe/Stockholm")


def test_every_rule_names_its_paragraph_and_how_well_it_is_known():
    for country in countries():
        for r in country.rules:
            assert len(r.basis) > 5
            assert r.confidence in ("Q", "S", "K", "local")


def test_a_need_that_shows_later_is_not_payment_law_in_norway_but_is_law_in_sweden():
    norwegian = rule("norway", "early-notice").later
    swedish = rule("sweden", "admission-notice").later
    assert norwegian is not None
    assert swedish is not None
    assert "not payment law" in norwegian.basis
    assert swedish.basis == "lag 2017:612 2 kap. 3 §"


def test_only_the_amounts_that_are_known_are_there():
    amounts = agreement("sweden").country.payment.amounts
    assert [(a.year, a.amount, a.confidence) for a in amounts] == [
        (2019, Decimal(7800), "Q"),
        (2022, Decimal(9300), "S"),
    ]
    assert 2013 not in {a.year for a in agreement("norway").country.payment.amounts}  # only [K]
    assert agreement("denmark").country.payment.amounts == ()
    assert agreement("england-2014").country.payment.amounts == ()


@pytest.mark.parametrize("within", ["PT30M", timedelta(minutes=30)])
def test_how_soon_at_once_is_can_be_agreed_and_is_labelled_local(within):
    made = rule("norway", "answer", {"answer_within": within})
    assert made.count.duration == timedelta(minutes=30)
    assert made.confidence == "local"


def test_reminders_can_be_agreed_for_all_deadlines_or_for_one_kind():
    everywhere = agreement("sweden", {"remind_before": "PT5H"})
    assert {r.remind_before for r in everywhere.rules} == {timedelta(hours=5)}
    one = agreement("norway", {"remind_before": {"answer": "PT15M"}})
    by_kind = {r.kind: r.remind_before for r in one.rules}
    assert by_kind["answer"] == timedelta(minutes=15)
    assert by_kind["early-notice"] == timedelta(hours=12)


def test_terms_leave_the_country_s_own_agreement_alone():
    agreement("norway", {"answer_within": "PT9H"})
    assert rule("norway", "answer").count.duration == timedelta(hours=2)


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        (
            {"answer_in": "PT2H"},
            "'answer_in': no such term; it may have: amounts, answer_within, by_telephone,",
        ),
        (
            {"answer_within": "two hours"},
            "term 'answer_within' (answer): duration: 'two hours' is no duration",
        ),
        ({"answer_within": 2}, "term 'answer_within' (answer): duration: must be text"),
        ({"answer_within": timedelta()}, "longer than zero"),
        ({"remind_before": {"sip-call": "P1D"}}, "no deadline of kind 'sip-call'"),
    ],
)
def test_a_wrong_term_is_named(terms, said):
    with pytest.raises(ConfigurationError, match="agreement 'norway'") as error:
        agreement("norway", terms)
    assert said in str(error.value)


def test_an_unknown_agreement_is_answered_with_those_that_exist():
    with pytest.raises(ConfigurationError, match="choose one of: denmark, england-2014, norway, sweden"):
        agreement("norge")


def test_a_country_made_of_known_ways_is_only_a_file():
    syldavia = read_rules(SYLDAVIA, "rules/syldavia.toml")
    assert syldavia.rules[0].count.after_cutoff == timedelta(days=2)
    assert syldavia.payment.amounts[0].amount == Decimal("120.50")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            'count = "days_with_cutoff"',
            'count = "fortnights"',
            "rule 1 (discharge-report): count: 'fortnights' is",
        ),
        ('count = "days_with_cutoff"', 'count = "elapsed"', "cutoff: has no use in elapsed"),
        ('cutoff = "15:00:00"\n', "", "cutoff: is missing, and days_with_cutoff needs it"),
        ('cutoff = "15:00:00"', 'cutoff = "three"', "rule 1 (discharge-report): cutoff: "),
        ('cutoff = "15:00:00"', 'cutoff = "15:00:00+01:00"', "cutoff: must be local"),
        ('duration = "P1D"', 'duration = "PT36H"', "duration: PT36H is not whole days"),
        ('duration = "P1D"', 'duration = "soon"', "duration: 'soon' is no duration"),
        ('duration = "P1D"', "duration = 1", "duration: must be text"),
        ('actor = "hospital"', 'actor = "king"', "actor: 'king' is unknown; it may be: hospital,"),
        ('actor = "hospital"\n', "", "actor: is missing"),
        (
            'notice = "discharged"',
            'notice = "dismissed"',
            "rule 1 (discharge-report), trigger: notice: 'dismissed'",
        ),
        ('time = "seen"', 'time = "read"', "satisfied_by 1: time: 'read' is unknown"),
        ('voided_by = ["deceased"]', 'voided = ["deceased"]', "voided: is not a key of this table"),
        ('zone = "Europe/Ljubljana"', 'zone = "Europe/Klow"', "rules/syldavia.toml: zone: "),
        ('amount = "120.50"', 'amount = "much"', "payment, amount 1: amount: 'much' is no amount"),
        ('currency = "KHR"\n', "", "payment: currency: is missing"),
        ('country = "syldavia"', "country =", "not TOML"),
    ],
)
def test_a_wrong_rule_file_is_told_where_and_why(old, new, said):
    assert old in SYLDAVIA
    with pytest.raises(ConfigurationError, match=r"^rules/syldavia\.toml") as error:
        read_rules(SYLDAVIA.replace(old, new, 1), "rules/syldavia.toml")
    assert said in str(error.value)


# --- accords: between whom, and when ------------------------------------------------------------------------

UMEAA, SKELLEFTEAA, HOSPITAL = "municipality:Umeå", "municipality:Skellefteå", "hospital"
LAST_YEAR = Accord(
    name="överenskommelse 2021",
    between=frozenset({HOSPITAL, UMEAA}),
    valid_from=date(2021, 1, 1),
    valid_to=date(2021, 12, 31),
    terms={"payment_after": "P5D", "payment_after_noon": "P6D", "amounts": {"2021": "4000"}},
)


def stay(sent: str, party: str = UMEAA, begun: str = "2021-12-01") -> Case:
    """A stay with every condition fulfilled, and a ready notice sent to the party."""
    zone = ZoneInfo("Europe/Stockholm")

    def told(kind: NoticeKind, at: str, **more: Any) -> Notice:
        when = datetime.fromisoformat(at).replace(tzinfo=zone)
        fields: dict[str, Any] = {
            "kind": kind,
            "message_id": f"{kind} {at}",
            "occurred": when,
            "sent_at": when,
            "sender": HOSPITAL,
            "receivers": (party,),
            "hospital": HOSPITAL,
        }
        return Notice(**(fields | more))

    (made,) = fold(
        [
            told(NoticeKind.ADMITTED, f"{begun} 08:00"),
            told(
                NoticeKind.OPEN_CARE_AVAILABILITY,
                f"{begun} 09:00",
                sender="hälsocentral",
                receivers=(HOSPITAL,),
                open_care_available=True,
            ),
            told(NoticeKind.READY_FOR_DISCHARGE, sent),
        ],
        zone,
    )
    return made


REGISTER = {
    HOSPITAL: "hospital",
    UMEAA: "municipality",
    SKELLEFTEAA: "municipality",
    "hälsocentral": "open-care",
}


def start(case: Case, *accords: Accord, terms: dict[str, Any] | None = None) -> Deadline:
    made = agreement("sweden", terms, accords)
    found = deadlines(case, made, case.entries[-1].at, REGISTER)
    (one,) = [d for d in found if d.kind == "payment-start"]
    return one


@pytest.mark.parametrize(
    ("sent", "begun", "first"),
    [
        ("2020-12-31 11:00", "2020-12-20", "2021-01-03"),  # the day before it: the law's three days
        ("2021-01-01 00:00:00", "2020-12-20", "2021-01-06"),
        ("2021-12-31 23:59:59", "2021-12-20", "2022-01-06"),
        ("2022-01-01 00:00:00", "2021-12-20", "2022-01-04"),  # the day after it
    ],
)
def test_an_accord_holds_from_its_first_day_to_its_last_both_included(sent, begun, first):
    assert start(stay(sent, begun=begun), LAST_YEAR).due_at.date().isoformat() == first


def test_an_accord_holds_between_the_parties_that_it_names_and_nobody_else():
    assert start(stay("2021-12-06 11:00", UMEAA), LAST_YEAR).due_at.date() == date(2021, 12, 11)
    assert start(stay("2021-12-06 11:00", SKELLEFTEAA), LAST_YEAR).due_at.date() == date(2021, 12, 9)
    elsewhere = replace(LAST_YEAR, between=frozenset({"another hospital", UMEAA}))
    assert start(stay("2021-12-06 11:00", UMEAA), elsewhere).due_at.date() == date(2021, 12, 9)


def test_an_accord_with_one_municipality_says_nothing_of_another_that_was_told_too():
    norway = agreement(
        "norway",
        accords=[Accord(name="avtale", between=frozenset({"vik"}), terms={"answer_within": "PT30M"})],
    )
    at = datetime(2024, 3, 1, 10, tzinfo=norway.zone)
    fields: dict[str, Any] = {"occurred": at, "sent_at": at, "hospital": HOSPITAL}
    notice = Notice(
        kind=NoticeKind.READY_FOR_DISCHARGE,
        message_id="1",
        sender=HOSPITAL,
        receivers=("vik", "årdal"),
        **fields,
    )
    receipts = [
        Evidence(step=Step.ACCEPTED, message_id="1", sender=HOSPITAL, party=p, at=at)
        for p in notice.receivers
    ]
    (case,) = fold([notice, *receipts], norway.zone)
    found = {d.party: d.due_at - at for d in deadlines(case, norway, at, {}) if d.kind == "answer"}
    assert case.municipality == "vik"
    assert found == {"vik": timedelta(minutes=30), "årdal": timedelta(hours=2)}


def test_the_days_of_a_stay_are_priced_by_the_accord_of_each_day():
    case = stay("2021-12-24 11:00")
    made = agreement("sweden", accords=[LAST_YEAR])
    (found,) = liabilities(case, made, datetime(2022, 1, 3, 9, tzinfo=made.zone), REGISTER)
    assert [(day.date.isoformat(), day.amount) for day in found.days] == [
        ("2021-12-29", 4000),
        ("2021-12-30", 4000),
        ("2021-12-31", 4000),
        ("2022-01-01", 9300),
        ("2022-01-02", 9300),
    ]


def test_a_later_accord_stands_over_an_earlier_one_and_both_are_shown():
    later = replace(LAST_YEAR, name="tillägg", terms={"payment_after": "P7D"})
    made = start(stay("2021-12-06 11:00"), LAST_YEAR, later)
    assert made.due_at.date() == date(2021, 12, 13)
    assert [(r.agreement, r.key, r.was, r.now) for r in made.replaced if r.key == "duration"] == [
        ("överenskommelse 2021", "duration", "P3D", "P5D"),
        ("tillägg", "duration", "P5D", "P7D"),
    ]
    assert "by the agreement tillägg, the length of time is 7 days instead of 5 days" in made.reason
    assert made.confidence == "local"


def test_an_accord_stands_over_the_terms_for_everybody():
    assert start(stay("2021-12-06 11:00"), LAST_YEAR, terms={"payment_after": "P9D"}).due_at.day == 11
    assert (
        start(stay("2021-12-06 11:00", SKELLEFTEAA), LAST_YEAR, terms={"payment_after": "P9D"}).due_at.day
        == 15
    )


def test_a_renewed_accord_of_the_same_name_holds_in_its_own_year():
    renewed = replace(
        LAST_YEAR, valid_from=date(2022, 1, 1), valid_to=date(2022, 12, 31), terms={"payment_after": "P8D"}
    )
    made = agreement("sweden", accords=[LAST_YEAR, renewed])
    days = [
        d.due_at.date() - d.since.date()
        for sent in ("2021-12-06 11:00", "2022-02-07 11:00")
        for d in deadlines(stay(sent), made, datetime(2022, 3, 1, tzinfo=made.zone), REGISTER)
        if d.kind == "payment-start"
    ]
    assert [d.days for d in days] == [5, 8]


def test_a_local_holiday_holds_between_those_who_agreed_on_it():
    local = Accord(
        name="länsrutin",
        between=frozenset({UMEAA}),
        terms={"days_off": ["2021-12-10"], "rules": {"payment-start": {"count": "working_days_with_cutoff"}}},
    )
    assert start(stay("2021-12-07 11:00", UMEAA), local).due_at.date() == date(2021, 12, 13)
    everywhere = replace(local, between=frozenset(), terms={"rules": local.terms["rules"]})
    assert start(stay("2021-12-07 11:00", UMEAA), everywhere).due_at.date() == date(2021, 12, 10)


# --- wrong accords ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({"days_off": "12-24"}, "term 'days_off': must be a list"),
        ({"days_off": 5}, "term 'days_off': must be a list"),
        ({"days_off": ["31-12"]}, "term 'days_off': '31-12' is no day off; write a day of the year"),
        ({"days_off": ["02-30"]}, "term 'days_off': '02-30' is no day off"),
        ({"days_off": ["easter-eve"]}, "'easter-eve' is no day off"),
        ({"rules": []}, "term 'rules': must be a table of deadline kinds"),
        ({"rules": {"anwser": {}}}, "term 'rules': no deadline of kind 'anwser'; there are: answer,"),
        ({"rules": {"answer": 5}}, "term 'rules': answer: must be a table of its keys"),
        ({"rules": {"answer": {"kind": "reply"}}}, "answer: kind: names the rule; it stays"),
        (
            {"rules": {"answer": {"count": "fortnights"}}},
            "(answer): count: 'fortnights' is unknown; it may be: elapsed,",
        ),
        ({"rules": {"answer": {"cutoff": "12:00"}}}, "(answer): cutoff: has no use in elapsed"),
        (
            {"rules": {"answer": {"count": "by_clock", "clock": "25:00"}}},
            "(answer): clock: '25:00' is no time of day; write it like 14:00",
        ),
        ({"rules": {"answer": {"count": "by_clock"}}}, "(answer): clock: is missing, and by_clock needs it"),
        (
            {"rules": {"answer": {"count": "office_hours", "opens": "16:00", "closes": "08:00"}}},
            "(answer): closes: 08:00:00 is not later than opens 16:00:00",
        ),
        ({"rules": {"answer": {"soon": True}}}, "(answer): soon: is not a key of this table"),
        (
            {"rules": {"answer": {"valid_from": "2024-12-01"}}},
            "answer: valid_from: the agreement itself says",
        ),
        (
            {"rules": {"payment-start": {"requires": {"early": {"late": "void"}}}}},
            "requires: early: there is none of that name; there are: early-notice, summary",
        ),
        (
            {"rules": {"payment-start": {"requires": {"summary": {"late": "void"}}}}},
            "late: means nothing without the deadline that it is late for",
        ),
        ({"rules": {"payment-start": {"requires": {"summary": 5}}}}, "requires: summary: must be a table"),
        ({"amounts": 5900}, "term 'amounts': must be a table of years, or a list of tables"),
        ({"amounts": {"next year": "5900"}}, "amounts 1: year: must be a whole number"),
        ({"amounts": {"2025": "-5900"}}, "amounts 1: amount: '-5900' is no amount"),
        ({"amounts": {"2025": "59.001"}}, "amounts 1: amount: '59.001' is no amount"),
        ({"amounts": {"2025": "NaN"}}, "amounts 1: amount: 'NaN' is no amount"),
        ({"amounts": {"2025": "5 900"}}, "amounts 1: amount: '5 900' is no amount"),
        ({"amounts": [{"year": 2025}]}, "amounts 1: amount: is missing"),
        (
            {"amounts": [{"year": 2025, "amount": "1", "payee": "king"}]},
            "amounts 1: payee: 'king' is unknown; it may be: hospital",
        ),
        (
            {"amounts": [{"year": 2025, "amount": "1", "from_day": 3, "to_day": 2}]},
            "amounts 1: to_day: 2 is before from_day 3",
        ),
        ({"amounts": [{"year": 2025, "amount": "1", "from_day": 0}]}, "amounts 1: from_day: 0 is no day"),
        ({"late_early_notice": "sometimes"}, "late: 'sometimes' is unknown; it may be: allowed, void"),
        ({"receipt_counts_by": "hearsay"}, "time: 'hearsay' is unknown; it may be: occurred,"),
        ({"payment_requires_summary": "yes"}, "enforced: must be true or false"),
    ],
)
def test_a_wrong_accord_is_named_with_its_key_and_the_reason(terms, said):
    with pytest.raises(ConfigurationError, match=r"^agreement 'samarbeidsavtale'") as error:
        agreement("norway", accords=[Accord(name="samarbeidsavtale", terms=terms)])
    assert said in str(error.value)


def test_an_accord_that_ends_before_it_begins_is_refused():
    backwards = replace(LAST_YEAR, valid_to=date(2020, 12, 31))
    with pytest.raises(ConfigurationError, match=r"valid_to: 2020-12-31 is before valid_from 2021-01-01"):
        agreement("sweden", accords=[backwards])


# --- wrong rule files, and a country that is only a file ----------------------------------------------------

BORDURIA = """
country = "borduria"
zone = "Europe/Tirane"
days_off = ["07-01"]

[[rule]]
kind = "answer"
actor = "municipality"
basis = "Decree 7"
confidence = "Q"
count = "office_hours"
duration = "PT4H"
opens = "08:00"
closes = "16:00"
remind_before = "PT1H"
closed_by = ["readiness-withdrawn", "deceased"]

[rule.trigger]
notice = "ready-for-discharge"
time = "delivered"

[rule.concerns]
receivers_of = ["ready-for-discharge"]
roles = ["municipality"]

[[rule.satisfied_by]]
notices = ["answer"]
time = "sent"
by = ["municipality"]
party_is = "sender"

[[rule]]
kind = "payment-start"
variant = "plain"
actor = "municipality"
basis = "Decree 9"
confidence = "Q"
valid_from = 2020-01-01
count = "working_days_with_cutoff"
duration = "P2D"
cutoff = "10:00:00"
after_cutoff = "P3D"
remind_before = "P1D"

[rule.trigger]
notice = "ready-for-discharge"
time = "delivered"
unless = "psychiatric"

[rule.concerns]
responsible = "municipality"

[[rule.satisfied_by]]
notices = ["answer"]
time = "sent"
by = ["municipality"]
party_is = "sender"
says = "can-receive"

[[rule.requires]]
name = "admission"
notice = "admitted"
time = "sent"
basis = "Decree 2"
missing = "nobody was told of the admission"

[[rule]]
like = "plain"
variant = "psychiatric"
duration = "P9D"
after_cutoff = "P9D"
trigger = { only_if = "psychiatric", unless = "" }

[[term]]
name = "answer_within"
rule = "answer"
key = "duration"
about = "how soon"

[payment]
basis = "Decree 9"
currency = "BOK"
payees = ["region", "state"]

[[payment.amount]]
year = 2024
amount = "12.50"
basis = "Decree 10"
confidence = "Q"
payee = "region"

[[payment.amount]]
year = 2024
amount = "0.25"
basis = "Decree 10"
confidence = "Q"
payee = "state"
"""


def of_borduria(
    *, ready_at: str, now: str, terms: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """The document explained, as for any country."""
    made = agreed(read_rules(BORDURIA, "rules/borduria.toml"), terms)

    def notice(kind: NoticeKind, at: str, **of_kind: Any) -> Notice:
        when = datetime.fromisoformat(at).replace(tzinfo=made.zone)
        return Notice(
            kind=kind,
            message_id=f"{kind}",
            occurred=when,
            sent_at=when,
            sender="klinik",
            receivers=("szohôd",),
            hospital="klinik",
            **of_kind,
        )

    ready = notice(NoticeKind.READY_FOR_DISCHARGE, ready_at, **more)
    receipt = Evidence(
        step=Step.DELIVERED, message_id=ready.message_id, sender="klinik", party="szohôd", at=ready.sent_at
    )
    (case,) = fold([notice(NoticeKind.ADMITTED, "2024-06-20 08:00"), ready, receipt], made.zone)
    return explained(
        case, made, datetime.fromisoformat(now).replace(tzinfo=made.zone), {"klinik": "hospital"}
    )


def test_a_fifth_country_is_one_file_explained_from_end_to_end():
    found = of_borduria(ready_at="2024-06-28 14:00", now="2024-07-06 09:00")  # a Friday; Monday is a day off
    answer, start = found["deadlines"]
    assert (answer["kind"], answer["due_at"], answer["state"]) == (
        "answer",
        "2024-07-02T10:00:00+02:00",
        "missed",
    )
    assert (start["kind"], start["due_at"], start["state"]) == (
        "payment-start",
        "2024-07-04T00:00:00+02:00",
        "missed",
    )
    payment = found["payment"]
    assert payment["days"] == [
        {"date": "2024-07-04", "amount": "12.75", "currency": "BOK"},
        {"date": "2024-07-05", "amount": "12.75", "currency": "BOK"},
    ]
    assert (payment["liable_from"], payment["total"], payment["basis"]) == ("2024-07-04", "25.50", "Decree 9")
    assert payment["reasons"] == [
        "ready notice delivered Friday 2024-06-28 14:00:00, after 10:00:00, so working day 3:"
        " Thursday 2024-07-04 (Decree 9)"
    ]
    assert all(set(why) == {"en"} for why in payment["why"])


def test_its_cut_off_its_variant_and_its_term_hold_as_everywhere():
    on_time = of_borduria(ready_at="2024-06-28 10:00:00", now="2024-06-28 12:00")
    assert on_time["payment"]["liable_from"] == "2024-07-03"
    psychiatric = of_borduria(ready_at="2024-06-28 10:00:00", now="2024-06-28 12:00", psychiatric=True)
    assert psychiatric["payment"]["liable_from"] == "2024-07-12"
    agreed_on = of_borduria(
        ready_at="2024-06-28 14:00", now="2024-06-28 15:00", terms={"answer_within": "PT1H"}
    )
    assert agreed_on["deadlines"][0]["due_at"] == "2024-06-28T15:00:00+02:00"
    assert agreed_on["deadlines"][0]["replaced"] == [
        {"agreement": "local terms", "key": "duration", "was": "PT4H", "now": "PT1H"}
    ]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            'count = "office_hours"',
            'count = "tea_times"',
            "rule 1 (answer): count: 'tea_times' is unknown; it may be:",
        ),
        ('duration = "PT4H"\n', "", "rule 1 (answer): duration: is missing, and office_hours needs it"),
        (
            'opens = "08:00"',
            'opens = "17:00"',
            "rule 1 (answer): closes: 16:00:00 is not later than opens 17:00:00",
        ),
        (
            'closes = "16:00"',
            'closes = "16:00"\ncutoff = "12:00"',
            "rule 1 (answer): cutoff: has no use in office_hours",
        ),
        (
            'like = "plain"',
            'like = "fancy"',
            "rule 3: like: no rule or variant 'fancy' stands before this one",
        ),
        (
            'missing = "nobody was',
            'late = "void"\nmissing = "nobody was',
            "rule 2 (payment-start), requires 1: late: means nothing without the deadline",
        ),
        (
            "valid_from = 2020-01-01",
            "valid_from = 2020-01-01\nvalid_to = 2019-12-31",
            "rule 2 (payment-start): valid_to: 2019-12-31 is before valid_from 2020-01-01",
        ),
        (
            "valid_from = 2020-01-01",
            "valid_from = 2020-01-01T00:00:00",
            "rule 2 (payment-start): valid_from: must be a date without a time of day",
        ),
        (
            "valid_from = 2020-01-01",
            "valid_from = 2020",
            "rule 2 (payment-start): valid_from: must be a date, like 2024-03-01",
        ),
        (
            'after_cutoff = "P3D"',
            'after_cutoff = "PT60H"',
            "after_cutoff: PT60H is not whole days, and working_days_with_cutoff counts days",
        ),
        ('days_off = ["07-01"]', 'days_off = ["7/1"]', "rules/borduria.toml: days_off: '7/1' is no day off"),
        (
            'days_off = ["07-01"]',
            'holidays = "XB"',
            "rules/borduria.toml: holidays: the holidays of 'XB' are not known",
        ),
        (
            'rule = "answer"',
            'rule = "reply"',
            "rules/borduria.toml: term: answer_within: there is no rule of kind 'reply'",
        ),
        (
            'payee = "state"',
            'payee = "king"',
            "payment, amount 2: payee: 'king' is unknown; it may be: region, state",
        ),
        ('amount = "0.25"', 'amount = "-0.25"', "payment, amount 2: amount: '-0.25' is no amount"),
        ('amount = "0.25"', "amount = 0.25", "payment, amount 2: amount: must be text"),
        (
            'time = "delivered"',
            'time = "heard"',
            "rule 1 (answer), trigger: time: 'heard' is unknown; it may be: occurred,",
        ),
        (
            'unless = "psychiatric"',
            'unless = "royal"',
            "rule 2 (payment-start), trigger: unless: 'royal' is unknown",
        ),
        (
            'says = "can-receive"',
            'says = "gladly"',
            "rule 2 (payment-start), satisfied_by 1: says: 'gladly' is unknown",
        ),
        (
            'roles = ["municipality"]',
            'roles = ["court"]',
            "rule 1 (answer), concerns: roles: 'court' is unknown",
        ),
        (
            'country = "borduria"',
            'language = "sq"\ncountry = "borduria"',
            "rules/borduria.toml: language: 'sq' is unknown",
        ),
        (
            'confidence = "Q"',
            'confidence = "sure"',
            "rule 1 (answer): confidence: 'sure' is unknown; it may be: Q, S, K, local",
        ),
    ],
)
def test_every_mistake_of_a_rule_file_is_told_with_file_key_and_reason(old, new, said):
    assert old in BORDURIA
    with pytest.raises(ConfigurationError, match=r"^rules/borduria\.toml") as error:
        read_rules(BORDURIA.replace(old, new, 1), "rules/borduria.toml")
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("terms", "told"),
    [
        (
            {"rules": {"payment-start": {"cutoff": "14:00"}}},
            "by the agreement avtal, the cut-off time of day is 14:00:00 instead of 12:00:00",
        ),
        (
            {"payment_after_noon": "P5D"},
            "by the agreement avtal, the length of time after the cut-off is 5 days instead of 4 days",
        ),
        (
            {"sip_call_rolls": True, "rules": {"payment-start": {"note": "se avtalet"}}},
            "by the agreement avtal, note is se avtalet; the rule itself says nothing of it",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_term_is_told_in_words_and_not_in_the_keys_and_signs_of_a_file(terms, told):
    made = start(stay("2021-12-06 12:30"), replace(LAST_YEAR, name="avtal", terms=terms))
    assert told in made.reason


# --- terms that would harm later ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({"answer_within": ""}, "term 'answer_within': is empty; write its value, or leave it out"),
        ({"readmission": {"earliest": ""}}, "term 'readmission.earliest': is empty"),
        ({"rules": {"answer": {"concerns": " "}}}, "term 'rules.answer.concerns': is empty"),
        ({"rules": {"answer": {"note": "\x00"}}}, "term 'rules.answer.note': holds U+0000"),
        ({"amounts": {"²": "1"}}, "amounts 1: year: must be a whole number"),
        ({"amounts": {"9" * 5000: "1"}}, "amounts 1: year: must be a whole number"),
        ({"amounts": [{"year": 20240, "amount": "1"}]}, "amounts 1: year: 20240 is not in 1950 to 2199"),
        ({"amounts": {"2024": "1_000"}}, "amount: '1_000' is no amount"),
        ({"amounts": {"2024": "٥"}}, "is no amount; write it like 5745"),
        (
            {"amounts": [{"year": 2024, "amount": "1"}, {"year": 2024, "amount": "2", "from_day": 3}]},
            "amounts 2: year: the price of 2024 is given twice for the same days",
        ),
        (
            {
                "days_off": [f"{month:02}-{day:02}" for month in range(1, 13) for day in range(1, 30)]
                + [f"{month:02}-30" for month in range(1, 13) if month != 2]
                + [f"{month:02}-31" for month in (1, 3, 5, 7, 8, 10, 12)]
            },
            "term 'days_off': leaves no day of the year on which anybody works",
        ),
        (
            {"rules": {"answer": {"trigger": {"placed": "hip"}}}},
            "trigger, placed: names whom the rule is for",
        ),
    ],
)
def test_a_term_that_says_nothing_or_cannot_be_worked_with_is_refused(terms, said):
    with pytest.raises(ConfigurationError) as error:
        agreement("norway", terms)
    assert said in str(error.value)
    assert "agreement 'norway'" in str(error.value)


@pytest.mark.parametrize("name", ["", " ", "\x07"])
def test_an_accord_has_a_name_that_can_be_shown(name):
    with pytest.raises(ConfigurationError, match="name: must be text that can be shown"):
        agreement("norway", accords=[Accord(name=name, terms={"grace": "PT24H"})])


@pytest.mark.parametrize("level", ["1e999999", "1e5", "٣", "3.1234567", "1000", " 3 "])
def test_a_level_is_a_plain_number_of_days(level):
    with pytest.raises(ConfigurationError, match=r"term 'average_days': .* is no number of days"):
        agreement("sweden", {"average_days": level})


def test_prices_of_one_year_may_differ_by_payee_and_by_day():
    amounts = [
        {"year": 2024, "amount": "1", "to_day": 2},
        {"year": 2024, "amount": "2", "from_day": 3},
        {"year": 2025, "amount": "3"},
    ]
    payment = agreement("norway", {"amounts": amounts}).payment((), date(2024, 1, 1))
    assert [payment.priced(2024, n, "hospital").amount for n in (2, 3)] == [1, 2]
