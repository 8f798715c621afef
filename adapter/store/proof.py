"""Proof from the journal of hashes that nothing was removed or altered, in sentences that name nobody.

Each entry is computed anew and held against the one before it, against the message that it is about, and
against the content that is kept. It reads in pieces, so a store of any size needs the memory of one.
"""

from collections.abc import Iterator
from itertools import islice
from struct import error as StructError

from sqlalchemy import Connection, Select, exists, func, select

from adapter.store.chain import BEFORE_THE_FIRST, Head, Kind, hash_of
from adapter.store.statements import Row, found
from adapter.store.tables import journal, message, payload

PIECE = 1000
"""Entries that are held in memory at a time."""

_CAME = (Kind.RECEIVED, Kind.NOT_KEPT)

MOST_NAMED = 100
"""Findings of one sort that are told one by one; the rest is a number."""


def findings(tx: Connection, noted: Head | None = None) -> Iterator[str]:
    """What does not hold; `noted` is a head that somebody wrote down earlier."""
    yield from _few(_broken(tx), "more entries or messages of that sort")
    yield from _few(_without_entry(tx), "more messages without an entry")
    if noted is not None:
        yield from _lost(tx, noted)


def _few(told: Iterator[str], rest: str) -> Iterator[str]:
    yield from islice(told, MOST_NAMED)
    more = sum(1 for _ in told)
    if more:
        yield f"and {more} {rest}"


def _broken(tx: Connection) -> Iterator[str]:
    """What is wrong with the chain itself, and with what its entries tell of."""
    pruned, emptied = _up_to(tx, Kind.PRUNED), _up_to(tx, Kind.EMPTIED)
    before: Row | None = None
    for entry in _entries(tx):
        yield from _first(tx, entry) if before is None else _follows(before, entry)
        if not _sound(entry):
            yield f"entry {entry['number']} of the journal was altered"
        if entry["kind"] in _CAME:
            yield from _message(entry, pruned, emptied)
        before = entry


def _sound(entry: Row) -> bool:
    """Whether its hash is that of what it says; what cannot even be laid out has been altered."""
    told = (entry["number"], entry["at"], entry["kind"], entry["message_row"], entry["content"])
    try:
        return bool(hash_of(*told, entry["previous"]) == entry["hash"])
    except (ValueError, StructError):
        return False


def _first(tx: Connection, entry: Row) -> Iterator[str]:
    number = entry["number"]
    if number == 1:
        if entry["previous"] != BEFORE_THE_FIRST:
            yield "entry 1 of the journal is not the first of its chain: what came before it was removed"
        return
    cut = exists().where(journal.c.kind == Kind.CUT, journal.c.content == entry["previous"])
    if not tx.execute(select(cut)).scalar():
        yield f"the journal begins with entry {number}: those before it were removed, and not by retention"


def _follows(before: Row, entry: Row) -> Iterator[str]:
    last, number = before["number"], entry["number"]
    if number != last + 1:
        gone = f"entry {last + 1}" if number == last + 2 else f"entries {last + 1} to {number - 1}"
        yield f"{gone} of the journal: removed"
    elif entry["previous"] != before["hash"]:
        yield (
            f"entry {number} of the journal does not follow entry {last}: one of the two was put in, moved "
            "or altered"
        )


def _message(entry: Row, pruned: int, emptied: int) -> Iterator[str]:
    """What is wrong with the message that an entry tells of."""
    number, row = entry["number"], entry["message_row"]
    if entry["there"] is None:
        if row > pruned:
            yield f"message {row} was removed; entry {number} of the journal tells of it"
        return
    if (entry["sha256"] or entry["payload"]) != entry["content"]:
        yield f"message {row} has another hash than entry {number} of the journal tells"
    elif entry["kind"] == Kind.NOT_KEPT:
        return
    elif entry["kept"] is None and entry["erased"] is None and row > emptied:
        yield f"the content of message {row} was removed, and neither by retention nor by erasing"


def _entries(tx: Connection) -> Iterator[Row]:
    """The entries in order, each with what there is of its message; a piece at a time."""
    after = -(2**63)
    while piece := found(tx, _next_entries(after)):
        yield from piece
        after = piece[-1]["number"]


def _next_entries(after: int) -> Select[tuple[object, ...]]:
    erasing = journal.alias("erasing")
    erased = (
        select(func.max(erasing.c.number))
        .where(erasing.c.message_row == journal.c.message_row, erasing.c.kind == Kind.ERASED)
        .scalar_subquery()
    )
    return (
        select(
            journal,
            message.c.id.label("there"),
            message.c.payload,
            message.c.sha256,
            payload.c.hash.label("kept"),
            erased.label("erased"),
        )
        .outerjoin(message, message.c.id == journal.c.message_row)
        .outerjoin(payload, payload.c.hash == message.c.payload)
        .where(journal.c.number > after)
        .order_by(journal.c.number)
        .limit(PIECE)
    )


def _without_entry(tx: Connection) -> Iterator[str]:
    """Messages that the journal does not know: their entries were removed, or they were put in."""
    cut, last = _up_to(tx, Kind.CUT), -(2**63)
    known = exists().where(journal.c.message_row == message.c.id, journal.c.kind.in_(_CAME))
    while True:
        query = select(message.c.id).where(~known, message.c.id > max(cut, last))
        rows = list(tx.execute(query.order_by(message.c.id).limit(PIECE)).scalars())
        if not rows:
            return
        yield from (
            f"message {row} has no entry in the journal: it was removed, or never made" for row in rows
        )
        last = rows[-1]


def _lost(tx: Connection, noted: Head) -> Iterator[str]:
    """Whether a head noted earlier is in the chain still."""
    query = select(journal.c.hash).where(journal.c.number == noted.number)
    own = tx.execute(query).scalar_one_or_none()
    if own == noted.hash:
        return
    if own is not None:
        yield (
            f"entry {noted.number} of the journal is another than the one that was noted: the chain was made "
            "anew from there or before, or an older backup was put back and more has come since"
        )
        return
    first, last = tx.execute(select(func.min(journal.c.number), func.max(journal.c.number))).one()
    if last is None or noted.number > last:
        yield (
            f"the journal ends with entry {last or 0}, but entry {noted.number} was noted: its end was "
            "removed, or an older backup was put back"
        )
    elif noted.number < first:
        yield (
            f"entry {noted.number} of the journal cannot be proven any more: retention has cut what is "
            f"before entry {first}; note a newer head"
        )


def _up_to(tx: Connection, kind: Kind) -> int:
    """The highest message row of the entries of that kind; 0 where there is none."""
    query = select(func.max(journal.c.message_row)).where(journal.c.kind == kind)
    return tx.execute(query).scalar() or 0
