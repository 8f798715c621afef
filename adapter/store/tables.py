"""The tables, once, for SQLite and PostgreSQL.

The delivery log is the queue: what an operator looks at is what the engine works from. Instants are whole
microseconds since 1970 UTC (compact, indexable, the same on both engines); the local day is a matter for
those who know the hospital's zone. Payloads are compressed and stored once by content hash, so a message
that is only passed on costs its bytes once.
"""

import zlib
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    DDL,
    BigInteger,
    Column,
    Date,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    event,
    text,
)
from sqlalchemy.types import TypeDecorator

from adapter.phrases import packed, unpacked

metadata = MetaData()

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FIRST = (datetime(1, 1, 3, tzinfo=UTC) - _EPOCH) // _MICROSECOND
_LAST = (datetime(9999, 12, 29, tzinfo=UTC) - _EPOCH) // _MICROSECOND


_SMALL = 8192


def _compressed(content: bytes) -> bytes:
    """Under zlib; little content with little memory, as preparing the usual tables costs more than it."""
    if len(content) > _SMALL:
        return zlib.compress(content, 6)
    small = zlib.compressobj(6, zlib.DEFLATED, 13, 6)  # a window of 8 kB
    return small.compress(content) + small.flush()


def microseconds(moment: datetime) -> int:
    """Since 1970 UTC."""
    return (moment - _EPOCH) // _MICROSECOND


def instant(since: int) -> datetime:
    """And back, never at the calendar's very ends.

    Else one row whose sender wrote 9999-12-31 west of Greenwich could not be read, nor any list it stands in.
    """
    return _EPOCH + timedelta(0, 0, since if _FIRST <= since <= _LAST else min(max(since, _FIRST), _LAST))


class Instant(TypeDecorator[datetime]):
    """An aware datetime as microseconds since 1970 UTC."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else microseconds(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else instant(value)


class Compressed(TypeDecorator[bytes]):
    """Bytes kept under zlib; 6 kB of FHIR JSON come to about 1.7 kB in 0.07 ms."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> bytes | None:
        return None if value is None else _compressed(value)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> bytes | None:
        return None if value is None else zlib.decompress(value)


