"""Which notice a correction or a cancellation is about: by its reference, else by patient, sender and type.

Follow-ups should name the message that they are about (N-11), and often name none. Then the latest notice of
that type that still stands is meant. What names one that nobody has had waits for it: it means no other. The
answer is the same for every order of arrival: what has not come yet is matched when it comes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from adapter.discharge.notices import Notice, NoticeKind, Standing

Key = tuple[str, str]
"""Sender and message id: ids are unique per sender only."""

Root = tuple[str, ...]
"""Of what a correction is about: the key of the first notice, or what stands for one that has not come."""


def key(notice: Notice) -> Key:
    """The identity of a notice."""
    return notice.sender, notice.message_id


def roots(notices: Iterable[Notice]) -> dict[Key, Root]:
    """For each notice of one patient the first of those that belong together, whether or not it has come."""
    told = sorted(notices, key=lambda n: (n.sent_at, n.message_id, n.sender))
    search = _Search({key(n): n for n in told}, [n for n in told if n.standing is Standing.NEW])
    return {key(notice): search.root(notice) for notice in told}


def message_type(notice: Notice) -> str:
    """What one message type of the standards tells: a death in hospital is told by the discharge's."""
    if notice.kind is NoticeKind.DECEASED and notice.hospital is not None:
        return NoticeKind.DISCHARGED.value
    return notice.kind.value


@dataclass(slots=True)
class _Search:
    """The notices of a patient while corrections are matched, in the order in which they were sent."""

    by_key: dict[Key, Notice]
    new: Sequence[Notice]
    found: dict[Key, Root] = field(default_factory=dict)
    cancelled: set[Root] = field(default_factory=set)

    def root(self, notice: Notice) -> Root:
        if key(notice) not in self.found:
            root = self._root(notice)
            self.found.setdefault(key(notice), root)
            if notice.standing is Standing.CANCELLATION:
                self.cancelled.add(root)
        return self.found[key(notice)]

    def _root(self, notice: Notice) -> Root:
        visited: set[str] = set()
        current = notice
        while current.standing is not Standing.NEW:
            if key(current) in self.found:
                return self.found[key(current)]
            if current.message_id in visited:  # a broken sender: they refer to each other in a circle
                return notice.sender, min(visited)
            visited.add(current.message_id)
            earlier = self._named(current)
            if earlier is None:
                return self._guess(current)
            current = earlier
        return key(current)

    def _named(self, notice: Notice) -> Notice | None:
        """What its reference names; one of another type is the conversation's, and not what it corrects.

        A HospitalNotification names exactly what it corrects: a death is told by any of its activities.
        """
        named = self.by_key.get((notice.sender, notice.refers_to)) if notice.refers_to else None
        if named is None or (notice.notification and named.notification):
            return named
        return named if message_type(named) == message_type(notice) else None

    def _guess(self, notice: Notice) -> Root:
        """What it must mean, where it names no message, or only another one of its conversation."""
        if notice.refers_to is not None and (notice.sender, notice.refers_to) not in self.by_key:
            return notice.sender, message_type(notice), notice.refers_to  # which may still come
        standing = [n for n in self.new if self._may_mean(notice, n)]
        last = max(standing, key=lambda n: (n.sent_at, n.message_id), default=None)
        return key(last) if last is not None else (notice.sender, message_type(notice), notice.message_id)

    def _may_mean(self, notice: Notice, earlier: Notice) -> bool:
        """Whether it stands, is of that sender and type, for one of those receivers, and of that stay."""
        return (
            earlier.sender == notice.sender
            and message_type(earlier) == message_type(notice)
            and earlier.sent_at <= notice.sent_at
            and key(earlier) not in self.cancelled
            and _meets(earlier.receivers, notice.receivers)
            and all(None in pair or pair[0] == pair[1] for pair in _told_apart(earlier, notice))
        )


def _meets(some: tuple[str, ...], others: tuple[str, ...]) -> bool:
    return not some or not others or not set(some).isdisjoint(others)


def _told_apart(one: Notice, other: Notice) -> tuple[tuple[str | None, str | None], ...]:
    """What tells two notices of one type apart where both say it."""
    plans = tuple(n.plan.id if n.plan is not None else None for n in (one, other))
    return (
        (one.encounter, other.encounter),
        (one.hospital, other.hospital),
        (one.placement, other.placement),
        (plans[0], plans[1]),
    )
