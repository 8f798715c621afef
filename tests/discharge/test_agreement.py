"""Rules are data: what a rule file may say, and how a wrong one is told where it is wrong."""

from datetime import timedelta
from decimal import Decimal

import pytest

from adapter.discharge.agreement import agreement, countries, read_rules
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
        ({"answer_in": "PT2H"}, "'answer_in': no such term; it may have: amounts, answer_within, days_off,"),
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
        ('amount = "120.50"', 'amount = "much"', "payment, amount 1: amount: 'much' is no number"),
        ('currency = "KHR"\n', "", "payment: currency: is missing"),
        ('country = "syldavia"', "country =", "not TOML"),
    ],
)
def test_a_wrong_rule_file_is_told_where_and_why(old, new, said):
    assert old in SYLDAVIA
    with pytest.raises(ConfigurationError, match=r"^rules/syldavia\.toml") as error:
        read_rules(SYLDAVIA.replace(old, new, 1), "rules/syldavia.toml")
    assert said in str(error.value)
