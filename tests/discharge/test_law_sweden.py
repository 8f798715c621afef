"""Sweden's law, case by case: act 2017:612, and lag 1930:173 where its roll-over is agreed.

Written from the sources, not from the code. Liability presupposes an admission notice to the municipality and
primary care's word that open care is available (5:3, 5:5): each case writes them out, or leaves them out.
"""

from typing import Any

import pytest

from tests.discharge.described import Document, Row, check, rows, told


def before(day: str) -> list[Document]:
    """An admission with its notice sent at once, and open care available."""
    return [
        told("admitted", f"{day} 08:00"),
        told("open-care-availability", f"{day} 09:00", available=True),
    ]


def ready(at: str, **more: Any) -> Document:
    return told("ready-for-discharge", at, **more)


def call(at: str, **more: Any) -> Document:
    return told("sip-call", at, **more)


def answer(at: str, says: str, **more: Any) -> Document:
    return told("answer", at, answer=says, **more)


FIVE_FOUR = [
    (sent, first, what)
    for sent, first, what in [
        ("2025-03-07 11:59:59", "2025-03-10", "Friday a second before noon: Monday"),
        ("2025-03-07 12:00:00", "2025-03-10", "Friday noon exactly: Monday"),
        ("2025-03-07 12:00:01", "2025-03-11", "Friday a second after noon: Tuesday"),
        ("2025-03-05 11:00:00", "2025-03-08", "Wednesday: Saturday, no roll-over"),
        ("2025-04-17 10:00:00", "2025-04-20", "Thursday before Good Friday: Easter Day"),
        ("2025-03-07 00:00:00", "2025-03-10", "first second of the day"),
        ("2025-03-07 23:59:59", "2025-03-11", "last second of the day"),
        ("2024-12-29 09:00:00", "2025-01-01", "New Year's Day is liable as any"),
        ("2024-12-30 12:00:01", "2025-01-03", "over the year end"),
        ("2025-06-17 09:00:00", "2025-06-20", "Midsummer Eve is liable as any"),
        ("2024-02-26 09:00:00", "2024-02-29", "the leap day is liable"),
        ("2024-02-27 12:00:01", "2024-03-02", "over the leap day"),
        ("2023-02-26 09:00:00", "2023-03-01", "no leap day in 2023"),
        ("2025-03-28 12:00:01", "2025-04-01", "over the spring night"),
        ("2025-10-24 12:00:00", "2025-10-27", "over the autumn night"),
        ("2025-03-30T12:00:00+02:00", "2025-04-02", "noon after the spring night is summer time's"),
        ("2025-10-26T12:00:01+01:00", "2025-10-30", "noon after the autumn night is winter time's"),
        ("2025-07-04T10:00:00+00:00", "2025-07-07", "noon of the hospital, told in UTC"),
        ("2025-07-04T10:00:01+00:00", "2025-07-08", "a second after noon, told in UTC"),
    ]
]

