"""The story of a joint plan as data: it can be played, and says what the law says."""

import pytest

from adapter.discharge.notices import NoticeKind
from adapter.simulator.sip import (
    HOSPITAL,
    LEADER,
    Begin,
    EditAtOnce,
    Negotiate,
    Plot,
    Propose,
    Receive,
    Tell,
    tale,
)

K = NoticeKind


@pytest.mark.parametrize("plot", Plot)
def test_the_steps_follow_each_other_and_have_names_of_their_own(plot):
    steps = tale(plot).steps
    assert steps[0].hours == 0
    assert [s.hours for s in steps] == sorted(s.hours for s in steps)
    assert len({s.name for s in steps}) == len(steps)
    for step in steps:
        assert step.who in tale(plot).cast
        assert step.who not in getattr(step.does, "to", ())


@pytest.mark.parametrize("plot", Plot)
def test_a_plan_is_shared_with_consent_only_and_what_is_not_is_said_to_be_held(plot):
    consented = False
    for step in tale(plot).steps:
        match step.does:
            case Tell(kind=K.CONSENT_GIVEN):
                consented = True
            case Tell(kind=K.CONSENT_WITHDRAWN):
                consented = False
            case Begin(held=held):
                assert held is not consented
            case Negotiate(refused=refused):
                assert refused is not consented
            case Propose() | EditAtOnce():
                assert consented


@pytest.mark.parametrize("plot", Plot)
def test_only_the_stay_is_the_hospitals_and_only_who_leads_calls(plot):
    for step in tale(plot).steps:
        if isinstance(step.does, Tell) and step.does.kind in (
            K.ADMITTED,
            K.READY_FOR_DISCHARGE,
            K.DISCHARGED,
        ):
            assert step.who is HOSPITAL
        if isinstance(step.does, Tell) and step.does.kind in (K.SIP_CALL, K.CONSENT_GIVEN):
            assert step.who is LEADER
        if isinstance(step.does, Receive):
            assert step.who is not HOSPITAL


def test_on_the_way_there_are_a_decline_a_proposal_a_conflict_and_a_withdrawal():
    deeds = [s.does for s in tale(Plot.SIP).steps]
    assert any(isinstance(d, Negotiate) and d.status == "rejected" and d.reason for d in deeds)
    assert any(isinstance(d, Negotiate) and d.other_day for d in deeds)
    assert any(isinstance(d, EditAtOnce) for d in deeds)
    assert any(isinstance(d, Tell) and d.kind is K.READINESS_WITHDRAWN for d in deeds)
