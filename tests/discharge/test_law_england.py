"""England's law until 30 June 2022, case by case: Care Act 2014 schedule 3 and the 2014 regulations.

Written from the sources, not from the code. An assessment notice (`care-needs`) comes first; the discharge
notice (`ready-for-discharge`) proposes a day (`ready`). The relevant day is the proposed day, but at least
one day after the discharge notice and two after the assessment notice; a notice after 2 p.m. counts as given
the next day. The days after the relevant day may be charged.
"""

from typing import Any

import pytest

from tests.discharge.described import Document, Row, check, rows, told

ADMITTED = told("admitted", "2021-03-01 08:00")
ASSESS = told("care-needs", "2021-03-01 10:00")
BEFORE = [ADMITTED, ASSESS]
RATES = {"amounts": {"2015": "130", "2021": "130", "2022": "130"}}


def notice(at: str, **more: Any) -> Document:
    return told("ready-for-discharge", at, **more)


def answer(at: str, says: str, **more: Any) -> Document:
    return told("answer", at, answer=says, **more)


RELEVANT_DAY = (
    [
        Row(
            law=f"reg. 5, 11: discharge notice {sent}: chargeable from {first}",
            events=[*BEFORE, notice(sent)],
            now=sent,
            liable=first,
        )
        for sent, first in [
            ("2021-03-08 13:59:59", "2021-03-10"),
            ("2021-03-08 14:00:00", "2021-03-10"),
            ("2021-03-08 14:00:01", "2021-03-11"),
            ("2021-03-08 00:00:00", "2021-03-10"),
            ("2021-03-08 23:59:59", "2021-03-11"),
            ("2021-03-05 10:00:00", "2021-03-07"),  # Friday: weekend days are days
            ("2021-03-27 14:00:01", "2021-03-30"),  # over the spring night
            ("2021-10-30 14:00:00", "2021-11-01"),  # over the autumn night
            ("2021-06-01T13:00:00+00:00", "2021-06-03"),  # 14:00:00 of the hospital, told in UTC
            ("2021-06-01T13:00:01+00:00", "2021-06-04"),
            ("2021-12-30 10:00:00", "2022-01-01"),
        ]
    ]
    + [
        Row(
            law=f"reg. 8, 11: assessed {assessed}, discharge notice the same day: chargeable from {first}",
            events=[ADMITTED, told("care-needs", assessed), notice("2021-03-08 13:00:00")],
            now="2021-03-08 20:00",
            liable=first,
            says=("because of another notice",),
        )
        for assessed, first in [
            ("2021-03-08 12:00:00", "2021-03-11"),
        ]
    ]
    + [
        Row(
            law=f"reg. 8, 11: assessed {assessed}, discharge notice the next day: chargeable from {first}",
            events=[ADMITTED, told("care-needs", assessed), notice("2021-03-09 09:00")],
            now="2021-03-09 20:00",
            liable=first,
        )
        for assessed, first in [
            ("2021-03-08 14:00:00", "2021-03-11"),
            ("2021-03-08 14:00:01", "2021-03-12"),
        ]
    ]
    + [
        Row(
            law=f"sch. 3: proposed {proposed}: chargeable from {first}",
            events=[*BEFORE, notice("2021-03-08 10:00", ready=proposed)],
            now="2021-03-08 20:00",
            liable=first,
        )
        for proposed, first in [
            ("2021-03-08", "2021-03-10"),  # less than a day before: the minimum counts
            ("2021-03-09", "2021-03-10"),
            ("2021-03-10", "2021-03-11"),
            ("2021-03-15", "2021-03-16"),
        ]
    ]
    + [
        Row(
            law="sch. 3: proposed for tomorrow after 2 p.m.: the minimum counts",
            events=[*BEFORE, notice("2021-03-08 14:00:01", ready="2021-03-09")],
            now="2021-03-08 20:00",
            liable="2021-03-11",
        ),
        Row(
            law="sch. 3: the day that was proposed last counts",
            events=[
                *BEFORE,
                notice("2021-03-08 10:00", ready="2021-03-20"),
                notice("2021-03-09 10:00", ready="2021-03-12"),
            ],
            now="2021-03-09 20:00",
            liable="2021-03-13",
        ),
        Row(
            law="sch. 3: after a withdrawal the new notice has its own proposed day",
            events=[
                *BEFORE,
                notice("2021-03-08 10:00", ready="2021-03-20"),
                told("readiness-withdrawn", "2021-03-09 10:00"),
                notice("2021-03-10 10:00", ready="2021-03-11"),
            ],
            now="2021-03-14 09:00",
            terms=RATES,
            liable="2021-03-12",
            days="2021-03-12..2021-03-13",
            total="260",
        ),
    ]
)