START = (
    [
        Row(
            law=f"5:4 {what}",
            events=[*before(sent[:8] + "01"), ready(sent)],
            now=sent,
            liable=first,
            due={"payment-start": f"{first} 00:00:00"},
        )
        for sent, first, what in FIVE_FOUR
    ]
    + [
        Row(
            law=f"5:3 and 5:5, without an admission notice and open care nobody is liable: {what}",
            events=[ready(sent)],
            now="2026-01-10 09:00",
            liable=None,
            days="",
            total="0",
            says=("no admission notice has been sent", "open care"),
        )
        for sent, _, what in FIVE_FOUR[1:5]
    ]
    + [
        Row(
            law="5:4: sent counts, not seen, delivered or accepted",
            events=[
                *before("2025-03-01"),
                ready(
                    "2025-03-07 12:00:00",
                    delivered_at="2025-03-07 12:05",
                    accepted_at="2025-03-07 13:00",
                    seen_at="2025-03-08 08:00",
                ),
            ],
            now="2025-03-09 09:00",
            liable="2025-03-10",
        ),
        Row(
            law="5:4: judged before noon and sent after it is after noon",
            events=[*before("2025-03-01"), ready("2025-03-07 11:00", sent_at="2025-03-07 12:00:01")],
            now="2025-03-09 09:00",
            liable="2025-03-11",
        ),
        Row(
            law="5:4: withdrawn on day 2, new ready on day 5 at 14: liable day 9, the first day never",
            events=[
                *before("2019-05-01"),
                ready("2019-05-06 09:00"),
                told("readiness-withdrawn", "2019-05-08 09:00"),
                ready("2019-05-11 14:00"),
            ],
            now="2019-05-17 09:00",
            liable="2019-05-15",
            days="2019-05-15..2019-05-16",
            total="15600",
            state={"payment-start": ["void", "missed"]},
        ),
        Row(
            law="5:4: the same without an admission notice and open care: nobody",
            events=[
                ready("2019-05-06 09:00"),
                told("readiness-withdrawn", "2019-05-08 09:00"),
                ready("2019-05-11 14:00"),
            ],
            now="2019-05-17 09:00",
            liable=None,
            days="",
            total="0",
        ),
        Row(
            law="5:4: earlier days stand after a withdrawal, and the new notice has its own three days",
            events=[
                *before("2019-05-01"),
                ready("2019-05-06 09:00"),
                told("readiness-withdrawn", "2019-05-11 09:00"),
                ready("2019-05-12 09:00"),
            ],
            now="2019-05-17 09:00",
            liable="2019-05-09",
            days="2019-05-09..2019-05-10 2019-05-15..2019-05-16",
            total="31200",
        ),
        Row(
            law="5:4: a notice repeated before a withdrawal does not start anew",
            events=[*before("2019-05-01"), ready("2019-05-06 09:00"), ready("2019-05-08 14:00")],
            now="2019-05-10 09:00",
            liable="2019-05-09",
        ),
        Row(
            law="before the act, on 31 December 2017, nothing of it holds",
            events=[*before("2017-12-20"), ready("2017-12-31 23:59:59")],
            now="2018-02-10 09:00",
            liable=None,
            says=("was in force",),
        ),
        Row(
            law="the act holds from 1 January 2018",
            events=[*before("2017-12-20"), ready("2018-01-01 00:00:00")],
            now="2018-01-05 09:00",
            liable="2018-01-04",
            days="2018-01-04",
            total=None,
            says=("2018 is not known",),
        ),
        Row(
            law="prop. 2017/18:12: psychiatric care in 2018 has 30 days",
            events=[*before("2018-12-01"), ready("2018-12-31 12:00:00", psychiatric=True)],
            now="2019-01-31 09:00",
            liable="2019-01-30",
            days="2019-01-30",
            total="7800",
        ),
        Row(
            law="prop. 2017/18:12: in the last second of 2018 still 30 days, one more after noon",
            events=[*before("2018-12-01"), ready("2018-12-31 23:59:59", psychiatric=True)],
            now="2019-01-31 09:00",
            liable="2019-01-31",
            says=("one more after 12:00 is our reading",),
        ),
        Row(
            law="from 1 January 2019 psychiatric care has three days as somatic care",
            events=[*before("2018-12-01"), ready("2019-01-01 00:00:00", psychiatric=True)],
            now="2019-01-05 09:00",
            liable="2019-01-04",
            days="2019-01-04",
            total="7800",
            says=("from 2019 is our reading",),
        ),
        Row(
            law="1:3 and 3:1: a ready day that lies ahead is announced; the three days begin with it",
            events=[*before("2022-03-01"), ready("2022-03-04 12:00:01", ready="2022-03-10")],
            now="2022-03-14 09:00",
            liable="2022-03-13",
            days="2022-03-13",
        ),
        Row(
            law="1:3 and 3:1: nobody is liable while the ready day lies ahead",
            events=[*before("2022-03-01"), ready("2022-03-04 10:00", ready="2022-03-10")],
            now="2022-03-09 09:00",
            days="",
            says=("only announced",),
            why={"payment-start": "asks for nothing before Thursday 2022-03-10"},
        ),
        Row(
            law="4:3: the three days of the call begin with a ready day that lies ahead",
            events=[*before("2022-03-01"), ready("2022-03-04 10:00", ready="2022-03-10", sip_needed=True)],
            now="2022-03-05 09:00",
            due={"sip-call": "2022-03-13 23:59:59"},
        ),
        Row(
            law="5:4: a ready day that has passed moves nothing: the sending counts",
            events=[*before("2022-03-01"), ready("2022-03-04 10:00", ready="2022-03-02")],
            now="2022-03-08 09:00",
            liable="2022-03-07",
        ),
        Row(
            law="5:4: ready later on the day of the sending is no day ahead: the clock of the sending counts",
            events=[*before("2022-03-01"), ready("2022-03-04 10:00", ready="2022-03-04")],
            now="2022-03-08 09:00",
            liable="2022-03-07",
        ),
        Row(
            law="5 kap. knows no circumstances beyond control: nothing is disputed by them",
            events=[
                *before("2022-03-01"),
                ready("2022-03-04 10:00"),
                told("beyond-control", "2022-03-08 09:00"),
            ],
            now="2022-03-10 09:00",
            days="2022-03-07..2022-03-09",
            contested="",
        ),
        Row(
            law="somatic care has three days in 2018 too",
            events=[*before("2018-12-01"), ready("2018-12-31 12:00:00")],
            now="2019-01-05 09:00",
            liable="2019-01-03",
            total="15600",
        ),
        Row(
            law="a psychiatric notice has one payment start and not two",
            events=[*before("2018-12-01"), ready("2018-12-31 12:00:00", psychiatric=True)],
            now="2019-01-05 09:00",
            due={"payment-start": "2019-01-30 00:00:00"},
        ),
    ]
)

