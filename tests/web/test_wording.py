"""How pages say times and states."""

from datetime import UTC, date, datetime, timedelta

import pytest

from adapter.messaging.register import Register
from adapter.web.wording import Wording, length, place
from tests.conftest import OSLO

NOW = datetime(2014, 3, 3, 9, 0, tzinfo=UTC)
SAY = Wording(now=NOW, zone=OSLO, register=Register())


def waiting(**more):
    next_try = {"next_attempt_at": "2014-03-03T09:01:00Z"}
    return {"state": "waiting", "endpoint": "vik", "error": None, "receipt_due_at": None} | next_try | more


def test_an_instant_is_told_in_the_regions_own_time():
    assert SAY.local("2014-07-01T22:30:00Z", seconds=True) == "2 Jul, 00:30:00"


def test_another_year_is_named():
    assert SAY.local("2013-12-31T22:59:00Z") == "31 Dec 2013, 23:59"


def test_a_day_has_no_time_of_day():
    assert (SAY.local("2014-03-05"), SAY.ago("2014-03-05")) == ("5 Mar", "")
    assert SAY.weekday(date(2014, 3, 5)) == "Wed 5 Mar"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(12, "12 s"), (59, "59 s"), (60, "1 min"), (12_000, "3 h 20 min"), (7200, "2 h"), (345_600, "4 days")],
)
def test_spans_are_told_in_units_that_matter(seconds, said):
    assert length(timedelta(seconds=seconds)) == said


def test_a_deadline_says_whether_it_is_over():
    assert SAY.left(NOW + timedelta(hours=2)) == "2 h left"
    assert SAY.left(NOW - timedelta(minutes=5)) == "5 min overdue"


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
    evaluating = Wording(now=NOW, zone=OSLO, register=Register(open=True))
    assert evaluating.delivery(waiting(next_attempt_at=None, endpoint=None)).level == "plain"


def test_subjects_lead_to_their_pages():
    assert place("delivery 17") == "/deliveries/17"
    assert place("message 4") == "/messages/4"
    assert place("deadline 3 early-notice", 9) == "/cases/9"
    assert place("endpoint sogndal") is None


@pytest.mark.parametrize(
    ("noun", "said"),
    [("day", "2 days"), ("delivery", "2 deliveries"), ("case", "2 cases"), ("open alarm", "2 open alarms")],
)
def test_more_than_one_is_spelt_as_in_english(noun, said):
    assert SAY.count(2, noun) == said
