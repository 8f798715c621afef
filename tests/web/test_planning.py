"""The case's page and command tell a nurse how far the planning has come."""

from dataclasses import replace
from datetime import date, datetime

import pytest
from lxml import html

from adapter.discharge.notices import Decliner, Meeting, NoticeKind, Plan, PlanKind, PlanTask
from adapter.discharge.planning import ConsentState, PlanningState, PlanState
from adapter.web.wording import LEVELS
from tests.conftest import OSLO, StandingClock
from tests.stage import address_of
from tests.web.conftest import site

K = NoticeKind
NOW = datetime(2014, 3, 10, 10, 0, tzinfo=OSLO)


def words(element) -> str:
    return " ".join(" ".join(element.itertext()).split())


def test_every_state_has_words_that_a_nurse_knows():
    for family, states in (("planning", PlanningState), ("consent", ConsentState), ("plan-state", PlanState)):
        assert set(LEVELS[family]) == {state.value for state in states}


@pytest.fixture
def played(tmp_path):
    with site(tmp_path, StandingClock(NOW)) as found:
        play = found.stage
        home = address_of(play.built.register, "sogndal").token
        task = PlanTask(id="1", owner=home, due=date(2014, 3, 8), status="accepted", what="Matombringing")
        ward = address_of(play.built.register, "laerdal-sjukehus").token
        of_hospital = replace(task, id="3", owner=ward, what="Epikrise")
        plan = Plan(
            id="ip-1",
            kind=PlanKind.INDIVIDUAL_PLAN,
            tasks=(task, replace(task, id="2", due=None), of_hospital),
        )
        to_hospital = {"sender": "sogndal", "receivers": ("laerdal-sjukehus",)}
        day = lambda n: datetime(2014, 3, n, 9, 0, tzinfo=OSLO)  # noqa: E731  # only here
        for content in (
            play.message(K.ADMITTED, at=day(1)),
            play.message(K.PLAN_NEED_REPORTED, at=day(2)),
            play.message(K.COORDINATOR_NAMED, at=day(3), contact=home, **to_hospital),
            play.message(K.CONSENT_GIVEN, at=day(3), **to_hospital),
            play.message(K.SIP_CALL, at=day(4), meeting=Meeting(starts=day(5)), **to_hospital),
            play.message(K.SIP_DECLINED, at=day(4), declined_by=Decliner.PARTY),
            play.message(K.CARE_PLAN, at=day(6), plan=plan, **to_hospital),
        ):
            assert play.receive(content).outcome == "accepted"
        yield found


def test_the_page_of_a_case_tells_the_planning_in_words(played):
    tree = html.fromstring(played.get("/cases/1").text)
    (heading,) = tree.xpath("//h2[.='Planning']")
    assert words(heading.xpath("following-sibling::p[1]")[0]) == "✓ Plan agreed"
    facts = words(heading.xpath("following-sibling::dl[1]")[0])
    for said in (
        "Consent ✓ Given 3 Mar, 09:00",
        "Coordinator Sogndal kommune named 3 Mar, 09:00",
        "Asked for Lærdal sjukehus 2 Mar, 09:00",
        "Called Sogndal kommune 4 Mar, 09:00",
        "Meeting held 5 Mar, 09:00",
        "Individual plan ✓ Agreed version 1, 6 Mar, 09:00; 0 of 3 tasks done",
        "Declined Lærdal sjukehus 4 Mar, 09:00",
    ):
        assert said in facts
    due = words(tree.xpath("//h2[.='What is due']/following-sibling::div[1]")[0])
    assert "Plan task" in due
    assert "the task: Matombringing" in due
    assert "Hospital Lærdal sjukehus the plan itself" in due  # who must act, and for nobody else
    timeline = words(tree.xpath("//ol[@class='timeline']")[0])
    assert "By the party." in timeline
    assert "By the hospital, Lærdal sjukehus. Basis: the plan itself (Task). The task: Epikrise." in timeline
    assert "Individual plan, active." in timeline
    assert "Meeting 5 Mar, 09:00." in timeline


def test_a_case_without_planning_has_no_word_of_it(tmp_path):
    with site(tmp_path, StandingClock(NOW)) as found:
        found.stage.receive(found.stage.message(K.ADMITTED, at=NOW))
        assert ">Planning<" not in found.get("/cases/1").text
