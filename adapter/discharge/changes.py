"""What a correction has changed: the old and the new value of everything that the two notices say. Pure.

The receiver of a correction must see what has changed, and not only that something has (MedCom, D-14).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any

from adapter.discharge.case import Case, Entry
from adapter.discharge.notices import Notice, Standing
from adapter.discharge.occasions import thread

Value = datetime | date | bool | str | tuple[str, ...] | None

SHOWN = (
    "kind", "occurred", "admitted", "acute", "hospital", "receivers", "ready", "estimate",
    "planned_discharge", "answer", "receive_from", "moved", "sip_needed", "psychiatric",
    "open_care_available", "follow_up", "placement", "contact", "encounter", "episode", "text",
)  # fmt: skip
"""What is compared, in the order in which it is shown; a plan and a meeting are shown by their own pages."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One thing that a correction says otherwise."""

    name: str  # of Notice's field
    old: Value
    new: Value


def changes(case: Case, entry: Entry) -> tuple[Change, ...]:
    """What the notice of `entry` says otherwise than the one that it corrects; () where it corrects none."""
    earlier = _before(case, entry)
    return tuple(_between(earlier, entry.notice)) if earlier is not None else ()


def _before(case: Case, entry: Entry) -> Notice | None:
    """What stood before it: the one of its thread that was sent last before it."""
    if entry.notice.standing is not Standing.CORRECTION:
        return None
    last = entry
    if entry.replaced_by is not None:
        of_sender = {e.notice.message_id: e for e in case.entries if e.notice.sender == entry.notice.sender}
        last = of_sender.get(entry.replaced_by, entry)
    mine = (entry.notice.sent_at, entry.notice.message_id)
    told = [e.notice for e in _thread(case, last, entry) if (e.notice.sent_at, e.notice.message_id) < mine]
    return max(told, key=lambda n: (n.sent_at, n.message_id), default=None)


def _thread(case: Case, last: Entry, entry: Entry) -> list[Entry]:
    """The notice's thread; of one that has been cancelled, by what its correction names."""
    if not entry.void:
        return thread(case, last)
    named = entry.notice.refers_to
    return [e for e in case.entries if e.void and named in (e.notice.message_id, e.notice.refers_to)]


def _between(old: Notice, new: Notice) -> Iterator[Change]:
    for name in SHOWN:
        before, after = getattr(old, name), getattr(new, name)
        if _same(before, after):
            continue
        yield Change(name=name, old=_value(before), new=_value(after))


def _same(one: Any, other: Any) -> bool:
    """Instants are compared in absolute time: another offset is no change."""
    if isinstance(one, datetime) and isinstance(other, datetime):
        return one.astimezone(UTC) == other.astimezone(UTC)
    return bool(one == other)


def _value(value: Any) -> Value:
    return value.value if isinstance(value, StrEnum) else value