TERMS = [
    Row(
        law="4:5: another number of days by agreement",
        events=[*before("2022-03-01"), ready("2022-03-04 12:00:00")],
        now="2022-03-11 09:00",
        terms={"payment_after": "P5D"},
        liable="2022-03-09",
        total="18600",
        why={"payment-start": "by local terms, the length of time is 5 days instead of 3 days"},
    ),
    Row(
        law="4:5: another number of days after noon by agreement",
        events=[*before("2022-03-01"), ready("2022-03-04 12:00:01")],
        now="2022-03-11 09:00",
        terms={"payment_after_noon": "P7D"},
        liable="2022-03-11",
        days="",
    ),
    Row(
        law="4:5: another amount by agreement",
        events=[*before("2022-03-01"), ready("2022-03-04 12:00:00")],
        now="2022-03-09 09:00",
        terms={"amounts": {"2022": "4277"}},
        total="8554",
        says=("the amount of 2022 is agreed",),
    ),
    Row(
        law="4:5: five working days by agreement (Gävleborg's model), over a weekend",
        events=[*before("2022-03-01"), ready("2022-03-04 11:00")],
        now="2022-03-12 09:00",
        terms={
            "rules": {
                "payment-start": {
                    "count": "working_days_with_cutoff",
                    "duration": "P5D",
                    "after_cutoff": "P5D",
                }
            }
        },
        liable="2022-03-11",
    ),
    Row(
        law="4:5: working days with a local holiday by agreement",
        events=[*before("2022-03-01"), ready("2022-03-04 11:00")],
        now="2022-03-15 09:00",
        terms={
            "days_off": ["2022-03-09"],
            "rules": {
                "payment-start": {
                    "count": "working_days_with_cutoff",
                    "duration": "P5D",
                    "after_cutoff": "P5D",
                }
            },
        },
        liable="2022-03-14",
    ),
    Row(
        law="4:5: the cut-off at 14 by agreement: 14:00:00 is not after it",
        events=[*before("2022-03-01"), ready("2022-03-04 14:00:00")],
        now="2022-03-08 09:00",
        terms={"rules": {"payment-start": {"cutoff": "14:00:00"}}},
        liable="2022-03-07",
    ),
    Row(
        law="4:5: the cut-off at 14 by agreement: 14:00:01 is",
        events=[*before("2022-03-01"), ready("2022-03-04 14:00:01")],
        now="2022-03-08 09:00",
        terms={"rules": {"payment-start": {"cutoff": "14:00:00"}}},
        liable="2022-03-08",
    ),
    Row(
        law="term late_admission_notice void: a second late voids",
        events=[
            told("admitted", "2022-03-01 08:00", sent_at="2022-03-02 08:00:01"),
            told("open-care-availability", "2022-03-02 09:00", available=True),
            ready("2022-03-04 12:00:00"),
        ],
        now="2022-03-11 09:00",
        terms={"late_admission_notice": "void"},
        liable=None,
        total="0",
        says=("in time",),
    ),
    Row(
        law="term late_admission_notice void: at 24 hours exactly it does not",
        events=[
            told("admitted", "2022-03-01 08:00", sent_at="2022-03-02 08:00:00"),
            told("open-care-availability", "2022-03-02 09:00", available=True),
            ready("2022-03-04 12:00:00"),
        ],
        now="2022-03-09 09:00",
        terms={"late_admission_notice": "void"},
        liable="2022-03-07",
    ),
    Row(
        law="term late_admission_notice void: 2:3 gives a later judgement its own 24 hours",
        events=[
            told("admitted", "2022-03-01 08:00", sent_at="2022-03-03 10:00:00"),
            told("need-identified", "2022-03-02 10:00:00"),
            told("open-care-availability", "2022-03-02 09:00", available=True),
            ready("2022-03-04 12:00:00"),
        ],
        now="2022-03-09 09:00",
        terms={"late_admission_notice": "void"},
        liable="2022-03-07",
    ),
    Row(
        law="without the term a late admission notice does not void (unsettled)",
        events=[
            told("admitted", "2022-03-01 08:00", sent_at="2022-03-02 08:00:01"),
            told("open-care-availability", "2022-03-02 09:00", available=True),
            ready("2022-03-04 12:00:00"),
        ],
        now="2022-03-09 09:00",
        liable="2022-03-07",
    ),
]

