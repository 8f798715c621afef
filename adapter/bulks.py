"""Do with many deliveries what a person does with one: exactly those that were shown, each by itself.

What comes of a delivery is written in the same unit of work in which it is done: where the process dies in
the middle, the next one goes on, and nothing is done twice. One that has changed since it was shown is left
alone; one with which it cannot be done hinders no other.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from adapter.errors import AdapterError, Explained, NotFound, StoreError
from adapter.inbox import Inbox
from adapter.phrases import Code, Phrase, changed, phrase, technical
from adapter.store import bulks as rows
from adapter.store import deliveries
from adapter.store.savepoint import savepoint
from adapter.store.statements import Row

KINDS = ("resend", "give-up", "take-up", "reissue")
"""What can be done with many."""

MOST = 10_000
"""Deliveries of one action."""

AT_ONCE = 20
"""Deliveries of one unit of work, so that others who write do not wait long."""

_LONGEST = 300  # characters of why one could not be done


def stands(row: Row) -> str:
    """How a delivery stands: in another state, lease or trigger it is another matter."""
    return f"{row['state']}/{row['fence']}/{row['trigger']}"


@dataclass(frozen=True, kw_only=True)
class Bulks:
    """Many deliveries at once."""

    inbox: Inbox

    def prepare(
        self,
        tx: Connection,
        what: str,
        some: list[Row],
        now: datetime,
        *,
        by: str,
        person: str,
        why: str,
        chosen: str,
        to: str | None = None,
    ) -> int:
        """Fix which deliveries are meant, before anything is done with them; the number of the action."""
        assert what in KINDS
        values = {
            "at": now,
            "by": by,
            "person": person,
            "what": what,
            "to": to,
            "why": why,
            "filter": chosen,
            "state": "prepared",
        }
        return rows.add(tx, values, {row["id"]: stands(row) for row in some})

    def confirm(self, tx: Connection, number: int, now: datetime) -> None:
        """A person has seen what will be done: it begins."""
        self._in(tx, number, "prepared")
        rows.change(tx, number, state="running", confirmed_at=now)

    def cancel(self, tx: Connection, number: int, now: datetime, *, by: str) -> None:
        """No more of it is done; what was done stays so."""
        self._in(tx, number, "prepared", "running")
        rows.change(tx, number, state="cancelled", ended_at=now, ended_by=by)

    def _in(self, tx: Connection, number: int, *states: str) -> Row:
        row = rows.alone(tx, number)
        if row is None:
            raise NotFound(phrase("there is no bulk action {action}", action=str(number)))
        if row["state"] not in states:
            state = Code("bulk-state", row["state"], row["state"])
            raise NotFound(phrase("bulk action {action} is {state} already", action=str(number), state=state))
        return row

    def go_on(self, tx: Connection, number: int, now: datetime) -> int:
        """The next few deliveries of one that runs; how many. With the last of them it is done."""
        row = rows.alone(tx, number)
        if row is None or row["state"] != "running":
            return 0
        some = rows.left(tx, number, AT_ONCE)
        for item in some:
            outcome, told = self._one(tx, row, item, now)
            rows.done(tx, number, item["delivery"], outcome, told, now)
        if len(some) < AT_ONCE:
            rows.change(tx, number, state="done", ended_at=now)
        return len(some)

    def _one(self, tx: Connection, row: Row, item: Row, now: datetime) -> tuple[str, str | None]:
        known = deliveries.get(tx, item["delivery"])
        if known is None:
            return "changed", None
        known = deliveries.alone(tx, known)
        if stands(known) != item["stands"]:
            return "changed", str(known["state"])
        try:
            with savepoint(tx):
                return "done", self._act(row)(tx, item["delivery"], now)
        except (StoreError, SQLAlchemyError):
            raise
        except AdapterError as error:
            return "cannot", _why(error)
        except Exception as error:  # noqa: BLE001  # one that fails keeps none of the others from being done
            return "cannot", technical(type(error).__name__)

    def _act(self, row: Row) -> Callable[[Connection, int, datetime], str | None]:
        by, why = row["by"], row["why"]
        outbox = self.inbox.outbox

        def resend(tx: Connection, one: int, now: datetime) -> None:
            outbox.resend(tx, one, now, by=by, why=why)

        def give_up(tx: Connection, one: int, now: datetime) -> None:
            outbox.give_up(tx, one, now, by=by, why=why)

        def take_up(tx: Connection, one: int, now: datetime) -> None:
            outbox.take_up(tx, one, now, by=by, why=why)

        def reissue(tx: Connection, one: int, now: datetime) -> str:
            return str(self.inbox.reissue(tx, one, now, to=row["to"], by=by, why=why))

        return {"resend": resend, "give-up": give_up, "take-up": take_up, "reissue": reissue}[row["what"]]


def _why(error: AdapterError) -> Phrase:
    """Why one could not be done; nothing in it is longer than a line of a table takes."""
    said = error.said if isinstance(error, Explained) else technical(str(error))
    return changed(said, lambda text: text[:_LONGEST])
