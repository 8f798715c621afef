"""Norway's law, case by case: regulation 2011-11-18 no. 1115 and the standards beside it.

Written from the sources, not from the code. The payment presupposes an early notice that the municipality's
system has accepted (§ 8): each case writes it out, and some leave it out.
"""

from typing import Any

import pytest

from tests.discharge.described import Document, Row, check, rows, told

ADMITTED = told("admitted", "2024-02-26 08:00")
EARLY = told("care-needs", "2024-02-26 09:00", accepted_at="2024-02-26 09:05")
BEFORE = [ADMITTED, EARLY]


def ready(at: str, accepted: str | None = None, **more: Any) -> Document:
    """The ready notice, accepted by the municipality's system at once where nothing else is said."""
    return told("ready-for-discharge", at, accepted_at=accepted or at, **more)


def stay(day: str) -> list[Document]:
    """An admission two days before, and the early notice accepted."""
    return [told("admitted", f"{day} 08:00"), told("care-needs", f"{day} 09:00", accepted_at=f"{day} 09:05")]


def answer(at: str, says: str, **more: Any) -> Document:
    return told("answer", at, answer=says, **more)


READY = ready("2024-03-01 10:00")
CAN = answer("2024-03-04 09:00", "can-receive")

EARLY_NOTICE = [
    Row(
        law="§ 8: 24 hours from admission, to the second: accepted at the last one is in time",
        events=[ADMITTED, told("care-needs", "2024-02-26 09:00", accepted_at="2024-02-27 08:00:00")],
        now="2024-02-28 08:00",
        due={"early-notice": "2024-02-27 08:00:00"},
        state={"early-notice": "met"},
    ),
    Row(
        law="§ 8: accepted a second after 24 hours is late",
        events=[ADMITTED, told("care-needs", "2024-02-26 09:00", accepted_at="2024-02-27 08:00:01")],
        now="2024-02-28 08:00",
        state={"early-notice": "met-late"},
    ),
    Row(
        law="§ 8 and HISD 80806: sent in time and accepted late is late",
        events=[ADMITTED, told("care-needs", "2024-02-26 08:01", accepted_at="2024-02-27 08:30")],
        now="2024-02-28 08:00",
        state={"early-notice": "met-late"},
    ),
    Row(
        law="§ 8: delivered and seen is not accepted",
        events=[
            ADMITTED,
            told(
                "care-needs",
                "2024-02-26 09:00",
                delivered_at="2024-02-26 09:00:05",
                seen_at="2024-02-26 10:00",
            ),
        ],
        now="2024-02-27 08:00:01",
        state={"early-notice": "missed"},
    ),
    Row(
        law="§ 8: still open at the last second",
        events=[ADMITTED],
        now="2024-02-27 08:00:00",
        state={"early-notice": "open"},
    ),
    Row(
        law="§ 8: missed a second later",
        events=[ADMITTED],
        now="2024-02-27 08:00:01",
        state={"early-notice": "missed"},
    ),
    Row(
        law="§ 8: 24 hours over the autumn night (admitted 26 Oct 2025 01:30) end 00:30 local",
        events=[told("admitted", "2025-10-26T01:30:00+02:00")],
        now="2025-10-26 12:00",
        due={"early-notice": "2025-10-27 00:30:00"},
    ),
    Row(
        law="§ 8: 24 hours over the spring night end an hour later on the clock",
        events=[told("admitted", "2025-03-30T01:30:00+01:00")],
        now="2025-03-30 12:00",
        due={"early-notice": "2025-03-31 02:30:00"},
    ),
    Row(
        law="§ 8: admitted in the hour that comes twice, the second time",
        events=[told("admitted", "2025-10-26T02:30:00+01:00")],
        now="2025-10-26 12:00",
        due={"early-notice": "2025-10-27 02:30:00"},
    ),
    Row(
        law="§ 8: over a leap day",
        events=[told("admitted", "2024-02-28 23:59:59")],
        now="2024-02-29 12:00",
        due={"early-notice": "2024-02-29 23:59:59"},
    ),
    Row(
        law="§ 8: no roll-over on Easter Day",
        events=[told("admitted", "2024-03-30 10:00")],
        now="2024-03-30 12:00",
        due={"early-notice": "2024-03-31 11:00:00"},
    ),
    Row(
        law="HIS 1144: a need identified later has 24 hours of its own, which is not payment law",
        events=[ADMITTED, told("need-identified", "2024-02-28 10:00")],
        now="2024-02-28 11:00",
        due={"early-notice": "2024-02-29 10:00:00"},
        state={"early-notice": "open"},
        why={"early-notice": "2024-02-27 08:00:00"},
    ),
    Row(
        law="HIS 1144: the need known before admission leaves the regulation's 24 hours",
        events=[ADMITTED, told("need-identified", "2024-02-26 07:00")],
        now="2024-02-26 12:00",
        due={"early-notice": "2024-02-27 08:00:00"},
    ),
    Row(
        law="§ 8: no municipal need closes it",
        events=[ADMITTED, told("no-municipal-need", "2024-02-26 12:00")],
        now="2024-03-01 08:00",
        state={"early-notice": "void", "report-of-admission": "void"},
    ),
    Row(
        law="§ 8: each municipality that was told has its own",
        events=[
            told("admitted", "2024-02-26 08:00", receiver=["municipality:Lærdal", "municipality:Årdal"]),
            told(
                "care-needs",
                "2024-02-26 09:00",
                accepted_at="2024-02-26 09:05",
                receiver="municipality:Årdal",
            ),
        ],
        now="2024-02-28 08:00",
        state={"early-notice municipality:Lærdal": "missed", "early-notice municipality:Årdal": "met"},
    ),
    Row(
        law="process 9: death closes what is open",
        events=[ADMITTED, told("deceased", "2024-02-26 20:00")],
        now="2024-03-01 08:00",
        state={"early-notice": "void", "report-of-admission": "void"},
    ),
]

