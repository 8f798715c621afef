"""Which earlier notices a notice takes back, and which it takes the place of: pure, over a patient's notices.

A cancellation takes back what it is about, a withdrawal the ready notices before it. A correction takes the
place of what it corrects, and a later plan, early notice or planned date that of the earlier one. Whether
anything of that has left already is for others to say (`adapter.lanes`).
"""

from collections.abc import Iterable
from datetime import datetime, tzinfo

from adapter.discharge.conversation import Key, key, roots
from adapter.discharge.notices import Notice, NoticeKind, Standing, instant

VERSIONED = frozenset((NoticeKind.CARE_PLAN, NoticeKind.PLANNED_DISCHARGE, NoticeKind.CARE_NEEDS))
"""Of these a later one says all that an earlier one said, as it is now."""

_OF_READINESS = frozenset((NoticeKind.READY_FOR_DISCHARGE, NoticeKind.READINESS_WITHDRAWN))


def may_undo(notice: Notice) -> bool:
    """Whether it may take back or replace anything at all; most notices do not."""
    return (
        notice.standing is not Standing.NEW
        or notice.kind in VERSIONED
        or notice.kind is NoticeKind.READINESS_WITHDRAWN
    )


def thread(notice: Notice, known: Iterable[Notice]) -> frozenset[Key]:
    """What a correction or cancellation is about: the notice, and its other corrections; never itself."""
    found = roots({key(n): n for n in (*known, notice)}.values())
    root = found[key(notice)]
    return frozenset(one for one, about in found.items() if about == root) - {key(notice)}


def cancelled(known: Iterable[Notice]) -> frozenset[Key]:
    """The notices that a cancellation has taken back, and the cancellations themselves."""
    told = list(known)
    found = roots(told)
    over = {found[key(n)] for n in told if n.standing is Standing.CANCELLATION}
    return frozenset(one for one, about in found.items() if about in over)


def of_readiness(notice: Notice, known: Iterable[Notice], zone: tzinfo) -> tuple[Notice, ...]:
    """The ready notices and withdrawals of its sender before a withdrawal, in the order of the event."""
    own = [n for n in known if n.sender == notice.sender and n.kind in _OF_READINESS]
    before = [n for n in own if key(n) != key(notice) and not _later(n, notice, zone)]
    return tuple(sorted(before, key=lambda n: _moment(n, zone)))


def versions(notice: Notice, known: Iterable[Notice], zone: tzinfo) -> frozenset[Key]:
    """The earlier versions of a plan, of care needs or of the planned date, by the same sender."""
    if notice.kind not in VERSIONED or notice.standing is Standing.CANCELLATION:
        return frozenset()
    return frozenset(
        key(n)
        for n in known
        if n.sender == notice.sender
        and n.kind is notice.kind
        and n.standing is not Standing.CANCELLATION
        and _plan(n) == _plan(notice)
        and key(n) != key(notice)
        and not _later(n, notice, zone)
    )


def withdrawn_since(notice: Notice, withdrawal: Notice, zone: tzinfo) -> bool:
    """Whether what a notice says was over by that withdrawal, in the order of the event."""
    return not _later(notice, withdrawal, zone)


def _later(one: Notice, other: Notice, zone: tzinfo) -> bool:
    return _moment(one, zone) > _moment(other, zone)


def _moment(notice: Notice, zone: tzinfo) -> tuple[datetime, datetime, str]:
    """As the fold orders notices."""
    return instant(notice.occurred, sent_at=notice.sent_at, zone=zone), notice.sent_at, notice.message_id


def _plan(notice: Notice) -> str | None:
    return notice.plan.id if notice.plan is not None else None