class Said(TypeDecorator[str]):
    """A phrase as its key and values, so that a page can say it in any language; other text as it is."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else packed(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else unpacked(value)


# SQLite numbers only a plain INTEGER primary key by itself, and has one width of integer.
_Wide = BigInteger().with_variant(Integer, "sqlite")
_Id = _Wide


def _id() -> Column[Any]:
    return Column("id", _Id, primary_key=True, autoincrement=True)


setting = Table(
    "setting",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

payload = Table(
    "payload",
    metadata,
    Column("hash", LargeBinary(32), primary_key=True),  # SHA-256 of the bytes as they came or left
    Column("content", Compressed, nullable=False),
)

message = Table(
    "message",
    metadata,
    _id(),
    Column("received_at", Instant, nullable=False),
    Column("channel", Text, nullable=False),  # http, directory, poll, command-line, reply, board
    Column("partner", Text),  # who had signed in
    Column("sender", Text),  # party id; NULL where we do not believe it or cannot read it
    Column("message_id", Text),  # the sender's own
    Column("transmission_id", Text),
    Column("dialect", Text),
    Column("type", Text),
    Column("standing", Text),  # of its notice: new, correction, cancellation; NULL where it has none
    Column("sent_at", Instant),
    Column("content_type", Text),
    Column("payload", LargeBinary(32)),
    Column("size", _Wide, nullable=False),  # of the whole message, also where only its head is kept
    Column("sha256", LargeBinary(32)),  # of the whole message, where only its head is kept
    Column("outcome", Text, nullable=False),  # accepted, refused, quarantined, released, not-relevant
    Column("code", Text),
    Column("reason", Said),
    Column("case_id", _Id),
    Column("acknowledgement", LargeBinary(32)),  # payload hash of what we answered
    Column("acknowledgement_type", Text),
    Column("duplicates", Integer, nullable=False, server_default="0"),
    Column("likeness", LargeBinary(32)),  # digest of what it says, whoever it is addressed to
    Column("same_as", _Id),  # the message of another id that said the same to another receiver
    Column("shelved", Integer, nullable=False, server_default="0"),  # 1: its resources can be read at /fhir
    Column("shelved_as", Text),  # JSON: names by place, where not a part's own
    Index(
        "message_unshelved",
        "id",
        sqlite_where=text("shelved = 0 AND outcome IN ('accepted', 'released')"),
        postgresql_where=text("shelved = 0 AND outcome IN ('accepted', 'released')"),
    ),
    Index(
        "message_not_relevant",
        "received_at",
        sqlite_where=text("outcome = 'not-relevant'"),
        postgresql_where=text("outcome = 'not-relevant'"),
    ),
    Index("message_payload", "payload"),  # retention asks who still holds a payload
    Index(
        "message_acknowledgement",
        "acknowledgement",
        sqlite_where=text("acknowledgement IS NOT NULL"),
        postgresql_where=text("acknowledgement IS NOT NULL"),
    ),
    Index(
        "message_case",
        "case_id",
        sqlite_where=text("case_id IS NOT NULL"),
        postgresql_where=text("case_id IS NOT NULL"),
    ),
    Index("message_identity", "sender", "message_id", unique=True),
    Index(
        "message_likeness",
        "likeness",
        sqlite_where=text("likeness IS NOT NULL"),
        postgresql_where=text("likeness IS NOT NULL"),
    ),
    Index(
        "message_same_as",
        "same_as",
        sqlite_where=text("same_as IS NOT NULL"),
        postgresql_where=text("same_as IS NOT NULL"),
    ),
    Index(
        "message_transmission",
        "transmission_id",
        sqlite_where=text("transmission_id IS NOT NULL"),
        postgresql_where=text("transmission_id IS NOT NULL"),
    ),
    Index(
        "message_held",
        "id",
        sqlite_where=text("outcome IN ('quarantined', 'refused')"),
        postgresql_where=text("outcome IN ('quarantined', 'refused')"),
    ),
)

case = Table(
    "discharge_case",
    metadata,
    _id(),
    Column("patient", Text, nullable=False),  # pseudonym
    Column("hospital", Text),
    Column("municipality", Text),
    Column("state", Text, nullable=False),
    Column("admitted_at", Instant),
    Column("ready_at", Instant),
    Column("discharged_at", Instant),
    Column("planned_discharge", Date),
    Column("day_only", Text),  # which of admitted_at, ready_at, discharged_at were told as a day, with commas
    Column("readmission_of", _Id),  # the case whose discharge came before it
    Column("readmission", Text),  # readmission, or possible where the messages do not tell enough
    Column("updated_at", Instant, nullable=False),
    Column("merged_into", _Id),  # an id is given once; after a merge it is an alias
    Column("owed_by", Text),  # the terms by which its days in `owed_day` were counted; NULL: count them anew
    Column("owed_at", Instant),  # when that was
    Column("owed_again", Instant),  # from when the clock alone makes it another count; NULL: never
    Index("case_patient", "patient"),
    Index(
        "case_changed",
        "updated_at",
        "id",
        sqlite_where=text("merged_into IS NULL"),
        postgresql_where=text("merged_into IS NULL"),
    ),
    Index(
        "case_merged",
        "merged_into",
        sqlite_where=text("merged_into IS NOT NULL"),
        postgresql_where=text("merged_into IS NOT NULL"),
    ),
    Index(
        "case_owed",
        "owed_by",
        "owed_at",
        sqlite_where=text("merged_into IS NULL"),
        postgresql_where=text("merged_into IS NULL"),
    ),
    Index(
        "case_owed_again",
        "owed_again",
        sqlite_where=text("merged_into IS NULL AND owed_again IS NOT NULL"),
        postgresql_where=text("merged_into IS NULL AND owed_again IS NOT NULL"),
    ),
    Index(
        "case_readmission_of",
        "readmission_of",
        sqlite_where=text("readmission_of IS NOT NULL"),
        postgresql_where=text("readmission_of IS NOT NULL"),
    ),
)

fact = Table(
    "fact",
    metadata,
    _id(),
    Column("patient", Text, nullable=False),
    Column("case_id", _Id, nullable=False),
    Column("kind", Text, nullable=False),  # a notice's kind, or a step of evidence
    Column("message_row", _Id),  # the message that told it
    Column("body", Text, nullable=False),
    Index("fact_patient", "patient"),
)

case_party = Table(
    "case_party",
    metadata,
    Column("party", Text, primary_key=True),  # has sent a notice of the case, or was addressed in one
    Column("case_id", _Id, primary_key=True),
    Column("concern", Text, nullable=False, server_default="current"),  # current, left, past, over
    Column("state", Text, nullable=False, server_default="admitted"),  # from here on as this party was told
    Column("stage", Integer, nullable=False, server_default="1"),  # discharge.partaking.Stage
    Column("admitted_at", Instant),
    Column("ready_at", Instant),
    Column("discharged_at", Instant),
    Column("coming", Date),  # the day on which the patient is expected to leave
    Column("answer", Text),  # to the readiness that stands; NULL: none yet
    Column("contact", Integer, nullable=False, server_default="0"),  # 1: a fixed care contact has been named
    Column("open_care", Integer),  # 1 or 0: whether it can follow up; NULL: not clarified
    Index("case_party_case", "case_id"),
    Index("case_party_concern", "party", "concern", "discharged_at"),
)

deadline = Table(
    "deadline",
    metadata,
    _id(),
    Column("case_id", _Id, nullable=False),
    Column("kind", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("party", Text),
    Column("since", Instant, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("state", Text, nullable=False),
    Column("basis", Text, nullable=False),
    Column("reason", Said),
    Column("settled_at", Instant),
    Column("remind_at", Instant),
    Column("reminded_at", Instant),
    Column("fired_at", Instant),
    Column("noted_at", Instant),  # when a person recorded what was done about its being missed
    Column("next_at", Instant),  # when the clock must look again; NULL when it never need
    Column("about", Text),  # the plan and its task; NULL where kind, party and since tell it from others
    Index("deadline_case", "case_id"),
    Index(
        "deadline_standing",
        "party",
        "due_at",
        sqlite_where=text("state IN ('open', 'missed')"),
        postgresql_where=text("state IN ('open', 'missed')"),
    ),
    Index(
        "deadline_wanted",
        "due_at",
        sqlite_where=text("state IN ('open', 'missed') AND noted_at IS NULL"),
        postgresql_where=text("state IN ('open', 'missed') AND noted_at IS NULL"),
    ),
    Index(
        "deadline_next",
        "next_at",
        sqlite_where=text("next_at IS NOT NULL"),
        postgresql_where=text("next_at IS NOT NULL"),
    ),
)

history = Table(
    "history",
    metadata,
    _id(),
    Column("at", Instant, nullable=False),
    Column("case_id", _Id),
    Column("subject", Text, nullable=False),  # deadline early-notice, delivery 17, message 4
    Column("what", Said, nullable=False),
    Column("by", Text),
    Index("history_case", "case_id"),
    Index("history_subject", "subject"),
)

delivery = Table(
    "delivery",
    metadata,
    _id(),
    Column("message_row", _Id, ForeignKey("message.id")),  # the message that made it necessary
    Column("case_id", _Id),
    Column("lane", Text, nullable=False),
    Column("kind", Text, nullable=False),  # a notice kind, or receipt, or alarm
    Column("party", Text, nullable=False),
    Column("endpoint", Text),
    Column("dialect", Text, nullable=False),
    Column("message_id", Text, nullable=False),  # inside the content; unchanging from sending to sending
    Column("refers_to", Text),  # message id of the delivery without which this one makes no sense
    Column("expects_receipt", Integer, nullable=False, server_default="1"),
    Column("payload", LargeBinary(32), nullable=False),  # of its present sending
    Column("sending", Integer, nullable=False, server_default="1"),  # which one that is
    Column("content_type", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("trigger", Text, nullable=False, server_default="schedule"),
    Column("resume_state", Text),  # where a person's resend found it, and where it goes back to if it fails
    Column("resume_at", Instant),  # what the schedule had planned then
    Column("attempts", Integer, nullable=False, server_default="0"),  # those of the schedule
    Column("created_at", Instant, nullable=False),
    Column("next_attempt_at", Instant),
    Column("hold_until", Instant),  # until then an earlier one that backs off may hold this one's lane
    Column("lease_until", Instant),
    Column("fence", Integer, nullable=False, server_default="0"),  # goes up with each lease: whose it is now
    Column("sent_at", Instant),
    Column("delivered_at", Instant),
    Column("accepted_at", Instant),
    Column("receipt_at", Instant),  # the own time of the receipt that counts
    Column("receipt_due_at", Instant),  # until when it is only awaited; NULL when it is missing
    Column("look_at", Instant),  # when the clock must look again for the receipt; NULL when it never need
    Column("error", Said),
    Column("original", _Id),  # the delivery that this one was reissued for
    Column("superseded_by", _Id),  # the delivery that goes, or that was cancelled, in its place
    Index(
        "delivery_due",
        "endpoint",
        "next_attempt_at",
        sqlite_where=text("state = 'waiting'"),
        postgresql_where=text("state = 'waiting'"),
    ),
    Index(
        "delivery_lane",
        "lane",
        "id",
        sqlite_where=text("state IN ('waiting', 'leased')"),
        postgresql_where=text("state IN ('waiting', 'leased')"),
    ),
    Index(
        "delivery_lease",
        "lease_until",
        sqlite_where=text("state = 'leased'"),
        postgresql_where=text("state = 'leased'"),
    ),
    Index(
        "delivery_receipt",
        "receipt_due_at",
        sqlite_where=text("receipt_due_at IS NOT NULL"),
        postgresql_where=text("receipt_due_at IS NOT NULL"),
    ),
    Index(
        "delivery_look",
        "look_at",
        sqlite_where=text("look_at IS NOT NULL"),
        postgresql_where=text("look_at IS NOT NULL"),
    ),
    Index(
        "delivery_by_hand",
        "endpoint",
        sqlite_where=text("state = 'waiting' AND \"trigger\" = 'person'"),
        postgresql_where=text("state = 'waiting' AND \"trigger\" = 'person'"),
    ),
    Index("delivery_created", "created_at"),
    Index(
        "delivery_unreceipted",
        "endpoint",
        "created_at",
        sqlite_where=text("state = 'sent' AND expects_receipt = 1"),
        postgresql_where=text("state = 'sent' AND expects_receipt = 1"),
    ),
    Index("delivery_message_id", "message_id"),
    Index(
        "delivery_refers",
        "refers_to",
        sqlite_where=text("refers_to IS NOT NULL"),
        postgresql_where=text("refers_to IS NOT NULL"),
    ),
    Index("delivery_case", "case_id"),
    Index("delivery_payload", "payload"),
    Index("delivery_message", "message_row"),
    Index(
        "delivery_notification",
        "next_attempt_at",
        sqlite_where=text("kind = 'subscription' AND state = 'waiting'"),
        postgresql_where=text("kind = 'subscription' AND state = 'waiting'"),
    ),
    Index(
        "delivery_failed",
        "state",
        "id",
        sqlite_where=text("state IN ('refused', 'given-up', 'cancelled')"),
        postgresql_where=text("state IN ('refused', 'given-up', 'cancelled')"),
    ),
)

delivery_words = Table(
    "delivery_words",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=False),  # of the delivery
    Column("words", Text, nullable=False),  # by which it is found: store.searching
)

delivery_unindexed = Table(
    "delivery_unindexed",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=False),  # of a delivery whose words have changed
)

FOUND_BY_WORDS = {
    "sqlite": (
        "CREATE VIRTUAL TABLE delivery_found USING fts5(words, content='delivery_words', content_rowid='id', "
        "detail='none', columnsize=0, prefix='2 3', tokenize='unicode61 remove_diacritics 0')",
        "CREATE TRIGGER delivery_words_in AFTER INSERT ON delivery_words BEGIN "
        "INSERT INTO delivery_found (rowid, words) VALUES (new.id, new.words); END",
        "CREATE TRIGGER delivery_words_out AFTER DELETE ON delivery_words BEGIN "
        "INSERT INTO delivery_found (delivery_found, rowid, words) VALUES ('delete', old.id, old.words); END",
        "CREATE TRIGGER delivery_words_anew AFTER UPDATE ON delivery_words BEGIN "
        "INSERT INTO delivery_found (delivery_found, rowid, words) VALUES ('delete', old.id, old.words); "
        "INSERT INTO delivery_found (rowid, words) VALUES (new.id, new.words); END",
    ),
    "postgresql": (
        "CREATE INDEX delivery_found ON delivery_words USING gin "
        "(array_to_tsvector(string_to_array(words, ' ')))",
    ),
}
"""What finds deliveries by words, in each engine's own way; kept by the engine."""


