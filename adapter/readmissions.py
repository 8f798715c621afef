"""How many discharges of a month were followed by a readmission, for each municipality.

Counted anew from the messages each time. Small numbers are withheld where others see them, because they tell
of single patients (Helsedirektoratet withholds 1 to 4).
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby

from sqlalchemy import Connection

from adapter.cases import Cases
from adapter.discharge.counting import first_second, in_time
from adapter.discharge.notices import NoticeKind
from adapter.discharge.readmission import Verdict, links, watched_from
from adapter.errors import ConfigurationError
from adapter.ledger import bounds
from adapter.store import cases as rows

WITHHELD = "1-4"
_FEW = range(1, 5)


@dataclass(frozen=True, kw_only=True, slots=True)
class Count:
    """One municipality's discharges of a month, and what came of them."""

    municipality: str | None  # None: of cases in which none is named
    discharges: int
    readmissions: int
    possible: int  # where the messages do not tell enough
    watched: int  # no new stay so far, and the time is not up


def counted(tx: Connection, cases: Cases, month: str, now: datetime) -> list[Count]:
    """The counts of a month (2024-03), by the local day of the discharge.

    A stay that goes on at another hospital has no discharge yet. ConfigurationError where nothing says what a
    readmission is.
    """
    terms = cases.agreement
    if not terms.country.readmissions and not any("readmission" in a.terms for a in terms.accords):
        raise ConfigurationError(
            f"agreement {terms.name!r}: nothing says what a readmission is; write an [[accord]] with"
            ' terms = { readmission = { earliest = "PT8H", latest = "P30D" } } into the region file'
        )
    first, last = bounds(month)
    since, until = (_midnight(day, cases) for day in (first, last + timedelta(days=1)))
    found: dict[str | None, Counter[str]] = {}
    for patient, ended in groupby(rows.discharged(tx, since, until), key=lambda row: row["patient"]):
        wanted = {row["id"] for row in ended}
        for municipality, what in _of_patient(tx, cases, patient, wanted, now):
            found.setdefault(municipality, Counter()).update(("discharge", what))
    return [
        Count(
            municipality=municipality,
            discharges=n["discharge"],
            readmissions=n[Verdict.READMISSION],
            possible=n[Verdict.POSSIBLE],
            watched=n["watched"],
        )
        for municipality, n in sorted(found.items(), key=lambda one: one[0] or "")
    ]


def withheld(number: int) -> int | str:
    """The number, or that it is small."""
    return WITHHELD if number in _FEW else number


def _midnight(day: date, cases: Cases) -> datetime:
    return first_second(day, cases.agreement.zone).astimezone(UTC)


def _of_patient(
    tx: Connection, cases: Cases, patient: str, wanted: set[int], now: datetime
) -> Iterator[tuple[str | None, str]]:
    """The municipality of each of these discharges, and what came of it."""
    ids, folded = zip(*cases.folded(tx, patient), strict=True)
    linked = {k.earlier: k.verdict for k in links(folded, cases.agreement, cases.roles)}
    for place, case in enumerate(folded):
        found = watched_from(case, cases.agreement, cases.roles) if ids[place] in wanted else None
        verdict = linked.get(place)
        if found is None or verdict is Verdict.SAME_COURSE:
            continue
        discharge, rule = found
        length = rule.count.duration or timedelta()
        ends = discharge.at.astimezone(UTC) + length
        died = case.died_at is not None or case.has(NoticeKind.DECEASED)
        watched = verdict is None and not died and in_time(now, ends)
        yield case.municipality, "watched" if watched else verdict or "nothing"
