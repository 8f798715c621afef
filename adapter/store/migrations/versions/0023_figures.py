"""Figures of a period, and what is overdue or unreceipted, are counted without reading the whole log."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """Create the indices."""
    op.create_index("delivery_created", "delivery", ["created_at"])
    unreceipted = sa.text("state = 'sent' AND expects_receipt = 1")
    op.create_index(
        "delivery_unreceipted",
        "delivery",
        ["endpoint", "created_at"],
        sqlite_where=unreceipted,
        postgresql_where=unreceipted,
    )
    wanted = sa.text("state IN ('open', 'missed') AND noted_at IS NULL")
    op.create_index("deadline_wanted", "deadline", ["due_at"], sqlite_where=wanted, postgresql_where=wanted)
