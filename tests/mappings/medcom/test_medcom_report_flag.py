"""The flag of the report of admission: read from a new STIN or STAA alone, and written there alone (D-13)."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from adapter.discharge.notices import NoticeKind
from adapter.fhir import wire
from adapter.fhir.notices import notice_in
from adapter.mappings import medcom
from tests.mappings.medcom.test_medcom_writing import written
from tests.medcom_stays import REPORT, Stay

K = NoticeKind
ZONE = ZoneInfo("Europe/Copenhagen")
NOON = datetime(2024, 3, 6, 12, 0, tzinfo=ZONE)


def wanted(content: bytes) -> bool:
    reading = medcom.read(content, content_type=None, zone=ZONE)
    assert reading.bundle is not None
    notice = notice_in(reading.bundle, zone=ZONE)
    assert notice.notification
    return notice.report_wanted


def flags(content: bytes) -> list[Any]:
    head = wire.parse(content)["entry"][0]["resource"]
    return [one["valueBoolean"] for one in head.get("extension") or () if one["url"] == REPORT]


@pytest.mark.parametrize("emergency", [False, True])
def test_a_new_admission_with_the_flag_asks(emergency: bool) -> None:
    assert wanted(Stay(NOON, emergency=emergency).admit(report=True))
    assert not wanted(Stay(NOON, emergency=emergency).admit())


def test_no_other_message_asks_whatever_it_carries() -> None:
    stay = Stay(NOON)
    stay.admit(report=True)
    first = stay.history[0]
    told_after = (
        stay.revise(first, NOON + timedelta(hours=1), report=True),
        stay.start_leave(NOON + timedelta(days=1), report=True),
        stay.end_leave(NOON + timedelta(days=2), report=True),
        stay.die(NOON + timedelta(days=3), report=True),
        stay.discharge(NOON + timedelta(days=4), report=True),
        stay.cancel(first, NOON + timedelta(days=5), report=True),
    )
    assert [wanted(content) for content in told_after] == [False] * 6


def test_the_flag_of_another_standards_admission_is_written_with_who_wants_the_report() -> None:
    asking = written(K.ADMITTED, report_wanted=True)
    assert flags(asking) == [True]
    assert wanted(asking)
    head = wire.parse(asking)["entry"][0]["resource"]
    assert head["extension"][1]["valueReference"] == head["sender"]
    without = written(K.ADMITTED)
    assert flags(without) == []