def _only(engine: str, statement: str) -> Any:
    """DDL for one engine."""
    made = DDL(statement)  # type: ignore[no-untyped-call]  # SQLAlchemy gives it no types
    return made.execute_if(dialect=engine)


for _engine, _made in FOUND_BY_WORDS.items():
    for _statement in _made:
        event.listen(delivery_words, "after_create", _only(_engine, _statement))
event.listen(delivery_words, "before_drop", _only("sqlite", "DROP TABLE IF EXISTS delivery_found"))

bulk = Table(
    "bulk",
    metadata,
    _id(),
    Column("at", Instant, nullable=False),
    Column("by", Text, nullable=False),
    Column("person", Text, nullable=False),  # the id of whoever has begun it
    Column("what", Text, nullable=False),  # resend, give-up, take-up, reissue
    Column("to", Text),  # of a reissue: to which party; NULL: each to its own
    Column("why", Text, nullable=False),
    Column("filter", Text, nullable=False),  # the address of the log that showed these deliveries
    Column("state", Text, nullable=False),  # prepared, running, done, cancelled
    Column("confirmed_at", Instant),
    Column("ended_at", Instant),
    Column("ended_by", Text),  # who has cancelled it; NULL where it is done
    Index(
        "bulk_running",
        "id",
        sqlite_where=text("state = 'running'"),
        postgresql_where=text("state = 'running'"),
    ),
)