REPORT = [
    Row(
        law=f"HIS 1143: the admission report within one day of admission: sent {sent} is {state}",
        events=[ADMITTED, told("report-of-admission", sent)],
        now="2024-02-29 08:00",
        due={"report-of-admission": "2024-02-27 08:00:00"},
        state={"report-of-admission": state},
    )
    for sent, state in [("2024-02-27 08:00:00", "met"), ("2024-02-27 08:00:01", "met-late")]
]

ANSWER = [
    Row(
        law="§ 11: at once is two hours, a local figure",
        events=[*BEFORE, READY],
        now="2024-03-01 12:00:00",
        due={"answer": "2024-03-01 12:00:00"},
        state={"answer": "open"},
        why={"answer": "local figure"},
    ),
    Row(
        law="§ 11: a second after that it is missed",
        events=[*BEFORE, READY],
        now="2024-03-01 12:00:01",
        state={"answer": "missed"},
    ),
    Row(
        law="§ 11: from the receipt, not from the sending",
        events=[*BEFORE, ready("2024-03-01 10:00", "2024-03-01 15:00")],
        now="2024-03-01 15:30",
        due={"answer": "2024-03-01 17:00:00"},
    ),
    Row(
        law="process 4: no receipt, no question",
        events=[*BEFORE, told("ready-for-discharge", "2024-03-01 10:00", delivered_at="2024-03-01 10:01")],
        now="2024-03-03 10:00",
        absent=("answer", "payment-start"),
        liable=None,
        says=("no positive receipt",),
    ),
    Row(
        law="process 13: free text is an answer",
        events=[*BEFORE, READY, answer("2024-03-01 11:00", "unclassified")],
        now="2024-03-03 10:00",
        state={"answer": "met"},
    ),
    Row(
        law="process 15: an estimate ahead is announced and asks for no answer yet",
        events=[*BEFORE, ready("2024-03-01 10:00", ready="2024-03-05", estimate=True)],
        now="2024-03-02 10:00",
        due={"answer": "2024-03-05 02:00:00"},
        state={"answer": "open"},
        why={"answer": "only announced"},
        days="",
    ),
    Row(
        law="term answer_within: half an hour by agreement",
        events=[*BEFORE, READY],
        now="2024-03-01 10:30:01",
        terms={"answer_within": "PT30M"},
        due={"answer": "2024-03-01 10:30:00"},
        state={"answer": "missed"},
        why={"answer": "by local terms, the length of time is 30 minutes instead of 2 hours"},
    ),
    Row(
        law="override: at once as office hours, over a weekend",
        events=[*BEFORE, ready("2024-03-01 15:00")],
        now="2024-03-01 15:30",
        terms={"rules": {"answer": {"count": "office_hours", "opens": "08:00", "closes": "16:00"}}},
        due={"answer": "2024-03-04 09:00:00"},
    ),
    Row(
        law="term days_off: a local holiday closes the office",
        events=[*BEFORE, ready("2024-03-01 15:00")],
        now="2024-03-01 15:30",
        terms={
            "days_off": ["2024-03-04"],
            "rules": {"answer": {"count": "office_hours", "opens": "08:00", "closes": "16:00"}},
        },
        due={"answer": "2024-03-05 09:00:00"},
    ),
    Row(
        law="§ 11: at 3 p.m. on Wednesday before Maundy Thursday, office hours go on after Easter Monday",
        events=[*BEFORE, ready("2024-03-27 15:00")],
        now="2024-03-27 15:30",
        terms={"rules": {"answer": {"count": "office_hours", "opens": "08:00", "closes": "16:00"}}},
        due={"answer": "2024-04-02 09:00:00"},
    ),
]

