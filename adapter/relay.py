"""Between two parties that are not ours we only relay: bytes unaltered, no receipt, nothing judged.

So what we cannot read, or would refuse, is theirs to settle: it goes on as it came, in the order of its
conversation, and the final receiver's own receipt is passed back (HITS 1168 4.1, 5.1).
"""

from datetime import date, datetime

from sqlalchemy import Connection

from adapter.messaging.envelope import Envelope
from adapter.messaging.register import Party, Register, Side
from adapter.messaging.routing import Route
from adapter.outbox import Outbox
from adapter.parcels import RELAYED, Parcel, enqueue


def relays(
    register: Register, envelope: Envelope, sender: Party, day: date, *, read: bool
) -> tuple[Route, ...]:
    """The ways from a party of theirs to the addressed parties of theirs; empty from one of ours.

    A message that we can read goes only where exactly its dialect is read; of one that we cannot, we know
    no more than the standard that its head is written in.
    """
    if sender.side is not Side.THEIRS:
        return ()
    found = []
    for index, address in enumerate(envelope.receivers):
        party = register.resolve(address, day)
        if party is None or party.side is not Side.THEIRS:
            continue
        endpoint = register.endpoint_of(party)
        fits = endpoint is None or _fits(endpoint.dialect, envelope.dialect, read=read)
        if fits:
            found.append(Route(index=index, party=party, endpoint=endpoint, relayed=True))
    return tuple(found)


def _fits(reads: str, written: str, *, read: bool) -> bool:
    return reads == written if read else reads.partition("-")[0] == written.partition("-")[0]


def pass_on(
    tx: Connection,
    outbox: Outbox,
    envelope: Envelope,
    ways: tuple[Route, ...],
    *,
    content: bytes,
    kept: bytes,
    row: int,
    now: datetime,
) -> None:
    """Enqueue the bytes as they came, once for each party; `kept` is their hash in the store."""
    first = {way.party.id: way for way in reversed(ways)}
    for way in reversed(first.values()):
        enqueue(
            tx,
            Parcel(
                kind=RELAYED,
                party=way.party.id,
                endpoint=way.endpoint.name if way.endpoint else None,
                dialect=way.endpoint.dialect if way.endpoint else envelope.dialect,
                message_id=envelope.message_id,
                content=content,
                content_type=envelope.content_type,
                kept=kept,
                message_row=row,
                refers_to=envelope.refers_to,
                thread=envelope.conversation or envelope.refers_to or envelope.message_id,
            ),
            now,
        )
