"""Cases of the law as rows of a table: what happens, and what the law says comes of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from adapter.discharge.scenario import explain
from adapter.errors import ConfigurationError

Document = dict[str, Any]
UNSAID = "unsaid"
_TIMES = ("at", "sent_at", "delivered_at", "accepted_at", "seen_at")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One case: its name is what the law says, with the paragraph.

    Clock times are those of the hospital. `days` are spans with both ends, `2024-03-01..2024-03-03`, apart by
    blanks. `due` and `state` go by the deadline's kind, or kind and party; a list where there are several.
    """

    law: str
    events: list[Document]
    now: str
    terms: Mapping[str, Any] = field(default_factory=dict)
    liable: str | None = UNSAID
    days: str | None = None
    total: str | None = UNSAID
    due: Mapping[str, str | list[str]] = field(default_factory=dict)
    state: Mapping[str, str | list[str]] = field(default_factory=dict)
    absent: tuple[str, ...] = ()  # kinds of deadlines that there are none of
    says: tuple[str, ...] = ()  # in the reasons of the payment
    why: Mapping[str, str] = field(default_factory=dict)  # in the reason of that kind of deadline
    debtors: tuple[str, ...] = ()  # of the charged days, in their order
    contested: str | None = None  # the days that are, as `days`
    refused: str | None = None


def told(kind: str, at: str, **more: Any) -> Document:
    """An event of the described case."""
    return {"kind": kind, "at": at, **more}


def rows(cases: list[Row]) -> pytest.MarkDecorator:
    """A test for each row, named by it."""
    names = [row.law for row in cases]
    assert len(names) == len(set(names)), "two rows of one name"
    return pytest.mark.parametrize("row", cases, ids=names)


def explained(country: str, zone: str, row: Row) -> Document:
    events = [
        {key: _instant(value, zone) if key in _TIMES else value for key, value in event.items()}
        for event in row.events
    ]
    terms = {"base": country, "terms": dict(row.terms)} if row.terms else country
    return explain({"agreement": terms, "now": _instant(row.now, zone), "events": events})


def check(country: str, zone: str, row: Row) -> None:
    """That the program says what the row says."""
    if row.refused is not None:
        with pytest.raises(ConfigurationError) as error:
            explained(country, zone, row)
        assert row.refused in str(error.value)
        return
    found = explained(country, zone, row)
    _check_payment(found["payment"], row)
    _check_deadlines(found["deadlines"], row)


def _check_payment(payment: Document, row: Row) -> None:
    if row.liable != UNSAID:
        assert payment["liable_from"] == row.liable, payment["reasons"]
    if row.days is not None:
        assert [day["date"] for day in payment["days"]] == list(spans(row.days)), payment["reasons"]
    if row.total != UNSAID:
        assert payment["total"] == row.total, payment["reasons"]
    for text in row.says:
        assert any(text in reason for reason in payment["reasons"]), payment["reasons"]
    if row.debtors:
        assert [charge["debtor"] for charge in payment["charges"]] == list(row.debtors)
    if row.contested is not None:
        contested = [charge["date"] for charge in payment["charges"] if charge["contested"]]
        assert contested == list(spans(row.contested))


def _check_deadlines(deadlines: list[Document], row: Row) -> None:
    for key, wanted in row.due.items():
        found = [d["due_at"][:19].replace("T", " ") for d in _of(key, deadlines)]
        assert found == (wanted if isinstance(wanted, list) else [wanted]), key
    for key, wanted in row.state.items():
        found = [d["state"] for d in _of(key, deadlines)]
        assert found == (wanted if isinstance(wanted, list) else [wanted]), (key, _of(key, deadlines))
    for kind in row.absent:
        assert not _of(kind, deadlines)
    for key, text in row.why.items():
        assert any(text in (d["reason"] or "") for d in _of(key, deadlines)), _of(key, deadlines)


def _of(key: str, deadlines: list[Document]) -> list[Document]:
    kind, _, party = key.partition(" ")
    return [d for d in deadlines if d["kind"] == kind and (not party or d["party"] == party)]


def spans(text: str) -> Iterator[str]:
    """The days of `2024-03-01..2024-03-03 2024-03-07`."""
    for span in text.split():
        first, _, last = span.partition("..")
        day, until = date.fromisoformat(first), date.fromisoformat(last or first)
        while day <= until:
            yield day.isoformat()
            day += timedelta(days=1)


def _instant(text: str, zone: str) -> str:
    made = datetime.fromisoformat(text)
    return (made if made.tzinfo else made.replace(tzinfo=ZoneInfo(zone))).isoformat()
