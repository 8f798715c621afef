"""Readmissions: acute, 8 hours to 30 days after the discharge (process.md 31); what follows which case."""

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.discharge.agreement import Accord, Agreement, agreed, agreement, read_rules
from adapter.discharge.case import Case, Evidence, Fact, Step
from adapter.discharge.deadlines import Deadline, DeadlineState, deadlines
from adapter.discharge.notices import Notice, NoticeKind, Standing
from adapter.discharge.pathways import WATCH, read_own
from adapter.discharge.payment import liabilities
from adapter.discharge.readmission import Link, Verdict, courses, links
from adapter.discharge.rulefile import Table
from adapter.discharge.wording import said
from adapter.errors import ConfigurationError

K = NoticeKind
NORWAY = agreement("norway")
LAERDAL, FORDE, SOGNDAL = "laerdal-sjukehus", "forde-sjukehus", "sogndal"
HOME = datetime(2024, 3, 4, 10, 0, 0, tzinfo=NORWAY.zone)
MUCH_LATER = HOME + timedelta(days=200)
HOUR, DAY, SECOND = timedelta(hours=1), timedelta(days=1), timedelta(seconds=1)


def notice(kind: NoticeKind, at: datetime | date, number: str, **more: Any) -> Notice:
    """Lærdal sjukehus tells Sogndal."""
    hospital = more.pop("hospital", LAERDAL)
    sent = at if isinstance(at, datetime) else datetime(at.year, at.month, at.day, 23, tzinfo=NORWAY.zone)
    usual = {"sent_at": sent, "sender": hospital, "receivers": (SOGNDAL,), "hospital": hospital}
    return Notice(kind=kind, message_id=number, occurred=at, **(usual | more))


def after(start: datetime, length: timedelta) -> datetime:
    """So much later in elapsed time."""
    return (start.astimezone(UTC) + length).astimezone(NORWAY.zone)


def stay(
    name: str,
    begins: datetime,
    ends: datetime | None,
    *,
    acute: bool | None = True,
    hospital: str = LAERDAL,
    end: NoticeKind = K.DISCHARGED,
) -> list[Fact]:
    told: list[Fact] = [notice(K.ADMITTED, begins, f"{name}-in", acute=acute, hospital=hospital)]
    return told if ends is None else [*told, notice(end, ends, f"{name}-out", hospital=hospital)]


def first(home: datetime = HOME, **more: Any) -> list[Fact]:
    return stay("first", home - 3 * DAY, home, **more)


def again(length: timedelta, home: datetime = HOME, **more: Any) -> list[Fact]:
    begins = after(home, length)
    return stay("again", begins, begins + 2 * DAY, **more)


def found(facts: list[Fact], terms: Agreement = NORWAY) -> list[Link]:
    return list(links(courses(facts, terms), terms))


def verdicts(facts: list[Fact], terms: Agreement = NORWAY) -> list[Verdict]:
    return [link.verdict for link in found(facts, terms)]


def of_first(facts: list[Fact], kind: str, now: datetime = MUCH_LATER, terms: Agreement = NORWAY) -> Deadline:
    (made,) = [d for d in deadlines(courses(facts, terms)[0], terms, now) if d.kind == kind]
    return made


# --- 8 hours to 30 days -----------------------------------------------------------------------------------

BOUNDS = [
    (8 * HOUR - SECOND, Verdict.SAME_COURSE),
    (8 * HOUR, Verdict.READMISSION),
    (30 * DAY, Verdict.READMISSION),
    (30 * DAY + SECOND, None),
]


@pytest.mark.parametrize(
    "home",
    [
        HOME,
        datetime(2024, 3, 30, 22, tzinfo=NORWAY.zone),  # the clock goes forward in the night after
        datetime(2024, 10, 26, 22, tzinfo=NORWAY.zone),  # and back
        datetime(2024, 2, 1, 12, tzinfo=NORWAY.zone),  # over a leap day
        datetime(2023, 2, 1, 12, tzinfo=NORWAY.zone),
    ],
    ids=["plain", "spring", "autumn", "leap", "no-leap"],
)
@pytest.mark.parametrize(("length", "verdict"), BOUNDS)
def test_both_bounds_are_elapsed_time_and_hold_to_the_second(
    home: datetime, length: timedelta, verdict: Verdict | None
) -> None:
    assert verdicts(first(home) + again(length, home)) == ([verdict] if verdict else [])


