"""Alarms for people: a small JSON document posted to the one URL that the operator has configured."""

from adapter.messaging.delivery import Reply
from adapter.messaging.register import Endpoint
from adapter.transport import Outgoing
from adapter.transport.wire import UNUSABLE, Wire, prepared

LARGEST_ANSWER = 64 * 1024
"""Bytes that are read of the answer; nothing in it is used."""


class Webhook:
    """Posts JSON; a 2xx says that the receiver has it. The address may be a secret: no error shows it."""

    def __init__(self) -> None:
        self._wire = Wire()

    def send(self, message: Outgoing, endpoint: Endpoint) -> Reply:
        """One POST; the message id lets the receiver know a repeated one."""
        try:
            request = prepared("POST", endpoint.address, endpoint.token, "*/*", message.content_type)
        except ValueError:
            return Reply(error=UNUSABLE)
        return self._wire.call(
            request, endpoint, most=LARGEST_ANSWER, body=message.content, id=message.message_id
        )
