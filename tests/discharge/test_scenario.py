"""A described case, explained: the table of cases of the law, bad documents, and the examples of the docs."""

import json
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from adapter.discharge.agreement import agreement
from adapter.discharge.scenario import explain
from adapter.errors import ConfigurationError

ROOT = Path(__file__).parents[2]
SCENARIOS = sorted((ROOT / "fixtures" / "scenarios").glob("*.json"))
DOCS = (ROOT / "docs" / "deadlines.md").read_text("utf-8")
Document = dict[str, Any]


def scenario(name: str) -> Document:
    found: Document = json.loads((ROOT / "fixtures" / "scenarios" / f"{name}.json").read_text("utf-8"))
    return found


def told(kind: str, at: str, **more: Any) -> Document:
    return {"kind": kind, "at": at, **more}


def case(country: str, now: str, *events: Document) -> Document:
    return explain({"agreement": country, "now": now, "events": list(events)})


def deadline(explained: Document, kind: str, party: str | None = None) -> Document:
    (one,) = [
        d for d in explained["deadlines"] if d["kind"] == kind and (party is None or d["party"] == party)
    ]
    return dict(one)


BEFORE = [
    told("admitted", "2024-12-20T08:00:00+01:00"),
    told("open-care-availability", "2024-12-20T09:00:00+01:00", available=True),
]


# --- the table of cases -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "first"),
    [
        ("2025-03-07T12:00:00+01:00", "2025-03-10"),  # Friday noon: Monday
        ("2025-03-07T12:00:01+01:00", "2025-03-11"),  # a second later: Tuesday
        ("2025-03-05T11:00:00+01:00", "2025-03-08"),  # Wednesday: Saturday, no roll-over
        ("2025-04-17T10:00:00+02:00", "2025-04-20"),  # Maundy Thursday: Easter Day
        ("2024-12-29T12:00:00+01:00", "2025-01-01"),
        ("2028-02-27T12:00:00+01:00", "2028-03-01"),  # over a leap day
        ("2025-03-28T12:30:00+01:00", "2025-04-01"),  # over the spring night
        ("2025-07-04T10:00:01Z", "2025-07-08"),  # 12:00:01 where the hospital is
    ],
)
def test_sweden_is_liable_three_days_after_the_notice_and_four_after_noon(sent, first):
    explained = case("sweden", sent, *BEFORE, told("ready-for-discharge", sent))
    assert explained["payment"]["liable_from"] == first
    assert deadline(explained, "payment-start")["due_at"].startswith(f"{first}T00:00:00")


@pytest.mark.parametrize(
    ("sent", "due"),
    [
        ("2025-03-07T12:00:01+01:00", "2025-03-10T23:59:59+01:00"),
        ("2025-03-05T11:00:00+01:00", "2025-03-08T23:59:59+01:00"),
    ],
)
def test_sweden_calls_to_sip_within_three_calendar_days(sent, due):
    explained = case("sweden", sent, *BEFORE, told("ready-for-discharge", sent, sip_needed=True))
    assert deadline(explained, "sip-call")["due_at"] == due


def test_sweden_without_the_other_events_the_same_notice_makes_nobody_liable():
    sent = "2025-03-07T12:00:00+01:00"
    explained = case("sweden", "2025-03-20T09:00:00+01:00", told("ready-for-discharge", sent))
    payment = explained["payment"]
    assert (payment["liable_from"], payment["days"], payment["total"]) == (None, [], "0")
    assert any("admission notice" in reason for reason in payment["reasons"])
    assert any("open care" in reason for reason in payment["reasons"])


def test_sweden_friday_noon_in_2022_is_charged_by_the_day_and_says_where_the_amount_is_from():
    payment = explain(scenario("sweden-ready-friday-at-noon"))["payment"]
    assert payment["days"] == [
        {"date": "2022-03-07", "amount": "9300", "currency": "SEK"},
        {"date": "2022-03-08", "amount": "9300", "currency": "SEK"},
    ]
    assert (payment["liable_from"], payment["total"]) == ("2022-03-07", "18600")
    assert any("Vårdsamverkan Skåne" in reason for reason in payment["reasons"])


