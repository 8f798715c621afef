"""Notifications posted to a subscriber (HL7 Subscriptions R5 Backport, channel `rest-hook`)."""

from dataclasses import replace

from adapter.messaging.delivery import Reply
from adapter.messaging.register import Endpoint
from adapter.transport import Outgoing
from adapter.transport.wire import UNUSABLE, Wire, prepared

LARGEST_ANSWER = 64 * 1024
"""Bytes that are read of the answer; nothing in it is used."""


class RestHook:
    """Posts a Bundle; a 2xx says that the subscriber has it.

    Address and headers may be secrets, and no error shows them. What the subscriber answers is left behind:
    it is nobody's receipt and no message.
    """

    def __init__(self) -> None:
        self._wire = Wire()

    def send(self, message: Outgoing, endpoint: Endpoint) -> Reply:
        """One POST; the message id lets the subscriber know a repeated one."""
        kind = message.content_type
        try:
            request = prepared("POST", endpoint.address, endpoint.token, kind, kind, endpoint.headers)
        except ValueError:
            return Reply(error=UNUSABLE)
        reply = self._wire.call(
            request, endpoint, most=LARGEST_ANSWER, body=message.content, id=message.message_id
        )
        return replace(reply, body=b"", content_type=None)