CONDITIONS = [
    Row(
        law="2:1-3: no admission notice: nobody is liable, open care or not",
        events=[
            told("open-care-availability", "2022-03-02 09:00", available=True),
            ready("2022-03-04 12:00:00"),
        ],
        now="2022-03-11 09:00",
        liable=None,
        total="0",
        says=("no admission notice has been sent to the municipality (lag 2017:612 5 kap. 3 §)",),
        state={"payment-start": "void"},
    ),
    Row(
        law="2:1, 5:3: an admission notice to another municipality is none to this one",
        events=[
            told("admitted", "2022-03-01 08:00", receiver="municipality:Umeå"),
            told("open-care-availability", "2022-03-02 09:00", available=True),
            ready("2022-03-04 12:00:00", receiver="municipality:Skellefteå"),
        ],
        now="2022-03-11 09:00",
        liable=None,
        state={
            "admission-notice municipality:Umeå": "met",
            "admission-notice municipality:Skellefteå": "missed",
        },
    ),
    Row(
        law="2:1, 5:3: an admission notice to primary care alone is none to the municipality",
        events=[
            told("admitted", "2022-03-01 08:00", receiver="open-care"),
            told("open-care-availability", "2022-03-02 09:00", available=True),
            ready("2022-03-04 12:00:00", receiver="municipality"),
        ],
        now="2022-03-11 09:00",
        liable=None,
        total="0",
    ),
    Row(
        law="5:3: an admission notice that comes late opens liability with the next day",
        events=[
            told("admitted", "2022-03-01 08:00", sent_at="2022-03-08 10:00"),
            told("open-care-availability", "2022-03-02 09:00", available=True),
            ready("2022-03-04 12:00:00"),
        ],
        now="2022-03-11 09:00",
        liable="2022-03-09",
        total="18600",
    ),
    Row(
        law="3:1, 5:3: a ready notice to primary care alone makes no municipality liable",
        events=[*before("2022-03-01"), ready("2022-03-04 12:00:00", receiver="open-care")],
        now="2022-03-11 09:00",
        liable=None,
        days="",
        total="0",
        absent=("payment-start",),
        says=("no municipality is named as responsible",),
    ),
    Row(
        law="3:1: told to primary care before noon and to the municipality after it: after noon",
        events=[
            *before("2022-03-01"),
            ready("2022-03-04 11:00:00", receiver="open-care"),
            ready("2022-03-04 12:00:01", receiver="municipality"),
        ],
        now="2022-03-11 09:00",
        liable="2022-03-08",
    ),
    Row(
        law="5:5: open care not clarified: nobody is liable, and the reason says so",
        events=[told("admitted", "2022-03-01 08:00"), ready("2022-03-04 12:00:00")],
        now="2022-03-11 09:00",
        liable=None,
        total="0",
        says=("5 kap. 5 §",),
    ),
    Row(
        law="5:5: open care not available: nobody",
        events=[
            told("admitted", "2022-03-01 08:00"),
            told("open-care-availability", "2022-03-02 09:00", available=False),
            ready("2022-03-04 12:00:00"),
        ],
        now="2022-03-11 09:00",
        liable=None,
        total="0",
    ),
    Row(
        law="5:5: the hospital's or the municipality's word does not clarify it",
        events=[
            told("admitted", "2022-03-01 08:00"),
            told("open-care-availability", "2022-03-02 09:00", available=True, sender="hospital"),
            told("open-care-availability", "2022-03-02 10:00", available=True, sender="municipality"),
            ready("2022-03-04 12:00:00"),
        ],
        now="2022-03-11 09:00",
        liable=None,
    ),
    Row(
        law="5:5: available before the first day begins: that day is charged",
        events=[
            told("admitted", "2022-03-01 08:00"),
            ready("2022-03-04 12:00:00"),
            told("open-care-availability", "2022-03-06 23:59:59", available=True),
        ],
        now="2022-03-09 09:00",
        liable="2022-03-07",
        days="2022-03-07..2022-03-08",
    ),
    Row(
        law="5:5: available a second into the first day: from the next",
        events=[
            told("admitted", "2022-03-01 08:00"),
            ready("2022-03-04 12:00:00"),
            told("open-care-availability", "2022-03-07 00:00:01", available=True),
        ],
        now="2022-03-10 09:00",
        liable="2022-03-08",
        days="2022-03-08..2022-03-09",
    ),
    Row(
        law="5:5: no longer available: the days that begin so are not charged",
        events=[
            *before("2022-03-01"),
            ready("2022-03-04 12:00:00"),
            told("open-care-availability", "2022-03-08 10:00", available=False),
            told("open-care-availability", "2022-03-10 10:00", available=True),
        ],
        now="2022-03-13 09:00",
        days="2022-03-07..2022-03-08 2022-03-11..2022-03-12",
        total="37200",
    ),
    Row(
        law="5:3: SIP needed and no call: never liable",
        events=[*before("2022-03-01"), ready("2022-03-04 12:00:00", sip_needed=True)],
        now="2022-04-11 09:00",
        liable=None,
        days="",
        total="0",
        says=("SIP",),
        state={"sip-call": "missed", "payment-start": "void"},
    ),
    Row(
        law="5:3: SIP needed and the call sent: liable",
        events=[
            *before("2022-03-01"),
            ready("2022-03-04 12:00:00", sip_needed=True),
            call("2022-03-06 10:00"),
        ],
        now="2022-03-09 09:00",
        liable="2022-03-07",
        days="2022-03-07..2022-03-08",
    ),
    Row(
        law="5:3: SIP needed, called late: liable from the next day (unsettled)",
        events=[
            *before("2022-03-01"),
            ready("2022-03-04 12:00:00", sip_needed=True),
            call("2022-03-09 10:00"),
        ],
        now="2022-03-12 09:00",
        liable="2022-03-10",
        state={"sip-call": "met-late"},
    ),
    Row(
        law="term late_sip_call void: a call on day 4 voids",
        events=[
            *before("2022-03-01"),
            ready("2022-03-04 12:00:00", sip_needed=True),
            call("2022-03-08 00:00:00"),
        ],
        now="2022-03-12 09:00",
        terms={"late_sip_call": "void"},
        liable=None,
    ),
    Row(
        law="term late_sip_call void: in the last second of day 3 it does not",
        events=[
            *before("2022-03-01"),
            ready("2022-03-04 12:00:00", sip_needed=True),
            call("2022-03-07 23:59:59"),
        ],
        now="2022-03-12 09:00",
        terms={"late_sip_call": "void"},
        liable="2022-03-08",
    ),
    Row(
        law="4:3, process 22: a municipality's wish and its own call do not count",
        events=[
            *before("2022-03-01"),
            ready("2022-03-04 12:00:00", sip_needed=True),
            told("sip-requested", "2022-03-05 10:00"),
            call("2022-03-05 11:00", sender="municipality"),
        ],
        now="2022-03-12 09:00",
        liable=None,
        total="0",
        state={"sip-call": "missed"},
    ),
    Row(
        law="4:2: a plan needs consent: declined, the call is not needed",
        events=[
            *before("2022-03-01"),
            ready("2022-03-04 12:00:00", sip_needed=True),
            told("sip-declined", "2022-03-05 10:00"),
        ],
        now="2022-03-09 09:00",
        liable="2022-03-07",
        state={"sip-call": "void"},
    ),
]