def test_a_part_of_a_second_moves_no_bound() -> None:
    home = HOME.replace(microsecond=900_000)
    assert verdicts(first(home) + again(8 * HOUR - timedelta(microseconds=500_000), home)) == [
        Verdict.READMISSION
    ]


@pytest.mark.parametrize(
    ("acute", "verdict", "words"),
    [
        (True, Verdict.READMISSION, ": a readmission"),
        (None, Verdict.POSSIBLE, "possibly a readmission"),
        (False, Verdict.PLANNED, "but not acutely: no readmission"),
    ],
)
def test_only_an_acute_admission_counts_and_where_nobody_says_it_is_possible(
    acute: bool | None, verdict: Verdict, words: str
) -> None:
    (link,) = found(first() + again(5 * DAY, acute=acute))
    assert link.verdict is verdict
    assert words in said(link.said)
    assert ("no message says whether the admission was acute" in said(link.said)) is (acute is None)


def test_what_the_admission_says_of_itself_stands_over_what_a_later_notice_says() -> None:
    facts = first() + again(5 * DAY, acute=False)
    needs = notice(K.CARE_NEEDS, HOME + 5 * DAY + HOUR, "needs", acute=True)
    assert verdicts([*facts, needs]) == [Verdict.PLANNED]
    silent = first() + again(5 * DAY, acute=None)
    assert verdicts([*silent, needs]) == [Verdict.READMISSION]


def test_a_correction_of_the_admission_moves_the_verdict() -> None:
    facts = first() + again(5 * DAY, acute=None)
    told = notice(
        K.ADMITTED,
        HOME + 5 * DAY,
        "fixed",
        acute=True,
        standing=Standing.CORRECTION,
        refers_to="again-in",
        sent_at=HOME + 6 * DAY,
    )
    assert verdicts([*facts, told]) == [Verdict.READMISSION]


@pytest.mark.parametrize(
    ("home", "back", "verdict"),
    [
        (date(2024, 3, 4), date(2024, 3, 4), Verdict.POSSIBLE),  # 0 to 24 hours
        (date(2024, 3, 4), date(2024, 3, 6), Verdict.READMISSION),  # whatever the hour
        (date(2024, 3, 4), date(2024, 4, 3), Verdict.POSSIBLE),  # 29 to 31 days
        (date(2024, 3, 4), date(2024, 4, 5), None),
    ],
)
def test_moments_told_as_days_are_certain_only_where_no_hour_of_the_day_matters(
    home: date, back: date, verdict: Verdict | None
) -> None:
    facts: list[Fact] = [
        notice(K.ADMITTED, HOME - 3 * DAY, "1"),
        notice(K.DISCHARGED, home, "2"),
        notice(
            K.ADMITTED,
            back,
            "3",
            acute=True,
            sent_at=datetime(back.year, back.month, back.day, 23, 30, tzinfo=NORWAY.zone),
        ),
    ]
    made = found(facts)
    assert [link.verdict for link in made] == ([verdict] if verdict else [])
    told = "was told as a day without a time"
    assert all((told in said(link.said)) is (verdict is Verdict.POSSIBLE) for link in made)


# --- what it follows --------------------------------------------------------------------------------------


def test_it_may_be_at_another_hospital() -> None:
    assert verdicts(first() + again(5 * DAY, hospital=FORDE)) == [Verdict.READMISSION]


def test_each_of_three_stays_follows_the_one_before_it() -> None:
    third = stay("third", HOME + 20 * DAY, None)
    made = found(first() + again(5 * DAY) + third)
    assert [(link.earlier, link.later) for link in made] == [(0, 1), (1, 2)]


def test_a_stay_that_begins_while_another_is_open_is_a_transfer() -> None:
    """An admission on an open case is a transfer (process.md 7), at the same hospital or elsewhere."""
    for hospital in (LAERDAL, FORDE):
        moved = stay("moved", HOME - DAY, HOME + 2 * DAY, hospital=hospital)
        assert verdicts(first() + moved) == []
    back = stay("back", HOME + 10 * DAY, None)
    made = found(first() + stay("moved", HOME - DAY, HOME + 2 * DAY, hospital=FORDE) + back)
    assert [(link.earlier, link.later) for link in made] == [(1, 2)]  # from where the patient went home


