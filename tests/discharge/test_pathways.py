"""A region's own follow-ups: for every case, on a pathway, in a priority group; none of them is law."""

from itertools import permutations
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from adapter.discharge.agreement import agreement, countries, country
from adapter.discharge.case import CaseState, Fact, fold
from adapter.discharge.deadlines import Deadline, DeadlineState, deadlines
from adapter.discharge.notices import Notice, NoticeKind, Standing
from adapter.discharge.pathways import WATCH, read_own
from adapter.discharge.rulefile import Table
from adapter.discharge.scenario import explain
from adapter.errors import ConfigurationError
from tests.discharge.described import told

Document = dict[str, Any]
K = NoticeKind

CALL = {
    "kind": "call",
    "actor": "municipality",
    "basis": "Sogn LMS",
    "count": "elapsed",
    "duration": "PT72H",
    "earliest": "PT48H",
    "remind_before": "PT12H",
}
VISIT = {
    "kind": "gp-visit",
    "actor": "gp",
    "basis": "Sogn LMS",
    "count": "calendar_days",
    "duration": "P14D",
    "remind_before": "P2D",
}
HIP = {"name": "hip-fracture", "title": "Hoftebrot", "by": "Sogn LMS", "follow_up": [CALL, VISIT]}
FRAIL = {
    "name": "frail-older-people",
    "follow_up": [{**CALL, "duration": "PT24H", "earliest": "PT2H", "basis": "helsefellesskapet"}],
}
OUT = told("discharged", "2024-03-05T12:00:00+01:00")
IN = told("admitted", "2024-03-01T08:00:00+01:00")


def placed(name: str, at: str = "2024-03-04T09:00:00+01:00", **more: Any) -> Document:
    return told("placed", at, placement=name, **more)


def followed(at: str, **more: Any) -> Document:
    return told("followed-up", at, sender="municipality", **more)


def due(
    *events: Document, now: str = "2024-03-05T13:00:00+01:00", base: str = "norway", **own: Any
) -> Document:
    """The follow-ups of the described case by kind; one kind twice is an error of the test."""
    made = explain({"agreement": {"base": base, **own}, "now": now, "events": list(events)})
    found = [d for d in made["deadlines"] if d["kind"].startswith("follow-up-") and d["kind"] != WATCH]
    by_kind = {d["kind"].removeprefix("follow-up-"): d for d in found}
    assert len(by_kind) == len(found)
    return by_kind


def says(deadline: Document, language: str = "en") -> str:
    return "; ".join(why[language] for why in deadline["why"])


# --- for every case -----------------------------------------------------------------------------------------


def test_without_the_regions_word_no_law_asks_for_a_call_or_a_visit():
    for base in ("norway", "sweden", "denmark"):
        assert due(IN, OUT, base=base) == {}


def test_a_general_follow_up_holds_for_every_case_and_says_whose_figure_it_is():
    call = due(IN, OUT, follow_up=[CALL])["call"]
    assert (call["due_at"], call["state"], call["actor"]) == (
        "2024-03-08T12:00:00+01:00",
        "open",
        "municipality",
    )
    assert (call["basis"], call["confidence"], call["placement"]) == ("Sogn LMS", "local", None)
    assert "a figure of the region, not of the law: Sogn LMS" in says(call)
    assert "et tall fra regionen, ikke fra loven: Sogn LMS" in says(call, "nb")


def test_a_municipality_that_must_call_is_the_one_that_was_told_of_the_discharge():
    out = {**OUT, "receiver": "municipality:Årdal"}
    assert due(IN, out, follow_up=[CALL])["call"]["party"] == "municipality:Årdal"