SIP = (
    [
        Row(
            law=f"4:3: the call within three days, {what}",
            events=[*before(sent[:8] + "01"), ready(sent, sip_needed=True)],
            now=sent,
            terms={"sip_call_rolls": True} if rolls else {},
            due={"sip-call": f"{due} 23:59:59"},
        )
        for sent, due, rolls, what in [
            ("2025-03-07 12:00:00", "2025-03-10", False, "Friday noon: Monday"),
            (
                "2025-03-07 12:00:01",
                "2025-03-10",
                False,
                "Friday after noon: Monday too, there is no cut-off",
            ),
            ("2025-03-05 11:00:00", "2025-03-08", False, "Wednesday: Saturday"),
            ("2025-03-05 11:00:00", "2025-03-10", True, "Wednesday with roll-over: Monday"),
            ("2025-03-06 11:00:00", "2025-03-10", True, "Thursday with roll-over: Monday, from Sunday"),
            ("2025-03-07 11:00:00", "2025-03-10", True, "Friday with roll-over: Monday, nothing to roll"),
            ("2025-04-15 11:00:00", "2025-04-22", True, "Good Friday rolls to Tuesday after Easter"),
            ("2025-06-17 11:00:00", "2025-06-23", True, "Midsummer Eve rolls to Monday"),
            ("2025-06-17 11:00:00", "2025-06-20", False, "Midsummer Eve without roll-over"),
            ("2024-12-21 11:00:00", "2024-12-27", True, "Christmas Eve rolls over the holidays"),
            ("2024-12-28 11:00:00", "2025-01-02", True, "New Year's Eve rolls over the year end"),
            ("2025-01-03 11:00:00", "2025-01-07", True, "Epiphany rolls"),
            ("2025-06-03 11:00:00", "2025-06-09", True, "6 June rolls to Monday, Whit Monday is a weekday"),
            ("2025-05-26 11:00:00", "2025-05-30", True, "Ascension Day rolls to Friday"),
            ("2025-04-28 11:00:00", "2025-05-02", True, "1 May rolls"),
            ("2025-10-29 11:00:00", "2025-11-03", True, "All Saints' Day rolls"),
            ("2024-02-26 11:00:00", "2024-02-29", False, "the leap day"),
        ]
    ]
    + [
        Row(
            law=f"4:3: called {sent}: {state}",
            events=[*before("2025-03-01"), ready("2025-03-07 12:00:00", sip_needed=True), call(sent, by=by)],
            now="2025-03-14 09:00",
            state={"sip-call": state},
        )
        for sent, by, state in [
            ("2025-03-10 23:59:59", "fixed-care-contact", "met"),
            ("2025-03-11 00:00:00", "fixed-care-contact", "met-late"),
            ("2025-03-10 10:00:00", "open-care", "met"),
        ]
    ]
    + [
        Row(
            law="4:3: no plan needed, no call asked for",
            events=[*before("2025-03-01"), ready("2025-03-07 12:00:00")],
            now="2025-03-14 09:00",
            absent=("sip-call",),
        ),
        Row(
            law="4:3: a withdrawal ends it and a new notice has its own three days",
            events=[
                *before("2025-03-01"),
                ready("2025-03-03 10:00", sip_needed=True),
                told("readiness-withdrawn", "2025-03-04 10:00"),
                ready("2025-03-07 10:00", sip_needed=True),
            ],
            now="2025-03-08 09:00",
            due={"sip-call": ["2025-03-06 23:59:59", "2025-03-10 23:59:59"]},
            state={"sip-call": ["void", "open"]},
        ),
        Row(
            law="4:3: death ends it",
            events=[
                *before("2025-03-01"),
                ready("2025-03-03 10:00", sip_needed=True),
                told("deceased", "2025-03-08 10:00"),
            ],
            now="2025-03-18 09:00",
            state={"sip-call": "void"},
        ),
    ]
)

