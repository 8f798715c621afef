"""A case explained: each deadline and each payment day with the sentence why, ready to be printed as JSON.

Every sentence is said in the reader's language, English where nobody asks for another, and in the language
of the country whose rules hold.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from adapter.discharge.agreement import Agreement
from adapter.discharge.average import place_in_mean
from adapter.discharge.case import Case
from adapter.discharge.deadlines import Deadline, deadlines
from adapter.discharge.payment import Day, Liability, liabilities
from adapter.discharge.readmission import Link
from adapter.discharge.rules import Replaced
from adapter.discharge.sentences import Say, Sentence, of_file
from adapter.discharge.wording import ENGLISH, said

Document = dict[str, Any]


def explained(
    case: Case | None,
    terms: Agreement,
    now: datetime,
    roles: Mapping[str, str] | None,
    language: str = ENGLISH,
) -> Document:
    """The deadlines and the payment of a case as they stand at `now`; None where nothing has happened."""
    tongues = languages(terms, language)
    return {
        "agreement": terms.name,
        "languages": list(tongues),
        "deadlines": [_deadline(d, tongues) for d in deadlines(case, terms, now, roles)] if case else [],
        "payment": _payment(case, terms, now, roles, tongues)
        if case
        else _paid(terms, [], [Say.NOTHING_HAPPENED.of()], tongues),
    }


def following(
    found: Iterable[Link], place: int, ids: Sequence[int], terms: Agreement, language: str = ENGLISH
) -> Document:
    """Which case the one at `place` follows, and which one follows it: its id, the verdict, and why."""
    listed, tongues = tuple(found), languages(terms, language)
    return {
        "follows": next((_link(k, ids[k.earlier], tongues) for k in listed if k.later == place), None),
        "followed_by": next((_link(k, ids[k.later], tongues) for k in listed if k.earlier == place), None),
    }


def _link(link: Link, case_id: int, tongues: Sequence[str]) -> Document:
    return {"case": case_id, "verdict": link.verdict.value, "why": [in_words(link.said, tongues)]}


def in_words(sentence: Sentence, tongues: Iterable[str]) -> dict[str, str]:
    """The sentence by language."""
    return {language: said(sentence, language) for language in tongues}


def languages(terms: Agreement, reader: str = ENGLISH) -> tuple[str, ...]:
    """The reader's first, and the country's own where that is another."""
    own = terms.country.language
    return (reader,) if own == reader else (reader, own)


def _deadline(deadline: Deadline, tongues: Sequence[str]) -> Document:
    return {
        "kind": deadline.kind,
        "actor": deadline.actor,
        "party": deadline.party,
        "about": deadline.about,
        "due_at": deadline.due_at.isoformat(),
        "state": deadline.state.value,
        "basis": deadline.basis,
        "confidence": deadline.confidence,
        "since": deadline.since.isoformat(),
        "settled_at": deadline.settled_at.isoformat() if deadline.settled_at else None,
        "opens_at": deadline.opens_at.isoformat() if deadline.opens_at else None,
        "placement": deadline.placement.name if deadline.placement else None,
        "remind_at": deadline.remind_at.isoformat() if deadline.remind_at else None,
        "reason": deadline.reason or None,
        "why": [in_words(sentence, tongues) for sentence in (deadline.counted, *deadline.remarks)],
        "replaced": [_replaced(r) for r in deadline.replaced],
    }


def _replaced(replaced: Replaced) -> Document:
    return {"agreement": replaced.agreement, "key": replaced.key, "was": replaced.was, "now": replaced.now}


def _payment(
    case: Case, terms: Agreement, now: datetime, roles: Mapping[str, str] | None, tongues: Sequence[str]
) -> Document:
    found = liabilities(case, terms, now, roles)
    if not found:
        return _paid(terms, [], [Say.NO_READY_NOTICE.of()], tongues)
    reasons = [reason for liability in found for reason in liability.reasons]
    reasons += place_in_mean(case, terms, now, roles)
    remarks = dict.fromkeys(said(r) for liability in found for r in liability.remarks)
    by_text = {said(r): r for liability in found for r in liability.remarks}
    return _paid(terms, found, [*reasons, *(by_text[text] for text in remarks)], tongues)


def _paid(
    terms: Agreement, found: Iterable[Liability], reasons: Iterable[Sentence], tongues: Sequence[str]
) -> Document:
    """What is owed; with nothing found, a payment that nothing has come to."""
    payment = terms.country.payment
    days = sorted((day for liability in found for day in liability.days), key=lambda day: day.date)
    amounts = [day.amount for day in days]
    known = [amount for amount in amounts if amount is not None]
    starts = [liability.liable_from for liability in found if liability.liable_from is not None]
    sentences = list(reasons)
    if days and payment.note:
        sentences.append(of_file(payment.note))
    return {
        "liable_from": min(starts).isoformat() if starts else None,
        "days": [_day(day) for day in days],
        "total": _money(sum(known, Decimal())) if len(known) == len(amounts) else None,
        "basis": payment.basis,
        "reasons": [said(sentence) for sentence in sentences],
        "why": [in_words(sentence, tongues) for sentence in sentences],
        "charges": [_charge(day, tongues) for day in days],
    }


def _day(day: Day) -> Document:
    return {"date": day.date.isoformat(), "amount": _money(day.amount), "currency": day.currency}


def _charge(day: Day, tongues: Sequence[str]) -> Document:
    """Who owes whom what for a day, and why."""
    why = [day.why, *([day.contested] if day.contested else [])]
    return {
        "date": day.date.isoformat(),
        "debtor": day.party,
        "parts": [{"payee": part.payee, "amount": _money(part.amount)} for part in day.parts],
        "contested": day.contested is not None,
        "why": [in_words(sentence, tongues) for sentence in why],
    }


def _money(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:f}"
