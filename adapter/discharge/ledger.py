"""The payment ledger: what each charged day, or the mean of a month, is booked as, and what changes in it.

Days are recomputed from the notices; a month that is closed stays as it was booked. What a later message
changes in it is booked beside it: a reversal of the entry that no longer holds, and a new one. Nothing is
changed in silence, and the sum of all entries of a day is what is owed for it.
"""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any

from adapter.discharge.average import Mean, last_day
from adapter.discharge.payment import Liability
from adapter.discharge.wording import phrase_of
from adapter.phrases import Phrase, phrase


class EntryKind(StrEnum):
    """What an entry does."""

    CHARGE = "charge"
    REVERSAL = "reversal"


class EntryState(StrEnum):
    """Where the parties stand on it."""

    OPEN = "open"
    DISPUTED = "disputed"  # somebody says that it is not owed
    UPHELD = "upheld"  # it is owed after all
    WAIVED = "waived"  # it is not asked for; its reversal is booked


Key = tuple[int | tuple[str, str] | None, date, str]
"""Case, day and payee; for the mean of a month, its agreement and municipality in place of the case."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One line: a day of a case, or the mean of a month; who owes it to whom, and why.

    `amount` is None while no price is known.
    """

    case_id: int | None  # None: the mean of a month
    day: date  # of a mean, the last day of its month
    debtor: str
    payee: str
    amount: Decimal | None
    currency: str
    why: Phrase
    kind: EntryKind = EntryKind.CHARGE
    state: EntryState = EntryState.OPEN
    id: int | None = None  # once it is booked
    reverses: int | None = None
    agreement: str | None = None  # of a mean
    days_over: Decimal | None = None  # of a mean: the days above the agreed level

    @property
    def key(self) -> Key:
        """A day of a case is owed once to each payee; so is a month by a municipality's agreement."""
        of = self.case_id if self.agreement is None else (self.agreement, self.debtor)
        return of, self.day, self.payee


@dataclass(frozen=True, kw_only=True, slots=True)
class Total:
    """What a municipality owes a payee by a statement; the amount is None where a price is unknown."""

    debtor: str
    payee: str
    currency: str
    days: int  # of cases: charges less reversals
    amount: Decimal | None
    days_over: Decimal | None = None  # by the means of months; None where there are none


def entries(case_id: int, found: Iterable[Liability]) -> list[Entry]:
    """The charges of a case; a day for which nobody can be named is owed by nobody, and is left out."""
    made: dict[Key, Entry] = {}
    for liability in found:
        for day in liability.days:
            for part in day.parts:
                entry = Entry(
                    case_id=case_id,
                    day=day.date,
                    debtor=day.party or "",
                    payee=part.payee,
                    amount=part.amount,
                    currency=day.currency,
                    why=phrase_of(day.contested or day.why),
                    state=EntryState.DISPUTED if day.contested else EntryState.OPEN,
                )
                if entry.debtor:
                    made.setdefault(entry.key, entry)
    return list(made.values())


def monthly(found: Iterable[Mean]) -> list[Entry]:
    """The line of each month's mean, also where nothing is owed: so everybody sees what the mean was."""
    return [
        Entry(
            case_id=None,
            day=last_day(mean.month),
            debtor=mean.debtor,
            payee=mean.payee,
            amount=mean.amount,
            currency=mean.currency,
            why=phrase("{reasons}", reasons=[phrase_of(one) for one in (mean.why, *mean.remarks)]),
            agreement=mean.agreement,
            days_over=mean.over,
        )
        for mean in found
    ]


