"""What passes between a payload and its envelope: what was read of it, and what was written for it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from lxml import etree

from adapter.discharge.notices import Notice
from adapter.fhir.bundles import Bundle, Clinician, Unit
from adapter.phrases import Phrase


@dataclass(frozen=True, kw_only=True, slots=True)
class Attachment:
    """A file that travels beside the payload, in a Document of its own (MsgHead 1.2, base64container)."""

    content: bytes = field(repr=False)
    media_type: str
    title: str | None = None
    issued: str | None = None  # as written


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What a payload says: the notice, and what stands beside it in the Bundle.

    `dress` adds to the finished Bundle what no notice holds (the record, the words of a dialogue), and
    returns sentences: what has no place in FHIR. `in_words` is the notice of a sender who may not answer,
    where an answer was heard in a dialogue: with the whole of its text.
    """

    notice: Notice
    responsible: Clinician | None = None
    unit: Unit | None = None
    discharged_to: tuple[str, str, str] | None = None
    losses: tuple[Phrase, ...] = ()
    in_words: Notice | None = None
    dress: Callable[[Bundle], Iterable[Phrase]] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Payload:
    """A payload ready for its envelope."""

    message_type: str
    notice: Notice
    element: etree._Element
    losses: tuple[Phrase, ...]
    attachments: tuple[Attachment, ...] = ()
