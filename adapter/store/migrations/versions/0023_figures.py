"""Figures of a period, what is overdue or unreceipted, and messages of a case, without reading whole logs."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """Create the indices."""
    known = sa.text("case_id IS NOT NULL")
    op.create_index("message_case", "message", ["case_id"], sqlite_where=known, postgresql_where=known)
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