# --- the window: boundaries to the second -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "state"),
    [
        ("2024-03-07T11:59:59+01:00", "missed"),  # a second before 48 hours
        ("2024-03-07T12:00:00+01:00", "met"),
        ("2024-03-08T12:00:00+01:00", "met"),
        ("2024-03-08T12:00:00.900+01:00", "met"),  # a second is the smallest unit
        ("2024-03-08T12:00:01+01:00", "met-late"),
    ],
)
def test_a_call_after_48_to_72_hours_counts_to_the_second(at, state):
    call = due(IN, OUT, followed(at), now="2024-03-20T09:00:00+01:00", follow_up=[CALL])["call"]
    assert call["state"] == state


@pytest.mark.parametrize(
    ("out", "opens", "last"),
    [
        # the clock goes forward on 31 March: 48 and 72 hours are absolute
        ("2024-03-30T12:00:00+01:00", "2024-04-01T13:00:00+02:00", "2024-04-02T13:00:00+02:00"),
        # and back on 27 October
        ("2024-10-26T12:00:00+02:00", "2024-10-28T11:00:00+01:00", "2024-10-29T11:00:00+01:00"),
    ],
)
def test_the_window_is_counted_in_absolute_hours_over_the_night_when_the_clock_changes(out, opens, last):
    stay = (told("admitted", "2024-03-01T08:00:00+01:00"), told("discharged", out))
    call = due(*stay, now=out, follow_up=[CALL])["call"]
    assert (call["opens_at"], call["due_at"]) == (opens, last)
    for at, state in ((opens, "met"), (last, "met")):
        found = due(*stay, followed(at), now="2024-12-01T00:00:00+01:00", follow_up=[CALL])["call"]
        assert found["state"] == state


def test_a_visit_within_14_days_is_due_with_the_last_second_of_the_fourteenth():
    visit = due(IN, OUT, follow_up=[VISIT])["gp-visit"]
    assert visit["due_at"] == "2024-03-19T23:59:59+01:00"
    for at, state in (("2024-03-19T23:59:59+01:00", "met"), ("2024-03-20T00:00:00+01:00", "met-late")):
        done = due(IN, OUT, followed(at), now="2024-03-25T09:00:00+01:00", follow_up=[VISIT])
        assert done["gp-visit"]["state"] == state


def test_an_early_call_is_told_as_too_early_and_the_opening_is_shown():
    call = due(
        IN, OUT, followed("2024-03-06T09:00:00+01:00"), follow_up=[CALL], now="2024-03-06T10:00:00+01:00"
    )
    assert call["call"]["state"] == "open"
    assert "what is done before Thursday 2024-03-07 12:00:00 does not count" in says(call["call"])
    early = "2024-03-06 09:00:00, before the earliest time Thursday 2024-03-07 12:00:00, so it does not count"
    assert early in says(call["call"])
    assert "før det tidligste tidspunktet torsdag 2024-03-07 12:00:00" in says(call["call"], "nb")


def test_an_early_call_is_not_held_against_one_who_called_again_in_time():
    calls = (followed("2024-03-06T09:00:00+01:00"), followed("2024-03-07T13:00:00+01:00"))
    call = due(IN, OUT, *calls, now="2024-03-20T09:00:00+01:00", follow_up=[CALL])["call"]
    assert call["state"] == "met"
    assert call["settled_at"] == "2024-03-07T13:00:00+01:00"
    assert "so it does not count" not in says(call)


@pytest.mark.parametrize(
    ("remind_before", "at"), [("PT12H", "2024-03-08T00:00:00+01:00"), ("PT48H", "2024-03-07T12:00:00+01:00")]
)
def test_nobody_is_reminded_before_it_can_be_done(remind_before, at):
    call = due(IN, OUT, follow_up=[{**CALL, "remind_before": remind_before}])["call"]
    assert call["remind_at"] == at


# --- on a pathway -------------------------------------------------------------------------------------------


