"""What each case comes to, counted once and kept beside it: its charged days, its share of means.

Whatever a message changes is counted anew a moment later, by a job; so is every case after a change of terms,
and every stay that goes on when a day is over. Whoever asks before that has the case folded for them, so an
answer is never older than the question.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from adapter.cases import Cases
from adapter.discharge.average import Added, shares
from adapter.discharge.case import Case
from adapter.discharge.counting import first_second
from adapter.discharge.ledger import Entry, entries
from adapter.discharge.notices import local_date
from adapter.discharge.payment import liabilities
from adapter.errors import Explained, StoreError
from adapter.phrases import phrase
from adapter.store import cases as case_rows
from adapter.store import ledger, owed

AT_ONCE = 8
"""Patients of one unit of work: so few that a message which comes meanwhile does not wait long."""

_LOOKED_AT = 500  # cases of one unit of work, most of which owe nothing
_FAR = timedelta(days=400)


@dataclass(frozen=True, kw_only=True, slots=True)
class Owed:
    """What a case comes to at an instant."""

    days: tuple[Entry, ...]
    shares: tuple[Added, ...]


class Uncountable(Explained):
    """Cases of a patient cannot be counted; its cause is the fault."""

    def __init__(self, patient: str, case_ids: Collection[int]) -> None:
        super().__init__(
            phrase(
                "the days of these cases cannot be counted, by a fault of the adapter: {cases}; "
                "please report it",
                cases=[str(one) for one in sorted(case_ids)],
            )
        )
        self.patient = patient  # a pseudonym
        self.case_ids = sorted(case_ids)


@dataclass(frozen=True, kw_only=True)
class Owing:
    """The counts of a region's cases."""

    cases: Cases

    def reckon(self, tx: Connection, now: datetime, without: Collection[str] = ()) -> int:
        """Count some cases anew of which nothing is kept that holds; 0 where there are none.

        Those of the patients `without` are left as they are. Raises Uncountable for one whose cases cannot be
        counted, which is a fault of ours.
        """
        by = terms_of(self.cases)
        stale = owed.stale(tx, by, now, _LOOKED_AT, without)
        if not stale:
            return 0
        owing = self._may_owe(tx, stale)
        done = 0
        for patient in sorted({stale[case_id] for case_id in owing})[:AT_ONCE]:
            case_rows.alone_with(tx, patient)
            theirs = {case_id for case_id in owing if stale[case_id] == patient}
            done += len(theirs)
            for case_id, (found, again) in self._counted(tx, patient, theirs, now).items():
                owed.keep(tx, case_id, found.days, found.shares, by=by, now=now, again=again)
                theirs.remove(case_id)
            # what no fact gives owes nothing; left as it was, it would stand before the others for ever
            owed.keep_nothing(tx, theirs, by=by, now=now)
        return done + self._keep_nothing(tx, {i: stale[i] for i in stale.keys() - owing}, by, now)

    def _counted(
        self, tx: Connection, patient: str, wanted: Collection[int], now: datetime
    ) -> dict[int, tuple[Owed, datetime | None]]:
        """What each of these cases of a patient comes to, and from when it is another count."""
        try:
            cases = {i: case for i, case in self.cases.folded(tx, patient) if i in wanted}
            counts = {i: self.of(i, case, now) for i, case in cases.items()}
            return {i: (found, self._again(i, cases[i], found, now)) for i, found in counts.items()}
        except (DBAPIError, StoreError):
            raise
        except Exception as fault:
            raise Uncountable(patient, wanted) from fault

    def _keep_nothing(self, tx: Connection, idle: Mapping[int, str], by: str, now: datetime) -> int:
        """Note of these cases that nothing is owed, as far as no other process tells of them just now."""
        still = {case_id: idle[case_id] for case_id in owed.held(tx, idle)}
        come = self._may_owe(tx, still)  # since the first look
        nothing = still.keys() - come
        owed.keep_nothing(tx, nothing, by=by, now=now)
        return len(nothing)

    def behind(self, tx: Connection, now: datetime, without: Collection[str] = ()) -> bool:
        """Whether there is anything to count, beside the cases of the patients `without`."""
        return bool(owed.stale(tx, terms_of(self.cases), now, 1, without))

    def unkept(self, tx: Connection, now: datetime) -> tuple[frozenset[int], dict[int, Owed]]:
        """The cases of which nothing is kept that holds at `now`; and, counted now, those that may owe."""
        stale = owed.stale(tx, terms_of(self.cases), now)
        owing = self._may_owe(tx, stale)
        made: dict[int, Owed] = {}
        for patient in sorted({stale[case_id] for case_id in owing}):
            theirs = {case_id for case_id in owing if stale[case_id] == patient}
            made |= {i: found for i, (found, _) in self._counted(tx, patient, theirs, now).items()}
        return frozenset(stale), made

    def of(self, case_id: int, case: Case, now: datetime) -> Owed:
        """What a case comes to at `now`."""
        law, roles = self.cases.agreement, self.cases.roles
        days = entries(case_id, liabilities(case, law, now, roles))
        added = (share.added for share in shares(case, law, now, roles)) if law.averages else ()
        return Owed(days=tuple(days), shares=tuple(added))

    def _may_owe(self, tx: Connection, stale: Mapping[int, str]) -> set[int]:
        """Those for which something may be owed, and those for which something is booked."""
        if not stale:
            return set()
        owing = owed.may_owe(tx, stale, left=self.cases.agreement.averages)
        return owing | (ledger.booked(tx).keys() & stale.keys())

    def _again(self, case_id: int, case: Case, found: Owed, now: datetime) -> datetime | None:
        """From when the clock alone makes it another count; None where it never does.

        A count looks at `now` to see what has been told or has happened by then, and by days. So it stays
        where nothing lies ahead and the stay is over, unless a far later day shows that it does not.
        """
        ahead = [at for at in _instants(case) if at > now]
        over = case.discharged_at or case.died_at
        if not ahead and over is not None and over <= now and self.of(case_id, case, now + _FAR) == found:
            return None
        zone = self.cases.agreement.zone
        return min([first_second(local_date(now, zone) + timedelta(days=1), zone), *ahead])


