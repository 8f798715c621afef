"""Cases in the store: the same for every order of arrival, their ids given once, their deadlines true."""

import random
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from adapter.cases import pseudonym
from adapter.discharge.agreement import agreement
from adapter.discharge.case import Evidence, Fact, Step
from adapter.discharge.notices import Notice, NoticeKind, Standing
from adapter.fhir.bundles import Subject
from adapter.store import cases as case_rows
from adapter.store import tables
from adapter.store.journal import _disagreeing
from tests.conftest import OSLO, StandingClock
from tests.stage import FNR, SYNNOVE, TORBJORN, Stage, stage, taken

K = NoticeKind
START = datetime(2014, 3, 3, 10, 0, tzinfo=OSLO)
LATER = START + timedelta(days=10)
HOSPITAL, SOGNDAL = "laerdal-sjukehus", "sogndal"


@pytest.fixture
def play(store_url: str, clock: StandingClock) -> Iterator[Stage]:
    made = stage(store_url, clock)
    yield made
    made.close()


def notice(kind: NoticeKind, hours: float, number: str, **more: object) -> Notice:
    at = START + timedelta(hours=hours)
    sender, receiver = (SOGNDAL, HOSPITAL) if kind is K.ANSWER else (HOSPITAL, SOGNDAL)
    fields = {"occurred": at, "sent_at": at, "sender": sender, "receivers": (receiver,), "hospital": HOSPITAL}
    return Notice(kind=kind, message_id=number, **(fields | more))  # type: ignore[arg-type]


def evidence(step: Step, of: Notice, hours: float) -> Evidence:
    at = START + timedelta(hours=hours)
    return Evidence(step=step, message_id=of.message_id, sender=of.sender, party=of.receivers[0], at=at)


# --- every order of arrival ------

KINDS = (K.ADMITTED, K.CARE_NEEDS, K.READY_FOR_DISCHARGE, K.READINESS_WITHDRAWN, K.ANSWER, K.DISCHARGED)


@st.composite
def stories(draw: st.DrawFn) -> list[Fact]:
    """One or two stays with withdrawals, corrections, cancellations and evidence, in the order of telling."""
    told: list[Fact] = []
    hours, number = 0.0, 0
    for stay in range(draw(st.integers(1, 2))):
        encounter = draw(st.sampled_from([None, f"stay-{stay}"]))
        script = [K.ADMITTED, *draw(st.lists(st.sampled_from(KINDS[1:5]), max_size=4))]
        script += [K.DISCHARGED] if stay == 0 or draw(st.booleans()) else []
        for kind in script:
            hours += draw(st.sampled_from([0.0, 0.5, 1.0, 7.0, 30.0]))
            number += 1
            made = notice(kind, hours, f"m{number}", encounter=encounter)
            told.append(made)
            change = draw(st.sampled_from([None, None, Standing.CORRECTION, Standing.CANCELLATION]))
            if change is not None:
                number += 1
                told.append(
                    notice(
                        kind,
                        hours + draw(st.sampled_from([0.1, 2.0])),
                        f"m{number}",
                        encounter=encounter,
                        standing=change,
                        refers_to=made.message_id,
                        **({} if change is Standing.CANCELLATION else {"occurred": made.occurred}),
                    )
                )
            for step in draw(st.sets(st.sampled_from([Step.DELIVERED, Step.ACCEPTED]))):
                told.append(evidence(step, made, hours + 0.2))
        hours += draw(st.sampled_from([5.0, 60.0]))
    return told


def shown(stage_: Stage, patient: str) -> list[object]:
    """What the store says of a patient, ids aside."""
    with stage_.built.store.read() as connection:
        return _shown(connection, patient)


def _shown(tx: Connection, patient: str) -> list[object]:
    names = (
        "hospital",
        "municipality",
        "state",
        "admitted_at",
        "ready_at",
        "discharged_at",
        "planned_discharge",
    )
    deadline = ("kind", "actor", "party", "since", "due_at", "state", "settled_at", "next_at", "remind_at")
    facts = case_rows.facts(tx, patient)
    return sorted(
        [repr(row[name]) for name in names]
        + sorted(repr([d[n] for n in deadline]) for d in case_rows.deadlines(tx, row["id"]))
        + sorted(case_rows.text_of(f) for _, case_id, f in facts if case_id == row["id"])
        for row in (case_rows.get(tx, i) for i in case_rows.ids_of(tx, patient))
        if row is not None
    )