def test_a_case_on_a_pathway_gets_its_follow_ups_and_no_other_case_does():
    assert due(IN, OUT, pathway=[HIP]) == {}
    found = due(IN, placed("hip-fracture"), OUT, pathway=[HIP])
    assert set(found) == {"call", "gp-visit"}
    assert found["call"]["placement"] == "hip-fracture"
    assert "of the pathway Hoftebrot, defined by Sogn LMS" in says(found["call"])
    assert "i forløpet Hoftebrot, fastsatt av Sogn LMS" in says(found["call"], "nb")


@pytest.mark.parametrize(
    "at", ["2024-02-28T09:00:00+01:00", "2024-03-05T18:00:00+01:00", "2024-03-09T09:00:00+01:00"]
)
def test_it_may_be_placed_before_the_admission_after_the_discharge_and_after_the_time_is_up(at):
    found = due(IN, OUT, placed("hip-fracture", at), now="2024-03-10T09:00:00+01:00", pathway=[HIP])
    assert (found["call"]["due_at"], found["call"]["state"]) == ("2024-03-08T12:00:00+01:00", "missed")


def test_taken_off_again_it_asks_for_nothing():
    off = placed("hip-fracture", "2024-03-05T15:00:00+01:00", off=True)
    assert due(IN, placed("hip-fracture"), OUT, off, pathway=[HIP]) == {}


def test_taken_off_and_placed_again_it_asks_again():
    off = placed("hip-fracture", "2024-03-04T15:00:00+01:00", off=True)
    again = placed("hip-fracture", "2024-03-04T16:00:00+01:00")
    assert set(due(IN, placed("hip-fracture"), off, again, OUT, pathway=[HIP])) == {"call", "gp-visit"}


def test_taken_off_one_pathway_the_case_stays_on_the_other():
    other = {**HIP, "name": "stroke", "title": "Slag", "follow_up": [{**VISIT, "kind": "ward-visit"}]}
    off = placed("hip-fracture", "2024-03-04T15:00:00+01:00", off=True)
    events = (IN, placed("hip-fracture"), placed("stroke"), off, OUT)
    assert set(due(*events, pathway=[HIP, other])) == {"ward-visit"}


@pytest.mark.parametrize(
    ("day", "known"),
    [("2024-02-29", False), ("2024-03-01", True), ("2024-03-31", True), ("2024-04-01", False)],
)
def test_a_pathway_can_be_chosen_from_its_first_day_to_its_last(day, known):
    dated = {**HIP, "valid_from": "2024-03-01", "valid_to": "2024-03-31"}
    events = (
        IN,
        placed("hip-fracture", f"{day}T00:30:00+01:00"),
        told("discharged", "2024-04-02T12:00:00+02:00"),
    )
    if known:
        assert set(due(*events, now="2024-04-02T13:00:00+02:00", pathway=[dated])) == {"call", "gp-visit"}
    else:
        with pytest.raises(ConfigurationError) as refused:
            due(*events, pathway=[dated])
        assert str(refused.value) == (
            "events[1]: placement: hip-fracture: cannot be chosen on "
            f"{day}; it holds from 2024-03-01 to 2024-03-31"
        )


def test_the_day_of_the_placement_is_that_of_the_hospital():
    dated = {**HIP, "valid_from": "2024-03-02"}
    assert due(IN, placed("hip-fracture", "2024-03-01T23:00:00Z"), OUT, pathway=[dated])  # 00:00 in Oslo
    with pytest.raises(ConfigurationError, match="cannot be chosen on 2024-03-01"):
        due(IN, placed("hip-fracture", "2024-03-01T22:59:59Z"), OUT, pathway=[dated])


def test_of_two_editions_of_a_pathway_the_one_of_the_day_of_the_placement_holds():
    old = {**HIP, "valid_to": "2024-03-03", "follow_up": [{**VISIT, "duration": "P30D"}]}
    new = {**HIP, "valid_from": "2024-03-04", "follow_up": [VISIT]}
    for day, last in (
        ("2024-03-03", "2024-04-04T23:59:59+02:00"),
        ("2024-03-04", "2024-03-19T23:59:59+01:00"),
    ):
        found = due(IN, placed("hip-fracture", f"{day}T09:00:00+01:00"), OUT, pathway=[old, new])
        assert found["gp-visit"]["due_at"] == last