def test_sweden_a_second_after_noon_costs_a_day_less_and_says_why():
    payment = explain(scenario("sweden-ready-friday-after-noon"))["payment"]
    assert (payment["liable_from"], payment["total"]) == ("2022-03-08", "9300")
    assert payment["reasons"][0] == (
        "ready notice sent Friday 2022-03-04 12:00:01, after 12:00:00, so day 4: Tuesday 2022-03-08"
        " (lag 2017:612 5 kap. 4 §)"
    )


def test_sweden_a_plan_that_is_needed_and_never_called_to_makes_nobody_liable():
    explained = explain(scenario("sweden-plan-needed-and-no-call"))
    assert deadline(explained, "sip-call")["state"] == "missed"
    assert deadline(explained, "payment-start")["state"] == "void"
    assert explained["payment"]["liable_from"] is None


def test_sweden_withdrawn_on_day_two_and_ready_on_day_five_after_noon_is_liable_on_day_nine():
    explained = explain(scenario("sweden-withdrawn-and-ready-again"))
    starts = [d for d in explained["deadlines"] if d["kind"] == "payment-start"]
    assert [(d["state"], d["due_at"][:10]) for d in starts] == [
        ("void", "2019-05-09"),
        ("met-late", "2019-05-14"),
    ]
    assert [day["date"] for day in explained["payment"]["days"]] == ["2019-05-14", "2019-05-15"]
    assert explained["payment"]["total"] == "15600"


def test_sweden_an_amount_that_is_not_known_is_left_out_with_a_reason():
    document = scenario("sweden-ready-friday-at-noon")
    shifted = json.loads(json.dumps(document).replace("2022-03", "2024-03"))
    payment = explain(shifted)["payment"]
    assert payment["total"] is None
    assert {day["amount"] for day in payment["days"]} == {None}
    assert any("2024 is not known" in reason for reason in payment["reasons"])


def test_sweden_discharged_before_the_first_chargeable_day_is_not_liable():
    gone = told("discharged", "2022-03-06T10:00:00+01:00")
    document = scenario("sweden-ready-friday-at-noon")
    document["events"].append(gone)
    explained = explain(document)
    assert deadline(explained, "payment-start")["state"] == "met"
    assert (explained["payment"]["liable_from"], explained["payment"]["total"]) == (None, "0")


def test_sweden_discharged_on_the_first_chargeable_day_is_not_liable_and_the_reason_names_the_day():
    document = scenario("sweden-ready-friday-at-noon")
    document["events"].append(told("discharged", "2022-03-07T10:00:00+01:00"))
    payment = explain(document)["payment"]
    assert (payment["liable_from"], payment["days"], payment["total"]) == (None, [], "0")
    assert payment["reasons"][0].endswith("the first chargeable day would have been Monday 2022-03-07")


def test_norway_24_hours_over_the_autumn_night_and_delivery_is_no_receipt():
    made = deadline(explain(scenario("norway-early-notice-over-the-autumn-night")), "early-notice")
    assert (made["due_at"], made["state"]) == ("2025-10-27T00:30:00+01:00", "open")
    assert made["remind_at"] == "2025-10-26T12:30:00+01:00"


def test_norway_an_announced_day_asks_each_municipality_for_an_answer_when_it_begins():
    explained = explain(scenario("norway-ready-announced-and-answered"))
    open_one = deadline(explained, "answer", "municipality:Lærdal")
    assert (open_one["since"], open_one["due_at"]) == (
        "2014-03-07T00:00:00+01:00",
        "2014-03-07T03:00:00+01:00",
    )
    assert (open_one["state"], open_one["confidence"]) == ("missed", "local")
    assert deadline(explained, "answer", "municipality:Årdal")["state"] == "met"


def test_norway_a_notice_without_an_early_one_before_it_makes_nobody_liable():
    document = scenario("norway-ready-announced-and-answered")
    document["events"] = [e for e in document["events"] if e["kind"] != "care-needs"]
    payment = explain(document)["payment"]
    assert (payment["liable_from"], payment["days"], payment["total"]) == (None, [], "0")
    assert any("no early notice" in reason for reason in payment["reasons"])


# --- the document -------------------------------------------------------------------------------------------


def test_who_sends_and_receives_need_not_be_said_where_there_is_one_of_each():
    explained = case(
        "norway",
        "2024-03-05T12:00:00+01:00",
        told("admitted", "2024-03-01T08:00:00+01:00", receiver="municipality:Vik"),
        told("ready-for-discharge", "2024-03-05T09:00:00+01:00", accepted_at="2024-03-05T09:01:00+01:00"),
        told("answer", "2024-03-05T10:00:00+01:00", answer="unclassified"),
    )
    assert deadline(explained, "answer", "municipality:Vik")["state"] == "met"