ADMISSION = (
    [
        Row(
            law=f"2:3: the admission notice {what}",
            events=[told("admitted", "2025-03-03 08:00", sent_at=sent)],
            now=now,
            due={"admission-notice": "2025-03-04 08:00:00"},
            state={"admission-notice": state},
        )
        for what, sent, now, state in [
            ("sent 24 hours after admission exactly", "2025-03-04 08:00:00", "2025-03-05 08:00", "met"),
            ("sent a second more", "2025-03-04 08:00:01", "2025-03-05 08:00", "met-late"),
        ]
    ]
    + [
        Row(
            law=f"2:3: from the later judgement of need, {what}",
            events=[
                told("admitted", "2025-03-03 08:00", sent_at=sent),
                told("need-identified", "2025-03-05 10:00"),
            ],
            now="2025-03-10 08:00",
            due={"admission-notice": "2025-03-06 10:00:00"},
            state={"admission-notice": state},
        )
        for what, sent, state in [
            ("24 hours exactly", "2025-03-06 10:00:00", "met"),
            ("a second more", "2025-03-06 10:00:01", "met-late"),
        ]
    ]
    + [
        Row(
            law="2:3: over the autumn night 24 hours are 24 hours",
            events=[told("admitted", "2025-10-25 12:00", sent_at="2025-10-26 11:00:01")],
            now="2025-10-27 08:00",
            due={"admission-notice": "2025-10-26 11:00:00"},
            state={"admission-notice": "met-late"},
        ),
        Row(
            law="2:3: over the spring night 24 hours are 24 hours",
            events=[told("admitted", "2025-03-29 12:00", sent_at="2025-03-30 13:00:00")],
            now="2025-03-31 08:00",
            due={"admission-notice": "2025-03-30 13:00:00"},
            state={"admission-notice": "met"},
        ),
        Row(
            law="2:3: a notice of hours does not roll over Midsummer",
            events=[told("admitted", "2025-06-19 12:00", sent_at="2025-06-22 12:00")],
            now="2025-06-23 08:00",
            due={"admission-notice": "2025-06-20 12:00:00"},
            state={"admission-notice": "met-late"},
        ),
        Row(
            law="2:1: the municipality and primary care each have their own",
            events=[told("admitted", "2025-03-03 08:00", receiver=["municipality", "open-care"])],
            now="2025-03-03 09:00",
            state={"admission-notice municipality": "met", "admission-notice open-care": "met"},
        ),
    ]
)