def test_what_follows_a_transfer_elsewhere_is_no_readmission_and_is_not_watched() -> None:
    moving = notice(K.TRANSFERRED, HOME - HOUR, "moved")
    facts = [*first(), moving, *again(20 * HOUR, hospital=FORDE)]
    assert verdicts(facts) == []
    assert [d for d in deadlines(courses(facts, NORWAY)[0], NORWAY, HOME) if d.kind == WATCH] == []


def test_a_discharge_to_another_hospital_is_a_transfer() -> None:
    away = notice(K.DISCHARGED, HOME, "away", moved=True)
    facts = [notice(K.ADMITTED, HOME - 3 * DAY, "in"), away, *again(5 * DAY)]
    assert verdicts(facts) == []
    assert [d for d in deadlines(courses(facts, NORWAY)[0], NORWAY, HOME) if d.kind == WATCH] == []


def test_a_transfer_days_before_the_discharge_does_not_hide_the_discharge() -> None:
    moving = notice(K.TRANSFERRED, HOME - 2 * DAY, "moved")
    assert verdicts([*first(), moving, *again(5 * DAY)]) == [Verdict.READMISSION]


def test_sooner_than_eight_hours_elsewhere_is_the_same_course_which_then_goes_on_from_there() -> None:
    soon = stay("soon", HOME + 2 * HOUR, HOME + 4 * DAY, hospital=FORDE)
    made = found(first() + soon + stay("back", HOME + 9 * DAY, None))
    assert [(link.earlier, link.later, link.verdict) for link in made] == [
        (0, 1, Verdict.SAME_COURSE),
        (1, 2, Verdict.READMISSION),
    ]


def test_leaving_against_advice_is_followed_like_a_discharge() -> None:
    assert verdicts(first(end=K.LEFT_AGAINST_ADVICE) + again(5 * DAY)) == [Verdict.READMISSION]


def test_nothing_follows_a_stay_that_ended_with_death() -> None:
    facts = first(end=K.DECEASED) + again(5 * DAY)
    assert verdicts(facts) == []
    assert [d for d in deadlines(courses(facts, NORWAY)[0], NORWAY, HOME) if d.kind == WATCH] == []


def test_a_discharge_and_a_death_at_one_instant_are_a_death() -> None:
    died = notice(K.DECEASED, HOME, "died")
    facts = [*first(), died, *again(5 * DAY)]
    assert verdicts(facts) == []
    assert [d for d in deadlines(courses(facts, NORWAY)[0], NORWAY, HOME) if d.kind == WATCH] == []


def test_a_stay_that_was_cancelled_does_not_stand_between() -> None:
    wrong = notice(K.ADMITTED, HOME + 2 * DAY, "wrong", hospital=FORDE)
    taken_back = notice(
        K.ADMITTED,
        HOME + 3 * DAY,
        "back",
        hospital=FORDE,
        standing=Standing.CANCELLATION,
        refers_to="wrong",
    )
    (link,) = found([*first(), wrong, taken_back, *again(5 * DAY)])
    assert (link.earlier, link.later, link.verdict) == (0, 2, Verdict.READMISSION)


@pytest.mark.parametrize("kind", [K.PLACED, K.FOLLOWED_UP])
def test_a_placement_or_follow_up_that_went_to_another_hospital_hides_no_readmission(
    kind: NoticeKind,
) -> None:
    stray = notice(
        kind, HOME - DAY, "stray", hospital=FORDE, sender="vik", receivers=(FORDE,), placement="hip-fracture"
    )
    assert verdicts([*first(), stray, *again(5 * DAY)]) == [Verdict.READMISSION]


def test_a_stay_in_a_municipal_acute_bed_is_neither() -> None:
    roles = {FORDE: "municipal-acute-bed"}
    bed = stay("bed", HOME + 2 * DAY, HOME + 3 * DAY, hospital=FORDE)
    cases = courses(first() + bed + stay("back", HOME + 9 * DAY, None), NORWAY, roles)
    made = links(cases, NORWAY, roles)
    assert [(link.earlier, link.later) for link in made] == [(0, 2)]