@pytest.mark.parametrize(
    ("start", "asked"), [("2024-03-04", True), ("2024-03-05", True), ("2024-03-06", False)]
)
def test_a_follow_up_holds_for_what_starts_in_its_own_days(start, asked):
    dated = {**VISIT, "valid_from": start}
    assert bool(due(IN, OUT, follow_up=[dated])) is asked
    ended = {**VISIT, "valid_to": start}
    assert bool(due(IN, OUT, follow_up=[ended])) is (start >= "2024-03-05")


# --- in a group, and which one is stricter ------------------------------------------------------------------


def test_norways_groups_are_known_with_their_days_and_ask_for_nothing_by_themselves():
    norway = country("norway")
    assert len(norway.groups) == 5
    assert due(IN, placed("frail-older-people"), OUT) == {}
    assert [g.name for g in norway.groups if g.valid_from] == ["pregnancy-birth-and-after"]
    assert not [c.name for c in countries() if c.groups and c.name != "norway"]


@pytest.mark.parametrize(
    ("at", "known"), [("2023-12-31T23:59:59+01:00", False), ("2024-01-01T00:00:00+01:00", True)]
)
def test_women_around_birth_are_a_group_from_2024(at, known):
    events = (told("admitted", "2023-12-30T08:00:00+01:00"), placed("pregnancy-birth-and-after", at))
    if known:
        due(*events)
    else:
        with pytest.raises(
            ConfigurationError, match="cannot be chosen on 2023-12-31; it holds from 2024-01-01"
        ):
            due(*events)


def test_a_groups_stricter_call_stands_and_says_what_it_is_stricter_than():
    both = (IN, placed("hip-fracture"), placed("frail-older-people"), OUT)
    call = due(*both, pathway=[HIP], group=[FRAIL])["call"]
    assert (call["due_at"], call["placement"]) == ("2024-03-06T12:00:00+01:00", "frail-older-people")
    assert "of the priority group frail older people" in says(call)
    assert (
        "stricter than the follow-up of the pathway Hoftebrot, defined by Sogn LMS, which would be due "
        "Friday 2024-03-08 12:00:00" in says(call)
    )
    assert "for den prioriterte gruppen skrøpelige eldre" in says(call, "nb")
    assert "strengere enn oppfølgingen i forløpet Hoftebrot" in says(call, "nb")


def test_a_pathways_stricter_call_stands_over_the_general_one_and_a_looser_one_does_not():
    general = {**CALL, "basis": "Lærdal kommune", "duration": "PT96H"}
    call = due(IN, placed("hip-fracture"), OUT, follow_up=[general], pathway=[HIP])["call"]
    assert call["due_at"] == "2024-03-08T12:00:00+01:00"
    assert "stricter than the general follow-up (Lærdal kommune), which would be due Saturday" in says(call)
    strict = {**CALL, "basis": "Lærdal kommune", "duration": "PT60H"}
    call = due(IN, placed("hip-fracture"), OUT, follow_up=[strict], pathway=[HIP])["call"]
    assert (call["due_at"], call["basis"]) == ("2024-03-08T00:00:00+01:00", "Lærdal kommune")
    assert "stricter than the follow-up of the pathway Hoftebrot" in says(call)


def test_of_two_that_are_due_at_once_the_narrower_window_stands_and_neither_is_called_stricter():
    wide = {key: value for key, value in CALL.items() if key != "earliest"}
    for own in ({"follow_up": [wide, CALL]}, {"follow_up": [CALL, wide]}):
        call = due(IN, OUT, **own)["call"]
        assert call["opens_at"] == "2024-03-07T12:00:00+01:00"
        assert "stricter" not in says(call)


