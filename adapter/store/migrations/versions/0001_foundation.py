"""The foundation: messages, facts, cases, deadlines, deliveries and their attempts, alarms, mailboxes."""

import sqlalchemy as sa
from alembic import op

from adapter.store.tables import Compressed, Instant

revision = "0001"
down_revision = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create every table."""
    op.create_table(
        "alarm",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("since", Instant(), nullable=False),
        sa.Column("until", Instant(), nullable=True),
        sa.Column("seen_by", sa.Text(), nullable=True),
        sa.Column("case_id", ID, nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "alarm_open",
        "alarm",
        ["kind", "subject"],
        unique=True,
        sqlite_where=sa.text("until IS NULL"),
        postgresql_where=sa.text("until IS NULL"),
    )
    op.create_table(
        "attempt",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("delivery_id", ID, nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("trigger", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("ms", sa.Float(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("content_hash", sa.LargeBinary(length=32), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("attempt_delivery", "attempt", ["delivery_id"], unique=False)
    op.create_table(
        "deadline",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("case_id", ID, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=True),
        sa.Column("since", Instant(), nullable=False),
        sa.Column("due_at", Instant(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("settled_at", Instant(), nullable=True),
        sa.Column("remind_at", Instant(), nullable=True),
        sa.Column("reminded_at", Instant(), nullable=True),
        sa.Column("fired_at", Instant(), nullable=True),
        sa.Column("next_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("deadline_case", "deadline", ["case_id"], unique=False)
    op.create_index(
        "deadline_next",
        "deadline",
        ["next_at"],
        unique=False,
        sqlite_where=sa.text("next_at IS NOT NULL"),
        postgresql_where=sa.text("next_at IS NOT NULL"),
    )
    op.create_table(
        "discharge_case",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("patient", sa.Text(), nullable=False),
        sa.Column("hospital", sa.Text(), nullable=True),
        sa.Column("municipality", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("admitted_at", Instant(), nullable=True),
        sa.Column("ready_at", Instant(), nullable=True),
        sa.Column("discharged_at", Instant(), nullable=True),
        sa.Column("planned_discharge", sa.Date(), nullable=True),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.Column("merged_into", ID, nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("case_patient", "discharge_case", ["patient"], unique=False)
    op.create_table(
        "endpoint_pause",
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("since", Instant(), nullable=False),
        sa.Column("by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("endpoint"),
    )
    op.create_table(
        "fact",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("patient", sa.Text(), nullable=False),
        sa.Column("case_id", ID, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("message_row", ID, nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("fact_patient", "fact", ["patient"], unique=False)
    op.create_table(
        "history",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("case_id", ID, nullable=True),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("history_case", "history", ["case_id"], unique=False)
    op.create_table(
        "mailbox",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("polled_at", Instant(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "mailbox_seen",
        sa.Column("mailbox", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("mailbox", "key"),
    )
    op.create_table(
        "message",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("received_at", Instant(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("partner", sa.Text(), nullable=True),
        sa.Column("sender", sa.Text(), nullable=True),
        sa.Column("message_id", sa.Text(), nullable=True),
        sa.Column("transmission_id", sa.Text(), nullable=True),
        sa.Column("dialect", sa.Text(), nullable=True),
        sa.Column("type", sa.Text(), nullable=True),
        sa.Column("sent_at", Instant(), nullable=True),
        sa.Column("content_type", sa.Text(), nullable=True),
        sa.Column("payload", sa.LargeBinary(length=32), nullable=True),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(length=32), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("case_id", ID, nullable=True),
        sa.Column("acknowledgement", sa.LargeBinary(length=32), nullable=True),
        sa.Column("acknowledgement_type", sa.Text(), nullable=True),
        sa.Column("duplicates", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "message_acknowledgement",
        "message",
        ["acknowledgement"],
        unique=False,
        sqlite_where=sa.text("acknowledgement IS NOT NULL"),
        postgresql_where=sa.text("acknowledgement IS NOT NULL"),
    )
    op.create_index(
        "message_held",
        "message",
        ["id"],
        unique=False,
        sqlite_where=sa.text("outcome IN ('quarantined', 'refused')"),
        postgresql_where=sa.text("outcome IN ('quarantined', 'refused')"),
    )
    op.create_index("message_identity", "message", ["sender", "message_id"], unique=True)
    op.create_index("message_payload", "message", ["payload"], unique=False)
    op.create_index(
        "message_transmission",
        "message",
        ["transmission_id"],
        unique=False,
        sqlite_where=sa.text("transmission_id IS NOT NULL"),
        postgresql_where=sa.text("transmission_id IS NOT NULL"),
    )
    op.create_table(
        "payload",
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("content", Compressed(), nullable=False),
        sa.PrimaryKeyConstraint("hash"),
    )
    op.create_table(
        "setting",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "delivery",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("message_row", ID, nullable=True),
        sa.Column("case_id", ID, nullable=True),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=True),
        sa.Column("dialect", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("refers_to", sa.Text(), nullable=True),
        sa.Column("expects_receipt", sa.Integer(), server_default="1", nullable=False),
        sa.Column("payload", sa.LargeBinary(length=32), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("trigger", sa.Text(), server_default="schedule", nullable=False),
        sa.Column("resume_state", sa.Text(), nullable=True),
        sa.Column("resume_at", Instant(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("next_attempt_at", Instant(), nullable=True),
        sa.Column("hold_until", Instant(), nullable=True),
        sa.Column("lease_until", Instant(), nullable=True),
        sa.Column("sent_at", Instant(), nullable=True),
        sa.Column("delivered_at", Instant(), nullable=True),
        sa.Column("accepted_at", Instant(), nullable=True),
        sa.Column("receipt_due_at", Instant(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("original", ID, nullable=True),
        sa.ForeignKeyConstraint(
            ["message_row"],
            ["message.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("delivery_case", "delivery", ["case_id"], unique=False)
    op.create_index(
        "delivery_due",
        "delivery",
        ["endpoint", "next_attempt_at"],
        unique=False,
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_index(
        "delivery_lane",
        "delivery",
        ["lane", "id"],
        unique=False,
        sqlite_where=sa.text("state IN ('waiting', 'leased')"),
        postgresql_where=sa.text("state IN ('waiting', 'leased')"),
    )
    op.create_index(
        "delivery_lease",
        "delivery",
        ["lease_until"],
        unique=False,
        sqlite_where=sa.text("state = 'leased'"),
        postgresql_where=sa.text("state = 'leased'"),
    )
    op.create_index("delivery_message", "delivery", ["message_row"], unique=False)
    op.create_index("delivery_message_id", "delivery", ["message_id"], unique=False)
    op.create_index("delivery_payload", "delivery", ["payload"], unique=False)
    op.create_index(
        "delivery_receipt",
        "delivery",
        ["receipt_due_at"],
        unique=False,
        sqlite_where=sa.text("receipt_due_at IS NOT NULL"),
        postgresql_where=sa.text("receipt_due_at IS NOT NULL"),
    )
    op.create_index(
        "delivery_refers",
        "delivery",
        ["refers_to"],
        unique=False,
        sqlite_where=sa.text("refers_to IS NOT NULL"),
        postgresql_where=sa.text("refers_to IS NOT NULL"),
    )
    # ### end Alembic commands ###