CONTACT = [
    Row(
        law=f"2:5: a fixed care contact before the discharge: named {named} is {state}",
        events=[
            told("admitted", "2025-03-03 08:00", receiver=["municipality", "open-care"]),
            told("fixed-contact-named", named),
            told("discharged", "2025-03-07 14:00"),
        ],
        now="2025-03-10 09:00",
        due={"fixed-care-contact": "2025-03-07 14:00:00"},
        state={"fixed-care-contact": state},
    )
    for named, state in [("2025-03-07 14:00:00", "met"), ("2025-03-07 14:00:01", "met-late")]
] + [
    Row(
        law="2:5: before the discharge is known, the planned day",
        events=[
            told(
                "admitted",
                "2025-03-03 08:00",
                receiver=["municipality", "open-care"],
                planned_discharge="2025-03-06",
            )
        ],
        now="2025-03-04 09:00",
        due={"fixed-care-contact": "2025-03-06 23:59:59"},
        state={"fixed-care-contact": "open"},
    ),
    Row(
        law="2:4: a changed estimate moves it",
        events=[
            told(
                "admitted",
                "2025-03-03 08:00",
                receiver=["municipality", "open-care"],
                planned_discharge="2025-03-06",
            ),
            told("planned-discharge", "2025-03-05 09:00", planned_discharge="2025-03-10"),
        ],
        now="2025-03-07 09:00",
        due={"fixed-care-contact": "2025-03-10 23:59:59"},
        state={"fixed-care-contact": "open"},
    ),
    Row(
        law="2:5: the duty begins with the notice to primary care; where only others are told, nobody has it",
        events=[
            told("admitted", "2025-03-03 08:00", receiver=["municipality"], planned_discharge="2025-03-06")
        ],
        now="2025-03-03 09:00",
        state={"admission-notice municipality": "met"},
        absent=("fixed-care-contact",),
    ),
    Row(
        law="2:5: only primary care names it",
        events=[
            told("admitted", "2025-03-03 08:00", receiver=["municipality", "open-care"]),
            told("fixed-contact-named", "2025-03-05 09:00", sender="municipality"),
            told("discharged", "2025-03-07 14:00"),
        ],
        now="2025-03-10 09:00",
        state={"fixed-care-contact": "missed"},
    ),
]

INFORMATION = [
    Row(
        law=f"3:2: information on the day of discharge: sent {sent} is {state}",
        events=[
            *before("2025-03-01"),
            told("discharged", "2025-03-07 14:00"),
            told("discharge-report", sent),
        ],
        now="2025-03-10 09:00",
        due={"information-at-discharge": "2025-03-07 23:59:59"},
        state={"information-at-discharge": state},
    )
    for sent, state in [("2025-03-07 23:59:59", "met"), ("2025-03-08 00:00:00", "met-late")]
] + [
    Row(
        law="3:2: each receiver by itself",
        events=[
            told("admitted", "2025-03-03 08:00", receiver=["municipality", "open-care"]),
            told("discharged", "2025-03-07 14:00"),
            told("discharge-report", "2025-03-07 15:00", receiver="open-care"),
        ],
        now="2025-03-10 09:00",
        state={
            "information-at-discharge municipality": "missed",
            "information-at-discharge open-care": "met",
        },
    ),
    Row(
        law="3:2: discharged in the last second of the autumn Sunday, due that day",
        events=[*before("2025-10-20"), told("discharged", "2025-10-26 23:59:59")],
        now="2025-10-27 00:00:00",
        due={"information-at-discharge": "2025-10-26 23:59:59"},
        state={"information-at-discharge": "missed"},
    ),
]

