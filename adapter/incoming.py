"""What came in, and what was understood of it: the only validation there is. Pure.

The bytes are recognised, read by their dialect, and turned into the notice that the field knows; or there is
a problem, told so that the sender or the operator can act on it. Nothing that a message can hold raises.
"""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo

from adapter.discharge.notices import Notice, NoticeKind
from adapter.errors import ConfigurationError, MessageError, Quarantined, Refused
from adapter.fhir.bundles import Subject
from adapter.fhir.likeness import likeness
from adapter.fhir.notices import notice_in, subject_in
from adapter.mappings import Head, Reading
from adapter.mappings.checking import NO_CHECKS, Checks
from adapter.mappings.known import recognise
from adapter.messaging.register import Partner
from adapter.phrases import phrase

HEAD_KEPT = 64 * 1024
"""What is kept of a message over the size limit: its first bytes, its hash and its size."""

BOARD = "board"
"""The channel of what a person tells on a board: the page shows its receipts, no system waits for them."""

_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Incoming:
    """Bytes at the door, and what is known of how they came."""

    content: bytes = field(repr=False)  # only the head where `oversize` is set
    content_type: str | None = None
    channel: str = "command-line"  # http, directory, poll, command-line, reply, release, board
    partner: Partner | None = None  # who has signed in; None where nobody must
    oversize: int | None = None  # the whole size in bytes, of a message over the limit
    sha256: str | None = None  # of the whole of it, where it was read to the end
    mailbox: str | None = None  # where it waited, and under which key and cursor
    key: str | None = field(default=None, repr=False)
    cursor: str | None = None

    @property
    def awaited(self) -> bool:
        """Whether somebody waits for the answer; else it must travel as a message of its own."""
        return self.channel in ("http", "command-line", BOARD)


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """Bytes that have been read and validated, once; or the reason why they cannot be."""

    incoming: Incoming
    reading: Reading | None = None
    notice: Notice | None = None
    subject: Subject | None = None
    problem: MessageError | None = None
    likeness: bytes | None = None  # of what it says, whoever it is addressed to; plans and receipts have none
    not_for: frozenset[str] = frozenset()  # parties of ours that may not know of the patient
    kept: bool = True  # False: nobody may keep what it says, so nothing of that is ever stored


def understand(incoming: Incoming, zone: tzinfo, checks: Checks = NO_CHECKS) -> Prepared:
    """Recognise, read, validate. Never raises for anything that a message can contain.

    Raises ConfigurationError where the schemas of `checks` cannot be used.
    """
    try:
        return _understood(incoming, zone, checks)
    except MessageError as problem:
        return Prepared(incoming=incoming, problem=problem)
    except ConfigurationError:
        raise
    except Exception as fault:  # noqa: BLE001  # a fault of ours must not lose a message of theirs
        return Prepared(incoming=incoming, problem=fault_of_ours(fault))


def _understood(incoming: Incoming, zone: tzinfo, checks: Checks) -> Prepared:
    if incoming.oversize is not None:
        size = incoming.oversize / 1_048_576
        reason = phrase(
            "the message is {size} MiB, over the limit; send it in parts, or without attachments",
            size=round(size),
        )
        return Prepared(incoming=incoming, problem=Refused(reason, code="too-long"))
    dialect = recognise(Head(content=incoming.content, content_type=incoming.content_type))
    if dialect is None:
        reason = phrase(
            "neither a KITH message (MsgHead 1.2, AppRec) nor a FHIR Bundle; check what was sent, "
            "its namespace and its encoding"
        )
        return Prepared(incoming=incoming, problem=Refused(reason, code="structure"))
    reading = dialect.read(incoming.content, content_type=incoming.content_type, zone=zone)
    reading = checks.incoming(reading, incoming.content)
    problem = reading.problem if isinstance(reading.problem, MessageError) else None
    if reading.bundle is None:
        return Prepared(incoming=incoming, reading=reading, problem=problem)
    try:
        notice, subject = notice_in(reading.bundle, zone=zone), subject_in(reading.bundle)
    except MessageError as unread:  # the envelope is legible, so that it can be answered
        return Prepared(incoming=incoming, reading=reading, problem=problem or unread)
    plan = notice.kind is NoticeKind.CARE_PLAN  # which says by itself what it is a version of
    return Prepared(
        incoming=incoming,
        reading=reading,
        notice=notice,
        subject=subject,
        problem=problem,
        likeness=None if plan else likeness(reading.bundle),
    )


def heard_from(kind: str, prepared: Prepared, zone: tzinfo) -> Prepared:
    """The same, once it is known what kind of party wrote it: what is no answer of theirs is their words."""
    if prepared.reading is None or prepared.notice is None:
        return prepared
    reading = prepared.reading.heard_from(kind)
    if reading is prepared.reading or reading.bundle is None:
        return prepared
    return replace(prepared, reading=reading, notice=notice_in(reading.bundle, zone=zone))


def fault_of_ours(fault: Exception) -> Quarantined:
    """A message over which we stumbled ourselves: held, and nobody but us has anything to correct."""
    return Quarantined(
        phrase(
            "the adapter stumbled over it ({fault}), which is our fault and not the sender's; "
            "report it, and release the message after the next version",
            fault=type(fault).__name__,
        ),
        code="internal",
    )


def meaning(prepared: Prepared) -> object:
    """What a message says, without its envelope: two that say the same are one."""
    reading = prepared.reading
    if reading is None:
        return prepared.incoming.content
    if prepared.notice is None:
        said = reading.acknowledgement  # one made out anew under its own id is the same, whatever its time
        return said and replace(said, at=_EPOCH), str(prepared.problem)
    return replace(prepared.notice, sent_at=_EPOCH), prepared.subject
