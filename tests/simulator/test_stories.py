import random
from datetime import timedelta

import pytest

from adapter.discharge.notices import NoticeKind, Standing
from adapter.messaging.envelope import HER, Address
from adapter.simulator.people import People
from adapter.simulator.stories import HOME, LOGISTICS, Cast, Plot, tell

from .cast import HOSPITAL, LUSTER, NOW

K = NoticeKind
CAST = Cast(hospital=HOSPITAL, municipality=LUSTER, party="luster")


def story(seed=1, plot=None, speed=1.0, cast=CAST):
    subject = People(seed).one("luster")
    return tell(random.Random(seed), cast=cast, subject=subject, start=NOW, speed=speed, plot=plot)


def kinds(told):
    return [step.notice.kind for step in told.steps]


def test_the_same_seed_tells_the_same_story():
    assert [story(seed) for seed in range(30)] == [story(seed) for seed in range(30)]
    assert story(1) != story(2)


def test_every_plot_comes_up():
    assert {story(seed).plot for seed in range(200)} == set(Plot)


def test_the_usual_stay_goes_from_admission_to_report():
    assert kinds(story(plot=Plot.USUAL)) == [
        K.ADMITTED,
        K.CARE_NEEDS,
        K.PLANNED_DISCHARGE,
        K.READY_FOR_DISCHARGE,
        K.DISCHARGED,
        K.DISCHARGE_REPORT,
    ]


def test_a_withdrawn_readiness_comes_again():
    told = story(plot=Plot.WITHDRAWN)
    assert kinds(told)[3:6] == [K.READY_FOR_DISCHARGE, K.READINESS_WITHDRAWN, K.READY_FOR_DISCHARGE]
    first, withdrawn, second = (step.notice for step in told.steps[3:6])
    assert withdrawn.ready == first.ready
    assert second.ready > withdrawn.occurred


def test_a_gp_is_told_where_the_patient_is_and_nothing_that_is_the_municipalitys_alone():
    office = Address(identifiers=((HER, "8143580"),), name="Lærdal legekontor")
    cast = Cast(hospital=HOSPITAL, municipality=LUSTER, party="luster", pathway="hip-fracture", office=office)
    for plot in Plot:
        steps = story(plot=plot, cast=cast).steps
        both = {s.notice.kind for s in steps if s.notice.receivers == (LUSTER.token, office.token)}
        alone = {s.notice.kind for s in steps if s.notice.receivers == (LUSTER.token,)}
        assert both <= {K.ADMITTED, K.PLANNED_DISCHARGE, K.DISCHARGED, K.PLACED, K.DECEASED}
        assert alone <= {K.CARE_NEEDS, K.READY_FOR_DISCHARGE, K.READINESS_WITHDRAWN, K.DISCHARGE_REPORT}
        assert K.ADMITTED in both


def test_a_correction_and_a_cancellation_say_what_they_are_for():
    corrected = story(plot=Plot.CORRECTED).steps[3:5]
    assert corrected[1].notice.standing is Standing.CORRECTION
    assert corrected[1].notice.refers_to == corrected[0].notice.message_id
    assert corrected[1].notice.ready > corrected[0].notice.ready
    admitted, cancelled = story(plot=Plot.CANCELLED).steps
    assert (cancelled.notice.kind, cancelled.notice.standing) == (K.ADMITTED, Standing.CANCELLATION)
    assert cancelled.notice.refers_to == admitted.notice.message_id


def test_nothing_follows_a_death():
    assert kinds(story(plot=Plot.DECEASED))[-1] is K.DECEASED


@pytest.mark.parametrize("plot", Plot)
def test_times_never_go_back_and_speed_divides_them(plot):
    slow, fast = story(plot=plot), story(plot=plot, speed=3600.0)
    afters = [step.after for step in slow.steps]
    assert afters == sorted(afters)
    assert afters[-1] < timedelta(days=14)
    for there, here in zip(slow.steps, fast.steps, strict=True):
        assert abs(there.after / 3600 - here.after) < timedelta(milliseconds=1)
        assert abs(NOW + here.after - here.notice.sent_at) < timedelta(milliseconds=1)
        assert here.notice.occurred <= here.notice.sent_at


def test_a_receiver_of_logistics_messages_is_told_of_nothing_else():
    cast = Cast(hospital=HOSPITAL, municipality=LUSTER, party="luster", kinds=LOGISTICS)
    for seed in range(50):
        assert set(kinds(story(seed, cast=cast))) <= set(LOGISTICS)


def test_some_messages_are_sent_twice_and_ids_are_never_shared():
    steps = [step for seed in range(100) for step in story(seed).steps]
    assert 0 < sum(step.again for step in steps) < len(steps) / 5
    assert len({step.notice.message_id for step in steps}) == len(steps)


def test_who_goes_home_is_placed_on_the_regions_pathway_and_nobody_else_is():
    cast = Cast(hospital=HOSPITAL, municipality=LUSTER, party="luster", pathway="hip-fracture")
    homes = set()
    for seed in range(20):
        told = story(seed, plot=Plot.USUAL, cast=cast)
        home = next(s.discharged_to for s in told.steps if s.notice.kind is K.DISCHARGED) is HOME
        placed = [s.notice.placement for s in told.steps if s.notice.kind is K.PLACED]
        assert placed == (["hip-fracture"] if home else [])
        homes.add(home)
    assert homes == {True, False}
