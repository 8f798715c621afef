"""Corrections and cancellations that name a message which we do not have (N-11).

They wait for it, since it may still come, and undo nothing else meanwhile; a person is told, for it may never
come, and the notice that was meant stands here until somebody finds out.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from adapter.alarming import Alarms
from adapter.cases import Cases
from adapter.discharge.conversation import Key
from adapter.discharge.notices import Notice, NoticeKind, Standing, word
from adapter.phrases import phrase
from adapter.store import alarms as alarm_rows
from adapter.store import cases as case_rows

_ALARM = "unknown-original-of-correction"
"""It ends when the original comes, or when a person closes it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Originals:
    """What waits for the message that it is about."""

    alarms: Alarms
    cases: Cases

    def taken(
        self,
        tx: Connection,
        notice: Notice,
        known: Collection[Key],
        *,
        row: int,
        case_id: int,
        patient: str,
        now: datetime,
    ) -> None:
        """A notice has been taken: does it wait itself, and has anything waited for it?

        `known` are the patient's notices, with it; `row` is the message that told it.
        """
        if _waits(notice, known):
            text = phrase(
                "{party} sent a {standing} of {notice} that names a message "
                "which we have not had of it about this patient; none is undone by it until that one comes: "
                "telephone the sender which one is meant",
                party=notice.sender,
                standing=word("standing", notice.standing.value),
                notice=word("notice", notice.kind.value),
            )
            subject = f"message {row}"
            self.alarms.start(
                tx,
                kind="unknown-original-of-correction",
                subject=subject,
                text=text,
                now=now,
                case_id=case_id,
            )
        self._came(tx, patient, (notice.sender, notice.message_id), now)

    def same(self, tx: Connection, patient: str, second: Key, first: str, now: datetime) -> None:
        """A message turned out to say the same as the first one: what has waited for it is about that one."""
        self._came(tx, patient, second, now)
        self.cases.refer(tx, patient, second, first, now)

    def _came(self, tx: Connection, patient: str, original: Key, now: datetime) -> None:
        if not alarm_rows.any_open(tx, _ALARM):
            return
        for row, _, fact in case_rows.told(tx, patient):
            if isinstance(fact, Notice) and (fact.sender, fact.refers_to) == original:
                self.alarms.end(tx, _ALARM, f"message {row}", now)


def _waits(notice: Notice, known: Collection[Key]) -> bool:
    """Whether it names what nobody has had. Later care needs replace the earlier ones all the same (N-12)."""
    if notice.standing is Standing.NEW or notice.refers_to is None or notice.refers_to_held:
        return False
    replacing = notice.kind is NoticeKind.CARE_NEEDS and notice.standing is Standing.CORRECTION
    return not replacing and (notice.sender, notice.refers_to) not in known