PAYMENT = [
    Row(
        law="reg. 10: the amounts were not checked, so there is none and no total",
        events=[*BEFORE, notice("2021-03-08 10:00")],
        now="2021-03-12 09:00",
        days="2021-03-10..2021-03-11",
        total=None,
        says=("regulation 10 were not checked",),
    ),
    Row(
        law="reg. 10: with the region's own amounts",
        events=[*BEFORE, notice("2021-03-08 10:00"), told("discharged", "2021-03-13 10:00")],
        now="2021-03-20 09:00",
        terms=RATES,
        days="2021-03-10..2021-03-12",
        total="390",
    ),
    Row(
        law="sch. 3 para. 1: without an assessment notice nobody is charged",
        events=[ADMITTED, notice("2021-03-08 10:00")],
        now="2021-03-12 09:00",
        terms=RATES,
        liable=None,
        total="0",
        says=("no assessment notice",),
    ),
    Row(
        law="sch. 3: a discharge notice withdrawn before the relevant day: nothing",
        events=[*BEFORE, notice("2021-03-08 10:00"), told("readiness-withdrawn", "2021-03-09 10:00")],
        now="2021-03-20 09:00",
        terms=RATES,
        liable=None,
        total="0",
    ),
    Row(
        law="sch. 3: an authority that can receive by then is charged nothing",
        events=[*BEFORE, notice("2021-03-08 10:00"), answer("2021-03-09 10:00", "can-receive")],
        now="2021-03-20 09:00",
        terms=RATES,
        liable=None,
        total="0",
    ),
    Row(
        law="in force: a notice of 31 March 2015 is of the old act",
        events=[
            told("admitted", "2015-03-20 08:00"),
            told("care-needs", "2015-03-20 10:00"),
            notice("2015-03-31 10:00"),
        ],
        now="2015-04-10 09:00",
        liable=None,
        says=("was in force",),
    ),
    Row(
        law="in force: from 1 April 2015",
        events=[
            told("admitted", "2015-03-20 08:00"),
            told("care-needs", "2015-03-20 10:00"),
            notice("2015-04-01 00:00"),
        ],
        now="2015-04-04 09:00",
        terms=RATES,
        liable="2015-04-03",
        total="130",
    ),
    Row(
        law="2022 c. 31 s. 91: the last day that can be charged is 30 June 2022",
        events=[
            told("admitted", "2022-06-01 08:00"),
            told("care-needs", "2022-06-01 10:00"),
            notice("2022-06-27 10:00"),
        ],
        now="2022-07-20 09:00",
        terms=RATES,
        liable="2022-06-29",
        days="2022-06-29..2022-06-30",
        total="260",
        says=("1 July 2022",),
    ),
    Row(
        law="2022 c. 31 s. 91: a notice of 30 June 2022 is taken and can charge nothing",
        events=[
            told("admitted", "2022-06-01 08:00"),
            told("care-needs", "2022-06-01 10:00"),
            notice("2022-06-30 23:59:59"),
        ],
        now="2022-07-20 09:00",
        terms=RATES,
        liable=None,
        days="",
        total="0",
        says=("1 July 2022",),
    ),
    Row(
        law="2022 c. 31 s. 91: a notice of 1 July 2022 is refused with the reason",
        events=[
            told("admitted", "2022-06-01 08:00"),
            told("care-needs", "2022-06-01 10:00"),
            notice("2022-07-01 00:00:00"),
        ],
        now="2022-07-20 09:00",
        refused="revoked on 1 July 2022",
    ),
    Row(
        law="2022 c. 31 s. 91: a stay that begins on 1 July 2022 is refused, whatever is told of it",
        events=[told("admitted", "2022-07-01 00:00")],
        now="2022-07-02 09:00",
        refused="revoked on 1 July 2022",
    ),
    Row(
        law="2022 c. 31 s. 91: an assessment notice of 1 July 2022 is refused too",
        events=[told("admitted", "2022-06-01 08:00"), told("care-needs", "2022-07-01 00:00:00")],
        now="2022-07-20 09:00",
        refused="Health and Care Act 2022 s. 91",
    ),
    Row(
        law="2022 c. 31 s. 91: a discharge of July 2022 is no notice of the schedule and is taken",
        events=[
            told("admitted", "2022-06-01 08:00"),
            told("care-needs", "2022-06-01 10:00"),
            notice("2022-06-27 10:00"),
            told("discharged", "2022-07-05 10:00"),
        ],
        now="2022-07-20 09:00",
        terms=RATES,
        total="260",
    ),
    Row(
        law="term notice_before: noon by agreement, and a second after it is the next day",
        events=[*BEFORE, notice("2021-03-08 12:00:01")],
        now="2021-03-08 20:00",
        terms={"notice_before": "12:00:00"},
        liable="2021-03-11",
    ),
    Row(
        law="term notice_before: noon by agreement, at noon it is the same day",
        events=[*BEFORE, notice("2021-03-08 12:00:00")],
        now="2021-03-08 20:00",
        terms={"notice_before": "12:00:00"},
        liable="2021-03-10",
    ),
]