bulk_item = Table(
    "bulk_item",
    metadata,
    Column("bulk", _Id, primary_key=True),
    Column("delivery", _Id, primary_key=True),
    Column("stands", Text, nullable=False),  # how the delivery stood when it was shown
    Column("outcome", Text),  # done, cannot, changed; NULL: not yet, or never where it was cancelled
    Column("told", Said),  # why it could not be done; or the number of the new delivery
    Column("at", Instant),
    Index(
        "bulk_item_left",
        "bulk",
        "delivery",
        sqlite_where=text("outcome IS NULL"),
        postgresql_where=text("outcome IS NULL"),
    ),
)

attempt = Table(
    "attempt",
    metadata,
    _id(),
    Column("delivery_id", _Id, nullable=False),
    Column("at", Instant, nullable=False),
    Column("trigger", Text, nullable=False),
    Column("status", Integer),
    Column("outcome", Text, nullable=False),  # sent, retry, gave-up
    Column("ms", Float, nullable=False),
    Column("error", Said),
    Column("sending", Integer, nullable=False, server_default="1"),  # which of the delivery's it was of
    Column("content_hash", LargeBinary(32)),  # NULL: what left is the delivery's payload to the byte
    Index("attempt_delivery", "delivery_id"),
)

endpoint_pause = Table(
    "endpoint_pause",
    metadata,
    Column("endpoint", Text, primary_key=True),
    Column("since", Instant, nullable=False),
    Column("by", Text),
)

