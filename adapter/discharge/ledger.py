"""The payment ledger: what each charged day is booked as, and what a later truth changes in it.

Days are recomputed from the notices; a month that is closed stays as it was booked. What a later message
changes in it is booked beside it: a reversal of the entry that no longer holds, and a new one. Nothing is
changed in silence, and the sum of all entries of a day is what is owed for it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any

from adapter.discharge.payment import Liability
from adapter.discharge.wording import said


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


Key = tuple[int, date, str]
"""Case, day and payee."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One line: a day of a case, who owes it to whom, and why. `amount` is None while no price is known."""

    case_id: int
    day: date
    debtor: str
    payee: str
    amount: Decimal | None
    currency: str
    why: str  # in English; the case's page says it in both languages
    kind: EntryKind = EntryKind.CHARGE
    state: EntryState = EntryState.OPEN
    id: int | None = None  # once it is booked
    reverses: int | None = None

    @property
    def key(self) -> Key:
        """A day of a case is owed once to each payee."""
        return self.case_id, self.day, self.payee


@dataclass(frozen=True, kw_only=True, slots=True)
class Total:
    """What a municipality owes a payee by a statement; the amount is None where a price is unknown."""

    debtor: str
    payee: str
    currency: str
    days: int  # charges less reversals
    amount: Decimal | None


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
                    why=said(day.contested or day.why),
                    state=EntryState.DISPUTED if day.contested else EntryState.OPEN,
                )
                if entry.debtor:
                    made.setdefault(entry.key, entry)
    return list(made.values())


def corrections(booked: Iterable[Entry], computed: Iterable[Entry]) -> list[Entry]:
    """What must be booked so that the standing entries say what the notices say now.

    `booked` are all entries of the days in question. A waived entry is reversed once, and not charged again.
    """
    standing, settled = _standing(booked)
    wanted = {entry.key: entry for entry in computed}
    made: list[Entry] = []
    for key, entry in standing.items():
        if entry.state is EntryState.WAIVED:
            made.append(_reversal(entry, f"waived: {entry.why}"))
        elif key not in wanted:
            made.append(_reversal(entry, "the notices no longer give this day"))
        elif _differs(entry, wanted[key]):
            made += [_reversal(entry, f"corrected: {wanted[key].why}"), wanted[key]]
    made += [entry for key, entry in wanted.items() if key not in standing and key not in settled]
    return sorted(made, key=lambda e: (e.day, e.case_id, e.payee, e.kind is EntryKind.CHARGE))


def _standing(
    booked: Iterable[Entry],
) -> tuple[dict[Key, Entry], set[Key]]:
    """The charges that are not reversed, and the days whose charge was waived for good."""
    listed = list(booked)
    reversed_ = {entry.reverses for entry in listed if entry.kind is EntryKind.REVERSAL}
    charges = [entry for entry in listed if entry.kind is EntryKind.CHARGE]
    standing = {entry.key: entry for entry in charges if entry.id not in reversed_}
    waived = {e.key for e in charges if e.state is EntryState.WAIVED and e.id in reversed_}
    return standing, waived


def _differs(booked: Entry, computed: Entry) -> bool:
    """A price that was unknown and is known now is a difference; one that has been forgotten is none."""
    known = computed.amount is not None and booked.amount != computed.amount
    return booked.debtor != computed.debtor or known


def _reversal(entry: Entry, why: str) -> Entry:
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
            days=sum(1 if e.kind is EntryKind.CHARGE else -1 for e in group),
            amount=_sum(e.amount for e in group),
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
        "why": entry.why,
    }
