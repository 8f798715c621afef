"""How operations say states and what things are about."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from adapter.discharge.planning import ConsentState, PlanningState, PlanState
from adapter.messaging.register import Register
from adapter.web.wording import Wording, place

OSLO = ZoneInfo("Europe/Oslo")
NOW = datetime(2014, 3, 3, 9, 0, tzinfo=UTC)


def saying(language="en", register=None):
    return Wording(language=language, now=NOW, zone=OSLO, register=register or Register())


SAY = saying()


def waiting(**more):
    next_try = {"next_attempt_at": "2014-03-03T09:01:00Z"}
    return {"state": "waiting", "endpoint": "vik", "error": None, "receipt_due_at": None} | next_try | more


def test_a_waiting_delivery_says_what_it_waits_for():
    assert SAY.delivery(waiting()).words == "Waiting its turn"
    assert SAY.delivery(waiting(error="HTTP 503")).words == "Waiting after a failure"
    assert SAY.delivery(waiting(next_attempt_at=None)).words == "Waiting for a person"


def test_what_is_sent_says_whether_its_receipt_is_awaited_missing_or_not_expected():
    sent = waiting(state="sent", expects_receipt=True)
    assert SAY.delivery(sent | {"receipt_due_at": "2014-03-03T09:30:00Z"}).words == "Sent, receipt awaited"
    assert SAY.delivery(sent).words == "Sent, receipt missing"
    assert SAY.delivery(sent | {"expects_receipt": False}).words == "Sent"


def test_want_of_an_endpoint_is_no_warning_in_evaluation_where_there_are_none():
    found = SAY.delivery(waiting(next_attempt_at=None, endpoint=None))
    assert (found.words, found.level) == ("Waiting: no endpoint configured", "warn")
    evaluating = saying(register=Register(open=True))
    assert evaluating.delivery(waiting(next_attempt_at=None, endpoint=None)).level == "plain"


def test_subjects_lead_to_their_pages():
    assert place("delivery 17") == "/deliveries/17"
    assert place("message 4") == "/messages/4"
    assert place("deadline 3 early-notice", 9) == "/cases/9"
    assert place("endpoint sogndal") is None


@pytest.mark.parametrize(
    ("language", "subject", "said"),
    [
        ("en", "deadline 3 early-notice", "deadline 3 early notice"),
        ("nb", "deadline 3 early-notice", "frist 3 tidligmelding"),
        ("sv", "case 4", "vårdtillfälle 4"),
        ("da", "endpoint luster", "endepunkt luster"),
        ("nn", "message 17", "melding 17"),
        ("nn", "message server nhn", "meldingstenaren nhn"),
        ("nb", "clock of <a&amp;b>", "klokken på <a&amp;b>"),
        ("sv", "deadline 3 follow-up-fall-clinic", "frist 3 uppföljning: fall clinic"),
        ("nb", None, "–"),
    ],
)
def test_subjects_are_said_in_the_readers_language(language, subject, said):
    assert saying(language).subject(subject) == said


def test_a_follow_up_of_the_regions_own_keeps_the_name_that_the_region_gives_it():
    assert SAY.due("follow-up-fall-clinic") == "follow-up fall clinic"
    assert saying("nb").due("follow-up-check-up") == "oppfølging: kontroll"


def test_what_takes_back_or_corrects_is_never_taken_for_the_notice():
    shown = {"kind": "ready-for-discharge", "standing": "cancellation"}
    assert SAY.notice(shown) == "Cancellation of: Ready for discharge"
    assert SAY.notice(shown | {"standing": "new"}) == "Ready for discharge"


@pytest.mark.parametrize("language", ["nb", "nn", "sv", "da"])
def test_every_state_of_the_planning_is_a_mark_in_words(language):
    say = saying(language)
    for family, states in (("planning", PlanningState), ("consent", ConsentState), ("plan-state", PlanState)):
        for state in states:
            assert say.mark(family, state.value).words != SAY.mark(family, state.value).words