@pytest.mark.parametrize("cancelled", ["first-out", "again-in"])
def test_a_cancelled_discharge_or_admission_takes_the_link_away(cancelled: str) -> None:
    facts = first() + stay("again", HOME + 5 * DAY, None)
    assert verdicts(facts) == [Verdict.READMISSION]
    kind = K.DISCHARGED if cancelled == "first-out" else K.ADMITTED
    taken_back = notice(
        kind,
        HOME + 6 * DAY,
        "no",
        standing=Standing.CANCELLATION,
        refers_to=cancelled,
        sent_at=HOME + 6 * DAY,
    )
    assert verdicts([*facts, taken_back]) == []
    (watch,) = [
        d
        for d in deadlines(courses([*facts, taken_back], NORWAY)[0], NORWAY, HOME + 7 * DAY)
        if d.kind == WATCH
    ] or [None]
    assert (watch is None) if cancelled == "first-out" else (watch.state is DeadlineState.OPEN)  # type: ignore[union-attr]


# --- the watch --------------------------------------------------------------------------------------------


def test_the_watch_is_open_until_the_last_instant_and_then_over_and_nobody_is_reminded() -> None:
    last = HOME + 30 * DAY + HOUR  # summer time has begun meanwhile
    watch = of_first(first(), WATCH, last)
    assert (watch.since, watch.due_at) == (HOME, last)
    assert (watch.state, watch.quiet, watch.remind_at) == (DeadlineState.OPEN, True, None)
    over = of_first(first(), WATCH, last + SECOND)
    assert (over.state, over.settled_at) == (DeadlineState.MET, last)


@pytest.mark.parametrize("acute", [True, None, False])
def test_a_new_stay_ends_the_watch_with_what_it_was(acute: bool | None) -> None:
    watch = of_first(first() + again(5 * DAY, acute=acute), WATCH)
    assert (watch.state, watch.settled_at) == (DeadlineState.VOID, HOME + 5 * DAY)
    assert "admitted Saturday 2024-03-09 10:00:00, on day 5 after the discharge" in watch.reason


def test_a_stay_after_the_last_instant_does_not_end_it() -> None:
    assert of_first(first() + again(30 * DAY + SECOND), WATCH).state is DeadlineState.MET


FOLLOWED = notice(K.DISCHARGE_REPORT, HOME, "report", follow_up=date(2024, 3, 18))


@pytest.mark.parametrize(
    ("acute", "state"),
    [(True, DeadlineState.VOID), (None, DeadlineState.VOID), (False, DeadlineState.MISSED)],
)
def test_a_readmission_closes_the_follow_ups_of_the_discharge_and_a_planned_stay_does_not(
    acute: bool | None, state: DeadlineState
) -> None:
    check_up = of_first([*first(), FOLLOWED, *again(5 * DAY, acute=acute)], "follow-up-check-up")
    assert check_up.state is state
    assert ("readmission" in check_up.reason) is (state is DeadlineState.VOID)


def test_a_follow_up_that_was_missed_before_the_readmission_stays_missed() -> None:
    check_up = of_first([*first(), FOLLOWED, *again(20 * DAY)], "follow-up-check-up")
    assert check_up.state is DeadlineState.MISSED


@pytest.mark.parametrize("hospital", [None, FORDE])
def test_a_death_told_elsewhere_closes_what_is_open_after_the_discharge(hospital: str | None) -> None:
    """After a death everything closes, whichever case tells it (process.md 9)."""
    died = notice(K.DECEASED, HOME + 3 * DAY, "died", sender="gp", hospital=hospital)
    facts = [*first(), FOLLOWED, died]
    for kind in (WATCH, "follow-up-check-up"):
        due = of_first(facts, kind, HOME + 4 * DAY)
        assert (due.state, due.remind_at) == (DeadlineState.VOID, None)
        assert "died Thursday 2024-03-07" in due.reason


def test_a_death_told_elsewhere_ends_the_charged_days_of_a_stay_that_is_still_open() -> None:
    needs = notice(K.CARE_NEEDS, HOME - 3 * DAY, "needs")
    ready = notice(K.READY_FOR_DISCHARGE, HOME, "ready", ready=HOME)
    accepted = [
        Evidence(step=Step.ACCEPTED, message_id=e.message_id, sender=LAERDAL, party=SOGNDAL, at=e.sent_at)
        for e in (needs, ready)
    ]
    facts = [notice(K.ADMITTED, HOME - 3 * DAY, "in"), needs, ready, *accepted]
    died = notice(K.DECEASED, HOME + 3 * DAY, "died", hospital=FORDE)
    cases = courses([*facts, died], NORWAY)
    days = [d for made in liabilities(cases[0], NORWAY, HOME + 20 * DAY) for d in made.days]
    assert [d.date.day for d in days] == [4, 5, 6]


# --- whose definition -------------------------------------------------------------------------------------


