"""A person says what a municipality's free text means: it becomes an answer from the time when it was sent.

Until then *answered: unclassified* suspends "silence counts as no", and nothing goes into the ledger
(HISD 80806 9.4). What the person says corrects the message, and may be corrected by the next person.
"""

from dataclasses import replace
from datetime import date, datetime, timedelta

from sqlalchemy import Connection

from adapter.cases import Cases
from adapter.discharge.case import Case, Entry
from adapter.discharge.notices import YEARS, AnswerValue, Notice, Standing
from adapter.discharge.occasions import thread
from adapter.errors import NotFound
from adapter.phrases import Code, Phrase, dated, phrase
from adapter.store import cases as rows
from adapter.store import messages
from adapter.store.statements import Row
from adapter.subscriptions import Subscriptions

_NEXT = timedelta(microseconds=1)
"""How long after what it corrects a classification counts as told: it is true from when that was sent."""


def classify(
    tx: Connection,
    cases: Cases,
    subscriptions: Subscriptions,
    message: int,
    answer: AnswerValue,
    now: datetime,
    *,
    new_id: str,
    by: str,
    receive_from: date | None = None,
) -> int:
    """Replace the unclassified answer in message `message` by `answer`; returns the case's id.

    `receive_from` is the day from when the municipality can receive the patient, where it says so. Raises
    NotFound where there is no such message, or it is no answer that waits to be classified.
    """
    row = messages.get(tx, message)
    if row is None:
        raise NotFound(
            phrase(
                "there is no message {message}; `discharge-adapter case ID` lists those of a case",
                message=str(message),
            )
        )
    if receive_from is not None and receive_from.year not in YEARS:
        raise NotFound(
            phrase(
                "{day} is not in {first} to {last}; write the day that was meant",
                day=dated(receive_from, "%Y-%m-%d"),
                first=str(YEARS[0]),
                last=str(YEARS[-1]),
            )
        )
    case_row = rows.get(tx, row["case_id"]) if row["case_id"] is not None else None
    if case_row is None:
        outcome = Code("outcome", row["outcome"], row["outcome"])
        raise _no_answer(message, phrase("it was {outcome} and belongs to no case", outcome=outcome))
    rows.alone_with(tx, case_row["patient"])
    entry, case = _standing(cases, tx, case_row, row)
    told = _said(case, entry, answer, receive_from, new_id)
    patient = case_row["patient"]
    home = cases.learn(tx, patient, [(told, None)], now)[told.sender, told.message_id]
    what = _classified(answer, receive_from)
    rows.note(tx, at=now, subject=f"message {message}", what=what, case_id=home, by=by)
    subscriptions.told(tx, told, case_id=home, patient=patient, now=now)
    return home


def _standing(cases: Cases, tx: Connection, case_row: Row, row: Row) -> tuple[Entry, Case]:
    """The entry of the message's notice with its case; NotFound unless it is an answer in free text."""
    key, number = (row["sender"], row["message_id"]), row["id"]
    for _, case in cases.folded(tx, case_row["patient"]):
        entry = next((e for e in case.entries if (e.notice.sender, e.notice.message_id) == key), None)
        if entry is None:
            continue
        if entry.notice.answer is not AnswerValue.UNCLASSIFIED:
            raise _no_answer(number, _tells(entry.notice))
        if entry.void:
            raise _no_answer(number, phrase("its sender has cancelled it"))
        return entry, case
    outcome = Code("outcome", row["outcome"], row["outcome"])
    raise _no_answer(number, phrase("it was {outcome} and tells nothing of a case", outcome=outcome))


def _said(case: Case, entry: Entry, answer: AnswerValue, receive_from: date | None, new_id: str) -> Notice:
    """What the person says, as a correction of the notice that follows all that has been said of it."""
    notice = entry.notice
    last = entry
    if entry.replaced_by is not None:
        by_id = {e.notice.message_id: e for e in case.entries if e.notice.sender == notice.sender}
        last = by_id[entry.replaced_by]
        if last.notice.answer is AnswerValue.UNCLASSIFIED:
            raise NotFound(
                phrase(
                    "its sender has corrected it by message {id}; classify that one",
                    id=last.notice.message_id,
                )
            )
    latest = max(e.notice.sent_at for e in thread(case, last))
    return replace(
        notice,
        message_id=new_id,
        sent_at=latest + _NEXT,
        answer=answer,
        receive_from=receive_from,
        standing=Standing.CORRECTION,
        refers_to=notice.message_id,
    )


def _classified(answer: AnswerValue, receive_from: date | None) -> Phrase:
    said = Code("answer", answer.value, answer.value)
    if receive_from is None:
        return phrase("classified as {answer}, by hand", answer=said)
    day = dated(receive_from, "%Y-%m-%d")
    return phrase("classified as {answer} from {day}, by hand", answer=said, day=day)


def _tells(notice: Notice) -> Phrase:
    kind = Code("notice", notice.kind.value, notice.kind.value)
    if notice.answer is None:
        return phrase("it tells {notice}", notice=kind)
    said = Code("answer", notice.answer.value, notice.answer.value)
    return phrase("it tells {notice} ({answer})", notice=kind, answer=said)


def _no_answer(message: int, why: Phrase) -> NotFound:
    return NotFound(
        phrase(
            "message {message} is no answer that waits to be classified: {why}",
            message=str(message),
            why=why,
        )
    )