endpoint_health = Table(
    "endpoint_health",
    metadata,
    Column("endpoint", Text, primary_key=True),  # no row: all is well there
    Column("failures", Integer, nullable=False),  # in a row
    Column("since", Instant, nullable=False),  # of the first of them
    Column("resting_since", Instant),  # NULL: it is not resting
    Column("probe_at", Instant),  # when one message tries again; NULL when it is not resting
    Column("rests", Integer, nullable=False, server_default="0"),  # probes in vain
    Column("window", Integer),  # sends at a time while it recovers; NULL: as many as the region file allows
    Column("error", Said),
)

duty = Table(
    "duty",
    metadata,
    Column("name", Text, primary_key=True),  # deadlines, poll sogndal, …
    Column("holder", Text, nullable=False),  # the process that does it now
    Column("fence", _Wide, nullable=False),  # goes up with each change of hands
    Column("until", Instant, nullable=False),
)

journal = Table(
    "journal",
    metadata,
    Column("number", _Wide, primary_key=True, autoincrement=False),  # 1, 2, 3, … without a gap
    Column("at", Instant, nullable=False),
    Column("kind", Text, nullable=False),  # received, not-kept, erased, …
    Column("message_row", _Id, nullable=False),
    Column("content", LargeBinary(32)),  # SHA-256 of the bytes as they came
    Column("previous", LargeBinary(32), nullable=False),  # hash of the entry before; of the first, zeros
    Column("hash", LargeBinary(32), nullable=False),  # of all of the above
    Index("journal_message", "message_row"),
)