ASSESSMENT = (
    [
        Row(
            law=f"reg. 8, 11: assessed {sent}: at least until {due}",
            events=[ADMITTED, told("care-needs", sent)],
            now=sent,
            due={"assessment": f"{due} 23:59:59"},
            state={"assessment": "open"},
        )
        for sent, due in [("2021-03-08 14:00:00", "2021-03-10"), ("2021-03-08 14:00:01", "2021-03-11")]
    ]
    + [
        Row(
            law=f"sch. 3: services granted {granted}: {state}",
            events=[ADMITTED, told("care-needs", "2021-03-08 10:00"), told("services-granted", granted)],
            now="2021-03-20 09:00",
            state={"assessment": state},
        )
        for granted, state in [("2021-03-10 23:59:59", "met"), ("2021-03-11 00:00:00", "met-late")]
    ]
    + [
        Row(
            law="sch. 3 para. 1: in force until death",
            events=[ADMITTED, told("care-needs", "2021-03-08 10:00"), told("deceased", "2021-03-09 10:00")],
            now="2021-03-20 09:00",
            state={"assessment": "void"},
        ),
        Row(
            law="sch. 3 para. 1: in force until discharge",
            events=[ADMITTED, told("care-needs", "2021-03-08 10:00"), told("discharged", "2021-03-09 10:00")],
            now="2021-03-20 09:00",
            state={"assessment": "void"},
        ),
    ]
)


@rows([*RELEVANT_DAY, *PAYMENT, *ASSESSMENT])
def test_england(row):
    check("england-2014", "Europe/London", row)


def test_england_says_the_reason_of_its_end_in_english_only():
    from tests.discharge.described import explained

    row = Row(law="", events=[*BEFORE, notice("2021-03-08 10:00")], now="2021-03-12 09:00")
    for why in explained("england-2014", "Europe/London", row)["payment"]["why"]:
        assert set(why) == {"en"}


@pytest.mark.parametrize("after", ["2022-07-01 00:00", "2026-11-25 12:00"])
def test_england_what_happened_before_the_end_can_be_explained_at_any_time(after):
    check(
        "england-2014",
        "Europe/London",
        Row(
            law="",
            events=[*BEFORE, notice("2021-03-08 10:00"), told("discharged", "2021-03-12 10:00")],
            now=after,
            days="2021-03-10..2021-03-11",
        ),
    )
