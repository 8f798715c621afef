"""Subscriptions: who wants to be told of what, and the numbered events that there were to tell."""

import sqlalchemy as sa
from alembic import op

from adapter.store.tables import Instant

revision = "0008"
down_revision = "0007"

WIDE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
LISTENING = sa.text("status IN ('requested', 'active', 'error')")
WAITING = sa.text("kind = 'subscription' AND state = 'waiting'")
LOOKED_AT = sa.text("next_at IS NOT NULL")


def upgrade() -> None:
    """Make the two tables, and the index by which waiting notifications are found."""
    op.create_table(
        "subscription",
        sa.Column("id", WIDE, primary_key=True, autoincrement=True),
        sa.Column("name", sa.Text(), nullable=False, unique=True),
        sa.Column("partner", sa.Text()),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("events", WIDE, nullable=False, server_default="0"),
        sa.Column("failures", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("handshake", WIDE),
        sa.Column("version", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.Column("next_at", Instant()),
    )
    _index("subscription_listening", "subscription", ["topic"], LISTENING)
    _index("subscription_next", "subscription", ["next_at"], LOOKED_AT)
    op.create_table(
        "subscription_event",
        sa.Column("id", WIDE, primary_key=True, autoincrement=True),
        sa.Column("subscription", WIDE, nullable=False),
        sa.Column("number", WIDE, nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("focus", sa.Text(), nullable=False),
    )
    op.create_index(
        "subscription_event_number", "subscription_event", ["subscription", "number"], unique=True
    )
    op.create_index("subscription_event_at", "subscription_event", ["at"])
    _index("delivery_notification", "delivery", ["next_attempt_at"], WAITING)


def _index(name: str, table: str, columns: list[str], where: "sa.TextClause") -> None:
    op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)