DAYS = [
    Row(
        law=f"5:4: a span ends before the day of {what}",
        events=[*before("2022-03-01"), ready("2022-03-04 12:00:00"), end],
        now="2022-03-20 09:00",
        days="2022-03-07..2022-03-08",
        total="18600",
    )
    for what, end in [
        ("discharge", told("discharged", "2022-03-09 08:00")),
        ("death", told("deceased", "2022-03-09 08:00")),
        ("withdrawal", told("readiness-withdrawn", "2022-03-09 08:00")),
        ("leaving", told("left-against-advice", "2022-03-09 00:00:00")),
        ("the word that it can receive", answer("2022-03-09 08:00", "can-receive")),
        (
            "the day from which it can receive",
            answer("2022-03-05 08:00", "can-receive", receive_from="2022-03-09"),
        ),
    ]
] + [
    Row(
        law="5:4: able and then unable again: the span ended with the first word",
        events=[
            *before("2022-03-01"),
            ready("2022-03-04 12:00:00"),
            answer("2022-03-09 08:00", "can-receive"),
            answer("2022-03-10 08:00", "cannot-receive"),
        ],
        now="2022-03-20 09:00",
        days="2022-03-07..2022-03-08",
    ),
    Row(
        law="5:4: able and unable again before the first chargeable day: liable",
        events=[
            *before("2022-03-01"),
            ready("2022-03-04 12:00:00"),
            answer("2022-03-05 08:00", "can-receive"),
            answer("2022-03-06 08:00", "cannot-receive"),
        ],
        now="2022-03-09 09:00",
        days="2022-03-07..2022-03-08",
    ),
    Row(
        law="5:4: discharged before the first chargeable day: nothing",
        events=[
            *before("2022-03-01"),
            ready("2022-03-04 12:00:00"),
            told("discharged", "2022-03-06 23:59:59"),
        ],
        now="2022-03-20 09:00",
        liable=None,
        total="0",
        state={"payment-start": "met"},
    ),
    Row(
        law="5:4: discharged at 08 on the first chargeable day: nothing",
        events=[*before("2022-03-01"), ready("2022-03-04 12:00:00"), told("discharged", "2022-03-07 08:00")],
        now="2022-03-20 09:00",
        liable=None,
        total="0",
    ),
    Row(
        law="5:4: free text holds nothing back, for silence decides nothing here",
        events=[
            *before("2022-03-01"),
            ready("2022-03-04 12:00:00"),
            answer("2022-03-05 09:00", "unclassified"),
        ],
        now="2022-03-09 09:00",
        days="2022-03-07..2022-03-08",
    ),
    Row(
        law="5:6: over New Year, 2022 known and 2023 not",
        events=[*before("2022-12-20"), ready("2022-12-28 12:00:00")],
        now="2023-01-02 09:00",
        days="2022-12-31..2023-01-01",
        total=None,
        says=("2023 is not known",),
    ),
    Row(
        law="5:6: over New Year with both years known by agreement: each day its year's",
        events=[*before("2022-12-20"), ready("2022-12-28 12:00:00")],
        now="2023-01-02 09:00",
        terms={"amounts": {"2023": "9500"}},
        total="18800",
    ),
    Row(
        law="5:6: over the spring night a care day is a day",
        events=[*before("2022-03-01"), ready("2022-03-23 12:00:00")],
        now="2022-03-28 00:00:00",
        days="2022-03-26..2022-03-27",
        total="18600",
    ),
    Row(
        law="5:2: where another municipality becomes responsible, it owes from that date",
        events=[
            told("admitted", "2022-03-01 08:00", receiver="municipality:Umeå"),
            told("open-care-availability", "2022-03-02 09:00", available=True),
            ready("2022-03-04 12:00:00", receiver="municipality:Umeå"),
            told("responsible-municipality-changed", "2022-03-08 10:00", receiver="municipality:Skellefteå"),
        ],
        now="2022-03-09 09:00",
        debtors=("municipality:Umeå", "municipality:Skellefteå"),
    ),
    Row(
        law="5:2: of several that were told one owes, and the reasons say that it is taken for it",
        events=[
            told("admitted", "2022-03-01 08:00", receiver=["municipality:Umeå", "municipality:Skellefteå"]),
            told("open-care-availability", "2022-03-02 09:00", available=True),
            ready("2022-03-04 12:00:00", receiver=["municipality:Umeå", "municipality:Skellefteå"]),
            told("answer", "2022-03-04 13:00", answer="cannot-receive", sender="municipality:Skellefteå"),
        ],
        now="2022-03-09 09:00",
        debtors=("municipality:Skellefteå", "municipality:Skellefteå"),
        says=("municipality:Skellefteå is taken for the responsible one of 2 municipalities that were told",),
    ),
]

FOLLOW_UP = [
    Row(
        law=f"the plan itself: a meeting to follow the SIP up, held {held}: {state}",
        events=[
            *before("2025-03-01"),
            told("care-plan", "2025-03-07 10:00", follow_up="2025-04-10"),
            told("followed-up", held),
        ],
        now="2025-04-20 09:00",
        due={"follow-up-sip-meeting": "2025-04-10 23:59:59"},
        state={"follow-up-sip-meeting": state},
    )
    for held, state in [("2025-04-10 23:59:59", "met"), ("2025-04-11 00:00:00", "met-late")]
] + [
    Row(
        law=f"the plan itself: {what} ends it",
        events=[
            *before("2025-03-01"),
            told("care-plan", "2025-03-07 10:00", follow_up="2025-04-10"),
            told(kind, "2025-03-20 10:00"),
        ],
        now="2025-04-20 09:00",
        state={"follow-up-sip-meeting": "void"},
    )
    for what, kind in [("death", "deceased"), ("a plan declined", "sip-declined")]
]


@rows([*FOLLOW_UP, *START, *TERMS, *CONDITIONS, *SIP, *ADMISSION, *CONTACT, *INFORMATION, *DAYS])
def test_sweden(row):
    check("sweden", "Europe/Stockholm", row)


@pytest.mark.parametrize(
    ("year", "price"),
    [
        (2018, None),
        (2019, "7800"),
        (2020, None),
        (2021, None),
        (2022, "9300"),
        (2023, None),
        (2024, None),
        (2025, None),
    ],
)
def test_sweden_5_6_only_the_amounts_of_2019_and_2022_are_known(year, price):
    row = Row(
        law="5:6",
        events=[*before(f"{year}-05-01"), ready(f"{year}-05-06 09:00")],
        now=f"{year}-05-10 09:00",
        days=f"{year}-05-09",
        total=price,
    )
    check("sweden", "Europe/Stockholm", row)
