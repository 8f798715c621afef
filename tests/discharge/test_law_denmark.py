"""Denmark's law, case by case: sundhedsloven § 238, the 72 hours, and the times of the agreements.

Written from the sources, not from the code. The rates were not found, so no case has one of its own: the
region fills them in, a tier and a payee at a time (bill L 75 of 2016/17 in 2016 prices).
"""

from typing import Any

import pytest

from tests.discharge.described import Document, Row, check, rows, told

ADMITTED = told("admitted", "2024-03-01 08:00")
ASKING = told("admitted", "2024-03-01 08:00", report_wanted=True)
TIERS = {
    "amounts": [
        {"year": year, "amount": amount, **more}
        for year in (2023, 2024)
        for amount, more in [
            ("1976", {"payee": "region"}),
            ("1976", {"payee": "state", "to_day": 2}),
            ("3952", {"payee": "state", "from_day": 3}),
        ]
    ]
}
DEARER = {
    "amounts": [
        *TIERS["amounts"][:3],
        {"year": 2024, "amount": "2000", "payee": "region"},
        {"year": 2024, "amount": "2000", "payee": "state", "to_day": 2},
        {"year": 2024, "amount": "4000", "payee": "state", "from_day": 3},
    ]
}


def ready(at: str, **more: Any) -> Document:
    return told("ready-for-discharge", at, **more)


def answer(at: str, says: str, **more: Any) -> Document:
    return told("answer", at, answer=says, **more)


READY = ready("2024-03-04 10:00")

PAYMENT = [
    Row(
        law="§ 238: from the day of the notice, without a known rate no total, and each payee named",
        events=[ADMITTED, READY],
        now="2024-03-07 09:00",
        liable="2024-03-04",
        days="2024-03-04..2024-03-06",
        total=None,
        says=("of 2024 to the region is not known", "of 2024 to the state is not known", "L 75"),
    ),
    Row(
        law="L 75: days 1 and 2 cost 3952 in 2016 prices",
        events=[ADMITTED, READY, told("discharged", "2024-03-06 09:00")],
        now="2024-03-20 09:00",
        terms=TIERS,
        days="2024-03-04..2024-03-05",
        total="7904",
    ),
    Row(
        law="L 75: from day 3 a day costs 5928 in 2016 prices",
        events=[ADMITTED, READY, told("discharged", "2024-03-08 09:00")],
        now="2024-03-20 09:00",
        terms=TIERS,
        days="2024-03-04..2024-03-07",
        total="19760",
    ),
    Row(
        law="L 75: a new notice after a withdrawal counts its days from 1 again",
        events=[
            ADMITTED,
            READY,
            told("readiness-withdrawn", "2024-03-07 09:00"),
            ready("2024-03-10 10:00"),
            told("discharged", "2024-03-12 09:00"),
        ],
        now="2024-03-20 09:00",
        terms=TIERS,
        days="2024-03-04..2024-03-06 2024-03-10..2024-03-11",
        total="21736",
    ),
    Row(
        law="L 75: the tiers go on over New Year, each day at its year's rate",
        events=[
            told("admitted", "2023-12-20 08:00"),
            ready("2023-12-30 10:00"),
            told("discharged", "2024-01-02 09:00"),
        ],
        now="2024-01-20 09:00",
        terms=DEARER,
        days="2023-12-30..2024-01-01",
        total="13904",
    ),
    Row(
        law="L 75: one part known and the other not gives no total",
        events=[ADMITTED, READY],
        now="2024-03-05 09:00",
        terms={"amounts": {"2024": "1976"}},
        days="2024-03-04",
        total=None,
        says=("to the state is not known",),
    ),
    Row(
        law="in force: a notice of 31 December 2016 is of the old law",
        events=[told("admitted", "2016-12-20 08:00"), ready("2016-12-31 23:59:59")],
        now="2017-01-10 09:00",
        liable=None,
        days="",
        says=("was in force",),
    ),
    Row(
        law="in force: from 1 January 2017",
        events=[told("admitted", "2016-12-20 08:00"), ready("2017-01-01 00:00:00")],
        now="2017-01-02 09:00",
        liable="2017-01-01",
        days="2017-01-01",
    ),
    Row(
        law="§ 238: able the same day is nothing to pay",
        events=[ADMITTED, READY, answer("2024-03-04 23:59:59", "can-receive")],
        now="2024-03-20 09:00",
        terms=TIERS,
        liable=None,
        total="0",
    ),
    Row(
        law="§ 238: a notice in the last second of a day has that day for its first",
        events=[ADMITTED, ready("2024-03-04 23:59:59")],
        now="2024-03-06 09:00",
        liable="2024-03-04",
    ),
    Row(
        law="§ 238: a day that lies ahead is announced and begins the payment",
        events=[ADMITTED, ready("2024-03-04 10:00", ready="2024-03-06")],
        now="2024-03-08 09:00",
        terms=TIERS,
        liable="2024-03-06",
        total="7904",
    ),
    Row(
        law="§ 238: an unread answer holds nothing back, for silence decides nothing here",
        events=[ADMITTED, READY, answer("2024-03-04 11:00", "unclassified")],
        now="2024-03-06 09:00",
        terms=TIERS,
        total="7904",
    ),
    Row(
        law="§ 238: residence on the day: the new municipality owes from the change",
        events=[
            told("admitted", "2024-03-01 08:00", receiver="municipality:Aarhus"),
            ready("2024-03-04 10:00", receiver="municipality:Aarhus"),
            told("responsible-municipality-changed", "2024-03-05 10:00", receiver="municipality:Viborg"),
        ],
        now="2024-03-07 09:00",
        terms=TIERS,
        debtors=("municipality:Aarhus", "municipality:Viborg", "municipality:Viborg"),
        total="13832",
    ),
    Row(
        law="§ 238: over the spring night a sengedag is a day",
        events=[ADMITTED, ready("2024-03-30 10:00"), told("discharged", "2024-04-01 09:00")],
        now="2024-04-10 09:00",
        terms=TIERS,
        days="2024-03-30..2024-03-31",
        total="7904",
    ),
] + [
    Row(
        law=f"§ 238: a span ends before the day of {what}",
        events=[ADMITTED, READY, end],
        now="2024-03-20 09:00",
        terms=TIERS,
        days="2024-03-04..2024-03-05",
        total="7904",
    )
    for what, end in [
        ("discharge", told("discharged", "2024-03-06 00:00:00")),
        ("death", told("deceased", "2024-03-06 12:00")),
        ("withdrawal", told("readiness-withdrawn", "2024-03-06 12:00")),
        ("leaving", told("left-against-advice", "2024-03-06 12:00")),
        ("the word that it can receive", answer("2024-03-06 12:00", "can-receive")),
    ]
]

