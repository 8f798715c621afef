"""The ledger of a region: a statement a month, frozen when the month is closed.

An open month is put together anew each time, of what is kept of each case (`owing`). Closing books its days
and its means, and what has changed since in those of months that were closed before: a reversal and a new
entry, in the statement of the month that is closed now.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from sqlalchemy import Connection

from adapter.cases import Cases
from adapter.discharge.agreement import Agreement
from adapter.discharge.average import Added, means
from adapter.discharge.counting import first_second
from adapter.discharge.ledger import (
    Entry,
    EntryKind,
    EntryState,
    Total,
    corrections,
    monthly,
    place,
    totals,
)
from adapter.discharge.notices import YEARS
from adapter.errors import NotFound
from adapter.owing import Owed, Owing
from adapter.phrases import Code, phrase
from adapter.store import cases as case_rows
from adapter.store import ledger as rows
from adapter.store import owed
from adapter.store.retention import kept_from


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """What is owed for a month, as it was booked or as it would be booked now."""

    month: str
    closed_at: datetime | None
    lines: tuple[Entry, ...]

    @property
    def totals(self) -> list[Total]:
        """By municipality and payee: the sums of the lines."""
        return totals(self.lines)


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """The payments of a region's cases."""

    cases: Cases

    def statement(self, tx: Connection, month: str, now: datetime) -> Statement:
        """The statement of a month (2024-03): as it was booked, or as it stands now."""
        closed = rows.closed(tx)
        if month in closed:
            return Statement(month=month, closed_at=closed[month], lines=tuple(rows.of_month(tx, month)))
        return Statement(month=month, closed_at=None, lines=tuple(self._open(tx, month, set(closed), now)))

    def close(self, tx: Connection, month: str, now: datetime, *, by: str | None) -> Statement:
        """Book a month that is over. NotFound where it is closed already, or is not over yet."""
        rows.alone(tx)
        if month in rows.closed(tx):
            raise NotFound(
                phrase(
                    "{month} is closed already; what has changed since is booked with a later month",
                    month=month,
                )
            )
        _, last = bounds(month)
        if now.astimezone(self.cases.agreement.zone).date() <= last:
            raise NotFound(
                phrase("{month} is not over yet; close it when its last day has ended", month=month)
            )
        made = self.statement(tx, month, now)
        rows.close(tx, month, made.lines, now, by)
        what = phrase("closed")
        case_rows.note(tx, at=now, subject=f"month {month}", what=what, case_id=None, by=by)
        return self.statement(tx, month, now)

    def settle(
        self, tx: Connection, entry_id: int, state: EntryState, now: datetime, *, by: str | None, why: str
    ) -> Entry:
        """Dispute, uphold or waive a booked charge; waiving is booked as a reversal with the next closing."""
        rows.alone(tx)
        found = rows.entry(tx, entry_id)
        if found is None or found.kind is not EntryKind.CHARGE:
            raise NotFound(
                phrase(
                    "there is no booked charge {charge}; `discharge-adapter payments --month` lists them",
                    charge=str(entry_id),
                )
            )
        if rows.is_reversed(tx, entry_id):
            raise NotFound(
                phrase(
                    "charge {charge} has been reversed already: nothing stands that could be settled",
                    charge=str(entry_id),
                )
            )
        rows.settle(tx, entry_id, state)
        what = phrase(
            "charge {charge} {state}: {why}",
            charge=str(entry_id),
            state=Code("entry-state", state.value, state.value),
            why=why,
        )
        case_rows.note(tx, at=now, subject=f"charge {entry_id}", what=what, case_id=found.case_id, by=by)
        return replace(found, state=state)

    def _open(self, tx: Connection, month: str, closed: set[str], now: datetime) -> list[Entry]:
        """The month's own days and means, and what has changed in those of the closed months."""
        since = kept_from(tx)  # retention may have taken what was booked before
        wanted = {one for one in (month, *closed) if one >= since}
        if not wanted:
            return []
        owing = Owing(cases=self.cases)
        stale, counted = owing.unkept(tx, now)
        lines = self._days(tx, month, wanted, since, stale, counted)
        added = self._added(tx, wanted, stale, counted)
        means_ = [e for e in monthly(means(added, self._agreement)) if month_of(e.day) in wanted]
        lines += corrections([e for e in rows.of_means(tx) if month_of(e.day) >= since], means_)
        return sorted(lines, key=lambda e: (e.debtor, *place(e), e.kind.value))

    def _days(
        self,
        tx: Connection,
        month: str,
        wanted: set[str],
        since: str,
        stale: frozenset[int],
        counted: Mapping[int, Owed],
    ) -> list[Entry]:
        """The month's own days; and of cases whose closed months are booked otherwise, all that is new."""
        booked = rows.booked(tx)
        into = {one: standing for standing, ids in booked.items() for one in ids}
        before = _spans(wanted - {month})
        differing = owed.not_as_booked(tx, before, since) if before else set()
        looked_at = {into.get(one, one) for one in differing} - stale
        days = owed.days_of(tx, looked_at)
        days = {one: days.get(one, []) for one in looked_at}
        days |= {case_id: list(found.days) for case_id, found in counted.items()}
        lines: list[Entry] = []
        for case_id in sorted(days):
            known = rows.of_cases(tx, booked[case_id]) if case_id in booked else []
            stand = [replace(e, case_id=case_id) for e in known if month_of(e.day) >= since]
            lines += corrections(stand, [e for e in days[case_id] if month_of(e.day) in wanted])
        if month in wanted:
            own = owed.days_between(tx, *bounds(month))
            lines += [e for e in own if e.case_id not in stale and e.case_id not in days]
        return lines

    def _added(
        self, tx: Connection, wanted: set[str], stale: frozenset[int], counted: Mapping[int, Owed]
    ) -> list[Added]:
        """What the patients who left in one of these months, or between them, add to the means."""
        if not self._agreement.averages:
            return []
        first, last = bounds(min(wanted))[0], bounds(max(wanted))[1]
        since, until = (first_second(day, self._agreement.zone) for day in (first, last + timedelta(days=1)))
        anew = rows.left(tx, since, until, counted)
        return [
            *owed.shares_of(tx, since, until, stale),
            *(added for case_id in anew for added in counted[case_id].shares),
        ]

    @property
    def _agreement(self) -> Agreement:
        return self.cases.agreement


def bounds(month: str) -> tuple[date, date]:
    """The first and the last day of a month; ValueError where it is none."""
    first = date.fromisoformat(f"{month}-01")
    if first.year not in YEARS:
        raise ValueError(f"{month} is not in {YEARS[0]} to {YEARS[-1]}")
    following = (first + timedelta(days=31)).replace(day=1)
    return first, following - timedelta(days=1)


def _spans(months: Iterable[str]) -> list[tuple[date, date]]:
    """The first and the last days of months, of those that follow each other only once."""
    made: list[tuple[date, date]] = []
    for first, last in sorted(map(bounds, months)):
        if made and made[-1][1] + timedelta(days=1) == first:
            made[-1] = (made[-1][0], last)
        else:
            made.append((first, last))
    return made


def month_of(day: date) -> str:
    """The month of a day, as statements name it."""
    return f"{day:%Y-%m}"