def corrections(booked: Iterable[Entry], computed: Iterable[Entry]) -> list[Entry]:
    """What must be booked so that the standing entries say what the notices say now.

    `booked` are all entries of the days in question. A waived entry is reversed once, and not charged again.
    """
    standing, doubled, settled = _standing(booked)
    wanted = {entry.key: entry for entry in computed}
    made = [
        _reversal(entry, phrase("charged twice: two cases have turned out to be one")) for entry in doubled
    ]
    for key, entry in standing.items():
        if entry.state is EntryState.WAIVED:
            made.append(_reversal(entry, phrase("waived: {why}", why=entry.why)))
        elif key not in wanted:
            gone = (
                phrase("the notices no longer give this month")
                if entry.agreement
                else phrase("the notices no longer give this day")
            )
            made.append(_reversal(entry, gone))
        elif _differs(entry, wanted[key]):
            corrected = phrase("corrected: {why}", why=wanted[key].why)
            made += [_reversal(entry, corrected), wanted[key]]
    made += [entry for key, entry in wanted.items() if key not in standing and key not in settled]
    return sorted(made, key=lambda e: (*place(e), e.kind is EntryKind.CHARGE))


def place(entry: Entry) -> tuple[date, int, str, str]:
    """Where an entry stands in a list: the means of a month after the days of its cases."""
    return entry.day, entry.case_id or sys.maxsize, entry.agreement or "", entry.payee


def _standing(
    booked: Iterable[Entry],
) -> tuple[dict[Key, Entry], list[Entry], set[Key]]:
    """The charges that are not reversed, those that stand beside one of the same key, and what was waived."""
    listed = list(booked)
    reversed_ = {entry.reverses for entry in listed if entry.kind is EntryKind.REVERSAL}
    charges = [entry for entry in listed if entry.kind is EntryKind.CHARGE]
    standing: dict[Key, Entry] = {}
    doubled: list[Entry] = []
    for entry in charges:
        if entry.id in reversed_:
            continue
        first = standing.setdefault(entry.key, entry)
        if first is not entry:
            doubled.append(entry)
    waived = {e.key for e in charges if e.state is EntryState.WAIVED and e.id in reversed_}
    return standing, doubled, waived


def _differs(booked: Entry, computed: Entry) -> bool:
    """A price that was unknown and is known now is a difference; one that has been forgotten is none."""
    known = computed.amount is not None and booked.amount != computed.amount
    over = booked.days_over != computed.days_over
    return booked.debtor != computed.debtor or over or known


def _reversal(entry: Entry, why: Phrase) -> Entry:
    return Entry(
        case_id=entry.case_id,
        day=entry.day,
        debtor=entry.debtor,
        payee=entry.payee,
        amount=None if entry.amount is None else -entry.amount,
        currency=entry.currency,
        why=why,
        kind=EntryKind.REVERSAL,
        reverses=entry.id,
        agreement=entry.agreement,
        days_over=None if entry.days_over is None else -entry.days_over,
    )


def totals(lines: Iterable[Entry]) -> list[Total]:
    """What each municipality owes each payee: the sum of the lines, to the øre."""
    groups: dict[tuple[str, str, str], list[Entry]] = {}
    for line in lines:
        groups.setdefault((line.debtor, line.payee, line.currency), []).append(line)
    return [
        Total(
            debtor=debtor,
            payee=payee,
            currency=currency,
            days=sum(1 if e.kind is EntryKind.CHARGE else -1 for e in group if e.days_over is None),
            amount=_sum(e.amount for e in group),
            days_over=_sum(over)
            if (over := [e.days_over for e in group if e.days_over is not None])
            else None,
        )
        for (debtor, payee, currency), group in sorted(groups.items())
    ]


def _sum(amounts: Iterable[Decimal | None]) -> Decimal | None:
    listed = list(amounts)
    known = [amount for amount in listed if amount is not None]
    return sum(known, Decimal()) if len(known) == len(listed) else None


def shown(entry: Entry) -> Mapping[str, Any]:
    """An entry for JSON and CSV."""
    return {
        "id": entry.id,
        "case": entry.case_id,
        "date": entry.day.isoformat(),
        "municipality": entry.debtor,
        "payee": entry.payee,
        "amount": None if entry.amount is None else f"{entry.amount:f}",
        "currency": entry.currency,
        "kind": entry.kind.value,
        "state": entry.state.value,
        "reverses": entry.reverses,
        "agreement": entry.agreement,
        "days_over": None if entry.days_over is None else f"{entry.days_over:f}",
        "why": entry.why,
    }
