"""A MedCom message that came in a VANSEnvelope, or goes out in one: inside, it is read and written as ever.

Its envelope's dialect is `medcom-vans`, so that its receipt goes back in an envelope too.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, tzinfo

from adapter.fhir import wire
from adapter.mappings import Reading, Written
from adapter.mappings.medcom import vans
from adapter.messaging.envelope import Envelope

Read = Callable[..., Reading]
Outside = Callable[..., Envelope]

_INSIDE, _ENDS = "inside", "ends"
"""In Envelope.opaque: the format of the message itself, and who sent the VANSEnvelope to whom."""


def read(content: bytes, *, zone: tzinfo, message: Read) -> Reading:
    """What is in the envelope, read by `message`; a receipt of the network is a Reading of its own."""
    root = vans.parse(content)
    if vans.is_receipt(root):
        outside, said = vans.receipt(root, zone)
        return Reading(envelope=outside, acknowledgement=said)
    found = vans.opened(root)
    reading = message(found.message, content_type=found.content_type, zone=zone)
    said_outside = vans.misnamed(found, wire.parse_again(found.message, found.content_type))
    return replace(
        reading,
        envelope=_enveloped(reading.envelope, found),
        losses=(*found.losses, *said_outside, *reading.losses),
    )


def envelope(content: bytes, *, zone: tzinfo, message: Outside) -> Envelope:
    """The outside of what has been read before."""
    root = vans.parse(content)
    if vans.is_receipt(root):
        return vans.receipt(root, zone)[0]
    found = vans.opened(root)
    return _enveloped(message(found.message, content_type=found.content_type, zone=zone), found)


def inside(outside: Envelope) -> Envelope:
    """The outside as the message itself has it, without the VANSEnvelope."""
    mirror = outside.opaque if isinstance(outside.opaque, dict) else {}
    return replace(outside, dialect="medcom", content_type=mirror.get(_INSIDE, outside.content_type))


def close(message: bytes) -> bytes:
    """The message in an envelope; raises CannotWrite where a party has no location number."""
    return vans.wrapped(message, wire.parse_again(message))


def written(message: Written) -> Written:
    """A message that is ready to leave, in an envelope."""
    return replace(message, content=close(message.content), content_type=vans.CONTENT_TYPE)


def opened(content: bytes | None) -> bytes | None:
    """The message itself, of one in an envelope."""
    if content is None or not vans.recognises(content):
        return content
    return vans.opened(vans.parse(content)).message


def answer(message: bytes, outside: Envelope) -> bytes:
    """A receipt in an envelope that goes back to where the other one came from."""
    mirror = outside.opaque if isinstance(outside.opaque, dict) else {}
    sender, receiver = mirror.get(_ENDS) or (None, None)
    return vans.wrapped(message, wire.parse_again(message), sender=receiver, receiver=sender)


def repeat(content: bytes, *, at: datetime, number: int, message: Callable[..., bytes]) -> bytes:
    """A new sending: the message anew by `message`, in a new envelope."""
    found = vans.opened(vans.parse(content))
    anew = message(found.message, at=at, number=number)
    return vans.wrapped(anew, wire.parse_again(anew), sender=found.sender, receiver=found.receiver)


def _enveloped(outside: Envelope, found: vans.Opened) -> Envelope:
    mirror = outside.opaque if isinstance(outside.opaque, dict) else {}
    return replace(
        outside,
        dialect=vans.NAME,
        content_type=vans.CONTENT_TYPE,
        opaque=mirror | {_INSIDE: outside.content_type, _ENDS: (found.sender, found.receiver)},
    )