def test_different_starts_are_different_follow_ups():
    by_report = {**VISIT, "trigger": {"notice": "discharge-report", "time": "sent"}}
    report = told("discharge-report", "2024-03-06T10:00:00+01:00")
    made = explain(
        {
            "agreement": {"base": "norway", "follow_up": [VISIT, by_report]},
            "now": "2024-03-06T11:00:00+01:00",
            "events": [IN, OUT, report],
        }
    )
    dues = [d["due_at"][:10] for d in made["deadlines"] if d["kind"] == "follow-up-gp-visit"]
    assert dues == ["2024-03-19", "2024-03-20"]


# --- what settles it ----------------------------------------------------------------------------------------


def test_a_follow_up_that_names_its_kind_fulfils_that_one_only():
    done = followed("2024-03-07T13:00:00+01:00", fulfils="call")
    found = due(IN, placed("hip-fracture"), OUT, done, now="2024-03-25T09:00:00+01:00", pathway=[HIP])
    assert (found["call"]["state"], found["gp-visit"]["state"]) == ("met", "missed")


def test_a_follow_up_that_names_no_kind_fulfils_what_it_could():
    done = followed("2024-03-07T13:00:00+01:00")
    found = due(IN, placed("hip-fracture"), OUT, done, now="2024-03-25T09:00:00+01:00", pathway=[HIP])
    assert (found["call"]["state"], found["gp-visit"]["state"]) == ("met", "met")


@pytest.mark.parametrize(("what", "state"), [("check-up", "met"), ("call", "missed"), (None, "met")])
def test_the_laws_own_follow_ups_obey_it_too(what, state):
    report = told("discharge-report", "2024-03-05T13:00:00+01:00", follow_up="2024-03-12")
    done = followed("2024-03-08T09:00:00+01:00", **({"fulfils": what} if what else {}))
    found = due(IN, OUT, report, done, now="2024-03-20T09:00:00+01:00", follow_up=[CALL])
    assert found["check-up"]["state"] == state


def test_a_meeting_that_was_held_is_no_check_up_in_sweden():
    plan = told("care-plan", "2024-03-04T10:00:00+01:00", follow_up="2024-04-10")
    for what, state in (("sip-meeting", "met"), ("check-up", "missed")):
        done = followed("2024-04-10T10:00:00+02:00", fulfils=what)
        found = due(IN, plan, done, base="sweden", now="2024-04-20T09:00:00+02:00")
        assert found["sip-meeting"]["state"] == state


def test_a_kind_that_nobody_asks_for_is_an_error():
    with pytest.raises(
        ConfigurationError, match=r"events\[2\]: fulfils: 'cal' is unknown; it may be: check-up, call"
    ):
        due(IN, OUT, followed("2024-03-07T13:00:00+01:00", fulfils="cal"), follow_up=[CALL])


@pytest.mark.parametrize(("by", "state"), [("discharge-summary", "met"), ("followed-up", "missed")])
def test_a_follow_up_may_be_satisfied_by_another_notice_by_when_that_was_sent(by, state):
    by_summary = {**VISIT, "satisfied_by": ["discharge-summary"]}
    done = told(by, "2024-03-10T09:00:00+01:00")
    found = due(IN, OUT, done, now="2024-03-25T09:00:00+01:00", follow_up=[by_summary])
    assert found["gp-visit"]["state"] == state


def test_after_a_death_every_follow_up_is_void_with_no_reminder():
    died = told("deceased", "2024-03-06T09:00:00+01:00")
    events = (IN, placed("hip-fracture"), placed("frail-older-people"), OUT, died)
    found = due(*events, now="2024-03-06T10:00:00+01:00", pathway=[HIP], group=[FRAIL], follow_up=[CALL])
    assert {d["state"] for d in found.values()} == {"void"}
    assert {d["remind_at"] for d in found.values()} == {None}


# --- between whom, and what agreements replace --------------------------------------------------------------


