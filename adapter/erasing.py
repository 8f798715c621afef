"""Erase a case that must not be here: filed on the wrong person, or of somebody who must be removed.

What goes is everything that was told and made of it; what stays is that messages came and when, their ids and
hashes, by which a repetition is known. It is a journalled act: who, when, why, and an entry a message in the
journal of hashes. What others have received already, and what stands in backups, is out of reach.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from adapter.discharge.case import Evidence
from adapter.errors import NotFound
from adapter.messaging.delivery import DeliveryState
from adapter.outbox import Outbox
from adapter.phrases import phrase
from adapter.store import cases as case_rows
from adapter.store import chain, erased
from adapter.store import ledger as booked
from adapter.store.statements import Row

_CLOSABLE = (DeliveryState.WAITING.value, DeliveryState.SENT.value)


@dataclass(frozen=True, kw_only=True, slots=True)
class Erasure:
    """What would be erased, or has been: numbers only."""

    case_id: int
    patient: str = field(repr=False)  # pseudonym
    ids: tuple[int, ...]  # its own, and those of cases that were merged into it
    messages: tuple[int, ...]
    deliveries: tuple[int, ...]
    closes: tuple[int, ...]  # of the deliveries, those that still wait for something
    received_by: tuple[str, ...]  # parties that something of it has gone to
    plans: tuple[str, ...]  # of its plans those that stand on a partner's server
    rows: dict[str, int]  # of each table, how many

    @property
    def document(self) -> dict[str, object]:
        """As the command prints it."""
        return {
            "case": self.case_id,
            "messages": list(self.messages),
            "deliveries": list(self.deliveries),
            "closes": list(self.closes),
            "received_by": list(self.received_by),
            "plans_elsewhere": list(self.plans),
            "rows": self.rows,
        }


def preview(tx: Connection, case_id: int) -> Erasure:
    """What erasing that case would take. NotFound where there is none, or it cannot be erased now."""
    row = case_rows.get(tx, case_id)
    if row is None:
        raise NotFound(
            phrase("there is no case {case}; `discharge-adapter cases` lists them", case=str(case_id))
        )
    ids = sorted({row["id"], *case_rows.with_aliases(tx, row)})
    _not_booked(tx, row["id"], ids)
    told = _receipts(tx, row["patient"], ids)
    messages = erased.messages_of(tx, ids, told)
    sent = erased.deliveries_of(tx, ids, messages)
    _not_on_its_way(row["id"], sent)
    return Erasure(
        case_id=row["id"],
        patient=row["patient"],
        ids=tuple(ids),
        messages=tuple(messages),
        deliveries=tuple(one["id"] for one in sent),
        closes=tuple(one["id"] for one in sent if _waits(one)),
        received_by=tuple(sorted({one["party"] for one in sent if one["sent_at"] is not None})),
        plans=tuple(erased.plans_elsewhere(tx, ids, messages)),
        rows=erased.counted(tx, row["patient"], ids, messages),
    )


def erase(tx: Connection, outbox: Outbox, case_id: int, now: datetime, *, by: str, why: str) -> Erasure:
    """Erase a case; returns what was taken. Raises NotFound as `preview` does."""
    row = case_rows.get(tx, case_id)
    if row is not None:
        case_rows.alone_with(tx, row["patient"])
    booked.alone(tx)
    erased.overwriting(tx)
    going = preview(tx, case_id)
    for number in going.closes:
        outbox.close(tx, number, erased.SAID, now, by=by)
    for kind, subject in erased.open_alarms(tx, going.ids, going.messages, going.deliveries):
        outbox.alarms.end(tx, kind, subject, now)
    for message_row in going.messages:
        chain.note(tx, chain.Kind.ERASED, message_row, at=now)
    erased.take(tx, going.patient, going.ids, going.messages, going.deliveries)
    what = phrase("erased, with {messages} messages: {why}", messages=len(going.messages), why=why)
    case_rows.note(tx, at=now, subject=f"case {going.case_id}", what=what, case_id=None, by=by)
    outbox.cases.refold(tx, going.patient, now)
    return going


def _receipts(tx: Connection, patient: str, ids: Sequence[int]) -> list[int]:
    """The messages that what we know of the case comes from, receipts among them."""
    found = []
    for told_by, case_id, fact in case_rows.told(tx, patient):
        if case_id not in ids:
            continue
        if told_by is not None:
            found.append(told_by)
        source = fact.source if isinstance(fact, Evidence) else ""
        what, _, number = source.rpartition(" ")
        if what == "message" and number.isdigit():
            found.append(int(number))
    return found


def _waits(one: Row) -> bool:
    return one["state"] in _CLOSABLE and (
        one["state"] == DeliveryState.WAITING.value or one["expects_receipt"] == 1
    )


def _not_on_its_way(case_id: int, sent: Sequence[Row]) -> None:
    leased = [one["id"] for one in sent if one["state"] == DeliveryState.LEASED.value]
    if leased:
        raise NotFound(
            phrase(
                "case {case} cannot be erased now: delivery {delivery} is being sent at this moment; pause "
                "its endpoint (`discharge-adapter endpoints pause NAME`) and try again in a minute",
                case=str(case_id),
                delivery=str(leased[0]),
            )
        )


def _not_booked(tx: Connection, case_id: int, ids: Sequence[int]) -> None:
    """What stands in a closed month must be taken back in a later one first: a statement never changes."""
    lines = booked.of_cases(tx, ids)
    reversed_ = {line.reverses for line in lines}
    standing = [one for one in lines if one.reverses is None and one.id not in reversed_]
    if standing:
        months = sorted({f"{one.day:%Y-%m}" for one in standing})
        charges = " ".join(str(one.id) for one in standing)
        raise NotFound(
            phrase(
                "case {case} cannot be erased yet: days of it are booked in {months}, which is closed. Waive "
                "them (`discharge-adapter payments waive {charges} --why TEXT`), close the month that runs "
                "when it is over, which books the reversals, and erase it then",
                case=str(case_id),
                months=months,
                charges=charges,
            )
        )