PAYMENT = [
    Row(
        law="§ 13: ready 1 March 2024, able 4 March: three days at 5745",
        events=[*BEFORE, READY, CAN],
        now="2024-03-10 09:00",
        liable="2024-03-01",
        days="2024-03-01..2024-03-03",
        total="17235",
    ),
    Row(
        law="§ 13 and § 8: the same without an early notice makes nobody liable",
        events=[ADMITTED, READY, CAN],
        now="2024-03-10 09:00",
        liable=None,
        days="",
        total="0",
        says=("no early notice has been accepted",),
    ),
    Row(
        law="§ 13 and § 8: an early notice that was sent and not accepted makes nobody liable",
        events=[
            ADMITTED,
            told("care-needs", "2024-02-26 09:00", delivered_at="2024-02-26 09:01"),
            READY,
            CAN,
        ],
        now="2024-03-10 09:00",
        liable=None,
        total="0",
    ),
    Row(
        law="§ 13: no answer counts from the day of the notice",
        events=[*BEFORE, READY],
        now="2024-03-03 09:00",
        liable="2024-03-01",
        days="2024-03-01..2024-03-02",
        total="11490",
    ),
    Row(
        law="§ 13 and § 8: no answer and no early notice: nothing",
        events=[ADMITTED, READY],
        now="2024-03-03 09:00",
        liable=None,
        days="",
        total="0",
    ),
    Row(
        law="§ 13: able on the same day is nothing to pay",
        events=[*BEFORE, READY, answer("2024-03-01 23:59:59", "can-receive")],
        now="2024-03-10 09:00",
        liable=None,
        days="",
        total="0",
    ),
    Row(
        law="§ 13: able the next day at midnight is one day",
        events=[*BEFORE, READY, answer("2024-03-02 00:00:00", "can-receive")],
        now="2024-03-10 09:00",
        liable="2024-03-01",
        days="2024-03-01",
        total="5745",
    ),
    Row(
        law="§ 13 and § 8: same day without an early notice: nothing either",
        events=[ADMITTED, READY, answer("2024-03-01 15:00", "can-receive")],
        now="2024-03-10 09:00",
        liable=None,
        total="0",
    ),
    Row(
        law="§ 13: a notice in the last second of the day counts for that day",
        events=[*BEFORE, ready("2024-03-01 23:59:59")],
        now="2024-03-02 00:00:00",
        liable="2024-03-01",
        days="2024-03-01",
    ),
    Row(
        law="§ 13: a notice in the first second of a day counts for that day",
        events=[*BEFORE, ready("2024-03-02 00:00:00")],
        now="2024-03-03 00:00:00",
        liable="2024-03-02",
        days="2024-03-02",
    ),
    Row(
        law="HISD 80806: sent before midnight and accepted after it counts the next day",
        events=[*BEFORE, ready("2024-03-01 23:59:00", "2024-03-02 00:00:00")],
        now="2024-03-03 09:00",
        liable="2024-03-02",
        days="2024-03-02",
    ),
    Row(
        law="§ 13: over New Year each day has its year's price, 2023 and 2024",
        events=[*stay("2023-12-20"), ready("2023-12-30 10:00"), answer("2024-01-02 08:00", "can-receive")],
        now="2024-01-10 09:00",
        days="2023-12-30..2024-01-01",
        total="16761",
    ),
    Row(
        law="§ 13 and § 8: over New Year without an early notice: nothing",
        events=[
            told("admitted", "2023-12-20 08:00"),
            ready("2023-12-30 10:00"),
            answer("2024-01-02 08:00", "can-receive"),
        ],
        now="2024-01-10 09:00",
        days="",
        total="0",
    ),
    Row(
        law="§ 13: into a year without a known price there is no total, and a reason",
        events=[*stay("2024-12-20"), ready("2024-12-30 10:00")],
        now="2025-01-02 09:00",
        days="2024-12-30..2025-01-01",
        total=None,
        says=("2025 is not known",),
    ),
    Row(
        law="§ 13: 2013 was never checked, so it is not known",
        events=[*stay("2013-05-01"), ready("2013-05-06 10:00")],
        now="2013-05-07 09:00",
        days="2013-05-06",
        total=None,
        says=("2013 is not known",),
    ),
    Row(
        law="term amounts: the region fills 2025 in, and explain says that it is agreed",
        events=[*stay("2024-12-20"), ready("2024-12-30 10:00")],
        now="2025-01-02 09:00",
        terms={"amounts": {"2025": "5900.50"}},
        total="17390.50",
        says=("the amount of 2025 is agreed",),
    ),
    Row(
        law="§ 13: over the leap day",
        events=[*BEFORE, ready("2024-02-28 10:00"), answer("2024-03-01 10:00", "can-receive")],
        now="2024-03-10 09:00",
        days="2024-02-28..2024-02-29",
        total="11490",
    ),
    Row(
        law="§ 13: over the spring night a day is a day",
        events=[*BEFORE, ready("2024-03-30 10:00"), answer("2024-04-01 00:30", "can-receive")],
        now="2024-04-10 09:00",
        days="2024-03-30..2024-03-31",
        total="11490",
    ),
    Row(
        law="§ 13: over the autumn night a day is a day",
        events=[*BEFORE, ready("2024-10-26 23:30"), answer("2024-10-28 00:30", "can-receive")],
        now="2024-11-10 09:00",
        days="2024-10-26..2024-10-27",
        total="11490",
    ),
    Row(
        law="§ 13: weekends and Easter are charged as every day",
        events=[*BEFORE, ready("2024-03-28 10:00"), answer("2024-04-02 10:00", "can-receive")],
        now="2024-04-10 09:00",
        days="2024-03-28..2024-04-01",
        total="28725",
    ),
    Row(
        law="in force: 31 December 2011 was another regime, with a reason",
        events=[*stay("2011-12-20"), ready("2011-12-31 23:59:59")],
        now="2012-01-05 09:00",
        liable=None,
        days="",
        says=("was in force",),
    ),
    Row(
        law="in force: from 1 January 2012 at 4000",
        events=[*stay("2011-12-20"), ready("2012-01-01 00:00:00")],
        now="2012-01-03 09:00",
        liable="2012-01-01",
        total="8000",
    ),
    Row(
        law="§ 2: psychiatry is not covered on 31 December 2018",
        events=[*stay("2018-12-20"), ready("2018-12-31 23:59:59", psychiatric=True)],
        now="2018-12-31 23:59:59",
        liable=None,
        absent=("payment-start",),
        says=("was in force",),
    ),
    Row(
        law="from 1 January 2019 psychiatry is covered as somatic care",
        events=[*stay("2018-12-20"), ready("2019-01-01 00:00:00", psychiatric=True)],
        now="2019-01-03 09:00",
        liable="2019-01-01",
        total="9770",
        says=("proposed in 2016; whether they are law was not checked",),
    ),
    Row(
        law="§ 2: somatic care is covered in 2018",
        events=[*stay("2018-12-20"), ready("2018-12-31 10:00")],
        now="2019-01-02 09:00",
        liable="2018-12-31",
        total="9632",
    ),
    Row(
        law="§ 13: the day of now is not charged yet",
        events=[*BEFORE, READY],
        now="2024-03-01 23:59:59",
        liable="2024-03-01",
        days="",
        total="0",
    ),
    Row(
        law="§ 8 met after the notice: liable from the next day that begins with it",
        events=[ADMITTED, READY, told("care-needs", "2024-03-02 10:00", accepted_at="2024-03-02 10:01")],
        now="2024-03-05 09:00",
        liable="2024-03-03",
        days="2024-03-03..2024-03-04",
    ),
    Row(
        law="term late_early_notice void: an early notice after its 24 hours voids",
        events=[ADMITTED, told("care-needs", "2024-02-27 08:00", accepted_at="2024-02-27 08:00:01"), READY],
        now="2024-03-05 09:00",
        terms={"late_early_notice": "void"},
        liable=None,
        days="",
        says=("in time",),
    ),
    Row(
        law="term late_early_notice void: at the last second it does not void",
        events=[ADMITTED, told("care-needs", "2024-02-27 07:00", accepted_at="2024-02-27 08:00:00"), READY],
        now="2024-03-05 09:00",
        terms={"late_early_notice": "void"},
        liable="2024-03-01",
    ),
    Row(
        law="term late_early_notice void: a need that showed later moves no time of payment law",
        events=[
            ADMITTED,
            told("need-identified", "2024-02-28 10:00"),
            told("care-needs", "2024-02-28 11:00", accepted_at="2024-02-28 11:05"),
            READY,
        ],
        now="2024-03-05 09:00",
        terms={"late_early_notice": "void"},
        liable=None,
        days="",
        says=("it was due Tuesday 2024-02-27 08:00:00",),
        state={"early-notice": "met"},
    ),
    Row(
        law="without that term a late early notice does not void (unsettled)",
        events=[ADMITTED, told("care-needs", "2024-02-27 08:00", accepted_at="2024-02-27 08:00:01"), READY],
        now="2024-03-05 09:00",
        liable="2024-03-01",
    ),
    Row(
        law="term grace of 24 hours: the day after counts first",
        events=[*BEFORE, READY],
        now="2024-03-04 09:00",
        terms={"grace": "PT24H"},
        liable="2024-03-02",
        days="2024-03-02..2024-03-03",
        total="11490",
    ),
    Row(
        law="term grace of 24 hours: able within it is nothing to pay",
        events=[*BEFORE, READY, answer("2024-03-02 09:59", "can-receive")],
        now="2024-03-10 09:00",
        terms={"grace": "PT24H"},
        liable=None,
        total="0",
    ),
    Row(
        law="term payment_requires_summary: no summary, no payment",
        events=[*BEFORE, READY, CAN],
        now="2024-03-10 09:00",
        terms={"payment_requires_summary": True},
        liable=None,
        total="0",
        says=("no discharge summary has been sent (forskrift 2011-11-18 nr 1115 § 12)",),
    ),
    Row(
        law="term payment_requires_summary: sent at the discharge it lets the days stand",
        events=[
            *BEFORE,
            READY,
            CAN,
            told("discharged", "2024-03-04 12:00"),
            told("discharge-summary", "2024-03-04 12:00"),
        ],
        now="2024-03-10 09:00",
        terms={"payment_requires_summary": True},
        days="2024-03-01..2024-03-03",
        total="17235",
    ),
    Row(
        law="without that term a missing summary blocks nothing",
        events=[*BEFORE, READY, CAN, told("discharged", "2024-03-04 12:00")],
        now="2024-03-20 09:00",
        total="17235",
    ),
    Row(
        law="term receipt_counts_by delivered: the transport receipt's day counts",
        events=[
            *BEFORE,
            told(
                "ready-for-discharge",
                "2024-03-01 23:00",
                delivered_at="2024-03-01 23:30",
                accepted_at="2024-03-02 00:10",
            ),
        ],
        now="2024-03-03 09:00",
        terms={"receipt_counts_by": "delivered"},
        liable="2024-03-01",
        days="2024-03-01..2024-03-02",
    ),
    Row(
        law="process 4: by that term too, a missing application receipt is not received: no payment",
        events=[*BEFORE, told("ready-for-discharge", "2024-03-01 23:00", delivered_at="2024-03-01 23:30")],
        now="2024-03-03 09:00",
        terms={"receipt_counts_by": "delivered"},
        liable=None,
        absent=("payment-start", "answer"),
        total="0",
        says=("no positive receipt",),
    ),
    Row(
        law="process 4: by that term the early notice counts by its delivery as well",
        events=[
            ADMITTED,
            told(
                "care-needs",
                "2024-02-27 07:00",
                delivered_at="2024-02-27 08:00:00",
                accepted_at="2024-02-27 09:00",
            ),
            READY,
        ],
        now="2024-03-03 09:00",
        terms={"receipt_counts_by": "delivered", "late_early_notice": "void"},
        liable="2024-03-01",
        state={"early-notice": "met"},
    ),
    Row(
        law="without that term the same early notice is late, and void where lateness voids",
        events=[
            ADMITTED,
            told(
                "care-needs",
                "2024-02-27 07:00",
                delivered_at="2024-02-27 08:00:00",
                accepted_at="2024-02-27 09:00",
            ),
            READY,
        ],
        now="2024-03-03 09:00",
        terms={"late_early_notice": "void"},
        liable=None,
        state={"early-notice": "met-late"},
    ),
    Row(
        law="process 8: a need denied before the ready notice does not close the question that it asks",
        events=[
            ADMITTED,
            told("no-municipal-need", "2024-02-26 10:00"),
            told("need-identified", "2024-02-28 10:00"),
            told("care-needs", "2024-02-28 12:00", accepted_at="2024-02-28 12:05"),
            READY,
        ],
        now="2024-03-01 11:00",
        state={"answer": "open"},
    ),
    Row(
        law="§ 13: a repeated notice that first says psychiatric does not start anew",
        events=[*BEFORE, READY, ready("2024-03-03 10:00", psychiatric=True)],
        now="2024-03-05 09:00",
        liable="2024-03-01",
        days="2024-03-01..2024-03-04",
    ),
    Row(
        law="process 8: no municipal need closes the question and the discharge report",
        events=[
            *BEFORE,
            READY,
            told("no-municipal-need", "2024-03-01 11:00"),
            told("discharged", "2024-03-01 15:00"),
        ],
        now="2024-03-10 09:00",
        state={"answer": "void", "discharge-report": "void"},
    ),
    Row(
        law="term receipt_counts_by: without it the application receipt's day counts",
        events=[
            *BEFORE,
            told(
                "ready-for-discharge",
                "2024-03-01 23:00",
                delivered_at="2024-03-01 23:30",
                accepted_at="2024-03-02 00:10",
            ),
        ],
        now="2024-03-03 09:00",
        liable="2024-03-02",
    ),
]