@pytest.mark.parametrize(("told_to", "asked"), [("municipality:Årdal", True), ("municipality:Vik", False)])
def test_a_follow_up_between_parties_holds_where_they_take_part(told_to, asked):
    ours = {**CALL, "between": ["hospital", "municipality:Årdal"]}
    out = {**OUT, "receiver": told_to}
    assert bool(due({**IN, "receiver": told_to}, out, follow_up=[ours])) is asked


def test_an_accord_replaces_a_key_of_a_follow_up_and_it_stays_the_pathways():
    accords = [{"name": "Avtale", "terms": {"rules": {"follow-up-call": {"duration": "PT60H"}}}}]
    call = due(IN, placed("hip-fracture"), OUT, pathway=[HIP], accords=accords)["call"]
    assert (call["due_at"], call["placement"]) == ("2024-03-08T00:00:00+01:00", "hip-fracture")
    assert "by the agreement Avtale, the length of time is 60 hours instead of 72 hours" in says(call)
    assert "a figure of the region, not of the law: Sogn LMS" in says(call)
    between = {**CALL, "between": ["hospital", "municipality:Årdal"]}
    elsewhere = {**OUT, "receiver": "municipality:Vik"}
    assert due(IN, elsewhere, follow_up=[between], accords=accords) == {}
    in_it = {**OUT, "receiver": "municipality:Årdal"}
    assert due(IN, in_it, follow_up=[between], accords=accords)["call"]["due_at"] == call["due_at"]
    reminded = due(IN, OUT, follow_up=[CALL], terms={"remind_before": {"follow-up-call": "PT1H"}})["call"]
    assert reminded["remind_at"] == "2024-03-08T11:00:00+01:00"


# --- any order of arrival -----------------------------------------------------------------------------------

OSLO = ZoneInfo("Europe/Oslo")


def notice(kind: NoticeKind, at: str, number: int, **more: Any) -> Notice:
    from datetime import datetime

    when = datetime.fromisoformat(at).replace(tzinfo=OSLO)
    return Notice(
        kind=kind,
        message_id=f"n{number}",
        sent_at=when,
        occurred=when,
        sender="hospital",
        receivers=("municipality",),
        hospital="hospital",
        **more,
    )


ADMITTED = notice(K.ADMITTED, "2024-03-01T08:00", 1)
PLACED = notice(K.PLACED, "2024-02-28T08:00", 2, placement="hip-fracture")
DISCHARGED = notice(K.DISCHARGED, "2024-03-05T12:00", 3)
CALLED = notice(K.FOLLOWED_UP, "2024-03-07T13:00", 4, fulfils="call")
TAKEN_OFF = notice(
    K.PLACED,
    "2024-03-09T12:00",
    5,
    placement="hip-fracture",
    standing=Standing.CANCELLATION,
    refers_to="n2",
)
NORWAY = agreement("norway", own=read_own(Table({"pathway": [HIP]}, "region.toml"), country("norway")))


def follow_ups(*facts: Fact) -> tuple[Deadline, ...]:
    (case,) = fold(facts, OSLO)
    found = deadlines(case, NORWAY, notice(K.SEEN, "2024-03-10T00:00", 9).sent_at)
    return tuple(d for d in found if d.kind.startswith("follow-up-") and d.kind != WATCH)


def test_every_order_of_arrival_gives_the_same_follow_ups():
    made = {follow_ups(*order) for order in permutations((ADMITTED, PLACED, DISCHARGED, CALLED))}
    (same,) = made
    assert {d.kind: d.state for d in same} == {
        "follow-up-call": DeadlineState.MET,
        "follow-up-gp-visit": DeadlineState.OPEN,
    }
    assert {follow_ups(*order) for order in permutations((ADMITTED, PLACED, DISCHARGED, TAKEN_OFF))} == {()}