@dataclass
class Desk:
    """One store for all the examples of a property; every example has patients of its own."""

    stage: Stage
    patients: int = 0

    def told(self, order: list[Fact]) -> list[object]:
        self.patients += 1
        patient, cases = f"P{self.patients}", self.stage.built.cases

        def unit(tx: Connection) -> list[object]:
            for number, fact in enumerate(order):
                cases.learn(tx, patient, [(fact, number)], LATER)
            assert case_rows.get(tx, 0) is None
            return _shown(tx, patient)

        return self.stage.write(unit)


@pytest.fixture
def desk(play: Stage) -> Desk:
    return Desk(play)


@pytest.mark.postgres_in_soak
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(story=stories(), data=st.data())
def test_every_order_of_arrival_gives_the_same_cases(desk: Desk, story: list[Fact], data: st.DataObject):
    expected = desk.told(story)
    assert expected
    shuffled = data.draw(st.permutations(story))
    again = data.draw(st.lists(st.sampled_from(story), max_size=3))
    assert desk.told([*shuffled, *again]) == expected
    assert desk.told(story[::-1]) == expected


def test_every_order_of_a_day_with_everything_in_it(desk: Desk):
    ready = notice(K.READY_FOR_DISCHARGE, 5, "ready")
    story: list[Fact] = [
        notice(K.ADMITTED, 0, "in"),
        notice(K.CARE_NEEDS, 2, "needs"),
        ready,
        evidence(Step.ACCEPTED, ready, 5.1),
        notice(K.READINESS_WITHDRAWN, 6, "back"),
        notice(K.READY_FOR_DISCHARGE, 7, "ready-again"),
        notice(K.DISCHARGED, 9, "out"),
        notice(K.DISCHARGED, 9.5, "out-2", standing=Standing.CORRECTION, refers_to="out"),
    ]
    expected = desk.told(story)
    chance = random.Random(1115)
    for _ in range(25):
        assert desk.told(chance.sample(story, len(story))) == expected


# --- through the inbox ------


def test_messages_in_any_order_and_twice_give_one_case(store_url: str, clock: StandingClock):
    play = stage(store_url, clock)
    ids = {
        kind: str(uuid.uuid4()) for kind in (K.ADMITTED, K.CARE_NEEDS, K.READY_FOR_DISCHARGE, K.DISCHARGED)
    }
    contents = [
        play.message(kind, message_id=number, at=clock() - timedelta(hours=9 - n))
        for n, (kind, number) in enumerate(ids.items())
    ]
    for content in (*contents[::-1], *contents):
        play.receive(content)
    (row,) = play.rows(tables.case, merged_into=None)
    assert (row["state"], row["municipality"]) == ("discharged", "sogndal")
    assert row["admitted_at"] == clock() - timedelta(hours=9)
    assert len(play.rows(tables.fact)) == 4
    play.close()


@pytest.mark.parametrize("standing", [Standing.CANCELLATION, Standing.CORRECTION])
def test_a_change_may_arrive_before_what_it_changes(play: Stage, clock: StandingClock, standing: Standing):
    first = str(uuid.uuid4())
    original = play.message(K.READY_FOR_DISCHARGE, message_id=first, at=clock() - timedelta(hours=3))
    change = play.message(
        K.READY_FOR_DISCHARGE,
        at=clock() - timedelta(hours=1),
        occurred=clock() - timedelta(hours=2),
        standing=standing,
        refers_to=first,
    )
    play.receive(change)
    play.receive(original)
    (row,) = play.rows(tables.case, merged_into=None)
    if standing is Standing.CANCELLATION:
        assert (row["state"], row["ready_at"]) == ("cancelled", None)
    else:
        assert (row["state"], row["ready_at"]) == ("ready", clock() - timedelta(hours=2))


def two_cases_then_one(play: Stage, clock: StandingClock) -> None:
    """Two stays, until the discharge between them is cancelled."""
    wrong = str(uuid.uuid4())
    play.receive(play.message(K.ADMITTED, at=clock() - timedelta(hours=9), encounter="A"))
    play.receive(play.message(K.DISCHARGED, at=clock() - timedelta(hours=7), encounter="A", message_id=wrong))
    play.receive(play.message(K.ADMITTED, at=clock() - timedelta(hours=5), encounter="B"))
    assert [r["merged_into"] for r in play.rows(tables.case)] == [None, None]
    still_open = tables.deadline.c.state == "open"  # what is void already was told to be so
    told = tables.deadline.update().where(still_open).values(reminded_at=clock(), next_at=None)
    play.write(lambda tx: tx.execute(told))
    play.receive(
        play.message(
            K.DISCHARGED,
            at=clock() - timedelta(hours=4),
            encounter="A",
            standing=Standing.CANCELLATION,
            refers_to=wrong,
        )
    )