ENDS = [
    Row(
        law=f"process 14: a span ends before the day of {what}",
        events=[*BEFORE, READY, end],
        now="2024-03-20 09:00",
        days="2024-03-01..2024-03-03",
        total="17235",
    )
    for what, end in [
        ("the word that it can receive", CAN),
        (
            "a date from which it can receive",
            answer("2024-03-02 09:00", "can-receive", receive_from="2024-03-04"),
        ),
        ("discharge", told("discharged", "2024-03-04 00:00:00")),
        ("death", told("deceased", "2024-03-04 23:59:59")),
        ("withdrawal", told("readiness-withdrawn", "2024-03-04 07:00")),
        ("leaving against advice", told("left-against-advice", "2024-03-04 07:00")),
    ]
] + [
    Row(
        law="process 14: the first of several ends counts",
        events=[
            *BEFORE,
            READY,
            told("discharged", "2024-03-06 12:00"),
            CAN,
            told("deceased", "2024-03-08 10:00"),
        ],
        now="2024-03-20 09:00",
        days="2024-03-01..2024-03-03",
    ),
    Row(
        law="process 14: expected is not ready: not known yet goes on being charged",
        events=[*BEFORE, READY, answer("2024-03-01 11:00", "not-known", receive_from="2024-03-02")],
        now="2024-03-04 09:00",
        days="2024-03-01..2024-03-03",
    ),
    Row(
        law="process 14: can receive later means cannot until then",
        events=[*BEFORE, READY, answer("2024-03-01 11:00", "can-receive", receive_from="2024-03-06")],
        now="2024-03-04 09:00",
        days="2024-03-01..2024-03-03",
        state={"answer": "met"},
    ),
    Row(
        law="process 14: can receive from that same day is nothing to pay",
        events=[*BEFORE, READY, answer("2024-03-01 11:00", "can-receive", receive_from="2024-03-01")],
        now="2024-03-04 09:00",
        liable=None,
        total="0",
    ),
    Row(
        law="process 14: a date put off before it comes is the date that counts",
        events=[
            *BEFORE,
            READY,
            answer("2024-03-01 11:00", "can-receive", receive_from="2024-03-03"),
            answer("2024-03-02 11:00", "can-receive", receive_from="2024-03-05"),
        ],
        now="2024-03-10 09:00",
        days="2024-03-01..2024-03-04",
    ),
    Row(
        law="id682786: after a withdrawal earlier days stand, and a new notice opens a second span",
        events=[
            *BEFORE,
            READY,
            told("readiness-withdrawn", "2024-03-03 08:00"),
            ready("2024-03-06 10:00"),
            answer("2024-03-08 10:00", "can-receive"),
        ],
        now="2024-03-10 09:00",
        liable="2024-03-01",
        days="2024-03-01..2024-03-02 2024-03-06..2024-03-07",
        total="22980",
    ),
    Row(
        law="id682786: withdrawn and given anew on one day, that day is charged once",
        events=[*BEFORE, READY, told("readiness-withdrawn", "2024-03-03 08:00"), ready("2024-03-03 14:00")],
        now="2024-03-05 09:00",
        days="2024-03-01..2024-03-04",
        total="22980",
    ),
    Row(
        law="§ 13: withdrawn on its own day: nothing",
        events=[*BEFORE, READY, told("readiness-withdrawn", "2024-03-01 18:00")],
        now="2024-03-05 09:00",
        liable=None,
        total="0",
        state={"payment-start": "void"},
    ),
    Row(
        law="§ 13: an answer to the first notice does not answer the second",
        events=[
            *BEFORE,
            READY,
            answer("2024-03-01 12:00", "can-receive"),
            told("readiness-withdrawn", "2024-03-01 18:00"),
            ready("2024-03-06 10:00"),
        ],
        now="2024-03-08 09:00",
        days="2024-03-06..2024-03-07",
        state={"answer": ["met", "missed"]},
    ),
    Row(
        law="a repeated ready notice does not start anew",
        events=[*BEFORE, READY, ready("2024-03-02 10:00")],
        now="2024-03-04 09:00",
        days="2024-03-01..2024-03-03",
    ),
]