def test_seen_and_delivered_are_read_and_accept_nothing():
    explained = case(
        "norway",
        "2024-03-01T12:00:00+01:00",
        told("admitted", "2024-03-01T08:00:00+01:00"),
        told(
            "care-needs",
            "2024-03-01T09:00:00+01:00",
            delivered_at="2024-03-01T09:00:01+01:00",
            seen_at="2024-03-01T09:30:00+01:00",
        ),
    )
    assert deadline(explained, "early-notice")["state"] == "open"


@pytest.mark.parametrize("by", ["sender", "by"])
def test_a_call_by_the_municipality_is_no_call_of_primary_care(by):
    document = scenario("sweden-plan-needed-and-no-call")
    document["events"].append(told("sip-call", "2019-05-09T10:00:00+02:00", **{by: "municipality"}))
    assert deadline(explain(document), "sip-call")["state"] == "missed"
    document["events"][-1][by] = "open-care"
    assert deadline(explain(document), "sip-call")["state"] == "met"


def test_a_case_in_which_nothing_has_happened_has_no_deadlines():
    for country in ("norway", "sweden"):
        explained = case(country, "2024-03-05T12:00:00+01:00")
        assert explained["deadlines"] == []
        assert explained["payment"]["reasons"]


def test_before_a_ready_notice_there_is_nothing_to_pay():
    payment = case("sweden", "2025-01-03T09:00:00+01:00", *BEFORE)["payment"]
    assert payment["reasons"] == ["no ready notice has been sent"]


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_every_order_of_the_events_is_explained_alike(path):
    document = json.loads(path.read_text("utf-8"))
    turned = deepcopy(document)
    turned["events"].reverse()
    assert explain(turned) == explain(document)
    assert json.loads(json.dumps(explain(document))) == explain(document)


GOOD = {
    "agreement": "sweden",
    "now": "2025-03-07T15:00:00+01:00",
    "events": [*BEFORE, told("answer", "2025-03-07T12:00:00+01:00", answer="can-receive")],
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"agreement": "finland"}, "agreement 'finland': no such agreement; choose one of: denmark,"),
        ({"agreement": 7}, "scenario: agreement: must be a name"),
        ({"agreement": {"base": "norway", "term": {}}}, "scenario, agreement: term: is not known here"),
        ({"agreement": {"terms": {}}}, "scenario, agreement: base: must be a name"),
        ({"agreement": {"base": "norway", "terms": {"x": 1}}}, "term 'x': no such term"),
        ({"now": None}, "scenario: now: is missing"),
        ({"now": "2025-03-07T15:00:00"}, "scenario: now: '2025-03-07T15:00:00' has no offset"),
        ({"events": {}}, "scenario: events: must be a list"),
        ({"events": ["ready"]}, "events[0]: must be a JSON object"),
        ({"patient": "x"}, "scenario: patient: is not known here"),
    ],
)
def test_a_bad_document_is_told_where_it_is_wrong(change, said):
    with pytest.raises(ConfigurationError) as error:
        explain(GOOD | change)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "redy"}, "kind: 'redy' is unknown; it may be: admitted,"),
        ({"kind": None}, "kind: is missing"),
        ({"kind": "discharged"}, "answer: belongs to answer, not to discharged"),
        ({"at": "yesterday"}, "at: 'yesterday' is no time; write 2024"),
        ({"at": 5}, "at: 5 is no time"),
        ({"at": "2025-03-07T12:00:00"}, "at: '2025-03-07T12:00:00' has no offset"),
        ({"accepted_at": "2025-03-07"}, "accepted_at: '2025-03-07' has no offset"),
        ({"sent_at": "soon"}, "sent_at: 'soon' is no time"),
        ({"answer": "yes"}, "answer: 'yes' is unknown; it may be: can-receive,"),
        ({"answer": None}, "answer: is missing"),
        ({"receive_from": "Monday"}, "receive_from: 'Monday' is no date"),
        ({"sender": "Lærdal"}, "sender: 'Lærdal' is no party; write one of hospital,"),
        ({"receiver": ["hospital", 4]}, "receiver: 4 is no party"),
        ({"sender": "municipality", "by": "municipality"}, "by: says the same as sender"),
        ({"acepted_at": "2025-03-07T12:00:00Z"}, "acepted_at: is not known here"),
        ({"kind": "open-care-availability", "answer": None, "available": "yes"}, "answer: belongs to answer"),
    ],
)
def test_a_bad_event_is_told_by_its_number_and_key(change, said):
    events = [*BEFORE, {**GOOD["events"][2], **change}]
    with pytest.raises(ConfigurationError) as error:
        explain(GOOD | {"events": events})
    assert str(error.value).startswith(f"events[2]: {said}")


