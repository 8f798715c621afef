"""What messages are held against beyond the typed reading, where the operator has it: official schemas.

The dialects know nothing of it: the bytes of a message are the same for whoever checks them, so one check
stands behind every reading and every writing, and a dialect stays a dictionary.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from adapter.errors import CannotWrite, Refused
from adapter.mappings import Reading
from adapter.phrases import English, Phrase, phrase

TOLD_IN_A_REFUSAL = 3
"""Faults that a sender is told; the first one is often the reason of the others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One thing that is not as the schema has it. In words it holds none of the message's text."""

    line: int
    path: str  # names of elements, from the root or the payload down
    what: str  # in English, or a phrase
    only_a_code: bool = False  # a value that the schema does not know, for which nothing is refused (N-06)

    def __str__(self) -> str:
        return self.said

    @property
    def said(self) -> Phrase:
        """As a sentence for people."""
        what = self.what if isinstance(self.what, Phrase) else English(self.what)
        return phrase("line {line}, {path}: {fault}", line=str(self.line), path=self.path, fault=what)


def _nothing(content: bytes) -> Sequence[Fault]:
    return ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Checks:
    """The operator's choice of what is checked, and of what follows from a fault (standards: N-05, N-06)."""

    faults: Callable[[bytes], Sequence[Fault]] = _nothing
    refuse: bool = False  # what came with faults; else it is taken, with a warning

    @property
    def active(self) -> bool:
        """Whether anything is checked at all."""
        return self.faults is not _nothing

    def incoming(self, reading: Reading, content: bytes) -> Reading:
        """The reading with what is wrong with its bytes, refused with T02 where that was chosen.

        Only what was read whole: the typed reading's own refusal tells more, and a receipt is never refused,
        for nobody could answer it, and its word would be lost.
        """
        found = self.faults(content)
        if not found:
            return reading
        told = tuple(fault.said for fault in found)
        grave = [fault.said for fault in found if not fault.only_a_code]
        if not self.refuse or not grave or reading.bundle is None:
            return replace(reading, faults=told)
        reason = phrase(
            "the message is not valid against its schema: {faults}; correct it and send it anew",
            faults=few(grave),
        )
        return replace(reading, faults=told, problem=Refused(reason, code="T02"))

    def outgoing(self, content: bytes) -> None:
        """Raises CannotWrite where what we have written is not as its schema has it."""
        found = self.faults(content)
        if found:
            raise CannotWrite(
                phrase(
                    "what would be sent is not valid against its schema: {faults}",
                    faults=few([fault.said for fault in found]),
                )
            )


def few(faults: Sequence[Phrase]) -> Phrase:
    """The first faults as part of a sentence, and how many more there are."""
    told, more = [*faults[:TOLD_IN_A_REFUSAL]], len(faults) - TOLD_IN_A_REFUSAL
    if more > 0:
        told.append(phrase("and {number} more", number=more))
    return phrase("{faults}", faults=told)


NO_CHECKS = Checks()
"""No schemas: the typed reading alone finds what matters."""