def test_a_message_that_names_an_unknown_pathway_is_kept_and_asks_for_nothing():
    unknown = notice(K.PLACED, "2024-03-04T08:00", 2, placement="knee")
    assert follow_ups(ADMITTED, unknown, DISCHARGED) == ()
    (case,) = fold((ADMITTED, unknown, DISCHARGED), OSLO)
    assert case.placements == ("knee",)


def test_a_correction_moves_a_case_to_another_pathway():
    wrong = notice(K.PLACED, "2024-03-04T08:00", 6, placement="knee")
    right = notice(
        K.PLACED,
        "2024-03-04T09:00",
        7,
        placement="hip-fracture",
        standing=Standing.CORRECTION,
        refers_to="n6",
    )
    assert len(follow_ups(ADMITTED, wrong, right, DISCHARGED)) == 2


def test_a_placement_alone_keeps_no_cancelled_case_alive():
    told_of = notice(K.ADMITTED, "2024-03-01T08:00", 1, encounter="stay")
    gone = notice(
        K.ADMITTED, "2024-03-01T09:00", 8, encounter="stay", standing=Standing.CANCELLATION, refers_to="n1"
    )
    on_it = notice(K.PLACED, "2024-03-02T08:00", 2, encounter="stay", placement="knee")
    (case,) = fold((told_of, on_it, gone), OSLO)
    assert case.state is CaseState.CANCELLED
    (case,) = fold((on_it,), OSLO)
    assert case.state is CaseState.ADMITTED


# --- documents that cannot be read --------------------------------------------------------------------------