@pytest.mark.parametrize("available", [None, "yes", 1])
def test_open_care_is_said_to_be_available_or_not(available):
    event = told("open-care-availability", "2025-03-07T12:00:00+01:00", available=available)
    with pytest.raises(ConfigurationError, match=r"events\[0\]: available: must be true or false"):
        explain(GOOD | {"events": [event]})


# --- the examples of the docs -------------------------------------------------------------------------------


def shown(example: Any, explained: Any) -> Any:
    """`explained`, shortened to the keys that the example shows."""
    if isinstance(example, dict):
        return {key: shown(value, explained[key]) for key, value in example.items()}
    if isinstance(example, list):
        assert len(example) == len(explained)
        return [shown(one, other) for one, other in zip(example, explained, strict=True)]
    return explained


EXAMPLES = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", DOCS, re.DOTALL)]


def test_the_docs_show_each_scenario_with_what_it_explains():
    assert len(EXAMPLES) >= 4
    assert len(EXAMPLES) % 2 == 0


@pytest.mark.parametrize("number", range(0, len(EXAMPLES), 2))
def test_the_examples_of_the_docs_are_explained_as_they_say(number):
    document, example = EXAMPLES[number], EXAMPLES[number + 1]
    assert shown(example, explain(document)) == example


def test_the_docs_name_every_key_of_an_event():
    from adapter.discharge.scenario import _KEYS

    for key in _KEYS:
        assert f"`{key}`" in DOCS, key


# --- follow-ups ---------------------------------------------------------------------------------------------

HOME = [
    told("admitted", "2024-03-01T08:00:00+01:00"),
    told("discharged", "2024-03-05T12:00:00+01:00"),
    told("discharge-report", "2024-03-05T13:00:00+01:00", follow_up="2024-03-12"),
]


def test_a_check_up_that_the_report_names_is_due_by_the_end_of_that_day():
    made = deadline(case("norway", "2024-03-06T09:00:00+01:00", *HOME), "follow-up-check-up")
    assert (made["due_at"], made["state"]) == ("2024-03-12T23:59:59+01:00", "open")
    assert made["why"][0]["nb"].startswith("utskrivningsrapport sendt tirsdag 2024-03-05 13:00:00, og dagen")


@pytest.mark.parametrize(
    ("at", "state"),
    [
        ("2024-03-12T23:59:59+01:00", "met"),
        ("2024-03-13T00:00:00+01:00", "met-late"),
        ("2024-03-05T12:30:00+01:00", "missed"),  # before the report: it was another one's
    ],
)
def test_a_check_up_is_met_by_a_follow_up_after_the_report(at, state):
    done = told("followed-up", at, sender="municipality")
    explained = case("norway", "2024-03-20T09:00:00+01:00", *HOME, done)
    assert deadline(explained, "follow-up-check-up")["state"] == state


def test_after_a_death_no_follow_up_is_asked_for():
    explained = case(
        "norway", "2024-03-20T09:00:00+01:00", *HOME, told("deceased", "2024-03-08T09:00:00+01:00")
    )
    made = deadline(explained, "follow-up-check-up")
    assert (made["state"], made["remind_at"]) == ("void", None)


def test_a_follow_up_day_belongs_to_what_can_name_one():
    with pytest.raises(ConfigurationError, match=r"events\[0\]: follow_up: belongs to discharge-report"):
        case(
            "norway",
            "2024-03-06T09:00:00+01:00",
            told("admitted", "2024-03-01T08:00:00+01:00", follow_up="2024-03-12"),
        )


# --- several stays ------------------------------------------------------------------------------------------


