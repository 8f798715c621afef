"""The national message server's REST interface (NHN EDI 2.0, Meldingstjener API v2) as a transport.

A message goes out as `POST /Messages`, an AppRec as JSON to the message that it is for, once: what the server
already has of us is not given again. A posted message is taken, not delivered: what became of it is asked of
the server later (`scheduler.confirming`), and the server itself sends it again where it must.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from adapter.errors import Refused
from adapter.mappings.kith.message_server import (
    Given,
    given,
    guid,
    is_receipt,
    posting,
    receivers_in,
    told,
    unfit,
)
from adapter.messaging.delivery import Reply
from adapter.messaging.register import Endpoint
from adapter.phrases import phrase
from adapter.transport import Notes, Outgoing
from adapter.transport.edi_client import MessageServer, may_pass, parsed

MESSAGES = "/Messages"

CAME = "came/"
"""How the notes begin that say as what a message came in."""

WENT = "went/"
"""How the notes begin that say as what a delivery was posted."""


class Numbers(Protocol):
    """The HER-ids of a party; `runtime` wires the register's."""

    def __call__(self, party: str) -> Sequence[frozenset[int]]: ...


def came_as(message_id: str, sender: int) -> str:
    """The note that says as what a message of that sender came in."""
    return f"{CAME}{sender}/{message_id}"


def went_as(delivery_id: int) -> str:
    """The note that says as what a delivery was posted last."""
    return f"{WENT}{delivery_id}"


class Edi:
    """Posts to the message server whose address the endpoint has."""

    def __init__(
        self,
        servers: Mapping[str, MessageServer],
        *,
        notes: Callable[[str], Notes],
        numbers: Numbers,
    ) -> None:
        self._servers = servers  # by address
        self._notes = notes  # by the server's name
        self._numbers = numbers

    def send(self, message: Outgoing, endpoint: Endpoint) -> Reply:
        """One attempt; with the same bytes under the same MsgId each time."""
        server = self._servers.get(endpoint.address.rstrip("/"))
        if server is None:
            why = phrase(
                "no message server of the settings is at endpoint {endpoint}", endpoint=endpoint.name
            )
            return Reply(status=404, error=why)
        if is_receipt(message.content):
            return self._receipt(server, message, endpoint)
        return self._message(server, message, endpoint)

    def _message(self, server: MessageServer, message: Outgoing, endpoint: Endpoint) -> Reply:
        why = unfit(message.content)
        if why is not None:
            return Reply(status=413, error=why)
        subset = self._subset(message)
        if subset is None:
            nobody = phrase("none of the message's receivers is the one that it is to go to")
            return Reply(status=422, error=nobody)
        reply = server.call("POST", MESSAGES, endpoint, body=posting(message.content, subset))
        if reply.taken:
            self._note(server, message, reply)
        return _posted(reply)

    def _note(self, server: MessageServer, message: Outgoing, reply: Reply) -> None:
        """As what the server has it; its answer may have been cut short after the Location."""
        number = guid(parsed(reply)) or guid((reply.location or "").rstrip("/").rpartition("/")[2])
        if number is not None:
            self._notes(server.name).put(went_as(message.delivery_id), number)

    def _subset(self, message: Outgoing) -> Sequence[int] | None:
        """Which of several receivers this is for; empty where there is one only, None where it is for none.

        A message to several is a delivery to each of them, and each receiver must get it once.
        """
        receivers = receivers_in(message.content)
        if len(receivers) <= 1 or message.party is None:
            return ()
        for own in self._numbers(message.party):
            mine = [one[0] for one in receivers if own & set(one)]
            if mine:
                return mine
        return None

    def _receipt(self, server: MessageServer, message: Outgoing, endpoint: Endpoint) -> Reply:
        try:
            made = given(message.content)
        except Refused as problem:
            return Reply(status=422, error=problem.reason)
        notes = self._notes(server.name)
        found = (notes.get(came_as(made.original_id, sender)) for sender in made.receivers)
        original = next(filter(None, found), None)
        if original is None:
            return Reply(
                status=422,
                error=phrase(
                    "the message that this receipt is for did not come from the message server, or too "
                    "long ago; tell its sender by telephone"
                ),
            )
        until = server.deadline(endpoint)
        before = server.call("GET", f"{MESSAGES}/{original}/apprec", endpoint, until=until)
        if may_pass(before):
            return _posted(before)
        if _has_it(made, before):
            return Reply(taken=True, status=200, ms=before.ms)
        if server.expired(until):
            late = phrase("the message server is too slow for one attempt; it goes on with the next")
            return Reply(error=late)
        path = f"{MESSAGES}/{original}/apprec/{made.sender}"
        return _posted(server.call("POST", path, endpoint, body=made.content, until=until))


def _has_it(made: Given, reply: Reply) -> bool:
    """Whether the server has this receipt of ours: an earlier attempt's answer may have been lost.

    There is one receipt of each receiver, ever (HITS 1168 5.1), so it is asked each time.
    """
    return any(one.her_id == made.sender and one.status is not None for one in told(parsed(reply)))


def _posted(reply: Reply) -> Reply:
    """Taken, and not yet delivered. The body is the server's id of it, which is no message."""
    return Reply(
        status=reply.status,
        taken=reply.taken,
        retry_after=reply.retry_after,
        error=reply.error,
        ms=reply.ms,
    )
