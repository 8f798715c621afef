"""What a rule is applied to: an admission, or a readiness with its withdrawal."""

from dataclasses import dataclass
from datetime import UTC, datetime

from adapter.discharge.case import Case, Entry
from adapter.discharge.notices import NoticeKind, Standing


@dataclass(frozen=True, slots=True)
class Occasion:
    """An admission, or a readiness: the notices that tell of it, and its withdrawal."""

    entries: tuple[Entry, ...]
    told_at: datetime | None = None
    withdrawn_at: datetime | None = None
    ids: frozenset[str] = frozenset()

    def flagged(self, flag: str | None) -> bool:
        return flag is None or any(getattr(e.notice, flag) for e in self.entries)

    def fits(self, only_if: str | None, unless: str | None) -> bool:
        return self.flagged(only_if) and (unless is None or not self.flagged(unless))


def thread(case: Case, entry: Entry) -> list[Entry]:
    """A notice and what it corrected: a correction was told when the first of them was."""
    notice = entry.notice
    corrected = case.corrected.get((notice.sender, notice.message_id), ())
    return [*(e for e in corrected if not e.notice.beside), entry]


def asks(case: Case, entry: Entry, flag: str) -> bool:
    """Whether a notice asks by that flag: as it was first told; a correction neither asks nor takes it back.

    MedCom: a report of admission is wanted of a new STIN or STAA only, never of RE_STIN.
    """
    return any(getattr(e.notice, flag) and e.notice.standing is Standing.NEW for e in thread(case, entry))


def told_at(case: Case, entry: Entry) -> datetime:
    """When a notice takes its place among ready notices, withdrawals and answers.

    The event, but not later than it was told: a ready day that lies ahead is announced when the notice is
    sent. A day without a time cannot be ordered within itself, so there the sending decides.
    """
    sent = min(e.notice.sent_at.astimezone(UTC) for e in thread(case, entry))
    return min(entry.at.astimezone(UTC), sent) if isinstance(entry.notice.occurred, datetime) else sent


def readinesses(case: Case) -> list[Occasion]:
    """Ready notices up to their withdrawal, and so on; a withdrawal told twice withdraws once."""
    told = case.of(NoticeKind.READY_FOR_DISCHARGE, NoticeKind.READINESS_WITHDRAWN)
    made: list[Occasion] = []
    current: list[Entry] = []
    timed = [(told_at(case, e), e.notice.kind is NoticeKind.READINESS_WITHDRAWN, e) for e in told]
    for at, withdrawal, e in sorted(timed, key=lambda told: told[:2]):
        if not withdrawal:
            current.append(e)
        elif current and not any(e.notice.refers_to in earlier.ids for earlier in made):
            made.append(_readiness(case, current, at))
            current = []
    return [*made, _readiness(case, current, None)] if current else made


def _readiness(case: Case, entries: list[Entry], withdrawn_at: datetime | None) -> Occasion:
    ids = frozenset(told.notice.message_id for e in entries for told in thread(case, e))
    return Occasion(tuple(entries), told_at(case, entries[0]), withdrawn_at, ids)