def without(document: Document, *keys: str) -> Document:
    return {key: value for key, value in document.items() if key not in keys}


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"follow_up": [without(CALL, "kind")]}, "x, follow_up 1: kind: is missing"),
        ({"follow_up": [{**CALL, "kind": "GP visit"}]}, "follow_up 1: kind: 'GP visit' is no name"),
        ({"follow_up": [without(CALL, "basis")]}, "(follow-up-call): basis: is missing"),
        ({"follow_up": [without(CALL, "remind_before")]}, "(follow-up-call): remind_before: is missing"),
        ({"follow_up": [{**CALL, "actor": "nurse"}]}, "actor: 'nurse' is unknown"),
        ({"follow_up": [{**CALL, "duration": "72 hours"}]}, "duration: '72 hours' is no duration"),
        ({"follow_up": [{**CALL, "duration": "PT72H", "confidence": "Q"}]}, "confidence: is not a key"),
        ({"follow_up": [{**CALL, "earliest": "PT72H"}]}, "earliest: P3D is not before the time is up"),
        ({"follow_up": [{**VISIT, "earliest": "P15D"}]}, "earliest: P15D is not before the time is up"),
        ({"follow_up": [{**CALL, "satisfied_by": []}]}, "satisfied_by: is empty"),
        ({"follow_up": [{**CALL, "satisfied_by": ["call"]}]}, "satisfied_by: 'call' is unknown"),
        ({"follow_up": [{**CALL, "between": [1]}]}, "between: must be a list of parties"),
        (
            {"follow_up": [{**CALL, "trigger": {"placed": "hip"}}]},
            "trigger: placed: put it under its pathway",
        ),
        ({"follow_up": [{**CALL, "trigger": {"notice": "home"}}]}, "notice: 'home' is unknown"),
        (
            {"follow_up": [{**CALL, "valid_from": "2024-02-02", "valid_to": "2024-02-01"}]},
            "valid_to: 2024-02-01",
        ),
        (
            {"follow_up": [CALL, {**CALL, "actor": "gp"}]},
            "follow_up: call: is made by municipality elsewhere",
        ),
        ({"follow_up": [{**VISIT, "kind": "check-up"}]}, "check-up: is made by municipality elsewhere"),
        ({"follow_up": CALL}, "x: follow_up: must be a list"),
        ({"pathway": [without(HIP, "follow_up")]}, "pathway 1 (hip-fracture): follow_up: is missing"),
        ({"pathway": [without(HIP, "by")]}, "pathway 1 (hip-fracture): by: is missing"),
        ({"pathway": [without(HIP, "title")]}, "pathway 1 (hip-fracture): title: is missing"),
        ({"pathway": [{**HIP, "name": "Hip!"}]}, "pathway 1: name: 'Hip!' is no name"),
        ({"pathway": [{**HIP, "owner": "me"}]}, "pathway 1 (hip-fracture): owner: is not a key"),
        (
            {"pathway": [HIP, HIP]},
            "pathway 2 (hip-fracture): name: 'hip-fracture' is taken by another pathway",
        ),
        (
            {"pathway": [{**HIP, "valid_to": "2024-03-04"}, {**HIP, "valid_from": "2024-03-04"}]},
            "name: 'hip-fracture' is taken",
        ),
        (
            {"pathway": [{**HIP, "valid_from": "2024-03-04", "valid_to": "2024-03-03"}]},
            "pathway 1 (hip-fracture): valid_to: 2024-03-03 is before valid_from 2024-03-04",
        ),
        ({"group": [FRAIL, FRAIL]}, "group 2 (frail-older-people): name: 'frail-older-people' is taken"),
        ({"group": [{**FRAIL, "title": "Eldre"}]}, "title: belongs to the group of norway; leave it out"),
        ({"group": [{**FRAIL, "valid_from": "2020-01-01"}]}, "valid_from: belongs to the group of norway"),
        ({"group": [{"name": "farmers"}]}, "group 1 (farmers): title: is missing"),
        (
            {"group": [{"name": "frail"}]},
            "a group of your own needs it; the groups of norway: children-and-young-people, severe",
        ),
        (
            {"pathway": [{**HIP, "name": "frail-older-people"}], "group": [FRAIL]},
            "is taken by another pathway",
        ),
        ({"pathways": [HIP]}, "x: pathways: is not a key"),
    ],
)
def test_a_bad_document_says_where_which_key_and_why(own, said):
    with pytest.raises(ConfigurationError) as refused:
        read_own(Table(own, "x"), country("norway"))
    assert said in str(refused.value)
    assert str(refused.value).startswith("x")


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (
            placed("knee"),
            "events[0]: placement: knee: there is no such pathway or group; known: hip-fracture, child",
        ),
        (told("placed", "2024-03-04T09:00:00+01:00"), "events[0]: placement: is missing"),
        (
            placed("hip-fracture", off=True),
            "events[0]: off: the case has not been placed on 'hip-fracture' before",
        ),
        ({**OUT, "placement": "hip-fracture"}, "events[0]: placement: belongs to placed, not to discharged"),
        ({**OUT, "fulfils": "call"}, "events[0]: fulfils: belongs to followed-up, not to discharged"),
    ],
)
def test_a_bad_event_says_which_one_and_what_to_write(event, said):
    with pytest.raises(ConfigurationError) as refused:
        due(event, pathway=[HIP])
    assert said in str(refused.value)


# --- what would harm later ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "readmission-watch"}, "kind: 'readmission-watch' is what waits for a readmission"),
        ({"kind": "a" * 65}, "is no name; write at most 64 small letters"),
        ({"basis": " "}, "basis: is empty; write it"),
        ({"basis": "Sogn\x00LMS"}, "basis: holds U+0000, which cannot be shown"),
        ({"note": "\u202egnp"}, "note: holds U+202E, which cannot be shown"),
        ({"trigger": {"notice": "deceased"}}, "trigger: nobody is followed up after a death"),
        ({"satisfied_by": ["deceased"]}, "satisfied_by: a death ends every follow-up and fulfils none"),
    ],
)
def test_a_follow_up_that_could_never_be_or_never_be_shown_is_refused(change, said):
    with pytest.raises(ConfigurationError) as error:
        due(IN, OUT, follow_up=[{**CALL, **change}])
    assert said in str(error.value)
    assert "scenario, agreement, follow_up 1" in str(error.value)
