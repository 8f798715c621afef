"""Every error that the adapter raises on purpose, drawn once.

    AdapterError
    ├── ConfigurationError       ours to set right before anything starts: what, where, what to do
    ├── StoreError               the store said no: busy for too long, full, or of another version
    │   └── Elsewhere            another process writes the same, or about the same patient, at this moment
    ├── NotOnDuty                another process has taken this duty over; nothing has been written
    ├── OutputError              standard output does not take what a command has to print
    └── Explained                what pages show too: its text is a phrase, and can be said in any language
        ├── MessageError         about one message that came in
        │   ├── Refused          theirs, for good: answered in the sender's own dialect, never releasable
        │   └── Quarantined      waits for a correction of our own data; no receipt has been given yet
        ├── CannotWrite          a notice has no form in the dialect that its receiver reads
        ├── NotDecided           whether we may keep a message cannot be said now; its sender keeps it
        ├── MailboxError         a mailbox could not be read to its end; the rest waits for the next poll
        ├── RegisterError        the address register could not be asked, or its answer not be understood
        └── NotFound             a case, delivery or message that a person named does not exist

What a partner answers is never an exception: it is a `messaging.delivery.Reply`, judged by `messaging.retry`.
No message of these errors holds a national identity number or a message body.
"""

from adapter.phrases import Phrase, verbatim


class AdapterError(Exception):
    """Anything that the adapter raises on purpose; its text says what, where and what to do."""


class ConfigurationError(AdapterError):
    """A setting or a region file cannot be used; nothing has been started."""


class Explained(AdapterError):
    """One whose text people read on the pages, in their language."""

    def __init__(self, said: Phrase) -> None:
        super().__init__(said)

    @property
    def said(self) -> Phrase:
        """Its text, as a page says it."""
        return verbatim(self.args[0])


class MessageError(Explained):
    """A message cannot be taken as it stands.

    `code` is the standard's own code where it has one (KITH list 8221: E10, E36, T01, T02, T10;
    FHIR issue type: invalid, required, not-supported, …); `reason` is a sentence for a person.
    """

    def __init__(self, reason: Phrase, *, code: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


class Refused(MessageError):
    """The sender must correct and send anew; a negative receipt is given and is final (HITS 1168 4.4)."""


class Quarantined(MessageError):
    """We cannot take it yet: a party, an endpoint or a mapping of our own is missing."""


class CannotWrite(Explained):
    """The notice has no form in the dialect asked for."""


class StoreError(AdapterError):
    """The store could not do what was asked, and nothing of it was done."""


class Elsewhere(StoreError):
    """Another process writes the same, or about the same patient; the unit of work comes anew by itself."""


class NotDecided(Explained):
    """Whether anybody may keep a message cannot be said now; nothing of it was stored or answered."""


class NotOnDuty(AdapterError):
    """What only one process does at a time is done by another one now."""


class MailboxError(Explained):
    """A mailbox could not be read to its end; no cursor has passed what was not read."""


class RegisterError(Explained):
    """The address register gave no answer that can be used; what is known of it from before still holds.

    `whole`: so it is for every HER-id just now, not only for the one that was asked about.
    """

    def __init__(self, text: Phrase, *, whole: bool) -> None:
        super().__init__(text)
        self.whole = whole


class OutputError(AdapterError):
    """What a command has done is done, but its output could not be written."""


class NotFound(Explained):
    """Nothing in the store has that id."""