def test_a_country_without_a_definition_watches_nothing() -> None:
    sweden = agreement("sweden")
    assert found(first() + again(5 * DAY), sweden) == []
    assert [d for d in deadlines(courses(first(), sweden)[0], sweden, HOME) if d.kind == WATCH] == []


def test_parties_may_set_one_where_the_country_has_none() -> None:
    term = {"readmission": {"latest": "P14D"}}
    local = agreement("sweden", accords=[Accord(name="Lokal", between=frozenset({LAERDAL}), terms=term)])
    assert verdicts(first() + again(14 * DAY, acute=None), local) == [Verdict.READMISSION]
    assert verdicts(first() + again(HOUR, acute=None), local) == [Verdict.READMISSION]
    assert verdicts(first() + again(14 * DAY + SECOND), local) == []
    watch = of_first(first(), WATCH, HOME, local)
    assert (watch.basis, watch.confidence, watch.due_at) == ("Lokal", "local", HOME + 14 * DAY)
    elsewhere = first(hospital=FORDE)
    assert [d for d in deadlines(courses(elsewhere, local)[0], local, HOME) if d.kind == WATCH] == []


def test_parties_may_change_one_key_and_the_day_of_the_discharge_says_whose_holds() -> None:
    accord = Accord(
        name="Helsefellesskap", valid_from=date(2024, 3, 5), terms={"readmission": {"acute_only": False}}
    )
    local = agreement("norway", accords=[accord])
    assert verdicts(first() + again(5 * DAY, acute=False), local) == [Verdict.PLANNED]
    next_day = HOME + DAY
    facts = first(next_day) + again(5 * DAY, next_day, acute=False)
    assert verdicts(facts, local) == [Verdict.READMISSION]
    (replaced,) = of_first(facts, WATCH, next_day, local).replaced
    assert (replaced.agreement, replaced.key, replaced.was, replaced.now) == (
        "Helsefellesskap",
        "readmission.acute_only",
        "true",
        "false",
    )


RULES = """
country = "test"
zone = "Europe/Oslo"
[payment]
basis = "none"
currency = "NOK"
"""
DEFINED = '[[readmission]]\nlatest = "P30D"\nbasis = "b"\nconfidence = "Q"\n'