SILENCE = [
    Row(
        law="process 13: an unclassified answer withholds the days that rest on silence",
        events=[*BEFORE, READY, answer("2024-03-02 11:00", "unclassified")],
        now="2024-03-05 09:00",
        liable="2024-03-01",
        days="",
        total="0",
        says=("4 days are withheld", "not been classified"),
        state={"payment-start": "open"},
    ),
    Row(
        law="process 13: one day withheld is told as one",
        events=[*BEFORE, READY, answer("2024-03-01 11:00", "unclassified")],
        now="2024-03-02 09:00",
        days="",
        says=("1 day is withheld, because it rests on silence",),
    ),
    Row(
        law="process 13: once a person has read a no in it, the days are charged",
        events=[
            *BEFORE,
            READY,
            answer("2024-03-02 11:00", "unclassified"),
            answer("2024-03-04 11:00", "cannot-receive"),
        ],
        now="2024-03-05 09:00",
        days="2024-03-01..2024-03-04",
    ),
    Row(
        law="process 13: what was expressly refused before the unread answer stands",
        events=[
            *BEFORE,
            READY,
            answer("2024-03-01 11:00", "cannot-receive"),
            answer("2024-03-03 11:00", "unclassified"),
        ],
        now="2024-03-05 09:00",
        days="2024-03-01..2024-03-02",
        says=("2 days are withheld",),
    ),
    Row(
        law="§ 13: expressly unable is charged",
        events=[*BEFORE, READY, answer("2024-03-01 11:00", "cannot-receive")],
        now="2024-03-03 09:00",
        days="2024-03-01..2024-03-02",
    ),
    Row(
        law="§ 13: not known yet is charged",
        events=[*BEFORE, READY, answer("2024-03-01 11:00", "not-known")],
        now="2024-03-03 09:00",
        days="2024-03-01..2024-03-02",
    ),
    Row(
        law="process 16: beyond control is a claim: the days stand, contested from the day of the claim",
        events=[*BEFORE, READY, told("beyond-control", "2024-03-02 09:00")],
        now="2024-03-04 09:00",
        days="2024-03-01..2024-03-03",
        contested="2024-03-02..2024-03-03",
        total="17235",
        says=("beyond its control, Saturday 2024-03-02 09:00:00 (forskrift 2011-11-18 nr 1115 § 11)",),
    ),
    Row(
        law="process 14: after a withdrawal an unread answer keeps nothing open",
        events=[
            *BEFORE,
            READY,
            answer("2024-03-02 11:00", "unclassified"),
            told("readiness-withdrawn", "2024-03-03 10:00"),
        ],
        now="2024-03-05 09:00",
        state={"payment-start": "void"},
        says=("2 days are withheld",),
    ),
    Row(
        law="process 9: after death an unread answer keeps nothing open",
        events=[
            *BEFORE,
            READY,
            answer("2024-03-02 11:00", "unclassified"),
            told("deceased", "2024-03-03 10:00"),
        ],
        now="2024-03-05 09:00",
        state={"payment-start": "void"},
    ),
]