def test_a_merge_keeps_the_old_id_as_an_alias_and_moves_what_still_waits(play: Stage, clock: StandingClock):
    two_cases_then_one(play, clock)
    merged = [r["merged_into"] for r in play.rows(tables.case)]
    assert merged == [None, 1]
    with play.built.store.read() as connection:
        assert case_rows.get(connection, 2)["id"] == 1
    waiting = play.rows(tables.delivery)
    assert {d["case_id"] for d in waiting} == {1}
    assert {d["lane"] for d in waiting} == {"1:sogndal"}
    assert {f["case_id"] for f in play.rows(tables.fact)} == {1}
    play.post.answer = taken()
    assert [c.id for c in play.claim()] == [1]


def test_an_alarm_about_a_deadline_ends_when_its_case_is_merged_away(play: Stage, clock: StandingClock):
    two_cases_then_one(play, clock)
    rows = play.rows(tables.deadline)
    assert {d["case_id"] for d in rows} == {1}
    assert "void" in {d["state"] for d in rows}
    assert all(d["state"] != "void" or d["next_at"] == clock() for d in rows)


# --- patients ------


def test_a_pseudonym_depends_on_the_key_and_the_number_alone():
    key = b"k" * 32
    named = Subject(identifiers=SYNNOVE.identifiers, family="Anna", given="N.")
    assert pseudonym(key, SYNNOVE) == pseudonym(key, named)
    assert pseudonym(key, SYNNOVE) != pseudonym(b"x" * 32, SYNNOVE)
    assert pseudonym(key, SYNNOVE) != pseudonym(key, TORBJORN)
    spaced = Subject(identifiers=((FNR, "218430 12660"),))
    assert pseudonym(key, spaced) == pseudonym(key, SYNNOVE)
    assert "21843012660" not in pseudonym(key, SYNNOVE)


def test_without_a_number_name_birth_date_and_sex_tell_people_apart():
    key = b"k" * 32
    one = Subject(
        identifiers=(), family="Fjellheim", given="Synnøve", birth_date=date(1930, 4, 21), gender="female"
    )
    same = Subject(
        identifiers=(), family="FJELLHEIM", given="synnøve", birth_date=date(1930, 4, 21), gender="female"
    )
    other = Subject(
        identifiers=(), family="Fjellheim", given="Synnøve", birth_date=date(1931, 4, 21), gender="female"
    )
    assert pseudonym(key, one) == pseudonym(key, same) != pseudonym(key, other)


# --- facts and deadlines as rows ------


@pytest.mark.parametrize("change", [
    lambda n: n,
    lambda n: notice(K.ANSWER, 3, "a", receive_from=date(2014, 3, 5), refers_to="m", text="Kan ta imot"),
    lambda n: notice(K.ADMITTED, 3, "b", occurred=date(2014, 3, 3), admitted=date(2014, 3, 3), estimate=True),
    lambda n: notice(K.READY_FOR_DISCHARGE, 3, "c", ready=START, standing=Standing.CORRECTION, reserved=True),
])  # fmt: skip
def test_a_fact_comes_back_as_it_was(change: Callable[[Notice], Notice]):
    fact = change(notice(K.CARE_NEEDS, 1, "m"))
    assert case_rows.fact_of(fact.kind.value, case_rows.text_of(fact)) == fact


def test_evidence_comes_back_as_it_was():
    fact = evidence(Step.ACCEPTED, notice(K.CARE_NEEDS, 1, "m"), 2)
    assert case_rows.fact_of("accepted", case_rows.text_of(fact)) == fact


def test_an_early_notice_is_met_by_the_receipt_of_its_receiver(play: Stage, clock: StandingClock):
    needs = notice(K.CARE_NEEDS, 1, "needs")
    learn = play.built.cases.learn
    facts: list[Fact] = [notice(K.ADMITTED, 0, "in"), needs]
    play.write(lambda tx: learn(tx, "P1", [(f, None) for f in facts], clock.forward(hours=2)))
    (row,) = play.rows(tables.deadline, kind="early-notice")
    assert (row["state"], row["due_at"]) == ("open", START + timedelta(hours=24))
    accepted = evidence(Step.ACCEPTED, needs, 3)
    play.write(lambda tx: learn(tx, "P1", [(accepted, None)], clock.forward(hours=2)))
    (row,) = play.rows(tables.deadline, kind="early-notice")
    assert (row["state"], row["settled_at"], row["next_at"]) == ("met", START + timedelta(hours=3), None)


