"""Fire deadlines: take the earliest, recompute the truth, compare and set, and tell our own side's staff.

A reminder goes to staff of ours only, never to the partner; a missed deadline is an alarm until it is met.
The rows of a case that cannot be read are put off by an hour and starve nobody.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import structlog
from sqlalchemy import Connection

from adapter.cases import Cases, late_from
from adapter.discharge.notices import word
from adapter.discharge.plan_tasks import KIND as PLAN_TASK
from adapter.errors import NotOnDuty
from adapter.messaging.register import Register, Side
from adapter.outbox import Outbox
from adapter.phrases import Phrase, Value, dated, phrase
from adapter.store import Store
from adapter.store import cases as rows
from adapter.store.statements import Row

log = structlog.get_logger("deadlines")

AT_ONCE = 8  # so few that a message which comes meanwhile does not wait long
AT_MOST = 1000  # in one run; the rest comes with the next
PUT_OFF = timedelta(hours=1)

_IS_DUE = "{deadline} by {name} is due {due} ({zone}; {basis})"
_IS_DUE_FOR = "{deadline} by {name} for {party} is due {due} ({zone}; {basis})"
_WAS_DUE = "{deadline} by {name} was due {due} ({zone}; {basis})"
_WAS_DUE_FOR = "{deadline} by {name} for {party} was due {due} ({zone}; {basis})"


@dataclass(frozen=True, kw_only=True)
class Deadlines:
    """The clock of the law over one store."""

    store: Store
    cases: Cases
    outbox: Outbox
    register: Register
    clock: Callable[[], datetime]

    def __call__(self) -> int:
        """Look at what is due now; returns how many rows were looked at."""
        looked: set[int] = set()
        while len(looked) < AT_MOST:
            now = self.clock()
            with self.store.read() as connection:
                due = [row for row in rows.due(connection, now, AT_ONCE) if row["id"] not in looked]
            if not due:
                break
            looked |= {row["id"] for row in due}
            self._look_at(due, now)
        return len(looked)

    def _look_at(self, due: Sequence[Row], now: datetime) -> None:
        """Each case is a unit of its own, worked out once for all of its rows; they share commits."""
        by_case: dict[int, list[Row]] = {}
        for row in due:
            by_case.setdefault(row["case_id"], []).append(row)
        firing = [
            (of_case, self.store.submit(partial(self._fire, case_id=case_id, due=of_case, now=now)))
            for case_id, of_case in by_case.items()
        ]
        for of_case, fired in firing:
            try:
                fired.result()
            except NotOnDuty:
                raise
            except Exception as error:  # noqa: BLE001  # one bad case must not stop the others; it comes again
                for row in of_case:
                    log.error(
                        "deadline could not be computed", deadline=row["id"], error=type(error).__name__
                    )
                    self.store.write(partial(self._put_off, row=row, now=now))

    def _fire(self, tx: Connection, case_id: int, due: Sequence[Row], now: datetime) -> None:
        self.cases.recompute(tx, case_id, now)
        found = {d["id"]: d for d in rows.deadlines(tx, case_id)}
        for row in due:
            self.outbox.alarms.end(tx, "deadline-unknown", f"deadline {row['id']}", now)
            if row["id"] in found:
                self._act(tx, found[row["id"]], now)

    def _act(self, tx: Connection, found: Row, now: datetime) -> None:
        subject, (values, for_whom) = f"deadline {found['id']}", self._said(tx, found)
        if found["state"] == "open":
            text = phrase(_IS_DUE_FOR if for_whom else _IS_DUE, **values)
            self._remind(tx, found, subject, text, now)
        elif found["state"] == "missed" and found["fired_at"] is None and found["next_at"] is not None:
            if rows.change_deadline(tx, found["id"], "missed", fired_at=now, next_at=None):
                self.outbox.alarms.end(tx, "deadline-near", subject, now)
                text = phrase(_WAS_DUE_FOR if for_whom else _WAS_DUE, **values)
                self._tell(tx, found, "deadline-missed", subject, text, phrase("missed"), now)
        elif found["state"] in ("met", "met-late", "void"):
            for kind in ("deadline-near", "deadline-missed"):
                self.outbox.alarms.end(tx, kind, subject, now)
            rows.change_deadline(tx, found["id"], found["state"], next_at=None)

    def _remind(self, tx: Connection, row: Row, subject: str, text: Phrase, now: datetime) -> None:
        self.outbox.alarms.end(tx, "deadline-missed", subject, now)
        near = row["remind_at"] is not None and row["remind_at"] <= now and row["reminded_at"] is None
        reminded_at = now if near else row["reminded_at"]
        told = near or row["reminded_at"] or row["remind_at"] is None
        again = late_from(row["due_at"]) if told else row["remind_at"]
        if again is not None and again <= now:
            again = now + PUT_OFF  # its time is up, and it waits for a person's word, which comes as a fact
        changed = rows.change_deadline(tx, row["id"], "open", reminded_at=reminded_at, next_at=again)
        if near and changed and self._ours(tx, row):
            self._tell(tx, row, "deadline-near", subject, text, phrase("reminded"), now)

    def _tell(
        self, tx: Connection, row: Row, kind: str, subject: str, text: Phrase, what: Phrase, now: datetime
    ) -> None:
        self.outbox.alarms.start(tx, kind=kind, subject=subject, text=text, now=now, case_id=row["case_id"])
        rows.note(tx, at=now, subject=f"{subject} {row['kind']}", what=what, case_id=row["case_id"])

    def _said(self, tx: Connection, row: Row) -> tuple[dict[str, Value], bool]:
        """What must be done, by whom, by when where the hospital is, and by which paragraph.

        Parties by the names that people know. Also whether there is one for whom it must be done.
        """
        acting, zone = self._acting(tx, row), self.cases.agreement.zone
        for_whom = row["party"] if row["actor"] == "hospital" and row["party"] != acting else None
        values: dict[str, Value] = {
            "deadline": word("deadline", row["kind"]),
            "name": self.register.name(acting)
            if acting
            else phrase("the {actor}", actor=word("actor", row["actor"])),
            "due": dated(row["due_at"].astimezone(zone)),
            "zone": zone.key,
            "basis": Phrase(row["basis"], {}),  # a key of the law's own catalogs
        }
        if for_whom:
            values["party"] = self.register.name(for_whom)
        return values, bool(for_whom)

    def _acting(self, tx: Connection, row: Row) -> str | None:
        """The party that must act, where it is known."""
        if row["actor"] != "hospital" or row["kind"] == PLAN_TASK:
            acting: str | None = row["party"]
            return acting
        case = rows.get(tx, row["case_id"])
        return case["hospital"] if case else None

    def _ours(self, tx: Connection, row: Row) -> bool:
        """Whether the party that must act is one of ours; a stranger in evaluation mode is."""
        acting = self._acting(tx, row)
        party = self.register.party(acting) if acting else None
        return party is None or party.side is Side.OURS

    def _put_off(self, tx: Connection, row: Row, now: datetime) -> None:
        rows.change_deadline(tx, row["id"], row["state"], next_at=now + PUT_OFF)
        self.outbox.alarms.start(
            tx,
            kind="deadline-unknown",
            subject=f"deadline {row['id']}",
            text=phrase(
                "{deadline} of case {case} could not be computed; tried again in an hour",
                deadline=word("deadline", row["kind"]),
                case=str(row["case_id"]),
            ),
            now=now,
            case_id=row["case_id"],
        )