ANNOUNCED = [
    Row(
        law="process 15: the start is the day that the notice names, where it lies ahead",
        events=[*BEFORE, ready("2024-03-01 10:00", ready="2024-03-05")],
        now="2024-03-07 09:00",
        liable="2024-03-05",
        days="2024-03-05..2024-03-06",
    ),
    Row(
        law="process 15: the start is the receipt, where the named day lies behind",
        events=[*BEFORE, ready("2024-03-05 10:00", ready="2024-03-01")],
        now="2024-03-07 09:00",
        liable="2024-03-05",
        days="2024-03-05..2024-03-06",
    ),
    Row(
        law="process 15: an estimate decides no more than a plain day",
        events=[*BEFORE, ready("2024-03-01 10:00", ready="2024-03-05", estimate=True)],
        now="2024-03-04 23:59:59",
        days="",
        total="0",
    ),
    Row(
        law="process 15: able by the announced day is nothing to pay",
        events=[
            *BEFORE,
            ready("2024-03-01 10:00", ready="2024-03-05"),
            answer("2024-03-03 10:00", "can-receive", receive_from="2024-03-05"),
        ],
        now="2024-03-10 09:00",
        liable=None,
        total="0",
    ),
    Row(
        law="process 15: withdrawn before the announced day: nothing",
        events=[
            *BEFORE,
            ready("2024-03-01 10:00", ready="2024-03-05"),
            told("readiness-withdrawn", "2024-03-04 10:00"),
        ],
        now="2024-03-10 09:00",
        liable=None,
        total="0",
    ),
]