def test_definitions_follow_one_another_by_the_local_day_of_the_discharge() -> None:
    text = (
        RULES
        + DEFINED
        + "valid_to = 2024-03-03\n"
        + DEFINED.replace("P30D", "P7D")
        + "valid_from = 2024-03-04\n"
    )
    terms = agreed(read_rules(text, "test.toml"))
    midnight = datetime(2024, 3, 4, tzinfo=NORWAY.zone)
    assert verdicts(first(midnight - SECOND) + again(8 * DAY, midnight), terms) == [Verdict.READMISSION]
    assert verdicts(first(midnight) + again(8 * DAY, midnight), terms) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (DEFINED.replace("P30D", "30"), "test.toml, readmission 1: latest: '30' is no duration"),
        (DEFINED.replace("latest", "until"), "test.toml, readmission 1: latest: is missing"),
        (
            DEFINED + 'earliest = "P30D"\n',
            "test.toml, readmission 1: latest: P30D is not longer than earliest",
        ),
        (DEFINED + "acute = true\n", "test.toml, readmission 1: acute: is not a key of this table"),
        (DEFINED + DEFINED, "test.toml, readmission 2: valid_from: 0001-01-01 is not after the end"),
        (
            DEFINED + "valid_from = 2024-02-01\nvalid_to = 2024-01-01\n",
            "readmission 1: valid_to: 2024-01-01 is before",
        ),
    ],
)
def test_a_definition_that_makes_no_sense_is_refused_with_file_key_and_reason(text: str, reason: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        read_rules(RULES + text, "test.toml")
    assert reason in str(error.value)


@pytest.mark.parametrize(
    ("country", "term", "reason"),
    [
        ("norway", "P30D", "term 'readmission': must be a table"),
        ("norway", {"latest": "P1Y"}, "term 'readmission': latest: 'P1Y' is no duration"),
        ("norway", {"latest": "PT8H"}, "latest: PT8H is not longer than earliest PT8H"),
        ("norway", {"valid_from": "2024-01-01"}, "valid_from: the agreement itself says when it holds"),
        ("sweden", {"earliest": "PT8H"}, "term 'readmission': latest: is missing"),
    ],
)
def test_a_term_that_makes_no_sense_is_refused_before_it_is_needed(
    country: str, term: Any, reason: str
) -> None:
    with pytest.raises(ConfigurationError) as error:
        agreement(country, {"readmission": term})
    assert reason in str(error.value)


# --- every order ------------------------------------------------------------------------------------------


@st.composite
def lives(draw: st.DrawFn) -> list[Fact]:
    """Some stays at two hospitals, with gaps about the bounds, cancellations, transfers and a death."""
    facts: list[Fact] = []
    at = HOME
    for number in range(draw(st.integers(2, 4))):
        gaps = [timedelta(), -HOUR, 8 * HOUR - SECOND, 8 * HOUR, 5 * DAY, 30 * DAY, 30 * DAY + SECOND]
        begins = at + draw(st.sampled_from(gaps))
        at = begins + draw(st.sampled_from([2 * HOUR, DAY, 4 * DAY]))
        hospital = draw(st.sampled_from([LAERDAL, FORDE]))
        facts += stay(
            f"s{number}",
            begins,
            at if draw(st.integers(0, 4)) else None,
            hospital=hospital,
            acute=draw(st.sampled_from([True, None, False])),
        )
        for kind in draw(st.lists(st.sampled_from([K.PLACED, K.FOLLOWED_UP]), max_size=2, unique=True)):
            facts.append(
                notice(
                    kind,
                    at + draw(st.sampled_from([-HOUR, timedelta(), HOUR, 50 * HOUR, 29 * DAY])),
                    f"{kind}{number}",
                    hospital=draw(st.sampled_from([LAERDAL, FORDE])),
                    sender=draw(st.sampled_from([SOGNDAL, "vik"])),
                    placement="frail-older-people" if kind is K.PLACED else None,
                    fulfils=draw(st.sampled_from([None, "call"])) if kind is K.FOLLOWED_UP else None,
                )
            )
        if draw(st.integers(0, 4)) == 0:
            facts.append(notice(K.TRANSFERRED, at - HOUR, f"t{number}", hospital=hospital))
        if draw(st.integers(0, 4)) == 0:
            kind, refers_to = draw(st.sampled_from([(K.ADMITTED, "in"), (K.DISCHARGED, "out")]))
            facts.append(
                notice(
                    kind,
                    at + HOUR,
                    f"c{number}",
                    hospital=hospital,
                    standing=Standing.CANCELLATION,
                    refers_to=f"s{number}-{refers_to}",
                )
            )
    if draw(st.integers(0, 3)) == 0:
        facts.append(notice(K.DECEASED, at + DAY, "died", sender="gp", hospital=None))
    return facts


CALL = {
    "kind": "call",
    "actor": "municipality",
    "basis": "helsefellesskapet",
    "count": "elapsed",
    "duration": "PT72H",
    "earliest": "PT48H",
    "remind_before": "PT12H",
}
GROUP = {"name": "frail-older-people", "follow_up": [CALL | {"duration": "PT24H", "earliest": "PT2H"}]}
WITH_CALLS = agreement(
    "norway", own=read_own(Table({"follow_up": [CALL], "group": [GROUP]}, "region"), NORWAY.country)
)


def told_of(case: Case) -> object:
    return case, deadlines(case, WITH_CALLS, MUCH_LATER)


@settings(deadline=None)
@given(facts=lives(), seed=st.integers(0, 1000))
def test_every_order_of_arrival_gives_the_same_links_and_watches(facts: list[Fact], seed: int) -> None:
    shuffled = list(facts)
    random.Random(seed).shuffle(shuffled)
    cases, others = courses(facts, NORWAY), courses(shuffled, NORWAY)
    assert list(map(told_of, cases)) == list(map(told_of, others))
    assert links(cases, NORWAY) == links(others, NORWAY)


@settings(deadline=None)
@given(facts=lives())
def test_each_stay_follows_at_most_one_and_none_is_followed_twice_by_what_counts(facts: list[Fact]) -> None:
    made = found(facts)
    assert len({link.later for link in made}) == len({link.earlier for link in made}) == len(made)
    cases = courses(facts, NORWAY)
    for link in made:
        ended = cases[link.earlier].discharged_at
        assert ended is not None
        assert ended <= link.at
    if any(c.has(K.DECEASED) for c in cases):
        for case in cases:
            open_ = [d.kind for d in deadlines(case, NORWAY, MUCH_LATER) if d.state is DeadlineState.OPEN]
            assert open_ == []
