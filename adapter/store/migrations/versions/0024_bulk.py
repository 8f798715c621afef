"""Operators act on many deliveries at once; what people have done with one thing is found by what it is."""

import sqlalchemy as sa
from alembic import op

from adapter.store.tables import Instant

revision = "0024"
down_revision = "0023"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Create the tables and the index."""
    op.create_table(
        "bulk",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("at", Instant, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("what", sa.Text, nullable=False),
        sa.Column("to", sa.Text),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("filter", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("confirmed_at", Instant),
        sa.Column("ended_at", Instant),
        sa.Column("ended_by", sa.Text),
    )
    running = sa.text("state = 'running'")
    op.create_index("bulk_running", "bulk", ["id"], sqlite_where=running, postgresql_where=running)
    op.create_table(
        "bulk_item",
        sa.Column("bulk", _ID, primary_key=True),
        sa.Column("delivery", _ID, primary_key=True),
        sa.Column("stands", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text),
        sa.Column("told", sa.Text),
        sa.Column("at", Instant),
    )
    left = sa.text("outcome IS NULL")
    op.create_index(
        "bulk_item_left", "bulk_item", ["bulk", "delivery"], sqlite_where=left, postgresql_where=left
    )
    op.create_index("history_subject", "history", ["subject"])