WHO = [
    Row(
        law="process 8: where another municipality becomes responsible, it owes from that date",
        events=[
            told("admitted", "2024-02-26 08:00", receiver="municipality:Lærdal"),
            told(
                "care-needs",
                "2024-02-26 09:00",
                accepted_at="2024-02-26 09:05",
                receiver="municipality:Lærdal",
            ),
            ready("2024-03-01 10:00", receiver="municipality:Lærdal"),
            told("responsible-municipality-changed", "2024-03-03 10:00", receiver="municipality:Årdal"),
            told("discharged", "2024-03-05 10:00"),
        ],
        now="2024-03-10 09:00",
        days="2024-03-01..2024-03-04",
        debtors=("municipality:Lærdal", "municipality:Lærdal", "municipality:Årdal", "municipality:Årdal"),
        total="22980",
    ),
    Row(
        law="oppholdskommune: two are told, and one of them owes each day once",
        events=[
            told("admitted", "2024-02-26 08:00", receiver=["municipality:Lærdal", "municipality:Årdal"]),
            told(
                "care-needs",
                "2024-02-26 09:00",
                accepted_at="2024-02-26 09:05",
                receiver=["municipality:Lærdal", "municipality:Årdal"],
            ),
            ready("2024-03-01 10:00", receiver=["municipality:Lærdal", "municipality:Årdal"]),
        ],
        now="2024-03-03 09:00",
        days="2024-03-01..2024-03-02",
        total="11490",
        says=("is taken for the responsible one of 2 municipalities that were told",),
    ),
]

TO_LAERDAL = [
    told("admitted", "2024-02-26 08:00", receiver="municipality:Lærdal"),
    told("care-needs", "2024-02-26 09:00", accepted_at="2024-02-26 09:05", receiver="municipality:Lærdal"),
    ready("2024-03-01 10:00", receiver="municipality:Lærdal"),
]
MOVED = told("responsible-municipality-changed", "2024-03-03 10:00", receiver="municipality:Årdal")
TO_AARDAL = [
    told("care-needs", "2024-03-03 10:05", accepted_at="2024-03-03 10:06", receiver="municipality:Årdal"),
    ready("2024-03-03 10:10", receiver="municipality:Årdal"),
]
SPLIT = ("municipality:Lærdal", "municipality:Lærdal", "municipality:Årdal", "municipality:Årdal")

WHO += [
    Row(
        law="process 8: the new one gets the full set, and the days before stay with the first",
        events=[*TO_LAERDAL, MOVED, *TO_AARDAL, told("discharged", "2024-03-05 10:00")],
        now="2024-03-10 09:00",
        liable="2024-03-01",
        debtors=SPLIT,
        total="22980",
        says=("municipality:Årdal is responsible from Sunday 2024-03-03",),
    ),
    Row(
        law="process 8: withdrawn at the old one and sent to the new one: the same days",
        events=[
            *TO_LAERDAL,
            told("readiness-withdrawn", "2024-03-03 09:59", receiver="municipality:Lærdal"),
            MOVED,
            *TO_AARDAL,
            told("discharged", "2024-03-05 10:00"),
        ],
        now="2024-03-10 09:00",
        liable="2024-03-01",
        debtors=SPLIT,
        total="22980",
    ),
    Row(
        law="process 14: the new one's word that it can receive ends the span",
        events=[*TO_LAERDAL, MOVED, answer("2024-03-05 09:00", "can-receive", sender="municipality:Årdal")],
        now="2024-03-10 09:00",
        debtors=SPLIT,
        total="22980",
    ),
    Row(
        law="process 14: so does its word where it was told as well",
        events=[
            *TO_LAERDAL,
            MOVED,
            *TO_AARDAL,
            answer("2024-03-05 09:00", "can-receive", sender="municipality:Årdal"),
        ],
        now="2024-03-10 09:00",
        debtors=SPLIT,
        state={"answer municipality:Lærdal": "missed", "answer municipality:Årdal": "met-late"},
    ),
    Row(
        law="process 14: the word of one that is not responsible yet ends nothing",
        events=[
            *TO_LAERDAL,
            answer("2024-03-02 09:00", "can-receive", sender="municipality:Årdal"),
            MOVED,
            told("discharged", "2024-03-05 10:00"),
        ],
        now="2024-03-10 09:00",
        debtors=SPLIT,
    ),
    Row(
        law="process 16: who owes a day is who can claim that it was beyond control",
        events=[
            *TO_LAERDAL,
            told("beyond-control", "2024-03-01 12:00", sender="municipality:Årdal"),
            MOVED,
            told("discharged", "2024-03-05 10:00"),
        ],
        now="2024-03-10 09:00",
        debtors=SPLIT,
        contested="2024-03-03..2024-03-04",
        says=("beyond its control",),
    ),
]

