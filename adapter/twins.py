"""The same message twice: to a receiver and to a copy receiver of one organisation, under two ids.

Some systems do that, so that a test of the message id does not find it. The second one is known by what it
says, its sender and its sending time within a day; it is acknowledged for its receiver and changes nothing.

Only of a first that stands: what has been cancelled or replaced before, or was refused or never delivered, is
said anew by the second, which is taken like any message.
"""

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta, tzinfo

from sqlalchemy import Connection

from adapter.discharge.case import fold
from adapter.discharge.notices import Notice
from adapter.incoming import Incoming, Prepared, understand
from adapter.mappings.known import named
from adapter.messaging.acknowledgement import Issue, Status
from adapter.messaging.delivery import DeliveryState
from adapter.messaging.envelope import Address
from adapter.messaging.register import Party, Register
from adapter.parcels import RECEIPT
from adapter.store import cases as case_rows
from adapter.store import deliveries, messages
from adapter.store.statements import Row

WITHIN = timedelta(days=1)
"""Between the sending of the two."""

_FAILED = (DeliveryState.REFUSED.value, DeliveryState.GIVEN_UP.value)


def first_of(
    tx: Connection,
    prepared: Prepared,
    sender: Party,
    *,
    register: Register,
    zone: tzinfo,
    now: datetime,
) -> Row | None:
    """The message that said the same to another receiver of the same organisation, if there is one."""
    digest, reading, notice = prepared.likeness, prepared.reading, prepared.notice
    if digest is None or reading is None or notice is None:
        return None
    day = now.astimezone(zone).date()
    mine = _places(register, reading.envelope.receivers, day)
    for row in messages.alike(tx, sender.id, digest) if None not in mine.values() else ():
        if abs(row["sent_at"] - reading.envelope.sent_at) > WITHIN:
            continue
        content = messages.content(tx, row["payload"])
        if content is None:
            continue
        outside = named(row["dialect"]).envelope(content, content_type=row["content_type"], zone=zone)
        if not _of_one_organisation(mine, _places(register, outside.receivers, day)):
            continue  # which is found out without reading it whole
        before = understand(Incoming(content=content, content_type=row["content_type"]), zone)
        if before.reading is None or before.notice is None or not _at_once(before.notice, notice):
            continue
        if said_as(tx, sender.id, before.notice.refers_to) != said_as(tx, sender.id, notice.refers_to):
            continue
        if _stood(tx, row, min(notice.sent_at, now), zone) and not _failed(tx, row, mine):
            return row
    return None


def _stood(tx: Connection, first: Row, at: datetime, zone: tzinfo) -> bool:
    """Whether nothing that was sent by then has cancelled or replaced it.

    What was sent later does not make the second one another: its cancellation is about both.
    """
    case = case_rows.get(tx, first["case_id"]) if first["case_id"] is not None else None
    if case is None:
        return True  # only relayed: no case tells of it
    known = [fact for _, _, fact in case_rows.facts(tx, case["patient"])]
    told = [fact for fact in known if isinstance(fact, Notice) and fact.sent_at <= at]
    own = first["sender"], first["message_id"]
    entries = (entry for one in fold(told, zone) for entry in one.entries)
    found = [e for e in entries if (e.notice.sender, e.notice.message_id) == own]
    return not any(e.void or e.replaced_by is not None for e in found)


def _failed(tx: Connection, first: Row, mine: Mapping[str, str | None]) -> bool:
    """Whether one of those whom the second is for was sent the first and will not have it of us any more."""
    sent = [row for row in _sent(tx, first) if row["party"] in mine.values()]
    return any(row["state"] in _FAILED for row in sent)


def _sent(tx: Connection, first: Row) -> list[Row]:
    """Its deliveries; of one that was reissued, the last."""
    rows = [row for row in deliveries.listed(tx, message_row=first["id"]) if row["kind"] != RECEIPT]
    reissued = {row["original"] for row in rows}
    return [row for row in rows if row["id"] not in reissued]


def said_as(tx: Connection, sender: str, message_id: str | None) -> str | None:
    """Under which id the case knows a message: that of the first, where it said the same as another."""
    known = messages.known(tx, sender, message_id) if message_id is not None else None
    first = messages.get(tx, known["same_as"]) if known is not None and known["same_as"] else None
    return str(first["message_id"]) if first is not None else message_id


def settled(tx: Connection, first: Row) -> Mapping[str, tuple[Status, tuple[Issue, ...]]]:
    """Which systems behind our parties have taken the first one: that holds for the second, too."""
    taken = (row for row in _sent(tx, first) if row["state"] == DeliveryState.ACKNOWLEDGED.value)
    return {row["party"]: (Status.ACCEPTED, ()) for row in taken}


def _at_once(one: Notice, other: Notice) -> bool:
    """Whether both tell of the same time, or of none: then each has its own sending time instead."""
    untimed = one.occurred == one.sent_at and other.occurred == other.sent_at
    return one.occurred == other.occurred or untimed


def _places(register: Register, receivers: Iterable[Address], day: date) -> dict[str, str | None]:
    """The addresses of a message, each with its party."""
    found = {}
    for address in receivers:
        party = register.resolve(address, day)
        found[address.token] = party.id if party is not None else None
    return found


def _of_one_organisation(mine: Mapping[str, str | None], before: Mapping[str, str | None]) -> bool:
    """Whether all whom this one is for have been told, and one of them stands at two addresses of the two."""
    told = {**before, **mine}
    parties = list(told.values())
    twice = any(parties.count(party) > 1 for party in mine.values())
    return twice and set(mine.values()) <= set(before.values())
