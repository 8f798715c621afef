"""Fences for leases, who is on duty, endpoints that rest, the journal of hashes, alarms that are mailed."""

import sqlalchemy as sa
from alembic import op

from adapter.store.tables import Instant

revision = "0015"
down_revision = "0014"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add what is missing; nothing of it needs the rows that there are."""
    op.add_column("delivery", sa.Column("fence", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("delivery", sa.Column("superseded_by", _ID))
    op.add_column("alarm", sa.Column("mailed_at", Instant()))
    op.add_column("alarm", sa.Column("escalated_at", Instant()))
    op.create_table(
        "endpoint_health",
        sa.Column("endpoint", sa.Text(), primary_key=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("since", Instant(), nullable=False),
        sa.Column("resting_since", Instant()),
        sa.Column("probe_at", Instant()),
        sa.Column("rests", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("window", sa.Integer()),
        sa.Column("error", sa.Text()),
    )
    op.create_table(
        "duty",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("fence", _ID, nullable=False),
        sa.Column("until", Instant(), nullable=False),
    )
    op.create_table(
        "journal",
        sa.Column("number", _ID, primary_key=True, autoincrement=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("message_row", _ID, nullable=False),
        sa.Column("content", sa.LargeBinary(32)),
        sa.Column("previous", sa.LargeBinary(32), nullable=False),
        sa.Column("hash", sa.LargeBinary(32), nullable=False),
    )
    op.create_index("journal_message", "journal", ["message_row"])