alarm = Table(
    "alarm",
    metadata,
    _id(),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("text", Said, nullable=False),
    Column("since", Instant, nullable=False),
    Column("until", Instant),
    Column("seen_by", Text),
    Column("seen_at", Instant),
    Column("closed_by", Text),  # where a person has ended it by telling what was done
    Column("why", Text),  # what was done
    Column("case_id", _Id),
    Column("mailed_at", Instant),  # when it stood in a mail; its start, where it is told to nobody
    Column("escalated_at", Instant),  # when those were told who are told where nobody has seen it
    Column("end_mailed_at", Instant),  # when it stood in a mail that it is over
    Index(
        "alarm_open",
        "kind",
        "subject",
        unique=True,
        sqlite_where=text("until IS NULL"),
        postgresql_where=text("until IS NULL"),
    ),
    Index("alarm_about", "kind", "subject"),
    Index(
        "alarm_untold",
        "id",
        sqlite_where=text("until IS NULL AND mailed_at IS NULL"),
        postgresql_where=text("until IS NULL AND mailed_at IS NULL"),
    ),
    Index(
        "alarm_over",
        "id",
        sqlite_where=text("until IS NOT NULL AND mailed_at IS NOT NULL AND end_mailed_at IS NULL"),
        postgresql_where=text("until IS NOT NULL AND mailed_at IS NOT NULL AND end_mailed_at IS NULL"),
    ),
    Index(
        "alarm_unseen",
        "kind",
        "since",
        sqlite_where=text("until IS NULL AND seen_at IS NULL AND escalated_at IS NULL"),
        postgresql_where=text("until IS NULL AND seen_at IS NULL AND escalated_at IS NULL"),
    ),
)

subscription = Table(
    "subscription",
    metadata,
    _id(),
    Column("name", Text, nullable=False, unique=True),  # the id by which its subscriber knows it
    Column("partner", Text),  # who has signed in; NULL where nobody must
    Column("status", Text, nullable=False),  # requested, active, error, off
    Column("topic", Text, nullable=False),
    Column("body", Text, nullable=False),  # the resource as asked for, with the headers that it shows
    Column("error", Said),
    Column("events", _Wide, nullable=False, server_default="0"),  # the number of the latest; never set back
    Column("failures", Integer, nullable=False, server_default="0"),  # tries in a row that failed
    Column("handshake", _Id),  # the delivery with which it becomes active
    Column("version", Integer, nullable=False, server_default="1"),
    Column("updated_at", Instant, nullable=False),
    Column("next_at", Instant),  # when the clock must look: a heartbeat, or its end; NULL when it never need
    Index(
        "subscription_listening",
        "topic",
        sqlite_where=text("status IN ('requested', 'active', 'error')"),
        postgresql_where=text("status IN ('requested', 'active', 'error')"),
    ),
    Index(
        "subscription_next",
        "next_at",
        sqlite_where=text("next_at IS NOT NULL"),
        postgresql_where=text("next_at IS NOT NULL"),
    ),
)

subscription_event = Table(
    "subscription_event",
    metadata,
    _id(),
    Column("subscription", _Id, nullable=False),
    Column("number", _Wide, nullable=False),
    Column("at", Instant, nullable=False),
    Column("focus", Text, nullable=False),  # EpisodeOfCare/case-12, CarePlan/<id>
    Index("subscription_event_number", "subscription", "number", unique=True),
    Index("subscription_event_at", "at"),
)

mailbox = Table(
    "mailbox",
    metadata,
    Column("name", Text, primary_key=True),
    Column("cursor", Text),
    Column("polled_at", Instant),
    Column("error", Said),
)