def test_two_of_a_patient_s_facts_at_once_are_folded_one_after_the_other(
    store_url: str, clock: StandingClock
):
    if store_url.startswith("sqlite"):
        return  # it has one writer at a time
    one, other = stage(store_url, clock), stage(store_url, clock)
    first = one.built.store.engine.connect()
    with first.begin():
        one.built.cases.learn(first, "P1", [(notice(K.ADMITTED, 0, "in"), None)], LATER)
        late = other.built.store.submit(
            lambda tx: other.built.cases.learn(tx, "P1", [(notice(K.DISCHARGED, 5, "out"), None)], LATER)
        )
    late.result(timeout=10)
    first.close()
    assert [r["state"] for r in one.rows(tables.case)] == ["discharged"]
    one.close()
    other.close()


def happened(play: Stage, clock: StandingClock, *learned: Evidence) -> None:
    """As the outbox learns what has become of a message: by the row of the one that told the notice."""
    play.write(lambda tx: play.built.cases.happened(tx, "P1", 7, learned, clock()))


def agree(play: Stage) -> bool:
    """Whether the rows of cases and deadlines say what the facts say."""
    with play.built.store.read() as connection:
        return not list(_disagreeing(connection, play.built.agreement, play.built.cases.roles))


def test_what_no_deadline_waits_for_joins_its_case_all_the_same(play: Stage, clock: StandingClock):
    """The receipt of an admission moves nothing; it is there, once, and the case has had news."""
    admitted = notice(K.ADMITTED, 0, "in")
    learn = play.built.cases.learn
    play.write(lambda tx: learn(tx, "P1", [(admitted, 7)], clock()))
    (case,) = play.rows(tables.case)
    later = clock.forward(hours=1)
    received = [evidence(step, admitted, 1) for step in (Step.DELIVERED, Step.ACCEPTED)]
    happened(play, clock, *received)
    happened(play, clock, *received)
    (after,) = play.rows(tables.case)
    assert after["updated_at"] == later
    assert [(f["kind"], f["case_id"]) for f in play.rows(tables.fact)] == [
        ("admitted", case["id"]),
        ("delivered", case["id"]),
        ("accepted", case["id"]),
    ]
    assert agree(play)


def test_a_receipt_moves_the_deadline_that_waits_for_it_and_no_other(play: Stage, clock: StandingClock):
    learn, needs = play.built.cases.learn, notice(K.CARE_NEEDS, 1, "needs")
    told: list[tuple[Fact, int | None]] = [(notice(K.ADMITTED, 0, "in"), 6), (needs, 7)]
    play.write(lambda tx: learn(tx, "P1", told, clock.forward(hours=2)))
    before = {d["kind"]: d for d in play.rows(tables.deadline)}
    assert before["early-notice"]["state"] == "open"
    clock.forward(hours=2)
    happened(play, clock, evidence(Step.ACCEPTED, needs, 3))
    after = {d["kind"]: d for d in play.rows(tables.deadline)}
    early = after.pop("early-notice")
    assert (early["state"], early["settled_at"]) == ("met", needs.occurred + timedelta(hours=2))
    del before["early-notice"]
    assert after == before
    assert agree(play)


def test_evidence_about_another_notice_than_the_message_told_is_folded_as_any(
    play: Stage, clock: StandingClock
):
    """A copy of a message stands for the one that came first: no row of its own tells a notice."""
    learn, needs = play.built.cases.learn, notice(K.CARE_NEEDS, 1, "needs")
    told: list[tuple[Fact, int | None]] = [(notice(K.ADMITTED, 0, "in"), 7), (needs, 6)]
    play.write(lambda tx: learn(tx, "P1", told, clock.forward(hours=2)))
    clock.forward(hours=2)
    happened(play, clock, evidence(Step.ACCEPTED, needs, 3))
    (row,) = play.rows(tables.deadline, kind="early-notice")
    assert row["state"] == "met"
    assert agree(play)


def test_the_deadlines_that_a_receipt_can_move(play: Stage):
    heeding = play.built.agreement.heeding
    assert "early-notice" in heeding(K.CARE_NEEDS)
    assert not heeding(K.ADMITTED)
    agreed = agreement("norway", {"answer_within": "PT3H"})
    assert "early-notice" in agreed.heeding(K.ADMITTED)  # an agreement may have any time count
    assert "payment-start" in agreed.heeding(K.ADMITTED)  # what was to be told by then is a condition of it


def test_a_condition_of_any_variant_of_a_rule_counts():
    """Of two rules of one kind one may have a condition that the other has not."""
    agreed = agreement("norway", {"late_early_notice": "void"})
    rules = agreed.country.rules
    bare = replace(next(r for r in rules if r.kind == "payment-start"), variant="bare", requires=())
    for among in ((*rules, bare), (bare, *rules)):
        made = replace(agreed, country=replace(agreed.country, rules=among))
        assert "payment-start" in made.heeding(K.ADMITTED)