def _instants(case: Case) -> Iterator[datetime]:
    """Every instant at which something has been told, or has happened."""
    for entry in case.entries:
        yield entry.at
        yield entry.notice.sent_at
        yield from (e.at for e in entry.evidence)


# --- by which terms ---------------------------------------------------------------------------------------


def terms_of(cases: Cases) -> str:
    """A digest of all that a count depends on beside the case: agreement, roles, and the code of the law."""
    if "terms" not in cases.known_by:
        said = f"{_code()} {_said(cases.agreement)} {_said(cases.roles)}"
        cases.known_by["terms"] = hashlib.sha256(said.encode()).hexdigest()
    return cases.known_by["terms"]


@cache
def _code() -> str:
    """A digest of the program's own files about the law, and which edition of the holidays it uses."""
    digest = hashlib.sha256(metadata.version("holidays").encode())
    for file in _files(resources.files("adapter.discharge")):
        digest.update(file.name.encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _files(folder: Traversable) -> Iterator[Traversable]:
    for one in sorted(folder.iterdir(), key=lambda file: file.name):
        if one.is_dir():
            if one.name != "__pycache__":
                yield from _files(one)
        else:
            yield one


def _said(value: Any) -> str:
    """The same text for the same value in every process; TypeError for what has no such text."""
    match value:
        case Enum():
            return repr(value.value)
        case None | bool() | int() | str() | Decimal() | date() | time() | timedelta():
            return repr(value)
        case ZoneInfo():
            return value.key
        case Mapping():
            return f"{{{', '.join(sorted(f'{_said(k)}: {_said(v)}' for k, v in value.items()))}}}"
        case set() | frozenset():
            return f"{{{', '.join(sorted(map(_said, value)))}}}"
        case list() | tuple():
            return f"[{', '.join(map(_said, value))}]"
        case _ if is_dataclass(value):
            known = (f.name for f in fields(value) if not f.name.startswith("_"))
            return f"{type(value).__name__}({', '.join(_said(getattr(value, name)) for name in known)})"
    raise TypeError(f"{type(value).__name__}: not known how to tell it apart")
