"""The electronic copy of what was told by telephone or on paper: the same notice, and not another one.

The same kind, sender and receiver about the same day; of an answer also the same word. A readiness that was
withdrawn in between is another one. It does not matter which of the two is known first.
"""

from collections.abc import Sequence
from datetime import tzinfo

from adapter.discharge.notices import Notice, NoticeKind, Standing, local_date

K = NoticeKind


def copies(told: Sequence[Notice], zone: tzinfo) -> dict[tuple[str, str], Notice]:
    """For each notice recorded by hand the one that says the same electronically, by sender and id."""
    recorded = [n for n in told if n.way is not None and n.standing is Standing.NEW]
    if not recorded:
        return {}
    electronic = [n for n in told if n.way is None and n.standing is Standing.NEW]
    ordered = sorted(electronic, key=lambda n: (n.sent_at, n.message_id))
    withdrawn = [
        n for n in told if n.kind is K.READINESS_WITHDRAWN and n.standing is not Standing.CANCELLATION
    ]
    found = {}
    for one in recorded:
        alike = (n for n in ordered if _same(one, n, zone) and not _between(one, n, withdrawn))
        copy = next(alike, None)
        if copy is not None:
            found[one.sender, one.message_id] = copy
    return found


def _same(recorded: Notice, other: Notice, zone: tzinfo) -> bool:
    return (
        (recorded.kind, recorded.sender) == (other.kind, other.sender)
        and not set(recorded.receivers).isdisjoint(other.receivers)
        and _day(recorded, zone) == _day(other, zone)
        and (recorded.answer, recorded.receive_from) == (other.answer, other.receive_from)
        and _agree(recorded.planned_discharge, other.planned_discharge)
    )


def _agree(one: object, other: object) -> bool:
    return one is None or other is None or one == other


def _day(notice: Notice, zone: tzinfo) -> object:
    return local_date(notice.ready or notice.occurred, zone)


def _between(one: Notice, other: Notice, withdrawn: Sequence[Notice]) -> bool:
    """Whether a readiness was withdrawn after the one and before the other."""
    if one.kind is not K.READY_FOR_DISCHARGE:
        return False
    first, last = sorted((one.sent_at, other.sent_at))
    return any(n.sender == one.sender and first < n.sent_at < last for n in withdrawn)
