"""The dialects: one module or package per standard, each a dictionary to and from the canonical FHIR Bundle.

A dialect is any module with these functions (`Dialect` below is their protocol):

    recognises(head) -> bool                          by the first bytes and the content type alone
    read(content, content_type, zone) -> Reading      raises Refused where not even the envelope is legible
    envelope(content, content_type, zone) -> Envelope the outside of a message that has been read before
    write(bundle, dialect, addressing) -> Written     the message in the receiver's dialect
    acknowledge(envelope, verdict) -> bytes | None    None where the standard wants none
    repeat(content, at, number) -> bytes              the same message in one more sending, the `number`th

So N dialects cost N dictionaries. Tables packaged with them (codes/*.toml) count as code. Whatever else an
operator has messages held against stands behind all of them (`mappings.checking`).
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo
from typing import Any, Protocol

from adapter.discharge.answering import MAY_ANSWER
from adapter.messaging.acknowledgement import Acknowledgement, Verdict
from adapter.messaging.envelope import Address, Envelope
from adapter.phrases import Phrase

Bundle = dict[str, Any]
"""A FHIR R4 message Bundle as parsed JSON: MessageHeader first, references by fullUrl."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """What a dialect may look at to know its own."""

    content: bytes
    content_type: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What was understood of a message.

    Either `bundle` (a notice, canonical) or `acknowledgement` (a receipt) is there. `problem` is a refusal
    or quarantine that was found after the envelope was legible, so that it can be answered; beside a bundle
    it is something to hold a message for that was read whole.
    `in_words` is beside an answer that was heard in free text: the same as the words that it is, which it
    stays where its sender is of none of the kinds in `said_by`.
    `losses` are sentences: what has no place in FHIR; `faults` too: what an official schema has against it.
    """

    envelope: Envelope
    bundle: Bundle | None = field(default=None, repr=False)
    in_words: Bundle | None = field(default=None, repr=False)
    said_by: tuple[str, ...] = MAY_ANSWER
    acknowledgement: Acknowledgement | None = None
    losses: tuple[Phrase, ...] = ()
    problem: Exception | None = None
    faults: tuple[Phrase, ...] = ()

    def heard_from(self, kind: str) -> "Reading":
        """What was understood once it is known what kind of party wrote it: not all may say it."""
        if self.in_words is None or kind in self.said_by:
            return self
        return replace(self, bundle=self.in_words, in_words=None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Addressing:
    """What the writer needs that the notice does not say: from whom, to whom, under which new number."""

    message_id: str
    transmission_id: str
    sender: Address
    receiver: Address
    refers_to: str | None = None  # the id under which the receiver knows the earlier message
    conversation: str | None = None
    production: bool = False
    telephone: str | None = None  # where to call the sender, where the message itself does not say it
    previous: bytes | None = field(default=None, repr=False)
    """The last message of this sender to this receiver about the stay, where the standard builds on it.

    Of what people write to each other, the message that is answered.
    """


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """A message ready to leave."""

    content: bytes
    content_type: str
    type: str
    losses: tuple[Phrase, ...] = ()


class Dialect(Protocol):
    """The functions that make a module a dialect."""

    @property
    def NAMES(self) -> tuple[str, ...]: ...  # a constant of the module

    def recognises(self, head: Head) -> bool: ...

    def read(self, content: bytes, *, content_type: str | None, zone: tzinfo) -> Reading: ...

    def envelope(self, content: bytes, *, content_type: str | None, zone: tzinfo) -> Envelope: ...

    def write(self, bundle: Bundle, *, dialect: str, addressing: Addressing) -> Written: ...

    def acknowledge(self, envelope: Envelope, verdict: Verdict) -> bytes | None: ...

    def repeat(self, content: bytes, *, at: datetime, number: int) -> bytes: ...