mailbox_seen = Table(
    "mailbox_seen",
    metadata,
    Column("mailbox", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("at", Instant, nullable=False),
)

remembered = Table(
    "remembered",
    metadata,
    Column(
        "place", Text, primary_key=True
    ),  # the message server, as the settings call it; or whose ids these are
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Index("remembered_at", "at"),
)

ledger_month = Table(
    "ledger_month",
    metadata,
    Column("month", Text, primary_key=True),  # 2024-03
    Column("closed_at", Instant, nullable=False),
    Column("closed_by", Text),
)

ledger_entry = Table(
    "ledger_entry",
    metadata,
    _id(),
    Column("month", Text, nullable=False),  # in whose closing it was booked; never changed afterwards
    Column("case_id", _Id),  # NULL: the mean of a month, which belongs to no single case
    Column("day", Date, nullable=False),  # of a mean, the last day of its month
    Column("debtor", Text, nullable=False),
    Column("payee", Text, nullable=False),
    Column("amount", Text),  # a decimal; NULL while no price is known
    Column("currency", Text, nullable=False),
    Column("kind", Text, nullable=False),  # charge, reversal
    Column("state", Text, nullable=False),  # open, disputed, upheld, waived
    Column("reverses", _Id),
    Column("why", Said, nullable=False),
    Column("agreement", Text),  # of a mean: by whose agreement
    Column("days_over", Text),  # of a mean: a decimal
    Index("ledger_entry_month", "month"),
    Index("ledger_entry_case", "case_id"),
    Index(
        "ledger_entry_reverses",
        "reverses",
        sqlite_where=text("reverses IS NOT NULL"),
        postgresql_where=text("reverses IS NOT NULL"),
    ),
)

owed_day = Table(
    "owed_day",
    metadata,
    Column("case_id", _Id, primary_key=True, autoincrement=False),
    Column("day", Date, primary_key=True),
    Column("payee", Text, primary_key=True),
    Column("debtor", Text, nullable=False),
    Column("amount", Text),  # a decimal; NULL while no price is known
    Column("currency", Text, nullable=False),
    Column("state", Text, nullable=False),  # open, disputed
    Column("why", Said, nullable=False),
    Index("owed_day_day", "day"),
)

owed_share = Table(
    "owed_share",
    metadata,
    Column("case_id", _Id, primary_key=True, autoincrement=False),
    Column("agreement", Text, primary_key=True),
    Column("debtor", Text, primary_key=True),
    Column("month", Date, nullable=False),  # the first day of the month of the discharge
    Column("days", Integer, nullable=False),  # ready days that count
    Column("level", Text, nullable=False),  # a decimal: the days agreed on
    Column("between", Text, nullable=False),  # JSON: the parties of the agreement
    Index("owed_share_month", "month"),
)

resource = Table(
    "resource",
    metadata,
    _id(),
    Column("type", Text, nullable=False),
    Column("fhir_id", Text, nullable=False),
    Column("patient", Text, nullable=False),  # pseudonym
    Column("version", _Wide),  # of its versions the latest, whoever may see it
    Index("resource_name", "fhir_id", "type", unique=True),
    Index("resource_patient", "patient"),
)

resource_version = Table(
    "resource_version",
    metadata,
    _id(),
    Column("resource", _Id, nullable=False),
    Column("number", Integer, nullable=False),  # its versionId: 1, 2, …
    Column("at", Instant, nullable=False),
    Column("by", Text, nullable=False),  # the party that told it
    Column("message_row", _Id, nullable=False),
    Column("place", Integer),  # of its entry in that message's Bundle; NULL where it is made of the case
    Column("made", Text),  # what it was made as: episode, asked:<party>, called-off:<party>
    Column("label", Text),  # for lists: a Patient's name, an Encounter's ward and bed
    Column("sorted_as", Text),  # the name without regard to capitals, in which names are looked for
    Column("sort_key", Text),  # by which the region's language sorts the name: fhir.alphabet
    Column("born", Date),
    Column("case_id", _Id),
    Index("resource_version_number", "resource", "number", unique=True),
    Index("resource_version_message", "message_row"),
)

patient_unlisted = Table(
    "patient_unlisted",
    metadata,
    Column("version", _Id, primary_key=True, autoincrement=False),  # of a Patient that lists have no name of
)

shelf = Table(
    "shelf",
    metadata,
    Column("party", Text, primary_key=True),
    Column("role", Text, primary_key=True),  # the service addressed, as nursing; empty for the whole party
    Column("resource", _Id, primary_key=True),
    Column("type", Text, nullable=False),
    Column("patient", Text, nullable=False),
    Column("version", _Id, nullable=False),  # the newest that this party may see
    Column("at", Instant, nullable=False),
    Column("shared", Integer, nullable=False),  # 1: of a plan that the party takes part in, with all its past
    Index("shelf_time", "party", "type", "at", "resource", "version"),
    Index("shelf_patient", "patient", "type", "party", "at", "resource"),
    Index("shelf_resource", "resource"),
)

resource_token = Table(
    "resource_token",
    metadata,
    Column("version", _Id, primary_key=True),
    Column("name", Text, primary_key=True),  # the search parameter
    Column("value", Text, primary_key=True),  # system|code, Type/id; of a person's identifier a keyed hash
    Index("resource_token_value", "value", "name"),
)

pushed = Table(
    "pushed",
    metadata,
    _id(),
    Column("endpoint", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("fhir_id", Text, nullable=False),  # ours
    Column("party", Text, nullable=False),  # whose server it is, as the message was addressed
    Column(
        "plan", Text, nullable=False
    ),  # the CarePlan with which it was put there last: CarePlan/id of ours
    Column("their_id", Text),  # NULL: tried, and no answer yet
    Column("etag", Text),  # of their version that we have put, or seen, last
    Column("hash", LargeBinary(32)),  # of what is there for certain; NULL where that is not complete
    Column("trying", LargeBinary(32)),  # of what was on its way when we last heard nothing
    Column("version", Integer),  # of a CarePlan: our version of the plan that is there
    Column("conflict", Text),  # of a CarePlan: JSON of what was changed there, and whose word counts
    Index("pushed_name", "endpoint", "fhir_id", "type", unique=True),
    Index("pushed_plan", "endpoint", "plan"),
)

fhir_access = Table(
    "fhir_access",
    metadata,
    _id(),
    Column("at", Instant, nullable=False),
    Column("partner", Text),
    Column("what", Text, nullable=False),  # read, vread, history, search, update, document
    Column("type", Text, nullable=False),
    Column("fhir_id", Text),
    Column("patient", Text),
    Column("found", Integer, nullable=False),
    Column("person", Text),  # who looked at a board; NULL where a machine did
    Column("role", Text),  # in which role
    Column("why", Text),  # the reason that was given for emergency access; NULL where none was needed
    Column("name", Text),  # of the person, as others see it
    Column("page", Text),  # on which page, or by which form
    Index("fhir_access_at", "at"),
    Index("fhir_access_patient", "patient"),
    Index(
        "fhir_access_person",
        "person",
        "id",
        sqlite_where=text("person IS NOT NULL"),
        postgresql_where=text("person IS NOT NULL"),
    ),
    Index(
        "fhir_access_why",
        "id",
        sqlite_where=text("why IS NOT NULL"),
        postgresql_where=text("why IS NOT NULL"),
    ),
)

session = Table(
    "session",
    metadata,
    Column("sha256", LargeBinary(32), primary_key=True),  # of the cookie, which itself is not kept
    Column("person", Text, nullable=False),  # the id; whatever else is known of them is in `about`
    Column("about", Text, nullable=False),  # JSON: name, roles, parties, named, language
    Column("created_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Index("session_person", "person"),
    Index("session_expires", "expires_at"),
)

protection = Table(
    "protection",
    metadata,
    Column("patient", Text, primary_key=True),  # pseudonym of somebody whose identity is protected
    Column("since", Instant, nullable=False),  # when a message told it
    Column("told_by", Text, nullable=False),  # its sender
    Column("message_row", _Id),
    Column("lifted_at", Instant),  # NULL: it stands
    Column("lifted_by", Text),
    Column("why", Text),  # the reason that was given for lifting it
)

emergency = Table(
    "emergency",
    metadata,
    _id(),
    Column("person", Text, nullable=False),
    Column("name", Text, nullable=False),  # as others see it
    Column("patient", Text, nullable=False),  # pseudonym; access is bound to one patient
    Column("why", Text, nullable=False),
    Column("since", Instant, nullable=False),
    Column("until", Instant, nullable=False),
    Column("reviewed_by", Text),
    Column("reviewed_at", Instant),
    Column("verdict", Text),  # what the reviewer found
    Index("emergency_person", "person", "patient", "until"),
)

access_token = Table(
    "access_token",
    metadata,
    Column("sha256", LargeBinary(32), primary_key=True),  # the token itself is not kept
    Column("partner", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("expires_at", Instant, nullable=False),
)

used_assertion = Table(
    "used_assertion",
    metadata,
    Column("sha256", LargeBinary(32), primary_key=True),  # of client_id and jti
    Column("expires_at", Instant, nullable=False),  # from then on they may be used again
)

address_answer = Table(
    "address_answer",
    metadata,
    Column("register", Text, primary_key=True),  # its address: a test register's answers are no others'
    Column("her_id", Text, primary_key=True),
    Column("fetched_at", Instant, nullable=False),
    Column("document", Text),  # JSON of the communication party; NULL: the register knows none of that id
)