OUT = told("discharged", "2024-03-04 14:00")

DISCHARGE = (
    [
        Row(
            law=f"Utskrivningsrapport v1.6: on the day of discharge: sent {sent} is {state}",
            events=[*BEFORE, READY, OUT, told("discharge-report", sent)],
            now="2024-03-10 09:00",
            due={"discharge-report": "2024-03-04 23:59:59"},
            state={"discharge-report": state},
        )
        for sent, state in [("2024-03-04 23:59:59", "met"), ("2024-03-05 00:00:00", "met-late")]
    ]
    + [
        Row(
            law=f"§ 45 a: the summary {sent}: with the patient {along}, in a day {goal}, in seven {seven}",
            events=[*BEFORE, READY, OUT, told("discharge-summary", sent)],
            now="2024-03-20 09:00",
            due={"discharge-summary-goal": "2024-03-05 23:59:59", "discharge-summary": "2024-03-11 23:59:59"},
            state={
                "discharge-summary-with-patient": along,
                "discharge-summary-goal": goal,
                "discharge-summary": seven,
            },
        )
        for sent, along, goal, seven in [
            ("2024-03-04 14:00:00", "met", "met", "met"),
            ("2024-03-04 14:00:01", "met-late", "met", "met"),
            ("2024-03-05 23:59:59", "met-late", "met", "met"),
            ("2024-03-06 00:00:00", "met-late", "met-late", "met"),
            ("2024-03-11 23:59:59", "met-late", "met-late", "met"),
            ("2024-03-12 00:00:00", "met-late", "met-late", "met-late"),
        ]
    ]
    + [
        Row(
            law="HIS 1149 3.5: a death in hospital asks for no discharge report",
            events=[*BEFORE, READY, told("deceased", "2024-03-04 14:00")],
            now="2024-03-20 09:00",
            absent=("discharge-report", "discharge-summary"),
        ),
        Row(
            law="process 9: death after discharge closes the summary",
            events=[*BEFORE, READY, OUT, told("deceased", "2024-03-05 14:00")],
            now="2024-03-20 09:00",
            state={"discharge-report": "void", "discharge-summary": "void"},
        ),
        Row(
            law="the message itself: without a day of its own there is no check-up to follow",
            events=[*BEFORE, OUT, told("discharge-report", "2024-03-04 15:00")],
            now="2024-03-20 09:00",
            absent=("follow-up-check-up",),
        ),
    ]
)

CHECKED = told("discharge-report", "2024-03-04 15:00", follow_up="2024-03-18")

DISCHARGE += [
    Row(
        law=f"the message itself: a check-up on 18 March, followed up {done}: {state}",
        events=[*BEFORE, OUT, CHECKED, told("followed-up", done)],
        now="2024-03-25 09:00",
        due={"follow-up-check-up": "2024-03-18 23:59:59"},
        state={"follow-up-check-up": state},
    )
    for done, state in [("2024-03-18 23:59:59", "met"), ("2024-03-19 00:00:00", "met-late")]
]
DISCHARGE += [
    Row(
        law="the message itself: a check-up that nobody has followed up",
        events=[*BEFORE, OUT, CHECKED],
        now="2024-03-19 00:00:00",
        state={"follow-up-check-up": "missed"},
    ),
    Row(
        law="process 9: after death nobody is called to a check-up",
        events=[*BEFORE, OUT, CHECKED, told("deceased", "2024-03-10 10:00")],
        now="2024-03-11 09:00",
        state={"follow-up-check-up": "void"},
    ),
]


@rows([*EARLY_NOTICE, *REPORT, *ANSWER, *PAYMENT, *ENDS, *SILENCE, *ANNOUNCED, *WHO, *DISCHARGE])
def test_norway(row):
    check("norway", "Europe/Oslo", row)


@pytest.mark.parametrize(
    ("year", "price"),
    [
        (2012, 4000),
        (2014, 4255),
        (2015, 4387),
        (2016, 4505),
        (2017, 4622),
        (2018, 4747),
        (2019, 4885),
        (2020, 5036),
        (2021, 5167),
        (2022, 5306),
        (2023, 5508),
        (2024, 5745),
    ],
)
def test_norway_a_day_costs_what_the_directorate_s_table_says_for_its_year(year, price):
    check(
        "norway",
        "Europe/Oslo",
        Row(
            law="§ 13",
            events=[*stay(f"{year}-05-02"), ready(f"{year}-05-06 10:00")],
            now=f"{year}-05-07 09:00",
            total=str(price),
        ),
    )