NOTICES = (
    [
        Row(
            law=f"Nordjylland, PRI: the notice of færdigbehandling on the day, sent {sent}: {state}",
            events=[ADMITTED, ready("2024-03-04 10:00", sent_at=sent)],
            now="2024-03-10 09:00",
            due={"ready-notice": "2024-03-04 23:59:59"},
            state={"ready-notice": state},
        )
        for sent, state in [("2024-03-04 23:59:59", "met"), ("2024-03-05 00:00:00", "met-late")]
    ]
    + [
        Row(
            law=f"Midtjylland: the report of admission within 24 hours, sent {sent}: {state}",
            events=[ASKING, told("report-of-admission", sent)],
            now="2024-03-10 09:00",
            due={"report-of-admission": "2024-03-02 08:00:00"},
            state={"report-of-admission": state},
        )
        for sent, state in [("2024-03-02 08:00:00", "met"), ("2024-03-02 08:00:01", "met-late")]
    ]
    + [
        Row(
            law="MedCom: an admission that asks for no report of admission has no deadline for one",
            events=[ADMITTED],
            now="2024-03-01 09:00",
            absent=("report-of-admission",),
        ),
        Row(
            law="MedCom: a report that was sent before the admission is no answer to it",
            events=[told("report-of-admission", "2024-03-01 07:59"), ASKING],
            now="2024-03-01 09:00",
            state={"report-of-admission": "open"},
        ),
        Row(
            law="MedCom: death ends the wait for the report",
            events=[ASKING, told("deceased", "2024-03-01 12:00")],
            now="2024-03-02 09:00",
            state={"report-of-admission": "void"},
        ),
        Row(
            law="a case that staff have closed asks for nothing more",
            events=[ASKING, told("closed", "2024-03-01 12:00")],
            now="2024-03-02 09:00",
            state={"report-of-admission": "void"},
            why={"report-of-admission": "closed by hand"},
        ),
    ]
)