def test_a_later_stay_is_explained_beside_the_first_and_each_names_the_other() -> None:
    first = explain(scenario("norway-admitted-again-after-five-days"))
    (later,) = first["later"]
    assert (first["follows"], later["followed_by"], later["case"]) == (None, None, 2)
    assert (first["followed_by"]["case"], later["follows"]["case"]) == (2, 1)
    assert later["follows"]["verdict"] == "readmission"
    (why,) = later["follows"]["why"]
    assert why["en"].startswith("admitted Saturday 2024-03-09 10:00:00, on day 5 after the discharge Monday")
    assert "en reinnleggelse" in why["nb"]
    for kind in ("follow-up-readmission-watch", "follow-up-check-up"):
        assert deadline(first, kind)["state"] == "void"
    assert {d["since"] for d in later["deadlines"]} == {"2024-03-09T10:00:00+01:00"}


def test_one_stay_has_none_beside_it() -> None:
    told_ = explain(scenario("norway-ready-announced-and-answered"))
    assert (told_["later"], told_["follows"], told_["followed_by"]) == ([], None, None)


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({"kind": "discharged", "acute": True}, "events[0]: acute: belongs to admitted, not to discharged"),
        ({"kind": "admitted", "acute": "yes"}, "events[0]: acute: must be true or false"),
        ({"kind": "admitted", "stay": ""}, "events[0]: stay: must be text"),
        ({"kind": "admitted", "stay": 2}, "events[0]: stay: must be text"),
    ],
)
def test_a_stay_that_is_told_wrongly_is_refused_with_event_and_key(event: Document, reason: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        case("norway", "2024-03-10T12:00:00+01:00", event | {"at": "2024-03-01T10:00:00+01:00"})
    assert reason in str(error.value)


SWEDISH_STAY = [
    {"kind": "admitted", "at": "2022-03-01T08:00:00+01:00"},
    {"kind": "open-care-availability", "at": "2022-03-01T09:00:00+01:00", "available": True},
    {"kind": "ready-for-discharge", "at": "2022-03-04T10:00:00+01:00"},
]


def under(base: str, terms: dict[str, Any], events: list[dict[str, Any]], now: str) -> dict[str, Any]:
    return explain({"agreement": {"base": base, "terms": terms}, "now": now, "events": events})


def of_kind(found: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(d for d in found["deadlines"] if d["kind"] == kind)


def test_the_payment_says_that_its_days_are_counted_by_a_term_and_not_by_the_paragraph_alone():
    found = under("sweden", {"payment_after": "P5D"}, SWEDISH_STAY, "2022-03-12T08:00:00+01:00")
    assert found["payment"]["liable_from"] == "2022-03-09"
    assert "by local terms, the length of time is 5 days instead of 3 days" in found["payment"]["reasons"]


def test_a_payment_whose_figures_nobody_has_checked_says_so():
    events = [
        {"kind": "admitted", "at": "2016-03-01T08:00:00+00:00"},
        {"kind": "care-needs", "at": "2016-03-02T08:00:00+00:00"},
        {"kind": "ready-for-discharge", "at": "2016-03-07T08:00:00+00:00"},
    ]
    found = explain({"agreement": "england-2014", "now": "2016-03-12T08:00:00+00:00", "events": events})
    assert found["payment"]["days"]
    assert any(reason.startswith("not checked against a source") for reason in found["payment"]["reasons"])


def test_a_condition_that_came_late_hides_no_term():
    events = [SWEDISH_STAY[0], SWEDISH_STAY[2], SWEDISH_STAY[1] | {"at": "2022-03-10T08:00:00+01:00"}]
    found = under("sweden", {"payment_after": "P5D"}, events, "2022-03-12T08:00:00+01:00")
    reason = of_kind(found, "payment-start")["reason"]
    assert "a condition was missing until Friday 2022-03-11" in reason
    assert "the length of time is 5 days instead of 3 days" in reason


def test_a_term_can_take_a_key_of_a_rule_away_and_says_so():
    events = [
        {"kind": "admitted", "at": "2016-03-01T08:00:00+00:00"},
        {"kind": "care-needs", "at": "2016-03-02T14:00:01+00:00"},
    ]
    whole_days = {"count": "calendar_days", "cutoff": "", "after_cutoff": ""}
    now = "2016-03-02T15:00:00+00:00"
    assert of_kind(under("england-2014", {}, events, now), "assessment")["due_at"][:10] == "2016-03-05"
    found = of_kind(under("england-2014", {"rules": {"assessment": whole_days}}, events, now), "assessment")
    assert found["due_at"][:10] == "2016-03-04"
    assert "by local terms, there is no cutoff; in the rule itself it is 14:00:00" in found["reason"]


def test_the_summary_that_goes_with_the_patient_is_due_at_the_discharge_and_not_before_it():
    found = case(
        "norway",
        "2024-03-07T08:00:00+01:00",
        told("admitted", "2024-03-01T08:00:00+01:00"),
        told("discharged", "2024-03-05T10:00:00+01:00"),
    )
    (why, *_) = of_kind(found, "discharge-summary-with-patient")["why"]
    assert why["en"] == (
        "discharge Tuesday 2024-03-05 10:00:00, so no later than that (forskrift 2011-11-18 nr 1115 § 12)"
    )
    assert why["nb"] == (
        "utskrivning tirsdag 2024-03-05 10:00:00, altså senest da (forskrift 2011-11-18 nr 1115 § 12)"
    )


def test_where_the_mean_holds_for_one_municipality_the_other_one_s_days_are_not_denied():
    model = {"name": "snitt", "between": ["municipality:Umeå"], "terms": {"average_days": "3"}}
    moved = {"kind": "responsible-municipality-changed", "at": "2022-03-10T08:00:00+01:00"}
    events = [event | {"receiver": ["municipality:Umeå"]} for event in SWEDISH_STAY]
    events.append(moved | {"receiver": "municipality:Vindeln"})
    document = {
        "agreement": {"base": "sweden", "accords": [model]},
        "now": "2022-03-12T08:00:00+01:00",
        "events": events,
    }
    payment = explain(document)["payment"]
    assert {charge["debtor"] for charge in payment["charges"]} == {"municipality:Vindeln"}
    assert any("snitt: no day of municipality:Umeå is charged by itself" in r for r in payment["reasons"])
    assert not any("no day is charged by itself" in r for r in payment["reasons"])


@pytest.mark.parametrize("key", ["valid_from", "valid_to"])
def test_an_agreement_cannot_move_the_days_on_which_a_rule_is_in_force(key):
    with pytest.raises(ConfigurationError) as error:
        under(
            "sweden", {"rules": {"payment-start": {key: "2017-01-01"}}}, SWEDISH_STAY, "2022-03-12T08:00:00Z"
        )
    assert f"payment-start: {key}: the agreement itself says when it holds" in str(error.value)


def test_a_key_that_a_way_of_counting_needs_cannot_be_taken_away():
    with pytest.raises(ConfigurationError) as error:
        under("sweden", {"rules": {"payment-start": {"cutoff": ""}}}, SWEDISH_STAY, "2022-03-12T08:00:00Z")
    assert "payment-start" in str(error.value)
    assert "cutoff: is missing, and days_with_cutoff needs it" in str(error.value)


def test_a_key_inside_a_table_can_be_taken_away_beside_a_named_term():
    terms = {
        "receipt_counts_by": "delivered",
        "rules": {"payment-start": {"trigger": {"unless": ""}}},
    }
    made = agreement("norway", terms)
    somatic = next(r for r in made.rules if r.kind == "payment-start" and r.variant == "somatic")
    assert (somatic.trigger.unless, somatic.trigger.time) == (None, "delivered")


@pytest.mark.parametrize(
    "at", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "1949-12-31T23:00:00Z"]
)
@pytest.mark.parametrize("key", ["at", "sent_at", "accepted_at"])
def test_a_time_at_the_ends_of_the_calendar_is_refused_with_event_and_key(key: str, at: str) -> None:
    event = {"kind": "ready-for-discharge", "at": "2024-03-01T10:00:00+01:00", key: at}
    with pytest.raises(ConfigurationError, match=rf"events\[0\]: {key}: the year \d+ is not in 1950 to 2199"):
        case("norway", "2024-03-10T12:00:00+01:00", event)
    with pytest.raises(ConfigurationError, match="now: the year"):
        case("norway", at)


@pytest.mark.parametrize(
    ("kind", "key"), [("ready-for-discharge", "ready"), ("admitted", "planned_discharge")]
)
def test_a_day_at_the_ends_of_the_calendar_is_refused(kind: str, key: str) -> None:
    event = {"kind": kind, "at": "2024-03-01T10:00:00+01:00", key: "0001-01-01"}
    with pytest.raises(ConfigurationError, match=rf"events\[0\]: {key}: the year 1 is not in"):
        case("norway", "2024-03-10T12:00:00+01:00", event)
