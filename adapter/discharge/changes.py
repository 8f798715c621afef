"""What a correction has changed: the old and the new value of everything that the two notices say. Pure.

The receiver of a correction must see what has changed, and not only that something has (MedCom, D-14).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from adapter.discharge.case import Entry
from adapter.discharge.notices import Notice, Standing

SHOWN = (
    "kind", "occurred", "admitted", "acute", "hospital", "receivers", "ready", "estimate",
    "planned_discharge", "answer", "receive_from", "meeting", "follow_up", "moved", "sip_needed",
    "psychiatric", "open_care_available", "contact",
)  # fmt: skip
"""The fields of a notice that are compared, in the order in which they are shown; plans have pages."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One thing that a correction says otherwise; the values are those of the notices' field."""

    name: str
    old: Any
    new: Any


def changes(entries: Sequence[Entry], entry: Entry) -> tuple[Change, ...]:
    """What the notice of `entry` says otherwise than the one whose place it has taken.

    `entries` are those of its case that the reader may see; () where none of them came before it.
    """
    earlier = before(entries, entry)
    return tuple(_between(earlier, entry.notice)) if earlier is not None else ()


def before(entries: Sequence[Entry], entry: Entry) -> Notice | None:
    """What stood until this one came: of a correction the last that was sent of what it corrects."""
    notice = entry.notice
    if notice.standing is Standing.CANCELLATION:
        return None
    own = [e.notice for e in entries if e.notice.sender == notice.sender and e is not entry]
    named = _thread(own, notice) if notice.standing is Standing.CORRECTION else []
    found = [n for n in named if _sent(n) < _sent(notice)] or [
        e.notice
        for e in entries
        if e.notice.sender == notice.sender and e.replaced_by == notice.message_id and e is not entry
    ]
    return max(found, key=_sent, default=None)


def _thread(own: Sequence[Notice], notice: Notice) -> list[Notice]:
    """The new notice that a correction goes back to, and the other corrections of it."""
    by_id = {n.message_id: n for n in own}
    root, visited = notice.refers_to, {notice.message_id}
    while root in by_id and by_id[root].standing is not Standing.NEW and root not in visited:
        visited.add(root)
        root = by_id[root].refers_to
    if root is None:
        return []
    about = {root, *visited}
    corrections = (n for n in own if n.standing is Standing.CORRECTION and n.refers_to in about)
    first = [by_id[root]] if root in by_id else []
    return [*first, *corrections]


def _sent(notice: Notice) -> tuple[Any, str]:
    return notice.sent_at, notice.message_id


def _between(old: Notice, new: Notice) -> Iterator[Change]:
    for name in SHOWN:
        was, is_ = getattr(old, name), getattr(new, name)
        if was != is_:  # aware instants are equal in absolute time, whatever their offsets
            yield Change(name=name, old=was, new=is_)