def home(admitted: str, discharged: str) -> list[Document]:
    return [told("admitted", admitted), told("discharged", discharged)]


RESPONSIBILITY = [
    Row(
        law="Feb 2023: 72 hours of responsibility for treatment after discharge",
        events=home("2024-03-01 08:00", "2024-03-04 14:00"),
        now="2024-03-07 14:00:00",
        due={"treatment-responsibility": "2024-03-07 14:00:00"},
        state={"treatment-responsibility": "open"},
    ),
    Row(
        law="Feb 2023: a second after the 72 hours it is over",
        events=home("2024-03-01 08:00", "2024-03-04 14:00"),
        now="2024-03-07 14:00:01",
        state={"treatment-responsibility": "met"},
    ),
    Row(
        law="Feb 2023: after a stay of 24 hours exactly there is none",
        events=home("2024-03-01 08:00:00", "2024-03-02 08:00:00"),
        now="2024-03-03 09:00",
        absent=("treatment-responsibility",),
    ),
    Row(
        law="Feb 2023: after a stay of a second more there is",
        events=home("2024-03-01 08:00:00", "2024-03-02 08:00:01"),
        now="2024-03-03 09:00",
        state={"treatment-responsibility": "open"},
    ),
    Row(
        law="Feb 2023: a stay over the autumn night from noon to noon has 25 hours",
        events=home("2024-10-26 12:00:00", "2024-10-27 12:00:00"),
        now="2024-10-28 09:00",
        state={"treatment-responsibility": "open"},
    ),
    Row(
        law="Feb 2023: a stay over the spring night from noon to noon has 23",
        events=home("2024-03-30 12:00:00", "2024-03-31 12:00:00"),
        now="2024-04-01 09:00",
        absent=("treatment-responsibility",),
    ),
    Row(
        law="Feb 2023: not for a discharge of 31 January 2023",
        events=home("2023-01-20 08:00", "2023-01-31 23:59:59"),
        now="2023-02-02 09:00",
        absent=("treatment-responsibility",),
    ),
    Row(
        law="Feb 2023: for a discharge of 1 February 2023",
        events=home("2023-01-20 08:00", "2023-02-01 00:00:00"),
        now="2023-02-02 09:00",
        due={"treatment-responsibility": "2023-02-04 00:00:00"},
    ),
    Row(
        law="Feb 2023: 72 hours over the spring night end an hour later on the clock",
        events=home("2024-03-20 08:00", "2024-03-29 14:00"),
        now="2024-03-30 09:00",
        due={"treatment-responsibility": "2024-04-01 15:00:00"},
    ),
    Row(
        law="Feb 2023: 72 hours over the autumn night end an hour earlier on the clock",
        events=home("2024-10-20 08:00", "2024-10-25 14:00"),
        now="2024-10-26 09:00",
        due={"treatment-responsibility": "2024-10-28 13:00:00"},
    ),
    Row(
        law="Feb 2023: death ends it",
        events=[*home("2024-03-01 08:00", "2024-03-04 14:00"), told("deceased", "2024-03-05 14:00")],
        now="2024-03-06 09:00",
        state={"treatment-responsibility": "void"},
    ),
]


@rows([*PAYMENT, *NOTICES, *RESPONSIBILITY])
def test_denmark(row):
    check("denmark", "Europe/Copenhagen", row)


@pytest.mark.parametrize(("number", "state"), [(1, "1976"), (2, "1976"), (3, "3952"), (4, "3952")])
def test_denmark_l_75_each_day_is_owed_in_two_parts(number, state):
    from tests.discharge.described import explained

    row = Row(law="L 75", events=[ADMITTED, READY], now="2024-03-08 09:00", terms=TIERS)
    charge = explained("denmark", "Europe/Copenhagen", row)["payment"]["charges"][number - 1]
    assert charge["parts"] == [{"payee": "region", "amount": "1976"}, {"payee": "state", "amount": state}]
